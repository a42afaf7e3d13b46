/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIKV_TOPOLOGY_H
#define TIKV_TOPOLOGY_H

/**
 * Where keys live: regions and stores, as PD knows them. For tools and for
 * embedders that place work beside data; reads and writes find their way
 * without it.
 */

#include <tikv/base.h>

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
} tikv_region_info;

typedef struct tikv_store_info {
    size_t struct_size;
    uint64_t id;
    const char *address;
    const char *version;
    const char *state; /* "Up", "Offline", "Tombstone", "Unknown" */
    uint64_t labels_count;
} tikv_store_info;

/* The regions that touch `range`, at most `limit` of them (0: all), in the
 * order of their keys. Asks PD. Blocks. */
TIKV_API TIKV_MUST_USE tikv_error *
tikv_regions_list(tikv_client *client, tikv_range range, size_t limit,
                  const tikv_call *call, tikv_regions **out);

TIKV_API size_t
tikv_regions_count(const tikv_regions *regions);

/* False when `index` is past the end. Slices live as long as `regions`. */
TIKV_API bool
tikv_regions_at(const tikv_regions *regions, size_t index,
                tikv_region_info *out);

TIKV_API void
tikv_regions_free(tikv_regions *regions);

/* The stores of the cluster, without those that are gone for good. Asks PD.
 * Blocks. */
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
