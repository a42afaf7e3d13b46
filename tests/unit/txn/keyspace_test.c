/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions in a keyspace of API V2: the same keys as everywhere for whoever
 * uses the library, prefixed ones on the wire. What comes back, conflicts and
 * locks, is without prefix again, and another keyspace sees nothing.
 */
#include "unit/txn/attempt.h"

#include "base/value.h"
#include "txn/locks.h"
#include "txn/snapshot.h"

/* A new keyspace, and a client in it. */
static void
place_in(struct place *place, const char *name, struct place *out)
{
    struct tk_router router = place->w->router;

    world_ok(tk_cluster_keyspace_create(place->w->cluster, name, NULL, true,
                                        &router.codec.keyspace_id));
    router.codec.mode = TK_KEYS_RAW_V2;
    out->w = place->w;
    world_ok(tk_txn_client_new(&router, &out->client));
    out->router = &out->client->router;
}

static void
reads(struct place *place, const char *key, const char *wanted)
{
    struct tk_snapshot_options options = { .version = data_ts(place->router) };
    struct tk_snapshot *snapshot = tk_snapshot_new(place->client, &options);
    tikv_slice slice = tk_slice_text(key);
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found = { .commit_ts = 0 };
    struct tk_op op;

    place_begin(place, &op);
    world_ok(tk_snapshot_get(snapshot, &op, &slice, 1, false, hold, &found));
    tk_op_fini(&op);
    assert_int_equal(found.value.data != NULL, wanted != NULL);
    assert_true(wanted == NULL ||
                tk_slice_equal(found.value, tk_slice_text(wanted)));
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static size_t
locks_of(struct place *place, struct tk_lock_set *out)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    struct tk_backoff backoff;
    struct tk_buf next;
    bool has_ended;
    struct tk_op op;

    tk_buf_init(&next, 1000);
    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_locks_scan(place->client, &op, &backoff, all,
                           data_ts(place->router), 100, out, &next,
                           &has_ended));
    tk_op_fini(&op);
    tk_buf_fini(&next);
    assert_true(has_ended);
    return out->count;
}

static void
expect_no_lock(struct place *place)
{
    struct tk_lock_set locks;

    tk_lock_set_init(&locks);
    assert_int_equal(locks_of(place, &locks), 0);
    tk_lock_set_fini(&locks);
}

static void
conflicts(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    tikv_error *error;
    struct try try;

    try_init(&try, place, ONE_PHASE);
    put(&try, "b");
    world_ok(commit_at(&try, data_ts(place->router)));
    try_fini(&try);
    try_init(&try, place, TWO_PHASES);
    put_all(&try, DATA_KEYS("a", "b"));
    error = commit_at(&try, start_ts);
    assert_true(tk_slice_equal(tikv_error_key(error), tk_slice_text("b")));
    assert_true(tk_slice_equal(tikv_error_bytes(error, TIKV_ERROR_PRIMARY),
                               tk_slice_text("a")));
    commit_code(error, TIKV_ERR_WRITE_CONFLICT);
    finish(&try);
    expect_no_lock(place);
    try_fini(&try);
}

/* It goes no further than its locks. */
static tikv_error *
die(uint64_t ts, void *arg)
{
    (void)ts;
    (void)arg;
    return tikv_error_new(TIKV_ERR_USER, "dead");
}

/* The locks of a dead one are met, shown, and resolved. */
static void
meets_lock(struct place *place)
{
    uint64_t start_ts = data_ts(place->router);
    struct tk_lock_set locks;
    struct try try;

    try_init(&try, place, TWO_PHASES);
    try.rules.commit_check = die;
    put_all(&try, DATA_KEYS("b", "c"));
    commit_code(commit_at(&try, start_ts), TIKV_ERR_USER);
    try_fini(&try);
    tk_lock_set_init(&locks);
    assert_int_equal(locks_of(place, &locks), 2);
    assert_true(tk_slice_equal(locks.data[1].key, tk_slice_text("c")));
    assert_true(tk_slice_equal(locks.data[1].primary, tk_slice_text("b")));
    assert_int_equal(locks.data[1].start_ts, start_ts);
    tk_lock_set_fini(&locks);
    place_outlive(place, start_ts, 4000);
    try_init(&try, place, ASYNC);
    put_all(&try, DATA_KEYS("b", "c"));
    world_ok(commit_at(&try, data_ts(place->router)));
    assert_int_equal(try.commit.summary.rounds, 2);
    finish(&try);
    expect_no_lock(place);
    try_fini(&try);
}

static void
two_keyspaces(struct place *place)
{
    struct place in[2];
    int strategy;
    int i;

    for (i = 0; i < 2; i++) {
        place_in(place, i == 0 ? "one" : "two", &in[i]);
    }
    for (strategy = TWO_PHASES; strategy < STRATEGIES; strategy++) {
        for (i = 0; i < 2; i++) {
            struct try try;

            try_init(&try, &in[i], (enum strategy)strategy);
            world_ok(tk_buffer_set(try.buffer, tk_slice_text("k"),
                                   tk_slice_text(i == 0 ? "one" : "two"), 0));
            world_ok(tk_buffer_set(try.buffer, tk_slice_text(""),
                                   tk_slice_text("empty"), 0));
            world_ok(commit_at(&try, data_ts(in[i].router)));
            assert_int_equal(try.commit.in_one_phase, strategy == ONE_PHASE);
            finish(&try);
            try_fini(&try);
        }
        reads(&in[0], "k", "one");
        reads(&in[1], "k", "two");
        reads(&in[1], "", "empty");
    }
    for (i = 0; i < 2; i++) {
        conflicts(&in[i]);
        meets_lock(&in[i]);
        reads(&in[1 - i], "c", i == 0 ? NULL : "v");
    }
    world_shut(place->w);
    tk_txn_client_free(in[0].client);
    tk_txn_client_free(in[1].client);
}

static void
keyspace__is_a_world_of_its_own(void **state)
{
    static const struct world_plan plan = {
        .cluster = { .stores_count = 1,
                     .pds_count = 1,
                     .regions_count = 1,
                     .api = TIKV_CLUSTER_API_V2 },
    };

    (void)state;
    place_body = two_keyspaces;
    world_sim(1, &plan, place_main);
    world_sim(2, &plan, place_main);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(keyspace__is_a_world_of_its_own),
    };

    return harness_run(tests);
}
