/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PessimisticLock: of many keys, all or none; or of one key even though it
 * has a newer version (force lock). A request that meets the lock of another
 * waits, txn_wait.c, and comes here again.
 */
#include <string.h>

#include "base/slice.h"
#include "cluster/txn_lock.h"
#include "wire/key.h"

enum {
    OP_LOCK = 5,
    OP_SHARED_LOCK = 8,
    ASSERT_NOT_EXIST = 2,
    RESULT_FAILED = 2,
    EXEC = 7
};

/* ---- the request ---- */

static bool
refuse(struct tk_locking *locking, const char *text)
{
    tk_key_error_abort(&locking->txn.error, text);
    return false;
}

static void
read_request(struct tk_locking *locking)
{
    const struct tk_cl_fields *fields = &locking->txn.request->fields;

    locking->ttl = fields->numbers[5];
    locking->for_update_ts = fields->numbers[6];
    locking->is_first = fields->numbers[7] != 0;
    locking->wait_ms = (int64_t)fields->numbers[8];
    locking->wants_values = fields->numbers[10] != 0;
    locking->min_commit_ts = fields->numbers[11];
    locking->wants_existence = fields->numbers[12] != 0;
    locking->only_existing = fields->numbers[13] != 0;
    locking->is_force = fields->numbers[14] == 1;
}

static bool
read_mutation(struct tk_locking *locking, tikv_slice bytes,
              struct tk_lock_key *one)
{
    struct tk_cl_fields fields;

    memset(one, 0, sizeof(*one));
    if (!tk_cl_decode(bytes, &fields) ||
        (fields.numbers[1] != OP_LOCK &&
         fields.numbers[1] != OP_SHARED_LOCK)) {
        return refuse(locking, "operation does not belong in a lock request");
    }
    one->key = fields.bytes[2];
    one->is_shared = fields.numbers[1] == OP_SHARED_LOCK;
    if (one->is_shared &&
        (locking->is_force ||
         tk_slice_equal(one->key, locking->txn.request->fields.bytes[3]))) {
        return refuse(locking, "neither a primary nor by force is shared");
    }
    one->must_not_exist = fields.numbers[4] == ASSERT_NOT_EXIST;
    return tk_key_encoded_len(one->key.len) <= TK_CL_KEY_MAX ||
           refuse(locking, "KeyTooLarge");
}

/* What the request is; false: an error. */
static bool
check_request(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct tk_lock_key one;
    tikv_slice bytes;
    size_t at = 0;

    if (locking->is_force && request->fields.counts[2] > 1) {
        return refuse(locking, "force lock is for one key");
    }
    if (locking->only_existing && !locking->wants_values) {
        return refuse(locking, "LockIfExistsFailed: without return_values");
    }
    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (!read_mutation(locking, bytes, &one)) {
            return false;
        }
    }
    return true;
}

/* Where it belongs; false: answered. */
static bool
check_place(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct tk_lock_key one;
    tikv_slice bytes;
    size_t at = 0;

    if (!tk_cl_check_region(request)) {
        return false;
    }
    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (read_mutation(locking, bytes, &one) &&
            !tk_cl_txn_check_key(request, one.key)) {
            return false;
        }
    }
    return tk_cl_check_entry(request);
}

static void
lock_all(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct tk_lock_key one;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (!read_mutation(locking, bytes, &one) ||
            !tk_cl_lock_key(locking, &one)) {
            return;
        }
    }
    tk_put_packed(request->out, 6,
                  (const uint64_t *)(const void *)locking->missing.data,
                  locking->missing.len / sizeof(uint64_t));
}

/* True when it waits from now on. */
static bool
park(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct tk_key_error *error = &locking->txn.error;
    const struct tk_cl_wait wait = { .key = error->key,
                                     .lock = error->lock,
                                     .start_ts = locking->txn.start_ts,
                                     .timeout_ms = locking->wait_ms,
                                     .is_force = locking->is_force,
                                     .is_first = locking->is_first,
                                     .is_shared = locking->waits_to_join };

    if (locking->txn.batch.failed || locking->wait_ms < 0 ||
        locking->is_final) {
        return false;
    }
    if (!tk_cl_wait_enter(request, &wait, error)) {
        locking->txn.batch.failed = error->kind == TK_KE_NONE;
        return false;
    }
    tk_mvcc_drop(&locking->txn.batch);
    tk_buf_cut(request->out, request->out_start,
               request->out->len - request->out_start);
    return true;
}

