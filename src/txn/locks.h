/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for locks that were left behind, page by page, and ending their
 * transactions: for tools and garbage collection. No state; the caller's
 * thread.
 */
#ifndef TK_TXN_LOCKS_H
#define TK_TXN_LOCKS_H

#include "base/buf.h"
#include "region/backoff.h"
#include "txn/client.h"
#include "txn/lock.h"

/* Locks of transactions that began at `max_version` or before, in the range,
 * in the order of their keys: about `limit` of them. `next` gets the start of
 * the page after; *ended: there is none. */
tikv_error *
tk_locks_scan(struct tk_txn_client *client, struct tk_op *op,
              struct tk_backoff *backoff, tikv_range range,
              uint64_t max_version, uint32_t limit, struct tk_lock_set *out,
              struct tk_buf *next, bool *ended)
    __attribute__((warn_unused_result));

/* Ends all of those transactions, alive or not. *count locks were met. */
tikv_error *
tk_locks_resolve(struct tk_txn_client *client, struct tk_op *op,
                 struct tk_backoff *backoff, tikv_range range,
                 uint64_t max_version, uint64_t *count)
    __attribute__((warn_unused_result));

#endif
