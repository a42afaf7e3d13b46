/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers and writers of the wire format. A reader looks at a byte only after
 * comparing with the end, and moves its cursor only on success: a broken
 * field leaves the cursor before it. No state; any thread.
 */
#include "wire/proto.h"

#include <string.h>

enum { TAG_MAX = 5 };

/* Up to eight bytes at once, of which `word` holds the first lowest: the
 * bytes behind the one that ends the number are cut off, then the sevens of
 * bits moved together in pairs. 0: the number is longer. */
static unsigned
join_sevens(uint64_t word, uint64_t *out)
{
    const uint64_t high = UINT64_C(0x8080808080808080);
    uint64_t ends = ~word & high;

    if (ends == 0) {
        return 0;
    }
    word &= (ends ^ (ends - 1)) & ~high;
    word = (word & UINT64_C(0x007f007f007f007f)) |
           (word & UINT64_C(0x7f007f007f007f00)) >> 1;
    word = (word & UINT64_C(0x00003fff00003fff)) |
           (word & UINT64_C(0x3fff00003fff0000)) >> 2;
    *out = (word & UINT64_C(0x000000000fffffff)) |
           (word & UINT64_C(0x0fffffff00000000)) >> 4;
    return (unsigned)__builtin_ctzll(ends) / 8 + 1;
}

static uint64_t
load_word(const uint8_t *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

bool
tk_cursor_long_varint(struct tk_cursor *cursor, uint64_t *out)
{
    size_t left = (size_t)(cursor->end - cursor->at);
    uint64_t number = 0;
    unsigned i;

    if (left >= sizeof(number)) {
        i = join_sevens(load_word(cursor->at), out);
        if (i != 0) {
            cursor->at += i;
            return true;
        }
    }
    for (i = 0; i < TK_VARINT_MAX && i < left; i++) {
        uint8_t byte = cursor->at[i];

        number |= (uint64_t)(byte & 0x7f) << (7 * i);
        if ((byte & 0x80) == 0) {
            cursor->at += i + 1;
            *out = number;
            return true;
        }
    }
    return false;
}

static bool
read_tag(struct tk_cursor *cursor, struct tk_field *out)
{
    const uint8_t *start = cursor->at;
    uint64_t tag;

    if (!tk_cursor_varint(cursor, &tag) || cursor->at - start > TAG_MAX ||
        tag > UINT32_MAX || tag >> 3 == 0) {
        return false;
    }
    out->number = (uint32_t)(tag >> 3);
    out->type = (uint32_t)(tag & 7);
    return true;
}

/* Fixed numbers are little-endian. */
static bool
read_fixed(struct tk_cursor *cursor, size_t len, uint64_t *out)
{
    uint64_t number = 0;
    size_t i;

    if ((size_t)(cursor->end - cursor->at) < len) {
        return false;
    }
    for (i = len; i > 0; i--) {
        number = number << 8 | cursor->at[i - 1];
    }
    cursor->at += len;
    *out = number;
    return true;
}

static bool
read_bytes(struct tk_cursor *cursor, tikv_slice *out)
{
    uint64_t len;

    if (!tk_cursor_varint(cursor, &len) ||
        len > (uint64_t)(cursor->end - cursor->at)) {
        return false;
    }
    out->data = cursor->at;
    out->len = (size_t)len;
    cursor->at += len;
    return true;
}

static bool
read_payload(struct tk_cursor *cursor, struct tk_field *out)
{
    switch (out->type) {
    case TK_WIRE_VARINT:
        return tk_cursor_varint(cursor, &out->value);
    case TK_WIRE_64:
        return read_fixed(cursor, 8, &out->value);
    case TK_WIRE_32:
        return read_fixed(cursor, 4, &out->value);
    case TK_WIRE_BYTES:
        return read_bytes(cursor, &out->bytes);
    default:
        return false;
    }
}

bool
tk_cursor_any_field(struct tk_cursor *cursor, struct tk_field *out)
{
    struct tk_cursor at = *cursor;

    if (tk_cursor_is_done(cursor)) {
        return false;
    }
    out->value = 0;
    out->bytes = (tikv_slice){ NULL, 0 };
    if (!read_tag(&at, out) || !read_payload(&at, out)) {
        return false;
    }
    *cursor = at;
    return true;
}
