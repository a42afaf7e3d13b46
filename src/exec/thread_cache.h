/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Emptying what a thread keeps for itself when it ends. A cache is a
 * _Thread_local object with a hook in it; the first thing it keeps hooks it
 * up. Emptying unhooks, so a cache that is filled again while its thread ends
 * is emptied again. Own thread only, no lock.
 */
#ifndef TK_EXEC_THREAD_CACHE_H
#define TK_EXEC_THREAD_CACHE_H

#include <stdbool.h>
#include <stddef.h>

struct tk_thread_cache {
    void (*drain)(struct tk_thread_cache *); /* NULL: not hooked up */
    struct tk_thread_cache *next;
};

bool
tk_thread_cache_hook_slow(struct tk_thread_cache *cache,
                          void (*drain)(struct tk_thread_cache *));

/* True: `drain` will be called, with the cache, before the thread's local
 * storage goes. False: nothing may be kept. */
static inline bool
tk_thread_cache_hook(struct tk_thread_cache *cache,
                     void (*drain)(struct tk_thread_cache *))
{
    return cache->drain != NULL || tk_thread_cache_hook_slow(cache, drain);
}

/* Empties all caches of the calling thread now: for tests that count. */
void
tk_thread_cache_drain(void);

#endif
