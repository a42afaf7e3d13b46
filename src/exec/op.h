/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One operation while it runs, on the caller's thread or on a worker: its
 * deadline, its stop word, its inbox. It lives on the stack of whoever runs
 * it; nobody else owns it. All its waits go through here, so deadline, cancel
 * and close end every one of them.
 *
 * The op is put on its exec's list only when it first sleeps with nothing in
 * flight that close would end (never on the hot path). The driver keeps
 * `flying` at the number of its requests on the wire; while that is 0,
 * tk_op_wait lists the op. Leaving it 0 is right, and costs a lock.
 *
 * The op keeps account of where its time goes: whoever reads the clock says
 * which part took the time since it was read last. What nobody claims is our
 * own work.
 */
#ifndef TK_EXEC_OP_H
#define TK_EXEC_OP_H

#include <tikv/error.h>

#include "base/spent.h"
#include "exec/cancel.h"
#include "exec/runtime.h"

struct tk_exec;

struct tk_note {
    struct tk_note *next;
};

enum { TK_STOP_NONE, TK_STOP_CANCELLED, TK_STOP_CLOSED };

struct tk_op {
    struct tk_exec *exec;
    struct tk_runtime *rt;
    struct tk_parker *me;
    _Atomic(struct tk_note *) inbox; /* pushed by anybody, taken whole */
    _Atomic uint32_t stop;           /* first writer wins */
    int64_t started;
    int64_t deadline;
    const tikv_call *call; /* never NULL after init; borrowed */
    struct tk_cancel_link cancel;
    struct tk_op *prev; /* exec's list, guarded by its lock */
    struct tk_op *next;
    bool listed;
    uint32_t flying; /* owner's: requests that close itself would end */

    /* The account, the owner's. */
    int64_t seen;     /* the clock when it was read last; `spent` ends there */
    int64_t waited_ns; /* for stores, last */
    struct tk_spent spent;
    tikv_details *details; /* who wants to know, or NULL */
};

/* `call` may be NULL. The deadline is the earlier of its two, or
 * `default_timeout_ns` from now. False without memory for a parker. */
bool
tk_op_init(struct tk_op *op, struct tk_exec *exec, const tikv_call *call,
           int64_t default_timeout_ns);

void
tk_op_fini(struct tk_op *op);

/* The clock now; the time since it was read last is that part's. */
int64_t
tk_op_clock(struct tk_op *op, enum tk_part part);

/* Moves time from one part to another. */
void
tk_op_recount(struct tk_op *op, enum tk_part from, enum tk_part to,
              int64_t ns);

/* Of the last wait for stores, so much was the server's: as long as the
 * request that ended it says, no longer than it took. */
void
tk_op_was_server(struct tk_op *op, int64_t ns);

/* Another op's account, which began after this one was last looked at and
 * ends now, is part of this one's. */
void
tk_op_fold(struct tk_op *op, struct tk_op *inner);

/* The call ends with `error`, taken and given back, or NULL: closes the
 * account and hands it out. */
tikv_error *
tk_op_end(struct tk_op *op, tikv_error *error)
    __attribute__((warn_unused_result));

/* The absolute end of a call begun at `now`; `call` may be NULL. */
int64_t
tk_call_deadline(const tikv_call *call, int64_t now,
                 int64_t default_timeout_ns);

/* From any thread, also under a lock. The op may be gone as soon as the note
 * is in: nothing of it is touched afterwards. */
void
tk_op_push(struct tk_op *op, struct tk_note *note, struct tk_wakes *wakes);

/* All notes so far, oldest first, or NULL. Owner only. */
struct tk_note *
tk_op_take(struct tk_op *op);

/* NULL, or why the op must end now: CANCELLED, CLOSED, TIMEOUT. */
tikv_error *
tk_op_check(struct tk_op *op) __attribute__((warn_unused_result));

/* Sleeps until a note is in, the op is stopped or ringed, or `until` (capped
 * by the deadline). May return early: look again. It is a pause of that kind,
 * or with TK_BACKOFF_KINDS a wait for stores. */
void
tk_op_wait(struct tk_op *op, int64_t until, enum tk_backoff_kind kind);

/* Sleeps the whole time, notes or not: NULL; or ends early with
 * tk_op_check()'s error. A sleep that would pass the deadline ends there. */
tikv_error *
tk_op_sleep(struct tk_op *op, int64_t ns) __attribute__((warn_unused_result));

/* The same as a backoff of that kind. */
tikv_error *
tk_op_pause(struct tk_op *op, enum tk_backoff_kind kind, int64_t ns)
    __attribute__((warn_unused_result));

/* A thing that becomes true once, for one op to wait for. The setter reads
 * the parker before it publishes. */
struct tk_signal {
    _Atomic uint32_t set;
    struct tk_parker *waiter;
};

void
tk_signal_init(struct tk_signal *signal, struct tk_op *op);

void
tk_signal_set(struct tk_signal *signal, struct tk_wakes *wakes);

bool
tk_signal_is_set(const struct tk_signal *signal);

/* Waits for PD, for all the account knows. NULL when set. On an error the
 * owner must make sure by its own lock that nobody will set the signal any
 * more before its memory goes. */
tikv_error *
tk_op_await(struct tk_op *op, struct tk_signal *signal)
    __attribute__((warn_unused_result));

/* The same, for a turn behind others of this process. */
tikv_error *
tk_op_await_turn(struct tk_op *op, struct tk_signal *signal)
    __attribute__((warn_unused_result));

/* Waits for the signal whatever becomes of the op: for hand-overs that are
 * microseconds away. */
void
tk_op_await_surely(struct tk_op *op, struct tk_signal *signal);

#endif
