/* SPDX-License-Identifier: Apache-2.0 */
/* Stages, what they give back and what stays. */
#include "unit/txn/words.h"

#include "base/alloc.h"
#include "base/rng.h"

static void
stage__gives_values_counts_and_sizes_back(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    struct tk_buffer_item item;
    size_t base = open_stage(buffer);
    size_t stage;
    uint32_t i;

    (void)state;
    put_numbers(buffer, 0, 10000, 1, 0);
    stage = open_stage(buffer);
    put_numbers(buffer, 0, 10000, 1, 1);
    put_numbers(buffer, 10000, 11000, 1, 1);
    cleanup(buffer, stage);
    assert_int_equal(tk_buffer_count(buffer), 10000);
    assert_int_equal(tk_buffer_size(buffer), 80000);
    for (i = 0; i < 10000; i++) {
        struct number key = number(i);

        assert_true(tk_buffer_get(buffer, tk_slice(key.bytes, 4), &item));
        assert_int_equal(number_at(item.value), i);
    }
    iterate(buffer, NULL, NULL, false, &iter);
    expect_keys(&iter, 0, 1, 10000);
    iterate(buffer, NULL, NULL, true, &iter);
    expect_keys(&iter, 9999, -1, 10000);
    cleanup(buffer, base);
    assert_int_equal(tk_buffer_count(buffer), 0);
    assert_int_equal(tk_buffer_size(buffer), 0);
    iterate(buffer, NULL, NULL, false, &iter);
    assert_false(iter.is_valid);
    iterate(buffer, NULL, "\xff", true, &iter);
    assert_false(iter.is_valid);
    tk_buffer_free(buffer);
}

static void
release__publishes_what_it_overwrote(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    uint32_t i;

    (void)state;
    put_numbers(buffer, 0, 6000, 1, 0);
    (void)open_stage(buffer);
    put_numbers(buffer, 3000, 9000, 1, 1);
    release(buffer, 1);
    assert_int_equal(tk_buffer_count(buffer), 9000);
    assert_int_equal(tk_buffer_size(buffer), 72000);
    iterate(buffer, NULL, NULL, false, &iter);
    for (i = 0; i < 9000; i++) {
        assert_int_equal(number_at(iter.item.key), i);
        assert_int_equal(number_at(iter.item.value), i + (i >= 3000));
        assert_null(tk_buffer_iter_next(&iter));
    }
    put_numbers(buffer, 0, 9000, 3, 5);
    assert_int_equal(tk_buffer_size(buffer), 72000);
    iterate(buffer, NULL, NULL, true, &iter);
    for (i = 9000; i-- > 0;) {
        assert_int_equal(number_at(iter.item.value),
                         i + (i % 3 == 0 ? 5 : i >= 3000));
        assert_null(tk_buffer_iter_next(&iter));
    }
    tk_buffer_free(buffer);
}

static void
stage__nests(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    put(buffer, "x", "old");
    assert_int_equal(open_stage(buffer), 1);
    put(buffer, "x", "newer");
    assert_int_equal(open_stage(buffer), 2);
    put(buffer, "yz", "1");
    expect(buffer, "x", "newer");
    release(buffer, 2);
    expect(buffer, "yz", "1");
    cleanup(buffer, 1);
    expect(buffer, "yz", NULL);
    expect(buffer, "x", "old");
    tk_buffer_free(buffer);
}

static void
stage__nests_a_hundred_times(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    char text[12];
    size_t i;

    (void)state;
    put(buffer, "k", "0");
    for (i = 1; i <= 100; i++) {
        assert_int_equal(open_stage(buffer), i);
        snprintf(text, sizeof(text), "%zu", i);
        put(buffer, "k", text);
    }
    /* Odd stages are cleaned, even ones handed down to them. */
    for (i = 100; i >= 1; i--) {
        snprintf(text, sizeof(text), "%zu", i % 2 == 0 ? i : i - 1);
        if (i % 2 == 0) {
            release(buffer, i);
        } else {
            cleanup(buffer, i);
        }
        expect(buffer, "k", text);
    }
    assert_int_equal(tk_buffer_depth(buffer), 0);
    tk_buffer_free(buffer);
}

