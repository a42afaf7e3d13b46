/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promising doors of snapshots: arguments are checked, then copied behind
 * the future, which is one block and holds the snapshot:
 *
 *     future, struct tk_read | slices, bytes | call's texts
 *     future, hot attempt    | key           | call's texts
 *
 * Gets of single keys start on the short road, the others in the pool. Any
 * thread, no lock.
 */
#include <string.h>

#include "api/snapshot.h"
#include "base/error.h"

struct promise {
    struct tikv_future future; /* first */
    struct tk_read read;
};

static tikv_error *
promise_run(struct tikv_future *future, struct tk_op *op)
{
    struct promise *promise = (struct promise *)(void *)future;

    op->details = promise->read.details;
    return tk_read_run(&promise->read, op, &future->outcome);
}

static void
promise_fini(struct tikv_future *future)
{
    tk_snapshot_unref(((struct promise *)(void *)future)->read.snapshot);
}

static const struct tk_future_ops promise_ops = { .run = promise_run,
                                                  .fini = promise_fini };

/* Bytes behind the struct; SIZE_MAX when they cannot be counted. */
static size_t
copy_size(const struct tk_read *read, const tikv_call *call)
{
    size_t size = tk_call_copy_size(call);
    size_t slices;
    size_t i;

    if (__builtin_mul_overflow(read->count, sizeof(tikv_slice), &slices) ||
        __builtin_add_overflow(size, slices, &size) ||
        __builtin_add_overflow(size, read->range.start.len, &size) ||
        __builtin_add_overflow(size, read->range.end.len, &size)) {
        return SIZE_MAX;
    }
    for (i = 0; i < read->count; i++) {
        if (__builtin_add_overflow(size, read->keys[i].len, &size)) {
            return SIZE_MAX;
        }
    }
    return size;
}

/* Empty stays present, absent stays absent. */
static tikv_slice
copy_slice(tikv_slice from, uint8_t **at)
{
    tikv_slice to = { from.data == NULL ? NULL : *at, from.len };

    if (from.data == NULL) {
        to.len = 0;
    } else if (from.len != 0) {
        memcpy(*at, from.data, from.len);
        *at += from.len;
    }
    return to;
}

static void
copy(const struct tk_read *from, struct tk_read *to, tikv_call *call,
     uint8_t *memory)
{
    tikv_slice *slices = (tikv_slice *)(void *)memory;
    uint8_t *at = memory + from->count * sizeof(*slices);
    size_t i;

    *to = *from;
    for (i = 0; i < from->count; i++) {
        slices[i] = copy_slice(from->keys[i], &at);
    }
    to->keys = slices;
    to->range.start = copy_slice(from->range.start, &at);
    to->range.end = copy_slice(from->range.end, &at);
    (void)tk_call_copy(call, at);
}

_Static_assert(sizeof(struct promise) % sizeof(void *) == 0,
               "slices can stand behind it");

/* ---- one key ---- */

static tikv_error *
hot_run(struct tikv_future *future, struct tk_op *op)
{
    struct tk_snapshot_hot *hot = (struct tk_snapshot_hot *)(void *)future;
    const struct tk_read read = { .kind = TK_READ_GET,
                                  .snapshot = hot->snapshot,
                                  .keys = &hot->key,
                                  .count = 1,
                                  .with_commit_ts = hot->with_commit_ts,
                                  .first = &hot->hot.first };

    op->details = hot->hot.details;
    return tk_read_run(&read, op, &future->outcome);
}

static void
hot_fini(struct tikv_future *future)
{
    struct tk_snapshot_hot *hot = (struct tk_snapshot_hot *)(void *)future;

    tk_hot_fini(&hot->hot);
    tk_snapshot_unref(hot->snapshot);
}

static const struct tk_future_ops hot_ops = { .run = hot_run,
                                              .take_back = tk_hot_take_back,
                                              .flush = tk_hot_flush,
                                              .fini = hot_fini };

_Static_assert(sizeof(struct tk_snapshot_hot) + 128 <= TK_FUTURE_BLOCK,
               "a get fits a block that is recycled");

