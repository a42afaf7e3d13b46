/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that outlives the call that caused it: committing the keys behind a
 * committed primary, rolling back what a failed commit left. It runs in the
 * pool, with a time of its own; no deadline or cancel of a caller ends it.
 * Close waits for it before anything else stops, and drain counts it.
 *
 * Any thread. Lock: rank LEAF, for the count.
 */
#ifndef TK_TXN_CHORES_H
#define TK_TXN_CHORES_H

#include "exec/exec.h"
#include "exec/mutex.h"
#include "exec/op.h"

struct tk_chores {
    struct tk_exec *exec;
    struct tk_runtime *rt;
    struct tk_mutex lock;
    size_t count;             /* guarded by lock */
    struct tk_parker *waiter; /* guarded by lock; who drains */
};

struct tk_chore {
    struct tk_work work; /* first */
    struct tk_chores *chores;
    int64_t limit_ns;      /* of its op */
    const tikv_call *call; /* the same; NULL: none. Its own cancel and
                              deadline must be unset */

    /* Once, on a worker; `op` is NULL when the client ends and nothing can be
     * sent any more. The chore is its owner's again when it is entered. */
    void (*run)(struct tk_chore *chore, struct tk_op *op);
};

void
tk_chores_init(struct tk_chores *chores, struct tk_exec *exec);

void
tk_chores_fini(struct tk_chores *chores);

/* `run` and `limit_ns` are set. When the pool takes nothing any more, `run`
 * is called here and now, with NULL. No lock held. */
void
tk_chores_add(struct tk_chores *chores, struct tk_chore *chore);

/* Waits until there is none; false when the time was over first. */
bool
tk_chores_drain(struct tk_chores *chores, int64_t until);

#endif
