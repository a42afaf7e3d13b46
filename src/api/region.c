/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The doors to the caches of regions: finding and forgetting. What
 * may wait is one question, asked on the caller's thread or promised:
 *
 *     future, struct question | keys | call's texts
 *
 * Any thread, no lock.
 */
#include <tikv/topology.h>

#include <string.h>

#include "api/client.h"
#include "base/call.h"
#include "base/error.h"
#include "region/lookup.h"

enum what { OF_KEY, OF_ID, OF_RANGE };

struct question {
    enum what what;
    struct tk_router *router;
    uint64_t id;
    tikv_range range; /* OF_KEY: its start is the key */
    bool before;
    size_t limit;
    tikv_details *details;
};

struct promise {
    struct tikv_future future; /* first */
    struct question question;
};

static struct tk_router *
router_of(tikv_client *client, tikv_keys keys)
{
    return keys == TIKV_KEYS_RAW   ? &client->router
           : keys == TIKV_KEYS_TXN ? &client->txns->router
                                   : NULL;
}

static tikv_error *
find(const struct question *question, struct tk_op *op, tikv_regions *out)
{
    switch (question->what) {
    case OF_KEY:
        return tk_region_find(question->router, op, question->range.start,
                              question->before, out);
    case OF_ID:
        return tk_region_find_id(question->router, op, question->id, out);
    case OF_RANGE:
    default:
        return tk_regions_find(question->router, op, question->range,
                               question->limit, out);
    }
}

static tikv_error *
answer(const struct question *question, struct tk_op *op, tikv_regions **out)
{
    tikv_regions *regions = tk_regions_new();
    tikv_error *error = regions == NULL
                            ? tk_error_immortal(TIKV_ERR_MEMORY)
                            : find(question, op, regions);

    if (error != NULL) {
        tikv_regions_free(regions);
        return error;
    }
    *out = regions;
    return NULL;
}

/* Checks what every door checks, and completes the question. */
static tikv_error *
read_question(tikv_client *client, tikv_keys keys, const tikv_call *call,
              struct question *question, tikv_call *copy)
{
    tikv_error *error = tk_door_refusal(client);

    if (error != NULL) {
        return error;
    }
    question->router = router_of(client, keys);
    return question->router == NULL
               ? tk_error(TIKV_ERR_ARGUMENT, "keys: %d", (int)keys)
               : tk_call_read(call, copy, &question->details);
}

/* ---- blocking ---- */

