/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runtime whose clock the test moves, and a transport that does what the
 * test says: between them the rules of sending can be looked at step by step.
 * One thread, no waiting.
 */
#ifndef TESTS_UNIT_RPC_FAKE_H
#define TESTS_UNIT_RPC_FAKE_H

#include "base/alloc.h"
#include "base/error.h"
#include "exec/mutex.h"
#include "harness/harness.h"
#include "rpc/rpc.h"
#include "wire/proto.h"

/* ---- the runtime ---- */

#define FAKE_TIMERS_MAX 8

struct fake_runtime {
    struct tk_runtime base;
    int64_t now;
    struct tk_timer *armed[FAKE_TIMERS_MAX];
    size_t armed_count;
    struct tk_parker parker;
    uint64_t random;
};

static int64_t
fake_now(struct tk_runtime *rt)
{
    return ((struct fake_runtime *)(void *)rt)->now;
}

static struct tk_parker *
fake_self(struct tk_runtime *rt)
{
    return &((struct fake_runtime *)(void *)rt)->parker;
}

static void
fake_park(struct tk_runtime *rt, struct tk_parker *self, int64_t until)
{
    (void)rt;
    (void)self;
    (void)until;
    fail_msg("nobody may wait here");
}

static void
fake_wake(struct tk_runtime *rt, struct tk_parker *const *parkers, size_t n)
{
    (void)rt;
    (void)parkers;
    (void)n;
}

static uint64_t
fake_random(struct tk_runtime *rt)
{
    return ((struct fake_runtime *)(void *)rt)->random++;
}

static bool
fake_disarm(struct tk_runtime *rt, struct tk_timer *timer)
{
    struct fake_runtime *fake = (struct fake_runtime *)(void *)rt;
    size_t i;

    for (i = 0; i < fake->armed_count; i++) {
        if (fake->armed[i] == timer) {
            fake->armed[i] = fake->armed[--fake->armed_count];
            return true;
        }
    }
    return false;
}

static void
fake_arm(struct tk_runtime *rt, struct tk_timer *timer, int64_t when)
{
    struct fake_runtime *fake = (struct fake_runtime *)(void *)rt;

    fake_disarm(rt, timer);
    assert_true(fake->armed_count < FAKE_TIMERS_MAX);
    timer->when = when;
    fake->armed[fake->armed_count++] = timer;
}

/* Moves the clock, firing what comes due on the way, in order. */
static inline void
fake_advance(struct fake_runtime *fake, int64_t ns)
{
    int64_t end = fake->now + ns;

    for (;;) {
        struct tk_timer *first = NULL;
        size_t i;

        for (i = 0; i < fake->armed_count; i++) {
            if (fake->armed[i]->when <= end &&
                (first == NULL || fake->armed[i]->when < first->when)) {
                first = fake->armed[i];
            }
        }
        if (first == NULL) {
            fake->now = end;
            return;
        }
        fake_disarm(&fake->base, first);
        if (first->when > fake->now) {
            fake->now = first->when;
        }
        first->fn(first);
    }
}

static const struct tk_runtime_ops fake_runtime_ops = {
    .now = fake_now,
    .self = fake_self,
    .park = fake_park,
    .wake = fake_wake,
    .random = fake_random,
    .arm = fake_arm,
    .disarm = fake_disarm,
    .wall = fake_now,
};

/* ---- the transport ---- */

#define FAKE_MESSAGES_MAX 64
#define FAKE_IDS_MAX 1024

struct fake_message {
    struct tk_buf bytes;
    uint64_t ids[FAKE_IDS_MAX];
    size_t count;
};

/* A stream that is passed on to a host. */
struct fake_route {
    struct tk_stream *stream; /* NULL: over, or none */
    char host[64];
    uint64_t ids[FAKE_IDS_MAX]; /* of its last message */
    size_t count;
    size_t opens;
};

