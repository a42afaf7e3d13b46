/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of transactions: Commit, BatchRollback, Cleanup, and what other
 * commands need of them for one key.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/txn.h"

void
tk_cl_mark_mismatch(struct tk_cl_txn *txn, struct tk_mvcc_node *node)
{
    const struct tk_mvcc_lock *lock = node->lock;
    struct tk_mvcc_lock *copy;
    uint64_t *rollbacks;

    /* Only an async commit can still end at this very timestamp. */
    if (!lock->is_async || txn->start_ts < lock->min_commit_ts) {
        return;
    }
    copy = tk_mvcc_lock_copy(lock);
    if (copy != NULL) {
        rollbacks = tk_realloc(copy->rollbacks,
                               (copy->rollbacks_count + 1) * sizeof(uint64_t));
        if (rollbacks == NULL) {
            tk_mvcc_lock_free(copy);
            copy = NULL;
        } else {
            rollbacks[copy->rollbacks_count++] = txn->start_ts;
            copy->rollbacks = rollbacks;
        }
    }
    tk_mvcc_set_lock(&txn->batch, node, copy);
}

enum tk_cl_status
tk_cl_missing_lock(struct tk_cl_txn *txn, tikv_slice key,
                   enum tk_cl_missing action, bool do_nothing,
                   uint64_t *commit_ts)
{
    struct tk_mvcc_node *node = tk_mvcc_find(txn->mvcc, key);
    struct tk_mvcc_record record = tk_mvcc_record(node, txn->start_ts);
    bool is_protected = action == TK_MISSING_PROTECT;

    if (tk_mvcc_is_rolled_back(&record)) {
        return TK_ST_ROLLED_BACK;
    }
    if (tk_mvcc_is_committed(&record)) {
        *commit_ts = record.version->commit_ts;
        return TK_ST_COMMITTED;
    }
    if (action == TK_MISSING_ERROR) {
        txn->error = (struct tk_key_error){ .kind = TK_KE_TXN_GONE,
                                            .key = key,
                                            .start_ts = txn->start_ts };
        return TK_ST_ERROR;
    }
    if (do_nothing) {
        return TK_ST_DO_NOTHING;
    }
    node = tk_mvcc_batch_node(&txn->batch, key);
    if (node == NULL) {
        return TK_ST_ERROR;
    }
    if (!is_protected) {
        tk_mvcc_collapse(&txn->batch, node, txn->start_ts);
    }
    if (is_protected && record.version == NULL && node->lock != NULL &&
        node->lock->start_ts != txn->start_ts) {
        tk_cl_mark_mismatch(txn, node);
    }
    tk_mvcc_write_rollback(&txn->batch, node, txn->start_ts, is_protected,
                           &record);
    return TK_ST_NOT_EXIST;
}

static bool
is_too_early(struct tk_cl_txn *txn, const struct tk_mvcc_node *node,
             const struct tk_mvcc_lock *lock, uint64_t commit_ts)
{
    if (commit_ts >= lock->min_commit_ts) {
        return false;
    }
    txn->error = (struct tk_key_error){ .kind = TK_KE_EXPIRED,
                                        .key = tk_mvcc_key(node),
                                        .start_ts = txn->start_ts,
                                        .commit_ts = commit_ts,
                                        .min_commit_ts =
                                            lock->min_commit_ts };
    txn->error.wants_debug =
        !tk_slice_equal(txn->error.key, lock->names->primary);
    txn->error.debug = node;
    return true;
}

bool
tk_cl_commit_key(struct tk_cl_txn *txn, tikv_slice key, uint64_t commit_ts,
                 bool is_secondary)
{
    struct tk_mvcc_node *node = tk_mvcc_find(txn->mvcc, key);
    const struct tk_mvcc_lock *lock =
        tk_mvcc_own(&txn->batch, node, txn->start_ts);
    struct tk_mvcc_record record;

    if (lock != NULL) {
        if (is_too_early(txn, node, lock, commit_ts)) {
            return false;
        }
        if (lock->type == TK_MVCC_PESSIMISTIC) {
            tk_mvcc_release(&txn->batch, node, txn->start_ts, 0);
        } else {
            tk_mvcc_commit_lock(&txn->batch, node, lock, commit_ts);
        }
        return true;
    }
    record = tk_mvcc_record(node, txn->start_ts);
    if (tk_mvcc_is_committed(&record)) {
        return true;
    }
    txn->error = (struct tk_key_error){ .kind = TK_KE_LOCK_GONE,
                                        .key = key,
                                        .start_ts = txn->start_ts,
                                        .debug = node,
                                        .wants_debug = is_secondary };
    return false;
}

