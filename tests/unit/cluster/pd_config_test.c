/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration: of the cluster, external timestamp (PD10), global config
 * (PD11), meta storage. */
#include "unit/cluster/pd_fixture.h"

#include "meta_storagepb.upb.h"

PX_PARSER(pdpb, WatchGlobalConfigResponse)
PX_PARSER(meta_storagepb, WatchResponse)

/* ---- of the cluster ---- */

static void
cluster_config__is_kept(void **state)
{
    pdpb_GetClusterConfigRequest *get;
    pdpb_PutClusterConfigRequest *put;
    const metapb_Cluster *config;
    metapb_Cluster *change;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    put = pdpb_PutClusterConfigRequest_new(fx.arena);
    pdpb_PutClusterConfigRequest_set_header(put, fx_header(&fx));
    change = pdpb_PutClusterConfigRequest_mutable_cluster(put, fx.arena);
    metapb_Cluster_set_max_peer_count(change, 5);
    assert_int_equal(
        px_error(pdpb_PutClusterConfigResponse_header(PX_CALL(
            &fx, "/pdpb.PD/PutClusterConfig", pdpb, PutClusterConfigRequest,
            put, PutClusterConfigResponse))),
        pdpb_UNKNOWN);
    metapb_Cluster_set_id(change, tk_cluster_id(fx.cluster));
    (void)PX_CALL(&fx, "/pdpb.PD/PutClusterConfig", pdpb,
                  PutClusterConfigRequest, put, PutClusterConfigResponse);
    px_expect_ok(&fx);
    get = pdpb_GetClusterConfigRequest_new(fx.arena);
    pdpb_GetClusterConfigRequest_set_header(get, fx_header(&fx));
    config = pdpb_GetClusterConfigResponse_cluster(
        PX_CALL(&fx, "/pdpb.PD/GetClusterConfig", pdpb,
                GetClusterConfigRequest, get, GetClusterConfigResponse));
    assert_int_equal(metapb_Cluster_id(config), tk_cluster_id(fx.cluster));
    assert_int_equal(metapb_Cluster_max_peer_count(config), 5);
    fx_close(&fx);
}

static int
set_external(struct fx *fx, uint64_t ts)
{
    pdpb_SetExternalTimestampRequest *request =
        pdpb_SetExternalTimestampRequest_new(fx->arena);

    pdpb_SetExternalTimestampRequest_set_header(request, fx_header(fx));
    pdpb_SetExternalTimestampRequest_set_timestamp(request, ts);
    return px_error(pdpb_SetExternalTimestampResponse_header(
        PX_CALL(fx, "/pdpb.PD/SetExternalTimestamp", pdpb,
                SetExternalTimestampRequest, request,
                SetExternalTimestampResponse)));
}

static uint64_t
external(struct fx *fx)
{
    pdpb_GetExternalTimestampRequest *request =
        pdpb_GetExternalTimestampRequest_new(fx->arena);

    pdpb_GetExternalTimestampRequest_set_header(request, fx_header(fx));
    return pdpb_GetExternalTimestampResponse_timestamp(
        PX_CALL(fx, "/pdpb.PD/GetExternalTimestamp", pdpb,
                GetExternalTimestampRequest, request,
                GetExternalTimestampResponse));
}

/* PD10 */
static void
external_timestamp__grows_up_to_now(void **state)
{
    struct fx fx;
    uint64_t now;

    (void)state;
    fx_open(&fx, NULL);
    now = (uint64_t)(fx_wall(&fx.clock.rt) / TK_MS) << 18;
    assert_int_equal(external(&fx), 0);
    assert_int_equal(set_external(&fx, now - (UINT64_C(1) << 30)), 0);
    assert_int_equal(set_external(&fx, now + (UINT64_C(60000) << 18)),
                     pdpb_INVALID_VALUE);
    assert_int_equal(set_external(&fx, now - (UINT64_C(1) << 31)),
                     pdpb_INVALID_VALUE);
    assert_true(external(&fx) == now - (UINT64_C(1) << 30));
    assert_int_equal(set_external(&fx, now - (UINT64_C(1) << 30)), 0);
    fx_close(&fx);
}

/* ---- global config ---- */

static int
store(struct fx *fx, const char *path, const char *name, const char *value,
      int kind)
{
    pdpb_StoreGlobalConfigRequest *request =
        pdpb_StoreGlobalConfigRequest_new(fx->arena);
    pdpb_GlobalConfigItem *item =
        pdpb_StoreGlobalConfigRequest_add_changes(request, fx->arena);

    pdpb_StoreGlobalConfigRequest_set_config_path(request, fx_view(path));
    pdpb_GlobalConfigItem_set_name(item, fx_view(name));
    pdpb_GlobalConfigItem_set_payload(item, fx_view(value));
    pdpb_GlobalConfigItem_set_kind(item, kind);
    (void)PX_CALL(fx, "/pdpb.PD/StoreGlobalConfig", pdpb,
                  StoreGlobalConfigRequest, request,
                  StoreGlobalConfigResponse);
    return fx->status;
}

