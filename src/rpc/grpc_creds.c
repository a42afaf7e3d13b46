/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS from PEM files. C core takes any text for credentials and fails much
 * later with a broken connection, so the files are looked at here: they must
 * be readable and hold the block they are named for. Read anew for each
 * channel: renewed certificates come with the next connection.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "rpc/grpc_inside.h"

#define FILE_MAX (1 << 20)

static tikv_error *
read_file(const char *name, const char *path, struct tk_buf *out)
{
    FILE *file = fopen(path, "re");
    char part[4096];
    size_t count;
    int fault;

    if (file == NULL) {
        return tk_error(TIKV_ERR_SECURITY, "%s: cannot open %s: %s", name, path,
                        strerror(errno));
    }
    while ((count = fread(part, 1, sizeof(part), file)) != 0) {
        tk_buf_append(out, part, count);
    }
    fault = ferror(file) ? errno : 0;
    fclose(file);
    tk_buf_append(out, "", 1);
    if (fault != 0) {
        return tk_error(TIKV_ERR_SECURITY, "%s: cannot read %s: %s", name, path,
                        strerror(fault));
    }
    if (out->failed) {
        return tk_error(TIKV_ERR_SECURITY,
                        "%s: %s is too large for a "
                        "certificate or key",
                        name, path);
    }
    return NULL;
}

/* A block "-----BEGIN <label>-----" with its end. Labels of keys vary, their
 * last words do not. */
static tikv_error *
need_block(const char *name, const char *path, const char *text,
           const char *label)
{
    const char *begin = strstr(text, "-----BEGIN ");
    const char *found = begin == NULL ? NULL : strstr(begin, label);

    if (found == NULL || strstr(found, "-----END ") == NULL) {
        return tk_error(TIKV_ERR_SECURITY, "%s: no PEM block \"%s\" in %s",
                        name, label, path);
    }
    return NULL;
}

static tikv_error *
load(const char *name, const char *path, const char *label, struct tk_buf *out)
{
    tikv_error *error = read_file(name, path, out);

    if (error != NULL) {
        return error;
    }
    return need_block(name, path, (const char *)out->data, label);
}

static tikv_error *
load_pair(const struct tk_config *config, struct tk_buf *cert,
          struct tk_buf *key)
{
    const char *cert_file = config->security_cert_file;
    const char *key_file = config->security_key_file;
    tikv_error *error;

    if (cert_file[0] == '\0' && key_file[0] == '\0') {
        return NULL;
    }
    if (key_file[0] == '\0') {
        return tk_error(TIKV_ERR_SECURITY,
                        "security.cert_file without security.key_file");
    }
    if (cert_file[0] == '\0') {
        return tk_error(TIKV_ERR_SECURITY,
                        "security.key_file without security.cert_file");
    }
    error = load("security.cert_file", cert_file, "CERTIFICATE-----", cert);
    if (error != NULL) {
        return error;
    }
    return load("security.key_file", key_file, "PRIVATE KEY-----", key);
}

tikv_error *
tk_grpc_creds(const struct tk_config *config, grpc_channel_credentials **out)
{
    grpc_ssl_pem_key_cert_pair pair;
    struct tk_buf ca;
    struct tk_buf cert;
    struct tk_buf key;
    tikv_error *error;

    tk_buf_init(&ca, FILE_MAX);
    tk_buf_init(&cert, FILE_MAX);
    tk_buf_init(&key, FILE_MAX);
    *out = NULL;
    error = load_pair(config, &cert, &key);
    if (error == NULL && config->security_ca_file[0] != '\0') {
        error = load("security.ca_file", config->security_ca_file,
                     "CERTIFICATE-----", &ca);
    } else if (error == NULL && cert.len != 0) {
        error = tk_error(TIKV_ERR_SECURITY,
                         "security.cert_file without security.ca_file");
    }
    if (error != NULL) {
        goto out;
    }
    if (ca.len == 0) {
        *out = grpc_insecure_credentials_create();
    } else {
        pair.private_key = (const char *)key.data;
        pair.cert_chain = (const char *)cert.data;
        *out = grpc_ssl_credentials_create(
            (const char *)ca.data, key.len != 0 ? &pair : NULL, NULL, NULL);
    }
    if (*out == NULL) {
        error = tk_error(TIKV_ERR_SECURITY, "gRPC refused the certificates");
    }

out:
    tk_buf_fini(&ca);
    tk_buf_fini(&cert);
    tk_buf_fini(&key);
    return error;
}
