/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The B+-tree of map.h. Leaves and inner nodes have the same array of keys:
 * an inner node's are short copies that separate its children. Full nodes
 * are split on the way down, so that running out of memory leaves a sound
 * tree. Nodes are given up when they become empty and not merged before:
 * data sets of tests grow, shrink to nothing, and rarely anything between.
 */
#include "cluster/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"

enum { FANOUT = 64, HEIGHT_MAX = 24 };

struct tk_cl_map_node {
    bool is_leaf;
    uint32_t count; /* of items; an inner node has one child more */
    size_t skip;    /* bytes that all keys of the node begin with */
    uint64_t heads[FANOUT];
    struct tk_cl_map_item *items[FANOUT];
};

struct leaf {
    struct tk_cl_map_node node;
    struct leaf *prev;
    struct leaf *next;
};

/* Child i holds the keys from items[i - 1] up to items[i]. */
struct inner {
    struct tk_cl_map_node node;
    struct tk_cl_map_node *children[FANOUT + 1];
};

static struct leaf *
leaf_of(struct tk_cl_map_node *node)
{
    return (struct leaf *)node;
}

static struct inner *
inner_of(struct tk_cl_map_node *node)
{
    return (struct inner *)node;
}

static size_t
common_prefix(tikv_slice a, tikv_slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    size_t i = 0;

    while (i < shorter && a.data[i] == b.data[i]) {
        i++;
    }
    return i;
}

/* What the first and the last key share, all between them share too. */
static void
make_heads(struct tk_cl_map_node *node)
{
    uint32_t i;

    node->skip = node->count < 2
                     ? 0
                     : common_prefix(node->items[0]->key,
                                     node->items[node->count - 1]->key);
    for (i = 0; i < node->count; i++) {
        node->heads[i] = tk_slice_head(node->items[i]->key, node->skip);
    }
}

