/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams over C core. Started in this order: initial metadata both ways (a
 * stream down: with its one message and the end of its side), status, first
 * receive; then messages are sent, one at a time. The end of a send is told by
 * the sender where it comes at once, by the poller else; all else happens on
 * the poller. A received message re-arms the receive before it is delivered,
 * in a stream down the owner does when it wants the next; an empty one ends
 * receiving. The end is told when the status came and no operation is
 * outstanding: C core keeps a status OK back until all messages before it were
 * received.
 */
#include <string.h>

#include <grpc/byte_buffer.h>

#include "rpc/grpc_inside.h"

static void
end(struct tk_exchange *exchange, struct tk_wakes *wakes)
{
    struct tk_stream *stream = exchange->stream;
    struct tk_status status;
    char details[256];

    tk_exchange_status(exchange, details, sizeof(details), &status);
    stream->closed(stream, &status, wakes);
    tk_exchange_end(exchange);
}

static void
on_begun(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    (void)is_ok;
    if (tk_exchange_op_done(exchange, false)) {
        end(exchange, wakes);
    }
}

static void
on_fed(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    grpc_byte_buffer_destroy(exchange->outgoing);
    exchange->outgoing = NULL;
    on_begun(exchange, is_ok, wakes);
}

static void
on_ended(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    (void)is_ok;
    if (tk_exchange_op_done(exchange, true)) {
        end(exchange, wakes);
    }
}

static bool
receive(struct tk_exchange *exchange, grpc_call *call)
{
    grpc_op op;

    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_RECV_MESSAGE;
    op.data.recv_message.recv_message = &exchange->incoming;
    return tk_grpc_start(call, &op, 1, &exchange->received);
}

/* The receive that has just ended, while it is still counted: whether the
 * next is under way. */
static bool
receive_on(struct tk_exchange *exchange)
{
    if (!exchange->is_paced) {
        return receive(exchange, exchange->call);
    }
    tk_mutex_lock(&exchange->lock);
    exchange->is_asked = false;
    tk_mutex_unlock(&exchange->lock);
    return false;
}

static void
on_received(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    struct tk_stream *stream = exchange->stream;
    grpc_byte_buffer *buffer = exchange->incoming;
    struct tk_frame *frame;
    tikv_slice data;
    bool is_over = true;

    exchange->incoming = NULL;
    if (is_ok && buffer != NULL) {
        is_over = !receive_on(exchange);
        frame = tk_grpc_frame(buffer, &data);
        if (frame != NULL) {
            stream->received(stream, data, frame, wakes);
        } else {
            tk_exchange_stop(exchange, stream, NULL,
                             GRPC_STATUS_RESOURCE_EXHAUSTED);
        }
    } else if (buffer != NULL) {
        grpc_byte_buffer_destroy(buffer);
    }
    if (is_over && tk_exchange_op_done(exchange, false)) {
        end(exchange, wakes);
    }
}

/* On any thread. */
static void
tell_sent(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    struct tk_stream *stream = exchange->stream;

    grpc_byte_buffer_destroy(exchange->outgoing);
    exchange->outgoing = NULL;
    tk_mutex_lock(&exchange->lock);
    exchange->is_sending = false;
    tk_mutex_unlock(&exchange->lock);
    if (is_ok) {
        stream->sent(stream, wakes);
    }
}

static void
on_sent(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    tell_sent(exchange, is_ok, wakes);
    on_begun(exchange, is_ok, wakes);
}

/* The sender has come to know the end of an operation. Its own it tells by
 * itself; the end of the exchange, and what it found of others, are for the
 * poller. */
static void
settle(struct tk_exchange *exchange, struct tk_tag *tag, bool is_ok)
{
    struct tk_wakes wakes;

    if (tag != &exchange->sent) {
        tk_grpc_post(tag->exchange->call, tag, is_ok);
        return;
    }
    tk_wakes_init(&wakes, exchange->grpc->rt);
    tell_sent(exchange, is_ok, &wakes);
    tk_wakes_flush(&wakes);
    if (!tk_exchange_op_leaves(exchange)) {
        tk_grpc_post(exchange->call, &exchange->begun, true);
    }
}

/* Operations that C core refuses count as done; it has no reason to. */
static void
start(struct tk_exchange *exchange, grpc_call *call,
      const char *const *metadata)
{
    grpc_metadata array[TK_METADATA_MAX];
    size_t count = tk_metadata_fill(array, metadata);
    size_t ops_count = 2;
    grpc_op ops[4];
    grpc_op status;

    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[0].data.send_initial_metadata.count = count;
    ops[0].data.send_initial_metadata.metadata = count != 0 ? array : NULL;
    ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[1].data.recv_initial_metadata.recv_initial_metadata =
        &exchange->initial;
    if (exchange->is_paced) {
        ops[2].op = GRPC_OP_SEND_MESSAGE;
        ops[2].data.send_message.send_message = exchange->outgoing;
        ops[3].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        ops_count = 4;
    }
    memset(&status, 0, sizeof(status));
    status.op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    status.data.recv_status_on_client.trailing_metadata = &exchange->trailing;
    status.data.recv_status_on_client.status = &exchange->status;
    status.data.recv_status_on_client.status_details = &exchange->details;
    if (!tk_grpc_start(call, ops, ops_count, &exchange->begun)) {
        tk_exchange_op_done(exchange, false);
    }
    /* The status first: without it the exchange would never end. */
    tk_grpc_start(call, &status, 1, &exchange->ended);
    if (!receive(exchange, call)) {
        tk_exchange_op_done(exchange, false);
    }
    tk_metadata_drop(array, count);
}

