/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of the streams under the timestamp queue, and what answers
 * grant. The picture stands in tso.c. Events of one stream come on the
 * transport's threads, one at a time. An answer makes room: the next question
 * goes out before the callers of this one are told. Lock: tso.lock, never held
 * across stream calls and done.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/redact.h"
#include "base/slice.h"
#include "pd/tso.h"

#include "pdpb.upb.h"

enum { SMOOTHING = 8 };

static tikv_code
text_code(const char *text, size_t len)
{
    return tk_pd_text(text, len) == TK_PD_TEXT_MISMATCH
               ? TIKV_ERR_CLUSTER_MISMATCH
               : TIKV_ERR_PD;
}

void
tk_tso_closed(struct tk_stream *base, const struct tk_status *status,
              struct tk_wakes *wakes)
{
    struct tk_tso_stream *stream = (struct tk_tso_stream *)(void *)base;
    struct tk_pd *pd = stream->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_batch *queue = NULL;
    struct tk_tso_batch *flying;
    tikv_code code = text_code(status->details, strlen(status->details));
    char why[160];

    snprintf(why, sizeof(why), "the timestamp stream ended: %s",
             status->details);
    tk_mutex_lock(&tso->lock);
    flying = tk_tso_leave_stream(stream);
    tk_tso_unlist_stream(stream);
    /* Who came after we gave the stream up has not been tried yet. */
    if (!stream->has_answered && !stream->is_doomed && tso->streams == NULL) {
        queue = tk_tso_leave_queue(tso);
    }
    stream->is_doomed = true;
    if (tso->is_closed) {
        code = TIKV_ERR_CLOSED;
    }
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail(tso, flying, code, why, wakes);
    tk_tso_fail(tso, queue, code, why, wakes);
    tk_tso_unref_stream(stream);
    tk_tso_pump(pd, wakes);
}

void
tk_tso_sent(struct tk_stream *base, struct tk_wakes *wakes)
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
        tk_redact_text(text.data, text.size, out->why, sizeof(out->why));
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
        out->last = tk_pd_stamp(stamp);
        out->first = out->last - asked + 1;
    }
    tk_arena_unref(arena);
}

/* Hands the batch its timestamps. One that is not newer than what was known
 * when it was asked for breaks PD's promise: that caller gets a fatal error.
 * A used grant was handed out before, to others: nobody may have it twice,
 * and who did not know of it asks again. */
static void
hand_out(struct tk_tso_request *request, const struct grant *grant,
         bool is_used, struct tk_wakes *wakes)
{
    uint64_t ts = grant->first;

    while (request != NULL) {
        struct tk_tso_request *next = request->next;
        tikv_error *error = NULL;

        /* Its caller wrote it last, on another core. */
        if (next != NULL) {
            __builtin_prefetch(next, 1);
        }
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
}

static void
deliver(struct tk_tso *tso, struct tk_tso_batch *batch,
        const struct grant *grant, bool is_used, struct tk_wakes *wakes)
{
    if (grant->code != TIKV_OK) {
        tk_tso_fail(tso, batch, grant->code, grant->why, wakes);
        return;
    }
    hand_out(batch->first, grant, is_used, wakes);
    tk_tso_spare(tso, batch);
}

/* Under the lock. */
static void
take_over(struct tk_tso_stream *stream, const struct tk_tso_batch *batch,
          const struct grant *grant)
{
    struct tk_tso *tso = &stream->pd->tso;
    int64_t now = tk_now(stream->pd->rt);
    int64_t took = now - batch->sent_at;

    stream->has_answered = true;
    stream->newest = grant->last;
    if (grant->last > tso->newest) {
        tso->newest = grant->last;
        tso->newest_at = now;
    }
    tso->round_trip = tso->round_trip == 0
                          ? took
                          : tso->round_trip +
                                (took - tso->round_trip) / SMOOTHING;
}

void
tk_tso_received(struct tk_stream *base, tikv_slice data,
                struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_tso_stream *stream = (struct tk_tso_stream *)(void *)base;
    struct tk_pd *pd = stream->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_batch *batch;
    struct grant grant = { 0, 0, TIKV_ERR_PD, "" };
    uint32_t asked = 0;
    bool must_cancel = false;
    bool is_used;

    tk_mutex_lock(&tso->lock);
    if (stream->flying.oldest != NULL) {
        asked = stream->flying.oldest->asked;
    }
    tk_mutex_unlock(&tso->lock);
    read_grant(pd, data, frame, asked, &grant);
    tk_frame_unref(frame, 1);
    tk_mutex_lock(&tso->lock);
    /* One message is delivered at a time, and only this takes batches off a
     * stream that lives: it is still the same one, unless all was taken by
     * close. */
    batch = tk_tso_leave_oldest(stream);
    /* Answers come in the order of the questions, so that each is newer than
     * all before it: one that is not answers another question. */
    is_used = grant.first <= stream->newest;
    if (grant.code == TIKV_OK && batch != NULL && !is_used) {
        take_over(stream, batch, &grant);
    } else {
        must_cancel = tk_tso_doom(stream);
    }
    tk_mutex_unlock(&tso->lock);
    if (must_cancel) {
        tk_tso_doom_end(stream);
    }
    tk_tso_pump(pd, wakes);
    if (batch != NULL) {
        deliver(tso, batch, &grant, is_used, wakes);
    }
}
