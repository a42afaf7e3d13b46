/* SPDX-License-Identifier: Apache-2.0 */
/* Finding in the tree, and changing it along one path (struct path). */
#include "txn/buffer_tree.h"

#include <endian.h>

#include "base/alloc.h"

/* The way to a leaf: inner nodes and which child was taken. */
struct path {
    size_t depth;
    struct tk_inner *inner[TK_TREE_DEPTH_MAX];
    size_t child[TK_TREE_DEPTH_MAX];
    struct tk_leaf *leaf;
};

static struct tk_leaf *
as_leaf(const struct tk_node *node)
{
    return (struct tk_leaf *)(uintptr_t)node;
}

static struct tk_inner *
as_inner(const struct tk_node *node)
{
    return (struct tk_inner *)(uintptr_t)node;
}

static uint64_t
head_of(const struct tk_node *node, tikv_slice key)
{
    if (key.len >= node->prefix_len + sizeof(uint64_t)) {
        uint64_t head;

        memcpy(&head, key.data + node->prefix_len, sizeof(head));
        return be64toh(head);
    }
    return tk_slice_head(key, node->prefix_len);
}

static bool
has_prefix(const struct tk_node *node, tikv_slice key)
{
    return node->prefix_len == 0 ||
           (key.len >= node->prefix_len &&
            memcmp(key.data, node->prefix, node->prefix_len) == 0);
}

/* The first of entries[from .. count) at or after `key`, else count. */
static size_t
lower_bound(const struct tk_node *node, const uint64_t *heads,
            struct tk_entry *const *entries, size_t from, tikv_slice key,
            bool *is_equal)
{
    size_t count = node->count - from;
    size_t at = from;
    uint64_t head;

    *is_equal = false;
    if (!has_prefix(node, key)) {
        tikv_slice prefix = { node->prefix, node->prefix_len };

        return tk_slice_compare(key, prefix) < 0 ? from : node->count;
    }
    head = head_of(node, key);
    while (count > 0) {
        size_t half = count / 2;
        bool is_below = heads[at + half] < head;

        at = is_below ? at + half + 1 : at;
        count = is_below ? count - half - 1 : half;
    }
    for (; at < node->count && heads[at] == head; at++) {
        int order = tk_slice_compare(tk_entry_slice(entries[at]), key);

        if (order >= 0) {
            *is_equal = order == 0;
            break;
        }
    }
    return at;
}

static size_t
child_for(const struct tk_inner *inner, tikv_slice key)
{
    bool is_equal;
    size_t at = lower_bound(&inner->node, inner->heads, inner->mins, 1, key,
                            &is_equal);

    return is_equal ? at : at - 1;
}

static size_t
leaf_bound(const struct tk_leaf *leaf, tikv_slice key, bool *is_equal)
{
    return lower_bound(&leaf->node, leaf->heads, leaf->entries, 0, key,
                       is_equal);
}

static struct tk_leaf *
descend(const struct tk_tree *tree, tikv_slice key)
{
    const struct tk_node *node = tree->root;

    while (node != NULL && !node->is_leaf) {
        const struct tk_inner *inner = as_inner(node);

        node = inner->children[child_for(inner, key)];
    }
    return as_leaf(node);
}

struct tk_entry *
tk_tree_find(const struct tk_tree *tree, tikv_slice key)
{
    struct tk_leaf *leaf = descend(tree, key);
    bool is_equal = false;
    size_t at = leaf == NULL ? 0 : leaf_bound(leaf, key, &is_equal);

    return is_equal ? leaf->entries[at] : NULL;
}

bool
tk_tree_seek(const struct tk_tree *tree, tikv_slice key,
             struct tk_leaf **leaf, size_t *at)
{
    bool is_equal;

    *leaf = descend(tree, key);
    *at = *leaf == NULL ? 0 : leaf_bound(*leaf, key, &is_equal);
    if (*leaf != NULL && *at == (*leaf)->node.count) {
        *leaf = (*leaf)->next;
        *at = 0;
    }
    return *leaf != NULL;
}

