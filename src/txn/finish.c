/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second phase, and the undoing of the first: the primary is committed
 * alone, or with its neighbours when one request to one region holds them;
 * what is behind it, or what has to be rolled back, is a chore.
 *
 * A neighbour must never be committed before the primary is. The keys that go
 * together are chosen by the cache, which may be wrong: when the region was
 * split meanwhile, the piece without the primary is refused to be encoded,
 * which ends the job, and the primary goes alone.
 */
#include "base/error.h"
#include "base/slice.h"
#include "txn/commit_inner.h"
#include "txn/key_error.h"

#include "kvrpcpb.upb.h"

/* An hour of physical time: no commit ts can be that far behind. */
#define EXPIRED_GAP_MAX (UINT64_C(3600000) << 18)

struct finish {
    struct tk_job job; /* first */
    struct tk_commit *commit;
    size_t first; /* place of the job's first item */
    bool is_primary;
    bool must_have_primary;
    bool was_cut; /* a piece without the primary was refused */

    /* What came of it. */
    bool is_done;
    bool has_doubt;
    bool is_expired;
    tikv_error *refusal;
    size_t failures_count;
};

static struct finish *
finish_of(struct tk_job *job)
{
    return (struct finish *)(void *)job;
}

static tikv_slice
key_at(struct tk_job *job, size_t item)
{
    const struct finish *finish = finish_of(job);

    return tk_entry_key(
        tk_commit_at(finish->commit, finish->first + item)->handle);
}

static size_t
weight_at(struct tk_job *job, size_t item)
{
    return key_at(job, item).len;
}

static bool
has_primary(const struct finish *finish, const struct tk_piece *piece)
{
    size_t first = finish->first + piece->first;
    size_t primary = finish->commit->keys.primary;

    return primary >= first && primary < first + piece->count;
}

/* ---- commit ---- */

static tikv_error *
commit_encode(struct tk_job *job, const struct tk_piece *piece,
              struct tk_arena *arena, tikv_slice *body)
{
    struct finish *finish = finish_of(job);
    struct tk_commit *commit = finish->commit;
    const struct tk_key_codec *codec = &commit->client->router.codec;
    kvrpcpb_CommitRequest *message = kvrpcpb_CommitRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_CommitRequest_resize_keys(
                                     message, piece->count, arena->upb);
    bool is_primary = has_primary(finish, piece);
    upb_StringView primary;
    size_t i;

