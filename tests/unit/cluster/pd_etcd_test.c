/* SPDX-License-Identifier: Apache-2.0 */
/* PD's ports as etcd: ranges, transactions, watches, leases, members. */
#include "unit/cluster/pd_fixture.h"

#include "etcdserverpb.upb.h"
#include "mvccpb.upb.h"

PX_PARSER(etcdserverpb, WatchResponse)
PX_PARSER(etcdserverpb, LeaseKeepAliveResponse)

static int64_t
put(struct fx *fx, const char *key, const char *value, int64_t lease)
{
    etcdserverpb_PutRequest *request = etcdserverpb_PutRequest_new(fx->arena);
    const etcdserverpb_PutResponse *answer;

    etcdserverpb_PutRequest_set_key(request, fx_view(key));
    etcdserverpb_PutRequest_set_value(request, fx_view(value));
    etcdserverpb_PutRequest_set_lease(request, lease);
    answer = PX_CALL(fx, "/etcdserverpb.KV/Put", etcdserverpb, PutRequest,
                     request, PutResponse);
    return answer == NULL ? -1
                          : etcdserverpb_ResponseHeader_revision(
                                etcdserverpb_PutResponse_header(answer));
}

static etcdserverpb_RangeRequest *
range_of(struct fx *fx, const char *key, const char *end)
{
    etcdserverpb_RangeRequest *request =
        etcdserverpb_RangeRequest_new(fx->arena);

    etcdserverpb_RangeRequest_set_key(request, fx_view(key));
    etcdserverpb_RangeRequest_set_range_end(request, fx_view(end));
    return request;
}

static const etcdserverpb_RangeResponse *
range(struct fx *fx, const etcdserverpb_RangeRequest *request)
{
    return PX_CALL(fx, "/etcdserverpb.KV/Range", etcdserverpb, RangeRequest,
                   request, RangeResponse);
}

/* Expects a value, or with NULL none. */
static void
expect(struct fx *fx, const char *key, const char *value)
{
    const mvccpb_KeyValue *const *kvs;
    size_t count;

    kvs = etcdserverpb_RangeResponse_kvs(range(fx, range_of(fx, key, "")),
                                         &count);
    assert_int_equal(count, value != NULL);
    if (value != NULL) {
        fx_assert_view(mvccpb_KeyValue_value(kvs[0]), value);
    }
}

static void
etcd_range__sorts_and_limits(void **state)
{
    etcdserverpb_RangeRequest *request;
    const etcdserverpb_RangeResponse *answer;
    const mvccpb_KeyValue *const *kvs;
    int64_t first;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    first = put(&fx, "k/b", "2", 0);
    assert_int_equal(put(&fx, "k/a", "1", 0), first + 1);
    assert_int_equal(put(&fx, "k/c", "3", 0), first + 2);
    request = range_of(&fx, "k/", "k0");
    etcdserverpb_RangeRequest_set_sort_order(request, 2);
    etcdserverpb_RangeRequest_set_limit(request, 2);
    answer = range(&fx, request);
    kvs = etcdserverpb_RangeResponse_kvs(answer, &count);
    assert_int_equal(count, 2);
    fx_assert_view(mvccpb_KeyValue_key(kvs[0]), "k/c");
    assert_true(etcdserverpb_RangeResponse_more(answer));
    assert_int_equal(etcdserverpb_RangeResponse_count(answer), 3);
    request = range_of(&fx, "k/", "k0");
    etcdserverpb_RangeRequest_set_sort_order(request, 1);
    etcdserverpb_RangeRequest_set_sort_target(request, 2);
    kvs = etcdserverpb_RangeResponse_kvs(range(&fx, request), &count);
    fx_assert_view(mvccpb_KeyValue_key(kvs[0]), "k/b");
    request = range_of(&fx, "k/", "k0");
    etcdserverpb_RangeRequest_set_count_only(request, true);
    answer = range(&fx, request);
    (void)etcdserverpb_RangeResponse_kvs(answer, &count);
    assert_int_equal(count, 0);
    assert_int_equal(etcdserverpb_RangeResponse_count(answer), 3);
    request = range_of(&fx, "k/a", "");
    etcdserverpb_RangeRequest_set_revision(request, first);
    (void)etcdserverpb_RangeResponse_kvs(range(&fx, request), &count);
    assert_int_equal(count, 0);
    assert_null(range(&fx, range_of(&fx, "", "")));
    assert_int_equal(fx.status, TK_GRPC_INVALID_ARGUMENT);
    request = range_of(&fx, "k/a", "");
    etcdserverpb_RangeRequest_set_revision(request, first + 100);
    assert_null(range(&fx, request));
    assert_int_equal(fx.status, TK_GRPC_OUT_OF_RANGE);
    fx_close(&fx);
}

