/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients did to registers, and what the network saw of it. A register
 * is one raw key; every written value is a number of its own, 0 is no value.
 *
 * An operation is one key: a batch is as many operations with one `group`,
 * which its requests carry as their request source. A send is one request of
 * a write (or of one key of a batch) that went on the wire:
 *
 *     PENDING --region error, never left--> REFUSED   not applied, for sure
 *        |-------clean answer-------------> APPLIED   by `over`
 *        \-------anything else------------- PENDING   maybe, until `over`
 *
 * So a put that was sent three times is applied at most three times, and the
 * checkers know when. One thread; times are the runtime's.
 */
#ifndef TK_SIM_HISTORY_H
#define TK_SIM_HISTORY_H

#include "base/buf.h"

#define TK_SIM_NONE UINT32_MAX
/* Bytes that nobody wrote. */
#define TK_SIM_FOREIGN (UINT32_MAX - 1)

enum tk_sim_kind { TK_SIM_GET, TK_SIM_PUT, TK_SIM_DELETE, TK_SIM_CAS };

enum tk_sim_outcome {
    TK_SIM_RUNNING,
    TK_SIM_OK,
    TK_SIM_FAILED, /* said to have changed nothing */
    TK_SIM_UNDETERMINED
};

enum tk_sim_verdict { TK_SIM_PENDING, TK_SIM_REFUSED, TK_SIM_APPLIED };

struct tk_sim_op {
    uint32_t group;
    uint32_t key;
    uint32_t fiber;
    enum tk_sim_kind kind;
    uint32_t value;    /* put; what a swap wants to set */
    uint32_t expected; /* by a swap */
    uint32_t result;   /* of a get; what a swap found */
    bool swapped;
    enum tk_sim_outcome outcome;
    int32_t code; /* of the error */
    int64_t invoked;
    int64_t returned; /* while it runs: TK_NEVER */
    int64_t deadline;
    uint32_t ends;  /* how often it ended */
    uint32_t sends; /* the last send, a chain; TK_SIM_NONE */
};

struct tk_sim_send {
    uint32_t op;
    uint32_t next; /* the send before, of the same operation */
    int64_t at;
    int64_t over; /* not executed later than this */
    enum tk_sim_verdict verdict;
};

struct tk_history {
    struct tk_sim_op *ops;
    size_t ops_count;
    size_t ops_room;
    struct tk_sim_send *sends;
    size_t sends_count;
    size_t sends_room;
    bool failed; /* no memory: nothing can be said */
};

void
tk_history_init(struct tk_history *history);

void
tk_history_fini(struct tk_history *history);

/* A new operation as `op` says, running; its number, or TK_SIM_NONE. */
uint32_t
tk_history_begin(struct tk_history *history, const struct tk_sim_op *op);

/* The end; a second one is counted and changes nothing. */
void
tk_history_end(struct tk_history *history, uint32_t op, int64_t now,
               enum tk_sim_outcome outcome, int32_t code);

/* A request for `key` of `group` goes out and is executed before `over`, or
 * never. TK_SIM_NONE when there is no such operation. */
uint32_t
tk_history_send(struct tk_history *history, uint32_t group, uint32_t key,
                int64_t now, int64_t over);

/* The first verdict counts. */
void
tk_history_judge(struct tk_history *history, uint32_t send, int64_t now,
                 enum tk_sim_verdict verdict);

/* Sends of an operation that may have been, or may yet be, applied. */
uint32_t
tk_history_doubts(const struct tk_history *history, uint32_t op);

/* Operations of one key in the order of invocation, one a line. `mark`, which
 * may be TK_SIM_NONE, is pointed at. */
void
tk_history_print(const struct tk_history *history, uint32_t key, uint32_t mark,
                 struct tk_buf *out);

/* What needs no search: every operation ended once and in time (`slack` after
 * its deadline), a swap was not sent again while it was in doubt, no write is
 * called failed that is on the wire, none is called done that nobody
 * answered. The first operation that breaks a rule with a sentence in `*why`,
 * or TK_SIM_NONE. */
uint32_t
tk_history_rules(const struct tk_history *history, int64_t slack,
                 const char **why);

#endif
