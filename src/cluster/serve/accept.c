/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The accepting thread: takes connections of all nodes, waits for the first
 * three bytes, and hands what starts like HTTP/2 over to gRPC, descriptor and
 * all. Others get a page over HTTP/1.1 (http.c), or nothing.
 *
 *     accepted --"PRI"--> gRPC's (a link) --closed by either side--> gone
 *        |-----letter---> a page --sent--> leaving --their end--> closed
 *        \-----else, deadline, node down----------------------> closed
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>

#include "base/alloc.h"
#include "base/error.h"
#include "cluster/serve/inside.h"
#include "cluster/serve/tls.h"

#define EVENTS_MAX 64
#define GUESTS_MAX 1024
#define GUEST_NS (10000 * TK_MS)
#define LOOK_MS 1000

static void
guest_free(struct tk_serve_acceptor *acceptor, struct tk_serve_guest *guest)
{
    struct tk_serve_server *server = guest->server;

    if (guest->fd >= 0) {
        close(guest->fd);
    }
    if (guest->prev != NULL) {
        guest->prev->next = guest->next;
    } else {
        acceptor->guests = guest->next;
    }
    if (guest->next != NULL) {
        guest->next->prev = guest->prev;
    }
    acceptor->guests_count--;
    tk_serve_page_free(guest->page);
    tk_free(guest);
    tk_serve_server_unref(server);
}

/* Reset at close, no delay, and readable only when the first three bytes, or
 * the end, are there. */
static void
guest_options(int fd)
{
    const struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    const int on = 1;
    const int preface = 3;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &preface, sizeof(preface));
}

/* Takes the descriptor and the reference. */
static void
guest_new(struct tk_serve *serve, struct tk_serve_server *server, int fd)
{
    struct tk_serve_acceptor *acceptor = &serve->acceptor;
    struct tk_serve_guest *guest = NULL;
    struct epoll_event event = { .events = EPOLLIN };

    if (acceptor->guests_count < GUESTS_MAX) {
        guest = tk_calloc(sizeof(*guest));
    }
    if (guest == NULL) {
        close(fd);
        tk_serve_server_unref(server);
        return;
    }
    guest_options(fd);
    guest->watch = TK_WATCH_GUEST;
    guest->fd = fd;
    guest->server = server;
    guest->deadline = tk_after(tk_now(serve->rt), GUEST_NS);
    guest->next = acceptor->guests;
    if (guest->next != NULL) {
        guest->next->prev = guest;
    }
    acceptor->guests = guest;
    acceptor->guests_count++;
    event.data.ptr = guest;
    if (epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        guest_free(acceptor, guest);
    }
}

/* The server that a new connection of the listener belongs to, counted; NULL
 * when its node is down. */
static struct tk_serve_server *
server_of(struct tk_serve *serve, struct tk_serve_listener *listener)
{
    struct tk_serve_server *server = NULL;

    tk_mutex_lock(&serve->lock);
    if (listener->listening && listener->node != NULL) {
        server = listener->node->server;
    }
    if (server != NULL) {
        tk_serve_server_ref(server);
    }
    tk_mutex_unlock(&serve->lock);
    return server;
}

static void
on_listener(struct tk_serve *serve, struct tk_serve_listener *listener)
{
    for (;;) {
        struct tk_serve_server *server;
        int fd =
            accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            return;
        }
        server = server_of(serve, listener);
        if (server == NULL) {
            close(fd);
            return;
        }
        if (serve->acceptor.tls != NULL) {
            fd = tk_serve_tunnel_dig(serve, fd);
        }
        if (fd >= 0) {
            guest_new(serve, server, fd);
        } else {
            tk_serve_server_unref(server);
        }
    }
}

static void
hand_over(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    const int one = 1;
    int fd = guest->fd;

    setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
    epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    if (tk_serve_link_new(serve, guest->server, fd)) {
        guest->fd = -1;
        grpc_server_add_channel_from_fd(guest->server->grpc, fd,
                                        serve->acceptor.credentials);
    }
    guest_free(&serve->acceptor, guest);
}

/* Reads or writes on, as far as it goes. */
static void
show_page(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = guest };

    switch (tk_serve_page_step(serve, guest)) {
    case TK_SERVE_READS:
        return;
    case TK_SERVE_WRITES:
        event.events = EPOLLOUT;
        break;
    case TK_SERVE_DONE:
        /* Closing with something unread would reset the connection, perhaps
         * before they have read the answer: read on until they end it. */
        shutdown(guest->fd, SHUT_WR);
        guest->leaving = true;
        break;
    case TK_SERVE_FAILED:
    default:
        guest_free(&serve->acceptor, guest);
        return;
    }
    if (epoll_ctl(serve->acceptor.epoll_fd, EPOLL_CTL_MOD, guest->fd,
                  &event) != 0) {
        guest_free(&serve->acceptor, guest);
    }
}

