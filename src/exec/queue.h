/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv_queue: ready futures in order of completion, with an eventfd that is
 * readable while it is not empty (made when first asked for). Lock: rank
 * QUEUE, held for a few stores and, on empty/non-empty only, one write or
 * read of the descriptor.
 *
 * The queue also knows the futures it waits for: a thread about to sleep on
 * it flushes what the newest of them wait for (requests held back are among
 * the newest; whatever is older goes with the transport's own sweep).
 */
#ifndef TK_EXEC_QUEUE_H
#define TK_EXEC_QUEUE_H

#include <tikv/future.h>

#include "exec/runtime.h"

/* The application's reference of the future is the queue's from here on. */
void
tk_queue_expect(tikv_queue *queue, struct tikv_future *future);

/* By the completer, once per expected future. */
void
tk_queue_deliver(tikv_queue *queue, struct tikv_future *future,
                 struct tk_wakes *wakes);

/* For the simulator, whose threads are not the process's. */
tikv_error *
tk_queue_new(struct tk_runtime *rt, tikv_queue **out);

#endif