static tikv_future *
promise_hot(tikv_snapshot *snapshot, const struct tk_read *read,
            const tikv_call *call)
{
    tikv_slice key = read->keys[0];
    size_t size = sizeof(struct tk_snapshot_hot) + tk_call_copy_size(call);
    struct tikv_future *future = NULL;
    struct tk_snapshot_hot *hot;
    uint8_t *at;

    if (!__builtin_add_overflow(size, key.len, &size)) {
        future = tk_future_new(
            snapshot->exec, size, &hot_ops, TK_KIND_VALUE, call,
            tk_config_ns(&snapshot->client->config.call_timeout_ms));
    }
    if (future == NULL) {
        return tk_future_immortal();
    }
    hot = (struct tk_snapshot_hot *)(void *)future;
    tk_hot_init(&hot->hot, &snapshot->client->txns->router);
    hot->hot.details = read->details;
    at = (uint8_t *)(hot + 1);
    hot->key = copy_slice(key, &at);
    (void)tk_call_copy(&future->call, at);
    hot->with_commit_ts = read->with_commit_ts;
    hot->snapshot = snapshot->inner;
    tk_snapshot_ref(snapshot->inner);
    tk_snapshot_hot_start(hot);
    return future;
}

tikv_future *
tk_read_promise(tikv_snapshot *snapshot, const struct tk_read *read,
                const tikv_call *call)
{
    tikv_error *error = tk_exec_refusal(snapshot->exec);
    enum tk_future_kind kind =
        read->kind == TK_READ_GET ? TK_KIND_VALUE : TK_KIND_PAIRS;
    struct tikv_future *future = NULL;
    struct promise *promise;
    size_t size;

    if (error != NULL) {
        return tk_future_refused(snapshot->exec, error);
    }
    if (read->kind == TK_READ_GET && tk_snapshot_is_hot(snapshot->inner)) {
        return promise_hot(snapshot, read, call);
    }
    if (!__builtin_add_overflow(copy_size(read, call), sizeof(*promise),
                                &size)) {
        future = tk_future_new(
            snapshot->exec, size, &promise_ops, kind, call,
            tk_config_ns(&snapshot->client->config.call_timeout_ms));
    }
    if (future == NULL) {
        return tk_future_immortal();
    }
    promise = (struct promise *)(void *)future;
    copy(read, &promise->read, &future->call, (uint8_t *)(promise + 1));
    promise->read.snapshot = snapshot->inner;
    tk_snapshot_ref(snapshot->inner);
    tk_future_listen(future);
    tk_future_start(future, false);
    return future;
}

static tikv_future *
refuse(const tikv_snapshot *snapshot, tikv_error *error)
{
    if (snapshot == NULL) {
        tikv_error_free(error);
        return tk_future_orphan();
    }
    return tk_future_refused(snapshot->exec, error);
}

static tikv_future *
promise_keys(tikv_snapshot *snapshot, struct tk_read *read,
             const tikv_read_options *options)
{
    tikv_call call;
    tikv_error *error = tk_read_options(options, read, &call);

    if (error == NULL) {
        error = tk_read_check(snapshot, read);
    }
    return error != NULL ? refuse(snapshot, error)
                         : tk_read_promise(snapshot, read, &call);
}

tikv_future *
tikv_snapshot_get_async(tikv_snapshot *snapshot, tikv_slice key,
                        const tikv_read_options *options)
{
    struct tk_read read = { .kind = TK_READ_GET, .keys = &key, .count = 1 };

    return promise_keys(snapshot, &read, options);
}

tikv_future *
tikv_snapshot_batch_get_async(tikv_snapshot *snapshot, const tikv_slice *keys,
                              size_t count, const tikv_read_options *options)
{
    struct tk_read read = { .kind = TK_READ_BATCH_GET,
                            .keys = keys,
                            .count = count };

    return promise_keys(snapshot, &read, options);
}

tikv_future *
tikv_snapshot_scan_async(tikv_snapshot *snapshot, tikv_range range,
                         const tikv_range_options *options)
{
    struct tk_read read = { .kind = TK_READ_SCAN, .range = range };
    tikv_call call;
    tikv_error *error = tk_range_options(options, &read, &call);

    if (error == NULL) {
        error = tk_read_check(snapshot, &read);
    }
    return error != NULL ? refuse(snapshot, error)
                         : tk_read_promise(snapshot, &read, &call);
}