static const pdpb_LoadGlobalConfigResponse *
load(struct fx *fx, const char *path, const char *name)
{
    pdpb_LoadGlobalConfigRequest *request =
        pdpb_LoadGlobalConfigRequest_new(fx->arena);

    pdpb_LoadGlobalConfigRequest_set_config_path(request, fx_view(path));
    if (name != NULL) {
        pdpb_LoadGlobalConfigRequest_add_names(request, fx_view(name),
                                               fx->arena);
    }
    return PX_CALL(fx, "/pdpb.PD/LoadGlobalConfig", pdpb,
                   LoadGlobalConfigRequest, request,
                   LoadGlobalConfigResponse);
}

/* PD11 */
static void
global_config__is_loaded_by_name_and_prefix(void **state)
{
    const pdpb_LoadGlobalConfigResponse *answer;
    const pdpb_GlobalConfigItem *const *items;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(store(&fx, "", "a", "1", 0), TK_GRPC_OK);
    assert_int_equal(store(&fx, "/global/config", "b", "2", 0), TK_GRPC_OK);
    answer = load(&fx, "", "a");
    items = pdpb_LoadGlobalConfigResponse_items(answer, &count);
    assert_int_equal(count, 1);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[0]), "a");
    fx_assert_view(pdpb_GlobalConfigItem_payload(items[0]), "1");
    assert_int_equal(pdpb_LoadGlobalConfigResponse_revision(answer), 0);
    items = pdpb_LoadGlobalConfigResponse_items(load(&fx, "", "no"), &count);
    assert_int_equal(
        pdpb_Error_type(pdpb_GlobalConfigItem_error(items[0])),
        pdpb_GLOBAL_CONFIG_NOT_FOUND);
    answer = load(&fx, "/global/config/", NULL);
    items = pdpb_LoadGlobalConfigResponse_items(answer, &count);
    assert_int_equal(count, 2);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[1]), "/global/config/b");
    assert_true(pdpb_LoadGlobalConfigResponse_revision(answer) > 1);
    assert_int_equal(store(&fx, "", "a", "", 1), TK_GRPC_OK);
    (void)pdpb_LoadGlobalConfigResponse_items(load(&fx, "", NULL), &count);
    assert_int_equal(count, 1);
    fx_close(&fx);
}

/* PD11 */
static void
global_config__lies_under_one_path(void **state)
{
    const pdpb_GlobalConfigItem *const *items;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(store(&fx, "/other", "a", "1", 0),
                     TK_GRPC_INVALID_ARGUMENT);
    assert_int_equal(store(&fx, "", "../a", "1", 0),
                     TK_GRPC_INVALID_ARGUMENT);
    assert_null(load(&fx, "/global", NULL));
    assert_int_equal(fx.status, TK_GRPC_INVALID_ARGUMENT);
    assert_null(load(&fx, "resource_group/controller", "x"));
    assert_int_equal(fx.status, TK_GRPC_INVALID_ARGUMENT);
    items = pdpb_LoadGlobalConfigResponse_items(
        load(&fx, "resource_group/controller", NULL), &count);
    assert_int_equal(count, 1);
    assert_int_equal(pdpb_GlobalConfigItem_payload(items[0]).data[0], '{');
    fx_close(&fx);
}

static void
watch_config(struct px_stream *stream, struct fx *fx, int64_t revision)
{
    pdpb_WatchGlobalConfigRequest *request =
        pdpb_WatchGlobalConfigRequest_new(fx->arena);

    pdpb_WatchGlobalConfigRequest_set_revision(request, revision);
    px_open(stream, fx, "/pdpb.PD/WatchGlobalConfig");
    PX_SEND(stream, pdpb, WatchGlobalConfigRequest, request);
    tk_cluster_stream_finish(stream->stream);
}

static void
compact(struct fx *fx, uint8_t revision)
{
    const char bytes[] = { 1 << 3, (char)revision };

    fx_call_with(fx, 0, "/etcdserverpb.KV/Compact", NULL, bytes, 2);
    px_expect_ok(fx);
}

