/* SPDX-License-Identifier: Apache-2.0 */
/* What has ended leaves the cache by itself. timeout: 120 */
#include "region/cache_inner.h"
#include "unit/region/world.h"

static const struct world_plan short_lives = {
    .cluster = { .stores_count = 3,
                 .pds_count = 1,
                 .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "region.cache_ttl_ms", "2000", "region.sweep_ms", "100" },
};

enum { REGIONS = 300 };

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, TK_NEVER));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static void
load_all(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, REGIONS, "v");
    size_t i;

    if (tk_cluster_regions_count(w->cluster) < REGIONS) {
        for (i = 1; i < REGIONS; i++) {
            world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
        }
    }
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(tk_cache_count(w->cache), REGIONS);
    tk_free(kv);
}

static void
takes_out(struct world *w)
{
    int round;
    int i;

    for (round = 0; round < 2; round++) {
        load_all(w);
        /* One is in use all the time and stays. */
        for (i = 0; i < 50; i++) {
            pause(w, 100);
            kv_put(w, "k00007", "v");
        }
        assert_int_equal(tk_cache_count(w->cache), 1);
        pause(w, 6000);
        assert_int_equal(tk_cache_count(w->cache), 0);
        /* Nothing to sweep, nobody wakes; the next record starts it again. */
        assert_false(w->cache->sweep.alarm.is_out);
    }
}

static void
lesson_103__what_nobody_asks_for_is_forgotten(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &short_lives, takes_out);
    }
}

static void
takes_out_wrong(struct world *w)
{
    struct tk_route route;

    load_all(w);
    assert_true(tk_cache_route(w->cache, tk_slice_text("k00009"), &route));
    tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
    pause(w, 1500);
    assert_int_equal(tk_cache_count(w->cache), REGIONS - 1);
}

static void
sweep__takes_out_what_is_wrong(void **state)
{
    (void)state;
    world_sim(1, &short_lives, takes_out_wrong);
    world_real(&short_lives, takes_out_wrong);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_103__what_nobody_asks_for_is_forgotten),
        harness_test(sweep__takes_out_what_is_wrong),
    };

    return harness_run(tests);
}
