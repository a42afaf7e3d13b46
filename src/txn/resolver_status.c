/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a transaction: CheckTxnStatus on its primary. Final answers
 * are cached; the same question asked twice at a time is sent once, and all
 * who asked get the answer (NET-11's idea, with every field of the question
 * compared: lesson 38).
 *
 * A transaction that left no trace is not rolled back before its lock's time
 * is over: its primary may be about to be written. Whoever asks waits, by the
 * txnNotFound pauses, within the budget.
 *
 * Lock: resolver.lock, for cache and flights.
 */
#include "base/error.h"
#include "region/message.h"
#include "txn/key_error.h"
#include "txn/resolver_inner.h"

#include "kvrpcpb.upb.h"

/* A timestamp that is older is asked for anew before an expiry is judged. */
#define RECENT_MS 2000

/* A question on its way, on the stack of who sent it. */
struct tk_ask_flight {
    const struct tk_question *question;
    struct tk_waiters waiters;
    struct tk_ask_flight *next;
};

/* Somebody with the same question. */
struct asker {
    struct tk_waiter waiter; /* first */
    bool is_told;            /* the rest is set */
    enum tk_fate fate;
    uint64_t commit_ts;
    uint64_t ttl_ms;
};

void
tk_status_init(struct tk_txn_status *status)
{
    status->fate = TK_FATE_MISSING;
    status->commit_ts = 0;
    status->ttl_ms = 0;
    status->keys = NULL;
    status->keys_count = 0;
    tk_lock_set_init(&status->primary);
}

void
tk_status_fini(struct tk_txn_status *status)
{
    tk_lock_set_fini(&status->primary);
}

tikv_error *
tk_status_save(struct tk_resolver *resolver, uint64_t start_ts,
               uint64_t commit_ts)
{
    bool fits;

    tk_mutex_lock(&resolver->lock);
    fits = tk_status_cache_save(&resolver->cache, start_ts, commit_ts);
    tk_mutex_unlock(&resolver->lock);
    return fits ? NULL
                : tk_error(TIKV_ERR_SERVER,
                           "transaction %llu was decided twice, differently: "
                           "the cluster contradicts itself",
                           (unsigned long long)start_ts);
}

int64_t
tk_status_left_ms(struct tk_resolver *resolver, uint64_t start_ts,
                  uint64_t ttl_ms)
{
    uint64_t end = tk_ts_ms(start_ts) + ttl_ms;
    uint64_t now = tk_txn_time_ms(resolver->client);

    return end <= now                        ? 1
           : end - now > (uint64_t)INT32_MAX ? INT32_MAX
                                             : (int64_t)(end - now);
}

/* ---- the request ---- */

struct ask {
    struct tk_job job; /* first */
    struct tk_resolver *resolver;
    const struct tk_question *question;
    struct tk_txn_status *status;
};

static struct ask *
ask_of(struct tk_job *job)
{
    return (struct ask *)(void *)job;
}

static tikv_slice
ask_key(struct tk_job *job, size_t item)
{
    (void)item;
    return ask_of(job)->question->primary;
}

static tikv_error *
ask_encode(struct tk_job *job, const struct tk_piece *piece,
           struct tk_arena *arena, tikv_slice *body)
{
    const struct ask *ask = ask_of(job);
    const struct tk_question *question = ask->question;
    kvrpcpb_CheckTxnStatusRequest *message =
        kvrpcpb_CheckTxnStatusRequest_new(arena->upb);
    upb_StringView primary;

