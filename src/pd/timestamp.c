/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The face of the timestamp queue: submitting, taking back, the watchdog,
 * the end, and the blocking call that comes back over leader changes (PD-4):
 * the first retry at once, then every 100 ms up to twenty tries, then with
 * pauses of kind pdRPC until the op ends.
 */
#include "base/error.h"
#include "pd/inner.h"
#include "pd/tso.h"

enum { QUICK_TRIES = 20, QUICK_PAUSE_MS = 100, QUEUE_FACTOR = 2 };

/* Into the batch that is being filled. Under the lock. */
static bool
enqueue(struct tk_pd *pd, struct tk_tso_request *request)
{
    struct tk_tso *tso = &pd->tso;
    size_t max = (size_t)tk_config_int(&pd->config->tso_batch_max_count);
    struct tk_tso_batch *batch = tso->queue.youngest;

    if (tso->is_closed || tso->queued_count >= QUEUE_FACTOR * max) {
        return false;
    }
    if (batch == NULL || batch->count >= max) {
        batch = tk_tso_begin(tso);
    }
    if (batch == NULL) {
        return false;
    }
    if (tso->queued_count++ == 0 &&
        tk_config_int(&pd->config->tso_batch_wait_us) != 0) {
        tso->queue_since = tk_now(pd->rt);
    }
    request->floor = tso->newest;
    request->batch = batch;
    request->serial = batch->serial;
    request->next = NULL;
    request->prev = batch->last;
    if (batch->last != NULL) {
        batch->last->next = request;
    } else {
        batch->first = request;
    }
    batch->last = request;
    batch->count++;
    return true;
}

bool
tk_pd_tso_submit(struct tk_pd *pd, struct tk_tso_request *request)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_wakes wakes;
    bool has_room;

    tk_mutex_lock(&tso->lock);
    if (!enqueue(pd, request)) {
        tk_mutex_unlock(&tso->lock);
        return false;
    }
    if (request->deadline != 0 && request->deadline < tso->sweep_at) {
        tso->sweep_at = request->deadline;
        tk_alarm_hasten(&tso->alarm, request->deadline);
        tk_alarm_arm(&tso->alarm, request->deadline);
    }
    has_room = tk_tso_has_room(pd);
    tk_mutex_unlock(&tso->lock);
    if (has_room) {
        tk_wakes_init(&wakes, pd->rt);
        tk_tso_pump(pd, &wakes);
        tk_wakes_flush(&wakes);
    }
    tk_point(pd->rt);
    return true;
}

bool
tk_pd_tso_take_back(struct tk_pd *pd, struct tk_tso_request *request)
{
    struct tk_tso *tso = &pd->tso;
    bool is_ours;

    tk_mutex_lock(&tso->lock);
    is_ours = tk_tso_has(request);
    if (is_ours) {
        tk_tso_unlink(tso, request);
    }
    tk_mutex_unlock(&tso->lock);
    return is_ours;
}

/* ---- the blocking call ---- */

struct wait {
    struct tk_tso_request request; /* first */
    struct tk_signal signal;
    uint64_t ts;
    tikv_error *error;
};

static void
wait_done(struct tk_tso_request *request, uint64_t ts, tikv_error *error,
          struct tk_wakes *wakes)
{
    struct wait *wait = (struct wait *)(void *)request;

    wait->ts = ts;
    wait->error = error;
    tk_signal_set(&wait->signal, wakes);
}

static tikv_error *
ask_once(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    struct wait wait = { .request = { .done = wait_done } };
    tikv_error *error;

    tk_signal_init(&wait.signal, op);
    if (!tk_pd_tso_submit(pd, &wait.request)) {
        bool is_closed;

        tk_mutex_lock(&pd->tso.lock);
        is_closed = pd->tso.is_closed;
        tk_mutex_unlock(&pd->tso.lock);
        return is_closed ? tk_error_immortal(TIKV_ERR_CLOSED)
                         : tk_error(TIKV_ERR_OVERLOAD,
                                    "too many wait for a timestamp");
    }
    error = tk_op_await(op, &wait.signal);
    if (error != NULL) {
        if (tk_pd_tso_take_back(pd, &wait.request)) {
            return error;
        }
        tk_op_await_surely(op, &wait.signal);
        tikv_error_free(wait.error);
        return error;
    }
    *out = wait.ts;
    return wait.error;
}

/* Pauses before the next try; an error ends the call. */
static tikv_error *
before_retry(struct tk_pd *pd, struct tk_op *op, unsigned tries)
{
    int64_t pause_ms = tries == 0            ? 0
                       : tries < QUICK_TRIES ? QUICK_PAUSE_MS
                                             : tk_pd_pause_ms(
                                                   pd, tries - QUICK_TRIES);
    tikv_error *error;

    if (pause_ms > 0) {
        error = tk_op_pause(op, TK_BACKOFF_PD_RPC, pause_ms * TK_MS);
        if (error != NULL) {
            return error;
        }
    }
    error = tk_members_refresh(pd, op);
    if (error == NULL) {
        error = tk_service_look(pd, op);
    }
    if (error != NULL && tikv_error_code(error) == TIKV_ERR_PD) {
        tikv_error_free(error);
        error = NULL;
    }
    return error;
}

tikv_error *
tk_pd_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    unsigned tries = 0;

    for (;;) {
        tikv_error *end = tk_op_check(op);
        tikv_error *error = end != NULL ? end : ask_once(pd, op, out);

        if (error == NULL || tikv_error_code(error) != TIKV_ERR_PD) {
            return error;
        }
        end = before_retry(pd, op, tries++);
        if (tikv_error_code(end) == TIKV_ERR_TIMEOUT) {
            end = tk_error_wrap(end, "%s", tikv_error_message(error));
            tk_error_set_u64(end, TIKV_ERROR_ATTEMPTS, tries);
        }
        tikv_error_free(error);
        if (end != NULL) {
            return end;
        }
    }
}
