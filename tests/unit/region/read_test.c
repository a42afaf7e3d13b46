/* SPDX-License-Identifier: Apache-2.0 */
/* Read modes on a cluster: what goes over the wire, to whom, and what a store
 * that is slow, busy, dead or cut off makes of it. timeout: 120 */
#include "unit/region/spy.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .wrap = spy_new,
};

static uint64_t
leader_of(struct world *w)
{
    return tk_cluster_leader_of(
        w->cluster, tk_cluster_region_of(w->cluster, tk_slice_text("a")));
}

static struct tk_store *
store_of(struct world *w, uint64_t id)
{
    return tk_stores_get(w->stores, id);
}

static uint64_t
other_than(uint64_t store)
{
    return store % 3 + 1;
}

static struct kv *
reader(enum tk_read_from from)
{
    struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);

    snprintf(kv->keys[0], sizeof(kv->keys[0]), "a");
    kv->job.read.from = from;
    return kv;
}

/* One read; the milliseconds it took. */
static int64_t
read_once(struct world *w, struct kv *kv)
{
    int64_t begun = tk_now(w->rt);

    spy_clear(w);
    world_ok(kv_run(w, kv, 20000));
    assert_string_equal(kv->got, "1");
    return (tk_now(w->rt) - begun) / TK_MS;
}

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 3600000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

/* ---- modes ---- */

static void
follower_reads(struct world *w)
{
    struct kv *kv = reader(TK_READ_FOLLOWER);
    unsigned i;

    kv_put(w, "a", "1");
    for (i = 0; i < 30; i++) {
        read_once(w, kv);
        assert_int_equal(kv->job.attempts, 1);
        assert_true(spy_last(w)->replica_read);
        assert_int_not_equal(spy_last(w)->store, leader_of(w));
    }
    /* Writes know no modes. */
    kv->job.command = TK_CMD_RAW_PUT;
    kv->value = "2";
    spy_clear(w);
    world_ok(kv_run(w, kv, 20000));
    assert_false(spy_last(w)->replica_read);
    assert_int_equal(spy_last(w)->store, leader_of(w));
    tk_free(kv);
}

static void
read__is_served_by_followers(void **state)
{
    (void)state;
    world_sim(1, &three_stores, follower_reads);
    world_real(&three_stores, follower_reads);
}

enum { READS = 3000 };

static void
mixed_reads(struct world *w)
{
    struct kv *kv = reader(TK_READ_MIXED);
    double hits[4] = { 0, 0, 0, 0 };
    double chi = 0;
    unsigned i;

    kv_put(w, "a", "1");
    for (i = 0; i < READS; i++) {
        read_once(w, kv);
        assert_int_equal(kv->job.attempts, 1);
        assert_int_equal(spy_last(w)->replica_read,
                         spy_last(w)->store != leader_of(w));
        hits[spy_last(w)->store]++;
    }
    for (i = 1; i <= 3; i++) {
        double off = hits[i] - READS / 3.0;

        chi += off * off / (READS / 3.0);
    }
    /* Two degrees of freedom, one in a thousand. */
    assert_true(chi < 13.8);
    tk_free(kv);
}

static void
lesson_109__mixed_reads_are_spread_evenly(void **state)
{
    (void)state;
    world_sim(3, &three_stores, mixed_reads);
}

static void
named_stores(struct world *w)
{
    struct kv *kv = reader(TK_READ_MIXED);
    uint64_t store;

    kv_put(w, "a", "1");
    kv->job.read.stores = &store;
    kv->job.read.stores_count = 1;
    for (store = 1; store <= 3; store++) {
        read_once(w, kv);
        assert_int_equal(spy_last(w)->store, store);
        kv->job.read.is_stale = true;
        read_once(w, kv);
        assert_int_equal(spy_last(w)->store, store);
        assert_true(spy_last(w)->stale_read);
        assert_false(spy_last(w)->replica_read);
        kv->job.read.is_stale = false;
    }
    tk_free(kv);
}

