/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary calls: the commands without a place in the batch stream. They take a
 * slot like all others, so deadline, take back and close are the same. The
 * call's own memory outlives its request: when nobody waits any more it is
 * cancelled and goes back to the free list after its done, and to the system
 * when its pipe comes to rest. A command that is answered by a stream is a
 * call until its first message is there; then the feed (feed.h) goes on alone
 * with whoever asked.
 * Lock: the pipe's; the transport is called without it, which `calls` tells.
 */
#include <stddef.h>

#include "base/alloc.h"
#include "rpc/inside.h"

/* Bigger buffers are not kept between calls. */
#define KEPT_BYTES 65536

/* Calls of a pipe that were given up and are not yet over. C core needs a
 * while and 14 KB for each: callers who all give up at once would fill the
 * memory faster than a poller can end their calls. */
#define GIVEN_UP_MAX 1024

static struct tk_lone *
lone_of(struct tk_unary *unary)
{
    return (struct tk_lone *)(void *)((char *)unary -
                                      offsetof(struct tk_lone, unary));
}

/* Lock held. Back to the free list once nothing touches it. */
static void
retire(struct tk_pipe *pipe, struct tk_lone *lone)
{
    if (!lone->is_done || lone->calls != 0 || lone->is_listed) {
        return;
    }
    if (lone->bytes.cap > KEPT_BYTES) {
        tk_buf_fini(&lone->bytes);
        tk_buf_init(&lone->bytes, TK_MESSAGE_BYTES_HARD);
    }
    tk_ledger_add(pipe->rpc->ledger, -(int64_t)lone->charged);
    lone->charged = 0;
    lone->next = pipe->lones_free;
    pipe->lones_free = lone;
}

static void
fill_reply(struct tk_reply *reply, const struct tk_status *status,
           tikv_slice data, struct tk_frame *frame)
{
    *reply = (struct tk_reply){ .details = status->details };
    if (status->grpc == 0 && data.len <= UINT32_MAX) {
        reply->status = TK_REPLY_OK;
        reply->data = data.data;
        reply->len = (uint32_t)data.len;
    } else {
        reply->status = TK_REPLY_FAILED;
        reply->grpc = status->grpc;
        reply->never_sent = status->never_sent;
    }
    reply->frame = frame;
}

void
tk_lone_done(struct tk_lone *lone, const struct tk_status *status,
             tikv_slice data, struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_pipe *pipe = lone->pipe;
    struct tk_request *request = NULL;
    struct tk_reply reply;
    bool is_expired = false;
    struct tk_feed *feed;

    fill_reply(&reply, status, data, frame);
    if (status->grpc == TK_STATUS_DEADLINE) {
        is_expired = true;
    }
    tk_mutex_lock(&pipe->lock);
    if (lone->id != 0) {
        struct tk_slot *slot = tk_slots_find(&pipe->slots, lone->id);

        request = slot->request;
        is_expired = is_expired && tk_now(pipe->rpc->rt) >= slot->deadline;
        tk_slots_release(&pipe->slots, slot);
        lone->id = 0;
    } else {
        pipe->lones_given_up--;
        pipe->stats.late_answers += status->grpc == 0;
    }
    lone->is_done = true;
    feed = lone->feed;
    lone->feed = NULL;
    retire(pipe, lone);
    tk_mutex_unlock(&pipe->lock);
    if (request == NULL || reply.status != TK_REPLY_OK) {
        tk_feed_drop(feed);
        feed = NULL;
    }
    if (request == NULL) {
        tk_frame_unref(frame, 1);
        return;
    }
    reply.feed = feed;
    if (is_expired) {
        reply.status = TK_REPLY_EXPIRED;
    }
    tk_frame_charge(frame, pipe->rpc->ledger, data.len);
    request->done(request, &reply, wakes);
}

static void
unary_done(struct tk_unary *unary, const struct tk_status *status,
           tikv_slice data, struct tk_frame *frame, struct tk_wakes *wakes)
{
    tk_lone_done(lone_of(unary), status, data, frame, wakes);
}

