/* SPDX-License-Identifier: Apache-2.0 */
/* The heap of armed timers, of either runtime. Its owner locks. */
#ifndef TK_EXEC_TIMERS_H
#define TK_EXEC_TIMERS_H

#include "exec/runtime.h"

struct tk_timers {
    struct tk_timer *root; /* the earliest */
};

/* Equal times are ordered by timer->order, which the caller sets. */
void
tk_timers_add(struct tk_timers *timers, struct tk_timer *timer);

/* False: it was not armed. */
bool
tk_timers_remove(struct tk_timers *timers, struct tk_timer *timer);

#endif
