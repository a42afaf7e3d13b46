/* SPDX-License-Identifier: Apache-2.0 */
/* What PD tells of regions: one by its id, all of them, and bounds that make
 * no sense. timeout: 120 */
#include "unit/region/made.h"

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

static uint64_t
region_of(struct world *w, const char *key)
{
    return tk_cluster_region_of(w->cluster, tk_slice_text(key));
}

static void
split(struct world *w, const char *key)
{
    world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
}

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, TK_NEVER));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

/* ---- by id ---- */

static tikv_error *
locate_id(struct world *w, struct tk_cache *cache, uint64_t id, bool from_pd,
          struct tk_route *route, struct tk_buf *start, struct tk_buf *end)
{
    struct tk_op op;
    tikv_error *error;

    assert_true(tk_op_init(&op, w->exec, NULL, 20000 * TK_MS));
    error = tk_cache_locate_id(cache, &op, id, from_pd, route, start, end);
    tk_op_fini(&op);
    return error;
}

static uint64_t
id_calls(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.GetRegionByID");
}

static void
expect_id(struct world *w, uint64_t id, bool from_pd, const char *start,
          const char *end)
{
    struct tk_route route;
    struct tk_buf low;
    struct tk_buf high;

    tk_buf_init(&low, 100);
    tk_buf_init(&high, 100);
    world_ok(locate_id(w, w->cache, id, from_pd, &route, &low, &high));
    assert_int_equal(route.region_id, id);
    assert_int_equal(route.store->id, tk_cluster_leader_of(w->cluster, id));
    assert_true(tk_slice_equal(tk_buf_slice(&low), tk_slice_text(start)));
    assert_true(tk_slice_equal(tk_buf_slice(&high), tk_slice_text(end)));
    tk_buf_fini(&low);
    tk_buf_fini(&high);
}

static void
finds_ids(struct world *w)
{
    struct tk_route route;
    uint64_t first;
    uint64_t second;

    split(w, "m");
    first = region_of(w, "a");
    second = region_of(w, "z");
    /* PD is asked each time, and the cache learns nothing. */
    expect_id(w, first, true, "", "m");
    expect_id(w, first, true, "", "m");
    assert_int_equal(id_calls(w), 2);
    assert_int_equal(tk_cache_count(w->cache), 0);
    /* Once, and the cache knows it, by its keys too. */
    expect_id(w, first, false, "", "m");
    expect_id(w, first, false, "", "m");
    assert_int_equal(id_calls(w), 3);
    assert_int_equal(tk_cache_count(w->cache), 1);
    expect_id(w, first, true, "", "m");
    assert_int_equal(id_calls(w), 4);
    assert_true(tk_cache_has(w->cache, tk_slice_text("b")));
    assert_false(tk_cache_has(w->cache, tk_slice_text("z")));
    /* What was found wrong is asked for again. */
    expect_id(w, second, false, "m", "");
    kv_put(w, "z", "1");
    assert_true(tk_cache_route(w->cache, tk_slice_text("z"), &route));
    split(w, "t");
    tk_cache_invalidate(w->cache, &route, TK_INVALID_EPOCH);
    expect_id(w, region_of(w, "z"), false, "t", "");
    expect_id(w, region_of(w, "m"), false, "m", "t");
    assert_int_equal(tk_cache_count(w->cache), 3);
    world_code(locate_id(w, w->cache, 999999, false, &route, NULL, NULL),
               TIKV_ERR_REGION);
    world_code(locate_id(w, w->cache, 999999, true, &route, NULL, NULL),
               TIKV_ERR_REGION);
}

static void
load__finds_regions_by_id(void **state)
{
    (void)state;
    both(&three_stores, finds_ids);
}

/* ---- bounds that are no keys ---- */

static void
no_keys(struct world *w)
{
    struct tk_key_codec codec = { TK_KEYS_TXN_V1, 0 };
    struct tk_cache *cache = tk_cache_new(w->rt, w->pd, w->stores, &codec,
                                          &w->config, NULL);
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_GET, 100, NULL);
    struct kv *range = kv_new(TK_CMD_RAW_DELETE_RANGE, 0, NULL);
    int64_t begun = tk_now(w->rt);
    struct tk_route route;

    /* A bound that the other codec cannot have made. */
    split(w, "m");
    w->router.cache = cache;
    world_code(kv_run(w, kv, 20000), TIKV_ERR_PROTOCOL);
    assert_int_equal(kv->job.attempts, 0);
    world_code(kv_run(w, range, 20000), TIKV_ERR_PROTOCOL);
    world_code(locate_id(w, cache, region_of(w, "a"), false, &route, NULL,
                         NULL),
               TIKV_ERR_PROTOCOL);
    world_code(locate_id(w, cache, region_of(w, "a"), true, &route, NULL,
                         NULL),
               TIKV_ERR_PROTOCOL);
    /* No pause was made. */
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 0, 1);
    assert_int_equal(tk_cache_count(cache), 0);
    w->router.cache = w->cache;
    tk_cache_free(cache);
    tk_free(kv);
    tk_free(range);
}

