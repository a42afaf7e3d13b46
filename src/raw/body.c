/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of point operations, encoded by hand: a list of fields, its length
 * counted first, so that the bytes go to their place in one pass and without
 * an arena. What is zero or empty is left out, as protobuf does. No state;
 * any thread. A test compares the bytes with what upb reads out of them.
 */
#include "raw/inner.h"
#include "wire/proto.h"

#define FIELDS_MAX 8

struct field {
    uint32_t number;
    bool is_bytes;
    tikv_slice bytes;
    uint64_t value;
};

struct fields {
    size_t count;
    struct field field[FIELDS_MAX];
};

static void
add_bytes(struct fields *fields, uint32_t number, tikv_slice bytes)
{
    if (bytes.len != 0) {
        fields->field[fields->count++] =
            (struct field){ number, true, bytes, 0 };
    }
}

static void
add_number(struct fields *fields, uint32_t number, uint64_t value)
{
    if (value != 0) {
        fields->field[fields->count++] =
            (struct field){ number, false, { NULL, 0 }, value };
    }
}

/* Numbers are those of kvrpcpb. The key is field 2 in all of them. */
static void
fields_of(const struct tk_raw *raw, tikv_slice key, struct fields *out)
{
    tikv_slice cf = tk_slice_text(raw->column_family);

    out->count = 0;
    add_bytes(out, 2, key);
    switch (raw->kind) {
    case TK_RAW_PUT:
        add_bytes(out, 3, raw->value);
        add_bytes(out, 4, cf);
        add_number(out, 5, raw->ttl_s);
        add_number(out, 6, raw->atomic);
        break;
    case TK_RAW_DELETE:
        add_bytes(out, 3, cf);
        add_number(out, 4, raw->atomic);
        break;
    case TK_RAW_SWAP:
        add_bytes(out, 3, raw->value);
        add_number(out, 4, raw->expected.data == NULL);
        add_bytes(out, 5, raw->expected);
        add_bytes(out, 6, cf);
        if (raw->value.data != NULL) {
            add_number(out, 7, raw->ttl_s);
        }
        add_number(out, 8, raw->value.data == NULL);
        break;
    case TK_RAW_GET:
    case TK_RAW_TTL:
    case TK_RAW_BATCH_GET:
    case TK_RAW_BATCH_PUT:
    case TK_RAW_BATCH_DELETE:
    case TK_RAW_DELETE_RANGE:
    case TK_RAW_SCAN:
    case TK_RAW_BATCH_SCAN:
    case TK_RAW_CHECKSUM:
    case TK_RAW_KINDS:
    default:
        add_bytes(out, 3, cf);
        break;
    }
}

static uint64_t
tag_of(const struct field *field)
{
    return (uint64_t)field->number << 3 |
           (field->is_bytes ? TK_WIRE_BYTES : TK_WIRE_VARINT);
}

/* Most requests are a key, or a key and a value, and nothing else. */
static inline bool
is_short(const struct tk_raw *raw)
{
    return raw->column_family[0] == '\0' &&
           (raw->kind == TK_RAW_GET ||
            (raw->kind == TK_RAW_PUT && raw->ttl_s == 0 && !raw->atomic));
}

static inline size_t
bytes_len(tikv_slice bytes)
{
    return bytes.len == 0 ? 0 : 1 + tk_varint_len(bytes.len) + bytes.len;
}

static inline uint8_t *
put_bytes(uint8_t *out, uint32_t number, tikv_slice bytes)
{
    if (bytes.len == 0) {
        return out;
    }
    *out++ = (uint8_t)(number << 3 | TK_WIRE_BYTES);
    out = tk_varint_put(out, bytes.len);
    memcpy(out, bytes.data, bytes.len);
    return out + bytes.len;
}

size_t
tk_raw_body_len(const struct tk_raw *raw, tikv_slice key)
{
    struct fields fields;
    size_t len = 0;
    size_t i;

    if (is_short(raw)) {
        return bytes_len(key) +
               (raw->kind == TK_RAW_PUT ? bytes_len(raw->value) : 0);
    }
    fields_of(raw, key, &fields);
    for (i = 0; i < fields.count; i++) {
        const struct field *field = &fields.field[i];

        len += tk_varint_len(tag_of(field));
        len += field->is_bytes
                   ? tk_varint_len(field->bytes.len) + field->bytes.len
                   : tk_varint_len(field->value);
    }
    return len;
}

void
tk_raw_body_put(const struct tk_raw *raw, tikv_slice key, uint8_t *out)
{
    struct fields fields;
    size_t i;

    if (is_short(raw)) {
        out = put_bytes(out, 2, key);
        if (raw->kind == TK_RAW_PUT) {
            put_bytes(out, 3, raw->value);
        }
        return;
    }
    fields_of(raw, key, &fields);
    for (i = 0; i < fields.count; i++) {
        const struct field *field = &fields.field[i];

        out = tk_varint_put(out, tag_of(field));
        if (field->is_bytes) {
            out = tk_varint_put(out, field->bytes.len);
            memcpy(out, field->bytes.data, field->bytes.len);
            out += field->bytes.len;
        } else {
            out = tk_varint_put(out, field->value);
        }
    }
}
