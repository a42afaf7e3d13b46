/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong in the field with routing and retrying, one test each.
 * timeout: 120 */
#include "unit/region/spy.h"

#include "base/rng.h"
#include "region/cache_inner.h"
#include "region/store_inner.h"

static const struct world_plan three_stores = {
    .cluster = { .stores_count = 3, .pds_count = 1, .regions_count = 1,
                 .replicas_count = 3 },
    .settings = { "region.sweep_ms", "100" },
};

static void
seeds(const struct world_plan *plan, world_fn *fn)
{
    uint64_t seed;

    for (seed = 1; seed <= 5; seed++) {
        world_sim(seed, plan, fn);
    }
}

static void
pause(struct world *w, int64_t ms)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, w->exec, NULL, 3600000 * TK_MS));
    world_ok(tk_op_sleep(&op, ms * TK_MS));
    tk_op_fini(&op);
}

static uint64_t
region_of(struct world *w, const char *key)
{
    return tk_cluster_region_of(w->cluster, tk_slice_text(key));
}

static struct tk_region *
record_of(struct world *w, const char *key)
{
    struct tk_region *region;

    tk_mutex_lock(&w->cache->lock);
    region = tk_cache_by_id(w->cache, region_of(w, key));
    tk_mutex_unlock(&w->cache->lock);
    assert_non_null(region);
    return region;
}

static uint64_t
lookups(struct world *w)
{
    return tk_cluster_calls(w->cluster, "pd.GetRegion");
}

/* ---- 77, 80, 81: reloads ---- */

/* The record is to be read anew, and its region has another end by now: the
 * key decides, not the id. */
static void
reload_after_split(struct world *w)
{
    static const enum tk_region_mark marks[] = { TK_REGION_READY,
                                                 TK_REGION_RELOAD };
    size_t i;

    for (i = 0; i < 2; i++) {
        char key[8];

        kv_put(w, "a", "1");
        snprintf(key, sizeof(key), "m%u", (unsigned)i);
        kv_put(w, "z", "1");
        tk_region_mark(record_of(w, "z"), marks[i]);
        world_ok(tk_cluster_split(w->cluster, tk_slice_text(key)));
        kv_put(w, "z", "2");
        kv_put(w, "a", "2");
        kv_expect(w, "z", "2");
        kv_expect(w, "a", "2");
        assert_int_not_equal(region_of(w, "a"), region_of(w, "z"));
    }
}

static void
lesson_77__a_reload_goes_by_the_key(void **state)
{
    (void)state;
    seeds(&three_stores, reload_after_split);
}

static void
not_found(struct world *w)
{
    struct tk_route route;
    struct kv *kv = kv_new(TK_CMD_RAW_GET, 1, NULL);
    uint64_t before;

    kv_put(w, "k00000", "1");
    before = lookups(w);
    world_fault(w, "on=tikv.RawGet when=first(1) "
                   "do=region_error(region_not_found)");
    kv->job.read.from = TK_READ_FOLLOWER;
    world_ok(kv_run(w, kv, 20000));
    /* This one asked the leader; whoever comes next looks it up. */
    assert_int_equal(kv->job.attempts, 2);
    assert_int_equal(lookups(w), before);
    assert_false(tk_cache_route(w->cache, tk_slice_text("k00000"), &route));
    kv_expect(w, "k00000", "1");
    assert_int_equal(lookups(w), before + 1);
    tk_free(kv);
}

static void
lesson_80__what_was_not_found_stops_others_at_once(void **state)
{
    (void)state;
    seeds(&three_stores, not_found);
}

static void
pd_is_down(struct world *w)
{
    struct tk_region *region;
    int64_t begun;
    unsigned i;

    kv_put(w, "a", "1");
    region = record_of(w, "a");
    tk_region_mark(region, TK_REGION_READY);
    world_fault(w, "on=pd.GetRegion do=drop_response");
    begun = tk_now(w->rt);
    kv_expect(w, "a", "1");
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 1000, 1100);
    /* Not at every access. */
    for (i = 0; i < 10; i++) {
        kv_expect(w, "a", "1");
    }
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 1000, 1110);
    assert_ptr_equal(record_of(w, "a"), region);
    assert_true(tk_region_is_marked(region, TK_REGION_PENDING));
    /* A peer is lost, so the wish is renewed, and followed when PD is back. */
    tk_cluster_fault_remove(w->cluster, 0);
    atomic_fetch_add(&region->peers[2].store->epoch, 1);
    pause(w, 300);
    assert_true(tk_region_is_marked(region, TK_REGION_READY));
    kv_expect(w, "a", "1");
    region = record_of(w, "a");
    assert_false(tk_region_is_marked(region, TK_REGION_READY));
    assert_false(tk_region_is_marked(region, TK_REGION_PENDING));
    assert_true(tk_peer_is_fresh(&region->peers[2]));
}

