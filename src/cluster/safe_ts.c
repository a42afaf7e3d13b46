/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Safe timestamps: nobody will commit at or below them any more, so every
 * peer may answer reads there. A leader resolves its region once a tick: up
 * to the timestamp that PD gave at the tick, but not beyond the start of a
 * transaction that holds a lock. Other peers hear of it one tick later. A
 * tick is taken note of when somebody asks; nothing runs in between.
 */
#include "base/error.h"
#include "base/slice.h"
#include "cluster/txn.h"

enum { TICK_MS = 200 };

/* Locks that will become a version; the others change nothing for readers. */
static bool
holds_back(const struct tk_mvcc_lock *lock)
{
    return lock->type == TK_MVCC_PUT || lock->type == TK_MVCC_DELETE;
}

static uint64_t
oldest_lock(struct tk_cluster *cluster, const struct tk_cl_region *region,
            uint64_t ts)
{
    tikv_slice start = tk_cl_region_start(region);
    tikv_slice end = tk_cl_region_end(region);
    struct tk_cl_map_at at = tk_cl_map_from(&cluster->mvcc.locks, start);

    while (at.item != NULL && tk_slice_in_range(at.item->key, start, end)) {
        const struct tk_mvcc_lock *lock = tk_mvcc_node_of(at.item)->lock;

        if (holds_back(lock) && lock->start_ts < ts) {
            ts = lock->start_ts;
        }
        tk_cl_map_next(&at);
    }
    return ts;
}

/* As above for prewrites of the leader's store that are under way. */
static uint64_t
oldest_in_memory(struct tk_cluster *cluster,
                 const struct tk_cl_region *region,
                 const struct tk_cl_store *store, uint64_t ts)
{
    const struct tk_cl_memory_lock *entry = store->memory_locks;

    for (; entry != NULL; entry = entry->next) {
        if (entry->lock->start_ts < ts &&
            tk_slice_in_range(tk_mvcc_encode(&cluster->mvcc, entry->key),
                              tk_cl_region_start(region),
                              tk_cl_region_end(region))) {
            ts = entry->lock->start_ts;
        }
    }
    return ts;
}

/* PD's timestamp at the last tick, or the one before it. */
static uint64_t
ts_of_tick(struct tk_cluster *cluster, bool is_before)
{
    int64_t lag_ms = tk_cl_wall_ms(cluster) % TICK_MS;
    int64_t physical;
    int64_t logical;

    if (is_before) {
        lag_ms += TICK_MS;
    }
    tk_cl_tso_take(cluster, 1, &physical, &logical);
    return physical > lag_ms ? (uint64_t)(physical - lag_ms) << 18 : 0;
}

static void
advance(struct tk_cluster *cluster, const struct tk_cl_region *region,
        struct tk_cl_peer *peer)
{
    const struct tk_cl_peer *leader = tk_cl_peer_of(region, region->leader);
    struct tk_cl_store *store;
    uint64_t ts;

    if (leader == NULL || cluster->leader == UINT32_MAX ||
        !tk_cl_store_is_up(cluster, leader->store_id) || peer->is_witness ||
        peer->state != TK_CL_PEER_NORMAL) {
        return;
    }
    store = tk_cl_store(cluster, leader->store_id);
    ts = ts_of_tick(cluster, peer != leader);
    /* Who computes a commit_ts from now on must come above it. */
    store->max_ts = tk_ts_max(store->max_ts, ts);
    ts = oldest_lock(cluster, region, ts);
    ts = oldest_in_memory(cluster, region, store, ts);
    peer->safe_ts = tk_ts_max(peer->safe_ts, ts);
}

uint64_t
tk_cl_safe_ts(struct tk_cluster *cluster, struct tk_cl_region *region,
              struct tk_cl_peer *peer)
{
    int64_t tick = tk_cl_wall_ms(cluster) / TICK_MS;
    const struct tk_cl_store *store = tk_cl_store(cluster, peer->store_id);
    uint64_t lag = 0;

    if (store != NULL) { /* as rules have it */
        lag = (uint64_t)store->safe_ts_lag_ms << 18;
    }
    if (!peer->is_held && (store == NULL || !store->is_safe_ts_held) &&
        peer->safe_tick != tick) {
        peer->safe_tick = tick;
        advance(cluster, region, peer);
    }
    return peer->safe_ts > lag ? peer->safe_ts - lag : 0;
}

/* ---- what others ask a store ---- */

static bool
overlaps(const struct tk_cl_region *region, tikv_slice start, tikv_slice end)
{
    tikv_slice region_end = tk_cl_region_end(region);

    return (end.len == 0 ||
            tk_slice_compare(tk_cl_region_start(region), end) < 0) &&
           (region_end.len == 0 || tk_slice_compare(start, region_end) < 0);
}

