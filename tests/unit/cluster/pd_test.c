/* SPDX-License-Identifier: Apache-2.0 */
/* PD: who answers, with what status; lookups (PD01, PD02, PD06 to PD08). */
#include "unit/cluster/fixture.h"

static const struct tk_cluster_params params_3 = { .stores_count = 3,
                                                   .pds_count = 3 };

/* ---- who answers ---- */

static int
status_of(struct fx *fx, tk_node node, const char *path, uint64_t cluster_id,
          const char *const *metadata)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);
    pdpb_RequestHeader *header = fx_header(fx);
    size_t len;
    const char *bytes;

    pdpb_RequestHeader_set_cluster_id(header, cluster_id);
    pdpb_GetRegionRequest_set_header(request, header);
    bytes = pdpb_GetRegionRequest_serialize(request, fx->arena, &len);
    fx_call_with(fx, node, path, metadata, bytes, len);
    return fx->status;
}

static void
pd__refuses_other_clusters(void **state)
{
    struct fx fx;
    uint64_t id;

    (void)state;
    fx_open(&fx, NULL);
    id = tk_cluster_id(fx.cluster);
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/GetRegion", id, NULL),
                     TK_GRPC_OK);
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/GetRegion", 0, NULL),
                     TK_GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(fx.message, "mismatch cluster id, need"));
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/GetAllStores", id + 1, NULL),
                     TK_GRPC_FAILED_PRECONDITION);
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/GetMembers", 0, NULL),
                     TK_GRPC_OK);
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/NoSuch", id, NULL),
                     TK_GRPC_UNIMPLEMENTED);
    fx_close(&fx);
}

static void
pd__lets_only_the_leader_answer(void **state)
{
    const char *const follower[] = { "pd-allow-follower-handle", "", NULL };
    const char *const relay[] = { "pd-forwarded-host", "http://pd-0:2379",
                                  NULL };
    const char *const nowhere[] = { "pd-forwarded-host", "http://pd-9:2379",
                                    NULL };
    struct fx fx;
    uint64_t id;

    (void)state;
    fx_open(&fx, &params_3);
    id = tk_cluster_id(fx.cluster);
    assert_int_equal(status_of(&fx, 1, "/pdpb.PD/GetAllStores", id, NULL),
                     TK_GRPC_UNAVAILABLE);
    assert_string_equal(fx.message, "not leader");
    assert_int_equal(status_of(&fx, 1, "/pdpb.PD/GetRegion", id, NULL),
                     TK_GRPC_UNAVAILABLE);
    assert_string_equal(fx.message,
                        "not leader and follower handling not allowed");
    assert_int_equal(status_of(&fx, 1, "/pdpb.PD/GetRegion", id, follower),
                     TK_GRPC_OK);
    assert_int_equal(
        status_of(&fx, 1, "/pdpb.PD/GetAllStores", id, follower),
        TK_GRPC_UNAVAILABLE);
    assert_int_equal(status_of(&fx, 1, "/pdpb.PD/GetAllStores", id, relay),
                     TK_GRPC_OK);
    assert_int_equal(status_of(&fx, 1, "/pdpb.PD/GetAllStores", id, nowhere),
                     TK_GRPC_INVALID_ARGUMENT);
    tk_cluster_pd_leaderless(fx.cluster);
    assert_int_equal(status_of(&fx, 0, "/pdpb.PD/GetAllStores", id, NULL),
                     TK_GRPC_UNAVAILABLE);
    assert_null(tk_cluster_pd_stop(fx.cluster, 2));
    assert_int_equal(status_of(&fx, 2, "/pdpb.PD/GetMembers", id, NULL),
                     TK_GRPC_UNAVAILABLE);
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), UINT32_MAX);
    fx_close(&fx);
}

static const pdpb_GetMembersResponse *
members(struct fx *fx, uint32_t member)
{
    fx_call_with(fx, member, "/pdpb.PD/GetMembers", NULL, "", 0);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return FX_PARSE(fx, pdpb, GetMembersResponse);
}

