/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps. Callers queue up; whoever finds the stream free collects them
 * into one request, and several requests may be on the way, answered in
 * order.
 *
 *     stream  none --pump--> opening --> open --closed event--> none
 *             beside it: is_sending (one message at a time), is_doomed
 *             (cancelled: closed will come, nothing is sent any more)
 *
 *     request  queued --collected--> in a batch --answer, close--> done
 *
 * A stream that ends fails its batches; when it never answered, those who
 * still queue too, so that a dead leader is not asked in a circle. Callers
 * come back after looking for the leader (timestamp.c).
 *
 * The watchdog gives up a stream whose oldest batch is late, and ends requests
 * that have a deadline of their own: it sleeps until the earliest, so that a
 * request which is answered in time costs it nothing.
 *
 * Lock: tso.lock. Stream calls, done and wakes run without it; a stream's
 * memory is counted, so that a late cancel or send meets living memory.
 */
#include "pd/tso.h"

#include "base/alloc.h"
#include "base/error.h"

/* Requests whose done will be called in a moment have this as their batch. */
static struct tk_tso_batch leaving;

bool
tk_tso_is_leaving(const struct tk_tso_request *request)
{
    return request->batch == &leaving;
}

/* ---- lists; all under the lock ---- */

static void
mark_leaving(struct tk_tso_request *first)
{
    for (; first != NULL; first = first->next) {
        first->batch = &leaving;
    }
}

struct tk_tso_request *
tk_tso_take_queue(struct tk_tso *tso)
{
    struct tk_tso_request *first = tso->first;

    tso->first = NULL;
    tso->last = NULL;
    tso->queued_count = 0;
    mark_leaving(first);
    return first;
}

struct tk_tso_batch *
tk_tso_take_batches(struct tk_tso *tso)
{
    struct tk_tso_batch *first = tso->oldest;
    struct tk_tso_batch *batch;

    tso->oldest = NULL;
    tso->youngest = NULL;
    tso->batches_count = 0;
    for (batch = first; batch != NULL; batch = batch->next) {
        mark_leaving(batch->first);
    }
    return first;
}

struct tk_tso_batch *
tk_tso_pop_batch(struct tk_tso *tso)
{
    struct tk_tso_batch *batch = tso->oldest;

    if (batch != NULL) {
        tso->oldest = batch->next;
        if (tso->oldest == NULL) {
            tso->youngest = NULL;
        }
        tso->batches_count--;
        mark_leaving(batch->first);
    }
    return batch;
}

void
tk_tso_unlink(struct tk_tso *tso, struct tk_tso_request *request)
{
    if (request->prev != NULL) {
        request->prev->next = request->next;
    } else if (request->batch != NULL) {
        ((struct tk_tso_batch *)request->batch)->first = request->next;
    } else {
        tso->first = request->next;
    }
    if (request->next != NULL) {
        request->next->prev = request->prev;
    } else if (request->batch == NULL) {
        tso->last = request->prev;
    }
    tso->queued_count -= request->batch == NULL;
}

/* Moves what is late from `first` to *late. */
static void
take_late(struct tk_tso *tso, struct tk_tso_request *first, int64_t now,
          struct tk_tso_request **late)
{
    while (first != NULL) {
        struct tk_tso_request *next = first->next;

        if (first->deadline != 0 && first->deadline <= now) {
            tk_tso_unlink(tso, first);
            first->batch = &leaving;
            first->next = *late;
            *late = first;
        } else if (first->deadline != 0 && first->deadline < tso->sweep_at) {
            tso->sweep_at = first->deadline;
        }
        first = next;
    }
}

static struct tk_tso_request *
sweep(struct tk_tso *tso, int64_t now)
{
    struct tk_tso_request *late = NULL;
    struct tk_tso_batch *batch;

    if (tso->sweep_at > now) {
        return NULL;
    }
    tso->sweep_at = TK_NEVER;
    take_late(tso, tso->first, now, &late);
    for (batch = tso->oldest; batch != NULL; batch = batch->next) {
        take_late(tso, batch->first, now, &late);
    }
    return late;
}

/* ---- ending requests; no lock held ---- */

void
tk_tso_fail_list(struct tk_tso_request *first, tikv_code code, const char *why,
          struct tk_wakes *wakes)
{
    while (first != NULL) {
        struct tk_tso_request *next = first->next;

        first->done(first, 0,
                    code == TIKV_ERR_CLOSED ? tk_error_immortal(code)
                                            : tk_error(code, "PD: %s", why),
                    wakes);
        first = next;
    }
}

