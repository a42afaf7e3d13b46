/* SPDX-License-Identifier: Apache-2.0 */
/* Reads among the locks of others, by the public functions, over gRPC: of the
 * dead, of those on their way, in memory. timeout: 120 */
#include "client/txn_words.h"

#include "api/client.h"
#include "fixture/data.h"

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

static tikv_snapshot *
open_at(const struct kv *kv, uint64_t version)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;

    options.version = version;
    kv_ok(tikv_snapshot_open(kv->client, &options, &snapshot));
    return snapshot;
}

static void
await(tikv_future *future)
{
    assert_true(tikv_future_wait(future, 20000));
}

static void
expect_and_free(tikv_value *value, const char *expected)
{
    assert_true(kv_equal(tikv_value_slice(value),
                         expected == NULL ? KV_ABSENT : kv_text(expected)));
    tikv_value_free(value);
}

static void
expect_at(const struct kv *kv, uint64_t version, const char *key,
          const char *expected)
{
    tikv_snapshot *snapshot = open_at(kv, version);
    tikv_value *value;

    kv_ok(tikv_snapshot_get(snapshot, kv_text(key), NULL, &value));
    expect_and_free(value, expected);
    tikv_snapshot_free(snapshot);
}

/* ---- what a dead writer left ---- */

static void
reads__decide_what_a_dead_writer_left(void **state)
{
    const char *const keys[] = { "a1", "a2", "a3", "z1", "z2", "z3", NULL };
    int committed;

    (void)state;
    for (committed = 0; committed < 2; committed++) {
        struct data_write write = {
            .keys = keys, .value = "new", .ttl_ms = 50, .txn_size = 6
        };
        struct kv kv;
        size_t i;

        kv_open_plain(&kv);
        txn_split(&kv, "m");
        for (i = 0; i < 6; i++) {
            txn_set(kv.client, keys[i], "old");
        }
        write.start_ts = data_ts(router_of(&kv));
        data_prewrite(router_of(&kv), &write);
        if (committed) {
            data_commit(router_of(&kv), write.start_ts, data_ts(router_of(&kv)),
                        DATA_KEYS("a1", "a2", "a3"));
        }
        for (i = 0; i < 6; i++) {
            expect_at(&kv, 0, keys[i], committed ? "new" : "old");
        }
        kv_ok(tikv_locks_resolve(kv.client, kv_range("", ""), 0, NULL, NULL));
        for (i = 0; i < 6; i++) {
            expect_at(&kv, 0, keys[i], committed ? "new" : "old");
        }
        kv_close(&kv);
    }
}

/* A writer meets a lock on each of its keys. */
static void
reads__of_a_writer_clean_its_way(void **state)
{
    char names[26][2];
    const char *keys[27];
    struct data_write write = { .value = "dead", .ttl_ms = 1 };
    tikv_txn *txn;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < 26; i++) {
        names[i][0] = (char)('a' + i);
        names[i][1] = '\0';
        keys[i] = names[i];
    }
    keys[26] = NULL;
    write.keys = keys;
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    txn = txn_begin(kv.client);
    for (i = 0; i < 26; i++) {
        txn_put(txn, keys[i], "mine");
    }
    txn_commit(txn);
    txn_sees(kv.client, "q", "mine");
    kv_close(&kv);
}

/* ---- on their way ---- */

/* A batch over regions that were split meanwhile, with a lock, and the answer
 * that never comes. */
