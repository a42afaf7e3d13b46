/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prewrite of one key: the lock that may be there, newer versions, the
 * assertion, then the lock that is written. The order decides which error a
 * client sees, and is TiKV's.
 */
#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/txn_prewrite.h"

struct step {
    struct tk_prewrite *prewrite;
    const struct tk_prewrite_mutation *mutation;
    struct tk_mvcc_node *node; /* NULL: nothing under the key yet */
    const struct tk_mvcc_version *previous;
    bool has_previous; /* it has been looked for */
    bool is_amended;
    bool is_flushed; /* over an own lock of an earlier flush */
    bool is_done;    /* nothing is written */
    bool must_not_exist;
    uint64_t ts; /* when done */
    uint64_t ttl;
    uint64_t for_update_ts;
    uint64_t min_commit_ts;
};

static bool
is_shared(const struct step *step)
{
    return step->mutation->op == TK_OP_SHARED_LOCK;
}

static bool
fail(struct step *step, enum tk_key_error_kind kind)
{
    step->prewrite->txn.error =
        (struct tk_key_error){ .kind = kind,
                               .key = step->mutation->key,
                               .start_ts = step->prewrite->txn.start_ts };
    return false;
}

static bool
abort_step(struct step *step, const char *text)
{
    tk_key_error_abort(&step->prewrite->txn.error, text);
    return false;
}

static bool
conflict(struct step *step, const struct tk_mvcc_version *version,
         enum tk_conflict_reason reason)
{
    struct tk_prewrite *prewrite = step->prewrite;

    prewrite->txn.error =
        (struct tk_key_error){ .kind = TK_KE_CONFLICT,
                               .reason = reason,
                               .key = step->mutation->key,
                               .primary = prewrite->names->primary,
                               .start_ts = prewrite->txn.start_ts,
                               .conflict_ts = version->start_ts,
                               .commit_ts = version->commit_ts };
    return false;
}

/* ---- the lock that is there ---- */

static bool
amend(struct step *step)
{
    const struct tk_mvcc_version *newest =
        tk_mvcc_seek(step->node, TK_TS_MAX);

    if (newest != NULL &&
        newest->commit_ts >= step->prewrite->txn.start_ts) {
        return fail(step, TK_KE_UNHELD);
    }
    step->is_amended = true;
    step->previous = newest;
    step->has_previous = true;
    return true;
}

static bool
meet_other(struct step *step, const struct tk_mvcc_lock *lock)
{
    struct tk_prewrite *prewrite = step->prewrite;

    if (prewrite->is_pessimistic && lock->type != TK_MVCC_SHARED &&
        step->mutation->action == TK_ACTION_PESSIMISTIC) {
        return fail(step, TK_KE_UNHELD);
    }
    tk_key_error_locked(&prewrite->txn.error, step->mutation->key, lock);
    prewrite->txn.error.hide_ttl = prewrite->is_pessimistic;
    return false;
}

static bool
meet_pessimistic(struct step *step, const struct tk_mvcc_lock *lock)
{
    const struct tk_prewrite_mutation *mutation = step->mutation;

    if (!step->prewrite->is_pessimistic) {
        return abort_step(step, "LockTypeNotMatch: a pessimistic lock");
    }
    if (mutation->has_expected &&
        mutation->expected_ts != lock->for_update_ts) {
        return fail(step, TK_KE_UNHELD);
    }
    step->ttl = tk_ts_max(step->ttl, lock->ttl);
    step->min_commit_ts = tk_ts_max(step->min_commit_ts, lock->min_commit_ts);
    step->for_update_ts = tk_ts_max(step->for_update_ts, lock->for_update_ts);
    return true;
}

static bool
meet_own(struct step *step, const struct tk_mvcc_lock *lock)
{
    uint64_t generation = step->prewrite->generation;

    if (lock->type == TK_MVCC_PESSIMISTIC) {
        return meet_pessimistic(step, lock);
    }
    if (generation == 0) {
        step->is_done = true;
        step->ts = lock->is_async ? lock->min_commit_ts : 0;
        return true;
    }
    if (lock->generation >= generation) {
        step->is_done = true;
        return true;
    }
    if (lock->generation > 0 && step->must_not_exist &&
        lock->type == TK_MVCC_PUT) {
        (void)fail(step, TK_KE_EXISTS);
        step->prewrite->txn.error.conflict_ts = lock->start_ts;
        return false;
    }
    step->is_flushed = true;
    return true;
}

