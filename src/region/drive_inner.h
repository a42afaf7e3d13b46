/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the loop, shared by its five files: drive.c waits and ends,
 * drive_aim.c finds the region and the replica, drive_send.c cuts and sends,
 * drive_judge.c decides what an answer means, drive_hedge.c asks twice. One
 * thread, the runner's; only tk_shard_done() runs on the transport's and
 * touches nothing but the reply and the note.
 */
#ifndef TK_REGION_DRIVE_INNER_H
#define TK_REGION_DRIVE_INNER_H

#include "region/choose.h"
#include "region/drive.h"
#include "wire/arena.h"

/* Kinds of replica, as request sources name them. */
enum { TK_KIND_LEADER = 1, TK_KIND_FOLLOWER = 2, TK_KIND_STALE = 4 };

struct tk_shard {
    struct tk_request request; /* first */
    struct tk_note note;
    struct tk_op *op;
    struct tk_shard *prev;
    struct tk_shard *next;
    struct tk_piece piece;
    struct tk_route route;
    bool has_route;
    struct tk_backoff backoff;
    int64_t wake_at;
    enum tk_backoff_kind paused; /* until then, by */
    struct tk_arena *arena; /* holds the body; NULL: to be encoded */
    tikv_slice body;
    tikv_error *cause; /* the last trouble */
    uint32_t attempts;
    uint32_t sleepless;   /* retries that cost no pause */
    bool was_sent;        /* some attempt may have reached a store */
    bool in_doubt;        /* one of them was never answered */
    bool ends_with_op;    /* the attempt's deadline is the op's */
    bool wants_flush;     /* was held only because more followed */
    enum tk_reply_status status;
    int grpc;
    bool never_sent;
    tikv_slice data;
    struct tk_frame *frame;
    struct tk_feed *feed; /* with the first message of a stream */
    char details[96];

    /* The attempt: where to, and how. */
    struct tk_store *via; /* who forwards it, or NULL */
    uint32_t via_epoch;
    bool is_aimed; /* all this is decided; it only had to pause */
    bool replica_read;
    bool stale_read;
    uint32_t busy_threshold_ms;
    uint64_t buckets_version; /* as the store was told; 0: not */
    struct tk_store *counted; /* whose requests it is one of, or NULL */
    int64_t sent_at;
    struct tk_shard *twin; /* asks the same elsewhere; both are sent */
    int64_t hedge_at;      /* then it gets one */
    bool is_hedge;         /* the later one, until it goes on alone */
    bool is_void;          /* the other one won */
    uint8_t first_kind; /* of replica, of the first attempt; 0: none yet */

    /* The round, if one was begun: the first attempt of most does without. */
    bool has_round;
    bool lacks_timeout; /* all replicas took longer than the read may */
    struct tk_selector selector; /* last: not cleared with the shard */
};

struct tk_shards {
    struct tk_shard *first;
    struct tk_shard *last;
    size_t count;
};

struct tk_run {
    struct tk_router *router;
    struct tk_op *op;
    struct tk_job *job;
    const struct tk_command_row *row;
    struct tk_shards ready;
    struct tk_shards asleep;
    struct tk_shards sent;
    struct tk_shard *spare;
    struct tk_buf context; /* call part, read during submit only */
    struct tk_buf end;     /* of the region at hand */
    struct tk_buf source;  /* as context: the request source */
    struct tk_arena *bounds; /* ends of regions that ranges were cut at */
    int64_t hedge_ns;      /* so late, reads are hedged; 0: never */
    tikv_error *error;     /* the first one */
    bool in_doubt;         /* something unfinished may have been done */
    struct tk_shard own;   /* a point operation allocates nothing */
    bool own_is_used;
};

/* ---- drive.c ---- */

void
tk_shards_push(struct tk_shards *list, struct tk_shard *shard);

void
tk_shards_push_front(struct tk_shards *list, struct tk_shard *shard);

