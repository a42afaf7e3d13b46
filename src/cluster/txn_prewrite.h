/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One prewrite, or flush, on its way: what the request asks for, and how far
 * it has come. txn_mutation.c does a key, txn_prewrite.c all of them.
 */
#ifndef TK_CLUSTER_TXN_PREWRITE_H
#define TK_CLUSTER_TXN_PREWRITE_H

#include "cluster/txn.h"

enum tk_prewrite_kind { TK_PREWRITE_2PC, TK_PREWRITE_ASYNC, TK_PREWRITE_1PC };

enum tk_prewrite_op {
    TK_OP_PUT = 0,
    TK_OP_DELETE = 1,
    TK_OP_LOCK = 2,
    TK_OP_INSERT = 4,
    TK_OP_CHECK_NOT_EXISTS = 6,
    TK_OP_SHARED_LOCK = 7
};

enum tk_prewrite_action {
    TK_ACTION_SKIP_PESSIMISTIC = 0,
    TK_ACTION_PESSIMISTIC = 1,
    TK_ACTION_CONSTRAINT = 2
};

enum { TK_ASSERT_NONE, TK_ASSERT_EXIST, TK_ASSERT_NOT_EXIST };
enum { TK_ASSERTIONS_OFF, TK_ASSERTIONS_FAST, TK_ASSERTIONS_STRICT };

struct tk_prewrite_mutation {
    uint64_t op;
    uint64_t assertion;
    uint64_t action;
    uint64_t expected_ts; /* for_update_ts of the lock */
    bool has_expected;
    tikv_slice key;
    tikv_slice value;
};

/* A lock of 1PC: becomes a version at the end, or after all a lock. */
struct tk_prewrite_held {
    struct tk_mvcc_node *node;
    struct tk_mvcc_lock *lock;
};

struct tk_prewrite {
    struct tk_cl_txn txn;
    enum tk_prewrite_kind kind;
    bool is_pessimistic;
    bool is_retry;
    bool skip_check;
    uint64_t for_update_ts;
    uint64_t ttl;
    uint64_t txn_size;
    uint64_t min_commit_ts;
    uint64_t max_commit_ts;
    uint64_t generation;
    uint64_t assertions;
    struct tk_mvcc_names *names;   /* the primary alone */
    struct tk_mvcc_names *members; /* with the secondaries; or NULL */
    struct tk_prewrite_mutation *mutations;
    size_t count;
    struct tk_prewrite_held *held;
    size_t held_count;
    uint64_t result_ts;
};

/* Stages one mutation. TK_KE_NONE: *ts is what it adds to the result; else
 * txn.error. TK_KE_TOO_LARGE has staged a lock of two-phase commit. */
enum tk_key_error_kind
tk_cl_prewrite_one(struct tk_prewrite *prewrite,
                   const struct tk_prewrite_mutation *mutation, uint64_t *ts);

#endif
