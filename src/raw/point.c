/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations on one key: get, put, delete, swap, time to live; and the short
 * road of the first three.
 *
 * A point operation is a job of one item. Its request is encoded by body.c;
 * get, put and delete read their answer with the peek alone.
 *
 * Threads: plain functions on the caller's or a worker's; clean() on the
 * transport's.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "raw/inner.h"
#include "wire/context.h"

#include "kvrpcpb.upb.h"

struct point {
    struct tk_job job; /* first */
    struct tk_raw_run *run;
};

static const struct tk_raw_run *
run_of(const struct tk_job *job)
{
    return ((const struct point *)(const void *)job)->run;
}

static tikv_slice
point_key(struct tk_job *job, size_t item)
{
    (void)item;
    return run_of(job)->raw->key;
}

static tikv_error *
point_encode(struct tk_job *job, const struct tk_piece *piece,
             struct tk_arena *arena, tikv_slice *body)
{
    const struct tk_raw_run *run = run_of(job);
    upb_StringView view;
    tikv_slice key;
    uint8_t *bytes;
    size_t len;

    (void)piece;
    if (!tk_message_key(&run->router->codec, arena, run->raw->key, &view)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    key = tk_slice(view.data, view.size);
    len = tk_raw_body_len(run->raw, key);
    /* An empty key makes an empty body, which needs a place all the same. */
    bytes = upb_Arena_Malloc(arena->upb, len + 1);
    if (bytes == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_raw_body_put(run->raw, key, bytes);
    *body = tk_slice(bytes, len);
    return NULL;
}

static tikv_error *
check_peek(const struct tk_job *job, const struct tk_peek *peek)
{
    if (!peek->is_valid) {
        return tk_error(TIKV_ERR_PROTOCOL, "%s: the answer cannot be read",
                        tk_command_row(job->command)->name);
    }
    return tk_raw_server_error(job, peek->error);
}

static tikv_error *
point_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    struct tk_peek peek;
    tikv_error *error;

    (void)piece;
    tk_peek(job->command, response, &peek);
    error = check_peek(job, &peek);
    if (error == NULL && job->command == TK_CMD_RAW_GET) {
        error = tk_raw_value_of(&peek, frame, &run_of(job)->outcome->value);
    }
    return error;
}

static tikv_error *
swap_answer(struct tk_job *job, const struct tk_piece *piece,
            tikv_slice response, struct tk_frame *frame)
{
    struct tk_outcome *outcome = run_of(job)->outcome;
    const kvrpcpb_RawCASResponse *answer;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    answer = message;
    error = tk_raw_server_error(
        job, tk_message_bytes(kvrpcpb_RawCASResponse_error(answer)));
    if (error == NULL) {
        outcome->flag = kvrpcpb_RawCASResponse_succeed(answer);
        if (!kvrpcpb_RawCASResponse_previous_not_exist(answer)) {
            outcome->value = tk_value_new(
                tk_message_bytes(kvrpcpb_RawCASResponse_previous_value(answer)),
                NULL);
            error = outcome->value == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                           : NULL;
        }
    }
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
ttl_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    struct tk_outcome *outcome = run_of(job)->outcome;
    const kvrpcpb_RawGetKeyTTLResponse *answer;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    answer = message;
    error = tk_raw_server_error(
        job, tk_message_bytes(kvrpcpb_RawGetKeyTTLResponse_error(answer)));
    outcome->flag = !kvrpcpb_RawGetKeyTTLResponse_not_found(answer);
    outcome->number[0] = kvrpcpb_RawGetKeyTTLResponse_ttl(answer);
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
drive(struct tk_raw_run *run, const struct tk_job_ops *ops)
{
    struct point point;

    point.run = run;
    tk_raw_job_init(&point.job, ops, run, tk_raw_command(run->raw->kind));
    point.job.items_count = 1;
    return tk_drive(run->router, run->op, &point.job, run->first);
}

tikv_error *
tk_raw_point(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .key = point_key,
                                           .encode = point_encode,
                                           .answer = point_answer };

    return drive(run, &ops);
}

tikv_error *
tk_raw_swap(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .key = point_key,
                                           .encode = point_encode,
                                           .answer = swap_answer };

    return drive(run, &ops);
}

tikv_error *
tk_raw_ttl(struct tk_raw_run *run)
{
    static const struct tk_job_ops ops = { .key = point_key,
                                           .encode = point_encode,
                                           .answer = ttl_answer };

    return drive(run, &ops);
}

/* The transport's thread; the peek is clean. */
static tikv_error *
hot_clean(struct tk_hot *hot, const struct tk_peek *peek,
          struct tk_frame *frame)
{
    struct tk_outcome *outcome = &hot->future.outcome;
    tikv_error *error = NULL;

    if (hot->command == TK_CMD_RAW_GET && !peek->not_found) {
        outcome->value = tk_future_value(&hot->future, peek->value, frame);
        error =
            outcome->value == NULL ? tk_error_immortal(TIKV_ERR_MEMORY) : NULL;
    }
    tk_frame_unref(frame, 1);
    return error;
}

/* More than that is encoded in memory of its own; of the context, by the
 * plain function. */
#define BODY_INLINE 1024
#define CONTEXT_MAX 4096

static void
hand_over(struct tk_raw_hot *hot)
{
    tk_future_listen(&hot->hot.future);
    tk_future_start(&hot->hot.future, false);
}

/* With the context of the call encoded. */
static void
start(struct tk_raw_hot *hot, tikv_slice context)
{
    const struct tk_raw *raw = &hot->raw;
    size_t len = tk_raw_body_len(raw, raw->key);
    uint8_t place[BODY_INLINE];
    uint8_t *body = len > sizeof(place) ? tk_alloc(len) : place;

    if (body == NULL) {
        /* The pool will find out what is wrong. */
        hand_over(hot);
        return;
    }
    tk_raw_body_put(raw, raw->key, body);
    tk_hot_start(&hot->hot, raw->key, context, tk_slice(body, len));
    if (body != place) {
        tk_free(body);
    }
}

static void
start_talkative(struct tk_raw_hot *hot, const struct tk_context_call *context)
{
    struct tk_buf buf;

    tk_buf_init(&buf, CONTEXT_MAX);
    tk_context_call(&buf, context);
    if (buf.failed) {
        hand_over(hot);
    } else {
        start(hot, tk_buf_slice(&buf));
    }
    tk_buf_fini(&buf);
}

void
tk_raw_hot_start(struct tk_raw_hot *hot)
{
    const struct tk_raw *raw = &hot->raw;
    const struct tk_config *config = hot->hot.router->config;
    struct tk_context_call context = {
        .call = &hot->hot.future.call,
        .max_execution_ms = tk_raw_max_execution_ms(config, raw->kind)
    };
    uint8_t plain[TK_CONTEXT_PLAIN];

    if (context.max_execution_ms == 0) {
        context.max_execution_ms =
            (uint64_t)tk_config_int(&config->rpc_attempt_timeout_ms);
    }
    hot->hot.command = tk_raw_command(raw->kind);
    hot->hot.is_write = raw->kind != TK_RAW_GET;
    hot->hot.clean = hot_clean;
    hot->hot.details = raw->details;
    if (hot->hot.router->codec.mode != TK_KEYS_RAW_V1) {
        hand_over(hot);
    } else if (tk_context_is_plain(context.call)) {
        start(hot, tk_slice(plain,
                            tk_context_plain(plain, context.max_execution_ms)));
    } else {
        start_talkative(hot, &context);
    }
}
