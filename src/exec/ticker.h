/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Something done again and again in the background: an alarm that queues one
 * work at a time. It rests until it is begun, and again when `next` says so;
 * resting it wakes nobody, ticking it wakes the timer thread once a tick and a
 * worker once per work.
 *
 *     RESTING --begin--> TICKING --next: TK_NEVER--> RESTING
 *        any --close--> CLOSED: never rings nor queues again
 *
 *     idle --tick, push--> queued --a worker--> running --> idle
 *
 * A tick that finds the last work queued or running, or the queue full, is
 * left out: the next one comes. `run` is called on a worker, one at a time,
 * not at all when the pool is draining.
 *
 * Lock: its owner's, of rank PD or above; `next` is called under it, all else
 * without. Close waits for the alarm. It does not wait for the work, which may
 * need what is closed later in order to end: the pool ends it, so the owner is
 * freed after tk_exec_close_end().
 */
#ifndef TK_EXEC_TICKER_H
#define TK_EXEC_TICKER_H

#include "exec/alarm.h"
#include "exec/exec.h"

struct tk_ticker {
    struct tk_alarm alarm;
    struct tk_work work;
    struct tk_exec *exec; /* NULL: never initialised, and then never begins */
    void *owner;
    void (*run)(void *owner);
    int64_t (*next)(void *owner);
    bool is_busy;   /* guarded by the lock: the work is queued or runs */
    bool is_closed; /* the same */
};

/* `next` tells when the tick after this one is due; NULL where the work is
 * only ever pushed. */
void
tk_ticker_init(struct tk_ticker *ticker, struct tk_exec *exec,
               struct tk_mutex *lock, void *owner, void (*run)(void *owner),
               int64_t (*next)(void *owner));

/* Under the lock: the first tick, unless it ticks already. */
void
tk_ticker_begin(struct tk_ticker *ticker, int64_t when);

/* Under the lock: a tick that is due later comes at `when`. */
void
tk_ticker_hasten(struct tk_ticker *ticker, int64_t when);

/* The work now, ticking or not. No lock held. */
void
tk_ticker_push(struct tk_ticker *ticker);

/* No lock held. */
void
tk_ticker_close(struct tk_ticker *ticker);

#endif
