/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futures of timestamps. One sits in PD's queue itself and is completed by
 * the thread that reads PD's answer, so that any number of them costs no
 * worker; only trouble goes to the pool.
 *
 * Cancel may come before the request was submitted; then the submitter takes
 * it back:
 *
 *     0 --submitter--> SUBMITTED        cancel takes back
 *     0 --cancel--> CANCELLED           the submitter takes back
 *
 * The deadline is watched by PD's queue, and once more by a worker.
 */
#include <tikv/oracle.h>

#include "api/client.h"
#include "base/call.h"
#include "base/error.h"

#define SUBMITTED UINT32_C(1)
#define CANCELLED UINT32_C(2)

struct stamp {
    struct tikv_future future; /* first */
    tikv_client *client;
    struct tk_tso_request request;
    _Atomic uint32_t state;
    int64_t ended_at;      /* of the first try, if a worker went on */
    tikv_details *details; /* who wants an account, or NULL */
};

static struct stamp *
stamp_of_request(struct tk_tso_request *request)
{
    return (struct stamp *)(void *)((uint8_t *)(void *)request -
                                    offsetof(struct stamp, request));
}

/* True: the request is ours again, and nobody else's. */
static bool
take_back(struct stamp *stamp, uint32_t mine, uint32_t other)
{
    return atomic_fetch_or(&stamp->state, mine) == other &&
           tk_pd_tso_take_back(stamp->client->router.pd, &stamp->request);
}

/* All its time was PD's. */
static void
write_account(struct stamp *stamp, tikv_error *error)
{
    struct tk_spent spent = { .calls = 1 };

    spent.ns[TK_PART_PD] =
        tk_now(stamp->client->router.rt) - stamp->future.started;
    if (stamp->details != NULL) {
        tk_spent_add(&stamp->details->spent, &spent);
    }
    tk_error_set_spent(error, &spent);
}

/* Ends without a worker. Gives back the error. */
static tikv_error *
account(struct stamp *stamp, tikv_error *error)
{
    if (error != NULL || stamp->details != NULL) {
        write_account(stamp, error);
    }
    return error;
}

static bool
cancel_stamp(struct tikv_future *future, tikv_error **error)
{
    struct stamp *stamp = (struct stamp *)(void *)future;

    if (!take_back(stamp, CANCELLED, SUBMITTED)) {
        return false;
    }
    *error = account(stamp, tk_error_immortal(TIKV_ERR_CANCELLED));
    return true;
}

/* PD's thread. Trouble with PD is for a worker, who looks for the leader. */
static void
done(struct tk_tso_request *request, uint64_t ts, tikv_error *error,
     struct tk_wakes *wakes)
{
    struct stamp *stamp = stamp_of_request(request);

    if (tikv_error_code(error) == TIKV_ERR_PD) {
        tikv_error_free(error);
        stamp->ended_at = tk_now(stamp->client->router.rt);
        tk_future_start(&stamp->future, true);
        return;
    }
    stamp->future.outcome.number[0] = ts;
    tk_future_complete(&stamp->future, account(stamp, error), wakes);
}

static tikv_error *
run(struct tikv_future *future, struct tk_op *op)
{
    struct stamp *stamp = (struct stamp *)(void *)future;

    op->details = stamp->details;
    if (stamp->ended_at != 0) {
        tk_op_recount(op, TK_PART_QUEUE, TK_PART_PD,
                      stamp->ended_at - future->started);
    }
    return tk_pd_timestamp(stamp->client->router.pd, op,
                           &future->outcome.number[0]);
}

static const struct tk_future_ops ops = { .run = run,
                                          .take_back = cancel_stamp };

static void
complete(struct stamp *stamp, tikv_error *error)
{
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, stamp->client->router.rt);
    tk_future_complete(&stamp->future, error, &wakes);
    tk_wakes_flush(&wakes);
}

/* The queue refused the request. */
static void
refused(struct stamp *stamp)
{
    tikv_error *error = tk_exec_refusal(stamp->client->router.exec);

    complete(stamp, error != NULL ? error
                                  : tk_error(TIKV_ERR_OVERLOAD,
                                             "too many wait for a timestamp"));
}

static void
start(struct stamp *stamp)
{
    if (!tk_pd_tso_submit(stamp->client->router.pd, &stamp->request)) {
        refused(stamp);
    } else if (take_back(stamp, SUBMITTED, CANCELLED)) {
        complete(stamp, tk_error_immortal(TIKV_ERR_CANCELLED));
    }
}

tikv_future *
tikv_timestamp_async(tikv_client *client, const tikv_call *call)
{
    tikv_error *error = tk_door_refusal(client);
    struct tikv_future *future;
    tikv_details *details;
    struct stamp *stamp;
    tikv_call copy;

    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error != NULL) {
        return tk_door_refuse(client, error);
    }
    future = tk_future_new(
        client->router.exec, sizeof(*stamp) + tk_call_copy_size(&copy), &ops,
        TK_KIND_U64, &copy, tk_config_ns(&client->config.call_timeout_ms));
    if (future == NULL) {
        return tk_future_immortal();
    }
    stamp = (struct stamp *)(void *)future;
    stamp->client = client;
    stamp->details = details;
    stamp->ended_at = 0;
    stamp->request = (struct tk_tso_request){ .done = done,
                                              .deadline = future->deadline };
    atomic_init(&stamp->state, 0);
    (void)tk_call_copy(&future->call, (uint8_t *)(stamp + 1));
    tk_future_listen(future);
    start(stamp);
    return future;
}
