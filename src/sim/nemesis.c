/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fiber that breaks things, one deed after a random pause, by its own
 * random numbers. It promises TK_SIM_LATE_NS: no delay is longer, which
 * bounds how late a request that nobody waits for is executed.
 *
 * A deed may be refused (a merge of the last region, a store that is down);
 * it counts when it was done.
 */
#include <stdio.h>

#include "base/error.h"
#include "sim/memory_transport.h"
#include "sim/world.h"

const char *const tk_sim_deed_names[TK_DEEDS] = {
    [TK_DEED_NETWORK] = "network",
    [TK_DEED_SPLIT] = "split",
    [TK_DEED_MERGE] = "merge",
    [TK_DEED_TRANSFER] = "transfer",
    [TK_DEED_LEADERLESS] = "leaderless",
    [TK_DEED_STORE_STOP] = "store stop",
    [TK_DEED_STORE_START] = "store start",
    [TK_DEED_STORE_SWAP] = "store swap",
    [TK_DEED_PD_TRANSFER] = "pd transfer",
    [TK_DEED_PD_LEADERLESS] = "pd leaderless",
    [TK_DEED_PD_STOP] = "pd stop",
    [TK_DEED_PD_START] = "pd start",
    [TK_DEED_PD_RESTART] = "pd restart",
    [TK_DEED_STORE_TROUBLE] = "store trouble",
    [TK_DEED_PEER] = "peer change",
    [TK_DEED_SAFE_TS] = "safe ts",
    [TK_DEED_PD_LAG] = "pd lag",
    [TK_DEED_AMBUSH] = "ambush",
    [TK_DEED_FAULT] = "fault rule",
    [TK_DEED_DEATH] = "client death",
};

static const struct tk_memory_policy calm = {
    .delay_min_ns = 20000,
    .delay_max_ns = 200000,
};

static const struct tk_memory_policy policies[] = {
    { 20000, 200000, 0, 0, 0, 0 },
    { 20000, 3 * TK_MS, 10000, 10000, 20000, 0 },
    { 20000, TK_MS, 0, 60000, 0, 0 },              /* answers are lost */
    { 20000, TK_MS, 60000, 0, 0, 0 },              /* requests are lost */
    { 20000, TK_SIM_MESSAGE_NS, 0, 0, 300000, 0 }, /* answered twice */
    { 20000, TK_MS, 0, 0, 0, 30000 },              /* connections break */
    { 20000, TK_SIM_MESSAGE_NS, 0, 0, 0, 0 }       /* later than the deadline */
};

/* Of all requests of the workload; delays stay below TK_SIM_DELAY_MS. */
static const char *const rules[] = {
    "when=prob(0.2) do=region_error(server_is_busy,backoff_ms=3)",
    "when=prob(0.2) do=region_error(server_is_busy)",
    "when=prob(0.2) do=region_error(not_leader)",
    "when=prob(0.2) do=region_error(epoch_not_match,regions=current)",
    "when=prob(0.1) do=region_error(epoch_not_match,regions=none)",
    "when=prob(0.1) do=region_error(region_not_found)",
    "when=prob(0.2) do=region_error(stale_command)",
    "when=prob(0.1) do=region_error(proposal_in_merging_mode)",
    "when=prob(0.1) do=region_error(store_not_match)",
    "when=prob(0.1) do=region_error(mismatch_peer_id)",
    "when=prob(0.3) do=delay(1..20)",
    "when=prob(0.1) do=drop_request",
    "when=prob(0.1) do=drop_response",
};

/* Rules with a target of their own. */
static const char *const raw_rules[] = {
    "on=tikv.RawPut when=prob(0.1) do=apply,status(UNAVAILABLE)",
    "on=tikv.RawCompareAndSwap when=prob(0.2) do=apply,status(UNAVAILABLE)",
    "on=tikv.RawCompareAndSwap when=prob(0.2) do=drop_response",
    "on=tikv.BatchCommands when=prob(0.05) do=break_stream",
    "on=pd.* when=prob(0.3) do=status(UNAVAILABLE)",
    "on=pd.GetRegion when=prob(0.3) do=delay(1..20)",
};

