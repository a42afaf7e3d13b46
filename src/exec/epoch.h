/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epoch reclamation for structures that readers walk without locks. In
 * production liburcu's bp flavour (threads register themselves); in
 * simulation a retired block is freed at once when no read section is open on
 * the one thread, which is always so between two scheduler steps. Publish
 * with C11 release stores, read with acquire loads. Never wait inside a read
 * section.
 */
#ifndef TK_EXEC_EPOCH_H
#define TK_EXEC_EPOCH_H

#include "exec/runtime.h"

/* The first member, or any, of a block that can be retired. */
struct tk_retired {
    void *next[2]; /* room for liburcu's rcu_head */
    void (*free)(struct tk_retired *);
};

void
tk_epoch_enter(struct tk_runtime *rt);

void
tk_epoch_leave(struct tk_runtime *rt);

void
tk_epoch_retire(struct tk_runtime *rt, struct tk_retired *block,
                void (*free)(struct tk_retired *));

/* Waits until everything retired before is freed. No lock held. */
void
tk_epoch_drain(struct tk_runtime *rt);

#endif
