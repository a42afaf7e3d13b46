/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-bench: a client like any other, over the public headers. The cluster
 * runs in a process of its own, so that the CPU counted is the client's.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"
#include "perf_histogram.h"
#include "perf_usage.h"

enum bench_operation { BENCH_GET, BENCH_PUT };

struct bench_options {
    enum bench_operation operation;
    bool is_blocking;
    uint64_t threads;
    uint64_t outstanding; /* of each thread, futures only */
    uint64_t duration_s;
    uint64_t warmup_ms;
    uint64_t regions;
    uint64_t stores;
    uint64_t keys;
    uint64_t value_bytes;
    const char *pd;   /* NULL: spawn */
    const char *json; /* NULL: none; "-": stdout */
    tikv_config *config;
};

struct bench_result {
    struct histogram latency_ns;
    struct usage usage;
    uint64_t operations;
    uint64_t errors;
    char first_error[256];
    bool counts_known;
    uint64_t requests; /* the cluster's count of the operation's method */
    uint64_t messages; /* of batch messages */
};

/* `playground` is NULL when the cluster is not ours. False after a
 * message. */
bool
bench_run(const struct bench_options *options, tikv_client *client,
          struct playground *playground, struct bench_result *result);

bool
bench_report(const struct bench_options *options,
             const struct bench_result *result);

#endif
