/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams that answer message by message, in order. A handler may queue more
 * and may ask for silence. A request may be answered by several messages: each
 * is planned by the fault rules, and held, like a request of its own, and
 * comes when the one before it is out.
 *
 * All of it is guarded by the cluster's lock.
 */
#include "cluster/stream.h"

static void
queue_in_order(struct tk_cluster_stream *stream,
               struct tk_cl_message *message)
{
    if (stream->request.method->kind == TK_CL_KIND_UP) {
        tk_cl_message_free(stream, stream->summary);
        stream->summary = message;
    } else {
        tk_cl_stream_queue(stream, message);
    }
}

/* After a region error a store has no more to say in a stream down. */
static void
conclude_if_last(struct tk_cluster_stream *stream,
                 const struct tk_cl_request *request,
                 const struct tk_cl_plan *plan)
{
    if (request->is_last) {
        tk_cl_stream_conclude(stream, request->end_status, request->text);
    } else if (plan->has_error && request->method->kind == TK_KIND_DOWN) {
        tk_cl_stream_conclude(stream, TK_GRPC_OK, "");
    }
}

/* What a stream down has said before it was lost was said. */
static void
lose(struct tk_cluster_stream *stream, int status, const char *text)
{
    if (stream->request.method->kind == TK_KIND_DOWN) {
        tk_cl_stream_conclude(stream, status, text);
    } else {
        tk_cl_stream_over(stream, status, text);
    }
}

static void
say_delayed(struct tk_cluster_stream *stream, struct tk_cl_delayed *delayed)
{
    struct tk_cl_message *message;

    if (delayed->plan.break_stream || delayed->status != TK_GRPC_OK) {
        lose(stream, delayed->status, delayed->request.text);
        return;
    }
    if (delayed->plan.silent || delayed->request.is_quiet) {
        return;
    }
    message = tk_cl_message_new(stream);
    if (message != NULL) {
        tk_buf_append_slice(&message->bytes, tk_buf_slice(&delayed->out));
    }
    if (message == NULL || message->bytes.failed) {
        tk_cl_message_free(stream, message);
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
        return;
    }
    queue_in_order(stream, message);
    conclude_if_last(stream, &delayed->request, &delayed->plan);
}

void
tk_cl_stream_last_words(struct tk_cl_request *request, int status,
                        const char *text)
{
    request->is_last = true;
    request->end_status = tk_cl_status(request, status, "%s", text);
}

/* A request behind a delayed one waits too: answers keep their order. Where
 * no gate is met the whole time counts from here. */
static bool
delay_in_order(struct tk_cluster_stream *stream,
               const struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    bool is_gated = plan->before.gate != NULL || plan->before.rule != 0;
    int64_t due = tk_now(stream->cluster->rt);
    struct tk_cl_delayed *delayed;

    if (stream->delayed == NULL && !tk_cl_holds(&plan->before) &&
        !tk_cl_holds(&plan->after)) {
        return false;
    }
    if (!is_gated && plan->after.gate == NULL) {
        due = tk_after(due, plan->before.ns + plan->after.ns);
        plan->before.ns = 0;
        plan->after.ns = 0;
    }
    delayed = tk_cl_delayed_new(request, plan);
    if (delayed == NULL) {
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
        return true;
    }
    if (is_gated) {
        due = tk_cl_delayed_begin(delayed, TK_GRPC_OK);
    }
    tk_cl_stream_delay(stream, delayed, due);
    return true;
}

static void
take_one(struct tk_cluster_stream *stream, tikv_slice bytes)
{
    struct tk_cl_request request = stream->request;
    struct tk_cl_message *message = tk_cl_message_new(stream);
    struct tk_cl_plan plan;
    int status;

    if (message == NULL) {
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
        return;
    }
    request.body = bytes;
    request.out = &message->bytes;
    request.arrived = tk_now(stream->cluster->rt);
    tk_cl_plan(&request, &plan);
    if (delay_in_order(stream, &request, &plan)) {
        tk_cl_message_free(stream, message);
        return;
    }
    status = tk_cl_run_planned(&request, &plan);
    if (status != TK_GRPC_OK || plan.silent || request.is_quiet) {
        tk_cl_message_free(stream, message);
    } else {
        queue_in_order(stream, message);
    }
    if (status != TK_GRPC_OK) {
        lose(stream, status, request.text);
    } else {
        conclude_if_last(stream, &request, &plan);
    }
}

/* ---- requests with several answers ---- */

void
tk_cl_stream_go_on(const struct tk_cl_request *request, tikv_slice from)
{
    struct tk_cluster_stream *stream = request->stream;

    if (request->body.data != stream->asked.data) {
        tk_buf_clear(&stream->asked);
        tk_buf_append_slice(&stream->asked, request->body);
    }
    tk_buf_clear(&stream->from);
    tk_buf_append_slice(&stream->from, from);
    stream->has_more = true;
    if (stream->asked.failed || stream->from.failed) {
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
    }
}

tikv_slice
tk_cl_stream_from(const struct tk_cl_request *request)
{
    return tk_buf_slice(&request->stream->from);
}

bool
tk_cl_stream_has_more(const struct tk_cl_request *request)
{
    return request->stream->has_more;
}

/* One that is delayed goes on when it was answered. */
static void
go_on(struct tk_cluster_stream *stream)
{
    while (stream->has_more && !stream->is_over && stream->delayed == NULL) {
        stream->has_more = false;
        take_one(stream, tk_buf_slice(&stream->asked));
    }
}

void
tk_cl_order_answer(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed)
{
    say_delayed(stream, delayed);
    go_on(stream);
}

void
tk_cl_order_message(struct tk_cluster_stream *stream, tikv_slice bytes)
{
    tk_cl_count(stream->cluster, stream->request.method);
    take_one(stream, bytes);
    go_on(stream);
}
