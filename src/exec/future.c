/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a future: made, handed to a worker, cancelled, completed,
 * freed. What the application does with one is in future_face.c.
 *
 * The result is written before READY is set and read after it was seen; the
 * word is the only thing both sides touch. Lock: the exec's, for `op`.
 */
#include "exec/future.h"

#include <string.h>

#include "base/alloc.h"
#include "base/debug.h"
#include "base/error.h"
#include "exec/exec_inside.h"
#include "exec/queue.h"
#include "exec/thread_cache.h"

/* --- Blocks -------------------------------------------------------------- */

#ifdef TK_DEBUG
static _Atomic uint32_t blocks_max;
#else
static _Atomic uint32_t blocks_max = 256;
#endif

struct block {
    struct block *next;
};

static _Thread_local struct block *blocks;
static _Thread_local uint32_t blocks_count;
static _Thread_local int64_t blocks_out; /* taken less given, here */
static _Thread_local struct tk_thread_cache blocks_hook;

static void
shrink_blocks(uint32_t count)
{
    while (blocks_count > count) {
        struct block *block = blocks;

        blocks = block->next;
        blocks_count--;
        tk_free(block);
    }
}

static void
free_blocks(struct tk_thread_cache *hook)
{
    (void)hook;
    shrink_blocks(0);
}

void
tk_future_blocks_max(uint32_t count)
{
    atomic_store_explicit(&blocks_max, count, memory_order_relaxed);
    shrink_blocks(count);
}

static void *
block_take(size_t size)
{
    struct block *block = blocks;

    if (size > TK_FUTURE_BLOCK) {
        return tk_alloc(size);
    }
    blocks_out++;
    if (block == NULL) {
        return tk_alloc(TK_FUTURE_BLOCK);
    }
    blocks = block->next;
    blocks_count--;
    return block;
}

static void
block_give(void *memory)
{
    struct block *block = memory;

    blocks_out--;
    if (blocks_count >=
            atomic_load_explicit(&blocks_max, memory_order_relaxed) ||
        !tk_thread_cache_hook(&blocks_hook, free_blocks)) {
        tk_free(memory);
        return;
    }
    block->next = blocks;
    blocks = block;
    blocks_count++;
}

/* --- Life ---------------------------------------------------------------- */

struct tikv_future *
tk_future_new(struct tk_exec *exec, size_t size,
              const struct tk_future_ops *ops, enum tk_future_kind kind,
              const tikv_call *call, int64_t default_timeout_ns)
{
    static const tikv_call none = TIKV_CALL_INIT;
    struct tikv_future *future = block_take(size);

    if (future == NULL) {
        return NULL;
    }
    atomic_init(&future->word, 0);
    atomic_init(&future->refs, 2);
    future->ops = ops;
    future->exec = exec;
    future->op = NULL;
    future->work.is_queued = false;
    future->is_listening = false;
    future->kind = (uint8_t)kind;
    future->has_block = size <= TK_FUTURE_BLOCK;
    future->error = NULL;
    future->outcome = (struct tk_outcome){ 0 };
    future->queue = NULL;
    future->used = future->has_block && blocks_out <= TK_FUTURE_OUT_MAX
                       ? (uint16_t)((size + 7) / 8 * 8)
                       : TK_FUTURE_BLOCK;
    future->call = *(call != NULL ? call : &none);
    future->started = exec->ops->now(exec->rt);
    future->deadline =
        tk_call_deadline(&future->call, future->started, default_timeout_ns);
    tk_exec_ref(exec);
    tk_exec_live_begin(exec);
    return future;
}

static const struct tk_future_ops no_ops;

struct tikv_future *
tk_future_immortal(void)
{
    /* Never changed: every verb looks at `exec` first. */
    static struct tikv_future immortal = { .word = TK_FUTURE_READY,
                                           .refs = 1,
                                           .ops = &no_ops };

    return &immortal;
}

struct tikv_future *
tk_future_orphan(void)
{
    static struct tikv_future orphan = { .word = TK_FUTURE_READY,
                                         .refs = 1,
                                         .ops = &no_ops };

    return &orphan;
}

struct tikv_future *
tk_future_refused(struct tk_exec *exec, tikv_error *error)
{
    struct tikv_future *future =
        tk_future_new(exec, sizeof(*future), &no_ops, TK_KIND_ANY, NULL, 0);
    struct tk_wakes wakes;

    if (future == NULL) {
        tikv_error_free(error);
        return tk_future_immortal();
    }
    tk_wakes_init(&wakes, exec->rt);
    tk_future_complete(future, error, &wakes);
    return future;
}

