/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of <tikv/cluster.h> that says how regions, peers and stores are:
 * merges under way, kinds and states of peers, safe timestamps, and what
 * makes a store slow, busy, full or silent.
 */
#include "cluster/serve/public.h"

/* ---- regions and peers ---- */

tikv_error *
tikv_cluster_merge_prepare(tikv_cluster *cluster, uint64_t region_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_merge_prepare(cluster->core, region_id);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_merge_commit(tikv_cluster *cluster, uint64_t region_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_merge_commit(cluster->core, region_id);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_merge_rollback(tikv_cluster *cluster, uint64_t region_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_merge_rollback(cluster->core, region_id);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_peer_set(tikv_cluster *cluster, uint64_t region_id,
                      uint64_t store_id, uint32_t kind)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_peer_set(cluster->core, region_id, store_id, kind);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_peer_state(tikv_cluster *cluster, uint64_t region_id,
                        uint64_t store_id, uint32_t state)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_peer_state(cluster->core, region_id, store_id,
                                      state);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_region_recovering(tikv_cluster *cluster, uint64_t region_id,
                               bool is_recovering)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_region_recovering(cluster->core, region_id,
                                             is_recovering);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_safe_ts_hold(tikv_cluster *cluster, uint64_t region_id,
                          uint64_t store_id, uint64_t ts)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_safe_ts_hold(cluster->core, region_id, store_id, ts);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_safe_ts_release(tikv_cluster *cluster, uint64_t region_id,
                             uint64_t store_id)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_safe_ts_release(cluster->core, region_id, store_id);
    }
    return tk_public_settle(cluster, error);
}

uint64_t
tikv_cluster_safe_ts(tikv_cluster *cluster, uint64_t region_id,
                     uint64_t store_id)
{
    return cluster == NULL
               ? 0
               : tk_cluster_safe_ts(cluster->core, region_id, store_id);
}

/* ---- stores ---- */

tikv_error *
tikv_cluster_store_offline(tikv_cluster *cluster, uint64_t store_id,
                           bool is_offline)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_offline(cluster->core, store_id, is_offline);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_pause(tikv_cluster *cluster, uint64_t store_id,
                         bool is_paused)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_pause(cluster->core, store_id, is_paused);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_slow(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t latency_ms)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_slow(cluster->core, store_id, latency_ms);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_score(tikv_cluster *cluster, uint64_t store_id,
                         uint32_t score)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_score(cluster->core, store_id, score);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_busy(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t wait_ms, bool refuses_writes)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_busy(cluster->core, store_id, wait_ms,
                                      refuses_writes);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_disk(tikv_cluster *cluster, uint64_t store_id,
                        uint32_t level)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_disk(cluster->core, store_id, level);
    }
    return tk_public_settle(cluster, error);
}

tikv_error *
tikv_cluster_store_unsynced(tikv_cluster *cluster, uint64_t store_id,
                            bool is_unsynced)
{
    tikv_error *error = tk_public_check(cluster);

    if (error == NULL) {
        error = tk_cluster_store_unsynced(cluster->core, store_id, is_unsynced);
    }
    return tk_public_settle(cluster, error);
}
