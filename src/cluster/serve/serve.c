/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of a cluster and what the core wants of them. An event of the
 * core says only "look again": whether a node is to be up, and under which
 * address, is asked of the core itself, by one thread at a time per node, so
 * events that overtake each other end in the right state all the same.
 */
#include "cluster/serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>
#include <grpc/support/log.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/serve/inside.h"

#define LOOK_NS (1000 * TK_MS)
#define ADDRESS_MAX 64

void
tk_serve_alive_add(struct tk_serve *serve, enum tk_serve_kind kind)
{
    tk_mutex_lock(&serve->lock);
    serve->alive[kind]++;
    tk_mutex_unlock(&serve->lock);
}

void
tk_serve_alive_drop(struct tk_serve *serve, enum tk_serve_kind kind)
{
    struct tk_runtime *rt = serve->rt;
    struct tk_parker *waiter;

    tk_mutex_lock(&serve->lock);
    serve->alive[kind]--;
    waiter = serve->alive[kind] == 0 ? serve->waiter : NULL;
    tk_mutex_unlock(&serve->lock);
    if (waiter != NULL && tk_ring(waiter)) {
        rt->ops->wake(rt, &waiter, 1);
    }
}

static bool
is_alone(struct tk_serve *serve, enum tk_serve_kind kind, struct tk_parker *me)
{
    bool alone;

    tk_mutex_lock(&serve->lock);
    serve->waiter = me;
    alone = serve->alive[kind] == 0;
    tk_mutex_unlock(&serve->lock);
    return alone;
}

static void
wait_alone(struct tk_serve *serve, enum tk_serve_kind kind)
{
    struct tk_parker *me = tk_self(serve->rt);

    for (;;) {
        if (me != NULL) {
            tk_park_begin(me);
        }
        if (is_alone(serve, kind, me)) {
            return;
        }
        if (me != NULL) {
            serve->rt->ops->park(serve->rt, me,
                                 tk_after(tk_now(serve->rt), LOOK_NS));
        }
    }
}

struct tk_serve_node *
tk_serve_node_of(struct tk_serve *serve, tk_node id)
{
    size_t i;

    for (i = 0; i < serve->nodes_count; i++) {
        if (serve->nodes[i].id == id) {
            return &serve->nodes[i];
        }
    }
    return NULL;
}

static void
tell_address(struct tk_serve *serve, tk_node id, uint16_t port)
{
    char address[ADDRESS_MAX];

    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)port);
    tk_cluster_set_address(serve->core, id, address);
}

/* The port under which the core knows the node; 0: not one of ours. */
static uint16_t
known_port(struct tk_serve *serve, tk_node id)
{
    char address[ADDRESS_MAX * 4];
    const char *colon;

    if (!tk_cluster_get_address(serve->core, id, address, sizeof(address))) {
        return 0;
    }
    colon = strrchr(address, ':');
    return colon == NULL ? 0 : (uint16_t)strtoul(colon + 1, NULL, 10);
}

/* With the lock: a node that traded its address takes the listener that has
 * it now, and gives its own in return. */
static void
take_listener(struct tk_serve *serve, struct tk_serve_node *node, uint16_t port)
{
    struct tk_serve_listener *own = node->listener;
    size_t i;

    for (i = 0; i < serve->nodes_count && own->port != port; i++) {
        struct tk_serve_node *other = &serve->nodes[i];

        if (other->listener->port == port && other->server == NULL) {
            node->listener = other->listener;
            node->listener->node = node;
            other->listener = own;
            own->node = other;
            return;
        }
    }
}

/* Only by the one who syncs the node. */
static tikv_error *
place_listener(struct tk_serve *serve, struct tk_serve_node *node,
               bool new_port)
{
    struct tk_serve_listener *fresh = NULL;
    struct tk_serve_listener *old = NULL;
    uint16_t port = known_port(serve, node->id);

    if (new_port) {
        tikv_error *error = tk_serve_bind(0, &fresh);

        if (error != NULL) {
            return error;
        }
        port = fresh->port;
    }
    tk_mutex_lock(&serve->lock);
    if (fresh != NULL) {
        old = node->listener;
        fresh->node = node;
        node->listener = fresh;
    } else {
        take_listener(serve, node, port);
    }
    port = node->listener->port;
    tk_mutex_unlock(&serve->lock);
    if (old != NULL) {
        tk_serve_retire(serve, old);
    }
    tell_address(serve, node->id, port);
    return NULL;
}

static tikv_error *
bring_up(struct tk_serve *serve, struct tk_serve_node *node, bool new_port)
{
    struct tk_serve_server *server = NULL;
    tikv_error *error = place_listener(serve, node, new_port);

    if (error == NULL) {
        error = tk_serve_server_open(serve, node, &server);
    }
    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&serve->lock);
    node->server = server;
    tk_mutex_unlock(&serve->lock);
    error = tk_serve_listen(serve, node->listener);
    if (error != NULL) {
        tk_mutex_lock(&serve->lock);
        node->server = NULL;
        tk_mutex_unlock(&serve->lock);
        tk_serve_server_close(server);
    }
    return error;
}

