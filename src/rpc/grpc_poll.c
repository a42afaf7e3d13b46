/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that wait for C core. Each has one completion queue; all
 * operations of an exchange complete on the queue its call was made with, so
 * its events come one at a time. Events that are there at once are delivered
 * as one batch: then the owner's idle function runs, then the wakes it all
 * owes are flushed together.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "rpc/grpc_inside.h"

/* Wakes are not kept back longer than so many events. */
#define BATCH_MAX 16

#if defined(__SANITIZE_THREAD__)
#define TK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TK_TSAN 1
#endif
#endif

#ifdef TK_TSAN
/* C core is not instrumented: the hand-over from start to event is told. */
void
__tsan_acquire(void *);
void
__tsan_release(void *);
#else
#define __tsan_acquire(at) ((void)(at))
#define __tsan_release(at) ((void)(at))
#endif

static _Thread_local const struct tk_grpc *delivering;

bool
tk_grpc_is_delivering(struct tk_transport *transport)
{
    return (const void *)delivering == (const void *)transport;
}

bool
tk_grpc_start(grpc_call *call, const grpc_op *ops, size_t count,
              struct tk_tag *tag)
{
    __tsan_release(tag);
    return grpc_call_start_batch(call, ops, count, tag, NULL) == GRPC_CALL_OK;
}

struct tk_tag *
tk_grpc_start_here(grpc_call *call, const grpc_op *ops, size_t count,
                   struct tk_tag *tag, grpc_completion_queue *cq, bool *is_ok)
{
    void *at = NULL;
    int ok = 0;

    grpc_completion_queue_thread_local_cache_init(cq);
    tk_grpc_start(call, ops, count, tag);
    if (!grpc_completion_queue_thread_local_cache_flush(cq, &at, &ok)) {
        return NULL;
    }
    __tsan_acquire(at);
    *is_ok = ok != 0;
    return (struct tk_tag *)at;
}

void
tk_grpc_post(grpc_call *call, struct tk_tag *tag, bool is_ok)
{
    tag->has_failed = !is_ok;
    tk_grpc_start(call, NULL, 0, tag);
}

static void
deliver(const grpc_event *event, struct tk_wakes *wakes)
{
    struct tk_tag *tag = (struct tk_tag *)event->tag;
    bool is_ok;

    __tsan_acquire(tag);
    is_ok = event->success != 0 && !tag->has_failed;
    tag->has_failed = false;
    tag->fn(tag->exchange, is_ok, wakes);
}

static void
poll_loop(void *arg)
{
    struct tk_poller *poller = (struct tk_poller *)arg;
    struct tk_grpc *grpc = poller->grpc;
    const gpr_timespec now = gpr_time_0(GPR_CLOCK_MONOTONIC);
    const gpr_timespec ever = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    void (*idle)(void *, struct tk_wakes *);
    struct tk_wakes wakes;
    grpc_event event;
    uint32_t count;

    delivering = grpc;
    tk_wakes_init(&wakes, grpc->rt);
    do {
        event = grpc_completion_queue_next(poller->cq, ever, NULL);
        for (count = 1; event.type == GRPC_OP_COMPLETE; count++) {
            deliver(&event, &wakes);
            if (count == BATCH_MAX) {
                break;
            }
            event = grpc_completion_queue_next(poller->cq, now, NULL);
        }
        idle = atomic_load_explicit(&grpc->idle, memory_order_acquire);
        if (idle != NULL) {
            idle(grpc->idle_arg, &wakes);
        }
        tk_wakes_flush(&wakes);
    } while (event.type != GRPC_QUEUE_SHUTDOWN);
    delivering = NULL;
}

void
tk_grpc_pollers_shutdown(struct tk_grpc *grpc)
{
    uint32_t i;

    for (i = 0; i < grpc->pollers_count; i++) {
        grpc_completion_queue_shutdown(grpc->pollers[i].cq);
    }
}

void
tk_grpc_pollers_join(struct tk_grpc *grpc)
{
    uint32_t i;

    for (i = 0; i < grpc->pollers_count; i++) {
        grpc->rt->ops->join(grpc->rt, grpc->pollers[i].thread);
        grpc_completion_queue_destroy(grpc->pollers[i].cq);
    }
    tk_free(grpc->pollers);
    grpc->pollers = NULL;
    grpc->pollers_count = 0;
}

tikv_error *
tk_grpc_pollers_start(struct tk_grpc *grpc)
{
    uint32_t wanted = (uint32_t)tk_config_int(&grpc->config->rpc_pollers_count);
    struct tk_poller *poller;

    grpc->pollers = (struct tk_poller *)tk_calloc(wanted * sizeof(*poller));
    if (grpc->pollers == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    while (grpc->pollers_count < wanted) {
        poller = &grpc->pollers[grpc->pollers_count];
        poller->grpc = grpc;
        poller->cq = grpc_completion_queue_create_for_next(NULL);
        poller->thread =
            grpc->rt->ops->spawn(grpc->rt, "tikv-poll", poll_loop, poller);
        if (poller->thread == NULL) {
            grpc_completion_queue_shutdown(poller->cq);
            grpc_completion_queue_destroy(poller->cq);
            tk_grpc_pollers_shutdown(grpc);
            tk_grpc_pollers_join(grpc);
            return tk_error(TIKV_ERR_MEMORY, "no thread for the poller");
        }
        grpc->pollers_count++;
    }
    return NULL;
}
