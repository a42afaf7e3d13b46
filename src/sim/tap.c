/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every stream and call of the rpc gets one of ours, which is what the inner
 * transport sees. Ours live until the transport is freed, so that a late
 * cancel finds them. One thread.
 */
#include "sim/tap.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "wire/batch.h"
#include "wire/proto.h"

#define CONTEXT_SOURCE 24
#define FIELD_KEYS 2 /* of every write; pairs in a batch put */
#define PAIR_KEY 2

/* A write request on the wire. */
struct mark {
    uint64_t id;
    enum tk_command command;
    uint32_t first; /* send; one per key */
    uint32_t count;
};

struct pipe {
    struct tk_stream stream; /* the inner transport's; first */
    struct tk_unary unary;
    struct tk_stream *owner_stream;
    struct tk_unary *owner_unary;
    struct tap *tap;
    struct pipe *next;
    bool is_batch;
    struct mark *marks;
    size_t marks_count;
    size_t marks_room;
};

struct tap {
    struct tk_transport base;
    struct tk_transport *inner;
    struct tk_runtime *rt;
    struct tk_history *history;
    tk_tap_key_fn *key_of;
    int64_t late_ns;
    struct pipe *pipes;
};

static struct tap *
of(struct tk_transport *transport)
{
    return (struct tap *)(void *)transport;
}

/* ---- reading ---- */

static bool
is_write(enum tk_command command)
{
    return command == TK_CMD_RAW_PUT || command == TK_CMD_RAW_DELETE ||
           command == TK_CMD_RAW_BATCH_PUT ||
           command == TK_CMD_RAW_BATCH_DELETE ||
           command == TK_CMD_RAW_COMPARE_AND_SWAP;
}

static bool
find_bytes(tikv_slice message, uint32_t number, tikv_slice *out)
{
    struct tk_cursor cursor = tk_cursor(message);
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == number && field.type == TK_WIRE_BYTES) {
            *out = field.bytes;
            return true;
        }
    }
    return false;
}

/* The group that the request source names. The context's parts concatenate
 * inside of one field, so the first one is all of it. */
static uint32_t
group_of(tikv_slice request)
{
    const size_t prefix = sizeof(TK_SIM_SOURCE) - 1;
    tikv_slice context;
    tikv_slice source;
    uint32_t group = 0;
    size_t i;

    if (!find_bytes(request, 1, &context) ||
        !find_bytes(context, CONTEXT_SOURCE, &source) || source.len <= prefix ||
        memcmp(source.data, TK_SIM_SOURCE, prefix) != 0) {
        return TK_SIM_NONE;
    }
    for (i = prefix; i < source.len; i++) {
        group = group * 10 + (uint32_t)(source.data[i] - '0');
    }
    return group;
}

static void
record(struct pipe *pipe, uint64_t id, enum tk_command command,
       tikv_slice request)
{
    struct tap *tap = pipe->tap;
    struct mark mark = { id, command, TK_SIM_NONE, 0 };
    struct tk_cursor cursor = tk_cursor(request);
    int64_t now = tk_now(tap->rt);
    uint32_t group = group_of(request);
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        tikv_slice key = field.bytes;
        uint32_t send;

        if (field.number != FIELD_KEYS || field.type != TK_WIRE_BYTES ||
            (command == TK_CMD_RAW_BATCH_PUT &&
             !find_bytes(field.bytes, PAIR_KEY, &key))) {
            continue;
        }
        send = tk_history_send(tap->history, group, tap->key_of(key), now,
                               now + tap->late_ns);
        if (send != TK_SIM_NONE) {
            mark.first = mark.count == 0 ? send : mark.first;
            mark.count++;
        }
    }
    if (pipe->marks_count == pipe->marks_room) {
        size_t room = pipe->marks_room == 0 ? 16 : pipe->marks_room * 2;
        struct mark *grown =
            (struct mark *)tk_realloc(pipe->marks, room * sizeof(*grown));

        if (grown == NULL) {
            tap->history->failed = true;
            return;
        }
        pipe->marks = grown;
        pipe->marks_room = room;
    }
    pipe->marks[pipe->marks_count++] = mark;
}

