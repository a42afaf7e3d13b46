/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges, through the public functions: scans both ways and by pages, delete
 * range, checksum; last, a model check with the keys and limits that have
 * broken clients before. timeout: 120
 */
#include <lzma.h>

#include "fixture/kv.h"

static tikv_scan_options
paged(uint32_t page, uint32_t flags)
{
    tikv_scan_options options = TIKV_SCAN_OPTIONS_INIT;

    options.page_count = page;
    options.flags = flags;
    return options;
}

/* One page has exactly these pairs: "k1=v1,k2=v2", or "k1,k2" keys only. */
static void
expect_page(tikv_client *client, tikv_range range,
            const tikv_scan_options *options, const char *wanted, bool more)
{
    tikv_pairs *page;
    char got[1024] = "";
    size_t len = 0;
    size_t i;

    kv_ok(tikv_raw_scan(client, range, options, &page));
    for (i = 0; i < tikv_pairs_count(page); i++) {
        const tikv_pair *pair = &tikv_pairs_data(page)[i];

        len += (size_t)snprintf(
            got + len, sizeof(got) - len, "%s%.*s%s%.*s", i == 0 ? "" : ",",
            (int)pair->key.len, (const char *)pair->key.data,
            pair->value.data == NULL ? "" : "=", (int)pair->value.len,
            pair->value.data == NULL ? "" : (const char *)pair->value.data);
    }
    assert_string_equal(got, wanted);
    assert_int_equal(tikv_pairs_next(page, NULL), more);
    tikv_pairs_free(page);
}

static void
put_numbers(tikv_client *client, size_t count)
{
    size_t i;

    for (i = 1; i <= count; i++) {
        char key[16];
        char value[16];

        snprintf(key, sizeof(key), "k%zu", i);
        snprintf(value, sizeof(value), "v%zu", i);
        kv_put(client, key, value);
    }
}

static void
scan__gives_exact_pages_before_and_after_splits(void **state)
{
    static const char *const splits[] = { "k2", "k5", NULL };
    tikv_scan_options two = paged(2, 0);
    tikv_scan_options ten = paged(10, 0);
    size_t round;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    put_numbers(kv.client, 7);
    for (round = 0; round < 3; round++) {
        expect_page(kv.client, kv_range("", ""), &two, "k1=v1,k2=v2", true);
        expect_page(kv.client, kv_range("k1", "k3"), &ten, "k1=v1,k2=v2",
                    false);
        expect_page(kv.client, kv_range("k2", "k6"), &ten,
                    "k2=v2,k3=v3,k4=v4,k5=v5", false);
        expect_page(kv.client, kv_range("k4", ""), &ten,
                    "k4=v4,k5=v5,k6=v6,k7=v7", false);
        expect_page(kv.client, kv_range("k3", "k3"), &ten, "", false);
        expect_page(kv.client, kv_range("k5", "k3"), &ten, "", false);
        if (splits[round] != NULL) {
            kv_ok(tikv_cluster_split(kv.cluster, kv_text(splits[round])));
        } else {
            break;
        }
    }
    kv_close(&kv);
}

static void
scan__walks_backwards_with_every_kind_of_bound(void **state)
{
    static const char *const at[] = { "k3", "k5", NULL };
    tikv_scan_options back = paged(10, TIKV_SCAN_REVERSE);
    tikv_scan_options two = paged(2, TIKV_SCAN_REVERSE);
    tikv_scan_options keys = paged(3, TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY);
    tikv_range open = { KV_ABSENT, KV_ABSENT };
    size_t round;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    put_numbers(kv.client, 6);
    for (round = 0; round < 2; round++) {
        expect_page(kv.client, open, &back,
                    "k6=v6,k5=v5,k4=v4,k3=v3,k2=v2,k1=v1", false);
        expect_page(kv.client, kv_range("k2", "k5"), &back, "k4=v4,k3=v3,k2=v2",
                    false);
        expect_page(kv.client, kv_range("", "k3"), &back, "k2=v2,k1=v1", false);
        expect_page(kv.client, kv_range("k5", ""), &back, "k6=v6,k5=v5", false);
        expect_page(kv.client, kv_range("k2", ""), &two, "k6=v6,k5=v5", true);
        expect_page(kv.client, open, &keys, "k6,k5,k4", true);
        expect_page(kv.client, kv_range("k5", "k3"), &back, "", false);
        kv_split(&kv, at);
    }
    kv_close(&kv);
}

