/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One region from PD into the cache, by a key of it or by its id.
 *
 * Members that do not lead may answer first where the settings let them; what
 * they say is hearsay. If the cache knows better, or knows that its record is
 * wrong, the leader is asked: nobody is told the same old thing twice (RC-4).
 *
 * Holds cache.lock to look and to insert, never while PD is asked.
 */
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "region/cache_inner.h"
#include "wire/arena.h"

#include "metapb.upb.h"

enum { KEY_MAX = 1 << 20, LAST_KEY_LEN = 64 };

/* The key that PD is asked for; `before` and no key: the end of our keys. */
static void
pd_key(const struct tk_cache *cache, tikv_slice key, bool before,
       struct tk_buf *out)
{
    struct tk_buf end;
    size_t i;

    if (!before || key.len != 0) {
        tk_codec_region_key(&cache->codec, out, key);
        return;
    }
    if (cache->codec.mode == TK_KEYS_RAW_V1 ||
        cache->codec.mode == TK_KEYS_TXN_V1) {
        /* No greatest key: from far up, to_the_end() goes on. */
        for (i = 0; i < LAST_KEY_LEN; i++) {
            tk_buf_append(out, "\xff", 1);
        }
        return;
    }
    tk_buf_init(&end, KEY_MAX);
    tk_codec_request_end(&cache->codec, &end, key);
    tk_key_encode(out, tk_buf_slice(&end));
    out->failed |= end.failed;
    tk_buf_fini(&end);
}

static tikv_slice
view_slice(upb_StringView view)
{
    return (tikv_slice){ (const uint8_t *)view.data, view.size };
}

static tikv_error *
ask_pd(struct tk_cache *cache, struct tk_op *op, const struct tk_lookup *lookup,
       tikv_slice region_key, enum tk_pd_source source, struct tk_arena *arena,
       struct tk_pd_region *out)
{
    bool before = lookup->before;
    bool is_end = before && lookup->key.len == 0;
    tikv_error *error =
        tk_pd_region_by_key(cache->pd, op, region_key, source, arena,
                            out);

    if (error != NULL || out->region == NULL || !before) {
        return error;
    }
    if (is_end && (cache->codec.mode == TK_KEYS_RAW_V1 ||
                   cache->codec.mode == TK_KEYS_TXN_V1)) {
        tikv_slice end = view_slice(metapb_Region_end_key(out->region));

        while (error == NULL && out->region != NULL && end.len != 0) {
            error = tk_pd_region_by_key(cache->pd, op, end, source, arena,
                                        out);
            if (error == NULL && out->region != NULL) {
                end = view_slice(metapb_Region_end_key(out->region));
            }
        }
        return error;
    }
    if (tk_slice_equal(view_slice(metapb_Region_start_key(out->region)),
                       region_key)) {
        error = tk_pd_region_before(cache->pd, op, region_key, source,
                                    arena, out);
    }
    return error;
}

/* What the cache holds of that key was found wrong, or may be: only the
 * leader can put it right. */
static bool
is_doubtful(struct tk_cache *cache, const struct tk_lookup *lookup)
{
    const struct tk_region *region;
    bool is;

    tk_epoch_enter(cache->rt);
    region = (const struct tk_region *)(void *)(
        lookup->before ? tk_map_below(&cache->map, lookup->key)
                       : tk_map_floor(&cache->map, lookup->key));
    is = region != NULL &&
         atomic_load_explicit(&region->state, memory_order_relaxed) !=
             TK_INVALID_OK;
    tk_epoch_leave(cache->rt);
    return is;
}

/* *is_in: nothing newer was known. */
static tikv_error *
take_in(struct tk_cache *cache, const struct tk_pd_region *facts, bool *found,
        bool *is_in)
{
    struct tk_region *region = NULL;
    tikv_error *error = tk_region_new(cache, facts, NULL, &region);

    *found = region != NULL;
    *is_in = false;
    if (region != NULL) {
        tk_mutex_lock(&cache->lock);
        *is_in = tk_cache_insert(cache, region);
        tk_mutex_unlock(&cache->lock);
        if (!*is_in) {
            tk_region_free(region);
        }
    }
    return error;
}

