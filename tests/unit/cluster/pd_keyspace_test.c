/* SPDX-License-Identifier: Apache-2.0 */
/* Keyspaces, and the services that PD may have as its own: TSO, router,
 * health. */
#include "unit/cluster/pd_fixture.h"

#include "health.upb.h"
#include "keyspacepb.upb.h"
#include "meta_storagepb.upb.h"
#include "tsopb.upb.h"

PX_PARSER(keyspacepb, WatchKeyspacesResponse)
PX_PARSER(tsopb, TsoResponse)
PX_PARSER(grpc_health_v1, HealthCheckResponse)
PX_PARSER(pdpb, TsoResponse)

static const struct tk_cluster_params two = { .pds_count = 2 };

static const keyspacepb_LoadKeyspaceResponse *
load(struct fx *fx, const char *name)
{
    keyspacepb_LoadKeyspaceRequest *request =
        keyspacepb_LoadKeyspaceRequest_new(fx->arena);

    keyspacepb_LoadKeyspaceRequest_set_header(request, fx_header(fx));
    keyspacepb_LoadKeyspaceRequest_set_name(request, fx_view(name));
    return PX_CALL(fx, "/keyspacepb.Keyspace/LoadKeyspace", keyspacepb,
                   LoadKeyspaceRequest, request, LoadKeyspaceResponse);
}

static int
load_error(struct fx *fx, const char *name)
{
    return px_error(keyspacepb_LoadKeyspaceResponse_header(load(fx, name)));
}

static void
keyspaces__are_found_by_name_and_id(void **state)
{
    const char *const config[] = { "color", "blue", NULL };
    keyspacepb_LoadKeyspaceByIDRequest *by_id;
    const keyspacepb_LoadKeyspaceResponse *answer;
    const keyspacepb_KeyspaceMeta *meta;
    upb_StringView value;
    uint32_t id = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    meta = keyspacepb_LoadKeyspaceResponse_keyspace(load(&fx, "DEFAULT"));
    assert_true(keyspacepb_KeyspaceMeta_has_id(meta));
    assert_int_equal(keyspacepb_KeyspaceMeta_id(meta), 0);
    assert_int_equal(load_error(&fx, "k1"), pdpb_ENTRY_NOT_FOUND);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "k1", config, true, &id));
    assert_int_equal(id, 1);
    meta = keyspacepb_LoadKeyspaceResponse_keyspace(load(&fx, "k1"));
    assert_int_equal(keyspacepb_KeyspaceMeta_id(meta), 1);
    assert_true(keyspacepb_KeyspaceMeta_config_get(meta, fx_view("color"),
                                                   &value));
    fx_assert_view(value, "blue");
    by_id = keyspacepb_LoadKeyspaceByIDRequest_new(fx.arena);
    keyspacepb_LoadKeyspaceByIDRequest_set_header(by_id, fx_header(&fx));
    keyspacepb_LoadKeyspaceByIDRequest_set_id(by_id, id);
    answer = PX_CALL(&fx, "/keyspacepb.Keyspace/LoadKeyspaceByID", keyspacepb,
                     LoadKeyspaceByIDRequest, by_id, LoadKeyspaceResponse);
    fx_assert_view(keyspacepb_KeyspaceMeta_name(
                       keyspacepb_LoadKeyspaceResponse_keyspace(answer)),
                   "k1");
    fx_close(&fx);
}

