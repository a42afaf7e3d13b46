/* SPDX-License-Identifier: Apache-2.0 */
/* What stores report to PD, buckets, operators, pages over HTTP; tombstones
 * (PD12). */
#include "unit/cluster/pd_fixture.h"

PX_PARSER(pdpb, ReportBucketsResponse)
PX_PARSER(pdpb, SyncRegionResponse)

static const struct tk_cluster_params three = { .stores_count = 3,
                                                .pds_count = 2 };

static int
beat(struct fx *fx, uint64_t store)
{
    pdpb_StoreHeartbeatRequest *request =
        pdpb_StoreHeartbeatRequest_new(fx->arena);

    pdpb_StoreHeartbeatRequest_set_header(request, fx_header(fx));
    pdpb_StoreStats_set_store_id(
        pdpb_StoreHeartbeatRequest_mutable_stats(request, fx->arena), store);
    return px_error(pdpb_StoreHeartbeatResponse_header(
        PX_CALL(fx, "/pdpb.PD/StoreHeartbeat", pdpb, StoreHeartbeatRequest,
                request, StoreHeartbeatResponse)));
}

static size_t
stores_count(struct fx *fx, bool exclude)
{
    pdpb_GetAllStoresRequest *request =
        pdpb_GetAllStoresRequest_new(fx->arena);
    size_t count;

    pdpb_GetAllStoresRequest_set_header(request, fx_header(fx));
    pdpb_GetAllStoresRequest_set_exclude_tombstone_stores(request, exclude);
    (void)pdpb_GetAllStoresResponse_stores(
        PX_CALL(fx, "/pdpb.PD/GetAllStores", pdpb, GetAllStoresRequest,
                request, GetAllStoresResponse),
        &count);
    return count;
}

/* PD12 */
static void
reports__of_stores_that_are_gone_are_refused(void **state)
{
    pdpb_BootstrapRequest *bootstrap;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    assert_int_equal(beat(&fx, 1), 0);
    assert_int_equal(beat(&fx, 9), pdpb_UNKNOWN);
    assert_null(tk_cluster_store_remove(fx.cluster, 3));
    assert_int_equal(beat(&fx, 3), pdpb_STORE_TOMBSTONE);
    assert_int_equal(stores_count(&fx, false), 3);
    assert_int_equal(stores_count(&fx, true), 2);
    bootstrap = pdpb_BootstrapRequest_new(fx.arena);
    pdpb_BootstrapRequest_set_header(bootstrap, fx_header(&fx));
    assert_int_equal(
        px_error(pdpb_BootstrapResponse_header(
            PX_CALL(&fx, "/pdpb.PD/Bootstrap", pdpb, BootstrapRequest,
                    bootstrap, BootstrapResponse))),
        pdpb_ALREADY_BOOTSTRAPPED);
    fx_close(&fx);
}

static void
splits__are_given_ids(void **state)
{
    pdpb_AskBatchSplitRequest *request;
    const pdpb_AskBatchSplitResponse *answer;
    const pdpb_SplitID *const *ids;
    metapb_Region *region;
    uint64_t const *peers;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    request = pdpb_AskBatchSplitRequest_new(fx.arena);
    pdpb_AskBatchSplitRequest_set_header(request, fx_header(&fx));
    pdpb_AskBatchSplitRequest_set_split_count(request, 2);
    region = metapb_Region_new(fx.arena);
    metapb_Region_set_id(
        region, metapb_Region_id(pdpb_GetRegionResponse_region(
                    fx_region(&fx, ""))));
    pdpb_AskBatchSplitRequest_set_region(request, region);
    answer = PX_CALL(&fx, "/pdpb.PD/AskBatchSplit", pdpb,
                     AskBatchSplitRequest, request, AskBatchSplitResponse);
    assert_int_equal(px_error(pdpb_AskBatchSplitResponse_header(answer)),
                     pdpb_UNKNOWN); /* no epoch */
    metapb_Region_set_region_epoch(
        region, metapb_RegionEpoch_new(fx.arena));
    metapb_RegionEpoch_set_version(
        metapb_Region_mutable_region_epoch(region, fx.arena), 1);
    metapb_RegionEpoch_set_conf_ver(
        metapb_Region_mutable_region_epoch(region, fx.arena), 3);
    answer = PX_CALL(&fx, "/pdpb.PD/AskBatchSplit", pdpb,
                     AskBatchSplitRequest, request, AskBatchSplitResponse);
    ids = pdpb_AskBatchSplitResponse_ids(answer, &count);
    assert_int_equal(count, 2);
    peers = pdpb_SplitID_new_peer_ids(ids[1], &count);
    assert_int_equal(count, 3);
    assert_true(pdpb_SplitID_new_region_id(ids[1]) >
                pdpb_SplitID_new_region_id(ids[0]));
    assert_true(peers[0] > pdpb_SplitID_new_region_id(ids[1]));
    fx_close(&fx);
}

