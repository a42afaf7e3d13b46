/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key codecs (CODEC-1). Memcomparable: groups of eight bytes padded with
 * zeros, each followed by the marker 0xFF - pad count. The codec of a client
 * tells how its keys stand in requests and in region boundaries.
 */
#ifndef TK_WIRE_KEY_H
#define TK_WIRE_KEY_H

#include "base/buf.h"

/* Bytes of the encoded form of `len` bytes. */
size_t
tk_key_encoded_len(size_t len);

void
tk_key_encode(struct tk_buf *out, tikv_slice key);

/* Decodes one key at the start of `in`; *rest, which may be NULL, is what
 * follows it. False when a marker is below 0xF7, a pad byte is not zero, or
 * the bytes end too early; `out` is then as before. */
bool
tk_key_decode(struct tk_buf *out, tikv_slice in, tikv_slice *rest);

/* Descending form: every byte inverted. */
void
tk_key_encode_desc(struct tk_buf *out, tikv_slice key);

bool
tk_key_decode_desc(struct tk_buf *out, tikv_slice in, tikv_slice *rest);

/* The first key after all keys that begin with `prefix`; empty (no end) for
 * a prefix of 0xff bytes only. */
void
tk_key_prefix_next(struct tk_buf *out, tikv_slice prefix);

enum tk_key_mode {
    TK_KEYS_RAW_V1, /* as is, regions too */
    TK_KEYS_TXN_V1, /* as is; regions memcomparable */
    TK_KEYS_RAW_V2, /* 'r' + keyspace; regions memcomparable of that */
    TK_KEYS_TXN_V2  /* 'x' + keyspace; regions memcomparable of that */
};

struct tk_key_codec {
    enum tk_key_mode mode;
    uint32_t keyspace_id; /* V2: 24 bits */
};

/* A user key as it stands in a request. */
void
tk_codec_request_key(const struct tk_key_codec *codec, struct tk_buf *out,
                     tikv_slice key);

/* An end of a range: an empty one is the end of the keyspace. */
void
tk_codec_request_end(const struct tk_key_codec *codec, struct tk_buf *out,
                     tikv_slice end);

/* A user key as PD and region errors know it. */
void
tk_codec_region_key(const struct tk_key_codec *codec, struct tk_buf *out,
                    tikv_slice key);

/* An end of a range as PD knows it: an empty one stays empty in V1 and is the
 * encoded end of the keyspace in V2. */
void
tk_codec_region_end(const struct tk_key_codec *codec, struct tk_buf *out,
                    tikv_slice end);

/* A key of a response; false when it carries no prefix of ours. */
bool
tk_codec_response_key(const struct tk_key_codec *codec, tikv_slice key,
                      tikv_slice *out);

/* Whose a key of an API V2 cluster is, taken apart: its mode (RAW_V2 or
 * TXN_V2), keyspace and user key. False for a key of no keyspace. */
bool
tk_key_parse_v2(tikv_slice key, struct tk_key_codec *codec, tikv_slice *out);

/* Region bounds to user keys, clamped to the keyspace (CODEC-5): appended to
 * two different buffers. False when they cannot be decoded, lie outside, or
 * a buffer failed; nothing is appended then. */
bool
tk_codec_region_range(const struct tk_key_codec *codec, tikv_slice start,
                      tikv_slice end, struct tk_buf *start_out,
                      struct tk_buf *end_out);

#endif
