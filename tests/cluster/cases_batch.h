/* SPDX-License-Identifier: Apache-2.0 */
/* BatchCommands as a stream, and the details that answers bring: BC. */
#ifndef TK_CASES_BATCH_H
#define TK_CASES_BATCH_H

enum { BATCH_ANSWERS = 256 };

/* A stream, and what has come of it. */
struct batch {
    struct way_stream way;
    struct fx *fx;
    size_t count;
    uint64_t ids[BATCH_ANSWERS];
    size_t messages[BATCH_ANSWERS]; /* by which one */
    const tikvpb_BatchCommandsResponse_Response *answers[BATCH_ANSWERS];
    size_t messages_count;
    size_t feedbacks_count;
    uint64_t feedback; /* the last one's number */
    int status;        /* of the end; -1: none yet */
};

static void
batch_message(void *arg, tikv_slice bytes)
{
    struct batch *batch = arg;
    const tikvpb_BatchCommandsResponse *message =
        tikvpb_BatchCommandsResponse_parse((const char *)bytes.data,
                                           bytes.len, batch->fx->arena);
    const tikvpb_BatchCommandsResponse_Response *const *answers;
    const uint64_t *ids;
    size_t answers_count;
    size_t count;

    assert_non_null(message);
    ids = tikvpb_BatchCommandsResponse_request_ids(message, &count);
    answers = tikvpb_BatchCommandsResponse_responses(message, &answers_count);
    assert_int_equal(count, answers_count);
    for (size_t i = 0; i < count; i++) {
        assert_true(batch->count < BATCH_ANSWERS);
        batch->ids[batch->count] = ids[i];
        batch->answers[batch->count] = answers[i];
        batch->messages[batch->count] = batch->messages_count;
        batch->count++;
    }
    batch->messages_count++;
    if (tikvpb_BatchCommandsResponse_has_health_feedback(message)) {
        const kvrpcpb_HealthFeedback *feedback =
            tikvpb_BatchCommandsResponse_health_feedback(message);

        assert_int_equal(kvrpcpb_HealthFeedback_store_id(feedback), 1);
        assert_true(kvrpcpb_HealthFeedback_slow_score(feedback) >= 1);
        assert_true(kvrpcpb_HealthFeedback_feedback_seq_no(feedback) >
                    batch->feedback);
        batch->feedback = kvrpcpb_HealthFeedback_feedback_seq_no(feedback);
        batch->feedbacks_count++;
    }
}

static void
batch_end(void *arg, int status, const char *text)
{
    struct batch *batch = arg;

    (void)text;
    batch->status = status;
}

static void
batch_open(struct batch *batch, struct fx *fx)
{
    memset(batch, 0, sizeof(*batch));
    batch->fx = fx;
    batch->status = -1;
    batch->way.message = batch_message;
    batch->way.end = batch_end;
    batch->way.arg = batch;
    way_stream_open(&batch->way, fx, fx_store(1),
                    "/tikvpb.Tikv/BatchCommands");
}

static tikvpb_BatchCommandsRequest_Request *
batch_add(struct fx *fx, tikvpb_BatchCommandsRequest *message, uint64_t id)
{
    (void)tikvpb_BatchCommandsRequest_add_request_ids(message, id, fx->arena);
    return tikvpb_BatchCommandsRequest_add_requests(message, fx->arena);
}

static void
batch_add_empty(struct fx *fx, tikvpb_BatchCommandsRequest *message,
                uint64_t id, uint64_t delay_ms)
{
    tikvpb_BatchCommandsEmptyRequest *empty =
        tikvpb_BatchCommandsRequest_Request_mutable_Empty(
            batch_add(fx, message, id), fx->arena);

    tikvpb_BatchCommandsEmptyRequest_set_test_id(empty, id);
    tikvpb_BatchCommandsEmptyRequest_set_delay_time(empty, delay_ms);
}

static kvrpcpb_Context *
batch_add_get(struct fx *fx, tikvpb_BatchCommandsRequest *message,
              uint64_t id, const char *key)
{
    kvrpcpb_GetRequest *get = tikvpb_BatchCommandsRequest_Request_mutable_Get(
        batch_add(fx, message, id), fx->arena);
    kvrpcpb_Context *context = fx_context(fx, key);

    kvrpcpb_GetRequest_set_context(get, context);
    kvrpcpb_GetRequest_set_key(get, fx_copy(fx, key));
    kvrpcpb_GetRequest_set_version(get, 10);
    return context;
}

