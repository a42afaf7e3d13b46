/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table: links, streams, calls, the end. See memory_inside.h.
 */
#include "sim/memory_transport.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "sim/memory_inside.h"

/* A unary call without a deadline ends after so long when it was lost. */
#define LIMIT_NS (60000 * TK_MS)

static struct tk_memory *
of(struct tk_transport *transport)
{
    return (struct tk_memory *)(void *)transport;
}

/* ---- links ---- */

static tikv_error *
connect_link(struct tk_transport *transport, const char *address,
             uint32_t ordinal, struct tk_link **out)
{
    struct tk_memory *memory = of(transport);
    struct tk_link *link = (struct tk_link *)tk_calloc(sizeof(*link));

    *out = NULL;
    if (link == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if ((size_t)snprintf(link->address, sizeof(link->address), "%s", address) >=
        sizeof(link->address)) {
        tk_free(link);
        return tk_error(TIKV_ERR_ARGUMENT, "an address is too long");
    }
    link->client = (uint64_t)ordinal + 1;
    tk_mutex_lock(&memory->lock);
    link->next = memory->links;
    memory->links = link;
    tk_mutex_unlock(&memory->lock);
    *out = link;
    return NULL;
}

static void
disconnect_link(struct tk_transport *transport, struct tk_link *link)
{
    struct tk_memory *memory = of(transport);
    struct tk_link **at = &memory->links;
    struct tk_line *line;

    tk_mutex_lock(&memory->lock);
    for (line = memory->live; line != NULL; line = line->next) {
        if (line->link == link) {
            line->link = NULL;
            tk_line_conclude(line, TK_GRPC_UNAVAILABLE, false,
                             "the link was let go", NULL,
                             (tikv_slice){ NULL, 0 }, tk_now(memory->rt));
        }
    }
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    tk_mutex_unlock(&memory->lock);
    tk_free(link);
}

/* ---- streams and calls ---- */

/* With the lock. */
static void
begin_stream(struct tk_line *line, struct tk_stream *stream)
{
    struct tk_memory_message *message;

    line->stream = stream;
    stream->inside = line;
    message = tk_memory_message(line, TK_MEMORY_BEGIN, 0, NULL);
    if (message != NULL) {
        tk_memory_schedule_after(message, &line->out_at);
    } else {
        tk_line_conclude_soon(line, TK_GRPC_RESOURCE_EXHAUSTED, true,
                              "no memory");
    }
}

static bool
open_stream(struct tk_transport *transport, struct tk_link *link,
            const char *path, const char *const *metadata,
            struct tk_stream *stream)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line = tk_line_begin(memory, link, path, metadata, stream);

    if (line == NULL) {
        return false;
    }
    begin_stream(line, stream);
    tk_mutex_unlock(&memory->lock);
    return true;
}

/* With the lock. Whether a request goes out, is lost or finds no memory. */
static void
put_request(struct tk_line *line, tikv_slice bytes)
{
    struct tk_memory *memory = line->memory;
    struct tk_memory_message *message;
    uint8_t *data;

    memory->sent++;
    if (tk_memory_is_dead(memory) ||
        tk_memory_chance(memory, memory->policy.lose_request)) {
        return;
    }
    message = tk_memory_message(line, TK_MEMORY_REQUEST, bytes.len, &data);
    if (message == NULL) {
        tk_line_conclude_soon(line, TK_GRPC_RESOURCE_EXHAUSTED, true,
                              "no memory");
        return;
    }
    if (bytes.len != 0) {
        memcpy(data, bytes.data, bytes.len);
    }
    tk_memory_schedule_after(message, &line->out_at);
}

static bool
send_message(struct tk_transport *transport, struct tk_stream *stream,
             tikv_slice bytes)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line = (struct tk_line *)stream->inside;
    struct tk_memory_message *sent;

    tk_mutex_lock(&memory->lock);
    if (memory->closed || line->owner != stream || line->is_concluded) {
        tk_mutex_unlock(&memory->lock);
        return false;
    }
    if (tk_memory_chance(memory, memory->policy.break_stream)) {
        tk_line_conclude_soon(line, TK_GRPC_UNAVAILABLE, false,
                              "connection reset");
    }
    put_request(line, bytes);
    sent = tk_memory_message(line, TK_MEMORY_SENT, 0, NULL);
    if (sent != NULL) {
        tk_memory_schedule(sent, tk_after(tk_now(memory->rt),
                                          memory->policy.delay_min_ns / 4));
    } else {
        tk_line_conclude_soon(line, TK_GRPC_RESOURCE_EXHAUSTED, false,
                              "no memory");
    }
    tk_mutex_unlock(&memory->lock);
    return true;
}

static bool
open_feed(struct tk_transport *transport, struct tk_link *link,
          const char *path, const char *const *metadata, tikv_slice bytes,
          struct tk_stream *stream)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line = tk_line_begin(memory, link, path, metadata, stream);

    if (line == NULL) {
        return false;
    }
    line->is_fed = true;
    begin_stream(line, stream);
    put_request(line, bytes);
    tk_mutex_unlock(&memory->lock);
    return true;
}