static void
scan__works_in_a_column_family_after_the_leader_moved(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    static const char *const keys[] = { "db",   "key1", "key2",
                                        "key3", "key4", NULL };
    tikv_raw_options lock = TIKV_RAW_OPTIONS_INIT;
    tikv_scan_options forward = paged(3, 0);
    tikv_scan_options back = paged(10, TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY);
    uint64_t region;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    lock.column_family = "lock";
    forward.column_family = "lock";
    back.column_family = "lock";
    for (i = 0; keys[i] != NULL; i++) {
        kv_ok(tikv_raw_put(kv.client, kv_text(keys[i]), kv_text("v"), &lock));
    }
    region = tikv_cluster_region_of(kv.cluster, kv_text("db"));
    kv_ok(tikv_cluster_transfer_leader(
        kv.cluster, region,
        tikv_cluster_leader_of(kv.cluster, region) % 3 + 1));
    expect_page(kv.client, kv_range("key1", "keyz"), &forward,
                "key1=v,key2=v,key3=v", true);
    expect_page(kv.client, kv_range("", "key3"), &back, "key2,key1,db", false);
    forward.column_family = NULL;
    expect_page(kv.client, kv_range("", ""), &forward, "", false);
    kv_close(&kv);
}

/* All pages one after the other; checks keys against `total` numbers. */
static void
walk(tikv_client *client, size_t total, uint32_t page_count, uint32_t flags)
{
    tikv_scan_options options = paged(page_count, flags);
    tikv_range range = { KV_ABSENT, KV_ABSENT };
    tikv_pairs *held = NULL;
    bool more = true;
    size_t seen = 0;
    size_t i;

    while (more) {
        tikv_pairs *page;

        kv_ok(tikv_raw_scan(client, range, &options, &page));
        for (i = 0; i < tikv_pairs_count(page); i++, seen++) {
            char wanted[16];
            bool back = (flags & TIKV_SCAN_REVERSE) != 0;

            assert_true(kv_equal(tikv_pairs_data(page)[i].key,
                                 kv_number(wanted, sizeof(wanted), "key",
                                           back ? total - 1 - seen : seen)));
        }
        more = tikv_pairs_next(page, &range);
        assert_true(!more || tikv_pairs_count(page) == page_count);
        tikv_pairs_free(held);
        held = page;
    }
    tikv_pairs_free(held);
    assert_int_equal(seen, total);
}

static void
fill(const struct kv *kv, size_t count, size_t regions)
{
    tikv_pair *pairs = calloc(count, sizeof(*pairs));
    char(*names)[16] = calloc(count, sizeof(*names));
    size_t i;

    assert_non_null(pairs);
    assert_non_null(names);
    for (i = 0; i < count; i++) {
        pairs[i].key = kv_number(names[i], sizeof(names[i]), "key", i);
        pairs[i].value = kv_text(names[i]);
        if (i != 0 && i % (count / regions) == 0) {
            kv_ok(tikv_cluster_split(kv->cluster, pairs[i].key));
        }
    }
    kv_ok(tikv_raw_batch_put(kv->client, pairs, count, NULL));
    free(pairs);
    free(names);
}

