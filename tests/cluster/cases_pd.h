/* SPDX-License-Identifier: Apache-2.0 */
/* PD: PD. Who answers, timestamps, regions, safe points, configuration. */
#ifndef TK_CASES_PD_H
#define TK_CASES_PD_H

#include "cluster/cases_pd_talk.h"

#define GET_REGION "/pdpb.PD/GetRegion"

static const char *const follower_may[] = { "pd-allow-follower-handle", "1",
                                            NULL };

/* ---- PD01, PD02: who answers ---- */

static void
expect_mismatch(struct fx *fx, uint64_t id)
{
    static const char *const paths[] = { "/pdpb.PD/Tso",
                                         "/pdpb.PD/QueryRegion" };
    pdpb_GetMembersRequest *open = pdpb_GetMembersRequest_new(fx->arena);
    pdpb_GetRegionRequest *request = pdpb_GetRegionRequest_new(fx->arena);
    pdpb_RequestHeader *header = pdpb_RequestHeader_new(fx->arena);

    pdpb_RequestHeader_set_cluster_id(header, id);
    pdpb_GetRegionRequest_set_header(request, header);
    FX_CALL(fx, 0, GET_REGION, pdpb, GetRegionRequest, request);
    assert_int_equal(fx->status, TK_GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(fx->message, "mismatch cluster id, need "));
    for (size_t i = 0; i < 2; i++) {
        struct pd_talk talk;

        pd_talk_open(&talk, fx, 0, paths[i]);
        pd_ask_ts(&talk, id, 1); /* the header is field 1 of both */
        assert_int_equal(pd_hear_end(&talk), TK_GRPC_FAILED_PRECONDITION);
        assert_non_null(strstr(talk.text, "mismatch cluster id"));
        way_stream_close(&talk.stream);
    }
    pdpb_GetMembersRequest_set_header(open, header);
    FX_CALL(fx, 1, "/pdpb.PD/GetMembers", pdpb, GetMembersRequest, open);
    assert_int_equal(fx->status, TK_GRPC_OK);
}

static void
pd_knows_its_cluster(struct script *script)
{
    struct fx *fx = &script->fx;

    expect_mismatch(fx, 0);
    expect_mismatch(fx, tk_cluster_id(fx->cluster) + 1);
}

static void
pd_followers_read_regions(struct script *script)
{
    struct fx *fx = &script->fx;
    const tikv_slice keys[] = { fx_slice(""), fx_slice("m"), fx_slice("") };
    uint64_t region = pd_inner_id(fx, "a");
    pdpb_GetStoreRequest *other = pdpb_GetStoreRequest_new(fx->arena);
    const pdpb_GetRegionResponse *answer;
    char leader[160] = "http://";
    const char *const relay[] = { "pd-forwarded-host", leader, NULL };

    assert_null(tk_cluster_set_buckets(fx->cluster, region, 1, keys, 3));
    assert_null(pd_region(fx, 1, GET_REGION, "a", NULL));
    assert_int_equal(fx->status, TK_GRPC_UNAVAILABLE);
    assert_string_equal(fx->message,
                        "not leader and follower handling not allowed");
    answer = pd_region(fx, 1, GET_REGION, "a", follower_may);
    assert_int_equal(pd_region_id(answer), region);
    assert_false(pdpb_GetRegionResponse_has_buckets(answer));
    answer = pd_region(fx, 0, GET_REGION, "a", follower_may);
    assert_true(pdpb_GetRegionResponse_has_buckets(answer));
    /* Nothing to be found is an error there. */
    answer = pd_region(fx, 1, "/pdpb.PD/GetPrevRegion", "a", follower_may);
    assert_int_equal(px_error(pdpb_GetRegionResponse_header(answer)),
                     pdpb_REGION_NOT_FOUND);
    pdpb_GetStoreRequest_set_header(other, fx_header(fx));
    pdpb_GetStoreRequest_set_store_id(other, 1);
    FX_CALL(fx, 1, "/pdpb.PD/GetStore", pdpb, GetStoreRequest, other);
    assert_int_equal(fx->status, TK_GRPC_UNAVAILABLE);
    assert_string_equal(fx->message, "not leader");
    /* Through the follower the leader answers. */
    assert_true(tk_cluster_get_address(fx->cluster, 0, leader + 7, 140));
    answer = pd_region(fx, 1, GET_REGION, "a", relay);
    assert_true(pdpb_GetRegionResponse_has_buckets(answer));
    /* Who follows nobody knows nothing. */
    tk_cluster_pd_leaderless(fx->cluster);
    answer = pd_region(fx, 1, GET_REGION, "a", follower_may);
    assert_int_equal(px_error(pdpb_GetRegionResponse_header(answer)),
                     pdpb_REGION_NOT_FOUND);
}

