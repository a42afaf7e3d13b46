/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors of a connection: submit, take back, streams of other rooms,
 * counters. A submit copies the request into the open message under the
 * pipe's lock and decides whether it goes out now (core-seams 4.2).
 * Threads: any. Lock: the pipe's.
 */
#include <string.h>

#include "rpc/inside.h"

static struct tk_pipe *
choose_pipe(struct tk_conn *conn)
{
    struct tk_pipe *first = tk_conn_first(conn);
    uint32_t count = conn->rpc->pipes_count;
    uint32_t turn;

    if (count == 1) {
        return first;
    }
    turn = atomic_fetch_add_explicit(&conn->turn, 1, memory_order_relaxed);
    return first + turn % count;
}

static enum tk_submit
append(struct tk_pipe *pipe, struct tk_request *request)
{
    struct tk_slot *slot;

    if (pipe->closed) {
        return TK_SUBMIT_CLOSED;
    }
    slot = tk_slots_take(&pipe->slots, request);
    if (slot == NULL) {
        return TK_SUBMIT_BUSY;
    }
    if (!tk_pipe_append(pipe, slot, &request->parts)) {
        tk_slots_release(&pipe->slots, slot);
        return TK_SUBMIT_BUSY;
    }
    request->home = pipe->conn;
    request->id =
        (uint64_t)pipe->ordinal << 32 | tk_slots_id(&pipe->slots, slot);
    request->message = slot->message;
    pipe->stats.requests++;
    return TK_SUBMIT_OK;
}

static int64_t
now_of(struct tk_rpc *rpc, const struct tk_request *request)
{
    return request->now != 0 ? request->now : tk_now(rpc->rt);
}

/* Reasons to send what is open although the submitter would hold. The clock
 * is looked at only if something is on the wire. */
static bool
goes_anyway(struct tk_pipe *pipe, const struct tk_request *request)
{
    return atomic_load_explicit(&pipe->open_count, memory_order_relaxed) >=
               pipe->rpc->cap ||
           pipe->open.bytes.len >= TK_MESSAGE_BYTES ||
           (pipe->slots.wire.head != TK_SLOT_NONE &&
            tk_pipe_is_slow(pipe, now_of(pipe->rpc, request)));
}

/* The sweep must come some time, for deadlines. */
static void
want_sweep(struct tk_rpc *rpc)
{
    if (atomic_load_explicit(&rpc->due, memory_order_relaxed) == TK_NEVER) {
        tk_rpc_want(rpc, tk_after(tk_now(rpc->rt), TK_SWEEP_NS));
    }
}

/* The request is the first of a message that is held: when that must go.
 * Under the lock. */
static int64_t
hold_until(struct tk_pipe *pipe, const struct tk_request *request)
{
    if (tk_pipe_gathers(pipe)) {
        pipe->held_until = pipe->gather.until;
        return pipe->held_until;
    }
    pipe->has_held = true;
    pipe->held_until = tk_after(now_of(pipe->rpc, request), TK_HOLD_NS);
    return pipe->held_until;
}

/* Whether the open message goes out with the request that was appended just
 * now. Under the lock. */
static bool
is_due(struct tk_pipe *pipe, const struct tk_request *request, bool hold)
{
    struct tk_rpc *rpc = pipe->rpc;
    uint32_t count =
        atomic_load_explicit(&pipe->open_count, memory_order_relaxed);

    if (rpc->gathers) {
        tk_gather_add(
            &pipe->gather, &rpc->gather, count == 1,
            atomic_load_explicit(&pipe->conn->load, memory_order_relaxed),
            now_of(rpc, request));
        if (tk_pipe_gathers(pipe)) {
            return count >= pipe->gather.target || count >= rpc->cap ||
                   pipe->open.bytes.len >= TK_MESSAGE_BYTES;
        }
    }
    return !hold || goes_anyway(pipe, request);
}

enum tk_submit
tk_conn_submit_alone(struct tk_conn *conn, struct tk_request *request,
                     const char *const *metadata)
{
    enum tk_submit result =
        tk_lone_submit(choose_pipe(conn), request, metadata);

    want_sweep(conn->rpc);
    tk_point(conn->rpc->rt);
    return result;
}

/* What ends transactions, and what is none of the application's data. */
static bool
is_exempt(const struct tk_request *request)
{
    static const bool ends[TK_COMMANDS] = {
        [TK_CMD_KV_COMMIT] = true,
        [TK_CMD_KV_BATCH_ROLLBACK] = true,
        [TK_CMD_KV_PESSIMISTIC_ROLLBACK] = true,
        [TK_CMD_KV_CLEANUP] = true,
        [TK_CMD_KV_RESOLVE_LOCK] = true,
        [TK_CMD_KV_CHECK_TXN_STATUS] = true,
        [TK_CMD_KV_CHECK_SECONDARY_LOCKS] = true,
        [TK_CMD_KV_TXN_HEART_BEAT] = true,
    };

    return ends[request->parts.command] ||
           tk_command_row(request->parts.command)->retry == TK_RETRY_CONTROL;
}

/* OK, or why the request is too much. */
static enum tk_submit
weigh(const struct tk_rpc *rpc, const struct tk_request *request)
{
    const struct tk_parts *parts = &request->parts;

    if (rpc->request_max != 0 &&
        parts->region.len + parts->call.len + parts->body.len >
            rpc->request_max) {
        return TK_SUBMIT_TOO_LARGE;
    }
    if (tk_ledger_is_full(rpc->ledger, tk_config_int(rpc->memory_max)) &&
        !is_exempt(request)) {
        return TK_SUBMIT_FULL;
    }
    return TK_SUBMIT_OK;
}

