/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending the locks of async commits whose client is gone: all their keys are
 * locked, so they are committed, however far the client came; unless one of
 * them fell back. timeout: 120
 */
#include "client/txn_words.h"

#include "api/client.h"
#include "fixture/data.h"

enum { KEYS = 128 };

/* Keys k000 ..., by their numbers. */
struct crowd {
    char names[KEYS][8];
    const char *keys[KEYS + 1];
    const char *others[KEYS + 1]; /* all but the first */
};

static struct tk_router *
router_of(const struct kv *kv)
{
    return &kv->client->txns->router;
}

static void
name_keys(struct crowd *crowd)
{
    size_t i;

    memset(crowd, 0, sizeof(*crowd));
    for (i = 0; i < KEYS; i++) {
        snprintf(crowd->names[i], sizeof(crowd->names[i]), "k%03u",
                 (unsigned)i);
        crowd->keys[i] = crowd->names[i];
        if (i > 0) {
            crowd->others[i - 1] = crowd->names[i];
        }
    }
}

/* A whole async commit, up to the locks. */
static uint64_t
lock_all(const struct kv *kv, const struct crowd *crowd)
{
    struct data_write write = { .start_ts = data_ts(router_of(kv)),
                                .keys = crowd->keys,
                                .value = "v",
                                .ttl_ms = 60000,
                                .is_async = true,
                                .secondaries = crowd->others };

    data_prewrite(router_of(kv), &write);
    return write.start_ts;
}

/* The least timestamp all locks agree to. */
static uint64_t
commit_ts_of(const struct kv *kv)
{
    struct tk_lock_set locks;
    uint64_t ts = 0;
    size_t i;

    tk_lock_set_init(&locks);
    assert_int_equal(data_locks(router_of(kv), &locks), KEYS);
    for (i = 0; i < KEYS; i++) {
        ts =
            locks.data[i].min_commit_ts > ts ? locks.data[i].min_commit_ts : ts;
    }
    tk_lock_set_fini(&locks);
    return ts;
}

static void
expect_all(const struct kv *kv, const struct crowd *crowd, const char *value)
{
    size_t i;

    for (i = 0; i < KEYS; i += 9) {
        txn_sees(kv->client, crowd->keys[i], value);
    }
}

/* How many keys the client had committed when it went: none, the primary
 * with every other one, all. */
static void
locks__of_async_commits_are_committed_wherever_they_stand(void **state)
{
    static struct crowd crowd;
    int stage;

    (void)state;
    name_keys(&crowd);
    for (stage = 0; stage < 3; stage++) {
        const char *done[KEYS + 1] = { NULL };
        uint64_t start_ts;
        uint64_t count;
        size_t left = KEYS;
        struct kv kv;
        size_t i;

        kv_open_plain(&kv);
        txn_split(&kv, "k040");
        txn_split(&kv, "k080");
        start_ts = lock_all(&kv, &crowd);
        for (i = 0; stage > 0 && i < KEYS; i += stage == 1 ? 2 : 1) {
            done[KEYS - left--] = crowd.keys[i];
        }
        if (stage > 0) {
            data_commit(router_of(&kv), start_ts, commit_ts_of(&kv), done);
        }
        assert_int_equal(data_locks(router_of(&kv), NULL), left);
        /* A part of the range first. */
        kv_ok(tikv_locks_resolve(kv.client, kv_range("k001", "k126"), 0, NULL,
                                 &count));
        assert_true(left == 0 || count > 0);
        {
            tikv_locks *locks;

            kv_ok(tikv_locks_scan(kv.client, kv_range("k001", "k126"), 0, 0,
                                  NULL, &locks));
            assert_int_equal(tikv_locks_count(locks), 0);
            tikv_locks_free(locks);
        }
        kv_ok(tikv_locks_resolve(kv.client, kv_range("", ""), 0, NULL, NULL));
        expect_all(&kv, &crowd, "v");
        txn_leaves_no_lock(&kv);
        kv_close(&kv);
    }
}

/* One plain lock among them. */
static void
locks__of_async_commits_that_fell_back_are_ended(void **state)
{
    static struct crowd crowd;
    struct data_write write = { .value = "v", .ttl_ms = 60000 };
    struct kv kv;

    (void)state;
    name_keys(&crowd);
    kv_open_plain(&kv);
    write.start_ts = data_ts(router_of(&kv));
    write.keys = (const char *const[]){ crowd.keys[0], crowd.keys[1], NULL };
    write.is_async = true;
    write.secondaries = crowd.others;
    data_prewrite(router_of(&kv), &write);
    write.is_async = false;
    write.primary = crowd.keys[0];
    write.keys = &crowd.others[1];
    write.secondaries = NULL;
    data_prewrite(router_of(&kv), &write);
    kv_ok(tikv_locks_resolve(kv.client, kv_range("", ""), 0, NULL, NULL));
    expect_all(&kv, &crowd, NULL);
    txn_leaves_no_lock(&kv);
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(locks__of_async_commits_are_committed_wherever_they_stand),
        harness_test(locks__of_async_commits_that_fell_back_are_ended),
    };

    return harness_run(tests);
}
