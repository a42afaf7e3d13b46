/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a commit answers when requests and answers are lost, and what
 * tikv_txn_outcome() makes of it. timeout: 120
 */
#include "client/txn_words.h"

/* Attempts are given up quickly, calls a little later. */
#define QUICK "rpc.attempt_timeout_ms", "60", "call.timeout_ms", "1500"

static const char *const two_phases[] = { TXN_2PC, QUICK, NULL };
static const char *const async[] = { TXN_ASYNC, QUICK, NULL };
static const char *const one_phase[] = { TXN_1PC, QUICK, NULL };
static const struct kv_plan plain = { .stores = 1, .settings = two_phases };
static const struct kv_plan with_async = { .stores = 1, .settings = async };
static const struct kv_plan with_one_phase = { .stores = 1,
                                               .settings = one_phase };

struct doubt {
    const struct kv_plan *plan;
    const char *point; /* the request that decides */
};

static const struct doubt doubts[] = {
    { &plain, "tikv.KvCommit" },
    { &with_async, "tikv.KvPrewrite" },
    { &with_one_phase, "tikv.KvPrewrite" },
};

static uint64_t
fault_at(const struct kv *kv, const char *point, const char *rest)
{
    char rule[160];

    snprintf(rule, sizeof(rule), "on=%s %s", point, rest);
    return kv_fault(kv, rule);
}

static tikv_txn *
begin_two_keys(const struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    txn_put(txn, "a", "1");
    txn_put(txn, "b", "1");
    return txn;
}

/* What the cluster says, within five seconds. */
static tikv_outcome
ask(const struct kv *kv, uint64_t start_ts, tikv_slice primary,
    uint64_t *commit_ts)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome = -1;

    call.timeout_ms = 10000;
    kv_ok(tikv_txn_outcome(kv->client, start_ts, primary, &call, &outcome,
                           commit_ts));
    return outcome;
}

/* The answer is lost once: the request is sent again, TiKV knows it did it. */
static void
txn__survives_one_lost_answer(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        uint64_t ts;

        kv_open(&kv, doubts[i].plan);
        fault_at(&kv, doubts[i].point, "when=first(1) do=drop_response");
        ts = txn_commit(begin_two_keys(&kv));
        txn_sees(kv.client, "a", "1");
        txn_sees(kv.client, "b", "1");
        assert_true(ts != 0);
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

/* Executed, and every answer lost. */
static void
lesson_1__a_lost_answer_at_the_commit_point_is_undetermined(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        uint64_t commit_ts = 0;
        tikv_txn *txn;
        tikv_error *error;

        kv_open(&kv, doubts[i].plan);
        txn = begin_two_keys(&kv);
        fault_at(&kv, doubts[i].point, "do=drop_response");
        error = tikv_txn_commit(txn, NULL, NULL);
        assert_true(tikv_error_is_undetermined(error));
        assert_false(tikv_error_is_retryable(error));
        assert_int_equal(tikv_error_u64(error, TIKV_ERROR_START_TS),
                         tikv_txn_start_ts(txn));
        assert_true(kv_equal(tikv_error_bytes(error, TIKV_ERROR_PRIMARY),
                             kv_text("a")));
        tikv_error_free(error);
        kv_fails(tikv_txn_rollback(txn, NULL), TIKV_ERR_STATE);
        assert_int_equal(txn_calls(&kv, "tikv.KvBatchRollback"), 0);
        tikv_cluster_fault_remove(kv.cluster, 0);
        assert_int_equal(
            ask(&kv, tikv_txn_start_ts(txn), tikv_txn_primary(txn), &commit_ts),
            TIKV_OUTCOME_COMMITTED);
        assert_true(commit_ts > tikv_txn_start_ts(txn));
        tikv_txn_free(txn);
        txn_sees(kv.client, "a", "1");
        txn_sees(kv.client, "b", "1");
        kv_close(&kv);
    }
}

/* Never executed, which nobody could know. */
static void
lesson_3__a_lost_request_is_undetermined_and_left_alone(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_txn *txn;

        kv_open(&kv, doubts[i].plan);
        txn = begin_two_keys(&kv);
        fault_at(&kv, doubts[i].point, "do=drop_request");
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_UNDETERMINED);
        assert_int_equal(txn_calls(&kv, "tikv.KvBatchRollback"), 0);
        tikv_cluster_fault_remove(kv.cluster, 0);
        assert_int_equal(
            ask(&kv, tikv_txn_start_ts(txn), tikv_txn_primary(txn), NULL),
            TIKV_OUTCOME_ROLLED_BACK);
        tikv_txn_free(txn);
        txn_sees(kv.client, "a", NULL);
        txn_sees(kv.client, "b", NULL);
        kv_close(&kv);
    }
}

/* A prewrite of two phases decides nothing: lost is failed. */
static void
txn__of_two_phases_fails_when_a_prewrite_is_lost(void **state)
{
    tikv_error *error;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plain);
    txn = begin_two_keys(&kv);
    fault_at(&kv, "tikv.KvPrewrite", "do=drop_response");
    error = tikv_txn_commit(txn, NULL, NULL);
    assert_false(tikv_error_is_undetermined(error));
    kv_fails(error, TIKV_ERR_TIMEOUT);
    tikv_txn_free(txn);
    tikv_cluster_fault_remove(kv.cluster, 0);
    txn_settle(&kv);
    assert_true(txn_calls(&kv, "tikv.KvBatchRollback") >= 1);
    assert_int_equal(txn_locks(&kv), 0);
    kv_close(&kv);
}

