/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Huge commits: regions are split before, and memory stays in proportion to
 * what is written. timeout: 180
 */
#include "client/txn_words.h"

#include <stdlib.h>

#include "fixture/playground.h"

static void
keep_summary(const tikv_txn_summary *summary, void *arg)
{
    tikv_txn_summary *copy = arg;

    *copy = *summary;
    copy->error = NULL;
}

static uint64_t
commit_numbers(const struct kv *kv, size_t count, tikv_txn_summary *summary)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *txn;
    char name[32];
    size_t i;

    options.on_end = keep_summary;
    options.arg = summary;
    txn = txn_begin_with(kv->client, &options);
    for (i = 0; i < count; i++) {
        kv_ok(tikv_txn_put(txn, kv_number(name, sizeof(name), "k", i),
                           kv_text("value")));
    }
    return txn_commit(txn);
}

static uint64_t
region_of(const struct kv *kv, size_t number)
{
    char name[32];

    return tikv_cluster_region_of_txn(
        kv->cluster, kv_number(name, sizeof(name), "k", number));
}

static void
split__makes_room_for_a_huge_commit(void **state)
{
    static const char *const small[] = { "txn.split_keys_count", "500",
                                         "txn.split_bytes", "2000", NULL };
    const struct kv_plan plan = { .stores = 3, .settings = small };
    tikv_txn_summary summary = { 0 };
    struct kv kv;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_cluster_set(kv.cluster, "scatter_ms", 30));
    commit_numbers(&kv, 499, &summary);
    assert_int_equal(summary.regions_split, 0);
    assert_int_equal(tikv_cluster_regions_count(kv.cluster), 1);
    commit_numbers(&kv, 500, &summary);
    /* 500 keys of 7 bytes with values of 5, a region each 2000. */
    assert_int_equal(summary.regions_split, 2);
    assert_int_equal(tikv_cluster_regions_count(kv.cluster), 3);
    assert_int_not_equal(region_of(&kv, 0), region_of(&kv, 499));
    /* The commit waited until PD had spread them, and knew the way. */
    assert_int_equal(txn_calls(&kv, "pd.ScatterRegion"), 1);
    assert_true(txn_calls(&kv, "pd.GetOperator") > 2);
    assert_int_equal(tikv_cluster_seen(kv.cluster, "tikv.KvPrewrite",
                                       "region_error:epoch_not_match"),
                     0);
    txn_sees(kv.client, "k000499", "value");
    /* Parts that are small enough stay as they are. */
    commit_numbers(&kv, 500, &summary);
    assert_int_equal(summary.regions_split, 0);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

/* It is for speed alone: who cannot split commits all the same. */
static void
split__that_fails_hinders_nobody(void **state)
{
    static const char *const faults[] = {
        "on=tikv.SplitRegion do=unimplemented",
        "on=pd.ScatterRegion do=unimplemented",
        "on=pd.ScatterRegion do=drop_request",
    };
    static const char *const small[] = { "txn.split_keys_count",
                                         "500",
                                         "txn.split_bytes",
                                         "2000",
                                         "call.timeout_ms",
                                         "4000",
                                         NULL };
    const struct kv_plan plan = { .stores = 1, .settings = small };
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        tikv_txn_summary summary = { 0 };
        struct kv kv;

        kv_open(&kv, &plan);
        kv_fault(&kv, faults[i]);
        assert_true(commit_numbers(&kv, 500, &summary) > 0);
        assert_int_equal(summary.regions_split, i == 0 ? 0 : 2);
        txn_sees(kv.client, "k000499", "value");
        kv_close(&kv);
    }
}

/* ---- memory ---- */

enum { KEYS = 20000, VALUE_BYTES = 100 };

/* What the process has resident at most since the last reset, in KiB. */
static long
peak_kib(bool resets)
{
    char line[256];
    long peak = 0;
    FILE *file;

    if (resets) {
        file = fopen("/proc/self/clear_refs", "w");
        if (file != NULL) {
            (void)fputs("5", file);
            (void)fclose(file);
        }
    }
    file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            peak = strtol(line + 6, NULL, 10);
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return peak;
}

/* The cluster is another process: what grows is the client's. The bound is
 * that of perf-txn: 24 MiB, and two bytes for each byte written. */
static void
memory__of_a_commit_stays_in_bounds(void **state)
{
    static const char *const arguments[] = { "--port", "0", NULL };
    const long bound_kib =
        24 * 1024 + 2 * (long)KEYS * (16 + VALUE_BYTES) / 1024;
    const char *path = playground_program();
    struct playground playground;
    uint8_t value[VALUE_BYTES];
    tikv_config *config;
    tikv_client *client;
    long before;
    long grown;
    tikv_txn *txn;
    char name[32];
    size_t i;

    (void)state;
    if (path == NULL || !playground_start(&playground, path, arguments)) {
        print_message("needs tikv-playground\n");
        skip();
    }
    kv_ok(tikv_config_new(&config));
    kv_ok(tikv_config_set(config, "pd.endpoints", playground.endpoints));
    kv_ok(tikv_client_open(config, &client));
    tikv_config_free(config);
    memset(value, 'v', sizeof(value));
    txn_set(client, "warm", "1");
    before = peak_kib(true);
    txn = txn_begin(client);
    for (i = 0; i < KEYS; i++) {
        kv_ok(tikv_txn_put(txn, kv_number(name, sizeof(name), "key", i),
                           kv_bytes(value, sizeof(value))));
    }
    txn_commit(txn);
    tikv_client_close(client);
    grown = peak_kib(false) - before;
    print_message("%d keys: %ld KiB more, of %ld\n", KEYS, grown, bound_kib);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(grown <= bound_kib);
#endif
    assert_true(playground_stop(&playground));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(split__makes_room_for_a_huge_commit),
        harness_test(split__that_fails_hinders_nobody),
        harness_test(memory__of_a_commit_stays_in_bounds),
    };

    return harness_run(tests);
}
