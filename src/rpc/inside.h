/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of rpc, shared by its files. A connection has one pipe per link
 * (rpc.connections_count); a pipe has one lock (rank STREAM), one batch
 * stream, one table of requests in flight.
 *
 *     stream  DOWN --a message must go--> OPENING --> UP --closed--> DOWN
 *             UP --unused (upkeep.c)--> RESTING --closed--> DOWN
 *
 * `calls` counts threads that are inside the transport with this stream; it
 * must be 0 before the stream is opened again. `sending` lasts from send to
 * sent; `in_send` is the message a thread is handing over just now: when the
 * stream closes meanwhile, that thread settles its entries, because only it
 * learns whether the message went out.
 *
 * Loss of a stream. What was sent on it fails. What sits in the open message
 * was not sent: it goes out on the next stream, which is opened at once if
 * the lost one had lived long enough. A stream that ends without having heard
 * anything counts as a failure: the next is opened 50 ms after it, then 100,
 * up to 1 s, and until then everything fails at once, never sent, with the
 * details of the last loss.
 */
#ifndef TK_RPC_INSIDE_H
#define TK_RPC_INSIDE_H

#include "exec/alarm.h"
#include "rpc/feed.h"
#include "rpc/gather.h"
#include "rpc/slots.h"

/* A message is sent when it has so many bytes, whatever it counts. */
#define TK_MESSAGE_BYTES (UINT32_C(1) << 20)
/* An open message that waits for a slow connection grows no further. */
#define TK_MESSAGE_BYTES_MAX (UINT32_C(64) << 20)
#define TK_MESSAGE_BYTES_HARD ((size_t)INT32_MAX)
/* Messages are charged to the ledger in steps of so many bytes: once each,
 * where they are of the usual size. */
#define TK_CHARGE_BYTES 65536

#define TK_SWEEP_NS (10 * TK_MS)
#define TK_HOLD_NS TK_MS
#define TK_REOPEN_NS (50 * TK_MS)
#define TK_REOPEN_MAX_NS (1000 * TK_MS)

/* gRPC's numbers, for what we end ourselves. */
enum {
    TK_STATUS_DEADLINE = 4,
    TK_STATUS_EXHAUSTED = 8,
    TK_STATUS_INTERNAL = 13,
    TK_STATUS_UNAVAILABLE = 14
};

enum tk_pipe_state {
    TK_PIPE_DOWN,
    TK_PIPE_OPENING,
    TK_PIPE_UP,
    TK_PIPE_RESTING /* cancelled for want of use: its end will come */
};

/* Where a request of the open message lies. */
struct tk_entry {
    uint32_t slot;
    size_t offset;
    size_t len;
};

/* Requests as bytes, with their ids. */
struct tk_message {
    struct tk_buf bytes;
    uint64_t *ids;
    struct tk_entry *entries;
    uint32_t cap;
    size_t charged; /* to the ledger, in steps */
};

/* One unary call, or a stream down up to its first event. Recycled, and freed
 * only while none of the pipe's is in use: a late cancel finds memory. Guarded
 * by the pipe's lock, but for `unary`. */
struct tk_lone {
    struct tk_unary unary;
    struct tk_pipe *pipe;
    struct tk_lone *next; /* all of the pipe, free ones, to be cancelled */
    struct tk_lone *next_of_all;
    struct tk_buf bytes;
    uint64_t id;    /* 0: nobody waits any more */
    uint32_t calls; /* threads inside the transport with it */
    bool is_done;
    bool is_listed; /* to be cancelled */
    size_t charged;
    struct tk_feed *feed; /* of a stream down, until its first event */
};

/* How a stream was lost. */
struct tk_loss {
    int grpc;
    bool never_sent; /* the connection was never there */
    char details[200];
};

struct tk_pipe {
    struct tk_rpc *rpc;
    struct tk_conn *conn;
    uint32_t ordinal;
    _Atomic(struct tk_link *) link; /* written under the rpc's lock, once */

    struct tk_mutex lock; /* rank STREAM; guards all that follows */
    struct tk_slots slots;
    struct tk_message open;
    struct tk_message out;
    _Atomic uint32_t open_count; /* relaxed where read without the lock */
    _Atomic bool has_frame;      /* one came since the open message began */
    uint64_t number;             /* of the open message */
    int64_t held_until; /* if its first request was held */
    bool has_held;      /* something was, since the last sweep */
    struct tk_gather gather; /* with rpc->gathers */

