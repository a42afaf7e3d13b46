/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a commit, as a lattice that is only climbed:
 *
 *     NONE --> SENT --> UNDETERMINED --> COMMITTED
 *                \            \--------> FAILED
 *                 \--------------------> either
 *
 * SENT: a request that can commit the transaction left. UNDETERMINED: one of
 * them was never answered. Only a definite answer about the same transaction
 * leads out of it; network trouble, region errors, a cancel or a deadline
 * that come later do not. What was never sent leaves no doubt.
 */
#ifndef TK_TXN_OUTCOME_H
#define TK_TXN_OUTCOME_H

#include <stdbool.h>

enum tk_outcome_state {
    TK_OUTCOME_NONE,
    TK_OUTCOME_SENT,
    TK_OUTCOME_UNDETERMINED,
    TK_OUTCOME_FAILED,   /* decided: nothing of it will be seen */
    TK_OUTCOME_COMMITTED /* decided */
};

static inline bool
tk_outcome_is_decided(enum tk_outcome_state state)
{
    return state >= TK_OUTCOME_FAILED;
}

/* Climbs; a step down, or from one decision to the other, changes nothing
 * and is false. */
static inline bool
tk_outcome_reach(enum tk_outcome_state *state, enum tk_outcome_state to)
{
    if (tk_outcome_is_decided(*state) || to < *state) {
        return *state == to;
    }
    *state = to;
    return true;
}

#endif
