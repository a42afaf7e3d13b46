/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tests of TLS share: certificates as files, a server of C core's own,
 * with one thread, that answers every call "ok" or holds it until told, and
 * a client of rpc over gRPC.
 */
#ifndef TESTS_UNIT_RPC_TLS_H
#define TESTS_UNIT_RPC_TLS_H

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <unistd.h>

#include "base/alloc.h"
#include "harness/harness.h"
#include "rpc/grpc_transport.h"
#include "rpc/rpc.h"
#include "unit/rpc/certs.h"

/* ---- files ---- */

struct files {
    char dir[64];
    char ca[96];
    char stranger[96];
    char cert[96];
    char key[96];
    char junk[96];
    char absent[96];
};

/* As renewal does it: the new file takes the place of the old at once. */
static void
replace_file(const char *path, const char *text)
{
    char fresh[128];
    FILE *file;

    snprintf(fresh, sizeof(fresh), "%s.new", path);
    file = fopen(fresh, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static void
put_file(const char *dir, const char *name, const char *text, char *path,
         size_t size)
{
    snprintf(path, size, "%s/%s", dir, name);
    replace_file(path, text);
}

static inline void
files_init(struct files *files)
{
    const char *base = getenv("TMPDIR");

    snprintf(files->dir, sizeof(files->dir), "%.40s/rpc-tls-XXXXXX",
             base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(files->dir));
    put_file(files->dir, "ca", certs_authority, files->ca, sizeof(files->ca));
    put_file(files->dir, "stranger", certs_stranger, files->stranger,
             sizeof(files->stranger));
    put_file(files->dir, "cert", certs_node, files->cert, sizeof(files->cert));
    put_file(files->dir, "key", certs_node_key, files->key, sizeof(files->key));
    put_file(files->dir, "junk", "not a certificate\n", files->junk,
             sizeof(files->junk));
    snprintf(files->absent, sizeof(files->absent), "%s/absent", files->dir);
}

static inline void
files_fini(struct files *files)
{
    unlink(files->ca);
    unlink(files->stranger);
    unlink(files->cert);
    unlink(files->key);
    unlink(files->junk);
    assert_int_equal(rmdir(files->dir), 0);
}

/* ---- the server ---- */

struct server {
    grpc_server *server;
    grpc_completion_queue *cq;
    struct tk_thread *thread;
    char address[64];
    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int cancelled;
    grpc_byte_buffer *incoming;
    _Atomic size_t incoming_len; /* as it came: compressed or not */
    _Atomic bool is_holding;
    _Atomic bool has_held;
    _Atomic unsigned answers; /* begun; orders the answer before its event */
};

/* What a server shows and whom it lets in. */
struct server_kind {
    const char *cert;
    const char *key;
    const char *clients; /* authorities of client certificates; NULL: any */
    bool is_plain;
};

enum { TAG_CALL = 1, TAG_ANSWERED, TAG_DOWN };

static void *
tag(int number)
{
    static char tags[4];

    return &tags[number];
}

static void
want_call(struct server *server)
{
    grpc_call_details_init(&server->details);
    grpc_metadata_array_init(&server->metadata);
    grpc_server_request_call(server->server, &server->call, &server->details,
                             &server->metadata, server->cq, server->cq,
                             tag(TAG_CALL));
}

/* Also by the test, for a call that was held. */
static void
answer(struct server *server)
{
    grpc_slice text = grpc_slice_from_static_string("ok");
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&text, 1);
    grpc_op ops[5];

    memset(ops, 0, sizeof(ops));
    server->incoming = NULL;
    atomic_fetch_add(&server->answers, 1); /* hands over to the poller */
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &server->incoming;
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bytes;
    ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[3].data.recv_close_on_server.cancelled = &server->cancelled;
    assert_int_equal(
        grpc_call_start_batch(server->call, ops, 5, tag(TAG_ANSWERED), NULL),
        GRPC_CALL_OK);
    grpc_byte_buffer_destroy(bytes);
}

static void
serve(void *arg)
{
    struct server *server = (struct server *)arg;
    gpr_timespec ever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    grpc_event event;

    want_call(server);
    for (;;) {
        event = grpc_completion_queue_next(server->cq, ever, NULL);
        (void)atomic_load(&server->answers); /* what TSan cannot see */
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        if (event.tag == tag(TAG_DOWN)) {
            grpc_completion_queue_shutdown(server->cq);
        } else if (event.tag == tag(TAG_CALL)) {
            grpc_call_details_destroy(&server->details);
            grpc_metadata_array_destroy(&server->metadata);
            if (event.success && atomic_load(&server->is_holding)) {
                atomic_store(&server->has_held, true);
            } else if (event.success) {
                answer(server);
            }
        } else {
            if (server->incoming != NULL) {
                atomic_store(&server->incoming_len,
                             grpc_byte_buffer_length(server->incoming));
                grpc_byte_buffer_destroy(server->incoming);
            }
            grpc_call_unref(server->call);
            want_call(server);
        }
    }
}

static grpc_server_credentials *
server_credentials(const struct server_kind *kind)
{
    grpc_ssl_pem_key_cert_pair pair = { kind->key, kind->cert };

    if (kind->is_plain) {
        return grpc_insecure_server_credentials_create();
    }
    return grpc_ssl_server_credentials_create_ex(
        kind->clients, &pair, 1,
        kind->clients != NULL
            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
            : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
}

static char decompression[] = GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION;

static void
server_start(struct server *server, struct tk_runtime *rt,
             const struct server_kind *kind)
{
    grpc_arg as_it_came = { .type = GRPC_ARG_INTEGER,
                            .key = decompression };
    const grpc_channel_args args = { 1, &as_it_came };
    grpc_server_credentials *creds;
    int port;

    memset(server, 0, sizeof(*server));
    grpc_init();
    creds = server_credentials(kind);
    server->server = grpc_server_create(&args, NULL);
    server->cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->server, server->cq, NULL);
    port = grpc_server_add_http2_port(server->server, "127.0.0.1:0", creds);
    grpc_server_credentials_release(creds);
    assert_true(port > 0);
    grpc_server_start(server->server);
    snprintf(server->address, sizeof(server->address), "127.0.0.1:%d", port);
    server->thread = rt->ops->spawn(rt, "server", serve, server);
}

static void
server_stop(struct server *server, struct tk_runtime *rt)
{
    grpc_server_shutdown_and_notify(server->server, server->cq, tag(TAG_DOWN));
    grpc_server_cancel_all_calls(server->server);
    rt->ops->join(rt, server->thread);
    grpc_server_destroy(server->server);
    grpc_completion_queue_destroy(server->cq);
    grpc_shutdown_blocking();
}

/* ---- the client ---- */

static char nothing[1];

static void
config_init(struct tk_config *config)
{
    memset(config, 0, sizeof(*config));
    atomic_init(&config->rpc_connections_count, 1);
    atomic_init(&config->rpc_pollers_count, 1);
    atomic_init(&config->rpc_batch_max_count, 128);
    atomic_init(&config->rpc_inflight_max_count, 64);
    atomic_init(&config->rpc_dial_timeout_ms, 5000);
    atomic_init(&config->rpc_keepalive_ms, 10000);
    atomic_init(&config->rpc_keepalive_timeout_ms, 3000);
    atomic_init(&config->rpc_reconnect_ms, 100);
    atomic_init(&config->rpc_reconnect_max_ms, 3000);
    config->security_ca_file = nothing;
    config->security_cert_file = nothing;
    config->security_key_file = nothing;
    config->security_ca_pem = nothing;
    config->security_cert_pem = nothing;
    config->security_key_pem = nothing;
    config->security_target_name = nothing;
    config->security_verify_cn = nothing;
}

struct asked {
    struct tk_request request;
    struct tk_parker *owner;
    _Atomic uint32_t dones;
    enum tk_reply_status status;
    bool never_sent;
    char details[200];
};

static void
asked_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct asked *asked = (struct asked *)(void *)request;
    struct tk_parker *owner = asked->owner;

    asked->status = reply->status;
    asked->never_sent = reply->never_sent;
    snprintf(asked->details, sizeof(asked->details), "%s", reply->details);
    tk_frame_unref(reply->frame, 1);
    atomic_fetch_add(&asked->dones, 1);
    tk_wakes_ring(wakes, owner);
}

