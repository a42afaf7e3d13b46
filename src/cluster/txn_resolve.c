/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks of a region: ScanLock lists them, ResolveLock ends those of
 * transactions whose end is known, PessimisticRollback lets go of
 * pessimistic ones. Whole regions go in batches of 256, each atomic.
 */
#include <string.h>

#include "base/slice.h"
#include "cluster/txn.h"

enum { BATCH = 256 };

/* ---- ResolveLock ---- */

struct outcome {
    uint64_t start_ts;
    uint64_t commit_ts; /* 0: rolled back */
};

static const struct outcome *
outcome_of(const struct tk_buf *outcomes, uint64_t start_ts)
{
    const struct outcome *all =
        (const struct outcome *)(const void *)outcomes->data;
    size_t count = outcomes->len / sizeof(*all);
    size_t i;

    for (i = 0; i < count; i++) {
        if (all[i].start_ts == start_ts) {
            return &all[i];
        }
    }
    return NULL;
}

static bool
read_outcomes(struct tk_cl_request *request, struct tk_buf *outcomes)
{
    struct outcome outcome = { request->fields.numbers[2],
                               request->fields.numbers[3] };
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t at = 0;

    if (outcome.start_ts != 0) {
        tk_buf_append(outcomes, &outcome, sizeof(outcome));
        return !outcomes->failed;
    }
    while (tk_cl_each(request->body, 4, &at, &bytes)) {
        if (tk_cl_decode(bytes, &fields)) {
            outcome.start_ts = fields.numbers[1];
            outcome.commit_ts = fields.numbers[2];
            tk_buf_append(outcomes, &outcome, sizeof(outcome));
        }
    }
    return !outcomes->failed;
}

static bool
resolve_key(struct tk_cl_txn *txn, tikv_slice key,
            const struct outcome *outcome)
{
    txn->start_ts = outcome->start_ts;
    if (outcome->commit_ts == 0) {
        return tk_cl_rollback_key(txn, key);
    }
    if (outcome->commit_ts <= outcome->start_ts) {
        tk_key_error_abort(&txn->error, "InvalidTxnTso");
        return false;
    }
    return tk_cl_commit_key(txn, key, outcome->commit_ts, false);
}

/* Every transaction that has the key, or a part of it. */
static bool
resolve_node(struct tk_cl_txn *txn, const struct tk_mvcc_node *node,
             const struct tk_buf *outcomes, size_t *count)
{
    const struct tk_mvcc_lock *lock = node->lock;

    if (lock == NULL || lock->in_memory) {
        return true;
    }
    if (lock->type == TK_MVCC_SHARED) {
        lock = lock->parts;
    }
    for (; lock != NULL; lock = lock->next) {
        const struct outcome *outcome = outcome_of(outcomes, lock->start_ts);

        if (outcome != NULL) {
            ++*count;
            if (!resolve_key(txn, tk_mvcc_key(node), outcome)) {
                return false;
            }
        }
    }
    return true;
}

/* Up to a batch of locks from `from` on, which moves behind them. False when
 * there are none left. */
static bool
resolve_some(struct tk_cl_txn *txn, const struct tk_buf *outcomes,
             struct tk_buf *from)
{
    tikv_slice end = tk_cl_region_end(txn->request->region);
    struct tk_cl_map_at at =
        tk_cl_map_from(&txn->mvcc->locks, tk_buf_slice(from));
    const struct tk_cl_request *request = txn->request;
    uint64_t most = tk_cl_is_twisted(request, TK_TWIST_PARTIAL)
                        ? request->plan->number
                        : BATCH;
    size_t count = 0;

    while (at.item != NULL && count < BATCH && count < most &&
           (end.len == 0 || tk_slice_compare(at.item->key, end) < 0)) {
        if (!resolve_node(txn, tk_mvcc_node_of(at.item), outcomes, &count)) {
            return false;
        }
        tk_cl_map_next(&at);
    }
    tk_buf_clear(from);
    if (at.item != NULL) {
        tk_buf_append_slice(from, at.item->key);
    }
    return count >= BATCH && at.item != NULL && !from->failed;
}

static void
resolve_region(struct tk_cl_txn *txn, const struct tk_buf *outcomes)
{
    struct tk_buf from;

    tk_buf_init(&from, SIZE_MAX / 4);
    tk_buf_append_slice(&from, tk_cl_region_start(txn->request->region));
    while (resolve_some(txn, outcomes, &from) && !txn->batch.failed) {
        tk_cl_txn_apply(txn);
    }
    tk_buf_fini(&from);
}

int
tk_cl_txn_resolve(struct tk_cl_request *request)
{
    struct tk_buf outcomes;
    const struct outcome *outcome;
    struct tk_cl_txn txn;
    tikv_slice key;
    size_t at = 0;
    int status;

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_keys(request, 5)) {
        return TK_GRPC_OK;
    }
    tk_buf_init(&outcomes, SIZE_MAX / 4);
    tk_cl_txn_begin(&txn, request, request->fields.numbers[2]);
    if (!read_outcomes(request, &outcomes)) {
        txn.batch.failed = true;
    } else if (request->fields.counts[5] == 0) {
        resolve_region(&txn, &outcomes);
    } else {
        outcome = outcome_of(&outcomes, txn.start_ts);
        while (outcome != NULL &&
               tk_cl_each(request->body, 5, &at, &key) &&
               resolve_key(&txn, key, outcome)) {
        }
    }
    status = tk_cl_txn_end(&txn, 3);
    tk_buf_fini(&outcomes);
    return status;
}

