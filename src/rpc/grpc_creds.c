/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS credentials from PEM, of files or of settings. C core takes any text
 * and fails much later with a broken connection, so all of it is looked at
 * here (pem.h) and refused by the name of its setting. Credentials are made
 * once and counted; renewed files make new ones (grpc_watch.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <grpc/support/alloc.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/error.h"
#include "rpc/grpc_inside.h"
#include "rpc/pem.h"

#define FILE_MAX (1 << 20)
#define SECOND INT64_C(1000000000)

/* One of the three texts: where it comes from, and what was there. */
struct source {
    const char *path; /* NULL: not a file */
    char name[192];   /* the setting, and the path */
    struct tk_buf text;
};

static bool
is_set(const char *text)
{
    return text != NULL && *text != '\0';
}

static tikv_error *
read_file(struct source *source)
{
    FILE *file = fopen(source->path, "re");
    char part[4096];
    size_t count;
    int fault;

    if (file == NULL) {
        return tk_error(TIKV_ERR_SECURITY, "%s: cannot be opened: %s",
                        source->name, strerror(errno));
    }
    while ((count = fread(part, 1, sizeof(part), file)) != 0) {
        tk_buf_append(&source->text, part, count);
    }
    fault = ferror(file) ? errno : 0;
    fclose(file);
    memset(part, 0, sizeof(part));
    if (fault != 0) {
        return tk_error(TIKV_ERR_SECURITY, "%s: cannot be read: %s",
                        source->name, strerror(fault));
    }
    return NULL;
}

/* `setting` without its ending: "security.ca". */
static tikv_error *
load(struct source *source, const char *setting, const char *file,
     const char *pem)
{
    tikv_error *error = NULL;

    tk_buf_init(&source->text, FILE_MAX);
    source->path = is_set(file) ? file : NULL;
    if (source->path != NULL) {
        snprintf(source->name, sizeof(source->name), "%s_file %s", setting,
                 file);
        error = read_file(source);
    } else {
        snprintf(source->name, sizeof(source->name), "%s_pem", setting);
        if (is_set(pem)) {
            tk_buf_append_text(&source->text, pem);
        }
    }
    tk_buf_append(&source->text, "", 1);
    if (error == NULL && source->text.failed) {
        error = tk_error(TIKV_ERR_SECURITY,
                         "%s: too large for a certificate or key",
                         source->name);
    }
    return error;
}

static const char *
text_of(const struct source *source)
{
    return (const char *)source->text.data;
}

static bool
is_empty(const struct source *source)
{
    return source->path == NULL && source->text.len == 1;
}

/* Keys do not stay behind in memory that is given back. */
static void
drop(struct source *source)
{
    volatile uint8_t *at = source->text.data;
    size_t i;

    for (i = 0; i < source->text.len; i++) {
        at[i] = 0;
    }
    tk_buf_fini(&source->text);
}

static tikv_error *
check_dates(const struct source *source, int64_t begin, int64_t end,
            int64_t now)
{
    char date[16];

    if (end < now) {
        tk_pem_date(end, date, sizeof(date));
        return tk_error(TIKV_ERR_SECURITY, "%s: expired on %s", source->name,
                        date);
    }
    if (begin > now) {
        tk_pem_date(begin, date, sizeof(date));
        return tk_error(TIKV_ERR_SECURITY, "%s: not valid before %s",
                        source->name, date);
    }
    return NULL;
}

static tikv_error *
check_pair(const struct source *cert, const struct source *key, int64_t now,
           struct tk_creds *creds)
{
    struct tk_cert_facts facts;
    tikv_error *error;

    if (is_empty(cert) && is_empty(key)) {
        return NULL;
    }
    if (is_empty(key)) {
        return tk_error(TIKV_ERR_SECURITY,
                        "security.cert_file without security.key_file");
    }
    if (is_empty(cert)) {
        return tk_error(TIKV_ERR_SECURITY,
                        "security.key_file without security.cert_file");
    }
    error = tk_pem_pair(cert->name, text_of(cert), key->name, text_of(key));
    if (error == NULL) {
        error = tk_pem_cert(cert->name, text_of(cert), &facts);
    }
    if (error == NULL) {
        creds->has_cert = true;
        creds->cert_end = facts.not_after;
        error = check_dates(cert, facts.not_before, facts.not_after, now);
    }
    return error;
}

static tikv_error *
check_ca(const struct source *ca, int64_t now, struct tk_creds *creds)
{
    tikv_error *error = NULL;

    if (is_empty(ca)) {
        return creds->has_cert
                   ? tk_error(TIKV_ERR_SECURITY,
                              "security.cert_file without security.ca_file")
                   : NULL;
    }
    creds->is_tls = true;
    error = tk_pem_bundle(ca->name, text_of(ca), &creds->ca_end);
    if (error == NULL) {
        error = check_dates(ca, INT64_MIN, creds->ca_end, now);
    }
    return error;
}

/* ---- common names ---- */

static bool
is_listed(const char *list, const char *name)
{
    size_t len = strlen(name);

    while (len != 0 && *list != '\0') {
        size_t part;

        list += strspn(list, ", ");
        part = strcspn(list, ",");
        while (part > 0 && list[part - 1] == ' ') {
            part--;
        }
        if (part == len && memcmp(list, name, len) == 0) {
            return true;
        }
        list += strcspn(list, ",");
    }
    return false;
}

/* On a thread of C core, during a handshake. Not 0 refuses. */
static int
verify_name(const char *target, const char *pem, void *arg)
{
    struct tk_cert_facts facts;
    tikv_error *error = tk_pem_cert("peer", pem, &facts);
    bool is_good = error == NULL &&
                   is_listed((const char *)arg, facts.common_name);

    (void)target;
    tikv_error_free(error);
    return is_good ? 0 : 1;
}

/* ---- making ---- */

static uint64_t
digest_of(uint64_t digest, const struct source *source)
{
    size_t i;

    for (i = 0; i < source->text.len; i++) {
        digest = (digest ^ source->text.data[i]) * UINT64_C(0x100000001b3);
    }
    return digest;
}

static tikv_error *
make(struct tk_creds *creds, const struct source *ca, const struct source *cert,
     const struct source *key, const char *names)
{
    grpc_ssl_pem_key_cert_pair pair = { text_of(key), text_of(cert) };
    verify_peer_options verify = { verify_name, NULL, gpr_free };

    if (!creds->is_tls) {
        creds->creds = grpc_insecure_credentials_create();
    } else {
        if (is_set(names)) {
            /* C core's memory: it lets go of it some time after all channels
             * are gone. */
            size_t size = strlen(names) + 1;
            void *copy = gpr_malloc(size);

            memcpy(copy, names, size);
            verify.verify_peer_callback_userdata = copy;
        }
        creds->creds = grpc_ssl_credentials_create(
            text_of(ca), creds->has_cert ? &pair : NULL,
            is_set(names) ? &verify : NULL, NULL);
    }
    if (creds->creds == NULL) {
        return tk_error(TIKV_ERR_SECURITY, "gRPC refused the certificates");
    }
    creds->digest = digest_of(
        digest_of(digest_of(UINT64_C(0xcbf29ce484222325), ca), cert), key);
    return NULL;
}

tikv_error *
tk_creds_load(const struct tk_config *config, int64_t wall,
              struct tk_creds **out)
{
    struct tk_creds *creds = (struct tk_creds *)tk_calloc(sizeof(*creds));
    struct source ca;
    struct source cert;
    struct source key;
    tikv_error *error = load(&cert, "security.cert",
                             config->security_cert_file,
                             config->security_cert_pem);
    tikv_error *next = load(&key, "security.key", config->security_key_file,
                            config->security_key_pem);
    tikv_error *last = load(&ca, "security.ca", config->security_ca_file,
                            config->security_ca_pem);

    *out = NULL;
    if (creds == NULL && error == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error == NULL) {
        error = next;
        next = NULL;
    }
    if (error == NULL) {
        error = check_pair(&cert, &key, wall / SECOND, creds);
    }
    if (error == NULL) {
        error = last;
        last = NULL;
    }
    if (error == NULL) {
        error = check_ca(&ca, wall / SECOND, creds);
    }
    if (error == NULL) {
        atomic_init(&creds->refs, 1);
        error = make(creds, &ca, &cert, &key, config->security_verify_cn);
    }
    drop(&ca);
    drop(&cert);
    drop(&key);
    tikv_error_free(next);
    tikv_error_free(last);
    if (error != NULL) {
        tk_free(creds);
        return error;
    }
    *out = creds;
    return NULL;
}

void
tk_creds_unref(struct tk_creds *creds)
{
    if (creds != NULL && atomic_fetch_sub_explicit(&creds->refs, 1,
                                                   memory_order_acq_rel) == 1) {
        grpc_channel_credentials_release(creds->creds);
        tk_free(creds);
    }
}

/* ---- what a failure means ---- */

/* NULL: nothing to add to what C core says. */
static const char *
meaning_of(const struct tk_creds *creds, const char *details, bool never_sent,
           int64_t now)
{
    if (strstr(details, "certificate verify failed") != NULL) {
        return creds->ca_end < now
                   ? "security.ca_file has expired"
                   : "the server's certificate is not signed by "
                     "security.ca_file or has expired";
    }
    if (strstr(details, "is not in peer certificate") != NULL) {
        return "the server's certificate is for another name (see "
               "security.target_name)";
    }
    if (strstr(details, "Verify peer callback") != NULL) {
        return "the server's common name is not in security.verify_cn";
    }
    if (strstr(details, "wrong version number") != NULL) {
        return "the server does not speak TLS";
    }
    if (strstr(details, " alert ") != NULL ||
        (never_sent && (strstr(details, "Socket closed") != NULL ||
                        strstr(details, "onnection reset") != NULL))) {
        if (!creds->has_cert) {
            return "the server hung up: it may ask for a certificate, and "
                   "security.cert_file is not set";
        }
        return creds->cert_end < now
                   ? "the server hung up: security.cert_file has expired"
                   : "the server hung up: it may not accept "
                     "security.cert_file";
    }
    return NULL;
}

void
tk_creds_explain(const struct tk_creds *creds, int64_t wall, bool never_sent,
                 char *details, size_t size)
{
    const char *meaning;
    size_t len = strlen(details);
    size_t head;

    if (!creds->is_tls) {
        return;
    }
    meaning = meaning_of(creds, details, never_sent, wall / SECOND);
    if (meaning == NULL) {
        return;
    }
    /* Ours first: the rest may be cut on its way up. */
    head = strlen(meaning) + 2;
    if (head + 1 > size) {
        return;
    }
    if (head + len + 1 > size) {
        len = size - head - 1;
    }
    memmove(details + head, details, len);
    memcpy(details, meaning, head - 2);
    memcpy(details + head - 2, ": ", 2);
    details[head + len] = '\0';
}
