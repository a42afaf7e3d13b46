/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS on the ports of PD and stores: gRPC and pages alike are encrypted,
 * clients without a certificate are turned away where one is asked for, and
 * what is wrong with certificates is said at the start.
 */
#include "harness/harness.h"

#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <tikv/tikv.h>

#include "base/slice.h"
#include "fixture/served.h"
#include "unit/rpc/certs.h"

/* Clients may be anybody, or must show what the authority signed. */
enum { ANYBODY, SIGNED };

static tikv_cluster *
start(int whom, uint32_t stores, uint32_t regions)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;

    options.stores_count = stores;
    options.regions_count = regions;
    options.tls_cert = certs_node;
    options.tls_key = certs_node_key;
    options.tls_ca = whom == SIGNED ? certs_authority : NULL;
    assert_null(tikv_cluster_start(&options, &cluster));
    return cluster;
}

static tikv_client *
connect_client(tikv_cluster *cluster, bool with_cert)
{
    tikv_client *client = NULL;
    tikv_config *config = NULL;

    assert_null(tikv_config_new(&config));
    assert_null(tikv_config_set(config, "pd.endpoints",
                                tikv_cluster_endpoints(cluster)));
    assert_null(tikv_config_set(config, "security.ca_pem", certs_authority));
    if (with_cert) {
        assert_null(tikv_config_set(config, "security.cert_pem", certs_node));
        assert_null(
            tikv_config_set(config, "security.key_pem", certs_node_key));
    }
    assert_null(tikv_client_open(config, &client));
    tikv_config_free(config);
    return client;
}

static void
put_and_get(tikv_client *client, const char *text)
{
    tikv_value *value = NULL;

    assert_null(tikv_raw_put(client, tk_slice_text("k"), tk_slice_text(text),
                             NULL));
    assert_null(tikv_raw_get(client, tk_slice_text("k"), NULL, &value));
    assert_non_null(value);
    assert_true(
        tk_slice_equal(tikv_value_slice(value), tk_slice_text(text)));
    tikv_value_free(value);
}

static void
tls__carries_a_client(void **state)
{
    static char big[2000000];
    int whom;

    (void)state;
    memset(big, 'v', sizeof(big) - 1);
    for (whom = ANYBODY; whom <= SIGNED; whom++) {
        tikv_cluster *cluster = start(whom, 3, 4);
        tikv_client *client = connect_client(cluster, whom == SIGNED);

        put_and_get(client, "v");
        /* More than the tunnel holds at once. */
        put_and_get(client, big);
        assert_null(tikv_cluster_store_stop(cluster, 1));
        assert_null(tikv_cluster_store_start(cluster, 1, true));
        put_and_get(client, "again");
        assert_true(tikv_cluster_calls(cluster, "tikv.RawPut") >= 3);
        tikv_client_close(client);
        tikv_cluster_free(cluster);
    }
}

/* Without an authority it is tried in plain. */
static int
health_of(const char *address, const char *ca, const char *cert,
          const char *key)
{
    struct grpc_client client;
    struct tk_buf nothing;
    int status;

    tk_buf_init(&nothing, MAX_BYTES);
    if (ca == NULL) {
        grpc_client_open(&client, address);
    } else {
        grpc_client_open_tls(&client, address, ca, cert, key);
    }
    client.fails_fast = true;
    status = grpc_client_unary(&client, HEALTH, &nothing, LONG_MS, NULL);
    if (status != STATUS_OK) {
        print_message("%d: %s\n", status, client.details);
    }
    grpc_client_close(&client);
    return status;
}

static void
tls__turns_strangers_away(void **state)
{
    tikv_cluster *cluster = start(SIGNED, 1, 1);
    const char *places[] = { tikv_cluster_endpoints(cluster),
                             served_address(cluster, 1) };
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_int_equal(health_of(places[i], certs_authority, certs_node,
                                   certs_node_key),
                         STATUS_OK);
        assert_int_equal(health_of(places[i], certs_authority, NULL, NULL),
                         STATUS_GONE);
        /* Signed by somebody else. */
        assert_int_equal(health_of(places[i], certs_authority, certs_node_b,
                                   certs_node_b_key),
                         STATUS_GONE);
        /* Here it is the client that does not trust the cluster. */
        assert_int_equal(health_of(places[i], certs_stranger, certs_node,
                                   certs_node_key),
                         STATUS_GONE);
        assert_int_equal(health_of(places[i], NULL, NULL, NULL), STATUS_GONE);
    }
    tikv_cluster_free(cluster);
}

/* A page as programs of others ask for it: they know HTTP/2 as well, which
 * they must not be given. Terminated. */
static void
ask(uint16_t port, const char *target, struct tk_buf *out)
{
    static const unsigned char both[] = "\2h2\10http/1.1";
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(context);
    int fd = served_connect(port);
    char text[256];
    char bytes[4096];
    int len;

    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n\r\n", target);
    assert_int_equal(SSL_set_fd(ssl, fd), 1);
    assert_int_equal(SSL_set_alpn_protos(ssl, both, sizeof(both) - 1), 0);
    assert_int_equal(SSL_connect(ssl), 1);
    /* In pieces: the first is less than a node looks at. */
    assert_int_equal(SSL_write(ssl, text, 1), 1);
    assert_int_equal(SSL_write(ssl, text + 1, (int)strlen(text) - 1),
                     strlen(text) - 1);
    while ((len = SSL_read(ssl, bytes, sizeof(bytes))) > 0) {
        tk_buf_append(out, bytes, (size_t)len);
    }
    /* The end was meant, nothing was cut off. */
    assert_int_equal(SSL_get_error(ssl, len), SSL_ERROR_ZERO_RETURN);
    tk_buf_append(out, "", 1);
    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
}

