/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that are answered by a stream, through the public functions: what
 * comes and in which order, what is retried and what is not, who waits how
 * long, and what is left when it is over. timeout: 120
 */
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture/kv.h"

#include "coprocessor.upb.h"

/* Of coprocessor requests that the cluster understands: pairs of ranges. */
enum { PAIRS = 0x6d63 };

struct rows {
    struct kv kv;
    upb_Arena *arena;
    size_t count;
    size_t value_size;
    tikv_slice message; /* all rows, page by page */
};

static upb_StringView
view(const char *text)
{
    return upb_StringView_FromString(text);
}

static tikv_slice
encode(upb_Arena *arena, uint64_t ts, uint64_t page, const char *end)
{
    coprocessor_Request *request = coprocessor_Request_new(arena);
    coprocessor_KeyRange *range =
        coprocessor_Request_add_ranges(request, arena);
    tikv_slice out;

    coprocessor_Request_set_tp(request, PAIRS);
    coprocessor_Request_set_start_ts(request, ts);
    coprocessor_Request_set_paging_size(request, page);
    coprocessor_KeyRange_set_start(range, view("k"));
    coprocessor_KeyRange_set_end(range, view(end));
    out.data = (const uint8_t *)coprocessor_Request_serialize(request, arena,
                                                              &out.len);
    return out;
}

static void
rows_open(struct rows *rows, size_t count, size_t value_size, uint64_t page)
{
    uint8_t *value;
    char room[32];
    tikv_txn *txn;
    uint64_t ts;
    size_t i;

    rows->arena = upb_Arena_New();
    rows->count = count;
    rows->value_size = value_size;
    value = calloc(1, value_size);
    assert_non_null(value);
    kv_open_plain(&rows->kv);
    kv_ok(tikv_txn_begin(rows->kv.client, NULL, &txn));
    for (i = 0; i < count; i++) {
        kv_ok(tikv_txn_put(txn, kv_number(room, sizeof(room), "k", i),
                           kv_bytes(value, value_size)));
    }
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    tikv_txn_free(txn);
    free(value);
    kv_ok(tikv_timestamp(rows->kv.client, NULL, &ts));
    rows->message = encode(rows->arena, ts, page, "l");
}

static void
rows_close(struct rows *rows)
{
    kv_close(&rows->kv);
    upb_Arena_Free(rows->arena);
}

static tikv_error *
try_open(struct rows *rows, const tikv_request_options *options,
         tikv_stream **out)
{
    return tikv_stream_open(rows->kv.client, "CoprocessorStream", kv_text("k"),
                            rows->message, options, out);
}

static tikv_stream *
open_with(struct rows *rows, const tikv_request_options *options)
{
    tikv_stream *stream;

    kv_ok(try_open(rows, options, &stream));
    assert_non_null(stream);
    return stream;
}

