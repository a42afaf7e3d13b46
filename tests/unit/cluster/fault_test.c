/* SPDX-License-Identifier: Apache-2.0 */
/* The rule language and what each action does to a unary call. */
#include "unit/cluster/fixture.h"

#include "cluster/inner.h"

static uint64_t
rule(struct fx *fx, const char *text)
{
    uint64_t id = 0;
    tikv_error *error = tk_cluster_fault(fx->cluster, text, &id);

    if (error != NULL) {
        fail_msg("%s: %s", text, tikv_error_message(error));
    }
    return id;
}

static void
rule__says_where_it_is_wrong(void **state)
{
    static const struct {
        const char *text;
        int place;
    } cases[] = {
        { "", 1 },
        { "on=tikv.*", 10 },
        { "do=drop_request", 16 },
        { "on= do=drop_request", 4 },
        { "on=tikv.* do=", 14 },
        { "on=tikv.* do=apply", 19 },
        { "on=tikv.* do=explode", 14 },
        { "on=tikv.* do=delay", 19 },
        { "on=tikv.* do=delay(5", 21 },
        { "on=tikv.* do=delay(9..5)", 19 },
        { "on=tikv.* do=delay(x)", 20 },
        { "on=tikv.* do=status(MAYBE)", 21 },
        { "on=tikv.* do=status(OK)", 21 },
        { "on=tikv.* do=region_error(odd)", 27 },
        { "on=tikv.* do=region_error(not_leader,backoff_ms=1)", 38 },
        { "on=tikv.* do=region_error(epoch_not_match,regions=all)", 51 },
        { "on=tikv.* do=drop_request,drop_request", 27 },
        { "on=tikv.* do=drop_request,delay(1)", 27 },
        { "on=tikv.* when=nth(0) do=drop_request", 16 },
        { "on=tikv.* when=often do=drop_request", 16 },
        { "on=tikv.* when=prob(1.5) do=drop_request", 21 },
        { "on=tikv.* store=x do=drop_request", 17 },
        { "on=tikv.* store=1x do=drop_request", 18 },
        { "on=tikv.* key=\\q do=drop_request", 15 },
        { "on=tikv.* colour=red do=drop_request", 11 },
        { "on=tikv.* store=99999999999999999999 do=drop_request", 17 },
    };
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tikv_error *error =
            tk_cluster_fault(fx.cluster, cases[i].text, NULL);
        char place[32];

        if (error == NULL) {
            fail_msg("accepted: %s", cases[i].text);
        }
        assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
        (void)snprintf(place, sizeof(place), "at %d:", cases[i].place);
        if (strstr(tikv_error_message(error), place) == NULL) {
            fail_msg("%s: %s", cases[i].text, tikv_error_message(error));
        }
        tikv_error_free(error);
    }
    fx_close(&fx);
}

/* Which of ten puts are dropped, as a string of digits. */
static const char *
dropped_of_ten(struct fx *fx, const char *when, char digits[11])
{
    char text[100];
    uint64_t id;
    size_t len = 0;

    (void)snprintf(text, sizeof(text),
                   "on=tikv.RawPut when=%s do=drop_request", when);
    id = rule(fx, text);
    for (int i = 0; i < 10; i++) {
        (void)fx_put_at(fx, fx_context(fx, "k"), "k", "v", 0);
        assert_true(fx->dropped != fx->replied);
        if (fx->dropped) {
            digits[len++] = (char)('0' + i);
        }
    }
    digits[len] = '\0';
    assert_int_equal(tk_cluster_fault_hits(fx->cluster, id), len);
    tk_cluster_fault_remove(fx->cluster, id);
    return digits;
}

static void
rule__triggers_as_told(void **state)
{
    char digits[11];
    char again[11];
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    assert_string_equal(dropped_of_ten(&fx, "always", digits), "0123456789");
    assert_string_equal(dropped_of_ten(&fx, "nth(3)", digits), "2");
    assert_string_equal(dropped_of_ten(&fx, "first(2)", digits), "01");
    assert_string_equal(dropped_of_ten(&fx, "after(7)", digits), "789");
    assert_string_equal(dropped_of_ten(&fx, "every(4)", digits), "37");
    assert_string_equal(dropped_of_ten(&fx, "prob(0)", digits), "");
    assert_string_equal(dropped_of_ten(&fx, "prob(1)", digits), "0123456789");
    (void)dropped_of_ten(&fx, "prob(0.5)", digits);
    assert_true(strlen(digits) > 0 && strlen(digits) < 10);
    fx_close(&fx);
    /* The same seed, the same rule number: the same choice. */
    fx_open(&fx, NULL);
    for (int i = 0; i < 7; i++) {
        (void)dropped_of_ten(&fx, "prob(0)", again);
    }
    assert_string_equal(dropped_of_ten(&fx, "prob(0.5)", again), digits);
    fx_close(&fx);
}

