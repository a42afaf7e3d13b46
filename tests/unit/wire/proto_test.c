/* SPDX-License-Identifier: Apache-2.0 */
/* The hand-written readers and writers of the wire format. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/slice.h"
#include "wire/proto.h"

/* A copy that ends where its block ends, so that ASan sees one byte more. */
static uint8_t *
exact(const uint8_t *data, size_t len)
{
    uint8_t *copy = tk_alloc(len == 0 ? 1 : len);

    assert_non_null(copy);
    if (len != 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

static void
varint__round_trips_at_every_length(void **state)
{
    unsigned bit;

    (void)state;
    for (bit = 0; bit < 64; bit++) {
        uint64_t numbers[] = { UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1,
                               ~UINT64_C(0) >> bit };
        size_t i;

        for (i = 0; i < 3; i++) {
            uint8_t bytes[10];
            size_t len = (size_t)(tk_varint_put(bytes, numbers[i]) - bytes);
            struct tk_cursor cursor = { bytes, bytes + len };
            uint64_t back;

            assert_int_equal(len, tk_varint_len(numbers[i]));
            assert_true(tk_cursor_varint(&cursor, &back));
            assert_true(back == numbers[i]);
            assert_true(tk_cursor_is_done(&cursor));
        }
    }
}

/* Several bytes are read at once where they are there: what follows is no
 * part of the number, whatever it is, and no bit of it is lost. */
static void
varint__ends_where_it_says(void **state)
{
    static const uint8_t behind[] = { 0x00, 0x7f, 0x80, 0xff };
    unsigned bit;
    size_t i;

    (void)state;
    for (bit = 0; bit < 64; bit++) {
        uint64_t number = UINT64_C(0x9e3779b97f4a7c15) >> bit;

        for (i = 0; i < sizeof(behind); i++) {
            uint8_t bytes[24];
            struct tk_cursor cursor = { bytes, bytes + sizeof(bytes) };
            size_t len;
            uint64_t back;

            memset(bytes, behind[i], sizeof(bytes));
            len = (size_t)(tk_varint_put(bytes, number) - bytes);
            assert_true(tk_cursor_varint(&cursor, &back));
            assert_true(back == number);
            assert_ptr_equal(cursor.at, bytes + len);
        }
    }
}

/* Protobuf allows zeros in front, that is, at the end. */
static void
varint__may_be_longer_than_it_must(void **state)
{
    size_t len;

    (void)state;
    for (len = 2; len <= TK_VARINT_MAX; len++) {
        uint8_t bytes[16];
        struct tk_cursor cursor = { bytes, bytes + sizeof(bytes) };
        uint64_t back;

        memset(bytes, 0x80, sizeof(bytes));
        bytes[0] = 0x85;
        bytes[len - 1] = 0x00;
        assert_true(tk_cursor_varint(&cursor, &back));
        assert_int_equal(back, 5);
        assert_ptr_equal(cursor.at, bytes + len);
    }
}

static void
varint__refuses_what_does_not_end(void **state)
{
    uint8_t bytes[11];
    size_t len;

    (void)state;
    memset(bytes, 0x80, sizeof(bytes));
    for (len = 0; len <= sizeof(bytes); len++) {
        uint8_t *copy = exact(bytes, len);
        struct tk_cursor cursor = { copy, copy + len };
        uint64_t number;

        assert_false(tk_cursor_varint(&cursor, &number));
        assert_ptr_equal(cursor.at, copy);
        tk_free(copy);
    }
}

static void
field__reads_every_type(void **state)
{
    static const uint8_t bytes[] = {
        0x08, 0x96, 0x01,                     /* 1: 150 */
        0x11, 8,    7,    6,   5, 4, 3, 2, 1, /* 2: fixed 64 */
        0x1a, 2,    'h',  'i',                /* 3: "hi" */
        0x25, 4,    3,    2,   1,             /* 4: fixed 32 */
        0x2a, 0,                              /* 5: "" */
    };
    struct tk_cursor cursor = { bytes, bytes + sizeof(bytes) };
    struct tk_field field;

    (void)state;
    assert_true(tk_cursor_field(&cursor, &field));
    assert_int_equal(field.number, 1);
    assert_int_equal(field.value, 150);
    assert_true(tk_cursor_field(&cursor, &field));
    assert_int_equal(field.type, TK_WIRE_64);
    assert_true(field.value == UINT64_C(0x0102030405060708));
    assert_true(tk_cursor_field(&cursor, &field));
    assert_true(tk_slice_equal(field.bytes, tk_slice_text("hi")));
    assert_true(tk_cursor_field(&cursor, &field));
    assert_int_equal(field.type, TK_WIRE_32);
    assert_int_equal(field.value, 0x01020304);
    assert_true(tk_cursor_field(&cursor, &field));
    assert_non_null(field.bytes.data);
    assert_int_equal(field.bytes.len, 0);
    assert_false(tk_cursor_field(&cursor, &field));
    assert_true(tk_cursor_is_done(&cursor));
}

/* Every cut of a field is refused, and the cursor stays before it. */
static void
field__refuses_every_truncation(void **state)
{
    static const uint8_t fields[][16] = {
        { 0x08, 0x96, 0x01 },
        { 0x11, 8, 7, 6, 5, 4, 3, 2, 1 },
        { 0x1a, 3, 'a', 'b', 'c' },
        { 0x25, 4, 3, 2, 1 },
        { 0xf8, 0xff, 0xff, 0xff, 0x0f, 1 },
    };
    static const size_t lens[] = { 3, 9, 5, 5, 6 };
    size_t i;
    size_t len;

    (void)state;
    for (i = 0; i < 5; i++) {
        for (len = 1; len <= lens[i]; len++) {
            uint8_t *copy = exact(fields[i], len);
            struct tk_cursor cursor = { copy, copy + len };
            struct tk_field field;

            assert_int_equal(tk_cursor_field(&cursor, &field), len == lens[i]);
            assert_ptr_equal(cursor.at, len == lens[i] ? copy + len : copy);
            tk_free(copy);
        }
    }
}

static void
field__refuses_odd_tags_and_lengths(void **state)
{
    static const struct {
        uint8_t bytes[12];
        size_t len;
    } cases[] = {
        { { 0x00, 0x00 }, 2 },                            /* number 0 */
        { { 0x0b, 0x0c }, 2 },                            /* group */
        { { 0x0c }, 1 },                                  /* its end */
        { { 0x0e, 0x00 }, 2 },                            /* type 6 */
        { { 0x0f, 0x00 }, 2 },                            /* type 7 */
        { { 0xf8, 0xff, 0xff, 0xff, 0x1f, 1 }, 6 },       /* 33 bits */
        { { 0x88, 0x80, 0x80, 0x80, 0x80, 0x00, 1 }, 7 }, /* 6 bytes */
        { { 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 },
          11 }, /* 2^64 - 1 */
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tk_cursor cursor = { cases[i].bytes,
                                    cases[i].bytes + cases[i].len };
        struct tk_field field;

        assert_false(tk_cursor_field(&cursor, &field));
        assert_false(tk_cursor_is_done(&cursor));
    }
}

static void
cursor__of_absent_bytes_is_done(void **state)
{
    struct tk_cursor cursor = tk_cursor((tikv_slice){ NULL, 0 });
    struct tk_field field;

    (void)state;
    assert_false(tk_cursor_field(&cursor, &field));
    assert_true(tk_cursor_is_done(&cursor));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(varint__round_trips_at_every_length),
        harness_test(varint__ends_where_it_says),
        harness_test(varint__may_be_longer_than_it_must),
        harness_test(varint__refuses_what_does_not_end),
        harness_test(field__reads_every_type),
        harness_test(field__refuses_every_truncation),
        harness_test(field__refuses_odd_tags_and_lengths),
        harness_test(cursor__of_absent_bytes_is_done),
    };
    return harness_run(tests);
}
