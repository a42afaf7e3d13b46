/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration that PD keeps for others: of the cluster, the external
 * timestamp, and global config, which is a part of the ledger under one path.
 */
#include "base/slice.h"
#include "cluster/pd.h"

static const char root[] = "/global/config/";
static const char controller[] = "resource_group/controller";

int
tk_cl_pd_get_config(struct tk_cl_request *request)
{
    size_t mark;

    tk_cl_put_header(request, 0, NULL);
    mark = tk_put_begin(request->out, 2);
    tk_put_u64(request->out, 1, request->cluster->id);
    tk_put_u64(request->out, 2, request->cluster->pd->max_peers);
    tk_put_end(request->out, mark);
    return TK_GRPC_OK;
}

int
tk_cl_pd_put_config(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_fields config;

    if (!tk_cl_decode(request->fields.bytes[2], &config)) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN, "no configuration");
    }
    if (config.numbers[1] != cluster->id) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "the configuration is of another cluster");
    }
    cluster->pd->max_peers = (uint32_t)config.numbers[2];
    tk_cl_put_header(request, 0, NULL);
    return TK_GRPC_OK;
}

/* ---- external timestamp ---- */

static tikv_slice
external_key(struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX])
{
    return tk_cl_pd_key(cluster, buffer, "external_timestamp");
}

int
tk_cl_pd_set_external(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint64_t asked = request->fields.numbers[2];
    char buffer[TK_PD_KEY_MAX];
    tikv_slice key = external_key(cluster, buffer);
    int64_t physical;
    int64_t logical;

    tk_cl_tso_take(cluster, 1, &physical, &logical);
    if (asked > ((uint64_t)physical << 18 | (uint64_t)logical)) {
        return tk_cl_pd_refuse(request, TK_PD_INVALID_VALUE,
                               "the external timestamp lies in the future");
    }
    if (asked < tk_cl_pd_read(cluster, key)) {
        return tk_cl_pd_refuse(request, TK_PD_INVALID_VALUE,
                               "the external timestamp cannot go back");
    }
    if (!tk_cl_pd_write(cluster, key, asked)) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_put_header(request, 0, NULL);
    return TK_GRPC_OK;
}

int
tk_cl_pd_get_external(struct tk_cl_request *request)
{
    char buffer[TK_PD_KEY_MAX];

    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(
        request->out, 2,
        tk_cl_pd_read(request->cluster,
                      external_key(request->cluster, buffer)));
    return TK_GRPC_OK;
}

/* ---- global config ---- */

/* A path that climbs is none of ours, wherever it ends. */
static bool
climbs(tikv_slice path)
{
    size_t i;

    for (i = 0; i + 1 < path.len; i++) {
        if (path.data[i] == '.' && path.data[i + 1] == '.') {
            return true;
        }
    }
    return false;
}

/* INVALID_ARGUMENT unless the path lies under the root; "" is the root. */
static int
check_path(struct tk_cl_request *request, tikv_slice asked, tikv_slice *out)
{
    *out = asked;
    if (asked.len == 0 ||
        tk_slice_equal(asked, tk_slice(root, sizeof(root) - 2))) {
        *out = tk_slice_text(root);
    }
    return tk_cl_has_prefix(*out, root) && !climbs(*out)
               ? TK_GRPC_OK
               : tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                              "config path must lie under %s", root);
}

/* path + "/" + name, one slash between them. */
static bool
join(struct tk_buf *out, tikv_slice path, tikv_slice name)
{
    tk_buf_clear(out);
    tk_buf_append_slice(out, path);
    if (path.data[path.len - 1] != '/') {
        tk_buf_append(out, "/", 1);
    }
    tk_buf_append_slice(out, name);
    return !out->failed;
}

static bool
store_item(struct tk_cl_request *request, tikv_slice path, tikv_slice bytes,
           struct tk_buf *key)
{
    struct tk_ledger *ledger = &request->cluster->pd->ledger;
    struct tk_cl_fields item;

    if (!tk_cl_decode(bytes, &item) || !join(key, path, item.bytes[1])) {
        return false;
    }
    if (item.numbers[4] != 0) {
        return tk_ledger_delete(ledger, tk_buf_slice(key));
    }
    return tk_ledger_put(ledger, tk_buf_slice(key),
                         item.bytes[2].len > 0 ? item.bytes[2]
                                               : item.bytes[5],
                         0);
}

int
tk_cl_config_store(struct tk_cl_request *request)
{
    struct tk_ledger *ledger = &request->cluster->pd->ledger;
    tikv_slice path;
    tikv_slice item;
    size_t at = 0;
    struct tk_buf key;
    bool ok = true;
    int status = check_path(request, request->fields.bytes[2], &path);

    while (status == TK_GRPC_OK && tk_cl_each(request->body, 1, &at, &item)) {
        struct tk_cl_fields fields;

        if (!tk_cl_decode(item, &fields) || fields.bytes[1].len == 0 ||
            climbs(fields.bytes[1])) {
            status = tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                                  "config item without a good name");
        }
    }
    if (status != TK_GRPC_OK) {
        return status;
    }
    at = 0;
    tk_buf_init(&key, SIZE_MAX / 4);
    tk_ledger_begin(ledger);
    while (ok && tk_cl_each(request->body, 1, &at, &item)) {
        ok = store_item(request, path, item, &key);
    }
    tk_ledger_end(ledger);
    tk_buf_fini(&key);
    return ok ? TK_GRPC_OK : tk_cl_pd_no_memory(request);
}

