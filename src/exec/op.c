/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The waits of one operation. Waiting never begins by clearing the parker: a
 * ring that came since the caller looked makes the sleep return at once.
 * Only the owner runs these, except push and set. Lock: the exec's, for the
 * list alone.
 */
#include "exec/op.h"

#include "base/error.h"
#include "exec/exec_inside.h"

static const tikv_call no_call = TIKV_CALL_INIT;

int64_t
tk_call_deadline(const tikv_call *call, int64_t now, int64_t default_timeout_ns)
{
    int64_t deadline = tk_after(now, default_timeout_ns);

    if (call == NULL) {
        return deadline;
    }
    if (call->timeout_ms < 0 || call->timeout_ms > TK_NEVER / TK_MS) {
        deadline = TK_NEVER;
    } else if (call->timeout_ms > 0) {
        deadline = tk_after(now, call->timeout_ms * TK_MS);
    }
    if (call->deadline_ns > 0 && call->deadline_ns < deadline) {
        deadline = call->deadline_ns;
    }
    return deadline;
}

static void
cancel_raised(struct tk_cancel_link *link, struct tk_wakes *wakes)
{
    struct tk_op *op =
        (struct tk_op *)(void *)((char *)link - offsetof(struct tk_op, cancel));
    uint32_t none = TK_STOP_NONE;

    if (atomic_compare_exchange_strong(&op->stop, &none, TK_STOP_CANCELLED)) {
        tk_wakes_ring(wakes, op->me);
    }
}

bool
tk_op_init(struct tk_op *op, struct tk_exec *exec, const tikv_call *call,
           int64_t default_timeout_ns)
{
    struct tk_runtime *rt = exec->rt;

    *op = (struct tk_op){ .exec = exec, .rt = rt };
    op->me = tk_self(rt);
    if (op->me == NULL) {
        return false;
    }
    op->started = tk_now(rt);
    op->seen = op->started;
    op->spent.calls = 1;
    op->call = call == NULL ? &no_call : call;
    op->deadline = tk_call_deadline(op->call, op->started, default_timeout_ns);
    tk_cancel_link(&op->cancel, op->call->cancel, cancel_raised, NULL);
    return true;
}

void
tk_op_fini(struct tk_op *op)
{
    tk_cancel_unlink(&op->cancel);
    if (!op->listed) {
        return;
    }
    tk_mutex_lock(&op->exec->lock);
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        op->exec->listed = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    }
    tk_mutex_unlock(&op->exec->lock);
    op->listed = false;
}

int64_t
tk_op_clock(struct tk_op *op, enum tk_part part)
{
    int64_t now = tk_now(op->rt);

    op->spent.ns[part] += now - op->seen;
    op->seen = now;
    return now;
}

void
tk_op_recount(struct tk_op *op, enum tk_part from, enum tk_part to, int64_t ns)
{
    op->spent.ns[from] -= ns;
    op->spent.ns[to] += ns;
}

void
tk_op_was_server(struct tk_op *op, int64_t ns)
{
    int64_t part = ns < op->waited_ns ? ns : op->waited_ns;

    op->waited_ns -= part;
    tk_op_recount(op, TK_PART_WIRE, TK_PART_SERVER, part);
}

void
tk_op_fold(struct tk_op *op, struct tk_op *inner)
{
    tk_op_clock(inner, TK_PART_OWN);
    op->spent.ns[TK_PART_OWN] += inner->started - op->seen;
    inner->spent.calls = 0;
    tk_spent_add(&op->spent, &inner->spent);
    op->seen = inner->seen;
}

tikv_error *
tk_op_end(struct tk_op *op, tikv_error *error)
{
    if (error == NULL && op->details == NULL) {
        return NULL;
    }
    tk_op_clock(op, TK_PART_OWN);
    if (op->details != NULL) {
        tk_spent_add(&op->details->spent, &op->spent);
    }
    if (tikv_error_code(error) == TIKV_ERR_TIMEOUT) {
        error = tk_error_mortal(error);
    }
    tk_error_set_spent(error, &op->spent);
    return error;
}

void
tk_op_push(struct tk_op *op, struct tk_note *note, struct tk_wakes *wakes)
{
    struct tk_parker *me = op->me;
    struct tk_note *top =
        atomic_load_explicit(&op->inbox, memory_order_relaxed);

    do {
        note->next = top;
    } while (!atomic_compare_exchange_weak(&op->inbox, &top, note));
    tk_wakes_ring(wakes, me);
}

