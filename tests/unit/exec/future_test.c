/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of a future, under threads and under 40 simulated schedules. */
#include "unit/exec/stage.h"

static void
runs_and_gives_its_outcome_once(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 10);
    struct stage_future *self = stage_future(exec, NULL);
    tikv_future *future = &self->future;
    tikv_value *value = (tikv_value *)future;
    struct gate gate;

    gate_init(&gate, rt);
    self->gate = &gate;
    self->number = 42;
    tk_future_start(future, false);
    assert_false(tikv_future_wait(future, 0));
    stage_expect(tikv_future_take_u64(future, NULL), TIKV_ERR_NOT_READY);
    gate_open(&gate);
    assert_true(tikv_future_wait(future, TIKV_FOREVER));
    assert_true(tikv_future_ready(future));
    stage_expect(tikv_future_take_value(future, &value), TIKV_ERR_KIND);
    assert_null(value);
    stage_expect(tikv_future_take_done(future), TIKV_ERR_KIND);
    assert_int_equal(stage_take(future), 42);
    stage_expect(tikv_future_take_u64(future, NULL), TIKV_ERR_TAKEN);
    tikv_future_free(future);
    stage_close(exec);
}

static void
future__gives_its_outcome_once(void **state)
{
    (void)state;
    stage_both(runs_and_gives_its_outcome_once);
}

static void
ends_a_wait_at_its_time(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *self = stage_hot(exec, NULL);
    _Atomic uint32_t flushes = 0;
    int64_t begin = tk_now(rt);

    self->flushes = &flushes;
    assert_false(tikv_future_wait(&self->future, 5));
    assert_true(tk_now(rt) >= begin + 5 * TK_MS);
    /* Held requests go out before the thread sleeps. */
    assert_int_equal(atomic_load(&flushes), 1);
    /* The waiter has left no trace of itself. */
    assert_int_equal(atomic_load(&self->future.word), 0);
    assert_true(stage_answer(self, 1, NULL));
    assert_true(tikv_future_wait(&self->future, 5));
    assert_int_equal(atomic_load(&flushes), 1);
    tikv_future_free(&self->future);
    stage_close(exec);
}

static void
wait__ends_at_its_time_and_flushes_first(void **state)
{
    (void)state;
    stage_both(ends_a_wait_at_its_time);
}

/* Letting go before and after the end. */
static void
is_freed_at_any_moment(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 100);
    _Atomic uint32_t ends = 0;
    struct gate gate;
    uint32_t i;

    gate_init(&gate, rt);
    for (i = 0; i < 20; i++) {
        struct stage_future *self = stage_future(exec, NULL);

        self->ends = &ends;
        self->gate = i % 2 == 0 ? &gate : NULL;
        tk_future_start(&self->future, false);
        tikv_future_free(&self->future);
    }
    gate_open(&gate);
    assert_true(tk_exec_drain(exec, TK_NEVER));
    stage_close(exec);
    assert_int_equal(atomic_load(&ends), 20);
}

static void
future__is_freed_at_any_moment(void **state)
{
    (void)state;
    stage_both(is_freed_at_any_moment);
}

/* --- Several waiters ------------------------------------------------------ */

struct waiters {
    tikv_future *future;
    struct latch *begun;
    int64_t timeout_ms;
    _Atomic uint32_t woken;
};

static void
wait_too(void *arg)
{
    struct waiters *waiters = arg;

    latch_hit(waiters->begun);
    if (tikv_future_wait(waiters->future, waiters->timeout_ms)) {
        atomic_fetch_add(&waiters->woken, 1);
    }
}

static void
wakes_all_waiters(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *self = stage_hot(exec, NULL);
    struct latch begun;
    struct waiters waiters = { &self->future, &begun, TIKV_FOREVER, 0 };
    struct waiters leaver = { &self->future, &begun, 1, 0 };
    struct stage_thread threads[4];
    struct stage_thread leaving;
    size_t i;

    latch_init(&begun, rt);
    for (i = 0; i < 4; i++) {
        stage_go(&threads[i], rt, wait_too, &waiters);
    }
    stage_go(&leaving, rt, wait_too, &leaver);
    stage_join(&leaving);
    latch_wait(&begun, 5);
    tk_point(rt);
    stage_answer(self, 7, NULL);
    for (i = 0; i < 4; i++) {
        stage_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&waiters.woken), 4);
    assert_int_equal(atomic_load(&leaver.woken), 0);
    tikv_future_free(&self->future);
    stage_close(exec);
}

