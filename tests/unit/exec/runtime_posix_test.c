/* SPDX-License-Identifier: Apache-2.0 */
/* The production runtime: parkers, timers, threads, epochs, locks, fork. */
#include "unit/exec/stage.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/rng.h"
#include "exec/epoch.h"
#include "exec/fork.h"
#include "exec/sanitizer.h"
#include "exec/timers.h"

/* --- Parkers -------------------------------------------------------------- */

#define ROUNDS 20000

struct court {
    struct tk_runtime *rt;
    struct tk_parker *player[2];
    _Atomic uint32_t ball;
    struct latch *ready;
};

/* Two threads hand a number to and fro; a lost ring hangs them. */
static void
play(struct court *court, uint32_t side)
{
    struct tk_parker *me = tk_self(court->rt);
    struct tk_wakes wakes;

    while (atomic_load(&court->ball) < ROUNDS) {
        tk_park_begin(me);
        if (atomic_load(&court->ball) % 2 != side) {
            if (atomic_load(&court->ball) < ROUNDS) {
                court->rt->ops->park(court->rt, me, TK_NEVER);
            }
            continue;
        }
        tk_wakes_init(&wakes, court->rt);
        atomic_fetch_add(&court->ball, 1);
        tk_wakes_ring(&wakes, court->player[!side]);
        tk_wakes_flush(&wakes);
    }
}

static void
play_away(void *arg)
{
    struct court *court = arg;

    court->player[1] = tk_self(court->rt);
    latch_hit(court->ready);
    play(court, 1);
}

static void
parker__loses_no_ring(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct stage_thread thread;
    struct latch ready;
    struct court court = { rt, { tk_self(rt), NULL }, 0, &ready };

    (void)state;
    latch_init(&ready, rt);
    stage_go(&thread, rt, play_away, &court);
    latch_wait(&ready, 1);
    play(&court, 0);
    stage_join(&thread);
    assert_true(atomic_load(&court.ball) >= ROUNDS);
    tk_runtime_posix_free(rt);
}

/* Many ring one, who counts what he is told. */
struct bell {
    struct latch latch;
    uint32_t hits;
};

static void
hit_often(void *arg)
{
    struct bell *bell = arg;
    uint32_t i;

    for (i = 0; i < bell->hits; i++) {
        latch_hit(&bell->latch);
    }
}

static void
parker__is_rung_by_many(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct stage_thread threads[4];
    struct bell bell = { .hits = 3000 };
    uint32_t i;

    (void)state;
    latch_init(&bell.latch, rt);
    for (i = 0; i < 4; i++) {
        stage_go(&threads[i], rt, hit_often, &bell);
    }
    for (i = 1; i <= 4 * bell.hits; i += 7) {
        latch_wait(&bell.latch, i);
    }
    for (i = 0; i < 4; i++) {
        stage_join(&threads[i]);
    }
    tk_runtime_posix_free(rt);
}

static void
parker__keeps_an_early_ring(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_parker *me = tk_self(rt);

    (void)state;
    assert_ptr_equal(tk_parker_at(me->index), me);
    assert_ptr_equal(tk_self(tk_runtime_threads()), me);
    assert_false(tk_ring(me));
    assert_false(tk_ring(me));
    rt->ops->park(rt, me, TK_NEVER);
    assert_false(tk_ring(me));
    tk_park_begin(me);
    /* The ring is gone: now only the time ends it. */
    rt->ops->park(rt, me, tk_now(rt) + TK_MS);
    rt->ops->park(rt, me, -1);
    tk_runtime_posix_free(rt);
}

static void
note_parker(void *arg)
{
    *(struct tk_parker **)arg = tk_self(tk_runtime_threads());
}

static void *
note_parker_foreign(void *arg)
{
    note_parker(arg);
    return NULL;
}

