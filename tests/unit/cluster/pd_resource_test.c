/* SPDX-License-Identifier: Apache-2.0 */
/* The resource manager: groups and token buckets. */
#include "unit/cluster/pd_fixture.h"

#include "meta_storagepb.upb.h"
#include "resource_manager.upb.h"

PX_PARSER(resource_manager, TokenBucketsResponse)
PX_PARSER(meta_storagepb, WatchResponse)

#define RM "/resource_manager.ResourceManager/"

static int
put_group(struct fx *fx, const char *path, const char *name, uint64_t rate,
          int64_t burst)
{
    resource_manager_PutResourceGroupRequest *request =
        resource_manager_PutResourceGroupRequest_new(fx->arena);
    resource_manager_ResourceGroup *group =
        resource_manager_PutResourceGroupRequest_mutable_group(request,
                                                               fx->arena);
    resource_manager_TokenLimitSettings *limits =
        resource_manager_TokenBucket_mutable_settings(
            resource_manager_GroupRequestUnitSettings_mutable_r_u(
                resource_manager_ResourceGroup_mutable_r_u_settings(
                    group, fx->arena),
                fx->arena),
            fx->arena);

    resource_manager_ResourceGroup_set_name(group, fx_view(name));
    resource_manager_ResourceGroup_set_mode(group, resource_manager_RUMode);
    resource_manager_TokenLimitSettings_set_fill_rate(limits, rate);
    resource_manager_TokenLimitSettings_set_burst_limit(limits, burst);
    (void)PX_CALL(fx, path, resource_manager, PutResourceGroupRequest,
                  request, PutResourceGroupResponse);
    return fx->status;
}

static int
delete_group(struct fx *fx, const char *name)
{
    resource_manager_DeleteResourceGroupRequest *request =
        resource_manager_DeleteResourceGroupRequest_new(fx->arena);

    resource_manager_DeleteResourceGroupRequest_set_resource_group_name(
        request, fx_view(name));
    (void)PX_CALL(fx, RM "DeleteResourceGroup", resource_manager,
                  DeleteResourceGroupRequest, request,
                  DeleteResourceGroupResponse);
    return fx->status;
}

static const resource_manager_GetResourceGroupResponse *
get_group(struct fx *fx, const char *name)
{
    resource_manager_GetResourceGroupRequest *request =
        resource_manager_GetResourceGroupRequest_new(fx->arena);

    resource_manager_GetResourceGroupRequest_set_resource_group_name(
        request, fx_view(name));
    resource_manager_GetResourceGroupRequest_set_with_ru_stats(request, true);
    return PX_CALL(fx, RM "GetResourceGroup", resource_manager,
                   GetResourceGroupRequest, request,
                   GetResourceGroupResponse);
}

static void
groups__are_added_changed_and_deleted(void **state)
{
    resource_manager_ListResourceGroupsRequest *list;
    const resource_manager_ResourceGroup *group;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    group = resource_manager_GetResourceGroupResponse_group(
        get_group(&fx, "default"));
    assert_int_equal(resource_manager_ResourceGroup_priority(group), 8);
    assert_int_equal(
        resource_manager_TokenLimitSettings_burst_limit(
            resource_manager_TokenBucket_settings(
                resource_manager_GroupRequestUnitSettings_r_u(
                    resource_manager_ResourceGroup_r_u_settings(group)))),
        -1);
    assert_true(resource_manager_GetResourceGroupResponse_has_error(
        get_group(&fx, "rg")));
    assert_int_equal(put_group(&fx, RM "ModifyResourceGroup", "rg", 1, 1),
                     TK_GRPC_UNKNOWN);
    assert_int_equal(put_group(&fx, RM "AddResourceGroup", "rg", 100, 0),
                     TK_GRPC_OK);
    assert_int_equal(put_group(&fx, RM "AddResourceGroup", "rg", 100, 0),
                     TK_GRPC_UNKNOWN);
    assert_int_equal(put_group(&fx, RM "AddResourceGroup", "", 100, 0),
                     TK_GRPC_UNKNOWN);
    assert_int_equal(put_group(&fx, RM "ModifyResourceGroup", "rg", 7, 0),
                     TK_GRPC_OK);
    list = resource_manager_ListResourceGroupsRequest_new(fx.arena);
    (void)resource_manager_ListResourceGroupsResponse_groups(
        PX_CALL(&fx, RM "ListResourceGroups", resource_manager,
                ListResourceGroupsRequest, list, ListResourceGroupsResponse),
        &count);
    assert_int_equal(count, 2);
    assert_int_equal(delete_group(&fx, "rg"), TK_GRPC_OK);
    assert_int_equal(delete_group(&fx, "rg"), TK_GRPC_UNKNOWN);
    assert_int_equal(delete_group(&fx, "default"), TK_GRPC_UNKNOWN);
    fx_close(&fx);
}

static void
groups__are_watched_in_meta_storage(void **state)
{
    meta_storagepb_WatchRequest *request;
    const meta_storagepb_Event *const *events;
    const resource_manager_ResourceGroup *group;
    struct px_stream stream;
    upb_StringView value;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    request = meta_storagepb_WatchRequest_new(fx.arena);
    meta_storagepb_WatchRequest_set_key(request,
                                        fx_view("resource_group/settings/"));
    meta_storagepb_WatchRequest_set_range_end(
        request, fx_view("resource_group/settings0"));
    px_open(&stream, &fx, "/meta_storagepb.MetaStorage/Watch");
    PX_SEND(&stream, meta_storagepb, WatchRequest, request);
    assert_int_equal(put_group(&fx, RM "AddResourceGroup", "rg", 100, 0),
                     TK_GRPC_OK);
    events = meta_storagepb_WatchResponse_events(
        PX_NEXT(&stream, meta_storagepb, WatchResponse), &count);
    value = meta_storagepb_KeyValue_value(meta_storagepb_Event_kv(events[0]));
    group = resource_manager_ResourceGroup_parse(value.data, value.size,
                                                 fx.arena);
    fx_assert_view(resource_manager_ResourceGroup_name(group), "rg");
    assert_int_equal(delete_group(&fx, "rg"), TK_GRPC_OK);
    events = meta_storagepb_WatchResponse_events(
        PX_NEXT(&stream, meta_storagepb, WatchResponse), &count);
    assert_int_equal(meta_storagepb_Event_type(events[0]), 1);
    px_close(&stream);
    fx_close(&fx);
}

