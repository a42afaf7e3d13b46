/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv_regions: facts about regions, copied from PD's answers or from a
 * region cache. Bounds, peers and cuts lie in arrays that grow with the list.
 * A list has one owner; no lock.
 */
#ifndef TK_BASE_REGIONS_H
#define TK_BASE_REGIONS_H

#include <tikv/topology.h>

/* NULL without memory. */
tikv_regions *
tk_regions_new(void);

/* Appends a region without peers, its own only bucket; `info` is read but for
 * its two counts.
 * False without memory: the list is as before. */
bool
tk_regions_add(tikv_regions *regions, const tikv_region_info *info);

/* A peer of the region that was added last. */
bool
tk_regions_add_peer(tikv_regions *regions, uint64_t id, uint64_t store_id,
                    int32_t role, uint32_t flags);

/* The region that was added last is cut at `key`: inside it, and behind all
 * keys it was cut at before. */
bool
tk_regions_add_cut(tikv_regions *regions, tikv_slice key);

/* Copies what both sides know of a stamped struct; the rest of the caller's
 * is zero. False when the caller's is too small for a stamp. */
bool
tk_info_give(const void *from, size_t known_size, void *out);

#endif
