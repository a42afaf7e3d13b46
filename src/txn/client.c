/* SPDX-License-Identifier: Apache-2.0 */
/* The second router of a client, and PD's time as it knows it. */
#include "txn/client.h"

#include "base/alloc.h"
#include "base/error.h"
#include "pd/oracle.h"
#include "txn/lock.h"
#include "txn/resolver.h"
#include "txn/writes.h"

tikv_error *
tk_txn_client_new(const struct tk_router *raw, struct tk_txn_client **out)
{
    struct tk_txn_client *client = tk_calloc(sizeof(*client));
    struct tk_router *router;

    *out = NULL;
    if (client == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    router = &client->router;
    *router = *raw;
    router->codec.mode =
        raw->codec.mode == TK_KEYS_RAW_V1 ? TK_KEYS_TXN_V1 : TK_KEYS_TXN_V2;
    router->cache = tk_cache_new(router->rt, router->pd, router->stores,
                                 &router->codec, router->config, router->log);
    tk_safe_point_init(&client->safe_point, router);
    client->resolver = router->cache == NULL ? NULL : tk_resolver_new(client);
    client->writes = client->resolver == NULL ? NULL : tk_writes_new(client);
    if (client->writes == NULL) {
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
    tk_writes_free(client->writes);
    tk_resolver_free(client->resolver);
    tk_safe_point_fini(&client->safe_point);
    tk_cache_free(client->router.cache);
    tk_free(client);
}

tikv_error *
tk_txn_recent_timestamp(struct tk_txn_client *client, struct tk_op *op,
                        int64_t age_ms, uint64_t *out)
{
    struct tk_pd *pd = client->router.pd;
    int64_t seen_at;

    *out = tk_pd_newest(pd, &seen_at);
    return *out != 0 && tk_now(client->router.rt) - seen_at <= age_ms * TK_MS
               ? NULL
               : tk_pd_timestamp(pd, op, out);
}

uint64_t
tk_txn_time_ms(struct tk_txn_client *client)
{
    int64_t now = tk_now(client->router.rt);
    int64_t seen_at;
    uint64_t ms = tk_ts_ms(tk_pd_newest(client->router.pd, &seen_at));

    return ms == 0 || now <= seen_at ? ms
                                     : ms + (uint64_t)((now - seen_at) / TK_MS);
}