tikv_error *
tk_cache_load_key(struct tk_cache *cache, struct tk_op *op,
                  struct tk_load *load, bool *found)
{
    const struct tk_lookup *lookup = (struct tk_lookup *)(void *)load;
    enum tk_pd_source source = lookup->leader_only ||
                                       is_doubtful(cache, lookup)
                                   ? TK_PD_LEADER
                                   : TK_PD_ANYBODY;
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region facts = { .region = NULL };
    struct tk_buf region_key;
    tikv_error *error = NULL;
    bool is_in;

    *found = false;
    tk_buf_init(&region_key, KEY_MAX);
    pd_key(cache, lookup->key, lookup->before, &region_key);
    if (arena == NULL || region_key.failed) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    do {
        is_in = true;
        if (error == NULL) {
            error = ask_pd(cache, op, lookup, tk_buf_slice(&region_key),
                           source, arena, &facts);
        }
        if (error == NULL && facts.region != NULL) {
            error = take_in(cache, &facts, found, &is_in);
        }
        source = TK_PD_LEADER;
    } while (error == NULL && !is_in && facts.is_hearsay);
    tk_buf_fini(&region_key);
    tk_arena_unref(arena);
    return error;
}

/* ---- by id ---- */

static bool
look_up(struct tk_cache *cache, uint64_t id, struct tk_route *out,
        struct tk_buf *start, struct tk_buf *end)
{
    const struct tk_region *region;
    bool is_found;

    tk_mutex_lock(&cache->lock);
    region = tk_cache_by_id(cache, id);
    is_found = region != NULL &&
               tk_region_is_usable(region, tk_now(cache->rt));
    if (is_found) {
        tk_region_tell(region, out, start, end);
    }
    tk_mutex_unlock(&cache->lock);
    return is_found;
}

/* A record of what PD says; NULL: it knows none that can be used. */
static tikv_error *
load_id(struct tk_cache *cache, struct tk_op *op, uint64_t id,
        enum tk_pd_source source, struct tk_region **out, bool *is_hearsay)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region facts;
    tikv_error *error;

    *out = NULL;
    *is_hearsay = false;
    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_region_by_id(cache->pd, op, id, source, arena, &facts);
    if (error == NULL && facts.region != NULL) {
        *is_hearsay = facts.is_hearsay;
        error = tk_region_new(cache, &facts, NULL, out);
    }
    tk_arena_unref(arena);
    return error;
}

tikv_error *
tk_cache_locate_id(struct tk_cache *cache, struct tk_op *op, uint64_t id,
                   bool from_pd, struct tk_route *out, struct tk_buf *start,
                   struct tk_buf *end)
{
    enum tk_pd_source source = from_pd ? TK_PD_LEADER : TK_PD_ANYBODY;
    struct tk_region *region;
    tikv_error *error;
    bool is_hearsay;
    bool is_in = true;

    if (!from_pd && look_up(cache, id, out, start, end)) {
        return NULL;
    }
    do {
        error = load_id(cache, op, id, source, &region, &is_hearsay);
        if (region == NULL) {
            break;
        }
        tk_region_tell(region, out, start, end);
        if (from_pd) {
            tk_region_free(region);
        } else {
            is_in = tk_cache_add(cache, region);
        }
        source = TK_PD_LEADER;
    } while (!is_in && is_hearsay);
    if (error == NULL && region == NULL) {
        error = tk_error(TIKV_ERR_REGION, "there is no region %llu",
                         (unsigned long long)id);
    } else if (!is_in) {
        /* Old news: what the cache has of it, if anything, is better. */
        (void)look_up(cache, id, out, start, end);
    }
    return error;
}