struct client {
    struct tk_runtime *rt;
    struct tk_transport *transport;
    struct tk_rpc *rpc;
    tikv_slice body; /* of each request */
};

static void
client_start(struct client *client, struct tk_runtime *rt,
             const struct tk_config *config, struct tk_log *log)
{
    client->rt = rt;
    client->body = (tikv_slice){ NULL, 0 };
    assert_null(tk_grpc_transport_new(rt, config, log, &client->transport));
    assert_null(tk_rpc_new(rt, config, log, client->transport, &client->rpc));
}

static void
client_stop(struct client *client)
{
    tk_rpc_close(client->rpc);
    tk_rpc_free(client->rpc);
}

static void
client_ask(struct client *client, struct tk_conn *conn, struct asked *asked)
{
    memset(asked, 0, sizeof(*asked));
    asked->owner = tk_self(client->rt);
    asked->request.done = asked_done;
    asked->request.parts.command = TK_CMD_PD_GET_MEMBERS;
    asked->request.parts.body = client->body;
    asked->request.deadline =
        tk_now(client->rt) + 10000 * TK_MS * harness_stretch();
    assert_int_equal(tk_conn_submit(conn, &asked->request, false),
                     TK_SUBMIT_OK);
}

static void
client_await(struct client *client, struct asked *asked)
{
    for (;;) {
        tk_park_begin(asked->owner);
        if (atomic_load(&asked->dones) != 0) {
            return;
        }
        client->rt->ops->park(client->rt, asked->owner, TK_NEVER);
    }
}

static void
client_call(struct client *client, struct tk_conn *conn, struct asked *asked)
{
    client_ask(client, conn, asked);
    client_await(client, asked);
}

/* One unary call of a new client. */
static inline void
call_once(struct tk_runtime *rt, const struct tk_config *config,
          const char *address, struct asked *asked)
{
    struct client client;
    struct tk_conn *conn;

    client_start(&client, rt, config, NULL);
    conn = tk_rpc_conn(client.rpc, address);
    client_call(&client, conn, asked);
    tk_conn_unref(conn);
    client_stop(&client);
}

#endif
