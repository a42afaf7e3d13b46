/* SPDX-License-Identifier: Apache-2.0 */
/* Making a region record out of what PD or a store says (RC-2). No lock of
 * the cache is held here: finding store objects takes that of their table. */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/cache_inner.h"
#include "wire/context.h"

#include "metapb.upb.h"

enum { KEY_MAX = 1 << 20, PEERS_MAX = 64, JITTER_PART = 10 };

int64_t
tk_region_expiry(const struct tk_cache *cache, int64_t now)
{
    int64_t ttl = tk_config_ns(&cache->config->region_cache_ttl_ms);
    uint64_t random = cache->rt->ops->random(cache->rt);
    int64_t jitter = (int64_t)(random % ((uint64_t)ttl / JITTER_PART + 1));

    return tk_after(now, ttl + jitter);
}

static bool
is_down(const struct tk_pd_region *facts, uint64_t peer_id)
{
    size_t i;

    for (i = 0; i < facts->down_count; i++) {
        if (facts->down[i] != NULL &&
            metapb_Peer_id(facts->down[i]) == peer_id) {
            return true;
        }
    }
    return false;
}

/* The peers that may be asked, in PD's order. */
static tikv_error *
choose_peers(struct tk_cache *cache, const struct tk_pd_region *facts,
             const metapb_Peer **peers, struct tk_store **stores,
             size_t *out)
{
    size_t count;
    const metapb_Peer *const *all = metapb_Region_peers(facts->region, &count);
    uint64_t leader_id =
        facts->leader == NULL ? 0 : metapb_Peer_id(facts->leader);
    size_t i;

    *out = 0;
    for (i = 0; i < count && *out < PEERS_MAX; i++) {
        uint64_t id = metapb_Peer_id(all[i]);
        struct tk_store *store;

        if (is_down(facts, id) ||
            (metapb_Peer_is_witness(all[i]) && id != leader_id)) {
            continue;
        }
        store = tk_stores_get(cache->stores, metapb_Peer_store_id(all[i]));
        if (store == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        if (!atomic_load(&store->is_tombstone) &&
            !atomic_load(&store->is_foreign)) {
            peers[*out] = all[i];
            stores[(*out)++] = store;
        }
    }
    return NULL;
}

/* The contexts of all peers; their places go into `peers`. */
static void
write_contexts(struct tk_cache *cache, const struct metapb_Region *meta,
               const metapb_Peer *const *chosen, size_t count,
               struct tk_peer *peers, struct tk_buf *out)
{
    const metapb_RegionEpoch *epoch = metapb_Region_region_epoch(meta);
    bool is_v2 = cache->codec.mode == TK_KEYS_RAW_V2 ||
                 cache->codec.mode == TK_KEYS_TXN_V2;
    size_t i;

    for (i = 0; i < count; i++) {
        struct tk_context_region context = {
            .region_id = metapb_Region_id(meta),
            .conf_ver =
                epoch == NULL ? 0 : metapb_RegionEpoch_conf_ver(epoch),
            .version = epoch == NULL ? 0 : metapb_RegionEpoch_version(epoch),
            .peer_id = metapb_Peer_id(chosen[i]),
            .store_id = metapb_Peer_store_id(chosen[i]),
            .peer_role = metapb_Peer_role(chosen[i]),
            .is_witness = metapb_Peer_is_witness(chosen[i]),
            .cluster_id =
                cache->pd == NULL ? 0 : tk_pd_cluster_id(cache->pd),
            .api_version = is_v2 ? 2 : 0,
            .has_keyspace = is_v2,
            .keyspace_id = cache->codec.keyspace_id,
        };
        size_t at = out->len;

        tk_context_region(out, &context);
        peers[i].context_at = (uint32_t)at;
        peers[i].context_len = (uint16_t)(out->len - at);
    }
}

static void
fill(struct tk_cache *cache, const struct tk_pd_region *facts,
     const metapb_Peer *const *chosen, struct tk_store *const *stores,
     const struct tk_store *leader_store, struct tk_region *region)
{
    const metapb_RegionEpoch *epoch =
        metapb_Region_region_epoch(facts->region);
    uint64_t leader_id =
        facts->leader == NULL ? 0 : metapb_Peer_id(facts->leader);
    uint32_t i;

    region->id = metapb_Region_id(facts->region);
    region->conf_ver = epoch == NULL ? 0 : metapb_RegionEpoch_conf_ver(epoch);
    region->version = epoch == NULL ? 0 : metapb_RegionEpoch_version(epoch);
    atomic_init(&region->marks,
                facts->down_count != 0 ? (uint32_t)TK_REGION_MORTAL : 0);
    atomic_init(&region->state, TK_INVALID_OK);
    atomic_init(&region->proxy, UINT32_MAX);
    atomic_init(&region->working, 0);
    atomic_init(&region->expires,
                tk_region_expiry(cache, tk_now(cache->rt)));
    for (i = 0; i < region->peers_count; i++) {
        struct tk_peer *peer = &region->peers[i];

        peer->id = metapb_Peer_id(chosen[i]);
        peer->store = stores[i];
        peer->is_learner =
            metapb_Peer_role(chosen[i]) == metapb_Learner;
        atomic_init(&peer->epoch, atomic_load(&stores[i]->epoch));
        if (leader_store != NULL ? stores[i] == leader_store
                                 : leader_id != 0 && peer->id == leader_id) {
            atomic_init(&region->working, i);
        }
    }
}

static tikv_slice
put_bytes(uint8_t **at, tikv_slice bytes)
{
    tikv_slice out = { *at, bytes.len };

    if (bytes.len != 0) {
        memcpy(*at, bytes.data, bytes.len);
    }
    *at += bytes.len;
    return out;
}

/* The record, its peers and its bytes in one block. NULL without memory. */
static struct tk_region *
new_block(const struct tk_buf *contexts, const struct tk_peer *peers,
          size_t peers_count, tikv_slice start, tikv_slice end)
{
    size_t head = sizeof(struct tk_region) + peers_count * sizeof(*peers);
    struct tk_region *region =
        contexts->failed
            ? NULL
            : tk_calloc(head + end.len + contexts->len + start.len + 1);
    uint8_t *at;
    size_t i;

    if (region == NULL) {
        return NULL;
    }
    at = (uint8_t *)region + head;
    region->bytes = at;
    region->peers_count = (uint32_t)peers_count;
    region->end = put_bytes(&at, end);
    for (i = 0; i < peers_count; i++) {
        region->peers[i].context_len = peers[i].context_len;
        region->peers[i].context_at =
            (uint32_t)(end.len + peers[i].context_at);
    }
    put_bytes(&at, tk_buf_slice(contexts));
    region->entry.key = put_bytes(&at, start);
    return region;
}

static tikv_slice
slice_of(upb_StringView view)
{
    return (tikv_slice){ (const uint8_t *)view.data, view.size };
}

static bool
take_buckets(struct tk_cache *cache, const struct tk_pd_region *facts,
             struct tk_region *region)
{
    struct tk_buckets *buckets = NULL;
    bool is_good = true;

    if (facts->buckets != NULL) {
        size_t count;
        const upb_StringView *keys =
            metapb_Buckets_keys(facts->buckets, &count);

        is_good = tk_buckets_new(&cache->codec,
                                 metapb_Buckets_version(facts->buckets), keys,
                                 count, &buckets);
    }
    atomic_init(&region->buckets, buckets);
    return is_good;
}

tikv_error *
tk_region_new(struct tk_cache *cache, const struct tk_pd_region *facts,
              const struct tk_store *leader_store, struct tk_region **out)
{
    const metapb_Peer *chosen[PEERS_MAX];
    struct tk_store *stores[PEERS_MAX];
    struct tk_peer peers[PEERS_MAX];
    struct tk_buf start;
    struct tk_buf end;
    struct tk_buf contexts;
    tikv_error *error;
    size_t count;

    *out = NULL;
    error = choose_peers(cache, facts, chosen, stores, &count);
    if (error != NULL || count == 0) {
        return error;
    }
    tk_buf_init(&start, KEY_MAX);
    tk_buf_init(&end, KEY_MAX);
    tk_buf_init(&contexts, PEERS_MAX * TK_ROUTE_CONTEXT_MAX);
    if (!tk_codec_region_range(
            &cache->codec, slice_of(metapb_Region_start_key(facts->region)),
            slice_of(metapb_Region_end_key(facts->region)), &start, &end)) {
        error = tk_error(TIKV_ERR_PROTOCOL,
                         "region %llu has bounds that are no keys of ours",
                         (unsigned long long)metapb_Region_id(facts->region));
    } else if (!start.failed && !end.failed) {
        write_contexts(cache, facts->region, chosen, count, peers, &contexts);
        *out = new_block(&contexts, peers, count, tk_buf_slice(&start),
                         tk_buf_slice(&end));
    }
    if (*out != NULL && !take_buckets(cache, facts, *out)) {
        tk_region_free(*out);
        *out = NULL;
    }
    if (*out != NULL) {
        fill(cache, facts, chosen, stores, leader_store, *out);
    } else if (error == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_buf_fini(&start);
    tk_buf_fini(&end);
    tk_buf_fini(&contexts);
    return error;
}

void
tk_region_free(struct tk_region *region)
{
    tk_buckets_free(atomic_load(&region->buckets));
    tk_free(region);
}

void
tk_region_tell(const struct tk_region *region, struct tk_route *out,
               struct tk_buf *start, struct tk_buf *end)
{
    tk_region_route(region,
                    &region->peers[atomic_load_explicit(
                        &region->working, memory_order_relaxed)],
                    out);
    if (start != NULL) {
        tk_buf_clear(start);
        tk_buf_append_slice(start, region->entry.key);
    }
    if (end != NULL) {
        tk_buf_clear(end);
        tk_buf_append_slice(end, region->end);
    }
}

void
tk_region_invalidate(struct tk_region *region, enum tk_invalid reason)
{
    uint32_t state = atomic_load(&region->state);

    while ((state & 0xff) == TK_INVALID_OK &&
           !atomic_compare_exchange_weak(&region->state, &state,
                                         state | (uint32_t)reason)) {
    }
}

static _Atomic uint32_t *
word_of(struct tk_region *region, enum tk_region_mark mark)
{
    return mark == TK_REGION_READY || mark == TK_REGION_RELOAD
               ? &region->state
               : &region->marks;
}

void
tk_region_mark(struct tk_region *region, enum tk_region_mark mark)
{
    _Atomic uint32_t *word = word_of(region, mark);

    if ((atomic_load_explicit(word, memory_order_relaxed) & mark) == 0) {
        atomic_fetch_or(word, (uint32_t)mark);
    }
}

bool
tk_region_is_marked(const struct tk_region *region, enum tk_region_mark mark)
{
    const _Atomic uint32_t *word =
        mark == TK_REGION_READY || mark == TK_REGION_RELOAD ? &region->state
                                                            : &region->marks;

    return (atomic_load_explicit(word, memory_order_relaxed) & mark) != 0;
}

void
tk_region_put_off(struct tk_region *region)
{
    tk_region_mark(region, TK_REGION_PENDING);
    atomic_fetch_and(&region->state, ~(uint32_t)TK_REGION_READY);
}
