/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of a buffer's entries: a B+-tree whose nodes keep, per entry, the
 * eight bytes after what all keys of the node have in common. A step down
 * compares numbers and looks at a whole key only where those tie.
 *
 * An inner node keeps the least key of each child but the first, and no key
 * below it is smaller; that entry is in the tree. Leaves are chained. A node
 * that becomes empty is freed, others are not merged: entries go only when a
 * stage is taken back.
 *
 * No locks: part of the buffer.
 */
#ifndef TK_TXN_BUFFER_TREE_H
#define TK_TXN_BUFFER_TREE_H

#include "txn/buffer_log.h"

enum {
    TK_LEAF_FANOUT = 60, /* either kind of node is 1 KiB */
    TK_INNER_FANOUT = 40,
    TK_TREE_DEPTH_MAX = 24,
    TK_NODE_NEAR = 24
};

/* What both kinds of nodes begin with. */
struct tk_node {
    uint16_t count;
    bool is_leaf;
    uint32_t prefix_len;
    const uint8_t *prefix; /* `near`, or of a key in the node */
    uint8_t near[TK_NODE_NEAR];
};

struct tk_leaf {
    struct tk_node node;
    struct tk_leaf *next;
    struct tk_leaf *previous;
    uint64_t heads[TK_LEAF_FANOUT];
    struct tk_entry *entries[TK_LEAF_FANOUT];
};

/* heads and mins of the first child are not used. */
struct tk_inner {
    struct tk_node node;
    uint64_t heads[TK_INNER_FANOUT];
    struct tk_entry *mins[TK_INNER_FANOUT];
    struct tk_node *children[TK_INNER_FANOUT];
};

struct tk_tree {
    struct tk_node *root;
    size_t count;
    size_t bytes; /* of the nodes */
};

void
tk_tree_fini(struct tk_tree *tree);

struct tk_entry *
tk_tree_find(const struct tk_tree *tree, tikv_slice key);

/* The place of the first entry at or after `key`; false (and no leaf) when
 * there is none. */
bool
tk_tree_seek(const struct tk_tree *tree, tikv_slice key,
             struct tk_leaf **leaf, size_t *at);

/* The place of the last entry before `key`, of all for an absent key. */
bool
tk_tree_seek_below(const struct tk_tree *tree, tikv_slice key,
                   struct tk_leaf **leaf, size_t *at);

/* Puts in an entry whose key is not there. False without memory. */
bool
tk_tree_insert(struct tk_tree *tree, struct tk_entry *entry);

/* Takes out an entry that is there. */
void
tk_tree_remove(struct tk_tree *tree, struct tk_entry *entry);

/* For tests: the invariants of all nodes. */
bool
tk_tree_is_sound(const struct tk_tree *tree);

#endif
