/* SPDX-License-Identifier: Apache-2.0 */
/* The region cache: rules of insertion, leaders, epochs. timeout: 120 */
#include "unit/region/made.h"

#include "base/rng.h"

/* A cache that asks nobody; stores have a connection that is never used. */
struct lone {
    struct tk_runtime *rt;
    tikv_config *config;
    struct tk_stores *stores;
    struct tk_cache *cache;
};

static void
lone_open(struct lone *lone)
{
    struct tk_key_codec codec = { TK_KEYS_RAW_V1, 0 };
    unsigned i;

    lone->rt = tk_runtime_posix_new();
    world_ok(tikv_config_new(&lone->config));
    lone->stores = tk_stores_new(NULL, NULL, NULL);
    for (i = 1; i <= 3; i++) {
        atomic_store(&tk_stores_get(lone->stores, i)->conn,
                     (struct tk_conn *)(void *)lone);
    }
    lone->cache = tk_cache_new(lone->rt, NULL, lone->stores, &codec,
                               tk_config_of(lone->config), NULL);
}

static void
lone_close(struct lone *lone)
{
    tk_cache_free(lone->cache);
    tk_stores_free(lone->stores);
    tikv_config_free(lone->config);
    tk_runtime_posix_free(lone->rt);
}

static uint64_t
region_at(struct lone *lone, const char *key)
{
    struct tk_route route;

    return tk_cache_route(lone->cache, tk_slice_text(key), &route)
               ? route.region_id
               : 0;
}

static uint64_t
peer_at(struct lone *lone, const char *key)
{
    struct tk_route route;

    return tk_cache_route(lone->cache, tk_slice_text(key), &route)
               ? route.peer_id
               : 0;
}

static void
cache__finds_by_range(void **state)
{
    struct lone lone;

    (void)state;
    lone_open(&lone);
    assert_int_equal(region_at(&lone, "a"), 0);
    assert_true(put_region(lone.cache, &(struct made){ 1, 1, 1, "", "b", 3 }));
    assert_true(put_region(lone.cache, &(struct made){ 2, 1, 1, "d", "f", 3 }));
    assert_true(put_region(lone.cache, &(struct made){ 3, 1, 1, "f", "", 3 }));
    assert_int_equal(region_at(&lone, ""), 1);
    assert_int_equal(region_at(&lone, "azzz"), 1);
    assert_int_equal(region_at(&lone, "b"), 0);
    assert_int_equal(region_at(&lone, "czz"), 0);
    assert_int_equal(region_at(&lone, "d"), 2);
    assert_int_equal(region_at(&lone, "f"), 3);
    assert_int_equal(region_at(&lone, "\xff\xff"), 3);
    lone_close(&lone);
}

static void
cache__only_moves_forward(void **state)
{
    struct lone lone;

    (void)state;
    lone_open(&lone);
    assert_true(put_region(lone.cache, &(struct made){ 1, 5, 5, "a", "z", 3 }));
    assert_false(
        put_region(lone.cache, &(struct made){ 1, 4, 6, "a", "z", 3 }));
    assert_false(
        put_region(lone.cache, &(struct made){ 1, 6, 4, "a", "z", 3 }));
    /* An overlapping one of another id, by version alone. */
    assert_false(
        put_region(lone.cache, &(struct made){ 2, 4, 9, "c", "d", 3 }));
    assert_int_equal(region_at(&lone, "c"), 1);
    /* A split: the left part keeps the id. */
    assert_true(put_region(lone.cache, &(struct made){ 2, 6, 5, "m", "z", 3 }));
    assert_int_equal(region_at(&lone, "n"), 2);
    assert_int_equal(region_at(&lone, "b"), 0);
    assert_true(put_region(lone.cache, &(struct made){ 1, 6, 5, "a", "m", 3 }));
    assert_int_equal(region_at(&lone, "b"), 1);
    assert_int_equal(tk_cache_count(lone.cache), 2);
    /* A merge swallows both. */
    assert_true(put_region(lone.cache, &(struct made){ 2, 8, 5, "a", "z", 3 }));
    assert_int_equal(tk_cache_count(lone.cache), 1);
    assert_int_equal(region_at(&lone, "b"), 2);
    assert_false(
        put_region(lone.cache, &(struct made){ 1, 6, 5, "a", "m", 3 }));
    lone_close(&lone);
}

