/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One life of a node in gRPC, and the thread that completes its calls. A
 * server has no port of gRPC's own: connections come from the accepting
 * thread. It is destroyed by whoever drops the last reference, on any thread.
 */
#include <grpc/compression.h>
#include <grpc/grpc.h>
#include <grpc/support/time.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/serve/inside.h"
#include "cluster/serve/tsan.h"

/* Accepts waiting at any time: calls that arrive while none waits are queued
 * by gRPC, so this is speed and no limit. */
#define ACCEPTS 128
#define WINDOW_BYTES (2 * 1024 * 1024)

static grpc_arg
number_arg(const char *name, int number)
{
    union {
        const char *in;
        char *out;
    } key = { .in = name };

    return (grpc_arg){ .type = GRPC_ARG_INTEGER,
                       .key = key.out,
                       .value.integer = number };
}

/* Messages of any size, clients may ping as they like, and no guessing of
 * bandwidth on loopback. */
static grpc_server *
make_grpc(uint32_t max_streams, bool is_compressed)
{
    grpc_arg args[] = {
        number_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
        number_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, -1),
        number_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        number_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 0),
        number_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
        number_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
        number_arg(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, WINDOW_BYTES),
        number_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                   max_streams == 0 ? INT32_MAX : (int)max_streams),
        number_arg(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM,
                   is_compressed ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_NONE),
    };
    grpc_channel_args all = { sizeof(args) / sizeof(args[0]), args };

    return grpc_server_create(&all, NULL);
}

void
tk_serve_server_ref(struct tk_serve_server *server)
{
    atomic_fetch_add_explicit(&server->refs, 1, memory_order_relaxed);
}

void
tk_serve_server_unref(struct tk_serve_server *server)
{
    struct tk_serve *serve = server->serve;

    if (atomic_fetch_sub_explicit(&server->refs, 1, memory_order_acq_rel) !=
        1) {
        return;
    }
    grpc_server_destroy(server->grpc);
    tk_free(server);
    tk_serve_alive_drop(serve, TK_SERVE_SERVERS);
}

static void
on_closed(struct tk_serve_event *event, bool ok)
{
    (void)ok;
    tk_serve_server_unref(event->owner);
}

tikv_error *
tk_serve_server_open(struct tk_serve *serve, struct tk_serve_node *node,
                     struct tk_serve_server **out)
{
    struct tk_serve_server *server = tk_calloc(sizeof(*server));
    uint32_t max_streams;
    bool is_compressed;
    int i;

    if (server == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    server->serve = serve;
    server->poller = node->poller;
    server->node = node->id;
    server->closed.fn = on_closed;
    server->closed.owner = server;
    atomic_init(&server->refs, 1);
    atomic_init(&server->open, true);
    tk_mutex_lock(&serve->lock);
    max_streams = node->max_streams;
    is_compressed = node->is_compressed;
    tk_mutex_unlock(&serve->lock);
    server->grpc = make_grpc(max_streams, is_compressed);
    grpc_server_register_completion_queue(server->grpc, server->poller->cq,
                                          NULL);
    grpc_server_start(server->grpc);
    tk_serve_alive_add(serve, TK_SERVE_SERVERS);
    for (i = 0; i < ACCEPTS; i++) {
        if (!tk_serve_call_post(server)) {
            tk_serve_server_close(server);
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    *out = server;
    return NULL;
}

/* From here gRPC sends GOAWAY on what is still open. */
static void
shut_down(struct tk_serve_server *server)
{
    tk_serve_server_ref(server);
    tk_serve_tag_leaves(&server->closed);
    grpc_server_shutdown_and_notify(server->grpc, server->poller->cq,
                                    &server->closed);
}

void
tk_serve_server_leave(struct tk_serve_server *server)
{
    shut_down(server);
    tk_serve_server_unref(server);
}

void
tk_serve_server_close(struct tk_serve_server *server)
{
    tk_serve_link_cut(server->serve, server);
    shut_down(server);
    grpc_server_cancel_all_calls(server->grpc);
    tk_serve_acceptor_wake(server->serve);
    tk_serve_server_unref(server);
}

static void
run(void *arg)
{
    struct tk_serve_poller *poller = arg;

    for (;;) {
        grpc_event event = grpc_completion_queue_next(
            poller->cq, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);

        if (event.type == GRPC_QUEUE_SHUTDOWN) {
            return;
        }
        if (event.type == GRPC_OP_COMPLETE) {
            struct tk_serve_event *tag = event.tag;

            tk_serve_tag_returns(tag);
            tag->fn(tag, event.success != 0);
        }
    }
}

tikv_error *
tk_serve_poller_open(struct tk_serve *serve, struct tk_serve_poller *poller)
{
    poller->cq = grpc_completion_queue_create_for_next(NULL);
    poller->thread =
        serve->rt->ops->spawn(serve->rt, "tikv-serve", run, poller);
    if (poller->thread == NULL) {
        return tk_error(TIKV_ERR_UNAVAILABLE, "cannot start a thread");
    }
    return NULL;
}

void
tk_serve_poller_close(struct tk_serve *serve, struct tk_serve_poller *poller)
{
    if (poller->cq == NULL) {
        return;
    }
    grpc_completion_queue_shutdown(poller->cq);
    if (poller->thread != NULL) {
        serve->rt->ops->join(serve->rt, poller->thread);
    } else {
        run(poller);
    }
    grpc_completion_queue_destroy(poller->cq);
    poller->cq = NULL;
}
