/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removing locks of transactions whose fate is known: ResolveLock by keys or
 * by whole regions, PessimisticRollback. Doing it twice does no harm, so a
 * lost answer is no doubt.
 *
 * By keys: one job over all of them, one request per region (LR-8). By
 * regions: one after the other, one request each, which costs the same for
 * one lock as for a million; callers that clean the same region of the same
 * transaction at the same time do it once (NET-11).
 *
 * Readers leave their cleaning behind: it is copied into a queue, bounded in
 * bytes, that TK_CLEANERS works of the pool empty, each piece with a deadline
 * of its own.
 *
 * Lock: resolver.lock, for queue and flights.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

/* Keys of one request. */
#define PIECE_BYTES (256 * 1024)
#define PIECE_COUNT 5120

/* Waiting to be cleaned, all together. */
#define QUEUE_BYTES (4 * 1024 * 1024)
#define SEARCHED_BYTES (16 * 1024)

/* One background cleaning, whole; and the pauses in it. */
#define LATER_MS 40000

#define KEY_MAX (1 << 20)

/* A region that is being cleaned, on the stack of who does it. */
struct tk_clean_flight {
    uint64_t region_id;
    uint64_t start_ts;
    uint64_t commit_ts;
    bool is_txn_file;
    bool is_left;
    struct tk_waiters waiters;
    struct tk_clean_flight *next;
};

struct clean {
    struct tk_job job; /* first */
    struct tk_resolver *resolver;
    const struct tk_cleaning *cleaning;
    const tikv_slice *keys;
};

static struct clean *
clean_of(struct tk_job *job)
{
    return (struct clean *)(void *)job;
}

static int
compare_keys(const void *a, const void *b)
{
    const tikv_slice *left = a;
    const tikv_slice *right = b;

    return tk_slice_compare(*left, *right);
}

size_t
tk_keys_sort(tikv_slice *keys, size_t count)
{
    size_t kept = 0;
    size_t i;

    if (count > 1) {
        qsort(keys, count, sizeof(*keys), compare_keys);
    }
    for (i = 0; i < count; i++) {
        if (kept == 0 || !tk_slice_equal(keys[kept - 1], keys[i])) {
            keys[kept++] = keys[i];
        }
    }
    return kept;
}

/* ---- the requests ---- */

static tikv_slice
clean_key(struct tk_job *job, size_t item)
{
    return clean_of(job)->keys[item];
}

static size_t
clean_weight(struct tk_job *job, size_t item)
{
    return clean_of(job)->keys[item].len;
}

static bool
fill_keys(const struct clean *clean, const struct tk_piece *piece,
          struct tk_arena *arena, upb_StringView *keys)
{
    size_t i;

    for (i = 0; keys != NULL && i < piece->count; i++) {
        if (!tk_message_key(&clean->resolver->client->router.codec, arena,
                            clean->keys[piece->first + i], &keys[i])) {
            return false;
        }
    }
    return keys != NULL;
}

static tikv_error *
resolve_encode(struct tk_job *job, const struct tk_piece *piece,
               struct tk_arena *arena, tikv_slice *body)
{
    const struct clean *clean = clean_of(job);
    const struct tk_cleaning *cleaning = clean->cleaning;
    kvrpcpb_ResolveLockRequest *message =
        kvrpcpb_ResolveLockRequest_new(arena->upb);

