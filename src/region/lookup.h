/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking into the cache and changing it from outside, for embedders: copies
 * of records, finding, forgetting. Nothing here is on the way of a
 * request. Any thread; the cache's lock is held for some records at a time.
 */
#ifndef TK_REGION_LOOKUP_H
#define TK_REGION_LOOKUP_H

#include "base/regions.h"
#include "region/drive.h"

/* Appends the usable records that touch `range`, at most `limit` (0: all).
 * False without memory. */
bool
tk_cache_copy(struct tk_cache *cache, tikv_range range, size_t limit,
              tikv_regions *out) __attribute__((warn_unused_result));

/* The region of `key`, from the cache or PD: appended. With `before` the one
 * of the keys just below; without a key then the last one. */
tikv_error *
tk_region_find(struct tk_router *router, struct tk_op *op, tikv_slice key,
               bool before, tikv_regions *out)
    __attribute__((warn_unused_result));

/* The region of that id into an empty list, which stays so when there is
 * none. */
tikv_error *
tk_region_find_id(struct tk_router *router, struct tk_op *op, uint64_t id,
                  tikv_regions *out) __attribute__((warn_unused_result));

/* The regions of `range` into an empty list, at most `limit` (0: all); what
 * the cache lacks comes into it, many regions by one call of PD. */
tikv_error *
tk_regions_find(struct tk_router *router, struct tk_op *op, tikv_range range,
                size_t limit, tikv_regions *out)
    __attribute__((warn_unused_result));

void
tk_cache_forget(struct tk_cache *cache, tikv_range range);

void
tk_cache_forget_id(struct tk_cache *cache, uint64_t id);

/* Whose leader, as far as is known, is at that store. */
void
tk_cache_forget_led(struct tk_cache *cache, uint64_t store_id);

#endif
