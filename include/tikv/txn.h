/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_TXN_H
#define TIKV_TXN_H

/**
 * Transactions: many keys changed at one moment, or none, and reads as of one
 * moment (snapshot isolation).
 *
 *     begun --reads, writes--> commit --> committed
 *        \                        \-----> failed
 *         \----> rollback, free           undetermined
 *
 * Writes stay in this process until commit; reads see them. The commit is
 * optimistic: when somebody else committed one of the keys after this
 * transaction had begun, it fails with TIKV_ERR_WRITE_CONFLICT and has changed
 * nothing. tikv_txn_run() does it again then; whoever commits by hand looks
 * at tikv_error_is_retryable() and begins anew: a transaction that failed is
 * over.
 *
 * Undetermined. A request that decides the commit can get lost with its
 * answer: TIKV_ERR_UNDETERMINED means that the transaction may have been
 * committed, or may still be by others who read its keys. Do not do it again
 * before tikv_txn_outcome() has told what became of it.
 *
 * Write skew. Two transactions that read what the other writes may both
 * commit; tikv_txn_lock() makes a key that was only read count as written.
 *
 * Threads: a transaction may be used from any thread. Reads may be in flight
 * together; writes take turns by themselves. Once commit or rollback began,
 * whatever else is called answers TIKV_ERR_STATE. Freeing must be the last
 * use, except for futures, which hold what they need.
 *
 * Callbacks run inside the call that they are told of: they must not call
 * functions of the same client that block.
 *
 * Calls: `call`, which may be NULL, is the part all options begin with; its
 * texts, tag and trace are those of the transaction where they are not set.
 * Keys may be empty; values may not: TiKV takes an empty one for a delete.
 */

#include <tikv/snapshot.h>

TIKV_BEGIN_DECLS

typedef struct tikv_txn tikv_txn;

/* How far TiKV checks what tikv_txn_assert() claims. */
#define TIKV_ASSERTIONS_OFF UINT32_C(0)
#define TIKV_ASSERTIONS_FAST UINT32_C(1) /* where it costs nothing */
#define TIKV_ASSERTIONS_STRICT UINT32_C(2)

/* What the commit does about locks of others: waits and resolves them, or
 * fails with TIKV_ERR_WRITE_CONFLICT at once. */
#define TIKV_LOCKS_RESOLVE UINT32_C(0)
#define TIKV_LOCKS_FAIL UINT32_C(1)

/* On stores whose disk is (almost) full. */
#define TIKV_DISK_FULL_REFUSED UINT32_C(0)
#define TIKV_DISK_FULL_ALMOST UINT32_C(1)
#define TIKV_DISK_FULL_ALREADY UINT32_C(2)

/* ---- what a transaction tells its program, and asks it ---- */

/* Told the bytes that the writes hold now whenever that has changed, by the
 * thread that wrote. */
typedef void
tikv_txn_memory_fn(uint64_t bytes, void *arg);

/* Of a write, for tikv_txn_filter_fn. */
#define TIKV_WRITE_INSERT UINT32_C(1) /* the key has to be absent */
#define TIKV_WRITE_LOCKED UINT32_C(2) /* by tikv_txn_lock(), too */

/**
 * May take writes out of the commit that are known to change nothing: sets
 * `*is_needless`, which is false before. `value` is absent for a delete. A
 * key that is also locked keeps its lock. An error ends the commit. Called
 * for each write, in the order of the keys, on the committing thread, before
 * anything is sent.
 */
typedef tikv_error *
tikv_txn_filter_fn(tikv_slice key, tikv_slice value, uint32_t flags,
                   bool *is_needless, void *arg);

/* What is known of the end of a transaction. */
typedef int32_t tikv_outcome;
#define TIKV_OUTCOME_UNKNOWN INT32_C(0) /* still open: ask again later */
#define TIKV_OUTCOME_COMMITTED INT32_C(1)
#define TIKV_OUTCOME_ROLLED_BACK INT32_C(2)

/**
 * For programs that keep a log of their own beside the cluster. `log` runs
 * once while the keys are being locked, on a worker or on the committing
 * thread: commit waits for it, and an error of it ends the commit. When it
 * sets `*is_skipped` there was nothing to log. Otherwise `logged` is told the
 * end, on the committing thread, UNKNOWN for TIKV_ERR_UNDETERMINED. Async and
 * one-phase commit are off with `log`.
 */
