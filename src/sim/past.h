/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers read by snapshots: the newest of one key, without a timestamp, and
 * several keys as of the past. By any replica that may serve, stale or not,
 * which must make no difference. They are transactions of the record.
 */
#ifndef TK_SIM_PAST_H
#define TK_SIM_PAST_H

#include "sim/world.h"

/* One key, twice by one snapshot: it remembers nothing. */
void
tk_past_read_newest(struct tk_load *load, struct tk_seat *seat);

/* All keys from one on, as of a timestamp that was taken before, of the newest
 * one at hand, or of some time ago. */
void
tk_past_read(struct tk_load *load, struct tk_seat *seat);

#endif
