/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about regions: in a stream, to followers and routers, and what
 * happens where these fail. timeout: 120 */
#include "unit/region/world.h"

#include "metapb.upb.h"

enum { CROWD = 24 };

static const struct world_plan plan_of_stream = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
    .settings = { "pd.router", "true", "pd.timeout_ms", "300" },
};

static const struct world_plan plan_of_followers = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
    .settings = { "pd.router", "true", "pd.timeout_ms", "300",
                  "pd.follower_handle", "true" },
};

static const struct world_plan plan_of_calls = {
    .cluster = { .stores_count = 1, .pds_count = 3, .replicas_count = 1 },
    .settings = { "pd.timeout_ms", "300", "pd.follower_handle", "true" },
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

struct seen {
    uint64_t id;
    bool is_hearsay;
};

/* Looks for the region of `key`, with *out.id 0 for none. */
static tikv_error *
look(struct world *w, const char *key, enum tk_pd_source source,
     struct seen *out)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region region;
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    error = tk_pd_region_by_key(w->pd, &op, tk_slice_text(key), source, arena,
                                &region);
    tk_op_fini(&op);
    *out = (struct seen){ 0, false };
    if (error == NULL && region.region != NULL) {
        *out = (struct seen){ metapb_Region_id(region.region),
                              region.is_hearsay };
    }
    tk_arena_unref(arena);
    return error;
}

static uint64_t
region_of(struct world *w, const char *key)
{
    return tk_cluster_region_of(w->cluster, tk_slice_text(key));
}

static uint64_t
calls(struct world *w, const char *method)
{
    return tk_cluster_calls(w->cluster, method);
}

static void
split(struct world *w, const char *key)
{
    world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
}

static void
rest_ms(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

/* ---- the stream ---- */

struct asker {
    struct world *w;
    char key[4];
};

static void
ask_many(void *arg)
{
    struct asker *asker = arg;
    struct seen seen;

    world_ok(look(asker->w, asker->key, TK_PD_LEADER, &seen));
    assert_int_equal(seen.id, region_of(asker->w, asker->key));
    assert_false(seen.is_hearsay);
}

static void
shares(struct world *w)
{
    struct tk_thread *threads[CROWD];
    struct asker askers[CROWD];
    struct seen seen;
    size_t i;

    split(w, "g");
    split(w, "p");
    world_ok(look(w, "a", TK_PD_LEADER, &seen));
    world_fault(w, "on=pd.QueryRegion do=delay(20)");
    for (i = 0; i < CROWD; i++) {
        askers[i] = (struct asker){ w, "" };
        snprintf(askers[i].key, sizeof(askers[i].key), "%c", (int)('a' + i));
        threads[i] = w->rt->ops->spawn(w->rt, "asker", ask_many, &askers[i]);
    }
    for (i = 0; i < CROWD; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_in_range(calls(w, "pd.QueryRegion"), 2, CROWD / 2);
    assert_int_equal(calls(w, "pd.GetRegion"), 0);
}

static void
query__puts_many_questions_into_one_message(void **state)
{
    (void)state;
    both(&plan_of_stream, shares);
}

static void
kinds(struct world *w)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region region;
    struct tk_op op;
    uint64_t first;

    split(w, "m");
    first = region_of(w, "a");
    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    world_ok(tk_pd_region_before(w->pd, &op, tk_slice_text("z"), TK_PD_LEADER,
                                 arena, &region));
    assert_int_equal(metapb_Region_id(region.region), first);
    assert_non_null(region.leader);
    world_ok(tk_pd_region_before(w->pd, &op, tk_slice_text("a"), TK_PD_LEADER,
                                 arena, &region));
    assert_null(region.region);
    world_ok(tk_pd_region_by_id(w->pd, &op, region_of(w, "z"), TK_PD_LEADER,
                                arena, &region));
    assert_int_equal(metapb_Region_id(region.region), region_of(w, "z"));
    world_ok(tk_pd_region_by_id(w->pd, &op, 999999, TK_PD_LEADER, arena,
                                &region));
    assert_null(region.region);
    tk_op_fini(&op);
    tk_arena_unref(arena);
}

static void
query__asks_by_key_before_a_key_and_by_id(void **state)
{
    const struct world_plan *const plans[] = { &plan_of_stream,
                                               &plan_of_calls };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        both(plans[i], kinds);
    }
}

