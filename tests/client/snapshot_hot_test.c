/* SPDX-License-Identifier: Apache-2.0 */
/* The short road of snapshots: what it reads is what the long one reads, and
 * it needs neither a worker nor memory. timeout: 120 */
#include "client/txn_words.h"

#include "api/client.h"
#include "base/alloc.h"
#include "exec/future.h"
#include "fixture/data.h"

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

static tikv_snapshot *
open_with(const struct kv *kv, const tikv_snapshot_options *options)
{
    tikv_snapshot *snapshot;

    kv_ok(tikv_snapshot_open(kv->client, options, &snapshot));
    return snapshot;
}

/* What a read came to. */
struct result {
    tikv_code code;
    bool is_found;
    size_t len;
    uint8_t first;
    uint64_t commit_ts;
};

static struct result
result_of(tikv_error *error, tikv_value *value)
{
    tikv_slice bytes = tikv_value_slice(value);
    struct result result = { .code = tikv_error_code(error),
                             .is_found = bytes.data != NULL,
                             .len = bytes.len,
                             .first = bytes.len == 0 ? 0 : bytes.data[0],
                             .commit_ts = tikv_value_commit_ts(value) };

    tikv_error_free(error);
    tikv_value_free(value);
    return result;
}

static struct result
read_long(tikv_snapshot *snapshot, const char *key,
          const tikv_read_options *options)
{
    tikv_value *value = NULL;
    tikv_error *error =
        tikv_snapshot_get(snapshot, kv_text(key), options, &value);

    return result_of(error, value);
}

static struct result
read_short(tikv_snapshot *snapshot, const char *key,
           const tikv_read_options *options)
{
    tikv_future *future =
        tikv_snapshot_get_async(snapshot, kv_text(key), options);
    tikv_value *value = NULL;
    tikv_error *error;

    assert_true(tikv_future_wait(future, 20000));
    error = tikv_future_take_value(future, &value);
    tikv_future_free(future);
    return result_of(error, value);
}

static const char *const keys[] = { "plain",     "large", "nowhere",
                                    "committed", "dead",  "alive" };

/* A value, a large one, none; locks of transactions that are committed, over
 * and on their way. */
static void
fill(const struct kv *kv)
{
    struct data_write write = { .value = "new", .txn_size = 2 };
    static char large[5000];

    memset(large, 'x', sizeof(large) - 1);
    txn_set(kv->client, "plain", "1");
    txn_set(kv->client, "large", large);
    write.keys = DATA_KEYS("p1", "committed");
    write.start_ts = data_ts(router_of(kv));
    data_prewrite(router_of(kv), &write);
    data_commit(router_of(kv), write.start_ts, data_ts(router_of(kv)),
                DATA_KEYS("p1"));
    write.keys = DATA_KEYS("p2", "dead");
    write.ttl_ms = 1;
    write.start_ts = data_ts(router_of(kv));
    data_prewrite(router_of(kv), &write);
    write.keys = DATA_KEYS("p3", "alive");
    write.ttl_ms = 60000;
    write.start_ts = data_ts(router_of(kv));
    data_prewrite(router_of(kv), &write);
}

/* Every key by both roads, on two snapshots of one version, so that neither
 * learns from the other; twice, so that both read what they know. */
