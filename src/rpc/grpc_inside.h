/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the gRPC transport, shared by its files.
 *
 * An exchange is one call of C core: a stream or a unary call. Its memory is
 * recycled and freed only with the transport, so that a cancel or send that
 * comes late finds a lock and sees that the exchange has another owner.
 *
 *     FREE --begin--> live --status seen and ops_out == 0--> end --> FREE
 *
 * Locks, both rank WIRE and never nested: the transport's (live list, free
 * list, closed) and the exchange's (owner, call, ops_out, stop). C core and
 * the owner's callbacks are entered with neither.
 *
 * A completion queue is shut down when the transport is closed and no
 * exchange is live: nothing can begin then, and C core aborts the process
 * when something does.
 */
#ifndef TK_RPC_GRPC_INSIDE_H
#define TK_RPC_GRPC_INSIDE_H

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include "base/config.h"
#include "exec/mutex.h"
#include "rpc/transport.h"

struct tk_grpc;
struct tk_exchange;

/* What a completion queue gives back. */
struct tk_tag {
    void (*fn)(struct tk_exchange *, bool is_ok, struct tk_wakes *);
    struct tk_exchange *exchange;
    bool has_failed; /* whatever the event says: of one that was posted */
};

struct tk_poller {
    struct tk_grpc *grpc;
    grpc_completion_queue *cq;
    struct tk_thread *thread;
};

/* Credentials with what is known of them, to explain failures. */
struct tk_creds {
    _Atomic uint32_t refs;
    grpc_channel_credentials *creds;
    uint64_t version;
    uint64_t digest; /* of the texts */
    bool is_tls;
    bool has_cert;
    int64_t ca_end; /* seconds since 1970; where there is one */
    int64_t cert_end;
};

/* One version of a link's connection. Exchanges count it, so one that was
 * replaced lives until its last exchange has ended, and what happens to it
 * concerns nobody else. */
struct tk_channel {
    _Atomic uint32_t refs;
    grpc_channel *channel;
    struct tk_creds *creds;
    int64_t made_at;
};

struct tk_link {
    struct tk_link *next; /* of the transport's list */
    struct tk_poller *poller;
    uint32_t ordinal;
    struct tk_channel *channel; /* transport's lock; NULL: none yet, or at
                                   rest */
    char address[];
};

/* What of a file shows that it is another than before. */
struct tk_stamp {
    uint64_t inode;
    int64_t size;
    int64_t changed_s;
    int64_t changed_ns;
};

struct tk_watch {
    struct tk_timer timer;
    bool is_armed; /* or fired and not yet over */
    bool is_looking;
    struct tk_parker *closer;
    struct tk_stamp stamps[3]; /* who is looking */
};

struct tk_exchange {
    struct tk_grpc *grpc;     /* fixed */
    struct tk_exchange *next; /* live or free list: transport's lock */
    struct tk_exchange *prev;
    struct tk_exchange *next_of_all;
    bool is_told; /* transport's lock: to stop */

    struct tk_mutex lock; /* rank WIRE */
    const void *owner;    /* stream or unary; NULL: not live */
    struct tk_link *link;
    struct tk_channel *channel; /* a reference, while it is live */
    grpc_call *call;
    uint32_t ops_out;
    bool has_status;
    bool is_sending;
    bool is_asked; /* a stream down: a receive is under way */
    grpc_status_code stop; /* GRPC_STATUS_OK: nobody asked */

    /* The poller's alone, once the exchange has begun. */
    struct tk_stream *stream; /* one of the two */
    struct tk_unary *unary;
    bool is_paced; /* each receive is asked for */
    struct tk_tag begun; /* unary: the whole call */
    struct tk_tag ended;
    struct tk_tag received;
    struct tk_tag sent;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *incoming;
    grpc_byte_buffer *outgoing; /* the sender's, then of who tells its end */
};

struct tk_grpc {
    struct tk_transport base;
    struct tk_runtime *rt;
    const struct tk_config *config;
    struct tk_log *log;
    /* Set once, while pollers may already wait: the argument first, then the
     * function with release; a poller that sees the one sees the other. */
    void (*_Atomic idle)(void *, struct tk_wakes *);
    void *idle_arg;
    struct tk_poller *pollers;
    uint32_t pollers_count;

    struct tk_mutex lock; /* rank WIRE */
    struct tk_creds *creds; /* for connections made from now on */
    struct tk_watch watch;
    struct tk_link *links;
    uint32_t links_count; /* ever made: spreads them over pollers */
    struct tk_exchange *live;
    struct tk_exchange *free;
    struct tk_exchange *all;
    uint32_t live_count;
    bool closed;
    bool joined;
};

/* ---- grpc_creds.c ---- */

/* Reads and checks what security.* names, on the day `wall` (nanoseconds
 * since 1970); insecure credentials without a CA. */
tikv_error *
tk_creds_load(const struct tk_config *config, int64_t wall,
              struct tk_creds **out);

void
tk_creds_unref(struct tk_creds *creds);

/* Puts what `details` mean for whoever sees them in front of them. */
void
tk_creds_explain(const struct tk_creds *creds, int64_t wall, bool never_sent,
                 char *details, size_t size);

/* ---- grpc_watch.c ---- */

/* Remembers what the files are, before they are read the first time. */
void
tk_grpc_watch_look(struct tk_grpc *grpc);