static void
wait__of_several_threads_ends_for_all(void **state)
{
    (void)state;
    stage_both(wakes_all_waiters);
}

/* --- Any and all ---------------------------------------------------------- */

struct later {
    struct stage_future **futures;
    struct latch *begun;
    size_t place;
};

static void
answer_later(void *arg)
{
    struct later *later = arg;

    stage_answer(later->futures[later->place], later->place, NULL);
}

static void
tells_the_first(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *futures[4];
    struct later later = { futures, NULL, 2 };
    tikv_future *all[5] = { NULL };
    struct stage_thread thread;
    _Atomic uint32_t flushes = 0;
    size_t i;

    for (i = 0; i < 4; i++) {
        futures[i] = stage_hot(exec, NULL);
        futures[i]->flushes = &flushes;
        all[i + 1] = &futures[i]->future;
    }
    assert_int_equal(tikv_future_wait_any(all, 5, 0), 5);
    assert_int_equal(tikv_future_wait_any(all, 5, 1), 5);
    assert_int_equal(atomic_load(&flushes), 4);
    assert_int_equal(tikv_future_wait_any(all, 1, TIKV_FOREVER), 1);
    assert_int_equal(tikv_future_wait_any(NULL, 0, TIKV_FOREVER), 0);
    stage_go(&thread, rt, answer_later, &later);
    assert_int_equal(tikv_future_wait_any(all, 5, TIKV_FOREVER), 3);
    stage_join(&thread);
    for (i = 0; i < 4; i++) {
        assert_int_equal(
            atomic_load(&futures[i]->future.word) >> TK_FUTURE_PARKER_SHIFT, 0);
        stage_answer(futures[i], 0, NULL);
        tikv_future_free(all[i + 1]);
    }
    stage_close(exec);
}

static void
wait_any__tells_the_first_and_leaves_no_trace(void **state)
{
    (void)state;
    stage_both(tells_the_first);
}

static void
waits_for_all(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 3, 100);
    tikv_future *all[21] = { NULL };
    struct gate gate;
    size_t i;

    gate_init(&gate, rt);
    for (i = 0; i < 20; i++) {
        struct stage_future *self = stage_future(exec, NULL);

        self->number = i;
        self->gate = i == 11 ? &gate : NULL;
        tk_future_start(&self->future, false);
        all[i] = &self->future;
    }
    assert_false(tikv_future_wait_all(all, 21, 0));
    assert_false(tikv_future_wait_all(all, 21, 1));
    gate_open(&gate);
    assert_true(tikv_future_wait_all(all, 21, TIKV_FOREVER));
    for (i = 0; i < 20; i++) {
        assert_int_equal(stage_take(all[i]), i);
        tikv_future_free(all[i]);
    }
    stage_close(exec);
}

static void
wait_all__waits_for_all(void **state)
{
    (void)state;
    stage_both(waits_for_all);
}

/* --- Callbacks ------------------------------------------------------------ */

struct told {
    struct tk_exec *exec;
    struct latch latch;
    struct tk_parker *registrar;
    _Atomic uint32_t calls;
    _Atomic uint32_t wrong;
};

static void
be_told(tikv_future *future, void *arg)
{
    struct told *told = arg;

    /* On a thread of the library, where waits only look. */
    if (!tk_exec_on_library_thread(told->exec) ||
        tk_self(tk_exec_runtime(told->exec)) == told->registrar ||
        !tikv_future_wait(future, TIKV_FOREVER)) {
        atomic_fetch_add(&told->wrong, 1);
    }
    atomic_fetch_add(&told->calls, 1);
    latch_hit(&told->latch);
}

static void
told_init(struct told *told, struct tk_exec *exec)
{
    memset(told, 0, sizeof(*told));
    told->exec = exec;
    latch_init(&told->latch, tk_exec_runtime(exec));
    told->registrar = told->latch.waiter;
}