enum { FAKE_ROUTES_MAX = 4, FAKE_LINKS_MAX = 8 };

struct fake_transport {
    struct tk_transport base;
    struct fake_route routes[FAKE_ROUTES_MAX]; /* by host */
    size_t connects;
    char links[FAKE_LINKS_MAX];
    size_t last_ordinal; /* of the link of the last call */
    struct tk_stream *stream; /* open, NULL: none */
    size_t opens;
    size_t cancels;
    size_t unary_cancels;
    size_t rests;
    size_t rests_of_used;
    bool is_stale;
    bool refuses_send;
    bool refuses_connect;
    /* Called inside of open and send, before they return: the transport's
     * threads may be that fast. */
    void (*in_open)(struct fake_transport *);
    void (*in_send)(struct fake_transport *);
    bool is_delivering;
    bool is_closed;
    struct fake_message messages[FAKE_MESSAGES_MAX];
    size_t sends;
    struct tk_unary *unary;
    char path[64];
    char conn_index[12]; /* as the last batch stream told */
    char forwarded_to[64];
    void (*idle)(void *, struct tk_wakes *);
    void *idle_arg;
};

static struct fake_transport *
fake_of(struct tk_transport *transport)
{
    return (struct fake_transport *)(void *)transport;
}

static tikv_error *
fake_connect(struct tk_transport *transport, const char *address,
             uint32_t ordinal, struct tk_link **out)
{
    fake_of(transport)->connects++;
    if (fake_of(transport)->refuses_connect) {
        *out = NULL;
        return tk_error(TIKV_ERR_SECURITY, "no way to %s", address);
    }
    assert_true(ordinal < FAKE_LINKS_MAX);
    *out = (struct tk_link *)(void *)&fake_of(transport)->links[ordinal];
    return NULL;
}

static void
fake_disconnect(struct tk_transport *transport, struct tk_link *link)
{
    (void)transport;
    (void)link;
}

static void
fake_rest(struct tk_transport *transport, struct tk_link *link, bool is_used)
{
    (void)link;
    if (is_used) {
        fake_of(transport)->rests_of_used++;
    } else {
        assert_null(fake_of(transport)->stream);
        fake_of(transport)->rests++;
    }
}

static bool
fake_is_stale(struct tk_transport *transport, struct tk_link *link,
              int64_t before)
{
    (void)link;
    (void)before;
    return fake_of(transport)->is_stale;
}

static bool
fake_call(struct tk_transport *transport, struct tk_link *link,
          const char *path, const char *const *metadata, tikv_slice bytes,
          int64_t deadline, struct tk_unary *unary)
{
    struct fake_transport *fake = fake_of(transport);

    fake->last_ordinal = (size_t)((const char *)(void *)link - fake->links);
    (void)bytes;
    (void)deadline;
    fake->forwarded_to[0] = '\0';
    if (metadata != NULL) {
        assert_string_equal(metadata[0], "tikv-forwarded-host");
        snprintf(fake->forwarded_to, sizeof(fake->forwarded_to), "%s",
                 metadata[1]);
    }
    if (fake->is_closed) {
        return false;
    }
    assert_null(fake->unary);
    fake->unary = unary;
    snprintf(fake->path, sizeof(fake->path), "%s", path);
    return true;
}

static void
fake_call_cancel(struct tk_transport *transport, struct tk_unary *unary)
{
    assert_ptr_equal(fake_of(transport)->unary, unary);
    fake_of(transport)->unary_cancels++;
}

static bool
fake_open_route(struct fake_transport *fake, const char *const *metadata,
                struct tk_stream *stream)
{
    struct fake_route *route = fake->routes;

    assert_string_equal(metadata[0], "tikv-forwarded-host");
    assert_null(metadata[2]);
    while (route->opens != 0 && strcmp(route->host, metadata[1]) != 0) {
        route++;
        assert_true(route < fake->routes + FAKE_ROUTES_MAX);
    }
    assert_null(route->stream);
    snprintf(route->host, sizeof(route->host), "%s", metadata[1]);
    route->stream = stream;
    route->opens++;
    return true;
}

