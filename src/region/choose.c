/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A round holds no record: between two attempts it may be replaced. It is
 * found anew by its key and known again by id, version and peers; if it is
 * not the same, the round is over. No lock: epoch sections and atomics.
 */
#include "region/choose.h"

#include "region/cache_inner.h"

static struct tk_region *
record_of(struct tk_cache *cache, tikv_slice key, const struct tk_route *route)
{
    struct tk_region *region =
        (struct tk_region *)(void *)tk_map_floor(&cache->map, key);

    return region != NULL && region->id == route->region_id &&
                   region->version == route->version &&
                   region->conf_ver == route->conf_ver
               ? region
               : NULL;
}

static uint32_t
count_of(const struct tk_region *region)
{
    return region->peers_count < TK_REPLICAS_MAX ? region->peers_count
                                                 : TK_REPLICAS_MAX;
}

static bool
matches(const struct tk_store *store, const struct tk_read_mode *mode)
{
    size_t i;

    for (i = 0; i < mode->stores_count && mode->stores[i] != store->id; i++) {
    }
    return (mode->stores_count == 0 || i < mode->stores_count) &&
           (mode->labels_count == 0 ||
            tk_store_has_labels(store, mode->labels, mode->labels_count));
}

static void
see_peer(const struct tk_peer *peer, const struct tk_read_mode *mode,
         int64_t now, struct tk_replica *replica)
{
    struct tk_store *store = peer->store;

    replica->peer_id = peer->id;
    replica->is_learner = peer->is_learner;
    replica->liveness = tk_store_liveness(store);
    replica->is_stale =
        atomic_load_explicit(&peer->epoch, memory_order_relaxed) !=
        atomic_load_explicit(&store->epoch, memory_order_relaxed);
    replica->is_resolved =
        !atomic_load_explicit(&store->needs_check, memory_order_relaxed) &&
        atomic_load_explicit(&store->conn, memory_order_relaxed) != NULL;
    replica->is_slow = tk_store_is_slow(store, now);
    replica->wait_ms = tk_store_wait_ms(store, now);
    replica->matches = matches(store, mode);
}

static void
see(struct tk_cache *cache, const struct tk_region *region,
    struct tk_selector *selector)
{
    int64_t now = tk_now(cache->rt);
    uint32_t proxy =
        atomic_load_explicit(&region->proxy, memory_order_relaxed);
    uint32_t i;

    selector->region_is_valid =
        tk_region_reason(region) == TK_INVALID_OK &&
        atomic_load_explicit(&region->expires, memory_order_relaxed) > now;
    selector->leader =
        atomic_load_explicit(&region->working, memory_order_relaxed);
    selector->proxy = proxy < selector->count ? proxy : TK_NOBODY;
    for (i = 0; i < selector->count; i++) {
        see_peer(&region->peers[i], &selector->mode, now,
                 &selector->replicas[i]);
    }
}

/* The same peers in the same places: PD may have hidden one meanwhile. */
static bool
is_same(const struct tk_region *region, const struct tk_selector *selector)
{
    uint32_t i;

    if (region == NULL || count_of(region) != selector->count) {
        return false;
    }
    for (i = 0; i < selector->count; i++) {
        if (region->peers[i].id != selector->replicas[i].peer_id) {
            return false;
        }
    }
    return true;
}

bool
tk_cache_begin_round(struct tk_cache *cache, tikv_slice key,
                     const struct tk_route *route,
                     const struct tk_round *round,
                     struct tk_selector *selector)
{
    const struct tk_region *region;

    tk_epoch_enter(cache->rt);
    region = record_of(cache, key, route);
    if (region != NULL) {
        tk_selector_init(selector, round->mode, round->is_read,
                         round->has_timeout, round->may_forward,
                         count_of(region));
        see(cache, region, selector);
    }
    tk_epoch_leave(cache->rt);
    return region != NULL;
}

bool
tk_cache_adopt_attempt(struct tk_selector *selector,
                       const struct tk_route *route)
{
    uint32_t i;

    for (i = 0; i < selector->count; i++) {
        if (selector->replicas[i].peer_id == route->peer_id) {
            selector->replicas[i].attempts = 1;
            selector->attempts = 1;
            selector->target = i;
            return true;
        }
    }
    return false;
}

static void
take_effect(struct tk_region *region, const struct tk_choice *choice)
{
    if (choice->reload_later) {
        tk_region_mark(region, TK_REGION_PENDING);
    }
    if (choice->reload_now) {
        tk_region_mark(region, TK_REGION_RELOAD);
    }
    if (choice->invalidate != TK_INVALID_OK) {
        tk_region_invalidate(region, choice->invalidate);
    }
}

bool
tk_cache_choose(struct tk_cache *cache, tikv_slice key,
                struct tk_selector *selector, uint64_t random,
                struct tk_choice *choice, struct tk_route *route,
                struct tk_store **via)
{
    struct tk_region *region;
    bool is_here;

    *via = NULL;
    tk_epoch_enter(cache->rt);
    region = record_of(cache, key, route);
    is_here = is_same(region, selector);
    if (is_here) {
        see(cache, region, selector);
        tk_selector_next(selector, random, choice);
        take_effect(region, choice);
        if (choice->target != TK_NOBODY) {
            tk_region_route(region, &region->peers[choice->target], route);
        }
        if (choice->via != TK_NOBODY) {
            *via = region->peers[choice->via].store;
        } else if (choice->suspect != TK_NOBODY) {
            *via = region->peers[choice->suspect].store;
        }
    }
    tk_epoch_leave(cache->rt);
    return is_here;
}

void
tk_cache_learn(struct tk_cache *cache, tikv_slice key,
               const struct tk_selector *selector,
               const struct tk_route *route)
{
    uint32_t leader = tk_selector_succeeded(selector);
    struct tk_region *region;

    tk_epoch_enter(cache->rt);
    region = record_of(cache, key, route);
    if (is_same(region, selector)) {
        if (leader != TK_NOBODY) {
            atomic_store(&region->working, leader);
        }
        if (selector->via != TK_NOBODY) {
            atomic_store(&region->proxy, selector->via);
        }
    }
    tk_epoch_leave(cache->rt);
}
