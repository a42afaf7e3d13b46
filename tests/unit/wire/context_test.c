/* SPDX-License-Identifier: Apache-2.0 */
/* The two hand-written parts of a context, read by upb. */
#include "harness/harness.h"

#include "base/slice.h"
#include "wire/arena.h"
#include "wire/batch.h"
#include "wire/context.h"
#include "wire/proto.h"

#include "random_message.h"

#include "kvrpcpb.upb.h"
#include "metapb.upb.h"

static upb_StringView
view_of(tikv_slice bytes)
{
    return upb_StringView_FromDataAndSize((const char *)bytes.data, bytes.len);
}

/* The same context by upb's setters, or only its region's part. */
static kvrpcpb_Context *
by_upb(struct tk_arena *arena, const struct tk_context_region *region,
       const struct tk_context_call *call)
{
    kvrpcpb_Context *context = kvrpcpb_Context_new(arena->upb);
    const tikv_call *user = call->call;

    if (region->region_id != 0) {
        metapb_RegionEpoch *epoch =
            kvrpcpb_Context_mutable_region_epoch(context, arena->upb);
        metapb_Peer *peer = kvrpcpb_Context_mutable_peer(context, arena->upb);

        kvrpcpb_Context_set_region_id(context, region->region_id);
        metapb_RegionEpoch_set_conf_ver(epoch, region->conf_ver);
        metapb_RegionEpoch_set_version(epoch, region->version);
        metapb_Peer_set_id(peer, region->peer_id);
        metapb_Peer_set_store_id(peer, region->store_id);
        metapb_Peer_set_role(peer, region->peer_role);
        metapb_Peer_set_is_witness(peer, region->is_witness);
    }
    kvrpcpb_Context_set_cluster_id(context, region->cluster_id);
    kvrpcpb_Context_set_api_version(context, region->api_version);
    if (region->has_keyspace) {
        kvrpcpb_Context_set_keyspace_id(context, region->keyspace_id);
    }
    if (region->keyspace_name != NULL) {
        kvrpcpb_Context_set_keyspace_name(
            context, upb_StringView_FromString(region->keyspace_name));
    }
    kvrpcpb_Context_set_max_execution_duration_ms(context,
                                                  call->max_execution_ms);
    kvrpcpb_Context_set_is_retry_request(context, call->is_retry);
    kvrpcpb_Context_set_replica_read(context, call->replica_read);
    kvrpcpb_Context_set_stale_read(context, call->stale_read);
    kvrpcpb_Context_set_busy_threshold_ms(context, call->busy_threshold_ms);
    kvrpcpb_Context_set_buckets_version(context, call->buckets_version);
    if (user == NULL) {
        return context;
    }
    kvrpcpb_Context_set_priority(context, user->priority);
    kvrpcpb_Context_set_resource_group_tag(context,
                                           view_of(user->resource_tag));
    kvrpcpb_Context_set_trace_id(context, view_of(user->trace_id));
    if (call->source != NULL) {
        kvrpcpb_Context_set_request_source(
            context, upb_StringView_FromString(call->source));
    } else if (user->request_source != NULL) {
        kvrpcpb_Context_set_request_source(
            context, upb_StringView_FromString(user->request_source));
    }
    if (user->resource_group != NULL && user->resource_group[0] != '\0') {
        kvrpcpb_ResourceControlContext_set_resource_group_name(
            kvrpcpb_Context_mutable_resource_control_context(context,
                                                             arena->upb),
            upb_StringView_FromString(user->resource_group));
    }
    return context;
}

static void
assert_same(const struct tk_context_region *region,
            const struct tk_context_call *call)
{
    struct tk_arena *arena = tk_arena_new();
    const upb_MiniTable *table = &kvrpcpb_Context_msginit;
    struct tk_encoded wanted;
    struct tk_encoded got;
    struct tk_buf out;
    void *message;

    tk_buf_init(&out, 1 << 16);
    tk_context_region(&out, region);
    tk_context_call(&out, call);
    assert_false(out.failed);
    message = tk_arena_decode(arena, table, out.data, out.len, NULL);
    assert_non_null(message);
    got = tk_arena_encode(arena, table, message);
    wanted = tk_arena_encode(arena, table, by_upb(arena, region, call));
    assert_non_null(wanted.data);
    /* Nothing is written that upb would leave out. */
    assert_int_equal(out.len, wanted.len);
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
    tk_buf_fini(&out);
    tk_arena_unref(arena);
}