static const char *const txn_rules[] = {
    "on=tikv.KvPrewrite when=prob(0.2) do=apply,status(UNAVAILABLE)",
    "on=tikv.KvPrewrite when=prob(0.2) do=drop_response",
    "on=tikv.KvCommit when=prob(0.3) do=apply,status(UNAVAILABLE)",
    "on=tikv.KvCommit when=prob(0.3) do=drop_response",
    "on=tikv.KvCommit when=prob(0.3) do=drop_request",
    "on=tikv.KvCommit when=prob(0.2) "
    "do=apply,region_error(undetermined_result)",
    "on=tikv.KvCommit when=prob(0.2) do=region_error(undetermined_result)",
    "on=tikv.KvCheckTxnStatus when=prob(0.3) do=drop_response",
    "on=tikv.KvCheckSecondaryLocks when=prob(0.3) do=drop_response",
    "on=tikv.KvResolveLock when=prob(0.3) do=drop_response",
    "on=tikv.KvPrewrite when=prob(0.2) do=duplicate(1,20)",
    "on=tikv.KvCommit when=prob(0.2) do=duplicate(1,20)",
    "on=tikv.KvBatchRollback when=prob(0.2) do=duplicate(1,20)",
    "on=tikv.KvBatchRollback when=prob(0.6) do=drop_request",
    "on=tikv.KvResolveLock when=prob(0.2) do=duplicate(1,20)",
    "on=pd.Tso when=prob(0.2) do=tso(jump,50)",
    "on=pd.Tso when=prob(0.02) do=tso(jump,4000)",
    "on=tikv.BatchCommands when=prob(0.05) do=break_stream",
    "on=pd.* when=prob(0.3) do=status(UNAVAILABLE)",
    "on=pd.GetRegion when=prob(0.3) do=delay(1..20)",
};

enum {
    RULES = sizeof(rules) / sizeof(rules[0]),
    RAW_RULES = sizeof(raw_rules) / sizeof(raw_rules[0]),
    TXN_RULES = sizeof(txn_rules) / sizeof(txn_rules[0])
};

static uint64_t
below(struct tk_nemesis *nemesis, uint64_t limit)
{
    return tk_rng_below(&nemesis->rng, limit);
}

static void
count(struct tk_world *world, enum tk_sim_deed deed, tikv_error *error)
{
    if (error == NULL) {
        world->counts->deeds[deed]++;
    }
    tikv_error_free(error);
}

static uint64_t
some_region(struct tk_nemesis *nemesis)
{
    struct tk_cluster *cluster = nemesis->world->cluster;
    char text[TK_SIM_TEXT];
    uint32_t key = (uint32_t)below(nemesis, nemesis->world->options.keys);

    return tk_cluster_region_of(cluster,
                                tk_world_place(nemesis->world, key, text));
}

static uint64_t
some_store(struct tk_nemesis *nemesis)
{
    return 1 + below(nemesis, tk_cluster_stores_count(nemesis->world->cluster));
}

/* ---- deeds ---- */

static void
network(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    const struct tk_memory_policy *policy =
        &policies[below(nemesis, sizeof(policies) / sizeof(policies[0]))];
    uint32_t only = (uint32_t)below(nemesis, 2 * world->seats_count);
    uint32_t i;

    for (i = 0; i < world->seats_count; i++) {
        if (world->seats[i].network != NULL &&
            (only >= world->seats_count || only == i)) {
            tk_memory_transport_set(world->seats[i].network, policy);
        }
    }
    count(nemesis->world, TK_DEED_NETWORK, NULL);
}

static void
regions(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    char text[TK_SIM_TEXT];
    uint32_t key = (uint32_t)below(nemesis, world->options.keys);
    tikv_slice at = tk_world_place(world, key, text);

    if (tk_cluster_regions_count(world->cluster) < 8 && below(nemesis, 3)) {
        count(world, TK_DEED_SPLIT, tk_cluster_split(world->cluster, at));
    } else {
        count(world, TK_DEED_MERGE, tk_cluster_merge(world->cluster, at));
    }
}

