/* SPDX-License-Identifier: Apache-2.0 */
/* The completion queue: order, tags, its descriptor, waiters, its end. */
#include "unit/exec/stage.h"

#include <poll.h>

static bool
is_readable(int fd)
{
    struct pollfd look = { .fd = fd, .events = POLLIN };

    return poll(&look, 1, 0) == 1;
}

static void
gives_futures_in_order(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *futures[5];
    tikv_queue *queue;
    tikv_future *got[5];
    void *tags[5];
    void *tag;
    size_t i;

    assert_null(tk_queue_new(rt, &queue));
    assert_null(tikv_queue_next(queue, 0, NULL));
    for (i = 0; i < 5; i++) {
        futures[i] = stage_hot(exec, NULL);
        if (i == 4) {
            stage_answer(futures[i], i, NULL);
        }
        stage_expect(tikv_future_post(&futures[i]->future, queue, &futures[i]),
                     TIKV_OK);
        stage_expect(tikv_future_post(&futures[i]->future, queue, NULL),
                     TIKV_ERR_STATE);
    }
    stage_answer(futures[2], 2, NULL);
    stage_answer(futures[0], 0, NULL);
    stage_answer(futures[1], 1, NULL);
    stage_answer(futures[3], 3, NULL);
    assert_ptr_equal(tikv_queue_next(queue, TIKV_FOREVER, &tag),
                     &futures[4]->future);
    assert_ptr_equal(tag, &futures[4]);
    assert_int_equal(tikv_queue_drain(queue, got, tags, 2, 0), 2);
    assert_ptr_equal(got[0], &futures[2]->future);
    assert_ptr_equal(got[1], &futures[0]->future);
    assert_ptr_equal(tags[1], &futures[0]);
    assert_int_equal(tikv_queue_drain(queue, got, NULL, 5, 10), 2);
    assert_ptr_equal(got[1], &futures[3]->future);
    assert_int_equal(tikv_queue_drain(queue, got, NULL, 5, 1), 0);
    assert_int_equal(tikv_queue_drain(queue, got, NULL, 0, TIKV_FOREVER), 0);
    for (i = 0; i < 5; i++) {
        assert_int_equal(stage_take(&futures[i]->future), i);
        tikv_future_free(&futures[i]->future);
    }
    tikv_queue_free(queue);
    stage_close(exec);
}

static void
queue__gives_futures_in_order_of_completion(void **state)
{
    (void)state;
    stage_both(gives_futures_in_order);
}

static void
keeps_its_level(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *futures[3];
    tikv_queue *queue;
    int fd;
    size_t i;

    assert_null(tk_queue_new(rt, &queue));
    for (i = 0; i < 3; i++) {
        futures[i] = stage_hot(exec, NULL);
        stage_expect(tikv_future_post(&futures[i]->future, queue, NULL),
                     TIKV_OK);
    }
    stage_answer(futures[0], 0, NULL);
    /* Asked for when something is ready already. */
    fd = tikv_queue_fd(queue);
    assert_true(fd >= 0);
    assert_int_equal(tikv_queue_fd(queue), fd);
    assert_true(is_readable(fd));
    stage_answer(futures[1], 1, NULL);
    tikv_future_free(tikv_queue_next(queue, 0, NULL));
    assert_true(is_readable(fd));
    assert_true(is_readable(fd));
    tikv_future_free(tikv_queue_next(queue, 0, NULL));
    assert_false(is_readable(fd));
    assert_null(tikv_queue_next(queue, 0, NULL));
    stage_answer(futures[2], 2, NULL);
    assert_true(is_readable(fd));
    tikv_queue_free(queue);
    stage_close(exec);
}

static void
fd__is_readable_while_something_is_ready(void **state)
{
    (void)state;
    stage_both(keeps_its_level);
}

static void
is_freed_with_futures_inside(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *ready = stage_hot(exec, NULL);
    struct stage_future *expected = stage_hot(exec, NULL);
    _Atomic uint32_t ends = 0;
    tikv_queue *queue;

    assert_null(tk_queue_new(rt, &queue));
    ready->ends = &ends;
    expected->ends = &ends;
    stage_expect(tikv_future_post(&ready->future, queue, NULL), TIKV_OK);
    stage_expect(tikv_future_post(&expected->future, queue, NULL), TIKV_OK);
    stage_answer(ready, 1, NULL);
    tikv_queue_free(queue);
    assert_int_equal(atomic_load(&ends), 1);
    stage_answer(expected, 1, NULL);
    assert_int_equal(atomic_load(&ends), 2);
    stage_close(exec);
}

static void
free__lets_go_of_what_is_inside(void **state)
{
    (void)state;
    stage_both(is_freed_with_futures_inside);
    tikv_queue_free(NULL);
}

/* --- Several takers ------------------------------------------------------- */

#define FUTURES 60

struct takers {
    tikv_queue *queue;
    _Atomic uint32_t taken;
    struct stage_future *futures[FUTURES];
};

