/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction by its name, and ending all of many: what tools, GC and a
 * committer in doubt ask for. The rules are those of resolver.c; only the
 * timestamp that TiKV judges by differs: none for a look, PD's for a
 * decision, the end of time for an end.
 *
 * No state of its own; the caller's thread.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

/* A timestamp to decide by may be so old, one to tell the time by too. */
#define RECENT_MS 100

static tikv_error *
judge_by(struct tk_resolver *resolver, struct tk_op *op, enum tk_ask how,
         uint64_t *current_ts)
{
    uint64_t recent;
    tikv_error *error =
        tk_txn_recent_timestamp(resolver->client, op, RECENT_MS, &recent);

    *current_ts = how == TK_ASK_LOOK     ? 0
                  : how == TK_ASK_DECIDE ? recent
                                         : UINT64_MAX;
    return error;
}

/* Until the answer is one that `how` can give. */
static tikv_error *
ask(struct tk_resolver *resolver, struct tk_op *op, struct tk_backoff *backoff,
    struct tk_question *question, enum tk_ask how, struct tk_txn_status *status)
{
    bool fell_back = false;
    tikv_error *error;

    do {
        question->is_sync = fell_back;
        error = tk_status_ask(resolver, op, backoff, question, status);
        if (error != NULL || how == TK_ASK_LOOK ||
            status->fate != TK_FATE_ASYNC_EXPIRED) {
            return error;
        }
        error = tk_async_recover(resolver, op, backoff, question->start_ts,
                                 status, &fell_back);
    } while (error == NULL && fell_back);
    if (error == NULL) {
        struct tk_cleaning cleaning = { .how = TK_CLEAN_KEYS,
                                        .start_ts = question->start_ts,
                                        .commit_ts = status->commit_ts,
                                        .keys = status->keys,
                                        .count = status->keys_count };

        tk_clean_later(resolver, op->call, &cleaning);
    }
    return error;
}

static void
tell(struct tk_resolver *resolver, uint64_t start_ts,
     const struct tk_txn_status *status, struct tk_txn_fate *out)
{
    switch (status->fate) {
    case TK_FATE_COMMITTED:
        out->state = TK_TXN_COMMITTED;
        out->commit_ts = status->commit_ts;
        break;
    case TK_FATE_ROLLED_BACK:
        out->state = TK_TXN_ROLLED_BACK;
        break;
    case TK_FATE_ALIVE:
    case TK_FATE_PUSHED:
    case TK_FATE_ASYNC:
    case TK_FATE_ASYNC_EXPIRED:
        out->state = TK_TXN_ALIVE;
        out->left_ms = (int64_t)(tk_ts_ms(start_ts) + status->ttl_ms) -
                       (int64_t)tk_txn_time_ms(resolver->client);
        break;
    case TK_FATE_NOT_BEGUN:
    case TK_FATE_OTHER_PRIMARY:
    case TK_FATE_MISSING:
    case TK_FATES:
    default:
        out->state = TK_TXN_UNKNOWN;
        break;
    }
}

tikv_error *
tk_resolver_ask(struct tk_resolver *resolver, struct tk_op *op,
                struct tk_backoff *backoff, uint64_t start_ts,
                tikv_slice primary, enum tk_ask how, struct tk_txn_fate *out)
{
    struct tk_question question = { .start_ts = start_ts,
                                    .primary = primary,
                                    .rolls_back = how != TK_ASK_LOOK };
    struct tk_txn_status status;
    tikv_error *error = judge_by(resolver, op, how, &question.current_ts);

    *out = (struct tk_txn_fate){ .state = TK_TXN_UNKNOWN };
    if (error != NULL) {
        return error;
    }
    tk_status_init(&status);
    error = ask(resolver, op, backoff, &question, how, &status);
    if (error == NULL) {
        tell(resolver, start_ts, &status, out);
    }
    tk_status_fini(&status);
    return error;
}

/* ---- many at once ---- */

struct ending {
    uint64_t start_ts;
    uint64_t commit_ts;
    bool is_txn_file;
};

struct batch {
    struct tk_job job; /* first */
    struct tk_resolver *resolver;
    struct tk_op *op;
    struct tk_backoff *backoff;
    struct ending *endings; /* by start ts */
    size_t endings_count;
    tikv_slice *keys; /* of what is to be resolved; later ascending */
    size_t count;
};

static tikv_slice
batch_key(struct tk_job *job, size_t item)
{
    return ((struct batch *)(void *)job)->keys[item];
}

static tikv_error *
batch_encode(struct tk_job *job, const struct tk_piece *piece,
             struct tk_arena *arena, tikv_slice *body)
{
    const struct batch *batch = (struct batch *)(void *)job;
    kvrpcpb_ResolveLockRequest *message =
        kvrpcpb_ResolveLockRequest_new(arena->upb);
    size_t i;

