/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we rely on in the generated code: scalars, oneofs, maps, packed and
 * unpacked numbers come back as they went out, and a string that claims more
 * bytes than there are is refused.
 */
#include "harness/harness.h"

#include "keyspacepb.upb.h"
#include "kvrpcpb.upb.h"
#include "tikvpb.upb.h"

static void
generated__round_trips_a_batch_frame(void **state)
{
    upb_Arena *arena = upb_Arena_New();
    tikvpb_BatchCommandsRequest *frame = tikvpb_BatchCommandsRequest_new(arena);

    (void)state;
    assert_non_null(frame);
    for (uint64_t id = 1; id <= 300; id++) {
        tikvpb_BatchCommandsRequest_Request *slot =
            tikvpb_BatchCommandsRequest_add_requests(frame, arena);
        kvrpcpb_RawGetRequest *get =
            tikvpb_BatchCommandsRequest_Request_mutable_RawGet(slot, arena);
        kvrpcpb_RawGetRequest_set_key(get, upb_StringView_FromString("key"));
        tikvpb_BatchCommandsRequest_add_request_ids(frame, id, arena);
    }

    size_t size = 0;
    char *bytes = tikvpb_BatchCommandsRequest_serialize(frame, arena, &size);
    assert_non_null(bytes);
    const tikvpb_BatchCommandsRequest *back =
        tikvpb_BatchCommandsRequest_parse(bytes, size, arena);
    assert_non_null(back);

    size_t count = 0;
    const uint64_t *ids = tikvpb_BatchCommandsRequest_request_ids(back, &count);
    assert_int_equal(count, 300);
    assert_int_equal(ids[299], 300);
    const tikvpb_BatchCommandsRequest_Request *const *slots =
        tikvpb_BatchCommandsRequest_requests(back, &count);
    assert_int_equal(count, 300);
    assert_true(tikvpb_BatchCommandsRequest_Request_has_RawGet(slots[7]));
    assert_false(tikvpb_BatchCommandsRequest_Request_has_RawPut(slots[7]));
    upb_Arena_Free(arena);
}

static void
generated__takes_unpacked_numbers(void **state)
{
    /* request_ids (field 2) as three plain varints. */
    static const char bytes[] = "\x10\x01\x10\x02\x10\xac\x02";
    upb_Arena *arena = upb_Arena_New();
    const tikvpb_BatchCommandsRequest *frame =
        tikvpb_BatchCommandsRequest_parse(bytes, sizeof(bytes) - 1, arena);
    size_t count = 0;

    (void)state;
    assert_non_null(frame);
    const uint64_t *ids =
        tikvpb_BatchCommandsRequest_request_ids(frame, &count);
    assert_int_equal(count, 3);
    assert_int_equal(ids[2], 300);
    upb_Arena_Free(arena);
}

static void
generated__round_trips_a_map(void **state)
{
    upb_Arena *arena = upb_Arena_New();
    keyspacepb_KeyspaceMeta *meta = keyspacepb_KeyspaceMeta_new(arena);
    upb_StringView value;
    size_t size = 0;

    (void)state;
    assert_true(keyspacepb_KeyspaceMeta_config_set(
        meta, upb_StringView_FromString("gc"),
        upb_StringView_FromString("global"), arena));
    char *bytes = keyspacepb_KeyspaceMeta_serialize(meta, arena, &size);
    const keyspacepb_KeyspaceMeta *back =
        keyspacepb_KeyspaceMeta_parse(bytes, size, arena);
    assert_non_null(back);
    assert_true(keyspacepb_KeyspaceMeta_config_get(
        back, upb_StringView_FromString("gc"), &value));
    assert_int_equal(value.size, 6);
    assert_memory_equal(value.data, "global", 6);
    upb_Arena_Free(arena);
}

static void
generated__refuses_a_length_past_the_end(void **state)
{
    /* RawGetResponse.value (field 3) claims 100 bytes and has two. */
    static const char bytes[] = "\x1a\x64xy";
    upb_Arena *arena = upb_Arena_New();

    (void)state;
    assert_null(kvrpcpb_RawGetResponse_parse(bytes, sizeof(bytes) - 1, arena));
    upb_Arena_Free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(generated__round_trips_a_batch_frame),
        harness_test(generated__takes_unpacked_numbers),
        harness_test(generated__round_trips_a_map),
        harness_test(generated__refuses_a_length_past_the_end),
    };
    return harness_run(tests);
}
