/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel: TLS on the far socket, plain text on the near one, bytes carried
 * between them as epoll allows. Bytes are taken from one side only when the
 * other has nothing left to send, so a tunnel holds one piece each way.
 *
 *     both open --one side ends--> ending --the other too--> dead --> freed
 *         \---lost, no agreement on TLS, ten seconds----------^
 *
 * The accepting thread alone. A tunnel is freed between rounds of epoll only:
 * its other socket may be in the same round.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "base/alloc.h"
#include "cluster/serve/tls.h"

#define PIECE (16 * 1024)
#define ENDING_NS (10000 * TK_MS)
#define PREFACE 3 /* what the accepting thread wants to see at once */

struct end {
    enum tk_serve_watch watch; /* first: epoll points here */
    int fd;
    uint32_t asked; /* events; 0: epoll does not know it */
    bool is_over;   /* nothing more comes from it */
    bool is_shut;   /* nothing more goes to it */
    struct tk_buf out;
    size_t sent;
    struct tk_serve_tunnel *tunnel;
};

struct tk_serve_tunnel {
    struct end near;
    struct end far;
    SSL *ssl;
    BIO *in;  /* from the far side; the SSL's */
    BIO *out; /* to the far side; the SSL's */
    bool has_begun;
    bool is_dead;
    int64_t deadline; /* 0: both sides are open */
    struct tk_serve_tunnel *prev;
    struct tk_serve_tunnel *next;
};

static void
tunnel_free(struct tk_serve *serve, struct tk_serve_tunnel *tunnel)
{
    if (tunnel->prev != NULL) {
        tunnel->prev->next = tunnel->next;
    } else {
        serve->acceptor.tunnels = tunnel->next;
    }
    if (tunnel->next != NULL) {
        tunnel->next->prev = tunnel->prev;
    }
    close(tunnel->near.fd);
    close(tunnel->far.fd);
    tk_buf_fini(&tunnel->near.out);
    tk_buf_fini(&tunnel->far.out);
    SSL_free(tunnel->ssl);
    tk_free(tunnel);
}

/* ---- carrying ---- */

static bool
is_empty(const struct end *end)
{
    return end->sent == end->out.len;
}

/* What waits, as far as it goes. */
static void
flush(struct end *end)
{
    while (!is_empty(end)) {
        ssize_t len = send(end->fd, end->out.data + end->sent,
                           end->out.len - end->sent, MSG_NOSIGNAL);

        if (len < 0) {
            end->tunnel->is_dead = end->tunnel->is_dead || errno != EAGAIN;
            return;
        }
        end->sent += (size_t)len;
    }
    tk_buf_clear(&end->out);
    end->sent = 0;
}

/* What TLS has to say to the far side. */
static void
take_encrypted(struct tk_serve_tunnel *tunnel)
{
    uint8_t piece[PIECE];
    int len;

    while ((len = BIO_read(tunnel->out, piece, sizeof(piece))) > 0) {
        tk_buf_append(&tunnel->far.out, piece, (size_t)len);
    }
    tunnel->is_dead = tunnel->is_dead || tunnel->far.out.failed;
}

static void
decrypt(struct tk_serve_tunnel *tunnel)
{
    uint8_t piece[PIECE];
    int reason = SSL_ERROR_NONE;

    ERR_clear_error(); /* what others left would be taken for ours */
    while (reason == SSL_ERROR_NONE) {
        int len = SSL_read(tunnel->ssl, piece, sizeof(piece));

        reason = SSL_get_error(tunnel->ssl, len);
        if (reason == SSL_ERROR_NONE && !tunnel->near.is_over) {
            tk_buf_append(&tunnel->near.out, piece, (size_t)len);
        }
    }
    take_encrypted(tunnel);
    if (reason == SSL_ERROR_ZERO_RETURN) {
        tunnel->far.is_over = true;
    } else if (reason != SSL_ERROR_WANT_READ) {
        /* No agreement: an alert says why, if it gets through. */
        flush(&tunnel->far);
        tunnel->is_dead = true;
        ERR_clear_error();
    }
    tunnel->is_dead = tunnel->is_dead || tunnel->near.out.failed;
}

static void
read_far(struct tk_serve_tunnel *tunnel)
{
    uint8_t piece[PIECE];
    ssize_t len = recv(tunnel->far.fd, piece, sizeof(piece), 0);

    if (len > 0 && BIO_write(tunnel->in, piece, (int)len) == len) {
        decrypt(tunnel);
    } else if (len == 0) {
        tunnel->far.is_over = true;
    } else if (len > 0 || errno != EAGAIN) {
        tunnel->is_dead = true;
    }
}

static void
read_near(struct tk_serve_tunnel *tunnel)
{
    uint8_t piece[PIECE];
    ssize_t len = recv(tunnel->near.fd, piece, sizeof(piece), 0);

    if (len < 0 && errno == EAGAIN) {
        return;
    }
    if (len <= 0) {
        tunnel->near.is_over = true;
        (void)SSL_shutdown(tunnel->ssl);
    } else if (SSL_write(tunnel->ssl, piece, (int)len) != len) {
        tunnel->is_dead = true;
    }
    ERR_clear_error();
    take_encrypted(tunnel);
}

/* ---- epoll ---- */

