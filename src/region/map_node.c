/* SPDX-License-Identifier: Apache-2.0 */
/* Making and searching nodes; the idea stands in the header. No lock: nodes
 * do not change once they are made. */
#include "region/map_node.h"

#include <string.h>

#include "base/alloc.h"

enum {
    WORD = 8,
    LINE = 8, /* words in a cache line */
    /* `near` is read by words: the last one begins here. */
    NEAR_MAX = TK_MAP_NEAR - WORD
};

_Static_assert(sizeof(void *) <= WORD, "columns are words");
_Static_assert(offsetof(struct tk_map_node, heads) == WORD * LINE,
               "heads begin a line");

/* tk_slice_head() of a key of a word or more, `skip` not beyond its end. */
static inline uint64_t
head_of(tikv_slice key, size_t skip)
{
    size_t last = key.len - WORD;
    size_t at = skip < last ? skip : last;
    unsigned half = (unsigned)(skip - at) * 4; /* one shift by 64 is none */

    return tk_bytes_head(key.data + at) << half << half;
}

/* ---- making ---- */

static inline size_t
first_compared(const struct tk_map_node *node)
{
    return node->height == 0 ? 0 : 1;
}

/* The words of the keys from `skip` on; true when two neighbours tie. */
static bool
fill(uint64_t *words, struct tk_map_entry *const *mins, size_t first,
     size_t count, size_t skip)
{
    bool is_tied = false;
    size_t i;

    for (i = first; i < count; i++) {
        tikv_slice key = mins[i]->key;

        words[i] = key.len >= WORD && key.len >= skip
                       ? head_of(key, skip)
                       : tk_slice_head(key, skip);
        is_tied |= i > first && words[i] == words[i - 1];
    }
    return is_tied;
}

struct tk_map_node *
tk_map_node_new(struct tk_map_entry *const *mins,
                struct tk_map_node *const *children, size_t count)
{
    size_t first = children == NULL ? 0 : 1;
    size_t below = children == NULL ? 0 : TK_MAP_FANOUT;
    tikv_slice low = mins[first < count ? first : 0]->key;
    size_t prefix = tk_slice_common(low, mins[count - 1]->key);
    uint64_t heads[TK_MAP_FANOUT] = { 0 };
    bool is_tied = fill(heads, mins, first, count, prefix);
    struct tk_map_node *node;

    node = tk_alloc(sizeof(*node) + (below + (is_tied ? count : 0)) * WORD);
    if (node == NULL) {
        return NULL;
    }
    memset(node, 0, offsetof(struct tk_map_node, heads));
    node->count = (uint16_t)count;
    node->height = children == NULL ? 0 : (uint16_t)(children[0]->height + 1);
    node->prefix = low.data;
    node->prefix_len = (uint32_t)prefix;
    memcpy(node->near, low.data, prefix < NEAR_MAX ? prefix : NEAR_MAX);
    memcpy(node->heads, heads, count * WORD);
    memset(node->heads + count, 0xff, (TK_MAP_FANOUT - count) * WORD);
    memcpy(node->mins, mins, count * sizeof(*mins));
    if (children != NULL) {
        memcpy(node->words, children, count * sizeof(*children));
    }
    if (is_tied) {
        node->tails = node->words + below;
        (void)fill(node->words + below, mins, 0, count, prefix + WORD);
    }
    return node;
}

/* ---- searching ---- */

/* Whether a key of a word or more begins with the node's prefix; false also
 * where that takes a closer look. */
static inline bool
leads(const struct tk_map_node *node, tikv_slice key)
{
    size_t len = node->prefix_len;
    uint64_t other = 0;
    unsigned half;
    size_t i;

    if (len > key.len || len > NEAR_MAX) {
        return false;
    }
    for (i = 0; i + WORD <= len; i += WORD) {
        other |= tk_bytes_head(key.data + i) ^ tk_bytes_head(node->near + i);
    }
    half = (unsigned)(WORD - (len - i)) * 4;
    other |= (head_of(key, i) ^ tk_bytes_head(node->near + i)) >> half >> half;
    return other == 0;
}

