/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams down, seen by who takes from them: one message at hand, the next
 * asked for when it was taken. Until the first event the feed belongs to the
 * call that opened it (lone.c), which tells the request what came. See feed.h
 * for states, threads and the lock.
 */
#include "rpc/feed.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "rpc/inside.h"

/* What an open stream costs, next to its messages: C core has about that much
 * for a call. */
#define FEED_BYTES 16384

struct tk_feed {
    struct tk_stream stream; /* first */
    _Atomic uint32_t refs;   /* acq_rel down */
    struct tk_runtime *rt;
    struct tk_transport *transport; /* until it is over */
    struct tk_ledger *ledger;
    const char *name; /* of the command */

    struct tk_mutex lock; /* rank STREAM; guards all that follows */
    struct tk_lone *lone; /* hears of the first event; NULL: heard */
    struct tk_parker *waiter;
    tikv_slice data;
    struct tk_frame *frame;
    bool has_message;
    bool is_over;
    int grpc;
    char details[200];
    int64_t asked_at; /* for the message that is not yet here */
};

static struct tk_feed *
feed_of(struct tk_stream *stream)
{
    return (struct tk_feed *)(void *)stream;
}

static void
ring(struct tk_parker *waiter, struct tk_wakes *wakes)
{
    if (waiter != NULL) {
        tk_wakes_ring(wakes, waiter);
    }
}

/* ---- what the transport says ---- */

static void
received(struct tk_stream *stream, tikv_slice data, struct tk_frame *frame,
         struct tk_wakes *wakes)
{
    static const struct tk_status ok = { .details = "" };
    struct tk_feed *feed = feed_of(stream);
    struct tk_parker *waiter;
    struct tk_lone *lone;

    tk_frame_charge(frame, feed->ledger, data.len);
    tk_mutex_lock(&feed->lock);
    feed->data = data;
    feed->frame = frame;
    feed->has_message = true;
    waiter = feed->waiter;
    lone = feed->lone;
    feed->lone = NULL;
    if (lone != NULL) {
        tk_frame_ref(frame);
    }
    tk_mutex_unlock(&feed->lock);
    if (lone != NULL) {
        tk_lone_done(lone, &ok, data, frame, wakes);
    } else {
        ring(waiter, wakes);
    }
}

static void
sent(struct tk_stream *stream, struct tk_wakes *wakes)
{
    (void)stream;
    (void)wakes;
}

/* An answer of no message at all is an answer. */
static void
closed(struct tk_stream *stream, const struct tk_status *status,
       struct tk_wakes *wakes)
{
    struct tk_feed *feed = feed_of(stream);
    struct tk_parker *waiter;
    struct tk_lone *lone;

    tk_ledger_add(feed->ledger, -FEED_BYTES);
    tk_mutex_lock(&feed->lock);
    feed->is_over = true;
    feed->grpc = status->grpc;
    snprintf(feed->details, sizeof(feed->details), "%s", status->details);
    waiter = feed->waiter;
    lone = feed->lone;
    feed->lone = NULL;
    tk_mutex_unlock(&feed->lock);
    if (lone != NULL) {
        tk_lone_done(lone, status, tk_slice(NULL, 0), NULL, wakes);
    } else {
        ring(waiter, wakes);
    }
    tk_feed_unref(feed);
}

/* ---- life ---- */

struct tk_feed *
tk_feed_new(struct tk_rpc *rpc, const char *name)
{
    struct tk_feed *feed = (struct tk_feed *)tk_calloc(sizeof(*feed));

    if (feed == NULL) {
        return NULL;
    }
    feed->stream.received = received;
    feed->stream.sent = sent;
    feed->stream.closed = closed;
    atomic_init(&feed->refs, 1);
    feed->rt = rpc->rt;
    feed->transport = rpc->transport;
    feed->ledger = tk_ledger_ref(rpc->ledger);
    feed->name = name;
    tk_mutex_init(&feed->lock, TK_RANK_STREAM);
    return feed;
}

