/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timestamps. Callers queue up in a batch that is being filled; whoever finds
 * a stream free sends it as one request. How many may be on the way is a
 * setting: while one is, those who come meanwhile fill the next.
 *
 *     stream  opening --> open --closed event--> gone
 *             beside it: is_sending (one message at a time), is_doomed
 *             (cancelled: closed will come, nothing is sent any more)
 *
 *     batch   filling --sent--> flying --answer, close--> left --> spare
 *
 * A stream that ends fails its batches; when it was the last and never
 * answered, those who still queue too, so that a dead leader is not asked in a
 * circle. Callers come back after looking for the leader (timestamp.c).
 *
 * The watchdog gives up a stream whose oldest batch is late, and ends requests
 * that have a deadline of their own: it sleeps until the earliest, so that a
 * request which is answered in time costs it nothing.
 *
 * Lock: tso.lock; under it a batch is moved as a whole, never walked, except
 * for the requests that are late. Stream calls, done and wakes run without
 * it; a stream's memory is counted, so that a late cancel or send meets living
 * memory.
 */
#include "pd/tso.h"

#include "base/alloc.h"
#include "base/error.h"

/* ---- lists; all under the lock ---- */

void
tk_tso_append(struct tk_tso_batches *list, struct tk_tso_batch *batch)
{
    batch->next = NULL;
    if (list->youngest != NULL) {
        list->youngest->next = batch;
    } else {
        list->oldest = batch;
    }
    list->youngest = batch;
}

static struct tk_tso_batch *
pop(struct tk_tso_batches *list)
{
    struct tk_tso_batch *batch = list->oldest;

    if (batch != NULL) {
        list->oldest = batch->next;
        if (list->oldest == NULL) {
            list->youngest = NULL;
        }
        batch->next = NULL;
    }
    return batch;
}

struct tk_tso_batch *
tk_tso_begin(struct tk_tso *tso)
{
    struct tk_tso_batch *batch = tso->spare;

    if (batch != NULL) {
        tso->spare = batch->next;
    } else {
        batch = tk_alloc(sizeof(*batch));
    }
    if (batch != NULL) {
        *batch = (struct tk_tso_batch){ .serial = ++tso->serial };
        tk_tso_append(&tso->queue, batch);
    }
    return batch;
}

struct tk_tso_batch *
tk_tso_take(struct tk_tso *tso)
{
    struct tk_tso_batch *batch = pop(&tso->queue);

    while (batch != NULL && batch->count == 0) {
        batch->serial = 0;
        batch->next = tso->spare;
        tso->spare = batch;
        batch = pop(&tso->queue);
    }
    if (batch != NULL) {
        tso->queued_count -= batch->count;
    }
    return batch;
}

bool
tk_tso_has(const struct tk_tso_request *request)
{
    return request->batch != NULL && request->batch->serial == request->serial;
}

void
tk_tso_unlink(struct tk_tso *tso, struct tk_tso_request *request)
{
    struct tk_tso_batch *batch = request->batch;

    if (request->prev != NULL) {
        request->prev->next = request->next;
    } else {
        batch->first = request->next;
    }
    if (request->next != NULL) {
        request->next->prev = request->prev;
    } else {
        batch->last = request->prev;
    }
    batch->count--;
    tso->queued_count -= batch->asked == 0;
    request->batch = NULL;
}

static struct tk_tso_batch *
leave(struct tk_tso_batches *list)
{
    struct tk_tso_batch *first = list->oldest;
    struct tk_tso_batch *batch;

    *list = (struct tk_tso_batches){ NULL, NULL };
    for (batch = first; batch != NULL; batch = batch->next) {
        batch->serial = 0;
    }
    return first;
}

struct tk_tso_batch *
tk_tso_leave_queue(struct tk_tso *tso)
{
    tso->queued_count = 0;
    return leave(&tso->queue);
}

struct tk_tso_batch *
tk_tso_leave_stream(struct tk_tso_stream *stream)
{
    struct tk_tso_batch *batches = leave(&stream->flying);
    struct tk_tso_batch *batch;

    for (batch = batches; batch != NULL; batch = batch->next) {
        stream->pd->tso.flying_count--;
    }
    return batches;
}

