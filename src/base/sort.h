/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys brought into order. qsort() calls back for each comparison and looks
 * at whole keys; here nearly all are decided by one number, the eight bytes
 * behind what all keys have in common.
 */
#ifndef TK_BASE_SORT_H
#define TK_BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tikv/base.h>

struct tk_sorted {
    uint64_t head; /* the sort's own */
    tikv_slice key;
    size_t index; /* the caller's; equal keys stay in the order they had */
};

/* By key, as memcmp, a prefix first. False without memory: they lie as they
 * did. Keys in order are left alone, without memory. */
bool
tk_sort_keys(struct tk_sorted *items, size_t count);

#endif