static void
stage__refuses_the_wrong_one(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    size_t first = open_stage(buffer);
    size_t second = open_stage(buffer);

    (void)state;
    expect_code(tk_buffer_release(buffer, first), TIKV_ERR_STATE);
    expect_code(tk_buffer_release(buffer, second + 1), TIKV_ERR_STATE);
    release(buffer, 0);
    expect_code(tk_buffer_cleanup(buffer, first), TIKV_ERR_STATE);
    cleanup(buffer, 0);
    cleanup(buffer, second + 1);
    assert_int_equal(tk_buffer_depth(buffer), 2);
    cleanup(buffer, second);
    cleanup(buffer, second);
    release(buffer, first);
    expect_code(tk_buffer_inspect(buffer, 1, NULL, NULL), TIKV_ERR_STATE);
    tk_buffer_free(buffer);
}

static void
cleanup__keeps_persistent_flags(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;

    (void)state;
    put(buffer, "0", "before");
    (void)open_stage(buffer);
    put(buffer, "0", "inside");
    mark(buffer, "0", TK_KEY_PRESUME);
    put(buffer, "1", "v");
    mark(buffer, "1", TK_KEY_SET(TK_KEY_LOCKED | TK_KEY_NEED_LOCK));
    put(buffer, "2", "v");
    mark(buffer, "2", TK_KEY_PRESUME);
    mark(buffer, "3", TK_KEY_SET(TK_KEY_LOCKED_EXISTS));
    mark(buffer, "4", TK_KEY_SET(TK_KEY_NEED_LOCK));
    cleanup(buffer, 1);
    expect(buffer, "0", "before");
    assert_int_equal(flags_of(buffer, "0"), 0);
    assert_int_equal(flags_of(buffer, "1"), TK_KEY_LOCKED);
    assert_int_equal(flags_of(buffer, "2"), -1);
    assert_int_equal(flags_of(buffer, "3"), TK_KEY_LOCKED_EXISTS);
    assert_int_equal(flags_of(buffer, "4"), -1);
    expect(buffer, "1", NULL);
    iterate(buffer, NULL, NULL, false, &iter);
    expect_text(&iter, "0");
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, true, &iter);
    expect_text(&iter, "3 1 0");
    tk_buffer_free(buffer);
}

static void
cleanup__leaves_locks_of_many_keys(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    uint32_t i;

    (void)state;
    (void)open_stage(buffer);
    for (i = 0; i < 10000; i++) {
        struct number key = number(i);

        assert_null(tk_buffer_set(buffer, tk_slice(key.bytes, 4),
                                  tk_slice(key.bytes, 4),
                                  i % 2 == 0 ? TK_KEY_SET(TK_KEY_LOCKED)
                                             : TK_KEY_PRESUME));
    }
    cleanup(buffer, 1);
    assert_int_equal(tk_buffer_count(buffer), 5000);
    assert_int_equal(tk_buffer_size(buffer), 20000);
    iterate(buffer, NULL, NULL, false, &iter);
    assert_false(iter.is_valid);
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, false, &iter);
    expect_keys(&iter, 0, 2, 5000);
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, true, &iter);
    expect_keys(&iter, 9998, -2, 5000);
    for (i = 0; i < 10000; i++) {
        struct number key = number(i);
        struct tk_buffer_item item;

        assert_null(tk_buffer_mark(buffer, tk_slice(key.bytes, 4),
                                   TK_KEY_CLEAR(TK_KEY_LOCKED)));
        assert_true(tk_buffer_get(buffer, tk_slice(key.bytes, 4), &item));
        assert_int_equal(item.flags, 0);
        assert_null(item.value.data);
    }
    tk_buffer_free(buffer);
}

static void
dirty__is_what_no_stage_takes_back(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    (void)open_stage(buffer);
    put(buffer, "k", "v");
    assert_false(tk_buffer_is_dirty(buffer));
    cleanup(buffer, 1);
    assert_false(tk_buffer_is_dirty(buffer));
    (void)open_stage(buffer);
    mark(buffer, "k", TK_KEY_PRESUME);
    cleanup(buffer, 1);
    assert_false(tk_buffer_is_dirty(buffer));
    (void)open_stage(buffer);
    put(buffer, "k", "v");
    release(buffer, 1);
    assert_true(tk_buffer_is_dirty(buffer));
    tk_buffer_reset(buffer);
    (void)open_stage(buffer);
    mark(buffer, "k", TK_KEY_SET(TK_KEY_LOCKED));
    cleanup(buffer, 1);
    assert_true(tk_buffer_is_dirty(buffer));
    tk_buffer_reset(buffer);
    put(buffer, "k", "v");
    assert_true(tk_buffer_is_dirty(buffer));
    tk_buffer_free(buffer);
}

