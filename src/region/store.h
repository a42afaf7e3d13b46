/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of stores: one owner of each store's state. Regions refer to
 * stores by pointer; a store object lives as long as the table, so an address
 * change is seen by all. Lock: rank REGION, for writers; readers load
 * atomics.
 */
#ifndef TK_REGION_STORE_H
#define TK_REGION_STORE_H

#include "pd/pd.h"

struct tk_exec;
struct tk_stores;

struct tk_store {
    uint64_t id;                      /* fixed */
    _Atomic(struct tk_conn *) conn;   /* acquire; NULL: not resolved */
    _Atomic uint32_t epoch;           /* raised to invalidate its regions */
    _Atomic bool needs_check;         /* address must be asked again */
    _Atomic bool is_out;              /* asked only where no other peer is:
                                         unreachable, or a tombstone */
    _Atomic bool is_tombstone;
};

struct tk_stores *
tk_stores_new(struct tk_pd *pd, struct tk_rpc *rpc, struct tk_log *log);

/* Starts what goes on in the background: PD's list of all stores every
 * stores.refresh_ms, probes of suspected stores every stores.probe_ms. Ends
 * with the exec and the rpc; tk_stores_free() waits for the timers. */
void
tk_stores_start(struct tk_stores *stores, struct tk_exec *exec,
                const struct tk_config *config);

/* The object of an id, made at the first time; NULL without memory. */
struct tk_store *
tk_stores_get(struct tk_stores *stores, uint64_t id);

/* Makes sure the store has a connection to its present address; asks PD when
 * it has none or needs a check. Single flight per store. A tombstone or
 * unknown store: *out NULL and no error. */
tikv_error *
tk_stores_resolve(struct tk_stores *stores, struct tk_store *store,
                  struct tk_op *op, struct tk_conn **out);

/* A send failed or the store said it is another: raise the epoch, so that its
 * regions look again, check the address at the next use, and probe it in the
 * background. `seen_epoch` is
 * the route's: of many failures together one raises it. */
void
tk_stores_suspect(struct tk_stores *stores, struct tk_store *store,
                  uint32_t seen_epoch);

/* After the exec and the rpc closed. */
void
tk_stores_free(struct tk_stores *stores);

#endif