typedef tikv_error *
tikv_txn_log_fn(uint64_t start_ts, tikv_slice primary, bool *is_skipped,
                void *arg);
typedef void
tikv_txn_logged_fn(uint64_t start_ts, tikv_outcome outcome, uint64_t commit_ts,
                   void *arg);

/**
 * May refuse the commit: an error ends it, is freed or passed on by the
 * library, and the transaction has changed nothing. Called before the commit
 * point on the committing thread. `ts` is the timestamp the transaction will
 * have at most.
 */
typedef tikv_error *
tikv_txn_check_fn(uint64_t ts, void *arg);

/* Told around work that goes on behind an ended transaction: `begins` on the
 * committing thread before commit returns, then false on a worker. */
typedef void
tikv_txn_background_fn(bool begins, void *arg);

/* How a transaction ended; it lives during the call that gets it. */
typedef struct tikv_txn_summary {
    size_t struct_size;
    uint64_t start_ts;
    uint64_t commit_ts;      /* 0: not committed, or nothing was written */
    const tikv_error *error; /* what commit answers; NULL: success */
    uint32_t mode;           /* TIKV_MODE_..., the last one tried */
    uint32_t fallbacks;      /* TIKV_FALLBACK_... */
    uint64_t keys_count;
    uint64_t bytes_count;   /* of keys and values */
    uint64_t regions_count; /* requests of the first phase, about */
    uint64_t prewrite_ns;
    uint64_t commit_ns;
    uint64_t resolve_ns;   /* of prewrite_ns: about locks of others */
    uint64_t rounds;       /* of prewrites; above 1: locks were met */
    uint64_t latch_ns;     /* before all else: the turn among own commits */
    uint64_t floor_ns;     /* the timestamp before an async commit */
    uint64_t timestamp_ns; /* the commit timestamp; both waits included */
    uint64_t backoff_ns;   /* pauses of prewrites and of the primary's commit */
    uint64_t attempts;     /* requests of these */
    uint64_t regions_split; /* new regions made before the first phase */
} tikv_txn_summary;
#define TIKV_MODE_NOTHING UINT32_C(0) /* nothing was written */
#define TIKV_MODE_2PC UINT32_C(1)
#define TIKV_MODE_ASYNC UINT32_C(2)
#define TIKV_MODE_1PC UINT32_C(3)
#define TIKV_FALLBACK_ASYNC UINT32_C(1) /* TiKV declined async commit */
#define TIKV_FALLBACK_1PC UINT32_C(2)   /* TiKV declined one-phase commit */

/* Told once when commit ends, on its thread. */
typedef void
tikv_txn_end_fn(const tikv_txn_summary *summary, void *arg);

/* ---- options ---- */

typedef struct tikv_txn_options {
    /* Of begin itself (timeout, deadline, cancel); source, group, tag, trace
     * and priority hold for the whole transaction. */
    tikv_call call;

    /* Reads as of this timestamp, which PD has given; 0: a fresh one. */
    uint64_t start_ts;

    /* tikv_txn_run(): how often at most; 0: `txn.attempts_count`. */
    uint32_t attempts_count;

    /* Permissions; defaults `txn.async_commit`, `txn.one_phase`. TiKV or the
     * shape of the transaction may decline. */
    tikv_switch async_commit;
    tikv_switch one_phase;

    /* On: transactions that know nothing of each other may commit in an order
     * unlike real time, which saves a timestamp. Off by default. */
    tikv_switch causal;

    uint32_t assertions; /* TIKV_ASSERTIONS_... */
    uint32_t locks;      /* TIKV_LOCKS_... */
    uint32_t disk_full;  /* TIKV_DISK_FULL_... */
    uint32_t reserved;   /* must be 0 */
    uint64_t source;     /* Context.txn_source: a mark for change feeds */

    /* The commit timestamp has to be above this one, which another cluster
     * gave: waits for PD to get there, up to `commit_after_ms` (0: 1000, a
     * negative one: not at all), then fails with TIKV_ERR_PD. */
    uint64_t commit_after_ts;
    int64_t commit_after_ms;

    /* Bytes of keys and values; 0: `txn.max_bytes`, `txn.max_entry_bytes`. */
    uint64_t max_bytes;
    uint64_t max_entry_bytes;

    /* Called in this order. Before the commit point: by schema_check a change
     * of schema since the start is noticed; commit_check sees the very commit
     * timestamp, which async and one-phase commit know only afterwards, and
     * turns both off. */
    tikv_txn_memory_fn *on_memory;
    tikv_txn_filter_fn *filter;
    tikv_txn_log_fn *log;
    tikv_txn_check_fn *schema_check;
    tikv_txn_check_fn *commit_check;
    tikv_txn_background_fn *on_background;
    tikv_txn_logged_fn *logged;
    tikv_txn_end_fn *on_end;
    void *arg; /* of them all */

    /* Gets the account of begin, and of all that tikv_txn_run() does besides
     * its body: details.h. */
    tikv_details *details;
} tikv_txn_options;
#define TIKV_TXN_OPTIONS_INIT                                                  \
    {                                                                          \
        TIKV_CALL_INIT_SIZED(sizeof(tikv_txn_options)), 0, 0, 0, 0, 0, 0, 0,   \
            0, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL,     \
            NULL, NULL, NULL                                                   \
    }

