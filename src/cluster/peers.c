/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the peers of a region are: adding, removing and changing them, one
 * step of conf_ver each, and states in which a peer cannot serve. A leader
 * hands over before it goes or becomes what cannot lead.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/inner.h"
#include "cluster/journal.h"

struct tk_cl_peer *
tk_cl_peer_to_lead(struct tk_cluster *cluster, struct tk_cl_region *region,
                   uint64_t except)
{
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        struct tk_cl_peer *peer = &region->peers[i];

        if (peer->role == TK_CL_VOTER && !peer->is_witness &&
            peer->store_id != except &&
            tk_cl_store_is_up(cluster, peer->store_id)) {
            return peer;
        }
    }
    return NULL;
}

uint64_t
tk_cl_free_store(struct tk_cluster *cluster,
                 const struct tk_cl_region *region)
{
    uint32_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        if (cluster->stores[i].is_up &&
            tk_cl_peer_on(region, cluster->stores[i].id) == NULL) {
            return cluster->stores[i].id;
        }
    }
    return 0;
}

void
tk_cl_peer_remove(struct tk_cluster *cluster, struct tk_cl_region *region,
                  uint64_t store_id)
{
    struct tk_cl_peer *peer = tk_cl_peer_on(region, store_id);
    const struct tk_cl_peer *next;
    uint64_t gone;

    if (peer == NULL) {
        return;
    }
    tk_cl_pd_lags(cluster);
    gone = peer->id;
    if (region->peers_count == 1) {
        peer->store_id = tk_cl_free_store(cluster, region);
        peer->id = ++cluster->ids;
        region->conf_ver += 2;
        tk_cl_lead(cluster, region, peer->id, false);
        tk_journal_region(cluster->journal, region);
        return;
    }
    region->peers_count--;
    memmove(peer, peer + 1,
            (size_t)(&region->peers[region->peers_count] - peer) *
                sizeof(*peer));
    region->conf_ver++;
    if (region->leader == gone) {
        next = tk_cl_peer_to_lead(cluster, region, 0);
        tk_cl_lead(cluster, region, next == NULL ? 0 : next->id, false);
    }
    tk_journal_region(cluster->journal, region);
}

/* ---- what a test does ---- */

static void
make(struct tk_cl_peer *peer, uint32_t kind)
{
    peer->role =
        kind == TIKV_CLUSTER_PEER_LEARNER ? TK_CL_LEARNER : TK_CL_VOTER;
    peer->is_witness = kind == TIKV_CLUSTER_PEER_WITNESS;
}

/* The leader must be somebody else before the peer changes or goes. */
static tikv_error *
hand_over(struct tk_cluster *cluster, struct tk_cl_region *region,
          const struct tk_cl_peer *peer)
{
    const struct tk_cl_peer *next;

    if (region->leader != peer->id) {
        return NULL;
    }
    next = tk_cl_peer_to_lead(cluster, region, peer->store_id);
    if (next == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "region %llu: nobody but store %llu can lead it",
                        (unsigned long long)region->id,
                        (unsigned long long)peer->store_id);
    }
    tk_cl_lead(cluster, region, next->id, true);
    return NULL;
}

static tikv_error *
add(struct tk_cluster *cluster, struct tk_cl_region *region,
    uint64_t store_id, uint32_t kind)
{
    const struct tk_cl_store *store = tk_cl_store(cluster, store_id);
    struct tk_cl_peer *peers;
    struct tk_cl_peer *peer;

    if (store == NULL || store->is_removed) {
        return tk_error(TIKV_ERR_ARGUMENT, "no store %llu",
                        (unsigned long long)store_id);
    }
    peers = tk_realloc(region->peers,
                       (region->peers_count + 1) * sizeof(*peers));
    if (peers == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    region->peers = peers;
    tk_cl_pd_lags(cluster);
    peer = &peers[region->peers_count++];
    memset(peer, 0, sizeof(*peer));
    peer->id = ++cluster->ids;
    peer->store_id = store_id;
    make(peer, kind);
    region->conf_ver++;
    tk_journal_region(cluster->journal, region);
    return NULL;
}

static tikv_error *
change(struct tk_cluster *cluster, struct tk_cl_region *region,
       struct tk_cl_peer *peer, uint32_t kind)
{
    tikv_error *error;

    if (kind != TIKV_CLUSTER_PEER_VOTER) {
        error = hand_over(cluster, region, peer);
        if (error != NULL) {
            return error;
        }
    }
    tk_cl_pd_lags(cluster);
    if (kind == TIKV_CLUSTER_PEER_NONE) {
        tk_cl_peer_remove(cluster, region, peer->store_id);
    } else {
        make(peer, kind);
        region->conf_ver++;
        tk_journal_region(cluster->journal, region);
    }
    return NULL;
}

static bool
is_kind(const struct tk_cl_peer *peer, uint32_t kind)
{
    struct tk_cl_peer other = *peer;

    make(&other, kind);
    return other.role == peer->role && other.is_witness == peer->is_witness;
}

tikv_error *
tk_cluster_peer_set(struct tk_cluster *cluster, uint64_t region_id,
                    uint64_t store_id, uint32_t kind)
{
    struct tk_cl_region *region;
    struct tk_cl_peer *peer = NULL;
    tikv_error *error = NULL;

    if (kind > TIKV_CLUSTER_PEER_WITNESS) {
        return tk_error(TIKV_ERR_ARGUMENT, "no such kind of peer: %u", kind);
    }
    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    if (region != NULL) {
        peer = tk_cl_peer_on(region, store_id);
    }
    if (region == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "no region %llu",
                         (unsigned long long)region_id);
    } else if (peer == NULL && kind != TIKV_CLUSTER_PEER_NONE) {
        error = add(cluster, region, store_id, kind);
    } else if (peer != NULL &&
               (kind == TIKV_CLUSTER_PEER_NONE || !is_kind(peer, kind))) {
        error = change(cluster, region, peer, kind);
    }
    tk_mutex_unlock(&cluster->lock);
    return error;
}

tikv_error *
tk_cluster_peer_state(struct tk_cluster *cluster, uint64_t region_id,
                      uint64_t store_id, uint32_t state)
{
    const struct tk_cl_region *region;
    struct tk_cl_peer *peer = NULL;
    tikv_error *error = NULL;

    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    if (region != NULL) {
        peer = tk_cl_peer_on(region, store_id);
    }
    if (peer == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         "region %llu has no peer on store %llu",
                         (unsigned long long)region_id,
                         (unsigned long long)store_id);
    } else if (state > TK_CL_PEER_WAIT_DATA) {
        error = tk_error(TIKV_ERR_ARGUMENT, "no such state of a peer: %u",
                         state);
    } else {
        peer->state = (enum tk_cl_peer_state)state;
        tk_journal_region(cluster->journal, region);
    }
    tk_mutex_unlock(&cluster->lock);
    return error;
}

tikv_error *
tk_cluster_region_recovering(struct tk_cluster *cluster, uint64_t region_id,
                             bool is_recovering)
{
    struct tk_cl_region *region;
    tikv_error *error = NULL;

    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    if (region == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "no region %llu",
                         (unsigned long long)region_id);
    } else {
        region->is_recovering = is_recovering;
    }
    tk_mutex_unlock(&cluster->lock);
    return error;
}
