/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The edges of the commit machine: who is rolled back before it begins, what
 * rules async and one-phase commit out, what falls back from them, and what
 * its requests say of it. timeout: 120
 */
#include "unit/region/spy.h"

#include "unit/txn/attempt.h"

#include "base/value.h"
#include "txn/snapshot.h"

/* ---- the order of things ---- */

/* Somebody ended the transaction before it wrote anything. */
static void
ended_before(struct place *place)
{
    int strategy;

    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        uint64_t start_ts = data_ts(place->router);
        tikv_error *error;
        struct try try;

        data_roll_back(place->router, start_ts, DATA_KEYS("a"));
        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, DATA_KEYS("a", "b"));
        error = commit_at(&try, start_ts);
        assert_int_equal(tikv_error_u64(error, TIKV_ERROR_REASON),
                         TIKV_CONFLICT_SELF_ROLLED_BACK);
        commit_code(error, TIKV_ERR_WRITE_CONFLICT);
        assert_int_equal(try.commit.outcome, TK_OUTCOME_FAILED);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        try_fini(&try);
    }
}

static void
commit__fails_when_it_was_rolled_back_before(void **state)
{
    (void)state;
    place_run(ended_before);
}

/* A key that was inserted and deleted again takes no lock, and must not keep
 * a large transaction from being kept alive, wherever it stands. */
static void
ghost_beside_large(struct place *place)
{
    int first;

    for (first = 0; first < 2; first++) {
        const char *ghost = first == 0 ? "a" : "b";
        struct try try;

        try_init(&try, place, TWO_PHASES);
        world_ok(tk_buffer_set(try.buffer, tk_slice_text(ghost),
                               tk_slice_text("v"), TK_KEY_PRESUME));
        world_ok(tk_buffer_remove(try.buffer, tk_slice_text(ghost),
                                  TK_KEY_NO_CHANGE));
        put(&try, first == 0 ? "b" : "a");
        world_ok(commit_at(&try, data_ts(place->router)));
        assert_int_equal(try.alive_count, 1);
        assert_true(tk_slice_equal(try.commit.primary,
                                   tk_slice_text(first == 0 ? "b" : "a")));
        finish(&try);
        try_fini(&try);
        /* For the next round the keys are to be absent. */
        try_init(&try, place, TWO_PHASES);
        world_ok(tk_buffer_remove(try.buffer, tk_slice_text("b"), 0));
        world_ok(commit_at(&try, data_ts(place->router)));
        finish(&try);
        try_fini(&try);
    }
}

static void
commit__keeps_large_ones_alive_whatever_key_is_first(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "txn.heartbeat_bytes", "0" },
    };

    (void)state;
    place_body = ghost_beside_large;
    world_sim(1, &plan, place_main);
}

/* ---- what rules the short ways out ---- */

static void
not_global(struct place *place)
{
    int strategy;

    for (strategy = ASYNC; strategy < STRATEGIES; strategy++) {
        struct try try;

        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, DATA_KEYS("a", "b"));
        world_ok(commit_at(&try, data_ts(place->router)));
        assert_false(try.commit.use_async);
        assert_false(try.commit.in_one_phase);
        assert_int_equal(try.commit.summary.mode, TIKV_MODE_2PC);
        finish(&try);
        try_fini(&try);
    }
}

static void
commit__in_a_local_scope_takes_two_phases(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "txn.scope", "bj" },
    };

    (void)state;
    place_body = not_global;
    world_sim(1, &plan, place_main);
    /* The same transactions otherwise: see commit__has_three_strategies. */
}

/* With a key that is locked in shared mode. */
static void
shared_lock(struct place *place)
{
    int has_shared;

    for (has_shared = 0; has_shared < 2; has_shared++) {
        struct try try;

        try_init(&try, place, ASYNC);
        try.rules.one_phase = true;
        put(&try, "a");
        if (has_shared) {
            world_ok(tk_buffer_mark(
                try.buffer, tk_slice_text("b"),
                TK_KEY_SET(TK_KEY_LOCKED | TK_KEY_LOCKED_SHARED)));
        }
        /* Whether TiKV takes it is another matter: nobody locked "b". */
        tikv_error_free(commit_at(&try, data_ts(place->router)));
        assert_int_equal(try.commit.use_async || try.commit.in_one_phase,
                         !has_shared);
        assert_int_equal(try.commit.sent_one_phase, !has_shared);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        try_fini(&try);
    }
}

static void
commit__with_a_shared_lock_takes_two_phases(void **state)
{
    (void)state;
    place_run(shared_lock);
}

/* ---- falling back ---- */

/* A reader raises what TiKV knows to have been read. */
static void
read_key(struct place *place, const char *name)
{
    struct tk_snapshot_options options = { .version = data_ts(place->router) };
    struct tk_snapshot *reader = tk_snapshot_new(place->client, &options);
    tikv_slice key = tk_slice_text(name);
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found;
    struct tk_op op;

    place_begin(place, &op);
    world_ok(tk_snapshot_get(reader, &op, &key, 1, false, hold, &found));
    tk_op_fini(&op);
    tikv_pairs_free(hold);
    tk_snapshot_unref(reader);
}

