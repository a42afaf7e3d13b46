/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of one client: a level and the user's sink. Keys and texts of
 * servers go through redact.h first. Any thread, no lock: the sink is called
 * on the thread that logs.
 */
#ifndef TK_BASE_LOG_H
#define TK_BASE_LOG_H

#include <stdatomic.h>

#include <tikv/config.h>

struct tk_log {
    _Atomic int32_t level; /* relaxed; 0 is off */
    tikv_log_fn *fn;       /* fixed after start */
    void *arg;
};

/* `log` may be NULL. */
void
tk_log(struct tk_log *log, int32_t level, const char *room, const char *format,
       ...) __attribute__((format(printf, 4, 5)));

#endif
