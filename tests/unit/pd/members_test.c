/* SPDX-License-Identifier: Apache-2.0 */
/* Who PD is, and unary calls with their retries. timeout: 120 */
#include "unit/region/world.h"

#include "metapb.upb.h"

static const struct world_plan three_pds = {
    .cluster = { .stores_count = 3, .pds_count = 3, .replicas_count = 3,
                 .cluster_id = 4242 },
};

static void
both(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
    world_real(plan, fn);
}

/* The store's address, through PD. */
static tikv_error *
ask(struct world *w, uint64_t store_id, int64_t timeout_ms, bool *is_there)
{
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Store *store = NULL;
    tikv_error *error;
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_pd_store(w->pd, &op, store_id, arena, &store);
    tk_op_fini(&op);
    *is_there = store != NULL && metapb_Store_address(store).size != 0;
    tk_arena_unref(arena);
    return error;
}

static void
expect_answer(struct world *w)
{
    bool is_there;

    world_ok(ask(w, 1, 20000, &is_there));
    assert_true(is_there);
}

static void
finds_cluster(struct world *w)
{
    bool is_there;

    assert_int_equal(tk_pd_cluster_id(w->pd), 4242);
    expect_answer(w);
    world_ok(ask(w, 77, 20000, &is_there));
    assert_false(is_there);
}

static void
members__find_the_cluster(void **state)
{
    (void)state;
    both(&three_pds, finds_cluster);
}

static void
stop_two(struct world *w)
{
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    uint32_t i;

    for (i = 0; i < 3; i++) {
        if (i != leader) {
            world_ok(tk_cluster_pd_stop(w->cluster, i));
        }
    }
}

static void
members__open_with_dead_endpoints(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.prepare = stop_two;
    both(&plan, finds_cluster);
}

static void
follow_the_leader(struct world *w)
{
    uint32_t i;

    for (i = 0; i < 3; i++) {
        world_ok(tk_cluster_pd_transfer(w->cluster, i));
        expect_answer(w);
    }
    /* The one that leads dies: another takes over. */
    world_ok(tk_cluster_pd_stop(w->cluster, 2));
    if (tk_cluster_pd_leader(w->cluster) == UINT32_MAX) {
        world_ok(tk_cluster_pd_transfer(w->cluster, 0));
    }
    expect_answer(w);
}

static void
members__follow_the_leader(void **state)
{
    (void)state;
    both(&three_pds, follow_the_leader);
}

static void
members__learn_the_rest_from_one_endpoint(void **state)
{
    struct world_plan plan = three_pds;
    char one[64];
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_cluster *cluster;

    (void)state;
    world_ok(tk_cluster_new(rt, &plan.cluster, &cluster));
    assert_true(tk_cluster_get_address(cluster, 1, one, sizeof(one)));
    tk_cluster_free(cluster);
    tk_runtime_posix_free(rt);
    plan.endpoints = one;
    both(&plan, follow_the_leader);
}

static void
survives_faults(struct world *w)
{
    static const char *const rules[] = {
        "on=pd.GetStore when=first(2) do=status(UNAVAILABLE)",
        "on=pd.GetStore when=first(1) do=drop_response",
        "on=pd.GetStore when=first(1) do=drop_request",
        "on=pd.GetStore when=first(2) do=status(UNKNOWN)",
    };
    size_t i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        uint64_t id = world_fault(w, rules[i]);

        expect_answer(w);
        assert_true(tk_cluster_fault_hits(w->cluster, id) >= 1);
        tk_cluster_fault_remove(w->cluster, id);
    }
}

static void
request__tries_again(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.settings[0] = "pd.timeout_ms";
    plan.settings[1] = "300";
    world_sim(1, &plan, survives_faults);
    world_sim(2, &plan, survives_faults);
}

static void
ends_in_time(struct world *w)
{
    bool is_there;
    int64_t begun = tk_now(w->rt);
    tikv_error *error;

    tk_cluster_pd_leaderless(w->cluster);
    error = ask(w, 1, 800, &is_there);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TIMEOUT);
    assert_true(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS) > 1);
    tikv_error_free(error);
    assert_true(tk_now(w->rt) - begun < 1000 * TK_MS * harness_stretch());
    begun = tk_now(w->rt);
    world_fault(w, "on=pd.GetStore do=status(UNIMPLEMENTED)");
    world_ok(tk_cluster_pd_transfer(w->cluster, 0));
    world_code(ask(w, 1, 5000, &is_there), TIKV_ERR_UNSUPPORTED);
}

