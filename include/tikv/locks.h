/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_LOCKS_H
#define TIKV_LOCKS_H

/**
 * Locks of transactions, for tools: which there are, and ending those that
 * were left behind. Reads and writes resolve the locks they meet by
 * themselves.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

typedef struct tikv_locks tikv_locks;

/* What a lock is for. */
#define TIKV_LOCK_PUT INT32_C(0)
#define TIKV_LOCK_DELETE INT32_C(1)
#define TIKV_LOCK_ONLY INT32_C(2)
#define TIKV_LOCK_PESSIMISTIC INT32_C(5)
#define TIKV_LOCK_SHARED_PESSIMISTIC INT32_C(8)

/* Stamped like options: the caller sets `struct_size`, fields may be
 * appended. */
typedef struct tikv_lock_info {
    size_t struct_size;
    tikv_slice key;
    tikv_slice primary;
    uint64_t start_ts; /* names the transaction */
    uint64_t ttl_ms;   /* from there on */
    uint64_t txn_size; /* keys, as its writer knew */
    uint64_t for_update_ts;
    uint64_t min_commit_ts;
    int32_t kind;     /* TIKV_LOCK_... */
    int32_t is_async; /* 1: of an async commit */

    /* tikv_locks_held_up() only: the transaction or the version of the
     * snapshot that it is in the way of. */
    uint64_t waiter_ts;
} tikv_lock_info;

/* About `limit` locks (0: 1024) of transactions that began at `max_version`
 * or before (0: now), in the order of their keys. tikv_locks_next() tells the
 * range of the others. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_locks_scan(tikv_client *client, tikv_range range, uint64_t max_version,
                uint32_t limit, const tikv_call *call, tikv_locks **out);

TIKV_API size_t
tikv_locks_count(const tikv_locks *locks);

/* False when `index` is past the end. Slices live as long as `locks`. */
TIKV_API bool
tikv_locks_at(const tikv_locks *locks, size_t index, tikv_lock_info *out);

/* False when the range has ended. */
TIKV_API bool
tikv_locks_next(const tikv_locks *locks, tikv_range *rest);

TIKV_API void
tikv_locks_free(tikv_locks *locks);

/**
 * Ends the transactions of all locks in the range that began at `max_version`
 * or before (0: now): what is committed becomes visible, the rest is rolled
 * back, *also where it is alive*. `*count`, which may be NULL, is how many
 * locks were met. Blocks.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_locks_resolve(tikv_client *client, tikv_range range,
                   uint64_t max_version, const tikv_call *call,
                   uint64_t *count);

/* The locks that calls of this client are held up by at this moment, each as
 * often as it is in somebody's way, 1024 at the most; tikv_locks_next() of
 * them is false. Does not block. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_locks_held_up(tikv_client *client, tikv_locks **out);

/* What this client did about locks so far, by number; new ones come without
 * new functions, unknown ones are 0. */
typedef int32_t tikv_locks_field;
enum {
    TIKV_LOCKS_READERS = 1,     /* rounds of reads that met locks */
    TIKV_LOCKS_WRITERS = 2,     /* rounds of writes that met locks */
    TIKV_LOCKS_ENDED = 3,       /* locks whose transaction was over */
    TIKV_LOCKS_ALIVE = 4,       /* locks that had to be waited for */
    TIKV_LOCKS_WAITS = 5,       /* pauses */
    TIKV_LOCKS_KNOWN = 6,       /* ends of transactions known already */
    TIKV_LOCKS_ASKED = 7,       /* requests for them: CheckTxnStatus */
    TIKV_LOCKS_COMMITTED = 8,   /* answers: it is committed */
    TIKV_LOCKS_ROLLED_BACK = 9, /* answers: it is rolled back */
    TIKV_LOCKS_RECOVERIES = 10, /* async commits decided by their keys */
    TIKV_LOCKS_SECONDARIES = 11,    /* requests: CheckSecondaryLocks */
    TIKV_LOCKS_REGION_CLEANED = 12, /* requests: ResolveLock of a region */
    TIKV_LOCKS_KEYS_CLEANED = 13,   /* ResolveLock of keys */
    TIKV_LOCKS_BATCH_CLEANED = 14,  /* ResolveLock of many transactions */
    TIKV_LOCKS_UNLOCKED = 15,       /* PessimisticRollback */
    TIKV_LOCKS_LEFT = 16,    /* cleanings that reads did not wait for */
    TIKV_LOCKS_DROPPED = 17, /* of those: too many, left to others */
    TIKV_LOCKS_QUEUED = 18   /* of those: not begun yet, now */
};

TIKV_API uint64_t
tikv_locks_u64(const tikv_client *client, tikv_locks_field field);

TIKV_END_DECLS

#endif
