/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where requests are held: for a time, at a gate (a barrier of a rule) until
 * a test lets them go, or until others have overtaken them. Holding needs no
 * thread: the request sleeps on its timer, which is also the bound of every
 * wait. Tests wait for arrivals on their own parkers.
 */
#include "cluster/flow.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "cluster/fault.h"

/* A test that waits; on its own stack. */
struct tk_cl_watcher {
    struct tk_cl_watcher *next;
    struct tk_parker *parker;
};

static struct tk_cl_gate *
find_gate(struct tk_cluster *cluster, const char *name)
{
    struct tk_cl_gate *gate = cluster->gates;

    while (gate != NULL && strcmp(gate->name, name) != 0) {
        gate = gate->next;
    }
    return gate;
}

struct tk_cl_gate *
tk_cl_gate(struct tk_cluster *cluster, const char *name)
{
    struct tk_cl_gate *gate = find_gate(cluster, name);
    size_t len = strlen(name) + 1;

    if (gate == NULL) {
        gate = tk_calloc(sizeof(*gate) + len);
        if (gate != NULL) {
            memcpy(gate->name, name, len);
            gate->next = cluster->gates;
            cluster->gates = gate;
        }
    }
    return gate;
}

void
tk_cl_gates_fini(struct tk_cluster *cluster)
{
    while (cluster->gates != NULL) {
        struct tk_cl_gate *gate = cluster->gates;

        cluster->gates = gate->next;
        tk_free(gate);
    }
}

/* ---- holding ---- */

static void
ring_watchers(struct tk_cluster *cluster)
{
    struct tk_cl_watcher *watcher;

    for (watcher = cluster->watchers; watcher != NULL;
         watcher = watcher->next) {
        if (tk_ring(watcher->parker)) {
            tk_cl_owe_wake(cluster, watcher->parker);
        }
    }
}

int64_t
tk_cl_hold_begin(struct tk_cl_delayed *delayed, const struct tk_cl_hold *hold)
{
    struct tk_cluster *cluster = delayed->cluster;

    if (hold->gate != NULL) {
        struct tk_cl_delayed **link = &hold->gate->first;

        while (*link != NULL) {
            link = &(*link)->behind;
        }
        *link = delayed;
        delayed->behind = NULL;
        delayed->gate = hold->gate;
        hold->gate->arrived++;
        ring_watchers(cluster);
    }
    if (hold->rule != 0) {
        delayed->overtaken_at = hold->rule;
        delayed->left = hold->left;
        delayed->held = cluster->held;
        cluster->held = delayed;
    }
    return tk_after(tk_now(cluster->rt), hold->ns);
}

void
tk_cl_hold_end(struct tk_cl_delayed *delayed)
{
    struct tk_cl_delayed **link;

    if (delayed->gate != NULL) {
        link = &delayed->gate->first;
        while (*link != delayed) {
            link = &(*link)->behind;
        }
        *link = delayed->behind;
        delayed->gate = NULL;
    }
    if (delayed->overtaken_at != 0) {
        link = &delayed->cluster->held;
        while (*link != delayed) {
            link = &(*link)->held;
        }
        *link = delayed->held;
        delayed->overtaken_at = 0;
    }
}

void
tk_cl_delayed_go(struct tk_cl_delayed *delayed)
{
    struct tk_runtime *rt = delayed->cluster->rt;

    tk_cl_hold_end(delayed);
    /* If not, it is firing, and goes on by itself. */
    if (rt->ops->disarm(rt, &delayed->timer)) {
        rt->ops->arm(rt, &delayed->timer, tk_now(rt));
    }
}

void
tk_cl_hold_overtake(struct tk_cluster *cluster, uint64_t rule)
{
    struct tk_cl_delayed *delayed = cluster->held;

    while (delayed != NULL) {
        struct tk_cl_delayed *next = delayed->held;

        if (delayed->overtaken_at == rule &&
            (delayed->left == 0 || --delayed->left == 0)) {
            tk_cl_delayed_go(delayed);
        }
        delayed = next;
    }
}

