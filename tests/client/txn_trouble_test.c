/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commits in trouble: cancelled at every point, on full disks, beside latches
 * and locks of others; and that nothing of what the caller gave is touched.
 * timeout: 120
 */
#include "client/txn_words.h"

#include "api/client.h"
#include "fixture/data.h"

#define QUICK "rpc.attempt_timeout_ms", "60", "call.timeout_ms", "1500"

static const char *const two_phases[] = { TXN_2PC, QUICK, NULL };
static const char *const async[] = { TXN_ASYNC, QUICK, NULL };
static const char *const one_phase[] = { TXN_1PC, QUICK, NULL };
static const struct {
    const char *const *settings;
    const char *point; /* the request that decides */
} ways[] = {
    { two_phases, "tikv.KvCommit" },
    { async, "tikv.KvPrewrite" },
    { one_phase, "tikv.KvPrewrite" },
};

enum { WAYS = 3 };

static void
open_way(struct kv *kv, int way)
{
    const struct kv_plan plan = { .stores = 1, .settings = ways[way].settings };

    kv_open(kv, &plan);
    /* A young leader may not know its timestamps yet, and says so. */
    txn_set(kv->client, "warm", "1");
}

static tikv_txn *
begin_two_keys(const struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    txn_put(txn, "a", "1");
    txn_put(txn, "b", "1");
    return txn;
}

/* ---- cancels ---- */

/* The request that decides stands at a barrier when the caller gives up:
 * with the answer it is committed, without one nobody knows. */
static void
cancel__behind_the_commit_point_waits_for_the_answer(void **state)
{
    int way;

    (void)state;
    for (way = 0; way < 2 * WAYS; way++) {
        bool is_lost = way >= WAYS;
        tikv_call call = TIKV_CALL_INIT;
        tikv_cancel *cancel;
        tikv_future *future;
        tikv_error *error;
        char rule[80];
        tikv_txn *txn;
        struct kv kv;

        open_way(&kv, way % WAYS);
        snprintf(rule, sizeof(rule), "on=%s do=barrier(held)",
                 ways[way % WAYS].point);
        kv_fault(&kv, rule);
        kv_ok(tikv_cancel_new(&cancel));
        call.cancel = cancel;
        txn = begin_two_keys(&kv);
        future = tikv_txn_commit_async(txn, &call);
        assert_true(tikv_cluster_barrier_wait(kv.cluster, "held", 1, 10000));
        tikv_cancel_raise(cancel);
        assert_false(tikv_future_wait(future, 20));
        if (!is_lost) {
            tikv_cluster_fault_remove(kv.cluster, 0);
            kv_ok(tikv_cluster_barrier_release(kv.cluster, "held", NULL, NULL));
        }
        assert_true(tikv_future_wait(future, 10000));
        error = tikv_future_take_u64(future, NULL);
        if (is_lost) {
            kv_fails(error, TIKV_ERR_UNDETERMINED);
        } else {
            kv_ok(error);
            txn_sees(kv.client, "b", "1");
        }
        tikv_future_free(future);
        tikv_txn_free(txn);
        tikv_cancel_free(cancel);
        tikv_cluster_fault_remove(kv.cluster, 0);
        kv_ok(tikv_cluster_barrier_release(kv.cluster, "held", NULL, NULL));
        kv_close(&kv);
    }
}

/* What goes on behind a commit is not the caller's any more: neither the
 * secondaries of one that succeeded nor the locks of one that failed. */
static void
cancel__stops_nothing_behind_the_end(void **state)
{
    int way;

    (void)state;
    for (way = 0; way < WAYS; way++) {
        tikv_call call = TIKV_CALL_INIT;
        tikv_cancel *cancel;
        tikv_txn *loser;
        tikv_txn *txn;
        struct kv kv;

        open_way(&kv, way);
        txn_split(&kv, "b");
        kv_ok(tikv_cancel_new(&cancel));
        call.cancel = cancel;
        loser = txn_begin(kv.client);
        txn_put(loser, "0", "1");
        txn_put(loser, "b", "1");
        txn = begin_two_keys(&kv);
        kv_ok(tikv_txn_commit(txn, &call, NULL));
        tikv_txn_free(txn);
        kv_fails(tikv_txn_commit(loser, &call, NULL), TIKV_ERR_WRITE_CONFLICT);
        tikv_txn_free(loser);
        tikv_cancel_raise(cancel);
        txn_leaves_no_lock(&kv);
        kv.client = kv_client(&kv, NULL);
        txn_sees(kv.client, "b", "1");
        txn_sees(kv.client, "0", NULL);
        tikv_cancel_free(cancel);
        kv_close(&kv);
    }
}

