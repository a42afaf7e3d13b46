/* SPDX-License-Identifier: Apache-2.0 */
/* The waiting half of a single flight; the rules stand in the header. */
#include "pd/waiters.h"

void
tk_waiters_add(struct tk_waiters *waiters, struct tk_waiter *waiter,
               struct tk_op *op)
{
    tk_signal_init(&waiter->signal, op);
    waiter->prev = NULL;
    waiter->next = waiters->first;
    if (waiters->first != NULL) {
        waiters->first->prev = waiter;
    }
    waiters->first = waiter;
    waiter->is_listed = true;
}

static void
unlist(struct tk_waiters *waiters, struct tk_waiter *waiter)
{
    if (waiter->prev != NULL) {
        waiter->prev->next = waiter->next;
    } else {
        waiters->first = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->prev = waiter->prev;
    }
    waiter->is_listed = false;
}

struct tk_waiter *
tk_waiters_take(struct tk_waiters *waiters)
{
    struct tk_waiter *taken = waiters->first;
    struct tk_waiter *waiter;

    for (waiter = taken; waiter != NULL; waiter = waiter->next) {
        waiter->is_listed = false;
    }
    waiters->first = NULL;
    return taken;
}

void
tk_waiters_wake(struct tk_waiter *taken, struct tk_wakes *wakes)
{
    while (taken != NULL) {
        /* Read first: a waiter is gone once its signal is set. */
        struct tk_waiter *next = taken->next;

        tk_signal_set(&taken->signal, wakes);
        taken = next;
    }
}

tikv_error *
tk_waiter_await(struct tk_waiters *waiters, struct tk_waiter *waiter,
                struct tk_mutex *lock, struct tk_op *op)
{
    tikv_error *error = tk_op_await(op, &waiter->signal);
    bool is_coming;

    if (error == NULL) {
        return NULL;
    }
    tk_mutex_lock(lock);
    is_coming = !waiter->is_listed;
    if (!is_coming) {
        unlist(waiters, waiter);
    }
    tk_mutex_unlock(lock);
    if (is_coming) {
        tk_op_await_surely(op, &waiter->signal);
    }
    return error;
}
