/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of a stream, for stream.c and batch.c. All fields are guarded by
 * the cluster's lock; `events` and `arg` are fixed.
 */
#ifndef TK_CLUSTER_STREAM_H
#define TK_CLUSTER_STREAM_H

#include "cluster/flow.h"

struct tk_cl_message {
    struct tk_cl_message *next;
    uint64_t mark; /* it is said when this is kept */
    struct tk_buf bytes;
};

struct tk_cluster_stream {
    struct tk_cluster *cluster;
    struct tk_cluster_stream *next; /* of the cluster */
    struct tk_cluster_stream *prev;
    struct tk_cluster_stream_events events;
    void *arg;
    tk_node node;                 /* that was called; a relay, perhaps */
    struct tk_cl_request request; /* what its requests begin as */
    void (*take)(struct tk_cluster_stream *, tikv_slice bytes);
    void (*answer)(struct tk_cluster_stream *, struct tk_cl_delayed *);
    struct tk_cl_message *first; /* to be said */
    struct tk_cl_message *last;
    struct tk_cl_message *spare;
    struct tk_cl_delayed *delayed;
    struct tk_parker *speaker; /* while is_speaking */
    struct tk_parker *closer;  /* waits for the speaker */
    int refusal;               /* a status instead of everything */
    int status;
    char text[160];
    bool is_speaking;
    bool is_finished; /* by the client */
    bool is_over;     /* for the server: nothing is executed any more */
    bool has_ended;   /* and the client was told */
    bool is_freed;
    bool is_orphan; /* freed by the speaker when it is done */
    bool has_news;  /* others have queued something */
    bool is_held;   /* what it has to say is not kept yet */
    struct tk_cl_watch *watches;  /* pd_watch.c, in order of ids */
    struct tk_cl_message *summary; /* of a stream up: said at its end */
    /* A request that is answered by several messages. */
    bool has_more;
    struct tk_buf asked; /* it, once it had more */
    struct tk_buf from;
    /* batch */
    struct tk_buf ids;      /* of the message that is taken */
    struct tk_buf answered; /* ids of the message that is made */
    int64_t health_at;      /* when the next feedback is due */
};

struct tk_cl_message *
tk_cl_message_new(struct tk_cluster_stream *stream);

void
tk_cl_message_free(struct tk_cluster_stream *stream,
                   struct tk_cl_message *message);

void
tk_cl_stream_queue(struct tk_cluster_stream *stream,
                   struct tk_cl_message *message);

/* The end is due: after what is queued when OK, else at once. */
void
tk_cl_stream_over(struct tk_cluster_stream *stream, int status,
                  const char *text);

/* As above, but what is queued is said first in any case. */
void
tk_cl_stream_conclude(struct tk_cluster_stream *stream, int status,
                      const char *text);

/* The connection breaks: nothing more is said. */
void
tk_cl_stream_break(struct tk_cluster_stream *stream, const char *text);

/* Says what is to be said and unlocks; the stream may be gone then. */
void
tk_cl_stream_pump(struct tk_cluster_stream *stream);

/* It is looked at when it is due; in streams with an order, in its turn. */
void
tk_cl_stream_delay(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed, int64_t due);

/* ---- pd_watch.c ---- */

void
tk_cl_watches_free(struct tk_cluster_stream *stream);

/* ---- stream_order.c ---- */

void
tk_cl_order_message(struct tk_cluster_stream *stream, tikv_slice bytes);

void
tk_cl_order_answer(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed);

/* ---- batch.c ---- */

void
tk_cl_batch_message(struct tk_cluster_stream *stream, tikv_slice bytes);

void
tk_cl_batch_answer(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed);

#endif
