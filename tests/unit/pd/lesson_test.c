/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with PD and its timestamps in other clients. timeout: 180 */
#include "unit/region/world.h"

#include "pd/interval.h"
#include "pd/oracle.h"

static const struct world_plan one_pd = {
    .cluster = { .stores_count = 1, .pds_count = 1, .replicas_count = 1 },
};

static const struct world_plan three_pds = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
};

static void
simulate(const struct world_plan *plan, world_fn *fn, uint64_t seeds)
{
    uint64_t seed;

    for (seed = 1; seed <= seeds; seed++) {
        world_sim(seed, plan, fn);
    }
}

static void
pass_ms(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 3600000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

typedef tikv_error *
clock_fn(struct tk_pd *pd, struct tk_op *op, uint64_t *out);

static tikv_error *
read_clock(struct world *w, clock_fn *fn, int64_t timeout_ms, uint64_t *out)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = fn(w->pd, &op, out);
    tk_op_fini(&op);
    return error;
}

static uint64_t
timestamp(struct world *w)
{
    uint64_t ts = 0;

    world_ok(read_clock(w, tk_pd_timestamp, 20000, &ts));
    return ts;
}

static uint64_t
asked(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.Tso");
}

/* ---- 112: the least of many ---- */

static void
stand_apart(struct world *w)
{
    tk_cluster_set_services(w->cluster, TK_CLUSTER_SERVICE_TSO);
}

static void
least(struct world *w)
{
    uint32_t primary = tk_cluster_pd_leader(w->cluster);
    uint64_t before = timestamp(w);
    uint64_t ts = 0;
    char rule[96];

    /* Two of the three serve no group. */
    world_ok(read_clock(w, tk_pd_min_timestamp, 20000, &ts));
    assert_true(ts > before && ts < before + (UINT64_C(60000) << 18));
    assert_int_equal(tk_cluster_calls(w->cluster, "tso.GetMinTS"), 3);
    /* Another that fails does not matter, the one that serves does. */
    snprintf(rule, sizeof(rule), "on=tso.GetMinTS member=%u "
             "do=status(UNAVAILABLE)", (primary + 1) % 3);
    world_fault(w, rule);
    world_ok(read_clock(w, tk_pd_min_timestamp, 20000, &ts));
    assert_true(ts > before && ts < before + (UINT64_C(60000) << 18));
    tk_cluster_fault_remove(w->cluster, 0);
    world_fault(w, "on=tso.GetMinTS do=status(UNAVAILABLE)");
    ts = 7;
    world_code(read_clock(w, tk_pd_min_timestamp, 60000, &ts), TIKV_ERR_PD);
    assert_int_equal(ts, 7);
    tk_cluster_fault_remove(w->cluster, 0);
    snprintf(rule, sizeof(rule), "on=tso.GetMinTS member=%u "
             "do=status(UNAVAILABLE)", primary);
    world_fault(w, rule);
    world_code(read_clock(w, tk_pd_min_timestamp, 60000, &ts), TIKV_ERR_PD);
    assert_int_equal(ts, 7);
}

static void
lesson_112__the_least_timestamp_is_told_by_somebody(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.prepare = stand_apart;
    simulate(&plan, least, 5);
}

/* ---- 113: times past ---- */

struct asker {
    struct world *w;
    atomic_bool is_over;
};

static void
ask_on(void *arg)
{
    struct asker *asker = arg;

    while (!atomic_load(&asker->is_over)) {
        (void)timestamp(asker->w);
        pass_ms(asker->w, 3);
    }
}

static void
past(struct world *w)
{
    struct asker asker = { w, false };
    struct tk_thread *thread;
    struct tk_op op;
    int i;

    world_fault(w, "on=pd.Tso when=prob(0.5) do=delay(1..90)");
    (void)timestamp(w);
    thread = w->rt->ops->spawn(w->rt, "asker", ask_on, &asker);
    assert_true(tk_op_init(&op, w->exec, NULL, 600000 * TK_MS));
    for (i = 0; i < 200; i++) {
        uint64_t ts = 0;

        world_ok(tk_pd_past(w->pd, &op, (uint64_t)(i % 3), &ts));
        assert_true(ts < timestamp(w));
        pass_ms(w, i % 7);
    }
    tk_op_fini(&op);
    atomic_store(&asker.is_over, true);
    w->rt->ops->join(w->rt, thread);
}

static void
lesson_113__a_time_past_is_never_ahead_of_pd(void **state)
{
    (void)state;
    simulate(&one_pd, past, 10);
}

/* ---- 114: checks of read timestamps ---- */