static void
read__prefers_the_stores_it_names(void **state)
{
    (void)state;
    world_sim(1, &three_stores, named_stores);
}

static void
prefer_leader(struct world *w)
{
    struct kv *kv = reader(TK_READ_PREFER_LEADER);
    uint64_t leader;
    unsigned i;

    kv_put(w, "a", "1");
    leader = leader_of(w);
    for (i = 0; i < 20; i++) {
        read_once(w, kv);
        assert_int_equal(spy_last(w)->store, leader);
    }
    tk_store_mark_slow(store_of(w, leader), tk_now(w->rt));
    for (i = 0; i < 20; i++) {
        read_once(w, kv);
        assert_int_not_equal(spy_last(w)->store, leader);
        assert_int_equal(kv->job.attempts, 1);
    }
    /* It recovers by and by. */
    pause(w, 600000);
    read_once(w, kv);
    assert_int_equal(spy_last(w)->store, leader);
    /* Dead: one finds out. */
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    tikv_error_free(kv_run(w, kv, 20000));
    pause(w, 1500);
    for (i = 0; i < 20; i++) {
        assert_in_range(read_once(w, kv), 0, 20);
        assert_int_not_equal(spy_last(w)->store, leader);
    }
    tk_free(kv);
}

static void
lesson_108__a_slow_or_dead_leader_is_not_preferred(void **state)
{
    (void)state;
    world_sim(1, &three_stores, prefer_leader);
}

/* Every mode, under errors of every kind. */
static void
flags_agree(struct world *w)
{
    static const char *const rules[] = {
        "on=tikv.RawGet when=prob(0.3) do=region_error(data_is_not_ready)",
        "on=tikv.RawGet when=prob(0.3) do=region_error(server_is_busy,"
        "estimated_wait_ms=20)",
        "on=tikv.RawGet when=prob(0.2) do=region_error(not_leader)",
        "on=tikv.RawGet when=prob(0.2) do=region_error(read_index_not_ready)",
    };
    unsigned round;

    kv_put(w, "a", "1");
    for (round = 0; round < 4 * 5 * 2 * 5; round++) {
        struct kv *kv = reader((enum tk_read_from)(round % 5));
        const struct spy *spy = spy_of(w->transport);
        size_t i;

        kv->job.read.is_stale = round / 5 % 2 != 0;
        kv->job.read.busy_threshold_ms = 10;
        world_fault(w, rules[round / 10 % 4]);
        read_once(w, kv);
        for (i = 0; i < spy->count; i++) {
            const struct spy_note *note = &spy->notes[i];

            assert_false(note->replica_read && note->stale_read);
            assert_false(note->replica_read && note->store == leader_of(w) &&
                         !kv->job.read.is_stale);
        }
        tk_cluster_fault_remove(w->cluster, 0);
        tk_free(kv);
    }
}

static void
lesson_107__flags_agree_with_the_target(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &three_stores, flags_agree);
    }
}

/* ---- who is slow or busy ---- */

static void
short_timeout(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    struct tk_route before;
    struct tk_route after;
    char rule[96];

    kv_put(w, "a", "1");
    assert_true(tk_cache_route(w->cache, tk_slice_text("a"), &before));
    snprintf(rule, sizeof(rule), "on=tikv.RawGet store=%llu do=delay(400)",
             (unsigned long long)leader_of(w));
    world_fault(w, rule);
    kv->job.read.timeout_ms = 20;
    assert_in_range(read_once(w, kv), 20, 60);
    assert_int_equal(kv->job.attempts, 2);
    assert_int_equal(kv->job.backoff.total_ms, 0);
    assert_true(spy_last(w)->replica_read);
    assert_in_range(spy_last(w)->max_execution_ms, 1, 20);
    /* The route stays, and so does the store's name. */
    assert_true(tk_cache_route(w->cache, tk_slice_text("a"), &after));
    assert_int_equal(after.peer_id, before.peer_id);
    assert_int_equal(tk_store_liveness(after.store), TK_ALIVE);
    /* All are too slow: one chance each, then with the command's time. */
    tk_cluster_fault_remove(w->cluster, 0);
    world_fault(w, "on=tikv.RawGet do=delay(400)");
    assert_in_range(read_once(w, kv), 460, 600);
    assert_int_equal(kv->job.attempts, 4);
    assert_in_range(spy_last(w)->max_execution_ms, 1000, 60000);
    tk_free(kv);
}