static void
compare(const struct kv *kv, const tikv_snapshot_options *options,
        const tikv_read_options *read)
{
    tikv_snapshot *slow = open_with(kv, options);
    tikv_snapshot_options same = *options;
    tikv_snapshot *fast;
    size_t i;

    same.version = tikv_snapshot_version(slow);
    fast = open_with(kv, &same);
    for (i = 0; i < 2 * sizeof(keys) / sizeof(keys[0]); i++) {
        const char *key = keys[i % (sizeof(keys) / sizeof(keys[0]))];
        struct result a = read_short(fast, key, read);
        struct result b = read_long(slow, key, read);

        assert_int_equal(a.code, b.code);
        assert_int_equal(a.is_found, b.is_found);
        assert_int_equal(a.len, b.len);
        assert_int_equal(a.first, b.first);
        assert_int_equal(a.commit_ts, b.commit_ts);
    }
    assert_int_equal(tikv_snapshot_u64(fast, TIKV_SNAPSHOT_CACHE_HITS),
                     tikv_snapshot_u64(slow, TIKV_SNAPSHOT_CACHE_HITS));
    assert_int_equal(tikv_snapshot_u64(fast, TIKV_SNAPSHOT_PROCESSED_VERSIONS),
                     tikv_snapshot_u64(slow, TIKV_SNAPSHOT_PROCESSED_VERSIONS));
    tikv_snapshot_free(slow);
    tikv_snapshot_free(fast);
}

static void
hot__reads_what_the_long_road_reads(void **state)
{
    static const char *const faults[] = {
        NULL,
        "on=tikv.KvGet when=every(2) do=region_error(not_leader)",
        "on=tikv.KvGet when=every(2) do=region_error(epoch_not_match)",
        "on=tikv.KvGet when=every(2) do=status(UNAVAILABLE)",
        "on=tikv.KvGet do=key_error(abort)",
    };
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        int way;

        for (way = 0; way < 8; way++) {
            struct kv kv;

            kv_open_plain(&kv);
            fill(&kv);
            if (faults[i] != NULL) {
                kv_fault(&kv, faults[i]);
            }
            read.flags = (way & 1) != 0 ? TIKV_READ_COMMIT_TS : 0;
            read.call.request_source = (way & 2) != 0 ? "somebody" : NULL;
            options.isolation = (way & 4) != 0 ? TIKV_ISOLATION_READ_COMMITTED
                                               : TIKV_ISOLATION_SNAPSHOT;
            options.fill_cache = (way & 4) != 0 ? TIKV_OFF : TIKV_DEFAULT;
            compare(&kv, &options, &read);
            kv_close(&kv);
        }
    }
}

static void
hot__of_the_newest_and_of_no_timestamp(void **state)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    options.version = TIKV_VERSION_NEWEST;
    snapshot = open_with(&kv, &options);
    assert_int_equal(read_short(snapshot, "plain", NULL).first, '1');
    assert_int_equal(read_short(snapshot, "alive", NULL).is_found, false);
    txn_set(kv.client, "plain", "2");
    assert_int_equal(read_short(snapshot, "plain", NULL).first, '2');
    tikv_snapshot_free(snapshot);
    /* A version of the future is found out. */
    options.version = UINT64_C(9000000000000000000);
    snapshot = open_with(&kv, &options);
    assert_int_equal(read_short(snapshot, "plain", NULL).code,
                     TIKV_ERR_ARGUMENT);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* Who wants an account gets the same by both roads. */