static void
parker__is_recycled_when_its_thread_ends(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_parker *parkers[10];
    uint32_t before;
    size_t i;

    (void)state;
    for (i = 0; i < 10; i++) {
        pthread_t thread;

        if (i == 1) {
            before = tk_parkers_count();
        }
        /* A thread of the application's own, that never heard of us. */
        assert_int_equal(
            pthread_create(&thread, NULL, note_parker_foreign, &parkers[i]), 0);
        pthread_join(thread, NULL);
        assert_ptr_not_equal(parkers[i], tk_self(rt));
        if (i >= 1) {
            assert_int_equal(tk_parkers_count(), before);
        }
    }
    tk_runtime_posix_free(rt);
}

/* --- Threads -------------------------------------------------------------- */

struct seen {
    struct tk_runtime *rt;
    char name[16];
    bool is_library;
    bool blocks_signals;
};

static void
look_around(void *arg)
{
    struct seen *seen = arg;
    sigset_t set;

    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    seen->is_library = tk_self(seen->rt)->is_library;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    seen->blocks_signals = sigismember(&set, SIGUSR1) == 1;
}

static void
spawn__names_and_marks_its_thread(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct seen seen = { .rt = rt };

    (void)state;
    rt->ops->join(
        rt, rt->ops->spawn(rt, "tikv-with-a-long-name", look_around, &seen));
    assert_string_equal(seen.name, "tikv-with-a-lon");
    assert_true(seen.is_library);
    assert_true(seen.blocks_signals);
    assert_false(tk_self(rt)->is_library);
    tk_runtime_posix_free(rt);
}

/* --- Timers --------------------------------------------------------------- */

#define TIMERS 500

struct model {
    struct tk_timer timer;
    bool is_armed;
};

static void
timers__come_in_order_whatever_is_removed(void **state)
{
    static struct model models[TIMERS];
    struct tk_timers timers = { NULL };
    struct tk_rng rng = { 7 };
    uint32_t round;
    size_t i;

    (void)state;
    memset(models, 0, sizeof(models));
    for (round = 0; round < 20000; round++) {
        struct model *model = &models[tk_rng_below(&rng, TIMERS)];
        struct tk_timer *earliest = NULL;

        assert_int_equal(tk_timers_remove(&timers, &model->timer),
                         model->is_armed);
        model->is_armed = tk_rng_below(&rng, 3) != 0;
        if (model->is_armed) {
            model->timer.when = (int64_t)tk_rng_below(&rng, 100);
            model->timer.order = round;
            tk_timers_add(&timers, &model->timer);
        }
        if (round % 10 != 0) {
            continue;
        }
        for (i = 0; i < TIMERS; i++) {
            struct tk_timer *timer = &models[i].timer;

            if (models[i].is_armed &&
                (earliest == NULL || timer->when < earliest->when ||
                 (timer->when == earliest->when &&
                  timer->order < earliest->order))) {
                earliest = timer;
            }
        }
        assert_ptr_equal(timers.root, earliest);
        if (earliest != NULL && tk_rng_below(&rng, 2) == 0) {
            assert_true(tk_timers_remove(&timers, earliest));
            ((struct model *)earliest)->is_armed = false;
        }
    }
}

struct alarm_clock {
    struct tk_timer timer;
    struct tk_runtime *rt;
    struct latch *latch;
    int64_t fired_at;
};

static void
ring_alarm(struct tk_timer *timer)
{
    struct alarm_clock *alarm = (struct alarm_clock *)timer;

    alarm->fired_at = tk_now(alarm->rt);
    latch_hit(alarm->latch);
}

