/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for a huge commit (2PC-3): a region that is to take very many keys is
 * cut at every so many bytes of them before the first lock, and PD may spread
 * the parts over the stores. What this brings is speed alone, so whatever
 * fails here is told to the log and the commit goes on with the regions there
 * are; and it may take a quarter of the commit's time, no more.
 *
 * The committer's thread; no state beside the call.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "txn/commit_inner.h"

#include "kvrpcpb.upb.h"
#include "metapb.upb.h"

enum {
    KEYS_MAX = 2048, /* of one request */
    BUDGET_MS = 20000,
    TIME_MAX_MS = 30000, /* then PD may go on beside the commit */
    LOOK_MIN_MS = 10,
    LOOK_MAX_MS = 500
};

struct presplit {
    struct tk_job job; /* first */
    struct tk_commit *commit;
    size_t *places; /* of mutations whose keys begin a region */
    size_t places_count;
    uint64_t *ids; /* of new regions */
    size_t ids_count;
};

static struct presplit *
split_of(struct tk_job *job)
{
    return (struct presplit *)(void *)job;
}

static tikv_slice
key_of(const struct tk_commit *commit, size_t place)
{
    return tk_entry_key(tk_commit_at(commit, place)->handle);
}

/* ---- where to cut ---- */

/* The first place from `first` on whose key is not below `end`. */
static size_t
group_end(const struct tk_commit *commit, size_t first, tikv_slice end)
{
    size_t low = first + 1;
    size_t high = commit->all_count;

    if (end.len == 0) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tk_slice_compare(key_of(commit, middle), end) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool
choose(struct presplit *split, size_t first, size_t end, uint64_t bytes_max)
{
    const struct tk_commit *commit = split->commit;
    uint64_t bytes = 0;
    size_t i;

    for (i = first; i < end; i++) {
        const struct tk_mutation *mutation = tk_commit_at(commit, i);
        tikv_slice value = { NULL, 0 };

        (void)tk_entry_value(commit->buffer, mutation->handle, &value);
        bytes += tk_entry_key(mutation->handle).len + value.len;
        if (bytes < bytes_max || i == first) {
            continue;
        }
        if ((split->places_count & (split->places_count - 1)) == 0) {
            size_t room = split->places_count == 0 ? 1 : split->places_count;
            size_t *places =
                tk_realloc(split->places, 2 * room * sizeof(*places));

            if (places == NULL) {
                return false;
            }
            split->places = places;
        }
        split->places[split->places_count++] = i;
        bytes = 0;
    }
    return true;
}

/* Region by region, those that take too much. */
static tikv_error *
choose_all(struct presplit *split, struct tk_op *op)
{
    struct tk_commit *commit = split->commit;
    struct tk_router *router = &commit->client->router;
    size_t keys_max = (size_t)tk_config_int(&router->config->txn_split_keys);
    uint64_t bytes_max =
        (uint64_t)tk_config_int(&router->config->txn_split_bytes);
    struct tk_backoff backoff;
    tikv_error *error = NULL;
    struct tk_buf end;
    size_t first = 0;

    tk_backoff_init(&backoff, tk_txn_budget(router, BUDGET_MS));
    tk_buf_init(&end, SIZE_MAX / 4);
    while (error == NULL && commit->all_count - first >= keys_max) {
        struct tk_route route;
        size_t next;

        tk_buf_clear(&end);
        error = tk_cache_locate(router->cache, op, key_of(commit, first), false,
                                &backoff, &route, NULL, &end);
        if (error != NULL) {
            break;
        }
        next = group_end(commit, first, tk_buf_slice(&end));
        if (next - first >= keys_max &&
            !choose(split, first, next, bytes_max)) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
        first = next;
    }
    tk_buf_fini(&end);
    return error;
}

/* ---- cutting ---- */

static tikv_slice
key_at(struct tk_job *job, size_t item)
{
    const struct presplit *split = split_of(job);

    return key_of(split->commit, split->places[item]);
}

static tikv_error *
encode(struct tk_job *job, const struct tk_piece *piece, struct tk_arena *arena,
       tikv_slice *body)
{
    kvrpcpb_SplitRegionRequest *message =
        kvrpcpb_SplitRegionRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_SplitRegionRequest_resize_split_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    for (i = 0; keys != NULL && i < piece->count; i++) {
        if (!tk_message_key(&split_of(job)->commit->client->router.codec, arena,
                            key_at(job, piece->first + i), &keys[i])) {
            keys = NULL;
        }
    }
    return keys == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                        : tk_message_encode(job, arena, message, body);
}

/* The last region is the old one, with what is left. */
static tikv_error *
answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice response,
       struct tk_frame *frame)
{
    struct presplit *split = split_of(job);
    const metapb_Region *const *regions;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);
    size_t count;
    size_t i;

    (void)piece;
    if (error != NULL) {
        return error;
    }
    regions = kvrpcpb_SplitRegionResponse_regions(message, &count);
    for (i = 0; i + 1 < count && split->ids_count < split->places_count; i++) {
        split->ids[split->ids_count++] = metapb_Region_id(regions[i]);
    }
    tk_arena_unref(arena);
    return NULL;
}

