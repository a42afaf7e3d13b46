/* SPDX-License-Identifier: Apache-2.0 */
/* Stores and members that come and go, and what serving is told of it. */
#include "unit/cluster/fixture.h"

#include "cluster/inner.h"

static const struct tk_cluster_params params_3 = { .stores_count = 3,
                                                   .pds_count = 2 };

/* What was told, as text: "-1 +1 +2* " */
struct told {
    struct fx *fx;
    char text[200];
};

static void
add_told(struct told *told, const char *sign, tk_node node, bool new_port)
{
    size_t len = strlen(told->text);

    (void)snprintf(told->text + len, sizeof(told->text) - len, "%s%s%u%s ",
                   sign, (node & TK_NODE_STORE) != 0 ? "s" : "m",
                   (unsigned)(node & ~TK_NODE_STORE), new_port ? "*" : "");
}

static void
told_up(void *arg, tk_node node, bool new_port)
{
    struct told *told = arg;

    add_told(told, "+", node, new_port);
    if (new_port) {
        tk_cluster_set_address(told->fx->cluster, node, "127.0.0.1:999");
    }
}

static void
told_down(void *arg, tk_node node)
{
    add_told(arg, "-", node, false);
}

static void
listen_to(struct fx *fx, struct told *told)
{
    const struct tk_cluster_events events = { .up = told_up,
                                              .down = told_down,
                                              .arg = told };

    memset(told, 0, sizeof(*told));
    told->fx = fx;
    tk_cluster_set_events(fx->cluster, &events);
}

static void
store_stop__moves_its_leaders(void **state)
{
    kvrpcpb_Context *old;
    struct told told;
    uint64_t id;
    tk_node node;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    listen_to(&fx, &told);
    id = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    old = fx_context(&fx, "a");
    fx_put(&fx, "a", "1");
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    assert_int_equal(tk_cluster_leader_of(fx.cluster, id), 2);
    assert_false(tk_cluster_is_up(fx.cluster, fx_store(1)));
    assert_false(tk_cluster_resolve(fx.cluster, "tikv-1:20160", &node));
    (void)fx_get_at(&fx, old, fx_store(1), "a");
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    fx_expect(&fx, "a", "1");
    assert_null(tk_cluster_store_start(fx.cluster, 1, false));
    assert_true(tk_cluster_resolve(fx.cluster, "tikv-1:20160", &node));
    assert_true(node == fx_store(1));
    assert_non_null(errorpb_Error_not_leader(
        fx_get_error(&fx, old, fx_store(1), "a")));
    assert_string_equal(told.text, "-s1 +s1 ");
    fx_close(&fx);
}

static void
store_stop__keeps_the_leader_when_nobody_else_is_there(void **state)
{
    uint64_t id;
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    id = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    fx_put(&fx, "a", "1");
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    assert_int_equal(tk_cluster_leader_of(fx.cluster, id), 1);
    assert_null(tk_cluster_store_start(fx.cluster, 1, false));
    fx_expect(&fx, "a", "1");
    fx_close(&fx);
}

static void
store_start__may_take_another_port(void **state)
{
    char address[64];
    struct told told;
    tk_node node;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    assert_null(tk_cluster_store_stop(fx.cluster, 2));
    assert_null(tk_cluster_store_start(fx.cluster, 2, true));
    assert_true(tk_cluster_get_address(fx.cluster, fx_store(2), address,
                                       sizeof(address)));
    assert_string_not_equal(address, "tikv-2:20160");
    assert_false(tk_cluster_resolve(fx.cluster, "tikv-2:20160", &node));
    listen_to(&fx, &told);
    assert_null(tk_cluster_store_stop(fx.cluster, 2));
    assert_null(tk_cluster_store_start(fx.cluster, 2, true));
    assert_true(tk_cluster_resolve(fx.cluster, "127.0.0.1:999", &node));
    assert_true(node == fx_store(2));
    assert_string_equal(told.text, "-s2 +s2* ");
    assert_false(
        tk_cluster_get_address(fx.cluster, fx_store(2), address, 5));
    assert_false(
        tk_cluster_get_address(fx.cluster, fx_store(9), address, 64));
    fx_close(&fx);
}

