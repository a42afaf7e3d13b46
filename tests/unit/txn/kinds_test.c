/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of every kind, as readers and writers meet them: pessimistic, shared,
 * of files, with odd timestamps, of async commits that are half decided.
 * timeout: 120 */
#include "unit/txn/place.h"

#include "txn/snapshot.h"
#include "unit/region/spy.h"

static const struct world_plan spied = {
    .cluster = { .stores_count = 1, .pds_count = 1, .regions_count = 1 },
    .wrap = spy_new,
};

/* What a snapshot finds under a key; "-": nothing. */
static void
expect_at(struct place *place, uint64_t version, const char *key,
          const char *value)
{
    struct tk_snapshot_options options = { .version = version };
    struct tk_snapshot *snapshot = tk_snapshot_new(place->client, &options);
    tikv_slice slice = tk_slice_text(key);
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found;
    struct tk_op op;

    assert_non_null(snapshot);
    place_begin(place, &op);
    world_ok(tk_snapshot_get(snapshot, &op, &slice, 1, false, hold, &found));
    tk_op_fini(&op);
    if (strcmp(value, "-") == 0) {
        assert_null(found.value.data);
    } else {
        assert_true(tk_slice_equal(found.value, tk_slice_text(value)));
    }
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

/* ---- pessimistic ---- */

/* The lock of the primary is gone: nothing is known of the transaction, its
 * locks go one by one, and what it holds anew stays. */
static void
primary_gone(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a", "b"),
                               .primary = "a",
                               .ttl_ms = 20 };
    struct data_write other = { .keys = DATA_KEYS("b") };
    struct place_round round;

    data_lock(place->router, &lock);
    place_outlive(place, lock.start_ts, 20);
    /* The first who asks rolls the primary's lock back, the second finds
     * nothing: neither is an end of the transaction. */
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    lock.keys = DATA_KEYS("b");
    data_lock(place->router, &lock);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 0);
    assert_int_equal(
        tk_resolver_stat(place->client->resolver, TK_RESOLVER_ROLLED_BACK), 0);
    other.start_ts = data_ts(place->router);
    data_lock(place->router, &other);
    /* An unlock of an earlier statement does nothing. */
    other.for_update_ts = other.start_ts - 1;
    data_unlock(place->router, &other);
    assert_int_equal(data_locks(place->router, NULL), 1);
    other.for_update_ts = other.start_ts;
    data_unlock(place->router, &other);
    assert_int_equal(data_locks(place->router, NULL), 0);
}

static void
kinds__a_lost_pessimistic_primary_frees_its_secondaries(void **state)
{
    (void)state;
    place_run(primary_gone);
}

/* A prewritten secondary, while the primary is still a pessimistic lock. */
static void
push(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a", "b"),
                               .primary = "a",
                               .ttl_ms = 10000 };
    struct data_write write = { .start_ts = lock.start_ts,
                                .keys = DATA_KEYS("b"),
                                .primary = "a",
                                .value = "v",
                                .ttl_ms = 10000,
                                .for_update_ts = lock.start_ts };
    int64_t begun;

    lock.min_commit_ts = lock.start_ts + 1;
    data_lock(place->router, &lock);
    data_prewrite(place->router, &write);
    begun = tk_now(place->w->rt);
    expect_at(place, data_ts(place->router), "b", "-");
    assert_true(tk_now(place->w->rt) - begun < 500 * TK_MS);
    assert_int_equal(data_locks(place->router, NULL), 2);
}

static void
kinds__a_pessimistic_primary_can_be_pushed(void **state)
{
    (void)state;
    place_run(push);
}

/* Lesson 35: whoever writes waits for the living, whatever its kind. */
static void
alive(struct place *place)
{
    struct data_write lock = { .start_ts = data_ts(place->router),
                               .keys = DATA_KEYS("a") };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b"),
                                .value = "v" };
    struct place_round round;
    unsigned i;

    data_lock(place->router, &lock);
    data_prewrite(place->router, &write);
    for (i = 0; i < 3; i++) {
        place_resolve(place, &round, data_ts(place->router), false);
        world_ok(round.error);
        assert_in_range(round.resolve.wait_ms, 1, 3000);
        place_forget(&round);
    }
    assert_int_equal(data_locks(place->router, NULL), 2);
    assert_int_equal(place_calls(place, "tikv.KvResolveLock"), 0);
    assert_int_equal(place_calls(place, "tikv.KVPessimisticRollback"), 0);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("b"));
}

