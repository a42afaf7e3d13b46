/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cluster's birth, its end, addresses and counters.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/slice.h"
#include "cluster/fault.h"
#include "cluster/keep.h"

enum {
    STORES_MAX = 1000,
    MEMBERS_MAX = 100,
    REGIONS_MAX = 65536,
    START_LEN = 9 /* a group of eight and its marker */
};

int64_t
tk_cl_wall_ms(struct tk_cluster *cluster)
{
    return cluster->rt->ops->wall(cluster->rt) / TK_MS;
}

void
tk_cl_count(struct tk_cluster *cluster, const struct tk_cl_method *method)
{
    cluster->calls[method->index]++;
    cluster->calls_total++;
}

/* Which of `count` even parts of all keys behind a prefix. */
struct part {
    const char *prefix;
    size_t prefix_len;
    uint32_t index;
    uint32_t count;
};

/* In API V2 keys lie in keyspaces: regions are parts of the first one's raw
 * keys, and behind them of its transactional keys. */
static struct part
part_of(uint32_t api, uint32_t index, uint32_t count)
{
    uint32_t raw = (count + 1) / 2;

    if (api != TIKV_CLUSTER_API_V2) {
        return (struct part){ "", 0, index, count };
    }
    return index < raw ? (struct part){ "r\0\0", 4, index, raw }
                       : (struct part){ "x\0\0", 4, index - raw,
                                        count - raw };
}

/* The start of the nth of `count` regions: behind its prefix one byte, or two
 * when there are more than 256, encoded: bounds in between say nothing to
 * transactional clients, while to raw ones of V1 any key is a bound. */
static size_t
start_of(uint32_t api, uint32_t index, uint32_t count,
         uint8_t bytes[START_LEN])
{
    struct part part = part_of(api, index, count);
    uint64_t space = part.count <= 256 ? 256 : 65536;
    uint64_t place;
    size_t len = part.prefix_len;

    if (index == 0 || index == count) {
        return 0;
    }
    place = part.index * space / part.count;
    memset(bytes, 0, START_LEN);
    memcpy(bytes, part.prefix, part.prefix_len);
    if (part.index > 0) {
        bytes[len++] = (uint8_t)(space == 256 ? place : place >> 8);
    }
    if (space > 256 && place % 256 != 0) {
        bytes[len++] = (uint8_t)place;
    }
    bytes[START_LEN - 1] = (uint8_t)(0xff - (START_LEN - 1 - len));
    return START_LEN;
}

/* Peers in turn over the stores, the first one leading. */
static bool
add_region(struct tk_cluster *cluster, uint32_t index, uint32_t count)
{
    uint8_t start[START_LEN];
    uint8_t end[START_LEN];
    uint32_t api = cluster->api;
    tikv_slice from = tk_slice(start, start_of(api, index, count, start));
    tikv_slice to = tk_slice(end, start_of(api, index + 1, count, end));
    struct tk_cl_region *region =
        tk_cl_region_new(++cluster->ids, from, to, cluster->replicas);
    uint32_t i;

    if (region == NULL) {
        return false;
    }
    region->conf_ver = cluster->replicas;
    region->version = count;
    region->term = 5;
    for (i = 0; i < cluster->replicas; i++) {
        region->peers[i].id = ++cluster->ids;
        region->peers[i].store_id =
            (index + i) % cluster->stores_count + UINT64_C(1);
    }
    region->leader = region->peers[0].id;
    if (!tk_cl_regions_add(&cluster->regions, region)) {
        tk_cl_region_free(region);
        return false;
    }
    return true;
}

static void
fill_nodes(struct tk_cluster *cluster)
{
    int64_t now_ms = tk_cl_wall_ms(cluster);
    uint32_t i;

    for (i = 0; i < cluster->stores_count; i++) {
        struct tk_cl_store *store = &cluster->stores[i];

        store->id = i + UINT64_C(1);
        store->is_up = true;
        store->started_ms = now_ms;
        store->slow_score = 1;
        tk_cl_map_init(&store->queues);
        (void)snprintf(store->address, sizeof(store->address),
                       "tikv-%u:20160", i + 1);
    }
    for (i = 0; i < cluster->members_count; i++) {
        cluster->members[i].is_up = true;
        (void)snprintf(cluster->members[i].address,
                       sizeof(cluster->members[i].address), "pd-%u:2379", i);
    }
    cluster->members[0].has_led = true;
    tk_cl_tso_lead(cluster);
}

