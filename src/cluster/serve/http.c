/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 on the ports of the nodes, as much as a look at a page takes: one
 * request per connection, its head in 8 KiB and a body in 64, the answer with
 * its length and the end. The accepting thread alone; sockets do not block.
 *
 *     head --whole--> body --whole--> answer --sent--> done
 *       \---------------\--too long, no request, end of their side---> bad
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "cluster/serve/inside.h"

#define HEAD_BYTES 8192
#define BODY_BYTES (64 * 1024)
#define TARGET_BYTES 1024
#define METHOD_BYTES 16

struct tk_serve_page {
    struct tk_buf request;
    size_t head_len; /* with the empty line; 0: not all of it is there */
    size_t body_len; /* as announced */
    struct tk_buf answer;
    size_t sent;
    bool is_answered;
};

struct tk_serve_page *
tk_serve_page_new(void)
{
    struct tk_serve_page *page = tk_calloc(sizeof(*page));

    if (page != NULL) {
        tk_buf_init(&page->request, HEAD_BYTES + BODY_BYTES);
        tk_buf_init(&page->answer, SIZE_MAX / 4);
    }
    return page;
}

void
tk_serve_page_free(struct tk_serve_page *page)
{
    if (page != NULL) {
        tk_buf_fini(&page->request);
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
    case 500:
        return "Internal Server Error";
    default:
        return "Bad Request";
    }
}

/* What a header says, or NULL; names are compared without case. */
static const char *
find_header(const char *head, const char *name)
{
    const char *line = strstr(head, "\r\n");
    size_t len = strlen(name);

    for (; line != NULL; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, len) == 0 && line[len] == ':') {
            return line + len + 1;
        }
    }
    return NULL;
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

/* Commands to the cluster have a page of their own at PD, others are the
 * core's. */
static int
show_page(struct tk_serve *serve, struct tk_serve_guest *guest,
          const char *method, const char *target, tikv_slice sent,
          struct tk_buf *out)
{
    tk_serve_control *control = atomic_load(&serve->control);

    if (control != NULL && (guest->server->node & TK_NODE_STORE) == 0 &&
        strcmp(target, "/playground") == 0) {
        return strcmp(method, "POST") == 0
                   ? control(serve->control_arg, sent, out)
                   : 405;
    }
    return tk_cluster_http(serve->core, guest->server->node, method, target,
                           sent, out);
}

static void
make_answer(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    struct tk_serve_page *page = guest->page;
    tikv_slice sent = { page->request.data + page->head_len, page->body_len };
    char method[METHOD_BYTES];
    char target[TARGET_BYTES];
    const char *rest = take_word((const char *)page->request.data, method,
                                 sizeof(method));
    struct tk_buf body;
    int status = 400;

    tk_buf_init(&body, SIZE_MAX / 4);
    if (rest != NULL) {
        rest = take_word(rest, target, sizeof(target));
    }
    if (rest != NULL && strncmp(rest, "HTTP/1.", 7) == 0) {
        status = show_page(serve, guest, method, target, sent, &body);
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

/* Looks whether the head is whole. Its last bytes then become terminators: it
 * is text from there on. False: it never will be. */
static bool
find_head(struct tk_serve_page *page)
{
    struct tk_buf *request = &page->request;
    uint8_t *end = memmem(request->data, request->len, "\r\n\r\n", 4);
    const char *length;

    if (end == NULL) {
        return request->len < HEAD_BYTES;
    }
    end[3] = '\0';
    page->head_len = (size_t)(end - request->data) + 4;
    length = find_header((const char *)request->data, "content-length");
    page->body_len = length == NULL ? 0 : strtoul(length, NULL, 10);
    return page->head_len <= HEAD_BYTES && page->body_len <= BODY_BYTES;
}

static enum tk_serve_progress
read_request(struct tk_serve *serve, struct tk_serve_guest *guest)
{
    struct tk_serve_page *page = guest->page;
    uint8_t bytes[4096];
    ssize_t len = recv(guest->fd, bytes, sizeof(bytes), 0);

    if (len < 0 && errno == EAGAIN) {
        return TK_SERVE_READS;
    }
    if (len <= 0) {
        return TK_SERVE_FAILED;
    }
    tk_buf_append(&page->request, bytes, (size_t)len);
    if (page->request.failed ||
        (page->head_len == 0 && !find_head(page))) {
        return TK_SERVE_FAILED;
    }
    if (page->head_len == 0 ||
        page->request.len - page->head_len < page->body_len) {
        return TK_SERVE_READS;
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
        enum tk_serve_progress progress = read_request(serve, guest);

        if (progress != TK_SERVE_WRITES) {
            return progress;
        }
    }
    return send_answer(guest);
}
