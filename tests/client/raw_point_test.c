/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on one key, through the public functions: values, column
 * families, compare-and-swap, sizes, leaders and stores that move.
 */
#include "fixture/kv.h"

static const struct kv_plan three = { .stores = 3 };

/* The region of `key` gets its leader on another store. */
static void
move_leader(const struct kv *kv, const char *key)
{
    uint64_t region = tikv_cluster_region_of(kv->cluster, kv_text(key));
    uint64_t leader = tikv_cluster_leader_of(kv->cluster, region);

    kv_ok(tikv_cluster_transfer_leader(kv->cluster, region, leader % 3 + 1));
}

static void
raw__puts_gets_and_deletes(void **state)
{
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_expect(kv.client, "k", NULL);
    kv_put(kv.client, "k", "v");
    kv_expect(kv.client, "k", "v");
    kv_put(kv.client, "k", "");
    kv_expect(kv.client, "k", "");
    kv_ok(tikv_raw_delete(kv.client, kv_text("k"), NULL));
    kv_expect(kv.client, "k", NULL);
    kv_ok(tikv_raw_delete(kv.client, kv_text("k"), NULL));
    kv_close(&kv);
}

static void
raw__takes_edge_keys_and_values(void **state)
{
    static uint8_t big[1 << 20];
    static const char zeros[3] = { 0, 0, 0 };
    const tikv_slice keys[] = { kv_text(""), kv_bytes(zeros, 1),
                                kv_bytes(zeros, 3), kv_text("\xff"),
                                kv_text("\xff\xff\xff") };
    const tikv_slice values[] = { kv_text(""), kv_bytes(zeros, 2), kv_text("a"),
                                  kv_bytes(big, 255),
                                  kv_bytes(big, sizeof(big)) };
    struct kv kv;
    size_t i;
    size_t j;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < sizeof(big); i++) {
        big[i] = (uint8_t)(i * 31 >> 3);
    }
    for (i = 0; i < 5; i++) {
        for (j = 0; j < 5; j++) {
            tikv_future *future;
            tikv_value *value;

            kv_ok(tikv_raw_put(kv.client, keys[i], values[j], NULL));
            kv_ok(tikv_raw_get(kv.client, keys[i], NULL, &value));
            assert_true(kv_equal(tikv_value_slice(value), values[j]));
            tikv_value_free(value);
            future = tikv_raw_get_async(kv.client, keys[i], NULL);
            assert_true(tikv_future_wait(future, 10000));
            kv_ok(tikv_future_take_value(future, &value));
            tikv_future_free(future);
            assert_true(kv_equal(tikv_value_slice(value), values[j]));
            tikv_value_free(value);
        }
        kv_ok(tikv_raw_delete(kv.client, keys[i], NULL));
    }
    kv_close(&kv);
}

static void
raw__finds_its_way_after_a_split(void **state)
{
    static const char *const at[] = { "k2", NULL };
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_put(kv.client, "k1", "v1");
    kv_put(kv.client, "k3", "v3");
    kv_split(&kv, at);
    kv_expect(kv.client, "k1", "v1");
    kv_expect(kv.client, "k3", "v3");
    assert_int_equal(tikv_cluster_regions_count(kv.cluster), 2);
    kv_ok(tikv_cluster_merge(kv.cluster, kv_text("k1")));
    kv_expect(kv.client, "k1", "v1");
    kv_expect(kv.client, "k3", "v3");
    kv_close(&kv);
}

static void
raw__keeps_column_families_apart_by_client(void **state)
{
    static const char *const lock[] = { "raw.column_family", "lock", NULL };
    static const char *const write[] = { "raw.column_family", "write", NULL };
    tikv_client *locks;
    tikv_client *writes;
    struct kv kv;

    (void)state;
    kv_open(&kv, &three);
    locks = kv_client(&kv, lock);
    writes = kv_client(&kv, write);
    kv_put(locks, "k", "in lock");
    kv_put(writes, "k", "in write");
    kv_put(locks, "only", "lock");
    move_leader(&kv, "k");
    kv_expect(locks, "k", "in lock");
    kv_expect(writes, "k", "in write");
    kv_expect(kv.client, "k", NULL);
    kv_expect(writes, "only", NULL);
    kv_ok(tikv_raw_delete(locks, kv_text("k"), NULL));
    kv_expect(locks, "k", NULL);
    kv_expect(writes, "k", "in write");
    tikv_client_close(locks);
    tikv_client_close(writes);
    kv_close(&kv);
}

