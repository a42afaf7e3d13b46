/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for timestamps: which step comes next, opening streams, sending a
 * batch. Anybody may pump; what one thread is doing, opening or sending on a
 * stream, is marked under the lock, and the end of it pumps again.
 *
 * Where questions go is the plan of members.c: to the leader; around it, to a
 * member that passes them on; or spread over all of them. A stream that is not
 * of the plan ends when it has nothing on its way. Lock: tso.lock, never held
 * across stream calls and done.
 */
#include <stdio.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "pd/tso.h"

#include "pdpb.upb.h"
#include "tsopb.upb.h"

enum { PACE_MIN_NS = 100000, OPEN_AGAIN_MS = 1000 };

/* ---- which step comes next; under the lock ---- */

enum step { REST, OPEN, RETIRE, SEND };

/* With several on their way they are spaced by their share of a round trip:
 * two at once would only be two small ones. */
bool
tk_tso_has_room(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    size_t most = (size_t)tk_config_int(&pd->config->tso_inflight_count);
    int64_t gap;

    if (tso->flying_count == 0) {
        return true;
    }
    if (tso->flying_count >= most) {
        return false;
    }
    gap = tso->round_trip / (int64_t)most;
    return tk_now(pd->rt) - tso->sent_at >=
           (gap < PACE_MIN_NS ? PACE_MIN_NS : gap);
}

/* Whether more may come that fit into the same message. */
static bool
waits_for_more(struct tk_pd *pd)
{
    struct tk_tso *tso = &pd->tso;
    int64_t wait = tk_config_int(&pd->config->tso_batch_wait_us) * 1000;
    int64_t until;

    if (wait == 0 || tso->queued_count >=
                         (size_t)tk_config_int(
                             &pd->config->tso_batch_max_count)) {
        return false;
    }
    until = tk_after(tso->queue_since, wait);
    if (tk_now(pd->rt) >= until) {
        return false;
    }
    tso->fill_until = until;
    tk_alarm_arm(&tso->filler, until);
    return true;
}

static bool
is_of_plan(const struct tk_tso_stream *stream, enum tk_plan plan)
{
    return plan == TK_PLAN_SPREAD ||
           (stream->home.leader != NULL) == (plan == TK_PLAN_AROUND);
}

static enum step
choose(struct tk_pd *pd, struct tk_tso_stream **out)
{
    struct tk_tso *tso = &pd->tso;
    enum tk_plan plan =
        pd->service.primary != NULL ? TK_PLAN_LEADER : tk_members_plan(pd);
    struct tk_tso_stream *stream;
    uint64_t present = 0;
    uint64_t free = 0;

    *out = NULL;
    for (stream = tso->streams; stream != NULL; stream = stream->next) {
        if (stream->is_doomed) {
            continue;
        }
        if (!is_of_plan(stream, plan)) {
            if (stream->flying.oldest == NULL && tk_tso_doom(stream)) {
                *out = stream;
                return RETIRE;
            }
            continue;
        }
        present++;
        if (stream->is_open && !stream->is_sending &&
            (++free == 1 || pd->rt->ops->random(pd->rt) % free == 0)) {
            *out = stream;
        }
    }
    if (tso->queued_count == 0 || tso->is_closed) {
        return REST;
    }
    if (!tso->is_opening &&
        (present == 0 || (plan == TK_PLAN_SPREAD &&
                          tk_now(pd->rt) >= tso->open_again_at))) {
        tso->is_opening = true;
        return OPEN;
    }
    return *out != NULL && tk_tso_has_room(pd) && !waits_for_more(pd) ? SEND
                                                                      : REST;
}

/* Puts what queues on the stream's books. */
static uint32_t
collect(struct tk_tso_stream *stream)
{
    struct tk_pd *pd = stream->pd;
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_batch *batch = tk_tso_take(tso);
    int64_t now = tk_now(pd->rt);

    batch->asked = (uint32_t)batch->count;
    batch->sent_at = now;
    batch->deadline = tk_after(now, tk_config_ns(&pd->config->pd_timeout_ms));
    tk_tso_append(&stream->flying, batch);
    tso->flying_count++;
    tso->sent_at = now;
    tso->queue_since = now;
    stream->is_sending = true;
    stream->refs++;
    tk_alarm_arm(&tso->alarm, batch->deadline);
    return batch->asked;
}

/* ---- sending; no lock held ---- */

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
                          tk_conn_address(stream->home.conn)));
    tsopb_TsoRequest_set_count(message, count);
    return tk_arena_encode(arena, tk_command_row(TK_CMD_TSO_TSO)->request,
                           message);
}

/* False: no memory. */
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
        (void)tk_conn_stream_send(stream->home.conn, &stream->stream,
                                  tk_slice(encoded.data, encoded.len));
    }
    tk_arena_unref(arena);
    return encoded.data != NULL;
}

