/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the caller made, through the public functions: what is sent,
 * what comes back, what is retried, and what happens to those that were made
 * for one region.
 */
#include "fixture/kv.h"

#include "base/buf.h"
#include "wire/commands.h"

#include "coprocessor.upb.h"
#include "kvrpcpb.upb.h"

/* Of coprocessor requests that the cluster understands: pairs of ranges. */
enum { PAIRS = 0x6d63 };

struct message {
    upb_Arena *arena;
    tikv_slice bytes;
};

static upb_StringView
view(const char *text)
{
    return upb_StringView_FromString(text);
}

static struct message
raw_get(const char *key)
{
    struct message out = { upb_Arena_New(), { NULL, 0 } };
    kvrpcpb_RawGetRequest *request = kvrpcpb_RawGetRequest_new(out.arena);

    kvrpcpb_RawGetRequest_set_key(request, view(key));
    out.bytes.data = (const uint8_t *)kvrpcpb_RawGetRequest_serialize(
        request, out.arena, &out.bytes.len);
    return out;
}

static struct message
raw_put(const char *key, const char *value)
{
    struct message out = { upb_Arena_New(), { NULL, 0 } };
    kvrpcpb_RawPutRequest *request = kvrpcpb_RawPutRequest_new(out.arena);

    kvrpcpb_RawPutRequest_set_key(request, view(key));
    kvrpcpb_RawPutRequest_set_value(request, view(value));
    out.bytes.data = (const uint8_t *)kvrpcpb_RawPutRequest_serialize(
        request, out.arena, &out.bytes.len);
    return out;
}

static struct message
raw_scan(const char *start, const char *end)
{
    struct message out = { upb_Arena_New(), { NULL, 0 } };
    kvrpcpb_RawScanRequest *request = kvrpcpb_RawScanRequest_new(out.arena);

    kvrpcpb_RawScanRequest_set_start_key(request, view(start));
    kvrpcpb_RawScanRequest_set_end_key(request, view(end));
    kvrpcpb_RawScanRequest_set_limit(request, 100);
    out.bytes.data = (const uint8_t *)kvrpcpb_RawScanRequest_serialize(
        request, out.arena, &out.bytes.len);
    return out;
}

static struct message
kv_get(const char *key, uint64_t version)
{
    struct message out = { upb_Arena_New(), { NULL, 0 } };
    kvrpcpb_GetRequest *request = kvrpcpb_GetRequest_new(out.arena);

    kvrpcpb_GetRequest_set_key(request, view(key));
    kvrpcpb_GetRequest_set_version(request, version);
    out.bytes.data = (const uint8_t *)kvrpcpb_GetRequest_serialize(
        request, out.arena, &out.bytes.len);
    return out;
}

/* The value in an answer to raw_get(); freed. */
static void
take_as(tikv_value *answer, const char *wanted)
{
    upb_Arena *arena = upb_Arena_New();
    tikv_slice bytes = tikv_value_slice(answer);
    kvrpcpb_RawGetResponse *response = kvrpcpb_RawGetResponse_parse(
        (const char *)bytes.data, bytes.len, arena);
    upb_StringView got;

    assert_non_null(bytes.data);
    assert_non_null(response);
    got = kvrpcpb_RawGetResponse_value(response);
    assert_int_equal(got.size, strlen(wanted));
    assert_memory_equal(got.data, wanted, got.size);
    upb_Arena_Free(arena);
    tikv_value_free(answer);
}

static void
get_with(struct kv *kv, const char *key, const char *wanted,
         const tikv_request_options *options)
{
    struct message message = raw_get(key);
    tikv_value *answer;

    kv_ok(tikv_request_send(kv->client, "RawGet", kv_text(key), message.bytes,
                            options, &answer));
    take_as(answer, wanted);
    upb_Arena_Free(message.arena);
}

static void
request__gives_the_response_as_it_came(void **state)
{
    struct message message = raw_put("k", "v");
    tikv_value *answer;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_request_send(kv.client, "RawPut", kv_text("k"), message.bytes,
                            NULL, &answer));
    /* Nothing to say is a response too. */
    assert_non_null(tikv_value_slice(answer).data);
    assert_int_equal(tikv_value_slice(answer).len, 0);
    tikv_value_free(answer);
    kv_expect(kv.client, "k", "v");
    get_with(&kv, "k", "v", NULL);
    upb_Arena_Free(message.arena);
    kv_close(&kv);
}

static void
commit_one(struct kv *kv, const char *key, const char *value)
{
    tikv_txn *txn;

    kv_ok(tikv_txn_begin(kv->client, NULL, &txn));
    kv_ok(tikv_txn_put(txn, kv_text(key), kv_text(value)));
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    tikv_txn_free(txn);
}

