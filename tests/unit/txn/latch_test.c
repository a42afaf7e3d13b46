/* SPDX-License-Identifier: Apache-2.0 */
/* Latches in the simulation: who waits, who is too late, who gives up. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/slice.h"
#include "exec/exec.h"
#include "exec/runtime_sim.h"
#include "txn/latch.h"

struct world {
    struct tk_runtime *rt;
    struct tk_exec *exec;
    struct tk_latches *latches;
    void (*body)(struct world *);
};

static void
world_main(void *arg)
{
    struct world *w = arg;

    assert_null(tk_exec_open(w->rt, 2, 10, &w->exec));
    w->latches = tk_latches_new(w->rt, 4);
    assert_non_null(w->latches);
    w->body(w);
    tk_latches_free(w->latches);
    tk_exec_close_begin(w->exec);
    tk_exec_close_end(w->exec);
    tk_exec_unref(w->exec);
}

static void
run(void (*body)(struct world *))
{
    uint64_t seed;

    for (seed = 1; seed <= 20; seed++) {
        struct world w = { .rt = tk_runtime_sim_new(seed), .body = body };

        if (!tk_runtime_sim_run(w.rt, world_main, &w, 1000000)) {
            print_error("%s\n", tk_runtime_sim_report(w.rt));
            fail();
        }
        tk_runtime_sim_free(w.rt);
    }
}

static tikv_error *
lock(struct world *w, struct tk_latch_ticket *ticket, uint64_t start_ts,
     const char *keys, int64_t limit_ms)
{
    tikv_error *error;
    struct tk_op op;

    assert_true(tk_latch_ticket_init(ticket, start_ts, strlen(keys)));
    for (; *keys != '\0'; keys++) {
        tk_latch_ticket_add(ticket, tk_slice(keys, 1));
    }
    assert_true(tk_op_init(&op, w->exec, NULL, limit_ms * TK_MS));
    error = tk_latches_lock(w->latches, &op, ticket);
    tk_op_fini(&op);
    return error;
}

static void
unlock(struct world *w, struct tk_latch_ticket *ticket, uint64_t commit_ts)
{
    tk_latches_unlock(w->latches, ticket, commit_ts);
    tk_latch_ticket_fini(ticket);
}

static void
expect_conflict(tikv_error *error)
{
    assert_int_equal(tikv_error_code(error), TIKV_ERR_WRITE_CONFLICT);
    tikv_error_free(error);
}

/* One fiber beside the test's. */
struct other {
    struct world *w;
    const char *keys;
    uint64_t start_ts;
    tikv_code code;
    int64_t limit_ms;
};

static void
other_main(void *arg)
{
    struct other *other = arg;
    struct tk_latch_ticket ticket;
    tikv_error *error =
        lock(other->w, &ticket, other->start_ts, other->keys, other->limit_ms);

    other->code = tikv_error_code(error);
    tikv_error_free(error);
    unlock(other->w, &ticket, 0);
}

