/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: sends what is due, waits for the earliest of (a reply, the end of
 * a pause, the end of the op), judges, goes on; and the end, where what is
 * still out is taken back and doubt is summed up. The picture is in drive.h.
 *
 * The runner's thread owns everything here. No lock.
 */
#include "region/drive.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "region/drive_inner.h"

enum {
    SLEEPLESS_MAX = 10, /* then every retry costs a pause */
    CONTEXT_MAX = 1 << 20,
    KEY_MAX = 1 << 20
};

void
tk_shards_push(struct tk_shards *list, struct tk_shard *shard)
{
    shard->next = NULL;
    shard->prev = list->last;
    if (list->last != NULL) {
        list->last->next = shard;
    } else {
        list->first = shard;
    }
    list->last = shard;
    list->count++;
}

void
tk_shards_push_front(struct tk_shards *list, struct tk_shard *shard)
{
    shard->prev = NULL;
    shard->next = list->first;
    if (list->first != NULL) {
        list->first->prev = shard;
    } else {
        list->last = shard;
    }
    list->first = shard;
    list->count++;
}

void
tk_shards_remove(struct tk_shards *list, struct tk_shard *shard)
{
    if (shard->prev != NULL) {
        shard->prev->next = shard->next;
    } else {
        list->first = shard->next;
    }
    if (shard->next != NULL) {
        shard->next->prev = shard->prev;
    } else {
        list->last = shard->prev;
    }
    list->count--;
}

static void
begin_backoff(const struct tk_job *job, struct tk_backoff *backoff)
{
    tk_backoff_init(backoff, job->budget_ms);
    if (job->history != NULL) {
        tk_backoff_carry(backoff, job->history);
    }
}

struct tk_shard *
tk_shard_new(struct tk_run *run)
{
    struct tk_shard *shard = run->spare;

    if (!run->own_is_used) {
        shard = &run->own;
        run->own_is_used = true;
    } else if (shard != NULL) {
        run->spare = shard->next;
    } else {
        shard = tk_alloc(sizeof(*shard));
    }
    if (shard != NULL) {
        memset(shard, 0, offsetof(struct tk_shard, selector));
        shard->op = run->op;
        begin_backoff(run->job, &shard->backoff);
    }
    return shard;
}

void
tk_shard_drop(struct tk_run *run, struct tk_shard *shard)
{
    tk_arena_unref(shard->arena);
    tikv_error_free(shard->cause);
    tk_frame_unref(shard->frame, 1);
    tk_feed_drop(shard->feed);
    if (shard == &run->own) {
        run->own_is_used = false;
    } else {
        shard->next = run->spare;
        run->spare = shard;
    }
}

void
tk_shard_finish(struct tk_run *run, struct tk_shard *shard)
{
    tk_backoff_adopt(&run->job->backoff, &shard->backoff);
    tk_shard_drop(run, shard);
}

void
tk_shard_set_cause(struct tk_shard *shard, tikv_error *cause)
{
    tikv_error_free(shard->cause);
    shard->cause = cause;
}

/* Facts into an error on its way out; a bare timeout tells the last trouble. */
static tikv_error *
describe(struct tk_run *run, struct tk_shard *shard, tikv_error *error)
{
    tikv_code code = tikv_error_code(error);
    int64_t now = tk_now(run->router->rt);

    if (tk_error_is_immortal(error)) {
        if (code != TIKV_ERR_TIMEOUT) {
            return error;
        }
        error = tk_error_wrap(error, "%s",
                              shard->cause == NULL
                                  ? run->row->name
                                  : tikv_error_message(shard->cause));
    }
    if (shard->has_route) {
        tk_error_set_u64(error, TIKV_ERROR_REGION_ID, shard->route.region_id);
        tk_error_set_u64(error, TIKV_ERROR_STORE_ID, shard->route.store->id);
    }
    if (shard->grpc != 0) {
        tk_error_set_u64(error, TIKV_ERROR_GRPC_STATUS,
                         (uint64_t)shard->grpc);
    }
    tk_error_set_u64(error, TIKV_ERROR_ATTEMPTS, run->job->attempts);
    tk_error_set_u64(error, TIKV_ERROR_ELAPSED_MS,
                     (uint64_t)((now - run->op->started) / TK_MS));
    tk_error_set_u64(error, TIKV_ERROR_BACKOFF_MS,
                     (uint64_t)shard->backoff.total_ms);
    tk_backoff_describe(&shard->backoff, error);
    return error;
}

/* Off all lists, without an answer. */
static void
lose(struct tk_run *run, struct tk_shard *shard)
{
    run->in_doubt |= shard->in_doubt;
    if (run->job->ops->lost != NULL) {
        run->job->ops->lost(run->job, &shard->piece, shard->in_doubt);
    }
    tk_shard_finish(run, shard);
}

void
tk_shard_fail(struct tk_run *run, struct tk_shard *shard, tikv_error *error)
{
    if (tk_shard_retire(run, shard)) {
        tikv_error_free(error);
        return;
    }
    if (run->error == NULL) {
        run->error = describe(run, shard, error);
    } else {
        tikv_error_free(error);
    }
    lose(run, shard);
}