static void
regions__are_told_to_members_that_follow(void **state)
{
    const struct tk_cluster_params many = { .regions_count = 250 };
    pdpb_SyncRegionRequest *request;
    struct px_stream stream;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &many);
    request = pdpb_SyncRegionRequest_new(fx.arena);
    pdpb_SyncRegionRequest_set_header(request, fx_header(&fx));
    px_open(&stream, &fx, "/pdpb.PD/SyncRegions");
    PX_SEND(&stream, pdpb, SyncRegionRequest, request);
    for (uint64_t at = 0; at < 250; at += 100) {
        const pdpb_SyncRegionResponse *answer =
            PX_NEXT(&stream, pdpb, SyncRegionResponse);

        assert_int_equal(pdpb_SyncRegionResponse_start_index(answer), at);
        (void)pdpb_SyncRegionResponse_regions(answer, &count);
        assert_int_equal(count, at == 200 ? 50 : 100);
        (void)pdpb_SyncRegionResponse_region_leaders(answer, &count);
        assert_int_equal(count, at == 200 ? 50 : 100);
    }
    /* Who has them all is told that it does. */
    pdpb_SyncRegionRequest_set_start_index(request, 250);
    PX_SEND(&stream, pdpb, SyncRegionRequest, request);
    (void)pdpb_SyncRegionResponse_regions(
        PX_NEXT(&stream, pdpb, SyncRegionResponse), &count);
    assert_int_equal(count, 0);
    pdpb_RequestHeader_set_cluster_id(
        pdpb_SyncRegionRequest_mutable_header(request, fx.arena), 1);
    PX_SEND(&stream, pdpb, SyncRegionRequest, request);
    assert_true(stream.ended);
    assert_int_equal(stream.status, TK_GRPC_FAILED_PRECONDITION);
    px_close(&stream);
    fx_close(&fx);
}

static void
buckets_reports__are_answered_once(void **state)
{
    pdpb_ReportBucketsRequest *request;
    struct px_stream stream;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    request = pdpb_ReportBucketsRequest_new(fx.arena);
    pdpb_ReportBucketsRequest_set_header(request, fx_header(&fx));
    px_open(&stream, &fx, "/pdpb.PD/ReportBuckets");
    PX_SEND(&stream, pdpb, ReportBucketsRequest, request);
    PX_SEND(&stream, pdpb, ReportBucketsRequest, request);
    assert_int_equal(stream.count, 0);
    tk_cluster_stream_finish(stream.stream);
    (void)PX_NEXT(&stream, pdpb, ReportBucketsResponse);
    assert_int_equal(stream.count, 1);
    assert_true(stream.ended);
    assert_int_equal(stream.status, TK_GRPC_OK);
    px_close(&stream);
    fx_close(&fx);
}

static const metapb_Buckets *
buckets_of(struct fx *fx, const char *key, bool need)
{
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);

    pdpb_GetRegionRequest_set_header(request, fx_header(fx));
    pdpb_GetRegionRequest_set_region_key(request, fx_view(key));
    pdpb_GetRegionRequest_set_need_buckets(request, need);
    return pdpb_GetRegionResponse_buckets(
        PX_CALL(fx, "/pdpb.PD/GetRegion", pdpb, GetRegionRequest, request,
                GetRegionResponse));
}

static void
buckets__are_served_while_the_region_stays(void **state)
{
    const tikv_slice keys[] = { fx_slice(""), fx_slice("g"), fx_slice("") };
    const tikv_slice wrong[] = { fx_slice("a"), fx_slice("") };
    const metapb_Buckets *buckets;
    tikv_error *error;
    uint64_t id;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    id = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    error = tk_cluster_set_buckets(fx.cluster, id, 3, wrong, 2);
    assert_non_null(error);
    tikv_error_free(error);
    assert_null(tk_cluster_set_buckets(fx.cluster, id, 3, keys, 3));
    assert_null(buckets_of(&fx, "a", false));
    buckets = buckets_of(&fx, "a", true);
    assert_int_equal(metapb_Buckets_version(buckets), 3);
    assert_int_equal(metapb_Buckets_region_id(buckets), id);
    fx_assert_view(metapb_Buckets_keys(buckets, &count)[1], "g");
    assert_int_equal(count, 3);
    fx_split(&fx, "m");
    assert_null(buckets_of(&fx, "z", true));
    fx_close(&fx);
}

