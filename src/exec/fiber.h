/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks that take turns on one thread, for the simulator alone. The switch
 * tells the sanitizers, so that both see fibers for what they are.
 */
#ifndef TK_EXEC_FIBER_H
#define TK_EXEC_FIBER_H

#include <stdbool.h>
#include <stddef.h>

/* One side of a switch: a fiber, or the thread that runs the scheduler. */
struct tk_fiber {
    void *sp;    /* saved stack pointer, or ucontext */
    char *stack; /* lowest usable byte; NULL: the thread's own */
    size_t stack_size;
    void (*fn)(void *);
    void *arg;
    struct tk_fiber *home; /* where it returns to when it ends */
    void *fake_stack;      /* ASan's */
    void *tsan;            /* TSan's */
    bool is_over;
};

/* The thread itself. */
void
tk_fiber_init_thread(struct tk_fiber *fiber);

/* False without memory. `fn` runs at the first switch to the fiber; when it
 * returns, the fiber is over and `home` goes on. */
bool
tk_fiber_init(struct tk_fiber *fiber, struct tk_fiber *home, void (*fn)(void *),
              void *arg);

/* Not the running one. */
void
tk_fiber_fini(struct tk_fiber *fiber);

void
tk_fiber_switch(struct tk_fiber *from, struct tk_fiber *to);

#endif
