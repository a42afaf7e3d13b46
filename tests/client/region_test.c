/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions as the client's caches have them, through the public functions:
 * finding by key, by id and by range, forgetting, of both kinds of keys.
 */
#include "fixture/kv.h"

static const char *const cuts[] = { "b", "d", "f", NULL };

static tikv_range
everything(void)
{
    return (tikv_range){ KV_ABSENT, KV_ABSENT };
}

static size_t
cached(struct kv *kv, tikv_keys keys, tikv_range range, size_t limit)
{
    tikv_regions *regions;
    size_t count;

    kv_ok(tikv_regions_cached(kv->client, keys, range, limit, &regions));
    count = tikv_regions_count(regions);
    tikv_regions_free(regions);
    return count;
}

/* The only one of a list, freed; the slices are gone. */
static tikv_region_info
only(tikv_regions *regions, const char *start, const char *end)
{
    tikv_region_info info = { .struct_size = sizeof(info) };

    assert_int_equal(tikv_regions_count(regions), 1);
    assert_true(tikv_regions_at(regions, 0, &info));
    assert_true(kv_equal(info.start, kv_text(start)));
    assert_true(kv_equal(info.end, kv_text(end)));
    tikv_regions_free(regions);
    return info;
}

static uint64_t
questions(struct kv *kv)
{
    return tikv_cluster_calls(kv->cluster, "pd.*");
}

static void
region__is_found_at_pd_once(void **state)
{
    tikv_regions *regions;
    tikv_region_info info;
    uint64_t before;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 0);
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("c"), NULL,
                           &regions));
    info = only(regions, "b", "d");
    assert_int_equal(info.id, tikv_cluster_region_of(kv.cluster, kv_text("c")));
    assert_int_equal(info.leader_store_id, 1);
    assert_true(info.version > 0 && info.conf_ver > 0);
    before = questions(&kv);
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("b"), NULL,
                           &regions));
    assert_int_equal(only(regions, "b", "d").id, info.id);
    kv_ok(tikv_region_by_id(kv.client, TIKV_KEYS_RAW, info.id, NULL, &regions));
    assert_int_equal(only(regions, "b", "d").id, info.id);
    assert_int_equal(questions(&kv), before);
    kv_expect(kv.client, "c", NULL);
    assert_int_equal(questions(&kv), before);
    kv_close(&kv);
}

static void
region__of_transactional_keys_is_another(void **state)
{
    tikv_regions *regions;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_ok(tikv_cluster_split_txn(kv.cluster, kv_text("m")));
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_TXN, kv_text("z"), NULL,
                           &regions));
    assert_int_equal(only(regions, "m", "").id,
                     tikv_cluster_region_of_txn(kv.cluster, kv_text("z")));
    assert_int_equal(cached(&kv, TIKV_KEYS_TXN, everything(), 0), 1);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 0);
    kv_close(&kv);
}

static void
region__is_found_by_its_id(void **state)
{
    tikv_regions *regions;
    uint64_t id;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    id = tikv_cluster_region_of(kv.cluster, kv_text("e"));
    kv_ok(tikv_region_by_id(kv.client, TIKV_KEYS_RAW, id, NULL, &regions));
    assert_int_equal(only(regions, "d", "f").id, id);
    kv_ok(tikv_region_by_id(kv.client, TIKV_KEYS_RAW, 424242, NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 0);
    tikv_regions_free(regions);
    /* What the cache believes is older than the region. */
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("dd")));
    id = tikv_cluster_region_of(kv.cluster, kv_text("d"));
    kv_ok(tikv_region_by_id(kv.client, TIKV_KEYS_RAW, id, NULL, &regions));
    assert_int_equal(only(regions, "d", "dd").id, id);
    kv_close(&kv);
}