    if (message == NULL ||
        (cleaning->how == TK_CLEAN_KEYS &&
         !fill_keys(clean, piece, arena,
                    kvrpcpb_ResolveLockRequest_resize_keys(
                        message, piece->count, arena->upb)))) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_ResolveLockRequest_set_start_version(message, cleaning->start_ts);
    kvrpcpb_ResolveLockRequest_set_commit_version(message, cleaning->commit_ts);
    /* Who knows how answers at once and goes on by itself; who does not,
     * reads over it (LR-9). */
    kvrpcpb_ResolveLockRequest_set_is_async(
        message, cleaning->is_left && cleaning->how == TK_CLEAN_REGION);
    kvrpcpb_ResolveLockRequest_set_is_txn_file(message, cleaning->is_txn_file);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
unlock_encode(struct tk_job *job, const struct tk_piece *piece,
              struct tk_arena *arena, tikv_slice *body)
{
    const struct clean *clean = clean_of(job);
    const struct tk_cleaning *cleaning = clean->cleaning;
    kvrpcpb_PessimisticRollbackRequest *message =
        kvrpcpb_PessimisticRollbackRequest_new(arena->upb);

    if (message == NULL ||
        (cleaning->how == TK_CLEAN_UNLOCK &&
         !fill_keys(clean, piece, arena,
                    kvrpcpb_PessimisticRollbackRequest_resize_keys(
                        message, piece->count, arena->upb)))) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_PessimisticRollbackRequest_set_start_version(message,
                                                         cleaning->start_ts);
    kvrpcpb_PessimisticRollbackRequest_set_for_update_ts(
        message,
        cleaning->for_update_ts == 0 ? UINT64_MAX : cleaning->for_update_ts);
    return tk_message_encode(job, arena, message, body);
}

static const kvrpcpb_KeyError *
problem_of(enum tk_command command, const void *message)
{
    const kvrpcpb_KeyError *const *problems;
    size_t count;

    if (command == TK_CMD_KV_RESOLVE_LOCK) {
        return kvrpcpb_ResolveLockResponse_error(message);
    }
    problems = kvrpcpb_PessimisticRollbackResponse_errors(message, &count);
    return count == 0 ? NULL : problems[0];
}

static tikv_error *
clean_answer(struct tk_job *job, const struct tk_piece *piece,
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
    problem = problem_of(job->command, message);
    if (problem != NULL) {
        error = tk_key_error(problem,
                             &clean_of(job)->resolver->client->router.codec,
                             job->command);
    }
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
send_keys(struct tk_resolver *resolver, struct tk_op *op,
          struct tk_backoff *backoff, const struct tk_cleaning *cleaning,
          const tikv_slice *keys, size_t count)
{
    static const struct tk_job_ops resolves = { .key = clean_key,
                                                .weight = clean_weight,
                                                .encode = resolve_encode,
                                                .answer = clean_answer };
    static const struct tk_job_ops unlocks = { .key = clean_key,
                                               .weight = clean_weight,
                                               .encode = unlock_encode,
                                               .answer = clean_answer };
    bool is_unlock = cleaning->how == TK_CLEAN_UNLOCK ||
                     cleaning->how == TK_CLEAN_UNLOCK_REGION;
    struct clean clean = { .resolver = resolver,
                           .cleaning = cleaning,
                           .keys = keys };
    tikv_error *error;

    tk_resolver_job(resolver, &clean.job, is_unlock ? &unlocks : &resolves,
                    is_unlock ? TK_CMD_KV_PESSIMISTIC_ROLLBACK
                              : TK_CMD_KV_RESOLVE_LOCK,
                    backoff);
    clean.job.items_count = count;
    clean.job.piece_count_max = PIECE_COUNT;
    clean.job.piece_bytes_max = PIECE_BYTES;
    error = tk_resolver_drive(resolver, op, &clean.job, backoff);
    tk_resolver_count(resolver,
                      is_unlock ? TK_RESOLVER_UNLOCKED
                      : cleaning->how == TK_CLEAN_KEYS
                          ? TK_RESOLVER_KEYS_CLEANED
                          : TK_RESOLVER_REGION_CLEANED,
                      clean.job.attempts);
    return error;
}

/* ---- region by region ---- */

/* Under the lock. */
static struct tk_clean_flight *
find_flight(struct tk_resolver *resolver, const struct tk_clean_flight *like)
{
    struct tk_clean_flight *flight = resolver->cleaning;

    while (flight != NULL && (flight->region_id != like->region_id ||
                              flight->start_ts != like->start_ts ||
                              flight->commit_ts != like->commit_ts ||
                              flight->is_txn_file != like->is_txn_file ||
                              flight->is_left != like->is_left)) {
        flight = flight->next;
    }
    return flight;
}

static void
land(struct tk_resolver *resolver, struct tk_clean_flight *flight)
{
    struct tk_clean_flight **at = &resolver->cleaning;
    struct tk_waiter *taken;
    struct tk_wakes wakes;

    tk_mutex_lock(&resolver->lock);
    while (*at != flight) {
        at = &(*at)->next;
    }
    *at = flight->next;
    taken = tk_waiters_take(&flight->waiters);
    tk_mutex_unlock(&resolver->lock);
    tk_wakes_init(&wakes, resolver->client->router.rt);
    tk_waiters_wake(taken, &wakes);
    tk_wakes_flush(&wakes);
}

/* One region, named by a key in it. Who finds somebody at it waits: what is
 * left afterwards, if that one failed, is met again. */
static tikv_error *
clean_region(struct tk_resolver *resolver, struct tk_op *op,
             struct tk_backoff *backoff, const struct tk_cleaning *cleaning,
             uint64_t region_id, const tikv_slice *key)
{
    struct tk_clean_flight mine = { .region_id = region_id,
                                    .start_ts = cleaning->start_ts,
                                    .commit_ts = cleaning->commit_ts,
                                    .is_txn_file = cleaning->is_txn_file,
                                    .is_left = cleaning->is_left };
    struct tk_clean_flight *other;
    struct tk_waiter waiter;
    tikv_error *error;

    if (cleaning->how != TK_CLEAN_REGION) {
        return send_keys(resolver, op, backoff, cleaning, key, 1);
    }
    tk_mutex_lock(&resolver->lock);
    other = find_flight(resolver, &mine);
    if (other != NULL) {
        tk_waiters_add(&other->waiters, &waiter, op);
    } else {
        mine.next = resolver->cleaning;
        resolver->cleaning = &mine;
    }
    tk_mutex_unlock(&resolver->lock);
    if (other != NULL) {
        return tk_waiter_await(&other->waiters, &waiter, &resolver->lock, op);
    }
    error = send_keys(resolver, op, backoff, cleaning, key, 1);
    land(resolver, &mine);
    return error;
}

static tikv_error *
clean_regions(struct tk_resolver *resolver, struct tk_op *op,
              struct tk_backoff *backoff, const struct tk_cleaning *cleaning)
{
    struct tk_cache *cache = resolver->client->router.cache;
    struct tk_route route;
    struct tk_buf end;
    tikv_error *error = NULL;
    size_t i = 0;

    tk_buf_init(&end, KEY_MAX);
    while (i < cleaning->count && error == NULL) {
        const tikv_slice *key = &cleaning->keys[i];

        tk_buf_clear(&end);
        error = tk_cache_locate(cache, op, *key, false, backoff, &route, NULL,
                                &end);
        if (error == NULL) {
            error = clean_region(resolver, op, backoff, cleaning,
                                 route.region_id, key);
        }
        while (i < cleaning->count &&
               tk_slice_in_range(cleaning->keys[i], *key, tk_buf_slice(&end))) {
            i++;
        }
    }
    tk_buf_fini(&end);
    return error;
}

tikv_error *
tk_clean(struct tk_resolver *resolver, struct tk_op *op,
         struct tk_backoff *backoff, const struct tk_cleaning *cleaning)
{
    if (cleaning->count == 0) {
        return NULL;
    }
    if (cleaning->how == TK_CLEAN_REGION ||
        cleaning->how == TK_CLEAN_UNLOCK_REGION) {
        return clean_regions(resolver, op, backoff, cleaning);
    }
    return send_keys(resolver, op, backoff, cleaning, cleaning->keys,
                     cleaning->count);
}

/* ---- behind readers' backs ---- */

/* One block: the struct, its slices, their bytes, the source's text. */
struct tk_clean_item {
    struct tk_clean_item *next;
    size_t size;
    struct tk_cleaning cleaning;
    const char *source; /* of the request that met the locks */
    tikv_slice keys[];
};

static struct tk_clean_item *
copy_item(const tikv_call *call, const struct tk_cleaning *cleaning)
{
    size_t slices = cleaning->count * sizeof(tikv_slice);
    const char *source =
        call->request_source == NULL ? "" : call->request_source;
    size_t size = sizeof(struct tk_clean_item) + slices + strlen(source) + 1;
    struct tk_clean_item *item;
    uint8_t *at;
    size_t i;

    for (i = 0; i < cleaning->count; i++) {
        size += cleaning->keys[i].len;
    }
    item = size > QUEUE_BYTES ? NULL : tk_alloc(size);
    if (item == NULL) {
        return NULL;
    }
    item->next = NULL;
    item->size = size;
    item->cleaning = *cleaning;
    item->cleaning.is_left = true;
    item->cleaning.keys = item->keys;
    at = (uint8_t *)(void *)item->keys + slices;
    for (i = 0; i < cleaning->count; i++) {
        item->keys[i] = tk_slice(at, cleaning->keys[i].len);
        if (cleaning->keys[i].len != 0) {
            memcpy(at, cleaning->keys[i].data, cleaning->keys[i].len);
        }
        at += cleaning->keys[i].len;
    }
    memcpy(at, source, strlen(source) + 1);
    item->source = (const char *)at;
    return item;
}

/* Under the lock. The same is waiting already. A long queue is not searched:
 * doing it twice is cheaper. */
static bool
is_queued(const struct tk_resolver *resolver,
          const struct tk_cleaning *cleaning)
{
    const struct tk_clean_item *item;

    if (resolver->queued_bytes > SEARCHED_BYTES) {
        return false;
    }
    for (item = resolver->first; item != NULL; item = item->next) {
        const struct tk_cleaning *other = &item->cleaning;

        if (other->start_ts == cleaning->start_ts &&
            other->how == cleaning->how && other->count == cleaning->count &&
            tk_slice_equal(other->keys[0], cleaning->keys[0])) {
            return true;
        }
    }
    return false;
}

static struct tk_clean_item *
pop(struct tk_resolver *resolver, struct tk_cleaner *cleaner)
{
    struct tk_clean_item *item;

    tk_mutex_lock(&resolver->lock);
    item = resolver->first;
    if (item == NULL) {
        cleaner->is_busy = false;
    } else {
        resolver->first = item->next;
        resolver->queued_bytes -= item->size;
        if (resolver->first == NULL) {
            resolver->last = NULL;
        }
    }
    tk_mutex_unlock(&resolver->lock);
    return item;
}

static void
run_item(struct tk_resolver *resolver, const struct tk_clean_item *item)
{
    struct tk_router *router = &resolver->client->router;
    tikv_call call = TIKV_CALL_INIT;
    struct tk_backoff backoff;
    tikv_error *error;
    struct tk_op op;

    call.request_source = item->source[0] == '\0' ? NULL : item->source;
    call.priority = TIKV_PRIORITY_LOW;
    if (!tk_op_init(&op, router->exec, &call, LATER_MS * TK_MS)) {
        return;
    }
    tk_backoff_init(&backoff, LATER_MS);
    error = tk_clean(resolver, &op, &backoff, &item->cleaning);
    if (error != NULL) {
        tk_log(router->log, TIKV_LOG_INFO, "txn",
               "locks of transaction %llu are left behind: %s",
               (unsigned long long)item->cleaning.start_ts,
               tikv_error_message(error));
        tikv_error_free(error);
    }
    tk_op_fini(&op);
}

static void
run_cleaner(struct tk_work *work, bool refused)
{
    struct tk_cleaner *cleaner = (struct tk_cleaner *)(void *)work;
    struct tk_resolver *resolver = cleaner->resolver;
    struct tk_clean_item *item;

    while ((item = pop(resolver, cleaner)) != NULL) {
        atomic_fetch_sub_explicit(&resolver->stats[TK_RESOLVER_QUEUED], 1,
                                  memory_order_relaxed);
        if (!refused && !tk_exec_is_closing(resolver->client->router.exec)) {
            run_item(resolver, item);
        }
        tk_free(item);
    }
    tk_exec_live_end(resolver->client->router.exec);
}

/* Under the lock: somebody to do it, who is busy from now on. */
static struct tk_cleaner *
hire(struct tk_resolver *resolver)
{
    size_t i;

    for (i = 0; i < TK_CLEANERS; i++) {
        if (!resolver->cleaners[i].is_busy) {
            resolver->cleaners[i].is_busy = true;
            return &resolver->cleaners[i];
        }
    }
    return NULL;
}

/* False: it is queued already, or there is too much to do. *cleaner is who
 * has to be told of it, or NULL. */
static bool
enqueue(struct tk_resolver *resolver, struct tk_clean_item *item,
        struct tk_cleaner **cleaner)
{
    bool fits;
    bool is_new;

    tk_mutex_lock(&resolver->lock);
    fits = resolver->queued_bytes + item->size <= QUEUE_BYTES;
    is_new = fits && !is_queued(resolver, &item->cleaning);
    if (is_new) {
        if (resolver->last == NULL) {
            resolver->first = item;
        } else {
            resolver->last->next = item;
        }
        resolver->last = item;
        resolver->queued_bytes += item->size;
        tk_resolver_count(resolver, TK_RESOLVER_QUEUED, 1);
        *cleaner = hire(resolver);
    }
    tk_mutex_unlock(&resolver->lock);
    if (!fits) {
        tk_resolver_count(resolver, TK_RESOLVER_DROPPED, 1);
    }
    return is_new;
}

/* To the pool. Who drains the client waits for it, too. */
static void
send(struct tk_resolver *resolver, struct tk_cleaner *cleaner)
{
    struct tk_exec *exec = resolver->client->router.exec;

    tk_exec_live_begin(exec);
    if (!tk_exec_push(exec, &cleaner->work, false)) {
        /* The pool has more than enough to do: what is queued waits for the
         * next one who comes by. */
        tk_mutex_lock(&resolver->lock);
        cleaner->is_busy = false;
        tk_mutex_unlock(&resolver->lock);
        tk_exec_live_end(exec);
    }
}

void
tk_clean_later(struct tk_resolver *resolver, const tikv_call *call,
               const struct tk_cleaning *cleaning)
{
    struct tk_clean_item *item =
        cleaning->count == 0 ? NULL : copy_item(call, cleaning);
    struct tk_cleaner *cleaner = NULL;

    if (cleaning->count == 0) {
        return;
    }
    tk_resolver_count(resolver, TK_RESOLVER_LEFT, 1);
    if (item == NULL) {
        tk_resolver_count(resolver, TK_RESOLVER_DROPPED, 1);
        return;
    }
    if (!enqueue(resolver, item, &cleaner)) {
        tk_free(item);
    }
    if (cleaner != NULL) {
        send(resolver, cleaner);
    }
}

void
tk_clean_init(struct tk_resolver *resolver)
{
    size_t i;

    for (i = 0; i < TK_CLEANERS; i++) {
        resolver->cleaners[i].work.run = run_cleaner;
        resolver->cleaners[i].resolver = resolver;
    }
}

void
tk_clean_fini(struct tk_resolver *resolver)
{
    while (resolver->first != NULL) {
        struct tk_clean_item *item = resolver->first;

        resolver->first = item->next;
        tk_free(item);
    }
}