static void
scan__gives_full_pages_over_twenty_regions(void **state)
{
    enum { COUNT = 20480 };
    tikv_scan_options most = paged(TIKV_SCAN_PAGE_MAX, 0);
    tikv_scan_options above = paged(TIKV_SCAN_PAGE_MAX + 1, 0);
    tikv_pairs *page;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv, COUNT, 20);
    kv_ok(tikv_raw_scan(kv.client, kv_range("key", ""), &most, &page));
    assert_int_equal(tikv_pairs_count(page), TIKV_SCAN_PAGE_MAX);
    for (i = 0; i < tikv_pairs_count(page); i++) {
        assert_true(kv_equal(tikv_pairs_data(page)[i].key,
                             tikv_pairs_data(page)[i].value));
    }
    tikv_pairs_free(page);
    kv_fails(tikv_raw_scan(kv.client, kv_range("", ""), &above, &page),
             TIKV_ERR_ARGUMENT);
    assert_null(page);
    walk(kv.client, COUNT, 1000, 0);
    walk(kv.client, COUNT, 1000, TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY);
    kv_close(&kv);
}

/* The region splits between the look into the cache and the request: one
 * part is answered in two, which have to be put in order. */
static void
scan__puts_a_region_that_split_meanwhile_in_order(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv, 600, 1);
    for (i = 50; i < 600; i += 50) {
        char key[16];

        walk(kv.client, 600, 256, i % 100 == 0 ? TIKV_SCAN_REVERSE : 0);
        kv_ok(tikv_cluster_split(kv.cluster,
                                 kv_number(key, sizeof(key), "key", 600 - i)));
        kv_ok(tikv_cluster_split(kv.cluster,
                                 kv_number(key, sizeof(key), "key", i + 7)));
        walk(kv.client, 600, 200, i % 100 == 0 ? 0 : TIKV_SCAN_REVERSE);
    }
    kv_close(&kv);
}

static void
scan__keys_only_merges_three_regions(void **state)
{
    static const char *const at[] = { "key000010", "key000030", NULL };
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv, 49, 1);
    kv_split(&kv, at);
    walk(kv.client, 49, 10, TIKV_SCAN_KEYS_ONLY);
    kv_close(&kv);
}

static void
expect_count(tikv_client *client, tikv_slice start, tikv_slice end,
             size_t wanted)
{
    tikv_scan_options forward = paged(1000, 0);
    tikv_scan_options back = paged(1000, TIKV_SCAN_REVERSE);
    tikv_pairs *page;

    kv_ok(tikv_raw_scan(client, (tikv_range){ start, end }, &forward, &page));
    assert_int_equal(tikv_pairs_count(page), wanted);
    tikv_pairs_free(page);
    kv_ok(tikv_raw_scan(client, (tikv_range){ start, end }, &back, &page));
    assert_int_equal(tikv_pairs_count(page), wanted);
    tikv_pairs_free(page);
}

static void
scan__counts_every_kind_of_bound(void **state)
{
    const struct kv_plan plan = { .stores = 3, .regions = 8 };
    uint8_t keys[256][4] = { { 0 } };
    tikv_scan_options three = paged(3, 0);
    tikv_pair pairs[256];
    tikv_pairs *page;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    for (i = 0; i < 256; i++) {
        keys[i][0] = (uint8_t)i;
        pairs[i] = (tikv_pair){ kv_bytes(keys[i], 4), kv_bytes(keys[i], 1) };
    }
    kv_ok(tikv_raw_batch_put(kv.client, pairs, 256, NULL));
    expect_count(kv.client, KV_ABSENT, KV_ABSENT, 256);
    expect_count(kv.client, pairs[100].key, KV_ABSENT, 156);
    expect_count(kv.client, pairs[5].key, pairs[200].key, 195);
    expect_count(kv.client, pairs[5].key, kv_bytes("\xc8\0\0\0\0", 5), 196);
    expect_count(kv.client, kv_text("\5"), KV_ABSENT, 251);
    expect_count(kv.client, pairs[255].key, pairs[1].key, 0);
    kv_ok(tikv_raw_scan(kv.client, kv_range("", ""), &three, &page));
    assert_true(kv_equal(tikv_pairs_data(page)[2].key, pairs[2].key));
    tikv_pairs_free(page);
    three.flags = TIKV_SCAN_REVERSE;
    kv_ok(tikv_raw_scan(kv.client, kv_range("", ""), &three, &page));
    assert_true(kv_equal(tikv_pairs_data(page)[0].key, pairs[255].key));
    assert_true(kv_equal(tikv_pairs_data(page)[2].key, pairs[253].key));
    tikv_pairs_free(page);
    kv_close(&kv);
}

