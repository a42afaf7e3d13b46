/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps and topology, through the public functions. */
#include <sched.h>

#include "fixture/kv.h"

static void
timestamp__grows_with_every_call(void **state)
{
    uint64_t last = 0;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < 100; i++) {
        uint64_t ts;

        kv_ok(tikv_timestamp(kv.client, NULL, &ts));
        assert_true(ts > last);
        last = ts;
    }
    assert_true(TIKV_TIMESTAMP_MS(last) > INT64_C(1600000000000));
    kv_fails(tikv_timestamp(kv.client, NULL, NULL), TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

static void
timestamp__recent_and_past_need_no_request(void **state)
{
    uint64_t recent = 0;
    uint64_t again = 0;
    uint64_t past = 0;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_timestamp_recent(kv.client, NULL, &recent));
    kv_ok(tikv_timestamp_recent(kv.client, NULL, &again));
    kv_ok(tikv_timestamp_past(kv.client, NULL, 10000, &past));
    assert_true(again >= recent);
    assert_in_range(TIKV_TIMESTAMP_MS(recent) - TIKV_TIMESTAMP_MS(past), 8000,
                    10000);
    assert_in_range(tikv_cluster_calls(kv.cluster, "pd.Tso"), 1, 3);
    kv_fails(tikv_timestamp_past(kv.client, NULL, UINT64_MAX, &past),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_timestamp_recent(kv.client, NULL, NULL), TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

static void
timestamp__tells_when_something_expires(void **state)
{
    uint64_t later;
    uint64_t calls;
    uint64_t ts;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_timestamp(kv.client, NULL, &ts));
    calls = tikv_cluster_calls(kv.cluster, "pd.*");
    later = ts + (UINT64_C(10) << 18);
    assert_int_equal(tikv_timestamp_until_expired(kv.client, later, 15), 25);
    assert_int_equal(tikv_timestamp_until_expired(kv.client, ts, 0), 0);
    ts -= UINT64_C(10) << 18;
    assert_int_equal(tikv_timestamp_until_expired(kv.client, ts, 6), -4);
    assert_int_equal(tikv_timestamp_until_expired(kv.client, ts, 14), 4);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "pd.*"), calls);
    assert_int_equal(tikv_timestamp_until_expired(NULL, later, 15), 0);
    kv_close(&kv);
}

static void
timestamp__external_only_grows(void **state)
{
    uint64_t now = 0;
    uint64_t ts = 1;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_external_timestamp(kv.client, NULL, &ts));
    assert_int_equal(ts, 0);
    kv_ok(tikv_timestamp(kv.client, NULL, &now));
    kv_ok(tikv_external_timestamp_set(kv.client, NULL, now));
    kv_ok(tikv_external_timestamp(kv.client, NULL, &ts));
    assert_int_equal(ts, now);
    kv_fails(tikv_external_timestamp_set(kv.client, NULL, now - 1),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_external_timestamp_set(kv.client, NULL,
                                         now + (UINT64_C(60000) << 18)),
             TIKV_ERR_ARGUMENT);
    kv_ok(tikv_external_timestamp(kv.client, NULL, &ts));
    assert_int_equal(ts, now);

    kv_ok(tikv_timestamp_min(kv.client, NULL, &ts));
    assert_true(ts > now);
    kv_close(&kv);
}

static int
compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static void
timestamp__futures_share_requests_and_are_all_different(void **state)
{
    enum { COUNT = 2000 };
    static tikv_future *futures[COUNT];
    static uint64_t stamps[COUNT];
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < COUNT; i++) {
        futures[i] = tikv_timestamp_async(kv.client, NULL);
    }
    assert_true(tikv_future_wait_all(futures, COUNT, 20000));
    for (i = 0; i < COUNT; i++) {
        kv_ok(tikv_future_take_u64(futures[i], &stamps[i]));
        tikv_future_free(futures[i]);
    }
    qsort(stamps, COUNT, sizeof(stamps[0]), compare_numbers);
    for (i = 1; i < COUNT; i++) {
        assert_true(stamps[i] != stamps[i - 1]);
    }
    assert_true(tikv_cluster_calls(kv.cluster, "pd.Tso") < COUNT);
    kv_close(&kv);
}

