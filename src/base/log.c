/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the user's sink: one line each, cut at a fixed length, without
 * allocation.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BYTES 1024

void
tk_log(struct tk_log *log, int32_t level, const char *room, const char *format,
       ...)
{
    char line[LINE_BYTES];
    va_list args;
    char *at;

    if (log == NULL || log->fn == NULL ||
        level > atomic_load_explicit(&log->level, memory_order_relaxed)) {
        return;
    }
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    for (at = line; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20) {
            *at = ' ';
        }
    }
    log->fn(level, room, line, log->arg);
}
