/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that several transactions share. Under the key lies one lock with a
 * part for each of them; whoever ends takes its part away, the last one the
 * lock. A command may end several transactions on one key, so changes build
 * upon what the batch at hand has staged for it already.
 */
#include "cluster/mvcc.h"

#include "base/alloc.h"

/* The lock of the key when the batch is applied. */
static const struct tk_mvcc_lock *
pending(const struct tk_mvcc_batch *batch, const struct tk_mvcc_node *node)
{
    uint32_t left = node->staged;
    size_t i = batch->count;

    while (left > 0 && i > 0) {
        const struct tk_mvcc_op *op = &batch->ops[--i];

        if (op->node != node) {
            continue;
        }
        if (op->change == TK_MVCC_SET_LOCK ||
            op->change == TK_MVCC_DROP_LOCK) {
            return op->lock;
        }
        left--;
    }
    return node->lock;
}

const struct tk_mvcc_lock *
tk_mvcc_part(const struct tk_mvcc_lock *shared, uint64_t start_ts)
{
    const struct tk_mvcc_lock *part = shared->parts;

    while (part != NULL && part->start_ts != start_ts) {
        part = part->next;
    }
    return part;
}

const struct tk_mvcc_lock *
tk_mvcc_own(const struct tk_mvcc_batch *batch, const struct tk_mvcc_node *node,
            uint64_t start_ts)
{
    const struct tk_mvcc_lock *lock =
        node == NULL ? NULL : pending(batch, node);

    if (lock == NULL) {
        return NULL;
    }
    if (lock->type == TK_MVCC_SHARED) {
        return tk_mvcc_part(lock, start_ts);
    }
    return lock->start_ts == start_ts ? lock : NULL;
}

/* A shared lock to be changed: a copy, or a new one; NULL without memory. */
static struct tk_mvcc_lock *
open_shared(const struct tk_mvcc_lock *lock)
{
    struct tk_mvcc_lock *shared;

    if (lock != NULL) {
        return tk_mvcc_lock_copy(lock);
    }
    shared = tk_calloc(sizeof(*shared));
    if (shared != NULL) {
        shared->type = TK_MVCC_SHARED;
        shared->names = tk_mvcc_names_new((tikv_slice){ NULL, 0 }, NULL, 0);
        if (shared->names == NULL) {
            tk_free(shared);
            shared = NULL;
        }
    }
    return shared;
}

static void
take_part(struct tk_mvcc_lock *shared, uint64_t start_ts)
{
    struct tk_mvcc_lock **at = &shared->parts;

    while (*at != NULL && (*at)->start_ts < start_ts) {
        at = &(*at)->next;
    }
    if (*at != NULL && (*at)->start_ts == start_ts) {
        struct tk_mvcc_lock *part = *at;

        *at = part->next;
        tk_mvcc_lock_free(part);
    }
}

static void
add_part(struct tk_mvcc_lock *shared, struct tk_mvcc_lock *part)
{
    struct tk_mvcc_lock **at = &shared->parts;

    while (*at != NULL && (*at)->start_ts < part->start_ts) {
        at = &(*at)->next;
    }
    part->next = *at;
    *at = part;
}

void
tk_mvcc_set_part(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 struct tk_mvcc_lock *part)
{
    struct tk_mvcc_lock *shared = NULL;

    if (part != NULL && node != NULL) {
        shared = open_shared(pending(batch, node));
    }
    if (shared == NULL) {
        tk_mvcc_lock_free(part);
    } else {
        take_part(shared, part->start_ts);
        add_part(shared, part);
    }
    tk_mvcc_set_lock(batch, node, shared);
}

void
tk_mvcc_shrink(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node)
{
    struct tk_mvcc_lock *shared = tk_mvcc_lock_copy(node->lock);

    if (shared != NULL) {
        shared->is_shrinking = true;
    }
    tk_mvcc_set_lock(batch, node, shared);
}

void
tk_mvcc_release(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                uint64_t start_ts, uint64_t commit_ts)
{
    const struct tk_mvcc_lock *lock = pending(batch, node);
    struct tk_mvcc_lock *rest;

    if (lock == NULL || lock->type != TK_MVCC_SHARED ||
        lock->parts->next == NULL) {
        tk_mvcc_drop_lock(batch, node, start_ts, commit_ts);
        return;
    }
    rest = tk_mvcc_lock_copy(lock);
    if (rest != NULL) {
        take_part(rest, start_ts);
    }
    tk_mvcc_set_lock(batch, node, rest);
}
