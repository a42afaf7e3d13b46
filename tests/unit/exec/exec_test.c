/* SPDX-License-Identifier: Apache-2.0 */
/* Pool, drain and close; operations, their waits, and cancel objects. */
#include "unit/exec/stage.h"

/* --- The pool ------------------------------------------------------------- */

static void
refuses_more_than_its_bound(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 2);
    struct stage_future *futures[5];
    struct latch entered;
    struct gate gate;
    size_t i;

    latch_init(&entered, rt);
    gate_init(&gate, rt);
    for (i = 0; i < 5; i++) {
        futures[i] = stage_future(exec, NULL);
        futures[i]->gate = &gate;
    }
    futures[0]->entered = &entered;
    tk_future_start(&futures[0]->future, false);
    latch_wait(&entered, 1);
    for (i = 1; i < 4; i++) {
        tk_future_start(&futures[i]->future, false);
    }
    assert_true(tikv_future_ready(&futures[3]->future));
    stage_expect(tikv_future_take_u64(&futures[3]->future, NULL),
                 TIKV_ERR_OVERLOAD);
    /* What finishes accepted work is not refused. */
    tk_future_start(&futures[4]->future, true);
    gate_open(&gate);
    assert_true(tikv_future_wait(&futures[4]->future, TIKV_FOREVER));
    stage_take(&futures[4]->future);
    for (i = 0; i < 5; i++) {
        tikv_future_free(&futures[i]->future);
    }
    stage_close(exec);
}

static void
pool__refuses_more_than_its_bound(void **state)
{
    (void)state;
    stage_both(refuses_more_than_its_bound);
}

static void
refuses_after_close(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 10);
    struct stage_future *self = stage_future(exec, NULL);

    tk_exec_close_begin(exec);
    assert_true(tk_exec_is_closing(exec));
    stage_expect(tk_exec_refusal(exec), TIKV_ERR_CLOSED);
    stage_expect(tk_exec_enter(exec), TIKV_ERR_CLOSED);
    tk_exec_close_begin(exec);
    tk_exec_close_end(exec);
    tk_exec_close_end(exec);
    tk_future_start(&self->future, false);
    stage_expect(tikv_future_take_u64(&self->future, NULL), TIKV_ERR_CLOSED);
    tikv_future_free(&self->future);
    self = stage_future(exec, NULL);
    tk_future_start(&self->future, true);
    stage_expect(tikv_future_take_u64(&self->future, NULL), TIKV_ERR_CLOSED);
    tikv_future_free(&self->future);
    tk_exec_unref(exec);
}

static void
pool__refuses_after_close(void **state)
{
    (void)state;
    stage_both(refuses_after_close);
}

#define MANY 130

static void
ends_all_futures_at_close(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 100, 1000);
    struct stage_future *futures[MANY];
    struct latch entered;
    struct gate gate;
    size_t i;

    /* More operations asleep than a collector of wake-ups holds. */
    latch_init(&entered, rt);
    gate_init(&gate, rt);
    for (i = 0; i < MANY; i++) {
        futures[i] = stage_future(exec, NULL);
        futures[i]->gate = &gate;
        futures[i]->entered = &entered;
        tk_future_start(&futures[i]->future, false);
    }
    latch_wait(&entered, 100);
    tk_exec_close_begin(exec);
    tk_exec_close_end(exec);
    for (i = 0; i < MANY; i++) {
        assert_true(tikv_future_ready(&futures[i]->future));
        stage_expect(tikv_future_take_u64(&futures[i]->future, NULL),
                     TIKV_ERR_CLOSED);
    }
    tk_exec_unref(exec);
    /* Futures outlive everything but themselves. */
    for (i = 0; i < MANY; i++) {
        tikv_future_free(&futures[i]->future);
    }
}

static void
close__ends_all_futures(void **state)
{
    (void)state;
    stage_threads(ends_all_futures_at_close);
    stage_sim(ends_all_futures_at_close, 1);
    stage_sim(ends_all_futures_at_close, 2);
}

/* --- Close beside blocking calls ------------------------------------------ */

struct caller {
    struct tk_exec *exec;
    struct latch *entered;
    _Atomic uint32_t inside;
    _Atomic uint32_t refused;
    _Atomic uint32_t closed;
};

