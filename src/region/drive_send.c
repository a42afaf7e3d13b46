/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a shard that is aimed to a request on the wire: cut off what lies
 * beyond its region or beyond the limits of one request, encode what is not
 * encoded yet, submit. What is cut off is a shard of its own that inherits
 * budget, history and doubt.
 *
 * Runs on the runner's thread, except tk_shard_done().
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "region/drive_inner.h"
#include "wire/context.h"

#include "upb/arena.h"

/* On the transport's thread. */
static void
shard_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct tk_shard *shard = (struct tk_shard *)(void *)request;

    shard->status = reply->status;
    shard->grpc = reply->grpc;
    shard->never_sent = reply->never_sent;
    shard->data = tk_slice(reply->data, reply->len);
    shard->frame = reply->frame;
    shard->feed = reply->feed;
    if (reply->status != TK_REPLY_OK) {
        snprintf(shard->details, sizeof(shard->details), "%s", reply->details);
    }
    tk_op_push(shard->op, &shard->note, wakes);
}

/* How many items, from the first, go into one request to a region that ends
 * at `end`. At least one. */
static size_t
fitting_count(struct tk_run *run, const struct tk_piece *piece, tikv_slice end)
{
    struct tk_job *job = run->job;
    size_t bytes = 0;
    size_t count;

    for (count = 0; count < piece->count; count++) {
        size_t item = piece->first + count;

        if (count > 0 && job->piece_count_max != 0 &&
            count == job->piece_count_max) {
            break;
        }
        if (count > 0 && end.len != 0 &&
            tk_slice_compare(job->ops->key(job, item), end) >= 0) {
            break;
        }
        if (job->ops->weight != NULL && job->piece_bytes_max != 0) {
            bytes += job->ops->weight(job, item);
            if (count > 0 && bytes > job->piece_bytes_max) {
                break;
            }
        }
    }
    return count;
}

/* The region's end in memory that lives as long as the run. */
static bool
keep_end(struct tk_run *run, tikv_slice end, tikv_slice *out)
{
    uint8_t *copy;

    if (run->bounds == NULL) {
        run->bounds = tk_arena_new();
    }
    copy = run->bounds == NULL ? NULL
                               : upb_Arena_Malloc(run->bounds->upb, end.len);
    if (copy != NULL) {
        memcpy(copy, end.data, end.len);
        *out = (tikv_slice){ copy, end.len };
    }
    return copy != NULL;
}