static void
keyspaces__are_hidden_until_their_regions_are_cut(void **state)
{
    static const uint8_t key[] = { 'r', 0, 0, 1, 0, 0, 0, 0, 0xfb };
    tikv_error *error;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "k1", NULL, false, NULL));
    error = tk_cluster_keyspace_create(fx.cluster, "k1", NULL, false, NULL);
    assert_non_null(error);
    tikv_error_free(error);
    assert_int_equal(load_error(&fx, "k1"), pdpb_ENTRY_NOT_FOUND);
    tk_cluster_keyspace_show_unsplit(fx.cluster, true);
    assert_int_equal(load_error(&fx, "k1"), 0);
    tk_cluster_keyspace_show_unsplit(fx.cluster, false);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "k2", NULL, true, NULL));
    assert_int_equal(load_error(&fx, "k2"), 0);
    assert_int_equal(load_error(&fx, "k1"), pdpb_ENTRY_NOT_FOUND);
    /* Its right neighbour has cut two of four, these are the others. */
    assert_null(
        tk_cluster_split(fx.cluster, tk_slice(key, sizeof(key))));
    assert_int_equal(load_error(&fx, "k1"), pdpb_ENTRY_NOT_FOUND);
    fx_close(&fx);
}

static int
update(struct fx *fx, uint32_t id, int state)
{
    keyspacepb_UpdateKeyspaceStateRequest *request =
        keyspacepb_UpdateKeyspaceStateRequest_new(fx->arena);
    const keyspacepb_UpdateKeyspaceStateResponse *answer;

    keyspacepb_UpdateKeyspaceStateRequest_set_header(request, fx_header(fx));
    keyspacepb_UpdateKeyspaceStateRequest_set_id(request, id);
    keyspacepb_UpdateKeyspaceStateRequest_set_state(request, state);
    answer = PX_CALL(fx, "/keyspacepb.Keyspace/UpdateKeyspaceState",
                     keyspacepb, UpdateKeyspaceStateRequest, request,
                     UpdateKeyspaceStateResponse);
    if (px_error(keyspacepb_UpdateKeyspaceStateResponse_header(answer)) == 0) {
        assert_int_equal(
            keyspacepb_KeyspaceMeta_state(
                keyspacepb_UpdateKeyspaceStateResponse_keyspace(answer)),
            state);
    }
    return px_error(keyspacepb_UpdateKeyspaceStateResponse_header(answer));
}

static void
keyspaces__change_state_and_are_watched(void **state)
{
    keyspacepb_WatchKeyspacesRequest *request;
    const keyspacepb_KeyspaceMeta *const *list;
    struct px_stream stream;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    px_open(&stream, &fx, "/keyspacepb.Keyspace/WatchKeyspaces");
    request = keyspacepb_WatchKeyspacesRequest_new(fx.arena);
    keyspacepb_WatchKeyspacesRequest_set_header(request, fx_header(&fx));
    PX_SEND(&stream, keyspacepb, WatchKeyspacesRequest, request);
    (void)keyspacepb_WatchKeyspacesResponse_keyspaces(
        PX_NEXT(&stream, keyspacepb, WatchKeyspacesResponse), &count);
    assert_int_equal(count, 1);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "k1", NULL, true, NULL));
    list = keyspacepb_WatchKeyspacesResponse_keyspaces(
        PX_NEXT(&stream, keyspacepb, WatchKeyspacesResponse), &count);
    assert_int_equal(count, 1);
    fx_assert_view(keyspacepb_KeyspaceMeta_name(list[0]), "k1");
    assert_int_equal(update(&fx, 1, keyspacepb_ARCHIVED), pdpb_UNKNOWN);
    assert_int_equal(update(&fx, 1, keyspacepb_DISABLED), 0);
    assert_int_equal(update(&fx, 1, keyspacepb_ARCHIVED), 0);
    assert_int_equal(update(&fx, 1, keyspacepb_ENABLED), pdpb_UNKNOWN);
    assert_int_equal(update(&fx, 0, keyspacepb_DISABLED), pdpb_UNKNOWN);
    assert_int_equal(update(&fx, 9, keyspacepb_DISABLED),
                     pdpb_ENTRY_NOT_FOUND);
    (void)px_next(&stream);
    list = keyspacepb_WatchKeyspacesResponse_keyspaces(
        PX_NEXT(&stream, keyspacepb, WatchKeyspacesResponse), &count);
    assert_int_equal(keyspacepb_KeyspaceMeta_state(list[0]),
                     keyspacepb_ARCHIVED);
    px_close(&stream);
    fx_close(&fx);
}

