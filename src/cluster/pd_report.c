/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stores and other members tell PD and ask of it. The model is driven by
 * the test and not by heartbeats: they are checked, answered, and otherwise
 * let pass.
 */
#include "cluster/pd.h"

enum { REMOVED = 3, SERVING_STATE = 1, BATCH_MAX = 1024, SYNC_PIECE = 100 };

int
tk_cl_pd_header_only(struct tk_cl_request *request)
{
    tk_cl_put_header(request, 0, NULL);
    return TK_GRPC_OK;
}

int
tk_cl_pd_bootstrap(struct tk_cl_request *request)
{
    return tk_cl_pd_refuse(request, TK_PD_ALREADY_BOOTSTRAPPED,
                           "cluster is already bootstrapped");
}

/* False: refused. The id lies in field `inner` of field 2. */
static bool
check_store(struct tk_cl_request *request, uint32_t inner)
{
    const struct tk_cl_store *store = NULL;
    struct tk_cl_fields fields;
    uint64_t id = 0;

    if (tk_cl_decode(request->fields.bytes[2], &fields)) {
        id = fields.numbers[inner];
        store = tk_cl_store(request->cluster, id);
    }
    if (store == NULL) {
        (void)tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                              "invalid store ID %llu, not found",
                              (unsigned long long)id);
        return false;
    }
    if (store->is_removed) {
        (void)tk_cl_pd_refuse(request, TK_PD_STORE_TOMBSTONE,
                              "store %llu is a tombstone",
                              (unsigned long long)id);
        return false;
    }
    return true;
}

int
tk_cl_pd_put_store(struct tk_cl_request *request)
{
    if (check_store(request, 1)) {
        tk_cl_put_header(request, 0, NULL);
    }
    return TK_GRPC_OK;
}

int
tk_cl_pd_store_beat(struct tk_cl_request *request)
{
    if (check_store(request, 1)) {
        tk_cl_put_header(request, 0, NULL);
        tk_put_text(request->out, 3, "8.5.0");
        tk_put_u64(request->out, 8, SERVING_STATE);
    }
    return TK_GRPC_OK;
}

/* PD answers a region's heartbeat only to give an order: it gives none. */
int
tk_cl_pd_region_beat(struct tk_cl_request *request)
{
    request->is_quiet = true;
    return TK_GRPC_OK;
}

/* ---- what members that follow ask of the leader ---- */

/* Regions [first, last) with as many leaders, statistics and buckets. */
static void
put_regions(struct tk_cl_request *request, size_t first, size_t last)
{
    const struct tk_cl_regions *all = &request->cluster->regions;
    struct tk_buf *out = request->out;
    size_t i;

    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(out, 3, first);
    for (i = first; i < last; i++) {
        const struct tk_cl_region *region = all->sorted[i];

        tk_cl_put_region(out, 2, region);
        tk_put_end(out, tk_put_begin(out, 4));
        tk_cl_put_peer(out, 5, tk_cl_peer_of(region, region->leader));
        tk_put_end(out, tk_put_begin(out, 6));
    }
}

/* All regions, in pieces; who has as many already is told that it does.
 * Members share what they know, so changes are not sent. */
int
tk_cl_pd_sync(struct tk_cl_request *request)
{
    size_t count = request->cluster->regions.count;
    size_t first = request->fields.numbers[3] == count ? count : 0;

    for (; count - first > SYNC_PIECE; first += SYNC_PIECE) {
        struct tk_cl_message *message = tk_cl_message_new(request->stream);
        struct tk_cl_request piece = *request;

        if (message == NULL) {
            return tk_cl_status(request, TK_GRPC_RESOURCE_EXHAUSTED,
                                "out of memory");
        }
        piece.out = &message->bytes;
        put_regions(&piece, first, first + SYNC_PIECE);
        if (message->bytes.failed) {
            tk_cl_message_free(request->stream, message);
            return tk_cl_status(request, TK_GRPC_RESOURCE_EXHAUSTED,
                                "out of memory");
        }
        tk_cl_stream_queue(request->stream, message);
    }
    put_regions(request, first, count);
    return TK_GRPC_OK;
}

int
tk_cl_pd_recovering(struct tk_cl_request *request)
{
    tk_cl_put_header(request, 0, NULL);
    tk_put_u64(request->out, 2, request->cluster->pd->is_recovering);
    return TK_GRPC_OK;
}

int
tk_cl_pd_report_min_ts(struct tk_cl_request *request)
{
    uint64_t id = request->fields.numbers[2];
    const struct tk_cl_store *store = tk_cl_store(request->cluster, id);
    uint64_t *known;

    if (store == NULL) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                               "invalid store ID %llu, not found",
                               (unsigned long long)id);
    }
    known = &request->cluster->pd->min_resolved[id - 1];
    if (request->fields.numbers[3] > *known) {
        *known = request->fields.numbers[3];
    }
    tk_cl_put_header(request, 0, NULL);
    return TK_GRPC_OK;
}

/* ---- splits that a store is about to make ---- */

static struct tk_cl_region *
region_in(struct tk_cl_request *request)
{
    struct tk_cl_region *region = NULL;
    struct tk_cl_fields fields;
    struct tk_cl_fields epoch;

    if (tk_cl_decode(request->fields.bytes[2], &fields)) {
        region = tk_cl_region_by_id(&request->cluster->regions,
                                    fields.numbers[1]);
    }
    if (region == NULL) {
        (void)tk_cl_pd_refuse(request, TK_PD_UNKNOWN, "region not found");
        return NULL;
    }
    if (!tk_cl_decode(fields.bytes[4], &epoch) ||
        epoch.numbers[2] < region->version ||
        epoch.numbers[1] < region->conf_ver) {
        (void)tk_cl_pd_refuse(request, TK_PD_UNKNOWN,
                              "the region's epoch is stale");
        return NULL;
    }
    return region;
}

/* An id for the region and one for each of its peers. */
static void
put_ids(struct tk_cl_request *request, uint32_t region_field,
        uint32_t peers_field, size_t peers)
{
    struct tk_cluster *cluster = request->cluster;
    size_t mark;

    tk_put_u64(request->out, region_field, ++cluster->ids);
    mark = tk_put_begin(request->out, peers_field);
    for (; peers > 0; peers--) {
        tk_buf_varint(request->out, ++cluster->ids);
    }
    tk_put_end(request->out, mark);
}

int
tk_cl_pd_ask_split(struct tk_cl_request *request)
{
    const struct tk_cl_region *region = region_in(request);

    if (region != NULL) {
        tk_cl_put_header(request, 0, NULL);
        put_ids(request, 2, 3, region->peers_count);
    }
    return TK_GRPC_OK;
}

int
tk_cl_pd_ask_batch_split(struct tk_cl_request *request)
{
    const struct tk_cl_region *region = region_in(request);
    uint64_t count = request->fields.numbers[3];

    if (region == NULL) {
        return TK_GRPC_OK;
    }
    if (count > BATCH_MAX) {
        return tk_cl_pd_refuse(request, TK_PD_UNKNOWN, "too many splits");
    }
    tk_cl_put_header(request, 0, NULL);
    for (; count > 0; count--) {
        size_t mark = tk_put_begin(request->out, 2);

        put_ids(request, 1, 2, region->peers_count);
        tk_put_end(request->out, mark);
    }
    return TK_GRPC_OK;
}
