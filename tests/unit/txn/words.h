/* SPDX-License-Identifier: Apache-2.0 */
/* Short words for the tests of the buffer: keys and values as text, numbers
 * as big-endian keys, errors by their code. */
#ifndef TK_TEST_TXN_WORDS_H
#define TK_TEST_TXN_WORDS_H

#include "harness/harness.h"

#include "txn/buffer.h"

static const tikv_slice NOTHING = { NULL, 0 };

static inline void
expect_code(tikv_error *error, tikv_code code)
{
    tikv_code found = tikv_error_code(error);

    tikv_error_free(error);
    assert_int_equal(found, code);
}

static inline void
put(struct tk_buffer *buffer, const char *key, const char *value)
{
    assert_null(tk_buffer_set(buffer, tk_slice_text(key), tk_slice_text(value),
                              TK_KEY_NO_CHANGE));
}

static inline void
drop(struct tk_buffer *buffer, const char *key)
{
    assert_null(tk_buffer_remove(buffer, tk_slice_text(key), 0));
}

static inline void
mark(struct tk_buffer *buffer, const char *key, tk_key_change change)
{
    assert_null(tk_buffer_mark(buffer, tk_slice_text(key), change));
}

static inline size_t
open_stage(struct tk_buffer *buffer)
{
    size_t stage = 0;

    assert_null(tk_buffer_stage(buffer, &stage));
    return stage;
}

static inline void
release(struct tk_buffer *buffer, size_t stage)
{
    assert_null(tk_buffer_release(buffer, stage));
}

static inline void
cleanup(struct tk_buffer *buffer, size_t stage)
{
    assert_null(tk_buffer_cleanup(buffer, stage));
}

/* NULL value: neither value nor tombstone. */
static inline void
expect(const struct tk_buffer *buffer, const char *key, const char *value)
{
    struct tk_buffer_item item = { .value = { NULL, 0 } };

    tk_buffer_get(buffer, tk_slice_text(key), &item);
    assert_int_equal(item.value.data != NULL, value != NULL);
    if (value != NULL) {
        assert_int_equal(item.value.len, strlen(value));
        assert_memory_equal(item.value.data, value, item.value.len);
    }
}

/* -1: no entry at all. */
static inline int
flags_of(const struct tk_buffer *buffer, const char *key)
{
    struct tk_buffer_item item;

    return tk_buffer_get(buffer, tk_slice_text(key), &item) ? item.flags : -1;
}

/* Four bytes that order like the number. */
struct number {
    uint8_t bytes[4];
};

static inline struct number
number(uint32_t value)
{
    return (struct number){ { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
                              (uint8_t)(value >> 8), (uint8_t)value } };
}

static inline uint32_t
number_at(tikv_slice bytes)
{
    assert_int_equal(bytes.len, 4);
    return (uint32_t)bytes.data[0] << 24 | (uint32_t)bytes.data[1] << 16 |
           (uint32_t)bytes.data[2] << 8 | bytes.data[3];
}

/* Keys from .. until - 1, with key + `more` as their values. */
static inline void
put_numbers(struct tk_buffer *buffer, uint32_t from, uint32_t until,
            uint32_t step, uint32_t more)
{
    uint32_t i;

    for (i = from; i < until; i += step) {
        struct number key = number(i);
        struct number value = number(i + more);

        assert_null(tk_buffer_set(buffer, tk_slice(key.bytes, 4),
                                  tk_slice(value.bytes, 4), 0));
    }
}

/* The iterator gives first, first + step, ... `count` keys, and is at its
 * end then. */
static inline void
expect_keys(struct tk_buffer_iter *iter, uint32_t first, int step,
            size_t count)
{
    for (; count > 0; count--) {
        assert_true(iter->is_valid);
        assert_int_equal(number_at(iter->item.key), first);
        assert_null(tk_buffer_iter_next(iter));
        first += (uint32_t)step;
    }
    assert_false(iter->is_valid);
    expect_code(tk_buffer_iter_next(iter), TIKV_ERR_STATE);
}

static inline void
append(char *text, size_t room, tikv_slice bytes, const char *after)
{
    size_t len = strlen(text);

    assert_true(len + bytes.len + strlen(after) < room);
    snprintf(text + len, room - len, "%.*s%s", (int)bytes.len,
             (const char *)bytes.data, after);
}

/* The keys of the iterator as text, with spaces between. */
static inline void
expect_text(struct tk_buffer_iter *iter, const char *keys)
{
    char seen[256] = "";

    while (iter->is_valid) {
        if (seen[0] != '\0') {
            append(seen, sizeof(seen), tk_slice_text(" "), "");
        }
        append(seen, sizeof(seen), iter->item.key, "");
        assert_null(tk_buffer_iter_next(iter));
    }
    assert_string_equal(seen, keys);
}

static inline void
iterate(const struct tk_buffer *buffer, const char *lower, const char *upper,
        bool reverse, struct tk_buffer_iter *iter)
{
    tk_buffer_iterate(buffer, TK_WALK_VALUES,
                      lower == NULL ? NOTHING : tk_slice_text(lower),
                      upper == NULL ? NOTHING : tk_slice_text(upper), reverse,
                      iter);
}

#endif