/* ---- what tests do ---- */

static uint64_t
waiting_at(struct tk_cluster *cluster, const char *name)
{
    const struct tk_cl_gate *gate = find_gate(cluster, name);
    const struct tk_cl_delayed *delayed = gate == NULL ? NULL : gate->first;
    uint64_t count = 0;

    for (; delayed != NULL; delayed = delayed->behind) {
        count++;
    }
    return count;
}

uint64_t
tk_cluster_barrier_waiting(struct tk_cluster *cluster, const char *name)
{
    uint64_t count;

    tk_mutex_lock(&cluster->lock);
    count = waiting_at(cluster, name);
    tk_mutex_unlock(&cluster->lock);
    return count;
}

static void
unwatch(struct tk_cluster *cluster, struct tk_cl_watcher *watcher)
{
    struct tk_cl_watcher **link = &cluster->watchers;

    while (*link != watcher) {
        link = &(*link)->next;
    }
    *link = watcher->next;
}

bool
tk_cluster_barrier_wait(struct tk_cluster *cluster, const char *name,
                        uint64_t count, int64_t timeout_ms)
{
    struct tk_runtime *rt = cluster->rt;
    struct tk_cl_watcher watcher = { NULL, tk_self(rt) };
    int64_t until = tk_after(tk_now(rt), timeout_ms * TK_MS);
    bool is_there;

    if (watcher.parker == NULL) {
        return false;
    }
    tk_mutex_lock(&cluster->lock);
    watcher.next = cluster->watchers;
    cluster->watchers = &watcher;
    for (;;) {
        tk_park_begin(watcher.parker);
        is_there = waiting_at(cluster, name) >= count;
        if (is_there || tk_now(rt) >= until) {
            break;
        }
        tk_mutex_unlock(&cluster->lock);
        rt->ops->park(rt, watcher.parker, until);
        tk_mutex_lock(&cluster->lock);
    }
    unwatch(cluster, &watcher);
    tk_mutex_unlock(&cluster->lock);
    return is_there;
}

/* What the release wants of a request instead of what its rule said. */
static void
redirect(struct tk_cl_delayed *delayed, const struct tk_cl_actions *actions)
{
    struct tk_cl_request *request = &delayed->request;
    struct tk_cl_rule none;
    bool was_silent = delayed->plan.silent;
    bool is_moved = false;
    size_t i;

    memset(&none, 0, sizeof(none));
    for (i = 0; i < actions->count; i++) {
        tk_cl_carry_out(request, &none, &actions->list[i], &delayed->plan,
                        delayed->is_done || actions->list[i].is_after,
                        &is_moved);
    }
    if (delayed->is_done && delayed->plan.silent && !was_silent) {
        delayed->cluster->silenced++;
    }
    if (delayed->is_done && delayed->plan.has_error) {
        tk_cl_answer_error(request, &delayed->plan.error);
    } else if (delayed->is_done && delayed->plan.status != TK_GRPC_OK) {
        delayed->status = tk_cl_status(request, delayed->plan.status,
                                       "injected at a barrier");
    }
}

tikv_error *
tk_cluster_barrier_release(struct tk_cluster *cluster, const char *name,
                           const char *action, uint64_t *count)
{
    struct tk_cl_actions actions;
    struct tk_cl_gate *gate;
    tikv_error *error;
    uint64_t released = 0;

    memset(&actions, 0, sizeof(actions));
    if (action != NULL && *action != '\0') {
        error = tk_cl_actions_parse(action, &actions);
        if (error != NULL) {
            return error;
        }
    }
    tk_mutex_lock(&cluster->lock);
    gate = find_gate(cluster, name);
    while (gate != NULL && gate->first != NULL) {
        struct tk_cl_delayed *delayed = gate->first;

        redirect(delayed, &actions);
        tk_cl_delayed_go(delayed);
        released++;
    }
    tk_mutex_unlock(&cluster->lock);
    tk_cl_streams_push(cluster);
    tk_cl_actions_fini(&actions);
    if (count != NULL) {
        *count = released;
    }
    return NULL;
}