static void
timer__fires_no_earlier_than_armed(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct alarm_clock alarms[3];
    struct alarm_clock never = { .timer = { .fn = ring_alarm } };
    struct latch latch;
    int64_t begin = tk_now(rt);
    int64_t i;

    (void)state;
    latch_init(&latch, rt);
    never.rt = rt;
    rt->ops->arm(rt, &never.timer, begin + 3600 * SECOND_NS);
    for (i = 2; i >= 0; i--) {
        alarms[i] = (struct alarm_clock){ .timer = { .fn = ring_alarm },
                                          .rt = rt,
                                          .latch = &latch };
        rt->ops->arm(rt, &alarms[i].timer, begin + (i + 1) * TK_MS);
    }
    latch_wait(&latch, 3);
    for (i = 0; i < 3; i++) {
        assert_true(alarms[i].fired_at >= begin + (i + 1) * TK_MS);
        assert_false(rt->ops->disarm(rt, &alarms[i].timer));
    }
    assert_true(rt->ops->disarm(rt, &never.timer));
    assert_int_equal(never.fired_at, 0);
    tk_runtime_posix_free(rt);
}

static void
random__differs_between_runtimes(void **state)
{
    struct tk_runtime *one = tk_runtime_posix_new();
    struct tk_runtime *two = tk_runtime_posix_new();

    (void)state;
    assert_true(one->ops->random(one) != two->ops->random(two));
    assert_true(one->ops->random(one) != one->ops->random(one));
    assert_true(one->ops->wall(one) > INT64_C(1600000000000000000));
    assert_true(tikv_now_ns() <= tk_now(one));
    tk_runtime_posix_free(one);
    tk_runtime_posix_free(two);
}

/* --- Epochs --------------------------------------------------------------- */

struct node {
    struct tk_retired retired;
    uint64_t number;
    uint64_t check;
};

struct shelf {
    struct tk_runtime *rt;
    _Atomic(struct node *) node;
    _Atomic bool is_over;
    _Atomic uint32_t broken;
};

static void
free_node(struct tk_retired *retired)
{
    struct node *node = (struct node *)retired;

    node->check = 0;
    tk_free(node);
}

static struct node *
make_node(uint64_t number)
{
    struct node *node = tk_alloc(sizeof(*node));

    node->number = number;
    node->check = ~number;
    return node;
}

static void
read_shelf(void *arg)
{
    struct shelf *shelf = arg;

    while (!atomic_load(&shelf->is_over)) {
        struct node *node;

        tk_epoch_enter(shelf->rt);
        node = atomic_load_explicit(&shelf->node, memory_order_acquire);
        if (node->check != ~node->number) {
            atomic_fetch_add(&shelf->broken, 1);
        }
        tk_epoch_leave(shelf->rt);
    }
}

static void
epoch__frees_nothing_under_a_reader(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct shelf shelf = { .rt = rt };
    struct stage_thread threads[2];
    uint64_t i;

    (void)state;
    atomic_store(&shelf.node, make_node(0));
    stage_go(&threads[0], rt, read_shelf, &shelf);
    stage_go(&threads[1], rt, read_shelf, &shelf);
    for (i = 1; i < 3000; i++) {
        struct node *old = atomic_exchange(&shelf.node, make_node(i));

        tk_epoch_retire(rt, &old->retired, free_node);
    }
    atomic_store(&shelf.is_over, true);
    stage_join(&threads[0]);
    stage_join(&threads[1]);
    tk_epoch_retire(rt, &atomic_load(&shelf.node)->retired, free_node);
    tk_epoch_drain(rt);
    assert_int_equal(atomic_load(&shelf.broken), 0);
    tk_runtime_posix_free(rt);
}

/* --- Groups --- */

enum { SLEEPERS = 60, TURNS = 200 };

struct sleeper {
    struct tk_runtime *rt;
    struct latch *up;
    struct latch *over;
    _Atomic(struct tk_parker *) parker;
    _Atomic uint32_t turn;
};

static void
sleep_in_turns(void *arg)
{
    struct sleeper *self = arg;
    struct tk_parker *me = tk_self(self->rt);
    uint32_t turn;

    atomic_store(&self->parker, me);
    latch_hit(self->up);
    for (turn = 1; turn <= TURNS; turn++) {
        for (;;) {
            tk_park_begin(me);
            if (atomic_load(&self->turn) >= turn) {
                break;
            }
            self->rt->ops->park(self->rt, me, TK_NEVER);
        }
        latch_hit(self->over);
    }
}

