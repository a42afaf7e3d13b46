/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver itself: what it remembers. */
#include "txn/resolver_inner.h"

#include "base/alloc.h"

struct tk_resolver *
tk_resolver_new(struct tk_txn_client *client)
{
    struct tk_resolver *resolver = tk_calloc(sizeof(*resolver));

    if (resolver == NULL) {
        return NULL;
    }
    resolver->client = client;
    tk_mutex_init(&resolver->lock, TK_RANK_LEAF);
    if (!tk_status_cache_init(&resolver->cache)) {
        tk_resolver_free(resolver);
        return NULL;
    }
    return resolver;
}

void
tk_resolver_free(struct tk_resolver *resolver)
{
    if (resolver == NULL) {
        return;
    }
    tk_status_cache_fini(&resolver->cache);
    tk_mutex_fini(&resolver->lock);
    tk_free(resolver);
}

void
tk_resolver_learn(struct tk_resolver *resolver, uint64_t start_ts,
                  const struct tk_txn_fate *fate)
{
    if (fate->state == TK_TXN_COMMITTED || fate->state == TK_TXN_ROLLED_BACK) {
        tk_mutex_lock(&resolver->lock);
        (void)tk_status_cache_save(
            &resolver->cache, start_ts,
            fate->state == TK_TXN_COMMITTED ? fate->commit_ts : 0);
        tk_mutex_unlock(&resolver->lock);
    }
}
