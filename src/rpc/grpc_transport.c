/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transport table on gRPC C core: links and the steps of closing. The
 * library's own count of users of C core starts and stops its threads.
 *
 * After a fork nothing here may run in the child: C core's threads are gone
 * and a call would never end. The face of the library sees to that
 * (exec/fork.h); a transport is simply left behind there.
 */
#include "rpc/grpc_transport.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "rpc/grpc_inside.h"

#include <grpc/support/log.h>

static struct tk_grpc *
of(struct tk_transport *transport)
{
    return (struct tk_grpc *)(void *)transport;
}

static tikv_error *
connect_link(struct tk_transport *transport, const char *address,
             uint32_t ordinal, struct tk_link **out)
{
    struct tk_grpc *grpc = of(transport);
    size_t size = strlen(address) + 1;
    struct tk_link *link = (struct tk_link *)tk_calloc(sizeof(*link) + size);
    tikv_error *error = NULL;

    *out = NULL;
    if (link == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    link->ordinal = ordinal;
    memcpy(link->address, address, size);
    tk_mutex_lock(&grpc->lock);
    if (grpc->closed) {
        error = tk_error_immortal(TIKV_ERR_CLOSED);
    } else {
        link->poller =
            &grpc->pollers[grpc->links_count++ % grpc->pollers_count];
        link->next = grpc->links;
        grpc->links = link;
    }
    tk_mutex_unlock(&grpc->lock);
    if (error != NULL) {
        tk_free(link);
        return error;
    }
    *out = link;
    return NULL;
}

static void
disconnect_link(struct tk_transport *transport, struct tk_link *link)
{
    struct tk_grpc *grpc = of(transport);
    struct tk_link **at = &grpc->links;

    tk_exchange_stop_all(grpc, link, GRPC_STATUS_UNAVAILABLE);
    tk_mutex_lock(&grpc->lock);
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    tk_mutex_unlock(&grpc->lock);
    tk_link_drop(grpc, link, true);
    tk_free(link);
}

static void
set_idle(struct tk_transport *transport, void (*fn)(void *, struct tk_wakes *),
         void *arg)
{
    of(transport)->idle_arg = arg;
    atomic_store_explicit(&of(transport)->idle, fn, memory_order_release);
}

static void
close_transport(struct tk_transport *transport)
{
    struct tk_grpc *grpc = of(transport);
    bool was_closed;
    bool is_empty;

    tk_mutex_lock(&grpc->lock);
    was_closed = grpc->closed;
    grpc->closed = true;
    is_empty = grpc->live_count == 0;
    tk_mutex_unlock(&grpc->lock);
    if (was_closed) {
        return;
    }
    if (is_empty) {
        tk_grpc_pollers_shutdown(grpc);
    } else {
        tk_exchange_stop_all(grpc, NULL, GRPC_STATUS_CANCELLED);
    }
    tk_grpc_watch_stop(grpc);
    tk_grpc_pollers_join(grpc);
}

static void
free_transport(struct tk_transport *transport)
{
    struct tk_grpc *grpc = of(transport);

    close_transport(transport);
    while (grpc->links != NULL) {
        disconnect_link(transport, grpc->links);
    }
    tk_exchange_free_all(grpc);
    tk_creds_unref(grpc->creds);
    tk_mutex_fini(&grpc->lock);
    tk_free(grpc);
    grpc_shutdown_blocking();
}

static const struct tk_transport_ops ops = {
    .connect = connect_link,
    .disconnect = disconnect_link,
    .rest = tk_grpc_rest,
    .is_stale = tk_grpc_is_stale,
    .state = tk_grpc_state,
    .call = tk_grpc_unary,
    .call_cancel = tk_grpc_unary_cancel,
    .open = tk_grpc_open,
    .send = tk_grpc_send,
    .cancel = tk_grpc_cancel,
    .feed = tk_grpc_feed,
    .next = tk_grpc_next,
    .is_delivering = tk_grpc_is_delivering,
    .set_idle = set_idle,
    .close = close_transport,
    .free = free_transport,
};

/* C core writes to stderr what we report as errors; a library does not print.
 * Where the host uses C core itself, how loud it is is the host's business. */
static void
init_quietly(void)
{
    if (!grpc_is_initialized()) {
        gpr_set_log_verbosity(
            (gpr_log_severity)(GPR_LOG_SEVERITY_ERROR + 1));
    }
    grpc_init();
}

tikv_error *
tk_grpc_transport_new(struct tk_runtime *rt, const struct tk_config *config,
                      struct tk_log *log, struct tk_transport **out)
{
    struct tk_grpc *grpc = (struct tk_grpc *)tk_calloc(sizeof(*grpc));
    tikv_error *error;

    *out = NULL;
    if (grpc == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    init_quietly();
    grpc->base.ops = &ops;
    grpc->rt = rt;
    grpc->config = config;
    grpc->log = log;
    tk_mutex_init(&grpc->lock, TK_RANK_WIRE);
    /* What is wrong with the files shows here, not at the first call. */
    tk_grpc_watch_look(grpc);
    error = tk_creds_load(config, rt->ops->wall(rt), &grpc->creds);
    if (error == NULL) {
        error = tk_grpc_pollers_start(grpc);
    }
    if (error != NULL) {
        tk_creds_unref(grpc->creds);
        tk_mutex_fini(&grpc->lock);
        tk_free(grpc);
        grpc_shutdown_blocking();
        return error;
    }
    tk_grpc_watch_start(grpc);
    *out = &grpc->base;
    return NULL;
}