static void
load__ends_at_once_with_bounds_that_are_no_keys(void **state)
{
    (void)state;
    world_sim(1, &three_stores, no_keys);
}

/* ---- hearsay ---- */

/* Followers of PD answer, and what they say is one split old. */
static uint64_t
mislead(struct world *w, uint64_t *at_others)
{
    uint32_t leader = tk_cluster_pd_leader(w->cluster);
    uint64_t at_leader;
    char rule[80];
    uint32_t i;

    snprintf(rule, sizeof(rule), "on=pd.GetRegion member=%u do=delay(0)",
             leader);
    at_leader = world_fault(w, rule);
    for (i = 1; i < 3; i++) {
        snprintf(rule, sizeof(rule),
                 "on=pd.GetRegion member=%u do=stale_region",
                 (leader + i) % 3);
        at_others[i - 1] = world_fault(w, rule);
    }
    return at_leader;
}

struct hits {
    uint64_t leader;
    uint64_t others;
};

static struct hits
hits_of(struct world *w, uint64_t at_leader, const uint64_t *at_others)
{
    return (struct hits){
        tk_cluster_fault_hits(w->cluster, at_leader),
        tk_cluster_fault_hits(w->cluster, at_others[0]) +
            tk_cluster_fault_hits(w->cluster, at_others[1]),
    };
}

static struct tk_region *
record_of(struct world *w)
{
    struct tk_region *region;

    tk_mutex_lock(&w->cache->lock);
    region = tk_cache_by_id(w->cache, region_of(w, "a"));
    tk_mutex_unlock(&w->cache->lock);
    assert_non_null(region);
    return region;
}

/* Nothing was waited for but answers. */
static void
put_without_pause(struct world *w, const char *key, const char *value)
{
    struct kv *kv = kv_new(TK_CMD_RAW_PUT, 1, value);
    int64_t begun = tk_now(w->rt);

    snprintf(kv->keys[0], sizeof(kv->keys[0]), "%s", key);
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->spent.ns[TK_PART_BACKOFF], 0);
    if (w->is_sim) {
        assert_in_range((tk_now(w->rt) - begun) / TK_MS, 0, 10);
    }
    tk_free(kv);
}

static void
old_news(struct world *w)
{
    uint64_t at_others[2];
    uint64_t at_leader = mislead(w, at_others);
    struct hits hits;

    split(w, "m");
    /* Nothing is known: whatever is said is taken, and the store puts it
     * right. */
    kv_put(w, "a", "1");
    hits = hits_of(w, at_leader, at_others);
    assert_int_equal(hits.leader, 0);
    assert_int_equal(hits.others, 1);
    /* Its time is over, but it is still known: older is refused, and the
     * leader asked at once. */
    atomic_store(&record_of(w)->expires, tk_now(w->rt));
    assert_false(tk_cache_has(w->cache, tk_slice_text("a")));
    put_without_pause(w, "a", "2");
    hits = hits_of(w, at_leader, at_others);
    assert_int_equal(hits.leader, 1);
    assert_int_equal(hits.others, 2);
    /* What was found wrong, or is to be read anew, goes to nobody else. */
    tk_region_invalidate(record_of(w), TK_INVALID_EPOCH);
    kv_put(w, "a", "3");
    tk_region_mark(record_of(w), TK_REGION_READY);
    kv_put(w, "a", "4");
    hits = hits_of(w, at_leader, at_others);
    assert_int_equal(hits.leader, 3);
    assert_int_equal(hits.others, 2);
}

static void
lesson_84__old_news_is_asked_of_the_leader_once(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.pds_count = 3;
    plan.settings[0] = "pd.follower_handle";
    plan.settings[1] = "true";
    both(&plan, old_news);
}

/* ---- all of them ---- */

static void
refresh(struct world *w)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 60000 * TK_MS));
    world_ok(tk_cache_refresh(w->cache, &op));
    tk_op_fini(&op);
}

static void
newer_stays(struct world *w)
{
    struct tk_route route;
    struct made news = { 777, 0, 9, "m", "", 3 };

    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), 1);
    /* Somebody told of a split that PD has not heard of. */
    assert_true(tk_cache_has(w->cache, tk_slice_text("a")));
    world_ok(locate_id(w, w->cache, region_of(w, "a"), false, &route, NULL,
                       NULL));
    news.version = route.version + 1;
    assert_true(put_region(w->cache, &news));
    refresh(w);
    assert_false(tk_cache_has(w->cache, tk_slice_text("a")));
    assert_true(tk_cache_has(w->cache, tk_slice_text("m")));
    tk_mutex_lock(&w->cache->lock);
    assert_non_null(tk_cache_by_id(w->cache, 777));
    tk_mutex_unlock(&w->cache->lock);
    /* Now it has, and the hole is filled. */
    split(w, "m");
    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), 2);
    assert_true(tk_cache_has(w->cache, tk_slice_text("a")));
    assert_true(tk_cache_has(w->cache, tk_slice_text("z")));
    tk_mutex_lock(&w->cache->lock);
    assert_null(tk_cache_by_id(w->cache, 777));
    tk_mutex_unlock(&w->cache->lock);
}

