/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reads cost that meet locks: exact numbers of requests, after a cleaner
 * had its time. The table is a promise; a change of it wants a reason.
 * timeout: 120
 */
#include "client/calls_table.h"

#include "api/client.h"
#include "fixture/data.h"

enum { GET, BATCH_GET, SCAN, STATUS, SECONDARIES, RESOLVE, METHODS };

static const char *const methods[METHODS] = {
    "tikv.KvGet",
    "tikv.KvBatchGet",
    "tikv.KvScan",
    "tikv.KvCheckTxnStatus",
    "tikv.KvCheckSecondaryLocks",
    "tikv.KvResolveLock",
};

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

/* A lock of each of two keys, of one transaction. A TTL of 0 has nobody
 * wait. */
static uint64_t
leave(const struct kv *kv, bool is_async, uint64_t ttl_ms)
{
    struct data_write write = { .start_ts = data_ts(router_of(kv)),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "new",
                                .ttl_ms = ttl_ms,
                                .txn_size = 2,
                                .is_async = is_async,
                                .secondaries =
                                    is_async ? DATA_KEYS("b") : NULL };

    data_prewrite(router_of(kv), &write);
    return write.start_ts;
}

static void
dead(const struct kv *kv)
{
    leave(kv, false, UINT64_MAX);
}

static void
dead_async(const struct kv *kv)
{
    leave(kv, true, UINT64_MAX);
}

static void
alive(const struct kv *kv)
{
    leave(kv, false, 60000);
}

static void
committed(const struct kv *kv)
{
    uint64_t txn = leave(kv, false, 60000);

    data_commit(router_of(kv), txn, data_ts(router_of(kv)), DATA_KEYS("a"));
}

static void
nothing(const struct kv *kv)
{
    (void)kv;
}

static void
get(tikv_snapshot *snapshot)
{
    tikv_value *value;

    kv_ok(tikv_snapshot_get(snapshot, kv_text("b"), NULL, &value));
    tikv_value_free(value);
}

static void
batch_get(tikv_snapshot *snapshot)
{
    const tikv_slice keys[3] = { kv_text("a"), kv_text("b"), kv_text("c") };
    tikv_pairs *pairs;

    kv_ok(tikv_snapshot_batch_get(snapshot, keys, 3, NULL, &pairs));
    tikv_pairs_free(pairs);
}

static void
scan(tikv_snapshot *snapshot)
{
    tikv_pairs *pairs;

    kv_ok(tikv_snapshot_scan(snapshot, kv_range("", ""), NULL, &pairs));
    tikv_pairs_free(pairs);
}

struct row {
    const char *name;
    void (*leave)(const struct kv *);
    void (*read)(tikv_snapshot *);
    uint64_t calls[METHODS];
};

/* get bget scan | status secondaries resolve */
static const struct row rows[] = {
    { "get, nothing in the way", nothing, get, { 1, 0, 0, 0, 0, 0 } },
    { "get over a dead lock", dead, get, { 2, 0, 0, 1, 0, 1 } },
    { "get over a dead async commit", dead_async, get, { 2, 0, 0, 1, 1, 1 } },
    { "get over a living lock", alive, get, { 2, 0, 0, 1, 0, 0 } },
    { "get over a committed lock", committed, get, { 2, 0, 0, 1, 0, 1 } },
    { "batch over dead locks", dead, batch_get, { 0, 2, 0, 1, 0, 1 } },
    { "batch over living locks", alive, batch_get, { 0, 2, 0, 1, 0, 0 } },
    { "scan, nothing in the way", nothing, scan, { 0, 0, 1, 0, 0, 0 } },
    { "scan over dead locks", dead, scan, { 0, 1, 1, 1, 0, 1 } },
    { "scan over living locks", alive, scan, { 0, 1, 1, 1, 0, 0 } },
    { "scan over a committed lock", committed, scan, { 1, 0, 1, 1, 0, 1 } },
};

/* True: as many as the row says. */
static bool
run_row(const struct row *row)
{
    uint64_t before[METHODS];
    tikv_snapshot *snapshot;
    bool is_right;
    struct kv kv;

    kv_open_plain(&kv);
    /* The cache is warm. */
    txn_sees(kv.client, "z", NULL);
    row->leave(&kv);
    kv_ok(tikv_snapshot_open(kv.client, NULL, &snapshot));
    calls_now(&kv, methods, METHODS, before);
    row->read(snapshot);
    kv_ok(tikv_client_drain(kv.client, 20000));
    is_right = calls_made(&kv, row->name, methods, METHODS, before,
                          row->calls);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
    return is_right;
}

static void
calls__of_reads_among_locks_are_few(void **state)
{
    bool is_right = true;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_right &= run_row(&rows[i]);
    }
    assert_true(is_right);
}

static void
calls__of_reads_are_told_in_the_manual(void **state)
{
    bool is_right = true;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_right &= calls_told(rows[i].name, METHODS, rows[i].calls);
    }
    assert_true(is_right);
}

/* A reader leaves it to others to clean the locks it passed. */
static void
drain__waits_for_what_cleans_behind_readers(void **state)
{
    tikv_snapshot *snapshot;
    uint64_t cleaned;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    txn_sees(kv.client, "z", NULL);
    dead(&kv);
    cleaned = txn_calls(&kv, methods[RESOLVE]);
    (void)kv_fault(&kv, "on=tikv.KvResolveLock do=delay(300)");
    kv_ok(tikv_snapshot_open(kv.client, NULL, &snapshot));
    scan(snapshot);
    kv_fails(tikv_client_drain(kv.client, 0), TIKV_ERR_TIMEOUT);
    kv_ok(tikv_client_drain(kv.client, 20000));
    assert_int_equal(txn_calls(&kv, methods[RESOLVE]), cleaned + 1);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(calls__of_reads_among_locks_are_few),
        harness_test(calls__of_reads_are_told_in_the_manual),
        harness_test(drain__waits_for_what_cleans_behind_readers),
    };

    return harness_run(tests);
}
