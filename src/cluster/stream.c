/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of the core. What a stream has to say is queued under the lock and
 * said without it, by one thread at a time (the speaker), so events come in
 * order. A stream down stays when the client is done, a stream up answers
 * then. What is said is stream_order.c's, of BatchCommands batch.c's.
 *
 *     open --message..--> finished --all answered--> end(OK)
 *       \---trouble------------------------------> end(status)
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cluster/stream.h"

static void
drop_messages(struct tk_cluster_stream *stream)
{
    while (stream->first != NULL) {
        struct tk_cl_message *message = stream->first;

        stream->first = message->next;
        tk_buf_fini(&message->bytes);
        tk_free(message);
    }
    stream->last = NULL;
}

struct tk_cl_message *
tk_cl_message_new(struct tk_cluster_stream *stream)
{
    struct tk_cl_message *message = stream->spare;

    if (message != NULL) {
        stream->spare = NULL;
        tk_buf_clear(&message->bytes);
    } else {
        message = tk_alloc(sizeof(*message));
        if (message == NULL) {
            return NULL;
        }
        tk_buf_init(&message->bytes, SIZE_MAX / 4);
    }
    message->next = NULL;
    return message;
}

void
tk_cl_message_free(struct tk_cluster_stream *stream,
                   struct tk_cl_message *message)
{
    if (message != NULL && stream->spare == NULL) {
        stream->spare = message;
    } else if (message != NULL) {
        tk_buf_fini(&message->bytes);
        tk_free(message);
    }
}

void
tk_cl_stream_queue(struct tk_cluster_stream *stream,
                   struct tk_cl_message *message)
{
    if (stream->is_over || stream->is_freed) {
        tk_cl_message_free(stream, message);
        return;
    }
    message->mark = tk_cl_mark(stream->cluster);
    if (stream->last == NULL) {
        stream->first = message;
    } else {
        stream->last->next = message;
    }
    stream->last = message;
}

static void
cancel_delayed(struct tk_cluster_stream *stream)
{
    struct tk_cluster *cluster = stream->cluster;

    while (stream->delayed != NULL) {
        struct tk_cl_delayed *delayed = stream->delayed;

        stream->delayed = delayed->next;
        if (!cluster->rt->ops->disarm(cluster->rt, &delayed->timer)) {
            /* It is firing: it will find no stream, and go. */
            delayed->stream = NULL;
        } else if (delayed->request.waiter != NULL ||
                   delayed->request.stop != NULL) {
            tk_cl_call_adopt(delayed);
        } else {
            cluster->pending--;
            tk_cl_delayed_forget(delayed);
            tk_cl_delayed_free(delayed);
        }
    }
}

void
tk_cl_stream_over(struct tk_cluster_stream *stream, int status,
                  const char *text)
{
    if (stream->is_over) {
        return;
    }
    stream->is_over = true;
    stream->status = status;
    snprintf(stream->text, sizeof(stream->text), "%s", text);
    if (status != TK_GRPC_OK) {
        drop_messages(stream);
        cancel_delayed(stream);
    }
}

/* One that is over already may still have had its last words to say. */
void
tk_cl_stream_break(struct tk_cluster_stream *stream, const char *text)
{
    if (!stream->has_ended) {
        stream->is_over = false;
        tk_cl_stream_over(stream, TK_GRPC_UNAVAILABLE, text);
    }
}

void
tk_cl_stream_conclude(struct tk_cluster_stream *stream, int status,
                      const char *text)
{
    if (!stream->is_over) {
        tk_cl_stream_over(stream, TK_GRPC_OK, text);
        stream->status = status;
        cancel_delayed(stream);
    }
}

static void
free_memory(struct tk_cluster_stream *stream)
{
    tk_cl_watches_free(stream);
    tk_cl_message_free(stream, stream->summary);
    drop_messages(stream);
    if (stream->spare != NULL) {
        tk_buf_fini(&stream->spare->bytes);
        tk_free(stream->spare);
    }
    tk_buf_fini(&stream->ids);
    tk_buf_fini(&stream->answered);
    tk_buf_fini(&stream->asked);
    tk_buf_fini(&stream->from);
    tk_free(stream);
}

