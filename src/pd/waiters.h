/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that wait for one piece of work somebody else is doing: the rest
 * of a single flight. The list is guarded by its owner's lock; a waiter lives
 * on the stack of the one who waits. Whoever ends the work takes the whole
 * list under the lock and wakes it after the lock is released.
 */
#ifndef TK_PD_WAITERS_H
#define TK_PD_WAITERS_H

#include "exec/mutex.h"
#include "exec/op.h"

struct tk_waiter {
    struct tk_signal signal;
    struct tk_waiter *prev; /* guarded by the owner's lock, like is_listed */
    struct tk_waiter *next;
    bool is_listed;
};

struct tk_waiters {
    struct tk_waiter *first;
};

/* Under the lock. */
void
tk_waiters_add(struct tk_waiters *waiters, struct tk_waiter *waiter,
               struct tk_op *op);

/* Under the lock: all of them; nobody else will wake them now. */
struct tk_waiter *
tk_waiters_take(struct tk_waiters *waiters);

/* No lock held. */
void
tk_waiters_wake(struct tk_waiter *taken, struct tk_wakes *wakes);

/* Waits to be woken: NULL. On an error the waiter is out of the list. */
tikv_error *
tk_waiter_await(struct tk_waiters *waiters, struct tk_waiter *waiter,
                struct tk_mutex *lock, struct tk_op *op)
    __attribute__((warn_unused_result));

#endif
