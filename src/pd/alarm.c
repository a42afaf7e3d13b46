/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers whose end can be waited for. A timer that cannot be disarmed is
 * firing: its function has a last touch of the owner, under the owner's lock,
 * and rings whoever waits for that.
 */
#include "pd/inner.h"

void
tk_alarm_arm(struct tk_alarm *alarm, int64_t when)
{
    struct tk_runtime *rt = alarm->pd->rt;

    if (!alarm->is_out) {
        alarm->is_out = true;
        rt->ops->arm(rt, &alarm->timer, when);
    }
}

struct tk_parker *
tk_alarm_end(struct tk_alarm *alarm, int64_t again)
{
    struct tk_runtime *rt = alarm->pd->rt;

    if (again != TK_NEVER) {
        rt->ops->arm(rt, &alarm->timer, again);
        return NULL;
    }
    alarm->is_out = false;
    return alarm->stopper;
}

void
tk_alarm_stop(struct tk_alarm *alarm, struct tk_mutex *lock)
{
    struct tk_runtime *rt = alarm->pd->rt;
    struct tk_parker *me = tk_self(rt);
    bool is_out;

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