/* One event, without the lock; false when there is nothing to say. */
static bool
speak(struct tk_cluster_stream *stream)
{
    struct tk_cluster *cluster = stream->cluster;
    struct tk_cl_message *message = stream->first;

    if (stream->is_freed) {
        return false;
    }
    if (message != NULL && !tk_cl_is_kept(cluster, message->mark)) {
        stream->is_held = true;
        return false;
    }
    if (message != NULL) {
        stream->first = message->next;
        if (stream->first == NULL) {
            stream->last = NULL;
        }
        tk_mutex_unlock(&cluster->lock);
        stream->events.message(stream->arg, tk_buf_slice(&message->bytes));
        tk_mutex_lock(&cluster->lock);
        tk_cl_message_free(stream, message);
        return true;
    }
    if (stream->is_over && !stream->has_ended) {
        stream->has_ended = true;
        tk_mutex_unlock(&cluster->lock);
        stream->events.end(stream->arg, stream->status, stream->text);
        tk_mutex_lock(&cluster->lock);
        return true;
    }
    return false;
}

void
tk_cl_stream_pump(struct tk_cluster_stream *stream)
{
    struct tk_cluster *cluster = stream->cluster;
    struct tk_runtime *rt = cluster->rt;
    struct tk_parker *closer;
    struct tk_wakes wakes;
    bool is_last;

    if (stream->is_finished && stream->delayed == NULL &&
        !stream->is_over &&
        stream->request.method->kind != TK_KIND_DOWN) {
        if (stream->summary != NULL) {
            tk_cl_stream_queue(stream, stream->summary);
            stream->summary = NULL;
        }
        tk_cl_stream_over(stream, TK_GRPC_OK, "");
    }
    if (stream->is_speaking) {
        tk_cl_unlock(cluster);
        return;
    }
    stream->is_speaking = true;
    stream->speaker = tk_self(rt);
    while (speak(stream)) {
    }
    stream->is_speaking = false;
    closer = stream->closer;
    is_last = stream->is_orphan;
    tk_cl_unlock(cluster);
    if (is_last) {
        free_memory(stream);
    } else if (closer != NULL) {
        tk_wakes_init(&wakes, rt);
        tk_wakes_ring(&wakes, closer);
        tk_wakes_flush(&wakes);
    }
}

/* ---- delayed answers ---- */

static bool
has_order(const struct tk_cluster_stream *stream)
{
    return stream->take != tk_cl_batch_message;
}

/* The one that came first. */
static struct tk_cl_delayed *
oldest(const struct tk_cluster_stream *stream)
{
    struct tk_cl_delayed *delayed = stream->delayed;

    while (delayed != NULL && delayed->next != NULL) {
        delayed = delayed->next;
    }
    return delayed;
}

static void
unlist(struct tk_cluster_stream *stream, struct tk_cl_delayed *delayed)
{
    struct tk_cl_delayed *first;

    if (delayed->prev != NULL) {
        delayed->prev->next = delayed->next;
    } else {
        stream->delayed = delayed->next;
    }
    if (delayed->next != NULL) {
        delayed->next->prev = delayed->prev;
    }
    first = has_order(stream) ? oldest(stream) : NULL;
    if (first != NULL && first->is_ripe) {
        first->is_ripe = false;
        stream->cluster->rt->ops->arm(stream->cluster->rt, &first->timer,
                                      tk_now(stream->cluster->rt));
    }
}

/* With the lock; true when it is not to be answered now. */
static bool
must_wait(struct tk_cluster_stream *stream, struct tk_cl_delayed *delayed)
{
    struct tk_runtime *rt = stream->cluster->rt;
    int64_t due;

    if (has_order(stream) && oldest(stream) != delayed) {
        delayed->is_ripe = true;
        rt->ops->arm(rt, &delayed->timer, TK_NEVER);
        return true;
    }
    due = tk_cl_delayed_step(delayed);
    if (due != TK_CL_READY && delayed->stream != NULL) {
        rt->ops->arm(rt, &delayed->timer, due);
        return true;
    }
    return false;
}