/* ---- PD03 to PD05: timestamps ---- */

static void
pd_timestamps_are_nobody_elses(struct script *script)
{
    struct fx *fx = &script->fx;
    struct pd_talk talks[16];
    uint64_t last = 0;
    uint64_t ts;

    for (uint32_t i = 0; i < 16; i++) {
        pd_talk_open(&talks[i], fx, 0, "/pdpb.PD/Tso");
    }
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t count = i * 37 % 5000 + 1;

        ts = pd_take_ts(&talks[i * 7 % 16], count);
        assert_true(ts - count >= last);
        last = ts;
    }
    /* More than one millisecond has. */
    ts = pd_take_ts(&talks[0], 200000);
    last = pd_take_ts(&talks[1], 200000);
    assert_true(last >> 18 > ts >> 18);
    assert_int_equal(last & 0x3ffff, 200000);
    for (uint32_t i = 0; i < 16; i++) {
        way_stream_close(&talks[i].stream);
    }
}

static void
pd_no_timestamps_are_an_error(struct script *script)
{
    static const uint32_t counts[] = { 0, 1 << 18 };
    struct fx *fx = &script->fx;

    for (size_t i = 0; i < 2; i++) {
        struct pd_talk talk;

        pd_talk_open(&talk, fx, 0, "/pdpb.PD/Tso");
        pd_ask_ts(&talk, tk_cluster_id(fx->cluster), counts[i]);
        assert_int_equal(pd_hear_end(&talk), TK_GRPC_UNKNOWN);
        assert_non_null(strstr(talk.text, "tso count"));
        way_stream_close(&talk.stream);
    }
}

static void
expect_no_ts(struct fx *fx, uint32_t member, const char *why)
{
    struct pd_talk talk;

    pd_talk_open(&talk, fx, member, "/pdpb.PD/Tso");
    pd_ask_ts(&talk, tk_cluster_id(fx->cluster), 1);
    assert_int_equal(pd_hear_end(&talk), TK_GRPC_UNKNOWN);
    if (strstr(talk.text, why) == NULL) {
        fail_msg("%s", talk.text);
    }
    way_stream_close(&talk.stream);
}

static void
pd_timestamps_grow_over_leaders(struct script *script)
{
    struct fx *fx = &script->fx;
    struct pd_talk talk;
    uint64_t before;

    pd_talk_open(&talk, fx, 0, "/pdpb.PD/Tso");
    before = pd_take_ts(&talk, 1000);
    way_stream_close(&talk.stream);
    expect_no_ts(fx, 1, "timestamp in memory isn't initialized");
    assert_null(tk_cluster_pd_transfer(fx->cluster, 1));
    expect_no_ts(fx, 0, "requested not leader anymore");
    pd_talk_open(&talk, fx, 1, "/pdpb.PD/Tso");
    assert_true(pd_take_ts(&talk, 1) > before);
    way_stream_close(&talk.stream);
}

/* ---- PD06 to PD08: regions ---- */

/* Ranges are "a-c e-" with one letter a key. The regions of the answer as
 * the first letters of their starts, "-" for the first; or the error. */
