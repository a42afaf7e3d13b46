/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PessimisticLock: of many keys, all or none; or of one key even though it
 * has a newer version (force lock). A request that meets the lock of another
 * waits, txn_wait.c, and comes here again.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/txn.h"
#include "wire/key.h"

enum {
    OP_LOCK = 5,
    OP_SHARED_LOCK = 8,
    ASSERT_NOT_EXIST = 2,
    RESULT_FAILED = 2,
    EXEC = 7
};

struct locking {
    struct tk_cl_txn txn;
    uint64_t for_update_ts;
    uint64_t ttl;
    uint64_t min_commit_ts;
    int64_t wait_ms; /* below 0: not at all */
    bool is_first;
    bool wants_values;
    bool wants_existence;
    bool only_existing;
    bool is_force;
    bool is_final;      /* met a lock that is not waited for */
    bool is_shrunk;     /* and has closed it */
    bool waits_to_join; /* met a lock that it would share */
    struct tk_mvcc_names *names;
    struct tk_buf missing; /* uint64_t each */
};

/* One key on its way. */
struct one {
    tikv_slice key;
    bool must_not_exist;
    bool is_shared;
    uint64_t for_update_ts;
    uint64_t conflict_ts; /* locked over this version */
    const struct tk_mvcc_version *found;
};

static bool
conflict(struct locking *locking, const struct one *one,
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
refuse(struct locking *locking, const char *text)
{
    tk_key_error_abort(&locking->txn.error, text);
    return false;
}

static bool
exists(struct locking *locking, const struct one *one)
{
    locking->txn.error =
        (struct tk_key_error){ .kind = TK_KE_EXISTS,
                               .key = one->key,
                               .conflict_ts = one->found->start_ts };
    return false;
}

/* The own lock is there: raised, or left. */
static bool
lock_again(struct locking *locking, struct one *one,
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
check_newest(struct locking *locking, struct one *one,
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
write_lock(struct locking *locking, const struct one *one)
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
put_one(struct locking *locking, const struct one *one)
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
meet(struct locking *locking, const struct one *one,
     const struct tk_mvcc_lock *lock)
{
    tk_key_error_locked(&locking->txn.error, one->key, lock);
    locking->waits_to_join = one->is_shared;
    return false;
}

/* The first who wants the key alone only makes sure that nobody joins those
 * who share it any more; a request that has waited does not even that. */
static bool
meet_shared(struct locking *locking, const struct one *one,
            struct tk_mvcc_node *node)
{
    struct tk_cl_txn *txn = &locking->txn;

    locking->is_shrunk =
        !node->lock->is_shrinking && txn->request->waiter == NULL;
    locking->is_final = locking->is_shrunk || txn->request->waiter != NULL;
    if (locking->is_shrunk) {
        tk_mvcc_drop(&txn->batch);
        tk_mvcc_shrink(&txn->batch, node);
    }
    return meet(locking, one, node->lock);
}

/* Only a larger for_update_ts changes a part. */
static void
share_again(struct locking *locking, const struct one *one,
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
lock_new(struct locking *locking, struct one *one,
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
share_one(struct locking *locking, struct one *one,
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

static bool
lock_one(struct locking *locking, struct one *one)
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

/* ---- the request ---- */

static void
read_request(struct locking *locking)
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
read_mutation(struct locking *locking, tikv_slice bytes, struct one *one)
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
check_request(struct locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct one one;
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
check_place(struct locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct one one;
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
lock_all(struct locking *locking)
{
    struct tk_cl_request *request = locking->txn.request;
    struct one one;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (!read_mutation(locking, bytes, &one) ||
            !lock_one(locking, &one)) {
            return;
        }
    }
    tk_put_packed(request->out, 6,
                  (const uint64_t *)(const void *)locking->missing.data,
                  locking->missing.len / sizeof(uint64_t));
}

/* True when it waits from now on. */
static bool
park(struct locking *locking)
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
end(struct locking *locking)
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
end_shrunk(struct locking *locking)
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
run(struct locking *locking)
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
answer_waiter(struct locking *locking)
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
    struct locking locking = { .is_first = false };
    bool has_waited =
        request->waiter != NULL && request->waiter->state != TK_RESUMED;
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
