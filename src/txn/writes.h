/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes on for the transactions of a client behind their calls: chores,
 * keep-alives, local latches. Made with the transactional client.
 *
 * Closing: first no keep-alive begins and those that wait end, then the
 * chores are waited for; what still runs ends with the exec.
 */
#ifndef TK_TXN_WRITES_H
#define TK_TXN_WRITES_H

#include "txn/chores.h"
#include "txn/client.h"
#include "txn/keepalive.h"
#include "txn/latch.h"

struct tk_writes {
    struct tk_txn_client *client;
    struct tk_chores chores;
    struct tk_keepalives keepalives;
    struct tk_latches *latches; /* NULL: off */
};

/* NULL without memory. */
struct tk_writes *
tk_writes_new(struct tk_txn_client *client);

/* While the exec is still open. */
void
tk_writes_close(struct tk_writes *writes);

/* After the exec closed. Takes NULL. */
void
tk_writes_free(struct tk_writes *writes);

#endif
