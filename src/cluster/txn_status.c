/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a transaction: TxnHeartBeat, CheckTxnStatus on its primary,
 * CheckSecondaryLocks on the others. Who asks may change the answer: locks
 * that are expired or missing are rolled back for good on the way.
 */
#include "base/slice.h"
#include "cluster/txn.h"

enum {
    ACTION_NONE,
    ACTION_EXPIRED_ROLLBACK,
    ACTION_NOT_EXIST_ROLLBACK,
    ACTION_PUSHED,
    ACTION_EXPIRED_PESSIMISTIC,
    ACTION_DO_NOTHING
};

/* A primary is never shared. */
static void
fail_primary(struct tk_cl_txn *txn, const struct tk_mvcc_node *node)
{
    txn->error = (struct tk_key_error){ .kind = TK_KE_PRIMARY,
                                        .key = tk_mvcc_key(node),
                                        .lock = node->lock };
}

int
tk_cl_txn_heart_beat(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    tikv_slice key = fields->bytes[2];
    uint64_t ttl = fields->numbers[4];
    uint64_t min_commit_ts = fields->numbers[5];
    struct tk_mvcc_node *node;
    struct tk_mvcc_lock *lock;
    struct tk_cl_txn txn;

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_key(request, key)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, fields->numbers[3]);
    node = tk_mvcc_find(txn.mvcc, key);
    if (tk_mvcc_is_shared(node) &&
        tk_mvcc_part(node->lock, txn.start_ts) != NULL) {
        fail_primary(&txn, node);
        return tk_cl_txn_end(&txn, 4);
    }
    if (!tk_mvcc_owns(node, txn.start_ts)) {
        txn.error = (struct tk_key_error){ .kind = TK_KE_TXN_GONE,
                                           .key = key,
                                           .start_ts = txn.start_ts };
        return tk_cl_txn_end(&txn, 4);
    }
    lock = tk_mvcc_lock_copy(node->lock);
    if (lock != NULL) {
        lock->ttl = tk_ts_max(lock->ttl, ttl);
        if (!lock->is_async && lock->generation > 0) {
            lock->min_commit_ts =
                tk_ts_max(lock->min_commit_ts, min_commit_ts);
        }
        tk_put_u64(request->out, 3, lock->ttl);
    }
    tk_mvcc_set_lock(&txn.batch, node, lock);
    return tk_cl_txn_end(&txn, 4);
}

/* ---- CheckTxnStatus ---- */

struct check {
    struct tk_cl_txn txn;
    tikv_slice key;
    uint64_t caller_ts;
    uint64_t now_ts;
    bool rolls_back; /* rollback_if_not_exist */
    bool is_forced;  /* force_sync_commit */
    bool is_pessimistic; /* resolving_pessimistic_lock */
    bool verifies;   /* verify_is_primary */
    uint64_t commit_ts;
    bool is_pushed;
    const struct tk_mvcc_lock *lock; /* alive */
    struct tk_mvcc_lock *rewritten;  /* the batch's */
};

static enum tk_cl_status
check_missing(struct check *check, bool do_nothing)
{
    return tk_cl_missing_lock(
        &check->txn, check->key,
        check->rolls_back ? TK_MISSING_PROTECT : TK_MISSING_ERROR, do_nothing,
        &check->commit_ts);
}

static enum tk_cl_status
check_primary(struct check *check, struct tk_mvcc_node *node)
{
    enum tk_cl_status status;

    if (node->lock->type != TK_MVCC_PESSIMISTIC || check->is_pessimistic) {
        fail_primary(&check->txn, node);
        return TK_ST_ERROR;
    }
    /* Left behind by a request that came late: the primary is elsewhere. */
    status = check_missing(check, false);
    if (status != TK_ST_ERROR) {
        tk_mvcc_release(&check->txn.batch, node, check->txn.start_ts, 0);
    }
    return status;
}

/* A lock over a newer version may be one that was left behind. */
static bool
is_decided(struct check *check, struct tk_mvcc_node *node,
           enum tk_cl_status *status)
{
    struct tk_mvcc_record record =
        tk_mvcc_record(node, check->txn.start_ts);

