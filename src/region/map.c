/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking and copying paths. A change makes new nodes and notes the old ones
 * in an edit; only when all of it was made are the old ones marked dead, so
 * that running out of memory changes nothing.
 */
#include "region/map.h"

#include <string.h>

#include "base/alloc.h"
#include "region/map_node.h"

enum { EDIT_MAX = 4 * TK_MAP_DEPTH_MAX, SMALL = TK_MAP_FANOUT / 4 };

struct edit {
    struct tk_map_entry *entry; /* to put in; NULL: remove `key` */
    tikv_slice key;
    struct tk_map_entry *outcome; /* the one replaced or removed */
    size_t made_count;
    size_t old_count;
    struct tk_map_node *made[EDIT_MAX];
    struct tk_map_node *old[EDIT_MAX];
};

/* One or two nodes in place of one; count 0: the node became empty. */
struct pair {
    size_t count;
    struct tk_map_node *node[2];
};

void
tk_map_init(struct tk_map *map, struct tk_runtime *rt)
{
    memset(map, 0, sizeof(*map));
    map->rt = rt;
}

static void
free_tree(struct tk_map_node *node)
{
    size_t i;

    if (node != NULL) {
        for (i = 0; node->height != 0 && i < node->count; i++) {
            free_tree(tk_map_node_children(node)[i]);
        }
        tk_free(node);
    }
}

void
tk_map_fini(struct tk_map *map)
{
    tk_map_publish(map);
    free_tree(map->draft);
    map->draft = NULL;
    atomic_store_explicit(&map->root, NULL, memory_order_relaxed);
}

/* ---- readers ---- */

static struct tk_map_entry *
last_of_all(const struct tk_map_node *node)
{
    if (node == NULL) {
        return NULL;
    }
    while (node->height != 0) {
        node = tk_map_node_children(node)[node->count - 1];
    }
    return node->mins[node->count - 1];
}

struct tk_map_entry *
tk_map_floor(const struct tk_map *map, tikv_slice key)
{
    return tk_map_node_floor(
        atomic_load_explicit(&map->root, memory_order_acquire), key, false);
}

struct tk_map_entry *
tk_map_below(const struct tk_map *map, tikv_slice key)
{
    const struct tk_map_node *root =
        atomic_load_explicit(&map->root, memory_order_acquire);

    return key.data == NULL ? last_of_all(root)
                            : tk_map_node_floor(root, key, true);
}

/* ---- the writer ---- */

struct tk_map_entry *
tk_map_previous(const struct tk_map *map, tikv_slice key)
{
    return tk_map_node_floor(map->draft, key, true);
}

struct tk_map_entry *
tk_map_next(const struct tk_map *map, tikv_slice key, bool or_equal)
{
    const struct tk_map_node *node = map->draft;
    struct tk_map_entry *beyond = NULL; /* least key right of the way down */
    size_t rank;

    if (node == NULL) {
        return NULL;
    }
    while (node->height != 0) {
        rank = tk_map_node_rank(node, key, or_equal);
        if (rank < node->count) {
            beyond = node->mins[rank];
        }
        node = tk_map_node_children(node)[rank - 1];
    }
    rank = tk_map_node_rank(node, key, or_equal);
    return rank < node->count ? node->mins[rank] : beyond;
}

static void
outdate(struct edit *edit, struct tk_map_node *node)
{
    edit->old[edit->old_count++] = node;
}

/* The columns of a node that is being put together; one more than fits. */
struct columns {
    size_t count;
    bool grew_at_end;
    struct tk_map_entry *mins[2 * TK_MAP_FANOUT + 1];
    struct tk_map_node *children[2 * TK_MAP_FANOUT + 1];
};

static void
columns_init(struct columns *columns)
{
    columns->count = 0;
    columns->grew_at_end = false;
}

static void
add_column(struct columns *columns, struct tk_map_entry *min,
           struct tk_map_node *child)
{
    columns->mins[columns->count] = min;
    columns->children[columns->count] = child;
    columns->count++;
}