static void
raw__keeps_column_families_apart_by_call(void **state)
{
    tikv_raw_options lock = TIKV_RAW_OPTIONS_INIT;
    tikv_raw_options write = TIKV_RAW_OPTIONS_INIT;
    tikv_raw_options unknown = TIKV_RAW_OPTIONS_INIT;
    tikv_raw_options standard = TIKV_RAW_OPTIONS_INIT;
    struct kv kv;

    (void)state;
    kv_open(&kv, &three);
    lock.column_family = "lock";
    write.column_family = "write";
    standard.column_family = "default";
    unknown.column_family = "cf1";
    kv_ok(tikv_raw_put(kv.client, kv_text("k"), kv_text("1"), &lock));
    kv_expect_in(kv.client, "k", NULL, &write);
    kv_ok(tikv_raw_put(kv.client, kv_text("k"), kv_text("2"), &write));
    move_leader(&kv, "k");
    kv_expect_in(kv.client, "k", "1", &lock);
    kv_expect_in(kv.client, "k", "2", &write);
    kv_expect(kv.client, "k", NULL);
    kv_ok(tikv_raw_put(kv.client, kv_text("k"), kv_text("3"), &standard));
    kv_expect(kv.client, "k", "3");
    kv_ok(tikv_raw_delete(kv.client, kv_text("k"), &lock));
    kv_expect_in(kv.client, "k", NULL, &lock);
    kv_expect_in(kv.client, "k", "2", &write);
    kv_fails(tikv_raw_put(kv.client, kv_text("k"), kv_text("1"), &unknown),
             TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

/* ---- compare-and-swap ---- */

static const char *const atomic_mode[] = { "raw.atomic", "true", NULL };

static void
expect_swap(tikv_client *client, tikv_slice expected, tikv_slice desired,
            bool wanted, tikv_slice wanted_previous)
{
    tikv_value *previous;
    tikv_future *future;
    bool swapped = !wanted;

    kv_ok(tikv_raw_swap(client, kv_text("k"), expected, desired, NULL, &swapped,
                        &previous));
    assert_int_equal(swapped, wanted);
    assert_true(kv_equal(tikv_value_slice(previous), wanted_previous));
    tikv_value_free(previous);
    if (!wanted) {
        future =
            tikv_raw_swap_async(client, kv_text("k"), expected, desired, NULL);
        assert_true(tikv_future_wait(future, 10000));
        swapped = true;
        kv_ok(tikv_future_take_swap(future, &swapped, &previous));
        assert_false(swapped);
        assert_true(kv_equal(tikv_value_slice(previous), wanted_previous));
        tikv_value_free(previous);
        tikv_future_free(future);
    }
}

static void
swap__compares_before_it_writes(void **state)
{
    const struct kv_plan plan = { .stores = 1, .settings = atomic_mode };
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    expect_swap(kv.client, kv_text("x"), kv_text("y"), false, KV_ABSENT);
    expect_swap(kv.client, KV_ABSENT, kv_text("v1"), true, KV_ABSENT);
    expect_swap(kv.client, KV_ABSENT, kv_text("v2"), false, kv_text("v1"));
    expect_swap(kv.client, kv_text("x"), kv_text("v2"), false, kv_text("v1"));
    kv_expect(kv.client, "k", "v1");
    expect_swap(kv.client, kv_text("v1"), kv_text(""), true, kv_text("v1"));
    kv_expect(kv.client, "k", "");
    expect_swap(kv.client, KV_ABSENT, kv_text("v3"), false, kv_text(""));
    expect_swap(kv.client, kv_text(""), KV_ABSENT, true, kv_text(""));
    kv_expect(kv.client, "k", NULL);
    kv_close(&kv);
}

static void
lesson_143__a_swap_without_an_answer_is_in_doubt(void **state)
{
    const struct kv_plan plan = { .stores = 1, .settings = atomic_mode };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_error *error;
    tikv_value *previous;
    uint64_t calls;
    struct kv kv;
    bool swapped;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "old");
    (void)kv_fault(&kv, "on=tikv.RawCompareAndSwap do=drop_response");
    options.call.timeout_ms = 200;
    error = tikv_raw_swap(kv.client, kv_text("k"), kv_text("old"),
                          kv_text("new"), &options, &swapped, &previous);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_UNDETERMINED);
    assert_true(tikv_error_is_undetermined(error));
    assert_false(tikv_error_is_retryable(error));
    assert_int_equal(tikv_error_class(error), TIKV_CLASS_UNDETERMINED);
    assert_null(previous);
    tikv_error_free(error);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.RawCompareAndSwap"),
                     1);
    kv_expect(kv.client, "k", "new"); /* it had been done */

    /* An answer that says "broken connection" is no better. */
    tikv_cluster_fault_remove(kv.cluster, 0);
    (void)kv_fault(&kv, "on=tikv.RawCompareAndSwap when=first(1) "
                        "do=apply,status(UNAVAILABLE)");
    calls = tikv_cluster_calls(kv.cluster, "tikv.RawCompareAndSwap");
    kv_fails(tikv_raw_swap(kv.client, kv_text("k"), kv_text("new"),
                           kv_text("newer"), NULL, NULL, NULL),
             TIKV_ERR_UNDETERMINED);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.RawCompareAndSwap"),
                     calls + 1);
    kv_expect(kv.client, "k", "newer");
    kv_close(&kv);
}

