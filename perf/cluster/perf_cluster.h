/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the embedded cluster does by itself: rows, each with the goal of its
 * specification. Direct rows call the core in this thread, rows over RPC go
 * through C core on loopback with clients that do nothing but send messages
 * made beforehand: an upper bound for every client.
 */
#ifndef PERF_CLUSTER_H
#define PERF_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cluster/core.h"
#include "cluster/serve/serve.h"
#include "exec/runtime.h"

enum { BATCH = 128, KEY_BYTES = 20, VALUE_BYTES = 100, PAGE = 256 };

/* A cluster with one store, PD, one region, and its servers. */
struct bed {
    struct tk_runtime *rt;
    struct tk_cluster *core;
    struct tk_serve *serve; /* NULL: none yet */
    struct tk_buf context;  /* kvrpcpb.Context */
    uint64_t keys;          /* loaded: raw, and as versions */
};

/* How long each row runs, and what is chosen. */
struct run {
    int64_t ns;
    const char *only; /* a part of the name; NULL: all */
};

/* False after a message on stderr. */
bool
bed_open(struct bed *bed, uint64_t keys, bool serves);

void
bed_close(struct bed *bed);

/* "127.0.0.1:port" of the store, or of PD. */
void
bed_address(struct bed *bed, bool store, char *buffer, size_t size);

/* ---- messages ---- */

/* "key0000000000000017" of KEY_BYTES. */
void
put_key(uint8_t key[KEY_BYTES], uint64_t number);

uint64_t
next_random(uint64_t *state);

enum shape { RAW_GET, RAW_PUT, GET, SCAN, RAW_SCAN, PREWRITE, COMMIT, LOCK,
             UNLOCK };

/* Appends one request to a BatchCommandsRequest. */
void
add_request(const struct bed *bed, struct tk_buf *message, enum shape shape,
            uint64_t key, uint64_t ts);

/* `count` requests about random keys, with ids. */
void
make_batch(const struct bed *bed, struct tk_buf *message, enum shape shape,
           unsigned count, uint64_t *random);

void
end_batch(struct tk_buf *message, unsigned count, uint64_t first_id);

/* ---- rows; what they return is in the unit of the goal ---- */

double
direct_engine_get(struct bed *bed, const struct run *run);

double
direct_mvcc_get(struct bed *bed, const struct run *run);

double
direct_raw_gets(struct bed *bed, const struct run *run);

double
direct_gets(struct bed *bed, const struct run *run);

double
direct_raw_puts(struct bed *bed, const struct run *run);

double
direct_scan(struct bed *bed, const struct run *run);

double
direct_commits(struct bed *bed, const struct run *run);

double
start_core(struct bed *bed, const struct run *run);

double
start_served(struct bed *bed, const struct run *run);

double
stop_served(struct bed *bed, const struct run *run);

double
rpc_gets(struct bed *bed, const struct run *run);

double
rpc_raw_gets(struct bed *bed, const struct run *run);

double
rpc_raw_puts(struct bed *bed, const struct run *run);

double
rpc_unary_gets(struct bed *bed, const struct run *run);

double
rpc_commits(struct bed *bed, const struct run *run);

double
rpc_scan(struct bed *bed, const struct run *run);

double
rpc_timestamps(struct bed *bed, const struct run *run);

double
rpc_hand_over(struct bed *bed, const struct run *run);

#endif
