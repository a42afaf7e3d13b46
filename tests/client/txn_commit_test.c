/* SPDX-License-Identifier: Apache-2.0 */
/* Commits through the public functions: what is seen, who wins, what
 * strategies and their fall-backs do. timeout: 120 */
#include "client/txn_words.h"

static const char *const two_phases[] = { TXN_2PC, NULL };
static const char *const async[] = { TXN_ASYNC, NULL };
static const char *const one_phase[] = { TXN_1PC, NULL };
static const struct kv_plan plain = { .stores = 1, .settings = two_phases };
static const struct kv_plan with_async = { .stores = 1, .settings = async };
static const struct kv_plan with_one_phase = { .stores = 1,
                                               .settings = one_phase };
static const struct kv_plan usual = { .stores = 1 };

static void
txn__commits_what_it_wrote(void **state)
{
    uint64_t commit_ts;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plain);
    txn = txn_begin(kv.client);
    txn_expect(txn, "a", NULL);
    txn_put(txn, "a", "1");
    txn_put(txn, "b", "2");
    txn_expect(txn, "a", "1");
    txn_sees(kv.client, "a", NULL);
    kv_ok(tikv_txn_commit(txn, NULL, &commit_ts));
    assert_true(commit_ts > tikv_txn_start_ts(txn));
    assert_int_equal(tikv_txn_commit_ts(txn), commit_ts);
    assert_true(kv_equal(tikv_txn_primary(txn), kv_text("a")));
    tikv_txn_free(txn);
    txn_sees(kv.client, "a", "1");
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    txn_expect(txn, "a", NULL);
    txn_commit(txn);
    txn_sees(kv.client, "a", NULL);
    txn_sees(kv.client, "b", "2");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__of_nothing_commits_without_a_request(void **state)
{
    uint64_t commit_ts = 1;
    uint64_t before;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    before = txn_calls(&kv, NULL);
    kv_ok(tikv_txn_commit(txn, NULL, &commit_ts));
    assert_int_equal(commit_ts, 0);
    assert_int_equal(txn_calls(&kv, NULL), before);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* A reader's view is that of its start, and a commit ts its exact border. */
static void
isolation(const struct kv_plan *plan)
{
    tikv_txn_options at = TIKV_TXN_OPTIONS_INIT;
    uint64_t commit_ts;
    tikv_txn *reader;
    struct kv kv;

    kv_open(&kv, plan);
    txn_set(kv.client, "k", "old");
    reader = txn_begin(kv.client);
    commit_ts = txn_set(kv.client, "k", "new");
    txn_expect(reader, "k", "old");
    tikv_txn_free(reader);
    txn_sees(kv.client, "k", "new");
    at.start_ts = commit_ts - 1;
    reader = txn_begin_with(kv.client, &at);
    txn_expect(reader, "k", "old");
    tikv_txn_free(reader);
    at.start_ts = commit_ts;
    reader = txn_begin_with(kv.client, &at);
    txn_expect(reader, "k", "new");
    tikv_txn_free(reader);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__reads_as_of_its_start(void **state)
{
    (void)state;
    isolation(&plain);
    isolation(&with_async);
    isolation(&with_one_phase);
}

static void
real_time_order(const struct kv_plan *plan)
{
    tikv_txn *first;
    tikv_txn *second;
    struct kv kv;

    kv_open(&kv, plan);
    first = txn_begin(kv.client);
    second = txn_begin(kv.client);
    txn_put(first, "a", "1");
    txn_put(second, "b", "1");
    /* Who commits first has the smaller timestamp, whoever began first. */
    {
        uint64_t earlier = txn_commit(second);

        assert_true(earlier < txn_commit(first));
    }
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__commits_in_the_order_of_real_time(void **state)
{
    (void)state;
    real_time_order(&plain);
    real_time_order(&with_async);
    real_time_order(&with_one_phase);
}

static void
conflict(const struct kv_plan *plan)
{
    tikv_txn *loser;
    tikv_error *error;
    uint64_t winner_ts;
    struct kv kv;

    kv_open(&kv, plan);
    txn_split(&kv, "b");
    txn_split(&kv, "c");
    loser = txn_begin(kv.client);
    winner_ts = txn_set(kv.client, "b", "winner");
    /* Its lock would be the conflict, which tells no commit timestamp. */
    kv_ok(tikv_client_drain(kv.client, 20000));
    txn_put(loser, "a", "loser");
    txn_put(loser, "b", "loser");
    txn_put(loser, "c", "loser");
    error = tikv_txn_commit(loser, NULL, NULL);
    assert_int_equal(tikv_error_class(error), TIKV_CLASS_RETRY_TXN);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_CONFLICT_COMMIT_TS),
                     winner_ts);
    assert_true(kv_equal(tikv_error_key(error), kv_text("b")));
    kv_fails(error, TIKV_ERR_WRITE_CONFLICT);
    tikv_txn_free(loser);
    txn_sees(kv.client, "b", "winner");
    txn_sees(kv.client, "a", NULL);
    txn_sees(kv.client, "c", NULL);
    txn_set(kv.client, "a", "later");
    txn_sees(kv.client, "a", "later");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__loses_against_a_write_since_its_start(void **state)
{
    (void)state;
    conflict(&plain);
    conflict(&with_async);
    conflict(&with_one_phase);
}

static void
txn__inserts_only_what_is_absent(void **state)
{
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("k"), kv_text("1")));
    kv_fails(tikv_txn_insert(txn, kv_text("k"), kv_text("2")),
             TIKV_ERR_KEY_EXISTS);
    txn_commit(txn);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("k"), kv_text("2")));
    txn_put(txn, "other", "2");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_KEY_EXISTS);
    tikv_txn_free(txn);
    txn_sees(kv.client, "k", "1");
    txn_sees(kv.client, "other", NULL);
    /* Deleted again in the same transaction: the claim stays. */
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("k"), kv_text("2")));
    kv_ok(tikv_txn_delete(txn, kv_text("k")));
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_KEY_EXISTS);
    tikv_txn_free(txn);
    /* Deleted first: it may be there. */
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_delete(txn, kv_text("k")));
    kv_ok(tikv_txn_insert(txn, kv_text("k"), kv_text("3")));
    txn_commit(txn);
    txn_sees(kv.client, "k", "3");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__of_inserts_taken_back_writes_nothing(void **state)
{
    uint64_t commit_ts = 1;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("a"), kv_text("1")));
    kv_ok(tikv_txn_insert(txn, kv_text("b"), kv_text("1")));
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    kv_ok(tikv_txn_delete(txn, kv_text("b")));
    kv_ok(tikv_txn_commit(txn, NULL, &commit_ts));
    assert_int_equal(commit_ts, 0);
    assert_int_equal(txn_calls(&kv, "tikv.KvCommit"), 0);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* A key that is inserted and deleted gets no lock: it must not be primary. */
