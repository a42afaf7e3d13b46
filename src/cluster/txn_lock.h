/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One lock request on its way: what it asks for, and how far it has come.
 * txn_lock_key.c locks a key, txn_lock.c all of them.
 */
#ifndef TK_CLUSTER_TXN_LOCK_H
#define TK_CLUSTER_TXN_LOCK_H

#include "cluster/txn.h"

struct tk_locking {
    struct tk_cl_txn txn;
    uint64_t for_update_ts;
    uint64_t ttl;
    uint64_t min_commit_ts;
    int64_t wait_ms; /* below 0: not at all */
    bool is_first;
    bool wants_values;
    bool wants_existence;
    bool only_existing;
    bool is_force;
    bool is_final;      /* met a lock that is not waited for */
    bool is_shrunk;     /* and has closed it */
    bool waits_to_join; /* met a lock that it would share */
    struct tk_mvcc_names *names;
    struct tk_buf missing; /* uint64_t each */
};

/* One key on its way. */
struct tk_lock_key {
    tikv_slice key;
    bool must_not_exist;
    bool is_shared;
    uint64_t for_update_ts;
    uint64_t conflict_ts; /* locked over this version */
    const struct tk_mvcc_version *found;
};

/* Locks one key and adds its result to the answer. False: txn.error, or what
 * it has met and may wait for. */
bool
tk_cl_lock_key(struct tk_locking *locking, struct tk_lock_key *key);

#endif