static struct tk_leaf *
last_leaf(const struct tk_tree *tree)
{
    const struct tk_node *node = tree->root;

    while (node != NULL && !node->is_leaf) {
        node = as_inner(node)->children[node->count - 1];
    }
    return as_leaf(node);
}

bool
tk_tree_seek_below(const struct tk_tree *tree, tikv_slice key,
                   struct tk_leaf **leaf, size_t *at)
{
    bool is_equal;

    if (key.data == NULL) {
        *leaf = last_leaf(tree);
        *at = *leaf == NULL ? 0 : (*leaf)->node.count;
    } else {
        *leaf = descend(tree, key);
        *at = *leaf == NULL ? 0 : leaf_bound(*leaf, key, &is_equal);
    }
    if (*leaf != NULL && *at == 0) {
        *leaf = (*leaf)->previous;
        *at = *leaf == NULL ? 0 : (*leaf)->node.count;
    }
    *at -= *leaf != NULL;
    return *leaf != NULL;
}

/* ---- changes ---- */

static void
find_path(const struct tk_tree *tree, tikv_slice key, struct path *path)
{
    struct tk_node *node = tree->root;

    path->depth = 0;
    while (!node->is_leaf) {
        struct tk_inner *inner = as_inner(node);
        size_t child = child_for(inner, key);

        path->inner[path->depth] = inner;
        path->child[path->depth++] = child;
        node = inner->children[child];
    }
    path->leaf = as_leaf(node);
}

/* Works out prefix and heads anew, for entries[from .. count), sorted. */
static void
seal(struct tk_node *node, uint64_t *heads, struct tk_entry **entries,
     size_t from)
{
    uint32_t len = 0;
    size_t i;

    if (node->count > from) {
        tikv_slice first = tk_entry_slice(entries[from]);
        tikv_slice last = tk_entry_slice(entries[node->count - 1]);

        while (len < first.len && len < last.len &&
               first.data[len] == last.data[len]) {
            len++;
        }
        /* With one key the next would only shorten it: begin with less. */
        if (node->count == from + 1 && len > 8) {
            len -= 8;
        }
        memcpy(node->near, first.data, len < TK_NODE_NEAR ? len : 0);
        node->prefix = len < TK_NODE_NEAR ? node->near : first.data;
    }
    node->prefix_len = len;
    for (i = from; i < node->count; i++) {
        heads[i] = head_of(node, tk_entry_slice(entries[i]));
    }
}

static void
seal_leaf(struct tk_leaf *leaf)
{
    seal(&leaf->node, leaf->heads, leaf->entries, 0);
}

static void
seal_inner(struct tk_inner *inner)
{
    seal(&inner->node, inner->heads, inner->mins, 1);
}

/* After a split: heads that still tell the keys apart are kept as they are,
 * for working them out again would touch every key. */
static void
reseal_half(struct tk_node *node, uint64_t *heads, struct tk_entry **entries,
            size_t from, const struct tk_node *whole)
{
    enum { TELLING = 4 }; /* bytes of a head that have to differ */
    uint64_t spread = node->count <= from
                          ? 0
                          : heads[from] ^ heads[node->count - 1];

    if (spread >> (64 - 8 * TELLING) == 0) {
        seal(node, heads, entries, from);
        return;
    }
    node->prefix_len = whole->prefix_len;
    node->prefix = node->near;
    if (node->prefix_len >= TK_NODE_NEAR) {
        node->prefix = entries[from]->key;
    } else {
        memmove(node->near, whole->near, node->prefix_len);
    }
}

