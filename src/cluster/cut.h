/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts in the network between parties: the client, members of PD, stores.
 * The core drops or refuses what goes over a cut; servers are told, so that
 * connections hang as they do behind a broken switch. With the lock.
 */
#ifndef TK_CLUSTER_CUT_H
#define TK_CLUSTER_CUT_H

#include "cluster/flow.h"

/* Names are "client", "pdN", "pd*", "storeN", "store*"; `direction` is 0 for
 * both, 1 from a to b, 2 from b to a. The cut's id; 0: nothing is cut. */
uint64_t
tk_cl_cut_add(struct tk_cluster *cluster, const char *a, const char *b,
              uint64_t direction, uint32_t mode);

/* 0 removes all of them. */
void
tk_cl_cut_remove(struct tk_cluster *cluster, uint64_t id);

#endif