    (void)piece;
    if (message == NULL ||
        !tk_message_key(&ask->resolver->client->router.codec, arena,
                        question->primary, &primary)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_CheckTxnStatusRequest_set_primary_key(message, primary);
    kvrpcpb_CheckTxnStatusRequest_set_lock_ts(message, question->start_ts);
    kvrpcpb_CheckTxnStatusRequest_set_caller_start_ts(
        message, question->caller_start_ts);
    kvrpcpb_CheckTxnStatusRequest_set_current_ts(message, question->current_ts);
    kvrpcpb_CheckTxnStatusRequest_set_rollback_if_not_exist(
        message, question->rolls_back);
    kvrpcpb_CheckTxnStatusRequest_set_force_sync_commit(message,
                                                        question->is_sync);
    kvrpcpb_CheckTxnStatusRequest_set_resolving_pessimistic_lock(
        message, question->is_pessimistic);
    kvrpcpb_CheckTxnStatusRequest_set_verify_is_primary(message, true);
    kvrpcpb_CheckTxnStatusRequest_set_is_txn_file(message,
                                                  question->is_txn_file);
    return tk_message_encode(job, arena, message, body);
}

static tikv_error *
read_problem(struct ask *ask, const kvrpcpb_KeyError *problem)
{
    if (kvrpcpb_KeyError_has_txn_not_found(problem)) {
        ask->status->fate = TK_FATE_MISSING;
        return NULL;
    }
    if (kvrpcpb_KeyError_has_primary_mismatch(problem) &&
        ask->question->is_pessimistic) {
        ask->status->fate = TK_FATE_OTHER_PRIMARY;
        return NULL;
    }
    return tk_key_error(problem, &ask->resolver->client->router.codec,
                        ask->job.command);
}

/* By PD's time as far as TiKV was told it. */
static bool
is_expired(uint64_t start_ts, uint64_t ttl_ms, uint64_t current_ts)
{
    return current_ts == UINT64_MAX ||
           tk_ts_ms(start_ts) + ttl_ms < tk_ts_ms(current_ts);
}

static tikv_error *
read_answer(struct ask *ask, const kvrpcpb_CheckTxnStatusResponse *message)
{
    const struct tk_question *question = ask->question;
    const kvrpcpb_LockInfo *lock =
        kvrpcpb_CheckTxnStatusResponse_lock_info(message);
    struct tk_txn_status *status = ask->status;
    struct tk_answer answer = {
        .ttl_ms = kvrpcpb_CheckTxnStatusResponse_lock_ttl(message),
        .commit_ts = kvrpcpb_CheckTxnStatusResponse_commit_version(message),
        .action = kvrpcpb_CheckTxnStatusResponse_action(message),
        .has_lock = lock != NULL,
        .is_async = lock != NULL && kvrpcpb_LockInfo_use_async_commit(lock),
        .is_sync = question->is_sync,
    };
    tikv_error *error = NULL;

    answer.is_expired =
        is_expired(question->start_ts, answer.ttl_ms, question->current_ts);
    status->fate = tk_fate_of(&answer);
    status->commit_ts = answer.commit_ts;
    status->ttl_ms = answer.ttl_ms;
    tk_lock_set_clear(&status->primary);
    if (status->fate == TK_FATE_ASYNC ||
        status->fate == TK_FATE_ASYNC_EXPIRED) {
        error = tk_lock_set_add(&status->primary,
                                &ask->resolver->client->router.codec, lock,
                                question->primary);
    }
    return error;
}

static tikv_error *
ask_answer(struct tk_job *job, const struct tk_piece *piece,
           tikv_slice response, struct tk_frame *frame)
{
    struct ask *ask = ask_of(job);
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    (void)piece;
    if (error != NULL) {
        return error;
    }
    problem = kvrpcpb_CheckTxnStatusResponse_error(message);
    error = problem != NULL ? read_problem(ask, problem)
                            : read_answer(ask, message);
    tk_arena_unref(arena);
    return error;
}

static tikv_error *
send_question(struct tk_resolver *resolver, struct tk_op *op,
              struct tk_backoff *backoff, const struct tk_question *question,
              struct tk_txn_status *out)
{
    static const struct tk_job_ops ops = { .key = ask_key,
                                           .encode = ask_encode,
                                           .answer = ask_answer };
    struct ask ask = { .resolver = resolver,
                       .question = question,
                       .status = out };
    tikv_error *error;