static void
lesson_81__a_reload_that_fails_is_not_forgotten(void **state)
{
    (void)state;
    world_sim(1, &three_stores, pd_is_down);
}

/* ---- records that end although they are used (RC-7) ---- */

static uint64_t
loads_in_use(struct world *w, int64_t ms)
{
    uint64_t before = lookups(w);
    int64_t until = tk_now(w->rt) + ms * TK_MS;

    while (tk_now(w->rt) < until) {
        kv_expect(w, "a", "1");
        pause(w, 100);
    }
    return lookups(w) - before;
}

static void
ends_in_use(struct world *w)
{
    kv_put(w, "a", "1");
    assert_int_equal(loads_in_use(w, 10000), 0);
    /* A peer whose store lives a new life. */
    atomic_fetch_add(&record_of(w, "a")->peers[2].store->epoch, 1);
    assert_int_equal(loads_in_use(w, 5000), 1);
    /* A peer that cannot be reached, as long as that is so. */
    atomic_store(&record_of(w, "a")->peers[2].store->is_out, true);
    assert_in_range(loads_in_use(w, 10000), 3, 5);
    atomic_store(&record_of(w, "a")->peers[2].store->is_out, false);
    loads_in_use(w, 3000);
    assert_int_equal(loads_in_use(w, 10000), 0);
}

static void
cache__ends_records_that_lost_a_peer(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[2] = "region.cache_ttl_ms";
    plan.settings[3] = "2000";
    world_sim(1, &plan, ends_in_use);
}

/* ---- 93, 94: stores ---- */

static void
lesson_93__an_empty_address_is_not_kept(void **state)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_stores *stores = tk_stores_new(NULL, NULL, NULL);
    struct tk_store *store = tk_stores_get(stores, 1);
    metapb_Store *facts = metapb_Store_new(arena->upb);
    tikv_error *error;

    (void)state;
    metapb_Store_set_id(facts, 1);
    error = tk_store_adopt(stores, (struct tk_store_slot *)(void *)store,
                           false, facts);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_UNAVAILABLE);
    assert_null(atomic_load(&store->conn));
    assert_false(atomic_load(&store->is_tombstone));
    tikv_error_free(error);
    tk_arena_unref(arena);
    tk_stores_free(stores);
}

static void
one_owner(struct world *w)
{
    struct tk_route before;
    struct tk_route after;

    world_ok(tk_cluster_split(w->cluster, tk_slice_text("m")));
    kv_put(w, "a", "1");
    kv_put(w, "z", "1");
    assert_true(tk_cache_route(w->cache, tk_slice_text("z"), &before));
    world_ok(tk_cluster_store_swap(w->cluster, 1, 2));
    kv_put(w, "a", "2");
    /* Whatever the first one learned, the second knows. */
    kv_put(w, "z", "2");
    assert_true(tk_cache_route(w->cache, tk_slice_text("z"), &after));
    assert_ptr_equal(tk_stores_get(w->stores, after.store->id), after.store);
    assert_ptr_equal(tk_stores_get(w->stores, before.store->id),
                     before.store);
    kv_expect(w, "a", "2");
    kv_expect(w, "z", "2");
}

static void
lesson_94__regions_share_their_stores(void **state)
{
    (void)state;
    seeds(&three_stores, one_owner);
}

/* ---- 101: ranges ---- */

struct union_job {
    struct kv kv; /* first */
    char ends[64][2][16];
    size_t count;
};

static tikv_error *
note_piece(struct tk_job *job, const struct tk_piece *piece, tikv_slice data,
           struct tk_frame *frame)
{
    struct union_job *all = (struct union_job *)(void *)job;
    size_t at = all->count++;

