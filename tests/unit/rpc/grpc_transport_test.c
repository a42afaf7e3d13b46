/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * The rpc over real gRPC: against a served cluster, addresses where nobody
 * is, a listener that never says a word, and broken connections under load.
 * TLS is in grpc_tls_test.c.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cluster/serve/serve.h"
#include "harness/harness.h"
#include "rpc/grpc_transport.h"
#include "rpc/rpc.h"

struct world {
    struct tk_runtime *rt;
    struct tk_cluster *core;
    struct tk_serve *serve;
    struct tk_config config;
    struct tk_rpc *rpc;
    int64_t keepalive_ms; /* 0: as by default */
};

struct asked {
    struct tk_request request;
    struct world *world;
    struct tk_parker *owner;
    _Atomic uint32_t dones;
    enum tk_reply_status status;
    int grpc;
    bool never_sent;
    char details[200];
    struct tk_frame *frame;
    tikv_slice data;
};

static char nothing[1];

static void
start_client(struct world *world)
{
    struct tk_transport *transport;
    struct tk_config *config = &world->config;

    atomic_init(&config->rpc_connections_count, 1);
    atomic_init(&config->rpc_pollers_count, 1);
    atomic_init(&config->rpc_batch_max_count, 128);
    atomic_init(&config->rpc_inflight_max_count, 4096);
    atomic_init(&config->rpc_dial_timeout_ms, 2000);
    atomic_init(&config->rpc_keepalive_ms,
                world->keepalive_ms == 0 ? 10000 : world->keepalive_ms);
    atomic_init(&config->rpc_keepalive_timeout_ms,
                world->keepalive_ms == 0 ? 3000 : 500);
    config->security_ca_file = nothing;
    config->security_cert_file = nothing;
    config->security_key_file = nothing;
    config->security_target_name = nothing;
    assert_null(tk_grpc_transport_new(world->rt, config, NULL, &transport));
    assert_null(tk_rpc_new(world->rt, config, NULL, transport, &world->rpc));
}

static void
stop_client(struct world *world)
{
    tk_rpc_close(world->rpc);
    tk_rpc_free(world->rpc);
}

static void
start(struct world *world)
{
    struct tk_cluster_params params = { .stores_count = 2, .seed = 3 };

    memset(world, 0, sizeof(*world));
    world->rt = tk_runtime_posix_new();
    assert_non_null(world->rt);
    assert_null(tk_cluster_new(world->rt, &params, &world->core));
    assert_null(tk_serve_start(world->rt, world->core, 0, NULL, &world->serve));
    start_client(world);
}

static void
stop(struct world *world)
{
    stop_client(world);
    tk_serve_stop(world->serve);
    tk_cluster_free(world->core);
    tk_serve_free(world->serve);
    tk_runtime_posix_free(world->rt);
}

static struct tk_conn *
conn_to(struct world *world, tk_node node)
{
    char address[64];
    struct tk_conn *conn;

    assert_true(tk_serve_address(world->serve, node, address, sizeof(address)));
    conn = tk_rpc_conn(world->rpc, address);
    assert_non_null(conn);
    return conn;
}

static void
asked_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct asked *asked = (struct asked *)(void *)request;
    struct tk_parker *owner = asked->owner;

    asked->status = reply->status;
    asked->grpc = reply->grpc;
    asked->never_sent = reply->never_sent;
    asked->frame = reply->frame;
    asked->data = (tikv_slice){ reply->data, reply->len };
    snprintf(asked->details, sizeof(asked->details), "%s", reply->details);
    atomic_fetch_add(&asked->dones, 1);
    tk_wakes_ring(wakes, owner);
}

static void
ask(struct world *world, struct tk_conn *conn, struct asked *asked,
    enum tk_command command, int64_t timeout_ms)
{
    static const uint8_t key[] = { 0x12, 0x01, 'k' };

    memset(asked, 0, sizeof(*asked));
    asked->world = world;
    asked->owner = tk_self(world->rt);
    asked->request.done = asked_done;
    asked->request.parts.command = command;
    if (command == TK_CMD_RAW_GET) {
        asked->request.parts.body = (tikv_slice){ key, sizeof(key) };
    }
    asked->request.deadline = tk_now(world->rt) + timeout_ms * TK_MS;
    assert_int_equal(tk_conn_submit(conn, &asked->request, false),
                     TK_SUBMIT_OK);
}

static void
await(struct asked *asked)
{
    struct tk_runtime *rt = asked->world->rt;

    for (;;) {
        tk_park_begin(asked->owner);
        if (atomic_load(&asked->dones) != 0) {
            return;
        }
        rt->ops->park(rt, asked->owner, TK_NEVER);
    }
}

