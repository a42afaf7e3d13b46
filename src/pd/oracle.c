/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps without a round trip: the newest one and its ticker, times past,
 * the check of read timestamps.
 *
 * It is a worker, not the timer thread, that looks for a new leader when PD
 * moved. Lock: tso.lock.
 */
#include "pd/oracle.h"

#include <inttypes.h>

#include "base/error.h"
#include "pd/inner.h"

#include "pdpb.upb.h"

enum { LOGICAL_BITS = 18, RENEW_MS = 3000 };

static int64_t
physical_ms(uint64_t ts)
{
    return (int64_t)(ts >> LOGICAL_BITS);
}

uint64_t
tk_pd_stamp(const struct pdpb_Timestamp *stamp)
{
    return ((uint64_t)pdpb_Timestamp_physical(stamp) << LOGICAL_BITS) +
           (uint64_t)pdpb_Timestamp_logical(stamp);
}

uint64_t
tk_pd_newest(struct tk_pd *pd, int64_t *seen_at)
{
    struct tk_tso *tso = &pd->tso;
    uint64_t newest;

    tk_mutex_lock(&tso->lock);
    newest = tso->newest;
    *seen_at = tso->newest_at;
    tk_mutex_unlock(&tso->lock);
    return newest;
}

/* ---- the ticker ---- */

/* Under the lock. */
static int64_t
next_tick(struct tk_oracle *oracle, int64_t now)
{
    return tk_after(now, oracle->interval.current_ms * TK_MS);
}

static void
renew(void *owner)
{
    struct tk_pd *pd = owner;
    struct tk_op op;
    uint64_t ts;

    if (tk_op_init(&op, pd->exec, NULL, RENEW_MS * TK_MS)) {
        tikv_error *error = tk_pd_timestamp(pd, &op, &ts);

        if (error != NULL) {
            tk_log(pd->log, TIKV_LOG_INFO, "pd",
                   "the timestamp at hand grows old: %s",
                   tikv_error_message(error));
        }
        tikv_error_free(error);
        tk_op_fini(&op);
    }
}

static int64_t
after_tick(void *owner)
{
    struct tk_pd *pd = owner;
    int64_t now = tk_now(pd->rt);

    tk_interval_tick(&pd->oracle.interval, now / TK_MS);
    return next_tick(&pd->oracle, now);
}

/* Starts the ticker, or has it keep up with the setting. Under the lock. */
static void
keep_fresh(struct tk_pd *pd)
{
    struct tk_oracle *oracle = &pd->oracle;
    bool is_shorter = tk_interval_configure(
        &oracle->interval, tk_config_int(&pd->config->pd_low_resolution_ms));

    if (is_shorter) {
        tk_ticker_hasten(&oracle->ticker, next_tick(oracle, tk_now(pd->rt)));
    }
    tk_ticker_begin(&oracle->ticker, next_tick(oracle, tk_now(pd->rt)));
}

void
tk_oracle_init(struct tk_pd *pd)
{
    tk_ticker_init(&pd->oracle.ticker, pd->exec, &pd->tso.lock, pd, renew,
                   after_tick);
}

void
tk_oracle_close(struct tk_pd *pd)
{
    tk_ticker_close(&pd->oracle.ticker);
}

/* ---- reading the clock ---- */

/* The newest and its arrival, from PD while there is none. */
static tikv_error *
at_hand(struct tk_pd *pd, struct tk_op *op, uint64_t *ts, int64_t *seen_at)
{
    tikv_error *error = tk_op_check(op);

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&pd->tso.lock);
    keep_fresh(pd);
    *ts = pd->tso.newest;
    *seen_at = pd->tso.newest_at;
    tk_mutex_unlock(&pd->tso.lock);
    if (*ts == 0) {
        error = tk_pd_timestamp(pd, op, ts);
        *seen_at = tk_now(pd->rt);
    }
    return error;
}

tikv_error *
tk_pd_low_resolution(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    int64_t seen_at;

    return at_hand(pd, op, out, &seen_at);
}

tikv_error *
tk_pd_past(struct tk_pd *pd, struct tk_op *op, uint64_t age_ms, uint64_t *out)
{
    uint64_t newest = 0;
    int64_t seen_at = 0;
    tikv_error *error = at_hand(pd, op, &newest, &seen_at);
    int64_t ms;

    if (error != NULL) {
        return error;
    }
    ms = physical_ms(newest) + (tk_now(pd->rt) - seen_at) / TK_MS;
    if (age_ms >= (uint64_t)ms) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "there was no time %" PRIu64 " ms ago", age_ms);
    }
    /* PD's time goes in steps: ours may be ahead of it by one. */
    *out = (uint64_t)(ms - (int64_t)age_ms) << LOGICAL_BITS;
    if (*out > newest) {
        *out = newest;
    }
    return NULL;
}

int64_t
tk_pd_until_expired(struct tk_pd *pd, uint64_t lock_ts, uint64_t ttl_ms)
{
    int64_t end_ms = physical_ms(lock_ts);
    int64_t seen_at;
    uint64_t newest = tk_pd_newest(pd, &seen_at);

    if (newest == 0) {
        return 0;
    }
    end_ms = ttl_ms > (uint64_t)(INT64_MAX - end_ms)
                 ? INT64_MAX
                 : end_ms + (int64_t)ttl_ms;
    return end_ms - physical_ms(newest);
}

/* ---- checking ---- */

/* How old the data is that a stale read asks for. */
static void
note_read(struct tk_pd *pd, uint64_t ts)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_oracle *oracle = &pd->oracle;
    int64_t now = tk_now(pd->rt);
    int64_t pd_ms;

    tk_mutex_lock(&tso->lock);
    keep_fresh(pd);
    pd_ms = physical_ms(tso->newest) + (now - tso->newest_at) / TK_MS;
    if (tso->newest != 0 && !tso->is_closed &&
        tk_interval_read(&oracle->interval, pd_ms - physical_ms(ts),
                         now / TK_MS)) {
        tk_ticker_hasten(&oracle->ticker, next_tick(oracle, now));
    }
    tk_mutex_unlock(&tso->lock);
}

tikv_error *
tk_pd_check_read_ts(struct tk_pd *pd, struct tk_op *op, uint64_t ts,
                    bool is_stale)
{
    tikv_error *error;
    uint64_t newest;
    int64_t seen_at;

    if (ts == UINT64_MAX && !is_stale) {
        return NULL;
    }
    if (ts >= INT64_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        ts == UINT64_MAX
                            ? "a stale read cannot ask for the latest data"
                            : "%" PRIu64 " is no timestamp",
                        ts);
    }
    newest = tk_pd_newest(pd, &seen_at);
    if (ts > newest) {
        /* A timestamp that anybody has is smaller than one asked for now. */
        error = tk_pd_timestamp(pd, op, &newest);
        if (error != NULL) {
            return error;
        }
        if (ts > newest) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "read timestamp %" PRIu64
                            " lies in the future: PD is at %" PRIu64,
                            ts, newest);
        }
    }
    if (is_stale) {
        note_read(pd, ts);
    }
    return NULL;
}
