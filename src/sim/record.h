/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What transactions did and what they were told: the material of the
 * checkers. A transaction is a run of steps, each at one key:
 *
 *   - a read gave so many values: those of a list, or the one of a register;
 *   - a write replaced a register's value, or put one behind a list. What the
 *     transaction had read there before it is the step's reading.
 *
 * Every written value is a number of its own, from 1; 0 is a delete. Steps
 * after a write of the same transaction see it. One thread; times are the
 * runtime's.
 */
#ifndef TK_SIM_RECORD_H
#define TK_SIM_RECORD_H

#include "base/buf.h"
#include "sim/history.h"

#define TK_RECORD_STEPS_MAX 12

struct tk_record_step {
    uint32_t key;
    bool is_write;
    bool is_blind;  /* a write that did not look before */
    bool is_insert; /* a blind one that asks for nothing to be there */
    uint32_t value; /* written */
    uint32_t first; /* read: record->values[first], `count` of them */
    uint32_t count;
};

struct tk_record_txn {
    uint32_t fiber;
    bool is_past;   /* reads at an old timestamp: tells nothing of today */
    bool is_causal; /* it may be committed before those it knows nothing of */
    enum tk_sim_outcome outcome;
    int32_t code; /* of the error */
    uint64_t start_ts;
    uint64_t commit_ts; /* 0: not committed, nothing written, or not told */
    int64_t invoked;
    int64_t asked;    /* for the commit; 0: not so far */
    int64_t returned; /* while it runs: TK_NEVER */
    int64_t deadline;
    uint32_t ends;  /* how often it ended */
    uint32_t first; /* record->steps[first], `count` of them */
    uint32_t count;
};

struct tk_record {
    struct tk_record_txn *txns;
    size_t txns_count;
    size_t txns_room;
    struct tk_record_step *steps;
    size_t steps_count;
    size_t steps_room;
    uint32_t *values;
    size_t values_count;
    size_t values_room;
    bool failed; /* no memory: nothing can be said */
};

void
tk_record_init(struct tk_record *record);

void
tk_record_fini(struct tk_record *record);

/* A new transaction, running; its number, or TK_SIM_NONE. */
uint32_t
tk_record_begin(struct tk_record *record, uint32_t fiber, int64_t now,
                int64_t deadline);

/* Keeps values that were read; where they begin. */
uint32_t
tk_record_values(struct tk_record *record, const uint32_t *values,
                 size_t count);

/* The steps of its last attempt, once. */
void
tk_record_steps(struct tk_record *record, uint32_t txn,
                const struct tk_record_step *steps, size_t count);

/* The end; a second one is counted and changes nothing. */
void
tk_record_end(struct tk_record *record, uint32_t txn, int64_t now,
              enum tk_sim_outcome outcome, int32_t code);

/* Somebody knows better what became of an undetermined one: who returned
 * then has a moment of its own, `now`. */
void
tk_record_decide(struct tk_record *record, uint32_t txn, int64_t now,
                 enum tk_sim_outcome outcome, uint64_t commit_ts);

/* Every transaction ended once and by its deadline, and `slack`: the first
 * that did not with a sentence in `*why`, or TK_SIM_NONE. */
uint32_t
tk_record_rules(const struct tk_record *record, int64_t slack,
                const char **why);

/* A line. */
void
tk_record_print(const struct tk_record *record, uint32_t txn,
                struct tk_buf *out);

#endif
