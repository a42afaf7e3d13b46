/* SPDX-License-Identifier: Apache-2.0 */
/* PD09 to PD11: what PD keeps. */
#ifndef TK_CASES_PD_STATE_H
#define TK_CASES_PD_STATE_H

#include "cluster/cases_pd_talk.h"

/* ---- PD09: safe points ---- */

enum pd_gc { PD_TXN, PD_GC };

#define PD_REFUSED UINT64_MAX

/* The new safe point, or PD_REFUSED. */
static uint64_t
pd_advance(struct fx *fx, enum pd_gc what, uint64_t target)
{
    /* Both requests are of one shape, and so are their answers. */
    pdpb_AdvanceTxnSafePointRequest *request =
        pdpb_AdvanceTxnSafePointRequest_new(fx->arena);
    const pdpb_AdvanceTxnSafePointResponse *answer;

    pdpb_AdvanceTxnSafePointRequest_set_header(request, fx_header(fx));
    pdpb_AdvanceTxnSafePointRequest_set_target(request, target);
    FX_CALL(fx, 0,
            what == PD_TXN ? "/pdpb.PD/AdvanceTxnSafePoint"
                           : "/pdpb.PD/AdvanceGCSafePoint",
            pdpb, AdvanceTxnSafePointRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    answer = FX_PARSE(fx, pdpb, AdvanceTxnSafePointResponse);
    return px_error(pdpb_AdvanceTxnSafePointResponse_header(answer)) != 0
               ? PD_REFUSED
               : pdpb_AdvanceTxnSafePointResponse_new_txn_safe_point(answer);
}

/* False: refused. */
static bool
pd_bar(struct fx *fx, const char *id, uint64_t ts, int64_t ttl_s)
{
    pdpb_SetGCBarrierRequest *request =
        pdpb_SetGCBarrierRequest_new(fx->arena);

    pdpb_SetGCBarrierRequest_set_header(request, fx_header(fx));
    pdpb_SetGCBarrierRequest_set_barrier_id(request, fx_view(id));
    pdpb_SetGCBarrierRequest_set_barrier_ts(request, ts);
    pdpb_SetGCBarrierRequest_set_ttl_seconds(request, ttl_s);
    FX_CALL(fx, 0, "/pdpb.PD/SetGCBarrier", pdpb, SetGCBarrierRequest,
            request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return px_error(pdpb_SetGCBarrierResponse_header(
               FX_PARSE(fx, pdpb, SetGCBarrierResponse))) == 0;
}

/* "txn/gc barrier@ts ...". */
static const char *
pd_gc_state(struct fx *fx)
{
    static char text[256];
    pdpb_GetGCStateRequest *request = pdpb_GetGCStateRequest_new(fx->arena);
    const pdpb_GCBarrierInfo *const *barriers;
    const pdpb_GCState *state;
    size_t count;
    int len;

    pdpb_GetGCStateRequest_set_header(request, fx_header(fx));
    FX_CALL(fx, 0, "/pdpb.PD/GetGCState", pdpb, GetGCStateRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    state = pdpb_GetGCStateResponse_gc_state(
        FX_PARSE(fx, pdpb, GetGCStateResponse));
    barriers = pdpb_GCState_gc_barriers(state, &count);
    len = snprintf(text, sizeof(text), "%llu/%llu",
                   (unsigned long long)pdpb_GCState_txn_safe_point(state),
                   (unsigned long long)pdpb_GCState_gc_safe_point(state));
    for (size_t i = 0; i < count; i++) {
        upb_StringView id = pdpb_GCBarrierInfo_barrier_id(barriers[i]);

        len += snprintf(
            text + len, sizeof(text) - (size_t)len, " %.*s@%llu",
            (int)id.size, id.data,
            (unsigned long long)pdpb_GCBarrierInfo_barrier_ts(barriers[i]));
    }
    return text;
}

/* A service of old: the least safe point, or PD_REFUSED. */
static uint64_t
pd_service(struct fx *fx, const char *id, int64_t ttl_s, uint64_t ts)
{
    pdpb_UpdateServiceGCSafePointRequest *request =
        pdpb_UpdateServiceGCSafePointRequest_new(fx->arena);

    pdpb_UpdateServiceGCSafePointRequest_set_header(request, fx_header(fx));
    pdpb_UpdateServiceGCSafePointRequest_set_service_id(request, fx_view(id));
    pdpb_UpdateServiceGCSafePointRequest_set_TTL(request, ttl_s);
    pdpb_UpdateServiceGCSafePointRequest_set_safe_point(request, ts);
    FX_CALL(fx, 0, "/pdpb.PD/UpdateServiceGCSafePoint", pdpb,
            UpdateServiceGCSafePointRequest, request);
    return fx->status != TK_GRPC_OK
               ? PD_REFUSED
               : pdpb_UpdateServiceGCSafePointResponse_min_safe_point(
                     FX_PARSE(fx, pdpb, UpdateServiceGCSafePointResponse));
}

static void
pd_keeps_safe_points(struct script *script)
{
    struct fx *fx = &script->fx;

    assert_int_equal(pd_advance(fx, PD_GC, 1), PD_REFUSED);
    assert_int_equal(pd_advance(fx, PD_TXN, 10), 10);
    assert_int_equal(pd_advance(fx, PD_TXN, 9), PD_REFUSED);
    assert_int_equal(pd_advance(fx, PD_GC, 8), 8);
    assert_int_equal(pd_advance(fx, PD_GC, 7), PD_REFUSED);
    assert_int_equal(pd_advance(fx, PD_GC, 11), PD_REFUSED);
    /* Barriers hold the one back, and the other with it. */
    assert_true(pd_bar(fx, "backup", 20, INT64_MAX));
    assert_true(pd_bar(fx, "lag", 40, 100));
    assert_false(pd_bar(fx, "late", 9, 100));
    assert_false(pd_bar(fx, "gc_worker", 30, 100));
    assert_false(pd_bar(fx, "", 30, 100));
    assert_int_equal(pd_advance(fx, PD_TXN, 30), 20);
    assert_string_equal(pd_gc_state(fx), "20/8 backup@20 lag@40");
    /* The calls of old: no ttl deletes, and what is too old is no error. */
    assert_int_equal(pd_service(fx, "gc_worker", 100, 30), PD_REFUSED);
    assert_int_equal(pd_service(fx, "backup", 0, 0), 20);
    assert_int_equal(pd_service(fx, "cdc", 100, 5), 20);
    assert_int_equal(pd_service(fx, "br", 1000, 35), 20);
    assert_int_equal(pd_service(fx, "gc_worker", INT64_MAX, 50), 35);
    assert_string_equal(pd_gc_state(fx), "35/8 br@35 lag@40");
    /* To the end of its time, not a millisecond longer. */
    fx_advance(&fx->clock, 100000);
    assert_string_equal(pd_gc_state(fx), "35/8 br@35 lag@40");
    fx_advance(&fx->clock, 1);
    assert_string_equal(pd_gc_state(fx), "35/8 br@35");
    fx_advance(&fx->clock, 900000);
    assert_int_equal(pd_advance(fx, PD_TXN, 50), 50);
    assert_int_equal(pd_advance(fx, PD_GC, 50), 50);
}

/* ---- PD10 ---- */

static int
pd_set_external(struct fx *fx, uint64_t ts)
{
    pdpb_SetExternalTimestampRequest *request =
        pdpb_SetExternalTimestampRequest_new(fx->arena);

    pdpb_SetExternalTimestampRequest_set_header(request, fx_header(fx));
    pdpb_SetExternalTimestampRequest_set_timestamp(request, ts);
    FX_CALL(fx, 0, "/pdpb.PD/SetExternalTimestamp", pdpb,
            SetExternalTimestampRequest, request);
    assert_int_equal(fx->status, TK_GRPC_OK);
    return px_error(pdpb_SetExternalTimestampResponse_header(
        FX_PARSE(fx, pdpb, SetExternalTimestampResponse)));
}

static uint64_t
pd_external(struct fx *fx)
{
    pdpb_GetExternalTimestampRequest *request =
        pdpb_GetExternalTimestampRequest_new(fx->arena);

    pdpb_GetExternalTimestampRequest_set_header(request, fx_header(fx));
    FX_CALL(fx, 0, "/pdpb.PD/GetExternalTimestamp", pdpb,
            GetExternalTimestampRequest, request);
    return pdpb_GetExternalTimestampResponse_timestamp(
        FX_PARSE(fx, pdpb, GetExternalTimestampResponse));
}

static void
pd_keeps_an_external_timestamp(struct script *script)
{
    struct fx *fx = &script->fx;
    struct pd_talk talk;
    uint64_t now;

    pd_talk_open(&talk, fx, 0, "/pdpb.PD/Tso");
    now = pd_take_ts(&talk, 1);
    way_stream_close(&talk.stream);
    assert_int_equal(pd_external(fx), 0);
    assert_int_equal(pd_set_external(fx, now - 5), 0);
    assert_int_equal(pd_set_external(fx, now - 6), pdpb_INVALID_VALUE);
    assert_int_equal(pd_set_external(fx, now + (UINT64_C(1) << 40)),
                     pdpb_INVALID_VALUE);
    assert_int_equal(pd_external(fx), now - 5);
    assert_int_equal(pd_set_external(fx, now), 0);
    assert_int_equal(pd_external(fx), now);
}

/* ---- PD11: global configuration ---- */

static int
pd_store_config(struct fx *fx, const char *path, const char *name,
                const char *value, int kind)
{
    pdpb_StoreGlobalConfigRequest *request =
        pdpb_StoreGlobalConfigRequest_new(fx->arena);
    pdpb_GlobalConfigItem *item =
        pdpb_StoreGlobalConfigRequest_add_changes(request, fx->arena);

    pdpb_StoreGlobalConfigRequest_set_config_path(request, fx_view(path));
    pdpb_GlobalConfigItem_set_name(item, fx_view(name));
    pdpb_GlobalConfigItem_set_payload(item, fx_view(value));
    pdpb_GlobalConfigItem_set_kind(item, kind);
    FX_CALL(fx, 0, "/pdpb.PD/StoreGlobalConfig", pdpb,
            StoreGlobalConfigRequest, request);
    return fx->status;
}

/* NULL: refused. Without a name everything under the path. */
static const pdpb_LoadGlobalConfigResponse *
pd_load_config(struct fx *fx, const char *path, const char *name)
{
    pdpb_LoadGlobalConfigRequest *request =
        pdpb_LoadGlobalConfigRequest_new(fx->arena);

    pdpb_LoadGlobalConfigRequest_set_config_path(request, fx_view(path));
    if (name != NULL) {
        pdpb_LoadGlobalConfigRequest_add_names(request, fx_view(name),
                                               fx->arena);
    }
    FX_CALL(fx, 0, "/pdpb.PD/LoadGlobalConfig", pdpb, LoadGlobalConfigRequest,
            request);
    return fx->status != TK_GRPC_OK
               ? NULL
               : FX_PARSE(fx, pdpb, LoadGlobalConfigResponse);
}

static void
pd_watch_config(struct pd_talk *talk, struct fx *fx, int64_t revision)
{
    pdpb_WatchGlobalConfigRequest *request =
        pdpb_WatchGlobalConfigRequest_new(fx->arena);

    pdpb_WatchGlobalConfigRequest_set_revision(request, revision);
    pd_talk_open(talk, fx, 0, "/pdpb.PD/WatchGlobalConfig");
    PD_SAY(talk, pdpb, WatchGlobalConfigRequest, request);
    way_stream_finish(&talk->stream);
}

static const pdpb_WatchGlobalConfigResponse *
pd_hear_config(struct pd_talk *talk)
{
    tikv_slice bytes = pd_hear(talk);

    return pdpb_WatchGlobalConfigResponse_parse(
        (const char *)bytes.data, bytes.len, talk->stream.fx->arena);
}

static void
pd_watches_configuration(struct fx *fx, int64_t revision)
{
    const pdpb_GlobalConfigItem *const *items;
    const char compact[] = { 1 << 3, (char)(revision + 1) };
    struct pd_talk talk;
    size_t count;

    /* What was since the revision, then what comes. */
    pd_watch_config(&talk, fx, revision);
    items = pdpb_WatchGlobalConfigResponse_changes(pd_hear_config(&talk),
                                                   &count);
    assert_int_equal(count, 1);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[0]), "/global/config/b");
    assert_int_equal(pd_store_config(fx, "", "b", "", 1), TK_GRPC_OK);
    items = pdpb_WatchGlobalConfigResponse_changes(pd_hear_config(&talk),
                                                   &count);
    assert_int_equal(count, 1);
    assert_int_equal(pdpb_GlobalConfigItem_kind(items[0]), 1);
    way_stream_close(&talk.stream);
    /* The past may be gone. */
    fx_call_with(fx, 0, "/etcdserverpb.KV/Compact", NULL, compact, 2);
    assert_int_equal(fx->status, TK_GRPC_OK);
    pd_watch_config(&talk, fx, revision);
    assert_int_equal(px_error(pdpb_WatchGlobalConfigResponse_header(
                         pd_hear_config(&talk))),
                     pdpb_DATA_COMPACTED);
    assert_int_not_equal(pd_hear_end(&talk), TK_GRPC_OK);
    way_stream_close(&talk.stream);
}

static void
pd_keeps_configuration(struct script *script)
{
    struct fx *fx = &script->fx;
    const pdpb_LoadGlobalConfigResponse *answer;
    const pdpb_GlobalConfigItem *const *items;
    size_t count;

    assert_int_equal(pd_store_config(fx, "", "a", "1", 0), TK_GRPC_OK);
    assert_int_equal(pd_store_config(fx, "/global/config", "b", "2", 0),
                     TK_GRPC_OK);
    assert_int_equal(pd_store_config(fx, "/other", "a", "1", 0),
                     TK_GRPC_INVALID_ARGUMENT);
    assert_null(pd_load_config(fx, "/global", NULL));
    assert_int_equal(fx->status, TK_GRPC_INVALID_ARGUMENT);
    answer = pd_load_config(fx, "", "a");
    items = pdpb_LoadGlobalConfigResponse_items(answer, &count);
    assert_int_equal(count, 1);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[0]), "a");
    fx_assert_view(pdpb_GlobalConfigItem_payload(items[0]), "1");
    items = pdpb_LoadGlobalConfigResponse_items(pd_load_config(fx, "", "no"),
                                                &count);
    assert_int_equal(pdpb_Error_type(pdpb_GlobalConfigItem_error(items[0])),
                     pdpb_GLOBAL_CONFIG_NOT_FOUND);
    /* The resource controller's lies elsewhere. */
    items = pdpb_LoadGlobalConfigResponse_items(
        pd_load_config(fx, "resource_group/controller", NULL), &count);
    assert_int_equal(count, 1);
    answer = pd_load_config(fx, "/global/config/", NULL);
    items = pdpb_LoadGlobalConfigResponse_items(answer, &count);
    assert_int_equal(count, 2);
    fx_assert_view(pdpb_GlobalConfigItem_name(items[0]), "/global/config/a");
    pd_watches_configuration(
        fx, pdpb_LoadGlobalConfigResponse_revision(answer));
}

#endif
