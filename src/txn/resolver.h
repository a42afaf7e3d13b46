/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about other transactions' locks. One per client.
 *
 * A lock says who its transaction's primary is; the primary's fate decides
 * the transaction. So: ask the status (the cache first), look up the action
 * in a table (resolve_rule.h), do it. Requests that met locks work in rounds:
 *
 *     job --> locks met --> tk_resolver_resolve() --> wait, go on
 *      ^                                                 |
 *      +--- what is left, bypass and access lists -------+
 *
 * Only decided statuses are cached. Identical questions that run at the same
 * time are asked once. Nothing here trusts the local clock to end a living
 * transaction: TiKV judges, by timestamps of PD.
 *
 * Any thread. Lock: rank LEAF, for the cache, the flights, the cleanups.
 */
#ifndef TK_TXN_RESOLVER_H
#define TK_TXN_RESOLVER_H

#include "region/backoff.h"
#include "txn/client.h"
#include "txn/lock.h"

struct tk_resolver *
tk_resolver_new(struct tk_txn_client *client);

/* After the exec closed. Takes NULL. */
void
tk_resolver_free(struct tk_resolver *resolver);

/* A set of timestamps, ascending. */
struct tk_ts_set {
    uint64_t *data;
    size_t count;
    size_t cap;
};

void
tk_ts_set_fini(struct tk_ts_set *set);

bool
tk_ts_set_has(const struct tk_ts_set *set, uint64_t ts);

/* False without memory. */
bool
tk_ts_set_add(struct tk_ts_set *set, uint64_t ts);

/* ---- locks that are in the way ---- */

struct tk_resolve {
    /* The transaction that is held up: a reader's version, a writer's start
     * ts. UINT64_MAX: a read of the newest. 0: somebody without a
     * transaction. */
    uint64_t caller_start_ts;

    /* A reader: does not wait for cleaning up, which goes on behind its back,
     * and is told whom it can pass. */
    bool for_read;

    /* A reader that cannot read through locks (it wants to know the commit
     * ts): waits for cleaning up like a writer. */
    bool waits_for_cleaning;

    /* Only the locks that were met are removed, not those of the same
     * transaction in their regions. */
    bool is_lite;

    /* Pessimistic locks of a transaction are all rolled back in a region. */
    bool whole_region;

    /* Shared by all rounds of the caller's operation; waits of requests are
     * charged to it. */
    struct tk_backoff *backoff;

    /* Answers. How long until one of those that still live can be resolved;
     * 0: no lock is left in the way. */
    int64_t wait_ms;

    /* Readers: transactions whose locks can be ignored (rolled back,
     * committed after the caller's version, or pushed above it), and those
     * that committed below it, through whose locks one reads. They are the
     * caller's and only grow. NULL for writers. */
    struct tk_ts_set *bypass;
    struct tk_ts_set *access;

    /* Set by the resolver: what the caller is held up by, until it has waited
     * (tk_resolver_held_up()). */
    const struct tk_lock_set *locks;
};

/* Resolves what can be. ABORTED: a lock is of the caller's own transaction,
 * which others took apart. */
tikv_error *
tk_resolver_resolve(struct tk_resolver *resolver, struct tk_op *op,
                    struct tk_resolve *resolve, const struct tk_lock_set *locks)
    __attribute__((warn_unused_result));

/* After a round, whose locks are still there: sleeps as long as `resolve`
 * says, at most, by the growing pauses of `kind`, within the budget. */
tikv_error *
tk_resolver_wait(struct tk_resolver *resolver, struct tk_op *op,
                 struct tk_resolve *resolve, enum tk_backoff_kind kind)
    __attribute__((warn_unused_result));

/* Ends all of the transactions, whether they live or not, and their locks;
 * for GC and tools. Several statuses go into one request per region. */
tikv_error *
tk_resolver_resolve_all(struct tk_resolver *resolver, struct tk_op *op,
                        struct tk_backoff *backoff,
                        const struct tk_lock_set *locks)
    __attribute__((warn_unused_result));

/* ---- one transaction ---- */

enum tk_txn_state {
    TK_TXN_ALIVE,       /* its primary holds a lock */
    TK_TXN_COMMITTED,   /* commit_ts; for ever */
    TK_TXN_ROLLED_BACK, /* for ever */
    TK_TXN_UNKNOWN      /* no trace of it: it may still begin to write */
};

struct tk_txn_fate {
    enum tk_txn_state state;
    uint64_t commit_ts;
    int64_t left_ms; /* ALIVE: until it expires; below 0: it has */
};

/* How hard to ask. */
enum tk_ask {
    TK_ASK_LOOK,   /* change nothing: a missing transaction is UNKNOWN */
    TK_ASK_DECIDE, /* what is missing or expired is rolled back for good; an
                      async commit that expired is recovered */
    TK_ASK_END     /* what lives is rolled back too, unless it is already
                      committed or is an async commit with all its locks */
};

/* What became of a transaction, by its primary. After DECIDE only ALIVE is
 * not final; after END the answer is. */
tikv_error *
tk_resolver_ask(struct tk_resolver *resolver, struct tk_op *op,
                struct tk_backoff *backoff, uint64_t start_ts,
                tikv_slice primary, enum tk_ask how, struct tk_txn_fate *out)
    __attribute__((warn_unused_result));

/* A fate somebody learned without the resolver (a committer of its own
 * transaction): saves questions. Only COMMITTED and ROLLED_BACK. */
void
tk_resolver_learn(struct tk_resolver *resolver, uint64_t start_ts,
                  const struct tk_txn_fate *fate);

/* ---- looking at it ---- */

/* What the resolver did so far, and what it has to do. */
enum tk_resolver_stat {
    TK_RESOLVER_READERS,        /* rounds of readers */
    TK_RESOLVER_WRITERS,        /* rounds of writers */
    TK_RESOLVER_ENDED,          /* locks whose transaction was over */
    TK_RESOLVER_ALIVE,          /* locks that had to be waited for */
    TK_RESOLVER_WAITS,          /* pauses */
    TK_RESOLVER_KNOWN,          /* fates that the cache knew */
    TK_RESOLVER_ASKED,          /* requests: CheckTxnStatus */
    TK_RESOLVER_COMMITTED,      /* their answers: committed */
    TK_RESOLVER_ROLLED_BACK,    /* rolled back */
    TK_RESOLVER_RECOVERIES,     /* async commits decided by secondaries */
    TK_RESOLVER_SECONDARIES,    /* requests: CheckSecondaryLocks */
    TK_RESOLVER_REGION_CLEANED, /* ResolveLock of whole regions */
    TK_RESOLVER_KEYS_CLEANED,   /* ResolveLock of keys */
    TK_RESOLVER_BATCH_CLEANED,  /* ResolveLock of many transactions */
    TK_RESOLVER_UNLOCKED,       /* PessimisticRollback */
    TK_RESOLVER_LEFT,           /* cleanings that readers left behind */
    TK_RESOLVER_DROPPED,        /* of those: there was too much to do */
    TK_RESOLVER_QUEUED,         /* of those: waiting now */
    TK_RESOLVER_STATS
};

uint64_t
tk_resolver_stat(const struct tk_resolver *resolver,
                 enum tk_resolver_stat stat);

/* Copies the locks that hold up a caller at this moment into `out`, `limit`
 * at the most: each with the caller it holds up. */
tikv_error *
tk_resolver_held_up(struct tk_resolver *resolver, size_t limit,
                    struct tk_lock_set *out)
    __attribute__((warn_unused_result));

#endif