/* INIT for languages without a C preprocessor. */
TIKV_API void
tikv_txn_options_init(tikv_txn_options *options, size_t struct_size);

/* ---- the usual way ---- */

/* One attempt. Must be able to run again; its own errors (TIKV_ERR_USER) end
 * the whole. Neither commits nor frees. */
typedef tikv_error *
tikv_txn_fn(tikv_txn *txn, void *arg);

/**
 * Begins, calls `body`, commits; does it all again while the error is
 * retryable, attempts are left and time is. Never after an undetermined
 * commit. An error of `body` rolls back and, unless it is retryable, is the
 * answer.
 *
 * `*commit_ts`, which may be NULL, is 0 when nothing was written. Blocks up
 * to the timeout of `options->call`, attempts and pauses included; `body`
 * gives its own calls what time it likes. When that time is over after a
 * retryable error, the answer is that error and not TIKV_ERR_TIMEOUT.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_run(tikv_client *client, const tikv_txn_options *options,
             tikv_txn_fn *body, void *arg, uint64_t *commit_ts);

/* ---- the same by hand ---- */

/* A transaction as of a fresh timestamp. Blocks for that, not when the
 * options name one. The caller frees it. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_begin(tikv_client *client, const tikv_txn_options *options,
               tikv_txn **out);

/**
 * From now on these options hold in place of those that begin was given: all
 * but start_ts and attempts_count, and of the call source, group, tag, trace
 * and priority. `commit_after_ts` only rises. Texts stay in memory until the
 * transaction is freed. TIKV_ERR_STATE when the transaction has ended,
 * TIKV_ERR_TOO_LARGE when more was written than max_bytes.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_set_options(tikv_txn *txn, const tikv_txn_options *options);

/**
 * Makes the writes visible, all at once. Blocks.
 *
 * `*commit_ts`, which may be NULL, is the moment, 0 when nothing was written.
 * When it returns, every later reader sees the writes; the locks on the keys
 * behind the first one are removed in the background, which
 * tikv_client_close() waits for.
 *
 * Worth a branch: WRITE_CONFLICT, LOCK_WAIT, ABORTED and TOO_OLD (begin
 * anew), KEY_EXISTS (an insert), ASSERTION, TOO_LARGE, UNDETERMINED. After
 * any error but UNDETERMINED nothing was written, and what was locked is
 * rolled back in the background.
 *
 * A cancel ends it up to the commit point; behind that it waits for the
 * answer, until the deadline.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_commit(tikv_txn *txn, const tikv_call *call, uint64_t *commit_ts);

/* Forgets the writes. Needs no network. TIKV_ERR_STATE when the transaction
 * has ended. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_rollback(tikv_txn *txn, const tikv_call *call);

/* Rolls back what was never ended. NULL is fine. */
TIKV_API void
tikv_txn_free(tikv_txn *txn);

TIKV_API uint64_t
tikv_txn_start_ts(const tikv_txn *txn);

/* 0 before the commit succeeded, and when nothing was written. */
TIKV_API uint64_t
tikv_txn_commit_ts(const tikv_txn *txn);

/**
 * The key that decides the transaction, for tikv_txn_outcome(); absent before
 * commit and where nothing was written. It lives as long as the transaction.
 */
TIKV_API tikv_slice
tikv_txn_primary(const tikv_txn *txn);

/* ---- reads: the transaction's own writes over its snapshot; block ---- */

/* Own writes have no commit timestamp: 0 where it is asked for. */