/* Transactional keys have regions of their own, and the coprocessor reads
 * them. */
static void
request__speaks_to_the_coprocessor(void **state)
{
    static const char wanted[] = "\0\0\0\1k\0\0\0\1v";
    upb_Arena *arena = upb_Arena_New();
    coprocessor_Request *request = coprocessor_Request_new(arena);
    coprocessor_KeyRange *range =
        coprocessor_Request_add_ranges(request, arena);
    coprocessor_Response *response;
    tikv_slice message;
    tikv_value *answer;
    upb_StringView data;
    uint64_t ts;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_cluster_split_txn(kv.cluster, kv_text("m")));
    commit_one(&kv, "k", "v");
    kv_ok(tikv_timestamp(kv.client, NULL, &ts));
    coprocessor_Request_set_tp(request, PAIRS);
    coprocessor_Request_set_start_ts(request, ts);
    coprocessor_KeyRange_set_start(range, view("a"));
    coprocessor_KeyRange_set_end(range, view("m"));
    message.data = (const uint8_t *)coprocessor_Request_serialize(
        request, arena, &message.len);
    kv_ok(tikv_request_send(kv.client, "Coprocessor", kv_text("a"), message,
                            NULL, &answer));
    response =
        coprocessor_Response_parse((const char *)tikv_value_slice(answer).data,
                                   tikv_value_slice(answer).len, arena);
    assert_non_null(response);
    data = coprocessor_Response_data(response);
    assert_int_equal(data.size, sizeof(wanted) - 1);
    assert_memory_equal(data.data, wanted, data.size);
    tikv_value_free(answer);
    upb_Arena_Free(arena);
    kv_close(&kv);
}

/* A fault at the first attempt, and whether the request is made good. */
static void
request__is_retried_wherever_its_key_lives(void **state)
{
    static const char *const faults[] = {
        "region_error(not_leader,leader=none)",
        "region_error(epoch_not_match,regions=none)",
        "region_error(server_is_busy)",
        "region_error(region_not_found)",
        "region_error(stale_command)",
        "drop_response",
        "split(b)",
        "reset_connection",
    };
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
        tikv_details *details;
        char rule[128];
        uint64_t id;

        kv_ok(tikv_details_new(&details));
        options.details = details;
        options.attempt_timeout_ms = 300;
        snprintf(rule, sizeof(rule), "on=tikv.RawGet when=first(1) do=%s",
                 faults[i]);
        id = kv_fault(&kv, rule);
        get_with(&kv, "k", "v", &options);
        assert_int_equal(tikv_cluster_fault_hits(kv.cluster, id), 1);
        assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_CALLS), 1);
        assert_true(tikv_details_u64(details, TIKV_DETAILS_REQUESTS) >= 1);
        tikv_cluster_fault_remove(kv.cluster, id);
        tikv_details_free(details);
    }
    kv_close(&kv);
}

/* The bounds of the region of `key`, as PD tells now. */
static void
pin(struct kv *kv, const char *key, tikv_request_options *options)
{
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_regions *regions;

    kv_ok(tikv_regions_list(kv->client, (tikv_range){ kv_text(key), KV_ABSENT },
                            1, NULL, &regions));
    assert_true(tikv_regions_at(regions, 0, &info));
    options->region_id = info.id;
    options->region_version = info.version;
    tikv_regions_free(regions);
}

static tikv_error *
scan_with(struct kv *kv, const tikv_request_options *options)
{
    struct message message = raw_scan("a", "z");
    tikv_value *answer;
    tikv_error *error = tikv_request_send(kv->client, "RawScan", kv_text("a"),
                                          message.bytes, options, &answer);

    assert_true((error == NULL) == (answer != NULL));
    tikv_value_free(answer);
    upb_Arena_Free(message.arena);
    return error;
}

static void
expect_moved(tikv_error *error)
{
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_REGION_MOVED), 1);
    kv_fails(error, TIKV_ERR_REGION);
}

/* A message for one region must be made anew when its bounds change: found
 * out by an answer, and by then out of the cache. */
static void
request__ends_when_the_region_it_was_made_for_has_other_bounds(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    uint64_t before;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    pin(&kv, "a", &options);
    kv_ok(scan_with(&kv, &options));
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("m")));
    expect_moved(scan_with(&kv, &options));
    before = tikv_cluster_calls(kv.cluster, "tikv.RawScan");
    expect_moved(scan_with(&kv, &options));
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.RawScan"), before);
    pin(&kv, "a", &options);
    kv_ok(scan_with(&kv, &options));
    kv_close(&kv);
}

