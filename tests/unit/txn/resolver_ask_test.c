/* SPDX-License-Identifier: Apache-2.0 */
/* One transaction by its primary, and ending all of many. */
#include "unit/txn/place.h"

static struct tk_txn_fate
ask(struct place *place, uint64_t start_ts, const char *primary,
    enum tk_ask how)
{
    struct tk_backoff backoff;
    struct tk_txn_fate fate;
    struct tk_op op;

    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_resolver_ask(place->client->resolver, &op, &backoff, start_ts,
                             tk_slice_text(primary), how, &fate));
    tk_op_fini(&op);
    return fate;
}

static void
looks(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v",
                                .ttl_ms = 100 };
    struct tk_txn_fate fate = ask(place, write.start_ts, "a", TK_ASK_LOOK);
    uint64_t commit_ts;

    assert_int_equal(fate.state, TK_TXN_UNKNOWN);
    /* It was a look: the transaction may begin. */
    data_prewrite(place->router, &write);
    fate = ask(place, write.start_ts, "a", TK_ASK_LOOK);
    assert_int_equal(fate.state, TK_TXN_ALIVE);
    assert_true(fate.left_ms <= 100);
    place_outlive(place, write.start_ts, 100);
    fate = ask(place, write.start_ts, "a", TK_ASK_LOOK);
    assert_int_equal(fate.state, TK_TXN_ALIVE);
    assert_true(fate.left_ms < 0);
    commit_ts = data_ts(place->router);
    data_commit(place->router, write.start_ts, commit_ts, write.keys);
    fate = ask(place, write.start_ts, "a", TK_ASK_LOOK);
    assert_int_equal(fate.state, TK_TXN_COMMITTED);
    assert_int_equal(fate.commit_ts, commit_ts);
}

static void
ask__looks_without_changing_anything(void **state)
{
    (void)state;
    place_run(looks);
}

static void
decides(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v",
                                .ttl_ms = 100 };
    struct tk_txn_fate fate;

    data_prewrite(place->router, &write);
    fate = ask(place, write.start_ts, "a", TK_ASK_DECIDE);
    assert_int_equal(fate.state, TK_TXN_ALIVE);
    place_outlive(place, write.start_ts, 100);
    fate = ask(place, write.start_ts, "a", TK_ASK_DECIDE);
    assert_int_equal(fate.state, TK_TXN_ROLLED_BACK);
    assert_int_equal(data_locks(place->router, NULL), 0);
    /* Never seen: it will not begin any more. */
    fate = ask(place, data_ts(place->router), "b", TK_ASK_DECIDE);
    assert_int_equal(fate.state, TK_TXN_ROLLED_BACK);
}

static void
ask__decides_what_is_over(void **state)
{
    (void)state;
    place_run(decides);
}

static void
ends(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v" };
    struct data_write async = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b", "c"),
                                .value = "v",
                                .is_async = true,
                                .secondaries = DATA_KEYS("c") };
    struct tk_txn_fate fate;

    data_prewrite(place->router, &write);
    data_prewrite(place->router, &async);
    fate = ask(place, write.start_ts, "a", TK_ASK_END);
    assert_int_equal(fate.state, TK_TXN_ROLLED_BACK);
    fate = ask(place, async.start_ts, "b", TK_ASK_LOOK);
    assert_int_equal(fate.state, TK_TXN_ALIVE);
    /* All its locks are there: it is committed, whatever we wish. */
    fate = ask(place, async.start_ts, "b", TK_ASK_END);
    assert_int_equal(fate.state, TK_TXN_COMMITTED);
    assert_true(fate.commit_ts > async.start_ts);
    place_await_locks(place, 0);
}

static void
ask__ends_what_lives(void **state)
{
    (void)state;
    place_run(ends);
}

/* Lesson 34: locks of every kind, alive and dead, in two regions. */
static void
all(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a", "n") };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b", "o"),
                                .value = "v" };
    struct data_write half = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("c", "p"),
                               .value = "v" };
    struct data_write async = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("d", "q"),
                                .value = "v",
                                .is_async = true,
                                .secondaries = DATA_KEYS("q") };
    struct tk_lock_set locks;
    struct tk_backoff backoff;
    struct tk_op op;

    place_split(place, "m");
    data_lock(place->router, &lock);
    data_prewrite(place->router, &write);
    data_prewrite(place->router, &half);
    data_prewrite(place->router, &async);
    data_commit(place->router, half.start_ts, data_ts(place->router),
                DATA_KEYS("c"));
    tk_lock_set_init(&locks);
    assert_int_equal(data_locks(place->router, &locks), 7);
    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_resolver_resolve_all(place->client->resolver, &op, &backoff,
                                     &locks));
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(ask(place, half.start_ts, "c", TK_ASK_LOOK).state,
                     TK_TXN_COMMITTED);
    assert_int_equal(ask(place, async.start_ts, "d", TK_ASK_LOOK).state,
                     TK_TXN_COMMITTED);
    assert_int_equal(ask(place, write.start_ts, "b", TK_ASK_LOOK).state,
                     TK_TXN_ROLLED_BACK);
}

static void
lesson_34__all_locks_of_any_kind_are_ended(void **state)
{
    (void)state;
    place_run(all);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ask__looks_without_changing_anything),
        harness_test(ask__decides_what_is_over),
        harness_test(ask__ends_what_lives),
        harness_test(lesson_34__all_locks_of_any_kind_are_ended),
    };

    return harness_run(tests);
}
