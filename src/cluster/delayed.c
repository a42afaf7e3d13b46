/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait: a copy of the request behind a timer of the runtime,
 * before it runs, parked in the middle, or after it ran. The cluster counts
 * them, so that it is not freed while the timer thread still works on one.
 *
 *     held before --step--> run --parked--> step, run again
 *                             \--done--> held after --step--> answered
 */
#include "base/alloc.h"
#include "cluster/flow.h"

struct tk_cl_delayed *
tk_cl_delayed_new(const struct tk_cl_request *request,
                  const struct tk_cl_plan *plan)
{
    struct tk_cl_delayed *delayed = tk_calloc(sizeof(*delayed));

    if (delayed == NULL) {
        return NULL;
    }
    delayed->cluster = request->cluster;
    delayed->plan = *plan;
    delayed->request = *request;
    delayed->starts = request->store == NULL ? 0 : request->store->starts;
    delayed->request.plan = NULL;
    tk_buf_init(&delayed->body, SIZE_MAX / 4);
    tk_buf_init(&delayed->out, SIZE_MAX / 4);
    tk_buf_append_slice(&delayed->body, request->body);
    if (delayed->body.failed) {
        tk_cl_delayed_free(delayed);
        return NULL;
    }
    delayed->request.body = tk_buf_slice(&delayed->body);
    delayed->request.out = &delayed->out;
    delayed->request.out_start = 0;
    return delayed;
}

void
tk_cl_delayed_free(struct tk_cl_delayed *delayed)
{
    tk_buf_fini(&delayed->body);
    tk_buf_fini(&delayed->out);
    tk_free(delayed);
}

/* A store that has started anew knows nothing of the request. */
static bool
is_reachable(const struct tk_cl_delayed *delayed)
{
    const struct tk_cl_request *request = &delayed->request;

    return tk_cl_node_is_up(delayed->cluster, tk_cl_node_of(request)) &&
           (request->store == NULL ||
            request->store->starts == delayed->starts);
}

void
tk_cl_delayed_forget(struct tk_cl_delayed *delayed)
{
    tk_cl_hold_end(delayed);
    tk_cl_wait_forget(&delayed->request);
    tk_cl_stop_forget(&delayed->request);
}

int64_t
tk_cl_delayed_due(const struct tk_cl_delayed *delayed)
{
    return delayed->request.waiter != NULL && !delayed->is_done
               ? tk_cl_wait_deadline(delayed->request.waiter)
               : delayed->due;
}

/* It waits for a lock, for a latch, or as a rule has it. */
static void
park(struct tk_cl_delayed *delayed)
{
    struct tk_cl_stop *stop = delayed->request.stop;

    delayed->due = TK_NEVER;
    if (delayed->request.waiter != NULL) {
        tk_cl_wait_attach(delayed);
    }
    if (stop != NULL && stop->is_stopped) {
        stop->delayed = delayed;
        if (tk_cl_holds(&stop->hold)) {
            delayed->due = tk_cl_hold_begin(delayed, &stop->hold);
        }
    }
}

void
tk_cl_delayed_run(struct tk_cl_delayed *delayed)
{
    struct tk_cl_request *request = &delayed->request;

    if (delayed->is_done) {
        return;
    }
    delayed->is_done = true;
    if (!is_reachable(delayed)) {
        delayed->status =
            tk_cl_status(request, TK_GRPC_UNAVAILABLE, "node is down");
        tk_cl_delayed_forget(delayed);
        return;
    }
    delayed->status = tk_cl_run_planned(request, &delayed->plan);
    if (delayed->status == TK_CL_PARKED) {
        delayed->is_done = false;
        park(delayed);
    }
}

int64_t
tk_cl_delayed_begin(struct tk_cl_delayed *delayed, int status)
{
    if (status == TK_CL_PARKED) {
        park(delayed);
        return tk_cl_delayed_due(delayed);
    }
    return tk_cl_hold_begin(delayed, &delayed->plan.before);
}

static int64_t
hold_answer(struct tk_cl_delayed *delayed)
{
    if (delayed->is_after || !tk_cl_holds(&delayed->plan.after)) {
        return TK_CL_READY;
    }
    delayed->is_after = true;
    return tk_cl_hold_begin(delayed, &delayed->plan.after);
}

int64_t
tk_cl_delayed_begin_after(struct tk_cl_delayed *delayed, int status,
                          const struct tk_buf *out)
{
    delayed->is_done = true;
    delayed->status = status;
    tk_buf_append_slice(&delayed->out, tk_buf_slice(out));
    if (delayed->out.failed) {
        delayed->status =
            tk_cl_status(&delayed->request, TK_GRPC_RESOURCE_EXHAUSTED,
                         "out of memory");
    }
    return hold_answer(delayed);
}

int64_t
tk_cl_delayed_step(struct tk_cl_delayed *delayed)
{
    tk_cl_hold_end(delayed);
    tk_cl_delayed_run(delayed);
    return delayed->is_done ? hold_answer(delayed)
                            : tk_cl_delayed_due(delayed);
}

void
tk_cl_delayed_gone(struct tk_cluster *cluster)
{
    struct tk_runtime *rt = cluster->rt;
    struct tk_parker *closer = NULL;
    struct tk_wakes wakes;

    cluster->pending--;
    if (cluster->pending == 0) {
        closer = cluster->closer;
    }
    tk_mutex_unlock(&cluster->lock);
    if (closer != NULL) {
        tk_wakes_init(&wakes, rt);
        tk_wakes_ring(&wakes, closer);
        tk_wakes_flush(&wakes);
    }
}
