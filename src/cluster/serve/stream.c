/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One stream. gRPC takes one message at a time each way, so what the core
 * sends meanwhile queues here; the answers of a batch stream that have queued
 * leave as one message, as their concatenation is one. A client that does not
 * read is not read from either: that bounds the queue.
 *
 *     OPEN --core ends--> ENDING --queue empty--> status sent --\
 *        \------client gone, node down---------------------------> OVER
 *
 * OVER is the end of gRPC's close operation, which is under way all the time;
 * the last operation to come back frees the stream. Lock: rank SERVE. The
 * core is called only on the completing thread, its answers come on any.
 */
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>

#include "base/alloc.h"
#include "cluster/serve/inside.h"
#include "cluster/serve/tsan.h"

#define MERGE_COUNT 128
#define MERGE_BYTES (64 * 1024)
#define QUEUE_COUNT 4096
#define QUEUE_BYTES (64 * 1024 * 1024)

struct outgoing {
    struct outgoing *next;
    grpc_slice bytes;
};

struct stream {
    struct tk_serve_server *server; /* counted */
    grpc_call *call;
    struct tk_cluster_stream *core; /* of the completing thread; may be NULL */
    bool is_batch;                  /* fixed */
    struct tk_serve_event opened;
    struct tk_serve_event received;
    struct tk_serve_event sent;
    struct tk_serve_event finished;
    struct tk_serve_event over;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response;
    int cancelled;
    struct tk_mutex lock; /* guards all below */
    struct outgoing *first;
    struct outgoing **last;
    size_t queued_count;
    size_t queued_bytes;
    bool is_sending;
    bool is_paused; /* reading waits for the queue */
    bool has_ended; /* the core has no more to say */
    bool is_over;
    bool has_finished; /* the status is on its way */
    int status;
    grpc_slice message;
    uint32_t operations; /* under way, and 1 for who begins or calls */
};