static etcdserverpb_PutRequest *
add_put(struct fx *fx, etcdserverpb_RequestOp *op, const char *key,
        const char *value)
{
    etcdserverpb_PutRequest *request =
        etcdserverpb_RequestOp_mutable_request_put(op, fx->arena);

    etcdserverpb_PutRequest_set_key(request, fx_view(key));
    etcdserverpb_PutRequest_set_value(request, fx_view(value));
    return request;
}

/* "If key was never made, put a, else put b." */
static etcdserverpb_TxnRequest *
make_txn(struct fx *fx, const char *key, const char *a, const char *b)
{
    etcdserverpb_TxnRequest *txn = etcdserverpb_TxnRequest_new(fx->arena);
    etcdserverpb_Compare *compare =
        etcdserverpb_TxnRequest_add_compare(txn, fx->arena);

    etcdserverpb_Compare_set_target(compare, 1);
    etcdserverpb_Compare_set_key(compare, fx_view(key));
    etcdserverpb_Compare_set_create_revision(compare, 0);
    (void)add_put(fx, etcdserverpb_TxnRequest_add_success(txn, fx->arena),
                  key, a);
    (void)add_put(fx, etcdserverpb_TxnRequest_add_failure(txn, fx->arena),
                  key, b);
    return txn;
}

static const etcdserverpb_TxnResponse *
run_txn(struct fx *fx, const etcdserverpb_TxnRequest *txn)
{
    return PX_CALL(fx, "/etcdserverpb.KV/Txn", etcdserverpb, TxnRequest, txn,
                   TxnResponse);
}

static void
etcd_txn__compares_and_is_one_change(void **state)
{
    const etcdserverpb_TxnResponse *answer;
    const etcdserverpb_ResponseOp *const *ops;
    etcdserverpb_TxnRequest *txn;
    etcdserverpb_RangeRequest *read;
    const mvccpb_KeyValue *const *kvs;
    int64_t before;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    before = put(&fx, "other", "x", 0);
    txn = make_txn(&fx, "k", "first", "again");
    (void)add_put(&fx, etcdserverpb_TxnRequest_add_success(txn, fx.arena),
                  "k2", "with it");
    read = etcdserverpb_RequestOp_mutable_request_range(
        etcdserverpb_TxnRequest_add_success(txn, fx.arena), fx.arena);
    etcdserverpb_RangeRequest_set_key(read, fx_view("k"));
    answer = run_txn(&fx, txn);
    assert_true(etcdserverpb_TxnResponse_succeeded(answer));
    assert_int_equal(etcdserverpb_ResponseHeader_revision(
                         etcdserverpb_TxnResponse_header(answer)),
                     before + 1);
    ops = etcdserverpb_TxnResponse_responses(answer, &count);
    assert_int_equal(count, 3);
    kvs = etcdserverpb_RangeResponse_kvs(
        etcdserverpb_ResponseOp_response_range(ops[2]), &count);
    assert_int_equal(count, 1);
    fx_assert_view(mvccpb_KeyValue_value(kvs[0]), "first");
    answer = run_txn(&fx, make_txn(&fx, "k", "first", "again"));
    assert_false(etcdserverpb_TxnResponse_succeeded(answer));
    expect(&fx, "k", "again");
    txn = make_txn(&fx, "z", "1", "2");
    (void)add_put(&fx, etcdserverpb_TxnRequest_add_success(txn, fx.arena),
                  "z", "twice");
    assert_null(run_txn(&fx, txn));
    assert_int_equal(fx.status, TK_GRPC_INVALID_ARGUMENT);
    expect(&fx, "z", NULL);
    fx_close(&fx);
}