    tk_resolver_job(resolver, &ask.job, &ops, TK_CMD_KV_CHECK_TXN_STATUS,
                    backoff);
    ask.job.items_count = 1;
    error = tk_resolver_drive(resolver, op, &ask.job, backoff);
    tk_resolver_count(resolver, TK_RESOLVER_ASKED, ask.job.attempts);
    if (error != NULL || !tk_fate_is_final(out->fate)) {
        return error;
    }
    tk_resolver_count(resolver,
                      out->commit_ts != 0 ? TK_RESOLVER_COMMITTED
                                          : TK_RESOLVER_ROLLED_BACK,
                      1);
    return tk_status_save(resolver, question->start_ts, out->commit_ts);
}

/* ---- asking once ---- */

static bool
is_same(const struct tk_question *a, const struct tk_question *b)
{
    return a->start_ts == b->start_ts &&
           a->caller_start_ts == b->caller_start_ts &&
           a->current_ts == b->current_ts && a->rolls_back == b->rolls_back &&
           a->is_sync == b->is_sync && a->is_pessimistic == b->is_pessimistic &&
           a->is_txn_file == b->is_txn_file &&
           tk_slice_equal(a->primary, b->primary);
}

/* Under the lock. True: the cache knows. */
static bool
look(struct tk_resolver *resolver, uint64_t start_ts, struct tk_txn_status *out)
{
    if (!tk_status_cache_find(&resolver->cache, start_ts, &out->commit_ts)) {
        return false;
    }
    out->fate = out->commit_ts != 0 ? TK_FATE_COMMITTED : TK_FATE_ROLLED_BACK;
    out->ttl_ms = 0;
    return true;
}

/* Under the lock. */
static struct tk_ask_flight *
find_flight(struct tk_resolver *resolver, const struct tk_question *question)
{
    struct tk_ask_flight *flight = resolver->asking;

    while (flight != NULL && !is_same(flight->question, question)) {
        flight = flight->next;
    }
    return flight;
}

/* The flight is over: all who wait learn what it brought, unless that is an
 * error or has secondaries; those ask for themselves. */
static void
land(struct tk_resolver *resolver, struct tk_ask_flight *flight,
     const struct tk_txn_status *status, bool failed)
{
    struct tk_ask_flight **at = &resolver->asking;
    struct tk_waiter *waiter;
    struct tk_waiter *taken;
    struct tk_wakes wakes;

    tk_mutex_lock(&resolver->lock);
    while (*at != flight) {
        at = &(*at)->next;
    }
    *at = flight->next;
    taken = tk_waiters_take(&flight->waiters);
    for (waiter = taken; waiter != NULL; waiter = waiter->next) {
        struct asker *asker = (struct asker *)(void *)waiter;

        asker->is_told = !failed && status->primary.count == 0;
        asker->fate = status->fate;
        asker->commit_ts = status->commit_ts;
        asker->ttl_ms = status->ttl_ms;
    }
    tk_mutex_unlock(&resolver->lock);
    tk_wakes_init(&wakes, resolver->client->router.rt);
    tk_waiters_wake(taken, &wakes);
    tk_wakes_flush(&wakes);
}

/* Waits for somebody else's answer. *done: `out` is filled. */
static tikv_error *
join(struct tk_resolver *resolver, struct tk_op *op,
     struct tk_ask_flight *flight, struct asker *asker,
     struct tk_txn_status *out, bool *done)
{
    tikv_error *error =
        tk_waiter_await(&flight->waiters, &asker->waiter, &resolver->lock, op);

    *done = false;
    if (error == NULL && asker->is_told) {
        out->fate = asker->fate;
        out->commit_ts = asker->commit_ts;
        out->ttl_ms = asker->ttl_ms;
        *done = true;
    }
    return error;
}

tikv_error *
tk_status_ask(struct tk_resolver *resolver, struct tk_op *op,
              struct tk_backoff *backoff, const struct tk_question *question,
              struct tk_txn_status *out)
{
    struct tk_ask_flight mine = { .question = question };
    struct tk_ask_flight *other;
    struct asker asker = { .is_told = false };
    tikv_error *error;
    bool done;

