/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lanes of query.h. One message is on its way at a time, so that those who
 * come meanwhile share the next.
 *
 *     stream  none --pump--> opening --> open --closed event--> none
 *             beside it: is_doomed (cancelled: closed will come)
 *
 * Whatever goes wrong, the questions of the lane end with NOTHING and it
 * rests for a second; UNIMPLEMENTED is remembered until another member is
 * asked. Events come on the transport's thread, the watchdog on the timer's.
 * Lock: lane.lock, never held across stream calls and wakes.
 */
#include "pd/query.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "pd/inner.h"
#include "pd/query_message.h"

enum { REST_MS = 1000, GRPC_UNIMPLEMENTED = 12 };

struct tk_query_stream {
    struct tk_stream stream; /* first */
    struct tk_lane *lane;
    struct tk_conn *conn; /* counted */
    bool is_routers;      /* fixed: not a member of PD */
    /* Guarded by the lane's lock. */
    uint32_t refs;
    bool is_open;
    bool is_doomed;
    bool is_moved; /* doomed for nothing that it did */
};

static void
pump(struct tk_lane *lane, struct tk_wakes *wakes);

/* ---- lists; under the lock ---- */

static void
append(struct tk_query_list *list, struct tk_query *query)
{
    query->next = NULL;
    query->prev = list->last;
    if (list->last != NULL) {
        list->last->next = query;
    } else {
        list->first = query;
    }
    list->last = query;
    query->is_listed = true;
}

static void
extract(struct tk_query_list *list, struct tk_query *query)
{
    if (query->prev != NULL) {
        query->prev->next = query->next;
    } else {
        list->first = query->next;
    }
    if (query->next != NULL) {
        query->next->prev = query->prev;
    } else {
        list->last = query->prev;
    }
    query->is_listed = false;
}

/* The whole list; nobody else ends these now. */
static struct tk_query *
take(struct tk_query_list *list)
{
    struct tk_query *first = list->first;
    struct tk_query *query;

    for (query = first; query != NULL; query = query->next) {
        query->is_listed = false;
    }
    *list = (struct tk_query_list){ NULL, NULL };
    return first;
}

static void
wake(struct tk_query *first, struct tk_wakes *wakes)
{
    while (first != NULL) {
        /* Read first: a query is gone once its signal is set. */
        struct tk_query *next = first->next;

        tk_signal_set(&first->signal, wakes);
        first = next;
    }
}

/* ---- the stream ---- */

static void
unref(struct tk_query_stream *stream)
{
    bool is_last;

    tk_mutex_lock(&stream->lane->lock);
    is_last = --stream->refs == 0;
    tk_mutex_unlock(&stream->lane->lock);
    if (is_last) {
        tk_conn_unref(stream->conn);
        tk_free(stream);
    }
}

/* Under the lock: true when the caller, after it, must doom_end(). */
static bool
doom(struct tk_query_stream *stream)
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
doom_end(struct tk_query_stream *stream)
{
    tk_conn_stream_cancel(stream->conn, &stream->stream);
    unref(stream);
}

static void
doom_now(struct tk_lane *lane)
{
    struct tk_query_stream *stream;
    bool must_cancel;

    tk_mutex_lock(&lane->lock);
    stream = lane->stream;
    must_cancel = doom(stream);
    tk_mutex_unlock(&lane->lock);
    if (must_cancel) {
        doom_end(stream);
    }
}

/* The lane works no more for a while: all its questions. Under the lock. */
static struct tk_query *
give_up(struct tk_lane *lane)
{
    struct tk_query_list *queue = &lane->queue;
    struct tk_query *query;

    lane->is_flying = false;
    lane->not_before = tk_after(tk_now(lane->pd->rt), REST_MS * TK_MS);
    while ((query = lane->flying.first) != NULL) {
        extract(&lane->flying, query);
        append(queue, query);
    }
    return take(queue);
}

/* Others are asked in its place, if it is not the leader. */
static void
distrust(struct tk_query_stream *stream)
{
    if (stream->lane->is_leaders) {
        return;
    }
    if (stream->is_routers) {
        tk_router_drop(stream->lane->pd, stream->conn);
    } else {
        tk_members_bench(stream->lane->pd, stream->conn);
    }
}

static void
stream_closed(struct tk_stream *base, const struct tk_status *status,
              struct tk_wakes *wakes)
{
    struct tk_query_stream *stream = (struct tk_query_stream *)(void *)base;
    struct tk_lane *lane = stream->lane;
    struct tk_query *failed = NULL;
    bool is_moved;

    tk_mutex_lock(&lane->lock);
    is_moved = stream->is_moved || lane->is_closed;
    if (lane->stream == stream) {
        lane->stream = NULL;
        lane->is_unsupported |=
            !is_moved && status->grpc == GRPC_UNIMPLEMENTED;
        failed = give_up(lane);
        if (is_moved) {
            lane->not_before = 0;
        }
    }
    stream->is_doomed = true;
    tk_mutex_unlock(&lane->lock);
    wake(failed, wakes);
    if (!is_moved) {
        distrust(stream);
    }
    unref(stream);
}