static void
regions__tell_of_peers_that_are_down_for_long(void **state)
{
    const pdpb_PeerStats *const *down;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    assert_null(tk_cluster_store_stop(fx.cluster, 3));
    (void)pdpb_GetRegionResponse_down_peers(fx_region(&fx, ""), &count);
    assert_int_equal(count, 0);
    fx_advance(&fx.clock, 600000);
    down = pdpb_GetRegionResponse_down_peers(fx_region(&fx, ""), &count);
    assert_int_equal(count, 1);
    assert_int_equal(pdpb_PeerStats_down_seconds(down[0]), 600);
    assert_int_equal(
        metapb_Peer_store_id(pdpb_PeerStats_peer(down[0])), 3);
    fx_close(&fx);
}

static int
operator_status(struct fx *fx, uint64_t region)
{
    pdpb_GetOperatorRequest *request =
        pdpb_GetOperatorRequest_new(fx->arena);

    pdpb_GetOperatorRequest_set_header(request, fx_header(fx));
    pdpb_GetOperatorRequest_set_region_id(request, region);
    return pdpb_GetOperatorResponse_status(
        PX_CALL(fx, "/pdpb.PD/GetOperator", pdpb, GetOperatorRequest,
                request, GetOperatorResponse));
}

static void
operators__run_for_a_while(void **state)
{
    pdpb_ScatterRegionRequest *request;
    uint64_t region;
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    region = tk_cluster_region_of(fx.cluster, fx_slice(""));
    tk_cluster_set_scatter_ms(fx.cluster, 100);
    request = pdpb_ScatterRegionRequest_new(fx.arena);
    pdpb_ScatterRegionRequest_set_header(request, fx_header(&fx));
    pdpb_ScatterRegionRequest_add_regions_id(request, region, fx.arena);
    (void)PX_CALL(&fx, "/pdpb.PD/ScatterRegion", pdpb, ScatterRegionRequest,
                  request, ScatterRegionResponse);
    assert_int_equal(operator_status(&fx, region), pdpb_RUNNING);
    fx_advance(&fx.clock, 100);
    assert_int_equal(operator_status(&fx, region), pdpb_SUCCESS);
    fx_close(&fx);
}

static void
recovering__is_what_the_test_says(void **state)
{
    pdpb_IsSnapshotRecoveringRequest *request;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    tk_cluster_set_recovering(fx.cluster, true);
    request = pdpb_IsSnapshotRecoveringRequest_new(fx.arena);
    pdpb_IsSnapshotRecoveringRequest_set_header(request, fx_header(&fx));
    assert_true(pdpb_IsSnapshotRecoveringResponse_marked(
        PX_CALL(&fx, "/pdpb.PD/IsSnapshotRecovering", pdpb,
                IsSnapshotRecoveringRequest, request,
                IsSnapshotRecoveringResponse)));
    fx_close(&fx);
}

/* ---- pages ---- */

static void
expect_page(struct fx *fx, tk_node node, const char *target, int status,
            const char *part)
{
    struct tk_buf out;

    tk_buf_init(&out, SIZE_MAX / 4);
    assert_int_equal(
        tk_cluster_http(fx->cluster, node, "GET", target, fx_slice(""),
                        &out),
        status);
    tk_buf_append(&out, "", 1);
    assert_false(out.failed);
    if (strstr((const char *)out.data, part) == NULL) {
        fail_msg("%s: %s", target, (const char *)out.data);
    }
    tk_buf_fini(&out);
}

static int
make_keyspace(struct fx *fx, const char *body)
{
    struct tk_buf out;
    int status;

    tk_buf_init(&out, SIZE_MAX / 4);
    status = tk_cluster_http(fx->cluster, 0, "POST", "/pd/api/v2/keyspaces",
                             fx_slice(body), &out);
    tk_buf_fini(&out);
    return status;
}

