/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prewrite and Flush as requests: reading them, going over their mutations,
 * falling back from one-phase and async commit, and the answer. A prewrite
 * that comes again after its transaction was committed succeeds.
 */
#include "cluster/txn_prewrite.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "wire/key.h"

enum { SORT_FROM = 12 };

/* ---- reading ---- */

static bool
read_mutations(struct tk_prewrite *prewrite, uint32_t field)
{
    struct tk_cl_request *request = prewrite->txn.request;
    struct tk_prewrite_mutation *mutation;
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t at = 0;

    prewrite->mutations = tk_calloc((request->fields.counts[field] + 1) *
                                    sizeof(*prewrite->mutations));
    prewrite->held = tk_calloc((request->fields.counts[field] + 1) *
                               sizeof(*prewrite->held));
    if (prewrite->mutations == NULL || prewrite->held == NULL) {
        request->out->failed = true;
        return false;
    }
    while (tk_cl_each(request->body, field, &at, &bytes)) {
        if (!tk_cl_decode(bytes, &fields)) {
            tk_key_error_abort(&prewrite->txn.error, "cannot read a mutation");
            return false;
        }
        mutation = &prewrite->mutations[prewrite->count++];
        mutation->op = fields.numbers[1];
        mutation->key = fields.bytes[2];
        mutation->value = fields.bytes[3];
        mutation->assertion = fields.numbers[4];
        if (tk_key_encoded_len(mutation->key.len) > TK_CL_KEY_MAX) {
            tk_key_error_abort(&prewrite->txn.error, "KeyTooLarge");
            return false;
        }
    }
    return true;
}

static bool
read_actions(struct tk_prewrite *prewrite)
{
    struct tk_buf actions;
    const uint64_t *numbers;
    size_t count;
    size_t i;

    tk_buf_init(&actions, SIZE_MAX / 4);
    if (!tk_cl_each_number(prewrite->txn.request->body, 7, &actions)) {
        tk_buf_fini(&actions);
        return false;
    }
    numbers = (const uint64_t *)(const void *)actions.data;
    count = actions.len / sizeof(*numbers);
    if (prewrite->is_pessimistic && count != prewrite->count) {
        tk_key_error_abort(&prewrite->txn.error,
                           "one pessimistic action for each mutation");
    } else if (prewrite->is_pessimistic) {
        for (i = 0; i < count; i++) {
            prewrite->mutations[i].action = numbers[i];
        }
    }
    tk_buf_fini(&actions);
    return prewrite->txn.error.kind == TK_KE_NONE;
}

static bool
read_constraints(struct tk_prewrite *prewrite)
{
    struct tk_cl_request *request = prewrite->txn.request;
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 16, &at, &bytes)) {
        if (!tk_cl_decode(bytes, &fields) ||
            fields.numbers[1] >= prewrite->count) {
            tk_key_error_abort(&prewrite->txn.error,
                               "for_update_ts constraint without mutation");
            return false;
        }
        prewrite->mutations[fields.numbers[1]].has_expected = true;
        prewrite->mutations[fields.numbers[1]].expected_ts =
            fields.numbers[2];
    }
    return true;
}

static bool
read_names(struct tk_prewrite *prewrite, tikv_slice primary)
{
    struct tk_cl_request *request = prewrite->txn.request;
    tikv_slice *keys = NULL;
    uint32_t count = 0;
    tikv_slice key;
    size_t at = 0;

    prewrite->names = tk_mvcc_names_new(primary, NULL, 0);
    if (request->method->run == tk_cl_txn_prewrite &&
        request->fields.numbers[11] != 0) {
        keys = tk_alloc_array(request->fields.counts[12] + 1, sizeof(*keys));
        while (keys != NULL && tk_cl_each(request->body, 12, &at, &key)) {
            keys[count++] = key;
        }
        if (keys != NULL) {
            prewrite->members = tk_mvcc_names_new(primary, keys, count);
            tk_free(keys);
        }
        if (prewrite->members == NULL) {
            request->out->failed = true;
        }
    }
    if (prewrite->names == NULL) {
        request->out->failed = true;
    }
    return !request->out->failed;
}

