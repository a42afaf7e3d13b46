/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines: streams and unary calls between an owner and the cluster core. See
 * memory_inside.h for their life, threads and lock.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "sim/memory_inside.h"

static const tikv_slice nothing;

/* ---- life ---- */

void
tk_line_ref(struct tk_line *line)
{
    line->refs++;
}

void
tk_line_unref(struct tk_line *line)
{
    struct tk_memory *memory = line->memory;

    if (--line->refs == 0) {
        line->next = memory->free;
        memory->free = line;
        memory->counted--;
    }
}

static void
embed(struct tk_line *line, struct tk_memory_message *message,
      enum tk_memory_kind kind)
{
    memset(message, 0, sizeof(*message));
    message->line = line;
    message->kind = kind;
    message->is_embedded = true;
}

/* Copies: the owner's may be gone when the message arrives. */
static bool
keep_metadata(struct tk_line *line, const char *const *metadata)
{
    size_t offsets[2 * TK_MEMORY_METADATA_MAX];
    size_t count = 0;
    size_t i;

    tk_buf_clear(&line->metadata);
    while (metadata != NULL && metadata[count] != NULL &&
           count < 2 * TK_MEMORY_METADATA_MAX) {
        offsets[count] = line->metadata.len;
        tk_buf_append(&line->metadata, metadata[count],
                      strlen(metadata[count]) + 1);
        count++;
    }
    if (line->metadata.failed) {
        return false;
    }
    for (i = 0; i < count; i++) {
        line->pairs[i] = (const char *)line->metadata.data + offsets[i];
    }
    line->pairs[count] = NULL;
    return true;
}

static struct tk_line *
pick(struct tk_memory *memory)
{
    struct tk_line *line = memory->free;

    if (line != NULL) {
        memory->free = line->next;
        return line;
    }
    line = (struct tk_line *)tk_calloc(sizeof(*line));
    if (line == NULL) {
        return NULL;
    }
    line->memory = memory;
    tk_buf_init(&line->metadata, 65536);
    line->next_of_all = memory->all;
    memory->all = line;
    return line;
}

/* Takes the lock and, unless it fails, leaves it taken. */
struct tk_line *
tk_line_begin(struct tk_memory *memory, struct tk_link *link, const char *path,
              const char *const *metadata, const void *owner)
{
    struct tk_line *line;

    tk_mutex_lock(&memory->lock);
    line = memory->closed ? NULL : pick(memory);
    if (line == NULL || !keep_metadata(line, metadata)) {
        if (line != NULL) {
            line->next = memory->free;
            memory->free = line;
        }
        tk_mutex_unlock(&memory->lock);
        return NULL;
    }
    line->refs = 1;
    memory->counted++;
    line->owner = owner;
    line->stream = NULL;
    line->unary = NULL;
    line->link = link;
    line->is_concluded = false;
    line->out_at = 0;
    line->in_at = 0;
    line->server = NULL;
    line->is_fed = false;
    line->is_asked = true;
    line->has_end = false;
    line->kept = NULL;
    line->kept_end = &line->kept;
    embed(line, &line->last, TK_MEMORY_LAST);
    embed(line, &line->limit, TK_MEMORY_LIMIT);
    snprintf(line->path, sizeof(line->path), "%s", path);
    line->prev = NULL;
    line->next = memory->live;
    if (memory->live != NULL) {
        memory->live->prev = line;
    }
    memory->live = line;
    return line;
}

/* With the lock: no longer live; its owner hears nothing more. */
static void
leave(struct tk_line *line)
{
    if (line->prev != NULL) {
        line->prev->next = line->next;
    } else {
        line->memory->live = line->next;
    }
    if (line->next != NULL) {
        line->next->prev = line->prev;
    }
    line->owner = NULL;
    line->is_concluded = true;
    while (line->kept != NULL) {
        struct tk_memory_message *message = line->kept;

        line->kept = message->next;
        tk_frame_unref(message->frame, 1);
        tk_free(message);
    }
}

void
tk_line_conclude_soon(struct tk_line *line, int status, bool never_sent,
                      const char *text)
{
    tk_line_conclude(line, status, never_sent, text, NULL, nothing,
                     tk_memory_arrival(line->memory));
}

/* With the lock: the server has said its last, behind all that came. */
static void
conclude_behind(struct tk_line *line, int status, const char *text)
{
    int64_t when = tk_memory_arrival(line->memory);

    if (when <= line->in_at) {
        when = line->in_at + 1;
    }
    tk_line_conclude(line, status, false, text, NULL, nothing, when);
}

/* ---- streams down: what nobody asked for stays with the sender ---- */

static void
offer(struct tk_line *line, struct tk_memory_message *message)
{
    if (line->is_fed && !line->is_asked) {
        message->next = NULL;
        *line->kept_end = message;
        line->kept_end = &message->next;
    } else {
        line->is_asked = false;
        tk_memory_schedule_after(message, &line->in_at);
    }
}

