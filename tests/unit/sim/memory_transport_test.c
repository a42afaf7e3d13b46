/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * The shipped rpc over the in-process transport: workers submit, wait and
 * take back while the network loses, repeats and breaks and stores stop and
 * start, and a close cuts into it. Every request ends exactly once and in
 * time, in simulation and on real threads, and a seed repeats itself.
 */
#include "base/alloc.h"
#include "base/rng.h"
#include "exec/runtime_sim.h"
#include "harness/harness.h"
#include "rpc/rpc.h"
#include "sim/memory_transport.h"

#define WORKERS 6
#define STORES 3
#define ATTEMPT_NS (80 * TK_MS)

struct world {
    struct tk_runtime *rt;
    struct tk_cluster *cluster;
    struct tk_transport *transport;
    struct tk_rpc *rpc;
    struct tk_conn *conns[STORES];
    struct tk_config config;
    uint32_t rounds;
    uint64_t seed;
    bool closes_early;
    bool has_faults;
    bool has_nemesis;
    _Atomic uint32_t working;
    struct tk_parker *main;

    _Atomic uint64_t accepted;
    _Atomic uint64_t answered;
    _Atomic uint64_t failed;
    _Atomic uint64_t expired;
    _Atomic uint64_t closed;
    _Atomic uint64_t taken;
    _Atomic uint64_t wrong; /* ended twice, never, or too late */
};

struct worker {
    struct world *world;
    struct tk_rng rng;
    struct tk_thread *thread;
};

struct op {
    struct tk_request request;
    struct world *world;
    struct tk_parker *owner;
    _Atomic uint32_t dones;
};

static void
op_done(struct tk_request *request, const struct tk_reply *reply,
        struct tk_wakes *wakes)
{
    struct op *op = (struct op *)(void *)request;
    struct tk_parker *owner = op->owner;
    struct world *world = op->world;

    switch (reply->status) {
    case TK_REPLY_OK:
        atomic_fetch_add(&world->answered, 1);
        break;
    case TK_REPLY_FAILED:
        atomic_fetch_add(&world->failed, 1);
        break;
    case TK_REPLY_EXPIRED:
        atomic_fetch_add(&world->expired, 1);
        break;
    case TK_REPLY_CLOSED:
        atomic_fetch_add(&world->closed, 1);
        break;
    }
    tk_trace(world->rt, request->id << 3 | reply->status);
    tk_frame_unref(reply->frame, 1);
    if (atomic_fetch_add(&op->dones, 1) != 0) {
        atomic_fetch_add(&world->wrong, 1);
    }
    tk_wakes_ring(wakes, owner);
}

static void
wait_for(struct op *op)
{
    struct tk_runtime *rt = op->world->rt;
    int64_t late = op->request.deadline + 2000 * TK_MS * harness_stretch();

    for (;;) {
        tk_park_begin(op->owner);
        if (atomic_load(&op->dones) != 0) {
            return;
        }
        if (tk_now(rt) > late) {
            atomic_fetch_add(&op->world->wrong, 1);
            late = TK_NEVER;
        }
        rt->ops->park(rt, op->owner, late);
    }
}

static void
fill(struct op *op, struct worker *worker)
{
    static const uint8_t body[] = { 0x12, 0x01, 'k' };
    struct world *world = worker->world;

    memset(op, 0, sizeof(*op));
    op->world = world;
    op->owner = tk_self(world->rt);
    op->request.done = op_done;
    op->request.parts.command = tk_rng_below(&worker->rng, 8) == 0
                                    ? TK_CMD_PD_GET_MEMBERS
                                    : TK_CMD_RAW_GET;
    op->request.parts.body = (tikv_slice){ body, sizeof(body) };
    op->request.deadline = tk_now(world->rt) + ATTEMPT_NS;
    op->request.is_urgent = tk_rng_below(&worker->rng, 16) == 0;
}