static void
answer_one(void *arg)
{
    stage_answer(arg, 1, NULL);
}

static void
calls_back_once(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 10);
    struct told told;
    uint32_t i;

    told_init(&told, exec);
    for (i = 0; i < 3; i++) {
        struct stage_future *self = stage_hot(exec, NULL);
        struct stage_thread thread;

        /* Before, after, and beside the end. */
        if (i == 1) {
            stage_answer(self, 1, NULL);
        }
        stage_go(&thread, rt, answer_one, self);
        stage_expect(tikv_future_on_ready(&self->future, be_told, &told),
                     TIKV_OK);
        stage_expect(tikv_future_on_ready(&self->future, be_told, &told),
                     TIKV_ERR_STATE);
        stage_join(&thread);
        latch_wait(&told.latch, i + 1);
        assert_int_equal(stage_take(&self->future), 1);
        tikv_future_free(&self->future);
    }
    stage_close(exec);
    assert_int_equal(atomic_load(&told.calls), 3);
    assert_int_equal(atomic_load(&told.wrong), 0);
}

static void
on_ready__calls_exactly_once_on_a_library_thread(void **state)
{
    (void)state;
    stage_both(calls_back_once);
}

static void
calls_back_after_free_cancel_and_close(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *hot = stage_hot(exec, NULL);
    struct stage_future *held = stage_future(exec, NULL);
    struct stage_future *queued = stage_future(exec, NULL);
    struct stage_future *late;
    struct told told;
    struct gate gate;

    told_init(&told, exec);
    gate_init(&gate, rt);
    held->gate = &gate;
    tk_future_start(&held->future, false);
    tk_future_start(&queued->future, false);
    stage_expect(tikv_future_on_ready(&hot->future, be_told, &told), TIKV_OK);
    stage_expect(tikv_future_on_ready(&held->future, be_told, &told), TIKV_OK);
    stage_expect(tikv_future_on_ready(&queued->future, be_told, &told),
                 TIKV_OK);
    tikv_future_cancel(&hot->future);
    tikv_future_free(&hot->future);
    tikv_future_free(&held->future);
    tk_exec_close_begin(exec);
    late = stage_hot(exec, NULL);
    tk_exec_close_end(exec);
    assert_int_equal(atomic_load(&told.calls), 3);
    stage_expect(tikv_future_take_u64(&queued->future, NULL), TIKV_ERR_CLOSED);
    tikv_future_free(&queued->future);

    /* No thread of the library is left to call. */
    stage_expect(tikv_future_on_ready(&late->future, be_told, &told),
                 TIKV_ERR_CLOSED);
    stage_answer(late, 1, tk_error_immortal(TIKV_ERR_CLOSED));
    stage_expect(tikv_future_on_ready(&late->future, be_told, &told),
                 TIKV_ERR_CLOSED);
    tikv_future_free(&late->future);
    tk_exec_unref(exec);
    assert_int_equal(atomic_load(&told.calls), 3);
    assert_int_equal(atomic_load(&told.wrong), 0);
}

static void
on_ready__calls_after_free_cancel_and_close(void **state)
{
    (void)state;
    stage_both(calls_back_after_free_cancel_and_close);
}

static void
free_inside(tikv_future *future, void *arg)
{
    tikv_future_free(future);
    latch_hit(arg);
}

static void
is_freed_inside_its_callback(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *self = stage_future(exec, NULL);
    _Atomic uint32_t ends = 0;
    struct latch latch;

    latch_init(&latch, rt);
    self->ends = &ends;
    stage_expect(tikv_future_on_ready(&self->future, free_inside, &latch),
                 TIKV_OK);
    tk_future_start(&self->future, false);
    latch_wait(&latch, 1);
    stage_close(exec);
    assert_int_equal(atomic_load(&ends), 1);
}

static void
on_ready__callback_may_free(void **state)
{
    (void)state;
    stage_both(is_freed_inside_its_callback);
}

/* --- Cancel --------------------------------------------------------------- */