static void
send_create(struct px_stream *stream, const char *key, const char *end,
            int64_t since)
{
    upb_Arena *arena = stream->fx->arena;
    etcdserverpb_WatchRequest *request = etcdserverpb_WatchRequest_new(arena);
    etcdserverpb_WatchCreateRequest *create =
        etcdserverpb_WatchRequest_mutable_create_request(request, arena);

    etcdserverpb_WatchCreateRequest_set_key(create, fx_view(key));
    etcdserverpb_WatchCreateRequest_set_range_end(create, fx_view(end));
    etcdserverpb_WatchCreateRequest_set_start_revision(create, since);
    PX_SEND(stream, etcdserverpb, WatchRequest, request);
}

static void
send_cancel(struct px_stream *stream, int64_t id)
{
    upb_Arena *arena = stream->fx->arena;
    etcdserverpb_WatchRequest *request = etcdserverpb_WatchRequest_new(arena);

    etcdserverpb_WatchCancelRequest_set_watch_id(
        etcdserverpb_WatchRequest_mutable_cancel_request(request, arena), id);
    PX_SEND(stream, etcdserverpb, WatchRequest, request);
}

static void
etcd_watch__carries_several(void **state)
{
    const etcdserverpb_WatchResponse *answer;
    const mvccpb_Event *const *events;
    struct px_stream stream;
    int64_t first;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    first = put(&fx, "a/1", "old", 0);
    px_open(&stream, &fx, "/etcdserverpb.Watch/Watch");
    send_create(&stream, "a/", "a0", first);
    answer = PX_NEXT(&stream, etcdserverpb, WatchResponse);
    assert_true(etcdserverpb_WatchResponse_created(answer));
    (void)etcdserverpb_WatchResponse_events(
        PX_NEXT(&stream, etcdserverpb, WatchResponse), &count);
    assert_int_equal(count, 1);
    send_create(&stream, "b", "", 0);
    answer = PX_NEXT(&stream, etcdserverpb, WatchResponse);
    assert_int_equal(etcdserverpb_WatchResponse_watch_id(answer), 1);
    (void)put(&fx, "b", "new", 0);
    (void)put(&fx, "c", "nobody's", 0);
    answer = PX_NEXT(&stream, etcdserverpb, WatchResponse);
    assert_int_equal(etcdserverpb_WatchResponse_watch_id(answer), 1);
    events = etcdserverpb_WatchResponse_events(answer, &count);
    fx_assert_view(mvccpb_KeyValue_value(mvccpb_Event_kv(events[0])), "new");
    send_cancel(&stream, 1);
    answer = PX_NEXT(&stream, etcdserverpb, WatchResponse);
    assert_true(etcdserverpb_WatchResponse_canceled(answer));
    (void)put(&fx, "b", "unseen", 0);
    assert_int_equal(stream.read, stream.count);
    tk_cluster_stream_finish(stream.stream);
    assert_true(stream.ended);
    px_close(&stream);
    fx_close(&fx);
}

static int64_t
grant(struct fx *fx, int64_t ttl_s)
{
    etcdserverpb_LeaseGrantRequest *request =
        etcdserverpb_LeaseGrantRequest_new(fx->arena);

    etcdserverpb_LeaseGrantRequest_set_TTL(request, ttl_s);
    return etcdserverpb_LeaseGrantResponse_ID(
        PX_CALL(fx, "/etcdserverpb.Lease/LeaseGrant", etcdserverpb,
                LeaseGrantRequest, request, LeaseGrantResponse));
}

