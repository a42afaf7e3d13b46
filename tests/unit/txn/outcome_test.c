/* SPDX-License-Identifier: Apache-2.0 */
/* The lattice of what is known of a commit, and its least timestamp. */
#include "harness/harness.h"

#include "exec/runtime.h"
#include "txn/min_commit.h"
#include "txn/outcome.h"

static void
outcome__is_only_climbed(void **state)
{
    const bool ways[5][5] = {
        /* to NONE, SENT, UNDETERMINED, FAILED, COMMITTED */
        { true, true, true, true, true },
        { false, true, true, true, true },
        { false, false, true, true, true },
        { false, false, false, true, false },
        { false, false, false, false, true },
    };
    int from;
    int to;

    (void)state;
    for (from = TK_OUTCOME_NONE; from <= TK_OUTCOME_COMMITTED; from++) {
        for (to = TK_OUTCOME_NONE; to <= TK_OUTCOME_COMMITTED; to++) {
            enum tk_outcome_state at = (enum tk_outcome_state)from;

            assert_int_equal(tk_outcome_reach(&at, (enum tk_outcome_state)to),
                             ways[from][to]);
            assert_int_equal(at, ways[from][to] ? to : from);
        }
    }
}

static void
min_commit__begins_at_nothing_and_only_grows(void **state)
{
    struct tk_min_commit min;

    (void)state;
    tk_min_commit_init(&min);
    assert_int_equal(tk_min_commit_get(&min), 0);
    assert_int_equal(min.required, TK_MIN_COMMIT_HEARTBEAT);
    assert_true(tk_min_commit_raise(&min, 10, TK_MIN_COMMIT_HEARTBEAT));
    assert_true(tk_min_commit_raise(&min, 5, TK_MIN_COMMIT_HEARTBEAT));
    assert_int_equal(tk_min_commit_get(&min), 10);
    tk_min_commit_fini(&min);
}

static void
min_commit__is_the_commits_alone_once_claimed(void **state)
{
    struct tk_min_commit min;

    (void)state;
    tk_min_commit_init(&min);
    assert_true(tk_min_commit_raise(&min, 10, TK_MIN_COMMIT_HEARTBEAT));
    assert_int_equal(tk_min_commit_claim(&min), 10);
    assert_int_equal(min.required, TK_MIN_COMMIT_COMMIT);
    assert_false(tk_min_commit_raise(&min, 20, TK_MIN_COMMIT_HEARTBEAT));
    assert_int_equal(tk_min_commit_get(&min), 10);
    assert_true(tk_min_commit_raise(&min, 30, TK_MIN_COMMIT_COMMIT));
    assert_int_equal(tk_min_commit_get(&min), 30);
    tk_min_commit_fini(&min);
}

struct pusher {
    struct tk_min_commit *min;
    uint64_t from;
};

static void
push(void *arg)
{
    struct pusher *pusher = arg;
    uint64_t i;

    for (i = 0; i < 1000; i++) {
        tk_min_commit_raise(pusher->min, pusher->from + i,
                            TK_MIN_COMMIT_HEARTBEAT);
    }
}

static void
min_commit__takes_two_pushers_at_once(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_min_commit min;
    struct pusher pushers[2] = { { &min, 0 }, { &min, 1000 } };
    struct tk_thread *threads[2];
    int i;

    (void)state;
    tk_min_commit_init(&min);
    for (i = 0; i < 2; i++) {
        threads[i] = rt->ops->spawn(rt, "pusher", push, &pushers[i]);
    }
    for (i = 0; i < 2; i++) {
        rt->ops->join(rt, threads[i]);
    }
    assert_int_equal(tk_min_commit_get(&min), 1999);
    tk_min_commit_fini(&min);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(outcome__is_only_climbed),
        harness_test(min_commit__begins_at_nothing_and_only_grows),
        harness_test(min_commit__is_the_commits_alone_once_claimed),
        harness_test(min_commit__takes_two_pushers_at_once),
    };

    return harness_run(tests);
}