static void
lesson_111__a_short_timeout_is_no_store_failure(void **state)
{
    (void)state;
    world_sim(1, &three_stores, short_timeout);
}

static void
busy_leader(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    char rule[128];
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w);
    snprintf(rule, sizeof(rule),
             "on=tikv.RawGet store=%llu "
             "do=region_error(server_is_busy,estimated_wait_ms=500)",
             (unsigned long long)leader);
    world_fault(w, rule);
    kv->job.read.busy_threshold_ms = 50;
    assert_in_range(read_once(w, kv), 0, 10);
    assert_int_equal(kv->job.backoff.total_ms, 0);
    assert_true(spy_last(w)->replica_read);
    assert_int_equal(spy_last(w)->busy_threshold_ms, 50);
    /* As long as the estimate holds nobody asks there. */
    read_once(w, kv);
    assert_int_equal(kv->job.attempts, 1);
    assert_int_not_equal(spy_last(w)->store, leader);
    tk_cluster_fault_remove(w->cluster, 0);
    pause(w, 500);
    read_once(w, kv);
    assert_int_equal(spy_last(w)->store, leader);
    /* Without a threshold it is waited for. */
    snprintf(rule, sizeof(rule),
             "on=tikv.RawGet when=first(1) do=region_error(server_is_busy)");
    world_fault(w, rule);
    kv->job.read.busy_threshold_ms = 0;
    assert_in_range(read_once(w, kv), 1000, 2100);
    /* And where any will do, another one answers at once. */
    world_fault(w, rule);
    kv->job.read.from = TK_READ_MIXED;
    assert_in_range(read_once(w, kv), 0, 10);
    assert_int_equal(kv->job.attempts, 2);
    tk_free(kv);
}

static void
lesson_110__idle_replicas_are_asked_before_any_pause(void **state)
{
    (void)state;
    world_sim(1, &three_stores, busy_leader);
}

static void
hanging_leader(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    uint64_t region = tk_cluster_region_of(w->cluster, tk_slice_text("a"));
    uint64_t old;
    char rule[128];

    kv_put(w, "a", "1");
    old = leader_of(w);
    snprintf(rule, sizeof(rule),
             "on=tikv.RawGet store=%llu do=region_error(server_is_busy)",
             (unsigned long long)old);
    world_fault(w, rule);
    world_ok(tk_cluster_transfer_leader(w->cluster, region, other_than(old)));
    read_once(w, kv);
    /* Twice there, then a follower who knew, or who led. */
    assert_in_range(kv->job.attempts, 3, 4);
    assert_int_equal(spy_last(w)->store, leader_of(w));
    read_once(w, kv);
    assert_int_equal(kv->job.attempts, 1);
    tk_free(kv);
}

static void
lesson_92__a_leader_that_hangs_is_checked_up_on(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &three_stores, hanging_leader);
    }
}

static void
feedback(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    struct tk_store *store;
    unsigned i;

    kv_put(w, "a", "1");
    store = store_of(w, leader_of(w));
    for (i = 0; i < 5; i++) {
        pause(w, 600);
        read_once(w, kv);
    }
    /* The score of a store that is well. */
    assert_int_equal(atomic_load(&store->told) & 0xff, 1);
    assert_false(tk_store_is_slow(store, tk_now(w->rt)));
    tk_free(kv);
}

