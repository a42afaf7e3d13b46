/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first phase: every key gets its lock. It works in rounds. A round is
 * one job over the keys that are not locked yet; pieces of it may meet locks
 * of others, which are gathered, resolved and waited for, and then the next
 * round takes what is left:
 *
 *     round --all locked---------------------------------> done
 *       ^  \--refused: conflict, key exists, ...---------> failed
 *       |   \-no answer----------------> failed or undetermined (commit.h)
 *       |    \-locks met --resolve, wait--+
 *       +---------------------------------+
 *
 * Async and one-phase prewrites are a commit point: a round of these runs
 * behind a shield, and the caller's cancel is looked at between rounds, where
 * it is known that the transaction is not committed.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "txn/key_error.h"
#include "txn/prewrite_inner.h"
#include "txn/resolver.h"

#include "kvrpcpb.upb.h"

static struct tk_prewrite *
round_of(struct tk_job *job)
{
    return (struct tk_prewrite *)(void *)job;
}

static tikv_slice
key_at(struct tk_job *job, size_t item)
{
    return tk_entry_key(tk_prewrite_at(round_of(job), item)->handle);
}

static size_t
weight_at(struct tk_job *job, size_t item)
{
    const struct tk_mutation *mutation = tk_prewrite_at(round_of(job), item);

    return tk_entry_key(mutation->handle).len +
           tk_prewrite_value(round_of(job)->commit, mutation).len;
}

/* ---- the answer ---- */

/* Another transaction that began later holds the key: it would win anyway,
 * and waiting for it could be waiting in a circle. */
static tikv_error *
refuse_lock(const struct tk_commit *commit, const struct tk_lock *lock)
{
    tikv_error *error;

    if (lock->start_ts < commit->start_ts && !commit->rules.fails_on_locks) {
        return NULL;
    }
    error = tk_error(TIKV_ERR_WRITE_CONFLICT,
                     "KvPrewrite: transaction %llu meets a lock of %llu",
                     (unsigned long long)commit->start_ts,
                     (unsigned long long)lock->start_ts);
    tk_error_set_u64(error, TIKV_ERROR_START_TS, commit->start_ts);
    tk_error_set_u64(error, TIKV_ERROR_CONFLICT_TS, lock->start_ts);
    tk_error_set_u64(error, TIKV_ERROR_REASON, TIKV_CONFLICT_OPTIMISTIC);
    tk_error_set_key(error, lock->key);
    return error;
}

static tikv_error *
take_lock(struct tk_prewrite *round, const kvrpcpb_KeyError *problem)
{
    const tikv_slice no_key = { NULL, 0 };
    size_t before = round->locks.count;
    tikv_error *error = tk_lock_set_meet(
        &round->locks, &round->commit->client->router.codec, problem, no_key);
    size_t i;

    for (i = before; error == NULL && i < round->locks.count; i++) {
        error = refuse_lock(round->commit, &round->locks.data[i]);
    }
    return error;
}

/* The first refusal ends the job; an assertion only when nothing else does
 * and no lock is in the way: whatever else went wrong is the likelier cause,
 * and a broken assertion is told of as damaged data. */
static tikv_error *
take_errors(struct tk_prewrite *round, const kvrpcpb_KeyError *const *errors,
            size_t count)
{
    size_t i;

    round->has_open = true;
    for (i = 0; i < count && round->refusal == NULL; i++) {
        if (tk_lock_is_met(errors[i])) {
            round->refusal = take_lock(round, errors[i]);
        } else {
            tikv_error *error =
                tk_key_error(errors[i], &round->commit->client->router.codec,
                             TK_CMD_KV_PREWRITE);

            if (tikv_error_code(error) != TIKV_ERR_ASSERTION) {
                round->refusal = error;
                round->commit->is_refused = true;
            } else if (round->assertion == NULL) {
                round->assertion = error;
            } else {
                tikv_error_free(error);
            }
        }
    }
    return round->refusal == NULL ? NULL
                                  : tk_error_immortal(TIKV_ERR_CANCELLED);
}