static const char *
random_text(struct tk_rng *rng)
{
    static const char *const texts[] = {
        NULL, "", "x", "a text that is longer than sixteen bytes"
    };

    return texts[tk_rng_below(rng, 4)];
}

static void
context__is_what_upb_writes(void **state)
{
    struct tk_rng rng = { 21 };
    unsigned round;

    (void)state;
    for (round = 0; round < 3000; round++) {
        tikv_call user = TIKV_CALL_INIT;
        struct tk_context_region region = {
            .region_id = tk_rng_below(&rng, 3) * random_number(&rng),
            .conf_ver = tk_rng_below(&rng, 2) * random_number(&rng),
            .version = tk_rng_below(&rng, 2) * random_number(&rng),
            .peer_id = tk_rng_below(&rng, 2) * random_number(&rng),
            .store_id = tk_rng_below(&rng, 2) * random_number(&rng),
            .peer_role = (int32_t)tk_rng_below(&rng, 4),
            .is_witness = tk_rng_below(&rng, 2) == 0,
            .cluster_id = tk_rng_below(&rng, 2) * random_number(&rng),
            .api_version = (int32_t)tk_rng_below(&rng, 3),
            .has_keyspace = tk_rng_below(&rng, 2) == 0,
            .keyspace_id = (uint32_t)tk_rng_below(&rng, 2) * 0xffffff,
            .keyspace_name = random_text(&rng),
        };
        struct tk_context_call call = {
            .call = tk_rng_below(&rng, 4) == 0 ? NULL : &user,
            .max_execution_ms = tk_rng_below(&rng, 2) * random_number(&rng),
            .is_retry = tk_rng_below(&rng, 2) == 0,
            .replica_read = tk_rng_below(&rng, 2) == 0,
            .stale_read = tk_rng_below(&rng, 2) == 0,
            .busy_threshold_ms = (uint32_t)tk_rng_below(&rng, 2) * 300,
            .buckets_version = tk_rng_below(&rng, 2) * random_number(&rng),
            .source = tk_rng_below(&rng, 2) == 0 ? NULL : "leader_x",
        };

        user.priority = (tikv_priority)tk_rng_below(&rng, 3);
        user.request_source = random_text(&rng);
        user.resource_group = random_text(&rng);
        user.resource_tag = tk_slice("tag", tk_rng_below(&rng, 4));
        user.trace_id = tk_slice("0123456789abcdef0", tk_rng_below(&rng, 18));
        assert_same(&region, &call);
    }
}

static void
context__of_nothing_is_empty(void **state)
{
    const struct tk_context_region region = { 0 };
    const struct tk_context_call call = { 0 };
    struct tk_buf out;

    (void)state;
    tk_buf_init(&out, 1 << 16);
    tk_context_region(&out, &region);
    tk_context_call(&out, &call);
    assert_int_equal(out.len, 0);
    assert_false(out.failed);
    tk_buf_fini(&out);
}

/* The region's part is encoded once and the call's part follows: the epoch
 * and peer of the first survive. Keyspace 0 is written. */
static void
context__parts_concatenate(void **state)
{
    const struct tk_context_region region = {
        .region_id = 7, .version = 3, .store_id = 2, .has_keyspace = true
    };
    const struct tk_context_call call = { .is_retry = true };

    (void)state;
    assert_same(&region, &call);
}

/* Who sends it is not said: a store takes timestamps of whom it does not know
 * exactly as they are. */
static void
context__names_no_origin(void **state)
{
    tikv_call user = TIKV_CALL_INIT;
    const struct tk_context_region region = { .region_id = 7 };
    const struct tk_context_call call = { .call = &user, .is_retry = true };
    struct tk_arena *arena = tk_arena_new();
    const kvrpcpb_Context *context;
    struct tk_buf out;

    (void)state;
    user.request_source = "external";
    tk_buf_init(&out, 1 << 16);
    tk_context_region(&out, &region);
    tk_context_call(&out, &call);
    context = tk_arena_decode(arena, &kvrpcpb_Context_msginit, out.data,
                              out.len, NULL);
    assert_int_equal(kvrpcpb_Context_request_origin(context),
                     kvrpcpb_RequestOriginUnknown);
    tk_buf_fini(&out);
    tk_arena_unref(arena);
}

