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
 * Lock: tso.lock. Stream calls, done and wakes run without it; a stream's
 * memory is counted, so that a late cancel or send meets living memory.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "pd/tso.h"

#include "pdpb.upb.h"

enum { BATCHES_MAX = 64, LOGICAL_BITS = 18 };

struct tk_tso_stream {
    struct tk_stream stream; /* first */
    struct tk_pd *pd;
    struct tk_conn *conn; /* counted */
    /* Guarded by tso.lock. */
    uint32_t refs;
    bool is_open;
    bool is_sending;
    bool is_doomed;
    bool has_answered;
};

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

static struct tk_tso_request *
take_queue(struct tk_tso *tso)
{
    struct tk_tso_request *first = tso->first;

    tso->first = NULL;
    tso->last = NULL;
    tso->queued_count = 0;
    mark_leaving(first);
    return first;
}

static struct tk_tso_batch *
take_batches(struct tk_tso *tso)
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

static struct tk_tso_batch *
pop_batch(struct tk_tso *tso)
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

/* ---- ending requests; no lock held ---- */

static void
fail_list(struct tk_tso_request *first, tikv_code code, const char *why,
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

static void
fail_batches(struct tk_tso_batch *batch, tikv_code code, const char *why,
             struct tk_wakes *wakes)
{
    while (batch != NULL) {
        struct tk_tso_batch *next = batch->next;

        fail_list(batch->first, code, why, wakes);
        tk_free(batch);
        batch = next;
    }
}

/* ---- the stream ---- */

static void
unref_stream(struct tk_tso_stream *stream)
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

/* Under the lock: true when the caller, after it, must doom_end(). */
static bool
doom(struct tk_tso_stream *stream)
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

static void
doom_end(struct tk_tso_stream *stream)
{
    tk_conn_stream_cancel(stream->conn, &stream->stream);
    unref_stream(stream);
}

static tikv_code
text_code(const char *text, size_t len)
{
    return tk_pd_text(text, len) == TK_PD_TEXT_MISMATCH
               ? TIKV_ERR_CLUSTER_MISMATCH
               : TIKV_ERR_PD;
}

static void
stream_closed(struct tk_stream *base, const struct tk_status *status,
              struct tk_wakes *wakes)
{
    struct tk_tso_stream *stream = (struct tk_tso_stream *)(void *)base;
    struct tk_pd *pd = stream->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_request *queue = NULL;
    struct tk_tso_batch *batches = NULL;
    tikv_code code = text_code(status->details, strlen(status->details));
    char why[160];

    snprintf(why, sizeof(why), "the timestamp stream ended: %s",
             status->details);
    tk_mutex_lock(&tso->lock);
    if (tso->stream == stream) {
        tso->stream = NULL;
        batches = take_batches(tso);
        /* Who came after we gave the stream up has not been tried yet. */
        if (!stream->has_answered && !stream->is_doomed) {
            queue = take_queue(tso);
        }
    }
    stream->is_doomed = true;
    if (tso->is_closed) {
        code = TIKV_ERR_CLOSED;
    }
    tk_mutex_unlock(&tso->lock);
    fail_batches(batches, code, why, wakes);
    fail_list(queue, code, why, wakes);
    unref_stream(stream);
    tk_tso_pump(pd, wakes);
}

static void
stream_sent(struct tk_stream *base, struct tk_wakes *wakes)
{
    struct tk_tso_stream *stream = (struct tk_tso_stream *)(void *)base;
    struct tk_pd *pd = stream->pd;

    tk_mutex_lock(&pd->tso.lock);
    stream->is_sending = false;
    tk_mutex_unlock(&pd->tso.lock);
    tk_tso_pump(pd, wakes);
}

/* What an answer grants, or why it grants nothing. */
struct grant {
    uint64_t first; /* timestamp of the first request of the batch */
    uint64_t last;
    tikv_code code;
    char why[160];
};

static void
read_grant(struct tk_pd *pd, tikv_slice data, struct tk_frame *frame,
           uint32_t asked, struct grant *out)
{
    struct tk_arena *arena = tk_arena_new();
    const pdpb_TsoResponse *answer =
        arena == NULL ? NULL
                      : tk_arena_decode(arena,
                                        tk_command_row(TK_CMD_PD_TSO)->response,
                                        data.data, data.len, frame);
    const pdpb_ResponseHeader *header =
        answer == NULL ? NULL : pdpb_TsoResponse_header(answer);
    const pdpb_Error *fault =
        header == NULL ? NULL : pdpb_ResponseHeader_error(header);
    const pdpb_Timestamp *stamp =
        answer == NULL ? NULL : pdpb_TsoResponse_timestamp(answer);

    out->code = TIKV_ERR_PD;
    if (answer == NULL) {
        snprintf(out->why, sizeof(out->why), "a timestamp makes no sense");
    } else if (fault != NULL && pdpb_Error_type(fault) != pdpb_OK) {
        upb_StringView text = pdpb_Error_message(fault);

        out->code = text_code(text.data, text.size);
        snprintf(out->why, sizeof(out->why), "%.*s",
                 (int)(text.size > 150 ? 150 : text.size), text.data);
    } else if (header != NULL && pdpb_ResponseHeader_cluster_id(header) != 0 &&
               pdpb_ResponseHeader_cluster_id(header) != pd->cluster_id) {
        out->code = TIKV_ERR_CLUSTER_MISMATCH;
        snprintf(out->why, sizeof(out->why), "timestamps of another cluster");
    } else if (stamp == NULL || pdpb_TsoResponse_count(answer) != asked ||
               pdpb_Timestamp_logical(stamp) < (int64_t)asked - 1) {
        snprintf(out->why, sizeof(out->why),
                 "asked for %u timestamps and got %u", asked,
                 pdpb_TsoResponse_count(answer));
    } else {
        out->code = TIKV_OK;
        out->last = ((uint64_t)pdpb_Timestamp_physical(stamp) << LOGICAL_BITS) +
                    (uint64_t)pdpb_Timestamp_logical(stamp);
        out->first = out->last - asked + 1;
    }
    tk_arena_unref(arena);
}

/* Hands the batch its timestamps. One that is not newer than what was known
 * when it was asked for breaks PD's promise: that caller gets a fatal error. */
static void
deliver(struct tk_tso_batch *batch, const struct grant *grant,
        struct tk_wakes *wakes)
{
    struct tk_tso_request *request = batch->first;
    uint64_t ts = grant->first;

    if (grant->code != TIKV_OK) {
        batch->next = NULL;
        fail_batches(batch, grant->code, grant->why, wakes);
        return;
    }
    while (request != NULL) {
        struct tk_tso_request *next = request->next;
        tikv_error *error = NULL;

        if (ts <= request->floor) {
            error = tk_error(TIKV_ERR_PROTOCOL,
                             "PD gave timestamp %llu after %llu",
                             (unsigned long long)ts,
                             (unsigned long long)request->floor);
        }
        request->done(request, ts, error, wakes);
        ts++;
        request = next;
    }
    tk_free(batch);
}

static void
stream_received(struct tk_stream *base, tikv_slice data,
                struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_tso_stream *stream = (struct tk_tso_stream *)(void *)base;
    struct tk_pd *pd = stream->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_batch *batch = NULL;
    struct grant grant = { 0, 0, TIKV_ERR_PD, "" };
    uint32_t asked = 0;
    bool must_cancel = false;

    tk_mutex_lock(&tso->lock);
    if (tso->stream == stream && tso->oldest != NULL) {
        asked = tso->oldest->count;
    }
    tk_mutex_unlock(&tso->lock);
    read_grant(pd, data, frame, asked, &grant);
    tk_frame_unref(frame, 1);
    tk_mutex_lock(&tso->lock);
    if (tso->stream == stream) {
        /* One message is delivered at a time, and only this takes batches
         * off a stream that lives: it is still the same one, unless all was
         * taken by close. */
        batch = pop_batch(tso);
    }
    if (grant.code == TIKV_OK && batch != NULL) {
        stream->has_answered = true;
        if (grant.last > tso->newest) {
            tso->newest = grant.last;
        }
    } else {
        must_cancel = doom(stream);
    }
    tk_mutex_unlock(&tso->lock);
    if (batch != NULL) {
        deliver(batch, &grant, wakes);
    }
    if (must_cancel) {
        doom_end(stream);
    }
    tk_tso_pump(pd, wakes);
}

/* ---- sending ---- */

/* Under the lock: as many as fit into one request, and marks the stream as
 * sending. NULL: nothing to do now, or no memory (*starved). */
static struct tk_tso_batch *
collect(struct tk_pd *pd, bool *starved)
{
    struct tk_tso *tso = &pd->tso;
    int64_t max = tk_config_int(&pd->config->tso_batch_max_count);
    struct tk_tso_batch *batch = tk_calloc(sizeof(*batch));
    struct tk_tso_request *last = NULL;

    if (batch == NULL) {
        *starved = true;
        return NULL;
    }
    batch->first = tso->first;
    while (tso->first != NULL && batch->count < max) {
        last = tso->first;
        last->batch = batch;
        tso->first = last->next;
        tso->queued_count--;
        batch->count++;
    }
    if (last != NULL) {
        last->next = NULL;
    }
    if (tso->first != NULL) {
        tso->first->prev = NULL;
    } else {
        tso->last = NULL;
    }
    batch->deadline = tk_after(tk_now(pd->rt),
                               tk_config_ns(&pd->config->pd_timeout_ms));
    if (tso->youngest != NULL) {
        tso->youngest->next = batch;
    } else {
        tso->oldest = batch;
    }
    tso->youngest = batch;
    tso->batches_count++;
    tso->stream->is_sending = true;
    tso->stream->refs++;
    tk_alarm_arm(&tso->alarm, batch->deadline);
    return batch;
}

static bool
send_count(struct tk_tso_stream *stream, uint32_t count)
{
    struct tk_pd *pd = stream->pd;
    const char *scope = pd->config->txn_scope;
    struct tk_arena *arena = tk_arena_new();
    struct tk_encoded encoded = { NULL, 0 };
    pdpb_TsoRequest *message =
        arena == NULL ? NULL : pdpb_TsoRequest_new(arena->upb);

    if (message != NULL) {
        pdpb_TsoRequest_set_header(message, tk_pd_header(pd, arena));
        pdpb_TsoRequest_set_count(message, count);
        pdpb_TsoRequest_set_dc_location(
            message, upb_StringView_FromString(
                         scope == NULL || *scope == '\0' ? "global" : scope));
        encoded = tk_arena_encode(
            arena, tk_command_row(TK_CMD_PD_TSO)->request, message);
    }
    /* False of the stream means that closed comes or came: it ends the batch,
     * which is on the books. */
    if (encoded.data != NULL) {
        (void)tk_conn_stream_send(stream->conn, &stream->stream,
                                  tk_slice(encoded.data, encoded.len));
    }
    tk_arena_unref(arena);
    return encoded.data != NULL;
}

/* Fails who queues; `was_opening` lets others pump again. */
static void
give_up(struct tk_pd *pd, bool was_opening, tikv_code code, const char *why,
        struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_request *queue;

    tk_mutex_lock(&tso->lock);
    if (was_opening) {
        tso->is_opening = false;
    }
    queue = take_queue(tso);
    tk_mutex_unlock(&tso->lock);
    fail_list(queue, code, why, wakes);
}

/* is_opening is ours. False: who queues was failed. */
static bool
open_stream(struct tk_pd *pd, struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_conn *leader = tk_members_leader(pd);
    struct tk_tso_stream *stream =
        leader == NULL ? NULL : tk_calloc(sizeof(*stream));
    bool is_open;
    bool must_cancel;

    if (stream == NULL) {
        if (leader != NULL) {
            tk_conn_unref(leader);
        }
        give_up(pd, true, TIKV_ERR_PD, "no leader is known", wakes);
        return false;
    }
    stream->stream.received = stream_received;
    stream->stream.sent = stream_sent;
    stream->stream.closed = stream_closed;
    stream->pd = pd;
    stream->conn = leader;
    stream->refs = 2; /* until closed; ours */
    tk_mutex_lock(&tso->lock);
    tso->stream = stream;
    tk_mutex_unlock(&tso->lock);
    is_open = tk_conn_stream_open(leader, tk_command_row(TK_CMD_PD_TSO)->path,
                                  &stream->stream);
    tk_mutex_lock(&tso->lock);
    stream->is_open = is_open;
    if (is_open) {
        tso->is_opening = false;
    } else {
        tso->stream = NULL;
        stream->refs--;
    }
    must_cancel = is_open && stream->is_doomed && tso->stream == stream;
    tk_mutex_unlock(&tso->lock);
    if (must_cancel) {
        tk_conn_stream_cancel(leader, &stream->stream);
    }
    unref_stream(stream);
    if (!is_open) {
        give_up(pd, true, TIKV_ERR_CLOSED, "", wakes);
    }
    return is_open;
}

void
tk_tso_pump(struct tk_pd *pd, struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;

    for (;;) {
        struct tk_tso_stream *stream;
        struct tk_tso_batch *batch = NULL;
        uint32_t count = 0;
        bool starved = false;
        bool must_open = false;

        tk_mutex_lock(&tso->lock);
        stream = tso->stream;
        if (tso->first == NULL || tso->is_opening || tso->is_closed) {
            must_open = false;
        } else if (stream == NULL) {
            must_open = true;
            tso->is_opening = true;
        } else if (!stream->is_sending && !stream->is_doomed &&
                   tso->batches_count < BATCHES_MAX) {
            batch = collect(pd, &starved);
            count = batch == NULL ? 0 : batch->count;
        }
        tk_mutex_unlock(&tso->lock);
        if (must_open) {
            if (!open_stream(pd, wakes)) {
                return;
            }
        } else if (count != 0) {
            bool must_cancel = false;

            if (!send_count(stream, count)) {
                tk_mutex_lock(&tso->lock);
                must_cancel = doom(stream);
                tk_mutex_unlock(&tso->lock);
            }
            if (must_cancel) {
                doom_end(stream);
            }
            unref_stream(stream);
        } else {
            if (starved) {
                give_up(pd, false, TIKV_ERR_MEMORY, "no memory", wakes);
            }
            return;
        }
    }
}

/* ---- watchdog, leader change, end ---- */

static void
watch(struct tk_timer *timer)
{
    struct tk_pd *pd = ((struct tk_alarm *)(void *)timer)->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *late = NULL;
    struct tk_parker *stopper;
    struct tk_wakes wakes;
    int64_t again = TK_NEVER;

    tk_wakes_init(&wakes, pd->rt);
    tk_mutex_lock(&tso->lock);
    if (tso->oldest != NULL && !tso->is_closed &&
        tso->oldest->deadline <= tk_now(pd->rt) && doom(tso->stream)) {
        late = tso->stream;
    }
    tk_mutex_unlock(&tso->lock);
    if (late != NULL) {
        tk_log(pd->log, TIKV_LOG_WARN, "pd",
               "a timestamp is late: the stream is given up");
        doom_end(late);
    }
    tk_mutex_lock(&tso->lock);
    if (tso->oldest != NULL && !tso->is_closed) {
        int64_t soon = tk_after(tk_now(pd->rt), TK_MS);

        again = tso->oldest->deadline > soon ? tso->oldest->deadline : soon;
    }
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
    pd->tso.alarm.pd = pd;
    pd->tso.alarm.timer.fn = watch;
}

void
tk_tso_move(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_stream *stream;
    bool must_cancel;

    tk_mutex_lock(&tso->lock);
    stream = tso->stream;
    must_cancel = doom(stream);
    tk_mutex_unlock(&tso->lock);
    if (must_cancel) {
        doom_end(stream);
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
    queue = take_queue(tso);
    batches = take_batches(tso);
    tk_mutex_unlock(&tso->lock);
    fail_batches(batches, TIKV_ERR_CLOSED, "", &wakes);
    fail_list(queue, TIKV_ERR_CLOSED, "", &wakes);
    tk_wakes_flush(&wakes);
    tk_tso_move(pd);
    tk_alarm_stop(&tso->alarm, &tso->lock);
}
