/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary calls: the commands without a place in the batch stream. They take a
 * slot like all others, so deadline, take back and close are the same. The
 * call's own memory outlives its request: when nobody waits any more it is
 * cancelled and goes back to the free list after its done, and to the system
 * when its pipe comes to rest.
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

static void
unary_done(struct tk_unary *unary, const struct tk_status *status,
           tikv_slice data, struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_lone *lone = lone_of(unary);
    struct tk_pipe *pipe = lone->pipe;
    struct tk_request *request = NULL;
    struct tk_reply reply;
    bool is_expired = false;

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
    retire(pipe, lone);
    tk_mutex_unlock(&pipe->lock);
    if (request == NULL) {
        tk_frame_unref(frame, 1);
        return;
    }
    if (is_expired) {
        reply.status = TK_REPLY_EXPIRED;
    }
    tk_frame_charge(frame, pipe->rpc->ledger, data.len);
    request->done(request, &reply, wakes);
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

/* Lock held. The request in a slot, its bytes in a call; NULL: a bound. */
static struct tk_lone *
prepare(struct tk_pipe *pipe, struct tk_request *request)
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
 * sweep, unless somebody else has ended it. */
static void
settle(struct tk_pipe *pipe, struct tk_lone *lone, bool is_accepted,
       const tikv_error *error)
{
    bool is_doomed = false;

    tk_mutex_lock(&pipe->lock);
    lone->calls--;
    if (!is_accepted) {
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
    if (is_doomed) {
        tk_rpc_want(pipe->rpc, tk_now(pipe->rpc->rt));
    }
}

enum tk_submit
tk_lone_submit(struct tk_pipe *pipe, struct tk_request *request,
               const char *const *metadata)
{
    struct tk_transport *transport = pipe->rpc->transport;
    const char *path = tk_command_row(request->parts.command)->path;
    const char *forward[] = { "tikv-forwarded-host", request->forward_to,
                              NULL };
    int64_t deadline = request->deadline;
    struct tk_lone *lone;
    struct tk_link *link;
    tikv_error *error = NULL;
    bool is_accepted;

    tk_mutex_lock(&pipe->lock);
    if (pipe->closed) {
        tk_mutex_unlock(&pipe->lock);
        return TK_SUBMIT_CLOSED;
    }
    lone = prepare(pipe, request);
    tk_mutex_unlock(&pipe->lock);
    if (lone == NULL) {
        return TK_SUBMIT_BUSY;
    }
    link = tk_pipe_link(pipe, &error);
    is_accepted =
        link != NULL &&
        transport->ops->call(transport, link, path,
                             forward[1] == NULL ? metadata : forward,
                             tk_buf_slice(&lone->bytes), deadline,
                             &lone->unary);
    settle(pipe, lone, is_accepted, error);
    tikv_error_free(error);
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

        pipe->lones_cancel = lone->next;
        lone->is_listed = false;
        if (!is_inside) {
            retire(pipe, lone);
            continue;
        }
        lone->calls++;
        tk_mutex_unlock(&pipe->lock);
        transport->ops->call_cancel(transport, &lone->unary);
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
