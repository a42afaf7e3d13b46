/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One unary call: accepted, read, given to the core, answered. As a rule the
 * core answers while it is called, on the completing thread, and answer,
 * status and the look for the end of the call go to gRPC as one batch. Only
 * when the answer comes later is the end watched separately meanwhile.
 *
 *     RUNNING --reply--> ANSWERED                (sent by the thread that ran)
 *        |------dropped----> DROPPED             (waits for the client to go)
 *        \---no reply yet--> WAITING --reply--> ANSWERED (sent there)
 *                               |------dropped--> DROPPED
 *                               \---client gone--> GONE  (gRPC's part is over;
 *                                                 the core frees by replying)
 *
 * References: the thread that runs it, each batch under way, the core. No
 * lock; `state` decides who sends.
 */
#include <stdio.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "base/alloc.h"
#include "cluster/serve/inside.h"
#include "cluster/serve/tsan.h"

#define PATH_MAX_BYTES 256

/* Merely letting go of a call would end it CANCELLED, which no client takes
 * for a node that is down. */
static const char closed_text[] = "the node is down";

enum { RUNNING, WAITING, ANSWERED, DROPPED, GONE };

struct tk_serve_call {
    struct tk_cluster_call core; /* first */
    struct tk_serve *serve;
    struct tk_serve_server *server; /* counted; NULL when GONE */
    grpc_call *call;                /* NULL when GONE */
    grpc_call_details details;
    grpc_metadata_array metadata;
    struct tk_serve_event accepted;
    struct tk_serve_event received;
    struct tk_serve_event ended;
    struct tk_serve_event replied;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response; /* written before ANSWERED */
    grpc_slice message;         /* as `response` */
    int status;                 /* as `response` */
    int cancelled;
    char path[PATH_MAX_BYTES];
    _Atomic uint32_t refs;
    _Atomic uint32_t state; /* acq_rel: publishes the answer */
};

/* gRPC's part: no batch is under way and none will be. */
static void
let_go(struct tk_serve_call *call)
{
    struct tk_serve_server *server = call->server;

    if (call->call != NULL) {
        grpc_call_unref(call->call);
        call->call = NULL;
    }
    grpc_call_details_destroy(&call->details);
    grpc_metadata_array_destroy(&call->metadata);
    if (call->request != NULL) {
        grpc_byte_buffer_destroy(call->request);
        call->request = NULL;
    }
    call->server = NULL;
    tk_serve_server_unref(server);
}

static void
call_free(struct tk_serve_call *call)
{
    if (call->response != NULL) {
        grpc_byte_buffer_destroy(call->response);
    }
    grpc_slice_unref(call->message);
    tk_free(call);
}

static void
call_ref(struct tk_serve_call *call)
{
    atomic_fetch_add_explicit(&call->refs, 1, memory_order_relaxed);
}

