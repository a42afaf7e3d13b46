/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_TOPOLOGY_H
#define TIKV_TOPOLOGY_H

/**
 * Where keys live: regions and stores, as PD knows them, and as the client's
 * cache of regions does, by which requests go. For tools and for embedders
 * that place work beside data; reads and writes find their way without it.
 *
 * Raw and transactional keys have regions of their own kind, and a cache each.
 */

#include <tikv/future.h>

TIKV_BEGIN_DECLS

typedef struct tikv_regions tikv_regions;
typedef struct tikv_stores tikv_stores;

/* Keys are as the client sees them. Stamped like options: the caller sets
 * `struct_size`, fields may be appended. */
typedef struct tikv_region_info {
    size_t struct_size;
    uint64_t id;
    uint64_t conf_ver;
    uint64_t version;
    uint64_t leader_store_id; /* 0: no leader known */
    uint64_t peers_count;
    tikv_slice start;
    tikv_slice end;
    uint64_t buckets_count;   /* at least 1 */
    uint64_t buckets_version; /* 0: no buckets known */
} tikv_region_info;

/* A peer of a region. */
typedef struct tikv_peer_info {
    size_t struct_size;
    uint64_t id;
    uint64_t store_id;
    int32_t role;   /* TIKV_PEER_VOTER, ... */
    uint32_t flags; /* TIKV_PEER_IS_... */
} tikv_peer_info;

#define TIKV_PEER_VOTER INT32_C(0)
#define TIKV_PEER_LEARNER INT32_C(1)
#define TIKV_PEER_INCOMING INT32_C(2)
#define TIKV_PEER_DEMOTING INT32_C(3)

/* The leader, as far as is known: who is asked first. */
#define TIKV_PEER_IS_LEADER UINT32_C(1)
/* As PD says. The cache leaves out peers that are down. */
#define TIKV_PEER_IS_DOWN UINT32_C(2)
#define TIKV_PEER_IS_PENDING UINT32_C(4)

/* Whose keys a function is about. */
typedef int32_t tikv_keys;
#define TIKV_KEYS_RAW INT32_C(0)
#define TIKV_KEYS_TXN INT32_C(1)

typedef struct tikv_store_info {
    size_t struct_size;
    uint64_t id;
    const char *address;
    const char *version;
    const char *state; /* "Up", "Offline", "Tombstone", "Unknown" */
    uint64_t labels_count;

    /* As this client finds it, not as PD says. */
    int32_t liveness;    /* TIKV_STORE_ALIVE, ... */
    uint32_t slow_score; /* 1 (well) .. 100, by its own word or by how long
                            requests took; slow from 80 on; 0: never met */
    uint64_t wait_ms;    /* requests would wait there so long, as it said */
} tikv_store_info;

/* Never met, or in doubt until a probe tells. */
#define TIKV_STORE_UNKNOWN INT32_C(0)
#define TIKV_STORE_ALIVE INT32_C(1)
#define TIKV_STORE_DEAD INT32_C(2)

/* The regions that touch `range` of raw keys, at most `limit` of them (0:
 * all), in the order of their keys. Asks PD. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_regions_list(tikv_client *client, tikv_range range, size_t limit,
                  const tikv_call *call, tikv_regions **out);

TIKV_API size_t
tikv_regions_count(const tikv_regions *regions);

/* False when `index` is past the end. Slices live as long as `regions`. */
TIKV_API bool
tikv_regions_at(const tikv_regions *regions, size_t index,
                tikv_region_info *out);

/* False when there is no such region, or no such peer of it. */
TIKV_API bool
tikv_regions_peer(const tikv_regions *regions, size_t index, size_t peer,
                  tikv_peer_info *out);

/* A part of the region as PD would cut it for work in parallel. Buckets stand
 * in the order of their keys and cover the region without gaps; one without
 * buckets is its only one. A hint, which may be older than the region. False
 * when there is no such region, or no such bucket of it. Slices live as long
 * as `regions`. */
TIKV_API bool
tikv_regions_bucket(const tikv_regions *regions, size_t index, size_t bucket,
                    tikv_range *out);

TIKV_API void
tikv_regions_free(tikv_regions *regions);

/* The region of `key`, alone in a list: as the cache has it, or, when it has
 * nothing, as PD says, and then the cache has it too. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_region_find(tikv_client *client, tikv_keys keys, tikv_slice key,
                 const tikv_call *call, tikv_regions **out);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_region_find_async(tikv_client *client, tikv_keys keys, tikv_slice key,
                       const tikv_call *call);

/* The same for the keys just below `key`, where a scan backwards from `key`
 * begins; of an absent or empty key the last region. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_region_before(tikv_client *client, tikv_keys keys, tikv_slice key,
                   const tikv_call *call, tikv_regions **out);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_region_before_async(tikv_client *client, tikv_keys keys, tikv_slice key,
                         const tikv_call *call);

/* The same by the region's id: an empty list when there is none. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_region_by_id(tikv_client *client, tikv_keys keys, uint64_t id,
                  const tikv_call *call, tikv_regions **out);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_region_by_id_async(tikv_client *client, tikv_keys keys, uint64_t id,
                        const tikv_call *call);

/* The same for all that touch `range`, at most `limit` (0: all), in the order
 * of their keys and without gaps: the end of each is the start of the next.
 * PD is asked for many at a time, so this also warms the cache up. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_regions_find(tikv_client *client, tikv_keys keys, tikv_range range,
                  size_t limit, const tikv_call *call, tikv_regions **out);

TIKV_API TIKV_MUST_USE tikv_future *
tikv_regions_find_async(tikv_client *client, tikv_keys keys, tikv_range range,
                        size_t limit, const tikv_call *call);

/* Takes what the four above promised; with a NULL `out` frees it. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_future_take_regions(tikv_future *future, tikv_regions **out);

/* What the cache has of `range`, at most `limit` regions (0: all), in the
 * order of their keys: there may be gaps. Never asks, never waits. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_regions_cached(tikv_client *client, tikv_keys keys, tikv_range range,
                    size_t limit, tikv_regions **out);

/* The regions that touch `range` are no longer believed: whoever needs them
 * next asks PD. Never needed for being right, since wrong beliefs are found
 * out; for those who know better, and for tests. Never waits. */
TIKV_API void
tikv_regions_forget(tikv_client *client, tikv_keys keys, tikv_range range);

TIKV_API void
tikv_region_forget(tikv_client *client, tikv_keys keys, uint64_t id);

/* Those whose leader, as far as is known, is at that store. */
TIKV_API void
tikv_store_forget(tikv_client *client, tikv_keys keys, uint64_t store_id);

/* The stores of the cluster, without those that are gone for good, and how
 * this client gets on with them. Asks PD. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_stores_list(tikv_client *client, const tikv_call *call,
                 tikv_stores **out);

TIKV_API size_t
tikv_stores_count(const tikv_stores *stores);

TIKV_API bool
tikv_stores_at(const tikv_stores *stores, size_t index, tikv_store_info *out);

/* Label `label` of store `index`: false when there is none. */
TIKV_API bool
tikv_stores_label(const tikv_stores *stores, size_t index, size_t label,
                  const char **key, const char **value);

TIKV_API void
tikv_stores_free(tikv_stores *stores);

TIKV_END_DECLS

#endif