    assert_true(at < 64);
    snprintf(all->ends[at][0], 16, "%.*s", (int)piece->start.len,
             piece->start.len == 0 ? "" : (const char *)piece->start.data);
    snprintf(all->ends[at][1], 16, "%.*s", (int)piece->end.len,
             piece->end.len == 0 ? "" : (const char *)piece->end.data);
    return kv_answer(job, piece, data, frame);
}

/* The pieces, put in order, are the range without holes. */
static void
check_union(const struct union_job *all, const char *start, const char *end)
{
    const char *at = start;
    size_t left = all->count;

    while (left-- > 0) {
        size_t i = 0;

        while (i < all->count && strcmp(all->ends[i][0], at) != 0) {
            i++;
        }
        if (i == all->count) {
            fail_msg("nothing begins at \"%s\"", at);
        }
        at = all->ends[i][1];
        assert_true(at[0] != '\0' || end[0] == '\0');
        if (strcmp(at, end) == 0) {
            break;
        }
    }
    assert_int_equal(left, 0);
    assert_string_equal(at, end);
}

static void
unions(struct world *w)
{
    static const struct tk_job_ops ops = { kv_key, NULL, kv_encode,
                                           note_piece, kv_lost };
    struct tk_rng rng = { 7 };
    unsigned round;

    for (round = 0; round < 60; round++) {
        struct union_job *all = tk_calloc(sizeof(*all));
        struct kv *made = kv_new(TK_CMD_RAW_DELETE_RANGE, 0, NULL);
        char bounds[3][8];
        unsigned i;

        for (i = 0; i < 3; i++) {
            snprintf(bounds[i], sizeof(bounds[i]), "k%02u",
                     (unsigned)tk_rng_below(&rng, 100));
        }
        if (round % 3 != 0) {
            /* Often unknown to the cache. */
            tikv_error_free(
                tk_cluster_split(w->cluster, tk_slice_text(bounds[2])));
        }
        if (strcmp(bounds[0], bounds[1]) >= 0) {
            bounds[round % 2][0] = '\0'; /* from the start, or to the end */
            if (round % 2 == 0) {
                bounds[0][0] = '\0';
            }
        }
        all->kv = *made;
        all->kv.job.ops = &ops;
        all->kv.job.range.start = tk_slice_text(bounds[0]);
        all->kv.job.range.end = tk_slice_text(bounds[1]);
        world_ok(kv_run(w, &all->kv, 20000));
        check_union(all, bounds[0], bounds[1]);
        tk_free(made);
        tk_free(all);
    }
}

static void
lesson_101__pieces_of_a_range_leave_no_hole(void **state)
{
    (void)state;
    world_sim(1, &three_stores, unions);
}

/* ---- 130 .. 133, 138: errors, budgets, time ---- */

static void
failed_part(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    unsigned round;

    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00100")));
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00200")));
    world_ok(kv_run(w, kv, 20000));
    tk_free(kv);
    world_fault(w, "on=tikv.RawBatchGet key=k00150 "
                   "do=region_error(raft_entry_too_large)");
    kv = kv_new(TK_CMD_RAW_BATCH_GET, 300, NULL);
    kv->job.piece_count_max = 50;
    world_code(kv_run(w, kv, 20000), TIKV_ERR_TOO_LARGE);
    assert_true(kv->answered < 300);
    assert_int_equal(kv->answered + kv->lost, 300);
    tk_cluster_fault_remove(w->cluster, 0);
    /* With one fault in a hundred it is all or an error. */
    world_fault(w, "on=tikv.RawBatchGet when=prob(0.01) "
                   "do=region_error(raft_entry_too_large)");
    for (round = 0; round < 50; round++) {
        tikv_error *error;

        kv->answered = 0;
        kv->lost = 0;
        kv->job.piece_count_max = 10;
        error = kv_run(w, kv, 20000);
        assert_int_equal(error == NULL, kv->lost == 0);
        assert_int_equal(kv->answered + kv->lost, 300);
        tikv_error_free(error);
    }
    tk_free(kv);
}

static void
lesson_130__a_failed_part_fails_the_whole(void **state)
{
    (void)state;
    world_sim(1, &three_stores, failed_part);
}

