/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot as an object, and what all its reads do alike: the context
 * they send, the locks they meet, the check at the end.
 *
 * A read copies the sets of transactions at its begin and gives back what it
 * found, so that reads do not wait for each other. Lock: snapshot.lock.
 */
#include "txn/snapshot.h"

#include "base/alloc.h"
#include "base/error.h"
#include "pd/oracle.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/snapshot_inner.h"
#include "wire/proto.h"

#include "kvrpcpb.upb.h"

/* Fields of kvrpcpb.Context. */
enum {
    CONTEXT_ISOLATION = 7,
    CONTEXT_NOT_FILL_CACHE = 8,
    CONTEXT_RESOLVED_LOCKS = 13,
    CONTEXT_TASK_ID = 16,
    CONTEXT_COMMITTED_LOCKS = 22
};

#define CONTEXT_MAX (1 << 20)

static const char *
copy_text(struct tk_arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = upb_Arena_Malloc(arena->upb, size);

    if (copy != NULL) {
        memcpy(copy, text, size);
    }
    return copy;
}

/* What the read mode points to becomes the snapshot's. */
static bool
copy_mode(struct tk_snapshot *snapshot)
{
    struct tk_read_mode *mode = &snapshot->options.read;
    struct tk_label *labels;
    uint64_t *stores;
    size_t i;

    if (mode->labels_count == 0 && mode->stores_count == 0) {
        return true;
    }
    snapshot->arena = tk_arena_new();
    if (snapshot->arena == NULL) {
        return false;
    }
    labels = upb_Arena_Malloc(snapshot->arena->upb,
                              (mode->labels_count + 1) * sizeof(*labels));
    stores = upb_Arena_Malloc(snapshot->arena->upb,
                              (mode->stores_count + 1) * sizeof(*stores));
    if (labels == NULL || stores == NULL) {
        return false;
    }
    for (i = 0; i < mode->labels_count; i++) {
        labels[i].key = copy_text(snapshot->arena, mode->labels[i].key);
        labels[i].value = copy_text(snapshot->arena, mode->labels[i].value);
        if (labels[i].key == NULL || labels[i].value == NULL) {
            return false;
        }
    }
    for (i = 0; i < mode->stores_count; i++) {
        stores[i] = mode->stores[i];
    }
    mode->labels = labels;
    mode->stores = stores;
    return true;
}

struct tk_snapshot *
tk_snapshot_new(struct tk_txn_client *client,
                const struct tk_snapshot_options *options)
{
    struct tk_snapshot *snapshot = tk_calloc(sizeof(*snapshot));
    size_t cache_bytes =
        options->cache_bytes == 0 ? TK_SNAPSHOT_CACHE : options->cache_bytes;

    if (snapshot == NULL) {
        return NULL;
    }
    snapshot->client = client;
    snapshot->options = *options;
    atomic_init(&snapshot->refs, 1);
    tk_mutex_init(&snapshot->lock, TK_RANK_LEAF);
    /* The newest is another thing each time. */
    tk_read_cache_init(
        &snapshot->cache,
        options->no_cache || options->version == UINT64_MAX ? 0 : cache_bytes);
    if (!copy_mode(snapshot) ||
        (options->own_ts != 0 &&
         !tk_ts_set_add(&snapshot->bypass, options->own_ts))) {
        tk_snapshot_unref(snapshot);
        return NULL;
    }
    return snapshot;
}

void
tk_snapshot_ref(struct tk_snapshot *snapshot)
{
    atomic_fetch_add_explicit(&snapshot->refs, 1, memory_order_relaxed);
}

void
tk_snapshot_unref(struct tk_snapshot *snapshot)
{
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&snapshot->refs, 1, memory_order_acq_rel) !=
            1) {
        return;
    }
    tk_read_cache_fini(&snapshot->cache);
    tk_ts_set_fini(&snapshot->bypass);
    tk_ts_set_fini(&snapshot->access);
    tk_arena_unref(snapshot->arena);
    tk_mutex_fini(&snapshot->lock);
    tk_free(snapshot);
}

uint64_t
tk_snapshot_version(const struct tk_snapshot *snapshot)
{
    return snapshot->options.version;
}

uint64_t
tk_snapshot_stat(const struct tk_snapshot *snapshot, enum tk_snapshot_stat stat)
{
    return atomic_load_explicit(&snapshot->stats[stat], memory_order_relaxed);
}

void
tk_snapshot_remember(struct tk_snapshot *snapshot, tikv_slice key,
                     tikv_slice value, bool has_commit_ts, uint64_t commit_ts)
{
    if (snapshot->cache.bytes_max == 0) {
        return;
    }
    tk_mutex_lock(&snapshot->lock);
    tk_read_cache_add(&snapshot->cache, key, value, has_commit_ts, commit_ts);
    tk_mutex_unlock(&snapshot->lock);
}

/* ---- one read ---- */

static bool
add_all(struct tk_ts_set *to, const struct tk_ts_set *from)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        if (!tk_ts_set_add(to, from->data[i])) {
            return false;
        }
    }
    return true;
}

