/* SPDX-License-Identifier: Apache-2.0 */
/* Putting records into the cache by the rules of RC-5, and the index by
 * region id. Everything under cache.lock. */
#include <string.h>

#include "base/alloc.h"
#include "region/cache_inner.h"

enum { INDEX_MIN = 64 };

static struct tk_region **
chain_of(struct tk_cache *cache, uint64_t id)
{
    uint64_t hash = id * UINT64_C(0x9e3779b97f4a7c15);

    return &cache->index[(hash >> 32) & (cache->index_size - 1)];
}

struct tk_region *
tk_cache_by_id(struct tk_cache *cache, uint64_t id)
{
    struct tk_region *region;

    if (cache->index_size == 0) {
        return NULL;
    }
    for (region = *chain_of(cache, id); region != NULL;
         region = region->next_id) {
        if (region->id == id) {
            return region;
        }
    }
    return NULL;
}

static void
index_add(struct tk_cache *cache, struct tk_region *region)
{
    struct tk_region **chain = chain_of(cache, region->id);

    region->next_id = *chain;
    *chain = region;
}

static void
index_remove(struct tk_cache *cache, const struct tk_region *region)
{
    struct tk_region **at = chain_of(cache, region->id);

    while (*at != NULL && *at != region) {
        at = &(*at)->next_id;
    }
    if (*at != NULL) {
        *at = region->next_id;
    }
}

/* Room for one more record. */
static bool
index_grow(struct tk_cache *cache)
{
    struct tk_region **old = cache->index;
    size_t old_size = cache->index_size;
    size_t size = old_size == 0 ? INDEX_MIN : old_size * 2;
    struct tk_region **grown;
    size_t i;

    if (cache->map.count < old_size) {
        return true;
    }
    grown = tk_calloc(size * sizeof(*grown));
    if (grown == NULL) {
        return old_size != 0;
    }
    cache->index = grown;
    cache->index_size = size;
    for (i = 0; i < old_size; i++) {
        while (old[i] != NULL) {
            struct tk_region *region = old[i];

            old[i] = region->next_id;
            index_add(cache, region);
        }
    }
    tk_free(old);
    return true;
}

static bool
reaches(const struct tk_region *region, tikv_slice key)
{
    return region->end.len == 0 || tk_slice_compare(region->end, key) > 0;
}

/* The first record that overlaps [start, end) and begins at or after
 * `from`. */
static struct tk_region *
overlap_from(struct tk_cache *cache, tikv_slice from, tikv_slice end,
             bool or_equal)
{
    struct tk_map_entry *entry = tk_map_next(&cache->map, from, or_equal);

    if (entry == NULL ||
        (end.len != 0 && tk_slice_compare(entry->key, end) >= 0)) {
        return NULL;
    }
    return (struct tk_region *)(void *)entry;
}

/* The record that begins before `start` and reaches over it. */
static struct tk_region *
left_overlap(struct tk_cache *cache, tikv_slice start)
{
    struct tk_region *region =
        (struct tk_region *)(void *)tk_map_previous(&cache->map, start);

    return region != NULL && reaches(region, start) ? region : NULL;
}

static bool
is_stale(struct tk_cache *cache, const struct tk_region *region)
{
    const struct tk_region *known = tk_cache_by_id(cache, region->id);
    const struct tk_region *other;

    if (known != NULL && (known->version > region->version ||
                          known->conf_ver > region->conf_ver)) {
        return true;
    }
    other = left_overlap(cache, region->entry.key);
    if (other != NULL && other->version > region->version) {
        return true;
    }
    other = overlap_from(cache, region->entry.key, region->end, true);
    while (other != NULL) {
        if (other->version > region->version) {
            return true;
        }
        other = overlap_from(cache, other->entry.key, region->end, false);
    }
    return false;
}

static void
free_retired(struct tk_retired *block)
{
    char *at = (char *)block - offsetof(struct tk_region, retired);

    tk_region_free((struct tk_region *)(void *)at);
}