static void
region__tells_its_peers(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    bool seen[4] = { false };
    tikv_regions *regions;
    tikv_peer_info peer = { .struct_size = sizeof(peer) };
    unsigned leaders = 0;
    unsigned learners = 0;
    uint64_t id;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    id = tikv_cluster_region_of(kv.cluster, kv_text("k"));
    kv_ok(tikv_cluster_transfer_leader(kv.cluster, id, 2));
    kv_ok(tikv_cluster_peer_set(kv.cluster, id, 3, TIKV_CLUSTER_PEER_LEARNER));
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("k"), NULL,
                           &regions));
    for (i = 0; tikv_regions_peer(regions, 0, i, &peer); i++) {
        assert_in_range(peer.store_id, 1, 3);
        seen[peer.store_id] = true;
        if ((peer.flags & TIKV_PEER_IS_LEADER) != 0) {
            leaders++;
            assert_int_equal(peer.store_id, 2);
        }
        if (peer.role == TIKV_PEER_LEARNER) {
            learners++;
            assert_int_equal(peer.store_id, 3);
        }
    }
    assert_int_equal(i, 3);
    assert_true(seen[1] && seen[2] && seen[3]);
    assert_int_equal(leaders, 1);
    assert_int_equal(learners, 1);
    assert_false(tikv_regions_peer(regions, 1, 0, &peer));
    tikv_regions_free(regions);
    /* PD's list has them too. */
    kv_ok(tikv_regions_list(kv.client, everything(), 0, NULL, &regions));
    assert_true(tikv_regions_peer(regions, 0, 2, &peer));
    tikv_regions_free(regions);
    kv_close(&kv);
}

/* The regions of a list follow each other; it is freed. */
static size_t
chained(tikv_regions *regions, const char *start, const char *end)
{
    size_t count = tikv_regions_count(regions);
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_slice at = kv_text(start);
    size_t i;

    for (i = 0; i < count; i++) {
        assert_true(tikv_regions_at(regions, i, &info));
        assert_true(kv_equal(info.start, at));
        at = info.end;
    }
    assert_true(kv_equal(at, kv_text(end)));
    tikv_regions_free(regions);
    return count;
}

/* Bucket by bucket, as PD has them; all the others are whole. */
static void
expect_buckets(const tikv_regions *regions, size_t index, uint64_t version,
               const char *const *keys, size_t count)
{
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_range bucket;
    size_t i;

    assert_true(tikv_regions_at(regions, index, &info));
    assert_int_equal(info.buckets_version, version);
    assert_int_equal(info.buckets_count, count);
    for (i = 0; i < count; i++) {
        assert_true(tikv_regions_bucket(regions, index, i, &bucket));
        assert_true(kv_equal(bucket.start, kv_text(keys[i])));
        assert_true(kv_equal(bucket.end, kv_text(keys[i + 1])));
    }
    assert_false(tikv_regions_bucket(regions, index, count, &bucket));
    assert_false(tikv_regions_bucket(regions, index, 0, NULL));
}

static void
region__tells_its_buckets(void **state)
{
    static const char *const all[] = { "", "b", "ba", "c", "d", "f", "" };
    tikv_slice keys[4];
    tikv_regions *regions;
    tikv_range bucket;
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    for (i = 0; i < 4; i++) {
        keys[i] = kv_text(all[i + 1]);
    }
    kv_ok(tikv_cluster_buckets(kv.cluster,
                               tikv_cluster_region_of(kv.cluster, kv_text("c")),
                               7, keys, 4));
    for (i = 0; i < 2; i++) {
        kv_ok(i == 0 ? tikv_regions_find(kv.client, TIKV_KEYS_RAW,
                                         everything(), 0, NULL, &regions)
                     : tikv_regions_list(kv.client, everything(), 0, NULL,
                                         &regions));
        assert_int_equal(tikv_regions_count(regions), 4);
        expect_buckets(regions, 0, 0, all, 1);
        expect_buckets(regions, 1, 7, all + 1, 3);
        expect_buckets(regions, 2, 0, all + 4, 1);
        expect_buckets(regions, 3, 0, all + 5, 1);
        assert_false(tikv_regions_bucket(regions, 4, 0, &bucket));
        tikv_regions_free(regions);
    }
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("c"), NULL,
                           &regions));
    expect_buckets(regions, 0, 7, all + 1, 3);
    tikv_regions_free(regions);
    kv_close(&kv);
}