static tikv_error *
check_params(const struct tk_cluster_params *params)
{
    uint32_t stores = params->stores_count == 0 ? 1 : params->stores_count;

    if (params->stores_count > STORES_MAX ||
        params->pds_count > MEMBERS_MAX ||
        params->regions_count > REGIONS_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "at most %d stores, %d members, %d regions",
                        STORES_MAX, MEMBERS_MAX, REGIONS_MAX);
    }
    if (params->replicas_count > stores) {
        return tk_error(TIKV_ERR_ARGUMENT, "more replicas than stores");
    }
    if (params->api > TIKV_CLUSTER_API_V2) {
        return tk_error(TIKV_ERR_ARGUMENT, "unknown api %u", params->api);
    }
    return NULL;
}

static uint32_t
or_else(uint32_t number, uint32_t otherwise)
{
    return number == 0 ? otherwise : number;
}

/* As `params` say, nothing kept; NULL without memory. */
static struct tk_cluster *
build(struct tk_runtime *rt, const struct tk_cluster_params *params)
{
    struct tk_cluster *cluster = tk_calloc(sizeof(*cluster));
    struct tk_rng rng = { params->seed };
    uint32_t regions = or_else(params->regions_count, 1);
    bool ok;
    uint32_t i;

    if (cluster == NULL) {
        return NULL;
    }
    tk_mutex_init(&cluster->lock, TK_RANK_CLUSTER);
    tk_buf_init(&cluster->debts, SIZE_MAX / 4);
    tk_buf_init(&cluster->cuts, SIZE_MAX / 4);
    tk_engine_init(&cluster->engine);
    tk_mvcc_init(&cluster->mvcc);
    cluster->rt = rt;
    cluster->seed = params->seed;
    cluster->api = params->api;
    cluster->is_tls = params->is_tls;
    cluster->shuffles = params->shuffles;
    cluster->shuffle.state = params->seed;
    cluster->id = params->cluster_id != 0 ? params->cluster_id
                                          : tk_rng_next(&rng) >> 1 | 1;
    cluster->stores_count = or_else(params->stores_count, 1);
    cluster->members_count = or_else(params->pds_count, 1);
    cluster->replicas = or_else(
        params->replicas_count,
        cluster->stores_count < 3 ? cluster->stores_count : 3);
    cluster->ids = cluster->stores_count;
    cluster->stores =
        tk_calloc(cluster->stores_count * sizeof(*cluster->stores));
    cluster->members =
        tk_calloc(cluster->members_count * sizeof(*cluster->members));
    ok = cluster->stores != NULL && cluster->members != NULL;
    if (ok) {
        fill_nodes(cluster);
        ok = tk_cl_pd_open(cluster);
    }
    for (i = 0; ok && i < regions; i++) {
        ok = add_region(cluster, i, regions);
    }
    if (!ok) {
        tk_cluster_free(cluster);
        return NULL;
    }
    return cluster;
}

tikv_error *
tk_cluster_new(struct tk_runtime *rt, const struct tk_cluster_params *params,
               struct tk_cluster **out)
{
    struct tk_cl_keeper *keeper;
    struct tk_cluster_params found;
    struct tk_cluster *cluster;
    tikv_error *error = tk_cl_keep_open(params, &found, &keeper);