/* ---- disks ---- */

static void
disk__almost_full_takes_only_what_may(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;
    tikv_txn *txn;
    struct kv kv;
    int way;

    (void)state;
    for (way = 0; way < WAYS; way++) {
        open_way(&kv, way);
        kv_ok(tikv_cluster_store_disk(kv.cluster, 1,
                                      TIKV_CLUSTER_DISK_ALMOST_FULL));
        txn = begin_two_keys(&kv);
        error = tikv_txn_commit(txn, NULL, NULL);
        /* When time ends while one more try is on its way, that is a doubt. */
        kv_fails(error, tikv_error_is_undetermined(error)
                            ? TIKV_ERR_UNDETERMINED
                            : TIKV_ERR_TIMEOUT);
        tikv_txn_free(txn);
        options.disk_full = TIKV_DISK_FULL_ALMOST;
        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, "a", "2");
        txn_commit(txn);
        txn_settle(&kv);
        kv.client = kv_client(&kv, ways[way].settings);
        kv_ok(tikv_cluster_store_disk(kv.cluster, 1, TIKV_CLUSTER_DISK_FULL));
        options.disk_full = TIKV_DISK_FULL_ALREADY;
        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, "a", "3");
        txn_commit(txn);
        txn_sees(kv.client, "a", "3");
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

/* ---- others ---- */

/* A reader looks past the lock of a living transaction, which it may have
 * pushed; prewritten again, the transaction commits above what was read. */
static void
lock__of_the_living_hides_nothing_and_commits_later(void **state)
{
    const struct kv_plan plan = { .stores = 1 };
    struct tk_router *router;
    struct data_write write = { .keys = DATA_KEYS("k"), .value = "new" };
    tikv_txn *reader;
    uint64_t commit_ts;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    router = &kv.client->txns->router;
    txn_set(kv.client, "k", "old");
    write.start_ts = data_ts(router);
    write.ttl_ms = 60000;
    data_prewrite(router, &write);
    reader = txn_begin(kv.client);
    txn_expect(reader, "k", "old");
    data_prewrite(router, &write);
    commit_ts = data_ts(router);
    data_commit(router, write.start_ts, commit_ts, DATA_KEYS("k"));
    assert_true(commit_ts > tikv_txn_start_ts(reader));
    txn_expect(reader, "k", "old");
    tikv_txn_free(reader);
    txn_sees(kv.client, "k", "new");
    kv_close(&kv);
}

/* One key is locked by a stranger, the other was committed by this client
 * since: known without a request. */
