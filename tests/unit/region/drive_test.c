/* SPDX-License-Identifier: Apache-2.0 */
/* The loop on a cluster with faults. timeout: 120 */
#include "unit/region/world.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
};

static void
both(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
    world_real(plan, fn);
}

static void
put_and_get(struct world *w)
{
    kv_expect(w, "a", "");
    kv_put(w, "a", "1");
    kv_expect(w, "a", "1");
    /* One lookup of the region, one of its store. */
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"), 1);
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetStore"), 1);
}

static void
drive__puts_and_gets(void **state)
{
    (void)state;
    both(&three_stores, put_and_get);
}

static void
batch_over_splits(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 600, "v");
    size_t i;

    for (i = 100; i < 600; i += 100) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
    }
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->answered, 600);
    assert_int_equal(kv->pieces, 6);
    tk_free(kv);
    /* Boundaries that the cache does not know of: the parts regroup. */
    kv = kv_new(TK_CMD_RAW_BATCH_GET, 600, NULL);
    for (i = 50; i < 600; i += 100) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
    }
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->answered, 600);
    assert_int_equal(kv->pieces, 12);
    assert_int_equal(tk_cache_count(w->cache), 12);
    tk_free(kv);
}

static void
drive__regroups_after_splits(void **state)
{
    (void)state;
    both(&three_stores, batch_over_splits);
}

static void
many_shards(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 2000, "v");

    kv->job.piece_count_max = 5; /* 400 requests */
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->answered, 2000);
    assert_int_equal(kv->pieces, 400);
    /* Nobody was refused: the last one would have paused for it. */
    assert_int_equal(kv->job.backoff.total_ms, 0);
    tk_free(kv);
}

static void
drive__bounds_what_is_in_flight(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    /* A 129th request would be refused. */
    plan.settings[0] = "rpc.inflight_max_count";
    plan.settings[1] = "128";
    both(&plan, many_shards);
}

static void
follow_leader(struct world *w)
{
    uint64_t region = tk_cluster_region_of(w->cluster, tk_slice_text("a"));
    uint64_t store;

    kv_put(w, "a", "1");
    for (store = 1; store <= 3; store++) {
        world_ok(tk_cluster_transfer_leader(w->cluster, region, store));
        kv_expect(w, "a", "1");
    }
    /* The hints were enough. */
    assert_int_equal(tk_cluster_calls(w->cluster, "pd.GetRegion"), 1);
}

static void
drive__follows_the_leader_by_hints(void **state)
{
    (void)state;
    both(&three_stores, follow_leader);
}

static void
store_dies(struct world *w)
{
    uint64_t region = tk_cluster_region_of(w->cluster, tk_slice_text("a"));
    uint64_t leader;

    kv_put(w, "a", "1");
    leader = tk_cluster_leader_of(w->cluster, region);
    world_ok(tk_cluster_store_stop(w->cluster, leader));
    kv_expect(w, "a", "1");
    world_ok(tk_cluster_store_start(w->cluster, leader, false));
    kv_expect(w, "a", "1");
}

static void
drive__survives_the_death_of_a_leader(void **state)
{
    (void)state;
    both(&three_stores, store_dies);
}

static void
store_moves(struct world *w)
{
    kv_put(w, "a", "1");
    world_ok(tk_cluster_store_stop(w->cluster, 1));
    world_ok(tk_cluster_store_start(w->cluster, 1, true));
    kv_expect(w, "a", "1");
}

static void
drive__finds_a_store_at_its_new_address(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.stores_count = 1;
    plan.cluster.replicas_count = 1;
    both(&plan, store_moves);
}

