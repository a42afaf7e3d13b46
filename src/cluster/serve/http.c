/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on the ports of the nodes, as much as a look at a page takes: one
 * request per connection, its head in 8 KiB, the answer with its length and
 * the end. The accepting thread alone; sockets do not block.
 *
 *     head --whole--> answer --sent--> done
 *       \---too long, no request, end of their side---> bad
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "cluster/serve/inside.h"

#define HEAD_BYTES 8192
#define TARGET_BYTES 1024
#define METHOD_BYTES 16

struct tk_serve_page {
    char head[HEAD_BYTES + 1]; /* terminated */
    size_t len;
    struct tk_buf answer;
    size_t sent;
    bool is_answered;
};

struct tk_serve_page *
tk_serve_page_new(void)
{
    struct tk_serve_page *page = tk_calloc(sizeof(*page));

    if (page != NULL) {
        tk_buf_init(&page->answer, SIZE_MAX / 4);
    }
    return page;
}

void
tk_serve_page_free(struct tk_serve_page *page)
{
    if (page != NULL) {
        tk_buf_fini(&page->answer);
        tk_free(page);
    }
}

static const char *
reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    default:
        return "Bad Request";
    }
}

/* Up to the next space, into a buffer; NULL when it does not fit. */
static const char *
take_word(const char *from, char *out, size_t size)
{
    size_t len = strcspn(from, " \r\n");

    if (len == 0 || len >= size || from[len] != ' ') {
        return NULL;
    }
    memcpy(out, from, len);
    out[len] = '\0';
    return from + len + 1;
}

static void
make_answer(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    struct tk_serve_page *page = guest->page;
    char method[METHOD_BYTES];
    char target[TARGET_BYTES];
    const char *rest = take_word(page->head, method, sizeof(method));
    struct tk_buf body;
    int status = 400;

    tk_buf_init(&body, SIZE_MAX / 4);
    if (rest != NULL) {
        rest = take_word(rest, target, sizeof(target));
    }
    if (rest != NULL && strncmp(rest, "HTTP/1.", 7) == 0) {
        status = tk_cluster_http(serve->core, guest->server->node, method,
                                 target, &body);
    }
    tk_buf_printf(&page->answer,
                  "HTTP/1.1 %d %s\r\n"
                  "Content-Type: application/json\r\n"
                  "Content-Length: %zu\r\n"
                  "Connection: close\r\n"
                  "\r\n",
                  status, reason(status), body.len);
    if (rest == NULL || strcmp(method, "HEAD") != 0) {
        tk_buf_append_slice(&page->answer, tk_buf_slice(&body));
    }
    page->answer.failed = page->answer.failed || body.failed;
    tk_buf_fini(&body);
}

static enum tk_serve_progress
read_head(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    struct tk_serve_page *page = guest->page;
    ssize_t len = recv(guest->fd, page->head + page->len,
                       HEAD_BYTES - page->len, 0);

    if (len < 0 && errno == EAGAIN) {
        return TK_SERVE_READS;
    }
    if (len <= 0) {
        return TK_SERVE_FAILED;
    }
    page->len += (size_t)len;
    page->head[page->len] = '\0';
    if (strstr(page->head, "\r\n\r\n") == NULL) {
        return page->len < HEAD_BYTES ? TK_SERVE_READS : TK_SERVE_FAILED;
    }
    make_answer(serve, guest);
    page->is_answered = true;
    return page->answer.failed ? TK_SERVE_FAILED : TK_SERVE_WRITES;
}

static enum tk_serve_progress
send_answer(struct tk_serve_guest *guest)
{
    struct tk_serve_page *page = guest->page;

    while (page->sent < page->answer.len) {
        ssize_t len =
            send(guest->fd, page->answer.data + page->sent,
                 page->answer.len - page->sent, MSG_NOSIGNAL);

        if (len < 0) {
            return errno == EAGAIN ? TK_SERVE_WRITES : TK_SERVE_FAILED;
        }
        page->sent += (size_t)len;
    }
    return TK_SERVE_DONE;
}

enum tk_serve_progress
tk_serve_page_step(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    if (!guest->page->is_answered) {
        enum tk_serve_progress progress = read_head(serve, guest);

        if (progress != TK_SERVE_WRITES) {
            return progress;
        }
    }
    return send_answer(guest);
}
