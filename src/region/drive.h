/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one loop that waits for answers of stores, used by every operation: one
 * shard for a point operation, one per region for a batch or a range.
 *
 *     shard  NEW --submit--> SENT --answer clean--> DONE
 *                              ^ \--trouble--> ASLEEP (wake_at) --+
 *                              +----------------------------------+
 *
 * The loop sends what is due, parks until the earliest of (a reply, the end
 * of a shard's backoff, deadline, cancel), handles that shard and goes on.
 * Each shard has its own budget and history; a region error that moved
 * boundaries replaces a shard by as many as fresh regions demand. At most
 * TK_DRIVE_INFLIGHT shards are on the wire. After the first final error
 * nothing new is sent; what is in flight is awaited, so that as little as
 * possible ends in doubt, unless the op itself ends (cancel, deadline,
 * close): then it is taken back.
 *
 * A job and its shards live on the runner's stack or its arena.
 */
#ifndef TK_REGION_DRIVE_H
#define TK_REGION_DRIVE_H

#include "region/backoff.h"
#include "region/cache.h"
#include "region/read.h"
#include "rpc/feed.h"

#define TK_DRIVE_INFLIGHT 128

/* What operations need of a client; fixed after open. */
struct tk_router {
    struct tk_exec *exec;
    struct tk_runtime *rt;
    struct tk_rpc *rpc;
    struct tk_pd *pd;
    struct tk_stores *stores;
    struct tk_cache *cache;
    const struct tk_config *config;
    struct tk_log *log;
    struct tk_key_codec codec;
};

struct tk_job;

/* What one request of the job covers: items [first, first + count) of the
 * job, which are in ascending order of their keys and all in one region; or,
 * in a job of a range, [start, end) clamped to the region. */
struct tk_piece {
    size_t first;
    size_t count;
    tikv_slice start;
    tikv_slice end;
    uint64_t region_id;
};

/* A region as somebody knew it; its version changes with its bounds. */
struct tk_region_pin {
    uint64_t region_id; /* 0: any */
    uint64_t version;
};

struct tk_job_ops {
    /* Key of an item; NULL in jobs of a range. */
    tikv_slice (*key)(struct tk_job *, size_t item);

    /* Bytes an item adds to a request; NULL: only the count limits. */
    size_t (*weight)(struct tk_job *, size_t item);

    /* The encoded request without its context, in memory of `arena` (or the
     * job's own) that lives until the piece is answered. */
    tikv_error *(*encode)(struct tk_job *, const struct tk_piece *,
                          struct tk_arena *arena, tikv_slice *body);

    /* An answer without region error. An error ends the job. `frame` keeps
     * the bytes; whoever keeps pointers into them takes a reference. */
    tikv_error *(*answer)(struct tk_job *, const struct tk_piece *,
                          tikv_slice response, struct tk_frame *frame);

    /* The piece was not finished: `in_doubt` when a request of it was sent
     * and never answered. NULL: nobody wants to know. */
    void (*lost)(struct tk_job *, const struct tk_piece *, bool in_doubt);
};

struct tk_job {
    const struct tk_job_ops *ops;
    enum tk_command command;
    size_t items_count; /* 0: a job of `range` */
    tikv_range range;
    size_t piece_count_max; /* items in one request; 0: no limit */
    size_t piece_bytes_max; /* weight in one request; 0: no limit */
    int64_t budget_ms;      /* backoff of each shard, weighted */
    int64_t attempt_ms;     /* of one attempt; 0: what the command has */
    struct tk_region_pin pin;  /* in another region the body makes no sense */
    uint64_t max_execution_ms; /* for the Context; 0: the attempt's time */
    bool is_repeatable;        /* a write that may be done twice or not at
                                  all: never in doubt */
    bool is_retry;    /* an earlier job sent these items: tell the store */
    bool tells_doubt; /* `in_doubt` alone: the error stays what it is */
    struct tk_read_mode read;  /* of reads; all zero: of the leader */
    bool patches_source; /* the call's request_source gets in front which kind
                          * of replica is asked, and whether again */
    /* Encoded fields of kvrpcpb.Context that the operation wants in each of
     * its requests (isolation, resolved locks); empty: none. */
    tikv_slice context;
    /* What the operation waited before this job, in earlier rounds: counts
     * against the budget and is told with it. NULL: nothing. */
    const struct tk_backoff *history;
    /* Filled by the loop. */
    struct tk_feed *feed; /* of a command that is answered by a stream: there
                           * when `answer` is called, with its first message;
                           * the job's from then on */
    uint32_t attempts;
    uint32_t unanswered; /* attempts of a write, whatever came later */
    bool in_doubt; /* a write that was not finished may have been done */
    struct tk_backoff backoff; /* the last finished shard's totals */
};

/* What a hot first attempt found out, for the plain function to begin with:
 * as if it had sent that attempt itself. */
struct tk_first {
    bool is_set;
    struct tk_route route;
    enum tk_reply_status status;
    int grpc;
    bool never_sent;
    size_t sent_bytes;
    int64_t ended_at;
    tikv_slice data; /* in frame */
    struct tk_frame *frame; /* one reference, taken over by tk_drive */
};

/* Runs the job to its end. `first`, which may be NULL, belongs to the first
 * and only item. Errors carry region, store, attempts and times; a write
 * that ended in doubt is UNDETERMINED, with the cause in its message. */
tikv_error *
tk_drive(struct tk_router *router, struct tk_op *op, struct tk_job *job,
         struct tk_first *first);

#endif
