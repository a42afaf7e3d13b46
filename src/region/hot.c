/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short road. Who may touch the block when: the starter until submit
 * accepts the request, and afterwards only its atomics, on the strength of
 * the application's reference; done exactly once, on the transport's thread;
 * a canceller through take back. The slot table of the connection decides
 * between done and take back.
 *
 * A cancel that comes before the request is submitted finds nothing to take
 * back: the starter looks at the flag once more after submitting, and one of
 * the two sees the other.
 */
#include "region/hot.h"

#include "base/error.h"
#include "base/slice.h"

/* Of the submitted request: lengths outlive what they measure. */
static size_t
sent_bytes(const struct tk_hot *hot)
{
    return tk_parts_len(&hot->request.parts);
}

static void
write_account(struct tk_hot *hot, tikv_slice answer, tikv_error *error)
{
    bool is_far = tk_store_is_far(hot->first.route.store, hot->router->config);
    struct tk_spent spent = { .calls = 1 };
    int64_t all;
    int64_t worked;

    all = tk_now(hot->router->rt) - hot->future.started;
    worked = tk_worked_ns(hot->command, answer);
    worked = worked < all ? worked : all;
    spent.ns[TK_PART_SERVER] = worked;
    spent.ns[TK_PART_WIRE] = all - worked;
    tk_spent_request(&spent, is_far, sent_bytes(hot));
    tk_spent_answer(&spent, is_far, answer.len);
    if (hot->details != NULL) {
        tk_spent_add(&hot->details->spent, &spent);
    }
    tk_error_set_spent(error, &spent);
}

/* Ends without a worker: all its time was the first attempt's. Gives back the
 * error. */
static tikv_error *
account(struct tk_hot *hot, tikv_slice answer, tikv_error *error)
{
    if (error != NULL || hot->details != NULL) {
        write_account(hot, answer, error);
    }
    return error;
}

static void
hot_done(struct tk_request *request, const struct tk_reply *reply,
         struct tk_wakes *wakes)
{
    struct tk_hot *hot = (struct tk_hot *)(void *)((char *)request -
                                                   offsetof(struct tk_hot,
                                                            request));
    tikv_slice data = tk_slice(reply->data, reply->len);
    struct tk_peek peek;
    tikv_error *error;

    if (reply->status == TK_REPLY_OK) {
        tk_peek(hot->command, data, &peek);
        if (tk_peek_is_clean(&peek) &&
            (hot->accept == NULL || hot->accept(hot, &peek, data))) {
            error = hot->clean(hot, &peek, reply->frame);
            tk_future_complete(&hot->future, account(hot, data, error), wakes);
            return;
        }
    } else if (reply->status == TK_REPLY_CLOSED) {
        tk_frame_unref(reply->frame, 1);
        error = hot->is_write && !reply->never_sent
                    ? tk_error(TIKV_ERR_UNDETERMINED,
                               "the client was closed before the answer came")
                    : tk_error_immortal(TIKV_ERR_CLOSED);
        tk_future_complete(&hot->future, account(hot, data, error), wakes);
        return;
    }
    /* Trouble: a worker goes on as if it had sent this attempt itself. */
    hot->first.status = reply->status;
    hot->first.grpc = reply->grpc;
    hot->first.never_sent = reply->never_sent;
    hot->first.data = data;
    hot->first.frame = reply->frame;
    hot->first.ended_at = tk_now(hot->router->rt);
    hot->first.sent_bytes = sent_bytes(hot);
    hot->first.is_set = true;
    tk_future_start(&hot->future, true);
}

static bool
is_cancelled(const struct tk_hot *hot)
{
    return (atomic_load(&hot->future.word) & TK_FUTURE_CANCEL) != 0;
}

/* The attempt is submitted; a cancel may have come just before. Without a
 * cancel of the call's there was nobody who could: the application has not
 * got the future yet. */
static void
submitted(struct tk_hot *hot)
{
    tikv_error *error;
    struct tk_wakes wakes;

    if (!hot->future.is_listening) {
        atomic_store_explicit(&hot->was_submitted, true, memory_order_relaxed);
        return;
    }
    atomic_store(&hot->was_submitted, true);
    if (is_cancelled(hot) && tk_hot_take_back(&hot->future, &error)) {
        tk_wakes_init(&wakes, hot->router->rt);
        tk_future_complete(&hot->future, error, &wakes);
        tk_wakes_flush(&wakes);
    }
}

void
tk_hot_start(struct tk_hot *hot, tikv_slice key, tikv_slice call,
             tikv_slice body)
{
    struct tk_router *router = hot->router;
    const struct tk_command_row *row = tk_command_row(hot->command);
    struct tk_route *route = &hot->first.route;
    struct tk_conn *conn = NULL;
    int64_t limit =
        row->timeout_ms != 0
            ? (int64_t)row->timeout_ms * TK_MS
            : tk_config_ns(&router->config->rpc_attempt_timeout_ms);
    /* The one look at the clock was when the future was made. */
    int64_t now = hot->future.started;
    int64_t until = tk_after(now, limit);

    tk_future_listen(&hot->future);
    if (!is_cancelled(hot) &&
        (hot->is_write || tk_config_int(&router->config->read_hedge_ms) == 0) &&
        tk_config_int(&router->config->stores_inflight_max) == 0 &&
        tk_cache_route_at(router->cache, key, now, route)) {
        conn = atomic_load_explicit(&route->store->conn, memory_order_acquire);
    }
    if (conn == NULL) {
        tk_future_start(&hot->future, false);
        return;
    }
    hot->request.done = hot_done;
    hot->request.now = now;
    hot->request.deadline =
        hot->future.deadline < until ? hot->future.deadline : until;
    hot->request.is_urgent =
        hot->future.call.priority == TIKV_PRIORITY_HIGH;
    hot->request.parts.command = hot->command;
    hot->request.parts.region = tk_slice(route->context, route->context_len);
    hot->request.parts.call = call;
    hot->request.parts.body = body;
    switch (tk_conn_submit(conn, &hot->request, true)) {
    case TK_SUBMIT_OK:
        submitted(hot);
        tk_point(router->rt);
        break;
    case TK_SUBMIT_BUSY:
    case TK_SUBMIT_FULL:
    case TK_SUBMIT_TOO_LARGE:
    case TK_SUBMIT_CLOSED:
    default:
        /* The pool knows whether we are closing, and how to wait. */
        tk_future_start(&hot->future, false);
        break;
    }
}

bool
tk_hot_take_back(struct tikv_future *future, tikv_error **error)
{
    struct tk_hot *hot = (struct tk_hot *)(void *)future;
    bool never_sent;

    if (!atomic_load(&hot->was_submitted) ||
        !tk_request_take_back(&hot->request, &never_sent)) {
        return false;
    }
    *error = hot->is_write && !never_sent
                 ? tk_error(TIKV_ERR_UNDETERMINED,
                            "cancelled after the write was sent")
                 : tk_error_immortal(TIKV_ERR_CANCELLED);
    *error = account(hot, (tikv_slice){ NULL, 0 }, *error);
    return true;
}

void
tk_hot_flush(struct tikv_future *future)
{
    struct tk_hot *hot = (struct tk_hot *)(void *)future;

    if (atomic_load(&hot->was_submitted)) {
        tk_rpc_flush(hot->router->rpc, &hot->request);
    }
}

void
tk_hot_fini(struct tk_hot *hot)
{
    tk_frame_unref(hot->first.frame, 1);
    hot->first.frame = NULL;
}
