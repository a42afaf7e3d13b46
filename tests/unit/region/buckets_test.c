/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets: clamped, searched, inherited, replaced, read anew. */
#include "unit/region/spy.h"

#include "region/cache_inner.h"
#include "region/lookup.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
};

static tikv_range
range(const char *start, const char *end)
{
    return (tikv_range){ tk_slice_text(start), tk_slice_text(end) };
}

static void
expect_range(tikv_range got, const char *start, const char *end)
{
    if (!tk_slice_equal(got.start, tk_slice_text(start)) ||
        !tk_slice_equal(got.end, tk_slice_text(end))) {
        fail_msg("[%.*s, %.*s) is not [%s, %s)", (int)got.start.len,
                 got.start.len == 0 ? "" : (const char *)got.start.data,
                 (int)got.end.len,
                 got.end.len == 0 ? "" : (const char *)got.end.data, start,
                 end);
    }
}

static void
bucket__is_clamped_to_its_region(void **state)
{
    static const struct {
        const char *bucket[2];
        const char *region[2];
        const char *wanted[2];
    } rows[] = {
        { { "d", "f" }, { "c", "g" }, { "d", "f" } },
        { { "a", "f" }, { "c", "g" }, { "c", "f" } },
        { { "d", "k" }, { "c", "g" }, { "d", "g" } },
        { { "a", "k" }, { "c", "g" }, { "c", "g" } },
        { { "a", "k" }, { "", "g" }, { "a", "g" } },
        { { "a", "k" }, { "c", "" }, { "c", "k" } },
        { { "a", "b" }, { "c", "g" }, { "c", "g" } }, /* beside it */
        { { "x", "z" }, { "c", "g" }, { "c", "g" } },
        { { "", "f" }, { "c", "g" }, { "c", "f" } },
        { { "d", "" }, { "c", "g" }, { "d", "g" } },
        { { "", "f" }, { "", "g" }, { "", "f" } },
        { { "d", "" }, { "c", "" }, { "d", "" } },
        { { "", "" }, { "c", "g" }, { "c", "g" } },
        { { "d", "f" }, { "", "" }, { "d", "f" } },
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        expect_range(
            tk_bucket_clamp(range(rows[i].bucket[0], rows[i].bucket[1]),
                            range(rows[i].region[0], rows[i].region[1])),
            rows[i].wanted[0], rows[i].wanted[1]);
    }
}

static struct tk_buckets *
new_buckets(const char *const *texts, size_t count)
{
    struct tk_key_codec codec = { TK_KEYS_RAW_V1, 0 };
    upb_StringView keys[8];
    struct tk_buckets *buckets;
    size_t i;

    for (i = 0; i < count; i++) {
        keys[i] = upb_StringView_FromString(texts[i]);
    }
    assert_true(tk_buckets_new(&codec, 7, keys, count, &buckets));
    return buckets;
}

static void
bucket__is_found_for_every_key(void **state)
{
    static const char *const whole[] = { "", "c", "f", "" };
    static const char *const holes[] = { "c", "f", "h" };
    struct tk_buckets *buckets = new_buckets(whole, 4);
    struct tk_buckets *copy = tk_buckets_copy(buckets);
    tikv_range got;

    (void)state;
    tk_buckets_free(buckets);
    assert_int_equal(copy->version, 7);
    assert_true(tk_bucket_find(copy, range("", ""), tk_slice_text(""), &got));
    expect_range(got, "", "c");
    assert_true(tk_bucket_find(copy, range("", ""), tk_slice_text("c"), &got));
    expect_range(got, "c", "f");
    assert_true(tk_bucket_find(copy, range("", ""), tk_slice_text("z"), &got));
    expect_range(got, "f", "");
    /* Older than the region: what is beyond it is cut off. */
    assert_true(
        tk_bucket_find(copy, range("d", "e"), tk_slice_text("d"), &got));
    expect_range(got, "d", "e");
    assert_false(
        tk_bucket_find(copy, range("d", "e"), tk_slice_text("e"), &got));
    assert_false(
        tk_bucket_find(copy, range("d", "e"), tk_slice_text("c"), &got));
    tk_buckets_free(copy);
    /* Holes at the edges are buckets too. */
    buckets = new_buckets(holes, 3);
    assert_true(
        tk_bucket_find(buckets, range("a", "m"), tk_slice_text("b"), &got));
    expect_range(got, "a", "c");
    assert_true(
        tk_bucket_find(buckets, range("a", "m"), tk_slice_text("h"), &got));
    expect_range(got, "h", "m");
    tk_buckets_free(buckets);
    assert_true(
        tk_bucket_find(NULL, range("a", "m"), tk_slice_text("h"), &got));
    expect_range(got, "a", "m");
}

