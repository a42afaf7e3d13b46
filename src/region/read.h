/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a read says about the replicas it may be served by. All zero is a
 * plain read: of the leader, for as long as an attempt may take. Writes are
 * that too, whatever their mode says.
 *
 * Plain data, the caller's; what it points to must live as long as the job.
 */
#ifndef TK_REGION_READ_H
#define TK_REGION_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tk_read_from {
    TK_READ_LEADER,        /* followers only where the leader is no good */
    TK_READ_FOLLOWER,      /* any follower, in the end the leader */
    TK_READ_MIXED,         /* any peer */
    TK_READ_PREFER_LEADER, /* the leader unless its store is slow */
    TK_READ_LEARNER        /* learners first, in the end the leader */
};

/* A label of a store: `zone`, `z1`. */
struct tk_label {
    const char *key;
    const char *value;
};

struct tk_read_mode {
    enum tk_read_from from;

    /* The read's timestamp is old enough for a replica to answer without
     * asking its leader. One that met a lock must not be stale again. */
    bool is_stale;

    bool leader_only; /* no other peer, whatever happens to the leader */

    /* Leader reads: when requests wait longer than that at the leader's
     * store, idle followers are asked. 0: never. */
    uint32_t busy_threshold_ms;

    /* Of one attempt; 0: what the command has. A replica that takes longer is
     * left for the next one without a pause, and every replica gets one
     * chance; then attempts have the command's time. */
    int64_t timeout_ms;

    /* Stores that have all of these labels are preferred, and those of these
     * ids. */
    const struct tk_label *labels;
    size_t labels_count;
    const uint64_t *stores;
    size_t stores_count;
};

#endif
