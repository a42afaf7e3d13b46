/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of the public functions: phases, arguments, limits, savepoints,
 * reads over own writes, assertions, hooks. timeout: 120
 */
#include "client/txn_words.h"

#include <stdatomic.h>

static const struct kv_plan usual = { .stores = 1 };

/* ---- phases and arguments ---- */

static void
expect_over(tikv_txn *txn)
{
    const tikv_slice key = kv_text("k");
    tikv_future *future;
    tikv_pairs *pairs;
    tikv_value *value;
    size_t savepoint;

    kv_fails(tikv_txn_put(txn, key, key), TIKV_ERR_STATE);
    kv_fails(tikv_txn_insert(txn, key, key), TIKV_ERR_STATE);
    kv_fails(tikv_txn_delete(txn, key), TIKV_ERR_STATE);
    kv_fails(tikv_txn_lock(txn, &key, 1, NULL), TIKV_ERR_STATE);
    kv_fails(tikv_txn_assert(txn, key, TIKV_ASSERT_EXIST), TIKV_ERR_STATE);
    kv_fails(tikv_txn_savepoint(txn, &savepoint), TIKV_ERR_STATE);
    kv_fails(tikv_txn_savepoint_release(txn, 1), TIKV_ERR_STATE);
    kv_fails(tikv_txn_savepoint_rollback(txn, 1), TIKV_ERR_STATE);
    kv_fails(tikv_txn_get(txn, key, NULL, &value), TIKV_ERR_STATE);
    kv_fails(tikv_txn_batch_get(txn, &key, 1, NULL, &pairs), TIKV_ERR_STATE);
    kv_fails(tikv_txn_scan(txn, kv_range("", ""), NULL, &pairs),
             TIKV_ERR_STATE);
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_STATE);
    kv_fails(tikv_txn_rollback(txn, NULL), TIKV_ERR_STATE);
    future = tikv_txn_commit_async(txn, NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_fails(tikv_future_take_u64(future, NULL), TIKV_ERR_STATE);
    tikv_future_free(future);
    assert_int_equal(tikv_txn_count(txn), 0);
    assert_int_equal(tikv_txn_size(txn), 0);
}

