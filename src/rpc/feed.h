/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer of a command that is answered by a stream. Its request is
 * submitted like any other (rpc.h); with the first message `done` gets the
 * feed, of which that message is the first. Whoever has it takes message
 * after message; the next is asked for when one was taken, so one lies here,
 * one may be on its way, and the rest stays with the sender.
 *
 *     OPEN --closed event--> OVER      what lies here may still be taken
 *       \--cancel--> asked to end --closed event--> OVER
 *
 * Two references: the transport's, until OVER, and the holder's. A feed that
 * is OVER touches nothing but its own memory, so a holder may outlive the
 * client; before that, next and cancel are for those who hold a close off.
 *
 * Threads: one at a time takes; the transport's delivers. Lock: rank STREAM,
 * its own; nothing is called under it.
 */
#ifndef TK_RPC_FEED_H
#define TK_RPC_FEED_H

#include <tikv/error.h>

#include "base/frame.h"
#include "exec/op.h"

struct tk_feed;

/* One message. `frame` is a reference of the taker's; at the end it is NULL
 * and nothing lies in `data`. */
struct tk_feed_message {
    tikv_slice data;
    struct tk_frame *frame;
    bool is_end; /* the server has said it all */
};

/* Waits for the next message, no longer than the op lives: its errors leave
 * the feed as it was. UNAVAILABLE, with the status in it: the stream was lost,
 * or no message came within `lease_ns` of being asked for. */
tikv_error *
tk_feed_next(struct tk_feed *feed, struct tk_op *op, int64_t lease_ns,
             struct tk_feed_message *out) __attribute__((warn_unused_result));

/* Asks for the end; what lies here is not wanted any more. */
void
tk_feed_cancel(struct tk_feed *feed);

void
tk_feed_ref(struct tk_feed *feed);

void
tk_feed_unref(struct tk_feed *feed);

/* Both, of a feed that nobody wants; NULL is none. */
void
tk_feed_drop(struct tk_feed *feed);

#endif
