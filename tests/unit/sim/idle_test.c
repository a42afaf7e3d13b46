/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that nobody uses sleeps: in virtual time, with the runtime's table
 * counting who wakes up and which timers are set. The bound is the sum of the
 * tickers that src/api/README.md lists; `make perf-idle` measures the same
 * with real threads and gRPC.
 */
#include "harness/harness.h"

#include <tikv/tikv.h>

#include "api/client.h"
#include "base/config.h"
#include "base/slice.h"
#include "cluster/core.h"
#include "exec/runtime_sim.h"
#include "sim/memory_transport.h"

enum {
    IDLE_S = 600,
    SWEEPS = 2 * IDLE_S / 10,
    REFRESHES = 2 * IDLE_S / 60,
    UPKEEPS = IDLE_S / 30,
    WAKES_MAX = SWEEPS + 2 * REFRESHES,
    ARMS_MAX = SWEEPS + UPKEEPS + 8 * REFRESHES
};

/* Wake-ups of all fibers but the test's own, and timers set by anybody. */
static struct {
    const struct tk_runtime_ops *inner;
    struct tk_parker *own;
    uint64_t wakes;
    uint64_t arms;
} counted;

static void
count_park(struct tk_runtime *rt, struct tk_parker *self, int64_t until)
{
    counted.inner->park(rt, self, until);
    counted.wakes += self != counted.own;
}

static void
count_arm(struct tk_runtime *rt, struct tk_timer *timer, int64_t when)
{
    counted.arms++;
    counted.inner->arm(rt, timer, when);
}

static void
ok(tikv_error *error)
{
    if (error != NULL) {
        fail_msg("%s", tikv_error_message(error));
    }
}

static tikv_client *
open_client(struct tk_runtime *rt, struct tk_cluster *cluster)
{
    struct tk_transport *transport = NULL;
    tikv_config *config = NULL;
    tikv_client *client = NULL;
    char address[64];

    assert_true(tk_cluster_get_address(cluster, 0, address, sizeof(address)));
    ok(tk_memory_transport_new(rt, cluster, &transport));
    ok(tikv_config_new(&config));
    ok(tikv_config_set(config, "pd.endpoints", address));
    ok(tk_client_open_with(rt, transport, config, &client));
    tikv_config_free(config);
    return client;
}

static tikv_error *
write_key(tikv_txn *txn, void *arg)
{
    (void)arg;
    return tikv_txn_put(txn, tk_slice_text("b"), tk_slice_text("v"));
}

static void
rest(tikv_client *client, int64_t seconds)
{
    struct tk_op op;

    assert_true(tk_op_init(&op, client->router.exec, NULL, TK_NEVER));
    ok(tk_op_sleep(&op, seconds * 1000 * TK_MS));
    tk_op_fini(&op);
}

static void
body(void *arg)
{
    struct tk_runtime *rt = arg;
    const struct tk_cluster_params params = { .stores_count = 3,
                                              .pds_count = 1,
                                              .regions_count = 4,
                                              .replicas_count = 3 };
    struct tk_runtime_ops counting = *rt->ops;
    struct tk_cluster *cluster = NULL;
    tikv_value *value = NULL;
    tikv_client *client;
    tikv_future *future;

    ok(tk_cluster_new(rt, &params, &cluster));
    client = open_client(rt, cluster);
    ok(tikv_raw_get(client, tk_slice_text("a"), NULL, &value));
    future = tikv_raw_get_async(client, tk_slice_text("a"), NULL);
    assert_true(tikv_future_wait(future, TIKV_FOREVER));
    tikv_future_free(future);
    ok(tikv_txn_run(client, NULL, write_key, NULL, NULL));
    rest(client, 5);

    counted.inner = rt->ops;
    counted.own = tk_self(rt);
    counted.wakes = 0;
    counted.arms = 0;
    counting.park = count_park;
    counting.arm = count_arm;
    rt->ops = &counting;
    rest(client, IDLE_S);
    rt->ops = counted.inner;

    tikv_client_close(client);
    tk_cluster_free(cluster);
}

static void
idle__client_wakes_up_for_its_tickers_alone(void **state)
{
    struct tk_runtime *rt = tk_runtime_sim_new(1);

    (void)state;
    assert_non_null(rt);
    if (!tk_runtime_sim_run(rt, body, rt, 20000000)) {
        fail_msg("%s", tk_runtime_sim_report(rt));
    }
    tk_runtime_sim_free(rt);
    /* Two caches are swept; stores and members are read anew; connections are
     * looked after. Of a ticker that asks somebody comes, besides its worker's
     * wake-up, a timer for each request. */
    assert_in_range(counted.wakes, 1, WAKES_MAX);
    assert_in_range(counted.arms, 1, ARMS_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(idle__client_wakes_up_for_its_tickers_alone),
    };

    return harness_run(tests);
}
