/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports. A listener is bound once and then listens or not; bound without
 * listening the kernel refuses connections as if nobody were there, and
 * nobody else gets the port. Called by whoever starts and stops nodes; the
 * accepting thread alone closes descriptors.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/serve/inside.h"

#define BACKLOG 512

static tikv_error *
failed(const char *what, uint16_t port)
{
    char text[128];
    int reason = errno;

    if (reason == EADDRINUSE) {
        return tk_error(TIKV_ERR_ARGUMENT, "port %u is in use", (unsigned)port);
    }
    return tk_error(TIKV_ERR_UNAVAILABLE, "cannot %s 127.0.0.1:%u: %s", what,
                    (unsigned)port, strerror_r(reason, text, sizeof(text)));
}

/* -1 with errno set. */
static int
bound_socket(uint16_t *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t len = sizeof(address);
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(*port);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, len) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        int reason = errno;

        close(fd);
        errno = reason;
        return -1;
    }
    *port = ntohs(address.sin_port);
    return fd;
}

tikv_error *
tk_serve_bind(uint16_t port, struct tk_serve_listener **out)
{
    struct tk_serve_listener *listener = tk_calloc(sizeof(*listener));
    int chosen = -1;

    if (listener == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    /* A port that the kernel chose is let go when listening ends; one that
     * was asked for by number is kept. So ask again, by number, while the
     * first socket holds it. */
    if (port == 0) {
        chosen = bound_socket(&port);
        if (chosen < 0) {
            tk_free(listener);
            return failed("find a free port of", 0);
        }
    }
    listener->watch = TK_WATCH_LISTENER;
    listener->fd = bound_socket(&port);
    listener->port = port;
    if (listener->fd < 0) {
        tikv_error *error = failed("bind", port);

        if (chosen >= 0) {
            close(chosen);
        }
        tk_free(listener);
        return error;
    }
    if (chosen >= 0) {
        close(chosen);
    }
    *out = listener;
    return NULL;
}

tikv_error *
tk_serve_listen(struct tk_serve *serve, struct tk_serve_listener *listener)
{
    struct epoll_event event = { .events = EPOLLIN };

    if (listen(listener->fd, BACKLOG) != 0) {
        return failed("listen on", listener->port);
    }
    event.data.ptr = listener;
    if (epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_ADD, listener->fd,
                  &event) != 0) {
        tikv_error *error = failed("watch", listener->port);

        shutdown(listener->fd, SHUT_RDWR);
        return error;
    }
    tk_mutex_lock(&serve->lock);
    listener->listening = true;
    tk_mutex_unlock(&serve->lock);
    return NULL;
}

void
tk_serve_unlisten(struct tk_serve *serve, struct tk_serve_listener *listener)
{
    bool was;

    tk_mutex_lock(&serve->lock);
    was = listener->listening;
    listener->listening = false;
    tk_mutex_unlock(&serve->lock);
    if (was) {
        epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL);
        shutdown(listener->fd, SHUT_RDWR);
    }
}

void
tk_serve_retire(struct tk_serve *serve, struct tk_serve_listener *listener)
{
    tk_serve_unlisten(serve, listener);
    tk_mutex_lock(&serve->lock);
    listener->node = NULL;
    listener->next = serve->acceptor.retired;
    serve->acceptor.retired = listener;
    tk_mutex_unlock(&serve->lock);
    tk_serve_acceptor_wake(serve);
}
