/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster in the simulation: what happens depends on the seed alone, also
 * inside a process where other seeds have run.
 */
#include "unit/cluster/fixture.h"

#include "exec/runtime_sim.h"

enum { FIBERS = 3, ROUNDS = 40 };

struct world {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    uint64_t seed;
    uint64_t answers;
};

struct walker {
    struct world *world;
    struct tk_parker *me;
    uint64_t number;
    bool answered;
    struct tk_cluster_call call;
};

static void
feed(struct walker *walker, int status, tikv_slice data)
{
    struct tk_runtime *rt = walker->world->rt;
    uint64_t sum = (uint64_t)status + 1;

    for (size_t i = 0; i < data.len; i++) {
        sum = sum * 31 + data.data[i];
    }
    tk_trace(rt, sum);
    tk_trace(rt, (uint64_t)tk_now(rt));
    walker->world->answers++;
}

static void
ring(struct walker *walker)
{
    struct tk_wakes wakes;

    walker->answered = true;
    tk_wakes_init(&wakes, walker->world->rt);
    tk_wakes_ring(&wakes, walker->me);
    tk_wakes_flush(&wakes);
}

static void
reply(struct tk_cluster_call *call, int status, const char *message,
      tikv_slice data)
{
    struct walker *walker = call->owner;

    (void)message;
    feed(walker, status, data);
    ring(walker);
}

static void
dropped(struct tk_cluster_call *call)
{
    feed(call->owner, 99, (tikv_slice){ NULL, 0 });
    ring(call->owner);
}

static tikv_slice
make_put(struct walker *walker, upb_Arena *arena)
{
    kvrpcpb_RawPutRequest *put = kvrpcpb_RawPutRequest_new(arena);
    kvrpcpb_Context *context = kvrpcpb_RawPutRequest_mutable_context(put,
                                                                     arena);
    size_t len;
    const char *bytes;

    kvrpcpb_Context_set_region_id(
        context, tk_cluster_region_of(walker->world->cluster, fx_slice("k")));
    metapb_Peer_set_store_id(kvrpcpb_Context_mutable_peer(context, arena), 1);
    kvrpcpb_RawPutRequest_set_key(put, fx_view("k"));
    bytes = kvrpcpb_RawPutRequest_serialize(put, arena, &len);
    return tk_slice(bytes, len);
}

static void
walk(void *arg)
{
    struct walker *walker = arg;
    struct world *world = walker->world;

    walker->me = tk_self(world->rt);
    walker->call.reply = reply;
    walker->call.dropped = dropped;
    walker->call.owner = walker;
    for (int i = 0; i < ROUNDS; i++) {
        upb_Arena *arena = upb_Arena_New();

        walker->answered = false;
        tk_cluster_unary(world->cluster, fx_store(1), "/tikvpb.Tikv/RawPut",
                         NULL, make_put(walker, arena), &walker->call);
        upb_Arena_Free(arena);
        while (!walker->answered) {
            tk_park_begin(walker->me);
            if (!walker->answered) {
                world->rt->ops->park(world->rt, walker->me, TK_NEVER);
            }
        }
        if (walker->number == 0 && i % 10 == 5) {
            tikv_error_free(
                tk_cluster_split(world->cluster, fx_slice("j")));
            tikv_error_free(
                tk_cluster_merge(world->cluster, fx_slice("a")));
        }
        tk_point(world->rt);
    }
}

static void
live(void *arg)
{
    struct world *world = arg;
    const struct tk_cluster_params params = { .seed = world->seed };
    struct tk_thread *threads[FIBERS];
    struct walker walkers[FIBERS];

    assert_null(tk_cluster_new(world->rt, &params, &world->cluster));
    assert_null(tk_cluster_fault(
        world->cluster, "on=tikv.* when=prob(0.3) do=delay(0..20)", NULL));
    assert_null(tk_cluster_fault(
        world->cluster, "on=tikv.* when=prob(0.1) do=drop_response", NULL));
    memset(walkers, 0, sizeof(walkers));
    for (uint64_t i = 0; i < FIBERS; i++) {
        walkers[i].world = world;
        walkers[i].number = i;
        threads[i] =
            world->rt->ops->spawn(world->rt, "walk", walk, &walkers[i]);
        assert_non_null(threads[i]);
    }
    for (size_t i = 0; i < FIBERS; i++) {
        world->rt->ops->join(world->rt, threads[i]);
    }
    tk_cluster_free(world->cluster);
}

static uint64_t
hash_of(uint64_t seed)
{
    struct world world = { .seed = seed };
    uint64_t hash;

    world.rt = tk_runtime_sim_new(seed);
    assert_non_null(world.rt);
    if (!tk_runtime_sim_run(world.rt, live, &world, 1000000)) {
        fail_msg("%s", tk_runtime_sim_report(world.rt));
    }
    assert_int_equal(world.answers, FIBERS * ROUNDS);
    hash = tk_runtime_sim_hash(world.rt);
    tk_runtime_sim_free(world.rt);
    return hash;
}

static void
cluster__depends_on_the_seed_alone(void **state)
{
    uint64_t first[20];
    bool differ = false;

    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        first[seed] = hash_of(seed);
        differ = differ || first[seed] != first[0];
    }
    assert_true(differ);
    for (uint64_t seed = 20; seed-- > 0;) {
        assert_true(hash_of(seed) == first[seed]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cluster__depends_on_the_seed_alone),
    };
    return harness_run(tests);
}