static void
timestamp__ends_at_its_deadline(void **state)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_future *future;
    uint64_t ts = 7;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    (void)kv_fault(&kv, "on=pd.Tso do=drop_request");
    call.timeout_ms = 50;
    kv_fails(tikv_timestamp(kv.client, &call, &ts), TIKV_ERR_TIMEOUT);
    assert_int_equal(ts, 7);
    future = tikv_timestamp_async(kv.client, &call);
    assert_true(tikv_future_wait(future, 5000));
    kv_fails(tikv_future_take_u64(future, &ts), TIKV_ERR_TIMEOUT);
    tikv_future_free(future);
    call.timeout_ms = 0;
    call.deadline_ns = 1; /* long ago */
    future = tikv_timestamp_async(kv.client, &call);
    assert_true(tikv_future_wait(future, 5000));
    kv_fails(tikv_future_take_u64(future, &ts), TIKV_ERR_TIMEOUT);
    tikv_future_free(future);
    kv_close(&kv);
}

static void
timestamp__ends_when_cancelled_and_when_closed(void **state)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_future *futures[3];
    uint64_t ts;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    (void)kv_fault(&kv, "on=pd.Tso do=drop_request");
    futures[0] = tikv_timestamp_async(kv.client, NULL);
    tikv_future_cancel(futures[0]);
    kv_ok(tikv_cancel_new(&call.cancel));
    futures[1] = tikv_timestamp_async(kv.client, &call);
    tikv_cancel_raise(call.cancel);
    futures[2] = tikv_timestamp_async(kv.client, &call); /* raised before */
    for (i = 0; i < 3; i++) {
        assert_true(tikv_future_wait(futures[i], 5000));
        kv_fails(tikv_future_take_u64(futures[i], &ts), TIKV_ERR_CANCELLED);
        tikv_future_free(futures[i]);
    }
    tikv_cancel_free(call.cancel);
    for (i = 0; i < 3; i++) {
        futures[i] = tikv_timestamp_async(kv.client, NULL);
    }
    kv_close(&kv);
    for (i = 0; i < 3; i++) {
        assert_true(tikv_future_ready(futures[i]));
        kv_fails(tikv_future_take_u64(futures[i], &ts), TIKV_ERR_CLOSED);
        tikv_future_free(futures[i]);
    }
}

static void
timestamp__futures_follow_the_leader(void **state)
{
    const struct kv_plan plan = { .stores = 1, .pds = 3 };
    tikv_future *futures[50];
    uint64_t last;
    struct kv kv;
    uint32_t round;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_timestamp(kv.client, NULL, &last));
    for (round = 0; round < 4; round++) {
        uint64_t most = last;

        for (i = 0; i < 50; i++) {
            if (i == 25) {
                kv_ok(tikv_cluster_pd_transfer(kv.cluster, (round + 1) % 3));
            }
            futures[i] = tikv_timestamp_async(kv.client, NULL);
        }
        assert_true(tikv_future_wait_all(futures, 50, 20000));
        for (i = 0; i < 50; i++) {
            uint64_t ts;

            kv_ok(tikv_future_take_u64(futures[i], &ts));
            assert_true(ts > last);
            most = ts > most ? ts : most;
            tikv_future_free(futures[i]);
        }
        last = most;
    }
    kv_close(&kv);
}

/* ---- topology ---- */