static void
keyspaces__are_listed_in_pages(void **state)
{
    keyspacepb_GetAllKeyspacesRequest *request;
    const keyspacepb_KeyspaceMeta *const *list;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(tk_cluster_keyspace_create(fx.cluster, "a", NULL, 0, NULL));
    assert_null(tk_cluster_keyspace_create(fx.cluster, "b", NULL, 0, NULL));
    assert_null(tk_cluster_keyspace_create(fx.cluster, "c", NULL, 0, NULL));
    request = keyspacepb_GetAllKeyspacesRequest_new(fx.arena);
    keyspacepb_GetAllKeyspacesRequest_set_header(request, fx_header(&fx));
    keyspacepb_GetAllKeyspacesRequest_set_start_id(request, 1);
    keyspacepb_GetAllKeyspacesRequest_set_limit(request, 2);
    list = keyspacepb_GetAllKeyspacesResponse_keyspaces(
        PX_CALL(&fx, "/keyspacepb.Keyspace/GetAllKeyspaces", keyspacepb,
                GetAllKeyspacesRequest, request, GetAllKeyspacesResponse),
        &count);
    assert_int_equal(count, 2);
    fx_assert_view(keyspacepb_KeyspaceMeta_name(list[1]), "b");
    fx_close(&fx);
}

/* ---- TSO as a service ---- */

static tsopb_RequestHeader *
tso_header(struct fx *fx)
{
    tsopb_RequestHeader *header = tsopb_RequestHeader_new(fx->arena);

    tsopb_RequestHeader_set_cluster_id(header, tk_cluster_id(fx->cluster));
    return header;
}

static const tsopb_FindGroupByKeyspaceIDResponse *
find_group(struct fx *fx, tk_node node, uint64_t revision)
{
    tsopb_FindGroupByKeyspaceIDRequest *request =
        tsopb_FindGroupByKeyspaceIDRequest_new(fx->arena);

    tsopb_FindGroupByKeyspaceIDRequest_set_header(request, tso_header(fx));
    tsopb_FindGroupByKeyspaceIDRequest_set_mod_revision(request, revision);
    FX_CALL(fx, node, "/tsopb.TSO/FindGroupByKeyspaceID", tsopb,
            FindGroupByKeyspaceIDRequest, request);
    return fx->status == TK_GRPC_OK
               ? FX_PARSE(fx, tsopb, FindGroupByKeyspaceIDResponse)
               : NULL;
}

static const pdpb_GetClusterInfoResponse *
info(struct fx *fx)
{
    fx_call_with(fx, 1, "/pdpb.PD/GetClusterInfo", NULL, "", 0);
    return FX_PARSE(fx, pdpb, GetClusterInfoResponse);
}

static void
tso_service__is_an_option(void **state)
{
    const tsopb_FindGroupByKeyspaceIDResponse *answer;
    const tsopb_KeyspaceGroupMember *const *members;
    const tsopb_KeyspaceGroup *group;
    uint64_t revision;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    assert_int_equal(pdpb_GetClusterInfoResponse_serviceModes(info(&fx),
                                                              &count)[0],
                     pdpb_PD_SVC_MODE);
    assert_null(find_group(&fx, 0, 0));
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    tk_cluster_set_services(fx.cluster, TK_CLUSTER_SERVICE_TSO);
    assert_int_equal(pdpb_GetClusterInfoResponse_serviceModes(info(&fx),
                                                              &count)[0],
                     pdpb_API_SVC_MODE);
    (void)pdpb_GetClusterInfoResponse_tso_urls(info(&fx), &count);
    assert_int_equal(count, 2);
    answer = find_group(&fx, 1, 0);
    group = tsopb_FindGroupByKeyspaceIDResponse_keyspace_group(answer);
    members = tsopb_KeyspaceGroup_members(group, &count);
    assert_int_equal(count, 2);
    assert_true(tsopb_KeyspaceGroupMember_is_primary(members[0]));
    fx_assert_view(tsopb_KeyspaceGroupMember_address(members[1]),
                   "http://pd-1:2379");
    revision = tsopb_FindGroupByKeyspaceIDResponse_mod_revision(answer);
    answer = find_group(&fx, 1, revision + 1);
    assert_int_equal(tsopb_Error_type(tsopb_ResponseHeader_error(
                         tsopb_FindGroupByKeyspaceIDResponse_header(answer))),
                     tsopb_INVALID_VALUE);
    assert_null(tk_cluster_pd_transfer(fx.cluster, 1));
    assert_true(tsopb_FindGroupByKeyspaceIDResponse_mod_revision(
                    find_group(&fx, 0, 0)) > revision);
    fx_close(&fx);
}

