/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that the caller made, to the region of a key: a job of one item
 * whose body is there already and whose answer is handed out as it is. A
 * promised one is one block:
 *
 *     future, tk_own_request | key, message, context | call's texts
 *
 * Any thread, no lock.
 */
#include "api/request.h"

#include <string.h>

#include "base/call.h"
#include "base/error.h"
#include "base/slice.h"
#include "base/value.h"
#include "wire/context.h"
#include "wire/proto.h"

/* A later field must not be read from an older caller's padding. */
_Static_assert(sizeof(tikv_request_options) ==
                   offsetof(tikv_request_options, details) + sizeof(void *),
               "no padding at the end");

struct promise {
    struct tikv_future future; /* first */
    struct tk_own_request request;
};

void
tikv_request_options_init(tikv_request_options *options, size_t struct_size)
{
    if (options != NULL) {
        tikv_call_init(&options->call, struct_size);
    }
}

/* ---- arguments ---- */

/* ARGUMENT for bytes that are no message, or have a field that `refuses`. */
static tikv_error *
check_fields(const char *what, tikv_slice bytes,
             bool (*refuses)(uint32_t field, uint32_t context_field),
             uint32_t context_field)
{
    struct tk_cursor cursor = tk_cursor(bytes);
    struct tk_field field;

    while (tk_cursor_field(&cursor, &field)) {
        if (refuses(field.number, context_field)) {
            return tk_error(TIKV_ERR_ARGUMENT,
                            "%s: field %u is the library's to set", what,
                            (unsigned)field.number);
        }
    }
    return tk_cursor_is_done(&cursor)
               ? NULL
               : tk_error(TIKV_ERR_ARGUMENT, "%s: no protobuf message", what);
}

static bool
is_context(uint32_t field, uint32_t context_field)
{
    return field == context_field;
}

static bool
is_ours(uint32_t field, uint32_t context_field)
{
    (void)context_field;
    return tk_context_has(field);
}

static tikv_error *
check_options(const tikv_request_options *options)
{
    if (options->attempt_timeout_ms < 0 ||
        options->attempt_timeout_ms > INT32_MAX) {
        return tk_error(TIKV_ERR_ARGUMENT, "attempt_timeout_ms: %lld",
                        (long long)options->attempt_timeout_ms);
    }
    if (options->read_from < TIKV_READ_FROM_LEADER ||
        options->read_from > TIKV_READ_FROM_LEARNER) {
        return tk_error(TIKV_ERR_ARGUMENT, "read_from: %d",
                        (int)options->read_from);
    }
    if (options->stale_read < TIKV_DEFAULT || options->stale_read > TIKV_OFF) {
        return tk_error(TIKV_ERR_ARGUMENT, "stale_read: no switch");
    }
    if ((options->flags & ~TIKV_REQUEST_RAW_KEY) != 0 ||
        options->reserved != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "flags: %#x",
                        (unsigned)options->flags);
    }
    return check_fields("context", options->context, is_ours, 0);
}

static struct tk_router *
router_of(tikv_client *client, bool is_raw)
{
    return is_raw ? &client->router : &client->txns->router;
}

static tikv_error *
read_method(const char *method, bool is_stream, tikv_slice message,
            struct tk_own_request *out)
{
    const struct tk_command_row *row;

    out->command = method == NULL ? TK_COMMANDS : tk_command_by_name(method);
    if (out->command == TK_COMMANDS) {
        return tk_error(TIKV_ERR_ARGUMENT, "\"%.64s\" is no method of TiKV",
                        method == NULL ? "" : method);
    }
    row = tk_command_row(out->command);
    if (row->kind != (is_stream ? TK_KIND_DOWN : TK_KIND_UNARY)) {
        return tk_error(TIKV_ERR_UNSUPPORTED,
                        is_stream ? "%s is not answered by a stream"
                                  : "%s is a stream",
                        row->name);
    }
    out->message = message;
    return check_fields(row->name, message, is_context, row->context_field);
}

