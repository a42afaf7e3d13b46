/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: a request that the caller made whose answer is a feed of messages.
 * Every wait is a blocking call of its own, so close finds it; between two
 * calls the stream is only memory, which may outlive the client: the exec is
 * counted, and a feed is over when the client is closed.
 *
 * One thread at a time.
 */
#include <tikv/stream.h>

#include <string.h>

#include "api/request.h"
#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/value.h"
#include "region/errors.h"
#include "wire/arena.h"

struct tikv_stream {
    struct tk_exec *exec; /* counted */
    struct tk_feed *feed;
    enum tk_command command;
    tikv_cancel *cancel; /* of the call, or NULL */
    int64_t lease_ns;    /* for each message */
    tikv_error *error;   /* what ended it */
};

static tikv_error *
stream_new(tikv_client *client, const struct tk_own_request *request,
           const tikv_call *call, struct tk_feed *feed, tikv_stream **out)
{
    tikv_stream *stream = tk_calloc(sizeof(*stream));

    if (stream == NULL) {
        tk_feed_drop(feed);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    stream->exec = client->router.exec;
    tk_exec_ref(stream->exec);
    stream->feed = feed;
    stream->command = request->command;
    stream->cancel = call->cancel;
    stream->lease_ns =
        request->attempt_ms != 0
            ? request->attempt_ms * TK_MS
            : tk_config_ns(&client->config.rpc_attempt_timeout_ms);
    *out = stream;
    return NULL;
}

tikv_error *
tikv_stream_open(tikv_client *client, const char *method, tikv_slice key,
                 tikv_slice message, const tikv_request_options *options,
                 tikv_stream **out)
{
    struct tk_own_request request = { .key = key, .message = message };
    struct tk_feed *feed = NULL;
    tikv_error *error;
    struct tk_op op;
    tikv_call call;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = tk_own_request_enter(client, method, true, options, &request,
                                 &call, &op);
    if (error != NULL) {
        return error;
    }
    error =
        tk_op_end(&op, tk_own_request_deliver(&request, &op, NULL, &feed));
    if (error == NULL) {
        error = stream_new(client, &request, &call, feed, out);
    }
    tk_door_leave(client, &op);
    return error;
}

/* ---- reading ---- */

static tikv_error *
hand_out(struct tk_feed_message *message, tikv_value **out)
{
    if (message->data.len >= TK_VALUE_ALIAS_MIN) {
        *out = tk_value_new(message->data, message->frame);
    } else {
        *out = tk_value_new(
            message->data.len == 0 ? tk_slice("", 0) : message->data, NULL);
        tk_frame_unref(message->frame, 1);
    }
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

/* A region that is elsewhere by now. That of the first message was seen to
 * when the stream was opened. */
static tikv_error *
region_error(const tikv_stream *stream, tikv_slice message)
{
    struct tk_region_error fault;
    tikv_error *error = NULL;
    struct tk_arena *arena;
    struct tk_peek peek;

    tk_peek(stream->command, message, &peek);
    if (peek.region_error.data == NULL) {
        return NULL;
    }
    arena = tk_arena_new();
    if (arena != NULL) {
        tk_region_error(peek.region_error, arena, &fault);
        error = tk_error(TIKV_ERR_REGION, "%s: in the middle: %s%s%s",
                         tk_command_row(stream->command)->name, fault.name,
                         fault.message[0] == '\0' ? "" : ": ",
                         fault.message);
    }
    tk_arena_unref(arena);
    return error == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : error;
}

/* Inside of the client. */
static tikv_error *
next(tikv_stream *stream, int64_t timeout_ms, tikv_value **out)
{
    const tikv_call call = { .struct_size = sizeof(call),
                             .cancel = stream->cancel };
    struct tk_feed_message message;
    tikv_error *error;
    struct tk_op op;

    if (!tk_op_init(&op, stream->exec, &call, TK_NEVER)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    op.deadline = timeout_ms == TIKV_FOREVER ||
                          timeout_ms > TK_NEVER / TK_MS
                      ? TK_NEVER
                      : tk_after(op.started, timeout_ms * TK_MS);
    error = tk_feed_next(stream->feed, &op, stream->lease_ns, &message);
    tk_op_fini(&op);
    if (error != NULL || message.is_end) {
        return error;
    }
    error = region_error(stream, message.data);
    if (error != NULL) {
        tk_frame_unref(message.frame, 1);
        return error;
    }
    return hand_out(&message, out);
}

/* Kept, since it comes again; the store need not go on. */
static tikv_error *
end(tikv_stream *stream, tikv_error *error)
{
    tikv_code code = tikv_error_code(error);

    if (error != NULL && code != TIKV_ERR_TIMEOUT) {
        stream->error = tk_error_copy(error);
        tk_feed_cancel(stream->feed);
    }
    return error;
}

tikv_error *
tikv_stream_next(tikv_stream *stream, int64_t timeout_ms, tikv_value **out)
{
    tikv_error *error;

    if (out != NULL) {
        *out = NULL;
    }
    if (stream == NULL || out == NULL || timeout_ms < TIKV_FOREVER) {
        return tk_error(TIKV_ERR_ARGUMENT, "stream, out or timeout_ms");
    }
    error = tk_exec_enter(stream->exec);
    if (error != NULL) {
        return error;
    }
    error = stream->error != NULL ? tk_error_copy(stream->error)
                                  : end(stream, next(stream, timeout_ms, out));
    tk_exec_leave(stream->exec);
    return error;
}

void
tikv_stream_free(tikv_stream *stream)
{
    void *before;

    if (stream == NULL) {
        return;
    }
    if (tk_exec_visit(stream->exec, &before)) {
        tk_feed_cancel(stream->feed);
        tk_exec_depart(stream->exec, before);
    }
    tk_feed_unref(stream->feed);
    tikv_error_free(stream->error);
    tk_exec_unref(stream->exec);
    tk_free(stream);
}
