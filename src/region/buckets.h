/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where PD would cut a region for work in parallel (RC-10): ascending keys,
 * each bucket from one to the next. They are a hint: they may be older than
 * the region and reach beyond it, so what is given out is clamped to it.
 *
 * Immutable; replaced whole and retired.
 */
#ifndef TK_REGION_BUCKETS_H
#define TK_REGION_BUCKETS_H

#include <tikv/topology.h>

#include "upb/upb.h"

#include "exec/epoch.h"
#include "wire/key.h"

struct tk_buckets {
    struct tk_retired retired; /* first */
    uint64_t version;
    size_t count; /* of keys: one more than buckets; the last may be empty */
    tikv_slice keys[];
};

/* Of keys as PD knows them; *out is NULL where they are of no use: too few,
 * or none of ours. False without memory. */
bool
tk_buckets_new(const struct tk_key_codec *codec, uint64_t version,
               const upb_StringView *keys, size_t count,
               struct tk_buckets **out) __attribute__((warn_unused_result));

/* NULL without memory, and of NULL. */
struct tk_buckets *
tk_buckets_copy(const struct tk_buckets *buckets);

void
tk_buckets_free(struct tk_buckets *buckets);

void
tk_buckets_retire(struct tk_runtime *rt, struct tk_buckets *buckets);

/* The part of the bucket that lies in the region; the region itself where
 * none does. */
tikv_range
tk_bucket_clamp(tikv_range bucket, tikv_range region);

/* The bucket of a key, or the part of the region at its edge that no bucket
 * covers. Without buckets the region. False: the key is not in the region. */
bool
tk_bucket_find(const struct tk_buckets *buckets, tikv_range region,
               tikv_slice key, tikv_range *out);

/* Cuts the region that was added last to a list. Of NULL nothing. False
 * without memory. */
bool
tk_buckets_tell(const struct tk_buckets *buckets, tikv_range region,
                tikv_regions *out);

#endif