static tikv_error *
read_request(tikv_client *client, const char *method, bool is_stream,
             const tikv_request_options *from, struct tk_own_request *out,
             tikv_call *call)
{
    static const enum tk_read_from froms[] = {
        [TIKV_READ_FROM_LEADER] = TK_READ_LEADER,
        [TIKV_READ_FROM_FOLLOWER] = TK_READ_FOLLOWER,
        [TIKV_READ_FROM_ANY] = TK_READ_MIXED,
        [TIKV_READ_FROM_PREFER_LEADER] = TK_READ_PREFER_LEADER,
        [TIKV_READ_FROM_LEARNER] = TK_READ_LEARNER,
    };
    tikv_request_options options;
    tikv_error *error = tk_options_read(from, sizeof(options), &options);

    if (error == NULL) {
        error = check_options(&options);
    }
    if (error == NULL) {
        error = read_method(method, is_stream, out->message, out);
    }
    if (error != NULL) {
        return error;
    }
    out->router =
        router_of(client, (options.flags & TIKV_REQUEST_RAW_KEY) != 0 ||
                              strncmp(method, "Raw", 3) == 0);
    out->context = options.context;
    out->pin =
        (struct tk_region_pin){ options.region_id, options.region_version };
    out->read.from = froms[options.read_from];
    out->read.is_stale = options.stale_read == TIKV_ON;
    out->attempt_ms = options.attempt_timeout_ms;
    out->details = options.details;
    *call = options.call;
    call->struct_size = sizeof(*call);
    return NULL;
}

/* ---- the job ---- */

struct sending {
    struct tk_job job; /* first */
    const struct tk_own_request *request;
    tikv_value **out;
};

static const struct sending *
sending_of(const struct tk_job *job)
{
    return (const struct sending *)(const void *)job;
}

static tikv_slice
key_of(struct tk_job *job, size_t item)
{
    (void)item;
    return sending_of(job)->request->key;
}

static tikv_error *
encode(struct tk_job *job, const struct tk_piece *piece, struct tk_arena *arena,
       tikv_slice *body)
{
    tikv_slice message = sending_of(job)->request->message;

    (void)piece;
    (void)arena;
    *body = message.len == 0 ? tk_slice("", 0) : message;
    return NULL;
}

static tikv_error *
answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice response,
       struct tk_frame *frame)
{
    tikv_value **out = sending_of(job)->out;
    bool is_alias = response.len >= TK_VALUE_ALIAS_MIN && frame != NULL;

    (void)piece;
    if (out == NULL) {
        return NULL; /* it lies in the feed */
    }
    if (is_alias) {
        tk_frame_ref(frame);
    }
    *out = tk_value_new(response.len == 0 ? tk_slice("", 0) : response,
                        is_alias ? frame : NULL);
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}

tikv_error *
tk_own_request_deliver(const struct tk_own_request *request, struct tk_op *op,
                       tikv_value **out, struct tk_feed **feed)
{
    static const struct tk_job_ops ops = { .key = key_of,
                                           .encode = encode,
                                           .answer = answer };
    const struct tk_config *config = request->router->config;
    struct sending sending;
    tikv_error *error;

    memset(&sending, 0, sizeof(sending));
    sending.request = request;
    sending.out = out;
    sending.job.ops = &ops;
    sending.job.command = request->command;
    sending.job.items_count = 1;
    sending.job.budget_ms = tk_config_int(&config->backoff_raw_ms) *
                            tk_config_int(&config->backoff_weight);
    sending.job.attempt_ms = request->attempt_ms;
    sending.job.read = request->read;
    sending.job.context = request->context;
    sending.job.pin = request->pin;
    error = tk_drive(request->router, op, &sending.job, NULL);
    if (feed != NULL && error == NULL) {
        *feed = sending.job.feed;
    } else {
        tk_feed_drop(sending.job.feed);
    }
    return error;
}

/* ---- blocking ---- */

tikv_error *
tk_own_request_enter(tikv_client *client, const char *method, bool is_stream,
                     const tikv_request_options *from,
                     struct tk_own_request *out, tikv_call *call,
                     struct tk_op *op)
{
    tikv_error *error = tk_door_refusal(client);

    if (error == NULL) {
        error = read_request(client, method, is_stream, from, out, call);
    }
    if (error == NULL) {
        error = tk_door_enter(client, call, op);
    }
    if (error == NULL) {
        op->details = out->details;
    }
    return error;
}

