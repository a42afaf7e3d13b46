/* SPDX-License-Identifier: Apache-2.0 */
/* What reads of snapshots and transactions promise, by the public functions,
 * over gRPC. timeout: 120 */
#include "client/txn_words.h"

#include "api/client.h"
#include "base/alloc.h"
#include "exec/runtime.h"
#include "fixture/data.h"

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

static tikv_snapshot *
open_at(const struct kv *kv, uint64_t version)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;

    options.version = version;
    kv_ok(tikv_snapshot_open(kv->client, &options, &snapshot));
    return snapshot;
}

static void
expect_and_free(tikv_value *value, const char *expected)
{
    assert_true(kv_equal(tikv_value_slice(value),
                         expected == NULL ? KV_ABSENT : kv_text(expected)));
    tikv_value_free(value);
}

static void
expect_at(const struct kv *kv, uint64_t version, const char *key,
          const char *expected)
{
    tikv_snapshot *snapshot = open_at(kv, version);
    tikv_value *value;

    kv_ok(tikv_snapshot_get(snapshot, kv_text(key), NULL, &value));
    expect_and_free(value, expected);
    tikv_snapshot_free(snapshot);
}

/* "k000000" .. in one transaction, their own names as values. */
static void
write_numbers(const struct kv *kv, size_t count)
{
    tikv_txn *txn = txn_begin(kv->client);
    char name[32];
    size_t i;

    for (i = 0; i < count; i++) {
        tikv_slice key = kv_number(name, sizeof(name), "k", i);

        kv_ok(tikv_txn_put(txn, key, key));
    }
    txn_commit(txn);
}

/* ---- isolation ---- */

enum { VALUES = 10, READERS = 10, READS = 20 };

struct race {
    struct kv *kv;
    uint64_t committed[VALUES];
    struct {
        uint64_t version;
        int value; /* -1: none */
    } seen[READERS][READS];
    _Atomic size_t readers;
};

static void
write_values(void *arg)
{
    struct race *race = arg;
    char text[2] = "0";
    int i;

    for (i = 0; i < VALUES; i++) {
        text[0] = (char)('0' + i);
        race->committed[i] = txn_set(race->kv->client, "x", text);
    }
}

static void
read_values(void *arg)
{
    struct race *race = arg;
    size_t reader = atomic_fetch_add(&race->readers, 1);
    size_t i;

    for (i = 0; i < READS; i++) {
        tikv_txn *txn = txn_begin(race->kv->client);
        tikv_value *value;

        race->seen[reader][i].version = tikv_txn_start_ts(txn);
        kv_ok(tikv_txn_get(txn, kv_text("x"), NULL, &value));
        race->seen[reader][i].value =
            value == NULL ? -1 : tikv_value_slice(value).data[0] - '0';
        tikv_value_free(value);
        tikv_txn_free(txn);
    }
}

static void
reads__see_what_was_committed_before_them(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_thread *threads[READERS + 1];
    struct race race = { .readers = 0 };
    struct kv kv;
    size_t i;
    size_t j;

    (void)state;
    kv_open_plain(&kv);
    race.kv = &kv;
    for (i = 0; i <= READERS; i++) {
        threads[i] = rt->ops->spawn(
            rt, "race", i == READERS ? write_values : read_values, &race);
    }
    for (i = 0; i <= READERS; i++) {
        rt->ops->join(rt, threads[i]);
    }
    for (i = 0; i < READERS; i++) {
        for (j = 0; j < READS; j++) {
            int expected = -1;

            while (expected + 1 < VALUES &&
                   race.committed[expected + 1] <= race.seen[i][j].version) {
                expected++;
            }
            assert_int_equal(race.seen[i][j].value, expected);
        }
    }
    kv_close(&kv);
    tk_runtime_posix_free(rt);
}

/* ---- how much ---- */

static size_t
count_rows(tikv_snapshot *snapshot, tikv_range range, uint32_t page_count,
           uint32_t flags)
{
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    char before[32] = "";
    tikv_iter *iter;
    size_t count = 0;
    tikv_pair pair;

    options.page_count = page_count;
    options.flags = flags;
    kv_ok(tikv_snapshot_iterate(snapshot, range, &options, &iter));
    for (;;) {
        char key[32];

        kv_ok(tikv_iter_next(iter, 20000, &pair));
        if (pair.key.data == NULL) {
            break;
        }
        snprintf(key, sizeof(key), "%.*s", (int)pair.key.len,
                 (const char *)pair.key.data);
        assert_true((flags & TIKV_SCAN_REVERSE) == 0
                        ? strcmp(before, key) < 0
                        : before[0] == '\0' || strcmp(before, key) > 0);
        assert_true((flags & TIKV_SCAN_KEYS_ONLY) != 0
                        ? pair.value.data == NULL
                        : kv_equal(pair.value, pair.key));
        memcpy(before, key, sizeof(key));
        count++;
    }
    tikv_iter_free(iter);
    return count;
}

/* One row, as many as a page has, one more, three times as many: over
 * regions, with and without bounds. */
