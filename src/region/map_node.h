/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of the map, as large as its entries need, never changed once its
 * maker let go of it. In an inner node the least key of its first child is
 * not compared: the way down decided already that the key is not below it,
 * and the region that begins at the empty key would else leave the leftmost
 * nodes without a common prefix.
 */
#ifndef TK_REGION_MAP_NODE_H
#define TK_REGION_MAP_NODE_H

#include "region/map.h"

enum { TK_MAP_FANOUT = 64, TK_MAP_DEPTH_MAX = 16 };

struct tk_map_node {
    uint16_t count;
    uint16_t is_leaf;
    uint32_t prefix_len;
    const uint8_t *prefix;    /* bytes of a key of an entry */
    uint64_t *heads;          /* eight bytes after the prefix, per entry */
    struct tk_map_entry **mins; /* leaf: the entries; else least of child */
    struct tk_map_node **children; /* NULL in a leaf */
    struct tk_map_node *next_dead; /* the writer's */
    struct tk_retired retired;
};

/* Room for `count` entries; the maker fills mins (and children), then calls
 * tk_map_node_seal(). NULL without memory. */
struct tk_map_node *
tk_map_node_new(size_t count, bool is_leaf);

void
tk_map_node_seal(struct tk_map_node *node);

/* Entries whose key is at or below `key`; with `strict` below it. In an inner
 * node at least 1. */
size_t
tk_map_node_rank(const struct tk_map_node *node, tikv_slice key, bool strict);

#endif
