/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores and their addresses (ST-1, ST-2, ST-4).
 *
 *     unresolved --PD--> resolved <--PD-- needs_check <--suspect-- resolved
 *     any --PD: gone--> tombstone, for good
 *
 * Beside that a store is in or out: out when a probe could not reach it, in
 * again when one could, or when it has another address (ST-5, store_probe.c).
 *
 * One resolution per store at a time; others wait for it, and whoever finds
 * the store unresolved afterwards does the next. Connections once given out
 * are kept until the table goes: readers load store->conn without counting.
 */
#include "region/store_inner.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"

#include "metapb.upb.h"

struct tk_stores *
tk_stores_new(struct tk_pd *pd, struct tk_rpc *rpc, struct tk_log *log)
{
    struct tk_stores *stores = tk_calloc(sizeof(*stores));

    if (stores != NULL) {
        stores->pd = pd;
        stores->rpc = rpc;
        stores->log = log;
        tk_mutex_init(&stores->lock, TK_RANK_REGION);
    }
    return stores;
}

void
tk_stores_start(struct tk_stores *stores, struct tk_exec *exec,
                const struct tk_config *config)
{
    stores->exec = exec;
    stores->rt = tk_exec_runtime(exec);
    stores->config = config;
    tk_stores_health_start(stores);
    tk_stores_probe_start(stores);
    tk_stores_refresh_start(stores);
}

struct tk_store_slot *
tk_stores_head(struct tk_stores *stores, size_t bucket)
{
    struct tk_store_slot *head;

    tk_mutex_lock(&stores->lock);
    head = stores->buckets[bucket];
    tk_mutex_unlock(&stores->lock);
    return head;
}

struct tk_store *
tk_stores_get(struct tk_stores *stores, uint64_t id)
{
    struct tk_store_slot **bucket = &stores->buckets[id % TK_STORE_BUCKETS];
    struct tk_store_slot *slot;

    tk_mutex_lock(&stores->lock);
    for (slot = *bucket; slot != NULL; slot = slot->next) {
        if (slot->store.id == id) {
            break;
        }
    }
    if (slot == NULL) {
        slot = tk_calloc(sizeof(*slot));
        if (slot != NULL) {
            slot->store.id = id;
            slot->table = stores;
            slot->probe.slot = slot;
            slot->next = *bucket;
            *bucket = slot;
        }
    }
    tk_mutex_unlock(&stores->lock);
    return slot == NULL ? NULL : &slot->store;
}

struct tk_store *
tk_stores_find(struct tk_stores *stores, uint64_t id)
{
    struct tk_store_slot *slot = tk_stores_head(stores, id % TK_STORE_BUCKETS);

    while (slot != NULL && slot->store.id != id) {
        slot = slot->next;
    }
    return slot == NULL ? NULL : &slot->store;
}

/* The connection becomes the store's and is kept; a new one has no past.
 * Takes the reference. */
static bool
keep_conn(struct tk_stores *stores, struct tk_store_slot *slot,
          struct tk_conn *conn)
{
    struct tk_conn **grown = NULL;
    struct tk_conn *spare = NULL;
    bool is_kept = true;
    size_t i;

    tk_mutex_lock(&stores->lock);
    for (i = 0; i < slot->conns_count && spare == NULL; i++) {
        if (slot->conns[i] == conn) {
            spare = conn;
        }
    }
    if (spare == NULL) {
        grown = tk_realloc(slot->conns,
                           (slot->conns_count + 1) * sizeof(*grown));
        if (grown == NULL) {
            spare = conn;
            is_kept = false;
        } else {
            slot->conns = grown;
            slot->conns[slot->conns_count++] = conn;
        }
    }
    if (is_kept && !atomic_load(&slot->store.is_tombstone)) {
        if (atomic_load(&slot->store.conn) != conn) {
            atomic_store(&slot->store.is_out, false);
        }
        atomic_store_explicit(&slot->store.conn, conn, memory_order_release);
    }
    tk_mutex_unlock(&stores->lock);
    if (spare != NULL) {
        tk_conn_unref(spare);
    }
    return is_kept;
}