/* Threads share the word they sleep on: none may miss its wake for one of a
 * neighbour's, whichever part of them is woken. */
static void
wake__reaches_each_of_a_group(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct sleeper sleepers[SLEEPERS];
    struct stage_thread threads[SLEEPERS];
    struct tk_wakes wakes;
    struct latch over;
    struct latch up;
    uint32_t turn;
    uint32_t i;

    (void)state;
    latch_init(&up, rt);
    latch_init(&over, rt);
    for (i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){ .rt = rt, .up = &up, .over = &over };
        stage_go(&threads[i], rt, sleep_in_turns, &sleepers[i]);
    }
    latch_wait(&up, SLEEPERS);
    for (turn = 1; turn <= TURNS; turn++) {
        uint32_t part;

        for (part = 0; part < 3; part++) {
            tk_wakes_init(&wakes, rt);
            for (i = part; i < SLEEPERS; i += 3) {
                atomic_store(&sleepers[i].turn, turn);
                tk_wakes_ring(&wakes, atomic_load(&sleepers[i].parker));
            }
            tk_wakes_flush(&wakes);
        }
        latch_wait(&over, turn * SLEEPERS);
    }
    for (i = 0; i < SLEEPERS; i++) {
        stage_join(&threads[i]);
    }
    tk_runtime_posix_free(rt);
}

/* --- Locks ---------------------------------------------------------------- */

static void
mutex__counts_what_its_thread_holds(void **state)
{
    struct tk_mutex low;
    struct tk_mutex high;

    (void)state;
    tk_mutex_init(&low, TK_RANK_CLIENT);
    tk_mutex_init(&high, TK_RANK_LEAF);
    tk_mutex_lock(&low);
    tk_mutex_lock(&high);
    assert_int_equal(tk_mutex_held(), 2);
    tk_mutex_unlock(&low);
    assert_int_equal(tk_mutex_held(), 1);
    tk_mutex_unlock(&high);
    assert_int_equal(tk_mutex_held(), 0);
    tk_mutex_fini(&low);
    tk_mutex_fini(&high);
}

#if defined(TK_DEBUG)
/* Runs `fn` in a child, without a core and without words on our stderr. */
static bool
aborts(void (*fn)(void))
{
    struct rlimit none = { 0, 0 };
    int status = 0;
    pid_t child = fork();

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &none);
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) != NULL) {
            fn();
        }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void
lock_against_rank(void)
{
    static struct tk_mutex low;
    static struct tk_mutex high;

    tk_mutex_init(&low, TK_RANK_STREAM);
    tk_mutex_init(&high, TK_RANK_CANCEL);
    tk_mutex_lock(&high);
    tk_mutex_lock(&low);
}

static void
lock_equal_ranks(void)
{
    static struct tk_mutex one;
    static struct tk_mutex two;

    tk_mutex_init(&one, TK_RANK_STREAM);
    tk_mutex_init(&two, TK_RANK_STREAM);
    tk_mutex_lock(&one);
    tk_mutex_lock(&two);
}

static void
park_with_a_lock(void)
{
    static struct tk_mutex mutex;
    struct tk_runtime *rt = tk_runtime_threads();

    tk_mutex_init(&mutex, TK_RANK_LEAF);
    tk_mutex_lock(&mutex);
    rt->ops->park(rt, tk_self(rt), 0);
}

static void
debug__aborts_on_broken_rules_of_locks(void **state)
{
    (void)state;
    assert_true(aborts(lock_against_rank));
    assert_true(aborts(lock_equal_ranks));
    assert_true(aborts(park_with_a_lock));
}
#endif

/* --- Fork ----------------------------------------------------------------- */

