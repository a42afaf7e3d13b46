/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region cache: an ordered map published by one pointer, copy on write
 * (path-copying B+-tree, inline 8-byte key heads after the node's common
 * prefix). Readers walk it inside an epoch section, without a lock or a
 * shared write; writers hold the REGION lock, copy O(log n), swap the root
 * and retire the old path. Region records are immutable once published,
 * except for a few atomics.
 *
 * Rules: RC-1..RC-5, RC-8, RC-9. Single flight per key on misses.
 */
#ifndef TK_REGION_CACHE_H
#define TK_REGION_CACHE_H

#include "upb/upb.h"

#include "base/buf.h"
#include "region/store.h"
#include "wire/key.h"

struct tk_cache;
struct tk_backoff;

#define TK_ROUTE_CONTEXT_MAX 96

/* Where to send a request: copied out of the epoch section. */
struct tk_route {
    uint64_t region_id;
    uint64_t conf_ver;
    uint64_t version;
    uint64_t peer_id;
    struct tk_store *store;
    uint32_t store_epoch;
    uint8_t context_len;
    uint8_t context[TK_ROUTE_CONTEXT_MAX]; /* encoded part of the region */
};

struct tk_cache *
tk_cache_new(struct tk_runtime *rt, struct tk_pd *pd, struct tk_stores *stores,
             const struct tk_key_codec *codec, const struct tk_config *config,
             struct tk_log *log);

/* Starts taking out what has ended, every region.sweep_ms, and if it is so
 * set loads all regions, now (region.preload) or every region.refresh_ms.
 * Ends with the exec; tk_cache_free() waits for the timers. */
void
tk_cache_start(struct tk_cache *cache, struct tk_exec *exec);

/* From the cache alone: false on a miss, an expired or invalid record, or a
 * leader's store without a connection. No lock, never waits: the hot road. */
bool
tk_cache_route(struct tk_cache *cache, tikv_slice key, struct tk_route *out);

/* The same for one who knows the time. */
bool
tk_cache_route_at(struct tk_cache *cache, tikv_slice key, int64_t now,
                  struct tk_route *out);

/* From the cache or PD; `end` (may be NULL) gets the region's end, `start`
 * its start. Waits through the op; `key` may be empty. With `before` the
 * region is the one that holds the keys just below `key` (an empty key is
 * then the very end): for reverse scans. REGION errors are retried inside,
 * within `backoff`. */
tikv_error *
tk_cache_locate(struct tk_cache *cache, struct tk_op *op, tikv_slice key,
                bool before, struct tk_backoff *backoff, struct tk_route *out,
                struct tk_buf *start, struct tk_buf *end);

/* The region of that id, from the cache or PD, which then is cached too; with
 * `from_pd` PD's leader is asked and the cache left as it is. REGION: there is
 * none. For tools and for what only bears an id: a key may have moved to
 * another region, its lookup goes by the key. */
tikv_error *
tk_cache_locate_id(struct tk_cache *cache, struct tk_op *op, uint64_t id,
                   bool from_pd, struct tk_route *out, struct tk_buf *start,
                   struct tk_buf *end) __attribute__((warn_unused_result));

/* Whether a lookup would be answered by the cache. */
bool
tk_cache_has(struct tk_cache *cache, tikv_slice key);

/* What a job is about to ask for: items [first, first + count) in ascending
 * order of their keys, or, where `key` is NULL, a range. */
struct tk_wants {
    tikv_slice (*key)(void *arg, size_t item);
    void *arg;
    size_t first;
    size_t count;
    tikv_range range;
};

/* Loads what of that is not cached, many regions by one call of PD, as much
 * as fits into one call. What PD left out is found by tk_cache_locate(). */
tikv_error *
tk_cache_fill(struct tk_cache *cache, struct tk_op *op,
              const struct tk_wants *wants) __attribute__((warn_unused_result));

/* All regions of our keys, from PD: what is not known, or older, comes in,
 * what is as new lives on. What is newer than PD's word stays. */
tikv_error *
tk_cache_refresh(struct tk_cache *cache, struct tk_op *op)
    __attribute__((warn_unused_result));

/* Reasons, for tests and the log. */
enum tk_invalid {
    TK_INVALID_OK,
    TK_INVALID_NO_LEADER,
    TK_INVALID_NOT_FOUND,
    TK_INVALID_EPOCH,
    TK_INVALID_STORE,
    TK_INVALID_OTHER
};

/* The record this route came from, if it is still the one in the cache. */
void
tk_cache_invalidate(struct tk_cache *cache, const struct tk_route *route,
                    enum tk_invalid reason);

/* NotLeader with a hint: false when the peer is not in the region (then the
 * record is invalidated, STORE). */
bool
tk_cache_set_leader(struct tk_cache *cache, const struct tk_route *route,
                    uint64_t peer_id, uint64_t store_id);

/* EpochNotMatch: `regions` are metapb.Region messages. True when TiKV is
 * behind us: retry the same request after a backoff; else the cache was
 * corrected and the keys must be grouped anew. */
bool
tk_cache_epoch_not_match(struct tk_cache *cache, const struct tk_route *route,
                         const struct metapb_Region *const *regions,
                         size_t count);

/* ---- buckets (RC-10) ---- */

/* Of the record this route came from; 0: no buckets, or another record. */
uint64_t
tk_cache_buckets_version(struct tk_cache *cache, const struct tk_route *route);

/* BucketVersionNotMatch: takes over what is newer. */
void
tk_cache_set_buckets(struct tk_cache *cache, const struct tk_route *route,
                     uint64_t version, const upb_StringView *keys,
                     size_t count);

/* Somebody saw a newer version: PD is asked at the next look, once. */
void
tk_cache_want_buckets(struct tk_cache *cache, const struct tk_route *route,
                      uint64_t version);

size_t
tk_cache_count(struct tk_cache *cache);

/* After the last operation ended and the exec closed. */
void
tk_cache_free(struct tk_cache *cache);

#endif
