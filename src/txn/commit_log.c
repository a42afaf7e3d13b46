/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log that a program keeps beside its commits (2PC-12): written while the
 * keys are being locked, told the end afterwards.
 *
 *     WAITING --worker--> RUNNING --> DONE
 *        \----committer, when the prewrites are through and no worker was free
 *
 * Whoever comes first runs it, so a commit never waits for a worker that is
 * busy with waiting itself. Counted: the committer has one reference, the
 * work in the pool the other.
 */
#include "txn/commit_inner.h"

#include "base/alloc.h"
#include "base/error.h"
#include "exec/exec.h"

struct tk_commit_log {
    struct tk_work work; /* first */
    _Atomic uint32_t refs;
    _Atomic bool is_taken;
    struct tk_runtime *rt;
    tikv_txn_log_fn *fn;
    void *arg;
    uint64_t start_ts;
    tikv_slice primary; /* lives until the log is done */
    struct tk_signal done;

    /* Of who has taken it, then the committer's. */
    tikv_error *error;
    bool was_run;
    bool is_skipped;
};

static void
unref(struct tk_commit_log *log)
{
    if (atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) == 1) {
        tk_free(log);
    }
}

static void
run(struct tk_commit_log *log)
{
    log->was_run = true;
    log->error =
        log->fn(log->start_ts, log->primary, &log->is_skipped, log->arg);
}

/* On a worker. */
static void
work(struct tk_work *item, bool refused)
{
    struct tk_commit_log *log = (struct tk_commit_log *)(void *)item;
    struct tk_wakes wakes;

    if (!refused && !atomic_exchange(&log->is_taken, true)) {
        run(log);
        tk_wakes_init(&wakes, log->rt);
        tk_signal_set(&log->done, &wakes);
        tk_wakes_flush(&wakes);
    }
    unref(log);
}

tikv_error *
tk_commit_log_start(struct tk_commit *commit, struct tk_op *op)
{
    struct tk_commit_log *log;

    if (commit->rules.log == NULL) {
        return NULL;
    }
    log = tk_calloc(sizeof(*log));
    if (log == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    log->work.run = work;
    log->rt = op->rt;
    log->fn = commit->rules.log;
    log->arg = commit->rules.arg;
    log->start_ts = commit->start_ts;
    log->primary = commit->primary;
    atomic_init(&log->refs, 2);
    tk_signal_init(&log->done, op);
    commit->log = log;
    if (!tk_exec_push(op->exec, &log->work, false)) {
        unref(log);
    }
    return NULL;
}

tikv_error *
tk_commit_log_join(struct tk_commit *commit, struct tk_op *op,
                   tikv_error *error)
{
    struct tk_commit_log *log = commit->log;

    if (log == NULL) {
        return error;
    }
    if (atomic_exchange(&log->is_taken, true)) {
        tk_op_await_surely(op, &log->done);
    } else if (error == NULL) {
        run(log);
    }
    if (error == NULL) {
        error = log->error;
    } else {
        tikv_error_free(log->error);
    }
    /* What failed, or was never begun, wants to hear no end. */
    if (log->error != NULL || !log->was_run || log->is_skipped) {
        unref(log);
        commit->log = NULL;
    }
    return error;
}

void
tk_commit_log_end(struct tk_commit *commit)
{
    if (commit->log == NULL) {
        return;
    }
    if (commit->rules.logged != NULL) {
        commit->rules.logged(commit->start_ts,
                             commit->outcome == TK_OUTCOME_COMMITTED
                                 ? TIKV_OUTCOME_COMMITTED
                             : commit->outcome == TK_OUTCOME_UNDETERMINED
                                 ? TIKV_OUTCOME_UNKNOWN
                                 : TIKV_OUTCOME_ROLLED_BACK,
                             commit->commit_ts, commit->rules.arg);
    }
    unref(commit->log);
    commit->log = NULL;
}
