/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key codecs. Decoding looks at the whole encoded key before it writes, so a
 * malformed one leaves the output alone. No state; any thread.
 */
#include "wire/key.h"

#include <string.h>

#include "base/slice.h"

enum { GROUP = 8, UNIT = GROUP + 1, PREFIX = 4 };

/* Marker of a full group; one less for each byte of padding. */
#define MARKER UINT8_C(0xff)

size_t
tk_key_encoded_len(size_t len)
{
    return (len / GROUP + 1) * UNIT;
}

/* `flip` is 0x00 for ascending and 0xff for descending order. */
static void
encode(struct tk_buf *out, tikv_slice key, uint8_t flip)
{
    uint8_t *at = tk_buf_grow(out, tk_key_encoded_len(key.len));
    size_t done = 0;

    if (at == NULL) {
        return;
    }
    /* A key that fills its last group gets one more, all padding. */
    for (; done <= key.len; done += GROUP, at += UNIT) {
        size_t left = key.len - done;
        size_t take = left < GROUP ? left : GROUP;
        size_t i;

        memset(at, 0, GROUP);
        if (take != 0) {
            memcpy(at, key.data + done, take);
        }
        at[GROUP] = (uint8_t)(MARKER - (GROUP - take));
        for (i = 0; flip != 0 && i < UNIT; i++) {
            at[i] ^= flip;
        }
    }
}

/* How many bytes of the group at `at` belong to the key; above GROUP when the
 * group is malformed. */
static size_t
group_len(const uint8_t *at, uint8_t flip)
{
    size_t pad = (size_t)(MARKER - (at[GROUP] ^ flip));
    size_t i;

    if (pad > GROUP) {
        return GROUP + 1;
    }
    for (i = GROUP - pad; i < GROUP; i++) {
        if ((at[i] ^ flip) != 0) {
            return GROUP + 1;
        }
    }
    return GROUP - pad;
}

static bool
decode(struct tk_buf *out, tikv_slice in, tikv_slice *rest, uint8_t flip)
{
    size_t used = 0;
    size_t len = 0;
    size_t take;
    uint8_t *to;
    size_t i;

    do {
        if (in.len - used < UNIT) {
            return false;
        }
        take = group_len(in.data + used, flip);
        if (take > GROUP) {
            return false;
        }
        used += UNIT;
        len += take;
    } while (take == GROUP);

    to = tk_buf_grow(out, len);
    for (i = 0; to != NULL && i < len; i++) {
        to[i] = in.data[i / GROUP * UNIT + i % GROUP] ^ flip;
    }
    if (rest != NULL) {
        *rest = (tikv_slice){ in.data + used, in.len - used };
    }
    return true;
}

void
tk_key_encode(struct tk_buf *out, tikv_slice key)
{
    encode(out, key, 0x00);
}

bool
tk_key_decode(struct tk_buf *out, tikv_slice in, tikv_slice *rest)
{
    return decode(out, in, rest, 0x00);
}

void
tk_key_encode_desc(struct tk_buf *out, tikv_slice key)
{
    encode(out, key, 0xff);
}

bool
tk_key_decode_desc(struct tk_buf *out, tikv_slice in, tikv_slice *rest)
{
    return decode(out, in, rest, 0xff);
}

void
tk_key_prefix_next(struct tk_buf *out, tikv_slice prefix)
{
    size_t len = prefix.len;
    uint8_t *at;

    while (len != 0 && prefix.data[len - 1] == 0xff) {
        len--;
    }
    if (len == 0) {
        return;
    }
    at = tk_buf_grow(out, len);
    if (at != NULL) {
        memcpy(at, prefix.data, len);
        at[len - 1]++;
    }
}

static bool
is_v2(const struct tk_key_codec *codec)
{
    return codec->mode == TK_KEYS_RAW_V2 || codec->mode == TK_KEYS_TXN_V2;
}

/* First key of the keyspace (plus 0) or of what follows it (plus 1). The sum
 * carries into the mode byte: behind the last keyspace of 'r' begins 's'. */
static void
put_prefix(const struct tk_key_codec *codec, uint32_t plus, uint8_t out[PREFIX])
{
    uint32_t mode = codec->mode == TK_KEYS_RAW_V2 ? 'r' : 'x';
    uint32_t number = mode << 24 | (codec->keyspace_id & 0xffffff);

    number += plus;
    out[0] = (uint8_t)(number >> 24);
    out[1] = (uint8_t)(number >> 16);
    out[2] = (uint8_t)(number >> 8);
    out[3] = (uint8_t)number;
}

void
tk_codec_request_key(const struct tk_key_codec *codec, struct tk_buf *out,
                     tikv_slice key)
{
    uint8_t prefix[PREFIX];

    if (is_v2(codec)) {
        put_prefix(codec, 0, prefix);
        tk_buf_append(out, prefix, PREFIX);
    }
    tk_buf_append_slice(out, key);
}

void
tk_codec_request_end(const struct tk_key_codec *codec, struct tk_buf *out,
                     tikv_slice end)
{
    uint8_t prefix[PREFIX];

    if (end.len != 0 || !is_v2(codec)) {
        tk_codec_request_key(codec, out, end);
        return;
    }
    put_prefix(codec, 1, prefix);
    tk_buf_append(out, prefix, PREFIX);
}

