/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_ORACLE_H
#define TIKV_ORACLE_H

/**
 * Timestamps of the cluster: 46 bits of milliseconds, 18 bits of counter,
 * handed out by PD, each larger than any before it.
 */

#include <tikv/base.h>

TIKV_BEGIN_DECLS

/* A fresh timestamp. Blocks. Calls of many threads share one request. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_timestamp(tikv_client *client, const tikv_call *call, uint64_t *out);

/* The same, promised; taken with tikv_future_take_u64(). */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_timestamp_async(tikv_client *client, const tikv_call *call);

/* The newest timestamp this client has seen, without a request: renewed in
 * the background each pd.low_resolution_ms from the first use on. Good for
 * stale reads and for telling time, not for beginning a transaction. Blocks
 * only while none was seen yet. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_timestamp_recent(tikv_client *client, const tikv_call *call,
                      uint64_t *out);

/* A timestamp of `age_ms` milliseconds ago by PD's clock, never one of the
 * future; without a request, like tikv_timestamp_recent(). For stale reads.
 * ARGUMENT when there was no time so long ago. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_timestamp_past(tikv_client *client, const tikv_call *call,
                    uint64_t age_ms, uint64_t *out);

/* The least timestamp that any timestamp service of the cluster would give
 * next. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_timestamp_min(tikv_client *client, const tikv_call *call, uint64_t *out);

/* The newest timestamp at which every replica of the stores of `scope` has
 * all there is to read: stale reads up to it are answered by whoever is asked.
 * "global" are all stores, anything else those with that label `zone`; NULL:
 * as the setting txn.scope. 0 when there is none: no store, or one that never
 * told; never a guess. A store that does not answer within 2 s counts with
 * what it told before. Asks PD and the stores each time. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_timestamp_safe(tikv_client *client, const tikv_call *call,
                    const char *scope, uint64_t *out);

/* The same, promised; taken with tikv_future_take_u64(). */
TIKV_API TIKV_MUST_USE tikv_future *
tikv_timestamp_safe_async(tikv_client *client, const tikv_call *call,
                          const char *scope);

/* One timestamp that PD keeps for whoever wants to tell readers where to
 * read; 0 until it was set. Block. Setting it back, or to a time that PD has
 * not reached, is ARGUMENT. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_external_timestamp(tikv_client *client, const tikv_call *call,
                        uint64_t *out);

TIKV_API TIKV_MUST_USE tikv_error *
tikv_external_timestamp_set(tikv_client *client, const tikv_call *call,
                            uint64_t ts);

/* Milliseconds until what lives for `ttl_ms` from `ts` on, such as a lock, has
 * expired: 0 or less once it has. By the newest timestamp this client has
 * seen, so it may be too much by the age of that one (pd.low_resolution_ms,
 * once tikv_timestamp_recent() was used) and is never too little. 0 when none
 * was seen or `client` is NULL. Never asks, never waits. */
TIKV_API int64_t
tikv_timestamp_until_expired(tikv_client *client, uint64_t ts,
                             uint64_t ttl_ms);

#define TIKV_TIMESTAMP_MS(ts) ((int64_t)((uint64_t)(ts) >> 18))
#define TIKV_TIMESTAMP_LOGICAL(ts) ((int64_t)((uint64_t)(ts) & 0x3FFFF))

TIKV_END_DECLS

#endif