static void
batch_send(struct batch *batch, const tikvpb_BatchCommandsRequest *message)
{
    size_t len;
    char *bytes = tikvpb_BatchCommandsRequest_serialize(
        message, batch->fx->arena, &len);

    way_stream_send(&batch->way, tk_slice(bytes, len));
}

/* The place of the answer, which is the only one. */
static size_t
batch_place(const struct batch *batch, uint64_t id)
{
    size_t place = SIZE_MAX;

    for (size_t i = 0; i < batch->count; i++) {
        if (batch->ids[i] == id) {
            assert_int_equal(place, SIZE_MAX);
            place = i;
        }
    }
    assert_int_not_equal(place, SIZE_MAX);
    return place;
}

static void
batch_expect_value(const struct batch *batch, uint64_t id, const char *value)
{
    const tikvpb_BatchCommandsResponse_Response *answer =
        batch->answers[batch_place(batch, id)];

    assert_true(tikvpb_BatchCommandsResponse_Response_has_Get(answer));
    fx_assert_view(kvrpcpb_GetResponse_value(
                       tikvpb_BatchCommandsResponse_Response_Get(answer)),
                   value);
}

static void
batch_expect_empty(const struct batch *batch, uint64_t id)
{
    const tikvpb_BatchCommandsResponse_Response *answer =
        batch->answers[batch_place(batch, id)];

    assert_true(tikvpb_BatchCommandsResponse_Response_has_Empty(answer));
    assert_int_equal(
        tikvpb_BatchCommandsEmptyResponse_test_id(
            tikvpb_BatchCommandsResponse_Response_Empty(answer)),
        id);
}

/* ---- BC01 ---- */

static void
batch_send_mixed(struct batch *batch, uint64_t base)
{
    struct fx *fx = batch->fx;
    tikvpb_BatchCommandsRequest *message =
        tikvpb_BatchCommandsRequest_new(fx->arena);

    (void)batch_add_get(fx, message, base + 9, "x");
    batch_add_empty(fx, message, base + 3, 0);
    (void)batch_add(fx, message, base + 7); /* of no command */
    (void)batch_add_get(fx, message, base + 1, "y");
    batch_send(batch, message);
}

static void
batch_answers_in_any_order(struct script *script)
{
    enum { ROUNDS = 16, EACH = 4 };
    static const uint64_t sent[] = { 9, 3, 7, 1 };
    struct batch batch;
    bool is_reordered = false;
    bool is_split = false;

    script_lines(script, "PW 5 x=v y=w\nC 5 6 x y => 6");
    batch_open(&batch, &script->fx);
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t base = 100 * round;
        size_t begin = batch.count;
        size_t other;
        size_t len;

        batch_send_mixed(&batch, base);
        way_stream_wait(&batch.way, &batch.count, begin + EACH);
        assert_int_equal(batch.count, begin + EACH);
        batch_expect_value(&batch, base + 9, "v");
        batch_expect_empty(&batch, base + 3);
        batch_expect_value(&batch, base + 1, "w");
        other = batch_place(&batch, base + 7);
        (void)tikvpb_BatchCommandsResponse_Response_serialize(
            batch.answers[other], script->fx.arena, &len);
        assert_int_equal(len, 0);
        for (size_t i = 0; i < EACH; i++) {
            is_reordered =
                is_reordered || batch.ids[begin + i] != base + sent[i];
            is_split = is_split ||
                       batch.messages[begin + i] != batch.messages[begin];
        }
    }
    assert_true(is_reordered);
    /* Over gRPC answers that have queued leave together. */
    assert_true(is_split || way_is_served(&script->fx));
    way_stream_finish(&batch.way);
    way_stream_wait(&batch.way, &batch.count, SIZE_MAX);
    assert_int_equal(batch.status, TK_GRPC_OK);
    way_stream_close(&batch.way);
}

/* ---- BC02 ---- */