/* ---- ScanLock ---- */

static bool
check_memory(struct tk_cl_request *request, tikv_slice start, tikv_slice end,
             uint64_t max_ts)
{
    const struct tk_cl_memory_lock *entry;
    struct tk_key_error error;

    for (entry = request->store->memory_locks; entry != NULL;
         entry = entry->next) {
        if (entry->lock->start_ts <= max_ts &&
            tk_slice_in_range(entry->key, start, end)) {
            tk_key_error_locked(&error, entry->key, entry->lock);
            (void)tk_cl_txn_fail(request, &error);
            return false;
        }
    }
    return true;
}

/* How many locks it has listed: parts of a shared one count. */
static uint64_t
list_lock(struct tk_cl_request *request, const struct tk_mvcc_node *node,
          uint64_t max_ts, uint64_t limit)
{
    const struct tk_mvcc_lock *lock = node->lock;

    if (lock != NULL && lock->type == TK_MVCC_SHARED) {
        return tk_cl_put_shared(request->out, 3, tk_mvcc_key(node), lock,
                                max_ts, limit);
    }
    if (lock == NULL || lock->start_ts > max_ts) {
        return 0;
    }
    tk_cl_put_lock(request->out, 3, tk_mvcc_key(node), lock, false);
    return 1;
}

int
tk_cl_txn_scan_lock(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct tk_mvcc *mvcc = &request->cluster->mvcc;
    tikv_slice start = fields->bytes[3];
    tikv_slice end = fields->bytes[5];
    uint64_t max_ts = fields->numbers[2];
    uint64_t limit = fields->numbers[4] == 0 ? UINT64_MAX : fields->numbers[4];
    struct tk_cl_map_at at;

    if (!tk_cl_txn_admit(request, false) ||
        !tk_cl_raise_max_ts(request, max_ts, true) ||
        !check_memory(request, start, end, max_ts) ||
        !tk_cl_check_region(request)) {
        return TK_GRPC_OK;
    }
    at = tk_cl_map_from(&mvcc->locks, tk_mvcc_encode(mvcc, start));
    if (tk_slice_compare(tk_buf_slice(&mvcc->scratch),
                         tk_cl_region_start(request->region)) < 0) {
        at = tk_cl_map_from(&mvcc->locks, tk_cl_region_start(request->region));
    }
    while (at.item != NULL && limit > 0 &&
           tk_slice_in_range(at.item->key,
                             tk_cl_region_start(request->region),
                             tk_cl_region_end(request->region))) {
        const struct tk_mvcc_node *node = tk_mvcc_node_of(at.item);

        if (!tk_slice_in_range(tk_mvcc_key(node), start, end)) {
            break;
        }
        limit -= list_lock(request, node, max_ts, limit);
        tk_cl_map_next(&at);
    }
    tk_cl_put_exec(request, 4, NULL);
    return TK_GRPC_OK;
}

/* ---- PessimisticRollback ---- */

static void
unlock(struct tk_cl_txn *txn, struct tk_mvcc_node *node,
       uint64_t for_update_ts)
{
    const struct tk_mvcc_lock *lock =
        tk_mvcc_own(&txn->batch, node, txn->start_ts);

    if (lock != NULL && lock->type == TK_MVCC_PESSIMISTIC &&
        lock->for_update_ts <= for_update_ts) {
        tk_mvcc_release(&txn->batch, node, txn->start_ts, 0);
    }
}

static void
unlock_region(struct tk_cl_txn *txn, uint64_t for_update_ts)
{
    const struct tk_cl_region *region = txn->request->region;
    struct tk_cl_map_at at =
        tk_cl_map_from(&txn->mvcc->locks, tk_cl_region_start(region));

    while (at.item != NULL &&
           tk_slice_in_range(at.item->key, tk_cl_region_start(region),
                             tk_cl_region_end(region))) {
        unlock(txn, tk_mvcc_node_of(at.item), for_update_ts);
        tk_cl_map_next(&at);
    }
}

int
tk_cl_txn_unlock(struct tk_cl_request *request)
{
    uint64_t for_update_ts = request->fields.numbers[3];
    struct tk_cl_txn txn;
    tikv_slice key;
    size_t at = 0;

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_keys(request, 4)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, request->fields.numbers[2]);
    if (request->fields.counts[4] == 0) {
        unlock_region(&txn, for_update_ts);
    }
    while (tk_cl_each(request->body, 4, &at, &key)) {
        unlock(&txn, tk_mvcc_find(txn.mvcc, key), for_update_ts);
    }
    return tk_cl_txn_end(&txn, 3);
}
