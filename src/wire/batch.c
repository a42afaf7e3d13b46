/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BatchCommands as bytes. Appending computes all lengths first and grows the
 * buffer once per request; splitting makes one checking pass over the outer
 * frame, after which the walk needs no second opinion. No state; any thread.
 */
#include "wire/batch.h"

#include <string.h>

#include "base/slice.h"
#include "wire/proto.h"

/* Fields of BatchCommandsRequest and BatchCommandsResponse. */
enum {
    FIELD_MESSAGES = 1,
    FIELD_IDS = 2,
    FIELD_LOAD = 3,
    FIELD_HEALTH = 4,
    FIELD_SENT = 5
};

static inline uint64_t
tag_of(uint32_t number, uint32_t type)
{
    return (uint64_t)number << 3 | type;
}

/* Tag and length of a field that holds `len` bytes. */
static inline size_t
head_len(uint32_t number, size_t len)
{
    return tk_varint_len(tag_of(number, TK_WIRE_BYTES)) + tk_varint_len(len);
}

static inline uint8_t *
put_head(uint8_t *out, uint32_t number, size_t len)
{
    out = tk_varint_put(out, tag_of(number, TK_WIRE_BYTES));
    return tk_varint_put(out, len);
}

static inline uint8_t *
put_bytes(uint8_t *out, tikv_slice bytes)
{
    if (bytes.len != 0) {
        memcpy(out, bytes.data, bytes.len);
    }
    return out + bytes.len;
}

/* What a request is made of, measured once. */
struct measure {
    uint32_t field; /* the context's; 0: none, or nothing to say in it */
    size_t context;
    size_t request; /* all of it */
};

static inline struct measure
measure(const struct tk_command_row *row, const struct tk_parts *parts)
{
    struct measure out = { 0, parts->region.len + parts->call.len,
                           parts->body.len };

    if (out.context != 0 && row->context_field != 0) {
        out.field = row->context_field;
        out.request += head_len(out.field, out.context) + out.context;
    }
    return out;
}

size_t
tk_parts_len(const struct tk_parts *parts)
{
    return measure(tk_command_row(parts->command), parts).request;
}

static inline uint8_t *
put_parts(uint8_t *out, const struct measure *measure,
          const struct tk_parts *parts)
{
    if (measure->field != 0) {
        out = put_head(out, measure->field, measure->context);
        out = put_bytes(out, parts->region);
        out = put_bytes(out, parts->call);
    }
    return put_bytes(out, parts->body);
}

void
tk_parts_append(struct tk_buf *out, const struct tk_parts *parts)
{
    struct measure sizes = measure(tk_command_row(parts->command), parts);
    uint8_t *at = tk_buf_grow(out, sizes.request);

    if (at != NULL) {
        put_parts(at, &sizes, parts);
    }
}

void
tk_batch_append(struct tk_buf *requests, const struct tk_parts *parts)
{
    const struct tk_command_row *row = tk_command_row(parts->command);
    struct measure sizes = measure(row, parts);
    size_t inner = head_len(row->slot, sizes.request) + sizes.request;
    uint8_t *at;

    if (row->slot == 0) {
        requests->failed = true;
        return;
    }
    at = tk_buf_grow(requests, head_len(FIELD_MESSAGES, inner) + inner);
    if (at != NULL) {
        at = put_head(at, FIELD_MESSAGES, inner);
        at = put_head(at, row->slot, sizes.request);
        put_parts(at, &sizes, parts);
    }
}

void
tk_batch_append_ids(struct tk_buf *out, const uint64_t *ids, size_t count)
{
    size_t len = 0;
    uint8_t *at;
    size_t i;

    if (count == 0) {
        return;
    }
    for (i = 0; i < count; i++) {
        len += tk_varint_len(ids[i]);
    }
    at = tk_buf_grow(out, head_len(FIELD_IDS, len) + len);
    if (at == NULL) {
        return;
    }
    at = put_head(at, FIELD_IDS, len);
    for (i = 0; i < count; i++) {
        at = tk_varint_put(at, ids[i]);
    }
}

/* Adds the numbers of one packed field to *count: each ends with the one byte
 * of it that has no high bit. */
