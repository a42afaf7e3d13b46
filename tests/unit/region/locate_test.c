/* SPDX-License-Identifier: Apache-2.0 */
/* Lookups that PD answers; stores that come, move and go. timeout: 120 */
#include "unit/region/world.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
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

static tikv_error *
locate(struct world *w, const char *key, bool before, struct tk_route *route,
       struct tk_buf *start, struct tk_buf *end)
{
    struct tk_backoff backoff;
    struct tk_op op;
    tikv_error *error;

    tk_backoff_init(&backoff, 20000);
    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    error = tk_cache_locate(w->cache, &op, tk_slice_text(key), before, &backoff,
                            route, start, end);
    tk_op_fini(&op);
    return error;
}

static void
expect_bounds(struct world *w, const char *key, bool before, const char *start,
              const char *end)
{
    struct tk_route route;
    struct tk_buf low;
    struct tk_buf high;

    tk_buf_init(&low, 100);
    tk_buf_init(&high, 100);
    world_ok(locate(w, key, before, &route, &low, &high));
    assert_true(tk_slice_equal(tk_buf_slice(&low), tk_slice_text(start)));
    assert_true(tk_slice_equal(tk_buf_slice(&high), tk_slice_text(end)));
    tk_buf_fini(&low);
    tk_buf_fini(&high);
}

static void
locates_backwards(struct world *w)
{
    int round;

    world_ok(tk_cluster_split(w->cluster, tk_slice_text("d")));
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("m")));
    /* From PD, then from the cache. */
    for (round = 0; round < 2; round++) {
        expect_bounds(w, "", true, "m", "");
        expect_bounds(w, "m", true, "d", "m");
        expect_bounds(w, "n", true, "m", "");
        expect_bounds(w, "d", true, "", "d");
        expect_bounds(w, "d", false, "d", "m");
        expect_bounds(w, "", false, "", "d");
    }
    assert_int_equal(tk_cache_count(w->cache), 3);
}

static void
locate__locates_in_both_directions(void **state)
{
    (void)state;
    both(&three_stores, locates_backwards);
}

static void
locate_once(void *arg)
{
    struct world *w = arg;
    struct tk_route route;

    world_ok(locate(w, "same", false, &route, NULL, NULL));
}

static void
single_flight(struct world *w)
{
    struct tk_thread *threads[16];
    unsigned i;

    world_fault(w, "on=pd.GetRegion do=delay(20)");
    for (i = 0; i < 16; i++) {
        threads[i] = w->rt->ops->spawn(w->rt, "locator", locate_once, w);
    }
    for (i = 0; i < 16; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"), 1);
    /* Stores are for those who send. */
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetStore"), 0);
}

static void
locate__asks_pd_once_for_many(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        world_sim(seed, &three_stores, single_flight);
    }
}

/* The leader of a flight gives up early; the others go on without it. */
static void
give_up_early(void *arg)
{
    struct world *w = arg;
    struct tk_backoff backoff;
    struct tk_route route;
    struct tk_op op;

    tk_backoff_init(&backoff, 20000);
    assert_true(tk_op_init(&op, w->exec, NULL, 30 * TK_MS));
    world_code(tk_cache_locate(w->cache, &op, tk_slice_text("same"), false,
                               &backoff, &route, NULL, NULL),
               TIKV_ERR_TIMEOUT);
    tk_op_fini(&op);
}

static void
flight_hands_over(struct world *w)
{
    struct tk_thread *leader;
    struct tk_thread *threads[4];
    struct tk_parker *me = tk_self(w->rt);
    int64_t until;
    unsigned i;

    world_fault(w, "on=pd.GetRegion when=first(1) do=drop_response");
    leader = w->rt->ops->spawn(w->rt, "leader", give_up_early, w);
    until = tk_now(w->rt) + 10 * TK_MS;
    while (tk_now(w->rt) < until) {
        tk_park_begin(me);
        w->rt->ops->park(w->rt, me, until);
    }
    for (i = 0; i < 4; i++) {
        threads[i] = w->rt->ops->spawn(w->rt, "locator", locate_once, w);
    }
    w->rt->ops->join(w->rt, leader);
    for (i = 0; i < 4; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
}

static void
lesson_98__a_flight_that_fails_takes_nobody_along(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        world_sim(seed, &three_stores, flight_hands_over);
    }
}

static void
expires(struct world *w)
{
    struct tk_op op;
    struct tk_route route;
    unsigned i;

    kv_put(w, "a", "1");
    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    /* In use it stays, past several lives. */
    for (i = 0; i < 20; i++) {
        world_ok(tk_op_sleep(&op, 50 * TK_MS));
        assert_true(tk_cache_route(w->cache, tk_slice_text("a"), &route));
    }
    /* Left alone it ends. */
    world_ok(tk_op_sleep(&op, 250 * TK_MS));
    assert_false(tk_cache_route(w->cache, tk_slice_text("a"), &route));
    tk_op_fini(&op);
}

static void
locate__forgets_what_is_not_used(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "region.cache_ttl_ms";
    plan.settings[1] = "200";
    world_sim(1, &plan, expires);
}

static void
removed_store(struct world *w)
{
    uint64_t region = tk_cluster_region_of(w->cluster, tk_slice_text("a"));
    uint64_t leader;
    struct tk_op op;
    struct tk_conn *conn;

    kv_put(w, "a", "1");
    leader = tk_cluster_leader_of(w->cluster, region);
    world_ok(tk_cluster_store_remove(w->cluster, leader));
    kv_expect(w, "a", "1");
    /* Asked again, PD says that it is gone. */
    tk_stores_suspect(
        w->stores, tk_stores_get(w->stores, leader),
        atomic_load(&tk_stores_get(w->stores, leader)->epoch));
    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    world_ok(tk_stores_resolve(w->stores, tk_stores_get(w->stores, leader),
                               &op, &conn));
    assert_null(conn);
    assert_true(atomic_load(&tk_stores_get(w->stores, leader)->is_tombstone));
    tk_op_fini(&op);
    kv_expect(w, "a", "1");
}

static void
stores__bury_what_was_removed(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.stores_count = 4;
    both(&plan, removed_store);
}

static void
swapped_stores(struct world *w)
{
    kv_put(w, "a", "1");
    world_ok(tk_cluster_store_swap(w->cluster, 1, 2));
    kv_expect(w, "a", "1");
}

static void
stores__follow_an_address_change(void **state)
{
    (void)state;
    both(&three_stores, swapped_stores);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(locate__locates_in_both_directions),
        harness_test(locate__asks_pd_once_for_many),
        harness_test(lesson_98__a_flight_that_fails_takes_nobody_along),
        harness_test(locate__forgets_what_is_not_used),
        harness_test(stores__bury_what_was_removed),
        harness_test(stores__follow_an_address_change),
    };

    return harness_run(tests);
}
