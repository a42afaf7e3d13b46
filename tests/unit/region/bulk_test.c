/* SPDX-License-Identifier: Apache-2.0 */
/* Many regions by few calls of PD; calls are counted. timeout: 120 */
#include "region/cache_inner.h"
#include "unit/region/world.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3,
                 .pds_count = 1,
                 .regions_count = 1,
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

/* Bounds at k00000 + every * n, n from 1. */
static void
split_every(struct world *w, size_t every, size_t regions)
{
    size_t i;

    for (i = 1; i < regions; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%05u", (unsigned)(i * every));
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
    }
}

static uint64_t
scans(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.BatchScanRegions");
}

static uint64_t
lookups(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.GetRegion");
}

/* One request per region, whatever happens; gives the pieces. */
static size_t
put_all(struct world *w, size_t keys)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, keys, "v");
    size_t pieces;

    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->answered, keys);
    pieces = kv->pieces;
    tk_free(kv);
    return pieces;
}

static void
loads_a_batch(struct world *w)
{
    split_every(w, 10, 100);
    assert_int_equal(put_all(w, 1000), 100);
    assert_int_equal(scans(w), 1);
    assert_int_equal(lookups(w), 0);
    assert_int_equal(tk_cache_count(w->cache), 100);
    /* All is known now. */
    assert_int_equal(put_all(w, 1000), 100);
    assert_int_equal(scans(w) + lookups(w), 1);
}

static void
bulk__loads_a_batch_by_one_call(void **state)
{
    (void)state;
    both(&three_stores, loads_a_batch);
}

/* 300 regions, at most 128 a call. */
static void
loads_in_portions(struct world *w)
{
    split_every(w, 10, 300);
    assert_int_equal(put_all(w, 3000), 300);
    assert_int_equal(scans(w), 3);
    assert_int_equal(lookups(w), 0);
}

static void
bulk__asks_in_portions(void **state)
{
    (void)state;
    both(&three_stores, loads_in_portions);
}

static void
loads_a_range(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_DELETE_RANGE, 0, NULL);

    split_every(w, 10, 200);
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->pieces, 200);
    assert_int_equal(scans(w), 2);
    assert_int_equal(lookups(w), 0);
    tk_free(kv);
}

static void
bulk__loads_a_range(void **state)
{
    (void)state;
    both(&three_stores, loads_a_range);
}

static void
invalidate(struct world *w, const char *key)
{
    struct tk_route route;

    assert_true(tk_cache_route(w->cache, tk_slice_text(key), &route));
    tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
}

/* As a hint would have it: another peer leads. */
static void
follow_another(struct world *w, const struct tk_route *route)
{
    const struct tk_region *region =
        tk_cache_by_id(w->cache, route->region_id);
    const struct tk_peer *peer = &region->peers[0];

    if (peer->id == route->peer_id) {
        peer = &region->peers[1];
    }
    assert_true(
        tk_cache_set_leader(w->cache, route, peer->id, peer->store->id));
}

/* Two holes in what is known: one call, and it brings these two alone. */
static void
loads_the_missing(struct world *w)
{
    struct tk_route route;
    size_t i;

    split_every(w, 10, 10);
    put_all(w, 100);
    invalidate(w, "k00025");
    invalidate(w, "k00075");
    /* Its record must stay: PD would tell of another peer. */
    assert_true(tk_cache_route(w->cache, tk_slice_text("k00050"), &route));
    follow_another(w, &route);
    for (i = 0; i < 2; i++) {
        struct tk_route after;
        struct tk_wants wants = { .range = { tk_slice_text("k00020"),
                                             tk_slice_text("k00080") } };
        struct tk_op op;

        assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
        world_ok(tk_cache_fill(w->cache, &op, &wants));
        tk_op_fini(&op);
        assert_int_equal(scans(w), 2);
        assert_true(tk_cache_has(w->cache, tk_slice_text("k00025")));
        assert_true(tk_cache_has(w->cache, tk_slice_text("k00075")));
        tk_cache_route(w->cache, tk_slice_text("k00050"), &after);
        assert_int_not_equal(after.peer_id, route.peer_id);
    }
}

static void
bulk__asks_for_holes_only(void **state)
{
    (void)state;
    both(&three_stores, loads_the_missing);
}

static void
put_hundred(void *arg)
{
    put_all(arg, 100);
}

