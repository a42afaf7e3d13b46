/* SPDX-License-Identifier: Apache-2.0 */
/* GC states, barriers, and the calls of old mapped onto them (PD09). */
#include "unit/cluster/pd_fixture.h"

PX_PARSER(pdpb, WatchGCSafePointV2Response)

static const uint32_t nobody = UINT32_MAX;

static pdpb_KeyspaceScope *
scope(struct fx *fx, uint32_t keyspace)
{
    pdpb_KeyspaceScope *scope = pdpb_KeyspaceScope_new(fx->arena);

    pdpb_KeyspaceScope_set_keyspace_id(scope, keyspace);
    return scope;
}

/* The new safe point; UINT64_MAX when it was refused. */
static uint64_t
advance_txn(struct fx *fx, uint32_t keyspace, uint64_t target)
{
    pdpb_AdvanceTxnSafePointRequest *request =
        pdpb_AdvanceTxnSafePointRequest_new(fx->arena);
    const pdpb_AdvanceTxnSafePointResponse *answer;

    pdpb_AdvanceTxnSafePointRequest_set_header(request, fx_header(fx));
    pdpb_AdvanceTxnSafePointRequest_set_keyspace_scope(request,
                                                       scope(fx, keyspace));
    pdpb_AdvanceTxnSafePointRequest_set_target(request, target);
    answer = PX_CALL(fx, "/pdpb.PD/AdvanceTxnSafePoint", pdpb,
                     AdvanceTxnSafePointRequest, request,
                     AdvanceTxnSafePointResponse);
    px_expect_ok(fx);
    if (px_error(pdpb_AdvanceTxnSafePointResponse_header(answer)) != 0) {
        return UINT64_MAX;
    }
    /* Whoever stopped it is named, and nobody else. */
    assert_int_equal(
        pdpb_AdvanceTxnSafePointResponse_new_txn_safe_point(answer) != target,
        pdpb_AdvanceTxnSafePointResponse_blocker_description(answer).size > 0);
    return pdpb_AdvanceTxnSafePointResponse_new_txn_safe_point(answer);
}

static uint64_t
advance_gc(struct fx *fx, uint32_t keyspace, uint64_t target)
{
    pdpb_AdvanceGCSafePointRequest *request =
        pdpb_AdvanceGCSafePointRequest_new(fx->arena);
    const pdpb_AdvanceGCSafePointResponse *answer;

    pdpb_AdvanceGCSafePointRequest_set_header(request, fx_header(fx));
    pdpb_AdvanceGCSafePointRequest_set_keyspace_scope(request,
                                                      scope(fx, keyspace));
    pdpb_AdvanceGCSafePointRequest_set_target(request, target);
    answer = PX_CALL(fx, "/pdpb.PD/AdvanceGCSafePoint", pdpb,
                     AdvanceGCSafePointRequest, request,
                     AdvanceGCSafePointResponse);
    px_expect_ok(fx);
    return px_error(pdpb_AdvanceGCSafePointResponse_header(answer)) != 0
               ? UINT64_MAX
               : pdpb_AdvanceGCSafePointResponse_new_gc_safe_point(answer);
}

/* The remaining ttl; -1 when it was refused. */
static int64_t
set_barrier(struct fx *fx, uint32_t keyspace, const char *id, uint64_t ts,
            int64_t ttl_s)
{
    pdpb_SetGCBarrierRequest *request =
        pdpb_SetGCBarrierRequest_new(fx->arena);
    const pdpb_SetGCBarrierResponse *answer;
    const pdpb_GCBarrierInfo *info;

    pdpb_SetGCBarrierRequest_set_header(request, fx_header(fx));
    pdpb_SetGCBarrierRequest_set_keyspace_scope(request, scope(fx, keyspace));
    pdpb_SetGCBarrierRequest_set_barrier_id(request, fx_view(id));
    pdpb_SetGCBarrierRequest_set_barrier_ts(request, ts);
    pdpb_SetGCBarrierRequest_set_ttl_seconds(request, ttl_s);
    answer = PX_CALL(fx, "/pdpb.PD/SetGCBarrier", pdpb, SetGCBarrierRequest,
                     request, SetGCBarrierResponse);
    px_expect_ok(fx);
    if (px_error(pdpb_SetGCBarrierResponse_header(answer)) != 0) {
        return -1;
    }
    info = pdpb_SetGCBarrierResponse_new_barrier_info(answer);
    fx_assert_view(pdpb_GCBarrierInfo_barrier_id(info), id);
    assert_int_equal(pdpb_GCBarrierInfo_barrier_ts(info), ts);
    return pdpb_GCBarrierInfo_ttl_seconds(info);
}