    if (tk_mvcc_is_committed(&record)) {
        check->commit_ts = record.version->commit_ts;
        *status = TK_ST_COMMITTED;
    } else if (tk_mvcc_is_rolled_back(&record)) {
        *status = TK_ST_ROLLED_BACK;
    } else {
        return false;
    }
    tk_mvcc_release(&check->txn.batch, node, check->txn.start_ts,
                    check->commit_ts);
    return true;
}

static void
push(struct check *check, struct tk_mvcc_node *node)
{
    struct tk_mvcc_lock *lock;
    uint64_t caller_ts = check->caller_ts;
    uint64_t min_commit_ts = node->lock->min_commit_ts;

    check->lock = node->lock;
    if (min_commit_ts != 0 && caller_ts != TK_TS_MAX &&
        caller_ts >= min_commit_ts) {
        min_commit_ts = tk_ts_max(caller_ts + 1, check->now_ts);
        lock = tk_mvcc_lock_copy(node->lock);
        if (lock != NULL) {
            lock->min_commit_ts = min_commit_ts;
            check->lock = lock;
        }
        tk_mvcc_set_lock(&check->txn.batch, node, lock);
    }
    check->is_pushed = caller_ts == TK_TS_MAX ||
                       (caller_ts != 0 && min_commit_ts > caller_ts);
}

static enum tk_cl_status
check_own(struct check *check, struct tk_mvcc_node *node)
{
    const struct tk_mvcc_lock *lock = node->lock;
    bool is_held = lock->type == TK_MVCC_PESSIMISTIC;
    enum tk_cl_status status;

    if (check->verifies &&
        !tk_slice_equal(check->key, lock->names->primary)) {
        return check_primary(check, node);
    }
    if (lock->is_async && !check->is_forced) {
        check->lock = lock;
        return TK_ST_ALIVE;
    }
    if (is_held && lock->has_conflict && is_decided(check, node, &status)) {
        return status;
    }
    if (tk_mvcc_is_expired(lock, check->now_ts)) {
        if (is_held && check->is_pessimistic) {
            tk_mvcc_release(&check->txn.batch, node, lock->start_ts, 0);
            return TK_ST_EXPIRED_PESSIMISTIC;
        }
        tk_mvcc_rollback_lock(&check->txn.batch, node, lock, true);
        return TK_ST_EXPIRED;
    }
    push(check, node);
    return TK_ST_ALIVE;
}

static enum tk_cl_status
check_status(struct check *check, struct tk_mvcc_node *node)
{
    if (tk_mvcc_is_shared(node)) {
        fail_primary(&check->txn, node);
        return TK_ST_ERROR;
    }
    return tk_mvcc_owns(node, check->txn.start_ts)
               ? check_own(check, node)
               : check_missing(check, check->is_pessimistic);
}

static void
put_status(struct check *check, enum tk_cl_status status)
{
    struct tk_buf *out = check->txn.request->out;

    switch (status) {
    case TK_ST_COMMITTED:
        tk_put_u64(out, 4, check->commit_ts);
        break;
    case TK_ST_NOT_EXIST:
        tk_put_u64(out, 5, ACTION_NOT_EXIST_ROLLBACK);
        break;
    case TK_ST_DO_NOTHING:
        tk_put_u64(out, 5, ACTION_DO_NOTHING);
        break;
    case TK_ST_EXPIRED:
        tk_put_u64(out, 5, ACTION_EXPIRED_ROLLBACK);
        break;
    case TK_ST_EXPIRED_PESSIMISTIC:
        tk_put_u64(out, 5, ACTION_EXPIRED_PESSIMISTIC);
        break;
    case TK_ST_ALIVE:
        tk_put_u64(out, 3, check->lock->ttl);
        tk_put_u64(out, 5, check->is_pushed ? ACTION_PUSHED : ACTION_NONE);
        tk_cl_put_lock(out, 6, check->lock->names->primary, check->lock,
                       false);
        break;
    case TK_ST_ROLLED_BACK:
    case TK_ST_ERROR:
        break;
    }
}

