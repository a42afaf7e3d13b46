/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the keys as they were at one timestamp. A snapshot remembers what
 * it learned: values it read (a cache), and which transactions' locks can be
 * ignored or read through. It is counted: iterators and futures hold it.
 *
 * Points, batches and scans run in rounds (resolver.h): ask, resolve the
 * locks met, ask again for what is left, within one budget.
 *
 * Any thread, many reads at a time. Lock: rank LEAF, for the sets and the
 * cache; never held while waiting.
 */
#ifndef TK_TXN_SNAPSHOT_H
#define TK_TXN_SNAPSHOT_H

#include "base/value.h"
#include "region/hot.h"
#include "txn/client.h"

/* What is read of one key. */
struct tk_found {
    tikv_slice value;   /* no data: not there */
    uint64_t commit_ts; /* 0: not asked for */
};

/* Values of kvrpcpb.IsolationLevel. */
enum tk_isolation {
    TK_ISOLATION_SI = 0,
    TK_ISOLATION_RC = 1,         /* passes locks by: no repeatable reads */
    TK_ISOLATION_RC_CHECK_TS = 2 /* newer versions are a write conflict */
};

struct tk_snapshot_options {
    uint64_t version; /* UINT64_MAX: the newest; points only */
    uint8_t isolation;
    bool no_fill_cache; /* of TiKV's block cache */
    bool no_cache;      /* of this snapshot */
    uint64_t task_id;
    size_t cache_bytes;       /* of this snapshot's; 0: TK_SNAPSHOT_CACHE */
    struct tk_read_mode read; /* of all reads; strings are copied */

    /* The start ts of a transaction whose own locks are no obstacle; 0. */
    uint64_t own_ts;
};

#define TK_SNAPSHOT_CACHE ((size_t)1 << 20)

/* What a snapshot's reads have cost so far. */
enum tk_snapshot_stat {
    TK_STAT_GETS,               /* requests: KvGet */
    TK_STAT_BATCH_GETS,         /* KvBatchGet */
    TK_STAT_SCANS,              /* KvScan */
    TK_STAT_CACHE_HITS,         /* keys that needed no request */
    TK_STAT_LOCKS,              /* met */
    TK_STAT_RESOLVE_NS,         /* spent on locks, waiting included */
    TK_STAT_BACKOFF_MS,         /* slept, whatever for */
    TK_STAT_PROCESSED_VERSIONS, /* TiKV's own account, from here on */
    TK_STAT_PROCESSED_BYTES,
    TK_STAT_TOTAL_VERSIONS,
    TK_STAT_SERVER_WAIT_NS,
    TK_STAT_SERVER_PROCESS_NS,
    TK_STATS
};

struct tk_snapshot;

/* NULL without memory. One reference. */
struct tk_snapshot *
tk_snapshot_new(struct tk_txn_client *client,
                const struct tk_snapshot_options *options);

void
tk_snapshot_ref(struct tk_snapshot *snapshot);

void
tk_snapshot_unref(struct tk_snapshot *snapshot);

uint64_t
tk_snapshot_version(const struct tk_snapshot *snapshot);

uint64_t
tk_snapshot_stat(const struct tk_snapshot *snapshot,
                 enum tk_snapshot_stat stat);

/* found[i] for keys[i], of which there may be many and equal ones; all are
 * absent on error. The values live as long as `hold`, to which nothing is
 * added but memory. One key is a get, more are a batch get. */
tikv_error *
tk_snapshot_get(struct tk_snapshot *snapshot, struct tk_op *op,
                const tikv_slice *keys, size_t count, bool with_commit_ts,
                tikv_pairs *hold, struct tk_found *found)
    __attribute__((warn_unused_result));

/* The same for what a hot attempt at the one key found out; NULL: nothing. */
tikv_error *
tk_snapshot_get_after(struct tk_snapshot *snapshot, struct tk_op *op,
                      const tikv_slice *keys, size_t count, bool with_commit_ts,
                      struct tk_first *first, tikv_pairs *hold,
                      struct tk_found *found)
    __attribute__((warn_unused_result));

/* ---- the short road: one key ---- */

/* Of a block whose future was just made: snapshot (one reference), key (which
 * stands behind it) and with_commit_ts are set, and tk_hot_init() was called.
 */
struct tk_snapshot_hot {
    struct tk_hot hot; /* first */
    struct tk_snapshot *snapshot;
    tikv_slice key;
    bool with_commit_ts;
    /* Of the answer. */
    uint64_t commit_ts;
    tikv_slice details;
};

/* Whether its reads can begin there. */
bool
tk_snapshot_is_hot(const struct tk_snapshot *snapshot);

/* Sends the first attempt, or hands the future to the pool, which runs
 * tk_snapshot_get_after(). It may be complete when this returns. */
void
tk_snapshot_hot_start(struct tk_snapshot_hot *hot);

/* ---- scans ---- */

struct tk_scan_options {
    uint32_t page_count;  /* pairs of a page at most; 0: configured */
    size_t page_bytes;    /* about; 0: no limit */
    uint32_t sample_step; /* of each n keys one; 0: all */
    bool reverse;
    bool keys_only; /* values absent */
};

/* The first page of the range; tikv_pairs_next() of it is the range after, if
 * there is one: a page may be empty and not the last. Reverse scans go from
 * the end (excluded) down to the start. */
tikv_error *
tk_snapshot_scan(struct tk_snapshot *snapshot, struct tk_op *op,
                 tikv_range range, const struct tk_scan_options *options,
                 tikv_pairs **out) __attribute__((warn_unused_result));

#endif
