/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for a lock: a queue for each key, at the store that leads it, in
 * the order of start_ts. When the lock goes, the first one is woken. An
 * ordinary request never gets the lock, it is told of the conflict, and the
 * others that waited then follow 20 ms after the last wake-up; a force-lock
 * request takes the lock before anybody else can. Runs with the cluster's
 * lock; answers leave by timers that are due at once.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/fingerprint.h"
#include "base/slice.h"
#include "cluster/txn.h"

enum { WAIT_MAX_MS = 1000, NOTIFY_MS = 20 };

struct tk_cl_queue {
    struct tk_cl_map_item item; /* the key, behind the struct */
    struct tk_timer timer;      /* of the delayed wake-up */
    struct tk_cluster *cluster;
    struct tk_cl_store *store;
    struct tk_cl_waiter *first;
    struct tk_cl_queue *next; /* of those that a batch releases */
    uint64_t index;           /* ordinary wake-ups so far */
    uint64_t released_start;
    uint64_t released_commit;
    bool is_armed;
    bool is_listed;
    bool is_released;
    bool is_retaken;
};

static void
notify(struct tk_timer *timer);

static struct tk_cl_queue *
queue_of(struct tk_cl_request *request, tikv_slice key)
{
    struct tk_cl_map *queues = &request->store->queues;
    struct tk_cl_queue *queue =
        (struct tk_cl_queue *)tk_cl_map_find(queues, key);
    uint8_t *bytes;

    if (queue != NULL) {
        return queue;
    }
    queue = tk_calloc(sizeof(*queue) + key.len);
    if (queue == NULL) {
        return NULL;
    }
    bytes = (uint8_t *)(queue + 1);
    if (key.len > 0) {
        memcpy(bytes, key.data, key.len);
    }
    queue->item.key = tk_slice(bytes, key.len);
    queue->timer.fn = notify;
    queue->cluster = request->cluster;
    queue->store = request->store;
    if (!tk_cl_map_add(queues, &queue->item)) {
        tk_free(queue);
        return NULL;
    }
    return queue;
}

/* Gives up a queue that nobody is in. */
static void
prune(struct tk_cl_queue *queue)
{
    struct tk_cluster *cluster = queue->cluster;

    if (queue->first != NULL || queue->is_listed) {
        return;
    }
    if (queue->is_armed) {
        if (!cluster->rt->ops->disarm(cluster->rt, &queue->timer)) {
            return; /* it fires, and prunes itself */
        }
        queue->is_armed = false;
        cluster->pending--;
    }
    (void)tk_cl_map_remove(&queue->store->queues, queue->item.key);
    tk_free(queue);
}

static void
insert(struct tk_cl_queue *queue, struct tk_cl_waiter *waiter)
{
    struct tk_cl_waiter **at = &queue->first;

    while (*at != NULL && (*at)->start_ts <= waiter->start_ts) {
        at = &(*at)->next;
    }
    waiter->next = *at;
    *at = waiter;
    waiter->queue = queue;
    waiter->index = queue->index;
}

/* Takes it out of its queue and its edge out of the detector. */
static void
take_out(struct tk_cl_waiter *waiter)
{
    struct tk_cl_queue *queue = waiter->queue;
    struct tk_cl_waiter **at;

    if (queue == NULL) {
        return;
    }
    if (waiter->is_detected) {
        tk_cl_detector_forget(queue->cluster, waiter->start_ts,
                              queue->item.key);
        waiter->is_detected = false;
    }
    for (at = &queue->first; *at != waiter; at = &(*at)->next) {
    }
    *at = waiter->next;
    waiter->queue = NULL;
}

void
tk_cl_wait_forget(struct tk_cl_request *request)
{
    struct tk_cl_waiter *waiter = request->waiter;
    struct tk_cl_queue *queue;

    if (waiter == NULL) {
        return;
    }
    request->waiter = NULL;
    queue = waiter->queue;
    take_out(waiter);
    if (queue != NULL) {
        prune(queue);
    }
    tk_mvcc_lock_free(waiter->lock);
    tk_free(waiter);
}

