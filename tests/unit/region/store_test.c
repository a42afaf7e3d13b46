/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on about stores without being asked: the look at all of them,
 * and the probes of those that failed. timeout: 120 */
#include "region/store_inner.h"
#include "unit/region/world.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3,
                 .pds_count = 1,
                 .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "stores.refresh_ms", "1000" },
};

static void
seeds(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
}

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, TK_NEVER));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static uint64_t
leader_of(struct world *w, const char *key)
{
    return tk_cluster_leader_of(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text(key)));
}

static void
expect_address(struct world *w, uint64_t id)
{
    struct tk_store *store = tk_stores_get(w->stores, id);
    struct tk_conn *conn = atomic_load(&store->conn);
    char text[64];

    assert_true(tk_cluster_get_address(w->cluster, TK_NODE_STORE | id, text,
                                       sizeof(text)));
    assert_non_null(conn);
    assert_string_equal(tk_conn_address(conn), text);
}

/* ---- the look at all stores ---- */

static void
refreshes(struct world *w)
{
    struct tk_store *store;
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    store = tk_stores_get(w->stores, leader);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    world_ok(tk_cluster_store_start(w->cluster, leader, true));
    pause(w, 3500);
    /* Nobody asked for it; the object is the same. */
    assert_ptr_equal(tk_stores_get(w->stores, leader), store);
    expect_address(w, leader);
    assert_in_range(tk_cluster_calls(w->cluster, "pd.GetAllStores"), 4, 5);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetStore"), 1);
    kv_put(w, "a", "2");
}

static void
stores__are_looked_at_from_time_to_time(void **state)
{
    (void)state;
    seeds(&three_stores, refreshes);
}

static void
buries(struct world *w)
{
    struct tk_store *store;
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    store = tk_stores_get(w->stores, leader);
    world_ok(tk_cluster_store_remove(w->cluster, leader));
    pause(w, 2500);
    assert_true(atomic_load(&store->is_tombstone));
    assert_true(atomic_load(&store->is_out));
    assert_null(atomic_load(&store->conn));
    kv_put(w, "a", "2");
}

static void
stores__that_are_gone_are_found(void **state)
{
    (void)state;
    seeds(&three_stores, buries);
}

/* Looks that fail, by an error and by a PD that is gone, end nothing. */
static void
survives_failures(struct world *w)
{
    uint64_t leader;
    uint64_t fault;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    fault = world_fault(w, "on=pd.GetAllStores do=status(UNIMPLEMENTED)");
    pause(w, 5000);
    assert_in_range(tk_cluster_fault_hits(w->cluster, fault), 4, 5);
    tk_cluster_fault_remove(w->cluster, 0);
    world_ok(tk_cluster_pd_stop(w->cluster, 0));
    pause(w, 30000);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    world_ok(tk_cluster_store_start(w->cluster, leader, true));
    world_ok(tk_cluster_pd_start(w->cluster, 0));
    pause(w, 20000);
    expect_address(w, leader);
}

static void
lesson_102__a_failed_look_does_not_end_the_looks(void **state)
{
    (void)state;
    seeds(&three_stores, survives_failures);
}

/* ---- probes ---- */

static void
await_out(struct world *w, uint64_t id, bool is_out, int64_t limit_ms)
{
    struct tk_store *store = tk_stores_get(w->stores, id);
    int64_t ms;

    for (ms = 0; ms < limit_ms && atomic_load(&store->is_out) != is_out;
         ms += 10) {
        pause(w, 10);
    }
    assert_int_equal(atomic_load(&store->is_out), is_out);
}

static uint32_t
failures_of(struct world *w, struct tk_store_slot *slot)
{
    uint32_t failures;

    tk_mutex_lock(&w->stores->lock);
    failures = slot->probe.failures;
    tk_mutex_unlock(&w->stores->lock);
    return failures;
}

static bool
is_probed(struct world *w, struct tk_store_slot *slot)
{
    bool is_on;

    tk_mutex_lock(&w->stores->lock);
    is_on = slot->probe.is_on;
    tk_mutex_unlock(&w->stores->lock);
    return is_on;
}

