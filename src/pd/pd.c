/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the room together: who PD is first, then the timestamp queue.
 * No threads of its own: callers, the transport and the timer thread. */
#include "pd/pd.h"

#include "base/alloc.h"
#include "base/error.h"
#include "pd/inner.h"

tikv_error *
tk_pd_open(struct tk_exec *exec, struct tk_rpc *rpc,
           const struct tk_config *config, struct tk_log *log,
           struct tk_op *op, struct tk_pd **out)
{
    struct tk_pd *pd = tk_calloc(sizeof(*pd));
    tikv_error *error;

    *out = NULL;
    if (pd == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    pd->exec = exec;
    pd->rt = tk_exec_runtime(exec);
    pd->rpc = rpc;
    pd->config = config;
    pd->log = log;
    tk_tso_init(pd);
    tk_oracle_init(pd);
    tk_lane_init(&pd->direct, pd, true);
    tk_lane_init(&pd->others, pd, false);
    error = tk_members_open(pd, op);
    if (error == NULL) {
        error = tk_service_look(pd, op);
        if (error != NULL) {
            tk_pd_close(pd);
        }
    }
    if (error != NULL) {
        tk_pd_free(pd);
        return error;
    }
    *out = pd;
    return NULL;
}

uint64_t
tk_pd_cluster_id(const struct tk_pd *pd)
{
    return pd->cluster_id;
}

void
tk_pd_close(struct tk_pd *pd)
{
    tk_tso_close(pd);
    tk_oracle_close(pd);
    tk_lane_close(&pd->direct);
    tk_lane_close(&pd->others);
    tk_members_close(pd);
}

void
tk_pd_free(struct tk_pd *pd)
{
    if (pd != NULL) {
        tk_routers_fini(pd);
        tk_members_fini(pd);
        tk_lane_fini(&pd->direct);
        tk_lane_fini(&pd->others);
        tk_service_fini(pd);
        tk_tso_fini(pd);
        tk_free(pd);
    }
}
