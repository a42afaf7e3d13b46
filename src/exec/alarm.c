/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers whose end can be waited for. A timer that cannot be disarmed is
 * firing: its function has a last touch of the owner, under the owner's lock,
 * and rings whoever waits for that.
 */
#include "exec/alarm.h"

static void
ring(struct tk_timer *timer)
{
    struct tk_alarm *alarm = (struct tk_alarm *)(void *)timer;

    alarm->ring(alarm->owner);
}

void
tk_alarm_init(struct tk_alarm *alarm, struct tk_runtime *rt,
              struct tk_mutex *lock, void *owner, void (*ring_owner)(void *))
{
    alarm->rt = rt;
    alarm->lock = lock;
    alarm->owner = owner;
    alarm->ring = ring_owner;
    alarm->timer.fn = ring;
    alarm->is_out = false;
    alarm->stopper = NULL;
}

void
tk_alarm_arm(struct tk_alarm *alarm, int64_t when)
{
    struct tk_runtime *rt = alarm->rt;

    if (!alarm->is_out) {
        alarm->is_out = true;
        rt->ops->arm(rt, &alarm->timer, when);
    }
}

void
tk_alarm_hasten(struct tk_alarm *alarm, int64_t when)
{
    struct tk_runtime *rt = alarm->rt;
    int64_t then = alarm->timer.when;

    if (alarm->is_out && when < then && rt->ops->disarm(rt, &alarm->timer)) {
        rt->ops->arm(rt, &alarm->timer, when);
    }
}

void
tk_alarm_end(struct tk_alarm *alarm, int64_t again)
{
    struct tk_runtime *rt = alarm->rt;
    struct tk_mutex *lock = alarm->lock;
    struct tk_parker *stopper = NULL;
    struct tk_wakes wakes;

    if (again != TK_NEVER) {
        rt->ops->arm(rt, &alarm->timer, again);
    } else {
        alarm->is_out = false;
        stopper = alarm->stopper;
    }
    tk_wakes_init(&wakes, rt);
    tk_mutex_unlock(lock);
    /* Whoever stops it is rung after its lock was touched for the last time;
     * what is rung is never freed. */
    if (stopper != NULL) {
        tk_wakes_ring(&wakes, stopper);
    }
    tk_wakes_flush(&wakes);
}

void
tk_alarm_stop(struct tk_alarm *alarm)
{
    struct tk_runtime *rt = alarm->rt;
    struct tk_mutex *lock = alarm->lock;
    struct tk_parker *me;
    bool is_out;

    if (rt == NULL) {
        return;
    }
    me = tk_self(rt);
    tk_mutex_lock(lock);
    if (alarm->is_out && rt->ops->disarm(rt, &alarm->timer)) {
        alarm->is_out = false;
    }
    alarm->stopper = me;
    is_out = alarm->is_out;
    tk_mutex_unlock(lock);
    while (is_out) {
        tk_park_begin(me);
        tk_mutex_lock(lock);
        is_out = alarm->is_out;
        tk_mutex_unlock(lock);
        if (is_out) {
            rt->ops->park(rt, me, TK_NEVER);
        }
    }
}