void
tk_shard_pause(struct tk_run *run, struct tk_shard *shard,
               enum tk_backoff_kind kind, int64_t ceiling_ms)
{
    struct tk_runtime *rt = run->router->rt;
    int64_t ms;

    if (tk_shard_retire(run, shard)) {
        return;
    }
    if (kind == TK_BACKOFF_KINDS) {
        if (shard->sleepless++ < SLEEPLESS_MAX) {
            tk_shards_push_front(&run->ready, shard);
            return;
        }
        kind = TK_BACKOFF_REGION_SCHEDULING;
    }
    ms = tk_backoff_next(&shard->backoff, kind, ceiling_ms,
                         rt->ops->random(rt));
    if (ms < 0) {
        tikv_error *cause = shard->cause;

        shard->cause = NULL;
        /* Too much of our own in flight is no store's fault. */
        tk_shard_fail(run, shard,
                      cause != NULL &&
                              tikv_error_code(cause) == TIKV_ERR_OVERLOAD
                          ? cause
                          : tk_backoff_exceeded(&shard->backoff, cause));
        return;
    }
    shard->wake_at = tk_after(tk_now(rt), ms * TK_MS);
    shard->paused = kind;
    tk_shards_push(&run->asleep, shard);
}

/* Shards whose pause is over become ready; returns when the next one ends,
 * which is a pause of `kind`. */
static int64_t
wake_sleepers(struct tk_run *run, enum tk_backoff_kind *kind)
{
    int64_t now = tk_now(run->router->rt);
    int64_t earliest = TK_NEVER;
    struct tk_shard *shard = run->asleep.first;

    while (shard != NULL) {
        struct tk_shard *next = shard->next;

        if (shard->wake_at <= now) {
            tk_shards_remove(&run->asleep, shard);
            tk_shards_push(&run->ready, shard);
        } else if (shard->wake_at < earliest) {
            earliest = shard->wake_at;
            *kind = shard->paused;
        }
        shard = next;
    }
    return earliest;
}

static void
send_ready(struct tk_run *run)
{
    struct tk_shard *shard;

    while (run->error == NULL && run->ready.first != NULL &&
           run->sent.count < TK_DRIVE_INFLIGHT) {
        shard = run->ready.first;
        tk_shards_remove(&run->ready, shard);
        tk_shard_send(run, shard);
    }
    for (shard = run->sent.first; shard != NULL; shard = shard->next) {
        if (shard->wants_flush) {
            shard->wants_flush = false;
            tk_rpc_flush(run->router->rpc, &shard->request);
        }
    }
}

static void
judge_inbox(struct tk_run *run)
{
    struct tk_note *note = tk_op_take(run->op);

    while (note != NULL) {
        struct tk_shard *shard =
            (struct tk_shard *)(void *)((char *)note -
                                        offsetof(struct tk_shard, note));

        /* Read first: judging may send the shard again. */
        note = note->next;
        tk_shards_remove(&run->sent, shard);
        tk_shard_judge(run, shard);
    }
}

/* Until everything is answered, or an error and nothing out, or the op's
 * end, which is returned. */
static tikv_error *
loop(struct tk_run *run)
{
    for (;;) {
        enum tk_backoff_kind kind = TK_BACKOFF_KINDS;
        int64_t until = TK_NEVER;
        tikv_error *end;

        if (run->error == NULL) {
            until = wake_sleepers(run, &kind);
        }
        if (run->sent.count == 0 &&
            (run->error != NULL ||
             (run->ready.count == 0 && run->asleep.count == 0))) {
            return NULL;
        }
        end = tk_op_check(run->op);
        if (end != NULL) {
            return end;
        }
        if (run->error == NULL && run->ready.count != 0) {
            send_ready(run);
            /* A shard may have fallen asleep, or be ready again. */
            until = 0;
        }
        if (run->error == NULL && run->hedge_ns != 0) {
            int64_t due = tk_run_hedge(run);

            until = due < until ? due : until;
        }
        if (until != 0 || run->sent.count == TK_DRIVE_INFLIGHT) {
            /* Close ends what is out, so the op need not be listed. */
            run->op->flying = (uint32_t)run->sent.count;
            tk_op_wait(run->op, until == 0 ? TK_NEVER : until,
                       run->sent.count != 0 ? TK_BACKOFF_KINDS : kind);
            run->op->flying = 0;
        }
        judge_inbox(run);
    }
}

/* The op is over: whatever is out is taken back; what is on its way to us is
 * waited for, microseconds. */
