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

enum { TK_MAP_FANOUT = 64, TK_MAP_DEPTH_MAX = 16, TK_MAP_NEAR = 24 };

struct tk_map_node {
    uint16_t count;
    uint16_t is_leaf;
    uint32_t prefix_len;
    const uint8_t *prefix; /* `near`, or bytes of a key of an entry */
    struct tk_retired retired; /* its next chains the dead, until retired */
    uint8_t near[TK_MAP_NEAR]; /* so that a step down stays in the node */
    uint64_t heads[];
    /* Behind the heads: mins, and children where it is no leaf. */
};

/* Leaf: the entries; else the least entry of each child. */
static inline struct tk_map_entry **
tk_map_node_mins(const struct tk_map_node *node)
{
    return (struct tk_map_entry **)(void *)(uintptr_t)(node->heads +
                                                       node->count);
}

static inline struct tk_map_node **
tk_map_node_children(const struct tk_map_node *node)
{
    return (struct tk_map_node **)(void *)(uintptr_t)(node->heads +
                                                      2 * node->count);
}

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
