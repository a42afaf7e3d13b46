/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a cluster has produced: counts of each method with each region error,
 * each key error and each action of a rule, so that a suite can tell what it
 * never saw. The table is made when the first one is counted.
 */
#ifndef TK_CLUSTER_SEEN_H
#define TK_CLUSTER_SEEN_H

#include "cluster/flow.h"

void
tk_cl_seen_act(const struct tk_cl_request *request, uint32_t act);

void
tk_cl_seen_region_error(const struct tk_cl_request *request,
                        enum tk_cl_error_kind kind);

void
tk_cl_seen_key_error(const struct tk_cl_request *request,
                     enum tk_key_fault_kind kind);

#endif