int
tk_cl_txn_check_status(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct check check = { .key = fields->bytes[2],
                           .caller_ts = fields->numbers[4],
                           .now_ts = fields->numbers[5],
                           .rolls_back = fields->numbers[6] != 0,
                           .is_forced = fields->numbers[7] != 0,
                           .is_pessimistic = fields->numbers[8] != 0,
                           .verifies = fields->numbers[9] != 0 };
    struct tk_mvcc_node *node;
    enum tk_cl_status status;

    if (!tk_cl_txn_admit(request, false) ||
        !tk_cl_raise_max_ts(request, fields->numbers[3], true) ||
        !tk_cl_raise_max_ts(request, check.now_ts, true) ||
        !tk_cl_raise_max_ts(request, check.caller_ts, true) ||
        !tk_cl_check_region(request) ||
        !tk_cl_txn_check_key(request, check.key)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&check.txn, request, fields->numbers[3]);
    node = tk_mvcc_find(check.txn.mvcc, check.key);
    status = check_status(&check, node);
    if (!check.txn.batch.failed) {
        put_status(&check, status);
    }
    return tk_cl_txn_end(&check.txn, 7);
}

/* ---- CheckSecondaryLocks ---- */

static enum tk_cl_status
check_record(struct tk_cl_txn *txn, struct tk_mvcc_node *node, tikv_slice key,
             uint64_t *commit_ts)
{
    enum tk_cl_status status =
        tk_cl_missing_lock(txn, key, TK_MISSING_PROTECT, false, commit_ts);

    if (status == TK_ST_NOT_EXIST) {
        tk_mvcc_collapse(&txn->batch,
                         node != NULL ? node
                                      : tk_mvcc_find(txn->mvcc, key),
                         txn->start_ts);
        status = TK_ST_ROLLED_BACK;
    }
    return status;
}

static enum tk_cl_status
check_secondary(struct tk_cl_txn *txn, tikv_slice key, uint64_t *commit_ts)
{
    struct tk_mvcc_node *node = tk_mvcc_find(txn->mvcc, key);
    struct tk_mvcc_record record = tk_mvcc_record(node, txn->start_ts);

    if (!tk_mvcc_owns(node, txn->start_ts)) {
        return check_record(txn, node, key, commit_ts);
    }
    if (node->lock->type != TK_MVCC_PESSIMISTIC) {
        tk_cl_put_lock(txn->request->out, 3, key, node->lock, false);
        return TK_ST_ALIVE;
    }
    if (node->lock->has_conflict && tk_mvcc_is_committed(&record)) {
        *commit_ts = record.version->commit_ts;
        tk_mvcc_release(&txn->batch, node, txn->start_ts, *commit_ts);
        return TK_ST_COMMITTED;
    }
    if (record.found == TK_MVCC_NONE) {
        tk_mvcc_write_rollback(&txn->batch, node, txn->start_ts, true,
                               &record);
        tk_mvcc_collapse(&txn->batch, node, txn->start_ts);
    }
    tk_mvcc_release(&txn->batch, node, txn->start_ts, 0);
    return TK_ST_ROLLED_BACK;
}

int
tk_cl_txn_check_secondaries(struct tk_cl_request *request)
{
    enum tk_cl_status status = TK_ST_ALIVE;
    uint64_t commit_ts = 0;
    struct tk_cl_txn txn;
    tikv_slice key;
    size_t at = 0;

    if (!tk_cl_txn_admit(request, false) ||
        !tk_cl_raise_max_ts(request, request->fields.numbers[3], true) ||
        !tk_cl_check_region(request) || !tk_cl_txn_check_keys(request, 2)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&txn, request, request->fields.numbers[3]);
    while (status == TK_ST_ALIVE &&
           tk_cl_each(request->body, 2, &at, &key)) {
        status = check_secondary(&txn, key, &commit_ts);
    }
    if (status != TK_ST_ALIVE) {
        /* Decided: what was found before does not matter any more. */
        tk_buf_cut(request->out, request->out_start,
                   request->out->len - request->out_start);
        tk_put_u64(request->out, 4, commit_ts);
    }
    return tk_cl_txn_end(&txn, 5);
}
