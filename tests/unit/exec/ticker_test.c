/* SPDX-License-Identifier: Apache-2.0 */
/* What ticks in the background: one work at a time, rest, and close. */
#include "unit/exec/stage.h"

#include "base/alloc.h"
#include "exec/op.h"
#include "exec/ticker.h"

#define PAUSE_NS INT64_C(20000)
#define LONG_NS (3600 * SECOND_NS)

/* The owner of a ticker. */
struct owner {
    struct tk_mutex lock;
    struct tk_exec *exec;
    struct tk_runtime *rt;
    struct tk_ticker ticker;
    struct gate *gate;    /* the work waits here */
    int64_t pause_ns;
    uint32_t rests_after; /* so many ticks; 0: never */
    uint32_t ticks;       /* under the lock */
    bool is_closed;       /* the same: close has returned */
    _Atomic uint32_t inside;
    _Atomic uint32_t overlaps;
    struct latch entered;
    struct latch done;
};

static void
work(void *arg)
{
    struct owner *self = arg;
    struct tk_op op;

    if (atomic_fetch_add(&self->inside, 1) != 0) {
        atomic_fetch_add(&self->overlaps, 1);
    }
    latch_hit(&self->entered);
    if (self->gate != NULL && tk_op_init(&op, self->exec, NULL, LONG_NS)) {
        tikv_error_free(gate_pass(self->gate, &op));
        tk_op_fini(&op);
    }
    tk_point(self->rt);
    atomic_fetch_sub(&self->inside, 1);
    latch_hit(&self->done);
}

static int64_t
next(void *arg)
{
    struct owner *self = arg;

    assert_int_equal(tk_mutex_held(), 1);
    assert_false(self->is_closed);
    self->ticks++;
    return self->ticks == self->rests_after
               ? TK_NEVER
               : tk_after(tk_now(self->rt), self->pause_ns);
}

static void
owner_init(struct owner *self, struct tk_exec *exec, int64_t pause_ns)
{
    memset(self, 0, sizeof(*self));
    tk_mutex_init(&self->lock, TK_RANK_PD);
    self->exec = exec;
    self->rt = tk_exec_runtime(exec);
    self->pause_ns = pause_ns;
    latch_init(&self->entered, self->rt);
    latch_init(&self->done, self->rt);
    tk_ticker_init(&self->ticker, exec, &self->lock, self, work, next);
}

static void
owner_begin(struct owner *self)
{
    tk_mutex_lock(&self->lock);
    tk_ticker_begin(&self->ticker, tk_after(tk_now(self->rt), self->pause_ns));
    tk_mutex_unlock(&self->lock);
}

static void
owner_close(struct owner *self)
{
    tk_ticker_close(&self->ticker);
    tk_mutex_lock(&self->lock);
    assert_false(self->ticker.alarm.is_out);
    self->is_closed = true;
    tk_mutex_unlock(&self->lock);
}

/* After the pool has ended. */
static void
owner_fini(struct owner *self)
{
    assert_false(self->ticker.is_busy);
    assert_int_equal(atomic_load(&self->overlaps), 0);
    assert_int_equal(atomic_load(&self->inside), 0);
    tk_mutex_fini(&self->lock);
}

/* Ticks ring nobody: looks now and then, until there were so many. */
static void
await_ticks(struct owner *self, uint32_t count)
{
    struct tk_parker *me = tk_self(self->rt);
    uint32_t ticks;

    for (;;) {
        tk_park_begin(me);
        tk_mutex_lock(&self->lock);
        ticks = self->ticks;
        tk_mutex_unlock(&self->lock);
        if (ticks >= count) {
            return;
        }
        self->rt->ops->park(self->rt, me,
                            tk_after(tk_now(self->rt), PAUSE_NS));
    }
}

static bool
is_out(struct owner *self)
{
    bool answer;

    tk_mutex_lock(&self->lock);
    answer = self->ticker.alarm.is_out;
    tk_mutex_unlock(&self->lock);
    return answer;
}

static void
does_one_work_at_a_time(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 3, 100);
    struct owner owner;
    struct gate gate;

    gate_init(&gate, rt);
    owner_init(&owner, exec, PAUSE_NS);
    owner.gate = &gate;
    owner_begin(&owner);
    /* The first work stands, the ticks go on without it. */
    latch_wait(&owner.entered, 1);
    await_ticks(&owner, 5);
    tk_ticker_push(&owner.ticker);
    assert_int_equal(atomic_load(&owner.entered.count), 1);
    gate_open(&gate);
    latch_wait(&owner.done, 5);
    owner_close(&owner);
    stage_close(exec);
    owner_fini(&owner);
}

static void
ticker__does_one_work_at_a_time(void **state)
{
    (void)state;
    stage_both(does_one_work_at_a_time);
}

static void
rests_until_begun(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 100);
    struct owner owner;

    owner_init(&owner, exec, PAUSE_NS);
    assert_false(is_out(&owner));
    /* Pushed, it does not begin to tick. */
    tk_ticker_push(&owner.ticker);
    latch_wait(&owner.done, 1);
    assert_false(is_out(&owner));
    owner.rests_after = 3;
    owner_begin(&owner);
    await_ticks(&owner, 3);
    assert_false(is_out(&owner));
    owner.rests_after = 0;
    owner_begin(&owner);
    assert_true(is_out(&owner));
    await_ticks(&owner, 5);
    owner_close(&owner);
    stage_close(exec);
    owner_fini(&owner);
}