static void
judge(struct pipe *pipe, size_t at, enum tk_sim_verdict verdict)
{
    const struct mark *mark = &pipe->marks[at];
    uint32_t i;

    for (i = 0; i < mark->count; i++) {
        tk_history_judge(pipe->tap->history, mark->first + i,
                         tk_now(pipe->tap->rt), verdict);
    }
    pipe->marks[at] = pipe->marks[--pipe->marks_count];
}

static void
judge_answer(struct pipe *pipe, uint64_t id, tikv_slice response)
{
    struct tk_peek peek;
    size_t i;

    for (i = 0; i < pipe->marks_count; i++) {
        if (pipe->marks[i].id == id) {
            tk_peek(pipe->marks[i].command, response, &peek);
            if (peek.is_valid) {
                judge(pipe, i,
                      tk_peek_is_clean(&peek) ? TK_SIM_APPLIED
                                              : TK_SIM_REFUSED);
            }
            return;
        }
    }
}

/* What was on the wire of a pipe that is over. */
static void
judge_rest(struct pipe *pipe, const struct tk_status *status)
{
    while (status->never_sent && pipe->marks_count != 0) {
        judge(pipe, pipe->marks_count - 1, TK_SIM_REFUSED);
    }
    pipe->marks_count = 0;
}

/* ---- events of the inner transport ---- */

static void
received(struct tk_stream *stream, tikv_slice data, struct tk_frame *frame,
         struct tk_wakes *wakes)
{
    struct pipe *pipe = (struct pipe *)(void *)stream;
    struct tk_split split;
    enum tk_command command;
    tikv_slice response;
    uint64_t id;

    if (pipe->is_batch && tk_split_init(&split, data)) {
        while (tk_split_next(&split, &id, &command, &response)) {
            judge_answer(pipe, id, response);
        }
    }
    pipe->owner_stream->received(pipe->owner_stream, data, frame, wakes);
}

static void
sent(struct tk_stream *stream, struct tk_wakes *wakes)
{
    struct pipe *pipe = (struct pipe *)(void *)stream;

    pipe->owner_stream->sent(pipe->owner_stream, wakes);
}

static void
closed(struct tk_stream *stream, const struct tk_status *status,
       struct tk_wakes *wakes)
{
    struct pipe *pipe = (struct pipe *)(void *)stream;
    struct tk_stream *owner = pipe->owner_stream;

    judge_rest(pipe, status);
    pipe->owner_stream = NULL;
    owner->closed(owner, status, wakes);
}

static void
done(struct tk_unary *unary, const struct tk_status *status, tikv_slice data,
     struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct pipe *pipe =
        (struct pipe *)(void *)((char *)unary - offsetof(struct pipe, unary));
    struct tk_unary *owner = pipe->owner_unary;

    if (status->grpc == 0) {
        judge_answer(pipe, 0, data);
    }
    judge_rest(pipe, status);
    pipe->owner_unary = NULL;
    owner->done(owner, status, data, frame, wakes);
}

/* ---- the table ---- */

static struct pipe *
pipe_new(struct tap *tap)
{
    struct pipe *pipe = (struct pipe *)tk_calloc(sizeof(*pipe));

    if (pipe != NULL) {
        pipe->tap = tap;
        pipe->next = tap->pipes;
        tap->pipes = pipe;
    }
    return pipe;
}

static tikv_error *
connect_link(struct tk_transport *transport, const char *address,
             uint32_t ordinal, struct tk_link **out)
{
    struct tk_transport *inner = of(transport)->inner;

    return inner->ops->connect(inner, address, ordinal, out);
}

static void
disconnect_link(struct tk_transport *transport, struct tk_link *link)
{
    struct tk_transport *inner = of(transport)->inner;

    inner->ops->disconnect(inner, link);
}

static bool
call_unary(struct tk_transport *transport, struct tk_link *link,
           const char *path, const char *const *metadata, tikv_slice bytes,
           int64_t deadline, struct tk_unary *unary)
{
    struct tap *tap = of(transport);
    struct pipe *pipe = pipe_new(tap);
    enum tk_command command = tk_command_by_path(path);

    if (pipe == NULL) {
        return false;
    }
    pipe->owner_unary = unary;
    pipe->unary.done = done;
    unary->inside = pipe;
    if (!tap->inner->ops->call(tap->inner, link, path, metadata, bytes,
                               deadline, &pipe->unary)) {
        pipe->owner_unary = NULL;
        return false;
    }
    if (is_write(command)) {
        record(pipe, 0, command, bytes);
    }
    return true;
}

