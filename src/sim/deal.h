/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One transaction of a workload from its beginning to what it was told: by
 * tikv_txn_run() or by hand, blocking or by a future, as 2PC, async or
 * one-phase commit, all by chance. It is a transaction of the record; whoever
 * is in doubt is asked about by tikv_txn_outcome(), now or in the end.
 */
#ifndef TK_SIM_DEAL_H
#define TK_SIM_DEAL_H

#include "sim/world.h"

struct tk_deal;

/* One attempt: reads and writes by the functions below. */
typedef tikv_error *
tk_deal_fn(struct tk_deal *deal);

struct tk_deal {
    struct tk_world *world; /* the caller's: the first four */
    struct tk_seat *seat;
    struct tk_rng *rng;
    tk_deal_fn *body;
    const void *plan; /* and what body likes */
    bool is_last;     /* time does not matter */
    bool inserts;

    tikv_txn *txn; /* while body runs */
    int64_t deadline;
    uint32_t number; /* of the record */
    uint64_t start_ts;
    uint64_t commit_ts;
    int64_t asked; /* for the last commit */
    bool is_causal;
    struct tk_record_step steps[TK_RECORD_STEPS_MAX];
    size_t count;
};

/* Its outcome; the record has the rest. */
enum tk_sim_outcome
tk_deal_run(struct tk_deal *deal, uint32_t fiber);

/* Which options calls of the body have: until the deal's deadline. */
tikv_read_options
tk_deal_reads(const struct tk_deal *deal);

/* A register: its value as one step. */
tikv_error *
tk_deal_get(struct tk_deal *deal, uint32_t key, uint32_t *value);

/* Behind a get of the same key, or blind. 0 deletes. */
tikv_error *
tk_deal_put(struct tk_deal *deal, uint32_t key, uint32_t value);

/* A put where nothing may be; blind, and the deal may end with KEY_EXISTS. */
tikv_error *
tk_deal_insert(struct tk_deal *deal, uint32_t key, uint32_t value);

/* A list: what is in it; with `value` not 0 that is appended. */
tikv_error *
tk_deal_list(struct tk_deal *deal, uint32_t key, uint32_t value);

/* What bytes say a list holds; up to `max` numbers, TK_SIM_FOREIGN for what
 * is none. */
size_t
tk_deal_parse(tikv_slice bytes, uint32_t *values, size_t max);

/* Whether transactions may end so; complains about others. */
void
tk_deal_check_code(struct tk_world *world, const struct tk_seat *seat,
                   const tikv_error *error);

/* Asks about every doubt that is left; those that stay are complained of. */
void
tk_deal_decide_all(struct tk_world *world);

/* Until no lock is left in the cluster. */
void
tk_deal_end_locks(struct tk_world *world);

/* Who loses a conflict in the healed world leaves no lock: behind the rest. */
void
tk_deal_lose(struct tk_world *world);

/* One that reads the healed world by `body`: it must not fail. */
void
tk_deal_run_last(struct tk_world *world, tk_deal_fn *body);

#endif