/* In the child: each answer at once; the number of the first wrong one. */
static int
try_in_child(struct tk_exec *exec, struct stage_future *running,
             struct stage_future *ready, tikv_queue *queue, uint32_t number)
{
    struct tk_runtime *rt;
    struct tk_exec *fresh = NULL;
    struct stage_future *mine;

    if (tk_fork_number() == number ||
        tikv_error_code(tk_exec_enter(exec)) != TIKV_ERR_FORKED ||
        tikv_error_code(tk_exec_refusal(exec)) != TIKV_ERR_FORKED) {
        return 1;
    }
    if (tikv_future_wait(&running->future, TIKV_FOREVER) ||
        tikv_error_code(tikv_future_take_u64(&running->future, NULL)) !=
            TIKV_ERR_FORKED) {
        return 2;
    }
    if (tikv_queue_next(queue, TIKV_FOREVER, NULL) != NULL ||
        tikv_queue_fd(queue) != -1) {
        return 3;
    }
    tikv_future_cancel(&running->future);
    if (tikv_future_take_u64(&ready->future, NULL) != NULL) {
        return 4;
    }
    if (tk_exec_drain(exec, TK_NEVER)) {
        return 5;
    }
    tikv_future_free(&ready->future);
    tikv_future_free(&running->future);
    tikv_queue_free(queue);
    tk_exec_close_begin(exec);
    tk_exec_close_end(exec);
    tk_exec_unref(exec);

    if (TK_TSAN) {
        return 0; /* it refuses threads in a child of a threaded process */
    }
    /* A client of the child's own works. */
    rt = tk_runtime_posix_new();
    if (rt == NULL || tk_exec_open(rt, 2, 10, &fresh) != NULL) {
        return 6;
    }
    mine = stage_future(fresh, NULL);
    mine->number = 3;
    tk_future_start(&mine->future, false);
    if (!tikv_future_wait(&mine->future, TIKV_FOREVER)) {
        return 7;
    }
    tikv_future_free(&mine->future);
    stage_close(fresh);
    tk_runtime_posix_free(rt);
    return 0;
}

static void
fork__child_is_told_at_once(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_exec *exec = stage_exec(rt, 2, 10);
    struct stage_future *running = stage_future(exec, NULL);
    struct stage_future *ready = stage_hot(exec, NULL);
    uint32_t number = tk_fork_number();
    struct latch entered;
    struct gate gate;
    tikv_queue *queue;
    int status = 0;
    pid_t child;

    (void)state;
    gate_init(&gate, rt);
    latch_init(&entered, rt);
    assert_null(tikv_queue_new(&queue));
    running->gate = &gate;
    running->entered = &entered;
    tk_future_start(&running->future, false);
    latch_wait(&entered, 1);
    stage_answer(ready, 1, NULL);
    child = fork();
    if (child == 0) {
        alarm(20);
        _exit(try_in_child(exec, running, ready, queue, number));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(tk_fork_number(), number);
    gate_open(&gate);
    assert_true(tikv_future_wait(&running->future, TIKV_FOREVER));
    tikv_future_free(&running->future);
    tikv_future_free(&ready->future);
    tikv_queue_free(queue);
    stage_close(exec);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(parker__loses_no_ring),
        harness_test(parker__is_rung_by_many),
        harness_test(parker__keeps_an_early_ring),
        harness_test(parker__is_recycled_when_its_thread_ends),
        harness_test(spawn__names_and_marks_its_thread),
        harness_test(timers__come_in_order_whatever_is_removed),
        harness_test(timer__fires_no_earlier_than_armed),
        harness_test(random__differs_between_runtimes),
        harness_test(wake__reaches_each_of_a_group),
        harness_test(mutex__counts_what_its_thread_holds),
#if defined(TK_DEBUG)
        harness_test(debug__aborts_on_broken_rules_of_locks),
#endif
        harness_test(fork__child_is_told_at_once),
        harness_test(epoch__frees_nothing_under_a_reader),
    };

    return harness_run(tests);
}
