/* SPDX-License-Identifier: Apache-2.0 */
/* Locks in the way of readers and writers. timeout: 120 */
#include "unit/txn/place.h"

/* A transaction over a, b, c that came as far as its primary's commit. */
static uint64_t
half_committed(struct place *place, uint64_t *commit_ts)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b", "c"),
                                .value = "v",
                                .txn_size = 3 };

    data_prewrite(place->router, &write);
    *commit_ts = data_ts(place->router);
    data_commit(place->router, write.start_ts, *commit_ts, DATA_KEYS("a"));
    return write.start_ts;
}

static void
reader_meets_committed(struct place *place)
{
    struct place_round round;
    uint64_t commit_ts;
    uint64_t txn = half_committed(place, &commit_ts);

    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_true(tk_ts_set_has(&round.access, txn));
    assert_int_equal(round.bypass.count, 0);
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 1);
    place_forget(&round);
    place_await_locks(place, 0);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 1);
}

static void
resolver__lets_readers_read_through_what_is_committed(void **state)
{
    (void)state;
    place_run(reader_meets_committed);
}

static void
reader_is_older(struct place *place)
{
    uint64_t old = data_ts(place->router);
    struct place_round round;
    uint64_t commit_ts;
    uint64_t txn = half_committed(place, &commit_ts);

    place_resolve(place, &round, old, true);
    world_ok(round.error);
    assert_true(tk_ts_set_has(&round.bypass, txn));
    assert_int_equal(round.access.count, 0);
    place_forget(&round);
    place_await_locks(place, 0);
    /* The newest is always newer. */
    half_committed(place, &commit_ts);
    place_resolve(place, &round, UINT64_MAX, true);
    world_ok(round.error);
    assert_int_equal(round.access.count, 1);
    place_forget(&round);
    place_await_locks(place, 0);
}

static void
resolver__lets_readers_ignore_what_is_newer(void **state)
{
    (void)state;
    place_run(reader_is_older);
}

static void
writer_meets_committed(struct place *place)
{
    struct place_round round;
    uint64_t commit_ts;

    half_committed(place, &commit_ts);
    place_split(place, "c");
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    place_forget(&round);
    /* Not left behind: gone. One request per region. */
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 2);
}

static void
resolver__cleans_before_a_writer_goes_on(void **state)
{
    (void)state;
    place_run(writer_meets_committed);
}

/* Lesson 42: a living transaction does not hold up readers. */
static void
reader_meets_alive(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "v" };
    struct place_round round;
    uint64_t reader;

    data_prewrite(place->router, &write);
    reader = data_ts(place->router);
    place_resolve(place, &round, reader, true);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_true(tk_ts_set_has(&round.bypass, write.start_ts));
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 2);
    /* A writer waits, as long as the lock lives at the most. */
    place_resolve(place, &round, reader, false);
    world_ok(round.error);
    assert_in_range(round.resolve.wait_ms, 1, 3000);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 2);
}

static void
lesson_42__a_reader_pushes_a_living_transaction(void **state)
{
    (void)state;
    place_run(reader_meets_alive);
}

static void
dead_primary(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b", "c"),
                                .value = "v",
                                .ttl_ms = 20 };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_outlive(place, write.start_ts, 20);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    /* Size unknown: by region, once (lesson 40). */
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 1);
}

static void
resolver__rolls_back_the_expired(void **state)
{
    (void)state;
    place_run(dead_primary);
}

/* Lesson 29. */
static void
orphan(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b"),
                                .primary = "a",
                                .value = "v",
                                .ttl_ms = 50 };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_true(tk_ts_set_has(&round.bypass, write.start_ts));
    /* It asked while the primary could still come, and not in a spin. */
    assert_in_range(place_calls(place, "tikv.KvCheckTxnStatus"), 3, 12);
    place_forget(&round);
    place_await_locks(place, 0);
}

static void
lesson_29__an_orphaned_secondary_is_rolled_back(void **state)
{
    (void)state;
    place_run(orphan);
}

static void
no_ttl(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v",
                                .ttl_ms = UINT64_MAX };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
}

static void
resolver__resolves_a_lock_without_ttl_at_once(void **state)
{
    (void)state;
    place_run(no_ttl);
}

