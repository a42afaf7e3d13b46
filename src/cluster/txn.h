/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transactional commands share: opening and answering a request,
 * the errors of keys, and what a store knows of timestamps. Commands run
 * with the cluster's lock held, from the first check to the answer, so none
 * sees another half done.
 */
#ifndef TK_CLUSTER_TXN_H
#define TK_CLUSTER_TXN_H

#include "cluster/flow.h"
#include "cluster/mvcc.h"

/* ---- errors of keys ---- */

enum tk_key_error_kind {
    TK_KE_NONE,
    TK_KE_LOCKED,
    TK_KE_CONFLICT,
    TK_KE_EXISTS,
    TK_KE_LOCK_GONE, /* txn_lock_not_found */
    TK_KE_TXN_GONE,  /* txn_not_found */
    TK_KE_DEADLOCK,
    TK_KE_EXPIRED, /* commit_ts_expired */
    TK_KE_ASSERTION,
    TK_KE_PRIMARY, /* primary_mismatch */
    TK_KE_ABORT,
    TK_KE_UNHELD,   /* pessimistic lock not found: an abort */
    TK_KE_TOO_LARGE /* commit_ts: never leaves prewrite */
};

enum tk_conflict_reason {
    TK_CONFLICT_OPTIMISTIC = 1,
    TK_CONFLICT_PESSIMISTIC_RETRY = 2,
    TK_CONFLICT_SELF_ROLLED_BACK = 3,
    TK_CONFLICT_RC_CHECK_TS = 4,
    TK_CONFLICT_LAZY_UNIQUENESS = 5
};

struct tk_key_error {
    enum tk_key_error_kind kind;
    enum tk_conflict_reason reason;
    const char *text; /* of an abort */
    tikv_slice key;
    tikv_slice primary;
    uint64_t start_ts;
    uint64_t conflict_ts;   /* also existing_start_ts */
    uint64_t commit_ts;     /* conflicting, attempted, existing */
    uint64_t min_commit_ts;
    uint64_t assertion;
    const struct tk_mvcc_lock *lock;
    const struct tk_cl_edge *chain; /* of a deadlock: by `link` */
    uint64_t deadlock_hash;
    uint64_t duration_ms;
    const struct tk_mvcc_node *debug; /* is dumped beside the error */
    bool wants_debug;
    bool hide_ttl;
};

static inline void
tk_key_error_abort(struct tk_key_error *error, const char *text)
{
    *error = (struct tk_key_error){ .kind = TK_KE_ABORT, .text = text };
}

static inline void
tk_key_error_locked(struct tk_key_error *error, tikv_slice key,
                    const struct tk_mvcc_lock *lock)
{
    *error =
        (struct tk_key_error){ .kind = TK_KE_LOCKED, .key = key, .lock = lock };
}

void
tk_cl_put_key_error(struct tk_buf *out, uint32_t field,
                    const struct tk_key_error *error);

void
tk_cl_put_lock(struct tk_buf *out, uint32_t field, tikv_slice key,
               const struct tk_mvcc_lock *lock, bool hide_ttl);

/* A shared lock with its parts up to max_ts, as many as the limit allows;
 * gives how many. */
uint64_t
tk_cl_put_shared(struct tk_buf *out, uint32_t field, tikv_slice key,
                 const struct tk_mvcc_lock *lock, uint64_t max_ts,
                 uint64_t limit);

/* kvrpcpb.MvccInfo; NULL: an empty one. */
void
tk_cl_put_mvcc(struct tk_buf *out, uint32_t field,
               const struct tk_mvcc_node *node);

/* The waiter waits for the holder, at a key. */
struct tk_cl_edge {
    struct tk_cl_edge *next;
    struct tk_cl_edge *link; /* of the chain that was found last */
    uint64_t waiter_ts;
    uint64_t holder_ts;
    uint64_t hash;
    int64_t until; /* ns */
    tikv_slice key; /* behind the struct, as the tag */
    tikv_slice tag;
};

/* ---- a command ---- */

struct tk_cl_stats {
    uint64_t versions; /* that readers were given */
    uint64_t passed;   /* looked at on the way */
    uint64_t size;
};

struct tk_cl_txn {
    struct tk_cl_request *request;
    struct tk_mvcc *mvcc;
    uint64_t start_ts;
    struct tk_mvcc_batch batch;
    struct tk_key_error error;
};

/* Load and deadline; the version where the command looks at it; region.
 * False: answered. */
bool
tk_cl_txn_open(struct tk_cl_request *request, bool looks_at_version);