static void
cancel_call(struct tk_transport *transport, struct tk_unary *unary)
{
    struct tk_transport *inner = of(transport)->inner;
    struct pipe *pipe = (struct pipe *)unary->inside;

    if (pipe->owner_unary == unary) {
        inner->ops->call_cancel(inner, &pipe->unary);
    }
}

static bool
open_stream(struct tk_transport *transport, struct tk_link *link,
            const char *path, const char *const *metadata,
            struct tk_stream *stream)
{
    struct tap *tap = of(transport);
    struct pipe *pipe = pipe_new(tap);

    if (pipe == NULL) {
        return false;
    }
    pipe->owner_stream = stream;
    pipe->stream.received = received;
    pipe->stream.sent = sent;
    pipe->stream.closed = closed;
    pipe->is_batch = tk_command_by_path(path) == TK_CMD_BATCH_COMMANDS;
    stream->inside = pipe;
    if (!tap->inner->ops->open(tap->inner, link, path, metadata,
                               &pipe->stream)) {
        pipe->owner_stream = NULL;
        return false;
    }
    return true;
}

static bool
send_message(struct tk_transport *transport, struct tk_stream *stream,
             tikv_slice bytes)
{
    struct tk_transport *inner = of(transport)->inner;
    struct pipe *pipe = (struct pipe *)stream->inside;
    struct tk_split split;
    enum tk_command command;
    tikv_slice request;
    uint64_t id;

    if (pipe->owner_stream != stream ||
        !inner->ops->send(inner, &pipe->stream, bytes)) {
        return false;
    }
    /* Requests and responses are framed alike, slots included. */
    if (pipe->is_batch && tk_split_init(&split, bytes)) {
        while (tk_split_next(&split, &id, &command, &request)) {
            if (is_write(command)) {
                record(pipe, id, command, request);
            }
        }
    }
    return true;
}

static void
cancel_stream(struct tk_transport *transport, struct tk_stream *stream)
{
    struct tk_transport *inner = of(transport)->inner;
    struct pipe *pipe = (struct pipe *)stream->inside;

    if (pipe->owner_stream == stream) {
        inner->ops->cancel(inner, &pipe->stream);
    }
}

static bool
is_delivering(struct tk_transport *transport)
{
    struct tk_transport *inner = of(transport)->inner;

    return inner->ops->is_delivering(inner);
}

static void
set_idle(struct tk_transport *transport, void (*fn)(void *, struct tk_wakes *),
         void *arg)
{
    struct tk_transport *inner = of(transport)->inner;

    inner->ops->set_idle(inner, fn, arg);
}

static void
close_tap(struct tk_transport *transport)
{
    struct tk_transport *inner = of(transport)->inner;

    inner->ops->close(inner);
}

static void
free_tap(struct tk_transport *transport)
{
    struct tap *tap = of(transport);
    struct pipe *pipe;

    tap->inner->ops->free(tap->inner);
    while ((pipe = tap->pipes) != NULL) {
        tap->pipes = pipe->next;
        tk_free(pipe->marks);
        tk_free(pipe);
    }
    tk_free(tap);
}

static const struct tk_transport_ops ops = {
    .connect = connect_link,
    .disconnect = disconnect_link,
    .call = call_unary,
    .call_cancel = cancel_call,
    .open = open_stream,
    .send = send_message,
    .cancel = cancel_stream,
    .is_delivering = is_delivering,
    .set_idle = set_idle,
    .close = close_tap,
    .free = free_tap,
};

tikv_error *
tk_tap_new(struct tk_runtime *rt, struct tk_transport *inner,
           struct tk_history *history, tk_tap_key_fn *key_of, int64_t late_ns,
           struct tk_transport **out)
{
    struct tap *tap = (struct tap *)tk_calloc(sizeof(*tap));

    *out = NULL;
    if (tap == NULL) {
        inner->ops->close(inner);
        inner->ops->free(inner);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tap->base.ops = &ops;
    tap->inner = inner;
    tap->rt = rt;
    tap->history = history;
    tap->key_of = key_of;
    tap->late_ns = late_ns;
    *out = &tap->base;
    return NULL;
}
