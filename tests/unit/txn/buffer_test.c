/* SPDX-License-Identifier: Apache-2.0 */
/* Single keys: values, tombstones, flags, limits, memory. */
#include "unit/txn/words.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "txn/buffer_mutations.h"

static void
get__finds_what_was_set(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_item item;
    uint8_t byte;
    uint32_t i;

    (void)state;
    assert_false(tk_buffer_get(buffer, tk_slice_text("x"), &item));
    for (i = 0; i < 256; i++) {
        byte = (uint8_t)i;
        assert_false(tk_buffer_get(buffer, tk_slice(&byte, 1), &item));
        assert_null(tk_buffer_set(buffer, tk_slice(&byte, 1),
                                  tk_slice(&byte, 1), 0));
        assert_true(tk_buffer_get(buffer, tk_slice(&byte, 1), &item));
        assert_int_equal(item.value.data[0], byte);
    }
    put_numbers(buffer, 0, 10000, 1, 7);
    for (i = 0; i < 10000; i++) {
        struct number key = number(i);

        assert_true(tk_buffer_get(buffer, tk_slice(key.bytes, 4), &item));
        assert_int_equal(number_at(item.value), i + 7);
    }
    assert_int_equal(tk_buffer_count(buffer), 10256);
    tk_buffer_free(buffer);
}

static void
get__reads_a_hundred_thousand_decimals(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    char text[24];
    int i;

    (void)state;
    for (i = 0; i < 100000; i++) {
        snprintf(text, sizeof(text), "%010d", i);
        put(buffer, text, text);
    }
    for (i = 0; i < 100000; i++) {
        snprintf(text, sizeof(text), "%010d", i);
        expect(buffer, text, text);
    }
    tk_buffer_free(buffer);
}

static void
get__tells_keys_with_common_prefixes_apart(void **state)
{
    static const char *const keys[] = {
        "a", "aa", "aaa", "aba", "abc", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaaabbbbbbbbbb",
        "aaaaaaaaaaaaaaaaacbbbbbbbbb", "", "\xff\xff",
    };
    struct tk_buffer *buffer = tk_buffer_new();
    size_t count = sizeof(keys) / sizeof(keys[0]);
    size_t i;

    (void)state;
    for (i = 0; i < count; i++) {
        put(buffer, keys[i], keys[i][0] == '\0' ? "empty" : keys[i]);
    }
    put(buffer, "aaaaaaaaaaaaaaaaabbbbbbbbbb", "other");
    for (i = 0; i < count; i++) {
        expect(buffer, keys[i],
               i == 7 ? "other" : keys[i][0] == '\0' ? "empty" : keys[i]);
    }
    expect(buffer, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", NULL);
    expect(buffer, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL);
    expect(buffer, "aaaaaaaaaaaaaaaaadbbbbbbbbb", NULL);
    expect(buffer, "aaab", NULL);
    tk_buffer_free(buffer);
}

static void
set__refuses_empty_values_and_oversize(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    uint8_t *bytes = tk_calloc(70000);
    tikv_error *error;

    (void)state;
    expect_code(tk_buffer_set(buffer, tk_slice_text("k"), tk_slice("", 0), 0),
                TIKV_ERR_ARGUMENT);
    assert_null(tk_buffer_set(buffer, tk_slice(bytes, 65535),
                              tk_slice(bytes, 65536), 0));
    error = tk_buffer_set(buffer, tk_slice(bytes, 65536), tk_slice(bytes, 1),
                          0);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_SIZE_BYTES), 65536);
    expect_code(error, TIKV_ERR_TOO_LARGE);
    expect_code(tk_buffer_set(buffer, tk_slice(bytes, 1),
                              tk_slice(bytes, TK_BUFFER_VALUE_MAX + 1), 0),
                TIKV_ERR_TOO_LARGE);
    assert_int_equal(tk_buffer_count(buffer), 1);
    tk_free(bytes);
    tk_buffer_free(buffer);
}