static void
txn__takes_nothing_once_it_ended(void **state)
{
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "k", "1");
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    expect_over(txn);
    tikv_txn_free(txn);
    txn = txn_begin(kv.client);
    txn_put(txn, "k", "2");
    kv_ok(tikv_txn_rollback(txn, NULL));
    expect_over(txn);
    tikv_txn_free(txn);
    txn_sees(kv.client, "k", "1");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__refuses_wrong_arguments(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_range_options scan = TIKV_RANGE_OPTIONS_INIT;
    tikv_call call = TIKV_CALL_INIT;
    tikv_outcome outcome;
    tikv_pairs *pairs;
    tikv_value *value;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    kv_fails(tikv_txn_begin(NULL, NULL, &txn), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_begin(kv.client, NULL, NULL), TIKV_ERR_ARGUMENT);
    options.reserved = 1;
    kv_fails(tikv_txn_begin(kv.client, &options, &txn), TIKV_ERR_ARGUMENT);
    assert_null(txn);
    options.reserved = 0;
    options.causal = 3;
    kv_fails(tikv_txn_begin(kv.client, &options, &txn), TIKV_ERR_ARGUMENT);
    options.causal = 0;
    options.assertions = 3;
    kv_fails(tikv_txn_begin(kv.client, &options, &txn), TIKV_ERR_ARGUMENT);
    options.assertions = 0;
    options.locks = 2;
    kv_fails(tikv_txn_begin(kv.client, &options, &txn), TIKV_ERR_ARGUMENT);
    txn = txn_begin(kv.client);
    kv_fails(tikv_txn_put(txn, kv_text("k"), kv_text("")), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_put(txn, kv_text("k"), KV_ABSENT), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_put(txn, KV_ABSENT, kv_text("v")), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_put(NULL, kv_text("k"), kv_text("v")), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_get(txn, KV_ABSENT, NULL, &value), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_get(txn, kv_text("k"), NULL, NULL), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_batch_get(txn, NULL, 1, NULL, &pairs), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_assert(txn, kv_text("k"), 4), TIKV_ERR_ARGUMENT);
    scan.flags = 1 << 7;
    kv_fails(tikv_txn_scan(txn, kv_range("", ""), &scan, &pairs),
             TIKV_ERR_ARGUMENT);
    call.reserved = 1;
    kv_fails(tikv_txn_commit(txn, &call, NULL), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_outcome(kv.client, 0, kv_text("k"), NULL, &outcome, NULL),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_txn_run(kv.client, NULL, NULL, NULL, NULL),
             TIKV_ERR_ARGUMENT);
    /* None of that ended it. */
    txn_put(txn, "k", "1");
    txn_commit(txn);
    tikv_txn_free(NULL);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__keeps_to_its_limits(void **state)
{
    static char big[9 << 20];
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    options.max_entry_bytes = 1 << 20;
    options.max_bytes = 3 << 20;
    txn = txn_begin_with(kv.client, &options);
    error = tikv_txn_put(txn, kv_text("k"), kv_bytes(big, sizeof(big)));
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_LIMIT_BYTES), 1 << 20);
    kv_fails(error, TIKV_ERR_TOO_LARGE);
    assert_int_equal(tikv_txn_count(txn), 0);
    kv_ok(tikv_txn_put(txn, kv_text("a"), kv_bytes(big, 1 << 19)));
    kv_ok(tikv_txn_put(txn, kv_text("b"), kv_bytes(big, 1 << 19)));
    assert_int_equal(tikv_txn_count(txn), 2);
    assert_int_equal(tikv_txn_size(txn), (1 << 20) + 2);
    txn_commit(txn);
    /* Nothing was put: there is nothing to commit. */
    txn = txn_begin_with(kv.client, &options);
    kv_fails(tikv_txn_put(txn, kv_text("k"), kv_bytes(big, sizeof(big))),
             TIKV_ERR_TOO_LARGE);
    assert_int_equal(txn_commit(txn), 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
savepoint__takes_back_what_came_after_it(void **state)
{
    size_t outer;
    size_t inner;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "1");
    kv_ok(tikv_txn_savepoint(txn, &outer));
    txn_put(txn, "a", "2");
    kv_ok(tikv_txn_savepoint(txn, &inner));
    txn_put(txn, "b", "1");
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    txn_expect(txn, "a", NULL);
    kv_ok(tikv_txn_savepoint_rollback(txn, inner));
    txn_expect(txn, "a", "2");
    txn_expect(txn, "b", NULL);
    kv_fails(tikv_txn_savepoint_rollback(txn, inner), TIKV_ERR_STATE);
    /* Going back to the outer one ends what was opened since. */
    kv_ok(tikv_txn_savepoint(txn, &inner));
    txn_put(txn, "c", "1");
    kv_ok(tikv_txn_savepoint_rollback(txn, outer));
    txn_expect(txn, "a", "1");
    txn_expect(txn, "c", NULL);
    /* And takes along what was released since. */
    kv_ok(tikv_txn_savepoint(txn, &outer));
    kv_ok(tikv_txn_savepoint(txn, &inner));
    txn_put(txn, "c", "2");
    kv_ok(tikv_txn_savepoint_release(txn, inner));
    txn_expect(txn, "c", "2");
    kv_ok(tikv_txn_savepoint_rollback(txn, outer));
    txn_expect(txn, "c", NULL);
    /* Released, and left open: commit takes it. */
    kv_ok(tikv_txn_savepoint(txn, &outer));
    txn_put(txn, "d", "1");
    kv_ok(tikv_txn_savepoint_release(txn, outer));
    kv_ok(tikv_txn_savepoint(txn, &outer));
    txn_put(txn, "e", "1");
    txn_commit(txn);
    txn_sees(kv.client, "a", "1");
    txn_sees(kv.client, "c", NULL);
    txn_sees(kv.client, "d", "1");
    txn_sees(kv.client, "e", "1");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- reads over own writes ---- */

static void
expect_page(const tikv_pairs *pairs, const char *const *wanted)
{
    size_t i;

    for (i = 0; wanted[i] != NULL; i += 2) {
        assert_true(i / 2 < tikv_pairs_count(pairs));
        assert_true(
            kv_equal(tikv_pairs_data(pairs)[i / 2].key, kv_text(wanted[i])));
        assert_true(kv_equal(tikv_pairs_data(pairs)[i / 2].value,
                             kv_text(wanted[i + 1])));
    }
    assert_int_equal(tikv_pairs_count(pairs), i / 2);
}

static void
expect_writes(tikv_txn *txn, size_t savepoint, const char *const *wanted)
{
    tikv_pairs *pairs;

    kv_ok(tikv_txn_savepoint_writes(txn, savepoint, &pairs));
    expect_page(pairs, wanted);
    tikv_pairs_free(pairs);
}

static void
savepoint__tells_what_was_written_since(void **state)
{
    static const char *const none[] = { NULL };
    static const char *const two[] = { "b", "2", "c", "1", NULL };
    static const char *const back[] = { "c", "1", "b", "1", NULL };
    tikv_pairs *pairs;
    size_t outer;
    size_t inner;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "0");
    kv_ok(tikv_txn_savepoint(txn, &outer));
    expect_writes(txn, outer, none);
    txn_put(txn, "b", "1");
    txn_put(txn, "c", "1");
    kv_ok(tikv_txn_savepoint(txn, &inner));
    txn_put(txn, "b", "2");
    expect_writes(txn, outer, two);
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    kv_ok(tikv_txn_savepoint_writes(txn, inner, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 2);
    assert_true(kv_equal(tikv_pairs_data(pairs)[0].key, kv_text("a")));
    assert_null(tikv_pairs_data(pairs)[0].value.data);
    kv_ok(tikv_txn_savepoint_rollback(txn, inner));
    /* They are ours, whatever becomes of the transaction. */
    assert_true(kv_equal(tikv_pairs_data(pairs)[1].value, kv_text("2")));
    tikv_pairs_free(pairs);
    expect_writes(txn, outer, back);
    kv_fails(tikv_txn_savepoint_writes(txn, inner, &pairs), TIKV_ERR_STATE);
    assert_null(pairs);
    kv_fails(tikv_txn_savepoint_writes(txn, 0, &pairs), TIKV_ERR_STATE);
    kv_fails(tikv_txn_savepoint_writes(txn, outer, NULL), TIKV_ERR_ARGUMENT);
    kv_ok(tikv_txn_rollback(txn, NULL));
    kv_fails(tikv_txn_savepoint_writes(txn, outer, &pairs), TIKV_ERR_STATE);
    tikv_txn_free(txn);
    kv_close(&kv);
}

static tikv_txn *
mixed(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    txn_put(txn, "a", "a0");
    txn_put(txn, "c", "c0");
    txn_put(txn, "e", "e0");
    txn_put(txn, "g", "g0");
    txn_commit(txn);
    txn = txn_begin(kv->client);
    txn_put(txn, "b", "b1");
    txn_put(txn, "c", "c1");
    kv_ok(tikv_txn_delete(txn, kv_text("e")));
    txn_put(txn, "h", "h1");
    return txn;
}

static void
txn__batch_get_is_the_union(void **state)
{
    const tikv_slice keys[] = { kv_text("a"), kv_text("b"), kv_text("c"),
                                kv_text("d"), kv_text("e"), kv_text("a") };
    const tikv_slice own[] = { kv_text("b"), kv_text("c"), kv_text("e") };
    static const char *const wanted[] = { "a0", "b1", "c1", NULL, NULL, "a0" };
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_value *value;
    tikv_pairs *pairs;
    tikv_txn *txn;
    struct kv kv;
    uint64_t calls;
    size_t i;

    (void)state;
    kv_open(&kv, &usual);
    txn = mixed(&kv);
    kv_ok(tikv_txn_batch_get(txn, keys, 6, NULL, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 6);
    for (i = 0; i < 6; i++) {
        const tikv_pair *pair = &tikv_pairs_data(pairs)[i];

        assert_true(kv_equal(pair->key, keys[i]));
        assert_true(kv_equal(
            pair->value, wanted[i] == NULL ? KV_ABSENT : kv_text(wanted[i])));
    }
    tikv_pairs_free(pairs);
    /* Nobody is asked for what the transaction wrote itself. */
    calls = tikv_cluster_calls(kv.cluster, "tikv.KvBatchGet") +
            tikv_cluster_calls(kv.cluster, "tikv.KvGet");
    kv_ok(tikv_txn_batch_get(txn, own, 3, NULL, &pairs));
    assert_true(kv_equal(tikv_pairs_data(pairs)[1].value, kv_text("c1")));
    assert_null(tikv_pairs_data(pairs)[2].value.data);
    tikv_pairs_free(pairs);
    txn_expect(txn, "b", "b1");
    txn_expect(txn, "e", NULL);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.KvBatchGet") +
                         tikv_cluster_calls(kv.cluster, "tikv.KvGet"),
                     calls);
    /* When others committed; own writes are not committed yet. */
    options.flags = TIKV_READ_COMMIT_TS;
    kv_ok(tikv_txn_batch_get(txn, keys, 3, &options, &pairs));
    assert_true(tikv_pairs_commit_ts(pairs, 0) != 0);
    assert_true(tikv_pairs_commit_ts(pairs, 0) <= tikv_txn_start_ts(txn));
    assert_int_equal(tikv_pairs_commit_ts(pairs, 1), 0);
    assert_int_equal(tikv_pairs_commit_ts(pairs, 2), 0);
    tikv_pairs_free(pairs);
    kv_ok(tikv_txn_get(txn, keys[0], &options, &value));
    assert_true(tikv_value_commit_ts(value) != 0);
    tikv_value_free(value);
    kv_ok(tikv_txn_batch_get(txn, NULL, 0, NULL, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 0);
    tikv_pairs_free(pairs);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
txn__scans_the_union_page_by_page(void **state)
{
    static const char *const all[] = { "a", "a0", "b", "b1", "c", "c1",
                                       "g", "g0", "h", "h1", NULL };
    static const char *const back[] = { "h", "h1", "g", "g0", "c", "c1",
                                        "b", "b1", "a", "a0", NULL };
    uint32_t size;
    int reverse;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = mixed(&kv);
    for (reverse = 0; reverse < 2; reverse++) {
        const char *const *wanted = reverse ? back : all;

        for (size = 1; size <= 6; size++) {
            tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
            tikv_range range = kv_range("a", "z");
            tikv_pairs *page = NULL;
            size_t at = 0;
            bool goes_on = true;

            options.page_count = size;
            options.flags = reverse ? TIKV_SCAN_REVERSE : 0;
            while (goes_on) {
                const char *part[13] = { NULL };
                tikv_pairs *next;
                size_t i;

                kv_ok(tikv_txn_scan(txn, range, &options, &next));
                tikv_pairs_free(page);
                page = next;
                for (i = 0; i < 2 * tikv_pairs_count(page); i++) {
                    assert_non_null(wanted[at]);
                    part[i] = wanted[at++];
                }
                expect_page(page, part);
                goes_on = tikv_pairs_next(page, &range);
                assert_true(!goes_on || tikv_pairs_count(page) == size);
            }
            assert_null(wanted[at]);
            tikv_pairs_free(page);
        }
    }
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* The largest page there is, over keys that are all deleted here. */
static void
txn__scans_the_largest_page_over_a_delete(void **state)
{
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_pairs *pairs;
    tikv_range rest;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn_set(kv.client, "a", "1");
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_delete(txn, kv_text("a")));
    options.page_count = TIKV_SCAN_PAGE_MAX;
    kv_ok(tikv_txn_scan(txn, kv_range("", ""), &options, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), 0);
    assert_false(tikv_pairs_next(pairs, &rest));
    tikv_pairs_free(pairs);
    options.page_count = UINT32_MAX;
    kv_fails(tikv_txn_scan(txn, kv_range("", ""), &options, &pairs),
             TIKV_ERR_ARGUMENT);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- assertions and hooks ---- */

static void
txn__fails_when_an_assertion_is_wrong(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_error *error;
    tikv_txn *txn;
    struct kv kv;
    int i;

    (void)state;
    kv_open(&kv, &usual);
    txn_set(kv.client, "there", "1");
    options.assertions = TIKV_ASSERTIONS_STRICT;
    for (i = 0; i < 4; i++) {
        const char *key = i % 2 == 0 ? "there" : "gone";
        bool is_right = i < 2;
        tikv_assertion claim =
            (i % 2 == 0) == is_right ? TIKV_ASSERT_EXIST : TIKV_ASSERT_ABSENT;

        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, key, "2");
        kv_ok(tikv_txn_assert(txn, kv_text(key), claim));
        if (is_right) {
            txn_commit(txn);
            txn = txn_begin(kv.client);
            kv_ok(tikv_txn_delete(txn, kv_text("gone")));
            txn_commit(txn);
            continue;
        }
        error = tikv_txn_commit(txn, NULL, NULL);
        assert_true(kv_equal(tikv_error_key(error), kv_text(key)));
        assert_int_equal(tikv_error_u64(error, TIKV_ERROR_START_TS),
                         tikv_txn_start_ts(txn));
        kv_fails(error, TIKV_ERR_ASSERTION);
        tikv_txn_free(txn);
    }
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* An optimistic prewrite has looked at the key anyway, so that the fast level
 * finds what the strict one finds; without a level nobody minds. */
static void
assertions__count_as_far_as_the_level_says(void **state)
{
    static const uint32_t levels[] = { TIKV_ASSERTIONS_OFF,
                                       TIKV_ASSERTIONS_FAST,
                                       TIKV_ASSERTIONS_STRICT };
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &usual);
    txn_set(kv.client, "there", "1");
    for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        tikv_error *error;
        tikv_txn *txn;

        options.assertions = levels[i];
        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, "a", "1");
        txn_put(txn, "there", "2");
        kv_ok(tikv_txn_assert(txn, kv_text("there"), TIKV_ASSERT_ABSENT));
        error = tikv_txn_commit(txn, NULL, NULL);
        if (levels[i] == TIKV_ASSERTIONS_OFF) {
            kv_ok(error);
        } else {
            kv_fails(error, TIKV_ERR_ASSERTION);
        }
        tikv_txn_free(txn);
    }
    txn_sees(kv.client, "there", "2");
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

struct watch {
    _Atomic int begins;
    _Atomic int ends;
    tikv_txn_summary summary;
    tikv_code code;
};

static void
on_background(bool begins, void *arg)
{
    struct watch *watch = arg;

    atomic_fetch_add(begins ? &watch->begins : &watch->ends, 1);
}

static void
on_end(const tikv_txn_summary *summary, void *arg)
{
    struct watch *watch = arg;

    watch->summary = *summary;
    watch->code = tikv_error_code(summary->error);
    watch->summary.error = NULL;
}

static void
txn__tells_of_its_end_and_of_what_goes_on_behind(void **state)
{
    static const char *const modes[][5] = { { TXN_2PC, NULL },
                                            { TXN_ASYNC, NULL } };
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    int mode;

    (void)state;
    for (mode = 0; mode < 2; mode++) {
        const struct kv_plan plan = { .stores = 1, .settings = modes[mode] };
        struct watch watch = { .begins = 0 };
        tikv_txn *loser;
        tikv_txn *txn;
        struct kv kv;

        kv_open(&kv, &plan);
        txn_split(&kv, "b");
        options.on_background = on_background;
        options.on_end = on_end;
        options.arg = &watch;
        loser = txn_begin_with(kv.client, &options);
        txn = txn_begin_with(kv.client, &options);
        txn_put(txn, "a", "1");
        txn_put(txn, "b", "1");
        txn_commit(txn);
        assert_int_equal(atomic_load(&watch.begins), 1);
        assert_int_equal(watch.summary.mode,
                         mode == 0 ? TIKV_MODE_2PC : TIKV_MODE_ASYNC);
        assert_int_equal(watch.summary.keys_count, 2);
        assert_int_equal(watch.summary.regions_count, 2);
        assert_int_equal(watch.code, TIKV_OK);
        /* A failure with a lock behind it tells of its cleaning up. */
        txn_put(loser, "a", "2");
        txn_put(loser, "c", "2");
        kv_fails(tikv_txn_commit(loser, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
        assert_int_equal(atomic_load(&watch.begins), 2);
        assert_int_equal(watch.code, TIKV_ERR_WRITE_CONFLICT);
        tikv_txn_free(loser);
        txn_settle(&kv);
        assert_int_equal(atomic_load(&watch.ends), 2);
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(txn__takes_nothing_once_it_ended),
        harness_test(txn__refuses_wrong_arguments),
        harness_test(txn__keeps_to_its_limits),
        harness_test(savepoint__takes_back_what_came_after_it),
        harness_test(savepoint__tells_what_was_written_since),
        harness_test(txn__batch_get_is_the_union),
        harness_test(txn__scans_the_union_page_by_page),
        harness_test(txn__scans_the_largest_page_over_a_delete),
        harness_test(txn__fails_when_an_assertion_is_wrong),
        harness_test(assertions__count_as_far_as_the_level_says),
        harness_test(txn__tells_of_its_end_and_of_what_goes_on_behind),
    };

    return harness_run(tests);
}