enum tk_submit
tk_conn_submit(struct tk_conn *conn, struct tk_request *request, bool hold)
{
    struct tk_rpc *rpc = conn->rpc;
    struct tk_pipe *pipe;
    bool is_urgent = request->is_urgent;
    enum tk_submit result;
    int64_t until = TK_NEVER;

    result = weigh(rpc, request);
    if (result != TK_SUBMIT_OK) {
        return result;
    }
    if (tk_command_row(request->parts.command)->slot == 0) {
        return tk_conn_submit_alone(conn, request, NULL);
    }
    if (request->forward_to != NULL) {
        conn = tk_conn_route(conn, request->forward_to);
        if (conn == NULL) {
            return TK_SUBMIT_BUSY;
        }
    }
    if (!hold && !is_urgent) {
        hold = rpc->transport->ops->is_delivering(rpc->transport);
    }
    pipe = choose_pipe(conn);
    tk_mutex_lock(&pipe->lock);
    result = append(pipe, request);
    if (result != TK_SUBMIT_OK) {
        tk_mutex_unlock(&pipe->lock);
        return result;
    }
    if (is_due(pipe, request, hold) || is_urgent) {
        pipe->must_send = true;
    }
    if (!pipe->must_send &&
        atomic_load_explicit(&pipe->open_count, memory_order_relaxed) == 1) {
        until = hold_until(pipe, request);
    }
    if (pipe->must_send || pipe->slots.doomed.head != TK_SLOT_NONE) {
        tk_pipe_kick(pipe);
    } else {
        tk_mutex_unlock(&pipe->lock);
    }
    if (until != TK_NEVER) {
        tk_rpc_want(rpc, until);
    }
    want_sweep(rpc);
    tk_point(rpc->rt);
    return TK_SUBMIT_OK;
}

bool
tk_request_take_back(struct tk_request *request, bool *never_sent)
{
    struct tk_pipe *pipe;
    struct tk_slot *slot;

    *never_sent = true;
    if (request->home == NULL) {
        return false;
    }
    pipe = &request->home->pipes[request->id >> 32];
    tk_mutex_lock(&pipe->lock);
    slot = tk_slots_find(&pipe->slots, request->id & UINT32_MAX);
    if (slot == NULL || slot->request != request) {
        tk_mutex_unlock(&pipe->lock);
        return false;
    }
    switch ((enum tk_slot_state)slot->state) {
    case TK_SLOT_OPEN:
        tk_pipe_cut(pipe, slot);
        break;
    case TK_SLOT_LONE:
        *never_sent = false;
        tk_lone_give_up(pipe, slot->lone);
        break;
    case TK_SLOT_DOOMED:
        *never_sent = slot->never_sent;
        break;
    case TK_SLOT_WIRE:
    case TK_SLOT_GHOST:
    case TK_SLOT_FREE:
        *never_sent = false;
        break;
    }
    tk_slots_forget(&pipe->slots, slot);
    tk_mutex_unlock(&pipe->lock);
    tk_lone_cancel_all(pipe);
    return true;
}

bool
tk_conn_is_busy(struct tk_conn *conn)
{
    uint32_t i;

    for (i = 0; i < conn->pipes_count; i++) {
        if (atomic_load_explicit(&conn->pipes[i].slots.wire_count,
                                 memory_order_relaxed) != 0) {
            return true;
        }
    }
    return false;
}

/* ---- streams of other rooms ---- */

bool
tk_conn_stream_open(struct tk_conn *conn, const char *path,
                    const char *const *metadata, struct tk_stream *stream)
{
    struct tk_transport *transport = conn->rpc->transport;
    tikv_error *error = NULL;
    struct tk_link *link = tk_pipe_link(tk_conn_first(conn), &error);

    if (link == NULL) {
        tk_log(conn->rpc->log, TIKV_LOG_WARN, "rpc", "no link to %s: %s",
               conn->address, tikv_error_message(error));
        tikv_error_free(error);
        return false;
    }
    return transport->ops->open(transport, link, path, metadata, stream);
}

bool
tk_conn_stream_send(struct tk_conn *conn, struct tk_stream *stream,
                    tikv_slice bytes)
{
    struct tk_transport *transport = conn->rpc->transport;

    return transport->ops->send(transport, stream, bytes);
}

void
tk_conn_stream_cancel(struct tk_conn *conn, struct tk_stream *stream)
{
    struct tk_transport *transport = conn->rpc->transport;

    transport->ops->cancel(transport, stream);
}

/* ---- counters ---- */

static void
add_stats(struct tk_pipe *pipe, struct tk_rpc_stats *out)
{
    tk_mutex_lock(&pipe->lock);
    out->requests += pipe->stats.requests;
    out->messages += pipe->stats.messages;
    out->batched += pipe->stats.batched;
    out->unary += pipe->stats.unary;
    out->late_answers += pipe->stats.late_answers;
    out->streams_opened += pipe->stats.streams_opened;
    out->slow += pipe->stats.slow;
    out->hanging += pipe->stats.hanging;
    tk_mutex_unlock(&pipe->lock);
}

void
tk_rpc_stats(struct tk_rpc *rpc, struct tk_rpc_stats *out)
{
    struct tk_conn *conn =
        atomic_load_explicit(&rpc->conns, memory_order_acquire);
    uint32_t i;

    memset(out, 0, sizeof(*out));
    for (; conn != NULL; conn = conn->next) {
        for (i = 0; i < conn->pipes_count; i++) {
            add_stats(&conn->pipes[i], out);
        }
    }
}