static int64_t
keep_alive(struct px_stream *stream, int64_t id)
{
    etcdserverpb_LeaseKeepAliveRequest *request =
        etcdserverpb_LeaseKeepAliveRequest_new(stream->fx->arena);

    etcdserverpb_LeaseKeepAliveRequest_set_ID(request, id);
    PX_SEND(stream, etcdserverpb, LeaseKeepAliveRequest, request);
    return etcdserverpb_LeaseKeepAliveResponse_TTL(
        PX_NEXT(stream, etcdserverpb, LeaseKeepAliveResponse));
}

static void
etcd_lease__takes_its_keys_along(void **state)
{
    const etcdserverpb_WatchResponse *answer;
    const mvccpb_Event *const *events;
    struct px_stream watch;
    struct px_stream alive;
    int64_t lease;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    lease = grant(&fx, 10);
    assert_true(put(&fx, "l/a", "1", lease) > 0);
    assert_true(put(&fx, "l/b", "1", lease) > 0);
    assert_int_equal(put(&fx, "l/c", "1", 4711), -1);
    assert_int_equal(fx.status, TK_GRPC_NOT_FOUND);
    px_open(&watch, &fx, "/etcdserverpb.Watch/Watch");
    send_create(&watch, "l/", "l0", 0);
    (void)px_next(&watch);
    px_open(&alive, &fx, "/etcdserverpb.Lease/LeaseKeepAlive");
    fx_advance(&fx.clock, 9000);
    assert_int_equal(keep_alive(&alive, lease), 10);
    fx_advance(&fx.clock, 9999);
    expect(&fx, "l/a", "1");
    fx_advance(&fx.clock, 1);
    expect(&fx, "l/a", NULL);
    answer = PX_NEXT(&watch, etcdserverpb, WatchResponse);
    events = etcdserverpb_WatchResponse_events(answer, &count);
    assert_int_equal(count, 2);
    assert_int_equal(mvccpb_Event_type(events[1]), 1);
    assert_int_equal(keep_alive(&alive, lease), 0);
    px_close(&alive);
    px_close(&watch);
    /* One is left armed when the cluster goes. */
    (void)grant(&fx, 1000);
    fx_close(&fx);
}

static void
etcd_members__are_pds(void **state)
{
    static const struct tk_cluster_params params = { .pds_count = 3 };
    const etcdserverpb_Member *const *members;
    const upb_StringView *urls;
    size_t count;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    fx_call_with(&fx, 2, "/etcdserverpb.Cluster/MemberList", NULL, "", 0);
    px_expect_ok(&fx);
    members = etcdserverpb_MemberListResponse_members(
        FX_PARSE(&fx, etcdserverpb, MemberListResponse), &count);
    assert_int_equal(count, 3);
    fx_assert_view(etcdserverpb_Member_name(members[1]), "pd-1");
    urls = etcdserverpb_Member_clientURLs(members[1], &count);
    fx_assert_view(urls[0], "http://pd-1:2379");
    fx_close(&fx);
}

static void
etcd__shows_and_holds_the_txn_safe_point(void **state)
{
    pdpb_AdvanceTxnSafePointRequest *request;
    const pdpb_AdvanceTxnSafePointResponse *answer;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)put(&fx, "/tidb/server/minstartts/1", "70", 0);
    request = pdpb_AdvanceTxnSafePointRequest_new(fx.arena);
    pdpb_AdvanceTxnSafePointRequest_set_header(request, fx_header(&fx));
    pdpb_AdvanceTxnSafePointRequest_set_target(request, 90);
    answer = PX_CALL(&fx, "/pdpb.PD/AdvanceTxnSafePoint", pdpb,
                     AdvanceTxnSafePointRequest, request,
                     AdvanceTxnSafePointResponse);
    assert_int_equal(
        pdpb_AdvanceTxnSafePointResponse_new_txn_safe_point(answer), 70);
    expect(&fx, "/tidb/store/gcworker/saved_safe_point", "70");
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(etcd_range__sorts_and_limits),
        harness_test(etcd_txn__compares_and_is_one_change),
        harness_test(etcd_watch__carries_several),
        harness_test(etcd_lease__takes_its_keys_along),
        harness_test(etcd_members__are_pds),
        harness_test(etcd__shows_and_holds_the_txn_safe_point),
    };
    return harness_run(tests);
}
