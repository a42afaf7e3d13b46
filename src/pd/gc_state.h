/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far garbage collection has come, as PD keeps it for each keyspace
 * (PD-8). No state here, no lock.
 */
#ifndef TK_PD_GC_STATE_H
#define TK_PD_GC_STATE_H

#include "pd/pd.h"

/* Keyspace of those that have none. */
#define TK_PD_NULL_KEYSPACE UINT32_MAX

struct tk_gc_state {
    uint64_t txn_safe_point; /* nobody may read below */
    uint64_t gc_safe_point;  /* what is below may be gone */
    bool is_keyspace_level;  /* the keyspace has a state of its own */
};

/* A PD that is too old to know GC states tells its one safe point, for
 * both. */
tikv_error *
tk_pd_gc_state(struct tk_pd *pd, struct tk_op *op, uint32_t keyspace_id,
               struct tk_gc_state *out) __attribute__((warn_unused_result));

#endif