static struct tk_exchange *
begin(struct tk_transport *transport, struct tk_link *link,
      struct tk_stream *stream)
{
    struct tk_grpc *grpc = (struct tk_grpc *)(void *)transport;
    struct tk_exchange *exchange = tk_exchange_begin(grpc, link, stream);

    if (exchange != NULL) {
        stream->inside = exchange;
        exchange->stream = stream;
        exchange->begun.fn = on_begun;
        exchange->ended.fn = on_ended;
        exchange->received.fn = on_received;
        exchange->sent.fn = on_sent;
    }
    return exchange;
}

static void
run(struct tk_exchange *exchange, const char *path,
    const char *const *metadata)
{
    grpc_status_code stop;
    grpc_call *call;

    call = tk_exchange_call(exchange, path, gpr_inf_future(GPR_CLOCK_MONOTONIC),
                            3, &stop);
    start(exchange, call, metadata);
    if (stop != GRPC_STATUS_OK) {
        grpc_call_cancel_with_status(call, stop, "ended by the client", NULL);
    }
    grpc_call_unref(call);
}

bool
tk_grpc_open(struct tk_transport *transport, struct tk_link *link,
             const char *path, const char *const *metadata,
             struct tk_stream *stream)
{
    struct tk_exchange *exchange = begin(transport, link, stream);

    if (exchange == NULL) {
        return false;
    }
    run(exchange, path, metadata);
    return true;
}

bool
tk_grpc_feed(struct tk_transport *transport, struct tk_link *link,
             const char *path, const char *const *metadata, tikv_slice bytes,
             struct tk_stream *stream)
{
    struct tk_exchange *exchange = begin(transport, link, stream);
    grpc_slice slice;

    if (exchange == NULL) {
        return false;
    }
    slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    exchange->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    exchange->begun.fn = on_fed;
    exchange->is_paced = true;
    exchange->is_asked = true;
    run(exchange, path, metadata);
    return true;
}

void
tk_grpc_next(struct tk_transport *transport, struct tk_stream *stream)
{
    struct tk_exchange *exchange = (struct tk_exchange *)stream->inside;
    grpc_call *call = NULL;

    (void)transport;
    tk_mutex_lock(&exchange->lock);
    if (exchange->owner == stream && exchange->call != NULL &&
        !exchange->has_status && !exchange->is_asked) {
        call = exchange->call;
        exchange->is_asked = true;
        exchange->ops_out++;
    }
    tk_mutex_unlock(&exchange->lock);
    if (call != NULL) {
        /* Refused only for misuse, which the flag above keeps out. */
        (void)receive(exchange, call);
    }
}

bool
tk_grpc_send(struct tk_transport *transport, struct tk_stream *stream,
             tikv_slice bytes)
{
    struct tk_exchange *exchange = (struct tk_exchange *)stream->inside;
    grpc_completion_queue *cq = NULL;
    grpc_call *call = NULL;
    struct tk_tag *tag;
    grpc_slice slice;
    grpc_op op;
    bool is_ok;

    (void)transport;
    tk_mutex_lock(&exchange->lock);
    if (exchange->owner == stream && exchange->call != NULL &&
        !exchange->has_status && exchange->stop == GRPC_STATUS_OK &&
        !exchange->is_sending) {
        call = exchange->call;
        cq = exchange->link->poller->cq;
        exchange->is_sending = true;
        exchange->ops_out++;
    }
    tk_mutex_unlock(&exchange->lock);
    if (call == NULL) {
        return false;
    }
    slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    exchange->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    memset(&op, 0, sizeof(op));
    op.op = GRPC_OP_SEND_MESSAGE;
    op.data.send_message.send_message = exchange->outgoing;
    /* Refused only for misuse, which the flag above keeps out. */
    tag = tk_grpc_start_here(call, &op, 1, &exchange->sent, cq, &is_ok);
    if (tag != NULL) {
        settle(exchange, tag, is_ok);
    }
    return true;
}

void
tk_grpc_cancel(struct tk_transport *transport, struct tk_stream *stream)
{
    struct tk_exchange *exchange = (struct tk_exchange *)stream->inside;

    (void)transport;
    tk_exchange_stop(exchange, stream, NULL, GRPC_STATUS_CANCELLED);
}
