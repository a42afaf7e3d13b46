/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers, their queue, the list of sleeping operations, and close. A worker
 * waits for the network and for clocks, never for another worker, so the pool
 * cannot deadlock on itself whatever its size.
 *
 * Threads: the workers. Lock: rank CLIENT, a few stores at a time; wake-ups
 * and work run without it.
 */
#include "exec/exec_inside.h"

#include "base/alloc.h"
#include "base/error.h"
#include "exec/fork.h"

/* Close and drain look this often for calls that are on their way out: it is
 * microseconds, and a call that leaves may touch nothing of the exec. */
#define LOOK_AGAIN_NS TK_MS

bool
tk_exec_is_forked(const struct tk_exec *exec)
{
    return exec->fork_number != tk_fork_number();
}

static void
idle_remove(struct tk_exec *exec, struct tk_worker *worker)
{
    if (!worker->is_idle) {
        return;
    }
    worker->is_idle = false;
    if (worker->prev != NULL) {
        worker->prev->next = worker->next;
    } else {
        exec->idle = worker->next;
    }
    if (worker->next != NULL) {
        worker->next->prev = worker->prev;
    }
}

static void
idle_add(struct tk_exec *exec, struct tk_worker *worker)
{
    if (worker->is_idle) {
        return;
    }
    worker->is_idle = true;
    worker->prev = NULL;
    worker->next = exec->idle;
    if (exec->idle != NULL) {
        exec->idle->prev = worker;
    }
    exec->idle = worker;
}

static struct tk_work *
queue_pop(struct tk_exec *exec)
{
    struct tk_work *work = exec->first;

    if (work != NULL) {
        exec->first = work->next;
        exec->queued_count--;
        work->is_queued = false;
    }
    return work;
}

/* What the worker does next, decided under the lock. A pool that drains ends
 * only when nobody is left who could push: then it is CLOSED, for all. */
static struct tk_work *
next_work(struct tk_worker *worker, bool was_busy, bool *refused, bool *end)
{
    struct tk_exec *exec = worker->exec;
    struct tk_work *work;
    uint32_t state;

    tk_mutex_lock(&exec->lock);
    exec->busy_count -= was_busy;
    work = queue_pop(exec);
    state = atomic_load_explicit(&exec->state, memory_order_relaxed);
    *refused = state >= TK_EXEC_DRAINING;
    *end = false;
    if (work != NULL) {
        exec->busy_count++;
        idle_remove(exec, worker);
    } else if (state >= TK_EXEC_DRAINING && exec->busy_count == 0) {
        atomic_store(&exec->state, TK_EXEC_CLOSED);
        idle_remove(exec, worker);
        *end = true;
    } else {
        idle_add(exec, worker);
    }
    tk_mutex_unlock(&exec->lock);
    return work;
}

/* All idle workers look again; 64 at most at a time, the lock in between. */
void
tk_exec_ring_idle(struct tk_exec *exec)
{
    struct tk_wakes wakes;
    bool is_rest;

    do {
        tk_wakes_init(&wakes, exec->rt);
        tk_mutex_lock(&exec->lock);
        while (exec->idle != NULL && !tk_wakes_is_full(&wakes)) {
            struct tk_worker *worker = exec->idle;

            idle_remove(exec, worker);
            tk_wakes_ring(&wakes, worker->parker);
        }
        is_rest = exec->idle != NULL;
        tk_mutex_unlock(&exec->lock);
        tk_wakes_flush(&wakes);
    } while (is_rest);
}

static void
worker_main(void *arg)
{
    struct tk_worker *worker = arg;
    struct tk_exec *exec = worker->exec;
    struct tk_runtime *rt = exec->rt;
    bool was_busy = false;

    tk_mutex_lock(&exec->lock);
    worker->parker = tk_self(rt);
    tk_mutex_unlock(&exec->lock);
    for (;;) {
        struct tk_work *work;
        bool refused;
        bool end;

        tk_park_begin(worker->parker);
        work = next_work(worker, was_busy, &refused, &end);
        was_busy = work != NULL;
        if (work != NULL) {
            work->run(work, refused);
        } else if (end) {
            break;
        } else {
            rt->ops->park(rt, worker->parker, TK_NEVER);
        }
    }
    tk_exec_ring_idle(exec);
}

bool
tk_exec_push(struct tk_exec *exec, struct tk_work *work, bool must)
{
    struct tk_worker *worker = NULL;
    struct tk_wakes wakes;
    uint32_t state;
    bool is_taken;

    tk_wakes_init(&wakes, exec->rt);
    work->next = NULL;
    tk_mutex_lock(&exec->lock);
    state = atomic_load_explicit(&exec->state, memory_order_relaxed);
    is_taken =
        must ? state < TK_EXEC_CLOSED
             : state < TK_EXEC_DRAINING && exec->queued_count < exec->queue_max;
    if (is_taken) {
        if (exec->first == NULL) {
            exec->first = work;
        } else {
            exec->last->next = work;
        }
        exec->last = work;
        exec->queued_count++;
        work->is_queued = true;
        worker = exec->idle;
    }
    if (worker != NULL) {
        idle_remove(exec, worker);
        tk_wakes_ring(&wakes, worker->parker);
    } else if (is_taken && tk_late_must_look(exec, work->due) &&
               exec->late_parker != NULL) {
        tk_wakes_ring(&wakes, exec->late_parker);
    }
    tk_mutex_unlock(&exec->lock);
    tk_wakes_flush(&wakes);
    tk_exec_point(exec);
    return is_taken;
}