static bool
read_prewrite(struct tk_prewrite *prewrite)
{
    const struct tk_cl_fields *fields = &prewrite->txn.request->fields;

    prewrite->ttl = fields->numbers[5];
    prewrite->skip_check = fields->numbers[6] != 0;
    prewrite->txn_size = fields->numbers[8];
    prewrite->for_update_ts = fields->numbers[9];
    prewrite->is_pessimistic = prewrite->for_update_ts != 0;
    prewrite->min_commit_ts = fields->numbers[10];
    prewrite->max_commit_ts = fields->numbers[14];
    prewrite->assertions = fields->numbers[15];
    if (fields->numbers[13] != 0) {
        prewrite->kind = TK_PREWRITE_1PC;
    } else if (fields->numbers[11] != 0) {
        prewrite->kind = TK_PREWRITE_ASYNC;
    }
    return read_mutations(prewrite, 2) && read_actions(prewrite) &&
           read_constraints(prewrite) &&
           read_names(prewrite, fields->bytes[3]);
}

static bool
read_flush(struct tk_prewrite *prewrite)
{
    const struct tk_cl_fields *fields = &prewrite->txn.request->fields;

    prewrite->generation = fields->numbers[6];
    prewrite->ttl = fields->numbers[7];
    prewrite->assertions = fields->numbers[8];
    prewrite->txn_size = UINT64_MAX;
    prewrite->min_commit_ts = prewrite->txn.start_ts + 1;
    if (prewrite->generation == 0) {
        tk_key_error_abort(&prewrite->txn.error,
                           "generation should be greater than 0");
        return false;
    }
    return read_mutations(prewrite, 2) &&
           read_names(prewrite, fields->bytes[3]);
}

static void
finish(struct tk_prewrite *prewrite)
{
    size_t i;

    for (i = 0; i < prewrite->held_count; i++) {
        tk_mvcc_lock_free(prewrite->held[i].lock);
    }
    tk_mvcc_names_unref(prewrite->names);
    tk_mvcc_names_unref(prewrite->members);
    tk_free(prewrite->mutations);
    tk_free(prewrite->held);
}

/* ---- before the mutations ---- */

static int
compare_mutations(const void *a, const void *b)
{
    const struct tk_prewrite_mutation *left = a;
    const struct tk_prewrite_mutation *right = b;

    return tk_slice_compare(left->key, right->key);
}

/* Many mutations where no version lies need not look for one each. */
static void
look_once(struct tk_prewrite *prewrite)
{
    struct tk_mvcc *mvcc = prewrite->txn.mvcc;
    struct tk_cl_map_at at;
    tikv_slice last;

    if (prewrite->is_pessimistic || prewrite->count <= SORT_FROM) {
        return;
    }
    qsort(prewrite->mutations, prewrite->count, sizeof(*prewrite->mutations),
          compare_mutations);
    last = prewrite->mutations[prewrite->count - 1].key;
    at = tk_cl_map_from(&mvcc->keys,
                        tk_mvcc_encode(mvcc, prewrite->mutations[0].key));
    while (at.item != NULL) {
        const struct tk_mvcc_node *node = (struct tk_mvcc_node *)at.item;

        if (tk_slice_compare(tk_mvcc_key(node), last) > 0) {
            break;
        }
        if (node->count > 0) {
            return;
        }
        tk_cl_map_next(&at);
    }
    prewrite->skip_check = true;
}

static bool
check_place(struct tk_prewrite *prewrite)
{
    struct tk_cl_request *request = prewrite->txn.request;
    const struct tk_cl_error stale = {
        .kind = TK_CL_MAX_TIMESTAMP_NOT_SYNCED
    };
    size_t i;

    if (!tk_cl_check_region(request)) {
        return false;
    }
    for (i = 0; i < prewrite->count; i++) {
        if (!tk_cl_txn_check_key(request, prewrite->mutations[i].key)) {
            return false;
        }
    }
    if (prewrite->kind != TK_PREWRITE_2PC && request->store->max_ts_stale) {
        tk_cl_answer_error(request, &stale);
        return false;
    }
    return tk_cl_check_entry(request);
}

/* ---- the mutations ---- */

static void
fall_back(struct tk_prewrite *prewrite)
{
    size_t i;

    for (i = 0; i < prewrite->held_count; i++) {
        prewrite->held[i].lock->is_one_pc = false;
        tk_mvcc_set_lock(&prewrite->txn.batch, prewrite->held[i].node,
                         prewrite->held[i].lock);
    }
    prewrite->held_count = 0;
    prewrite->kind = TK_PREWRITE_2PC;
    prewrite->result_ts = 0;
}