static void
lesson_78__the_cache_only_moves_forward(void **state)
{
    struct lone lone;
    struct tk_rng rng = { 42 };
    uint64_t best_version = 0;
    uint64_t best_conf = 0;
    unsigned i;

    (void)state;
    lone_open(&lone);
    for (i = 0; i < 1000; i++) {
        struct made made = { 1, 1 + tk_rng_below(&rng, 30),
                             1 + tk_rng_below(&rng, 30), "a", "b", 3 };
        bool is_newer =
            made.version >= best_version && made.conf_ver >= best_conf;
        struct tk_route route;

        assert_int_equal(put_region(lone.cache, &made), is_newer);
        if (is_newer) {
            best_version = made.version;
            best_conf = made.conf_ver;
        }
        assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
        assert_int_equal(route.version, best_version);
        assert_int_equal(route.conf_ver, best_conf);
    }
    lone_close(&lone);
}

static void
cache__keeps_the_first_reason(void **state)
{
    struct lone lone;
    struct tk_route route;
    struct tk_region *region;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    tk_cache_invalidate(lone.cache, &route, TK_INVALID_NO_LEADER);
    tk_cache_invalidate(lone.cache, &route, TK_INVALID_EPOCH);
    assert_int_equal(region_at(&lone, "a"), 0);
    tk_mutex_lock(&lone.cache->lock);
    region = tk_cache_by_id(lone.cache, 1);
    tk_mutex_unlock(&lone.cache->lock);
    assert_int_equal(tk_region_reason(region), TK_INVALID_NO_LEADER);
    /* The same view of PD again: the next peer is asked. */
    assert_true(put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 }));
    assert_int_equal(peer_at(&lone, "a"), 12);
    /* A route of an older record touches nothing. */
    put_region(lone.cache, &(struct made){ 1, 2, 1, "", "", 3 });
    tk_cache_invalidate(lone.cache, &route, TK_INVALID_OTHER);
    assert_int_equal(region_at(&lone, "a"), 1);
    lone_close(&lone);
}

static void
cache__moves_the_leader(void **state)
{
    struct lone lone;
    struct tk_route route;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    assert_int_equal(route.peer_id, 11);
    assert_true(tk_cache_set_leader(lone.cache, &route, 13, 3));
    assert_int_equal(peer_at(&lone, "a"), 13);
    /* A leader that is no peer we know. */
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    assert_false(tk_cache_set_leader(lone.cache, &route, 99, 9));
    assert_int_equal(region_at(&lone, "a"), 0);
    lone_close(&lone);
}

static void
cache__shuns_a_suspect_store_at_once(void **state)
{
    struct lone lone;
    struct tk_route route;
    struct tk_store *store;
    uint32_t epoch;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "m", 3 });
    put_region(lone.cache, &(struct made){ 2, 1, 1, "m", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    store = route.store;
    epoch = atomic_load(&store->epoch);
    /* Many failures of one moment count once. */
    tk_stores_suspect(lone.stores, store, route.store_epoch);
    tk_stores_suspect(lone.stores, store, route.store_epoch);
    assert_int_equal(atomic_load(&store->epoch), epoch + 1);
    assert_int_equal(region_at(&lone, "a"), 0);
    assert_int_equal(region_at(&lone, "n"), 0);
    lone_close(&lone);
}

static void
lesson_87__a_store_behind_us_changes_nothing(void **state)
{
    struct lone lone;
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Region *regions[1];
    struct tk_route route;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 5, 5, "", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    regions[0] = make_region(arena, &(struct made){ 1, 4, 5, "", "", 3 });
    assert_true(tk_cache_epoch_not_match(lone.cache, &route, regions, 1));
    regions[0] = make_region(arena, &(struct made){ 1, 5, 4, "", "", 3 });
    assert_true(tk_cache_epoch_not_match(lone.cache, &route, regions, 1));
    assert_int_equal(region_at(&lone, "a"), 1);
    tk_arena_unref(arena);
    lone_close(&lone);
}

static void
lesson_88__regions_of_an_error_are_taken_over(void **state)
{
    struct lone lone;
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Region *regions[2];
    struct tk_route route;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 5, 5, "", "", 3 });
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    tk_cache_set_leader(lone.cache, &route, 12, 2);
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    /* Two parts: both led, as far as we know, by the store that answered. */
    regions[0] = make_region(arena, &(struct made){ 1, 6, 5, "", "m", 3 });
    regions[1] = make_region(arena, &(struct made){ 2, 6, 5, "m", "", 3 });
    assert_false(tk_cache_epoch_not_match(lone.cache, &route, regions, 2));
    assert_int_equal(peer_at(&lone, "a"), 12);
    assert_int_equal(peer_at(&lone, "n"), 22);
    /* No regions: PD must be asked. */
    assert_true(tk_cache_route(lone.cache, tk_slice_text("a"), &route));
    assert_false(tk_cache_epoch_not_match(lone.cache, &route, NULL, 0));
    assert_int_equal(region_at(&lone, "a"), 0);
    tk_arena_unref(arena);
    lone_close(&lone);
}