static void
lesson_118__stores_tell_how_they_are(void **state)
{
    (void)state;
    world_sim(1, &three_stores, feedback);
}

/* ---- forwarding ---- */

static void
cut_off(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = leader_of(w);
    spy_cut(w, leader, true);
    assert_in_range(read_once(w, kv), 0, 4000);
    pause(w, 1500);
    /* Through another, for the leader: the context is the target's. */
    assert_in_range(read_once(w, kv), 0, 500);
    assert_true(spy_last(w)->is_forwarded);
    assert_int_equal(spy_last(w)->store, leader);
    assert_false(spy_last(w)->replica_read);
    kv_put(w, "a", "1");
    assert_true(spy_last(w)->is_forwarded);
    assert_int_equal(spy_last(w)->store, leader);
    /* And straight again when that works. */
    spy_cut(w, leader, false);
    pause(w, 3000);
    read_once(w, kv);
    read_once(w, kv);
    assert_false(spy_last(w)->is_forwarded);
    assert_int_equal(spy_last(w)->store, leader);
    tk_free(kv);
}

static void
lesson_117__a_follower_forwards_to_a_leader_we_cannot_reach(void **state)
{
    struct world_plan plan = three_stores;
    uint64_t seed;

    (void)state;
    plan.settings[0] = "region.forwarding";
    plan.settings[1] = "true";
    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, &plan, cut_off);
    }
}

/* ---- request sources ---- */

static void
run_as(struct world *w, struct kv *kv, const char *source)
{
    tikv_call call = TIKV_CALL_INIT;
    struct tk_op op;

    call.request_source = source;
    spy_clear(w);
    assert_true(tk_op_init(&op, w->exec, &call, 20000 * TK_MS));
    world_ok(tk_drive(&w->router, &op, &kv->job, NULL));
    tk_op_fini(&op);
}

static void
sources(struct world *w)
{
    struct kv *kv = reader(TK_READ_LEADER);
    static const char once[] = "on=tikv.RawGet when=first(1) "
                               "do=region_error(data_is_not_ready)";

    kv_put(w, "a", "1");
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "x");
    kv->job.patches_source = true;
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "leader_x");
    assert_false(spy_last(w)->is_retry);
    world_fault(w, once);
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "retry_leader_leader_x");
    assert_true(spy_last(w)->is_retry);
    kv->job.read.from = TK_READ_FOLLOWER;
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "follower_x");
    kv->job.read.is_stale = true;
    kv->job.read.stores = (const uint64_t[]){ other_than(leader_of(w)) };
    kv->job.read.stores_count = 1;
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "stale_follower_x");
    world_fault(w, once);
    run_as(w, kv, "x");
    assert_string_equal(spy_last(w)->source, "retry_stale_follower_leader_x");
    run_as(w, kv, NULL);
    assert_string_equal(spy_last(w)->source, "");
    tk_free(kv);
}

static void
source__tells_the_kind_of_replica(void **state)
{
    (void)state;
    world_sim(1, &three_stores, sources);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(read__is_served_by_followers),
        harness_test(lesson_109__mixed_reads_are_spread_evenly),
        harness_test(read__prefers_the_stores_it_names),
        harness_test(lesson_108__a_slow_or_dead_leader_is_not_preferred),
        harness_test(lesson_107__flags_agree_with_the_target),
        harness_test(lesson_111__a_short_timeout_is_no_store_failure),
        harness_test(lesson_110__idle_replicas_are_asked_before_any_pause),
        harness_test(lesson_92__a_leader_that_hangs_is_checked_up_on),
        harness_test(lesson_118__stores_tell_how_they_are),
        harness_test(
            lesson_117__a_follower_forwards_to_a_leader_we_cannot_reach),
        harness_test(source__tells_the_kind_of_replica),
    };

    return harness_run(tests);
}