static void
fire(struct tk_timer *timer)
{
    struct tk_cl_delayed *delayed = (struct tk_cl_delayed *)timer;
    struct tk_cluster *cluster = delayed->cluster;
    struct tk_cluster_stream *stream;

    tk_mutex_lock(&cluster->lock);
    stream = delayed->stream;
    if (stream != NULL && must_wait(stream, delayed)) {
        tk_cl_unlock(cluster);
        tk_cl_streams_push(cluster);
        return;
    }
    if (stream == NULL) {
        tk_cl_delayed_forget(delayed);
        tk_cl_delayed_free(delayed);
        tk_cl_delayed_gone(cluster);
        return;
    }
    unlist(stream, delayed);
    stream->answer(stream, delayed);
    tk_cl_delayed_free(delayed);
    tk_cl_stream_pump(stream);
    tk_cl_streams_push(cluster);
    /* Last: the cluster may be gone afterwards. */
    tk_mutex_lock(&cluster->lock);
    tk_cl_delayed_gone(cluster);
}

void
tk_cl_stream_delay(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed, int64_t due)
{
    struct tk_cluster *cluster = stream->cluster;

    delayed->stream = stream;
    delayed->timer.fn = fire;
    delayed->prev = NULL;
    delayed->next = stream->delayed;
    if (stream->delayed != NULL) {
        stream->delayed->prev = delayed;
    }
    stream->delayed = delayed;
    cluster->pending++;
    cluster->rt->ops->arm(cluster->rt, &delayed->timer, due);
}

/* ---- the face ---- */

static bool
is_stream(const struct tk_cl_method *method, tk_node node, bool *is_batch)
{
    uint32_t place = (node & TK_NODE_STORE) != 0 ? TK_CL_AT_STORE
                                                 : TK_CL_AT_MEMBER;

    *is_batch = strcmp(method->label, "tikv.BatchCommands") == 0;
    return (method->flags & place) != 0 &&
           (*is_batch || (method->run != NULL &&
                          (method->kind == TK_KIND_DOWN ||
                           method->kind == TK_KIND_BIDI ||
                           method->kind == TK_CL_KIND_UP)));
}

struct tk_cluster_stream *
tk_cluster_stream_open(struct tk_cluster *cluster, tk_node node,
                       const char *path, const char *const *metadata,
                       const struct tk_cluster_stream_events *events,
                       void *arg)
{
    const struct tk_cl_method *method = tk_cl_method_by_path(path);
    struct tk_cluster_stream *stream;
    bool is_batch = false;
    int status;

    if (method == NULL || !is_stream(method, node, &is_batch)) {
        return NULL;
    }
    stream = tk_calloc(sizeof(*stream));
    if (stream == NULL) {
        return NULL;
    }
    tk_buf_init(&stream->ids, SIZE_MAX / 4);
    tk_buf_init(&stream->answered, SIZE_MAX / 4);
    tk_buf_init(&stream->asked, SIZE_MAX / 4);
    tk_buf_init(&stream->from, SIZE_MAX / 4);
    stream->cluster = cluster;
    stream->events = *events;
    stream->arg = arg;
    stream->node = node;
    stream->request.cluster = cluster;
    stream->request.method = method;
    stream->request.stream = stream;
    stream->take = is_batch ? tk_cl_batch_message : tk_cl_order_message;
    stream->answer = is_batch ? tk_cl_batch_answer : tk_cl_order_answer;
    tk_mutex_lock(&cluster->lock);
    stream->next = cluster->streams;
    if (stream->next != NULL) {
        stream->next->prev = stream;
    }
    cluster->streams = stream;
    status = tk_cl_address_request(&stream->request, node, metadata);
    if (status != TK_GRPC_OK) {
        /* Said with the first message: nobody has the stream yet. */
        stream->refusal = status;
    }
    tk_mutex_unlock(&cluster->lock);
    return stream;
}