    (void)piece;
    for (i = 0; message != NULL && i < batch->endings_count; i++) {
        const struct ending *ending = &batch->endings[i];
        kvrpcpb_TxnInfo *info =
            kvrpcpb_ResolveLockRequest_add_txn_infos(message, arena->upb);

        if (info == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        kvrpcpb_TxnInfo_set_txn(info, ending->start_ts);
        kvrpcpb_TxnInfo_set_status(info, ending->commit_ts);
        kvrpcpb_TxnInfo_set_is_txn_file(info, ending->is_txn_file);
    }
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
batch_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    problem = kvrpcpb_ResolveLockResponse_error(message);
    if (problem != NULL) {
        error = tk_key_error(
            problem,
            &((struct batch *)(void *)job)->resolver->client->router.codec,
            job->command);
    }
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
send_batch(struct batch *batch)
{
    static const struct tk_job_ops ops = { .key = batch_key,
                                           .encode = batch_encode,
                                           .answer = batch_answer };
    tikv_error *error;

    if (batch->count == 0) {
        return NULL;
    }
    tk_resolver_job(batch->resolver, &batch->job, &ops, TK_CMD_KV_RESOLVE_LOCK,
                    batch->backoff);
    batch->job.items_count = tk_keys_sort(batch->keys, batch->count);
    error = tk_resolver_drive(batch->resolver, batch->op, &batch->job,
                              batch->backoff);
    tk_resolver_count(batch->resolver, TK_RESOLVER_BATCH_CLEANED,
                      batch->job.attempts);
    return error;
}

/* A lock's transaction is ended, unless the lock before was of the same. */
static tikv_error *
end_txn(struct batch *batch, const struct tk_lock *lock)
{
    struct ending *last = batch->endings + batch->endings_count;
    struct tk_question question = { .start_ts = lock->start_ts,
                                    .primary = lock->primary,
                                    .current_ts = UINT64_MAX,
                                    .rolls_back = true,
                                    .is_txn_file = lock->is_txn_file };
    struct tk_txn_status status;
    tikv_error *error;

    batch->keys[batch->count++] = lock->key;
    if (batch->endings_count != 0 && last[-1].start_ts == lock->start_ts) {
        return NULL;
    }
    tk_status_init(&status);
    error = ask(batch->resolver, batch->op, batch->backoff, &question,
                TK_ASK_END, &status);
    if (error == NULL && !tk_fate_is_final(status.fate)) {
        error = tk_error(TIKV_ERR_SERVER,
                         "transaction %llu lives on although it was ended",
                         (unsigned long long)lock->start_ts);
    }
    if (error == NULL) {
        *last = (struct ending){ lock->start_ts, status.commit_ts,
                                 lock->is_txn_file };
        batch->endings_count++;
    }
    tk_status_fini(&status);
    return error;
}

/* The primary it names may be wrong, so nobody is asked (LR-10, lesson 34). */
static tikv_error *
unlock(struct batch *batch, const struct tk_lock *lock)
{
    struct tk_cleaning cleaning = { .how = TK_CLEAN_UNLOCK,
                                    .start_ts = lock->start_ts,
                                    .for_update_ts = lock->for_update_ts,
                                    .keys = &lock->key,
                                    .count = 1 };

    return tk_clean(batch->resolver, batch->op, batch->backoff, &cleaning);
}

static int
compare_starts(const void *a, const void *b)
{
    const struct tk_lock *left = *(const struct tk_lock *const *)a;
    const struct tk_lock *right = *(const struct tk_lock *const *)b;

    return (left->start_ts > right->start_ts) -
           (left->start_ts < right->start_ts);
}

static tikv_error *
end_all(struct batch *batch, const struct tk_lock *const *sorted, size_t count)
{
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; i < count && error == NULL; i++) {
        error = tk_lock_is_pessimistic(sorted[i]) ? unlock(batch, sorted[i])
                                                  : end_txn(batch, sorted[i]);
    }
    return error == NULL ? send_batch(batch) : error;
}

tikv_error *
tk_resolver_resolve_all(struct tk_resolver *resolver, struct tk_op *op,
                        struct tk_backoff *backoff,
                        const struct tk_lock_set *locks)
{
    struct batch batch = { .resolver = resolver, .op = op, .backoff = backoff };
    const struct tk_lock **sorted = NULL;
    tikv_error *error;
    size_t i;

    if (locks->count == 0) {
        return NULL;
    }
    sorted = tk_alloc_array(locks->count, sizeof(*sorted));
    batch.endings = tk_alloc_array(locks->count, sizeof(*batch.endings));
    batch.keys = tk_alloc_array(locks->count, sizeof(*batch.keys));
    if (sorted == NULL || batch.endings == NULL || batch.keys == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        for (i = 0; i < locks->count; i++) {
            sorted[i] = &locks->data[i];
        }
        qsort(sorted, locks->count, sizeof(*sorted), compare_starts);
        error = end_all(&batch, sorted, locks->count);
    }
    tk_free(sorted);
    tk_free(batch.endings);
    tk_free(batch.keys);
    return error;
}
