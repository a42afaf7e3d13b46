/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all raw operations have in common, blocking and promised: success,
 * deadlines, cancelling, closing, refusals, recovery after every fault.
 */
#include <pthread.h>
#include <sched.h>

#include "fixture/kv_calls.h"

static void
open_ttl(struct kv *kv)
{
    const struct kv_plan plan = { .stores = 3, .api = TIKV_CLUSTER_API_V1TTL };

    kv_open(kv, &plan);
}

static uint64_t
lose_requests(const struct kv *kv, const struct kv_row *row)
{
    char rule[96];

    snprintf(rule, sizeof(rule), "on=%s do=drop_request", row->method);
    return kv_fault(kv, rule);
}

/* A write is in doubt, unless it surely never left: then the cluster has not
 * seen it, which is what `seen` tells. */
static void
check_end(const struct kv_row *row, tikv_error *error, tikv_code code,
          uint64_t seen)
{
    tikv_code got = tikv_error_code(error);
    bool may_be_sure = !row->is_write || seen == 0;
    bool may_doubt = row->is_write;

    if (!(may_be_sure && got == code) &&
        !(may_doubt && got == TIKV_ERR_UNDETERMINED)) {
        fail_msg("%s: %s", row->name, tikv_error_message(error));
    }
    tikv_error_free(error);
}

static void
calls__succeed_blocking_and_promised(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        const struct kv_row *row = &kv_rows[i];
        tikv_future *future;

        kv_ok(row->call(kv.client, NULL));
        future = row->promise(kv.client, NULL);
        assert_true(tikv_future_wait(future, 10000));
        kv_ok(row->take(future));
        kv_fails(row->take(future), TIKV_ERR_TAKEN);
        tikv_future_free(future);
    }
    kv_close(&kv);
}

static void
calls__end_at_their_deadline(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        const struct kv_row *row = &kv_rows[i];
        tikv_call call = TIKV_CALL_INIT;
        tikv_future *future;
        tikv_error *error;
        uint64_t fault;
        uint64_t seen;
        int64_t begin;

        kv_ok(row->call(kv.client, NULL));
        fault = lose_requests(&kv, row);
        begin = tikv_now_ns();
        call.timeout_ms = 60;
        error = row->call(kv.client, &call);
        seen = tikv_cluster_fault_hits(kv.cluster, fault);
        check_end(row, error, TIKV_ERR_TIMEOUT, seen);
        assert_true(tikv_now_ns() - begin <
                    harness_stretch() * INT64_C(2000000000));
        call.timeout_ms = 0;
        call.deadline_ns = tikv_now_ns() + 60000000;
        future = row->promise(kv.client, &call);
        assert_true(tikv_future_wait(future, 10000));
        check_end(row, row->take(future), TIKV_ERR_TIMEOUT,
                  tikv_cluster_fault_hits(kv.cluster, fault) - seen);
        tikv_future_free(future);
        tikv_cluster_fault_remove(kv.cluster, fault);
    }
    kv_close(&kv);
}

struct raiser {
    const struct kv *kv;
    uint64_t fault;
    tikv_cancel *cancel;
};

static void *
raise_when_hit(void *arg)
{
    const struct raiser *raiser = arg;

    while (tikv_cluster_fault_hits(raiser->kv->cluster, raiser->fault) == 0) {
        sched_yield();
    }
    tikv_cancel_raise(raiser->cancel);
    return NULL;
}

static void
cancel_blocking(const struct kv *kv, const struct kv_row *row)
{
    struct raiser raiser = { .kv = kv };
    tikv_call call = TIKV_CALL_INIT;
    pthread_t thread;

    kv_ok(tikv_cancel_new(&raiser.cancel));
    raiser.fault = lose_requests(kv, row);
    call.cancel = raiser.cancel;
    assert_int_equal(pthread_create(&thread, NULL, raise_when_hit, &raiser), 0);
    check_end(row, row->call(kv->client, &call), TIKV_ERR_CANCELLED, 1);
    pthread_join(thread, NULL);
    tikv_cluster_fault_remove(kv->cluster, raiser.fault);
    tikv_cancel_free(raiser.cancel);
}

static void
cancel_promised(const struct kv *kv, const struct kv_row *row)
{
    uint64_t fault = lose_requests(kv, row);
    tikv_future *future = row->promise(kv->client, NULL);

    /* What is held back goes out when somebody waits. */
    while (tikv_cluster_fault_hits(kv->cluster, fault) == 0) {
        assert_false(tikv_future_wait(future, 1));
    }
    tikv_future_cancel(future);
    assert_true(tikv_future_wait(future, 10000));
    check_end(row, row->take(future), TIKV_ERR_CANCELLED, 1);
    tikv_future_free(future);
    tikv_cluster_fault_remove(kv->cluster, fault);
}

