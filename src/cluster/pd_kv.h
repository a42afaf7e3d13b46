/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading and writing the ledger as etcd and meta storage have it in common:
 * the same ranges, and answers whose fields behind the header have the same
 * numbers. Guarded by the cluster's lock.
 */
#ifndef TK_CLUSTER_PD_KV_H
#define TK_CLUSTER_PD_KV_H

#include "cluster/pd.h"

struct tk_cl_query {
    tikv_slice start;
    tikv_slice end;
    int64_t limit;    /* 0: none */
    int64_t revision; /* 0: now */
    uint32_t order;   /* etcdserverpb.RangeRequest.SortOrder */
    uint32_t target;  /* etcdserverpb.RangeRequest.SortTarget */
    bool keys_only;
    bool count_only;
    int64_t least_mod; /* bounds; 0: none */
    int64_t most_mod;
    int64_t least_create;
    int64_t most_create;
};

enum tk_cl_kv_state { TK_CL_KV_OK, TK_CL_KV_FUTURE, TK_CL_KV_COMPACTED };

/* Whether that revision can be read. */
enum tk_cl_kv_state
tk_cl_kv_check(const struct tk_cluster *cluster, int64_t revision);

/* Fields 2 (kvs), 3 (more), 4 (count) of a RangeResponse and GetResponse. */
void
tk_cl_kv_range(struct tk_cluster *cluster, const struct tk_cl_query *query,
               struct tk_buf *out);

/* Field 2 (prev_kv), where it is asked for. False without memory. */
bool
tk_cl_kv_put(struct tk_cluster *cluster, tikv_slice key, tikv_slice value,
             int64_t lease, bool with_prev, struct tk_buf *out);

/* Fields 2 (deleted), 3 (prev_kvs). False without memory. */
bool
tk_cl_kv_delete(struct tk_cluster *cluster, tikv_slice start, tikv_slice end,
                bool with_prev, struct tk_buf *out);

/* Field 1 of every answer of etcd. */
enum { TK_CL_ETCD_TERM = 2 };

void
tk_cl_etcd_header(struct tk_cl_request *request, struct tk_buf *out);

#endif
