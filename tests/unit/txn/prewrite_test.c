/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prewrites of one transaction that end unlike each other: one comes late,
 * while others look at what is locked already; one is refused for another
 * reason than its neighbour. In virtual time. timeout: 120
 */
#include "unit/txn/attempt.h"

enum { LATE_MS = 8000, RIVAL_MS = 500 };

/* Ends everything that may be ended, all the time. */
struct rival {
    struct place *place;
    _Atomic bool is_over;
    unsigned tries;
};

static void
rival_main(void *arg)
{
    struct rival *rival = arg;

    while (!rival->is_over) {
        struct place_round round;

        place_sleep(rival->place, RIVAL_MS);
        place_resolve(rival->place, &round, data_ts(rival->place->router),
                      false);
        world_ok(round.error);
        place_forget(&round);
        rival->tries++;
    }
}

/* The second key is locked 8 s after the first. As long as TiKV may still
 * choose a timestamp for it, the first one's lock holds. */
static void
late_secondary(struct place *place)
{
    struct rival rival = { .place = place };
    struct tk_runtime *rt = place->w->rt;
    struct tk_thread *thread;
    struct try try;

    place_split(place, "b");
    world_fault(place->w, "on=tikv.KvPrewrite key=b do=delay(8000)");
    try_init(&try, place, ASYNC);
    put_all(&try, DATA_KEYS("a", "b"));
    thread = rt->ops->spawn(rt, "rival", rival_main, &rival);
    world_ok(commit_at(&try, data_ts(place->router)));
    rival.is_over = true;
    rt->ops->join(rt, thread);
    assert_in_range(rival.tries, LATE_MS / RIVAL_MS - 3, LATE_MS / RIVAL_MS);
    assert_true(try.commit.use_async);
    assert_int_equal(fate_of(place, try.commit.start_ts, "a").commit_ts,
                     try.commit_ts);
    finish(&try);
    try_fini(&try);
}

static void
lesson_10__a_lock_outlives_the_timestamps_it_may_get(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "txn.safe_window_ms", "60000" },
    };

    (void)state;
    place_body = late_secondary;
    world_sim(1, &plan, place_main);
    world_sim(2, &plan, place_main);
}

/* ---- what outranks an assertion ---- */

/* "a" has a value, the transaction says that it has none; "b" brings the
 * trouble that matters. Each of them may be the late one. */
static tikv_error *
claim(struct place *place, struct try *try, uint64_t start_ts, size_t late)
{
    static const char *const delays[] = {
        NULL,
        "on=tikv.KvPrewrite key=a when=nth(1) do=delay(200)",
        "on=tikv.KvPrewrite key=b when=nth(1) do=delay(200)",
    };
    tikv_error *error;

    if (delays[late] != NULL) {
        world_fault(place->w, delays[late]);
    }
    try->rules.assertions = TIKV_ASSERTIONS_STRICT;
    put(try, "b");
    world_ok(tk_buffer_set(try->buffer, tk_slice_text("a"), tk_slice_text("v"),
                           TK_KEY_ASSERT_THAT_ABSENT));
    error = commit_at(try, start_ts);
    finish(try);
    assert_int_equal(data_locks(place->router, NULL), 0);
    if (delays[late] != NULL) {
        tk_cluster_fault_remove(place->w->cluster, 0);
    }
    return error;
}

/* The other key was written since. */
static void
conflicting(struct place *place, enum strategy strategy, size_t late)
{
    uint64_t start_ts = data_ts(place->router);
    struct try try;

    data_put(place->router, "b", "newer");
    try_init(&try, place, strategy);
    commit_code(claim(place, &try, start_ts, late), TIKV_ERR_WRITE_CONFLICT);
    try_fini(&try);
}

/* It is locked by one that turns out to be committed since. */
static void
locked(struct place *place, enum strategy strategy, size_t late)
{
    struct data_write older = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("c", "b"),
                                .value = "older",
                                .ttl_ms = 600000 };
    uint64_t start_ts = data_ts(place->router);
    struct try try;

    data_prewrite(place->router, &older);
    data_commit(place->router, older.start_ts, data_ts(place->router),
                DATA_KEYS("c"));
    try_init(&try, place, strategy);
    commit_code(claim(place, &try, start_ts, late), TIKV_ERR_WRITE_CONFLICT);
    try_fini(&try);
}

static void
in_all_ways(struct place *place, bool is_apart)
{
    int strategy;
    size_t late;

    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        for (late = 0; late < 3; late++) {
            struct try try;

            try_init(&try, place, (enum strategy)strategy);
            commit_code(claim(place, &try, data_ts(place->router), late),
                        TIKV_ERR_ASSERTION);
            try_fini(&try);
            conflicting(place, (enum strategy)strategy, late);
            /* In one request TiKV itself decides, the other way. */
            if (is_apart) {
                locked(place, (enum strategy)strategy, late);
            }
        }
    }
}

static void
assertions(struct place *place)
{
    data_put(place->router, "a", "there");
    in_all_ways(place, false);
    place_split(place, "b");
    in_all_ways(place, true);
}

static void
lesson_19__every_other_refusal_outranks_an_assertion(void **state)
{
    (void)state;
    place_run(assertions);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_10__a_lock_outlives_the_timestamps_it_may_get),
        harness_test(lesson_19__every_other_refusal_outranks_an_assertion),
    };

    return harness_run(tests);
}
