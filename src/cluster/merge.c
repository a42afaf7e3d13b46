/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging a region with its right neighbour, in TiKV's steps. Prepared, the
 * source has a new epoch and takes no writes any more; then either the
 * neighbour takes its range and it is gone, or it goes on with a further
 * epoch. PD brings the peers together before; here they need not be.
 */
#include "base/error.h"
#include "cluster/inner.h"
#include "cluster/journal.h"

enum step { PREPARE, COMMIT, ROLLBACK, WHOLE };

static void
prepare(struct tk_cluster *cluster, struct tk_cl_region *source)
{
    tk_cl_pd_lags(cluster);
    source->is_merging = true;
    source->version++;
    source->conf_ver++;
    tk_journal_region(cluster->journal, source);
}

static tikv_error *
commit(struct tk_cluster *cluster, struct tk_cl_region *source,
       struct tk_cl_region *target)
{
    tk_cl_pd_lags(cluster);
    if (!tk_cl_region_join(cluster, source, target)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    /* The source has been read at timestamps that its store alone knew. */
    tk_cl_txn_lead(cluster, target, true);
    return NULL;
}

static void
roll_back(struct tk_cluster *cluster, struct tk_cl_region *source)
{
    tk_cl_pd_lags(cluster);
    source->is_merging = false;
    source->version++;
    tk_journal_region(cluster->journal, source);
}

static tikv_error *
check_step(const struct tk_cl_regions *all, size_t place, enum step step)
{
    const struct tk_cl_region *source = all->sorted[place];

    if (place + 1 == all->count) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "the last region has no right neighbour");
    }
    if (step == PREPARE && source->is_merging) {
        return tk_error(TIKV_ERR_ARGUMENT, "region %llu is merging already",
                        (unsigned long long)source->id);
    }
    if ((step == COMMIT || step == ROLLBACK) && !source->is_merging) {
        return tk_error(TIKV_ERR_ARGUMENT, "region %llu is not merging",
                        (unsigned long long)source->id);
    }
    if (all->sorted[place + 1]->is_merging || source->in_flashback ||
        all->sorted[place + 1]->in_flashback) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "region %llu or its neighbour is busy otherwise",
                        (unsigned long long)source->id);
    }
    return NULL;
}

static tikv_error *
take_step(struct tk_cluster *cluster, struct tk_cl_region *source,
          enum step step)
{
    struct tk_cl_regions *all = &cluster->regions;
    size_t place = tk_cl_region_place(all, tk_cl_region_start(source));
    tikv_error *error = check_step(all, place, step);

    if (error != NULL) {
        return error;
    }
    if (step == ROLLBACK) {
        roll_back(cluster, source);
    } else if (!source->is_merging) {
        prepare(cluster, source);
    }
    if (step == COMMIT || step == WHOLE) {
        error = commit(cluster, source, all->sorted[place + 1]);
    }
    if (step == WHOLE && error != NULL) {
        roll_back(cluster, source);
    }
    return error;
}

static tikv_error *
take_step_of(struct tk_cluster *cluster, uint64_t region_id, enum step step)
{
    struct tk_cl_region *source;
    tikv_error *error;

    tk_mutex_lock(&cluster->lock);
    source = tk_cl_region_by_id(&cluster->regions, region_id);
    error = source == NULL ? tk_error(TIKV_ERR_ARGUMENT, "no region %llu",
                                      (unsigned long long)region_id)
                           : take_step(cluster, source, step);
    tk_mutex_unlock(&cluster->lock);
    return error;
}

tikv_error *
tk_cluster_merge(struct tk_cluster *cluster, tikv_slice key)
{
    struct tk_cl_regions *all = &cluster->regions;
    tikv_error *error;

    tk_mutex_lock(&cluster->lock);
    error = take_step(cluster, all->sorted[tk_cl_region_place(all, key)],
                      WHOLE);
    tk_mutex_unlock(&cluster->lock);
    return error;
}

tikv_error *
tk_cluster_merge_prepare(struct tk_cluster *cluster, uint64_t region_id)
{
    return take_step_of(cluster, region_id, PREPARE);
}

tikv_error *
tk_cluster_merge_commit(struct tk_cluster *cluster, uint64_t region_id)
{
    return take_step_of(cluster, region_id, COMMIT);
}

tikv_error *
tk_cluster_merge_rollback(struct tk_cluster *cluster, uint64_t region_id)
{
    return take_step_of(cluster, region_id, ROLLBACK);
}
