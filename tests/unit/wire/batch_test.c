/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BatchCommands framing against upb: what we append upb reads, what upb (or
 * anybody) writes we split as upb would.
 */
#include "harness/harness.h"

#include "wire/arena.h"
#include "wire/batch.h"

#include "random_message.h"

#include "kvrpcpb.upb.h"
#include "tikvpb.upb.h"

enum { MAX_ITEMS = 40 };

/* A random command with a slot. */
static enum tk_command
random_command(struct tk_rng *rng)
{
    enum tk_command command;

    do {
        command = (enum tk_command)tk_rng_below(rng, TK_COMMANDS);
    } while (tk_command_row(command)->slot == 0);
    return command;
}

static struct tk_buf
random_encoded(struct tk_rng *rng, const upb_MiniTable *table)
{
    struct tk_buf out;

    tk_buf_init(&out, 1 << 24);
    random_message(rng, &out, table, 1, false);
    return out;
}

static struct tk_encoded
normal_form(struct tk_arena *arena, const upb_MiniTable *table,
            tikv_slice bytes)
{
    void *message = tk_arena_decode(arena, table, bytes.data, bytes.len, NULL);

    assert_non_null(message);
    return tk_arena_encode(arena, table, message);
}

/* The message that upb found in that slot of a Request or Response. */
static const void *
slot_of(const upb_MiniTable *outer, const void *message, uint32_t slot)
{
    unsigned i;

    for (i = 0; i < outer->field_count; i++) {
        const upb_MiniTable_Field *field = &outer->fields[i];
        uint32_t found;
        const void *inner;

        if (field->number == slot) {
            memcpy(&found, (const char *)message + (uint16_t)~field->presence,
                   4);
            memcpy(&inner, (const char *)message + field->offset,
                   sizeof(inner));
            return found == slot ? inner : NULL;
        }
    }
    return NULL;
}

/* One random request: appended alone and in the frame. */
static void
append_one(struct tk_rng *rng, struct tk_buf *frame, struct tk_buf *alone,
           enum tk_command *command)
{
    const struct tk_command_row *row;
    struct tk_buf body;
    struct tk_buf region = random_encoded(rng, &kvrpcpb_Context_msginit);
    struct tk_buf call = random_encoded(rng, &kvrpcpb_Context_msginit);
    struct tk_parts parts;

    *command = random_command(rng);
    row = tk_command_row(*command);
    body = random_encoded(rng, row->request);
    parts.command = *command;
    parts.region = tk_buf_slice(&region);
    parts.call = tk_buf_slice(&call);
    parts.body = tk_buf_slice(&body);
    if (tk_rng_below(rng, 3) == 0) {
        parts.region.len = 0;
    }
    if (tk_rng_below(rng, 3) == 0) {
        parts.call.len = 0;
    }
    if (tk_rng_below(rng, 3) == 0) {
        parts.body.len = 0;
    }
    tk_parts_append(alone, &parts);
    assert_int_equal(alone->len, tk_parts_len(&parts));
    tk_batch_append(frame, &parts);
    tk_buf_fini(&region);
    tk_buf_fini(&call);
    tk_buf_fini(&body);
}

static void
check_requests(const struct tk_buf *frame, const struct tk_buf *alone,
               const enum tk_command *commands, const uint64_t *ids,
               size_t count)
{
    struct tk_arena *arena = tk_arena_new();
    const tikvpb_BatchCommandsRequest *message =
        tk_arena_decode(arena, &tikvpb_BatchCommandsRequest_msginit,
                        frame->data, frame->len, NULL);
    const tikvpb_BatchCommandsRequest_Request *const *requests;
    size_t size;
    size_t i;

    assert_non_null(message);
    requests = tikvpb_BatchCommandsRequest_requests(message, &size);
    assert_int_equal(size, count);
    for (i = 0; i < count; i++) {
        const struct tk_command_row *row = tk_command_row(commands[i]);
        const void *inner =
            slot_of(&tikvpb_BatchCommandsRequest_Request_msginit, requests[i],
                    row->slot);
        struct tk_encoded got;
        struct tk_encoded wanted;

        assert_non_null(inner);
        got = tk_arena_encode(arena, row->request, inner);
        wanted = normal_form(arena, row->request, tk_buf_slice(&alone[i]));
        assert_int_equal(got.len, wanted.len);
        assert_memory_equal(got.data, wanted.data, wanted.len);
    }
    assert_int_equal(count == 0, frame->len == 0);
    if (count != 0) {
        const uint64_t *found =
            tikvpb_BatchCommandsRequest_request_ids(message, &size);

        assert_int_equal(size, count);
        assert_memory_equal(found, ids, count * sizeof(*ids));
    }
    tk_arena_unref(arena);
}

