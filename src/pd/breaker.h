/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A circuit breaker: when too large a part of the requests of half a minute
 * failed, no more are sent for a while, then one by one until one succeeds
 * (PD-12). A placement driver in trouble is not helped by a crowd.
 *
 *     CLOSED --a window of failures--> OPEN --10 s--> HALF_OPEN
 *        ^------------ a success -----------------------/  |
 *                             OPEN <-- a failure ---------/
 *
 * Plain data and a clock given by the caller; the owner locks.
 */
#ifndef TK_PD_BREAKER_H
#define TK_PD_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

enum tk_breaker_state {
    TK_BREAKER_CLOSED,
    TK_BREAKER_OPEN,
    TK_BREAKER_HALF_OPEN
};

struct tk_breaker {
    enum tk_breaker_state state;
    int64_t until;   /* end of the window, or of the pause */
    uint32_t calls;  /* of this window */
    uint32_t failures;
    bool is_trying; /* half open: one is on its way */
};

enum tk_breaker_result {
    TK_BREAKER_GOOD,
    TK_BREAKER_BAD,
    TK_BREAKER_NOTHING /* taken back: it says nothing */
};

/* Whether a request may be sent. Whoever was admitted reports. Failures above
 * `percent` of a window open it; 0: it does nothing. */
bool
tk_breaker_admit(struct tk_breaker *breaker, int64_t now, int64_t percent);

void
tk_breaker_report(struct tk_breaker *breaker, int64_t now, int64_t percent,
                  enum tk_breaker_result result);

#endif
