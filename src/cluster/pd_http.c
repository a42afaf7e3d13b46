/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages that nodes serve over HTTP on their ports, as small JSON: what
 * clients and tools look up at PD, and the configuration of a store. Every
 * member answers, as those that do not lead pass the question on.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/slice.h"
#include "cluster/pd.h"
#include "cluster/region.h"

enum { HTTP_NOT_ALLOWED = 405 };

static const char version[] = "v8.5.0";
static const char api[] = "/pd/api/v1/";
static const char keyspaces[] = "/pd/api/v2/keyspaces";

/* ---- pieces ---- */

static void
add_member(struct tk_cluster *cluster, uint32_t index, struct tk_buf *out)
{
    char url[TK_PD_URL_MAX];

    tk_buf_printf(out,
                  "{\"name\":\"pd-%u\",\"member_id\":%u,"
                  "\"peer_urls\":[\"%s\"],\"client_urls\":[\"%s\"],"
                  "\"binary_version\":\"%s\"}",
                  index, index + 1, tk_cl_pd_url(cluster, index, url), url,
                  version);
}

static void
add_store(struct tk_cluster *cluster, const struct tk_cl_store *store,
          struct tk_buf *out)
{
    const char *state = store->is_removed ? "Tombstone"
                        : store->is_up    ? "Up"
                                          : "Disconnected";
    uint32_t leaders = 0;
    uint32_t regions = 0;
    size_t i;

    for (i = 0; i < cluster->regions.count; i++) {
        const struct tk_cl_region *region = cluster->regions.sorted[i];
        const struct tk_cl_peer *peer = tk_cl_peer_on(region, store->id);

        regions += peer != NULL;
        leaders += peer != NULL && peer->id == region->leader;
    }
    tk_buf_printf(out,
                  "{\"store\":{\"id\":%llu,\"address\":\"%s\","
                  "\"status_address\":\"%s\",\"version\":\"%s\","
                  "\"start_timestamp\":%lld,\"state_name\":\"%s\"},"
                  "\"status\":{\"capacity\":\"1TiB\",\"available\":\"512GiB\","
                  "\"leader_count\":%u,\"region_count\":%u}}",
                  (unsigned long long)store->id, store->address,
                  store->address, version + 1,
                  (long long)(store->started_ms / 1000), state, leaders,
                  regions);
}

static void
add_hex(struct tk_buf *out, const char *name, tikv_slice key)
{
    size_t i;

    tk_buf_printf(out, "\"%s\":\"", name);
    for (i = 0; i < key.len; i++) {
        tk_buf_printf(out, "%02X", key.data[i]);
    }
    tk_buf_append_text(out, "\",");
}

static void
add_region(const struct tk_cl_region *region, struct tk_buf *out)
{
    const struct tk_cl_peer *leader = tk_cl_peer_of(region, region->leader);
    size_t i;

    tk_buf_printf(out, "{\"id\":%llu,", (unsigned long long)region->id);
    add_hex(out, "start_key", tk_cl_region_start(region));
    add_hex(out, "end_key", tk_cl_region_end(region));
    tk_buf_printf(out, "\"epoch\":{\"conf_ver\":%llu,\"version\":%llu},"
                       "\"peers\":[",
                  (unsigned long long)region->conf_ver,
                  (unsigned long long)region->version);
    for (i = 0; i < region->peers_count; i++) {
        tk_buf_printf(out, "%s{\"id\":%llu,\"store_id\":%llu}",
                      i == 0 ? "" : ",",
                      (unsigned long long)region->peers[i].id,
                      (unsigned long long)region->peers[i].store_id);
    }
    tk_buf_append_text(out, "]");
    if (leader != NULL) {
        tk_buf_printf(out, ",\"leader\":{\"id\":%llu,\"store_id\":%llu}",
                      (unsigned long long)leader->id,
                      (unsigned long long)leader->store_id);
    }
    tk_buf_append_text(out, "}");
}

/* ---- pages of PD ---- */

static int
page_version(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    (void)cluster;
    (void)rest;
    tk_buf_printf(out, "{\"version\":\"%s\"}", version);
    return TK_PD_HTTP_OK;
}

static int
page_status(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    (void)rest;
    tk_buf_printf(out,
                  "{\"version\":\"%s\",\"git_hash\":\"\",\"build_ts\":\"\","
                  "\"start_timestamp\":%lld}",
                  version,
                  (long long)(cluster->stores[0].started_ms / 1000));
    return TK_PD_HTTP_OK;
}