static void
stream_sent(struct tk_stream *base, struct tk_wakes *wakes)
{
    (void)base;
    (void)wakes;
}

static void
stream_received(struct tk_stream *base, tikv_slice data,
                struct tk_frame *frame, struct tk_wakes *wakes)
{
    struct tk_query_stream *stream = (struct tk_query_stream *)(void *)base;
    struct tk_lane *lane = stream->lane;
    struct tk_query *answered = NULL;
    struct tk_query *failed = NULL;
    bool is_ours;
    bool is_good;

    tk_mutex_lock(&lane->lock);
    is_ours = lane->stream == stream && lane->is_flying;
    if (is_ours) {
        answered = take(&lane->flying);
    }
    tk_mutex_unlock(&lane->lock);
    is_good = is_ours && tk_query_read(lane->pd, data, frame, answered);
    tk_frame_unref(frame, 1);
    tk_mutex_lock(&lane->lock);
    if (is_good) {
        lane->is_flying = false;
    } else if (lane->stream == stream) {
        failed = give_up(lane);
    }
    tk_mutex_unlock(&lane->lock);
    wake(answered, wakes);
    wake(failed, wakes);
    if (!is_good) {
        doom_now(lane);
    }
    pump(lane, wakes);
}

/* ---- asking; no lock held ---- */

/* Whom this lane asks, counted; NULL: nobody. */
static struct tk_conn *
find_target(struct tk_lane *lane, bool *is_routers)
{
    struct tk_conn *conn;

    *is_routers = false;
    if (lane->is_leaders) {
        return tk_members_plan(lane->pd) == TK_PLAN_AROUND
                   ? NULL
                   : tk_members_leader(lane->pd);
    }
    conn = tk_router_conn(lane->pd);
    *is_routers = conn != NULL;
    return conn != NULL ? conn : tk_members_follower(lane->pd);
}

static struct tk_query_stream *
new_stream(struct tk_lane *lane)
{
    struct tk_query_stream *stream = tk_calloc(sizeof(*stream));

    if (stream != NULL) {
        stream->lane = lane;
        stream->conn = find_target(lane, &stream->is_routers);
        if (stream->conn == NULL) {
            tk_free(stream);
            return NULL;
        }
        stream->stream.received = stream_received;
        stream->stream.sent = stream_sent;
        stream->stream.closed = stream_closed;
        stream->refs = 2; /* until closed; ours */
    }
    return stream;
}

/* is_opening is ours. */
static void
open_stream(struct tk_lane *lane, struct tk_wakes *wakes)
{
    struct tk_query_stream *stream = new_stream(lane);
    struct tk_query *failed = NULL;
    struct tk_pd_forward forward;
    bool is_open = false;
    bool must_cancel = false;

    if (stream != NULL) {
        tk_mutex_lock(&lane->lock);
        lane->stream = stream;
        tk_mutex_unlock(&lane->lock);
        is_open = tk_conn_stream_open(
            stream->conn,
            tk_command_row(stream->is_routers ? TK_CMD_ROUTER_QUERY_REGION
                                              : TK_CMD_PD_QUERY_REGION)
                ->path,
            tk_pd_forward(lane->pd, NULL, !lane->is_leaders, &forward),
            &stream->stream);
    }
    tk_mutex_lock(&lane->lock);
    lane->is_opening = false;
    if (is_open) {
        stream->is_open = true;
        must_cancel = stream->is_doomed && lane->stream == stream;
    } else {
        lane->stream = NULL;
        failed = give_up(lane);
        if (stream != NULL) {
            stream->refs--;
        }
    }
    tk_mutex_unlock(&lane->lock);
    wake(failed, wakes);
    if (must_cancel) {
        tk_conn_stream_cancel(stream->conn, &stream->stream);
    }
    if (stream != NULL) {
        unref(stream);
    }
}

/* Under the lock: moves what goes with the next message to `flying`, and
 * encodes it into `arena`. */
static struct tk_encoded
collect(struct tk_lane *lane, struct tk_arena *arena)
{
    uint32_t places[3] = { 0, 0, 0 };
    uint32_t count = 0;

    while (lane->queue.first != NULL && count++ < TK_QUERIES_MAX) {
        struct tk_query *query = lane->queue.first;

        extract(&lane->queue, query);
        query->place = places[query->kind]++;
        append(&lane->flying, query);
    }
    lane->is_flying = true;
    lane->deadline = tk_after(tk_now(lane->pd->rt),
                              tk_config_ns(&lane->pd->config->pd_timeout_ms));
    tk_alarm_arm(&lane->alarm, lane->deadline);
    return tk_query_encode(lane->pd, lane->flying.first, arena);
}

/* The stream is counted for this. */
static void
send(struct tk_query_stream *stream, struct tk_encoded message)
{
    /* False of the stream means that closed comes or came. */
    if (message.data != NULL) {
        (void)tk_conn_stream_send(stream->conn, &stream->stream,
                                  tk_slice(message.data, message.len));
    } else {
        doom_now(stream->lane);
    }
    unref(stream);
}