/* One request; false when the rpc is closed. */
static bool
one(struct worker *worker)
{
    struct world *world = worker->world;
    struct tk_conn *conn = world->conns[tk_rng_below(&worker->rng, STORES)];
    bool hold = tk_rng_below(&worker->rng, 2) == 0;
    bool regrets = tk_rng_below(&worker->rng, 6) == 0;
    bool never_sent;
    struct op op;

    fill(&op, worker);
    switch (tk_conn_submit(conn, &op.request, hold)) {
    case TK_SUBMIT_CLOSED:
        return false;
    case TK_SUBMIT_BUSY:
    case TK_SUBMIT_FULL:
    case TK_SUBMIT_TOO_LARGE:
        return true;
    case TK_SUBMIT_OK:
        break;
    }
    atomic_fetch_add(&world->accepted, 1);
    if (tk_rng_below(&worker->rng, 3) == 0) {
        tk_rpc_flush(world->rpc, &op.request);
    }
    if (regrets && tk_request_take_back(&op.request, &never_sent)) {
        atomic_fetch_add(&world->taken, 1);
        if (atomic_load(&op.dones) != 0) {
            atomic_fetch_add(&world->wrong, 1);
        }
        return true;
    }
    wait_for(&op);
    return true;
}

static void
work(void *arg)
{
    struct worker *worker = (struct worker *)arg;
    struct world *world = worker->world;
    struct tk_wakes wakes;
    uint32_t i;

    for (i = 0; i < world->rounds && one(worker); i++) {
    }
    tk_wakes_init(&wakes, world->rt);
    if (atomic_fetch_sub(&world->working, 1) == 1) {
        tk_wakes_ring(&wakes, world->main);
    }
    tk_wakes_flush(&wakes);
}

static void
start(struct world *world)
{
    struct tk_cluster_params params = { .stores_count = STORES,
                                        .regions_count = 4,
                                        .seed = 7 };
    char address[128];
    uint64_t i;

    atomic_init(&world->config.rpc_connections_count, 2);
    atomic_init(&world->config.rpc_batch_max_count, 8);
    atomic_init(&world->config.rpc_inflight_max_count, 1024);
    tikv_error_free(tk_cluster_new(world->rt, &params, &world->cluster));
    tikv_error_free(
        tk_memory_transport_new(world->rt, world->cluster, &world->transport));
    tikv_error_free(tk_rpc_new(world->rt, &world->config, NULL,
                               world->transport, &world->rpc));
    for (i = 0; i < STORES; i++) {
        snprintf(address, sizeof(address), "store%d:20160", (int)i + 1);
        tk_cluster_set_address(world->cluster, TK_NODE_STORE | (i + 1),
                               address);
        world->conns[i] = tk_rpc_conn(world->rpc, address);
    }
    if (world->has_faults) {
        const struct tk_memory_policy policy = { .delay_min_ns = 20000,
                                                 .delay_max_ns = 3 * TK_MS,
                                                 .lose_request = 10000,
                                                 .lose_answer = 10000,
                                                 .duplicate_answer = 30000,
                                                 .break_stream = 5000 };

        tk_memory_transport_set(world->transport, &policy);
    }
}

/* Waits until the workers are through, or for the time to close. */
static void
wait_for_workers(struct world *world, struct tk_rng *rng)
{
    struct tk_runtime *rt = world->rt;
    int64_t end =
        world->closes_early
            ? tk_now(rt) + 30 * TK_MS + (int64_t)tk_rng_below(rng, 60) * TK_MS
            : TK_NEVER;
    uint64_t down = 0;

    for (;;) {
        int64_t now = tk_now(rt);
        int64_t until = world->has_nemesis ? now + 15 * TK_MS : end;

        tk_park_begin(world->main);
        if (atomic_load(&world->working) == 0 || now >= end) {
            break;
        }
        rt->ops->park(rt, world->main, until < end ? until : end);
        if (world->has_nemesis && down != 0) {
            tikv_error_free(
                tk_cluster_store_start(world->cluster, down, false));
            down = 0;
        } else if (world->has_nemesis) {
            down = 1 + tk_rng_below(rng, STORES);
            tikv_error_free(tk_cluster_store_stop(world->cluster, down));
        }
    }
}

