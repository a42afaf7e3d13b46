/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream under the timestamp queue: its events, what its answers grant,
 * collecting and sending. The picture stands in tso.c. Events come on the
 * transport's thread, one at a time; anybody may pump. Lock: tso.lock, never
 * held across stream calls and done.
 */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "pd/tso.h"

#include "pdpb.upb.h"
#include "tsopb.upb.h"

enum { BATCHES_MAX = 64, LOGICAL_BITS = 18 };

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
        batches = tk_tso_take_batches(tso);
        /* Who came after we gave the stream up has not been tried yet. */
        if (!stream->has_answered && !stream->is_doomed) {
            queue = tk_tso_take_queue(tso);
        }
    }
    stream->is_doomed = true;
    if (tso->is_closed) {
        code = TIKV_ERR_CLOSED;
    }
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail_batches(batches, code, why, wakes);
    tk_tso_fail_list(queue, code, why, wakes);
    tk_tso_unref_stream(stream);
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
 * when it was asked for breaks PD's promise: that caller gets a fatal error.
 * A used grant was handed out before, to others: nobody may have it twice,
 * and who did not know of it asks again. */
static void
deliver(struct tk_tso_batch *batch, const struct grant *grant, bool is_used,
        struct tk_wakes *wakes)
{
    struct tk_tso_request *request = batch->first;
    uint64_t ts = grant->first;

    if (grant->code != TIKV_OK) {
        batch->next = NULL;
        tk_tso_fail_batches(batch, grant->code, grant->why, wakes);
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
        } else if (is_used) {
            error = tk_error(TIKV_ERR_PD, "PD: gave timestamp %llu again",
                             (unsigned long long)ts);
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
    bool is_used;

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
        batch = tk_tso_pop_batch(tso);
    }
    /* Answers come in the order of the questions, so that each is newer than
     * all before it: one that is not answers another question. */
    is_used = grant.first <= tso->newest;
    if (grant.code == TIKV_OK && batch != NULL && !is_used) {
        stream->has_answered = true;
        tso->newest = grant.last;
        tso->newest_at = tk_now(pd->rt);
    } else {
        must_cancel = tk_tso_doom(stream);
    }
    tk_mutex_unlock(&tso->lock);
    if (batch != NULL) {
        deliver(batch, &grant, is_used, wakes);
    }
    if (must_cancel) {
        tk_tso_doom_end(stream);
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

static struct tk_encoded
encode_for_pd(struct tk_pd *pd, uint32_t count, struct tk_arena *arena)
{
    const char *scope = pd->config->txn_scope;
    pdpb_TsoRequest *message = pdpb_TsoRequest_new(arena->upb);

    if (message == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    pdpb_TsoRequest_set_header(message, tk_pd_header(pd, arena));
    pdpb_TsoRequest_set_count(message, count);
    pdpb_TsoRequest_set_dc_location(
        message, upb_StringView_FromString(
                     scope == NULL || *scope == '\0' ? "global" : scope));
    return tk_arena_encode(arena, tk_command_row(TK_CMD_PD_TSO)->request,
                           message);
}

static struct tk_encoded
encode_for_service(struct tk_tso_stream *stream, uint32_t count,
                   struct tk_arena *arena)
{
    tsopb_TsoRequest *message = tsopb_TsoRequest_new(arena->upb);

    if (message == NULL) {
        return (struct tk_encoded){ NULL, 0 };
    }
    tsopb_TsoRequest_set_header(
        message,
        tk_service_header(stream->pd, arena, stream->home.group_id,
                          tk_conn_address(stream->conn)));
    tsopb_TsoRequest_set_count(message, count);
    return tk_arena_encode(arena, tk_command_row(TK_CMD_TSO_TSO)->request,
                           message);
}

static bool
send_count(struct tk_tso_stream *stream, uint32_t count)
{
    struct tk_arena *arena = tk_arena_new();
    struct tk_encoded encoded = { NULL, 0 };

    if (arena != NULL) {
        encoded = stream->home.is_apart
                      ? encode_for_service(stream, count, arena)
                      : encode_for_pd(stream->pd, count, arena);
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
    queue = tk_tso_take_queue(tso);
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail_list(queue, code, why, wakes);
}

/* is_opening is ours. False: who queues was failed. */
static bool
open_stream(struct tk_pd *pd, struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_home home;
    struct tk_conn *leader = tk_service_tso(pd, &home);
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
    stream->home = home;
    stream->refs = 2; /* until closed; ours */
    tk_mutex_lock(&tso->lock);
    tso->stream = stream;
    tk_mutex_unlock(&tso->lock);
    is_open = tk_conn_stream_open(
        leader,
        tk_command_row(home.is_apart ? TK_CMD_TSO_TSO : TK_CMD_PD_TSO)->path,
        NULL, &stream->stream);
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
    tk_tso_unref_stream(stream);
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
                must_cancel = tk_tso_doom(stream);
                tk_mutex_unlock(&tso->lock);
            }
            if (must_cancel) {
                tk_tso_doom_end(stream);
            }
            tk_tso_unref_stream(stream);
        } else {
            if (starved) {
                give_up(pd, false, TIKV_ERR_MEMORY, "no memory", wakes);
            }
            return;
        }
    }
}
