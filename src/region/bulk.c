/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many regions by one call of PD (RC-6): what a job is about to need and the
 * cache does not have, as ranges, at most RANGES_MAX ranges and REGIONS_MAX
 * regions at a time. It only fills the cache: whoever asked goes on region by
 * region, so a gap in PD's answer is a miss that is asked for again, never a
 * part of the job that is skipped.
 *
 * The call is a flight of the first missing key: jobs alike share it. Holds
 * cache.lock to look and for each insertion.
 */
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "region/cache_inner.h"
#include "wire/arena.h"

#include "upb/arena.h"

enum {
    RANGES_MAX = 16 * 128,
    REGIONS_MAX = 128,
    GAPS_MAX = 16,    /* holes of one range asked for together */
    STEPS_MAX = 4096, /* records looked at for them */
    KEY_MAX = 1 << 20
};

/* Ranges in the client's keys; what they point to is the asker's, or in the
 * arena. */
struct gaps {
    struct tk_load load; /* first */
    struct tk_arena *arena;
    tikv_range *all;
    size_t count;
};

/* Under the lock: the usable record that holds `key`. */
static const struct tk_region *
holder(struct tk_cache *cache, tikv_slice key, int64_t now)
{
    const struct tk_map_entry *entry = tk_map_floor(&cache->map, key);
    const struct tk_region *region =
        (const struct tk_region *)(const void *)entry;

    return region != NULL && tk_region_is_usable(region, now) &&
                   (region->end.len == 0 ||
                    tk_slice_compare(key, region->end) < 0)
               ? region
               : NULL;
}

/* Bytes of a record, which may go, or a key with a zero byte behind it, its
 * immediate successor. */
static bool
copy_key(struct gaps *gaps, tikv_slice key, size_t zeros, tikv_slice *out)
{
    uint8_t *copy = upb_Arena_Malloc(gaps->arena->upb, key.len + zeros + 1);

    if (copy == NULL) {
        return false;
    }
    if (key.len != 0) {
        memcpy(copy, key.data, key.len);
    }
    memset(copy + key.len, 0, zeros + 1);
    *out = (tikv_slice){ copy, key.len + zeros };
    return true;
}

/* Under the lock: each missing key is a range of its own. */
static bool
gather_keys(struct tk_cache *cache, const struct tk_wants *wants, int64_t now,
            struct gaps *gaps)
{
    const struct tk_region *region = NULL;
    size_t i;

    for (i = 0; i < wants->count && gaps->count < RANGES_MAX; i++) {
        tikv_slice key = wants->key(wants->arg, wants->first + i);
        tikv_range *range = &gaps->all[gaps->count];

        if (region != NULL &&
            (region->end.len == 0 || tk_slice_compare(key, region->end) < 0)) {
            continue;
        }
        region = holder(cache, key, now);
        if (region != NULL ||
            (gaps->count > 0 && tk_slice_compare(key, range[-1].end) < 0)) {
            continue;
        }
        range->start = key;
        if (!copy_key(gaps, key, 1, &range->end)) {
            return false;
        }
        gaps->count++;
    }
    return true;
}

/* Under the lock: the end of the hole that begins at `from`: where the next
 * usable record begins, or `end`. */
static bool
find_hole_end(struct tk_cache *cache, tikv_slice from, tikv_slice end,
              int64_t now, struct gaps *gaps, size_t *steps, tikv_slice *out)
{
    const struct tk_map_entry *entry = tk_map_next(&cache->map, from, false);

    while (entry != NULL && (*steps)++ < STEPS_MAX &&
           (end.len == 0 || tk_slice_compare(entry->key, end) < 0)) {
        if (tk_region_is_usable((const struct tk_region *)(const void *)entry,
                                now)) {
            return copy_key(gaps, entry->key, 0, out);
        }
        entry = tk_map_next(&cache->map, entry->key, false);
    }
    *out = end;
    return true;
}

/* Under the lock: the holes of a range. */
static bool
gather_range(struct tk_cache *cache, tikv_range range, int64_t now,
             struct gaps *gaps)
{
    tikv_slice at = range.start;
    size_t steps = 0;

    while (gaps->count < GAPS_MAX && steps++ < STEPS_MAX &&
           (range.end.len == 0 || tk_slice_compare(at, range.end) < 0)) {
        const struct tk_region *region = holder(cache, at, now);
        tikv_range *hole = &gaps->all[gaps->count];

        if (region != NULL) {
            if (region->end.len == 0) {
                break;
            }
            if (!copy_key(gaps, region->end, 0, &at)) {
                return false;
            }
            continue;
        }
        hole->start = at;
        if (!find_hole_end(cache, at, range.end, now, gaps, &steps,
                           &hole->end)) {
            return false;
        }
        gaps->count++;
        at = hole->end;
        if (at.len == 0) {
            break;
        }
    }
    return true;
}