void
tk_line_next(struct tk_line *line)
{
    struct tk_memory_message *message = line->kept;

    line->is_asked = message == NULL;
    if (message != NULL) {
        line->kept = message->next;
        if (line->kept == NULL) {
            line->kept_end = &line->kept;
        }
        tk_memory_schedule_after(message, &line->in_at);
    }
    if (line->kept == NULL && line->has_end) {
        conclude_behind(line, TK_GRPC_OK, "");
    }
}

/* ---- the cluster speaks ---- */

/* A copy of what a stream of the cluster said, on its way. */
static void
answer(void *arg, tikv_slice bytes)
{
    struct tk_line *line = (struct tk_line *)arg;
    struct tk_memory *memory = line->memory;
    struct tk_memory_message *message;
    uint8_t *data;

    tk_mutex_lock(&memory->lock);
    /* One message of an answer of several is not lost alone. */
    if (line->is_concluded || !tk_memory_hears(memory) ||
        (!line->is_fed &&
         tk_memory_chance(memory, memory->policy.lose_answer))) {
        tk_mutex_unlock(&memory->lock);
        return;
    }
    if (tk_memory_chance(memory, memory->policy.break_stream)) {
        tk_line_conclude_soon(line, TK_GRPC_UNAVAILABLE, false,
                              "connection reset");
        tk_mutex_unlock(&memory->lock);
        return;
    }
    message = tk_memory_message(line, TK_MEMORY_ANSWER, bytes.len, &data);
    if (message == NULL) {
        tk_line_conclude_soon(line, TK_GRPC_RESOURCE_EXHAUSTED, false,
                              "no memory");
        tk_mutex_unlock(&memory->lock);
        return;
    }
    if (bytes.len != 0) {
        memcpy(data, bytes.data, bytes.len);
    }
    offer(line, message);
    if (strstr(line->path, "BatchCommands") != NULL &&
        tk_memory_chance(memory, memory->policy.duplicate_answer)) {
        struct tk_memory_message *again =
            tk_memory_message(line, TK_MEMORY_ANSWER, 0, NULL);

        if (again != NULL) {
            tk_frame_ref(message->frame);
            again->frame = message->frame;
            again->data = message->data;
            tk_memory_schedule(again, tk_memory_arrival(memory));
        }
    }
    tk_mutex_unlock(&memory->lock);
}

static void
end(void *arg, int status, const char *text)
{
    struct tk_line *line = (struct tk_line *)arg;
    struct tk_memory *memory = line->memory;

    tk_mutex_lock(&memory->lock);
    if (status == TK_GRPC_OK && line->kept != NULL) {
        line->has_end = true;
    } else {
        conclude_behind(line, status, text);
    }
    tk_mutex_unlock(&memory->lock);
}

/* The cluster owes nothing more for this line. */
static void
settle(struct tk_line *line)
{
    struct tk_memory *memory = line->memory;
    struct tk_runtime *rt = memory->rt;
    struct tk_parker *closer;

    tk_line_unref(line);
    closer = memory->closer;
    if (closer != NULL && !tk_ring(closer)) {
        closer = NULL;
    }
    tk_mutex_unlock(&memory->lock);
    if (closer != NULL) {
        rt->ops->wake(rt, &closer, 1);
    }
}

static void
reply(struct tk_cluster_call *call, int status, const char *text,
      tikv_slice bytes)
{
    struct tk_line *line = (struct tk_line *)call->owner;
    struct tk_memory *memory = line->memory;
    struct tk_frame *frame = NULL;
    uint8_t *data = NULL;

    tk_mutex_lock(&memory->lock);
    if (line->is_concluded || !tk_memory_hears(memory) ||
        tk_memory_chance(memory, memory->policy.lose_answer)) {
        settle(line);
        return;
    }
    if (tk_memory_chance(memory, memory->policy.break_stream)) {
        status = TK_GRPC_UNAVAILABLE;
        text = "connection reset";
    }
    if (status == TK_GRPC_OK) {
        frame = tk_frame_new(bytes.len, &data);
        if (frame == NULL) {
            status = TK_GRPC_RESOURCE_EXHAUSTED;
            text = "no memory";
        } else if (bytes.len != 0) {
            memcpy(data, bytes.data, bytes.len);
        }
    }
    tk_line_conclude(line, status, false, text, frame,
                     frame != NULL ? (tikv_slice){ data, bytes.len } : nothing,
                     tk_memory_arrival(memory));
    settle(line);
}

static void
dropped(struct tk_cluster_call *call)
{
    struct tk_line *line = (struct tk_line *)call->owner;

    tk_mutex_lock(&line->memory->lock);
    settle(line);
}

static const struct tk_cluster_stream_events events = { answer, end };

/* ---- messages arrive ---- */

