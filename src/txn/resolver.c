/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks in hand: sorted by transaction, each transaction's status asked once,
 * the action looked up (resolve_rule.h) and done. Locks of one transaction
 * that go away together become one cleaning, which a writer waits for and a
 * reader leaves behind.
 *
 * No state of its own; the caller's thread.
 */
#include "txn/resolver.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/resolver_inner.h"

/* Transactions below are cleaned key by key: their locks are few, and looking
 * for them in whole regions would cost TiKV more. */
#define SMALL_TXN_SIZE 512

/* A lock that was refreshed so lately is alive: its status need not be asked
 * (lesson 36). */
#define FRESH_MS 300

struct tk_resolver *
tk_resolver_new(struct tk_txn_client *client)
{
    struct tk_resolver *resolver = tk_calloc(sizeof(*resolver));

    if (resolver == NULL) {
        return NULL;
    }
    resolver->client = client;
    tk_mutex_init(&resolver->lock, TK_RANK_LEAF);
    tk_clean_init(resolver);
    if (!tk_status_cache_init(&resolver->cache)) {
        tk_resolver_free(resolver);
        return NULL;
    }
    return resolver;
}

void
tk_resolver_free(struct tk_resolver *resolver)
{
    if (resolver == NULL) {
        return;
    }
    tk_clean_fini(resolver);
    tk_status_cache_fini(&resolver->cache);
    tk_mutex_fini(&resolver->lock);
    tk_free(resolver);
}

void
tk_resolver_learn(struct tk_resolver *resolver, uint64_t start_ts,
                  const struct tk_txn_fate *fate)
{
    if (fate->state == TK_TXN_COMMITTED || fate->state == TK_TXN_ROLLED_BACK) {
        tikv_error_free(tk_status_save(
            resolver, start_ts,
            fate->state == TK_TXN_COMMITTED ? fate->commit_ts : 0));
    }
}

/* ---- jobs and pauses ---- */

void
tk_resolver_job(struct tk_resolver *resolver, struct tk_job *job,
                const struct tk_job_ops *ops, enum tk_command command,
                const struct tk_backoff *backoff)
{
    (void)resolver;
    memset(job, 0, sizeof(*job));
    job->ops = ops;
    job->command = command;
    job->budget_ms = backoff->budget_ms;
    job->history = backoff;
    job->is_repeatable = true;
}

tikv_error *
tk_resolver_drive(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_job *job, struct tk_backoff *backoff)
{
    tikv_error *error = tk_drive(&resolver->client->router, op, job, NULL);

    tk_backoff_carry(backoff, &job->backoff);
    return error;
}

tikv_error *
tk_resolver_pause(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_backoff *backoff, enum tk_backoff_kind kind,
                  int64_t ceiling_ms, const char *why)
{
    struct tk_runtime *rt = resolver->client->router.rt;
    int64_t ms =
        tk_backoff_next(backoff, kind, ceiling_ms, rt->ops->random(rt));

    if (ms < 0) {
        return tk_backoff_exceeded(backoff,
                                   tk_error(TIKV_ERR_LOCK_WAIT, "%s", why));
    }
    return tk_op_pause(op, kind, ms * TK_MS);
}

tikv_error *
tk_resolver_wait(struct tk_resolver *resolver, struct tk_op *op,
                 struct tk_resolve *resolve, enum tk_backoff_kind kind)
{
    struct tk_hold_up hold_up;
    tikv_error *error;

    tk_resolver_count(resolver, TK_RESOLVER_WAITS, 1);
    tk_hold_up_enter(resolver, &hold_up, resolve);
    error = tk_resolver_pause(resolver, op, resolve->backoff, kind,
                              resolve->wait_ms, "a lock is in the way");
    tk_hold_up_leave(resolver, &hold_up);
    return error;
}

/* ---- one call ---- */

/* Locks of one transaction that are alike: see compare_locks(). */
struct group {
    const struct tk_lock *const *locks;
    size_t count;
};

struct round {
    struct tk_resolver *resolver;
    struct tk_op *op;
    struct tk_resolve *resolve;
    tikv_slice *keys; /* room for those of one group */
};

static int
compare_locks(const void *a, const void *b)
{
    const struct tk_lock *left = *(const struct tk_lock *const *)a;
    const struct tk_lock *right = *(const struct tk_lock *const *)b;
    int order =
        (left->start_ts > right->start_ts) - (left->start_ts < right->start_ts);

    if (order == 0) {
        order = (int)tk_lock_is_pessimistic(left) -
                (int)tk_lock_is_pessimistic(right);
    }
    if (order == 0) {
        order = (int)left->is_txn_file - (int)right->is_txn_file;
    }
    return order != 0 ? order : tk_slice_compare(left->primary, right->primary);
}

