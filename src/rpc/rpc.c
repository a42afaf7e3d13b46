/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rpc as a whole: the one timer that sweeps connections while anything is
 * in flight (10 ms; 1 ms while something is held), the idle function of the
 * transport, and the end. Rest and age are upkeep.c's.
 *
 * Connections are pushed in front of a list and stay until the rpc is freed,
 * so walks need no lock. Lock: rank RPC, for the list's writers, the timer
 * and the steps of closing; a pipe's lock is never taken under it.
 */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "rpc/inside.h"

/* ---- the timer ---- */

void
tk_rpc_want(struct tk_rpc *rpc, int64_t when)
{
    if (atomic_load_explicit(&rpc->due, memory_order_relaxed) <= when) {
        return;
    }
    tk_mutex_lock(&rpc->lock);
    if (!rpc->closing &&
        atomic_load_explicit(&rpc->due, memory_order_relaxed) > when) {
        atomic_store_explicit(&rpc->due, when, memory_order_relaxed);
        rpc->pending = true;
        rpc->rt->ops->arm(rpc->rt, &rpc->timer, when);
    }
    tk_mutex_unlock(&rpc->lock);
}

/* `due` goes back before the pipes are looked at: whoever adds to a pipe
 * after that look sees it, and arms again. */
static void
sweep_begin(struct tk_rpc *rpc)
{
    tk_mutex_lock(&rpc->lock);
    rpc->rt->ops->disarm(rpc->rt, &rpc->timer);
    rpc->pending = false;
    rpc->sweeping = true;
    atomic_store_explicit(&rpc->due, TK_NEVER, memory_order_relaxed);
    tk_mutex_unlock(&rpc->lock);
}

/* The last touch of the rpc is the unlock: a closer may free it then. */
static void
sweep_end(struct tk_rpc *rpc)
{
    struct tk_runtime *rt = rpc->rt;
    struct tk_parker *closer;

    tk_mutex_lock(&rpc->lock);
    rpc->sweeping = false;
    closer = rpc->closer;
    if (closer != NULL && !tk_ring(closer)) {
        closer = NULL;
    }
    tk_mutex_unlock(&rpc->lock);
    if (closer != NULL) {
        rt->ops->wake(rt, &closer, 1);
    }
}

static void
sweep(struct tk_timer *timer)
{
    struct tk_rpc *rpc =
        (struct tk_rpc *)(void *)((char *)timer -
                                  offsetof(struct tk_rpc, timer));
    int64_t now = tk_now(rpc->rt);
    int64_t next = TK_NEVER;
    struct tk_wakes wakes;
    struct tk_conn *conn;
    uint32_t i;

    sweep_begin(rpc);
    tk_wakes_init(&wakes, rpc->rt);
    for (conn = tk_rpc_first(rpc); conn != NULL; conn = conn->next) {
        for (i = 0; i < conn->pipes_count; i++) {
            int64_t when = tk_pipe_sweep(&conn->pipes[i], now, &wakes);

            next = when < next ? when : next;
        }
    }
    tk_rpc_want(rpc, next);
    tk_wakes_flush(&wakes);
    sweep_end(rpc);
}

/* ---- what is held goes out ---- */

/* What the open message waited for came, or will not come. Other events than
 * frames, such as the end of a send, are no reason to send few. */
static bool
is_answered(struct tk_pipe *pipe)
{
    return atomic_load_explicit(&pipe->has_frame, memory_order_relaxed) ||
           pipe->slots.wire.head == TK_SLOT_NONE;
}

static void
send_open(struct tk_pipe *pipe, struct tk_wakes *wakes)
{
    if (atomic_load_explicit(&pipe->open_count, memory_order_relaxed) == 0) {
        return;
    }
    tk_mutex_lock(&pipe->lock);
    if (atomic_load_explicit(&pipe->open_count, memory_order_relaxed) != 0 &&
        !tk_pipe_gathers(pipe) && (wakes == NULL || is_answered(pipe))) {
        pipe->must_send = true;
    }
    if (wakes == NULL) {
        tk_pipe_kick(pipe);
    } else if (tk_pipe_pump(pipe)) {
        tk_pipe_drain(pipe, wakes);
    }
}

/* wakes NULL: on a thread that may not enter done. */
static void
send_all(struct tk_rpc *rpc, struct tk_wakes *wakes)
{
    struct tk_conn *conn;
    uint32_t i;

    if (atomic_load_explicit(&rpc->open_pipes, memory_order_relaxed) == 0) {
        return;
    }
    for (conn = tk_rpc_first(rpc); conn != NULL; conn = conn->next) {
        for (i = 0; i < conn->pipes_count; i++) {
            send_open(&conn->pipes[i], wakes);
        }
    }
}

static void
on_idle(void *arg, struct tk_wakes *wakes)
{
    send_all((struct tk_rpc *)arg, wakes);
}

void
tk_rpc_flush(struct tk_rpc *rpc, const struct tk_request *awaited)
{
    struct tk_pipe *pipe;
    struct tk_slot *slot;

    if (awaited == NULL) {
        send_all(rpc, NULL);
        return;
    }
    if (awaited->home == NULL) {
        return;
    }
    pipe = &awaited->home->pipes[awaited->id >> 32];
    if (atomic_load_explicit(&pipe->open_count, memory_order_relaxed) == 0) {
        return;
    }
    tk_mutex_lock(&pipe->lock);
    slot = tk_slots_find(&pipe->slots, awaited->id & UINT32_MAX);
    if (slot != NULL && slot->state == TK_SLOT_OPEN &&
        slot->request == awaited && !tk_pipe_gathers(pipe)) {
        pipe->must_send = true;
    }
    tk_pipe_kick(pipe);
}

