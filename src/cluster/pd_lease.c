/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases of etcd on the cluster's clock: one timer for the one that ends
 * first. The cluster counts the armed timer as pending, so that it is not
 * freed while the timer fires.
 */
#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/journal.h"
#include "cluster/pd.h"

struct tk_cl_lease *
tk_cl_lease_find(struct tk_cluster *cluster, int64_t id)
{
    struct tk_cl_lease *lease = cluster->pd->leases;

    while (lease != NULL && lease->id != id) {
        lease = lease->next;
    }
    return lease;
}

struct tk_cl_lease *
tk_cl_lease_add(struct tk_cluster *cluster, int64_t id, int64_t ttl_s)
{
    struct tk_cl_lease **link = &cluster->pd->leases;
    struct tk_cl_lease *lease = tk_calloc(sizeof(*lease));

    if (lease == NULL) {
        return NULL;
    }
    while (id == 0 || tk_cl_lease_find(cluster, id) != NULL) {
        id = ++cluster->pd->leases_last;
    }
    lease->id = id;
    lease->ttl_s = ttl_s;
    lease->ends_ms = tk_cl_wall_ms(cluster) + ttl_s * 1000;
    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = lease;
    tk_journal_lease(cluster->journal, lease);
    return lease;
}

void
tk_cl_lease_forget(struct tk_cluster *cluster, int64_t id)
{
    struct tk_cl_lease **link = &cluster->pd->leases;
    struct tk_cl_lease *lease;

    while (*link != NULL && (*link)->id != id) {
        link = &(*link)->next;
    }
    lease = *link;
    if (lease != NULL) {
        *link = lease->next;
        tk_free(lease);
        tk_journal_lease_gone(cluster->journal, id);
    }
}

/* The keys of a lease, one transaction. */
static bool
delete_keys(struct tk_cluster *cluster, int64_t id)
{
    struct tk_ledger *ledger = &cluster->pd->ledger;
    struct tk_cl_map_at at = tk_ledger_from(ledger, tk_slice(NULL, 0));
    bool ok = true;

    /* Open, the log is not compacted and the map keeps its items. */
    tk_ledger_begin(ledger);
    for (; ok && at.item != NULL; tk_cl_map_next(&at)) {
        const struct tk_ledger_version *newest = tk_ledger_item(&at)->newest;

        if (newest->lease == id && !tk_ledger_is_deleted(newest)) {
            ok = tk_ledger_delete(ledger, at.item->key);
        }
    }
    tk_ledger_end(ledger);
    return ok;
}

bool
tk_cl_lease_revoke(struct tk_cluster *cluster, int64_t id)
{
    bool done = tk_cl_lease_find(cluster, id) == NULL ||
                delete_keys(cluster, id);

    if (done) {
        tk_cl_lease_forget(cluster, id);
    }
    return done;
}

static const struct tk_cl_lease *
first_to_end(const struct tk_cluster *cluster)
{
    const struct tk_cl_lease *first = cluster->pd->leases;
    const struct tk_cl_lease *lease = first;

    for (; lease != NULL; lease = lease->next) {
        if (lease->ends_ms < first->ends_ms) {
            first = lease;
        }
    }
    return first;
}

static void
fire(struct tk_timer *timer)
{
    struct tk_cl_pd *pd =
        (struct tk_cl_pd *)(void *)((char *)timer -
                                    offsetof(struct tk_cl_pd, lease_timer));
    struct tk_cluster *cluster = pd->cluster;
    const struct tk_cl_lease *first;

    tk_mutex_lock(&cluster->lock);
    pd->lease_armed = false;
    while ((first = first_to_end(cluster)) != NULL &&
           first->ends_ms <= tk_cl_wall_ms(cluster) &&
           tk_cl_lease_revoke(cluster, first->id)) {
    }
    tk_cl_lease_arm(cluster);
    tk_cl_pd_tell(cluster);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    /* Last: the cluster may be gone afterwards. */
    tk_mutex_lock(&cluster->lock);
    tk_cl_delayed_gone(cluster);
}

void
tk_cl_lease_arm(struct tk_cluster *cluster)
{
    struct tk_runtime *rt = cluster->rt;
    struct tk_cl_pd *pd = cluster->pd;
    const struct tk_cl_lease *first = first_to_end(cluster);
    int64_t wait_ms;

    if (pd->lease_armed) {
        if (!rt->ops->disarm(rt, &pd->lease_timer)) {
            return; /* it is firing, and arms anew when it is through */
        }
        pd->lease_armed = false;
        cluster->pending--;
    }
    if (first == NULL || pd->is_closing) {
        return;
    }
    wait_ms = first->ends_ms - tk_cl_wall_ms(cluster);
    pd->lease_timer.fn = fire;
    pd->lease_armed = true;
    cluster->pending++;
    rt->ops->arm(rt, &pd->lease_timer,
                 tk_after(tk_now(rt), (wait_ms > 0 ? wait_ms : 1) * TK_MS));
}

void
tk_cl_leases_free(struct tk_cluster *cluster)
{
    while (cluster->pd->leases != NULL) {
        struct tk_cl_lease *lease = cluster->pd->leases;

        cluster->pd->leases = lease->next;
        tk_free(lease);
    }
}
