/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that the caller made, once its arguments were read: what
 * request.c and stream.c share. It points to what the caller gave.
 */
#ifndef TK_API_REQUEST_H
#define TK_API_REQUEST_H

#include <tikv/request.h>

#include "api/client.h"

struct tk_own_request {
    struct tk_router *router;
    enum tk_command command;
    tikv_slice key;
    tikv_slice message;
    tikv_slice context;
    struct tk_region_pin pin;
    struct tk_read_mode read;
    int64_t attempt_ms;
    tikv_details *details;
};

/* The beginning of a blocking call: the options read, the client entered.
 * `out` has key and message already. `is_stream`: the method must be one that
 * is answered by a stream; else it must be answered at once. Without an error
 * `op` ends by tk_op_end() and tk_door_leave(). */
tikv_error *
tk_own_request_enter(tikv_client *client, const char *method, bool is_stream,
                     const tikv_request_options *from,
                     struct tk_own_request *out, tikv_call *call,
                     struct tk_op *op) __attribute__((warn_unused_result));

/* Sends it until it is answered; one of `out` and `feed` is NULL. */
tikv_error *
tk_own_request_deliver(const struct tk_own_request *request, struct tk_op *op,
                       tikv_value **out, struct tk_feed **feed)
    __attribute__((warn_unused_result));

#endif
