/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `make hour`: the whole client under load for an hour while a batch stream
 * is broken every second and stores, PD's leader and connections come and go.
 * Three claims are held: every operation ends exactly once and in time; what
 * it says of the data is true; threads, descriptors and memory do not grow.
 *
 *     hour_main.c     arguments, order of a run
 *     hour_slot.c     one operation at a time, and what its key may hold
 *     hour_load.c     threads: every way to call
 *     hour_bank.c     transfers between accounts, in transactions
 *     hour_unrest.c   what is broken when
 *     hour_report.c   progress, memory, verdict, JSON
 *
 * The cluster is a process of its own, so that memory is the client's.
 */
#ifndef HOUR_H
#define HOUR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"

#define HOUR_MS INT64_C(1000000)

/* Time of a call, and what may pass beyond it before it counts as lost: the
 * machine is as busy as it can be. */
#define HOUR_CALL_MS INT64_C(5000)
#define HOUR_GRACE_MS INT64_C(10000)

struct hour;

/* ---- what is wrong ---- */

/* Remembers the first complaint and counts all. Any thread. */
void
hour_complain(struct hour *hour, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* An error that such a world may cause; any other is a complaint. Takes it
 * and counts it. True: the write it ends may have happened. */
bool
hour_take_error(struct hour *hour, tikv_error *error);

/* ---- one operation at a time ---- */

enum hour_kind { HOUR_GET, HOUR_PUT, HOUR_DELETE };

enum { HOUR_DOUBTS = 32, HOUR_VALUE_MAX = 600 };

/* Numbers of a slot go up; see hour_slot.c. */
struct hour_write {
    uint64_t number;
    bool is_delete;
    int64_t ended_at;
};

/* A key of its own, and at most one operation that is under way. */
struct hour_slot {
    struct hour *hour;
    char key[24];
    uint64_t random;
    _Atomic bool is_flying;
    _Atomic int64_t started_at;
    _Atomic uint64_t begun;
    _Atomic uint64_t ended;
    enum hour_kind kind;
    struct hour_write now;  /* the write under way */
    struct hour_write last; /* that surely happened */
    struct hour_write doubts[HOUR_DOUBTS];
    size_t doubts_count;
    tikv_future *future; /* callbacks: until it is landed */
    bool is_told;        /* guarded by the lock of the hour */
};

void
hour_slot_init(struct hour_slot *slot, struct hour *hour, uint64_t index);

/* Chooses the next operation; after that it is under way. */
void
hour_slot_begin(struct hour_slot *slot);

/* Does it on this thread. */
void
hour_slot_call(struct hour_slot *slot);

/* Promises it. */
tikv_future *
hour_slot_launch(struct hour_slot *slot);

/* Takes the outcome and frees the future. */
void
hour_slot_land(struct hour_slot *slot, tikv_future *future);

/* Reads the key once more, in peace. */
void
hour_slot_check(struct hour_slot *slot);

/* ---- load ---- */

enum {
    HOUR_CALLERS = 4,  /* blocking */
    HOUR_QUEUED = 64,  /* in flight over a completion queue */
    HOUR_TOLD = 32,    /* in flight over callbacks */
    HOUR_AWAITED = 16, /* in flight, the first ready one is taken */
    HOUR_TELLERS = 2,  /* transfers */
    HOUR_SLOTS = HOUR_CALLERS + HOUR_QUEUED + HOUR_TOLD + HOUR_AWAITED,
    HOUR_ACCOUNTS = 32,
    HOUR_THREADS = HOUR_CALLERS + 3 + HOUR_TELLERS + 1
};

void
hour_load_start(struct hour *hour);

/* No more operations are begun. True: all have ended; false after a
 * complaint, and their threads still wait. */
bool
hour_load_stop(struct hour *hour);

/* The body of a thread that moves money and sometimes counts it. */
void *
hour_bank_run(void *hour);

/* The accounts are there, and the sum is right, or there is a complaint. */
void
hour_bank_open(struct hour *hour);

void
hour_bank_check(struct hour *hour);

/* Futures by the hundred, and a close in their midst. Takes the client. */
void
hour_close_under_load(struct hour *hour);

/* ---- unrest ---- */

void
hour_unrest_start(struct hour *hour);

/* All stores are up again and all rules gone. */
void
hour_unrest_stop(struct hour *hour);

/* ---- report ---- */

struct hour_sample {
    uint32_t rss_kb;
    uint32_t threads;
    uint32_t files;
};

void
hour_sample(struct hour_sample *out);

/* The same when the threads of gRPC, which end behind its back, are gone. */
void
hour_sample_after(const struct hour_sample *before, struct hour_sample *out);

/* The line of a second. */
void
hour_progress(struct hour *hour, uint64_t second);

/* Looks for slots whose operation did not end. */
void
hour_watch(struct hour *hour);

/* Compares the last quarter with the second. */
void
hour_judge_growth(struct hour *hour);

/* True: nothing was wrong. */
bool
hour_report(struct hour *hour, const char *json);

/* ---- all of it ---- */

enum { HOUR_CODES = 64 };

struct hour_counters {
    _Atomic uint64_t transfers;
    _Atomic uint64_t timestamps;
    _Atomic uint64_t closed; /* operations under a close */
    _Atomic uint64_t breaks;
    _Atomic uint64_t resets;
    _Atomic uint64_t restarts;
    _Atomic uint64_t resignations;
    _Atomic uint64_t refused; /* commands to the cluster, by the cluster */
    _Atomic uint64_t errors;
    _Atomic uint64_t doubts;
};

struct hour {
    struct playground playground;
    tikv_client *client;
    uint64_t duration_s;
    uint64_t seed;
    bool is_quiet;
    bool is_terminal; /* standard error */

    struct hour_slot slots[HOUR_SLOTS];
    struct hour_counters counters;
    pthread_t threads[HOUR_THREADS];
    pthread_t unrest;
    _Atomic bool load_must_end;
    _Atomic bool unrest_must_end;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t landed;
    uint64_t complaints;
    char complaint[512];
    struct {
        tikv_code code;
        uint64_t count;
    } codes[HOUR_CODES];
    size_t codes_count;

    struct hour_sample *samples; /* one a second */
    struct hour_sample before;   /* without a client */
    struct hour_sample after;
    uint64_t samples_count;
    uint64_t ended_before; /* of the progress line */
    struct hour_sample early;
    struct hour_sample late;
};

uint64_t
hour_random(uint64_t *state);

void
hour_rest(int64_t ms);

/* Operations of slots that have ended. */
uint64_t
hour_ended(const struct hour *hour);

#endif