/* Whoever is asked at that time answers by himself: nobody is not ready. */
static void
timestamp__safe_is_one_that_every_replica_can_read_at(void **state)
{
    static const char *const settings[] = { "txn.scope", "z1", NULL };
    const struct kv_plan plan = { .stores = 3, .pds = 1, .regions = 4 };
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    tikv_client *local;
    tikv_future *future;
    tikv_pairs *pairs;
    uint64_t now;
    uint64_t safe = 0;
    uint64_t again;
    int64_t until;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_timestamp(kv.client, NULL, &now));
    until = tikv_now_ns() + INT64_C(20000000000);
    while (safe < now) {
        assert_true(tikv_now_ns() < until);
        kv_ok(tikv_timestamp_safe(kv.client, NULL, NULL, &safe));
        sched_yield();
    }
    future = tikv_timestamp_safe_async(kv.client, NULL, "global");
    assert_true(tikv_future_wait(future, 20000));
    kv_ok(tikv_future_take_u64(future, &again));
    tikv_future_free(future);
    assert_true(again >= safe);

    options.version = safe;
    options.stale_read = TIKV_ON;
    options.read_from = TIKV_READ_FROM_FOLLOWER;
    kv_ok(tikv_snapshot_open(kv.client, &options, &snapshot));
    kv_ok(tikv_snapshot_scan(snapshot, kv_range("", ""), NULL, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 0);
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
    assert_true(tikv_cluster_calls(kv.cluster, "tikv.KvScan") >= 4);
    assert_int_equal(
        tikv_cluster_seen(kv.cluster, NULL, "region_error:data_is_not_ready"),
        0);
    /* No store has that label. */
    local = kv_client(&kv, settings);
    kv_ok(tikv_timestamp_safe(local, NULL, NULL, &again));
    assert_int_equal(again, 0);
    kv_ok(tikv_timestamp_safe(local, NULL, "global", &again));
    assert_true(again >= safe);
    tikv_client_close(local);
    kv_fails(tikv_timestamp_safe(kv.client, NULL, NULL, NULL),
             TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

static void
regions__are_listed_in_the_order_of_keys(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    static const char *const at[] = { "b", "d", "f", NULL };
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_regions *regions;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_split(&kv, at);
    kv_ok(tikv_regions_list(kv.client, kv_range("", ""), 0, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 4);
    for (i = 0; i < 4; i++) {
        assert_true(tikv_regions_at(regions, i, &info));
        assert_true(
            kv_equal(info.start, i == 0 ? kv_text("") : kv_text(at[i - 1])));
        assert_true(kv_equal(info.end, i == 3 ? kv_text("") : kv_text(at[i])));
        assert_true(info.id == tikv_cluster_region_of(kv.cluster, info.start));
        assert_true(info.leader_store_id ==
                    tikv_cluster_leader_of(kv.cluster, info.id));
        assert_int_equal(info.peers_count, 3);
        assert_true(info.version > 0 && info.conf_ver > 0);
    }
    assert_false(tikv_regions_at(regions, 4, &info));
    tikv_regions_free(regions);
    kv_ok(tikv_regions_list(kv.client, kv_range("c", "e"), 0, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 2);
    tikv_regions_free(regions);
    kv_ok(tikv_regions_list(kv.client, kv_range("", ""), 3, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 3);
    tikv_regions_free(regions);
    kv_ok(tikv_regions_list(kv.client, kv_range("e", "c"), 0, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 0);
    tikv_regions_free(regions);
    kv_close(&kv);
}

static void
regions__of_more_than_one_page_are_all_there(void **state)
{
    enum { SPLITS = 1500 };
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_regions *regions;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < SPLITS; i++) {
        char key[16];

        kv_ok(
            tikv_cluster_split(kv.cluster, kv_number(key, sizeof(key), "", i)));
    }
    kv_ok(tikv_regions_list(kv.client, kv_range("", ""), 0, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), SPLITS + 1);
    for (i = 1; i <= SPLITS; i++) {
        char key[16];

        assert_true(tikv_regions_at(regions, i, &info));
        assert_true(
            kv_equal(info.start, kv_number(key, sizeof(key), "", i - 1)));
    }
    tikv_regions_free(regions);
    kv_close(&kv);
}

static void
stores__are_listed_without_those_that_are_gone(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    tikv_store_info info = { .struct_size = sizeof(info) };
    tikv_store_info old = { .struct_size = offsetof(tikv_store_info, state) };
    tikv_stores *stores;
    const char *key;
    char address[64];
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_stores_list(kv.client, NULL, &stores));
    assert_int_equal(tikv_stores_count(stores), 3);
    for (i = 0; i < 3; i++) {
        assert_true(tikv_stores_at(stores, i, &info));
        assert_true(tikv_cluster_store_address(kv.cluster, info.id, address,
                                               sizeof(address)));
        assert_string_equal(info.address, address);
        assert_string_equal(info.state, "Up");
        assert_false(
            tikv_stores_label(stores, i, info.labels_count, &key, NULL));
    }
    assert_true(tikv_stores_at(stores, 0, &old));
    assert_non_null(old.address);
    assert_null(old.state); /* the caller is older: untouched */
    assert_false(tikv_stores_at(stores, 3, &info));
    tikv_stores_free(stores);
    kv_ok(tikv_cluster_store_remove(kv.cluster, 2));
    kv_ok(tikv_stores_list(kv.client, NULL, &stores));
    assert_int_equal(tikv_stores_count(stores), 2);
    tikv_stores_free(stores);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(timestamp__grows_with_every_call),
        harness_test(timestamp__recent_and_past_need_no_request),
        harness_test(timestamp__tells_when_something_expires),
        harness_test(timestamp__external_only_grows),
        harness_test(timestamp__futures_share_requests_and_are_all_different),
        harness_test(timestamp__ends_at_its_deadline),
        harness_test(timestamp__ends_when_cancelled_and_when_closed),
        harness_test(timestamp__futures_follow_the_leader),
        harness_test(timestamp__safe_is_one_that_every_replica_can_read_at),
        harness_test(regions__are_listed_in_the_order_of_keys),
        harness_test(regions__of_more_than_one_page_are_all_there),
        harness_test(stores__are_listed_without_those_that_are_gone),
    };
    return harness_run(tests);
}
