/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock as a request met it: kvrpcpb.LockInfo with the user's keys. Locks
 * are gathered in a set, whose memory holds their bytes; a shared lock stands
 * for several transactions and becomes as many locks.
 *
 * A set belongs to one thread at a time.
 */
#ifndef TK_TXN_LOCK_H
#define TK_TXN_LOCK_H

#include "wire/arena.h"
#include "wire/key.h"

struct kvrpcpb_KeyError;
struct kvrpcpb_LockInfo;

/* What the lock is for: enum values of kvrpcpb.Op. */
enum tk_lock_kind {
    TK_LOCK_PUT = 0,
    TK_LOCK_DELETE = 1,
    TK_LOCK_LOCK = 2,
    TK_LOCK_PESSIMISTIC = 5,
    TK_LOCK_SHARED = 7, /* a wrapper: never in a set */
    TK_LOCK_SHARED_PESSIMISTIC = 8
};

struct tk_lock {
    tikv_slice key;
    tikv_slice primary;
    uint64_t start_ts; /* names the transaction */
    uint64_t ttl_ms;   /* from its start; 0: resolve, whatever the time */
    uint64_t txn_size; /* keys, as the writer knew; 0: it did not tell */
    uint64_t for_update_ts;
    uint64_t min_commit_ts;
    uint64_t last_update_ms; /* ago, while the request waited; 0: not told */
    uint64_t waiter_ts;      /* of a copy: the transaction it holds up */
    const tikv_slice *secondaries; /* of an async-commit primary */
    size_t secondaries_count;
    uint8_t kind;  /* enum tk_lock_kind */
    bool is_async; /* async commit */
    bool is_txn_file;
};

static inline bool
tk_lock_is_pessimistic(const struct tk_lock *lock)
{
    return lock->kind == TK_LOCK_PESSIMISTIC ||
           lock->kind == TK_LOCK_SHARED_PESSIMISTIC;
}

struct tk_lock_set {
    struct tk_lock *data;
    size_t count;
    size_t cap;
    struct tk_arena *arena; /* keys; NULL while empty */
};

void
tk_lock_set_init(struct tk_lock_set *set);

void
tk_lock_set_fini(struct tk_lock_set *set);

/* Forgets the locks; their memory goes. */
void
tk_lock_set_clear(struct tk_lock_set *set);

/* Copies. PROTOCOL: a key that is not of our keyspace, or a lock of no
 * transaction; MEMORY. `key` is that of the request, for answers that leave
 * it out; may be absent. */
tikv_error *
tk_lock_set_add(struct tk_lock_set *set, const struct tk_key_codec *codec,
                const struct kvrpcpb_LockInfo *info, tikv_slice key)
    __attribute__((warn_unused_result));

/* Copies a lock of another set, without its secondaries. False without
 * memory. */
bool
tk_lock_set_copy(struct tk_lock_set *set, const struct tk_lock *lock,
                 uint64_t waiter_ts);

/* Whether the error is nothing but a lock in the way; see tk_lock_set_add(). */
bool
tk_lock_is_met(const struct kvrpcpb_KeyError *error);

/* The lock of such an error, into the set. */
tikv_error *
tk_lock_set_meet(struct tk_lock_set *set, const struct tk_key_codec *codec,
                 const struct kvrpcpb_KeyError *error, tikv_slice key)
    __attribute__((warn_unused_result));

/* The physical part of a timestamp: ms since 1970. */
static inline uint64_t
tk_ts_ms(uint64_t ts)
{
    return ts >> 18;
}

#endif
