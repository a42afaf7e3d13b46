/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that calls the application back: one per exec, made when the
 * first callback is registered. It runs callbacks one at a time, in the order
 * in which their futures became ready, so a slow one delays other callbacks
 * and nothing else: neither who reads answers nor a worker ever waits for it.
 *
 *     admitted (registered) --future ready--> queued --> called, forgotten
 *
 * Admitted ones are bounded, and with them the queue. Lock: rank CLIENT, its
 * own; callbacks run with none.
 */
#ifndef TK_EXEC_DISPATCH_H
#define TK_EXEC_DISPATCH_H

#include "exec/exec.h"
#include "exec/mutex.h"

struct tikv_future;

#define TK_CALLBACKS_MAX 1000000

struct tk_dispatch {
    struct tk_mutex lock;
    struct tikv_future *first; /* ready; all below guarded by lock */
    struct tikv_future *last;
    uint32_t admitted; /* registered and not returned */
    uint32_t max;
    struct tk_thread *thread;
    struct tk_parker *parker;
    bool is_ended;
};

void
tk_dispatch_init(struct tk_exec *exec);

void
tk_dispatch_fini(struct tk_exec *exec);

/* One more callback will come. CLOSED when the pool drains already, OVERLOAD
 * when there are too many, MEMORY without a thread. */
tikv_error *
tk_dispatch_admit(struct tk_exec *exec) __attribute__((warn_unused_result));

/* The future of an admitted callback is ready; it is referenced. False: the
 * thread has ended, and the callback is forgotten. No lock held. */
bool
tk_dispatch_push(struct tk_exec *exec, struct tikv_future *future,
                 struct tk_wakes *wakes);

/* Waits until all that is queued has run, and the thread has ended. Nobody
 * else may push any more. In a forked child it only frees. */
void
tk_dispatch_end(struct tk_exec *exec);

#endif