static void
txn__never_makes_a_ghost_its_primary(void **state)
{
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plain);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("a"), kv_text("1")));
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    txn_put(txn, "b", "1");
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    assert_true(kv_equal(tikv_txn_primary(txn), kv_text("b")));
    tikv_txn_free(txn);
    txn_sees(kv.client, "a", NULL);
    txn_sees(kv.client, "b", "1");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* Insert, delete and locks alone: the first lock is the primary, and whoever
 * writes the locked keys conflicts. */
static void
txn__locks_make_reads_count_as_writes(void **state)
{
    const tikv_slice keys[] = { kv_text("b"), kv_text("c") };
    tikv_txn *skew;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    skew = txn_begin(kv.client);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_insert(txn, kv_text("a"), kv_text("1")));
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    kv_ok(tikv_txn_lock(txn, keys, 2, NULL));
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    assert_true(kv_equal(tikv_txn_primary(txn), kv_text("b")));
    tikv_txn_free(txn);
    txn_put(skew, "c", "1");
    kv_fails(tikv_txn_commit(skew, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
    tikv_txn_free(skew);
    txn_sees(kv.client, "b", NULL);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
seen_at_the_end(const tikv_txn_summary *summary, void *arg)
{
    tikv_txn_summary *copy = arg;

    *copy = *summary;
    copy->error = NULL;
}

/* A window of no width: TiKV cannot stay below it, unless a millisecond went
 * by since the transaction began, which widens it. False: that happened. */
static bool
falls_back(const struct kv *kv, uint32_t fallbacks)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn_summary summary = { 0 };
    uint64_t calls[2];
    tikv_txn *txn;

    kv_ok(tikv_client_drain(kv->client, 20000));
    calls[0] = txn_calls(kv, "tikv.KvPrewrite");
    calls[1] = txn_calls(kv, "tikv.KvCommit");
    options.on_end = seen_at_the_end;
    options.arg = &summary;
    txn = txn_begin_with(kv->client, &options);
    txn_put(txn, "a", "1");
    txn_put(txn, "b", "1");
    txn_commit(txn);
    if (summary.mode != TIKV_MODE_2PC) {
        return false;
    }
    assert_int_equal(summary.fallbacks, fallbacks);
    assert_int_equal(summary.keys_count, 2);
    txn_sees(kv->client, "b", "1");
    assert_int_equal(txn_calls(kv, "tikv.KvPrewrite"), calls[0] + 1);
    assert_int_equal(txn_calls(kv, "tikv.KvCommit"), calls[1] + 1);
    return true;
}

static void
fallback(const char *const *settings, uint32_t fallbacks)
{
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    unsigned chances = 1000;
    struct kv kv;

    kv_open(&kv, &plan);
    /* A young leader may not know its timestamps yet, and says so. */
    txn_set(kv.client, "warm", "1");
    while (!falls_back(&kv, fallbacks)) {
        assert_true(--chances > 0);
    }
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
lesson_12__one_plain_lock_makes_all_plain(void **state)
{
    static const char *const narrow[] = { TXN_ASYNC, "txn.safe_window_ms", "0",
                                          NULL };

    (void)state;
    fallback(narrow, TIKV_FALLBACK_ASYNC);
}

static void
lesson_13__a_declined_one_phase_commit_goes_on(void **state)
{
    static const char *const narrow[] = { TXN_1PC, "txn.safe_window_ms", "0",
                                          NULL };
    static const char *const both[] = { "txn.safe_window_ms", "0", NULL };

    (void)state;
    fallback(narrow, TIKV_FALLBACK_1PC);
    fallback(both, TIKV_FALLBACK_1PC | TIKV_FALLBACK_ASYNC);
}

static tikv_error *
refuse(uint64_t ts, void *arg)
{
    uint64_t *seen = arg;

    *seen = ts;
    return tikv_error_new(TIKV_ERR_USER, "the schema has changed");
}

/* Every refusal comes before the commit point: nothing is ever seen. */
static void
lesson_17__a_refusing_check_ends_the_commit(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    uint64_t seen = 0;
    tikv_txn *txn;
    struct kv kv;
    int i;

    (void)state;
    kv_open(&kv, &usual);
    options.arg = &seen;
    for (i = 0; i < 3; i++) {
        options.schema_check = i < 2 ? refuse : NULL;
        options.commit_check = i == 2 ? refuse : NULL;
        options.one_phase = i == 0 ? TIKV_OFF : TIKV_DEFAULT;
        options.async_commit = i == 0 ? TIKV_OFF : TIKV_DEFAULT;
        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, "k", "1");
        seen = 0;
        kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_USER);
        assert_true(seen > tikv_txn_start_ts(txn));
        tikv_txn_free(txn);
        txn_sees(kv.client, "k", NULL);
    }
    assert_int_equal(txn_calls(&kv, "tikv.KvCommit"), 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__of_the_newest_timestamp_cannot_commit(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    options.start_ts = UINT64_MAX;
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "k", "1");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_ARGUMENT);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__too_old_is_refused(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    options.start_ts =
        tikv_txn_start_ts(txn) - (UINT64_C(25) * 3600 * 1000 << 18);
    tikv_txn_free(txn);
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "k", "1");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_TOO_OLD);
    assert_int_equal(txn_calls(&kv, "tikv.KvPrewrite"), 0);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* Many keys, values that fill several requests, four regions. */