static void
take_until_a_null_tag(void *arg)
{
    struct takers *takers = arg;

    for (;;) {
        tikv_future *got[3];
        void *tags[3];
        size_t count =
            tikv_queue_drain(takers->queue, got, tags, 3, TIKV_FOREVER);
        size_t i;
        bool is_end = false;

        for (i = 0; i < count; i++) {
            if (tags[i] == NULL) {
                is_end = true;
            } else {
                atomic_fetch_add(&takers->taken, 1);
            }
            tikv_future_free(got[i]);
        }
        if (is_end) {
            return;
        }
    }
}

static void
answer_all(void *arg)
{
    struct takers *takers = arg;
    size_t i;

    for (i = 0; i < FUTURES; i++) {
        stage_answer(takers->futures[i], i, NULL);
    }
}

static void
serves_several_takers(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct takers takers = { .taken = 0 };
    struct stage_thread threads[4];
    size_t i;

    assert_null(tk_queue_new(rt, &takers.queue));
    for (i = 0; i < FUTURES; i++) {
        takers.futures[i] = stage_hot(exec, NULL);
        stage_expect(
            tikv_future_post(&takers.futures[i]->future, takers.queue, &takers),
            TIKV_OK);
    }
    for (i = 0; i < 3; i++) {
        stage_go(&threads[i], rt, take_until_a_null_tag, &takers);
    }
    stage_go(&threads[3], rt, answer_all, &takers);
    stage_join(&threads[3]);
    /* One end for each taker; one may swallow several, so until all end. */
    while (atomic_load(&takers.taken) < FUTURES) {
        struct stage_future *nothing = stage_hot(exec, NULL);

        assert_false(tikv_future_wait(&nothing->future, 1));
        stage_answer(nothing, 0, NULL);
        tikv_future_free(&nothing->future);
    }
    for (i = 0; i < 9; i++) {
        struct stage_future *end = stage_hot(exec, NULL);

        stage_expect(tikv_future_post(&end->future, takers.queue, NULL),
                     TIKV_OK);
        stage_answer(end, 0, NULL);
    }
    for (i = 0; i < 3; i++) {
        stage_join(&threads[i]);
    }
    assert_int_equal(atomic_load(&takers.taken), FUTURES);
    tikv_queue_free(takers.queue);
    stage_close(exec);
}

static void
queue__serves_several_takers(void **state)
{
    (void)state;
    stage_both(serves_several_takers);
}

static void
flushes_before_it_sleeps(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 10);
    struct stage_future *futures[3];
    _Atomic uint32_t flushes = 0;
    tikv_queue *queue;
    size_t i;

    assert_null(tk_queue_new(rt, &queue));
    for (i = 0; i < 3; i++) {
        futures[i] = stage_hot(exec, NULL);
        futures[i]->flushes = &flushes;
        stage_expect(tikv_future_post(&futures[i]->future, queue, NULL),
                     TIKV_OK);
    }
    assert_null(tikv_queue_next(queue, 0, NULL));
    assert_int_equal(atomic_load(&flushes), 0);
    assert_null(tikv_queue_next(queue, 1, NULL));
    assert_int_equal(atomic_load(&flushes), 3);
    for (i = 0; i < 3; i++) {
        stage_answer(futures[i], 0, NULL);
        tikv_future_free(tikv_queue_next(queue, 0, NULL));
    }
    tikv_queue_free(queue);
    stage_close(exec);
}

static void
next__flushes_what_it_waits_for(void **state)
{
    (void)state;
    stage_both(flushes_before_it_sleeps);
}

/* The public constructor, and futures of two clients in one queue. */
static void
queue__collects_from_several_clients(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *one = stage_exec(rt, 1, 10);
    struct tk_exec *two = stage_exec(rt, 1, 10);
    struct stage_future *a = stage_future(one, NULL);
    struct stage_future *b = stage_future(two, NULL);
    tikv_queue *queue;

    (void)state;
    assert_null(tikv_queue_new(&queue));
    stage_expect(tikv_future_post(&a->future, queue, NULL), TIKV_OK);
    stage_expect(tikv_future_post(&b->future, queue, NULL), TIKV_OK);
    tk_future_start(&a->future, false);
    tk_future_start(&b->future, false);
    tikv_future_free(tikv_queue_next(queue, TIKV_FOREVER, NULL));
    tikv_future_free(tikv_queue_next(queue, TIKV_FOREVER, NULL));
    tikv_queue_free(queue);
    stage_close(one);
    stage_close(two);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(queue__gives_futures_in_order_of_completion),
        harness_test(fd__is_readable_while_something_is_ready),
        harness_test(free__lets_go_of_what_is_inside),
        harness_test(queue__serves_several_takers),
        harness_test(next__flushes_what_it_waits_for),
        harness_test(queue__collects_from_several_clients),
    };

    return harness_run(tests);
}
