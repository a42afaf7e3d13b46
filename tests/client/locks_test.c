/* SPDX-License-Identifier: Apache-2.0 */
/* Looking for locks and ending them, by the public functions. timeout: 120 */
#include "fixture/kv.h"

#include "api/client.h"
#include "fixture/data.h"
#include "wire/key.h"

enum { KEYS = 60 };

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

/* Locks on k00 .. k59, the even ones dead, over three regions. */
static void
leave(const struct kv *kv)
{
    static const char *const bounds[] = { "k20", "k40" };
    struct tk_buf encoded;
    size_t i;

    tk_buf_init(&encoded, 1000);
    for (i = 0; i < 2; i++) {
        tk_buf_clear(&encoded);
        tk_key_encode(&encoded, kv_text(bounds[i]));
        kv_ok(tikv_cluster_split(kv->cluster, tk_buf_slice(&encoded)));
    }
    tk_buf_fini(&encoded);
    for (i = 0; i < KEYS; i++) {
        char key[8];
        struct data_write write = { .start_ts = data_ts(router_of(kv)),
                                    .keys = DATA_KEYS(key),
                                    .value = "v",
                                    .txn_size = 1,
                                    .ttl_ms = i % 2 == 0 ? 1 : 60000 };

        snprintf(key, sizeof(key), "k%02zu", i);
        data_prewrite(router_of(kv), &write);
    }
}

static void
locks__are_listed_page_by_page(void **state)
{
    static const uint32_t limits[] = { 1, 7, 20, 21, 1000 };
    struct kv kv;
    size_t l;

    (void)state;
    kv_open_plain(&kv);
    leave(&kv);
    for (l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
        tikv_range range = kv_range("k01", "k59");
        tikv_locks *before = NULL;
        size_t next = 1;
        bool more = true;

        while (more) {
            tikv_lock_info lock = { .struct_size = sizeof(lock) };
            tikv_locks *locks;
            size_t i;

            kv_ok(
                tikv_locks_scan(kv.client, range, 0, limits[l], NULL, &locks));
            for (i = 0; tikv_locks_at(locks, i, &lock); i++) {
                char key[8];

                snprintf(key, sizeof(key), "k%02zu", next++);
                assert_true(kv_equal(lock.key, kv_text(key)));
                assert_true(kv_equal(lock.primary, kv_text(key)));
                assert_int_equal(lock.kind, TIKV_LOCK_PUT);
                assert_int_equal(lock.txn_size, 1);
                assert_true(lock.start_ts != 0);
            }
            assert_int_equal(i, tikv_locks_count(locks));
            more = tikv_locks_next(locks, &range);
            tikv_locks_free(before);
            before = locks;
        }
        assert_int_equal(next, 59);
        tikv_locks_free(before);
    }
    kv_close(&kv);
}

static void
locks__of_later_transactions_are_left_out(void **state)
{
    struct kv kv;
    struct data_write late = { .keys = DATA_KEYS("z"), .value = "v" };
    tikv_locks *locks;
    uint64_t between;
    uint64_t count;

    (void)state;
    kv_open_plain(&kv);
    leave(&kv);
    between = data_ts(router_of(&kv));
    late.start_ts = data_ts(router_of(&kv));
    data_prewrite(router_of(&kv), &late);
    kv_ok(
        tikv_locks_scan(kv.client, kv_range("", ""), between, 0, NULL, &locks));
    while (tikv_locks_count(locks) != 0) {
        tikv_lock_info lock = { .struct_size = sizeof(lock) };
        tikv_range rest;
        tikv_locks *next;

        assert_true(tikv_locks_at(locks, 0, &lock));
        assert_true(lock.start_ts <= between);
        if (!tikv_locks_next(locks, &rest)) {
            break;
        }
        kv_ok(tikv_locks_scan(kv.client, rest, between, 0, NULL, &next));
        tikv_locks_free(locks);
        locks = next;
    }
    tikv_locks_free(locks);
    kv_ok(
        tikv_locks_resolve(kv.client, kv_range("", ""), between, NULL, &count));
    assert_int_equal(count, KEYS);
    assert_int_equal(data_locks(router_of(&kv), NULL), 1);
    kv_ok(tikv_locks_resolve(kv.client, kv_range("", ""), 0, NULL, NULL));
    assert_int_equal(data_locks(router_of(&kv), NULL), 0);
    kv_fails(tikv_locks_scan(kv.client, kv_range("", ""),
                             UINT64_C(9000000000000000000), 0, NULL, &locks),
             TIKV_ERR_ARGUMENT);
    kv_close(&kv);
}

/* Lesson 22. */
static void
lesson_22__a_lock_scan_says_version_and_end(void **state)
{
    struct kv kv;
    uint64_t count;

    (void)state;
    kv_open_plain(&kv);
    leave(&kv);
    kv_ok(
        tikv_locks_resolve(kv.client, kv_range("k10", "k30"), 0, NULL, &count));
    assert_int_equal(count, 20);
    assert_int_equal(data_locks(router_of(&kv), NULL), KEYS - 20);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(locks__are_listed_page_by_page),
        harness_test(locks__of_later_transactions_are_left_out),
        harness_test(lesson_22__a_lock_scan_says_version_and_end),
    };

    return harness_run(tests);
}
