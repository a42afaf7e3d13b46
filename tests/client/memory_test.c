/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client holds for its application: counted, bounded, given back.
 * Above memory.max_bytes calls wait, up to their time; what cannot wait fails.
 */
#include <sched.h>
#include <stdlib.h>

#include "fixture/kv.h"

enum { CEILING = 1 << 20, BIG = 100000, COUNT = 16 };

static const char big[BIG];

static tikv_slice
big_value(void)
{
    return (tikv_slice){ (const uint8_t *)big, sizeof(big) };
}

static tikv_slice
key_of(size_t i, char room[16])
{
    (void)snprintf(room, 16, "k%02zu", i);
    return kv_text(room);
}

/* Reads until the client holds more than its ceiling. */
static size_t
fill_up(struct kv *kv, tikv_value *values[COUNT])
{
    char room[16];
    size_t i;

    for (i = 0; i < COUNT && tikv_client_bytes_in_use(kv->client) < CEILING;
         i++) {
        kv_ok(tikv_raw_get(kv->client, key_of(i, room), NULL, &values[i]));
        assert_non_null(values[i]);
    }
    assert_true(tikv_client_bytes_in_use(kv->client) >= CEILING);
    return i;
}

static void
open_small(struct kv *kv)
{
    const struct kv_plan plan = { .stores = 1 };
    char room[16];
    size_t i;

    kv_open(kv, &plan);
    for (i = 0; i < COUNT; i++) {
        kv_ok(tikv_raw_put(kv->client, key_of(i, room), big_value(), NULL));
    }
    kv_ok(tikv_client_set(kv->client, "memory.max_bytes", "1048576"));
}

/* The thread that completed a call lets go of the message after it. */
static void
expect_nothing_held(const struct kv *kv)
{
    int64_t until = tikv_now_ns() + INT64_C(10000000000);

    while (tikv_client_bytes_in_use(kv->client) != 0) {
        assert_true(tikv_now_ns() < until);
        sched_yield();
    }
}

static void
memory__rises_with_values_and_falls_to_nothing(void **state)
{
    tikv_value *values[COUNT] = { NULL };
    struct kv kv;
    uint64_t held;
    size_t count;
    size_t i;

    (void)state;
    open_small(&kv);
    expect_nothing_held(&kv);
    count = fill_up(&kv, values);
    held = tikv_client_bytes_in_use(kv.client);
    assert_in_range(held, CEILING, CEILING + 2 * BIG);
    for (i = 0; i < count; i++) {
        tikv_value_free(values[i]);
    }
    expect_nothing_held(&kv);
    kv_close(&kv);
}

static void
memory__without_room_calls_wait_and_then_fail(void **state)
{
    tikv_value *values[COUNT] = { NULL };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_value *value = NULL;
    tikv_future *future;
    struct kv kv;
    tikv_error *error;
    int64_t begun;
    uint64_t asked;
    size_t count;
    size_t i;

    (void)state;
    open_small(&kv);
    count = fill_up(&kv, values);
    asked = tikv_cluster_calls(kv.cluster, "tikv.RawGet");
    options.call.timeout_ms = 200;
    begun = tikv_now_ns();
    error = tikv_raw_get(kv.client, kv_text("k00"), &options, &value);
    assert_non_null(strstr(tikv_error_message(error), "memory.max_bytes"));
    assert_true(tikv_error_code(error) == TIKV_ERR_OVERLOAD ||
                tikv_error_code(error) == TIKV_ERR_TIMEOUT);
    tikv_error_free(error);
    assert_true(tikv_now_ns() - begun >= 150 * INT64_C(1000000));
    future = tikv_raw_get_async(kv.client, kv_text("k00"), &options);
    assert_true(tikv_future_wait(future, 10000));
    error = tikv_future_take_value(future, &value);
    assert_non_null(strstr(tikv_error_message(error), "memory.max_bytes"));
    tikv_error_free(error);
    tikv_future_free(future);
    assert_true(tikv_cluster_calls(kv.cluster, "tikv.RawGet") == asked);
    for (i = 0; i < count; i++) {
        tikv_value_free(values[i]);
    }
    kv_ok(tikv_raw_get(kv.client, kv_text("k00"), &options, &value));
    tikv_value_free(value);
    expect_nothing_held(&kv);
    kv_close(&kv);
}