static int
tso_once(struct fx *fx, tk_node node, const char *callee, uint32_t group)
{
    tsopb_TsoRequest *request = tsopb_TsoRequest_new(fx->arena);
    tsopb_RequestHeader *header = tso_header(fx);
    struct px_stream stream;
    int status;

    tsopb_RequestHeader_set_callee_id(header, fx_view(callee));
    tsopb_RequestHeader_set_keyspace_group_id(header, group);
    tsopb_TsoRequest_set_header(request, header);
    tsopb_TsoRequest_set_count(request, 3);
    px_open_at(&stream, fx, node, "/tsopb.TSO/Tso", NULL);
    PX_SEND(&stream, tsopb, TsoRequest, request);
    status = stream.status;
    (void)snprintf(fx->message, sizeof(fx->message), "%s", stream.text);
    if (!stream.ended) {
        assert_int_equal(
            tsopb_TsoResponse_count(PX_NEXT(&stream, tsopb, TsoResponse)), 3);
    }
    px_close(&stream);
    return status;
}

static void
tso_service__checks_who_is_asked(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    tk_cluster_set_services(fx.cluster, TK_CLUSTER_SERVICE_TSO);
    assert_int_equal(tso_once(&fx, 0, "http://pd-0:2379", 0), TK_GRPC_OK);
    assert_int_equal(tso_once(&fx, 0, "", 0), TK_GRPC_OK);
    assert_int_equal(tso_once(&fx, 0, "http://pd-1:2379", 0),
                     TK_GRPC_FAILED_PRECONDITION);
    assert_non_null(strstr(fx.message, "mismatch callee id"));
    assert_int_equal(tso_once(&fx, 1, "http://pd-1:2379", 0),
                     TK_GRPC_UNKNOWN);
    assert_non_null(strstr(fx.message, "not primary"));
    assert_int_equal(tso_once(&fx, 0, "", 7), TK_GRPC_UNKNOWN);
    assert_non_null(strstr(fx.message, "is not served"));
    fx_close(&fx);
}

static const tsopb_GetMinTSResponse *
min_ts(struct fx *fx, tk_node node)
{
    tsopb_GetMinTSRequest *request = tsopb_GetMinTSRequest_new(fx->arena);

    tsopb_GetMinTSRequest_set_header(request, tso_header(fx));
    FX_CALL(fx, node, "/tsopb.TSO/GetMinTS", tsopb, GetMinTSRequest, request);
    px_expect_ok(fx);
    return FX_PARSE(fx, tsopb, GetMinTSResponse);
}

