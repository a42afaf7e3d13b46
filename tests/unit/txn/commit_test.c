/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commit machine on a cluster, in the simulation and on real threads:
 * strategies, locks in its way, timestamps that come too low, and what it
 * leaves behind: never a lock. timeout: 120
 */
#include "unit/txn/attempt.h"

/* ---- strategies ---- */

static void
all_strategies(struct place *place)
{
    int strategy;

    place_split(place, "b");
    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        uint64_t start_ts = data_ts(place->router);
        struct tk_txn_fate fate;
        struct try try;

        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, strategy == ONE_PHASE ? DATA_KEYS("b", "c")
                                            : DATA_KEYS("a", "b", "c"));
        world_ok(commit_at(&try, start_ts));
        assert_int_equal(try.commit.outcome, TK_OUTCOME_COMMITTED);
        assert_int_equal(try.commit.in_one_phase, strategy == ONE_PHASE);
        assert_int_equal(try.commit.use_async, strategy == ASYNC);
        assert_true(try.commit_ts > start_ts);
        fate = fate_of(place, start_ts, strategy == ONE_PHASE ? "b" : "a");
        assert_int_equal(fate.state, TK_TXN_COMMITTED);
        assert_int_equal(fate.commit_ts, try.commit_ts);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        assert_int_equal(try.alive_count, 0);
        try_fini(&try);
    }
}

static void
commit__has_three_strategies(void **state)
{
    (void)state;
    place_run(all_strategies);
}

/* The locks of an async commit tell all of it, and recover it. */
static void
async_is_abandoned(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    struct tk_lock_set locks;
    struct try try;
    size_t i;

    place_split(place, "b");
    place_split(place, "c");
    try_init(&try, place, ASYNC);
    put_all(&try, DATA_KEYS("a", "b", "c", "d"));
    world_ok(commit_at(&try, start_ts));
    tk_lock_set_init(&locks);
    assert_int_equal(data_locks(place->router, &locks), 4);
    for (i = 0; i < 4; i++) {
        const struct tk_lock *lock = &locks.data[i];
        bool is_primary = tk_slice_equal(lock->key, tk_slice_text("a"));

        assert_true(lock->is_async);
        assert_int_equal(lock->secondaries_count, is_primary ? 3 : 0);
        assert_true(lock->min_commit_ts <= try.commit_ts);
    }
    tk_lock_set_fini(&locks);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
commit__names_every_key_in_the_primary_of_an_async_commit(void **state)
{
    (void)state;
    place_run(async_is_abandoned);
}

static void
too_much_for_async(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    char key[16];
    struct try try;
    size_t i;

    try_init(&try, place, ASYNC);
    for (i = 0; i < 257; i++) {
        snprintf(key, sizeof(key), "k%03u", (unsigned)i);
        put(&try, key);
    }
    world_ok(commit_at(&try, start_ts));
    assert_false(try.commit.use_async);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
    /* Few keys, too long ones. */
    try_init(&try, place, ASYNC);
    for (i = 0; i < 5; i++) {
        uint8_t wide[1000] = { (uint8_t)('l' + i) };

        world_ok(tk_buffer_set(try.buffer, tk_slice(wide, sizeof(wide)),
                               tk_slice_text("v"), TK_KEY_NO_CHANGE));
    }
    world_ok(commit_at(&try, data_ts(place->router)));
    assert_false(try.commit.use_async);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
commit__takes_two_phases_for_what_is_too_much_for_async(void **state)
{
    (void)state;
    place_run(too_much_for_async);
}

/* Two regions: one phase is not tried. */
static void
one_phase_in_two_regions(struct place *place)
{
    struct try try;

    place_split(place, "b");
    try_init(&try, place, ONE_PHASE);
    put_all(&try, DATA_KEYS("a", "b"));
    world_ok(commit_at(&try, data_ts(place->router)));
    assert_false(try.commit.in_one_phase);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
lesson_14__one_phase_needs_a_single_request(void **state)
{
    (void)state;
    place_run(one_phase_in_two_regions);
}

/* ---- locks of others ---- */

static void
dead_locks(struct place *place)
{
    int strategy;

    place_split(place, "b");
    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        struct data_write dead = { .start_ts = data_ts(place->router),
                                   .keys = DATA_KEYS("b", "c"),
                                   .value = "dead",
                                   .ttl_ms = 1 };
        struct try try;

        data_prewrite(place->router, &dead);
        place_outlive(place, dead.start_ts, 1);
        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, strategy == ONE_PHASE ? DATA_KEYS("b", "c")
                                            : DATA_KEYS("a", "b", "c"));
        world_ok(commit_at(&try, data_ts(place->router)));
        assert_int_equal(try.commit.summary.rounds, 2);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        try_fini(&try);
    }
}

static void
commit__resolves_the_locks_of_the_dead(void **state)
{
    (void)state;
    place_run(dead_locks);
}

static void
living_lock(struct place *place)
{
    struct data_write living = { .start_ts = data_ts(place->router),
                                 .keys = DATA_KEYS("b"),
                                 .value = "living",
                                 .ttl_ms = 60000 };
    tikv_error *error;
    struct try try;

    data_prewrite(place->router, &living);
    try_init(&try, place, TWO_PHASES);
    put_all(&try, DATA_KEYS("a", "b"));
    try.timeout_ms = 300;
    error = commit_at(&try, data_ts(place->router));
    assert_int_not_equal(tikv_error_code(error), TIKV_ERR_UNDETERMINED);
    commit_code(error, TIKV_ERR_TIMEOUT);
    assert_int_equal(try.commit.outcome, TK_OUTCOME_FAILED);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 1);
    try_fini(&try);
    data_roll_back(place->router, living.start_ts, DATA_KEYS("b"));
}

