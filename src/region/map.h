/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered map that readers walk without a lock: a B+-tree that is never
 * changed in place. A writer copies the path from the root to the leaf it
 * changes and publishes the new root; the old path is retired to the epoch.
 *
 * Each node keeps, per entry, the eight bytes that follow what all its keys
 * have in common, and the next eight where those tie, so that a step down
 * compares numbers that lie side by side and looks at a whole key only where
 * sixteen bytes do not decide.
 *
 * Readers: inside an epoch section. Writers: one at a time, the owner's lock.
 * Entries belong to the owner, who retires them after publishing.
 */
#ifndef TK_REGION_MAP_H
#define TK_REGION_MAP_H

#include "base/slice.h"
#include "exec/epoch.h"

/* First member of what is kept; the key lives as long as the entry. */
struct tk_map_entry {
    tikv_slice key;
};

struct tk_map_node;

struct tk_map {
    _Atomic(struct tk_map_node *) root; /* what readers see; release */
    struct tk_runtime *rt;
    /* The writer's. */
    struct tk_map_node *draft;
    struct tk_map_node *dead; /* to retire once the draft is published */
    size_t count;
};

void
tk_map_init(struct tk_map *map, struct tk_runtime *rt);

/* No reader left. Entries are the owner's. */
void
tk_map_fini(struct tk_map *map);

/* ---- readers ---- */

/* The entry with the greatest key at or below `key`, or NULL. */
struct tk_map_entry *
tk_map_floor(const struct tk_map *map, tikv_slice key);

/* The entry with the greatest key below `key`; of all for an absent key. */
struct tk_map_entry *
tk_map_below(const struct tk_map *map, tikv_slice key);

/* ---- the writer; it sees its own draft ---- */

/* Puts an entry in; *replaced (may be NULL) is the one that had the same key.
 * False without memory: nothing changed. */
bool
tk_map_put(struct tk_map *map, struct tk_map_entry *entry,
           struct tk_map_entry **replaced);

/* Takes the entry with that key out. *removed is NULL when there was none.
 * False without memory: nothing changed. */
bool
tk_map_remove(struct tk_map *map, tikv_slice key,
              struct tk_map_entry **removed);

/* The entry with the smallest key above `key`; at or above with `or_equal`.
 * Of the draft. */
struct tk_map_entry *
tk_map_next(const struct tk_map *map, tikv_slice key, bool or_equal);

/* The entry with the greatest key below `key`, of the draft. */
struct tk_map_entry *
tk_map_previous(const struct tk_map *map, tikv_slice key);

/* Shows the draft to readers; afterwards what was taken out may be retired. */
void
tk_map_publish(struct tk_map *map);

#endif