static void
budgets(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    int64_t begun;

    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00100")));
    world_ok(tk_cluster_split(w->cluster, tk_slice_text("k00200")));
    world_ok(kv_run(w, kv, 20000));
    /* Each part pauses 500 + 1000 ms, or a quarter less: more than the budget
     * all together. */
    world_fault(w, "on=tikv.RawBatchPut key=k00000 when=first(2) "
                   "do=region_error(disk_full)");
    world_fault(w, "on=tikv.RawBatchPut key=k00100 when=first(2) "
                   "do=region_error(disk_full)");
    world_fault(w, "on=tikv.RawBatchPut key=k00200 when=first(2) "
                   "do=region_error(disk_full)");
    kv->job.budget_ms = 2000;
    begun = tk_now(w->rt);
    world_ok(kv_run(w, kv, 20000));
    assert_in_range((tk_now(w->rt) - begun) / TK_MS, 1125, 1600);
    tk_free(kv);
}

static void
lesson_131__every_part_has_a_budget_of_its_own(void **state)
{
    (void)state;
    world_sim(1, &three_stores, budgets);
}

static void
deadlines(struct world *w)
{
    static const char *const rules[] = {
        "on=tikv.* do=drop_request",
        "on=tikv.* do=drop_response",
        "on=tikv.* do=delay(10000)",
        "on=tikv.* do=status(UNAVAILABLE)",
        "on=tikv.* do=break_stream",
        "on=tikv.* do=region_error(server_is_busy)",
        "on=tikv.* do=region_error(server_is_busy,estimated_wait_ms=900)",
        "on=tikv.* do=region_error(not_leader,leader=none)",
        "on=tikv.* do=region_error(not_leader)",
        "on=tikv.* do=region_error(stale_command)",
        "on=tikv.* do=region_error(region_not_found)",
        "on=tikv.* do=region_error(epoch_not_match,regions=current)",
        "on=tikv.* do=region_error(epoch_not_match,regions=none)",
        "on=tikv.* do=region_error(is_witness)",
        "on=tikv.* do=region_error(recovery_in_progress)",
        "on=tikv.* do=region_error(disk_full)",
        "on=tikv.* do=region_error(data_is_not_ready)",
        "on=tikv.* do=region_error(message_only)",
    };
    static const enum tk_command commands[] = { TK_CMD_RAW_GET,
                                                TK_CMD_RAW_PUT };
    size_t i;

    for (i = 0; i < 2 * sizeof(rules) / sizeof(rules[0]); i++) {
        struct kv *kv = kv_new(commands[i % 2], 1, "v");
        int64_t begun;
        int64_t took;
        tikv_error *error;

        kv_put(w, "k00000", "1");
        world_fault(w, rules[i / 2]);
        begun = tk_now(w->rt);
        error = kv_run(w, kv, 500);
        took = (tk_now(w->rt) - begun) / TK_MS;
        if (error == NULL || took < 500 || took > 520) {
            print_error("%s: %lld ms, %s\n", rules[i / 2], (long long)took,
                        tikv_error_message(error));
        }
        assert_non_null(error);
        assert_in_range(took, 500, 520);
        /* Nobody is hammered meanwhile. */
        assert_in_range(kv->job.attempts, 0, 60);
        tikv_error_free(error);
        tk_cluster_fault_remove(w->cluster, 0);
        tk_free(kv);
    }
}

static void
lesson_132__no_fault_outlasts_the_deadline(void **state)
{
    (void)state;
    world_sim(1, &three_stores, deadlines);
}

/* ---- limits of the client ---- */

static void
store_is_full(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_PUT, 1, "v");
    struct tk_store *store;
    struct tk_route route;
    tikv_error *error;

    kv_put(w, "k00000", "1");
    assert_true(tk_cache_route(w->cache, tk_slice_text("k00000"), &route));
    store = route.store;
    assert_int_equal(atomic_load(&store->inflight), 0);
    atomic_fetch_add(&store->inflight, 4);
    kv->job.budget_ms = 200;
    error = kv_run(w, kv, 20000);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_OVERLOAD);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_STORE_ID), store->id);
    assert_int_equal(kv->job.attempts, 0);
    assert_int_equal(kv->in_doubt, 0);
    tikv_error_free(error);
    /* As soon as there is room it goes on. */
    atomic_fetch_sub(&store->inflight, 4);
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(atomic_load(&store->inflight), 0);
    tk_free(kv);
    /* And many share what there is. */
    kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    kv->job.piece_count_max = 5;
    world_ok(kv_run(w, kv, 20000));
    assert_int_equal(kv->answered, 300);
    assert_int_equal(atomic_load(&store->inflight), 0);
    tk_free(kv);
}