static void
store_swap__answers_for_the_other(void **state)
{
    kvrpcpb_Context *context;
    const errorpb_StoreNotMatch *error;
    struct told told;
    tk_node node;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    listen_to(&fx, &told);
    context = fx_context(&fx, "a");
    assert_null(tk_cluster_store_swap(fx.cluster, 1, 3));
    assert_true(tk_cluster_resolve(fx.cluster, "tikv-1:20160", &node));
    error = errorpb_Error_store_not_match(
        fx_get_error(&fx, context, node, "a"));
    assert_non_null(error);
    assert_int_equal(errorpb_StoreNotMatch_request_store_id(error), 1);
    assert_int_equal(errorpb_StoreNotMatch_actual_store_id(error), 3);
    assert_true(tk_cluster_resolve(fx.cluster, "tikv-3:20160", &node));
    assert_null(fx_get_error(&fx, context, node, "a"));
    assert_string_equal(told.text, "-s1 -s3 +s1 +s3 ");
    fx_close(&fx);
}

static void
store_remove__takes_peers_away(void **state)
{
    kvrpcpb_Context *old;
    struct tk_cl_region *region;
    tikv_error *error;
    uint64_t id;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    fx_put(&fx, "a", "1");
    id = tk_cluster_region_of(fx.cluster, fx_slice("a"));
    old = fx_context(&fx, "a");
    assert_null(tk_cluster_store_remove(fx.cluster, 1));
    region = tk_cl_region_by_id(&fx.cluster->regions, id);
    assert_int_equal(region->peers_count, 2);
    assert_int_equal(region->conf_ver, 4);
    assert_int_equal(tk_cluster_leader_of(fx.cluster, id), 2);
    fx_expect(&fx, "a", "1");
    (void)fx_get_at(&fx, old, fx_store(1), "a");
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    error = tk_cluster_store_start(fx.cluster, 1, false);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
    assert_null(tk_cluster_store_remove(fx.cluster, 2));
    /* The last peer would go. */
    error = tk_cluster_store_remove(fx.cluster, 3);
    assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
    tikv_error_free(error);
    fx_expect(&fx, "a", "1");
    fx_close(&fx);
}

static void
store_remove__moves_an_only_peer(void **state)
{
    const struct tk_cluster_params params = { .stores_count = 2,
                                              .replicas_count = 1 };
    struct fx fx;

    (void)state;
    fx_open(&fx, &params);
    fx_put(&fx, "a", "1");
    assert_null(tk_cluster_store_remove(fx.cluster, 1));
    assert_int_equal(
        tk_cluster_leader_of(fx.cluster, tk_cluster_region_of(
                                             fx.cluster, fx_slice("a"))),
        2);
    fx_expect(&fx, "a", "1");
    fx_close(&fx);
}

static void
topology__refuses_what_is_not_there(void **state)
{
    tikv_error *errors[8];
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    errors[0] = tk_cluster_store_stop(fx.cluster, 4);
    errors[1] = tk_cluster_store_start(fx.cluster, 0, false);
    errors[2] = tk_cluster_store_swap(fx.cluster, 1, 9);
    errors[3] = tk_cluster_pd_stop(fx.cluster, 2);
    errors[4] = tk_cluster_pd_transfer(fx.cluster, 7);
    errors[5] = tk_cluster_transfer_leader(fx.cluster, 999, 1);
    errors[6] = tk_cluster_transfer_leader(
        fx.cluster, tk_cluster_region_of(fx.cluster, fx_slice("a")), 9);
    assert_null(tk_cluster_store_stop(fx.cluster, 3));
    errors[7] = tk_cluster_transfer_leader(
        fx.cluster, tk_cluster_region_of(fx.cluster, fx_slice("a")), 3);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(tikv_error_code(errors[i]), TIKV_ERR_ARGUMENT);
        tikv_error_free(errors[i]);
    }
    assert_int_equal(tk_cluster_stores_count(fx.cluster), 3);
    assert_int_equal(tk_cluster_pds_count(fx.cluster), 2);
    assert_int_equal(tk_cluster_leader_of(fx.cluster, 999), 0);
    fx_close(&fx);
}

