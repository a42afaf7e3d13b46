/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of <tikv/oracle.h> on the caller's thread: each is one function of
 * pd, behind the door that all go through that may wait. */
#include <tikv/oracle.h>

#include "api/client.h"
#include "base/call.h"
#include "base/error.h"
#include "pd/oracle.h"

typedef tikv_error *
clock_fn(struct tk_pd *pd, struct tk_op *op, uint64_t *out);

/* *out changes only when there is a result. */
static tikv_error *
read_clock(tikv_client *client, const tikv_call *call, clock_fn *fn,
           uint64_t argument, uint64_t *out)
{
    tikv_error *error = tk_door_refusal(client);
    uint64_t number = argument;
    tikv_details *details;
    struct tk_op op;
    tikv_call copy;

    if (error == NULL && out == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    if (error == NULL) {
        error = tk_call_read(call, &copy, &details);
    }
    if (error == NULL) {
        error = tk_door_enter(client, &copy, &op);
    }
    if (error != NULL) {
        return error;
    }
    op.details = details;
    error = tk_op_end(&op, fn(client->router.pd, &op, &number));
    tk_door_leave(client, &op);
    if (error == NULL) {
        *out = number;
    }
    return error;
}

static tikv_error *
past(struct tk_pd *pd, struct tk_op *op, uint64_t *age_then_out)
{
    return tk_pd_past(pd, op, *age_then_out, age_then_out);
}

static tikv_error *
set_external(struct tk_pd *pd, struct tk_op *op, uint64_t *ts)
{
    return tk_pd_set_external_timestamp(pd, op, *ts);
}

tikv_error *
tikv_timestamp(tikv_client *client, const tikv_call *call, uint64_t *out)
{
    return read_clock(client, call, tk_pd_timestamp, 0, out);
}

tikv_error *
tikv_timestamp_recent(tikv_client *client, const tikv_call *call, uint64_t *out)
{
    return read_clock(client, call, tk_pd_low_resolution, 0, out);
}

tikv_error *
tikv_timestamp_past(tikv_client *client, const tikv_call *call,
                    uint64_t age_ms, uint64_t *out)
{
    return read_clock(client, call, past, age_ms, out);
}

tikv_error *
tikv_timestamp_min(tikv_client *client, const tikv_call *call, uint64_t *out)
{
    return read_clock(client, call, tk_pd_min_timestamp, 0, out);
}

tikv_error *
tikv_external_timestamp(tikv_client *client, const tikv_call *call,
                        uint64_t *out)
{
    return read_clock(client, call, tk_pd_external_timestamp, 0, out);
}

tikv_error *
tikv_external_timestamp_set(tikv_client *client, const tikv_call *call,
                            uint64_t ts)
{
    return read_clock(client, call, set_external, ts, &ts);
}

int64_t
tikv_timestamp_until_expired(tikv_client *client, uint64_t ts, uint64_t ttl_ms)
{
    return client == NULL
               ? 0
               : tk_pd_until_expired(client->router.pd, ts, ttl_ms);
}