/* A shared lock is never amended: only who holds a part can go on. */
static bool
meet_as_shared(struct step *step, const struct tk_mvcc_lock *lock,
               bool is_held)
{
    struct tk_prewrite *prewrite = step->prewrite;
    const struct tk_mvcc_lock *part;

    if (lock == NULL) {
        return is_held ? fail(step, TK_KE_UNHELD)
                       : abort_step(step, "a shared lock must be held");
    }
    if (lock->type != TK_MVCC_SHARED) {
        tk_key_error_locked(&prewrite->txn.error, step->mutation->key, lock);
        return false;
    }
    part = tk_mvcc_part(lock, prewrite->txn.start_ts);
    return part == NULL ? fail(step, TK_KE_UNHELD) : meet_own(step, part);
}

static bool
meet_lock(struct step *step)
{
    const struct tk_prewrite *prewrite = step->prewrite;
    const struct tk_mvcc_lock *lock =
        step->node == NULL ? NULL : step->node->lock;
    bool is_held = prewrite->is_pessimistic &&
                   step->mutation->action == TK_ACTION_PESSIMISTIC;

    if (is_shared(step)) {
        return meet_as_shared(step, lock, is_held);
    }
    if (lock == NULL) {
        return is_held ? amend(step) : true;
    }
    if (lock->type == TK_MVCC_SHARED &&
        tk_mvcc_part(lock, prewrite->txn.start_ts) != NULL) {
        return abort_step(step, "the key is held by a SharedLock");
    }
    return lock->start_ts == prewrite->txn.start_ts ? meet_own(step, lock)
                                                    : meet_other(step, lock);
}

/* ---- what is newer ---- */

static bool
check_data(struct step *step, const struct tk_mvcc_version *version)
{
    const struct tk_mvcc_version *put;

    if (!step->must_not_exist) {
        return true;
    }
    put = tk_mvcc_existing(step->node, version,
                           step->prewrite->txn.start_ts);
    if (put == NULL) {
        return true;
    }
    (void)fail(step, TK_KE_EXISTS);
    step->prewrite->txn.error.conflict_ts = put->start_ts;
    return false;
}

/* What the newest version means, if anything. */
static bool
check_one_newer(struct step *step, const struct tk_mvcc_version *version,
                bool *is_passed)
{
    const struct tk_prewrite *prewrite = step->prewrite;
    uint64_t start_ts = prewrite->txn.start_ts;
    bool is_newer = version->commit_ts > start_ts;

    if (version->commit_ts == start_ts &&
        (version->type == TK_MVCC_ROLLBACK || version->is_overlapped)) {
        return conflict(step, version, TK_CONFLICT_SELF_ROLLED_BACK);
    }
    if (!prewrite->is_pessimistic) {
        return is_newer ? conflict(step, version, TK_CONFLICT_OPTIMISTIC)
                        : true;
    }
    if (step->mutation->action == TK_ACTION_CONSTRAINT) {
        return is_newer
                   ? conflict(step, version, TK_CONFLICT_LAZY_UNIQUENESS)
                   : true;
    }
    if (version->commit_ts > step->for_update_ts) {
        *is_passed = version->type == TK_MVCC_ROLLBACK;
        return *is_passed ? true : fail(step, TK_KE_UNHELD);
    }
    return true;
}

static bool
check_newer(struct step *step)
{
    const struct tk_mvcc_version *version =
        tk_mvcc_seek(step->node, TK_TS_MAX);

    step->has_previous = true;
    while (version != NULL) {
        bool is_passed = false;

        if (!check_one_newer(step, version, &is_passed)) {
            return false;
        }
        if (!is_passed) {
            break;
        }
        version = tk_mvcc_older(step->node, version);
    }
    step->previous = version;
    return version == NULL || check_data(step, version);
}

static bool
skips_check(const struct step *step)
{
    const struct tk_prewrite *prewrite = step->prewrite;

    if (!prewrite->is_pessimistic) {
        return prewrite->skip_check;
    }
    if (step->mutation->action == TK_ACTION_CONSTRAINT) {
        return false;
    }
    return step->mutation->action == TK_ACTION_PESSIMISTIC ||
           !prewrite->is_retry;
}

/* ---- assertion ---- */