struct tk_note *
tk_op_take(struct tk_op *op)
{
    struct tk_note *note = atomic_exchange(&op->inbox, NULL);
    struct tk_note *oldest = NULL;

    while (note != NULL) {
        struct tk_note *next = note->next;

        note->next = oldest;
        oldest = note;
        note = next;
    }
    return oldest;
}

tikv_error *
tk_op_check(struct tk_op *op)
{
    switch (atomic_load(&op->stop)) {
    case TK_STOP_NONE:
        break;
    case TK_STOP_CANCELLED:
        return tk_error_immortal(TIKV_ERR_CANCELLED);
    default:
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    return tk_op_clock(op, TK_PART_OWN) >= op->deadline
               ? tk_error_immortal(TIKV_ERR_TIMEOUT)
               : NULL;
}

static void
list_if_needed(struct tk_op *op)
{
    if (!op->listed && op->flying == 0) {
        tk_mutex_lock(&op->exec->lock);
        tk_exec_list(op->exec, op);
        tk_mutex_unlock(&op->exec->lock);
    }
}

/* One sleep that ends with a stop, a ring or the time. */
static void
nap(struct tk_op *op, int64_t until, enum tk_part part)
{
    list_if_needed(op);
    if (atomic_load(&op->stop) == TK_STOP_NONE) {
        op->rt->ops->park(op->rt, op->me,
                          until < op->deadline ? until : op->deadline);
    }
    tk_op_clock(op, part);
}

static void
pause_until(struct tk_op *op, enum tk_backoff_kind kind, int64_t until)
{
    int64_t from = op->seen;

    nap(op, until, TK_PART_BACKOFF);
    if (kind != TK_BACKOFF_KINDS) {
        op->spent.slept_ns[kind] += op->seen - from;
    }
}

void
tk_op_wait(struct tk_op *op, int64_t until, enum tk_backoff_kind kind)
{
    op->waited_ns = 0;
    if (atomic_load(&op->inbox) != NULL) {
        return;
    }
    if (kind != TK_BACKOFF_KINDS) {
        pause_until(op, kind, until);
    } else {
        int64_t from = op->seen;

        nap(op, until, TK_PART_WIRE);
        op->waited_ns = op->seen - from;
    }
}

tikv_error *
tk_op_pause(struct tk_op *op, enum tk_backoff_kind kind, int64_t ns)
{
    int64_t until = tk_after(tk_now(op->rt), ns);

    for (;;) {
        tikv_error *error = tk_op_check(op);

        if (error != NULL || op->seen >= until) {
            return error;
        }
        pause_until(op, kind, until);
    }
}

tikv_error *
tk_op_sleep(struct tk_op *op, int64_t ns)
{
    return tk_op_pause(op, TK_BACKOFF_KINDS, ns);
}

void
tk_signal_init(struct tk_signal *signal, struct tk_op *op)
{
    atomic_init(&signal->set, 0);
    signal->waiter = op->me;
}

void
tk_signal_set(struct tk_signal *signal, struct tk_wakes *wakes)
{
    struct tk_parker *waiter = signal->waiter;

    atomic_store(&signal->set, 1);
    tk_wakes_ring(wakes, waiter);
}

bool
tk_signal_is_set(const struct tk_signal *signal)
{
    return atomic_load(&signal->set) != 0;
}

static tikv_error *
await(struct tk_op *op, struct tk_signal *signal, enum tk_part part)
{
    for (;;) {
        tikv_error *error;

        if (tk_signal_is_set(signal)) {
            return NULL;
        }
        error = tk_op_check(op);
        if (error != NULL) {
            return error;
        }
        nap(op, TK_NEVER, part);
    }
}

tikv_error *
tk_op_await(struct tk_op *op, struct tk_signal *signal)
{
    return await(op, signal, TK_PART_PD);
}

tikv_error *
tk_op_await_turn(struct tk_op *op, struct tk_signal *signal)
{
    return await(op, signal, TK_PART_QUEUE);
}

void
tk_op_await_surely(struct tk_op *op, struct tk_signal *signal)
{
    for (;;) {
        tk_park_begin(op->me);
        if (tk_signal_is_set(signal)) {
            return;
        }
        op->rt->ops->park(op->rt, op->me, TK_NEVER);
    }
}