/* Every kind of region error once or twice: the operation succeeds. */
static void
survives_region_errors(struct world *w)
{
    static const char *const kinds[] = {
        "not_leader",          "region_not_found",
        "key_not_in_region",   "epoch_not_match,regions=current",
        "epoch_not_match,regions=none",
        "server_is_busy,backoff_ms=5",
        "stale_command",       "store_not_match",
        "max_timestamp_not_synced",
        "read_index_not_ready",
        "proposal_in_merging_mode",
        "data_is_not_ready",   "region_not_initialized",
        "disk_full",           "recovery_in_progress",
        "is_witness",          "mismatch_peer_id",
        "bucket_version_not_match",
        "message_only",
    };
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char rule[128];
        uint64_t id;

        snprintf(rule, sizeof(rule),
                 "on=tikv.RawPut when=first(2) do=region_error(%s)", kinds[i]);
        id = world_fault(w, rule);
        kv_put(w, "a", kinds[i]);
        if (tk_cluster_fault_hits(w->cluster, id) != 2) {
            print_error("%s\n", kinds[i]);
        }
        assert_int_equal(tk_cluster_fault_hits(w->cluster, id), 2);
        tk_cluster_fault_remove(w->cluster, id);
        kv_expect(w, "a", kinds[i]);
    }
}

static void
drive__survives_every_region_error(void **state)
{
    (void)state;
    world_sim(1, &three_stores, survives_region_errors);
    world_sim(2, &three_stores, survives_region_errors);
}

static void
fatal_region_errors(struct world *w)
{
    static const struct {
        const char *kind;
        tikv_code code;
    } rows[] = {
        { "raft_entry_too_large", TIKV_ERR_TOO_LARGE },
        { "flashback_in_progress", TIKV_ERR_REGION },
        { "flashback_not_prepared", TIKV_ERR_REGION },
        { "undetermined_result", TIKV_ERR_UNDETERMINED },
    };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char rule[128];
        uint64_t id;

        snprintf(rule, sizeof(rule), "on=tikv.RawPut do=region_error(%s)",
                 rows[i].kind);
        id = world_fault(w, rule);
        world_code(kv_point(w, TK_CMD_RAW_PUT, "a", "1", NULL), rows[i].code);
        assert_int_equal(tk_cluster_fault_hits(w->cluster, id), 1);
        tk_cluster_fault_remove(w->cluster, id);
    }
}

static void
drive__tells_what_no_retry_mends(void **state)
{
    (void)state;
    world_sim(1, &three_stores, fatal_region_errors);
}

/* ---- lost answers ---- */

static void
lost_answers(struct world *w)
{
    uint64_t id;
    tikv_error *error;

    /* A write whose first answer is lost is sent again. */
    id = world_fault(w, "on=tikv.RawPut when=first(1) do=drop_response");
    kv_put(w, "a", "1");
    assert_int_equal(tk_cluster_fault_hits(w->cluster, id), 1);
    tk_cluster_fault_remove(w->cluster, id);
    kv_expect(w, "a", "1");

    /* All answers lost: in doubt, with the cause in the message. */
    id = world_fault(w, "on=tikv.RawPut do=drop_response");
    error = kv_point(w, TK_CMD_RAW_PUT, "a", "2", NULL);
    assert_true(tikv_error_is_undetermined(error));
    assert_true(tikv_error_u64(error, TIKV_ERROR_ATTEMPTS) > 1);
    assert_true(tikv_error_region(error) != 0);
    tikv_error_free(error);
    tk_cluster_fault_remove(w->cluster, id);

    /* A read is only late. */
    id = world_fault(w, "on=tikv.RawGet do=drop_response");
    world_code(kv_point(w, TK_CMD_RAW_GET, "a", NULL, NULL),
               TIKV_ERR_TIMEOUT);
    tk_cluster_fault_remove(w->cluster, id);

    /* Lost once, then refused for good: still in doubt. */
    id = world_fault(w, "on=tikv.RawPut when=first(1) do=drop_response");
    world_fault(w, "on=tikv.RawPut do=region_error(raft_entry_too_large)");
    error = kv_point(w, TK_CMD_RAW_PUT, "a", "3", NULL);
    assert_true(tikv_error_is_undetermined(error));
    tikv_error_free(error);
    tk_cluster_fault_remove(w->cluster, 0);
}

