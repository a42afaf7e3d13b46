/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short road of snapshots: one key, asked from the caller's thread and
 * answered by the transport's. Whatever is not plain goes to the pool, which
 * runs tk_snapshot_get_after(): reads that leaders need not serve, versions
 * that PD has to be asked about, locks, and answers of which nobody here
 * knows whether they lie above the safe point.
 *
 * What the snapshot has read already completes at once. Lock: snapshot.lock,
 * for cache and sets.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/spent.h"
#include "pd/oracle.h"
#include "txn/snapshot_inner.h"
#include "wire/context.h"
#include "wire/proto.h"

#include "kvrpcpb.upb.h"

/* Fields of kvrpcpb.GetRequest and GetResponse. */
enum { GET_KEY = 2, GET_VERSION = 3, GET_NEED_COMMIT_TS = 4 };
enum { GOT_DETAILS = 6, GOT_COMMIT_TS = 7 };

/* Longer bodies are encoded in memory of their own. */
#define BODY_INLINE 1024
#define CONTEXT_MAX (1 << 20)

bool
tk_snapshot_is_hot(const struct tk_snapshot *snapshot)
{
    const struct tk_snapshot_options *options = &snapshot->options;
    const struct tk_read_mode *mode = &options->read;
    int64_t seen_at;

    return snapshot->client->router.codec.mode == TK_KEYS_TXN_V1 &&
           mode->from == TK_READ_LEADER && !mode->is_stale &&
           mode->busy_threshold_ms == 0 && mode->timeout_ms == 0 &&
           mode->labels_count == 0 && mode->stores_count == 0 &&
           (options->version == UINT64_MAX ||
            options->version <=
                tk_pd_newest(snapshot->client->router.pd, &seen_at));
}

static struct tk_snapshot_hot *
self_of(struct tk_hot *hot)
{
    return (struct tk_snapshot_hot *)(void *)hot;
}

/* ---- the answer, on the transport's thread ---- */

static bool
accept(struct tk_hot *hot, const struct tk_peek *peek, tikv_slice answer)
{
    struct tk_snapshot_hot *self = self_of(hot);
    struct tk_cursor cursor = tk_cursor(answer);
    struct tk_field field;

    self->commit_ts = 0;
    self->details = (tikv_slice){ NULL, 0 };
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == GOT_COMMIT_TS && field.type == TK_WIRE_VARINT) {
            self->commit_ts = field.value;
        } else if (field.number == GOT_DETAILS && field.type == TK_WIRE_BYTES) {
            self->details = field.bytes;
        }
    }
    return (!self->with_commit_ts || peek->not_found || self->commit_ts != 0) &&
           tk_safe_point_passes(&self->snapshot->client->safe_point,
                                self->snapshot->options.version);
}

static void
count_details(struct tk_snapshot *snapshot, tikv_slice details)
{
    struct tk_arena *arena = details.data == NULL ? NULL : tk_arena_new();

    if (arena != NULL) {
        tk_snapshot_details(
            snapshot, tk_arena_decode(arena, &kvrpcpb_ExecDetailsV2_msginit,
                                      details.data, details.len, NULL));
        tk_arena_unref(arena);
    }
}

static tikv_error *
clean(struct tk_hot *hot, const struct tk_peek *peek, struct tk_frame *frame)
{
    struct tk_snapshot_hot *self = self_of(hot);
    struct tk_snapshot *snapshot = self->snapshot;
    struct tk_outcome *outcome = &hot->future.outcome;
    tikv_slice value = { NULL, 0 };
    tikv_error *error = NULL;

    if (!peek->not_found) {
        value =
            tk_slice(peek->value.len == 0 ? "" : (const char *)peek->value.data,
                     peek->value.len);
        outcome->value = tk_future_value(&hot->future, value, frame);
        error =
            outcome->value == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
    }
    if (outcome->value != NULL && self->with_commit_ts) {
        outcome->value->commit_ts = self->commit_ts;
    }
    tk_snapshot_count(snapshot, TK_STAT_GETS, 1);
    count_details(snapshot, self->details);
    tk_snapshot_remember(snapshot, self->key, value, self->with_commit_ts,
                         self->commit_ts);
    tk_frame_unref(frame, 1);
    return error;
}

/* ---- the request, on the caller's ---- */

static void
hand_over(struct tk_snapshot_hot *self)
{
    tk_future_listen(&self->hot.future);
    tk_future_start(&self->hot.future, false);
}

