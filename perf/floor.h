/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-floor: what the machine and the transport cost before any client is
 * written, to hold the client's figures against. Each measurement runs its
 * echo server in a child process, for `seconds`.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdint.h>

#include "perf_histogram.h"
#include "perf_usage.h"

struct floor_result {
    const char *name;
    uint64_t operations;
    struct usage usage;          /* of the client side */
    struct histogram latency_ns; /* of a message; streams only */
};

/* `depth` messages of 100 bytes in flight on one TCP connection. */
void
floor_tcp(struct floor_result *result, unsigned depth, unsigned seconds);

/* Unary calls by `threads` blocking threads, to the server at `port`. */
void
floor_unary(struct floor_result *result, int port, unsigned threads,
            unsigned seconds);

/* One bidirectional stream, one message of `bytes` at a time; a message
 * counts as `weight` operations. */
void
floor_stream(struct floor_result *result, int port, unsigned bytes,
             unsigned weight, unsigned seconds);

#endif
