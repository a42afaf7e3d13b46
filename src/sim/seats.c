/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients of a world: each has a transport of its own on the same cluster,
 * so one of them can die.
 *
 * A process that dies sends nothing more, that is all the cluster sees of it.
 * In here its calls are cancelled and end as they end; what they say has to
 * be true all the same. When no fiber is inside it is closed, whereat what
 * goes on behind its calls ends without a message, and the next one is opened
 * in its place.
 */
#include <string.h>

#include "api/client.h"
#include "base/error.h"
#include "sim/memory_transport.h"
#include "sim/tap.h"
#include "sim/world.h"

/* "host:port,..." of all members. */
static void
list_members(struct tk_world *world, char *text, size_t size)
{
    uint32_t count = tk_cluster_pds_count(world->cluster);
    size_t len = 0;
    uint32_t i;

    text[0] = '\0';
    for (i = 0; i < count; i++) {
        if (i != 0) {
            text[len++] = ',';
        }
        (void)tk_cluster_get_address(world->cluster, i, text + len,
                                     size - len - 1);
        len += strlen(text + len);
    }
}

/* What a client may be set to, one of each by chance; the defaults come first
 * and are likelier where they are there twice. Times are short, as the world's
 * are; few places in the table of requests in flight are soon used again, while
 * late answers to their former owners come in. */
#define CHOICES 4

static const struct {
    const char *name;
    const char *values[CHOICES]; /* an earlier NULL ends them */
} settings[] = {
    { "rpc.attempt_timeout_ms", { "20", "50", "150" } },
    { "rpc.inflight_max_count", { "16", "64", "65536" } },
    { "rpc.batch_max_count", { "1", "3", "128" } },
    { "rpc.batch_policy", { "flow", "standard", "positive", "chance" } },
    { "rpc.overload_wait_us", { "0", "0", "300" } },
    { "rpc.overload_load", { "200", "0" } },
    { "rpc.connections_count", { "1", "1", "2" } },
    { "read.hedge_ms", { "0", "0", "3" } },
    { "read.hedge_percent", { "50" } },
    { "tso.batch_wait_us", { "0", "0", "500" } },
    { "tso.batch_max_count", { "10000", "10000", "2" } },
    { "tso.inflight_count", { "1", "4" } },
    { "tso.follower_proxy", { "false", "false", "true" } },
    { "pd.router", { "true", "false" } },
    { "pd.follower_handle", { "false", "true" } },
    { "pd.low_resolution_ms", { "2000", "20" } },
    { "pd.members_refresh_ms", { "60000", "100" } },
    { "region.preload", { "false", "false", "true" } },
    { "region.refresh_ms", { "0", "0", "100" } },
    { "region.cache_ttl_ms", { "600000", "600000", "100" } },
    { "region.cache_max_count", { "10000000", "10000000", "3" } },
    { "region.sweep_ms", { "10000", "50" } },
    { "region.forwarding", { "false", "false", "true" } },
    { "stores.refresh_ms", { "60000", "100" } },
    { "stores.probe_ms", { "1000", "20" } },
    { "stores.inflight_max_count", { "0", "0", "2" } },
    { "raw.batch_keys_count", { "512", "512", "2" } },
    { "raw.batch_put_bytes", { "16384", "16384", "16" } },
    { "scan.page_count", { "256", "2" } },
    { "txn.batch_bytes", { "16384", "16384", "24" } },
    { "txn.async_keys_count", { "256", "256", "2" } },
    { "txn.safe_window_ms", { "2000", "2000", "5" } },
    { "txn.latches_count", { "0", "0", "8" } },
    { "txn.heartbeat_ms", { "10000", "10" } },
    { "txn.heartbeat_bytes", { "33554432", "0" } },
    { "txn.split_keys_count", { "100000", "100000", "3" } },
};

/* What makes a client give up before its time is over. */
static const struct {
    const char *name;
    const char *values[CHOICES];
    const char *never;
} rations[] = {
    { "retry.per_second_max", { "0", "0", "0", "300" }, "0" },
    { "pd.breaker_percent", { "0", "0", "0", "90" }, "0" },
};

static const char *
choose(struct tk_world *world, const char *const *values)
{
    uint64_t count = 0;

    while (count < CHOICES && values[count] != NULL) {
        count++;
    }
    return values[tk_rng_below(&world->rng, count)];
}

