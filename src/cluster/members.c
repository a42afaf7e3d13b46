/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members of PD: who leads them, stopping, starting and resigning. A leader
 * begins behind every timestamp that the one before may have given.
 */
#include "base/error.h"
#include "cluster/inner.h"

static void
set_leader(struct tk_cluster *cluster, uint32_t member)
{
    cluster->leader = member;
    cluster->leader_held = false;
    cluster->members[member].has_led = true;
    tk_cl_tso_lead(cluster);
    tk_cl_pd_publish(cluster);
}

static void
elect(struct tk_cluster *cluster)
{
    uint32_t i;

    cluster->leader = UINT32_MAX;
    for (i = 0; i < cluster->members_count; i++) {
        if (cluster->members[i].is_up) {
            set_leader(cluster, i);
            return;
        }
    }
}

static tikv_error *
check_member(const struct tk_cluster *cluster, uint32_t member)
{
    return member < cluster->members_count
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "no member %u", member);
}

tikv_error *
tk_cluster_pd_stop(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);
    bool was_up;

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    was_up = cluster->members[member].is_up;
    cluster->members[member].is_up = false;
    if (was_up && cluster->leader == member) {
        elect(cluster);
        tk_cl_pd_publish(cluster);
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    if (was_up) {
        tk_cl_tell(cluster, member, false, false);
    }
    return NULL;
}

tikv_error *
tk_cluster_pd_start(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);
    bool was_up;

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    was_up = cluster->members[member].is_up;
    if (!was_up) {
        cluster->members[member].is_up = true;
        cluster->members[member].has_led = false;
        if (cluster->leader == UINT32_MAX && !cluster->leader_held) {
            elect(cluster);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (!was_up) {
        tk_cl_tell(cluster, member, true, false);
    }
    return NULL;
}

tikv_error *
tk_cluster_pd_transfer(struct tk_cluster *cluster, uint32_t member)
{
    tikv_error *error = check_member(cluster, member);

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&cluster->lock);
    if (!cluster->members[member].is_up) {
        error = tk_error(TIKV_ERR_ARGUMENT, "member %u is down", member);
    } else if (cluster->leader != member) {
        set_leader(cluster, member);
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    return error;
}

void
tk_cluster_pd_leaderless(struct tk_cluster *cluster)
{
    tk_mutex_lock(&cluster->lock);
    cluster->leader = UINT32_MAX;
    cluster->leader_held = true;
    tk_cl_pd_publish(cluster);
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
}

uint32_t
tk_cluster_pd_leader(struct tk_cluster *cluster)
{
    uint32_t leader;

    tk_mutex_lock(&cluster->lock);
    leader = cluster->leader;
    tk_mutex_unlock(&cluster->lock);
    return leader;
}

/* ---- deeds of rules ---- */

bool
tk_cl_member_drop(struct tk_cluster *cluster, uint32_t member)
{
    if (member >= cluster->members_count || !cluster->members[member].is_up) {
        return false;
    }
    cluster->members[member].is_up = false;
    if (cluster->leader == member) {
        elect(cluster);
        tk_cl_pd_publish(cluster);
    }
    return true;
}

bool
tk_cl_member_raise(struct tk_cluster *cluster, uint32_t member)
{
    if (member >= cluster->members_count || cluster->members[member].is_up) {
        return false;
    }
    cluster->members[member].is_up = true;
    cluster->members[member].has_led = false;
    if (cluster->leader == UINT32_MAX && !cluster->leader_held) {
        elect(cluster);
    }
    return true;
}

void
tk_cl_member_lead(struct tk_cluster *cluster, uint32_t member)
{
    if (cluster->members[member].is_up) {
        set_leader(cluster, member);
    } else {
        elect(cluster);
    }
}
