/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ordered map from bytes to items, for everything the cluster keeps by
 * key. A B+-tree whose nodes hold, beside each key, eight bytes of it after
 * the prefix that all keys of the node share: most comparisons are of two
 * numbers. Items are the owner's: the map keeps pointers and never frees
 * them. One owner at a time (the cluster's lock).
 */
#ifndef TK_CLUSTER_MAP_H
#define TK_CLUSTER_MAP_H

#include <stdbool.h>

#include <tikv/base.h>

/* The first member of what is kept. The key does not change while the item
 * is in a map. */
struct tk_cl_map_item {
    tikv_slice key;
};

struct tk_cl_map_node;

struct tk_cl_map {
    struct tk_cl_map_node *root; /* NULL: empty */
    size_t count;
};

/* A place between two changes of the map; `item` NULL is the end. */
struct tk_cl_map_at {
    struct tk_cl_map_node *leaf;
    uint32_t index;
    struct tk_cl_map_item *item;
};

void
tk_cl_map_init(struct tk_cl_map *map);

/* Gives every item to `drop`, which may be NULL, in the order of keys. */
void
tk_cl_map_fini(struct tk_cl_map *map, void (*drop)(struct tk_cl_map_item *));

struct tk_cl_map_item *
tk_cl_map_find(const struct tk_cl_map *map, tikv_slice key);

/* A key that is not there yet. False without memory: nothing changed. */
bool
tk_cl_map_add(struct tk_cl_map *map, struct tk_cl_map_item *item);

/* Puts `item` in the place of the item with an equal key, which must be
 * there and is returned. */
struct tk_cl_map_item *
tk_cl_map_swap(struct tk_cl_map *map, struct tk_cl_map_item *item);

/* Takes the item out; NULL when there is none. */
struct tk_cl_map_item *
tk_cl_map_remove(struct tk_cl_map *map, tikv_slice key);

/* The first item whose key is `key` or later. */
struct tk_cl_map_at
tk_cl_map_from(const struct tk_cl_map *map, tikv_slice key);

/* The last item whose key is before `key`. */
struct tk_cl_map_at
tk_cl_map_before(const struct tk_cl_map *map, tikv_slice key);

void
tk_cl_map_next(struct tk_cl_map_at *at);

void
tk_cl_map_prev(struct tk_cl_map_at *at);

#endif
