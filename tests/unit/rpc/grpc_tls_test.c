/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS: what is wrong with files is said by name before anything connects;
 * whom we trust, and under which name, is what the files and the settings
 * say; and a failed handshake tells what to look at.
 */
#include "unit/rpc/tls.h"

static const struct server_kind node = { certs_node, certs_node_key, NULL,
                                         false };
static const struct server_kind strict_node = { certs_node, certs_node_key,
                                                certs_authority, false };

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
    server_start(&server, rt, &node);
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
    server_start(&server, rt, &strict_node);
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

/* ---- from memory ---- */

static void
tls__takes_texts_in_place_of_files(void **state)
{
    static char ca[sizeof(certs_authority)];
    static char cert[sizeof(certs_node)];
    static char key[sizeof(certs_node_key)];
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct asked asked;

    (void)state;
    memcpy(ca, certs_authority, sizeof(ca));
    memcpy(cert, certs_node, sizeof(cert));
    memcpy(key, certs_node_key, sizeof(key));
    server_start(&server, rt, &strict_node);
    config_init(&config);
    config.security_ca_pem = ca;
    config.security_cert_pem = cert;
    refused(rt, &config, "security.cert_file", "without security.key_file");
    config.security_key_pem = key;
    call_once(rt, &config, server.address, &asked);
    assert_string_equal(asked.details, "");
    assert_int_equal(asked.status, TK_REPLY_OK);
    ca[100] = ca[100] == 'A' ? 'B' : '!';
    refused(rt, &config, "security.ca_pem", "broken certificate");
    server_stop(&server, rt);
    tk_runtime_posix_free(rt);
}

/* ---- what cannot be used ---- */

static void
tls__refuses_a_pair_that_does_not_belong_together(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_config config;
    struct files files;

    (void)state;
    files_init(&files);
    config_init(&config);
    config.security_ca_file = files.ca;
    config.security_cert_file = files.cert;
    config.security_key_file = files.key;
    replace_file(files.key, certs_node_b_key);
    refused(rt, &config, files.key, "does not belong to the certificate");
    replace_file(files.key, certs_rsa_key);
    refused(rt, &config, files.key, "does not belong to the certificate");
    replace_file(files.key, certs_node_b_key);
    replace_file(files.cert, certs_node_b_old);
    refused(rt, &config, files.cert, "expired on 2021-01-01");
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

/* ---- what a failure means ---- */

static void
fails_with(struct tk_runtime *rt, const struct tk_config *config,
           const struct server *server, const char *meaning)
{
    struct asked asked;

    call_once(rt, config, server->address, &asked);
    assert_int_equal(asked.status, TK_REPLY_FAILED);
    assert_true(asked.never_sent);
    if (strstr(asked.details, meaning) == NULL) {
        fail_msg("%s", asked.details);
    }
}

static void
tls__explains_what_it_does_not_trust(void **state)
{
    static const struct server_kind expired = { certs_node_b_old,
                                                certs_node_b_key, NULL,
                                                false };
    static const struct server_kind plain = { NULL, NULL, NULL, true };
    static char other[] = "elsewhere.test";
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct files files;

    (void)state;
    files_init(&files);
    config_init(&config);
    config.security_ca_file = files.stranger;
    server_start(&server, rt, &node);
    fails_with(rt, &config, &server, "not signed by security.ca_file");
    config.security_ca_file = files.ca;
    config.security_target_name = other;
    fails_with(rt, &config, &server, "security.target_name");
    config.security_target_name = nothing;
    server_stop(&server, rt);
    server_start(&server, rt, &plain);
    fails_with(rt, &config, &server, "does not speak TLS");
    server_stop(&server, rt);
    server_start(&server, rt, &expired);
    replace_file(files.ca, certs_authority_b);
    fails_with(rt, &config, &server, "has expired");
    server_stop(&server, rt);
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

static void
tls__explains_that_it_is_not_trusted(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct files files;

    (void)state;
    files_init(&files);
    config_init(&config);
    config.security_ca_file = files.ca;
    server_start(&server, rt, &strict_node);
    fails_with(rt, &config, &server, "security.cert_file is not set");
    config.security_cert_file = files.cert;
    config.security_key_file = files.key;
    replace_file(files.cert, certs_node_b);
    replace_file(files.key, certs_node_b_key);
    fails_with(rt, &config, &server, "may not accept security.cert_file");
    server_stop(&server, rt);
    files_fini(&files);
    tk_runtime_posix_free(rt);
}

static void
tls__checks_the_common_name(void **state)
{
    static char good[] = "tikv, store-b";
    static char bad[] = "tikv,store,store-bb,pd";
    static const struct server_kind kind = { certs_node_b, certs_node_b_key,
                                             NULL, false };
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct server server;
    struct tk_config config;
    struct files files;
    struct asked asked;

    (void)state;
    files_init(&files);
    config_init(&config);
    replace_file(files.ca, certs_authority_b);
    config.security_ca_file = files.ca;
    server_start(&server, rt, &kind);
    config.security_verify_cn = good;
    call_once(rt, &config, server.address, &asked);
    assert_string_equal(asked.details, "");
    assert_int_equal(asked.status, TK_REPLY_OK);
    config.security_verify_cn = bad;
    fails_with(rt, &config, &server, "security.verify_cn");
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
        harness_test(tls__takes_texts_in_place_of_files),
        harness_test(tls__refuses_a_pair_that_does_not_belong_together),
        harness_test(tls__explains_what_it_does_not_trust),
        harness_test(tls__explains_that_it_is_not_trusted),
        harness_test(tls__checks_the_common_name),
    };

    return harness_run(tests);
}
