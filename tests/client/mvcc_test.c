/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a key: lock and versions, by key and by transaction.
 * timeout: 60 */
#include "client/txn_words.h"

#include "api/client.h"
#include "fixture/data.h"

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

/* Old and new values, a large one, a delete and a lock. */
static void
mvcc__tells_all_versions_of_a_key(void **state)
{
    static char large[2000];
    struct data_write write = { .keys = DATA_KEYS("p", "k"), .value = "late" };
    tikv_mvcc_version version = { .struct_size = sizeof(version) };
    tikv_lock_info lock = { .struct_size = sizeof(lock) };
    tikv_mvcc *mvcc;
    uint64_t put[2];
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    memset(large, 'x', sizeof(large) - 1);
    kv_open_plain(&kv);
    put[0] = txn_set(kv.client, "k", "small");
    put[1] = txn_set(kv.client, "k", large);
    txn = txn_begin(kv.client);
    kv_ok(tikv_txn_delete(txn, kv_text("k")));
    txn_commit(txn);
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    kv_ok(tikv_mvcc_get(kv.client, kv_text("k"), NULL, &mvcc));
    assert_true(kv_equal(tikv_mvcc_key(mvcc), kv_text("k")));
    assert_true(tikv_mvcc_lock(mvcc, &lock));
    assert_true(kv_equal(lock.primary, kv_text("p")));
    assert_int_equal(lock.start_ts, write.start_ts);
    assert_int_equal(lock.ttl_ms, 3000);
    assert_int_equal(tikv_mvcc_count(mvcc), 3);
    assert_true(tikv_mvcc_at(mvcc, 0, &version));
    assert_int_equal(version.kind, TIKV_MVCC_DELETE);
    assert_null(version.value.data);
    assert_true(tikv_mvcc_at(mvcc, 1, &version));
    assert_int_equal(version.kind, TIKV_MVCC_PUT);
    assert_int_equal(version.commit_ts, put[1]);
    assert_true(kv_equal(version.value, kv_text(large)));
    assert_true(tikv_mvcc_at(mvcc, 2, &version));
    assert_int_equal(version.commit_ts, put[0]);
    assert_true(version.start_ts < version.commit_ts);
    assert_true(kv_equal(version.value, kv_text("small")));
    assert_false(tikv_mvcc_at(mvcc, 3, &version));
    tikv_mvcc_free(mvcc);
    /* Looking ended nothing. */
    assert_int_equal(data_locks(router_of(&kv), NULL), 2);
    kv_close(&kv);
}

static void
mvcc__finds_what_a_transaction_wrote(void **state)
{
    tikv_mvcc_version version = { .struct_size = sizeof(version) };
    tikv_lock_info lock = { .struct_size = sizeof(lock) };
    uint64_t start_ts;
    tikv_mvcc *mvcc;
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    txn_split(&kv, "m");
    txn_set(kv.client, "a", "1");
    txn = txn_begin(kv.client);
    start_ts = tikv_txn_start_ts(txn);
    txn_put(txn, "z", "2");
    txn_commit(txn);
    kv_ok(tikv_mvcc_find(kv.client, start_ts, kv_range("", ""), NULL, &mvcc));
    assert_true(kv_equal(tikv_mvcc_key(mvcc), kv_text("z")));
    assert_false(tikv_mvcc_lock(mvcc, &lock));
    assert_int_equal(tikv_mvcc_count(mvcc), 1);
    assert_true(tikv_mvcc_at(mvcc, 0, &version));
    assert_int_equal(version.start_ts, start_ts);
    tikv_mvcc_free(mvcc);
    /* Not there, and never. */
    kv_ok(tikv_mvcc_find(kv.client, start_ts, kv_range("a", "b"), NULL, &mvcc));
    assert_null(tikv_mvcc_key(mvcc).data);
    assert_int_equal(tikv_mvcc_count(mvcc), 0);
    tikv_mvcc_free(mvcc);
    kv_ok(tikv_mvcc_find(kv.client, 77, kv_range("", ""), NULL, &mvcc));
    assert_null(tikv_mvcc_key(mvcc).data);
    tikv_mvcc_free(mvcc);
    kv_close(&kv);
}

static void
mvcc__refuses_what_makes_no_sense(void **state)
{
    tikv_mvcc *mvcc;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_fails(tikv_mvcc_get(kv.client, KV_ABSENT, NULL, &mvcc),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_mvcc_get(NULL, kv_text("k"), NULL, &mvcc), TIKV_ERR_ARGUMENT);
    kv_fails(tikv_mvcc_get(kv.client, kv_text("k"), NULL, NULL),
             TIKV_ERR_ARGUMENT);
    kv_fails(tikv_mvcc_find(kv.client, 0, kv_range("", ""), NULL, &mvcc),
             TIKV_ERR_ARGUMENT);
    assert_null(mvcc);
    kv_ok(tikv_mvcc_get(kv.client, kv_text("nobody"), NULL, &mvcc));
    assert_int_equal(tikv_mvcc_count(mvcc), 0);
    tikv_mvcc_free(mvcc);
    tikv_mvcc_free(NULL);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(mvcc__tells_all_versions_of_a_key),
        harness_test(mvcc__finds_what_a_transaction_wrote),
        harness_test(mvcc__refuses_what_makes_no_sense),
    };

    return harness_run(tests);
}
