/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about regions (PD-5). The first look may ask those who only may know,
 * routers and followers, if the settings allow it; what they do not know the
 * leader is asked, in its stream of questions, and by a call of its own where
 * that does not work. Messages live in the caller's arena. No lock, no state.
 */
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

/* ---- one region, by a call ---- */

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

/* A message of three whose answers are the same; absent body without
 * memory. */
static struct tk_pd_ask
ask_for(struct tk_pd *pd, const struct tk_query *query, struct tk_arena *arena)
{
    static const enum tk_command commands[] = {
        [TK_QUERY_KEY] = TK_CMD_PD_GET_REGION,
        [TK_QUERY_BEFORE] = TK_CMD_PD_GET_PREV_REGION,
        [TK_QUERY_ID] = TK_CMD_PD_GET_REGION_BY_ID,
    };

    return (struct tk_pd_ask){ commands[query->kind],
                               query->kind == TK_QUERY_ID
                                   ? encode_id(pd, query->id, arena)
                                   : encode_key(pd, query->key, arena),
                               is_absent };
}

static tikv_error *
read_answer(const pdpb_GetRegionResponse *answer, struct tk_arena *arena,
            struct tk_pd_region *out)
{
    const pdpb_PeerStats *const *down;

    out->region =
        answer == NULL ? NULL : pdpb_GetRegionResponse_region(answer);
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

static tikv_error *
call_leader(struct tk_pd *pd, struct tk_op *op, const struct tk_query *query,
            struct tk_arena *arena, struct tk_pd_region *out)
{
    struct tk_pd_ask ask = ask_for(pd, query, arena);
    const void *message = NULL;
    tikv_error *error =
        ask.body.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                              : tk_pd_call(pd, op, &ask, arena, &message);

    return error != NULL ? error : read_answer(message, arena, out);
}

/* ---- one region, by a stream ---- */

/* Lets go of the query's frame. */
static tikv_error *
read_query(struct tk_query *query, struct tk_arena *arena,
           struct tk_pd_region *out)
{
    const pdpb_RegionResponse *answer =
        tk_arena_decode(arena, &pdpb_RegionResponse_msginit, query->data.data,
                        query->data.len, query->frame);
    const pdpb_PeerStats *const *down;

    tk_frame_unref(query->frame, 1);
    if (answer == NULL) {
        return tk_error(TIKV_ERR_PROTOCOL, "PD: the answer makes no sense");
    }
    out->region = pdpb_RegionResponse_region(answer);
    if (out->region == NULL || metapb_Region_id(out->region) == 0) {
        out->region = NULL;
        query->result = TK_QUERY_ABSENT;
        return NULL;
    }
    out->leader = real_leader(pdpb_RegionResponse_leader(answer));
    out->buckets = pdpb_RegionResponse_buckets(answer);
    out->pending =
        pdpb_RegionResponse_pending_peers(answer, &out->pending_count);
    down = pdpb_RegionResponse_down_peers(answer, &out->down_count);
    out->down = peers_of(down, out->down_count, arena);
    return out->down == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

static tikv_error *
ask_lane(struct tk_lane *lane, struct tk_op *op, struct tk_query *query,
         struct tk_arena *arena, struct tk_pd_region *out)
{
    struct tk_pd *pd = lane->pd;
    tikv_error *error;

    query->result = TK_QUERY_NOTHING;
    if (tk_config_int(&pd->config->pd_router) == 0) {
        return NULL;
    }
    if (!tk_pd_admit(pd)) {
        return tk_pd_not_admitted();
    }
    error = tk_lane_ask(lane, op, query);
    /* What the stream did not tell a call does, and judges. */
    tk_pd_report(pd, error != NULL || query->result == TK_QUERY_NOTHING
                         ? TK_BREAKER_NOTHING
                         : TK_BREAKER_GOOD);
    if (error == NULL && query->result == TK_QUERY_FOUND) {
        error = read_query(query, arena, out);
    }
    return error;
}

/* ---- those who only may know ---- */

static bool
has_others(struct tk_pd *pd)
{
    struct tk_conn *router;

    if (tk_config_int(&pd->config->pd_follower_handle) != 0) {
        return true;
    }
    router = tk_config_int(&pd->config->pd_router) == 0 ? NULL
                                                        : tk_router_conn(pd);
    if (router != NULL) {
        tk_conn_unref(router);
    }
    return router != NULL;
}

/* Asks a follower once. *out stays NULL when it has no answer; then it is not
 * asked for a while. An error ends the op. */
static tikv_error *
call_follower(struct tk_pd *pd, struct tk_op *op, const struct tk_pd_ask *ask,
              struct tk_arena *arena, const void **out)
{
    struct tk_conn *follower = tk_members_follower(pd);
    struct tk_pd_forward forward;
    tikv_error *error = NULL;

