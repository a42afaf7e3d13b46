/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-bench: a client like any other, over the public headers. The cluster
 * runs in a process of its own, so that the CPU counted is the client's.
 *
 *     bench_main.c      order of a run
 *     bench_options.c   arguments, table of workloads
 *     bench_keys.c      which key comes next, and how it is spelled
 *     bench_call.c      one operation, blocking or promised
 *     bench_load.c      one round: closed loop, counting, the clock
 *     bench_open.c      open loop: operations begin by the schedule
 *     bench_storm.c     regions and leaders move meanwhile
 *     bench_report.c    table, JSON, percentile file
 */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"
#include "perf_histogram.h"
#include "perf_usage.h"

/* ---- what is asked for ---- */

enum bench_kind {
    BENCH_READ,
    BENCH_UPDATE,
    BENCH_INSERT,
    BENCH_SCAN,
    BENCH_MODIFY, /* read, then write */
    BENCH_BATCH_GET,
    BENCH_BATCH_PUT,
    BENCH_CAS,
    BENCH_TSO,
    BENCH_KINDS
};

enum bench_mode { BENCH_BLOCKING, BENCH_FUTURES, BENCH_QUEUE };

enum bench_dist { BENCH_UNIFORM, BENCH_ZIPF, BENCH_LATEST, BENCH_SEQUENTIAL };

struct bench_workload {
    const char *name;
    const char *label; /* in reports */
    uint8_t percent[BENCH_KINDS];
    enum bench_dist dist; /* unless said otherwise */
    uint64_t stores;
    uint64_t storm;
};

struct bench_options {
    const struct bench_workload *workload;
    enum bench_mode mode;
    enum bench_dist dist;
    double theta; /* of zipf and latest */
    uint64_t threads;
    uint64_t outstanding; /* of each thread; not when blocking */
    uint64_t rate;        /* operations a second in all; 0: closed loop */
    uint64_t duration_s;
    uint64_t warmup_ms;
    uint64_t rounds;
    uint64_t regions;
    uint64_t stores;
    uint64_t keys;
    uint64_t key_bytes;
    uint64_t value_bytes;
    uint64_t batch; /* keys of a batch operation */
    uint64_t scan;  /* pairs of a scan; ycsb-e: 1 to that many */
    uint64_t storm; /* changes of the topology a second */
    uint64_t seed;
    int client_cpu; /* -1: any */
    int server_cpu;
    bool is_filled;   /* the keys are there already */
    bool is_quiet;    /* no progress line */
    const char *pd;   /* NULL: spawn */
    const char *json; /* NULL: none; "-": stdout */
    const char *hdr;  /* NULL: none */
    tikv_config *config;
};

enum bench_parsed { BENCH_GO, BENCH_HELP, BENCH_WRONG };

/* BENCH_WRONG after a message. `options->config` must be there. */
enum bench_parsed
bench_parse(struct bench_options *options, int argc, char **argv);

const char *
bench_mode_name(enum bench_mode mode);

const char *
bench_dist_name(enum bench_dist dist);

/* ---- keys: shared by all threads ---- */

struct bench_keys {
    enum bench_dist dist;
    uint64_t keys;
    uint64_t key_bytes;
    double theta;
    double zeta;
    double eta;
    double alpha;
    _Atomic uint64_t next;     /* sequential */
    _Atomic uint64_t inserted; /* handed out beyond `keys` */
    _Atomic uint64_t landed;   /* of these, answered */
};

void
bench_keys_init(struct bench_keys *keys, const struct bench_options *options);

uint64_t
bench_random(uint64_t *state);

/* The number of a record that exists. */
uint64_t
bench_keys_pick(struct bench_keys *keys, uint64_t *random);

/* The number of a record that does not; landed when it was written. */
uint64_t
bench_keys_insert(struct bench_keys *keys);

/* Spells a record's key; `room` has key_bytes bytes. */
tikv_slice
bench_keys_spell(const struct bench_keys *keys, uint64_t number, char *room);

/* ---- one operation ---- */

