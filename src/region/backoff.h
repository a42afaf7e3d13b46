/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before trying again, and when to give up (BO-1..BO-6):
 * kinds are rows of base/backoff.def, one budget for all kinds, server-busy
 * sleeps counted apart. One owner at a time, no lock.
 */
#ifndef TK_REGION_BACKOFF_H
#define TK_REGION_BACKOFF_H

#include "base/backoff_kind.h"
#include "base/error.h"
#include "base/rng.h"
#include "exec/op.h"

enum tk_jitter {
    TK_JITTER_NONE,
    TK_JITTER_EARLY, /* none, less up to a quarter */
    TK_JITTER_FULL,
    TK_JITTER_EQUAL,
    TK_JITTER_DECORRELATED
};

/* The pause after `attempts` pauses, the last of which was `last_ms` (0:
 * none): BO-2. `base_ms` is at least 2, `cap_ms` at least that. */
int64_t
tk_backoff_pause(enum tk_jitter jitter, int64_t base_ms, int64_t cap_ms,
                 unsigned attempts, int64_t last_ms, uint64_t random);

/* The shortest pause of that kind. */
int64_t
tk_backoff_base_ms(enum tk_backoff_kind kind);

struct tk_backoff {
    int64_t budget_ms; /* 0: unlimited */
    int64_t total_ms;
    int64_t excluded_ms; /* of them server busy */
    uint16_t attempts[TK_BACKOFF_KINDS];
    uint32_t slept_ms[TK_BACKOFF_KINDS];
    uint32_t last_ms[TK_BACKOFF_KINDS]; /* for decorrelated jitter */
};

/* `budget_ms` already weighted. */
void
tk_backoff_init(struct tk_backoff *backoff, int64_t budget_ms);

/* Starts again with the totals of `from` and fresh attempt counters: for the
 * parts a shard is split into. */
void
tk_backoff_fork(struct tk_backoff *backoff, const struct tk_backoff *from);

/* The child's totals become the parent's (BO-4). */
void
tk_backoff_adopt(struct tk_backoff *backoff, const struct tk_backoff *child);

/* Takes over the totals of `from`, and nothing else: a round knows what the
 * rounds before it waited, and afterwards the operation what the round did. */
void
tk_backoff_carry(struct tk_backoff *backoff, const struct tk_backoff *from);

/* The next sleep of that kind in ms, not longer than `ceiling_ms` (below 0:
 * no ceiling), or -1 when the budget is used up: checked before sleeping.
 * Counts the sleep as slept. */
int64_t
tk_backoff_next(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                int64_t ceiling_ms, uint64_t random);

/* Takes the count of one interrupted sleep back. */
void
tk_backoff_undo(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                int64_t ms);

/* What the budget still allows; TK_NEVER in ms without one. */
int64_t
tk_backoff_left_ms(const struct tk_backoff *backoff);

/* Counts time that was spent waiting elsewhere as slept. */
void
tk_backoff_charge(struct tk_backoff *backoff, enum tk_backoff_kind kind,
                  int64_t ms);

/* The kind that slept longest; TK_BACKOFF_KINDS when none did. */
enum tk_backoff_kind
tk_backoff_dominant(const struct tk_backoff *backoff);

/* The error of a used-up budget: the dominant kind's code, `cause` (taken,
 * may be NULL) as its text, times per kind. */
tikv_error *
tk_backoff_exceeded(const struct tk_backoff *backoff, tikv_error *cause);

/* Puts the times per kind into an error that is being returned. */
void
tk_backoff_describe(const struct tk_backoff *backoff, tikv_error *error);

#endif
