/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions in a keyspace of API V2: the same keys as everywhere for whoever
 * uses the library, prefixed ones on the wire. What comes back, conflicts and
 * locks, is without prefix again, and another keyspace sees nothing.
 * timeout: 120
 */
#include "unit/txn/attempt.h"

#include "base/error.h"
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

static struct tk_snapshot *
snapshot_now(struct place *place)
{
    struct tk_snapshot_options options = { .version = data_ts(place->router) };
    struct tk_snapshot *snapshot = tk_snapshot_new(place->client, &options);

    assert_non_null(snapshot);
    return snapshot;
}

static void
reads(struct place *place, const char *key, const char *wanted)
{
    struct tk_snapshot *snapshot = snapshot_now(place);
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

/* Splits before a key of the keyspace. */
static void
split(struct place *place, const char *key)
{
    struct tk_buf plain;
    struct tk_buf encoded;

    tk_buf_init(&plain, 1000);
    tk_buf_init(&encoded, 1000);
    tk_codec_request_key(&place->router->codec, &plain, tk_slice_text(key));
    tk_key_encode(&encoded, tk_buf_slice(&plain));
    world_ok(tk_cluster_split(place->w->cluster, tk_buf_slice(&encoded)));
    tk_buf_fini(&plain);
    tk_buf_fini(&encoded);
}

/* A batch: their values, "-" for none. */
static void
reads_all(struct place *place, data_keys keys, const char *expected)
{
    struct tk_snapshot *snapshot = snapshot_now(place);
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found[16];
    tikv_slice slices[16];
    char text[128] = "";
    size_t count = 0;
    struct tk_op op;
    size_t i;

    for (; keys[count] != NULL; count++) {
        slices[count] = tk_slice_text(keys[count]);
    }
    place_begin(place, &op);
    world_ok(tk_snapshot_get(snapshot, &op, slices, count, false, hold, found));
    tk_op_fini(&op);
    for (i = 0; i < count; i++) {
        const char *data = (const char *)found[i].value.data;

        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s",
                 i == 0 ? "" : ",", data == NULL ? 1 : (int)found[i].value.len,
                 data == NULL ? "-" : data);
    }
    assert_string_equal(text, expected);
    tikv_pairs_free(hold);
    tk_snapshot_unref(snapshot);
}

static void
scans(struct place *place, tikv_range range, bool reverse, const char *expected)
{
    struct tk_scan_options options = { .page_count = 2, .reverse = reverse };
    struct tk_snapshot *snapshot = snapshot_now(place);

    place_rows(place, snapshot, range, &options, expected);
    tk_snapshot_unref(snapshot);
}

/* Among locks that are committed, dead and alive, over two regions. */
static void
reads_among_locks(struct place *place)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    const tikv_range part = { tk_slice_text("b"), tk_slice_text("d") };
    struct data_write write = { .keys = DATA_KEYS("p", "b"), .value = "2" };

    data_put(place->router, "a", "1");
    data_put(place->router, "b", "1");
    data_put(place->router, "c", "1");
    data_put(place->router, "d", "1");
    split(place, "c");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    data_commit(place->router, write.start_ts, data_ts(place->router),
                DATA_KEYS("p"));
    write.keys = DATA_KEYS("q", "c");
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    write.keys = DATA_KEYS("r", "d");
    write.ttl_ms = 1;
    write.start_ts = data_ts(place->router);
    data_prewrite(place->router, &write);
    place_outlive(place, write.start_ts, 1);
    reads_all(place, DATA_KEYS("b"), "2");
    reads_all(place, DATA_KEYS("d", "a", "x", "c", "b"), "1,1,-,1,2");
    scans(place, all, false, "a=1,b=2,c=1,d=1,p=2");
    scans(place, all, true, "p=2,d=1,c=1,b=2,a=1");
    scans(place, part, true, "c=1,b=2");
}