static bool
is_hit(struct fx *fx, const char *text, const char *key)
{
    uint64_t id = rule(fx, text);
    bool hit;

    (void)fx_put_at(fx, fx_context(fx, key), key, "v", 0);
    hit = fx->dropped;
    tk_cluster_fault_remove(fx->cluster, id);
    return hit;
}

static void
rule__selects(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 2,
                                              .regions_count = 2 };
    char text[100];
    uint64_t left;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    left = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    assert_true(is_hit(&fx, "on=* do=drop_request when=nth(2)", "a"));
    assert_true(is_hit(&fx, "on=tikv.* do=drop_request", "a"));
    assert_true(is_hit(&fx, "on=tikv.Raw?ut do=drop_request", "a"));
    assert_true(is_hit(&fx, "on=*.*Put* do=drop_request", "a"));
    assert_false(is_hit(&fx, "on=tikv.RawGet do=drop_request", "a"));
    assert_false(is_hit(&fx, "on=tikv.RawPu do=drop_request", "a"));
    assert_true(is_hit(&fx, "on=tikv.* store=1 do=drop_request", "a"));
    assert_false(is_hit(&fx, "on=tikv.* store=2 do=drop_request", "a"));
    assert_true(is_hit(&fx, "on=tikv.* store=2 do=drop_request", "\xf0"));
    assert_true(is_hit(&fx, "on=tikv.* key=a do=drop_request", "ab"));
    assert_true(is_hit(&fx, "on=tikv.* key=\\x61b do=drop_request", "abc"));
    assert_false(is_hit(&fx, "on=tikv.* key=ab do=drop_request", "a"));
    fx.call.client = 2;
    assert_true(is_hit(&fx, "on=tikv.* client=2 do=drop_request", "a"));
    assert_false(is_hit(&fx, "on=tikv.* client=1 do=drop_request", "a"));
    (void)snprintf(text, sizeof(text), "on=tikv.* region=%llu do=drop_request",
                   (unsigned long long)left);
    assert_true(is_hit(&fx, text, "a"));
    assert_false(is_hit(&fx, text, "\xf0"));
    fx_close(&fx);
}

static void
fault__delays(void **state)
{
    kvrpcpb_Context *context;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    context = fx_context(&fx, "a");
    (void)rule(&fx, "on=tikv.RawPut do=delay(30)");
    (void)fx_put_at(&fx, context, "a", "1", 0);
    assert_false(fx.replied);
    fx_advance(&fx.clock, 29);
    assert_false(fx.replied);
    fx_advance(&fx.clock, 1);
    assert_true(fx.replied);
    fx_expect(&fx, "a", "1");
    /* Delays of several rules add up; after "apply" only the answer waits. */
    tk_cluster_fault_remove(fx.cluster, 0);
    (void)rule(&fx, "on=tikv.RawPut do=delay(10)");
    (void)rule(&fx, "on=tikv.RawPut do=delay(10),apply,delay(5..5)");
    (void)fx_put_at(&fx, context, "a", "2", 0);
    fx_advance(&fx.clock, 20);
    assert_false(fx.replied);
    fx_advance(&fx.clock, 5);
    assert_true(fx.replied);
    fx_expect(&fx, "a", "2");
    /* A request that waits longer than it may. */
    kvrpcpb_Context_set_max_execution_duration_ms(context, 15);
    (void)fx_put_at(&fx, context, "a", "3", 0);
    fx_advance(&fx.clock, 25);
    assert_true(fx.replied);
    {
        const errorpb_ServerIsBusy *busy = errorpb_Error_server_is_busy(
            kvrpcpb_RawPutResponse_region_error(
                FX_PARSE(&fx, kvrpcpb, RawPutResponse)));

        assert_non_null(busy);
        fx_assert_view(errorpb_ServerIsBusy_reason(busy),
                       "deadline is exceeded");
    }
    fx_expect(&fx, "a", "2");
    fx_close(&fx);
}

static void
fault__delays_within_bounds(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)rule(&fx, "on=tikv.RawPut do=delay(10..30)");
    for (int i = 0; i < 20; i++) {
        (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0);
        fx_advance(&fx.clock, 9);
        assert_false(fx.replied);
        fx_advance(&fx.clock, 21);
        assert_true(fx.replied);
    }
    fx_close(&fx);
}