static void
drive__keeps_doubt_until_a_success(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "rpc.attempt_timeout_ms";
    plan.settings[1] = "1000";
    world_sim(1, &plan, lost_answers);
}

/* Whoever knows better than the loop what doubt means takes it apart. */
static void
doubt_is_told(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_PUT, 1, "1");

    kv->job.tells_doubt = true;
    world_fault(w, "on=tikv.RawPut when=first(2) do=drop_response");
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->job.unanswered, 2);
    assert_false(kv->job.in_doubt);
    tk_cluster_fault_remove(w->cluster, 0);
    world_fault(w, "on=tikv.RawPut when=first(1) do=drop_response");
    world_fault(w, "on=tikv.RawPut do=region_error(raft_entry_too_large)");
    world_code(kv_run(w, kv, 20000), TIKV_ERR_TOO_LARGE);
    assert_int_equal(kv->job.unanswered, 1);
    assert_true(kv->job.in_doubt);
    tk_cluster_fault_remove(w->cluster, 0);
    tk_free(kv);
}

static void
drive__tells_doubt_apart_from_the_error(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "rpc.attempt_timeout_ms";
    plan.settings[1] = "1000";
    world_sim(1, &plan, doubt_is_told);
}

static void
swap_once(struct world *w)
{
    uint64_t before;

    kv_put(w, "b", "1");
    before = tk_cluster_calls(w->cluster, "tikv.RawCompareAndSwap");
    world_fault(w, "on=tikv.RawCompareAndSwap do=drop_response");
    world_code(kv_point(w, TK_CMD_RAW_COMPARE_AND_SWAP, "a", "1", NULL),
               TIKV_ERR_UNDETERMINED);
    assert_int_equal(tk_cluster_calls(w->cluster, "tikv.RawCompareAndSwap"),
                     before + 1);
    tk_cluster_fault_remove(w->cluster, 0);
    /* A region error is an answer: it is sent again. */
    world_fault(w, "on=tikv.RawCompareAndSwap when=first(2) "
                   "do=region_error(not_leader)");
    world_ok(kv_point(w, TK_CMD_RAW_COMPARE_AND_SWAP, "c", "1", NULL));
}

static void
drive__never_repeats_a_swap(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[0] = "rpc.attempt_timeout_ms";
    plan.settings[1] = "1000";
    world_sim(1, &plan, swap_once);
}

static void
nobody_there(struct world *w)
{
    kv_put(w, "a", "1");
    world_ok(tk_cluster_store_stop(w->cluster, 1));
    /* Surely never sent: not in doubt. */
    world_code(kv_point(w, TK_CMD_RAW_PUT, "a", "2", NULL), TIKV_ERR_TIMEOUT);
}

static void
drive__is_sure_of_what_was_never_sent(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.cluster.stores_count = 1;
    plan.cluster.replicas_count = 1;
    world_sim(1, &plan, nobody_there);
}

static void
batch_in_doubt(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    tikv_error *error;

    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00100")));
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00200")));
    world_fault(w, "on=tikv.RawBatchPut key=k00100 do=drop_response");
    error = kv_run(w, kv, 5000);
    assert_true(tikv_error_is_undetermined(error));
    tikv_error_free(error);
    assert_int_equal(kv->answered, 200);
    assert_int_equal(kv->lost, 100);
    assert_int_equal(kv->in_doubt, 100);
    tk_free(kv);
}

static void
drive__tells_which_keys_are_in_doubt(void **state)
{
    (void)state;
    world_sim(1, &three_stores, batch_in_doubt);
}

/* ---- ends from outside ---- */

struct ender {
    struct world *w;
    tikv_cancel *cancel;
    int64_t after;
};

static void
raise_later(void *arg)
{
    struct ender *ender = arg;
    struct tk_parker *me = tk_self(ender->w->rt);
    int64_t until = tk_now(ender->w->rt) + ender->after;

    while (tk_now(ender->w->rt) < until) {
        tk_park_begin(me);
        ender->w->rt->ops->park(ender->w->rt, me, until);
    }
    if (ender->cancel != NULL) {
        tikv_cancel_raise(ender->cancel);
    } else {
        world_shut(ender->w);
    }
}