static void
batch_scan__answers_ranges_one_after_the_other(void **state)
{
    static const char *const at[] = { "k3", NULL };
    const tikv_range ranges[] = { { kv_text("k1"), kv_text("k4") },
                                  { kv_text("k9"), kv_text("k8") },
                                  { kv_text("k5"), KV_ABSENT },
                                  { kv_text("k2"), kv_text("k6") } };
    const size_t ends[] = { 2, 2, 3, 5 };
    const size_t ends_full[] = { 3, 3, 4, 8 };
    tikv_scan_options options = paged(2, 0);
    tikv_future *future;
    tikv_pairs *got;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    put_numbers(kv.client, 5);
    kv_split(&kv, at);
    kv_ok(tikv_raw_batch_scan(kv.client, ranges, 4, &options, &got));
    assert_int_equal(tikv_pairs_count(got), 5);
    for (i = 0; i < 4; i++) {
        assert_int_equal(tikv_pairs_group_end(got, i), ends[i]);
    }
    assert_true(kv_equal(tikv_pairs_data(got)[4].key, kv_text("k3")));
    assert_false(tikv_pairs_next(got, NULL));
    tikv_pairs_free(got);
    options.page_count = 7;
    future = tikv_raw_batch_scan_async(kv.client, ranges, 4, &options);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_pairs(future, &got));
    for (i = 0; i < 4; i++) {
        assert_int_equal(tikv_pairs_group_end(got, i), ends_full[i]);
    }
    tikv_pairs_free(got);
    tikv_future_free(future);
    kv_ok(tikv_raw_batch_scan(kv.client, NULL, 0, &options, &got));
    assert_int_equal(tikv_pairs_count(got), 0);
    tikv_pairs_free(got);
    kv_close(&kv);
}

/* ---- delete range ---- */

static void
delete_range__works_in_a_column_family_after_the_leader_moved(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    static const char *const keys[] = { "db",   "key1", "key2",
                                        "key3", "key4", "key5" };
    tikv_raw_options write = TIKV_RAW_OPTIONS_INIT;
    tikv_scan_options all = paged(10, TIKV_SCAN_KEYS_ONLY);
    uint64_t region;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    write.column_family = "write";
    all.column_family = "write";
    for (i = 0; i < 6; i++) {
        kv_ok(tikv_raw_put(kv.client, kv_text(keys[i]), kv_text("v"), &write));
    }
    kv_put(kv.client, "key4", "other family");
    region = tikv_cluster_region_of(kv.cluster, kv_text("db"));
    kv_ok(tikv_cluster_transfer_leader(
        kv.cluster, region,
        tikv_cluster_leader_of(kv.cluster, region) % 3 + 1));
    kv_ok(tikv_raw_delete_range(kv.client, kv_range("key3", ""), &write));
    expect_page(kv.client, kv_range("", ""), &all, "db,key1,key2", false);
    kv_ok(tikv_raw_delete_range(kv.client, kv_range("", ""), &write));
    expect_page(kv.client, kv_range("", ""), &all, "", false);
    kv_expect(kv.client, "key4", "other family");
    kv_close(&kv);
}

static void
delete_range__with_open_ends_goes_through_all_regions(void **state)
{
    static const char *const at[] = { "key000003", "key000200", "key000400",
                                      "key000401", NULL };
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv, 600, 1);
    kv_split(&kv, at);
    kv_ok(tikv_raw_delete_range(kv.client, kv_range("key000100", "key000500"),
                                NULL));
    expect_count(kv.client, KV_ABSENT, KV_ABSENT, 200);
    kv_ok(tikv_raw_delete_range(kv.client, kv_range("", ""), NULL));
    expect_count(kv.client, KV_ABSENT, KV_ABSENT, 0);
    kv_close(&kv);
}