static void
batch__appends_what_upb_reads(void **state)
{
    struct tk_rng rng = { 11 };
    unsigned round;

    (void)state;
    for (round = 0; round < 150; round++) {
        size_t count = tk_rng_below(&rng, MAX_ITEMS);
        enum tk_command commands[MAX_ITEMS];
        uint64_t ids[MAX_ITEMS];
        struct tk_buf alone[MAX_ITEMS];
        struct tk_buf frame;
        size_t i;

        tk_buf_init(&frame, 1 << 26);
        for (i = 0; i < count; i++) {
            ids[i] = random_number(&rng);
            tk_buf_init(&alone[i], 1 << 24);
            append_one(&rng, &frame, &alone[i], &commands[i]);
        }
        tk_batch_append_ids(&frame, ids, count);
        assert_false(frame.failed);
        check_requests(&frame, alone, commands, ids, count);
        for (i = 0; i < count; i++) {
            tk_buf_fini(&alone[i]);
        }
        tk_buf_fini(&frame);
    }
}

/* The two parts of a context are one message; the body's field order does not
 * matter; nothing is written for a context that says nothing. */
static void
parts__are_one_request(void **state)
{
    struct tk_parts parts = {
        .command = TK_CMD_RAW_GET,
        .region = { (const uint8_t *)"\x08\x07", 2 },   /* region_id 7 */
        .call = { (const uint8_t *)"\xa0\x01\x01", 3 }, /* is_retry */
        .body = { (const uint8_t *)"\x12\x01k", 3 },    /* key "k" */
    };
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_RawGetRequest *get;
    struct tk_buf out;

    (void)state;
    tk_buf_init(&out, 1 << 16);
    tk_parts_append(&out, &parts);
    get = tk_arena_decode(arena, &kvrpcpb_RawGetRequest_msginit, out.data,
                          out.len, NULL);
    assert_non_null(get);
    assert_int_equal(
        kvrpcpb_Context_region_id(kvrpcpb_RawGetRequest_context(get)), 7);
    assert_true(
        kvrpcpb_Context_is_retry_request(kvrpcpb_RawGetRequest_context(get)));
    assert_int_equal(kvrpcpb_RawGetRequest_key(get).size, 1);

    tk_buf_clear(&out);
    parts.region.len = 0;
    parts.call.len = 0;
    tk_parts_append(&out, &parts);
    assert_int_equal(out.len, 3);
    tk_buf_clear(&out);
    parts.body.len = 0;
    tk_parts_append(&out, &parts);
    assert_int_equal(out.len, 0);
    assert_false(out.failed);
    tk_batch_append(&out, &parts);
    assert_int_equal(out.len, 4);
    assert_memory_equal(out.data, "\x0a\x02\x6a\x00", 4);
    tk_buf_fini(&out);
    tk_arena_unref(arena);
}

/* A command without a slot, and a full buffer, spoil the buffer visibly. */
static void
batch__fails_visibly(void **state)
{
    struct tk_parts parts = { .command = TK_CMD_RAW_COMPARE_AND_SWAP };
    struct tk_buf out;

    (void)state;
    tk_buf_init(&out, 1 << 16);
    tk_batch_append(&out, &parts);
    assert_true(out.failed);
    tk_buf_fini(&out);

    parts.command = TK_CMD_RAW_GET;
    tk_buf_init(&out, 3);
    tk_batch_append(&out, &parts);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
    tk_buf_fini(&out);
}

/* ---- responses ---- */

static void
append_ids(struct tk_rng *rng, struct tk_buf *frame, const uint64_t *ids,
           size_t count)
{
    struct tk_buf packed;
    size_t i;

    if (tk_rng_below(rng, 2) == 0) {
        for (i = 0; i < count; i++) {
            put_tag(frame, 2, TK_WIRE_VARINT);
            tk_buf_varint(frame, ids[i]);
        }
        return;
    }
    tk_buf_init(&packed, 1 << 16);
    for (i = 0; i < count; i++) {
        tk_buf_varint(&packed, ids[i]);
    }
    put_bytes_field(frame, 2, tk_buf_slice(&packed));
    tk_buf_fini(&packed);
}