static void
bucket__needs_two_keys_of_ours(void **state)
{
    static const char *const one[] = { "a" };
    struct tk_key_codec codec = { TK_KEYS_TXN_V1, 0 };
    upb_StringView keys[2] = { upb_StringView_FromString("no key"),
                               upb_StringView_FromString("of txn") };
    struct tk_buckets *buckets;

    (void)state;
    assert_null(new_buckets(one, 1));
    assert_null(new_buckets(one, 0));
    assert_true(tk_buckets_new(&codec, 1, keys, 2, &buckets));
    assert_null(buckets);
}

/* ---- in the cache ---- */

static void
set_buckets(struct world *w, uint64_t version, const char *middle)
{
    tikv_slice keys[3] = { tk_slice_text(""), tk_slice_text(middle),
                           tk_slice_text("") };

    world_ok(tk_cluster_set_buckets(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text("a")),
        version, keys, 3));
}

static void
expect_bucket(struct world *w, const char *key, uint64_t version,
              const char *start, const char *end)
{
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_regions *regions = tk_regions_new();
    tikv_range got = range("", "");
    size_t i = 0;

    assert_true(tk_cache_copy(w->cache, range(key, ""), 1, regions));
    assert_true(tikv_regions_at(regions, 0, &info));
    assert_int_equal(info.buckets_version, version);
    do {
        assert_true(tikv_regions_bucket(regions, 0, i++, &got));
    } while (got.end.len != 0 &&
             tk_slice_compare(got.end, tk_slice_text(key)) <= 0);
    expect_range(got, start, end);
    tikv_regions_free(regions);
}

static struct tk_route
route_of(struct world *w, const char *key)
{
    struct tk_route route;

    assert_true(tk_cache_route(w->cache, tk_slice_text(key), &route));
    return route;
}

static void
life_of_buckets(struct world *w)
{
    upb_StringView keys[3] = { upb_StringView_FromString(""),
                               upb_StringView_FromString("p"),
                               upb_StringView_FromString("") };
    struct tk_route route;

    kv_put(w, "a", "1");
    expect_bucket(w, "a", 0, "", "");
    /* A lookup brings them. */
    set_buckets(w, 5, "k");
    route = route_of(w, "a");
    tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
    kv_put(w, "a", "1");
    expect_bucket(w, "a", 5, "", "k");
    /* An error of a store replaces older ones only. */
    route = route_of(w, "a");
    tk_cache_set_buckets(w->cache, &route, 4, keys, 3);
    expect_bucket(w, "a", 5, "", "k");
    tk_cache_set_buckets(w->cache, &route, 6, keys, 3);
    expect_bucket(w, "z", 6, "p", "");
    assert_int_equal(route_of(w, "a").peer_id, route.peer_id);
    /* PD knows older ones: they are not taken. */
    tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
    kv_put(w, "a", "1");
    expect_bucket(w, "z", 6, "p", "");
    /* After a split what is beyond the region is cut off. */
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("s")));
    kv_put(w, "t", "1");
    kv_put(w, "q", "1");
    expect_bucket(w, "t", 6, "s", "");
}

static void
lesson_100__buckets_stay_within_their_region(void **state)
{
    (void)state;
    world_sim(1, &three_stores, life_of_buckets);
}

static void
put_a(void *arg)
{
    kv_put(arg, "a", "1");
}

static void
refresh(struct world *w)
{
    struct tk_thread *threads[8];
    struct tk_route route;
    uint64_t before;
    unsigned i;

    set_buckets(w, 5, "k");
    kv_put(w, "a", "1");
    set_buckets(w, 9, "m");
    route = route_of(w, "a");
    before = tk_cluster_calls(w->cluster, "pd.GetRegion");
    tk_cache_want_buckets(w->cache, &route, 5);
    kv_put(w, "a", "1");
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"), before);
    world_fault(w, "on=pd.GetRegion do=delay(20)");
    for (i = 0; i < 8; i++) {
        tk_cache_want_buckets(w->cache, &route, 9);
        threads[i] = w->rt->ops->spawn(w->rt, "putter", put_a, w);
    }
    for (i = 0; i < 8; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"),
                     before + 1);
    expect_bucket(w, "a", 9, "", "m");
    tk_cache_want_buckets(w->cache, &route, 10);
    kv_put(w, "a", "1");
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"),
                     before + 2);
}

static void
bucket__is_read_anew_by_one_call(void **state)
{
    (void)state;
    world_sim(1, &three_stores, refresh);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(bucket__is_clamped_to_its_region),
        harness_test(bucket__is_found_for_every_key),
        harness_test(bucket__needs_two_keys_of_ours),
        harness_test(lesson_100__buckets_stay_within_their_region),
        harness_test(bucket__is_read_anew_by_one_call),
    };

    return harness_run(tests);
}