static void
bury(struct tk_stores *stores, struct tk_store_slot *slot)
{
    tk_log(stores->log, TIKV_LOG_INFO, "region", "store %llu is gone",
           (unsigned long long)slot->store.id);
    tk_mutex_lock(&stores->lock);
    atomic_store(&slot->store.is_tombstone, true);
    atomic_store(&slot->store.is_out, true);
    atomic_fetch_add(&slot->store.epoch, 1);
    atomic_store_explicit(&slot->store.conn, NULL, memory_order_release);
    tk_mutex_unlock(&stores->lock);
}

static tikv_error *
connect_to(struct tk_stores *stores, struct tk_store_slot *slot,
           bool is_closing, upb_StringView address)
{
    char text[300];
    struct tk_conn *conn;

    if (address.size == 0 || address.size >= sizeof(text)) {
        return tk_error(TIKV_ERR_UNAVAILABLE, "store %llu has no address",
                        (unsigned long long)slot->store.id);
    }
    memcpy(text, address.data, address.size);
    text[address.size] = '\0';
    conn = tk_rpc_conn(stores->rpc, text);
    if (conn == NULL && is_closing) {
        return tk_error_immortal(TIKV_ERR_CLOSED);
    }
    if (conn == NULL || !keep_conn(stores, slot, conn)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return NULL;
}

tikv_error *
tk_store_adopt(struct tk_stores *stores, struct tk_store_slot *slot,
               bool is_closing, const struct metapb_Store *facts)
{
    if (facts == NULL || metapb_Store_state(facts) == metapb_Tombstone) {
        if (!atomic_load(&slot->store.is_tombstone)) {
            bury(stores, slot);
        }
        return NULL;
    }
    if (!tk_store_take_labels(stores, slot, facts)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return connect_to(stores, slot, is_closing, metapb_Store_address(facts));
}

/* Asks PD and takes over what it says. */
static tikv_error *
ask_pd(struct tk_stores *stores, struct tk_store_slot *slot, struct tk_op *op)
{
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Store *facts;
    tikv_error *error;

    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    /* Cleared first: a suspicion that comes meanwhile asks once more. */
    atomic_store(&slot->store.needs_check, false);
    error = tk_pd_store(stores->pd, op, slot->store.id, arena, &facts);
    if (error == NULL) {
        error = tk_store_adopt(stores, slot, tk_exec_is_closing(op->exec),
                               facts);
    }
    if (error != NULL) {
        atomic_store(&slot->store.needs_check, true);
    }
    tk_arena_unref(arena);
    return error;
}

/* True: *out says it. */
static bool
is_resolved(struct tk_store *store, struct tk_conn **out)
{
    *out = NULL;
    if (atomic_load(&store->is_tombstone)) {
        return true;
    }
    if (atomic_load(&store->needs_check)) {
        return false;
    }
    *out = atomic_load_explicit(&store->conn, memory_order_acquire);
    return *out != NULL;
}

tikv_error *
tk_stores_resolve(struct tk_stores *stores, struct tk_store *store,
                  struct tk_op *op, struct tk_conn **out)
{
    struct tk_store_slot *slot = (struct tk_store_slot *)(void *)store;

    for (;;) {
        struct tk_waiter waiter;
        struct tk_waiter *woken;
        struct tk_wakes wakes;
        tikv_error *error;
        bool is_mine;

        if (is_resolved(store, out)) {
            return NULL;
        }
        tk_mutex_lock(&stores->lock);
        is_mine = !slot->is_asking;
        slot->is_asking = true;
        if (!is_mine) {
            tk_waiters_add(&slot->waiters, &waiter, op);
        }
        tk_mutex_unlock(&stores->lock);
        if (!is_mine) {
            error = tk_waiter_await(&slot->waiters, &waiter, &stores->lock,
                                    op);
            if (error != NULL) {
                return error;
            }
            continue;
        }
        error = is_resolved(store, out) ? NULL : ask_pd(stores, slot, op);
        tk_mutex_lock(&stores->lock);
        slot->is_asking = false;
        woken = tk_waiters_take(&slot->waiters);
        tk_mutex_unlock(&stores->lock);
        tk_wakes_init(&wakes, op->rt);
        tk_waiters_wake(woken, &wakes);
        tk_wakes_flush(&wakes);
        if (error != NULL) {
            return error;
        }
        tk_stores_refresh_once(stores);
    }
}

void
tk_stores_put_off(struct tk_stores *stores, struct tk_store *store)
{
    atomic_store(&store->needs_check, false);
    if (stores->exec != NULL) {
        tk_ticker_push(&stores->refresh);
    }
}

bool
tk_stores_suspect(struct tk_stores *stores, struct tk_store *store,
                  uint32_t seen_epoch)
{
    uint32_t expected = seen_epoch;
    /* Many requests fail together: one of them moves the epoch. */
    bool is_first = atomic_compare_exchange_strong(&store->epoch, &expected,
                                                   seen_epoch + 1);

    if (is_first) {
        tk_log(stores->log, TIKV_LOG_WARN, "region", "store %llu is suspect",
               (unsigned long long)store->id);
    }
    atomic_store(&store->needs_check, true);
    tk_store_probe(stores, (struct tk_store_slot *)(void *)store, seen_epoch);
    return is_first;
}

void
tk_stores_doubt(struct tk_stores *stores, struct tk_store *store,
                uint32_t seen_epoch)
{
    if (stores->exec == NULL) {
        tk_stores_suspect(stores, store, seen_epoch);
    } else {
        tk_store_probe(stores, (struct tk_store_slot *)(void *)store,
                       seen_epoch);
    }
}

bool
tk_stores_may_retry(struct tk_stores *stores, int64_t now, int64_t per_second)
{
    int64_t due = atomic_load_explicit(&stores->retries, memory_order_relaxed);
    int64_t next;

    if (per_second == 0) {
        return true;
    }
    do {
        next = (due > now ? due : now) + 1000 * TK_MS / per_second;
        if (next - now > 1000 * TK_MS) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&stores->retries, &due, next));
    return true;
}

enum { HEDGE = 100, HEDGES_SAVED = 10 * HEDGE };

void
tk_stores_hedge_earn(struct tk_stores *stores, int64_t percent)
{
    _Atomic int64_t *credit = &stores->hedges.credit;
    int64_t have = atomic_load_explicit(credit, memory_order_relaxed);
    int64_t next;

    do {
        next = have + percent < HEDGES_SAVED ? have + percent : HEDGES_SAVED;
    } while (next != have &&
             !atomic_compare_exchange_weak_explicit(credit, &have, next,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool
tk_stores_may_hedge(struct tk_stores *stores, int64_t percent)
{
    struct tk_hedges *hedges = &stores->hedges;
    int64_t have = atomic_load_explicit(&hedges->credit, memory_order_relaxed);

    do {
        if (have < HEDGE || percent == 0) {
            atomic_fetch_add_explicit(&hedges->refused, 1,
                                      memory_order_relaxed);
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &hedges->credit, &have, have - HEDGE, memory_order_relaxed,
        memory_order_relaxed));
    atomic_fetch_add_explicit(&hedges->sent, 1, memory_order_relaxed);
    return true;
}

void
tk_stores_hedge_ended(struct tk_stores *stores, bool has_won)
{
    struct tk_hedges *hedges = &stores->hedges;

    atomic_fetch_add_explicit(has_won ? &hedges->won : &hedges->lost, 1,
                              memory_order_relaxed);
}

/* Its work and its requests ended with the exec and the rpc. */
static void
stop(struct tk_stores *stores)
{
    tk_mutex_lock(&stores->lock);
    stores->is_closed = true;
    tk_mutex_unlock(&stores->lock);
    tk_ticker_close(&stores->refresh);
    tk_alarm_stop(&stores->probe_alarm);
}

void
tk_stores_free(struct tk_stores *stores)
{
    size_t i;

    if (stores == NULL) {
        return;
    }
    stop(stores);
    for (i = 0; i < TK_STORE_BUCKETS; i++) {
        while (stores->buckets[i] != NULL) {
            struct tk_store_slot *slot = stores->buckets[i];

            stores->buckets[i] = slot->next;
            while (slot->conns_count > 0) {
                tk_conn_unref(slot->conns[--slot->conns_count]);
            }
            tk_free(slot->conns);
            tk_store_free_labels(slot);
            tk_free(slot);
        }
    }
    tk_mutex_fini(&stores->lock);
    tk_free(stores);
}
