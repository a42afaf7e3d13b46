/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait, when to give up. */
#include "harness/harness.h"

#include "base/error.h"
#include "base/rng.h"
#include "region/backoff.h"

static void
backoff__doubles_without_jitter(void **state)
{
    (void)state;
    assert_int_equal(tk_backoff_pause(TK_JITTER_NONE, 2, 7, 0, 0, 9), 2);
    assert_int_equal(tk_backoff_pause(TK_JITTER_NONE, 2, 7, 1, 2, 9), 4);
    assert_int_equal(tk_backoff_pause(TK_JITTER_NONE, 2, 7, 2, 4, 9), 7);
    assert_int_equal(tk_backoff_pause(TK_JITTER_NONE, 2, 7, 200, 7, 9), 7);
}

static void
within(enum tk_jitter jitter, unsigned attempts, int64_t last, int64_t low,
       int64_t high)
{
    struct tk_rng rng = { attempts };
    int64_t least = INT64_MAX;
    int64_t most = 0;
    int i;

    for (i = 0; i < 1000; i++) {
        int64_t pause = tk_backoff_pause(jitter, 2, 7, attempts, last,
                                         tk_rng_next(&rng));

        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
    }
    assert_true(least >= low && most <= high);
    assert_true(least < most || low == high);
}

static void
backoff__keeps_jitter_within_bounds(void **state)
{
    (void)state;
    within(TK_JITTER_EARLY, 0, 0, 2, 2);
    within(TK_JITTER_EARLY, 1, 2, 3, 4);
    within(TK_JITTER_EARLY, 2, 4, 6, 7);
    within(TK_JITTER_FULL, 0, 0, 0, 2);
    within(TK_JITTER_FULL, 1, 2, 0, 4);
    within(TK_JITTER_FULL, 2, 4, 0, 7);
    within(TK_JITTER_EQUAL, 0, 0, 1, 1);
    within(TK_JITTER_EQUAL, 1, 2, 2, 4);
    within(TK_JITTER_EQUAL, 2, 4, 3, 6);
    within(TK_JITTER_DECORRELATED, 0, 0, 2, 6);
    within(TK_JITTER_DECORRELATED, 1, 3, 2, 7);
    within(TK_JITTER_DECORRELATED, 2, 7, 2, 7);
}

static void
backoff__obeys_a_ceiling(void **state)
{
    struct tk_backoff backoff;

    (void)state;
    tk_backoff_init(&backoff, 2000);
    assert_int_equal(
        tk_backoff_next(&backoff, TK_BACKOFF_TXN_LOCK_FAST, 5, 0), 5);
    assert_int_equal(backoff.total_ms, 5);
    assert_int_equal(backoff.slept_ms[TK_BACKOFF_TXN_LOCK_FAST], 5);
    /* The growth goes on behind the ceiling. */
    assert_int_equal(
        tk_backoff_next(&backoff, TK_BACKOFF_TXN_LOCK_FAST, -1, 0), 10);
}

static void
backoff__checks_the_budget_before_sleeping(void **state)
{
    struct tk_backoff backoff;

    (void)state;
    tk_backoff_init(&backoff, 5);
    assert_int_equal(tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 0),
                     2);
    assert_int_equal(tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 0),
                     4);
    assert_int_equal(tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 0),
                     -1);
    assert_int_equal(backoff.total_ms, 6);
    tk_backoff_init(&backoff, 0);
    while (backoff.total_ms < 100000) {
        assert_true(tk_backoff_next(&backoff, TK_BACKOFF_RPC, -1, 7) > 0);
    }
}

static void
backoff__excludes_busy_servers_up_to_a_limit(void **state)
{
    struct tk_backoff backoff;
    tikv_error *error;

    (void)state;
    tk_backoff_init(&backoff, 1000);
    while (backoff.excluded_ms < 600000) {
        assert_true(
            tk_backoff_next(&backoff, TK_BACKOFF_SERVER_BUSY, -1, 3) > 0);
    }
    assert_int_equal(tk_backoff_next(&backoff, TK_BACKOFF_SERVER_BUSY, -1, 3),
                     -1);
    /* Other kinds still have the whole budget. */
    assert_int_equal(tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 0),
                     2);
    assert_int_equal(tk_backoff_dominant(&backoff), TK_BACKOFF_REGION_MISS);
    tk_backoff_init(&backoff, 1000);
    assert_true(tk_backoff_next(&backoff, TK_BACKOFF_SERVER_BUSY, -1, 3) > 0);
    assert_int_equal(tk_backoff_dominant(&backoff), TK_BACKOFF_KINDS);
    /* None dominates: the caller's error. */
    error = tk_backoff_exceeded(
        &backoff, tk_error(TIKV_ERR_SERVER_BUSY, "busy as a bee"));
    assert_int_equal(tikv_error_code(error), TIKV_ERR_SERVER_BUSY);
    assert_non_null(strstr(tikv_error_message(error), "busy as a bee"));
    tikv_error_free(error);
}