static void
take_back(struct tk_run *run)
{
    struct tk_shard *shard = run->sent.first;

    while (shard != NULL) {
        struct tk_shard *next = shard->next;
        bool never_sent;

        if (tk_request_take_back(&shard->request, &never_sent)) {
            tk_shards_remove(&run->sent, shard);
            shard->never_sent = never_sent;
            tk_shard_uncount(shard);
            if (!tk_shard_retire(run, shard)) {
                tk_shard_doubt(run, shard);
                tk_shards_push(&run->asleep, shard);
            }
        }
        shard = next;
    }
    while (run->sent.count != 0) {
        struct tk_note *note = tk_op_take(run->op);

        while (note != NULL) {
            shard = (struct tk_shard *)(void *)((char *)note -
                                                offsetof(struct tk_shard,
                                                         note));
            note = note->next;
            tk_shards_remove(&run->sent, shard);
            tk_shard_judge(run, shard);
        }
        if (run->sent.count != 0) {
            tk_park_begin(run->op->me);
            if (atomic_load(&run->op->inbox) == NULL) {
                run->router->rt->ops->park(run->router->rt, run->op->me,
                                           TK_NEVER);
            }
        }
    }
}

/* The one to blame for an end from outside: the first with trouble. */
static struct tk_shard *
culprit(struct tk_run *run)
{
    struct tk_shard *shard;

    for (shard = run->asleep.first; shard != NULL; shard = shard->next) {
        if (shard->cause != NULL || shard->in_doubt) {
            return shard;
        }
    }
    return run->asleep.first != NULL ? run->asleep.first : run->ready.first;
}

static tikv_error *
conclude(struct tk_run *run, tikv_error *end)
{
    if (end != NULL) {
        take_back(run);
        if (run->error == NULL && culprit(run) != NULL) {
            run->error = describe(run, culprit(run), end);
            end = NULL;
        }
        /* All was answered in the last moment: then that is the outcome. */
        tikv_error_free(end);
    }
    while (run->asleep.first != NULL) {
        struct tk_shard *shard = run->asleep.first;

        tk_shards_remove(&run->asleep, shard);
        lose(run, shard);
    }
    while (run->ready.first != NULL) {
        struct tk_shard *shard = run->ready.first;

        tk_shards_remove(&run->ready, shard);
        lose(run, shard);
    }
    run->job->in_doubt = run->in_doubt;
    if (run->error != NULL && run->in_doubt && !run->job->tells_doubt &&
        tikv_error_code(run->error) != TIKV_ERR_UNDETERMINED) {
        run->error = tk_error_recode(
            tk_error_wrap(run->error, "the write may have been done, the "
                                      "answer is missing"),
            TIKV_ERR_UNDETERMINED);
    }
    return run->error;
}

/* The first shard covers the whole job, or is the hot attempt. */
static bool
begin(struct tk_run *run, struct tk_first *first)
{
    struct tk_job *job = run->job;
    struct tk_shard *shard = tk_shard_new(run);

    if (shard == NULL) {
        return false;
    }
    shard->piece.count = job->items_count;
    shard->piece.start = job->range.start;
    shard->piece.end = job->range.end;
    if (first == NULL || !first->is_set) {
        tk_shards_push(&run->ready, shard);
        return true;
    }
    first->is_set = false;
    shard->route = first->route;
    shard->has_route = true;
    shard->piece.region_id = first->route.region_id;
    shard->status = first->status;
    shard->grpc = first->grpc;
    shard->never_sent = first->never_sent;
    shard->data = first->data;
    shard->frame = first->frame;
    first->frame = NULL;
    shard->attempts = 1;
    shard->was_sent = true;
    shard->first_kind = TK_KIND_LEADER;
    shard->sent_at = run->op->started;
    tk_op_recount(run->op, TK_PART_QUEUE, TK_PART_WIRE,
                  first->ended_at - run->op->started);
    run->op->waited_ns = first->ended_at - run->op->started;
    tk_spent_request(&run->op->spent, tk_shard_is_far(run, shard),
                     first->sent_bytes);
    shard->ends_with_op = run->op->deadline <= tk_now(run->router->rt);
    job->attempts = 1;
    tk_shard_judge(run, shard);
    return true;
}

tikv_error *
tk_drive(struct tk_router *router, struct tk_op *op, struct tk_job *job,
         struct tk_first *first)
{
    struct tk_run run;
    tikv_error *error;

    run.router = router;
    run.op = op;
    run.job = job;
    run.row = tk_command_row(job->command);
    memset(&run.ready, 0, sizeof(run.ready));
    memset(&run.asleep, 0, sizeof(run.asleep));
    memset(&run.sent, 0, sizeof(run.sent));
    run.spare = NULL;
    run.hedge_ns = tk_run_hedge_ns(&run);
    run.error = NULL;
    run.in_doubt = false;
    run.bounds = NULL;
    run.own_is_used = false;
    tk_buf_init(&run.context, CONTEXT_MAX);
    tk_buf_init(&run.end, KEY_MAX);
    tk_buf_init(&run.source, CONTEXT_MAX);
    job->attempts = 0;
    job->unanswered = 0;
    job->in_doubt = false;
    begin_backoff(job, &job->backoff);
    if (begin(&run, first)) {
        error = conclude(&run, loop(&run));
    } else {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    while (run.spare != NULL) {
        struct tk_shard *shard = run.spare;

        run.spare = shard->next;
        tk_free(shard);
    }
    tk_arena_unref(run.bounds);
    tk_buf_fini(&run.context);
    tk_buf_fini(&run.end);
    tk_buf_fini(&run.source);
    return error;
}
