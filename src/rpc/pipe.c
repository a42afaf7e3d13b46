/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch stream of one pipe: opening, sending, its end, and the completion
 * of what has failed. Whoever finds a reason to send runs the pump; it does
 * one step at a time under the lock and calls the transport without it.
 * Threads: callers, transport, timer. Lock: the pipe's, rank STREAM.
 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "rpc/inside.h"

#define PATH "/tikvpb.Tikv/BatchCommands"
#define PORTION 64

static struct tk_pipe *
pipe_of(struct tk_stream *stream)
{
    return (struct tk_pipe *)(void *)((char *)stream -
                                      offsetof(struct tk_pipe, stream));
}

static uint32_t
open_count(const struct tk_pipe *pipe)
{
    return atomic_load_explicit(&pipe->open_count, memory_order_relaxed);
}

void
tk_pipe_set_loss(struct tk_pipe *pipe, int grpc, bool never_sent,
                 const char *details)
{
    pipe->loss.grpc = grpc;
    pipe->loss.never_sent = never_sent;
    snprintf(pipe->loss.details, sizeof(pipe->loss.details), "%s", details);
}

/* A stream that heard nothing was a failure; one that lived is reopened at
 * once unless it was opened just now. */
static void
count_loss(struct tk_pipe *pipe)
{
    int64_t wait = TK_REOPEN_NS;
    uint32_t i;

    pipe->failures = pipe->heard ? 0 : pipe->failures + 1;
    for (i = 1; i < pipe->failures && wait < TK_REOPEN_MAX_NS; i++) {
        wait *= 2;
    }
    if (wait > TK_REOPEN_MAX_NS) {
        wait = TK_REOPEN_MAX_NS;
    }
    pipe->retry_at = pipe->opened_at + wait;
}

/* ---- the pump ---- */

static bool
may_open(const struct tk_pipe *pipe)
{
    return pipe->state == TK_PIPE_DOWN && pipe->calls == 0;
}

static bool
may_send(const struct tk_pipe *pipe)
{
    return pipe->state == TK_PIPE_UP && !pipe->sending && pipe->in_send == 0;
}

/* Lock held; let go of and taken again. */
static void
open_stream(struct tk_pipe *pipe)
{
    struct tk_transport *transport = pipe->rpc->transport;
    char index[12];
    const char *metadata[] = { "tikv-batch-conn-index", index,
                               pipe->conn->forward_to == NULL
                                   ? NULL
                                   : "tikv-forwarded-host",
                               pipe->conn->forward_to, NULL };
    int64_t now = tk_now(pipe->rpc->rt);
    tikv_error *error = NULL;
    struct tk_link *link;
    bool is_open;

    if (now < pipe->retry_at) {
        tk_pipe_doom_open(pipe, TK_REPLY_FAILED);
        return;
    }
    snprintf(index, sizeof(index), "%u",
             (unsigned)(pipe->ordinal % pipe->rpc->pipes_count));
    pipe->state = TK_PIPE_OPENING;
    pipe->opened_at = now;
    pipe->heard = false;
    pipe->broken = NULL;
    pipe->calls++;
    pipe->stats.streams_opened++;
    tk_mutex_unlock(&pipe->lock);
    link = tk_pipe_link(pipe, &error);
    is_open = link != NULL &&
              transport->ops->open(transport, link, PATH, metadata,
                                   &pipe->stream);
    tk_mutex_lock(&pipe->lock);
    pipe->calls--;
    if (is_open) {
        /* Its end may have come already. */
        if (pipe->state == TK_PIPE_OPENING) {
            pipe->state = TK_PIPE_UP;
        }
        return;
    }
    pipe->state = TK_PIPE_DOWN;
    count_loss(pipe);
    tk_pipe_set_loss(pipe, TK_STATUS_UNAVAILABLE, true,
                     error != NULL ? tikv_error_message(error)
                                   : "the transport is closed");
    tikv_error_free(error);
    tk_pipe_doom_open(pipe, link != NULL ? TK_REPLY_CLOSED : TK_REPLY_FAILED);
}