static void
comes_back(struct world *w)
{
    struct tk_store_slot *slot;
    struct tk_route route;
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    slot = (struct tk_store_slot *)(void *)tk_stores_get(w->stores, leader);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    kv_put(w, "a", "2");
    await_out(w, leader, true, 1000);
    /* One probe at a time, one a second, for all who suspect. */
    tk_stores_suspect(w->stores, &slot->store, 0);
    tk_stores_suspect(w->stores, &slot->store, 1);
    pause(w, 10000);
    assert_in_range(failures_of(w, slot), 8, 12);
    world_ok(tk_cluster_store_start(w->cluster, leader, false));
    await_out(w, leader, false, 1500);
    assert_false(is_probed(w, slot));
    /* At once: a leader there is asked without a detour. */
    world_ok(tk_cluster_transfer_leader(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text("a")),
        leader));
    kv_put(w, "a", "3");
    assert_true(tk_cache_route(w->cache, tk_slice_text("a"), &route));
    assert_ptr_equal(route.store, &slot->store);
}

static void
probe__brings_a_store_back(void **state)
{
    (void)state;
    seeds(&three_stores, comes_back);
    world_real(&three_stores, comes_back);
}

enum { REGIONS = 200 };

/* Every region leads on the store that dies; none but a few pays for it. */
static void
dies_once(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, REGIONS, "v");
    uint64_t leader = leader_of(w, "k00000");
    uint32_t before;
    size_t i;

    for (i = 1; i < REGIONS; i++) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
    }
    for (i = 0; i < REGIONS; i++) {
        world_ok(tk_cluster_transfer_leader(
            w->cluster,
            tk_cluster_region_of(w->cluster, tk_slice_text(kv->keys[i])),
            leader));
    }
    world_ok(kv_run(w, kv, 20000));
    before = kv->job.attempts;
    assert_int_equal(before, REGIONS);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    kv_put(w, "k00000", "v");
    await_out(w, leader, true, 1000);
    world_ok(kv_run(w, kv, 30000));
    assert_int_equal(kv->answered, 2 * REGIONS);
    /* One attempt, or a second where the first peer was not the new leader. */
    assert_in_range(kv->job.attempts, REGIONS, 2 * REGIONS + 10);
    tk_free(kv);
}

static void
lesson_91__a_dead_store_is_known_to_all_regions(void **state)
{
    (void)state;
    seeds(&three_stores, dies_once);
}

/* It is probed at an address it has left. */
static void
moves_while_out(struct world *w)
{
    struct tk_store *store;
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    store = tk_stores_get(w->stores, leader);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    kv_put(w, "a", "2");
    await_out(w, leader, true, 1000);
    world_ok(tk_cluster_store_start(w->cluster, leader, true));
    await_out(w, leader, false, 3000);
    assert_ptr_equal(tk_stores_get(w->stores, leader), store);
    expect_address(w, leader);
    kv_put(w, "a", "3");
}

static void
lesson_95__a_store_that_moved_is_reachable_again(void **state)
{
    (void)state;
    seeds(&three_stores, moves_while_out);
}

/* No look at all stores helps: the next call has to. */
static void
all_move(struct world *w)
{
    uint64_t id;

    kv_put(w, "a", "1");
    for (id = 1; id <= 3; id++) {
        world_ok(tk_cluster_store_stop(w->cluster, id));
    }
    tikv_error_free(kv_point(w, TK_CMD_RAW_PUT, "a", "2", NULL));
    for (id = 1; id <= 3; id++) {
        world_ok(tk_cluster_store_start(w->cluster, id, true));
    }
    kv_put(w, "a", "3");
    kv_expect(w, "a", "3");
}

static void
lesson_96__all_stores_restart_on_new_ports(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[1] = "3600000";
    seeds(&plan, all_move);
}

/* A store that never gave a sign of life but is gone is not probed for ever. */
static void
goes_while_out(struct world *w)
{
    struct tk_store_slot *slot;
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w, "a");
    slot = (struct tk_store_slot *)(void *)tk_stores_get(w->stores, leader);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    kv_put(w, "a", "2");
    await_out(w, leader, true, 1000);
    assert_true(is_probed(w, slot));
    world_ok(tk_cluster_store_remove(w->cluster, leader));
    pause(w, 40000);
    assert_false(is_probed(w, slot));
    assert_true(atomic_load(&slot->store.is_tombstone));
}