static void
shares_a_call(struct world *w)
{
    struct tk_thread *threads[16];
    unsigned i;

    split_every(w, 10, 10);
    world_fault(w, "on=pd.BatchScanRegions do=delay(20)");
    for (i = 0; i < 16; i++) {
        threads[i] = w->rt->ops->spawn(w->rt, "putter", put_hundred, w);
    }
    for (i = 0; i < 16; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_int_equal(scans(w), 1);
    assert_int_equal(lookups(w), 0);
}

static void
lesson_99__jobs_alike_share_one_call(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        world_sim(seed, &three_stores, shares_a_call);
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

/* The scan is on its way while one of its regions is looked up and its leader
 * corrected: what lands then is no newer. */
static void
keeps_a_leader(struct world *w)
{
    struct tk_thread *thread;
    struct tk_route before;
    struct tk_region *record;
    uint32_t working;

    split_every(w, 10, 10);
    kv_put(w, "k00005", "1"); /* stores are connected */
    world_fault(w, "on=pd.BatchScanRegions do=delay(50)");
    thread = w->rt->ops->spawn(w->rt, "putter", put_hundred, w);
    pause(w, 20);
    assert_int_equal(scans(w), 1);
    kv_put(w, "k00050", "1");
    assert_true(tk_cache_route(w->cache, tk_slice_text("k00050"), &before));
    follow_another(w, &before);
    record = tk_cache_by_id(w->cache, before.region_id);
    working = atomic_load(&record->working);
    assert_int_not_equal(record->peers[working].id, before.peer_id);
    assert_false(tk_cache_has(w->cache, tk_slice_text("k00010")));
    while (!tk_cache_has(w->cache, tk_slice_text("k00010"))) {
        pause(w, 1);
    }
    w->rt->ops->join(w->rt, thread);
    assert_ptr_equal(tk_cache_by_id(w->cache, before.region_id), record);
}

static void
lesson_79__a_scan_leaves_a_good_record(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &three_stores, keeps_a_leader);
    }
}

static void
old_pd(struct world *w)
{
    split_every(w, 10, 20);
    world_fault(w, "on=pd.BatchScanRegions do=status(UNIMPLEMENTED)");
    assert_int_equal(put_all(w, 200), 20);
    assert_int_equal(scans(w), 1);
    assert_int_equal(lookups(w), 20);
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00005")));
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00015")));
    assert_int_equal(put_all(w, 200), 22);
    assert_int_equal(scans(w), 1);
}

static void
lesson_86__an_old_pd_is_asked_region_by_region(void **state)
{
    (void)state;
    both(&three_stores, old_pd);
}

struct late {
    struct world *w;
    uint64_t store_id;
};

static void
come_back(void *arg)
{
    struct late *late = arg;

    pause(late->w, 700);
    atomic_store(&tk_stores_get(late->w->stores, late->store_id)->is_tombstone,
                 false);
}

/* Regions without a usable peer are missing in what PD's answer is good for. */
static void
has_gaps(struct world *w)
{
    struct late late = { w, 2 };
    struct tk_thread *thread;

    split_every(w, 10, 30);
    atomic_store(&tk_stores_get(w->stores, 2)->is_tombstone, true);
    thread = w->rt->ops->spawn(w->rt, "late", come_back, &late);
    assert_int_equal(put_all(w, 300), 30);
    w->rt->ops->join(w->rt, thread);
    assert_true(lookups(w) > 0);
}

static void
lesson_82__a_gap_is_asked_for_again(void **state)
{
    struct world_plan plan = three_stores;
    uint64_t seed;

    (void)state;
    plan.cluster.regions_count = 3;
    plan.cluster.replicas_count = 1;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &plan, has_gaps);
    }
}

static void
start_stores(void *arg)
{
    struct world *w = arg;

    pause(w, 3000);
    world_ok(tk_cluster_store_start(w->cluster, 2, false));
    world_ok(tk_cluster_store_start(w->cluster, 3, false));
}

static void
has_no_leaders(struct world *w)
{
    struct tk_thread *thread;

    split_every(w, 10, 30);
    world_ok(tk_cluster_store_stop(w->cluster, 2));
    world_ok(tk_cluster_store_stop(w->cluster, 3));
    thread = w->rt->ops->spawn(w->rt, "starter", start_stores, w);
    assert_int_equal(put_all(w, 300), 30);
    w->rt->ops->join(w->rt, thread);
}

static void
lesson_83__regions_without_leader_are_waited_for(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &three_stores, has_no_leaders);
    }
}

/* As many ranges as keys would be 4,096: one message has its bound, and the
 * answer of the first makes the second needless. */
static void
has_many_keys(struct world *w)
{
    assert_int_equal(put_all(w, WORLD_KEYS_MAX), 1);
    assert_int_equal(scans(w) + lookups(w), 1);
}

static void
lesson_85__many_keys_of_one_region_are_one_call(void **state)
{
    (void)state;
    world_sim(1, &three_stores, has_many_keys);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(bulk__loads_a_batch_by_one_call),
        harness_test(bulk__asks_in_portions),
        harness_test(bulk__loads_a_range),
        harness_test(bulk__asks_for_holes_only),
        harness_test(lesson_99__jobs_alike_share_one_call),
        harness_test(lesson_79__a_scan_leaves_a_good_record),
        harness_test(lesson_86__an_old_pd_is_asked_region_by_region),
        harness_test(lesson_82__a_gap_is_asked_for_again),
        harness_test(lesson_83__regions_without_leader_are_waited_for),
        harness_test(lesson_85__many_keys_of_one_region_are_one_call),
    };

    return harness_run(tests);
}
