/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Region records and what the files of the cache share. A record is made
 * whole, put into the map and never changed, except for its atomics: when it
 * ends, why it must not be used, which peer is asked, which epoch of each
 * store it has seen.
 *
 * Lock: cache.lock, rank REGION: writers of the map, the index by id, the
 * flights. The store table's lock has the same rank: never both.
 */
#ifndef TK_REGION_CACHE_INNER_H
#define TK_REGION_CACHE_INNER_H

#include <string.h>

#include "exec/exec.h"
#include "exec/mutex.h"
#include "exec/ticker.h"
#include "pd/waiters.h"
#include "region/buckets.h"
#include "region/cache.h"
#include "region/map.h"

struct metapb_Region;
struct tk_pd_region;

struct tk_peer {
    uint64_t id;
    struct tk_store *store;
    _Atomic uint32_t epoch; /* of the store, as this record saw it */
    uint32_t context_at;    /* in the record's bytes */
    uint16_t context_len;
    bool is_learner;
};

/* What a record must or need not do besides being valid (RC-3). A mark is
 * never taken off before what it asks for was done, so it cannot get lost:
 * a reload that fails leaves it, one that succeeds replaces the record. */
enum tk_region_mark {
    /* In `state`, beside the reason: not for the hot road. */
    TK_REGION_READY = 1 << 8,  /* to be read anew at the next look */
    TK_REGION_RELOAD = 1 << 9, /* the same, and of no use before */
    /* In `marks`. */
    TK_REGION_PENDING = 1 << 10, /* the sweep makes it ready, if still so */
    TK_REGION_MORTAL = 1 << 11   /* use does not renew it */
};

/* One block: the struct, its peers, the bytes. What a lookup looks at comes
 * first. */
struct tk_region {
    struct tk_map_entry entry; /* first; the start key */
    tikv_slice end;
    _Atomic int64_t expires; /* relaxed */
    _Atomic uint32_t state; /* enum tk_invalid, the first one wins; marks */
    _Atomic uint32_t working; /* place of the peer that is asked */
    uint8_t *bytes;          /* end, contexts, start */
    uint32_t peers_count;
    _Atomic uint32_t marks; /* relaxed */
    _Atomic uint32_t proxy; /* place of the last one who forwarded */
    uint64_t id;
    uint64_t conf_ver;
    uint64_t version;
    struct tk_region *next_id; /* chain of the index, under the lock */
    struct tk_retired retired;
    _Atomic(struct tk_buckets *) buckets; /* written under the lock */
    struct tk_peer peers[];
};

/* One lookup at PD; on the stack of the one who does it. */
struct tk_flight {
    tikv_slice key;
    bool before;
    struct tk_waiters waiters;
    struct tk_flight *next;
};

struct tk_cache {
    struct tk_runtime *rt;
    struct tk_pd *pd;
    struct tk_stores *stores;
    struct tk_key_codec codec;
    const struct tk_config *config;
    struct tk_log *log;
    struct tk_mutex lock;
    struct tk_map map;
    /* Under the lock: records in the map, by region id. */
    struct tk_region **index;
    size_t index_size; /* a power of two */
    struct tk_flight *flights;
    _Atomic bool lacks_bulk; /* PD cannot be asked for many; relaxed */
    struct tk_exec *exec;    /* set by start; NULL: nothing is swept */
    struct tk_ticker sweep;
    struct tk_buf swept; /* where the sweep goes on; the work's */
    struct tk_ticker refresh;
};

/* What the one whose flight it is does at PD; *found when something that can
 * be used went into the cache. */
struct tk_load {
    tikv_error *(*run)(struct tk_cache *, struct tk_op *, struct tk_load *,
                       bool *found);
};

/* ---- load.c ---- */

/* Of the region that holds `key`, or the keys just below it. */
struct tk_lookup {
    struct tk_load load; /* first; tk_cache_load_key() */
    tikv_slice key;
    bool before;
    bool leader_only; /* hearsay was tried, and did not help */
};

/* One lookup at PD, put into the cache. *found is false when PD knows no
 * region that can be used. */
tikv_error *
tk_cache_load_key(struct tk_cache *cache, struct tk_op *op,
                  struct tk_load *load, bool *found)
    __attribute__((warn_unused_result));

/* ---- cache.c ---- */

/* The usable record of a key, or of the keys just below it. Inside an epoch
 * section. */
const struct tk_region *
tk_cache_find(struct tk_cache *cache, tikv_slice key, bool before);