void
tk_tso_fail_batches(struct tk_tso_batch *batch, tikv_code code, const char *why,
             struct tk_wakes *wakes)
{
    while (batch != NULL) {
        struct tk_tso_batch *next = batch->next;

        tk_tso_fail_list(batch->first, code, why, wakes);
        tk_free(batch);
        batch = next;
    }
}

/* ---- the stream ---- */

void
tk_tso_unref_stream(struct tk_tso_stream *stream)
{
    struct tk_tso *tso = &stream->pd->tso;
    bool is_last;

    tk_mutex_lock(&tso->lock);
    is_last = --stream->refs == 0;
    tk_mutex_unlock(&tso->lock);
    if (is_last) {
        tk_conn_unref(stream->conn);
        tk_free(stream);
    }
}

/* Under the lock: true when the caller, after it, must tk_tso_doom_end(). */
bool
tk_tso_doom(struct tk_tso_stream *stream)
{
    if (stream == NULL || stream->is_doomed) {
        return false;
    }
    stream->is_doomed = true;
    if (!stream->is_open) {
        return false; /* whoever is opening it will see */
    }
    stream->refs++;
    return true;
}

void
tk_tso_doom_end(struct tk_tso_stream *stream)
{
    tk_conn_stream_cancel(stream->conn, &stream->stream);
    tk_tso_unref_stream(stream);
}

/* ---- watchdog, leader change, end ---- */

/* A moment from now at the earliest: what is late stays so for a while. */
static int64_t
not_before(int64_t when, struct tk_runtime *rt)
{
    int64_t soon = tk_after(tk_now(rt), TK_MS);

    return when > soon ? when : soon;
}

static void
watch(struct tk_timer *timer)
{
    struct tk_pd *pd = ((struct tk_alarm *)(void *)timer)->owner;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *late = NULL;
    struct tk_tso_request *requests;
    struct tk_parker *stopper;
    struct tk_wakes wakes;
    int64_t again;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&tso->lock);
    if (tso->oldest != NULL && !tso->is_closed &&
        tso->oldest->deadline <= tk_now(pd->rt) && tk_tso_doom(tso->stream)) {
        late = tso->stream;
    }
    requests = sweep(tso, tk_now(pd->rt));
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail_list(requests, TIKV_ERR_TIMEOUT, "gave no timestamp in time",
                     &wakes);
    if (late != NULL) {
        tk_log(pd->log, TIKV_LOG_WARN, "pd",
               "a timestamp is late: the stream is given up");
        tk_tso_doom_end(late);
    }
    tk_mutex_lock(&tso->lock);
    again = tso->sweep_at;
    if (tso->oldest != NULL && tso->oldest->deadline < again) {
        again = tso->oldest->deadline;
    }
    again = tso->is_closed ? TK_NEVER : not_before(again, pd->rt);
    stopper = tk_alarm_end(&tso->alarm, again);
    tk_mutex_unlock(&tso->lock);
    if (stopper != NULL) {
        tk_wakes_ring(&wakes, stopper);
    }
    tk_wakes_flush(&wakes);
}

void
tk_tso_init(struct tk_pd *pd)
{
    tk_mutex_init(&pd->tso.lock, TK_RANK_PD);
    pd->tso.sweep_at = TK_NEVER;
    tk_alarm_init(&pd->tso.alarm, pd->rt, pd, watch);
}

void
tk_tso_move(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *stream;
    bool must_cancel;

    tk_mutex_lock(&tso->lock);
    stream = tso->stream;
    must_cancel = tk_tso_doom(stream);
    tk_mutex_unlock(&tso->lock);
    if (must_cancel) {
        tk_tso_doom_end(stream);
    }
}

void
tk_tso_close(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_request *queue;
    struct tk_tso_batch *batches;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&tso->lock);
    tso->is_closed = true;
    queue = tk_tso_take_queue(tso);
    batches = tk_tso_take_batches(tso);
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail_batches(batches, TIKV_ERR_CLOSED, "", &wakes);
    tk_tso_fail_list(queue, TIKV_ERR_CLOSED, "", &wakes);
    tk_wakes_flush(&wakes);
    tk_tso_move(pd);
    tk_alarm_stop(&tso->alarm, &tso->lock);
}