void
tk_rpc_on_health(struct tk_rpc *rpc, void (*fn)(void *arg, tikv_slice health),
                 void *arg)
{
    rpc->health_arg = arg;
    atomic_store_explicit(&rpc->health, fn, memory_order_release);
}

struct tk_ledger *
tk_rpc_ledger(struct tk_rpc *rpc)
{
    return rpc->ledger;
}

/* ---- life ---- */

tikv_error *
tk_rpc_new(struct tk_runtime *rt, const struct tk_config *config,
           struct tk_log *log, struct tk_transport *transport,
           struct tk_rpc **out)
{
    struct tk_rpc *rpc = (struct tk_rpc *)tk_calloc(sizeof(*rpc));

    *out = NULL;
    if (rpc == NULL) {
        transport->ops->close(transport);
        transport->ops->free(transport);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    rpc->rt = rt;
    rpc->log = log;
    rpc->transport = transport;
    rpc->pipes_count = (uint32_t)tk_config_int(&config->rpc_connections_count);
    rpc->cap = (uint32_t)tk_config_int(&config->rpc_batch_max_count);
    tk_gather_rules_init(&rpc->gather, config);
    rpc->gathers = rpc->gather.policy != TK_GATHER_FLOW ||
                   rpc->gather.overload_ns != 0;
    rpc->inflight_max =
        (uint32_t)tk_config_int(&config->rpc_inflight_max_count);
    rpc->request_max = (size_t)tk_config_int(&config->rpc_request_max_bytes);
    rpc->memory_max = &config->memory_max_bytes;
    rpc->ledger = tk_ledger_new();
    if (rpc->ledger == NULL) {
        transport->ops->close(transport);
        transport->ops->free(transport);
        tk_free(rpc);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    rpc->timer.fn = sweep;
    tk_upkeep_init(rpc, config);
    atomic_init(&rpc->due, TK_NEVER);
    tk_mutex_init(&rpc->lock, TK_RANK_RPC);
    transport->ops->set_idle(transport, on_idle, rpc);
    *out = rpc;
    return NULL;
}

static void
fail_all(struct tk_pipe *pipe)
{
    struct tk_slots *slots = &pipe->slots;
    struct tk_wakes wakes;
    uint32_t i;

    tk_wakes_init(&wakes, pipe->rpc->rt);
    tk_mutex_lock(&pipe->lock);
    pipe->closed = true;
    tk_pipe_doom_open(pipe, TK_REPLY_CLOSED);
    for (i = 0; i < slots->made; i++) {
        struct tk_slot *slot = &slots->at[i];

        if (slot->state == TK_SLOT_LONE) {
            tk_lone_give_up(pipe, slot->lone);
        }
        if (slot->state == TK_SLOT_LONE || slot->state == TK_SLOT_WIRE) {
            tk_slots_doom(slots, slot, TK_REPLY_CLOSED, false);
        }
    }
    tk_mutex_unlock(&pipe->lock);
    tk_pipe_drain(pipe, &wakes);
    tk_lone_cancel_all(pipe);
    tk_wakes_flush(&wakes);
}

static void
fail_pipes(struct tk_rpc *rpc)
{
    struct tk_conn *conn;
    uint32_t i;

    for (conn = tk_rpc_first(rpc); conn != NULL; conn = conn->next) {
        for (i = 0; i < conn->pipes_count; i++) {
            fail_all(&conn->pipes[i]);
        }
    }
}

static void
stop_timers(struct tk_rpc *rpc)
{
    struct tk_parker *self = tk_self(rpc->rt);
    bool is_over;

    tk_alarm_stop(&rpc->upkeep);
    for (;;) {
        tk_park_begin(self);
        tk_mutex_lock(&rpc->lock);
        if (rpc->pending && rpc->rt->ops->disarm(rpc->rt, &rpc->timer)) {
            rpc->pending = false;
        }
        is_over = !rpc->pending && !rpc->sweeping;
        rpc->closer = is_over ? NULL : self;
        tk_mutex_unlock(&rpc->lock);
        if (is_over) {
            return;
        }
        rpc->rt->ops->park(rpc->rt, self, TK_NEVER);
    }
}

void
tk_rpc_close(struct tk_rpc *rpc)
{
    bool is_first;

    tk_mutex_lock(&rpc->lock);
    is_first = !rpc->closing;
    rpc->closing = true;
    tk_mutex_unlock(&rpc->lock);
    if (!is_first) {
        return;
    }
    fail_pipes(rpc);
    rpc->transport->ops->close(rpc->transport);
    stop_timers(rpc);
    /* What a sweep or a late submitter doomed after the first pass. */
    fail_pipes(rpc);
}

void
tk_rpc_free(struct tk_rpc *rpc)
{
    struct tk_conn *conn;
    struct tk_conn *next;

    if (rpc == NULL) {
        return;
    }
    tk_rpc_close(rpc);
    for (conn = tk_rpc_first(rpc); conn != NULL; conn = next) {
        next = conn->next;
        tk_conn_free(conn);
    }
    rpc->transport->ops->free(rpc->transport);
    tk_ledger_unref(rpc->ledger);
    tk_mutex_fini(&rpc->lock);
    tk_free(rpc);
}
