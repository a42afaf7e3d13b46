/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the region of a key: from the map, without a lock, or from PD,
 * single flight per key. Whoever waited for a flight looks again, and does
 * the lookup itself when there is still nothing: so a flight that fails or is
 * cancelled takes nobody along.
 */
#include "region/cache.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/redact.h"
#include "region/backoff.h"
#include "region/cache_inner.h"

enum { KEY_MAX = 1 << 20 };

enum { RECORD_LEN = 384, LINE_LEN = 64 };

/* So long a lookup waits for a record that is only to be read anew. */
#define RELOAD_NS (1000 * TK_MS)

struct tk_cache *
tk_cache_new(struct tk_runtime *rt, struct tk_pd *pd, struct tk_stores *stores,
             const struct tk_key_codec *codec, const struct tk_config *config,
             struct tk_log *log)
{
    struct tk_cache *cache = tk_calloc(sizeof(*cache));

    if (cache != NULL) {
        cache->rt = rt;
        cache->pd = pd;
        cache->stores = stores;
        cache->codec = *codec;
        cache->config = config;
        cache->log = log;
        tk_mutex_init(&cache->lock, TK_RANK_REGION);
        tk_map_init(&cache->map, rt);
        tk_buf_init(&cache->swept, KEY_MAX);
    }
    return cache;
}

void
tk_cache_free(struct tk_cache *cache)
{
    size_t i;

    if (cache == NULL) {
        return;
    }
    tk_ticker_close(&cache->sweep);
    tk_ticker_close(&cache->refresh);
    tk_buf_fini(&cache->swept);
    for (i = 0; i < cache->index_size; i++) {
        while (cache->index[i] != NULL) {
            struct tk_region *region = cache->index[i];

            cache->index[i] = region->next_id;
            tk_region_free(region);
        }
    }
    tk_free(cache->index);
    tk_map_fini(&cache->map);
    tk_epoch_drain(cache->rt);
    tk_mutex_fini(&cache->lock);
    tk_free(cache);
}

size_t
tk_cache_count(struct tk_cache *cache)
{
    size_t count;

    tk_mutex_lock(&cache->lock);
    count = cache->map.count;
    tk_mutex_unlock(&cache->lock);
    return count;
}

/* Access keeps a record alive, but is written down only when a renewal would
 * move the end by more than the jitter. */
static void
touch(struct tk_cache *cache, struct tk_region *region, int64_t now,
      int64_t expires)
{
    if (!tk_region_is_marked(region, TK_REGION_MORTAL) &&
        expires - now <= tk_config_ns(&cache->config->region_cache_ttl_ms)) {
        atomic_store_explicit(&region->expires, tk_region_expiry(cache, now),
                              memory_order_relaxed);
    }
}

/* A record of three peers is that long, and all of it will be looked at. */
static inline void
fetch(const struct tk_region *region)
{
    const char *line = (const char *)region;
    size_t i;

    for (i = 0; i < RECORD_LEN; i += LINE_LEN) {
        __builtin_prefetch(line + i);
    }
}

/* The usable record of a key, which bears no mark but `marks`. Inside an epoch
 * section. */
static struct tk_region *
find(struct tk_cache *cache, tikv_slice key, bool before, int64_t now,
     uint32_t marks)
{
    struct tk_map_entry *entry =
        before ? tk_map_below(&cache->map,
                              key.len == 0 ? (tikv_slice){ NULL, 0 } : key)
               : tk_map_floor(&cache->map, key);
    struct tk_region *region = (struct tk_region *)(void *)entry;
    int64_t expires;

    if (region == NULL) {
        return NULL;
    }
    fetch(region);
    if (region->end.len != 0) {
        int side = tk_slice_compare(key, region->end);

        if (before ? key.len == 0 || side > 0 : side >= 0) {
            return NULL;
        }
    }
    if ((atomic_load_explicit(&region->state, memory_order_relaxed) & ~marks) !=
        TK_INVALID_OK) {
        return NULL;
    }
    expires = atomic_load_explicit(&region->expires, memory_order_relaxed);
    if (expires <= now) {
        return NULL;
    }
    touch(cache, region, now, expires);
    return region;
}

bool
tk_cache_route(struct tk_cache *cache, tikv_slice key, struct tk_route *out)
{
    return tk_cache_route_at(cache, key, tk_now(cache->rt), out);
}

bool
tk_cache_route_at(struct tk_cache *cache, tikv_slice key, int64_t now,
                  struct tk_route *out)
{
    const struct tk_region *region;
    bool is_found = false;

    tk_epoch_enter(cache->rt);
    region = find(cache, key, false, now, 0);
    if (region != NULL) {
        const struct tk_peer *peer = &region->peers[atomic_load_explicit(
            &region->working, memory_order_relaxed)];

        if (tk_peer_is_fresh(peer) &&
            !atomic_load_explicit(&peer->store->needs_check,
                                  memory_order_relaxed) &&
            atomic_load_explicit(&peer->store->conn, memory_order_acquire) !=
                NULL) {
            tk_region_route(region, peer, out);
            is_found = true;
        }
    }
    tk_epoch_leave(cache->rt);
    return is_found;
}

enum { RELOADS = TK_REGION_READY | TK_REGION_RELOAD };

/* What the map says of a key: the working peer's route and the bounds. With
 * `marks` also a record that is to be read anew. */
static bool
look(struct tk_cache *cache, tikv_slice key, bool before, uint32_t marks,
     struct tk_route *out, struct tk_buf *start, struct tk_buf *end)
{
    int64_t now = tk_now(cache->rt);
    const struct tk_region *region;

