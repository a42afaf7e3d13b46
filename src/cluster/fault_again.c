/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that come again: copies that are executed later, after a time or
 * behind an event, as a network or a client does that sends twice. Nobody is
 * answered. A copy is a delayed request without a caller.
 */
#include <string.h>

#include "base/alloc.h"
#include "cluster/fault.h"

enum { ECHOES_MAX = 4096 };

struct echo {
    struct tk_cl_delayed delayed; /* first */
    bool waits;                   /* for an event */
    uint32_t event;
    uint64_t start_ts;
    uint64_t region_id;
    char method[TK_NAME_MAX];
};

static struct echo *
echo_of(struct tk_cl_delayed *delayed)
{
    return (struct echo *)(void *)delayed;
}

static void
unlist(struct tk_cl_delayed *delayed)
{
    if (delayed->prev != NULL) {
        delayed->prev->next = delayed->next;
    } else {
        delayed->cluster->echoes = delayed->next;
    }
    if (delayed->next != NULL) {
        delayed->next->prev = delayed->prev;
    }
}

static void
fire(struct tk_timer *timer)
{
    struct tk_cl_delayed *delayed = (struct tk_cl_delayed *)timer;
    struct tk_cluster *cluster = delayed->cluster;
    int64_t due;

    tk_mutex_lock(&cluster->lock);
    due = tk_cl_delayed_step(delayed);
    if (due != TK_CL_READY && !delayed->is_dropped) {
        cluster->rt->ops->arm(cluster->rt, timer, due);
        tk_cl_unlock(cluster);
        tk_cl_streams_push(cluster);
        return;
    }
    if (!delayed->is_dropped) {
        unlist(delayed);
    }
    tk_cl_delayed_forget(delayed);
    tk_cl_delayed_free(delayed);
    tk_cl_unlock(cluster);
    tk_cl_streams_push(cluster);
    /* Last: the cluster may be gone afterwards. */
    tk_mutex_lock(&cluster->lock);
    tk_cl_delayed_gone(cluster);
}

static struct echo *
echo_new(const struct tk_cl_request *request)
{
    struct tk_cluster *cluster = request->cluster;
    struct tk_cl_delayed *copy = cluster->pending < ECHOES_MAX
                                     ? tk_calloc(sizeof(struct echo))
                                     : NULL;

    if (copy == NULL) {
        return NULL;
    }
    copy->cluster = cluster;
    copy->timer.fn = fire;
    copy->request = *request;
    copy->request.plan = NULL;
    copy->request.stop = NULL;
    copy->request.waiter = NULL;
    copy->request.stream = NULL;
    copy->request.is_orphan = true;
    copy->request.passed = TK_STAGE_RECV;
    tk_buf_init(&copy->body, SIZE_MAX / 4);
    tk_buf_init(&copy->out, SIZE_MAX / 4);
    tk_buf_append_slice(&copy->body, request->body);
    copy->request.body = tk_buf_slice(&copy->body);
    copy->request.out = &copy->out;
    copy->request.out_start = 0;
    copy->next = cluster->echoes;
    if (copy->next != NULL) {
        copy->next->prev = copy;
    }
    cluster->echoes = copy;
    cluster->pending++;
    return echo_of(copy);
}

void
tk_cl_again_later(struct tk_cl_request *request, uint64_t count, uint64_t ms)
{
    struct tk_runtime *rt = request->cluster->rt;
    uint64_t i;

    for (i = 1; i <= count; i++) {
        struct echo *echo = echo_new(request);

        if (echo == NULL) {
            return;
        }
        rt->ops->arm(rt, &echo->delayed.timer,
                     tk_after(tk_now(rt),
                              (int64_t)(i * ms % INT32_MAX) * TK_MS));
    }
}

void
tk_cl_again_when(struct tk_cl_request *request,
                 const struct tk_cl_action *action)
{
    struct tk_runtime *rt = request->cluster->rt;
    struct echo *echo = echo_new(request);

    if (echo == NULL) {
        return;
    }
    echo->waits = true;
    echo->event = action->choice;
    echo->start_ts = tk_cl_start_ts_of(request);
    echo->region_id = tk_cl_region_id_of(request);
    memcpy(echo->method, action->name, sizeof(echo->method));
    rt->ops->arm(rt, &echo->delayed.timer, TK_NEVER);
}

static void
go(struct echo *echo)
{
    echo->waits = false;
    tk_cl_delayed_go(&echo->delayed);
}

void
tk_cl_again_executed(struct tk_cl_request *request)
{
    struct tk_cl_delayed *delayed = request->cluster->echoes;
    uint64_t start_ts = tk_cl_start_ts_of(request);

    for (; delayed != NULL; delayed = delayed->next) {
        struct echo *echo = echo_of(delayed);

        if (echo->waits && echo->event == TK_EVENT_METHOD &&
            tk_cl_glob_matches(echo->method, request->method->label) &&
            (echo->start_ts == 0 || start_ts == 0 ||
             echo->start_ts == start_ts)) {
            go(echo);
        }
    }
}

void
tk_cl_again_led(struct tk_cluster *cluster, const struct tk_cl_region *region)
{
    struct tk_cl_delayed *delayed = cluster->echoes;

    for (; delayed != NULL; delayed = delayed->next) {
        struct echo *echo = echo_of(delayed);

        if (echo->waits && echo->event == TK_EVENT_LEADER &&
            echo->region_id == region->id) {
            go(echo);
        }
    }
}

void
tk_cl_again_drop(struct tk_cluster *cluster)
{
    struct tk_cl_delayed *delayed;

    tk_mutex_lock(&cluster->lock);
    while ((delayed = cluster->echoes) != NULL) {
        cluster->echoes = delayed->next;
        if (cluster->echoes != NULL) {
            cluster->echoes->prev = NULL;
        }
        delayed->is_dropped = true;
        if (cluster->rt->ops->disarm(cluster->rt, &delayed->timer)) {
            cluster->pending--;
            tk_cl_delayed_forget(delayed);
            tk_cl_delayed_free(delayed);
        }
    }
    tk_mutex_unlock(&cluster->lock);
}
