/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lower floor of the network: unary calls and streams of bytes to an
 * address, both ways or down. gRPC C core implements it in production
 * (grpc_transport.c), src/sim in process on the cluster core. The batch
 * queue, the table of requests in flight, re-creation of streams and TSO
 * batching sit above it, so the simulator runs them.
 *
 * Rules of all callbacks (done, received, sent, closed): on a thread of the
 * transport, no lock held; they may not park; they may take locks, submit and
 * send; `wakes` is flushed by the transport after a batch of events, idle
 * function included.
 *
 * send, cancel and call_cancel may run while another thread delivers the last
 * event: they find the stream or call over and do nothing. The owner must
 * only not start something new in the same struct while a call of its own is
 * still inside with it.
 */
#ifndef TK_RPC_TRANSPORT_H
#define TK_RPC_TRANSPORT_H

#include <tikv/error.h>

#include "base/frame.h"
#include "exec/runtime.h"

struct tk_transport;
struct tk_link;

enum tk_link_state {
    TK_LINK_RESTS, /* no connection: not used yet, or let go of */
    TK_LINK_IDLE,
    TK_LINK_CONNECTING,
    TK_LINK_READY,
    TK_LINK_FAILING /* the last attempt failed; another will come */
};

struct tk_status {
    int grpc;            /* 0 OK */
    const char *details; /* NUL-terminated, borrowed; never NULL */
    bool never_sent;     /* for sure: no connection was ever there for it */
};

/* One unary call. The memory is its owner's until done was entered. */
struct tk_unary {
    /* Exactly once per call that was accepted. `data` lies in `frame`, of
     * which done owns one reference; both empty unless status is OK. */
    void (*done)(struct tk_unary *, const struct tk_status *, tikv_slice data,
                 struct tk_frame *frame, struct tk_wakes *);
    void *inside; /* the transport's */
};

/* One stream. The memory is its owner's until closed was entered. */
struct tk_stream {
    /* A message; owns one reference of `frame`. One at a time, in order; of
     * a stream down, when it was asked for. */
    void (*received)(struct tk_stream *, tikv_slice data, struct tk_frame *,
                     struct tk_wakes *);
    /* The message handed to send is out of our hands: the next may follow.
     * Not called after closed. On the sender's thread, before send returns,
     * where that is so at once; it may send again from here. */
    void (*sent)(struct tk_stream *, struct tk_wakes *);
    /* The last event, exactly once per stream that was opened. */
    void (*closed)(struct tk_stream *, const struct tk_status *,
                   struct tk_wakes *);
    void *inside; /* the transport's */
};

struct tk_transport_ops {
    /* A link to an address; it connects when first used. `ordinal` tells
     * apart several connections to one address. Never blocks. */
    tikv_error *(*connect)(struct tk_transport *, const char *address,
                           uint32_t ordinal, struct tk_link **out);

    /* Lets go of a link: what is in flight on it ends UNAVAILABLE. Also
     * after close. */
    void (*disconnect)(struct tk_transport *, struct tk_link *);

    /* Reads `bytes` during the call. `metadata` is key, value, ..., NULL, or
     * NULL. False: closed, done will not come. */
    bool (*call)(struct tk_transport *, struct tk_link *, const char *path,
                 const char *const *metadata, tikv_slice bytes,
                 int64_t deadline, struct tk_unary *);

    /* Asks for the end; done comes all the same. */
    void (*call_cancel)(struct tk_transport *, struct tk_unary *);

    /* False: closed, no event will come. */
    bool (*open)(struct tk_transport *, struct tk_link *, const char *path,
                 const char *const *metadata, struct tk_stream *);

    /* Reads `bytes` during the call. One message at a time: the next after
     * sent. False: the stream is ending, closed will come or came. */
    bool (*send)(struct tk_transport *, struct tk_stream *, tikv_slice bytes);

    /* Asks for the end; closed comes all the same. Any thread. */
    void (*cancel)(struct tk_transport *, struct tk_stream *);

    /* A stream down: sends one message, ends its own side, and receives at the
     * owner's pace. The first message comes by itself, each further one when
     * it was asked for, so what the owner does not take stays with the
     * sender. `sent` is not called. An end other than OK may overtake what
     * was not asked for. Reads `bytes` during the call. False: closed, no
     * event will come. These two may be NULL where nobody needs them. */
    bool (*feed)(struct tk_transport *, struct tk_link *, const char *path,
                 const char *const *metadata, tikv_slice bytes,
                 struct tk_stream *);

    /* The owner has the last message and wants one more. */
    void (*next)(struct tk_transport *, struct tk_stream *);

    /* True while the calling thread delivers events of this transport: what
     * is submitted now may be held until the batch of events is over. */
    bool (*is_delivering)(struct tk_transport *);

    /* `fn` is called on the delivering thread when a batch of events has been
     * delivered and before its wakes are flushed. Set once, before the first
     * link. */
    void (*set_idle)(struct tk_transport *,
                     void (*fn)(void *arg, struct tk_wakes *), void *arg);

    /* Fails all that is in flight with CANCELLED, refuses more, joins its
     * threads. Idempotent. */
    void (*close)(struct tk_transport *);
    void (*free)(struct tk_transport *);

    /* Lets go of the connection under a link, with `is_used` even if
     * something is in flight, which ends on it all the same. What begins
     * from then on connects anew. These three may be NULL where links have
     * no connections. */
    void (*rest)(struct tk_transport *, struct tk_link *, bool is_used);

    /* Whether the connection was made before `before`, or something else
     * would be made today. */
    bool (*is_stale)(struct tk_transport *, struct tk_link *, int64_t before);
    enum tk_link_state (*state)(struct tk_transport *, struct tk_link *);
};

struct tk_transport {
    const struct tk_transport_ops *ops;
};

#endif