/* Where the line's link leads; false: nowhere, and the line ends for it. */
static bool
find_node(struct tk_line *line, tk_node *node)
{
    struct tk_memory *memory = line->memory;
    char address[sizeof(line->link->address)];
    bool is_linked;

    tk_mutex_lock(&memory->lock);
    is_linked = line->link != NULL && !line->is_concluded;
    if (is_linked) {
        memcpy(address, line->link->address, sizeof(address));
        line->call.client = line->link->client;
    }
    tk_mutex_unlock(&memory->lock);
    if (!is_linked) {
        return false;
    }
    if (!tk_cluster_resolve(memory->cluster, address, node)) {
        tk_mutex_lock(&memory->lock);
        tk_line_conclude_soon(line, TK_GRPC_UNAVAILABLE, true,
                              "connection refused");
        tk_mutex_unlock(&memory->lock);
        return false;
    }
    return true;
}

static void
begin_server(struct tk_line *line)
{
    struct tk_memory *memory = line->memory;
    tk_node node;

    if (!find_node(line, &node)) {
        return;
    }
    line->server = tk_cluster_stream_open(memory->cluster, node, line->path,
                                          line->pairs, &events, line);
    if (line->server == NULL) {
        tk_mutex_lock(&memory->lock);
        tk_line_conclude_soon(line, TK_GRPC_UNIMPLEMENTED, false,
                              "unknown method");
        tk_mutex_unlock(&memory->lock);
    } else {
        tk_cluster_stream_client(line->server, line->call.client);
    }
}

static void
ask_cluster(struct tk_line *line, tikv_slice bytes)
{
    tk_node node;

    if (!find_node(line, &node)) {
        return;
    }
    tk_mutex_lock(&line->memory->lock);
    tk_line_ref(line);
    tk_mutex_unlock(&line->memory->lock);
    line->call.reply = reply;
    line->call.dropped = dropped;
    line->call.owner = line;
    if (strcmp(line->path, "/grpc.health.v1.Health/Check") == 0) {
        /* Field 1 is SERVING: the servers answer it, not the core. */
        reply(&line->call, TK_GRPC_OK, "", tk_slice_text("\x08\x01"));
        return;
    }
    tk_cluster_unary(line->memory->cluster, node, line->path, line->pairs,
                     bytes, &line->call);
}

/* The end of a line. `message` is its last or its limit. */
static void
finish(struct tk_line *line, struct tk_memory_message *message,
       struct tk_wakes *wakes)
{
    struct tk_memory *memory = line->memory;
    struct tk_stream *stream = line->stream;
    struct tk_unary *unary = line->unary;
    struct tk_frame *frame = message->frame;
    struct tk_status status = { .grpc = message->status,
                                .details = message->text,
                                .never_sent = message->never_sent };

    if (line->server != NULL) {
        tk_cluster_stream_free(line->server);
        line->server = NULL;
    }
    tk_mutex_lock(&memory->lock);
    if (line->owner == NULL) {
        tk_mutex_unlock(&memory->lock);
        return;
    }
    if (message != &line->limit && unary != NULL) {
        tk_memory_unschedule(&line->limit);
    }
    leave(line);
    tk_mutex_unlock(&memory->lock);
    message->frame = NULL;
    if (stream != NULL) {
        stream->closed(stream, &status, wakes);
    } else {
        unary->done(unary, &status, message->data, frame, wakes);
    }
    tk_mutex_lock(&memory->lock);
    tk_line_unref(line);
    tk_mutex_unlock(&memory->lock);
}

void
tk_line_deliver(struct tk_line *line, struct tk_memory_message *message,
                struct tk_wakes *wakes)
{
    struct tk_frame *frame = message->frame;
    bool is_live;

    tk_mutex_lock(&line->memory->lock);
    is_live = line->owner != NULL;
    tk_mutex_unlock(&line->memory->lock);
    if (!is_live) {
        return;
    }
    switch (message->kind) {
    case TK_MEMORY_BEGIN:
        begin_server(line);
        break;
    case TK_MEMORY_REQUEST:
        if (line->unary != NULL) {
            ask_cluster(line, message->data);
        } else if (line->server != NULL) {
            tk_cluster_stream_message(line->server, message->data);
            if (line->is_fed) {
                tk_cluster_stream_finish(line->server);
            }
        }
        break;
    case TK_MEMORY_SENT:
        line->stream->sent(line->stream, wakes);
        break;
    case TK_MEMORY_ANSWER:
        message->frame = NULL;
        line->stream->received(line->stream, message->data, frame, wakes);
        break;
    case TK_MEMORY_LIMIT:
        message->status = TK_GRPC_DEADLINE_EXCEEDED;
        snprintf(message->text, sizeof(message->text), "deadline exceeded");
        finish(line, message, wakes);
        break;
    case TK_MEMORY_LAST:
        finish(line, message, wakes);
        break;
    }
}
