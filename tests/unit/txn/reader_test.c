/* SPDX-License-Identifier: Apache-2.0 */
/* Readers among locks and errors: what they send again, how long they take,
 * and what they are charged. timeout: 120 */
#include "unit/txn/place.h"

#include "txn/snapshot.h"
#include "unit/region/spy.h"

static const struct world_plan spied = {
    .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    .wrap = spy_new,
};

static struct tk_snapshot *
snapshot_at(struct place *place, uint64_t version)
{
    struct tk_snapshot_options options = { .version = version };
    struct tk_snapshot *snapshot = tk_snapshot_new(place->client, &options);

    assert_non_null(snapshot);
    return snapshot;
}

/* Reads keys; their values as "1,-,3". */
static tikv_error *
get(struct place *place, struct tk_snapshot *snapshot, data_keys keys,
    char *text, size_t size)
{
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found[32];
    tikv_slice slices[32];
    tikv_error *error;
    size_t count = 0;
    struct tk_op op;
    size_t i;

    for (; keys[count] != NULL; count++) {
        slices[count] = tk_slice_text(keys[count]);
    }
    place_begin(place, &op);
    error = tk_snapshot_get(snapshot, &op, slices, count, false, hold, found);
    tk_op_fini(&op);
    text[0] = '\0';
    for (i = 0; i < count; i++) {
        const char *data = (const char *)found[i].value.data;

        snprintf(text + strlen(text), size - strlen(text), "%s%.*s",
                 i == 0 ? "" : ",", data == NULL ? 1 : (int)found[i].value.len,
                 data == NULL ? "-" : data);
    }
    tikv_pairs_free(hold);
    return error;
}

static void
expect(struct place *place, struct tk_snapshot *snapshot, data_keys keys,
       const char *expected)
{
    char text[256];

    world_ok(get(place, snapshot, keys, text, sizeof(text)));
    assert_string_equal(text, expected);
}

/* The rows of a range as "a=1,b=2". */
static void
expect_rows(struct place *place, struct tk_snapshot *snapshot, bool reverse,
            const char *expected)
{
    struct tk_scan_options options = { .page_count = 3, .reverse = reverse };
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };

    place_rows(place, snapshot, all, &options, expected);
}

/* ---- a lock instead of an answer ---- */

/* An answer that is nothing but a lock tells nothing of any key: all are
 * asked for again, and a scan begins where it stood. */
static void
whole_answers(struct place *place)
{
    struct tk_snapshot *snapshot;
    uint64_t before;

    data_put(place->router, "a", "1");
    data_put(place->router, "b", "2");
    data_put(place->router, "c", "3");
    data_put(place->router, "d", "4");
    before = data_ts(place->router);
    snapshot = snapshot_at(place, data_ts(place->router));
    {
        char rule[128];

        snprintf(rule, sizeof(rule),
                 "on=tikv.KvBatchGet when=nth(1) "
                 "do=key_error(locked,start_ts=%llu,ttl=1)",
                 (unsigned long long)before);
        world_fault(place->w, rule);
        snprintf(rule, sizeof(rule),
                 "on=tikv.KvScan when=nth(2) "
                 "do=key_error(locked,start_ts=%llu,ttl=1)",
                 (unsigned long long)before);
        world_fault(place->w, rule);
    }
    expect(place, snapshot, DATA_KEYS("d", "a", "x", "c"), "4,1,-,3");
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_BATCH_GETS), 2);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_LOCKS), 1);
    expect_rows(place, snapshot, false, "a=1,b=2,c=3,d=4");
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_SCANS), 3);
    expect_rows(place, snapshot, true, "d=4,c=3,b=2,a=1");
    tk_snapshot_unref(snapshot);
}

static void
lesson_39__a_lock_of_the_whole_answer_tells_nothing_of_keys(void **state)
{
    (void)state;
    place_run(whole_answers);
}

/* Lesson 45: a lock that is resolved and told to be ignored, and there again:
 * nothing says how long to wait, and each round is charged all the same. */