tikv_error *
tk_exec_open(struct tk_runtime *rt, uint32_t workers_count, uint32_t queue_max,
             struct tk_exec **out)
{
    struct tk_exec *exec = tk_calloc(sizeof(*exec));
    uint32_t i;

    *out = NULL;
    if (exec == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    exec->rt = rt;
    exec->ops = rt->ops;
    exec->home = rt->epoch == NULL ? NULL : rt;
    exec->fork_number = tk_fork_number();
    exec->queue_max = queue_max;
    atomic_init(&exec->refs, 1);
    tk_mutex_init(&exec->lock, TK_RANK_CLIENT);
    tk_dispatch_init(exec);
    exec->workers = tk_calloc(workers_count * sizeof(*exec->workers));
    for (i = 0; exec->workers != NULL && i < workers_count; i++) {
        struct tk_worker *worker = &exec->workers[i];

        worker->exec = exec;
        worker->thread = rt->ops->spawn(rt, "tikv-worker", worker_main, worker);
        if (worker->thread == NULL) {
            break;
        }
        exec->workers_count++;
    }
    exec->late_look = TK_NEVER;
    exec->late = rt->ops->spawn(rt, "tikv-late", tk_late_main, exec);
    if (exec->workers == NULL || i < workers_count || exec->late == NULL) {
        tk_exec_close_begin(exec);
        tk_exec_close_end(exec);
        tk_exec_unref(exec);
        return tk_error(TIKV_ERR_MEMORY, "cannot start %u workers",
                        (unsigned)workers_count);
    }
    *out = exec;
    return NULL;
}

struct tk_runtime *
tk_exec_runtime(struct tk_exec *exec)
{
    return exec->rt;
}

tikv_error *
tk_exec_refusal(struct tk_exec *exec)
{
    if (tk_exec_is_forked(exec)) {
        return tk_error_immortal(TIKV_ERR_FORKED);
    }
    return tk_exec_is_closing(exec) ? tk_error_immortal(TIKV_ERR_CLOSED) : NULL;
}

bool
tk_exec_is_closing(struct tk_exec *exec)
{
    return atomic_load(&exec->state) != TK_EXEC_OPEN;
}

/* First said, then looked: close first says, then looks who is inside. */
tikv_error *
tk_exec_enter(struct tk_exec *exec)
{
    struct tk_parker *me;

    if (tk_exec_is_forked(exec)) {
        return tk_error_immortal(TIKV_ERR_FORKED);
    }
    me = exec->ops->self(exec->rt);
    if (me == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    atomic_store(&me->inside, exec);
    if (tk_exec_is_closing(exec)) {
        atomic_store(&me->inside, NULL);
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    return NULL;
}

void
tk_exec_leave(struct tk_exec *exec)
{
    struct tk_parker *me = exec->ops->self(exec->rt);

    /* The exec may be gone from here on. */
    atomic_store(&me->inside, NULL);
}

bool
tk_exec_visit(struct tk_exec *exec, void **before)
{
    struct tk_parker *me;

    if (tk_exec_is_forked(exec) || (me = exec->ops->self(exec->rt)) == NULL) {
        return false;
    }
    *before = atomic_exchange(&me->inside, exec);
    if (tk_exec_is_closing(exec)) {
        atomic_store(&me->inside, *before);
        return false;
    }
    return true;
}

void
tk_exec_depart(struct tk_exec *exec, void *before)
{
    atomic_store(&exec->ops->self(exec->rt)->inside, before);
}

static bool
is_anybody_inside(struct tk_exec *exec)
{
    uint32_t count = tk_parkers_count();
    uint32_t i;

    for (i = 1; i <= count; i++) {
        if (atomic_load(&tk_parker_at(i)->inside) == exec) {
            return true;
        }
    }
    return false;
}

void
tk_exec_live_begin(struct tk_exec *exec)
{
    atomic_fetch_add(&tk_exec_cell(exec)->begun, 1);
}

void
tk_exec_live_end(struct tk_exec *exec)
{
    atomic_fetch_add(&tk_exec_cell(exec)->ended, 1);
}

/* The ended are summed first: if then as many have begun, there was a moment
 * between the two sums with none alive. */
static bool
is_none_alive(struct tk_exec *exec)
{
    uint64_t ended = 0;
    uint64_t begun = 0;
    size_t i;

    for (i = 0; i < TK_EXEC_CELLS; i++) {
        ended += atomic_load(&exec->live[i].ended);
    }
    for (i = 0; i < TK_EXEC_CELLS; i++) {
        begun += atomic_load(&exec->live[i].begun);
    }
    return ended == begun;
}

static bool
is_idle(struct tk_exec *exec)
{
    return is_none_alive(exec) && !is_anybody_inside(exec);
}

bool
tk_exec_drain(struct tk_exec *exec, int64_t until)
{
    struct tk_runtime *rt = exec->rt;
    struct tk_parker *me;

    if (tk_exec_is_forked(exec)) {
        return false;
    }
    me = tk_self(rt);
    if (me == NULL || me->is_library) {
        return is_idle(exec);
    }
    while (!is_idle(exec)) {
        int64_t now = tk_now(rt);
        int64_t next = tk_after(now, LOOK_AGAIN_NS);

        if (now >= until) {
            return false;
        }
        tk_park_begin(me);
        rt->ops->park(rt, me, until < next ? until : next);
    }
    return true;
}

bool
tk_exec_on_library_thread(struct tk_exec *exec)
{
    struct tk_parker *me = exec->ops->self(exec->rt);

    return me != NULL && me->is_library;
}

void
tk_exec_list(struct tk_exec *exec, struct tk_op *op)
{
    uint32_t none = TK_STOP_NONE;

    op->prev = NULL;
    op->next = exec->listed;
    if (exec->listed != NULL) {
        exec->listed->prev = op;
    }
    exec->listed = op;
    op->listed = true;
    if (atomic_load_explicit(&exec->state, memory_order_relaxed) !=
        TK_EXEC_OPEN) {
        atomic_compare_exchange_strong(&op->stop, &none, TK_STOP_CLOSED);
    }
}

/* Stops listed operations, in portions; whether some are left. */
static bool
stop_some(struct tk_exec *exec)
{
    struct tk_wakes wakes;
    struct tk_op *op;

    tk_wakes_init(&wakes, exec->rt);
    tk_mutex_lock(&exec->lock);
    for (op = exec->listed; op != NULL && !tk_wakes_is_full(&wakes);
         op = op->next) {
        uint32_t none = TK_STOP_NONE;

        if (atomic_compare_exchange_strong(&op->stop, &none, TK_STOP_CLOSED)) {
            tk_wakes_ring(&wakes, op->me);
        }
    }
    tk_mutex_unlock(&exec->lock);
    tk_wakes_flush(&wakes);
    return op != NULL;
}

/* One step of the state; false: it was done before. */
static bool
advance(struct tk_exec *exec, uint32_t from, uint32_t to)
{
    bool is_first;

    tk_mutex_lock(&exec->lock);
    is_first = atomic_load(&exec->state) == from;
    if (is_first) {
        atomic_store(&exec->state, to);
    }
    tk_mutex_unlock(&exec->lock);
    return is_first;
}

void
tk_exec_close_begin(struct tk_exec *exec)
{
    if (!tk_exec_is_forked(exec) &&
        advance(exec, TK_EXEC_OPEN, TK_EXEC_CLOSING)) {
        while (stop_some(exec)) {
        }
    }
}

/* Joins them; in a forked child, where they do not exist, that only frees. */
static void
forget_workers(struct tk_exec *exec)
{
    uint32_t i;

    for (i = 0; i < exec->workers_count; i++) {
        exec->rt->ops->join(exec->rt, exec->workers[i].thread);
    }
    exec->workers_count = 0;
    if (exec->late != NULL) {
        exec->rt->ops->join(exec->rt, exec->late);
        exec->late = NULL;
    }
}

void
tk_exec_close_end(struct tk_exec *exec)
{
    struct tk_runtime *rt = exec->rt;
    struct tk_parker *me;

    if (tk_exec_is_forked(exec)) {
        forget_workers(exec);
        tk_dispatch_end(exec);
        return;
    }
    if (!advance(exec, TK_EXEC_CLOSING, TK_EXEC_DRAINING)) {
        return;
    }
    tk_exec_ring_idle(exec);
    tk_late_ring(exec);
    forget_workers(exec);
    advance(exec, TK_EXEC_DRAINING, TK_EXEC_CLOSED);
    me = tk_self(rt);
    while (is_anybody_inside(exec)) {
        if (me != NULL) {
            tk_park_begin(me);
            rt->ops->park(rt, me, tk_after(tk_now(rt), LOOK_AGAIN_NS));
        }
    }
    tk_dispatch_end(exec);
}

void
tk_exec_ref(struct tk_exec *exec)
{
    atomic_fetch_add_explicit(&exec->refs, 1, memory_order_relaxed);
}

void
tk_exec_unref(struct tk_exec *exec)
{
    if (exec != NULL &&
        atomic_fetch_sub_explicit(&exec->refs, 1, memory_order_acq_rel) == 1) {
        if (!tk_exec_is_forked(exec)) {
            tk_mutex_fini(&exec->lock);
        }
        tk_dispatch_fini(exec);
        tk_free(exec->workers);
        tk_free(exec);
    }
}