/* The key of the lock, and all that compare_locks() does not look at. */
static bool
is_alike(const struct tk_lock *a, const struct tk_lock *b)
{
    return compare_locks(&a, &b) == 0;
}

static void
shorten(struct tk_resolve *resolve, int64_t ms)
{
    if (resolve->wait_ms == 0 || ms < resolve->wait_ms) {
        resolve->wait_ms = ms;
    }
}

static void
wait_for(struct round *round, const struct tk_lock *lock, uint64_t ttl_ms)
{
    tk_resolver_count(round->resolver, TK_RESOLVER_ALIVE, 1);
    shorten(round->resolve,
            tk_status_left_ms(round->resolver, lock->start_ts, ttl_ms));
}

/* A reader need not look at the transaction's locks any more. */
static tikv_error *
pass(struct round *round, uint64_t start_ts, uint64_t commit_ts)
{
    struct tk_resolve *resolve = round->resolve;
    bool reads = commit_ts != 0 && commit_ts <= resolve->caller_start_ts;
    struct tk_ts_set *set = reads ? resolve->access : resolve->bypass;

    return set == NULL || tk_ts_set_add(set, start_ts)
               ? NULL
               : tk_error_immortal(TIKV_ERR_MEMORY);
}

static size_t
group_keys(const struct round *round, const struct group *group, bool primary)
{
    size_t count = 0;
    size_t i;

    for (i = 0; i < group->count; i++) {
        const struct tk_lock *lock = group->locks[i];

        if (primary || !tk_slice_equal(lock->key, lock->primary)) {
            round->keys[count++] = lock->key;
        }
    }
    return tk_keys_sort(round->keys, count);
}

static bool
is_large(const struct group *group)
{
    size_t i;

    for (i = 0; i < group->count; i++) {
        uint64_t size = group->locks[i]->txn_size;

        /* Unknown is large (lesson 40). */
        if (size == 0 || size >= SMALL_TXN_SIZE) {
            return true;
        }
    }
    return false;
}

static tikv_error *
do_clean(struct round *round, const struct tk_cleaning *cleaning)
{
    if (round->resolve->for_read && !round->resolve->waits_for_cleaning) {
        tk_clean_later(round->resolver, round->op->call, cleaning);
        return NULL;
    }
    return tk_clean(round->resolver, round->op, round->resolve->backoff,
                    cleaning);
}

/* The transaction is decided: its locks become writes, or go. */
static tikv_error *
settle(struct round *round, const struct group *group,
       const struct tk_txn_status *status)
{
    const struct tk_lock *lock = group->locks[0];
    bool by_keys = round->resolve->is_lite || !is_large(group);
    struct tk_cleaning cleaning = {
        .how = by_keys ? TK_CLEAN_KEYS : TK_CLEAN_REGION,
        .start_ts = lock->start_ts,
        .commit_ts = status->commit_ts,
        .is_txn_file = lock->is_txn_file,
        .keys = round->keys,
        .count = group_keys(round, group, true),
    };
    tikv_error *error = pass(round, lock->start_ts, status->commit_ts);

    tk_resolver_count(round->resolver, TK_RESOLVER_ENDED, group->count);
    if (status->keys_count != 0) {
        /* Recovered just now: these are all of them. */
        cleaning.how = TK_CLEAN_KEYS;
        cleaning.keys = status->keys;
        cleaning.count = status->keys_count;
    }
    return error != NULL ? error : do_clean(round, &cleaning);
}

/* Pessimistic locks keep nobody from reading and their removal leaves no
 * trace, so it is done now. The primary's went with the status. */
static tikv_error *
unlock(struct round *round, const struct group *group, bool is_leftover)
{
    const struct tk_lock *lock = group->locks[0];
    bool by_keys = is_leftover || !round->resolve->whole_region;
    struct tk_cleaning cleaning = {
        .how = by_keys ? TK_CLEAN_UNLOCK : TK_CLEAN_UNLOCK_REGION,
        .start_ts = lock->start_ts,
        .keys = round->keys,
        .count = group_keys(round, group, is_leftover),
    };
    size_t i;

    for (i = 0; i < group->count; i++) {
        if (group->locks[i]->for_update_ts > cleaning.for_update_ts) {
            cleaning.for_update_ts = group->locks[i]->for_update_ts;
        }
    }
    return tk_clean(round->resolver, round->op, round->resolve->backoff,
                    &cleaning);
}

static tikv_error *
refuse(const struct tk_lock *lock)
{
    tikv_error *error =
        tk_error(TIKV_ERR_SERVER,
                 "a lock of transaction %llu names a primary that is none",
                 (unsigned long long)lock->start_ts);

    tk_error_set_u64(error, TIKV_ERROR_LOCK_TS, lock->start_ts);
    tk_error_set_key(error, lock->key);
    tk_error_set_bytes(error, TIKV_ERROR_PRIMARY, lock->primary);
    return error;
}