static void
fault__loses_requests_and_answers(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)rule(&fx, "on=tikv.RawPut when=nth(1) do=drop_request");
    (void)rule(&fx, "on=tikv.RawPut when=nth(1) do=drop_response");
    (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0);
    assert_true(fx.dropped);
    fx_expect(&fx, "a", NULL);
    (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0);
    assert_true(fx.dropped);
    fx_expect(&fx, "a", "1");
    fx_close(&fx);
}

static void
fault__gives_statuses(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)rule(&fx, "on=tikv.RawPut when=nth(1) do=status(UNAVAILABLE)");
    (void)rule(&fx, "on=tikv.RawPut when=nth(1) "
                    "do=apply,status(RESOURCE_EXHAUSTED)");
    (void)rule(&fx, "on=tikv.RawPut when=nth(1) do=break_stream");
    (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0);
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    fx_expect(&fx, "a", NULL);
    (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0);
    assert_int_equal(fx.status, TK_GRPC_RESOURCE_EXHAUSTED);
    fx_expect(&fx, "a", "1");
    (void)fx_put_at(&fx, fx_context(&fx, "a"), "a", "2", 0);
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    fx_expect(&fx, "a", "1");
    fx_close(&fx);
}

static void
fault__acts_on_pd(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)rule(&fx, "on=pd.GetMembers do=status(UNAVAILABLE)");
    fx_call_with(&fx, 0, "/pdpb.PD/GetMembers", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    /* PD has no region errors: such a rule does not concern it. */
    (void)rule(&fx, "on=* do=region_error(not_leader)");
    (void)fx_region(&fx, "a");
    fx_close(&fx);
}

/* The region error that a put gets under a rule. */
static const errorpb_Error *
error_under(struct fx *fx, const char *kind)
{
    const kvrpcpb_RawPutResponse *answer;
    const errorpb_Error *error;
    char text[120];
    uint64_t id;

    (void)snprintf(text, sizeof(text), "on=tikv.RawPut do=region_error(%s)",
                   kind);
    id = rule(fx, text);
    answer = fx_put_at(fx, fx_context(fx, "a"), "a", "1", 0);
    assert_non_null(answer);
    tk_cluster_fault_remove(fx->cluster, id);
    error = kvrpcpb_RawPutResponse_region_error(answer);
    assert_non_null(error);
    assert_true(errorpb_Error_message(error).size > 0);
    return error;
}

#define HAS(name, field)                                                       \
    assert_true(errorpb_Error_has_##field(error_under(&fx, name)))

static void
fault__makes_every_region_error(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 3 };
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    HAS("not_leader", not_leader);
    HAS("region_not_found", region_not_found);
    HAS("key_not_in_region", key_not_in_region);
    HAS("epoch_not_match", epoch_not_match);
    HAS("server_is_busy", server_is_busy);
    HAS("stale_command", stale_command);
    HAS("store_not_match", store_not_match);
    HAS("raft_entry_too_large", raft_entry_too_large);
    HAS("max_timestamp_not_synced", max_timestamp_not_synced);
    HAS("read_index_not_ready", read_index_not_ready);
    HAS("proposal_in_merging_mode", proposal_in_merging_mode);
    HAS("data_is_not_ready", data_is_not_ready);
    HAS("region_not_initialized", region_not_initialized);
    HAS("disk_full", disk_full);
    HAS("recovery_in_progress", RecoveryInProgress);
    HAS("flashback_in_progress", FlashbackInProgress);
    HAS("flashback_not_prepared", FlashbackNotPrepared);
    HAS("is_witness", is_witness);
    HAS("mismatch_peer_id", mismatch_peer_id);
    HAS("bucket_version_not_match", bucket_version_not_match);
    HAS("undetermined_result", undetermined_result);
    {
        const errorpb_Error *error = error_under(&fx, "message_only");

        assert_false(errorpb_Error_has_not_leader(error));
        assert_false(errorpb_Error_has_undetermined_result(error));
    }
    for (int i = 0; i < TK_CL_ERROR_KINDS; i++) {
        (void)error_under(&fx, tk_cl_error_name((enum tk_cl_error_kind)i));
    }
    fx_expect(&fx, "a", NULL);
    fx_close(&fx);
}

