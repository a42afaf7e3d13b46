/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit of one transaction: three strategies, one machine.
 *
 *     COLLECT --nothing to write---------------------------------> DONE
 *        |
 *     PREPARE      latches, age, strategy, floor of the timestamp, checks
 *        |
 *     PREWRITE --one phase: all keys in one request -----+
 *        |   \---async: every key is locked -------------+
 *        |                                               |
 *     TIMESTAMP <-----------+  commit ts, checks         |
 *        |                  | it came too low            |
 *     PRIMARY --------------+                            |
 *        |                                               v
 *        +-----------------------------------------> COMMITTED -> DONE
 *
 *     from PREPARE on    --> FAILED        --> DONE  locks are rolled back
 *     from PREWRITE on   --> UNDETERMINED  --> DONE  nothing is touched
 *
 * The commit point is the request that decides: the commit of the primary
 * key, or with async and one-phase commit the prewrites themselves. Whatever
 * may refuse the transaction (age, checks, limits, a cancel) does so before
 * it; behind it a cancel is not looked at, only the deadline. What is known
 * of the end is a lattice of its own (outcome.h).
 *
 * The prewrites are a commit point only as a whole: as long as one key is
 * known not to be locked, nobody can find the transaction committed. So it is
 * undetermined only when every key that is not done may have been locked.
 * TiKV may decline async or one-phase commit at any key; then the locks are
 * ordinary ones and the machine goes on with two phases.
 *
 * Threads: one, the committer's. What is left to do afterwards are chores.
 */
#ifndef TK_TXN_COMMIT_H
#define TK_TXN_COMMIT_H

#include <tikv/txn.h>

#include "txn/client.h"
#include "txn/collect.h"
#include "txn/latch.h"
#include "txn/min_commit.h"
#include "txn/outcome.h"

enum tk_commit_state {
    TK_COMMIT_COLLECT,
    TK_COMMIT_PREPARE,
    TK_COMMIT_PREWRITE,
    TK_COMMIT_TIMESTAMP,
    TK_COMMIT_PRIMARY,
    TK_COMMIT_COMMITTED,
    TK_COMMIT_FAILED,
    TK_COMMIT_UNDETERMINED,
    TK_COMMIT_DONE
};

/* What the transaction was told; fixed when the commit begins. */
struct tk_commit_rules {
    bool async_commit; /* permissions */
    bool one_phase;
    bool causal;
    bool fails_on_locks;
    uint8_t assertions; /* a number of kvrpcpb.AssertionLevel */
    uint64_t commit_after_ts;
    int64_t commit_after_ms; /* below 0: does not wait */
    tikv_txn_check_fn *schema_check;
    tikv_txn_check_fn *commit_check;
    tikv_txn_filter_fn *filter;
    tikv_txn_log_fn *log; /* these two may be NULL each */
    tikv_txn_logged_fn *logged;
    void *arg;
    tikv_slice context; /* fields of kvrpcpb.Context for every request */
};

struct tk_commit_log;

struct tk_commit {
    struct tk_txn_client *client;
    struct tk_buffer *buffer; /* of the transaction, which rests */
    struct tk_commit_rules rules;
    uint64_t start_ts;
    int64_t began_at; /* local ns */

    enum tk_commit_state state;
    enum tk_outcome_state outcome;
    tikv_error *error; /* why it failed */

    struct tk_collected keys; /* shrinks to what is left to do */
    tikv_slice primary;       /* the buffer's */
    size_t all_count;         /* mutations at the start */
    bool use_async;
    bool use_one_phase;
    bool sent_one_phase;  /* a request that commits all by itself left */
    bool some_unanswered; /* an attempt of a prewrite may still be on its way */
    bool is_refused;      /* by TiKV, which would refuse it again */
    bool some_prewritten; /* some key is locked */
    struct tk_min_commit min_commit; /* floor of the commit ts, for TiKV */
    uint64_t answered_ts;            /* async: the largest that TiKV demanded */
    uint64_t max_commit_ts; /* async, one phase: TiKV must stay below */
    uint64_t commit_ts;
    bool in_one_phase;
    struct tk_latch_ticket latch; /* no places: none are held */
    struct tk_commit_log *log;    /* NULL: none was begun */

    tikv_txn_summary summary;
};

/* `rules` are copied, their context is the caller's. */
void
tk_commit_init(struct tk_commit *commit, struct tk_txn_client *client,
               struct tk_buffer *buffer, uint64_t start_ts,
               const struct tk_commit_rules *rules);

void
tk_commit_fini(struct tk_commit *commit);

/* What the machine wants to be told or done besides. */
struct tk_commit_hooks {
    /* The primary is locked and the transaction so large that its lock has to
     * be kept alive. */
    void (*keep_alive)(void *arg);

    /* Work is left for a chore: tk_commit_finish() on `arg`'s commit. */
    void (*leave)(void *arg);
    void *arg;
};

/* Runs to its end. NULL: committed, `commit->commit_ts` is 0 when nothing was
 * written. */
tikv_error *
tk_commit_run(struct tk_commit *commit, struct tk_op *op,
              const struct tk_commit_hooks *hooks)
    __attribute__((warn_unused_result));

/* How long that may go on. */
#define TK_CHORE_LIMIT_MS 82000

/* The chore behind a commit: commits or rolls back what is left. Failures
 * are told to the log alone: whoever meets the locks resolves them. */
void
tk_commit_finish(struct tk_commit *commit, struct tk_op *op);

#endif
