/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the batch stream. A frame is split, not decoded: a portion of
 * its ids is looked up under the pipe's lock, then their requests are
 * completed without it, each with one reference of the frame; references are
 * set once, before the first. A frame that makes no sense ends the stream,
 * not the process. Threads: the transport's, one frame of a pipe at a time.
 */
#include <stddef.h>

#include "rpc/inside.h"

/* As many as a message of the usual size brings. */
#define PORTION 128

struct hit {
    struct tk_request *request; /* NULL: nobody waits for the answer */
    tikv_slice data;
    uint64_t id;
    enum tk_command command;
    bool is_mismatch; /* the answer is of another command */
};

/* The request that waits for the answer is taken out of the table. */
static void
take(struct tk_pipe *pipe, struct hit *hit)
{
    struct tk_slot *slot = tk_slots_find(&pipe->slots, hit->id);

    hit->request = NULL;
    if (slot == NULL || slot->state != TK_SLOT_WIRE) {
        pipe->stats.late_answers++;
        if (slot != NULL && slot->state == TK_SLOT_GHOST) {
            tk_slots_release(&pipe->slots, slot);
        } else if (slot != NULL) {
            slot->haunts = false;
        }
        return;
    }
    hit->is_mismatch = slot->command != (uint16_t)hit->command;
    hit->request = slot->request;
    tk_slots_release(&pipe->slots, slot);
}

/* Up to PORTION answers, split before the lock is taken for them. */
static size_t
take_portion(struct tk_pipe *pipe, struct tk_split *split, struct hit *hits)
{
    size_t count = 0;
    size_t i;

    while (count < PORTION &&
           tk_split_next(split, &hits[count].id, &hits[count].command,
                         &hits[count].data)) {
        count++;
    }
    tk_mutex_lock(&pipe->lock);
    pipe->heard = true;
    pipe->failures = 0;
    for (i = 0; i < count; i++) {
        take(pipe, &hits[i]);
    }
    tk_mutex_unlock(&pipe->lock);
    return count;
}

static void
complete(const struct hit *hit, struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_reply reply = { .details = "", .frame = frame };

    if (hit->is_mismatch) {
        reply.status = TK_REPLY_FAILED;
        reply.grpc = TK_STATUS_INTERNAL;
        reply.details = "the answer is of another command";
    } else {
        reply.status = TK_REPLY_OK;
        reply.data = hit->data.data;
        reply.len = (uint32_t)hit->data.len;
    }
    hit->request->done(hit->request, &reply, wakes);
}

/* Ends the stream for a reason of ours; what is on it fails by its end. */
static void
end_stream(struct tk_pipe *pipe, const char *reason)
{
    struct tk_transport *transport = pipe->rpc->transport;

    tk_mutex_lock(&pipe->lock);
    pipe->broken = reason;
    pipe->calls++;
    tk_mutex_unlock(&pipe->lock);
    transport->ops->cancel(transport, &pipe->stream);
    tk_mutex_lock(&pipe->lock);
    pipe->calls--;
    tk_pipe_kick(pipe);
}

static void
pass_on_health(struct tk_rpc *rpc, tikv_slice health)
{
    tk_health_fn *fn =
        atomic_load_explicit(&rpc->health, memory_order_acquire);

    if (fn != NULL) {
        fn(rpc->health_arg, health);
    }
}

void
tk_pipe_received(struct tk_stream *stream, tikv_slice data,
                 struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_pipe *pipe =
        (struct tk_pipe *)(void *)((char *)stream -
                                   offsetof(struct tk_pipe, stream));
    struct hit hits[PORTION];
    struct tk_split split;
    uint32_t references;
    size_t count;
    size_t left;
    size_t i;

    if (data.len > UINT32_MAX || !tk_split_init(&split, data) ||
        split.count >= UINT32_MAX / 2) {
        tk_frame_unref(frame, 1);
        end_stream(pipe, "a batch frame is broken");
        return;
    }
    if (split.health.data != NULL) {
        pass_on_health(pipe->rpc, split.health);
    }
    if (split.load != 0 && pipe->rpc->gather.overload_ns != 0) {
        atomic_store_explicit(&pipe->conn->load, split.load,
                              memory_order_relaxed);
    }
    tk_frame_charge(frame, pipe->rpc->ledger, data.len);
    left = split.count;
    references = (uint32_t)left;
    atomic_fetch_add_explicit(&frame->refs, references, memory_order_relaxed);
    do {
        count = take_portion(pipe, &split, hits);
        left -= count;
        for (i = 0; i < count; i++) {
            if (hits[i].request != NULL) {
                complete(&hits[i], frame, wakes);
                references--;
            }
        }
    } while (count == PORTION && left != 0);
    atomic_store_explicit(&pipe->has_frame, true, memory_order_relaxed);
    /* Those nobody waited for, and our own. */
    tk_frame_unref(frame, references + 1);
    if (left != 0) {
        end_stream(pipe, "a batch frame is broken");
    }
}