/* PD11 */
static void
global_config__is_watched(void **state)
{
    const pdpb_WatchGlobalConfigResponse *event;
    const pdpb_GlobalConfigItem *const *items;
    struct px_stream stream;
    struct px_stream late;
    int64_t revision;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    watch_config(&stream, &fx, 0);
    assert_int_equal(stream.count, 0);
    assert_int_equal(store(&fx, "", "a", "1", 0), TK_GRPC_OK);
    event = PX_NEXT(&stream, pdpb, WatchGlobalConfigResponse);
    items = pdpb_WatchGlobalConfigResponse_changes(event, &count);
    assert_int_equal(count, 1);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[0]), "/global/config/a");
    fx_assert_view(pdpb_GlobalConfigItem_payload(items[0]), "1");
    revision = pdpb_WatchGlobalConfigResponse_revision(event);
    assert_int_equal(store(&fx, "", "a", "", 1), TK_GRPC_OK);
    items = pdpb_WatchGlobalConfigResponse_changes(
        PX_NEXT(&stream, pdpb, WatchGlobalConfigResponse), &count);
    assert_int_equal(pdpb_GlobalConfigItem_kind(items[0]), 1);
    fx_assert_view(pdpb_GlobalConfigItem_payload(items[0]), "1");
    /* From a revision on: what has been is told at once. */
    watch_config(&late, &fx, revision);
    (void)pdpb_WatchGlobalConfigResponse_changes(
        PX_NEXT(&late, pdpb, WatchGlobalConfigResponse), &count);
    assert_int_equal(count, 2);
    px_close(&late);
    compact(&fx, (uint8_t)(revision + 1));
    watch_config(&late, &fx, revision);
    event = PX_NEXT(&late, pdpb, WatchGlobalConfigResponse);
    assert_int_equal(px_error(pdpb_WatchGlobalConfigResponse_header(event)),
                     pdpb_DATA_COMPACTED);
    assert_true(late.ended);
    assert_int_not_equal(late.status, TK_GRPC_OK);
    px_close(&late);
    assert_false(stream.ended);
    assert_null(tk_cluster_pd_stop(fx.cluster, 0));
    assert_true(stream.ended);
    assert_int_equal(stream.status, TK_GRPC_UNAVAILABLE);
    px_close(&stream);
    fx_close(&fx);
}

/* ---- meta storage ---- */

static meta_storagepb_RequestHeader *
meta_header(struct fx *fx)
{
    meta_storagepb_RequestHeader *header =
        meta_storagepb_RequestHeader_new(fx->arena);

    meta_storagepb_RequestHeader_set_cluster_id(header,
                                                tk_cluster_id(fx->cluster));
    return header;
}

static const meta_storagepb_PutResponse *
meta_put(struct fx *fx, const char *key, const char *value)
{
    meta_storagepb_PutRequest *request =
        meta_storagepb_PutRequest_new(fx->arena);

    meta_storagepb_PutRequest_set_header(request, meta_header(fx));
    meta_storagepb_PutRequest_set_key(request, fx_view(key));
    meta_storagepb_PutRequest_set_value(request, fx_view(value));
    meta_storagepb_PutRequest_set_prev_kv(request, true);
    return PX_CALL(fx, "/meta_storagepb.MetaStorage/Put", meta_storagepb,
                   PutRequest, request, PutResponse);
}

static const meta_storagepb_GetResponse *
meta_get(struct fx *fx, const char *key, const char *end, int64_t limit,
         int64_t revision)
{
    meta_storagepb_GetRequest *request =
        meta_storagepb_GetRequest_new(fx->arena);

    meta_storagepb_GetRequest_set_header(request, meta_header(fx));
    meta_storagepb_GetRequest_set_key(request, fx_view(key));
    meta_storagepb_GetRequest_set_range_end(request, fx_view(end));
    meta_storagepb_GetRequest_set_limit(request, limit);
    meta_storagepb_GetRequest_set_revision(request, revision);
    return PX_CALL(fx, "/meta_storagepb.MetaStorage/Get", meta_storagepb,
                   GetRequest, request, GetResponse);
}

static void
meta_storage__reads_ranges_and_the_past(void **state)
{
    const meta_storagepb_GetResponse *answer;
    const meta_storagepb_KeyValue *const *kvs;
    const meta_storagepb_PutResponse *put;
    int64_t revision;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    put = meta_put(&fx, "m/a", "1");
    assert_false(meta_storagepb_PutResponse_has_prev_kv(put));
    revision = meta_storagepb_ResponseHeader_revision(
        meta_storagepb_PutResponse_header(put));
    put = meta_put(&fx, "m/a", "2");
    fx_assert_view(meta_storagepb_KeyValue_value(
                       meta_storagepb_PutResponse_prev_kv(put)),
                   "1");
    (void)meta_put(&fx, "m/b", "3");
    answer = meta_get(&fx, "m/", "m0", 1, 0);
    kvs = meta_storagepb_GetResponse_kvs(answer, &count);
    assert_int_equal(count, 1);
    assert_true(meta_storagepb_GetResponse_more(answer));
    assert_int_equal(meta_storagepb_GetResponse_count(answer), 2);
    assert_int_equal(meta_storagepb_KeyValue_version(kvs[0]), 2);
    kvs = meta_storagepb_GetResponse_kvs(
        meta_get(&fx, "m/a", "", 0, revision), &count);
    assert_int_equal(count, 1);
    fx_assert_view(meta_storagepb_KeyValue_value(kvs[0]), "1");
    (void)meta_storagepb_GetResponse_kvs(
        meta_get(&fx, "m/b", "", 0, revision), &count);
    assert_int_equal(count, 0);
    answer = meta_get(&fx, "m/a", "", 0, revision + 100);
    assert_true(meta_storagepb_ResponseHeader_has_error(
        meta_storagepb_GetResponse_header(answer)));
    fx_close(&fx);
}

