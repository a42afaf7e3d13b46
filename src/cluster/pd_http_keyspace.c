/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyspaces over HTTP, under /pd/api/v2/keyspaces: tools of others make them
 * there, since no gRPC call does. A keyspace made here has its regions.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "cluster/json.h"
#include "cluster/pd.h"

enum { CONFIG_MAX = 32, BAD_REQUEST = 400, FAILED = 500, PAGE = 100 };

static const char *const states[] = { "ENABLED", "DISABLED", "ARCHIVED",
                                      "TOMBSTONE" };

static void
add_keyspace(const struct tk_cl_keyspace *keyspace, struct tk_buf *out)
{
    const char *separator = "";
    struct tk_cl_fields fields;
    struct tk_cl_fields entry;
    tikv_slice bytes;
    size_t at = 0;

    if (!tk_cl_decode(keyspace->meta, &fields)) {
        return;
    }
    tk_buf_printf(out, "{\"id\":%u,\"name\":", keyspace->id);
    tk_json_put(out, keyspace->name);
    tk_buf_printf(out,
                  ",\"state\":\"%s\",\"created_at\":%llu,"
                  "\"state_changed_at\":%llu,\"config\":{",
                  states[keyspace->state % 4],
                  (unsigned long long)fields.numbers[4],
                  (unsigned long long)fields.numbers[5]);
    while (tk_cl_each(keyspace->meta, 7, &at, &bytes)) {
        if (tk_cl_decode(bytes, &entry)) {
            tk_buf_append_text(out, separator);
            tk_json_put(out, entry.bytes[1]);
            tk_buf_append_text(out, ":");
            tk_json_put(out, entry.bytes[2]);
            separator = ",";
        }
    }
    tk_buf_append_text(out, "}}");
}

/* The names and values of an object of strings, each terminated. */
static bool
read_config(struct tk_json *json, struct tk_buf *texts, size_t *count)
{
    struct tk_buf name;
    bool ok = tk_json_enter(json);

    tk_buf_init(&name, SIZE_MAX / 4);
    while (ok && tk_json_member(json, &name)) {
        tk_buf_append_slice(texts, tk_buf_slice(&name));
        ok = tk_json_string(json, texts) && ++*count < CONFIG_MAX;
    }
    ok = ok && !name.failed;
    tk_buf_fini(&name);
    return ok;
}

struct wish {
    struct tk_buf name;
    struct tk_buf config;
    size_t config_count;
};

static bool
read_wish(tikv_slice body, struct wish *wish)
{
    struct tk_json json;
    struct tk_buf name;
    bool ok;

    tk_json_init(&json, body);
    tk_buf_init(&name, SIZE_MAX / 4);
    ok = tk_json_enter(&json);
    while (ok && tk_json_member(&json, &name)) {
        if (strcmp((const char *)name.data, "name") == 0) {
            tk_buf_clear(&wish->name);
            ok = tk_json_string(&json, &wish->name);
        } else if (strcmp((const char *)name.data, "config") == 0) {
            ok = read_config(&json, &wish->config, &wish->config_count);
        } else {
            tk_json_skip(&json);
        }
    }
    tk_buf_fini(&name);
    return ok && !json.failed && wish->name.len > 1 && !wish->name.failed &&
           !wish->config.failed;
}

static int
make(struct tk_cluster *cluster, const struct wish *wish, struct tk_buf *out)
{
    const char *config[2 * CONFIG_MAX + 1] = { NULL };
    const char *text = (const char *)wish->config.data;
    const char *name = (const char *)wish->name.data;
    struct tk_cl_keyspace keyspace;
    tikv_error *error;
    uint32_t id = 0;
    size_t i;

    for (i = 0; i < 2 * wish->config_count; i++) {
        config[i] = text;
        text += strlen(text) + 1;
    }
    error = tk_cluster_keyspace_create(cluster, name, config, true, &id);
    if (error == NULL) {
        error = tk_cluster_settle(cluster);
    }
    if (error != NULL) {
        tk_json_put(out, tk_slice_text(tikv_error_message(error)));
        tikv_error_free(error);
        return FAILED;
    }
    tk_mutex_lock(&cluster->lock);
    if (tk_cl_keyspace_find(cluster, id, &keyspace)) {
        add_keyspace(&keyspace, out);
    }
    tk_mutex_unlock(&cluster->lock);
    return TK_PD_HTTP_OK;
}

int
tk_cl_http_keyspace_make(struct tk_cluster *cluster, tikv_slice body,
                         struct tk_buf *out)
{
    struct wish wish = { .config_count = 0 };
    int status = BAD_REQUEST;

    tk_buf_init(&wish.name, SIZE_MAX / 4);
    tk_buf_init(&wish.config, SIZE_MAX / 4);
    if (read_wish(body, &wish)) {
        status = make(cluster, &wish, out);
    } else {
        tk_buf_append_text(out, "\"a name and a config of strings, please\"");
    }
    tk_buf_fini(&wish.name);
    tk_buf_fini(&wish.config);
    return status;
}

/* "?limit=N&page_token=ID", both of which may be missing. */
static uint64_t
parameter(const char *query, const char *name, uint64_t otherwise)
{
    const char *found = strstr(query, name);

    return found == NULL ? otherwise
                         : strtoull(found + strlen(name), NULL, 10);
}

static int
list(struct tk_cluster *cluster, const char *query, struct tk_buf *out)
{
    uint64_t limit = parameter(query, "limit=", PAGE);
    uint64_t next = parameter(query, "page_token=", 0);
    struct tk_cl_keyspace keyspace;
    uint64_t count = 0;

    tk_buf_append_text(out, "{\"keyspaces\":[");
    while (count < limit && tk_cl_keyspace_next(cluster, next, &keyspace)) {
        tk_buf_append_text(out, count++ == 0 ? "" : ",");
        add_keyspace(&keyspace, out);
        next = keyspace.id + UINT64_C(1);
    }
    tk_buf_append_text(out, "],\"next_page_token\":\"");
    if (tk_cl_keyspace_next(cluster, next, &keyspace)) {
        tk_buf_printf(out, "%u", keyspace.id);
    }
    tk_buf_append_text(out, "\"}");
    return TK_PD_HTTP_OK;
}

int
tk_cl_http_keyspaces(struct tk_cluster *cluster, const char *rest,
                     struct tk_buf *out)
{
    struct tk_cl_keyspace keyspace;
    bool found;

    if (*rest != '/') {
        return list(cluster, rest, out);
    }
    if (strncmp(rest, "/id/", 4) == 0) {
        found = tk_cl_keyspace_find(
            cluster, (uint32_t)strtoul(rest + 4, NULL, 10), &keyspace);
    } else {
        found = tk_cl_keyspace_named(cluster, tk_slice_text(rest + 1),
                                     &keyspace);
    }
    if (!found) {
        tk_buf_append_text(out, "\"keyspace does not exist\"");
        return TK_PD_HTTP_NOT_FOUND;
    }
    add_keyspace(&keyspace, out);
    return TK_PD_HTTP_OK;
}
