/* SPDX-License-Identifier: Apache-2.0 */
/* The simulator: virtual time, timers, repeatability, deadlocks. */
#include "unit/exec/stage.h"

#include "exec/epoch.h"

/* --- Time ----------------------------------------------------------------- */

static void
jumps(struct tk_runtime *rt)
{
    struct tk_parker *me = tk_self(rt);
    int64_t begin = tk_now(rt);
    int64_t wall = rt->ops->wall(rt);
    int64_t until = begin + 3600 * SECOND_NS;

    while (tk_now(rt) < until) {
        tk_park_begin(me);
        rt->ops->park(rt, me, until);
    }
    assert_true(tk_now(rt) < until + 10000);
    assert_int_equal(rt->ops->wall(rt) - wall, tk_now(rt) - begin);
    assert_true(tk_runtime_sim_steps(rt) < 10);
}

static void
sim__jumps_over_idle_time(void **state)
{
    (void)state;
    stage_sim(jumps, 1);
}

/* After T0382: a timer that arms itself fires at exact multiples. */
struct ticker {
    struct tk_timer timer;
    struct tk_runtime *rt;
    struct latch *latch;
    int64_t at[3];
    uint32_t count;
};

static void
tick(struct tk_timer *timer)
{
    struct ticker *ticker = (struct ticker *)timer;

    ticker->at[ticker->count++] = tk_now(ticker->rt);
    if (ticker->count < 3) {
        ticker->rt->ops->arm(ticker->rt, timer, timer->when + 20 * TK_MS);
    }
    latch_hit(ticker->latch);
}

static void
ticks(struct tk_runtime *rt)
{
    struct latch latch;
    struct ticker ticker = { .rt = rt, .latch = &latch };
    int64_t begin = tk_now(rt);
    int64_t i;

    latch_init(&latch, rt);
    ticker.timer.fn = tick;
    rt->ops->arm(rt, &ticker.timer, begin + 20 * TK_MS);
    latch_wait(&latch, 3);
    for (i = 0; i < 3; i++) {
        assert_int_equal(ticker.at[i], begin + (i + 1) * 20 * TK_MS);
    }
    assert_int_equal(ticker.count, 3);
    assert_false(rt->ops->disarm(rt, &ticker.timer));
}

static void
timer__fires_at_exact_multiples(void **state)
{
    (void)state;
    stage_sim(ticks, 1);
    stage_sim(ticks, 2);
}

static void
moves_and_disarms(struct tk_runtime *rt)
{
    struct latch latch;
    struct ticker moved = { .rt = rt, .latch = &latch, .count = 2 };
    struct ticker stopped = { .rt = rt, .latch = &latch, .count = 2 };
    int64_t begin = tk_now(rt);

    latch_init(&latch, rt);
    moved.timer.fn = tick;
    stopped.timer.fn = tick;
    rt->ops->arm(rt, &moved.timer, begin + TK_MS);
    rt->ops->arm(rt, &moved.timer, begin + 9 * TK_MS);
    rt->ops->arm(rt, &stopped.timer, begin + 5 * TK_MS);
    assert_true(rt->ops->disarm(rt, &stopped.timer));
    assert_false(rt->ops->disarm(rt, &stopped.timer));
    latch_wait(&latch, 1);
    assert_int_equal(moved.at[2], begin + 9 * TK_MS);
    assert_int_equal(stopped.count, 2);
}

static void
timer__moves_and_disarms(void **state)
{
    (void)state;
    stage_sim(moves_and_disarms, 3);
}

/* --- Repeatability -------------------------------------------------------- */

/* Workers, timers, queues, shared futures, cancel and close under load. */
struct load {
    struct tk_exec *exec;
    tikv_queue *queue;
    tikv_cancel *cancel;
};

static void
make_load(void *arg)
{
    struct load *load = arg;
    struct tk_runtime *rt = tk_exec_runtime(load->exec);
    uint32_t i;

    for (i = 0; i < 20; i++) {
        tikv_call call = TIKV_CALL_INIT;
        struct stage_future *self;
        struct stage_future *hot;
        tikv_error *error;

        call.timeout_ms = 1 + (int64_t)(rt->ops->random(rt) % 3);
        call.cancel = i % 3 == 0 ? load->cancel : NULL;
        self = stage_future(load->exec, &call);
        hot = stage_hot(load->exec, &call);
        tk_future_listen(&self->future);
        tk_future_start(&self->future, false);
        /* Once posted it may be cancelled, taken and freed by others. */
        tk_future_ref(&hot->future);
        error = tikv_future_post(&hot->future, load->queue, NULL);
        tikv_error_free(error);
        (void)tikv_future_wait(&self->future, (int64_t)(i % 2));
        stage_answer(hot, i, NULL);
        tk_future_unref(&hot->future);
        tk_trace(rt, tikv_future_ready(&self->future));
        tikv_future_free(&self->future);
        tikv_future_free(tikv_queue_next(load->queue, 1, NULL));
    }
}

static void
works_hard(struct tk_runtime *rt)
{
    struct load load = { .exec = stage_exec(rt, 3, 4) };
    struct stage_thread threads[4];
    size_t i;

    assert_null(tk_queue_new(rt, &load.queue));
    assert_null(tikv_cancel_new(&load.cancel));
    for (i = 0; i < 4; i++) {
        stage_go(&threads[i], rt, make_load, &load);
    }
    (void)tk_exec_drain(load.exec, tk_now(rt) + TK_MS);
    tikv_cancel_raise(load.cancel);
    for (i = 0; i < 4; i++) {
        stage_join(&threads[i]);
    }
    tikv_queue_free(load.queue);
    stage_close(load.exec);
    tikv_cancel_free(load.cancel);
}

