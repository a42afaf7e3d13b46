/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The completion queue. It is counted: the application holds one reference
 * and each future it still expects another, so that a future which ends after
 * tikv_queue_free() finds a closed queue and is let go.
 *
 * One waiter is rung for each delivery; one that finds more than it takes
 * rings the next. Lock: rank QUEUE. In a forked child everything only looks.
 */
#include "exec/queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "exec/fork.h"
#include "exec/future.h"
#include "exec/mutex.h"

/* Expected futures that are flushed before a sleep. */
#define FLUSH_MAX 32

struct waiter {
    struct tk_parker *parker;
    struct waiter *prev; /* guarded by the queue's lock */
    struct waiter *next;
    bool is_listed;
};

struct tikv_queue {
    struct tk_runtime *rt;
    uint32_t fork_number;
    _Atomic uint32_t refs;
    struct tk_mutex lock;
    struct tikv_future *first; /* ready; all below guarded by lock */
    struct tikv_future *last;
    struct tikv_future *expected; /* newest first */
    struct waiter *waiters;
    int fd; /* -1: nobody asked */
    bool is_closed;
};

tikv_error *
tk_queue_new(struct tk_runtime *rt, tikv_queue **out)
{
    tikv_queue *queue = tk_calloc(sizeof(*queue));

    *out = NULL;
    if (queue == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    queue->rt = rt;
    queue->fork_number = tk_fork_number();
    atomic_init(&queue->refs, 1);
    tk_mutex_init(&queue->lock, TK_RANK_QUEUE);
    queue->fd = -1;
    *out = queue;
    return NULL;
}

tikv_error *
tikv_queue_new(tikv_queue **out)
{
    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    return tk_queue_new(tk_runtime_threads(), out);
}

static bool
is_forked(const tikv_queue *queue)
{
    return queue->fork_number != tk_fork_number();
}

static void
queue_unref(tikv_queue *queue)
{
    if (atomic_fetch_sub_explicit(&queue->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (queue->fd >= 0) {
        close(queue->fd);
    }
    tk_mutex_fini(&queue->lock);
    tk_free(queue);
}

/* Under the lock: the descriptor is readable while something is ready. */
static void
raise_level(tikv_queue *queue)
{
    uint64_t one = 1;

    if (queue->fd >= 0) {
        ssize_t written = write(queue->fd, &one, sizeof(one));

        (void)written; /* a counter of 1 always has room */
    }
}

static void
lower_level(tikv_queue *queue)
{
    uint64_t count;

    if (queue->fd >= 0) {
        ssize_t got = read(queue->fd, &count, sizeof(count));

        (void)got;
    }
}

static void
expected_remove(tikv_queue *queue, struct tikv_future *future)
{
    if (future->prev != NULL) {
        future->prev->next = future->next;
    } else {
        queue->expected = future->next;
    }
    if (future->next != NULL) {
        future->next->prev = future->prev;
    }
}

void
tk_queue_expect(tikv_queue *queue, struct tikv_future *future)
{
    atomic_fetch_add_explicit(&queue->refs, 1, memory_order_relaxed);
    tk_mutex_lock(&queue->lock);
    future->prev = NULL;
    future->next = queue->expected;
    if (queue->expected != NULL) {
        queue->expected->prev = future;
    }
    queue->expected = future;
    tk_mutex_unlock(&queue->lock);
}

static void
waiter_remove(tikv_queue *queue, struct waiter *waiter)
{
    if (!waiter->is_listed) {
        return;
    }
    waiter->is_listed = false;
    if (waiter->prev != NULL) {
        waiter->prev->next = waiter->next;
    } else {
        queue->waiters = waiter->next;
    }
    if (waiter->next != NULL) {
        waiter->next->prev = waiter->prev;
    }
}

static void
waiter_add(tikv_queue *queue, struct waiter *waiter)
{
    if (waiter->is_listed) {
        return;
    }
    waiter->is_listed = true;
    waiter->prev = NULL;
    waiter->next = queue->waiters;
    if (queue->waiters != NULL) {
        queue->waiters->prev = waiter;
    }
    queue->waiters = waiter;
}

/* Under the lock. */
static void
ring_one(tikv_queue *queue, struct tk_wakes *wakes)
{
    struct waiter *waiter = queue->waiters;

    if (waiter != NULL) {
        waiter_remove(queue, waiter);
        tk_wakes_ring(wakes, waiter->parker);
    }
}

void
tk_queue_deliver(tikv_queue *queue, struct tikv_future *future,
                 struct tk_wakes *wakes)
{
    bool is_closed;

    if (tk_wakes_is_full(wakes)) {
        tk_wakes_flush(wakes);
    }
    tk_mutex_lock(&queue->lock);
    expected_remove(queue, future);
    is_closed = queue->is_closed;
    if (!is_closed) {
        future->next = NULL;
        if (queue->first == NULL) {
            queue->first = future;
            raise_level(queue);
        } else {
            queue->last->next = future;
        }
        queue->last = future;
        ring_one(queue, wakes);
    }
    tk_mutex_unlock(&queue->lock);
    if (is_closed) {
        tk_future_unref(future);
    }
    queue_unref(queue);
}

/* Under the lock: moves up to `max` out. */
static size_t
take_ready(tikv_queue *queue, tikv_future **futures, void **tags, size_t max)
{
    size_t count = 0;

    while (count < max && queue->first != NULL) {
        struct tikv_future *future = queue->first;

        queue->first = future->next;
        futures[count] = future;
        if (tags != NULL) {
            tags[count] = future->arg;
        }
        count++;
    }
    if (count != 0 && queue->first == NULL) {
        lower_level(queue);
    }
    return count;
}

static void
flush_expected(tikv_queue *queue)
{
    struct tikv_future *newest[FLUSH_MAX];
    struct tikv_future *future;
    size_t count = 0;
    size_t i;

    tk_mutex_lock(&queue->lock);
    for (future = queue->expected; future != NULL && count < FLUSH_MAX;
         future = future->next) {
        if (future->ops->flush != NULL) {
            tk_future_ref(future);
            newest[count++] = future;
        }
    }
    tk_mutex_unlock(&queue->lock);
    for (i = 0; i < count; i++) {
        tk_future_flush(newest[i]);
        tk_future_unref(newest[i]);
    }
}

/* A look; and if there is nothing and `waiter` wants to sleep, its name on
 * the list. Who leaves rings the next one for what stays behind. */
static size_t
look(tikv_queue *queue, tikv_future **futures, void **tags, size_t max,
     struct waiter *waiter, bool will_sleep)
{
    struct tk_wakes wakes;
    size_t count;

    tk_wakes_init(&wakes, queue->rt);
    tk_mutex_lock(&queue->lock);
    count = take_ready(queue, futures, tags, max);
    if (count == 0 && will_sleep) {
        waiter_add(queue, waiter);
    } else {
        waiter_remove(queue, waiter);
        if (queue->first != NULL) {
            ring_one(queue, &wakes);
        }
    }
    tk_mutex_unlock(&queue->lock);
    tk_wakes_flush(&wakes);
    return count;
}

size_t
tikv_queue_drain(tikv_queue *queue, tikv_future **futures, void **tags,
                 size_t max, int64_t timeout_ms)
{
    struct waiter waiter = { .parker = NULL };
    struct tk_runtime *rt;
    bool is_flushed = false;
    bool may_sleep;
    int64_t until;

    if (queue == NULL || max == 0 || is_forked(queue)) {
        return 0;
    }
    rt = queue->rt;
    waiter.parker = tk_self(rt);
    may_sleep =
        timeout_ms != 0 && waiter.parker != NULL && !waiter.parker->is_library;
    until = timeout_ms < 0 || timeout_ms > TK_NEVER / TK_MS
                ? TK_NEVER
                : tk_after(tk_now(rt), timeout_ms * TK_MS);
    for (;;) {
        bool will_sleep = may_sleep && tk_now(rt) < until;
        size_t count;

        if (waiter.parker != NULL) {
            tk_park_begin(waiter.parker);
        }
        count = look(queue, futures, tags, max, &waiter, will_sleep);
        if (count != 0 || !will_sleep) {
            return count;
        }
        if (!is_flushed) {
            is_flushed = true;
            flush_expected(queue);
        }
        rt->ops->park(rt, waiter.parker, until);
    }
}

tikv_future *
tikv_queue_next(tikv_queue *queue, int64_t timeout_ms, void **tag)
{
    tikv_future *future = NULL;

    return tikv_queue_drain(queue, &future, tag, 1, timeout_ms) == 0 ? NULL
                                                                     : future;
}

int
tikv_queue_fd(tikv_queue *queue)
{
    int fd;

    if (queue == NULL || is_forked(queue)) {
        return -1;
    }
    tk_mutex_lock(&queue->lock);
    if (queue->fd < 0) {
        queue->fd = eventfd(queue->first != NULL, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    fd = queue->fd;
    tk_mutex_unlock(&queue->lock);
    return fd;
}

void
tikv_queue_free(tikv_queue *queue)
{
    struct tikv_future *future;

    if (queue == NULL || is_forked(queue)) {
        return;
    }
    tk_mutex_lock(&queue->lock);
    queue->is_closed = true;
    future = queue->first;
    queue->first = NULL;
    tk_mutex_unlock(&queue->lock);
    while (future != NULL) {
        struct tikv_future *next = future->next;

        tk_future_unref(future);
        future = next;
    }
    queue_unref(queue);
}