static void
commit__waits_for_a_living_lock_until_the_deadline(void **state)
{
    (void)state;
    place_run(living_lock);
}

/* Who began later wins: no waiting in a circle. */
static void
later_lock(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    struct data_write later = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b"),
                                .value = "later",
                                .ttl_ms = 60000 };
    int strategy;

    data_prewrite(place->router, &later);
    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        struct try try;

        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, DATA_KEYS("a", "b"));
        commit_code(commit_at(&try, start_ts), TIKV_ERR_WRITE_CONFLICT);
        /* One request that applied nothing: nothing is to be rolled back. */
        assert_false(try.has_left);
        try_fini(&try);
    }
    assert_int_equal(place_calls(place, "tikv.KvPrewrite"), 1 + STRATEGIES);
    assert_int_equal(data_locks(place->router, NULL), 1);
    data_roll_back(place->router, later.start_ts, DATA_KEYS("b"));
}

static void
commit__yields_to_the_lock_of_a_later_transaction(void **state)
{
    (void)state;
    place_run(later_lock);
}

static void
policy_fails(struct place *place)
{
    struct data_write earlier = { .start_ts = data_ts(place->router),
                                  .keys = DATA_KEYS("b"),
                                  .value = "v",
                                  .ttl_ms = 60000 };
    struct try try;

    data_prewrite(place->router, &earlier);
    try_init(&try, place, TWO_PHASES);
    try.rules.fails_on_locks = true;
    put(&try, "b");
    commit_code(commit_at(&try, data_ts(place->router)),
                TIKV_ERR_WRITE_CONFLICT);
    try_fini(&try);
    data_roll_back(place->router, earlier.start_ts, DATA_KEYS("b"));
}

static void
commit__fails_on_any_lock_where_told_so(void **state)
{
    (void)state;
    place_run(policy_fails);
}

/* ---- the primary's commit ---- */

/* Between the commit ts and its use: a reader pushes the lock above it. */
static tikv_error *
push_lock(uint64_t ts, void *arg)
{
    struct try *try = arg;
    struct place_round round;

    (void)ts;
    if (try->alive_count++ == 0) {
        place_resolve(try->place, &round, data_ts(try->place->router), true);
        world_ok(round.error);
        place_forget(&round);
    }
    return NULL;
}

static void
lock_is_pushed(struct place *place)
{
    struct try try;

    try_init(&try, place, TWO_PHASES);
    try.rules.commit_check = push_lock;
    put(&try, "a");
    world_ok(commit_at(&try, data_ts(place->router)));
    assert_int_equal(try.alive_count, 2); /* two timestamps */
    assert_int_equal(place_calls(place, "tikv.KvCommit"), 2);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
lesson_16__a_commit_ts_that_comes_too_low_is_replaced(void **state)
{
    (void)state;
    place_run(lock_is_pushed);
}

/* Somebody takes the transaction for dead, just before its commit. */
static tikv_error *
roll_back(uint64_t ts, void *arg)
{
    struct try *try = arg;

    (void)ts;
    data_roll_back(try->place->router, try->commit.start_ts, DATA_KEYS("a"));
    return NULL;
}

static void
primary_is_gone(struct place *place)
{
    struct try try;

    try_init(&try, place, TWO_PHASES);
    try.rules.commit_check = roll_back;
    put_all(&try, DATA_KEYS("a", "b"));
    /* The first answer is lost, the second one is definite. */
    world_fault(place->w, "on=tikv.KvCommit when=first(1) "
                          "do=status(UNAVAILABLE)");
    commit_code(commit_at(&try, data_ts(place->router)), TIKV_ERR_ABORTED);
    assert_int_equal(try.commit.outcome, TK_OUTCOME_FAILED);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
commit__believes_a_definite_answer_after_a_lost_one(void **state)
{
    (void)state;
    place_run(primary_is_gone);
}

/* The cache takes a, b, c for one region when the primary is committed. */
static tikv_error *
split_region(uint64_t ts, void *arg)
{
    struct try *try = arg;

    (void)ts;
    place_split(try->place, "b");
    place_split(try->place, "c");
    return NULL;
}

static void
split_before_commit(struct place *place)
{
    struct try try;

    try_init(&try, place, TWO_PHASES);
    try.rules.commit_check = split_region;
    put_all(&try, DATA_KEYS("a", "b", "c"));
    world_ok(commit_at(&try, data_ts(place->router)));
    /* Only the primary's own region was committed so far. */
    assert_int_equal(data_locks(place->router, NULL), 2);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    try_fini(&try);
}

static void
commit__never_commits_a_neighbour_before_the_primary(void **state)
{
    (void)state;
    place_run(split_before_commit);
}

/* ---- a timestamp that another cluster gave ---- */

struct wait_case {
    int64_t ahead_ms;
    int64_t limit_ms; /* below 0: does not wait */
    tikv_code code;
};

static void
commit_waits(struct place *place)
{
    static const struct wait_case cases[] = {
        { 0, 1000, TIKV_OK },     { 100, 1000, TIKV_OK },
        { 100, -1, TIKV_ERR_PD }, { 10000, 1000, TIKV_ERR_PD },
        { 100, 20, TIKV_ERR_PD },
    };
    int strategy;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]) * 2; i++) {
        for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
            const struct wait_case *wanted = &cases[i / 2];
            uint64_t start_ts = data_ts(place->router);
            struct try try;

            try_init(&try, place, (enum strategy)strategy);
            try.rules.commit_after_ts =
                start_ts + ((uint64_t)wanted->ahead_ms << 18);
            try.rules.commit_after_ms = wanted->limit_ms;
            try.rules.causal = i % 2 != 0;
            put(&try, "a");
            commit_code(commit_at(&try, start_ts), wanted->code);
            assert_true(wanted->code != TIKV_OK ||
                        try.commit_ts > try.rules.commit_after_ts);
            finish(&try);
            assert_int_equal(data_locks(place->router, NULL), 0);
            try_fini(&try);
        }
    }
}

