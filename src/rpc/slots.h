/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of requests in flight of one pipe, and the judge of who completes
 * a request: whoever takes it out of the table, under the pipe's lock, does.
 *
 *     FREE --take--> OPEN --sent--> WIRE --answer--> FREE
 *                     |              |  \--taken back, expired--> GHOST
 *                     |              |                              |
 *                     |              |      late answer, stream end v
 *                     +--------------+---lost--> DOOMED --done--> FREE
 *     LONE (unary) goes the way of WIRE, without a GHOST.
 *
 * An id is (generation << 16 | slot), never 0. A request that was given up
 * while its answer may still come leaves a ghost, so that its id is not used
 * again before the answer came or the stream ended; only a full table takes
 * the oldest ghosts. Generation and ghosts together keep a late answer from
 * the request that has the slot now. No lock of its own.
 */
#ifndef TK_RPC_SLOTS_H
#define TK_RPC_SLOTS_H

#include "rpc/rpc.h"

#define TK_SLOT_NONE UINT32_MAX

enum tk_slot_state {
    TK_SLOT_FREE,
    TK_SLOT_OPEN,  /* in the open message, at `place` */
    TK_SLOT_WIRE,  /* sent, in the order of sending */
    TK_SLOT_LONE,  /* unary */
    TK_SLOT_GHOST, /* given up, an answer may come */
    TK_SLOT_DOOMED /* to be completed with `status` */
};

struct tk_lone;

struct tk_slot {
    struct tk_request *request;
    struct tk_lone *lone;
    int64_t deadline;
    int64_t sent_at;
    uint64_t message;
    uint32_t next;
    uint32_t prev;
    uint32_t place;
    uint16_t generation;
    uint16_t command;
    uint8_t state;
    uint8_t status; /* DOOMED: enum tk_reply_status */
    bool never_sent;
    bool haunts; /* DOOMED: an answer may still come */
};

struct tk_chain {
    uint32_t head;
    uint32_t tail;
};

struct tk_slots {
    struct tk_slot *at;
    uint32_t made;
    uint32_t max;
    uint32_t busy;               /* all but free ones and ghosts */
    _Atomic uint32_t wire_count; /* relaxed where read without the lock */
    struct tk_chain free;
    struct tk_chain wire;
    struct tk_chain ghosts;
    struct tk_chain doomed;
    int64_t earliest; /* no deadline of a busy slot lies before */
};

void
tk_slots_init(struct tk_slots *slots, uint32_t max);

void
tk_slots_fini(struct tk_slots *slots);

/* Gives the memory back if nothing is known of any request. The stream is
 * over: ids begin anew. */
void
tk_slots_shrink(struct tk_slots *slots);

/* A slot for `request`, in no list and OPEN; NULL: full, or no memory. */
struct tk_slot *
tk_slots_take(struct tk_slots *slots, struct tk_request *request);

uint32_t
tk_slots_id(const struct tk_slots *slots, const struct tk_slot *slot);

/* The slot that has this id now, whatever its state; NULL for an old id. */
struct tk_slot *
tk_slots_find(const struct tk_slots *slots, uint64_t id);

/* OPEN to WIRE. */
void
tk_slots_to_wire(struct tk_slots *slots, struct tk_slot *slot, int64_t now,
                 uint64_t message);

/* OPEN, WIRE or LONE to DOOMED. An answer may still come (haunts) to what is
 * WIRE, unless the stream is over: then say so with tk_slots_lay_ghosts(). */
void
tk_slots_doom(struct tk_slots *slots, struct tk_slot *slot,
              enum tk_reply_status status, bool never_sent);

/* The request is no longer known: GHOST where an answer may still come, else
 * FREE. */
void
tk_slots_forget(struct tk_slots *slots, struct tk_slot *slot);

/* Any state to FREE. */
void
tk_slots_release(struct tk_slots *slots, struct tk_slot *slot);

/* The stream is over: no answer will come. */
void
tk_slots_lay_ghosts(struct tk_slots *slots);

static inline struct tk_slot *
tk_slots_head(const struct tk_slots *slots, const struct tk_chain *chain)
{
    return chain->head == TK_SLOT_NONE ? NULL : &slots->at[chain->head];
}

#endif