static bool
count_packed(tikv_slice bytes, size_t *count)
{
    size_t begun = 0; /* bytes of the number that has not ended */
    size_t ended = 0;
    size_t i;

    for (i = 0; i < bytes.len; i++) {
        if (bytes.data[i] < 0x80) {
            ended++;
            begun = 0;
        } else if (++begun == TK_VARINT_MAX) {
            return false;
        }
    }
    *count += ended;
    return begun == 0;
}

/* A known number with an unexpected type is an unknown field. */
static bool
look_at(struct tk_split *split, const struct tk_field *field, size_t *ids)
{
    if (field->type == TK_WIRE_BYTES) {
        switch (field->number) {
        case FIELD_MESSAGES:
            split->count++;
            break;
        case FIELD_IDS:
            return count_packed(field->bytes, ids);
        case FIELD_HEALTH:
            split->health = field->bytes;
            break;
        default:
            break;
        }
    } else if (field->type == TK_WIRE_VARINT) {
        switch (field->number) {
        case FIELD_IDS:
            ++*ids;
            break;
        case FIELD_LOAD:
            split->load = field->value;
            break;
        case FIELD_SENT:
            split->sent_ns = field->value;
            break;
        default:
            break;
        }
    }
    return true;
}

bool
tk_split_init(struct tk_split *split, tikv_slice frame)
{
    struct tk_cursor cursor = tk_cursor(frame);
    struct tk_field field;
    size_t ids = 0;

    memset(split, 0, sizeof(*split));
    split->frame = frame;
    while (tk_cursor_field(&cursor, &field)) {
        if (!look_at(split, &field, &ids)) {
            return false;
        }
    }
    return tk_cursor_is_done(&cursor) && ids == split->count;
}

/* The first field with that number from *at on; moves *at behind it. */
static inline bool
find_field(tikv_slice frame, size_t *at, uint32_t number, bool or_varint,
           struct tk_field *field)
{
    struct tk_cursor cursor;

    if (*at >= frame.len) {
        return false;
    }
    cursor.at = frame.data + *at;
    cursor.end = frame.data + frame.len;
    while (tk_cursor_field(&cursor, field)) {
        if (field->number == number &&
            (field->type == TK_WIRE_BYTES ||
             (or_varint && field->type == TK_WIRE_VARINT))) {
            *at = (size_t)(cursor.at - frame.data);
            return true;
        }
    }
    *at = frame.len;
    return false;
}

/* Inside of a packed field id_at is below id_end; elsewhere it is where the
 * search for the next field goes on. */
static inline bool
next_id(struct tk_split *split, uint64_t *id)
{
    struct tk_cursor cursor;
    struct tk_field field;

    while (split->id_at >= split->id_end) {
        if (!find_field(split->frame, &split->id_at, FIELD_IDS, true, &field)) {
            return false;
        }
        if (field.type == TK_WIRE_VARINT) {
            *id = field.value;
            return true;
        }
        split->id_end = split->id_at;
        split->id_at -= field.bytes.len;
    }
    cursor.at = split->frame.data + split->id_at;
    cursor.end = split->frame.data + split->id_end;
    if (!tk_cursor_varint(&cursor, id)) {
        return false;
    }
    split->id_at = (size_t)(cursor.at - split->frame.data);
    return true;
}

/* One Response: a oneof, so the last known field is the one that holds. */
static inline void
open_response(tikv_slice bytes, enum tk_command *command, tikv_slice *response)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    struct tk_field field;

    *command = TK_COMMANDS;
    *response = (tikv_slice){ NULL, 0 };
    while (tk_cursor_field(&cursor, &field)) {
        enum tk_command found = field.type == TK_WIRE_BYTES
                                    ? tk_command_by_slot(field.number)
                                    : TK_COMMANDS;

        if (found != TK_COMMANDS) {
            *command = found;
            *response = field.bytes;
        }
    }
    if (!tk_cursor_is_done(&cursor)) {
        *command = TK_COMMANDS;
        *response = (tikv_slice){ NULL, 0 };
    }
}

bool
tk_split_next(struct tk_split *split, uint64_t *id, enum tk_command *command,
              tikv_slice *response)
{
    struct tk_field field;

    if (!find_field(split->frame, &split->response_at, FIELD_MESSAGES, false,
                    &field) ||
        !next_id(split, id)) {
        return false;
    }
    open_response(field.bytes, command, response);
    return true;
}
