/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pessimistic lock of one key: the lock that may be there, the newest
 * version, then the lock that is written, which may be a part of one that
 * several share.
 */
#include "base/alloc.h"
#include "cluster/txn_lock.h"

static bool
conflict(struct tk_locking *locking, const struct tk_lock_key *one,
         const struct tk_mvcc_version *version)
{
    locking->txn.error =
        (struct tk_key_error){ .kind = TK_KE_CONFLICT,
                               .reason = TK_CONFLICT_PESSIMISTIC_RETRY,
                               .key = one->key,
                               .primary = locking->names->primary,
                               .start_ts = locking->txn.start_ts,
                               .conflict_ts = version->start_ts,
                               .commit_ts = version->commit_ts };
    return false;
}

static bool
refuse(struct tk_locking *locking, const char *text)
{
    tk_key_error_abort(&locking->txn.error, text);
    return false;
}

static bool
exists(struct tk_locking *locking, const struct tk_lock_key *one)
{
    locking->txn.error =
        (struct tk_key_error){ .kind = TK_KE_EXISTS,
                               .key = one->key,
                               .conflict_ts = one->found->start_ts };
    return false;
}

/* The own lock is there: raised, or left. */
static bool
lock_again(struct tk_locking *locking, struct tk_lock_key *one,
           struct tk_mvcc_node *node)
{
    const struct tk_mvcc_lock *lock = node->lock;
    struct tk_mvcc_lock *copy;
    uint64_t passed = 0;

    if (lock->type != TK_MVCC_PESSIMISTIC) {
        return refuse(locking, "LockTypeNotMatch: a prewritten lock");
    }
    if (locking->is_force && one->for_update_ts < lock->for_update_ts) {
        one->for_update_ts = lock->for_update_ts;
        one->conflict_ts = lock->for_update_ts;
    }
    one->found = tk_mvcc_visible(node, one->for_update_ts,
                                 locking->txn.start_ts, &passed);
    if (one->must_not_exist && one->found != NULL) {
        return one->found->commit_ts > locking->for_update_ts
                   ? conflict(locking, one, one->found)
                   : exists(locking, one);
    }
    if (one->for_update_ts > lock->for_update_ts) {
        copy = tk_mvcc_lock_copy(lock);
        if (copy != NULL) {
            copy->for_update_ts = one->for_update_ts;
            copy->ttl = locking->ttl;
            copy->min_commit_ts = locking->min_commit_ts;
        }
        tk_mvcc_set_lock(&locking->txn.batch, node, copy);
    }
    return true;
}

/* The newest version, where there is one, lets the key be locked. */
static bool
check_newest(struct tk_locking *locking, struct tk_lock_key *one,
             const struct tk_mvcc_node *node)
{
    const struct tk_mvcc_version *newest = tk_mvcc_seek(node, TK_TS_MAX);
    const struct tk_mvcc_version *own;
    uint64_t start_ts = locking->txn.start_ts;
    uint64_t passed = 0;

    if (newest == NULL) {
        return true;
    }
    if (newest->commit_ts > one->for_update_ts) {
        if (!locking->is_force) {
            return conflict(locking, one, newest);
        }
        one->for_update_ts = newest->commit_ts;
        one->conflict_ts = newest->commit_ts;
    }
    own = tk_mvcc_seek(node, start_ts);
    if (own != NULL && own->commit_ts == start_ts &&
        (own->type == TK_MVCC_ROLLBACK || own->is_overlapped)) {
        return refuse(locking, "PessimisticLockRolledBack");
    }
    one->found = tk_mvcc_existing(node, newest, start_ts);
    if (one->must_not_exist && one->found != NULL) {
        return one->conflict_ts != 0 ? conflict(locking, one, newest)
                                     : exists(locking, one);
    }
    one->found = tk_mvcc_visible(node, newest->commit_ts, start_ts, &passed);
    if (locking->only_existing && one->found == NULL &&
        one->conflict_ts != 0) {
        return conflict(locking, one, newest);
    }
    return true;
}

static void
write_lock(struct tk_locking *locking, const struct tk_lock_key *one)
{
    struct tk_mvcc_lock *lock = tk_calloc(sizeof(*lock));
    struct tk_mvcc_node *node =
        tk_mvcc_batch_node(&locking->txn.batch, one->key);

    if (lock != NULL) {
        lock->type = TK_MVCC_PESSIMISTIC;
        lock->start_ts = locking->txn.start_ts;
        lock->ttl = locking->ttl;
        lock->for_update_ts = one->for_update_ts;
        lock->min_commit_ts = locking->min_commit_ts;
        lock->has_conflict = one->conflict_ts != 0;
        lock->in_memory = !one->is_shared;
        lock->names = tk_mvcc_names_ref(locking->names);
        tk_mvcc_note_change(lock, node);
    }
    if (one->is_shared) {
        tk_mvcc_set_part(&locking->txn.batch, node, lock);
    } else {
        tk_mvcc_set_lock(&locking->txn.batch, node, lock);
    }
}

