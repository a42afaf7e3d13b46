/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that calls the application back, and what does not wait for it. */
#include "unit/exec/stage.h"

#include "exec/exec_inside.h"

enum { CALLS_MAX = 64 };

/* What callbacks write down, and the door that the first one waits at. */
struct book {
    struct tk_runtime *rt;
    struct tk_exec *exec;
    struct latch calls;
    struct latch entered;
    _Atomic(struct tk_parker *) sleeper;
    _Atomic bool is_open;
    uint64_t numbers[CALLS_MAX]; /* by order of calls */
    struct tk_parker *thread;    /* that called */
    bool has_others;             /* some other thread did, too */
    bool is_inside;
    bool has_overlap;
};

static void
book_init(struct book *book, struct tk_runtime *rt, uint32_t workers)
{
    memset(book, 0, sizeof(*book));
    book->rt = rt;
    book->exec = stage_exec(rt, workers, 100);
    latch_init(&book->calls, rt);
    latch_init(&book->entered, rt);
}

static void
write_down(struct book *book, tikv_future *future)
{
    uint32_t place = atomic_load(&book->calls.count);

    book->has_overlap |= book->is_inside;
    book->is_inside = true;
    assert_true(place < CALLS_MAX);
    book->numbers[place] = stage_take(future);
    book->has_others |=
        book->thread != NULL && book->thread != tk_self(book->rt);
    book->thread = tk_self(book->rt);
    book->is_inside = false;
    latch_hit(&book->calls);
}

static void
on_quick(tikv_future *future, void *arg)
{
    write_down(arg, future);
}

/* Waits until somebody opens. */
static void
on_slow(tikv_future *future, void *arg)
{
    struct book *book = arg;
    struct tk_parker *me = tk_self(book->rt);

    atomic_store(&book->sleeper, me);
    latch_hit(&book->entered);
    for (;;) {
        tk_park_begin(me);
        if (atomic_load(&book->is_open)) {
            break;
        }
        book->rt->ops->park(book->rt, me, TK_NEVER);
    }
    write_down(book, future);
}

static void
open_door(void *arg)
{
    struct book *book = arg;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, book->rt);
    atomic_store(&book->is_open, true);
    tk_wakes_ring(&wakes, atomic_load(&book->sleeper));
    tk_wakes_flush(&wakes);
}

static struct stage_future *
expect_call(struct book *book, tikv_future_fn *fn)
{
    struct stage_future *self = stage_hot(book->exec, NULL);

    stage_expect(tikv_future_on_ready(&self->future, fn, book), TIKV_OK);
    return self;
}

static void
answer_and_free(struct stage_future *self, uint64_t number)
{
    assert_true(stage_answer(self, number, NULL));
    tikv_future_free(&self->future);
}

/* ---- a slow callback ---- */

static void
others_go_on(struct tk_runtime *rt)
{
    struct stage_future *queued;
    struct stage_future *hot;
    struct book book;

    book_init(&book, rt, 1);
    answer_and_free(expect_call(&book, on_slow), 1);
    latch_wait(&book.entered, 1);

    /* Neither the only worker nor whoever reads answers is held up. */
    queued = stage_future(book.exec, NULL);
    queued->number = 7;
    tk_future_start(&queued->future, false);
    assert_true(tikv_future_wait(&queued->future, TIKV_FOREVER));
    assert_int_equal(stage_take(&queued->future), 7);
    tikv_future_free(&queued->future);
    hot = stage_hot(book.exec, NULL);
    assert_true(stage_answer(hot, 8, NULL));
    assert_int_equal(stage_take(&hot->future), 8);
    tikv_future_free(&hot->future);
    answer_and_free(expect_call(&book, on_quick), 2);
    assert_int_equal(atomic_load(&book.calls.count), 0);

    open_door(&book);
    latch_wait(&book.calls, 2);
    stage_close(book.exec);
    assert_int_equal(book.numbers[0], 1);
    assert_int_equal(book.numbers[1], 2);
}

static void
slow_callback__holds_up_no_operation(void **state)
{
    (void)state;
    stage_both(others_go_on);
}

/* ---- order ---- */

static void
calls_in_order(struct tk_runtime *rt)
{
    struct stage_future *futures[CALLS_MAX];
    struct book book;
    size_t i;

    book_init(&book, rt, 3);
    for (i = 0; i < CALLS_MAX; i++) {
        futures[i] = expect_call(&book, on_quick);
    }
    /* As they get ready, not as they were made. */
    for (i = 0; i < CALLS_MAX; i++) {
        answer_and_free(futures[CALLS_MAX - 1 - i], i);
    }
    latch_wait(&book.calls, CALLS_MAX);
    stage_close(book.exec);
    for (i = 0; i < CALLS_MAX; i++) {
        assert_int_equal(book.numbers[i], i);
    }
    assert_false(book.has_others);
    assert_false(book.has_overlap);
}