/* Locks are listed, and named in errors, by the keys of their writers. */
static void
tells_locks(struct place *place)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    struct data_write write = { .start_ts = data_ts(place->router),
                                .keys = DATA_KEYS("b", "y"),
                                .value = "2",
                                .ttl_ms = 600000,
                                .is_async = true,
                                .secondaries = DATA_KEYS("y") };
    struct tk_snapshot *snapshot;
    tikv_slice key = tk_slice_text("y");
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_lock_set found;
    struct tk_backoff backoff;
    struct tk_found value;
    struct tk_buf next;
    tikv_error *error;
    uint64_t count;
    struct tk_op op;
    bool ended;

    split(place, "m");
    data_prewrite(place->router, &write);
    tk_lock_set_init(&found);
    tk_buf_init(&next, 1000);
    tk_backoff_init(&backoff, 20000);
    place_begin(place, &op);
    world_ok(tk_locks_scan(place->client, &op, &backoff, all,
                           data_ts(place->router), 10, &found, &next, &ended));
    assert_int_equal(found.count, 1);
    assert_true(tk_slice_equal(found.data[0].key, tk_slice_text("b")));
    assert_true(tk_slice_equal(found.data[0].primary, tk_slice_text("b")));
    assert_int_equal(found.data[0].secondaries_count, 1);
    assert_true(
        tk_slice_equal(found.data[0].secondaries[0], tk_slice_text("y")));
    assert_false(ended);
    assert_true(tk_slice_equal(tk_buf_slice(&next), tk_slice_text("m")));
    atomic_store(&place->w->config.backoff_txn_read_ms, 50);
    snapshot = snapshot_now(place);
    error = tk_snapshot_get(snapshot, &op, &key, 1, false, hold, &value);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_LOCK_WAIT);
    tikv_error_free(error);
    world_ok(tk_resolver_held_up(place->client->resolver, 10, &found));
    assert_int_equal(found.count, 0);
    /* Its secondaries decide that it is committed. */
    world_ok(tk_locks_resolve(place->client, &op, &backoff, all,
                              data_ts(place->router), &count));
    /* The first of them told of the second, whose lock may still be there when
     * its region is asked: what cleans it goes on behind. */
    assert_in_range(count, 1, place->w->is_sim ? 1 : 2);
    tk_op_fini(&op);
    tk_snapshot_unref(snapshot);
    tk_lock_set_fini(&found);
    tk_buf_fini(&next);
    tikv_pairs_free(hold);
    reads_all(place, DATA_KEYS("b", "y"), "2,2");
    assert_int_equal(data_locks(place->router, NULL), 0);
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

static const struct world_plan plan = {
    .cluster = { .stores_count = 1,
                 .pds_count = 1,
                 .regions_count = 1,
                 .api = TIKV_CLUSTER_API_V2 },
};

static place_fn *keyspace_body;

static void
in_one_keyspace(struct place *place)
{
    struct place in;

    place_in(place, "one", &in);
    keyspace_body(&in);
    world_shut(place->w);
    tk_txn_client_free(in.client);
}

static void
keyspace_run(place_fn *body)
{
    keyspace_body = body;
    place_body = in_one_keyspace;
    world_sim(1, &plan, place_main);
    world_real(&plan, place_main);
}

static void
keyspace__is_a_world_of_its_own(void **state)
{
    (void)state;
    place_body = two_keyspaces;
    world_sim(1, &plan, place_main);
    world_sim(2, &plan, place_main);
}

static void
keyspace__is_read_without_its_prefix(void **state)
{
    (void)state;
    keyspace_run(reads_among_locks);
}

static void
keyspace__locks_are_told_without_its_prefix(void **state)
{
    (void)state;
    keyspace_run(tells_locks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(keyspace__is_a_world_of_its_own),
        harness_test(keyspace__is_read_without_its_prefix),
        harness_test(keyspace__locks_are_told_without_its_prefix),
    };

    return harness_run(tests);
}