static const char *
pd_batch_scan(struct fx *fx, const char *ranges, int32_t limit, bool all)
{
    static char text[64];
    pdpb_BatchScanRegionsRequest *request =
        pdpb_BatchScanRegionsRequest_new(fx->arena);
    const pdpb_BatchScanRegionsResponse *answer;
    const pdpb_Region *const *regions;
    size_t count;

    pdpb_BatchScanRegionsRequest_set_header(request, fx_header(fx));
    pdpb_BatchScanRegionsRequest_set_limit(request, limit);
    pdpb_BatchScanRegionsRequest_set_contain_all_key_range(request, all);
    for (const char *at = ranges; *at != '\0'; at += strspn(at, " ")) {
        pdpb_KeyRange *range =
            pdpb_BatchScanRegionsRequest_add_ranges(request, fx->arena);
        bool is_open = at[2] == '\0' || at[2] == ' ';

        pdpb_KeyRange_set_start_key(range,
                                    upb_StringView_FromDataAndSize(at, 1));
        pdpb_KeyRange_set_end_key(
            range, upb_StringView_FromDataAndSize(at + 2, is_open ? 0 : 1));
        at += is_open ? 2 : 3;
    }
    FX_CALL(fx, 0, "/pdpb.PD/BatchScanRegions", pdpb, BatchScanRegionsRequest,
            request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    answer = FX_PARSE(fx, pdpb, BatchScanRegionsResponse);
    regions = pdpb_BatchScanRegionsResponse_regions(answer, &count);
    if (px_error(pdpb_BatchScanRegionsResponse_header(answer)) != 0) {
        assert_int_equal(count, 0);
        (void)snprintf(
            text, sizeof(text), "error %d",
            px_error(pdpb_BatchScanRegionsResponse_header(answer)));
        return text;
    }
    for (size_t i = 0; i < count; i++) {
        upb_StringView start =
            metapb_Region_start_key(pdpb_Region_region(regions[i]));

        assert_true(pdpb_Region_has_leader(regions[i]));
        text[i] = '-';
        if (start.size > 0) {
            text[i] = start.data[0];
        }
    }
    text[count] = '\0';
    return text;
}

static void
pd_scans_many_ranges(struct script *script)
{
    struct fx *fx = &script->fx;

    for (const char *at = "bdfh"; *at != '\0'; at++) {
        const char key[] = { *at, '\0' };

        fx_split(fx, key);
    }
    assert_string_equal(pd_batch_scan(fx, "a-c c-e g-", 0, true), "-bdfh");
    assert_string_equal(pd_batch_scan(fx, "a-b c-d", 0, true), "-b");
    assert_string_equal(pd_batch_scan(fx, "a-e f-", 3, true), "-bd");
    assert_string_equal(pd_batch_scan(fx, "a-d c-e", 0, false), "error 1");
    assert_string_equal(pd_batch_scan(fx, "c-a", 0, false), "error 1");
    /* A leader less is an empty one, not none. */
    assert_null(tk_cluster_transfer_leader(fx->cluster,
                                           pd_inner_id(fx, "c"), 0));
    assert_string_equal(pd_batch_scan(fx, "c-d", 0, true), "b");
    /* A hole between, before and behind. */
    tk_cluster_set_hidden(fx->cluster, pd_inner_id(fx, "d"));
    assert_string_equal(pd_batch_scan(fx, "a-g", 0, false), "-bf");
    assert_string_equal(pd_batch_scan(fx, "a-g", 0, true), "error 12");
    assert_string_equal(pd_batch_scan(fx, "e-g", 0, true), "error 12");
    assert_string_equal(pd_batch_scan(fx, "a-e", 0, true), "error 12");
    assert_string_equal(pd_batch_scan(fx, "a-g", 2, true), "-b");
    assert_string_equal(pd_batch_scan(fx, "a-d f-", 0, true), "-bfh");
}

/* At any member, without being allowed to. */
static void
pd_maps_keys_to_regions(struct script *script)
{
    struct fx *fx = &script->fx;
    pdpb_QueryRegionRequest *request = pdpb_QueryRegionRequest_new(fx->arena);

    fx_split(fx, "m");
    pdpb_QueryRegionRequest_set_header(request, fx_header(fx));
    (void)pdpb_QueryRegionRequest_add_keys(request, fx_view("a"), fx->arena);
    (void)pdpb_QueryRegionRequest_add_keys(request, fx_view("z"), fx->arena);
    (void)pdpb_QueryRegionRequest_add_prev_keys(request, fx_view("z"),
                                                fx->arena);
    (void)pdpb_QueryRegionRequest_add_prev_keys(request, fx_view("a"),
                                                fx->arena);
    (void)pdpb_QueryRegionRequest_add_ids(request, 9999, fx->arena);
    (void)pdpb_QueryRegionRequest_add_ids(request, 0, fx->arena);
    for (uint32_t member = 0; member < 2; member++) {
        const pdpb_QueryRegionResponse *answer;
        pdpb_RegionResponse *region = NULL;
        struct pd_talk talk;
        const uint64_t *ids;
        tikv_slice bytes;
        size_t count;

        pd_talk_open(&talk, fx, member, "/pdpb.PD/QueryRegion");
        PD_SAY(&talk, pdpb, QueryRegionRequest, request);
        bytes = pd_hear(&talk);
        answer = pdpb_QueryRegionResponse_parse((const char *)bytes.data,
                                                bytes.len, fx->arena);
        ids = pdpb_QueryRegionResponse_key_id_map(answer, &count);
        assert_int_equal(count, 2);
        assert_int_equal(ids[0], pd_inner_id(fx, "a"));
        assert_int_equal(ids[1], pd_inner_id(fx, "z"));
        ids = pdpb_QueryRegionResponse_prev_key_id_map(answer, &count);
        assert_int_equal(count, 2);
        assert_int_equal(ids[0], pd_inner_id(fx, "a"));
        assert_int_equal(ids[1], 0);
        assert_int_equal(pdpb_QueryRegionResponse_regions_by_id_size(answer),
                         3);
        assert_true(pdpb_QueryRegionResponse_regions_by_id_get(answer, 9999,
                                                               &region));
        assert_false(pdpb_RegionResponse_has_region(region));
        way_stream_close(&talk.stream);
    }
}

static void
pd_finds_no_region_well(struct script *script)
{
    struct fx *fx = &script->fx;
    const pdpb_GetRegionResponse *answer;
    uint64_t hidden;

    fx_split(fx, "m");
    hidden = pd_inner_id(fx, "z");
    tk_cluster_set_hidden(fx->cluster, hidden);
    answer = pd_region(fx, 0, GET_REGION, "z", NULL);
    assert_int_equal(px_error(pdpb_GetRegionResponse_header(answer)), 0);
    assert_int_equal(pd_region_id(answer), 0);
    assert_false(pdpb_GetRegionResponse_has_leader(answer));
    answer = pd_region(fx, 1, GET_REGION, "z", follower_may);
    assert_int_equal(px_error(pdpb_GetRegionResponse_header(answer)),
                     pdpb_REGION_NOT_FOUND);
    answer = pd_region(fx, 0, "/pdpb.PD/GetPrevRegion", "a", NULL);
    assert_int_equal(px_error(pdpb_GetRegionResponse_header(answer)), 0);
    assert_int_equal(pd_region_id(answer), 0);
    tk_cluster_set_hidden(fx->cluster, 0);
    answer = pd_region(fx, 0, GET_REGION, "z", NULL);
    assert_int_equal(pd_region_id(answer), hidden);
}

#include "cluster/cases_pd_state.h"

/* ---- PD12: stores ---- */

/* The ids of all stores, as digits. */
static const char *
pd_stores_text(struct fx *fx, bool without_removed, char *text)
{
    pdpb_GetAllStoresRequest *request =
        pdpb_GetAllStoresRequest_new(fx->arena);
    const pdpb_GetAllStoresResponse *answer;
    const metapb_Store *const *stores;
    size_t count;

    pdpb_GetAllStoresRequest_set_header(request, fx_header(fx));
    pdpb_GetAllStoresRequest_set_exclude_tombstone_stores(request,
                                                          without_removed);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetAllStores",
            pdpb, GetAllStoresRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    answer = FX_PARSE(fx, pdpb, GetAllStoresResponse);
    stores = pdpb_GetAllStoresResponse_stores(answer, &count);
    for (size_t i = 0; i < count; i++) {
        text[i] = (char)('0' + metapb_Store_id(stores[i]));
    }
    text[count] = '\0';
    return text;
}

static void
pd_tells_of_removed_stores(struct script *script)
{
    struct fx *fx = &script->fx;
    pdpb_GetStoreRequest *request = pdpb_GetStoreRequest_new(fx->arena);
    const metapb_Store *store;
    char text[8];

    assert_null(tk_cluster_store_remove(fx->cluster, 3));
    assert_string_equal(pd_stores_text(fx, false, text), "123");
    assert_string_equal(pd_stores_text(fx, true, text), "12");
    pdpb_GetStoreRequest_set_header(request, fx_header(fx));
    pdpb_GetStoreRequest_set_store_id(request, 3);
    FX_CALL(fx, tk_cluster_pd_leader(fx->cluster), "/pdpb.PD/GetStore", pdpb,
            GetStoreRequest, request);
    store = pdpb_GetStoreResponse_store(FX_PARSE(fx, pdpb, GetStoreResponse));
    assert_int_equal(metapb_Store_id(store), 3);
    assert_int_equal(metapb_Store_state(store), metapb_Tombstone);
    assert_int_equal(metapb_Store_node_state(store), metapb_Removed);
}

static const struct script_case pd_cases[] = {
    { "PD01", "another cluster's id, or none, is refused",
      .run = pd_knows_its_cluster },
    { "PD02", "followers read regions where they are allowed to",
      .run = pd_followers_read_regions },
    { "PD03", "a timestamp is given once, whoever asks",
      .run = pd_timestamps_are_nobody_elses },
    { "PD04", "no timestamps, or too many, end the stream",
      .run = pd_no_timestamps_are_an_error },
    { "PD05", "the next leader's timestamps are larger",
      .run = pd_timestamps_grow_over_leaders },
    { "PD06", "many ranges: each region once, limits, holes",
      .run = pd_scans_many_ranges },
    { "PD07", "a stream maps keys, keys before and ids to regions",
      .run = pd_maps_keys_to_regions },
    { "PD08", "no region is no error",
      .run = pd_finds_no_region_well },
    { "PD09", "safe points, barriers, and the calls of old",
      .run = pd_keeps_safe_points },
    { "PD10", "external timestamps grow, up to now",
      .run = pd_keeps_an_external_timestamp },
    { "PD11", "configuration by name and prefix, watched and compacted",
      .run = pd_keeps_configuration },
    { "PD12", "a removed store is told of, unless it is not wanted",
      .run = pd_tells_of_removed_stores },
};

#endif