static void
lesson_144__swaps_belong_to_atomic_mode(void **state)
{
    const struct kv_plan plan = { .stores = 1 };
    tikv_raw_options on = TIKV_RAW_OPTIONS_INIT;
    tikv_raw_options off = TIKV_RAW_OPTIONS_INIT;
    const tikv_slice keys[] = { kv_text("a"), kv_text("b") };
    const tikv_pair pairs[] = { { kv_text("a"), kv_text("1") } };
    tikv_client *atomic;
    uint64_t before;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    atomic = kv_client(&kv, atomic_mode);
    on.atomic = TIKV_ON;
    off.atomic = TIKV_OFF;
    before = tikv_cluster_calls(kv.cluster, NULL);
    kv_fails(
        tikv_raw_swap(kv.client, keys[0], KV_ABSENT, keys[0], NULL, NULL, NULL),
        TIKV_ERR_UNSUPPORTED);
    kv_fails(
        tikv_raw_swap(atomic, keys[0], KV_ABSENT, keys[0], &off, NULL, NULL),
        TIKV_ERR_UNSUPPORTED);
    kv_fails(tikv_raw_batch_delete(atomic, keys, 2, NULL),
             TIKV_ERR_UNSUPPORTED);
    kv_fails(tikv_raw_delete_range(atomic, kv_range("a", "b"), NULL),
             TIKV_ERR_UNSUPPORTED);
    assert_int_equal(tikv_cluster_calls(kv.cluster, NULL), before);
    kv_ok(
        tikv_raw_swap(kv.client, keys[0], KV_ABSENT, keys[0], &on, NULL, NULL));
    kv_ok(tikv_raw_batch_put(atomic, pairs, 1, NULL));
    kv_ok(tikv_raw_batch_delete(atomic, keys, 2, &off));
    kv_ok(tikv_client_set(kv.client, "raw.atomic", "true"));
    kv_ok(tikv_raw_swap(kv.client, keys[0], KV_ABSENT, keys[0], NULL, NULL,
                        NULL));
    tikv_client_close(atomic);
    kv_close(&kv);
}

/* ---- arguments ---- */

static void
expect_refusal(tikv_error *error, tikv_code code, const char *word)
{
    assert_int_equal(tikv_error_code(error), code);
    if (strstr(tikv_error_message(error), word) == NULL) {
        fail_msg("\"%s\" does not name %s", tikv_error_message(error), word);
    }
    tikv_error_free(error);
}