static void
put_item(struct tk_buf *out, tikv_slice name,
         const struct tk_ledger_version *version)
{
    size_t mark = tk_put_begin(out, 1);

    tk_put_bytes(out, 1, name);
    if (version != NULL) {
        tk_put_bytes(out, 5, tk_ledger_value(version));
    } else {
        size_t error = tk_put_begin(out, 3);

        tk_put_u64(out, 1, TK_PD_CONFIG_NOT_FOUND);
        tk_put_text(out, 2, "config not found");
        tk_put_end(out, error);
    }
    tk_put_end(out, mark);
}

static int
load_names(struct tk_cl_request *request, tikv_slice path)
{
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    struct tk_buf key;
    tikv_slice name;
    size_t at = 0;

    tk_buf_init(&key, SIZE_MAX / 4);
    while (tk_cl_each(request->body, 1, &at, &name)) {
        if (!join(&key, path, name)) {
            request->out->failed = true;
            break;
        }
        put_item(request->out, name,
                 tk_ledger_get(ledger, tk_buf_slice(&key)));
    }
    tk_buf_fini(&key);
    return TK_GRPC_OK;
}

static int
load_all(struct tk_cl_request *request, tikv_slice prefix)
{
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    struct tk_cl_map_at at = tk_ledger_from(ledger, prefix);

    for (; at.item != NULL; tk_cl_map_next(&at)) {
        const struct tk_ledger_item *item = tk_ledger_item(&at);

        if (item->map.key.len < prefix.len ||
            memcmp(item->map.key.data, prefix.data, prefix.len) != 0) {
            break;
        }
        if (!tk_ledger_is_deleted(item->newest)) {
            put_item(request->out, item->map.key, item->newest);
        }
    }
    tk_put_u64(request->out, 2, (uint64_t)ledger->revision);
    return TK_GRPC_OK;
}

int
tk_cl_config_load(struct tk_cl_request *request)
{
    tikv_slice asked = request->fields.bytes[2];
    bool has_names = request->fields.counts[1] > 0;
    tikv_slice path;
    int status;

    if (!has_names && tk_slice_equal(asked, tk_slice_text(controller))) {
        return load_all(request, asked);
    }
    status = check_path(request, asked, &path);
    if (status != TK_GRPC_OK) {
        return status;
    }
    return has_names ? load_names(request, path) : load_all(request, path);
}

/* ---- watching ---- */

static void
put_watch_header(struct tk_cluster *cluster, struct tk_buf *out,
                 uint32_t error)
{
    size_t mark;

    tk_put_u64(out, 2, (uint64_t)cluster->pd->ledger.revision);
    mark = tk_put_begin(out, 3);
    tk_put_u64(out, 1, cluster->id);
    if (error != 0) {
        size_t inner = tk_put_begin(out, 2);

        tk_put_u64(out, 1, error);
        tk_put_text(out, 2, "required watch revision is compacted");
        tk_put_end(out, inner);
    }
    tk_put_end(out, mark);
}

static void
begin(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      struct tk_buf *out)
{
    (void)watch;
    put_watch_header(stream->cluster, out, 0);
}

/* A deletion carries what was deleted. */
static void
event(struct tk_cluster_stream *stream, const struct tk_cl_watch *watch,
      const struct tk_ledger_version *version, struct tk_buf *out)
{
    bool is_deleted = tk_ledger_is_deleted(version);
    const struct tk_ledger_version *shown =
        is_deleted ? tk_cl_watch_prev(version) : version;
    size_t mark = tk_put_begin(out, 1);

    (void)stream;
    (void)watch;
    tk_put_bytes(out, 1, version->item->map.key);
    tk_put_u64(out, 4, is_deleted);
    if (shown != NULL) {
        tk_put_bytes(out, 5, tk_ledger_value(shown));
    }
    tk_put_end(out, mark);
}

int
tk_cl_config_watch(struct tk_cl_request *request)
{
    static const struct tk_cl_watch_kind kind = { begin, event };
    const struct tk_ledger *ledger = &request->cluster->pd->ledger;
    int64_t since = (int64_t)request->fields.numbers[2];
    struct tk_cl_watch *watch;
    uint8_t end[TK_PD_KEY_MAX];
    tikv_slice path;
    int status = check_path(request, request->fields.bytes[1], &path);

    if (status != TK_GRPC_OK || path.len > sizeof(end)) {
        return status != TK_GRPC_OK
                   ? status
                   : tk_cl_status(request, TK_GRPC_INVALID_ARGUMENT,
                                  "config path is too long");
    }
    if (since > 0 && since < ledger->compacted) {
        put_watch_header(request->cluster, request->out,
                         TK_PD_DATA_COMPACTED);
        tk_cl_stream_last_words(request, TK_GRPC_UNKNOWN,
                                "required watch revision is compacted");
        return TK_GRPC_OK;
    }
    watch = tk_cl_watch_add(request->stream, &kind, path,
                            tk_slice(end, tk_cl_prefix_end(path, end)),
                            since);
    if (watch == NULL) {
        return tk_cl_pd_no_memory(request);
    }
    tk_cl_watch_tell(request->stream, watch);
    request->is_quiet = true;
    return TK_GRPC_OK;
}