/* The same without the region, for who has more to do before that. */
bool
tk_cl_txn_admit(struct tk_cl_request *request, bool looks_at_version);

/* Whether the key belongs to the region; after tk_cl_check_region(). */
bool
tk_cl_txn_check_key(struct tk_cl_request *request, tikv_slice key);

/* Every key of a repeated field. */
bool
tk_cl_txn_check_keys(struct tk_cl_request *request, uint32_t field);

/* The command's error in place of all it has answered. Gives OK. */
int
tk_cl_txn_fail(struct tk_cl_request *request,
               const struct tk_key_error *error);

/* ExecDetailsV2; stats may be NULL. */
void
tk_cl_put_exec(struct tk_cl_request *request, uint32_t field,
               const struct tk_cl_stats *stats);

void
tk_cl_txn_begin(struct tk_cl_txn *txn, struct tk_cl_request *request,
                uint64_t start_ts);

/* Applies the batch, and wakes who waits for locks that it drops. */
void
tk_cl_txn_apply(struct tk_cl_txn *txn);

/* Applies, or with an error answers that and drops; then exec details.
 * Gives a status. */
int
tk_cl_txn_end(struct tk_cl_txn *txn, uint32_t exec_field);

/* ---- what a store knows ---- */

/* A lock that a prewrite is about to write: readers meet it already. */
struct tk_cl_memory_lock {
    struct tk_cl_memory_lock *next;
    tikv_slice key; /* behind the struct */
    struct tk_mvcc_lock *lock;
};

/* Takes the lock; they are in order of keys. False without memory. */
bool
tk_cl_memory_lock_add(struct tk_cl_store *store, tikv_slice key,
                      struct tk_mvcc_lock *lock);

/* NULL: the transaction has none there. */
const struct tk_mvcc_lock *
tk_cl_memory_lock(const struct tk_cl_store *store, tikv_slice key,
                  uint64_t start_ts);

void
tk_cl_memory_lock_remove(struct tk_cl_store *store, tikv_slice key);

/* False: a timestamp that PD has not given; a region error is answered.
 * `exact` is for commands that allow no slack. */
bool
tk_cl_raise_max_ts(struct tk_cl_request *request, uint64_t ts, bool exact);

/* A committed transaction, commit_ts; 0 when the store does not know. */
uint64_t
tk_cl_outcome(const struct tk_cl_store *store, uint64_t start_ts);

/* Of a transaction that is said to be under way: it will not be committed
 * before; 0 when the store does not know. */
uint64_t
tk_cl_outcome_floor(const struct tk_cl_store *store, uint64_t start_ts);

void
tk_cl_outcome_add(struct tk_cl_store *store, uint64_t start_ts,
                  uint64_t commit_ts);

void
tk_cl_outcome_alive(struct tk_cl_store *store, uint64_t start_ts,
                    uint64_t min_commit_ts);

void
tk_cl_outcome_forget(struct tk_cl_store *store, uint64_t start_ts);

/* ---- txn_wait.c: who waits for a lock ---- */

enum tk_cl_waiting {
    TK_WAITING,
    TK_WOKEN,   /* the lock was let go: answer a conflict */
    TK_RESUMED, /* the lock was let go: take it */
    TK_MOVED    /* another has taken it: wait for that one */
};

struct tk_cl_waiter {
    struct tk_cl_waiter *next; /* in the queue, by start_ts */
    struct tk_cl_queue *queue; /* NULL: it is in none */
    struct tk_cl_delayed *delayed;
    enum tk_cl_waiting state;
    uint64_t start_ts;
    uint64_t index; /* wake-ups of the queue when it came */
    bool is_detected; /* the detector has edges of it */
    uint64_t released_start; /* who let go */
    uint64_t released_commit;
    int64_t deadline;
    int64_t changed;  /* ns: another has taken the lock; 0: nobody */
    bool is_force;
    bool is_first;
    bool is_shared;            /* it would share the key */
    bool is_deaf;              /* a rule: it is not woken */
    tikv_slice key;            /* behind the struct */
    struct tk_mvcc_lock *lock; /* that it met */
};

struct tk_cl_wait {
    tikv_slice key;
    const struct tk_mvcc_lock *lock;
    uint64_t start_ts;
    int64_t timeout_ms;
    bool is_force;
    bool is_first;
    bool is_shared;
};

/* Puts the request into the key's queue, or back there. False: *error is a
 * deadlock, or memory ended (TK_KE_NONE). */
