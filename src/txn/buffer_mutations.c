/* SPDX-License-Identifier: Apache-2.0 */
/* A growing array of handles. */
#include "txn/buffer_mutations.h"

#include "base/alloc.h"

bool
tk_mutations_add(struct tk_mutations *mutations, const struct tk_entry *handle,
                 uint8_t op, uint8_t flags)
{
    if (mutations->count == mutations->places) {
        size_t places = mutations->places == 0
                            ? 16
                            : mutations->places + mutations->places / 2;
        struct tk_mutation *grown =
            tk_realloc(mutations->items, places * sizeof(*grown));

        if (grown == NULL) {
            return false;
        }
        mutations->items = grown;
        mutations->places = places;
    }
    mutations->items[mutations->count++] =
        (struct tk_mutation){ .handle = handle, .op = op, .flags = flags };
    return true;
}

uint8_t
tk_mutation_flags(uint16_t key_flags)
{
    uint8_t flags = 0;

    if ((key_flags & TK_KEY_LOCKED) != 0) {
        flags |= TK_MUTATION_PESSIMISTIC;
    }
    if ((key_flags & TK_KEY_ASSERTIONS) == TK_KEY_ASSERT_EXIST) {
        flags |= TK_MUTATION_ASSERT_EXIST;
    }
    if ((key_flags & TK_KEY_ASSERTIONS) == TK_KEY_ASSERT_ABSENT) {
        flags |= TK_MUTATION_ASSERT_ABSENT;
    }
    return flags;
}

void
tk_mutations_fini(struct tk_mutations *mutations)
{
    tk_free(mutations->items);
    *mutations = (struct tk_mutations){ .count = 0 };
}
