/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local latches (TXN-4): commits of one client that write the same keys queue
 * up here instead of meeting each other's locks in TiKV, and one that comes
 * too late (a key was committed after its start) learns it without a request.
 * Off unless `txn.latches_count` says so: it helps where one process writes
 * hot keys.
 *
 *     place   FREE --lock--> OWNED --unlock--> FREE, or the first waiter's
 *
 * Keys are known by a hash alone: two keys of one hash share a latch, which
 * costs a queue or a needless conflict, never a wrong result. A ticket takes
 * its places in one order, so tickets cannot wait in a circle.
 *
 * Any thread. Lock: rank LEAF, for all of it, a few stores at a time.
 */
#ifndef TK_TXN_LATCH_H
#define TK_TXN_LATCH_H

#include "exec/mutex.h"
#include "exec/op.h"

struct tk_latches;

/* `slots_count` is rounded up to a power of two. NULL without memory. */
struct tk_latches *
tk_latches_new(struct tk_runtime *rt, size_t slots_count);

/* Nobody waits any more. Takes NULL. */
void
tk_latches_free(struct tk_latches *latches);

struct tk_latch_node;

/* One key of a ticket. */
struct tk_latch_place {
    uint64_t hash;
    struct tk_latch_node *node;
    struct tk_latch_ticket *ticket;
    struct tk_latch_place *next; /* in the node's queue; under the lock */
};

struct tk_latch_ticket {
    uint64_t start_ts;
    struct tk_latch_place *places; /* ascending, each once */
    size_t count;
    size_t taken;            /* under the lock: the first so many are owned */
    bool is_stale;           /* under the lock, until signal */
    struct tk_signal signal; /* a place was handed over */
};

/* False without memory. */
bool
tk_latch_ticket_init(struct tk_latch_ticket *ticket, uint64_t start_ts,
                     size_t keys_count);

void
tk_latch_ticket_fini(struct tk_latch_ticket *ticket);

/* Once per key, in any order, before lock. */
void
tk_latch_ticket_add(struct tk_latch_ticket *ticket, tikv_slice key);

/* Waits its turn for every key. WRITE_CONFLICT: one of them was committed
 * after the start; MEMORY; or the op's end. After an error nothing is
 * owned. */
tikv_error *
tk_latches_lock(struct tk_latches *latches, struct tk_op *op,
                struct tk_latch_ticket *ticket)
    __attribute__((warn_unused_result));

/* `commit_ts` is 0 for a transaction that failed. */
void
tk_latches_unlock(struct tk_latches *latches, struct tk_latch_ticket *ticket,
                  uint64_t commit_ts);

#endif