void
tk_future_ref(struct tikv_future *future)
{
    if (future->exec != NULL) {
        atomic_fetch_add_explicit(&future->refs, 1, memory_order_relaxed);
    }
}

void
tk_future_unref(struct tikv_future *future)
{
    struct tk_exec *exec = future->exec;

    if (exec == NULL || atomic_fetch_sub_explicit(&future->refs, 1,
                                                  memory_order_acq_rel) != 1) {
        return;
    }
    if (future->ops->fini != NULL) {
        future->ops->fini(future);
    }
    if (future->error != NULL) {
        tikv_error_free(future->error);
    }
    if (future->outcome.value != NULL) {
        tk_future_drop_value(future);
    }
    tikv_regions_free(future->outcome.regions);
    if (future->outcome.pairs != NULL) {
        tikv_pairs_free(future->outcome.pairs);
    }
    if (future->has_block) {
        block_give(future);
    } else {
        tk_free(future);
    }
    tk_exec_unref(exec);
}

/* --- Completion ---------------------------------------------------------- */

static struct tikv_future *
of_work(struct tk_work *work)
{
    return (struct tikv_future *)(void *)((char *)work -
                                          offsetof(struct tikv_future, work));
}

bool
tk_future_dispatch(struct tikv_future *future, struct tk_wakes *wakes)
{
    if (future->queue != NULL) {
        tk_queue_deliver(future->queue, future, wakes);
        return true;
    }
    return tk_dispatch_push(future->exec, future, wakes);
}

/* Two threads wait for one future, which is legal and rare: every parker of
 * this runtime looks again. */
static void
ring_everybody(struct tk_runtime *home, struct tk_wakes *wakes)
{
    uint32_t count = tk_parkers_count();
    uint32_t i;

    for (i = 1; i <= count; i++) {
        struct tk_parker *parker = tk_parker_at(i);

        if (atomic_load_explicit(&parker->home, memory_order_acquire) == home) {
            tk_wakes_ring(wakes, parker);
        }
    }
}

void
tk_future_complete(struct tikv_future *future, tikv_error *error,
                   struct tk_wakes *wakes)
{
    struct tk_exec *exec = future->exec;
    uint32_t old;

    TK_ASSERT(tk_mutex_held() == 0, "a future was completed under a lock");
    if (future->is_listening) {
        tk_cancel_unlink(&future->cancel);
    }
    future->error = error;
    old = atomic_fetch_or(&future->word, TK_FUTURE_READY);
    TK_ASSERT((old & TK_FUTURE_READY) == 0, "a future was completed twice");
    if (old & TK_FUTURE_MANY) {
        ring_everybody(exec->home, wakes);
    } else if (old >> TK_FUTURE_PARKER_SHIFT != 0) {
        tk_wakes_ring(wakes, tk_parker_at(old >> TK_FUTURE_PARKER_SHIFT));
    }
    if ((old & TK_FUTURE_NOTIFY) && !tk_future_dispatch(future, wakes)) {
        /* The thread for it has ended, which close prevents for all but a
         * call that was refused while it began. Once beats where. */
        future->fn(future, future->arg);
        tk_future_unref(future);
    }
    tk_exec_point(exec);
    tk_exec_live_end(exec);
    tk_future_unref(future);
}

/* --- Running ------------------------------------------------------------- */

static void
set_stop(struct tk_op *op, uint32_t stop)
{
    uint32_t none = TK_STOP_NONE;

    atomic_compare_exchange_strong(&op->stop, &none, stop);
}

static void
run_future(struct tk_work *work, bool refused)
{
    struct tikv_future *future = of_work(work);
    struct tk_exec *exec = future->exec;
    struct tk_wakes wakes;
    struct tk_op op;
    tikv_error *error;

    tk_wakes_init(&wakes, exec->rt);
    if (!tk_op_init(&op, exec, &future->call, 0)) {
        tk_future_complete(future, tk_error_immortal(TIKV_ERR_MEMORY), &wakes);
        tk_wakes_flush(&wakes);
        return;
    }
    op.spent.ns[TK_PART_QUEUE] = op.started - future->started;
    op.started = future->started;
    op.deadline = future->deadline;
    tk_mutex_lock(&exec->lock);
    future->op = &op;
    if (atomic_load(&future->word) & TK_FUTURE_CANCEL) {
        set_stop(&op, TK_STOP_CANCELLED);
    }
    if (refused) {
        set_stop(&op, TK_STOP_CLOSED);
    }
    tk_exec_list(exec, &op);
    tk_mutex_unlock(&exec->lock);
    tk_exec_point(exec);

    error = tk_op_end(&op, future->ops->run(future, &op));

    tk_mutex_lock(&exec->lock);
    future->op = NULL;
    tk_mutex_unlock(&exec->lock);
    tk_op_fini(&op);
    tk_future_complete(future, error, &wakes);
    tk_wakes_flush(&wakes);
}

