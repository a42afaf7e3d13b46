/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BatchCommands: one message is executed under one hold of the lock and
 * answered by one message with everything that is ready, or, where the
 * cluster shuffles, by several in any order. What a fault delays is answered
 * later in a message of its own; what it drops never. Bytes go from the
 * request through the handler into the answer without a tree of messages
 * between.
 */
#include <string.h>

#include "cluster/stream.h"
#include "wire/proto.h"

enum {
    SLOT_IMPORT = 5,
    SLOT_GC = 11,
    SLOT_EMPTY = 255,
    EMPTY_DELAY_MIN_MS = 10,
    LOAD_WINDOW_MS = 1000
};

/* What a store does with a member of the oneof. */
enum slot {
    SLOT_RUNS,
    SLOT_IS_UNKNOWN, /* an empty response */
    SLOT_FAILS,      /* no response at all */
    SLOT_BREAKS      /* the stream */
};

/* The member that came last. */
static enum slot
open_slot(tikv_slice bytes, struct tk_cl_request *request)
{
    struct tk_cursor cursor = { bytes.data, bytes.data + bytes.len };
    struct tk_field field;
    enum slot slot = SLOT_IS_UNKNOWN;

    request->method = NULL;
    while (bytes.len > 0 && tk_cursor_field(&cursor, &field)) {
        const struct tk_cl_method *method =
            field.type == TK_WIRE_BYTES ? tk_cl_method_by_slot(field.number)
                                        : NULL;

        if (method != NULL) {
            request->method = method;
            request->body = field.bytes;
        }
        if (field.number == SLOT_GC) {
            slot = SLOT_FAILS;
        } else if (field.number == SLOT_IMPORT) {
            slot = SLOT_BREAKS;
        } else if (method != NULL && method->run != NULL) {
            slot = SLOT_RUNS;
        }
    }
    return slot;
}

static void
add_id(struct tk_cluster_stream *stream, uint64_t id)
{
    tk_buf_append(&stream->answered, &id, sizeof(id));
}

static void
put_empty(struct tk_buf *out)
{
    tk_put_end(out, tk_put_begin(out, 1));
}

/* How busy the store is with batches, in percent of the last second. */
static void
measure(struct tk_cl_store *store, int64_t begin, int64_t end)
{
    int64_t window = end - store->load_since;

    store->load_ns += end - begin;
    if (window >= LOAD_WINDOW_MS * TK_MS) {
        store->load = (uint64_t)(store->load_ns * 100 / window);
        store->load_since = end;
        store->load_ns = 0;
    }
}

/* Everything of a message but the responses. False: the stream is over. */
static bool
close_message(struct tk_cluster_stream *stream, struct tk_cl_message *message,
              bool wants_health)
{
    struct tk_cluster *cluster = stream->cluster;
    struct tk_cl_store *store = stream->request.store;
    struct tk_buf *out = &message->bytes;
    int64_t now = tk_now(cluster->rt);

    tk_put_packed(out, 2,
                  (const uint64_t *)(const void *)stream->answered.data,
                  stream->answered.len / sizeof(uint64_t));
    tk_put_u64(out, 3, store->load > store->load_floor ? store->load
                                                       : store->load_floor);
    if (wants_health) {
        tk_cl_put_health(out, 4, cluster, store);
    } else if (now >= stream->health_at) {
        store->feedbacks++;
        tk_cl_put_health(out, 4, cluster, store);
        stream->health_at = now + 1000 * TK_MS;
    }
    tk_put_u64(out, 5, (uint64_t)cluster->rt->ops->wall(cluster->rt));
    tk_buf_clear(&stream->answered);
    if (out->failed) {
        tk_cl_message_free(stream, message);
        tk_cl_stream_over(stream, TK_GRPC_RESOURCE_EXHAUSTED,
                          "out of memory");
        return false;
    }
    return true;
}

