/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The look at all stores (ST-3): the ticker's work asks PD for the list and
 * takes over addresses that changed. A store that is missing in the list is
 * asked for by its id before it is buried.
 *
 * The ticker always rings again, whatever became of the last look. Lock:
 * stores.lock.
 */
#include "base/error.h"
#include "base/slice.h"
#include "region/store_inner.h"

#include <string.h>

#include "metapb.upb.h"

enum { LOOK_MS = 10000 };

static struct tk_store_slot *
slot_of(struct tk_stores *stores, uint64_t id)
{
    struct tk_store_slot *slot = tk_stores_head(stores, id % TK_STORE_BUCKETS);

    while (slot != NULL && slot->store.id != id) {
        slot = slot->next;
    }
    return slot;
}

static bool
has_moved(const struct tk_conn *conn, upb_StringView address)
{
    const char *text = tk_conn_address(conn);

    return strlen(text) != address.size ||
           memcmp(text, address.data, address.size) != 0;
}

/* Whoever holds a region must be there to be asked when PD is not: so a store
 * that regions name has its address before anybody needs it. One that is being
 * asked for just now is left alone: that answer is newer. */
static tikv_error *
take_over(struct tk_stores *stores, struct tk_store_slot *slot,
          const struct metapb_Store *facts)
{
    struct tk_conn *conn = atomic_load(&slot->store.conn);
    bool is_asking;

    slot->seen = stores->round;
    tk_mutex_lock(&stores->lock);
    is_asking = slot->is_asking;
    tk_mutex_unlock(&stores->lock);
    if (!tk_store_take_labels(stores, slot, facts)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (is_asking ||
        (conn != NULL && metapb_Store_state(facts) != metapb_Tombstone &&
         !has_moved(conn, metapb_Store_address(facts)))) {
        return NULL;
    }
    return tk_store_adopt(stores, slot, tk_exec_is_closing(stores->exec),
                          facts);
}

/* Not in the list: PD is asked what became of it. */
static tikv_error *
ask_for_missing(struct tk_stores *stores, struct tk_op *op)
{
    tikv_error *error = NULL;
    size_t i;

    for (i = 0; i < TK_STORE_BUCKETS && error == NULL; i++) {
        struct tk_store_slot *slot = tk_stores_head(stores, i);

        for (; slot != NULL && error == NULL; slot = slot->next) {
            struct tk_conn *conn = atomic_load(&slot->store.conn);

            if (slot->seen != stores->round && conn != NULL) {
                atomic_store(&slot->store.needs_check, true);
                error = tk_stores_resolve(stores, &slot->store, op, &conn);
            }
        }
    }
    return error;
}

static tikv_error *
look(struct tk_stores *stores, struct tk_op *op)
{
    struct tk_arena *arena = tk_arena_new();
    const struct metapb_Store *const *all = NULL;
    tikv_error *error;
    size_t count = 0;
    size_t i;

    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    stores->round++;
    error = tk_pd_stores(stores->pd, op, arena, &all, &count);
    for (i = 0; i < count && error == NULL; i++) {
        struct tk_store_slot *slot = slot_of(stores, metapb_Store_id(all[i]));

        if (slot != NULL) {
            error = take_over(stores, slot, all[i]);
        }
    }
    if (error == NULL) {
        error = ask_for_missing(stores, op);
    }
    tk_arena_unref(arena);
    return error;
}

static void
refresh(void *owner)
{
    struct tk_stores *stores = owner;
    struct tk_op op;

    if (tk_op_init(&op, stores->exec, NULL, LOOK_MS * TK_MS)) {
        tikv_error *error = look(stores, &op);

        if (error != NULL) {
            tk_log(stores->log, TIKV_LOG_INFO, "region",
                   "no look at the stores: %s", tikv_error_message(error));
        }
        tikv_error_free(error);
        tk_op_fini(&op);
    }
}

void
tk_stores_refresh_once(struct tk_stores *stores)
{
    if (stores->exec != NULL &&
        !atomic_load_explicit(&stores->has_looked, memory_order_relaxed) &&
        !atomic_exchange(&stores->has_looked, true)) {
        tk_ticker_push(&stores->refresh);
    }
}

static int64_t
next_look(void *owner)
{
    const struct tk_stores *stores = owner;

    return tk_after(tk_now(stores->rt),
                    tk_config_ns(&stores->config->stores_refresh_ms));
}

void
tk_stores_refresh_start(struct tk_stores *stores)
{
    tk_ticker_init(&stores->refresh, stores->exec, &stores->lock, stores,
                   refresh, next_look);
    tk_mutex_lock(&stores->lock);
    tk_ticker_begin(&stores->refresh, next_look(stores));
    tk_mutex_unlock(&stores->lock);
}