/* The stream ended while its message was handed over: this thread alone
 * knows whether it went out. */
static void
settle_message(struct tk_pipe *pipe, bool never_sent)
{
    struct tk_slot *slot;

    while ((slot = tk_slots_head(&pipe->slots, &pipe->slots.wire)) != NULL) {
        tk_slots_doom(&pipe->slots, slot, TK_REPLY_FAILED, never_sent);
    }
    tk_slots_lay_ghosts(&pipe->slots);
}

/* Lock held; let go of and taken again. */
static void
send_message(struct tk_pipe *pipe)
{
    struct tk_transport *transport = pipe->rpc->transport;
    uint64_t number = pipe->number;
    bool is_sent;

    if (!tk_pipe_take_message(pipe, tk_now(pipe->rpc->rt))) {
        tk_pipe_set_loss(pipe, TK_STATUS_EXHAUSTED, true,
                         "no memory for a message");
        tk_pipe_doom_open(pipe, TK_REPLY_FAILED);
        return;
    }
    pipe->sending = true;
    pipe->in_send = number;
    pipe->calls++;
    tk_mutex_unlock(&pipe->lock);
    is_sent = transport->ops->send(transport, &pipe->stream,
                                   tk_buf_slice(&pipe->out.bytes));
    tk_trace(pipe->rpc->rt, number);
    tk_mutex_lock(&pipe->lock);
    pipe->calls--;
    pipe->in_send = 0;
    if (pipe->state != TK_PIPE_UP) {
        settle_message(pipe, !is_sent || pipe->loss.never_sent);
    } else if (!is_sent) {
        /* Its end will come, and finds what to say of this message. */
        pipe->refused = number;
    }
}

bool
tk_pipe_pump(struct tk_pipe *pipe)
{
    bool is_doomed;

    while (pipe->must_send && open_count(pipe) != 0 && !pipe->closed) {
        if (may_open(pipe)) {
            open_stream(pipe);
        } else if (may_send(pipe)) {
            send_message(pipe);
        } else {
            break;
        }
    }
    is_doomed = pipe->slots.doomed.head != TK_SLOT_NONE;
    tk_mutex_unlock(&pipe->lock);
    return is_doomed;
}

void
tk_pipe_kick(struct tk_pipe *pipe)
{
    if (tk_pipe_pump(pipe)) {
        tk_rpc_want(pipe->rpc, tk_now(pipe->rpc->rt));
    }
}

bool
tk_pipe_is_slow(struct tk_pipe *pipe, int64_t now)
{
    uint32_t last = pipe->slots.wire.tail;

    return last != TK_SLOT_NONE &&
           now - pipe->slots.at[last].sent_at > TK_HOLD_NS;
}

/* ---- events of the stream ---- */

static void
stream_sent(struct tk_stream *stream, struct tk_wakes *wakes)
{
    struct tk_pipe *pipe = pipe_of(stream);
    bool is_senders;

    tk_mutex_lock(&pipe->lock);
    pipe->sending = false;
    is_senders = pipe->in_send != 0;
    tk_message_discharge(pipe, &pipe->out);
    if (open_count(pipe) != 0 && !tk_pipe_gathers(pipe) &&
        (open_count(pipe) >= pipe->rpc->cap ||
         pipe->slots.wire.head == TK_SLOT_NONE ||
         tk_pipe_is_slow(pipe, tk_now(pipe->rpc->rt)))) {
        pipe->must_send = true;
    }
    /* This may be the sender's own thread, inside of a submit: it may not
     * enter done. */
    if (is_senders) {
        tk_pipe_kick(pipe);
    } else if (tk_pipe_pump(pipe)) {
        tk_pipe_drain(pipe, wakes);
    }
}

