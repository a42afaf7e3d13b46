/* SPDX-License-Identifier: Apache-2.0 */
/* Calling back. See dispatch.h. */
#include "exec/dispatch.h"

#include "base/error.h"
#include "exec/exec_inside.h"
#include "exec/future.h"

void
tk_dispatch_init(struct tk_exec *exec)
{
    tk_mutex_init(&exec->dispatch.lock, TK_RANK_CLIENT);
    exec->dispatch.max = TK_CALLBACKS_MAX;
}

void
tk_dispatch_fini(struct tk_exec *exec)
{
    if (!tk_exec_is_forked(exec)) {
        tk_mutex_fini(&exec->dispatch.lock);
    }
}

void
tk_exec_set_callbacks_max(struct tk_exec *exec, uint32_t max)
{
    exec->dispatch.max = max;
}

/* All that is ready, oldest first. */
static struct tikv_future *
take_ready(struct tk_dispatch *dispatch, bool *is_ended)
{
    struct tikv_future *first;

    tk_mutex_lock(&dispatch->lock);
    first = dispatch->first;
    dispatch->first = NULL;
    *is_ended = dispatch->is_ended;
    tk_mutex_unlock(&dispatch->lock);
    return first;
}

/* The application may do with the future what it likes, as long as the
 * reference of the registration lives. */
static void
call_back(struct tk_dispatch *dispatch, struct tikv_future *future)
{
    future->fn(future, future->arg);
    tk_mutex_lock(&dispatch->lock);
    dispatch->admitted--;
    tk_mutex_unlock(&dispatch->lock);
    tk_future_unref(future);
}

static void
dispatch_main(void *arg)
{
    struct tk_exec *exec = arg;
    struct tk_dispatch *dispatch = &exec->dispatch;
    struct tk_runtime *rt = exec->rt;
    struct tk_parker *me = tk_self(rt);
    bool is_ended = false;

    tk_mutex_lock(&dispatch->lock);
    dispatch->parker = me;
    tk_mutex_unlock(&dispatch->lock);
    for (;;) {
        struct tikv_future *future;

        tk_park_begin(me);
        future = take_ready(dispatch, &is_ended);
        if (future == NULL && is_ended) {
            break;
        }
        if (future == NULL) {
            rt->ops->park(rt, me, TK_NEVER);
        }
        while (future != NULL) {
            struct tikv_future *next = future->next;

            call_back(dispatch, future);
            future = next;
        }
    }
}

/* Under the lock. A callback that submits, is refused and registers itself
 * again would keep close busy for ever: who drains admits nobody. */
static tikv_error *
refusal(struct tk_exec *exec)
{
    struct tk_dispatch *dispatch = &exec->dispatch;

    if (dispatch->is_ended ||
        atomic_load(&exec->state) >= TK_EXEC_DRAINING) {
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    if (dispatch->admitted >= dispatch->max) {
        return tk_error(TIKV_ERR_OVERLOAD,
                        "%u callbacks are registered and have not returned",
                        (unsigned)dispatch->admitted);
    }
    if (dispatch->thread == NULL) {
        dispatch->thread = exec->ops->spawn(exec->rt, "tikv-callback",
                                            dispatch_main, exec);
    }
    return dispatch->thread == NULL
               ? tk_error(TIKV_ERR_MEMORY, "no thread for callbacks")
               : NULL;
}

tikv_error *
tk_dispatch_admit(struct tk_exec *exec)
{
    tikv_error *error;

    tk_mutex_lock(&exec->dispatch.lock);
    error = refusal(exec);
    exec->dispatch.admitted += error == NULL;
    tk_mutex_unlock(&exec->dispatch.lock);
    return error;
}

bool
tk_dispatch_push(struct tk_exec *exec, struct tikv_future *future,
                 struct tk_wakes *wakes)
{
    struct tk_dispatch *dispatch = &exec->dispatch;
    struct tk_parker *parker = NULL;
    bool is_taken;

    future->next = NULL;
    tk_mutex_lock(&dispatch->lock);
    is_taken = !dispatch->is_ended;
    if (is_taken) {
        if (dispatch->first == NULL) {
            dispatch->first = future;
            parker = dispatch->parker;
        } else {
            dispatch->last->next = future;
        }
        dispatch->last = future;
    } else {
        dispatch->admitted--;
    }
    tk_mutex_unlock(&dispatch->lock);
    if (parker != NULL) {
        tk_wakes_ring(wakes, parker);
    }
    tk_exec_point(exec);
    return is_taken;
}

void
tk_dispatch_end(struct tk_exec *exec)
{
    struct tk_dispatch *dispatch = &exec->dispatch;
    struct tk_parker *parker;
    struct tk_wakes wakes;

    if (!tk_exec_is_forked(exec)) {
        tk_wakes_init(&wakes, exec->rt);
        tk_mutex_lock(&dispatch->lock);
        dispatch->is_ended = true;
        parker = dispatch->parker;
        tk_mutex_unlock(&dispatch->lock);
        if (parker != NULL) {
            tk_wakes_ring(&wakes, parker);
        }
        tk_wakes_flush(&wakes);
    }
    if (dispatch->thread != NULL) {
        exec->ops->join(exec->rt, dispatch->thread);
        dispatch->thread = NULL;
    }
}