static void
append_response(struct tk_rng *rng, struct tk_buf *frame)
{
    const struct tk_command_row *row = tk_command_row(random_command(rng));
    struct tk_buf body = random_encoded(rng, row->response);
    struct tk_buf inner;

    tk_buf_init(&inner, 1 << 24);
    if (tk_rng_below(rng, 4) == 0) {
        random_unknown(rng, &inner);
    }
    if (tk_rng_below(rng, 8) != 0) {
        put_bytes_field(&inner, row->slot, tk_buf_slice(&body));
    }
    if (tk_rng_below(rng, 4) == 0) {
        random_unknown(rng, &inner);
    }
    put_bytes_field(frame, 1, tk_buf_slice(&inner));
    tk_buf_fini(&body);
    tk_buf_fini(&inner);
}

/* Responses and ids in portions, in any order, with other fields between. */
static void
random_frame(struct tk_rng *rng, struct tk_buf *frame)
{
    size_t responses = tk_rng_below(rng, 12);
    size_t ids = responses;

    while (responses + ids > 0) {
        if (tk_rng_below(rng, 2) == 0) {
            if (responses > 0) {
                responses--;
                append_response(rng, frame);
            }
        } else if (ids > 0) {
            uint64_t portion[12];
            size_t count = 1 + tk_rng_below(rng, ids);
            size_t i;

            for (i = 0; i < count; i++) {
                portion[i] = random_number(rng);
            }
            append_ids(rng, frame, portion, count);
            ids -= count;
        }
        if (tk_rng_below(rng, 4) == 0) {
            random_unknown(rng, frame);
        }
        if (tk_rng_below(rng, 6) == 0) {
            append_ids(rng, frame, NULL, 0);
        }
        if (tk_rng_below(rng, 6) == 0) {
            put_tag(frame, tk_rng_below(rng, 2) == 0 ? 3 : 5, TK_WIRE_VARINT);
            tk_buf_varint(frame, random_number(rng));
        }
        if (tk_rng_below(rng, 6) == 0) {
            put_bytes_field(frame, 4, tk_slice_text("\x08\x01"));
        }
    }
}

static bool
is_within(tikv_slice inner, const uint8_t *data, size_t len)
{
    return inner.data == NULL
               ? inner.len == 0
               : inner.data >= data && inner.data <= data + len &&
                     inner.len <= (size_t)(data + len - inner.data);
}

/* One response as upb sees it against the command and bytes we found. */
static void
compare_response(struct tk_arena *arena,
                 const tikvpb_BatchCommandsResponse_Response *seen,
                 enum tk_command command, tikv_slice response)
{
    const struct tk_command_row *row;
    const void *inner;
    struct tk_encoded got;
    struct tk_encoded wanted;

    if (command == TK_COMMANDS) {
        assert_int_equal(tikvpb_BatchCommandsResponse_Response_cmd_case(seen),
                         0);
        return;
    }
    row = tk_command_row(command);
    inner = slot_of(&tikvpb_BatchCommandsResponse_Response_msginit, seen,
                    row->slot);
    assert_non_null(inner);
    got = normal_form(arena, row->response, response);
    wanted = tk_arena_encode(arena, row->response, inner);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
}

/* Upb's view of the frame, or NULL for upb's refusal, against ours. */
static void
compare_frame(const uint8_t *data, size_t len)
{
    struct tk_arena *arena = tk_arena_new();
    const tikvpb_BatchCommandsResponse *message = tk_arena_decode(
        arena, &tikvpb_BatchCommandsResponse_msginit, data, len, NULL);
    const tikvpb_BatchCommandsResponse_Response *const *responses = NULL;
    const uint64_t *ids = NULL;
    size_t responses_count = 0;
    size_t ids_count = 0;
    struct tk_split split;
    bool is_ok = tk_split_init(&split, tk_slice(data, len));
    enum tk_command command;
    tikv_slice response;
    uint64_t id;
    size_t i = 0;

    if (message != NULL) {
        responses =
            tikvpb_BatchCommandsResponse_responses(message, &responses_count);
        ids = tikvpb_BatchCommandsResponse_request_ids(message, &ids_count);
        assert_int_equal(is_ok, responses_count == ids_count);
    }
    while (is_ok && tk_split_next(&split, &id, &command, &response)) {
        assert_true(is_within(response, data, len));
        assert_true(command == TK_COMMANDS ? response.data == NULL
                                           : response.data != NULL);
        if (message != NULL) {
            assert_true(i < responses_count);
            assert_true(id == ids[i]);
            compare_response(arena, responses[i], command, response);
        }
        i++;
    }
    assert_int_equal(i, is_ok ? split.count : 0);
    if (is_ok && message != NULL) {
        assert_true(split.load ==
                    tikvpb_BatchCommandsResponse_transport_layer_load(message));
        assert_true(split.sent_ns ==
                    tikvpb_BatchCommandsResponse_tikv_send_time_ns(message));
        assert_int_equal(
            split.health.data != NULL,
            tikvpb_BatchCommandsResponse_has_health_feedback(message));
    }
    tk_arena_unref(arena);
}

