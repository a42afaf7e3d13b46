/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of GC, for the calls about it (pd_gc_calls.c) and those of old
 * (pd_gc_legacy.c). A keyspace here is one that has a state: see
 * tk_cl_gc_redirect(). Guarded by the cluster's lock.
 */
#ifndef TK_CLUSTER_PD_GC_H
#define TK_CLUSTER_PD_GC_H

#include "cluster/pd.h"

struct tk_cl_barrier {
    tikv_slice id;
    uint64_t ts;
    int64_t ends_ms; /* INT64_MAX: never */
};

struct tk_cl_advance {
    uint64_t before;
    uint64_t now;
    char blocker[200]; /* empty: nobody was in the way */
    char name[96];     /* of the blocker */
};

/* The keyspace whose state is meant. With `strict` only keyspaces that manage
 * their GC themselves, and the null keyspace, will do. False: refused. */
bool
tk_cl_gc_redirect(struct tk_cl_request *request, uint32_t asked, bool strict,
                  uint32_t *out);

uint64_t
tk_cl_gc_txn_point(struct tk_cluster *cluster, uint32_t keyspace);

uint64_t
tk_cl_gc_point(struct tk_cluster *cluster, uint32_t keyspace);

/* These give false without memory. */
bool
tk_cl_gc_set_point(struct tk_cluster *cluster, uint32_t keyspace,
                   uint64_t point);

/* Not below what it is: the caller has looked. */
bool
tk_cl_gc_advance_point(struct tk_cluster *cluster, uint32_t keyspace,
                       uint64_t target, struct tk_cl_advance *out);

bool
tk_cl_gc_put_barrier(struct tk_cluster *cluster, bool global,
                     uint32_t keyspace, const struct tk_cl_barrier *barrier);

/* False: there was none that lived. */
bool
tk_cl_gc_drop_barrier(struct tk_cluster *cluster, bool global,
                      uint32_t keyspace, tikv_slice id,
                      struct tk_cl_barrier *out);

tikv_slice
tk_cl_gc_barriers(struct tk_cluster *cluster, char buffer[TK_PD_KEY_MAX],
                  bool global, uint32_t keyspace);

/* The next one that has not expired. */
bool
tk_cl_gc_next_barrier(struct tk_cluster *cluster, tikv_slice prefix,
                      struct tk_cl_map_at *at, struct tk_cl_barrier *out);

/* The largest transaction safe point there is. */
uint64_t
tk_cl_gc_max_txn_point(struct tk_cluster *cluster);

/* When a barrier of so many seconds from now ends. */
int64_t
tk_cl_gc_ends(struct tk_cluster *cluster, int64_t ttl_s);

#endif
