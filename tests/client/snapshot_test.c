/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots by the public functions, over gRPC. timeout: 120 */
#include "fixture/kv.h"

#include "api/client.h"
#include "fixture/data.h"
#include "wire/key.h"

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

static void
split(const struct kv *kv, const char *key)
{
    struct tk_buf encoded;

    tk_buf_init(&encoded, 1000);
    tk_key_encode(&encoded, kv_text(key));
    kv_ok(tikv_cluster_split(kv->cluster, tk_buf_slice(&encoded)));
    tk_buf_fini(&encoded);
}

/* a .. z, their own names as values, in three regions. */
static void
fill(const struct kv *kv)
{
    struct data_write write = { .start_ts = data_ts(router_of(kv)) };
    char names[26][2];
    const char *keys[27];
    size_t i;

    split(kv, "h");
    split(kv, "p");
    for (i = 0; i < 26; i++) {
        names[i][0] = (char)('a' + i);
        names[i][1] = '\0';
        keys[i] = names[i];
    }
    keys[26] = NULL;
    write.keys = keys;
    write.value = "v";
    data_prewrite(router_of(kv), &write);
    data_commit(router_of(kv), write.start_ts, data_ts(router_of(kv)), keys);
}

static tikv_snapshot *
open_now(const struct kv *kv)
{
    tikv_snapshot *snapshot;

    kv_ok(tikv_snapshot_open(kv->client, NULL, &snapshot));
    return snapshot;
}