static int
page_members(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    uint32_t i;

    (void)rest;
    tk_buf_printf(out, "{\"header\":{\"cluster_id\":%llu},\"members\":[",
                  (unsigned long long)cluster->id);
    for (i = 0; i < cluster->members_count; i++) {
        tk_buf_append_text(out, i == 0 ? "" : ",");
        add_member(cluster, i, out);
    }
    tk_buf_append_text(out, "]");
    if (cluster->leader != UINT32_MAX) {
        tk_buf_append_text(out, ",\"leader\":");
        add_member(cluster, cluster->leader, out);
        tk_buf_append_text(out, ",\"etcd_leader\":");
        add_member(cluster, cluster->leader, out);
    }
    tk_buf_append_text(out, "}");
    return TK_PD_HTTP_OK;
}

static int
page_health(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    char url[TK_PD_URL_MAX];
    uint32_t i;

    (void)rest;
    tk_buf_append_text(out, "[");
    for (i = 0; i < cluster->members_count; i++) {
        tk_buf_printf(out,
                      "%s{\"name\":\"pd-%u\",\"member_id\":%u,"
                      "\"client_urls\":[\"%s\"],\"health\":%s}",
                      i == 0 ? "" : ",", i, i + 1,
                      tk_cl_pd_url(cluster, i, url),
                      cluster->members[i].is_up ? "true" : "false");
    }
    tk_buf_append_text(out, "]");
    return TK_PD_HTTP_OK;
}

static int
page_stores(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    struct tk_buf list;
    uint32_t count = 0;
    uint32_t i;

    (void)rest;
    tk_buf_init(&list, SIZE_MAX / 4);
    for (i = 0; i < cluster->stores_count; i++) {
        if (!cluster->stores[i].is_removed) {
            tk_buf_append_text(&list, count++ == 0 ? "" : ",");
            add_store(cluster, &cluster->stores[i], &list);
        }
    }
    tk_buf_printf(out, "{\"count\":%u,\"stores\":[", count);
    tk_buf_append_slice(out, tk_buf_slice(&list));
    tk_buf_append_text(out, "]}");
    out->failed = out->failed || list.failed;
    tk_buf_fini(&list);
    return TK_PD_HTTP_OK;
}

static int
page_store(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    const struct tk_cl_store *store =
        tk_cl_store(cluster, strtoull(rest, NULL, 10));

    if (store == NULL) {
        tk_buf_append_text(out, "\"store not found\"");
        return TK_PD_HTTP_NOT_FOUND;
    }
    add_store(cluster, store, out);
    return TK_PD_HTTP_OK;
}

static int
page_regions(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    size_t i;

    (void)rest;
    tk_buf_printf(out, "{\"count\":%zu,\"regions\":[", cluster->regions.count);
    for (i = 0; i < cluster->regions.count; i++) {
        tk_buf_append_text(out, i == 0 ? "" : ",");
        add_region(cluster->regions.sorted[i], out);
    }
    tk_buf_append_text(out, "]}");
    return TK_PD_HTTP_OK;
}

static int
page_region(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    const struct tk_cl_region *region =
        tk_cl_region_by_id(&cluster->regions, strtoull(rest, NULL, 10));

    if (region == NULL) {
        tk_buf_append_text(out, "null");
    } else {
        add_region(region, out);
    }
    return TK_PD_HTTP_OK;
}

static int
page_cluster(struct tk_cluster *cluster, const char *rest, struct tk_buf *out)
{
    (void)cluster;
    (void)rest;
    tk_buf_append_text(out, "{\"raft_bootstrap_time\":"
                            "\"1970-01-01T00:00:00Z\","
                            "\"is_initialized\":true,"
                            "\"replication_status\":\"majority\"}");
    return TK_PD_HTTP_OK;
}

static int
page_replicate(struct tk_cluster *cluster, const char *rest,
               struct tk_buf *out)
{
    (void)rest;
    tk_buf_printf(out,
                  "{\"max-replicas\":%u,\"location-labels\":\"\","
                  "\"strictly-match-label\":\"false\","
                  "\"enable-placement-rules\":\"true\","
                  "\"isolation-level\":\"\"}",
                  cluster->pd->max_peers);
    return TK_PD_HTTP_OK;
}

/* What the store reported; our own report nothing and are asked. 0: none. */
static uint64_t
resolved_of(struct tk_cluster *cluster, uint32_t index)
{
    uint64_t known = cluster->pd->min_resolved[index];
    uint64_t least = UINT64_MAX;
    size_t i;

    for (i = 0; known == 0 && i < cluster->regions.count; i++) {
        struct tk_cl_region *region = cluster->regions.sorted[i];
        struct tk_cl_peer *peer =
            tk_cl_peer_on(region, cluster->stores[index].id);
        uint64_t ts = peer == NULL ? 0 : tk_cl_safe_ts(cluster, region, peer);

        if (ts != 0 && ts < least) {
            least = ts;
        }
    }
    return known != 0 || least == UINT64_MAX ? known : least;
}

/* Of the cluster; with "?scope=cluster" or "?scope=1,2" of stores too. */
static int
page_min_resolved(struct tk_cluster *cluster, const char *rest,
                  struct tk_buf *out)
{
    const char *scope = strstr(rest, "scope=");
    uint64_t least = UINT64_MAX;
    bool any = false;
    uint32_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        uint64_t ts = resolved_of(cluster, i);