static void
pd_members__name_the_leader(void **state)
{
    const pdpb_GetMembersResponse *answer;
    const pdpb_Member *const *list;
    const upb_StringView *urls;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    tk_cluster_set_address(fx.cluster, 2, "127.0.0.1:1234");
    answer = members(&fx, 1);
    assert_int_equal(pdpb_ResponseHeader_cluster_id(
                         pdpb_GetMembersResponse_header(answer)),
                     tk_cluster_id(fx.cluster));
    list = pdpb_GetMembersResponse_members(answer, &count);
    assert_int_equal(count, 3);
    urls = pdpb_Member_client_urls(list[2], &count);
    assert_int_equal(count, 1);
    fx_assert_view(urls[0], "http://127.0.0.1:1234");
    assert_int_equal(
        pdpb_Member_member_id(pdpb_GetMembersResponse_leader(answer)),
        pdpb_Member_member_id(list[0]));
    tk_cluster_pd_leaderless(fx.cluster);
    assert_false(pdpb_GetMembersResponse_has_leader(members(&fx, 1)));
    assert_null(tk_cluster_pd_transfer(fx.cluster, 2));
    fx_assert_view(pdpb_Member_name(
                       pdpb_GetMembersResponse_leader(members(&fx, 1))),
                   "pd-2");
    fx_close(&fx);
}

static void
pd__comes_back_after_all_stopped(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_null(tk_cluster_pd_stop(fx.cluster, i));
    }
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), UINT32_MAX);
    assert_null(tk_cluster_pd_start(fx.cluster, 2));
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), 2);
    fx_close(&fx);
}

/* ---- stores ---- */

static const pdpb_GetStoreResponse *
get_store(struct fx *fx, uint64_t id)
{
    pdpb_GetStoreRequest *request = pdpb_GetStoreRequest_new(fx->arena);

    pdpb_GetStoreRequest_set_header(request, fx_header(fx));
    pdpb_GetStoreRequest_set_store_id(request, id);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetStore", pdpb,
            GetStoreRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return FX_PARSE(fx, pdpb, GetStoreResponse);
}

static size_t
stores_count(struct fx *fx, bool without_tombstones)
{
    pdpb_GetAllStoresRequest *request =
        pdpb_GetAllStoresRequest_new(fx->arena);
    size_t count = 0;

    pdpb_GetAllStoresRequest_set_header(request, fx_header(fx));
    pdpb_GetAllStoresRequest_set_exclude_tombstone_stores(request,
                                                          without_tombstones);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetAllStores",
            pdpb, GetAllStoresRequest, request);
    (void)pdpb_GetAllStoresResponse_stores(
        FX_PARSE(fx, pdpb, GetAllStoresResponse), &count);
    return count;
}

static void
pd_store__stays_visible_as_a_tombstone(void **state)
{
    const pdpb_GetStoreResponse *answer;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    tk_cluster_set_address(fx.cluster, fx_store(2), "127.0.0.1:7");
    answer = get_store(&fx, 2);
    fx_assert_view(metapb_Store_address(pdpb_GetStoreResponse_store(answer)),
                   "127.0.0.1:7");
    assert_int_equal(
        metapb_Store_state(pdpb_GetStoreResponse_store(answer)), metapb_Up);
    answer = get_store(&fx, 9);
    assert_int_equal(pdpb_Error_type(pdpb_ResponseHeader_error(
                         pdpb_GetStoreResponse_header(answer))),
                     pdpb_UNKNOWN);
    assert_null(tk_cluster_store_remove(fx.cluster, 2));
    answer = get_store(&fx, 2);
    assert_int_equal(
        metapb_Store_state(pdpb_GetStoreResponse_store(answer)),
        metapb_Tombstone);
    assert_int_equal(
        metapb_Store_node_state(pdpb_GetStoreResponse_store(answer)),
        metapb_Removed);
    assert_int_equal(stores_count(&fx, false), 3);
    assert_int_equal(stores_count(&fx, true), 2);
    fx_close(&fx);
}

