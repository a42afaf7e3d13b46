/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unary calls over C core: one batch of operations, one event. Fail-fast: a
 * call to an address that is down ends at once.
 */
#include <string.h>

#include <grpc/byte_buffer.h>

#include "rpc/grpc_inside.h"

/* OK without a message we can keep is not OK. */
static void
take_message(struct tk_exchange *exchange, struct tk_status *status,
             tikv_slice *data, struct tk_frame **frame)
{
    *data = (tikv_slice){ NULL, 0 };
    *frame = NULL;
    if (exchange->incoming != NULL && status->grpc == GRPC_STATUS_OK) {
        *frame = tk_grpc_frame(exchange->incoming, data);
        exchange->incoming = NULL;
    }
    if (exchange->incoming != NULL) {
        grpc_byte_buffer_destroy(exchange->incoming);
        exchange->incoming = NULL;
    }
    if (status->grpc == GRPC_STATUS_OK && *frame == NULL) {
        status->grpc = GRPC_STATUS_INTERNAL;
        status->details = "an answer without a message";
    }
}

static void
on_done(struct tk_exchange *exchange, bool is_ok, struct tk_wakes *wakes)
{
    struct tk_unary *unary = exchange->unary;
    struct tk_status status;
    struct tk_frame *frame;
    char details[256];
    tikv_slice data;

    (void)is_ok;
    if (!tk_exchange_op_done(exchange, true)) {
        return;
    }
    grpc_byte_buffer_destroy(exchange->outgoing);
    exchange->outgoing = NULL;
    tk_exchange_status(exchange, details, sizeof(details), &status);
    take_message(exchange, &status, &data, &frame);
    unary->done(unary, &status, data, frame, wakes);
    tk_exchange_end(exchange);
}

static gpr_timespec
deadline_of(struct tk_grpc *grpc, int64_t deadline)
{
    int64_t left;

    if (deadline == TK_NEVER) {
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    }
    left = deadline - tk_now(grpc->rt);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_nanos(left > 0 ? left : 0, GPR_TIMESPAN));
}

static void
fill(struct tk_exchange *exchange, grpc_op *ops)
{
    ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = exchange->outgoing;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    ops[3].op = GRPC_OP_RECV_INITIAL_METADATA;
    ops[3].data.recv_initial_metadata.recv_initial_metadata =
        &exchange->initial;
    ops[4].op = GRPC_OP_RECV_MESSAGE;
    ops[4].data.recv_message.recv_message = &exchange->incoming;
    ops[5].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    ops[5].data.recv_status_on_client.trailing_metadata = &exchange->trailing;
    ops[5].data.recv_status_on_client.status = &exchange->status;
    ops[5].data.recv_status_on_client.status_details = &exchange->details;
}

bool
tk_grpc_unary(struct tk_transport *transport, struct tk_link *link,
              const char *path, const char *const *metadata, tikv_slice bytes,
              int64_t deadline, struct tk_unary *unary)
{
    struct tk_grpc *grpc = (struct tk_grpc *)(void *)transport;
    struct tk_exchange *exchange = tk_exchange_begin(grpc, link, unary);
    grpc_metadata array[TK_METADATA_MAX];
    grpc_status_code stop;
    grpc_slice slice;
    grpc_call *call;
    grpc_op ops[6];
    size_t count;

    if (exchange == NULL) {
        return false;
    }
    unary->inside = exchange;
    exchange->unary = unary;
    exchange->begun.fn = on_done;
    slice = grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    exchange->outgoing = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    memset(ops, 0, sizeof(ops));
    fill(exchange, ops);
    count = tk_metadata_fill(array, metadata);
    ops[0].data.send_initial_metadata.count = count;
    ops[0].data.send_initial_metadata.metadata = count != 0 ? array : NULL;
    call =
        tk_exchange_call(exchange, path, deadline_of(grpc, deadline), 1, &stop);
    /* Refused only for misuse: malformed metadata, which callers do not
     * give. */
    tk_grpc_start(call, ops, 6, &exchange->begun);
    if (stop != GRPC_STATUS_OK) {
        grpc_call_cancel_with_status(call, stop, "ended by the client", NULL);
    }
    grpc_call_unref(call);
    tk_metadata_drop(array, count);
    return true;
}

void
tk_grpc_unary_cancel(struct tk_transport *transport, struct tk_unary *unary)
{
    struct tk_exchange *exchange = (struct tk_exchange *)unary->inside;

    (void)transport;
    tk_exchange_stop(exchange, unary, NULL, GRPC_STATUS_CANCELLED);
}
