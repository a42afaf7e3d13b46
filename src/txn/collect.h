/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a write buffer to what a commit sends: one walk over the keys in their
 * order makes a mutation of each, by what was written and by its flags, and
 * chooses the primary (2PC-1). No state; the caller's thread.
 */
#ifndef TK_TXN_COLLECT_H
#define TK_TXN_COLLECT_H

#include <tikv/txn.h>

#include "txn/buffer.h"
#include "txn/buffer_mutations.h"

#define TK_NO_PRIMARY SIZE_MAX

struct tk_collected {
    struct tk_mutations mutations;
    size_t primary; /* its place; TK_NO_PRIMARY while there are none */
    uint64_t bytes; /* of keys and values */
    uint64_t key_bytes;
    size_t checks_count; /* mutations that write no lock: nothing to commit */
    bool has_shared;
};

/* The program's say in what is needless (TXN-3); `fn` may be NULL. */
struct tk_collect_filter {
    tikv_txn_filter_fn *fn;
    void *arg;
};

/* The op of a key, a number of kvrpcpb.Op, or -1 for none. */
int
tk_collect_op(const struct tk_buffer_item *item, bool is_pessimistic);

/* `primary` is the key chosen by locking, or absent. UNSUPPORTED when only
 * shared locks could be the primary; MEMORY; the filter's. Pair with
 * tk_collected_fini(), also on error. */
tikv_error *
tk_collect(const struct tk_buffer *buffer, bool is_pessimistic,
           tikv_slice primary, struct tk_collect_filter filter,
           struct tk_collected *out)
    __attribute__((warn_unused_result));

void
tk_collected_fini(struct tk_collected *collected);

/* How long a lock of so many bytes may live, ms (2PC-2), for a transaction
 * that is `age_ms` old. */
uint64_t
tk_lock_ttl_ms(uint64_t bytes, uint64_t age_ms);

#endif