int64_t
tk_cl_wait_deadline(const struct tk_cl_waiter *waiter)
{
    return waiter->deadline;
}

void
tk_cl_wait_attach(struct tk_cl_delayed *delayed)
{
    delayed->request.waiter->delayed = delayed;
}

static struct tk_cl_waiter *
waiter_new(struct tk_cl_request *request, const struct tk_cl_wait *wait)
{
    struct tk_cl_waiter *waiter =
        tk_calloc(sizeof(*waiter) + wait->key.len);
    int64_t ms = wait->timeout_ms;

    if (waiter == NULL) {
        return NULL;
    }
    waiter->key = tk_slice(waiter + 1, wait->key.len);
    if (wait->key.len > 0) {
        memcpy(waiter + 1, wait->key.data, wait->key.len);
    }
    ms = ms == 0 || ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
    if (tk_cl_is_twisted(request, TK_TWIST_WAIT_TIMEOUT)) {
        ms = 0;
    }
    waiter->deadline = tk_after(tk_now(request->cluster->rt), ms * TK_MS);
    waiter->is_deaf = tk_cl_is_twisted(request, TK_TWIST_NO_WAKE);
    waiter->start_ts = wait->start_ts;
    waiter->is_force = wait->is_force;
    waiter->is_first = wait->is_first;
    waiter->is_shared = wait->is_shared;
    waiter->lock = tk_mvcc_lock_copy(wait->lock);
    if (waiter->lock == NULL) {
        tk_free(waiter);
        return NULL;
    }
    return waiter;
}

static tikv_slice
tag_of(const struct tk_cl_request *request)
{
    tikv_slice piece;
    tikv_slice tag = { NULL, 0 };
    size_t at = 0;
    size_t inner;

    while (tk_cl_each(request->body, request->method->context, &at, &piece)) {
        inner = 0;
        while (tk_cl_each(piece, 18, &inner, &tag)) {
        }
    }
    return tag;
}

/* True: one of the holders waits for this one. A holder of a part that wants
 * the key alone does not wait for itself. */
static bool
closes_circle(struct tk_cl_request *request, const struct tk_cl_wait *wait,
              struct tk_key_error *error)
{
    const struct tk_mvcc_lock *holder = wait->lock;
    bool is_shared = holder->type == TK_MVCC_SHARED;

    for (holder = is_shared ? holder->parts : holder; holder != NULL;
         holder = holder->next) {
        if (is_shared && holder->start_ts == wait->start_ts) {
            continue;
        }
        if (tk_cl_detect(request->cluster, wait->start_ts, holder->start_ts,
                         wait->key, tag_of(request), error)) {
            tk_cl_detector_forget(request->cluster, wait->start_ts,
                                  wait->key);
            return true;
        }
    }
    return false;
}

bool
tk_cl_wait_enter(struct tk_cl_request *request, const struct tk_cl_wait *wait,
                 struct tk_key_error *error)
{
    struct tk_cl_waiter *waiter = request->waiter;
    struct tk_cl_queue *queue;
    uint64_t index;
    bool has_index;

    if (!wait->is_first &&
        !tk_cl_is_twisted(request, TK_TWIST_NO_DETECTOR) &&
        closes_circle(request, wait, error)) {
        return false;
    }
    error->kind = TK_KE_NONE;
    if (waiter == NULL) {
        waiter = waiter_new(request, wait);
        if (waiter == NULL) {
            return false;
        }
        request->waiter = waiter;
    }
    queue = queue_of(request, wait->key);
    if (queue == NULL) {
        return false;
    }
    has_index = waiter->state == TK_MOVED;
    waiter->state = TK_WAITING;
    if (tk_cl_is_twisted(request, TK_TWIST_WAIT_SPURIOUS)) {
        waiter->state = TK_WOKEN; /* though nobody has let go */
        waiter->released_start = wait->lock->start_ts;
        waiter->deadline = tk_now(request->cluster->rt);
    }
    waiter->is_detected = !wait->is_first;
    index = waiter->index;
    insert(queue, waiter);
    waiter->index = has_index ? index : waiter->index;
    return true;
}

/* ---- release ---- */