/* The ts of what was deleted; 0: there was none. */
static uint64_t
delete_barrier(struct fx *fx, const char *id)
{
    pdpb_DeleteGCBarrierRequest *request =
        pdpb_DeleteGCBarrierRequest_new(fx->arena);
    const pdpb_DeleteGCBarrierResponse *answer;
    const pdpb_GCBarrierInfo *info;

    pdpb_DeleteGCBarrierRequest_set_header(request, fx_header(fx));
    pdpb_DeleteGCBarrierRequest_set_barrier_id(request, fx_view(id));
    answer = PX_CALL(fx, "/pdpb.PD/DeleteGCBarrier", pdpb,
                     DeleteGCBarrierRequest, request,
                     DeleteGCBarrierResponse);
    px_expect_ok(fx);
    assert_int_equal(px_error(pdpb_DeleteGCBarrierResponse_header(answer)), 0);
    info = pdpb_DeleteGCBarrierResponse_deleted_barrier_info(answer);
    return info == NULL ? 0 : pdpb_GCBarrierInfo_barrier_ts(info);
}

static int
set_global(struct fx *fx, const char *id, uint64_t ts, int64_t ttl_s)
{
    pdpb_SetGlobalGCBarrierRequest *request =
        pdpb_SetGlobalGCBarrierRequest_new(fx->arena);
    const pdpb_SetGlobalGCBarrierResponse *answer;

    pdpb_SetGlobalGCBarrierRequest_set_header(request, fx_header(fx));
    pdpb_SetGlobalGCBarrierRequest_set_barrier_id(request, fx_view(id));
    pdpb_SetGlobalGCBarrierRequest_set_barrier_ts(request, ts);
    pdpb_SetGlobalGCBarrierRequest_set_ttl_seconds(request, ttl_s);
    answer = PX_CALL(fx, "/pdpb.PD/SetGlobalGCBarrier", pdpb,
                     SetGlobalGCBarrierRequest, request,
                     SetGlobalGCBarrierResponse);
    px_expect_ok(fx);
    return px_error(pdpb_SetGlobalGCBarrierResponse_header(answer));
}

static const pdpb_GetGCStateResponse *
state_of(struct fx *fx, uint32_t keyspace, bool exclude, bool include_global)
{
    pdpb_GetGCStateRequest *request = pdpb_GetGCStateRequest_new(fx->arena);
    const pdpb_GetGCStateResponse *answer;

    pdpb_GetGCStateRequest_set_header(request, fx_header(fx));
    pdpb_GetGCStateRequest_set_keyspace_scope(request, scope(fx, keyspace));
    pdpb_GetGCStateRequest_set_exclude_gc_barriers(request, exclude);
    pdpb_GetGCStateRequest_set_include_global_gc_barriers(request,
                                                          include_global);
    answer = PX_CALL(fx, "/pdpb.PD/GetGCState", pdpb, GetGCStateRequest,
                     request, GetGCStateResponse);
    px_expect_ok(fx);
    return answer;
}

static size_t
barriers_of(struct fx *fx, uint32_t keyspace)
{
    size_t count = 0;

    (void)pdpb_GCState_gc_barriers(
        pdpb_GetGCStateResponse_gc_state(state_of(fx, keyspace, false, false)),
        &count);
    return count;
}

/* ---- states ---- */

/* PD09 */
static void
gc_safe_points__keep_their_order(void **state)
{
    const pdpb_GCState *now;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(advance_gc(&fx, nobody, 10), UINT64_MAX);
    assert_int_equal(advance_txn(&fx, nobody, 100), 100);
    assert_int_equal(advance_txn(&fx, nobody, 100), 100);
    assert_int_equal(advance_txn(&fx, nobody, 99), UINT64_MAX);
    assert_int_equal(advance_gc(&fx, nobody, 101), UINT64_MAX);
    assert_int_equal(advance_gc(&fx, nobody, 90), 90);
    assert_int_equal(advance_gc(&fx, nobody, 89), UINT64_MAX);
    assert_int_equal(advance_gc(&fx, nobody, 100), 100);
    now = pdpb_GetGCStateResponse_gc_state(state_of(&fx, nobody, false, false));
    assert_int_equal(pdpb_GCState_txn_safe_point(now), 100);
    assert_int_equal(pdpb_GCState_gc_safe_point(now), 100);
    assert_false(pdpb_GCState_is_keyspace_level_gc(now));
    assert_int_equal(
        pdpb_KeyspaceScope_keyspace_id(pdpb_GCState_keyspace_scope(now)),
        nobody);
    fx_close(&fx);
}

