/* SPDX-License-Identifier: Apache-2.0 */
/* What PD is asked to move (PD-5): scattering of regions, and whether that
 * still goes on. No lock, no state. */
#include "base/error.h"
#include "pd/inner.h"
#include "wire/arena.h"

#include "pdpb.upb.h"

tikv_error *
tk_pd_scatter(struct tk_pd *pd, struct tk_op *op, const uint64_t *ids,
              size_t count)
{
    struct tk_arena *arena = tk_arena_new();
    pdpb_ScatterRegionRequest *request =
        arena == NULL ? NULL : pdpb_ScatterRegionRequest_new(arena->upb);
    uint64_t *list = request == NULL
                         ? NULL
                         : pdpb_ScatterRegionRequest_resize_regions_id(
                               request, count, arena->upb);
    struct tk_pd_ask ask = { TK_CMD_PD_SCATTER_REGION, { NULL, 0 }, NULL };
    tikv_error *error = NULL;
    const void *message;
    size_t i;

    if (list != NULL) {
        for (i = 0; i < count; i++) {
            list[i] = ids[i];
        }
        pdpb_ScatterRegionRequest_set_header(request, tk_pd_header(pd, arena));
        ask.body = tk_arena_encode(
            arena, tk_command_row(TK_CMD_PD_SCATTER_REGION)->request, request);
    }
    error = ask.body.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                  : tk_pd_call(pd, op, &ask, arena, &message);
    tk_arena_unref(arena);
    return error;
}

/* PD has no operator for a region that rests. */
static bool
is_resting(const struct pdpb_Error *fault)
{
    return pdpb_Error_type(fault) == pdpb_REGION_NOT_FOUND;
}

static bool
is_scatter(const pdpb_GetOperatorResponse *answer)
{
    return pdpb_GetOperatorResponse_status(answer) == pdpb_RUNNING &&
           upb_StringView_IsEqual(pdpb_GetOperatorResponse_desc(answer),
                                  upb_StringView_FromString("scatter-region"));
}

tikv_error *
tk_pd_is_scattering(struct tk_pd *pd, struct tk_op *op, uint64_t id, bool *out)
{
    struct tk_arena *arena = tk_arena_new();
    pdpb_GetOperatorRequest *request =
        arena == NULL ? NULL : pdpb_GetOperatorRequest_new(arena->upb);
    struct tk_pd_ask ask = { TK_CMD_PD_GET_OPERATOR, { NULL, 0 }, is_resting };
    const void *message = NULL;
    tikv_error *error;

    *out = false;
    if (request != NULL) {
        pdpb_GetOperatorRequest_set_header(request, tk_pd_header(pd, arena));
        pdpb_GetOperatorRequest_set_region_id(request, id);
        ask.body = tk_arena_encode(
            arena, tk_command_row(TK_CMD_PD_GET_OPERATOR)->request, request);
    }
    error = ask.body.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                  : tk_pd_call(pd, op, &ask, arena, &message);
    *out = error == NULL && message != NULL && is_scatter(message);
    tk_arena_unref(arena);
    return error;
}
