/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services that may be PD's or stand alone: TSO and the router, here always
 * on the ports of the members, the leader being the primary; and the health
 * check that every node answers. What is not switched on is UNIMPLEMENTED.
 */
#include <stdio.h>

#include "base/slice.h"
#include "cluster/pd.h"

enum { TSO_UNKNOWN = 1, TSO_INVALID_VALUE = 4, TSO_MISMATCH = 5 };

static int
missing(struct tk_cl_request *request)
{
    return tk_cl_status(request, TK_GRPC_UNIMPLEMENTED, "unknown method %s",
                        request->method->label);
}

static bool
is_on(const struct tk_cl_request *request, uint32_t service)
{
    return (request->cluster->pd->services & service) != 0;
}

/* ---- TSO ---- */

static void
put_tso_header(struct tk_cl_request *request, uint32_t type,
               const char *message)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, 1);
    struct tk_cl_fields header;

    tk_put_u64(out, 1, request->cluster->id);
    if (type != 0) {
        size_t error = tk_put_begin(out, 2);

        tk_put_u64(out, 1, type);
        tk_put_text(out, 2, message);
        tk_put_end(out, error);
    }
    if (tk_cl_decode(request->fields.bytes[1], &header)) {
        tk_put_u64_always(out, 3, header.numbers[3]);
    }
    tk_put_end(out, mark);
}

/* "host:port" of "http://host:port". */
static tikv_slice
without_scheme(tikv_slice url)
{
    size_t i;

    for (i = 0; i + 2 < url.len; i++) {
        if (memcmp(url.data + i, "://", 3) == 0) {
            return tk_slice(url.data + i + 3, url.len - i - 3);
        }
    }
    return url;
}

static int
check_tso(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    const char *address = cluster->members[request->member].address;
    struct tk_cl_fields header;
    char url[TK_PD_URL_MAX];
    tikv_slice callee;

    if (!tk_cl_decode(request->fields.bytes[1], &header)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL,
                            "cannot read the header");
    }
    if (header.numbers[1] != cluster->id) {
        return tk_cl_status(request, TK_GRPC_FAILED_PRECONDITION,
                            "mismatch cluster id, need %llu but got %llu",
                            (unsigned long long)cluster->id,
                            (unsigned long long)header.numbers[1]);
    }
    callee = without_scheme(header.bytes[5]);
    if (callee.len > 0 && !tk_slice_equal(callee, tk_slice_text(address))) {
        return tk_cl_status(request, TK_GRPC_FAILED_PRECONDITION,
                            "mismatch callee id, need %s",
                            tk_cl_pd_url(cluster, request->member, url));
    }
    if (header.numbers[4] != 0) {
        return tk_cl_status(
            request, TK_GRPC_UNKNOWN,
            "the requested keyspace group %llu is not served by this node",
            (unsigned long long)header.numbers[4]);
    }
    if (cluster->leader != request->member) {
        return tk_cl_status(request, TK_GRPC_UNKNOWN,
                            "generate timestamp failed, requested not "
                            "primary anymore");
    }
    return TK_GRPC_OK;
}

/* One message of a Tso stream of the service. */
int
tk_cl_tso_stream(struct tk_cl_request *request)
{
    uint32_t count = (uint32_t)request->fields.numbers[2];
    int status;

    if (!is_on(request, TK_CLUSTER_SERVICE_TSO)) {
        return missing(request);
    }
    status = check_tso(request);
    if (status != TK_GRPC_OK) {
        return status;
    }
    status = tk_cl_tso_check(request, count);
    if (status == TK_GRPC_OK) {
        put_tso_header(request, 0, NULL);
        tk_cl_tso_answer(request, count);
    }
    return status;
}

/* A mismatch of the cluster is a header's error here. */
static bool
is_ours(struct tk_cl_request *request)
{
    struct tk_cl_fields header;

    if (tk_cl_decode(request->fields.bytes[1], &header) &&
        header.numbers[1] == request->cluster->id) {
        return true;
    }
    put_tso_header(request, TSO_MISMATCH, "mismatch cluster id");
    return false;
}