    struct tk_stream stream;
    enum tk_pipe_state state;
    uint32_t calls;
    uint64_t in_send; /* 0: nobody */
    uint64_t refused; /* send said no: never sent for sure */
    bool sending;
    bool must_send;
    bool closed;        /* sticky */
    bool heard;         /* this stream gave a message */
    const char *broken; /* why we ended the stream ourselves */

    uint32_t failures; /* streams in a row that heard nothing */
    int64_t opened_at;
    int64_t retry_at;
    struct tk_loss loss; /* the last one */

    struct tk_lone *lones; /* all */
    struct tk_lone *lones_free;
    struct tk_lone *lones_cancel;
    uint32_t lones_given_up; /* nobody waits for them, not yet over */

    struct tk_rpc_stats stats;
    uint64_t seen_requests; /* upkeep.c: at its last look */
    int64_t looked_at;
    int64_t idle_since;
};

struct tk_conn {
    struct tk_rpc *rpc;
    struct tk_conn *next;  /* fixed once published */
    _Atomic uint32_t refs; /* of users; the rpc frees it in the end */
    _Atomic uint32_t turn;
    _Atomic uint32_t guard; /* relaxed; first of the pipes on duty */
    uint32_t pipes_count;   /* of all guards */
    char *address;
    struct tk_conn *base; /* of a route: whose links it uses; else NULL */
    char *forward_to;     /* of a route */
    _Atomic uint64_t load; /* what the store told last; relaxed */
    struct tk_pipe pipes[];
};

typedef void
tk_health_fn(void *arg, tikv_slice health);

struct tk_rpc {
    struct tk_runtime *rt;
    struct tk_log *log;
    struct tk_transport *transport;
    uint32_t pipes_count;  /* on duty, of one connection */
    uint32_t guards_count; /* 2: they take turns */
    int64_t idle_ns;       /* 0: never */
    int64_t age_ns;
    int64_t tick_ns;       /* of upkeep; 0: none */
    /* Set with the arg first, before anything is on the wire. */
    _Atomic(tk_health_fn *) health;
    void *health_arg;
    uint32_t cap;
    bool gathers; /* messages may wait for a time, by these rules */
    struct tk_gather_rules gather;
    uint32_t inflight_max;
    size_t request_max;           /* bytes */
    const tk_setting *memory_max; /* hot */
    struct tk_ledger *ledger;

    _Atomic(struct tk_conn *) conns; /* pushed in front, never removed */
    _Atomic uint32_t open_pipes;     /* with something in the open message */

    struct tk_mutex lock; /* rank RPC: conns, timer, closing */
    _Atomic int64_t due;  /* when the sweep comes; TK_NEVER: not armed */
    struct tk_timer timer;
    bool pending; /* armed, or fired and not yet entered */
    bool sweeping;
    bool closing;
    struct tk_parker *closer;
    struct tk_alarm upkeep; /* never initialised where tick_ns is 0 */
};

static inline struct tk_conn *
tk_rpc_first(struct tk_rpc *rpc)
{
    return atomic_load_explicit(&rpc->conns, memory_order_acquire);
}

/* The first of the pipes on duty. */
static inline struct tk_pipe *
tk_conn_first(struct tk_conn *conn)
{
    return &conn->pipes[atomic_load_explicit(&conn->guard,
                                             memory_order_relaxed)];
}

/* ---- rpc.c ---- */

/* The sweep comes at `when` at the latest. No lock of rank RPC or above. */
void
tk_rpc_want(struct tk_rpc *rpc, int64_t when);

/* ---- conn.c ---- */

/* The pipe's link, made at the first use; of a route's pipe, that of its
 * base. NULL: *out tells why. */
struct tk_link *
tk_pipe_link(struct tk_pipe *pipe, tikv_error **out);

/* The route to `forward_to` over `base`, made at the first time; NULL without
 * memory or when closed. It lives as long as the rpc. */
struct tk_conn *
tk_conn_route(struct tk_conn *base, const char *forward_to);

/* Nothing of it is in use; its links are let go of. */
void
tk_conn_free(struct tk_conn *conn);

/* ---- upkeep.c ---- */

