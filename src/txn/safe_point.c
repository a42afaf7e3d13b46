/* SPDX-License-Identifier: Apache-2.0 */
/* See safe_point.h. Lock: safe.lock, never held while asking. */
#include "txn/safe_point.h"

#include "base/error.h"
#include "pd/gc_state.h"

#define RENEW_NS (INT64_C(10000) * TK_MS)
#define VALID_NS (INT64_C(90000) * TK_MS)

/* How long the pool tries. */
#define RENEWAL_NS (INT64_C(10000) * TK_MS)

void
tk_safe_point_learn(struct tk_safe_point *safe, uint64_t point)
{
    int64_t now = tk_now(safe->router->rt);

    tk_mutex_lock(&safe->lock);
    if (point > safe->point) {
        safe->point = point;
    }
    safe->seen_at = now == 0 ? 1 : now;
    tk_mutex_unlock(&safe->lock);
}

static tikv_error *
ask(struct tk_safe_point *safe, struct tk_op *op)
{
    const struct tk_key_codec *codec = &safe->router->codec;
    struct tk_gc_state state;
    tikv_error *error =
        tk_pd_gc_state(safe->router->pd, op,
                       codec->mode == TK_KEYS_TXN_V2 ? codec->keyspace_id
                                                     : TK_PD_NULL_KEYSPACE,
                       &state);

    if (error == NULL) {
        tk_safe_point_learn(safe, state.txn_safe_point);
    }
    return error;
}

static void
renew(void *owner)
{
    struct tk_safe_point *safe = owner;
    struct tk_op op;

    if (tk_op_init(&op, safe->router->exec, NULL, RENEWAL_NS)) {
        /* The next reader tries again; in the end one of them is told. */
        tikv_error_free(ask(safe, &op));
        tk_op_fini(&op);
    }
}

void
tk_safe_point_init(struct tk_safe_point *safe, const struct tk_router *router)
{
    safe->router = router;
    tk_mutex_init(&safe->lock, TK_RANK_LEAF);
    tk_ticker_init(&safe->renewal, router->exec, &safe->lock, safe, renew,
                   NULL);
}

void
tk_safe_point_fini(struct tk_safe_point *safe)
{
    tk_mutex_fini(&safe->lock);
}

/* Under the lock. */
static bool
is_valid(const struct tk_safe_point *safe, int64_t now)
{
    return safe->seen_at != 0 && now - safe->seen_at <= VALID_NS;
}

static tikv_error *
ask_for_all(struct tk_safe_point *safe, struct tk_op *op)
{
    tikv_error *error = ask(safe, op);
    struct tk_waiter *taken;
    struct tk_wakes wakes;

    tk_mutex_lock(&safe->lock);
    safe->is_asking = false;
    taken = tk_waiters_take(&safe->waiters);
    tk_mutex_unlock(&safe->lock);
    tk_wakes_init(&wakes, safe->router->rt);
    tk_waiters_wake(taken, &wakes);
    tk_wakes_flush(&wakes);
    return error;
}

/* Asks, or waits for somebody who does and looks again. */
static tikv_error *
make_valid(struct tk_safe_point *safe, struct tk_op *op)
{
    for (;;) {
        int64_t now = tk_now(safe->router->rt);
        struct tk_waiter waiter;
        tikv_error *error;
        bool is_mine;

        tk_mutex_lock(&safe->lock);
        if (is_valid(safe, now)) {
            tk_mutex_unlock(&safe->lock);
            return NULL;
        }
        is_mine = !safe->is_asking;
        safe->is_asking = true;
        if (!is_mine) {
            tk_waiters_add(&safe->waiters, &waiter, op);
        }
        tk_mutex_unlock(&safe->lock);
        error = is_mine
                    ? ask_for_all(safe, op)
                    : tk_waiter_await(&safe->waiters, &waiter, &safe->lock, op);
        if (error != NULL) {
            return tk_error_wrap(error, "whether the snapshot can still be "
                                        "read is not known");
        }
    }
}

bool
tk_safe_point_passes(struct tk_safe_point *safe, uint64_t version)
{
    int64_t now;
    bool passes;
    bool is_old;

    if (version == UINT64_MAX) {
        return true;
    }
    now = tk_now(safe->router->rt);
    tk_mutex_lock(&safe->lock);
    passes = is_valid(safe, now) && version >= safe->point;
    is_old = now - safe->seen_at > RENEW_NS;
    tk_mutex_unlock(&safe->lock);
    if (passes && is_old) {
        tk_ticker_push(&safe->renewal);
    }
    return passes;
}

tikv_error *
tk_safe_point_check(struct tk_safe_point *safe, struct tk_op *op,
                    uint64_t version)
{
    int64_t now = tk_now(safe->router->rt);
    tikv_error *error = NULL;
    uint64_t point;
    int64_t seen_at;

    if (version == UINT64_MAX) {
        return NULL;
    }
    tk_mutex_lock(&safe->lock);
    seen_at = is_valid(safe, now) ? safe->seen_at : 0;
    tk_mutex_unlock(&safe->lock);
    if (seen_at == 0) {
        error = make_valid(safe, op);
    } else if (now - seen_at > RENEW_NS) {
        tk_ticker_push(&safe->renewal);
    }
    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&safe->lock);
    point = safe->point;
    tk_mutex_unlock(&safe->lock);
    if (version >= point) {
        return NULL;
    }
    error = tk_error(TIKV_ERR_TOO_OLD,
                     "version %llu lies below the safe point %llu: what it "
                     "needs may have been collected",
                     (unsigned long long)version, (unsigned long long)point);
    tk_error_set_u64(error, TIKV_ERROR_START_TS, version);
    tk_error_set_u64(error, TIKV_ERROR_SAFE_POINT, point);
    return error;
}