/* One region refuses, the other does not answer: that is a refusal. */
static void
lesson_4__a_definite_error_outweighs_a_lost_sibling(void **state)
{
    const struct kv_plan *plans[] = { &plain, &with_async };
    tikv_txn *txn;
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        kv_open(&kv, plans[i]);
        txn_split(&kv, "b");
        txn_set(kv.client, "a", "0");
        txn = begin_two_keys(&kv);
        txn_set(kv.client, "b", "winner");
        fault_at(&kv, "tikv.KvPrewrite", "key=a do=drop_response");
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
        tikv_txn_free(txn);
        tikv_cluster_fault_remove(kv.cluster, 0);
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

static void
lesson_5__undetermined_result_is_never_sent_again(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_txn *txn;
        uint64_t before;

        kv_open(&kv, doubts[i].plan);
        /* A young leader may not know its timestamps yet, and says so. */
        txn_set(kv.client, "warm", "1");
        txn = begin_two_keys(&kv);
        fault_at(&kv, doubts[i].point, "do=region_error(undetermined_result)");
        before = txn_calls(&kv, doubts[i].point);
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_UNDETERMINED);
        assert_int_equal(txn_calls(&kv, doubts[i].point), before + 1);
        tikv_txn_free(txn);
        tikv_cluster_fault_remove(kv.cluster, 0);
        kv_close(&kv);
    }
}

/* False: the time was over while a request was on its way, which leaves a
 * doubt that has nothing to do with the answers before. */
static bool
fails_for_certain(const struct doubt *doubt)
{
    tikv_error *error;
    bool is_certain;
    tikv_txn *txn;
    struct kv kv;

    kv_open(&kv, doubt->plan);
    txn = begin_two_keys(&kv);
    fault_at(&kv, doubt->point, "do=region_error(not_leader)");
    error = tikv_txn_commit(txn, NULL, NULL);
    is_certain = !tikv_error_is_undetermined(error);
    kv_fails(error, is_certain ? TIKV_ERR_TIMEOUT : TIKV_ERR_UNDETERMINED);
    tikv_txn_free(txn);
    tikv_cluster_fault_remove(kv.cluster, 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
    return is_certain;
}

/* Region errors are answers: nothing was done. */
static void
lesson_6__what_was_never_executed_leaves_no_doubt(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        unsigned chances = 5;

        while (!fails_for_certain(&doubts[i])) {
            assert_true(--chances > 0);
        }
    }
}

static void
lesson_8__doubt_outlives_later_region_errors(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_txn *txn;

        kv_open(&kv, doubts[i].plan);
        txn = begin_two_keys(&kv);
        fault_at(&kv, doubts[i].point, "when=first(1) do=drop_response");
        fault_at(&kv, doubts[i].point, "do=region_error(not_leader)");
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_UNDETERMINED);
        tikv_txn_free(txn);
        tikv_cluster_fault_remove(kv.cluster, 0);
        kv_close(&kv);
    }
}

/* The flag that lets TiKV recognise a request, as tests elsewhere see it:
 * the second prewrite finds the locks of the first. */
static void
lesson_11__a_split_between_two_attempts_is_no_conflict(void **state)
{
    const struct kv_plan *plans[] = { &plain, &with_async };
    tikv_txn *txn;
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        kv_open(&kv, plans[i]);
        txn_set(kv.client, "b", "0");
        txn = begin_two_keys(&kv);
        fault_at(&kv, "tikv.KvPrewrite", "when=first(1) do=drop_response");
        fault_at(&kv, "tikv.KvPrewrite",
                 "when=first(1) do=region_error(not_leader)");
        txn_split(&kv, "b");
        txn_commit(txn);
        txn_sees(kv.client, "a", "1");
        txn_sees(kv.client, "b", "1");
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

/* A cancel before the commit point ends it; behind it the answer counts. */
static void
lesson_9__a_cancel_never_splits_a_commit(void **state)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_cancel *cancel;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plain);
    kv_ok(tikv_cancel_new(&cancel));
    call.cancel = cancel;
    tikv_cancel_raise(cancel);
    txn = begin_two_keys(&kv);
    kv_fails(tikv_txn_commit(txn, &call, NULL), TIKV_ERR_CANCELLED);
    tikv_txn_free(txn);
    assert_int_equal(txn_calls(&kv, "tikv.KvPrewrite"), 0);
    tikv_cancel_free(cancel);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(txn__survives_one_lost_answer),
        harness_test(
            lesson_1__a_lost_answer_at_the_commit_point_is_undetermined),
        harness_test(lesson_3__a_lost_request_is_undetermined_and_left_alone),
        harness_test(txn__of_two_phases_fails_when_a_prewrite_is_lost),
        harness_test(lesson_4__a_definite_error_outweighs_a_lost_sibling),
        harness_test(lesson_5__undetermined_result_is_never_sent_again),
        harness_test(lesson_6__what_was_never_executed_leaves_no_doubt),
        harness_test(lesson_8__doubt_outlives_later_region_errors),
        harness_test(lesson_9__a_cancel_never_splits_a_commit),
        harness_test(lesson_11__a_split_between_two_attempts_is_no_conflict),
    };

    return harness_run(tests);
}
