/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps that need no round trip. The newest one PD ever gave this client
 * is kept with the time of its arrival; every answer feeds it, and once
 * somebody used it a ticker renews it (OR-2, OR-4). A client that never asks
 * has no ticker.
 *
 * Lock: tso.lock, for a few stores.
 */
#ifndef TK_PD_ORACLE_H
#define TK_PD_ORACLE_H

#include "pd/pd.h"

/* The newest timestamp seen, 0 for none, and when it came. */
uint64_t
tk_pd_newest(struct tk_pd *pd, int64_t *seen_at);

/* The newest timestamp; asks PD only while there is none. At most one
 * interval old, as long as PD answers. */
tikv_error *
tk_pd_low_resolution(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
    __attribute__((warn_unused_result));

/* A timestamp of `age_ms` ago by PD's clock, never newer than the newest.
 * ARGUMENT: there was no time so long ago. */
tikv_error *
tk_pd_past(struct tk_pd *pd, struct tk_op *op, uint64_t age_ms, uint64_t *out)
    __attribute__((warn_unused_result));

/* Milliseconds until a lock's time to live ends, by the newest timestamp: 0
 * or less when it is over. May say so up to an interval late, never early. 0
 * while no timestamp was seen: ask the server, it knows better. */
int64_t
tk_pd_until_expired(struct tk_pd *pd, uint64_t lock_ts, uint64_t ttl_ms);

/* Whether data may be read at `ts` (OR-3): ARGUMENT when PD has not given it
 * out yet, and for those that mean "the latest" in a stale read. Asks PD only
 * about timestamps newer than the newest. A stale read tells how young the
 * data is that is asked for. */
tikv_error *
tk_pd_check_read_ts(struct tk_pd *pd, struct tk_op *op, uint64_t ts,
                    bool is_stale) __attribute__((warn_unused_result));

/* ---- values that PD keeps ---- */

/* The least of the timestamps that all of PD's timestamp services would give
 * next. */
tikv_error *
tk_pd_min_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
    __attribute__((warn_unused_result));

/* What an outer system set for others to read at; 0: nothing yet. */
tikv_error *
tk_pd_external_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
    __attribute__((warn_unused_result));

/* Grows only and stays below PD's own time: ARGUMENT. */
tikv_error *
tk_pd_set_external_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t ts)
    __attribute__((warn_unused_result));

#endif