static void
take_down(struct tk_serve *serve, struct tk_serve_node *node)
{
    struct tk_serve_server *server;

    tk_serve_unlisten(serve, node->listener);
    tk_mutex_lock(&serve->lock);
    server = node->server;
    node->server = NULL;
    tk_mutex_unlock(&serve->lock);
    if (server != NULL) {
        tk_serve_server_close(server);
    }
}

/* A new server takes the port over; who is connected to the old one is told
 * to come again. Only by the one who syncs the node. */
static tikv_error *
renew(struct tk_serve *serve, struct tk_serve_node *node)
{
    struct tk_serve_server *fresh = NULL;
    struct tk_serve_server *old;
    tikv_error *error = tk_serve_server_open(serve, node, &fresh);

    if (error != NULL) {
        return error;
    }
    tk_mutex_lock(&serve->lock);
    old = node->server;
    fresh->connections = old->connections;
    node->server = fresh;
    tk_mutex_unlock(&serve->lock);
    tk_serve_server_leave(old);
    return NULL;
}

static void
keep_trouble(struct tk_serve *serve, struct tk_serve_node *node,
             tikv_error *error)
{
    tikv_error *old;

    tk_mutex_lock(&serve->lock);
    old = node->trouble;
    node->trouble = error;
    tk_mutex_unlock(&serve->lock);
    tikv_error_free(old);
}

/* Makes the node what the core wants it to be. Whoever finds somebody at it
 * leaves it to them: they look again before they go. */
static void
sync_node(struct tk_serve *serve, tk_node id, bool new_port)
{
    struct tk_serve_node *node = tk_serve_node_of(serve, id);
    bool is_stale;
    bool is_up;
    uint64_t seen;

    if (node == NULL || atomic_load(&serve->stopped)) {
        return;
    }
    tk_mutex_lock(&serve->lock);
    node->wanted++;
    node->new_port = node->new_port || new_port;
    if (node->is_syncing) {
        tk_mutex_unlock(&serve->lock);
        return;
    }
    node->is_syncing = true;
    do {
        seen = node->wanted;
        new_port = node->new_port;
        node->new_port = false;
        is_up = node->server != NULL;
        is_stale = node->is_stale;
        node->is_stale = false;
        tk_mutex_unlock(&serve->lock);
        if (!tk_cluster_is_up(serve->core, id)) {
            take_down(serve, node);
        } else if (!is_up) {
            keep_trouble(serve, node, bring_up(serve, node, new_port));
        } else if (is_stale) {
            keep_trouble(serve, node, renew(serve, node));
        }
        tk_mutex_lock(&serve->lock);
    } while (seen != node->wanted);
    node->is_syncing = false;
    tk_mutex_unlock(&serve->lock);
}

void
tk_serve_sync(struct tk_serve *serve, tk_node id)
{
    sync_node(serve, id, false);
}

static void
on_up(void *arg, tk_node node, bool new_port)
{
    sync_node(arg, node, new_port);
}

static void
on_down(void *arg, tk_node node)
{
    sync_node(arg, node, false);
}

void
tk_serve_use(struct tk_serve *serve, struct tk_cluster *core)
{
    const struct tk_cluster_events none = { .arg = NULL };
    const struct tk_cluster_events events = { .up = on_up,
                                              .down = on_down,
                                              .arg = serve,
                                              .line = tk_serve_line };
    size_t i;

    tk_cluster_set_events(serve->core, &none);
    atomic_store(&serve->core, core);
    for (i = 0; i < serve->nodes_count; i++) {
        tell_address(serve, serve->nodes[i].id, serve->nodes[i].listener->port);
    }
    tk_cluster_set_events(core, &events);
    for (i = 0; i < serve->nodes_count; i++) {
        sync_node(serve, serve->nodes[i].id, false);
    }
}

tikv_error *
tk_serve_trouble(struct tk_serve *serve, tk_node node)
{
    struct tk_serve_node *found = tk_serve_node_of(serve, node);
    tikv_error *error = NULL;

    if (found != NULL) {
        tk_mutex_lock(&serve->lock);
        error = found->trouble;
        found->trouble = NULL;
        tk_mutex_unlock(&serve->lock);
    }
    return error;
}

bool
tk_serve_address(struct tk_serve *serve, tk_node node, char *buffer,
                 size_t size)
{
    struct tk_serve_node *found = tk_serve_node_of(serve, node);
    uint16_t port;
    int len;

    if (found == NULL || buffer == NULL) {
        return false;
    }
    tk_mutex_lock(&serve->lock);
    port = found->listener->port;
    tk_mutex_unlock(&serve->lock);
    len = snprintf(buffer, size, "127.0.0.1:%u", (unsigned)port);
    return len > 0 && (size_t)len < size;
}

