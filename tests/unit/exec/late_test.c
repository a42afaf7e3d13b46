/* SPDX-License-Identifier: Apache-2.0 */
/* Futures that no worker takes in time: they end on time all the same. */
#include "unit/exec/stage.h"

/* The only worker stands at a gate; what is queued behind it is the test's.
 */
struct jam {
    struct tk_exec *exec;
    struct stage_future *first;
    struct latch entered;
    struct gate gate;
};

static void
jam_init(struct jam *jam, struct tk_runtime *rt)
{
    jam->exec = stage_exec(rt, 1, 100);
    latch_init(&jam->entered, rt);
    gate_init(&jam->gate, rt);
    jam->first = stage_future(jam->exec, NULL);
    jam->first->gate = &jam->gate;
    jam->first->entered = &jam->entered;
    tk_future_start(&jam->first->future, false);
    latch_wait(&jam->entered, 1);
}

static void
jam_fini(struct jam *jam)
{
    gate_open(&jam->gate);
    assert_true(tikv_future_wait(&jam->first->future, TIKV_FOREVER));
    stage_take(&jam->first->future);
    tikv_future_free(&jam->first->future);
    stage_close(jam->exec);
}

static struct stage_future *
queued(struct jam *jam, uint32_t timeout_ms)
{
    tikv_call call = TIKV_CALL_INIT;
    struct stage_future *self;

    call.timeout_ms = timeout_ms;
    self = stage_future(jam->exec, &call);
    tk_future_listen(&self->future);
    tk_future_start(&self->future, false);
    return self;
}

static void
ends_at_its_deadline(struct tk_runtime *rt)
{
    int64_t begin = tk_now(rt);
    struct stage_future *late[3];
    struct stage_future *patient;
    struct jam jam;
    size_t i;

    jam_init(&jam, rt);
    /* Neither the first nor the last in the queue, nor in order. */
    late[0] = queued(&jam, 30);
    patient = queued(&jam, 60000);
    late[1] = queued(&jam, 10);
    late[2] = queued(&jam, 20);
    for (i = 0; i < 3; i++) {
        assert_true(tikv_future_wait(&late[i]->future, TIKV_FOREVER));
        stage_expect(tikv_future_take_u64(&late[i]->future, NULL),
                     TIKV_ERR_TIMEOUT);
        tikv_future_free(&late[i]->future);
    }
    assert_true(tk_now(rt) - begin >= 30 * TK_MS);
    assert_true(tk_now(rt) - begin < 30 * SECOND_NS);
    assert_false(tikv_future_ready(&patient->future));
    assert_false(tikv_future_ready(&jam.first->future));

    /* The queue is whole: what was left in it runs, and what comes after. */
    late[0] = queued(&jam, 60000);
    gate_open(&jam.gate);
    assert_true(tikv_future_wait(&late[0]->future, TIKV_FOREVER));
    stage_take(&late[0]->future);
    tikv_future_free(&late[0]->future);
    stage_take(&patient->future);
    tikv_future_free(&patient->future);
    jam_fini(&jam);
}

static void
queued__ends_at_its_deadline(void **state)
{
    (void)state;
    stage_both(ends_at_its_deadline);
}

static void
ends_when_cancelled(struct tk_runtime *rt)
{
    struct stage_future *future;
    struct jam jam;

    jam_init(&jam, rt);
    future = queued(&jam, 60000);
    tikv_future_cancel(&future->future);
    assert_true(tikv_future_wait(&future->future, TIKV_FOREVER));
    stage_expect(tikv_future_take_u64(&future->future, NULL),
                 TIKV_ERR_CANCELLED);
    tikv_future_free(&future->future);
    jam_fini(&jam);
}

static void
queued__ends_when_cancelled(void **state)
{
    (void)state;
    stage_both(ends_when_cancelled);
}

static void
called(tikv_future *future, void *arg)
{
    (void)future;
    latch_hit(arg);
}

/* No worker is needed for one. */
static void
calls_back_past_the_jam(struct tk_runtime *rt)
{
    struct stage_future *future;
    struct latch calls;
    struct jam jam;

    latch_init(&calls, rt);
    jam_init(&jam, rt);
    future = queued(&jam, 10);
    assert_null(tikv_future_on_ready(&future->future, called, &calls));
    latch_wait(&calls, 1);
    stage_expect(tikv_future_take_u64(&future->future, NULL),
                 TIKV_ERR_TIMEOUT);
    tikv_future_free(&future->future);
    jam_fini(&jam);
}

static void
callback__comes_whatever_workers_do(void **state)
{
    (void)state;
    stage_both(calls_back_past_the_jam);
}

/* Late ones run while the client closes: each ends once, some by close. */
static void
ends_beside_close(struct tk_runtime *rt)
{
    struct stage_future *futures[20];
    struct jam jam;
    size_t i;

    jam_init(&jam, rt);
    for (i = 0; i < 20; i++) {
        futures[i] = queued(&jam, 1 + (uint32_t)(i % 3));
    }
    assert_true(tikv_future_wait(&futures[0]->future, TIKV_FOREVER));
    tk_exec_close_begin(jam.exec);
    tk_exec_close_end(jam.exec);
    for (i = 0; i < 20; i++) {
        tikv_error *error = tikv_future_take_u64(&futures[i]->future, NULL);

        assert_non_null(error);
        assert_true(tikv_error_code(error) == TIKV_ERR_TIMEOUT ||
                    tikv_error_code(error) == TIKV_ERR_CLOSED);
        tikv_error_free(error);
        tikv_future_free(&futures[i]->future);
    }
    stage_expect(tikv_future_take_u64(&jam.first->future, NULL),
                 TIKV_ERR_CLOSED);
    tikv_future_free(&jam.first->future);
    tk_exec_unref(jam.exec);
}

static void
close__ends_late_ones_once(void **state)
{
    (void)state;
    stage_both(ends_beside_close);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(queued__ends_at_its_deadline),
        harness_test(queued__ends_when_cancelled),
        harness_test(callback__comes_whatever_workers_do),
        harness_test(close__ends_late_ones_once),
    };

    return harness_run(tests);
}