void
tk_cluster_stream_client(struct tk_cluster_stream *stream, uint64_t client)
{
    tk_mutex_lock(&stream->cluster->lock);
    stream->request.client = client;
    tk_mutex_unlock(&stream->cluster->lock);
}

/* With the lock: a stream that was refused says so now. */
static bool
is_refused(struct tk_cluster_stream *stream)
{
    if (stream->refusal == TK_GRPC_OK) {
        return false;
    }
    tk_cl_stream_over(stream, stream->refusal, stream->request.text);
    return true;
}

void
tk_cluster_stream_message(struct tk_cluster_stream *stream, tikv_slice bytes)
{
    struct tk_cluster *cluster = stream->cluster;
    bool has_news;

    tk_mutex_lock(&cluster->lock);
    if (!is_refused(stream) && !stream->is_over && !stream->is_freed) {
        stream->take(stream, bytes);
    }
    has_news = cluster->has_news;
    tk_cl_stream_pump(stream);
    if (has_news) {
        tk_cl_streams_push(cluster);
    }
}

void
tk_cluster_stream_finish(struct tk_cluster_stream *stream)
{
    tk_mutex_lock(&stream->cluster->lock);
    (void)is_refused(stream);
    stream->is_finished = true;
    tk_cl_stream_pump(stream);
}

/* With the lock: the speaker is another thread; wait until it has spoken. */
static void
wait_for_speaker(struct tk_cluster_stream *stream, struct tk_parker *me)
{
    struct tk_cluster *cluster = stream->cluster;
    struct tk_runtime *rt = cluster->rt;

    while (stream->is_speaking) {
        stream->closer = me;
        tk_park_begin(me);
        tk_mutex_unlock(&cluster->lock);
        rt->ops->park(rt, me, TK_NEVER);
        tk_mutex_lock(&cluster->lock);
    }
}

void
tk_cluster_stream_free(struct tk_cluster_stream *stream)
{
    struct tk_cluster *cluster;
    struct tk_parker *me = NULL;
    bool is_mine = true;

    if (stream == NULL) {
        return;
    }
    cluster = stream->cluster;
    tk_mutex_lock(&cluster->lock);
    stream->is_freed = true;
    cancel_delayed(stream);
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    } else {
        cluster->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    if (stream->is_speaking) {
        me = tk_self(cluster->rt);
        if (stream->speaker == me) {
            /* Inside of its own event: the speaker frees it. */
            stream->is_orphan = true;
            is_mine = false;
        } else {
            wait_for_speaker(stream, me);
        }
    }
    tk_mutex_unlock(&cluster->lock);
    if (is_mine) {
        free_memory(stream);
    }
}

void
tk_cl_streams_push(struct tk_cluster *cluster)
{
    tk_cl_debts_pay(cluster);
    for (;;) {
        struct tk_cluster_stream *stream;

        tk_mutex_lock(&cluster->lock);
        stream = cluster->has_news ? cluster->streams : NULL;
        while (stream != NULL && !stream->has_news) {
            stream = stream->next;
        }
        if (stream == NULL) {
            break;
        }
        stream->has_news = false;
        tk_cl_stream_pump(stream);
    }
    cluster->has_news = false;
    tk_mutex_unlock(&cluster->lock);
}

/* A stream of the node that is not over yet; with the lock. */
static struct tk_cluster_stream *
find_unbroken(struct tk_cluster *cluster, tk_node node)
{
    struct tk_cluster_stream *stream = cluster->streams;

    while (stream != NULL &&
           (stream->is_over ||
            (stream->node != node &&
             tk_cl_node_of(&stream->request) != node))) {
        stream = stream->next;
    }
    return stream;
}

void
tk_cl_streams_break(struct tk_cluster *cluster, tk_node node)
{
    for (;;) {
        struct tk_cluster_stream *stream;

        tk_mutex_lock(&cluster->lock);
        stream = find_unbroken(cluster, node);
        if (stream == NULL) {
            break;
        }
        tk_cl_stream_over(stream, TK_GRPC_UNAVAILABLE, "connection reset");
        tk_cl_stream_pump(stream);
    }
    tk_mutex_unlock(&cluster->lock);
}
