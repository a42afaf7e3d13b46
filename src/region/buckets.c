/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of buckets in one block, and the search among them. No lock, no
 * state. */
#include "region/buckets.h"

#include <string.h>

#include "base/alloc.h"
#include "base/regions.h"
#include "base/slice.h"

enum { KEY_MAX = 1 << 20, KEYS_MAX = 1 << 16 };

static bool
reaches(tikv_slice end, tikv_slice key)
{
    return end.len == 0 || tk_slice_compare(key, end) < 0;
}

/* In one block, bytes behind the keys; `ends` are where each key ends. */
static struct tk_buckets *
new_block(uint64_t version, tikv_slice bytes, const size_t *ends, size_t count)
{
    size_t head = sizeof(struct tk_buckets) + count * sizeof(tikv_slice);
    struct tk_buckets *buckets = tk_calloc(head + bytes.len + 1);
    uint8_t *at;
    size_t begin = 0;
    size_t i;

    if (buckets == NULL) {
        return NULL;
    }
    at = (uint8_t *)buckets + head;
    if (bytes.len != 0) {
        memcpy(at, bytes.data, bytes.len);
    }
    buckets->version = version;
    buckets->count = count;
    for (i = 0; i < count; i++) {
        buckets->keys[i] = (tikv_slice){ at + begin, ends[i] - begin };
        begin = ends[i];
    }
    return buckets;
}

/* All keys as ours, one behind the other. */
static bool
decode(const struct tk_key_codec *codec, const upb_StringView *keys,
       size_t count, struct tk_buf *out, size_t *ends)
{
    struct tk_buf other;
    bool is_good = true;
    size_t i;

    tk_buf_init(&other, KEY_MAX);
    for (i = 0; i < count && is_good; i++) {
        tikv_slice key = { (const uint8_t *)keys[i].data, keys[i].size };
        tikv_slice none = { NULL, 0 };

        /* The last one is an end. */
        is_good = i + 1 < count
                      ? tk_codec_region_range(codec, key, none, out, &other)
                      : tk_codec_region_range(codec, none, key, &other, out);
        ends[i] = out->len;
        is_good = is_good && !out->failed && !other.failed;
    }
    tk_buf_fini(&other);
    return is_good;
}

bool
tk_buckets_new(const struct tk_key_codec *codec, uint64_t version,
               const upb_StringView *keys, size_t count,
               struct tk_buckets **out)
{
    struct tk_buf bytes;
    size_t *ends;
    bool has_memory = true;

    *out = NULL;
    if (count < 2 || count > KEYS_MAX) {
        return true;
    }
    ends = tk_alloc(count * sizeof(*ends));
    if (ends == NULL) {
        return false;
    }
    tk_buf_init(&bytes, (size_t)KEY_MAX * 16);
    if (decode(codec, keys, count, &bytes, ends)) {
        *out = new_block(version, tk_buf_slice(&bytes), ends, count);
        has_memory = *out != NULL;
    }
    tk_buf_fini(&bytes);
    tk_free(ends);
    return has_memory;
}

struct tk_buckets *
tk_buckets_copy(const struct tk_buckets *buckets)
{
    struct tk_buckets *copy;
    size_t *ends;
    size_t len = 0;
    size_t i;

    if (buckets == NULL) {
        return NULL;
    }
    ends = tk_alloc(buckets->count * sizeof(*ends));
    if (ends == NULL) {
        return NULL;
    }
    for (i = 0; i < buckets->count; i++) {
        len += buckets->keys[i].len;
        ends[i] = len;
    }
    copy = new_block(buckets->version,
                     (tikv_slice){ buckets->keys[0].data, len }, ends,
                     buckets->count);
    tk_free(ends);
    return copy;
}

void
tk_buckets_free(struct tk_buckets *buckets)
{
    tk_free(buckets);
}

static void
free_retired(struct tk_retired *block)
{
    tk_buckets_free((struct tk_buckets *)(void *)block);
}

void
tk_buckets_retire(struct tk_runtime *rt, struct tk_buckets *buckets)
{
    if (buckets != NULL) {
        tk_epoch_retire(rt, &buckets->retired, free_retired);
    }
}

tikv_range
tk_bucket_clamp(tikv_range bucket, tikv_range region)
{
    tikv_range out = bucket;

    if (tk_slice_compare(out.start, region.start) < 0) {
        out.start = region.start;
    }
    if (out.end.len == 0 ||
        (region.end.len != 0 && tk_slice_compare(region.end, out.end) < 0)) {
        out.end = region.end;
    }
    return reaches(out.end, out.start) ? out : region;
}

bool
tk_bucket_find(const struct tk_buckets *buckets, tikv_range region,
               tikv_slice key, tikv_range *out)
{
    size_t low = 0;
    size_t high;

    if (tk_slice_compare(key, region.start) < 0 || !reaches(region.end, key)) {
        return false;
    }
    *out = region;
    if (buckets == NULL) {
        return true;
    }
    /* How many keys are not beyond it; an empty last one is. */
    high = buckets->count;
    high -= buckets->keys[high - 1].len == 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (tk_slice_compare(buckets->keys[middle], key) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low > 0) {
        out->start = buckets->keys[low - 1];
    }
    if (low < buckets->count) {
        out->end = buckets->keys[low];
    }
    *out = tk_bucket_clamp(*out, region);
    return true;
}

bool
tk_buckets_tell(const struct tk_buckets *buckets, tikv_range region,
                tikv_regions *out)
{
    tikv_slice key = region.start;
    tikv_range bucket;

    /* Whatever the edges: each begins where the one before it ends. */
    while (buckets != NULL && tk_bucket_find(buckets, region, key, &bucket) &&
           !tk_slice_equal(bucket.end, region.end)) {
        if (!tk_regions_add_cut(out, bucket.end)) {
            return false;
        }
        key = bucket.end;
    }
    return true;
}
