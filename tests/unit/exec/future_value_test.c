/* SPDX-License-Identifier: Apache-2.0 */
/* Values that lie in the block of their future: how long they live, and that
 * a read needs no memory of its own. */
#include "unit/exec/stage.h"

static const struct tk_future_ops value_ops = { NULL, NULL, NULL, NULL };

/* A future of a read, answered with `len` bytes of a frame. */
static struct tikv_future *
read_future(struct tk_exec *exec, struct tk_frame *frame, const uint8_t *data,
            size_t len)
{
    struct tikv_future *future =
        tk_future_new(exec, sizeof(struct tikv_future), &value_ops,
                      TK_KIND_VALUE, NULL, SECOND_NS);
    struct tk_wakes wakes;

    assert_non_null(future);
    tk_wakes_init(&wakes, tk_exec_runtime(exec));
    future->outcome.value =
        tk_future_value(future, (tikv_slice){ data, len }, frame);
    assert_non_null(future->outcome.value);
    tk_future_complete(future, NULL, &wakes);
    tk_wakes_flush(&wakes);
    return future;
}

static void
expect_bytes(const tikv_value *value, const uint8_t *data, size_t len)
{
    assert_non_null(tikv_value_slice(value).data);
    assert_int_equal(tikv_value_slice(value).len, len);
    assert_memory_equal(tikv_value_slice(value).data, data, len);
}

static void
value__lives_as_long_as_it_or_its_future(void **state)
{
    static const size_t lens[] = { 0, 1, 100, 255, 256, 5000 };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    int64_t before = tk_alloc_live();
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct tikv_future *future;
        tikv_value *value = NULL;
        uint8_t *data;
        struct tk_frame *frame = tk_frame_new(lens[i] + 1, &data);

        memset(data, 'x', lens[i] + 1);
        /* The future goes first. */
        future = read_future(exec, frame, data, lens[i]);
        stage_expect(tikv_future_take_value(future, &value), TIKV_OK);
        tikv_future_free(future);
        expect_bytes(value, data, lens[i]);
        tikv_value_free(value);
        /* The value goes first. */
        future = read_future(exec, frame, data, lens[i]);
        stage_expect(tikv_future_take_value(future, &value), TIKV_OK);
        expect_bytes(value, data, lens[i]);
        tikv_value_free(value);
        tikv_future_free(future);
        /* Nobody wants it: not taken, or taken to nowhere. */
        tikv_future_free(read_future(exec, frame, data, lens[i]));
        future = read_future(exec, frame, data, lens[i]);
        stage_expect(tikv_future_take_value(future, NULL), TIKV_OK);
        tikv_future_free(future);
        /* Whatever was kept of the frame was let go. */
        assert_int_equal(atomic_load(&frame->refs), 1);
        tk_frame_unref(frame, 1);
    }
    assert_int_equal(tk_alloc_live(), before);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}

#ifdef TK_DEBUG
static void
value__needs_no_memory_of_its_own(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    uint8_t *data;
    struct tk_frame *frame = tk_frame_new(1000, &data);
    uint64_t made = 0;
    uint32_t i;

    (void)state;
    memset(data, 'x', 1000);
    tk_future_blocks_max(8);
    for (i = 0; i < 20; i++) {
        struct tikv_future *future =
            read_future(exec, frame, data, i % 2 == 0 ? 100 : 1000);
        tikv_value *value = NULL;

        stage_expect(tikv_future_take_value(future, &value), TIKV_OK);
        tikv_future_free(future);
        tikv_value_free(value);
        if (i == 0) {
            made = tk_alloc_made_here();
        }
    }
    assert_int_equal(tk_alloc_made_here(), made);
    tk_future_blocks_max(0);
    tk_frame_unref(frame, 1);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}

/* Whoever keeps very many values does not keep a block with each. */
static void
value__has_its_own_memory_when_many_are_out(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_value **values =
        tk_alloc_array(TK_FUTURE_OUT_MAX + 2, sizeof(tikv_value *));
    uint8_t *data;
    struct tk_frame *frame = tk_frame_new(100, &data);
    uint64_t made = 0;
    uint32_t i;

    (void)state;
    memset(data, 'x', 100);
    for (i = 0; i < TK_FUTURE_OUT_MAX + 2; i++) {
        struct tikv_future *future = read_future(exec, frame, data, 100);

        made = tk_alloc_made_here();
        stage_expect(tikv_future_take_value(future, &values[i]), TIKV_OK);
        tikv_future_free(future);
    }
    /* The last one's block is free again, though its value is not. */
    made = tk_alloc_made_here();
    tk_future_blocks_max(1);
    tikv_future_free(read_future(exec, frame, data, 100));
    assert_int_equal(tk_alloc_made_here(), made + 2);
    tikv_future_free(read_future(exec, frame, data, 100));
    assert_int_equal(tk_alloc_made_here(), made + 3);
    tk_future_blocks_max(0);
    for (i = 0; i < TK_FUTURE_OUT_MAX + 2; i++) {
        expect_bytes(values[i], data, 100);
        tikv_value_free(values[i]);
    }
    tk_free(values);
    tk_frame_unref(frame, 1);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(value__lives_as_long_as_it_or_its_future),
#ifdef TK_DEBUG
        harness_test(value__needs_no_memory_of_its_own),
        harness_test(value__has_its_own_memory_when_many_are_out),
#endif
    };

    return harness_run(tests);
}