static void
members__are_told_of(void **state)
{
    struct told told;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    listen_to(&fx, &told);
    assert_null(tk_cluster_pd_stop(fx.cluster, 0));
    assert_null(tk_cluster_pd_start(fx.cluster, 0));
    assert_null(tk_cluster_pd_start(fx.cluster, 0));
    assert_string_equal(told.text, "-m0 +m0 ");
    assert_int_equal(tk_cluster_pd_leader(fx.cluster), 1);
    fx_close(&fx);
}

static void
cluster__checks_its_options(void **state)
{
    static const struct tk_cluster_params wrong[] = {
        { .stores_count = 2, .replicas_count = 3 },
        { .stores_count = 100000 },
        { .pds_count = 1000 },
        { .regions_count = 100000 },
        { .api = 7 },
    };
    struct fx_clock clock;
    struct tk_cluster *cluster;

    (void)state;
    fx_clock_init(&clock);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        tikv_error *error = tk_cluster_new(&clock.rt, &wrong[i], &cluster);

        assert_int_equal(tikv_error_code(error), TIKV_ERR_ARGUMENT);
        assert_null(cluster);
        tikv_error_free(error);
    }
    tk_cluster_free(NULL);
}

static void
forwarding__reaches_the_other_store(void **state)
{
    const char *metadata[] = { "tikv-forwarded-host", "tikv-1:20160", NULL };
    kvrpcpb_RawGetRequest *request;
    kvrpcpb_Context *context;
    const char *bytes;
    size_t len;
    struct fx fx;

    (void)state;
    fx_open(&fx, &params_3);
    fx_put(&fx, "a", "1");
    context = fx_context(&fx, "a");
    request = kvrpcpb_RawGetRequest_new(fx.arena);
    kvrpcpb_RawGetRequest_set_context(request, context);
    kvrpcpb_RawGetRequest_set_key(request, fx_view("a"));
    bytes = kvrpcpb_RawGetRequest_serialize(request, fx.arena, &len);
    fx_call_with(&fx, fx_store(2), "/tikvpb.Tikv/RawGet", metadata, bytes,
                 len);
    fx_assert_view(kvrpcpb_RawGetResponse_value(
                       FX_PARSE(&fx, kvrpcpb, RawGetResponse)),
                   "1");
    assert_null(tk_cluster_store_stop(fx.cluster, 1));
    fx_call_with(&fx, fx_store(2), "/tikvpb.Tikv/RawGet", metadata, bytes,
                 len);
    assert_int_equal(fx.status, TK_GRPC_UNAVAILABLE);
    fx_close(&fx);
}

static void
cluster__counts_calls(void **state)
{
    struct fx fx;

    (void)state;
    fx_open(&fx, NULL);
    fx_put(&fx, "a", "1");
    fx_put(&fx, "a", "1");
    fx_expect(&fx, "a", "1");
    assert_int_equal(tk_cluster_calls(fx.cluster, "tikv.RawPut"), 2);
    assert_int_equal(tk_cluster_calls(fx.cluster, "tikv.RawGet"), 1);
    assert_int_equal(tk_cluster_calls(fx.cluster, "pd.GetRegion"), 3);
    assert_int_equal(tk_cluster_calls(fx.cluster, NULL), 6);
    assert_int_equal(tk_cluster_calls(fx.cluster, "no.Such"), 0);
    fx_call_with(&fx, fx_store(1), "/tikvpb.Tikv/NoSuch", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    fx_call_with(&fx, fx_store(1), "/tikvpb.Tikv/KvGC", NULL, "", 0);
    assert_int_equal(fx.status, TK_GRPC_UNIMPLEMENTED);
    fx_call_with(&fx, fx_store(1), "/tikvpb.Tikv/RawGet", NULL, "\x12\x64x",
                 3);
    assert_int_equal(fx.status, TK_GRPC_INTERNAL);
    fx_close(&fx);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(store_stop__moves_its_leaders),
        harness_test(store_stop__keeps_the_leader_when_nobody_else_is_there),
        harness_test(store_start__may_take_another_port),
        harness_test(store_swap__answers_for_the_other),
        harness_test(store_remove__takes_peers_away),
        harness_test(store_remove__moves_an_only_peer),
        harness_test(topology__refuses_what_is_not_there),
        harness_test(members__are_told_of),
        harness_test(cluster__checks_its_options),
        harness_test(forwarding__reaches_the_other_store),
        harness_test(cluster__counts_calls),
    };
    return harness_run(tests);
}