static void
probe__ends_with_a_store_that_is_gone(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[1] = "3600000";
    seeds(&plan, goes_while_out);
}

/* ---- PD is away ---- */

static int64_t
put_ms(struct world *w, const char *value)
{
    int64_t begun = tk_now(w->rt);

    kv_put(w, "a", value);
    return (tk_now(w->rt) - begun) / TK_MS;
}

/* One hiccup of a store while nobody can say whether it has moved: it is
 * asked where it was, after a short wait and only one. */
static void
hiccups_alone(struct world *w)
{
    struct tk_store *store;
    uint64_t leader;
    unsigned i;

    kv_put(w, "a", "1");
    pause(w, 100);
    leader = leader_of(w, "a");
    store = tk_stores_get(w->stores, leader);
    /* The others are known although nobody asked them. */
    expect_address(w, 1);
    expect_address(w, 2);
    expect_address(w, 3);
    world_ok(tk_cluster_pd_stop(w->cluster, 0));
    tk_stores_suspect(w->stores, store, atomic_load(&store->epoch));
    assert_in_range(put_ms(w, "2"), 0, 1100);
    for (i = 0; i < 20; i++) {
        assert_in_range(put_ms(w, "3"), 0, 50);
    }
    /* It moves; as soon as PD is there again, this is found out. */
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    world_ok(tk_cluster_store_start(w->cluster, leader, true));
    world_ok(tk_cluster_pd_start(w->cluster, 0));
    kv_put(w, "a", "4");
    pause(w, 15000);
    expect_address(w, leader);
    kv_expect(w, "a", "4");
}

static void
store__is_asked_where_it_was_while_pd_is_away(void **state)
{
    (void)state;
    seeds(&three_stores, hiccups_alone);
}

/* Nothing to go on with: the budget ends the wait, not the deadline, and the
 * error names who was waited for. */
static void
gives_up(struct world *w)
{
    static const char *const rules[] = {
        "on=pd.GetRegion do=drop_response",
        "on=pd.GetRegion do=status(UNAVAILABLE)",
        "on=pd.GetStore do=drop_response",
        "on=pd.GetStore do=status(UNAVAILABLE)",
    };
    size_t i;

    for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct kv *kv = kv_new(TK_CMD_RAW_PUT, 1, "v");
        int64_t begun = tk_now(w->rt);
        tikv_error *error;

        world_fault(w, rules[i]);
        kv->job.budget_ms = 5000;
        error = kv_run(w, kv, 60000);
        assert_in_range((tk_now(w->rt) - begun) / TK_MS, 4900, 6000);
        assert_int_equal(tikv_error_code(error), TIKV_ERR_PD);
        assert_int_equal(kv->job.attempts, 0);
        assert_int_equal(kv->in_doubt, 0);
        tikv_error_free(error);
        /* The caller's own end comes first where it is earlier. */
        begun = tk_now(w->rt);
        world_code(kv_run(w, kv, 2000), TIKV_ERR_TIMEOUT);
        assert_in_range((tk_now(w->rt) - begun) / TK_MS, 2000, 2010);
        tk_cluster_fault_remove(w->cluster, 0);
        tk_free(kv);
    }
}

static void
pd__is_waited_for_within_the_budget(void **state)
{
    (void)state;
    seeds(&three_stores, gives_up);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(stores__are_looked_at_from_time_to_time),
        harness_test(stores__that_are_gone_are_found),
        harness_test(lesson_102__a_failed_look_does_not_end_the_looks),
        harness_test(probe__brings_a_store_back),
        harness_test(lesson_91__a_dead_store_is_known_to_all_regions),
        harness_test(lesson_95__a_store_that_moved_is_reachable_again),
        harness_test(lesson_96__all_stores_restart_on_new_ports),
        harness_test(probe__ends_with_a_store_that_is_gone),
        harness_test(store__is_asked_where_it_was_while_pd_is_away),
        harness_test(pd__is_waited_for_within_the_budget),
    };

    return harness_run(tests);
}