static void
batch_ends_by_other_cluster(struct script *script)
{
    struct fx *fx = &script->fx;
    tikvpb_BatchCommandsRequest *message =
        tikvpb_BatchCommandsRequest_new(fx->arena);
    struct batch batch;
    kvrpcpb_Context *context;

    script_lines(script, "PW 5 x=v\nC 5 6 x => 6");
    batch_open(&batch, fx);
    batch_add_empty(fx, message, 1, 100);
    context = batch_add_get(fx, message, 2, "x");
    kvrpcpb_Context_set_cluster_id(context, tk_cluster_id(fx->cluster) + 1);
    (void)batch_add_get(fx, message, 3, "x");
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, SIZE_MAX);
    assert_int_equal(batch.status, TK_GRPC_INVALID_ARGUMENT);
    fx_wait(fx, 200);
    assert_int_equal(batch.count, 0);
    way_stream_close(&batch.way);

    /* What a store does not serve at all. */
    batch_open(&batch, fx);
    message = tikvpb_BatchCommandsRequest_new(fx->arena);
    tikvpb_BatchCommandsRequest_Request_set_GC(
        batch_add(fx, message, 1), kvrpcpb_GCRequest_new(fx->arena));
    batch_add_empty(fx, message, 2, 0);
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, 1);
    batch_expect_empty(&batch, 2);
    message = tikvpb_BatchCommandsRequest_new(fx->arena);
    tikvpb_BatchCommandsRequest_Request_set_Import(
        batch_add(fx, message, 3), kvrpcpb_ImportRequest_new(fx->arena));
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, SIZE_MAX);
    assert_int_equal(batch.status, TK_GRPC_UNIMPLEMENTED);
    assert_int_equal(batch.count, 1);
    way_stream_close(&batch.way);
}

/* ---- BC03 ---- */

static void
batch_delays_empty_alone(struct script *script)
{
    struct fx *fx = &script->fx;
    tikvpb_BatchCommandsRequest *message =
        tikvpb_BatchCommandsRequest_new(fx->arena);
    struct batch batch;

    script_lines(script, "PW 5 x=v\nC 5 6 x => 6");
    batch_open(&batch, fx);
    batch_add_empty(fx, message, 1, 100);
    (void)batch_add_get(fx, message, 2, "x");
    batch_add_empty(fx, message, 3, 9); /* too short to be waited for */
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, 2);
    batch_expect_value(&batch, 2, "v");
    batch_expect_empty(&batch, 3);
    fx_wait(fx, 99);
    message = tikvpb_BatchCommandsRequest_new(fx->arena);
    batch_add_empty(fx, message, 4, 0);
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, 3);
    batch_expect_empty(&batch, 4);
    fx_wait(fx, 1);
    way_stream_wait(&batch.way, &batch.count, 4);
    batch_expect_empty(&batch, 1);
    way_stream_close(&batch.way);
}

/* ---- BC04 ---- */

static void
batch_ping(struct batch *batch, uint64_t id)
{
    tikvpb_BatchCommandsRequest *message =
        tikvpb_BatchCommandsRequest_new(batch->fx->arena);
    size_t before = batch->count;

    batch_add_empty(batch->fx, message, id, 0);
    batch_send(batch, message);
    way_stream_wait(&batch->way, &batch->count, before + 1);
    batch_expect_empty(batch, id);
}

static void
batch_feeds_back(struct script *script)
{
    struct fx *fx = &script->fx;
    tikvpb_BatchCommandsRequest *message =
        tikvpb_BatchCommandsRequest_new(fx->arena);
    const kvrpcpb_HealthFeedback *own;
    struct batch batch;

    batch_open(&batch, fx);
    batch_ping(&batch, 1);
    assert_int_equal(batch.feedbacks_count, 1);
    batch_ping(&batch, 2);
    fx_wait(fx, 999);
    batch_ping(&batch, 3);
    assert_int_equal(batch.feedbacks_count, 1);
    fx_wait(fx, 1);
    batch_ping(&batch, 4);
    assert_int_equal(batch.feedbacks_count, 2);
    (void)tikvpb_BatchCommandsRequest_Request_mutable_GetHealthFeedback(
        batch_add(fx, message, 5), fx->arena);
    batch_send(&batch, message);
    way_stream_wait(&batch.way, &batch.count, 5);
    assert_int_equal(batch.feedbacks_count, 3);
    own = kvrpcpb_GetHealthFeedbackResponse_health_feedback(
        tikvpb_BatchCommandsResponse_Response_GetHealthFeedback(
            batch.answers[batch_place(&batch, 5)]));
    assert_int_equal(kvrpcpb_HealthFeedback_feedback_seq_no(own),
                     batch.feedback);
    way_stream_close(&batch.way);
}

/* ---- BC06 ---- */

