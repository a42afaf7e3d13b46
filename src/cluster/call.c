/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary calls: find the node and the method, ask the fault rules, execute
 * under the lock, answer without it.
 */
#include <string.h>

#include "base/alloc.h"
#include "cluster/flow.h"

static const char *
find_metadata(const char *const *metadata, const char *name)
{
    size_t i;

    for (i = 0; metadata != NULL && metadata[i] != NULL; i += 2) {
        if (strcmp(metadata[i], name) == 0) {
            return metadata[i + 1];
        }
    }
    return NULL;
}

bool
tk_cl_node_is_up(const struct tk_cluster *cluster, tk_node node)
{
    uint64_t index = node & ~TK_NODE_STORE;

    if ((node & TK_NODE_STORE) != 0) {
        return tk_cl_store_is_up(cluster, index);
    }
    return index < cluster->members_count && cluster->members[index].is_up;
}

tk_node
tk_cl_node_of(const struct tk_cl_request *request)
{
    return request->store != NULL ? TK_NODE_STORE | request->store->id
                                  : request->member;
}

/* A relay: the node named instead of the one that was called. */
static int
follow_metadata(struct tk_cl_request *request, tk_node *node,
                const char *const *metadata)
{
    bool at_store = (*node & TK_NODE_STORE) != 0;
    const char *host = find_metadata(
        metadata, at_store ? "tikv-forwarded-host" : "pd-forwarded-host");
    const char *address = host;
    uint32_t mode;
    tk_node target;

    if (host == NULL || host[0] == '\0') {
        return TK_GRPC_OK;
    }
    if (strstr(host, "://") != NULL) {
        address = strstr(host, "://") + 3;
    }
    if (!tk_cl_resolve(request->cluster, address, &target) ||
        at_store != ((target & TK_NODE_STORE) != 0)) {
        return tk_cl_status(request,
                            at_store ? TK_GRPC_UNAVAILABLE
                                     : TK_GRPC_INVALID_ARGUMENT,
                            "cannot forward to %.100s", address);
    }
    if (tk_cl_is_cut(request->cluster, *node, target, &mode)) {
        return tk_cl_status(request, TK_GRPC_UNAVAILABLE,
                            "cannot reach %.100s", address);
    }
    *node = target;
    return TK_GRPC_OK;
}

int
tk_cl_address_request(struct tk_cl_request *request, tk_node node,
                      const char *const *metadata)
{
    struct tk_cluster *cluster = request->cluster;
    int status;

    if (!tk_cl_node_is_up(cluster, node)) {
        return tk_cl_status(request, TK_GRPC_UNAVAILABLE, "node is down");
    }
    request->follower_ok =
        find_metadata(metadata, "pd-allow-follower-handle") != NULL;
    status = follow_metadata(request, &node, metadata);
    if (status != TK_GRPC_OK) {
        return status;
    }
    if ((node & TK_NODE_STORE) != 0) {
        request->store = tk_cl_store(cluster, node & ~TK_NODE_STORE);
    } else {
        request->member = (uint32_t)node;
    }
    return TK_GRPC_OK;
}

static void
give_answer(struct tk_cluster_call *call, bool is_silent, int status,
            const char *text, const struct tk_buf *out)
{
    if (call == NULL) {
        return; /* adopted: nobody asks any more */
    }
    if (is_silent) {
        call->dropped(call);
    } else if (out->failed) {
        call->reply(call, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory",
                    (tikv_slice){ NULL, 0 });
    } else if (status == TK_GRPC_OK) {
        call->reply(call, status, "", tk_buf_slice(out));
    } else {
        call->reply(call, status, text, (tikv_slice){ NULL, 0 });
    }
}

static void
forget(struct tk_cl_delayed *delayed)
{
    if (delayed->prev != NULL) {
        delayed->prev->next = delayed->next;
    } else {
        delayed->cluster->delayed = delayed->next;
    }
    if (delayed->next != NULL) {
        delayed->next->prev = delayed->prev;
    }
}

static void
remember(struct tk_cl_delayed *delayed)
{
    delayed->next = delayed->cluster->delayed;
    if (delayed->next != NULL) {
        delayed->next->prev = delayed;
    }
    delayed->cluster->delayed = delayed;
}

void
tk_cl_calls_drop(struct tk_cluster *cluster)
{
    struct tk_cl_delayed *dropped = NULL;
    struct tk_cl_delayed *delayed;

    tk_mutex_lock(&cluster->lock);
    while ((delayed = cluster->delayed) != NULL) {
        forget(delayed);
        delayed->is_dropped = true;
        /* One that is firing is answered by its timer, now. */
        if (cluster->rt->ops->disarm(cluster->rt, &delayed->timer)) {
            cluster->pending--;
            tk_cl_delayed_forget(delayed);
            delayed->next = dropped;
            dropped = delayed;
        }
    }
    tk_mutex_unlock(&cluster->lock);
    while ((delayed = dropped) != NULL) {
        dropped = delayed->next;
        if (delayed->call != NULL) {
            delayed->call->dropped(delayed->call);
        }
        tk_cl_delayed_free(delayed);
    }
}

void
tk_cl_calls_break(struct tk_cluster *cluster, tk_node node)
{
    struct tk_cl_delayed *delayed;

    tk_mutex_lock(&cluster->lock);
    for (delayed = cluster->delayed; delayed != NULL;
         delayed = delayed->next) {
        if (!delayed->is_done && tk_cl_node_of(&delayed->request) == node) {
            cluster->rt->ops->arm(cluster->rt, &delayed->timer,
                                  tk_now(cluster->rt));
        }
    }
    tk_mutex_unlock(&cluster->lock);
}