/* The commit_ts of a transaction that is through already; 0: it is not. */
static uint64_t
committed_at(struct tk_prewrite *prewrite, tikv_slice key)
{
    struct tk_mvcc_record record = tk_mvcc_record(
        tk_mvcc_find(prewrite->txn.mvcc, key), prewrite->txn.start_ts);

    return tk_mvcc_is_committed(&record) ? record.version->commit_ts : 0;
}

enum verdict { GO_ON, STOP, IS_COMMITTED };

static enum verdict
judge(struct tk_prewrite *prewrite, const struct tk_prewrite_mutation *mutation,
      enum tk_key_error_kind kind, struct tk_key_error *broken)
{
    struct tk_cl_txn *txn = &prewrite->txn;
    bool may_be_done = kind == TK_KE_LOCKED || kind == TK_KE_UNHELD ||
                       kind == TK_KE_TOO_LARGE ||
                       (kind == TK_KE_CONFLICT &&
                        txn->error.commit_ts > txn->start_ts);
    uint64_t commit_ts =
        may_be_done ? committed_at(prewrite, mutation->key) : 0;

    if (commit_ts != 0) {
        prewrite->result_ts = commit_ts;
        return IS_COMMITTED;
    }
    if (kind == TK_KE_LOCKED) {
        tk_cl_put_key_error(txn->request->out, txn->request->method->error,
                            &txn->error);
        return GO_ON;
    }
    if (kind == TK_KE_ASSERTION) {
        if (broken->kind == TK_KE_NONE) {
            *broken = txn->error;
        }
        return GO_ON;
    }
    if (kind == TK_KE_TOO_LARGE) {
        fall_back(prewrite);
        return GO_ON;
    }
    return STOP;
}

static enum verdict
go_over(struct tk_prewrite *prewrite)
{
    struct tk_cl_txn *txn = &prewrite->txn;
    struct tk_key_error broken = { .kind = TK_KE_NONE };
    enum verdict verdict;
    size_t i;

    for (i = 0; i < prewrite->count && !txn->batch.failed; i++) {
        uint64_t ts = 0;
        enum tk_key_error_kind kind =
            tk_cl_prewrite_one(prewrite, &prewrite->mutations[i], &ts);

        if (kind == TK_KE_NONE && prewrite->kind != TK_PREWRITE_2PC &&
            ts == 0) {
            fall_back(prewrite);
        } else if (kind == TK_KE_NONE) {
            prewrite->result_ts = tk_ts_max(prewrite->result_ts, ts);
        } else {
            verdict =
                judge(prewrite, &prewrite->mutations[i], kind, &broken);
            if (verdict != GO_ON) {
                return verdict;
            }
            txn->error.kind = TK_KE_NONE;
        }
    }
    txn->error = broken;
    return broken.kind == TK_KE_NONE ? GO_ON : STOP;
}

static void
commit_held(struct tk_prewrite *prewrite)
{
    struct tk_cl_txn *txn = &prewrite->txn;
    size_t i;

    for (i = 0; i < prewrite->held_count; i++) {
        const struct tk_mvcc_lock *lock = prewrite->held[i].lock;
        struct tk_mvcc_node *node = prewrite->held[i].node;
        const struct tk_mvcc_version version = {
            .commit_ts = prewrite->result_ts,
            .start_ts = lock->start_ts,
            .txn_source = lock->txn_source,
            .value = lock->value,
            .type = lock->type
        };

        tk_mvcc_put_version(&txn->batch, node, &version);
        if (tk_mvcc_owns(node, lock->start_ts)) {
            tk_mvcc_release(&txn->batch, node, lock->start_ts,
                            prewrite->result_ts);
        }
    }
    if (!txn->batch.failed) {
        tk_cl_outcome_add(txn->request->store, txn->start_ts,
                          prewrite->result_ts);
    }
}

static void
put_result(const struct tk_prewrite *prewrite, bool is_final)
{
    struct tk_buf *out = prewrite->txn.request->out;

    if (prewrite->kind == TK_PREWRITE_ASYNC) {
        tk_put_u64(out, 3, prewrite->result_ts);
    } else if (prewrite->kind == TK_PREWRITE_1PC && is_final) {
        tk_put_u64(out, 4, prewrite->result_ts);
    }
}