static void
add_node(struct columns *columns, const struct tk_map_node *node)
{
    size_t i;

    for (i = 0; i < node->count; i++) {
        add_column(columns, node->mins[i],
                   node->height == 0 ? NULL : tk_map_node_children(node)[i]);
    }
}

/* One node of the columns, or two when they are too many. Two of the same
 * size, unless the last column is new: keys that come in ascending order leave
 * full nodes behind. */
static bool
build(struct edit *edit, const struct columns *columns, bool is_leaf,
      struct pair *out)
{
    size_t cut = columns->count <= TK_MAP_FANOUT ? columns->count
                 : columns->grew_at_end          ? TK_MAP_FANOUT
                                                 : columns->count / 2;
    size_t at = 0;

    out->count = 0;
    while (at < columns->count) {
        size_t count = at == 0 ? cut : columns->count - cut;
        struct tk_map_node *node = tk_map_node_new(
            columns->mins + at, is_leaf ? NULL : columns->children + at, count);

        if (node == NULL) {
            return false;
        }
        edit->made[edit->made_count++] = node;
        out->node[out->count++] = node;
        at += count;
    }
    return true;
}

static bool
change_leaf(struct edit *edit, struct tk_map_node *leaf, struct pair *out)
{
    size_t rank = tk_map_node_rank(leaf, edit->key, true);
    bool is_there =
        rank < leaf->count && tk_slice_equal(leaf->mins[rank]->key, edit->key);
    struct columns columns;
    size_t i;

    columns_init(&columns);
    for (i = 0; i < rank; i++) {
        add_column(&columns, leaf->mins[i], NULL);
    }
    if (edit->entry != NULL) {
        add_column(&columns, edit->entry, NULL);
    }
    if (is_there) {
        edit->outcome = leaf->mins[rank];
    }
    for (i = rank + (is_there ? 1 : 0); i < leaf->count; i++) {
        add_column(&columns, leaf->mins[i], NULL);
    }
    columns.grew_at_end = rank == leaf->count;
    outdate(edit, leaf);
    return build(edit, &columns, true, out);
}

/* A child that shrank is joined with its neighbour on the left, or on the
 * right, when there is room: `at` is its place in `node`. */
static bool
join_small(struct edit *edit, struct tk_map_node *node, size_t at,
           struct pair *child, size_t *first, size_t *last)
{
    struct tk_map_node *small = child->node[0];
    struct tk_map_node *left =
        at > 0 ? tk_map_node_children(node)[at - 1] : NULL;
    struct tk_map_node *right =
        at + 1 < node->count ? tk_map_node_children(node)[at + 1] : NULL;
    struct columns columns;

    *first = at;
    *last = at;
    if (child->count != 1 || small->count >= SMALL) {
        return true;
    }
    columns_init(&columns);
    if (left != NULL && left->count + small->count <= TK_MAP_FANOUT) {
        add_node(&columns, left);
        add_node(&columns, small);
        outdate(edit, left);
        *first = at - 1;
    } else if (right != NULL && right->count + small->count <= TK_MAP_FANOUT) {
        add_node(&columns, small);
        add_node(&columns, right);
        outdate(edit, right);
        *last = at + 1;
    } else {
        return true;
    }
    /* `small` was made by this edit and is seen by nobody. */
    outdate(edit, small);
    return build(edit, &columns, small->height == 0, child);
}

