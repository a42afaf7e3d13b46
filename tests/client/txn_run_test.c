/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways to run transactions: the retry loop, futures, several threads, and what
 * is left of them when nobody ends them or the client closes. timeout: 120
 */
#include "client/txn_words.h"

#include <stdatomic.h>

#include "exec/runtime.h"

static const char *const two_phases[] = { TXN_2PC, NULL };
static const struct kv_plan plain = { .stores = 1, .settings = two_phases };
static const struct kv_plan usual = { .stores = 1 };

/* ---- the retry loop ---- */

struct counter {
    tikv_client *client;
    unsigned runs;
    unsigned conflicts; /* to make, one per run */
    tikv_code fails_with;
};

static tikv_error *
count_up(tikv_txn *txn, void *arg)
{
    struct counter *counter = arg;
    tikv_value *value;
    char text[16];
    int number = 0;

    counter->runs++;
    kv_ok(tikv_txn_get(txn, kv_text("n"), NULL, &value));
    if (value != NULL) {
        number = tikv_value_slice(value).data[0] - '0';
    }
    tikv_value_free(value);
    if (counter->fails_with != TIKV_OK) {
        return tikv_error_new(counter->fails_with, "the body says no");
    }
    if (counter->conflicts > 0) {
        counter->conflicts--;
        txn_set(counter->client, "n", "5");
    }
    snprintf(text, sizeof(text), "%d", number + 1);
    return tikv_txn_put(txn, kv_text("n"), kv_text(text));
}

static void
run__does_it_again_after_a_conflict(void **state)
{
    struct counter counter = { .conflicts = 2 };
    uint64_t commit_ts = 0;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    counter.client = kv.client;
    kv_ok(tikv_txn_run(kv.client, NULL, count_up, &counter, &commit_ts));
    assert_int_equal(counter.runs, 3);
    assert_true(commit_ts > 0);
    txn_sees(kv.client, "n", "6");
    kv_close(&kv);
}

static void
run__gives_up_when_attempts_or_time_are_used_up(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    struct counter counter = { .conflicts = 100 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    counter.client = kv.client;
    options.attempts_count = 3;
    kv_fails(tikv_txn_run(kv.client, &options, count_up, &counter, NULL),
             TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(counter.runs, 3);
    /* The trouble is the answer, not the clock. */
    options.attempts_count = 1000000;
    options.call.timeout_ms = 200 * harness_stretch();
    counter.conflicts = 1000000;
    kv_fails(tikv_txn_run(kv.client, &options, count_up, &counter, NULL),
             TIKV_ERR_WRITE_CONFLICT);
    kv_close(&kv);
}

struct late {
    const struct kv *kv;
    int64_t until_ns;
    unsigned runs;
};

/* The first attempt loses against another, the second lasts too long. */
static tikv_error *
lose_then_be_late(tikv_txn *txn, void *arg)
{
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    struct late *late = arg;
    tikv_value *value;

    if (++late->runs == 1) {
        txn_set(late->kv->client, "n", "5");
        return tikv_txn_put(txn, kv_text("n"), kv_text("6"));
    }
    (void)kv_fault(late->kv, "on=tikv.KvGet do=drop_request");
    options.call.deadline_ns = late->until_ns + 1000000;
    return tikv_txn_get(txn, kv_text("n"), &options, &value);
}

static void
run__blames_the_conflict_that_cost_the_time(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    struct late late = { .runs = 0 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    late.kv = &kv;
    late.until_ns = tikv_now_ns() + 500000000 * (int64_t)harness_stretch();
    options.call.deadline_ns = late.until_ns;
    kv_fails(
        tikv_txn_run(kv.client, &options, lose_then_be_late, &late, NULL),
        TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(late.runs, 2);
    kv_close(&kv);
}

static void
run__ends_with_the_bodys_error(void **state)
{
    struct counter counter = { .fails_with = TIKV_ERR_USER };
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    counter.client = kv.client;
    kv_fails(tikv_txn_run(kv.client, NULL, count_up, &counter, NULL),
             TIKV_ERR_USER);
    assert_int_equal(counter.runs, 1);
    txn_sees(kv.client, "n", NULL);
    kv_close(&kv);
}

static void
run__never_repeats_what_is_undetermined(void **state)
{
    static const char *const quick[] = { "rpc.attempt_timeout_ms", "60",
                                         "call.timeout_ms", "400", NULL };
    static const struct kv_plan plan = { .stores = 1, .settings = quick };
    struct counter counter = { .conflicts = 0 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    counter.client = kv.client;
    kv_fault(&kv, "on=tikv.KvPrewrite do=drop_response");
    kv_fails(tikv_txn_run(kv.client, NULL, count_up, &counter, NULL),
             TIKV_ERR_UNDETERMINED);
    assert_int_equal(counter.runs, 1);
    tikv_cluster_fault_remove(kv.cluster, 0);
    kv_close(&kv);
}

/* ---- futures and ends ---- */

static void
future__promises_what_the_call_gives(void **state)
{
    const tikv_slice keys[] = { kv_text("a"), kv_text("z") };
    tikv_future *future;
    tikv_value *value;
    tikv_pairs *pairs;
    uint64_t ts = 0;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plain);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "1");
    future = tikv_txn_get_async(txn, kv_text("a"), NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_value(future, &value));
    assert_true(kv_equal(tikv_value_slice(value), kv_text("1")));
    tikv_value_free(value);
    tikv_future_free(future);
    future = tikv_txn_batch_get_async(txn, keys, 2, NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_pairs(future, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 2);
    tikv_pairs_free(pairs);
    tikv_future_free(future);
    future = tikv_txn_scan_async(txn, kv_range("a", "b"), NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_pairs(future, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 1);
    tikv_pairs_free(pairs);
    tikv_future_free(future);
    /* Freed while it commits: the future holds what it needs. */
    future = tikv_txn_commit_async(txn, NULL);
    kv_fails(tikv_txn_put(txn, keys[0], keys[0]), TIKV_ERR_STATE);
    tikv_txn_free(txn);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_u64(future, &ts));
    tikv_future_free(future);
    assert_true(ts > 0);
    txn_sees(kv.client, "a", "1");
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "2");
    future = tikv_txn_rollback_async(txn, NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_done(future));
    tikv_future_free(future);
    tikv_txn_free(txn);
    txn_sees(kv.client, "a", "1");
    kv_close(&kv);
}

static void
lesson_64__an_abandoned_transaction_leaves_nothing(void **state)
{
    struct kv kv;
    tikv_txn *txn;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "1");
    tikv_txn_free(txn);
    txn_set(kv.client, "a", "2");
    txn_sees(kv.client, "a", "2");
    kv_close(&kv);
}

static void
close__leaves_transactions_that_only_can_be_freed(void **state)
{
    tikv_future *future;
    tikv_value *value;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "1");
    txn_settle(&kv);
    kv_fails(tikv_txn_get(txn, kv_text("a"), NULL, &value), TIKV_ERR_CLOSED);
    kv_fails(tikv_txn_put(txn, kv_text("a"), kv_text("2")), TIKV_ERR_CLOSED);
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_CLOSED);
    future = tikv_txn_commit_async(txn, NULL);
    kv_fails(tikv_future_take_u64(future, NULL), TIKV_ERR_CLOSED);
    tikv_future_free(future);
    assert_true(tikv_txn_start_ts(txn) > 0);
    tikv_txn_free(txn);
    kv_close(&kv);
}

