/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the resolver share: resolver.c takes locks in hand,
 * resolver_status.c asks what became of a transaction, resolver_async.c lets
 * the secondaries of an async commit decide, resolver_clean.c removes locks,
 * now or behind the reader's back, resolver_view.c shows what goes on.
 *
 * Lock: resolver.lock, rank LEAF, for what is marked; nothing is called
 * under it.
 */
#ifndef TK_TXN_RESOLVER_INNER_H
#define TK_TXN_RESOLVER_INNER_H

#include "exec/exec.h"
#include "pd/waiters.h"
#include "txn/resolve_rule.h"
#include "txn/resolver.h"
#include "txn/status_cache.h"

struct tk_ask_flight;
struct tk_hold_up;
struct tk_clean_flight;
struct tk_clean_item;

/* Who clean behind readers' backs. */
enum { TK_CLEANERS = 2 };

struct tk_cleaner {
    struct tk_work work; /* first */
    struct tk_resolver *resolver;
    bool is_busy; /* resolver.lock */
};

struct tk_resolver {
    struct tk_txn_client *client;
    struct tk_mutex lock;
    struct tk_status_cache cache;     /* lock */
    struct tk_ask_flight *asking;     /* lock: questions on their way */
    struct tk_clean_flight *cleaning; /* lock: regions being cleaned */
    struct tk_hold_up *held_up;       /* lock: callers in a round */
    _Atomic uint64_t stats[TK_RESOLVER_STATS]; /* relaxed */

    /* What is left to clean behind readers' backs. */
    struct tk_clean_item *first; /* lock */
    struct tk_clean_item *last;  /* lock */
    size_t queued_bytes;         /* lock */
    struct tk_cleaner cleaners[TK_CLEANERS];
};

static inline void
tk_resolver_count(struct tk_resolver *resolver, enum tk_resolver_stat stat,
                  uint64_t number)
{
    atomic_fetch_add_explicit(&resolver->stats[stat], number,
                              memory_order_relaxed);
}

/* ---- who is held up ---- */

/* A caller in a round or in the pause after it, on its stack. */
struct tk_hold_up {
    const struct tk_resolve *resolve;
    struct tk_hold_up *next;
};

void
tk_hold_up_enter(struct tk_resolver *resolver, struct tk_hold_up *hold_up,
                 const struct tk_resolve *resolve);

/* Of this very entry: others of the same transaction stay (lesson 37). */
void
tk_hold_up_leave(struct tk_resolver *resolver, struct tk_hold_up *hold_up);

/* ---- jobs ---- */

/* A job of this room's: budget, history, repeatable. */
void
tk_resolver_job(struct tk_resolver *resolver, struct tk_job *job,
                const struct tk_job_ops *ops, enum tk_command command,
                const struct tk_backoff *backoff);

/* Runs it and charges `backoff` with what it waited. */
tikv_error *
tk_resolver_drive(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_job *job, struct tk_backoff *backoff)
    __attribute__((warn_unused_result));

/* Sleeps one pause of `kind`, `ceiling_ms` (below 0: none) at the most; the
 * error of a used-up budget wraps `why`. */
tikv_error *
tk_resolver_pause(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_backoff *backoff, enum tk_backoff_kind kind,
                  int64_t ceiling_ms, const char *why)
    __attribute__((warn_unused_result));

/* ---- what became of a transaction ---- */

struct tk_question {
    uint64_t start_ts;
    tikv_slice primary;
    uint64_t caller_start_ts;
    uint64_t current_ts;
    bool rolls_back;     /* what is missing */
    bool is_sync;        /* an async commit is taken for a plain one */
    bool is_pessimistic; /* of a pessimistic lock */
    bool is_txn_file;
};

/* Ends with tk_status_fini(). */
struct tk_txn_status {
    enum tk_fate fate;
    uint64_t commit_ts;
    uint64_t ttl_ms;
    /* Its lock, where that is one of an async commit. */
    struct tk_lock_set primary;
    const tikv_slice *keys; /* recovered: all it wrote; memory of `primary` */
    size_t keys_count;
};

void
tk_status_init(struct tk_txn_status *status);

void
tk_status_fini(struct tk_txn_status *status);

/* Asks once (the cache first, then TiKV), remembers what is final. */
tikv_error *
tk_status_ask(struct tk_resolver *resolver, struct tk_op *op,
              struct tk_backoff *backoff, const struct tk_question *question,
              struct tk_txn_status *out) __attribute__((warn_unused_result));

/* What became of the transaction of a lock: asks until there is an answer
 * other than MISSING. */
tikv_error *
tk_status_of_lock(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_backoff *backoff, const struct tk_lock *lock,
                  uint64_t caller_start_ts, bool is_sync,
                  struct tk_txn_status *out)
    __attribute__((warn_unused_result));

/* A final fate into the cache: SERVER when the opposite is known. */
tikv_error *
tk_status_save(struct tk_resolver *resolver, uint64_t start_ts,
               uint64_t commit_ts) __attribute__((warn_unused_result));

/* Until a lock of that age expires; at least 1. */
int64_t
tk_status_left_ms(struct tk_resolver *resolver, uint64_t start_ts,
                  uint64_t ttl_ms);

/* ---- async commit ---- */

/* Decides a transaction whose primary is an expired async-commit lock, in
 * status->primary: the status becomes final and gets the keys. *fell_back: a
 * member is none of an async commit; nothing was decided, ask again with
 * is_sync. */
tikv_error *
tk_async_recover(struct tk_resolver *resolver, struct tk_op *op,
                 struct tk_backoff *backoff, uint64_t start_ts,
                 struct tk_txn_status *status, bool *fell_back)
    __attribute__((warn_unused_result));

/* ---- removing locks ---- */

enum tk_clean_how {
    TK_CLEAN_KEYS,   /* resolve exactly these keys */
    TK_CLEAN_REGION, /* all locks of the transaction in their regions */
    TK_CLEAN_UNLOCK, /* pessimistic locks on these keys */
    TK_CLEAN_UNLOCK_REGION
};

/* One transaction's locks. */
struct tk_cleaning {
    enum tk_clean_how how;
    uint64_t start_ts;
    uint64_t commit_ts;     /* 0: rolled back */
    uint64_t for_update_ts; /* unlock: the greatest */
    bool is_txn_file;
    bool is_left;           /* nobody waits for it: TiKV need not either */
    const tikv_slice *keys; /* ascending, no doubles */
    size_t count;
};

/* Now, on this thread. */
tikv_error *
tk_clean(struct tk_resolver *resolver, struct tk_op *op,
         struct tk_backoff *backoff, const struct tk_cleaning *cleaning)
    __attribute__((warn_unused_result));

/* Later, in the pool. Copies. Where there is too much to do already nothing
 * happens: whoever meets the lock next will come by again. */
void
tk_clean_later(struct tk_resolver *resolver, const tikv_call *call,
               const struct tk_cleaning *cleaning);

/* Sorts keys, drops doubles; gives how many are left. */
size_t
tk_keys_sort(tikv_slice *keys, size_t count);

/* For resolver_new and _free. */
void
tk_clean_init(struct tk_resolver *resolver);

void
tk_clean_fini(struct tk_resolver *resolver);

#endif