static bool
change(struct edit *edit, struct tk_map_node *node, struct pair *out)
{
    struct columns columns;
    struct pair child;
    size_t at;
    size_t first;
    size_t last;
    size_t i;

    if (node->height == 0) {
        return change_leaf(edit, node, out);
    }
    at = tk_map_node_rank(node, edit->key, false) - 1;
    if (!change(edit, tk_map_node_children(node)[at], &child) ||
        !join_small(edit, node, at, &child, &first, &last)) {
        return false;
    }
    columns_init(&columns);
    for (i = 0; i < first; i++) {
        add_column(&columns, node->mins[i], tk_map_node_children(node)[i]);
    }
    for (i = 0; i < child.count; i++) {
        add_column(&columns, child.node[i]->mins[0], child.node[i]);
    }
    for (i = last + 1; i < node->count; i++) {
        add_column(&columns, node->mins[i], tk_map_node_children(node)[i]);
    }
    columns.grew_at_end = last + 1 == node->count;
    outdate(edit, node);
    return build(edit, &columns, false, out);
}

/* The root may have become two nodes, or an inner node with one child. */
static bool
settle_root(struct edit *edit, struct pair *top, struct tk_map_node **root)
{
    struct columns columns;
    struct pair above;

    if (top->count == 2) {
        columns_init(&columns);
        add_column(&columns, top->node[0]->mins[0], top->node[0]);
        add_column(&columns, top->node[1]->mins[0], top->node[1]);
        if (!build(edit, &columns, false, &above)) {
            return false;
        }
        *root = above.node[0];
        return true;
    }
    *root = top->count == 0 ? NULL : top->node[0];
    while (*root != NULL && (*root)->height != 0 && (*root)->count == 1) {
        outdate(edit, *root);
        *root = tk_map_node_children(*root)[0];
    }
    return true;
}

static bool
apply(struct tk_map *map, struct edit *edit)
{
    struct pair top = { 0, { NULL, NULL } };
    struct tk_map_node *root = NULL;
    struct columns columns;
    bool is_done;
    size_t i;

    if (map->draft == NULL) {
        columns_init(&columns);
        if (edit->entry != NULL) {
            add_column(&columns, edit->entry, NULL);
        }
        is_done = build(edit, &columns, true, &top);
    } else {
        is_done = change(edit, map->draft, &top);
    }
    if (!is_done || !settle_root(edit, &top, &root)) {
        for (i = 0; i < edit->made_count; i++) {
            tk_free(edit->made[i]);
        }
        return false;
    }
    for (i = 0; i < edit->old_count; i++) {
        edit->old[i]->retired.next[0] = map->dead;
        map->dead = edit->old[i];
    }
    map->draft = root;
    return true;
}

bool
tk_map_put(struct tk_map *map, struct tk_map_entry *entry,
           struct tk_map_entry **replaced)
{
    struct edit edit;

    edit.entry = entry;
    edit.key = entry->key;
    edit.outcome = NULL;
    edit.made_count = 0;
    edit.old_count = 0;
    if (!apply(map, &edit)) {
        return false;
    }
    map->count += edit.outcome == NULL;
    if (replaced != NULL) {
        *replaced = edit.outcome;
    }
    return true;
}

bool
tk_map_remove(struct tk_map *map, tikv_slice key, struct tk_map_entry **removed)
{
    struct tk_map_entry *there = tk_map_node_floor(map->draft, key, false);
    struct edit edit;

    *removed = NULL;
    if (there == NULL || !tk_slice_equal(there->key, key)) {
        return true;
    }
    edit.entry = NULL;
    edit.key = key;
    edit.outcome = NULL;
    edit.made_count = 0;
    edit.old_count = 0;
    if (!apply(map, &edit)) {
        return false;
    }
    map->count--;
    *removed = edit.outcome;
    return true;
}

static void
free_node(struct tk_retired *block)
{
    char *node = (char *)block - offsetof(struct tk_map_node, retired);

    tk_free(node);
}

void
tk_map_publish(struct tk_map *map)
{
    struct tk_map_node *dead = map->dead;

    atomic_store_explicit(&map->root, map->draft, memory_order_release);
    map->dead = NULL;
    while (dead != NULL) {
        struct tk_map_node *next = (struct tk_map_node *)dead->retired.next[0];

        tk_epoch_retire(map->rt, &dead->retired, free_node);
        dead = next;
    }
}