static bool
fake_open(struct tk_transport *transport, struct tk_link *link,
          const char *path, const char *const *metadata,
          struct tk_stream *stream)
{
    struct fake_transport *fake = fake_of(transport);

    (void)link;
    if (fake->is_closed) {
        return false;
    }
    assert_string_equal(path, "/tikvpb.Tikv/BatchCommands");
    assert_string_equal(metadata[0], "tikv-batch-conn-index");
    snprintf(fake->conn_index, sizeof(fake->conn_index), "%s", metadata[1]);
    if (metadata[2] != NULL) {
        return fake_open_route(fake, metadata + 2, stream);
    }
    assert_null(fake->stream);
    fake->stream = stream;
    fake->opens++;
    if (fake->in_open != NULL) {
        fake->in_open(fake);
    }
    return true;
}

/* Keeps the message, and its ids taken out of it. */
static void
fake_keep(struct fake_message *message, tikv_slice bytes)
{
    struct tk_cursor cursor = { bytes.data, bytes.data + bytes.len };
    struct tk_field field;
    size_t requests = 0;

    tk_buf_init(&message->bytes, bytes.len + 1);
    tk_buf_append_slice(&message->bytes, bytes);
    message->count = 0;
    while (tk_cursor_field(&cursor, &field)) {
        if (field.number == 1) {
            requests++;
        } else if (field.number == 2) {
            struct tk_cursor ids = { field.bytes.data,
                                     field.bytes.data + field.bytes.len };

            while (!tk_cursor_is_done(&ids)) {
                assert_true(message->count < FAKE_IDS_MAX);
                assert_true(
                    tk_cursor_varint(&ids, &message->ids[message->count++]));
            }
        }
    }
    assert_true(tk_cursor_is_done(&cursor));
    assert_int_equal(requests, message->count);
}

static bool
fake_send(struct tk_transport *transport, struct tk_stream *stream,
          tikv_slice bytes)
{
    struct fake_transport *fake = fake_of(transport);
    bool refuses = fake->refuses_send;
    size_t i;

    for (i = 0; i < FAKE_ROUTES_MAX; i++) {
        if (fake->routes[i].stream == stream) {
            struct fake_message message;

            fake_keep(&message, bytes);
            tk_buf_fini(&message.bytes);
            memcpy(fake->routes[i].ids, message.ids, sizeof(message.ids));
            fake->routes[i].count = message.count;
            return true;
        }
    }
    assert_ptr_equal(fake->stream, stream);
    if (!refuses) {
        assert_true(fake->sends < FAKE_MESSAGES_MAX);
        fake_keep(&fake->messages[fake->sends++], bytes);
    }
    if (fake->in_send != NULL) {
        fake->in_send(fake);
    }
    return !refuses;
}

static void
fake_cancel(struct tk_transport *transport, struct tk_stream *stream)
{
    assert_ptr_equal(fake_of(transport)->stream, stream);
    fake_of(transport)->cancels++;
}

static bool
fake_is_delivering(struct tk_transport *transport)
{
    return fake_of(transport)->is_delivering;
}

static void
fake_set_idle(struct tk_transport *transport,
              void (*fn)(void *, struct tk_wakes *), void *arg)
{
    fake_of(transport)->idle = fn;
    fake_of(transport)->idle_arg = arg;
}

