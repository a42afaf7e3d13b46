/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The least timestamp a transaction may be committed at, which only grows,
 * and who may still raise it (2PC-15): heartbeats may until the commit
 * begins. What the commit has read then is what it works with, so a heartbeat
 * that comes late must not move it.
 *
 * Any thread. Lock: rank LEAF.
 */
#ifndef TK_TXN_MIN_COMMIT_H
#define TK_TXN_MIN_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "exec/mutex.h"

enum tk_min_commit_access {
    TK_MIN_COMMIT_HEARTBEAT = 1,
    TK_MIN_COMMIT_COMMIT = 2
};

struct tk_min_commit {
    struct tk_mutex lock;
    uint64_t ts;                        /* guarded by lock */
    enum tk_min_commit_access required; /* guarded by lock */
};

static inline void
tk_min_commit_init(struct tk_min_commit *min)
{
    tk_mutex_init(&min->lock, TK_RANK_LEAF);
    min->ts = 0;
    min->required = TK_MIN_COMMIT_HEARTBEAT;
}

static inline void
tk_min_commit_fini(struct tk_min_commit *min)
{
    tk_mutex_fini(&min->lock);
}

/* False, and no change, for who may not any more. */
static inline bool
tk_min_commit_raise(struct tk_min_commit *min, uint64_t ts,
                    enum tk_min_commit_access access)
{
    bool is_allowed;

    tk_mutex_lock(&min->lock);
    is_allowed = access >= min->required;
    if (is_allowed && ts > min->ts) {
        min->ts = ts;
    }
    tk_mutex_unlock(&min->lock);
    return is_allowed;
}

/* From now on only who commits may raise it. Gives what it is. */
static inline uint64_t
tk_min_commit_claim(struct tk_min_commit *min)
{
    uint64_t ts;

    tk_mutex_lock(&min->lock);
    min->required = TK_MIN_COMMIT_COMMIT;
    ts = min->ts;
    tk_mutex_unlock(&min->lock);
    return ts;
}

static inline uint64_t
tk_min_commit_get(struct tk_min_commit *min)
{
    uint64_t ts;

    tk_mutex_lock(&min->lock);
    ts = min->ts;
    tk_mutex_unlock(&min->lock);
    return ts;
}

#endif