/* PD09 */
static void
gc_barriers__hold_the_txn_safe_point_back(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(set_barrier(&fx, nobody, "backup", 50, INT64_MAX),
                     INT64_MAX);
    assert_int_equal(set_barrier(&fx, nobody, "lag", 70, 100), 100);
    assert_int_equal(advance_txn(&fx, nobody, 100), 50);
    assert_int_equal(advance_txn(&fx, nobody, 50), 50);
    assert_int_equal(set_barrier(&fx, nobody, "late", 49, 100), -1);
    assert_int_equal(set_barrier(&fx, nobody, "late", 50, 100), 100);
    assert_int_equal(set_barrier(&fx, nobody, "", 60, 100), -1);
    assert_int_equal(set_barrier(&fx, nobody, "gc_worker", 60, 100), -1);
    assert_int_equal(set_barrier(&fx, nobody, "now", 60, 0), -1);
    assert_int_equal(barriers_of(&fx, nobody), 3);
    assert_int_equal(delete_barrier(&fx, "backup"), 50);
    assert_int_equal(delete_barrier(&fx, "backup"), 0);
    assert_int_equal(delete_barrier(&fx, "late"), 50);
    assert_int_equal(advance_txn(&fx, nobody, 100), 70);
    fx_close(&fx);
}

/* PD09 */
static void
gc_barriers__end_with_their_time(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(set_barrier(&fx, nobody, "short", 50, 10), 10);
    fx_advance(&fx.clock, 10000);
    assert_int_equal(advance_txn(&fx, nobody, 100), 50);
    assert_int_equal(barriers_of(&fx, nobody), 1);
    fx_advance(&fx.clock, 1);
    assert_int_equal(barriers_of(&fx, nobody), 0);
    assert_int_equal(advance_txn(&fx, nobody, 100), 100);
    assert_int_equal(delete_barrier(&fx, "short"), 0);
    fx_close(&fx);
}

/* PD09 */
static void
gc_global_barriers__hold_every_keyspace(void **state)
{
    const char *const config[] = { "gc_management_type", "keyspace_level",
                                   NULL };
    const pdpb_GetGCStateResponse *answer;
    const pdpb_GlobalGCBarrierInfo *const *list;
    uint32_t id = 0;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "own", config, true, &id));
    assert_int_equal(advance_txn(&fx, id, 40), 40);
    assert_int_equal(set_global(&fx, "all", 39, 1000), 1);
    assert_int_equal(set_global(&fx, "gc_worker", 60, 1000), 1);
    assert_int_equal(set_global(&fx, "all", 60, 1000), 0);
    assert_int_equal(advance_txn(&fx, id, 100), 60);
    assert_int_equal(advance_txn(&fx, nobody, 100), 60);
    answer = state_of(&fx, id, false, true);
    list = pdpb_GlobalGCBarriersInfo_barriers(
        pdpb_GetGCStateResponse_global_gc_barriers(answer), &count);
    assert_int_equal(count, 1);
    assert_int_equal(pdpb_GlobalGCBarrierInfo_barrier_ts(list[0]), 60);
    assert_false(pdpb_GetGCStateResponse_has_global_gc_barriers(
        state_of(&fx, id, false, false)));
    fx_advance(&fx.clock, 1000001);
    /* Asked for and none: there, and empty. */
    answer = state_of(&fx, id, false, true);
    assert_true(pdpb_GetGCStateResponse_has_global_gc_barriers(answer));
    (void)pdpb_GlobalGCBarriersInfo_barriers(
        pdpb_GetGCStateResponse_global_gc_barriers(answer), &count);
    assert_int_equal(count, 0);
    fx_close(&fx);
}