static void
limits__refuse_before_they_write(void **state)
{
    static const uint8_t bytes[600];
    struct tk_buffer *buffer = tk_buffer_new();
    tikv_slice x = tk_slice_text("x");
    tikv_error *error;

    (void)state;
    tk_buffer_set_limits(buffer, 500, 1000);
    error = tk_buffer_set(buffer, x, tk_slice(bytes, 500), 0);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_SIZE_BYTES), 501);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_LIMIT_BYTES), 500);
    expect_code(error, TIKV_ERR_TOO_LARGE);
    assert_null(tk_buffer_set(buffer, x, tk_slice(bytes, 499), 0));
    expect_code(tk_buffer_set(buffer, tk_slice_text("yz"),
                              tk_slice(bytes, 499), 0),
                TIKV_ERR_TOO_LARGE);
    assert_int_equal(tk_buffer_size(buffer), 500);
    assert_null(tk_buffer_remove(buffer, tk_slice(bytes, 499), 0));
    expect_code(tk_buffer_remove(buffer, tk_slice(bytes, 500), 0),
                TIKV_ERR_TOO_LARGE);
    assert_int_equal(tk_buffer_size(buffer), 999);
    assert_int_equal(tk_buffer_count(buffer), 2);
    tk_buffer_free(buffer);
}

static void
flags__come_with_values_and_alone(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;

    (void)state;
    assert_null(tk_buffer_set(buffer, tk_slice_text("a"), tk_slice_text("1"),
                              TK_KEY_PRESUME));
    put(buffer, "b", "2");
    mark(buffer, "c", TK_KEY_ASSERT_NONE);
    assert_int_equal(flags_of(buffer, "a"),
                     TK_KEY_PRESUME_ABSENT | TK_KEY_NEED_CHECK_EXISTS);
    assert_int_equal(flags_of(buffer, "b"), 0);
    assert_int_equal(flags_of(buffer, "c"), 0);
    assert_int_equal(flags_of(buffer, "d"), -1);
    expect(buffer, "c", NULL);
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, false, &iter);
    expect_text(&iter, "a b c");
    iterate(buffer, NULL, NULL, false, &iter);
    expect_text(&iter, "a b");
    mark(buffer, "a", TK_KEY_UNPRESUME);
    assert_int_equal(flags_of(buffer, "a"), 0);
    tk_buffer_free(buffer);
}

static void
flags__change_by_their_rules(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    mark(buffer, "k", TK_KEY_SET(TK_KEY_CHECK_IN_PREWRITE));
    put(buffer, "k", "v");
    assert_int_equal(flags_of(buffer, "k"), 0);
    mark(buffer, "k", TK_KEY_ASSERT_THAT_EXISTS);
    mark(buffer, "k", TK_KEY_ASSERT_THAT_ABSENT);
    assert_int_equal(flags_of(buffer, "k"), TK_KEY_ASSERT_ABSENT);
    mark(buffer, "k", TK_KEY_ASSERT_UNKNOWN);
    assert_int_equal(flags_of(buffer, "k"), TK_KEY_ASSERTIONS);
    mark(buffer, "k", tk_key_both(TK_KEY_ASSERT_NONE,
                                  TK_KEY_SET(TK_KEY_LOCKED_SHARED)));
    mark(buffer, "k", TK_KEY_SET(TK_KEY_CHECK_IN_PREWRITE));
    mark(buffer, "k", TK_KEY_LOCK_EXISTS);
    assert_int_equal(flags_of(buffer, "k"),
                     TK_KEY_LOCKED_SHARED | TK_KEY_LOCKED_EXISTS);
    mark(buffer, "k", TK_KEY_LOCK_EXCLUSIVE);
    mark(buffer, "k", TK_KEY_LOCK_ABSENT);
    assert_int_equal(flags_of(buffer, "k"), 0);
    tk_buffer_free(buffer);
}

