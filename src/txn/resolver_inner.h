/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the resolver share. */
#ifndef TK_TXN_RESOLVER_INNER_H
#define TK_TXN_RESOLVER_INNER_H

#include "pd/waiters.h"
#include "txn/resolver.h"
#include "txn/status_cache.h"

struct tk_resolver {
    struct tk_txn_client *client;
    struct tk_mutex lock; /* rank LEAF */
    struct tk_status_cache cache; /* guarded by lock */
};

#endif