/* ---- regions ---- */

static const pdpb_GetRegionResponse *
region_call(struct fx *fx, const char *path, const char *key)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);

    pdpb_GetRegionRequest_set_header(request, fx_header(fx));
    pdpb_GetRegionRequest_set_region_key(request, fx_view(key));
    FX_CALL(fx, 0, path, pdpb, GetRegionRequest, request);
    return FX_PARSE(fx, pdpb, GetRegionResponse);
}

static void
pd_region__is_found_by_key_id_and_neighbour(void **state)
{
    pdpb_GetRegionByIDRequest *by_id;
    const pdpb_GetRegionResponse *answer;
    uint64_t id;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    fx_split(&fx, "b");
    fx_split(&fx, "d");
    answer = fx_region(&fx, "c");
    fx_assert_view(metapb_Region_start_key(
                       pdpb_GetRegionResponse_region(answer)),
                   "b");
    id = metapb_Region_id(pdpb_GetRegionResponse_region(answer));
    assert_int_equal(id, tk_cluster_region_of(fx.cluster, fx_slice("b")));
    answer = region_call(&fx, "/pdpb.PD/GetPrevRegion", "b");
    fx_assert_view(metapb_Region_end_key(
                       pdpb_GetRegionResponse_region(answer)),
                   "b");
    answer = region_call(&fx, "/pdpb.PD/GetPrevRegion", "a");
    assert_false(pdpb_GetRegionResponse_has_region(answer));
    assert_null(pdpb_ResponseHeader_error(
        pdpb_GetRegionResponse_header(answer)));
    by_id = pdpb_GetRegionByIDRequest_new(fx.arena);
    pdpb_GetRegionByIDRequest_set_header(by_id, fx_header(&fx));
    pdpb_GetRegionByIDRequest_set_region_id(by_id, id);
    FX_CALL(&fx, 0, "/pdpb.PD/GetRegionByID", pdpb, GetRegionByIDRequest,
            by_id);
    answer = FX_PARSE(&fx, pdpb, GetRegionResponse);
    assert_int_equal(metapb_Region_id(pdpb_GetRegionResponse_region(answer)),
                     id);
    pdpb_GetRegionByIDRequest_set_region_id(by_id, 9999);
    FX_CALL(&fx, 0, "/pdpb.PD/GetRegionByID", pdpb, GetRegionByIDRequest,
            by_id);
    assert_false(pdpb_GetRegionResponse_has_region(
        FX_PARSE(&fx, pdpb, GetRegionResponse)));
    fx_close(&fx);
}

static size_t
scan(struct fx *fx, const char *start, const char *end, int32_t limit)
{
    pdpb_ScanRegionsRequest *request = pdpb_ScanRegionsRequest_new(fx->arena);
    const pdpb_ScanRegionsResponse *answer;
    size_t counts[3] = { 0, 0, 0 };

    pdpb_ScanRegionsRequest_set_header(request, fx_header(fx));
    pdpb_ScanRegionsRequest_set_start_key(request, fx_view(start));
    pdpb_ScanRegionsRequest_set_end_key(request, fx_view(end));
    pdpb_ScanRegionsRequest_set_limit(request, limit);
    FX_CALL(fx, 0, "/pdpb.PD/ScanRegions", pdpb, ScanRegionsRequest, request);
    answer = FX_PARSE(fx, pdpb, ScanRegionsResponse);
    (void)pdpb_ScanRegionsResponse_region_metas(answer, &counts[0]);
    (void)pdpb_ScanRegionsResponse_leaders(answer, &counts[1]);
    (void)pdpb_ScanRegionsResponse_regions(answer, &counts[2]);
    assert_int_equal(counts[0], counts[1]);
    assert_int_equal(counts[0], counts[2]);
    return counts[0];
}

