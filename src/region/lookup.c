/* SPDX-License-Identifier: Apache-2.0 */
/* The cache from outside: the idea stands in the header. */
#include "region/lookup.h"

#include "base/error.h"
#include "base/slice.h"
#include "region/cache_inner.h"

enum {
    BATCH = 64, /* records of one hold of the lock */
    KEY_MAX = 1 << 20,
    TRIES = 8 /* found, and gone before it was copied */
};

/* ---- walking ---- */

/* What is done to a record of a range, under the lock; false ends the walk. */
typedef bool
visit_fn(struct tk_region *region, void *arg);

/* The record that begins at or below `key`, else the next one. */
static struct tk_region *
first_of(struct tk_cache *cache, tikv_slice key)
{
    struct tk_map_entry *entry = tk_map_next(&cache->map, key, true);
    struct tk_region *left;

    if (entry != NULL && tk_slice_equal(entry->key, key)) {
        return (struct tk_region *)(void *)entry;
    }
    left = (struct tk_region *)(void *)tk_map_previous(&cache->map, key);
    if (left != NULL &&
        (left->end.len == 0 || tk_slice_compare(left->end, key) > 0)) {
        return left;
    }
    return (struct tk_region *)(void *)entry;
}

/* One hold of the lock, from the record at or below `from` on, or from behind
 * it. True: the walk goes on behind the key `at`. */
static bool
walk_some(struct tk_cache *cache, tikv_slice from, bool is_behind,
          tikv_slice end, visit_fn *visit, void *arg, struct tk_buf *at)
{
    struct tk_region *region =
        is_behind
            ? (struct tk_region *)(void *)tk_map_next(&cache->map, from, false)
            : first_of(cache, from);
    size_t count;

    for (count = 1; region != NULL; count++) {
        if ((end.len != 0 && tk_slice_compare(region->entry.key, end) >= 0) ||
            !visit(region, arg)) {
            return false;
        }
        if (count >= BATCH) {
            tk_buf_clear(at);
            tk_buf_append_slice(at, region->entry.key);
            if (!at->failed) {
                return true;
            }
            /* No memory to come back with: the hold is a longer one. */
        }
        region = (struct tk_region *)(void *)tk_map_next(
            &cache->map, region->entry.key, false);
    }
    return false;
}

static bool
is_nothing(tikv_range range)
{
    return range.end.len != 0 && tk_slice_compare(range.start, range.end) >= 0;
}

static void
walk(struct tk_cache *cache, tikv_range range, visit_fn *visit, void *arg)
{
    bool goes_on = !is_nothing(range);
    tikv_slice from = range.start;
    bool is_behind = false;
    struct tk_buf at;

    tk_buf_init(&at, KEY_MAX);
    while (goes_on) {
        tk_mutex_lock(&cache->lock);
        goes_on =
            walk_some(cache, from, is_behind, range.end, visit, arg, &at);
        tk_mutex_unlock(&cache->lock);
        from = tk_buf_slice(&at);
        is_behind = true;
    }
    tk_buf_fini(&at);
}

/* ---- copies ---- */

struct copying {
    tikv_regions *out;
    int64_t now;
    size_t left;
    bool has_failed;
};

/* Under the lock, or inside an epoch section. False without memory. */
static bool
copy(const struct tk_region *region, tikv_regions *out)
{
    uint32_t working = atomic_load(&region->working);
    const struct tk_buckets *buckets =
        atomic_load_explicit(&region->buckets, memory_order_acquire);
    tikv_range whole = { region->entry.key, region->end };
    tikv_region_info info = {
        .id = region->id,
        .conf_ver = region->conf_ver,
        .version = region->version,
        .leader_store_id = region->peers[working].store->id,
        .start = region->entry.key,
        .end = region->end,
        .buckets_version = buckets == NULL ? 0 : buckets->version,
    };
    bool is_good = tk_regions_add(out, &info) &&
                   tk_buckets_tell(buckets, whole, out);
    uint32_t i;

    for (i = 0; i < region->peers_count && is_good; i++) {
        const struct tk_peer *peer = &region->peers[i];

        is_good = tk_regions_add_peer(out, peer->id, peer->store->id,
                                      peer->is_learner ? TIKV_PEER_LEARNER
                                                       : TIKV_PEER_VOTER,
                                      i == working ? TIKV_PEER_IS_LEADER : 0);
    }
    return is_good;
}

static bool
visit_copy(struct tk_region *region, void *arg)
{
    struct copying *copying = arg;

    if (tk_region_is_usable(region, copying->now)) {
        copying->has_failed = !copy(region, copying->out);
        copying->left--;
    }
    return !copying->has_failed && copying->left != 0;
}

bool
tk_cache_copy(struct tk_cache *cache, tikv_range range, size_t limit,
              tikv_regions *out)
{
    struct copying copying = { out, tk_now(cache->rt),
                               limit == 0 ? SIZE_MAX : limit, false };

    walk(cache, range, visit_copy, &copying);
    return !copying.has_failed;
}

/* ---- finding ---- */

static void
begin_backoff(const struct tk_router *router, struct tk_backoff *backoff)
{
    tk_backoff_init(backoff,
                    tk_config_int(&router->config->backoff_raw_ms) *
                        tk_config_int(&router->config->backoff_weight));
}