/* The first place whose key is not before `key`. */
static uint32_t
find_place(const struct tk_cl_map_node *node, tikv_slice key, bool *equal)
{
    uint32_t low = 0;
    uint32_t high = node->count;
    uint64_t head;

    *equal = false;
    if (node->count == 0) {
        return 0;
    }
    if (node->skip > 0) {
        tikv_slice prefix = { node->items[0]->key.data, node->skip };
        tikv_slice start = { key.data,
                             key.len < node->skip ? key.len : node->skip };
        int order = tk_slice_compare(start, prefix);

        if (order != 0) {
            return order < 0 ? 0 : node->count;
        }
    }
    head = tk_slice_head(key, node->skip);
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int order = 0;

        if (node->heads[middle] != head) {
            order = node->heads[middle] < head ? -1 : 1;
        } else {
            order = tk_slice_compare(node->items[middle]->key, key);
        }
        if (order == 0) {
            *equal = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static uint32_t
find_child(const struct tk_cl_map_node *node, tikv_slice key)
{
    bool equal = false;
    uint32_t place = find_place(node, key, &equal);

    return equal ? place + 1 : place;
}

static struct tk_cl_map_node *
node_new(bool is_leaf)
{
    struct tk_cl_map_node *node =
        tk_calloc(is_leaf ? sizeof(struct leaf) : sizeof(struct inner));

    if (node != NULL) {
        node->is_leaf = is_leaf;
    }
    return node;
}

/* A key of its own: the shortest that lies behind `left` and not behind
 * `right`. */
static struct tk_cl_map_item *
separator_new(tikv_slice left, tikv_slice right)
{
    size_t len = common_prefix(left, right) + 1;
    struct tk_cl_map_item *item = tk_alloc(sizeof(*item) + len);
    uint8_t *bytes;

    if (item == NULL) {
        return NULL;
    }
    bytes = (uint8_t *)(item + 1);
    memcpy(bytes, right.data, len);
    item->key = tk_slice(bytes, len);
    return item;
}

static void
insert_item(struct tk_cl_map_node *node, uint32_t place,
            struct tk_cl_map_item *item)
{
    uint32_t after = node->count - place;

    memmove(&node->items[place + 1], &node->items[place],
            after * sizeof(node->items[0]));
    memmove(&node->heads[place + 1], &node->heads[place],
            after * sizeof(node->heads[0]));
    node->items[place] = item;
    node->count++;
    if (place == 0 || after == 0) {
        size_t skip = common_prefix(node->items[0]->key,
                                    node->items[node->count - 1]->key);

        if (node->count <= 2 || skip != node->skip) {
            make_heads(node);
            return;
        }
    }
    node->heads[place] = tk_slice_head(item->key, node->skip);
}

static void
take_item(struct tk_cl_map_node *node, uint32_t place)
{
    uint32_t after = node->count - place - 1;

    memmove(&node->items[place], &node->items[place + 1],
            after * sizeof(node->items[0]));
    memmove(&node->heads[place], &node->heads[place + 1],
            after * sizeof(node->heads[0]));
    node->count--;
}

static void
move_upper(struct tk_cl_map_node *from, struct tk_cl_map_node *to,
           uint32_t first)
{
    to->count = from->count - first;
    memcpy(to->items, &from->items[first], to->count * sizeof(to->items[0]));
    if (!from->is_leaf) {
        memcpy(inner_of(to)->children, &inner_of(from)->children[first],
               (to->count + 1) * sizeof(struct tk_cl_map_node *));
    }
}

/* Splits a full child; the parent has room. False without memory. */
static bool
split_child(struct inner *parent, uint32_t place)
{
    struct tk_cl_map_node *left = parent->children[place];
    struct tk_cl_map_node *right = node_new(left->is_leaf);
    struct tk_cl_map_item *separator;
    uint32_t half = left->count / 2;

    if (right == NULL) {
        return false;
    }
    if (left->is_leaf) {
        struct leaf *after = leaf_of(left)->next;

        separator =
            separator_new(left->items[half - 1]->key, left->items[half]->key);
        if (separator == NULL) {
            tk_free(right);
            return false;
        }
        move_upper(left, right, half);
        leaf_of(right)->prev = leaf_of(left);
        leaf_of(right)->next = after;
        leaf_of(left)->next = leaf_of(right);
        if (after != NULL) {
            after->prev = leaf_of(right);
        }
    } else {
        separator = left->items[half];
        move_upper(left, right, half + 1);
    }
    left->count = half;
    make_heads(left);
    make_heads(right);
    memmove(&parent->children[place + 2], &parent->children[place + 1],
            (parent->node.count - place) * sizeof(parent->children[0]));
    parent->children[place + 1] = right;
    insert_item(&parent->node, place, separator);
    return true;
}

void
tk_cl_map_init(struct tk_cl_map *map)
{
    map->root = NULL;
    map->count = 0;
}

static void
drop_node(struct tk_cl_map_node *node, void (*drop)(struct tk_cl_map_item *))
{
    uint32_t i;

    if (node->is_leaf) {
        for (i = 0; i < node->count && drop != NULL; i++) {
            drop(node->items[i]);
        }
    } else {
        for (i = 0; i <= node->count; i++) {
            drop_node(inner_of(node)->children[i], drop);
        }
        for (i = 0; i < node->count; i++) {
            tk_free(node->items[i]);
        }
    }
    tk_free(node);
}

void
tk_cl_map_fini(struct tk_cl_map *map, void (*drop)(struct tk_cl_map_item *))
{
    if (map->root != NULL) {
        drop_node(map->root, drop);
    }
    tk_cl_map_init(map);
}

static struct tk_cl_map_node *
leaf_for(const struct tk_cl_map *map, tikv_slice key)
{
    struct tk_cl_map_node *node = map->root;

    while (node != NULL && !node->is_leaf) {
        node = inner_of(node)->children[find_child(node, key)];
    }
    return node;
}

struct tk_cl_map_item *
tk_cl_map_find(const struct tk_cl_map *map, tikv_slice key)
{
    struct tk_cl_map_node *node = leaf_for(map, key);
    bool equal = false;
    uint32_t place;

    if (node == NULL) {
        return NULL;
    }
    place = find_place(node, key, &equal);
    return equal ? node->items[place] : NULL;
}

/* The root has room afterwards. */
static bool
grow_root(struct tk_cl_map *map)
{
    struct tk_cl_map_node *root = map->root;

    if (root == NULL) {
        map->root = node_new(true);
        return map->root != NULL;
    }
    if (root->count < FANOUT) {
        return true;
    }
    root = node_new(false);
    if (root == NULL) {
        return false;
    }
    inner_of(root)->children[0] = map->root;
    if (!split_child(inner_of(root), 0)) {
        tk_free(root);
        return false;
    }
    map->root = root;
    return true;
}

bool
tk_cl_map_add(struct tk_cl_map *map, struct tk_cl_map_item *item)
{
    struct tk_cl_map_node *node;
    bool equal = false;

    if (!grow_root(map)) {
        return false;
    }
    node = map->root;
    while (!node->is_leaf) {
        struct inner *inner = inner_of(node);
        uint32_t place = find_child(node, item->key);

        if (inner->children[place]->count == FANOUT) {
            if (!split_child(inner, place)) {
                return false;
            }
            place = find_child(node, item->key);
        }
        node = inner->children[place];
    }
    insert_item(node, find_place(node, item->key, &equal), item);
    map->count++;
    return true;
}

struct tk_cl_map_item *
tk_cl_map_swap(struct tk_cl_map *map, struct tk_cl_map_item *item)
{
    struct tk_cl_map_node *node = leaf_for(map, item->key);
    struct tk_cl_map_item *old = NULL;
    bool equal = false;
    uint32_t place = node == NULL ? 0 : find_place(node, item->key, &equal);

    if (equal) {
        old = node->items[place];
        node->items[place] = item;
    }
    return old;
}

static void
unlink_leaf(struct leaf *leaf)
{
    if (leaf->prev != NULL) {
        leaf->prev->next = leaf->next;
    }
    if (leaf->next != NULL) {
        leaf->next->prev = leaf->prev;
    }
}

/* Takes an emptied child out of its parent, and so upwards. */
static void
prune(struct tk_cl_map *map, struct inner **path, const uint32_t *places,
      size_t depth, struct tk_cl_map_node *empty)
{
    while (depth > 0) {
        struct inner *parent = path[depth - 1];
        uint32_t place = places[depth - 1];
        uint32_t gone = place > 0 ? place - 1 : 0;

        tk_free(empty);
        if (parent->node.count == 0) {
            empty = &parent->node;
            depth--;
            continue;
        }
        tk_free(parent->node.items[gone]);
        take_item(&parent->node, gone);
        memmove(&parent->children[place], &parent->children[place + 1],
                (parent->node.count + 1 - place) * sizeof(parent->children[0]));
        return;
    }
    tk_free(empty);
    map->root = NULL;
}

/* A root with one child is no use. */
static void
shrink_root(struct tk_cl_map *map)
{
    while (map->root != NULL && !map->root->is_leaf && map->root->count == 0) {
        struct tk_cl_map_node *child = inner_of(map->root)->children[0];

        tk_free(map->root);
        map->root = child;
    }
}

struct tk_cl_map_item *
tk_cl_map_remove(struct tk_cl_map *map, tikv_slice key)
{
    struct inner *path[HEIGHT_MAX];
    uint32_t places[HEIGHT_MAX];
    size_t depth = 0;
    struct tk_cl_map_node *node = map->root;
    struct tk_cl_map_item *item;
    bool equal = false;
    uint32_t place;

    if (node == NULL) {
        return NULL;
    }
    while (!node->is_leaf) {
        path[depth] = inner_of(node);
        places[depth] = find_child(node, key);
        node = path[depth]->children[places[depth]];
        depth++;
    }
    place = find_place(node, key, &equal);
    if (!equal) {
        return NULL;
    }
    item = node->items[place];
    take_item(node, place);
    map->count--;
    if (node->count == 0) {
        unlink_leaf(leaf_of(node));
        prune(map, path, places, depth, node);
        shrink_root(map);
    }
    return item;
}

static struct tk_cl_map_at
place_at(struct tk_cl_map_node *leaf, uint32_t index)
{
    struct tk_cl_map_at at = { leaf, index, NULL };

    if (leaf != NULL && index < leaf->count) {
        at.item = leaf->items[index];
    }
    return at;
}

struct tk_cl_map_at
tk_cl_map_from(const struct tk_cl_map *map, tikv_slice key)
{
    struct tk_cl_map_node *node = leaf_for(map, key);
    bool equal = false;
    uint32_t place;

    if (node == NULL) {
        return place_at(NULL, 0);
    }
    place = find_place(node, key, &equal);
    if (place == node->count) {
        struct leaf *next = leaf_of(node)->next;

        return place_at(next == NULL ? NULL : &next->node, 0);
    }
    return place_at(node, place);
}

struct tk_cl_map_at
tk_cl_map_before(const struct tk_cl_map *map, tikv_slice key)
{
    struct tk_cl_map_node *node = leaf_for(map, key);
    struct tk_cl_map_at at;
    bool equal = false;

    if (node == NULL) {
        return place_at(NULL, 0);
    }
    at.leaf = node;
    at.index = find_place(node, key, &equal);
    at.item = NULL;
    tk_cl_map_prev(&at);
    return at;
}

void
tk_cl_map_next(struct tk_cl_map_at *at)
{
    if (at->index + 1 < at->leaf->count) {
        at->index++;
        at->item = at->leaf->items[at->index];
    } else {
        struct leaf *next = leaf_of(at->leaf)->next;

        *at = place_at(next == NULL ? NULL : &next->node, 0);
    }
}

void
tk_cl_map_prev(struct tk_cl_map_at *at)
{
    if (at->index > 0) {
        at->index--;
        at->item = at->leaf->items[at->index];
    } else {
        struct leaf *prev = leaf_of(at->leaf)->prev;

        *at = prev == NULL ? place_at(NULL, 0)
                           : place_at(&prev->node, prev->node.count - 1);
    }
}