static void
lesson_23__a_commit_waits_for_a_foreign_timestamp(void **state)
{
    (void)state;
    place_run(commit_waits);
}

/* ---- failures ---- */

/* A conflict in one of three regions: the others hold locks for a while. */
static void
conflict_in_one_region(struct place *place)
{
    int strategy;

    place_split(place, "b");
    place_split(place, "c");
    for (strategy = TWO_PHASES; strategy < ONE_PHASE; strategy++) {
        uint64_t start_ts = data_ts(place->router);
        struct try try;

        data_put(place->router, "b", "winner");
        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, DATA_KEYS("a", "b", "c"));
        commit_code(commit_at(&try, start_ts), TIKV_ERR_WRITE_CONFLICT);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        try_fini(&try);
    }
}

static void
lesson_18__a_failed_commit_leaves_no_lock(void **state)
{
    (void)state;
    place_run(conflict_in_one_region);
}

/* An answer is lost, then a living lock is met until the end: the lost
 * request may still make the last lock. So the primary is decided first. */
static void
lost_then_locked(struct place *place)
{
    struct data_write living = { .start_ts = data_ts(place->router),
                                 .keys = DATA_KEYS("b"),
                                 .value = "living",
                                 .ttl_ms = 600000 };
    uint64_t start_ts = data_ts(place->router);
    struct try try;

    place_split(place, "b");
    data_prewrite(place->router, &living);
    try_init(&try, place, ASYNC);
    put_all(&try, DATA_KEYS("a", "b"));
    world_fault(place->w, "on=tikv.KvPrewrite when=first(1) "
                          "do=status(UNAVAILABLE)");
    /* The budget of waiting ends before the deadline. */
    try.timeout_ms = 600000;
    commit_code(commit_at(&try, start_ts), TIKV_ERR_LOCK_WAIT);
    assert_true(try.commit.some_unanswered);
    assert_int_equal(fate_of(place, start_ts, "a").state, TK_TXN_ROLLED_BACK);
    finish(&try);
    assert_int_equal(data_locks(place->router, NULL), 1);
    try_fini(&try);
    data_roll_back(place->router, living.start_ts, DATA_KEYS("b"));
}

static void
lesson_2__a_failure_after_a_lost_prewrite_is_proven_first(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    };

    (void)state;
    place_body = lost_then_locked;
    world_sim(1, &plan, place_main);
    world_sim(2, &plan, place_main);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(commit__has_three_strategies),
        harness_test(commit__names_every_key_in_the_primary_of_an_async_commit),
        harness_test(commit__takes_two_phases_for_what_is_too_much_for_async),
        harness_test(lesson_14__one_phase_needs_a_single_request),
        harness_test(commit__resolves_the_locks_of_the_dead),
        harness_test(commit__waits_for_a_living_lock_until_the_deadline),
        harness_test(commit__yields_to_the_lock_of_a_later_transaction),
        harness_test(commit__fails_on_any_lock_where_told_so),
        harness_test(lesson_16__a_commit_ts_that_comes_too_low_is_replaced),
        harness_test(commit__believes_a_definite_answer_after_a_lost_one),
        harness_test(commit__never_commits_a_neighbour_before_the_primary),
        harness_test(lesson_23__a_commit_waits_for_a_foreign_timestamp),
        harness_test(lesson_18__a_failed_commit_leaves_no_lock),
        harness_test(lesson_2__a_failure_after_a_lost_prewrite_is_proven_first),
    };

    return harness_run(tests);
}