static void
latch__knows_of_a_conflict_before_any_lock_is_met(void **state)
{
    static const char *const latches[] = { "txn.latches_count", "64", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = latches };
    struct data_write other = { .keys = DATA_KEYS("a"), .value = "v" };
    struct tk_router *router;
    uint64_t before;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    router = &kv.client->txns->router;
    txn = begin_two_keys(&kv);
    txn_set(kv.client, "b", "2");
    other.start_ts = data_ts(router);
    other.ttl_ms = 60000;
    data_prewrite(router, &other);
    before = txn_calls(&kv, "tikv.KvPrewrite");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(txn_calls(&kv, "tikv.KvPrewrite"), before);
    tikv_txn_free(txn);
    data_roll_back(router, other.start_ts, DATA_KEYS("a"));
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- doubt ---- */

static void
lesson_20__the_cluster_is_asked_what_became_of_it(void **state)
{
    int way;

    (void)state;
    for (way = 0; way < 2 * WAYS; way++) {
        bool was_done = way >= WAYS;
        tikv_outcome outcome = -1;
        uint64_t commit_ts = 0;
        tikv_error *error;
        char rule[80];
        tikv_txn *txn;
        struct kv kv;

        open_way(&kv, way % WAYS);
        snprintf(rule, sizeof(rule), "on=%s do=drop_%s", ways[way % WAYS].point,
                 was_done ? "response" : "request");
        kv_fault(&kv, rule);
        txn = begin_two_keys(&kv);
        error = tikv_txn_commit(txn, NULL, NULL);
        tikv_txn_free(txn);
        /* The fault stays: what was sent last may still be on its way. All
         * that is needed is in the error. */
        {
            tikv_call call = TIKV_CALL_INIT;

            call.timeout_ms = 10000;
            kv_ok(tikv_txn_outcome(kv.client,
                                   tikv_error_u64(error, TIKV_ERROR_START_TS),
                                   tikv_error_bytes(error, TIKV_ERROR_PRIMARY),
                                   &call, &outcome, &commit_ts));
        }
        kv_fails(error, TIKV_ERR_UNDETERMINED);
        assert_int_equal(outcome, was_done ? TIKV_OUTCOME_COMMITTED
                                           : TIKV_OUTCOME_ROLLED_BACK);
        assert_int_equal(commit_ts != 0, was_done);
        txn_sees(kv.client, "a", was_done ? "1" : NULL);
        kv_close(&kv);
    }
}

/* ---- the caller's memory ---- */

struct given {
    char bytes[4][4];
    tikv_slice keys[4];
};

static void
give(struct given *given)
{
    static const char texts[4][4] = { "d", "a", "c", "a" };
    int i;

    memset(given, 0, sizeof(*given));
    memcpy(given->bytes, texts, sizeof(texts));
    for (i = 0; i < 4; i++) {
        given->keys[i] = kv_text(given->bytes[i]);
    }
}

static void
lesson_151__what_the_caller_gave_stays_as_it_is(void **state)
{
    struct given given;
    struct given before;
    tikv_pairs *pairs;
    tikv_value *value;
    tikv_txn *txn;
    struct kv kv;
    int i;

    (void)state;
    kv_open_plain(&kv);
    txn_split(&kv, "b");
    give(&given);
    before = given;
    txn = txn_begin(kv.client);
    for (i = 0; i < 4; i++) {
        kv_ok(tikv_txn_put(txn, given.keys[i], given.keys[i]));
    }
    kv_ok(tikv_txn_lock(txn, given.keys, 4, NULL));
    kv_ok(tikv_txn_batch_get(txn, given.keys, 4, NULL, &pairs));
    tikv_pairs_free(pairs);
    kv_ok(tikv_txn_get(txn, given.keys[0], NULL, &value));
    tikv_value_free(value);
    txn_commit(txn);
    assert_memory_equal(&given, &before, sizeof(given));
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_batch_get(txn, given.keys, 4, NULL, &pairs));
    for (i = 0; i < 4; i++) {
        /* In the order asked, doubles too. */
        const tikv_pair *pair = &tikv_pairs_data(pairs)[i];

        assert_true(kv_equal(pair->key, before.keys[i]));
        assert_true(kv_equal(pair->value, before.keys[i]));
    }
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    kv_ok(tikv_raw_batch_get(kv.client, given.keys, 4, NULL, &pairs));
    tikv_pairs_free(pairs);
    kv_ok(tikv_raw_batch_delete(kv.client, given.keys, 4, NULL));
    assert_memory_equal(&given, &before, sizeof(given));
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cancel__behind_the_commit_point_waits_for_the_answer),
        harness_test(cancel__stops_nothing_behind_the_end),
        harness_test(disk__almost_full_takes_only_what_may),
        harness_test(lock__of_the_living_hides_nothing_and_commits_later),
        harness_test(latch__knows_of_a_conflict_before_any_lock_is_met),
        harness_test(lesson_20__the_cluster_is_asked_what_became_of_it),
        harness_test(lesson_151__what_the_caller_gave_stays_as_it_is),
    };

    return harness_run(tests);
}
