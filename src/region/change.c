/* SPDX-License-Identifier: Apache-2.0 */
/* What answers of stores do to the cache: leaders, invalid records, epochs
 * (RC-3, RC-8, RC-9). A route names the record it came from by id and epoch:
 * a newer record is left alone. */
#include <string.h>

#include "region/cache_inner.h"

#include "metapb.upb.h"

/* Under the lock. */
static struct tk_region *
record_of(struct tk_cache *cache, const struct tk_route *route)
{
    struct tk_region *region = tk_cache_by_id(cache, route->region_id);

    return region != NULL && region->version == route->version &&
                   region->conf_ver == route->conf_ver
               ? region
               : NULL;
}

void
tk_cache_invalidate(struct tk_cache *cache, const struct tk_route *route,
                    enum tk_invalid reason)
{
    struct tk_region *region;

    tk_mutex_lock(&cache->lock);
    region = record_of(cache, route);
    if (region != NULL) {
        tk_region_invalidate(region, reason);
    }
    tk_mutex_unlock(&cache->lock);
}

static uint32_t
place_of(const struct tk_region *region, uint64_t peer_id)
{
    uint32_t place = 0;

    while (place < region->peers_count &&
           region->peers[place].id != peer_id) {
        place++;
    }
    return place;
}

bool
tk_cache_set_leader(struct tk_cache *cache, const struct tk_route *route,
                    uint64_t peer_id, uint64_t store_id)
{
    struct tk_region *region;
    bool is_known = false;

    tk_mutex_lock(&cache->lock);
    region = record_of(cache, route);
    if (region != NULL) {
        uint32_t place = place_of(region, peer_id);

        is_known = place < region->peers_count &&
                   region->peers[place].store->id == store_id;
        if (is_known) {
            struct tk_peer *peer = &region->peers[place];

            /* Named by its own group: worth a try, whatever we suspected. */
            atomic_store(&peer->epoch, atomic_load(&peer->store->epoch));
            atomic_store(&region->working, place);
        } else {
            tk_region_invalidate(region, TK_INVALID_STORE);
        }
    } else {
        /* A newer record is there: nothing to correct, look again. */
        is_known = false;
    }
    tk_mutex_unlock(&cache->lock);
    return is_known;
}

/* A region of the error that is ours but older than what we sent. */
static bool
is_behind(const struct tk_route *route,
          const struct metapb_Region *const *regions, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        const metapb_RegionEpoch *epoch =
            metapb_Region_region_epoch(regions[i]);

        if (metapb_Region_id(regions[i]) == route->region_id &&
            epoch != NULL &&
            (metapb_RegionEpoch_conf_ver(epoch) < route->conf_ver ||
             metapb_RegionEpoch_version(epoch) < route->version)) {
            return true;
        }
    }
    return false;
}

bool
tk_cache_epoch_not_match(struct tk_cache *cache, const struct tk_route *route,
                         const struct metapb_Region *const *regions,
                         size_t count)
{
    bool keeps_old = false;
    size_t i;

    if (is_behind(route, regions, count)) {
        return true;
    }
    for (i = 0; i < count; i++) {
        const metapb_RegionEpoch *epoch =
            metapb_Region_region_epoch(regions[i]);
        struct tk_pd_region facts = { .region = regions[i] };
        struct tk_region *region;
        bool is_in = false;

        keeps_old |= metapb_Region_id(regions[i]) == route->region_id &&
                     epoch != NULL &&
                     metapb_RegionEpoch_conf_ver(epoch) == route->conf_ver &&
                     metapb_RegionEpoch_version(epoch) == route->version;
        /* What cannot be used (foreign keys, no memory) PD is asked about. */
        tikv_error_free(tk_region_new(cache, &facts, route->store, &region));
        if (region != NULL) {
            tk_mutex_lock(&cache->lock);
            is_in = tk_cache_insert(cache, region);
            tk_mutex_unlock(&cache->lock);
            if (!is_in) {
                tk_region_free(region);
            }
        }
    }
    if (!keeps_old) {
        tk_cache_invalidate(cache, route, TK_INVALID_EPOCH);
    }
    return false;
}

uint64_t
tk_cache_buckets_version(struct tk_cache *cache, const struct tk_route *route)
{
    const struct tk_region *region;
    const struct tk_buckets *buckets;
    uint64_t version;

    tk_mutex_lock(&cache->lock);
    region = record_of(cache, route);
    buckets = region == NULL ? NULL : atomic_load(&region->buckets);
    version = buckets == NULL ? 0 : buckets->version;
    tk_mutex_unlock(&cache->lock);
    return version;
}

void
tk_cache_set_buckets(struct tk_cache *cache, const struct tk_route *route,
                     uint64_t version, const upb_StringView *keys,
                     size_t count)
{
    struct tk_buckets *old = NULL;
    struct tk_buckets *fresh;
    struct tk_region *region;

    /* A hint that finds no memory is done without. */
    if (!tk_buckets_new(&cache->codec, version, keys, count, &fresh) ||
        fresh == NULL) {
        return;
    }
    tk_mutex_lock(&cache->lock);
    region = record_of(cache, route);
    if (region != NULL) {
        old = atomic_load(&region->buckets);
        if (old == NULL || old->version < version) {
            atomic_store_explicit(&region->buckets, fresh,
                                  memory_order_release);
            fresh = NULL;
        } else {
            old = NULL;
        }
    }
    tk_mutex_unlock(&cache->lock);
    tk_buckets_free(fresh);
    tk_buckets_retire(cache->rt, old);
}

void
tk_cache_want_buckets(struct tk_cache *cache, const struct tk_route *route,
                      uint64_t version)
{
    const struct tk_buckets *known;
    struct tk_region *region;

    tk_mutex_lock(&cache->lock);
    region = record_of(cache, route);
    known = region == NULL ? NULL : atomic_load(&region->buckets);
    if (region != NULL && (known == NULL || known->version < version)) {
        tk_region_mark(region, TK_REGION_READY);
    }
    tk_mutex_unlock(&cache->lock);
}
