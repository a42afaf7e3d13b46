/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pairs of a raw answer, read where they lie: no message is built for
 * each. As upb would read them, but for errors of single keys, of which only
 * their presence is told.
 */
#ifndef TK_WIRE_PAIRS_H
#define TK_WIRE_PAIRS_H

#include <stdbool.h>

#include <tikv/base.h>

#include "wire/proto.h"

/* Of kvrpcpb.KvPair. Bytes are never absent, only empty. */
struct tk_wire_pair {
    tikv_slice key;
    tikv_slice value;
    bool has_error;
};

struct tk_pairs_walk {
    struct tk_cursor cursor;
    uint32_t field;
    bool is_broken;
};

/* `field` is the number of the repeated KvPair in `answer`. */
void
tk_pairs_walk_init(struct tk_pairs_walk *walk, tikv_slice answer,
                   uint32_t field);

/* The next pair; false at the end, or where the bytes are broken, which
 * is_broken tells. */
bool
tk_pairs_walk_next(struct tk_pairs_walk *walk, struct tk_wire_pair *out);

#endif