static tikv_error *
act(struct round *round, const struct group *group,
    const struct tk_txn_status *status)
{
    const struct tk_lock *lock = group->locks[0];

    switch (tk_action_of(status->fate, tk_lock_is_pessimistic(lock),
                         round->resolve->for_read)) {
    case TK_ACT_PASS:
        return pass(round, lock->start_ts, 0);
    case TK_ACT_COMMIT:
    case TK_ACT_ROLL_BACK:
        return settle(round, group, status);
    case TK_ACT_UNLOCK:
        return unlock(round, group, false);
    case TK_ACT_UNLOCK_KEY:
        return unlock(round, group, true);
    case TK_ACT_REFUSE:
        return refuse(lock);
    case TK_ACT_WAIT:
    case TK_ACT_RECOVER:
    default:
        wait_for(round, lock, status->ttl_ms);
        return NULL;
    }
}

/* Asks, and lets secondaries decide where it is up to them. */
static tikv_error *
find_status(struct round *round, const struct tk_lock *lock,
            struct tk_txn_status *status)
{
    struct tk_resolve *resolve = round->resolve;
    bool is_sync = false;
    tikv_error *error;

    do {
        error =
            tk_status_of_lock(round->resolver, round->op, resolve->backoff,
                              lock, resolve->caller_start_ts, is_sync, status);
        if (error != NULL || status->fate != TK_FATE_ASYNC_EXPIRED) {
            return error;
        }
        error = tk_async_recover(round->resolver, round->op, resolve->backoff,
                                 lock->start_ts, status, &is_sync);
    } while (error == NULL && is_sync);
    return error;
}

static tikv_error *
own_lock(const struct tk_lock *lock)
{
    tikv_error *error =
        tk_error(TIKV_ERR_ABORTED,
                 "a lock of this very transaction is in its way: others took "
                 "the transaction apart");

    tk_error_set_u64(error, TIKV_ERROR_START_TS, lock->start_ts);
    tk_error_set_key(error, lock->key);
    return error;
}

/* A lock that its transaction renewed while the request waited. */
static bool
is_fresh(const struct tk_resolve *resolve, const struct tk_lock *lock)
{
    return !resolve->for_read && lock->last_update_ms != 0 &&
           lock->last_update_ms < FRESH_MS;
}

static tikv_error *
resolve_group(struct round *round, const struct group *group)
{
    const struct tk_lock *lock = group->locks[0];
    struct tk_txn_status status;
    tikv_error *error;

    if (lock->start_ts == round->resolve->caller_start_ts) {
        return own_lock(lock);
    }
    if (is_fresh(round->resolve, lock)) {
        wait_for(round, lock, lock->ttl_ms);
        return NULL;
    }
    tk_status_init(&status);
    error = find_status(round, lock, &status);
    if (error == NULL) {
        error = act(round, group, &status);
    }
    tk_status_fini(&status);
    return error;
}

static tikv_error *
resolve_sorted(struct round *round, const struct tk_lock *const *sorted,
               size_t count)
{
    tikv_error *error = NULL;
    size_t i = 0;

    while (i < count && error == NULL) {
        struct group group = { sorted + i, 1 };

        while (i + group.count < count &&
               is_alike(sorted[i], sorted[i + group.count])) {
            group.count++;
        }
        i += group.count;
        error = resolve_group(round, &group);
        if (error == NULL) {
            error = tk_op_check(round->op);
        }
    }
    return error;
}

tikv_error *
tk_resolver_resolve(struct tk_resolver *resolver, struct tk_op *op,
                    struct tk_resolve *resolve, const struct tk_lock_set *locks)
{
    struct round round = { resolver, op, resolve, NULL };
    const struct tk_lock **sorted = NULL;
    struct tk_hold_up hold_up;
    tikv_error *error;
    size_t i;

    resolve->wait_ms = 0;
    resolve->locks = locks;
    if (locks->count == 0) {
        return NULL;
    }
    tk_resolver_count(
        resolver, resolve->for_read ? TK_RESOLVER_READERS : TK_RESOLVER_WRITERS,
        1);
    tk_hold_up_enter(resolver, &hold_up, resolve);
    sorted = tk_alloc_array(locks->count, sizeof(*sorted));
    round.keys = tk_alloc_array(locks->count, sizeof(*round.keys));
    if (sorted == NULL || round.keys == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        for (i = 0; i < locks->count; i++) {
            sorted[i] = &locks->data[i];
        }
        qsort(sorted, locks->count, sizeof(*sorted), compare_locks);
        error = resolve_sorted(&round, sorted, locks->count);
    }
    tk_hold_up_leave(resolver, &hold_up);
    tk_free(sorted);
    tk_free(round.keys);
    return error;
}