static void
end_from_outside(struct world *w, bool by_cancel, enum tk_command command,
                 tikv_code code)
{
    struct ender ender = { .w = w, .after = 50 * TK_MS };
    tikv_call call = TIKV_CALL_INIT;
    struct kv *kv = kv_new(command, 1, "v");
    struct tk_thread *thread;
    struct tk_op op;
    int64_t begun;

    if (by_cancel) {
        world_ok(tikv_cancel_new(&ender.cancel));
        call.cancel = ender.cancel;
    }
    begun = tk_now(w->rt);
    thread = w->rt->ops->spawn(w->rt, "ender", raise_later, &ender);
    assert_true(tk_op_init(&op, w->exec, &call, 20000 * TK_MS));
    world_code(tk_drive(&w->router, &op, &kv->job, NULL), code);
    tk_op_fini(&op);
    assert_true(tk_now(w->rt) - begun < 2000 * TK_MS * harness_stretch());
    w->rt->ops->join(w->rt, thread);
    tikv_cancel_free(ender.cancel);
    tk_free(kv);
}

static void
cancel_ends(struct world *w)
{
    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.* do=drop_response");
    end_from_outside(w, true, TK_CMD_RAW_GET, TIKV_ERR_CANCELLED);
    end_from_outside(w, true, TK_CMD_RAW_PUT, TIKV_ERR_UNDETERMINED);
    tk_cluster_fault_remove(w->cluster, 0);
    /* Asleep in a pause: nothing is in doubt. */
    world_fault(w, "on=tikv.* do=region_error(server_is_busy)");
    end_from_outside(w, true, TK_CMD_RAW_PUT, TIKV_ERR_CANCELLED);
    tk_cluster_fault_remove(w->cluster, 0);
    /* Waiting for PD. */
    world_fault(w, "on=pd.GetRegion do=drop_response");
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k")));
    {
        struct tk_route route;

        assert_true(tk_cache_route(w->cache, tk_slice_text("k1"), &route));
        tk_cache_invalidate(w->cache, &route, TK_INVALID_OTHER);
    }
    end_from_outside(w, true, TK_CMD_RAW_PUT, TIKV_ERR_CANCELLED);
    tk_cluster_fault_remove(w->cluster, 0);
    kv_expect(w, "a", "1");
}

static void
drive__ends_at_a_cancel(void **state)
{
    (void)state;
    both(&three_stores, cancel_ends);
}

static void
close_ends_flight(struct world *w)
{
    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.* do=drop_response");
    end_from_outside(w, false, TK_CMD_RAW_PUT, TIKV_ERR_UNDETERMINED);
}

static void
close_ends_pause(struct world *w)
{
    kv_put(w, "a", "1");
    world_fault(w, "on=tikv.* do=region_error(server_is_busy)");
    end_from_outside(w, false, TK_CMD_RAW_PUT, TIKV_ERR_CLOSED);
}

static void
close_ends_lookup(struct world *w)
{
    world_fault(w, "on=pd.GetRegion do=drop_response");
    end_from_outside(w, false, TK_CMD_RAW_PUT, TIKV_ERR_CLOSED);
}

static void
drive__ends_at_close(void **state)
{
    (void)state;
    both(&three_stores, close_ends_flight);
    both(&three_stores, close_ends_pause);
    both(&three_stores, close_ends_lookup);
}

