/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches of keys, through the public functions: order, duplicates, splits,
 * outcomes of those that fail half-way. timeout: 120
 */
#include "fixture/kv.h"

/* Keys and values in one block. */
struct bulk {
    size_t count;
    tikv_slice *keys;
    tikv_pair *pairs;
    char *bytes;
};

static void
bulk_init(struct bulk *bulk, const char *prefix, size_t count, size_t value_len)
{
    size_t each = 32 + value_len;
    size_t i;

    bulk->count = count;
    bulk->keys = calloc(count, sizeof(*bulk->keys));
    bulk->pairs = calloc(count, sizeof(*bulk->pairs));
    bulk->bytes = calloc(count, each);
    assert_non_null(bulk->keys);
    assert_non_null(bulk->pairs);
    assert_non_null(bulk->bytes);
    for (i = 0; i < count; i++) {
        char *at = bulk->bytes + i * each;

        bulk->keys[i] = kv_number(at, 32, prefix, i);
        memset(at + 32, 'a' + (int)(i % 26), value_len);
        memcpy(at + 32, &i, value_len < sizeof(i) ? value_len : sizeof(i));
        bulk->pairs[i] =
            (tikv_pair){ bulk->keys[i], kv_bytes(at + 32, value_len) };
    }
}

static void
bulk_fini(struct bulk *bulk)
{
    free(bulk->keys);
    free(bulk->pairs);
    free(bulk->bytes);
}

/* All of them are there, in the order asked; or none is. */
static void
bulk_expect(tikv_client *client, const struct bulk *bulk, bool present,
            const tikv_raw_options *options)
{
    tikv_pairs *pairs;
    size_t i;

    kv_ok(tikv_raw_batch_get(client, bulk->keys, bulk->count, options, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), bulk->count);
    for (i = 0; i < bulk->count; i++) {
        const tikv_pair *pair = &tikv_pairs_data(pairs)[i];

        assert_true(kv_equal(pair->key, bulk->keys[i]));
        assert_true(
            kv_equal(pair->value, present ? bulk->pairs[i].value : KV_ABSENT));
    }
    tikv_pairs_free(pairs);
}

static void
batch__crosses_regions_and_request_limits(void **state)
{
    static const char *const at[] = { "key000700", NULL };
    struct bulk bulk;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    bulk_init(&bulk, "key", 1400, 50); /* six requests of 16 KiB, and again
                                         * those sent to the old region */
    bulk_expect(kv.client, &bulk, false, NULL);
    kv_split(&kv, at);
    kv_ok(tikv_raw_batch_put(kv.client, bulk.pairs, bulk.count, NULL));
    assert_in_range(tikv_cluster_calls(kv.cluster, "tikv.RawBatchPut"), 5, 16);
    bulk_expect(kv.client, &bulk, true, NULL);
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("key000123")));
    bulk_expect(kv.client, &bulk, true, NULL);
    kv_ok(tikv_raw_batch_delete(kv.client, bulk.keys, bulk.count, NULL));
    bulk_expect(kv.client, &bulk, false, NULL);
    bulk_fini(&bulk);
    kv_close(&kv);
}

static void
batch__keeps_order_duplicates_and_absent_keys(void **state)
{
    static const char *const at[] = { "b", NULL };
    const tikv_slice keys[] = { kv_text("c"), kv_text("nothing"), kv_text("a"),
                                kv_text("c"), kv_text("") };
    const tikv_pair pairs[] = { { kv_text("c"), kv_text("old") },
                                { kv_text("a"), kv_text("") },
                                { kv_text("c"), kv_text("new") } };
    tikv_pairs *got;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, at);
    kv_ok(tikv_raw_batch_put(kv.client, pairs, 3, NULL));
    kv_ok(tikv_raw_batch_get(kv.client, keys, 5, NULL, &got));
    assert_int_equal(tikv_pairs_count(got), 5);
    for (i = 0; i < 5; i++) {
        const tikv_slice wanted[] = { kv_text("new"), KV_ABSENT, kv_text(""),
                                      kv_text("new"), KV_ABSENT };

        assert_true(kv_equal(tikv_pairs_data(got)[i].key, keys[i]));
        assert_true(kv_equal(tikv_pairs_data(got)[i].value, wanted[i]));
    }
    assert_false(tikv_pairs_next(got, NULL));
    tikv_pairs_free(got);
    kv_close(&kv);
}

static void
batch__of_nothing_sends_nothing(void **state)
{
    tikv_pairs *got;
    uint64_t before;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    before = tikv_cluster_calls(kv.cluster, NULL);
    kv_ok(tikv_raw_batch_put(kv.client, NULL, 0, NULL));
    kv_ok(tikv_raw_batch_delete(kv.client, NULL, 0, NULL));
    kv_ok(tikv_raw_batch_get(kv.client, NULL, 0, NULL, &got));
    assert_int_equal(tikv_pairs_count(got), 0);
    tikv_pairs_free(got);
    assert_int_equal(tikv_cluster_calls(kv.cluster, NULL), before);
    kv_close(&kv);
}

