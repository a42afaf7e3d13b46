/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time to live, on a cluster whose wall clock the test moves: nobody waits
 * for a second to pass. The cluster is reached in process; the client is the
 * whole client.
 */
#include <stdatomic.h>

#include "api/client.h"
#include "cluster/core.h"
#include "fixture/kv.h"
#include "sim/memory_transport.h"

/* Seconds since 1970 of the world below. */
static _Atomic int64_t wall_s;

static int64_t
read_wall(struct tk_runtime *rt)
{
    (void)rt;
    return atomic_load(&wall_s) * 1000000000;
}

struct world {
    struct tk_runtime_ops ops;
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    tikv_client *client;
};

static void
world_open(struct world *world)
{
    const struct tk_cluster_params params = { .stores_count = 3,
                                              .api = TIKV_CLUSTER_API_V1TTL,
                                              .seed = 3 };
    struct tk_transport *transport;
    tikv_config *config;
    char address[64];

    atomic_store(&wall_s, 1700000000);
    world->rt = tk_runtime_posix_new();
    assert_non_null(world->rt);
    world->ops = *world->rt->ops;
    world->ops.wall = read_wall;
    world->rt->ops = &world->ops;
    kv_ok(tk_cluster_new(world->rt, &params, &world->cluster));
    kv_ok(tk_memory_transport_new(world->rt, world->cluster, &transport));
    assert_true(
        tk_cluster_get_address(world->cluster, 0, address, sizeof(address)));
    kv_ok(tikv_config_new(&config));
    kv_ok(tikv_config_set(config, "pd.endpoints", address));
    kv_ok(tk_client_open_with(world->rt, transport, config, &world->client));
    tikv_config_free(config);
}

static void
world_close(struct world *world)
{
    tikv_client_close(world->client);
    tk_cluster_free(world->cluster);
    tk_runtime_posix_free(world->rt);
}

/* `wanted` below 0: there is no such key. */
static void
expect_ttl(tikv_client *client, const char *key, int64_t wanted)
{
    tikv_future *future;
    uint64_t ttl = 999999;
    bool found = wanted < 0;

    kv_ok(tikv_raw_ttl(client, kv_text(key), NULL, &found, &ttl));
    assert_int_equal(found, wanted >= 0);
    assert_true(!found || ttl == (uint64_t)wanted);
    future = tikv_raw_ttl_async(client, kv_text(key), NULL);
    assert_true(tikv_future_wait(future, 10000));
    kv_ok(tikv_future_take_ttl(future, &found, &ttl));
    assert_int_equal(found, wanted >= 0);
    assert_true(!found || ttl == (uint64_t)wanted);
    tikv_future_free(future);
}

static void
put(tikv_client *client, const char *key, uint64_t ttl_s)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;

    options.ttl_s = ttl_s;
    kv_ok(tikv_raw_put(client, kv_text(key), kv_text("v"), &options));
}

static void
ttl__runs_down_and_takes_the_value_along(void **state)
{
    struct world world;
    tikv_pairs *page;

    (void)state;
    world_open(&world);
    expect_ttl(world.client, "k", -1);
    put(world.client, "k", 2);
    put(world.client, "stays", 0);
    expect_ttl(world.client, "k", 2);
    expect_ttl(world.client, "stays", 0);
    atomic_fetch_add(&wall_s, 1);
    expect_ttl(world.client, "k", 1);
    kv_expect(world.client, "k", "v");
    atomic_fetch_add(&wall_s, 1);
    expect_ttl(world.client, "k", -1);
    kv_expect(world.client, "k", NULL);
    kv_ok(tikv_raw_scan(world.client, kv_range("", ""), NULL, &page));
    assert_int_equal(tikv_pairs_count(page), 1);
    tikv_pairs_free(page);
    atomic_fetch_add(&wall_s, 1000000);
    kv_expect(world.client, "stays", "v");
    world_close(&world);
}

static void
ttl__of_a_later_put_replaces_the_old_one(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    put(world.client, "k", 10);
    put(world.client, "k", 0);
    expect_ttl(world.client, "k", 0);
    put(world.client, "k", 20);
    atomic_fetch_add(&wall_s, 11);
    expect_ttl(world.client, "k", 9);
    world_close(&world);
}

static void
ttl__can_be_set_by_a_batch_and_by_a_swap(void **state)
{
    const tikv_pair pairs[] = { { kv_text("a"), kv_text("1") },
                                { kv_text("b"), kv_text("2") } };
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    struct world world;
    bool swapped;

    (void)state;
    world_open(&world);
    put(world.client, "a", 10);
    options.ttl_s = 20;
    kv_ok(tikv_raw_batch_put(world.client, pairs, 2, &options));
    expect_ttl(world.client, "a", 20);
    expect_ttl(world.client, "b", 20);
    options.atomic = TIKV_ON;
    options.ttl_s = 30;
    kv_ok(tikv_raw_swap(world.client, kv_text("a"), kv_text("1"), kv_text("x"),
                        &options, &swapped, NULL));
    assert_true(swapped);
    expect_ttl(world.client, "a", 30);
    /* An expired value is no value: the swap finds nothing. */
    atomic_fetch_add(&wall_s, 21);
    kv_ok(tikv_raw_swap(world.client, kv_text("b"), KV_ABSENT, kv_text("y"),
                        &options, &swapped, NULL));
    assert_true(swapped);
    world_close(&world);
}

static void
ttl__leaves_checksums_and_delete_range_alone(void **state)
{
    const tikv_range all[] = { { KV_ABSENT, KV_ABSENT } };
    struct world world;
    uint64_t count = 0;

    (void)state;
    world_open(&world);
    put(world.client, "a", 5);
    put(world.client, "b", 50);
    put(world.client, "c", 0);
    atomic_fetch_add(&wall_s, 6);
    kv_ok(tikv_raw_checksum(world.client, all, 1, NULL, NULL, &count, NULL));
    assert_int_equal(count, 2);
    kv_ok(tikv_raw_delete_range(world.client, kv_range("a", "c"), NULL));
    kv_expect(world.client, "b", NULL);
    kv_expect(world.client, "c", "v");
    world_close(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(ttl__runs_down_and_takes_the_value_along),
        harness_test(ttl__of_a_later_put_replaces_the_old_one),
        harness_test(ttl__can_be_set_by_a_batch_and_by_a_swap),
        harness_test(ttl__leaves_checksums_and_delete_range_alone),
    };
    return harness_run(tests);
}
