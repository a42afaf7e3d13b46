/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the store table share. A slot is made once and lives as
 * long as the table, and chains only grow at their head: whoever has read a
 * head under the lock may walk on without it.
 *
 * Lock: stores.lock, rank REGION; never held across a wait or a submit.
 */
#ifndef TK_REGION_STORE_INNER_H
#define TK_REGION_STORE_INNER_H

#include "exec/exec.h"
#include "exec/mutex.h"
#include "exec/ticker.h"
#include "pd/waiters.h"
#include "region/store.h"

struct metapb_Store;

enum { TK_STORE_BUCKETS = 256 };

/* One health check at a time. Guarded by the lock, but for the request while
 * is_sent. */
struct tk_probe {
    struct tk_request request; /* first */
    struct tk_store_slot *slot;
    bool is_on;   /* the store is suspected */
    bool is_sent; /* its done comes */
    int64_t due;  /* of the next one, while none is sent */
    uint32_t failures;
    uint32_t epoch; /* of the store, when it was first doubted */
};

/* Labels are never changed, only replaced, and kept until the table goes:
 * readers need no lock. */
struct tk_labels {
    const struct tk_labels *older;
    size_t count;
    struct tk_label all[];
};

enum { TK_FEEL_SLOTS = 10 };

/* How long requests took, in slots of TK_FEEL_MS (ST-6). */
struct tk_feeling {
    int64_t slot_ends; /* 0: never felt */
    uint64_t sum_us;
    uint64_t count;
    uint64_t us[TK_FEEL_SLOTS]; /* averages of the slots before */
    uint64_t counts[TK_FEEL_SLOTS];
    unsigned slots;
};

struct tk_store_slot {
    struct tk_store store;      /* first */
    struct tk_store_slot *next; /* fixed */
    struct tk_stores *table;
    /* Guarded by the table's lock. */
    bool is_asking;
    struct tk_waiters waiters;
    struct tk_conn **conns; /* counted, each once */
    size_t conns_count;
    struct tk_probe probe;
    struct tk_feeling feeling;
    bool has_told_safe_ts;
    uint64_t safe_ts; /* the highest it told */
    /* The refresh job's. */
    uint64_t seen; /* the round that last met it in PD's list */
};

struct tk_stores {
    struct tk_pd *pd;
    struct tk_rpc *rpc;
    struct tk_log *log;
    struct tk_mutex lock;
    struct tk_store_slot *buckets[TK_STORE_BUCKETS];
    /* Set by start; exec is NULL before. */
    struct tk_exec *exec;
    struct tk_runtime *rt;
    const struct tk_config *config;
    /* Guarded by the lock. */
    bool is_closed;
    struct tk_alarm probe_alarm;
    struct tk_ticker refresh;
    uint64_t round; /* the refresh job's */
    _Atomic bool has_looked;
    struct tk_hedges hedges;
    _Atomic int64_t retries; /* when all those made would have been due */
};

/* The first slot of a bucket. */
struct tk_store_slot *
tk_stores_head(struct tk_stores *stores, size_t bucket);

/* Takes over what PD says of a store: its end or its address. */
tikv_error *
tk_store_adopt(struct tk_stores *stores, struct tk_store_slot *slot,
               bool is_closing, const struct metapb_Store *facts)
    __attribute__((warn_unused_result));

/* Refreshes after the first store was asked for: others will be. */
void
tk_stores_refresh_once(struct tk_stores *stores);

void
tk_stores_refresh_start(struct tk_stores *stores);

/* The store is in doubt since it had that epoch: probes begin, unless they
 * have. No lock held. */
void
tk_store_probe(struct tk_stores *stores, struct tk_store_slot *slot,
               uint32_t epoch);

/* Takes PD's labels over. False without memory. */
bool
tk_store_take_labels(struct tk_stores *stores, struct tk_store_slot *slot,
                     const struct metapb_Store *facts);

void
tk_store_free_labels(struct tk_store_slot *slot);

/* Listens to what stores tell of themselves. */
void
tk_stores_health_start(struct tk_stores *stores);

void
tk_stores_probe_start(struct tk_stores *stores);

/* tk_stores_safe_ts() of these stores, as PD told them. */
tikv_error *
tk_stores_safe_ts_of(struct tk_stores *stores, struct tk_op *op,
                     const struct metapb_Store *const *facts, size_t count,
                     const char *scope, uint64_t *out)
    __attribute__((warn_unused_result));

#endif