static void
tls__shows_pages(void **state)
{
    tikv_cluster *cluster = start(ANYBODY, 1, 20000);
    uint16_t pd = served_port(tikv_cluster_endpoints(cluster));
    struct tk_buf out;

    (void)state;
    tk_buf_init(&out, MAX_BYTES);
    ask(pd, "/pd/api/v1/members", &out);
    assert_non_null(strstr((const char *)out.data,
                           "\"client_urls\":[\"https://127.0.0.1:"));
    tk_buf_clear(&out);
    ask(pd, "/pd/api/v1/regions", &out);
    assert_true(out.len > 2000000);
    assert_string_equal((const char *)out.data + out.len - 3, "]}");
    tk_buf_fini(&out);
    tikv_cluster_free(cluster);
}

/* Whoever says nothing that is TLS is not answered. */
static void
tls__answers_nothing_else(void **state)
{
    static const char *const said[] = { "GET / HTTP/1.1\r\n\r\n",
                                        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                                        "\x16\x03\x01" };
    tikv_cluster *cluster = start(ANYBODY, 1, 1);
    uint16_t pd = served_port(tikv_cluster_endpoints(cluster));
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        int fd = served_connect(pd);
        char bytes[64];
        ssize_t len;

        assert_int_equal(send(fd, said[i], strlen(said[i]), MSG_NOSIGNAL),
                         strlen(said[i]));
        shutdown(fd, SHUT_WR);
        while ((len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
            assert_null(memmem(bytes, (size_t)len, "HTTP", 4));
        }
        close(fd);
    }
    assert_int_equal(health_of(tikv_cluster_endpoints(cluster),
                               certs_authority, NULL, NULL),
                     STATUS_OK);
    tikv_cluster_free(cluster);
}

static void
refuse(const char *ca, const char *cert, const char *key, const char *fault)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;
    tikv_error *error;

    options.tls_ca = ca;
    options.tls_cert = cert;
    options.tls_key = key;
    error = tikv_cluster_start(&options, &cluster);
    assert_non_null(error);
    assert_null(cluster);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    if (strstr(tikv_error_message(error), fault) == NULL) {
        fail_msg("%s", tikv_error_message(error));
    }
    tikv_error_free(error);
}

static void
tls__says_what_is_wrong_with_certificates(void **state)
{
    (void)state;
    refuse(NULL, certs_node, NULL, "needs tls_cert and tls_key");
    refuse(NULL, NULL, certs_node_key, "needs tls_cert and tls_key");
    refuse(certs_authority, NULL, NULL, "needs tls_cert and tls_key");
    refuse(NULL, certs_node_key, certs_node_key, "tls_cert: holds no");
    refuse(NULL, "/nowhere/at/all", certs_node_key, "tls_cert: cannot be");
    refuse(NULL, certs_node, certs_node, "tls_key: holds no");
    refuse(NULL, certs_node, "/nowhere/at/all", "tls_key: cannot be");
    refuse(NULL, certs_node, certs_node_b_key, "tls_key: does not belong");
    refuse(certs_node_key, certs_node, certs_node_key, "tls_ca: holds no");
    refuse("/nowhere/at/all", certs_node, certs_node_key, "tls_ca: cannot");
}

static void
tls__reads_files(void **state)
{
    static const char *const texts[] = { certs_authority, certs_node,
                                         certs_node_key };
    const char *base = getenv("TMPDIR");
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster = NULL;
    char names[3][96];
    size_t i;

    (void)state;
    for (i = 0; i < 3; i++) {
        size_t len = strlen(texts[i]);
        int fd;

        snprintf(names[i], sizeof(names[i]), "%.60s/serve-tls-XXXXXX",
                 base != NULL ? base : "/tmp");
        fd = mkstemp(names[i]);
        assert_true(fd >= 0);
        assert_int_equal(write(fd, texts[i], len), len);
        close(fd);
    }
    options.tls_ca = names[0];
    options.tls_cert = names[1];
    options.tls_key = names[2];
    assert_null(tikv_cluster_start(&options, &cluster));
    for (i = 0; i < 3; i++) {
        unlink(names[i]);
    }
    assert_int_equal(health_of(tikv_cluster_endpoints(cluster),
                               certs_authority, certs_node, certs_node_key),
                     STATUS_OK);
    assert_int_equal(health_of(tikv_cluster_endpoints(cluster),
                               certs_authority, NULL, NULL),
                     STATUS_GONE);
    tikv_cluster_free(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        served_test(tls__carries_a_client),
        served_test(tls__turns_strangers_away),
        served_test(tls__shows_pages),
        served_test(tls__answers_nothing_else),
        served_test(tls__says_what_is_wrong_with_certificates),
        served_test(tls__reads_files),
    };

    /* It writes about every handshake that fails. */
    assert_int_equal(setenv("GRPC_VERBOSITY", "NONE", 1), 0);
    return harness_run(tests);
}