/* As PD knows them, in place. */
static bool
encode_gaps(struct tk_cache *cache, struct gaps *gaps)
{
    struct tk_buf key;
    bool is_good = true;
    size_t i;

    tk_buf_init(&key, KEY_MAX);
    for (i = 0; i < gaps->count && is_good; i++) {
        tikv_range *range = &gaps->all[i];

        tk_buf_clear(&key);
        tk_codec_region_key(&cache->codec, &key, range->start);
        is_good =
            !key.failed && copy_key(gaps, tk_buf_slice(&key), 0, &range->start);
        tk_buf_clear(&key);
        tk_codec_region_end(&cache->codec, &key, range->end);
        is_good = is_good && !key.failed &&
                  copy_key(gaps, tk_buf_slice(&key), 0, &range->end);
    }
    tk_buf_fini(&key);
    return is_good;
}

bool
tk_cache_add(struct tk_cache *cache, struct tk_region *region)
{
    int64_t now = tk_now(cache->rt);
    struct tk_region *known;
    bool is_known;
    bool is_in = false;

    tk_mutex_lock(&cache->lock);
    known = tk_cache_by_id(cache, region->id);
    is_known = known != NULL && known->version == region->version &&
               known->conf_ver == region->conf_ver &&
               tk_region_is_usable(known, now);
    if (!is_known) {
        is_in = tk_cache_insert(cache, region);
    } else if (!tk_region_is_marked(known, TK_REGION_MORTAL)) {
        atomic_store_explicit(&known->expires, tk_region_expiry(cache, now),
                              memory_order_relaxed);
    }
    tk_mutex_unlock(&cache->lock);
    if (!is_in) {
        tk_region_free(region);
    }
    return is_in || is_known;
}

tikv_error *
tk_cache_add_all(struct tk_cache *cache, const struct tk_pd_region *all,
                 size_t count, bool *found, bool *was_old)
{
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; i < count && error == NULL; i++) {
        struct tk_region *region = NULL;

        if (all[i].region == NULL) {
            continue;
        }
        /* Bounds that are no keys of ours are the lookup's to complain of. */
        error = tk_region_new(cache, &all[i], NULL, &region);
        if (error != NULL && tikv_error_code(error) == TIKV_ERR_PROTOCOL) {
            tikv_error_free(error);
            error = NULL;
        }
        if (region != NULL) {
            *found = true;
            *was_old |= !tk_cache_add(cache, region) && all[i].is_hearsay;
        }
    }
    return error;
}

static tikv_error *
load_gaps(struct tk_cache *cache, struct tk_op *op, struct tk_load *load,
          bool *found)
{
    struct gaps *gaps = (struct gaps *)(void *)load;
    enum tk_pd_source source = TK_PD_ANYBODY;
    struct tk_pd_region *regions;
    tikv_error *error;
    bool was_old;
    size_t count;

    if (!encode_gaps(cache, gaps)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    do {
        was_old = false;
        error = tk_pd_regions_in(cache->pd, op, gaps->all, gaps->count,
                                 REGIONS_MAX, source, gaps->arena, &regions,
                                 &count);
        if (error == NULL) {
            error = tk_cache_add_all(cache, regions, count, found, &was_old);
        }
        source = TK_PD_LEADER;
    } while (error == NULL && was_old);
    return error;
}

static bool
gather(struct tk_cache *cache, const struct tk_wants *wants, struct gaps *gaps)
{
    size_t most = wants->key == NULL          ? GAPS_MAX
                  : wants->count < RANGES_MAX ? wants->count
                                              : RANGES_MAX;
    int64_t now = tk_now(cache->rt);
    bool is_good;

    gaps->all = upb_Arena_Malloc(gaps->arena->upb, most * sizeof(*gaps->all));
    if (gaps->all == NULL) {
        return false;
    }
    tk_mutex_lock(&cache->lock);
    is_good = wants->key != NULL ? gather_keys(cache, wants, now, gaps)
                                 : gather_range(cache, wants->range, now, gaps);
    tk_mutex_unlock(&cache->lock);
    return is_good;
}

tikv_error *
tk_cache_fill(struct tk_cache *cache, struct tk_op *op,
              const struct tk_wants *wants)
{
    struct gaps gaps = { { load_gaps }, NULL, NULL, 0 };
    tikv_error *error = NULL;
    bool is_mine;
    bool is_found;

    if (atomic_load_explicit(&cache->lacks_bulk, memory_order_relaxed)) {
        return NULL;
    }
    gaps.arena = tk_arena_new();
    if (gaps.arena == NULL || !gather(cache, wants, &gaps)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else if (gaps.count > 1 || (gaps.count == 1 && wants->key == NULL)) {
        /* One key alone is a plain lookup's. */
        error = tk_cache_fly(cache, op, gaps.all[0].start, false, &gaps.load,
                             &is_mine, &is_found);
    }
    if (error != NULL && tikv_error_code(error) == TIKV_ERR_UNSUPPORTED) {
        /* An old PD: region by region from now on. */
        atomic_store_explicit(&cache->lacks_bulk, true, memory_order_relaxed);
        tikv_error_free(error);
        error = NULL;
    }
    tk_arena_unref(gaps.arena);
    return error;
}