static tikv_error *
configure(struct tk_world *world, tikv_config **out)
{
    bool gives_up = !world->is_over && world->workload->run != NULL;
    char endpoints[512];
    const char *const fixed[][2] = {
        { "pd.endpoints", endpoints },
        { "pd.timeout_ms", "50" },
        { "pool.threads_count", world->is_crowded ? "2" : "24" },
        { "raw.atomic", world->is_atomic ? "true" : "false" },
    };
    tikv_error *error = tikv_config_new(out);
    size_t i;

    list_members(world, endpoints, sizeof(endpoints));
    for (i = 0; error == NULL && i < sizeof(fixed) / sizeof(fixed[0]); i++) {
        error = tikv_config_set(*out, fixed[i][0], fixed[i][1]);
    }
    for (i = 0; error == NULL && i < sizeof(settings) / sizeof(settings[0]);
         i++) {
        error = tikv_config_set(*out, settings[i].name,
                                choose(world, settings[i].values));
    }
    for (i = 0; error == NULL && i < sizeof(rations) / sizeof(rations[0]);
         i++) {
        const char *value = choose(world, rations[i].values);

        error = tikv_config_set(*out, rations[i].name,
                                gives_up ? value : rations[i].never);
    }
    return error;
}

void
tk_seat_calm(struct tk_seat *seat)
{
    size_t i;

    for (i = 0; i < sizeof(rations) / sizeof(rations[0]); i++) {
        tikv_error_free(
            tikv_client_set(seat->client, rations[i].name, rations[i].never));
    }
}

tikv_error *
tk_seat_open(struct tk_world *world, struct tk_seat *seat)
{
    struct tk_transport *transport = NULL;
    tikv_config *config = NULL;
    tikv_error *error = configure(world, &config);

    if (error == NULL) {
        error = tikv_cancel_new(&seat->died);
    }
    if (error == NULL) {
        error =
            tk_memory_transport_new(world->rt, world->cluster, &seat->network);
    }
    if (error == NULL) {
        error = tk_tap_new(world->rt, seat->network, &world->history,
                           tk_world_key_of, TK_SIM_LATE_NS, &transport);
    }
    if (error == NULL) {
        error =
            tk_client_open_with(world->rt, transport, config, &seat->client);
    }
    if (error != NULL) {
        tikv_cancel_free(seat->died);
        seat->died = NULL;
        seat->network = NULL;
    }
    tikv_config_free(config);
    return error;
}

void
tk_seat_close(struct tk_seat *seat)
{
    tikv_client_close(seat->client);
    tikv_cancel_free(seat->died);
    seat->client = NULL;
    seat->network = NULL;
    seat->died = NULL;
}

struct tk_seat *
tk_seat_enter(struct tk_world *world, struct tk_rng *rng)
{
    while (!world->is_closing) {
        uint32_t first = (uint32_t)tk_rng_below(rng, world->seats_count);
        uint32_t i;

        for (i = 0; i < world->seats_count; i++) {
            struct tk_seat *seat =
                &world->seats[(first + i) % world->seats_count];

            if (seat->client != NULL && !seat->is_dying) {
                seat->users++;
                return seat;
            }
        }
        tk_world_sleep(world, TK_MS);
    }
    return NULL;
}

void
tk_seat_leave(struct tk_seat *seat)
{
    seat->users--;
}

void
tk_seat_die(struct tk_world *world, struct tk_seat *seat, uint64_t more,
            int64_t ns)
{
    int64_t until = tk_after(tk_now(world->rt), ns);
    uint64_t last = tk_memory_transport_sent(seat->network) + more;

    tk_memory_transport_kill(seat->network, more, more % 2 == 1);
    while (tk_now(world->rt) < until &&
           tk_memory_transport_sent(seat->network) <= last) {
        tk_world_sleep(world, TK_MS / 4);
    }
    seat->is_dying = true;
    tk_memory_transport_kill(seat->network, 0, true);
    tikv_cancel_raise(seat->died);
    while (seat->users != 0) {
        tk_world_sleep(world, TK_MS);
    }
    tk_seat_close(seat);
    seat->is_dying = false;
}