static void
tso_service__announces_its_primary(void **state)
{
    meta_storagepb_GetRequest *request;
    const meta_storagepb_KeyValue *const *kvs;
    const pdpb_Member *primary; /* laid out like a Participant */
    const upb_StringView *urls;
    upb_StringView value;
    char key[80];
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    tk_cluster_set_services(fx.cluster,
                            TK_CLUSTER_SERVICE_TSO |
                                TK_CLUSTER_SERVICE_ROUTER);
    assert_int_equal(
        tsopb_GetMinTSResponse_keyspace_groups_serving(min_ts(&fx, 0)), 1);
    assert_int_equal(
        tsopb_GetMinTSResponse_keyspace_groups_serving(min_ts(&fx, 1)), 0);
    assert_null(tk_cluster_pd_transfer(fx.cluster, 1));
    tk_cluster_set_address(fx.cluster, 1, "127.0.0.1:99");
    (void)snprintf(key, sizeof(key), "/ms/%llu/tso/00000/primary",
                   (unsigned long long)tk_cluster_id(fx.cluster));
    request = meta_storagepb_GetRequest_new(fx.arena);
    meta_storagepb_GetRequest_set_key(request, fx_view(key));
    kvs = meta_storagepb_GetResponse_kvs(
        PX_CALL(&fx, "/meta_storagepb.MetaStorage/Get", meta_storagepb,
                GetRequest, request, GetResponse),
        &count);
    assert_int_equal(count, 1);
    value = meta_storagepb_KeyValue_value(kvs[0]);
    primary = pdpb_Member_parse(value.data, value.size, fx.arena);
    urls = pdpb_Member_peer_urls(primary, &count);
    fx_assert_view(urls[0], "http://127.0.0.1:99");
    fx_close(&fx);
}

/* ---- timestamps of PD ---- */

static int64_t
physical(struct px_stream *stream, uint32_t count, int64_t *logical)
{
    pdpb_TsoRequest *request = pdpb_TsoRequest_new(stream->fx->arena);
    const pdpb_Timestamp *ts;

    pdpb_TsoRequest_set_header(request, fx_header(stream->fx));
    pdpb_TsoRequest_set_count(request, count);
    PX_SEND(stream, pdpb, TsoRequest, request);
    ts = pdpb_TsoResponse_timestamp(PX_NEXT(stream, pdpb, TsoResponse));
    *logical = pdpb_Timestamp_logical(ts);
    return pdpb_Timestamp_physical(ts);
}

/* PD05 */
static void
tso__jumps_when_the_leader_changes(void **state)
{
    struct px_stream stream;
    int64_t before;
    int64_t after;
    int64_t logical;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    px_open_at(&stream, &fx, 0, "/pdpb.PD/Tso", NULL);
    before = physical(&stream, 1, &logical);
    px_close(&stream);
    assert_null(tk_cluster_pd_transfer(fx.cluster, 1));
    px_open_at(&stream, &fx, 1, "/pdpb.PD/Tso", NULL);
    after = physical(&stream, 1, &logical);
    assert_true(after - before > 4000);
    assert_true(after - before <= 5001);
    px_close(&stream);
    fx_close(&fx);
}

static void
tso__leaves_room_for_suffixes(void **state)
{
    struct px_stream stream;
    int64_t first;
    int64_t second;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    tk_cluster_set_suffix_bits(fx.cluster, 4);
    px_open_at(&stream, &fx, 0, "/pdpb.PD/Tso", NULL);
    (void)physical(&stream, 1, &first);
    (void)physical(&stream, 3, &second);
    assert_int_equal(second - first, 3 << 4);
    assert_int_equal(second & 15, 0);
    px_close(&stream);
    fx_close(&fx);
}

static void
tso__is_relayed_between_members_only(void **state)
{
    const char *const relay[] = { "pd-forwarded-host", "http://pd-0:2379",
                                  NULL };
    const char *const store[] = { "pd-forwarded-host",
                                  "http://tikv-1:20160", NULL };
    struct px_stream stream;
    int64_t logical;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    px_open_at(&stream, &fx, 1, "/pdpb.PD/Tso", relay);
    assert_true(physical(&stream, 1, &logical) > 0);
    /* Either end of the relay breaks it. */
    assert_null(tk_cluster_pd_stop(fx.cluster, 1));
    assert_true(stream.ended);
    px_close(&stream);
    assert_null(tk_cluster_pd_start(fx.cluster, 1));
    fx_call_with(&fx, 1, "/pdpb.PD/GetMembers", store, "", 0);
    assert_int_equal(fx.status, TK_GRPC_INVALID_ARGUMENT);
    fx_close(&fx);
}