static void
cancels_in_every_state(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *running = stage_future(exec, NULL);
    struct stage_future *queued = stage_future(exec, NULL);
    struct stage_future *hot = stage_hot(exec, NULL);
    struct stage_future *done = stage_hot(exec, NULL);
    struct latch entered;
    struct gate gate;

    gate_init(&gate, rt);
    latch_init(&entered, rt);
    running->gate = &gate;
    running->entered = &entered;
    tk_future_start(&running->future, false);
    latch_wait(&entered, 1);
    tk_future_start(&queued->future, false);
    stage_answer(done, 5, NULL);

    tikv_future_cancel(&queued->future);
    tikv_future_cancel(&running->future);
    tikv_future_cancel(&running->future);
    tikv_future_cancel(&hot->future);
    tikv_future_cancel(&done->future);
    assert_true(tikv_future_wait(&running->future, TIKV_FOREVER));
    assert_true(tikv_future_wait(&queued->future, TIKV_FOREVER));
    assert_true(tikv_future_ready(&hot->future));
    /* The answer came too late, and finds nobody. */
    assert_false(stage_answer(hot, 1, NULL));
    stage_expect(tikv_future_take_u64(&running->future, NULL),
                 TIKV_ERR_CANCELLED);
    stage_expect(tikv_future_take_u64(&queued->future, NULL),
                 TIKV_ERR_CANCELLED);
    stage_expect(tikv_future_take_u64(&hot->future, NULL), TIKV_ERR_CANCELLED);
    assert_int_equal(stage_take(&done->future), 5);
    tikv_future_free(&running->future);
    tikv_future_free(&queued->future);
    tikv_future_free(&hot->future);
    tikv_future_free(&done->future);
    stage_close(exec);
}

static void
cancel__ends_what_can_be_ended(void **state)
{
    (void)state;
    stage_both(cancels_in_every_state);
}

static void
cancel_one(void *arg)
{
    tikv_future_cancel(arg);
}

static void
cancels_beside_the_answer(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    uint32_t i;

    for (i = 0; i < 20; i++) {
        struct stage_future *self = stage_hot(exec, NULL);
        struct stage_thread one;
        struct stage_thread two;
        tikv_error *error;
        tikv_code code;

        stage_go(&one, rt, answer_one, self);
        stage_go(&two, rt, cancel_one, &self->future);
        assert_true(tikv_future_wait(&self->future, TIKV_FOREVER));
        stage_join(&one);
        stage_join(&two);
        error = tikv_future_take_u64(&self->future, NULL);
        code = tikv_error_code(error);
        assert_true(code == TIKV_OK || code == TIKV_ERR_CANCELLED);
        tikv_error_free(error);
        tikv_future_free(&self->future);
    }
    stage_close(exec);
}

static void
cancel__beside_the_answer_ends_once(void **state)
{
    (void)state;
    stage_both(cancels_beside_the_answer);
}

/* --- Deadlines, refusals, memory ------------------------------------------ */

static void
ends_at_its_deadline(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_call call = TIKV_CALL_INIT;
    struct stage_future *self;
    struct gate gate;

    gate_init(&gate, rt);
    call.timeout_ms = 3;
    self = stage_future(exec, &call);
    self->gate = &gate;
    tk_future_start(&self->future, false);
    assert_true(tikv_future_wait(&self->future, TIKV_FOREVER));
    assert_true(tk_now(rt) >= self->future.started + 3 * TK_MS);
    stage_expect(tikv_future_take_u64(&self->future, NULL), TIKV_ERR_TIMEOUT);
    tikv_future_free(&self->future);
    stage_close(exec);
}

static void
future__ends_at_its_deadline(void **state)
{
    (void)state;
    stage_both(ends_at_its_deadline);
}

static void
refused__is_ready_with_its_error_for_every_take(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_future *future;
    tikv_pairs *pairs;

    (void)state;
    future = tk_future_refused(exec, tk_error(TIKV_ERR_ARGUMENT, "no"));
    assert_true(tikv_future_ready(future));
    stage_expect(tikv_future_take_pairs(future, &pairs), TIKV_ERR_ARGUMENT);
    stage_expect(tikv_future_take_done(future), TIKV_ERR_TAKEN);
    tikv_future_free(future);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}

