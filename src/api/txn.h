/* SPDX-License-Identifier: Apache-2.0 */
/* What the doors of transactions share. */
#ifndef TK_API_TXN_H
#define TK_API_TXN_H

#include "api/client.h"
#include "api/snapshot.h"
#include "txn/txn.h"

/* A blocking call of a transaction. */
struct tk_txn_door {
    struct tk_op op;
    tikv_call call;
};

/* A call begins: NULL, or why it must not. Until tk_txn_door_leave() the
 * client does not go. */
tikv_error *
tk_txn_door_enter(tikv_txn *txn, const tikv_call *call,
                  struct tk_txn_door *door) __attribute__((warn_unused_result));

/* Takes the call's error and gives it back with the call's account. */
tikv_error *
tk_txn_door_leave(tikv_txn *txn, struct tk_txn_door *door, tikv_error *error)
    __attribute__((warn_unused_result));

/* NULL, or why nothing may be done with the transaction. */
tikv_error *
tk_txn_door_refusal(const tikv_txn *txn) __attribute__((warn_unused_result));

/* Keys and values as arguments. */
tikv_error *
tk_txn_door_key(tikv_slice key) __attribute__((warn_unused_result));

tikv_error *
tk_txn_door_keys(const tikv_slice *keys, size_t count)
    __attribute__((warn_unused_result));

tikv_error *
tk_txn_door_range(tikv_range range) __attribute__((warn_unused_result));

#endif