static void
leaders(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint64_t region = some_region(nemesis);

    if (below(nemesis, 4) == 0) {
        count(world, TK_DEED_LEADERLESS,
              tk_cluster_transfer_leader(world->cluster, region, 0));
        tk_world_sleep(world, (int64_t)below(nemesis, 20) * TK_MS);
    }
    count(world, TK_DEED_TRANSFER,
          tk_cluster_transfer_leader(world->cluster, region,
                                     some_store(nemesis)));
}

static void
stores(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint64_t store = some_store(nemesis);
    uint32_t up = 0;
    uint32_t i;

    for (i = 1; i <= tk_cluster_stores_count(world->cluster); i++) {
        up += tk_cluster_is_up(world->cluster, TK_NODE_STORE | i);
    }
    if (!tk_cluster_is_up(world->cluster, TK_NODE_STORE | store)) {
        count(world, TK_DEED_STORE_START,
              tk_cluster_store_start(world->cluster, store,
                                     below(nemesis, 2) == 0));
    } else if (up > 2) {
        count(world, TK_DEED_STORE_STOP,
              tk_cluster_store_stop(world->cluster, store));
    } else if (below(nemesis, 2) == 0) {
        count(
            world, TK_DEED_STORE_SWAP,
            tk_cluster_store_swap(world->cluster, store, some_store(nemesis)));
    }
}

static void
members(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint32_t member =
        (uint32_t)below(nemesis, tk_cluster_pds_count(world->cluster));

    if (below(nemesis, 4) == 0 &&
        tk_cluster_pd_leader(world->cluster) != UINT32_MAX) {
        member = tk_cluster_pd_leader(world->cluster);
        tikv_error_free(tk_cluster_pd_stop(world->cluster, member));
        tk_world_sleep(world, (int64_t)below(nemesis, 20) * TK_MS);
        count(world, TK_DEED_PD_RESTART,
              tk_cluster_pd_start(world->cluster, member));
    } else if (!tk_cluster_is_up(world->cluster, member)) {
        count(world, TK_DEED_PD_START,
              tk_cluster_pd_start(world->cluster, member));
    } else if (below(nemesis, 3) == 0) {
        tk_cluster_pd_leaderless(world->cluster);
        count(world, TK_DEED_PD_LEADERLESS, NULL);
        tk_world_sleep(world, (int64_t)below(nemesis, 30) * TK_MS);
    } else if (below(nemesis, 3) == 0 &&
               tk_cluster_pd_leader(world->cluster) != member) {
        count(world, TK_DEED_PD_STOP,
              tk_cluster_pd_stop(world->cluster, member));
    }
    if (tk_cluster_is_up(world->cluster, member)) {
        count(world, TK_DEED_PD_TRANSFER,
              tk_cluster_pd_transfer(world->cluster, member));
    }
}

/* The store is there, and does not answer as it should. What waits for it is
 * executed within the delays that are promised. */
static void
trouble(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    struct tk_cluster *cluster = world->cluster;
    uint64_t store = some_store(nemesis);
    uint64_t kind = below(nemesis, 3);

    count(world, TK_DEED_STORE_TROUBLE,
          kind == 0   ? tk_cluster_store_pause(cluster, store, true)
          : kind == 1 ? tk_cluster_store_slow(cluster, store, 2)
                      : tk_cluster_store_busy(cluster, store, 5, true));
    tk_world_sleep(world, (int64_t)below(nemesis, 8) * TK_MS);
    tikv_error_free(tk_cluster_store_pause(cluster, store, false));
    tikv_error_free(tk_cluster_store_slow(cluster, store, 0));
    tikv_error_free(tk_cluster_store_busy(cluster, store, 0, false));
}