static inline size_t
count_line(const uint64_t *line, uint64_t head)
{
    return (size_t)(line[0] <= head) + (line[1] <= head) + (line[2] <= head) +
           (line[3] <= head) + (line[4] <= head) + (line[5] <= head) +
           (line[6] <= head) + (line[7] <= head);
}

/* How many heads are at or below `head`; of those behind the last, too. */
static inline size_t
count_heads(const struct tk_map_node *node, uint64_t head)
{
    size_t line = 0;
    size_t i;

    for (i = LINE; i < TK_MAP_FANOUT; i += LINE) {
        line += node->heads[i] <= head;
    }
    return line * LINE + count_line(node->heads + line * LINE, head);
}

/* The first of the ascending words [low, high) that is at or above `word`,
 * or with `above` above it. */
static size_t
search_words(const uint64_t *words, size_t low, size_t high, uint64_t word,
             bool above)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (words[middle] < word || (above && words[middle] == word)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The rank where heads tie with the key's: by tails, then by whole keys. */
static __attribute__((noinline)) size_t
rank_tied(const struct tk_map_node *node, tikv_slice key, uint64_t head,
          bool strict)
{
    size_t first = first_compared(node);
    size_t low = search_words(node->heads, first, node->count, head, false);
    size_t high = search_words(node->heads, low, node->count, head, true);

    if (node->tails != NULL && high - low > 1) {
        uint64_t tail = tk_slice_head(key, (size_t)node->prefix_len + WORD);

        high = search_words(node->tails, low, high, tail, true);
        low = search_words(node->tails, low, high, tail, false);
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int side = tk_slice_compare(node->mins[middle]->key, key);

        if (side < 0 || (side == 0 && !strict)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The rank of a short key, and where the prefix is long or another. */
static __attribute__((noinline)) size_t
rank_apart(const struct tk_map_node *node, tikv_slice key, bool strict)
{
    size_t most = key.len < node->prefix_len ? key.len : node->prefix_len;
    int order = most == 0 ? 0 : memcmp(key.data, node->prefix, most);

    if (order == 0 && key.len < node->prefix_len) {
        order = -1;
    }
    if (order != 0) {
        return order < 0 ? first_compared(node) : node->count;
    }
    return rank_tied(node, key, tk_slice_head(key, node->prefix_len), strict);
}

static inline size_t
rank_of(const struct tk_map_node *node, tikv_slice key, bool strict)
{
    uint64_t head;
    size_t rank;

    if (key.len < WORD || !leads(node, key)) {
        return rank_apart(node, key, strict);
    }
    head = head_of(key, node->prefix_len);
    rank = count_heads(node, head);
    return rank == 0 || node->heads[rank - 1] != head
               ? rank
               : rank_tied(node, key, head, strict);
}

size_t
tk_map_node_rank(const struct tk_map_node *node, tikv_slice key, bool strict)
{
    return rank_of(node, key, strict);
}

/* All that rank_of() may look at in a leaf, at once. */
static inline void
fetch(const struct tk_map_node *leaf)
{
    const char *line = (const char *)leaf;
    size_t i;

    for (i = 0; i < offsetof(struct tk_map_node, retired); i += WORD * LINE) {
        __builtin_prefetch(line + i);
    }
}

struct tk_map_entry *
tk_map_node_floor(const struct tk_map_node *node, tikv_slice key, bool strict)
{
    size_t rank;

    if (node == NULL) {
        return NULL;
    }
    while (node->height != 0) {
        const struct tk_map_node *child =
            tk_map_node_children(node)[rank_of(node, key, strict) - 1];

        if (node->height == 1) {
            fetch(child);
        }
        node = child;
    }
    rank = rank_of(node, key, strict);
    return rank == 0 ? NULL : node->mins[rank - 1];
}