static void
raw__refuses_bad_arguments_and_names_them(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    const tikv_slice keys[] = { kv_text("a"), KV_ABSENT };
    const tikv_pair pairs[] = { { kv_text("a"), KV_ABSENT } };
    const uint64_t ttls[] = { 1, 2 };
    tikv_pairs *out;
    tikv_value *value;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    expect_refusal(tikv_raw_get(kv.client, KV_ABSENT, NULL, &value),
                   TIKV_ERR_ARGUMENT, "key is absent");
    assert_null(value);
    expect_refusal(tikv_raw_get(kv.client, keys[0], NULL, NULL),
                   TIKV_ERR_ARGUMENT, "out");
    expect_refusal(tikv_raw_put(kv.client, keys[0], KV_ABSENT, NULL),
                   TIKV_ERR_ARGUMENT, "value is absent");
    expect_refusal(tikv_raw_batch_get(kv.client, keys, 2, NULL, &out),
                   TIKV_ERR_ARGUMENT, "keys[1]");
    assert_null(out);
    expect_refusal(tikv_raw_batch_get(kv.client, NULL, 2, NULL, &out),
                   TIKV_ERR_ARGUMENT, "keys is NULL");
    expect_refusal(tikv_raw_batch_get(kv.client, keys, SIZE_MAX, NULL, &out),
                   TIKV_ERR_ARGUMENT, "count");
    expect_refusal(tikv_raw_batch_put(kv.client, pairs, 1, NULL),
                   TIKV_ERR_ARGUMENT, "pairs[0].value");
    options.ttls_s = ttls;
    options.ttls_count = 2;
    expect_refusal(tikv_raw_put(kv.client, keys[0], keys[0], &options),
                   TIKV_ERR_ARGUMENT, "ttls_s");
    expect_refusal(tikv_raw_batch_put(kv.client, pairs, 1, &options),
                   TIKV_ERR_ARGUMENT, "ttls_count");
    options = (tikv_raw_options)TIKV_RAW_OPTIONS_INIT;
    options.atomic = 3;
    expect_refusal(tikv_raw_put(kv.client, keys[0], keys[0], &options),
                   TIKV_ERR_ARGUMENT, "atomic");
    options.atomic = 0;
    options.call.struct_size = 3;
    expect_refusal(tikv_raw_put(kv.client, keys[0], keys[0], &options),
                   TIKV_ERR_ARGUMENT, "struct_size");
    kv_close(&kv);
}

static void
raw__refuses_what_is_too_large_before_sending(void **state)
{
    static const char *const settings[] = { "raw.max_key_bytes", "8",
                                            "raw.max_value_bytes", "10", NULL };
    const struct kv_plan plan = { .stores = 1, .settings = settings };
    const tikv_pair pairs[] = { { kv_text("a"), kv_text("b") },
                                { kv_text("123456789"), kv_text("b") } };
    tikv_error *error;
    uint64_t before;
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "12345678", "1234567890");
    before = tikv_cluster_calls(kv.cluster, NULL);
    error = tikv_raw_put(kv.client, kv_text("k"), kv_text("12345678901"), NULL);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_TOO_LARGE);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_SIZE_BYTES), 11);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_LIMIT_BYTES), 10);
    assert_true(kv_equal(tikv_error_key(error), kv_text("k")));
    tikv_error_free(error);
    error = tikv_raw_batch_put(kv.client, pairs, 2, NULL);
    assert_int_equal(tikv_error_u64(error, TIKV_ERROR_SIZE_BYTES), 9);
    expect_refusal(error, TIKV_ERR_TOO_LARGE, "pairs[1].key");
    assert_int_equal(tikv_cluster_calls(kv.cluster, NULL), before);
    kv_ok(tikv_client_set(kv.client, "raw.max_value_bytes", "11"));
    kv_put(kv.client, "k", "12345678901");
    kv_close(&kv);
}

static void
raw__reports_ttl_where_there_is_none(void **state)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_error *error;
    uint64_t ttl;
    bool found;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    options.ttl_s = 10;
    error = tikv_raw_put(kv.client, kv_text("k"), kv_text("v"), &options);
    assert_int_equal(tikv_error_class(error), TIKV_CLASS_PERMANENT);
    expect_refusal(error, TIKV_ERR_UNSUPPORTED, "ttl");
    expect_refusal(tikv_raw_ttl(kv.client, kv_text("k"), NULL, &found, &ttl),
                   TIKV_ERR_UNSUPPORTED, "ttl");
    kv_close(&kv);
}

/* ---- stores that move ---- */

