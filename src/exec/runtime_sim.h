/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulation runtime: one OS thread, fibers, virtual time, seeded
 * scheduling. The same seed gives the same trace hash, also inside one
 * process after other seeds ran.
 */
#ifndef TK_EXEC_RUNTIME_SIM_H
#define TK_EXEC_RUNTIME_SIM_H

#include "exec/runtime.h"

struct tk_runtime *
tk_runtime_sim_new(uint64_t seed);

/* Runs `fn` as the first fiber, and everything it spawns, until no fiber is
 * left. False when nothing could run and no timer was armed (a deadlock),
 * or when `steps_max` were made; the fibers' names and states are then in
 * tk_runtime_sim_report(). */
bool
tk_runtime_sim_run(struct tk_runtime *rt, void (*fn)(void *), void *arg,
                   uint64_t steps_max);

uint64_t
tk_runtime_sim_hash(const struct tk_runtime *rt);

uint64_t
tk_runtime_sim_steps(const struct tk_runtime *rt);

/* Why tk_runtime_sim_run() gave up; lives as long as the runtime. */
const char *
tk_runtime_sim_report(const struct tk_runtime *rt);

void
tk_runtime_sim_free(struct tk_runtime *rt);

#endif
