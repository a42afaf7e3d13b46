/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificates of all nodes as one context of OpenSSL: an authority, if
 * given, makes clients show a certificate that it signed. No sessions are
 * resumed: every connection shows what it has. Constant once made.
 */
#include "cluster/serve/tls.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/error.h"

/* Without a terminal to ask at. */
static int
no_password(char *buffer, int size, int writing, void *arg)
{
    (void)buffer;
    (void)size;
    (void)writing;
    (void)arg;
    return 0;
}

static tikv_error *
wrong(const char *what, const char *how)
{
    ERR_clear_error();
    return tk_error(TIKV_ERR_ARGUMENT, "%s: %s", what, how);
}

/* The text itself, or the file that it names. */
static BIO *
open_pem(const char *source)
{
    return strstr(source, "-----BEGIN") != NULL ? BIO_new_mem_buf(source, -1)
                                                : BIO_new_file(source, "r");
}

static tikv_error *
use_cert(SSL_CTX *context, const char *source)
{
    BIO *pem = open_pem(source);
    X509 *cert;
    int count = 0;
    bool ok = true;

    if (pem == NULL) {
        return wrong("tls_cert", "cannot be opened");
    }
    while (ok &&
           (cert = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL) {
        ok = (count++ == 0 ? SSL_CTX_use_certificate(context, cert)
                           : SSL_CTX_add1_chain_cert(context, cert)) == 1;
        X509_free(cert);
    }
    BIO_free(pem);
    ERR_clear_error(); /* the end of the file is one */
    return ok && count > 0 ? NULL : wrong("tls_cert", "holds no certificate");
}

static tikv_error *
use_key(SSL_CTX *context, const char *source)
{
    BIO *pem = open_pem(source);
    EVP_PKEY *key;
    bool ok;

    if (pem == NULL) {
        return wrong("tls_key", "cannot be opened");
    }
    key = PEM_read_bio_PrivateKey(pem, NULL, no_password, NULL);
    BIO_free(pem);
    if (key == NULL) {
        return wrong("tls_key", "holds no private key");
    }
    ok = SSL_CTX_use_PrivateKey(context, key) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return ok ? NULL : wrong("tls_key", "does not belong to the certificate");
}

static tikv_error *
use_authority(SSL_CTX *context, const char *source)
{
    BIO *pem = open_pem(source);
    X509 *cert;
    int count = 0;
    bool ok = true;

    if (pem == NULL) {
        return wrong("tls_ca", "cannot be opened");
    }
    while (ok &&
           (cert = PEM_read_bio_X509(pem, NULL, no_password, NULL)) != NULL) {
        ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), cert) == 1 &&
             SSL_CTX_add_client_CA(context, cert) == 1;
        count++;
        X509_free(cert);
    }
    BIO_free(pem);
    ERR_clear_error();
    if (!ok || count == 0) {
        return wrong("tls_ca", "holds no certificate");
    }
    SSL_CTX_set_verify(context,
                       SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       NULL);
    return NULL;
}

static bool
offers(const unsigned char *list, unsigned len, const char *name,
       const unsigned char **out)
{
    unsigned at = 0;

    while (at < len && at + list[at] < len) {
        if (list[at] == strlen(name) &&
            memcmp(list + at + 1, name, list[at]) == 0) {
            *out = list + at + 1;
            return true;
        }
        at += list[at] + 1U;
    }
    return false;
}

/* Those who know HTTP/1.1 want pages, and would not get them from gRPC; who
 * calls knows HTTP/2 alone. */
static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                const unsigned char *list, unsigned len, void *arg)
{
    (void)ssl;
    (void)arg;
    if (!offers(list, len, "http/1.1", out) && !offers(list, len, "h2", out)) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out_len = (*out)[-1];
    return SSL_TLSEXT_ERR_OK;
}

tikv_error *
tk_serve_tls_new(const struct tk_serve_tls *from, SSL_CTX **out)
{
    SSL_CTX *context;
    tikv_error *error;

    *out = NULL;
    if (from == NULL || (from->ca == NULL && from->cert == NULL &&
                         from->key == NULL)) {
        return NULL;
    }
    if (from->cert == NULL || from->key == NULL) {
        return wrong("TLS", "needs tls_cert and tls_key");
    }
    context = SSL_CTX_new(TLS_server_method());
    if (context == NULL) {
        ERR_clear_error();
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context,
                              SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    error = use_cert(context, from->cert);
    if (error == NULL) {
        error = use_key(context, from->key);
    }
    if (error == NULL && from->ca != NULL) {
        error = use_authority(context, from->ca);
    }
    if (error != NULL) {
        SSL_CTX_free(context);
        return error;
    }
    *out = context;
    return NULL;
}