static void
put_one(struct tk_locking *locking, const struct tk_lock_key *one)
{
    struct tk_buf *out = locking->txn.request->out;
    bool has_value = locking->wants_values || one->conflict_ts != 0;
    uint64_t is_missing = one->found == NULL;
    size_t mark;

    if (locking->is_force) {
        mark = tk_put_begin(out, 8);
        tk_put_u64(out, 1, one->conflict_ts != 0);
        if (has_value && one->found != NULL) {
            tk_put_bytes(out, 2, tk_mvcc_bytes(one->found->value));
        }
        if (has_value || locking->wants_existence) {
            tk_put_u64(out, 3, !is_missing);
        }
        tk_put_u64(out, 4, one->conflict_ts);
        tk_put_end(out, mark);
        return;
    }
    if (locking->wants_values) {
        tk_put_bytes_always(out, 5,
                            one->found == NULL
                                ? (tikv_slice){ NULL, 0 }
                                : tk_mvcc_bytes(one->found->value));
    }
    if (locking->wants_values || locking->wants_existence) {
        tk_buf_append(&locking->missing, &is_missing, sizeof(is_missing));
    }
}

static bool
meet(struct tk_locking *locking, const struct tk_lock_key *one,
     const struct tk_mvcc_lock *lock)
{
    tk_key_error_locked(&locking->txn.error, one->key, lock);
    locking->waits_to_join = one->is_shared;
    return false;
}

/* The first who wants the key alone only makes sure that nobody joins those
 * who share it any more; a request that has waited and would take it now does
 * not even that. */
static bool
meet_shared(struct tk_locking *locking, const struct tk_lock_key *one,
            struct tk_mvcc_node *node)
{
    struct tk_cl_txn *txn = &locking->txn;
    const struct tk_cl_waiter *waiter = txn->request->waiter;

    locking->is_shrunk = !node->lock->is_shrinking && waiter == NULL;
    locking->is_final = locking->is_shrunk ||
                        (waiter != NULL && waiter->state == TK_RESUMED);
    if (locking->is_shrunk) {
        tk_mvcc_drop(&txn->batch);
        tk_mvcc_shrink(&txn->batch, node);
    }
    return meet(locking, one, node->lock);
}

/* Only a larger for_update_ts changes a part. */
static void
share_again(struct tk_locking *locking, const struct tk_lock_key *one,
            struct tk_mvcc_node *node, const struct tk_mvcc_lock *part)
{
    struct tk_mvcc_lock *copy;

    if (one->for_update_ts <= part->for_update_ts) {
        return;
    }
    copy = tk_mvcc_lock_copy(part);
    if (copy != NULL) {
        copy->for_update_ts = one->for_update_ts;
        copy->ttl = locking->ttl;
        copy->min_commit_ts = locking->min_commit_ts;
    }
    tk_mvcc_set_part(&locking->txn.batch, node, copy);
}

static bool
lock_new(struct tk_locking *locking, struct tk_lock_key *one,
         const struct tk_mvcc_node *node)
{
    if (!check_newest(locking, one, node)) {
        return false;
    }
    if (!locking->only_existing || one->found != NULL) {
        write_lock(locking, one);
    }
    put_one(locking, one);
    return true;
}

static bool
share_one(struct tk_locking *locking, struct tk_lock_key *one,
          struct tk_mvcc_node *node)
{
    const struct tk_mvcc_lock *part;

    if (node == NULL || node->lock == NULL) {
        return lock_new(locking, one, node);
    }
    if (!tk_mvcc_is_shared(node)) {
        return meet(locking, one, node->lock);
    }
    part = tk_mvcc_part(node->lock, locking->txn.start_ts);
    if (part == NULL) {
        return node->lock->is_shrinking ? meet(locking, one, node->lock)
                                        : lock_new(locking, one, node);
    }
    if (part->type != TK_MVCC_PESSIMISTIC) {
        return refuse(locking, "LockTypeNotMatch: a prewritten lock");
    }
    share_again(locking, one, node, part);
    return true;
}

bool
tk_cl_lock_key(struct tk_locking *locking, struct tk_lock_key *one)
{
    struct tk_cl_txn *txn = &locking->txn;
    struct tk_mvcc_node *node = tk_mvcc_find(txn->mvcc, one->key);
    struct tk_cl_store *store = txn->request->store;

    one->for_update_ts = locking->for_update_ts;
    if (one->must_not_exist || locking->wants_values ||
        locking->wants_existence) {
        store->max_ts = tk_ts_max(store->max_ts, one->for_update_ts);
    }
    if (one->is_shared) {
        return share_one(locking, one, node);
    }
    if (tk_mvcc_is_shared(node)) {
        return meet_shared(locking, one, node);
    }
    if (tk_mvcc_owns(node, txn->start_ts)) {
        if (!lock_again(locking, one, node)) {
            return false;
        }
        put_one(locking, one);
        return true;
    }
    return node != NULL && node->lock != NULL
               ? meet(locking, one, node->lock)
               : lock_new(locking, one, node);
}
