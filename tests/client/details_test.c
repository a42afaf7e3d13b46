/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of calls went, through the public functions: delays that the
 * cluster is told to make appear in the part they belong to, and the parts
 * add up. What has to be exact is tested in the simulation
 * (unit/region/details_test.c).
 */
#include "fixture/kv.h"

#include "base/alloc.h"

#define MS UINT64_C(1000000)

static tikv_details *
details_new(void)
{
    tikv_details *details = NULL;

    kv_ok(tikv_details_new(&details));
    return details;
}

static uint64_t
sum(const tikv_details *details)
{
    uint64_t total = 0;
    tikv_details_field i;

    for (i = TIKV_DETAILS_QUEUE_NS; i <= TIKV_DETAILS_OWN_NS; i++) {
        total += tikv_details_u64(details, i);
    }
    return total;
}

/* The parts are the total, and that part is at least so long, and most. */
static void
expect_mostly(const tikv_details *details, tikv_details_field field,
              uint64_t ms)
{
    uint64_t total = tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS);

    assert_int_equal(sum(details), total);
    assert_true(tikv_details_u64(details, field) >= ms * MS);
    assert_true(tikv_details_u64(details, field) * 2 > total);
}

static void
fault(struct kv *kv, const char *rule)
{
    kv_ok(tikv_cluster_fault(kv->cluster, rule, NULL));
}

static void
details__tell_raw_calls_apart(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_details *details = details_new();
    tikv_value *value = NULL;
    tikv_future *future;
    uint64_t received;
    uint64_t sent;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    options.details = details;
    fault(&kv, "on=tikv.RawGet do=delay(50)");
    kv_ok(tikv_raw_get(kv.client, kv_text("k"), &options, &value));
    tikv_value_free(value);
    expect_mostly(details, TIKV_DETAILS_WIRE_NS, 50);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_REQUESTS), 1);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_CALLS), 1);
    sent = tikv_details_u64(details, TIKV_DETAILS_SENT_BYTES);
    received = tikv_details_u64(details, TIKV_DETAILS_RECEIVED_BYTES);
    assert_in_range(sent, 10, 200);
    assert_in_range(received, 1, 200);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_FAR_SENT_BYTES),
                     0);
    tikv_details_clear(details);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS), 0);
    /* The short road. */
    future = tikv_raw_get_async(kv.client, kv_text("k"), &options);
    assert_true(tikv_future_wait(future, 10000));
    expect_mostly(details, TIKV_DETAILS_WIRE_NS, 50);
    assert_in_range(tikv_details_u64(details, TIKV_DETAILS_SENT_BYTES),
                    sent - 10, sent + 10);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_RECEIVED_BYTES),
                     received);
    tikv_future_free(future);
    tikv_details_free(details);
    kv_close(&kv);
}

/* A batch's requests are under way together: the wait is told once. */
static void
details__tell_the_wait_of_many_requests_once(void **state)
{
    static const char *const at[] = { "b", "c", "d", NULL };
    const tikv_slice keys[] = { kv_text("a"), kv_text("b"), kv_text("c"),
                                kv_text("d") };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_details *details = details_new();
    tikv_pairs *pairs = NULL;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, at);
    kv_expect(kv.client, "a", NULL);
    options.details = details;
    fault(&kv, "on=tikv.RawBatchGet do=delay(50)");
    kv_ok(tikv_raw_batch_get(kv.client, keys, 4, &options, &pairs));
    tikv_pairs_free(pairs);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_REQUESTS), 4);
    assert_int_equal(sum(details),
                     tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS));
    assert_true(tikv_details_u64(details, TIKV_DETAILS_WIRE_NS) >= 50 * MS);
    assert_true(tikv_details_u64(details, TIKV_DETAILS_WIRE_NS) < 200 * MS);
    tikv_details_free(details);
    kv_close(&kv);
}

/* Begin, read and commit into one account. */
static void
details__add_up_over_a_transaction(void **state)
{
    tikv_txn_options begin = TIKV_TXN_OPTIONS_INIT;
    tikv_read_options read = TIKV_READ_OPTIONS_INIT;
    tikv_call_options end = TIKV_CALL_OPTIONS_INIT;
    tikv_details *details = details_new();
    tikv_value *value = NULL;
    tikv_txn *txn = NULL;
    uint64_t server;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    begin.details = read.details = end.details = details;
    fault(&kv, "on=pd.Tso do=delay(60)");
    fault(&kv, "on=tikv.KvGet do=delay(40)");
    fault(&kv, "on=tikv.KvPrewrite do=delay(50)");
    kv_ok(tikv_txn_begin(kv.client, &begin, &txn));
    expect_mostly(details, TIKV_DETAILS_PD_NS, 50);
    tikv_details_clear(details);
    kv_ok(tikv_txn_get(txn, kv_text("k"), &read, &value));
    expect_mostly(details, TIKV_DETAILS_SERVER_NS, 35);
    server = tikv_details_u64(details, TIKV_DETAILS_SERVER_NS);
    kv_ok(tikv_txn_put(txn, kv_text("k"), kv_text("v")));
    kv_ok(tikv_txn_commit(txn, &end.call, NULL));
    assert_true(tikv_details_u64(details, TIKV_DETAILS_SERVER_NS) >=
                server + 45 * MS);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_CALLS), 2);
    assert_int_equal(sum(details),
                     tikv_details_u64(details, TIKV_DETAILS_TOTAL_NS));
    tikv_txn_free(txn);
    tikv_details_free(details);
    kv_close(&kv);
}

static void
details__are_in_every_error(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    const tikv_details *details;
    const char *kind = NULL;
    tikv_value *value = NULL;
    uint64_t ns = 0;
    tikv_error *error;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    fault(&kv, "on=tikv.RawGet do=region_error(server_is_busy)");
    options.call.timeout_ms = 300;
    error = tikv_raw_get(kv.client, kv_text("k"), &options, &value);
    assert_non_null(error);
    details = tikv_error_details(error);
    assert_non_null(details);
    expect_mostly(details, TIKV_DETAILS_BACKOFF_NS, 100);
    assert_true(tikv_details_backoff(details, 0, &kind, &ns));
    assert_string_equal(kind, "tikvServerBusy");
    assert_true(ns >= 100 * MS);
    assert_false(tikv_details_backoff(details, 1, NULL, NULL));
    tikv_error_free(error);
    assert_null(tikv_error_details(NULL));
    assert_int_equal(tikv_details_u64(NULL, TIKV_DETAILS_TOTAL_NS), 0);
    kv_close(&kv);
}

static void
details__cost_no_memory(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_details *details = details_new();
    uint64_t made = 0;
    struct kv kv;
    int i;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k", "v");
    for (i = 0; i < 200; i++) {
        tikv_future *future;

        if (i == 100) {
            options.details = details;
            made = tk_alloc_made_here();
        }
        future = tikv_raw_put_async(kv.client, kv_text("k"), kv_text("v"),
                                    &options);
        assert_true(tikv_future_wait(future, 10000));
        kv_ok(tikv_future_take_done(future));
        tikv_future_free(future);
    }
    /* Debug builds keep no blocks: one for each future. */
    assert_true(tk_alloc_made_here() - made <= 104);
    assert_int_equal(tikv_details_u64(details, TIKV_DETAILS_CALLS), 100);
    tikv_details_free(details);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(details__tell_raw_calls_apart),
        harness_test(details__tell_the_wait_of_many_requests_once),
        harness_test(details__add_up_over_a_transaction),
        harness_test(details__are_in_every_error),
        harness_test(details__cost_no_memory),
    };

    return harness_run(tests);
}