static tikv_error *
ask(tikv_client *client, tikv_keys keys, struct question *question,
    const tikv_call *call, tikv_regions **out)
{
    struct tk_op op;
    tikv_call copy;
    tikv_error *error;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = read_question(client, keys, call, question, &copy);
    if (error == NULL) {
        error = tk_door_enter(client, &copy, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = question->details;
    error = tk_op_end(&op, answer(question, &op, out));
    tk_door_leave(client, &op);
    return error;
}

tikv_error *
tikv_region_find(tikv_client *client, tikv_keys keys, tikv_slice key,
                 const tikv_call *call, tikv_regions **out)
{
    struct question question = { .what = OF_KEY, .range = { .start = key } };

    return ask(client, keys, &question, call, out);
}

tikv_error *
tikv_region_before(tikv_client *client, tikv_keys keys, tikv_slice key,
                   const tikv_call *call, tikv_regions **out)
{
    struct question question = {
        .what = OF_KEY, .range = { .start = key }, .before = true
    };

    return ask(client, keys, &question, call, out);
}

tikv_error *
tikv_region_by_id(tikv_client *client, tikv_keys keys, uint64_t id,
                  const tikv_call *call, tikv_regions **out)
{
    struct question question = { .what = OF_ID, .id = id };

    return ask(client, keys, &question, call, out);
}

tikv_error *
tikv_regions_find(tikv_client *client, tikv_keys keys, tikv_range range,
                  size_t limit, const tikv_call *call, tikv_regions **out)
{
    struct question question = { .what = OF_RANGE,
                                 .range = range,
                                 .limit = limit };

    return ask(client, keys, &question, call, out);
}

/* ---- promised ---- */

static tikv_error *
run(struct tikv_future *future, struct tk_op *op)
{
    const struct question *question =
        &((struct promise *)(void *)future)->question;

    op->details = question->details;
    return answer(question, op, &future->outcome.regions);
}

static const struct tk_future_ops promise_ops = { .run = run };

static tikv_slice
copy_slice(tikv_slice from, uint8_t **at)
{
    tikv_slice to = { *at, from.len };

    if (from.len != 0) {
        memcpy(*at, from.data, from.len);
        *at += from.len;
    }
    return to;
}

static tikv_future *
promise(tikv_client *client, tikv_keys keys, struct question *question,
        const tikv_call *call)
{
    size_t size = sizeof(struct promise);
    struct tikv_future *future = NULL;
    struct question *to;
    uint8_t *at;
    tikv_call copy;
    tikv_error *error = read_question(client, keys, call, question, &copy);

    if (error != NULL) {
        return tk_door_refuse(client, error);
    }
    if (!__builtin_add_overflow(size, question->range.start.len, &size) &&
        !__builtin_add_overflow(size, question->range.end.len, &size) &&
        !__builtin_add_overflow(size, tk_call_copy_size(&copy), &size)) {
        future = tk_future_new(
            client->router.exec, size, &promise_ops, TK_KIND_REGIONS, &copy,
            tk_config_ns(&client->config.call_timeout_ms));
    }
    if (future == NULL) {
        return tk_future_immortal();
    }
    to = &((struct promise *)(void *)future)->question;
    at = (uint8_t *)(to + 1);
    *to = *question;
    to->range.start = copy_slice(question->range.start, &at);
    to->range.end = copy_slice(question->range.end, &at);
    (void)tk_call_copy(&future->call, at);
    tk_future_listen(future);
    tk_future_start(future, false);
    return future;
}

tikv_future *
tikv_region_find_async(tikv_client *client, tikv_keys keys, tikv_slice key,
                       const tikv_call *call)
{
    struct question question = { .what = OF_KEY, .range = { .start = key } };

    return promise(client, keys, &question, call);
}

tikv_future *
tikv_region_before_async(tikv_client *client, tikv_keys keys, tikv_slice key,
                         const tikv_call *call)
{
    struct question question = {
        .what = OF_KEY, .range = { .start = key }, .before = true
    };

    return promise(client, keys, &question, call);
}

tikv_future *
tikv_region_by_id_async(tikv_client *client, tikv_keys keys, uint64_t id,
                        const tikv_call *call)
{
    struct question question = { .what = OF_ID, .id = id };

    return promise(client, keys, &question, call);
}

tikv_future *
tikv_regions_find_async(tikv_client *client, tikv_keys keys, tikv_range range,
                        size_t limit, const tikv_call *call)
{
    struct question question = { .what = OF_RANGE,
                                 .range = range,
                                 .limit = limit };

    return promise(client, keys, &question, call);
}

/* ---- the cache alone ---- */

tikv_error *
tikv_regions_cached(tikv_client *client, tikv_keys keys, tikv_range range,
                    size_t limit, tikv_regions **out)
{
    struct question question = { .what = OF_RANGE };
    tikv_call copy;
    tikv_error *error;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = read_question(client, keys, NULL, &question, &copy);
    if (error != NULL) {
        return error;
    }
    *out = tk_regions_new();
    if (*out == NULL ||
        !tk_cache_copy(question.router->cache, range, limit, *out)) {
        tikv_regions_free(*out);
        *out = NULL;
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return NULL;
}

void
tikv_regions_forget(tikv_client *client, tikv_keys keys, tikv_range range)
{
    struct tk_router *router = client == NULL ? NULL : router_of(client, keys);

    if (router != NULL) {
        tk_cache_forget(router->cache, range);
    }
}

void
tikv_region_forget(tikv_client *client, tikv_keys keys, uint64_t id)
{
    struct tk_router *router = client == NULL ? NULL : router_of(client, keys);

    if (router != NULL) {
        tk_cache_forget_id(router->cache, id);
    }
}

void
tikv_store_forget(tikv_client *client, tikv_keys keys, uint64_t store_id)
{
    struct tk_router *router = client == NULL ? NULL : router_of(client, keys);

    if (router != NULL) {
        tk_cache_forget_led(router->cache, store_id);
    }
}
