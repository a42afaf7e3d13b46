/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where keys, regions and nodes are, and who leads: what a test asks, and
 * splits and moves of leaders. merge.c, peers.c, stores.c and members.c have
 * the rest of what it does to the cluster.
 */
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/flow.h"
#include "cluster/journal.h"

struct tk_cl_store *
tk_cl_store(struct tk_cluster *cluster, uint64_t store_id)
{
    return store_id >= 1 && store_id <= cluster->stores_count
               ? &cluster->stores[store_id - 1]
               : NULL;
}

bool
tk_cl_store_is_up(const struct tk_cluster *cluster, uint64_t store_id)
{
    return store_id >= 1 && store_id <= cluster->stores_count &&
           cluster->stores[store_id - 1].is_up;
}

bool
tk_cl_resolve(const struct tk_cluster *cluster, const char *address,
              tk_node *out)
{
    uint32_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        if (cluster->stores[i].is_up &&
            strcmp(cluster->stores[i].address, address) == 0) {
            *out = TK_NODE_STORE | cluster->stores[i].id;
            return true;
        }
    }
    for (i = 0; i < cluster->members_count; i++) {
        if (cluster->members[i].is_up &&
            strcmp(cluster->members[i].address, address) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

void
tk_cl_lead(struct tk_cluster *cluster, struct tk_cl_region *region,
           uint64_t peer_id, bool is_planned)
{
    if (region->leader != peer_id) {
        tk_cl_pd_lags(cluster);
        region->leader = peer_id;
        region->term++;
        tk_journal_region(cluster->journal, region);
        tk_cl_txn_lead(cluster, region, is_planned);
        tk_cl_again_led(cluster, region);
    }
}

uint64_t
tk_cluster_region_of(struct tk_cluster *cluster, tikv_slice key)
{
    uint64_t id;

    tk_mutex_lock(&cluster->lock);
    id = cluster->regions.sorted[tk_cl_region_place(&cluster->regions, key)]
             ->id;
    tk_mutex_unlock(&cluster->lock);
    return id;
}

size_t
tk_cluster_regions_count(struct tk_cluster *cluster)
{
    size_t count;

    tk_mutex_lock(&cluster->lock);
    count = cluster->regions.count;
    tk_mutex_unlock(&cluster->lock);
    return count;
}

bool
tk_cluster_region_at(struct tk_cluster *cluster, size_t index, uint64_t *id,
                     struct tk_buf *start)
{
    bool found;

    tk_mutex_lock(&cluster->lock);
    found = index < cluster->regions.count;
    if (found) {
        const struct tk_cl_region *region = cluster->regions.sorted[index];

        *id = region->id;
        tk_buf_clear(start);
        tk_buf_append_slice(start, tk_cl_region_start(region));
    }
    tk_mutex_unlock(&cluster->lock);
    return found;
}

tikv_error *
tk_cluster_split(struct tk_cluster *cluster, tikv_slice key)
{
    struct tk_buf ids;
    bool ok;

    tk_buf_init(&ids, SIZE_MAX / 4);
    tk_mutex_lock(&cluster->lock);
    ok = tk_cl_split_keys(cluster, &key, 1, &ids);
    tk_mutex_unlock(&cluster->lock);
    tk_buf_fini(&ids);
    return ok ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
}

static tikv_error *
transfer(struct tk_cluster *cluster, struct tk_cl_region *region,
         uint64_t store_id)
{
    const struct tk_cl_peer *peer;

    if (store_id == 0) {
        tk_cl_lead(cluster, region, 0, false);
        return NULL;
    }
    peer = tk_cl_peer_on(region, store_id);
    if (peer == NULL || peer->role != TK_CL_VOTER || peer->is_witness) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "region %llu has no voter on store %llu",
                        (unsigned long long)region->id,
                        (unsigned long long)store_id);
    }
    if (!tk_cl_store_is_up(cluster, store_id)) {
        return tk_error(TIKV_ERR_ARGUMENT, "store %llu is down",
                        (unsigned long long)store_id);
    }
    tk_cl_lead(cluster, region, peer->id, true);
    return NULL;
}

tikv_error *
tk_cluster_transfer_leader(struct tk_cluster *cluster, uint64_t region_id,
                           uint64_t store_id)
{
    struct tk_cl_region *region;
    tikv_error *error;

    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    error = region == NULL ? tk_error(TIKV_ERR_ARGUMENT, "no region %llu",
                                      (unsigned long long)region_id)
                           : transfer(cluster, region, store_id);
    tk_mutex_unlock(&cluster->lock);
    return error;
}

uint64_t
tk_cluster_leader_of(struct tk_cluster *cluster, uint64_t region_id)
{
    const struct tk_cl_region *region;
    const struct tk_cl_peer *leader = NULL;
    uint64_t store_id = 0;

    tk_mutex_lock(&cluster->lock);
    region = tk_cl_region_by_id(&cluster->regions, region_id);
    if (region != NULL) {
        leader = tk_cl_peer_of(region, region->leader);
    }
    if (leader != NULL) {
        store_id = leader->store_id;
    }
    tk_mutex_unlock(&cluster->lock);
    return store_id;
}