void
tk_upkeep_init(struct tk_rpc *rpc, const struct tk_config *config);

/* Under the rpc's lock: there is something to look after. */
void
tk_upkeep_want(struct tk_rpc *rpc);

/* ---- message.c: the open message, under the pipe's lock ---- */

tikv_error *
tk_message_init(struct tk_message *message, uint32_t cap);

void
tk_message_fini(struct tk_message *message);

/* Gives the memory back; it grows again at the next append. */
void
tk_message_shrink(struct tk_message *message);

/* False: a bound, or no memory; nothing was added then. */
bool
tk_pipe_append(struct tk_pipe *pipe, struct tk_slot *slot,
               const struct tk_parts *parts);

/* Cuts an OPEN slot's request out of the open message. */
void
tk_pipe_cut(struct tk_pipe *pipe, struct tk_slot *slot);

/* Moves up to `cap` requests to pipe->out, as a whole message, and their
 * slots to WIRE. False: no memory, and nothing was moved. */
bool
tk_pipe_take_message(struct tk_pipe *pipe, int64_t now);

/* The bytes are not ours any more. */
void
tk_message_discharge(struct tk_pipe *pipe, struct tk_message *message);

/* All OPEN slots become DOOMED, never sent. */
void
tk_pipe_doom_open(struct tk_pipe *pipe, enum tk_reply_status status);

/* ---- pipe.c ---- */

tikv_error *
tk_pipe_init(struct tk_pipe *pipe, struct tk_conn *conn, uint32_t ordinal);

void
tk_pipe_fini(struct tk_pipe *pipe);

/* Opens and sends while there is a reason to. Called with the lock, returns
 * without. True: something is doomed and waits for tk_pipe_drain(). */
bool
tk_pipe_pump(struct tk_pipe *pipe);

/* What `pump` says, for those who may not enter done. */
void
tk_pipe_kick(struct tk_pipe *pipe);

/* Completes what is doomed. No lock held. */
void
tk_pipe_drain(struct tk_pipe *pipe, struct tk_wakes *wakes);

/* Remembers why; the texts of failures come from here. */
void
tk_pipe_set_loss(struct tk_pipe *pipe, int grpc, bool never_sent,
                 const char *details);

/* Whether no answer can be hoped for soon: even the last message on the wire
 * went out long ago. An older one proves nothing, since a store with much to
 * do answers late and all the time. */
bool
tk_pipe_is_slow(struct tk_pipe *pipe, int64_t now);

/* Whether the open message waits for a time, not for events. Lock held. */
static inline bool
tk_pipe_gathers(const struct tk_pipe *pipe)
{
    return pipe->rpc->gathers && pipe->gather.target != 0;
}

/* Timer: expires, sends what is held. When to come again. */
int64_t
tk_pipe_sweep(struct tk_pipe *pipe, int64_t now, struct tk_wakes *wakes);

/* ---- receive.c ---- */

void
tk_pipe_received(struct tk_stream *stream, tikv_slice data,
                 struct tk_frame *frame, struct tk_wakes *wakes);

/* ---- feed.c ---- */

/* One reference; NULL without memory. `name` lives on. */
struct tk_feed *
tk_feed_new(struct tk_rpc *rpc, const char *name);

/* Once. True: `lone` is told of the first event. */
bool
tk_feed_open(struct tk_feed *feed, struct tk_lone *lone, struct tk_link *link,
             const char *path, const char *const *metadata, tikv_slice bytes);

/* ---- lone.c ---- */

enum tk_submit
tk_lone_submit(struct tk_pipe *pipe, struct tk_request *request,
               const char *const *metadata);

/* The call is over, or a stream down has begun to speak: tells the request,
 * if somebody waits. Takes a reference of `frame`. */
void
tk_lone_done(struct tk_lone *lone, const struct tk_status *status,
             tikv_slice data, struct tk_frame *frame, struct tk_wakes *wakes);

/* Under the lock: nobody waits for this call any more. */
void
tk_lone_give_up(struct tk_pipe *pipe, struct tk_lone *lone);

/* Cancels what was given up. No lock held. */
void
tk_lone_cancel_all(struct tk_pipe *pipe);

void
tk_lone_free_all(struct tk_pipe *pipe);

/* Under the lock: the same, if none of them is in use. */
void
tk_lone_shrink(struct tk_pipe *pipe);

#endif