static void
old_pd(struct world *w)
{
    struct seen seen;
    uint64_t rule = world_fault(w, "on=pd.QueryRegion do=unimplemented");
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    int i;

    for (i = 0; i < 10; i++) {
        world_ok(look(w, "k", TK_PD_LEADER, &seen));
        assert_int_equal(seen.id, region_of(w, "k"));
        rest_ms(w, i == 5 ? 1100 : 1);
    }
    assert_int_equal(calls(w, "pd.GetRegion"), 10);
    /* Once was enough to learn it. */
    assert_int_equal(tk_cluster_fault_hits(w->cluster, rule), 1);
    tk_cluster_fault_remove(w->cluster, 0);
    /* Another leader may be newer. */
    world_ok(tk_cluster_pd_transfer(w->cluster, (leader + 1) % 3));
    world_fault(w, "on=pd.GetRegion when=first(1) do=status(UNKNOWN)");
    world_ok(look(w, "k", TK_PD_LEADER, &seen));
    world_ok(look(w, "k", TK_PD_LEADER, &seen));
    assert_true(calls(w, "pd.QueryRegion") > 1);
}

static void
lesson_86__a_pd_without_the_stream_is_called(void **state)
{
    (void)state;
    both(&plan_of_stream, old_pd);
}

static void
broken(struct world *w)
{
    static const char *const faults[] = {
        "on=pd.QueryRegion when=first(1) do=drop_response",
        "on=pd.QueryRegion when=first(1) do=break_stream",
        "on=pd.QueryRegion when=first(1) do=corrupt(garbage)",
        "on=pd.QueryRegion when=first(1) do=corrupt(truncated)",
    };
    struct seen seen;
    int64_t begun;
    size_t i;

    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        world_fault(w, faults[i]);
        begun = tk_now(w->rt);
        world_ok(look(w, "k", TK_PD_LEADER, &seen));
        assert_int_equal(seen.id, region_of(w, "k"));
        assert_true(tk_now(w->rt) - begun < 2000 * TK_MS * harness_stretch());
        tk_cluster_fault_remove(w->cluster, 0);
        rest_ms(w, 1100); /* then the stream is tried again */
    }
    i = calls(w, "pd.GetRegion");
    world_ok(look(w, "k", TK_PD_LEADER, &seen));
    assert_int_equal(calls(w, "pd.GetRegion"), i);
}

static void
query__that_the_stream_does_not_answer_is_a_call(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &plan_of_stream, broken);
    }
}

static void
ends(struct world *w)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region region;
    struct tk_op op;

    world_fault(w, "on=pd.* do=drop_response");
    assert_true(tk_op_init(&op, w->exec, NULL, 100 * TK_MS));
    world_code(tk_pd_region_by_key(w->pd, &op, tk_slice_text("k"),
                                   TK_PD_ANYBODY, arena, &region),
               TIKV_ERR_TIMEOUT);
    tk_op_fini(&op);
    tk_arena_unref(arena);
}

static void
query__ends_with_its_operation(void **state)
{
    (void)state;
    both(&plan_of_stream, ends);
    both(&plan_of_followers, ends);
}

static void
shut_later(void *arg)
{
    struct world *w = arg;
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(tk_op_sleep(&op, 30 * TK_MS));
    tk_op_fini(&op);
    world_shut(w);
}

static void
closes(struct world *w)
{
    struct tk_thread *thread;
    struct seen seen;

    world_fault(w, "on=pd.QueryRegion do=drop_response");
    thread = w->rt->ops->spawn(w->rt, "closer", shut_later, w);
    world_code(look(w, "k", TK_PD_LEADER, &seen), TIKV_ERR_CLOSED);
    w->rt->ops->join(w->rt, thread);
}

static void
query__ends_at_close(void **state)
{
    (void)state;
    both(&plan_of_stream, closes);
}

/* ---- followers and routers ---- */

static void
followers(struct world *w)
{
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    char rule[64];
    struct seen seen;
    uint64_t at_leader;

    snprintf(rule, sizeof(rule), "on=pd.*Region member=%u do=delay(0)",
             leader);
    at_leader = world_fault(w, rule);
    world_ok(look(w, "k", TK_PD_ANYBODY, &seen));
    assert_int_equal(seen.id, region_of(w, "k"));
    assert_true(seen.is_hearsay);
    assert_int_equal(tk_cluster_fault_hits(w->cluster, at_leader), 0);
    world_ok(look(w, "k", TK_PD_LEADER, &seen));
    assert_false(seen.is_hearsay);
    assert_int_equal(tk_cluster_fault_hits(w->cluster, at_leader), 1);
}

static void
query__may_be_answered_by_a_follower(void **state)
{
    (void)state;
    both(&plan_of_followers, followers);
    both(&plan_of_calls, followers);
}