/* ---- checksum ---- */

static void
checksum__is_the_xor_over_all_pairs(void **state)
{
    enum { COUNT = 20480 };
    const tikv_range ranges[] = { { kv_text(""), kv_text("key000100") },
                                  { kv_text("z"), kv_text("a") },
                                  { kv_text("key000100"), KV_ABSENT } };
    tikv_raw_options lock = TIKV_RAW_OPTIONS_INIT;
    uint64_t wanted = 0;
    uint64_t got = 1;
    uint64_t count = 0;
    uint64_t bytes = 0;
    tikv_future *future;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv, COUNT, 20);
    for (i = 0; i < COUNT; i++) {
        char name[16];
        tikv_slice key = kv_number(name, sizeof(name), "key", i);

        wanted ^=
            lzma_crc64(key.data, key.len, lzma_crc64(key.data, key.len, 0));
    }
    kv_ok(tikv_raw_checksum(kv.client, ranges, 3, NULL, &got, &count, &bytes));
    assert_true(got == wanted);
    assert_int_equal(count, COUNT);
    assert_int_equal(bytes, COUNT * 18);
    future = tikv_raw_checksum_async(kv.client, ranges, 1, NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_checksum(future, &got, &count, NULL));
    assert_int_equal(count, 100);
    tikv_future_free(future);
    kv_ok(tikv_raw_checksum(kv.client, NULL, 0, NULL, &got, &count, &bytes));
    assert_true(got == 0 && count == 0 && bytes == 0);
    lock.column_family = "lock";
    kv_fails(tikv_raw_checksum(kv.client, ranges, 1, &lock, NULL, NULL, NULL),
             TIKV_ERR_UNSUPPORTED);
    kv_close(&kv);
}

/* ---- lesson 147: a sorted array beside the cluster ---- */

static const struct {
    const char *bytes;
    size_t len;
} edges[] = { { "", 0 },       { "\0", 1 },       { "\0\0", 2 },
              { "\0\1", 2 },   { "a", 1 },        { "a\0", 2 },
              { "a\xff", 2 },  { "b", 1 },        { "b\xff\xff", 3 },
              { "c", 1 },      { "\xfe\xff", 2 }, { "\xff", 1 },
              { "\xff\0", 2 }, { "\xff\xff", 2 }, { "\xff\xff\xff", 3 } };

#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* Bound `index` of a range; past the edges it is absent. */
static tikv_slice
edge(size_t index)
{
    return index < EDGES ? kv_bytes(edges[index].bytes, edges[index].len)
                         : KV_ABSENT;
}

static int
compare(tikv_slice a, tikv_slice b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

    return order != 0 ? order : (int)a.len - (int)b.len;
}

static bool
covers(tikv_range range, tikv_slice key)
{
    return compare(key, range.start) >= 0 &&
           (range.end.len == 0 || compare(key, range.end) < 0);
}

/* All pages of the range are what the model has, in order. */
static void
check_walk(tikv_client *client, const bool *model, tikv_range range,
           uint32_t page_count, uint32_t flags)
{
    tikv_scan_options options = paged(page_count, flags);
    bool back = (flags & TIKV_SCAN_REVERSE) != 0;
    tikv_range left = range;
    tikv_pairs *held = NULL;
    size_t pages = 0;
    size_t at = 0;
    bool more = true;

    while (more) {
        tikv_pairs *page;
        size_t i;

        assert_true(pages++ <= EDGES + 1);
        kv_ok(tikv_raw_scan(client, left, &options, &page));
        assert_true(tikv_pairs_count(page) <= page_count);
        for (i = 0; i < tikv_pairs_count(page); i++, at++) {
            for (; at < EDGES; at++) {
                size_t place = back ? EDGES - 1 - at : at;

                if (model[place] && covers(range, edge(place))) {
                    break;
                }
            }
            assert_true(at < EDGES);
            assert_true(kv_equal(tikv_pairs_data(page)[i].key,
                                 edge(back ? EDGES - 1 - at : at)));
        }
        more = tikv_pairs_next(page, &left);
        tikv_pairs_free(held);
        held = page;
    }
    tikv_pairs_free(held);
    for (; at < EDGES; at++) {
        size_t place = back ? EDGES - 1 - at : at;

        assert_false(model[place] && covers(range, edge(place)));
    }
}