static void
lesson_35__a_writer_ends_nobody_who_lives(void **state)
{
    (void)state;
    place_run(alive);
}

/* Several transactions hold one key together: each is looked at by itself. */
static void
shared(struct place *place)
{
    struct data_write dead = { .keys = DATA_KEYS("k"),
                               .primary = "a",
                               .ttl_ms = 20,
                               .is_shared = true };
    struct data_write live = { .keys = DATA_KEYS("k"),
                               .primary = "b",
                               .ttl_ms = 60000,
                               .is_shared = true };
    struct tk_lock_set locks;
    struct place_round round;

    data_put(place->router, "k", "v");
    dead.start_ts = data_ts(place->router);
    data_lock(place->router, &dead);
    live.start_ts = data_ts(place->router);
    data_lock(place->router, &live);
    tk_lock_set_init(&locks);
    assert_int_equal(data_locks(place->router, &locks), 1);
    assert_int_equal(locks.count, 2);
    assert_true(tk_lock_is_pessimistic(&locks.data[0]));
    assert_true(tk_slice_equal(locks.data[1].key, tk_slice_text("k")));
    place_outlive(place, dead.start_ts, 20);
    /* Nobody who reads is held up. */
    expect_at(place, data_ts(place->router), "k", "v");
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    assert_true(round.resolve.wait_ms > 0);
    place_forget(&round);
    data_locks(place->router, &locks);
    tk_lock_set_clear(&locks);
    data_locks(place->router, &locks);
    assert_int_equal(locks.count, 1);
    assert_int_equal(locks.data[0].start_ts, live.start_ts);
    tk_lock_set_fini(&locks);
}

static void
kinds__shared_locks_are_looked_at_one_by_one(void **state)
{
    (void)state;
    place_run(shared);
}

/* ---- prewritten ---- */

/* A reader of nothing has no timestamp to push to, a reader of the newest
 * needs none. */
static void
no_min_commit(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a"),
                                .value = "v",
                                .min_commit_ts = UINT64_MAX };
    struct place_round round;

    data_prewrite(place->router, &write);
    place_resolve(place, &round, 0, true);
    world_ok(round.error);
    assert_in_range(round.resolve.wait_ms, 1, 3000);
    place_forget(&round);
    place_resolve(place, &round, UINT64_MAX, true);
    world_ok(round.error);
    assert_int_equal(round.resolve.wait_ms, 0);
    assert_true(tk_ts_set_has(&round.bypass, write.start_ts));
    place_forget(&round);
}

static void
kinds__a_lock_without_min_commit_ts_is_passed_by_the_newest(void **state)
{
    (void)state;
    place_run(no_min_commit);
}

/* A read of the newest on a secondary leaves the primary as it is: it can
 * still commit at a timestamp it got before. */
static void
newest_pushes_nobody(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "v" };
    uint64_t commit_ts;

    data_prewrite(place->router, &write);
    commit_ts = data_ts(place->router);
    expect_at(place, UINT64_MAX, "b", "-");
    data_commit(place->router, write.start_ts, commit_ts, DATA_KEYS("a", "b"));
    expect_at(place, commit_ts - 1, "b", "-");
    expect_at(place, commit_ts, "b", "v");
}

static void
kinds__a_read_of_the_newest_pushes_nobody(void **state)
{
    (void)state;
    place_run(newest_pushes_nobody);
}