/* A leader that moves changes no bounds. */
static void
request__made_for_a_region_follows_its_leader(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    uint64_t leader;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    pin(&kv, "a", &options);
    leader = tikv_cluster_leader_of(kv.cluster, options.region_id);
    kv_ok(tikv_cluster_transfer_leader(kv.cluster, options.region_id,
                                       leader % 3 + 1));
    kv_ok(scan_with(&kv, &options));
    kv_close(&kv);
}

static void
request__tells_doubt_about_writes(void **state)
{
    struct message message = raw_put("k", "v");
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_value *answer;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "old");
    (void)kv_fault(&kv, "on=tikv.RawPut do=drop_response");
    options.call.timeout_ms = 200;
    kv_fails(tikv_request_send(kv.client, "RawPut", kv_text("k"), message.bytes,
                               &options, &answer),
             TIKV_ERR_UNDETERMINED);
    assert_null(answer);
    upb_Arena_Free(message.arena);
    kv_close(&kv);
}

/* A transaction that goes no further than that. */
static void
lock_key(struct kv *kv, const char *key, uint64_t ts)
{
    upb_Arena *arena = upb_Arena_New();
    kvrpcpb_PrewriteRequest *request = kvrpcpb_PrewriteRequest_new(arena);
    kvrpcpb_Mutation *mutation =
        kvrpcpb_PrewriteRequest_add_mutations(request, arena);
    kvrpcpb_PrewriteResponse *response;
    tikv_value *answer;
    tikv_slice message;
    size_t errors;

    kvrpcpb_Mutation_set_op(mutation, kvrpcpb_Put);
    kvrpcpb_Mutation_set_key(mutation, view(key));
    kvrpcpb_Mutation_set_value(mutation, view("locked"));
    kvrpcpb_PrewriteRequest_set_primary_lock(request, view(key));
    kvrpcpb_PrewriteRequest_set_start_version(request, ts);
    kvrpcpb_PrewriteRequest_set_lock_ttl(request, 60000);
    message.data = (const uint8_t *)kvrpcpb_PrewriteRequest_serialize(
        request, arena, &message.len);
    kv_ok(tikv_request_send(kv->client, "KvPrewrite", kv_text(key), message,
                            NULL, &answer));
    response = kvrpcpb_PrewriteResponse_parse(
        (const char *)tikv_value_slice(answer).data,
        tikv_value_slice(answer).len, arena);
    assert_non_null(response);
    (void)kvrpcpb_PrewriteResponse_errors(response, &errors);
    assert_int_equal(errors, 0);
    tikv_value_free(answer);
    upb_Arena_Free(arena);
}

static bool
get_meets_a_lock(struct kv *kv, const char *key, uint64_t ts,
                 tikv_slice context)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    struct message message = kv_get(key, ts);
    kvrpcpb_GetResponse *response;
    tikv_value *answer;
    bool is_locked;

    options.context = context;
    kv_ok(tikv_request_send(kv->client, "KvGet", kv_text(key), message.bytes,
                            &options, &answer));
    response =
        kvrpcpb_GetResponse_parse((const char *)tikv_value_slice(answer).data,
                                  tikv_value_slice(answer).len, message.arena);
    assert_non_null(response);
    is_locked = kvrpcpb_GetResponse_has_error(response);
    tikv_value_free(answer);
    upb_Arena_Free(message.arena);
    return is_locked;
}

/* More of the Context: a read that ignores locks does not see one. What the
 * command itself complains of is the caller's. */
static void
request__adds_the_context_it_is_given(void **state)
{
    static const uint8_t read_committed[] = { 7 << 3, 1 };
    uint64_t ts;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    commit_one(&kv, "k", "v");
    kv_ok(tikv_timestamp(kv.client, NULL, &ts));
    lock_key(&kv, "k", ts);
    kv_ok(tikv_timestamp(kv.client, NULL, &ts));
    assert_true(get_meets_a_lock(&kv, "k", ts, KV_ABSENT));
    assert_false(get_meets_a_lock(
        &kv, "k", ts, kv_bytes(read_committed, sizeof(read_committed))));
    kv_close(&kv);
}

