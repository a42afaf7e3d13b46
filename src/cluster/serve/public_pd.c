/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of <tikv/cluster.h> that is PD's: members, keyspaces, buckets, and
 * what PD does differently when told so, by name.
 */
#include <string.h>

#include "base/error.h"
#include "cluster/serve/public.h"

/* ---- PD members ---- */

tikv_error *
tikv_cluster_pd_stop(tikv_cluster *cluster, uint32_t member)
{
    tikv_error *error = tk_public_check(cluster);

    return error != NULL ? error : tk_cluster_pd_stop(cluster->core, member);
}

tikv_error *
tikv_cluster_pd_start(tikv_cluster *cluster, uint32_t member)
{
    tikv_error *error = tk_public_check(cluster);

    if (error != NULL) {
        return error;
    }
    error = tk_cluster_pd_start(cluster->core, member);
    return tk_public_trouble(cluster, error, member);
}

tikv_error *
tikv_cluster_pd_transfer(tikv_cluster *cluster, uint32_t member)
{
    tikv_error *error = tk_public_check(cluster);

    return error != NULL ? error
                         : tk_cluster_pd_transfer(cluster->core, member);
}

void
tikv_cluster_pd_leaderless(tikv_cluster *cluster)
{
    if (cluster != NULL) {
        tk_cluster_pd_leaderless(cluster->core);
    }
}

void
tikv_cluster_pd_lag(tikv_cluster *cluster, uint32_t ms)
{
    if (cluster != NULL) {
        tk_cluster_pd_lag(cluster->core, ms);
    }
}

uint32_t
tikv_cluster_pd_leader(tikv_cluster *cluster)
{
    return cluster == NULL ? UINT32_MAX : tk_cluster_pd_leader(cluster->core);
}

tikv_error *
tikv_cluster_keyspace(tikv_cluster *cluster, const char *name,
                      const char *const *config, uint32_t *id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && name == NULL) {
        error = tk_public_wrong("name is NULL");
    }
    if (error == NULL) {
        error = tk_cluster_keyspace_create(cluster->core, name, config, true,
                                           id);
        error = tk_public_settle(cluster, error);
    }
    return error;
}

tikv_error *
tikv_cluster_buckets(tikv_cluster *cluster, uint64_t region_id,
                     uint64_t version, const tikv_slice *keys, size_t count)
{
    tikv_error *error = tk_public_check(cluster);
    size_t i;

    if (error == NULL && keys == NULL && count > 0) {
        error = tk_public_wrong("keys is NULL");
    }
    for (i = 0; error == NULL && i < count; i++) {
        error = tk_public_check_key(cluster, keys[i]);
    }
    return error != NULL ? error
                         : tk_cluster_set_buckets(cluster->core, region_id,
                                                  version, keys, count);
}

static void
set_hidden(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_set_hidden(core, value);
}

static void
set_recovering(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_set_recovering(core, value != 0);
}

static void
set_scatter_ms(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_set_scatter_ms(core, (int64_t)value);
}

static void
set_services(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_set_services(core, (uint32_t)value);
}

static void
set_suffix_bits(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_set_suffix_bits(core, (uint32_t)value);
}

static void
set_unsplit(struct tk_cluster *core, uint64_t value)
{
    tk_cluster_keyspace_show_unsplit(core, value != 0);
}

/* By name; `most` is the greatest value. */
static const struct {
    const char *name;
    uint64_t most;
    void (*set)(struct tk_cluster *, uint64_t value);
} knobs[] = {
    { "hidden_region", UINT64_MAX, set_hidden },
    { "recovering", 1, set_recovering },
    { "scatter_ms", UINT32_MAX, set_scatter_ms },
    { "services", 7, set_services },
    { "suffix_bits", 16, set_suffix_bits },
    { "unsplit_keyspaces", 1, set_unsplit },
};

tikv_error *
tikv_cluster_set(tikv_cluster *cluster, const char *name, uint64_t value)
{
    tikv_error *error = tk_public_check(cluster);
    size_t i;

    if (error != NULL) {
        return error;
    }
    for (i = 0; name != NULL && i < sizeof(knobs) / sizeof(knobs[0]); i++) {
        if (strcmp(knobs[i].name, name) != 0) {
            continue;
        }
        if (value > knobs[i].most) {
            return tk_error(TIKV_ERR_ARGUMENT, "%s is at most %llu", name,
                            (unsigned long long)knobs[i].most);
        }
        knobs[i].set(cluster->core, value);
        return NULL;
    }
    return tk_error(TIKV_ERR_ARGUMENT, "nothing is called \"%s\"",
                    name == NULL ? "" : name);
}