static void
reads__scan_any_number_of_rows(void **state)
{
    enum { PAGE = 10 };
    static const size_t counts[] = { 1, PAGE, PAGE + 1, 3 * PAGE };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        tikv_snapshot *snapshot;
        char half[32];
        char last[32];
        struct kv kv;
        uint32_t flags;

        kv_open_plain(&kv);
        write_numbers(&kv, counts[i]);
        kv_number(half, sizeof(half), "k", counts[i] / 2);
        kv_number(last, sizeof(last), "k", counts[i] - 1);
        txn_split(&kv, half);
        snapshot = open_at(&kv, 0);
        for (flags = 0; flags < 4; flags++) {
            assert_int_equal(
                count_rows(snapshot, kv_range("", ""), PAGE, flags), counts[i]);
            assert_int_equal(
                count_rows(snapshot, kv_range("k", last), PAGE, flags),
                counts[i] - 1);
        }
        tikv_snapshot_free(snapshot);
        kv_close(&kv);
    }
}

/* Locks are not looked at: nothing is asked, what is committed is read. */
static void
reads__committed_pass_locks_by(void **state)
{
    struct data_write write = { .keys = DATA_KEYS("k000001", "k000002"),
                                .value = "dirty" };
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;
    tikv_snapshot *snapshot;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    write_numbers(&kv, 5);
    write.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &write);
    options.isolation = TIKV_ISOLATION_READ_COMMITTED;
    kv_ok(tikv_snapshot_open(kv.client, &options, &snapshot));
    assert_int_equal(count_rows(snapshot, kv_range("", ""), 2, 0), 5);
    assert_int_equal(tikv_snapshot_u64(snapshot, TIKV_SNAPSHOT_LOCKS), 0);
    assert_int_equal(tikv_cluster_calls(kv.cluster, "tikv.KvCheckTxnStatus"),
                     0);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* A batch is what an iteration is, whatever its size, without what is not
 * there. */
static void
reads__batches_are_what_iterations_are(void **state)
{
    static const size_t counts[] = { 1, 96, 1000 };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        size_t count = counts[i] + 1;
        char(*names)[32] = tk_alloc(count * sizeof(*names));
        tikv_slice *keys = tk_alloc(count * sizeof(*keys));
        tikv_snapshot *snapshot;
        tikv_pairs *pairs;
        tikv_txn *txn;
        struct kv kv;
        size_t j;

        kv_open_plain(&kv);
        write_numbers(&kv, counts[i]);
        txn_split(&kv, "k000048");
        for (j = 0; j < counts[i]; j++) {
            keys[j] = kv_number(names[j], sizeof(names[j]), "k", j);
        }
        keys[counts[i]] = kv_text("nobody");
        snapshot = open_at(&kv, 0);
        kv_ok(tikv_snapshot_batch_get(snapshot, keys, count, NULL, &pairs));
        assert_int_equal(tikv_pairs_count(pairs), count);
        for (j = 0; j < counts[i]; j++) {
            assert_true(kv_equal(tikv_pairs_data(pairs)[j].value, keys[j]));
        }
        assert_null(tikv_pairs_data(pairs)[counts[i]].value.data);
        tikv_pairs_free(pairs);
        assert_int_equal(count_rows(snapshot, kv_range("", ""), 0, 0),
                         counts[i]);
        tikv_snapshot_free(snapshot);
        txn = txn_begin(kv.client);
        for (j = 0; j < counts[i]; j++) {
            kv_ok(tikv_txn_delete(txn, keys[j]));
        }
        txn_commit(txn);
        snapshot = open_at(&kv, 0);
        assert_int_equal(count_rows(snapshot, kv_range("", ""), 0, 0), 0);
        tikv_snapshot_free(snapshot);
        kv_close(&kv);
        tk_free(names);
        tk_free(keys);
    }
}

/* The whole space of 32 bit in so many scans; the rows they find. */
static size_t
scan_in_parts(tikv_snapshot *snapshot, size_t parts)
{
    tikv_pairs *pairs;
    size_t found = 0;
    size_t i;
    size_t j;

    for (i = 0; i < parts; i++) {
        uint8_t ends[2][4];
        tikv_range range = { kv_bytes(ends[0], 4), kv_bytes(ends[1], 4) };

        for (j = 0; j < 8; j++) {
            uint64_t number = ((i + j / 4) << 32) / parts;

            ends[j / 4][j % 4] = (uint8_t)(number >> (24 - 8 * (j % 4)));
        }
        if (i == parts - 1) {
            range.end = KV_ABSENT;
        }
        kv_ok(tikv_snapshot_scan(snapshot, range, NULL, &pairs));
        found += tikv_pairs_count(pairs);
        tikv_pairs_free(pairs);
    }
    return found;
}

/* Sixteen transactions over the whole space of 32 bit, found again in batches,
 * in one scan and in two hundred small ones. */