        if (ts != 0 && ts < least) {
            least = ts;
        }
    }
    tk_buf_printf(out,
                  "{\"min_resolved_ts\":%llu,\"is_real_time\":true,"
                  "\"persist_interval\":\"1s\"",
                  (unsigned long long)(least == UINT64_MAX ? 0 : least));
    if (scope != NULL) {
        tk_buf_append_text(out, ",\"stores_min_resolved_ts\":{");
        for (i = 0; i < cluster->stores_count; i++) {
            tk_buf_printf(out, "%s\"%u\":%llu", any ? "," : "", i + 1,
                          (unsigned long long)resolved_of(cluster, i));
            any = true;
        }
        tk_buf_append_text(out, "}");
    }
    tk_buf_append_text(out, "}");
    return TK_PD_HTTP_OK;
}

struct page {
    const char *path;
    bool has_rest; /* an id follows */
    int (*show)(struct tk_cluster *, const char *rest, struct tk_buf *out);
};

static const struct page pages[] = {
    { "version", false, page_version },
    { "status", false, page_status },
    { "members", false, page_members },
    { "health", false, page_health },
    { "stores", false, page_stores },
    { "store/", true, page_store },
    { "regions", false, page_regions },
    { "region/id/", true, page_region },
    { "cluster/status", false, page_cluster },
    { "config/replicate", false, page_replicate },
    { "min-resolved-ts", false, page_min_resolved },
};

static int
show_member(struct tk_cluster *cluster, const char *target,
            struct tk_buf *out)
{
    size_t i;

    if (strncmp(target, keyspaces, sizeof(keyspaces) - 1) == 0) {
        return tk_cl_http_keyspaces(cluster, target + sizeof(keyspaces) - 1,
                                    out);
    }
    if (strncmp(target, api, sizeof(api) - 1) == 0) {
        target += sizeof(api) - 1;
    } else if (strncmp(target, "/pd/", 4) == 0 || target[0] != '/') {
        target = "";
    } else {
        target++; /* "/health", "/status", "/version": without the api too */
    }
    for (i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        size_t len = strlen(pages[i].path);
        const char *rest = target + len;

        if (strncmp(target, pages[i].path, len) == 0 &&
            (pages[i].has_rest || *rest == '\0' || *rest == '?')) {
            return pages[i].show(cluster, rest, out);
        }
    }
    tk_buf_append_text(out, "\"not found\"");
    return TK_PD_HTTP_NOT_FOUND;
}

/* ---- pages of a store ---- */

static int
show_store(struct tk_cluster *cluster, const char *target, struct tk_buf *out)
{
    if (strncmp(target, "/config", 7) == 0) {
        tk_buf_printf(out,
                      "{\"storage\":{\"api-version\":%d,\"enable-ttl\":%s},"
                      "\"raftstore\":{\"raft-entry-max-size\":\"8MiB\"},"
                      "\"raft-store\":{\"raft-entry-max-size\":\"8MiB\"},"
                      "\"coprocessor\":{\"region-max-size\":\"384MiB\","
                      "\"region-split-size\":\"256MiB\","
                      "\"region-max-keys\":3840000,"
                      "\"region-split-keys\":2560000,"
                      "\"enable-region-bucket\":false}}",
                      cluster->api == TIKV_CLUSTER_API_V2 ? 2 : 1,
                      cluster->api != TIKV_CLUSTER_API_V1 ? "true"
                                                             : "false");
        return TK_PD_HTTP_OK;
    }
    if (strcmp(target, "/status") == 0) {
        return TK_PD_HTTP_OK;
    }
    if (strcmp(target, "/metrics") == 0) {
        tk_buf_printf(out,
                      "# TYPE tikv_embedded_calls_total counter\n"
                      "tikv_embedded_calls_total %llu\n",
                      (unsigned long long)cluster->calls_total);
        return TK_PD_HTTP_OK;
    }
    tk_buf_append_text(out, "\"not found\"");
    return TK_PD_HTTP_NOT_FOUND;
}

int
tk_cluster_http(struct tk_cluster *cluster, tk_node node, const char *method,
                const char *target, tikv_slice body, struct tk_buf *out)
{
    int status;

    if ((node & TK_NODE_STORE) == 0 && strcmp(method, "POST") == 0 &&
        strcmp(target, keyspaces) == 0) {
        return tk_cl_http_keyspace_make(cluster, body, out);
    }
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        tk_buf_append_text(out, "\"method not allowed\"");
        return HTTP_NOT_ALLOWED;
    }
    tk_mutex_lock(&cluster->lock);
    status = (node & TK_NODE_STORE) != 0 ? show_store(cluster, target, out)
                                         : show_member(cluster, target, out);
    tk_mutex_unlock(&cluster->lock);
    return status;
}
