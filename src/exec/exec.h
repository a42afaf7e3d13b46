/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a client that runs operations: the workers and their queue, the
 * list of sleeping operations, and the steps of closing.
 *
 *     OPEN --close_begin--> CLOSING    listed ops are told, none lists unseen
 *     CLOSING --close_end--> DRAINING  pool refuses what is new; what workers
 *                                      and ending operations push still runs
 *     DRAINING --idle and empty--> CLOSED  pool refuses all, workers end, no
 *                                      blocking call is left inside; then
 *                                      the last callbacks return
 *
 * Lock: rank CLIENT. It guards queue, idle workers, op list, future->op.
 */
#ifndef TK_EXEC_EXEC_H
#define TK_EXEC_EXEC_H

#include <tikv/error.h>

#include "exec/runtime.h"

struct tk_exec;

/* Starts `workers_count` workers. */
tikv_error *
tk_exec_open(struct tk_runtime *rt, uint32_t workers_count, uint32_t queue_max,
             struct tk_exec **out);

/* Callbacks that are registered and have not returned, at most. Before the
 * first one. */
void
tk_exec_set_callbacks_max(struct tk_exec *exec, uint32_t max);

struct tk_runtime *
tk_exec_runtime(struct tk_exec *exec);

/* One thing for a worker to do. `run` is called once; the item is its
 * owner's again when run is entered. With `refused` set the pool is draining:
 * finish with CLOSED, do not wait. */
struct tk_work {
    struct tk_work *next;
    void (*run)(struct tk_work *, bool refused);
    int64_t due;    /* not to be run later, whatever is busy; 0: no matter */
    bool is_queued; /* guarded by lock */
};

/* False: the queue is full (OVERLOAD) or the pool refuses (closed); nothing
 * was queued. `must` ignores the bound, and is refused only when the workers
 * have ended: for work that finishes something that was already accepted. */
bool
tk_exec_push(struct tk_exec *exec, struct tk_work *work, bool must);

/* A blocking call begins: NULL, or FORKED, CLOSED, MEMORY. Pair with leave;
 * not nested. Between the two close waits. */
tikv_error *
tk_exec_enter(struct tk_exec *exec) __attribute__((warn_unused_result));

void
tk_exec_leave(struct tk_exec *exec);

/* A short visit to what close frees (flush, take back), by a thread that may
 * already be inside a call. False: closing or forked, do not go. */
bool
tk_exec_visit(struct tk_exec *exec, void **before);

void
tk_exec_depart(struct tk_exec *exec, void *before);

/* NULL, or FORKED or CLOSED, for calls that only submit. */
tikv_error *
tk_exec_refusal(struct tk_exec *exec) __attribute__((warn_unused_result));

bool
tk_exec_is_closing(struct tk_exec *exec);

/* What is alive: futures not yet ready (future.c counts them), and work that
 * goes on behind calls. */
void
tk_exec_live_begin(struct tk_exec *exec);

void
tk_exec_live_end(struct tk_exec *exec);

/* Waits until nothing is alive and no blocking call inside; false when the
 * time is over. On a library thread it only looks. */
bool
tk_exec_drain(struct tk_exec *exec, int64_t until);

/* A thread of the library must not close: it would join itself. */
bool
tk_exec_on_library_thread(struct tk_exec *exec);

/* Between the two the caller closes the transport, so that whatever is in
 * flight ends. Each does its work once; a second closer returns at once. Not
 * from a library thread. The end waits for every callback, however long the
 * application's code takes. In a forked child both do nothing. */
void
tk_exec_close_begin(struct tk_exec *exec);

void
tk_exec_close_end(struct tk_exec *exec);

/* Futures keep the exec alive after close: it is counted. */
void
tk_exec_ref(struct tk_exec *exec);

void
tk_exec_unref(struct tk_exec *exec);

#endif
