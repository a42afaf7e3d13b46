/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of functions under every wait: clock, sleeping, threads, timers,
 * random numbers. Two implementations: production (pthread, futex, monotonic
 * clock; runtime_posix.c) and simulation (fibers on one thread, virtual time,
 * seeded scheduler; runtime_sim.c). Nothing outside exec calls pthread,
 * futex, clock or sleep functions. Times are absolute nanoseconds.
 *
 * A thread sleeps only on its own parker, memory that is never freed, so a
 * late ring is a harmless spurious wake-up:
 *
 *     IDLE --park--> ASLEEP --ring--> RUNG --park returns--> IDLE
 *     IDLE --ring--> RUNG            (the next park returns at once)
 *
 * Every wait is
 *     for (;;) { tk_park_begin(me); if (condition) break; park(me, until); }
 */
#ifndef TK_EXEC_RUNTIME_H
#define TK_EXEC_RUNTIME_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TK_NEVER INT64_MAX
#define TK_MS INT64_C(1000000)

/* Places in the parker table: indices 1 .. TK_PARKERS_MAX fit 24 bits. */
#define TK_PARKERS_MAX UINT32_C(0xffffff)

struct tk_runtime;
struct tk_thread;

struct tk_parker {
    alignas(64) _Atomic uint32_t word;
    uint32_t index;         /* fixed */
    _Atomic(void *) inside; /* the exec whose blocking call runs here */
    void *fiber;            /* simulation only; its owner's */

    /* The simulation this fiber belongs to; NULL: a thread. A place of the
     * table is for threads or for fibers as long as the process lives. */
    _Atomic(struct tk_runtime *) home;

    _Atomic uint32_t free_next; /* free list */

    /* Threads only: what the parkers of a group sleep on is this word of its
     * first one. Every wake raises it. */
    _Atomic uint32_t generation;

    /* Set by spawn: on threads of ours the waits of the public API only
     * look. A test whose spawned thread plays the application clears it. */
    bool is_library;
};

/* Zeroed by its owner, who then sets `fn`. Timers need no allocation: the
 * heap is made of the timers themselves, so arming cannot fail. */
struct tk_timer {
    int64_t when;
    void (*fn)(struct tk_timer *);
    uint64_t order; /* the rest is the runtime's */
    struct tk_timer *child;
    struct tk_timer *sibling;
    struct tk_timer *back; /* parent of a first child, else older sibling */
    bool is_armed;
};

struct tk_runtime_ops {
    int64_t (*now)(struct tk_runtime *);

    /* The calling thread's (fiber's) own; NULL without memory. */
    struct tk_parker *(*self)(struct tk_runtime *);

    /* Own parker only, no lock held, not from a timer or a request's done.
     * May return for no reason. */
    void (*park)(struct tk_runtime *, struct tk_parker *, int64_t until);

    /* Wakes parkers that tk_ring() said were asleep. No lock held. */
    void (*wake)(struct tk_runtime *, struct tk_parker *const *, size_t);

    /* NULL when no thread can be had. */
    struct tk_thread *(*spawn)(struct tk_runtime *, const char *name,
                               void (*)(void *), void *);
    void (*join)(struct tk_runtime *, struct tk_thread *);

    uint64_t (*random)(struct tk_runtime *);

    /* Timer functions run on the timer thread or in the scheduler and do not
     * park; they may take leaf locks. Arming an armed timer moves it. */
    void (*arm)(struct tk_runtime *, struct tk_timer *, int64_t when);

    /* False: it has fired or is firing now. */
    bool (*disarm)(struct tk_runtime *, struct tk_timer *);

    /* A place where the simulator may run somebody else; NULL in
     * production. Use tk_point(). */
    void (*point)(struct tk_runtime *);

    /* Feeds the trace hash of a simulation; NULL in production. */
    void (*trace)(struct tk_runtime *, uint64_t);

    /* Seconds since 1970 in ns: only for things with a meaning outside, such
     * as the TSO of the embedded cluster. */
    int64_t (*wall)(struct tk_runtime *);
};

struct tk_epoch;

struct tk_runtime {
    const struct tk_runtime_ops *ops;
    struct tk_epoch *epoch; /* of a simulation; NULL in production */
};

/* True: it was asleep and the caller owes a wake. Any thread, any time, also
 * late, also under a lock. */
bool
tk_ring(struct tk_parker *parker);

/* Before looking at the condition. An exchange, so ordered before the look. */
void
tk_park_begin(struct tk_parker *self);

/* The parker with that index; never NULL for an index once handed out. */
struct tk_parker *
tk_parker_at(uint32_t index);

/* Places made so far; the table never shrinks. */
uint32_t
tk_parkers_count(void);

/* For runtimes: a place for a thread (`home` NULL) or for a fiber of `home`,
 * IDLE; NULL without memory. No locks: also right in a forked child. */
struct tk_parker *
tk_parker_take(struct tk_runtime *home);

void
tk_parker_give(struct tk_parker *parker);

/* Wake-ups owed, flushed together, with no lock held. A collector that is
 * full while a lock is held would have to flush there: hand over in
 * portions. `rt` may be NULL: the parkers know where they belong, which is
 * also why a flush is safe beside the end of a runtime. */
struct tk_wakes {
    struct tk_runtime *rt;
    size_t count;
    struct tk_parker *parkers[64];
};

static inline void
tk_wakes_init(struct tk_wakes *wakes, struct tk_runtime *rt)
{
    wakes->rt = rt;
    wakes->count = 0;
}

/* Rings, and remembers who was asleep. Flushes itself when full. */
void
tk_wakes_ring(struct tk_wakes *wakes, struct tk_parker *parker);

void
tk_wakes_flush(struct tk_wakes *wakes);

static inline bool
tk_wakes_is_full(const struct tk_wakes *wakes)
{
    return wakes->count == sizeof(wakes->parkers) / sizeof(wakes->parkers[0]);
}

static inline int64_t
tk_now(struct tk_runtime *rt)
{
    return rt->ops->now(rt);
}

static inline struct tk_parker *
tk_self(struct tk_runtime *rt)
{
    return rt->ops->self(rt);
}

static inline void
tk_point(struct tk_runtime *rt)
{
    if (rt->ops->point != NULL) {
        rt->ops->point(rt);
    }
}

static inline void
tk_trace(struct tk_runtime *rt, uint64_t number)
{
    if (rt->ops->trace != NULL) {
        rt->ops->trace(rt, number);
    }
}

/* now + ns without overflow; TK_NEVER stays. */
static inline int64_t
tk_after(int64_t now, int64_t ns)
{
    return ns >= TK_NEVER - now ? TK_NEVER : now + ns;
}

/* A production runtime: a timer thread of its own, started at the first
 * arm. NULL without memory. */
struct tk_runtime *
tk_runtime_posix_new(void);

/* No timer armed, no thread left. */
void
tk_runtime_posix_free(struct tk_runtime *rt);

/* Clock, self, park and wake of the process's own threads, for objects that
 * belong to no client. Lives for ever; arms no timers. */
struct tk_runtime *
tk_runtime_threads(void);

/* Nanoseconds of CLOCK_MONOTONIC, for the face of the library. */
int64_t
tk_clock_monotonic(void);

#endif
