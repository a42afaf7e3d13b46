/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of struct tk_exec, for the files of this room that share its
 * lock, exec.c, late.c, op.c, future.c, and dispatch.c, which has its own. */
#ifndef TK_EXEC_EXEC_INSIDE_H
#define TK_EXEC_EXEC_INSIDE_H

#include "exec/dispatch.h"
#include "exec/exec.h"
#include "exec/mutex.h"
#include "exec/op.h"

enum { TK_EXEC_OPEN, TK_EXEC_CLOSING, TK_EXEC_DRAINING, TK_EXEC_CLOSED };

struct tk_worker {
    struct tk_exec *exec;
    struct tk_thread *thread; /* fixed once the exec is open */
    struct tk_parker *parker; /* guarded by lock; set before it is idle */
    struct tk_worker *prev;   /* idle list, guarded by lock */
    struct tk_worker *next;
    bool is_idle;
};

/* More than a cache line, whatever the block's alignment. */
enum { TK_EXEC_GAP = 112, TK_EXEC_CELLS = 8 };

/* Futures alive are those begun less those ended. A thread counts in a cell
 * that it shares with few others; sums are for those who wait. */
struct tk_live_cell {
    char gap[TK_EXEC_GAP];
    _Atomic uint64_t begun;
    _Atomic uint64_t ended;
};

struct tk_exec {
    /* A waiter may meet the end of close, and with it of the runtime, at any
     * instruction. So it goes by `ops`, which is static: now, self, park and
     * wake of the production runtime do not look at `rt`. */
    struct tk_runtime *rt;
    const struct tk_runtime_ops *ops;
    struct tk_runtime *home; /* of its parkers: NULL for threads */
    uint32_t fork_number;    /* fixed */

    struct tk_mutex lock;   /* rank CLIENT */
    _Atomic uint32_t state; /* written under lock; seq_cst beside `inside` */
    struct tk_work *first;  /* queue, guarded by lock */
    struct tk_work *last;
    uint32_t queued_count;
    uint32_t queue_max;     /* fixed */
    uint32_t busy_count;    /* workers that run something; guarded by lock */
    struct tk_worker *idle; /* guarded by lock */
    struct tk_op *listed;   /* sleeping operations, guarded by lock */

    struct tk_worker *workers; /* fixed once open */
    uint32_t workers_count;

    struct tk_thread *late;        /* late.c; fixed once open */
    struct tk_parker *late_parker; /* guarded by lock */
    int64_t late_look;             /* when `late` has to look; likewise */

    struct tk_dispatch dispatch; /* callbacks */

    /* Each future changes what follows, from different threads: what is read
     * all the time does not lie beside it. */
    char gap[TK_EXEC_GAP];
    _Atomic uint32_t refs; /* relaxed up, acq_rel down */
    struct tk_live_cell live[TK_EXEC_CELLS];
};

/* The calling thread's. */
static inline struct tk_live_cell *
tk_exec_cell(struct tk_exec *exec)
{
    struct tk_parker *me = exec->ops->self(exec->rt);

    return &exec->live[me == NULL ? 0 : me->index % TK_EXEC_CELLS];
}

static inline void
tk_exec_point(struct tk_exec *exec)
{
    if (exec->ops->point != NULL) {
        exec->ops->point(exec->rt);
    }
}

/* The late thread. */
void
tk_late_main(void *exec);

/* It looks again at what it has to do. */
void
tk_late_ring(struct tk_exec *exec);

/* A work of the queue is due: whether the late thread must be rung for it.
 * Under the lock. */
bool
tk_late_must_look(struct tk_exec *exec, int64_t due);

/* All idle workers look again. */
void
tk_exec_ring_idle(struct tk_exec *exec);

/* Puts the op where close finds it; a closing exec stops it at once. Under
 * the lock. */
void
tk_exec_list(struct tk_exec *exec, struct tk_op *op);

/* A forked child: nothing of the exec may be locked or waited for. */
bool
tk_exec_is_forked(const struct tk_exec *exec);

#endif
