/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What rules do to the connections of a node. A reset shuts them. A cut makes
 * the kernel drop what arrives, by a socket filter that lets nothing pass: no
 * acknowledgement comes back, no new connection is made, and nobody is told,
 * as behind a broken switch; healed, TCP sends again what was lost. Any
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

static struct tk_serve_node *
find_node(struct tk_serve *serve, tk_node id)
{
    size_t i;

    for (i = 0; i < serve->nodes_count; i++) {
        if (serve->nodes[i].id == id) {
            return &serve->nodes[i];
        }
    }
    return NULL;
}

void
tk_serve_line(void *arg, tk_node id, enum tk_cluster_line line)
{
    struct tk_serve *serve = arg;
    struct tk_serve_node *node = find_node(serve, id);
    struct tk_serve_link *link;

    if (node == NULL) {
        return;
    }
    tk_mutex_lock(&serve->lock);
    for (link = serve->acceptor.links; link != NULL; link = link->next) {
        if (link->server != node->server) {
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
    tk_mutex_unlock(&serve->lock);
}