/* The lock of a file of writes: every request about it says so. */
static void
txn_file(struct place *place)
{
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("a", "b"),
                                .value = "v",
                                .ttl_ms = 20 };
    struct spy *spy = spy_of(place->w->transport);
    struct tk_backoff backoff;
    struct tk_resolve resolve = { .backoff = &backoff };
    struct tk_lock_set locks;
    size_t requests = 0;
    struct tk_op op;
    size_t i;

    data_prewrite(place->router, &write);
    place_outlive(place, write.start_ts, 20);
    tk_lock_set_init(&locks);
    data_locks(place->router, &locks);
    for (i = 0; i < locks.count; i++) {
        locks.data[i].is_txn_file = true;
    }
    tk_backoff_init(&backoff, 20000);
    resolve.caller_start_ts = data_ts(place->router);
    place_begin(place, &op);
    world_ok(
        tk_resolver_resolve(place->client->resolver, &op, &resolve, &locks));
    tk_op_fini(&op);
    tk_lock_set_fini(&locks);
    tk_mutex_lock(&spy->lock);
    for (i = 0; i < spy->count; i++) {
        if (spy->notes[i].command == TK_CMD_KV_CHECK_TXN_STATUS ||
            spy->notes[i].command == TK_CMD_KV_RESOLVE_LOCK) {
            assert_true(spy->notes[i].is_txn_file);
            requests++;
        }
    }
    tk_mutex_unlock(&spy->lock);
    assert_int_equal(requests, 2);
}

static void
kinds__requests_about_files_say_so(void **state)
{
    (void)state;
    place_run_by(&spied, txn_file);
}

/* ---- async commits ---- */

/* No secondaries: the primary alone decides. With some: one that committed
 * tells when, the others follow, nothing else is touched. */
static void
half_decided(struct place *place)
{
    struct data_write alone = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("y"),
                                .value = "v",
                                .ttl_ms = 20,
                                .is_async = true };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("z", "a", "i"),
                                .primary = "z",
                                .value = "v",
                                .ttl_ms = 20,
                                .is_async = true,
                                .secondaries = DATA_KEYS("a", "i") };
    struct data_write bystander = { .start_ts = data_ts(place->router),
                                    .keys = DATA_KEYS("b"),
                                    .value = "v",
                                    .ttl_ms = 60000 };
    struct place_round round;
    uint64_t commit_ts;

    place_split(place, "g");
    place_split(place, "p");
    data_prewrite(place->router, &alone);
    data_prewrite(place->router, &write);
    commit_ts = data_ts(place->router);
    data_commit(place->router, write.start_ts, commit_ts, DATA_KEYS("i"));
    data_prewrite(place->router, &bystander);
    place_outlive(place, write.start_ts, 20);
    place_resolve(place, &round, data_ts(place->router), false);
    world_ok(round.error);
    place_forget(&round);
    assert_int_equal(data_locks(place->router, NULL), 1);
    /* a and i, in regions of their own. */
    assert_int_equal(
        tk_resolver_stat(place->client->resolver, TK_RESOLVER_SECONDARIES), 2);
    assert_int_equal(
        tk_resolver_stat(place->client->resolver, TK_RESOLVER_RECOVERIES), 2);
    expect_at(place, commit_ts - 1, "a", "-");
    expect_at(place, commit_ts, "a", "v");
    expect_at(place, commit_ts, "z", "v");
    expect_at(place, alone.start_ts, "y", "-");
    expect_at(place, data_ts(place->router), "y", "v");
}

static void
kinds__an_async_commit_follows_its_committed_secondary(void **state)
{
    (void)state;
    place_run(half_decided);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(kinds__a_lost_pessimistic_primary_frees_its_secondaries),
        harness_test(kinds__a_pessimistic_primary_can_be_pushed),
        harness_test(lesson_35__a_writer_ends_nobody_who_lives),
        harness_test(kinds__shared_locks_are_looked_at_one_by_one),
        harness_test(
            kinds__a_lock_without_min_commit_ts_is_passed_by_the_newest),
        harness_test(kinds__a_read_of_the_newest_pushes_nobody),
        harness_test(kinds__requests_about_files_say_so),
        harness_test(kinds__an_async_commit_follows_its_committed_secondary),
    };

    return harness_run(tests);
}