static void
calls__end_when_cancelled(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        kv_ok(kv_rows[i].call(kv.client, NULL));
        cancel_blocking(&kv, &kv_rows[i]);
        cancel_promised(&kv, &kv_rows[i]);
    }
    kv_close(&kv);
}

static void
calls__send_nothing_when_cancelled_before(void **state)
{
    struct kv kv;
    tikv_call call = TIKV_CALL_INIT;
    uint64_t calls;
    size_t i;

    (void)state;
    open_ttl(&kv);
    kv_ok(tikv_cancel_new(&call.cancel));
    tikv_cancel_raise(call.cancel);
    for (i = 0; i < KV_ROWS; i++) {
        const struct kv_row *row = &kv_rows[i];
        tikv_future *future;

        kv_ok(row->call(kv.client, NULL));
        calls = tikv_cluster_calls(kv.cluster, row->method);
        kv_fails(row->call(kv.client, &call), TIKV_ERR_CANCELLED);
        future = row->promise(kv.client, &call);
        assert_true(tikv_future_wait(future, 10000));
        kv_fails(row->take(future), TIKV_ERR_CANCELLED);
        tikv_future_free(future);
        assert_int_equal(tikv_cluster_calls(kv.cluster, row->method), calls);
    }
    tikv_cancel_free(call.cancel);
    kv_close(&kv);
}

static void
count_up(tikv_future *future, void *arg)
{
    assert_true(tikv_future_ready(future));
    __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

static void
calls__all_finish_when_the_client_closes(void **state)
{
    enum { EACH = 8, COUNT = KV_ROWS * EACH };
    tikv_future *futures[COUNT];
    int called = 0;
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    kv_ok(kv_rows[0].call(kv.client, NULL));
    (void)kv_fault(&kv, "on=tikv.* do=drop_request");
    for (i = 0; i < COUNT; i++) {
        futures[i] = kv_rows[i % KV_ROWS].promise(kv.client, NULL);
        kv_ok(tikv_future_on_ready(futures[i], count_up, &called));
    }
    tikv_client_close(kv.client);
    assert_int_equal(called, COUNT);
    for (i = 0; i < COUNT; i++) {
        const struct kv_row *row = &kv_rows[i % KV_ROWS];
        tikv_error *error = row->take(futures[i]);
        tikv_code code = tikv_error_code(error);

        assert_true(tikv_future_ready(futures[i]));
        assert_true(code == TIKV_ERR_CLOSED ||
                    (row->is_write && code == TIKV_ERR_UNDETERMINED));
        tikv_error_free(error);
        tikv_future_free(futures[i]);
    }
    tikv_cluster_free(kv.cluster);
}

static void *
call_until_closed(void *arg)
{
    tikv_client *client = arg;
    tikv_error *error = NULL;
    size_t i = 0;

    while (error == NULL) {
        error = kv_rows[i++ % KV_ROWS].call(client, NULL);
    }
    return error;
}

static void
calls__on_other_threads_end_when_the_client_closes(void **state)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(
            pthread_create(&threads[i], NULL, call_until_closed, kv.client), 0);
    }
    while (tikv_cluster_calls(kv.cluster, "tikv.RawChecksum") < 3) {
        sched_yield();
    }
    /* Nothing is answered any more: the threads stay inside. */
    (void)kv_fault(&kv, "on=tikv.* do=drop_response");
    tikv_client_close(kv.client);
    for (i = 0; i < THREADS; i++) {
        void *error;

        pthread_join(threads[i], &error);
        assert_true(tikv_error_code(error) == TIKV_ERR_CLOSED ||
                    tikv_error_code(error) == TIKV_ERR_UNDETERMINED);
        tikv_error_free(error);
    }
    tikv_cluster_free(kv.cluster);
}

/* One fault that a call must survive, whatever the call. */
static void
survive(const struct kv *kv, const char *what)
{
    size_t i;

    for (i = 0; i < KV_ROWS; i++) {
        const struct kv_row *row = &kv_rows[i];
        char rule[160];
        tikv_future *future;
        uint64_t fault;

        snprintf(rule, sizeof(rule), "on=%s when=first(2) do=%s", row->method,
                 what);
        fault = kv_fault(kv, rule);
        kv_ok(row->call(kv->client, NULL));
        future = row->promise(kv->client, NULL);
        assert_true(tikv_future_wait(future, 20000));
        kv_ok(row->take(future));
        tikv_future_free(future);
        assert_int_equal(tikv_cluster_fault_hits(kv->cluster, fault), 2);
        tikv_cluster_fault_remove(kv->cluster, fault);
    }
}

