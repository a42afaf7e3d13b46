/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reads give: tikv_value and tikv_pairs. Their slices alias received
 * frames or arenas, which they keep alive, or memory of their own.
 */
#ifndef TK_BASE_VALUE_H
#define TK_BASE_VALUE_H

#include <tikv/future.h>
#include <tikv/snapshot.h>

#include "base/frame.h"

/* A value below this is copied out of its frame: keeping the frame would pin
 * a read block of several KiB for it. */
#define TK_VALUE_ALIAS_MIN 256

struct tikv_value {
    tikv_slice bytes;
    uint64_t commit_ts; /* 0: not asked for */
    struct tk_frame *frame; /* one reference; NULL: nothing to keep */
    void (*release)(struct tikv_value *); /* after the frame; the memory */
};

/* A value that aliases `frame` (takes one reference over; NULL: copies).
 * NULL without memory; the reference is gone then too. */
tikv_value *
tk_value_new(tikv_slice bytes, struct tk_frame *frame);

struct tikv_pairs {
    tikv_pair *data;
    size_t count;
    size_t cap;
    size_t *group_ends; /* batch scan; NULL otherwise */
    size_t groups_count;
    uint64_t *commit_ts; /* of each pair, where they were asked for; or NULL */
    bool has_rest;
    tikv_range rest;
    struct tk_frame **frames;
    size_t frames_count;
    size_t frames_cap;
};

/* NULL without memory. */
tikv_pairs *
tk_pairs_new(size_t reserve);

/* The slices must live as long as the pairs: hold their frame. False without
 * memory. */
bool
tk_pairs_add(tikv_pairs *pairs, tikv_slice key, tikv_slice value);

/* Takes one reference of `frame` over, also when it fails. */
bool
tk_pairs_hold(tikv_pairs *pairs, struct tk_frame *frame);

/* A copy of `bytes` that lives as long as the pairs; absent data and false
 * without memory. */
bool
tk_pairs_copy(tikv_pairs *pairs, tikv_slice bytes, tikv_slice *out);

#endif
