/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that ends what waits for a worker too long. A queued operation
 * whose deadline passed, or that was cancelled, has nothing to wait for any
 * more: while all workers are busy this thread takes it out of the queue and
 * runs it, which only tells how it ended. So a future ends on time whatever
 * the workers do.
 *
 * It sleeps while no queued work has a deadline; a work that finds an idle
 * worker does not ring it. Lock: the exec's. In a pool that drains the
 * workers run everything at once, and this thread ends.
 */
#include "exec/exec_inside.h"

/* Between two looks through the queue, which may be long. */
#define LOOK_AGAIN_NS TK_MS

bool
tk_late_must_look(struct tk_exec *exec, int64_t due)
{
    if (due == 0 || due >= exec->late_look) {
        return false;
    }
    exec->late_look = due;
    return true;
}

void
tk_late_ring(struct tk_exec *exec)
{
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, exec->rt);
    tk_mutex_lock(&exec->lock);
    if (exec->late_parker != NULL) {
        tk_wakes_ring(&wakes, exec->late_parker);
    }
    tk_mutex_unlock(&exec->lock);
    tk_wakes_flush(&wakes);
}

/* Takes the late ones out, oldest first, and tells when the next will be. */
static struct tk_work *
take_late(struct tk_exec *exec, int64_t now)
{
    struct tk_work *late = NULL;
    struct tk_work **late_end = &late;
    struct tk_work **at = &exec->first;
    int64_t next = TK_NEVER;

    exec->last = NULL;
    while (*at != NULL) {
        struct tk_work *work = *at;

        if (work->due != 0 && work->due <= now) {
            *at = work->next;
            work->next = NULL;
            work->is_queued = false;
            *late_end = work;
            late_end = &work->next;
            exec->queued_count--;
        } else {
            if (work->due != 0 && work->due < next) {
                next = work->due;
            }
            exec->last = work;
            at = &work->next;
        }
    }
    exec->late_look = next;
    return late;
}

static void
run_all(struct tk_work *work)
{
    while (work != NULL) {
        struct tk_work *next = work->next;

        work->run(work, false);
        work = next;
    }
}

void
tk_late_main(void *arg)
{
    struct tk_exec *exec = arg;
    struct tk_runtime *rt = exec->rt;
    bool was_busy = false;
    bool is_end = false;

    tk_mutex_lock(&exec->lock);
    exec->late_parker = tk_self(rt);
    tk_mutex_unlock(&exec->lock);
    while (!is_end) {
        struct tk_parker *me = exec->late_parker;
        struct tk_work *late = NULL;
        int64_t now = tk_now(rt);
        int64_t until;

        tk_park_begin(me);
        tk_mutex_lock(&exec->lock);
        exec->busy_count -= was_busy;
        is_end = atomic_load_explicit(&exec->state, memory_order_relaxed) >=
                 TK_EXEC_DRAINING;
        if (!is_end && exec->late_look <= now) {
            late = take_late(exec, now);
        }
        was_busy = late != NULL;
        exec->busy_count += was_busy;
        until = exec->late_look;
        tk_mutex_unlock(&exec->lock);
        if (late != NULL) {
            run_all(late);
        } else if (!is_end) {
            int64_t soonest = tk_after(now, LOOK_AGAIN_NS);

            rt->ops->park(rt, me, until < soonest ? soonest : until);
        }
    }
    tk_exec_ring_idle(exec);
}
