/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plain mutex that counts the locks its thread holds: park aborts a debug
 * build when the count is not 0, so "never wait with a lock held" is enforced
 * by every test and, on the simulator's one thread, a lock is never
 * contended. Debug builds also abort on a lock taken against its rank: ranks
 * go up, equal ranks never nest.
 */
#ifndef TK_EXEC_MUTEX_H
#define TK_EXEC_MUTEX_H

#include <pthread.h>
#include <stdint.h>

enum tk_rank {
    TK_RANK_CLIENT = 1,   /* exec: pool queue, idle workers, sleeping ops */
    TK_RANK_QUEUE = 2,    /* completion queue */
    TK_RANK_PD = 3,       /* members; TSO queue */
    TK_RANK_REGION = 4,   /* writers of the region map, store table */
    TK_RANK_RPC = 5,      /* table of connections */
    TK_RANK_STREAM = 6,   /* one connection: open message, slots */
    TK_RANK_CANCEL = 7,   /* a cancel object's list; may ring, nothing else */
    TK_RANK_WIRE = 8,     /* in-process transport */
    TK_RANK_SERVE = 9,    /* one served connection or stream of the cluster */
    TK_RANK_CLUSTER = 10, /* cluster core */
    TK_RANK_TIMER = 11,   /* timers, parker table */
    TK_RANK_LEAF = 12
};

struct tk_mutex {
    pthread_mutex_t mutex;
    uint32_t rank;
};

void
tk_mutex_init(struct tk_mutex *mutex, enum tk_rank rank);

void
tk_mutex_fini(struct tk_mutex *mutex);

void
tk_mutex_lock(struct tk_mutex *mutex);

void
tk_mutex_unlock(struct tk_mutex *mutex);

/* Locks held by the calling thread. */
uint32_t
tk_mutex_held(void);

#endif