/* Empty asks for its delay itself. */
static void
add_own_delay(const struct tk_cl_request *request, struct tk_cl_plan *plan)
{
    struct tk_cl_fields fields;

    if (request->method->slot == SLOT_EMPTY &&
        tk_cl_decode(request->body, &fields) &&
        fields.numbers[2] >= EMPTY_DELAY_MIN_MS) {
        plan->before.ns += (int64_t)(fields.numbers[2] % INT32_MAX) * TK_MS;
    }
}

/* Held before it runs, or after it ran. */
static bool
delay_request(struct tk_cluster_stream *stream,
              const struct tk_cl_request *request,
              const struct tk_cl_plan *plan, uint64_t id)
{
    struct tk_cl_delayed *delayed;
    int64_t due;

    if (!tk_cl_holds(&plan->before) && !tk_cl_holds(&plan->after)) {
        return false;
    }
    delayed = tk_cl_delayed_new(request, plan);
    if (delayed == NULL) {
        return false;
    }
    delayed->id = id;
    due = tk_cl_holds(&plan->before)
              ? tk_cl_delayed_begin(delayed, TK_GRPC_OK)
              : tk_cl_delayed_step(delayed);
    tk_cl_stream_delay(stream, delayed,
                       due == TK_CL_READY ? tk_now(stream->cluster->rt) : due);
    return true;
}

static void
end_by(struct tk_cluster_stream *stream, int status, const char *text)
{
    tk_cl_stream_over(stream, status, text);
}