tikv_error *
tk_shard_cut(struct tk_run *run, struct tk_shard *shard)
{
    tikv_slice end = tk_buf_slice(&run->end);
    struct tk_piece rest = shard->piece;
    struct tk_shard *other;

    if (tk_run_is_range(run)) {
        if (end.len == 0 ||
            (rest.end.len != 0 && tk_slice_compare(rest.end, end) <= 0)) {
            return NULL;
        }
    } else {
        size_t count = fitting_count(run, &shard->piece, end);

        if (count == rest.count) {
            return NULL;
        }
        rest.first += count;
        rest.count -= count;
    }
    other = tk_shard_new(run);
    if (other == NULL ||
        (tk_run_is_range(run) && !keep_end(run, end, &rest.start))) {
        if (other != NULL) {
            tk_shard_finish(run, other);
        }
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_arena_unref(shard->arena);
    shard->arena = NULL;
    shard->body = (tikv_slice){ NULL, 0 };
    shard->piece.end = rest.start;
    shard->piece.count -= rest.count;
    other->piece = rest;
    other->piece.region_id = 0;
    tk_backoff_fork(&other->backoff, &shard->backoff);
    other->was_sent = shard->was_sent;
    other->in_doubt = shard->in_doubt;
    other->sleepless = shard->sleepless;
    other->lacks_timeout = shard->lacks_timeout;
    other->first_kind = shard->first_kind;
    tk_shards_push_front(&run->ready, other);
    return NULL;
}

static tikv_error *
encode(struct tk_run *run, struct tk_shard *shard)
{
    if (shard->body.data != NULL) {
        return NULL;
    }
    if (shard->arena == NULL) {
        shard->arena = tk_arena_new();
    }
    if (shard->arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return run->job->ops->encode(run->job, &shard->piece, shard->arena,
                                 &shard->body);
}

static int64_t
time_limit(const struct tk_run *run, const struct tk_shard *shard)
{
    const struct tk_read_mode *mode = &run->job->read;

    if (run->job->attempt_ms > 0) {
        return run->job->attempt_ms * TK_MS;
    }
    if (mode->timeout_ms > 0 && !shard->lacks_timeout && tk_run_reads(run)) {
        return mode->timeout_ms > INT32_MAX ? INT32_MAX * TK_MS
                                            : mode->timeout_ms * TK_MS;
    }
    return run->row->timeout_ms != 0
               ? (int64_t)run->row->timeout_ms * TK_MS
               : tk_config_ns(&run->router->config->rpc_attempt_timeout_ms);
}

static const char *
kind_name(unsigned kind)
{
    return (kind & TK_KIND_FOLLOWER) != 0 ? "follower" : "leader";
}

/* "leader_x", "stale_follower_x"; "retry_stale_follower_leader_x" (RS-13).
 * TiKV goes by the last part. */
static const char *
source_of(struct tk_run *run, struct tk_shard *shard)
{
    const char *source = run->op->call->request_source;
    bool is_follower =
        shard->has_round && shard->selector.target != shard->selector.leader;
    unsigned kind = (is_follower ? TK_KIND_FOLLOWER : TK_KIND_LEADER) |
                    (shard->stale_read ? (unsigned)TK_KIND_STALE : 0);
    bool is_first = shard->first_kind == 0;

    if (is_first) {
        shard->first_kind = (uint8_t)kind;
    }
    if (!run->job->patches_source || source == NULL || source[0] == '\0') {
        return NULL;
    }
    tk_buf_clear(&run->source);
    tk_buf_printf(&run->source, "%s%s%s", is_first ? "" : "retry_",
                  (shard->first_kind & TK_KIND_STALE) != 0 ? "stale_" : "",
                  kind_name(shard->first_kind));
    if (!is_first) {
        tk_buf_printf(&run->source, "_%s", kind_name(kind));
    }
    tk_buf_printf(&run->source, "_%s", source);
    tk_buf_append(&run->source, "", 1);
    return run->source.failed ? source : (const char *)run->source.data;
}

/* The part of the context that tells of the attempt. */
static void
put_context(struct tk_run *run, struct tk_shard *shard, int64_t now,
            int64_t until)
{
    bool is_hurried = run->job->read.timeout_ms > 0 && !shard->lacks_timeout;
    struct tk_context_call context = {
        .call = run->op->call,
        .max_execution_ms = is_hurried ? 0 : run->job->max_execution_ms,
        .is_retry = shard->was_sent || run->job->is_retry,
        .replica_read = shard->replica_read,
        .stale_read = shard->stale_read,
        .busy_threshold_ms = shard->busy_threshold_ms,
        .buckets_version = shard->buckets_version,
        .source = source_of(run, shard),
    };

    if (context.max_execution_ms == 0) {
        context.max_execution_ms =
            until > now ? (uint64_t)((until - now + TK_MS - 1) / TK_MS) : 1;
    }
    tk_buf_clear(&run->context);
    tk_context_call(&run->context, &context);
    tk_buf_append_slice(&run->context, run->job->context);
}

static tikv_error *
prepare_call(struct tk_run *run, struct tk_shard *shard)
{
    int64_t now = tk_now(run->router->rt);
    int64_t until = tk_after(now, time_limit(run, shard));
    struct tk_conn *target;

    shard->ends_with_op = run->op->deadline <= until;
    until = shard->ends_with_op ? run->op->deadline : until;
    shard->sent_at = now;
    shard->buckets_version =
        tk_run_compares_buckets(run)
            ? tk_cache_buckets_version(run->router->cache, &shard->route)
            : 0;
    put_context(run, shard, now, until);
    memset(&shard->request, 0, sizeof(shard->request));
    shard->request.done = shard_done;
    shard->request.deadline = until;
    shard->request.is_urgent = run->op->call->priority == TIKV_PRIORITY_HIGH;
    shard->request.parts.command = run->job->command;
    shard->request.parts.region =
        tk_slice(shard->route.context, shard->route.context_len);
    shard->request.parts.call = tk_buf_slice(&run->context);
    shard->request.parts.body = shard->body;
    if (shard->via != NULL) {
        target = atomic_load_explicit(&shard->route.store->conn,
                                      memory_order_acquire);
        shard->request.forward_to =
            target == NULL ? NULL : tk_conn_address(target);
    }
    return run->context.failed ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

/* False: as many requests as may be are under way to that store. */
static bool
count(struct tk_run *run, struct tk_shard *shard)
{
    struct tk_store *store =
        shard->via != NULL ? shard->via : shard->route.store;
    int64_t most = tk_config_int(&run->router->config->stores_inflight_max);

    if (most == 0) {
        return true;
    }
    if (atomic_fetch_add(&store->inflight, 1) >= (uint32_t)most) {
        atomic_fetch_sub(&store->inflight, 1);
        return false;
    }
    shard->counted = store;
    return true;
}

void
tk_shard_uncount(struct tk_shard *shard)
{
    if (shard->counted != NULL) {
        atomic_fetch_sub(&shard->counted->inflight, 1);
        shard->counted = NULL;
    }
}

/* Takes the cause. */
static void
wait_for_room(struct tk_run *run, struct tk_shard *shard, tikv_error *cause)
{
    shard->is_aimed = shard->has_round;
    tk_shard_set_cause(shard, cause);
    tk_shard_pause(run, shard, TK_BACKOFF_REGION_SCHEDULING, -1);
}

static tikv_error *
full(const struct tk_run *run)
{
    int64_t max = tk_config_int(&run->router->config->memory_max_bytes);
    tikv_error *error = tk_error(
        TIKV_ERR_OVERLOAD,
        "the client holds all of its memory.max_bytes, %lld: answers that "
        "were not freed, requests that were not sent, transactions",
        (long long)max);

    tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, (uint64_t)max);
    return error;
}

static tikv_error *
too_large(const struct tk_run *run, const struct tk_shard *shard)
{
    const struct tk_parts *parts = &shard->request.parts;
    uint64_t size = parts->region.len + parts->call.len + parts->body.len;
    uint64_t max =
        (uint64_t)tk_config_int(&run->router->config->rpc_request_max_bytes);
    tikv_error *error = tk_error(
        TIKV_ERR_TOO_LARGE,
        "%s: a request of %llu bytes, rpc.request_max_bytes is %llu",
        run->row->name, (unsigned long long)size, (unsigned long long)max);

    tk_error_set_u64(error, TIKV_ERROR_SIZE_BYTES, size);
    tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, max);
    return error;
}

/* Waits for room, or fails where no waiting helps. */
static void
refuse(struct tk_run *run, struct tk_shard *shard, enum tk_submit why)
{
    switch (why) {
    case TK_SUBMIT_CLOSED:
        tk_shard_fail(run, shard, tk_error_immortal(TIKV_ERR_CLOSED));
        break;
    case TK_SUBMIT_TOO_LARGE:
        tk_shard_fail(run, shard, too_large(run, shard));
        break;
    case TK_SUBMIT_FULL:
        wait_for_room(run, shard, full(run));
        break;
    case TK_SUBMIT_BUSY:
    case TK_SUBMIT_OK:
    default:
        wait_for_room(
            run, shard,
            tk_error(TIKV_ERR_OVERLOAD, "too many requests are in flight"));
        break;
    }
}

/* On the list of the sent before it is submitted: the answer may be there
 * when submit returns. */
static void
submit(struct tk_run *run, struct tk_shard *shard, struct tk_conn *conn)
{
    bool is_busy = tk_conn_is_busy(conn);
    bool has_more = run->ready.first != NULL;
    enum tk_submit submitted;

    if (!count(run, shard)) {
        wait_for_room(run, shard,
                      tk_error(TIKV_ERR_OVERLOAD,
                               "too many requests are in flight to the "
                               "store"));
        return;
    }
    shard->wants_flush = has_more && !is_busy;
    tk_frame_unref(shard->frame, 1);
    shard->frame = NULL;
    tk_feed_drop(shard->feed);
    shard->feed = NULL;
    tk_shards_push(&run->sent, shard);
    submitted = tk_conn_submit(conn, &shard->request, has_more || is_busy);
    if (submitted == TK_SUBMIT_OK) {
        shard->attempts++;
        shard->was_sent = true;
        run->job->attempts++;
        tk_spent_request(&run->op->spent, tk_shard_is_far(run, shard),
                         tk_parts_len(&shard->request.parts));
        shard->hedge_at = TK_NEVER;
        if (run->hedge_ns != 0 && !shard->is_hedge) {
            shard->hedge_at = tk_after(shard->sent_at, run->hedge_ns);
            tk_stores_hedge_earn(
                run->router->stores,
                tk_config_int(&run->router->config->read_hedge_percent));
        }
        tk_point(run->router->rt);
        return;
    }
    tk_shards_remove(&run->sent, shard);
    tk_shard_uncount(shard);
    refuse(run, shard, submitted);
}

void
tk_shard_submit(struct tk_run *run, struct tk_shard *shard,
                struct tk_conn *conn)
{
    tikv_error *error = encode(run, shard);

    if (error == NULL) {
        error = prepare_call(run, shard);
    }
    if (error != NULL) {
        tk_shard_fail(run, shard, error);
        return;
    }
    submit(run, shard, conn);
}

void
tk_shard_send(struct tk_run *run, struct tk_shard *shard)
{
    struct tk_conn *conn = tk_shard_aim(run, shard);

    if (conn != NULL) {
        tk_shard_submit(run, shard, conn);
    }
}