/* Lesson 33. */
static void
own(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v" };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_resolve(place, &round, write.start_ts, false);
    assert_int_equal(tikv_error_code(round.error), TIKV_ERR_ABORTED);
    place_forget(&round);
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 0);
}

static void
lesson_33__an_own_lock_raises_no_question(void **state)
{
    (void)state;
    place_run(own);
}

/* Lesson 36: what was renewed while the request waited is alive. */
static void
fresh(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v" };
    struct tk_backoff backoff;
    struct tk_resolve resolve = { .caller_start_ts = 0, .backoff = &backoff };
    struct tk_lock_set locks;
    struct tk_op op;

    data_prewrite(place->router, &write);
    resolve.caller_start_ts = data_ts(place->router);
    tk_backoff_init(&backoff, 20000);
    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    locks.data[0].last_update_ms = 5;
    place_begin(place, &op);
    world_ok(
        tk_resolver_resolve(place->client->resolver, &op, &resolve, &locks));
    assert_in_range(resolve.wait_ms, 1, 3000);
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 0);
    /* Long ago is not. */
    locks.data[0].last_update_ms = 2000;
    world_ok(
        tk_resolver_resolve(place->client->resolver, &op, &resolve, &locks));
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 1);
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
}

static void
lesson_36__a_fresh_lock_raises_no_question(void **state)
{
    (void)state;
    place_run(fresh);
}

/* ---- pessimistic locks ---- */

/* Lesson 27: nothing is decided about a transaction that may still begin. */
static void
pessimistic_gone(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a", "b"),
                               .ttl_ms = 20 };
    struct place_round round;
    struct data_write write = { .value = "v" };

    data_lock(place->router, &lock);
    place_outlive(place, lock.start_ts, 20);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 0);
    assert_int_equal(place_calls(place, "tikv.KVPessimisticRollback"), 1);
    /* It is alive: it can change its primary and commit. */
    write.start_ts = lock.start_ts;
    write.keys = DATA_KEYS("c");
    data_prewrite(place->router, &write);
    data_commit(place->router, lock.start_ts, data_ts(place->router),
                DATA_KEYS("c"));
}

static void
lesson_27__a_lost_pessimistic_primary_decides_nothing(void **state)
{
    (void)state;
    place_run(pessimistic_gone);
}

static void
pessimistic_leftover(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a"),
                               .primary = "b" };
    struct data_write write = { .start_ts = lock.start_ts,
                                .keys = DATA_KEYS("b"),
                                .primary = "c",
                                .value = "v" };
    struct place_round round;

    /* The primary was changed from b to c; a tells of b. */
    data_lock(place->router, &lock);
    data_prewrite(place->router, &write);
    write.keys = DATA_KEYS("c");
    data_prewrite(place->router, &write);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    assert_in_range(round.resolve.wait_ms, 1, 3000);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 2);
}

static void
resolver__removes_a_leftover_that_names_another_primary(void **state)
{
    (void)state;
    place_run(pessimistic_leftover);
}

/* ---- async commit ---- */

static uint64_t
async_write(struct place *place, data_keys keys, uint64_t ttl_ms)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = keys,
                                .primary = "a",
                                .value = "v",
                                .ttl_ms = ttl_ms,
                                .is_async = true,
                                .secondaries = DATA_KEYS("b", "m", "z") };

    data_prewrite(place->router, &write);
    return write.start_ts;
}

/* Lesson 30. */
static void
async_complete(struct place *place)
{
    struct place_round round;
    uint64_t txn;

    place_split(place, "f");
    place_split(place, "s");
    txn = async_write(place, DATA_KEYS("a", "b", "m", "z"), 500);
    /* Not before its time. */
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_in_range(round.resolve.wait_ms, 1, 500);
    place_forget(&round);
    place_outlive(place, txn, 500);
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_true(tk_ts_set_has(&round.access, txn));
    place_forget(&round);
    assert_int_equal(place_calls(place, "tikv.KvCheckSecondaryLocks"), 3);
    place_await_locks(place, 0);
}

static void
lesson_30__an_async_commit_is_recovered_over_three_regions(void **state)
{
    (void)state;
    place_run(async_complete);
}

static void
async_incomplete(struct place *place)
{
    struct place_round round;
    uint64_t txn;

    place_split(place, "f");
    txn = async_write(place, DATA_KEYS("a", "b", "z"), 20);
    place_outlive(place, txn, 20);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    /* What comes late finds the rollback. */
    place_resolve(place, &round, txn + 1, true);
    place_forget(&round);
}

