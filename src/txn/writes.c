/* SPDX-License-Identifier: Apache-2.0 */
/* See writes.h. */
#include "txn/writes.h"

#include "base/alloc.h"

struct tk_writes *
tk_writes_new(struct tk_txn_client *client)
{
    struct tk_writes *writes = tk_calloc(sizeof(*writes));
    int64_t latches =
        tk_config_int(&client->router.config->txn_latches_count);

    if (writes == NULL) {
        return NULL;
    }
    if (latches > 0) {
        writes->latches = tk_latches_new(client->router.rt, (size_t)latches);
        if (writes->latches == NULL) {
            tk_free(writes);
            return NULL;
        }
    }
    writes->client = client;
    tk_chores_init(&writes->chores, client->router.exec);
    tk_keepalives_init(&writes->keepalives, client);
    return writes;
}

void
tk_writes_close(struct tk_writes *writes)
{
    struct tk_router *router = &writes->client->router;

    tk_keepalives_close(&writes->keepalives);
    (void)tk_chores_drain(
        &writes->chores,
        tk_after(tk_now(router->rt),
                 tk_config_ns(&router->config->txn_close_wait_ms)));
}

void
tk_writes_free(struct tk_writes *writes)
{
    if (writes == NULL) {
        return;
    }
    tk_keepalives_fini(&writes->keepalives);
    tk_chores_fini(&writes->chores);
    tk_latches_free(writes->latches);
    tk_free(writes);
}