static void
batch__works_in_a_column_family_after_the_leader_moved(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    struct bulk bulk;
    uint64_t region;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    options.column_family = "write";
    bulk_init(&bulk, "key", 5, 4);
    kv_ok(tikv_raw_batch_put(kv.client, bulk.pairs, bulk.count, &options));
    region = tikv_cluster_region_of(kv.cluster, bulk.keys[0]);
    kv_ok(tikv_cluster_transfer_leader(
        kv.cluster, region,
        tikv_cluster_leader_of(kv.cluster, region) % 3 + 1));
    bulk_expect(kv.client, &bulk, true, &options);
    bulk_expect(kv.client, &bulk, false, NULL);
    kv_ok(tikv_raw_batch_delete(kv.client, bulk.keys, bulk.count, &options));
    bulk_expect(kv.client, &bulk, false, &options);
    bulk_fini(&bulk);
    kv_close(&kv);
}

static void
batch__of_a_hundred_thousand_pairs_comes_back(void **state)
{
    enum { COUNT = 99000, PORTION = 1000 };
    static const char *const at[] = { "key030000", "key060000", NULL };
    struct bulk bulk;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, at);
    bulk_init(&bulk, "key", COUNT, 100);
    kv_ok(tikv_raw_batch_put(kv.client, bulk.pairs, COUNT, NULL));
    for (i = 0; i < COUNT; i += PORTION) {
        struct bulk part = { .count = PORTION,
                             .keys = bulk.keys + i,
                             .pairs = bulk.pairs + i };

        bulk_expect(kv.client, &part, true, NULL);
    }
    kv_ok(tikv_raw_batch_delete(kv.client, bulk.keys, COUNT, NULL));
    bulk_expect(kv.client, &bulk, false, NULL);
    bulk_fini(&bulk);
    kv_close(&kv);
}

static void
batch__random_pairs_come_back(void **state)
{
    const struct kv_plan plan = { .stores = 1, .regions = 5 };
    uint32_t random = 1;
    unsigned round;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    for (round = 0; round < 50; round++) {
        char bytes[16][12];
        tikv_pair pairs[16];
        tikv_slice keys[16];
        struct bulk bulk = { .count = 1 + round % 16,
                             .keys = keys,
                             .pairs = pairs };
        size_t i;
        size_t j;

        for (i = 0; i < bulk.count; i++) {
            for (j = 0; j < 12; j++) {
                random = random * 1103515245 + 12345;
                bytes[i][j] = (char)(random >> 16);
            }
            bytes[i][1] = (char)i; /* no key twice */
            keys[i] = kv_bytes(bytes[i], 2 + (random >> 20) % 6);
            pairs[i].key = keys[i];
            pairs[i].value = kv_bytes(bytes[i], (random >> 24) % 12);
            kv_ok(tikv_raw_put(kv.client, keys[i], pairs[i].value, NULL));
        }
        bulk_expect(kv.client, &bulk, true, NULL);
        kv_ok(tikv_raw_batch_delete(kv.client, keys, bulk.count, NULL));
        bulk_expect(kv.client, &bulk, false, NULL);
        kv_ok(tikv_raw_batch_put(kv.client, pairs, bulk.count, NULL));
        bulk_expect(kv.client, &bulk, true, NULL);
        kv_ok(tikv_raw_batch_delete(kv.client, keys, bulk.count, NULL));
    }
    kv_close(&kv);
}

/* ---- lesson 145 ---- */

static void
expect_ttl(tikv_client *client, const char *key, uint64_t low, uint64_t high)
{
    uint64_t ttl = 77;
    bool found = false;

    kv_ok(tikv_raw_ttl(client, kv_text(key), NULL, &found, &ttl));
    assert_true(found);
    assert_in_range(ttl, low, high);
}

