/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the commit share: commit.c is the machine, prewrite.c its
 * first phase, finish.c the second and the rolling back. */
#ifndef TK_TXN_COMMIT_INNER_H
#define TK_TXN_COMMIT_INNER_H

#include "region/message.h"
#include "txn/commit.h"

/* Budgets of sleep, ms (BO-5), and the longest work asked of TiKV. */
enum {
    TK_BUDGET_PREWRITE_MS = 40000,
    TK_BUDGET_PRIMARY_MS = 40000,
    TK_BUDGET_BEHIND_MS = 41000,
    TK_BUDGET_CLEANUP_MS = 20000,
    TK_WRITE_EXECUTION_MS = 20000
};

/* The budget of an operation (BO-5), weighted. */
static inline int64_t
tk_txn_budget(const struct tk_router *router, int64_t ms)
{
    return ms * tk_config_int(&router->config->backoff_weight);
}

/* The same op without the caller's cancel: behind the commit point only an
 * answer is better than none. */
struct tk_shield {
    struct tk_op *outer; /* gets the account */
    struct tk_op op;
    tikv_call call;
};

bool
tk_shield_init(struct tk_shield *shield, struct tk_op *op);

void
tk_shield_fini(struct tk_shield *shield);

/* The common part of the commit's jobs: `budget_ms` without weight. */
void
tk_commit_job(struct tk_commit *commit, struct tk_job *job,
              const struct tk_job_ops *ops, enum tk_command command,
              size_t count, int64_t budget_ms);

/* What the error is to carry, for tikv_txn_outcome(). */
void
tk_commit_describe(const struct tk_commit *commit, tikv_error *error);

static inline const struct tk_mutation *
tk_commit_at(const struct tk_commit *commit, size_t place)
{
    return &commit->keys.mutations.items[place];
}

/* How old the transaction is, by PD's time where that is known. */
uint64_t
tk_commit_age_ms(const struct tk_commit *commit);

/* ---- presplit.c ---- */

/* Splits regions that are to take very many keys, as well as it goes. */
void
tk_commit_presplit(struct tk_commit *commit, struct tk_op *op);

/* ---- prewrite.c ---- */

/* Locks all keys. NULL: done, or committed in one phase. With an error the
 * commit's outcome says what it means. */
tikv_error *
tk_commit_prewrite(struct tk_commit *commit, struct tk_op *op,
                   const struct tk_commit_hooks *hooks)
    __attribute__((warn_unused_result));

/* ---- commit_log.c ---- */

/* Lets the program's log begin, if there is one. */
tikv_error *
tk_commit_log_start(struct tk_commit *commit, struct tk_op *op)
    __attribute__((warn_unused_result));

/* Waits for it. `error` is that of the prewrites: then a log that did not
 * begin yet is left out. Gives `error`, or why the log failed. */
tikv_error *
tk_commit_log_join(struct tk_commit *commit, struct tk_op *op,
                   tikv_error *error) __attribute__((warn_unused_result));

/* Tells it the end; it is over then. */
void
tk_commit_log_end(struct tk_commit *commit);

/* ---- finish.c ---- */

/* Commits the primary, and what lies beside it in one request. *expired: the
 * timestamp was too low, nothing happened. */
tikv_error *
tk_commit_primary(struct tk_commit *commit, struct tk_op *op, bool *expired)
    __attribute__((warn_unused_result));

/* ---- commit_ts.c ---- */

/* A timestamp above commit_after_ts (2PC-11). */
tikv_error *
tk_commit_timestamp(struct tk_commit *commit, struct tk_op *op, uint64_t *out)
    __attribute__((warn_unused_result));

#endif
