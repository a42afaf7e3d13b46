/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_SNAPSHOT_H
#define TIKV_SNAPSHOT_H

/**
 * Transactional data as it was at one timestamp. A snapshot sees all that was
 * committed at or before its version, and nothing else, for as long as PD's
 * safe point stays below the version; then its reads are TIKV_ERR_TOO_OLD.
 *
 * Locks of transactions on their way are no obstacle: dead ones are resolved,
 * living ones are told to commit later than the version. Only an async commit
 * that may already be committed has to be waited for; TIKV_ERR_LOCK_WAIT when
 * that takes longer than the budget (`backoff.txn_read_ms`).
 *
 * A snapshot may be used by any number of threads at a time. It remembers
 * what it read. It costs the cluster nothing.
 */

#include <tikv/future.h>
#include <tikv/raw.h>

TIKV_BEGIN_DECLS

typedef struct tikv_snapshot tikv_snapshot;
typedef struct tikv_iter tikv_iter;

/* A version that means "the newest, each time". Single keys only. */
#define TIKV_VERSION_NEWEST UINT64_MAX

/* How locks and newer versions are looked at. */
#define TIKV_ISOLATION_SNAPSHOT INT32_C(0)
#define TIKV_ISOLATION_READ_COMMITTED INT32_C(1) /* ignores locks */
#define TIKV_ISOLATION_CHECK_TS INT32_C(2) /* newer is a WRITE_CONFLICT */

/* Which replicas may answer. */
#define TIKV_READ_FROM_LEADER INT32_C(0)
#define TIKV_READ_FROM_FOLLOWER INT32_C(1)
#define TIKV_READ_FROM_ANY INT32_C(2)
#define TIKV_READ_FROM_PREFER_LEADER INT32_C(3)
#define TIKV_READ_FROM_LEARNER INT32_C(4)

typedef struct tikv_snapshot_options {
    tikv_call call; /* of opening it; reads have their own */

    /* 0: a new timestamp of PD's. */
    uint64_t version;

    int32_t isolation; /* TIKV_ISOLATION_... */
    int32_t read_from; /* TIKV_READ_FROM_... */

    /* The replica asked may answer without its leader: for versions of some
     * seconds ago. Default off. */
    tikv_switch stale_read;

    /* Whether TiKV keeps what is read in its block cache. Default on. */
    tikv_switch fill_cache;

    /* Whether the snapshot remembers what it reads, up to `cache_bytes` (0: 1
     * MiB). Default on. */
    tikv_switch remember;

    /* Leader reads: ask idle followers when requests wait longer than that at
     * the leader's store. 0: never. */
    uint32_t busy_threshold_ms;
    uint64_t cache_bytes;

    /* Of one attempt at one replica, before the next one is asked; 0: what
     * the client is configured for. */
    int64_t attempt_timeout_ms;

    /* Stores to prefer, by all of their labels: "zone=z1,disk=ssd". */
    const char *labels;

    /* Context.task_id: reads of one task are scheduled together. */
    uint64_t task_id;

    /* Gets the account of opening it: details.h. */
    tikv_details *details;
} tikv_snapshot_options;
#define TIKV_SNAPSHOT_OPTIONS_INIT                                             \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_snapshot_options)),                     \
      0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, NULL }

TIKV_API void
tikv_snapshot_options_init(tikv_snapshot_options *options, size_t struct_size);

typedef struct tikv_read_options {
    tikv_call call;
    uint32_t flags; /* TIKV_READ_... */
    uint32_t reserved;
    tikv_details *details; /* gets the call's account: details.h */
} tikv_read_options;
#define TIKV_READ_OPTIONS_INIT                                                 \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_read_options)), 0, 0, NULL }

/* With each value when it was committed: tikv_value_commit_ts(),
 * tikv_pairs_commit_ts(). */
#define TIKV_READ_COMMIT_TS UINT32_C(1)

TIKV_API void
tikv_read_options_init(tikv_read_options *options, size_t struct_size);

typedef struct tikv_range_options {
    tikv_call call;
    uint32_t page_count;  /* pairs of a page at most; 0: `scan.page_count` */
    uint32_t flags;       /* TIKV_SCAN_REVERSE, TIKV_SCAN_KEYS_ONLY */
    uint64_t page_bytes;  /* keys and values of a page, about; 0: no limit */
    uint32_t sample_step; /* of each n keys one; 0: all */
    uint32_t reserved;
    tikv_details *details; /* as above; of a page; not of iterators */
} tikv_range_options;
#define TIKV_RANGE_OPTIONS_INIT                                                \
    { TIKV_CALL_INIT_SIZED(sizeof(tikv_range_options)), 0, 0, 0, 0, 0, NULL }

