/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program may have a say in: which writes are needless, a log of its
 * own beside the commit, options that change on the way, memory.
 * timeout: 120
 */
#include "client/txn_words.h"

#include <stdatomic.h>

static const struct kv_plan usual = { .stores = 1 };

/* ---- needless writes ---- */

struct filter {
    unsigned asked;
    unsigned flags;
    bool refuses;
};

/* Values of "=" change nothing, nor do deletes of "same...". */
static tikv_error *
drop_same(tikv_slice key, tikv_slice value, uint32_t flags, bool *is_needless,
          void *arg)
{
    struct filter *filter = arg;

    assert_false(*is_needless);
    filter->asked++;
    filter->flags |= flags;
    if (filter->refuses) {
        return tikv_error_new(TIKV_ERR_USER, "no");
    }
    *is_needless =
        value.data == NULL ? key.len >= 4 : kv_equal(value, kv_text("="));
    return NULL;
}

static void
filter__leaves_needless_writes_out(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    const tikv_slice locked = kv_text("locked");
    struct filter filter = { 0 };
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn_set(kv.client, "same", "old");
    txn_set(kv.client, "gone", "old");
    options.filter = drop_same;
    options.arg = &filter;
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "a", "=");
    txn_put(txn, "b", "new");
    kv_ok(tikv_txn_delete(txn, kv_text("same")));
    kv_ok(tikv_txn_delete(txn, kv_text("c")));
    txn_put(txn, "locked", "=");
    kv_ok(tikv_txn_lock(txn, &locked, 1, NULL));
    kv_ok(tikv_txn_insert(txn, kv_text("d"), kv_text("new")));
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    /* The first key that is left is the primary. */
    assert_true(kv_equal(tikv_txn_primary(txn), kv_text("b")));
    tikv_txn_free(txn);
    assert_int_equal(filter.asked, 6);
    assert_int_equal(filter.flags, TIKV_WRITE_INSERT | TIKV_WRITE_LOCKED);
    txn_sees(kv.client, "a", NULL);
    txn_sees(kv.client, "b", "new");
    txn_sees(kv.client, "d", "new");
    txn_sees(kv.client, "same", "old");
    txn_sees(kv.client, "locked", NULL);
    /* Nothing is left: nothing is committed. */
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "a", "=");
    assert_int_equal(txn_commit(txn), 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* A locked key keeps its lock, whatever becomes of its value. */
static void
filter__keeps_locks(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    const tikv_slice key = kv_text("k");
    struct filter filter = { 0 };
    tikv_txn *rival;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    options.filter = drop_same;
    options.arg = &filter;
    rival = txn_begin(kv.client);
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "k", "=");
    kv_ok(tikv_txn_lock(txn, &key, 1, NULL));
    txn_commit(txn);
    txn_put(rival, "k", "1");
    kv_fails(tikv_txn_commit(rival, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
    tikv_txn_free(rival);
    filter.refuses = true;
    txn = txn_begin_with(kv.client, &options);
    txn_put(txn, "k", "2");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_USER);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- a log beside the commit ---- */

struct journal {
    struct kv *kv;
    uint64_t start_ts;
    uint64_t commit_ts;
    bool skips;
    bool fails;
    bool names_primary;
    int written;
    int ended;
    tikv_outcome outcome;
};

static tikv_error *
write_journal(uint64_t start_ts, tikv_slice primary, bool *is_skipped,
              void *arg)
{
    struct journal *journal = arg;

    journal->names_primary = kv_equal(primary, kv_text("a"));
    journal->start_ts = start_ts;
    journal->written++;
    *is_skipped = journal->skips;
    return journal->fails ? tikv_error_new(TIKV_ERR_USER, "disk") : NULL;
}

static void
end_journal(uint64_t start_ts, tikv_outcome outcome, uint64_t commit_ts,
            void *arg)
{
    struct journal *journal = arg;

    assert_int_equal(start_ts, journal->start_ts);
    journal->ended++;
    journal->outcome = outcome;
    journal->commit_ts = commit_ts;
}

static tikv_txn *
journalled(struct kv *kv, struct journal *journal)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *txn;

    *journal = (struct journal){ .kv = kv, .outcome = -1 };
    options.log = write_journal;
    options.logged = end_journal;
    options.arg = journal;
    txn = txn_begin_with(kv->client, &options);
    txn_put(txn, "a", "1");
    txn_put(txn, "b", "1");
    return txn;
}

static void
log__is_written_beside_the_commit_and_told_its_end(void **state)
{
    struct journal journal;
    uint64_t commit_ts;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn_split(&kv, "b");
    txn = journalled(&kv, &journal);
    commit_ts = txn_commit(txn);
    assert_int_equal(journal.written, 1);
    assert_int_equal(journal.ended, 1);
    assert_int_equal(journal.outcome, TIKV_OUTCOME_COMMITTED);
    assert_int_equal(journal.commit_ts, commit_ts);
    assert_true(journal.names_primary);
    /* A conflict: told that it did not come to pass. */
    txn = journalled(&kv, &journal);
    txn_set(kv.client, "b", "2");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
    tikv_txn_free(txn);
    assert_int_equal(journal.written, journal.ended);
    assert_true(journal.ended == 0 ||
                journal.outcome == TIKV_OUTCOME_ROLLED_BACK);
    /* Nothing to log. */
    txn = journalled(&kv, &journal);
    journal.skips = true;
    txn_commit(txn);
    assert_int_equal(journal.written, 1);
    assert_int_equal(journal.ended, 0);
    /* No log, no commit. */
    txn = journalled(&kv, &journal);
    journal.fails = true;
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_USER);
    tikv_txn_free(txn);
    assert_int_equal(journal.written, 1);
    assert_int_equal(journal.ended, 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

static void
log__learns_that_nobody_knows(void **state)
{
    static const char *const quick[] = { "rpc.attempt_timeout_ms", "60",
                                         "call.timeout_ms", "400", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = quick };
    struct journal journal;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    txn = journalled(&kv, &journal);
    kv_fault(&kv, "on=tikv.KvCommit do=drop_response");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_UNDETERMINED);
    tikv_txn_free(txn);
    assert_int_equal(journal.ended, 1);
    assert_int_equal(journal.outcome, TIKV_OUTCOME_UNKNOWN);
    tikv_cluster_fault_remove(kv.cluster, 0);
    kv_close(&kv);
}

/* More commits than workers, each of which waits for its log. */
static void
log__never_waits_for_a_busy_worker(void **state)
{
    enum { COMMITS = 8 };
    static const char *const one_worker[] = { "pool.threads_count", "1", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = one_worker };
    struct journal journals[COMMITS];
    tikv_future *futures[COMMITS];
    struct kv kv;
    int i;

    (void)state;
    kv_open(&kv, &plan);
    for (i = 0; i < COMMITS; i++) {
        tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
        char name[16];
        tikv_txn *txn;

        journals[i] = (struct journal){ .kv = &kv };
        options.log = write_journal;
        options.logged = end_journal;
        options.arg = &journals[i];
        txn = txn_begin_with(kv.client, &options);
        snprintf(name, sizeof(name), "b%d", i);
        txn_put(txn, name, "1");
        futures[i] = tikv_txn_commit_async(txn, NULL);
        tikv_txn_free(txn);
    }
    for (i = 0; i < COMMITS; i++) {
        assert_true(tikv_future_wait(futures[i], 20000));
        kv_ok(tikv_future_take_u64(futures[i], NULL));
        tikv_future_free(futures[i]);
        assert_int_equal(journals[i].written, 1);
        assert_int_equal(journals[i].ended, 1);
    }
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- options on the way ---- */

static void
keep_summary(const tikv_txn_summary *summary, void *arg)
{
    tikv_txn_summary *copy = arg;

    *copy = *summary;
    copy->error = NULL;
}

static void
options__may_change_until_the_end(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn_summary summary = { 0 };
    char source[] = "first";
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open(&kv, &usual);
    txn = txn_begin(kv.client);
    txn_put(txn, "a", "1");
    options.one_phase = TIKV_OFF;
    options.async_commit = TIKV_OFF;
    options.assertions = TIKV_ASSERTIONS_STRICT;
    options.on_end = keep_summary;
    options.arg = &summary;
    options.call.request_source = source;
    kv_ok(tikv_txn_set_options(txn, &options));
    /* The text is the transaction's own from now on. */
    memcpy(source, "other", sizeof(source));
    kv_fault(&kv, "on=tikv.KvPrewrite source=first when=first(1) "
                  "do=region_error(server_is_busy)");
    options.max_bytes = 1;
    kv_fails(tikv_txn_set_options(txn, &options), TIKV_ERR_TOO_LARGE);
    kv_ok(tikv_txn_commit(txn, NULL, NULL));
    assert_int_equal(summary.mode, TIKV_MODE_2PC);
    assert_int_equal(tikv_cluster_seen(kv.cluster, "tikv.KvPrewrite",
                                       "region_error:server_is_busy"),
                     1);
    assert_int_equal(summary.attempts, 3);
    assert_true(summary.backoff_ns > 0);
    assert_true(summary.timestamp_ns > 0);
    kv_fails(tikv_txn_set_options(txn, NULL), TIKV_ERR_STATE);
    tikv_txn_free(txn);
    /* What began with a lower border keeps the higher one. */
    options = (tikv_txn_options)TIKV_TXN_OPTIONS_INIT;
    txn = txn_begin(kv.client);
    options.commit_after_ts =
        tikv_txn_start_ts(txn) + (UINT64_C(3600000) << 18);
    options.commit_after_ms = -1;
    kv_ok(tikv_txn_set_options(txn, &options));
    options.commit_after_ts = 0;
    kv_ok(tikv_txn_set_options(txn, &options));
    txn_put(txn, "a", "2");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_PD);
    tikv_txn_free(txn);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* ---- memory ---- */

static void
keep_memory(uint64_t bytes, void *arg)
{
    *(uint64_t *)arg = bytes;
}

static void
memory__is_told_as_it_grows(void **state)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    uint64_t told = 0;
    size_t savepoint;
    tikv_txn *txn;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &usual);
    options.on_memory = keep_memory;
    options.arg = &told;
    txn = txn_begin_with(kv.client, &options);
    assert_int_equal(tikv_txn_memory(txn), 0);
    assert_true(tikv_txn_is_read_only(txn));
    kv_ok(tikv_txn_savepoint(txn, &savepoint));
    for (i = 0; i < 3000; i++) {
        char name[32];

        kv_ok(tikv_txn_put(txn, kv_number(name, sizeof(name), "k", i),
                           kv_text("value")));
        assert_int_equal(told, tikv_txn_memory(txn));
    }
    assert_true(told > 3000 * 10);
    assert_true(tikv_txn_is_read_only(txn));
    kv_ok(tikv_txn_savepoint_release(txn, savepoint));
    assert_false(tikv_txn_is_read_only(txn));
    kv_ok(tikv_txn_rollback(txn, NULL));
    assert_false(tikv_txn_is_read_only(txn));
    tikv_txn_free(txn);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(filter__leaves_needless_writes_out),
        harness_test(filter__keeps_locks),
        harness_test(log__is_written_beside_the_commit_and_told_its_end),
        harness_test(log__learns_that_nobody_knows),
        harness_test(log__never_waits_for_a_busy_worker),
        harness_test(options__may_change_until_the_end),
        harness_test(memory__is_told_as_it_grows),
    };

    return harness_run(tests);
}