static void
peers(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint64_t region = some_region(nemesis);
    uint64_t store = some_store(nemesis);

    count(world, TK_DEED_PEER,
          tk_cluster_peer_set(world->cluster, region, store,
                              below(nemesis, 2) == 0 ? TIKV_CLUSTER_PEER_LEARNER
                                                     : TIKV_CLUSTER_PEER_NONE));
    tk_world_sleep(world, (int64_t)below(nemesis, 20) * TK_MS);
    tikv_error_free(tk_cluster_peer_set(world->cluster, region, store,
                                        TIKV_CLUSTER_PEER_VOTER));
}

static void
safe_ts(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint64_t region = some_region(nemesis);
    uint64_t store = some_store(nemesis);

    count(world, TK_DEED_SAFE_TS,
          tk_cluster_safe_ts_hold(world->cluster, region, store, 1));
    tk_world_sleep(world, (int64_t)below(nemesis, 20) * TK_MS);
    tikv_error_free(tk_cluster_safe_ts_release(world->cluster, region, store));
}

static void
lag(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;

    tk_cluster_pd_lag(world->cluster, 1 + (uint32_t)below(nemesis, 30));
    count(world, TK_DEED_PD_LAG, NULL);
    tk_world_sleep(world, (int64_t)below(nemesis, 30) * TK_MS);
    tk_cluster_pd_lag(world->cluster, 0);
}

static void
choose_rule(struct tk_nemesis *nemesis, char *rule, size_t size)
{
    bool is_txn = nemesis->world->workload->is_txn;
    size_t at = below(nemesis, RULES + (is_txn ? TXN_RULES : RAW_RULES));

    if (at < RULES) {
        snprintf(rule, size, "on=tikv.%s* %s", is_txn ? "Kv" : "Raw",
                 rules[at]);
    } else {
        snprintf(rule, size, "%s",
                 is_txn ? txn_rules[at - RULES] : raw_rules[at - RULES]);
    }
}

/* One rule for a while; its hits are counted when it goes. */
static void
faults(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    tikv_error *error;
    char rule[160];
    uint64_t id;

    choose_rule(nemesis, rule, sizeof(rule));
    error = tk_cluster_fault(world->cluster, rule, &id);
    if (error != NULL) {
        tk_world_complain(world, "rule %s: %s", rule,
                          tikv_error_message(error));
        tikv_error_free(error);
        return;
    }
    count(world, TK_DEED_FAULT, NULL);
    tk_world_sleep(world, (int64_t)(2 + below(nemesis, 20)) * TK_MS);
    world->counts->faults += tk_cluster_fault_hits(world->cluster, id);
    tk_cluster_fault_remove(world->cluster, id);
}

/* Regions are joined, first requests of commits are executed and not answered,
 * and come again when the region has been cut: what was one request is two. */
static void
ambush(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    char text[TK_SIM_TEXT];
    uint32_t key = (uint32_t)below(nemesis, world->options.keys);
    tikv_slice at = tk_world_place(world, key, text);
    uint64_t id = 0;

    tikv_error_free(tk_cluster_merge(world->cluster, at));
    tk_world_sleep(world, (int64_t)below(nemesis, 4) * TK_MS);
    tikv_error_free(tk_cluster_fault(
        world->cluster,
        "on=tikv.KvPrewrite when=prob(0.7) do=apply,status(UNAVAILABLE)", &id));
    tk_world_sleep(world, (int64_t)below(nemesis, 5) * TK_MS);
    count(world, TK_DEED_AMBUSH, tk_cluster_split(world->cluster, at));
    tk_world_sleep(world, (int64_t)below(nemesis, 4) * TK_MS);
    world->counts->faults += tk_cluster_fault_hits(world->cluster, id);
    tk_cluster_fault_remove(world->cluster, id);
}

void
tk_nemesis_run(void *arg)
{
    static void (*const deeds[])(struct tk_nemesis *) = {
        network, network, network, network, regions, regions, regions,
        leaders, leaders, stores,  members, members, trouble, peers,
        safe_ts, lag,     faults,  faults,  faults,  faults,  ambush,
    };
    struct tk_nemesis *nemesis = (struct tk_nemesis *)arg;

    network(nemesis);
    while (!nemesis->world->is_over) {
        deeds[below(nemesis, sizeof(deeds) / sizeof(deeds[0]))](nemesis);
        tk_world_sleep(nemesis->world,
                       (int64_t)(1 + below(nemesis, 8)) * TK_MS);
    }
}