/* The primary of an async commit is there; when others have looked at it late
 * enough, the secondary can no longer stay below max_commit_ts. */
static void
slow_secondary(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    struct data_write write = {
        .start_ts = start_ts,
        .keys = DATA_KEYS("a"),
        .value = "v",
        .ttl_ms = 10,
        .is_async = true,
        .secondaries = DATA_KEYS("b"),
        .max_commit_ts = start_ts + (UINT64_C(15) << 18),
    };
    struct tk_lock_set locks;
    struct tk_txn_fate fate;

    data_prewrite(place->router, &write);
    place_outlive(place, start_ts, 20);
    read_key(place, "b");
    write.keys = DATA_KEYS("b");
    write.primary = "a";
    write.secondaries = NULL;
    data_prewrite(place->router, &write);
    tk_lock_set_init(&locks);
    assert_int_equal(data_locks(place->router, &locks), 2);
    assert_true(locks.data[0].is_async);
    assert_false(locks.data[1].is_async);
    tk_lock_set_fini(&locks);
    /* So the whole is an ordinary transaction, and a dead one. */
    {
        struct tk_backoff backoff;
        struct tk_op op;

        tk_backoff_init(&backoff, 20000);
        place_begin(place, &op);
        world_ok(tk_resolver_ask(place->client->resolver, &op, &backoff,
                                 start_ts, tk_slice_text("a"), TK_ASK_DECIDE,
                                 &fate));
        tk_op_fini(&op);
    }
    assert_int_equal(fate.state, TK_TXN_ROLLED_BACK);
    {
        struct place_round round;

        place_resolve(place, &round, data_ts(place->router), false);
        world_ok(round.error);
        place_forget(&round);
    }
    place_await_locks(place, 0);
}

static void
async__falls_back_behind_a_late_look(void **state)
{
    (void)state;
    place_run(slow_secondary);
}

/* ---- requests ---- */

static size_t
requests_of(struct place *place, data_keys keys)
{
    uint64_t before = place_calls(place, "tikv.KvPrewrite");
    struct try try;

    try_init(&try, place, TWO_PHASES);
    put_all(&try, keys);
    world_ok(commit_at(&try, data_ts(place->router)));
    finish(&try);
    try_fini(&try);
    return (size_t)(place_calls(place, "tikv.KvPrewrite") - before);
}

/* Five bytes a request: keys of one byte weigh two with their value, two of
 * them fit. One that is above the limit has a request of its own. */
static void
weights(struct place *place)
{
    assert_int_equal(requests_of(place, DATA_KEYS("a", "b")), 1);
    assert_int_equal(requests_of(place, DATA_KEYS("a", "b", "c")), 2);
    assert_int_equal(requests_of(place, DATA_KEYS("aa", "bb", "cc")), 3);
    assert_int_equal(
        requests_of(place, DATA_KEYS("aaaaaaaa", "bbbbbbbb", "cccccccc")), 3);
}

static void
commit__cuts_requests_by_weight(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "txn.batch_bytes", "5" },
    };

    (void)state;
    place_body = weights;
    world_sim(1, &plan, place_main);
}

static void
commits_on_the_wire(struct place *place)
{
    int strategy;

    place_split(place, "b");
    for (strategy = TWO_PHASES; strategy < ONE_PHASE; strategy++) {
        const struct spy *spy = spy_of(place->w->transport);
        size_t commits = 0;
        struct try try;
        size_t i;

        try_init(&try, place, (enum strategy)strategy);
        put_all(&try, DATA_KEYS("a", "b", "c"));
        world_ok(commit_at(&try, data_ts(place->router)));
        finish(&try);
        for (i = 0; i < spy->count; i++) {
            if (spy->notes[i].command == TK_CMD_KV_COMMIT) {
                assert_int_equal(spy->notes[i].is_async, strategy == ASYNC);
                commits++;
            }
        }
        assert_int_equal(commits, 2);
        spy_clear(place->w);
        try_fini(&try);
    }
}

static void
lesson_15__every_commit_says_that_it_is_of_an_async_one(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .wrap = spy_new,
    };

    (void)state;
    place_body = commits_on_the_wire;
    world_sim(1, &plan, place_main);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(commit__fails_when_it_was_rolled_back_before),
        harness_test(commit__keeps_large_ones_alive_whatever_key_is_first),
        harness_test(commit__in_a_local_scope_takes_two_phases),
        harness_test(commit__with_a_shared_lock_takes_two_phases),
        harness_test(async__falls_back_behind_a_late_look),
        harness_test(commit__cuts_requests_by_weight),
        harness_test(lesson_15__every_commit_says_that_it_is_of_an_async_one),
    };

    return harness_run(tests);
}