static void
fake_close(struct tk_transport *transport)
{
    struct fake_transport *fake = fake_of(transport);
    struct tk_status status = { .grpc = 1, .details = "closed" };
    struct tk_stream *stream = fake->stream;
    struct tk_unary *unary = fake->unary;
    struct tk_wakes wakes = { 0 };
    size_t i;

    fake->is_closed = true;
    for (i = 0; i < FAKE_ROUTES_MAX; i++) {
        if (fake->routes[i].stream != NULL) {
            fake->routes[i].stream->closed(fake->routes[i].stream, &status,
                                           &wakes);
            fake->routes[i].stream = NULL;
        }
    }
    fake->stream = NULL;
    fake->unary = NULL;
    if (stream != NULL) {
        stream->closed(stream, &status, &wakes);
    }
    if (unary != NULL) {
        unary->done(unary, &status, (tikv_slice){ NULL, 0 }, NULL, &wakes);
    }
}

static void
fake_free(struct tk_transport *transport)
{
    struct fake_transport *fake = fake_of(transport);
    size_t i;

    for (i = 0; i < fake->sends; i++) {
        tk_buf_fini(&fake->messages[i].bytes);
    }
}

static const struct tk_transport_ops fake_transport_ops = {
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .rest = fake_rest,
    .is_stale = fake_is_stale,
    .call = fake_call,
    .call_cancel = fake_call_cancel,
    .open = fake_open,
    .send = fake_send,
    .cancel = fake_cancel,
    .is_delivering = fake_is_delivering,
    .set_idle = fake_set_idle,
    .close = fake_close,
    .free = fake_free,
};

/* ---- both, with an rpc over them ---- */

struct fake {
    struct fake_runtime runtime;
    struct fake_transport transport;
    struct tk_config config;
    struct tk_rpc *rpc;
    struct tk_conn *conn;
    struct tk_wakes wakes;
    int64_t connections; /* 0: 1 */
};

/* After the settings. */
static void
fake_start_rest(struct fake *fake)
{
    fake->runtime.base.ops = &fake_runtime_ops;
    fake->runtime.now = 1000 * TK_MS;
    fake->transport.base.ops = &fake_transport_ops;
    atomic_init(&fake->config.rpc_connections_count,
                fake->connections == 0 ? 1 : fake->connections);
    assert_null(tk_rpc_new(&fake->runtime.base, &fake->config, NULL,
                           &fake->transport.base, &fake->rpc));
    fake->conn = tk_rpc_conn(fake->rpc, "store:1");
    assert_non_null(fake->conn);
    tk_wakes_init(&fake->wakes, &fake->runtime.base);
}

static inline void
fake_start_with(struct fake *fake, int64_t cap, int64_t inflight,
                int64_t idle_ms, int64_t age_ms)
{
    memset(fake, 0, sizeof(*fake));
    atomic_init(&fake->config.rpc_idle_ms, idle_ms);
    atomic_init(&fake->config.rpc_age_ms, age_ms);
    atomic_init(&fake->config.rpc_batch_max_count, cap);
    atomic_init(&fake->config.rpc_inflight_max_count, inflight);
    fake_start_rest(fake);
}

static inline void
fake_start(struct fake *fake, int64_t cap, int64_t inflight)
{
    fake_start_with(fake, cap, inflight, 0, 0);
}

static inline void
fake_start_sized(struct fake *fake, int64_t request_max_bytes)
{
    memset(fake, 0, sizeof(*fake));
    atomic_init(&fake->config.rpc_batch_max_count, 128);
    atomic_init(&fake->config.rpc_inflight_max_count, 64);
    atomic_init(&fake->config.rpc_request_max_bytes, request_max_bytes);
    fake_start_rest(fake);
}

static inline void
fake_stop(struct fake *fake)
{
    tk_conn_unref(fake->conn);
    tk_rpc_close(fake->rpc);
    assert_int_equal(fake->runtime.armed_count, 0);
    tk_rpc_free(fake->rpc);
}

/* The message is out of the transport's hands. */
static inline void
fake_sent(struct fake *fake)
{
    fake->transport.stream->sent(fake->transport.stream, &fake->wakes);
}

static inline void
fake_idle(struct fake *fake)
{
    fake->transport.idle(fake->transport.idle_arg, &fake->wakes);
}