/* However many there were: sums by kind, in the error too. */
static void
backoff__keeps_the_sum_of_many_pauses(void **state)
{
    struct tk_backoff backoff;
    int64_t sums[2] = { 0, 0 };
    tikv_error *error;
    const char *name;
    uint64_t ms;
    size_t at;
    int i;

    (void)state;
    tk_backoff_init(&backoff, 0);
    for (i = 0; i < 32; i++) {
        sums[0] += tk_backoff_next(&backoff, TK_BACKOFF_RPC, -1, 3);
        sums[1] += tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 3);
    }
    assert_int_equal(backoff.total_ms, sums[0] + sums[1]);
    error = tk_backoff_exceeded(&backoff, tk_error(TIKV_ERR_REGION, "last"));
    assert_int_equal(tikv_error_code(error), TIKV_ERR_UNAVAILABLE);
    assert_non_null(strstr(tikv_error_message(error), "tikvRPC"));
    assert_non_null(strstr(tikv_error_message(error), "last"));
    for (at = 0; tikv_error_backoff(error, at, &name, &ms); at++) {
        assert_int_equal(ms, sums[strcmp(name, "tikvRPC") == 0 ? 0 : 1]);
    }
    assert_int_equal(at, 2);
    tikv_error_free(error);
}

static void
backoff__names_the_dominant_kind(void **state)
{
    struct tk_backoff backoff;
    tikv_error *error;
    const char *kind;
    uint64_t slept;

    (void)state;
    tk_backoff_init(&backoff, 10);
    tk_backoff_next(&backoff, TK_BACKOFF_DISK_FULL, -1, 0);
    tk_backoff_next(&backoff, TK_BACKOFF_REGION_MISS, -1, 0);
    error = tk_backoff_exceeded(&backoff, tk_error(TIKV_ERR_REGION, "why"));
    assert_int_equal(tikv_error_code(error), TIKV_ERR_DISK_FULL);
    assert_non_null(strstr(tikv_error_message(error), "why"));
    assert_true(tikv_error_backoff(error, 0, &kind, &slept));
    assert_string_equal(kind, "tikvDiskFull");
    assert_int_equal(slept, 500);
    tikv_error_free(error);
}

static void
backoff__forks_totals_and_adopts_them(void **state)
{
    struct tk_backoff parent;
    struct tk_backoff child;
    struct tk_backoff copy;
    unsigned kind;

    (void)state;
    tk_backoff_init(&parent, 4);
    for (kind = 0; kind < 3; kind++) {
        tk_backoff_next(&parent, TK_BACKOFF_REGION_NOT_INITIALIZED, -1, 0);
    }
    assert_int_equal(parent.total_ms, 6);
    tk_backoff_fork(&child, &parent);
    assert_int_equal(child.total_ms, 6);
    assert_int_equal(child.slept_ms[TK_BACKOFF_REGION_NOT_INITIALIZED], 6);
    assert_int_equal(child.attempts[TK_BACKOFF_REGION_NOT_INITIALIZED], 0);
    assert_int_equal(tk_backoff_next(&child, TK_BACKOFF_MAX_TS_NOT_SYNCED, -1,
                                     0),
                     -1);
    assert_int_equal(tk_backoff_dominant(&child),
                     TK_BACKOFF_REGION_NOT_INITIALIZED);
    child.budget_ms = 100;
    tk_backoff_next(&child, TK_BACKOFF_MAX_TS_NOT_SYNCED, -1, 0);
    copy = parent;
    tk_backoff_adopt(&parent, &child);
    assert_int_equal(parent.total_ms, 8);
    assert_int_equal(parent.slept_ms[TK_BACKOFF_MAX_TS_NOT_SYNCED], 2);
    assert_int_equal(parent.budget_ms, copy.budget_ms);
}

static void
backoff__takes_an_interrupted_sleep_back(void **state)
{
    struct tk_backoff backoff;

    (void)state;
    tk_backoff_init(&backoff, 1000);
    tk_backoff_undo(&backoff, TK_BACKOFF_SERVER_BUSY,
                    tk_backoff_next(&backoff, TK_BACKOFF_SERVER_BUSY, -1, 5));
    assert_int_equal(backoff.total_ms, 0);
    assert_int_equal(backoff.excluded_ms, 0);
    assert_int_equal(backoff.attempts[TK_BACKOFF_SERVER_BUSY], 0);
    assert_int_equal(tk_backoff_dominant(&backoff), TK_BACKOFF_KINDS);
}

