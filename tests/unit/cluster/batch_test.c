/* SPDX-License-Identifier: Apache-2.0 */
/* The batch stream: framing, grouping, what ends it (BC01 to BC05). */
#include "unit/cluster/fixture.h"

enum { ANSWERS = 400 };

struct batch {
    struct fx *fx;
    struct tk_cluster_stream *stream;
    tikvpb_BatchCommandsRequest *next; /* being filled */
    int messages;
    int feedbacks;
    uint64_t sequence;
    size_t count;
    uint64_t ids[ANSWERS];
    const tikvpb_BatchCommandsResponse_Response *answers[ANSWERS];
    bool ended;
    int status;
    bool free_inside; /* from its own event */
};

static void
on_message(void *arg, tikv_slice bytes)
{
    struct batch *batch = arg;
    char *copy = upb_Arena_Malloc(batch->fx->arena, bytes.len);
    const tikvpb_BatchCommandsResponse *frame;
    const tikvpb_BatchCommandsResponse_Response *const *answers;
    const uint64_t *ids;
    size_t count = 0;
    size_t ids_count = 0;

    memcpy(copy, bytes.data, bytes.len);
    frame = tikvpb_BatchCommandsResponse_parse(copy, bytes.len,
                                               batch->fx->arena);
    assert_non_null(frame);
    answers = tikvpb_BatchCommandsResponse_responses(frame, &count);
    ids = tikvpb_BatchCommandsResponse_request_ids(frame, &ids_count);
    assert_int_equal(count, ids_count);
    assert_true(count > 0);
    assert_true(tikvpb_BatchCommandsResponse_tikv_send_time_ns(frame) > 0);
    for (size_t i = 0; i < count; i++) {
        assert_true(batch->count < ANSWERS);
        batch->ids[batch->count] = ids[i];
        batch->answers[batch->count++] = answers[i];
    }
    if (tikvpb_BatchCommandsResponse_has_health_feedback(frame)) {
        uint64_t sequence = kvrpcpb_HealthFeedback_feedback_seq_no(
            tikvpb_BatchCommandsResponse_health_feedback(frame));

        assert_true(sequence > batch->sequence);
        batch->sequence = sequence;
        batch->feedbacks++;
    }
    batch->messages++;
    if (batch->free_inside) {
        tk_cluster_stream_free(batch->stream);
        batch->stream = NULL;
    }
}

static void
on_end(void *arg, int status, const char *message)
{
    struct batch *batch = arg;

    (void)message;
    assert_false(batch->ended);
    batch->ended = true;
    batch->status = status;
}

static void
begin(struct batch *batch)
{
    batch->next = tikvpb_BatchCommandsRequest_new(batch->fx->arena);
}

static void
open_batch(struct batch *batch, struct fx *fx, uint64_t store_id)
{
    static const struct tk_cluster_stream_events events = { on_message,
                                                            on_end };

    memset(batch, 0, sizeof(*batch));
    batch->fx = fx;
    batch->stream = tk_cluster_stream_open(
        fx->cluster, fx_store(store_id), "/tikvpb.Tikv/BatchCommands", NULL,
        &events, batch);
    assert_non_null(batch->stream);
    begin(batch);
}

static tikvpb_BatchCommandsRequest_Request *
add(struct batch *batch, uint64_t id)
{
    (void)tikvpb_BatchCommandsRequest_add_request_ids(batch->next, id,
                                                      batch->fx->arena);
    return tikvpb_BatchCommandsRequest_add_requests(batch->next,
                                                    batch->fx->arena);
}

static kvrpcpb_RawGetRequest *
add_get(struct batch *batch, uint64_t id, const char *key)
{
    kvrpcpb_Context *context = fx_context(batch->fx, key);
    kvrpcpb_RawGetRequest *get =
        tikvpb_BatchCommandsRequest_Request_mutable_RawGet(add(batch, id),
                                                           batch->fx->arena);

    kvrpcpb_RawGetRequest_set_context(get, context);
    kvrpcpb_RawGetRequest_set_key(get, fx_copy(batch->fx, key));
    return get;
}

static void
add_put(struct batch *batch, uint64_t id, const char *key, const char *value)
{
    kvrpcpb_Context *context = fx_context(batch->fx, key);
    kvrpcpb_RawPutRequest *put =
        tikvpb_BatchCommandsRequest_Request_mutable_RawPut(add(batch, id),
                                                           batch->fx->arena);

    kvrpcpb_RawPutRequest_set_context(put, context);
    kvrpcpb_RawPutRequest_set_key(put, fx_copy(batch->fx, key));
    kvrpcpb_RawPutRequest_set_value(put, fx_copy(batch->fx, value));
}

