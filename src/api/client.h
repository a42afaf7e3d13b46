/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of tikv_client: everything the lower rooms made, put together,
 * and the copy of the configuration that they read. Fixed after open, except
 * for hot settings, which are atomics.
 */
#ifndef TK_API_CLIENT_H
#define TK_API_CLIENT_H

#include <tikv/client.h>

#include "exec/future.h"
#include "region/drive.h"
#include "rpc/transport.h"
#include "txn/client.h"

struct tikv_client {
    struct tk_router router;    /* of raw keys */
    struct tk_txn_client *txns; /* with a router of transactional keys */
    struct tk_config config;
    struct tk_log log;
    struct tk_runtime *own_runtime; /* NULL: somebody else's */
};

/* tikv_client_open() on a runtime and a transport of the caller's: for the
 * simulator and for tests. The runtime stays the caller's and outlives the
 * client; the transport is taken over, also when it fails. */
tikv_error *
tk_client_open_with(struct tk_runtime *rt, struct tk_transport *transport,
                    const tikv_config *config, tikv_client **out)
    __attribute__((warn_unused_result));

/* ---- what the doors share (call.c) ---- */

/* A blocking call begins: NULL, or why it must not. The op is ready then;
 * pair with tk_door_leave(). `call` is checked and outlives the op. */
tikv_error *
tk_door_enter(tikv_client *client, const tikv_call *call, struct tk_op *op)
    __attribute__((warn_unused_result));

void
tk_door_leave(tikv_client *client, struct tk_op *op);

/* NULL, or why nothing may be submitted: no client, FORKED, CLOSED. */
tikv_error *
tk_door_refusal(tikv_client *client) __attribute__((warn_unused_result));

/* A future that ends with `error`, also without a client. */
tikv_future *
tk_door_refuse(tikv_client *client, tikv_error *error);

/* What a call borrows: bytes of a copy, and the copying to `memory`, after
 * which `call` points there. Gives the end of what was used. */
size_t
tk_call_copy_size(const tikv_call *call);

uint8_t *
tk_call_copy(tikv_call *call, uint8_t *memory);

#endif