/* Asks until the answer is OK; false after `limit_ms`. */
static bool
heals(struct world *world, struct tk_conn *conn, int64_t limit_ms)
{
    int64_t end = tk_now(world->rt) + limit_ms * TK_MS;
    struct tk_parker *self = tk_self(world->rt);
    struct asked asked;

    do {
        ask(world, conn, &asked, TK_CMD_RAW_GET, 1000);
        await(&asked);
        tk_frame_unref(asked.frame, 1);
        if (asked.status == TK_REPLY_OK) {
            return true;
        }
        tk_park_begin(self);
        world->rt->ops->park(world->rt, self, tk_now(world->rt) + 20 * TK_MS);
    } while (tk_now(world->rt) < end);
    return false;
}

static void
grpc__answers_batched_and_unary(void **state)
{
    struct world world;
    struct asked asked[3];
    struct tk_conn *store;
    struct tk_conn *pd;
    struct tk_rpc_stats stats;
    size_t i;

    (void)state;
    start(&world);
    store = conn_to(&world, TK_NODE_STORE | 1);
    pd = conn_to(&world, 0);
    ask(&world, store, &asked[0], TK_CMD_RAW_GET, 10000);
    ask(&world, store, &asked[1], TK_CMD_RAW_GET, 10000);
    ask(&world, pd, &asked[2], TK_CMD_PD_GET_MEMBERS, 10000);
    for (i = 0; i < 3; i++) {
        await(&asked[i]);
        assert_int_equal(asked[i].status, TK_REPLY_OK);
        assert_true(asked[i].data.len > 0);
        tk_frame_unref(asked[i].frame, 1);
    }
    tk_rpc_stats(world.rpc, &stats);
    assert_int_equal(stats.streams_opened, 1);
    assert_int_equal(stats.batched, 2);
    assert_int_equal(stats.unary, 1);
    assert_true(tk_cluster_calls(world.core, "tikv.RawGet") == 2);
    tk_conn_unref(store);
    tk_conn_unref(pd);
    stop(&world);
}