static void
pd_scan__includes_the_region_of_its_start(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "b");
    fx_split(&fx, "d");
    fx_split(&fx, "f");
    assert_int_equal(scan(&fx, "", "", 0), 4);
    assert_int_equal(scan(&fx, "", "", 3), 3);
    assert_int_equal(scan(&fx, "c", "", -1), 3);
    assert_int_equal(scan(&fx, "c", "d", 0), 1);
    assert_int_equal(scan(&fx, "c", "dd", 0), 2);
    fx_close(&fx);
}

/* The starts of the regions, "|" between them; "error" for a header error. */
static const char *
batch_scan(struct fx *fx, const char *const *ranges, int32_t limit)
{
    pdpb_BatchScanRegionsRequest *request =
        pdpb_BatchScanRegionsRequest_new(fx->arena);
    const pdpb_BatchScanRegionsResponse *answer;
    const pdpb_Region *const *regions;
    char *text = upb_Arena_Malloc(fx->arena, 200);
    size_t count = 0;
    size_t len = 0;

    pdpb_BatchScanRegionsRequest_set_header(request, fx_header(fx));
    pdpb_BatchScanRegionsRequest_set_limit(request, limit);
    pdpb_BatchScanRegionsRequest_set_contain_all_key_range(request, true);
    for (; *ranges != NULL; ranges += 2) {
        pdpb_KeyRange *range =
            pdpb_BatchScanRegionsRequest_add_ranges(request, fx->arena);

        pdpb_KeyRange_set_start_key(range, fx_view(ranges[0]));
        pdpb_KeyRange_set_end_key(range, fx_view(ranges[1]));
    }
    FX_CALL(fx, 0, "/pdpb.PD/BatchScanRegions", pdpb, BatchScanRegionsRequest,
            request);
    answer = FX_PARSE(fx, pdpb, BatchScanRegionsResponse);
    if (pdpb_ResponseHeader_has_error(
            pdpb_BatchScanRegionsResponse_header(answer))) {
        return "error";
    }
    regions = pdpb_BatchScanRegionsResponse_regions(answer, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        upb_StringView start =
            metapb_Region_start_key(pdpb_Region_region(regions[i]));

        assert_true(pdpb_Region_has_leader(regions[i]));
        len += (size_t)snprintf(text + len, 200 - len, "%.*s|",
                                (int)start.size, start.data);
    }
    return text;
}

static void
pd_batch_scan__names_each_region_once(void **state)
{
    const char *const all[] = { "", "", NULL };
    const char *const near[] = { "a", "c", "c", "e", NULL };
    const char *const apart[] = { "a", "aa", "e", "ee", NULL };
    const char *const crossing[] = { "a", "c", "b", "d", NULL };
    const char *const backward[] = { "c", "a", NULL };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "b");
    fx_split(&fx, "d");
    fx_split(&fx, "f");
    assert_string_equal(batch_scan(&fx, all, 0), "|b|d|f|");
    assert_string_equal(batch_scan(&fx, all, 2), "|b|");
    assert_string_equal(batch_scan(&fx, near, 0), "|b|d|");
    assert_string_equal(batch_scan(&fx, near, 2), "|b|");
    assert_string_equal(batch_scan(&fx, apart, 0), "|d|");
    assert_string_equal(batch_scan(&fx, crossing, 0), "error");
    assert_string_equal(batch_scan(&fx, backward, 0), "error");
    /* No leader is an empty peer, not an absent one. */
    assert_null(tk_cluster_transfer_leader(
        fx.cluster, tk_cluster_region_of(fx.cluster, fx_slice("a")), 0));
    assert_string_equal(batch_scan(&fx, all, 1), "|");
    fx_close(&fx);
}

