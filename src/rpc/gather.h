/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a message waits for company, and for how much of it, where that is
 * a matter of time: the policies that other clients have, for those who come
 * from them. The policy of ours, FLOW, waits for events and not for time
 * (rpc.h), and is only asked here whether a store is overloaded.
 *
 *     BASIC     no message waits
 *     POSITIVE  every message waits, for `count` requests
 *     STANDARD  those wait whose requests come close behind each other: the
 *               mean pause before a message is below `sure` of the wait
 *     CHANCE    those wait where more than `sure` of the pauses are shorter
 *               than the wait
 *
 * The last two wait for as many as messages lately had. A pause is the time
 * from the last request of one message to the first of the next; of the first
 * message ever, and of requests at one instant, there is none, and they do
 * not wait. Under the pipe's lock; no clock is read here.
 */
#ifndef TK_RPC_GATHER_H
#define TK_RPC_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"

/* In the order of the words of rpc.batch_policy. */
enum tk_gather_policy {
    TK_GATHER_FLOW,
    TK_GATHER_BASIC,
    TK_GATHER_STANDARD,
    TK_GATHER_POSITIVE,
    TK_GATHER_CHANCE
};

/* Of a client; fixed. Shares are of 1. */
struct tk_gather_rules {
    enum tk_gather_policy policy;
    int64_t wait_ns;
    uint32_t count; /* what is waited for before it is known how many come */
    uint32_t reach; /* pauses count as so many waits at most */
    double weight;  /* of the newest pause in the mean */
    double sure;
    double round; /* the share of a request from which it counts as one */
    int64_t overload_ns;    /* wait for an overloaded store; 0: none */
    uint64_t overload_load; /* what stores tell above it is overload */
};

/* Of a pipe. */
struct tk_gather {
    int64_t latest;   /* when the last request came; 0: none yet */
    double pause_ns;  /* mean; negative: none yet */
    double share;     /* of pauses shorter than the wait */
    double per_message; /* requests, mean */
    uint32_t target;  /* of the open message; 0: FLOW decides */
    int64_t until;    /* the open message waits no longer */
};

void
tk_gather_rules_init(struct tk_gather_rules *rules,
                     const struct tk_config *config);

void
tk_gather_init(struct tk_gather *gather, const struct tk_gather_rules *rules);

/* A request came at `now`. With `is_first` it begins a message: sets its
 * target and until when it waits. */
void
tk_gather_add(struct tk_gather *gather, const struct tk_gather_rules *rules,
              bool is_first, uint64_t load, int64_t now);

/* A message of so many was sent. */
void
tk_gather_sent(struct tk_gather *gather, uint32_t count);

#endif