/* What TiKV made of async and one-phase commit. */
static tikv_error *
take_timestamps(struct tk_prewrite *round, const struct tk_piece *piece,
                uint64_t min_ts, uint64_t one_phase_ts)
{
    struct tk_commit *commit = round->commit;
    bool was_asked =
        commit->use_one_phase && tk_prewrite_covers_all(round, piece);

    if (one_phase_ts != 0) {
        if (!was_asked) {
            return tk_error(TIKV_ERR_PROTOCOL,
                            "KvPrewrite: committed in one phase unasked");
        }
        commit->in_one_phase = true;
        commit->commit_ts = one_phase_ts;
        return NULL;
    }
    if (was_asked) {
        commit->use_one_phase = false;
        round->sent_one_phase = false;
        commit->summary.fallbacks |= TIKV_FALLBACK_1PC;
    }
    if (commit->use_async && min_ts == 0) {
        /* One ordinary lock makes the whole transaction an ordinary one. */
        commit->use_async = false;
        commit->summary.fallbacks |= TIKV_FALLBACK_ASYNC;
    }
    if (min_ts > commit->answered_ts) {
        commit->answered_ts = min_ts;
    }
    return NULL;
}

static void
note_locked(struct tk_prewrite *round, const struct tk_piece *piece)
{
    struct tk_commit *commit = round->commit;
    size_t i;

    for (i = 0; i < piece->count; i++) {
        size_t place = tk_prewrite_place(round, piece->first + i);

        commit->keys.mutations.items[place].flags |= TK_MUTATION_PREWRITTEN;
        if (place == commit->keys.primary && !commit->in_one_phase &&
            commit->keys.bytes >
                (uint64_t)tk_config_int(
                    &commit->client->router.config->txn_heartbeat_bytes)) {
            round->hooks->keep_alive(round->hooks->arg);
        }
    }
    commit->some_prewritten = true;
}

static tikv_error *
answer(struct tk_job *job, const struct tk_piece *piece, tikv_slice response,
       struct tk_frame *frame)
{
    struct tk_prewrite *round = round_of(job);
    const kvrpcpb_KeyError *const *errors;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);
    size_t count;

    round->pieces_count++;
    if (error != NULL) {
        round->has_doubt = true;
        round->answer_failed = true;
        return error;
    }
    errors = kvrpcpb_PrewriteResponse_errors(message, &count);
    if (count != 0) {
        error = take_errors(round, errors, count);
    } else {
        error = take_timestamps(
            round, piece, kvrpcpb_PrewriteResponse_min_commit_ts(message),
            kvrpcpb_PrewriteResponse_one_pc_commit_ts(message));
        if (error == NULL) {
            note_locked(round, piece);
        } else {
            round->has_doubt = true;
        }
    }
    tk_arena_unref(arena);
    round->answer_failed = error != NULL;
    return error;
}

static void
lost(struct tk_job *job, const struct tk_piece *piece, bool in_doubt)
{
    struct tk_prewrite *round = round_of(job);

    (void)piece;
    if (round->answer_failed) {
        round->answer_failed = false;
        return;
    }
    round->pieces_count++;
    if (in_doubt) {
        round->has_doubt = true;
    } else {
        round->has_open = true;
    }
}

/* ---- rounds ---- */

static const struct tk_job_ops ops = { .key = key_at,
                                       .weight = weight_at,
                                       .encode = tk_prewrite_encode,
                                       .answer = answer,
                                       .lost = lost };

/* What is not locked yet, into round->todo; all at first. */
static bool
find_work(struct tk_prewrite *round, bool is_first)
{
    const struct tk_mutations *mutations = &round->commit->keys.mutations;
    size_t count = 0;
    size_t i;

    round->job.items_count = mutations->count;
    if (is_first) {
        return true;
    }
    if (round->todo == NULL) {
        round->todo = tk_alloc_array(mutations->count, sizeof(*round->todo));
    }
    if (round->todo == NULL) {
        return false;
    }
    for (i = 0; i < mutations->count; i++) {
        if ((mutations->items[i].flags & TK_MUTATION_PREWRITTEN) == 0) {
            round->todo[count++] = i;
        }
    }
    round->job.items_count = count;
    return true;
}

