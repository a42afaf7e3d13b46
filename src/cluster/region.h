/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: who they are, the ordered set of them, and what is done to them.
 * All of it with the cluster's lock held.
 */
#ifndef TK_CLUSTER_REGION_H
#define TK_CLUSTER_REGION_H

#include "base/buf.h"

struct tk_cluster;
struct tk_cl_store;

enum tk_cl_peer_state {
    TK_CL_PEER_NORMAL,
    TK_CL_PEER_UNINITIALIZED,
    TK_CL_PEER_SNAPSHOT,
    TK_CL_PEER_WAIT_DATA
};

/* metapb.PeerRole, of which the two of a change under way never last here */
enum { TK_CL_VOTER = 0, TK_CL_LEARNER = 1 };

struct tk_cl_peer {
    uint64_t id;
    uint64_t store_id;
    int32_t role;
    bool is_witness;
    enum tk_cl_peer_state state;
    uint64_t safe_ts;  /* as of the tick below */
    int64_t safe_tick; /* of safe_ts.c */
    bool is_held;      /* safe_ts stays as it is */
};

struct tk_cl_region {
    uint64_t id;
    uint8_t *start; /* one block: start, then end */
    size_t start_len;
    size_t end_len;
    uint64_t conf_ver;
    uint64_t version;
    uint64_t term;
    uint64_t leader; /* peer id; 0: none */
    struct tk_cl_peer *peers;
    size_t peers_count;
    bool is_merging;
    bool is_recovering;
    bool in_flashback;
    uint64_t flashback_ts;
    const char *operator_kind; /* last operator; NULL: none */
    int64_t operator_ends;     /* it runs until then */
    struct tk_cl_region *next; /* same bucket of the ids */
};

/* Ordered by start key, without holes; found by id in O(1). */
struct tk_cl_regions {
    struct tk_cl_region **sorted;
    size_t count;
    size_t room;
    struct tk_cl_region **buckets;
    size_t buckets_count; /* a power of two */
};

static inline tikv_slice
tk_cl_region_start(const struct tk_cl_region *region)
{
    return (tikv_slice){ region->start, region->start_len };
}

static inline tikv_slice
tk_cl_region_end(const struct tk_cl_region *region)
{
    return (tikv_slice){ region->start + region->start_len, region->end_len };
}

struct tk_cl_region *
tk_cl_region_by_id(const struct tk_cl_regions *regions, uint64_t id);

/* The place of the region that holds `key`. */
size_t
tk_cl_region_place(const struct tk_cl_regions *regions, tikv_slice key);

/* NULL when the region has no peer there, or has none of that id. */
struct tk_cl_peer *
tk_cl_peer_on(const struct tk_cl_region *region, uint64_t store_id);

struct tk_cl_peer *
tk_cl_peer_of(const struct tk_cl_region *region, uint64_t peer_id);

/* A region with `peers_count` zeroed peers, in no set. */
struct tk_cl_region *
tk_cl_region_new(uint64_t id, tikv_slice start, tikv_slice end,
                 size_t peers_count);

/* NULL without memory; in no set. */
struct tk_cl_region *
tk_cl_region_copy(const struct tk_cl_region *region);

void
tk_cl_region_free(struct tk_cl_region *region);

/* False without memory. The range must be free of others. */
bool
tk_cl_regions_add(struct tk_cl_regions *regions, struct tk_cl_region *region);

void
tk_cl_regions_remove(struct tk_cl_regions *regions,
                     struct tk_cl_region *region);

void
tk_cl_regions_fini(struct tk_cl_regions *regions);

/* Cuts a region at sorted, distinct keys inside of it: `count` new ones with
 * fresh ids to the left, the old one keeps the right end. All or nothing. */
bool
tk_cl_region_cut(struct tk_cluster *cluster, struct tk_cl_region *region,
                 const tikv_slice *keys, size_t count);

/* The right neighbour takes the range of `source`, which is gone. */
bool
tk_cl_region_join(struct tk_cluster *cluster, struct tk_cl_region *source,
                  struct tk_cl_region *target);

/* ---- split.c ---- */

/* Cuts at keys anywhere, in any order; the ids of what is new are appended
 * to `ids` as uint64_t. False without memory: some cuts may be done. */
bool
tk_cl_split_keys(struct tk_cluster *cluster, tikv_slice *keys, size_t count,
                 struct tk_buf *ids);

/* ---- peers.c ---- */

/* A peer that may lead, not on store `except`; NULL when there is none. */
struct tk_cl_peer *
tk_cl_peer_to_lead(struct tk_cluster *cluster, struct tk_cl_region *region,
                   uint64_t except);

/* A last peer moves to a store that tk_cl_free_store() gives, another one
 * just goes. */
void
tk_cl_peer_remove(struct tk_cluster *cluster, struct tk_cl_region *region,
                  uint64_t store_id);

/* A store that is up and has no peer of the region; 0: none. */
uint64_t
tk_cl_free_store(struct tk_cluster *cluster,
                 const struct tk_cl_region *region);

/* ---- safe_ts.c ---- */

/* Up to where stale reads at the peer are good. */
uint64_t
tk_cl_safe_ts(struct tk_cluster *cluster, struct tk_cl_region *region,
              struct tk_cl_peer *peer);

/* ---- pd_lag.c: what PD has not heard of yet ---- */

/* Before regions, leaders or addresses change. */
void
tk_cl_pd_lags(struct tk_cluster *cluster);

/* Regions and addresses as PD knows them. */
const struct tk_cl_regions *
tk_cl_pd_regions(struct tk_cluster *cluster);

const char *
tk_cl_pd_address(struct tk_cluster *cluster, const struct tk_cl_store *store);

void
tk_cl_pd_lag_fini(struct tk_cluster *cluster);

/* ---- bounds.c ---- */

/* The first key whose encoded form is not before `bound`. */
void
tk_cl_first_key(struct tk_buf *out, tikv_slice bound);

/* Of a region, to compare raw keys with; an empty end is none. */
struct tk_cl_bounds {
    tikv_slice start;
    tikv_slice end;
    struct tk_buf bytes;
};

/* False without memory. To be closed in any case. */
bool
tk_cl_bounds_open(struct tk_cl_bounds *bounds,
                  const struct tk_cluster *cluster,
                  const struct tk_cl_region *region);

void
tk_cl_bounds_close(struct tk_cl_bounds *bounds);

/* What of a range lies in [start, end); it may have its end before its start
 * then. */
tikv_range
tk_cl_clip(tikv_range range, tikv_slice start, tikv_slice end);

#endif
