/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What transactions cost: exact numbers of requests for usual cases, by each
 * strategy. The table is a promise; a change of it wants a reason.
 * timeout: 120
 */
#include "client/txn_words.h"

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

struct row {
    const char *name;
    scenario_fn *run;
    const char *const *settings;
    const char *split; /* a border of regions, or NULL */
    uint64_t calls[METHODS];
};

/* tso get bget scan | prewrite commit rollback status resolve */
static const struct row rows[] = {
    { "1 key, 2pc", one_key, two_phases, NULL, { 2, 0, 0, 0, 1, 1 } },
    { "1 key, async", one_key, async, NULL, { 2, 0, 0, 0, 1, 1 } },
    { "1 key, 1pc", one_key, one_phase, NULL, { 2, 0, 0, 0, 1, 0 } },
    { "2 keys 1 region, 2pc",
      two_keys,
      two_phases,
      NULL,
      { 2, 0, 0, 0, 1, 1 } },
    { "2 keys 1 region, 1pc", two_keys, one_phase, NULL, { 2, 0, 0, 0, 1, 0 } },
    { "2 keys 2 regions, 2pc",
      two_keys,
      two_phases,
      "k000001",
      { 2, 0, 0, 0, 2, 2 } },
    { "2 keys 2 regions, async",
      two_keys,
      async,
      "k000001",
      { 2, 0, 0, 0, 2, 2 } },
    { "2 keys 2 regions, default",
      two_keys,
      both,
      "k000001",
      { 2, 0, 0, 0, 2, 2 } },
    { "100 keys, 2pc", hundred_keys, two_phases, NULL, { 2, 0, 0, 0, 1, 1 } },
    { "100 keys, default", hundred_keys, both, NULL, { 2, 0, 0, 0, 1, 0 } },
    { "100 keys 2 regions, 2pc",
      hundred_keys,
      two_phases,
      "k000050",
      { 2, 0, 0, 0, 2, 2 } },
    { "1000 keys, 2pc", thousand_keys, two_phases, NULL, { 2, 0, 0, 0, 1, 1 } },
    { "1000 keys 2 regions, default",
      thousand_keys,
      both,
      "k000500",
      { 2, 0, 0, 0, 2, 2 } },
    { "read-modify-write, 2pc",
      read_modify_write,
      two_phases,
      NULL,
      { 2, 1, 0, 0, 1, 1 } },
    { "read-modify-write, default",
      read_modify_write,
      both,
      NULL,
      { 2, 1, 0, 0, 1, 0 } },
    { "read only", read_only, both, NULL, { 1, 1, 1, 0, 0, 0 } },
    { "own writes", own_writes, both, NULL, { 1, 0, 0, 0, 0, 0 } },
    { "insert, default", insert, both, NULL, { 2, 0, 0, 0, 1, 0 } },
    { "conflict, 2pc", conflict, two_phases, NULL, { 3, 0, 0, 0, 2, 1 } },
    { "conflict, default", conflict, both, NULL, { 4, 0, 0, 0, 2, 0 } },
    { "rollback", rollback, both, NULL, { 1, 0, 0, 0, 0, 0 } },
};

static void
calls__are_as_few_as_they_can_be(void **state)
{
    bool is_wrong = false;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        const struct kv_plan plan = { .stores = 1, .settings = row->settings };
        uint64_t before[METHODS];
        struct kv kv;
        size_t method;

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
        for (method = 0; method < METHODS; method++) {
            before[method] = txn_calls(&kv, methods[method]);
        }
        row->run(&kv);
        txn_settle(&kv);
        for (method = 0; method < METHODS; method++) {
            uint64_t made = txn_calls(&kv, methods[method]) - before[method];

            if (made != row->calls[method]) {
                print_error("%s: %s %llu times, not %llu\n", row->name,
                            methods[method], (unsigned long long)made,
                            (unsigned long long)row->calls[method]);
                is_wrong = true;
            }
        }
        kv_close(&kv);
    }
    assert_false(is_wrong);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(calls__are_as_few_as_they_can_be),
    };

    return harness_run(tests);
}