static void
request__ends_in_time(void **state)
{
    (void)state;
    both(&three_pds, ends_in_time);
}

static void
exact_attempts(struct world *w)
{
    bool is_there;
    uint64_t looks = tk_cluster_calls(w->cluster, "pd.GetMembers");
    tikv_error *error;

    /* What succeeds at once looks for nobody. */
    expect_answer(w);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetStore"), 1);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetMembers"), looks);

    world_fault(w, "on=pd.GetStore when=first(1) do=status(UNAVAILABLE)");
    expect_answer(w);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetStore"), 3);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetMembers"), looks + 3);
    tk_cluster_fault_remove(w->cluster, 0);

    /* What never succeeds ends by its budget, whether PD is found or not. */
    world_fault(w, "on=pd.GetStore do=status(UNAVAILABLE)");
    error = ask(w, 1, 60000, &is_there);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PD);
    assert_in_range(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS), 3, 20);
    tikv_error_free(error);
    world_fault(w, "on=pd.GetMembers do=status(UNAVAILABLE)");
    error = ask(w, 1, 60000, &is_there);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_PD);
    assert_in_range(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS), 3, 20);
    tikv_error_free(error);
}

static void
request__ends_by_its_budget(void **state)
{
    struct world_plan plan = three_pds;
    uint64_t seed;

    (void)state;
    plan.settings[0] = "backoff.raw_ms";
    plan.settings[1] = "2000";
    plan.settings[2] = "backoff.weight";
    plan.settings[3] = "1";
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &plan, exact_attempts);
    }
}

/* ---- opening ---- */

static tikv_error *
open_pd(struct world *w, const char *endpoints, int64_t timeout_ms,
        struct tk_pd **out)
{
    struct tk_op op;
    tikv_error *error;

    world_ok(tikv_config_set(w->source, "pd.endpoints", endpoints));
    tk_config_fini(&w->config);
    world_ok(tk_config_copy(tk_config_of(w->source), &w->config));
    assert_true(tk_op_init(&op, w->exec, NULL, timeout_ms * TK_MS));
    error = tk_pd_open(w->exec, w->rpc, &w->config, NULL, &op, out);
    tk_op_fini(&op);
    return error;
}

static void
nobody(struct world *w)
{
    struct tk_pd *pd;
    int64_t begun = tk_now(w->rt);
    uint32_t i;

    world_code(open_pd(w, "nowhere:1,nobody:2", 20000, &pd), TIKV_ERR_PD);
    assert_null(pd);
    assert_true(tk_now(w->rt) - begun <= 2100 * TK_MS * harness_stretch());
    /* All there, but nobody leads. */
    tk_cluster_pd_leaderless(w->cluster);
    for (i = 0; i < 3; i++) {
        char one[64];

        assert_true(tk_cluster_get_address(w->cluster, i, one, sizeof(one)));
        world_code(open_pd(w, one, 500, &pd), TIKV_ERR_PD);
        assert_null(pd);
    }
}

static void
members__tell_when_nobody_answers(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.opens_pd_itself = true;
    plan.settings[0] = "pd.open_timeout_ms";
    plan.settings[1] = "2000";
    both(&plan, nobody);
}

static void
refreshes(struct world *w)
{
    struct tk_op op;
    uint64_t before = tk_cluster_calls(w->cluster, "pd.GetMembers");

    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    world_ok(tk_op_sleep(&op, 1050 * TK_MS));
    tk_op_fini(&op);
    /* Ten rounds of three. */
    assert_true(tk_cluster_calls(w->cluster, "pd.GetMembers") >= before + 27);
    assert_true(tk_cluster_calls(w->cluster, "pd.GetMembers") <= before + 33);
}

static void
members__refresh_by_themselves(void **state)
{
    struct world_plan plan = three_pds;

    (void)state;
    plan.settings[0] = "pd.members_refresh_ms";
    plan.settings[1] = "100";
    world_sim(1, &plan, refreshes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(members__find_the_cluster),
        harness_test(members__open_with_dead_endpoints),
        harness_test(members__follow_the_leader),
        harness_test(members__learn_the_rest_from_one_endpoint),
        harness_test(members__tell_when_nobody_answers),
        harness_test(members__refresh_by_themselves),
        harness_test(request__tries_again),
        harness_test(request__ends_in_time),
        harness_test(request__ends_by_its_budget),
    };

    return harness_run(tests);
}