static void
raw__follows_two_stores_that_trade_addresses(void **state)
{
    const struct kv_plan plan = { .stores = 2 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_put(kv.client, "k", "v");
    kv_ok(tikv_cluster_store_swap(kv.cluster, 1, 2));
    kv_expect(kv.client, "k", "v");
    kv_put(kv.client, "k", "w");
    kv_expect(kv.client, "k", "w");
    kv_close(&kv);
}

/* The old leader's store goes for good after it traded addresses. */
static void
raw__follows_the_leader_when_its_old_store_is_removed(void **state)
{
    uint64_t region;
    uint64_t leader;
    uint64_t other;
    struct kv kv;

    (void)state;
    kv_open(&kv, &three);
    kv_put(kv.client, "k", "v");
    region = tikv_cluster_region_of(kv.cluster, kv_text("k"));
    leader = tikv_cluster_leader_of(kv.cluster, region);
    other = leader % 3 + 1;
    kv_ok(tikv_cluster_store_swap(kv.cluster, leader, other));
    kv_ok(tikv_cluster_transfer_leader(kv.cluster, region, other));
    kv_ok(tikv_cluster_store_remove(kv.cluster, leader));
    kv_expect(kv.client, "k", "v");
    kv_close(&kv);
}

static void
raw__reaches_the_new_leader_while_the_old_address_is_dead(void **state)
{
    uint64_t region;
    uint64_t leader;
    struct kv kv;

    (void)state;
    kv_open(&kv, &three);
    kv_put(kv.client, "k", "v");
    region = tikv_cluster_region_of(kv.cluster, kv_text("k"));
    leader = tikv_cluster_leader_of(kv.cluster, region);
    kv_ok(tikv_cluster_store_stop(kv.cluster, leader));
    kv_expect(kv.client, "k", "v");
    kv_ok(tikv_cluster_store_start(kv.cluster, leader, true));
    kv_ok(tikv_cluster_transfer_leader(kv.cluster, region, leader));
    kv_expect(kv.client, "k", "v");
    kv_close(&kv);
}

/* One read and one write per step; the sum of all accounts stays. */
static void
raw__moves_money_between_accounts(void **state)
{
    enum { ACCOUNTS = 100, STEPS = 100, MONEY = 1000 };
    const struct kv_plan plan = { .stores = 3, .regions = 4 };
    tikv_slice keys[ACCOUNTS];
    char names[ACCOUNTS][16];
    tikv_pairs *pairs;
    uint32_t sum = 0;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    for (i = 0; i < ACCOUNTS; i++) {
        uint32_t money = MONEY;

        keys[i] = kv_number(names[i], sizeof(names[i]), "", i);
        names[i][0] = (char)(i * 2);
        kv_ok(tikv_raw_put(kv.client, keys[i], kv_bytes(&money, 4), NULL));
    }
    for (i = 0; i < STEPS; i++) {
        tikv_slice ends[2] = { keys[i * 7 % ACCOUNTS],
                               keys[(i * 13 + 5) % ACCOUNTS] };
        uint32_t money[2];
        tikv_pair back[2];

        if (ends[0].data == ends[1].data) {
            continue;
        }
        kv_ok(tikv_raw_batch_get(kv.client, ends, 2, NULL, &pairs));
        memcpy(&money[0], tikv_pairs_data(pairs)[0].value.data, 4);
        memcpy(&money[1], tikv_pairs_data(pairs)[1].value.data, 4);
        tikv_pairs_free(pairs);
        money[0] -= 3;
        money[1] += 3;
        back[0] = (tikv_pair){ ends[0], kv_bytes(&money[0], 4) };
        back[1] = (tikv_pair){ ends[1], kv_bytes(&money[1], 4) };
        kv_ok(tikv_raw_batch_put(kv.client, back, 2, NULL));
    }
    kv_ok(tikv_raw_batch_get(kv.client, keys, ACCOUNTS, NULL, &pairs));
    for (i = 0; i < ACCOUNTS; i++) {
        uint32_t money;

        memcpy(&money, tikv_pairs_data(pairs)[i].value.data, 4);
        sum += money;
    }
    assert_int_equal(sum, ACCOUNTS * MONEY);
    tikv_pairs_free(pairs);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(raw__puts_gets_and_deletes),
        harness_test(raw__takes_edge_keys_and_values),
        harness_test(raw__finds_its_way_after_a_split),
        harness_test(raw__keeps_column_families_apart_by_client),
        harness_test(raw__keeps_column_families_apart_by_call),
        harness_test(swap__compares_before_it_writes),
        harness_test(lesson_143__a_swap_without_an_answer_is_in_doubt),
        harness_test(lesson_144__swaps_belong_to_atomic_mode),
        harness_test(raw__refuses_bad_arguments_and_names_them),
        harness_test(raw__refuses_what_is_too_large_before_sending),
        harness_test(raw__reports_ttl_where_there_is_none),
        harness_test(raw__follows_two_stores_that_trade_addresses),
        harness_test(raw__follows_the_leader_when_its_old_store_is_removed),
        harness_test(raw__reaches_the_new_leader_while_the_old_address_is_dead),
        harness_test(raw__moves_money_between_accounts),
    };
    return harness_run(tests);
}
