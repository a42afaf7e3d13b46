/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test does to the cluster: moves, splits and merges regions, stops,
 * starts, swaps and removes stores, and makes members of PD resign.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/inner.h"
#include "cluster/journal.h"

enum { VOTER = 0 };

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
        region->leader = peer_id;
        region->term++;
        tk_journal_region(cluster->journal, region);
        tk_cl_txn_lead(cluster, region, is_planned);
    }
}

/* A peer that may lead, not on `except`; NULL when there is none. */
static struct tk_cl_peer *
candidate(struct tk_cluster *cluster, struct tk_cl_region *region,
          uint64_t except)
{
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        struct tk_cl_peer *peer = &region->peers[i];

        if (peer->role == VOTER && !peer->is_witness &&
            peer->store_id != except &&
            tk_cl_store_is_up(cluster, peer->store_id)) {
            return peer;
        }
    }
    return NULL;
}

/* ---- regions ---- */

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

tikv_error *
tk_cluster_merge(struct tk_cluster *cluster, tikv_slice key)
{
    struct tk_cl_regions *all = &cluster->regions;
    tikv_error *error = NULL;
    size_t place;

    tk_mutex_lock(&cluster->lock);
    place = tk_cl_region_place(all, key);
    if (place + 1 == all->count) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         "the last region has no right neighbour");
    } else if (!tk_cl_region_join(cluster, all->sorted[place],
                                  all->sorted[place + 1])) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_mutex_unlock(&cluster->lock);
    return error;
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
    if (peer == NULL || peer->role != VOTER || peer->is_witness) {
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

/* ---- stores ---- */

/* No lock held. */
static void
tell(struct tk_cluster *cluster, tk_node node, bool up, bool new_port)
{
    struct tk_cluster_events events;

    tk_mutex_lock(&cluster->lock);
    events = cluster->events;
    tk_mutex_unlock(&cluster->lock);
    if (up && events.up != NULL) {
        events.up(events.arg, node, new_port);
    }
    if (!up) {
        tk_cl_streams_break(cluster, node);
        if (events.down != NULL) {
            events.down(events.arg, node);
        }
    }
}

/* The store, or an error; with the lock. */
static tikv_error *
find_store(struct tk_cluster *cluster, uint64_t store_id,
           struct tk_cl_store **out)
{
    *out = tk_cl_store(cluster, store_id);
    if (*out == NULL || (*out)->is_removed) {
        return tk_error(TIKV_ERR_ARGUMENT, "no store %llu",
                        (unsigned long long)store_id);
    }
    return NULL;
}

/* Regions that it led are led by others, where there is anybody. */
static void
take_down(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    size_t i;

    store->is_up = false;
    store->beat_ms = tk_cl_wall_ms(cluster);
    for (i = 0; i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];
        const struct tk_cl_peer *leader =
            tk_cl_peer_of(region, region->leader);
        const struct tk_cl_peer *next;

        if (leader == NULL || leader->store_id != store->id) {
            continue;
        }
        next = candidate(cluster, region, store->id);
        if (next != NULL) {
            tk_cl_lead(cluster, region, next->id, false);
        }
    }
}

tikv_error *
tk_cluster_store_stop(struct tk_cluster *cluster, uint64_t store_id)
{
    struct tk_cl_store *store;
    tikv_error *error;
    bool was_up = false;

    tk_mutex_lock(&cluster->lock);
    error = find_store(cluster, store_id, &store);
    if (error == NULL && store->is_up) {
        was_up = true;
        take_down(cluster, store);
    }
    tk_mutex_unlock(&cluster->lock);
    if (was_up) {
        tell(cluster, TK_NODE_STORE | store_id, false, false);
    }
    return error;
}

static void
bring_up(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    store->is_up = true;
    store->started_ms = tk_cl_wall_ms(cluster);
    store->feedbacks = 0;
}