/* Tokens that were given; -1: the group was not answered for. */
static double
ask(struct px_stream *stream, const char *name, double units,
    int64_t *trickle_ms)
{
    upb_Arena *arena = stream->fx->arena;
    resource_manager_TokenBucketsRequest *all =
        resource_manager_TokenBucketsRequest_new(arena);
    resource_manager_TokenBucketRequest *one =
        resource_manager_TokenBucketsRequest_add_requests(all, arena);
    resource_manager_RequestUnitItem *item =
        resource_manager_TokenBucketRequest_RequestRU_add_request_r_u(
            resource_manager_TokenBucketRequest_mutable_ru_items(one, arena),
            arena);
    /* The name alone fills the line. */
    resource_manager_Consumption *uses =
    resource_manager_TokenBucketRequest_mutable_consumption_since_last_request(
        one, arena);
    const resource_manager_TokenBucketResponse *const *answers;
    const resource_manager_GrantedRUTokenBucket *const *granted;
    size_t count;

    resource_manager_TokenBucketRequest_set_resource_group_name(
        one, fx_view(name));
    resource_manager_RequestUnitItem_set_value(item, units);
    resource_manager_Consumption_set_r_r_u(uses, 1.5);
    resource_manager_Consumption_set_read_cross_az_traffic_bytes(uses, 10);
    resource_manager_TokenBucketsRequest_set_target_request_period_ms(all,
                                                                      1000);
    PX_SEND(stream, resource_manager, TokenBucketsRequest, all);
    answers = resource_manager_TokenBucketsResponse_responses(
        PX_NEXT(stream, resource_manager, TokenBucketsResponse), &count);
    if (count == 0) {
        return -1;
    }
    granted = resource_manager_TokenBucketResponse_granted_r_u_tokens(
        answers[0], &count);
    assert_int_equal(count, 1);
    *trickle_ms =
        resource_manager_GrantedRUTokenBucket_trickle_time_ms(granted[0]);
    return resource_manager_TokenBucket_tokens(
        resource_manager_GrantedRUTokenBucket_granted_tokens(granted[0]));
}

static void
tokens__fill_with_time_and_never_twice(void **state)
{
    const resource_manager_Consumption *uses;
    struct px_stream stream;
    int64_t trickle_ms;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(put_group(&fx, RM "AddResourceGroup", "rg", 100, 200),
                     TK_GRPC_OK);
    px_open(&stream, &fx, RM "AcquireTokenBuckets");
    assert_true(ask(&stream, "rg", 150, &trickle_ms) == 150.0);
    assert_int_equal(trickle_ms, 0);
    /* 50 are left, and 100 come within the period. */
    assert_true(ask(&stream, "rg", 1000, &trickle_ms) == 150.0);
    assert_int_equal(trickle_ms, 1000);
    assert_true(ask(&stream, "rg", 1000, &trickle_ms) == 0.0);
    fx_advance(&fx.clock, 500);
    assert_true(ask(&stream, "rg", 1000, &trickle_ms) == 50.0);
    fx_advance(&fx.clock, 60000);
    assert_true(ask(&stream, "rg", 200, &trickle_ms) == 200.0);
    assert_int_equal(trickle_ms, 0);
    assert_true(ask(&stream, "none", 200, &trickle_ms) == -1.0);
    uses = resource_manager_ResourceGroup_RUStats(
        resource_manager_GetResourceGroupResponse_group(
            get_group(&fx, "rg")));
    assert_true(resource_manager_Consumption_r_r_u(uses) == 7.5);
    assert_int_equal(
        resource_manager_Consumption_read_cross_az_traffic_bytes(uses), 50);
    px_close(&stream);
    fx_close(&fx);
}

static void
tokens__of_default_have_no_limit(void **state)
{
    struct px_stream stream;
    int64_t trickle_ms;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    px_open(&stream, &fx, RM "AcquireTokenBuckets");
    assert_true(ask(&stream, "default", 1e12, &trickle_ms) == 1e12);
    assert_true(ask(&stream, "default", 1e12, &trickle_ms) == 1e12);
    assert_int_equal(trickle_ms, 0);
    tk_cluster_stream_finish(stream.stream);
    assert_true(stream.ended);
    assert_int_equal(stream.status, TK_GRPC_OK);
    px_close(&stream);
    fx_close(&fx);
}

static void
tokens__come_from_the_leader(void **state)
{
    static const struct tk_cluster_params params = { .pds_count = 2 };
    struct px_stream stream;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    px_open_at(&stream, &fx, 1, RM "AcquireTokenBuckets", NULL);
    px_send(&stream, "", 0);
    assert_true(stream.ended);
    assert_int_equal(stream.status, TK_GRPC_UNAVAILABLE);
    assert_string_equal(stream.text, "not leader");
    px_close(&stream);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(groups__are_added_changed_and_deleted),
        harness_test(groups__are_watched_in_meta_storage),
        harness_test(tokens__fill_with_time_and_never_twice),
        harness_test(tokens__of_default_have_no_limit),
        harness_test(tokens__come_from_the_leader),
    };
    return harness_run(tests);
}
