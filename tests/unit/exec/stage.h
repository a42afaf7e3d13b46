/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage of this room's tests: one body runs under both runtimes, its
 * threads play the application, latches and gates take the place of sleeps.
 */
#ifndef TK_UNIT_EXEC_STAGE_H
#define TK_UNIT_EXEC_STAGE_H

#include "harness/harness.h"

#include "base/alloc.h"
#include "base/error.h"
#include "exec/exec.h"
#include "exec/future.h"
#include "exec/mutex.h"
#include "exec/queue.h"
#include "exec/runtime_sim.h"

#define STAGE_SEEDS 40
#define STAGE_STEPS 2000000

#define SECOND_NS INT64_C(1000000000)

/* --- Bodies under both runtimes ------------------------------------------- */

typedef void
stage_fn(struct tk_runtime *rt);

struct stage_body {
    stage_fn *fn;
    struct tk_runtime *rt;
};

static inline void
stage_enter(void *arg)
{
    struct stage_body *body = arg;

    body->fn(body->rt);
}

static inline uint64_t
stage_sim(stage_fn *fn, uint64_t seed)
{
    struct stage_body body = { fn, tk_runtime_sim_new(seed) };
    uint64_t hash;

    assert_non_null(body.rt);
    if (!tk_runtime_sim_run(body.rt, stage_enter, &body, STAGE_STEPS)) {
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 tk_runtime_sim_report(body.rt));
    }
    hash = tk_runtime_sim_hash(body.rt);
    tk_runtime_sim_free(body.rt);
    return hash;
}

static inline void
stage_threads(stage_fn *fn)
{
    struct tk_runtime *rt = tk_runtime_posix_new();

    assert_non_null(rt);
    fn(rt);
    tk_runtime_posix_free(rt);
}

static inline void
stage_both(stage_fn *fn)
{
    uint64_t seed;

    stage_threads(fn);
    for (seed = 1; seed <= STAGE_SEEDS; seed++) {
        stage_sim(fn, seed);
    }
}

/* --- Threads of the application ------------------------------------------- */

struct stage_thread {
    struct tk_runtime *rt;
    struct tk_thread *thread;
    void (*fn)(void *);
    void *arg;
};

static inline void
stage_thread_main(void *arg)
{
    struct stage_thread *thread = arg;

    tk_self(thread->rt)->is_library = false;
    thread->fn(thread->arg);
}

static inline void
stage_go(struct stage_thread *thread, struct tk_runtime *rt, void (*fn)(void *),
         void *arg)
{
    *thread = (struct stage_thread){ rt, NULL, fn, arg };
    thread->thread = rt->ops->spawn(rt, "app", stage_thread_main, thread);
    assert_non_null(thread->thread);
}

static inline void
stage_join(struct stage_thread *thread)
{
    thread->rt->ops->join(thread->rt, thread->thread);
}

/* --- A count one thread waits for ----------------------------------------- */

struct latch {
    struct tk_runtime *rt;
    struct tk_parker *waiter;
    _Atomic uint32_t count;
};

static inline void
latch_init(struct latch *latch, struct tk_runtime *rt)
{
    latch->rt = rt;
    latch->waiter = tk_self(rt);
    atomic_init(&latch->count, 0);
}

static inline void
latch_hit(struct latch *latch)
{
    struct tk_parker *waiter = latch->waiter;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, latch->rt);
    atomic_fetch_add(&latch->count, 1);
    tk_wakes_ring(&wakes, waiter);
    tk_wakes_flush(&wakes);
}

static inline void
latch_wait(struct latch *latch, uint32_t count)
{
    for (;;) {
        tk_park_begin(latch->waiter);
        if (atomic_load(&latch->count) >= count) {
            return;
        }
        latch->rt->ops->park(latch->rt, latch->waiter, TK_NEVER);
    }
}

/* --- A door that running operations wait at ------------------------------- */

#define GATE_MAX 256

struct gate {
    struct tk_mutex lock; /* rank LEAF */
    struct tk_runtime *rt;
    bool is_open;
    size_t count;
    struct tk_signal *waiting[GATE_MAX];
};

static inline void
gate_init(struct gate *gate, struct tk_runtime *rt)
{
    memset(gate, 0, sizeof(*gate));
    tk_mutex_init(&gate->lock, TK_RANK_LEAF);
    gate->rt = rt;
}

static inline tikv_error *
gate_pass(struct gate *gate, struct tk_op *op)
{
    struct tk_signal signal;
    tikv_error *error = NULL;
    bool is_open;
    size_t i;

    tk_signal_init(&signal, op);
    tk_mutex_lock(&gate->lock);
    is_open = gate->is_open;
    if (!is_open) {
        assert_true(gate->count < GATE_MAX);
        gate->waiting[gate->count++] = &signal;
    }
    tk_mutex_unlock(&gate->lock);
    if (!is_open) {
        error = tk_op_await(op, &signal);
    }
    tk_mutex_lock(&gate->lock);
    for (i = 0; i < gate->count; i++) {
        if (gate->waiting[i] == &signal) {
            gate->waiting[i] = gate->waiting[--gate->count];
        }
    }
    tk_mutex_unlock(&gate->lock);
    return error;
}