tikv_error *
tk_reading_init(struct tk_reading *reading, struct tk_snapshot *snapshot,
                struct tk_op *op)
{
    const struct tk_router *router = &snapshot->client->router;
    const struct tk_config *config = router->config;
    bool copied;

    memset(reading, 0, sizeof(*reading));
    reading->snapshot = snapshot;
    reading->op = op;
    tk_backoff_init(&reading->backoff,
                    tk_config_int(&config->backoff_txn_read_ms) *
                        tk_config_int(&config->backoff_weight));
    tk_lock_set_init(&reading->locks);
    tk_buf_init(&reading->context, CONTEXT_MAX);
    tk_mutex_lock(&snapshot->lock);
    copied = add_all(&reading->bypass, &snapshot->bypass) &&
             add_all(&reading->access, &snapshot->access);
    tk_mutex_unlock(&snapshot->lock);
    return copied
               ? tk_pd_check_read_ts(router->pd, op, snapshot->options.version,
                                     snapshot->options.read.is_stale)
               : tk_error_immortal(TIKV_ERR_MEMORY);
}

void
tk_reading_fini(struct tk_reading *reading)
{
    tk_snapshot_count(reading->snapshot, TK_STAT_BACKOFF_MS,
                      (uint64_t)reading->backoff.total_ms);
    tk_lock_set_fini(&reading->locks);
    tk_ts_set_fini(&reading->bypass);
    tk_ts_set_fini(&reading->access);
    tk_buf_fini(&reading->context);
}

static uint8_t *
put_number(uint8_t *out, uint32_t field, uint64_t number)
{
    if (number == 0) {
        return out;
    }
    out = tk_varint_put(out, field << 3 | TK_WIRE_VARINT);
    return tk_varint_put(out, number);
}

size_t
tk_snapshot_fixed(const struct tk_snapshot *snapshot, uint8_t *out)
{
    const struct tk_snapshot_options *options = &snapshot->options;
    uint8_t *at = out;

    at = put_number(at, CONTEXT_ISOLATION, options->isolation);
    at = put_number(at, CONTEXT_NOT_FILL_CACHE, options->no_fill_cache);
    at = put_number(at, CONTEXT_TASK_ID, options->task_id);
    return (size_t)(at - out);
}

static void
put_set(struct tk_buf *out, uint32_t field, const struct tk_ts_set *set)
{
    size_t len = 0;
    size_t i;

    if (set->count == 0) {
        return;
    }
    for (i = 0; i < set->count; i++) {
        len += tk_varint_len(set->data[i]);
    }
    tk_buf_varint(out, field << 3 | TK_WIRE_BYTES);
    tk_buf_varint(out, len);
    for (i = 0; i < set->count; i++) {
        tk_buf_varint(out, set->data[i]);
    }
}

void
tk_snapshot_context(const struct tk_snapshot *snapshot,
                    const struct tk_ts_set *bypass,
                    const struct tk_ts_set *access, struct tk_buf *out)
{
    uint8_t fixed[TK_SNAPSHOT_FIXED];

    tk_buf_append(out, fixed, tk_snapshot_fixed(snapshot, fixed));
    put_set(out, CONTEXT_RESOLVED_LOCKS, bypass);
    put_set(out, CONTEXT_COMMITTED_LOCKS, access);
}

