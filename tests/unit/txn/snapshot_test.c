/* SPDX-License-Identifier: Apache-2.0 */
/* Reading at one timestamp, with locks in the way. timeout: 120 */
#include "unit/txn/place.h"

#include "txn/snapshot.h"

static struct tk_snapshot *
snapshot_at(struct place *place, uint64_t version)
{
    struct tk_snapshot_options options = { .version = version };
    struct tk_snapshot *snapshot = tk_snapshot_new(place->client, &options);

    assert_non_null(snapshot);
    return snapshot;
}

static struct tk_snapshot *
snapshot_now(struct place *place)
{
    return snapshot_at(place, data_ts(place->router));
}

/* The values of keys as one text: "1,-,3". */
static void
get_all(struct place *place, struct tk_snapshot *snapshot, data_keys keys,
        const char *expected)
{
    struct tk_found found[64];
    tikv_slice slices[64];
    char text[512] = "";
    tikv_pairs *hold = tk_pairs_new(0);
    size_t count = 0;
    struct tk_op op;
    size_t i;

    while (keys[count] != NULL) {
        slices[count] = tk_slice_text(keys[count]);
        count++;
    }
    place_begin(place, &op);
    world_ok(tk_snapshot_get(snapshot, &op, slices, count, false, hold, found));
    tk_op_fini(&op);
    for (i = 0; i < count; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                 i == 0 ? "" : ",",
                 found[i].value.data == NULL ? 1 : (int)found[i].value.len,
                 found[i].value.data == NULL
                     ? "-"
                     : (const char *)found[i].value.data);
    }
    assert_string_equal(text, expected);
    tikv_pairs_free(hold);
}

/* A whole range, page by page, as "a=1,b=2". */
static void
scan_all(struct place *place, struct tk_snapshot *snapshot, const char *start,
         const char *end, const struct tk_scan_options *options,
         const char *expected)
{
    tikv_range range = { tk_slice_text(start), tk_slice_text(end) };

    place_rows(place, snapshot, range, options, expected);
}

/* ---- versions ---- */

static void
versions(struct place *place)
{
    struct tk_snapshot *before = snapshot_now(place);
    struct tk_snapshot *between;
    struct tk_snapshot *after;
    struct tk_snapshot *newest = snapshot_at(place, UINT64_MAX);

    data_put(place->router, "a", "1");
    between = snapshot_now(place);
    data_put(place->router, "a", "2");
    data_put(place->router, "b", "3");
    after = snapshot_now(place);
    get_all(place, before, DATA_KEYS("a"), "-");
    get_all(place, between, DATA_KEYS("a", "b"), "1,-");
    get_all(place, after, DATA_KEYS("b", "a", "c", "a"), "3,2,-,2");
    get_all(place, newest, DATA_KEYS("a"), "2");
    data_put(place->router, "a", "4");
    get_all(place, newest, DATA_KEYS("a"), "4");
    get_all(place, after, DATA_KEYS("a"), "2");
    tk_snapshot_unref(before);
    tk_snapshot_unref(between);
    tk_snapshot_unref(after);
    tk_snapshot_unref(newest);
}

static void
snapshot__reads_what_was_there_then(void **state)
{
    (void)state;
    place_run(versions);
}

static void
cache(struct place *place)
{
    struct tk_snapshot *snapshot;
    uint64_t before;

    data_put(place->router, "a", "1");
    snapshot = snapshot_now(place);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    get_all(place, snapshot, DATA_KEYS("b", "c"), "-,-");
    before = place_calls(place, NULL);
    get_all(place, snapshot, DATA_KEYS("a", "c", "b", "a"), "1,-,-,1");
    assert_int_equal(place_calls(place, NULL), before);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_CACHE_HITS), 4);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_GETS), 1);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_BATCH_GETS), 1);
    tk_snapshot_unref(snapshot);
    /* The newest is never cached. */
    snapshot = snapshot_at(place, UINT64_MAX);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_GETS), 2);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__remembers_what_it_read(void **state)
{
    (void)state;
    place_run(cache);
}