/* Out of the books; a chain by next_id, to retire after publishing. */
static void
let_go(struct tk_cache *cache, struct tk_region *region,
       struct tk_region **gone)
{
    index_remove(cache, region);
    tk_region_invalidate(region, TK_INVALID_EPOCH);
    region->next_id = *gone;
    *gone = region;
}

void
tk_cache_remove(struct tk_cache *cache, struct tk_region *region,
                struct tk_region **gone)
{
    struct tk_map_entry *removed;

    if (tk_map_remove(&cache->map, region->entry.key, &removed) &&
        removed != NULL) {
        let_go(cache, region, gone);
    } else {
        tk_region_invalidate(region, TK_INVALID_EPOCH);
    }
}

/* PD may be stuck on a leader that is none: the peer after the one that
 * failed is asked then. */
static void
inherit_leader(const struct tk_region *old, struct tk_region *region)
{
    if (tk_region_reason(old) == TK_INVALID_NO_LEADER &&
        old->peers_count == region->peers_count) {
        atomic_store(&region->working,
                     (atomic_load(&old->working) + 1) % region->peers_count);
    }
}

/* Stores tell of regions without their buckets, and PD may know older ones. */
static void
inherit_buckets(const struct tk_region *old, struct tk_region *region)
{
    struct tk_buckets *known = atomic_load(&old->buckets);
    struct tk_buckets *own = atomic_load(&region->buckets);

    if (known != NULL && (own == NULL || own->version < known->version)) {
        struct tk_buckets *copy = tk_buckets_copy(known);

        if (copy != NULL) {
            atomic_store(&region->buckets, copy);
            tk_buckets_free(own);
        }
    }
}

void
tk_cache_publish(struct tk_cache *cache, struct tk_region *gone)
{
    tk_map_publish(&cache->map);
    while (gone != NULL) {
        struct tk_region *next = gone->next_id;

        tk_epoch_retire(cache->rt, &gone->retired, free_retired);
        gone = next;
    }
}

/* A cache that is full loses the record behind the new one, or the first: at
 * random for lookups here and there, the oldest for those who walk. */
static void
make_room(struct tk_cache *cache, const struct tk_region *fresh,
          struct tk_region **gone)
{
    int64_t most = tk_config_int(&cache->config->region_cache_max_count);
    tikv_slice none = { NULL, 0 };
    struct tk_map_entry *entry;

    if (cache->map.count <= (size_t)most) {
        return;
    }
    entry = tk_map_next(&cache->map, fresh->entry.key, false);
    if (entry == NULL) {
        entry = tk_map_next(&cache->map, none, true);
    }
    if (entry != &fresh->entry) {
        tk_cache_remove(cache, (struct tk_region *)(void *)entry, gone);
    }
}

bool
tk_cache_insert(struct tk_cache *cache, struct tk_region *region)
{
    struct tk_map_entry *replaced = NULL;
    struct tk_region *gone = NULL;
    struct tk_region *other;

    if (is_stale(cache, region) || !index_grow(cache)) {
        return false;
    }
    other = tk_cache_by_id(cache, region->id);
    if (other != NULL) {
        inherit_leader(other, region);
        inherit_buckets(other, region);
    }
    if (!tk_map_put(&cache->map, &region->entry, &replaced)) {
        return false;
    }
    if (replaced != NULL) {
        let_go(cache, (struct tk_region *)(void *)replaced, &gone);
    }
    other = tk_cache_by_id(cache, region->id);
    if (other != NULL) {
        tk_cache_remove(cache, other, &gone);
    }
    while ((other = overlap_from(cache, region->entry.key, region->end,
                                 false)) != NULL) {
        size_t before = cache->map.count;

        tk_cache_remove(cache, other, &gone);
        if (cache->map.count == before) {
            break; /* no memory: it was invalidated at least */
        }
    }
    other = left_overlap(cache, region->entry.key);
    if (other != NULL) {
        tk_region_invalidate(other, TK_INVALID_EPOCH);
    }
    index_add(cache, region);
    make_room(cache, region, &gone);
    tk_cache_publish(cache, gone);
    tk_cache_sweep_later(cache);
    return true;
}
