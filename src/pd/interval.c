/* SPDX-License-Identifier: Apache-2.0 */
/* The adaptive interval; see the picture in the header. */
#include "pd/interval.h"

enum {
    LEAST_MS = 500,         /* no read makes it shorter */
    MARGIN_MS = 100,        /* below the age that was asked for */
    HOLD_MS = 200,          /* reads that much older still need it short */
    PATIENCE_MS = 5 * 60000, /* without such reads, until it grows */
    GROWTH_MS = 20          /* each second */
};

static void
settle(struct tk_interval *interval, int64_t ms)
{
    interval->current_ms = ms;
    interval->state =
        ms <= LEAST_MS ? TK_INTERVAL_FIXED : TK_INTERVAL_NORMAL;
}

bool
tk_interval_configure(struct tk_interval *interval, int64_t configured_ms)
{
    int64_t before = interval->current_ms;
    bool is_short = interval->state == TK_INTERVAL_ADAPTING ||
                    interval->state == TK_INTERVAL_RECOVERING;

    if (configured_ms == interval->configured_ms) {
        return false;
    }
    interval->configured_ms = configured_ms;
    if (!is_short || configured_ms <= before) {
        settle(interval, configured_ms);
    }
    return before != 0 && interval->current_ms < before;
}

bool
tk_interval_read(struct tk_interval *interval, int64_t age_ms, int64_t now_ms)
{
    int64_t wanted = age_ms - MARGIN_MS;

    if (age_ms <= interval->current_ms + HOLD_MS) {
        interval->short_read_ms = now_ms;
        if (interval->state == TK_INTERVAL_RECOVERING) {
            interval->state = TK_INTERVAL_ADAPTING;
        }
    }
    if (interval->state == TK_INTERVAL_FIXED ||
        age_ms > interval->current_ms || interval->current_ms <= LEAST_MS) {
        return false;
    }
    interval->current_ms = wanted > LEAST_MS ? wanted : LEAST_MS;
    interval->state = TK_INTERVAL_ADAPTING;
    return true;
}

void
tk_interval_tick(struct tk_interval *interval, int64_t now_ms)
{
    if (interval->state == TK_INTERVAL_ADAPTING &&
        now_ms - interval->short_read_ms >= PATIENCE_MS) {
        interval->state = TK_INTERVAL_RECOVERING;
        interval->grown_ms = now_ms;
    } else if (interval->state == TK_INTERVAL_RECOVERING) {
        interval->current_ms +=
            GROWTH_MS * (now_ms - interval->grown_ms) / 1000;
        interval->grown_ms = now_ms;
        if (interval->current_ms >= interval->configured_ms) {
            settle(interval, interval->configured_ms);
        }
    }
}