static void
check(struct world *w)
{
    const uint64_t day = UINT64_C(86400000) << 18;
    uint64_t newest;
    uint64_t before;
    struct tk_op op;
    int i;

    /* PD's clock is a day ahead of ours. */
    (void)timestamp(w);
    world_fault(w, "on=pd.Tso when=first(1) do=tso(jump,86400000)");
    newest = timestamp(w);
    assert_true(tk_op_init(&op, w->exec, NULL, 600000 * TK_MS));
    assert_true((int64_t)(newest >> 18) > tk_now(w->rt) / TK_MS);
    before = asked(w);
    for (i = 0; i < 100; i++) {
        world_ok(tk_pd_check_read_ts(w->pd, &op, newest, true));
        world_ok(tk_pd_check_read_ts(w->pd, &op, newest - day, false));
    }
    assert_int_equal(asked(w), before);
    /* Newer than what we know, not than what PD knows: asked once. */
    world_ok(tk_pd_check_read_ts(w->pd, &op, newest + 1, false));
    assert_int_equal(asked(w), before + 1);
    world_code(tk_pd_check_read_ts(w->pd, &op, newest + day, true),
               TIKV_ERR_ARGUMENT);
    assert_int_equal(asked(w), before + 2);
    tk_op_fini(&op);
}

static void
lesson_114__our_own_clock_judges_no_timestamp(void **state)
{
    (void)state;
    simulate(&one_pd, check, 5);
}

/* ---- 115: the adaptive interval ---- */

static uint64_t
draw(uint64_t *random, uint64_t below)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random % below;
}

static void
live_with(uint64_t seed)
{
    struct tk_interval interval = { 0 };
    uint64_t random = seed;
    int64_t configured = 600 + (int64_t)draw(&random, 5000);
    int64_t now = 1000000;
    int i;

    (void)tk_interval_configure(&interval, configured);
    for (i = 0; i < 2000; i++) {
        int64_t before = interval.current_ms;

        now += (int64_t)draw(&random, 2000);
        if (draw(&random, 3) == 0) {
            int64_t age = (int64_t)draw(&random, 6000);

            if (tk_interval_read(&interval, age, now)) {
                assert_true(interval.current_ms < before);
            }
            assert_true(interval.current_ms <= before);
        } else {
            tk_interval_tick(&interval, now);
            assert_true(interval.current_ms >= before);
        }
        assert_in_range(interval.current_ms, 500, configured);
    }
    /* Whatever was, it recovers when nobody needs it short: five minutes, and
     * 20 ms a second. */
    for (i = 0; i < 300 + 6000 / 20 + 10; i++) {
        now += 1000;
        tk_interval_tick(&interval, now);
    }
    assert_int_equal(interval.current_ms, configured);
    assert_int_equal(interval.state, TK_INTERVAL_NORMAL);
}

static void
lesson_115__the_interval_recovers_whatever_was(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 200; seed++) {
        live_with(seed);
    }
}

/* ---- 136: leaders that were ---- */

static void
backward(struct world *w)
{
    uint64_t last = timestamp(w);
    unsigned errors = 0;
    int i;

    world_fault(w, "on=pd.Tso when=every(3) do=tso(back,5000)");
    for (i = 0; i < 60; i++) {
        uint64_t ts = 0;
        tikv_error *error = read_clock(w, tk_pd_timestamp, 20000, &ts);

        if (error != NULL) {
            assert_int_equal(tikv_error_code(error), TIKV_ERR_PROTOCOL);
            tikv_error_free(error);
            errors++;
        } else {
            assert_true(ts > last);
            last = ts;
        }
        if (i % 20 == 19) {
            world_ok(tk_cluster_pd_transfer(w->cluster, (uint32_t)i / 20));
        }
    }
    assert_true(errors > 0);
}

static void
lesson_136__time_that_goes_back_is_an_error(void **state)
{
    (void)state;
    simulate(&three_pds, backward, 5);
}

static void
moves(struct world *w)
{
    uint64_t last = timestamp(w);
    uint32_t i;

    for (i = 1; i <= 9; i++) {
        int64_t begun;
        uint64_t ts;

        world_ok(tk_cluster_pd_transfer(w->cluster, i % 3));
        begun = tk_now(w->rt);
        ts = timestamp(w);
        assert_true(ts > last);
        last = ts;
        /* The first retry comes at once, to who leads now. */
        assert_true(tk_now(w->rt) - begun < 60 * TK_MS);
    }
}

static void
lesson_136__a_leader_that_was_costs_no_pause(void **state)
{
    (void)state;
    simulate(&three_pds, moves, 10);
}

/* ---- 137: members ---- */