static void
note_item(void *arg, const struct tk_buffer_item *item)
{
    char *text = arg;

    append(text, 64, item->key, "=");
    append(text, 64, item->value, " ");
}

static void
expect_stage(const struct tk_buffer *buffer, size_t stage, const char *text)
{
    char seen[64] = "";

    assert_null(tk_buffer_inspect(buffer, stage, note_item, seen));
    assert_string_equal(seen, text);
}

static void
inspect__tells_what_a_stage_wrote(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    put(buffer, "a", "0");
    (void)open_stage(buffer);
    put(buffer, "b", "1");
    put(buffer, "c", "1");
    (void)open_stage(buffer);
    put(buffer, "b", "2");
    drop(buffer, "d");
    expect_stage(buffer, 1, "d= b=2 c=1 ");
    expect_stage(buffer, 2, "d= b=2 ");
    cleanup(buffer, 2);
    expect_stage(buffer, 1, "c=1 b=1 ");
    (void)open_stage(buffer);
    put(buffer, "a", "2");
    release(buffer, 2);
    expect_stage(buffer, 1, "a=2 c=1 b=1 ");
    tk_buffer_free(buffer);
}

static bool
has_length(void *arg, tikv_slice value)
{
    return value.len == *(const size_t *)arg;
}

static bool
finds_length(const struct tk_buffer *buffer, size_t len)
{
    tikv_slice value;

    return tk_buffer_history(buffer, tk_slice_text("k"), has_length, &len,
                             &value) &&
           value.len == len;
}

static void
history__goes_back_through_stages(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    assert_false(finds_length(buffer, 1));
    put(buffer, "k", "1");
    (void)open_stage(buffer);
    put(buffer, "k", "22");
    (void)open_stage(buffer);
    drop(buffer, "k");
    assert_true(finds_length(buffer, 0));
    assert_true(finds_length(buffer, 1));
    assert_true(finds_length(buffer, 2));
    assert_false(finds_length(buffer, 3));
    cleanup(buffer, 2);
    assert_false(finds_length(buffer, 0));
    assert_true(finds_length(buffer, 2));
    release(buffer, 1);
    assert_true(finds_length(buffer, 1));
    tk_buffer_free(buffer);
}

static void
handle__names_its_key_after_cleanup(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_item item;
    tikv_slice value;

    (void)state;
    (void)open_stage(buffer);
    put(buffer, "key", "value");
    assert_true(tk_buffer_get(buffer, tk_slice_text("key"), &item));
    assert_true(tk_entry_value(buffer, item.handle, &value));
    cleanup(buffer, 1);
    assert_true(tk_slice_equal(tk_entry_key(item.handle),
                               tk_slice_text("key")));
    assert_false(tk_entry_value(buffer, item.handle, &value));
    tk_buffer_free(buffer);
}

/* Rolled back a million times, keys never the same: memory stays flat. */
static void
lesson_150__memory_stays_flat_over_a_million_cleanups(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_rng rng = { 3 };
    size_t footprint = 0;
    unsigned i;
    unsigned j;

    (void)state;
    put_numbers(buffer, 0, 100, 1, 0);
    for (i = 0; i < 1000000; i++) {
        size_t stage = open_stage(buffer);

        for (j = 0; j < 2; j++) {
            uint64_t key[5] = { tk_rng_next(&rng), i, j, 0, 0 };
            size_t len = 8 + tk_rng_below(&rng, 32);

            assert_null(tk_buffer_set(buffer, tk_slice(key, len),
                                      tk_slice(key, len), 0));
        }
        cleanup(buffer, stage);
        footprint = i == 1000 ? tk_buffer_footprint(buffer) : footprint;
    }
    assert_int_equal(tk_buffer_footprint(buffer), footprint);
    assert_int_equal(tk_buffer_count(buffer), 100);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(stage__gives_values_counts_and_sizes_back),
        harness_test(release__publishes_what_it_overwrote),
        harness_test(stage__nests),
        harness_test(stage__nests_a_hundred_times),
        harness_test(stage__refuses_the_wrong_one),
        harness_test(cleanup__keeps_persistent_flags),
        harness_test(cleanup__leaves_locks_of_many_keys),
        harness_test(dirty__is_what_no_stage_takes_back),
        harness_test(inspect__tells_what_a_stage_wrote),
        harness_test(history__goes_back_through_stages),
        harness_test(handle__names_its_key_after_cleanup),
        harness_test(lesson_150__memory_stays_flat_over_a_million_cleanups),
    };
    return harness_run(tests);
}
