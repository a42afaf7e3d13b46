/* SPDX-License-Identifier: Apache-2.0 */
/* The part of <tikv/cluster.h> that is faults: rules, barriers, nemeses, cuts
 * in the network, and counts of what was seen. */
#include "cluster/serve/public.h"

tikv_error *
tikv_cluster_fault(tikv_cluster *cluster, const char *rule, uint64_t *id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && rule == NULL) {
        error = tk_public_wrong("rule is NULL");
    }
    return error != NULL ? error : tk_cluster_fault(cluster->core, rule, id);
}

void
tikv_cluster_fault_remove(tikv_cluster *cluster, uint64_t id)
{
    if (cluster != NULL) {
        tk_cluster_fault_remove(cluster->core, id);
    }
}

uint64_t
tikv_cluster_fault_hits(tikv_cluster *cluster, uint64_t id)
{
    return cluster == NULL ? 0 : tk_cluster_fault_hits(cluster->core, id);
}

bool
tikv_cluster_barrier_wait(tikv_cluster *cluster, const char *name,
                          uint64_t count, int64_t timeout_ms)
{
    return cluster != NULL && name != NULL &&
           tk_cluster_barrier_wait(cluster->core, name, count, timeout_ms);
}

tikv_error *
tikv_cluster_barrier_release(tikv_cluster *cluster, const char *name,
                             const char *action, uint64_t *count)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && name == NULL) {
        error = tk_public_wrong("name is NULL");
    }
    return error != NULL ? error
                         : tk_cluster_barrier_release(cluster->core, name,
                                                      action, count);
}

tikv_error *
tikv_cluster_nemesis(tikv_cluster *cluster, const char *preset,
                     uint32_t intensity, uint64_t seed)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && preset == NULL) {
        error = tk_public_wrong("preset is NULL");
    }
    return error != NULL
               ? error
               : tk_cluster_nemesis(cluster->core, preset, intensity, seed);
}

tikv_error *
tikv_cluster_partition(tikv_cluster *cluster, const char *a, const char *b,
                       bool rejects, uint64_t *id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL && (a == NULL || b == NULL)) {
        error = tk_public_wrong("a party is NULL");
    }
    return error != NULL ? error
                         : tk_cluster_partition(cluster->core, a, b, 0,
                                                rejects, id);
}

void
tikv_cluster_heal(tikv_cluster *cluster, uint64_t id)
{
    if (cluster != NULL) {
        tk_cluster_heal(cluster->core, id);
    }
}

uint64_t
tikv_cluster_seen(tikv_cluster *cluster, const char *method, const char *what)
{
    return cluster == NULL || what == NULL
               ? 0
               : tk_cluster_seen(cluster->core, method, what);
}