/* The data that the version stands for; NULL: none, or deleted. */
static const struct tk_mvcc_version *
data_of(const struct step *step)
{
    const struct tk_mvcc_version *version = step->previous;

    while (version != NULL) {
        if (version->has_fence && version->fence != 0) {
            return NULL;
        }
        if (version->type == TK_MVCC_PUT || version->type == TK_MVCC_DELETE) {
            return version;
        }
        version = tk_mvcc_older(step->node, version);
    }
    return NULL;
}

static bool
check_assertion(struct step *step, bool was_skipped)
{
    struct tk_prewrite *prewrite = step->prewrite;
    const struct tk_mvcc_version *data;
    uint64_t assertion = step->mutation->assertion;
    bool exists;

    if (prewrite->assertions == TK_ASSERTIONS_OFF ||
        assertion == TK_ASSERT_NONE || step->is_flushed ||
        (!step->has_previous &&
         prewrite->assertions != TK_ASSERTIONS_STRICT)) {
        return true;
    }
    if (!step->has_previous) {
        step->previous = tk_mvcc_seek(step->node, TK_TS_MAX);
    }
    data = data_of(step);
    exists = data != NULL && data->type == TK_MVCC_PUT;
    if (exists == (assertion == TK_ASSERT_EXIST)) {
        return true;
    }
    if (was_skipped && !check_newer(step)) {
        return false;
    }
    (void)fail(step, TK_KE_ASSERTION);
    prewrite->txn.error.assertion = assertion;
    prewrite->txn.error.conflict_ts = data == NULL ? 0 : data->start_ts;
    prewrite->txn.error.commit_ts = data == NULL ? 0 : data->commit_ts;
    return false;
}

/* ---- the lock that is written ---- */

static uint8_t
type_of(uint64_t op)
{
    switch (op) {
    case TK_OP_DELETE:
        return TK_MVCC_DELETE;
    case TK_OP_LOCK:
    case TK_OP_SHARED_LOCK:
        return TK_MVCC_LOCK;
    default:
        return TK_MVCC_PUT;
    }
}

static struct tk_mvcc_lock *
make_lock(struct step *step)
{
    struct tk_prewrite *prewrite = step->prewrite;
    struct tk_mvcc_lock *lock = tk_calloc(sizeof(*lock));
    struct tk_mvcc_names *names = prewrite->names;

    if (lock == NULL) {
        return NULL;
    }
    if (prewrite->members != NULL && prewrite->kind != TK_PREWRITE_2PC) {
        lock->is_async = true;
        if (tk_slice_equal(step->mutation->key, names->primary)) {
            names = prewrite->members;
        }
    }
    lock->type = type_of(step->mutation->op);
    lock->start_ts = prewrite->txn.start_ts;
    lock->ttl = step->ttl;
    lock->for_update_ts = step->for_update_ts;
    lock->txn_size = prewrite->txn_size;
    lock->min_commit_ts = step->min_commit_ts;
    lock->generation = prewrite->generation;
    lock->txn_source = prewrite->txn.request->context.txn_source;
    lock->names = tk_mvcc_names_ref(names);
    if (lock->type == TK_MVCC_LOCK) {
        tk_mvcc_note_change(lock, step->node);
    }
    if (lock->type == TK_MVCC_PUT) {
        lock->value = tk_mvcc_value_new(step->mutation->value);
        if (lock->value == NULL) {
            tk_mvcc_lock_free(lock);
            return NULL;
        }
    }
    return lock;
}

/* A rule wants the nth key to come too late. */
static bool
must_fall_back(const struct step *step)
{
    const struct tk_prewrite *prewrite = step->prewrite;
    const struct tk_cl_request *request = prewrite->txn.request;

    return tk_cl_is_twisted(request, TK_TWIST_FALLBACK) &&
           (uint64_t)(step->mutation - prewrite->mutations) + 1 ==
               request->plan->number;
}

/* Nobody has read, and nobody will, what the transaction may be committed
 * at from here on. False: that would be too late. */
