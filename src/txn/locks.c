/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ScanLock, region by region, with the end of the range said in each request
 * (lesson 22). A region that splits meanwhile gives several answers; of those
 * that are full the lowest says how far the page is complete. A lock that
 * exists in TiKV's memory only is waited for. No state.
 */
#include "txn/locks.h"

#include <stdlib.h>

#include "base/error.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

#define KEY_MAX (1 << 20)

/* Of one page while resolving: half of what the status cache holds. */
#define PAGE_COUNT (TK_STATUS_CACHE_MAX / 2)

struct locks {
    struct tk_job job; /* first */
    struct tk_txn_client *client;
    uint64_t max_version;
    uint32_t limit;
    struct tk_lock_set *out;
    bool is_full;    /* some answer was */
    tikv_slice edge; /* its last key; memory of the set */
    bool is_blocked; /* by a lock in memory */
};

static struct locks *
locks_of(struct tk_job *job)
{
    return (struct locks *)(void *)job;
}

static tikv_error *
locks_encode(struct tk_job *job, const struct tk_piece *piece,
             struct tk_arena *arena, tikv_slice *body)
{
    const struct locks *locks = locks_of(job);
    const struct tk_key_codec *codec = &locks->client->router.codec;
    kvrpcpb_ScanLockRequest *message = kvrpcpb_ScanLockRequest_new(arena->upb);
    upb_StringView start;
    upb_StringView end;

    if (message == NULL ||
        !tk_message_key(codec, arena, piece->start, &start) ||
        !tk_message_end(codec, arena, piece->end, &end)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_ScanLockRequest_set_max_version(message, locks->max_version);
    kvrpcpb_ScanLockRequest_set_start_key(message, start);
    kvrpcpb_ScanLockRequest_set_end_key(message, end);
    kvrpcpb_ScanLockRequest_set_limit(message, locks->limit);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
take(struct locks *locks, const kvrpcpb_ScanLockResponse *answer)
{
    size_t count;
    const kvrpcpb_LockInfo *const *infos =
        kvrpcpb_ScanLockResponse_locks(answer, &count);
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; i < count && error == NULL; i++) {
        error = tk_lock_set_add(locks->out, &locks->client->router.codec,
                                infos[i], (tikv_slice){ NULL, 0 });
    }
    if (error == NULL && count >= locks->limit && locks->out->count != 0) {
        tikv_slice last = locks->out->data[locks->out->count - 1].key;

        if (!locks->is_full || tk_slice_compare(last, locks->edge) < 0) {
            locks->edge = last;
        }
        locks->is_full = true;
    }
    return error;
}

static tikv_error *
locks_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    struct locks *locks = locks_of(job);
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    problem = kvrpcpb_ScanLockResponse_error(message);
    if (tk_lock_is_met(problem)) {
        locks->is_blocked = true;
    } else if (problem != NULL) {
        error =
            tk_key_error(problem, &locks->client->router.codec, job->command);
    } else {
        error = take(locks, message);
    }
    tk_arena_unref(arena);
    return error;
}

static int
compare_locks(const void *a, const void *b)
{
    const struct tk_lock *left = a;
    const struct tk_lock *right = b;
    int order = tk_slice_compare(left->key, right->key);

    return order != 0 ? order
                      : (left->start_ts > right->start_ts) -
                            (left->start_ts < right->start_ts);
}

/* In order, without what lies behind the first full answer. */
static void
trim(struct locks *locks)
{
    struct tk_lock_set *out = locks->out;

    if (out->count > 1) {
        qsort(out->data, out->count, sizeof(*out->data), compare_locks);
    }
    while (locks->is_full && out->count != 0 &&
           tk_slice_compare(out->data[out->count - 1].key, locks->edge) > 0) {
        out->count--;
    }
}

/* What the range has in the region at its start. */
static tikv_error *
scan_region(struct locks *locks, struct tk_op *op, struct tk_backoff *backoff,
            tikv_range range, struct tk_buf *end)
{
    static const struct tk_job_ops ops = { .encode = locks_encode,
                                           .answer = locks_answer };
    struct tk_resolver *resolver = locks->client->resolver;
    struct tk_route route;
    tikv_slice bound;
    tikv_error *error;

    tk_buf_clear(end);
    error = tk_cache_locate(locks->client->router.cache, op, range.start, false,
                            backoff, &route, NULL, end);
    if (error != NULL) {
        return error;
    }
    bound = tk_buf_slice(end);
    if (bound.len == 0 ||
        (range.end.len != 0 && tk_slice_compare(range.end, bound) < 0)) {
        bound = range.end;
    }
    locks->is_full = false;
    locks->is_blocked = false;
    tk_lock_set_clear(locks->out);
    tk_resolver_job(resolver, &locks->job, &ops, TK_CMD_KV_SCAN_LOCK, backoff);
    locks->job.range = (tikv_range){ range.start, bound };
    error = tk_resolver_drive(resolver, op, &locks->job, backoff);
    return error == NULL && locks->is_blocked
               ? tk_resolver_pause(resolver, op, backoff,
                                   TK_BACKOFF_TXN_LOCK_FAST, -1,
                                   "a lock is being written")
               : error;
}

tikv_error *
tk_locks_scan(struct tk_txn_client *client, struct tk_op *op,
              struct tk_backoff *backoff, tikv_range range,
              uint64_t max_version, uint32_t limit, struct tk_lock_set *out,
              struct tk_buf *next, bool *ended)
{
    struct locks locks = {
        .client = client, .max_version = max_version, .limit = limit, .out = out
    };
    struct tk_buf end;
    tikv_error *error = NULL;

    tk_buf_init(&end, KEY_MAX);
    *ended =
        range.end.len != 0 && tk_slice_compare(range.start, range.end) >= 0;
    tk_lock_set_clear(out);
    while (error == NULL && !*ended && out->count == 0) {
        error = scan_region(&locks, op, backoff, range, &end);
        if (error != NULL || locks.is_blocked) {
            continue;
        }
        trim(&locks);
        tk_buf_clear(next);
        if (locks.is_full) {
            tk_buf_append_slice(next, locks.edge);
            tk_buf_append(next, "", 1);
        } else {
            tk_buf_append_slice(next, tk_buf_slice(&end));
            *ended = end.len == 0 ||
                     (range.end.len != 0 &&
                      tk_slice_compare(tk_buf_slice(&end), range.end) >= 0);
        }
        range.start = tk_buf_slice(next);
        if (next->failed || end.failed) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    tk_buf_fini(&end);
    return error;
}

tikv_error *
tk_locks_resolve(struct tk_txn_client *client, struct tk_op *op,
                 struct tk_backoff *backoff, tikv_range range,
                 uint64_t max_version, uint64_t *count)
{
    struct tk_lock_set locks;
    struct tk_buf next[2];
    tikv_error *error = NULL;
    bool ended = false;
    unsigned turn = 0;

    *count = 0;
    tk_lock_set_init(&locks);
    tk_buf_init(&next[0], KEY_MAX);
    tk_buf_init(&next[1], KEY_MAX);
    while (error == NULL && !ended) {
        /* The range stands in the buffer of the page before. */
        error = tk_locks_scan(client, op, backoff, range, max_version,
                              PAGE_COUNT, &locks, &next[turn], &ended);
        if (error == NULL) {
            *count += locks.count;
            error =
                tk_resolver_resolve_all(client->resolver, op, backoff, &locks);
        }
        range.start = tk_buf_slice(&next[turn]);
        turn = 1 - turn;
    }
    tk_buf_fini(&next[0]);
    tk_buf_fini(&next[1]);
    tk_lock_set_fini(&locks);
    return error;
}
