/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps of a commit, which have to be above one that another cluster
 * gave where the transaction says so (2PC-11): PD is asked again, with
 * growing pauses, until it is there or the time is over.
 */
#include "base/error.h"
#include "txn/commit_inner.h"
#include "txn/lock.h"

static tikv_error *
lags(const struct tk_commit *commit, uint64_t ts, int64_t waited_ms)
{
    tikv_error *error = tk_error(
        TIKV_ERR_PD, "PD's timestamp %llu is not above %llu, %lld ms waited",
        (unsigned long long)ts,
        (unsigned long long)commit->rules.commit_after_ts,
        (long long)waited_ms);

    tk_error_set_u64(error, TIKV_ERROR_COMMIT_TS, ts);
    tk_error_set_u64(error, TIKV_ERROR_MIN_COMMIT_TS,
                     commit->rules.commit_after_ts);
    return error;
}

/* The pause before PD is asked again, or -1. */
static int64_t
next_pause(const struct tk_commit *commit, struct tk_backoff *backoff,
           uint64_t ts, int64_t waited_ms)
{
    int64_t limit_ms = commit->rules.commit_after_ms;
    uint64_t after_ms = tk_ts_ms(commit->rules.commit_after_ts);
    struct tk_runtime *rt = commit->client->router.rt;

    if (waited_ms >= limit_ms ||
        (after_ms > tk_ts_ms(ts) &&
         after_ms - tk_ts_ms(ts) > (uint64_t)limit_ms)) {
        return -1;
    }
    return tk_backoff_next(backoff, TK_BACKOFF_COMMIT_TS_LAG,
                           limit_ms - waited_ms, rt->ops->random(rt));
}

tikv_error *
tk_commit_timestamp(struct tk_commit *commit, struct tk_op *op, uint64_t *out)
{
    int64_t from = tk_now(op->rt);
    struct tk_backoff backoff;

    tk_backoff_init(&backoff, 0);
    for (;;) {
        tikv_error *error = tk_pd_timestamp(commit->client->router.pd, op, out);
        int64_t waited_ms = (tk_now(op->rt) - from) / TK_MS;
        int64_t pause_ms;

        if (error != NULL || *out > commit->rules.commit_after_ts) {
            return error;
        }
        pause_ms = next_pause(commit, &backoff, *out, waited_ms);
        if (pause_ms < 0) {
            return lags(commit, *out, waited_ms);
        }
        error = tk_op_pause(op, TK_BACKOFF_COMMIT_TS_LAG, pause_ms * TK_MS);
        if (error != NULL) {
            return error;
        }
    }
}
