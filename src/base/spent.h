/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time of a call went. An op is one line of time: at each moment it
 * waits for one thing, or works; so the parts add up to the whole, also where
 * many requests are under way together. Plain data, one owner at a time.
 */
#ifndef TK_BASE_SPENT_H
#define TK_BASE_SPENT_H

#include <tikv/details.h>

#include "base/backoff_kind.h"

enum tk_part {
    TK_PART_OWN, /* our own work; what is no other part */
    TK_PART_QUEUE,
    TK_PART_PD,
    TK_PART_BACKOFF,
    TK_PART_WIRE,
    TK_PART_SERVER,
    TK_PARTS
};

/* Bytes of requests and answers, without their envelopes. What goes to or
 * comes from another zone is told apart. */
enum tk_traffic {
    TK_TRAFFIC_OUT,
    TK_TRAFFIC_IN,
    TK_TRAFFIC_FAR_OUT, /* of them */
    TK_TRAFFIC_FAR_IN,
    TK_TRAFFICS
};

struct tk_spent {
    int64_t ns[TK_PARTS];
    int64_t slept_ns[TK_BACKOFF_KINDS]; /* of ns[TK_PART_BACKOFF] */
    uint64_t calls;
    uint64_t requests; /* to stores */
    uint64_t hedges;   /* of them */
    uint64_t bytes[TK_TRAFFICS];
};

struct tikv_details {
    struct tk_spent spent;
};

static inline void
tk_spent_request(struct tk_spent *spent, bool is_far, size_t bytes)
{
    spent->requests++;
    spent->bytes[TK_TRAFFIC_OUT] += bytes;
    spent->bytes[TK_TRAFFIC_FAR_OUT] += is_far ? bytes : 0;
}

static inline void
tk_spent_answer(struct tk_spent *spent, bool is_far, size_t bytes)
{
    spent->bytes[TK_TRAFFIC_IN] += bytes;
    spent->bytes[TK_TRAFFIC_FAR_IN] += is_far ? bytes : 0;
}

void
tk_spent_add(struct tk_spent *to, const struct tk_spent *from);

#endif
