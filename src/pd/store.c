/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about stores (PD-5). PD tells of a removed store by a text only. No
 * lock, no state. */
#include <string.h>

#include "base/error.h"
#include "pd/inner.h"

#include "metapb.upb.h"
#include "pdpb.upb.h"

static bool
has_text(upb_StringView text, const char *word)
{
    return text.size != 0 &&
           memmem(text.data, text.size, word, strlen(word)) != NULL;
}

static bool
tells_of_removal(const struct pdpb_Error *fault)
{
    upb_StringView text = pdpb_Error_message(fault);

    return pdpb_Error_type(fault) == pdpb_STORE_TOMBSTONE ||
           (has_text(text, "invalid store ID") && has_text(text, "not found"));
}

tikv_error *
tk_pd_store(struct tk_pd *pd, struct tk_op *op, uint64_t store_id,
            struct tk_arena *arena, const struct metapb_Store **out)
{
    pdpb_GetStoreRequest *request = pdpb_GetStoreRequest_new(arena->upb);
    struct tk_pd_ask ask = { TK_CMD_PD_GET_STORE, { NULL, 0 },
                             tells_of_removal };
    const void *message;
    tikv_error *error;

    *out = NULL;
    if (request != NULL) {
        pdpb_GetStoreRequest_set_header(request, tk_pd_header(pd, arena));
        pdpb_GetStoreRequest_set_store_id(request, store_id);
        ask.body = tk_arena_encode(
            arena, tk_command_row(TK_CMD_PD_GET_STORE)->request, request);
    }
    if (ask.body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_call(pd, op, &ask, arena, &message);
    if (error == NULL && message != NULL) {
        *out = pdpb_GetStoreResponse_store(message);
    }
    return error;
}

tikv_error *
tk_pd_stores(struct tk_pd *pd, struct tk_op *op, struct tk_arena *arena,
             const struct metapb_Store *const **out, size_t *count)
{
    pdpb_GetAllStoresRequest *request =
        pdpb_GetAllStoresRequest_new(arena->upb);
    struct tk_pd_ask ask = { TK_CMD_PD_GET_ALL_STORES, { NULL, 0 }, NULL };
    const void *message;
    tikv_error *error;

    *count = 0;
    if (request != NULL) {
        pdpb_GetAllStoresRequest_set_header(request, tk_pd_header(pd, arena));
        pdpb_GetAllStoresRequest_set_exclude_tombstone_stores(request, true);
        ask.body = tk_arena_encode(
            arena, tk_command_row(TK_CMD_PD_GET_ALL_STORES)->request, request);
    }
    if (ask.body.data == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    error = tk_pd_call(pd, op, &ask, arena, &message);
    if (error == NULL) {
        *out = pdpb_GetAllStoresResponse_stores(message, count);
    }
    return error;
}
