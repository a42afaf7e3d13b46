/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node of the map, never changed once it was made. In an inner node the
 * least key of its first child is not compared: the way down decided already
 * that the key is not below it, and the region that begins at the empty key
 * would else leave the leftmost nodes without a common prefix.
 *
 * A step down compares numbers without a branch, one of each cache line and
 * then one line's: a guess that goes wrong costs more than comparing a few
 * too many. All it touches has a fixed place, so that a leaf can be fetched
 * in one go, before its first line is there.
 */
#ifndef TK_REGION_MAP_NODE_H
#define TK_REGION_MAP_NODE_H

#include "region/map.h"

enum { TK_MAP_FANOUT = 32, TK_MAP_DEPTH_MAX = 20, TK_MAP_NEAR = 40 };

struct tk_map_node {
    uint16_t count;
    uint16_t height; /* 0: a leaf */
    uint32_t prefix_len;
    const uint8_t *prefix;     /* `near`, or bytes of a key of an entry */
    const uint64_t *tails;     /* NULL: no two heads are the same */
    uint8_t near[TK_MAP_NEAR]; /* so that a step down stays in the node */
    /* The eight bytes after the prefix; UINT64_MAX behind the last. */
    uint64_t heads[TK_MAP_FANOUT];
    /* Leaf: the entries; else the least entry of each child. */
    struct tk_map_entry *mins[TK_MAP_FANOUT];
    struct tk_retired retired; /* its next chains the dead, until retired */
    /* An inner node's children; then, where heads tie, the tails: the eight
     * bytes after each head. */
    uint64_t words[];
};

static inline struct tk_map_node **
tk_map_node_children(const struct tk_map_node *node)
{
    return (struct tk_map_node **)(void *)(uintptr_t)node->words;
}

/* A leaf of so many entries, or, with children, the node above them. NULL
 * without memory. */
struct tk_map_node *
tk_map_node_new(struct tk_map_entry *const *mins,
                struct tk_map_node *const *children, size_t count);

/* Entries whose key is at or below `key`; with `strict` below it. In an inner
 * node at least 1. */
size_t
tk_map_node_rank(const struct tk_map_node *node, tikv_slice key, bool strict);

/* The entry with the greatest key at or below `key`, with `strict` below it,
 * of the tree under `node` (may be NULL). */
struct tk_map_entry *
tk_map_node_floor(const struct tk_map_node *node, tikv_slice key, bool strict);

#endif
