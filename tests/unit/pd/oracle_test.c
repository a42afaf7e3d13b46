/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps at hand: kept fresh, never of the future, checked. */
#include "unit/region/world.h"

#include "pd/oracle.h"

static const struct world_plan plain = {
    .cluster = { .stores_count = 1, .pds_count = 1, .replicas_count = 1 },
};

static const struct world_plan three_pds = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
};

static void
simulate(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
}

static struct tk_op *
op_of(struct world *w, struct tk_op *op)
{
    assert_true(tk_op_init(op, w->exec, NULL, 600000 * TK_MS));
    return op;
}

static void
pass_ms(struct tk_op *op, int64_t ms)
{
    world_ok(tk_op_sleep(op, ms * TK_MS));
}

static uint64_t
asked(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.Tso");
}

/* ---- renewal ---- */

static uint64_t
recent(struct world *w, struct tk_op *op)
{
    uint64_t ts = 0;

    world_ok(tk_pd_low_resolution(w->pd, op, &ts));
    return ts;
}

/* Until the recent timestamp changes; how long that took. */
static int64_t
next_change(struct world *w, struct tk_op *op)
{
    int64_t begin = tk_now(w->rt);
    uint64_t before = recent(w, op);

    while (recent(w, op) == before) {
        assert_true(tk_now(w->rt) - begin < 100000 * TK_MS);
        pass_ms(op, 1);
    }
    return (tk_now(w->rt) - begin) / TK_MS;
}

static void
renewed(struct world *w)
{
    static const char *const settings[] = { "50", "150", "500" };
    struct tk_op op;
    uint64_t first = recent(w, op_of(w, &op));
    size_t i;

    assert_int_equal(asked(w), 1);
    pass_ms(&op, 1900);
    assert_int_equal(recent(w, &op), first);
    assert_int_equal(asked(w), 1);
    pass_ms(&op, 200);
    assert_true(recent(w, &op) > first);
    assert_int_equal(asked(w), 2);
    for (i = 0; i < 3; i++) {
        int64_t wanted = strtol(settings[i], NULL, 10);
        int64_t took;

        world_ok(tk_config_set_hot(&w->config, "pd.low_resolution_ms",
                                   settings[i]));
        next_change(w, &op);
        next_change(w, &op);
        took = next_change(w, &op) + next_change(w, &op);
        assert_in_range(took, 2 * wanted - 10, 6 * wanted);
    }
    tk_op_fini(&op);
}

static void
recent__is_renewed_at_the_interval(void **state)
{
    (void)state;
    simulate(&plain, renewed);
}

static void
no_ticker(struct world *w)
{
    struct tk_op op;
    int64_t seen_at;

    op_of(w, &op);
    assert_int_equal(tk_pd_newest(w->pd, &seen_at), 0);
    assert_int_equal(tk_pd_until_expired(w->pd, 1, 1000), 0);
    pass_ms(&op, 100000);
    assert_int_equal(asked(w), 0);
    tk_op_fini(&op);
}

static void
ticker__waits_for_the_first_use(void **state)
{
    (void)state;
    simulate(&plain, no_ticker);
}

static void
survives_a_move(struct world *w)
{
    struct tk_op op;
    uint64_t before = recent(w, op_of(w, &op));

    world_ok(tk_cluster_pd_transfer(w->cluster, 1));
    pass_ms(&op, 7000);
    assert_true(recent(w, &op) > before);
    tk_op_fini(&op);
}

static void
ticker__follows_the_leader(void **state)
{
    (void)state;
    simulate(&three_pds, survives_a_move);
}

/* ---- times past ---- */

static void
times_past(struct world *w)
{
    static const uint64_t absurd[] = { UINT64_C(1000000000000000),
                                       UINT64_MAX };
    struct tk_op op;
    uint64_t newest = recent(w, op_of(w, &op));
    uint64_t ts = 0;
    size_t i;

    world_ok(tk_pd_past(w->pd, &op, 10000, &ts));
    assert_in_range((newest >> 18) - (ts >> 18), 9000, 10000);
    pass_ms(&op, 1000);
    world_ok(tk_pd_past(w->pd, &op, 500, &ts));
    assert_int_equal(ts, newest);
    pass_ms(&op, 5000);
    for (i = 0; i < 100; i++) {
        uint64_t now;

        world_ok(tk_pd_past(w->pd, &op, 0, &ts));
        world_ok(tk_pd_timestamp(w->pd, &op, &now));
        assert_true(ts <= now);
        pass_ms(&op, 37);
    }
    for (i = 0; i < 2; i++) {
        tikv_error *error = tk_pd_past(w->pd, &op, absurd[i], &ts);

        assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
        tikv_error_free(error);
    }
    tk_op_fini(&op);
}

static void
past__is_never_the_future(void **state)
{
    (void)state;
    simulate(&plain, times_past);
}

static void
expiry(struct world *w)
{
    struct tk_op op;
    uint64_t newest = recent(w, op_of(w, &op));
    uint64_t later = newest + (UINT64_C(10) << 18);

    assert_int_equal(tk_pd_until_expired(w->pd, later, 15), 25);
    assert_int_equal(tk_pd_until_expired(w->pd, newest, 0), 0);
    assert_int_equal(
        tk_pd_until_expired(w->pd, newest - (UINT64_C(10) << 18), 6), -4);
    assert_true(tk_pd_until_expired(w->pd, newest, UINT64_MAX) > 0);
    assert_int_equal(asked(w), 1);
    tk_op_fini(&op);
}