static void
ask(struct tk_tso_stream *stream, uint32_t count)
{
    bool must_cancel = false;

    if (!send_count(stream, count)) {
        tk_mutex_lock(&stream->pd->tso.lock);
        must_cancel = tk_tso_doom(stream);
        tk_mutex_unlock(&stream->pd->tso.lock);
    }
    if (must_cancel) {
        tk_tso_doom_end(stream);
    }
    tk_tso_unref_stream(stream);
}

/* ---- opening; no lock held, is_opening is ours ---- */

static bool
is_there(struct tk_pd *pd, const struct tk_tso_home *home)
{
    struct tk_tso_stream *stream;

    tk_mutex_lock(&pd->tso.lock);
    stream = pd->tso.streams;
    while (stream != NULL &&
           (stream->is_doomed || stream->home.conn != home->conn ||
            stream->home.leader != home->leader)) {
        stream = stream->next;
    }
    tk_mutex_unlock(&pd->tso.lock);
    return stream != NULL;
}

static struct tk_tso_stream *
new_stream(struct tk_pd *pd, const struct tk_tso_home *home)
{
    struct tk_tso_stream *stream = tk_calloc(sizeof(*stream));

    if (stream != NULL) {
        stream->stream.received = tk_tso_received;
        stream->stream.sent = tk_tso_sent;
        stream->stream.closed = tk_tso_closed;
        stream->pd = pd;
        stream->home = *home;
        stream->refs = 2; /* until closed; ours */
        tk_mutex_lock(&pd->tso.lock);
        stream->newest = pd->tso.newest;
        stream->next = pd->tso.streams;
        stream->is_listed = true;
        pd->tso.streams = stream;
        tk_mutex_unlock(&pd->tso.lock);
    }
    return stream;
}

/* Takes over what `home` has counted. False: the client closes. */
static bool
open_stream(struct tk_pd *pd, struct tk_tso_home *home)
{
    struct tk_tso_stream *stream = new_stream(pd, home);
    struct tk_pd_forward forward;
    bool must_cancel;
    bool is_open;

    if (stream == NULL) {
        tk_tso_home_fini(home);
        return false;
    }
    is_open = tk_conn_stream_open(
        home->conn,
        tk_command_row(home->is_apart ? TK_CMD_TSO_TSO : TK_CMD_PD_TSO)->path,
        tk_pd_forward(pd, home->leader, false, &forward), &stream->stream);
    tk_mutex_lock(&pd->tso.lock);
    stream->is_open = is_open;
    must_cancel = is_open && stream->is_doomed && stream->is_listed;
    if (!is_open) {
        tk_tso_unlist_stream(stream);
        stream->refs--;
    }
    tk_mutex_unlock(&pd->tso.lock);
    if (must_cancel) {
        tk_conn_stream_cancel(home->conn, &stream->stream);
    }
    tk_tso_unref_stream(stream);
    return is_open;
}

/* What is missing of the plan. False: nobody can be asked, and who queues was
 * told so. */
static bool
open_streams(struct tk_pd *pd, struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;
    struct tk_tso_home homes[TK_TSO_HOMES_MAX];
    size_t count = tk_members_homes(pd, homes);
    struct tk_tso_batch *queue = NULL;
    bool is_any = false;
    size_t i;

    for (i = 0; i < count; i++) {
        if (is_there(pd, &homes[i])) {
            tk_tso_home_fini(&homes[i]);
            is_any = true;
        } else {
            is_any |= open_stream(pd, &homes[i]);
        }
    }
    tk_mutex_lock(&tso->lock);
    tso->is_opening = false;
    tso->open_again_at = tk_after(tk_now(pd->rt), OPEN_AGAIN_MS * TK_MS);
    if (!is_any) {
        queue = tk_tso_leave_queue(tso);
    }
    tk_mutex_unlock(&tso->lock);
    tk_tso_fail(tso, queue, TIKV_ERR_PD,
                count == 0 ? "no leader is known" : "no stream can be opened",
                wakes);
    return is_any;
}

void
tk_tso_pump(struct tk_pd *pd, struct tk_wakes *wakes)
{
    struct tk_tso *tso = &pd->tso;
    enum step step;

    do {
        struct tk_tso_stream *stream;
        uint32_t count = 0;

        tk_mutex_lock(&tso->lock);
        step = choose(pd, &stream);
        if (step == SEND) {
            count = collect(stream);
        }
        tk_mutex_unlock(&tso->lock);
        switch (step) {
        case SEND:
            ask(stream, count);
            break;
        case RETIRE:
            tk_tso_doom_end(stream);
            break;
        case OPEN:
            step = open_streams(pd, wakes) ? OPEN : REST;
            break;
        case REST:
            break;
        }
    } while (step != REST);
}
