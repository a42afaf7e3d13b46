/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tk_peek against upb: for random answers of every command both must see the
 * same region error, error, value and not_found.
 */
#include "harness/harness.h"

#include "wire/arena.h"
#include "wire/commands.h"

#include "random_message.h"

#include "kvrpcpb.upb.h"

enum { ROUNDS = 300 };

/* The field's place in a decoded message; NULL when the row has none. */
static const void *
place_of(const struct tk_command_row *row, const void *message, uint32_t number,
         const upb_MiniTable_Field **out)
{
    unsigned i;

    for (i = 0; number != 0 && i < row->response->field_count; i++) {
        if (row->response->fields[i].number == number) {
            *out = &row->response->fields[i];
            return (const char *)message + row->response->fields[i].offset;
        }
    }
    return NULL;
}

/* Whether upb sees a field: texts when not empty, messages when there. */
static bool
is_seen(const struct tk_command_row *row, const void *message, uint32_t number)
{
    const upb_MiniTable_Field *field;
    const void *place = place_of(row, message, number, &field);
    const upb_Array *array;

    if (place == NULL) {
        return false;
    }
    if (upb_FieldMode_Get(field) == kUpb_FieldMode_Array) {
        memcpy(&array, place, sizeof(array));
        return array != NULL && array->len != 0;
    }
    if (field->descriptortype == kUpb_FieldType_Message) {
        memcpy(&array, place, sizeof(array));
        return array != NULL;
    }
    return ((const upb_StringView *)place)->size != 0;
}

static void
compare(const struct tk_command_row *row, const void *message,
        const struct tk_peek *peek)
{
    const upb_MiniTable_Field *field;
    const void *place;
    bool not_found = false;

    assert_int_equal(peek->region_error.data != NULL,
                     is_seen(row, message, row->region_error));
    assert_int_equal(peek->error.data != NULL,
                     is_seen(row, message, row->error));
    place = place_of(row, message, row->not_found, &field);
    if (place != NULL) {
        not_found = *(const bool *)place;
    }
    assert_int_equal(peek->not_found, not_found);
    place = place_of(row, message, row->value, &field);
    if (place != NULL) {
        const upb_StringView *view = place;

        assert_true(
            tk_slice_equal(peek->value, tk_slice(view->data, view->size)));
    } else {
        assert_null(peek->value.data);
    }
}

static void
peek_at(enum tk_command command, const uint8_t *data, size_t len)
{
    const struct tk_command_row *row = tk_command_row(command);
    struct tk_arena *arena = tk_arena_new();
    void *message = tk_arena_decode(arena, row->response, data, len, NULL);
    struct tk_peek peek;

    tk_peek(command, tk_slice(data, len), &peek);
    if (message != NULL) {
        assert_true(peek.is_valid);
        compare(row, message, &peek);
    }
    tk_arena_unref(arena);
}

static void
peek__sees_what_upb_sees(void **state)
{
    struct tk_rng rng = { 5 };
    unsigned i;
    unsigned round;

    (void)state;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);

        for (round = 0; round < ROUNDS; round++) {
            struct tk_arena *arena = tk_arena_new();
            struct tk_buf bytes;
            uint8_t *copy;

            tk_buf_init(&bytes, 1 << 24);
            random_message(&rng, &bytes, row->response, 2, false);
            assert_false(bytes.failed);
            copy = exact_copy(bytes.data, bytes.len);
            /* The generator makes only messages that upb takes. */
            assert_non_null(
                tk_arena_decode(arena, row->response, copy, bytes.len, NULL));
            peek_at((enum tk_command)i, copy, bytes.len);
            tk_free(copy);
            tk_buf_fini(&bytes);
            tk_arena_unref(arena);
        }
    }
}

static void
peek__survives_every_truncation(void **state)
{
    static const enum tk_command commands[] = { TK_CMD_RAW_GET, TK_CMD_KV_GET,
                                                TK_CMD_KV_PREWRITE };
    struct tk_rng rng = { 6 };
    unsigned round;

    (void)state;
    for (round = 0; round < 60; round++) {
        enum tk_command command = commands[round % 3];
        struct tk_buf bytes;
        size_t len;

        tk_buf_init(&bytes, 1 << 24);
        random_message(&rng, &bytes, tk_command_row(command)->response, 1,
                       false);
        for (len = 0; len < bytes.len; len++) {
            uint8_t *copy = exact_copy(bytes.data, len);

            peek_at(command, copy, len);
            tk_free(copy);
        }
        tk_buf_fini(&bytes);
    }
}

static void
assert_peek(enum tk_command command, const char *bytes, size_t len,
            bool is_valid, bool region_error, bool error)
{
    struct tk_peek peek;

    tk_peek(command, tk_slice(bytes, len), &peek);
    assert_int_equal(peek.is_valid, is_valid);
    assert_int_equal(peek.region_error.data != NULL, region_error);
    assert_int_equal(peek.error.data != NULL, error);
    assert_int_equal(tk_peek_is_clean(&peek),
                     is_valid && !region_error && !error);
}

/* An empty message is an error, an empty text is none; the wrong type is an
 * unknown field. */
static void
peek__tells_empty_from_absent(void **state)
{
    (void)state;
    assert_peek(TK_CMD_RAW_GET, "", 0, true, false, false);
    assert_peek(TK_CMD_RAW_GET, "\x0a\x00", 2, true, true, false);
    assert_peek(TK_CMD_RAW_GET, "\x12\x00", 2, true, false, false);
    assert_peek(TK_CMD_RAW_GET, "\x12\x01!", 3, true, false, true);
    assert_peek(TK_CMD_RAW_GET, "\x12\x01!\x12\x00", 5, true, false, false);
    assert_peek(TK_CMD_KV_GET, "\x12\x00", 2, true, false, true);
    assert_peek(TK_CMD_RAW_GET, "\x08\x01", 2, true, false, false);
    assert_peek(TK_CMD_RAW_GET, "\x0a", 1, false, false, false);
    assert_peek(TK_CMD_RAW_GET, "\x0a\x00\x12", 3, false, true, false);
}

static void
peek__gives_a_value_that_is_empty(void **state)
{
    struct tk_peek peek;

    (void)state;
    tk_peek(TK_CMD_RAW_GET, tk_slice("\x1a\x00", 2), &peek);
    assert_non_null(peek.value.data);
    assert_int_equal(peek.value.len, 0);
    tk_peek(TK_CMD_RAW_GET, tk_slice("\x20\x01", 2), &peek);
    assert_true(peek.not_found);
    assert_null(peek.value.data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(peek__sees_what_upb_sees),
        harness_test(peek__survives_every_truncation),
        harness_test(peek__tells_empty_from_absent),
        harness_test(peek__gives_a_value_that_is_empty),
    };
    return harness_run(tests);
}
