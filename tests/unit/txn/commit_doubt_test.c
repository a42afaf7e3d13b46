/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commit machine says when requests and answers get lost, in virtual
 * time: never more and never less than the cluster shows. timeout: 120
 */
#include "unit/txn/attempt.h"

/* Others end what is undetermined. */
static void
end_all(struct place *place)
{
    struct tk_lock_set locks;
    struct tk_backoff backoff;
    struct tk_op op;

    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_resolver_resolve_all(place->client->resolver, &op, &backoff,
                                     &locks));
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
}

/* Every way an attempt can end without an answer, at every commit point. */
static const struct {
    const char *action;
    tikv_code code;
} ways[] = {
    { "do=drop_request", TIKV_ERR_UNDETERMINED },
    { "do=drop_response", TIKV_ERR_UNDETERMINED },
    { "do=status(UNAVAILABLE)", TIKV_ERR_UNDETERMINED },
    { "do=apply,status(UNAVAILABLE)", TIKV_ERR_UNDETERMINED },
    { "do=status(INTERNAL)", TIKV_ERR_UNDETERMINED },
    { "do=break_stream", TIKV_ERR_UNDETERMINED },
    { "do=region_error(undetermined_result)", TIKV_ERR_UNDETERMINED },
    { "do=region_error(region_not_found)", TIKV_ERR_TIMEOUT },
    { "do=region_error(epoch_not_match)", TIKV_ERR_TIMEOUT },
    { "do=region_error(not_leader)", TIKV_ERR_TIMEOUT },
    { "do=region_error(server_is_busy)", TIKV_ERR_TIMEOUT },
};

static void
lost_in_all_ways(struct place *place)
{
    int strategy;
    size_t i;

    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
            uint64_t start_ts = data_ts(place->router);
            char rule[120];
            struct try try;

            snprintf(rule, sizeof(rule), "on=%s %s",
                     strategy == TWO_PHASES ? "tikv.KvCommit"
                                            : "tikv.KvPrewrite",
                     ways[i].action);
            try_init(&try, place, (enum strategy)strategy);
            put_all(&try, DATA_KEYS("a", "b"));
            try.timeout_ms = 1000;
            world_fault(place->w, rule);
            commit_code(commit_at(&try, start_ts), ways[i].code);
            tk_cluster_fault_remove(place->w->cluster, 0);
            finish(&try);
            end_all(place);
            assert_int_equal(data_locks(place->router, NULL), 0);
            try_fini(&try);
        }
    }
}

static void
lesson_7__every_lost_attempt_is_told_alike(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "rpc.attempt_timeout_ms", "100" },
    };

    (void)state;
    place_body = lost_in_all_ways;
    world_sim(1, &plan, place_main);
    world_sim(2, &plan, place_main);
}

/* Messages, their answers and streams get lost all the time: whatever the
 * machine says of the end is what the cluster shows. */
static unsigned storm_ends[3]; /* committed, failed, undetermined */

static void
storm(struct place *place)
{
    static const struct tk_memory_policy calm = { 20000, 200000, 0, 0, 0, 0 };
    static const struct tk_memory_policy wild = { 20000,  20000000, 150000,
                                                  250000, 50000,    50000 };
    int round;

    place_split(place, "b");
    place_split(place, "c");
    for (round = 0; round < 6; round++) {
        uint64_t start_ts = data_ts(place->router);
        struct tk_txn_fate fate;
        tikv_error *error;
        struct try try;

        try_init(&try, place, (enum strategy)(round % STRATEGIES));
        put_all(&try, DATA_KEYS("a", "b", "c", "d"));
        try.timeout_ms = 700;
        world_policy(place->w, wild);
        error = commit_at(&try, start_ts);
        world_policy(place->w, calm);
        finish(&try);
        fate = fate_of(place, start_ts, "a");
        if (error == NULL) {
            assert_int_equal(fate.state, TK_TXN_COMMITTED);
            assert_int_equal(fate.commit_ts, try.commit_ts);
            storm_ends[0]++;
        } else if (!tikv_error_is_undetermined(error)) {
            assert_int_not_equal(fate.state, TK_TXN_COMMITTED);
            storm_ends[1]++;
        }
        if (!tikv_error_is_undetermined(error)) {
            assert_int_equal(data_locks(place->router, NULL), 0);
        } else {
            end_all(place);
            storm_ends[2]++;
        }
        tikv_error_free(error);
        try_fini(&try);
    }
}

static void
commit__tells_the_truth_in_a_storm(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
        .settings = { "rpc.attempt_timeout_ms", "200" },
    };
    uint64_t seed;

    (void)state;
    place_body = storm;
    for (seed = 1; seed <= 20; seed++) {
        world_sim(seed, &plan, place_main);
    }
    for (seed = 0; seed < 3; seed++) {
        assert_int_not_equal(storm_ends[seed], 0);
    }
}

/* Committed in one request whose answer is lost; then the region splits, and
 * each half comes again in a request of its own. */
static void
one_phase_then_split(struct place *place)
{
    struct tk_txn_client *others[2];
    int with_async;

    for (with_async = 0; with_async < 2; with_async++) {
        uint64_t start_ts = data_ts(place->router);
        const char *first = with_async ? "c" : "a";
        struct place other = { .w = place->w };
        struct tk_txn_fate fate;
        struct try try;

        try_init(&try, place, ONE_PHASE);
        try.rules.async_commit = with_async;
        put_all(&try, with_async ? DATA_KEYS("c", "d") : DATA_KEYS("a", "b"));
        world_fault(place->w,
                    with_async ? "on=tikv.KvPrewrite when=first(1) "
                                 "do=apply,split(d),apply,status(UNAVAILABLE)"
                               : "on=tikv.KvPrewrite when=first(1) "
                                 "do=apply,split(b),apply,status(UNAVAILABLE)");

        world_ok(commit_at(&try, start_ts));

        tk_cluster_fault_remove(place->w->cluster, 0);
        /* A client that has not heard of it asks TiKV. */
        world_ok(tk_txn_client_new(&place->w->router, &other.client));
        fate = fate_of(&other, start_ts, first);
        assert_int_equal(fate.state, TK_TXN_COMMITTED);
        assert_int_equal(fate.commit_ts, try.commit_ts);
        finish(&try);
        assert_int_equal(data_locks(place->router, NULL), 0);
        try_fini(&try);
        others[with_async] = other.client;
    }
    world_shut(place->w);
    tk_txn_client_free(others[0]);
    tk_txn_client_free(others[1]);
}

static void
commit__tells_the_timestamp_of_a_lost_one_phase_commit(void **state)
{
    (void)state;
    place_run(one_phase_then_split);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_7__every_lost_attempt_is_told_alike),
        harness_test(commit__tells_the_truth_in_a_storm),
        harness_test(commit__tells_the_timestamp_of_a_lost_one_phase_commit),
    };

    return harness_run(tests);
}
