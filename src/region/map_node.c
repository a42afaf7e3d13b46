/* SPDX-License-Identifier: Apache-2.0 */
/* Making and searching nodes; the idea stands in the header. No lock: nodes
 * do not change once they are sealed. */
#include "region/map_node.h"

#include <string.h>

#include "base/alloc.h"

struct tk_map_node *
tk_map_node_new(size_t count, bool is_leaf)
{
    size_t columns = is_leaf ? 2 : 3;
    struct tk_map_node *node =
        tk_alloc(sizeof(*node) + count * columns * sizeof(uint64_t));

    _Static_assert(sizeof(void *) <= sizeof(uint64_t), "columns are words");
    if (node != NULL) {
        memset(node, 0, sizeof(*node));
        node->count = (uint16_t)count;
        node->is_leaf = is_leaf;
    }
    return node;
}

/* Like tk_slice_head(), without a loop where eight bytes are there. */
static inline uint64_t
head_of(tikv_slice key, size_t skip)
{
    uint64_t word;

    if (key.len >= skip + 8) {
        memcpy(&word, key.data + skip, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        return word;
    }
    return tk_slice_head(key, skip);
}

static inline size_t
first_compared(const struct tk_map_node *node)
{
    return node->is_leaf ? 0 : 1;
}

void
tk_map_node_seal(struct tk_map_node *node)
{
    struct tk_map_entry **mins = tk_map_node_mins(node);
    size_t first = first_compared(node);
    size_t i;

    if (first < node->count) {
        tikv_slice low = mins[first]->key;
        tikv_slice high = mins[node->count - 1]->key;
        size_t most = low.len < high.len ? low.len : high.len;
        size_t len = 0;

        while (len < most && low.data[len] == high.data[len]) {
            len++;
        }
        node->prefix = low.data;
        node->prefix_len = (uint32_t)len;
        if (len != 0 && len <= TK_MAP_NEAR) {
            memcpy(node->near, low.data, len);
            node->prefix = node->near;
        }
    }
    node->heads[0] = 0;
    for (i = first; i < node->count; i++) {
        node->heads[i] = head_of(mins[i]->key, node->prefix_len);
    }
}

/* How `key` stands to the prefix that all compared keys have. */
static inline int
compare_prefix(const struct tk_map_node *node, tikv_slice key)
{
    size_t most = key.len < node->prefix_len ? key.len : node->prefix_len;
    int order = most == 0 ? 0 : memcmp(key.data, node->prefix, most);

    if (order == 0 && key.len < node->prefix_len) {
        return -1;
    }
    return order;
}

/* The first place in [low, high) whose head is above `head`, or with
 * `or_equal` at or above it. */
static inline size_t
search_heads(const uint64_t *heads, size_t low, size_t high, uint64_t head,
             bool or_equal)
{
    size_t count = high - low;

    while (count > 0) {
        size_t half = count / 2;
        uint64_t middle = heads[low + half];
        bool is_before = or_equal ? middle < head : middle <= head;

        low = is_before ? low + half + 1 : low;
        count = is_before ? count - half - 1 : half;
    }
    return low;
}

size_t
tk_map_node_rank(const struct tk_map_node *node, tikv_slice key, bool strict)
{
    size_t first = first_compared(node);
    int order;
    uint64_t head;
    size_t low;
    size_t high;

    /* The search touches a few of these lines one after the other: fetched
     * together they cost one wait. */
    for (low = 8; low < node->count; low += 8) {
        __builtin_prefetch(&node->heads[low]);
    }
    order = compare_prefix(node, key);
    if (order != 0) {
        return order < 0 ? first : node->count;
    }
    head = head_of(key, node->prefix_len);
    high = search_heads(node->heads, first, node->count, head, false);
    if (high == first || node->heads[high - 1] != head) {
        return high;
    }
    low = search_heads(node->heads, first, high, head, true);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int side = tk_slice_compare(tk_map_node_mins(node)[middle]->key, key);

        if (side < 0 || (side == 0 && !strict)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}