static void
reads__promised_batches_recover(void **state)
{
    struct data_write write = { .keys = DATA_KEYS("c"),
                                .value = "dead",
                                .ttl_ms = 1 };
    tikv_slice keys[3] = { kv_text("a"), kv_text("b"), kv_text("c") };
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    tikv_future *future;
    tikv_pairs *pairs;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    txn_set(kv.client, "a", "1");
    txn_set(kv.client, "b", "2");
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    txn_split(&kv, "b");
    txn_split(&kv, "c");
    snapshot = open_at(&kv, 0);
    future = tikv_snapshot_batch_get_async(snapshot, keys, 3, NULL);
    await(future);
    kv_ok(tikv_future_take_pairs(future, &pairs));
    tikv_future_free(future);
    assert_true(kv_equal(tikv_pairs_data(pairs)[0].value, kv_text("1")));
    assert_true(kv_equal(tikv_pairs_data(pairs)[1].value, kv_text("2")));
    assert_null(tikv_pairs_data(pairs)[2].value.data);
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
    snapshot = open_at(&kv, 0);
    kv_fault(&kv, "on=tikv.KvBatchGet do=drop_response");
    kv_fault(&kv, "on=tikv.KvGet do=drop_response");
    options.call.timeout_ms = 100;
    future = tikv_snapshot_batch_get_async(snapshot, keys, 3, &options);
    await(future);
    kv_fails(tikv_future_take_pairs(future, &pairs), TIKV_ERR_TIMEOUT);
    tikv_future_free(future);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* Three pairs, of which only the second is new. */
static void
expect_middle_new(tikv_future *future)
{
    tikv_pairs *pairs;
    size_t i;

    await(future);
    kv_ok(tikv_future_take_pairs(future, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 3);
    for (i = 0; i < 3; i++) {
        assert_true(kv_equal(tikv_pairs_data(pairs)[i].value,
                             kv_text(i == 1 ? "new" : "old")));
    }
    tikv_pairs_free(pairs);
}

/* Locks that are in a store's memory only: they take the place of the whole
 * answer, until the writer is done. */
static void
reads__meet_locks_in_memory(void **state)
{
    static const char *const settings[] = { TXN_ASYNC, NULL };
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    tikv_slice keys[3] = { kv_text("a"), kv_text("b"), kv_text("c") };
    tikv_future *futures[3];
    tikv_future *commit;
    tikv_snapshot *snapshot;
    tikv_value *value;
    tikv_txn *txn;
    uint64_t ts;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    for (i = 0; i < 3; i++) {
        const char name[2] = { (char)('a' + i), '\0' };

        txn_set(kv.client, name, "old");
    }
    kv_ok(tikv_cluster_fault(kv.cluster,
                             "on=tikv.KvPrewrite stage=memlock when=nth(1) "
                             "do=barrier(m)",
                             NULL));
    txn = txn_begin(kv.client);
    txn_put(txn, "b", "new");
    commit = tikv_txn_commit_async(txn, NULL);
    assert_true(tikv_cluster_barrier_wait(kv.cluster, "m", 1, 20000));
    snapshot = open_at(&kv, 0);
    futures[0] = tikv_snapshot_get_async(snapshot, keys[1], NULL);
    futures[1] = tikv_snapshot_batch_get_async(snapshot, keys, 3, NULL);
    futures[2] = tikv_snapshot_scan_async(snapshot, kv_range("", ""), NULL);
    /* They come back and are told of the lock. */
    for (i = 0; tikv_snapshot_u64(snapshot, TIKV_SNAPSHOT_LOCKS) < 3; i++) {
        assert_in_range(i, 0, 100000);
        kv_ok(tikv_timestamp(kv.client, NULL, &ts));
    }
    kv_ok(tikv_cluster_barrier_release(kv.cluster, "m", NULL, NULL));
    await(commit);
    kv_ok(tikv_future_take_u64(commit, &ts));
    tikv_future_free(commit);
    tikv_txn_free(txn);
    assert_true(ts <= tikv_snapshot_version(snapshot));
    await(futures[0]);
    kv_ok(tikv_future_take_value(futures[0], &value));
    expect_and_free(value, "new");
    for (i = 1; i < 3; i++) {
        expect_middle_new(futures[i]);
    }
    for (i = 0; i < 3; i++) {
        tikv_future_free(futures[i]);
    }
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* A read of the newest resolves the lock it finds; while it does, somebody
 * else locks the key: that one runs beside it. */
static void
reads__of_the_newest_look_at_one_lock(void **state)
{
    struct data_write first = {
        .keys = DATA_KEYS("k"), .value = "1", .ttl_ms = 1, .is_async = true
    };
    struct data_write second = { .keys = DATA_KEYS("k"),
                                 .value = "2",
                                 .ttl_ms = 60000 };
    tikv_snapshot *snapshot;
    tikv_future *future;
    tikv_value *value;
    struct kv kv;
    unsigned tries = 0;

    (void)state;
    kv_open_plain(&kv);
    first.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &first);
    while (tk_ts_ms(data_ts(router_of(&kv))) <= tk_ts_ms(first.start_ts) + 1) {
        assert_in_range(tries++, 0, 100000);
    }
    snapshot = open_at(&kv, TIKV_VERSION_NEWEST);
    kv_fault(&kv, "on=tikv.KvGet stage=recv when=nth(2) do=barrier(again)");
    future = tikv_snapshot_get_async(snapshot, kv_text("k"), NULL);
    assert_true(tikv_cluster_barrier_wait(kv.cluster, "again", 1, 20000));
    while (data_locks(router_of(&kv), NULL) != 0) {
        assert_in_range(tries++, 0, 100000);
    }
    second.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &second);
    kv_ok(tikv_cluster_barrier_release(kv.cluster, "again", NULL, NULL));
    await(future);
    kv_ok(tikv_future_take_value(future, &value));
    expect_and_free(value, "1");
    tikv_future_free(future);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* Who is held up is listed, by version, while it lasts. */
static void
reads__that_are_held_up_are_listed(void **state)
{
    struct data_write write = { .keys = DATA_KEYS("k", "l"),
                                .value = "1",
                                .ttl_ms = 60000,
                                .is_async = true,
                                .secondaries = DATA_KEYS("l") };
    tikv_lock_info info = { .struct_size = sizeof(info) };
    tikv_locks *locks = NULL;
    tikv_snapshot *snapshot;
    tikv_future *future;
    tikv_value *value;
    tikv_range rest;
    struct kv kv;
    unsigned tries = 0;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_locks_held_up(kv.client, &locks));
    assert_int_equal(tikv_locks_count(locks), 0);
    assert_false(tikv_locks_next(locks, &rest));
    tikv_locks_free(locks);
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    snapshot = open_at(&kv, 0);
    future = tikv_snapshot_get_async(snapshot, kv_text("l"), NULL);
    do {
        assert_in_range(tries++, 0, 100000);
        kv_ok(tikv_locks_held_up(kv.client, &locks));
        if (tikv_locks_at(locks, 0, &info)) {
            assert_true(kv_equal(info.key, kv_text("l")));
            assert_true(kv_equal(info.primary, kv_text("k")));
            assert_int_equal(info.start_ts, write.start_ts);
            assert_int_equal(info.waiter_ts, tikv_snapshot_version(snapshot));
        } else {
            kv_ok(tikv_timestamp(kv.client, NULL, &info.start_ts));
        }
        tikv_locks_free(locks);
    } while (info.waiter_ts == 0);
    data_commit(router_of(&kv), write.start_ts, data_ts(router_of(&kv)),
                DATA_KEYS("k", "l"));
    await(future);
    kv_ok(tikv_future_take_value(future, &value));
    tikv_value_free(value);
    tikv_future_free(future);
    kv_ok(tikv_locks_held_up(kv.client, &locks));
    assert_int_equal(tikv_locks_count(locks), 0);
    tikv_locks_free(locks);
    assert_true(tikv_locks_u64(kv.client, TIKV_LOCKS_READERS) != 0);
    assert_true(tikv_locks_u64(kv.client, TIKV_LOCKS_ALIVE) != 0);
    assert_true(tikv_locks_u64(kv.client, TIKV_LOCKS_WAITS) != 0);
    assert_int_equal(tikv_locks_u64(kv.client, TIKV_LOCKS_WRITERS), 0);
    assert_int_equal(tikv_locks_u64(kv.client, 0), 0);
    assert_int_equal(tikv_locks_u64(kv.client, 99), 0);
    assert_int_equal(tikv_locks_u64(NULL, TIKV_LOCKS_WAITS), 0);
    kv_fails(tikv_locks_held_up(kv.client, NULL), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_locks_held_up(NULL, &locks), TIKV_ERR_ARGUMENT);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(reads__decide_what_a_dead_writer_left),
        harness_test(reads__of_a_writer_clean_its_way),
        harness_test(reads__promised_batches_recover),
        harness_test(reads__meet_locks_in_memory),
        harness_test(reads__of_the_newest_look_at_one_lock),
        harness_test(reads__that_are_held_up_are_listed),
    };

    return harness_run(tests);
}
