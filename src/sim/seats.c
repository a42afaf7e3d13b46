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

/* Few places in the table of requests in flight are soon used again, while
 * late answers to their former owners come in. Some worlds hedge reads. */
static tikv_error *
configure(struct tk_world *world, tikv_config **out)
{
    static const char *const attempts[] = { "20", "50", "150" };
    static const char *const inflights[] = { "16", "64", "65536" };
    static const char *const batches[] = { "1", "3", "128" };
    static const char *const hedges[] = { "0", "0", "3" };
    char endpoints[512];
    const char *const settings[][2] = {
        { "pd.endpoints", endpoints },
        { "pd.timeout_ms", "50" },
        { "rpc.attempt_timeout_ms", attempts[tk_rng_below(&world->rng, 3)] },
        { "rpc.inflight_max_count", inflights[tk_rng_below(&world->rng, 3)] },
        { "rpc.batch_max_count", batches[tk_rng_below(&world->rng, 3)] },
        { "pool.threads_count", world->is_crowded ? "2" : "24" },
        { "read.hedge_ms", hedges[tk_rng_below(&world->rng, 3)] },
        { "read.hedge_percent", "50" },
        { "raw.atomic", world->is_atomic ? "true" : "false" },
    };
    tikv_error *error = tikv_config_new(out);
    size_t i;

    list_members(world, endpoints, sizeof(endpoints));
    for (i = 0; error == NULL && i < sizeof(settings) / sizeof(settings[0]);
         i++) {
        error = tikv_config_set(*out, settings[i][0], settings[i][1]);
    }
    return error;
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
