/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a client. What is opened, in this order: runtime,
 * transport, exec, rpc, pd, stores, cache, transactions. Closing:
 *
 *     writes close       what commits left behind is finished, for a while
 *     exec close_begin   sleeping operations end, nobody new gets in
 *     pd close           waiters for timestamps end
 *     rpc close          all in flight ends, the transport says nothing more
 *     exec close_end     the pool drains and is joined, blocking calls leave,
 *                        callbacks return
 *     then memory, from the top down
 *
 * A client that could not be opened is closed the same way, as far as it
 * got. In a forked child nothing is locked, waited for or called: memory of
 * the client itself is dropped, the rest stays with the child until it ends.
 */
#include "api/client.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/redact.h"
#include "raw/raw.h"
#include "region/cache.h"
#include "rpc/grpc_transport.h"
#include "txn/writes.h"

static tikv_error *
client_new(struct tk_runtime *rt, const tikv_config *config, tikv_client **out)
{
    tikv_client *client = tk_calloc(sizeof(*client));
    tikv_error *error;

    *out = NULL;
    if (client == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_config_copy(tk_config_of(config), &client->config);
    if (error != NULL) {
        tk_free(client);
        return error;
    }
    client->log.fn = client->config.log_fn;
    client->log.arg = client->config.log_arg;
    atomic_init(&client->log.level,
                (int32_t)tk_config_int(&client->config.log_level));
    tk_redact_set((enum tk_redact)tk_config_int(&client->config.log_redact));
    client->router.rt = rt;
    client->router.config = &client->config;
    client->router.log = &client->log;
    client->router.codec.mode = TK_KEYS_RAW_V1;
    *out = client;
    return NULL;
}

static void
client_close(tikv_client *client)
{
    struct tk_router *router = &client->router;

    if (client->txns != NULL) {
        tk_writes_close(client->txns->writes);
    }
    if (router->exec != NULL) {
        tk_exec_close_begin(router->exec);
    }
    if (router->pd != NULL) {
        tk_pd_close(router->pd);
    }
    if (router->rpc != NULL) {
        tk_rpc_close(router->rpc);
    }
    if (router->exec != NULL) {
        tk_exec_close_end(router->exec);
    }
    tk_txn_client_free(client->txns);
    tk_cache_free(router->cache);
    tk_stores_free(router->stores);
    tk_pd_free(router->pd);
    tk_rpc_free(router->rpc);
    tk_exec_unref(router->exec);
    if (client->own_runtime != NULL) {
        tk_runtime_posix_free(client->own_runtime);
    }
    tk_config_fini(&client->config);
    tk_free(client);
}

static tikv_error *
find_cluster(tikv_client *client)
{
    struct tk_router *router = &client->router;
    struct tk_op op;
    tikv_error *error;

    if (!tk_op_init(&op, router->exec, NULL,
                    tk_config_ns(&client->config.pd_open_timeout_ms))) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_open(router->exec, router->rpc, &client->config, &client->log,
                       &op, &router->pd);
    tk_op_fini(&op);
    return error;
}

/* Takes `transport` over in any case. */
static tikv_error *
client_start(tikv_client *client, struct tk_transport *transport)
{
    struct tk_router *router = &client->router;
    const struct tk_config *config = &client->config;
    tikv_error *error =
        tk_rpc_new(router->rt, config, &client->log, transport, &router->rpc);

    if (error == NULL) {
        error = tk_exec_open(
            router->rt, (uint32_t)tk_config_int(&config->pool_threads_count),
            (uint32_t)tk_config_int(&config->pool_queue_max_count),
            &router->exec);
    }
    if (error == NULL) {
        tk_exec_set_callbacks_max(
            router->exec,
            (uint32_t)tk_config_int(&config->pool_callbacks_max_count));
        error = find_cluster(client);
    }
    if (error != NULL) {
        return error;
    }
    router->stores = tk_stores_new(router->pd, router->rpc, &client->log);
    if (router->stores != NULL) {
        router->cache = tk_cache_new(router->rt, router->pd, router->stores,
                                     &router->codec, config, &client->log);
    }
    if (router->cache == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_stores_start(router->stores, router->exec, config);
    tk_cache_start(router->cache, router->exec);
    return tk_txn_client_new(router, &client->txns);
}

static tikv_error *
check_config(const tikv_config *config)
{
    const struct tk_config *settings;

    if (config == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "config is NULL");
    }
    settings = tk_config_of(config);
    if (settings->pd_endpoints[0] == '\0') {
        return tk_error(TIKV_ERR_ARGUMENT, "pd.endpoints is not set");
    }
    if (tk_raw_column_family(settings->raw_column_family) == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "raw.column_family is \"%.64s\": not one of default, "
                        "lock, write",
                        settings->raw_column_family);
    }
    return NULL;
}