static void
regions__are_found_so_that_nobody_asks(void **state)
{
    enum { COUNT = 300 };
    const struct kv_plan plan = { .stores = 1, .regions = COUNT };
    tikv_regions *regions;
    uint64_t before;
    struct kv kv;
    size_t count;

    (void)state;
    kv_open(&kv, &plan);
    kv_split(&kv, cuts);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    count = chained(regions, "", "");
    assert_int_equal(count, tikv_cluster_regions_count(kv.cluster));
    assert_true(count >= COUNT);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), count);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 7), 7);
    /* Many at a time. */
    assert_true(questions(&kv) < COUNT / 4);
    before = questions(&kv);
    kv_expect(kv.client, "a", NULL);
    kv_expect(kv.client, "e", NULL);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, kv_range("c", "e"), 0,
                            NULL, &regions));
    assert_int_equal(tikv_regions_count(regions),
                     cached(&kv, TIKV_KEYS_RAW, kv_range("c", "e"), 0));
    tikv_regions_free(regions);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 5, NULL,
                            &regions));
    assert_int_equal(tikv_regions_count(regions), 5);
    tikv_regions_free(regions);
    assert_int_equal(questions(&kv), before);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, kv_range("e", "b"), 0,
                            NULL, &regions));
    assert_int_equal(tikv_regions_count(regions), 0);
    tikv_regions_free(regions);
    kv_close(&kv);
}

/* What of a range is not cached is asked for, and nothing is left out. */
static void
regions__have_no_gaps(void **state)
{
    tikv_regions *regions;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("c"), NULL,
                           &regions));
    (void)only(regions, "b", "d");
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("z"), NULL,
                           &regions));
    (void)only(regions, "f", "");
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 2);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    assert_int_equal(chained(regions, "", ""), 4);
    /* A region that the cache believes in, and that was split since. */
    kv_ok(tikv_cluster_split(kv.cluster, kv_text("bb")));
    kv_expect(kv.client, "b", NULL);
    kv_expect(kv.client, "c", NULL);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    assert_int_equal(chained(regions, "", ""), 5);
    kv_close(&kv);
}

static void
region__before_a_key_ends_there_or_holds_it(void **state)
{
    tikv_regions *regions;
    tikv_future *future;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    kv_ok(tikv_region_before(kv.client, TIKV_KEYS_RAW, kv_text("d"), NULL,
                             &regions));
    (void)only(regions, "b", "d");
    kv_ok(tikv_region_before(kv.client, TIKV_KEYS_RAW, kv_text("e"), NULL,
                             &regions));
    (void)only(regions, "d", "f");
    kv_ok(tikv_region_before(kv.client, TIKV_KEYS_RAW, KV_ABSENT, NULL,
                             &regions));
    (void)only(regions, "f", "");
    future = tikv_region_before_async(kv.client, TIKV_KEYS_RAW, kv_text("b"),
                                      NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_regions(future, &regions));
    (void)only(regions, "", "b");
    tikv_future_free(future);
    kv_close(&kv);
}

/* All peers of it are asked; nobody knows who leads. */
static void
region__without_a_leader_is_found(void **state)
{
    const struct kv_plan plan = { .stores = 3 };
    tikv_peer_info peer = { .struct_size = sizeof(peer) };
    tikv_regions *regions;
    struct kv kv;
    uint64_t id;

    (void)state;
    kv_open(&kv, &plan);
    id = tikv_cluster_region_of(kv.cluster, kv_text("k"));
    kv_ok(tikv_cluster_transfer_leader(kv.cluster, id, 0));
    assert_int_equal(tikv_cluster_leader_of(kv.cluster, id), 0);
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("k"), NULL,
                           &regions));
    assert_int_equal(tikv_regions_count(regions), 1);
    assert_true(tikv_regions_peer(regions, 0, 2, &peer));
    tikv_regions_free(regions);
    kv_close(&kv);
}

static void
regions__forgotten_are_asked_for_again(void **state)
{
    tikv_regions *regions;
    uint64_t id;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    assert_int_equal(chained(regions, "", ""), 4);
    /* Those of c and e, by the range that touches them. */
    tikv_regions_forget(kv.client, TIKV_KEYS_RAW, kv_range("c", "e"));
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 2);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, kv_range("b", "f"), 0), 0);
    id = tikv_cluster_region_of(kv.cluster, kv_text("a"));
    tikv_region_forget(kv.client, TIKV_KEYS_RAW, id);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 1);
    kv_ok(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("a"), NULL,
                           &regions));
    assert_int_equal(only(regions, "", "b").id, id);
    tikv_regions_forget(kv.client, TIKV_KEYS_RAW, everything());
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), 0);
    kv_put(kv.client, "c", "still works");
    kv_expect(kv.client, "c", "still works");
    kv_close(&kv);
}