    if (finish->must_have_primary && !is_primary) {
        finish->was_cut = true;
        return tk_error_immortal(TIKV_ERR_CANCELLED);
    }
    if (keys == NULL ||
        !tk_message_key(codec, arena, commit->primary, &primary)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(codec, arena, key_at(job, piece->first + i),
                            &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_CommitRequest_set_start_version(message, commit->start_ts);
    kvrpcpb_CommitRequest_set_commit_version(message, commit->commit_ts);
    kvrpcpb_CommitRequest_set_primary_key(message, primary);
    kvrpcpb_CommitRequest_set_commit_role(
        message, is_primary ? kvrpcpb_Primary : kvrpcpb_Secondary);
    kvrpcpb_CommitRequest_set_use_async_commit(message, commit->use_async);
    return tk_message_encode(job, arena, message, body);
}

static bool
is_primary_key(const struct tk_commit *commit, upb_StringView view)
{
    tikv_slice key;

    return tk_codec_response_key(&commit->client->router.codec,
                                 tk_slice(view.data, view.size), &key) &&
           tk_slice_equal(key, commit->primary);
}

/* The lock was pushed above the commit ts by readers: another one will do,
 * unless the answer makes no sense (lesson 16). */
static bool
can_try_higher(const struct finish *finish, const kvrpcpb_KeyError *problem)
{
    const kvrpcpb_CommitTsExpired *expired =
        kvrpcpb_KeyError_commit_ts_expired(problem);
    uint64_t demanded;
    uint64_t attempted;

    if (expired == NULL || !finish->is_primary ||
        !is_primary_key(finish->commit, kvrpcpb_CommitTsExpired_key(expired))) {
        return false;
    }
    demanded = kvrpcpb_CommitTsExpired_min_commit_ts(expired);
    attempted = kvrpcpb_CommitTsExpired_attempted_commit_ts(expired);
    return demanded < attempted || demanded - attempted <= EXPIRED_GAP_MAX;
}

static void
note_done(struct finish *finish, const struct tk_piece *piece)
{
    size_t i;

    for (i = 0; i < piece->count; i++) {
        finish->commit->keys.mutations.items[finish->first + piece->first + i]
            .flags |= TK_MUTATION_DONE;
    }
}

static tikv_error *
commit_answer(struct tk_job *job, const struct tk_piece *piece,
              tikv_slice response, struct tk_frame *frame)
{
    struct finish *finish = finish_of(job);
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    if (error != NULL) {
        finish->has_doubt |= has_primary(finish, piece);
        return error;
    }
    problem = kvrpcpb_CommitResponse_error(message);
    if (problem == NULL) {
        finish->is_done |= has_primary(finish, piece);
        note_done(finish, piece);
    } else if (can_try_higher(finish, problem)) {
        finish->is_expired = true;
    } else {
        error = tk_key_error(problem, &finish->commit->client->router.codec,
                             TK_CMD_KV_COMMIT);
        finish->failures_count++;
        if (finish->is_primary) {
            finish->refusal = error;
        } else {
            tikv_error_free(error);
        }
        /* What others refuse is no reason to leave the rest. */
        error =
            finish->is_primary ? tk_error_immortal(TIKV_ERR_CANCELLED) : NULL;
    }
    tk_arena_unref(arena);
    return error;
}

static void
lost(struct tk_job *job, const struct tk_piece *piece, bool in_doubt)
{
    struct finish *finish = finish_of(job);

    finish->failures_count++;
    finish->has_doubt |= in_doubt && has_primary(finish, piece);
}

static const struct tk_job_ops commit_ops = { .key = key_at,
                                              .weight = weight_at,
                                              .encode = commit_encode,
                                              .answer = commit_answer,
                                              .lost = lost };

/* ---- the primary ---- */

static bool
lies_in(const struct tk_commit *commit, size_t place, uint64_t region_id)
{
    struct tk_route route;

    return tk_cache_route(commit->client->router.cache,
                          tk_entry_key(tk_commit_at(commit, place)->handle),
                          &route) &&
           route.region_id == region_id;
}

/* The keys that share a request with the primary: [*first, *end). */
static void
find_company(const struct tk_commit *commit, size_t bytes_max, size_t *first,
             size_t *end)
{
    struct tk_cache *cache = commit->client->router.cache;
    size_t bytes = commit->primary.len;
    struct tk_route route;

    *first = commit->keys.primary;
    *end = commit->keys.primary + 1;
    if (!tk_cache_route(cache, commit->primary, &route)) {
        return;
    }
    while (*first > 0 && lies_in(commit, *first - 1, route.region_id)) {
        bytes += tk_entry_key(tk_commit_at(commit, *first - 1)->handle).len;
        if (bytes > bytes_max) {
            return;
        }
        (*first)--;
    }
    while (*end < commit->keys.mutations.count &&
           lies_in(commit, *end, route.region_id)) {
        bytes += tk_entry_key(tk_commit_at(commit, *end)->handle).len;
        if (bytes > bytes_max) {
            return;
        }
        (*end)++;
    }
}

static tikv_error *
drive_primary(struct finish *finish, struct tk_op *op, size_t first, size_t end)
{
    struct tk_commit *commit = finish->commit;
    tikv_error *error;

    tk_commit_job(commit, &finish->job, &commit_ops, TK_CMD_KV_COMMIT,
                  end - first, TK_BUDGET_PRIMARY_MS);
    /* One piece, however it was weighed. */
    finish->job.piece_bytes_max = 0;
    finish->first = first;
    finish->was_cut = false;
    error = tk_drive(&commit->client->router, op, &finish->job, NULL);
    commit->summary.attempts += finish->job.attempts;
    commit->summary.backoff_ns +=
        (uint64_t)(finish->job.backoff.total_ms * TK_MS);
    return error;
}

tikv_error *
tk_commit_primary(struct tk_commit *commit, struct tk_op *op, bool *expired)
{
    struct finish finish = { .commit = commit,
                             .is_primary = true,
                             .must_have_primary = true };
    struct tk_shield shield;
    tikv_error *error;
    size_t first;
    size_t end;

    *expired = false;
    if (!tk_shield_init(&shield, op)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    find_company(
        commit,
        (size_t)tk_config_int(&commit->client->router.config->txn_batch_bytes),
        &first, &end);
    tk_outcome_reach(&commit->outcome, TK_OUTCOME_SENT);
    error = drive_primary(&finish, &shield.op, first, end);
    if (finish.was_cut && !finish.is_done && !finish.is_expired &&
        finish.refusal == NULL) {
        tikv_error_free(error);
        error = drive_primary(&finish, &shield.op, commit->keys.primary,
                              commit->keys.primary + 1);
    }
    tk_shield_fini(&shield);
    if (finish.is_done || finish.is_expired || finish.refusal != NULL) {
        /* Definite, whatever was lost on the way. */
        tikv_error_free(error);
        *expired = finish.is_expired;
        return finish.refusal;
    }
    if (finish.has_doubt) {
        tk_outcome_reach(&commit->outcome, TK_OUTCOME_UNDETERMINED);
    }
    return error;
}

/* ---- rolling back ---- */

static tikv_error *
rollback_encode(struct tk_job *job, const struct tk_piece *piece,
                struct tk_arena *arena, tikv_slice *body)
{
    struct tk_commit *commit = finish_of(job)->commit;
    kvrpcpb_BatchRollbackRequest *message =
        kvrpcpb_BatchRollbackRequest_new(arena->upb);
    upb_StringView *keys = message == NULL
                               ? NULL
                               : kvrpcpb_BatchRollbackRequest_resize_keys(
                                     message, piece->count, arena->upb);
    size_t i;

    if (keys == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < piece->count; i++) {
        if (!tk_message_key(&commit->client->router.codec, arena,
                            key_at(job, piece->first + i), &keys[i])) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    kvrpcpb_BatchRollbackRequest_set_start_version(message, commit->start_ts);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
rollback_answer(struct tk_job *job, const struct tk_piece *piece,
                tikv_slice response, struct tk_frame *frame)
{
    struct finish *finish = finish_of(job);
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error == NULL) {
        finish->failures_count +=
            kvrpcpb_BatchRollbackResponse_error(message) != NULL;
        tk_arena_unref(arena);
    }
    return error;
}

static const struct tk_job_ops rollback_ops = { .key = key_at,
                                                .weight = weight_at,
                                                .encode = rollback_encode,
                                                .answer = rollback_answer,
                                                .lost = lost };

/* ---- what is left ---- */

static void
tell(const struct finish *finish, tikv_error *error)
{
    struct tk_commit *commit = finish->commit;

    if (error != NULL || finish->failures_count != 0) {
        tk_log(commit->client->router.log, TIKV_LOG_INFO, "txn",
               "transaction %llu: %zu requests of %s failed, others will "
               "resolve the locks: %s",
               (unsigned long long)commit->start_ts, finish->failures_count,
               tk_command_row(finish->job.command)->name,
               tikv_error_message(error));
    }
    tikv_error_free(error);
}

void
tk_commit_finish(struct tk_commit *commit, struct tk_op *op)
{
    bool is_committed = commit->outcome == TK_OUTCOME_COMMITTED;
    struct finish finish = { .commit = commit };
    size_t count = commit->keys.mutations.count;

    if (op == NULL || count == 0) {
        return;
    }
    if (is_committed) {
        tk_commit_job(commit, &finish.job, &commit_ops, TK_CMD_KV_COMMIT, count,
                      TK_BUDGET_BEHIND_MS);
    } else {
        tk_commit_job(commit, &finish.job, &rollback_ops,
                      TK_CMD_KV_BATCH_ROLLBACK, count, TK_BUDGET_CLEANUP_MS);
    }
    finish.job.is_repeatable = true;
    tell(&finish, tk_drive(&commit->client->router, op, &finish.job, NULL));
}
