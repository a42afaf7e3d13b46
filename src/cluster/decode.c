/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading requests. Every request the cluster answers has few fields with
 * small numbers, so one reader by field number serves all of them, without a
 * tree of messages. Bytes alias the request.
 */
#include <string.h>

#include "cluster/inner.h"
#include "wire/proto.h"

bool
tk_cl_decode(tikv_slice message, struct tk_cl_fields *out)
{
    struct tk_cursor cursor = { message.data, message.data + message.len };
    struct tk_field field;

    memset(out, 0, sizeof(*out));
    if (message.len == 0) {
        return true;
    }
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number >= TK_CL_FIELDS) {
            continue;
        }
        if (field.type == TK_WIRE_BYTES) {
            out->bytes[field.number] = field.bytes;
            out->counts[field.number]++;
        } else if (field.type == TK_WIRE_VARINT ||
                   field.type == TK_WIRE_64) {
            out->numbers[field.number] = field.value;
        }
    }
    return tk_cursor_is_done(&cursor);
}

bool
tk_cl_each(tikv_slice message, uint32_t number, size_t *at, tikv_slice *out)
{
    struct tk_cursor cursor = { message.data, message.data };
    struct tk_field field;

    if (*at >= message.len) {
        return false;
    }
    cursor.at = message.data + *at;
    cursor.end = message.data + message.len;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == number && field.type == TK_WIRE_BYTES) {
            *out = field.bytes;
            *at = (size_t)(cursor.at - message.data);
            return true;
        }
    }
    *at = message.len;
    return false;
}

static void
append_number(struct tk_buf *out, uint64_t number)
{
    tk_buf_append(out, &number, sizeof(number));
}

bool
tk_cl_each_number(tikv_slice message, uint32_t number, struct tk_buf *out)
{
    struct tk_cursor cursor = { message.data, message.data + message.len };
    struct tk_field field;

    while (message.len > 0 && tk_cursor_field(&cursor, &field)) {
        if (field.number != number) {
            continue;
        }
        if (field.type == TK_WIRE_VARINT) {
            append_number(out, field.value);
        } else if (field.type == TK_WIRE_BYTES) {
            struct tk_cursor packed = { field.bytes.data,
                                        field.bytes.data + field.bytes.len };
            uint64_t value = 0;

            while (!tk_cursor_is_done(&packed)) {
                if (!tk_cursor_varint(&packed, &value)) {
                    return false;
                }
                append_number(out, value);
            }
        }
    }
    return !out->failed;
}

static bool
add_epoch(struct tk_cl_context *context, tikv_slice bytes)
{
    struct tk_cl_fields fields;

    if (!tk_cl_decode(bytes, &fields)) {
        return false;
    }
    context->has_epoch = true;
    context->conf_ver = fields.numbers[1];
    context->version = fields.numbers[2];
    return true;
}

static bool
add_peer(struct tk_cl_context *context, tikv_slice bytes)
{
    struct tk_cl_fields fields;

    if (!tk_cl_decode(bytes, &fields)) {
        return false;
    }
    context->peer_id = fields.numbers[1];
    context->store_id = fields.numbers[2];
    return true;
}

static bool
add_field(struct tk_cl_context *context, const struct tk_field *field)
{
    switch (field->number) {
    case 1:
        context->region_id = field->value;
        return true;
    case 2:
        return add_epoch(context, field->bytes);
    case 3:
        return add_peer(context, field->bytes);
    case 5:
        context->term = field->value;
        return true;
    case 7:
        context->isolation = field->value;
        return true;
    case 12:
        context->replica_read = field->value != 0;
        return true;
    case 14:
        context->max_execution_ms = field->value;
        return true;
    case 17:
        context->stale_read = field->value != 0;
        return true;
    case 19:
        context->disk_full_opt = field->value;
        return true;
    case 20:
        context->is_retry = field->value != 0;
        return true;
    case 21:
        context->api_version = field->value;
        return true;
    case 25:
        context->txn_source = field->value;
        return true;
    case 27:
        context->busy_threshold_ms = field->value;
        return true;
    case 29:
        context->origin = field->value;
        return true;
    case 33:
        context->buckets_version = field->value;
        return true;
    case 35:
        context->cluster_id = field->value;
        return true;
    default:
        return true;
    }
}

bool
tk_cl_context_add(struct tk_cl_context *context, tikv_slice piece)
{
    struct tk_cursor cursor = { piece.data, piece.data + piece.len };
    struct tk_field field;

    if (piece.len == 0) {
        return true;
    }
    memset(&field, 0, sizeof(field));
    while (tk_cursor_field(&cursor, &field)) {
        bool is_message = field.number == 2 || field.number == 3;

        if (field.number == 13 || field.number == 22) {
            context->has_lists = true;
        }
        if (is_message != (field.type == TK_WIRE_BYTES)) {
            continue;
        }
        if (!add_field(context, &field)) {
            return false;
        }
    }
    return tk_cursor_is_done(&cursor);
}
