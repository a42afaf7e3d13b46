/* SPDX-License-Identifier: Apache-2.0 */
/* Work that outlives its call: runs once, is waited for, ends with the pool. */
#include "harness/harness.h"

#include "exec/runtime_sim.h"
#include "txn/chores.h"

enum { CHORES = 50 };

struct count {
    struct tk_chore chore; /* first */
    unsigned runs;
    bool had_op;
};

struct world {
    struct tk_runtime *rt;
    struct tk_exec *exec;
    struct tk_chores chores;
    struct count counts[CHORES];
};

static void
run(struct tk_chore *chore, struct tk_op *op)
{
    struct count *count = (struct count *)(void *)chore;

    count->had_op = op != NULL;
    if (op != NULL) {
        tikv_error_free(tk_op_sleep(op, 3 * TK_MS));
    }
    count->runs++;
}

static void
add_all(struct world *w)
{
    size_t i;

    for (i = 0; i < CHORES; i++) {
        w->counts[i] =
            (struct count){ .chore = { .run = run, .limit_ns = 1000 * TK_MS } };
        tk_chores_add(&w->chores, &w->counts[i].chore);
    }
}

static void
body(void *arg)
{
    struct world *w = arg;
    int64_t now;
    size_t i;

    assert_null(tk_exec_open(w->rt, 2, 4, &w->exec));
    tk_chores_init(&w->chores, w->exec);
    assert_true(tk_chores_drain(&w->chores, tk_now(w->rt)));
    /* More than the pool's queue takes of others, and all of them run. */
    add_all(w);
    now = tk_now(w->rt);
    assert_false(tk_chores_drain(&w->chores, tk_after(now, 5 * TK_MS)));
    assert_true(tk_chores_drain(&w->chores, TK_NEVER));
    for (i = 0; i < CHORES; i++) {
        assert_int_equal(w->counts[i].runs, 1);
        assert_true(w->counts[i].had_op);
    }
    tk_exec_close_begin(w->exec);
    tk_exec_close_end(w->exec);
    /* Nobody is left to run them: here and now, without an op. */
    add_all(w);
    for (i = 0; i < CHORES; i++) {
        assert_int_equal(w->counts[i].runs, 1);
        assert_false(w->counts[i].had_op);
    }
    assert_true(tk_chores_drain(&w->chores, tk_now(w->rt)));
    tk_chores_fini(&w->chores);
    tk_exec_unref(w->exec);
}

static void
chores__run_once_and_are_waited_for(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        struct world w = { .rt = tk_runtime_sim_new(seed) };

        if (!tk_runtime_sim_run(w.rt, body, &w, 1000000)) {
            print_error("%s\n", tk_runtime_sim_report(w.rt));
            fail();
        }
        tk_runtime_sim_free(w.rt);
    }
}

static void
chores__run_on_real_threads(void **state)
{
    struct world w = { .rt = tk_runtime_posix_new() };

    (void)state;
    body(&w);
    tk_runtime_posix_free(w.rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(chores__run_once_and_are_waited_for),
        harness_test(chores__run_on_real_threads),
    };

    return harness_run(tests);
}