/* The usable record of `key`, if there is one. */
static bool
copy_holder(struct tk_cache *cache, tikv_slice key, bool before,
            tikv_regions *out)
{
    const struct tk_region *region;
    bool is_good;

    tk_epoch_enter(cache->rt);
    region = tk_cache_find(cache, key, before);
    is_good = region == NULL || copy(region, out);
    tk_epoch_leave(cache->rt);
    return is_good;
}

tikv_error *
tk_region_find(struct tk_router *router, struct tk_op *op, tikv_slice key,
               bool before, tikv_regions *out)
{
    size_t count = tikv_regions_count(out);
    struct tk_backoff backoff;
    unsigned tries;

    begin_backoff(router, &backoff);
    for (tries = 0; tries < TRIES; tries++) {
        struct tk_route route;
        tikv_error *error = tk_cache_locate(router->cache, op, key, before,
                                            &backoff, &route, NULL, NULL);

        if (error != NULL) {
            return error;
        }
        if (!copy_holder(router->cache, key, before, out)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        if (tikv_regions_count(out) > count) {
            return NULL;
        }
    }
    return tk_error(TIKV_ERR_REGION, "the region changes all the time");
}

/* The usable record of that id, if there is one. */
static bool
copy_id(struct tk_cache *cache, uint64_t id, tikv_regions *out)
{
    const struct tk_region *region;
    bool is_good = true;

    tk_mutex_lock(&cache->lock);
    region = tk_cache_by_id(cache, id);
    if (region != NULL && tk_region_is_usable(region, tk_now(cache->rt))) {
        is_good = copy(region, out);
    }
    tk_mutex_unlock(&cache->lock);
    return is_good;
}

tikv_error *
tk_region_find_id(struct tk_router *router, struct tk_op *op, uint64_t id,
                  tikv_regions *out)
{
    unsigned tries;

    /* What PD says and the cache does not take in is over: the cache knows
     * newer regions of those keys. Or it came, and went at once. */
    for (tries = 0; tries < TRIES && tikv_regions_count(out) == 0; tries++) {
        struct tk_route route;
        tikv_error *error = tk_cache_locate_id(router->cache, op, id, false,
                                               &route, NULL, NULL);

        if (error != NULL && tikv_error_code(error) == TIKV_ERR_REGION) {
            tikv_error_free(error);
            return NULL;
        }
        if (error != NULL) {
            return error;
        }
        if (!copy_id(router->cache, id, out)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    return NULL;
}

/* Where the last region of a list ends, as a copy: the list will grow. */
static tikv_error *
read_end(const tikv_regions *regions, struct tk_buf *end)
{
    tikv_region_info info = { .struct_size = sizeof(info) };

    (void)tikv_regions_at(regions, tikv_regions_count(regions) - 1, &info);
    tk_buf_clear(end);
    tk_buf_append_slice(end, info.end);
    return end->failed ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

tikv_error *
tk_regions_find(struct tk_router *router, struct tk_op *op, tikv_range range,
                size_t limit, tikv_regions *out)
{
    bool goes_on = !is_nothing(range);
    tikv_error *error = NULL;
    struct tk_buf from;

    tk_buf_init(&from, KEY_MAX);
    tk_buf_append_slice(&from, range.start);
    while (goes_on && error == NULL) {
        tikv_range rest = { tk_buf_slice(&from), range.end };

        if (limit != 1 && !tk_cache_has(router->cache, rest.start)) {
            struct tk_wants wants = { .range = rest };

            error = tk_cache_fill(router->cache, op, &wants);
        }
        if (error == NULL) {
            error = tk_region_find(router, op, rest.start, false, out);
        }
        if (error == NULL) {
            error = read_end(out, &from);
        }
        goes_on = from.len != 0 && tikv_regions_count(out) != limit &&
                  (range.end.len == 0 ||
                   tk_slice_compare(tk_buf_slice(&from), range.end) < 0);
    }
    tk_buf_fini(&from);
    return error;
}

/* ---- forgetting ---- */

static bool
visit_forget(struct tk_region *region, void *arg)
{
    (void)arg;
    tk_region_invalidate(region, TK_INVALID_OTHER);
    return true;
}

void
tk_cache_forget(struct tk_cache *cache, tikv_range range)
{
    walk(cache, range, visit_forget, NULL);
}

void
tk_cache_forget_id(struct tk_cache *cache, uint64_t id)
{
    struct tk_region *region;

    tk_mutex_lock(&cache->lock);
    region = tk_cache_by_id(cache, id);
    if (region != NULL) {
        tk_region_invalidate(region, TK_INVALID_OTHER);
    }
    tk_mutex_unlock(&cache->lock);
}

static bool
visit_forget_led(struct tk_region *region, void *arg)
{
    const uint64_t *store_id = arg;

    if (region->peers[atomic_load(&region->working)].store->id == *store_id) {
        tk_region_invalidate(region, TK_INVALID_STORE);
    }
    return true;
}

void
tk_cache_forget_led(struct tk_cache *cache, uint64_t store_id)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };

    walk(cache, all, visit_forget_led, &store_id);
}