static void
resolver__rolls_back_an_incomplete_async_commit(void **state)
{
    (void)state;
    place_run(async_incomplete);
}

/* Lesson 25: once decided, a lock in hand costs one request. */
static void
async_decided(struct place *place)
{
    struct place_round round;
    uint64_t txn = async_write(place, DATA_KEYS("a", "b", "m", "z"), 3000);
    uint64_t before;

    data_commit(place->router, txn, data_ts(place->router), DATA_KEYS("a"));
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(place_calls(place, "tikv.KvCheckSecondaryLocks"), 0);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 1);
    before = place_calls(place, "tikv.KvCheckTxnStatus");
    assert_int_equal(before, 1);
}

static void
lesson_25__a_decided_async_commit_is_resolved_directly(void **state)
{
    (void)state;
    place_run(async_decided);
}

/* Lesson 28: the primary is async, a member is not. */
static void
async_fell_back(struct place *place)
{
    struct data_write write = { .start_ts =
                                    async_write(place, DATA_KEYS("a", "b"), 20),
                                .keys = DATA_KEYS("m", "z"),
                                .primary = "a",
                                .value = "v",
                                .ttl_ms = 20 };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_outlive(place, write.start_ts, 20);
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_true(tk_ts_set_has(&round.bypass, write.start_ts));
    place_forget(&round);
    place_await_locks(place, 0);
}

static void
lesson_28__a_commit_that_fell_back_ends_with_its_ttl(void **state)
{
    (void)state;
    place_run(async_fell_back);
}

/* Lesson 31: two secondaries committed at different timestamps. */
static void
async_contradiction(struct place *place)
{
    struct place_round round;
    uint64_t txn;

    place_split(place, "f");
    place_split(place, "s");
    txn = async_write(place, DATA_KEYS("a", "b", "m", "z"), 20);
    data_commit(place->router, txn, data_ts(place->router), DATA_KEYS("m"));
    data_commit(place->router, txn, data_ts(place->router), DATA_KEYS("z"));
    place_outlive(place, txn, 20);
    place_resolve(place, &round, data_ts(place->router), true);
    assert_int_equal(tikv_error_code(round.error), TIKV_ERR_SERVER);
    assert_non_null(strstr(tikv_error_message(round.error), "contradict"));
    place_forget(&round);
}

static void
lesson_31__regions_that_contradict_are_an_error(void **state)
{
    (void)state;
    place_run(async_contradiction);
}

/* ---- trouble, crowds ---- */

/* Lesson 32. */
static void
primary_is_down(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v" };
    struct place_round round;
    struct tk_lock_set locks;
    struct tk_op op;
    tikv_error *error;

    data_prewrite(place->router, &write);
    world_fault(place->w, "on=tikv.KvCheckTxnStatus do=region_error("
                          "region_not_found)");
    place_resolve(place, &round, write.start_ts, false);
    tikv_error_free(round.error);
    round.error = NULL;
    round.resolve.caller_start_ts = data_ts(place->router);
    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    assert_true(tk_op_init(&op, place->w->exec, NULL, 100 * TK_MS));
    error = tk_resolver_resolve(place->client->resolver, &op, &round.resolve,
                                &locks);
    tk_op_fini(&op);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TIMEOUT);
    tikv_error_free(error);
    /* And the budget, where there is time. */
    tk_backoff_init(&round.backoff, 50);
    place_begin(place, &op);
    error = tk_resolver_resolve(place->client->resolver, &op, &round.resolve,
                                &locks);
    tk_op_fini(&op);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_REGION);
    tikv_error_free(error);
    tk_lock_set_fini(&locks);
    place_forget(&round);
}

static void
lesson_32__a_primary_that_is_down_ends_with_the_deadline(void **state)
{
    (void)state;
    place_run(primary_is_down);
}

struct crowd {
    struct place *place;
    uint64_t caller;
    _Atomic uint32_t passed;
};

static void
crowd_main(void *arg)
{
    struct crowd *crowd = arg;
    struct place_round round;

    place_resolve(crowd->place, &round, crowd->caller, true);
    world_ok(round.error);
    assert_true(round.bypass.count + round.access.count == 1);
    place_forget(&round);
    atomic_fetch_add(&crowd->passed, 1);
}