    *out = NULL;
    if (follower == NULL) {
        return NULL;
    }
    if (ask->body.data != NULL) {
        error = tk_pd_call_at(pd, op, follower,
                              tk_pd_forward(pd, NULL, true, &forward), ask,
                              arena, out);
    }
    if (error != NULL) {
        *out = NULL;
    }
    if (*out == NULL) {
        tk_members_bench(pd, follower);
    }
    tk_conn_unref(follower);
    tikv_error_free(error);
    return tk_op_check(op);
}

static tikv_error *
ask_others(struct tk_pd *pd, struct tk_op *op, struct tk_query *query,
           struct tk_arena *arena, struct tk_pd_region *out)
{
    tikv_error *error = ask_lane(&pd->others, op, query, arena, out);

    if (error == NULL && query->result == TK_QUERY_ABSENT) {
        tk_lane_distrust(&pd->others);
    }
    if (error == NULL && query->result == TK_QUERY_NOTHING &&
        tk_config_int(&pd->config->pd_follower_handle) != 0) {
        struct tk_pd_ask ask = ask_for(pd, query, arena);
        const void *message = NULL;

        error = call_follower(pd, op, &ask, arena, &message);
        if (error == NULL && message != NULL) {
            error = read_answer(message, arena, out);
        }
    }
    if (error != NULL) {
        out->region = NULL;
    }
    out->is_hearsay = true;
    return error;
}

static tikv_error *
find(struct tk_pd *pd, struct tk_op *op, struct tk_query *query,
     enum tk_pd_source source, struct tk_arena *arena,
     struct tk_pd_region *out)
{
    tikv_error *error = tk_op_check(op);

    memset(out, 0, sizeof(*out));
    if (error == NULL && source == TK_PD_ANYBODY && has_others(pd)) {
        tikv_error_free(ask_others(pd, op, query, arena, out));
        if (out->region != NULL) {
            return NULL;
        }
        error = tk_op_check(op);
    }
    if (error != NULL) {
        return error;
    }
    memset(out, 0, sizeof(*out));
    error = ask_lane(&pd->direct, op, query, arena, out);
    if (error != NULL || query->result != TK_QUERY_NOTHING) {
        return error;
    }
    return call_leader(pd, op, query, arena, out);
}

tikv_error *
tk_pd_region_by_key(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
{
    struct tk_query query = { .kind = TK_QUERY_KEY, .key = key };

    return find(pd, op, &query, source, arena, out);
}

tikv_error *
tk_pd_region_before(struct tk_pd *pd, struct tk_op *op, tikv_slice key,
                    enum tk_pd_source source, struct tk_arena *arena,
                    struct tk_pd_region *out)
{
    struct tk_query query = { .kind = TK_QUERY_BEFORE, .key = key };

    return find(pd, op, &query, source, arena, out);
}

tikv_error *
tk_pd_region_by_id(struct tk_pd *pd, struct tk_op *op, uint64_t id,
                   enum tk_pd_source source, struct tk_arena *arena,
                   struct tk_pd_region *out)
{
    struct tk_query query = { .kind = TK_QUERY_ID, .id = id };

    return find(pd, op, &query, source, arena, out);
}

/* ---- many regions ---- */

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

static tikv_error *
read_scan(const pdpb_BatchScanRegionsResponse *answer, bool is_hearsay,
          struct tk_arena *arena, struct tk_pd_region **out, size_t *count)
{
    const pdpb_Region *const *list =
        pdpb_BatchScanRegionsResponse_regions(answer, count);
    size_t i;

    *out = upb_Arena_Malloc(arena->upb, (*count + 1) * sizeof(**out));
    if (*out == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < *count; i++) {
        struct tk_pd_region *region = &(*out)[i];
        const pdpb_PeerStats *const *down =
            pdpb_Region_down_peers(list[i], &region->down_count);

        region->is_hearsay = is_hearsay;
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
    bool may_ask_others =
        source == TK_PD_ANYBODY &&
        tk_config_int(&pd->config->pd_follower_handle) != 0;
    const void *message = NULL;
    tikv_error *error = NULL;

    *count = 0;
    *out = NULL;
    if (ask.body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (may_ask_others) {
        error = call_follower(pd, op, &ask, arena, &message);
        if (message != NULL) {
            (void)pdpb_BatchScanRegionsResponse_regions(message, count);
        }
        may_ask_others = *count != 0;
        message = may_ask_others ? message : NULL;
    }
    if (error == NULL && message == NULL) {
        error = tk_pd_call(pd, op, &ask, arena, &message);
    }
    return error != NULL ? error
                         : read_scan(message, may_ask_others, arena, out,
                                     count);
}