static bool
set_min_commit_ts(struct step *step, struct tk_mvcc_lock *lock)
{
    const struct tk_prewrite *prewrite = step->prewrite;
    const struct tk_cl_store *store = prewrite->txn.request->store;
    const struct tk_mvcc_lock *shown;
    uint64_t ts = tk_ts_max(store->max_ts, lock->start_ts);

    ts = tk_ts_max(ts, lock->for_update_ts) + 1;
    ts = tk_ts_max(ts, lock->min_commit_ts);
    shown = tk_cl_memory_lock(store, step->mutation->key, lock->start_ts);
    if (shown != NULL) {
        ts = shown->min_commit_ts; /* it has been stopped meanwhile */
    }
    if ((prewrite->max_commit_ts != 0 && ts > prewrite->max_commit_ts) ||
        must_fall_back(step)) {
        if (lock->is_async) {
            tk_mvcc_names_unref(lock->names);
            lock->names = tk_mvcc_names_ref(prewrite->names);
            lock->is_async = false;
        }
        return false;
    }
    lock->min_commit_ts = ts;
    step->ts = ts;
    return true;
}

static enum tk_key_error_kind
write_lock(struct step *step)
{
    struct tk_prewrite *prewrite = step->prewrite;
    struct tk_mvcc_lock *lock = make_lock(step);
    bool fits = true;

    step->node =
        tk_mvcc_batch_node(&prewrite->txn.batch, step->mutation->key);
    if (lock != NULL && prewrite->kind != TK_PREWRITE_2PC) {
        fits = set_min_commit_ts(step, lock);
    }
    if (fits && lock != NULL && step->node != NULL &&
        prewrite->kind == TK_PREWRITE_1PC) {
        lock->is_one_pc = true;
        prewrite->held[prewrite->held_count++] =
            (struct tk_prewrite_held){ step->node, lock };
    } else if (is_shared(step)) {
        tk_mvcc_set_part(&prewrite->txn.batch, step->node, lock);
    } else {
        tk_mvcc_set_lock(&prewrite->txn.batch, step->node, lock);
    }
    return fits ? TK_KE_NONE : TK_KE_TOO_LARGE;
}

static bool
check_shared(struct step *step)
{
    const struct tk_prewrite *prewrite = step->prewrite;

    if (prewrite->kind != TK_PREWRITE_2PC || prewrite->generation > 0) {
        return abort_step(step, "SharedLock in this kind of commit");
    }
    return !tk_slice_equal(step->mutation->key, prewrite->names->primary) ||
           abort_step(step, "a primary cannot be shared");
}

static bool
check_op(struct step *step)
{
    switch (step->mutation->op) {
    case TK_OP_PUT:
    case TK_OP_DELETE:
    case TK_OP_LOCK:
        return true;
    case TK_OP_INSERT:
        step->must_not_exist = true;
        return true;
    case TK_OP_CHECK_NOT_EXISTS:
        step->must_not_exist = true;
        return step->prewrite->is_pessimistic
                   ? abort_step(step, "CheckNotExists in a pessimistic txn")
                   : true;
    case TK_OP_SHARED_LOCK:
        return check_shared(step);
    default:
        return abort_step(step, "operation does not belong in a prewrite");
    }
}

enum tk_key_error_kind
tk_cl_prewrite_one(struct tk_prewrite *prewrite,
                   const struct tk_prewrite_mutation *mutation, uint64_t *ts)
{
    struct step step = { .prewrite = prewrite,
                         .mutation = mutation,
                         .ttl = prewrite->ttl,
                         .for_update_ts = prewrite->for_update_ts,
                         .min_commit_ts = prewrite->min_commit_ts };
    struct tk_cl_txn *txn = &prewrite->txn;
    enum tk_key_error_kind kind = TK_KE_NONE;
    bool skips = skips_check(&step);

    if (!check_op(&step)) {
        return txn->error.kind;
    }
    if (step.must_not_exist && txn->start_ts != TK_TS_MAX) {
        txn->request->store->max_ts =
            tk_ts_max(txn->request->store->max_ts, txn->start_ts);
    }
    step.node = tk_mvcc_find(txn->mvcc, mutation->key);
    if (!meet_lock(&step) || (!step.is_done && !skips && !check_newer(&step)) ||
        (!step.is_done && !check_assertion(&step, skips && !step.is_amended))) {
        return txn->error.kind;
    }
    if (!step.is_done && mutation->op == TK_OP_CHECK_NOT_EXISTS) {
        step.ts = prewrite->kind == TK_PREWRITE_2PC
                      ? 0
                      : tk_ts_max(prewrite->min_commit_ts, txn->start_ts + 1);
    } else if (!step.is_done) {
        kind = write_lock(&step);
    }
    *ts = step.ts;
    return kind;
}
