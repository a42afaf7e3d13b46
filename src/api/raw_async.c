/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promising doors of raw operations: arguments are checked, then copied
 * behind the future, which is one block:
 *
 *     future [hot attempt] struct tk_raw | slices, TTLs, bytes | call's texts
 *
 * Point operations start on the short road, the others in the pool. Any
 * thread, no lock.
 */
#include <tikv/raw.h>

#include <string.h>

#include "api/client.h"
#include "base/error.h"
#include "raw/raw.h"

/* A future that a worker runs. */
struct plain {
    struct tikv_future future; /* first */
    struct tk_router *router;
    struct tk_raw raw;
};

static tikv_error *
plain_run(struct tikv_future *future, struct tk_op *op)
{
    struct plain *plain = (struct plain *)(void *)future;

    op->details = plain->raw.details;
    return tk_raw_run(plain->router, op, &plain->raw, NULL, &future->outcome);
}

static const struct tk_future_ops plain_ops = { .run = plain_run };

static tikv_error *
hot_run(struct tikv_future *future, struct tk_op *op)
{
    struct tk_raw_hot *hot = (struct tk_raw_hot *)(void *)future;

    op->details = hot->raw.details;
    return tk_raw_run(hot->hot.router, op, &hot->raw, &hot->hot.first,
                      &future->outcome);
}

static void
hot_fini(struct tikv_future *future)
{
    tk_hot_fini((struct tk_hot *)(void *)future);
}

static const struct tk_future_ops hot_ops = { .run = hot_run,
                                              .take_back = tk_hot_take_back,
                                              .flush = tk_hot_flush,
                                              .fini = hot_fini };

/* A struct rounded up to where slices can stand. */
#define ROUNDED(type)                                                          \
    ((sizeof(type) + sizeof(void *) - 1) / sizeof(void *) * sizeof(void *))

_Static_assert(ROUNDED(struct tk_raw_hot) + 128 <= TK_FUTURE_BLOCK,
               "a point operation fits a block that is recycled");

static struct tikv_future *
new_future(tikv_client *client, const struct tk_raw *raw,
           enum tk_future_kind kind, const tikv_call *call)
{
    bool is_hot = tk_raw_is_hot(raw->kind);
    size_t head = is_hot ? ROUNDED(struct tk_raw_hot) : ROUNDED(struct plain);
    size_t size = tk_raw_copy_size(raw);
    struct tikv_future *future = NULL;
    struct tk_raw *copy;
    uint8_t *block;

    if (!__builtin_add_overflow(
            size, head + (call == NULL ? 0 : tk_call_copy_size(call)),
            &size)) {
        future = tk_future_new(client->router.exec, size,
                               is_hot ? &hot_ops : &plain_ops, kind, call,
                               tk_config_ns(&client->config.call_timeout_ms));
    }
    if (future == NULL) {
        return NULL;
    }
    block = (uint8_t *)(void *)future;
    if (is_hot) {
        struct tk_raw_hot *hot = (struct tk_raw_hot *)(void *)future;

        tk_hot_init(&hot->hot, &client->router);
        copy = &hot->raw;
    } else {
        struct plain *plain = (struct plain *)(void *)future;

        plain->router = &client->router;
        copy = &plain->raw;
    }
    tk_raw_copy(raw, copy, block + head);
    if (call != NULL) {
        (void)tk_call_copy(&future->call, block + head + tk_raw_copy_size(raw));
    }
    return future;
}

static tikv_future *
promise(tikv_client *client, struct tk_raw *raw, const void *options,
        enum tk_future_kind kind)
{
    bool is_scan = raw->kind == TK_RAW_SCAN || raw->kind == TK_RAW_BATCH_SCAN;
    tikv_error *error = tk_door_refusal(client);
    struct tikv_future *future;
    tikv_call call;

    if (error == NULL) {
        error =
            is_scan
                ? tk_raw_read_scan_options(&client->config, options, raw, &call)
                : tk_raw_read_options(&client->config, options, raw, &call);
    }
    if (error == NULL) {
        error = tk_raw_check(&client->config, raw);
    }
    if (error != NULL) {
        return tk_door_refuse(client, error);
    }
    future = new_future(client, raw, kind, options == NULL ? NULL : &call);
    if (future == NULL) {
        return tk_future_immortal();
    }
    if (tk_raw_is_hot(raw->kind)) {
        tk_raw_hot_start((struct tk_raw_hot *)(void *)future);
    } else {
        tk_future_listen(future);
        tk_future_start(future, false);
    }
    return future;
}

tikv_future *
tikv_raw_get_async(tikv_client *client, tikv_slice key,
                   const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_GET, .key = key };

    return promise(client, &raw, options, TK_KIND_VALUE);
}

tikv_future *
tikv_raw_put_async(tikv_client *client, tikv_slice key, tikv_slice value,
                   const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_PUT, .key = key, .value = value };

    return promise(client, &raw, options, TK_KIND_DONE);
}

tikv_future *
tikv_raw_delete_async(tikv_client *client, tikv_slice key,
                      const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_DELETE, .key = key };

    return promise(client, &raw, options, TK_KIND_DONE);
}

tikv_future *
tikv_raw_swap_async(tikv_client *client, tikv_slice key, tikv_slice expected,
                    tikv_slice desired, const tikv_raw_options *options)
{
    struct tk_raw raw = {
        .kind = TK_RAW_SWAP, .key = key, .expected = expected, .value = desired
    };

    return promise(client, &raw, options, TK_KIND_SWAP);
}

tikv_future *
tikv_raw_ttl_async(tikv_client *client, tikv_slice key,
                   const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_TTL, .key = key };

    return promise(client, &raw, options, TK_KIND_TTL);
}

tikv_future *
tikv_raw_batch_get_async(tikv_client *client, const tikv_slice *keys,
                         size_t count, const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_GET,
                          .count = count,
                          .many.keys = keys };

    return promise(client, &raw, options, TK_KIND_PAIRS);
}

tikv_future *
tikv_raw_batch_put_async(tikv_client *client, const tikv_pair *pairs,
                         size_t count, const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_PUT,
                          .count = count,
                          .many.pairs = pairs };

    return promise(client, &raw, options, TK_KIND_DONE);
}

tikv_future *
tikv_raw_batch_delete_async(tikv_client *client, const tikv_slice *keys,
                            size_t count, const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_DELETE,
                          .count = count,
                          .many.keys = keys };

    return promise(client, &raw, options, TK_KIND_DONE);
}

tikv_future *
tikv_raw_delete_range_async(tikv_client *client, tikv_range range,
                            const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_DELETE_RANGE,
                          .count = 1,
                          .many.ranges = &range };

    return promise(client, &raw, options, TK_KIND_DONE);
}

tikv_future *
tikv_raw_scan_async(tikv_client *client, tikv_range range,
                    const tikv_scan_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_SCAN,
                          .count = 1,
                          .many.ranges = &range };

    return promise(client, &raw, options, TK_KIND_PAIRS);
}

tikv_future *
tikv_raw_batch_scan_async(tikv_client *client, const tikv_range *ranges,
                          size_t count, const tikv_scan_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_BATCH_SCAN,
                          .count = count,
                          .many.ranges = ranges };

    return promise(client, &raw, options, TK_KIND_PAIRS);
}

tikv_future *
tikv_raw_checksum_async(tikv_client *client, const tikv_range *ranges,
                        size_t count, const tikv_raw_options *options)
{
    struct tk_raw raw = { .kind = TK_RAW_CHECKSUM,
                          .count = count,
                          .many.ranges = ranges };

    return promise(client, &raw, options, TK_KIND_CHECKSUM);
}