/* A blocking call of the library: enters, sleeps in backoff, leaves. */
static void
call_until_closed(void *arg)
{
    struct caller *caller = arg;
    bool is_closed = false;

    latch_hit(caller->entered);
    while (!is_closed) {
        tikv_error *error = tk_exec_enter(caller->exec);
        struct tk_op op;

        if (error != NULL) {
            stage_expect(error, TIKV_ERR_CLOSED);
            atomic_fetch_add(&caller->refused, 1);
            break;
        }
        atomic_fetch_add(&caller->inside, 1);
        assert_true(tk_op_init(&op, caller->exec, NULL, TK_NEVER));
        error = tk_op_sleep(&op, TK_MS / 10);
        if (error != NULL) {
            stage_expect(error, TIKV_ERR_CLOSED);
            atomic_fetch_add(&caller->closed, 1);
            is_closed = true;
        }
        tk_op_fini(&op);
        atomic_fetch_sub(&caller->inside, 1);
        tk_exec_leave(caller->exec);
    }
}

static void
waits_for_calls_to_leave(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct latch entered;
    struct caller caller = { exec, &entered, 0, 0, 0 };
    struct stage_thread threads[5];
    size_t i;

    latch_init(&entered, rt);
    for (i = 0; i < 5; i++) {
        stage_go(&threads[i], rt, call_until_closed, &caller);
    }
    latch_wait(&entered, 5);
    tk_exec_close_begin(exec);
    tk_exec_close_end(exec);
    assert_int_equal(atomic_load(&caller.inside), 0);
    for (i = 0; i < 5; i++) {
        stage_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&caller.closed) + atomic_load(&caller.refused),
                     5);
    tk_exec_unref(exec);
}

static void
close__waits_for_calls_to_leave(void **state)
{
    (void)state;
    stage_both(waits_for_calls_to_leave);
}

static void
drains(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 10);
    int64_t begin = tk_now(rt);
    struct stage_future *self;
    struct gate gate;

    gate_init(&gate, rt);
    assert_true(tk_exec_drain(exec, 0));
    self = stage_future(exec, NULL);
    self->gate = &gate;
    tk_future_start(&self->future, false);
    assert_false(tk_exec_drain(exec, begin + 2 * TK_MS));
    assert_true(tk_now(rt) >= begin + 2 * TK_MS);
    gate_open(&gate);
    assert_true(tk_exec_drain(exec, TK_NEVER));
    assert_true(tikv_future_ready(&self->future));
    tikv_future_free(&self->future);
    assert_null(tk_exec_enter(exec));
    assert_false(tk_exec_drain(exec, tk_now(rt) + TK_MS));
    tk_exec_leave(exec);
    assert_true(tk_exec_drain(exec, 0));
    stage_close(exec);
}

static void
drain__waits_for_futures_and_calls(void **state)
{
    (void)state;
    stage_both(drains);
}

/* --- Operations ----------------------------------------------------------- */

static void
takes_the_earlier_deadline(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_call call = TIKV_CALL_INIT;
    struct tk_op op;

    (void)rt;
    assert_int_equal(tk_call_deadline(NULL, 10, 5), 15);
    assert_int_equal(tk_call_deadline(&call, 10, TK_NEVER), TK_NEVER);
    call.timeout_ms = TIKV_FOREVER;
    assert_int_equal(tk_call_deadline(&call, 10, 5), TK_NEVER);
    call.timeout_ms = INT64_MAX;
    assert_int_equal(tk_call_deadline(&call, 10, 5), TK_NEVER);
    call.timeout_ms = 2;
    assert_int_equal(tk_call_deadline(&call, 10, 5), 10 + 2 * TK_MS);
    call.deadline_ns = 11;
    assert_int_equal(tk_call_deadline(&call, 10, 5), 11);
    assert_true(tk_op_init(&op, exec, &call, 5));
    stage_expect(tk_op_check(&op), TIKV_ERR_TIMEOUT);
    stage_expect(tk_op_sleep(&op, SECOND_NS), TIKV_ERR_TIMEOUT);
    tk_op_fini(&op);
    stage_close(exec);
}

static void
op__takes_the_earlier_deadline(void **state)
{
    (void)state;
    stage_both(takes_the_earlier_deadline);
}

struct posted {
    struct tk_op *op;
    struct tk_note notes[50];
};

