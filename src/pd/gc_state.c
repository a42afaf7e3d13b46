/* SPDX-License-Identifier: Apache-2.0 */
/* GetGCState, and what came before it. No state, no lock. */
#include "pd/gc_state.h"

#include "base/error.h"
#include "pd/inner.h"

#include "pdpb.upb.h"

static tikv_error *
send(struct tk_pd *pd, struct tk_op *op, enum tk_command command,
     const void *request, struct tk_arena *arena, const void **out)
{
    struct tk_pd_ask ask = { command, { NULL, 0 }, NULL };

    if (request != NULL) {
        ask.body =
            tk_arena_encode(arena, tk_command_row(command)->request, request);
    }
    return ask.body.data == NULL ? tk_error_immortal(TIKV_ERR_MEMORY)
                                 : tk_pd_call(pd, op, &ask, arena, out);
}

static tikv_error *
ask_state(struct tk_pd *pd, struct tk_op *op, uint32_t keyspace_id,
          struct tk_arena *arena, struct tk_gc_state *out)
{
    pdpb_GetGCStateRequest *request = pdpb_GetGCStateRequest_new(arena->upb);
    pdpb_KeyspaceScope *scope =
        request == NULL ? NULL
                        : pdpb_GetGCStateRequest_mutable_keyspace_scope(
                              request, arena->upb);
    const void *answer = NULL;
    const pdpb_GCState *state;
    tikv_error *error;

    if (scope == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    pdpb_KeyspaceScope_set_keyspace_id(scope, keyspace_id);
    pdpb_GetGCStateRequest_set_header(request, tk_pd_header(pd, arena));
    pdpb_GetGCStateRequest_set_exclude_gc_barriers(request, true);
    error = send(pd, op, TK_CMD_PD_GET_GC_STATE, request, arena, &answer);
    if (error != NULL) {
        return error;
    }
    state = pdpb_GetGCStateResponse_gc_state(answer);
    if (state == NULL) {
        return tk_error(TIKV_ERR_PROTOCOL, "PD: no GC state");
    }
    out->txn_safe_point = pdpb_GCState_txn_safe_point(state);
    out->gc_safe_point = pdpb_GCState_gc_safe_point(state);
    out->is_keyspace_level = pdpb_GCState_is_keyspace_level_gc(state);
    return NULL;
}

static tikv_error *
ask_safe_point(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
               struct tk_gc_state *out)
{
    pdpb_GetGCSafePointRequest *request =
        pdpb_GetGCSafePointRequest_new(arena->upb);
    const void *answer = NULL;
    tikv_error *error;

    if (request != NULL) {
        pdpb_GetGCSafePointRequest_set_header(request, tk_pd_header(pd, arena));
    }
    error = send(pd, op, TK_CMD_PD_GET_GC_SAFE_POINT, request, arena, &answer);
    if (error == NULL) {
        out->gc_safe_point = pdpb_GetGCSafePointResponse_safe_point(answer);
        out->txn_safe_point = out->gc_safe_point;
    }
    return error;
}

tikv_error *
tk_pd_gc_state(struct tk_pd *pd, struct tk_op *op, uint32_t keyspace_id,
               struct tk_gc_state *out)
{
    struct tk_arena *arena = tk_arena_new();
    tikv_error *error;

    *out = (struct tk_gc_state){ 0, 0, false };
    if (arena == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = ask_state(pd, op, keyspace_id, arena, out);
    if (tikv_error_code(error) == TIKV_ERR_UNSUPPORTED) {
        tikv_error_free(error);
        error = ask_safe_point(pd, op, arena, out);
    }
    tk_arena_unref(arena);
    return error;
}
