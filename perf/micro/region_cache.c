/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds of one tk_cache_route() over N regions (default 100000) whose
 * keys share long prefixes, in random order, by one thread: the goal is 100.
 *
 *     make perf-programs && build/release/perf/micro/region_cache [regions]
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/config.h"
#include "base/rng.h"
#include "region/cache_inner.h"
#include "wire/arena.h"

#include "metapb.upb.h"

enum { LOOKUPS = 5000000, KEY_LEN = 19, KEYS = 4096 };

/* A table's rows: nine bytes in common, then the row. */
static void
make_key(unsigned number, char *out)
{
    snprintf(out, KEY_LEN + 1, "t\x80table77_r%08u", number % 100000000);
}

static bool
put_region(struct tk_cache *cache, unsigned number, unsigned count)
{
    struct tk_arena *arena = tk_arena_new();
    metapb_Region *meta = metapb_Region_new(arena->upb);
    metapb_RegionEpoch *epoch =
        metapb_Region_mutable_region_epoch(meta, arena->upb);
    struct tk_pd_region facts = { .region = meta };
    struct tk_region *region;
    char start[KEY_LEN + 1] = "";
    char end[KEY_LEN + 1] = "";
    bool is_in = false;
    unsigned i;

    if (number > 0) {
        make_key(number * 10, start);
    }
    if (number + 1 < count) {
        make_key((number + 1) * 10, end);
    }
    metapb_Region_set_id(meta, number + 1);
    metapb_Region_set_start_key(meta, upb_StringView_FromString(start));
    metapb_Region_set_end_key(meta, upb_StringView_FromString(end));
    metapb_RegionEpoch_set_version(epoch, 77);
    metapb_RegionEpoch_set_conf_ver(epoch, 5);
    for (i = 1; i <= 3; i++) {
        metapb_Peer *peer = metapb_Region_add_peers(meta, arena->upb);

        metapb_Peer_set_id(peer, number * 4 + i);
        metapb_Peer_set_store_id(peer, (number + i) % 3 + 1);
    }
    tikv_error_free(tk_region_new(cache, &facts, NULL, &region));
    if (region != NULL) {
        tk_mutex_lock(&cache->lock);
        is_in = tk_cache_insert(cache, region);
        tk_mutex_unlock(&cache->lock);
    }
    tk_arena_unref(arena);
    return is_in;
}

static void
measure(struct tk_cache *cache, unsigned count)
{
    static char keys[KEYS * 16][KEY_LEN + 1];
    struct tk_rng rng = { 11 };
    unsigned found = 0;
    int64_t begun;
    unsigned i;

    for (i = 0; i < KEYS * 16; i++) {
        make_key((unsigned)tk_rng_below(&rng, count * 10), keys[i]);
    }
    begun = tk_clock_monotonic();
    for (i = 0; i < LOOKUPS; i++) {
        struct tk_route route;
        const char *key = keys[i % (KEYS * 16)];

        found += tk_cache_route(
            cache, (tikv_slice){ (const uint8_t *)key, KEY_LEN }, &route);
    }
    printf("%u regions: %.1f ns per lookup, %u of %u found\n", count,
           (double)(tk_clock_monotonic() - begun) / LOOKUPS, found,
           (unsigned)LOOKUPS);
}

int
main(int argc, char **argv)
{
    unsigned count = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 100000;
    struct tk_key_codec codec = { TK_KEYS_RAW_V1, 0 };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_stores *stores = tk_stores_new(NULL, NULL, NULL);
    tikv_config *config = NULL;
    tikv_error *error = tikv_config_new(&config);
    struct tk_cache *cache;
    int64_t begun;
    unsigned i;

    if (rt == NULL || stores == NULL || error != NULL || count == 0) {
        tikv_error_free(error);
        return 1;
    }
    for (i = 1; i <= 3; i++) {
        atomic_store(&tk_stores_get(stores, i)->conn,
                     (struct tk_conn *)(void *)stores);
    }
    cache = tk_cache_new(rt, NULL, stores, &codec, tk_config_of(config), NULL);
    begun = tk_clock_monotonic();
    for (i = 0; i < count; i++) {
        if (!put_region(cache, i, count)) {
            fprintf(stderr, "region %u was refused\n", i);
            return 1;
        }
    }
    printf("%u regions: %.1f us per insertion\n", count,
           (double)(tk_clock_monotonic() - begun) / 1000.0 / count);
    measure(cache, count);
    tk_cache_free(cache);
    tk_stores_free(stores);
    tikv_config_free(config);
    tk_runtime_posix_free(rt);
    return 0;
}