static void
leaf_put(struct tk_leaf *leaf, size_t at, struct tk_entry *entry)
{
    size_t tail = leaf->node.count - at;
    tikv_slice key = tk_entry_slice(entry);

    memmove(&leaf->entries[at + 1], &leaf->entries[at],
            tail * sizeof(leaf->entries[0]));
    leaf->entries[at] = entry;
    leaf->node.count++;
    if (leaf->node.count == 1 || !has_prefix(&leaf->node, key)) {
        seal_leaf(leaf);
        return;
    }
    memmove(&leaf->heads[at + 1], &leaf->heads[at],
            tail * sizeof(leaf->heads[0]));
    leaf->heads[at] = head_of(&leaf->node, key);
}

static void
inner_put(struct tk_inner *inner, size_t at, struct tk_entry *min,
          struct tk_node *child)
{
    size_t tail = inner->node.count - at;

    memmove(&inner->mins[at + 1], &inner->mins[at],
            tail * sizeof(inner->mins[0]));
    memmove(&inner->children[at + 1], &inner->children[at],
            tail * sizeof(inner->children[0]));
    inner->mins[at] = min;
    inner->children[at] = child;
    inner->node.count++;
    if (inner->node.count == 2 ||
        !has_prefix(&inner->node, tk_entry_slice(min))) {
        seal_inner(inner);
        return;
    }
    memmove(&inner->heads[at + 1], &inner->heads[at],
            tail * sizeof(inner->heads[0]));
    inner->heads[at] = head_of(&inner->node, tk_entry_slice(min));
}

/* Nodes for all splits of one insertion, taken before anything changes. */
struct spares {
    size_t count;
    void *node[TK_TREE_DEPTH_MAX + 1];
};

static bool
take_spares(struct spares *spares, size_t count)
{
    for (spares->count = 0; spares->count < count; spares->count++) {
        void *node = tk_calloc(spares->count == 0 ? sizeof(struct tk_leaf)
                                                  : sizeof(struct tk_inner));

        if (node == NULL) {
            while (spares->count > 0) {
                tk_free(spares->node[--spares->count]);
            }
            return false;
        }
        spares->node[spares->count] = node;
    }
    return true;
}

/* Moves the upper part into `right`. Keys that come in order leave their
 * leaf full behind. */
static void
split_leaf(struct tk_leaf *leaf, struct tk_leaf *right, size_t at)
{
    size_t keep = at == TK_LEAF_FANOUT && leaf->next == NULL
                      ? TK_LEAF_FANOUT - 1
                      : TK_LEAF_FANOUT / 2;
    size_t moved = leaf->node.count - keep;

    memcpy(right->entries, &leaf->entries[keep],
           moved * sizeof(leaf->entries[0]));
    memcpy(right->heads, &leaf->heads[keep], moved * sizeof(leaf->heads[0]));
    right->node.count = (uint16_t)moved;
    right->node.is_leaf = true;
    leaf->node.count = (uint16_t)keep;
    right->next = leaf->next;
    right->previous = leaf;
    leaf->next = right;
    if (right->next != NULL) {
        right->next->previous = right;
    }
    reseal_half(&right->node, right->heads, right->entries, 0, &leaf->node);
    reseal_half(&leaf->node, leaf->heads, leaf->entries, 0, &leaf->node);
}

/* Returns the least entry below `right`. */
static struct tk_entry *
split_inner(struct tk_inner *inner, struct tk_inner *right, size_t at)
{
    size_t keep = at == TK_INNER_FANOUT ? TK_INNER_FANOUT - 2
                                        : TK_INNER_FANOUT / 2;
    size_t moved = inner->node.count - keep;

    memcpy(right->mins, &inner->mins[keep], moved * sizeof(inner->mins[0]));
    memcpy(right->heads, &inner->heads[keep], moved * sizeof(inner->heads[0]));
    memcpy(right->children, &inner->children[keep],
           moved * sizeof(inner->children[0]));
    right->node.count = (uint16_t)moved;
    inner->node.count = (uint16_t)keep;
    reseal_half(&right->node, right->heads, right->mins, 1, &inner->node);
    reseal_half(&inner->node, inner->heads, inner->mins, 1, &inner->node);
    return right->mins[0];
}