static void
send(struct batch *batch)
{
    size_t len;
    const char *bytes = tikvpb_BatchCommandsRequest_serialize(
        batch->next, batch->fx->arena, &len);

    begin(batch);
    tk_cluster_stream_message(batch->stream, tk_slice(bytes, len));
}

static const kvrpcpb_RawGetResponse *
got(struct batch *batch, uint64_t id)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->ids[i] == id) {
            assert_true(tikvpb_BatchCommandsResponse_Response_has_RawGet(
                batch->answers[i]));
            return tikvpb_BatchCommandsResponse_Response_RawGet(
                batch->answers[i]);
        }
    }
    return NULL;
}

static void
close_batch(struct batch *batch)
{
    tk_cluster_stream_free(batch->stream);
}

static void
batch__answers_a_message_with_a_message(void **state)
{
    struct batch batch;
    struct fx fx;
    char key[8];

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    for (uint64_t i = 0; i < 150; i++) {
        (void)snprintf(key, sizeof(key), "k%u", (unsigned)i);
        add_put(&batch, i * 1000, key, key);
    }
    send(&batch);
    assert_int_equal(batch.messages, 1);
    assert_int_equal(batch.count, 150);
    for (uint64_t i = 0; i < 150; i++) {
        (void)snprintf(key, sizeof(key), "k%u", (unsigned)i);
        (void)add_get(&batch, 7777000 + i, key);
    }
    (void)add_get(&batch, 3, "none");
    send(&batch);
    assert_int_equal(batch.messages, 2);
    assert_int_equal(batch.count, 301);
    fx_assert_view(kvrpcpb_RawGetResponse_value(got(&batch, 7777000 + 42)),
                   "k42");
    assert_true(kvrpcpb_RawGetResponse_not_found(got(&batch, 3)));
    assert_int_equal(tk_cluster_calls(fx.cluster, "tikv.RawGet"), 151);
    assert_int_equal(tk_cluster_calls(fx.cluster, "tikv.BatchCommands"), 2);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__frames_values_of_all_sizes(void **state)
{
    static const size_t sizes[] = { 0,    1,     100,   120,  121, 122,
                                    123,  124,   125,   126,  127, 128,
                                    129,  16370, 16376, 16380, 16384,
                                    70000, 2100000 };
    struct batch batch;
    struct fx fx;
    char *value;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    value = upb_Arena_Malloc(fx.arena, 2100001);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        upb_StringView seen;

        memset(value, 'a' + (int)i, sizes[i]);
        value[sizes[i]] = '\0';
        add_put(&batch, 500 + i, "k", value);
        (void)add_get(&batch, 1 + i, "k");
        send(&batch);
        seen = kvrpcpb_RawGetResponse_value(got(&batch, 1 + i));
        assert_int_equal(seen.size, sizes[i]);
        assert_memory_equal(seen.data, value, sizes[i]);
    }
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__gives_region_errors_in_their_places(void **state)
{
    struct batch batch;
    kvrpcpb_RawGetRequest *get;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    fx_put(&fx, "a", "1");
    (void)add_get(&batch, 1, "a");
    get = add_get(&batch, 2, "a");
    kvrpcpb_Context_set_region_id(
        kvrpcpb_RawGetRequest_mutable_context(get, fx.arena), 99);
    (void)add_get(&batch, 3, "a");
    send(&batch);
    fx_assert_view(kvrpcpb_RawGetResponse_value(got(&batch, 1)), "1");
    fx_assert_view(kvrpcpb_RawGetResponse_value(got(&batch, 3)), "1");
    assert_int_equal(
        errorpb_RegionNotFound_region_id(errorpb_Error_region_not_found(
            kvrpcpb_RawGetResponse_region_error(got(&batch, 2)))),
        99);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__answers_unknown_requests_empty(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    (void)add(&batch, 17);
    (void)add_get(&batch, 18, "a");
    send(&batch);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.ids[0], 17);
    assert_int_equal(
        tikvpb_BatchCommandsResponse_Response_cmd_case(batch.answers[0]),
        tikvpb_BatchCommandsResponse_Response_cmd_NOT_SET);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__dies_of_a_wrong_cluster_id(void **state)
{
    struct batch batch;
    kvrpcpb_RawGetRequest *get;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    (void)add_get(&batch, 1, "a");
    get = add_get(&batch, 2, "a");
    kvrpcpb_Context_set_cluster_id(
        kvrpcpb_RawGetRequest_mutable_context(get, fx.arena),
        tk_cluster_id(fx.cluster) + 1);
    send(&batch);
    assert_true(batch.ended);
    assert_int_equal(batch.status, TK_GRPC_INVALID_ARGUMENT);
    assert_int_equal(batch.count, 0);
    (void)add_get(&batch, 3, "a");
    send(&batch);
    assert_int_equal(batch.count, 0);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__refuses_what_it_cannot_read(void **state)
{
    /* Two ids, one request; a length past the end. */
    static const char uneven[] = "\x0a\x00\x12\x02\x01\x02";
    static const char broken[] = "\x0a\x55xyz";
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    tk_cluster_stream_message(batch.stream,
                              tk_slice(uneven, sizeof(uneven) - 1));
    assert_true(batch.ended);
    assert_int_equal(batch.status, TK_GRPC_INTERNAL);
    close_batch(&batch);
    open_batch(&batch, &fx, 1);
    tk_cluster_stream_message(batch.stream,
                              tk_slice(broken, sizeof(broken) - 1));
    assert_true(batch.ended);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__lets_a_slow_request_wait_alone(void **state)
{
    struct batch batch;
    tikvpb_BatchCommandsEmptyRequest *empty;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    for (uint64_t i = 0; i < 2; i++) {
        empty = tikvpb_BatchCommandsRequest_Request_mutable_Empty(
            add(&batch, 10 + i), fx.arena);
        tikvpb_BatchCommandsEmptyRequest_set_test_id(empty, 55);
        tikvpb_BatchCommandsEmptyRequest_set_delay_time(empty,
                                                        i == 0 ? 100 : 9);
    }
    (void)add_get(&batch, 12, "a");
    send(&batch);
    assert_int_equal(batch.count, 2);
    fx_advance(&fx.clock, 99);
    assert_int_equal(batch.count, 2);
    fx_advance(&fx.clock, 1);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.ids[2], 10);
    assert_int_equal(
        tikvpb_BatchCommandsEmptyResponse_test_id(
            tikvpb_BatchCommandsResponse_Response_Empty(batch.answers[2])),
        55);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__finishes_what_is_in_flight(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawGet when=first(1) do=delay(50)", NULL));
    open_batch(&batch, &fx, 1);
    (void)add_get(&batch, 1, "a");
    send(&batch);
    tk_cluster_stream_finish(batch.stream);
    assert_false(batch.ended);
    fx_advance(&fx.clock, 50);
    assert_int_equal(batch.count, 1);
    assert_true(batch.ended);
    assert_int_equal(batch.status, TK_GRPC_OK);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__can_be_let_go_at_any_time(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    /* With a request in flight: its answer never comes. */
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawGet when=first(1) do=delay(50)", NULL));
    open_batch(&batch, &fx, 1);
    (void)add_get(&batch, 1, "a");
    send(&batch);
    close_batch(&batch);
    fx_advance(&fx.clock, 100);
    assert_int_equal(batch.count, 0);
    assert_false(batch.ended);
    /* Inside of its own event. */
    open_batch(&batch, &fx, 1);
    batch.free_inside = true;
    (void)add_get(&batch, 1, "a");
    send(&batch);
    assert_int_equal(batch.count, 1);
    assert_null(batch.stream);
    fx_close(&fx);
}

static void
batch__gives_health_once_a_second_and_when_asked(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    open_batch(&batch, &fx, 1);
    for (int i = 0; i < 30; i++) {
        (void)add_get(&batch, 1, "a");
        send(&batch);
        fx_advance(&fx.clock, 100);
    }
    assert_int_equal(batch.feedbacks, 3);
    (void)tikvpb_BatchCommandsRequest_Request_mutable_GetHealthFeedback(
        add(&batch, 9), fx.arena);
    send(&batch);
    assert_int_equal(batch.feedbacks, 4);
    assert_int_equal(
        kvrpcpb_HealthFeedback_feedback_seq_no(
            kvrpcpb_GetHealthFeedbackResponse_health_feedback(
                tikvpb_BatchCommandsResponse_Response_GetHealthFeedback(
                    batch.answers[batch.count - 1]))),
        batch.sequence);
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch__breaks_with_its_store(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 2 };
    struct batch one;
    struct batch two;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    open_batch(&one, &fx, 1);
    open_batch(&two, &fx, 2);
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    assert_true(one.ended);
    assert_int_equal(one.status, TK_GRPC_UNAVAILABLE);
    assert_false(two.ended);
    close_batch(&one);
    /* Opened to a store that is down: it says so. */
    open_batch(&one, &fx, 1);
    add(&one, 1);
    send(&one);
    assert_true(one.ended);
    assert_int_equal(one.status, TK_GRPC_UNAVAILABLE);
    close_batch(&one);
    close_batch(&two);
    fx_close(&fx);
}

static void
batch__is_known_to_stores_alone(void **state)
{
    static const struct tk_cluster_stream_events events = { on_message,
                                                            on_end };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(tk_cluster_stream_open(
        fx.cluster, 0, "/tikvpb.Tikv/BatchCommands", NULL, &events, NULL));
    assert_null(tk_cluster_stream_open(fx.cluster, fx_store(1),
                                       "/pdpb.PD/Tso", NULL, &events, NULL));
    assert_null(tk_cluster_stream_open(fx.cluster, 0, "/pdpb.PD/GetRegion",
                                       NULL, &events, NULL));
    fx_close(&fx);
}

/* ---- what rules do to requests inside ---- */

static void
batch_fault__drops_and_delays_single_requests(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawPut key=drop do=drop_request", NULL));
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawPut key=lose do=drop_response", NULL));
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawPut key=late do=delay(20)", NULL));
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.RawPut key=held do=apply,delay(20)", NULL));
    open_batch(&batch, &fx, 1);
    add_put(&batch, 1, "drop", "v");
    add_put(&batch, 2, "lose", "v");
    add_put(&batch, 3, "late", "v");
    add_put(&batch, 4, "held", "v");
    add_put(&batch, 5, "fine", "v");
    send(&batch);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.ids[0], 5);
    fx_expect(&fx, "drop", NULL);
    fx_expect(&fx, "lose", "v");
    fx_expect(&fx, "late", NULL);
    fx_expect(&fx, "held", "v");
    fx_advance(&fx.clock, 20);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.messages, 3);
    fx_expect(&fx, "late", "v");
    close_batch(&batch);
    fx_close(&fx);
}

static void
batch_fault__breaks_the_stream(void **state)
{
    static const struct {
        const char *rule;
        int status;
        const char *value;
    } cases[] = {
        { "on=tikv.RawPut do=break_stream", TK_GRPC_UNAVAILABLE, NULL },
        { "on=tikv.RawPut do=apply,break_stream", TK_GRPC_UNAVAILABLE, "v" },
        { "on=tikv.RawPut do=status(ABORTED)", TK_GRPC_ABORTED, NULL },
        { "on=tikv.BatchCommands do=break_stream", TK_GRPC_UNAVAILABLE,
          NULL },
        { "on=tikv.BatchCommands do=apply,status(INTERNAL)", TK_GRPC_INTERNAL,
          "v" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch batch;
        struct fx fx;

        fx_open(&fx, NULL);
        assert_null(tk_cluster_fault(fx.cluster, cases[i].rule, NULL));
        open_batch(&batch, &fx, 1);
        add_put(&batch, 1, "k", "v");
        send(&batch);
        assert_true(batch.ended);
        assert_int_equal(batch.status, cases[i].status);
        assert_int_equal(batch.count, 0);
        fx_expect(&fx, "k", cases[i].value);
        close_batch(&batch);
        fx_close(&fx);
    }
}

static void
batch_fault__treats_whole_messages(void **state)
{
    struct batch batch;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.BatchCommands when=nth(1) do=drop_response",
        NULL));
    assert_null(tk_cluster_fault(
        fx.cluster, "on=tikv.BatchCommands when=nth(2) do=delay(5)", NULL));
    open_batch(&batch, &fx, 1);
    add_put(&batch, 1, "k", "v");
    send(&batch);
    assert_int_equal(batch.count, 0);
    fx_expect(&fx, "k", "v");
    (void)add_get(&batch, 2, "k");
    send(&batch); /* shown to the second rule for the first time */
    assert_int_equal(batch.count, 1);
    (void)add_get(&batch, 3, "k");
    send(&batch);
    assert_int_equal(batch.count, 1);
    fx_advance(&fx.clock, 5);
    assert_int_equal(batch.count, 2);
    close_batch(&batch);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(batch__answers_a_message_with_a_message),
        harness_test(batch__frames_values_of_all_sizes),
        harness_test(batch__gives_region_errors_in_their_places),
        harness_test(batch__answers_unknown_requests_empty),
        harness_test(batch__dies_of_a_wrong_cluster_id),
        harness_test(batch__refuses_what_it_cannot_read),
        harness_test(batch__lets_a_slow_request_wait_alone),
        harness_test(batch__finishes_what_is_in_flight),
        harness_test(batch__can_be_let_go_at_any_time),
        harness_test(batch__gives_health_once_a_second_and_when_asked),
        harness_test(batch__breaks_with_its_store),
        harness_test(batch__is_known_to_stores_alone),
        harness_test(batch_fault__drops_and_delays_single_requests),
        harness_test(batch_fault__breaks_the_stream),
        harness_test(batch_fault__treats_whole_messages),
    };
    return harness_run(tests);
}