static void
refresh__fills_holes_and_keeps_what_is_newer(void **state)
{
    (void)state;
    both(&three_stores, newer_stays);
}

enum { REGIONS = 1100 }; /* more than a page */

static void
split_much(struct world *w)
{
    size_t i;

    for (i = 1; i < REGIONS; i++) {
        char key[16];

        snprintf(key, sizeof(key), "k%05u", (unsigned)i);
        split(w, key);
    }
}

static void
walks_on(struct world *w)
{
    split_much(w);
    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), REGIONS);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.BatchScanRegions"), 2);
    assert_true(tk_cache_has(w->cache, tk_slice_text("")));
    assert_true(tk_cache_has(w->cache, tk_slice_text("k01099")));
    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), REGIONS);
    /* An old PD tells the same, one by one. */
    world_fault(w, "on=pd.BatchScanRegions do=status(UNIMPLEMENTED)");
    split(w, "k00500x");
    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), REGIONS + 1);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"),
                     REGIONS + 1);
}

static void
refresh__goes_on_page_by_page(void **state)
{
    (void)state;
    world_sim(1, &three_stores, walks_on);
}

static void
preloads(struct world *w)
{
    /* Whatever was there at open. */
    pause(w, 1000);
    assert_int_equal(tk_cache_count(w->cache), 16);
    kv_put(w, "a", "1");
    kv_put(w, "z", "1");
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"), 0);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.BatchScanRegions"), 1);
    /* And that was that. */
    assert_false(w->cache->refresh.alarm.is_out);
}

static void
refresh__is_done_at_open_where_it_is_wanted(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.regions_count = 16;
    plan.settings[0] = "region.preload";
    plan.settings[1] = "true";
    world_sim(1, &plan, preloads);
}

static void
stays_fresh(struct world *w)
{
    int64_t until;

    assert_int_equal(tk_cache_count(w->cache), 0);
    pause(w, 1500);
    assert_int_equal(tk_cache_count(w->cache), 16);
    /* Unused records live on as long as PD tells of them. */
    until = tk_now(w->rt) + 20000 * TK_MS;
    while (tk_now(w->rt) < until) {
        pause(w, 500);
        assert_int_equal(tk_cache_count(w->cache), 16);
        assert_true(tk_cache_has(w->cache, tk_slice_text("a")));
    }
    split(w, "k");
    pause(w, 1500);
    assert_int_equal(tk_cache_count(w->cache), 17);
    /* PD is away for a while: nothing is lost but time. */
    world_fault(w, "on=pd.BatchScanRegions do=drop_request");
    pause(w, 60000);
    tk_cluster_fault_remove(w->cluster, 0);
    pause(w, 60000);
    assert_int_equal(tk_cache_count(w->cache), 17);
}

static void
refresh__keeps_the_cache_whole(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.regions_count = 16;
    plan.settings[0] = "region.refresh_ms";
    plan.settings[1] = "1000";
    plan.settings[2] = "region.cache_ttl_ms";
    plan.settings[3] = "3000";
    plan.settings[4] = "region.sweep_ms";
    plan.settings[5] = "100";
    world_sim(1, &plan, stays_fresh);
}

static void
refresh_often(void *arg)
{
    unsigned i;

    for (i = 0; i < 100; i++) {
        refresh(arg);
    }
}

static void
look_often(void *arg)
{
    struct world *w = arg;
    unsigned i;

    for (i = 0; i < 300; i++) {
        char key[2] = { (char)('a' + i % 26), '\0' };
        struct tk_route route;

        world_ok(locate_id(w, w->cache, region_of(w, key), i % 10 == 0,
                           &route, NULL, NULL));
        if (i % 7 == 0) {
            tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
        }
    }
}

static void
at_once(struct world *w)
{
    struct tk_thread *threads[3];
    unsigned i;

    for (i = 0; i < 3; i++) {
        threads[i] = w->rt->ops->spawn(
            w->rt, "worker", i == 0 ? refresh_often : look_often, w);
    }
    for (i = 0; i < 3; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    refresh(w);
    assert_int_equal(tk_cache_count(w->cache), 16);
}

static void
refresh__goes_on_beside_lookups(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.regions_count = 16;
    both(&plan, at_once);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(load__finds_regions_by_id),
        harness_test(load__ends_at_once_with_bounds_that_are_no_keys),
        harness_test(lesson_84__old_news_is_asked_of_the_leader_once),
        harness_test(refresh__fills_holes_and_keeps_what_is_newer),
        harness_test(refresh__goes_on_page_by_page),
        harness_test(refresh__is_done_at_open_where_it_is_wanted),
        harness_test(refresh__keeps_the_cache_whole),
        harness_test(refresh__goes_on_beside_lookups),
    };

    return harness_run(tests);
}