static void
next_message(struct tk_transport *transport, struct tk_stream *stream)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line = (struct tk_line *)stream->inside;

    tk_mutex_lock(&memory->lock);
    if (line->owner == stream && !line->is_concluded) {
        tk_line_next(line);
    }
    tk_mutex_unlock(&memory->lock);
}

static void
cancel(struct tk_memory *memory, struct tk_line *line, const void *owner)
{
    tk_mutex_lock(&memory->lock);
    if (line->owner == owner) {
        tk_line_conclude_soon(line, TK_GRPC_CANCELLED, false,
                              "ended by the client");
    }
    tk_mutex_unlock(&memory->lock);
}

static void
cancel_stream(struct tk_transport *transport, struct tk_stream *stream)
{
    cancel(of(transport), (struct tk_line *)stream->inside, stream);
}

static bool
call_unary(struct tk_transport *transport, struct tk_link *link,
           const char *path, const char *const *metadata, tikv_slice bytes,
           int64_t deadline, struct tk_unary *unary)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line = tk_line_begin(memory, link, path, metadata, unary);

    if (line == NULL) {
        return false;
    }
    line->unary = unary;
    unary->inside = line;
    if (deadline == TK_NEVER) {
        deadline = tk_after(tk_now(memory->rt), LIMIT_NS);
    }
    tk_memory_schedule(&line->limit, deadline);
    put_request(line, bytes);
    tk_mutex_unlock(&memory->lock);
    return true;
}

static void
cancel_call(struct tk_transport *transport, struct tk_unary *unary)
{
    cancel(of(transport), (struct tk_line *)unary->inside, unary);
}

/* ---- life ---- */

static void
set_idle(struct tk_transport *transport, void (*fn)(void *, struct tk_wakes *),
         void *arg)
{
    of(transport)->idle_arg = arg;
    of(transport)->idle = fn;
}

static void
close_transport(struct tk_transport *transport)
{
    struct tk_memory *memory = of(transport);
    bool was_closed;

    tk_mutex_lock(&memory->lock);
    was_closed = memory->closed;
    memory->closed = true;
    if (!was_closed) {
        tk_memory_cut_short(memory);
    }
    tk_mutex_unlock(&memory->lock);
    if (!was_closed) {
        tk_memory_wait(memory, false);
    }
}

static void
free_transport(struct tk_transport *transport)
{
    struct tk_memory *memory = of(transport);
    struct tk_line *line;

    close_transport(transport);
    tk_memory_wait(memory, true);
    while ((line = memory->all) != NULL) {
        memory->all = line->next_of_all;
        tk_buf_fini(&line->metadata);
        tk_free(line);
    }
    while (memory->links != NULL) {
        disconnect_link(transport, memory->links);
    }
    tk_mutex_fini(&memory->lock);
    tk_free(memory);
}

static const struct tk_transport_ops ops = {
    .connect = connect_link,
    .disconnect = disconnect_link,
    .call = call_unary,
    .call_cancel = cancel_call,
    .open = open_stream,
    .send = send_message,
    .cancel = cancel_stream,
    .feed = open_feed,
    .next = next_message,
    .is_delivering = tk_memory_is_delivering,
    .set_idle = set_idle,
    .close = close_transport,
    .free = free_transport,
};

tikv_error *
tk_memory_transport_new(struct tk_runtime *rt, struct tk_cluster *cluster,
                        struct tk_transport **out)
{
    struct tk_memory *memory = (struct tk_memory *)tk_calloc(sizeof(*memory));

    *out = NULL;
    if (memory == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    memory->base.ops = &ops;
    memory->rt = rt;
    memory->cluster = cluster;
    memory->lives = UINT64_MAX;
    memory->policy.delay_min_ns = 20000;
    memory->policy.delay_max_ns = 200000;
    tk_mutex_init(&memory->lock, TK_RANK_WIRE);
    *out = &memory->base;
    return NULL;
}

void
tk_memory_transport_set(struct tk_transport *transport,
                        const struct tk_memory_policy *policy)
{
    struct tk_memory *memory = of(transport);

    tk_mutex_lock(&memory->lock);
    memory->policy = *policy;
    tk_mutex_unlock(&memory->lock);
}

void
tk_memory_transport_kill(struct tk_transport *transport, uint64_t more,
                         bool is_deaf)
{
    struct tk_memory *memory = of(transport);

    tk_mutex_lock(&memory->lock);
    memory->lives = memory->sent + more;
    memory->is_deaf = is_deaf;
    tk_mutex_unlock(&memory->lock);
}

uint64_t
tk_memory_transport_sent(struct tk_transport *transport)
{
    struct tk_memory *memory = of(transport);
    uint64_t sent;

    tk_mutex_lock(&memory->lock);
    sent = memory->sent;
    tk_mutex_unlock(&memory->lock);
    return sent;
}