static uint32_t
take_u32(const char **at)
{
    const uint8_t *bytes = (const uint8_t *)*at;

    *at += 4;
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
           (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The rows of a message are the next ones; freed. How many. */
static size_t
check_rows(struct rows *rows, tikv_value *message, size_t from)
{
    upb_Arena *arena = upb_Arena_New();
    tikv_slice bytes = tikv_value_slice(message);
    coprocessor_Response *response = coprocessor_Response_parse(
        (const char *)bytes.data, bytes.len, arena);
    upb_StringView data;
    const char *at;
    size_t count = 0;

    assert_non_null(response);
    assert_false(coprocessor_Response_has_region_error(response));
    data = coprocessor_Response_data(response);
    for (at = data.data; at < data.data + data.size; count++) {
        char room[32];
        tikv_slice key = kv_number(room, sizeof(room), "k", from + count);
        uint32_t len = take_u32(&at);

        assert_true(kv_equal(kv_bytes(at, len), key));
        at += len;
        len = take_u32(&at);
        assert_int_equal(len, rows->value_size);
        at += len;
    }
    upb_Arena_Free(arena);
    tikv_value_free(message);
    return count;
}

/* The rest of a stream that ends well. How many messages. */
static size_t
read_all(struct rows *rows, tikv_stream *stream)
{
    size_t messages = 0;
    size_t seen = 0;
    tikv_value *message;

    for (;;) {
        kv_ok(tikv_stream_next(stream, TIKV_FOREVER, &message));
        if (message == NULL) {
            break;
        }
        seen += check_rows(rows, message, seen);
        messages++;
    }
    assert_int_equal(seen, rows->count);
    kv_ok(tikv_stream_next(stream, 0, &message));
    assert_null(message);
    return messages;
}

static void
read_first(struct rows *rows, tikv_stream *stream, size_t wanted)
{
    tikv_value *message;

    kv_ok(tikv_stream_next(stream, TIKV_FOREVER, &message));
    assert_non_null(message);
    assert_int_equal(check_rows(rows, message, 0), wanted);
}

static void
expect_end_by(tikv_stream *stream, tikv_code code)
{
    tikv_value *message;

    kv_fails(tikv_stream_next(stream, TIKV_FOREVER, &message), code);
    assert_null(message);
    /* And so it stays. */
    kv_fails(tikv_stream_next(stream, 0, &message), code);
}

/* The thread that ended a call lets go of what it held after it. */
static void
expect_nothing_held(tikv_client *client)
{
    int64_t until = tikv_now_ns() + INT64_C(10000000000);

    while (tikv_client_bytes_in_use(client) != 0) {
        assert_true(tikv_now_ns() < until);
        sched_yield();
    }
}

/* ---- what comes ---- */

static void
stream__gives_all_messages_in_order(void **state)
{
    struct rows rows;
    tikv_stream *stream;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    stream = open_with(&rows, NULL);
    assert_int_equal(read_all(&rows, stream), 4);
    tikv_stream_free(stream);
    assert_int_equal(
        tikv_cluster_calls(rows.kv.cluster, "tikv.CoprocessorStream"), 1);
    expect_nothing_held(rows.kv.client);
    rows_close(&rows);
}

/* As many rows as TiKV puts into one; small ones, and none at all. */
static void
stream__has_messages_of_all_sizes(void **state)
{
    struct rows rows;
    tikv_stream *stream;

    (void)state;
    rows_open(&rows, 300, 1, 0);
    stream = open_with(&rows, NULL);
    assert_int_equal(read_all(&rows, stream), 3);
    tikv_stream_free(stream);
    rows.message = encode(rows.arena, UINT64_C(1) << 40, 0, "k0");
    rows.count = 0;
    stream = open_with(&rows, NULL);
    assert_int_equal(read_all(&rows, stream), 1);
    tikv_stream_free(stream);
    rows_close(&rows);
}

/* ---- trouble ---- */

static void
stream__is_opened_wherever_its_key_lives(void **state)
{
    static const char *const faults[] = {
        "region_error(not_leader,leader=none)",
        "region_error(epoch_not_match,regions=none)",
        "region_error(server_is_busy)",
        "region_error(region_not_found)",
        "break_stream",
        "status(UNAVAILABLE)",
        "drop_request",
        "reset_connection",
    };
    struct rows rows;
    size_t i;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
        tikv_stream *stream;
        char rule[128];
        uint64_t id;

        options.attempt_timeout_ms = 1000;
        snprintf(rule, sizeof(rule),
                 "on=tikv.CoprocessorStream when=first(1) do=%s", faults[i]);
        id = kv_fault(&rows.kv, rule);
        stream = open_with(&rows, &options);
        assert_int_equal(read_all(&rows, stream), 4);
        tikv_stream_free(stream);
        assert_int_equal(tikv_cluster_fault_hits(rows.kv.cluster, id), 1);
        tikv_cluster_fault_remove(rows.kv.cluster, id);
    }
    expect_nothing_held(rows.kv.client);
    rows_close(&rows);
}

/* In its middle: an error, and nothing twice. Messages before it that nobody
 * had asked for may be lost with it. */
static void
break_by(const char *fault, tikv_code code)
{
    tikv_error *error = NULL;
    tikv_stream *stream;
    struct rows rows;
    size_t seen = 0;
    char rule[128];

    rows_open(&rows, 10, 5, 3);
    snprintf(rule, sizeof(rule),
             "on=tikv.CoprocessorStream when=nth(3) do=%s", fault);
    (void)kv_fault(&rows.kv, rule);
    stream = open_with(&rows, NULL);
    while (error == NULL) {
        tikv_value *message;

        error = tikv_stream_next(stream, TIKV_FOREVER, &message);
        assert_true((error == NULL) == (message != NULL));
        seen += message == NULL ? 0 : check_rows(&rows, message, seen);
    }
    assert_in_range(seen, 3, 6);
    kv_fails(error, code);
    expect_end_by(stream, code);
    tikv_stream_free(stream);
    assert_int_equal(
        tikv_cluster_calls(rows.kv.cluster, "tikv.CoprocessorStream"), 1);
    expect_nothing_held(rows.kv.client);
    rows_close(&rows);
}

static void
stream__lost_in_its_middle_is_an_error(void **state)
{
    (void)state;
    break_by("break_stream", TIKV_ERR_UNAVAILABLE);
    break_by("status(INTERNAL)", TIKV_ERR_UNAVAILABLE);
}

static void
stream__whose_region_moves_away_is_an_error(void **state)
{
    (void)state;
    break_by("region_error(epoch_not_match,regions=none)", TIKV_ERR_REGION);
}

/* ---- time ---- */

static void
stream__of_a_silent_store_is_ended(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_stream *stream;
    struct rows rows;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    (void)kv_fault(&rows.kv,
                   "on=tikv.CoprocessorStream when=nth(2) do=drop_request");
    options.attempt_timeout_ms = 300;
    stream = open_with(&rows, &options);
    read_first(&rows, stream, 3);
    expect_end_by(stream, TIKV_ERR_UNAVAILABLE);
    expect_nothing_held(rows.kv.client);
    tikv_stream_free(stream);
    rows_close(&rows);
}

static void
stream__can_be_asked_again_when_time_was_over(void **state)
{
    tikv_value *message;
    tikv_stream *stream;
    struct rows rows;

    (void)state;
    rows_open(&rows, 6, 5, 3);
    (void)kv_fault(&rows.kv,
                   "on=tikv.CoprocessorStream when=nth(2) do=delay(500)");
    stream = open_with(&rows, NULL);
    read_first(&rows, stream, 3);
    kv_fails(tikv_stream_next(stream, 0, &message), TIKV_ERR_TIMEOUT);
    kv_fails(tikv_stream_next(stream, 20, &message), TIKV_ERR_TIMEOUT);
    assert_null(message);
    kv_ok(tikv_stream_next(stream, TIKV_FOREVER, &message));
    assert_int_equal(check_rows(&rows, message, 3), 3);
    kv_ok(tikv_stream_next(stream, TIKV_FOREVER, &message));
    assert_null(message);
    tikv_stream_free(stream);
    rows_close(&rows);
}

static void
stream__opening_ends_with_the_time_of_its_call(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_stream *stream;
    struct rows rows;

    (void)state;
    rows_open(&rows, 3, 5, 3);
    (void)kv_fault(&rows.kv, "on=tikv.CoprocessorStream do=drop_request");
    options.call.timeout_ms = 200;
    kv_fails(try_open(&rows, &options, &stream), TIKV_ERR_TIMEOUT);
    assert_null(stream);
    expect_nothing_held(rows.kv.client);
    rows_close(&rows);
}

static void
stream__is_ended_by_its_cancel(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_stream *stream;
    tikv_cancel *cancel;
    struct rows rows;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    (void)kv_fault(&rows.kv,
                   "on=tikv.CoprocessorStream when=nth(2) do=drop_request");
    kv_ok(tikv_cancel_new(&cancel));
    options.call.cancel = cancel;
    stream = open_with(&rows, &options);
    read_first(&rows, stream, 3);
    tikv_cancel_raise(cancel);
    expect_end_by(stream, TIKV_ERR_CANCELLED);
    expect_nothing_held(rows.kv.client);
    tikv_stream_free(stream);
    kv_fails(try_open(&rows, &options, &stream), TIKV_ERR_CANCELLED);
    tikv_cancel_free(cancel);
    rows_close(&rows);
}

/* ---- memory ---- */

/* Two messages at the most are held, one at hand and one with the reader,
 * however many the store has. */
static void
stream__takes_no_memory_for_a_slow_reader(void **state)
{
    enum { ROWS = 200, VALUE = 10000, PAGE = 5 };
    const uint64_t most = 16384 + 2 * PAGE * (VALUE + 100);
    struct rows rows;
    tikv_stream *stream;
    size_t seen = 0;

    (void)state;
    rows_open(&rows, ROWS, VALUE, PAGE);
    expect_nothing_held(rows.kv.client);
    stream = open_with(&rows, NULL);
    while (seen < ROWS) {
        int64_t until = tikv_now_ns() + INT64_C(2000000);
        tikv_value *message;

        kv_ok(tikv_stream_next(stream, TIKV_FOREVER, &message));
        while (tikv_now_ns() < until) {
            assert_true(tikv_client_bytes_in_use(rows.kv.client) < most);
            sched_yield();
        }
        seen += check_rows(&rows, message, seen);
    }
    tikv_stream_free(stream);
    expect_nothing_held(rows.kv.client);
    rows_close(&rows);
}

static void
stream__is_refused_above_the_ceiling(void **state)
{
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_stream *streams[64];
    tikv_stream *refused;
    struct rows rows;
    size_t count = 0;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    kv_ok(tikv_client_set(rows.kv.client, "memory.max_bytes", "1048576"));
    while (tikv_client_bytes_in_use(rows.kv.client) < 1048576) {
        assert_true(count < 64);
        streams[count++] = open_with(&rows, NULL);
    }
    options.call.timeout_ms = 100;
    kv_fails(try_open(&rows, &options, &refused), TIKV_ERR_TIMEOUT);
    while (count > 0) {
        tikv_stream_free(streams[--count]);
    }
    expect_nothing_held(rows.kv.client);
    refused = open_with(&rows, NULL);
    assert_int_equal(read_all(&rows, refused), 4);
    tikv_stream_free(refused);
    rows_close(&rows);
}

/* ---- ends ---- */

static void
stream__is_ended_when_its_client_is_closed(void **state)
{
    enum { STREAMS = 3 };
    tikv_stream *streams[STREAMS];
    tikv_client *client;
    struct rows rows;
    size_t i;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    (void)kv_fault(&rows.kv,
                   "on=tikv.CoprocessorStream when=nth(8) do=drop_request");
    client = kv_client(&rows.kv, NULL);
    for (i = 0; i < STREAMS; i++) {
        kv_ok(tikv_stream_open(client, "CoprocessorStream", kv_text("k"),
                               rows.message, NULL, &streams[i]));
        read_first(&rows, streams[i], 3);
    }
    tikv_client_close(client);
    for (i = 0; i < STREAMS; i++) {
        expect_end_by(streams[i], TIKV_ERR_CLOSED);
        tikv_stream_free(streams[i]);
    }
    rows_close(&rows);
}

/* 0 when everything is refused at once. */
static int
in_child(struct rows *rows, tikv_stream *stream)
{
    tikv_stream *other = NULL;
    tikv_value *message;

    if (tikv_error_code(tikv_stream_next(stream, TIKV_FOREVER, &message)) !=
        TIKV_ERR_FORKED) {
        return 1;
    }
    if (tikv_error_code(try_open(rows, NULL, &other)) != TIKV_ERR_FORKED) {
        return 2;
    }
    tikv_stream_free(stream);
    return 0;
}

static void
stream__refuses_a_forked_child(void **state)
{
    tikv_stream *stream;
    struct rows rows;
    int status = 0;
    pid_t child;

    (void)state;
    rows_open(&rows, 10, 5, 3);
    stream = open_with(&rows, NULL);
    child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        alarm(30);
        _exit(in_child(&rows, stream));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(read_all(&rows, stream), 4);
    tikv_stream_free(stream);
    rows_close(&rows);
}

static void
stream__refuses_what_is_none(void **state)
{
    tikv_stream *stream;
    tikv_value *message;
    struct rows rows;

    (void)state;
    rows_open(&rows, 1, 5, 3);
    kv_fails(tikv_stream_open(rows.kv.client, "Coprocessor", kv_text("k"),
                              rows.message, NULL, &stream),
             TIKV_ERR_UNSUPPORTED);
    kv_fails(tikv_stream_open(rows.kv.client, "BatchCommands", kv_text("k"),
                              rows.message, NULL, &stream),
             TIKV_ERR_UNSUPPORTED);
    kv_fails(tikv_stream_open(rows.kv.client, "Teleport", kv_text("k"),
                              rows.message, NULL, &stream),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_stream_open(NULL, "CoprocessorStream", kv_text("k"),
                              rows.message, NULL, &stream),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_stream_next(NULL, 0, &message), TIKV_ERR_ARGUMENT);
    tikv_stream_free(NULL);
    rows_close(&rows);
}

int
main(void)
{
    /* The fork first: once C core has been shut down and begun anew, it starts
     * a thread in the child, which ThreadSanitizer does not allow. */
    const struct CMUnitTest tests[] = {
        harness_test(stream__refuses_a_forked_child),
        harness_test(stream__gives_all_messages_in_order),
        harness_test(stream__has_messages_of_all_sizes),
        harness_test(stream__is_opened_wherever_its_key_lives),
        harness_test(stream__lost_in_its_middle_is_an_error),
        harness_test(stream__whose_region_moves_away_is_an_error),
        harness_test(stream__of_a_silent_store_is_ended),
        harness_test(stream__can_be_asked_again_when_time_was_over),
        harness_test(stream__opening_ends_with_the_time_of_its_call),
        harness_test(stream__is_ended_by_its_cancel),
        harness_test(stream__takes_no_memory_for_a_slow_reader),
        harness_test(stream__is_refused_above_the_ceiling),
        harness_test(stream__is_ended_when_its_client_is_closed),
        harness_test(stream__refuses_what_is_none),
    };

    return harness_run(tests);
}