static void
limit__of_requests_to_one_store(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[2] = "stores.inflight_max_count";
    plan.settings[3] = "4";
    world_sim(1, &plan, store_is_full);
}

static void
many_retries(struct world *w)
{
    struct kv *kv = kv_new(TK_CMD_RAW_BATCH_PUT, 300, "v");
    uint64_t before;

    kv->job.piece_count_max = 5; /* 60 requests */
    world_ok(kv_run(w, kv, 20000));
    world_fault(w, "on=tikv.RawBatchPut "
                   "do=region_error(max_timestamp_not_synced)");
    before = tk_cluster_calls(w->cluster, "tikv.RawBatchPut");
    world_code(kv_run(w, kv, 20000), TIKV_ERR_OVERLOAD);
    /* First attempts, and what a second has. */
    assert_in_range(tk_cluster_calls(w->cluster, "tikv.RawBatchPut") - before,
                    60, 70);
    assert_int_equal(kv->in_doubt, 0);
    tk_cluster_fault_remove(w->cluster, 0);
    kv->lost = 0;
    world_ok(kv_run(w, kv, 20000));
    pause(w, 1000);
    world_fault(w, "on=tikv.RawBatchPut when=first(9) "
                   "do=region_error(max_timestamp_not_synced)");
    world_ok(kv_run(w, kv, 20000));
    tk_free(kv);
}

static void
limit__of_retries_of_the_client(void **state)
{
    struct world_plan plan = three_stores;

    (void)state;
    plan.settings[2] = "retry.per_second_max";
    plan.settings[3] = "10";
    world_sim(1, &plan, many_retries);
}

static void
another_answers(struct world *w)
{
    struct tk_rpc_stats before;
    struct tk_rpc_stats after;

    kv_put(w, "a", "1");
    tk_rpc_stats(w->rpc, &before);
    world_fault(w, "on=tikv.RawGet when=first(1) "
                   "do=region_error(store_not_match)");
    kv_expect(w, "a", "1");
    tk_rpc_stats(w->rpc, &after);
    assert_int_equal(after.streams_opened, before.streams_opened + 1);
}

static void
store__that_is_another_is_connected_to_anew(void **state)
{
    (void)state;
    seeds(&three_stores, another_answers);
}

static void
bad_requests(struct world *w)
{
    struct tk_rpc_stats before;
    struct tk_rpc_stats after;
    struct tk_route route;
    unsigned i;

    kv_put(w, "a", "1");
    tk_rpc_stats(w->rpc, &before);
    world_fault(w, "on=tikv.RawGet do=region_error(raft_entry_too_large)");
    for (i = 0; i < 20; i++) {
        world_code(kv_point(w, TK_CMD_RAW_GET, "a", NULL, NULL),
                   TIKV_ERR_TOO_LARGE);
    }
    tk_cluster_fault_remove(w->cluster, 0);
    kv_expect(w, "a", "1");
    tk_rpc_stats(w->rpc, &after);
    assert_int_equal(after.streams_opened, before.streams_opened);
    assert_true(tk_cache_route(w->cache, tk_slice_text("a"), &route));
    assert_int_equal(tk_store_liveness(route.store), TK_ALIVE);
}

static void
lesson_138__a_bad_request_is_no_bad_link(void **state)
{
    (void)state;
    seeds(&three_stores, bad_requests);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(lesson_77__a_reload_goes_by_the_key),
        harness_test(lesson_80__what_was_not_found_stops_others_at_once),
        harness_test(lesson_81__a_reload_that_fails_is_not_forgotten),
        harness_test(cache__ends_records_that_lost_a_peer),
        harness_test(lesson_93__an_empty_address_is_not_kept),
        harness_test(lesson_94__regions_share_their_stores),
        harness_test(lesson_101__pieces_of_a_range_leave_no_hole),
        harness_test(lesson_130__a_failed_part_fails_the_whole),
        harness_test(lesson_131__every_part_has_a_budget_of_its_own),
        harness_test(lesson_132__no_fault_outlasts_the_deadline),
        harness_test(limit__of_requests_to_one_store),
        harness_test(limit__of_retries_of_the_client),
        harness_test(store__that_is_another_is_connected_to_anew),
        harness_test(lesson_138__a_bad_request_is_no_bad_link),
    };

    return harness_run(tests);
}
