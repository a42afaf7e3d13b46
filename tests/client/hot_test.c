/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short road from door to door, over a served cluster: what it must not
 * need at steady state.
 */
#include "fixture/kv.h"

#include "base/alloc.h"
#include "exec/future.h"

enum { WINDOW = 64, WARM_ROUNDS = 50, ROUNDS = 50 };

static void
get_round(tikv_client *client, const char *key, size_t len)
{
    tikv_future *futures[WINDOW];
    size_t i;

    for (i = 0; i < WINDOW; i++) {
        futures[i] = tikv_raw_get_async(client, kv_text(key), NULL);
    }
    for (i = 0; i < WINDOW; i++) {
        tikv_value *value = NULL;

        assert_true(tikv_future_wait(futures[i], TIKV_FOREVER));
        kv_ok(tikv_future_take_value(futures[i], &value));
        assert_int_equal(tikv_value_slice(value).len, len);
        tikv_value_free(value);
        tikv_future_free(futures[i]);
    }
}

static void
put_round(tikv_client *client)
{
    tikv_future *futures[WINDOW];
    size_t i;

    for (i = 0; i < WINDOW; i++) {
        futures[i] =
            tikv_raw_put_async(client, kv_text("p"), kv_text("value"), NULL);
    }
    for (i = 0; i < WINDOW; i++) {
        assert_true(tikv_future_wait(futures[i], TIKV_FOREVER));
        kv_ok(tikv_future_take_done(futures[i]));
        tikv_future_free(futures[i]);
    }
}

/* Thousands of calls; a buffer that grows late is allowed, one block for each
 * call is not. */
static void
hot__callers_need_no_memory_at_steady_state(void **state)
{
    static char large[1000];
    uint64_t made = 0;
    struct kv kv;
    unsigned i;

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    tk_future_blocks_max(256);
    kv_open_plain(&kv);
    kv_put(kv.client, "small", "a value of a usual size");
    kv_put(kv.client, "large", large);
    for (i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS) {
            made = tk_alloc_made_here();
        }
        get_round(kv.client, "small", 23);
        get_round(kv.client, "large", sizeof(large) - 1);
        put_round(kv.client);
    }
    assert_true(tk_alloc_made_here() - made < 8);
    kv_close(&kv);
    tk_future_blocks_max(0);
}

/* A value outlives its future and its client. */
static void
hot__values_outlive_the_client(void **state)
{
    struct kv kv;
    tikv_value *values[WINDOW];
    tikv_future *late;
    tikv_value *value = NULL;
    unsigned i;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    for (i = 0; i < WINDOW; i++) {
        tikv_future *future =
            tikv_raw_get_async(kv.client, kv_text("k"), NULL);

        assert_true(tikv_future_wait(future, TIKV_FOREVER));
        kv_ok(tikv_future_take_value(future, &values[i]));
        tikv_future_free(future);
    }
    late = tikv_raw_get_async(kv.client, kv_text("k"), NULL);
    assert_true(tikv_future_wait(late, TIKV_FOREVER));
    kv_close(&kv);
    kv_ok(tikv_future_take_value(late, &value));
    tikv_future_free(late);
    assert_memory_equal(tikv_value_slice(value).data, "v", 1);
    tikv_value_free(value);
    for (i = 0; i < WINDOW; i++) {
        assert_int_equal(tikv_value_slice(values[i]).len, 1);
        assert_memory_equal(tikv_value_slice(values[i]).data, "v", 1);
        tikv_value_free(values[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hot__callers_need_no_memory_at_steady_state),
        harness_test(hot__values_outlive_the_client),
    };

    return harness_run(tests);
}
