/* SPDX-License-Identifier: Apache-2.0 */
/* See chores.h. */
#include "txn/chores.h"

#include "base/error.h"

void
tk_chores_init(struct tk_chores *chores, struct tk_exec *exec)
{
    chores->exec = exec;
    chores->rt = tk_exec_runtime(exec);
    chores->count = 0;
    chores->waiter = NULL;
    tk_mutex_init(&chores->lock, TK_RANK_LEAF);
}

void
tk_chores_fini(struct tk_chores *chores)
{
    tk_mutex_fini(&chores->lock);
}

static void
count_out(struct tk_chores *chores)
{
    struct tk_parker *waiter;
    struct tk_wakes wakes;

    /* Nothing of the chores is touched once the lock is released. */
    tk_wakes_init(&wakes, NULL);
    tk_mutex_lock(&chores->lock);
    chores->count--;
    waiter = chores->count == 0 ? chores->waiter : NULL;
    tk_exec_live_end(chores->exec);
    tk_mutex_unlock(&chores->lock);
    if (waiter != NULL) {
        tk_wakes_ring(&wakes, waiter);
        tk_wakes_flush(&wakes);
    }
}

static void
run(struct tk_work *work, bool refused)
{
    struct tk_chore *chore = (struct tk_chore *)(void *)work;
    struct tk_chores *chores = chore->chores;
    struct tk_op op;

    if (!refused &&
        tk_op_init(&op, chores->exec, chore->call, chore->limit_ns)) {
        chore->run(chore, &op);
        tk_op_fini(&op);
    } else {
        chore->run(chore, NULL);
    }
    count_out(chores);
}

void
tk_chores_add(struct tk_chores *chores, struct tk_chore *chore)
{
    chore->chores = chores;
    chore->work.run = run;
    tk_exec_live_begin(chores->exec);
    tk_mutex_lock(&chores->lock);
    chores->count++;
    tk_mutex_unlock(&chores->lock);
    if (!tk_exec_push(chores->exec, &chore->work, true)) {
        run(&chore->work, true);
    }
}

bool
tk_chores_drain(struct tk_chores *chores, int64_t until)
{
    struct tk_runtime *rt = chores->rt;
    struct tk_parker *me = tk_self(rt);
    bool is_empty;

    for (;;) {
        if (me != NULL) {
            tk_park_begin(me);
        }
        tk_mutex_lock(&chores->lock);
        is_empty = chores->count == 0;
        chores->waiter = is_empty ? NULL : me;
        tk_mutex_unlock(&chores->lock);
        if (is_empty || me == NULL || tk_now(rt) >= until) {
            break;
        }
        rt->ops->park(rt, me, until);
    }
    tk_mutex_lock(&chores->lock);
    chores->waiter = NULL;
    tk_mutex_unlock(&chores->lock);
    return is_empty;
}