/* Only a writer knows that a key is new; a delete in between forgets it. */
static void
flags__tell_keys_new_that_were_written_so(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    drop(buffer, "a");
    put(buffer, "a", "1");
    assert_int_equal(flags_of(buffer, "a"), 0);
    mark(buffer, "b", TK_KEY_SET(TK_KEY_LOCKED));
    assert_null(tk_buffer_set(buffer, tk_slice_text("b"), tk_slice_text("1"),
                              TK_KEY_SET(TK_KEY_NEWLY_INSERTED)));
    assert_int_equal(flags_of(buffer, "b"),
                     TK_KEY_LOCKED | TK_KEY_NEWLY_INSERTED);
    mark(buffer, "c", TK_KEY_SET(TK_KEY_LOCKED));
    drop(buffer, "c");
    assert_int_equal(flags_of(buffer, "c"), TK_KEY_LOCKED);
    put(buffer, "c", "1");
    assert_int_equal(flags_of(buffer, "c"), TK_KEY_LOCKED);
    tk_buffer_free(buffer);
}

static void
reset__makes_it_empty(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;

    (void)state;
    put_numbers(buffer, 0, 1000, 1, 0);
    mark(buffer, "flag", TK_KEY_SET(TK_KEY_LOCKED));
    tk_buffer_reset(buffer);
    assert_int_equal(flags_of(buffer, "flag"), -1);
    assert_int_equal(tk_buffer_count(buffer), 0);
    assert_int_equal(tk_buffer_size(buffer), 0);
    assert_int_equal(tk_buffer_footprint(buffer), 0);
    assert_false(tk_buffer_is_dirty(buffer));
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, false, &iter);
    assert_false(iter.is_valid);
    put(buffer, "again", "yes");
    expect(buffer, "again", "yes");
    tk_buffer_free(buffer);
}

static void
set__writes_over_values_in_their_place(void **state)
{
    static uint8_t bytes[4096];
    struct tk_buffer *buffer = tk_buffer_new();
    size_t footprint = 0;
    unsigned i;

    (void)state;
    for (i = 1; i <= 256; i++) {
        memset(bytes, (int)i, sizeof(bytes));
        assert_null(tk_buffer_set(buffer, tk_slice_text("k"),
                                  tk_slice(bytes, sizeof(bytes) - i % 100),
                                  0));
        footprint = i == 1 ? tk_buffer_footprint(buffer) : footprint;
        assert_int_equal(tk_buffer_footprint(buffer), footprint);
    }
    tk_buffer_free(buffer);
}

static void
value__larger_than_a_block_gets_its_own(void **state)
{
    enum { BIG = 80 << 20 };
    struct tk_buffer *buffer = tk_buffer_new();
    uint8_t *big = tk_calloc(BIG);
    struct tk_buffer_item item;
    size_t stage;

    (void)state;
    put(buffer, "small", "value");
    assert_null(tk_buffer_set(buffer, tk_slice_text("big"),
                              tk_slice(big, BIG), 0));
    assert_null(tk_buffer_set(buffer, tk_slice_text("next"),
                              tk_slice(big, 3000), 0));
    stage = open_stage(buffer);
    assert_null(tk_buffer_set(buffer, tk_slice_text("big2"),
                              tk_slice(big, BIG), 0));
    cleanup(buffer, stage);
    expect(buffer, "big2", NULL);
    assert_true(tk_buffer_get(buffer, tk_slice_text("next"), &item));
    assert_int_equal(item.value.len, 3000);
    assert_true(tk_buffer_get(buffer, tk_slice_text("big"), &item));
    assert_int_equal(item.value.len, BIG);
    assert_int_equal(item.value.data[BIG - 1], 0);
    tk_free(big);
    tk_buffer_free(buffer);
}

