/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door to memory. Blocks come from jemalloc by its own entry points
 * where the process has it, else from the system allocator: a guest does not
 * replace its host's allocator. NULL means memory ended; callers report
 * TIKV_ERR_MEMORY. Debug builds count living blocks and can be told to fail.
 */
#ifndef TK_BASE_ALLOC_H
#define TK_BASE_ALLOC_H

#include <stddef.h>
#include <stdint.h>

void *
tk_alloc(size_t size);

/* Zeroed. */
void *
tk_calloc(size_t size);

/* Room for `count` items; NULL when the product overflows. */
void *
tk_alloc_array(size_t count, size_t item_size);

void *
tk_realloc(void *block, size_t size);

void
tk_free(void *block);

/* NULL for NULL; else a copy, NULL when memory ends. */
char *
tk_strdup(const char *text);

/* Blocks alive; 0 always in release builds. For tests. */
int64_t
tk_alloc_live(void);

/* Debug builds: allocations by the calling thread so far; else 0. */
uint64_t
tk_alloc_made_here(void);

/* Debug builds: the nth allocation from now (1 is the next) fails, once.
 * 0 switches it off. Returns how many had been made since the last call. */
uint64_t
tk_alloc_fail_nth(uint64_t nth);

#endif
