/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connection strings (feature CFG-3) and lists of endpoints. A string is
 * applied to a fresh copy, which takes the config's place only when all of it
 * was good. The config's owner only; no locks.
 */
#include "base/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

#define SCHEME "tikv://"

static bool
is_port(const char *text, size_t len)
{
    unsigned port = 0;
    size_t i;

    if (len == 0 || len > 5) {
        return false;
    }
    for (i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port >= 1 && port <= 65535;
}

/* name:port, 1.2.3.4:port or [::1]:port. */
static bool
is_endpoint(const char *text, size_t len)
{
    size_t host = len;
    size_t i;

    while (host > 0 && text[host - 1] != ':') {
        host--;
    }
    if (host < 2 || !is_port(text + host, len - host)) {
        return false;
    }
    host--;
    if (text[0] == '[') {
        return host > 2 && text[host - 1] == ']' &&
               strspn(text + 1, "0123456789abcdefABCDEF:.%") == host - 2;
    }
    for (i = 0; i < host; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= ' ' || strchr(":/?#@[]\\\"", c) != NULL) {
            return false;
        }
    }
    return true;
}

tikv_error *
tk_endpoints_check(const char *text)
{
    for (;;) {
        size_t len = strcspn(text, ",");

        if (!is_endpoint(text, len)) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "\"%.*s\" is not an endpoint host:port",
                            (int)(len > 256 ? 256 : len), text);
        }
        if (text[len] == '\0') {
            return NULL;
        }
        text += len + 1;
    }
}

static int
hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; false for a bad or zero escape. */
static bool
unescape(char *text)
{
    char *to = text;

    for (; *text != '\0'; text++) {
        if (*text == '%') {
            int high = hex(text[1]);
            int low = high < 0 ? -1 : hex(text[2]);

            if (low < 0 || high + low == 0) {
                return false;
            }
            *to++ = (char)(high << 4 | low);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
    return true;
}

/* Names that are client-go's and not ours. */
static tikv_error *
apply_foreign(const char *name, const char *value, bool *known)
{
    *known = true;
    if (strcmp(name, "cluster") == 0) {
        return NULL;
    }
    if (strcmp(name, "disableGC") == 0) {
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "disableGC: \"%s\" is not true or false", value);
        }
        return NULL;
    }
    if (strcmp(name, "keyspaceName") == 0) {
        return *value == '\0' ? NULL
                              : tk_error(TIKV_ERR_UNSUPPORTED,
                                         "keyspaceName: keyspaces are not "
                                         "supported");
    }
    *known = false;
    return NULL;
}

static tikv_error *
apply_item(tikv_config *config, char *item)
{
    char *value = strchr(item, '=');
    tikv_error *error;
    bool known;

    if (value == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "\"%s\" is not name=value", item);
    }
    *value++ = '\0';
    if (!unescape(item) || !unescape(value)) {
        return tk_error(TIKV_ERR_ARGUMENT, "a bad %% escape in \"%s\"", item);
    }
    error = apply_foreign(item, value, &known);
    return known ? error : tikv_config_set(config, item, value);
}

/* `text` is ours to cut up. */
static tikv_error *
apply(tikv_config *config, char *text)
{
    char *query = strchr(text, '?');
    char *path;
    tikv_error *error;

    if (query != NULL) {
        *query++ = '\0';
    }
    path = strchr(text, '/');
    if (path != NULL && path[1] == '\0') {
        *path = '\0';
    }
    if (*text == '\0') {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "the connection string names no endpoint");
    }
    error = tikv_config_set(config, "pd.endpoints", text);
    while (error == NULL && query != NULL && *query != '\0') {
        char *next = strchr(query, '&');

        if (next != NULL) {
            *next++ = '\0';
        }
        error = apply_item(config, query);
        query = next;
    }
    return error;
}

/* As tk_config_copy(), which also judges what may still be half set. */
static tikv_error *
duplicate(const tikv_config *from, tikv_config **out)
{
    const char *name;
    size_t i;
    tikv_error *error = tikv_config_new(out);

    for (i = 0; error == NULL && tikv_config_describe(i, &name, NULL, NULL);
         i++) {
        error = tikv_config_set(*out, name, tikv_config_get(from, name));
    }
    if (error != NULL) {
        tikv_config_free(*out);
        *out = NULL;
        return error;
    }
    tikv_config_log(*out, from->values.log_fn, from->values.log_arg);
    return NULL;
}

tikv_error *
tikv_config_parse(tikv_config *config, const char *text)
{
    const char *scheme = text == NULL ? NULL : strstr(text, "://");
    tikv_config *fresh = NULL;
    tikv_error *error;
    char *copy;

    if (config == NULL || text == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "no config, or no text");
    }
    if (scheme == NULL) {
        return *text == '\0'
                   ? tk_error(TIKV_ERR_ARGUMENT, "the text names no endpoint")
                   : tikv_config_set(config, "pd.endpoints", text);
    }
    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "\"%.*s\" is not the scheme tikv",
                        (int)(scheme - text > 64 ? 64 : scheme - text), text);
    }
    copy = tk_strdup(text + strlen(SCHEME));
    error = copy == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                         : duplicate(config, &fresh);
    if (error == NULL) {
        error = apply(fresh, copy);
    }
    if (error == NULL) {
        struct tikv_config old = *config;

        *config = *fresh;
        *fresh = old;
    }
    tikv_config_free(fresh);
    tk_free(copy);
    return error;
}