static void
snapshot__reads_by_every_door(void **state)
{
    struct kv kv;
    tikv_snapshot *snapshot;
    tikv_slice keys[3] = { kv_text("b"), kv_text("0"), kv_text("q") };
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_future *futures[3];
    tikv_pairs *pairs;
    tikv_value *value;
    tikv_range rest;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    assert_true(tikv_snapshot_version(snapshot) != 0);
    kv_ok(tikv_snapshot_get(snapshot, kv_text("a"), NULL, &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("v")));
    assert_int_equal(tikv_value_commit_ts(value), 0);
    tikv_value_free(value);
    kv_ok(tikv_snapshot_get(snapshot, kv_text("0"), NULL, &value));
    assert_null(value);
    options.flags = TIKV_READ_COMMIT_TS;
    kv_ok(tikv_snapshot_get(snapshot, kv_text("a"), &options, &value));
    assert_true(tikv_value_commit_ts(value) != 0);
    kv_ok(tikv_snapshot_batch_get(snapshot, keys, 3, &options, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 3);
    assert_true(kv_equal(tikv_pairs_data(pairs)[2].key, keys[2]));
    assert_true(kv_equal(tikv_pairs_data(pairs)[0].value, kv_text("v")));
    assert_null(tikv_pairs_data(pairs)[1].value.data);
    assert_int_equal(tikv_pairs_commit_ts(pairs, 0),
                     tikv_value_commit_ts(value));
    assert_int_equal(tikv_pairs_commit_ts(pairs, 1), 0);
    tikv_value_free(value);
    tikv_pairs_free(pairs);
    futures[0] = tikv_snapshot_get_async(snapshot, keys[0], NULL);
    futures[1] = tikv_snapshot_batch_get_async(snapshot, keys, 3, NULL);
    futures[2] = tikv_snapshot_scan_async(snapshot, kv_range("a", "z"), NULL);
    /* The snapshot may go: they hold what they need. */
    tikv_snapshot_free(snapshot);
    assert_true(tikv_future_wait_all(futures, 3, 20000));
    kv_ok(tikv_future_take_value(futures[0], &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("v")));
    tikv_value_free(value);
    kv_ok(tikv_future_take_pairs(futures[1], &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 3);
    tikv_pairs_free(pairs);
    kv_ok(tikv_future_take_pairs(futures[2], &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 25);
    assert_false(tikv_pairs_next(pairs, &rest));
    tikv_pairs_free(pairs);
    tikv_future_free(futures[0]);
    tikv_future_free(futures[1]);
    tikv_future_free(futures[2]);
    kv_close(&kv);
}

/* Forth and back, whole and in parts, by pages of several sizes. */
static void
snapshot__iterates_both_ways(void **state)
{
    static const uint32_t pages[] = { 1, 2, 10, 256 };
    struct kv kv;
    tikv_snapshot *snapshot;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    for (i = 0; i < 2 * sizeof(pages) / sizeof(pages[0]); i++) {
        tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
        bool reverse = i % 2 == 1;
        char expected = reverse ? 'y' : 'b';
        tikv_iter *iter;
        tikv_pair pair;

        options.page_count = pages[i / 2];
        options.flags = reverse ? TIKV_SCAN_REVERSE : 0;
        kv_ok(tikv_snapshot_iterate(snapshot, kv_range("b", "z"), &options,
                                    &iter));
        for (;;) {
            kv_ok(tikv_iter_next(iter, 20000, &pair));
            if (pair.key.data == NULL) {
                break;
            }
            assert_int_equal(pair.key.data[0], expected);
            assert_int_equal(pair.value.len, 1);
            expected = (char)(reverse ? expected - 1 : expected + 1);
        }
        assert_int_equal(expected, reverse ? 'a' : 'z');
        /* The end stays the end. */
        kv_ok(tikv_iter_next(iter, 0, &pair));
        assert_null(pair.key.data);
        tikv_iter_free(iter);
    }
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

static void
snapshot__iterator_fetches_ahead(void **state)
{
    struct kv kv;
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    tikv_iter *iter;
    tikv_pair pair;
    unsigned tries = 0;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    options.page_count = 3;
    kv_ok(tikv_snapshot_iterate(snapshot, kv_range("a", "h"), &options, &iter));
    kv_ok(tikv_iter_next(iter, 20000, &pair));
    assert_int_equal(pair.key.data[0], 'a');
    /* The second page comes without being asked for. */
    while (tikv_cluster_calls(kv.cluster, "tikv.KvScan") < 2) {
        assert_in_range(tries++, 0, 100000);
        kv_ok(tikv_timestamp(kv.client, NULL, &(uint64_t){ 0 }));
    }
    tikv_iter_free(iter);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

static void
snapshot__deadline_and_cancel_end_iterators(void **state)
{
    struct kv kv;
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    tikv_cancel *cancel;
    tikv_iter *iter;
    tikv_pair pair;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    kv_fault(&kv, "on=tikv.KvScan do=drop_response");
    kv_ok(tikv_cancel_new(&cancel));
    options.call.cancel = cancel;
    kv_ok(tikv_snapshot_iterate(snapshot, kv_range("a", "z"), &options, &iter));
    kv_fails(tikv_iter_next(iter, 10, &pair), TIKV_ERR_TIMEOUT);
    tikv_cancel_raise(cancel);
    kv_fails(tikv_iter_next(iter, 20000, &pair), TIKV_ERR_CANCELLED);
    kv_fails(tikv_iter_next(iter, 20000, &pair), TIKV_ERR_CANCELLED);
    tikv_iter_free(iter);
    options.call.cancel = NULL;
    options.call.timeout_ms = 20;
    kv_ok(tikv_snapshot_iterate(snapshot, kv_range("a", "z"), &options, &iter));
    kv_fails(tikv_iter_next(iter, 20000, &pair), TIKV_ERR_TIMEOUT);
    tikv_iter_free(iter);
    /* Freed with a page on its way. */
    options.call.timeout_ms = 0;
    kv_ok(tikv_snapshot_iterate(snapshot, kv_range("a", "z"), &options, &iter));
    tikv_iter_free(iter);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
    tikv_cancel_free(cancel);
}

static void
snapshot__outlives_its_client(void **state)
{
    struct kv kv;
    tikv_snapshot *snapshot;
    tikv_iter *iter;
    tikv_value *value;
    tikv_pair pair;
    tikv_future *future;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    kv_ok(tikv_snapshot_iterate(snapshot, kv_range("a", "z"), NULL, &iter));
    kv_close(&kv);
    kv_fails(tikv_snapshot_get(snapshot, kv_text("a"), NULL, &value),
             TIKV_ERR_CLOSED);
    future = tikv_snapshot_get_async(snapshot, kv_text("a"), NULL);
    kv_fails(tikv_future_take_value(future, &value), TIKV_ERR_CLOSED);
    tikv_future_free(future);
    tikv_error_free(tikv_iter_next(iter, 0, &pair));
    tikv_iter_free(iter);
    tikv_snapshot_free(snapshot);
}

static void
snapshot__refuses_what_makes_no_sense(void **state)
{
    struct kv kv;
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_range_options range = TIKV_RANGE_OPTIONS_INIT;
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    tikv_snapshot *none;
    tikv_value *value;
    tikv_pairs *pairs;
    tikv_iter *iter;

    (void)state;
    kv_open_plain(&kv);
    options.isolation = 3;
    kv_fails(tikv_snapshot_open(kv.client, &options, &snapshot),
             TIKV_ERR_ARGUMENT);
    assert_null(snapshot);
    options.isolation = 0;
    options.read_from = -1;
    kv_fails(tikv_snapshot_open(kv.client, &options, &snapshot),
             TIKV_ERR_ARGUMENT);
    options.read_from = 0;
    options.version = INT64_MAX;
    kv_fails(tikv_snapshot_open(kv.client, &options, &snapshot),
             TIKV_ERR_ARGUMENT);
    options.version = 0;
    options.labels = "zone";
    kv_fails(tikv_snapshot_open(kv.client, &options, &snapshot),
             TIKV_ERR_ARGUMENT);
    options.labels = "zone=z1,disk=ssd";
    kv_ok(tikv_snapshot_open(kv.client, &options, &snapshot));
    kv_fails(tikv_snapshot_get(snapshot, KV_ABSENT, NULL, &value),
             TIKV_ERR_ARGUMENT);
    read.flags = 2;
    kv_fails(tikv_snapshot_get(snapshot, kv_text("a"), &read, &value),
             TIKV_ERR_ARGUMENT);
    range.page_count = TIKV_SCAN_PAGE_MAX + 1;
    kv_fails(tikv_snapshot_scan(snapshot, kv_range("", ""), &range, &pairs),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_snapshot_scan(NULL, kv_range("", ""), NULL, &pairs),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_snapshot_iterate(NULL, kv_range("", ""), NULL, &iter),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_iter_next(NULL, 0, NULL), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_snapshot_open(NULL, NULL, &none), TIKV_ERR_ARGUMENT);
    assert_null(none);
    assert_int_equal(tikv_snapshot_u64(snapshot, 0), 0);
    assert_int_equal(tikv_snapshot_u64(snapshot, 99), 0);
    assert_int_equal(tikv_snapshot_u64(NULL, TIKV_SNAPSHOT_GETS), 0);
    kv_ok(tikv_snapshot_batch_get(snapshot, NULL, 0, NULL, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 0);
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
    tikv_snapshot_free(NULL);
    tikv_iter_free(NULL);
    kv_close(&kv);
}

/* Boundaries that the client does not know of (T0250, T1051). */
static void
snapshot__batch_get_follows_splits(void **state)
{
    struct kv kv;
    tikv_slice keys[4] = { kv_text("a"), kv_text("c"), kv_text("e"),
                           kv_text("z") };
    tikv_snapshot *snapshot;
    tikv_pairs *pairs;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_now(&kv);
    split(&kv, "b");
    split(&kv, "d");
    kv_ok(tikv_snapshot_batch_get(snapshot, keys, 4, NULL, &pairs));
    for (i = 0; i < 4; i++) {
        assert_non_null(tikv_pairs_data(pairs)[i].value.data);
    }
    tikv_pairs_free(pairs);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

struct reader {
    tikv_snapshot *snapshot;
    struct kv *kv;
};

static void
read_much(void *arg)
{
    struct reader *reader = arg;
    tikv_slice keys[3] = { kv_text("a"), kv_text("0"), kv_text("z") };
    size_t i;

    for (i = 0; i < 30; i++) {
        tikv_pairs *pairs;
        tikv_value *value;

        kv_ok(tikv_snapshot_get(reader->snapshot, keys[i % 3], NULL, &value));
        assert_true((value == NULL) == (i % 3 == 1));
        tikv_value_free(value);
        kv_ok(tikv_snapshot_batch_get(reader->snapshot, keys, 3, NULL, &pairs));
        assert_null(tikv_pairs_data(pairs)[1].value.data);
        tikv_pairs_free(pairs);
    }
}

static void
snapshot__is_for_many_threads(void **state)
{
    struct kv kv;
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct reader reader;
    struct tk_thread *threads[5];
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    reader = (struct reader){ open_now(&kv), &kv };
    for (i = 0; i < 5; i++) {
        threads[i] = rt->ops->spawn(rt, "reader", read_much, &reader);
    }
    for (i = 0; i < 5; i++) {
        rt->ops->join(rt, threads[i]);
    }
    tikv_snapshot_free(reader.snapshot);
    kv_close(&kv);
    tk_runtime_posix_free(rt);
}

/* What a crash leaves: the whole of it is read back, old or new, at a cost
 * that does not grow with the number of locks (lesson 41). */
static void
lesson_41__many_locks_of_one_transaction_cost_little(void **state)
{
    enum { LOCKS = 200 };
    struct kv kv;
    struct data_write write = { .value = "new", .txn_size = 100000 };
    char names[LOCKS][8];
    const char *keys[LOCKS + 2];
    tikv_slice slices[LOCKS];
    tikv_snapshot *snapshot;
    tikv_pairs *pairs;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    split(&kv, "k100");
    for (i = 0; i < LOCKS; i++) {
        snprintf(names[i], sizeof(names[i]), "k%03zu", i);
        keys[i + 1] = names[i];
        slices[i] = kv_text(names[i]);
    }
    keys[0] = "a";
    keys[LOCKS + 1] = NULL;
    write.keys = keys;
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    data_commit(router_of(&kv), write.start_ts, data_ts(router_of(&kv)),
                DATA_KEYS("a"));
    snapshot = open_now(&kv);
    kv_ok(tikv_snapshot_batch_get(snapshot, slices, LOCKS, NULL, &pairs));
    for (i = 0; i < LOCKS; i++) {
        assert_true(kv_equal(tikv_pairs_data(pairs)[i].value, kv_text("new")));
    }
    tikv_pairs_free(pairs);
    assert_int_equal(tikv_snapshot_u64(snapshot, TIKV_SNAPSHOT_LOCKS), LOCKS);
    /* Two regions, two rounds; one question. */
    assert_int_equal(tikv_snapshot_u64(snapshot, TIKV_SNAPSHOT_BATCH_GETS), 4);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.KvCheckTxnStatus"),
                     1);
    tikv_snapshot_free(snapshot);
    for (i = 0; data_locks(router_of(&kv), NULL) != 0; i++) {
        assert_in_range(i, 0, 100000);
    }
    assert_in_range(tikv_cluster_calls(kv.cluster, "tikv.KvResolveLock"), 1, 2);
    kv_close(&kv);
}

/* ---- lesson 116: the newest is read, not remembered ---- */

/* What each door gives for `key` in a snapshot: its first byte, 0: nothing. */
static void
all_doors(tikv_snapshot *snapshot, const char *key, char expected)
{
    tikv_slice slice = kv_text(key);
    tikv_value *values[2];
    tikv_future *future;
    tikv_pairs *pairs;
    size_t i;

    kv_ok(tikv_snapshot_get(snapshot, slice, NULL, &values[0]));
    future = tikv_snapshot_get_async(snapshot, slice, NULL);
    assert_true(tikv_future_wait(future, 20000));
    kv_ok(tikv_future_take_value(future, &values[1]));
    tikv_future_free(future);
    for (i = 0; i < 2; i++) {
        assert_int_equal(values[i] == NULL
                             ? 0
                             : tikv_value_slice(values[i]).data[0],
                         expected);
        tikv_value_free(values[i]);
    }
    kv_ok(tikv_snapshot_batch_get(snapshot, &slice, 1, NULL, &pairs));
    slice = tikv_pairs_data(pairs)[0].value;
    assert_int_equal(slice.data == NULL ? 0 : slice.data[0], expected);
    tikv_pairs_free(pairs);
}

/* Writes what it read before, plus one. */
static void
count_up(const struct kv *kv, const char *key, char expected)
{
    char next[2] = { (char)(expected == 0 ? '1' : expected + 1), 0 };
    tikv_value *value;
    tikv_txn *txn;
    size_t i;

    kv_ok(tikv_txn_begin(kv->client, NULL, &txn));
    for (i = 0; i < 2; i++) {
        kv_ok(tikv_txn_get(txn, kv_text(key), NULL, &value));
        assert_int_equal(value == NULL ? 0 : tikv_value_slice(value).data[0],
                         expected);
        tikv_value_free(value);
    }
    kv_ok(tikv_txn_put(txn, kv_text(key), kv_text(next)));
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    tikv_txn_free(txn);
}

static void
lesson_116__the_newest_is_never_remembered(void **state)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *newest, *before;
    struct kv kv;
    char last;

    (void)state;
    kv_open_plain(&kv);
    options.version = TIKV_VERSION_NEWEST;
    kv_ok(tikv_snapshot_open(kv.client, &options, &newest));
    before = open_now(&kv);
    /* Neither a value nor its absence stays, whoever read it by which door;
     * a snapshot of a time keeps both. */
    all_doors(newest, "n", 0);
    all_doors(before, "n", 0);
    for (last = 0; last != '5'; last = (char)(last == 0 ? '1' : last + 1)) {
        all_doors(newest, "n", last);
        count_up(&kv, "n", last);
    }
    all_doors(newest, "n", '5');
    all_doors(before, "n", 0);
    tikv_snapshot_free(newest);
    tikv_snapshot_free(before);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(snapshot__reads_by_every_door),
        harness_test(snapshot__iterates_both_ways),
        harness_test(snapshot__iterator_fetches_ahead),
        harness_test(snapshot__deadline_and_cancel_end_iterators),
        harness_test(snapshot__outlives_its_client),
        harness_test(snapshot__refuses_what_makes_no_sense),
        harness_test(snapshot__batch_get_follows_splits),
        harness_test(snapshot__is_for_many_threads),
        harness_test(lesson_41__many_locks_of_one_transaction_cost_little),
        harness_test(lesson_116__the_newest_is_never_remembered),
    };

    return harness_run(tests);
}