#ifdef TK_DEBUG
static void
new__without_memory_leaves_the_immortal(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_queue *queue;
    tikv_future *future;
    tikv_future *twice[2];
    uint32_t i;

    (void)state;
    assert_null(tikv_queue_new(&queue));
    tk_alloc_fail_nth(1);
    assert_null(tk_future_new(exec, sizeof(struct stage_future), &stage_ops,
                              TK_KIND_U64, NULL, 0));
    tk_alloc_fail_nth(2);
    future = tk_future_refused(exec, tk_error_immortal(TIKV_ERR_CLOSED));
    tk_alloc_fail_nth(0);
    tikv_future_free(future);
    tk_alloc_fail_nth(1);
    future = tk_future_refused(exec, tk_error_immortal(TIKV_ERR_CLOSED));
    tk_alloc_fail_nth(0);
    assert_ptr_equal(future, tk_future_immortal());
    twice[0] = future;
    twice[1] = future;
    for (i = 0; i < 3; i++) {
        assert_true(tikv_future_ready(future));
        assert_true(tikv_future_wait(future, TIKV_FOREVER));
        assert_int_equal(tikv_future_wait_any(twice, 2, TIKV_FOREVER), 0);
        assert_true(tikv_future_wait_all(twice, 2, TIKV_FOREVER));
        tikv_future_cancel(future);
        stage_expect(tikv_future_take_done(future), TIKV_ERR_MEMORY);
        stage_expect(tikv_future_take_u64(future, NULL), TIKV_ERR_MEMORY);
        stage_expect(tikv_future_on_ready(future, be_told, NULL),
                     TIKV_ERR_MEMORY);
        stage_expect(tikv_future_post(future, queue, NULL), TIKV_ERR_MEMORY);
        tikv_future_free(future);
    }
    tikv_queue_free(queue);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}
#endif

static void
churn_blocks(void *arg)
{
    struct tk_exec *exec = arg;
    uint32_t i;

    for (i = 0; i < 50; i++) {
        struct stage_future *self = stage_hot(exec, NULL);

        /* Whatever lay in the block before is gone. */
        assert_int_equal(self->number, 0);
        assert_null(self->future.queue);
        self->number = 99;
        stage_answer(self, i, NULL);
        assert_int_equal(stage_take(&self->future), i);
        tikv_future_free(&self->future);
    }
}

static void
blocks__are_recycled_and_freed_with_their_thread(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_thread thread;

    (void)state;
    tk_future_blocks_max(8);
    stage_go(&thread, rt, churn_blocks, exec);
    stage_join(&thread);
    tk_future_blocks_max(0);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}

static void
future__reads_null_kindly(void **state)
{
    (void)state;
    assert_true(tikv_future_ready(NULL));
    assert_true(tikv_future_wait(NULL, 0));
    stage_expect(tikv_future_take_done(NULL), TIKV_ERR_ARGUMENT);
    stage_expect(tikv_future_on_ready(NULL, be_told, NULL), TIKV_ERR_ARGUMENT);
    stage_expect(tikv_future_post(NULL, NULL, NULL), TIKV_ERR_ARGUMENT);
    tikv_future_cancel(NULL);
    tikv_future_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(future__gives_its_outcome_once),
        harness_test(wait__ends_at_its_time_and_flushes_first),
        harness_test(future__is_freed_at_any_moment),
        harness_test(wait__of_several_threads_ends_for_all),
        harness_test(wait_any__tells_the_first_and_leaves_no_trace),
        harness_test(wait_all__waits_for_all),
        harness_test(on_ready__calls_exactly_once_on_a_library_thread),
        harness_test(on_ready__calls_after_free_cancel_and_close),
        harness_test(on_ready__callback_may_free),
        harness_test(cancel__ends_what_can_be_ended),
        harness_test(cancel__beside_the_answer_ends_once),
        harness_test(future__ends_at_its_deadline),
        harness_test(refused__is_ready_with_its_error_for_every_take),
#ifdef TK_DEBUG
        harness_test(new__without_memory_leaves_the_immortal),
#endif
        harness_test(blocks__are_recycled_and_freed_with_their_thread),
        harness_test(future__reads_null_kindly),
    };

    return harness_run(tests);
}