static void
post_notes(void *arg)
{
    struct posted *posted = arg;
    struct tk_wakes wakes;
    size_t i;

    for (i = 0; i < 50; i++) {
        tk_wakes_init(&wakes, posted->op->rt);
        tk_op_push(posted->op, &posted->notes[i], &wakes);
        tk_wakes_flush(&wakes);
    }
}

static void
gets_all_notes_in_order(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct posted posted[2];
    struct stage_thread threads[2];
    size_t seen[2] = { 0, 0 };
    struct tk_op op;
    size_t i;

    assert_true(tk_op_init(&op, exec, NULL, TK_NEVER));
    for (i = 0; i < 2; i++) {
        posted[i].op = &op;
        stage_go(&threads[i], rt, post_notes, &posted[i]);
    }
    while (seen[0] + seen[1] < 100) {
        struct tk_note *note = tk_op_take(&op);

        if (note == NULL) {
            tk_op_wait(&op, TK_NEVER, TK_BACKOFF_KINDS);
        }
        while (note != NULL) {
            size_t from =
                note >= posted[1].notes && note < posted[1].notes + 50;

            assert_ptr_equal(note, &posted[from].notes[seen[from]++]);
            note = note->next;
        }
    }
    stage_join(&threads[0]);
    stage_join(&threads[1]);
    tk_op_fini(&op);
    stage_close(exec);
}

static void
op__gets_all_notes_in_order(void **state)
{
    (void)state;
    stage_both(gets_all_notes_in_order);
}

struct setter {
    struct tk_signal *signal;
    struct tk_runtime *rt;
};

static void
set_signal(void *arg)
{
    struct setter *setter = arg;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, setter->rt);
    tk_signal_set(setter->signal, &wakes);
    tk_wakes_flush(&wakes);
}

static void
awaits_signals(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    tikv_call call = TIKV_CALL_INIT;
    struct stage_thread thread;
    struct tk_signal signal;
    struct setter setter = { &signal, rt };
    struct tk_op op;

    assert_true(tk_op_init(&op, exec, NULL, TK_NEVER));
    tk_signal_init(&signal, &op);
    assert_false(tk_signal_is_set(&signal));
    stage_go(&thread, rt, set_signal, &setter);
    assert_null(tk_op_await(&op, &signal));
    stage_join(&thread);
    tk_op_fini(&op);

    /* A stopped op still waits where it must. */
    call.deadline_ns = 1;
    assert_true(tk_op_init(&op, exec, &call, TK_NEVER));
    tk_signal_init(&signal, &op);
    stage_expect(tk_op_await(&op, &signal), TIKV_ERR_TIMEOUT);
    stage_go(&thread, rt, set_signal, &setter);
    tk_op_await_surely(&op, &signal);
    assert_true(tk_signal_is_set(&signal));
    assert_null(tk_op_await(&op, &signal));
    stage_join(&thread);
    tk_op_fini(&op);
    stage_close(exec);
}

static void
op__awaits_signals(void **state)
{
    (void)state;
    stage_both(awaits_signals);
}

/* --- Cancel objects ------------------------------------------------------- */

struct sleeper {
    struct tk_exec *exec;
    tikv_cancel *cancel;
    struct latch *begun;
    _Atomic uint32_t cancelled;
};

static void
sleep_until_cancelled(void *arg)
{
    struct sleeper *sleeper = arg;
    tikv_call call = TIKV_CALL_INIT;
    struct tk_op op;

    call.cancel = sleeper->cancel;
    assert_true(tk_op_init(&op, sleeper->exec, &call, TK_NEVER));
    latch_hit(sleeper->begun);
    stage_expect(tk_op_sleep(&op, 3600 * SECOND_NS), TIKV_ERR_CANCELLED);
    atomic_fetch_add(&sleeper->cancelled, 1);
    tk_op_fini(&op);
}