TIKV_API void
tikv_range_options_init(tikv_range_options *options, size_t struct_size);

/* Blocks for a timestamp when the options name none. TIKV_ERR_ARGUMENT for a
 * version that no timestamp can be; one that PD has not given yet is found
 * out by the first read. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_snapshot_open(tikv_client *client, const tikv_snapshot_options *options,
                   tikv_snapshot **out);

TIKV_API uint64_t
tikv_snapshot_version(const tikv_snapshot *snapshot);

/* Reads that are running go on. */
TIKV_API void
tikv_snapshot_free(tikv_snapshot *snapshot);

/* `*out` is the value, or NULL when the key holds none. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_snapshot_get(tikv_snapshot *snapshot, tikv_slice key,
                  const tikv_read_options *options, tikv_value **out);

/* One pair per key, in the order asked, absent values included. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_snapshot_batch_get(tikv_snapshot *snapshot, const tikv_slice *keys,
                        size_t count, const tikv_read_options *options,
                        tikv_pairs **out);

/**
 * One page of a range, in the order of the keys; with TIKV_SCAN_REVERSE from
 * its end (excluded) down to its start (included).
 *
 * tikv_pairs_next() gives the range of the page after; a page may be empty
 * and not the last one. Blocks. TIKV_ERR_ARGUMENT for TIKV_VERSION_NEWEST.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_snapshot_scan(tikv_snapshot *snapshot, tikv_range range,
                   const tikv_range_options *options, tikv_pairs **out);

/* Promised; never NULL: taken by tikv_future_take_value(), _take_pairs(). */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_snapshot_get_async(tikv_snapshot *snapshot, tikv_slice key,
                        const tikv_read_options *options);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_snapshot_batch_get_async(tikv_snapshot *snapshot, const tikv_slice *keys,
                              size_t count, const tikv_read_options *options);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_snapshot_scan_async(tikv_snapshot *snapshot, tikv_range range,
                         const tikv_range_options *options);

/* When the value was committed; 0 when the read did not ask. */
TIKV_API uint64_t
tikv_value_commit_ts(const tikv_value *value);

TIKV_API uint64_t
tikv_pairs_commit_ts(const tikv_pairs *pairs, size_t index);

/**
 * Pair after pair of a range, in either direction, page by page: while one
 * page is read out, the next one is on its way. For one thread at a time.
 *
 * Does not block; the first `next` may. The call in `options` is that of each
 * page; `cancel` in it must live as long as the iterator.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_snapshot_iterate(tikv_snapshot *snapshot, tikv_range range,
                      const tikv_range_options *options, tikv_iter **out);

/* The next pair, whose slices live until the next `next`; an absent key is
 * the end, and stays it. Blocks while its page is on its way, `timeout_ms` at
 * the most: TIKV_ERR_TIMEOUT then, and the iterator can be asked again. Any
 * other error ends it: the same error comes again. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_iter_next(tikv_iter *iter, int64_t timeout_ms, tikv_pair *out);

TIKV_API void
tikv_iter_free(tikv_iter *iter);

/* What the snapshot's reads have cost so far, by number; new ones come without
 * new functions, unknown ones are 0. */
typedef int32_t tikv_snapshot_field;
enum {
    TIKV_SNAPSHOT_GETS = 1, /* requests for single keys */
    TIKV_SNAPSHOT_BATCH_GETS = 2,
    TIKV_SNAPSHOT_SCANS = 3,
    TIKV_SNAPSHOT_CACHE_HITS = 4, /* keys that needed no request */
    TIKV_SNAPSHOT_LOCKS = 5,      /* met */
    TIKV_SNAPSHOT_RESOLVE_NS = 6, /* spent on them, waiting included */
    TIKV_SNAPSHOT_BACKOFF_MS = 7, /* slept, whatever for */
    TIKV_SNAPSHOT_PROCESSED_VERSIONS = 8, /* from here on: TiKV's account */
    TIKV_SNAPSHOT_PROCESSED_BYTES = 9,
    TIKV_SNAPSHOT_TOTAL_VERSIONS = 10,
    TIKV_SNAPSHOT_SERVER_WAIT_NS = 11,
    TIKV_SNAPSHOT_SERVER_PROCESS_NS = 12
};

TIKV_API uint64_t
tikv_snapshot_u64(const tikv_snapshot *snapshot, tikv_snapshot_field field);

TIKV_END_DECLS

#endif