/* It stops with its timestamp fixed: readers meet the locks in memory. */
static void
show_locks(struct tk_prewrite *prewrite)
{
    struct tk_cl_request *request = prewrite->txn.request;
    const struct tk_mvcc_batch *batch = &prewrite->txn.batch;
    size_t i;

    for (i = 0; i < batch->count; i++) {
        const struct tk_mvcc_op *op = &batch->ops[i];

        if (op->change == TK_MVCC_SET_LOCK && op->lock->is_async) {
            tk_cl_stop_show(request, tk_mvcc_key(op->node),
                            tk_mvcc_lock_copy(op->lock));
        }
    }
    for (i = 0; i < prewrite->held_count; i++) {
        tk_cl_stop_show(request, tk_mvcc_key(prewrite->held[i].node),
                        tk_mvcc_lock_copy(prewrite->held[i].lock));
    }
}

/* The stages before it is applied. False: it has stopped, or is answered. */
static bool
go_through(struct tk_prewrite *prewrite)
{
    struct tk_cl_request *request = prewrite->txn.request;

    if ((prewrite->kind == TK_PREWRITE_2PC ||
         tk_cl_pass(request, TK_STAGE_MEMLOCK)) &&
        tk_cl_pass(request, TK_STAGE_APPLY)) {
        return true;
    }
    if (request->stop != NULL && request->stop->is_stopped &&
        prewrite->kind != TK_PREWRITE_2PC) {
        show_locks(prewrite);
    }
    return false;
}

static int
run(struct tk_prewrite *prewrite, uint32_t exec_field)
{
    struct tk_cl_txn *txn = &prewrite->txn;
    struct tk_buf *out = txn->request->out;
    enum verdict verdict;

    look_once(prewrite);
    verdict = go_over(prewrite);
    if (verdict == IS_COMMITTED) {
        tk_buf_cut(out, txn->request->out_start,
                   out->len - txn->request->out_start);
        tk_mvcc_drop(&txn->batch);
        txn->error.kind = TK_KE_NONE;
        put_result(prewrite, true);
    } else if (verdict == GO_ON && out->len > txn->request->out_start) {
        bool failed = txn->batch.failed;

        tk_mvcc_drop(&txn->batch);
        txn->batch.failed = failed;
        put_result(prewrite, false);
    } else if (verdict == GO_ON) {
        if (!go_through(prewrite)) {
            tk_mvcc_drop(&txn->batch);
            return TK_GRPC_OK;
        }
        if (prewrite->kind == TK_PREWRITE_1PC) {
            commit_held(prewrite);
        }
        put_result(prewrite, true);
    }
    return tk_cl_txn_end(txn, exec_field);
}

int
tk_cl_txn_prewrite(struct tk_cl_request *request)
{
    struct tk_prewrite prewrite = { .kind = TK_PREWRITE_2PC };
    int status = TK_GRPC_OK;

    if (!tk_cl_txn_admit(request, true)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&prewrite.txn, request, request->fields.numbers[4]);
    prewrite.is_retry = request->context.is_retry;
    if (!read_prewrite(&prewrite)) {
        status = tk_cl_txn_end(&prewrite.txn, 5);
    } else if (check_place(&prewrite)) {
        if (prewrite.is_pessimistic &&
            tk_cl_outcome(request->store, prewrite.txn.start_ts) != 0) {
            prewrite.is_retry = true;
        }
        status = run(&prewrite, 5);
    }
    finish(&prewrite);
    return status;
}

int
tk_cl_txn_flush(struct tk_cl_request *request)
{
    struct tk_prewrite prewrite = { .kind = TK_PREWRITE_2PC };
    int status = TK_GRPC_OK;

    if (!tk_cl_txn_admit(request, true)) {
        return TK_GRPC_OK;
    }
    tk_cl_txn_begin(&prewrite.txn, request, request->fields.numbers[4]);
    if (!read_flush(&prewrite)) {
        status = tk_cl_txn_end(&prewrite.txn, 3);
    } else if (check_place(&prewrite)) {
        status = run(&prewrite, 3);
    }
    finish(&prewrite);
    return status;
}