static void
pump(struct tk_lane *lane, struct tk_wakes *wakes)
{
    struct tk_query_stream *stream;
    struct tk_query *failed = NULL;
    struct tk_arena *arena;
    struct tk_encoded message = { NULL, 0 };
    bool must_open = false;
    bool must_send = false;

    do {
        tk_mutex_lock(&lane->lock);
        stream = lane->stream;
        if (lane->queue.first == NULL || lane->is_flying) {
            stream = NULL; /* nothing to do now */
        }
        must_open = lane->queue.first != NULL && lane->stream == NULL &&
                    !lane->is_opening && !lane->is_closed;
        lane->is_opening |= must_open;
        tk_mutex_unlock(&lane->lock);
        if (must_open) {
            open_stream(lane, wakes);
        }
    } while (must_open);
    if (stream == NULL) {
        return;
    }
    arena = tk_arena_new();
    tk_mutex_lock(&lane->lock);
    stream = lane->stream;
    must_send = lane->queue.first != NULL && stream != NULL &&
                stream->is_open && !stream->is_doomed && !lane->is_flying;
    if (must_send && arena == NULL) {
        must_send = false;
        failed = give_up(lane);
    } else if (must_send) {
        message = collect(lane, arena);
        stream->refs++;
    }
    tk_mutex_unlock(&lane->lock);
    wake(failed, wakes);
    if (must_send) {
        send(stream, message);
    }
    tk_arena_unref(arena);
}

tikv_error *
tk_lane_ask(struct tk_lane *lane, struct tk_op *op, struct tk_query *query)
{
    struct tk_wakes wakes;
    tikv_error *error;
    bool is_listed;

    query->result = TK_QUERY_NOTHING;
    query->frame = NULL;
    query->place = UINT32_MAX; /* until it goes */
    tk_signal_init(&query->signal, op);
    tk_mutex_lock(&lane->lock);
    is_listed = !lane->is_closed && !lane->is_unsupported &&
                tk_now(op->rt) >= lane->not_before;
    if (is_listed) {
        append(&lane->queue, query);
    }
    tk_mutex_unlock(&lane->lock);
    if (!is_listed) {
        return NULL;
    }
    tk_wakes_init(&wakes, op->rt);
    pump(lane, &wakes);
    tk_wakes_flush(&wakes);
    error = tk_op_await(op, &query->signal);
    if (error == NULL) {
        return NULL;
    }
    tk_mutex_lock(&lane->lock);
    is_listed = query->is_listed;
    if (is_listed) {
        bool has_flown = query->place != UINT32_MAX;

        extract(has_flown ? &lane->flying : &lane->queue, query);
    }
    tk_mutex_unlock(&lane->lock);
    if (!is_listed) {
        tk_op_await_surely(op, &query->signal);
        tk_frame_unref(query->frame, 1);
    }
    return error;
}

/* ---- life ---- */

static void
watch(void *owner)
{
    struct tk_lane *lane = owner;
    struct tk_runtime *rt = lane->pd->rt;
    int64_t again = TK_NEVER;
    bool is_late;

    tk_mutex_lock(&lane->lock);
    is_late = lane->is_flying && lane->deadline <= tk_now(rt);
    tk_mutex_unlock(&lane->lock);
    if (is_late) {
        doom_now(lane);
    }
    tk_mutex_lock(&lane->lock);
    if (lane->is_flying && !lane->is_closed) {
        int64_t soon = tk_after(tk_now(rt), TK_MS);

        again = lane->deadline > soon ? lane->deadline : soon;
    }
    tk_alarm_end(&lane->alarm, again);
}

void
tk_lane_init(struct tk_lane *lane, struct tk_pd *pd, bool is_leaders)
{
    lane->pd = pd;
    lane->is_leaders = is_leaders;
    tk_mutex_init(&lane->lock, TK_RANK_PD);
    tk_alarm_init(&lane->alarm, pd->rt, &lane->lock, lane, watch);
}

void
tk_lane_distrust(struct tk_lane *lane)
{
    struct tk_query_stream *stream;

    tk_mutex_lock(&lane->lock);
    stream = lane->stream;
    if (stream != NULL) {
        stream->refs++;
        stream->is_moved = true;
    }
    tk_mutex_unlock(&lane->lock);
    if (stream != NULL) {
        distrust(stream);
        unref(stream);
        doom_now(lane);
    }
}

void
tk_lane_move(struct tk_lane *lane)
{
    tk_mutex_lock(&lane->lock);
    lane->is_unsupported = false;
    lane->not_before = 0;
    if (lane->stream != NULL) {
        lane->stream->is_moved = true;
    }
    tk_mutex_unlock(&lane->lock);
    doom_now(lane);
}

void
tk_lane_close(struct tk_lane *lane)
{
    struct tk_query *failed;
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, lane->pd->rt);
    tk_mutex_lock(&lane->lock);
    lane->is_closed = true;
    failed = give_up(lane);
    tk_mutex_unlock(&lane->lock);
    wake(failed, &wakes);
    tk_wakes_flush(&wakes);
    doom_now(lane);
    tk_alarm_stop(&lane->alarm);
}

void
tk_lane_fini(struct tk_lane *lane)
{
    tk_mutex_fini(&lane->lock);
}