static void
ask(struct tk_serve *serve, struct end *end, uint32_t wanted)
{
    struct epoll_event event = { .events = wanted, .data.ptr = end };
    int what = wanted == 0       ? EPOLL_CTL_DEL
               : end->asked == 0 ? EPOLL_CTL_ADD
                                 : EPOLL_CTL_MOD;

    /* One of which nothing is wanted has to go: its end would be told of
     * over and over. */
    if (wanted != end->asked &&
        epoll_ctl(serve->acceptor.epoll_fd, what, end->fd, &event) != 0) {
        end->tunnel->is_dead = true;
    }
    end->asked = wanted;
}

static bool
may_read_far(const struct tk_serve_tunnel *tunnel)
{
    return !tunnel->far.is_over &&
           (is_empty(&tunnel->near) || !tunnel->has_begun);
}

static bool
may_read_near(const struct tk_serve_tunnel *tunnel)
{
    return !tunnel->near.is_over && is_empty(&tunnel->far);
}

/* The accepting thread looks at the first bytes of a connection: it gets them
 * together. */
static void
flush_near(struct tk_serve_tunnel *tunnel)
{
    if (tunnel->near.is_over) {
        tk_buf_clear(&tunnel->near.out);
        tunnel->near.sent = 0;
        return;
    }
    if (tunnel->near.out.len >= PREFACE || tunnel->far.is_over) {
        tunnel->has_begun = true;
    }
    if (tunnel->has_begun) {
        flush(&tunnel->near);
    }
}

/* Passes the end of `from` on to `to`, once everything before it is there. */
static void
pass_end(const struct end *from, struct end *to)
{
    if (from->is_over && is_empty(to) && !to->is_shut) {
        shutdown(to->fd, SHUT_WR);
        to->is_shut = true;
    }
}

static void
rest(struct tk_serve *serve, struct tk_serve_tunnel *tunnel)
{
    struct end *near = &tunnel->near;
    struct end *far = &tunnel->far;

    pass_end(far, near);
    pass_end(near, far);
    if (near->is_shut && far->is_shut) {
        tunnel->is_dead = true;
    }
    if (tunnel->is_dead) {
        ask(serve, near, 0);
        ask(serve, far, 0);
        return;
    }
    if (tunnel->deadline == 0 && (near->is_over || far->is_over)) {
        tunnel->deadline = tk_after(tk_now(serve->rt), ENDING_NS);
    }
    ask(serve, far,
        (may_read_far(tunnel) ? EPOLLIN : 0U) |
            (is_empty(far) ? 0U : EPOLLOUT));
    ask(serve, near,
        (may_read_near(tunnel) ? EPOLLIN : 0U) |
            (is_empty(near) || !tunnel->has_begun ? 0U : EPOLLOUT));
}

void
tk_serve_tunnel_step(struct tk_serve *serve, enum tk_serve_watch *watch)
{
    struct end *end = (struct end *)(void *)watch;
    struct tk_serve_tunnel *tunnel = end->tunnel;

    if (tunnel->is_dead) {
        return;
    }
    flush(&tunnel->far);
    flush_near(tunnel);
    if (end == &tunnel->far && may_read_far(tunnel)) {
        read_far(tunnel);
    } else if (end == &tunnel->near && may_read_near(tunnel)) {
        read_near(tunnel);
    }
    flush(&tunnel->far);
    flush_near(tunnel);
    rest(serve, tunnel);
}

/* ---- beginning and end ---- */

static void
end_init(struct end *end, struct tk_serve_tunnel *tunnel, int fd)
{
    end->watch = TK_WATCH_TUNNEL;
    end->fd = fd;
    end->tunnel = tunnel;
    tk_buf_init(&end->out, SIZE_MAX / 4);
}

static bool
start_tls(struct tk_serve *serve, struct tk_serve_tunnel *tunnel)
{
    tunnel->ssl = SSL_new(serve->acceptor.tls);
    tunnel->in = BIO_new(BIO_s_mem());
    tunnel->out = BIO_new(BIO_s_mem());
    if (tunnel->ssl == NULL || tunnel->in == NULL || tunnel->out == NULL) {
        BIO_free(tunnel->in);
        BIO_free(tunnel->out);
        ERR_clear_error();
        return false;
    }
    SSL_set_bio(tunnel->ssl, tunnel->in, tunnel->out);
    SSL_set_accept_state(tunnel->ssl);
    return true;
}

int
tk_serve_tunnel_dig(struct tk_serve *serve, int fd)
{
    struct tk_serve_tunnel *tunnel = tk_calloc(sizeof(*tunnel));
    const int on = 1;
    int pair[2];

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (tunnel == NULL ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   pair) != 0) {
        tk_free(tunnel);
        close(fd);
        return -1;
    }
    end_init(&tunnel->near, tunnel, pair[0]);
    end_init(&tunnel->far, tunnel, fd);
    tunnel->next = serve->acceptor.tunnels;
    if (tunnel->next != NULL) {
        tunnel->next->prev = tunnel;
    }
    serve->acceptor.tunnels = tunnel;
    tunnel->is_dead = !start_tls(serve, tunnel);
    rest(serve, tunnel);
    return pair[1];
}

bool
tk_serve_tunnel_sweep(struct tk_serve *serve, bool all)
{
    int64_t now = tk_now(serve->rt);
    struct tk_serve_tunnel *tunnel = serve->acceptor.tunnels;
    bool some_end = false;

    while (tunnel != NULL) {
        struct tk_serve_tunnel *next = tunnel->next;

        if (all || tunnel->is_dead ||
            (tunnel->deadline != 0 && tunnel->deadline <= now)) {
            tunnel_free(serve, tunnel);
        } else {
            some_end = some_end || tunnel->deadline != 0;
        }
        tunnel = next;
    }
    return some_end;
}