/* ---- router, health ---- */

static void
router__answers_at_every_member_when_it_is_on(void **state)
{
    pdpb_GetRegionRequest *request;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    request = pdpb_GetRegionRequest_new(fx.arena);
    pdpb_GetRegionRequest_set_header(request, fx_header(&fx));
    FX_CALL(&fx, 1, "/routerpb.Router/GetRegion", pdpb, GetRegionRequest,
            request);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    tk_cluster_set_services(fx.cluster, TK_CLUSTER_SERVICE_ROUTER);
    FX_CALL(&fx, 1, "/routerpb.Router/GetRegion", pdpb, GetRegionRequest,
            request);
    px_expect_ok(&fx);
    assert_true(pdpb_GetRegionResponse_has_region(
        FX_PARSE(&fx, pdpb, GetRegionResponse)));
    fx_close(&fx);
}

static void
health__is_told_by_all_nodes(void **state)
{
    const char named[] = { 1 << 3 | 2, 1, 'x' };
    struct px_stream stream;
    struct fx fx;

    (void)state;
    fx_open(&fx, &two);
    fx_call_with(&fx, 1, "/grpc.health.v1.Health/Check", NULL, "", 0);
    px_expect_ok(&fx);
    assert_int_equal(grpc_health_v1_HealthCheckResponse_status(
                         FX_PARSE(&fx, grpc_health_v1, HealthCheckResponse)),
                     grpc_health_v1_HealthCheckResponse_SERVING);
    fx_call_with(&fx, fx_store(1), "/grpc.health.v1.Health/Check", NULL,
                 named, sizeof(named));
    assert_int_equal(fx.status, TK_GRPC_NOT_FOUND);
    px_open_at(&stream, &fx, fx_store(1), "/grpc.health.v1.Health/Watch",
               NULL);
    px_send(&stream, "", 0);
    tk_cluster_stream_finish(stream.stream);
    assert_int_equal(
        grpc_health_v1_HealthCheckResponse_status(
            PX_NEXT(&stream, grpc_health_v1, HealthCheckResponse)),
        grpc_health_v1_HealthCheckResponse_SERVING);
    assert_false(stream.ended);
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    assert_true(stream.ended);
    px_close(&stream);
    fx_close(&fx);
}

/* A request of a store must not reach a member, nor the other way. */
static void
services__are_known_where_they_belong(void **state)
{
    struct px_stream stream;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_call_with(&fx, 0, "/tikvpb.Tikv/RawGet", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    fx_call_with(&fx, fx_store(1), "/pdpb.PD/GetMembers", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    fx_call_with(&fx, 0, "/meta_storagepb.MetaStorage/Watch", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    memset(&stream, 0, sizeof(stream));
    assert_null(tk_cluster_stream_open(
        fx.cluster, fx_store(1), "/meta_storagepb.MetaStorage/Watch", NULL,
        &(const struct tk_cluster_stream_events){ px_message, px_end },
        &stream));
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(keyspaces__are_found_by_name_and_id),
        harness_test(keyspaces__are_hidden_until_their_regions_are_cut),
        harness_test(keyspaces__change_state_and_are_watched),
        harness_test(keyspaces__are_listed_in_pages),
        harness_test(tso_service__is_an_option),
        harness_test(tso_service__checks_who_is_asked),
        harness_test(tso_service__announces_its_primary),
        harness_test(tso__jumps_when_the_leader_changes),
        harness_test(tso__leaves_room_for_suffixes),
        harness_test(tso__is_relayed_between_members_only),
        harness_test(router__answers_at_every_member_when_it_is_on),
        harness_test(health__is_told_by_all_nodes),
        harness_test(services__are_known_where_they_belong),
    };
    return harness_run(tests);
}
