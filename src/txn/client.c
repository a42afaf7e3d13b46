/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second router of a client, and the newest timestamp it has seen.
 * Lock: client.lock, for the timestamp alone; no call is made under it.
 */
#include "txn/client.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "txn/lock.h"
#include "txn/resolver.h"

tikv_error *
tk_txn_client_new(const struct tk_router *raw, struct tk_txn_client **out)
{
    struct tk_txn_client *client = tk_calloc(sizeof(*client));
    struct tk_router *router;

    *out = NULL;
    if (client == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_mutex_init(&client->lock, TK_RANK_LEAF);
    router = &client->router;
    *router = *raw;
    router->codec.mode = raw->codec.mode == TK_KEYS_RAW_V1 ? TK_KEYS_TXN_V1
                                                           : TK_KEYS_TXN_V2;
    router->cache =
        tk_cache_new(router->rt, router->pd, router->stores, &router->codec,
                     router->config, router->log);
    client->resolver =
        router->cache == NULL ? NULL : tk_resolver_new(client);
    if (client->resolver == NULL) {
        tk_txn_client_free(client);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_cache_start(router->cache, router->exec);
    *out = client;
    return NULL;
}

void
tk_txn_client_free(struct tk_txn_client *client)
{
    if (client == NULL) {
        return;
    }
    tk_resolver_free(client->resolver);
    tk_cache_free(client->router.cache);
    tk_mutex_fini(&client->lock);
    tk_free(client);
}

tikv_error *
tk_txn_timestamp(struct tk_txn_client *client, struct tk_op *op, uint64_t *out)
{
    tikv_error *error = tk_pd_timestamp(client->router.pd, op, out);

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&client->lock);
    if (*out > client->newest_ts) {
        client->newest_ts = *out;
        client->newest_at = tk_now(client->router.rt);
    }
    tk_mutex_unlock(&client->lock);
    return NULL;
}

tikv_error *
tk_txn_recent_timestamp(struct tk_txn_client *client, struct tk_op *op,
                        int64_t age_ms, uint64_t *out)
{
    int64_t now = tk_now(client->router.rt);
    bool is_recent;

    tk_mutex_lock(&client->lock);
    *out = client->newest_ts;
    is_recent = client->newest_ts != 0 &&
                now - client->newest_at <= age_ms * TK_MS;
    tk_mutex_unlock(&client->lock);
    return is_recent ? NULL : tk_txn_timestamp(client, op, out);
}

uint64_t
tk_txn_time_ms(struct tk_txn_client *client)
{
    int64_t now = tk_now(client->router.rt);
    uint64_t ms;

    tk_mutex_lock(&client->lock);
    ms = tk_ts_ms(client->newest_ts);
    if (ms != 0 && now > client->newest_at) {
        ms += (uint64_t)((now - client->newest_at) / TK_MS);
    }
    tk_mutex_unlock(&client->lock);
    return ms;
}

tikv_error *
tk_txn_check_read_ts(struct tk_txn_client *client, struct tk_op *op,
                     uint64_t ts)
{
    uint64_t newest;
    tikv_error *error;

    if (ts == UINT64_MAX) {
        return NULL;
    }
    if (ts == 0 || ts >= INT64_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT, "%llu is no timestamp",
                        (unsigned long long)ts);
    }
    tk_mutex_lock(&client->lock);
    newest = client->newest_ts;
    tk_mutex_unlock(&client->lock);
    if (ts <= newest) {
        return NULL;
    }
    error = tk_txn_timestamp(client, op, &newest);
    if (error != NULL || ts <= newest) {
        return error;
    }
    error = tk_error(TIKV_ERR_ARGUMENT,
                     "timestamp %llu lies in the future: PD is at %llu",
                     (unsigned long long)ts, (unsigned long long)newest);
    tk_error_set_u64(error, TIKV_ERROR_START_TS, ts);
    return error;
}