/* Lesson 38. */
static void
many_ask(struct place *place)
{
    enum { MANY = 8 };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "v",
                                .txn_size = 2 };
    struct crowd crowd = { .place = place };
    struct tk_thread *threads[MANY];
    size_t i;

    data_prewrite(place->router, &write);
    crowd.caller = data_ts(place->router);
    world_fault(place->w, "on=tikv.KvCheckTxnStatus do=delay(20)");
    for (i = 0; i < MANY; i++) {
        threads[i] = place->w->rt->ops->spawn(place->w->rt, "reader",
                                              crowd_main, &crowd);
        assert_non_null(threads[i]);
    }
    for (i = 0; i < MANY; i++) {
        place->w->rt->ops->join(place->w->rt, threads[i]);
    }
    assert_int_equal(crowd.passed, MANY);
    /* They asked the same at about the same time. */
    assert_in_range(place_calls(place, "tikv.KvCheckTxnStatus"), 1, MANY - 1);
}

static void
lesson_38__the_same_question_is_sent_once(void **state)
{
    (void)state;
    place_run(many_ask);
}

/* Lesson 43: each lock of another dead transaction. */
static void
many_dead(struct place *place)
{
    enum { MANY = 100 };
    struct place_round round;
    uint64_t last = 0;
    char key[16];
    size_t i;

    for (i = 0; i < MANY; i++) {
        struct data_write write = { .start_ts = data_ts(place->router),
                                    .keys = DATA_KEYS(key),
                                    .value = "v",
                                    .ttl_ms = 1,
                                    .txn_size = 1 };

        last = write.start_ts;
        snprintf(key, sizeof(key), "k%03zu", i);
        data_prewrite(place->router, &write);
    }
    place_outlive(place, last, 1);
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_int_equal(round.bypass.count, MANY);
    /* Not a single pause. */
    assert_int_equal(round.backoff.total_ms, 0);
    place_forget(&round);
    place_await_locks(place, 0);
}

static void
lesson_43__dead_locks_are_not_waited_for(void **state)
{
    (void)state;
    place_run(many_dead);
}

/* A final fate needs no question, whoever told it. */
static void
learned(struct place *place)
{
    uint64_t commit_ts;
    uint64_t txn = half_committed(place, &commit_ts);
    struct tk_txn_fate fate = { .state = TK_TXN_COMMITTED,
                                .commit_ts = commit_ts };
    struct place_round round;

    tk_resolver_learn(place->client->resolver, txn, &fate);
    place_resolve(place, &round, data_ts(place->router), true);
    world_ok(round.error);
    assert_int_equal(round.access.count, 1);
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 0);
    place_forget(&round);
    place_await_locks(place, 0);
}

static void
resolver__does_not_ask_what_it_knows(void **state)
{
    (void)state;
    place_run(learned);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(resolver__lets_readers_read_through_what_is_committed),
        harness_test(resolver__lets_readers_ignore_what_is_newer),
        harness_test(resolver__cleans_before_a_writer_goes_on),
        harness_test(lesson_42__a_reader_pushes_a_living_transaction),
        harness_test(resolver__rolls_back_the_expired),
        harness_test(lesson_29__an_orphaned_secondary_is_rolled_back),
        harness_test(resolver__resolves_a_lock_without_ttl_at_once),
        harness_test(lesson_33__an_own_lock_raises_no_question),
        harness_test(lesson_36__a_fresh_lock_raises_no_question),
        harness_test(lesson_27__a_lost_pessimistic_primary_decides_nothing),
        harness_test(resolver__removes_a_leftover_that_names_another_primary),
        harness_test(
            lesson_30__an_async_commit_is_recovered_over_three_regions),
        harness_test(resolver__rolls_back_an_incomplete_async_commit),
        harness_test(lesson_25__a_decided_async_commit_is_resolved_directly),
        harness_test(lesson_28__a_commit_that_fell_back_ends_with_its_ttl),
        harness_test(lesson_31__regions_that_contradict_are_an_error),
        harness_test(lesson_32__a_primary_that_is_down_ends_with_the_deadline),
        harness_test(lesson_38__the_same_question_is_sent_once),
        harness_test(lesson_43__dead_locks_are_not_waited_for),
        harness_test(resolver__does_not_ask_what_it_knows),
    };

    return harness_run(tests);
}
