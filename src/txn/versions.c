/* SPDX-License-Identifier: Apache-2.0 */
/* Both questions are jobs; the answer that brought something is kept with its
 * memory. No state. */
#include "txn/versions.h"

#include "base/error.h"
#include "base/redact.h"
#include "region/message.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

struct question {
    struct tk_job job; /* first */
    struct tk_txn_client *client;
    tikv_slice key;
    uint64_t start_ts;
    struct tk_versions *out;
};

static struct question *
question_of(struct tk_job *job)
{
    return (struct question *)(void *)job;
}

static tikv_slice
question_key(struct tk_job *job, size_t item)
{
    (void)item;
    return question_of(job)->key;
}

void
tk_versions_fini(struct tk_versions *mvcc)
{
    tk_arena_unref(mvcc->arena);
    *mvcc = (struct tk_versions){ .arena = NULL };
}

static tikv_error *
check(const struct tk_job *job, upb_StringView text)
{
    return text.size == 0
               ? NULL
               : tk_error_said(TIKV_ERR_SERVER,
                               tk_command_row(job->command)->name, text.data,
                               text.size);
}

static void
take_primary(const struct question *question)
{
    struct tk_versions *out = question->out;
    const kvrpcpb_MvccLock *lock =
        out->info == NULL ? NULL : kvrpcpb_MvccInfo_lock(out->info);

    if (lock != NULL) {
        tikv_slice primary = tk_message_bytes(kvrpcpb_MvccLock_primary(lock));

        if (!tk_codec_response_key(&question->client->router.codec, primary,
                                   &out->primary)) {
            out->primary = primary;
        }
    }
}

/* ---- by key ---- */

static tikv_error *
key_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct question *question = question_of(job);
    kvrpcpb_MvccGetByKeyRequest *message =
        kvrpcpb_MvccGetByKeyRequest_new(arena->upb);
    upb_StringView key;

    (void)piece;
    if (message == NULL || !tk_message_key(&question->client->router.codec,
                                           arena, question->key, &key)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_MvccGetByKeyRequest_set_key(message, key);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
key_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    struct tk_versions *out = question_of(job)->out;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    error = check(job, kvrpcpb_MvccGetByKeyResponse_error(message));
    if (error != NULL) {
        tk_arena_unref(arena);
        return error;
    }
    tk_versions_fini(out);
    out->arena = arena;
    out->info = kvrpcpb_MvccGetByKeyResponse_info(message);
    return NULL;
}

tikv_error *
tk_versions_get(struct tk_txn_client *client, struct tk_op *op,
                struct tk_backoff *backoff, tikv_slice key,
                struct tk_versions *out)
{
    static const struct tk_job_ops ops = { .key = question_key,
                                           .encode = key_encode,
                                           .answer = key_answer };
    struct question question = { .client = client, .key = key, .out = out };
    tikv_error *error;

    *out = (struct tk_versions){ .arena = NULL };
    tk_resolver_job(client->resolver, &question.job, &ops,
                    TK_CMD_MVCC_GET_BY_KEY, backoff);
    question.job.items_count = 1;
    error = tk_resolver_drive(client->resolver, op, &question.job, backoff);
    if (error == NULL) {
        out->key = key;
        take_primary(&question);
    } else {
        tk_versions_fini(out);
    }
    return error;
}

/* ---- by start ts ---- */

static tikv_error *
start_encode(struct tk_job *job, const struct tk_piece *piece,
             struct tk_arena *arena, tikv_slice *body)
{
    kvrpcpb_MvccGetByStartTsRequest *message =
        kvrpcpb_MvccGetByStartTsRequest_new(arena->upb);

    (void)piece;
    if (message != NULL) {
        kvrpcpb_MvccGetByStartTsRequest_set_start_ts(
            message, question_of(job)->start_ts);
    }
    return tk_message_encode(job, arena, message, body);
}

/* Of several regions that have something, the first that answers. */
static tikv_error *
start_answer(struct tk_job *job, const struct tk_piece *piece,
             tikv_slice response, struct tk_frame *frame)
{
    struct question *question = question_of(job);
    struct tk_versions *out = question->out;
    const kvrpcpb_MvccInfo *info;
    struct tk_arena *arena;
    void *message;
    tikv_slice key;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    error = check(job, kvrpcpb_MvccGetByStartTsResponse_error(message));
    info = kvrpcpb_MvccGetByStartTsResponse_info(message);
    if (error == NULL && info != NULL && out->info == NULL &&
        tk_codec_response_key(
            &question->client->router.codec,
            tk_message_bytes(kvrpcpb_MvccGetByStartTsResponse_key(message)),
            &key) &&
        key.len != 0) {
        *out = (struct tk_versions){ arena, info, key, { NULL, 0 } };
        return NULL;
    }
    tk_arena_unref(arena);
    return error;
}

tikv_error *
tk_versions_find(struct tk_txn_client *client, struct tk_op *op,
                 struct tk_backoff *backoff, uint64_t start_ts,
                 tikv_range range, struct tk_versions *out)
{
    static const struct tk_job_ops ops = { .encode = start_encode,
                                           .answer = start_answer };
    struct question question = { .client = client,
                                 .start_ts = start_ts,
                                 .out = out };
    tikv_error *error;

    *out = (struct tk_versions){ .arena = NULL };
    tk_resolver_job(client->resolver, &question.job, &ops,
                    TK_CMD_MVCC_GET_BY_START_TS, backoff);
    question.job.range = range;
    error = tk_resolver_drive(client->resolver, op, &question.job, backoff);
    if (error != NULL) {
        tk_versions_fini(out);
    } else {
        take_primary(&question);
    }
    return error;
}
