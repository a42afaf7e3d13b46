/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about regions in a stream (PD-6): whoever comes while one message
 * is on its way goes with the next, many in one. There are two lanes: to the
 * leader, and to those who only may know. A lane that does not work answers
 * nothing, and the question is asked by a call of its own.
 */
#ifndef TK_PD_QUERY_H
#define TK_PD_QUERY_H

#include "exec/op.h"
#include "exec/alarm.h"
#include "pd/pd.h"

enum tk_query_kind { TK_QUERY_KEY, TK_QUERY_BEFORE, TK_QUERY_ID };

enum tk_query_result {
    TK_QUERY_NOTHING, /* the stream told nothing: ask otherwise */
    TK_QUERY_ABSENT,  /* there is no such region */
    TK_QUERY_FOUND
};

/* One question, on the stack of the one who waits. */
struct tk_query {
    enum tk_query_kind kind;
    tikv_slice key; /* lent until the answer */
    uint64_t id;
    /* When FOUND: a pdpb.RegionResponse in `frame`, which is counted. */
    tikv_slice data;
    struct tk_frame *frame;

    enum tk_query_result result; /* the rest is query.c's */
    struct tk_signal signal;
    struct tk_query *next;
    struct tk_query *prev;
    bool is_listed; /* guarded by the lane's lock */
    uint32_t place; /* in the message, among those of its kind */
};

struct tk_query_list {
    struct tk_query *first;
    struct tk_query *last;
};

struct tk_query_stream;

struct tk_lane {
    struct tk_pd *pd;
    bool is_leaders; /* fixed */
    struct tk_mutex lock; /* rank PD; the rest is guarded by it */
    struct tk_query_list queue;
    struct tk_query_list flying; /* in one message, not answered */
    struct tk_query_stream *stream;
    bool is_opening;
    bool is_flying;
    bool is_unsupported; /* by who is asked now */
    bool is_closed;
    int64_t not_before; /* it failed: not used for a while */
    int64_t deadline;   /* of what flies */
    struct tk_alarm alarm;
};

void
tk_lane_init(struct tk_lane *lane, struct tk_pd *pd, bool is_leaders);

/* An error ends the op. */
tikv_error *
tk_lane_ask(struct tk_lane *lane, struct tk_op *op, struct tk_query *query)
    __attribute__((warn_unused_result));

/* Others are to be asked from now on. No lock held. */
void
tk_lane_move(struct tk_lane *lane);

/* Who answered knows too little: another is asked for a while. No lock held. */
void
tk_lane_distrust(struct tk_lane *lane);

void
tk_lane_close(struct tk_lane *lane);

void
tk_lane_fini(struct tk_lane *lane);

#endif
