/* SPDX-License-Identifier: Apache-2.0 */
/* See keepalive.h. */
#include "txn/keepalive.h"

#include "base/error.h"
#include "txn/commit_inner.h"
#include "txn/lock.h"

#include "kvrpcpb.upb.h"

enum { BUDGET_MS = 20000, LIMIT_MS = 20000, FAILURES_MAX = 10 };

/* ---- one heartbeat ---- */

struct beat {
    struct tk_job job; /* first */
    struct tk_keepalive *alive;
    uint64_t ttl_ms;
    bool is_refused;
};

static tikv_slice
key_at(struct tk_job *job, size_t item)
{
    (void)item;
    return ((struct beat *)(void *)job)->alive->primary;
}

static tikv_error *
encode(struct tk_job *job, const struct tk_piece *piece, struct tk_arena *arena,
       tikv_slice *body)
{
    struct beat *beat = (struct beat *)(void *)job;
    struct tk_keepalive *alive = beat->alive;
    kvrpcpb_TxnHeartBeatRequest *message =
        kvrpcpb_TxnHeartBeatRequest_new(arena->upb);
    upb_StringView primary;

    (void)piece;
    if (message == NULL || !tk_message_key(&alive->home->client->router.codec,
                                           arena, alive->primary, &primary)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_TxnHeartBeatRequest_set_primary_lock(message, primary);
    kvrpcpb_TxnHeartBeatRequest_set_start_version(message, alive->start_ts);
    kvrpcpb_TxnHeartBeatRequest_set_advise_lock_ttl(message, beat->ttl_ms);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice response,
       struct tk_frame *frame)
{
    struct beat *beat = (struct beat *)(void *)job;
    struct tk_peek peek;

    (void)piece;
    (void)frame;
    tk_peek(job->command, response, &peek);
    beat->is_refused = peek.error.data != NULL;
    return NULL;
}

/* The age of the transaction by PD's time, or UINT64_MAX. */
static uint64_t
age_ms(const struct tk_keepalive *alive, struct tk_op *op)
{
    struct tk_txn_client *client = alive->home->client;
    uint64_t now = tk_txn_time_ms(client);
    uint64_t start = tk_ts_ms(alive->start_ts);
    uint64_t ts;

    if (now == 0) {
        tikv_error *error = tk_pd_timestamp(client->router.pd, op, &ts);

        if (error != NULL) {
            tikv_error_free(error);
            return UINT64_MAX;
        }
        now = tk_ts_ms(ts);
    }
    return now > start ? now - start : 0;
}

/* Whether another one is to follow. */
static bool
beat_once(struct tk_keepalive *alive, struct tk_op *op)
{
    static const struct tk_job_ops ops = { .key = key_at,
                                           .encode = encode,
                                           .answer = answer };
    struct tk_router *router = &alive->home->client->router;
    struct beat beat = { .alive = alive };
    uint64_t age = age_ms(alive, op);
    tikv_error *error;

    if (age > (uint64_t)tk_config_int(&router->config->txn_max_age_ms)) {
        tk_log(router->log, TIKV_LOG_WARN, "txn",
               "transaction %llu is too old to be kept alive",
               (unsigned long long)alive->start_ts);
        return false;
    }
    beat.job = (struct tk_job){ .ops = &ops,
                                .command = TK_CMD_KV_TXN_HEART_BEAT,
                                .items_count = 1,
                                .is_repeatable = true };
    beat.job.budget_ms = tk_txn_budget(router, BUDGET_MS);
    beat.ttl_ms =
        age + 2 * (uint64_t)tk_config_int(&router->config->txn_heartbeat_ms);
    error = tk_drive(router, op, &beat.job, NULL);
    alive->failures = error == NULL ? 0 : alive->failures + 1;
    tikv_error_free(error);
    return !beat.is_refused && alive->failures <= FAILURES_MAX;
}

/* ---- life ---- */

static void
unlist(struct tk_keepalive *alive)
{
    alive->state = TK_KEEPALIVE_OFF;
    if (alive->prev != NULL) {
        alive->prev->next = alive->next;
    } else {
        alive->home->first = alive->next;
    }
    if (alive->next != NULL) {
        alive->next->prev = alive->prev;
    }
}

static void
arm(struct tk_keepalive *alive)
{
    struct tk_router *router = &alive->home->client->router;

    alive->state = TK_KEEPALIVE_WAITING;
    router->rt->ops->arm(
        router->rt, &alive->timer,
        tk_after(tk_now(router->rt),
                 tk_config_ns(&router->config->txn_heartbeat_ms)));
}

static void
work(struct tk_work *item, bool refused)
{
    struct tk_keepalive *alive =
        (struct tk_keepalive *)(void *)((char *)item -
                                        offsetof(struct tk_keepalive, work));
    struct tk_keepalives *home = alive->home;
    struct tk_op op;
    bool goes_on = false;

    if (!refused &&
        tk_op_init(&op, home->client->router.exec, NULL, LIMIT_MS * TK_MS)) {
        goes_on = beat_once(alive, &op);
        tk_op_fini(&op);
    }
    tk_mutex_lock(&home->lock);
    alive->sent_count++;
    goes_on = goes_on && !alive->must_stop && !home->is_closed;
    if (goes_on) {
        arm(alive);
    } else {
        unlist(alive);
    }
    tk_mutex_unlock(&home->lock);
    if (!goes_on) {
        alive->ended(alive);
    }
}

/* The timer thread. */
static void
tick(struct tk_timer *timer)
{
    struct tk_keepalive *alive = (struct tk_keepalive *)(void *)timer;
    struct tk_keepalives *home = alive->home;
    bool goes_on;

    tk_mutex_lock(&home->lock);
    goes_on = !alive->must_stop && !home->is_closed;
    if (goes_on) {
        alive->state = TK_KEEPALIVE_WORKING;
    } else {
        unlist(alive);
    }
    tk_mutex_unlock(&home->lock);
    if (!goes_on) {
        alive->ended(alive);
    } else if (!tk_exec_push(home->client->router.exec, &alive->work, true)) {
        work(&alive->work, true);
    }
}

bool
tk_keepalive_start(struct tk_keepalives *home, struct tk_keepalive *alive)
{
    bool starts;

    tk_mutex_lock(&home->lock);
    starts = !home->is_closed && alive->state == TK_KEEPALIVE_OFF;
    if (starts) {
        alive->home = home;
        alive->timer.fn = tick;
        alive->work.run = work;
        alive->must_stop = false;
        alive->failures = 0;
        alive->prev = NULL;
        alive->next = home->first;
        if (home->first != NULL) {
            home->first->prev = alive;
        }
        home->first = alive;
        arm(alive);
    }
    tk_mutex_unlock(&home->lock);
    return starts;
}

/* Under the lock. True: it is OFF now, and `ended` is the caller's to call.
 * Otherwise its timer or its work is on the way and sees must_stop. */
static bool
stop(struct tk_keepalive *alive)
{
    struct tk_runtime *rt = alive->home->client->router.rt;

    alive->must_stop = true;
    if (alive->state != TK_KEEPALIVE_WAITING ||
        !rt->ops->disarm(rt, &alive->timer)) {
        return false;
    }
    unlist(alive);
    return true;
}

void
tk_keepalive_stop(struct tk_keepalive *alive)
{
    struct tk_keepalives *home = alive->home;
    bool is_off;

    if (home == NULL) {
        return;
    }
    tk_mutex_lock(&home->lock);
    is_off = alive->state != TK_KEEPALIVE_OFF && stop(alive);
    tk_mutex_unlock(&home->lock);
    if (is_off) {
        alive->ended(alive);
    }
}

/* ---- all of a client ---- */

void
tk_keepalives_init(struct tk_keepalives *home, struct tk_txn_client *client)
{
    *home = (struct tk_keepalives){ .client = client };
    tk_mutex_init(&home->lock, TK_RANK_REGION);
}

/* One that waits, taken off the list; NULL when there is none. */
static struct tk_keepalive *
stop_one(struct tk_keepalives *home)
{
    struct tk_keepalive *alive;

    tk_mutex_lock(&home->lock);
    home->is_closed = true;
    alive = home->first;
    while (alive != NULL && !stop(alive)) {
        alive = alive->next;
    }
    tk_mutex_unlock(&home->lock);
    return alive;
}

void
tk_keepalives_close(struct tk_keepalives *home)
{
    struct tk_keepalive *alive;

    while ((alive = stop_one(home)) != NULL) {
        alive->ended(alive);
    }
}

void
tk_keepalives_fini(struct tk_keepalives *home)
{
    struct tk_runtime *rt = home->client->router.rt;
    struct tk_parker *me = tk_self(rt);
    bool is_empty;

    /* A timer that fired during the close may still be in its function. */
    do {
        if (me != NULL) {
            tk_park_begin(me);
        }
        tk_mutex_lock(&home->lock);
        is_empty = home->first == NULL;
        tk_mutex_unlock(&home->lock);
        if (!is_empty && me != NULL) {
            rt->ops->park(rt, me, tk_after(tk_now(rt), TK_MS));
        }
    } while (!is_empty);
    tk_mutex_fini(&home->lock);
}