static void
run(void *arg)
{
    struct world *world = (struct world *)arg;
    struct worker workers[WORKERS];
    struct tk_rng rng = { world->seed };
    size_t i;

    world->main = tk_self(world->rt);
    atomic_store(&world->working, WORKERS);
    start(world);
    for (i = 0; i < WORKERS; i++) {
        workers[i].world = world;
        workers[i].rng.state = tk_rng_next(&rng);
        workers[i].thread =
            world->rt->ops->spawn(world->rt, "worker", work, &workers[i]);
    }
    wait_for_workers(world, &rng);
    tk_rpc_close(world->rpc);
    for (i = 0; i < WORKERS; i++) {
        world->rt->ops->join(world->rt, workers[i].thread);
    }
    for (i = 0; i < STORES; i++) {
        tk_conn_unref(world->conns[i]);
    }
    tk_rpc_free(world->rpc);
    tk_cluster_free(world->cluster);
}

static void
check(struct world *world)
{
    assert_int_equal(atomic_load(&world->wrong), 0);
    assert_int_equal(
        atomic_load(&world->accepted),
        atomic_load(&world->answered) + atomic_load(&world->failed) +
            atomic_load(&world->expired) + atomic_load(&world->closed) +
            atomic_load(&world->taken));
    assert_true(atomic_load(&world->answered) > 0);
}

static uint64_t
simulate(struct world *world, uint64_t seed)
{
    struct tk_runtime *rt = tk_runtime_sim_new(seed);
    uint64_t hash;

    assert_non_null(rt);
    world->rt = rt;
    world->seed = seed;
    if (!tk_runtime_sim_run(rt, run, world, 50000000)) {
        fail_msg("seed %llu: %s", (unsigned long long)seed,
                 tk_runtime_sim_report(rt));
    }
    hash = tk_runtime_sim_hash(rt);
    tk_runtime_sim_free(rt);
    check(world);
    return hash;
}

static void
simulated__every_request_ends_once(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 20; seed++) {
        struct world world = { .rounds = 60,
                               .has_faults = seed % 4 != 0,
                               .has_nemesis = seed % 3 == 0,
                               .closes_early = seed % 5 == 0 };

        simulate(&world, seed);
    }
}

static void
simulated__a_seed_repeats_itself(void **state)
{
    uint64_t hashes[4];
    size_t turn;
    size_t i;

    (void)state;
    for (turn = 0; turn < 2; turn++) {
        for (i = 0; i < 4; i++) {
            struct world world = { .rounds = 40,
                                   .has_faults = true,
                                   .has_nemesis = i % 2 == 0,
                                   .closes_early = i % 3 == 0 };
            uint64_t hash = simulate(&world, 100 + i);

            if (turn == 0) {
                hashes[i] = hash;
            } else {
                assert_true(hashes[i] == hash);
            }
        }
    }
}

static void
on_threads(bool has_faults, bool has_nemesis, bool closes_early)
{
    struct world world = { .rounds = 300,
                           .seed = 5,
                           .has_faults = has_faults,
                           .has_nemesis = has_nemesis,
                           .closes_early = closes_early };

    world.rt = tk_runtime_posix_new();
    assert_non_null(world.rt);
    run(&world);
    tk_runtime_posix_free(world.rt);
    check(&world);
}

static void
threads__every_request_is_answered(void **state)
{
    (void)state;
    on_threads(false, false, false);
}

static void
threads__every_request_ends_once_under_faults(void **state)
{
    (void)state;
    on_threads(true, true, false);
}

static void
threads__close_ends_everything_under_load(void **state)
{
    (void)state;
    on_threads(true, false, true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(simulated__every_request_ends_once),
        harness_test(simulated__a_seed_repeats_itself),
        harness_test(threads__every_request_is_answered),
        harness_test(threads__every_request_ends_once_under_faults),
        harness_test(threads__close_ends_everything_under_load),
    };

    return harness_run(tests);
}
