/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a server worked on a request, by its answer: kvrpcpb.ExecDetailsV2,
 * where the response has it. Newer servers count in nanoseconds, older ones in
 * milliseconds and with the whole in nanoseconds; the largest account of the
 * whole holds, for each is less than the whole where parts are not counted.
 * Constant data; any thread.
 */
#include "wire/commands.h"
#include "wire/proto.h"

/* The field of kvrpcpb.ExecDetailsV2 in the response; 0: it has none. */
static const uint8_t details_field[TK_COMMANDS] = {
    [TK_CMD_KV_GET] = 6,
    [TK_CMD_KV_BATCH_GET] = 4,
    [TK_CMD_KV_BUFFER_BATCH_GET] = 4,
    [TK_CMD_KV_PREWRITE] = 5,
    [TK_CMD_KV_COMMIT] = 4,
    [TK_CMD_KV_BATCH_ROLLBACK] = 3,
    [TK_CMD_KV_PESSIMISTIC_LOCK] = 7,
    [TK_CMD_KV_PESSIMISTIC_ROLLBACK] = 3,
    [TK_CMD_KV_TXN_HEART_BEAT] = 4,
    [TK_CMD_KV_CHECK_TXN_STATUS] = 7,
    [TK_CMD_KV_CHECK_SECONDARY_LOCKS] = 5,
    [TK_CMD_KV_RESOLVE_LOCK] = 3,
    [TK_CMD_KV_SCAN_LOCK] = 4,
    [TK_CMD_KV_FLUSH] = 3,
    [TK_CMD_COPROCESSOR] = 11,
    [TK_CMD_COPROCESSOR_STREAM] = 11,
};

/* Fields of ExecDetailsV2 and what is in them. */
enum { TIME_DETAIL = 1, TIME_DETAIL_V2 = 4 };
enum { WAIT = 1, PROCESS = 2, WHOLE = 4, WHOLE_V2 = 5 };

#define MS UINT64_C(1000000)
#define LONGEST (UINT64_C(86400) * 1000 * MS)

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* TimeDetail, whose parts are of `unit` ns, or TimeDetailV2. */
static uint64_t
read_time(tikv_slice bytes, uint32_t whole_field, uint64_t unit)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    uint64_t parts = 0;
    uint64_t whole = 0;
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.type != TK_WIRE_VARINT || field.value > LONGEST) {
            continue;
        }
        if (field.number == WAIT || field.number == PROCESS) {
            parts += field.value > LONGEST / unit ? 0 : field.value * unit;
        } else if (field.number == whole_field) {
            whole = field.value;
        }
    }
    return larger(parts, whole);
}

static uint64_t
read_details(tikv_slice bytes)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    struct tk_field field;
    uint64_t ns = 0;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.type != TK_WIRE_BYTES) {
            continue;
        }
        if (field.number == TIME_DETAIL) {
            ns = larger(ns, read_time(field.bytes, WHOLE, MS));
        } else if (field.number == TIME_DETAIL_V2) {
            ns = larger(ns, read_time(field.bytes, WHOLE_V2, 1));
        }
    }
    return ns;
}

int64_t
tk_worked_ns(enum tk_command command, tikv_slice response)
{
    uint8_t number = details_field[command];
    struct tk_cursor cursor = tk_cursor(response);
    struct tk_field field;
    uint64_t ns = 0;

    while (number != 0 && tk_cursor_field(&cursor, &field)) {
        if (field.number == number && field.type == TK_WIRE_BYTES) {
            ns = larger(ns, read_details(field.bytes));
        }
    }
    return (int64_t)ns;
}

uint32_t
tk_worked_field(enum tk_command command)
{
    return details_field[command];
}