/* Encodes in place what was appended behind `from`. */
static void
encode_tail(struct tk_buf *out, size_t from)
{
    size_t len = out->len - from;
    size_t groups = len / GROUP;
    size_t i;
    uint8_t *at;

    if (out->failed ||
        tk_buf_grow(out, tk_key_encoded_len(len) - len) == NULL) {
        return;
    }
    at = out->data + from;
    /* From the back, so that nothing is overwritten before it moved. */
    for (i = groups + 1; i > 0; i--) {
        size_t first = (i - 1) * GROUP;
        size_t take = len - first < GROUP ? len - first : GROUP;
        uint8_t *unit = at + (i - 1) * UNIT;

        memmove(unit, at + first, take);
        memset(unit + take, 0, GROUP - take);
        unit[GROUP] = (uint8_t)(MARKER - (GROUP - take));
    }
}

void
tk_codec_region_key(const struct tk_key_codec *codec, struct tk_buf *out,
                    tikv_slice key)
{
    size_t from = out->len;

    tk_codec_request_key(codec, out, key);
    if (codec->mode != TK_KEYS_RAW_V1) {
        encode_tail(out, from);
    }
}

void
tk_codec_region_end(const struct tk_key_codec *codec, struct tk_buf *out,
                    tikv_slice end)
{
    size_t from = out->len;

    if (end.len == 0 && !is_v2(codec)) {
        return;
    }
    tk_codec_request_end(codec, out, end);
    if (codec->mode != TK_KEYS_RAW_V1) {
        encode_tail(out, from);
    }
}

bool
tk_codec_response_key(const struct tk_key_codec *codec, tikv_slice key,
                      tikv_slice *out)
{
    uint8_t prefix[PREFIX];

    if (!is_v2(codec)) {
        *out = key;
        return true;
    }
    put_prefix(codec, 0, prefix);
    if (key.len < PREFIX || memcmp(key.data, prefix, PREFIX) != 0) {
        return false;
    }
    *out = (tikv_slice){ key.data + PREFIX, key.len - PREFIX };
    return true;
}

bool
tk_key_parse_v2(tikv_slice key, struct tk_key_codec *codec, tikv_slice *out)
{
    if (key.len < PREFIX || (key.data[0] != 'r' && key.data[0] != 'x')) {
        return false;
    }
    codec->mode = key.data[0] == 'r' ? TK_KEYS_RAW_V2 : TK_KEYS_TXN_V2;
    codec->keyspace_id =
        (uint32_t)key.data[1] << 16 | (uint32_t)key.data[2] << 8 | key.data[3];
    *out = (tikv_slice){ key.data + PREFIX, key.len - PREFIX };
    return true;
}

/* A bound out of its memcomparable form; empty ones are not encoded. What
 * follows the encoded key, such as a timestamp, does not matter. */
static bool
decode_bound(struct tk_buf *out, tikv_slice bound)
{
    return bound.len == 0 || tk_key_decode(out, bound, NULL);
}

/* Takes our prefix off the bytes behind `from`; what carries another one is
 * an edge of the keyspace: empty. */
static void
strip_prefix(struct tk_buf *buf, size_t from, const uint8_t prefix[PREFIX])
{
    size_t len = buf->len - from;

    if (len >= PREFIX && memcmp(buf->data + from, prefix, PREFIX) == 0) {
        tk_buf_cut(buf, from, PREFIX);
    } else if (len != 0) {
        tk_buf_cut(buf, from, len);
    }
}

static tikv_slice
tail_of(const struct tk_buf *buf, size_t from)
{
    if (buf->len == from) {
        return (tikv_slice){ NULL, 0 };
    }
    return (tikv_slice){ buf->data + from, buf->len - from };
}

/* CODEC-5: false for a region that does not touch the keyspace. */
static bool
clamp(const struct tk_key_codec *codec, struct tk_buf *start, size_t start_from,
      struct tk_buf *end, size_t end_from)
{
    uint8_t first[PREFIX];
    uint8_t behind[PREFIX];
    tikv_slice end_bytes = tail_of(end, end_from);

    put_prefix(codec, 0, first);
    put_prefix(codec, 1, behind);
    if (tk_slice_compare(tail_of(start, start_from),
                         tk_slice(behind, PREFIX)) >= 0 ||
        (end_bytes.len != 0 &&
         tk_slice_compare(end_bytes, tk_slice(first, PREFIX)) <= 0)) {
        return false;
    }
    strip_prefix(start, start_from, first);
    strip_prefix(end, end_from, first);
    return true;
}

bool
tk_codec_region_range(const struct tk_key_codec *codec, tikv_slice start,
                      tikv_slice end, struct tk_buf *start_out,
                      struct tk_buf *end_out)
{
    size_t start_from = start_out->len;
    size_t end_from = end_out->len;
    bool is_ok = true;

    if (codec->mode == TK_KEYS_RAW_V1) {
        tk_buf_append_slice(start_out, start);
        tk_buf_append_slice(end_out, end);
    } else {
        is_ok = decode_bound(start_out, start) && decode_bound(end_out, end);
    }
    is_ok = is_ok && !start_out->failed && !end_out->failed &&
            (!is_v2(codec) ||
             clamp(codec, start_out, start_from, end_out, end_from));
    if (!is_ok) {
        tk_buf_cut(start_out, start_from, start_out->len - start_from);
        tk_buf_cut(end_out, end_from, end_out->len - end_from);
    }
    return is_ok;
}