/* What was sent fails, save the message that a thread hands over just now. */
static void
doom_wire(struct tk_pipe *pipe)
{
    uint32_t index = pipe->slots.wire.head;

    while (index != TK_SLOT_NONE) {
        struct tk_slot *slot = &pipe->slots.at[index];

        index = slot->next;
        if (pipe->in_send == 0 || slot->message != pipe->in_send) {
            tk_slots_doom(
                &pipe->slots, slot, TK_REPLY_FAILED,
                pipe->loss.never_sent ||
                    (pipe->refused != 0 && slot->message == pipe->refused));
        }
    }
    tk_slots_lay_ghosts(&pipe->slots);
}

static void
stream_closed(struct tk_stream *stream, const struct tk_status *status,
              struct tk_wakes *wakes)
{
    struct tk_pipe *pipe = pipe_of(stream);
    bool was_resting;

    tk_mutex_lock(&pipe->lock);
    if (pipe->broken != NULL) {
        tk_pipe_set_loss(pipe, TK_STATUS_INTERNAL, false, pipe->broken);
        /* A store that talks nonsense is no better than one that is down. */
        pipe->heard = false;
    } else {
        tk_pipe_set_loss(pipe, status->grpc, status->never_sent,
                         status->details);
    }
    /* One that we let go of is no failure. */
    was_resting = pipe->state == TK_PIPE_RESTING;
    pipe->state = TK_PIPE_DOWN;
    if (!was_resting) {
        count_loss(pipe);
    }
    doom_wire(pipe);
    pipe->sending = false;
    tk_message_discharge(pipe, &pipe->out);
    pipe->refused = 0;
    pipe->must_send = open_count(pipe) != 0;
    if (!pipe->closed && !was_resting) {
        tk_log(pipe->rpc->log, TIKV_LOG_INFO, "rpc", "stream to %s ended: %s",
               pipe->conn->address, pipe->loss.details);
    }
    if (tk_pipe_pump(pipe)) {
        tk_pipe_drain(pipe, wakes);
    }
}

/* ---- completion of what failed ---- */

struct doomed {
    struct tk_request *request;
    enum tk_reply_status status;
    bool never_sent;
};

static const char *
text_of(const struct tk_loss *loss, enum tk_reply_status status)
{
    switch (status) {
    case TK_REPLY_EXPIRED:
        return "no answer before the deadline of the attempt";
    case TK_REPLY_CLOSED:
        return "the client is closing";
    case TK_REPLY_OK:
    case TK_REPLY_FAILED:
        break;
    }
    return loss->details;
}

static size_t
take_doomed(struct tk_pipe *pipe, struct doomed *out)
{
    struct tk_slot *slot;
    size_t count = 0;

    while (count < PORTION &&
           (slot = tk_slots_head(&pipe->slots, &pipe->slots.doomed)) != NULL) {
        out[count].request = slot->request;
        out[count].status = (enum tk_reply_status)slot->status;
        out[count].never_sent = slot->never_sent;
        count++;
        tk_slots_forget(&pipe->slots, slot);
    }
    return count;
}

void
tk_pipe_drain(struct tk_pipe *pipe, struct tk_wakes *wakes)
{
    struct tk_loss loss;
    struct doomed doomed[PORTION];
    size_t count;
    size_t i;

    for (;;) {
        tk_mutex_lock(&pipe->lock);
        count = take_doomed(pipe, doomed);
        loss = pipe->loss;
        tk_mutex_unlock(&pipe->lock);
        if (count == 0) {
            return;
        }
        for (i = 0; i < count; i++) {
            struct tk_reply reply = {
                .status = doomed[i].status,
                .grpc = doomed[i].status == TK_REPLY_FAILED ? loss.grpc : 0,
                .never_sent = doomed[i].never_sent,
                .details = text_of(&loss, doomed[i].status)
            };

            doomed[i].request->done(doomed[i].request, &reply, wakes);
        }
    }
}