static void
put_failed(struct tk_cl_request *request)
{
    size_t mark = tk_put_begin(request->out, 8);

    tk_put_u64(request->out, 1, RESULT_FAILED);
    tk_put_end(request->out, mark);
}

static int
end(struct tk_locking *locking)
{
    bool is_failed =
        locking->is_force && locking->txn.error.kind != TK_KE_NONE;
    int status = tk_cl_txn_end(&locking->txn, EXEC);

    if (is_failed && status == TK_GRPC_OK) {
        put_failed(locking->txn.request);
    }
    return status;
}

/* The error, and what it leaves behind. */
static int
end_shrunk(struct tk_locking *locking)
{
    struct tk_cl_txn *txn = &locking->txn;

    if (txn->batch.failed) {
        return end(locking);
    }
    (void)tk_cl_txn_fail(txn->request, &txn->error);
    txn->error.kind = TK_KE_NONE;
    return tk_cl_txn_end(txn, EXEC);
}

static int
run(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;

    if (!check_request(locking)) {
        return end(locking);
    }
    if (!check_place(locking)) {
        tk_mvcc_drop(&locking->txn.batch);
        return TK_GRPC_OK;
    }
    locking->names = tk_mvcc_names_new(request->fields.bytes[3], NULL, 0);
    if (locking->names == NULL) {
        locking->txn.batch.failed = true;
        return end(locking);
    }
    lock_all(locking);
    if (locking->txn.error.kind == TK_KE_LOCKED && park(locking)) {
        return TK_CL_PARKED;
    }
    return locking->is_shrunk ? end_shrunk(locking) : end(locking);
}

/* ---- requests that have waited ---- */

static int
answer_waiter(struct tk_locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    const struct tk_cl_waiter *waiter = request->waiter;
    struct tk_key_error *error = &locking->txn.error;
    const struct tk_mvcc_node *node;
    tikv_slice key = waiter->key;
    int64_t passed;

    if (waiter->state == TK_WOKEN) {
        *error = (struct tk_key_error){
            .kind = TK_KE_CONFLICT,
            .reason = TK_CONFLICT_PESSIMISTIC_RETRY,
            .key = key,
            .primary = request->fields.bytes[3],
            .start_ts = locking->txn.start_ts,
            .conflict_ts = waiter->released_start,
            .commit_ts = waiter->released_commit
        };
        return end(locking);
    }
    node = tk_mvcc_find(locking->txn.mvcc, key);
    tk_key_error_locked(error, key,
                        node != NULL && node->lock != NULL ? node->lock
                                                           : waiter->lock);
    if (waiter->changed != 0) {
        passed = tk_now(request->cluster->rt) - waiter->changed;
        error->duration_ms = passed < TK_MS ? 1 : (uint64_t)(passed / TK_MS);
    }
    return end(locking);
}

int
tk_cl_txn_lock(struct tk_cl_request *request)
{
    struct tk_locking locking = { .is_first = false };
    bool has_waited =
        request->waiter != NULL && (request->waiter->state == TK_WAITING ||
                                    request->waiter->state == TK_WOKEN);
    int status = TK_GRPC_OK;

    tk_cl_txn_begin(&locking.txn, request, request->fields.numbers[4]);
    tk_buf_init(&locking.missing, SIZE_MAX / 4);
    read_request(&locking);
    if (has_waited) {
        status = answer_waiter(&locking);
    } else if (tk_cl_txn_admit(request, true)) {
        status = run(&locking);
    }
    if (status != TK_CL_PARKED) {
        tk_cl_wait_forget(request);
    }
    tk_buf_fini(&locking.missing);
    tk_mvcc_names_unref(locking.names);
    return status;
}
