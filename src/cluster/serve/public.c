/* SPDX-License-Identifier: Apache-2.0 */
/*
 * <tikv/cluster.h>: a runtime, the core and its servers as one object.
 * Arguments are checked here, everything else is the core's. All members are
 * fixed after start; no lock.
 */
#include <tikv/cluster.h>

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/disk.h"
#include "cluster/serve/public.h"
#include "wire/key.h"

#define OPTIONS_SIZE_MAX 4096
#define PORT_MAX 65535
#define ADDRESS_BYTES 64

/* A field that an older caller does not have must not be read from padding. */
_Static_assert(sizeof(tikv_cluster_options) ==
                   offsetof(tikv_cluster_options, services) +
                       sizeof(uint64_t),
               "options end with padding");

/* ---- options ---- */

void
tikv_cluster_options_init(tikv_cluster_options *options, size_t struct_size)
{
    if (options != NULL && struct_size >= sizeof(size_t)) {
        memset(options, 0, struct_size);
        options->struct_size = struct_size;
    }
}

static tikv_error *
check_services(uint64_t services)
{
    return (services & ~(TIKV_CLUSTER_SERVICE_TSO |
                         TIKV_CLUSTER_SERVICE_ROUTER |
                         TIKV_CLUSTER_SERVICE_RESOURCE)) != 0
               ? tk_public_wrong("unknown services")
               : NULL;
}

static tikv_error *
read_options(const tikv_cluster_options *options, tikv_cluster_options *out)
{
    size_t size;
    size_t i;

    memset(out, 0, sizeof(*out));
    if (options == NULL) {
        return NULL;
    }
    memcpy(&size, options, sizeof(size));
    if (size < sizeof(size) || size > OPTIONS_SIZE_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT, "options.struct_size is %zu", size);
    }
    for (i = sizeof(*out); i < size; i++) {
        if (((const uint8_t *)options)[i] != 0) {
            return tk_public_wrong(
                "options set a field this library does not know");
        }
    }
    memcpy(out, options, size < sizeof(*out) ? size : sizeof(*out));
    if (out->reserved != 0) {
        return tk_public_wrong("options.reserved is not 0");
    }
    if (out->data_sync > TIKV_CLUSTER_SYNC_PROCESS) {
        return tk_error(TIKV_ERR_ARGUMENT, "unknown data_sync %u",
                        (unsigned)out->data_sync);
    }
    return check_services(out->services);
}

static tikv_error *
check_ports(const tikv_cluster_options *options)
{
    uint64_t stores = options->stores_count == 0 ? 1 : options->stores_count;
    uint64_t pds = options->pds_count == 0 ? 1 : options->pds_count;

    if (options->base_port != 0 &&
        options->base_port + pds + stores - 1 > PORT_MAX) {
        return tk_error(
            TIKV_ERR_ARGUMENT, "base_port %u leaves no room for %llu nodes",
            (unsigned)options->base_port, (unsigned long long)(pds + stores));
    }
    return NULL;
}

/* ---- life ---- */

static tikv_error *
make_endpoints(tikv_cluster *cluster)
{
    char address[ADDRESS_BYTES];
    struct tk_buf text;
    uint32_t i;

    tk_buf_init(&text, SIZE_MAX / 4);
    for (i = 0; i < tk_cluster_pds_count(cluster->core); i++) {
        if (tk_serve_address(cluster->serve, i, address, sizeof(address))) {
            tk_buf_append_text(&text, i == 0 ? "" : ",");
            tk_buf_append_text(&text, address);
        }
    }
    tk_buf_append(&text, "", 1);
    if (!text.failed) {
        cluster->endpoints = tk_strdup((const char *)text.data);
    }
    tk_buf_fini(&text);
    return cluster->endpoints == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                      : NULL;
}

