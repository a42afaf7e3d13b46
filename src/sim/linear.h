/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is there an order of what happened to one register that fits all answers
 * and contradicts no clock? The search of Wing and Gong with Lowe's memory of
 * where it has been, keyed by (set of linearized events, value).
 *
 * An event takes effect once at a moment of [call, ret]; an optional one
 * (an answer was lost, an attempt may still be in the network) takes effect
 * there or never. The rule that makes an order e1, e2, ... possible is
 * call(ei) <= ret(ej) for all i < j: then the moments max(call(e1..ei)) fit.
 *
 * An optional event is taken only right before one that asks for its value,
 * and a read that fits is taken at once: other orders are not needed.
 */
#ifndef TK_SIM_LINEAR_H
#define TK_SIM_LINEAR_H

#include "sim/history.h"

struct tk_linear_event {
    int64_t call;
    int64_t ret; /* TK_NEVER: open */
    enum tk_sim_kind kind;
    uint32_t value;
    uint32_t expected;
    uint32_t result;
    bool swapped;
    bool is_optional;
    uint32_t op; /* for the report */
};

enum tk_linear_answer {
    TK_LINEAR_YES,
    TK_LINEAR_NO,
    TK_LINEAR_UNDECIDED /* out of memory or states */
};

struct tk_linear_report {
    uint64_t states; /* looked at */
    size_t longest;  /* events of the longest order that fits */
    uint32_t stuck;  /* an operation that fits nowhere behind it */
};

/* The register begins with `value`. Sorts the events. */
enum tk_linear_answer
tk_linear_check(struct tk_linear_event *events, size_t count, uint32_t value,
                uint64_t states_max, struct tk_linear_report *report);

/* The same for one key of a history, which began with no value: an operation
 * that is done is one event in its time; the other sends of it, and those of
 * an undetermined one, are events in theirs, optional unless the network saw
 * a clean answer; a failed one never happened. */
enum tk_linear_answer
tk_linear_check_key(const struct tk_history *history, uint32_t key,
                    uint64_t states_max, struct tk_linear_report *report);

#endif