static void
cancels_all_kinds(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 1000);
    tikv_call call = TIKV_CALL_INIT;
    struct stage_future *hot[100];
    struct stage_future *worker;
    struct stage_thread threads[70];
    struct latch begun;
    struct sleeper sleeper = { exec, NULL, &begun, 0 };
    struct gate gate;
    size_t i;

    latch_init(&begun, rt);
    gate_init(&gate, rt);
    assert_null(tikv_cancel_new(&sleeper.cancel));
    call.cancel = sleeper.cancel;
    for (i = 0; i < 70; i++) {
        stage_go(&threads[i], rt, sleep_until_cancelled, &sleeper);
    }
    for (i = 0; i < 100; i++) {
        hot[i] = stage_hot(exec, &call);
    }
    worker = stage_future(exec, &call);
    tk_future_listen(&worker->future);
    worker->gate = &gate;
    worker->entered = &begun;
    tk_future_start(&worker->future, false);
    latch_wait(&begun, 71);
    stage_answer(hot[99], 5, NULL);
    assert_false(tikv_cancel_raised(sleeper.cancel));
    tikv_cancel_raise(sleeper.cancel);
    tikv_cancel_raise(sleeper.cancel);
    assert_true(tikv_cancel_raised(sleeper.cancel));
    for (i = 0; i < 70; i++) {
        stage_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&sleeper.cancelled), 70);
    for (i = 0; i < 99; i++) {
        stage_expect(tikv_future_take_u64(&hot[i]->future, NULL),
                     TIKV_ERR_CANCELLED);
        tikv_future_free(&hot[i]->future);
    }
    assert_int_equal(stage_take(&hot[99]->future), 5);
    tikv_future_free(&hot[99]->future);
    assert_true(tikv_future_wait(&worker->future, TIKV_FOREVER));
    stage_expect(tikv_future_take_u64(&worker->future, NULL),
                 TIKV_ERR_CANCELLED);
    tikv_future_free(&worker->future);

    /* It stays raised, for futures and calls that come later. */
    hot[0] = stage_hot(exec, &call);
    assert_true(tikv_future_ready(&hot[0]->future));
    tikv_future_free(&hot[0]->future);
    sleep_until_cancelled(&sleeper);
    tikv_cancel_free(sleeper.cancel);
    stage_close(exec);
}

static void
cancel__ends_calls_and_futures(void **state)
{
    (void)state;
    stage_threads(cancels_all_kinds);
    stage_sim(cancels_all_kinds, 1);
    stage_sim(cancels_all_kinds, 2);
    tikv_cancel_raise(NULL);
    tikv_cancel_free(NULL);
    assert_false(tikv_cancel_raised(NULL));
}

struct race {
    tikv_cancel *cancel;
    struct stage_future *future;
};

static void
raise_one(void *arg)
{
    tikv_cancel_raise(((struct race *)arg)->cancel);
}

static void
answer_one(void *arg)
{
    stage_answer(((struct race *)arg)->future, 1, NULL);
}

static void
raises_beside_the_end(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    uint32_t i;

    for (i = 0; i < 20; i++) {
        tikv_call call = TIKV_CALL_INIT;
        struct stage_thread one;
        struct stage_thread two;
        struct race race;

        assert_null(tikv_cancel_new(&race.cancel));
        call.cancel = race.cancel;
        race.future = stage_hot(exec, &call);
        stage_go(&one, rt, answer_one, &race);
        stage_go(&two, rt, raise_one, &race);
        assert_true(tikv_future_wait(&race.future->future, TIKV_FOREVER));
        stage_join(&one);
        stage_join(&two);
        tikv_future_free(&race.future->future);
        tikv_cancel_free(race.cancel);
    }
    stage_close(exec);
}

static void
cancel__raised_beside_the_end_ends_once(void **state)
{
    (void)state;
    stage_both(raises_beside_the_end);
}

#ifdef TK_DEBUG
static void
open__survives_every_failed_allocation(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = NULL;
    uint64_t nth = 0;

    (void)state;
    while (exec == NULL && nth < 20) {
        tikv_error *error;

        tk_alloc_fail_nth(++nth);
        error = tk_exec_open(rt, 3, 10, &exec);
        tk_alloc_fail_nth(0);
        assert_true((error == NULL) == (exec != NULL));
        if (error != NULL) {
            stage_expect(error, TIKV_ERR_MEMORY);
        }
    }
    assert_int_equal(nth, 7);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(pool__refuses_more_than_its_bound),
        harness_test(pool__refuses_after_close),
        harness_test(close__ends_all_futures),
        harness_test(close__waits_for_calls_to_leave),
        harness_test(drain__waits_for_futures_and_calls),
        harness_test(op__takes_the_earlier_deadline),
        harness_test(op__gets_all_notes_in_order),
        harness_test(op__awaits_signals),
        harness_test(cancel__ends_calls_and_futures),
        harness_test(cancel__raised_beside_the_end_ends_once),
#ifdef TK_DEBUG
        harness_test(open__survives_every_failed_allocation),
#endif
    };

    return harness_run(tests);
}
