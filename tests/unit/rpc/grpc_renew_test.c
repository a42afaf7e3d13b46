/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timeout: 120
 *
 * Certificates renewed under a living client: what is begun from then on uses
 * the new ones, what is under way ends on the old connection, and what cannot
 * be used changes nothing and is told.
 */
#include "unit/rpc/tls.h"

/* A bundle of both authorities. */
static char both[sizeof(certs_authority) + sizeof(certs_authority_b)];

struct seen {
    struct tk_log log;
    _Atomic uint32_t kept;    /* "the last good ..." */
    _Atomic uint32_t renewed; /* "renewed ..." */
    _Atomic uint32_t strangers;
    _Atomic uint32_t keys; /* lines that show one */
};

static void
sink(int32_t level, const char *room, const char *text, void *arg)
{
    struct seen *seen = (struct seen *)arg;

    (void)level;
    (void)room;
    if (strstr(text, "last good certificates are kept") != NULL) {
        atomic_fetch_add(&seen->kept, 1);
        if (strstr(text, "does not belong to the certificate") != NULL) {
            atomic_fetch_add(&seen->strangers, 1);
        }
    } else if (strstr(text, "renewed certificates") != NULL) {
        atomic_fetch_add(&seen->renewed, 1);
    }
    if (strstr(text, "MIG") != NULL) {
        atomic_fetch_add(&seen->keys, 1);
    }
}

struct world {
    struct tk_runtime *rt;
    struct tk_config config;
    struct files files;
    struct seen seen;
    struct client client;
};

static void
start(struct world *world)
{
    memset(world, 0, sizeof(*world));
    snprintf(both, sizeof(both), "%s%s", certs_authority, certs_authority_b);
    world->rt = tk_runtime_posix_new();
    files_init(&world->files);
    config_init(&world->config);
    world->config.security_ca_file = world->files.ca;
    world->config.security_cert_file = world->files.cert;
    world->config.security_key_file = world->files.key;
    atomic_init(&world->seen.log.level, TIKV_LOG_DEBUG);
    world->seen.log.fn = sink;
    world->seen.log.arg = &world->seen;
}

static void
stop(struct world *world)
{
    client_stop(&world->client);
    assert_int_equal(atomic_load(&world->seen.keys), 0);
    files_fini(&world->files);
    tk_runtime_posix_free(world->rt);
}

/* Until what the files say now has been looked at: the timer may be at it. */
static void
look_until(struct world *world, const _Atomic uint32_t *count, uint32_t wanted)
{
    int64_t end = tk_now(world->rt) + 20000 * TK_MS * harness_stretch();

    while (atomic_load(count) < wanted) {
        assert_true(tk_now(world->rt) < end);
        tk_grpc_look_at_files(world->client.transport);
    }
}

static void
renew__new_calls_use_the_new_authority(void **state)
{
    static const struct server_kind a = { certs_node, certs_node_key, NULL,
                                          false };
    static const struct server_kind b = { certs_node_b, certs_node_b_key, NULL,
                                          false };
    struct server servers[2];
    struct tk_conn *conns[2];
    struct world world;
    struct asked asked[2];

    (void)state;
    start(&world);
    server_start(&servers[0], world.rt, &a);
    server_start(&servers[1], world.rt, &b);
    client_start(&world.client, world.rt, &world.config, &world.seen.log);
    conns[0] = tk_rpc_conn(world.client.rpc, servers[0].address);
    conns[1] = tk_rpc_conn(world.client.rpc, servers[1].address);
    client_call(&world.client, conns[1], &asked[0]);
    assert_int_equal(asked[0].status, TK_REPLY_FAILED);
    /* One call is under way while the authority changes. */
    atomic_store(&servers[0].is_holding, true);
    client_ask(&world.client, conns[0], &asked[0]);
    while (!atomic_load(&servers[0].has_held)) {
        tk_park_begin(asked[0].owner);
        world.rt->ops->park(world.rt, asked[0].owner,
                            tk_now(world.rt) + TK_MS);
    }
    replace_file(world.files.ca, certs_authority_b);
    look_until(&world, &world.seen.renewed, 1);
    client_call(&world.client, conns[1], &asked[1]);
    assert_string_equal(asked[1].details, "");
    assert_int_equal(asked[1].status, TK_REPLY_OK);
    client_call(&world.client, conns[0], &asked[1]);
    assert_int_equal(asked[1].status, TK_REPLY_FAILED);
    assert_int_equal(atomic_load(&asked[0].dones), 0);
    atomic_store(&servers[0].is_holding, false);
    answer(&servers[0]);
    client_await(&world.client, &asked[0]);
    assert_string_equal(asked[0].details, "");
    assert_int_equal(asked[0].status, TK_REPLY_OK);
    tk_conn_unref(conns[0]);
    tk_conn_unref(conns[1]);
    server_stop(&servers[0], world.rt);
    server_stop(&servers[1], world.rt);
    stop(&world);
}

