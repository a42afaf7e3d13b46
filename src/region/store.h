/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of stores: one owner of each store's state. Regions refer to
 * stores by pointer; a store object lives as long as the table, so an address
 * change is seen by all. Lock: rank REGION, for writers; readers load
 * atomics.
 */
#ifndef TK_REGION_STORE_H
#define TK_REGION_STORE_H

#include "pd/pd.h"
#include "region/read.h"

struct tk_exec;
struct tk_labels;
struct tk_stores;

enum tk_liveness {
    TK_ALIVE,
    TK_LIFE_UNKNOWN, /* a doubt that no probe has settled yet */
    TK_DEAD
};

struct tk_store {
    uint64_t id;                      /* fixed */
    _Atomic(struct tk_conn *) conn;   /* acquire; NULL: not resolved */
    _Atomic uint32_t epoch;           /* raised to invalidate its regions */
    _Atomic bool needs_check;         /* address must be asked again */
    _Atomic bool is_out;              /* asked only where no other peer is:
                                         unreachable, or a tombstone */
    _Atomic bool is_tombstone;
    _Atomic bool is_doubted;          /* a probe will tell; until then asked
                                         after others */
    _Atomic bool is_foreign;          /* of columns: serves nothing of ours */
    /* Of its load and health; relaxed. */
    _Atomic uint32_t inflight;        /* counted while there is a limit */
    _Atomic int64_t busy_until;       /* by its own estimate */
    _Atomic uint64_t told;            /* slow score of its own word... */
    _Atomic uint64_t felt;            /* ...and of ours, each with its time */
    _Atomic(const struct tk_labels *) labels; /* acquire; NULL: none */
};

struct tk_stores *
tk_stores_new(struct tk_pd *pd, struct tk_rpc *rpc, struct tk_log *log);

/* Starts what goes on in the background: PD's list of all stores every
 * stores.refresh_ms, probes of suspected stores every stores.probe_ms. Ends
 * with the exec and the rpc; tk_stores_free() waits for the timers. */
void
tk_stores_start(struct tk_stores *stores, struct tk_exec *exec,
                const struct tk_config *config);

/* The object of an id, made at the first time; NULL without memory. */
struct tk_store *
tk_stores_get(struct tk_stores *stores, uint64_t id);

/* The object of an id that was met before, or NULL. */
struct tk_store *
tk_stores_find(struct tk_stores *stores, uint64_t id);

/* Makes sure the store has a connection to its present address; asks PD when
 * it has none or needs a check. Single flight per store. A tombstone or
 * unknown store: *out NULL and no error. */
tikv_error *
tk_stores_resolve(struct tk_stores *stores, struct tk_store *store,
                  struct tk_op *op, struct tk_conn **out);

/* PD did not say in time whether the store has moved: it is asked where it
 * was, and the look at all stores, which begins soon, tells. */
void
tk_stores_put_off(struct tk_stores *stores, struct tk_store *store);

/* A send failed or the store said it is another: raise the epoch, so that its
 * regions look again, check the address at the next use, and probe it in the
 * background. True for the first to know. `seen_epoch` is
 * the route's: of many failures together one raises it. */
bool
tk_stores_suspect(struct tk_stores *stores, struct tk_store *store,
                  uint32_t seen_epoch);

/* No answer in time: a probe is to tell whether it lives, and if not, it is
 * suspected with the epoch the route had. */
void
tk_stores_doubt(struct tk_stores *stores, struct tk_store *store,
                uint32_t seen_epoch);

/* The address of an out store is asked for again before it counts as dead:
 * it may have moved. */
static inline enum tk_liveness
tk_store_liveness(const struct tk_store *store)
{
    if (atomic_load_explicit(&store->is_foreign, memory_order_relaxed)) {
        return TK_DEAD;
    }
    if (atomic_load_explicit(&store->is_out, memory_order_relaxed)) {
        return atomic_load_explicit(&store->needs_check,
                                    memory_order_relaxed) &&
                       !atomic_load_explicit(&store->is_tombstone,
                                             memory_order_relaxed)
                   ? TK_LIFE_UNKNOWN
                   : TK_DEAD;
    }
    return atomic_load_explicit(&store->is_doubted, memory_order_relaxed)
               ? TK_LIFE_UNKNOWN
               : TK_ALIVE;
}

/* One more retry of the client's, of `per_second` (0: no limit), with a second
 * of them in reserve. */
bool
tk_stores_may_retry(struct tk_stores *stores, int64_t now, int64_t per_second);

/* Second requests of reads, client-wide: each read brings a part of one, each
 * hedge takes a whole, and few can be saved up. */
struct tk_hedges {
    _Atomic int64_t credit;   /* in hundredths of a hedge */
    _Atomic uint64_t sent;
    _Atomic uint64_t won;     /* they were first with a valid answer */
    _Atomic uint64_t lost;    /* the first request was */
    _Atomic uint64_t refused; /* for lack of credit */
};

/* A read that may be hedged was sent. */
void
tk_stores_hedge_earn(struct tk_stores *stores, int64_t percent);

/* Takes one from the credit. */
bool
tk_stores_may_hedge(struct tk_stores *stores, int64_t percent);

void
tk_stores_hedge_ended(struct tk_stores *stores, bool has_won);

/* ---- health and load (ST-6 .. ST-8): store_health.c; any thread ---- */

bool
tk_store_has_labels(const struct tk_store *store,
                    const struct tk_label *labels, size_t count);

/* Its label "zone" is another than ours; false where either is unknown. */
bool
tk_store_is_far(const struct tk_store *store, const struct tk_config *config);

/* Requests that come now would wait so long, as far as is known. */
int64_t
tk_store_wait_ms(const struct tk_store *store, int64_t now);

void
tk_store_set_wait(struct tk_store *store, int64_t now, int64_t wait_ms);

/* By its own word or by our experience, whichever is worse: 1 (well) .. 100. */
uint64_t
tk_store_score(const struct tk_store *store, int64_t now);

/* From 80 on. */
bool
tk_store_is_slow(const struct tk_store *store, int64_t now);

/* It failed a request, or was busy without saying for how long. */
void
tk_store_mark_slow(struct tk_store *store, int64_t now);

/* Its own slow score, 1 .. 100. */
void
tk_store_tell(struct tk_store *store, int64_t now, uint64_t score);

/* A request to it took so long. */
void
tk_store_feel(struct tk_stores *stores, struct tk_store *store, int64_t now,
              int64_t took_ns);

/* Up to where every store of the scope serves stale reads: "global" are all
 * stores, anything else those with that label "zone". Asks PD for the list and
 * all of them at once. 0: nobody knows, or there is none. */
tikv_error *
tk_stores_safe_ts(struct tk_stores *stores, struct tk_op *op,
                  const char *scope, uint64_t *out)
    __attribute__((warn_unused_result));

/* After the exec and the rpc closed. */
void
tk_stores_free(struct tk_stores *stores);

#endif