    tk_epoch_enter(cache->rt);
    region = find(cache, key, before, now, marks);
    if (region != NULL) {
        tk_region_tell(region, out, start, end);
    }
    tk_epoch_leave(cache->rt);
    return region != NULL;
}

const struct tk_region *
tk_cache_find(struct tk_cache *cache, tikv_slice key, bool before)
{
    return find(cache, key, before, tk_now(cache->rt), 0);
}

bool
tk_cache_has(struct tk_cache *cache, tikv_slice key)
{
    bool has;

    tk_epoch_enter(cache->rt);
    has = tk_cache_find(cache, key, false) != NULL;
    tk_epoch_leave(cache->rt);
    return has;
}

tikv_error *
tk_cache_fly(struct tk_cache *cache, struct tk_op *op, tikv_slice key,
             bool before, struct tk_load *load, bool *mine, bool *found)
{
    struct tk_flight own = { key, before, { NULL }, NULL };
    struct tk_route route;
    struct tk_waiter waiter;
    struct tk_waiter *woken;
    struct tk_flight *flight;
    struct tk_flight **at;
    struct tk_wakes wakes;
    tikv_error *error = NULL;

    tk_mutex_lock(&cache->lock);
    for (flight = cache->flights; flight != NULL; flight = flight->next) {
        if (flight->before == before && tk_slice_equal(flight->key, key)) {
            break;
        }
    }
    *mine = flight == NULL;
    if (*mine) {
        own.next = cache->flights;
        cache->flights = &own;
    } else {
        tk_waiters_add(&flight->waiters, &waiter, op);
    }
    tk_mutex_unlock(&cache->lock);
    if (!*mine) {
        /* When it wakes, the flight is gone: its list was emptied before. */
        return tk_waiter_await(&flight->waiters, &waiter, &cache->lock, op);
    }
    /* Somebody may have landed between our look and our flight. */
    *found = look(cache, key, before, 0, &route, NULL, NULL);
    if (!*found) {
        error = load->run(cache, op, load, found);
    }
    tk_mutex_lock(&cache->lock);
    for (at = &cache->flights; *at != &own; at = &(*at)->next) {
    }
    *at = own.next;
    woken = tk_waiters_take(&own.waiters);
    tk_mutex_unlock(&cache->lock);
    tk_wakes_init(&wakes, op->rt);
    tk_waiters_wake(woken, &wakes);
    tk_wakes_flush(&wakes);
    return error;
}

static tikv_error *
pause_for(struct tk_op *op, struct tk_backoff *backoff,
          enum tk_backoff_kind kind, const char *why, tikv_slice key)
{
    int64_t ms =
        tk_backoff_next(backoff, kind, -1, op->rt->ops->random(op->rt));
    char text[64];
    tikv_error *error;

    if (ms < 0) {
        return tk_backoff_exceeded(
            backoff, tk_error(TIKV_ERR_REGION, "%s of %s", why,
                              tk_redact_key(key, text, sizeof(text))));
    }
    error = tk_op_pause(op, kind, ms * TK_MS);
    if (error != NULL) {
        tk_backoff_undo(backoff, kind, ms);
    }
    return error;
}

/* A record that can be used may have to be read anew: tries, for so long. When
 * PD does not help the old one serves, and the wish stays. */
static void
reload(struct tk_cache *cache, struct tk_op *op, struct tk_lookup *lookup)
{
    int64_t deadline = op->deadline;
    int64_t until = tk_after(tk_now(op->rt), RELOAD_NS);
    struct tk_region *region;
    bool is_mine;
    bool is_found = false;

    op->deadline = until < deadline ? until : deadline;
    tikv_error_free(tk_cache_fly(cache, op, lookup->key, lookup->before,
                                 &lookup->load, &is_mine, &is_found));
    op->deadline = deadline;
    tk_epoch_enter(cache->rt);
    region = find(cache, lookup->key, lookup->before, tk_now(cache->rt),
                  RELOADS);
    if (region != NULL && tk_region_is_marked(region, TK_REGION_READY)) {
        tk_region_put_off(region);
    }
    tk_epoch_leave(cache->rt);
}

tikv_error *
tk_cache_locate(struct tk_cache *cache, struct tk_op *op, tikv_slice key,
                bool before, struct tk_backoff *backoff, struct tk_route *out,
                struct tk_buf *start, struct tk_buf *end)
{
    struct tk_lookup lookup = { { tk_cache_load_key }, key, before, false };
    bool has_reloaded = false;
    unsigned loads = 0;

    for (;;) {
        tikv_error *error;
        bool is_mine = false;
        bool is_found = true;

        if (look(cache, key, before, has_reloaded ? RELOADS : 0, out, start,
                 end)) {
            return NULL;
        }
        if (look(cache, key, before, RELOADS, out, NULL, NULL)) {
            reload(cache, op, &lookup);
            has_reloaded = true;
            error = tk_op_check(op);
            if (error != NULL) {
                return error;
            }
            continue;
        }
        error = tk_cache_fly(cache, op, key, before, &lookup.load, &is_mine,
                             &is_found);
        loads += is_mine;
        if (error == NULL && is_mine && (!is_found || loads > 2)) {
            lookup.leader_only = true;
            error = pause_for(op, backoff, TK_BACKOFF_REGION_MISS,
                              "no region", key);
        }
        if (error != NULL) {
            return error;
        }
    }
}
