/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The retry loop written once, and the question what became of a transaction.
 * The loop uses the public functions, as the body does that it calls; between
 * attempts it sleeps with growing pauses, within its own deadline.
 */
#include "api/txn.h"

#include "base/call.h"
#include "base/error.h"
#include "txn/lock.h"
#include "txn/resolver.h"

/* Pauses between attempts, ms, and between looks at a living transaction. */
enum { PAUSE_MS = 2, PAUSE_MAX_MS = 500, LOOK_MS = 100 };

/* ---- run ---- */

/* One deadline for all attempts, in place of a duration for each. */
static void
limit_call(tikv_call *call, const tikv_client *client)
{
    int64_t deadline =
        tk_call_deadline(call, tk_now(client->router.rt),
                         tk_config_ns(&client->config.call_timeout_ms));

    call->timeout_ms = TIKV_FOREVER;
    call->deadline_ns = deadline == TK_NEVER ? 0 : deadline;
}

static tikv_error *
try_once(tikv_client *client, const tikv_txn_options *options,
         tikv_txn_fn *body, void *arg, uint64_t *commit_ts)
{
    tikv_call_options ending = { options->call, options->details };
    tikv_txn *txn = NULL;
    tikv_error *error = tikv_txn_begin(client, options, &txn);

    ending.call.struct_size = sizeof(ending);

    if (error == NULL) {
        error = body(txn, arg);
        if (error == NULL) {
            error = tikv_txn_commit(txn, &ending.call, commit_ts);
        }
    }
    tikv_txn_free(txn);
    return error;
}

/* The time was over during this attempt: the trouble of the one before, which
 * cost it, says more. Takes both errors. */
static tikv_error *
blame(const tikv_client *client, const tikv_call *call, tikv_error *trouble,
      tikv_error *error)
{
    if (trouble == NULL || tikv_error_code(error) != TIKV_ERR_TIMEOUT ||
        call->deadline_ns == 0 ||
        tk_now(client->router.rt) < call->deadline_ns) {
        tikv_error_free(trouble);
        return error;
    }
    tikv_error_free(error);
    return trouble;
}

/* False: the loop is over, with *error as its answer. */
static bool
pause_after(tikv_client *client, const tikv_txn_options *options,
            uint32_t attempt, tikv_error **error)
{
    struct tk_runtime *rt = client->router.rt;
    struct tk_op op;
    tikv_error *end = tk_door_enter(client, &options->call, &op);
    int64_t ms;

    if (end == NULL) {
        op.details = options->details;
        op.spent.calls = 0;
        ms = tk_backoff_pause(TK_JITTER_EQUAL, PAUSE_MS, PAUSE_MAX_MS, attempt,
                              0, rt->ops->random(rt));
        end = op.deadline - tk_now(rt) <= ms * TK_MS
                  ? tk_error_immortal(TIKV_ERR_TIMEOUT)
                  : tk_op_sleep(&op, ms * TK_MS);
        end = tk_op_end(&op, end);
        tk_door_leave(client, &op);
    }
    if (end == NULL) {
        return true;
    }
    if (tikv_error_code(end) == TIKV_ERR_TIMEOUT) {
        tikv_error_free(end);
    } else {
        tikv_error_free(*error);
        *error = end;
    }
    return false;
}

tikv_error *
tikv_txn_run(tikv_client *client, const tikv_txn_options *options,
             tikv_txn_fn *body, void *arg, uint64_t *commit_ts)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_txn_options copy;
    uint32_t attempt = 0;
    uint64_t ts = 0;

    if (error == NULL && body == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "body is NULL");
    }
    if (error == NULL) {
        error = tk_txn_read_options(&client->config, options, &copy);
    }
    if (error != NULL) {
        return error;
    }
    limit_call(&copy.call, client);
    copy.call.struct_size = sizeof(copy);
    do {
        error = blame(client, &copy.call, error,
                      try_once(client, &copy, body, arg, &ts));
    } while (tikv_error_is_retryable(error) && copy.start_ts == 0 &&
             ++attempt < copy.attempts_count &&
             pause_after(client, &copy, attempt, &error));
    if (error == NULL && commit_ts != NULL) {
        *commit_ts = ts;
    }
    return error;
}

/* ---- outcome ---- */

/* Until it is decided, or the op ends. */
static tikv_error *
ask(tikv_client *client, struct tk_op *op, uint64_t start_ts,
    tikv_slice primary, struct tk_txn_fate *fate)
{
    struct tk_backoff backoff;

    tk_backoff_init(&backoff, 0);
    for (;;) {
        tikv_error *error =
            tk_resolver_ask(client->txns->resolver, op, &backoff, start_ts,
                            primary, TK_ASK_DECIDE, fate);
        int64_t ms;

        if (error != NULL || fate->state == TK_TXN_COMMITTED ||
            fate->state == TK_TXN_ROLLED_BACK) {
            return error;
        }
        ms = fate->left_ms > 0 && fate->left_ms < LOOK_MS ? fate->left_ms + 1
                                                          : LOOK_MS;
        error = tk_op_sleep(op, ms * TK_MS);
        if (error != NULL) {
            return error;
        }
    }
}

tikv_error *
tikv_txn_outcome(tikv_client *client, uint64_t start_ts, tikv_slice primary,
                 const tikv_call *call, tikv_outcome *outcome,
                 uint64_t *commit_ts)
{
    struct tk_txn_fate fate = { .state = TK_TXN_UNKNOWN };
    tikv_error *error = tk_door_refusal(client);
    tikv_details *details;
    struct tk_op op;
    tikv_call copy;

    if (error == NULL && (outcome == NULL || start_ts == 0)) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         outcome == NULL ? "outcome is NULL" : "start_ts is 0");
    }
    if (error == NULL) {
        error = tk_txn_door_key(primary);
    }
    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &copy, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = details;
    error =
        tk_op_end(&op, ask(client, &op, start_ts, primary, &fate));
    tk_door_leave(client, &op);
    if (tikv_error_code(error) == TIKV_ERR_TIMEOUT) {
        tikv_error_free(error);
        error = NULL;
    }
    if (error != NULL) {
        return error;
    }
    *outcome = fate.state == TK_TXN_COMMITTED     ? TIKV_OUTCOME_COMMITTED
               : fate.state == TK_TXN_ROLLED_BACK ? TIKV_OUTCOME_ROLLED_BACK
                                                  : TIKV_OUTCOME_UNKNOWN;
    if (fate.state == TK_TXN_COMMITTED && commit_ts != NULL) {
        *commit_ts = fate.commit_ts;
    }
    return NULL;
}
