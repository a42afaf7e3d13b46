/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that are gRPC's, by a second descriptor of ours. gRPC names the
 * peer of a call by the descriptor that it was given, "fd:17", which no other
 * connection has as long as gRPC has it: so a call is led back to its link,
 * and to the ordinal that fault rules know the connection by.
 *
 * Made and freed by the accepting thread; the list is under the lock.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include "base/alloc.h"
#include "cluster/serve/inside.h"

void
tk_serve_link_free(struct tk_serve *serve, struct tk_serve_link *link)
{
    tk_mutex_lock(&serve->lock);
    if (link->prev != NULL) {
        link->prev->next = link->next;
    } else {
        serve->acceptor.links = link->next;
    }
    if (link->next != NULL) {
        link->next->prev = link->prev;
    }
    tk_mutex_unlock(&serve->lock);
    /* Closing alone would leave epoll watching while gRPC's descriptor of the
     * same connection is open. */
    epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_DEL, link->fd, NULL);
    close(link->fd);
    tk_serve_server_unref(link->server);
    tk_free(link);
}

bool
tk_serve_link_new(struct tk_serve *serve, struct tk_serve_server *server,
                  int fd)
{
    struct tk_serve_link *link = tk_calloc(sizeof(*link));
    struct epoll_event event = { .events = EPOLLRDHUP };
    bool open;

    if (link == NULL) {
        return false;
    }
    link->watch = TK_WATCH_LINK;
    link->server = server;
    link->given = fd;
    link->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    event.data.ptr = link;
    if (link->fd < 0 || epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_ADD,
                                  link->fd, &event) != 0) {
        if (link->fd >= 0) {
            close(link->fd);
        }
        tk_free(link);
        return false;
    }
    tk_serve_server_ref(server);
    tk_mutex_lock(&serve->lock);
    open = atomic_load(&server->open);
    link->ordinal = ++server->connections;
    link->next = serve->acceptor.links;
    if (link->next != NULL) {
        link->next->prev = link;
    }
    serve->acceptor.links = link;
    tk_mutex_unlock(&serve->lock);
    if (!open) {
        tk_serve_link_free(serve, link);
    }
    return open;
}

void
tk_serve_link_cut(struct tk_serve *serve, struct tk_serve_server *server)
{
    struct tk_serve_link *link;

    tk_mutex_lock(&serve->lock);
    atomic_store(&server->open, false);
    for (link = serve->acceptor.links; link != NULL; link = link->next) {
        if (link->server->node == server->node) {
            atomic_store(&link->server->open, false);
            shutdown(link->fd, SHUT_RDWR);
        }
    }
    tk_mutex_unlock(&serve->lock);
}

uint64_t
tk_serve_link_ordinal(struct tk_serve_server *server, grpc_call *call)
{
    static const char prefix[] = "fd:";
    struct tk_serve *serve = server->serve;
    char *peer = grpc_call_get_peer(call);
    const struct tk_serve_link *link = NULL;
    uint64_t ordinal = 0;

    if (strncmp(peer, prefix, sizeof(prefix) - 1) == 0) {
        long given = strtol(peer + sizeof(prefix) - 1, NULL, 10);

        tk_mutex_lock(&serve->lock);
        link = serve->acceptor.links;
        while (link != NULL &&
               (link->given != given || link->server != server)) {
            link = link->next;
        }
        ordinal = link == NULL ? 0 : link->ordinal;
        tk_mutex_unlock(&serve->lock);
    }
    gpr_free(peer);
    return ordinal;
}