/* Lock held. */
static struct tk_lone *
take_lone(struct tk_pipe *pipe)
{
    struct tk_lone *lone = pipe->lones_free;

    if (lone != NULL) {
        pipe->lones_free = lone->next;
    } else {
        lone = (struct tk_lone *)tk_calloc(sizeof(*lone));
        if (lone == NULL) {
            return NULL;
        }
        lone->pipe = pipe;
        lone->unary.done = unary_done;
        tk_buf_init(&lone->bytes, TK_MESSAGE_BYTES_HARD);
        lone->next_of_all = pipe->lones;
        pipe->lones = lone;
    }
    lone->is_done = false;
    lone->calls = 0;
    lone->id = 0;
    tk_buf_clear(&lone->bytes);
    return lone;
}

/* Lock held. The request in a slot, its bytes in a call; NULL: a bound. Takes
 * the feed over where it gives a call. */
static struct tk_lone *
prepare(struct tk_pipe *pipe, struct tk_request *request, struct tk_feed *feed)
{
    struct tk_lone *lone;
    struct tk_slot *slot;

    if (pipe->lones_given_up >= GIVEN_UP_MAX ||
        (lone = take_lone(pipe)) == NULL) {
        return NULL;
    }
    lone->is_done = true;
    tk_parts_append(&lone->bytes, &request->parts);
    if (lone->bytes.failed) {
        retire(pipe, lone);
        return NULL;
    }
    slot = tk_slots_take(&pipe->slots, request);
    if (slot == NULL) {
        retire(pipe, lone);
        return NULL;
    }
    lone->is_done = false;
    lone->feed = feed;
    lone->charged = lone->bytes.len;
    tk_ledger_add(pipe->rpc->ledger, (int64_t)lone->charged);
    slot->state = TK_SLOT_LONE;
    slot->lone = lone;
    lone->id = tk_slots_id(&pipe->slots, slot);
    lone->calls = 1;
    request->home = pipe->conn;
    request->id = (uint64_t)pipe->ordinal << 32 | lone->id;
    request->message = 0;
    pipe->stats.requests++;
    pipe->stats.unary++;
    return lone;
}

/* The transport has taken the call, or not; then the request ends by the
 * sweep, unless somebody else has ended it. One that was given up meanwhile
 * has a deadline of its own, a stream has none. */
static void
settle(struct tk_pipe *pipe, struct tk_lone *lone, bool is_accepted,
       const tikv_error *error)
{
    struct tk_feed *unwanted = NULL;
    bool is_doomed = false;

    tk_mutex_lock(&pipe->lock);
    lone->calls--;
    if (is_accepted && lone->feed != NULL && lone->id == 0) {
        unwanted = lone->feed;
        tk_feed_ref(unwanted);
    }
    if (!is_accepted) {
        unwanted = lone->feed;
        lone->feed = NULL;
        if (lone->id != 0) {
            tk_pipe_set_loss(pipe, TK_STATUS_UNAVAILABLE, true,
                             error != NULL ? tikv_error_message(error)
                                           : "the transport is closed");
            tk_slots_doom(&pipe->slots, tk_slots_find(&pipe->slots, lone->id),
                          error != NULL ? TK_REPLY_FAILED : TK_REPLY_CLOSED,
                          true);
            lone->id = 0;
            is_doomed = true;
        } else {
            pipe->lones_given_up--;
        }
        lone->is_done = true;
    }
    retire(pipe, lone);
    tk_mutex_unlock(&pipe->lock);
    tk_feed_drop(unwanted);
    if (is_doomed) {
        tk_rpc_want(pipe->rpc, tk_now(pipe->rpc->rt));
    }
}

/* The request may be over, and gone, as soon as the transport has the call:
 * what is needed of it is read before. */