/* A new root over the old one and `right`. */
static void
grow_root(struct tk_tree *tree, struct tk_inner *root, struct tk_entry *min,
          struct tk_node *right)
{
    root->children[0] = tree->root;
    root->node.count = 1;
    inner_put(root, 1, min, right);
    tree->root = &root->node;
}

static void
put_with_splits(struct tk_tree *tree, struct path *path, size_t at,
                struct tk_entry *entry, struct spares *spares)
{
    struct tk_leaf *leaf = path->leaf;
    struct tk_leaf *new_leaf = spares->node[0];
    struct tk_node *right = &new_leaf->node;
    struct tk_entry *min;
    size_t level = path->depth;
    size_t used = 1;

    split_leaf(leaf, new_leaf, at);
    if (at > leaf->node.count) {
        leaf_put(new_leaf, at - leaf->node.count, entry);
    } else {
        leaf_put(leaf, at, entry);
    }
    min = new_leaf->entries[0];
    while (level-- > 0) {
        struct tk_inner *inner = path->inner[level];
        size_t place = path->child[level] + 1;
        struct tk_inner *half;
        struct tk_entry *up;

        if (inner->node.count < TK_INNER_FANOUT) {
            inner_put(inner, place, min, right);
            return;
        }
        half = spares->node[used++];
        up = split_inner(inner, half, place);
        if (place > inner->node.count) {
            inner_put(half, place - inner->node.count, min, right);
        } else {
            inner_put(inner, place, min, right);
        }
        right = &half->node;
        min = up;
    }
    grow_root(tree, spares->node[used], min, right);
}

static size_t
nodes_needed(const struct path *path)
{
    size_t needed = 1;
    size_t level = path->depth;

    while (level > 0 &&
           path->inner[level - 1]->node.count == TK_INNER_FANOUT) {
        level--;
        needed++;
    }
    return level == 0 ? needed + 1 : needed;
}

bool
tk_tree_insert(struct tk_tree *tree, struct tk_entry *entry)
{
    struct spares spares;
    struct path path;
    bool is_equal;
    size_t at;

    if (tree->root == NULL) {
        struct tk_leaf *leaf = tk_calloc(sizeof(*leaf));

        if (leaf == NULL) {
            return false;
        }
        leaf->node.is_leaf = true;
        tree->root = &leaf->node;
        tree->bytes += sizeof(*leaf);
    }
    find_path(tree, tk_entry_slice(entry), &path);
    at = leaf_bound(path.leaf, tk_entry_slice(entry), &is_equal);
    if (path.leaf->node.count < TK_LEAF_FANOUT) {
        leaf_put(path.leaf, at, entry);
    } else {
        size_t needed = nodes_needed(&path);

        if (path.depth + 1 >= TK_TREE_DEPTH_MAX ||
            !take_spares(&spares, needed)) {
            return false;
        }
        put_with_splits(tree, &path, at, entry, &spares);
        tree->bytes += sizeof(struct tk_leaf) +
                       (needed - 1) * sizeof(struct tk_inner);
    }
    tree->count++;
    return true;
}

/* The least entry below path->child[level] has become `min`: the nearest
 * ancestor that keeps it is told. */
static void
change_min(struct path *path, size_t level, struct tk_entry *min)
{
    while (level-- > 0) {
        if (path->child[level] > 0) {
            path->inner[level]->mins[path->child[level]] = min;
            seal_inner(path->inner[level]);
            return;
        }
    }
}

/* Takes the empty child out of the lowest inner node, and that node out of
 * the one above when it was its only child. */
static void
drop_child(struct tk_tree *tree, struct path *path)
{
    size_t level = path->depth;

    while (level-- > 0) {
        struct tk_inner *inner = path->inner[level];
        size_t at = path->child[level];
        size_t tail = inner->node.count - at - 1;

        if (inner->node.count > 1) {
            memmove(&inner->mins[at], &inner->mins[at + 1],
                    tail * sizeof(inner->mins[0]));
            memmove(&inner->children[at], &inner->children[at + 1],
                    tail * sizeof(inner->children[0]));
            inner->node.count--;
            if (at == 0) {
                change_min(path, level, inner->mins[0]);
            }
            seal_inner(inner);
            return;
        }
        tree->bytes -= sizeof(*inner);
        tk_free(inner);
    }
    tree->root = NULL;
}

