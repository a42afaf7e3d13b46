/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of timestamps: small, sorted arrays. No lock: their owner's. */
#include <string.h>

#include "base/alloc.h"
#include "txn/resolver.h"

void
tk_ts_set_fini(struct tk_ts_set *set)
{
    tk_free(set->data);
    memset(set, 0, sizeof(*set));
}

/* The place of `ts`, or where it would stand. */
static size_t
place_of(const struct tk_ts_set *set, uint64_t ts)
{
    size_t low = 0;
    size_t high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (set->data[middle] < ts) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool
tk_ts_set_has(const struct tk_ts_set *set, uint64_t ts)
{
    size_t place = place_of(set, ts);

    return place < set->count && set->data[place] == ts;
}

bool
tk_ts_set_add(struct tk_ts_set *set, uint64_t ts)
{
    size_t place = place_of(set, ts);

    if (place < set->count && set->data[place] == ts) {
        return true;
    }
    if (set->count == set->cap) {
        size_t cap = set->cap == 0 ? 8 : set->cap * 2;
        uint64_t *data = cap > SIZE_MAX / sizeof(*data)
                             ? NULL
                             : tk_realloc(set->data, cap * sizeof(*data));

        if (data == NULL) {
            return false;
        }
        set->data = data;
        set->cap = cap;
    }
    memmove(set->data + place + 1, set->data + place,
            (set->count - place) * sizeof(*set->data));
    set->data[place] = ts;
    set->count++;
    return true;
}
