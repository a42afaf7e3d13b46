/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking out of the cache what has ended (RC-7): records nobody asked for
 * within region.cache_ttl_ms, and those that were found wrong. The ticker
 * rests while the cache is empty; each look covers so many records, from where
 * the last one stopped, that all of them are seen about once per lifetime,
 * BATCH of them under one hold of the lock.
 *
 * Lock: cache.lock.
 */
#include "base/error.h"
#include "region/cache_inner.h"

enum { BATCH = 64, BATCHES_MAX = 4096 };

static bool
has_ended(const struct tk_region *region, int64_t now)
{
    return tk_region_reason(region) != TK_INVALID_OK ||
           atomic_load_explicit(&region->expires, memory_order_relaxed) <= now;
}

/* A peer lives a new life, or none: PD may have put another in its place. */
static bool
has_lost_peers(const struct tk_region *region)
{
    uint32_t i;

    for (i = 0; i < region->peers_count; i++) {
        if (!tk_peer_is_fresh(&region->peers[i])) {
            return true;
        }
    }
    return false;
}

/* What is whole again need not be read anew; what is not ends some time, used
 * or not. */
static void
look_after(struct tk_region *region)
{
    bool has_lost = has_lost_peers(region);

    if (has_lost) {
        tk_region_mark(region, TK_REGION_MORTAL);
    }
    if (tk_region_is_marked(region, TK_REGION_PENDING)) {
        atomic_fetch_and(&region->marks, ~(uint32_t)TK_REGION_PENDING);
        if (has_lost) {
            tk_region_mark(region, TK_REGION_READY);
        }
    }
}

/* One hold of the lock. False when the end of the map was reached. */
static bool
sweep_batch(struct tk_cache *cache, int64_t now)
{
    struct tk_map_entry *entry;
    struct tk_region *gone = NULL;
    size_t count;

    tk_mutex_lock(&cache->lock);
    entry = tk_map_next(&cache->map, tk_buf_slice(&cache->swept), true);
    for (count = 0; entry != NULL && count < BATCH; count++) {
        struct tk_region *region = (struct tk_region *)(void *)entry;

        /* What is taken out is not retired before publishing. */
        entry = tk_map_next(&cache->map, region->entry.key, false);
        if (has_ended(region, now)) {
            tk_cache_remove(cache, region, &gone);
        } else {
            look_after(region);
        }
    }
    tk_buf_clear(&cache->swept);
    if (entry != NULL) {
        tk_buf_append_slice(&cache->swept, entry->key);
    }
    tk_cache_publish(cache, gone);
    tk_mutex_unlock(&cache->lock);
    return entry != NULL && !cache->swept.failed;
}

static size_t
batches_due(struct tk_cache *cache)
{
    int64_t ttl = tk_config_int(&cache->config->region_cache_ttl_ms);
    int64_t pause = tk_config_int(&cache->config->region_sweep_ms);
    int64_t part = pause > ttl ? ttl : pause;
    size_t due = tk_cache_count(cache) / BATCH * (size_t)part / (size_t)ttl;

    return due >= BATCHES_MAX ? BATCHES_MAX : due + 1;
}

static void
sweep(void *owner)
{
    struct tk_cache *cache = owner;
    size_t left = batches_due(cache);

    while (left-- > 0 && !tk_exec_is_closing(cache->exec) &&
           sweep_batch(cache, tk_now(cache->rt))) {
        tk_point(cache->rt);
    }
}

static int64_t
next_look(const struct tk_cache *cache)
{
    return tk_after(tk_now(cache->rt),
                    tk_config_ns(&cache->config->region_sweep_ms));
}

static int64_t
after_look(void *owner)
{
    const struct tk_cache *cache = owner;

    return cache->map.count == 0 ? TK_NEVER : next_look(cache);
}

void
tk_cache_start(struct tk_cache *cache, struct tk_exec *exec)
{
    cache->exec = exec;
    tk_ticker_init(&cache->sweep, exec, &cache->lock, cache, sweep,
                   after_look);
    tk_cache_refresh_start(cache);
}

void
tk_cache_sweep_later(struct tk_cache *cache)
{
    tk_ticker_begin(&cache->sweep, next_look(cache));
}