    *out = NULL;
    if (error == NULL) {
        error = check_params(&found);
    }
    if (error != NULL) {
        tk_cl_keep_free(keeper);
        return error;
    }
    cluster = build(rt, &found);
    if (cluster == NULL) {
        tk_cl_keep_free(keeper);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (keeper != NULL) {
        error = tk_cl_keep_start(cluster, keeper);
    }
    if (error != NULL) {
        tk_cluster_free(cluster);
        return error;
    }
    *out = cluster;
    return NULL;
}

/* Timers of streams that are gone may be firing at this moment. */
static void
wait_for_pending(struct tk_cluster *cluster)
{
    struct tk_runtime *rt = cluster->rt;
    struct tk_parker *me;

    tk_mutex_lock(&cluster->lock);
    while (cluster->pending > 0) {
        me = tk_self(rt);
        cluster->closer = me;
        tk_park_begin(me);
        tk_mutex_unlock(&cluster->lock);
        rt->ops->park(rt, me, TK_NEVER);
        tk_mutex_lock(&cluster->lock);
    }
    tk_mutex_unlock(&cluster->lock);
}

void
tk_cluster_free(struct tk_cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    tk_cl_calls_drop(cluster);
    tk_cl_again_drop(cluster);
    tk_cl_deeds_drop(cluster);
    tk_cl_pd_close(cluster);
    wait_for_pending(cluster);
    tk_cl_keep_stop(cluster);
    tk_cl_pd_free(cluster);
    tk_cl_rules_fini(cluster);
    tk_cl_pd_lag_fini(cluster);
    tk_cl_destroyed_fini(cluster);
    tk_cl_gates_fini(cluster);
    tk_buf_fini(&cluster->debts);
    tk_buf_fini(&cluster->cuts);
    tk_free(cluster->seen);
    tk_cl_regions_fini(&cluster->regions);
    tk_engine_fini(&cluster->engine);
    tk_cl_txn_fini(cluster);
    tk_mvcc_fini(&cluster->mvcc);
    tk_free(cluster->stores);
    tk_free(cluster->members);
    tk_mutex_fini(&cluster->lock);
    tk_cl_keep_free(cluster->keeper);
    tk_free(cluster);
}

void
tk_cluster_set_events(struct tk_cluster *cluster,
                      const struct tk_cluster_events *events)
{
    tk_mutex_lock(&cluster->lock);
    cluster->events = *events;
    tk_mutex_unlock(&cluster->lock);
}

/* The address of a node; NULL when there is none such. */
static char *
address_of(struct tk_cluster *cluster, tk_node node)
{
    uint64_t index = node & ~TK_NODE_STORE;

    if ((node & TK_NODE_STORE) != 0) {
        struct tk_cl_store *store = tk_cl_store(cluster, index);

        return store == NULL ? NULL : store->address;
    }
    return index < cluster->members_count ? cluster->members[index].address
                                          : NULL;
}

void
tk_cluster_set_address(struct tk_cluster *cluster, tk_node node,
                       const char *address)
{
    char *to;

    tk_mutex_lock(&cluster->lock);
    to = address_of(cluster, node);
    if (to != NULL) {
        (void)snprintf(to, TK_CL_ADDRESS_MAX, "%s", address);
        tk_cl_pd_publish(cluster);
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
}

bool
tk_cluster_get_address(struct tk_cluster *cluster, tk_node node, char *buffer,
                       size_t size)
{
    const char *from;
    bool fits = false;

    tk_mutex_lock(&cluster->lock);
    from = address_of(cluster, node);
    if (from != NULL && strlen(from) < size) {
        memcpy(buffer, from, strlen(from) + 1);
        fits = true;
    }
    tk_mutex_unlock(&cluster->lock);
    return fits;
}

bool
tk_cluster_resolve(struct tk_cluster *cluster, const char *address,
                   tk_node *out)
{
    bool found;

    tk_mutex_lock(&cluster->lock);
    found = tk_cl_resolve(cluster, address, out);
    tk_mutex_unlock(&cluster->lock);
    return found;
}

bool
tk_cluster_is_up(struct tk_cluster *cluster, tk_node node)
{
    bool is_up;

    tk_mutex_lock(&cluster->lock);
    is_up = tk_cl_node_is_up(cluster, node);
    tk_mutex_unlock(&cluster->lock);
    return is_up;
}

uint64_t
tk_cluster_id(struct tk_cluster *cluster)
{
    return cluster->id;
}

uint32_t
tk_cluster_stores_count(struct tk_cluster *cluster)
{
    return cluster->stores_count;
}

uint32_t
tk_cluster_pds_count(struct tk_cluster *cluster)
{
    return cluster->members_count;
}

uint64_t
tk_cluster_calls(struct tk_cluster *cluster, const char *method)
{
    const struct tk_cl_method *known =
        method == NULL ? NULL : tk_cl_method_by_label(method);
    uint64_t calls = 0;

    tk_mutex_lock(&cluster->lock);
    if (method == NULL) {
        calls = cluster->calls_total;
    } else if (known != NULL) {
        calls = cluster->calls[known->index];
    }
    tk_mutex_unlock(&cluster->lock);
    return calls;
}