static void
fault__fills_region_errors(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 3 };
    const errorpb_NotLeader *not_leader;
    const errorpb_ServerIsBusy *busy;
    size_t count = 0;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    not_leader =
        errorpb_Error_not_leader(error_under(&fx, "not_leader,leader=3"));
    assert_int_equal(
        metapb_Peer_store_id(errorpb_NotLeader_leader(not_leader)), 3);
    not_leader =
        errorpb_Error_not_leader(error_under(&fx, "not_leader,leader=none"));
    assert_null(errorpb_NotLeader_leader(not_leader));
    (void)errorpb_EpochNotMatch_current_regions(
        errorpb_Error_epoch_not_match(
            error_under(&fx, "epoch_not_match,regions=current")),
        &count);
    assert_int_equal(count, 1);
    (void)errorpb_EpochNotMatch_current_regions(
        errorpb_Error_epoch_not_match(
            error_under(&fx, "epoch_not_match,regions=none")),
        &count);
    assert_int_equal(count, 0);
    busy = errorpb_Error_server_is_busy(error_under(
        &fx, "server_is_busy,backoff_ms=70,estimated_wait_ms=80"));
    assert_int_equal(errorpb_ServerIsBusy_backoff_ms(busy), 70);
    assert_int_equal(errorpb_ServerIsBusy_estimated_wait_ms(busy), 80);
    assert_int_equal(
        errorpb_DataIsNotReady_safe_ts(errorpb_Error_data_is_not_ready(
            error_under(&fx, "data_is_not_ready,safe_ts=9"))),
        9);
    fx_close(&fx);
}

static void
fault__may_apply_before_a_region_error(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    (void)rule(&fx, "on=tikv.RawPut "
                    "do=apply,region_error(undetermined_result)");
    assert_true(kvrpcpb_RawPutResponse_has_region_error(
        fx_put_at(&fx, fx_context(&fx, "a"), "a", "1", 0)));
    fx_expect(&fx, "a", "1");
    tk_cluster_fault_remove(fx.cluster, 0);
    (void)rule(&fx, "on=tikv.RawGet do=apply,region_error(not_leader)");
    {
        kvrpcpb_Context *context = fx_context(&fx, "a");
        const kvrpcpb_RawGetResponse *answer =
            fx_get_at(&fx, context, fx_store(1), "a");

        /* A region error excludes everything else. */
        assert_true(kvrpcpb_RawGetResponse_has_region_error(answer));
        assert_int_equal(kvrpcpb_RawGetResponse_value(answer).size, 0);
    }
    fx_close(&fx);
}

/* ---- Tso ---- */

struct order {
    int answers;
    uint32_t counts[8];
    struct fx *fx;
};

static void
order_message(void *arg, tikv_slice bytes)
{
    struct order *order = arg;

    order->counts[order->answers++] =
        pdpb_TsoResponse_count(pdpb_TsoResponse_parse(
            (const char *)bytes.data, bytes.len, order->fx->arena));
}

static void
order_end(void *arg, int status, const char *message)
{
    (void)arg;
    (void)message;
    assert_int_equal(status, TK_GRPC_UNAVAILABLE);
}

static void
fault__keeps_the_order_of_tso(void **state)
{
    const struct tk_cluster_stream_events events = { order_message,
                                                     order_end };
    struct tk_cluster_stream *stream;
    struct order order;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    memset(&order, 0, sizeof(order));
    order.fx = &fx;
    (void)rule(&fx, "on=pd.Tso when=nth(2) do=delay(40)");
    (void)rule(&fx, "on=pd.Tso when=nth(5) do=break_stream");
    stream = tk_cluster_stream_open(fx.cluster, 0, "/pdpb.PD/Tso", NULL,
                                    &events, &order);
    for (uint32_t i = 1; i <= 4; i++) {
        pdpb_TsoRequest *request = pdpb_TsoRequest_new(fx.arena);
        const char *bytes;
        size_t len;

        pdpb_TsoRequest_set_header(request, fx_header(&fx));
        pdpb_TsoRequest_set_count(request, i);
        bytes = pdpb_TsoRequest_serialize(request, fx.arena, &len);
        tk_cluster_stream_message(stream, tk_slice(bytes, len));
    }
    assert_int_equal(order.answers, 1);
    fx_advance(&fx.clock, 41);
    assert_int_equal(order.answers, 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(order.counts[i], i + 1);
    }
    tk_cluster_stream_message(stream, tk_slice("", 0));
    assert_int_equal(order.answers, 4);
    tk_cluster_stream_free(stream);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(rule__says_where_it_is_wrong),
        harness_test(rule__triggers_as_told),
        harness_test(rule__selects),
        harness_test(fault__delays),
        harness_test(fault__delays_within_bounds),
        harness_test(fault__loses_requests_and_answers),
        harness_test(fault__gives_statuses),
        harness_test(fault__acts_on_pd),
        harness_test(fault__makes_every_region_error),
        harness_test(fault__fills_region_errors),
        harness_test(fault__may_apply_before_a_region_error),
        harness_test(fault__keeps_the_order_of_tso),
    };
    return harness_run(tests);
}
