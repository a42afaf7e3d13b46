/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The txn safe point of the keyspace, as PD told it last: versions below are
 * being collected, and reading there may miss what was written. TiKV does not
 * look; every read does, after it has its answer (SNAP-7, GC-2).
 *
 * It does not tick: who reads and finds it older than 10 s has it renewed in
 * the pool; older than 90 s it is good for nothing and the reader asks. So a
 * client that does not read asks nothing.
 *
 * Any thread. Lock: rank LEAF.
 */
#ifndef TK_TXN_SAFE_POINT_H
#define TK_TXN_SAFE_POINT_H

#include "exec/ticker.h"
#include "pd/waiters.h"
#include "region/drive.h"

struct tk_safe_point {
    const struct tk_router *router;
    struct tk_mutex lock;
    uint64_t point;            /* lock */
    int64_t seen_at;           /* lock; 0: never */
    bool is_asking;            /* lock: somebody who reads */
    struct tk_waiters waiters; /* lock */
    struct tk_ticker renewal;  /* pushed when a reader finds it old */
};

void
tk_safe_point_init(struct tk_safe_point *safe, const struct tk_router *router);

/* After the exec closed. */
void
tk_safe_point_fini(struct tk_safe_point *safe);

/* NULL when what was read at `version` is right. TOO_OLD: it may not be. PD:
 * nobody knows. */
tikv_error *
tk_safe_point_check(struct tk_safe_point *safe, struct tk_op *op,
                    uint64_t version) __attribute__((warn_unused_result));

/* The same without waiting, on any thread. False: not known to be right;
 * tk_safe_point_check() finds out. */
bool
tk_safe_point_passes(struct tk_safe_point *safe, uint64_t version);

/* What somebody learned elsewhere; never goes back. */
void
tk_safe_point_learn(struct tk_safe_point *safe, uint64_t point);

#endif