/* PD09 */
static void
gc_states__belong_to_keyspaces(void **state)
{
    const char *const config[] = { "gc_management_type", "keyspace_level",
                                   NULL };
    pdpb_GetAllKeyspacesGCStatesRequest *request;
    const pdpb_GetAllKeyspacesGCStatesResponse *answer;
    const pdpb_GCState *const *list;
    uint32_t own = 0;
    uint32_t shared = 0;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "own", config, true, &own));
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "other", NULL, true, &shared));
    assert_int_equal(advance_txn(&fx, nobody, 100), 100);
    assert_int_equal(advance_txn(&fx, own, 30), 30);
    /* Barriers of one without a state land at the null keyspace. */
    assert_int_equal(set_barrier(&fx, shared, "s", 99, 100), -1);
    assert_int_equal(set_barrier(&fx, shared, "s", 120, 100), 100);
    assert_int_equal(barriers_of(&fx, nobody), 1);
    assert_int_equal(barriers_of(&fx, own), 0);
    assert_int_equal(advance_txn(&fx, shared, 110), UINT64_MAX);
    assert_int_equal(advance_txn(&fx, 77, 110), UINT64_MAX);
    request = pdpb_GetAllKeyspacesGCStatesRequest_new(fx.arena);
    pdpb_GetAllKeyspacesGCStatesRequest_set_header(request, fx_header(&fx));
    answer = PX_CALL(&fx, "/pdpb.PD/GetAllKeyspacesGCStates", pdpb,
                     GetAllKeyspacesGCStatesRequest, request,
                     GetAllKeyspacesGCStatesResponse);
    px_expect_ok(&fx);
    list = pdpb_GetAllKeyspacesGCStatesResponse_gc_states(answer, &count);
    assert_int_equal(count, 4); /* null, DEFAULT, own, other */
    assert_int_equal(pdpb_GCState_txn_safe_point(list[0]), 100);
    assert_int_equal(pdpb_GCState_txn_safe_point(list[2]), 30);
    assert_true(pdpb_GCState_is_keyspace_level_gc(list[2]));
    assert_false(pdpb_GCState_is_keyspace_level_gc(list[3]));
    fx_close(&fx);
}

/* ---- calls of old ---- */

static uint64_t
service(struct fx *fx, const char *id, int64_t ttl_s, uint64_t point)
{
    pdpb_UpdateServiceGCSafePointRequest *request =
        pdpb_UpdateServiceGCSafePointRequest_new(fx->arena);
    const pdpb_UpdateServiceGCSafePointResponse *answer;

    pdpb_UpdateServiceGCSafePointRequest_set_header(request, fx_header(fx));
    pdpb_UpdateServiceGCSafePointRequest_set_service_id(request, fx_view(id));
    pdpb_UpdateServiceGCSafePointRequest_set_TTL(request, ttl_s);
    pdpb_UpdateServiceGCSafePointRequest_set_safe_point(request, point);
    answer = PX_CALL(fx, "/pdpb.PD/UpdateServiceGCSafePoint", pdpb,
                     UpdateServiceGCSafePointRequest, request,
                     UpdateServiceGCSafePointResponse);
    if (answer == NULL) {
        assert_int_equal(fx->status, TK_GRPC_UNKNOWN);
        return UINT64_MAX;
    }
    assert_int_equal(pdpb_UpdateServiceGCSafePointResponse_TTL(answer),
                     INT64_MAX);
    return pdpb_UpdateServiceGCSafePointResponse_min_safe_point(answer);
}

/* PD09 */
static void
gc_service_safe_points__are_barriers(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(service(&fx, "gc_worker", 100, 10), UINT64_MAX);
    assert_int_equal(service(&fx, "gc_worker", INT64_MAX, 10), 10);
    assert_int_equal(service(&fx, "gc_worker", INT64_MAX, 9), UINT64_MAX);
    /* What others ask is not told: they compare. */
    assert_int_equal(service(&fx, "br", 100, 50), 10);
    assert_int_equal(service(&fx, "cdc", 100, 5), 10);
    assert_int_equal(barriers_of(&fx, nobody), 1);
    assert_int_equal(service(&fx, "gc_worker", INT64_MAX, 80), 50);
    assert_int_equal(service(&fx, "br", 0, 0), 50);
    assert_int_equal(barriers_of(&fx, nobody), 0);
    assert_int_equal(service(&fx, "gc_worker", INT64_MAX, 80), 80);
    fx_close(&fx);
}