/* Lesson 152: what a scan of keys found are no values. */
static void
key_only(struct place *place)
{
    struct tk_scan_options keys = { .keys_only = true };
    struct tk_snapshot *snapshot;

    data_put(place->router, "a", "1");
    snapshot = snapshot_now(place);
    scan_all(place, snapshot, "", "", &keys, "a=");
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    tk_snapshot_unref(snapshot);
}

static void
lesson_152__keys_alone_are_never_cached_as_values(void **state)
{
    (void)state;
    place_run(key_only);
}

static void
commit_ts(struct place *place)
{
    uint64_t committed = data_put(place->router, "a", "1");
    struct data_write write = { .keys = DATA_KEYS("p", "b"), .value = "2" };
    tikv_slice keys[3] = { tk_slice_text("a"), tk_slice_text("b"),
                           tk_slice_text("c") };
    struct tk_snapshot *snapshot;
    struct tk_found found[3];
    tikv_pairs *hold = tk_pairs_new(0);
    uint64_t later;
    struct tk_op op;

    /* A lock in the way that one could read through, but then nobody would
     * know the commit ts. */
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    later = data_ts(place->router);
    data_commit(place->router, write.start_ts, later, DATA_KEYS("p"));
    snapshot = snapshot_now(place);
    place_begin(place, &op);
    world_ok(tk_snapshot_get(snapshot, &op, keys, 1, false, hold, found));
    assert_int_equal(found[0].commit_ts, 0);
    world_ok(tk_snapshot_get(snapshot, &op, keys, 3, true, hold, found));
    assert_int_equal(found[0].commit_ts, committed);
    assert_int_equal(found[1].commit_ts, later);
    assert_null(found[2].value.data);
    /* The cache has them now. */
    world_ok(tk_snapshot_get(snapshot, &op, keys, 3, true, hold, found));
    assert_int_equal(found[1].commit_ts, later);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_CACHE_HITS), 3);
    tk_op_fini(&op);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__tells_commit_timestamps(void **state)
{
    (void)state;
    place_run(commit_ts);
}

/* ---- locks ---- */

/* Leftovers among a .. j: committed, alive, dead, deleted. */
static void
leave_locks(struct place *place)
{
    struct data_write write = { .keys = DATA_KEYS("zp", "b", "e"),
                                .value = "new" };
    char key[2] = "a";

    for (; key[0] <= 'j'; key[0]++) {
        data_put(place->router, key, "old");
    }
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("zp"));
    write = (struct data_write){ .start_ts = data_ts(place->router),
                                 .keys = DATA_KEYS("a", "f"),
                                 .value = "alive" };
    data_prewrite(place->router, &write);
    write = (struct data_write){ .start_ts = data_ts(place->router),
                                 .keys = DATA_KEYS("zq", "g"),
                                 .value = NULL };
    data_prewrite(place->router, &write);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("zq"));
    write = (struct data_write){ .start_ts = data_ts(place->router),
                                 .keys = DATA_KEYS("j"),
                                 .value = "dead",
                                 .ttl_ms = 1 };
    data_prewrite(place->router, &write);
    place_outlive(place, write.start_ts, 1);
}

#define AMONG_LOCKS                                                            \
    "a=old,b=new,c=old,d=old,e=new,f=old,h=old,i=old,j=old,zp=new"

static void
gets_among_locks(struct place *place)
{
    struct tk_snapshot *snapshot;

    place_split(place, "d");
    leave_locks(place);
    snapshot = snapshot_now(place);
    get_all(place, snapshot, DATA_KEYS("b"), "new");
    get_all(place, snapshot, DATA_KEYS("a"), "old");
    get_all(place, snapshot,
            DATA_KEYS("a", "b", "c", "d", "e", "f", "g", "h", "i", "j"),
            "old,new,old,old,new,old,-,old,old,old");
    tk_snapshot_unref(snapshot);
}

static void
snapshot__gets_past_locks(void **state)
{
    (void)state;
    place_run(gets_among_locks);
}

/* Lesson 46: on the first, a middle and the last key of a page, over regions,
 * both ways, whatever the page. */
