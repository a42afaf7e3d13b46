/* SPDX-License-Identifier: Apache-2.0 */
/* A ring in the order of arrival, chained by hash. The chains hold indices,
 * plus one, so that zeroed memory is empty. Lock: its owner's. */
#include "txn/status_cache.h"

#include <string.h>

#include "base/alloc.h"

_Static_assert((TK_STATUS_CACHE_MAX & (TK_STATUS_CACHE_MAX - 1)) == 0,
               "chains are chosen by a mask");

static size_t
chain_of(uint64_t start_ts)
{
    /* Timestamps differ in their low bits and in those from the 18th on. */
    return (size_t)((start_ts * UINT64_C(0x9e3779b97f4a7c15)) >> 40) &
           (TK_STATUS_CACHE_MAX - 1);
}

bool
tk_status_cache_init(struct tk_status_cache *cache)
{
    memset(cache, 0, sizeof(*cache));
    cache->entries = tk_calloc(TK_STATUS_CACHE_MAX * sizeof(*cache->entries));
    cache->heads = tk_calloc(TK_STATUS_CACHE_MAX * sizeof(*cache->heads));
    return cache->entries != NULL && cache->heads != NULL;
}

void
tk_status_cache_fini(struct tk_status_cache *cache)
{
    tk_free(cache->entries);
    tk_free(cache->heads);
}

static const struct tk_status_entry *
find(const struct tk_status_cache *cache, uint64_t start_ts)
{
    uint16_t at = cache->heads[chain_of(start_ts)];

    while (at != 0) {
        const struct tk_status_entry *entry = &cache->entries[at - 1];

        if (entry->start_ts == start_ts) {
            return entry;
        }
        at = entry->next;
    }
    return NULL;
}

bool
tk_status_cache_find(const struct tk_status_cache *cache, uint64_t start_ts,
                     uint64_t *commit_ts)
{
    const struct tk_status_entry *entry = find(cache, start_ts);

    if (entry == NULL) {
        return false;
    }
    *commit_ts = entry->commit_ts;
    return true;
}

static void
unchain(struct tk_status_cache *cache, size_t place)
{
    uint16_t *at = &cache->heads[chain_of(cache->entries[place].start_ts)];

    while (*at != place + 1) {
        at = &cache->entries[*at - 1].next;
    }
    *at = cache->entries[place].next;
}

bool
tk_status_cache_save(struct tk_status_cache *cache, uint64_t start_ts,
                     uint64_t commit_ts)
{
    const struct tk_status_entry *known = find(cache, start_ts);
    size_t place = cache->count;
    uint16_t *head;

    if (known != NULL) {
        return known->commit_ts == commit_ts;
    }
    if (cache->count == TK_STATUS_CACHE_MAX) {
        place = cache->oldest;
        cache->oldest = (cache->oldest + 1) % TK_STATUS_CACHE_MAX;
        unchain(cache, place);
    } else {
        cache->count++;
    }
    head = &cache->heads[chain_of(start_ts)];
    cache->entries[place] =
        (struct tk_status_entry){ start_ts, commit_ts, *head };
    *head = (uint16_t)(place + 1);
    return true;
}