static void
discard__keeps_keys_and_handles(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_item item;
    struct tk_buffer_iter iter;
    const struct tk_entry *handle;
    tikv_slice value;

    (void)state;
    put(buffer, "a", "1");
    mark(buffer, "a", TK_KEY_SET(TK_KEY_LOCKED));
    assert_true(tk_buffer_get(buffer, tk_slice_text("a"), &item));
    handle = item.handle;
    assert_true(tk_entry_value(buffer, handle, &value));
    tk_buffer_discard_values(buffer);
    assert_true(tk_slice_equal(tk_entry_key(handle), tk_slice_text("a")));
    assert_false(tk_entry_value(buffer, handle, &value));
    assert_true(tk_buffer_get(buffer, tk_slice_text("a"), &item));
    assert_int_equal(item.flags, TK_KEY_LOCKED);
    expect(buffer, "a", NULL);
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, false, &iter);
    expect_text(&iter, "a");
    expect_code(tk_buffer_set(buffer, tk_slice_text("a"), tk_slice_text("2"),
                              0),
                TIKV_ERR_STATE);
    tk_buffer_free(buffer);
}

/* A million keys of 100 bytes with a value of 8: what they have, the
 * records, the tree, and a quarter. */
static void
footprint__of_a_million_keys_is_bounded(void **state)
{
    enum { KEYS = 1000000, ENTRY = 112, RECORD = 32, TREE = 20 };
    struct tk_buffer *buffer = tk_buffer_new();
    uint8_t key[100] = { 0 };
    uint64_t i;

    (void)state;
    for (i = 0; i < KEYS; i++) {
        memcpy(key + 92, &(uint64_t){ __builtin_bswap64(i) }, 8);
        assert_null(tk_buffer_set(buffer, tk_slice(key, sizeof(key)),
                                  tk_slice(key + 92, 8), 0));
    }
    assert_true(tk_buffer_footprint(buffer) <
                (size_t)KEYS * (ENTRY + RECORD + TREE) * 5 / 4);
    tk_buffer_free(buffer);
}

static void
mutations__keep_key_op_and_flags(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_mutations mutations = { .count = 0 };
    struct tk_buffer_iter iter;
    uint8_t op;
    uint8_t i;

    (void)state;
    for (i = 0; i < 24; i++) {
        char key[3] = { (char)('a' + i), '\0' };
        uint16_t flags = (uint16_t)(((i & 1) != 0 ? TK_KEY_LOCKED : 0) |
                                    ((i & 2) != 0 ? TK_KEY_ASSERT_EXIST : 0) |
                                    ((i & 4) != 0 ? TK_KEY_ASSERT_ABSENT : 0));

        mark(buffer, key, TK_KEY_SET(flags));
    }
    tk_buffer_iterate(buffer, TK_WALK_ALL, NOTHING, NOTHING, false, &iter);
    for (op = 0; iter.is_valid; op++) {
        assert_true(tk_mutations_add(&mutations, iter.item.handle, op / 8,
                                     op % 8));
        /* Both assertions are none. */
        assert_int_equal(tk_mutation_flags(iter.item.flags),
                         op % 8 >= 6 ? op % 2 : op % 8);
        assert_null(tk_buffer_iter_next(&iter));
    }
    tk_buffer_discard_values(buffer);
    assert_int_equal(mutations.count, 24);
    for (i = 0; i < 24; i++) {
        char key[3] = { (char)('a' + i), '\0' };
        const struct tk_mutation *mutation = &mutations.items[i];

        assert_true(tk_slice_equal(tk_entry_key(mutation->handle),
                                   tk_slice_text(key)));
        assert_int_equal(mutation->op, i / 8);
        assert_int_equal(mutation->flags, i % 8);
    }
    tk_mutations_fini(&mutations);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(get__finds_what_was_set),
        harness_test(get__reads_a_hundred_thousand_decimals),
        harness_test(get__tells_keys_with_common_prefixes_apart),
        harness_test(set__refuses_empty_values_and_oversize),
        harness_test(limits__refuse_before_they_write),
        harness_test(flags__come_with_values_and_alone),
        harness_test(flags__change_by_their_rules),
        harness_test(flags__tell_keys_new_that_were_written_so),
        harness_test(reset__makes_it_empty),
        harness_test(set__writes_over_values_in_their_place),
        harness_test(value__larger_than_a_block_gets_its_own),
        harness_test(discard__keeps_keys_and_handles),
        harness_test(footprint__of_a_million_keys_is_bounded),
        harness_test(mutations__keep_key_op_and_flags),
    };
    return harness_run(tests);
}
