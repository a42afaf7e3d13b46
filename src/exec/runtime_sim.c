/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation runtime. One step: the scheduler chooses, by its seeded
 * generator, among the fibers that can run and the earliest timer if it is
 * due; where nothing can run, time jumps to the earliest timer. Every run of
 * a fiber costs it up to a microsecond of virtual time, so that time-outs
 * meet running code. A sleeping fiber is a timer.
 *
 * Nothing here may depend on an address, on real time or on a parker's index:
 * fibers are chosen by their place among the runnable, which are kept in the
 * order of their numbers. One thread, no locks.
 */
#include "exec/runtime_sim.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/debug.h"
#include "base/rng.h"
#include "exec/epoch_sim.h"
#include "exec/fiber.h"
#include "exec/mutex.h"
#include "exec/parker.h"
#include "exec/timers.h"

#define REPORT_BYTES ((size_t)64 * 1024)
#define BEGIN_NS INT64_C(1000000000)
/* The wall clock of every simulation begins at 2024-01-01. */
#define BEGIN_WALL_NS INT64_C(1704067200000000000)

enum state { READY, RUNNING, ASLEEP, OVER };

struct tk_thread {
    struct tk_fiber fiber;
    struct sim *sim;
    uint32_t number;
    enum state state;
    void (*fn)(void *);
    void *arg;
    struct tk_parker *parker;
    struct tk_timer alarm;    /* while it sleeps with an end */
    struct tk_thread *joiner; /* waits for this one's end */
    struct tk_thread *next;   /* all, in order of their numbers */
    char name[16];
};

struct sim {
    struct tk_runtime rt;
    struct tk_epoch epoch;
    struct tk_rng schedule; /* the scheduler's own, so that a random() more */
    struct tk_rng numbers;  /* or less in the code changes no schedule */
    int64_t now;
    uint64_t steps;
    uint64_t hash;
    struct tk_timers timers;
    struct tk_fiber scheduler;
    struct tk_thread *running; /* NULL in the scheduler */
    struct tk_thread *all;
    struct tk_thread *last;
    uint32_t made_count;
    uint32_t alive_count;
    struct tk_thread **ready; /* by number */
    size_t ready_count;
    size_t ready_cap; /* at least alive_count */
    struct tk_buf report;
};

static struct sim *
of(struct tk_runtime *rt)
{
    return (struct sim *)(void *)rt;
}

static void
feed(struct sim *sim, uint64_t number)
{
    struct tk_rng mixer = { sim->hash ^ number };

    sim->hash = tk_rng_next(&mixer);
}

static void
make_ready(struct tk_thread *thread)
{
    struct sim *sim = thread->sim;
    size_t at = sim->ready_count;

    if (thread->state == READY || thread->state == OVER) {
        return;
    }
    thread->state = READY;
    tk_timers_remove(&sim->timers, &thread->alarm);
    while (at > 0 && sim->ready[at - 1]->number > thread->number) {
        sim->ready[at] = sim->ready[at - 1];
        at--;
    }
    sim->ready[at] = thread;
    sim->ready_count++;
}

static void
alarm_rings(struct tk_timer *timer)
{
    make_ready((struct tk_thread *)(void *)((char *)timer -
                                            offsetof(struct tk_thread, alarm)));
}

/* Back to the scheduler, until it chooses this fiber again. */
static void
give_way(struct tk_thread *self)
{
    TK_ASSERT(tk_mutex_held() == 0, "a fiber was left with a lock held");
    TK_ASSERT(self->sim->epoch.depth == 0,
              "a fiber was left inside a read section");
    tk_fiber_switch(&self->fiber, &self->sim->scheduler);
}

static void
sim_arm(struct tk_runtime *rt, struct tk_timer *timer, int64_t when)
{
    struct sim *sim = of(rt);

    tk_timers_remove(&sim->timers, timer);
    timer->when = when;
    timer->order = tk_rng_next(&sim->schedule);
    tk_timers_add(&sim->timers, timer);
}

static bool
sim_disarm(struct tk_runtime *rt, struct tk_timer *timer)
{
    return tk_timers_remove(&of(rt)->timers, timer);
}

static struct tk_parker *
sim_self(struct tk_runtime *rt)
{
    struct sim *sim = of(rt);

    return sim->running == NULL ? NULL : sim->running->parker;
}

static void
sim_park(struct tk_runtime *rt, struct tk_parker *self, int64_t until)
{
    struct sim *sim = of(rt);
    struct tk_thread *thread = sim->running;

    TK_ASSERT(thread != NULL && thread->parker == self,
              "park of somebody else's parker, or in a timer");
    if (!tk_parker_lie_down(self)) {
        return;
    }
    thread->state = ASLEEP;
    if (until != TK_NEVER) {
        sim_arm(rt, &thread->alarm, until);
    }
    give_way(thread);
    tk_parker_get_up(self);
}