static void
list(struct tk_cl_queue *queue, struct tk_cl_queue **listed)
{
    if (!queue->is_listed) {
        queue->is_listed = true;
        queue->next = *listed;
        *listed = queue;
    }
}

static void
note_holder(struct tk_cl_queue *queue, const struct tk_mvcc_op *op,
            struct tk_cl_queue **listed)
{
    const struct tk_mvcc_lock *old = op->node->lock;
    struct tk_cl_waiter *waiter;
    int64_t now = tk_now(queue->cluster->rt);

    if (old != NULL && old->start_ts == op->lock->start_ts) {
        return;
    }
    for (waiter = queue->first; waiter != NULL; waiter = waiter->next) {
        if (waiter->lock->start_ts != op->lock->start_ts) {
            waiter->changed = now;
        }
    }
    queue->is_retaken = true;
    list(queue, listed);
}

struct tk_cl_queue *
tk_cl_wait_collect(struct tk_cl_store *store,
                   const struct tk_mvcc_batch *batch)
{
    struct tk_cl_queue *listed = NULL;
    size_t i;

    if (store->queues.count == 0) {
        return NULL;
    }
    for (i = 0; i < batch->count; i++) {
        const struct tk_mvcc_op *op = &batch->ops[i];
        struct tk_cl_queue *queue;

        if (op->change != TK_MVCC_DROP_LOCK &&
            op->change != TK_MVCC_SET_LOCK) {
            continue;
        }
        queue = (struct tk_cl_queue *)tk_cl_map_find(&store->queues,
                                                     tk_mvcc_key(op->node));
        if (queue == NULL) {
            continue;
        }
        if (op->change == TK_MVCC_SET_LOCK) {
            note_holder(queue, op, &listed);
            continue;
        }
        queue->is_released = true;
        queue->released_start = op->version.start_ts;
        queue->released_commit = op->version.commit_ts;
        list(queue, &listed);
    }
    return listed;
}

/* Executes a request that has waited; it may have to wait again. */
static void
go_on(struct tk_cl_waiter *waiter)
{
    struct tk_cl_delayed *delayed = waiter->delayed;
    struct tk_runtime *rt = delayed->cluster->rt;

    tk_cl_delayed_run(delayed);
    if (rt->ops->disarm(rt, &delayed->timer)) {
        rt->ops->arm(rt, &delayed->timer,
                     delayed->is_done ? tk_now(rt)
                                      : tk_cl_delayed_due(delayed));
    }
}

static void
wake(struct tk_cl_queue *queue, struct tk_cl_waiter *waiter)
{
    waiter->released_start = queue->released_start;
    waiter->released_commit = queue->released_commit;
    waiter->state = waiter->is_force ? TK_RESUMED : TK_WOKEN;
    take_out(waiter);
}

/* Rules make some deaf: those are passed over, and wait out their time. */
static struct tk_cl_waiter *
first_of(const struct tk_cl_queue *queue)
{
    struct tk_cl_waiter *waiter = queue->first;

    while (waiter != NULL && waiter->is_deaf) {
        waiter = waiter->next;
    }
    return waiter;
}

static void
wake_first(struct tk_cl_queue *queue)
{
    struct tk_cluster *cluster = queue->cluster;
    struct tk_cl_waiter *waiter = first_of(queue);

    if (waiter == NULL) {
        return;
    }
    wake(queue, waiter);
    if (!waiter->is_force) {
        queue->index++;
        if (queue->first != NULL) {
            if (!queue->is_armed) {
                queue->is_armed = true;
                cluster->pending++;
            }
            cluster->rt->ops->arm(
                cluster->rt, &queue->timer,
                tk_after(tk_now(cluster->rt), NOTIFY_MS * TK_MS));
        }
    }
    go_on(waiter);
}

/* Those who would share the key are woken together. */
static void
wake_next(struct tk_cl_queue *queue)
{
    const struct tk_cl_waiter *next = first_of(queue);
    bool is_shared = next != NULL && next->is_shared;

    do {
        wake_first(queue);
        next = first_of(queue);
    } while (is_shared && next != NULL && next->is_shared);
}