/* What the cache has of the cut regions is old. */
static void
forget(const struct presplit *split)
{
    struct tk_cache *cache = split->commit->client->router.cache;
    struct tk_route route;
    size_t i;

    for (i = 0; i < split->places_count; i++) {
        if (tk_cache_route(cache, key_of(split->commit, split->places[i]),
                           &route)) {
            tk_cache_invalidate(cache, &route, TK_INVALID_EPOCH);
        }
    }
}

static const struct tk_job_ops ops = { .key = key_at,
                                       .encode = encode,
                                       .answer = answer };

static tikv_error *
cut(struct presplit *split, struct tk_op *op)
{
    struct tk_router *router = &split->commit->client->router;
    tikv_error *error;

    split->ids = tk_alloc_array(split->places_count, sizeof(*split->ids));
    if (split->ids == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    split->job = (struct tk_job){ .ops = &ops,
                                  .command = TK_CMD_SPLIT_REGION,
                                  .items_count = split->places_count,
                                  .piece_count_max = KEYS_MAX,
                                  .is_repeatable = true };
    split->job.budget_ms = tk_txn_budget(router, BUDGET_MS);
    error = tk_drive(router, op, &split->job, NULL);
    forget(split);
    return error;
}

/* ---- spreading ---- */

static tikv_error *
await_scatter(struct presplit *split, struct tk_op *op)
{
    struct tk_pd *pd = split->commit->client->router.pd;
    int64_t pause_ms = LOOK_MIN_MS;
    tikv_error *error = tk_pd_scatter(pd, op, split->ids, split->ids_count);
    size_t i = 0;

    while (error == NULL && i < split->ids_count) {
        bool goes_on;

        error = tk_pd_is_scattering(pd, op, split->ids[i], &goes_on);
        if (error == NULL && goes_on) {
            error = tk_op_sleep(op, pause_ms * TK_MS);
            pause_ms = pause_ms * 2 > LOOK_MAX_MS ? LOOK_MAX_MS : pause_ms * 2;
        } else {
            i++;
        }
    }
    return error;
}

/* ---- in its own time ---- */

static tikv_error *
work(struct presplit *split, struct tk_op *op)
{
    tikv_error *error = choose_all(split, op);

    if (error == NULL && split->places_count != 0) {
        error = cut(split, op);
    }
    if (error == NULL && split->ids_count != 0) {
        error = await_scatter(split, op);
    }
    return error;
}

static int64_t
time_limit(const struct tk_op *op)
{
    int64_t now = tk_now(op->rt);
    int64_t most = TIME_MAX_MS * TK_MS;
    int64_t quarter =
        op->deadline == TK_NEVER ? most : (op->deadline - now) / 4;

    return tk_after(now, quarter < most ? quarter : most);
}

void
tk_commit_presplit(struct tk_commit *commit, struct tk_op *op)
{
    const struct tk_config *config = commit->client->router.config;
    struct presplit split = { .commit = commit };
    tikv_call call = *op->call;
    tikv_error *error;
    struct tk_op own;

    if (commit->all_count < (uint64_t)tk_config_int(&config->txn_split_keys)) {
        return;
    }
    call.timeout_ms = TIKV_FOREVER;
    call.deadline_ns = time_limit(op);
    if (!tk_op_init(&own, op->exec, &call, TK_NEVER)) {
        return;
    }
    error = work(&split, &own);
    tk_op_fini(&own);
    commit->summary.regions_split = split.ids_count;
    if (error != NULL) {
        tk_log(commit->client->router.log, TIKV_LOG_INFO, "txn",
               "transaction %llu: making room before it failed: %s",
               (unsigned long long)commit->start_ts, tikv_error_message(error));
    }
    tikv_error_free(error);
    tk_free(split.places);
    tk_free(split.ids);
}