    tk_mutex_lock(&resolver->lock);
    if (look(resolver, question->start_ts, out)) {
        tk_mutex_unlock(&resolver->lock);
        tk_resolver_count(resolver, TK_RESOLVER_KNOWN, 1);
        return NULL;
    }
    other = find_flight(resolver, question);
    if (other != NULL) {
        tk_waiters_add(&other->waiters, &asker.waiter, op);
    } else {
        mine.next = resolver->asking;
        resolver->asking = &mine;
    }
    tk_mutex_unlock(&resolver->lock);
    if (other != NULL) {
        error = join(resolver, op, other, &asker, out, &done);
        return error != NULL || done
                   ? error
                   : send_question(resolver, op, backoff, question, out);
    }
    error = send_question(resolver, op, backoff, question, out);
    land(resolver, &mine, out, error != NULL);
    return error;
}

/* ---- until there is an answer ---- */

/* The timestamp that TiKV is to judge by: one of PD's, and a new one when our
 * clock says that the lock expired since the last. A TTL of 0 is the word for
 * "whatever the time". */
static tikv_error *
judge_by(struct tk_resolver *resolver, struct tk_op *op,
         const struct tk_lock *lock, uint64_t *current_ts)
{
    struct tk_txn_client *client = resolver->client;
    tikv_error *error;

    if (lock->ttl_ms == 0) {
        *current_ts = UINT64_MAX;
        return NULL;
    }
    error = tk_txn_recent_timestamp(client, op, RECENT_MS, current_ts);
    if (error == NULL &&
        !is_expired(lock->start_ts, lock->ttl_ms, *current_ts) &&
        tk_ts_ms(lock->start_ts) + lock->ttl_ms < tk_txn_time_ms(client)) {
        error = tk_pd_timestamp(client->router.pd, op, current_ts);
    }
    return error;
}

/* No trace of the transaction, and its lock is there. True: that is the
 * answer. */
static bool
settles(struct tk_question *question, const struct tk_lock *lock,
        struct tk_txn_status *out)
{
    if (is_expired(lock->start_ts, lock->ttl_ms, question->current_ts)) {
        question->rolls_back = true;
        return false;
    }
    if (tk_lock_is_pessimistic(lock)) {
        /* It may be locking more keys and write none for a while. */
        out->fate = TK_FATE_ALIVE;
        out->ttl_ms = lock->ttl_ms;
        return true;
    }
    return false;
}

tikv_error *
tk_status_of_lock(struct tk_resolver *resolver, struct tk_op *op,
                  struct tk_backoff *backoff, const struct tk_lock *lock,
                  uint64_t caller_start_ts, bool is_sync,
                  struct tk_txn_status *out)
{
    struct tk_question question = { .start_ts = lock->start_ts,
                                    .primary = lock->primary,
                                    .caller_start_ts = caller_start_ts,
                                    .is_sync = is_sync,
                                    .is_pessimistic =
                                        tk_lock_is_pessimistic(lock),
                                    .is_txn_file = lock->is_txn_file };
    tikv_error *error = NULL;

    while (error == NULL) {
        error = judge_by(resolver, op, lock, &question.current_ts);
        if (error == NULL) {
            error = tk_status_ask(resolver, op, backoff, &question, out);
        }
        if (error != NULL || out->fate != TK_FATE_MISSING ||
            settles(&question, lock, out)) {
            return error;
        }
        if (!question.rolls_back) {
            error = tk_resolver_pause(resolver, op, backoff,
                                      TK_BACKOFF_TXN_NOT_FOUND, -1,
                                      "no trace of the transaction");
        }
    }
    return error;
}