/* ---- while requests run ---- */

struct load {
    struct world *world;
    struct tk_conn *conn;
    struct tk_thread *thread;
    _Atomic bool is_over;
    uint32_t answered;
    uint32_t failed;
};

static void
run_load(void *arg)
{
    struct load *load = (struct load *)arg;
    struct asked asked;

    while (!atomic_load(&load->is_over)) {
        client_call(&load->world->client, load->conn, &asked);
        load->answered += asked.status == TK_REPLY_OK;
        load->failed += asked.status != TK_REPLY_OK;
    }
}

static void
load_start(struct load *load, struct world *world, const char *address)
{
    memset(load, 0, sizeof(*load));
    load->world = world;
    load->conn = tk_rpc_conn(world->client.rpc, address);
    load->thread = world->rt->ops->spawn(world->rt, "load", run_load, load);
    assert_non_null(load->thread);
}

static void
load_stop(struct load *load)
{
    atomic_store(&load->is_over, true);
    load->world->rt->ops->join(load->world->rt, load->thread);
    tk_conn_unref(load->conn);
    assert_int_equal(load->failed, 0);
    assert_true(load->answered > 0);
}

static void
renew__keeps_the_last_good_pair_while_requests_run(void **state)
{
    struct server_kind for_both = { certs_node, certs_node_key, both, false };
    static const struct server_kind for_b = { certs_node, certs_node_key,
                                              certs_authority_b, false };
    struct server servers[2];
    struct tk_conn *conn;
    struct world world;
    struct asked asked;
    struct load load;

    (void)state;
    start(&world);
    server_start(&servers[0], world.rt, &for_both);
    server_start(&servers[1], world.rt, &for_b);
    client_start(&world.client, world.rt, &world.config, &world.seen.log);
    load_start(&load, &world, servers[0].address);
    conn = tk_rpc_conn(world.client.rpc, servers[1].address);
    client_call(&world.client, conn, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    /* Caught between the two renames. */
    replace_file(world.files.cert, certs_node_b);
    look_until(&world, &world.seen.strangers, 1);
    replace_file(world.files.key, "-----BEGIN PRIVATE KEY-----\n");
    look_until(&world, &world.seen.kept, 2);
    client_call(&world.client, conn, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_int_equal(atomic_load(&world.seen.renewed), 0);
    replace_file(world.files.key, certs_node_b_key);
    look_until(&world, &world.seen.renewed, 1);
    client_call(&world.client, conn, &asked);
    assert_string_equal(asked.details, "");
    assert_int_equal(asked.status, TK_REPLY_OK);
    load_stop(&load);
    tk_conn_unref(conn);
    server_stop(&servers[0], world.rt);
    server_stop(&servers[1], world.rt);
    stop(&world);
}

static void
renew__is_noticed_by_itself(void **state)
{
    static const struct server_kind b = { certs_node_b, certs_node_b_key, NULL,
                                          false };
    struct server server;
    struct tk_conn *conn;
    struct world world;
    struct asked asked;
    int64_t end;

    (void)state;
    start(&world);
    server_start(&server, world.rt, &b);
    client_start(&world.client, world.rt, &world.config, &world.seen.log);
    conn = tk_rpc_conn(world.client.rpc, server.address);
    client_call(&world.client, conn, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    replace_file(world.files.ca, both);
    end = tk_now(world.rt) + 20000 * TK_MS * harness_stretch();
    do {
        assert_true(tk_now(world.rt) < end);
        client_call(&world.client, conn, &asked);
    } while (asked.status != TK_REPLY_OK);
    assert_int_equal(atomic_load(&world.seen.renewed), 1);
    tk_conn_unref(conn);
    server_stop(&server, world.rt);
    stop(&world);
}

/* A file that was only touched is no reason to connect anew. */
static void
renew__takes_the_same_text_for_the_same(void **state)
{
    struct world world;
    size_t i;

    (void)state;
    start(&world);
    client_start(&world.client, world.rt, &world.config, &world.seen.log);
    for (i = 0; i < 3; i++) {
        replace_file(world.files.ca, certs_authority);
        tk_grpc_look_at_files(world.client.transport);
    }
    replace_file(world.files.ca, both);
    look_until(&world, &world.seen.renewed, 1);
    assert_int_equal(atomic_load(&world.seen.renewed), 1);
    assert_int_equal(atomic_load(&world.seen.kept), 0);
    stop(&world);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(renew__new_calls_use_the_new_authority),
        harness_test(renew__keeps_the_last_good_pair_while_requests_run),
        harness_test(renew__is_noticed_by_itself),
        harness_test(renew__takes_the_same_text_for_the_same),
    };

    return harness_run(tests);
}