void
tk_future_start(struct tikv_future *future, bool must)
{
    struct tk_exec *exec = future->exec;
    struct tk_wakes wakes;
    tikv_error *error;

    future->work.run = run_future;
    future->work.due = future->deadline;
    if (tk_exec_push(exec, &future->work, must)) {
        return;
    }
    error = tk_exec_is_closing(exec)
                ? tk_error_immortal(TIKV_ERR_CLOSED)
                : tk_error(TIKV_ERR_OVERLOAD,
                           "the pool's queue is full (%u operations)",
                           (unsigned)exec->queue_max);
    tk_wakes_init(&wakes, exec->rt);
    tk_future_complete(future, error, &wakes);
    tk_wakes_flush(&wakes);
}

/* --- Cancel -------------------------------------------------------------- */

/* A cancelled future that waits for a worker is due now. Under the lock. */
static void
stop_waiting(struct tikv_future *future, struct tk_wakes *wakes)
{
    struct tk_exec *exec = future->exec;

    future->work.due = 1;
    if (tk_late_must_look(exec, 1) && exec->late_parker != NULL) {
        tk_wakes_ring(wakes, exec->late_parker);
    }
}

void
tk_future_cancel(struct tikv_future *future)
{
    struct tk_exec *exec = future->exec;
    struct tk_wakes wakes;
    tikv_error *error = NULL;
    bool is_running;
    void *before;

    if (exec == NULL || tk_exec_is_forked(exec) ||
        (atomic_fetch_or(&future->word, TK_FUTURE_CANCEL) &
         (TK_FUTURE_READY | TK_FUTURE_CANCEL))) {
        return;
    }
    tk_wakes_init(&wakes, exec->rt);
    tk_mutex_lock(&exec->lock);
    is_running = future->op != NULL;
    if (is_running) {
        set_stop(future->op, TK_STOP_CANCELLED);
        tk_wakes_ring(&wakes, future->op->me);
    } else if (future->work.is_queued &&
               !(atomic_load(&future->word) & TK_FUTURE_READY)) {
        stop_waiting(future, &wakes);
    }
    tk_mutex_unlock(&exec->lock);
    tk_wakes_flush(&wakes);
    tk_exec_point(exec);
    /* A closing client takes back by itself. */
    if (is_running || future->ops->take_back == NULL ||
        !tk_exec_visit(exec, &before)) {
        return;
    }
    if (future->ops->take_back(future, &error)) {
        tk_future_complete(future, error, &wakes);
        tk_wakes_flush(&wakes);
    }
    tk_exec_depart(exec, before);
}

static struct tikv_future *
of_link(struct tk_cancel_link *link)
{
    return (struct tikv_future *)(void *)((char *)link -
                                          offsetof(struct tikv_future, cancel));
}

/* A linked future is not complete, so the operation's reference is there. */
static void
cancel_raised(struct tk_cancel_link *link, struct tk_wakes *wakes)
{
    (void)wakes;
    tk_future_ref(of_link(link));
}

static void
cancel_after(struct tk_cancel_link *link)
{
    struct tikv_future *future = of_link(link);

    tk_future_cancel(future);
    tk_future_unref(future);
}

void
tk_future_listen(struct tikv_future *future)
{
    if (future->call.cancel != NULL) {
        future->is_listening = true;
        tk_cancel_link(&future->cancel, future->call.cancel, cancel_raised,
                       cancel_after);
    }
}

void
tk_future_flush(struct tikv_future *future)
{
    struct tk_exec *exec = future->exec;
    void *before;

    if (exec == NULL || future->ops->flush == NULL ||
        (atomic_load(&future->word) & TK_FUTURE_READY) ||
        !tk_exec_visit(exec, &before)) {
        return;
    }
    future->ops->flush(future);
    tk_exec_depart(exec, before);
}