static void
start(struct tk_lone *lone, const struct tk_command_row *row,
      const char *const *metadata, int64_t deadline, struct tk_feed *feed)
{
    struct tk_pipe *pipe = lone->pipe;
    struct tk_transport *transport = pipe->rpc->transport;
    tikv_slice bytes = tk_buf_slice(&lone->bytes);
    tikv_error *error = NULL;
    struct tk_link *link = tk_pipe_link(pipe, &error);
    bool is_accepted = false;

    if (link != NULL && feed != NULL) {
        is_accepted =
            tk_feed_open(feed, lone, link, row->path, metadata, bytes);
    } else if (link != NULL) {
        is_accepted = transport->ops->call(transport, link, row->path,
                                           metadata, bytes, deadline,
                                           &lone->unary);
    }
    settle(pipe, lone, is_accepted, error);
    tikv_error_free(error);
}

enum tk_submit
tk_lone_submit(struct tk_pipe *pipe, struct tk_request *request,
               const char *const *metadata)
{
    const struct tk_command_row *row = tk_command_row(request->parts.command);
    const char *forward[] = { "tikv-forwarded-host", request->forward_to,
                              NULL };
    int64_t deadline = request->deadline;
    struct tk_feed *feed = NULL;
    struct tk_lone *lone = NULL;
    bool is_closed;

    if (row->kind == TK_KIND_DOWN) {
        feed = tk_feed_new(pipe->rpc, row->name);
        if (feed == NULL) {
            return TK_SUBMIT_BUSY;
        }
    }
    tk_mutex_lock(&pipe->lock);
    is_closed = pipe->closed;
    if (!is_closed) {
        lone = prepare(pipe, request, feed);
    }
    tk_mutex_unlock(&pipe->lock);
    if (lone == NULL) {
        tk_feed_unref(feed);
        return is_closed ? TK_SUBMIT_CLOSED : TK_SUBMIT_BUSY;
    }
    start(lone, row, forward[1] == NULL ? metadata : forward, deadline, feed);
    return TK_SUBMIT_OK;
}

void
tk_lone_give_up(struct tk_pipe *pipe, struct tk_lone *lone)
{
    lone->id = 0;
    pipe->lones_given_up++;
    lone->is_listed = true;
    lone->next = pipe->lones_cancel;
    pipe->lones_cancel = lone;
}

void
tk_lone_cancel_all(struct tk_pipe *pipe)
{
    struct tk_transport *transport = pipe->rpc->transport;
    struct tk_lone *lone;

    tk_mutex_lock(&pipe->lock);
    while ((lone = pipe->lones_cancel) != NULL) {
        bool is_inside = lone->calls == 0 && !lone->is_done;
        struct tk_feed *feed = lone->feed;

        pipe->lones_cancel = lone->next;
        lone->is_listed = false;
        if (!is_inside) {
            retire(pipe, lone);
            continue;
        }
        lone->calls++;
        if (feed != NULL) {
            tk_feed_ref(feed);
        }
        tk_mutex_unlock(&pipe->lock);
        if (feed != NULL) {
            tk_feed_drop(feed);
        } else {
            transport->ops->call_cancel(transport, &lone->unary);
        }
        tk_mutex_lock(&pipe->lock);
        lone->calls--;
        retire(pipe, lone);
    }
    tk_mutex_unlock(&pipe->lock);
}

void
tk_lone_shrink(struct tk_pipe *pipe)
{
    struct tk_lone *lone;

    for (lone = pipe->lones; lone != NULL; lone = lone->next_of_all) {
        if (!lone->is_done || lone->calls != 0 || lone->is_listed) {
            return;
        }
    }
    pipe->lones_free = NULL;
    tk_lone_free_all(pipe);
}

void
tk_lone_free_all(struct tk_pipe *pipe)
{
    struct tk_lone *lone;

    while ((lone = pipe->lones) != NULL) {
        pipe->lones = lone->next_of_all;
        tk_buf_fini(&lone->bytes);
        tk_free(lone);
    }
}
