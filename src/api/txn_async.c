/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promising doors of transactions. A future holds the transaction, copies
 * of its arguments stand behind it in one block, and a worker runs the plain
 * function:
 *
 *     struct promise | keys' slices | bytes of keys | call's texts
 *
 * Commit and rollback take the transaction at once, before the worker runs.
 * Any thread, no lock.
 */
#include "api/txn.h"

#include <string.h>

#include "base/call.h"
#include "base/error.h"

struct promise {
    struct tikv_future future; /* first */
    tikv_txn *txn;             /* counted */
    tikv_error *(*run)(struct promise *, struct tk_op *);
    tikv_slice *keys;
    size_t count;
    tikv_range range;
    struct tk_read read; /* its options */
};

static tikv_error *
run_promise(struct tikv_future *future, struct tk_op *op)
{
    struct promise *promise = (struct promise *)(void *)future;

    op->details = promise->read.details;
    return promise->run(promise, op);
}

static void
promise_fini(struct tikv_future *future)
{
    tk_txn_unref(((struct promise *)(void *)future)->txn);
}

static const struct tk_future_ops ops = { .run = run_promise,
                                          .fini = promise_fini };

static tikv_future *
refuse(const tikv_txn *txn, tikv_error *error)
{
    if (txn == NULL) {
        tikv_error_free(error);
        return tk_future_orphan();
    }
    return tk_future_refused(txn->exec, error);
}

/* What a future is made from; all memory is the caller's. */
struct wish {
    tikv_txn *txn;
    enum tk_future_kind kind;
    tikv_error *(*run)(struct promise *, struct tk_op *);
    const tikv_slice *keys;
    size_t count;
    struct tk_read read;
    bool must; /* the pool may not refuse: the transaction was taken */
};

static struct promise *
promise_new(const struct wish *wish, const tikv_call *call)
{
    size_t head = (sizeof(struct promise) + sizeof(void *) - 1) /
                  sizeof(void *) * sizeof(void *);
    size_t size = head + wish->count * sizeof(tikv_slice);
    struct promise *promise = NULL;
    tikv_call merged;
    uint8_t *at;
    size_t i;

    tk_txn_call(wish->txn, call, &merged);
    size += tk_call_copy_size(&merged);
    for (i = 0; i < wish->count; i++) {
        if (__builtin_add_overflow(size, wish->keys[i].len, &size)) {
            return NULL;
        }
    }
    promise = (struct promise *)(void *)tk_future_new(
        wish->txn->exec, size, &ops, wish->kind, &merged,
        tk_config_ns(&wish->txn->client->router.config->call_timeout_ms));
    if (promise == NULL) {
        return NULL;
    }
    promise->txn = wish->txn;
    tk_txn_ref(wish->txn);
    promise->run = wish->run;
    promise->read = wish->read;
    promise->count = wish->count;
    promise->keys = (tikv_slice *)(void *)((uint8_t *)promise + head);
    at = (uint8_t *)(promise->keys + wish->count);
    for (i = 0; i < wish->count; i++) {
        tikv_slice from = wish->keys[i];

        promise->keys[i] =
            (tikv_slice){ from.data == NULL ? NULL : at, from.len };
        if (from.len != 0) {
            memcpy(at, from.data, from.len);
            at += from.len;
        }
    }
    (void)tk_call_copy(&promise->future.call, at);
    return promise;
}

static tikv_future *
start(const struct wish *wish, const tikv_call *call)
{
    struct promise *promise = promise_new(wish, call);

    if (promise == NULL) {
        return tk_future_immortal();
    }
    tk_future_listen(&promise->future);
    tk_future_start(&promise->future, wish->must);
    return &promise->future;
}

/* ---- reads ---- */

static tikv_error *
run_get(struct promise *promise, struct tk_op *op)
{
    return tk_txn_get(promise->txn, op, promise->keys[0],
                      promise->read.with_commit_ts,
                      &promise->future.outcome.value);
}