static void
insists(struct place *place)
{
    struct tk_snapshot *snapshot;
    char text[32];

    atomic_store(&place->w->config.backoff_txn_read_ms, 100);
    data_put(place->router, "a", "1");
    snapshot = snapshot_at(place, data_ts(place->router));
    {
        char rule[128];

        snprintf(rule, sizeof(rule),
                 "on=tikv.KvGet do=key_error(locked,start_ts=%llu,ttl=1)",
                 (unsigned long long)data_ts(place->router));
        world_fault(place->w, rule);
    }
    world_code(get(place, snapshot, DATA_KEYS("a"), text, sizeof(text)),
               TIKV_ERR_LOCK_WAIT);
    assert_in_range(tk_snapshot_stat(snapshot, TK_STAT_GETS), 2, 60);
    assert_in_range(tk_snapshot_stat(snapshot, TK_STAT_BACKOFF_MS), 90, 600);
    tk_snapshot_unref(snapshot);
}

static void
lesson_45__a_lock_that_always_comes_back_ends_with_the_budget(void **state)
{
    (void)state;
    place_run(insists);
}

/* ---- how long it takes ---- */

static void
while_cleaning(struct place *place, bool is_async)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("p", "a", "b"),
                                .value = "2",
                                .txn_size = 3,
                                .is_async = is_async,
                                .secondaries =
                                    is_async ? DATA_KEYS("a", "b") : NULL };
    struct tk_snapshot *snapshot;
    int64_t begun;

    data_prewrite(place->router, &write);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("p"));
    snapshot = snapshot_at(place, data_ts(place->router));
    begun = tk_now(place->w->rt);
    expect(place, snapshot, DATA_KEYS("a"), "2");
    tk_snapshot_unref(snapshot);
    snapshot = snapshot_at(place, data_ts(place->router));
    expect(place, snapshot, DATA_KEYS("a", "b"), "2,2");
    assert_true(tk_now(place->w->rt) - begun < 400 * TK_MS);
    tk_snapshot_unref(snapshot);
    assert_int_not_equal(data_locks(place->router, NULL), 0);
    place_await_locks(place, 0);
}

static void
slow_cleaning(struct place *place)
{
    data_put(place->router, "a", "1");
    data_put(place->router, "b", "1");
    world_fault(place->w, "on=tikv.KvResolveLock do=delay(500)");
    while_cleaning(place, false);
    while_cleaning(place, true);
}

static void
reader__does_not_wait_for_cleaning(void **state)
{
    (void)state;
    place_run(slow_cleaning);
}

/* A transaction of millions of keys, on its way for a long time. */
static void
large(struct place *place)
{
    enum { KEYS = 27, SCANS = 10 };
    struct data_write write = { .value = "new",
                                .ttl_ms = 600000,
                                .txn_size = 33000000 };
    char before[512] = "";
    char after[512] = "";
    struct tk_snapshot *snapshot;
    char names[KEYS][4];
    const char *keys[KEYS + 1];
    size_t i;

    for (i = 0; i < KEYS; i++) {
        snprintf(names[i], sizeof(names[i]), "k%c", (char)('a' + (int)i));
        keys[i] = names[i];
        data_put(place->router, names[i], "o");
        snprintf(before + strlen(before), sizeof(before) - strlen(before),
                 "%s%s=o", i == 0 ? "" : ",", names[i]);
        snprintf(after + strlen(after), sizeof(after) - strlen(after),
                 "%s%s=new", i == 0 ? "" : ",", names[i]);
    }
    keys[KEYS] = NULL;
    write.keys = keys;
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    for (i = 0; i < SCANS; i++) {
        snapshot = snapshot_at(place, data_ts(place->router));
        expect_rows(place, snapshot, false, before);
        assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_BACKOFF_MS), 0);
        tk_snapshot_unref(snapshot);
        place_sleep(place, 50);
    }
    data_commit(place->router, write.start_ts, data_ts(place->router), keys);
    snapshot = snapshot_at(place, data_ts(place->router));
    expect_rows(place, snapshot, false, after);
    tk_snapshot_unref(snapshot);
}

static void
reader__is_not_held_up_by_a_large_transaction(void **state)
{
    (void)state;
    place_run(large);
}

/* ---- what a snapshot knows of others ---- */

/* A transaction that was ignored is looked at again by a later snapshot. */
static void
later(struct place *place)
{
    struct data_write write = { .keys = DATA_KEYS("p", "s"), .value = "2" };
    struct tk_snapshot *snapshot;

    data_put(place->router, "s", "1");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    snapshot = snapshot_at(place, data_ts(place->router));
    expect(place, snapshot, DATA_KEYS("s"), "1");
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("p"));
    expect(place, snapshot, DATA_KEYS("s"), "1");
    tk_snapshot_unref(snapshot);
    snapshot = snapshot_at(place, data_ts(place->router));
    expect(place, snapshot, DATA_KEYS("s"), "2");
    tk_snapshot_unref(snapshot);
}

