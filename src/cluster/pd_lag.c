/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD that learns late. While it lags, the regions and addresses as they were
 * before each change are kept for the length of the lag, and PD tells the
 * oldest of these. Without a lag nothing is kept and nothing costs.
 */
#include <string.h>

#include "base/alloc.h"
#include "cluster/inner.h"

enum { LAGS_MAX = 256 };

struct tk_cl_lag {
    struct tk_cl_lag *next;
    int64_t until_ms;
    struct tk_cl_regions regions;
    char addresses[][TK_CL_ADDRESS_MAX]; /* by store */
};

static void
drop_oldest(struct tk_cluster *cluster)
{
    struct tk_cl_lag *lag = cluster->lags;

    cluster->lags = lag->next;
    tk_cl_regions_fini(&lag->regions);
    tk_free(lag);
}

/* What PD believes; NULL: what is. */
static struct tk_cl_lag *
belief(struct tk_cluster *cluster)
{
    int64_t now_ms = cluster->lags == NULL ? 0 : tk_cl_wall_ms(cluster);

    while (cluster->lags != NULL && cluster->lags->until_ms <= now_ms) {
        drop_oldest(cluster);
    }
    return cluster->lags;
}

static bool
copy_regions(const struct tk_cl_regions *from, struct tk_cl_regions *to)
{
    size_t i;

    for (i = 0; i < from->count; i++) {
        struct tk_cl_region *copy = tk_cl_region_copy(from->sorted[i]);

        if (copy == NULL || !tk_cl_regions_add(to, copy)) {
            tk_cl_region_free(copy);
            return false;
        }
    }
    return true;
}

/* Without memory PD learns at once. */
static struct tk_cl_lag *
lag_new(const struct tk_cluster *cluster)
{
    struct tk_cl_lag *lag =
        tk_calloc(sizeof(*lag) +
                  cluster->stores_count * sizeof(lag->addresses[0]));
    uint32_t i;

    if (lag == NULL) {
        return NULL;
    }
    for (i = 0; i < cluster->stores_count; i++) {
        memcpy(lag->addresses[i], cluster->stores[i].address,
               TK_CL_ADDRESS_MAX);
    }
    if (!copy_regions(&cluster->regions, &lag->regions)) {
        tk_cl_regions_fini(&lag->regions);
        tk_free(lag);
        return NULL;
    }
    return lag;
}

void
tk_cl_pd_lags(struct tk_cluster *cluster)
{
    struct tk_cl_lag **link = &cluster->lags;
    struct tk_cl_lag *made;
    int64_t until_ms;
    size_t count = 0;

    if (cluster->pd_lag_ms == 0) {
        return;
    }
    until_ms = tk_cl_wall_ms(cluster) + cluster->pd_lag_ms;
    for (; *link != NULL; link = &(*link)->next) {
        if ((*link)->until_ms == until_ms) {
            return; /* one change in many steps */
        }
        count++;
    }
    made = lag_new(cluster);
    if (made == NULL) {
        return;
    }
    made->until_ms = until_ms;
    *link = made;
    if (count == LAGS_MAX) {
        drop_oldest(cluster);
    }
}

const struct tk_cl_regions *
tk_cl_pd_regions(struct tk_cluster *cluster)
{
    const struct tk_cl_lag *lag = belief(cluster);

    return lag == NULL ? &cluster->regions : &lag->regions;
}

const char *
tk_cl_pd_address(struct tk_cluster *cluster, const struct tk_cl_store *store)
{
    const struct tk_cl_lag *lag = belief(cluster);

    return lag == NULL ? store->address : lag->addresses[store->id - 1];
}

void
tk_cl_pd_lag_fini(struct tk_cluster *cluster)
{
    while (cluster->lags != NULL) {
        drop_oldest(cluster);
    }
}

void
tk_cluster_pd_lag(struct tk_cluster *cluster, uint32_t ms)
{
    tk_mutex_lock(&cluster->lock);
    cluster->pd_lag_ms = ms;
    if (ms == 0) {
        tk_cl_pd_lag_fini(cluster);
    }
    tk_mutex_unlock(&cluster->lock);
}