static void
scans_among_locks(struct place *place)
{
    static const char *const backwards =
        "zp=new,j=old,i=old,h=old,f=old,e=new,d=old,c=old,b=new,a=old";
    uint32_t page;

    place_split(place, "d");
    place_split(place, "g");
    leave_locks(place);
    for (page = 1; page < 12; page++) {
        struct tk_scan_options options = { .page_count = page };
        struct tk_snapshot *snapshot = snapshot_now(place);

        scan_all(place, snapshot, "", "", &options, AMONG_LOCKS);
        tk_snapshot_unref(snapshot);
        snapshot = snapshot_now(place);
        options.reverse = true;
        scan_all(place, snapshot, "", "", &options, backwards);
        scan_all(place, snapshot, "b", "e", &options, "d=old,c=old,b=new");
        tk_snapshot_unref(snapshot);
    }
}

static void
lesson_46__scans_lose_no_rows_to_locks(void **state)
{
    (void)state;
    place_run(scans_among_locks);
}

static void
keys_among_locks(struct place *place)
{
    struct tk_scan_options options = { .keys_only = true };
    struct tk_snapshot *snapshot;

    leave_locks(place);
    snapshot = snapshot_now(place);
    scan_all(place, snapshot, "a", "k", &options, "a=,b=,c=,d=,e=,f=,h=,i=,j=");
    tk_snapshot_unref(snapshot);
}

static void
snapshot__scans_keys_past_locks(void **state)
{
    (void)state;
    place_run(keys_among_locks);
}

/* A later async commit, complete or not, is none of its business. */
static void
newer_async(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b"),
                                .value = "late",
                                .is_async = true,
                                .secondaries = DATA_KEYS("x") };
    struct tk_snapshot *snapshot;

    data_put(place->router, "a", "1");
    data_put(place->router, "b", "2");
    data_put(place->router, "c", "3");
    snapshot = snapshot_now(place);
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    get_all(place, snapshot, DATA_KEYS("a", "b", "c"), "1,2,3");
    tk_snapshot_unref(snapshot);
}

static void
snapshot__is_not_held_up_by_newer_async_commits(void **state)
{
    (void)state;
    place_run(newer_async);
}

/* The newest: a live transaction is passed by; nobody waits. */
static void
newest(struct place *place)
{
    struct data_write write = { .keys = DATA_KEYS("a"), .value = "2" };
    struct tk_snapshot *snapshot = snapshot_at(place, UINT64_MAX);

    data_put(place->router, "a", "1");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_BACKOFF_MS), 0);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("a"));
    get_all(place, snapshot, DATA_KEYS("a"), "2");
    tk_snapshot_unref(snapshot);
}

static void
snapshot__of_the_newest_waits_for_nobody_alive(void **state)
{
    (void)state;
    place_run(newest);
}

/* Lesson 21: an async commit that is complete was committed, whoever knows:
 * a read of the newest waits for it instead of looking away. */
static void
newest_async(struct place *place)
{
    struct data_write write = {
        .keys = DATA_KEYS("a"), .value = "2", .ttl_ms = 60, .is_async = true
    };
    struct tk_snapshot *snapshot = snapshot_at(place, UINT64_MAX);

    data_put(place->router, "a", "1");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    get_all(place, snapshot, DATA_KEYS("a"), "2");
    tk_snapshot_unref(snapshot);
}

static void
lesson_21__the_newest_includes_complete_async_commits(void **state)
{
    (void)state;
    place_run(newest_async);
}

static void
own_locks(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "own" };
    struct tk_snapshot_options options = { .version = write.start_ts,
                                           .own_ts = write.start_ts };
    struct tk_snapshot *snapshot;

    data_prewrite(place->router, &write);
    snapshot = tk_snapshot_new(place->client, &options);
    get_all(place, snapshot, DATA_KEYS("a"), "-");
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 0);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__ignores_the_locks_of_its_owner(void **state)
{
    (void)state;
    place_run(own_locks);
}