static inline void
gate_open(struct gate *gate)
{
    struct tk_wakes wakes;
    bool is_rest;

    do {
        tk_wakes_init(&wakes, gate->rt);
        tk_mutex_lock(&gate->lock);
        gate->is_open = true;
        while (gate->count != 0 && !tk_wakes_is_full(&wakes)) {
            tk_signal_set(gate->waiting[--gate->count], &wakes);
        }
        is_rest = gate->count != 0;
        tk_mutex_unlock(&gate->lock);
        tk_wakes_flush(&wakes);
    } while (is_rest);
}

/* --- Futures -------------------------------------------------------------- */

/* What an operation of the tests does is told by its first member. */
struct stage_future {
    struct tikv_future future;
    struct gate *gate;      /* waits here first */
    struct latch *entered;  /* hit when a worker runs it */
    uint64_t number;        /* outcome, for a future of kind U64 */
    _Atomic bool in_flight; /* hot: take_back gives it back, once */
    _Atomic uint32_t *flushes;
    _Atomic uint32_t *ends; /* counted by fini */
};

static inline tikv_error *
stage_run(struct tikv_future *future, struct tk_op *op)
{
    struct stage_future *self = (struct stage_future *)future;
    tikv_error *error;

    if (self->entered != NULL) {
        latch_hit(self->entered);
    }
    error = tk_op_check(op);
    if (error == NULL && self->gate != NULL) {
        error = gate_pass(self->gate, op);
    }
    future->outcome.number[0] = self->number;
    return error;
}

static inline bool
stage_take_back(struct tikv_future *future, tikv_error **error)
{
    struct stage_future *self = (struct stage_future *)future;

    *error = tk_error_immortal(TIKV_ERR_CANCELLED);
    return atomic_exchange(&self->in_flight, false);
}

static inline void
stage_flush(struct tikv_future *future)
{
    struct stage_future *self = (struct stage_future *)future;

    if (self->flushes != NULL) {
        atomic_fetch_add(self->flushes, 1);
    }
}

static inline void
stage_fini(struct tikv_future *future)
{
    struct stage_future *self = (struct stage_future *)future;

    if (self->ends != NULL) {
        atomic_fetch_add(self->ends, 1);
    }
}

static const struct tk_future_ops stage_ops = { stage_run, stage_take_back,
                                                stage_flush, stage_fini };

static inline struct stage_future *
stage_future(struct tk_exec *exec, const tikv_call *call)
{
    struct tikv_future *future =
        tk_future_new(exec, sizeof(struct stage_future), &stage_ops,
                      TK_KIND_U64, call, 60 * SECOND_NS);

    assert_non_null(future);
    memset(future + 1, 0, sizeof(struct stage_future) - sizeof(*future));
    return (struct stage_future *)future;
}

/* A future in flight, to be completed by stage_answer(). */
static inline struct stage_future *
stage_hot(struct tk_exec *exec, const tikv_call *call)
{
    struct stage_future *self = stage_future(exec, call);

    atomic_store(&self->in_flight, true);
    tk_future_listen(&self->future);
    return self;
}

/* What a stream does with an answer; false: it was taken back. */
static inline bool
stage_answer(struct stage_future *self, uint64_t number, tikv_error *error)
{
    struct tk_wakes wakes;

    if (!atomic_exchange(&self->in_flight, false)) {
        tikv_error_free(error);
        return false;
    }
    tk_wakes_init(&wakes, tk_exec_runtime(self->future.exec));
    self->future.outcome.number[0] = number;
    tk_future_complete(&self->future, error, &wakes);
    tk_wakes_flush(&wakes);
    return true;
}

static inline struct tk_exec *
stage_exec(struct tk_runtime *rt, uint32_t workers, uint32_t queue_max)
{
    struct tk_exec *exec = NULL;

    assert_null(tk_exec_open(rt, workers, queue_max, &exec));
    return exec;
}

static inline void
stage_close(struct tk_exec *exec)
{
    tk_exec_close_begin(exec);
    tk_exec_close_end(exec);
    tk_exec_unref(exec);
}

static inline void
stage_expect(tikv_error *error, tikv_code code)
{
    if (tikv_error_code(error) != code) {
        fail_msg("%s instead of %s: %s", tikv_code_name(tikv_error_code(error)),
                 tikv_code_name(code), tikv_error_message(error));
    }
    tikv_error_free(error);
}

static inline uint64_t
stage_take(tikv_future *future)
{
    uint64_t number = 0;

    stage_expect(tikv_future_take_u64(future, &number), TIKV_OK);
    return number;
}

#endif
