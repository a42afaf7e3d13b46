/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot has read: key to value, or to the knowledge that there is
 * none. The data of a snapshot never changes, so nothing is ever taken out;
 * when the memory it was given is used up, nothing more goes in.
 *
 * No lock of its own: the snapshot's.
 */
#ifndef TK_TXN_READ_CACHE_H
#define TK_TXN_READ_CACHE_H

#include <tikv/base.h>

struct tk_read_entry {
    struct tk_read_entry *next;
    uint64_t hash;
    uint64_t commit_ts; /* when has_commit_ts */
    size_t key_len;
    size_t value_len;
    bool exists;
    bool has_commit_ts; /* or it was not asked for */
    uint8_t bytes[];    /* key, then value */
};

struct tk_read_cache {
    struct tk_read_entry **chains;
    size_t chains_count; /* a power of two, or 0 */
    size_t count;
    size_t bytes;
    size_t bytes_max;
};

void
tk_read_cache_init(struct tk_read_cache *cache, size_t bytes_max);

void
tk_read_cache_fini(struct tk_read_cache *cache);

/* NULL: not read yet, or, when its commit ts is wanted, read without. */
const struct tk_read_entry *
tk_read_cache_find(const struct tk_read_cache *cache, tikv_slice key,
                   bool with_commit_ts);

/* An absent value says that there is none. What is known already gets its
 * commit ts. Does nothing when it is full, or without memory. */
void
tk_read_cache_add(struct tk_read_cache *cache, tikv_slice key, tikv_slice value,
                  bool has_commit_ts, uint64_t commit_ts);

static inline tikv_slice
tk_read_value(const struct tk_read_entry *entry)
{
    tikv_slice value = { NULL, 0 };

    if (entry->exists) {
        value.data = entry->bytes + entry->key_len;
        value.len = entry->value_len;
    }
    return value;
}

#endif