/* PD09 */
static void
gc_service_safe_points__of_native_br_are_global(void **state)
{
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(service(&fx, "native_br", 100, 50), 0);
    assert_int_equal(barriers_of(&fx, nobody), 0);
    (void)pdpb_GlobalGCBarriersInfo_barriers(
        pdpb_GetGCStateResponse_global_gc_barriers(
            state_of(&fx, nobody, false, true)),
        &count);
    assert_int_equal(count, 1);
    assert_int_equal(advance_txn(&fx, nobody, 60), 50);
    fx_close(&fx);
}

static uint64_t
update(struct fx *fx, uint64_t point)
{
    pdpb_UpdateGCSafePointRequest *request =
        pdpb_UpdateGCSafePointRequest_new(fx->arena);
    const pdpb_UpdateGCSafePointResponse *answer;

    pdpb_UpdateGCSafePointRequest_set_header(request, fx_header(fx));
    pdpb_UpdateGCSafePointRequest_set_safe_point(request, point);
    answer = PX_CALL(fx, "/pdpb.PD/UpdateGCSafePoint", pdpb,
                     UpdateGCSafePointRequest, request,
                     UpdateGCSafePointResponse);
    return answer == NULL
               ? UINT64_MAX
               : pdpb_UpdateGCSafePointResponse_new_safe_point(answer);
}

/* PD09 */
static void
gc_safe_point_of_old__never_goes_back(void **state)
{
    pdpb_GetGCSafePointRequest *request;
    const pdpb_GetGCSafePointResponse *answer;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_int_equal(advance_txn(&fx, nobody, 100), 100);
    assert_int_equal(update(&fx, 60), 60);
    assert_int_equal(update(&fx, 50), 60);
    assert_int_equal(update(&fx, 101), UINT64_MAX);
    assert_int_equal(fx.status, TK_GRPC_UNKNOWN);
    request = pdpb_GetGCSafePointRequest_new(fx.arena);
    pdpb_GetGCSafePointRequest_set_header(request, fx_header(&fx));
    answer = PX_CALL(&fx, "/pdpb.PD/GetGCSafePoint", pdpb,
                     GetGCSafePointRequest, request, GetGCSafePointResponse);
    assert_int_equal(pdpb_GetGCSafePointResponse_safe_point(answer), 60);
    fx_close(&fx);
}

static void
gc_watch_v2__tells_of_keyspaces(void **state)
{
    const char *const config[] = { "gc_management_type", "keyspace_level",
                                   NULL };
    pdpb_WatchGCSafePointV2Request *request;
    const pdpb_SafePointEvent *const *events;
    struct px_stream stream;
    uint32_t id = 0;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_null(
        tk_cluster_keyspace_create(fx.cluster, "own", config, true, &id));
    px_open(&stream, &fx, "/pdpb.PD/WatchGCSafePointV2");
    request = pdpb_WatchGCSafePointV2Request_new(fx.arena);
    pdpb_WatchGCSafePointV2Request_set_header(request, fx_header(&fx));
    PX_SEND(&stream, pdpb, WatchGCSafePointV2Request, request);
    tk_cluster_stream_finish(stream.stream);
    assert_false(stream.ended);
    assert_int_equal(advance_txn(&fx, id, 30), 30);
    assert_int_equal(stream.count, 0);
    assert_int_equal(advance_gc(&fx, id, 20), 20);
    events = pdpb_WatchGCSafePointV2Response_events(
        PX_NEXT(&stream, pdpb, WatchGCSafePointV2Response), &count);
    assert_int_equal(count, 1);
    assert_int_equal(pdpb_SafePointEvent_keyspace_id(events[0]), id);
    assert_int_equal(pdpb_SafePointEvent_safe_point(events[0]), 20);
    px_close(&stream);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(gc_safe_points__keep_their_order),
        harness_test(gc_barriers__hold_the_txn_safe_point_back),
        harness_test(gc_barriers__end_with_their_time),
        harness_test(gc_global_barriers__hold_every_keyspace),
        harness_test(gc_states__belong_to_keyspaces),
        harness_test(gc_service_safe_points__are_barriers),
        harness_test(gc_service_safe_points__of_native_br_are_global),
        harness_test(gc_safe_point_of_old__never_goes_back),
        harness_test(gc_watch_v2__tells_of_keyspaces),
    };
    return harness_run(tests);
}
