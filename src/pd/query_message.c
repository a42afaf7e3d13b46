/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A region is told once in an answer, by its id, and the keys' answers are
 * lists of ids in the order of the keys; 0 is no region. The regions stay
 * bytes here: each asker decodes its own, on its own thread. No lock.
 */
#include "pd/query_message.h"

#include "base/slice.h"
#include "wire/proto.h"

#include "pdpb.upb.h"

struct tk_encoded
tk_query_encode(struct tk_pd *pd, const struct tk_query *first,
                struct tk_arena *arena)
{
    pdpb_QueryRegionRequest *message =
        pdpb_QueryRegionRequest_new(arena->upb);
    const struct tk_query *query;
    bool is_whole = message != NULL;

    for (query = first; query != NULL && is_whole; query = query->next) {
        upb_StringView key = upb_StringView_FromDataAndSize(
            (const char *)query->key.data, query->key.len);

        switch (query->kind) {
        case TK_QUERY_KEY:
            is_whole = pdpb_QueryRegionRequest_add_keys(message, key,
                                                        arena->upb);
            break;
        case TK_QUERY_BEFORE:
            is_whole = pdpb_QueryRegionRequest_add_prev_keys(message, key,
                                                             arena->upb);
            break;
        case TK_QUERY_ID:
            is_whole = pdpb_QueryRegionRequest_add_ids(message, query->id,
                                                       arena->upb);
            break;
        }
    }
    if (!is_whole) {
        return (struct tk_encoded){ NULL, 0 };
    }
    pdpb_QueryRegionRequest_set_header(message, tk_pd_header(pd, arena));
    pdpb_QueryRegionRequest_set_need_buckets(message, true);
    return tk_arena_encode(
        arena, tk_command_row(TK_CMD_PD_QUERY_REGION)->request, message);
}

/* ---- answers ---- */

struct told {
    uint64_t id;
    tikv_slice region;
};

struct answer {
    uint64_t ids[2][TK_QUERIES_MAX]; /* of keys, of keys before */
    size_t ids_count[2];
    struct told told[TK_QUERIES_MAX];
    size_t told_count;
};

static bool
check_header(struct tk_pd *pd, tikv_slice bytes)
{
    struct tk_arena *arena = tk_arena_new();
    const pdpb_ResponseHeader *header =
        arena == NULL ? NULL
                      : tk_arena_decode(arena, &pdpb_ResponseHeader_msginit,
                                        bytes.data, bytes.len, NULL);
    const pdpb_Error *fault =
        header == NULL ? NULL : pdpb_ResponseHeader_error(header);
    bool is_good = header != NULL &&
                   (fault == NULL || pdpb_Error_type(fault) == pdpb_OK) &&
                   (pdpb_ResponseHeader_cluster_id(header) == 0 ||
                    pdpb_ResponseHeader_cluster_id(header) == pd->cluster_id);

    tk_arena_unref(arena);
    return is_good;
}

static bool
add_id(struct answer *answer, size_t kind, uint64_t id)
{
    if (answer->ids_count[kind] == TK_QUERIES_MAX) {
        return false;
    }
    answer->ids[kind][answer->ids_count[kind]++] = id;
    return true;
}

/* Packed, as proto3 has it, or one by one. */
static bool
read_ids(struct answer *answer, size_t kind, const struct tk_field *field)
{
    struct tk_cursor cursor = tk_cursor(field->bytes);
    bool is_good = true;
    uint64_t id;

    if (field->type == TK_WIRE_VARINT) {
        return add_id(answer, kind, field->value);
    }
    while (is_good && tk_cursor_varint(&cursor, &id)) {
        is_good = add_id(answer, kind, id);
    }
    return is_good;
}

static bool
read_region(struct answer *answer, tikv_slice entry)
{
    struct tk_cursor cursor = tk_cursor(entry);
    struct told told = { 0, { NULL, 0 } };
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1 && field.type == TK_WIRE_VARINT) {
            told.id = field.value;
        } else if (field.number == 2 && field.type == TK_WIRE_BYTES) {
            told.region = field.bytes;
        }
    }
    if (!tk_cursor_is_done(&cursor) || answer->told_count == TK_QUERIES_MAX) {
        return false;
    }
    answer->told[answer->told_count++] = told;
    return true;
}

static bool
read_message(struct tk_pd *pd, tikv_slice data, struct answer *answer)
{
    struct tk_cursor cursor = tk_cursor(data);
    struct tk_field field;
    bool is_good = true;

    answer->ids_count[0] = 0;
    answer->ids_count[1] = 0;
    answer->told_count = 0;
    while (is_good && tk_cursor_field(&cursor, &field)) {
        switch (field.number) {
        case 1:
            is_good = field.type == TK_WIRE_BYTES &&
                      check_header(pd, field.bytes);
            break;
        case 2:
        case 3:
            is_good = read_ids(answer, field.number - 2, &field);
            break;
        case 4:
            is_good = field.type == TK_WIRE_BYTES &&
                      read_region(answer, field.bytes);
            break;
        default:
            break;
        }
    }
    return is_good && tk_cursor_is_done(&cursor);
}

static void
settle(const struct answer *answer, struct tk_query *query,
       struct tk_frame *frame)
{
    uint64_t id = query->id;
    size_t i;

    if (query->kind != TK_QUERY_ID) {
        size_t kind = query->kind == TK_QUERY_BEFORE;

        if (query->place >= answer->ids_count[kind]) {
            return;
        }
        id = answer->ids[kind][query->place];
    }
    query->result = TK_QUERY_ABSENT;
    for (i = 0; i < answer->told_count && id != 0; i++) {
        if (answer->told[i].id == id && answer->told[i].region.len != 0) {
            query->result = TK_QUERY_FOUND;
            query->data = answer->told[i].region;
            query->frame = frame;
            tk_frame_ref(frame);
            return;
        }
    }
}

bool
tk_query_read(struct tk_pd *pd, tikv_slice data, struct tk_frame *frame,
              struct tk_query *first)
{
    struct answer answer;
    struct tk_query *query;

    if (!read_message(pd, data, &answer)) {
        return false;
    }
    for (query = first; query != NULL; query = query->next) {
        settle(&answer, query, frame);
    }
    return true;
}
