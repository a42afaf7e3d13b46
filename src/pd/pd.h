/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The placement driver as the client sees it: members and their leader, the
 * cluster's id, timestamps in batches, facts about regions and stores. Every
 * call here waits through an op and retries by itself as PD-2, PD-4 and PD-11
 * say, within the op's deadline and the backoff budget it is given; what it
 * returns is final for the caller.
 *
 * Locks: rank PD, one for the members, one for the timestamp queue, one for
 * each stream of questions about regions; never two, never held across a wait
 * or a transport call.
 */
#ifndef TK_PD_PD_H
#define TK_PD_PD_H

#include "base/config.h"
#include "exec/op.h"
#include "rpc/rpc.h"
#include "wire/arena.h"

struct tk_pd;
struct tk_tso_batch;
struct metapb_Region;
struct metapb_Peer;
struct metapb_Store;

/* Finds the cluster: asks the endpoints until one knows a leader (PD-2).
 * PD: none answered in time. CLUSTER_MISMATCH: they disagree. */
tikv_error *
tk_pd_open(struct tk_exec *exec, struct tk_rpc *rpc,
           const struct tk_config *config, struct tk_log *log,
           struct tk_op *op, struct tk_pd **out);

uint64_t
tk_pd_cluster_id(const struct tk_pd *pd);

/* ---- timestamps (PD-4) ---- */

/* One caller's wish, in a queue of PD's; memory of the caller until done. */
struct tk_tso_request {
    /* Exactly once; no lock held, may not park. error is the callee's. */
    void (*done)(struct tk_tso_request *, uint64_t ts, tikv_error *error,
                 struct tk_wakes *);
    struct tk_tso_request *next; /* pd's, up to floor */
    struct tk_tso_request *prev;
    struct tk_tso_batch *batch;
    uint64_t serial;
    uint64_t floor;   /* the newest timestamp known when it was asked for */
    int64_t deadline; /* done comes with TIMEOUT soon after; 0: never */
};

/* False: closed or the queue is full; done will not come. */
bool
tk_pd_tso_submit(struct tk_pd *pd, struct tk_tso_request *request);

/* True: forgotten, done will not come. */
bool
tk_pd_tso_take_back(struct tk_pd *pd, struct tk_tso_request *request);

/* One timestamp, retried over leader changes until the op ends. */
tikv_error *
tk_pd_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out);

/* ---- regions and stores (PD-5); keys as PD knows them ---- */

/* Who may answer what is asked about regions. Members that do not lead, and
 * routers, know less and later: what they answer can be old. They are asked
 * only where the settings allow it; what they do not know the leader is asked
 * at once. Whoever finds an answer old asks again, the leader. */
enum tk_pd_source { TK_PD_LEADER, TK_PD_ANYBODY };

/* Messages live in the arena. `leader` is NULL when none is known. */
struct tk_pd_region {
    const struct metapb_Region *region;
    const struct metapb_Peer *leader;
    const struct metapb_Peer *const *down;
    size_t down_count;
    const struct metapb_Peer *const *pending;
    size_t pending_count;
    const struct metapb_Buckets *buckets; /* NULL: none */
    bool is_hearsay; /* not from the leader: it can be old */
};

/* `out->region` is NULL when PD knows no region for the key. */
tikv_error *
tk_pd_region_by_key(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
    __attribute__((warn_unused_result));

/* The region before the one that holds `key`. */
tikv_error *
tk_pd_region_before(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
    __attribute__((warn_unused_result));

/* `out->region` is NULL when PD knows no region of that id. */
tikv_error *
tk_pd_region_by_id(struct tk_pd *pd, struct tk_op *op, uint64_t id,
                   enum tk_pd_source source, struct tk_arena *arena,
                   struct tk_pd_region *out)
    __attribute__((warn_unused_result));

/* Regions that hold keys of the ranges, at most `limit`; of each range they
 * begin with the one that holds its start. Ranges ascend and do not overlap.
 * PD may know less than all: the array, which lives in the arena, can have
 * gaps. UNSUPPORTED: this PD is too old to be asked so. */
tikv_error *
tk_pd_regions_in(struct tk_pd *pd, struct tk_op *op, const tikv_range *ranges,
                 size_t ranges_count, uint32_t limit, enum tk_pd_source source,
                 struct tk_arena *arena, struct tk_pd_region **out,
                 size_t *count) __attribute__((warn_unused_result));

/* NULL in *out when PD says there is no such store. */
tikv_error *
tk_pd_store(struct tk_pd *pd, struct tk_op *op, uint64_t store_id,
            struct tk_arena *arena, const struct metapb_Store **out);

tikv_error *
tk_pd_stores(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
             const struct metapb_Store *const **out, size_t *count);

/* Spreads regions over the stores, in PD's own time. */
tikv_error *
tk_pd_scatter(struct tk_pd *pd, struct tk_op *op, const uint64_t *ids,
              size_t count) __attribute__((warn_unused_result));

/* Whether PD is still at it with a region. */
tikv_error *
tk_pd_is_scattering(struct tk_pd *pd, struct tk_op *op, uint64_t id, bool *out)
    __attribute__((warn_unused_result));

/* Finishes every waiter with CLOSED. Idempotent; before the rpc closes. */
void
tk_pd_close(struct tk_pd *pd);

/* After the rpc closed. */
void
tk_pd_free(struct tk_pd *pd);

#endif