/* ExecDetailsV2 of the last answer, field `number` of it. */
static const kvrpcpb_ExecDetailsV2 *
batch_details(struct script *script, uint32_t number)
{
    const struct script_slot *slot = &script->slots[0];
    struct tk_cl_fields fields;

    assert_true(tk_cl_decode(tk_slice(slot->data, slot->len), &fields));
    assert_int_equal(fields.counts[number], 1);
    return kvrpcpb_ExecDetailsV2_parse(
        (const char *)fields.bytes[number].data, fields.bytes[number].len,
        script->fx.arena);
}

static void
batch_expect_scanned(struct script *script, uint32_t number,
                     uint64_t versions, uint64_t passed, uint64_t size)
{
    const kvrpcpb_ScanDetailV2 *scan =
        kvrpcpb_ExecDetailsV2_scan_detail_v2(batch_details(script, number));

    assert_non_null(scan);
    assert_int_equal(kvrpcpb_ScanDetailV2_processed_versions(scan), versions);
    assert_int_equal(kvrpcpb_ScanDetailV2_total_versions(scan), passed);
    assert_int_equal(kvrpcpb_ScanDetailV2_processed_versions_size(scan),
                     size);
}

static void
batch_tells_details(struct script *script)
{
    static const struct {
        const char *lines;
        uint32_t number; /* of exec_details_v2 in the answer to the last */
    } steps[] = {
        { "PW 5 x=v y=w", 5 },
        { "C 5 6 x y => 6", 4 },
        { "C 7 8 z => lock_not_found z", 4 },
        { "G x 10 => v", 6 },
        { "BG 10 x z y => x=v y=w", 4 },
        { "PL 7 7 x", 7 },
        { "PL 8 8 x => locked x@7 pess pk=x ttl=3000 f=7", 7 },
        { "PRB 7 7 x", 3 },
        { "RB 8 x", 3 },
        { "PW 9 x=u", 5 },
        { "G x 10 => locked x@9 put pk=x ttl=3000", 6 },
        { "HB x 9 9000 => 9000", 4 },
        { "CTS x 9 0 9 => NoAction ttl=9000 x@9 put pk=x ttl=9000", 7 },
        { "CSL 9 x => x@9 put pk=x ttl=9000", 5 },
        { "SL 100 - - 0 => x@9 put pk=x ttl=9000", 4 },
        { "RL x 9:0", 3 },
        { "FL 11 1 q=1", 3 },
        { "BBG 11 q => q=1", 4 },
    };

    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const kvrpcpb_ExecDetailsV2 *details;

        script_lines(script, steps[i].lines);
        details = batch_details(script, steps[i].number);
        assert_true(kvrpcpb_TimeDetail_total_rpc_wall_time_ns(
                        kvrpcpb_ExecDetailsV2_time_detail(details)) > 0);
        assert_true(kvrpcpb_TimeDetailV2_total_rpc_wall_time_ns(
                        kvrpcpb_ExecDetailsV2_time_detail_v2(details)) > 0);
    }
    /* Sizes are those of encoded keys, 9 bytes here, with their values. */
    script_lines(script, "PW 20 a=1 b=22\nC 20 21 a b => 21\n"
                         "PW 22 !a\nC 22 23 a => 23\nG a 30 => 1");
    batch_expect_scanned(script, 6, 1, 2, 10);
    script_lines(script, "G none 30 => none");
    batch_expect_scanned(script, 6, 0, 0, 0);
    script_lines(script, "BG 30 b none a => b=22 a=1");
    batch_expect_scanned(script, 4, 2, 3, 21);
}

static const struct script_case batch_cases[] = {
    { "BC01", "answers come in any order and grouping, each once",
      .run = batch_answers_in_any_order,
      .params = { .shuffles = true, .seed = 5 } },
    { "BC02", "a request for another cluster ends the stream",
      .run = batch_ends_by_other_cluster },
    { "BC03", "an empty request waits alone",
      .run = batch_delays_empty_alone },
    { "BC04", "health once a second, and when it is asked for",
      .run = batch_feeds_back },
    { "BC05", "who waits holds nobody up",
      "PL 5 5 x\n@1 PL 6 6 x : wait=0 => wait\n"
      "PW 7 y=v\nC 7 8 y => 8\nG y 9 => v\n@1 => wait\n"
      "WAIT 1000\n@1 => locked x@5 pess pk=x ttl=3000 f=5" },
    { "BC06", "answers tell of time and versions",
      .run = batch_tells_details },
};

#endif
