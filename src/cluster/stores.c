/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of stores: stopping, starting, trading addresses, going for good,
 * and what makes one slow, full, busy or silent. A store that stops loses
 * what it never replicated: the timestamps it was read at, locks in memory,
 * who waits for locks, how transactions ended.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cluster/flow.h"
#include "cluster/journal.h"

void
tk_cl_tell(struct tk_cluster *cluster, tk_node node, bool up, bool new_port)
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
        tk_cl_calls_break(cluster, node);
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

/* Regions that it led are led by others, where there is anybody. What only
 * its memory held is lost. */
static void
take_down(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    size_t i;

    store->is_up = false;
    store->beat_ms = tk_cl_wall_ms(cluster);
    tk_cl_txn_forget(store);
    for (i = 0; i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];
        const struct tk_cl_peer *leader =
            tk_cl_peer_of(region, region->leader);
        const struct tk_cl_peer *next;

        if (leader == NULL || leader->store_id != store->id) {
            continue;
        }
        next = tk_cl_peer_to_lead(cluster, region, store->id);
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
        tk_cl_tell(cluster, TK_NODE_STORE | store_id, false, false);
    }
    return error;
}

/* Regions that it still leads, for want of others, elect it anew. */
static void
bring_up(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    size_t i;

    store->is_up = true;
    store->starts++;
    store->started_ms = tk_cl_wall_ms(cluster);
    store->feedbacks = 0;
    for (i = 0; i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];
        const struct tk_cl_peer *leader =
            tk_cl_peer_of(region, region->leader);

        if (leader != NULL && leader->store_id == store->id) {
            region->term++;
            tk_journal_region(cluster->journal, region);
            tk_cl_txn_lead(cluster, region, false);
        }
    }
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
            tk_cl_pd_lags(cluster);
            (void)snprintf(store->address, sizeof(store->address),
                           "tikv-%llu:%u", (unsigned long long)store_id,
                           20160 + ++store->ports);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (was_down) {
        tk_cl_tell(cluster, TK_NODE_STORE | store_id, true, new_port);
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
        tk_cl_txn_forget(stores[i]);
    }
    if (error == NULL) {
        tk_cl_pd_lags(cluster);
        swap_addresses(stores[0], stores[1]);
    }
    tk_mutex_unlock(&cluster->lock);
    for (i = 0; i < 2; i++) {
        if (was_up[i]) {
            tk_cl_tell(cluster, TK_NODE_STORE | ids[i], false, false);
        }
    }
    for (i = 0; i < 2; i++) {
        if (was_up[i]) {
            tk_mutex_lock(&cluster->lock);
            bring_up(cluster, stores[i]);
            tk_mutex_unlock(&cluster->lock);
            tk_cl_tell(cluster, TK_NODE_STORE | ids[i], true, false);
        }
    }
    return error;
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
            tk_cl_free_store(cluster, region) == 0) {
            error = tk_error(TIKV_ERR_ARGUMENT,
                             "region %llu would have no peer left",
                             (unsigned long long)region->id);
        }
    }
    if (error == NULL) {
        was_up = store->is_up;
        tk_cl_pd_lags(cluster);
        take_down(cluster, store);
        store->is_removed = true;
        tk_journal_store(cluster->journal, store);
        for (i = 0; i < cluster->regions.count; i++) {
            tk_cl_peer_remove(cluster, cluster->regions.sorted[i], store_id);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (was_up) {
        tk_cl_tell(cluster, TK_NODE_STORE | store_id, false, false);
    }
    return error;
}

/* ---- moods ---- */

enum { SCORE_MAX = 100 };

static int64_t
heat_of(struct tk_cluster *cluster, const struct tk_cl_store *store)
{
    int64_t seconds =
        (tk_now(cluster->rt) - store->heat_ns) / (1000 * TK_MS);

    return store->heat > seconds ? store->heat - seconds : 0;
}

uint64_t
tk_cl_store_score(struct tk_cluster *cluster, const struct tk_cl_store *store)
{
    int64_t score = store->slow_score + heat_of(cluster, store);

    return (uint64_t)(score > SCORE_MAX ? SCORE_MAX : score);
}

/* A store that makes wait is seen to be slow, for a while. */
void
tk_cl_store_burden(const struct tk_cl_request *request,
                   struct tk_cl_plan *plan)
{
    struct tk_cl_store *store = request->store;
    struct tk_cluster *cluster = request->cluster;

    if (store == NULL) {
        return;
    }
    if (store->is_paused) {
        plan->skip = true;
        plan->silent = true;
    }
    if (store->latency_ms > 0) {
        plan->before.ns += (int64_t)store->latency_ms * TK_MS;
        store->heat = (int32_t)heat_of(cluster, store);
        store->heat += store->heat < SCORE_MAX;
        store->heat_ns = tk_now(cluster->rt);
    }
}

struct mood {
    uint64_t number;
    bool is_on;
};

/* One setting of one store, with the lock. */
static tikv_error *
set_mood(struct tk_cluster *cluster, uint64_t store_id,
         void (*set)(struct tk_cl_store *, const struct mood *),
         const struct mood *mood)
{
    struct tk_cl_store *store;
    tikv_error *error;

    tk_mutex_lock(&cluster->lock);
    error = find_store(cluster, store_id, &store);
    if (error == NULL) {
        set(store, mood);
        tk_journal_store(cluster->journal, store);
    }
    tk_mutex_unlock(&cluster->lock);
    return error;
}

static void
set_wait(struct tk_cl_store *store, const struct mood *mood)
{
    store->wait_ms = (uint32_t)mood->number;
    store->refuses_writes = mood->is_on;
}

tikv_error *
tk_cluster_store_busy(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t wait_ms, bool refuses_writes)
{
    const struct mood mood = { wait_ms, refuses_writes };

    return set_mood(cluster, store_id, set_wait, &mood);
}

static void
set_disk(struct tk_cl_store *store, const struct mood *mood)
{
    store->disk = (enum tk_cl_disk)mood->number;
}

tikv_error *
tk_cluster_store_disk(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t level)
{
    const struct mood mood = { .number = level };

    if (level > TK_CL_DISK_FULL_UP) {
        return tk_error(TIKV_ERR_ARGUMENT, "no such level of a disk: %u",
                        level);
    }
    return set_mood(cluster, store_id, set_disk, &mood);
}

static void
set_latency(struct tk_cl_store *store, const struct mood *mood)
{
    store->latency_ms = (uint32_t)mood->number;
}

tikv_error *
tk_cluster_store_slow(struct tk_cluster *cluster, uint64_t store_id,
                      uint32_t latency_ms)
{
    const struct mood mood = { .number = latency_ms };

    return set_mood(cluster, store_id, set_latency, &mood);
}

static void
set_score(struct tk_cl_store *store, const struct mood *mood)
{
    store->slow_score = (int32_t)mood->number;
}

tikv_error *
tk_cluster_store_score(struct tk_cluster *cluster, uint64_t store_id,
                       uint32_t score)
{
    const struct mood mood = { .number = score };

    if (score < 1 || score > 100) {
        return tk_error(TIKV_ERR_ARGUMENT, "a slow score is 1 to 100");
    }
    return set_mood(cluster, store_id, set_score, &mood);
}

static void
set_paused(struct tk_cl_store *store, const struct mood *mood)
{
    store->is_paused = mood->is_on;
}

tikv_error *
tk_cluster_store_pause(struct tk_cluster *cluster, uint64_t store_id,
                       bool is_paused)
{
    const struct mood mood = { .is_on = is_paused };

    return set_mood(cluster, store_id, set_paused, &mood);
}

static void
set_offline(struct tk_cl_store *store, const struct mood *mood)
{
    store->is_offline = mood->is_on;
}

tikv_error *
tk_cluster_store_offline(struct tk_cluster *cluster, uint64_t store_id,
                         bool is_offline)
{
    const struct mood mood = { .is_on = is_offline };

    return set_mood(cluster, store_id, set_offline, &mood);
}

static void
set_unsynced(struct tk_cl_store *store, const struct mood *mood)
{
    store->max_ts_stale = mood->is_on;
}

tikv_error *
tk_cluster_store_unsynced(struct tk_cluster *cluster, uint64_t store_id,
                          bool is_unsynced)
{
    const struct mood mood = { .is_on = is_unsynced };

    return set_mood(cluster, store_id, set_unsynced, &mood);
}

/* ---- deeds of rules ---- */

bool
tk_cl_store_drop(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    if (!store->is_up) {
        return false;
    }
    take_down(cluster, store);
    return true;
}

bool
tk_cl_store_raise(struct tk_cluster *cluster, struct tk_cl_store *store)
{
    if (store->is_up || store->is_removed) {
        return false;
    }
    bring_up(cluster, store);
    return true;
}
