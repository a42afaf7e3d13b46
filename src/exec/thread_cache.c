/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of a thread's caches hangs on a pthread key, whose destructor runs
 * before the thread's local storage goes. The key is made once and stays.
 */
#include "exec/thread_cache.h"

#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool has_key;

static void
drain_all(void *first)
{
    struct tk_thread_cache *cache = first;

    while (cache != NULL) {
        struct tk_thread_cache *next = cache->next;
        void (*drain)(struct tk_thread_cache *) = cache->drain;

        /* First unhooked: what drain sets free may be kept again. */
        cache->drain = NULL;
        cache->next = NULL;
        drain(cache);
        cache = next;
    }
}

static void
make_key(void)
{
    has_key = pthread_key_create(&key, drain_all) == 0;
}

bool
tk_thread_cache_hook_slow(struct tk_thread_cache *cache,
                          void (*drain)(struct tk_thread_cache *))
{
    pthread_once(&once, make_key);
    if (!has_key) {
        return false;
    }
    cache->next = pthread_getspecific(key);
    if (pthread_setspecific(key, cache) != 0) {
        cache->next = NULL;
        return false;
    }
    cache->drain = drain;
    return true;
}

void
tk_thread_cache_drain(void)
{
    void *first;

    pthread_once(&once, make_key);
    while (has_key && (first = pthread_getspecific(key)) != NULL) {
        pthread_setspecific(key, NULL);
        drain_all(first);
    }
}
