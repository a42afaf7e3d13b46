/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A timer whose end can be waited for: is_out from arming until its function
 * said, under its owner's lock, that it will touch nothing more. Used by
 * `region` too.
 */
#ifndef TK_PD_ALARM_H
#define TK_PD_ALARM_H

#include "exec/mutex.h"
#include "exec/runtime.h"

struct tk_alarm {
    struct tk_timer timer; /* first: the function gets it */
    struct tk_runtime *rt;
    void *owner;
    bool is_out;               /* guarded by the lock of its owner */
    struct tk_parker *stopper; /* the same; rung when is_out ends */
};

void
tk_alarm_init(struct tk_alarm *alarm, struct tk_runtime *rt, void *owner,
              void (*fn)(struct tk_timer *));

/* Under the lock. An alarm that is out stays as it is. */
void
tk_alarm_arm(struct tk_alarm *alarm, int64_t when);

/* Under the lock. An alarm that is out and would ring later rings at `when`;
 * one that rings just now tells by itself when it rings again. */
void
tk_alarm_hasten(struct tk_alarm *alarm, int64_t when);

/* From the alarm's function, under the lock: it rings again, or it is over.
 * Returns whom to ring after the lock was released. */
struct tk_parker *
tk_alarm_end(struct tk_alarm *alarm, int64_t again);

/* No lock held; the owner arms no more. An alarm that was never initialised
 * is left alone. */
void
tk_alarm_stop(struct tk_alarm *alarm, struct tk_mutex *lock);

#endif