/* Nothing arrives and nothing is refused: only keepalive can tell. */
static void
lesson_127__a_silent_link_is_given_up_after_keepalive(void **state)
{
    struct world world;
    struct asked asked;
    struct tk_conn *conn;
    tikv_error *error;
    uint64_t id;
    int64_t begun;

    (void)state;
    start(&world);
    stop_client(&world);
    world.keepalive_ms = 1000;
    start_client(&world);
    conn = conn_to(&world, TK_NODE_STORE | 1);
    assert_true(heals(&world, conn, 5000));
    error = tk_cluster_partition(world.core, "client", "store1", 0, false,
                                 &id);
    assert_null(error);
    begun = tk_now(world.rt);
    ask(&world, conn, &asked, TK_CMD_RAW_GET, 60000);
    await(&asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_int_equal(asked.grpc, 14);
    assert_true(tk_now(world.rt) - begun <
                8000 * TK_MS * harness_stretch());
    tk_conn_unref(conn);
    stop(&world);
}

static void
grpc__an_answer_outlives_the_client(void **state)
{
    struct world world;
    struct asked asked;
    struct tk_conn *conn;
    unsigned sum = 0;
    size_t i;

    (void)state;
    start(&world);
    conn = conn_to(&world, TK_NODE_STORE | 1);
    ask(&world, conn, &asked, TK_CMD_RAW_GET, 10000);
    await(&asked);
    assert_int_equal(asked.status, TK_REPLY_OK);
    tk_conn_unref(conn);
    stop(&world);
    for (i = 0; i < asked.data.len; i++) {
        sum += asked.data.data[i];
    }
    assert_true(sum > 0);
    tk_frame_unref(asked.frame, 1);
}

static void
grpc__a_dead_address_fails_at_once_and_without_doubt(void **state)
{
    struct world world = { 0 };
    struct asked asked;
    struct tk_conn *conn;
    int64_t begin;
    size_t i;

    (void)state;
    world.rt = tk_runtime_posix_new();
    start_client(&world);
    conn = tk_rpc_conn(world.rpc, "127.0.0.1:1");
    for (i = 0; i < 2; i++) {
        begin = tk_now(world.rt);
        ask(&world, conn, &asked, TK_CMD_RAW_GET, 20000);
        await(&asked);
        assert_int_equal(asked.status, TK_REPLY_FAILED);
        assert_int_equal(asked.grpc, 14);
        assert_true(asked.never_sent);
        assert_true(strlen(asked.details) > 0);
        assert_true(tk_now(world.rt) - begin <
                    2000 * TK_MS * harness_stretch());
    }
    ask(&world, conn, &asked, TK_CMD_PD_GET_MEMBERS, 20000);
    await(&asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    tk_conn_unref(conn);
    stop_client(&world);
    tk_runtime_posix_free(world.rt);
}

static void
grpc__a_restart_breaks_and_heals(void **state)
{
    struct world world;
    struct asked asked;
    struct tk_conn *conn;
    uint64_t fault;

    (void)state;
    start(&world);
    conn = conn_to(&world, TK_NODE_STORE | 1);
    assert_true(heals(&world, conn, 10000));
    assert_null(tk_cluster_fault(world.core, "on=tikv.RawGet do=drop_response",
                                 &fault));
    ask(&world, conn, &asked, TK_CMD_RAW_GET, 30000);
    while (tk_cluster_fault_hits(world.core, fault) == 0) {
        tk_park_begin(asked.owner);
        world.rt->ops->park(world.rt, asked.owner, tk_now(world.rt) + TK_MS);
    }
    assert_null(tk_cluster_store_stop(world.core, 1));
    await(&asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    /* It was on the wire, and the store had executed it. */
    assert_false(asked.never_sent);
    tk_cluster_fault_remove(world.core, 0);
    assert_null(tk_cluster_store_start(world.core, 1, false));
    assert_true(heals(&world, conn, 20000 * harness_stretch()));
    tk_conn_unref(conn);
    stop(&world);
}

static void
grpc__a_lost_answer_is_ended_by_the_deadline(void **state)
{
    struct world world;
    struct asked asked[2];
    struct tk_conn *conn;
    int64_t begin;

    (void)state;
    start(&world);
    conn = conn_to(&world, TK_NODE_STORE | 1);
    assert_true(heals(&world, conn, 10000));
    assert_null(
        tk_cluster_fault(world.core, "on=tikv.RawGet do=drop_response", NULL));
    begin = tk_now(world.rt);
    ask(&world, conn, &asked[0], TK_CMD_RAW_GET, 100);
    await(&asked[0]);
    assert_int_equal(asked[0].status, TK_REPLY_EXPIRED);
    assert_true(tk_now(world.rt) - begin >= 100 * TK_MS);
    tk_conn_unref(conn);
    stop(&world);
}

/* Takes connections and never says a word. */
static void
grpc__a_black_hole_is_ended_by_the_deadline(void **state)
{
    struct sockaddr_in in = { .sin_family = AF_INET };
    socklen_t len = sizeof(in);
    struct world world = { 0 };
    struct asked asked[2];
    struct tk_conn *conn;
    char address[64];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
    snprintf(address, sizeof(address), "127.0.0.1:%d", ntohs(in.sin_port));
    world.rt = tk_runtime_posix_new();
    start_client(&world);
    conn = tk_rpc_conn(world.rpc, address);
    ask(&world, conn, &asked[0], TK_CMD_RAW_GET, 150);
    ask(&world, conn, &asked[1], TK_CMD_PD_GET_MEMBERS, 150);
    await(&asked[0]);
    await(&asked[1]);
    assert_int_equal(asked[0].status, TK_REPLY_EXPIRED);
    assert_int_equal(asked[1].status, TK_REPLY_EXPIRED);
    tk_conn_unref(conn);
    stop_client(&world);
    tk_runtime_posix_free(world.rt);
    close(listener);
}

/* ---- under load ---- */

struct load {
    struct world *world;
    struct tk_conn *conn;
    struct tk_thread *thread;
    _Atomic bool *is_over;
    uint64_t ended;
    uint64_t answered;
};

static void
run_load(void *arg)
{
    struct load *load = (struct load *)arg;
    struct asked asked;

    while (!atomic_load(load->is_over)) {
        memset(&asked, 0, sizeof(asked));
        asked.world = load->world;
        asked.owner = tk_self(load->world->rt);
        asked.request.done = asked_done;
        asked.request.parts.command =
            load->ended % 16 == 15 ? TK_CMD_PD_GET_MEMBERS : TK_CMD_RAW_GET;
        asked.request.deadline = tk_now(load->world->rt) + 500 * TK_MS;
        if (tk_conn_submit(load->conn, &asked.request,
                           tk_conn_is_busy(load->conn)) != TK_SUBMIT_OK) {
            break;
        }
        await(&asked);
        tk_frame_unref(asked.frame, 1);
        load->ended++;
        load->answered += asked.status == TK_REPLY_OK;
        if (asked.status != TK_REPLY_OK) {
            tk_park_begin(asked.owner);
            load->world->rt->ops->park(load->world->rt, asked.owner,
                                       tk_now(load->world->rt) + TK_MS);
        }
    }
}

#define LOADS 6

static void
grpc__close_and_broken_stores_under_load(void **state)
{
    struct world world;
    struct load loads[LOADS];
    _Atomic bool is_over = false;
    struct tk_parker *self;
    uint64_t answered = 0;
    size_t i;

    (void)state;
    start(&world);
    self = tk_self(world.rt);
    for (i = 0; i < LOADS; i++) {
        loads[i] =
            (struct load){ .world = &world,
                           .conn = conn_to(&world, TK_NODE_STORE | (1 + i % 2)),
                           .is_over = &is_over };
        loads[i].thread =
            world.rt->ops->spawn(world.rt, "load", run_load, &loads[i]);
    }
    for (i = 0; i < 6; i++) {
        tk_park_begin(self);
        world.rt->ops->park(world.rt, self, tk_now(world.rt) + 60 * TK_MS);
        if (i % 2 == 0) {
            assert_null(tk_cluster_store_stop(world.core, 1));
        } else {
            assert_null(tk_cluster_store_start(world.core, 1, false));
        }
    }
    tk_rpc_close(world.rpc);
    atomic_store(&is_over, true);
    for (i = 0; i < LOADS; i++) {
        world.rt->ops->join(world.rt, loads[i].thread);
        tk_conn_unref(loads[i].conn);
        answered += loads[i].answered;
        assert_true(loads[i].ended > 0);
    }
    assert_true(answered > 0);
    stop(&world);
}

/* ---- connections that are let go of ---- */

/* Stream after stream, each on a connection of its own, and every request is
 * answered. */
static void
grpc__too_old_connections_are_replaced_under_load(void **state)
{
    struct tk_rpc_stats stats = { 0 };
    struct load loads[2];
    struct world world;
    _Atomic bool is_over = false;
    int64_t end;
    size_t i;

    (void)state;
    start(&world);
    stop_client(&world);
    atomic_store(&world.config.rpc_age_ms, 60);
    start_client(&world);
    end = tk_now(world.rt) + 60000 * TK_MS * harness_stretch();
    for (i = 0; i < 2; i++) {
        memset(&loads[i], 0, sizeof(loads[i]));
        loads[i].world = &world;
        loads[i].conn = conn_to(&world, TK_NODE_STORE | 1);
        loads[i].is_over = &is_over;
        loads[i].thread =
            world.rt->ops->spawn(world.rt, "load", run_load, &loads[i]);
        assert_non_null(loads[i].thread);
    }
    while (stats.streams_opened < 6) {
        assert_true(tk_now(world.rt) < end);
        tk_park_begin(tk_self(world.rt));
        world.rt->ops->park(world.rt, tk_self(world.rt),
                            tk_now(world.rt) + 5 * TK_MS);
        tk_rpc_stats(world.rpc, &stats);
    }
    atomic_store(&is_over, true);
    for (i = 0; i < 2; i++) {
        world.rt->ops->join(world.rt, loads[i].thread);
        assert_true(loads[i].ended > 0);
        /* Each sixteenth is one that a store does not know. */
        assert_int_equal(loads[i].answered,
                         loads[i].ended - loads[i].ended / 16);
        tk_conn_unref(loads[i].conn);
    }
    stop(&world);
}

static void
grpc__an_unused_connection_comes_to_rest(void **state)
{
    struct world world;
    struct tk_conn *conn;
    int64_t end;

    (void)state;
    start(&world);
    stop_client(&world);
    atomic_store(&world.config.rpc_idle_ms, 60);
    start_client(&world);
    conn = conn_to(&world, TK_NODE_STORE | 1);
    assert_int_equal(tk_conn_state(conn), TK_LINK_RESTS);
    assert_true(heals(&world, conn, 10000));
    assert_int_not_equal(tk_conn_state(conn), TK_LINK_FAILING);
    end = tk_now(world.rt) + 60000 * TK_MS * harness_stretch();
    while (tk_conn_state(conn) != TK_LINK_RESTS) {
        assert_true(tk_now(world.rt) < end);
        tk_park_begin(tk_self(world.rt));
        world.rt->ops->park(world.rt, tk_self(world.rt),
                            tk_now(world.rt) + 5 * TK_MS);
    }
    assert_true(heals(&world, conn, 10000));
    tk_conn_unref(conn);
    stop(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(grpc__too_old_connections_are_replaced_under_load),
        harness_test(grpc__an_unused_connection_comes_to_rest),
        harness_test(grpc__answers_batched_and_unary),
        harness_test(grpc__an_answer_outlives_the_client),
        harness_test(lesson_127__a_silent_link_is_given_up_after_keepalive),
        harness_test(grpc__a_dead_address_fails_at_once_and_without_doubt),
        harness_test(grpc__a_restart_breaks_and_heals),
        harness_test(grpc__a_lost_answer_is_ended_by_the_deadline),
        harness_test(grpc__a_black_hole_is_ended_by_the_deadline),
        harness_test(grpc__close_and_broken_stores_under_load),
    };

    return harness_run(tests);
}