/* With the context of the call encoded. */
static void
start(struct tk_snapshot_hot *self, tikv_slice context)
{
    const struct tk_snapshot *snapshot = self->snapshot;
    uint64_t version = snapshot->options.version;
    size_t len = 1 + tk_varint_len(self->key.len) + self->key.len + 1 +
                 tk_varint_len(version) + (self->with_commit_ts ? 2 : 0);
    uint8_t place[BODY_INLINE];
    uint8_t *body = len > sizeof(place) ? tk_alloc(len) : place;
    uint8_t *at = body;

    if (body == NULL) {
        hand_over(self);
        return;
    }
    *at++ = GET_KEY << 3 | TK_WIRE_BYTES;
    at = tk_varint_put(at, self->key.len);
    if (self->key.len != 0) {
        memcpy(at, self->key.data, self->key.len);
        at += self->key.len;
    }
    *at++ = GET_VERSION << 3 | TK_WIRE_VARINT;
    at = tk_varint_put(at, version);
    if (self->with_commit_ts) {
        *at++ = GET_NEED_COMMIT_TS << 3 | TK_WIRE_VARINT;
        *at++ = 1;
    }
    tk_hot_start(&self->hot, self->key, context, tk_slice(body, len));
    if (body != place) {
        tk_free(body);
    }
}

/* A call that says something of itself, or a snapshot that has met locks. */
static void
start_talkative(struct tk_snapshot_hot *self,
                const struct tk_context_call *context)
{
    struct tk_snapshot *snapshot = self->snapshot;
    struct tk_buf buf;

    tk_buf_init(&buf, CONTEXT_MAX);
    tk_context_call(&buf, context);
    tk_mutex_lock(&snapshot->lock);
    tk_snapshot_context(snapshot, &snapshot->bypass, &snapshot->access, &buf);
    tk_mutex_unlock(&snapshot->lock);
    if (buf.failed) {
        hand_over(self);
    } else {
        start(self, tk_buf_slice(&buf));
    }
    tk_buf_fini(&buf);
}

/* Under the lock: what was read becomes the outcome. */
static tikv_error *
give(struct tk_snapshot_hot *self, const struct tk_read_entry *entry)
{
    struct tikv_future *future = &self->hot.future;

    if (!entry->exists) {
        return NULL;
    }
    future->outcome.value = tk_future_value(future, tk_read_value(entry), NULL);
    if (future->outcome.value == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (self->with_commit_ts) {
        future->outcome.value->commit_ts = entry->commit_ts;
    }
    return NULL;
}

/* The cache knows, and it may still be read: the future is complete. */
static bool
is_known(struct tk_snapshot_hot *self, bool *has_lists)
{
    struct tk_snapshot *snapshot = self->snapshot;
    const struct tk_read_entry *entry;
    struct tk_wakes wakes;
    tikv_error *error;

    tk_mutex_lock(&snapshot->lock);
    *has_lists = snapshot->bypass.count != 0 || snapshot->access.count != 0;
    entry =
        tk_read_cache_find(&snapshot->cache, self->key, self->with_commit_ts);
    tk_mutex_unlock(&snapshot->lock);
    if (entry == NULL || !tk_safe_point_passes(&snapshot->client->safe_point,
                                               snapshot->options.version)) {
        return false;
    }
    /* Entries stay where they are. */
    tk_mutex_lock(&snapshot->lock);
    error = give(self, entry);
    tk_mutex_unlock(&snapshot->lock);
    tk_snapshot_count(snapshot, TK_STAT_CACHE_HITS, 1);
    if (self->hot.details != NULL) {
        tk_spent_add(&self->hot.details->spent,
                     &(struct tk_spent){ .calls = 1 });
    }
    tk_future_listen(&self->hot.future);
    tk_wakes_init(&wakes, snapshot->client->router.rt);
    tk_future_complete(&self->hot.future, error, &wakes);
    tk_wakes_flush(&wakes);
    return true;
}

void
tk_snapshot_hot_start(struct tk_snapshot_hot *self)
{
    const struct tk_snapshot *snapshot = self->snapshot;
    const struct tk_config *config = snapshot->client->router.config;
    struct tk_context_call context = {
        .call = &self->hot.future.call,
        .max_execution_ms =
            (uint64_t)tk_config_int(&config->rpc_attempt_timeout_ms)
    };
    uint8_t plain[TK_CONTEXT_PLAIN + TK_SNAPSHOT_FIXED];
    bool has_lists;
    size_t len;

    self->hot.command = TK_CMD_KV_GET;
    self->hot.is_write = false;
    self->hot.accept = accept;
    self->hot.clean = clean;
    if (is_known(self, &has_lists)) {
        return;
    }
    if (has_lists || !tk_context_is_plain(context.call)) {
        start_talkative(self, &context);
        return;
    }
    len = tk_context_plain(plain, context.max_execution_ms);
    len += tk_snapshot_fixed(snapshot, plain + len);
    start(self, tk_slice(plain, len));
}
