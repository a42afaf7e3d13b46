/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole cluster dies under a running client and comes back on other store
 * ports behind the same PD address: clear errors by the deadline while it is
 * away, and no need to open the client again. timeout: 120
 */
#include "harness/harness.h"

#include <tikv/cluster.h>
#include <tikv/tikv.h>

enum { DEADLINE_MS = 1500, SLACK_MS = 1500, CLUSTER_ID = 77 };

static tikv_cluster *
start(uint16_t base_port)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;
    tikv_cluster *cluster;
    tikv_error *error;

    options.stores_count = 3;
    options.base_port = base_port;
    options.cluster_id = CLUSTER_ID;
    error = tikv_cluster_start(&options, &cluster);
    assert_null(error);
    return cluster;
}

static uint16_t
port_of(const tikv_cluster *cluster)
{
    const char *colon = strrchr(tikv_cluster_endpoints(cluster), ':');

    assert_non_null(colon);
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

static tikv_slice
text(const char *string)
{
    return (tikv_slice){ (const uint8_t *)string, strlen(string) };
}

/* One call of each kind while nobody answers: each ends by its deadline and
 * says why. */
static void
expect_refusal(tikv_error *error, int64_t started_ns)
{
    int64_t took_ms = (tikv_now_ns() - started_ns) / 1000000;
    tikv_class class = tikv_error_class(error);

    assert_non_null(error);
    assert_true(class == TIKV_CLASS_TIMEOUT ||
                class == TIKV_CLASS_RETRY_CALL ||
                class == TIKV_CLASS_UNDETERMINED);
    assert_true(strlen(tikv_error_message(error)) > 10);
    assert_true(took_ms < DEADLINE_MS + SLACK_MS);
    tikv_error_free(error);
}

static void
call_into_the_void(tikv_client *client)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    int64_t started_ns = tikv_now_ns();
    tikv_future *future;
    tikv_value *value;
    uint64_t ts;

    options.call.timeout_ms = DEADLINE_MS;
    expect_refusal(tikv_raw_get(client, text("a"), &options, &value),
                   started_ns);
    assert_null(value);

    started_ns = tikv_now_ns();
    expect_refusal(tikv_raw_put(client, text("a"), text("2"), &options),
                   started_ns);

    started_ns = tikv_now_ns();
    future = tikv_raw_get_async(client, text("a"), &options);
    assert_true(tikv_future_wait(future, DEADLINE_MS + SLACK_MS));
    expect_refusal(tikv_future_take_value(future, &value), started_ns);
    tikv_future_free(future);

    tikv_call call = TIKV_CALL_INIT;
    call.timeout_ms = DEADLINE_MS;
    started_ns = tikv_now_ns();
    expect_refusal(tikv_timestamp(client, &call, &ts), started_ns);
}

static void
client__heals_when_the_cluster_comes_back_on_other_ports(void **state)
{
    tikv_cluster *cluster = start(0);
    uint16_t port = port_of(cluster);
    tikv_client *client;
    tikv_value *value;
    uint64_t ts;

    (void)state;
    assert_null(
        tikv_client_connect(tikv_cluster_endpoints(cluster), &client));
    assert_null(tikv_raw_put(client, text("a"), text("1"), NULL));
    tikv_cluster_free(cluster);

    call_into_the_void(client);

    cluster = start(port);
    assert_null(tikv_raw_get(client, text("a"), NULL, &value));
    assert_null(value); /* it was in memory and is gone with the process */
    assert_null(tikv_raw_put(client, text("a"), text("3"), NULL));
    assert_null(tikv_raw_get(client, text("a"), NULL, &value));
    assert_non_null(value);
    assert_memory_equal(tikv_value_slice(value).data, "3", 1);
    assert_null(tikv_timestamp(client, NULL, &ts));
    tikv_value_free(value);
    tikv_client_close(client);
    tikv_cluster_free(cluster);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(client__heals_when_the_cluster_comes_back_on_other_ports),
    };

    return harness_run(tests);
}
