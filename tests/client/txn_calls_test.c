/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What transactions cost: exact numbers of requests for usual cases, by each
 * strategy. The table is a promise; a change of it wants a reason.
 * timeout: 120
 */
#include "client/calls_table.h"

#include "api/client.h"
#include "fixture/data.h"
#include "txn/lock.h"

static const char *const two_phases[] = { TXN_2PC, NULL };
static const char *const async[] = { TXN_ASYNC, NULL };
static const char *const one_phase[] = { TXN_1PC, NULL };
static const char *const both[] = { NULL };

enum {
    TSO,
    GET,
    BATCH_GET,
    SCAN,
    PREWRITE,
    COMMIT,
    ROLLBACK,
    STATUS,
    RESOLVE,
    METHODS
};

static const char *const methods[METHODS] = {
    "pd.Tso",
    "tikv.KvGet",
    "tikv.KvBatchGet",
    "tikv.KvScan",
    "tikv.KvPrewrite",
    "tikv.KvCommit",
    "tikv.KvBatchRollback",
    "tikv.KvCheckTxnStatus",
    "tikv.KvResolveLock",
};

typedef void
scenario_fn(struct kv *kv);

static void
write_keys(struct kv *kv, size_t count)
{
    tikv_txn *txn = txn_begin(kv->client);
    char name[32];
    size_t i;

    for (i = 0; i < count; i++) {
        kv_ok(tikv_txn_put(txn, kv_number(name, sizeof(name), "k", i),
                           kv_text("value")));
    }
    txn_commit(txn);
}

static void
one_key(struct kv *kv)
{
    write_keys(kv, 1);
}

/* Without a timestamp before: nothing that is not read is waited for. */
static void
one_key_causal(struct kv *kv)
{
    tikv_txn_options options = TIKV_TXN_OPTIONS_INIT;
    tikv_txn *txn;

    options.causal = TIKV_ON;
    txn = txn_begin_with(kv->client, &options);
    txn_put(txn, "k000000", "1");
    txn_commit(txn);
}

static void
two_keys(struct kv *kv)
{
    write_keys(kv, 2);
}

static void
hundred_keys(struct kv *kv)
{
    write_keys(kv, 100);
}

static void
thousand_keys(struct kv *kv)
{
    write_keys(kv, 1000);
}

static void
read_modify_write(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);
    tikv_value *value;

    kv_ok(tikv_txn_get(txn, kv_text("k000000"), NULL, &value));
    tikv_value_free(value);
    txn_put(txn, "k000000", "2");
    txn_commit(txn);
}

static void
read_only(struct kv *kv)
{
    const tikv_slice keys[] = { kv_text("k000001"), kv_text("k000002") };
    tikv_txn *txn = txn_begin(kv->client);
    tikv_pairs *pairs;

    txn_expect(txn, "k000000", NULL);
    kv_ok(tikv_txn_batch_get(txn, keys, 2, NULL, &pairs));
    tikv_pairs_free(pairs);
    /* What was read once is known. */
    txn_expect(txn, "k000002", NULL);
    txn_commit(txn);
}

static void
own_writes(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    txn_put(txn, "a", "1");
    txn_expect(txn, "a", "1");
    tikv_txn_free(txn);
}

static void
insert(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    kv_ok(tikv_txn_insert(txn, kv_text("k000000"), kv_text("1")));
    txn_commit(txn);
}

static void
conflict(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    write_keys(kv, 1);
    txn_put(txn, "k000000", "2");
    kv_fails(tikv_txn_commit(txn, NULL, NULL), TIKV_ERR_WRITE_CONFLICT);
    tikv_txn_free(txn);
}

static void
rollback(struct kv *kv)
{
    tikv_txn *txn = txn_begin(kv->client);

    txn_put(txn, "k000000", "2");
    kv_ok(tikv_txn_rollback(txn, NULL));
    tikv_txn_free(txn);
}

static void
read_one(struct kv *kv)
{
    txn_sees(kv->client, "k000000", NULL);
}

/* What a client left behind that is gone, and whose time is over. */
static void
leave_dead_lock(struct kv *kv)
{
    struct tk_router *router = &kv->client->txns->router;
    struct data_write dead = { .start_ts = data_ts(router),
                               .keys = DATA_KEYS("k000000"),
                               .value = "dead",
                               .ttl_ms = 1 };

    data_prewrite(router, &dead);
    while (tk_ts_ms(data_ts(router)) <= tk_ts_ms(dead.start_ts) + 1) {
    }
}

struct row {
    const char *name;
    scenario_fn *run;
    const char *const *settings;
    const char *split; /* a border of regions, or NULL */
    uint64_t calls[METHODS];
    scenario_fn *prepare; /* not counted; NULL: nothing */
};