/* Three regions, merged one by one: what they were goes with the first. */
static void
cache__drops_what_a_region_covers(void **state)
{
    static const struct made parts[] = {
        { 1, 1, 1, "", "b", 3 },  { 2, 1, 1, "b", "c", 3 },
        { 3, 1, 1, "c", "d", 3 }, { 4, 1, 1, "d", "e", 3 },
        { 5, 1, 1, "e", "", 3 },
    };
    struct lone lone;
    size_t i;

    (void)state;
    lone_open(&lone);
    for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        assert_true(put_region(lone.cache, &parts[i]));
    }
    assert_int_equal(tk_cache_count(lone.cache), 5);
    assert_true(put_region(lone.cache, &(struct made){ 1, 3, 1, "", "d", 3 }));
    assert_int_equal(tk_cache_count(lone.cache), 3);
    assert_int_equal(region_at(&lone, "c"), 1);
    assert_int_equal(region_at(&lone, "d"), 4);
    assert_true(put_region(lone.cache, &(struct made){ 5, 4, 1, "c", "", 3 }));
    /* What only reaches into it is of no use, but not yet gone. */
    assert_int_equal(region_at(&lone, "a"), 0);
    assert_int_equal(region_at(&lone, "d"), 5);
    assert_true(put_region(lone.cache, &(struct made){ 1, 5, 1, "", "", 3 }));
    assert_int_equal(tk_cache_count(lone.cache), 1);
    lone_close(&lone);
}

/* ---- marks ---- */

static struct tk_region *
record_1(struct lone *lone)
{
    struct tk_region *region;

    tk_mutex_lock(&lone->cache->lock);
    region = tk_cache_by_id(lone->cache, 1);
    tk_mutex_unlock(&lone->cache->lock);
    assert_non_null(region);
    return region;
}

static void
marks__take_a_record_off_the_hot_road(void **state)
{
    struct lone lone;
    struct tk_region *region;

    (void)state;
    lone_open(&lone);
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 });
    region = record_1(&lone);
    tk_region_mark(region, TK_REGION_PENDING);
    tk_region_mark(region, TK_REGION_MORTAL);
    assert_int_equal(region_at(&lone, "a"), 1);
    tk_region_mark(region, TK_REGION_READY);
    assert_int_equal(region_at(&lone, "a"), 0);
    assert_int_equal(tk_region_reason(region), TK_INVALID_OK);
    /* PD did not help: it serves, and the wish stays. */
    atomic_fetch_and(&region->marks, ~(uint32_t)TK_REGION_PENDING);
    tk_region_put_off(region);
    assert_int_equal(region_at(&lone, "a"), 1);
    assert_true(tk_region_is_marked(region, TK_REGION_PENDING));
    tk_region_mark(region, TK_REGION_RELOAD);
    assert_int_equal(region_at(&lone, "a"), 0);
    /* A reason goes beside marks, and the first one stays. */
    tk_region_invalidate(region, TK_INVALID_EPOCH);
    tk_region_invalidate(region, TK_INVALID_OTHER);
    assert_int_equal(tk_region_reason(region), TK_INVALID_EPOCH);
    assert_true(tk_region_is_marked(region, TK_REGION_RELOAD));
    /* The new record has none. */
    put_region(lone.cache, &(struct made){ 1, 1, 1, "", "", 3 });
    assert_int_equal(region_at(&lone, "a"), 1);
    assert_false(tk_region_is_marked(record_1(&lone), TK_REGION_MORTAL));
    lone_close(&lone);
}

