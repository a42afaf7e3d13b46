/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KeyError with all that it may hold, LockInfo and MvccInfo, field by field.
 */
#include "base/slice.h"
#include "cluster/txn.h"

enum {
    OP_PUT,
    OP_DEL,
    OP_LOCK,
    OP_ROLLBACK,
    OP_PESSIMISTIC = 5,
    OP_SHARED = 7
};

static uint64_t
op_of(uint8_t type)
{
    switch (type) {
    case TK_MVCC_DELETE:
        return OP_DEL;
    case TK_MVCC_LOCK:
        return OP_LOCK;
    case TK_MVCC_ROLLBACK:
        return OP_ROLLBACK;
    case TK_MVCC_PESSIMISTIC:
        return OP_PESSIMISTIC;
    case TK_MVCC_SHARED:
        return OP_SHARED;
    default:
        return OP_PUT;
    }
}

/* The parts are the smallest start_ts first. */
uint64_t
tk_cl_put_shared(struct tk_buf *out, uint32_t field, tikv_slice key,
                 const struct tk_mvcc_lock *lock, uint64_t max_ts,
                 uint64_t limit)
{
    const struct tk_mvcc_lock *part = lock->parts;
    uint64_t count = 0;
    size_t mark;

    if (part == NULL || part->start_ts > max_ts) {
        return 0;
    }
    mark = tk_put_begin(out, field);
    tk_put_bytes(out, 3, key);
    tk_put_u64(out, 6, OP_SHARED);
    for (; part != NULL && part->start_ts <= max_ts && count < limit;
         part = part->next) {
        tk_cl_put_lock(out, 12, key, part, false);
        count++;
    }
    tk_put_end(out, mark);
    return count;
}

static void
put_lock(struct tk_buf *out, uint32_t field, tikv_slice key,
         const struct tk_mvcc_lock *lock, bool hide_ttl, uint64_t duration_ms)
{
    size_t mark;
    uint32_t i;

    if (lock->type == TK_MVCC_SHARED) {
        (void)tk_cl_put_shared(out, field, key, lock, UINT64_MAX, UINT64_MAX);
        return;
    }
    mark = tk_put_begin(out, field);
    tk_put_bytes(out, 1, lock->names->primary);
    tk_put_u64(out, 2, lock->start_ts);
    tk_put_bytes(out, 3, key);
    tk_put_u64(out, 4, hide_ttl ? 0 : lock->ttl);
    tk_put_u64(out, 5, lock->txn_size);
    tk_put_u64(out, 6, op_of(lock->type));
    tk_put_u64(out, 7, lock->for_update_ts);
    tk_put_u64(out, 8, lock->is_async);
    tk_put_u64(out, 9, lock->min_commit_ts);
    for (i = 0; i < lock->names->count; i++) {
        tk_put_bytes_always(out, 10, lock->names->secondaries[i]);
    }
    tk_put_u64(out, 11, duration_ms);
    tk_put_end(out, mark);
}

void
tk_cl_put_lock(struct tk_buf *out, uint32_t field, tikv_slice key,
               const struct tk_mvcc_lock *lock, bool hide_ttl)
{
    put_lock(out, field, key, lock, hide_ttl, 0);
}

static void
put_short(struct tk_buf *out, const struct tk_mvcc_value *value)
{
    if (value != NULL && value->len <= TK_MVCC_SHORT) {
        tk_put_bytes(out, 4, tk_mvcc_bytes(value));
    }
}

static void
put_long(struct tk_buf *out, uint64_t start_ts,
         const struct tk_mvcc_value *value)
{
    size_t mark;

    if (value == NULL || value->len <= TK_MVCC_SHORT) {
        return;
    }
    mark = tk_put_begin(out, 3);
    tk_put_u64(out, 1, start_ts);
    tk_put_bytes(out, 2, tk_mvcc_bytes(value));
    tk_put_end(out, mark);
}

static void
put_mvcc_lock(struct tk_buf *out, const struct tk_mvcc_lock *lock)
{
    size_t mark = tk_put_begin(out, 1);
    uint32_t i;

    tk_put_u64(out, 1, op_of(lock->type));
    tk_put_u64(out, 2, lock->start_ts);
    tk_put_bytes(out, 3, lock->names->primary);
    put_short(out, lock->value);
    tk_put_u64(out, 5, lock->ttl);
    tk_put_u64(out, 6, lock->for_update_ts);
    tk_put_u64(out, 7, lock->txn_size);
    tk_put_u64(out, 8, lock->is_async);
    for (i = 0; i < lock->names->count; i++) {
        tk_put_bytes_always(out, 9, lock->names->secondaries[i]);
    }
    tk_put_packed(out, 10, lock->rollbacks, lock->rollbacks_count);
    tk_put_u64(out, 11, lock->changed_ts);
    tk_put_u64(out, 12, lock->changed_versions);
    tk_put_end(out, mark);
}

static void
put_mvcc_write(struct tk_buf *out, const struct tk_mvcc_version *version)
{
    size_t mark = tk_put_begin(out, 2);

    tk_put_u64(out, 1, op_of(version->type));
    tk_put_u64(out, 2, version->start_ts);
    tk_put_u64(out, 3, version->commit_ts);
    if (version->is_protected) {
        tk_put_text(out, 4, "p");
    } else {
        put_short(out, version->value);
    }
    tk_put_u64(out, 5, version->is_overlapped);
    tk_put_u64(out, 6, version->has_fence);
    tk_put_u64(out, 7, version->fence);
    tk_put_end(out, mark);
}