void
tk_grpc_watch_start(struct tk_grpc *grpc);

/* After `closed` was set. */
void
tk_grpc_watch_stop(struct tk_grpc *grpc);

/* ---- grpc_channel.c ---- */

/* The link's connection for something new, with a reference: made where there
 * is none, or where credentials were renewed. NULL: closed, or no memory. */
struct tk_channel *
tk_link_channel(struct tk_grpc *grpc, struct tk_link *link);

void
tk_channel_unref(struct tk_channel *channel);

/* Takes the link's connection away from it; one that is used only if
 * `is_used` allows it. */
void
tk_link_drop(struct tk_grpc *grpc, struct tk_link *link, bool is_used);

/* The table's. */
void
tk_grpc_rest(struct tk_transport *transport, struct tk_link *link,
             bool is_used);

bool
tk_grpc_is_stale(struct tk_transport *transport, struct tk_link *link,
                 int64_t before);

enum tk_link_state
tk_grpc_state(struct tk_transport *transport, struct tk_link *link);

/* ---- grpc_poll.c ---- */

tikv_error *
tk_grpc_pollers_start(struct tk_grpc *grpc);

void
tk_grpc_pollers_shutdown(struct tk_grpc *grpc);

void
tk_grpc_pollers_join(struct tk_grpc *grpc);

bool
tk_grpc_is_delivering(struct tk_transport *transport);

/* start_batch, made visible to the thread sanitizer. */
bool
tk_grpc_start(grpc_call *call, const grpc_op *ops, size_t count,
              struct tk_tag *tag);

/* The same for what usually completes at once, without the way through the
 * queue, which would wake its poller for nothing. Returns what has completed
 * on this thread meanwhile, and what became of it: `tag`, or another operation
 * of any exchange of the queue, which the caller must post; or NULL. */
struct tk_tag *
tk_grpc_start_here(grpc_call *call, const grpc_op *ops, size_t count,
                   struct tk_tag *tag, grpc_completion_queue *cq, bool *is_ok);

/* Gives an operation that is over to the poller of its exchange. */
void
tk_grpc_post(grpc_call *call, struct tk_tag *tag, bool is_ok);

/* ---- grpc_exchange.c ---- */

/* A live exchange of `owner`; NULL: closed, or no memory. */
struct tk_exchange *
tk_exchange_begin(struct tk_grpc *grpc, struct tk_link *link,
                  const void *owner);

/* Makes its call. `ops` are counted as outstanding. A reference of the call
 * is the caller's; *stop is what was asked for meanwhile. */
grpc_call *
tk_exchange_call(struct tk_exchange *exchange, const char *path,
                 gpr_timespec deadline, uint32_t ops, grpc_status_code *stop);

/* An operation that was counted is over; true: it was the last, and the
 * status was seen: the exchange must end. */
bool
tk_exchange_op_done(struct tk_exchange *exchange, bool is_status);

/* The same away from the poller, where no exchange may end: false, and
 * nothing is counted, where it would. */
bool
tk_exchange_op_leaves(struct tk_exchange *exchange);

/* What the exchange came to; details live in `buffer`. Frees the call. */
void
tk_exchange_status(struct tk_exchange *exchange, char *buffer, size_t size,
                   struct tk_status *out);

/* After the owner's last event. */
void
tk_exchange_end(struct tk_exchange *exchange);

/* Asks for the end, if `owner` (NULL: whoever) or `link` still has it. */
void
tk_exchange_stop(struct tk_exchange *exchange, const void *owner,
                 const struct tk_link *link, grpc_status_code status);

/* All of a link, or all. */
void
tk_exchange_stop_all(struct tk_grpc *grpc, const struct tk_link *link,
                     grpc_status_code status);

void
tk_exchange_free_all(struct tk_grpc *grpc);

/* The metadata operations' flags and arrays. `array` has room for
 * TK_METADATA_MAX. */
#define TK_METADATA_MAX 8

size_t
tk_metadata_fill(grpc_metadata *array, const char *const *metadata);

void
tk_metadata_drop(grpc_metadata *array, size_t count);

/* The bytes of a message in a frame of one reference; takes `buffer`. NULL
 * without memory or when the bytes cannot be read. */
struct tk_frame *
tk_grpc_frame(grpc_byte_buffer *buffer, tikv_slice *data);

/* ---- grpc_stream.c, grpc_call.c: the table ---- */

bool
tk_grpc_open(struct tk_transport *transport, struct tk_link *link,
             const char *path, const char *const *metadata,
             struct tk_stream *stream);

bool
tk_grpc_send(struct tk_transport *transport, struct tk_stream *stream,
             tikv_slice bytes);

void
tk_grpc_cancel(struct tk_transport *transport, struct tk_stream *stream);

bool
tk_grpc_feed(struct tk_transport *transport, struct tk_link *link,
             const char *path, const char *const *metadata, tikv_slice bytes,
             struct tk_stream *stream);

void
tk_grpc_next(struct tk_transport *transport, struct tk_stream *stream);

bool
tk_grpc_unary(struct tk_transport *transport, struct tk_link *link,
              const char *path, const char *const *metadata, tikv_slice bytes,
              int64_t deadline, struct tk_unary *unary);

void
tk_grpc_unary_cancel(struct tk_transport *transport, struct tk_unary *unary);

#endif