static tikv_error *
make_keyspaces(tikv_cluster *cluster, const tikv_cluster_options *options)
{
    const char *names = options->keyspaces;
    tikv_error *error = NULL;

    while (error == NULL && names != NULL && *names != '\0') {
        size_t len = strcspn(names, ",");
        char *name = tk_calloc(len + 1);

        if (name == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        memcpy(name, names, len);
        /* What a directory has kept is there already. */
        if (options->data_dir == NULL ||
            !tk_cluster_keyspace_exists(cluster->core, name)) {
            error = tk_cluster_keyspace_create(cluster->core, name, NULL, true,
                                               NULL);
        }
        tk_free(name);
        names += len + (names[len] == ',');
    }
    return error;
}

static tikv_error *
open_core(tikv_cluster *cluster, const tikv_cluster_options *options)
{
    struct tk_cluster_params params = {
        .stores_count = options->stores_count,
        .pds_count = options->pds_count,
        .regions_count = options->regions_count,
        .replicas_count = options->replicas_count,
        .api = options->api,
        .cluster_id = options->cluster_id,
        .seed = options->seed,
        .is_tls = options->tls_cert != NULL,
        .keeps_lazily = options->data_sync == TIKV_CLUSTER_SYNC_PROCESS,
        .log_bytes = (uint64_t)options->data_log_mb << 20,
    };
    tikv_error *error = NULL;

    if (options->data_dir != NULL) {
        error = tk_disk_open(options->data_dir, &params.disk);
    }
    return error != NULL
               ? error
               : tk_cluster_new(cluster->rt, &params, &cluster->core);
}

static tikv_error *
open_parts(tikv_cluster *cluster, const tikv_cluster_options *options)
{
    const struct tk_serve_tls tls = { options->tls_ca, options->tls_cert,
                                      options->tls_key };
    tikv_error *error;

    cluster->rt = tk_runtime_posix_new();
    if (cluster->rt == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = open_core(cluster, options);
    if (error == NULL) {
        tk_cluster_set_services(cluster->core, (uint32_t)options->services);
        error = make_keyspaces(cluster, options);
    }
    if (error == NULL) {
        error = tk_serve_start(cluster->rt, cluster->core, options->base_port,
                               &tls, &cluster->serve);
    }
    if (error == NULL) {
        tk_serve_set_control(cluster->serve, tk_public_page, cluster);
        error = make_endpoints(cluster);
    }
    return error;
}

tikv_error *
tikv_cluster_start(const tikv_cluster_options *options, tikv_cluster **out)
{
    tikv_cluster_options known;
    tikv_cluster *cluster;
    tikv_error *error;

    if (out == NULL) {
        return tk_public_wrong("out is NULL");
    }
    *out = NULL;
    error = read_options(options, &known);
    if (error == NULL) {
        error = check_ports(&known);
    }
    if (error != NULL) {
        return error;
    }
    cluster = tk_calloc(sizeof(*cluster));
    if (cluster == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = open_parts(cluster, &known);
    if (error != NULL) {
        tikv_cluster_free(cluster);
        return error;
    }
    *out = cluster;
    return NULL;
}

void
tikv_cluster_free(tikv_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    tk_serve_stop(cluster->serve);
    tk_cluster_free(cluster->core);
    tk_serve_free(cluster->serve);
    if (cluster->rt != NULL) {
        tk_runtime_posix_free(cluster->rt);
    }
    tk_free(cluster->endpoints);
    tk_free(cluster);
}

const char *
tikv_cluster_endpoints(const tikv_cluster *cluster)
{
    return cluster == NULL ? "" : cluster->endpoints;
}

uint64_t
tikv_cluster_id(const tikv_cluster *cluster)
{
    return cluster == NULL ? 0 : tk_cluster_id(cluster->core);
}

/* ---- regions ---- */

/* As regions are bounded by it. False: without memory. */
static bool
encode(tikv_slice key, struct tk_buf *out)
{
    tk_buf_init(out, SIZE_MAX / 4);
    tk_key_encode(out, key);
    return !out->failed;
}

uint64_t
tikv_cluster_region_of(tikv_cluster *cluster, tikv_slice key)
{
    return cluster == NULL || !tk_public_is_slice(key)
               ? 0
               : tk_cluster_region_of(cluster->core, key);
}

uint64_t
tikv_cluster_region_of_txn(tikv_cluster *cluster, tikv_slice key)
{
    struct tk_buf encoded;
    uint64_t id = 0;

    if (cluster != NULL && tk_public_is_slice(key)) {
        if (encode(key, &encoded)) {
            id = tk_cluster_region_of(cluster->core, tk_buf_slice(&encoded));
        }
        tk_buf_fini(&encoded);
    }
    return id;
}

size_t
tikv_cluster_regions_count(tikv_cluster *cluster)
{
    return cluster == NULL ? 0 : tk_cluster_regions_count(cluster->core);
}

tikv_error *
tikv_cluster_split(tikv_cluster *cluster, tikv_slice key)
{
    tikv_error *error = tk_public_check_key(cluster, key);

    return error != NULL
               ? error
               : tk_public_settle(cluster,
                                  tk_cluster_split(cluster->core, key));
}

tikv_error *
tikv_cluster_split_txn(tikv_cluster *cluster, tikv_slice key)
{
    tikv_error *error = tk_public_check_key(cluster, key);
    struct tk_buf encoded;

    if (error != NULL) {
        return error;
    }
    error = encode(key, &encoded)
                ? tikv_cluster_split(cluster, tk_buf_slice(&encoded))
                : tk_error_immortal(TIKV_ERR_MEMORY);
    tk_buf_fini(&encoded);
    return error;
}

tikv_error *
tikv_cluster_merge(tikv_cluster *cluster, tikv_slice key)
{
    tikv_error *error = tk_public_check_key(cluster, key);

    return error != NULL
               ? error
               : tk_public_settle(cluster,
                                  tk_cluster_merge(cluster->core, key));
}

tikv_error *
tikv_cluster_transfer_leader(tikv_cluster *cluster, uint64_t region_id,
                             uint64_t store_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_transfer_leader(cluster->core, region_id,
                                           store_id);
        error = tk_public_settle(cluster, error);
    }
    return error;
}

uint64_t
tikv_cluster_leader_of(tikv_cluster *cluster, uint64_t region_id)
{
    return cluster == NULL ? 0 : tk_cluster_leader_of(cluster->core, region_id);
}

/* ---- stores ---- */

tikv_error *
tikv_cluster_store_stop(tikv_cluster *cluster, uint64_t store_id)
{
    tikv_error *error = tk_public_check(cluster);

    return error != NULL ? error
                         : tk_cluster_store_stop(cluster->core, store_id);
}

tikv_error *
tikv_cluster_store_start(tikv_cluster *cluster, uint64_t store_id,
                         bool new_port)
{
    tikv_error *error = tk_public_check(cluster);

    if (error != NULL) {
        return error;
    }
    error = tk_cluster_store_start(cluster->core, store_id, new_port);
    return tk_public_trouble(cluster, error, TK_NODE_STORE | store_id);
}

bool
tikv_cluster_store_address(tikv_cluster *cluster, uint64_t store_id,
                           char *buffer, size_t size)
{
    return cluster != NULL && (store_id & TK_NODE_STORE) == 0 &&
           tk_serve_address(cluster->serve, TK_NODE_STORE | store_id, buffer,
                            size);
}

tikv_error *
tikv_cluster_store_swap(tikv_cluster *cluster, uint64_t a, uint64_t b)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && a == b) {
        error = tk_public_wrong("a store cannot trade with itself");
    }
    if (error != NULL) {
        return error;
    }
    error = tk_cluster_store_swap(cluster->core, a, b);
    error = tk_public_trouble(cluster, error, TK_NODE_STORE | a);
    return tk_public_trouble(cluster, error, TK_NODE_STORE | b);
}

tikv_error *
tikv_cluster_store_remove(tikv_cluster *cluster, uint64_t store_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_remove(cluster->core, store_id);
        error = tk_public_settle(cluster, error);
    }
    return error;
}

/* ---- data ---- */

void
tikv_cluster_gc(tikv_cluster *cluster, uint64_t safe_point)
{
    if (cluster != NULL) {
        tk_cluster_gc(cluster->core, safe_point);
    }
}

/* ---- counters ---- */

uint64_t
tikv_cluster_calls(tikv_cluster *cluster, const char *method)
{
    return cluster == NULL ? 0 : tk_cluster_calls(cluster->core, method);
}