struct tk_tso_batch *
tk_tso_leave_oldest(struct tk_tso_stream *stream)
{
    struct tk_tso_batch *batch = pop(&stream->flying);

    if (batch != NULL) {
        batch->serial = 0;
        stream->pd->tso.flying_count--;
    }
    return batch;
}

/* Moves what is late in these batches to *late. */
static void
take_late(struct tk_tso *tso, const struct tk_tso_batches *list, int64_t now,
          struct tk_tso_request **late)
{
    struct tk_tso_batch *batch;
    struct tk_tso_request *request;
    struct tk_tso_request *next;

    for (batch = list->oldest; batch != NULL; batch = batch->next) {
        for (request = batch->first; request != NULL; request = next) {
            next = request->next;
            if (request->deadline != 0 && request->deadline <= now) {
                tk_tso_unlink(tso, request);
                request->next = *late;
                *late = request;
            } else if (request->deadline != 0 &&
                       request->deadline < tso->sweep_at) {
                tso->sweep_at = request->deadline;
            }
        }
    }
}

static struct tk_tso_request *
sweep(struct tk_tso *tso, int64_t now)
{
    struct tk_tso_request *late = NULL;
    struct tk_tso_stream *stream;

    if (tso->sweep_at > now) {
        return NULL;
    }
    tso->sweep_at = TK_NEVER;
    take_late(tso, &tso->queue, now, &late);
    for (stream = tso->streams; stream != NULL; stream = stream->next) {
        take_late(tso, &stream->flying, now, &late);
    }
    return late;
}

/* ---- ending requests; no lock held ---- */