static void
pd_split__answers_with_new_ids(void **state)
{
    pdpb_SplitRegionsRequest *request;
    const pdpb_SplitRegionsResponse *answer;
    const uint64_t *ids;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "m");
    request = pdpb_SplitRegionsRequest_new(fx.arena);
    pdpb_SplitRegionsRequest_set_header(request, fx_header(&fx));
    for (int i = 0; i < 4; i++) {
        static const char *const keys[] = { "x", "c", "m", "a" };

        (void)pdpb_SplitRegionsRequest_add_split_keys(
            request, fx_view(keys[i]), fx.arena);
    }
    FX_CALL(&fx, 0, "/pdpb.PD/SplitRegions", pdpb, SplitRegionsRequest,
            request);
    answer = FX_PARSE(&fx, pdpb, SplitRegionsResponse);
    assert_int_equal(pdpb_SplitRegionsResponse_finished_percentage(answer),
                     100);
    ids = pdpb_SplitRegionsResponse_regions_id(answer, &count);
    assert_int_equal(count, 3);
    assert_int_equal(ids[0], tk_cluster_region_of(fx.cluster, fx_slice("")));
    assert_int_equal(ids[1], tk_cluster_region_of(fx.cluster, fx_slice("a")));
    assert_int_equal(ids[2], tk_cluster_region_of(fx.cluster, fx_slice("m")));
    assert_int_equal(tk_cluster_regions_count(fx.cluster), 5);
    fx_close(&fx);
}

static int32_t
operator_error(struct fx *fx, uint64_t region_id)
{
    pdpb_GetOperatorRequest *request = pdpb_GetOperatorRequest_new(fx->arena);
    const pdpb_ResponseHeader *header;

    pdpb_GetOperatorRequest_set_header(request, fx_header(fx));
    pdpb_GetOperatorRequest_set_region_id(request, region_id);
    FX_CALL(fx, 0, "/pdpb.PD/GetOperator", pdpb, GetOperatorRequest, request);
    header = pdpb_GetOperatorResponse_header(
        FX_PARSE(fx, pdpb, GetOperatorResponse));
    return pdpb_ResponseHeader_has_error(header)
               ? pdpb_Error_type(pdpb_ResponseHeader_error(header))
               : pdpb_OK;
}

static void
pd_scatter__leaves_an_operator(void **state)
{
    pdpb_ScatterRegionRequest *request;
    const pdpb_ScatterRegionResponse *answer;
    const uint64_t *failed;
    uint64_t id;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    id = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    assert_int_equal(operator_error(&fx, id), pdpb_REGION_NOT_FOUND);
    request = pdpb_ScatterRegionRequest_new(fx.arena);
    pdpb_ScatterRegionRequest_set_header(request, fx_header(&fx));
    (void)pdpb_ScatterRegionRequest_add_regions_id(request, id, fx.arena);
    (void)pdpb_ScatterRegionRequest_add_regions_id(request, 999, fx.arena);
    FX_CALL(&fx, 0, "/pdpb.PD/ScatterRegion", pdpb, ScatterRegionRequest,
            request);
    answer = FX_PARSE(&fx, pdpb, ScatterRegionResponse);
    assert_int_equal(pdpb_ScatterRegionResponse_finished_percentage(answer),
                     50);
    failed = pdpb_ScatterRegionResponse_failed_regions_id(answer, &count);
    assert_int_equal(count, 1);
    assert_int_equal(failed[0], 999);
    assert_int_equal(operator_error(&fx, id), pdpb_OK);
    fx_close(&fx);
}

static void
pd_ids__come_in_blocks(void **state)
{
    pdpb_AllocIDRequest *request;
    uint64_t first;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    request = pdpb_AllocIDRequest_new(fx.arena);
    pdpb_AllocIDRequest_set_header(request, fx_header(&fx));
    FX_CALL(&fx, 0, "/pdpb.PD/AllocID", pdpb, AllocIDRequest, request);
    first = pdpb_AllocIDResponse_id(FX_PARSE(&fx, pdpb, AllocIDResponse));
    pdpb_AllocIDRequest_set_count(request, 10);
    FX_CALL(&fx, 0, "/pdpb.PD/AllocID", pdpb, AllocIDRequest, request);
    assert_int_equal(
        pdpb_AllocIDResponse_id(FX_PARSE(&fx, pdpb, AllocIDResponse)),
        first + 10);
    fx_close(&fx);
}

