/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules do to the connections of a node. A reset shuts them. A cut makes
 * the kernel drop what arrives, by a socket filter that lets nothing pass: no
 * acknowledgement comes back, no new connection is made, and nobody is told,
 * as behind a broken switch; healed, TCP sends again what was lost. GOAWAY, and
 * what gRPC fixes when a server is made, take a new server: see serve.c. Any
 * thread; the lock of the room.
 */
#include <linux/filter.h>
#include <sys/socket.h>

#include "cluster/serve/inside.h"

static void
set_filter(int fd, bool is_cut)
{
    static struct sock_filter nothing[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
    const struct sock_fprog program = { 1, nothing };
    const int unused = 0;

    if (is_cut) {
        (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                         sizeof(program));
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused,
                         sizeof(unused));
    }
}

/* With the lock: what the next server of the node is made with. */
static void
change_settings(struct tk_serve_node *node, enum tk_cluster_line line,
                uint64_t value)
{
    if (line == TK_CLUSTER_LINE_STREAMS) {
        node->max_streams = (uint32_t)(value > INT32_MAX ? INT32_MAX : value);
    } else if (line == TK_CLUSTER_LINE_COMPRESS) {
        node->is_compressed = value != 0;
    }
    node->is_stale = true;
}

/* With the lock. */
static void
touch_connections(struct tk_serve *serve, struct tk_serve_node *node,
                  enum tk_cluster_line line)
{
    struct tk_serve_link *link = serve->acceptor.links;

    for (; link != NULL; link = link->next) {
        if (link->server->node != node->id) {
            continue;
        }
        if (line == TK_CLUSTER_LINE_RESET) {
            (void)shutdown(link->fd, SHUT_RDWR);
        } else {
            set_filter(link->fd, line == TK_CLUSTER_LINE_CUT);
        }
    }
    if (line != TK_CLUSTER_LINE_RESET) {
        set_filter(node->listener->fd, line == TK_CLUSTER_LINE_CUT);
    }
}

void
tk_serve_line(void *arg, tk_node id, enum tk_cluster_line line, uint64_t value)
{
    struct tk_serve *serve = arg;
    struct tk_serve_node *node = tk_serve_node_of(serve, id);
    bool is_renewed = line >= TK_CLUSTER_LINE_GOAWAY;

    if (node == NULL) {
        return;
    }
    tk_mutex_lock(&serve->lock);
    if (is_renewed) {
        change_settings(node, line, value);
    } else {
        touch_connections(serve, node, line);
    }
    tk_mutex_unlock(&serve->lock);
    if (is_renewed) {
        tk_serve_sync(serve, id);
    }
}