static void
cache__leaves_unusable_peers_out(void **state)
{
    struct lone lone;
    struct tk_arena *arena = tk_arena_new();
    metapb_Region *meta =
        make_region(arena, &(struct made){ 1, 1, 1, "", "", 3 });
    struct tk_pd_region facts = { .region = meta };
    size_t count;
    metapb_Peer **peers = metapb_Region_mutable_peers(meta, &count);
    const struct metapb_Peer *down[1] = { peers[1] };
    struct tk_region *region;

    (void)state;
    lone_open(&lone);
    metapb_Peer_set_is_witness(peers[0], true);
    facts.down = down;
    facts.down_count = 1;
    world_ok(tk_region_new(lone.cache, &facts, NULL, &region));
    assert_int_equal(region->peers_count, 1);
    assert_int_equal(region->peers[0].id, 13);
    assert_true(tk_region_is_marked(region, TK_REGION_MORTAL));
    tk_region_free(region);
    /* A witness that leads is kept. */
    facts.leader = peers[0];
    world_ok(tk_region_new(lone.cache, &facts, NULL, &region));
    assert_int_equal(region->peers_count, 2);
    tk_region_free(region);
    atomic_store(&tk_stores_get(lone.stores, 3)->is_tombstone, true);
    world_ok(tk_region_new(lone.cache, &facts, NULL, &region));
    assert_int_equal(region->peers_count, 1);
    tk_region_free(region);
    facts.leader = NULL;
    world_ok(tk_region_new(lone.cache, &facts, NULL, &region));
    assert_null(region);
    tk_arena_unref(arena);
    lone_close(&lone);
}

/* ---- readers beside a writer ---- */

struct stress {
    struct lone lone;
    atomic_bool is_over;
};

static void
route_on(void *arg)
{
    struct stress *stress = arg;
    struct tk_rng rng = { 3 };

    while (!atomic_load(&stress->is_over)) {
        char key[8];
        struct tk_route route;
        unsigned number = (unsigned)tk_rng_below(&rng, 1000);

        snprintf(key, sizeof(key), "k%04u", number);
        if (tk_cache_route(stress->lone.cache, tk_slice_text(key), &route)) {
            /* Regions of ten keys, or merged ones of twenty. */
            assert_true(route.region_id == number / 10 + 1 ||
                        route.region_id == number / 20 * 2 + 1);
            assert_true(route.peer_id / 10 == route.region_id);
        }
    }
}

static void
lesson_97__a_route_is_of_one_record(void **state)
{
    struct stress stress;
    struct tk_thread *readers[3];
    struct tk_rng rng = { 9 };
    uint64_t version = 1;
    unsigned round;
    unsigned i;

    (void)state;
    atomic_init(&stress.is_over, false);
    lone_open(&stress.lone);
    for (i = 0; i < 3; i++) {
        readers[i] = stress.lone.rt->ops->spawn(stress.lone.rt, "reader",
                                                route_on, &stress);
    }
    for (round = 0; round < 5000; round++) {
        unsigned at = (unsigned)tk_rng_below(&rng, 50) * 2;
        char bounds[3][8];
        struct tk_route route;

        for (i = 0; i < 3; i++) {
            snprintf(bounds[i], sizeof(bounds[i]), "k%04u", (at + i) * 10);
        }
        version++;
        if (round % 2 == 0) {
            put_region(stress.lone.cache,
                       &(struct made){ at + 1, version, 1, bounds[0],
                                       bounds[2], 3 });
        } else {
            put_region(stress.lone.cache,
                       &(struct made){ at + 1, version, 1, bounds[0],
                                       bounds[1], 3 });
            put_region(stress.lone.cache,
                       &(struct made){ at + 2, version, 1, bounds[1],
                                       bounds[2], 3 });
        }
        if (tk_cache_route(stress.lone.cache, tk_slice_text(bounds[0]),
                           &route)) {
            tk_cache_set_leader(stress.lone.cache, &route,
                                route.region_id * 10 + round % 3 + 1,
                                round % 3 + 1);
        }
    }
    atomic_store(&stress.is_over, true);
    for (i = 0; i < 3; i++) {
        stress.lone.rt->ops->join(stress.lone.rt, readers[i]);
    }
    lone_close(&stress.lone);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cache__finds_by_range),
        harness_test(cache__only_moves_forward),
        harness_test(lesson_78__the_cache_only_moves_forward),
        harness_test(cache__keeps_the_first_reason),
        harness_test(cache__moves_the_leader),
        harness_test(cache__shuns_a_suspect_store_at_once),
        harness_test(lesson_87__a_store_behind_us_changes_nothing),
        harness_test(lesson_88__regions_of_an_error_are_taken_over),
        harness_test(cache__drops_what_a_region_covers),
        harness_test(marks__take_a_record_off_the_hot_road),
        harness_test(cache__leaves_unusable_peers_out),
        harness_test(lesson_97__a_route_is_of_one_record),
    };

    return harness_run(tests);
}
