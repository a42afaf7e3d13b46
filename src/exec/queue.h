/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv_queue: ready futures in order of completion, with an eventfd that is
 * readable while it is not empty (made when first asked for). Lock: rank
 * QUEUE, held for a few stores and, on empty/non-empty only, one write or
 * read of the descriptor.
 */
#ifndef TK_EXEC_QUEUE_H
#define TK_EXEC_QUEUE_H

#include <tikv/future.h>

#include "exec/runtime.h"

/* By the completer, with the queue's reference of the future. */
void
tk_queue_deliver(tikv_queue *queue, struct tikv_future *future,
                 struct tk_wakes *wakes);

/* For the simulator, whose threads are not the process's. */
tikv_error *
tk_queue_new(struct tk_runtime *rt, tikv_queue **out);

#endif
