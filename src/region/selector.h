/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which replica is asked next, and how: a function of what is seen of the
 * region and its stores now, what the earlier attempts of the round came to,
 * the read mode and a random number. It touches nothing but its own struct,
 * asks no clock and sends nothing, so every path can be tested without a
 * network (RS-3 .. RS-9).
 *
 *     init --see--> next --choice--> (the caller sends)
 *             ^                          | answer
 *             +---- RETRY --- judge <----+
 *
 * A selector serves one request in one version of one region: a round. A
 * round ends with success, an error, or with nobody left to ask; then the
 * keys are looked up anew and another one begins.
 */
#ifndef TK_REGION_SELECTOR_H
#define TK_REGION_SELECTOR_H

#include "region/errors.h"
#include "region/read.h"

#define TK_REPLICAS_MAX 16
#define TK_NOBODY UINT32_MAX

/* What became of a replica in this round. */
enum tk_replica_flag {
    TK_REPLICA_TIMED_OUT = 1, /* took longer than the read may */
    TK_REPLICA_NOT_READY = 2, /* its data is older than the stale read */
    TK_REPLICA_NOT_LEADER = 4,
    TK_REPLICA_BUSY = 8,
    TK_REPLICA_SUSPECT = 16 /* a leader that may not know it is none */
};

struct tk_replica {
    /* Seen now: filled before each choice. */
    uint64_t peer_id;
    enum tk_liveness liveness;
    bool is_stale;    /* its store was suspected since the record saw it */
    bool is_resolved; /* the store's address is not in question */
    bool is_slow;
    bool is_learner;
    bool matches;    /* the labels and ids of the mode */
    int64_t wait_ms; /* estimated, of a request that comes now */

    /* History of the round. */
    uint8_t flags;
    uint32_t attempts; /* as target or as the one who forwards */
    int64_t spent_ms;
    enum tk_backoff_kind pending; /* owed when it is asked again; KINDS: none */
    int64_t pending_max_ms;       /* below 0: no limit */
};

struct tk_selector {
    struct tk_read_mode mode; /* `from` and the threshold change */
    bool is_read;
    bool may_forward;
    bool has_timeout; /* the mode's timeout holds in this round */

    /* Seen now. */
    bool region_is_valid;
    uint32_t leader; /* place of the working peer */
    uint32_t proxy;  /* who forwarded last, or TK_NOBODY */

    /* History of the round. */
    uint32_t attempts;
    bool has_pass;   /* one more try though the region is invalid */
    bool has_probed; /* whether a suspect leader leads */
    uint32_t busy_count;
    uint64_t busy_peer; /* whom the count belongs to */
    uint32_t target;    /* of the last choice, or TK_NOBODY */
    uint32_t via;
    bool replica_read;
    bool stale_read;

    uint32_t count;
    struct tk_replica replicas[TK_REPLICAS_MAX];
};

struct tk_choice {
    uint32_t target; /* place, or TK_NOBODY: the round is over */
    uint32_t via;    /* who forwards to the target, or TK_NOBODY */
    bool replica_read;
    bool stale_read; /* never both */
    bool is_last_resort; /* known to be dead, but so are all */
    uint32_t busy_threshold_ms;
    enum tk_backoff_kind pause; /* owed before; TK_BACKOFF_KINDS: none */
    int64_t pause_max_ms;

    /* What was learned about the region meanwhile. */
    bool reload_later;
    bool reload_now;           /* it must not be used again before */
    enum tk_invalid invalidate; /* OK: leave it */
    uint32_t suspect;          /* this one's store, or TK_NOBODY */
    const char *why;           /* nobody is left; a literal */
};

/* What the end of an attempt demands. */
struct tk_reaction {
    enum tk_verdict verdict;
    enum tk_backoff_kind backoff; /* TK_BACKOFF_KINDS: none */
    int64_t backoff_max_ms;       /* below 0: no limit */
    enum tk_invalid invalidate;
    uint32_t leader;  /* this place leads, or TK_NOBODY */
    uint32_t suspect; /* whose store cannot be trusted, or TK_NOBODY */
    bool is_sure;     /* it is not where it was; else only late */
    uint32_t slow;    /* whose store is, or TK_NOBODY */
    uint32_t loaded;  /* whose store has `wait_ms` of work, or TK_NOBODY */
    int64_t wait_ms;
};

/* A round begins. `count` replicas are to be seen before the first choice. */
void
tk_selector_init(struct tk_selector *selector, const struct tk_read_mode *mode,
                 bool is_read, bool has_timeout, bool may_forward,
                 uint32_t count);

/* The next attempt, counted as made. */
void
tk_selector_next(struct tk_selector *selector, uint64_t random,
                 struct tk_choice *choice);

/* The last choice was answered with a region error. */
void
tk_selector_judge(struct tk_selector *selector,
                  const struct tk_region_error *fault, int64_t spent_ms,
                  struct tk_reaction *reaction);

/* The last choice was not answered: `is_late`, or the network failed. */
void
tk_selector_failed(struct tk_selector *selector, bool is_late,
                   int64_t spent_ms, struct tk_reaction *reaction);

/* The last choice was answered well: the peer that leads for all we know, or
 * TK_NOBODY where the answer does not tell (RS-9). */
uint32_t
tk_selector_succeeded(const struct tk_selector *selector);

#endif
