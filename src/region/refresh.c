/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All regions from PD, page by page from the first key to the last (RC-7): at
 * open with region.preload, every region.refresh_ms after it. A page that
 * fails ends the walk, and the next one begins at the start: lookups find
 * meanwhile what is missing.
 *
 * Lock: cache.lock, for each record that comes in.
 */
#include "base/error.h"
#include "base/slice.h"
#include "region/cache_inner.h"
#include "wire/arena.h"

#include "metapb.upb.h"

enum { PAGE_COUNT = 1024, WALK_MS = 600000, KEY_MAX = 1 << 20 };

/* The keys that are left, as PD knows them. */
struct walk {
    struct tk_buf at;
    struct tk_buf end;
    size_t count;
    bool is_over;
};

/* A PD that knows no scans is asked region by region. */
static tikv_error *
ask_pd(struct tk_cache *cache, struct tk_op *op, const struct walk *walk,
       struct tk_arena *arena, struct tk_pd_region *one,
       struct tk_pd_region **all, size_t *count)
{
    tikv_range rest = { tk_buf_slice(&walk->at), tk_buf_slice(&walk->end) };
    tikv_error *error;

    if (!atomic_load_explicit(&cache->lacks_bulk, memory_order_relaxed)) {
        error = tk_pd_regions_in(cache->pd, op, &rest, 1, PAGE_COUNT,
                                 TK_PD_ANYBODY, arena, all, count);
        if (error == NULL ||
            tikv_error_code(error) != TIKV_ERR_UNSUPPORTED) {
            return error;
        }
        tikv_error_free(error);
        atomic_store_explicit(&cache->lacks_bulk, true, memory_order_relaxed);
    }
    *all = one;
    error = tk_pd_region_by_key(cache->pd, op, rest.start, TK_PD_ANYBODY,
                                arena, one);
    *count = error == NULL && one->region != NULL;
    return error;
}

/* Where the next page begins, behind the last region of this one. */
static tikv_error *
go_on(struct walk *walk, const struct tk_pd_region *last)
{
    upb_StringView view = metapb_Region_end_key(last->region);
    tikv_slice end = { (const uint8_t *)view.data, view.size };

    walk->is_over =
        end.len == 0 ||
        tk_slice_compare(end, tk_buf_slice(&walk->at)) <= 0 ||
        (walk->end.len != 0 &&
         tk_slice_compare(end, tk_buf_slice(&walk->end)) >= 0);
    tk_buf_clear(&walk->at);
    tk_buf_append_slice(&walk->at, end);
    return walk->at.failed ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

static tikv_error *
take_page(struct tk_cache *cache, struct tk_op *op, struct walk *walk)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region *all = NULL;
    struct tk_pd_region one;
    bool is_found = false;
    bool was_old = false;
    tikv_error *error;
    size_t count = 0;

    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = ask_pd(cache, op, walk, arena, &one, &all, &count);
    if (error == NULL) {
        error = tk_cache_add_all(cache, all, count, &is_found, &was_old);
    }
    while (count > 0 && all[count - 1].region == NULL) {
        count--;
    }
    walk->count += count;
    walk->is_over = count == 0;
    if (error == NULL && count > 0) {
        error = go_on(walk, &all[count - 1]);
    }
    tk_arena_unref(arena);
    return error;
}

tikv_error *
tk_cache_refresh(struct tk_cache *cache, struct tk_op *op)
{
    struct walk walk = { .count = 0 };
    tikv_slice none = { NULL, 0 };
    tikv_error *error = NULL;

    tk_buf_init(&walk.at, KEY_MAX);
    tk_buf_init(&walk.end, KEY_MAX);
    tk_codec_region_key(&cache->codec, &walk.at, none);
    tk_codec_region_end(&cache->codec, &walk.end, none);
    if (walk.at.failed || walk.end.failed) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    while (error == NULL && !walk.is_over) {
        error = take_page(cache, op, &walk);
        tk_point(cache->rt);
    }
    tk_buf_fini(&walk.at);
    tk_buf_fini(&walk.end);
    return error;
}

/* ---- in the background ---- */

static void
walk_all(void *owner)
{
    struct tk_cache *cache = owner;
    struct tk_op op;

    if (tk_op_init(&op, cache->exec, NULL, WALK_MS * TK_MS)) {
        tikv_error *error = tk_cache_refresh(cache, &op);

        if (error != NULL) {
            tk_log(cache->log, TIKV_LOG_INFO, "region",
                   "not all regions were loaded: %s",
                   tikv_error_message(error));
        }
        tikv_error_free(error);
        tk_op_fini(&op);
    }
}

static int64_t
next_walk(void *owner)
{
    const struct tk_cache *cache = owner;

    return tk_after(tk_now(cache->rt),
                    tk_config_ns(&cache->config->region_refresh_ms));
}

void
tk_cache_refresh_start(struct tk_cache *cache)
{
    tk_ticker_init(&cache->refresh, cache->exec, &cache->lock, cache, walk_all,
                   next_walk);
    if (tk_config_int(&cache->config->region_refresh_ms) != 0) {
        tk_mutex_lock(&cache->lock);
        tk_ticker_begin(&cache->refresh, next_walk(cache));
        tk_mutex_unlock(&cache->lock);
    }
    if (tk_config_int(&cache->config->region_preload) != 0) {
        tk_ticker_push(&cache->refresh);
    }
}