/* `*out` is the value, or NULL. The caller frees it. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_get(tikv_txn *txn, tikv_slice key, const tikv_read_options *options,
             tikv_value **out);

/* One pair per key, in the order asked, absent values included. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_batch_get(tikv_txn *txn, const tikv_slice *keys, size_t count,
                   const tikv_read_options *options, tikv_pairs **out);

/* One page of a range; see tikv_snapshot_scan(). The page is full, by count
 * or about by bytes, unless the range has ended. Samples are taken of what
 * was there before; own writes come all. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_scan(tikv_txn *txn, tikv_range range,
              const tikv_range_options *options, tikv_pairs **out);

/* ---- writes: kept here until commit; never block ---- */

/* TIKV_ERR_ARGUMENT for an empty value, TIKV_ERR_TOO_LARGE above a limit. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_put(tikv_txn *txn, tikv_slice key, tikv_slice value);

/* A put of a key that must not exist: TIKV_ERR_KEY_EXISTS here when this
 * transaction wrote it, or else from commit, which checks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_insert(tikv_txn *txn, tikv_slice key, tikv_slice value);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_delete(tikv_txn *txn, tikv_slice key);

/* Makes keys count as written without changing them, so that the commit
 * conflicts with whoever else writes them. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_lock(tikv_txn *txn, const tikv_slice *keys, size_t count,
              const tikv_call *call);

/* What the program believes about a key it writes. The commit fails with
 * TIKV_ERR_ASSERTION where it is wrong, as far as `assertions` says. */
typedef int32_t tikv_assertion;
#define TIKV_ASSERT_NONE INT32_C(0)
#define TIKV_ASSERT_EXIST INT32_C(1)
#define TIKV_ASSERT_ABSENT INT32_C(2)
#define TIKV_ASSERT_UNKNOWN INT32_C(3) /* takes back what was said */

TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_assert(tikv_txn *txn, tikv_slice key, tikv_assertion assertion);

/* Keys with a write or a lock, and the bytes of keys and values. */
TIKV_API size_t
tikv_txn_count(tikv_txn *txn);

TIKV_API uint64_t
tikv_txn_size(tikv_txn *txn);

/* Bytes of memory that the writes hold. */
TIKV_API uint64_t
tikv_txn_memory(tikv_txn *txn);

/* Nothing was written so far that would stay if all savepoints were taken
 * back. */
TIKV_API bool
tikv_txn_is_read_only(tikv_txn *txn);

/**
 * Savepoints nest. `*savepoint` counts from 1. Releasing one keeps the writes
 * since, going back takes them away; both end it together with those made
 * after it. Commit releases what is left. TIKV_ERR_STATE for one that has
 * ended.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_savepoint(tikv_txn *txn, size_t *savepoint);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_savepoint_release(tikv_txn *txn, size_t savepoint);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_savepoint_rollback(tikv_txn *txn, size_t savepoint);

/* What going back there would take away: each key that was written since, with
 * its value, absent where it was deleted; the newest first. Never waits. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_savepoint_writes(tikv_txn *txn, size_t savepoint, tikv_pairs **out);

/* ---- what became of it ---- */

/**
 * Asks the cluster what became of a transaction whose commit answered
 * TIKV_ERR_UNDETERMINED, by its start timestamp and its primary, which are
 * also in the error (TIKV_ERROR_START_TS, TIKV_ERROR_PRIMARY).
 *
 * It does not only look: as long as the transaction's locks live it waits for
 * them to expire, and then decides it, so that the answer is final. UNKNOWN
 * only when time ends first; that is no error. `*commit_ts`, which may be
 * NULL, is set for COMMITTED. Blocks.
 */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_txn_outcome(tikv_client *client, uint64_t start_ts, tikv_slice primary,
                 const tikv_call *call, tikv_outcome *outcome,
                 uint64_t *commit_ts);

/* ---- promised; never NULL. In brackets what takes the outcome. ---- */

/* [value] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_txn_get_async(tikv_txn *txn, tikv_slice key,
                   const tikv_read_options *options);

/* [pairs] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_txn_batch_get_async(tikv_txn *txn, const tikv_slice *keys, size_t count,
                         const tikv_read_options *options);

/* [pairs] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_txn_scan_async(tikv_txn *txn, tikv_range range,
                    const tikv_range_options *options);

/* [u64: the commit timestamp] The transaction may be freed meanwhile. */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_txn_commit_async(tikv_txn *txn, const tikv_call *call);

/* [done] */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_txn_rollback_async(tikv_txn *txn, const tikv_call *call);

TIKV_END_DECLS

#endif
