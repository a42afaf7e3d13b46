/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the snapshot share. */
#ifndef TK_TXN_SNAPSHOT_INNER_H
#define TK_TXN_SNAPSHOT_INNER_H

#include "exec/mutex.h"
#include "txn/read_cache.h"
#include "txn/resolver.h"
#include "txn/snapshot.h"

struct kvrpcpb_ExecDetailsV2;

struct tk_snapshot {
    struct tk_txn_client *client;
    struct tk_snapshot_options options; /* fixed, like all up to the lock */
    struct tk_arena *arena;             /* of strings in options; or NULL */
    _Atomic uint32_t refs;
    _Atomic uint64_t stats[TK_STATS]; /* relaxed */
    struct tk_mutex lock;
    struct tk_read_cache cache; /* lock */
    struct tk_ts_set bypass;    /* lock */
    struct tk_ts_set access;    /* lock */
};

/* One read of a snapshot's through all its rounds. */
struct tk_reading {
    struct tk_snapshot *snapshot;
    struct tk_op *op;
    struct tk_backoff backoff;
    struct tk_lock_set locks; /* met in this round */
    struct tk_ts_set bypass;  /* the snapshot's, and what was found since */
    struct tk_ts_set access;
    struct tk_buf context;   /* fields of the Context, of this round */
    bool is_lite;            /* one key */
    bool waits_for_cleaning; /* nobody reads through these locks */
    bool met_locks;          /* in some round: no more stale reads */
    uint64_t blocker;        /* a point read of the newest: the first lock's */
};

static inline void
tk_snapshot_count(struct tk_snapshot *snapshot, enum tk_snapshot_stat stat,
                  uint64_t number)
{
    atomic_fetch_add_explicit(&snapshot->stats[stat], number,
                              memory_order_relaxed);
}

/* Checks, too, that the version is one (OR-3). */
tikv_error *
tk_reading_init(struct tk_reading *reading, struct tk_snapshot *snapshot,
                struct tk_op *op) __attribute__((warn_unused_result));

void
tk_reading_fini(struct tk_reading *reading);

/* A job of this round: mode, context, budget, history. */
tikv_error *
tk_reading_job(struct tk_reading *reading, struct tk_job *job,
               const struct tk_job_ops *ops, enum tk_command command)
    __attribute__((warn_unused_result));

/* Runs it; counts its requests. */
tikv_error *
tk_reading_drive(struct tk_reading *reading, struct tk_job *job,
                 struct tk_first *first) __attribute__((warn_unused_result));

/* After a round: resolves the locks met, waits if that has to be, forgets
 * them. */
tikv_error *
tk_reading_resolve(struct tk_reading *reading)
    __attribute__((warn_unused_result));

/* A problem of `key` (absent: it is told there): a lock is gathered, others
 * are the read's error. */
struct kvrpcpb_KeyError;
tikv_error *
tk_reading_problem(struct tk_reading *reading, const struct tk_job *job,
                   const struct kvrpcpb_KeyError *problem, tikv_slice key)
    __attribute__((warn_unused_result));

/* Adds TiKV's account to the statistics; NULL: it gave none. */
void
tk_snapshot_details(struct tk_snapshot *snapshot,
                    const struct kvrpcpb_ExecDetailsV2 *details);

/* Into the cache, if there is one. */
void
tk_snapshot_remember(struct tk_snapshot *snapshot, tikv_slice key,
                     tikv_slice value, bool has_commit_ts, uint64_t commit_ts);

/* Fields of the Context that all reads of the snapshot send: how many bytes
 * were written, TK_SNAPSHOT_FIXED at most. */
#define TK_SNAPSHOT_FIXED 36

size_t
tk_snapshot_fixed(const struct tk_snapshot *snapshot, uint8_t *out);

/* All its fields, with whose locks to ignore or to read through. */
void
tk_snapshot_context(const struct tk_snapshot *snapshot,
                    const struct tk_ts_set *bypass,
                    const struct tk_ts_set *access, struct tk_buf *out);

/* The read is over and brought something: is it right? */
tikv_error *
tk_reading_check(struct tk_reading *reading)
    __attribute__((warn_unused_result));

#endif