static void
sim_wake(struct tk_runtime *rt, struct tk_parker *const *parkers, size_t n)
{
    size_t i;

    (void)rt;
    TK_ASSERT(n == 0 || tk_mutex_held() == 0, "wake with a lock held");
    for (i = 0; i < n; i++) {
        struct tk_thread *thread = parkers[i]->fiber;

        if (thread != NULL && thread->state == ASLEEP) {
            make_ready(thread);
        }
    }
}

static void
thread_main(void *arg)
{
    struct tk_thread *self = arg;

    self->fn(self->arg);
    TK_ASSERT(tk_mutex_held() == 0, "a fiber ended with a lock held");
    self->state = OVER;
    self->parker->fiber = NULL;
    tk_parker_give(self->parker);
    if (self->joiner != NULL) {
        make_ready(self->joiner);
    }
}

static bool
reserve_ready(struct sim *sim)
{
    size_t cap = sim->ready_cap == 0 ? 16 : sim->ready_cap * 2;
    struct tk_thread **ready;

    if (sim->alive_count < sim->ready_cap) {
        return true;
    }
    ready = tk_realloc(sim->ready, cap * sizeof(struct tk_thread *));
    if (ready == NULL) {
        return false;
    }
    sim->ready = ready;
    sim->ready_cap = cap;
    return true;
}

static struct tk_thread *
sim_spawn(struct tk_runtime *rt, const char *name, void (*fn)(void *),
          void *arg)
{
    struct sim *sim = of(rt);
    struct tk_thread *thread;

    if (!reserve_ready(sim)) {
        return NULL;
    }
    thread = tk_calloc(sizeof(*thread));
    if (thread == NULL) {
        return NULL;
    }
    thread->parker = tk_parker_take(rt);
    if (thread->parker == NULL ||
        !tk_fiber_init(&thread->fiber, &sim->scheduler, thread_main, thread)) {
        if (thread->parker != NULL) {
            tk_parker_give(thread->parker);
        }
        tk_free(thread);
        return NULL;
    }
    thread->parker->fiber = thread;
    thread->parker->is_library = true;
    thread->sim = sim;
    thread->number = ++sim->made_count;
    thread->fn = fn;
    thread->arg = arg;
    thread->alarm.fn = alarm_rings;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    if (sim->last != NULL) {
        sim->last->next = thread;
    } else {
        sim->all = thread;
    }
    sim->last = thread;
    sim->alive_count++;
    thread->state = ASLEEP;
    make_ready(thread);
    return thread;
}

static void
forget(struct sim *sim, struct tk_thread *thread)
{
    struct tk_thread *before = NULL;
    struct tk_thread *at;

    for (at = sim->all; at != thread; at = at->next) {
        before = at;
    }
    if (before != NULL) {
        before->next = thread->next;
    } else {
        sim->all = thread->next;
    }
    if (sim->last == thread) {
        sim->last = before;
    }
    tk_fiber_fini(&thread->fiber);
    tk_free(thread);
}

static void
sim_join(struct tk_runtime *rt, struct tk_thread *thread)
{
    struct sim *sim = of(rt);
    struct tk_thread *self = sim->running;

    TK_ASSERT(self != NULL, "join outside of a fiber");
    while (thread->state != OVER) {
        thread->joiner = self;
        self->state = ASLEEP;
        give_way(self);
    }
    forget(sim, thread);
}

static int64_t
sim_now(struct tk_runtime *rt)
{
    return of(rt)->now;
}

static int64_t
sim_wall(struct tk_runtime *rt)
{
    return BEGIN_WALL_NS + of(rt)->now;
}

static uint64_t
sim_random(struct tk_runtime *rt)
{
    return tk_rng_next(&of(rt)->numbers);
}

static void
sim_point(struct tk_runtime *rt)
{
    struct sim *sim = of(rt);

    if (sim->running == NULL || tk_mutex_held() != 0 || sim->epoch.depth != 0) {
        return;
    }
    if (tk_rng_below(&sim->schedule, 2) == 0) {
        make_ready(sim->running);
        give_way(sim->running);
    }
}

static void
sim_trace(struct tk_runtime *rt, uint64_t number)
{
    feed(of(rt), number);
}

static const struct tk_runtime_ops ops = { .now = sim_now,
                                           .self = sim_self,
                                           .park = sim_park,
                                           .wake = sim_wake,
                                           .spawn = sim_spawn,
                                           .join = sim_join,
                                           .random = sim_random,
                                           .arm = sim_arm,
                                           .disarm = sim_disarm,
                                           .point = sim_point,
                                           .trace = sim_trace,
                                           .wall = sim_wall };