static void
regions__led_by_a_store_are_forgotten(void **state)
{
    enum { COUNT = 200 }; /* more than are looked at at a time */
    const struct kv_plan plan = { .stores = 3, .regions = COUNT };
    tikv_region_info info = { .struct_size = sizeof(info) };
    tikv_regions *regions;
    size_t at_second = 0;
    struct kv kv;
    size_t count;
    size_t i;

    (void)state;
    kv_open(&kv, &plan);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    count = tikv_regions_count(regions);
    for (i = 0; i < count; i++) {
        assert_true(tikv_regions_at(regions, i, &info));
        at_second += info.leader_store_id == 2;
    }
    tikv_regions_free(regions);
    assert_in_range(at_second, 1, count - 1);
    tikv_store_forget(kv.client, TIKV_KEYS_TXN, 2);
    tikv_store_forget(kv.client, TIKV_KEYS_RAW, 77);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0), count);
    tikv_store_forget(kv.client, TIKV_KEYS_RAW, 2);
    assert_int_equal(cached(&kv, TIKV_KEYS_RAW, everything(), 0),
                     count - at_second);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    assert_int_equal(chained(regions, "", ""), count);
    kv_close(&kv);
}

static void
regions__are_promised_too(void **state)
{
    tikv_regions *regions;
    tikv_future *futures[3];
    struct kv kv;
    size_t i;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    futures[0] =
        tikv_region_find_async(kv.client, TIKV_KEYS_RAW, kv_text("e"), NULL);
    futures[1] = tikv_region_by_id_async(
        kv.client, TIKV_KEYS_RAW,
        tikv_cluster_region_of(kv.cluster, kv_text("c")), NULL);
    futures[2] = tikv_regions_find_async(kv.client, TIKV_KEYS_RAW, everything(),
                                         0, NULL);
    assert_true(tikv_future_wait_all(futures, 3, 10000));
    kv_fails(tikv_future_take_done(futures[0]), TIKV_ERR_KIND);
    kv_ok(tikv_future_take_regions(futures[0], &regions));
    (void)only(regions, "d", "f");
    kv_fails(tikv_future_take_regions(futures[0], &regions), TIKV_ERR_TAKEN);
    assert_null(regions);
    kv_ok(tikv_future_take_regions(futures[1], &regions));
    (void)only(regions, "b", "d");
    kv_ok(tikv_future_take_regions(futures[2], NULL));
    for (i = 0; i < 3; i++) {
        tikv_future_free(futures[i]);
    }
    /* Nobody takes it. */
    futures[0] =
        tikv_region_find_async(kv.client, TIKV_KEYS_RAW, kv_text("e"), NULL);
    assert_true(tikv_future_wait(futures[0], 10000));
    tikv_future_free(futures[0]);
    kv_close(&kv);
}

/* A list is the caller's: neither the cache nor the client is in it. */
static void
regions__outlive_the_client(void **state)
{
    tikv_regions *regions;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_split(&kv, cuts);
    kv_ok(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 0, NULL,
                            &regions));
    tikv_regions_forget(kv.client, TIKV_KEYS_RAW, everything());
    kv_close(&kv);
    assert_int_equal(chained(regions, "", ""), 4);
}

/* PD answers nobody. */
static void
region__is_sought_until_the_deadline(void **state)
{
    tikv_call call = TIKV_CALL_INIT;
    tikv_regions *regions;
    tikv_future *futures[2];
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    (void)kv_fault(&kv, "on=pd.* do=drop_response");
    call.timeout_ms = 50;
    kv_fails(tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("k"), &call,
                              &regions),
             TIKV_ERR_TIMEOUT);
    assert_null(regions);
    kv_fails(tikv_regions_find(kv.client, TIKV_KEYS_RAW, everything(), 1, &call,
                               &regions),
             TIKV_ERR_TIMEOUT);
    assert_null(regions);
    call.timeout_ms = TIKV_FOREVER;
    futures[0] =
        tikv_region_find_async(kv.client, TIKV_KEYS_TXN, kv_text("k"), &call);
    futures[1] = tikv_region_by_id_async(kv.client, TIKV_KEYS_RAW, 1, &call);
    assert_false(tikv_future_wait(futures[0], 10));
    tikv_future_cancel(futures[0]);
    tikv_future_cancel(futures[1]);
    assert_true(tikv_future_wait_all(futures, 2, 10000));
    kv_fails(tikv_future_take_regions(futures[0], &regions),
             TIKV_ERR_CANCELLED);
    assert_null(regions);
    kv_fails(tikv_future_take_regions(futures[1], NULL), TIKV_ERR_CANCELLED);
    tikv_future_free(futures[0]);
    tikv_future_free(futures[1]);
    kv_close(&kv);
}