static void
request__refuses_what_it_cannot_send(void **state)
{
    static const uint8_t context[] = { 1 << 3 | 2, 2, 1 << 3, 7 };
    static const uint8_t region[] = { 1 << 3, 7 };
    static const uint8_t broken[] = { 1 << 3 | 2, 200 };
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    const tikv_slice none = kv_text("");
    tikv_value *answer;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
#define REFUSES(method, message, code)                                         \
    kv_fails(tikv_request_send(kv.client, method, kv_text("k"), message,       \
                               &options, &answer),                             \
             code)
    REFUSES("RawTeleport", none, TIKV_ERR_ARGUMENT);
    REFUSES(NULL, none, TIKV_ERR_ARGUMENT);
    REFUSES("GetMembers", none, TIKV_ERR_ARGUMENT);
    REFUSES("CoprocessorStream", none, TIKV_ERR_UNSUPPORTED);
    REFUSES("BatchCommands", none, TIKV_ERR_UNSUPPORTED);
    REFUSES("RawGet", kv_bytes(context, sizeof(context)), TIKV_ERR_ARGUMENT);
    REFUSES("RawGet", kv_bytes(broken, sizeof(broken)), TIKV_ERR_ARGUMENT);
    options.context = kv_bytes(region, sizeof(region));
    REFUSES("RawGet", none, TIKV_ERR_ARGUMENT);
    options.context = KV_ABSENT;
    options.flags = 2;
    REFUSES("RawGet", none, TIKV_ERR_ARGUMENT);
    options.flags = 0;
    options.read_from = 9;
    REFUSES("RawGet", none, TIKV_ERR_ARGUMENT);
    options.read_from = 0;
    options.attempt_timeout_ms = -1;
    REFUSES("RawGet", none, TIKV_ERR_ARGUMENT);
#undef REFUSES
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.RawGet"), 0);
    kv_close(&kv);
}

/* All that an `_async` call was given may be gone at once. */
static void
request__promised_has_copied_what_it_needs(void **state)
{
    enum { COUNT = 8 };
    tikv_future *futures[COUNT];
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    for (i = 0; i < COUNT; i++) {
        struct message message = raw_get("k");
        uint8_t *copy = malloc(message.bytes.len);
        char key[] = "k";

        assert_non_null(copy);
        memcpy(copy, message.bytes.data, message.bytes.len);
        futures[i] =
            tikv_request_send_async(kv.client, "RawGet", kv_text(key),
                                    kv_bytes(copy, message.bytes.len), NULL);
        memset(copy, 0xee, message.bytes.len);
        memset(key, 'x', 1);
        free(copy);
        upb_Arena_Free(message.arena);
    }
    for (i = 0; i < COUNT; i++) {
        tikv_value *answer;

        assert_true(tikv_future_wait(futures[i], 10000));
        kv_ok(tikv_future_take_value(futures[i], &answer));
        take_as(answer, "v");
        tikv_future_free(futures[i]);
    }
    futures[0] = tikv_request_send_async(kv.client, "Nothing", kv_text("k"),
                                         kv_text(""), NULL);
    kv_fails(tikv_future_take_done(futures[0]), TIKV_ERR_ARGUMENT);
    tikv_future_free(futures[0]);
    kv_close(&kv);
}

/* In API V1 as they are, also the end of everything. */
static void
request__spells_keys_for_messages(void **state)
{
    tikv_value *key;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(
        tikv_request_key(kv.client, kv_text("k"), TIKV_REQUEST_RAW_KEY, &key));
    assert_true(kv_equal(tikv_value_slice(key), kv_text("k")));
    tikv_value_free(key);
    kv_ok(tikv_request_key(kv.client, kv_text(""), TIKV_REQUEST_END, &key));
    assert_true(kv_equal(tikv_value_slice(key), kv_text("")));
    tikv_value_free(key);
    kv_fails(tikv_request_key(kv.client, kv_text("k"), 4, &key),
             TIKV_ERR_ARGUMENT);
    assert_null(key);
    kv_close(&kv);
}

/* Every method that is no stream reaches the store. An empty message is
 * understood by some, refused by others. */
static void
request__knows_every_method_of_the_table(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    unsigned known = 0;
    struct kv kv;
    unsigned i;

    (void)state;
    kv_open_plain(&kv);
    options.call.timeout_ms = 200;
    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);
        tikv_value *answer;

        if (row->kind != TK_KIND_UNARY ||
            tk_command_by_name(row->name) != (enum tk_command)i) {
            continue;
        }
        tikv_error_free(tikv_request_send(kv.client, row->name, kv_text("k"),
                                          kv_text(""), &options, &answer));
        if (tikv_cluster_calls(kv.cluster, row->label) == 0) {
            print_error("%s was not sent\n", row->name);
            fail();
        }
        known++;
        tikv_value_free(answer);
    }
    assert_true(known > 50);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(request__gives_the_response_as_it_came),
        harness_test(request__speaks_to_the_coprocessor),
        harness_test(request__is_retried_wherever_its_key_lives),
        harness_test(
            request__ends_when_the_region_it_was_made_for_has_other_bounds),
        harness_test(request__made_for_a_region_follows_its_leader),
        harness_test(request__tells_doubt_about_writes),
        harness_test(request__adds_the_context_it_is_given),
        harness_test(request__refuses_what_it_cannot_send),
        harness_test(request__promised_has_copied_what_it_needs),
        harness_test(request__spells_keys_for_messages),
        harness_test(request__knows_every_method_of_the_table),
    };

    return harness_run(tests);
}