static void
ticker__rests_until_begun(void **state)
{
    (void)state;
    stage_both(rests_until_begun);
}

static void
is_hastened(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 100);
    int64_t begin = tk_now(rt);
    struct owner owner;

    owner_init(&owner, exec, LONG_NS);
    owner_begin(&owner);
    tk_mutex_lock(&owner.lock);
    /* Begun is begun, and nothing is put off. */
    tk_ticker_begin(&owner.ticker, begin);
    assert_true(owner.ticker.alarm.timer.when > begin + PAUSE_NS);
    tk_ticker_hasten(&owner.ticker, begin + PAUSE_NS);
    tk_ticker_hasten(&owner.ticker, begin + LONG_NS);
    tk_mutex_unlock(&owner.lock);
    latch_wait(&owner.done, 1);
    assert_true(tk_now(rt) - begin >= PAUSE_NS);
    assert_true(tk_now(rt) - begin < LONG_NS);
    owner_close(&owner);
    stage_close(exec);
    owner_fini(&owner);
}

static void
ticker__is_hastened(void **state)
{
    (void)state;
    stage_both(is_hastened);
}

static void
leaves_out_what_a_full_queue_refuses(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 1, 1);
    struct stage_future *waits;
    struct owner stands;
    struct owner owner;
    struct gate gate;

    gate_init(&gate, rt);
    owner_init(&stands, exec, PAUSE_NS);
    owner_init(&owner, exec, PAUSE_NS);
    stands.gate = &gate;
    tk_ticker_push(&stands.ticker);
    latch_wait(&stands.entered, 1);
    waits = stage_future(exec, NULL);
    tk_future_start(&waits->future, false);
    owner_begin(&owner);
    await_ticks(&owner, 3);
    assert_int_equal(atomic_load(&owner.entered.count), 0);
    /* There is room again, and the next tick takes it. */
    gate_open(&gate);
    assert_true(tikv_future_wait(&waits->future, TIKV_FOREVER));
    stage_take(&waits->future);
    tikv_future_free(&waits->future);
    latch_wait(&owner.done, 2);
    owner_close(&owner);
    owner_close(&stands);
    stage_close(exec);
    owner_fini(&owner);
    owner_fini(&stands);
}

static void
ticker__leaves_out_what_a_full_queue_refuses(void **state)
{
    (void)state;
    stage_both(leaves_out_what_a_full_queue_refuses);
}

static void
closes_before_its_work_ends(struct tk_runtime *rt)
{
    struct tk_exec *exec = stage_exec(rt, 2, 100);
    struct owner never;
    struct owner owner;
    struct owner idle;
    struct gate gate;

    gate_init(&gate, rt);
    owner_init(&owner, exec, PAUSE_NS);
    owner.gate = &gate;
    owner_begin(&owner);
    latch_wait(&owner.entered, 1);
    owner_close(&owner);
    owner_init(&idle, exec, PAUSE_NS);
    owner_close(&idle);
    tk_ticker_push(&idle.ticker);
    /* It does not begin again, and the pool has the work that is left. */
    owner_begin(&owner);
    assert_false(is_out(&owner));
    assert_int_equal(atomic_load(&owner.done.count), 0);
    stage_close(exec);
    assert_int_equal(atomic_load(&owner.entered.count), 1);
    assert_int_equal(atomic_load(&owner.done.count), 1);
    assert_int_equal(atomic_load(&idle.entered.count), 0);
    owner_fini(&owner);
    owner_fini(&idle);

    memset(&never, 0, sizeof(never));
    tk_ticker_begin(&never.ticker, 0);
    tk_ticker_close(&never.ticker);
}

static void
close__leaves_its_work_to_the_pool(void **state)
{
    (void)state;
    stage_both(closes_before_its_work_ends);
}

/* Close meets the alarm at any point of a tick; what is freed after it and
 * the pool is not touched again. */
static void
races_with_the_alarm(struct tk_runtime *rt)
{
    uint32_t i;

    for (i = 0; i < 10; i++) {
        struct tk_exec *exec = stage_exec(rt, 2, 100);
        struct owner *owner = tk_alloc(sizeof(*owner));

        assert_non_null(owner);
        owner_init(owner, exec, i % 2 == 0 ? 1 : PAUSE_NS);
        owner_begin(owner);
        latch_wait(&owner->entered, 1 + i % 3);
        owner_close(owner);
        stage_close(exec);
        owner_fini(owner);
        tk_free(owner);
    }
}

static void
close__waits_for_the_alarm(void **state)
{
    (void)state;
    stage_both(races_with_the_alarm);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ticker__does_one_work_at_a_time),
        harness_test(ticker__rests_until_begun),
        harness_test(ticker__is_hastened),
        harness_test(ticker__leaves_out_what_a_full_queue_refuses),
        harness_test(close__leaves_its_work_to_the_pool),
        harness_test(close__waits_for_the_alarm),
    };

    return harness_run(tests);
}