void
tk_shards_remove(struct tk_shards *list, struct tk_shard *shard);

/* A shard on no list; NULL without memory. */
struct tk_shard *
tk_shard_new(struct tk_run *run);

/* Off all lists: as if it had never been. */
void
tk_shard_drop(struct tk_run *run, struct tk_shard *shard);

/* Off all lists: the piece was answered. */
void
tk_shard_finish(struct tk_run *run, struct tk_shard *shard);

/* Off all lists: the piece ends with `error` (taken), and so does the job. */
void
tk_shard_fail(struct tk_run *run, struct tk_shard *shard, tikv_error *error);

/* Off all lists: pauses by `kind`, or goes on at once (TK_BACKOFF_KINDS);
 * ends when the budget is used up. shard->cause says why. */
void
tk_shard_pause(struct tk_run *run, struct tk_shard *shard,
               enum tk_backoff_kind kind, int64_t ceiling_ms);

void
tk_shard_set_cause(struct tk_shard *shard, tikv_error *cause);

/* ---- drive_aim.c ---- */

static inline bool
tk_run_is_range(const struct tk_run *run)
{
    return run->job->items_count == 0;
}

/* The first key of the shard: where its region is found. */
tikv_slice
tk_shard_key(const struct tk_run *run, const struct tk_shard *shard);

/* Requests may be cut, so the region's end must be known. */
bool
tk_shard_needs_end(const struct tk_run *run, const struct tk_shard *shard);

/* Whether replicas may serve the command. */
bool
tk_run_reads(const struct tk_run *run);

/* Coprocessors tell, and are told, how the region is cut (RC-10). */
static inline bool
tk_run_compares_buckets(const struct tk_run *run)
{
    return run->job->command == TK_CMD_COPROCESSOR ||
           run->job->command == TK_CMD_COPROCESSOR_STREAM;
}

/* Decides where the next attempt goes. NULL: the shard is on a list, or
 * over. */
struct tk_conn *
tk_shard_aim(struct tk_run *run, struct tk_shard *shard);

/* A round about the last attempt, if the record it went to is still there. */
bool
tk_shard_has_round(struct tk_run *run, struct tk_shard *shard);

/* ---- drive_send.c ---- */

/* Splits the shard so that it fits into its region and one request. */
tikv_error *
tk_shard_cut(struct tk_run *run, struct tk_shard *shard);

/* It is under way no more. */
void
tk_shard_uncount(struct tk_shard *shard);

/* Sends a shard that is aimed; it ends as below. */
void
tk_shard_submit(struct tk_run *run, struct tk_shard *shard,
                struct tk_conn *conn);

/* The attempt goes to another zone. */
static inline bool
tk_shard_is_far(const struct tk_run *run, const struct tk_shard *shard)
{
    return tk_store_is_far(shard->via != NULL ? shard->via
                                              : shard->route.store,
                           run->router->config);
}

/* Takes a shard that is on no list; it ends on one, or finished. */
void
tk_shard_send(struct tk_run *run, struct tk_shard *shard);

/* ---- drive_hedge.c ---- */

int64_t
tk_run_hedge_ns(const struct tk_run *run);

/* Sends second requests that are due; returns when the next one is. */
int64_t
tk_run_hedge(struct tk_run *run);

/* On no list: gets out of the way of its twin. False: it has none. */
bool
tk_shard_retire(struct tk_run *run, struct tk_shard *shard);

/* The answer is valid: its twin, if there is one, is not waited for. */
void
tk_shard_win(struct tk_run *run, struct tk_shard *shard);

/* ---- drive_judge.c ---- */

/* The reply of a shard that is on no list. */
void
tk_shard_judge(struct tk_run *run, struct tk_shard *shard);

/* The attempt ended without an answer. */
void
tk_shard_doubt(struct tk_run *run, struct tk_shard *shard);

#endif