static void
many_keys(const struct kv_plan *plan)
{
    static char big[3000];
    char name[32];
    tikv_txn *txn;
    tikv_value *value;
    struct kv kv;
    size_t i;

    memset(big, 'x', sizeof(big));
    kv_open(&kv, plan);
    txn_split(&kv, "k000030");
    txn_split(&kv, "k000060");
    txn_split(&kv, "k000090");
    txn = txn_begin(kv.client);
    for (i = 0; i < 120; i++) {
        kv_ok(tikv_txn_put(txn, kv_number(name, sizeof(name), "k", i),
                           kv_bytes(big, i < 50 ? sizeof(big) : i)));
    }
    txn_commit(txn);
    txn = txn_begin(kv.client);
    for (i = 0; i < 120; i++) {
        kv_ok(tikv_txn_get(txn, kv_number(name, sizeof(name), "k", i), NULL,
                           &value));
        assert_int_equal(tikv_value_slice(value).len, i < 50 ? sizeof(big) : i);
        tikv_value_free(value);
    }
    tikv_txn_free(txn);
    txn_settle(&kv);
    /* 150000 bytes in requests of 16384, and three borders. */
    assert_in_range(txn_calls(&kv, "tikv.KvPrewrite"), 10, 16);
    assert_in_range(txn_calls(&kv, "tikv.KvCommit"), 4, 5);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__crosses_regions_and_request_limits(void **state)
{
    (void)state;
    many_keys(&plain);
    many_keys(&with_async);
}

/* The cache knows nothing of a split: the pieces regroup, and the primary is
 * committed before any other key. */
static void
txn__finds_its_way_after_splits(void **state)
{
    const struct kv_plan *plans[] = { &plain, &with_async, &with_one_phase };
    struct kv kv;
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_txn *txn;

        kv_open(&kv, plans[i]);
        txn_set(kv.client, "b", "0");
        txn = txn_begin(kv.client);
        txn_put(txn, "a", "1");
        txn_put(txn, "b", "1");
        txn_put(txn, "c", "1");
        txn_split(&kv, "b");
        txn_split(&kv, "c");
        txn_commit(txn);
        txn_sees(kv.client, "a", "1");
        txn_sees(kv.client, "b", "1");
        txn_sees(kv.client, "c", "1");
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(txn__commits_what_it_wrote),
        harness_test(txn__of_nothing_commits_without_a_request),
        harness_test(txn__reads_as_of_its_start),
        harness_test(txn__commits_in_the_order_of_real_time),
        harness_test(txn__loses_against_a_write_since_its_start),
        harness_test(txn__inserts_only_what_is_absent),
        harness_test(txn__of_inserts_taken_back_writes_nothing),
        harness_test(txn__never_makes_a_ghost_its_primary),
        harness_test(txn__locks_make_reads_count_as_writes),
        harness_test(lesson_12__one_plain_lock_makes_all_plain),
        harness_test(lesson_13__a_declined_one_phase_commit_goes_on),
        harness_test(lesson_17__a_refusing_check_ends_the_commit),
        harness_test(txn__of_the_newest_timestamp_cannot_commit),
        harness_test(txn__too_old_is_refused),
        harness_test(txn__crosses_regions_and_request_limits),
        harness_test(txn__finds_its_way_after_splits),
    };

    return harness_run(tests);
}
