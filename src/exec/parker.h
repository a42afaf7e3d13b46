/* SPDX-License-Identifier: Apache-2.0 */
/* The word of a parker, for the two runtimes' park. */
#ifndef TK_EXEC_PARKER_H
#define TK_EXEC_PARKER_H

#include "exec/runtime.h"

enum { TK_PARKER_IDLE, TK_PARKER_ASLEEP, TK_PARKER_RUNG };

/* IDLE -> ASLEEP; false: it was RUNG and is IDLE again, do not sleep. */
bool
tk_parker_lie_down(struct tk_parker *parker);

/* Whatever it was becomes IDLE. */
void
tk_parker_get_up(struct tk_parker *parker);

/* Parkers of threads, of any runtime: one system call for those whose places
 * in the table are neighbours. */
void
tk_thread_wake(struct tk_parker *const *parkers, size_t count);

#endif