static tikv_error *
drive(struct tk_prewrite *round, struct tk_op *op, bool is_first)
{
    struct tk_commit *commit = round->commit;
    struct tk_router *router = &commit->client->router;
    struct tk_shield shield;
    tikv_error *error;

    round->pieces_count = 0;
    round->sent_one_phase = false;
    round->has_open = false;
    round->has_doubt = false;
    round->job.is_retry = !is_first;
    if (!find_work(round, is_first) || !tk_shield_init(&shield, op)) {
        round->has_open = true;
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_drive(
        router, commit->use_async || commit->use_one_phase ? &shield.op : op,
        &round->job, NULL);
    tk_shield_fini(&shield);
    commit->summary.rounds++;
    commit->summary.attempts += round->job.attempts;
    commit->summary.regions_count += round->pieces_count;
    commit->some_unanswered |= round->job.unanswered != 0 || round->has_doubt;
    return error;
}

/* A round that was not clean: what it means. Takes `error`. */
static tikv_error *
judge(struct tk_prewrite *round, tikv_error *error)
{
    struct tk_commit *commit = round->commit;
    bool is_commit_point = commit->use_async || round->sent_one_phase;

    if (round->refusal != NULL) {
        tikv_error_free(error);
        error = round->refusal;
        round->refusal = NULL;
    } else if (error != NULL && is_commit_point && round->has_doubt &&
               !round->has_open) {
        tk_outcome_reach(&commit->outcome, TK_OUTCOME_UNDETERMINED);
    } else if (error == NULL && round->locks.count == 0) {
        error = round->assertion;
        round->assertion = NULL;
    }
    return error;
}

/* The locks that were met. */
static tikv_error *
clear_way(struct tk_prewrite *round, struct tk_op *op,
          struct tk_backoff *backoff)
{
    struct tk_commit *commit = round->commit;
    struct tk_resolver *resolver = commit->client->resolver;
    struct tk_resolve resolve = { .caller_start_ts = commit->start_ts,
                                  .backoff = backoff };
    int64_t from = tk_now(op->rt);
    tikv_error *error = tk_op_check(op);

    if (error == NULL) {
        error = tk_resolver_resolve(resolver, op, &resolve, &round->locks);
    }
    if (error == NULL && resolve.wait_ms > 0) {
        error = tk_resolver_wait(resolver, op, &resolve, TK_BACKOFF_TXN_LOCK);
    }
    commit->summary.resolve_ns += (uint64_t)(tk_now(op->rt) - from);
    tk_lock_set_clear(&round->locks);
    return error;
}

tikv_error *
tk_commit_prewrite(struct tk_commit *commit, struct tk_op *op,
                   const struct tk_commit_hooks *hooks)
{
    struct tk_prewrite round = { .commit = commit, .hooks = hooks };
    struct tk_backoff backoff;
    bool is_first = true;
    tikv_error *error;

    tk_commit_job(commit, &round.job, &ops, TK_CMD_KV_PREWRITE,
                  commit->keys.mutations.count, TK_BUDGET_PREWRITE_MS);
    tk_backoff_init(&backoff, round.job.budget_ms);
    round.job.history = &backoff;
    tk_lock_set_init(&round.locks);
    for (;;) {
        error = judge(&round, drive(&round, op, is_first));
        if (error != NULL || round.locks.count == 0) {
            break;
        }
        is_first = false;
        tk_backoff_carry(&backoff, &round.job.backoff);
        error = clear_way(&round, op, &backoff);
        if (error != NULL) {
            break;
        }
    }
    commit->summary.backoff_ns +=
        (uint64_t)(round.job.backoff.total_ms * TK_MS);
    tikv_error_free(round.assertion);
    tk_lock_set_fini(&round.locks);
    tk_free(round.todo);
    return error;
}