/* Joins the flight for that key, or makes one: *mine, and the load is run
 * unless the key is there by then. */
tikv_error *
tk_cache_fly(struct tk_cache *cache, struct tk_op *op, tikv_slice key,
             bool before, struct tk_load *load, bool *mine, bool *found)
    __attribute__((warn_unused_result));

/* ---- record.c ---- */

/* A record of what PD or a store says. `leader_id` (a peer) or
 * `leader_store` names the peer to ask; 0 and NULL: the first one. NULL
 * without error: no peer can be used, or the region is not ours. */
tikv_error *
tk_region_new(struct tk_cache *cache, const struct tk_pd_region *facts,
              const struct tk_store *leader_store, struct tk_region **out);

void
tk_region_free(struct tk_region *region);

/* The first reason wins. */
void
tk_region_invalidate(struct tk_region *region, enum tk_invalid reason);

static inline enum tk_invalid
tk_region_reason(const struct tk_region *region)
{
    return (enum tk_invalid)(
        atomic_load_explicit(&region->state, memory_order_relaxed) & 0xff);
}

void
tk_region_mark(struct tk_region *region, enum tk_region_mark mark);

bool
tk_region_is_marked(const struct tk_region *region, enum tk_region_mark mark);

/* Readiness could not be followed: some time later again. */
void
tk_region_put_off(struct tk_region *region);

static inline void
tk_region_route(const struct tk_region *region, const struct tk_peer *peer,
                struct tk_route *out)
{
    out->region_id = region->id;
    out->conf_ver = region->conf_ver;
    out->version = region->version;
    out->peer_id = peer->id;
    out->store = peer->store;
    out->store_epoch =
        atomic_load_explicit(&peer->epoch, memory_order_relaxed);
    out->context_len = (uint8_t)peer->context_len;
    memcpy(out->context, region->bytes + peer->context_at, peer->context_len);
}

/* The working peer's route, and the bounds, each of which may be NULL. */
void
tk_region_tell(const struct tk_region *region, struct tk_route *out,
               struct tk_buf *start, struct tk_buf *end);

/* True: the peer's store was not suspected since the record saw it, and can
 * be reached as far as we know. */
static inline bool
tk_peer_is_fresh(const struct tk_peer *peer)
{
    return atomic_load_explicit(&peer->epoch, memory_order_relaxed) ==
               atomic_load_explicit(&peer->store->epoch,
                                    memory_order_relaxed) &&
           !atomic_load_explicit(&peer->store->is_out, memory_order_relaxed);
}

/* Not invalid, not to be read anew, not ended. */
static inline bool
tk_region_is_usable(const struct tk_region *region, int64_t now)
{
    return atomic_load_explicit(&region->state, memory_order_relaxed) ==
               TK_INVALID_OK &&
           atomic_load_explicit(&region->expires, memory_order_relaxed) > now;
}

/* When a record made or used now ends. */
int64_t
tk_region_expiry(const struct tk_cache *cache, int64_t now);

/* ---- insert.c; under the lock ---- */

/* Puts the record in, by the rules of RC-5. False: refused as older than what
 * is known, or no memory; the record is still the caller's. */
bool
tk_cache_insert(struct tk_cache *cache, struct tk_region *region);

/* Takes a record out, onto the chain `gone`; without memory it is only
 * invalidated. */
void
tk_cache_remove(struct tk_cache *cache, struct tk_region *region,
                struct tk_region **gone);

/* Shows readers what was done, and retires the chain. */
void
tk_cache_publish(struct tk_cache *cache, struct tk_region *gone);

struct tk_region *
tk_cache_by_id(struct tk_cache *cache, uint64_t id);

/* ---- bulk.c; no lock held ---- */

/* Takes a record over: one that is as new and in use stays as it is, with its
 * leader, and lives on. False: the cache knows something newer. */
bool
tk_cache_add(struct tk_cache *cache, struct tk_region *region);

/* What a scan of PD said. *found: some can be used. *was_old: some were
 * hearsay and older than what is known: the leader knows better. */
tikv_error *
tk_cache_add_all(struct tk_cache *cache, const struct tk_pd_region *all,
                 size_t count, bool *found, bool *was_old)
    __attribute__((warn_unused_result));

/* ---- sweep.c ---- */

/* Under the lock: there is something that may end. */
void
tk_cache_sweep_later(struct tk_cache *cache);

/* ---- refresh.c ---- */

void
tk_cache_refresh_start(struct tk_cache *cache);

#endif
