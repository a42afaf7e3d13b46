/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random encodings of any message, made from its generated table: fields in
 * any order, some absent, some twice, some unknown, numbers packed or not.
 * For comparing our readers with upb's. Entries of maps get no unknown fields:
 * this upb takes a wrong length for them when they lie at the end.
 */
#ifndef TK_RANDOM_MESSAGE_H
#define TK_RANDOM_MESSAGE_H

#include "base/alloc.h"
#include "base/buf.h"
#include "base/rng.h"
#include "base/slice.h"
#include "wire/proto.h"

#include "upb/msg_internal.h"

/* A copy that ends where its block ends, so that ASan sees one byte more. */
static inline uint8_t *
exact_copy(const void *data, size_t len)
{
    uint8_t *copy = tk_alloc(len == 0 ? 1 : len);

    assert_non_null(copy);
    if (len != 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

static inline uint64_t
random_number(struct tk_rng *rng)
{
    return tk_rng_next(rng) >> tk_rng_below(rng, 64);
}

static inline void
random_bytes(struct tk_rng *rng, struct tk_buf *out, bool is_text)
{
    static const uint8_t lens[] = { 0, 0, 1, 3, 15, 16, 17, 40, 200 };
    size_t len = lens[tk_rng_below(rng, sizeof(lens))];

    for (; len > 0; len--) {
        uint8_t byte = (uint8_t)tk_rng_next(rng);

        if (is_text) {
            byte = (uint8_t)('a' + byte % 26);
        }
        tk_buf_append(out, &byte, 1);
    }
}

static inline void
put_tag(struct tk_buf *out, uint32_t number, uint32_t type)
{
    tk_buf_varint(out, (uint64_t)number << 3 | type);
}

static inline void
put_bytes_field(struct tk_buf *out, uint32_t number, tikv_slice bytes)
{
    put_tag(out, number, TK_WIRE_BYTES);
    tk_buf_varint(out, bytes.len);
    tk_buf_append_slice(out, bytes);
}

static inline uint32_t
wire_type_of(uint8_t type)
{
    switch (type) {
    case kUpb_FieldType_Double:
    case kUpb_FieldType_Fixed64:
    case kUpb_FieldType_SFixed64:
        return TK_WIRE_64;
    case kUpb_FieldType_Float:
    case kUpb_FieldType_Fixed32:
    case kUpb_FieldType_SFixed32:
        return TK_WIRE_32;
    case kUpb_FieldType_String:
    case kUpb_FieldType_Bytes:
    case kUpb_FieldType_Message:
        return TK_WIRE_BYTES;
    default:
        return TK_WIRE_VARINT;
    }
}

static inline void
random_scalar(struct tk_rng *rng, struct tk_buf *out, uint32_t wire_type)
{
    uint64_t number = random_number(rng);

    if (wire_type == TK_WIRE_VARINT) {
        tk_buf_varint(out, number);
    } else {
        tk_buf_append(out, &number, wire_type == TK_WIRE_64 ? 8 : 4);
    }
}

static inline void
random_unknown(struct tk_rng *rng, struct tk_buf *out)
{
    static const uint32_t types[] = { TK_WIRE_VARINT, TK_WIRE_64, TK_WIRE_BYTES,
                                      TK_WIRE_32 };
    uint32_t number = 5000 + (uint32_t)tk_rng_below(rng, 1 << 20);
    uint32_t type = types[tk_rng_below(rng, 4)];

    if (type == TK_WIRE_BYTES) {
        struct tk_buf bytes;

        tk_buf_init(&bytes, 1 << 16);
        random_bytes(rng, &bytes, false);
        put_bytes_field(out, number, tk_buf_slice(&bytes));
        tk_buf_fini(&bytes);
    } else {
        put_tag(out, number, type);
        random_scalar(rng, out, type);
    }
}

static inline void
random_message(struct tk_rng *rng, struct tk_buf *out,
               const upb_MiniTable *table, unsigned depth, bool is_entry);

static inline void
random_field(struct tk_rng *rng, struct tk_buf *out, const upb_MiniTable *table,
             const upb_MiniTable_Field *field, unsigned depth)
{
    uint32_t type = wire_type_of(field->descriptortype);
    bool is_array = upb_FieldMode_Get(field) == kUpb_FieldMode_Array;
    struct tk_buf bytes;

    if (type != TK_WIRE_BYTES && !(is_array && tk_rng_below(rng, 2) == 0)) {
        put_tag(out, field->number, type);
        random_scalar(rng, out, type);
        return;
    }
    tk_buf_init(&bytes, 1 << 24);
    if (type != TK_WIRE_BYTES) {
        uint64_t count = tk_rng_below(rng, 5);

        for (; count > 0; count--) {
            random_scalar(rng, &bytes, type);
        }
    } else if (field->descriptortype != kUpb_FieldType_Message) {
        random_bytes(rng, &bytes,
                     field->descriptortype == kUpb_FieldType_String);
    } else if (depth > 0) {
        random_message(rng, &bytes, table->subs[field->submsg_index].submsg,
                       depth - 1,
                       upb_FieldMode_Get(field) == kUpb_FieldMode_Map);
    }
    put_bytes_field(out, field->number, tk_buf_slice(&bytes));
    tk_buf_fini(&bytes);
}

static inline void
random_message(struct tk_rng *rng, struct tk_buf *out,
               const upb_MiniTable *table, unsigned depth, bool is_entry)
{
    uint64_t picks = tk_rng_below(rng, 2U * table->field_count + 1U);

    for (; picks > 0; picks--) {
        if (!is_entry && tk_rng_below(rng, 8) == 0) {
            random_unknown(rng, out);
        }
        random_field(rng, out, table,
                     &table->fields[tk_rng_below(rng, table->field_count)],
                     depth);
    }
}

#endif
