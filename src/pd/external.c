/* SPDX-License-Identifier: Apache-2.0 */
/* Timestamps that PD keeps or computes for others: the least of its services,
 * and the external one. Plain calls, no state, no lock. */
#include "base/error.h"
#include "pd/inner.h"
#include "pd/oracle.h"

#include "pdpb.upb.h"

enum { LEAST_TRIES = 5 };

/* Encodes `request`, asks, and gives the response. */
static tikv_error *
ask(struct tk_pd *pd, struct tk_op *op, enum tk_command command,
    bool (*is_answer)(const struct pdpb_Error *), const void *request,
    struct tk_arena *arena, const void **out)
{
    struct tk_pd_ask ask = { command, { NULL, 0 }, is_answer };

    if (request != NULL) {
        ask.body = tk_arena_encode(arena, tk_command_row(command)->request,
                                   request);
    }
    return ask.body.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                 : tk_pd_call(pd, op, &ask, arena, out);
}

/* PD's own, which all are when no service stands apart. */
static tikv_error *
least_of_pd(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
            uint64_t *out)
{
    pdpb_GetMinTSRequest *request = pdpb_GetMinTSRequest_new(arena->upb);
    const pdpb_Timestamp *stamp;
    const void *answer = NULL;
    tikv_error *error;

    if (request != NULL) {
        pdpb_GetMinTSRequest_set_header(request, tk_pd_header(pd, arena));
    }
    error = ask(pd, op, TK_CMD_PD_GET_MIN_TS, NULL, request, arena, &answer);
    if (error == NULL) {
        stamp = pdpb_GetMinTSResponse_timestamp(answer);
        if (stamp == NULL) {
            error = tk_error(TIKV_ERR_PROTOCOL, "PD: no timestamp");
        } else {
            *out = tk_pd_stamp(stamp);
        }
    }
    return error;
}

static tikv_error *
least(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    struct tk_arena *arena = tk_arena_new();
    uint64_t ts = 0;
    tikv_error *error;

    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_service_least(pd, op, arena, &ts);
    if (error == NULL && ts == 0) {
        error = least_of_pd(pd, op, arena, &ts);
    }
    tk_arena_unref(arena);
    if (error == NULL) {
        *out = ts;
    }
    return error;
}

tikv_error *
tk_pd_min_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    tikv_error *error = least(pd, op, out);
    unsigned tries;

    /* Servers of a service come and go. */
    for (tries = 0; tries < LEAST_TRIES && error != NULL &&
                    tikv_error_code(error) == TIKV_ERR_PD;
         tries++) {
        tikv_error *end = tk_op_sleep(op, tk_pd_pause_ms(pd, tries) * TK_MS);

        if (end != NULL) {
            end = tk_error_wrap(end, "%s", tikv_error_message(error));
            tikv_error_free(error);
            return end;
        }
        tikv_error_free(error);
        error = least(pd, op, out);
    }
    return error;
}

tikv_error *
tk_pd_external_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t *out)
{
    struct tk_arena *arena = tk_arena_new();
    pdpb_GetExternalTimestampRequest *request =
        arena == NULL ? NULL : pdpb_GetExternalTimestampRequest_new(arena->upb);
    const void *answer = NULL;
    tikv_error *error;

    if (request != NULL) {
        pdpb_GetExternalTimestampRequest_set_header(request,
                                                    tk_pd_header(pd, arena));
    }
    error = ask(pd, op, TK_CMD_PD_GET_EXTERNAL_TIMESTAMP, NULL, request, arena,
                &answer);
    if (error == NULL) {
        *out = pdpb_GetExternalTimestampResponse_timestamp(answer);
    }
    tk_arena_unref(arena);
    return error;
}

static bool
is_refusal(const struct pdpb_Error *fault)
{
    return tk_pd_text(pdpb_Error_message(fault).data,
                      pdpb_Error_message(fault).size) == TK_PD_TEXT_OTHER;
}

tikv_error *
tk_pd_set_external_timestamp(struct tk_pd *pd, struct tk_op *op, uint64_t ts)
{
    struct tk_arena *arena = tk_arena_new();
    pdpb_SetExternalTimestampRequest *request =
        arena == NULL ? NULL : pdpb_SetExternalTimestampRequest_new(arena->upb);
    const void *answer = NULL;
    tikv_error *error;

    if (request != NULL) {
        pdpb_SetExternalTimestampRequest_set_header(request,
                                                    tk_pd_header(pd, arena));
        pdpb_SetExternalTimestampRequest_set_timestamp(request, ts);
    }
    error = ask(pd, op, TK_CMD_PD_SET_EXTERNAL_TIMESTAMP, is_refusal, request,
                arena, &answer);
    if (error == NULL && answer == NULL) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         "PD refused the external timestamp: it would go "
                         "back, or lies in the future");
    }
    tk_arena_unref(arena);
    return error;
}