/* Followers that do not know the region, and followers that fail: the leader
 * is asked once, and they are left alone for a while. */
static void
ignorant(struct world *w)
{
    static const char *const faults[] = { "status(UNAVAILABLE)",
                                          "drop_response" };
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    uint64_t at_leader;
    uint64_t others[2];
    struct seen seen;
    char rule[96];
    size_t i;
    int n;

    snprintf(rule, sizeof(rule), "on=pd.*Region member=%u do=delay(0)",
             leader);
    at_leader = world_fault(w, rule);
    for (i = 0; i < 2; i++) {
        snprintf(rule, sizeof(rule), "on=pd.*Region member=%u do=%s",
                 (unsigned)((leader + 1 + i) % 3), faults[i]);
        others[i] = world_fault(w, rule);
    }
    for (n = 1; n <= 6; n++) {
        world_ok(look(w, "k", TK_PD_ANYBODY, &seen));
        assert_int_equal(seen.id, region_of(w, "k"));
        assert_false(seen.is_hearsay);
        assert_int_equal(tk_cluster_fault_hits(w->cluster, at_leader), n);
    }
    assert_in_range(tk_cluster_fault_hits(w->cluster, others[0]) +
                        tk_cluster_fault_hits(w->cluster, others[1]),
                    1, 4);
}

static void
lesson_84__what_a_follower_misses_the_leader_is_asked(void **state)
{
    (void)state;
    both(&plan_of_followers, ignorant);
    both(&plan_of_calls, ignorant);
}

static void
many(struct world *w)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region *regions;
    struct tk_op op;
    size_t count;
    char rule[96];

    split(w, "g");
    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    world_ok(tk_pd_regions_in(w->pd, &op, &all, 1, 10, TK_PD_ANYBODY, arena,
                              &regions, &count));
    assert_int_equal(count, 2);
    assert_true(regions[1].is_hearsay);
    snprintf(rule, sizeof(rule), "on=pd.BatchScanRegions member=%u "
             "do=status(UNAVAILABLE)", (leader + 1) % 3);
    world_fault(w, rule);
    snprintf(rule, sizeof(rule), "on=pd.BatchScanRegions member=%u "
             "do=unimplemented", (leader + 2) % 3);
    world_fault(w, rule);
    world_ok(tk_pd_regions_in(w->pd, &op, &all, 1, 10, TK_PD_ANYBODY, arena,
                              &regions, &count));
    assert_int_equal(count, 2);
    assert_false(regions[1].is_hearsay);
    tk_op_fini(&op);
    tk_arena_unref(arena);
}

static void
query__for_many_may_be_answered_by_a_follower(void **state)
{
    (void)state;
    both(&plan_of_followers, many);
}

static void
with_routers(struct world *w)
{
    tk_cluster_set_services(w->cluster, TK_CLUSTER_SERVICE_ROUTER);
}

static void
routers(struct world *w)
{
    struct seen seen;

    world_ok(look(w, "k", TK_PD_ANYBODY, &seen));
    assert_int_equal(seen.id, region_of(w, "k"));
    assert_true(seen.is_hearsay);
    assert_int_equal(calls(w, "router.QueryRegion"), 1);
    world_ok(look(w, "k", TK_PD_LEADER, &seen));
    assert_false(seen.is_hearsay);
    assert_int_equal(calls(w, "pd.QueryRegion"), 1);
    /* One that fails is forgotten. */
    world_fault(w, "on=router.QueryRegion do=break_stream");
    world_ok(look(w, "k", TK_PD_ANYBODY, &seen));
    world_ok(look(w, "k", TK_PD_ANYBODY, &seen));
    assert_int_equal(seen.id, region_of(w, "k"));
    assert_false(seen.is_hearsay);
    assert_int_equal(calls(w, "router.QueryRegion"), 2);
}

static void
query__may_be_answered_by_a_router(void **state)
{
    struct world_plan plan = plan_of_stream;

    (void)state;
    plan.prepare = with_routers;
    both(&plan, routers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(query__puts_many_questions_into_one_message),
        harness_test(query__asks_by_key_before_a_key_and_by_id),
        harness_test(lesson_86__a_pd_without_the_stream_is_called),
        harness_test(query__that_the_stream_does_not_answer_is_a_call),
        harness_test(query__ends_with_its_operation),
        harness_test(query__ends_at_close),
        harness_test(query__may_be_answered_by_a_follower),
        harness_test(lesson_84__what_a_follower_misses_the_leader_is_asked),
        harness_test(query__for_many_may_be_answered_by_a_follower),
        harness_test(query__may_be_answered_by_a_router),
    };

    return harness_run(tests);
}