/* It waits in the middle, and is answered by a message of its own. */
static void
park(struct tk_cluster_stream *stream, struct tk_cl_request *request,
     const struct tk_cl_plan *plan, uint64_t id)
{
    struct tk_cl_delayed *delayed = tk_cl_delayed_new(request, plan);

    if (delayed == NULL) {
        tk_cl_wait_forget(request);
        tk_cl_stop_forget(request);
        end_by(stream, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    delayed->id = id;
    tk_cl_stream_delay(stream, delayed,
                       tk_cl_delayed_begin(delayed, TK_CL_PARKED));
}

/* Rules of later stages hold the answer that lies behind `before`. */
static void
hold_answer(struct tk_cluster_stream *stream, struct tk_cl_request *request,
            const struct tk_cl_plan *plan, uint64_t id)
{
    struct tk_cl_delayed *delayed = tk_cl_delayed_new(request, plan);
    struct tk_buf answer;

    if (delayed == NULL) {
        end_by(stream, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    tk_buf_init(&answer, SIZE_MAX / 4);
    tk_buf_append(&answer, request->out->data + request->out_start,
                  request->out->len - request->out_start);
    delayed->id = id;
    tk_cl_stream_delay(
        stream, delayed,
        tk_cl_delayed_begin_after(delayed, TK_GRPC_OK, &answer));
    tk_buf_fini(&answer);
}

/* Runs one request into `out`. */
static void
run_one(struct tk_cluster_stream *stream, struct tk_cl_request *request,
        struct tk_cl_plan *plan, struct tk_buf *out, uint64_t id)
{
    size_t before = out->len;
    size_t response = tk_put_begin(out, 1);
    size_t slot = tk_put_begin(out, request->method->slot);
    int status;

    request->out = out;
    request->out_start = out->len;
    status = tk_cl_run_planned(request, plan);
    if (status == TK_CL_PARKED) {
        tk_buf_cut(out, before, out->len - before);
        park(stream, request, plan, id);
        return;
    }
    if (status != TK_GRPC_OK) {
        end_by(stream, status, request->text);
        return;
    }
    if (tk_cl_holds(&plan->after)) {
        hold_answer(stream, request, plan, id);
        tk_buf_cut(out, before, out->len - before);
        return;
    }
    if (plan->silent) {
        tk_buf_cut(out, before, out->len - before);
        return;
    }
    tk_put_end(out, slot);
    tk_put_end(out, response);
    add_id(stream, id);
}

static void
take_oddity(struct tk_cluster_stream *stream, enum slot slot, uint64_t id,
            struct tk_buf *out)
{
    if (slot == SLOT_BREAKS) {
        end_by(stream, TK_GRPC_UNIMPLEMENTED, "Import is not served");
    } else if (slot == SLOT_FAILS) {
        stream->cluster->silenced++;
    } else {
        put_empty(out);
        add_id(stream, id);
    }
}

static void
take_request(struct tk_cluster_stream *stream, tikv_slice bytes, uint64_t id,
             const struct tk_cl_plan *carrier, struct tk_buf *out,
             bool *wants_health)
{
    struct tk_cl_request request;
    struct tk_cl_plan plan;
    enum slot slot;

    request.cluster = stream->cluster;
    request.store = stream->request.store;
    request.arrived = stream->request.arrived;
    request.follower_ok = false;
    request.region = NULL;
    request.waiter = NULL;
    request.plan = NULL;
    request.stop = NULL;
    request.client = stream->request.client;
    request.passed = TK_STAGE_RECV;
    request.is_orphan = false;
    request.out_start = 0;
    request.text[0] = '\0';
    slot = open_slot(bytes, &request);
    if (request.method != NULL) {
        tk_cl_count(stream->cluster, request.method);
    }
    if (slot != SLOT_RUNS) {
        take_oddity(stream, slot, id, out);
        return;
    }
    request.out = out;
    tk_cl_plan(&request, &plan);
    tk_cl_store_burden(&request, &plan);
    plan.before.ns += carrier->before.ns;
    plan.silent = plan.silent || carrier->silent;
    add_own_delay(&request, &plan);
    if (delay_request(stream, &request, &plan, id)) {
        return;
    }
    if (request.method->run == tk_cl_health) {
        *wants_health = true;
    }
    run_one(stream, &request, &plan, out, id);
}

/* Messages that are made, in the order in which they will be said. */
struct ready {
    struct tk_cl_message *first;
    struct tk_cl_message *last;
};

static void
keep(struct tk_cluster_stream *stream, struct ready *ready,
     struct tk_cl_message *message)
{
    bool at_front = stream->cluster->shuffles &&
                    tk_rng_next(&stream->cluster->shuffle) % 2 == 0;

    if (ready->first == NULL) {
        ready->last = message;
    } else if (at_front) {
        message->next = ready->first;
    } else {
        ready->last->next = message;
        ready->last = message;
        return;
    }
    ready->first = message;
}

/* Starts the next message where the one at hand is as long as it should be,
 * or with `is_last` where nothing is left. False: the stream is over. */
static bool
turn_message(struct tk_cluster_stream *stream, struct ready *ready,
             struct tk_cl_message **message, bool *wants_health, bool is_last)
{
    struct tk_cluster *cluster = stream->cluster;
    bool is_full = is_last || (cluster->shuffles &&
                               tk_rng_next(&cluster->shuffle) % 2 == 0);

    if (*message != NULL && (stream->answered.len == 0 || !is_full)) {
        return true;
    }
    if (*message != NULL) {
        struct tk_cl_message *full = *message;

        *message = NULL;
        if (!close_message(stream, full, *wants_health)) {
            return false;
        }
        *wants_health = false;
        keep(stream, ready, full);
    }
    *message = is_last ? NULL : tk_cl_message_new(stream);
    if (*message == NULL && !is_last) {
        end_by(stream, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return false;
    }
    return true;
}

static void
say_all(struct tk_cluster_stream *stream, struct ready *ready)
{
    while (ready->first != NULL) {
        struct tk_cl_message *message = ready->first;

        ready->first = message->next;
        message->next = NULL;
        tk_cl_stream_queue(stream, message);
    }
}

static void
take_requests(struct tk_cluster_stream *stream, tikv_slice bytes,
              const struct tk_cl_plan *carrier)
{
    const uint64_t *ids = (const uint64_t *)(const void *)stream->ids.data;
    size_t count = stream->ids.len / sizeof(*ids);
    struct tk_cl_message *message = NULL;
    struct ready ready = { NULL, NULL };
    bool wants_health = false;
    tikv_slice request;
    size_t at = 0;
    size_t i = 0;

    tk_buf_clear(&stream->answered);
    while (!stream->is_over && i < count &&
           tk_cl_each(bytes, 1, &at, &request) &&
           turn_message(stream, &ready, &message, &wants_health, false)) {
        take_request(stream, request, ids[i++], carrier, &message->bytes,
                     &wants_health);
    }
    if (stream->answered.failed) {
        end_by(stream, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory");
    }
    if (!stream->is_over) {
        (void)turn_message(stream, &ready, &message, &wants_health, true);
    }
    tk_cl_message_free(stream, message);
    say_all(stream, &ready);
}

/* Whether it can be read to its end, and has an id for each request. */
static bool
is_sound(struct tk_cluster_stream *stream, tikv_slice bytes)
{
    struct tk_cl_fields fields;

    tk_buf_clear(&stream->ids);
    return tk_cl_decode(bytes, &fields) &&
           tk_cl_each_number(bytes, 2, &stream->ids) &&
           stream->ids.len / sizeof(uint64_t) == fields.counts[1];
}

void
tk_cl_batch_message(struct tk_cluster_stream *stream, tikv_slice bytes)
{
    struct tk_cluster *cluster = stream->cluster;
    struct tk_cl_request *request = &stream->request;
    struct tk_cl_plan plan;

    request->arrived = tk_now(cluster->rt);
    cluster->calls[request->method->index]++;
    if (!is_sound(stream, bytes)) {
        end_by(stream, TK_GRPC_INTERNAL, "cannot read the batch");
        return;
    }
    request->body = bytes;
    tk_cl_plan_carrier(request, &plan);
    if (!plan.skip) {
        take_requests(stream, bytes, &plan);
    } else if (plan.silent) {
        cluster->silenced += stream->ids.len / sizeof(uint64_t);
    }
    if (plan.is_reset) {
        tk_cl_owe(cluster, tk_cl_node_of(request), TK_OWE_RESET);
    } else if (plan.status != TK_GRPC_OK) {
        end_by(stream, tk_cl_plan_status(request, &plan), request->text);
    }
    request->body = (tikv_slice){ NULL, 0 };
    measure(request->store, request->arrived, tk_now(cluster->rt));
}

void
tk_cl_batch_answer(struct tk_cluster_stream *stream,
                   struct tk_cl_delayed *delayed)
{
    struct tk_cl_message *message;
    struct tk_buf *out;
    size_t response;

    if (delayed->status != TK_GRPC_OK) {
        end_by(stream, delayed->status, delayed->request.text);
        return;
    }
    if (delayed->plan.silent) {
        return;
    }
    message = tk_cl_message_new(stream);
    if (message == NULL) {
        end_by(stream, TK_GRPC_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    out = &message->bytes;
    tk_buf_clear(&stream->answered);
    response = tk_put_begin(out, 1);
    tk_put_bytes_always(out, delayed->request.method->slot,
                        tk_buf_slice(&delayed->out));
    tk_put_end(out, response);
    add_id(stream, delayed->id);
    out->failed = out->failed || stream->answered.failed;
    if (close_message(stream, message,
                      delayed->request.method->run == tk_cl_health)) {
        tk_cl_stream_queue(stream, message);
    }
}

/* ---- requests without data ---- */

void
tk_cl_put_health(struct tk_buf *out, uint32_t field,
                 struct tk_cluster *cluster, const struct tk_cl_store *store)
{
    size_t mark = tk_put_begin(out, field);

    tk_put_u64(out, 1, store->id);
    tk_put_u64(out, 2, (uint64_t)store->started_ms + store->feedbacks);
    tk_put_u64(out, 3, tk_cl_store_score(cluster, store));
    tk_put_end(out, mark);
}

int
tk_cl_health(struct tk_cl_request *request)
{
    request->store->feedbacks++;
    tk_cl_put_health(request->out, 2, request->cluster, request->store);
    return TK_GRPC_OK;
}

int
tk_cl_empty(struct tk_cl_request *request)
{
    tk_put_u64(request->out, 1, request->fields.numbers[1]);
    return TK_GRPC_OK;
}
