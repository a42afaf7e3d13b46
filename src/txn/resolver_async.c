/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An async commit is decided by its secondaries: the primary's lock names
 * them. All of them locked: it is committed, at the greatest min_commit_ts.
 * One missing: whoever took it away decided, and TiKV tells how, or writes a
 * rollback then and there (LR-6).
 *
 * One job asks all regions at once; answers are gathered here. They must
 * agree: a cluster that says both yes and no is broken, which is an error and
 * nothing worse (lesson 31). No lock; the runner's thread.
 */
#include "base/error.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

/* Keys of one request, so that none is too large for TiKV. */
#define PIECE_BYTES (256 * 1024)

struct recovery {
    struct tk_job job; /* first */
    struct tk_resolver *resolver;
    uint64_t start_ts;
    const tikv_slice *keys;
    uint64_t commit_ts; /* of what is locked: the greatest so far */
    bool is_decided;    /* a lock is missing */
    uint64_t decided;   /* at what; 0: rolled back */
    bool fell_back;
};

static struct recovery *
recovery_of(struct tk_job *job)
{
    return (struct recovery *)(void *)job;
}

static tikv_slice
recovery_key(struct tk_job *job, size_t item)
{
    return recovery_of(job)->keys[item];
}

static size_t
recovery_weight(struct tk_job *job, size_t item)
{
    return recovery_of(job)->keys[item].len;
}

static tikv_error *
recovery_encode(struct tk_job *job, const struct tk_piece *piece,
                struct tk_arena *arena, tikv_slice *body)
{
    const struct recovery *recovery = recovery_of(job);
    kvrpcpb_CheckSecondaryLocksRequest *message =
        kvrpcpb_CheckSecondaryLocksRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_CheckSecondaryLocksRequest_resize_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(&recovery->resolver->client->router.codec, arena,
                            recovery->keys[piece->first + i], &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_CheckSecondaryLocksRequest_set_start_version(message,
                                                         recovery->start_ts);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
contradiction(const struct recovery *recovery)
{
    return tk_error(TIKV_ERR_SERVER,
                    "CheckSecondaryLocks: the locks of transaction %llu "
                    "contradict each other",
                    (unsigned long long)recovery->start_ts);
}

/* A lock is missing: somebody decided at `commit_ts`. */
static tikv_error *
decide(struct recovery *recovery, uint64_t commit_ts)
{
    if (recovery->is_decided && recovery->decided != commit_ts) {
        return contradiction(recovery);
    }
    recovery->is_decided = true;
    recovery->decided = commit_ts;
    return NULL;
}

static tikv_error *
take_locks(struct recovery *recovery, const kvrpcpb_LockInfo *const *locks,
           size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        uint64_t least = kvrpcpb_LockInfo_min_commit_ts(locks[i]);

        if (kvrpcpb_LockInfo_lock_version(locks[i]) != recovery->start_ts) {
            return contradiction(recovery);
        }
        if (!kvrpcpb_LockInfo_use_async_commit(locks[i])) {
            recovery->fell_back = true;
        } else if (least > recovery->commit_ts) {
            recovery->commit_ts = least;
        }
    }
    return NULL;
}

static tikv_error *
recovery_answer(struct tk_job *job, const struct tk_piece *piece,
                tikv_slice response, struct tk_frame *frame)
{
    struct recovery *recovery = recovery_of(job);
    const kvrpcpb_LockInfo *const *locks;
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);
    size_t count;

    if (error != NULL) {
        return error;
    }
    problem = kvrpcpb_CheckSecondaryLocksResponse_error(message);
    locks = kvrpcpb_CheckSecondaryLocksResponse_locks(message, &count);
    if (problem != NULL) {
        error = tk_key_error(problem, &recovery->resolver->client->router.codec,
                             job->command);
    } else if (count == piece->count) {
        error = take_locks(recovery, locks, count);
    } else {
        error = decide(recovery,
                       kvrpcpb_CheckSecondaryLocksResponse_commit_ts(message));
    }
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
ask_secondaries(struct recovery *recovery, struct tk_op *op,
                struct tk_backoff *backoff, size_t count)
{
    static const struct tk_job_ops ops = { .key = recovery_key,
                                           .weight = recovery_weight,
                                           .encode = recovery_encode,
                                           .answer = recovery_answer };
    tikv_error *error;

    if (count == 0) {
        return NULL;
    }
    tk_resolver_job(recovery->resolver, &recovery->job, &ops,
                    TK_CMD_KV_CHECK_SECONDARY_LOCKS, backoff);
    recovery->job.items_count = count;
    recovery->job.piece_bytes_max = PIECE_BYTES;
    error = tk_resolver_drive(recovery->resolver, op, &recovery->job, backoff);
    tk_resolver_count(recovery->resolver, TK_RESOLVER_SECONDARIES,
                      recovery->job.attempts);
    return error;
}

/* All that the answers say together. */
static tikv_error *
conclude(struct recovery *recovery, struct tk_txn_status *status)
{
    if (!recovery->is_decided) {
        status->commit_ts = recovery->commit_ts;
    } else if (recovery->decided != 0 &&
               recovery->decided < recovery->commit_ts) {
        /* Readers were promised that it would not be below. */
        return contradiction(recovery);
    } else {
        status->commit_ts = recovery->decided;
    }
    status->fate =
        status->commit_ts != 0 ? TK_FATE_COMMITTED : TK_FATE_ROLLED_BACK;
    return tk_status_save(recovery->resolver, recovery->start_ts,
                          status->commit_ts);
}

tikv_error *
tk_async_recover(struct tk_resolver *resolver, struct tk_op *op,
                 struct tk_backoff *backoff, uint64_t start_ts,
                 struct tk_txn_status *status, bool *fell_back)
{
    const struct tk_lock *primary = &status->primary.data[0];
    struct recovery recovery = { .resolver = resolver,
                                 .start_ts = start_ts,
                                 .commit_ts = primary->min_commit_ts };
    tikv_slice *keys;
    tikv_error *error;
    size_t count;

    *fell_back = false;
    tk_resolver_count(resolver, TK_RESOLVER_RECOVERIES, 1);
    keys = upb_Arena_Malloc(status->primary.arena->upb,
                            (primary->secondaries_count + 1) * sizeof(*keys));
    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (count = 0; count < primary->secondaries_count; count++) {
        keys[count] = primary->secondaries[count];
    }
    count = tk_keys_sort(keys, count);
    recovery.keys = keys;
    error = ask_secondaries(&recovery, op, backoff, count);
    if (error == NULL && recovery.fell_back && !recovery.is_decided) {
        *fell_back = true;
        return NULL;
    }
    keys[count] = primary->key;
    status->keys = keys;
    status->keys_count = tk_keys_sort(keys, count + 1);
    return error != NULL ? error : conclude(&recovery, status);
}