bool
tk_feed_open(struct tk_feed *feed, struct tk_lone *lone, struct tk_link *link,
             const char *path, const char *const *metadata, tikv_slice bytes)
{
    struct tk_transport *transport = feed->transport;

    feed->lone = lone;
    feed->asked_at = tk_now(feed->rt);
    tk_feed_ref(feed);
    tk_ledger_add(feed->ledger, FEED_BYTES);
    if (transport->ops->feed != NULL &&
        transport->ops->feed(transport, link, path, metadata, bytes,
                             &feed->stream)) {
        return true;
    }
    tk_ledger_add(feed->ledger, -FEED_BYTES);
    feed->lone = NULL;
    feed->is_over = true;
    tk_feed_unref(feed);
    return false;
}

void
tk_feed_ref(struct tk_feed *feed)
{
    atomic_fetch_add_explicit(&feed->refs, 1, memory_order_relaxed);
}

void
tk_feed_unref(struct tk_feed *feed)
{
    if (feed == NULL || atomic_fetch_sub_explicit(&feed->refs, 1,
                                                  memory_order_acq_rel) != 1) {
        return;
    }
    tk_frame_unref(feed->frame, 1);
    tk_ledger_unref(feed->ledger);
    tk_mutex_fini(&feed->lock);
    tk_free(feed);
}

void
tk_feed_cancel(struct tk_feed *feed)
{
    bool is_over;

    tk_mutex_lock(&feed->lock);
    is_over = feed->is_over;
    tk_mutex_unlock(&feed->lock);
    if (!is_over) {
        feed->transport->ops->cancel(feed->transport, &feed->stream);
    }
}

void
tk_feed_drop(struct tk_feed *feed)
{
    if (feed != NULL) {
        tk_feed_cancel(feed);
        tk_feed_unref(feed);
    }
}

/* ---- taking ---- */

/* Lock held. True: there is something to say, a message or the end. */
static bool
take(struct tk_feed *feed, struct tk_feed_message *out)
{
    if (feed->has_message) {
        out->data = feed->data;
        out->frame = feed->frame;
        feed->frame = NULL;
        feed->has_message = false;
        feed->asked_at = tk_now(feed->rt);
        return true;
    }
    out->is_end = feed->is_over && feed->grpc == 0;
    return feed->is_over;
}

static tikv_error *
lost(const struct tk_feed *feed)
{
    tikv_error *error = tk_error(
        TIKV_ERR_UNAVAILABLE, "%s: the stream was lost: status %d, %s",
        feed->name, feed->grpc,
        feed->details[0] == '\0' ? "no details" : feed->details);

    tk_error_set_u64(error, TIKV_ERROR_GRPC_STATUS, (uint64_t)feed->grpc);
    return error;
}

static tikv_error *
late(struct tk_feed *feed, int64_t lease_ns)
{
    tk_feed_cancel(feed);
    return tk_error(TIKV_ERR_UNAVAILABLE,
                    "%s: no message of the stream for %lld ms", feed->name,
                    (long long)(lease_ns / TK_MS));
}

tikv_error *
tk_feed_next(struct tk_feed *feed, struct tk_op *op, int64_t lease_ns,
             struct tk_feed_message *out)
{
    tikv_error *error = NULL;
    bool is_said;
    bool is_over;
    int64_t until;

    memset(out, 0, sizeof(*out));
    for (;;) {
        tk_mutex_lock(&feed->lock);
        is_said = take(feed, out);
        is_over = feed->is_over;
        until = tk_after(feed->asked_at, lease_ns);
        feed->waiter = is_said || error != NULL ? NULL : op->me;
        tk_mutex_unlock(&feed->lock);
        if (is_said || error != NULL) {
            break;
        }
        error = tk_op_check(op);
        if (error == NULL && tk_now(feed->rt) >= until) {
            error = late(feed, lease_ns);
        }
        if (error == NULL) {
            tk_op_wait(op, until, TK_BACKOFF_KINDS);
        }
    }
    if (is_said) {
        /* It came in the last moment. */
        tikv_error_free(error);
        error = NULL;
    }
    if (out->frame != NULL && !is_over) {
        feed->transport->ops->next(feed->transport, &feed->stream);
    }
    return is_said && out->frame == NULL && !out->is_end ? lost(feed) : error;
}
