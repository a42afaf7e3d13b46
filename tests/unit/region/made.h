/* SPDX-License-Identifier: Apache-2.0 */
/* Records of made-up regions, put into a cache as if PD had told of them. */
#ifndef TK_TEST_REGION_MADE_H
#define TK_TEST_REGION_MADE_H

#include "unit/region/world.h"

#include "region/cache_inner.h"

#include "metapb.upb.h"

struct made {
    uint64_t id;
    uint64_t version;
    uint64_t conf_ver;
    const char *start;
    const char *end;
    unsigned peers; /* peer n is id*10+n on store n, from 1 */
};

static inline metapb_Region *
make_region(struct tk_arena *arena, const struct made *made)
{
    metapb_Region *region = metapb_Region_new(arena->upb);
    metapb_RegionEpoch *epoch =
        metapb_Region_mutable_region_epoch(region, arena->upb);
    unsigned i;

    metapb_Region_set_id(region, made->id);
    metapb_Region_set_start_key(region,
                                upb_StringView_FromString(made->start));
    metapb_Region_set_end_key(region, upb_StringView_FromString(made->end));
    metapb_RegionEpoch_set_version(epoch, made->version);
    metapb_RegionEpoch_set_conf_ver(epoch, made->conf_ver);
    for (i = 1; i <= made->peers; i++) {
        metapb_Peer *peer = metapb_Region_add_peers(region, arena->upb);

        metapb_Peer_set_id(peer, made->id * 10 + i);
        metapb_Peer_set_store_id(peer, i);
    }
    return region;
}

/* False: refused. */
static inline bool
put_region(struct tk_cache *cache, const struct made *made)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_pd_region facts = { .region = make_region(arena, made) };
    struct tk_region *region;
    bool is_in;

    world_ok(tk_region_new(cache, &facts, NULL, &region));
    assert_non_null(region);
    tk_mutex_lock(&cache->lock);
    is_in = tk_cache_insert(cache, region);
    tk_mutex_unlock(&cache->lock);
    if (!is_in) {
        tk_region_free(region);
    }
    tk_arena_unref(arena);
    return is_in;
}

#endif