/* What the dead have locked expires now, and what the living have, too. */
static void
let_locks_expire(struct tk_nemesis *nemesis)
{
    struct tk_world *world = nemesis->world;
    uint64_t id = 0;

    tikv_error_free(tk_cluster_fault(
        world->cluster, "on=pd.Tso when=nth(1) do=tso(jump,4000)", &id));
    tk_world_sleep(world, (int64_t)below(nemesis, 20) * TK_MS);
    tk_cluster_fault_remove(world->cluster, id);
}

/* After some messages, or after some time, whichever comes first: between any
 * two requests of whatever is going on. */
void
tk_nemesis_reap(void *arg)
{
    struct tk_nemesis *nemesis = (struct tk_nemesis *)arg;
    struct tk_world *world = nemesis->world;

    tk_self(world->rt)->is_library = false;
    while (!world->is_over) {
        struct tk_seat *seat =
            &world->seats[below(nemesis, world->seats_count)];

        tk_world_sleep(world, (int64_t)(5 + below(nemesis, 60)) * TK_MS);
        if (seat->client != NULL && !world->is_over) {
            tk_seat_die(world, seat, below(nemesis, 16),
                        (int64_t)below(nemesis, 20) * TK_MS);
            count(world, TK_DEED_DEATH, NULL);
            if (below(nemesis, 2) == 0) {
                let_locks_expire(nemesis);
            }
        }
        while (seat->client == NULL && !world->is_over) {
            tikv_error_free(tk_seat_open(world, seat));
        }
    }
}

/* A voter on every store. */
static void
complete(struct tk_cluster *cluster, uint64_t region)
{
    uint64_t i;

    for (i = 1; i <= tk_cluster_stores_count(cluster); i++) {
        tikv_error_free(
            tk_cluster_peer_set(cluster, region, i, TIKV_CLUSTER_PEER_VOTER));
        tikv_error_free(tk_cluster_safe_ts_release(cluster, region, i));
    }
}

void
tk_nemesis_heal(struct tk_world *world)
{
    struct tk_cluster *cluster = world->cluster;
    struct tk_buf start;
    uint64_t region;
    size_t i;

    for (i = 0; i < world->seats_count; i++) {
        if (world->seats[i].network != NULL) {
            tk_memory_transport_set(world->seats[i].network, &calm);
            tk_seat_calm(&world->seats[i]);
        }
    }
    tk_cluster_fault_remove(cluster, 0);
    tk_cluster_pd_lag(cluster, 0);
    for (i = 0; i < tk_cluster_pds_count(cluster); i++) {
        if (!tk_cluster_is_up(cluster, i)) {
            tikv_error_free(tk_cluster_pd_start(cluster, (uint32_t)i));
        }
    }
    if (tk_cluster_pd_leader(cluster) == UINT32_MAX) {
        tikv_error_free(tk_cluster_pd_transfer(cluster, 0));
    }
    for (i = 1; i <= tk_cluster_stores_count(cluster); i++) {
        if (!tk_cluster_is_up(cluster, TK_NODE_STORE | i)) {
            tikv_error_free(tk_cluster_store_start(cluster, i, false));
        }
    }
    tk_buf_init(&start, 65536);
    for (i = 0; tk_cluster_region_at(cluster, i, &region, &start); i++) {
        complete(cluster, region);
        if (tk_cluster_leader_of(cluster, region) == 0) {
            tikv_error_free(tk_cluster_transfer_leader(cluster, region, 1));
        }
        tk_buf_clear(&start);
    }
    tk_buf_fini(&start);
    /* PD's time may be minutes ahead of the world's, for each new leader
     * begins behind what the old one had saved. Locks expire by PD's time:
     * it goes on instead of standing still. */
    tikv_error_free(tk_cluster_fault(
        cluster, "on=pd.Tso when=nth(1) do=tso(jump,30000)", NULL));
}