bool
tk_cl_rollback_key(struct tk_cl_txn *txn, tikv_slice key)
{
    struct tk_mvcc_node *node = tk_mvcc_find(txn->mvcc, key);
    const struct tk_mvcc_lock *lock =
        tk_mvcc_own(&txn->batch, node, txn->start_ts);
    uint64_t commit_ts = 0;

    if (lock != NULL) {
        tk_mvcc_rollback_lock(&txn->batch, node, lock, true);
        return true;
    }
    if (tk_cl_missing_lock(txn, key, TK_MISSING_ROLLBACK, false, &commit_ts) ==
        TK_ST_COMMITTED) {
        tk_key_error_abort(&txn->error, "Committed");
        return false;
    }
    return true;
}

/* ---- commands ---- */

int
tk_cl_txn_commit(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    uint64_t commit_ts = fields->numbers[4];
    bool is_secondary = fields->numbers[6] == 2;
    struct tk_cl_txn txn;
    tikv_slice key;
    size_t at = 0;

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_keys(request, 3)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, fields->numbers[2]);
    if (commit_ts <= txn.start_ts) {
        tk_key_error_abort(&txn.error, "InvalidTxnTso");
        return tk_cl_txn_end(&txn, 4);
    }
    while (tk_cl_each(request->body, 3, &at, &key)) {
        if (!tk_cl_commit_key(&txn, key, commit_ts, is_secondary)) {
            break;
        }
    }
    if (txn.error.kind != TK_KE_NONE || txn.batch.failed) {
        return tk_cl_txn_end(&txn, 4);
    }
    if (!tk_cl_pass(request, TK_STAGE_APPLY)) {
        tk_mvcc_drop(&txn.batch);
        return TK_GRPC_OK;
    }
    tk_put_u64(request->out, 3, commit_ts);
    tk_cl_outcome_add(request->store, txn.start_ts, commit_ts);
    return tk_cl_txn_end(&txn, 4);
}

int
tk_cl_txn_batch_rollback(struct tk_cl_request *request)
{
    struct tk_cl_txn txn;
    tikv_slice key;
    size_t at = 0;

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_keys(request, 3)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, request->fields.numbers[2]);
    while (tk_cl_each(request->body, 3, &at, &key)) {
        if (!tk_cl_rollback_key(&txn, key)) {
            break;
        }
    }
    return tk_cl_txn_end(&txn, 3);
}

int
tk_cl_txn_cleanup(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    tikv_slice key = fields->bytes[2];
    uint64_t now_ts = fields->numbers[4];
    uint64_t commit_ts = 0;
    const struct tk_mvcc_lock *lock;
    struct tk_mvcc_node *node;
    struct tk_cl_txn txn;

    if (!tk_cl_txn_admit(request, false) ||
        !tk_cl_raise_max_ts(request, fields->numbers[3], true) ||
        !tk_cl_check_region(request) || !tk_cl_txn_check_key(request, key)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, fields->numbers[3]);
    node = tk_mvcc_find(txn.mvcc, key);
    lock = tk_mvcc_own(&txn.batch, node, txn.start_ts);
    if (lock == NULL) {
        (void)tk_cl_missing_lock(&txn, key, TK_MISSING_PROTECT, false,
                                 &commit_ts);
        tk_put_u64(request->out, 3, commit_ts);
    } else if (now_ts != 0 && !tk_mvcc_is_expired(lock, now_ts)) {
        tk_key_error_locked(&txn.error, key, lock);
    } else {
        tk_mvcc_rollback_lock(&txn.batch, node, lock, false);
    }
    return tk_cl_txn_end(&txn, 0);
}
