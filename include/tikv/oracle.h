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

#define TIKV_TIMESTAMP_MS(ts) ((int64_t)((uint64_t)(ts) >> 18))
#define TIKV_TIMESTAMP_LOGICAL(ts) ((int64_t)((uint64_t)(ts) & 0x3FFFF))

TIKV_END_DECLS

#endif
