/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The face of the network that operations see: requests to an address, in the
 * batch stream where the command has a slot, unary where not. Written once,
 * over the transport table.
 *
 * A connection (tk_conn) is one address with its open message, its table of
 * requests in flight and its streams. Lock: rank STREAM, held for a copy of
 * one request or one pass over the ids of a frame; done, callbacks, wakes and
 * transport calls run with none.
 *
 *     stream  DOWN --first submit--> UP --closed event--> DOWN
 *             beside it: sending (one at a time), closed (sticky)
 *
 * When a message goes out (core-seams 4.2): submit sends if nobody is sending,
 * unless it holds. Held requests are sent by whichever comes first: `cap` are
 * queued; a thread is about to park for one of them (flush); the transport
 * finished delivering a frame that came since the message began; the last
 * answer on the wire came, or none can be hoped for (nothing was sent for
 * 1 ms); the oldest of them was held for 1 ms. With another rpc.batch_policy
 * than `flow`, and for stores that are overloaded, messages wait for a time or
 * a count instead (gather.h), and none of these is a reason.
 */
#ifndef TK_RPC_RPC_H
#define TK_RPC_RPC_H

#include "base/config.h"
#include "base/ledger.h"
#include "rpc/transport.h"
#include "wire/batch.h"

struct tk_rpc;
struct tk_conn;
struct tk_feed;

enum tk_reply_status {
    TK_REPLY_OK,
    TK_REPLY_FAILED,  /* the transport said so; see grpc and details */
    TK_REPLY_EXPIRED, /* the attempt's deadline passed, within one sweep */
    TK_REPLY_CLOSED   /* the client is closing */
};

struct tk_reply {
    enum tk_reply_status status;
    int grpc;
    bool never_sent;     /* for sure: no doubt about a write */
    const char *details; /* borrowed during done; never NULL */
    const uint8_t *data; /* in frame */
    uint32_t len;
    struct tk_frame *frame;
    struct tk_feed *feed; /* with OK, of a command that is answered by a
                           * stream: done's; this is its first message, which
                           * may be missing */
};

struct tk_request {
    /* Exactly once per accepted request unless take_back said true; on the
     * transport's or a timer's thread, no lock held, may not park. Owns one
     * reference of reply->frame. It reads whatever it still needs of the
     * request before it publishes: the owner may be gone at the next
     * instruction. */
    void (*done)(struct tk_request *, const struct tk_reply *,
                 struct tk_wakes *);
    struct tk_parts parts; /* read during submit only */
    int64_t deadline;      /* of this attempt */
    int64_t now;           /* by the submitter's clock; 0: not looked at */
    bool is_urgent;        /* ignores hold; goes out at once */
    const char *forward_to; /* the address that the one called is to pass the
                             * request on to, or NULL; read during submit */

    /* The transport's. `home` is NULL in a block never submitted. */
    struct tk_conn *home;
    uint64_t id;
    uint64_t message;
};

enum tk_submit {
    TK_SUBMIT_OK,
    TK_SUBMIT_CLOSED,
    TK_SUBMIT_BUSY,
    TK_SUBMIT_FULL,     /* memory.max_bytes is reached */
    TK_SUBMIT_TOO_LARGE /* rpc.request_max_bytes: it will never go */
};

/* Takes `transport` over: freed with the rpc. */
tikv_error *
tk_rpc_new(struct tk_runtime *rt, const struct tk_config *config,
           struct tk_log *log, struct tk_transport *transport,
           struct tk_rpc **out);

/* `fn` gets what stores tell of their health (kvrpcpb.HealthFeedback), on the
 * transport's thread; the bytes are lent. Once, before the first request. */
void
tk_rpc_on_health(struct tk_rpc *rpc, void (*fn)(void *arg, tikv_slice health),
                 void *arg);

/* The connection to an address, made at the first time; NULL without memory
 * or when closed. Counted: unref when the caller forgets it. Idle connections
 * stay until the rpc is freed. */
struct tk_conn *
tk_rpc_conn(struct tk_rpc *rpc, const char *address);

void
tk_conn_ref(struct tk_conn *conn);

void
tk_conn_unref(struct tk_conn *conn);

const char *
tk_conn_address(const struct tk_conn *conn);

/* Lets go of what it is connected to and connects anew: the address may be
 * somebody else's by now. What is in flight on its streams fails. */
void
tk_conn_renew(struct tk_conn *conn);

/* READY if one of its links is; else what the first that is used says. For
 * those who watch, not to decide whether to submit. */
enum tk_link_state
tk_conn_state(struct tk_conn *conn);

/* Any thread, no lock held. Never blocks on the network, never enters `done`
 * itself. But for OK, done will not come. BUSY: a bound is reached
 * (rpc.inflight_max_count). What only ends transactions or talks to PD is
 * never FULL: it is small, and others wait for it to give memory back. */
enum tk_submit
tk_conn_submit(struct tk_conn *conn, struct tk_request *request, bool hold);

/* The same as a call of its own, at once, with `metadata`: key, value, ...,
 * NULL, or NULL; read during the call. */
enum tk_submit
tk_conn_submit_alone(struct tk_conn *conn, struct tk_request *request,
                     const char *const *metadata);

/* True: the network has forgotten the request and its memory is the caller's;
 * *never_sent tells whether its bytes surely never left (a request still in
 * the open message is cut out of it). False: done was entered or will be
 * without delay. */
bool
tk_request_take_back(struct tk_request *request, bool *never_sent);

/* About to park for `awaited`: sends the message it sits in. NULL: every open
 * message of the rpc. */
void
tk_rpc_flush(struct tk_rpc *rpc, const struct tk_request *awaited);

/* Whether requests are on the wire of this connection: callers hold then. */
bool
tk_conn_is_busy(struct tk_conn *conn);

/* Streams of other rooms (TSO): straight to the transport on the address's
 * link. The rules of transport.h hold. `metadata` is key, value, ..., NULL, or
 * NULL; read during the call. */
bool
tk_conn_stream_open(struct tk_conn *conn, const char *path,
                    const char *const *metadata, struct tk_stream *stream);

bool
tk_conn_stream_send(struct tk_conn *conn, struct tk_stream *stream,
                    tikv_slice bytes);

void
tk_conn_stream_cancel(struct tk_conn *conn, struct tk_stream *stream);

/* What the client holds for its application; others charge to it, too. */
struct tk_ledger *
tk_rpc_ledger(struct tk_rpc *rpc);

/* Counters for tests and benchmarks. */
struct tk_rpc_stats {
    uint64_t requests; /* handed to submit and accepted */
    uint64_t messages; /* batch messages sent */
    uint64_t batched;  /* requests in them */
    uint64_t unary;
    uint64_t late_answers; /* to ids nobody waits for */
    uint64_t streams_opened;
    uint64_t slow;    /* without an answer for 30 s; looked at by upkeep */
    uint64_t hanging; /* of them, for 90 s */
};

void
tk_rpc_stats(struct tk_rpc *rpc, struct tk_rpc_stats *out);

/* Fails all that is in flight with CLOSED, refuses more, joins. Idempotent. */
void
tk_rpc_close(struct tk_rpc *rpc);

/* After close; connections must have been unreffed. */
void
tk_rpc_free(struct tk_rpc *rpc);

#endif