static void
put_edges(tikv_client *client, bool *model)
{
    size_t i;

    for (i = 0; i < EDGES; i++) {
        kv_ok(tikv_raw_put(client, edge(i), edge(i), NULL));
        model[i] = true;
    }
}

static void
check_bounds(const struct kv *kv, bool *model)
{
    static const uint32_t pages[] = { 1, 2, 5, TIKV_SCAN_PAGE_MAX };
    size_t start;
    size_t end;
    size_t i;

    for (start = 0; start <= EDGES; start++) {
        for (end = 0; end <= EDGES; end++) {
            tikv_range range = { edge(start), edge(end) };

            for (i = 0; i < 4; i++) {
                check_walk(kv->client, model, range, pages[i], 0);
                check_walk(kv->client, model, range, pages[i],
                           TIKV_SCAN_REVERSE);
            }
        }
    }
}

static void
lesson_147__scans_agree_with_a_sorted_array(void **state)
{
    bool model[EDGES];
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    put_edges(kv.client, model);
    check_bounds(&kv, model);
    /* Regions that begin at, before and behind keys that are there. */
    kv_ok(tikv_cluster_split(kv.cluster, edge(1)));
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("aa")));
    kv_ok(tikv_cluster_split(kv.cluster, edge(9)));
    kv_ok(tikv_cluster_split(kv.cluster, edge(13)));
    for (i = 0; i < EDGES; i += 3) {
        kv_ok(tikv_raw_delete(kv.client, edge(i), NULL));
        model[i] = false;
    }
    check_bounds(&kv, model);
    kv_close(&kv);
}

static void
lesson_147__delete_range_agrees_with_a_sorted_array(void **state)
{
    const tikv_range all = { KV_ABSENT, KV_ABSENT };
    bool model[EDGES];
    struct kv kv;
    size_t start;
    size_t end;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_cluster_split(kv.cluster, edge(2)));
    kv_ok(tikv_cluster_split(kv.cluster, edge(7)));
    kv_ok(tikv_cluster_split(kv.cluster, edge(13)));
    for (start = 0; start <= EDGES; start++) {
        for (end = 0; end <= EDGES; end++) {
            tikv_range range = { edge(start), edge(end) };

            put_edges(kv.client, model);
            kv_ok(tikv_raw_delete_range(kv.client, range, NULL));
            for (i = 0; i < EDGES; i++) {
                model[i] = !covers(range, edge(i));
            }
            check_walk(kv.client, model, all, 100, 0);
        }
    }
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(scan__gives_exact_pages_before_and_after_splits),
        harness_test(scan__walks_backwards_with_every_kind_of_bound),
        harness_test(scan__works_in_a_column_family_after_the_leader_moved),
        harness_test(scan__gives_full_pages_over_twenty_regions),
        harness_test(scan__puts_a_region_that_split_meanwhile_in_order),
        harness_test(scan__keys_only_merges_three_regions),
        harness_test(scan__counts_every_kind_of_bound),
        harness_test(batch_scan__answers_ranges_one_after_the_other),
        harness_test(
            delete_range__works_in_a_column_family_after_the_leader_moved),
        harness_test(delete_range__with_open_ends_goes_through_all_regions),
        harness_test(checksum__is_the_xor_over_all_pairs),
        harness_test(lesson_147__scans_agree_with_a_sorted_array),
        harness_test(lesson_147__delete_range_agrees_with_a_sorted_array),
    };
    return harness_run(tests);
}