static inline void
fake_end(struct fake *fake, int grpc, const char *details, bool never_sent)
{
    struct tk_status status = { grpc, details, never_sent };
    struct tk_stream *stream = fake->transport.stream;

    fake->transport.stream = NULL;
    stream->closed(stream, &status, &fake->wakes);
}

static inline void
fake_end_unary(struct fake *fake)
{
    struct tk_status status = { 0, "", false };
    struct tk_unary *unary = fake->transport.unary;

    fake->transport.unary = NULL;
    unary->done(unary, &status, (tikv_slice){ NULL, 0 }, NULL, &fake->wakes);
}

static inline void
fake_receive(struct fake *fake, const struct tk_buf *bytes)
{
    uint8_t *data;
    struct tk_frame *frame = tk_frame_new(bytes->len, &data);

    assert_non_null(frame);
    memcpy(data, bytes->data, bytes->len);
    fake->transport.stream->received(fake->transport.stream,
                                     (tikv_slice){ data, bytes->len }, frame,
                                     &fake->wakes);
}

/* A frame that answers these ids with their own numbers as text. */
static inline void
fake_frame(struct tk_buf *out, enum tk_command command, const uint64_t *ids,
           size_t count)
{
    char text[32];
    size_t i;

    tk_buf_init(out, 1 << 20);
    for (i = 0; i < count; i++) {
        struct tk_parts parts = { .command = command };

        snprintf(text, sizeof(text), "%llu", (unsigned long long)ids[i]);
        parts.body = (tikv_slice){ (const uint8_t *)text, strlen(text) };
        tk_batch_append(out, &parts);
    }
    tk_batch_append_ids(out, ids, count);
    assert_false(out->failed);
}

static inline void
fake_answer(struct fake *fake, const uint64_t *ids, size_t count)
{
    struct tk_buf bytes;

    fake_frame(&bytes, TK_CMD_RAW_GET, ids, count);
    fake_receive(fake, &bytes);
    tk_buf_fini(&bytes);
}

/* ---- a request that remembers what came ---- */

struct asked {
    struct tk_request request;
    unsigned dones;
    enum tk_reply_status status;
    int grpc;
    bool never_sent;
    char details[200];
    char data[64];
    bool keeps_frame;
    struct tk_frame *frame;
};

static void
asked_done(struct tk_request *request, const struct tk_reply *reply,
           struct tk_wakes *wakes)
{
    struct asked *asked = (struct asked *)(void *)request;

    (void)wakes;
    assert_int_equal(tk_mutex_held(), 0);
    asked->dones++;
    asked->status = reply->status;
    asked->grpc = reply->grpc;
    asked->never_sent = reply->never_sent;
    snprintf(asked->details, sizeof(asked->details), "%s", reply->details);
    if (reply->len != 0 && reply->len < sizeof(asked->data)) {
        memcpy(asked->data, reply->data, reply->len);
    }
    if (asked->keeps_frame) {
        asked->frame = reply->frame;
    } else {
        tk_frame_unref(reply->frame, 1);
    }
}

static void
asked_init(struct asked *asked, struct fake *fake, enum tk_command command)
{
    static const uint8_t body[] = { 0x12, 0x01, 'k' };

    memset(asked, 0, sizeof(*asked));
    asked->request.done = asked_done;
    asked->request.parts.command = command;
    asked->request.parts.body = (tikv_slice){ body, sizeof(body) };
    asked->request.deadline = fake->runtime.now + 1000 * TK_MS;
}

static inline enum tk_submit
ask(struct fake *fake, struct asked *asked, bool hold)
{
    asked_init(asked, fake, TK_CMD_RAW_GET);
    return tk_conn_submit(fake->conn, &asked->request, hold);
}

/* The id the server sees. */
static inline uint64_t
asked_id(const struct asked *asked)
{
    return asked->request.id & UINT32_MAX;
}

#endif