/* ---- beginning and end ---- */

/* Ids, pollers and bound ports; nobody listens yet. */
static tikv_error *
fill_nodes(struct tk_serve *serve, uint16_t base_port)
{
    size_t i;

    for (i = 0; i < serve->nodes_count; i++) {
        struct tk_serve_node *node = &serve->nodes[i];
        uint16_t port = base_port == 0 ? 0 : (uint16_t)(base_port + i);
        size_t store = i < serve->pds_count ? 0 : i - serve->pds_count + 1;
        tikv_error *error = tk_serve_bind(port, &node->listener);

        if (error != NULL) {
            return error;
        }
        node->listener->node = node;
        node->id = store == 0 ? i : TK_NODE_STORE | store;
        node->poller = &serve->pollers[store];
    }
    return NULL;
}

static tikv_error *
open_all(struct tk_serve *serve, uint16_t base_port,
         const struct tk_serve_tls *tls)
{
    const struct tk_cluster_events events = { .up = on_up,
                                              .down = on_down,
                                              .arg = serve,
                                              .line = tk_serve_line };
    tikv_error *error = fill_nodes(serve, base_port);
    size_t i;

    if (error == NULL) {
        error = tk_serve_acceptor_open(serve, tls);
    }
    for (i = 0; error == NULL && i < serve->pollers_count; i++) {
        error = tk_serve_poller_open(serve, &serve->pollers[i]);
    }
    /* All addresses before the first connection: what PD tells is whole. */
    for (i = 0; error == NULL && i < serve->nodes_count; i++) {
        tell_address(serve, serve->nodes[i].id, serve->nodes[i].listener->port);
    }
    for (i = 0; error == NULL && i < serve->nodes_count; i++) {
        error = bring_up(serve, &serve->nodes[i], false);
    }
    if (error == NULL) {
        tk_cluster_set_events(serve->core, &events);
    }
    return error;
}

/* As the client does: what goes wrong is told by errors, not on stderr. */
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
tk_serve_start(struct tk_runtime *rt, struct tk_cluster *core,
               uint16_t base_port, const struct tk_serve_tls *tls,
               struct tk_serve **out)
{
    struct tk_serve *serve = tk_calloc(sizeof(*serve));
    tikv_error *error;

    *out = NULL;
    if (serve == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    init_quietly();
    serve->rt = rt;
    serve->core = core;
    serve->acceptor.epoll_fd = -1;
    serve->acceptor.wake_fd = -1;
    tk_mutex_init(&serve->lock, TK_RANK_SERVE);
    serve->pds_count = tk_cluster_pds_count(core);
    serve->nodes_count = serve->pds_count + tk_cluster_stores_count(core);
    serve->pollers_count = 1 + tk_cluster_stores_count(core);
    serve->nodes = tk_calloc(serve->nodes_count * sizeof(*serve->nodes));
    serve->pollers = tk_calloc(serve->pollers_count * sizeof(*serve->pollers));
    if (serve->nodes == NULL || serve->pollers == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        error = open_all(serve, base_port, tls);
    }
    if (error != NULL) {
        tk_serve_stop(serve);
        tk_serve_free(serve);
        return error;
    }
    *out = serve;
    return NULL;
}

void
tk_serve_set_control(struct tk_serve *serve, tk_serve_control *control,
                     void *arg)
{
    serve->control_arg = arg;
    atomic_store(&serve->control, control);
}

void
tk_serve_stop(struct tk_serve *serve)
{
    const struct tk_cluster_events none = { .arg = NULL };
    size_t i;

    if (serve == NULL) {
        return;
    }
    atomic_store(&serve->stopped, true);
    tk_cluster_set_events(serve->core, &none);
    for (i = 0; serve->nodes != NULL && i < serve->nodes_count; i++) {
        if (serve->nodes[i].listener != NULL) {
            take_down(serve, &serve->nodes[i]);
            tk_serve_retire(serve, serve->nodes[i].listener);
        }
    }
    tk_serve_acceptor_close(serve);
    wait_alone(serve, TK_SERVE_SERVERS);
    for (i = 0; serve->pollers != NULL && i < serve->pollers_count; i++) {
        tk_serve_poller_close(serve, &serve->pollers[i]);
    }
}

void
tk_serve_free(struct tk_serve *serve)
{
    size_t i;

    if (serve == NULL) {
        return;
    }
    wait_alone(serve, TK_SERVE_ORPHANS);
    for (i = 0; serve->nodes != NULL && i < serve->nodes_count; i++) {
        tikv_error_free(serve->nodes[i].trouble);
    }
    tk_free(serve->nodes);
    tk_free(serve->pollers);
    tk_mutex_fini(&serve->lock);
    tk_free(serve);
    grpc_shutdown_blocking();
}
