/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD about itself and about stores. Who may answer is decided before a
 * handler runs (method.c); refusals here are errors in the header, with
 * status OK.
 */
#include <stdio.h>

#include "cluster/pd.h"

enum {
    ERROR_UNKNOWN = 1,
    PD_SERVICE_MODE = 1,
    API_SERVICE_MODE = 2,
    OFFLINE = 1,
    TOMBSTONE = 2
};

static const char pd_version[] = "v8.5.0";
static const char tikv_version[] = "8.5.0";

void
tk_cl_put_header(struct tk_cl_request *request, uint32_t type,
                 const char *message)
{
    size_t mark = tk_put_begin(request->out, 1);

    tk_put_u64(request->out, 1, request->cluster->id);
    if (type != 0) {
        size_t error = tk_put_begin(request->out, 2);

        tk_put_u64(request->out, 1, type);
        tk_put_text(request->out, 2, message);
        tk_put_end(request->out, error);
    }
    tk_put_end(request->out, mark);
}

static void
put_member(struct tk_cl_request *request, uint32_t field, uint32_t index)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, field);
    char text[TK_PD_URL_MAX];

    (void)snprintf(text, sizeof(text), "pd-%u", index);
    tk_put_text(out, 1, text);
    tk_put_u64(out, 2, index + UINT64_C(1));
    (void)tk_cl_pd_url(request->cluster, index, text);
    tk_put_text(out, 3, text);
    tk_put_text(out, 4, text);
    tk_put_text(out, 7, pd_version);
    tk_put_end(out, mark);
}

int
tk_cl_pd_members(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    uint32_t i;

    tk_cl_put_header(request, 0, NULL);
    for (i = 0; i < cluster->members_count; i++) {
        put_member(request, 2, i);
    }
    if (cluster->leader != UINT32_MAX) {
        put_member(request, 3, cluster->leader);
        put_member(request, 4, cluster->leader);
    }
    return TK_GRPC_OK;
}

int
tk_cl_pd_info(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    bool is_api = (cluster->pd->services & TK_CLUSTER_SERVICE_TSO) != 0;
    const uint64_t modes[] = { is_api ? API_SERVICE_MODE : PD_SERVICE_MODE };
    char url[TK_PD_URL_MAX];
    uint32_t i;

    tk_cl_put_header(request, 0, NULL);
    tk_put_packed(request->out, 2, modes, 1);
    for (i = 0; is_api && i < cluster->members_count; i++) {
        tk_put_text(request->out, 3, tk_cl_pd_url(cluster, i, url));
    }
    return TK_GRPC_OK;
}

int
tk_cl_pd_bootstrapped(struct tk_cl_request *request)
{
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, 1);
    return TK_GRPC_OK;
}

int
tk_cl_pd_alloc_id(struct tk_cl_request *request)
{
    uint32_t count = (uint32_t)request->fields.numbers[2];

    if (count == 0) {
        count = 1;
    }
    request->cluster->ids += count;
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, request->cluster->ids);
    tk_put_u64(request->out, 3, count);
    return TK_GRPC_OK;
}

/* metapb.StoreState; NodeState is one more for these three. */
static uint64_t
state_of(const struct tk_cl_store *store)
{
    if (store->is_removed) {
        return TOMBSTONE;
    }
    return store->is_offline ? OFFLINE : 0;
}

static void
put_store(struct tk_cl_request *request, uint32_t field,
          const struct tk_cl_store *store)
{
    struct tk_buf *out = request->out;
    int64_t beat_ms = store->is_up ? tk_cl_wall_ms(request->cluster)
                                   : store->beat_ms;
    const char *address = tk_cl_pd_address(request->cluster, store);
    size_t mark = tk_put_begin(out, field);

    tk_put_u64(out, 1, store->id);
    tk_put_text(out, 2, address);
    tk_put_u64(out, 3, state_of(store));
    tk_put_text(out, 5, tikv_version);
    tk_put_text(out, 6, address);
    tk_put_text(out, 7, address); /* HTTP is on the same port */
    tk_put_u64(out, 9, (uint64_t)(store->started_ms / 1000));
    tk_put_u64(out, 11, (uint64_t)(beat_ms * TK_MS));
    tk_put_u64(out, 13, state_of(store) + UINT64_C(1));
    tk_put_end(out, mark);
}

int
tk_cl_pd_store(struct tk_cl_request *request)
{
    uint64_t id = request->fields.numbers[2];
    const struct tk_cl_store *store = tk_cl_store(request->cluster, id);
    size_t stats;
    char text[80];

    if (store == NULL) {
        (void)snprintf(text, sizeof(text), "invalid store ID %llu, not found",
                       (unsigned long long)id);
        tk_cl_put_header(request, ERROR_UNKNOWN, text);
        return TK_GRPC_OK;
    }
    tk_cl_put_header(request, 0, NULL);
    put_store(request, 2, store);
    stats = tk_put_begin(request->out, 3);
    tk_put_u64(request->out, 1, store->id);
    tk_put_u64(request->out, 2, UINT64_C(1) << 40);
    tk_put_u64(request->out, 3, UINT64_C(1) << 39);
    tk_put_u64(request->out, 7, (uint64_t)(store->started_ms / 1000));
    tk_put_end(request->out, stats);
    return TK_GRPC_OK;
}

int
tk_cl_pd_stores(struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    bool no_tombstones = request->fields.numbers[2] != 0;
    uint32_t i;

    tk_cl_put_header(request, 0, NULL);
    for (i = 0; i < cluster->stores_count; i++) {
        if (!no_tombstones || !cluster->stores[i].is_removed) {
            put_store(request, 2, &cluster->stores[i]);
        }
    }
    return TK_GRPC_OK;
}