static void
meta_storage__deletes_ranges(void **state)
{
    meta_storagepb_DeleteRequest *request;
    const meta_storagepb_DeleteResponse *answer;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)meta_put(&fx, "m/a", "1");
    (void)meta_put(&fx, "m/b", "1");
    request = meta_storagepb_DeleteRequest_new(fx.arena);
    meta_storagepb_DeleteRequest_set_key(request, fx_view("m/"));
    meta_storagepb_DeleteRequest_set_range_end(request, fx_view("m0"));
    meta_storagepb_DeleteRequest_set_prev_kv(request, true);
    answer = PX_CALL(&fx, "/meta_storagepb.MetaStorage/Delete",
                     meta_storagepb, DeleteRequest, request, DeleteResponse);
    assert_int_equal(meta_storagepb_DeleteResponse_deleted(answer), 2);
    assert_int_equal(meta_storagepb_GetResponse_count(
                         meta_get(&fx, "m/", "m0", 0, 0)),
                     0);
    fx_close(&fx);
}

static void
watch_meta(struct px_stream *stream, struct fx *fx, int64_t since)
{
    meta_storagepb_WatchRequest *request =
        meta_storagepb_WatchRequest_new(fx->arena);

    meta_storagepb_WatchRequest_set_header(request, meta_header(fx));
    meta_storagepb_WatchRequest_set_key(request, fx_view("m/"));
    meta_storagepb_WatchRequest_set_range_end(request, fx_view("m0"));
    meta_storagepb_WatchRequest_set_start_revision(request, since);
    meta_storagepb_WatchRequest_set_prev_kv(request, true);
    px_open(stream, fx, "/meta_storagepb.MetaStorage/Watch");
    PX_SEND(stream, meta_storagepb, WatchRequest, request);
}

static void
meta_storage__is_watched(void **state)
{
    const meta_storagepb_WatchResponse *answer;
    const meta_storagepb_Event *const *events;
    struct px_stream stream;
    struct px_stream late;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)meta_put(&fx, "m/a", "1");
    watch_meta(&stream, &fx, 0);
    (void)meta_put(&fx, "m/a", "2");
    (void)meta_put(&fx, "n", "not watched");
    answer = PX_NEXT(&stream, meta_storagepb, WatchResponse);
    events = meta_storagepb_WatchResponse_events(answer, &count);
    assert_int_equal(count, 1);
    fx_assert_view(
        meta_storagepb_KeyValue_value(meta_storagepb_Event_kv(events[0])),
        "2");
    fx_assert_view(
        meta_storagepb_KeyValue_value(meta_storagepb_Event_prev_kv(events[0])),
        "1");
    assert_int_equal(stream.count, 1);
    px_close(&stream);
    compact(&fx, 6);
    watch_meta(&late, &fx, 2);
    answer = PX_NEXT(&late, meta_storagepb, WatchResponse);
    assert_int_equal(meta_storagepb_WatchResponse_compact_revision(answer), 6);
    assert_int_equal(
        meta_storagepb_Error_type(meta_storagepb_ResponseHeader_error(
            meta_storagepb_WatchResponse_header(answer))),
        meta_storagepb_DATA_COMPACTED);
    assert_true(late.ended);
    px_close(&late);
    fx_close(&fx);
}

static void
meta_storage__is_the_leaders(void **state)
{
    static const struct tk_cluster_params params = { .pds_count = 2 };
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    fx_call_with(&fx, 1, "/meta_storagepb.MetaStorage/Get", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    assert_string_equal(fx.message, "not leader");
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(cluster_config__is_kept),
        harness_test(external_timestamp__grows_up_to_now),
        harness_test(global_config__is_loaded_by_name_and_prefix),
        harness_test(global_config__lies_under_one_path),
        harness_test(global_config__is_watched),
        harness_test(meta_storage__reads_ranges_and_the_past),
        harness_test(meta_storage__deletes_ranges),
        harness_test(meta_storage__is_watched),
        harness_test(meta_storage__is_the_leaders),
    };
    return harness_run(tests);
}
