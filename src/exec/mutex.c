/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mutex of every room, and the count that lets park() refuse. Debug
 * builds keep the ranks a thread holds on a small stack of its own.
 */
#include "exec/mutex.h"

#include "base/debug.h"

#define HELD_MAX 16

static _Thread_local uint32_t held;

#ifdef TK_DEBUG
static _Thread_local uint32_t ranks[HELD_MAX];

static void
note_lock(uint32_t rank)
{
    TK_ASSERT(held < HELD_MAX, "too many locks held");
    TK_ASSERT(held == 0 || ranks[held - 1] < rank,
              "a lock was taken against its rank");
    ranks[held] = rank;
}

static void
note_unlock(uint32_t rank)
{
    uint32_t i = held;

    while (i > 0 && ranks[i - 1] != rank) {
        i--;
    }
    TK_ASSERT(i > 0, "a lock was released that is not held");
    for (; i < held; i++) {
        ranks[i - 1] = ranks[i];
    }
}
#else
static void
note_lock(uint32_t rank)
{
    (void)rank;
}

static void
note_unlock(uint32_t rank)
{
    (void)rank;
}
#endif

void
tk_mutex_init(struct tk_mutex *mutex, enum tk_rank rank)
{
    pthread_mutex_init(&mutex->mutex, NULL);
    mutex->rank = rank;
}

void
tk_mutex_fini(struct tk_mutex *mutex)
{
    pthread_mutex_destroy(&mutex->mutex);
}

void
tk_mutex_lock(struct tk_mutex *mutex)
{
    note_lock(mutex->rank);
    pthread_mutex_lock(&mutex->mutex);
    held++;
}

void
tk_mutex_unlock(struct tk_mutex *mutex)
{
    note_unlock(mutex->rank);
    held--;
    pthread_mutex_unlock(&mutex->mutex);
}

uint32_t
tk_mutex_held(void)
{
    return held;
}
