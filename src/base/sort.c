/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A merge sort: short runs by insertion, then merges between the items and
 * as much memory beside them. No state; any thread.
 */
#include "base/sort.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"

#define RUN 12

static void
fill_heads(struct tk_sorted *items, size_t count)
{
    size_t prefix = count == 0 ? 0 : items[0].key.len;
    size_t i;

    for (i = 1; i < count && prefix != 0; i++) {
        if (items[i].key.len < prefix ||
            memcmp(items[0].key.data, items[i].key.data, prefix) != 0) {
            prefix = tk_slice_common(items[0].key, items[i].key);
        }
    }
    for (i = 0; i < count; i++) {
        items[i].head = tk_slice_head(items[i].key, prefix);
    }
}

static inline bool
is_before(const struct tk_sorted *a, const struct tk_sorted *b)
{
    return a->head != b->head ? a->head < b->head
                              : tk_slice_compare(a->key, b->key) < 0;
}

static bool
is_in_order(const struct tk_sorted *items, size_t count)
{
    size_t i;

    for (i = 1; i < count; i++) {
        if (is_before(&items[i], &items[i - 1])) {
            return false;
        }
    }
    return true;
}

static void
insert_all(struct tk_sorted *items, size_t count)
{
    size_t i;

    for (i = 1; i < count; i++) {
        struct tk_sorted item = items[i];
        size_t at = i;

        for (; at > 0 && is_before(&item, &items[at - 1]); at--) {
            items[at] = items[at - 1];
        }
        items[at] = item;
    }
}

/* Of equal ones the left comes first. */
static void
merge(const struct tk_sorted *from, size_t middle, size_t end,
      struct tk_sorted *to)
{
    size_t left = 0;
    size_t right = middle;
    size_t i;

    for (i = 0; i < end; i++) {
        bool is_right = left == middle ||
                        (right < end && is_before(&from[right], &from[left]));

        to[i] = is_right ? from[right++] : from[left++];
    }
}

static size_t
least(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool
tk_sort_keys(struct tk_sorted *items, size_t count)
{
    struct tk_sorted *from = items;
    struct tk_sorted *to;
    struct tk_sorted *spare;
    size_t run;
    size_t i;

    fill_heads(items, count);
    if (is_in_order(items, count)) {
        return true;
    }
    spare = tk_alloc_array(count, sizeof(*spare));
    if (spare == NULL) {
        return false;
    }
    for (i = 0; i < count; i += RUN) {
        insert_all(items + i, least(RUN, count - i));
    }
    to = spare;
    for (run = RUN; run < count; run *= 2) {
        struct tk_sorted *other = from;

        for (i = 0; i < count; i += 2 * run) {
            merge(from + i, least(run, count - i), least(2 * run, count - i),
                  to + i);
        }
        from = to;
        to = other;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
    tk_free(spare);
    return true;
}