/* When the primary was announced. */
static uint64_t
primary_revision(struct tk_cluster *cluster)
{
    char key[TK_PD_KEY_MAX];
    const struct tk_ledger_version *version;

    (void)snprintf(key, sizeof(key), "/ms/%llu/tso/00000/primary",
                   (unsigned long long)cluster->id);
    version = tk_ledger_get(&cluster->pd->ledger, tk_slice_text(key));
    return (uint64_t)(version == NULL ? cluster->pd->ledger.revision
                                      : version->mod);
}

int
tk_cl_tso_find_group(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_buf *out = request->out;
    uint64_t revision = primary_revision(cluster);
    char url[TK_PD_URL_MAX];
    size_t group;
    uint32_t i;

    if (!is_on(request, TK_CLUSTER_SERVICE_TSO)) {
        return missing(request);
    }
    if (!is_ours(request)) {
        return TK_GRPC_OK;
    }
    if (request->fields.numbers[3] > revision) {
        put_tso_header(request, TSO_INVALID_VALUE,
                       "the revision asked for is newer than ours");
        return TK_GRPC_OK;
    }
    put_tso_header(request, 0, NULL);
    group = tk_put_begin(out, 2);
    tk_put_text(out, 2, "basic");
    for (i = 0; i < cluster->members_count; i++) {
        size_t mark = tk_put_begin(out, 4);

        tk_put_text(out, 1, tk_cl_pd_url(cluster, i, url));
        tk_put_u64(out, 2, i == cluster->leader);
        tk_put_end(out, mark);
    }
    tk_put_end(out, group);
    tk_put_u64(out, 3, revision);
    return TK_GRPC_OK;
}

/* One group in all; who is not its primary serves none. */
int
tk_cl_tso_min_ts(struct tk_cl_request *request)
{
    bool is_primary = request->cluster->leader == request->member;

    if (!is_on(request, TK_CLUSTER_SERVICE_TSO)) {
        return missing(request);
    }
    if (!is_ours(request)) {
        return TK_GRPC_OK;
    }
    put_tso_header(request, 0, NULL);
    if (is_primary) {
        tk_cl_tso_put_one(request, 2);
    }
    tk_put_u64(request->out, 3, is_primary);
    tk_put_u64(request->out, 4, 1);
    return TK_GRPC_OK;
}

/* ---- router ---- */

#define ROUTER(name, handler)                                                  \
    int name(struct tk_cl_request *request)                                    \
    {                                                                          \
        return is_on(request, TK_CLUSTER_SERVICE_ROUTER) ? handler(request)    \
                                                         : missing(request);   \
    }

ROUTER(tk_cl_router_region, tk_cl_pd_region)
ROUTER(tk_cl_router_prev_region, tk_cl_pd_prev_region)
ROUTER(tk_cl_router_region_by_id, tk_cl_pd_region_by_id)
ROUTER(tk_cl_router_query, tk_cl_pd_query)
ROUTER(tk_cl_router_batch_scan, tk_cl_pd_batch_scan)
ROUTER(tk_cl_router_store, tk_cl_pd_store)
ROUTER(tk_cl_router_stores, tk_cl_pd_stores)

/* ---- health ---- */

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static uint64_t
serving(const struct tk_cl_request *request)
{
    return request->store != NULL && request->store->is_not_serving
               ? NOT_SERVING
               : SERVING;
}

int
tk_cl_health_check(struct tk_cl_request *request)
{
    if (request->fields.bytes[1].len > 0) {
        return tk_cl_status(request, TK_GRPC_NOT_FOUND, "unknown service");
    }
    tk_put_u64(request->out, 1, serving(request));
    return TK_GRPC_OK;
}

/* Says how it is; when that changes, the connection breaks. */
int
tk_cl_health_watch(struct tk_cl_request *request)
{
    tk_put_u64(request->out, 1,
               request->fields.bytes[1].len > 0 ? SERVICE_UNKNOWN
                                                : serving(request));
    return TK_GRPC_OK;
}
