/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short road of point operations: the first attempt is submitted from the
 * caller's thread and completed by the transport's, if the answer is clean.
 * Anything else goes to the pool, which runs the plain function with what the
 * attempt found out. It never retries, sleeps or touches the region cache on
 * the transport's thread.
 */
#ifndef TK_REGION_HOT_H
#define TK_REGION_HOT_H

#include "exec/future.h"
#include "region/drive.h"

/* As in the future, what the transport's thread needs for a clean answer is
 * together: up to the first member of the request. */
struct tk_hot {
    struct tikv_future future; /* first: it is the block */
    enum tk_command command;
    _Atomic bool was_submitted;
    bool is_write; /* a taken back attempt that was sent is in doubt */
    tikv_details *details; /* who wants an account, or NULL */
    struct tk_router *router;

    /* Whether a clean answer, whole, is one that clean() can take; the pool
     * gets the others. NULL: all. The transport's thread. */
    bool (*accept)(struct tk_hot *, const struct tk_peek *, tikv_slice answer);

    /* Clean answer, on the transport's thread: fills future.outcome. `frame`
     * is one reference, taken over. An error ends the future. */
    tikv_error *(*clean)(struct tk_hot *, const struct tk_peek *,
                         struct tk_frame *frame);
    struct tk_request request;
    struct tk_first first;
};

_Static_assert(offsetof(struct tk_hot, command) / TK_CACHE_LINE ==
                   (offsetof(struct tk_hot, request.parts) - 1) /
                       TK_CACHE_LINE,
               "what a clean answer needs is one line");

/* Of a block whose future was just made: so that it can be freed, or handed
 * to the pool, without ever having started here. */
static inline void
tk_hot_init(struct tk_hot *hot, struct tk_router *router)
{
    hot->router = router;
    hot->request.home = NULL;
    hot->request.forward_to = NULL;
    hot->first.is_set = false;
    hot->first.frame = NULL;
    hot->details = NULL;
    hot->accept = NULL;
    atomic_init(&hot->was_submitted, false);
}

/* Starts the future: the short road when the region of `key` is cached and
 * the client open, else the pool. `call` is the encoded call part of the
 * context. After it returns the future may be complete. */
void
tk_hot_start(struct tk_hot *hot, tikv_slice key, tikv_slice call,
             tikv_slice body);

/* For tk_future_ops of operations on the short road. */
bool
tk_hot_take_back(struct tikv_future *future, tikv_error **error);

void
tk_hot_flush(struct tikv_future *future);

/* Lets go of a stored first attempt. */
void
tk_hot_fini(struct tk_hot *hot);

#endif