static void
callbacks__come_in_the_order_of_completion(void **state)
{
    (void)state;
    stage_both(calls_in_order);
}

/* ---- close ---- */

static void
close_waits(struct tk_runtime *rt)
{
    struct stage_thread opener;
    struct book book;
    uint32_t i;

    book_init(&book, rt, 1);
    answer_and_free(expect_call(&book, on_slow), 0);
    latch_wait(&book.entered, 1);
    for (i = 1; i <= 10; i++) {
        answer_and_free(expect_call(&book, on_quick), i);
    }
    stage_go(&opener, rt, open_door, &book);
    stage_close(book.exec);
    assert_int_equal(atomic_load(&book.calls.count), 11);
    assert_int_equal(book.numbers[10], 10);
    stage_join(&opener);
}

static void
close__waits_for_pending_callbacks(void **state)
{
    (void)state;
    stage_both(close_waits);
}

/* Begins the next operation as long as it is let. */
static void
on_and_on(tikv_future *future, void *arg)
{
    struct book *book = arg;
    struct stage_future *self = stage_hot(book->exec, NULL);
    tikv_error *error;

    tikv_error_free(tikv_future_take_u64(future, NULL));
    stage_answer(self, 1, NULL);
    error = tikv_future_on_ready(&self->future, on_and_on, book);
    if (error != NULL) {
        stage_expect(error, TIKV_ERR_CLOSED);
        latch_hit(&book->calls);
    }
    tikv_future_free(&self->future);
    tk_point(book->rt);
}

static void
close_ends_a_chain(struct tk_runtime *rt)
{
    struct book book;

    book_init(&book, rt, 1);
    answer_and_free(expect_call(&book, on_and_on), 1);
    stage_close(book.exec);
    assert_int_equal(atomic_load(&book.calls.count), 1);
}

static void
close__ends_callbacks_that_begin_callbacks(void **state)
{
    (void)state;
    stage_both(close_ends_a_chain);
}

/* ---- the thread and the bound ---- */

static void
starts_late(struct tk_runtime *rt)
{
    struct stage_future *self;
    struct book book;

    book_init(&book, rt, 1);
    self = stage_hot(book.exec, NULL);
    stage_answer(self, 1, NULL);
    assert_true(tikv_future_wait(&self->future, TIKV_FOREVER));
    assert_null(book.exec->dispatch.thread);
    stage_expect(tikv_future_on_ready(&self->future, on_quick, &book), TIKV_OK);
    assert_non_null(book.exec->dispatch.thread);
    tikv_future_free(&self->future);
    stage_close(book.exec);
    assert_int_equal(atomic_load(&book.calls.count), 1);
}

static void
thread__begins_with_the_first_callback(void **state)
{
    (void)state;
    stage_both(starts_late);
}

static void
refuses_too_many(struct tk_runtime *rt)
{
    struct stage_future *third;
    struct book book;
    tikv_error *error;

    book_init(&book, rt, 1);
    tk_exec_set_callbacks_max(book.exec, 2);
    answer_and_free(expect_call(&book, on_slow), 1);
    latch_wait(&book.entered, 1);
    answer_and_free(expect_call(&book, on_quick), 2);
    third = stage_hot(book.exec, NULL);
    stage_expect(tikv_future_on_ready(&third->future, on_quick, &book),
                 TIKV_ERR_OVERLOAD);

    /* Whoever was refused may wait, or ask again. */
    open_door(&book);
    latch_wait(&book.calls, 2);
    while ((error = tikv_future_on_ready(&third->future, on_quick, &book)) !=
           NULL) {
        stage_expect(error, TIKV_ERR_OVERLOAD);
        tk_point(rt);
    }
    answer_and_free(third, 3);
    stage_close(book.exec);
    assert_int_equal(atomic_load(&book.calls.count), 3);
}

static void
callbacks__are_bounded(void **state)
{
    (void)state;
    stage_both(refuses_too_many);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(slow_callback__holds_up_no_operation),
        harness_test(callbacks__come_in_the_order_of_completion),
        harness_test(close__waits_for_pending_callbacks),
        harness_test(close__ends_callbacks_that_begin_callbacks),
        harness_test(thread__begins_with_the_first_callback),
        harness_test(callbacks__are_bounded),
    };

    return harness_run(tests);
}