static void
reads__find_everything_in_parts(void **state)
{
    enum { TXNS = 16, EACH = 16, ALL = TXNS * EACH, SCANS = 201 };
    const uint64_t step = (UINT64_C(1) << 32) / ALL;
    tikv_slice keys[ALL];
    uint8_t bytes[ALL][4];
    tikv_snapshot *snapshot;
    tikv_pairs *pairs;
    struct kv kv;
    size_t i;
    size_t j;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < ALL; i++) {
        uint32_t number = (uint32_t)(i * step);

        for (j = 0; j < 4; j++) {
            bytes[i][j] = (uint8_t)(number >> (24 - 8 * j));
        }
        keys[i] = kv_bytes(bytes[i], 4);
    }
    for (i = 0; i < TXNS; i++) {
        tikv_txn *txn = txn_begin(kv.client);

        for (j = 0; j < EACH; j++) {
            kv_ok(tikv_txn_put(txn, keys[i * EACH + j], keys[i * EACH + j]));
        }
        kv_ok(tikv_txn_batch_get(txn, keys + i * EACH, EACH, NULL, &pairs));
        for (j = 0; j < EACH; j++) {
            assert_non_null(tikv_pairs_data(pairs)[j].value.data);
        }
        tikv_pairs_free(pairs);
        txn_commit(txn);
    }
    snapshot = open_at(&kv, 0);
    kv_ok(tikv_snapshot_batch_get(snapshot, keys, ALL, NULL, &pairs));
    for (i = 0; i < ALL; i++) {
        assert_true(kv_equal(tikv_pairs_data(pairs)[i].value, keys[i]));
    }
    tikv_pairs_free(pairs);
    kv_ok(tikv_snapshot_scan(snapshot, kv_range("", ""), NULL, &pairs));
    assert_int_equal(tikv_pairs_count(pairs), ALL);
    tikv_pairs_free(pairs);
    assert_int_equal(scan_in_parts(snapshot, SCANS), ALL);
    tikv_snapshot_free(snapshot);
    kv_close(&kv);
}

/* ---- scans of transactions ---- */

static void
reads__scans_of_transactions(void **state)
{
    static const struct {
        const char *start;
        const char *end;
        uint32_t flags;
        uint32_t limit;
        const char *expected;
    } rows[] = {
        { "a", "d", 0, 0, "a b c" },
        { "a", "c\x01", TIKV_SCAN_KEYS_ONLY, 0, "a b c" },
        { "a", "c\x01", TIKV_SCAN_REVERSE, 0, "c b a" },
        { "a", "c\x01", TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY, 0, "c b a" },
        { "a", "", 0, 3, "a b c" },
        { "", "", TIKV_SCAN_REVERSE, 2, "d c" },
    };
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    for (i = 0; i < 4; i++) {
        const char name[2] = { (char)('a' + i), '\0' };

        txn_set(kv.client, name, "v");
    }
    for (i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
        tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
        tikv_range range = kv_range(rows[i / 2].start, rows[i / 2].end);
        tikv_txn *txn = txn_begin(kv.client);
        tikv_snapshot *snapshot = open_at(&kv, 0);
        char text[64] = "";
        tikv_pairs *pairs;
        size_t j;

        options.flags = rows[i / 2].flags;
        options.page_count = rows[i / 2].limit;
        if (i % 2 == 0) {
            kv_ok(tikv_txn_scan(txn, range, &options, &pairs));
        } else {
            kv_ok(tikv_snapshot_scan(snapshot, range, &options, &pairs));
        }
        for (j = 0; j < tikv_pairs_count(pairs); j++) {
            const tikv_pair *pair = &tikv_pairs_data(pairs)[j];

            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                     j == 0 ? "" : " ", (int)pair->key.len,
                     (const char *)pair->key.data);
            assert_int_equal(pair->value.data == NULL,
                             (options.flags & TIKV_SCAN_KEYS_ONLY) != 0);
        }
        assert_string_equal(text, rows[i / 2].expected);
        tikv_pairs_free(pairs);
        tikv_snapshot_free(snapshot);
        tikv_txn_free(txn);
    }
    kv_close(&kv);
}

static void
reads__tell_what_exists(void **state)
{
    tikv_txn *txn;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    txn_set(kv.client, "there", "1");
    txn_set(kv.client, "going", "1");
    txn = txn_begin(kv.client);
    txn_put(txn, "own", "1");
    kv_ok(tikv_txn_delete(txn, kv_text("going")));
    txn_expect(txn, "own", "1");
    txn_expect(txn, "there", "1");
    txn_expect(txn, "going", NULL);
    txn_expect(txn, "nowhere", NULL);
    tikv_txn_free(txn);
    expect_at(&kv, 0, "there", "1");
    expect_at(&kv, 0, "going", "1");
    expect_at(&kv, 0, "own", NULL);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(reads__see_what_was_committed_before_them),
        harness_test(reads__scan_any_number_of_rows),
        harness_test(reads__committed_pass_locks_by),
        harness_test(reads__batches_are_what_iterations_are),
        harness_test(reads__find_everything_in_parts),
        harness_test(reads__scans_of_transactions),
        harness_test(reads__tell_what_exists),
    };

    return harness_run(tests);
}