static void
fire(struct tk_timer *timer)
{
    struct tk_cl_delayed *delayed = (struct tk_cl_delayed *)timer;
    struct tk_cluster *cluster = delayed->cluster;
    int64_t due;
    bool is_held;

    tk_mutex_lock(&cluster->lock);
    due = tk_cl_delayed_step(delayed);
    if (due != TK_CL_READY && !delayed->is_dropped) {
        cluster->rt->ops->arm(cluster->rt, timer, due);
        tk_cl_unlock(cluster);
        tk_cl_streams_push(cluster);
        return;
    }
    if (!delayed->is_dropped) {
        forget(delayed);
    }
    tk_cl_delayed_forget(delayed);
    is_held = !delayed->plan.silent &&
              tk_cl_hold(cluster, delayed->call, delayed->status,
                         delayed->request.text, &delayed->out);
    tk_cl_unlock(cluster);
    if (!is_held) {
        give_answer(delayed->call, delayed->plan.silent, delayed->status,
                    delayed->request.text, &delayed->out);
    }
    tk_cl_delayed_free(delayed);
    tk_cl_streams_push(cluster);
    /* Last: the cluster may be gone afterwards. */
    tk_mutex_lock(&cluster->lock);
    tk_cl_delayed_gone(cluster);
}

void
tk_cl_call_adopt(struct tk_cl_delayed *delayed)
{
    struct tk_cluster *cluster = delayed->cluster;

    delayed->call = NULL;
    delayed->stream = NULL;
    delayed->request.stream = NULL;
    delayed->plan.silent = true;
    delayed->request.is_orphan = true;
    delayed->prev = NULL;
    delayed->timer.fn = fire;
    remember(delayed);
    cluster->rt->ops->arm(cluster->rt, &delayed->timer,
                          tk_cl_delayed_due(delayed));
}

/* Hands the request to a timer: not run yet (TK_GRPC_OK and no `out`),
 * parked, or run with the answer in `out`. False without memory. */
static bool
delay(const struct tk_cl_request *request, const struct tk_cl_plan *plan,
      struct tk_cluster_call *call, const struct tk_buf *out, int status)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_delayed *delayed = tk_cl_delayed_new(request, plan);
    int64_t due;

    if (delayed == NULL) {
        return false;
    }
    delayed->call = call;
    delayed->timer.fn = fire;
    due = out != NULL ? tk_cl_delayed_begin_after(delayed, status, out)
                      : tk_cl_delayed_begin(delayed, status);
    cluster->pending++;
    remember(delayed);
    cluster->rt->ops->arm(cluster->rt, &delayed->timer, due);
    return true;
}

/* With the lock; true when the answer has to wait. */
static bool
execute(struct tk_cl_request *request, struct tk_cl_plan *plan,
        struct tk_cluster_call *call, int *status)
{
    tk_cl_count(request->cluster, request->method);
    tk_cl_plan(request, plan);
    tk_cl_store_burden(request, plan);
    if (tk_cl_holds(&plan->before) &&
        delay(request, plan, call, NULL, TK_GRPC_OK)) {
        return true;
    }
    *status = tk_cl_run_planned(request, plan);
    if (*status == TK_CL_PARKED) {
        if (delay(request, plan, call, NULL, *status)) {
            return true;
        }
        tk_cl_wait_forget(request);
        tk_cl_stop_forget(request);
        *status = tk_cl_status(request, TK_GRPC_RESOURCE_EXHAUSTED,
                               "out of memory");
    }
    return tk_cl_holds(&plan->after) &&
           delay(request, plan, call, request->out, *status);
}

void
tk_cluster_unary(struct tk_cluster *cluster, tk_node node, const char *path,
                 const char *const *metadata, tikv_slice bytes,
                 struct tk_cluster_call *call)
{
    struct tk_cl_request request;
    struct tk_cl_plan plan;
    struct tk_buf out;
    bool is_waiting = false;
    bool has_news;
    int status;

    memset(&request, 0, sizeof(request));
    memset(&plan, 0, sizeof(plan));
    tk_buf_init(&out, SIZE_MAX / 4);
    request.cluster = cluster;
    request.method = tk_cl_method_by_path(path);
    request.body = bytes;
    request.out = &out;
    request.arrived = tk_now(cluster->rt);
    request.client = call->client;
    tk_mutex_lock(&cluster->lock);
    status = tk_cl_address_request(&request, node, metadata);
    if (status == TK_GRPC_OK && request.method == NULL) {
        status = tk_cl_status(&request, TK_GRPC_UNIMPLEMENTED,
                              "unknown method %.100s", path);
    } else if (status == TK_GRPC_OK) {
        is_waiting = execute(&request, &plan, call, &status);
    }
    has_news = cluster->has_news;
    is_waiting = is_waiting ||
                 (!plan.silent && tk_cl_hold(cluster, call, status,
                                             request.text, &out));
    tk_cl_unlock(cluster);
    /* Before the answer: who has it may free the cluster. */
    if (has_news) {
        tk_cl_streams_push(cluster);
    }
    if (!is_waiting) {
        give_answer(call, plan.silent, status, request.text, &out);
    }
    tk_buf_fini(&out);
}