static tikv_store_info
store_info(struct kv *kv, uint64_t id)
{
    tikv_store_info info = { .struct_size = sizeof(info) };
    tikv_stores *stores;
    size_t i;

    kv_ok(tikv_stores_list(kv->client, NULL, &stores));
    for (i = 0; tikv_stores_at(stores, i, &info) && info.id != id; i++) {
    }
    assert_int_equal(info.id, id);
    tikv_stores_free(stores);
    info.address = NULL;
    info.version = NULL;
    return info;
}

static void
stores__are_told_as_the_client_finds_them(void **state)
{
    const struct kv_plan plan = { .stores = 2 };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    tikv_store_info info;
    uint64_t leader;
    struct kv kv;
    unsigned i;

    (void)state;
    kv_open(&kv, &plan);
    leader = tikv_cluster_leader_of(
        kv.cluster, tikv_cluster_region_of(kv.cluster, kv_text("k")));
    kv_put(kv.client, "k", "v");
    info = store_info(&kv, leader);
    assert_int_equal(info.liveness, TIKV_STORE_ALIVE);
    assert_int_equal(info.slow_score, 1);
    assert_int_equal(info.wait_ms, 0);
    /* It says itself that it is slow. */
    kv_ok(tikv_cluster_store_score(kv.cluster, leader, 95));
    for (i = 0; i < 100000 && info.slow_score < 80; i++) {
        kv_put(kv.client, "k", "v");
        info = store_info(&kv, leader);
    }
    assert_in_range(info.slow_score, 80, 95);
    assert_int_equal(store_info(&kv, 3 - leader).slow_score, 1);
    kv_ok(tikv_cluster_store_stop(kv.cluster, leader));
    options.call.timeout_ms = 100;
    for (i = 0; i < 100 && info.liveness == TIKV_STORE_ALIVE; i++) {
        tikv_error_free(
            tikv_raw_put(kv.client, kv_text("k"), kv_text("w"), &options));
        info = store_info(&kv, leader);
    }
    assert_int_not_equal(info.liveness, TIKV_STORE_ALIVE);
    kv_close(&kv);
}

static void
region__refuses_what_makes_no_sense(void **state)
{
    tikv_regions *regions;
    tikv_future *future;
    struct kv kv;

    (void)state;
    kv_open_plain(&kv);
    kv_fails(tikv_region_find(kv.client, 2, kv_text("k"), NULL, &regions),
             TIKV_ERR_ARGUMENT);
    kv_fails(
        tikv_region_find(kv.client, TIKV_KEYS_RAW, kv_text("k"), NULL, NULL),
        TIKV_ERR_ARGUMENT);
    kv_fails(tikv_regions_cached(kv.client, -1, everything(), 0, &regions),
             TIKV_ERR_ARGUMENT);
    kv_fails(
        tikv_region_find(NULL, TIKV_KEYS_RAW, kv_text("k"), NULL, &regions),
        TIKV_ERR_ARGUMENT);
    future = tikv_regions_find_async(kv.client, 9, everything(), 0, NULL);
    kv_fails(tikv_future_take_regions(future, NULL), TIKV_ERR_ARGUMENT);
    tikv_future_free(future);
    tikv_regions_forget(NULL, TIKV_KEYS_RAW, everything());
    tikv_region_forget(kv.client, 9, 1);
    tikv_store_forget(NULL, TIKV_KEYS_RAW, 1);
    assert_false(tikv_regions_peer(NULL, 0, 0, NULL));
    kv_close(&kv);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(region__is_found_at_pd_once),
        harness_test(region__of_transactional_keys_is_another),
        harness_test(region__is_found_by_its_id),
        harness_test(region__tells_its_peers),
        harness_test(region__tells_its_buckets),
        harness_test(regions__are_found_so_that_nobody_asks),
        harness_test(regions__have_no_gaps),
        harness_test(region__before_a_key_ends_there_or_holds_it),
        harness_test(region__without_a_leader_is_found),
        harness_test(regions__forgotten_are_asked_for_again),
        harness_test(regions__led_by_a_store_are_forgotten),
        harness_test(regions__are_promised_too),
        harness_test(regions__outlive_the_client),
        harness_test(region__is_sought_until_the_deadline),
        harness_test(stores__are_told_as_the_client_finds_them),
        harness_test(region__refuses_what_makes_no_sense),
    };

    return harness_run(tests);
}