static void
fail_requests(struct tk_tso_request *first, tikv_code code, const char *why,
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
tk_tso_spare(struct tk_tso *tso, struct tk_tso_batch *batches)
{
    tk_mutex_lock(&tso->lock);
    while (batches != NULL) {
        struct tk_tso_batch *next = batches->next;

        batches->next = tso->spare;
        tso->spare = batches;
        batches = next;
    }
    tk_mutex_unlock(&tso->lock);
}

void
tk_tso_fail(struct tk_tso *tso, struct tk_tso_batch *batches, tikv_code code,
            const char *why, struct tk_wakes *wakes)
{
    struct tk_tso_batch *batch;

    for (batch = batches; batch != NULL; batch = batch->next) {
        fail_requests(batch->first, code, why, wakes);
    }
    if (batches != NULL) {
        tk_tso_spare(tso, batches);
    }
}

/* ---- streams ---- */

void
tk_tso_home_fini(struct tk_tso_home *home)
{
    if (home->conn != NULL) {
        tk_conn_unref(home->conn);
    }
    if (home->leader != NULL) {
        tk_conn_unref(home->leader);
    }
}

void
tk_tso_unref_stream(struct tk_tso_stream *stream)
{
    struct tk_tso *tso = &stream->pd->tso;
    bool is_last;

    tk_mutex_lock(&tso->lock);
    is_last = --stream->refs == 0;
    tk_mutex_unlock(&tso->lock);
    if (is_last) {
        tk_tso_home_fini(&stream->home);
        tk_free(stream);
    }
}

void
tk_tso_unlist_stream(struct tk_tso_stream *stream)
{
    struct tk_tso_stream **at = &stream->pd->tso.streams;

    if (stream->is_listed) {
        while (*at != stream) {
            at = &(*at)->next;
        }
        *at = stream->next;
        stream->is_listed = false;
    }
}

bool
tk_tso_doom(struct tk_tso_stream *stream)
{
    if (stream->is_doomed) {
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
    tk_conn_stream_cancel(stream->home.conn, &stream->stream);
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

/* The earliest deadline of what is flying. */
static int64_t
earliest(const struct tk_tso *tso)
{
    const struct tk_tso_stream *stream;
    int64_t when = TK_NEVER;

    for (stream = tso->streams; stream != NULL; stream = stream->next) {
        const struct tk_tso_batch *batch = stream->flying.oldest;

        if (batch != NULL && batch->deadline < when) {
            when = batch->deadline;
        }
    }
    return when;
}

/* A stream whose oldest batch is late; it is doomed now, and the caller's to
 * end. NULL: none. */
static struct tk_tso_stream *
doom_late(struct tk_tso *tso, int64_t now)
{
    struct tk_tso_stream *stream;

    for (stream = tso->streams; stream != NULL; stream = stream->next) {
        const struct tk_tso_batch *batch = stream->flying.oldest;

        if (batch != NULL && batch->deadline <= now && tk_tso_doom(stream)) {
            return stream;
        }
    }
    return NULL;
}

static void
watch(void *owner)
{
    struct tk_pd *pd = owner;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *late;
    struct tk_tso_request *requests;
    struct tk_wakes wakes;
    int64_t again;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&tso->lock);
    requests = sweep(tso, tk_now(pd->rt));
    tk_mutex_unlock(&tso->lock);
    fail_requests(requests, TIKV_ERR_TIMEOUT, "gave no timestamp in time",
                  &wakes);
    tk_wakes_flush(&wakes);
    do {
        tk_mutex_lock(&tso->lock);
        late = tso->is_closed ? NULL : doom_late(tso, tk_now(pd->rt));
        tk_mutex_unlock(&tso->lock);
        if (late != NULL) {
            tk_log(pd->log, TIKV_LOG_WARN, "pd",
                   "a timestamp is late: the stream is given up");
            tk_tso_doom_end(late);
        }
    } while (late != NULL);
    tk_mutex_lock(&tso->lock);
    again = earliest(tso);
    if (tso->sweep_at < again) {
        again = tso->sweep_at;
    }
    again = tso->is_closed ? TK_NEVER : not_before(again, pd->rt);
    tk_alarm_end(&tso->alarm, again);
}

/* The batch that is being filled waited long enough. The alarm stays out while
 * it pumps, so that nobody who closes goes on meanwhile. */
static void
fill_ends(void *owner)
{
    struct tk_pd *pd = owner;
    struct tk_tso *tso = &pd->tso;
    struct tk_wakes wakes;

    tk_mutex_lock(&tso->lock);
    tso->fill_until = TK_NEVER;
    tk_mutex_unlock(&tso->lock);
    tk_wakes_init(&wakes, pd->rt);
    tk_tso_pump(pd, &wakes);
    tk_wakes_flush(&wakes);
    tk_mutex_lock(&tso->lock);
    tk_alarm_end(&tso->filler, tso->is_closed ? TK_NEVER : tso->fill_until);
}

void
tk_tso_init(struct tk_pd *pd)
{
    tk_mutex_init(&pd->tso.lock, TK_RANK_PD);
    pd->tso.sweep_at = TK_NEVER;
    tk_alarm_init(&pd->tso.alarm, pd->rt, &pd->tso.lock, pd, watch);
    tk_alarm_init(&pd->tso.filler, pd->rt, &pd->tso.lock, pd, fill_ends);
}

void
tk_tso_move(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *stream;

    do {
        tk_mutex_lock(&tso->lock);
        stream = tso->streams;
        while (stream != NULL && !tk_tso_doom(stream)) {
            stream = stream->next;
        }
        tk_mutex_unlock(&tso->lock);
        if (stream != NULL) {
            tk_tso_doom_end(stream);
        }
    } while (stream != NULL);
}

void
tk_tso_close(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_batch *queue;
    struct tk_tso_stream *stream;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&tso->lock);
    tso->is_closed = true;
    queue = tk_tso_leave_queue(tso);
    for (stream = tso->streams; stream != NULL; stream = stream->next) {
        struct tk_tso_batch *flying = tk_tso_leave_stream(stream);

        while (flying != NULL) {
            struct tk_tso_batch *next = flying->next;

            flying->next = queue;
            queue = flying;
            flying = next;
        }
    }
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail(tso, queue, TIKV_ERR_CLOSED, "", &wakes);
    tk_wakes_flush(&wakes);
    tk_tso_move(pd);
    tk_alarm_stop(&tso->filler);
    tk_alarm_stop(&tso->alarm);
}

void
tk_tso_fini(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;

    while (tso->queue.oldest != NULL) {
        tk_free(pop(&tso->queue));
    }
    while (tso->spare != NULL) {
        struct tk_tso_batch *batch = tso->spare;

        tso->spare = batch->next;
        tk_free(batch);
    }
    tk_mutex_fini(&tso->lock);
}
