/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to where stale reads are served: one question to all stores, on the
 * caller's thread or promised.
 *
 *     future, scope | call's texts | the scope's text
 *
 * Any thread, no lock.
 */
#include <tikv/oracle.h>

#include <string.h>

#include "api/client.h"
#include "base/call.h"
#include "base/error.h"

struct promise {
    struct tikv_future future; /* first */
    tikv_client *client;
    const char *scope;
    tikv_details *details; /* who wants an account, or NULL */
};

static const char *
scope_of(const tikv_client *client, const char *scope)
{
    if (scope == NULL) {
        scope = client->config.txn_scope;
    }
    return *scope == '\0' ? "global" : scope;
}

tikv_error *
tikv_timestamp_safe(tikv_client *client, const tikv_call *call,
                    const char *scope, uint64_t *out)
{
    tikv_error *error = tk_door_refusal(client);
    tikv_details *details;
    struct tk_op op;
    tikv_call copy;

    if (error == NULL && out == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &copy, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = details;
    error = tk_op_end(&op, tk_stores_safe_ts(client->router.stores, &op,
                                             scope_of(client, scope), out));
    tk_door_leave(client, &op);
    return error;
}

static tikv_error *
run(struct tikv_future *future, struct tk_op *op)
{
    struct promise *promise = (struct promise *)(void *)future;

    op->details = promise->details;
    return tk_stores_safe_ts(promise->client->router.stores, op, promise->scope,
                             &future->outcome.number[0]);
}

static const struct tk_future_ops ops = { .run = run };

tikv_future *
tikv_timestamp_safe_async(tikv_client *client, const tikv_call *call,
                          const char *scope)
{
    tikv_error *error = tk_door_refusal(client);
    struct tikv_future *future;
    struct promise *promise;
    tikv_details *details;
    tikv_call copy;
    size_t calls_size;
    size_t size;

    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error != NULL) {
        return tk_door_refuse(client, error);
    }
    scope = scope_of(client, scope);
    size = strlen(scope) + 1;
    calls_size = tk_call_copy_size(&copy);
    future = tk_future_new(
        client->router.exec, sizeof(*promise) + calls_size + size, &ops,
        TK_KIND_U64, &copy, tk_config_ns(&client->config.call_timeout_ms));
    if (future == NULL) {
        return tk_future_immortal();
    }
    promise = (struct promise *)(void *)future;
    promise->client = client;
    promise->details = details;
    promise->scope = memcpy((char *)(promise + 1) + calls_size, scope, size);
    (void)tk_call_copy(&future->call, (uint8_t *)(promise + 1));
    tk_future_listen(future);
    tk_future_start(future, false);
    return future;
}
