/* SPDX-License-Identifier: Apache-2.0 */
/* Hedged reads through the public functions, raw and of snapshots, blocking
 * and promised, beside a store that is slow. */
#include "fixture/kv.h"

enum { SLOW_MS = 1000 };

static const char *const settings[] = { "read.hedge_ms", "20",
                                        "read.hedge_percent", "100", NULL };
static const struct kv_plan plan = { .stores = 3, .settings = settings };

static void
slow_leader(struct kv *kv, const char *method)
{
    uint64_t region = tikv_cluster_region_of(kv->cluster, kv_text("k"));
    char rule[96];

    snprintf(rule, sizeof(rule), "on=tikv.%s store=%llu do=delay(%d)", method,
             (unsigned long long)tikv_cluster_leader_of(kv->cluster, region),
             SLOW_MS);
    kv_ok(tikv_cluster_fault(kv->cluster, rule, NULL));
}

static void
expect_hedge(tikv_details *details)
{
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_HEDGES), 1);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_REQUESTS), 2);
    assert_true(tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS) <
                SLOW_MS / 2 * UINT64_C(1000000));
    tikv_details_clear(details);
}

static void
hedge__raw_reads(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_details *details = NULL;
    tikv_value *value = NULL;
    tikv_future *future;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    slow_leader(&kv, "RawGet");
    kv_ok(tikv_details_new(&details));
    options.details = details;
    kv_ok(tikv_raw_get(kv.client, kv_text("k"), &options, &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("v")));
    tikv_value_free(value);
    expect_hedge(details);
    future = tikv_raw_get_async(kv.client, kv_text("k"), &options);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_value(future, &value));
    tikv_future_free(future);
    assert_true(kv_equal(tikv_value_slice(value), kv_text("v")));
    tikv_value_free(value);
    expect_hedge(details);
    tikv_details_free(details);
    kv_close(&kv);
}

static tikv_error *
write_key(tikv_txn *txn, void *arg)
{
    (void)arg;
    return tikv_txn_put(txn, kv_text("k"), kv_text("v"));
}

static void
hedge__reads_of_snapshots(void **state)
{
    tikv_snapshot_options opening = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_range_options page = TIKV_RANGE_OPTIONS_INIT;
    tikv_snapshot *snapshot = NULL;
    tikv_details *details = NULL;
    tikv_value *value = NULL;
    tikv_pairs *pairs = NULL;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_txn_run(kv.client, NULL, write_key, NULL, NULL));
    slow_leader(&kv, "KvGet");
    slow_leader(&kv, "KvScan");
    opening.remember = TIKV_OFF;
    kv_ok(tikv_details_new(&details));
    kv_ok(tikv_snapshot_open(kv.client, &opening, &snapshot));
    options.details = page.details = details;
    kv_ok(tikv_snapshot_get(snapshot, kv_text("k"), &options, &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("v")));
    tikv_value_free(value);
    expect_hedge(details);
    kv_ok(tikv_snapshot_scan(snapshot, kv_range("a", "z"), &page, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 1);
    tikv_pairs_free(pairs);
    expect_hedge(details);
    tikv_snapshot_free(snapshot);
    tikv_details_free(details);
    kv_close(&kv);
}

/* The client closes while both requests are under way. */
static void
hedge__ends_with_its_client(void **state)
{
    tikv_value *value = NULL;
    tikv_future *future;
    tikv_error *error;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    kv_ok(tikv_cluster_fault(kv.cluster, "on=tikv.RawGet do=drop_request",
                             NULL));
    future = tikv_raw_get_async(kv.client, kv_text("k"), NULL);
    while (tikv_cluster_calls(kv.cluster, "tikv.RawGet") < 2) {
        assert_false(tikv_future_wait(future, 1));
    }
    tikv_client_close(kv.client);
    kv.client = NULL;
    assert_true(tikv_future_ready(future));
    error = tikv_future_take_value(future, &value);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_CLOSED);
    tikv_error_free(error);
    tikv_future_free(future);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hedge__raw_reads),
        harness_test(hedge__reads_of_snapshots),
        harness_test(hedge__ends_with_its_client),
    };

    return harness_run(tests);
}