static tikv_error *
run_batch_get(struct promise *promise, struct tk_op *op)
{
    return tk_txn_batch_get(promise->txn, op, promise->keys, promise->count,
                            promise->read.with_commit_ts,
                            &promise->future.outcome.pairs);
}

static tikv_error *
run_scan(struct promise *promise, struct tk_op *op)
{
    const tikv_range range = { promise->keys[0], promise->keys[1] };

    return tk_txn_scan(promise->txn, op, range, &promise->read.scan,
                       &promise->future.outcome.pairs);
}

static tikv_error *
check(const tikv_txn *txn, const tikv_read_options *options,
      struct tk_read *read, tikv_call *call)
{
    tikv_error *error = tk_txn_door_refusal(txn);

    return error == NULL ? tk_read_options(options, read, call) : error;
}

tikv_future *
tikv_txn_get_async(tikv_txn *txn, tikv_slice key,
                   const tikv_read_options *options)
{
    struct wish wish = { .txn = txn,
                         .kind = TK_KIND_VALUE,
                         .run = run_get,
                         .keys = &key,
                         .count = 1 };
    tikv_call call;
    tikv_error *error = check(txn, options, &wish.read, &call);

    if (error == NULL) {
        error = tk_txn_door_key(key);
    }
    return error != NULL ? refuse(txn, error) : start(&wish, &call);
}

tikv_future *
tikv_txn_batch_get_async(tikv_txn *txn, const tikv_slice *keys, size_t count,
                         const tikv_read_options *options)
{
    struct wish wish = { .txn = txn,
                         .kind = TK_KIND_PAIRS,
                         .run = run_batch_get,
                         .keys = keys,
                         .count = count };
    tikv_call call;
    tikv_error *error = check(txn, options, &wish.read, &call);

    if (error == NULL) {
        error = tk_txn_door_keys(keys, count);
    }
    return error != NULL ? refuse(txn, error) : start(&wish, &call);
}

tikv_future *
tikv_txn_scan_async(tikv_txn *txn, tikv_range range,
                    const tikv_range_options *options)
{
    const tikv_slice ends[2] = { range.start, range.end };
    struct wish wish = { .txn = txn,
                         .kind = TK_KIND_PAIRS,
                         .run = run_scan,
                         .keys = ends,
                         .count = 2 };
    tikv_error *error = tk_txn_door_refusal(txn);
    tikv_call call;

    if (error == NULL) {
        error = tk_txn_door_range(range);
    }
    if (error == NULL) {
        error = tk_range_options(options, &wish.read, &call);
    }
    return error != NULL ? refuse(txn, error) : start(&wish, &call);
}

/* ---- ends ---- */

static tikv_error *
run_commit(struct promise *promise, struct tk_op *op)
{
    return tk_txn_commit(promise->txn, op, &promise->future.outcome.number[0]);
}

static tikv_error *
run_rollback(struct promise *promise, struct tk_op *op)
{
    (void)op;
    tk_txn_rollback(promise->txn);
    return NULL;
}

static tikv_future *
end(tikv_txn *txn, const tikv_call *call, struct wish *wish)
{
    tikv_error *error = tk_txn_door_refusal(txn);
    tikv_call copy;

    if (error == NULL) {
        error = tk_call_read(call, &copy, &wish->read.details);
    }
    if (error == NULL) {
        error = tk_txn_claim_end(txn);
    }
    wish->txn = txn;
    wish->must = true;
    return error != NULL ? refuse(txn, error) : start(wish, &copy);
}

tikv_future *
tikv_txn_commit_async(tikv_txn *txn, const tikv_call *call)
{
    struct wish wish = { .kind = TK_KIND_U64, .run = run_commit };

    return end(txn, call, &wish);
}

tikv_future *
tikv_txn_rollback_async(tikv_txn *txn, const tikv_call *call)
{
    struct wish wish = { .kind = TK_KIND_DONE, .run = run_rollback };

    return end(txn, call, &wish);
}