/* The lock has another holder: who would take it waits for that one now. */
static void
follow_holder(struct tk_cl_queue *queue)
{
    struct tk_cl_waiter *moved = NULL;
    struct tk_cl_waiter *waiter = queue->first;

    if (!queue->is_retaken) {
        return;
    }
    queue->is_retaken = false;
    while (waiter != NULL) {
        struct tk_cl_waiter *next = waiter->next;

        if (waiter->is_force && !waiter->is_first) {
            take_out(waiter);
            waiter->state = TK_MOVED;
            waiter->next = moved;
            moved = waiter;
        }
        waiter = next;
    }
    while (moved != NULL) {
        waiter = moved;
        moved = waiter->next;
        go_on(waiter);
    }
}

void
tk_cl_wait_release(struct tk_cl_queue *released)
{
    while (released != NULL) {
        struct tk_cl_queue *queue = released;

        released = queue->next;
        if (queue->is_released && !queue->is_retaken) {
            wake_next(queue);
        }
        queue->is_released = false;
        follow_holder(queue);
        queue->is_listed = false;
        prune(queue);
    }
}

/* All that waited already when the last one was woken. */
static void
notify(struct tk_timer *timer)
{
    struct tk_cl_queue *queue =
        (struct tk_cl_queue *)(void *)((uint8_t *)timer -
                                       offsetof(struct tk_cl_queue, timer));
    struct tk_cluster *cluster = queue->cluster;
    struct tk_cl_waiter *waiter;

    tk_mutex_lock(&cluster->lock);
    queue->is_armed = false;
    queue->is_listed = true;
    while ((waiter = first_of(queue)) != NULL &&
           waiter->index < queue->index) {
        bool is_force = waiter->is_force;

        wake(queue, waiter);
        go_on(waiter);
        if (is_force) {
            break;
        }
    }
    follow_holder(queue);
    queue->is_listed = false;
    prune(queue);
    tk_cl_delayed_gone(cluster);
}

/* ---- GetLockWaitInfo ---- */

static void
put_entry(struct tk_cl_request *request, const struct tk_cl_queue *queue,
          const struct tk_cl_waiter *waiter, const struct tk_mvcc_lock *lock)
{
    size_t mark = tk_put_begin(request->out, 3);

    tk_put_u64(request->out, 1, waiter->start_ts);
    tk_put_u64(request->out, 2, lock->start_ts);
    tk_put_u64(request->out, 3, tk_fingerprint64(queue->item.key));
    tk_put_bytes(request->out, 4, queue->item.key);
    tk_put_bytes(request->out, 5, tag_of(&waiter->delayed->request));
    tk_put_end(request->out, mark);
}

/* For each holder. */
static void
put_waiter(struct tk_cl_request *request, const struct tk_cl_queue *queue,
           const struct tk_cl_waiter *waiter)
{
    const struct tk_mvcc_node *node =
        tk_mvcc_find(&request->cluster->mvcc, queue->item.key);
    const struct tk_mvcc_lock *lock =
        node != NULL && node->lock != NULL ? node->lock : waiter->lock;

    if (lock->type == TK_MVCC_SHARED) {
        lock = lock->parts;
    }
    for (; lock != NULL; lock = lock->next) {
        put_entry(request, queue, waiter, lock);
    }
}

int
tk_cl_txn_wait_info(struct tk_cl_request *request)
{
    struct tk_cl_map_at at =
        tk_cl_map_from(&request->store->queues, (tikv_slice){ NULL, 0 });

    while (at.item != NULL) {
        const struct tk_cl_queue *queue = (struct tk_cl_queue *)at.item;
        const struct tk_cl_waiter *waiter;

        for (waiter = queue->first; waiter != NULL; waiter = waiter->next) {
            put_waiter(request, queue, waiter);
        }
        tk_cl_map_next(&at);
    }
    return TK_GRPC_OK;
}

static void
drop_queue(struct tk_cl_map_item *item)
{
    tk_free(item);
}

void
tk_cl_wait_fini(struct tk_cl_store *store)
{
    tk_cl_map_fini(&store->queues, drop_queue);
}