static void
lesson_148__every_call_survives_region_errors(void **state)
{
    static const char *const faults[] = {
        "region_error(not_leader)",
        "region_error(region_not_found)",
        "region_error(epoch_not_match,regions=none)",
        "region_error(epoch_not_match,regions=current)",
        "region_error(server_is_busy,backoff_ms=1)",
        "region_error(stale_command)",
        "region_error(store_not_match)",
        "region_error(key_not_in_region)",
        "region_error(max_timestamp_not_synced)",
        "region_error(read_index_not_ready)",
        "region_error(proposal_in_merging_mode)",
        "region_error(region_not_initialized)",
        "region_error(recovery_in_progress)",
        "region_error(message_only)",
    };
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        survive(&kv, faults[i]);
    }
    kv_close(&kv);
}

/* A swap that met the dying connection is in doubt; the next one is not. */
static void
call_after_restart(const struct kv *kv, const struct kv_row *row)
{
    tikv_error *error = row->call(kv->client, NULL);

    if (row->is_atomic && tikv_error_is_undetermined(error)) {
        tikv_error_free(error);
        error = row->call(kv->client, NULL);
    }
    kv_ok(error);
}

static void
restart(const struct kv *kv)
{
    uint64_t region = tikv_cluster_region_of(kv->cluster, kv_text("ka"));
    uint64_t store = tikv_cluster_leader_of(kv->cluster, region);

    kv_ok(tikv_cluster_store_stop(kv->cluster, store));
    kv_ok(tikv_cluster_store_start(kv->cluster, store, true));
}

static void
lesson_148__every_call_survives_a_restart_on_another_port(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        const struct kv_row *row = &kv_rows[i];
        tikv_future *future;

        kv_ok(row->call(kv.client, NULL));
        restart(&kv);
        call_after_restart(&kv, row);
        if (row->is_atomic) {
            continue;
        }
        restart(&kv);
        future = row->promise(kv.client, NULL);
        assert_true(tikv_future_wait(future, 20000));
        kv_ok(row->take(future));
        tikv_future_free(future);
    }
    kv_close(&kv);
}

static void
calls__survive_a_broken_stream(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        char rule[96];
        uint64_t fault;

        if (kv_rows[i].is_atomic) {
            continue; /* ends in doubt */
        }
        snprintf(rule, sizeof(rule), "on=%s when=first(1) do=break_stream",
                 kv_rows[i].method);
        fault = kv_fault(&kv, rule);
        kv_ok(kv_rows[i].call(kv.client, NULL));
        tikv_cluster_fault_remove(kv.cluster, fault);
    }
    kv_close(&kv);
}

static void
calls__without_a_client_are_refused(void **state)
{
    size_t i;

    (void)state;
    for (i = 0; i < KV_ROWS; i++) {
        tikv_future *future = kv_rows[i].promise(NULL, NULL);

        kv_fails(kv_rows[i].call(NULL, NULL), TIKV_ERR_ARGUMENT);
        assert_true(tikv_future_ready(future));
        kv_fails(tikv_future_on_ready(future, count_up, NULL),
                 TIKV_ERR_ARGUMENT);
        kv_fails(kv_rows[i].take(future), TIKV_ERR_ARGUMENT);
        tikv_future_cancel(future);
        tikv_future_free(future);
    }
}

static void
calls__with_bad_options_are_refused(void **state)
{
    struct kv kv;
    size_t i;

    (void)state;
    open_ttl(&kv);
    for (i = 0; i < KV_ROWS; i++) {
        tikv_call call = TIKV_CALL_INIT;
        tikv_future *future;

        call.timeout_ms = -2;
        kv_fails(kv_rows[i].call(kv.client, &call), TIKV_ERR_ARGUMENT);
        call.timeout_ms = 0;
        call.priority = 9;
        future = kv_rows[i].promise(kv.client, &call);
        assert_true(tikv_future_ready(future));
        kv_fails(kv_rows[i].take(future), TIKV_ERR_ARGUMENT);
        tikv_future_free(future);
    }
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(calls__succeed_blocking_and_promised),
        harness_test(calls__end_at_their_deadline),
        harness_test(calls__end_when_cancelled),
        harness_test(calls__send_nothing_when_cancelled_before),
        harness_test(calls__all_finish_when_the_client_closes),
        harness_test(calls__on_other_threads_end_when_the_client_closes),
        harness_test(lesson_148__every_call_survives_region_errors),
        harness_test(lesson_148__every_call_survives_a_restart_on_another_port),
        harness_test(calls__survive_a_broken_stream),
        harness_test(calls__without_a_client_are_refused),
        harness_test(calls__with_bad_options_are_refused),
    };
    return harness_run(tests);
}
