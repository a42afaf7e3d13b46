/* SPDX-License-Identifier: Apache-2.0 */
/* Values, pairs and the frames they keep alive. */
#include "harness/harness.h"

#include "base/slice.h"
#include "base/value.h"

struct counted {
    struct tk_frame frame;
    int drops;
};

static void
count_drop(struct tk_frame *frame)
{
    ((struct counted *)frame)->drops++;
}

static struct counted
counted_frame(uint32_t refs)
{
    struct counted counted = { .drops = 0 };

    atomic_init(&counted.frame.refs, refs);
    counted.frame.drop = count_drop;
    return counted;
}

static void
value__keeps_its_frame(void **state)
{
    struct counted counted = counted_frame(2);
    tikv_value *value = tk_value_new(tk_slice("abc", 3), &counted.frame);
    tikv_value *empty = tk_value_new(tk_slice(NULL, 0), &counted.frame);

    (void)state;
    assert_int_equal(tikv_value_slice(value).len, 3);
    assert_non_null(tikv_value_slice(empty).data);
    assert_int_equal(tikv_value_slice(empty).len, 0);
    tikv_value_free(value);
    assert_int_equal(counted.drops, 0);
    tikv_value_free(empty);
    assert_int_equal(counted.drops, 1);
    tikv_value_free(NULL);
    assert_null(tikv_value_slice(NULL).data);
}

/* Nothing there, nothing in it, something in it: whatever the timestamp. */
static void
value__of_no_bytes_is_still_one(void **state)
{
    tikv_value *empty = tk_value_new(tk_slice("", 0), NULL);
    tikv_value *byte = tk_value_new(tk_slice("x", 1), NULL);

    (void)state;
    empty->commit_ts = 7;
    assert_int_equal(tikv_value_slice(empty).len, 0);
    assert_non_null(tikv_value_slice(empty).data);
    assert_int_equal(tikv_value_commit_ts(byte), 0);
    assert_int_equal(tikv_value_slice(byte).len, 1);
    assert_null(tikv_value_slice(NULL).data);
    assert_int_equal(tikv_value_commit_ts(NULL), 0);
    tikv_value_free(empty);
    tikv_value_free(byte);
}

static void
value__copies_without_a_frame(void **state)
{
    char text[] = "abc";
    tikv_value *value = tk_value_new(tk_slice(text, 3), NULL);

    (void)state;
    text[0] = 'x';
    assert_memory_equal(tikv_value_slice(value).data, "abc", 3);
    tikv_value_free(value);
}

static void
pairs__hold_frames_and_copies(void **state)
{
    struct counted counted = counted_frame(1);
    tikv_pairs *pairs = tk_pairs_new(1);
    tikv_range rest = { { NULL, 0 }, { NULL, 0 } };
    tikv_slice copy;
    size_t i;

    (void)state;
    assert_true(tk_pairs_hold(pairs, &counted.frame));
    assert_true(tk_pairs_hold(pairs, NULL));
    for (i = 0; i < 20; i++) {
        char key = (char)('a' + i);

        assert_true(tk_pairs_copy(pairs, tk_slice(&key, 1), &copy));
        assert_true(tk_pairs_add(pairs, copy, tk_slice("v", 1)));
    }
    assert_int_equal(tikv_pairs_count(pairs), 20);
    assert_int_equal(tikv_pairs_data(pairs)[19].key.data[0], 't');
    assert_false(tikv_pairs_next(pairs, &rest));
    assert_int_equal(tikv_pairs_group_end(pairs, 0), 20);
    pairs->has_rest = true;
    pairs->rest.start = copy;
    assert_true(tikv_pairs_next(pairs, &rest));
    assert_true(tk_slice_equal(rest.start, copy));
    tikv_pairs_free(pairs);
    assert_int_equal(counted.drops, 1);
    tikv_pairs_free(NULL);
    assert_int_equal(tikv_pairs_count(NULL), 0);
}

static void
frame__is_dropped_by_its_last_reference(void **state)
{
    struct counted counted = counted_frame(5);
    uint8_t *data;
    struct tk_frame *own = tk_frame_new(3, &data);

    (void)state;
    tk_frame_unref(&counted.frame, 3);
    tk_frame_ref(&counted.frame);
    tk_frame_unref(&counted.frame, 2);
    assert_int_equal(counted.drops, 0);
    tk_frame_unref(&counted.frame, 1);
    assert_int_equal(counted.drops, 1);
    memcpy(data, "abc", 3);
    tk_frame_unref(own, 1);
    tk_frame_unref(NULL, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(value__keeps_its_frame),
        harness_test(value__of_no_bytes_is_still_one),
        harness_test(value__copies_without_a_frame),
        harness_test(pairs__hold_frames_and_copies),
        harness_test(frame__is_dropped_by_its_last_reference),
    };

    return harness_run(tests);
}