/* tso get bget scan | prewrite commit rollback status resolve */
static const struct row rows[] = {
    { "1 key, 2pc", one_key, two_phases, NULL, { 2, 0, 0, 0, 1, 1 }, NULL },
    { "1 key, async", one_key, async, NULL, { 2, 0, 0, 0, 1, 1 }, NULL },
    { "1 key, 1pc", one_key, one_phase, NULL, { 2, 0, 0, 0, 1, 0 }, NULL },
    { "1 key, async, causal",
      one_key_causal,
      async,
      NULL,
      { 1, 0, 0, 0, 1, 1 },
      NULL },
    { "1 key, 1pc, causal",
      one_key_causal,
      one_phase,
      NULL,
      { 1, 0, 0, 0, 1, 0 },
      NULL },
    { "2 keys 1 region, 2pc",
      two_keys,
      two_phases,
      NULL,
      { 2, 0, 0, 0, 1, 1 },
      NULL },
    { "2 keys 1 region, 1pc",
      two_keys,
      one_phase,
      NULL,
      { 2, 0, 0, 0, 1, 0 },
      NULL },
    { "2 keys 2 regions, 2pc",
      two_keys,
      two_phases,
      "k000001",
      { 2, 0, 0, 0, 2, 2 },
      NULL },
    { "2 keys 2 regions, async",
      two_keys,
      async,
      "k000001",
      { 2, 0, 0, 0, 2, 2 },
      NULL },
    { "2 keys 2 regions, default",
      two_keys,
      both,
      "k000001",
      { 2, 0, 0, 0, 2, 2 },
      NULL },
    { "100 keys, 2pc",
      hundred_keys,
      two_phases,
      NULL,
      { 2, 0, 0, 0, 1, 1 },
      NULL },
    { "100 keys, default",
      hundred_keys,
      both,
      NULL,
      { 2, 0, 0, 0, 1, 0 },
      NULL },
    { "100 keys 2 regions, 2pc",
      hundred_keys,
      two_phases,
      "k000050",
      { 2, 0, 0, 0, 2, 2 },
      NULL },
    { "1000 keys, 2pc",
      thousand_keys,
      two_phases,
      NULL,
      { 2, 0, 0, 0, 1, 1 },
      NULL },
    { "1000 keys 2 regions, default",
      thousand_keys,
      both,
      "k000500",
      { 2, 0, 0, 0, 2, 2 },
      NULL },
    { "read-modify-write, 2pc",
      read_modify_write,
      two_phases,
      NULL,
      { 2, 1, 0, 0, 1, 1 },
      NULL },
    { "read-modify-write, default",
      read_modify_write,
      both,
      NULL,
      { 2, 1, 0, 0, 1, 0 },
      NULL },
    { "read only", read_only, both, NULL, { 1, 1, 1, 0, 0, 0 }, NULL },
    { "own writes", own_writes, both, NULL, { 1, 0, 0, 0, 0, 0 }, NULL },
    { "insert, default", insert, both, NULL, { 2, 0, 0, 0, 1, 0 }, NULL },
    { "conflict, 2pc", conflict, two_phases, NULL, { 3, 0, 0, 0, 2, 1 }, NULL },
    { "conflict, default", conflict, both, NULL, { 4, 0, 0, 0, 2, 0 }, NULL },
    { "rollback", rollback, both, NULL, { 1, 0, 0, 0, 0, 0 }, NULL },
    { "read over a dead lock",
      read_one,
      both,
      NULL,
      { 1, 2, 0, 0, 0, 0, 0, 1, 1 },
      leave_dead_lock },
    { "write over a dead lock",
      one_key,
      both,
      NULL,
      { 2, 0, 0, 0, 2, 0, 0, 1, 1 },
      leave_dead_lock },
};

static void
calls__are_as_few_as_they_can_be(void **state)
{
    bool is_right = true;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        const struct kv_plan plan = { .stores = 1, .settings = row->settings };
        uint64_t before[METHODS];
        struct kv kv;

        kv_open(&kv, &plan);
        if (row->split != NULL) {
            txn_split(&kv, row->split);
        }
        /* The cache is warm, PD's stream is open. */
        write_keys(&kv, 1);
        {
            tikv_txn *txn = txn_begin(kv.client);

            txn_put(txn, "warm", "1");
            txn_put(txn, "k999999", "1");
            txn_put(txn, "k000000", "1");
            kv_ok(tikv_txn_delete(txn, kv_text("k000000")));
            txn_commit(txn);
        }
        txn_settle(&kv);
        kv.client = kv_client(&kv, row->settings);
        txn_sees(kv.client, "k999999", "1");
        txn_sees(kv.client, "k000000", NULL);
        if (row->prepare != NULL) {
            row->prepare(&kv);
        }
        calls_now(&kv, methods, METHODS, before);
        row->run(&kv);
        /* Closing gives what goes on behind a call a little time, not all. */
        kv_ok(tikv_client_drain(kv.client, 30000));
        txn_settle(&kv);
        is_right &= calls_made(&kv, row->name, methods, METHODS, before,
                               row->calls);
        kv_close(&kv);
    }
    assert_true(is_right);
}

static void
calls__are_told_in_the_manual(void **state)
{
    bool is_right = true;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        is_right &= calls_told(rows[i].name, METHODS, rows[i].calls);
    }
    assert_true(is_right);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(calls__are_as_few_as_they_can_be),
        harness_test(calls__are_told_in_the_manual),
    };

    return harness_run(tests);
}