static const kvrpcpb_Context *
sent(enum tk_command command, const struct tk_context_region *region,
     struct tk_arena *arena)
{
    struct tk_parts parts = { .command = command,
                              .body = tk_slice_text("") };
    struct tk_buf fields;
    struct tk_buf out;
    const void *message;

    tk_buf_init(&fields, 1 << 16);
    tk_buf_init(&out, 1 << 16);
    tk_context_region(&fields, region);
    parts.region = tk_buf_slice(&fields);
    tk_parts_append(&out, &parts);
    message = tk_arena_decode(arena, tk_command_row(command)->request,
                              out.data, out.len, NULL);
    tk_buf_fini(&fields);
    tk_buf_fini(&out);
    assert_non_null(message);
    return command == TK_CMD_KV_GET
               ? kvrpcpb_GetRequest_context(message)
               : kvrpcpb_GetLockWaitInfoRequest_context(message);
}

/* Two attempts with the same body have a context each; the second does not
 * reach back into the first. */
static void
context__of_each_attempt_is_its_own(void **state)
{
    static const enum tk_command commands[] = { TK_CMD_KV_GET,
                                                TK_CMD_GET_LOCK_WAIT_INFO };
    const struct tk_context_region regions[] = {
        { .region_id = 7, .api_version = 2, .has_keyspace = true,
          .keyspace_id = 8, .keyspace_name = "one" },
        { .region_id = 9, .api_version = 1, .has_keyspace = true,
          .keyspace_id = 10, .keyspace_name = "two" },
    };
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < 2; i++) {
        struct tk_arena *arena = tk_arena_new();
        const kvrpcpb_Context *contexts[2];

        contexts[0] = sent(commands[i], &regions[0], arena);
        contexts[1] = sent(commands[i], &regions[1], arena);
        for (j = 0; j < 2; j++) {
            upb_StringView name = kvrpcpb_Context_keyspace_name(contexts[j]);

            assert_int_equal(kvrpcpb_Context_region_id(contexts[j]),
                             regions[j].region_id);
            assert_int_equal(kvrpcpb_Context_api_version(contexts[j]),
                             regions[j].api_version);
            assert_int_equal(kvrpcpb_Context_keyspace_id(contexts[j]),
                             regions[j].keyspace_id);
            assert_int_equal(name.size, 3);
            assert_memory_equal(name.data, regions[j].keyspace_name, 3);
        }
        tk_arena_unref(arena);
    }
}

/* Whoever adds fields of his own must not add one of these. */
static void
context__tells_which_fields_it_writes(void **state)
{
    const struct tk_context_region region = {
        7, 3, 4, 5, 2, metapb_Learner, true, 9, 2, true, 11, "space"
    };
    tikv_call user = TIKV_CALL_INIT;
    const struct tk_context_call call = { .call = &user,
                                          .max_execution_ms = 5,
                                          .is_retry = true,
                                          .replica_read = true,
                                          .stale_read = true,
                                          .busy_threshold_ms = 3 };
    bool is_written[256] = { false };
    struct tk_cursor cursor;
    struct tk_field field;
    struct tk_buf out;
    uint32_t i;

    (void)state;
    user.priority = TIKV_PRIORITY_HIGH;
    user.request_source = "source";
    user.resource_group = "group";
    user.resource_tag = tk_slice("tag", 3);
    user.trace_id = tk_slice("trace", 5);
    tk_buf_init(&out, 1 << 16);
    tk_context_region(&out, &region);
    tk_context_call(&out, &call);
    cursor = tk_cursor(tk_buf_slice(&out));
    while (tk_cursor_field(&cursor, &field)) {
        assert_in_range(field.number, 1, 255);
        is_written[field.number] = true;
    }
    assert_true(tk_cursor_is_done(&cursor));
    for (i = 0; i < 256; i++) {
        assert_int_equal(tk_context_has(i), is_written[i]);
    }
    assert_false(tk_context_has(257));
    tk_buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(context__is_what_upb_writes),
        harness_test(context__of_nothing_is_empty),
        harness_test(context__parts_concatenate),
        harness_test(context__names_no_origin),
        harness_test(context__of_each_attempt_is_its_own),
        harness_test(context__tells_which_fields_it_writes),
    };
    return harness_run(tests);
}
