/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: what is wrong with files is said by name before anything connects;
 * whom we trust, and under which name, is what the files and the setting say.
 * The server is C core's own, with one thread, and answers every call "ok".
 */
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

static void
put_file(const char *dir, const char *name, const char *text, char *path,
         size_t size)
{
    FILE *file;

    snprintf(path, size, "%s/%s", dir, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
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

static void
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

static void
answer(struct server *server)
{
    grpc_slice text = grpc_slice_from_static_string("ok");
    grpc_byte_buffer *bytes = grpc_raw_byte_buffer_create(&text, 1);
    grpc_op ops[4];

    memset(ops, 0, sizeof(ops));
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bytes;
    ops[2].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[3].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
    ops[3].data.recv_close_on_server.cancelled = &server->cancelled;
    assert_int_equal(
        grpc_call_start_batch(server->call, ops, 4, tag(TAG_ANSWERED), NULL),
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
        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            break;
        }
        if (event.tag == tag(TAG_DOWN)) {
            grpc_completion_queue_shutdown(server->cq);
        } else if (event.tag == tag(TAG_CALL)) {
            grpc_call_details_destroy(&server->details);
            grpc_metadata_array_destroy(&server->metadata);
            if (event.success) {
                answer(server);
            }
        } else {
            grpc_call_unref(server->call);
            want_call(server);
        }
    }
}

static void
server_start(struct server *server, struct tk_runtime *rt,
             bool wants_certificate)
{
    grpc_ssl_pem_key_cert_pair pair = { certs_node_key, certs_node };
    grpc_server_credentials *creds;
    int port;

    grpc_init();
    creds = grpc_ssl_server_credentials_create_ex(
        certs_authority, &pair, 1,
        wants_certificate
            ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
            : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        NULL);
    server->server = grpc_server_create(NULL, NULL);
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
    config->security_ca_file = nothing;
    config->security_cert_file = nothing;
    config->security_key_file = nothing;
    config->security_target_name = nothing;
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

/* One unary call of a new client. */
static void
call_once(struct tk_runtime *rt, const struct tk_config *config,
          const char *address, struct asked *asked)
{
    struct tk_transport *transport;
    struct tk_conn *conn;
    struct tk_rpc *rpc;

    assert_null(tk_grpc_transport_new(rt, config, NULL, &transport));
    assert_null(tk_rpc_new(rt, config, NULL, transport, &rpc));
    conn = tk_rpc_conn(rpc, address);
    memset(asked, 0, sizeof(*asked));
    asked->owner = tk_self(rt);
    asked->request.done = asked_done;
    asked->request.parts.command = TK_CMD_PD_GET_MEMBERS;
    asked->request.deadline = tk_now(rt) + 10000 * TK_MS * harness_stretch();
    assert_int_equal(tk_conn_submit(conn, &asked->request, false),
                     TK_SUBMIT_OK);
    for (;;) {
        tk_park_begin(asked->owner);
        if (atomic_load(&asked->dones) != 0) {
            break;
        }
        rt->ops->park(rt, asked->owner, TK_NEVER);
    }
    tk_conn_unref(conn);
    tk_rpc_close(rpc);
    tk_rpc_free(rpc);
}

static void
refused(struct tk_runtime *rt, const struct tk_config *config,
        const char *setting, const char *fault)
{
    struct tk_transport *transport;
    tikv_error *error = tk_grpc_transport_new(rt, config, NULL, &transport);

    assert_non_null(error);
    assert_null(transport);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_SECURITY);
    if (strstr(tikv_error_message(error), setting) == NULL ||
        strstr(tikv_error_message(error), fault) == NULL) {
        fail_msg("%s", tikv_error_message(error));
    }
    tikv_error_free(error);
}

static void
tls__names_what_is_wrong_with_files(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_config config;
    struct files files;

    (void)state;
    files_init(&files);
    config_init(&config);
    config.security_ca_file = files.absent;
    refused(rt, &config, "security.ca_file", files.absent);
    config.security_ca_file = files.junk;
    refused(rt, &config, "security.ca_file", "no PEM block");
    config.security_ca_file = files.dir;
    refused(rt, &config, "security.ca_file", files.dir);
    config.security_ca_file = files.ca;
    config.security_cert_file = files.cert;
    refused(rt, &config, "security.cert_file", "without security.key_file");
    config.security_key_file = files.cert;
    refused(rt, &config, "security.key_file", "PRIVATE KEY");
    config.security_cert_file = nothing;
    config.security_key_file = files.key;
    refused(rt, &config, "security.key_file", "without security.cert_file");
    config.security_cert_file = files.cert;
    config.security_ca_file = nothing;
    refused(rt, &config, "security.cert_file", "without security.ca_file");
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

static void
tls__trusts_the_authority_and_no_other(void **state)
{
    static char name[] = "node.test";
    static char other[] = "elsewhere.test";
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct files files;
    struct asked asked;

    (void)state;
    files_init(&files);
    server_start(&server, rt, false);
    config_init(&config);
    config.security_ca_file = files.ca;
    call_once(rt, &config, server.address, &asked);
    assert_string_equal(asked.details, "");
    assert_int_equal(asked.status, TK_REPLY_OK);
    config.security_target_name = name;
    call_once(rt, &config, server.address, &asked);
    assert_int_equal(asked.status, TK_REPLY_OK);
    config.security_target_name = other;
    call_once(rt, &config, server.address, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    config.security_target_name = nothing;
    config.security_ca_file = files.stranger;
    call_once(rt, &config, server.address, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    assert_true(strlen(asked.details) > 0);
    /* Without TLS the handshake makes no sense to the server. */
    config.security_ca_file = nothing;
    call_once(rt, &config, server.address, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    server_stop(&server, rt);
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

static void
tls__shows_its_own_certificate(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct files files;
    struct asked asked;

    (void)state;
    files_init(&files);
    server_start(&server, rt, true);
    config_init(&config);
    config.security_ca_file = files.ca;
    call_once(rt, &config, server.address, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    config.security_cert_file = files.cert;
    config.security_key_file = files.key;
    call_once(rt, &config, server.address, &asked);
    assert_string_equal(asked.details, "");
    assert_int_equal(asked.status, TK_REPLY_OK);
    server_stop(&server, rt);
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(tls__names_what_is_wrong_with_files),
        harness_test(tls__trusts_the_authority_and_no_other),
        harness_test(tls__shows_its_own_certificate),
    };

    return harness_run(tests);
}