tikv_error *
tikv_request_send(tikv_client *client, const char *method, tikv_slice key,
                  tikv_slice message, const tikv_request_options *options,
                  tikv_value **out)
{
    struct tk_own_request request = { .key = key, .message = message };
    tikv_error *error;
    struct tk_op op;
    tikv_call call;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    error = tk_own_request_enter(client, method, false, options, &request,
                                 &call, &op);
    if (error != NULL) {
        return error;
    }
    error = tk_op_end(&op, tk_own_request_deliver(&request, &op, out, NULL));
    tk_door_leave(client, &op);
    return error;
}

/* ---- promised ---- */

static tikv_error *
run(struct tikv_future *future, struct tk_op *op)
{
    const struct tk_own_request *request =
        &((struct promise *)(void *)future)->request;

    op->details = request->details;
    return tk_own_request_deliver(request, op, &future->outcome.value, NULL);
}

static const struct tk_future_ops promise_ops = { .run = run };

static tikv_slice
copy_slice(tikv_slice from, uint8_t **at)
{
    tikv_slice to = { *at, from.len };

    if (from.len != 0) {
        memcpy(*at, from.data, from.len);
        *at += from.len;
    }
    return to;
}

static struct tikv_future *
promise_new(tikv_client *client, const struct tk_own_request *request,
            const tikv_call *call)
{
    size_t size = sizeof(struct promise);
    struct tikv_future *future;
    struct promise *promise;
    uint8_t *at;

    if (__builtin_add_overflow(size, request->key.len, &size) ||
        __builtin_add_overflow(size, request->message.len, &size) ||
        __builtin_add_overflow(size, request->context.len, &size) ||
        __builtin_add_overflow(size, tk_call_copy_size(call), &size)) {
        return NULL;
    }
    future =
        tk_future_new(client->router.exec, size, &promise_ops, TK_KIND_VALUE,
                      call, tk_config_ns(&client->config.call_timeout_ms));
    if (future != NULL) {
        promise = (struct promise *)(void *)future;
        at = (uint8_t *)(promise + 1);
        promise->request = *request;
        promise->request.key = copy_slice(request->key, &at);
        promise->request.message = copy_slice(request->message, &at);
        promise->request.context = copy_slice(request->context, &at);
        (void)tk_call_copy(&future->call, at);
    }
    return future;
}

tikv_future *
tikv_request_send_async(tikv_client *client, const char *method, tikv_slice key,
                        tikv_slice message, const tikv_request_options *options)
{
    struct tk_own_request request = { .key = key, .message = message };
    tikv_error *error = tk_door_refusal(client);
    struct tikv_future *future;
    tikv_call call;

    if (error == NULL) {
        error = read_request(client, method, false, options, &request, &call);
    }
    if (error != NULL) {
        return tk_door_refuse(client, error);
    }
    future = promise_new(client, &request, &call);
    if (future == NULL) {
        return tk_future_immortal();
    }
    tk_future_listen(future);
    tk_future_start(future, false);
    return future;
}

/* ---- keys ---- */

tikv_error *
tikv_request_key(tikv_client *client, tikv_slice key, uint32_t flags,
                 tikv_value **out)
{
    const struct tk_key_codec *codec;
    struct tk_buf buf;

    if (out != NULL) {
        *out = NULL;
    }
    if (client == NULL || out == NULL ||
        (flags & ~(TIKV_REQUEST_RAW_KEY | TIKV_REQUEST_END)) != 0) {
        return tk_error(TIKV_ERR_ARGUMENT, "client, out or flags");
    }
    codec = &router_of(client, (flags & TIKV_REQUEST_RAW_KEY) != 0)->codec;
    tk_buf_init(&buf, SIZE_MAX / 4);
    if ((flags & TIKV_REQUEST_END) != 0) {
        tk_codec_request_end(codec, &buf, key);
    } else {
        tk_codec_request_key(codec, &buf, key);
    }
    if (!buf.failed) {
        *out = tk_value_new(buf.len == 0 ? tk_slice("", 0) : tk_buf_slice(&buf),
                            NULL);
    }
    tk_buf_fini(&buf);
    return *out == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
}
