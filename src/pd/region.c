/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about regions (PD-5), always from the leader. Messages live in the
 * caller's arena. No lock, no state. */
#include <string.h>

#include "base/error.h"
#include "base/slice.h"
#include "pd/inner.h"

#include "metapb.upb.h"
#include "pdpb.upb.h"

static upb_StringView
view(tikv_slice bytes)
{
    return upb_StringView_FromDataAndSize((const char *)bytes.data, bytes.len);
}

static bool
is_absent(const struct pdpb_Error *fault)
{
    return pdpb_Error_type(fault) == pdpb_REGION_NOT_FOUND;
}

/* Peers out of their statistics; NULL without memory. */
static const struct metapb_Peer *const *
peers_of(const pdpb_PeerStats *const *stats, size_t count,
         struct tk_arena *arena)
{
    const struct metapb_Peer **peers =
        upb_Arena_Malloc(arena->upb, (count + 1) * sizeof(*peers));
    size_t i;

    for (i = 0; peers != NULL && i < count; i++) {
        peers[i] = pdpb_PeerStats_peer(stats[i]);
    }
    return peers;
}

static const struct metapb_Peer *
real_leader(const struct metapb_Peer *leader)
{
    return leader != NULL && metapb_Peer_id(leader) != 0 ? leader : NULL;
}

/* GetRegion, GetPrevRegion, GetRegionByID: their answers are the same. */
static tikv_error *
find(struct tk_pd *pd, struct tk_op *op, const struct tk_pd_ask *ask,
     struct tk_arena *arena, struct tk_pd_region *out)
{
    const pdpb_GetRegionResponse *answer;
    const pdpb_PeerStats *const *down;
    const void *message;
    tikv_error *error;

    memset(out, 0, sizeof(*out));
    if (ask->body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_call(pd, op, ask, arena, &message);
    if (error != NULL || message == NULL) {
        return error;
    }
    answer = message;
    out->region = pdpb_GetRegionResponse_region(answer);
    if (out->region == NULL || metapb_Region_id(out->region) == 0) {
        out->region = NULL;
        return NULL;
    }
    out->leader = real_leader(pdpb_GetRegionResponse_leader(answer));
    out->buckets = pdpb_GetRegionResponse_buckets(answer);
    out->pending = pdpb_GetRegionResponse_pending_peers(answer,
                                                        &out->pending_count);
    down = pdpb_GetRegionResponse_down_peers(answer, &out->down_count);
    out->down = peers_of(down, out->down_count, arena);
    return out->down == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

static struct tk_encoded
encode_key(struct tk_pd *pd, tikv_slice key, struct tk_arena *arena)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(arena->upb);

    if (request == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    pdpb_GetRegionRequest_set_header(request, tk_pd_header(pd, arena));
    pdpb_GetRegionRequest_set_region_key(request, view(key));
    pdpb_GetRegionRequest_set_need_buckets(request, true);
    return tk_arena_encode(arena, tk_command_row(TK_CMD_PD_GET_REGION)->request,
                           request);
}

static struct tk_encoded
encode_id(struct tk_pd *pd, uint64_t id, struct tk_arena *arena)
{
    pdpb_GetRegionByIDRequest *request =
        pdpb_GetRegionByIDRequest_new(arena->upb);

    if (request == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    pdpb_GetRegionByIDRequest_set_header(request, tk_pd_header(pd, arena));
    pdpb_GetRegionByIDRequest_set_region_id(request, id);
    pdpb_GetRegionByIDRequest_set_need_buckets(request, true);
    return tk_arena_encode(
        arena, tk_command_row(TK_CMD_PD_GET_REGION_BY_ID)->request, request);
}

tikv_error *
tk_pd_region_by_key(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
{
    struct tk_pd_ask ask = { TK_CMD_PD_GET_REGION,
                             encode_key(pd, key, arena), is_absent };

    (void)source;
    return find(pd, op, &ask, arena, out);
}

tikv_error *
tk_pd_region_before(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
{
    struct tk_pd_ask ask = { TK_CMD_PD_GET_PREV_REGION,
                             encode_key(pd, key, arena), is_absent };

    (void)source;
    return find(pd, op, &ask, arena, out);
}

tikv_error *
tk_pd_region_by_id(struct tk_pd *pd, struct tk_op *op, uint64_t id,
                   enum tk_pd_source source, struct tk_arena *arena,
                   struct tk_pd_region *out)
{
    struct tk_pd_ask ask = { TK_CMD_PD_GET_REGION_BY_ID,
                             encode_id(pd, id, arena), is_absent };

    (void)source;
    return find(pd, op, &ask, arena, out);
}

static struct tk_encoded
encode_scan(struct tk_pd *pd, const tikv_range *ranges, size_t ranges_count,
            uint32_t limit, struct tk_arena *arena)
{
    pdpb_BatchScanRegionsRequest *request =
        pdpb_BatchScanRegionsRequest_new(arena->upb);
    size_t i;

    if (request == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    for (i = 0; i < ranges_count; i++) {
        pdpb_KeyRange *keys =
            pdpb_BatchScanRegionsRequest_add_ranges(request, arena->upb);

        if (keys == NULL) {
            return (struct tk_encoded){ NULL, 0 };
        }
        pdpb_KeyRange_set_start_key(keys, view(ranges[i].start));
        pdpb_KeyRange_set_end_key(keys, view(ranges[i].end));
    }
    pdpb_BatchScanRegionsRequest_set_header(request, tk_pd_header(pd, arena));
    pdpb_BatchScanRegionsRequest_set_limit(
        request, limit > INT32_MAX ? INT32_MAX : (int32_t)limit);
    pdpb_BatchScanRegionsRequest_set_contain_all_key_range(request, true);
    pdpb_BatchScanRegionsRequest_set_need_buckets(request, true);
    return tk_arena_encode(
        arena, tk_command_row(TK_CMD_PD_BATCH_SCAN_REGIONS)->request, request);
}

tikv_error *
tk_pd_regions_in(struct tk_pd *pd, struct tk_op *op, const tikv_range *ranges,
                 size_t ranges_count, uint32_t limit, enum tk_pd_source source,
                 struct tk_arena *arena, struct tk_pd_region **out,
                 size_t *count)
{
    struct tk_pd_ask ask = { TK_CMD_PD_BATCH_SCAN_REGIONS,
                             encode_scan(pd, ranges, ranges_count, limit,
                                         arena),
                             NULL };
    const pdpb_Region *const *list;
    const void *message;
    tikv_error *error;
    size_t i;

    (void)source;
    *count = 0;
    if (ask.body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_call(pd, op, &ask, arena, &message);
    if (error != NULL) {
        return error;
    }
    list = pdpb_BatchScanRegionsResponse_regions(message, count);
    *out = upb_Arena_Malloc(arena->upb, (*count + 1) * sizeof(**out));
    if (*out == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < *count; i++) {
        struct tk_pd_region *region = &(*out)[i];
        const pdpb_PeerStats *const *down =
            pdpb_Region_down_peers(list[i], &region->down_count);

        region->is_hearsay = false;
        region->region = pdpb_Region_region(list[i]);
        region->leader = real_leader(pdpb_Region_leader(list[i]));
        region->buckets = pdpb_Region_buckets(list[i]);
        region->pending =
            pdpb_Region_pending_peers(list[i], &region->pending_count);
        region->down = peers_of(down, region->down_count, arena);
        if (region->down == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    return NULL;
}