bool
tk_cl_wait_enter(struct tk_cl_request *request, const struct tk_cl_wait *wait,
                 struct tk_key_error *error);

/* Queues of the locks that a batch drops; notes who is the holder now. */
struct tk_cl_queue *
tk_cl_wait_collect(struct tk_cl_store *store,
                   const struct tk_mvcc_batch *batch);

void
tk_cl_wait_release(struct tk_cl_queue *released);

void
tk_cl_wait_fini(struct tk_cl_store *store);

/* ---- txn_deadlock.c ---- */

/* Somebody waits for the holder; true: that closes a circle. */
bool
tk_cl_detect(struct tk_cluster *cluster, uint64_t waiter_ts,
             uint64_t holder_ts, tikv_slice key, tikv_slice tag,
             struct tk_key_error *error);

/* It waits at the key no longer, whoever the holders are. */
void
tk_cl_detector_forget(struct tk_cluster *cluster, uint64_t waiter_ts,
                      tikv_slice key);

void
tk_cl_detector_clear(struct tk_cluster *cluster);

/* ---- txn_view.c: how a reader sees keys ---- */

struct tk_cl_view {
    uint64_t ts;
    uint64_t isolation;
    bool need_commit_ts;
    bool replica_read;
    struct tk_buf resolved;  /* locks that do not block */
    struct tk_buf committed; /* locks that are read through */
    struct tk_cl_stats stats;
};

enum { TK_ISOLATION_SI, TK_ISOLATION_RC, TK_ISOLATION_RC_CHECK_TS };

struct tk_cl_seen {
    tikv_slice value;
    uint64_t commit_ts; /* 0: not asked for, or through a lock */
    bool found;
};

/* To be closed in any case. */
void
tk_cl_view_open(struct tk_cl_view *view, struct tk_cl_request *request,
                uint64_t ts, bool need_commit_ts);

void
tk_cl_view_close(struct tk_cl_view *view);

/* Whether a lock in the store's memory is in the way. */
bool
tk_cl_view_check_memory(const struct tk_cl_view *view,
                        const struct tk_cl_store *store, tikv_slice start,
                        tikv_slice end, bool is_point,
                        struct tk_key_error *error);

/* A read at another peer asks the leader: its store learns the timestamp,
 * and its locks in memory count. False: answered. */
bool
tk_cl_view_ask_leader(struct tk_cl_view *view, struct tk_cl_request *request,
                      tikv_slice start, tikv_slice end, bool is_point);

/* The same without an answer. */
bool
tk_cl_view_meet_leader(const struct tk_cl_view *view,
                       struct tk_cl_request *request, tikv_slice start,
                       tikv_slice end, bool is_point,
                       struct tk_key_error *error);

/* A KvPair in field 2; with `error` that alone. */
void
tk_cl_view_put_pair(struct tk_buf *out, tikv_slice key,
                    const struct tk_cl_seen *seen,
                    const struct tk_key_error *error);

/* False: error. */
bool
tk_cl_view_read(struct tk_cl_view *view, const struct tk_mvcc_node *node,
                struct tk_cl_seen *seen, struct tk_key_error *error);

/* ---- ends of a transaction on one key (txn_finish.c) ---- */

enum tk_cl_status {
    TK_ST_ROLLED_BACK,
    TK_ST_COMMITTED,
    TK_ST_NOT_EXIST,
    TK_ST_DO_NOTHING,
    TK_ST_EXPIRED,             /* and rolled back now */
    TK_ST_EXPIRED_PESSIMISTIC, /* and unlocked now */
    TK_ST_ALIVE,
    TK_ST_ERROR
};

enum tk_cl_missing {
    TK_MISSING_ROLLBACK,
    TK_MISSING_PROTECT,
    TK_MISSING_ERROR
};

/* The key carries no lock of the transaction: finds out what became of it,
 * and unless told otherwise makes sure that it will not lock it any more. */
enum tk_cl_status
tk_cl_missing_lock(struct tk_cl_txn *txn, tikv_slice key,
                   enum tk_cl_missing action, bool do_nothing,
                   uint64_t *commit_ts);

/* False: txn->error. */
bool
tk_cl_commit_key(struct tk_cl_txn *txn, tikv_slice key, uint64_t commit_ts,
                 bool is_secondary);

bool
tk_cl_rollback_key(struct tk_cl_txn *txn, tikv_slice key);

/* A lock of another: remembers that `start_ts` is rolled back on its key. */
void
tk_cl_mark_mismatch(struct tk_cl_txn *txn, struct tk_mvcc_node *node);

#endif
