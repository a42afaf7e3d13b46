/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See ticker.h. Two ends are kept apart: the alarm's, which close waits for,
 * and the work's, which is the pool's. is_busy is set by the one who pushes,
 * before the pool sees the work, and taken back by the work, or by whoever was
 * refused.
 */
#include "exec/ticker.h"

#include <stddef.h>

static void
be_idle(struct tk_ticker *ticker)
{
    tk_mutex_lock(ticker->alarm.lock);
    ticker->is_busy = false;
    tk_mutex_unlock(ticker->alarm.lock);
}

static void
work(struct tk_work *base, bool refused)
{
    struct tk_ticker *ticker =
        (struct tk_ticker *)(void *)((char *)base -
                                     offsetof(struct tk_ticker, work));

    if (!refused) {
        ticker->run(ticker->owner);
    }
    be_idle(ticker);
}

void
tk_ticker_push(struct tk_ticker *ticker)
{
    bool is_mine;

    tk_mutex_lock(ticker->alarm.lock);
    is_mine = !ticker->is_busy && !ticker->is_closed;
    ticker->is_busy |= is_mine;
    tk_mutex_unlock(ticker->alarm.lock);
    /* A full queue has better things to do. */
    if (is_mine && !tk_exec_push(ticker->exec, &ticker->work, false)) {
        be_idle(ticker);
    }
}

static void
tick(void *owner)
{
    struct tk_ticker *ticker = owner;
    int64_t again = TK_NEVER;

    tk_ticker_push(ticker);
    tk_mutex_lock(ticker->alarm.lock);
    if (!ticker->is_closed) {
        again = ticker->next(ticker->owner);
    }
    tk_alarm_end(&ticker->alarm, again);
}

void
tk_ticker_init(struct tk_ticker *ticker, struct tk_exec *exec,
               struct tk_mutex *lock, void *owner, void (*run)(void *owner),
               int64_t (*next)(void *owner))
{
    *ticker = (struct tk_ticker){
        .exec = exec, .owner = owner, .run = run, .next = next
    };
    ticker->work.run = work;
    tk_alarm_init(&ticker->alarm, tk_exec_runtime(exec), lock, ticker, tick);
}

void
tk_ticker_begin(struct tk_ticker *ticker, int64_t when)
{
    if (ticker->exec != NULL && !ticker->is_closed) {
        tk_alarm_arm(&ticker->alarm, when);
    }
}

void
tk_ticker_hasten(struct tk_ticker *ticker, int64_t when)
{
    if (!ticker->is_closed) {
        tk_alarm_hasten(&ticker->alarm, when);
    }
}

void
tk_ticker_close(struct tk_ticker *ticker)
{
    if (ticker->exec != NULL) {
        tk_mutex_lock(ticker->alarm.lock);
        ticker->is_closed = true;
        tk_mutex_unlock(ticker->alarm.lock);
        tk_alarm_stop(&ticker->alarm);
    }
}