static void
sim__repeats_itself_whatever_ran_before(void **state)
{
    uint64_t hashes[60];
    uint64_t seed;
    uint64_t other;

    (void)state;
    for (seed = 0; seed < 60; seed++) {
        hashes[seed] = stage_sim(works_hard, seed);
    }
    /* In another order, with recycled blocks, and parkers in use. */
    tk_future_blocks_max(16);
    stage_threads(works_hard);
    for (seed = 60; seed-- > 0;) {
        assert_true(stage_sim(works_hard, seed) == hashes[seed]);
    }
    tk_future_blocks_max(0);
    for (seed = 0; seed < 60; seed++) {
        for (other = seed + 1; other < 60; other++) {
            assert_true(hashes[seed] != hashes[other]);
        }
    }
}

/* --- Giving up ------------------------------------------------------------ */

static void
sleep_for_ever(void *arg)
{
    struct tk_runtime *rt = arg;

    rt->ops->park(rt, tk_self(rt), TK_NEVER);
    rt->ops->park(rt, tk_self(rt), TK_NEVER);
}

static void
spawn_and_sleep(void *arg)
{
    struct tk_runtime *rt = arg;

    rt->ops->join(rt, rt->ops->spawn(rt, "sleepy", sleep_for_ever, rt));
}

static void
sim__reports_a_deadlock(void **state)
{
    struct tk_runtime *rt = tk_runtime_sim_new(1);

    (void)state;
    assert_string_equal(tk_runtime_sim_report(rt), "");
    assert_false(tk_runtime_sim_run(rt, spawn_and_sleep, rt, STAGE_STEPS));
    assert_non_null(strstr(tk_runtime_sim_report(rt), "deadlock"));
    assert_non_null(strstr(tk_runtime_sim_report(rt), "\"sleepy\" asleep"));
    assert_non_null(strstr(tk_runtime_sim_report(rt), "\"main\" asleep"));
    tk_runtime_sim_free(rt);
}

static void
turn_for_ever(void *arg)
{
    struct tk_runtime *rt = arg;

    for (;;) {
        tk_point(rt);
    }
}

static void
sim__gives_up_after_its_steps(void **state)
{
    struct tk_runtime *rt = tk_runtime_sim_new(1);

    (void)state;
    assert_false(tk_runtime_sim_run(rt, turn_for_ever, rt, 1000));
    assert_non_null(strstr(tk_runtime_sim_report(rt), "too many steps"));
    assert_int_equal(tk_runtime_sim_steps(rt), 1000);
    tk_runtime_sim_free(rt);
}

/* --- The rest of the table ------------------------------------------------ */

static void
keeps_its_own_random(struct tk_runtime *rt)
{
    uint64_t a = rt->ops->random(rt);
    uint64_t b = rt->ops->random(rt);

    assert_true(a != b);
    assert_ptr_equal(tk_self(rt)->fiber != NULL ? rt : NULL, rt);
    assert_false(tk_self(rt)->is_library);
}

static void
sim__has_fibers_with_parkers_of_their_own(void **state)
{
    struct tk_runtime *rt;
    uint32_t before;
    uint64_t seed;

    (void)state;
    stage_sim(works_hard, 5);
    before = tk_parkers_count();
    for (seed = 0; seed < 10; seed++) {
        stage_sim(keeps_its_own_random, seed);
        stage_sim(works_hard, seed);
    }
    assert_int_equal(tk_parkers_count(), before);
    rt = tk_runtime_sim_new(1);
    assert_null(tk_self(rt));
    tk_runtime_sim_free(rt);
}

struct block {
    struct tk_retired retired;
    uint32_t *freed;
};

static void
free_block(struct tk_retired *retired)
{
    struct block *block = (struct block *)retired;

    (*block->freed)++;
    tk_free(block);
}

static void
retire(struct tk_runtime *rt, uint32_t *freed)
{
    struct block *block = tk_alloc(sizeof(*block));

    block->freed = freed;
    tk_epoch_retire(rt, &block->retired, free_block);
}

static void
frees_outside_of_sections(struct tk_runtime *rt)
{
    uint32_t freed = 0;

    retire(rt, &freed);
    assert_int_equal(freed, 1);
    tk_epoch_enter(rt);
    tk_epoch_enter(rt);
    retire(rt, &freed);
    retire(rt, &freed);
    tk_epoch_leave(rt);
    tk_point(rt);
    assert_int_equal(freed, 1);
    tk_epoch_leave(rt);
    assert_int_equal(freed, 3);
    tk_epoch_drain(rt);
}

static void
epoch__of_a_simulation_frees_outside_of_sections(void **state)
{
    (void)state;
    stage_sim(frees_outside_of_sections, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(sim__jumps_over_idle_time),
        harness_test(timer__fires_at_exact_multiples),
        harness_test(timer__moves_and_disarms),
        harness_test(sim__repeats_itself_whatever_ran_before),
        harness_test(sim__reports_a_deadlock),
        harness_test(sim__gives_up_after_its_steps),
        harness_test(sim__has_fibers_with_parkers_of_their_own),
        harness_test(epoch__of_a_simulation_frees_outside_of_sections),
    };

    return harness_run(tests);
}
