/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that TiKV keeps of a key: its lock, its versions, as MvccGetByKey and
 * MvccGetByStartTs tell them. For tools: nothing is resolved. No state; the
 * caller's thread.
 */
#ifndef TK_TXN_VERSIONS_H
#define TK_TXN_VERSIONS_H

#include "region/backoff.h"
#include "txn/client.h"
#include "wire/arena.h"

struct kvrpcpb_MvccInfo;

struct tk_versions {
    struct tk_arena *arena;              /* of all the rest; or NULL */
    const struct kvrpcpb_MvccInfo *info; /* NULL: there is nothing */
    tikv_slice key;
    tikv_slice primary; /* of the lock, where there is one */
};

void
tk_versions_fini(struct tk_versions *mvcc);

tikv_error *
tk_versions_get(struct tk_txn_client *client, struct tk_op *op,
                struct tk_backoff *backoff, tikv_slice key,
                struct tk_versions *out) __attribute__((warn_unused_result));

/* Some key that the transaction wrote or has locked: asks all regions of the
 * range, which look through all they have. */
tikv_error *
tk_versions_find(struct tk_txn_client *client, struct tk_op *op,
                 struct tk_backoff *backoff, uint64_t start_ts,
                 tikv_range range, struct tk_versions *out)
    __attribute__((warn_unused_result));

#endif