static void
backoff__carries_totals_from_round_to_round(void **state)
{
    struct tk_backoff whole;
    struct tk_backoff round;

    (void)state;
    tk_backoff_init(&whole, 10);
    assert_int_equal(tk_backoff_next(&whole, TK_BACKOFF_REGION_MISS, -1, 0),
                     2);
    tk_backoff_init(&round, 10);
    tk_backoff_carry(&round, &whole);
    assert_int_equal(round.attempts[TK_BACKOFF_REGION_MISS], 0);
    assert_int_equal(tk_backoff_next(&round, TK_BACKOFF_STALE_COMMAND, 8, 0),
                     2);
    assert_int_equal(tk_backoff_next(&round, TK_BACKOFF_REGION_MISS, -1, 0),
                     2);
    tk_backoff_carry(&whole, &round);
    assert_int_equal(whole.total_ms, 6);
    assert_int_equal(whole.slept_ms[TK_BACKOFF_REGION_MISS], 4);
    assert_int_equal(whole.attempts[TK_BACKOFF_REGION_MISS], 1);
    assert_int_equal(tk_backoff_next(&whole, TK_BACKOFF_REGION_MISS, -1, 0),
                     4);
    assert_int_equal(tk_backoff_next(&whole, TK_BACKOFF_REGION_MISS, -1, 0),
                     -1);
}

enum { CLIENTS = 64, PAUSES = 16 };

/* When each of many clients, held up by the same event, comes back. */
static void
come_back(enum tk_backoff_kind kind, int64_t back[CLIENTS][PAUSES])
{
    size_t i;
    size_t j;

    for (i = 0; i < CLIENTS; i++) {
        struct tk_rng rng = { 1000 + i };
        struct tk_backoff backoff;

        tk_backoff_init(&backoff, 0);
        for (j = 0; j < PAUSES; j++) {
            assert_true(tk_backoff_next(&backoff, kind, -1,
                                        tk_rng_next(&rng)) > 0);
            back[i][j] = backoff.total_ms;
        }
    }
}

/* After so many pauses: the most that come back in the same millisecond. */
static size_t
crowd(int64_t back[CLIENTS][PAUSES], size_t pause)
{
    size_t most = 0;
    size_t i;
    size_t j;

    for (i = 0; i < CLIENTS; i++) {
        size_t together = 0;

        for (j = 0; j < CLIENTS; j++) {
            together += back[i][pause] == back[j][pause];
        }
        most = together > most ? together : most;
    }
    return most;
}

/* Every kind is spread, so what one event held up does not come back as a
 * herd; no pause is longer than the established one. */
static void
lesson_133__no_herd_comes_back_together(void **state)
{
    static const struct {
        int64_t base;
        int64_t cap;
    } rows[] = {
#define TK_BACKOFF(id, name, base_ms, cap_ms, jitter, code) { base_ms, cap_ms },
#include "base/backoff.def"
#undef TK_BACKOFF
    };
    int64_t back[CLIENTS][PAUSES];
    unsigned kind;
    size_t i;

    (void)state;
    for (kind = 0; kind < TK_BACKOFF_KINDS; kind++) {
        int64_t longest = 0;

        come_back((enum tk_backoff_kind)kind, back);
        for (i = 0; i < PAUSES; i++) {
            int64_t full = i >= 20 || rows[kind].base << i > rows[kind].cap
                               ? rows[kind].cap
                               : rows[kind].base << i;
            size_t j;

            longest += full;
            for (j = 0; j < CLIENTS; j++) {
                int64_t one = back[j][i] - (i == 0 ? 0 : back[j][i - 1]);

                assert_in_range(one, full / 2, full);
                assert_true(back[j][i] <= longest);
            }
        }
        assert_in_range(crowd(back, PAUSES - 1), 1, CLIENTS / 8);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(backoff__doubles_without_jitter),
        harness_test(backoff__keeps_jitter_within_bounds),
        harness_test(backoff__obeys_a_ceiling),
        harness_test(backoff__checks_the_budget_before_sleeping),
        harness_test(backoff__excludes_busy_servers_up_to_a_limit),
        harness_test(backoff__keeps_the_sum_of_many_pauses),
        harness_test(backoff__names_the_dominant_kind),
        harness_test(backoff__forks_totals_and_adopts_them),
        harness_test(backoff__takes_an_interrupted_sleep_back),
        harness_test(backoff__carries_totals_from_round_to_round),
        harness_test(lesson_133__no_herd_comes_back_together),
    };

    return harness_run(tests);
}