static void
lesson_145__each_ttl_stays_with_its_pair(void **state)
{
    const struct kv_plan plan = { .stores = 1, .api = TIKV_CLUSTER_API_V1TTL };
    static const char *const at[] = { "b", "d", NULL };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    const tikv_pair pairs[] = { { kv_text("e"), kv_text("5") },
                                { kv_text("a"), kv_text("1") },
                                { kv_text("c"), kv_text("3") },
                                { kv_text("a"), kv_text("last") },
                                { kv_text("b"), kv_text("2") } };
    const uint64_t ttls[] = { 5000, 1, 3000, 1000, 0 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_expect(kv.client, "a", NULL); /* fills the cache with one region */
    kv_split(&kv, at);
    options.ttls_s = ttls;
    options.ttls_count = 5;
    kv_ok(tikv_raw_batch_put(kv.client, pairs, 5, &options));
    kv_expect(kv.client, "a", "last");
    expect_ttl(kv.client, "a", 900, 1000);
    expect_ttl(kv.client, "b", 0, 0);
    expect_ttl(kv.client, "c", 2900, 3000);
    expect_ttl(kv.client, "e", 4900, 5000);
    options.ttls_s = NULL;
    options.ttls_count = 0;
    options.ttl_s = 20000;
    kv_ok(tikv_raw_batch_put(kv.client, pairs, 5, &options));
    expect_ttl(kv.client, "a", 19900, 20000);
    expect_ttl(kv.client, "e", 19900, 20000);
    kv_close(&kv);
}

/* ---- lesson 146 ---- */

/* 100,000 pairs over ten regions, of which the fifth fails as `what` says. */
static void
fail_one_region(struct kv *kv, const struct bulk *bulk, const char *what,
                tikv_code code, tikv_key_outcome in_region)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_error *error;
    char rule[128];
    size_t done = 0;
    size_t i;

    snprintf(rule, sizeof(rule), "on=tikv.RawBatchPut region=%llu do=%s",
             (unsigned long long)tikv_cluster_region_of(kv->cluster,
                                                        kv_text("key040000")),
             what);
    (void)kv_fault(kv, rule);
    options.call.timeout_ms = 4000;
    error = tikv_raw_batch_put(kv->client, bulk->pairs, bulk->count, &options);
    if (tikv_error_code(error) != code) {
        fail_msg("%s", tikv_error_message(error));
    }
    assert_int_equal(tikv_error_outcomes_count(error), bulk->count);
    tikv_cluster_fault_remove(kv->cluster, 0);
    for (i = 0; i < bulk->count; i++) {
        tikv_key_outcome outcome = tikv_error_outcome(error, i);

        if (i >= 40000 && i < 50000) {
            assert_true(outcome == in_region || outcome == TIKV_KEY_NOT_DONE);
        } else {
            assert_int_not_equal(outcome, TIKV_KEY_UNKNOWN);
        }
        done += outcome == TIKV_KEY_DONE;
    }
    assert_int_equal(tikv_error_outcome(error, bulk->count), TIKV_KEY_NOT_DONE);
    assert_true(done > 0);
    /* What is told done is there; what is told not done is not. */
    for (i = 0; i < bulk->count; i += 499) {
        tikv_key_outcome outcome = tikv_error_outcome(error, i);
        tikv_value *value;

        kv_ok(tikv_raw_get(kv->client, bulk->keys[i], NULL, &value));
        if (outcome != TIKV_KEY_UNKNOWN) {
            assert_int_equal(value != NULL, outcome == TIKV_KEY_DONE);
        }
        tikv_value_free(value);
    }
    tikv_error_free(error);
    kv_ok(tikv_raw_delete_range(kv->client, kv_range("", ""), NULL));
}

static void
lesson_146__a_batch_that_fails_tells_what_is_done(void **state)
{
    struct bulk bulk;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    bulk_init(&bulk, "key", 100000, 8);
    for (i = 10000; i < bulk.count; i += 10000) {
        kv_ok(tikv_cluster_split(kv.cluster, bulk.keys[i]));
    }
    fail_one_region(&kv, &bulk, "region_error(raft_entry_too_large)",
                    TIKV_ERR_TOO_LARGE, TIKV_KEY_NOT_DONE);
    fail_one_region(&kv, &bulk, "drop_response", TIKV_ERR_UNDETERMINED,
                    TIKV_KEY_UNKNOWN);
    kv_ok(tikv_raw_batch_put(kv.client, bulk.pairs, bulk.count, NULL));
    bulk_expect(kv.client, &bulk, true, NULL);
    bulk_fini(&bulk);
    kv_close(&kv);
}

static void
batch__futures_tell_outcomes_too(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    const tikv_slice keys[] = { kv_text("b"), kv_text("a"), kv_text("b") };
    static const char *const at[] = { "b", NULL };
    tikv_future *future;
    tikv_error *error;
    struct kv kv;
    char rule[96];

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, at);
    snprintf(rule, sizeof(rule),
             "on=tikv.RawBatchDelete region=%llu do=drop_response",
             (unsigned long long)tikv_cluster_region_of(kv.cluster, keys[0]));
    (void)kv_fault(&kv, rule);
    options.call.timeout_ms = 300;
    future = tikv_raw_batch_delete_async(kv.client, keys, 3, &options);
    assert_true(tikv_future_wait(future, 10000));
    error = tikv_future_take_done(future);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_UNDETERMINED);
    assert_int_equal(tikv_error_outcomes_count(error), 3);
    assert_int_equal(tikv_error_outcome(error, 0), TIKV_KEY_UNKNOWN);
    assert_int_equal(tikv_error_outcome(error, 1), TIKV_KEY_DONE);
    assert_int_equal(tikv_error_outcome(error, 2), TIKV_KEY_UNKNOWN);
    tikv_error_free(error);
    tikv_future_free(future);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(batch__crosses_regions_and_request_limits),
        harness_test(batch__keeps_order_duplicates_and_absent_keys),
        harness_test(batch__of_nothing_sends_nothing),
        harness_test(batch__works_in_a_column_family_after_the_leader_moved),
        harness_test(batch__of_a_hundred_thousand_pairs_comes_back),
        harness_test(batch__random_pairs_come_back),
        harness_test(lesson_145__each_ttl_stays_with_its_pair),
        harness_test(lesson_146__a_batch_that_fails_tells_what_is_done),
        harness_test(batch__futures_tell_outcomes_too),
    };
    return harness_run(tests);
}