tikv_error *
tk_reading_job(struct tk_reading *reading, struct tk_job *job,
               const struct tk_job_ops *ops, enum tk_command command)
{
    const struct tk_snapshot_options *options = &reading->snapshot->options;
    struct tk_buf *context = &reading->context;

    tk_buf_clear(context);
    tk_snapshot_context(reading->snapshot, &reading->bypass, &reading->access,
                        context);
    memset(job, 0, sizeof(*job));
    job->ops = ops;
    job->command = command;
    job->budget_ms = reading->backoff.budget_ms;
    job->history = &reading->backoff;
    job->context = tk_buf_slice(context);
    job->read = options->read;
    if (reading->met_locks) {
        /* The leader knows best what became of them (SNAP-6). */
        job->read.is_stale = false;
        job->read.busy_threshold_ms = 0;
    }
    return context->failed ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

tikv_error *
tk_reading_drive(struct tk_reading *reading, struct tk_job *job,
                 struct tk_first *first)
{
    enum tk_snapshot_stat stat = job->command == TK_CMD_KV_GET ? TK_STAT_GETS
                                 : job->command == TK_CMD_KV_SCAN
                                     ? TK_STAT_SCANS
                                     : TK_STAT_BATCH_GETS;
    tikv_error *error =
        tk_drive(&reading->snapshot->client->router, reading->op, job, first);

    tk_backoff_carry(&reading->backoff, &job->backoff);
    tk_snapshot_count(reading->snapshot, stat, job->attempts);
    return error;
}

tikv_error *
tk_reading_problem(struct tk_reading *reading, const struct tk_job *job,
                   const kvrpcpb_KeyError *problem, tikv_slice key)
{
    const struct tk_key_codec *codec = &reading->snapshot->client->router.codec;

    return tk_lock_is_met(problem)
               ? tk_lock_set_meet(&reading->locks, codec, problem, key)
               : tk_key_error(problem, codec, job->command);
}

/* A lock that the request was told to ignore or read through: it is in
 * memory, or the answer is older than the request. Asking again at once would
 * be a spin (lessons 44, 45). */
static bool
is_stuck(const struct tk_reading *reading)
{
    size_t i;

    for (i = 0; i < reading->locks.count; i++) {
        uint64_t ts = reading->locks.data[i].start_ts;

        if (tk_ts_set_has(&reading->bypass, ts) ||
            tk_ts_set_has(&reading->access, ts)) {
            return true;
        }
    }
    return false;
}

/* A read of the newest waits for the lock it finds and for no other: what
 * came later belongs to transactions that run beside the read (SNAP-2). True:
 * there is nothing to resolve. */
static bool
passes_by(struct tk_reading *reading)
{
    uint64_t holder = reading->locks.data[0].start_ts;

    if (!reading->is_lite || reading->snapshot->options.version != UINT64_MAX) {
        return false;
    }
    if (reading->blocker == 0) {
        reading->blocker = holder;
    }
    return reading->blocker != holder &&
           tk_ts_set_add(&reading->bypass, holder);
}

static tikv_error *
share(struct tk_reading *reading)
{
    struct tk_snapshot *snapshot = reading->snapshot;
    bool shared;

    if (snapshot->options.version == UINT64_MAX) {
        return NULL; /* of no use to the next read */
    }
    tk_mutex_lock(&snapshot->lock);
    shared = add_all(&snapshot->bypass, &reading->bypass) &&
             add_all(&snapshot->access, &reading->access);
    tk_mutex_unlock(&snapshot->lock);
    return shared ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
}

static tikv_error *
resolve(struct tk_reading *reading)
{
    struct tk_resolver *resolver = reading->snapshot->client->resolver;
    bool stuck = is_stuck(reading);
    struct tk_resolve resolve = {
        .caller_start_ts = reading->snapshot->options.version,
        .for_read = true,
        .is_lite = reading->is_lite,
        .waits_for_cleaning = reading->waits_for_cleaning,
        .backoff = &reading->backoff,
        .bypass = &reading->bypass,
        .access = &reading->access,
    };
    tikv_error *error =
        tk_resolver_resolve(resolver, reading->op, &resolve, &reading->locks);

    if (error == NULL) {
        error = share(reading);
    }
    if (error == NULL && (stuck || resolve.wait_ms != 0)) {
        if (resolve.wait_ms == 0) {
            resolve.wait_ms = -1;
        }
        error = tk_resolver_wait(resolver, reading->op, &resolve,
                                 TK_BACKOFF_TXN_LOCK_FAST);
    }
    return error;
}

tikv_error *
tk_reading_resolve(struct tk_reading *reading)
{
    struct tk_runtime *rt = reading->snapshot->client->router.rt;
    int64_t start = tk_now(rt);
    tikv_error *error = NULL;

    if (reading->locks.count == 0) {
        return NULL;
    }
    reading->met_locks = true;
    tk_snapshot_count(reading->snapshot, TK_STAT_LOCKS, reading->locks.count);
    if (!passes_by(reading)) {
        error = resolve(reading);
    }
    tk_lock_set_clear(&reading->locks);
    tk_snapshot_count(reading->snapshot, TK_STAT_RESOLVE_NS,
                      (uint64_t)(tk_now(rt) - start));
    return error;
}

void
tk_snapshot_details(struct tk_snapshot *snapshot,
                    const kvrpcpb_ExecDetailsV2 *details)
{
    const kvrpcpb_ScanDetailV2 *scan;
    const kvrpcpb_TimeDetailV2 *time;

    if (details == NULL) {
        return;
    }
    scan = kvrpcpb_ExecDetailsV2_scan_detail_v2(details);
    time = kvrpcpb_ExecDetailsV2_time_detail_v2(details);
    if (scan != NULL) {
        tk_snapshot_count(snapshot, TK_STAT_PROCESSED_VERSIONS,
                          kvrpcpb_ScanDetailV2_processed_versions(scan));
        tk_snapshot_count(snapshot, TK_STAT_PROCESSED_BYTES,
                          kvrpcpb_ScanDetailV2_processed_versions_size(scan));
        tk_snapshot_count(snapshot, TK_STAT_TOTAL_VERSIONS,
                          kvrpcpb_ScanDetailV2_total_versions(scan));
    }
    if (time != NULL) {
        tk_snapshot_count(snapshot, TK_STAT_SERVER_WAIT_NS,
                          kvrpcpb_TimeDetailV2_wait_wall_time_ns(time));
        tk_snapshot_count(snapshot, TK_STAT_SERVER_PROCESS_NS,
                          kvrpcpb_TimeDetailV2_process_wall_time_ns(time));
    }
}

tikv_error *
tk_reading_check(struct tk_reading *reading)
{
    return tk_safe_point_check(&reading->snapshot->client->safe_point,
                               reading->op, reading->snapshot->options.version);
}