tikv_error *
tk_cluster_store_start(struct tk_cluster *cluster, uint64_t store_id,
                       bool new_port)
{
    struct tk_cl_store *store;
    tikv_error *error;
    bool was_down = false;

    tk_mutex_lock(&cluster->lock);
    error = find_store(cluster, store_id, &store);
    if (error == NULL && !store->is_up) {
        was_down = true;
        bring_up(cluster, store);
        if (new_port) {
            (void)snprintf(store->address, sizeof(store->address),
                           "tikv-%llu:%u", (unsigned long long)store_id,
                           20160 + ++store->ports);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (was_down) {
        tell(cluster, TK_NODE_STORE | store_id, true, new_port);
    }
    return error;
}

static void
swap_addresses(struct tk_cl_store *a, struct tk_cl_store *b)
{
    char address[TK_CL_ADDRESS_MAX];

    memcpy(address, a->address, sizeof(address));
    memcpy(a->address, b->address, sizeof(address));
    memcpy(b->address, address, sizeof(address));
}

tikv_error *
tk_cluster_store_swap(struct tk_cluster *cluster, uint64_t a, uint64_t b)
{
    struct tk_cl_store *stores[2];
    uint64_t ids[2] = { a, b };
    bool was_up[2] = { false, false };
    tikv_error *error;
    size_t i;

    tk_mutex_lock(&cluster->lock);
    error = find_store(cluster, a, &stores[0]);
    if (error == NULL) {
        error = find_store(cluster, b, &stores[1]);
    }
    for (i = 0; error == NULL && i < 2; i++) {
        was_up[i] = stores[i]->is_up;
        stores[i]->is_up = false;
    }
    if (error == NULL) {
        swap_addresses(stores[0], stores[1]);
    }
    tk_mutex_unlock(&cluster->lock);
    for (i = 0; i < 2; i++) {
        if (was_up[i]) {
            tell(cluster, TK_NODE_STORE | ids[i], false, false);
        }
    }
    for (i = 0; i < 2; i++) {
        if (was_up[i]) {
            tk_mutex_lock(&cluster->lock);
            bring_up(cluster, stores[i]);
            tk_mutex_unlock(&cluster->lock);
            tell(cluster, TK_NODE_STORE | ids[i], true, false);
        }
    }
    return error;
}

/* A removed peer's place may be taken by a store that is up and has none. */
static uint64_t
free_store(struct tk_cluster *cluster, const struct tk_cl_region *region)
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

/* A last peer moves; another one just goes. */
static void
remove_peer(struct tk_cluster *cluster, struct tk_cl_region *region,
            uint64_t store_id)
{
    struct tk_cl_peer *peer = tk_cl_peer_on(region, store_id);
    uint64_t gone;
    struct tk_cl_peer *next;

    if (peer == NULL) {
        return;
    }
    gone = peer->id;
    if (region->peers_count == 1) {
        peer->store_id = free_store(cluster, region);
        peer->id = ++cluster->ids;
        region->conf_ver += 2;
        tk_cl_lead(cluster, region, peer->id, false);
        return;
    }
    region->peers_count--;
    memmove(peer, peer + 1,
            (size_t)(&region->peers[region->peers_count] - peer) *
                sizeof(*peer));
    region->conf_ver++;
    if (region->leader == gone) {
        next = candidate(cluster, region, 0);
        tk_cl_lead(cluster, region, next == NULL ? 0 : next->id, false);
    }
    tk_journal_region(cluster->journal, region);
}

tikv_error *
tk_cluster_store_remove(struct tk_cluster *cluster, uint64_t store_id)
{
    struct tk_cl_store *store;
    tikv_error *error;
    bool was_up = false;
    size_t i;

    tk_mutex_lock(&cluster->lock);
    error = find_store(cluster, store_id, &store);
    for (i = 0; error == NULL && i < cluster->regions.count; i++) {
        const struct tk_cl_region *region = cluster->regions.sorted[i];

        if (region->peers_count == 1 &&
            region->peers[0].store_id == store_id &&
            free_store(cluster, region) == 0) {
            error = tk_error(TIKV_ERR_ARGUMENT,
                             "region %llu would have no peer left",
                             (unsigned long long)region->id);
        }
    }
    if (error == NULL) {
        was_up = store->is_up;
        take_down(cluster, store);
        store->is_removed = true;
        tk_journal_store(cluster->journal, store);
        for (i = 0; i < cluster->regions.count; i++) {
            remove_peer(cluster, cluster->regions.sorted[i], store_id);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (was_up) {
        tell(cluster, TK_NODE_STORE | store_id, false, false);
    }
    return error;
}

/* ---- members of PD ---- */

static void
set_leader(struct tk_cluster *cluster, uint32_t member)
{
    cluster->leader = member;
    cluster->leader_held = false;
    cluster->members[member].has_led = true;
    tk_cl_tso_lead(cluster);
    tk_cl_pd_publish(cluster);
}

static void
elect(struct tk_cluster *cluster)
{
    uint32_t i;

    cluster->leader = UINT32_MAX;
    for (i = 0; i < cluster->members_count; i++) {
        if (cluster->members[i].is_up) {
            set_leader(cluster, i);
            return;
        }
    }
}

static tikv_error *
check_member(const struct tk_cluster *cluster, uint32_t member)
{
    return member < cluster->members_count
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "no member %u", member);
}

tikv_error *
tk_cluster_pd_stop(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);
    bool was_up;

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    was_up = cluster->members[member].is_up;
    cluster->members[member].is_up = false;
    if (was_up && cluster->leader == member) {
        elect(cluster);
        tk_cl_pd_publish(cluster);
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    if (was_up) {
        tell(cluster, member, false, false);
    }
    return NULL;
}

tikv_error *
tk_cluster_pd_start(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);
    bool was_up;

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    was_up = cluster->members[member].is_up;
    if (!was_up) {
        cluster->members[member].is_up = true;
        cluster->members[member].has_led = false;
        if (cluster->leader == UINT32_MAX && !cluster->leader_held) {
            elect(cluster);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (!was_up) {
        tell(cluster, member, true, false);
    }
    return NULL;
}

tikv_error *
tk_cluster_pd_transfer(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    if (!cluster->members[member].is_up) {
        error = tk_error(TIKV_ERR_ARGUMENT, "member %u is down", member);
    } else if (cluster->leader != member) {
        set_leader(cluster, member);
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    return error;
}

void
tk_cluster_pd_leaderless(struct tk_cluster *cluster)
{
    tk_mutex_lock(&cluster->lock);
    cluster->leader = UINT32_MAX;
    cluster->leader_held = true;
    tk_cl_pd_publish(cluster);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
}

uint32_t
tk_cluster_pd_leader(struct tk_cluster *cluster)
{
    uint32_t leader;

    tk_mutex_lock(&cluster->lock);
    leader = cluster->leader;
    tk_mutex_unlock(&cluster->lock);
    return leader;
}