static void
hot__tells_where_the_time_went(void **state)
{
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_with(&kv, NULL);
    kv_ok(tikv_details_new(&read.details));
    assert_int_equal(read_short(snapshot, "nowhere", &read).code, TIKV_OK);
    assert_int_equal(read_short(snapshot, "plain", &read).code, TIKV_OK);
    assert_int_equal(read_short(snapshot, "plain", &read).code, TIKV_OK);
    assert_int_equal(tikv_details_u64(read.details, TIKV_DETAILS_CALLS), 3);
    assert_int_equal(tikv_details_u64(read.details, TIKV_DETAILS_REQUESTS), 2);
    tikv_details_free(read.details);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* What was read, or is known from before, below a safe point that moved. */
static void
hot__reads_nothing_below_the_safe_point(void **state)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    fill(&kv);
    snapshot = open_with(&kv, &options);
    assert_int_equal(read_short(snapshot, "plain", NULL).code, TIKV_OK);
    tk_safe_point_learn(&kv.client->txns->safe_point, data_ts(router_of(&kv)));
    assert_int_equal(read_short(snapshot, "plain", NULL).code,
                     TIKV_ERR_TOO_OLD);
    assert_int_equal(read_short(snapshot, "large", NULL).code,
                     TIKV_ERR_TOO_OLD);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* The only worker is busy with a batch that is held up. */
static void
hot__needs_no_worker(void **state)
{
    static const char *const settings[] = { "pool.threads_count", "1", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    const tikv_slice both[2] = { kv_text("plain"), kv_text("large") };
    tikv_snapshot *snapshot;
    tikv_future *batch;
    tikv_pairs *pairs;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    fill(&kv);
    snapshot = open_with(&kv, NULL);
    /* The region and the safe point are known. */
    assert_int_equal(read_long(snapshot, "nowhere", NULL).code, TIKV_OK);
    kv_fault(&kv, "on=tikv.KvBatchGet when=nth(1) do=barrier(b)");
    batch = tikv_snapshot_batch_get_async(snapshot, both, 2, NULL);
    assert_true(tikv_cluster_barrier_wait(kv.cluster, "b", 1, 20000));
    assert_int_equal(read_short(snapshot, "plain", NULL).first, '1');
    assert_int_equal(read_short(snapshot, "nowhere", NULL).is_found, false);
    assert_false(tikv_future_ready(batch));
    kv_ok(tikv_cluster_barrier_release(kv.cluster, "b", NULL, NULL));
    assert_true(tikv_future_wait(batch, 20000));
    kv_ok(tikv_future_take_pairs(batch, &pairs));
    tikv_pairs_free(pairs);
    tikv_future_free(batch);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

enum { WINDOW = 64, WARM_ROUNDS = 50, ROUNDS = 50 };

static void
get_round(tikv_snapshot *snapshot, const char *key, size_t len)
{
    tikv_future *futures[WINDOW];
    size_t i;

    for (i = 0; i < WINDOW; i++) {
        futures[i] = tikv_snapshot_get_async(snapshot, kv_text(key), NULL);
    }
    for (i = 0; i < WINDOW; i++) {
        tikv_value *value = NULL;

        assert_true(tikv_future_wait(futures[i], TIKV_FOREVER));
        kv_ok(tikv_future_take_value(futures[i], &value));
        assert_int_equal(tikv_value_slice(value).len, len);
        tikv_value_free(value);
        tikv_future_free(futures[i]);
    }
}

static void
hot__callers_need_no_memory_at_steady_state(void **state)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *forgets;
    tikv_snapshot *remembers;
    uint64_t made = 0;
    struct kv kv;
    unsigned i;

    (void)state;
    tk_future_blocks_max(256);
    kv_open_plain(&kv);
    fill(&kv);
    remembers = open_with(&kv, NULL);
    options.remember = TIKV_OFF;
    forgets = open_with(&kv, &options);
    for (i = 0; i < WARM_ROUNDS + ROUNDS; i++) {
        if (i == WARM_ROUNDS) {
            made = tk_alloc_made_here();
        }
        get_round(forgets, "plain", 1);
        get_round(forgets, "large", 4999);
        get_round(remembers, "plain", 1);
    }
    assert_true(tk_alloc_made_here() - made < 8);
    assert_int_equal(tikv_snapshot_u64(forgets, TIKV_SNAPSHOT_GETS),
                     2 * WINDOW * (WARM_ROUNDS + ROUNDS));
    assert_in_range(tikv_snapshot_u64(remembers, TIKV_SNAPSHOT_GETS), 1,
                    WINDOW);
    tikv_snapshot_free(forgets);
    tikv_snapshot_free(remembers);
    kv_close(&kv);
    tk_future_blocks_max(0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(hot__reads_what_the_long_road_reads),
        harness_test(hot__of_the_newest_and_of_no_timestamp),
        harness_test(hot__tells_where_the_time_went),
        harness_test(hot__reads_nothing_below_the_safe_point),
        harness_test(hot__needs_no_worker),
        harness_test(hot__callers_need_no_memory_at_steady_state),
    };

    return harness_run(tests);
}
