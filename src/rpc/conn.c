/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: one per address, and one per address and host that it is to
 * pass requests on to. The latter is a route: it has batch streams of its
 * own, because the host is told when a stream begins, but the links of the
 * address's connection, and never a link itself.
 *
 * They are pushed in front of a list and stay until the rpc is freed, so
 * walks need no lock, and who has read the address of a connection from a
 * record may use it. Lock: rank RPC, for the list's writers.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "rpc/inside.h"

struct tk_link *
tk_pipe_link(struct tk_pipe *pipe, tikv_error **out)
{
    struct tk_rpc *rpc = pipe->rpc;
    struct tk_link *link;

    if (pipe->conn->base != NULL) {
        pipe = &pipe->conn->base->pipes[pipe->ordinal];
    }
    link = atomic_load_explicit(&pipe->link, memory_order_acquire);
    if (link != NULL) {
        return link;
    }
    tk_mutex_lock(&rpc->lock);
    link = atomic_load_explicit(&pipe->link, memory_order_relaxed);
    if (link == NULL) {
        *out = rpc->transport->ops->connect(rpc->transport, pipe->conn->address,
                                            pipe->ordinal, &link);
        if (*out != NULL) {
            link = NULL;
        } else {
            tk_upkeep_want(rpc);
        }
        atomic_store_explicit(&pipe->link, link, memory_order_release);
    }
    tk_mutex_unlock(&rpc->lock);
    return link;
}

/* ---- life ---- */

void
tk_conn_free(struct tk_conn *conn)
{
    uint32_t i;

    for (i = 0; i < conn->pipes_count; i++) {
        tk_pipe_fini(&conn->pipes[i]);
    }
    tk_free(conn->address);
    tk_free(conn->forward_to);
    tk_free(conn);
}

static bool
name(struct tk_conn *conn, const char *address, const char *forward_to)
{
    conn->address = tk_strdup(address);
    if (forward_to != NULL) {
        conn->forward_to = tk_strdup(forward_to);
    }
    return conn->address != NULL &&
           (forward_to == NULL || conn->forward_to != NULL);
}

/* `forward_to` and `base` belong to a route. */
static struct tk_conn *
new_conn(struct tk_rpc *rpc, const char *address, const char *forward_to,
         struct tk_conn *base)
{
    uint32_t wanted = rpc->pipes_count * rpc->guards_count;
    struct tk_conn *conn = (struct tk_conn *)tk_calloc(
        sizeof(*conn) + wanted * sizeof(struct tk_pipe));
    tikv_error *error = NULL;

    if (conn == NULL) {
        return NULL;
    }
    conn->rpc = rpc;
    conn->base = base;
    if (!name(conn, address, forward_to)) {
        tk_conn_free(conn);
        return NULL;
    }
    while (error == NULL && conn->pipes_count < wanted) {
        error = tk_pipe_init(&conn->pipes[conn->pipes_count], conn,
                             conn->pipes_count);
        conn->pipes_count++;
    }
    if (error != NULL) {
        tikv_error_free(error);
        tk_conn_free(conn);
        return NULL;
    }
    return conn;
}

/* Under the rpc's lock. */
static void
publish(struct tk_rpc *rpc, struct tk_conn *conn)
{
    conn->next = tk_rpc_first(rpc);
    atomic_store_explicit(&rpc->conns, conn, memory_order_release);
}

static struct tk_conn *
find_conn(struct tk_rpc *rpc, const char *address)
{
    struct tk_conn *conn = tk_rpc_first(rpc);

    while (conn != NULL &&
           (conn->base != NULL || strcmp(conn->address, address) != 0)) {
        conn = conn->next;
    }
    return conn;
}

static struct tk_conn *
find_route(struct tk_conn *base, const char *forward_to)
{
    struct tk_conn *conn = tk_rpc_first(base->rpc);

    while (conn != NULL &&
           (conn->base != base || strcmp(conn->forward_to, forward_to) != 0)) {
        conn = conn->next;
    }
    return conn;
}

/* Without a lock first: forwarding lasts, and routes are few. */
struct tk_conn *
tk_conn_route(struct tk_conn *base, const char *forward_to)
{
    struct tk_rpc *rpc = base->rpc;
    struct tk_conn *route = find_route(base, forward_to);

    if (route != NULL) {
        return route;
    }
    tk_mutex_lock(&rpc->lock);
    route = find_route(base, forward_to);
    if (route == NULL && !rpc->closing) {
        route = new_conn(rpc, base->address, forward_to, base);
        if (route != NULL) {
            route->guard = base->guard;
            publish(rpc, route);
        }
    }
    tk_mutex_unlock(&rpc->lock);
    return route;
}

struct tk_conn *
tk_rpc_conn(struct tk_rpc *rpc, const char *address)
{
    struct tk_conn *conn;

    tk_mutex_lock(&rpc->lock);
    conn = rpc->closing ? NULL : find_conn(rpc, address);
    if (conn == NULL && !rpc->closing) {
        conn = new_conn(rpc, address, NULL, NULL);
        if (conn != NULL) {
            publish(rpc, conn);
        }
    }
    if (conn != NULL) {
        tk_conn_ref(conn);
    }
    tk_mutex_unlock(&rpc->lock);
    return conn;
}

void
tk_conn_ref(struct tk_conn *conn)
{
    atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
}

void
tk_conn_unref(struct tk_conn *conn)
{
    if (conn != NULL) {
        atomic_fetch_sub_explicit(&conn->refs, 1, memory_order_release);
    }
}

const char *
tk_conn_address(const struct tk_conn *conn)
{
    return conn->address;
}

enum tk_link_state
tk_conn_state(struct tk_conn *conn)
{
    struct tk_transport *transport = conn->rpc->transport;
    enum tk_link_state best = TK_LINK_RESTS;
    uint32_t i;

    if (transport->ops->state == NULL) {
        return TK_LINK_RESTS;
    }
    for (i = 0; i < conn->pipes_count; i++) {
        struct tk_link *link =
            atomic_load_explicit(&conn->pipes[i].link, memory_order_acquire);
        enum tk_link_state state = link == NULL
                                       ? TK_LINK_RESTS
                                       : transport->ops->state(transport, link);

        if (best == TK_LINK_RESTS || state == TK_LINK_READY) {
            best = state;
        }
    }
    return best;
}
