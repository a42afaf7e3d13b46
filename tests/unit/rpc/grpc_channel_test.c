/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings of a connection that show on the wire.
 */
#include "unit/rpc/tls.h"

static const struct server_kind plain = { NULL, NULL, NULL, true };

/* The bytes of a request of 64 KiB of nothing, as they come. */
static size_t
bytes_on_the_wire(struct tk_runtime *rt, const struct server *server,
                  const struct tk_config *config)
{
    static uint8_t body[65536];
    struct client client;
    struct tk_conn *conn;
    struct asked asked;
    uint32_t i;

    client_start(&client, rt, config, NULL);
    client.body = (tikv_slice){ body, sizeof(body) };
    conn = tk_rpc_conn(client.rpc, server->address);
    /* The length of one call is there when the next is answered. */
    for (i = 0; i < 2; i++) {
        client_call(&client, conn, &asked);
        assert_string_equal(asked.details, "");
        assert_int_equal(asked.status, TK_REPLY_OK);
    }
    tk_conn_unref(conn);
    client_stop(&client);
    return atomic_load(&server->incoming_len);
}

static void
channel__compresses_if_told_to(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;

    (void)state;
    server_start(&server, rt, &plain);
    config_init(&config);
    assert_true(bytes_on_the_wire(rt, &server, &config) >= 65536);
    atomic_store(&config.rpc_compression, 1);
    assert_true(bytes_on_the_wire(rt, &server, &config) < 4096);
    server_stop(&server, rt);
    tk_runtime_posix_free(rt);
}

/* A small window slows an answer down, and does not stop it. */
static void
lesson_129__a_window_is_what_it_is_set_to(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;

    (void)state;
    server_start(&server, rt, &plain);
    config_init(&config);
    atomic_store(&config.rpc_window_bytes, 1 << 20);
    assert_true(bytes_on_the_wire(rt, &server, &config) >= 65536);
    server_stop(&server, rt);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(channel__compresses_if_told_to),
        harness_test(lesson_129__a_window_is_what_it_is_set_to),
    };

    return harness_run(tests);
}