struct tk_runtime *
tk_runtime_sim_new(uint64_t seed)
{
    struct sim *sim = tk_calloc(sizeof(*sim));

    if (sim == NULL) {
        return NULL;
    }
    sim->rt.ops = &ops;
    sim->rt.epoch = &sim->epoch;
    sim->schedule.state = seed;
    sim->numbers.state = ~seed;
    sim->hash = seed;
    sim->now = BEGIN_NS;
    tk_buf_init(&sim->report, REPORT_BYTES);
    return &sim->rt;
}

static void
run_fiber(struct sim *sim, size_t place)
{
    struct tk_thread *thread = sim->ready[place];

    sim->ready_count--;
    memmove(&sim->ready[place], &sim->ready[place + 1],
            (sim->ready_count - place) * sizeof(struct tk_thread *));
    sim->now += (int64_t)tk_rng_below(&sim->schedule, 1001);
    feed(sim, thread->number);
    feed(sim, (uint64_t)sim->now);
    thread->state = RUNNING;
    sim->running = thread;
    tk_fiber_switch(&sim->scheduler, &thread->fiber);
    sim->running = NULL;
    if (thread->state == OVER) {
        sim->alive_count--;
    }
}

static void
fire(struct sim *sim)
{
    struct tk_timer *timer = sim->timers.root;

    if (timer->when > sim->now) {
        sim->now = timer->when;
    }
    tk_timers_remove(&sim->timers, timer);
    feed(sim, (uint64_t)sim->now);
    timer->fn(timer);
}

static bool
give_up(struct sim *sim, const char *why)
{
    static const char *const states[] = { "ready", "running", "asleep",
                                          "over" };
    struct tk_thread *thread;

    tk_buf_clear(&sim->report);
    tk_buf_printf(&sim->report, "%s at %" PRId64 " ns after %" PRIu64 " steps",
                  why, sim->now - BEGIN_NS, sim->steps);
    for (thread = sim->all; thread != NULL; thread = thread->next) {
        if (thread->state != OVER) {
            tk_buf_printf(&sim->report, "\n  fiber %u \"%s\" %s",
                          (unsigned)thread->number, thread->name,
                          states[thread->state]);
        }
    }
    tk_buf_append(&sim->report, "", 1);
    return false;
}

bool
tk_runtime_sim_run(struct tk_runtime *rt, void (*fn)(void *), void *arg,
                   uint64_t steps_max)
{
    struct sim *sim = of(rt);
    struct tk_thread *first = sim_spawn(rt, "main", fn, arg);
    uint64_t steps_end = steps_max > UINT64_MAX - sim->steps
                             ? UINT64_MAX
                             : sim->steps + steps_max;

    if (first == NULL) {
        return give_up(sim, "no memory for a fiber");
    }
    first->parker->is_library = false;
    tk_fiber_init_thread(&sim->scheduler);
    while (sim->alive_count != 0) {
        struct tk_timer *timer = sim->timers.root;
        bool is_due = timer != NULL && timer->when <= sim->now;
        size_t place;

        if (sim->ready_count == 0 && timer == NULL) {
            return give_up(sim, "deadlock");
        }
        if (sim->steps == steps_end) {
            return give_up(sim, "too many steps");
        }
        sim->steps++;
        place = (size_t)tk_rng_below(&sim->schedule, sim->ready_count + is_due);
        if (place < sim->ready_count) {
            run_fiber(sim, place);
        } else {
            fire(sim);
        }
    }
    return true;
}

uint64_t
tk_runtime_sim_hash(const struct tk_runtime *rt)
{
    return ((const struct sim *)(const void *)rt)->hash;
}

uint64_t
tk_runtime_sim_steps(const struct tk_runtime *rt)
{
    return ((const struct sim *)(const void *)rt)->steps;
}

const char *
tk_runtime_sim_report(const struct tk_runtime *rt)
{
    const struct sim *sim = (const struct sim *)(const void *)rt;

    if (sim->report.len == 0) {
        return "";
    }
    return sim->report.failed ? "no memory for the report"
                              : (const char *)sim->report.data;
}

void
tk_runtime_sim_free(struct tk_runtime *rt)
{
    struct sim *sim;

    if (rt == NULL) {
        return;
    }
    sim = of(rt);
    while (sim->all != NULL) {
        struct tk_thread *thread = sim->all;

        if (thread->state != OVER) {
            thread->parker->fiber = NULL;
            tk_parker_give(thread->parker);
        }
        forget(sim, thread);
    }
    tk_buf_fini(&sim->report);
    tk_free(sim->ready);
    tk_free(sim);
}
