/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fates of transactions, once decided: they never change, so the cache needs
 * no invalidation, only a bound. First in, first out (LR-3).
 *
 * No lock of its own: the resolver's.
 */
#ifndef TK_TXN_STATUS_CACHE_H
#define TK_TXN_STATUS_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TK_STATUS_CACHE_MAX 2048

struct tk_status_entry {
    uint64_t start_ts;
    uint64_t commit_ts; /* 0: rolled back */
    uint16_t next;      /* of its chain, plus one */
};

struct tk_status_cache {
    struct tk_status_entry *entries; /* a ring of TK_STATUS_CACHE_MAX */
    uint16_t *heads;                 /* of as many chains, plus one */
    size_t count;
    size_t oldest;
};

/* False without memory. */
bool
tk_status_cache_init(struct tk_status_cache *cache);

void
tk_status_cache_fini(struct tk_status_cache *cache);

/* False: not known. */
bool
tk_status_cache_find(const struct tk_status_cache *cache, uint64_t start_ts,
                     uint64_t *commit_ts);

/* False: the opposite is known already. It is kept; whoever brought this has
 * read something that cannot be. */
bool
tk_status_cache_save(struct tk_status_cache *cache, uint64_t start_ts,
                     uint64_t commit_ts);

#endif