/* ---- QueryRegion ---- */

struct query {
    struct fx *fx;
    const pdpb_QueryRegionResponse *answer;
};

static void
query_message(void *arg, tikv_slice bytes)
{
    struct query *query = arg;

    query->answer = pdpb_QueryRegionResponse_parse(
        (const char *)bytes.data, bytes.len, query->fx->arena);
}

static void
query_end(void *arg, int status, const char *message)
{
    (void)arg;
    (void)status;
    (void)message;
}

static void
pd_query__maps_keys_and_ids(void **state)
{
    const struct tk_cluster_stream_events events = { query_message,
                                                     query_end };
    pdpb_QueryRegionRequest *request;
    struct tk_cluster_stream *stream;
    struct query query;
    const uint64_t *ids;
    const char *bytes;
    pdpb_RegionResponse *region = NULL;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_split(&fx, "m");
    query.fx = &fx;
    query.answer = NULL;
    stream = tk_cluster_stream_open(fx.cluster, 0, "/pdpb.PD/QueryRegion",
                                    NULL, &events, &query);
    request = pdpb_QueryRegionRequest_new(fx.arena);
    pdpb_QueryRegionRequest_set_header(request, fx_header(&fx));
    (void)pdpb_QueryRegionRequest_add_keys(request, fx_view("a"), fx.arena);
    (void)pdpb_QueryRegionRequest_add_keys(request, fx_view("z"), fx.arena);
    (void)pdpb_QueryRegionRequest_add_prev_keys(request, fx_view("z"),
                                                fx.arena);
    (void)pdpb_QueryRegionRequest_add_prev_keys(request, fx_view("a"),
                                                fx.arena);
    (void)pdpb_QueryRegionRequest_add_ids(request, 999, fx.arena);
    bytes = pdpb_QueryRegionRequest_serialize(request, fx.arena, &count);
    tk_cluster_stream_message(stream, tk_slice(bytes, count));
    assert_non_null(query.answer);
    ids = pdpb_QueryRegionResponse_key_id_map(query.answer, &count);
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], tk_cluster_region_of(fx.cluster, fx_slice("a")));
    assert_int_equal(ids[1], tk_cluster_region_of(fx.cluster, fx_slice("z")));
    ids = pdpb_QueryRegionResponse_prev_key_id_map(query.answer, &count);
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], tk_cluster_region_of(fx.cluster, fx_slice("a")));
    assert_int_equal(ids[1], 0);
    assert_int_equal(
        pdpb_QueryRegionResponse_regions_by_id_size(query.answer), 3);
    assert_true(pdpb_QueryRegionResponse_regions_by_id_get(query.answer, 999,
                                                           &region));
    assert_false(pdpb_RegionResponse_has_region(region));
    tk_cluster_stream_free(stream);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(pd__refuses_other_clusters),
        harness_test(pd__lets_only_the_leader_answer),
        harness_test(pd_members__name_the_leader),
        harness_test(pd__comes_back_after_all_stopped),
        harness_test(pd_store__stays_visible_as_a_tombstone),
        harness_test(pd_region__is_found_by_key_id_and_neighbour),
        harness_test(pd_scan__includes_the_region_of_its_start),
        harness_test(pd_batch_scan__names_each_region_once),
        harness_test(pd_split__answers_with_new_ids),
        harness_test(pd_scatter__leaves_an_operator),
        harness_test(pd_ids__come_in_blocks),
        harness_test(pd_query__maps_keys_and_ids),
    };
    return harness_run(tests);
}