struct bench_caller {
    const struct bench_options *options;
    tikv_client *client;
    struct bench_keys *keys;
    const uint8_t *value;
    uint64_t random;
    char *room; /* of the keys of a batch */
    tikv_slice *slices;
    tikv_pair *pairs;
    uint64_t misses; /* reads that found nothing, swaps not made */
};

struct bench_op {
    enum bench_kind kind;
    uint64_t number; /* of the record; not of a batch */
    bool is_second;  /* the write after the read */
};

enum { BENCH_FILL_COUNT = 1000 };

/* `places`: keys of the largest batch it will make. False without memory. */
bool
bench_caller_init(struct bench_caller *caller,
                  const struct bench_options *options, tikv_client *client,
                  struct bench_keys *keys, const uint8_t *value, uint64_t seed,
                  uint64_t places);

void
bench_caller_fini(struct bench_caller *caller);

/* Chooses what is next by the workload's mix. */
void
bench_choose(struct bench_caller *caller, struct bench_op *op);

/* The whole operation, on this thread. */
tikv_error *
bench_call(struct bench_caller *caller, struct bench_op *op);

/* Its first request. */
tikv_future *
bench_launch(struct bench_caller *caller, const struct bench_op *op);

/* Takes the outcome and frees the future. *next is the future of a second
 * request, or NULL when the operation is over. */
tikv_error *
bench_take(struct bench_caller *caller, struct bench_op *op,
           tikv_future *future, tikv_future **next);

/* Writes all records. False after a message. */
bool
bench_fill(struct bench_caller *caller);

/* ---- a round ---- */

enum { BENCH_CODES = 64 };

struct bench_errors {
    uint64_t count;
    size_t codes_count;
    struct {
        tikv_code code;
        uint64_t count;
    } codes[BENCH_CODES]; /* the last place takes what has no other */
    char first[256];
};

struct bench_result {
    struct histogram latency_ns;
    struct usage usage;
    uint64_t operations;
    struct bench_errors errors;
    uint64_t misses;
    uint64_t unsent; /* open loop: due, but not begun in time */
    uint64_t storm;  /* changes made */
    bool counts_known;
    uint64_t requests; /* the cluster's count of the workload's methods */
    uint64_t messages; /* of batch messages */
};

enum bench_phase { BENCH_WARMUP, BENCH_MEASURE, BENCH_STOP };

struct bench_load {
    const struct bench_options *options;
    tikv_client *client;
    struct playground *playground; /* NULL: not ours */
    struct bench_keys *keys;
    const uint8_t *value;
    _Atomic int phase;
    int64_t begun_ns; /* of the schedule */
};

struct bench_flight {
    tikv_future *future;
    struct bench_op op;
    int64_t started_ns; /* open loop: when it was due */
};

struct bench_worker {
    struct bench_load *load;
    uint64_t index;
    pthread_t thread;
    struct bench_caller caller;
    struct bench_caller collector; /* open loop with futures: its own thread */
    struct histogram latency_ns;
    _Atomic uint64_t operations; /* measured; one writer */
    _Atomic uint64_t failures;   /* the same */
    struct bench_errors errors;
    uint64_t unsent;
};

/* Takes the error. */
void
bench_count(struct bench_worker *worker, tikv_error *error, int64_t started_ns);

/* The body of a worker whose operations begin when they are due. */
void
bench_open_loop(struct bench_worker *worker);

/* False after a message. */
bool
bench_run(struct bench_load *load, struct bench_result *result);

/* ---- storm ---- */

struct bench_storm {
    struct playground *playground;
    const struct bench_options *options;
    struct bench_keys *keys;
    pthread_t thread;
    _Atomic bool must_end;
    uint64_t changes;
};

void
bench_storm_start(struct bench_storm *storm);

void
bench_storm_stop(struct bench_storm *storm);

/* ---- reports ---- */

/* The table of one round, `round` from 1. */
void
bench_print_table(const struct bench_options *options,
                  const struct bench_result *result, uint64_t round);

/* One line. */
void
bench_print_json(FILE *out, const struct bench_options *options,
                 const struct bench_result *result, uint64_t round);

/* The percentile distribution as HdrHistogram's tools print and plot it, in
 * microseconds. False after a message. */
bool
bench_write_hdr(const char *path, const struct histogram *histogram);

#endif
