/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protobuf wire format by hand, for framing and peeking: bounds-checked
 * readers that never run past the end of what they were given.
 */
#ifndef TK_WIRE_PROTO_H
#define TK_WIRE_PROTO_H

#include <stdbool.h>
#include <stdint.h>

#include <tikv/base.h>

/* Bytes of the longest varint. */
enum { TK_VARINT_MAX = 10 };

enum { TK_WIRE_VARINT = 0, TK_WIRE_64 = 1, TK_WIRE_BYTES = 2, TK_WIRE_32 = 5 };

struct tk_cursor {
    const uint8_t *at;
    const uint8_t *end;
};

struct tk_field {
    uint32_t number;
    uint32_t type;
    uint64_t value;   /* varint and fixed types */
    tikv_slice bytes; /* TK_WIRE_BYTES */
};

static inline struct tk_cursor
tk_cursor(tikv_slice bytes)
{
    if (bytes.len == 0) {
        return (struct tk_cursor){ NULL, NULL };
    }
    return (struct tk_cursor){ bytes.data, bytes.data + bytes.len };
}

/* Bits beyond the 64th are dropped, as protobuf does. False leaves the cursor
 * where it was. */
bool
tk_cursor_long_varint(struct tk_cursor *cursor, uint64_t *out);

/* The readers below give their long forms copies, so that in loops the cursor
 * and what was read can stay in registers. */
static inline bool
tk_cursor_varint(struct tk_cursor *cursor, uint64_t *out)
{
    struct tk_cursor copy;
    uint64_t number = 0;
    bool is_read;

    if (cursor->at != cursor->end && *cursor->at < 0x80) {
        *out = *cursor->at++;
        return true;
    }
    copy = *cursor;
    is_read = tk_cursor_long_varint(&copy, &number);
    cursor->at = copy.at;
    *out = number;
    return is_read;
}

bool
tk_cursor_any_field(struct tk_cursor *cursor, struct tk_field *out);

static inline bool
tk_cursor_long_field(struct tk_cursor *cursor, struct tk_field *out)
{
    struct tk_cursor copy = *cursor;
    struct tk_field field = { 0 };
    bool is_read = tk_cursor_any_field(&copy, &field);

    cursor->at = copy.at;
    *out = field;
    return is_read;
}

/* The next field; false at the end or when the bytes are broken (groups and
 * field number 0 are): tk_cursor_is_done() tells the two apart. Bytes are
 * never absent, only empty. What frames are made of is read here: bytes with
 * a small number and a length below 16 KiB. */
static inline bool
tk_cursor_field(struct tk_cursor *cursor, struct tk_field *out)
{
    const uint8_t *at = cursor->at;
    size_t left = (size_t)(cursor->end - at);
    size_t head = 2;
    size_t len;

    if (left == 0) {
        return false;
    }
    if (left < 3 || at[0] >= 0x80 || at[0] < 8 ||
        (at[0] & 7) != TK_WIRE_BYTES) {
        return tk_cursor_long_field(cursor, out);
    }
    len = at[1];
    if (len >= 0x80) {
        if (at[2] >= 0x80) {
            return tk_cursor_long_field(cursor, out);
        }
        len = (len & 0x7f) | (size_t)at[2] << 7;
        head = 3;
    }
    if (len > left - head) {
        return false;
    }
    out->number = (uint32_t)at[0] >> 3;
    out->type = TK_WIRE_BYTES;
    out->value = 0;
    out->bytes = (tikv_slice){ at + head, len };
    cursor->at = at + head + len;
    return true;
}

static inline bool
tk_cursor_is_done(const struct tk_cursor *cursor)
{
    return cursor->at == cursor->end;
}

/* Bytes that a varint takes: one for each seven bits begun. */
static inline size_t
tk_varint_len(uint64_t number)
{
    unsigned bits = 64U - (unsigned)__builtin_clzll(number | 1);

    return (bits * 9 + 64) / 64;
}

/* Writes at `out`, returns behind it. */
static inline uint8_t *
tk_varint_put(uint8_t *out, uint64_t number)
{
    while (number >= 0x80) {
        *out++ = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    *out++ = (uint8_t)number;
    return out;
}

#endif