static void
drop_leaf(struct tk_tree *tree, struct path *path)
{
    struct tk_leaf *leaf = path->leaf;

    if (leaf->previous != NULL) {
        leaf->previous->next = leaf->next;
    }
    if (leaf->next != NULL) {
        leaf->next->previous = leaf->previous;
    }
    tree->bytes -= sizeof(*leaf);
    tk_free(leaf);
    drop_child(tree, path);
    while (tree->root != NULL && !tree->root->is_leaf &&
           tree->root->count == 1) {
        struct tk_inner *root = as_inner(tree->root);

        tree->root = root->children[0];
        tree->bytes -= sizeof(*root);
        tk_free(root);
    }
}

void
tk_tree_remove(struct tk_tree *tree, struct tk_entry *entry)
{
    struct path path;
    struct tk_leaf *leaf;
    bool is_equal;
    size_t at;
    size_t tail;

    find_path(tree, tk_entry_slice(entry), &path);
    leaf = path.leaf;
    at = leaf_bound(leaf, tk_entry_slice(entry), &is_equal);
    tree->count--;
    if (leaf->node.count == 1) {
        drop_leaf(tree, &path);
        return;
    }
    tail = leaf->node.count - at - 1;
    memmove(&leaf->entries[at], &leaf->entries[at + 1],
            tail * sizeof(leaf->entries[0]));
    memmove(&leaf->heads[at], &leaf->heads[at + 1],
            tail * sizeof(leaf->heads[0]));
    leaf->node.count--;
    if (at == 0) {
        change_min(&path, path.depth, leaf->entries[0]);
    }
    if (leaf->node.prefix == entry->key) {
        seal_leaf(leaf);
    }
}

/* ---- the end, and proof ---- */

static void
free_node(struct tk_node *node)
{
    size_t i;

    for (i = 0; !node->is_leaf && i < node->count; i++) {
        free_node(as_inner(node)->children[i]);
    }
    tk_free(node);
}

void
tk_tree_fini(struct tk_tree *tree)
{
    if (tree->root != NULL) {
        free_node(tree->root);
    }
    *tree = (struct tk_tree){ 0 };
}

static bool
is_sorted(const struct tk_node *node, const uint64_t *heads,
          struct tk_entry *const *entries, size_t from)
{
    size_t i;

    for (i = from; i < node->count; i++) {
        tikv_slice key = tk_entry_slice(entries[i]);

        if (!has_prefix(node, key) || heads[i] != head_of(node, key) ||
            (i > from &&
             tk_slice_compare(tk_entry_slice(entries[i - 1]), key) >= 0)) {
            return false;
        }
    }
    return node->count > 0;
}

/* `min` is what an ancestor keeps for this node, or NULL. */
static bool
is_node_sound(const struct tk_node *node, const struct tk_entry *min,
              size_t *count)
{
    const struct tk_inner *inner = as_inner(node);
    size_t i;

    if (node->is_leaf) {
        const struct tk_leaf *leaf = as_leaf(node);

        *count += node->count;
        return is_sorted(node, leaf->heads, leaf->entries, 0) &&
               (min == NULL || leaf->entries[0] == min);
    }
    if (!is_sorted(node, inner->heads, inner->mins, 1)) {
        return false;
    }
    for (i = 0; i < node->count; i++) {
        if (!is_node_sound(inner->children[i], i > 0 ? inner->mins[i] : min,
                           count)) {
            return false;
        }
    }
    return true;
}

bool
tk_tree_is_sound(const struct tk_tree *tree)
{
    size_t count = 0;

    return (tree->root == NULL || is_node_sound(tree->root, NULL, &count)) &&
           count == tree->count;
}