void
tk_cl_put_mvcc(struct tk_buf *out, uint32_t field,
               const struct tk_mvcc_node *node)
{
    size_t mark = tk_put_begin(out, field);
    const struct tk_mvcc_version *version;

    if (node != NULL && node->lock != NULL) {
        put_mvcc_lock(out, node->lock);
    }
    for (version = tk_mvcc_seek(node, TK_TS_MAX); version != NULL;
         version = tk_mvcc_older(node, version)) {
        put_mvcc_write(out, version);
    }
    if (node != NULL && node->lock != NULL) {
        put_long(out, node->lock->start_ts, node->lock->value);
    }
    for (version = tk_mvcc_seek(node, TK_TS_MAX); version != NULL;
         version = tk_mvcc_older(node, version)) {
        put_long(out, version->start_ts, version->value);
    }
    tk_put_end(out, mark);
}

static void
put_conflict(struct tk_buf *out, const struct tk_key_error *error)
{
    size_t mark;

    tk_put_text(out, 2, "write conflict");
    mark = tk_put_begin(out, 4);
    tk_put_u64(out, 1, error->start_ts);
    tk_put_u64(out, 2, error->conflict_ts);
    tk_put_bytes(out, 3, error->key);
    tk_put_bytes(out, 4, error->primary);
    tk_put_u64(out, 5, error->commit_ts);
    tk_put_u64(out, 6, (uint64_t)error->reason);
    tk_put_end(out, mark);
}

static void
put_message(struct tk_buf *out, uint32_t field,
            const struct tk_key_error *error)
{
    size_t mark = tk_put_begin(out, field);

    switch (error->kind) {
    case TK_KE_EXISTS:
    case TK_KE_LOCK_GONE:
        tk_put_bytes(out, 1, error->key);
        break;
    case TK_KE_EXPIRED:
        tk_put_u64(out, 1, error->start_ts);
        tk_put_u64(out, 2, error->commit_ts);
        tk_put_bytes(out, 3, error->key);
        tk_put_u64(out, 4, error->min_commit_ts);
        break;
    case TK_KE_TXN_GONE:
        tk_put_u64(out, 1, error->start_ts);
        tk_put_bytes(out, 2, error->key);
        break;
    case TK_KE_ASSERTION:
        tk_put_u64(out, 1, error->start_ts);
        tk_put_bytes(out, 2, error->key);
        tk_put_u64(out, 3, error->assertion);
        tk_put_u64(out, 4, error->conflict_ts);
        tk_put_u64(out, 5, error->commit_ts);
        break;
    case TK_KE_PRIMARY:
        tk_cl_put_lock(out, 1, error->key, error->lock, false);
        break;
    case TK_KE_NONE:
    case TK_KE_LOCKED:
    case TK_KE_CONFLICT:
    case TK_KE_DEADLOCK:
    case TK_KE_ABORT:
    case TK_KE_UNHELD:
    case TK_KE_TOO_LARGE:
        break;
    }
    tk_put_end(out, mark);
}

static void
put_deadlock(struct tk_buf *out, const struct tk_key_error *error)
{
    size_t mark = tk_put_begin(out, 6);
    const struct tk_cl_edge *edge;

    tk_put_u64(out, 1, error->conflict_ts);
    tk_put_bytes(out, 2, error->key);
    tk_put_u64(out, 3, error->deadlock_hash);
    for (edge = error->chain; edge != NULL; edge = edge->link) {
        size_t entry = tk_put_begin(out, 4);

        tk_put_u64(out, 1, edge->waiter_ts);
        tk_put_u64(out, 2, edge->holder_ts);
        tk_put_u64(out, 3, edge->hash);
        tk_put_bytes(out, 4, edge->key);
        tk_put_bytes(out, 5, edge->tag);
        tk_put_end(out, entry);
    }
    tk_put_end(out, mark);
}

static void
put_debug(struct tk_buf *out, const struct tk_key_error *error)
{
    size_t info = tk_put_begin(out, 100);
    size_t mvcc = tk_put_begin(out, 1);

    tk_put_bytes(out, 1, error->key);
    tk_cl_put_mvcc(out, 2, error->debug);
    tk_put_end(out, mvcc);
    tk_put_end(out, info);
}

void
tk_cl_put_key_error(struct tk_buf *out, uint32_t field,
                    const struct tk_key_error *error)
{
    size_t mark = tk_put_begin(out, field);

    switch (error->kind) {
    case TK_KE_LOCKED:
        put_lock(out, 1, error->key, error->lock, error->hide_ttl,
                 error->duration_ms);
        break;
    case TK_KE_CONFLICT:
        put_conflict(out, error);
        break;
    case TK_KE_EXISTS:
        put_message(out, 5, error);
        break;
    case TK_KE_EXPIRED:
        put_message(out, 7, error);
        break;
    case TK_KE_TXN_GONE:
        put_message(out, 8, error);
        break;
    case TK_KE_ASSERTION:
        put_message(out, 10, error);
        break;
    case TK_KE_PRIMARY:
        put_message(out, 11, error);
        break;
    case TK_KE_LOCK_GONE:
        tk_put_text(out, 2, "txn lock not found");
        put_message(out, 12, error);
        break;
    case TK_KE_UNHELD:
        tk_put_text(out, 3, "PessimisticLockNotFound");
        break;
    case TK_KE_DEADLOCK:
        put_deadlock(out, error);
        break;
    case TK_KE_ABORT:
    case TK_KE_NONE:
    case TK_KE_TOO_LARGE:
        tk_put_text(out, 3, error->text == NULL ? "aborted" : error->text);
        break;
    }
    if (error->wants_debug) {
        put_debug(out, error);
    }
    tk_put_end(out, mark);
}