static void
pages__make_and_show_keyspaces(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{\"name\":\"\"}",
        "{\"name\":5}",
        "{\"name\":\"a\"",
        "{\"name\":\"a\",\"config\":{\"x\":1}}",
        "{\"name\":\"a\\ud800\"}",
        "{\"name\":\"a\\x\"}",
        "{\"name\":\"a\",\"more\":}",
        "{\"name\":\"a\",\"more\":[{\"deep\":[}",
    };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (make_keyspace(&fx, wrong[i]) != 400) {
            fail_msg("%s", wrong[i]);
        }
    }
    assert_int_equal(
        make_keyspace(&fx, " { \"config\" : {\"gc_management_type\":"
                           "\"keyspace_level\", \"q\":\"\\\"\\n\"},"
                           "\"more\":[1,{\"a\":null},\"]\"],"
                           "\"name\":\"\\u00e9t\\u00E9\"}"),
        200);
    assert_int_equal(make_keyspace(&fx, "{\"name\":\"\\u00e9t\\u00e9\"}"), 500);
    assert_int_equal(make_keyspace(&fx, "{\"name\":\"b\"}"), 200);
    /* Each has four regions of its own. */
    assert_true(tk_cluster_regions_count(fx.cluster) >= 6);
    expect_page(&fx, 0, "/pd/api/v2/keyspaces/id/1", 200,
                "{\"id\":1,\"name\":\"\u00e9t\u00e9\",\"state\":\"ENABLED\",");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces/b", 200, "\"id\":2,");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces/id/1", 200,
                "\"gc_management_type\":\"keyspace_level\","
                "\"q\":\"\\\"\\u000a\"}}");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces/c", 404, "does not exist");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces?limit=1", 200,
                "\"next_page_token\":\"1\"");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces?limit=5&page_token=2", 200,
                "{\"keyspaces\":[{\"id\":2,");
    expect_page(&fx, 0, "/pd/api/v2/keyspaces?limit=5&page_token=2", 200,
                "\"next_page_token\":\"\"");
    fx_close(&fx);
}

static void
pages__tell_what_pd_knows(void **state)
{
    pdpb_ReportMinResolvedTsRequest *report;
    char id[64];
    struct fx fx;

    (void)state;
    fx_open(&fx, &three);
    fx_split(&fx, "m");
    expect_page(&fx, 0, "/pd/api/v1/version", 200, "{\"version\":\"v");
    expect_page(&fx, 1, "/pd/api/v1/members", 200,
                "\"leader\":{\"name\":\"pd-0\"");
    expect_page(&fx, 0, "/pd/api/v1/stores", 200, "{\"count\":3,");
    expect_page(&fx, 0, "/pd/api/v1/store/2", 200, "\"id\":2,");
    expect_page(&fx, 0, "/pd/api/v1/store/9", 404, "not found");
    expect_page(&fx, 0, "/pd/api/v1/regions", 200, "\"end_key\":\"6D\"");
    (void)snprintf(id, sizeof(id), "/pd/api/v1/region/id/%llu",
                   (unsigned long long)tk_cluster_region_of(
                       fx.cluster, fx_slice("m")));
    expect_page(&fx, 0, id, 200, "\"start_key\":\"6D\"");
    expect_page(&fx, 0, "/pd/api/v1/cluster/status", 200,
                "\"is_initialized\":true");
    expect_page(&fx, 0, "/pd/api/v1/config/replicate", 200,
                "\"max-replicas\":3");
    assert_null(tk_cluster_pd_stop(fx.cluster, 1));
    expect_page(&fx, 0, "/pd/api/v1/health", 200, "\"health\":false");
    expect_page(&fx, 0, "/health", 200, "\"health\":true");
    expect_page(&fx, 0, "/pd/api/v1/nothing", 404, "not found");
    expect_page(&fx, fx_store(1), "/config", 200, "\"enable-ttl\":false");
    expect_page(&fx, fx_store(1), "/pd/api/v1/version", 404, "not found");
    /* What nobody reported is asked for. */
    expect_page(&fx, 0, "/pd/api/v1/min-resolved-ts", 200,
                "\"min_resolved_ts\":4");
    report = pdpb_ReportMinResolvedTsRequest_new(fx.arena);
    pdpb_ReportMinResolvedTsRequest_set_header(report, fx_header(&fx));
    pdpb_ReportMinResolvedTsRequest_set_store_id(report, 2);
    pdpb_ReportMinResolvedTsRequest_set_min_resolved_ts(report, 44);
    (void)PX_CALL(&fx, "/pdpb.PD/ReportMinResolvedTS", pdpb,
                  ReportMinResolvedTsRequest, report,
                  ReportMinResolvedTsResponse);
    expect_page(&fx, 0, "/pd/api/v1/min-resolved-ts?scope=cluster", 200,
                "\"2\":44");
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(reports__of_stores_that_are_gone_are_refused),
        harness_test(splits__are_given_ids),
        harness_test(regions__are_told_to_members_that_follow),
        harness_test(buckets_reports__are_answered_once),
        harness_test(buckets__are_served_while_the_region_stays),
        harness_test(regions__tell_of_peers_that_are_down_for_long),
        harness_test(operators__run_for_a_while),
        harness_test(recovering__is_what_the_test_says),
        harness_test(pages__make_and_show_keyspaces),
        harness_test(pages__tell_what_pd_knows),
    };
    return harness_run(tests);
}