static void
split__agrees_with_upb(void **state)
{
    struct tk_rng rng = { 12 };
    unsigned round;

    (void)state;
    for (round = 0; round < 600; round++) {
        struct tk_buf frame;
        struct tk_split split;
        uint8_t *copy;

        tk_buf_init(&frame, 1 << 26);
        random_frame(&rng, &frame);
        assert_false(frame.failed);
        copy = exact_copy(frame.data, frame.len);
        assert_true(tk_split_init(&split, tk_slice(copy, frame.len)));
        compare_frame(copy, frame.len);
        tk_free(copy);
        tk_buf_fini(&frame);
    }
}

static void
split__survives_every_truncation(void **state)
{
    struct tk_rng rng = { 13 };
    unsigned round;

    (void)state;
    for (round = 0; round < 8; round++) {
        struct tk_buf frame;
        size_t len;

        tk_buf_init(&frame, 1 << 26);
        random_frame(&rng, &frame);
        for (len = 0; len < frame.len && len < 3000; len++) {
            uint8_t *copy = exact_copy(frame.data, len);

            compare_frame(copy, len);
            tk_free(copy);
        }
        tk_buf_fini(&frame);
    }
}

static void
split__survives_damage(void **state)
{
    struct tk_rng rng = { 14 };
    unsigned round;

    (void)state;
    for (round = 0; round < 3000; round++) {
        struct tk_buf frame;
        struct tk_split split;
        enum tk_command command;
        tikv_slice response;
        uint64_t id;
        uint8_t *copy;
        size_t hits;
        size_t seen = 0;

        tk_buf_init(&frame, 1 << 26);
        random_frame(&rng, &frame);
        copy = exact_copy(frame.data, frame.len);
        for (hits = 1 + tk_rng_below(&rng, 3); hits > 0 && frame.len > 0;
             hits--) {
            copy[tk_rng_below(&rng, frame.len)] = (uint8_t)tk_rng_next(&rng);
        }
        if (tk_split_init(&split, tk_slice(copy, frame.len))) {
            while (tk_split_next(&split, &id, &command, &response)) {
                assert_true(is_within(response, copy, frame.len));
                seen++;
            }
            assert_int_equal(seen, split.count);
        }
        tk_free(copy);
        tk_buf_fini(&frame);
    }
}

static void
assert_split(const char *bytes, size_t len, bool is_ok)
{
    struct tk_split split;

    assert_int_equal(tk_split_init(&split, tk_slice(bytes, len)), is_ok);
}

static void
split__refuses_unequal_counts(void **state)
{
    (void)state;
    assert_split("", 0, true);
    assert_split("\x0a\x00", 2, false);
    assert_split("\x10\x01", 2, false);
    assert_split("\x0a\x00\x10\x01", 4, true);
    assert_split("\x10\x01\x0a\x00", 4, true);
    assert_split("\x0a\x00\x12\x02\x01\x02", 6, false);
    assert_split("\x0a\x00\x12\x01\x81", 5, false);
    assert_split("\x0a\x00\x12\x00\x10\x01", 6, true);
}

/* A response that is broken inside costs its own request, no other. */
static void
split__gives_a_broken_response_its_id(void **state)
{
    static const char frame[] = "\x0a\x03\x6a\x00\x6a"
                                "\x0a\x02\x6a\x00"
                                "\x12\x02\x07\x08";
    struct tk_split split;
    enum tk_command command;
    tikv_slice response;
    uint64_t id;

    (void)state;
    assert_true(tk_split_init(&split, tk_slice(frame, sizeof(frame) - 1)));
    assert_true(tk_split_next(&split, &id, &command, &response));
    assert_int_equal(id, 7);
    assert_int_equal(command, TK_COMMANDS);
    assert_null(response.data);
    assert_true(tk_split_next(&split, &id, &command, &response));
    assert_int_equal(id, 8);
    assert_int_equal(command, TK_CMD_RAW_GET);
    assert_non_null(response.data);
    assert_int_equal(response.len, 0);
    assert_false(tk_split_next(&split, &id, &command, &response));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(batch__appends_what_upb_reads),
        harness_test(parts__are_one_request),
        harness_test(batch__fails_visibly),
        harness_test(split__agrees_with_upb),
        harness_test(split__survives_every_truncation),
        harness_test(split__survives_damage),
        harness_test(split__refuses_unequal_counts),
        harness_test(split__gives_a_broken_response_its_id),
    };
    return harness_run(tests);
}