static void
expiry__goes_by_the_newest(void **state)
{
    (void)state;
    simulate(&plain, expiry);
}

/* ---- checks ---- */

static void
refused(struct world *w, struct tk_op *op, uint64_t ts, bool is_stale)
{
    tikv_error *error = tk_pd_check_read_ts(w->pd, op, ts, is_stale);

    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
}

static void
checks(struct world *w)
{
    struct tk_op op;
    uint64_t newest = recent(w, op_of(w, &op));
    uint64_t minute = newest + (UINT64_C(60000) << 18);
    int stale;

    for (stale = 0; stale < 2; stale++) {
        uint64_t before = asked(w);

        world_ok(tk_pd_check_read_ts(w->pd, &op, newest, stale));
        world_ok(tk_pd_check_read_ts(w->pd, &op, newest - 1000, stale));
        assert_int_equal(asked(w), before);
        refused(w, &op, minute, stale);
        assert_int_equal(asked(w), before + 1);
        refused(w, &op, INT64_MAX, stale);
        refused(w, &op, UINT64_MAX - 1, stale);
    }
    world_ok(tk_pd_check_read_ts(w->pd, &op, UINT64_MAX, false));
    refused(w, &op, UINT64_MAX, true);

    /* What somebody else got meanwhile is not the future. */
    pass_ms(&op, 1500);
    world_ok(tk_pd_check_read_ts(w->pd, &op,
                                 newest + (UINT64_C(1400) << 18), false));
    tk_op_fini(&op);
}

static void
check__refuses_the_future_only(void **state)
{
    (void)state;
    simulate(&plain, checks);
}

struct checker {
    struct world *w;
    uint64_t ts;
    int64_t timeout_ms;
    tikv_code code;
};

static void
check_one(void *arg)
{
    struct checker *checker = arg;
    tikv_error *error;
    struct tk_op op;

    assert_true(tk_op_init(&op, checker->w->exec, NULL,
                           checker->timeout_ms * TK_MS));
    error = tk_pd_check_read_ts(checker->w->pd, &op, checker->ts, true);
    checker->code = tikv_error_code(error);
    tikv_error_free(error);
    tk_op_fini(&op);
}

/* Five that PD must be asked about share its answers; one ends early, and a
 * minute ahead is the future for whoever asks. */
static void
shared_checks(struct world *w)
{
    struct checker checkers[5];
    struct tk_thread *threads[5];
    struct tk_op op;
    uint64_t newest = recent(w, op_of(w, &op));
    uint64_t before = asked(w);
    size_t i;

    pass_ms(&op, 300);
    world_fault(w, "on=pd.Tso do=delay(50)");
    for (i = 0; i < 5; i++) {
        checkers[i] = (struct checker){
            w, newest + ((i == 4 ? UINT64_C(60000) : i + 1) << 18),
            i == 2 ? 10 : 10000, TIKV_OK
        };
        threads[i] =
            w->rt->ops->spawn(w->rt, "checker", check_one, &checkers[i]);
    }
    for (i = 0; i < 5; i++) {
        w->rt->ops->join(w->rt, threads[i]);
        assert_int_equal(checkers[i].code, i == 2   ? TIKV_ERR_TIMEOUT
                                           : i == 4 ? TIKV_ERR_ARGUMENT
                                                    : TIKV_OK);
    }
    /* The first goes alone, the others together. */
    assert_int_equal(asked(w) - before, 2);
    tk_op_fini(&op);
}

static void
check__shares_the_answers_of_pd(void **state)
{
    (void)state;
    simulate(&plain, shared_checks);
}

/* Renewals in ten seconds of reads of that age, each half second. */
static uint64_t
renewals(struct world *w, struct tk_op *op, uint64_t age_ms, bool is_stale)
{
    uint64_t before = asked(w);
    int i;

    for (i = 0; i < 20; i++) {
        uint64_t ts;

        world_ok(tk_pd_past(w->pd, op, age_ms, &ts));
        /* Older than the newest, or the check would ask by itself. */
        if (ts <= recent(w, op)) {
            world_ok(tk_pd_check_read_ts(w->pd, op, ts, is_stale));
        }
        pass_ms(op, 500);
    }
    return asked(w) - before;
}

static void
adapts(struct world *w)
{
    struct tk_op op;

    recent(w, op_of(w, &op));
    assert_in_range(renewals(w, &op, 1100, false), 4, 6);
    assert_in_range(renewals(w, &op, 3000, true), 4, 6);
    assert_in_range(renewals(w, &op, 1100, true), 9, 12);
    tk_op_fini(&op);
}

static void
stale_reads__shorten_the_interval(void **state)
{
    (void)state;
    simulate(&plain, adapts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(recent__is_renewed_at_the_interval),
        harness_test(ticker__waits_for_the_first_use),
        harness_test(ticker__follows_the_leader),
        harness_test(past__is_never_the_future),
        harness_test(expiry__goes_by_the_newest),
        harness_test(check__refuses_the_future_only),
        harness_test(check__shares_the_answers_of_pd),
        harness_test(stale_reads__shorten_the_interval),
    };

    return harness_run(tests);
}