bool
tk_serve_is_stream(const char *path)
{
    static const char *const paths[] = {
        "/tikvpb.Tikv/BatchCommands",
        "/pdpb.PD/Tso",
        "/pdpb.PD/QueryRegion",
        "/tsopb.TSO/Tso",
        "/routerpb.Router/QueryRegion",
        "/resource_manager.ResourceManager/AcquireTokenBuckets",
        "/pdpb.PD/RegionHeartbeat",
        "/pdpb.PD/ReportBuckets",
        "/pdpb.PD/SyncRegions",
        "/pdpb.PD/WatchGCSafePointV2",
        "/pdpb.PD/WatchGlobalConfig",
        "/keyspacepb.Keyspace/WatchKeyspaces",
        "/meta_storagepb.MetaStorage/Watch",
        "/tikvpb.Tikv/BatchCoprocessor",
        "/tikvpb.Tikv/CoprocessorStream",
        "/deadlock.Deadlock/Detect",
        "/grpc.health.v1.Health/Watch",
        "/etcdserverpb.Watch/Watch",
        "/etcdserverpb.Lease/LeaseKeepAlive",
    };
    size_t i;

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (strcmp(path, paths[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void
drop_queue(struct stream *stream)
{
    while (stream->first != NULL) {
        struct outgoing *next = stream->first->next;

        grpc_slice_unref(stream->first->bytes);
        tk_free(stream->first);
        stream->first = next;
    }
    stream->last = &stream->first;
    stream->queued_count = 0;
    stream->queued_bytes = 0;
}

static void
stream_free(struct stream *stream)
{
    struct tk_serve_server *server = stream->server;

    drop_queue(stream);
    if (stream->request != NULL) {
        grpc_byte_buffer_destroy(stream->request);
    }
    if (stream->response != NULL) {
        grpc_byte_buffer_destroy(stream->response);
    }
    grpc_slice_unref(stream->message);
    grpc_call_unref(stream->call);
    tk_mutex_fini(&stream->lock);
    tk_free(stream);
    tk_serve_server_unref(server);
}

static void
operation_done(struct stream *stream)
{
    bool last;

    tk_mutex_lock(&stream->lock);
    stream->operations--;
    last = stream->operations == 0;
    tk_mutex_unlock(&stream->lock);
    if (last) {
        stream_free(stream);
    }
}

/* The operation has been counted. */
static void
start(struct stream *stream, const grpc_op *op, struct tk_serve_event *event)
{
    tk_serve_tag_leaves(event);
    if (grpc_call_start_batch(stream->call, op, 1, event, NULL) !=
        GRPC_CALL_OK) {
        operation_done(stream);
    }
}

/* With the lock: the next message, of one or several queued ones. */
static grpc_byte_buffer *
take_queued(struct stream *stream)
{
    grpc_slice slices[MERGE_COUNT];
    grpc_byte_buffer *buffer;
    size_t count = 0;
    size_t bytes = 0;
    size_t i;

    do {
        struct outgoing *item = stream->first;

        slices[count++] = item->bytes;
        bytes += GRPC_SLICE_LENGTH(item->bytes);
        stream->first = item->next;
        tk_free(item);
    } while (stream->is_batch && stream->first != NULL && count < MERGE_COUNT &&
             bytes + GRPC_SLICE_LENGTH(stream->first->bytes) <= MERGE_BYTES);
    if (stream->first == NULL) {
        stream->last = &stream->first;
    }
    stream->queued_count -= count;
    stream->queued_bytes -= bytes;
    buffer = grpc_raw_byte_buffer_create(slices, count);
    for (i = 0; i < count; i++) {
        grpc_slice_unref(slices[i]);
    }
    return buffer;
}

static void
send_message(struct stream *stream)
{
    grpc_op op = { .op = GRPC_OP_SEND_MESSAGE };

    op.data.send_message.send_message = stream->response;
    start(stream, &op, &stream->sent);
}

static void
send_status(struct stream *stream)
{
    grpc_op op = { .op = GRPC_OP_SEND_STATUS_FROM_SERVER };

    op.data.send_status_from_server.status = (grpc_status_code)stream->status;
    op.data.send_status_from_server.status_details = &stream->message;
    start(stream, &op, &stream->finished);
}

static void
receive(struct stream *stream)
{
    grpc_op op = { .op = GRPC_OP_RECV_MESSAGE };

    op.data.recv_message.recv_message = &stream->request;
    start(stream, &op, &stream->received);
}

/* Sends what may be sent now: the next message, or the status after the last
 * one. gRPC is called without the lock; `is_sending` keeps others away. */
static void
push(struct stream *stream)
{
    bool message = false;
    bool status = false;

    tk_mutex_lock(&stream->lock);
    if (!stream->is_over && !stream->is_sending) {
        message = stream->first != NULL;
        status = !message && stream->has_ended && !stream->has_finished;
    }
    if (message) {
        stream->is_sending = true;
        stream->response = take_queued(stream);
    }
    if (status) {
        stream->has_finished = true;
    }
    if (message || status) {
        stream->operations++;
    }
    tk_mutex_unlock(&stream->lock);
    if (message) {
        send_message(stream);
    } else if (status) {
        send_status(stream);
    }
}

/* ---- what the core says ---- */

static void
end_stream(struct stream *stream, int status, const char *message)
{
    tk_mutex_lock(&stream->lock);
    if (!stream->has_ended) {
        stream->has_ended = true;
        stream->status = status;
        stream->message =
            grpc_slice_from_copied_string(message == NULL ? "" : message);
    }
    tk_mutex_unlock(&stream->lock);
    push(stream);
}

static void
core_end(void *arg, int status, const char *message)
{
    end_stream(arg, status, message);
}

static void
core_message(void *arg, tikv_slice bytes)
{
    struct stream *stream = arg;
    struct outgoing *item = tk_alloc(sizeof(*item));
    bool refused;
    bool is_full;

    if (item == NULL) {
        end_stream(stream, TK_GRPC_RESOURCE_EXHAUSTED, "memory ended");
        return;
    }
    item->next = NULL;
    item->bytes =
        grpc_slice_from_copied_buffer((const char *)bytes.data, bytes.len);
    tk_mutex_lock(&stream->lock);
    refused = stream->is_over || stream->has_ended;
    if (!refused) {
        *stream->last = item;
        stream->last = &item->next;
        stream->queued_count++;
        stream->queued_bytes += bytes.len;
    }
    /* What answers nothing, a watch, is not bounded by pausing. */
    is_full = stream->queued_bytes > 2 * (size_t)QUEUE_BYTES;
    tk_mutex_unlock(&stream->lock);
    if (refused) {
        grpc_slice_unref(item->bytes);
        tk_free(item);
        return;
    }
    if (is_full) {
        end_stream(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                   "the client does not read");
    }
    push(stream);
}

/* ---- what gRPC says, on the completing thread ---- */

static void
on_sent(struct tk_serve_event *event, bool ok)
{
    struct stream *stream = event->owner;
    bool resume;

    (void)ok; /* a failure is followed by the end of the call */
    grpc_byte_buffer_destroy(stream->response);
    stream->response = NULL;
    tk_mutex_lock(&stream->lock);
    stream->is_sending = false;
    resume = stream->is_paused && !stream->is_over &&
             stream->queued_count < QUEUE_COUNT / 2 &&
             stream->queued_bytes < QUEUE_BYTES / 2;
    if (resume) {
        stream->is_paused = false;
        stream->operations++;
    }
    tk_mutex_unlock(&stream->lock);
    push(stream);
    if (resume) {
        receive(stream);
    }
    operation_done(stream);
}

/* The next message is asked for before this one is executed. */
static void
receive_next(struct stream *stream)
{
    bool now;

    tk_mutex_lock(&stream->lock);
    now = !stream->is_over && stream->queued_count < QUEUE_COUNT &&
          stream->queued_bytes < QUEUE_BYTES;
    stream->is_paused = !now;
    if (now) {
        stream->operations++;
    }
    tk_mutex_unlock(&stream->lock);
    if (now) {
        receive(stream);
    }
}

static void
execute(struct stream *stream, grpc_byte_buffer *request)
{
    struct tk_serve_message message;

    if (!tk_serve_message_init(&message, request)) {
        end_stream(stream, TK_GRPC_INTERNAL, "the message cannot be read");
        return;
    }
    tk_cluster_stream_message(stream->core, message.bytes);
    tk_serve_message_fini(&message);
}

static void
on_received(struct tk_serve_event *event, bool ok)
{
    struct stream *stream = event->owner;
    grpc_byte_buffer *request = stream->request;

    stream->request = NULL;
    if (stream->core != NULL && ok && request == NULL) {
        tk_cluster_stream_finish(stream->core);
    } else if (stream->core != NULL && ok &&
               atomic_load(&stream->server->open)) {
        receive_next(stream);
        execute(stream, request);
    }
    if (request != NULL) {
        grpc_byte_buffer_destroy(request);
    }
    operation_done(stream);
}

/* The call is over, by our status or by the client. */
static void
on_over(struct tk_serve_event *event, bool ok)
{
    struct stream *stream = event->owner;
    struct tk_cluster_stream *core = stream->core;

    (void)ok;
    tk_mutex_lock(&stream->lock);
    stream->is_over = true;
    tk_mutex_unlock(&stream->lock);
    stream->core = NULL;
    if (core != NULL) {
        tk_cluster_stream_free(core);
    }
    operation_done(stream);
}

static void
on_other(struct tk_serve_event *event, bool ok)
{
    (void)ok;
    operation_done(event->owner);
}

static struct stream *
stream_new(struct tk_serve_server *server, grpc_call *call, const char *path)
{
    struct stream *stream = tk_calloc(sizeof(*stream));

    if (stream == NULL) {
        return NULL;
    }
    stream->server = server;
    stream->call = call;
    stream->is_batch = strcmp(path, "/tikvpb.Tikv/BatchCommands") == 0;
    stream->opened = (struct tk_serve_event){ on_other, stream };
    stream->received = (struct tk_serve_event){ on_received, stream };
    stream->sent = (struct tk_serve_event){ on_sent, stream };
    stream->finished = (struct tk_serve_event){ on_other, stream };
    stream->over = (struct tk_serve_event){ on_over, stream };
    stream->last = &stream->first;
    stream->message = grpc_empty_slice();
    stream->operations = 4; /* the beginner, and what it starts */
    tk_mutex_init(&stream->lock, TK_RANK_SERVE);
    return stream;
}

void
tk_serve_stream_begin(struct tk_serve_server *server, grpc_call *call,
                      const char *path, const char *const *metadata)
{
    static const struct tk_cluster_stream_events events = { core_message,
                                                            core_end };
    struct stream *stream = stream_new(server, call, path);
    grpc_op opening = { .op = GRPC_OP_SEND_INITIAL_METADATA };
    grpc_op closing = { .op = GRPC_OP_RECV_CLOSE_ON_SERVER };

    if (stream == NULL) {
        grpc_call_unref(call); /* cancels it */
        tk_serve_server_unref(server);
        return;
    }
    closing.data.recv_close_on_server.cancelled = &stream->cancelled;
    start(stream, &opening, &stream->opened);
    start(stream, &closing, &stream->over);
    stream->core = tk_cluster_stream_open(server->serve->core, server->node,
                                          path, metadata, &events, stream);
    if (stream->core == NULL) {
        end_stream(stream, TK_GRPC_UNIMPLEMENTED, "unknown method");
    } else {
        tk_cluster_stream_client(stream->core,
                                 tk_serve_link_ordinal(server, call));
    }
    receive(stream);
    operation_done(stream);
}