static void
stop_two(struct world *w)
{
    world_ok(tk_cluster_pd_stop(w->cluster, 0));
    world_ok(tk_cluster_pd_stop(w->cluster, 1));
    if (tk_cluster_pd_leader(w->cluster) == UINT32_MAX) {
        world_ok(tk_cluster_pd_transfer(w->cluster, 2));
    }
}

static void
gives_time(struct world *w)
{
    uint64_t last = timestamp(w);

    assert_true(timestamp(w) > last);
}

static void
lesson_137__one_living_member_is_enough_to_open(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.prepare = stop_two;
    simulate(&plan, gives_time, 10);
    world_real(&plan, gives_time);
}

/* One that has two minutes outlives the minute without a leader. */
static void
patient(void *arg)
{
    struct world *w = arg;
    uint64_t ts = 0;

    world_ok(read_clock(w, tk_pd_timestamp, 120000, &ts));
    assert_true(ts > 0);
}

static void
leaderless_minute(struct world *w)
{
    uint64_t last = timestamp(w);
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region region;
    struct tk_op op;
    struct tk_thread *thread;
    int64_t begun = tk_now(w->rt);
    uint64_t ts = 0;

    tk_cluster_pd_leaderless(w->cluster);
    thread = w->rt->ops->spawn(w->rt, "patient", patient, w);
    /* Those with little time end in time, and say why. */
    world_code(read_clock(w, tk_pd_timestamp, 500, &ts), TIKV_ERR_TIMEOUT);
    assert_true(tk_now(w->rt) - begun < 600 * TK_MS);
    assert_true(tk_op_init(&op, w->exec, NULL, 500 * TK_MS));
    world_code(tk_pd_region_by_key(w->pd, &op, tk_slice_text("k"),
                                   TK_PD_LEADER, arena, &region),
               TIKV_ERR_TIMEOUT);
    tk_op_fini(&op);
    pass_ms(w, 60000);
    world_ok(tk_cluster_pd_transfer(w->cluster, 1));
    w->rt->ops->join(w->rt, thread);
    assert_true(timestamp(w) > last);
    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    world_ok(tk_pd_region_by_key(w->pd, &op, tk_slice_text("k"), TK_PD_LEADER,
                                 arena, &region));
    assert_non_null(region.region);
    tk_op_fini(&op);
    tk_arena_unref(arena);
}

static void
lesson_137__a_minute_without_a_leader_passes(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    simulate(&plan, leaderless_minute, 5);
    plan.settings[0] = "pd.router";
    plan.settings[1] = "true";
    simulate(&plan, leaderless_minute, 5);
}

static void
cut_one(struct world *w)
{
    char rule[64];

    /* One is silent: whoever asked it first would wait. */
    snprintf(rule, sizeof(rule), "on=pd.GetMembers member=%u "
             "do=drop_response", (tk_cluster_pd_leader(w->cluster) + 1) % 3);
    world_fault(w, rule);
    world_ok(tk_cluster_pd_stop(
        w->cluster, (tk_cluster_pd_leader(w->cluster) + 2) % 3));
}

static void
silent(struct world *w)
{
    struct tk_op op;
    int64_t begun = tk_now(w->rt);

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(
        tk_pd_open(w->exec, w->rpc, &w->config, NULL, &op, &w->pd));
    tk_op_fini(&op);
    /* All are asked at once, a second each. */
    assert_true(tk_now(w->rt) - begun < 1300 * TK_MS);
    /* Later looks end with the first answer. */
    world_ok(tk_cluster_pd_transfer(w->cluster,
                                    (tk_cluster_pd_leader(w->cluster) + 1) %
                                        3));
    begun = tk_now(w->rt);
    (void)timestamp(w);
    assert_true(tk_now(w->rt) - begun < 300 * TK_MS);
}

static void
lesson_137__a_silent_member_holds_nobody_up(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.prepare = cut_one;
    plan.opens_pd_itself = true;
    simulate(&plan, silent, 10);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_112__the_least_timestamp_is_told_by_somebody),
        harness_test(lesson_113__a_time_past_is_never_ahead_of_pd),
        harness_test(lesson_114__our_own_clock_judges_no_timestamp),
        harness_test(lesson_115__the_interval_recovers_whatever_was),
        harness_test(lesson_136__time_that_goes_back_is_an_error),
        harness_test(lesson_136__a_leader_that_was_costs_no_pause),
        harness_test(lesson_137__one_living_member_is_enough_to_open),
        harness_test(lesson_137__a_minute_without_a_leader_passes),
        harness_test(lesson_137__a_silent_member_holds_nobody_up),
    };

    return harness_run(tests);
}