tikv_error *
tk_client_open_with(struct tk_runtime *rt, struct tk_transport *transport,
                    const tikv_config *config, tikv_client **out)
{
    tikv_client *client = NULL;
    tikv_error *error = check_config(config);

    *out = NULL;
    if (error == NULL) {
        error = client_new(rt, config, &client);
    }
    if (error != NULL) {
        transport->ops->close(transport);
        transport->ops->free(transport);
        return error;
    }
    error = client_start(client, transport);
    if (error != NULL) {
        client_close(client);
        return error;
    }
    *out = client;
    return NULL;
}

tikv_error *
tikv_client_open(const tikv_config *config, tikv_client **out)
{
    struct tk_transport *transport;
    struct tk_runtime *rt;
    tikv_client *client;
    tikv_error *error;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = check_config(config);
    if (error != NULL) {
        return error;
    }
    rt = tk_runtime_posix_new();
    if (rt == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = client_new(rt, config, &client);
    if (error != NULL) {
        tk_runtime_posix_free(rt);
        return error;
    }
    client->own_runtime = rt;
    error =
        tk_grpc_transport_new(rt, &client->config, &client->log, &transport);
    if (error == NULL) {
        error = client_start(client, transport);
    }
    if (error != NULL) {
        client_close(client);
        return error;
    }
    *out = client;
    return NULL;
}

tikv_error *
tikv_client_connect(const char *endpoints, tikv_client **out)
{
    tikv_config *config;
    tikv_error *error;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    if (endpoints == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "endpoints is NULL");
    }
    error = tikv_config_new(&config);
    if (error != NULL) {
        return error;
    }
    error = tikv_config_parse(config, endpoints);
    if (error == NULL) {
        error = tikv_client_open(config, out);
    }
    tikv_config_free(config);
    return error;
}

static bool
is_forked(tikv_client *client)
{
    tikv_error *error = tk_exec_refusal(client->router.exec);
    bool forked = tikv_error_code(error) == TIKV_ERR_FORKED;

    tikv_error_free(error);
    return forked;
}

void
tikv_client_close(tikv_client *client)
{
    if (client == NULL) {
        return;
    }
    if (is_forked(client)) {
        tk_config_fini(&client->config);
        tk_free(client);
    } else if (tk_exec_on_library_thread(client->router.exec)) {
        tk_exec_close_begin(client->router.exec);
    } else {
        client_close(client);
    }
}

tikv_error *
tikv_client_drain(tikv_client *client, int64_t timeout_ms)
{
    tikv_error *error = tk_door_refusal(client);
    int64_t until = TK_NEVER;

    if (error != NULL) {
        return error;
    }
    if (timeout_ms < TIKV_FOREVER) {
        return tk_error(TIKV_ERR_ARGUMENT, "timeout_ms is %lld",
                        (long long)timeout_ms);
    }
    if (timeout_ms != TIKV_FOREVER && timeout_ms < TK_NEVER / TK_MS) {
        until = tk_after(tk_now(client->router.rt), timeout_ms * TK_MS);
    }
    return tk_exec_drain(client->router.exec, until)
               ? NULL
               : tk_error(TIKV_ERR_TIMEOUT,
                          "calls were still running after %lld ms",
                          (long long)timeout_ms);
}

tikv_error *
tikv_client_set(tikv_client *client, const char *name, const char *value)
{
    tikv_error *error = tk_door_refusal(client);

    if (error != NULL) {
        return error;
    }
    if (name == NULL || value == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "%s is NULL",
                        name == NULL ? "name" : "value");
    }
    error = tk_config_set_hot(&client->config, name, value);
    if (error == NULL) {
        atomic_store_explicit(&client->log.level,
                              (int32_t)tk_config_int(&client->config.log_level),
                              memory_order_relaxed);
    }
    if (error == NULL && strcmp(name, "log.redact") == 0) {
        tk_redact_set(
            (enum tk_redact)tk_config_int(&client->config.log_redact));
    }
    return error;
}

uint64_t
tikv_client_cluster_id(const tikv_client *client)
{
    return client == NULL ? 0 : tk_pd_cluster_id(client->router.pd);
}

uint64_t
tikv_client_bytes_in_use(const tikv_client *client)
{
    return client == NULL
               ? 0
               : (uint64_t)tk_ledger_bytes(tk_rpc_ledger(client->router.rpc));
}