/* ---- threads ---- */

enum { WRITERS = 4, WRITES = 200 };

struct writer {
    tikv_txn *txn;
    unsigned number;
    _Atomic unsigned *refused;
};

static void
write_and_read(void *arg)
{
    struct writer *writer = arg;
    char name[32];
    size_t i;

    for (i = 0; i < WRITES; i++) {
        tikv_slice key =
            kv_number(name, sizeof(name), "k", writer->number * WRITES + i);
        tikv_error *error = tikv_txn_put(writer->txn, key, key);
        tikv_value *value = NULL;

        if (error == NULL) {
            error = tikv_txn_get(writer->txn, key, NULL, &value);
        }
        tikv_value_free(value);
        if (error != NULL) {
            /* The commit came in between. */
            if (tikv_error_code(error) == TIKV_ERR_STATE) {
                atomic_fetch_add(writer->refused, 1);
            }
            tikv_error_free(error);
        }
    }
}

/* Any thread may write; who comes after the end is told so, that is all. */
static void
lesson_61__threads_share_a_transaction_and_its_end(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    int late;

    (void)state;
    for (late = 0; late < 2; late++) {
        struct writer writers[WRITERS];
        struct tk_thread *threads[WRITERS];
        _Atomic unsigned refused = 0;
        tikv_txn *txn;
        struct kv kv;
        unsigned i;

        kv_open(&kv, &usual);
        txn = txn_begin(kv.client);
        for (i = 0; i < WRITERS; i++) {
            writers[i] = (struct writer){ txn, i, &refused };
            threads[i] =
                rt->ops->spawn(rt, "writer", write_and_read, &writers[i]);
        }
        for (i = 0; i < WRITERS && late == 0; i++) {
            rt->ops->join(rt, threads[i]);
        }
        kv_ok(tikv_txn_commit(txn, NULL, NULL));
        for (i = 0; i < WRITERS && late == 1; i++) {
            rt->ops->join(rt, threads[i]);
        }
        if (late == 0) {
            assert_int_equal(atomic_load(&refused), 0);
            txn_sees(kv.client, "k000799", "k000799");
        }
        tikv_txn_free(txn);
        kv_close(&kv);
    }
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(run__does_it_again_after_a_conflict),
        harness_test(run__gives_up_when_attempts_or_time_are_used_up),
        harness_test(run__blames_the_conflict_that_cost_the_time),
        harness_test(run__ends_with_the_bodys_error),
        harness_test(run__never_repeats_what_is_undetermined),
        harness_test(future__promises_what_the_call_gives),
        harness_test(lesson_64__an_abandoned_transaction_leaves_nothing),
        harness_test(close__leaves_transactions_that_only_can_be_freed),
        harness_test(lesson_61__threads_share_a_transaction_and_its_end),
    };

    return harness_run(tests);
}
