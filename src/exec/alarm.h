/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer whose end can be waited for: is_out from arming until its function
 * said, under its owner's lock, that it will touch nothing more.
 */
#ifndef TK_EXEC_ALARM_H
#define TK_EXEC_ALARM_H

#include "exec/mutex.h"
#include "exec/runtime.h"

struct tk_alarm {
    struct tk_timer timer; /* first */
    struct tk_runtime *rt;
    struct tk_mutex *lock; /* its owner's, of any rank below TIMER */
    void *owner;
    void (*ring)(void *owner);
    bool is_out;               /* guarded by the lock */
    struct tk_parker *stopper; /* the same; rung when is_out ends */
};

/* Whenever the alarm rings, `ring` is called where timers are, no lock held;
 * the last thing it does with the owner is tk_alarm_end(). */
void
tk_alarm_init(struct tk_alarm *alarm, struct tk_runtime *rt,
              struct tk_mutex *lock, void *owner, void (*ring)(void *owner));

/* Under the lock. An alarm that is out stays as it is. */
void
tk_alarm_arm(struct tk_alarm *alarm, int64_t when);

/* Under the lock. An alarm that is out and would ring later rings at `when`;
 * one that rings just now tells by itself when it rings again. */
void
tk_alarm_hasten(struct tk_alarm *alarm, int64_t when);

/* From `ring`, under the lock, which is released: it rings again, or it is
 * over (TK_NEVER) and the owner may be gone on return. */
void
tk_alarm_end(struct tk_alarm *alarm, int64_t again);

/* No lock held; the owner arms no more. Waits until it is over. An alarm that
 * was never initialised is left alone. */
void
tk_alarm_stop(struct tk_alarm *alarm);

#endif