int
tk_cl_store_safe_ts(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_fields range;
    uint64_t least = 0;
    size_t i;

    if (!tk_cl_decode(request->fields.bytes[1], &range)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL,
                            "cannot read the range");
    }
    for (i = 0; i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];
        struct tk_cl_peer *peer = tk_cl_peer_on(region, request->store->id);
        uint64_t ts = 0;

        if (peer != NULL &&
            overlaps(region, range.bytes[1], range.bytes[2])) {
            ts = tk_cl_safe_ts(cluster, region, peer);
        }
        /* A peer that knows nothing yet does not count. */
        if (ts != 0 && (least == 0 || ts < least)) {
            least = ts;
        }
    }
    tk_put_u64(request->out, 1, least);
    return TK_GRPC_OK;
}

/* What the sender says of a leader is what this store knows. */
static bool
agrees(struct tk_cl_request *request, const struct tk_cl_fields *info,
       const struct tk_cl_fields *epoch)
{
    const struct tk_cl_region *region = tk_cl_region_by_id(
        &request->cluster->regions, info->numbers[1]);

    return region != NULL &&
           tk_cl_peer_on(region, request->store->id) != NULL &&
           region->leader == info->numbers[2] &&
           region->term == info->numbers[3] &&
           region->conf_ver == epoch->numbers[1] &&
           region->version == epoch->numbers[2];
}

int
tk_cl_check_leader(struct tk_cl_request *request)
{
    struct tk_cl_fields info;
    struct tk_cl_fields epoch;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 1, &at, &bytes)) {
        if (tk_cl_decode(bytes, &info) &&
            tk_cl_decode(info.bytes[4], &epoch) &&
            agrees(request, &info, &epoch)) {
            tk_put_packed(request->out, 1, &info.numbers[1], 1);
        }
    }
    tk_put_u64(request->out, 2, request->fields.numbers[2]);
    return TK_GRPC_OK;
}

/* ---- what a test does ---- */

/* Region 0 and store 0 are all of them. False: there is none such. */
static bool
each_peer(struct tk_cluster *cluster, uint64_t region_id, uint64_t store_id,
          void (*act)(struct tk_cluster *, struct tk_cl_region *,
                      struct tk_cl_peer *, uint64_t *),
          uint64_t *arg)
{
    bool found = false;
    size_t i;
    size_t j;

    for (i = 0; i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];

        for (j = 0; j < region->peers_count; j++) {
            struct tk_cl_peer *peer = &region->peers[j];

            if ((region_id == 0 || region->id == region_id) &&
                (store_id == 0 || peer->store_id == store_id)) {
                act(cluster, region, peer, arg);
                found = true;
            }
        }
    }
    return found;
}

static void
hold(struct tk_cluster *cluster, struct tk_cl_region *region,
     struct tk_cl_peer *peer, uint64_t *ts)
{
    (void)cluster;
    (void)region;
    peer->is_held = true;
    peer->safe_ts = *ts;
}

static void
release(struct tk_cluster *cluster, struct tk_cl_region *region,
        struct tk_cl_peer *peer, uint64_t *unused)
{
    (void)cluster;
    (void)region;
    (void)unused;
    peer->is_held = false;
    peer->safe_tick = 0;
}

static void
take_least(struct tk_cluster *cluster, struct tk_cl_region *region,
           struct tk_cl_peer *peer, uint64_t *least)
{
    uint64_t ts = tk_cl_safe_ts(cluster, region, peer);

    if (ts < *least) {
        *least = ts;
    }
}

static tikv_error *
no_peer(uint64_t region_id, uint64_t store_id)
{
    return tk_error(TIKV_ERR_ARGUMENT, "region %llu has no peer on store %llu",
                    (unsigned long long)region_id,
                    (unsigned long long)store_id);
}

tikv_error *
tk_cluster_safe_ts_hold(struct tk_cluster *cluster, uint64_t region_id,
                        uint64_t store_id, uint64_t ts)
{
    bool found;

    tk_mutex_lock(&cluster->lock);
    found = each_peer(cluster, region_id, store_id, hold, &ts);
    tk_mutex_unlock(&cluster->lock);
    return found ? NULL : no_peer(region_id, store_id);
}

tikv_error *
tk_cluster_safe_ts_release(struct tk_cluster *cluster, uint64_t region_id,
                           uint64_t store_id)
{
    bool found;

    tk_mutex_lock(&cluster->lock);
    found = each_peer(cluster, region_id, store_id, release, NULL);
    tk_mutex_unlock(&cluster->lock);
    return found ? NULL : no_peer(region_id, store_id);
}

uint64_t
tk_cluster_safe_ts(struct tk_cluster *cluster, uint64_t region_id,
                   uint64_t store_id)
{
    uint64_t least = UINT64_MAX;

    tk_mutex_lock(&cluster->lock);
    if (!each_peer(cluster, region_id, store_id, take_least, &least)) {
        least = 0;
    }
    tk_mutex_unlock(&cluster->lock);
    return least;
}
