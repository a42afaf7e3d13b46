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
tk_cursor_varint(struct tk_cursor *cursor, uint64_t *out);

/* The next field; false at the end or when the bytes are broken (groups and
 * field number 0 are): tk_cursor_is_done() tells the two apart. Bytes are
 * never absent, only empty. */
bool
tk_cursor_field(struct tk_cursor *cursor, struct tk_field *out);

static inline bool
tk_cursor_is_done(const struct tk_cursor *cursor)
{
    return cursor->at == cursor->end;
}

/* Bytes that a varint takes. */
size_t
tk_varint_len(uint64_t number);

/* Writes at `out`, returns behind it. */
uint8_t *
tk_varint_put(uint8_t *out, uint64_t number);

#endif