static void
isolation(struct place *place)
{
    struct tk_snapshot_options options = { .isolation = TK_ISOLATION_RC };
    struct data_write write = { .keys = DATA_KEYS("a"), .value = "2" };
    tikv_slice key = tk_slice_text("a");
    struct tk_snapshot *snapshot;
    struct tk_found found;
    tikv_error *error;
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_op op;

    data_put(place->router, "a", "1");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    options.version = data_ts(place->router);
    snapshot = tk_snapshot_new(place->client, &options);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    get_all(place, snapshot, DATA_KEYS("b", "a"), "-,1");
    assert_int_equal(place_calls(place, "tikv.KvCheckTxnStatus"), 0);
    tk_snapshot_unref(snapshot);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("a"));
    /* What came after is a conflict. */
    options.isolation = TK_ISOLATION_RC_CHECK_TS;
    snapshot = tk_snapshot_new(place->client, &options);
    place_begin(place, &op);
    error = tk_snapshot_get(snapshot, &op, &key, 1, false, hold, &found);
    tk_op_fini(&op);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_WRITE_CONFLICT);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_REASON),
                     TIKV_CONFLICT_RC_CHECK_TS);
    tikv_error_free(error);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__reads_by_its_isolation(void **state)
{
    (void)state;
    place_run(isolation);
}

/* ---- bounds ---- */

