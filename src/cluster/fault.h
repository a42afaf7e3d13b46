/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fault rule as the parser leaves it: which requests, when among those, and
 * what happens to them. Guarded by the cluster's lock.
 */
#ifndef TK_CLUSTER_FAULT_H
#define TK_CLUSTER_FAULT_H

#include "base/rng.h"
#include "cluster/inner.h"

enum tk_cl_when {
    TK_CL_WHEN_ALWAYS,
    TK_CL_WHEN_NTH,
    TK_CL_WHEN_FIRST,
    TK_CL_WHEN_AFTER,
    TK_CL_WHEN_EVERY,
    TK_CL_WHEN_PROB
};

struct tk_cl_rule {
    struct tk_cl_rule *next; /* in the order they were added */
    uint64_t id;
    char *glob;
    uint64_t store_id;  /* 0: any */
    uint64_t region_id; /* 0: any */
    tikv_slice key;     /* prefix; absent: any */
    uint8_t *key_bytes;
    enum tk_cl_when when;
    uint64_t count;       /* of the trigger */
    uint64_t probability; /* in 2^-32 */
    int64_t before_min_ns;
    int64_t before_max_ns;
    int64_t after_min_ns;
    int64_t after_max_ns;
    struct tk_cl_plan plan; /* but for the delays */
    bool is_terminal;       /* does more than delay */
    uint64_t seen;
    uint64_t hits;
    struct tk_rng rng;
};

/* A rule without id and generator. */
tikv_error *
tk_cl_rule_parse(const char *text, struct tk_cl_rule **out);

void
tk_cl_rule_free(struct tk_cl_rule *rule);

#endif