static void
reader__of_a_later_version_looks_at_locks_again(void **state)
{
    (void)state;
    place_run(later);
}

/* What one read learned of transactions goes with the others, too. */
static void
lists(struct place *place)
{
    struct data_write alive = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "2" };
    struct data_write half = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("p", "b"),
                               .value = "3" };
    struct tk_scan_options options = { .page_count = 10 };
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    struct tk_snapshot *snapshot;
    tikv_pairs *page;
    struct tk_op op;

    data_prewrite(place->router, &alive);
    data_prewrite(place->router, &half);
    data_commit(place->router, half.start_ts, data_ts(place->router),
                DATA_KEYS("p"));
    world_fault(place->w, "on=tikv.KvResolveLock do=drop_request");
    snapshot = snapshot_at(place, data_ts(place->router));
    spy_clear(place->w);
    expect(place, snapshot, DATA_KEYS("a"), "-");
    expect(place, snapshot, DATA_KEYS("b", "x"), "3,-");
    spy_clear(place->w);
    /* Nothing is asked twice: the lists say who may be passed. */
    place_begin(place, &op);
    world_ok(tk_snapshot_scan(snapshot, &op, all, &options, &page));
    tk_op_fini(&op);
    assert_int_equal(page->count, 2);
    tikv_pairs_free(page);
    assert_int_equal(tk_snapshot_stat(snapshot, TK_STAT_SCANS), 1);
    {
        const struct spy *spy = spy_of(place->w->transport);
        size_t i = 0;

        while (spy->notes[i].command != TK_CMD_KV_SCAN) {
            i++;
            assert_true(i < spy->count);
        }
        assert_int_equal(spy->notes[i].ignored, 1);
        assert_int_equal(spy->notes[i].passed, 1);
    }
    tk_snapshot_unref(snapshot);
}

static void
reader__tells_stores_whose_locks_it_passes(void **state)
{
    (void)state;
    place_run_by(&spied, lists);
}

/* Whoever asked for commit timestamps gets them or an error. */
static void
no_commit_ts(struct place *place)
{
    struct spy *spy = spy_of(place->w->transport);
    tikv_slice keys[2] = { tk_slice_text("a"), tk_slice_text("b") };
    struct tk_snapshot *snapshot;
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found[2];
    struct tk_op op;

    data_put(place->router, "a", "1");
    snapshot = snapshot_at(place, data_ts(place->router));
    spy->forgets_at = tk_snapshot_version(snapshot);
    place_begin(place, &op);
    world_code(tk_snapshot_get(snapshot, &op, keys, 1, true, hold, found),
               TIKV_ERR_PROTOCOL);
    world_code(tk_snapshot_get(snapshot, &op, keys, 2, true, hold, found),
               TIKV_ERR_PROTOCOL);
    /* Nothing wrong was remembered; who does not ask is not concerned. */
    world_ok(tk_snapshot_get(snapshot, &op, keys, 2, false, hold, found));
    assert_true(tk_slice_equal(found[0].value, tk_slice_text("1")));
    spy->forgets_at = 0;
    world_ok(tk_snapshot_get(snapshot, &op, keys, 2, true, hold, found));
    assert_int_not_equal(found[0].commit_ts, 0);
    tk_op_fini(&op);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
reader__gets_the_commit_ts_it_asked_for_or_an_error(void **state)
{
    (void)state;
    place_run_by(&spied, no_commit_ts);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(
            lesson_39__a_lock_of_the_whole_answer_tells_nothing_of_keys),
        harness_test(
            lesson_45__a_lock_that_always_comes_back_ends_with_the_budget),
        harness_test(reader__does_not_wait_for_cleaning),
        harness_test(reader__is_not_held_up_by_a_large_transaction),
        harness_test(reader__of_a_later_version_looks_at_locks_again),
        harness_test(reader__tells_stores_whose_locks_it_passes),
        harness_test(reader__gets_the_commit_ts_it_asked_for_or_an_error),
    };

    return harness_run(tests);
}
