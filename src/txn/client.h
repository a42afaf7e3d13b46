/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transactions of one client share: a router of their own, the lock
 * resolver, the safe point, the newest timestamp.
 *
 * Raw and transactional keys live in different spaces even where they look
 * alike: regions of the one are bounded by plain keys, of the other by
 * memcomparable ones, and in API V2 each has its prefix. So there are two
 * routers with a region cache each, over the same pd, rpc and stores.
 *
 * It is made with the client and costs a few KiB; nothing of it runs before
 * the first transaction. It is freed after the exec closed, before the
 * stores. Any thread.
 */
#ifndef TK_TXN_CLIENT_H
#define TK_TXN_CLIENT_H

#include "exec/mutex.h"
#include "region/drive.h"

struct tk_resolver;

struct tk_txn_client {
    struct tk_router router; /* fixed; for jobs with transactional keys */
    struct tk_resolver *resolver;

    /* The newest timestamp that PD gave to a transaction, and when (local
     * ns) it came. */
    struct tk_mutex lock; /* rank LEAF */
    uint64_t newest_ts;   /* guarded by lock */
    int64_t newest_at;    /* guarded by lock */
};

/* `raw` is the client's first router, already complete. */
tikv_error *
tk_txn_client_new(const struct tk_router *raw, struct tk_txn_client **out);

/* After the exec closed. Takes NULL. */
void
tk_txn_client_free(struct tk_txn_client *client);

/* A new timestamp of PD's; every one a transaction needs comes from here. */
tikv_error *
tk_txn_timestamp(struct tk_txn_client *client, struct tk_op *op,
                 uint64_t *out) __attribute__((warn_unused_result));

/* A timestamp that PD gave at most `age_ms` ago. */
tikv_error *
tk_txn_recent_timestamp(struct tk_txn_client *client, struct tk_op *op,
                        int64_t age_ms, uint64_t *out)
    __attribute__((warn_unused_result));

/* PD's time in ms since 1970 by the newest timestamp and our own clock since;
 * 0 before the first timestamp. Never sent anywhere: TiKV checks timestamps
 * against PD's and takes one from the future for corruption. */
uint64_t
tk_txn_time_ms(struct tk_txn_client *client);

/* NULL, or why nothing can be read at `ts`: ARGUMENT for one that PD has not
 * given yet (OR-3). UINT64_MAX is fine: it means the newest. */
tikv_error *
tk_txn_check_read_ts(struct tk_txn_client *client, struct tk_op *op,
                     uint64_t ts) __attribute__((warn_unused_result));

#endif
