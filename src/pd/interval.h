/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the cached timestamp is renewed (OR-4). Stale reads that ask for
 * data younger than the interval shrink it; long after the last of them it
 * grows back.
 *
 *     NORMAL --short read--> ADAPTING --5 minutes--> RECOVERING --> NORMAL
 *                               ^---- short read ------/
 *     configured at 500 ms or less: FIXED
 *
 * Plain data and a clock given by the caller; the owner locks.
 */
#ifndef TK_PD_INTERVAL_H
#define TK_PD_INTERVAL_H

#include <stdbool.h>
#include <stdint.h>

enum tk_interval_state {
    TK_INTERVAL_NORMAL,
    TK_INTERVAL_ADAPTING,
    TK_INTERVAL_RECOVERING,
    TK_INTERVAL_FIXED
};

struct tk_interval {
    enum tk_interval_state state;
    int64_t configured_ms; /* 0: not configured yet */
    int64_t current_ms;
    int64_t short_read_ms; /* when the last read came that needs it short */
    int64_t grown_ms;      /* when it last grew */
};

/* The setting, at each use. It holds at once; while a shorter interval is in
 * force, only if it is shorter still. True: current_ms went down. */
bool
tk_interval_configure(struct tk_interval *interval, int64_t configured_ms);

/* Somebody reads data `age_ms` old. True: current_ms went down. */
bool
tk_interval_read(struct tk_interval *interval, int64_t age_ms, int64_t now_ms);

/* At each renewal; the next is after current_ms. */
void
tk_interval_tick(struct tk_interval *interval, int64_t now_ms);

#endif