static void
nap(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 10000 * TK_MS));
    assert_null(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static void
late(struct world *w)
{
    struct tk_latch_ticket ticket;

    assert_null(lock(w, &ticket, 10, "aba", 100));
    assert_int_equal(ticket.count, 2);
    unlock(w, &ticket, 20);
    expect_conflict(lock(w, &ticket, 15, "bc", 100));
    assert_int_equal(ticket.taken, 0);
    unlock(w, &ticket, 0);
    assert_null(lock(w, &ticket, 20, "abc", 100));
    unlock(w, &ticket, 0); /* failed: nothing changed */
    assert_null(lock(w, &ticket, 20, "abc", 100));
    unlock(w, &ticket, 30);
}

static void
latch__refuses_who_began_before_the_last_commit(void **state)
{
    (void)state;
    run(late);
}

/* The waiter is woken, and told whether it is too late. */
static void
waiters(struct world *w)
{
    struct other others[3] = { { w, "ab", 11, 0, 10000 },
                               { w, "bc", 25, 0, 10000 },
                               { w, "cd", 12, 0, 10000 } };
    struct tk_latch_ticket ticket;
    struct tk_thread *threads[3];
    int i;

    assert_null(lock(w, &ticket, 10, "bd", 100));
    for (i = 0; i < 3; i++) {
        threads[i] = w->rt->ops->spawn(w->rt, "other", other_main, &others[i]);
    }
    nap(w, 5);
    unlock(w, &ticket, 20);
    for (i = 0; i < 3; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_int_equal(others[0].code, TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(others[1].code, TIKV_OK);
    assert_int_equal(others[2].code, TIKV_ERR_WRITE_CONFLICT);
}

static void
latch__wakes_its_waiters_one_after_the_other(void **state)
{
    (void)state;
    run(waiters);
}

static void
impatient(struct world *w)
{
    struct other other = { w, "abc", 11, 0, 20 };
    struct tk_latch_ticket ticket;
    struct tk_thread *thread;

    assert_null(lock(w, &ticket, 10, "b", 100));
    thread = w->rt->ops->spawn(w->rt, "other", other_main, &other);
    w->rt->ops->join(w->rt, thread);
    assert_int_equal(other.code, TIKV_ERR_TIMEOUT);
    unlock(w, &ticket, 0);
    /* It left nothing behind. */
    assert_null(lock(w, &ticket, 12, "abc", 100));
    unlock(w, &ticket, 0);
}

static void
latch__lets_a_waiter_go_at_its_deadline(void **state)
{
    (void)state;
    run(impatient);
}

/* One slot. What is idle goes when it is crowded and all is long over. */
static void
crowded_slot(struct world *w)
{
    struct tk_latches *latches = w->latches;
    const uint64_t minute = UINT64_C(60000) << 18;
    struct tk_latch_ticket ticket;
    char key[2] = "a";
    int64_t before;
    int64_t held;

    w->latches = tk_latches_new(w->rt, 1);
    before = tk_alloc_live();
    for (; key[0] < 'f'; key[0]++) {
        assert_null(lock(w, &ticket, minute, key, 100));
        unlock(w, &ticket, minute);
    }
    /* They are remembered, also by those who come two minutes later. */
    held = tk_alloc_live();
    assert_true(held > before || held == 0);
    assert_null(lock(w, &ticket, 3 * minute, "x", 100));
    unlock(w, &ticket, 3 * minute);
    assert_true(tk_alloc_live() > held || held == 0);
    expect_conflict(lock(w, &ticket, minute - 1, "b", 100));
    unlock(w, &ticket, 0);
    /* Later still the old ones are dropped, the young one stays. */
    assert_null(lock(w, &ticket, 4 * minute, "y", 100));
    unlock(w, &ticket, 4 * minute);
    assert_true(tk_alloc_live() < held || held == 0);
    expect_conflict(lock(w, &ticket, 2 * minute, "x", 100));
    unlock(w, &ticket, 0);
    tk_latches_free(w->latches);
    w->latches = latches;
}

static void
latch__forgets_what_is_long_over(void **state)
{
    (void)state;
    run(crowded_slot);
}

/* Many commits of the same three keys, in all orders: at any moment one. */
struct crowd {
    struct world *w;
    uint64_t clock; /* fibers take turns: no lock */
    int inside;
    int commits;
};

static void
crowd_main(void *arg)
{
    static const char *const orders[] = { "abc", "cba", "bca", "b" };
    struct crowd *crowd = arg;
    int i;

    for (i = 0; i < 40; i++) {
        struct tk_latch_ticket ticket;
        uint64_t start_ts = ++crowd->clock;
        tikv_error *error =
            lock(crowd->w, &ticket, start_ts, orders[i % 4], 10000);

        if (error == NULL) {
            assert_int_equal(crowd->inside++, 0);
            nap(crowd->w, 1);
            crowd->inside--;
            crowd->commits++;
            unlock(crowd->w, &ticket, ++crowd->clock);
        } else {
            expect_conflict(error);
            unlock(crowd->w, &ticket, 0);
            nap(crowd->w, 1);
        }
    }
}

static void
crowded(struct world *w)
{
    struct crowd crowd = { .w = w };
    struct tk_thread *threads[4];
    int i;

    for (i = 0; i < 4; i++) {
        threads[i] = w->rt->ops->spawn(w->rt, "crowd", crowd_main, &crowd);
    }
    for (i = 0; i < 4; i++) {
        w->rt->ops->join(w->rt, threads[i]);
    }
    assert_true(crowd.commits > 10);
}

static void
latch__lets_one_in_at_a_time(void **state)
{
    (void)state;
    run(crowded);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(latch__refuses_who_began_before_the_last_commit),
        harness_test(latch__wakes_its_waiters_one_after_the_other),
        harness_test(latch__lets_a_waiter_go_at_its_deadline),
        harness_test(latch__forgets_what_is_long_over),
        harness_test(latch__lets_one_in_at_a_time),
    };

    return harness_run(tests);
}
