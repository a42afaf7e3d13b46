/* SPDX-License-Identifier: Apache-2.0 */
/* The circuit breaker: by a clock of the test's, and around a real PD. */
#include "unit/region/world.h"

#include "pd/breaker.h"

#define SECOND INT64_C(1000000000)

enum { HALF = 50 };

/* `count` calls in one second, of which `failures` fail. */
static void
calls(struct tk_breaker *breaker, int64_t *now, unsigned count,
      unsigned failures)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        assert_true(tk_breaker_admit(breaker, *now, HALF));
        tk_breaker_report(breaker, *now, HALF,
                          i < failures ? TK_BREAKER_BAD : TK_BREAKER_GOOD);
    }
    *now += SECOND;
}

static void
breaker__opens_after_a_window_of_failures(void **state)
{
    struct tk_breaker breaker = { .state = TK_BREAKER_CLOSED };
    int64_t now = 1000 * SECOND;
    int i;

    (void)state;
    for (i = 0; i < 30; i++) {
        calls(&breaker, &now, 20, 11);
    }
    assert_false(tk_breaker_admit(&breaker, now, HALF));
    assert_int_equal(breaker.state, TK_BREAKER_OPEN);

    /* Seconds, not nanoseconds: lesson 99. */
    now += 9 * SECOND;
    assert_false(tk_breaker_admit(&breaker, now, HALF));
    now += SECOND;
    assert_true(tk_breaker_admit(&breaker, now, HALF));
    /* One at a time; one that was taken back lets the next one try. */
    assert_false(tk_breaker_admit(&breaker, now, HALF));
    tk_breaker_report(&breaker, now, HALF, TK_BREAKER_NOTHING);
    assert_true(tk_breaker_admit(&breaker, now, HALF));
    tk_breaker_report(&breaker, now, HALF, TK_BREAKER_BAD);
    assert_false(tk_breaker_admit(&breaker, now, HALF));

    now += 10 * SECOND;
    assert_true(tk_breaker_admit(&breaker, now, HALF));
    tk_breaker_report(&breaker, now, HALF, TK_BREAKER_GOOD);
    assert_int_equal(breaker.state, TK_BREAKER_CLOSED);
    calls(&breaker, &now, 100, 100);
}

static void
breaker__stays_closed_for_few_calls_or_few_failures(void **state)
{
    struct tk_breaker breaker = { .state = TK_BREAKER_CLOSED };
    int64_t now = 1000 * SECOND;
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        calls(&breaker, &now, 9, 9);
    }
    breaker = (struct tk_breaker){ .state = TK_BREAKER_CLOSED };
    for (i = 0; i < 100; i++) {
        calls(&breaker, &now, 20, 10);
    }
    assert_int_equal(breaker.state, TK_BREAKER_CLOSED);
    /* Switched off it lets everybody through at once. */
    for (i = 0; tk_breaker_admit(&breaker, now, HALF); i++) {
        assert_true(i < 10000);
        tk_breaker_report(&breaker, now, HALF, TK_BREAKER_BAD);
        now += SECOND / 50;
    }
    assert_true(tk_breaker_admit(&breaker, now, 0));
    assert_true(tk_breaker_admit(&breaker, now, HALF));
}

/* ---- around PD ---- */

static const struct world_plan sensitive = {
    .cluster = { .stores_count = 1, .pds_count = 1, .replicas_count = 1 },
    .settings = { "pd.breaker_percent", "50", "backoff.weight", "1" },
};

static tikv_error *
find_region(struct world *w, int64_t timeout_ms)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region region;
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_pd_region_by_key(w->pd, &op, tk_slice("k", 1), TK_PD_LEADER,
                                arena, &region);
    tk_op_fini(&op);
    tk_arena_unref(arena);
    return error;
}

static void
around_pd(struct world *w)
{
    uint64_t rule = world_fault(w, "on=pd.GetRegion do=status(UNAVAILABLE)");
    int64_t end = tk_now(w->rt) + 120 * SECOND;
    uint64_t sent = 0;
    tikv_error *error;
    struct tk_op op;

    /* Failing lookups, until the next one sends nothing. */
    do {
        uint64_t before = tk_cluster_calls(w->cluster, "pd.GetRegion");

        error = find_region(w, 20);
        assert_non_null(error);
        tikv_error_free(error);
        sent = tk_cluster_calls(w->cluster, "pd.GetRegion") - before;
        assert_true(tk_now(w->rt) < end);
    } while (sent != 0);
    tk_cluster_fault_remove(w->cluster, rule);
    error = find_region(w, 500);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PD);
    tikv_error_free(error);

    assert_true(tk_op_init(&op, w->exec, NULL, 60 * SECOND));
    world_ok(tk_op_sleep(&op, 10 * SECOND));
    tk_op_fini(&op);
    world_ok(find_region(w, 500));
    world_ok(find_region(w, 500));
}

static void
breaker__spares_a_driver_in_trouble(void **state)
{
    (void)state;
    world_sim(1, &sensitive, around_pd);
    world_sim(2, &sensitive, around_pd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(breaker__opens_after_a_window_of_failures),
        harness_test(breaker__stays_closed_for_few_calls_or_few_failures),
        harness_test(breaker__spares_a_driver_in_trouble),
    };

    return harness_run(tests);
}