static void
call_unref(struct tk_serve_call *call)
{
    struct tk_serve *serve = call->serve;

    if (atomic_fetch_sub_explicit(&call->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (atomic_load(&call->state) == GONE) {
        call_free(call);
        tk_serve_alive_drop(serve, TK_SERVE_ORPHANS);
    } else {
        let_go(call);
        call_free(call);
    }
}

static void
start_batch(struct tk_serve_call *call, const grpc_op *ops, size_t count,
            struct tk_serve_event *event)
{
    call_ref(call);
    tk_serve_tag_leaves(event);
    if (grpc_call_start_batch(call->call, ops, count, event, NULL) !=
        GRPC_CALL_OK) {
        call_unref(call);
    }
}

static void
watch_end(struct tk_serve_call *call)
{
    grpc_op op = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

    op.data.recv_close_on_server.cancelled = &call->cancelled;
    start_batch(call, &op, 1, &call->ended);
}

static void
send_answer(struct tk_serve_call *call, bool with_end)
{
    grpc_op ops[4];
    size_t count = 0;

    memset(ops, 0, sizeof(ops));
    ops[count++].op = GRPC_OP_SEND_INITIAL_METADATA;
    if (call->response != NULL) {
        ops[count].op = GRPC_OP_SEND_MESSAGE;
        ops[count++].data.send_message.send_message = call->response;
    }
    ops[count].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    ops[count].data.send_status_from_server.status =
        (grpc_status_code)call->status;
    ops[count++].data.send_status_from_server.status_details = &call->message;
    if (with_end) {
        ops[count].op = GRPC_OP_RECV_CLOSE_ON_SERVER;
        ops[count++].data.recv_close_on_server.cancelled = &call->cancelled;
    }
    start_batch(call, ops, count, &call->replied);
}

static void
on_replied(struct tk_serve_event *event, bool ok)
{
    (void)ok;
    call_unref(event->owner);
}

/* The call is over for the client, however it came. */
static void
on_ended(struct tk_serve_event *event, bool ok)
{
    struct tk_serve_call *call = event->owner;
    uint32_t expected = WAITING;

    (void)ok;
    tk_serve_alive_add(call->serve, TK_SERVE_ORPHANS);
    /* From the exchange on a reply may free the call, but not before this
     * reference is dropped. */
    if (atomic_compare_exchange_strong(&call->state, &expected, GONE)) {
        let_go(call);
    } else {
        tk_serve_alive_drop(call->serve, TK_SERVE_ORPHANS);
    }
    call_unref(call);
}

static void
core_reply(struct tk_cluster_call *core, int status, const char *message,
           tikv_slice data)
{
    struct tk_serve_call *call = (struct tk_serve_call *)core;

    call->status = status;
    if (status == TK_GRPC_OK) {
        call->response = tk_serve_buffer(data);
    } else {
        call->message =
            grpc_slice_from_copied_string(message == NULL ? "" : message);
    }
    for (;;) {
        uint32_t state = atomic_load(&call->state);

        if (state == GONE) {
            break;
        }
        if (atomic_compare_exchange_strong(&call->state, &state, ANSWERED)) {
            if (state == WAITING) {
                send_answer(call, false);
            }
            break;
        }
    }
    call_unref(call);
}

static void
core_dropped(struct tk_cluster_call *core)
{
    struct tk_serve_call *call = (struct tk_serve_call *)core;
    uint32_t state = atomic_load(&call->state);

    while (state != GONE &&
           !atomic_compare_exchange_strong(&call->state, &state, DROPPED)) {
    }
    call_unref(call);
}

/* An answer of our own, before the core was asked. */
static void
refuse(struct tk_serve_call *call, int status, const char *message)
{
    call->status = status;
    call->message = grpc_slice_from_static_string(message);
    atomic_store(&call->state, ANSWERED);
    send_answer(call, true);
}

static void
execute(struct tk_serve_call *call)
{
    struct tk_serve_metadata metadata;
    struct tk_serve_message message;
    uint32_t expected = RUNNING;

    if (!tk_serve_message_init(&message, call->request)) {
        refuse(call, TK_GRPC_INTERNAL, "the message cannot be read");
        return;
    }
    tk_serve_metadata_read(&metadata, &call->metadata);
    call->core.client = tk_serve_link_ordinal(call->server, call->call);
    call_ref(call);
    tk_cluster_unary(call->serve->core, call->server->node, call->path,
                     metadata.list, message.bytes, &call->core);
    tk_serve_message_fini(&message);
    if (atomic_compare_exchange_strong(&call->state, &expected, WAITING) ||
        expected == DROPPED) {
        watch_end(call);
    } else {
        send_answer(call, true);
    }
}

static void
on_received(struct tk_serve_event *event, bool ok)
{
    struct tk_serve_call *call = event->owner;

    if (!ok) {
        atomic_store(&call->state, DROPPED);
    } else if (!atomic_load(&call->server->open)) {
        refuse(call, TK_GRPC_UNAVAILABLE, closed_text);
    } else if (call->request == NULL) {
        refuse(call, TK_GRPC_INTERNAL, "the call has no message");
    } else {
        execute(call);
    }
    call_unref(call);
}

static void
receive(struct tk_serve_call *call)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

    op.data.recv_message.recv_message = &call->request;
    start_batch(call, &op, 1, &call->received);
}

/* The stream takes call and server; the rest stays here. */
static void
become_stream(struct tk_serve_call *call)
{
    struct tk_serve_metadata metadata;
    grpc_call *stream = call->call;

    tk_serve_metadata_read(&metadata, &call->metadata);
    tk_serve_server_ref(call->server);
    call->call = NULL;
    tk_serve_stream_begin(call->server, stream, call->path, metadata.list);
}

static void
on_accepted(struct tk_serve_event *event, bool ok)
{
    struct tk_serve_call *call = event->owner;
    bool open = atomic_load(&call->server->open);

    if (ok && !open) {
        refuse(call, TK_GRPC_UNAVAILABLE, closed_text);
    } else if (ok) {
        tk_serve_call_post(call->server);
        if (!tk_serve_text(call->path, sizeof(call->path),
                           call->details.method)) {
            refuse(call, TK_GRPC_UNIMPLEMENTED, "the method is too long");
        } else if (tk_serve_is_stream(call->path)) {
            become_stream(call);
        } else {
            receive(call);
        }
    }
    call_unref(call);
}

bool
tk_serve_call_post(struct tk_serve_server *server)
{
    struct tk_serve_call *call = tk_calloc(sizeof(*call));

    if (call == NULL) {
        return false;
    }
    call->core.reply = core_reply;
    call->core.dropped = core_dropped;
    call->core.owner = server->serve;
    call->serve = server->serve;
    call->server = server;
    call->accepted = (struct tk_serve_event){ on_accepted, call };
    call->received = (struct tk_serve_event){ on_received, call };
    call->ended = (struct tk_serve_event){ on_ended, call };
    call->replied = (struct tk_serve_event){ on_replied, call };
    call->message = grpc_empty_slice();
    grpc_call_details_init(&call->details);
    grpc_metadata_array_init(&call->metadata);
    atomic_init(&call->refs, 1);
    atomic_init(&call->state, RUNNING);
    tk_serve_server_ref(server);
    tk_serve_tag_leaves(&call->accepted);
    if (grpc_server_request_call(server->grpc, &call->call, &call->details,
                                 &call->metadata, server->poller->cq,
                                 server->poller->cq,
                                 &call->accepted) != GRPC_CALL_OK) {
        call_unref(call);
        return false;
    }
    return true;
}