static void
delete_ranges(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    size_t i;

    for (i = 50; i < 300; i += 50) {
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(kv->keys[i])));
    }
    world_ok(kv_run(w, kv, 20000));
    tk_free(kv);
    world_fault(w, "on=tikv.RawDeleteRange when=every(2) "
                   "do=region_error(region_not_found)");
    kv = kv_new(TK_CMD_RAW_DELETE_RANGE, 0, NULL);
    kv->job.range.start = tk_slice_text("k00025");
    kv->job.range.end = tk_slice_text("k00275");
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->pieces, 6);
    tk_free(kv);
    kv_expect(w, "k00024", "v");
    kv_expect(w, "k00025", "");
    kv_expect(w, "k00150", "");
    kv_expect(w, "k00274", "");
    kv_expect(w, "k00275", "v");
    kv = kv_new(TK_CMD_RAW_DELETE_RANGE, 0, NULL);
    world_ok(kv_run(w, kv, 20000)); /* everything */
    tk_free(kv);
    kv_expect(w, "k00000", "");
    kv_expect(w, "k00299", "");
}

static void
drive__covers_a_range(void **state)
{
    (void)state;
    both(&three_stores, delete_ranges);
}

static void
budget_ends(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_PUT, 1, "v");
    tikv_error *error;
    const char *kind;
    uint64_t slept;

    world_fault(w, "on=tikv.RawPut do=region_error(disk_full)");
    kv->job.budget_ms = 3000;
    error = kv_run(w, kv, 60000);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_DISK_FULL);
    assert_true(tikv_error_u64(error, TIKV_ERROR_BACKOFF_MS) >= 3000);
    assert_true(tikv_error_backoff(error, 0, &kind, &slept));
    assert_string_equal(kind, "tikvDiskFull");
    assert_int_equal(
        tikv_error_u64(error, TIKV_ERROR_STORE_ID),
        tk_cluster_leader_of(w->cluster, tikv_error_region(error)));
    tikv_error_free(error);
    tk_free(kv);
}

static void
drive__gives_up_when_the_budget_is_used(void **state)
{
    (void)state;
    world_sim(1, &three_stores, budget_ends);
}

static void
noisy(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 400, "v");
    size_t round;

    world_policy(w, (struct tk_memory_policy){
                        .delay_min_ns = 20000, .delay_max_ns = 2000000,
                        .lose_answer = 20000, .break_stream = 20000 });
    for (round = 0; round < 5; round++) {
        char key[8];

        snprintf(key, sizeof(key), "k%05u", (unsigned)(round * 70 + 35));
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
        kv->answered = 0;
        kv->lost = 0;
        kv->job.piece_count_max = 7;
        world_ok(kv_run(w, kv, 600000));
        assert_int_equal(kv->answered, 400);
        assert_int_equal(kv->lost, 0);
    }
    tk_free(kv);
}

static void
drive__is_repeatable_in_simulation(void **state)
{
    struct world_plan plan = three_stores;
    uint64_t hash[4];
    uint64_t seed;

    (void)state;
    plan.settings[0] = "rpc.attempt_timeout_ms";
    plan.settings[1] = "200";
    for (seed = 0; seed < 4; seed++) {
        hash[seed] = world_sim(seed + 10, &plan, noisy);
    }
    for (seed = 0; seed < 4; seed++) {
        assert_true(world_sim(seed + 10, &plan, noisy) == hash[seed]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(drive__puts_and_gets),
        harness_test(drive__regroups_after_splits),
        harness_test(drive__bounds_what_is_in_flight),
        harness_test(drive__follows_the_leader_by_hints),
        harness_test(drive__survives_the_death_of_a_leader),
        harness_test(drive__finds_a_store_at_its_new_address),
        harness_test(drive__survives_every_region_error),
        harness_test(drive__tells_what_no_retry_mends),
        harness_test(drive__keeps_doubt_until_a_success),
        harness_test(drive__tells_doubt_apart_from_the_error),
        harness_test(drive__never_repeats_a_swap),
        harness_test(drive__is_sure_of_what_was_never_sent),
        harness_test(drive__tells_which_keys_are_in_doubt),
        harness_test(drive__ends_at_a_cancel),
        harness_test(drive__ends_at_close),
        harness_test(drive__covers_a_range),
        harness_test(drive__gives_up_when_the_budget_is_used),
        harness_test(drive__is_repeatable_in_simulation),
    };

    return harness_run(tests);
}