static void
future_ts(struct place *place)
{
    uint64_t ts = data_ts(place->router) + (UINT64_C(3600000) << 18);
    struct tk_snapshot *snapshot = snapshot_at(place, ts);
    tikv_slice key = tk_slice_text("a");
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_scan_options options = { .page_count = 1 };
    struct tk_found found;
    tikv_pairs *page;
    tikv_error *error;
    struct tk_op op;

    place_begin(place, &op);
    error = tk_snapshot_get(snapshot, &op, &key, 1, false, hold, &found);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
    tk_snapshot_unref(snapshot);
    snapshot = snapshot_at(place, UINT64_MAX);
    error = tk_snapshot_scan(snapshot, &op,
                             (tikv_range){ { NULL, 0 }, { NULL, 0 } }, &options,
                             &page);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    assert_null(page);
    tikv_error_free(error);
    tk_op_fini(&op);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__refuses_timestamps_of_the_future(void **state)
{
    (void)state;
    place_run(future_ts);
}

static void
pages_by_bytes(struct place *place)
{
    struct tk_scan_options options = { .page_bytes = 1000,
                                       .page_count = 10000 };
    tikv_range range = { { NULL, 0 }, { NULL, 0 } };
    struct tk_snapshot *snapshot;
    char key[16];
    char value[101];
    size_t rows = 0;
    bool has_more = true;
    tikv_pairs *page = NULL;
    struct tk_op op;
    size_t i;

    memset(value, 'v', 100);
    value[100] = '\0';
    for (i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%03zu", i);
        data_put(place->router, key, value);
    }
    snapshot = snapshot_now(place);
    place_begin(place, &op);
    while (has_more) {
        tikv_pairs *next;
        size_t bytes = 0;

        world_ok(tk_snapshot_scan(snapshot, &op, range, &options, &next));
        for (i = 0; i < next->count; i++) {
            bytes += next->data[i].key.len + next->data[i].value.len;
        }
        /* The first request guesses, the others know. */
        assert_true(bytes <= 64 * 104 + 104);
        rows += next->count;
        tikv_pairs_free(page);
        page = next;
        has_more = tikv_pairs_next(page, &range);
    }
    tikv_pairs_free(page);
    tk_op_fini(&op);
    assert_int_equal(rows, 100);
    tk_snapshot_unref(snapshot);
}

static void
snapshot__bounds_pages_in_bytes(void **state)
{
    (void)state;
    place_run(pages_by_bytes);
}

/* Lesson 154. */
static void
too_old(struct place *place)
{
    struct tk_scan_options options = { .page_count = 10 };
    tikv_slice keys[2] = { tk_slice_text("a"), tk_slice_text("b") };
    struct tk_snapshot *snapshot;
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found[2];
    tikv_pairs *page;
    tikv_error *errors[3];
    uint64_t safe_point;
    struct tk_op op;
    size_t i;

    data_put(place->router, "a", "1");
    snapshot = snapshot_now(place);
    get_all(place, snapshot, DATA_KEYS("b"), "-");
    safe_point = data_ts(place->router);
    tk_safe_point_learn(&place->client->safe_point, safe_point);
    place_begin(place, &op);
    errors[0] = tk_snapshot_get(snapshot, &op, keys, 1, false, hold, found);
    errors[1] = tk_snapshot_get(snapshot, &op, keys, 2, false, hold, found);
    errors[2] = tk_snapshot_scan(snapshot, &op,
                                 (tikv_range){ { NULL, 0 }, { NULL, 0 } },
                                 &options, &page);
    tk_op_fini(&op);
    for (i = 0; i < 3; i++) {
        assert_int_equal(tikv_error_code(errors[i]), TIKV_ERR_TOO_OLD);
        assert_int_equal(tikv_error_u64(errors[i], TIKV_ERROR_SAFE_POINT),
                         safe_point);
        tikv_error_free(errors[i]);
    }
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
    snapshot = snapshot_now(place);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    tk_snapshot_unref(snapshot);
    assert_int_equal(place_calls(place, "pd.GetGCState"), 1);
}

static void
lesson_154__nothing_is_read_below_the_safe_point(void **state)
{
    (void)state;
    place_run(too_old);
}

/* An old PD knows one safe point. */
static void
old_pd(struct place *place)
{
    struct tk_snapshot *snapshot;

    world_fault(place->w, "on=pd.GetGCState do=status(UNIMPLEMENTED)");
    data_put(place->router, "a", "1");
    snapshot = snapshot_now(place);
    get_all(place, snapshot, DATA_KEYS("a"), "1");
    assert_int_equal(place_calls(place, "pd.GetGCSafePoint"), 1);
    tk_snapshot_unref(snapshot);
}

static void
lesson_154__a_pd_without_gc_states_is_asked_the_old_way(void **state)
{
    (void)state;
    place_run(old_pd);
}

/* A live lock of a plain commit in the way of many rounds: the budget ends
 * it, not the patience of the cluster (lesson 44). */
static void
budget(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v",
                                .ttl_ms = 600000,
                                .is_async = true };
    struct tk_snapshot *snapshot;
    tikv_slice key = tk_slice_text("a");
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found;
    tikv_error *error;
    struct tk_op op;

    atomic_store(&place->w->config.backoff_txn_read_ms, 50);
    data_prewrite(place->router, &write);
    snapshot = snapshot_now(place);
    place_begin(place, &op);
    error = tk_snapshot_get(snapshot, &op, &key, 1, false, hold, &found);
    tk_op_fini(&op);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_LOCK_WAIT);
    assert_in_range(place_calls(place, "tikv.KvGet"), 2, 40);
    tikv_error_free(error);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
lesson_44__every_round_costs_budget(void **state)
{
    (void)state;
    place_run(budget);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(snapshot__reads_what_was_there_then),
        harness_test(snapshot__remembers_what_it_read),
        harness_test(lesson_152__keys_alone_are_never_cached_as_values),
        harness_test(snapshot__tells_commit_timestamps),
        harness_test(snapshot__gets_past_locks),
        harness_test(lesson_46__scans_lose_no_rows_to_locks),
        harness_test(snapshot__scans_keys_past_locks),
        harness_test(snapshot__is_not_held_up_by_newer_async_commits),
        harness_test(snapshot__of_the_newest_waits_for_nobody_alive),
        harness_test(lesson_21__the_newest_includes_complete_async_commits),
        harness_test(snapshot__ignores_the_locks_of_its_owner),
        harness_test(snapshot__reads_by_its_isolation),
        harness_test(snapshot__refuses_timestamps_of_the_future),
        harness_test(snapshot__bounds_pages_in_bytes),
        harness_test(lesson_154__nothing_is_read_below_the_safe_point),
        harness_test(lesson_154__a_pd_without_gc_states_is_asked_the_old_way),
        harness_test(lesson_44__every_round_costs_budget),
    };

    return harness_run(tests);
}
