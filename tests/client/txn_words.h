/* SPDX-License-Identifier: Apache-2.0 */
/* Few words for tests of transactions. A helper fails the running test when
 * the library answers with an error it did not expect. */
#ifndef TK_TEST_CLIENT_TXN_WORDS_H
#define TK_TEST_CLIENT_TXN_WORDS_H

#include "fixture/kv.h"

#include "base/buf.h"
#include "wire/key.h"

#define TXN_2PC "txn.async_commit", "off", "txn.one_phase", "off"
#define TXN_ASYNC "txn.async_commit", "on", "txn.one_phase", "off"
#define TXN_1PC "txn.async_commit", "off", "txn.one_phase", "on"

static inline tikv_txn *
txn_begin(tikv_client *client)
{
    tikv_txn *txn;

    kv_ok(tikv_txn_begin(client, NULL, &txn));
    return txn;
}

static inline tikv_txn *
txn_begin_with(tikv_client *client, const tikv_txn_options *options)
{
    tikv_txn *txn;

    kv_ok(tikv_txn_begin(client, options, &txn));
    return txn;
}

#define txn_put(txn, key, value)                                               \
    kv_ok(tikv_txn_put(txn, kv_text(key), kv_text(value)))

/* Commits and frees; the commit ts. */
static inline uint64_t
txn_commit(tikv_txn *txn)
{
    uint64_t ts = 0;

    kv_ok(tikv_txn_commit(txn, NULL, &ts));
    tikv_txn_free(txn);
    return ts;
}

/* A transaction of one key. */
static inline uint64_t
txn_set(tikv_client *client, const char *key, const char *value)
{
    tikv_txn *txn = txn_begin(client);

    txn_put(txn, key, value);
    return txn_commit(txn);
}

static inline void
txn_expect_at(tikv_txn *txn, const char *key, const char *wanted,
              const char *file, int line)
{
    tikv_value *value;
    tikv_slice got;

    kv_ok_at(tikv_txn_get(txn, kv_text(key), NULL, &value), file, line);
    got = tikv_value_slice(value);
    if (!kv_equal(got, wanted == NULL ? KV_ABSENT : kv_text(wanted))) {
        print_error("%s: expected %s, got %.*s\n", key,
                    wanted == NULL ? "nothing" : wanted, (int)got.len,
                    got.data == NULL ? "" : (const char *)got.data);
        _fail(file, line);
    }
    tikv_value_free(value);
}
#define txn_expect(txn, key, wanted)                                           \
    txn_expect_at(txn, key, wanted, __FILE__, __LINE__)

/* What a new transaction sees. */
#define txn_sees(client, key, wanted)                                          \
    do {                                                                       \
        tikv_txn *reader_ = txn_begin(client);                                 \
        txn_expect_at(reader_, key, wanted, __FILE__, __LINE__);               \
        tikv_txn_free(reader_);                                                \
    } while (0)

/* Splits between transactional keys, whose regions have encoded bounds. */
static inline void
txn_split(const struct kv *kv, const char *key)
{
    struct tk_buf buf;

    tk_buf_init(&buf, 1 << 16);
    tk_key_encode(&buf, kv_text(key));
    kv_ok(tikv_cluster_split(kv->cluster, tk_buf_slice(&buf)));
    tk_buf_fini(&buf);
}

static inline uint64_t
txn_calls(const struct kv *kv, const char *method)
{
    return tikv_cluster_calls(kv->cluster, method);
}

/* Closes the client, which waits for what commits left behind. */
static inline void
txn_settle(struct kv *kv)
{
    tikv_client_close(kv->client);
    kv->client = NULL;
}

/* Locks in the whole cluster, as a client sees it that knows of nothing. */
static inline size_t
txn_locks(const struct kv *kv)
{
    const tikv_range all = { KV_ABSENT, KV_ABSENT };
    tikv_client *client = kv_client(kv, NULL);
    tikv_locks *locks;
    size_t count;

    kv_ok(tikv_locks_scan(client, all, 0, 0, NULL, &locks));
    count = tikv_locks_count(locks);
    tikv_locks_free(locks);
    tikv_client_close(client);
    return count;
}

/* Nothing is left of what went on behind the calls: it is waited for. */
#define txn_leaves_no_lock(kv)                                                 \
    do {                                                                       \
        txn_settle(kv);                                                        \
        assert_int_equal(txn_locks(kv), 0);                                    \
    } while (0)

#endif