static void
memory__who_waits_goes_on_when_there_is_room(void **state)
{
    tikv_value *values[COUNT] = { NULL };
    tikv_value *value = NULL;
    tikv_future *future;
    struct kv kv;
    size_t count;
    size_t i;

    (void)state;
    open_small(&kv);
    count = fill_up(&kv, values);
    future = tikv_raw_get_async(kv.client, kv_text("k00"), NULL);
    assert_false(tikv_future_wait(future, 50));
    for (i = 0; i < count; i++) {
        tikv_value_free(values[i]);
    }
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_value(future, &value));
    assert_true(tikv_value_slice(value).len == BIG);
    tikv_value_free(value);
    tikv_future_free(future);
    expect_nothing_held(&kv);
    kv_close(&kv);
}

static void
memory__counts_writes_of_transactions(void **state)
{
    const struct kv_plan plan = { .stores = 1 };
    tikv_error *error = NULL;
    tikv_txn *txn = NULL;
    struct kv kv;
    char room[16];
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_client_set(kv.client, "memory.max_bytes", "1048576"));
    kv_ok(tikv_txn_begin(kv.client, NULL, &txn));
    for (i = 0; i < COUNT && error == NULL; i++) {
        error = tikv_txn_put(txn, key_of(i, room), big_value());
    }
    kv_fails(error, TIKV_ERR_OVERLOAD);
    assert_in_range(i, 5, COUNT - 1);
    assert_true(tikv_client_bytes_in_use(kv.client) >= CEILING);
    kv_ok(tikv_txn_rollback(txn, NULL));
    tikv_txn_free(txn);
    expect_nothing_held(&kv);
    kv_close(&kv);
}

static void
memory__values_outlive_the_count(void **state)
{
    tikv_value *values[COUNT] = { NULL };
    struct kv kv;
    size_t count;
    size_t i;

    (void)state;
    open_small(&kv);
    count = fill_up(&kv, values);
    kv_close(&kv);
    for (i = 0; i < count; i++) {
        assert_true(tikv_value_slice(values[i]).len == BIG);
        tikv_value_free(values[i]);
    }
}

static void
lesson_128__an_oversized_request_is_refused_before_sending(void **state)
{
    static const char *const settings[] = { "rpc.request_max_bytes", "4096",
                                            NULL };
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    tikv_future *future;
    tikv_error *error;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_raw_put(kv.client, kv_text("k"), kv_text("small"), NULL));
    error = tikv_raw_put(kv.client, kv_text("k"), big_value(), NULL);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TOO_LARGE);
    assert_true(tikv_error_u64(error, TIKV_ERROR_SIZE_BYTES) > BIG);
    assert_true(tikv_error_u64(error, TIKV_ERROR_LIMIT_BYTES) == 4096);
    tikv_error_free(error);
    future = tikv_raw_put_async(kv.client, kv_text("k"), big_value(), NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_fails(tikv_future_take_done(future), TIKV_ERR_TOO_LARGE);
    tikv_future_free(future);
    assert_true(tikv_cluster_calls(kv.cluster, "tikv.RawPut") == 1);
    /* Nothing is lost by it: others go on as before. */
    kv_ok(tikv_raw_put(kv.client, kv_text("k"), kv_text("again"), NULL));
    kv_close(&kv);
}

/* gRPC's default would refuse what is above 4 MiB. */
static void
lesson_128__large_answers_are_received(void **state)
{
    enum { LARGE = 6 << 20 };
    const struct kv_plan plan = { .stores = 1 };
    char *bytes = calloc(1, LARGE);
    tikv_value *value = NULL;
    struct kv kv;

    (void)state;
    assert_non_null(bytes);
    kv_open(&kv, &plan);
    kv_ok(tikv_raw_put(kv.client, kv_text("k"),
                       (tikv_slice){ (uint8_t *)bytes, LARGE }, NULL));
    kv_ok(tikv_raw_get(kv.client, kv_text("k"), NULL, &value));
    assert_true(tikv_value_slice(value).len == LARGE);
    tikv_value_free(value);
    kv_close(&kv);
    free(bytes);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(memory__rises_with_values_and_falls_to_nothing),
        harness_test(memory__without_room_calls_wait_and_then_fail),
        harness_test(memory__who_waits_goes_on_when_there_is_room),
        harness_test(memory__counts_writes_of_transactions),
        harness_test(memory__values_outlive_the_count),
        harness_test(
            lesson_128__an_oversized_request_is_refused_before_sending),
        harness_test(lesson_128__large_answers_are_received),
    };

    return harness_run(tests);
}