static void
begin_page(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    const struct linger plain = { 0, 0 };
    const int one = 1;

    guest->page = tk_serve_page_new();
    if (guest->page == NULL) {
        guest_free(&serve->acceptor, guest);
        return;
    }
    setsockopt(guest->fd, SOL_SOCKET, SO_LINGER, &plain, sizeof(plain));
    setsockopt(guest->fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
    show_page(serve, guest);
}

static void
on_guest(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    char bytes[4096];
    ssize_t len;

    if (guest->leaving) {
        len = recv(guest->fd, bytes, sizeof(bytes), 0);
        if (len == 0 || (len < 0 && errno != EAGAIN)) {
            guest_free(&serve->acceptor, guest);
        }
        return;
    }
    if (guest->page != NULL) {
        show_page(serve, guest);
        return;
    }
    len = recv(guest->fd, bytes, 3, MSG_PEEK);
    if (len < 0 && errno == EAGAIN) {
        return;
    }
    if (len < 3 || !atomic_load(&guest->server->open)) {
        guest_free(&serve->acceptor, guest);
    } else if (memcmp(bytes, "PRI", 3) == 0) {
        hand_over(serve, guest);
    } else if (bytes[0] >= 'A' && bytes[0] <= 'Z') {
        begin_page(serve, guest);
    } else {
        guest_free(&serve->acceptor, guest);
    }
}

static void
close_retired(struct tk_serve *serve)
{
    struct tk_serve_listener *listener;

    tk_mutex_lock(&serve->lock);
    listener = serve->acceptor.retired;
    serve->acceptor.retired = NULL;
    tk_mutex_unlock(&serve->lock);
    while (listener != NULL) {
        struct tk_serve_listener *next = listener->next;

        close(listener->fd);
        tk_free(listener);
        listener = next;
    }
}

/* Guests whose time is over or whose server is closed. */
static void
sweep(struct tk_serve *serve)
{
    int64_t now = tk_now(serve->rt);
    struct tk_serve_guest *guest = serve->acceptor.guests;

    while (guest != NULL) {
        struct tk_serve_guest *next = guest->next;

        if (guest->deadline <= now || !atomic_load(&guest->server->open)) {
            guest_free(&serve->acceptor, guest);
        }
        guest = next;
    }
}

/* Whether nobody has a deadline. */
static bool
is_patient(const struct tk_serve_acceptor *acceptor)
{
    return acceptor->guests == NULL && !acceptor->tunnels_end;
}

static void
run(void *arg)
{
    struct tk_serve *serve = arg;
    struct tk_serve_acceptor *acceptor = &serve->acceptor;
    struct epoll_event events[EVENTS_MAX];

    while (!atomic_load(&acceptor->ending)) {
        int count = epoll_wait(acceptor->epoll_fd, events, EVENTS_MAX,
                               is_patient(acceptor) ? -1 : LOOK_MS);
        int i;

        for (i = 0; i < count; i++) {
            enum tk_serve_watch *watch = events[i].data.ptr;
            uint64_t ignored;

            if (*watch == TK_WATCH_LISTENER) {
                on_listener(serve, events[i].data.ptr);
            } else if (*watch == TK_WATCH_GUEST) {
                on_guest(serve, events[i].data.ptr);
            } else if (*watch == TK_WATCH_LINK) {
                tk_serve_link_free(serve, events[i].data.ptr);
            } else if (*watch == TK_WATCH_TUNNEL) {
                tk_serve_tunnel_step(serve, watch);
            } else if (read(acceptor->wake_fd, &ignored, 8) < 0) {
                continue;
            }
        }
        /* Only here: nothing of this round points to what is freed now. */
        sweep(serve);
        acceptor->tunnels_end = tk_serve_tunnel_sweep(serve, false);
        close_retired(serve);
    }
}

tikv_error *
tk_serve_acceptor_open(struct tk_serve *serve, const struct tk_serve_tls *tls)
{
    struct tk_serve_acceptor *acceptor = &serve->acceptor;
    struct epoll_event event = { .events = EPOLLIN };
    tikv_error *error = tk_serve_tls_new(tls, &acceptor->tls);

    if (error != NULL) {
        return error;
    }
    acceptor->wake_watch = TK_WATCH_WAKE;
    acceptor->credentials = grpc_insecure_server_credentials_create();
    acceptor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    acceptor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    event.data.ptr = &acceptor->wake_watch;
    if (acceptor->epoll_fd < 0 || acceptor->wake_fd < 0 ||
        epoll_ctl(acceptor->epoll_fd, EPOLL_CTL_ADD, acceptor->wake_fd,
                  &event) != 0) {
        char text[128];

        return tk_error(TIKV_ERR_UNAVAILABLE, "cannot watch sockets: %s",
                        strerror_r(errno, text, sizeof(text)));
    }
    acceptor->thread =
        serve->rt->ops->spawn(serve->rt, "tikv-accept", run, serve);
    if (acceptor->thread == NULL) {
        return tk_error(TIKV_ERR_UNAVAILABLE, "cannot start a thread");
    }
    return NULL;
}

void
tk_serve_acceptor_wake(struct tk_serve *serve)
{
    const uint64_t one = 1;

    /* Fails only when the count is full: then it is awake anyway. */
    if (write(serve->acceptor.wake_fd, &one, sizeof(one)) < 0) {
        return;
    }
}

void
tk_serve_acceptor_close(struct tk_serve *serve)
{
    struct tk_serve_acceptor *acceptor = &serve->acceptor;

    if (acceptor->thread != NULL) {
        atomic_store(&acceptor->ending, true);
        tk_serve_acceptor_wake(serve);
        serve->rt->ops->join(serve->rt, acceptor->thread);
        acceptor->thread = NULL;
    }
    while (acceptor->guests != NULL) {
        guest_free(acceptor, acceptor->guests);
    }
    while (acceptor->links != NULL) {
        tk_serve_link_free(serve, acceptor->links);
    }
    (void)tk_serve_tunnel_sweep(serve, true);
    SSL_CTX_free(acceptor->tls);
    acceptor->tls = NULL;
    close_retired(serve);
    if (acceptor->epoll_fd >= 0) {
        close(acceptor->epoll_fd);
    }
    if (acceptor->wake_fd >= 0) {
        close(acceptor->wake_fd);
    }
    acceptor->epoll_fd = -1;
    acceptor->wake_fd = -1;
    if (acceptor->credentials != NULL) {
        grpc_server_credentials_release(acceptor->credentials);
        acceptor->credentials = NULL;
    }
}
