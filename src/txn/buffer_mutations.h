/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a commit sends, as a list of handles: 16 bytes per key, no copies of
 * keys or values. The commit fills it in one walk over the buffer
 * (TK_WALK_ALL), sorts nothing, cuts it into batches by index, and after
 * tk_buffer_discard_values() still has the keys.
 *
 * One owner at a time; the buffer must not be reset while it lives.
 */
#ifndef TK_TXN_BUFFER_MUTATIONS_H
#define TK_TXN_BUFFER_MUTATIONS_H

#include "txn/buffer.h"

enum {
    TK_MUTATION_PESSIMISTIC = 1 << 0, /* expects the lock to be there */
    TK_MUTATION_ASSERT_EXIST = 1 << 1,
    TK_MUTATION_ASSERT_ABSENT = 1 << 2,
    TK_MUTATION_PREWRITTEN = 1 << 3, /* these two: the commit's own notes */
    TK_MUTATION_DONE = 1 << 4
};

struct tk_mutation {
    const struct tk_entry *handle;
    uint8_t op; /* a number of kvrpcpb.Op */
    uint8_t flags;
};

struct tk_mutations {
    struct tk_mutation *items;
    size_t count;
    size_t places;
};

/* False without memory: nothing changed. */
bool
tk_mutations_add(struct tk_mutations *mutations, const struct tk_entry *handle,
                 uint8_t op, uint8_t flags);

/* The flags a mutation carries, out of those of the key: the lock and the
 * assertion, where one alone is set. */
uint8_t
tk_mutation_flags(uint16_t key_flags);

void
tk_mutations_fini(struct tk_mutations *mutations);

#endif
