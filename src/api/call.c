/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the exported functions do before and after their work: refusals, the
 * op of a blocking call, copies of what a call borrows. Any thread, no lock.
 */
#include <string.h>

#include "api/client.h"
#include "base/error.h"

tikv_error *
tk_door_refusal(tikv_client *client)
{
    if (client == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "client is NULL");
    }
    return tk_exec_refusal(client->router.exec);
}

tikv_error *
tk_door_enter(tikv_client *client, const tikv_call *call, struct tk_op *op)
{
    tikv_error *error = tk_exec_enter(client->router.exec);

    if (error != NULL) {
        return error;
    }
    if (!tk_op_init(op, client->router.exec, call,
                    tk_config_ns(&client->config.call_timeout_ms))) {
        tk_exec_leave(client->router.exec);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return NULL;
}

void
tk_door_leave(tikv_client *client, struct tk_op *op)
{
    tk_op_fini(op);
    tk_exec_leave(client->router.exec);
}

tikv_future *
tk_door_refuse(tikv_client *client, tikv_error *error)
{
    if (client == NULL) {
        tikv_error_free(error);
        return tk_future_orphan();
    }
    return tk_future_refused(client->router.exec, error);
}

static size_t
text_size(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

size_t
tk_call_copy_size(const tikv_call *call)
{
    return text_size(call->request_source) + text_size(call->resource_group) +
           call->resource_tag.len + call->trace_id.len;
}

static const char *
copy_text(const char *text, uint8_t **at)
{
    size_t size = text_size(text);
    char *copy = (char *)*at;

    if (text == NULL) {
        return NULL;
    }
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static void
copy_slice(tikv_slice *slice, uint8_t **at)
{
    if (slice->len != 0) {
        memcpy(*at, slice->data, slice->len);
        slice->data = *at;
        *at += slice->len;
    }
}

uint8_t *
tk_call_copy(tikv_call *call, uint8_t *memory)
{
    call->request_source = copy_text(call->request_source, &memory);
    call->resource_group = copy_text(call->resource_group, &memory);
    copy_slice(&call->resource_tag, &memory);
    copy_slice(&call->trace_id, &memory);
    return memory;
}