/* ---- the sweep ---- */

static void
expire(struct tk_pipe *pipe, int64_t now)
{
    struct tk_slots *slots = &pipe->slots;
    int64_t earliest = TK_NEVER;
    uint32_t i;

    for (i = 0; i < slots->made; i++) {
        struct tk_slot *slot = &slots->at[i];

        if (slot->state != TK_SLOT_OPEN && slot->state != TK_SLOT_WIRE &&
            slot->state != TK_SLOT_LONE) {
            continue;
        }
        if (slot->deadline > now) {
            earliest = slot->deadline < earliest ? slot->deadline : earliest;
            continue;
        }
        if (slot->state == TK_SLOT_OPEN) {
            tk_pipe_cut(pipe, slot);
            tk_slots_doom(slots, slot, TK_REPLY_EXPIRED, true);
        } else {
            if (slot->state == TK_SLOT_LONE) {
                tk_lone_give_up(pipe, slot->lone);
            }
            tk_slots_doom(slots, slot, TK_REPLY_EXPIRED, false);
        }
    }
    slots->earliest = earliest;
}

int64_t
tk_pipe_sweep(struct tk_pipe *pipe, int64_t now, struct tk_wakes *wakes)
{
    int64_t next = TK_NEVER;
    int64_t until;
    bool has_held;

    tk_mutex_lock(&pipe->lock);
    if (now >= pipe->slots.earliest) {
        expire(pipe, now);
    }
    until = pipe->held_until;
    if (open_count(pipe) != 0 && now >= until) {
        pipe->must_send = true;
    }
    has_held = pipe->has_held;
    pipe->has_held = false;
    if (tk_pipe_pump(pipe)) {
        tk_pipe_drain(pipe, wakes);
    }
    tk_lone_cancel_all(pipe);
    tk_mutex_lock(&pipe->lock);
    /* While messages are held one after the other the sweep keeps coming, so
     * that each need not call for it. */
    if (open_count(pipe) != 0 && now < until &&
        (!pipe->sending || tk_pipe_gathers(pipe))) {
        next = until;
    } else if (has_held || (open_count(pipe) != 0 && !pipe->sending)) {
        next = tk_after(now, TK_HOLD_NS);
    } else if (pipe->slots.busy != 0) {
        next = tk_after(now, TK_SWEEP_NS);
    }
    tk_mutex_unlock(&pipe->lock);
    return next;
}

/* ---- life ---- */

tikv_error *
tk_pipe_init(struct tk_pipe *pipe, struct tk_conn *conn, uint32_t ordinal)
{
    tikv_error *error;

    pipe->rpc = conn->rpc;
    pipe->conn = conn;
    pipe->ordinal = ordinal;
    pipe->number = 1;
    pipe->retry_at = INT64_MIN;
    pipe->stream.received = tk_pipe_received;
    pipe->stream.sent = stream_sent;
    pipe->stream.closed = stream_closed;
    tk_mutex_init(&pipe->lock, TK_RANK_STREAM);
    tk_slots_init(&pipe->slots, conn->rpc->inflight_max);
    tk_gather_init(&pipe->gather, &conn->rpc->gather);
    error = tk_message_init(&pipe->open, conn->rpc->cap);
    if (error == NULL) {
        error = tk_message_init(&pipe->out, conn->rpc->cap);
    }
    return error;
}

void
tk_pipe_fini(struct tk_pipe *pipe)
{
    struct tk_transport *transport = pipe->rpc->transport;
    struct tk_link *link = atomic_load(&pipe->link);

    if (link != NULL) {
        transport->ops->disconnect(transport, link);
    }
    tk_lone_free_all(pipe);
    tk_message_fini(&pipe->open);
    tk_message_fini(&pipe->out);
    tk_slots_fini(&pipe->slots);
    tk_mutex_fini(&pipe->lock);
}
