/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-txn: what transactions cost a client, over the public headers. The
 * cluster is a process of its own, so that CPU and memory are the client's.
 *
 *     main.c        arguments, the order of a run
 *     transfers.c   bank transfers: each strategy, by futures and by threads
 *     memory.c      the peak of one huge commit beside its bound
 */
#ifndef PERF_TXN_H
#define PERF_TXN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"

struct perf_txn {
    uint64_t duration_s; /* of a row */
    uint64_t threads;
    uint64_t outstanding;
    uint64_t accounts;
    uint64_t regions;
    uint64_t keys; /* of the huge commit */
    uint64_t value_bytes;
    const char *only; /* rows whose name has it; NULL: all */
    FILE *json;       /* NULL: none */
    bool is_quiet;    /* no progress on stderr */
    struct playground playground;
};

/* A client with settings: name, value, ..., NULL. NULL after a message. */
tikv_client *
perf_txn_client(const struct perf_txn *perf, const char *const *settings);

/* False after a message, which frees the error. */
bool
perf_txn_ok(tikv_error *error);

/* "acc00000017" or the like: `size` bytes of room. */
tikv_slice
perf_txn_key(char *room, size_t size, const char *prefix, uint64_t number);

/* False when money was lost, or a row could not be measured. */
bool
perf_txn_transfers(struct perf_txn *perf);

/* False when the peak is above the bound. */
bool
perf_txn_memory(struct perf_txn *perf);

#endif
