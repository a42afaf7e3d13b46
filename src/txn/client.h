/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the transactions of one client share: a router of their own, the lock
 * resolver, the safe point, time.
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

#include "region/drive.h"
#include "txn/safe_point.h"

struct tk_resolver;
struct tk_writes;

/* Fixed, but for what has a lock of its own. */
struct tk_txn_client {
    struct tk_router router; /* for jobs with transactional keys */
    struct tk_resolver *resolver;
    struct tk_writes *writes; /* what goes on behind calls */
    struct tk_safe_point safe_point;
};

/* `raw` is the client's first router, already complete. */
tikv_error *
tk_txn_client_new(const struct tk_router *raw, struct tk_txn_client **out);

/* After the exec closed. Takes NULL. */
void
tk_txn_client_free(struct tk_txn_client *client);

/* A timestamp that PD gave at most `age_ms` ago: the newest one this client
 * has seen (pd/oracle.h), or a new one. */
tikv_error *
tk_txn_recent_timestamp(struct tk_txn_client *client, struct tk_op *op,
                        int64_t age_ms, uint64_t *out)
    __attribute__((warn_unused_result));

/* PD's time in ms since 1970 by the newest timestamp and our own clock since;
 * 0 before the first timestamp. Never sent anywhere: TiKV checks timestamps
 * against PD's and takes one from the future for corruption. */
uint64_t
tk_txn_time_ms(struct tk_txn_client *client);

#endif
