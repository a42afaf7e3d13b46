/* SPDX-License-Identifier: Apache-2.0 */
/* Chains by hash, one block for each entry. Lock: its owner's. */
#include "txn/read_cache.h"

#include <string.h>

#include "base/alloc.h"
#include "base/fingerprint.h"
#include "base/slice.h"

/* Chains at the beginning; they double when there are as many entries. */
#define CHAINS_MIN 16

void
tk_read_cache_init(struct tk_read_cache *cache, size_t bytes_max)
{
    memset(cache, 0, sizeof(*cache));
    cache->bytes_max = bytes_max;
}

void
tk_read_cache_fini(struct tk_read_cache *cache)
{
    size_t i;

    for (i = 0; i < cache->chains_count; i++) {
        while (cache->chains[i] != NULL) {
            struct tk_read_entry *entry = cache->chains[i];

            cache->chains[i] = entry->next;
            tk_free(entry);
        }
    }
    tk_free(cache->chains);
    tk_read_cache_init(cache, cache->bytes_max);
}

static struct tk_read_entry *
find(const struct tk_read_cache *cache, tikv_slice key, uint64_t hash)
{
    struct tk_read_entry *entry = NULL;

    if (cache->chains_count != 0) {
        entry = cache->chains[hash & (cache->chains_count - 1)];
    }
    while (entry != NULL &&
           (entry->hash != hash ||
            !tk_slice_equal(tk_slice(entry->bytes, entry->key_len), key))) {
        entry = entry->next;
    }
    return entry;
}

const struct tk_read_entry *
tk_read_cache_find(const struct tk_read_cache *cache, tikv_slice key,
                   bool with_commit_ts)
{
    const struct tk_read_entry *entry;

    if (cache->count == 0) {
        return NULL;
    }
    entry = find(cache, key, tk_fingerprint64(key));
    return entry != NULL && with_commit_ts && entry->exists &&
                   !entry->has_commit_ts
               ? NULL
               : entry;
}

/* False without memory, where there is no chain at all yet. */
static bool
grow(struct tk_read_cache *cache)
{
    size_t wanted =
        cache->chains_count == 0 ? CHAINS_MIN : cache->chains_count * 2;
    struct tk_read_entry **chains;
    size_t i;

    if (cache->count < cache->chains_count) {
        return true;
    }
    chains = tk_calloc(wanted * sizeof(struct tk_read_entry *));
    if (chains == NULL) {
        return cache->chains_count != 0;
    }
    for (i = 0; i < cache->chains_count; i++) {
        while (cache->chains[i] != NULL) {
            struct tk_read_entry *entry = cache->chains[i];
            struct tk_read_entry **chain = &chains[entry->hash & (wanted - 1)];

            cache->chains[i] = entry->next;
            entry->next = *chain;
            *chain = entry;
        }
    }
    tk_free(cache->chains);
    cache->chains = chains;
    cache->chains_count = wanted;
    return true;
}

void
tk_read_cache_add(struct tk_read_cache *cache, tikv_slice key, tikv_slice value,
                  bool has_commit_ts, uint64_t commit_ts)
{
    uint64_t hash = tk_fingerprint64(key);
    struct tk_read_entry *entry = find(cache, key, hash);
    size_t size = sizeof(*entry) + key.len + value.len;

    if (entry != NULL) {
        if (has_commit_ts) {
            entry->has_commit_ts = true;
            entry->commit_ts = commit_ts;
        }
        return;
    }
    if (size > cache->bytes_max - cache->bytes || !grow(cache)) {
        return;
    }
    entry = tk_alloc(size);
    if (entry == NULL) {
        return;
    }
    *entry = (struct tk_read_entry){
        .next = cache->chains[hash & (cache->chains_count - 1)],
        .hash = hash,
        .commit_ts = commit_ts,
        .key_len = key.len,
        .value_len = value.len,
        .exists = value.data != NULL,
        .has_commit_ts = has_commit_ts,
    };
    if (key.len != 0) {
        memcpy(entry->bytes, key.data, key.len);
    }
    if (value.len != 0) {
        memcpy(entry->bytes + key.len, value.data, value.len);
    }
    cache->chains[hash & (cache->chains_count - 1)] = entry;
    cache->count++;
    cache->bytes += size;
}
