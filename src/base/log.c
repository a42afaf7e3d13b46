/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the user's sink: one line each, cut at a fixed length, without
 * allocation. Keys become a length and a hash, so that two lines about one
 * key can be matched and none can be read.
 */
#include "base/log.h"

#include <inttypes.h>
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

const char *
tk_log_key(tikv_slice key, char *buffer, size_t size)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    size_t i;

    for (i = 0; i < key.len; i++) {
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    }
    /* Mixed once more: FNV leaves short keys readable in its low bits. */
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    hash ^= hash >> 32;
    snprintf(buffer, size, "key(%zu bytes, %016" PRIx64 ")", key.len, hash);
    return buffer;
}
