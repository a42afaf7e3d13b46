/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load: threads that call one after the other, or keep a window of
 * futures in flight and wait for the oldest. Warm-up operations are made but
 * not counted; the clock of the result starts when all threads are past it.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum phase { PHASE_WARMUP, PHASE_MEASURE, PHASE_STOP };

struct load {
    const struct bench_options *options;
    tikv_client *client;
    const uint8_t *value;
    _Atomic int phase;
};

struct worker {
    struct load *load;
    pthread_t thread;
    uint64_t random;
    struct histogram latency_ns;
    uint64_t operations;
    uint64_t errors;
    char first_error[256];
};

struct flight {
    tikv_future *future;
    int64_t started_ns;
};

static uint64_t
next_random(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random;
}

/* Eight hexadecimal digits spread over the whole key space, so that evenly
 * split regions get even load. */
static tikv_slice
key_of(uint64_t number, uint64_t keys, char *room)
{
    uint64_t place = number * (UINT32_MAX / keys);
    unsigned i;

    for (i = 0; i < 4; i++) {
        room[i] = (char)(place >> (24 - 8 * i));
    }
    memcpy(room + 4, "bench", 5);
    return (tikv_slice){ (const uint8_t *)room, 9 };
}

static void
count(struct worker *worker, tikv_error *error, int64_t started_ns)
{
    if (error != NULL) {
        if (worker->errors++ == 0) {
            snprintf(worker->first_error, sizeof(worker->first_error),
                     "%s: %s", tikv_code_name(tikv_error_code(error)),
                     tikv_error_message(error));
        }
        tikv_error_free(error);
    }
    if (worker->load->phase == PHASE_MEASURE) {
        worker->operations++;
        histogram_add(&worker->latency_ns,
                      (uint64_t)(tikv_now_ns() - started_ns));
    }
}

static void
call_once(struct worker *worker)
{
    const struct bench_options *options = worker->load->options;
    int64_t started_ns = tikv_now_ns();
    tikv_value *value = NULL;
    tikv_error *error;
    char room[16];
    tikv_slice key =
        key_of(next_random(worker) % options->keys, options->keys, room);

    if (options->operation == BENCH_GET) {
        error = tikv_raw_get(worker->load->client, key, NULL, &value);
        tikv_value_free(value);
    } else {
        tikv_slice bytes = { worker->load->value, options->value_bytes };
        error = tikv_raw_put(worker->load->client, key, bytes, NULL);
    }
    count(worker, error, started_ns);
}

static void
launch(struct worker *worker, struct flight *flight)
{
    const struct bench_options *options = worker->load->options;
    char room[16];
    tikv_slice key =
        key_of(next_random(worker) % options->keys, options->keys, room);

    flight->started_ns = tikv_now_ns();
    if (options->operation == BENCH_GET) {
        flight->future =
            tikv_raw_get_async(worker->load->client, key, NULL);
    } else {
        tikv_slice bytes = { worker->load->value, options->value_bytes };
        flight->future =
            tikv_raw_put_async(worker->load->client, key, bytes, NULL);
    }
}

static void
land(struct worker *worker, struct flight *flight)
{
    tikv_value *value = NULL;
    tikv_error *error;

    tikv_future_wait(flight->future, TIKV_FOREVER);
    error = worker->load->options->operation == BENCH_GET
                ? tikv_future_take_value(flight->future, &value)
                : tikv_future_take_done(flight->future);
    tikv_value_free(value);
    tikv_future_free(flight->future);
    count(worker, error, flight->started_ns);
}

static void *
work(void *arg)
{
    struct worker *worker = arg;
    size_t i, window = worker->load->options->outstanding;
    struct flight *flights = calloc(window, sizeof(*flights));

    if (worker->load->options->is_blocking || flights == NULL) {
        while (worker->load->phase != PHASE_STOP) {
            call_once(worker);
        }
        free(flights);
        return NULL;
    }
    for (i = 0; i < window; i++) {
        launch(worker, &flights[i]);
    }
    for (i = 0; worker->load->phase != PHASE_STOP; i = (i + 1) % window) {
        land(worker, &flights[i]);
        launch(worker, &flights[i]);
    }
    for (i = 0; i < window; i++) {
        land(worker, &flights[i]);
    }
    free(flights);
    return NULL;
}

static bool
fill(const struct bench_options *options, tikv_client *client,
     const uint8_t *value)
{
    enum { BATCH = 1000 };
    static char rooms[BATCH][16];
    static tikv_pair pairs[BATCH];
    uint64_t i, count_now;

    for (i = 0; i < options->keys; i += count_now) {
        tikv_error *error;
        uint64_t j;

        count_now = options->keys - i < BATCH ? options->keys - i : BATCH;
        for (j = 0; j < count_now; j++) {
            pairs[j].key = key_of(i + j, options->keys, rooms[j]);
            pairs[j].value = (tikv_slice){ value, options->value_bytes };
        }
        error = tikv_raw_batch_put(client, pairs, count_now, NULL);
        if (error != NULL) {
            fprintf(stderr, "tikv-bench: filling: %s\n",
                    tikv_error_message(error));
            tikv_error_free(error);
            return false;
        }
    }
    return true;
}

static void
rest(uint64_t ms)
{
    struct timespec time = { (time_t)(ms / 1000),
                             (long)(ms % 1000) * 1000000 };

    nanosleep(&time, NULL);
}

static void
collect(struct worker *workers, uint64_t threads, struct bench_result *result)
{
    uint64_t i;

    for (i = 0; i < threads; i++) {
        histogram_merge(&result->latency_ns, &workers[i].latency_ns);
        result->operations += workers[i].operations;
        if (result->errors == 0 && workers[i].errors > 0) {
            memcpy(result->first_error, workers[i].first_error,
                   sizeof(result->first_error));
        }
        result->errors += workers[i].errors;
    }
}

/* Requests of a method so far. */
static uint64_t
calls(struct playground *playground, const char *method)
{
    char answer[64];

    return playground != NULL &&
                   playground_ask(playground, answer, sizeof(answer),
                                  "calls %s", method)
               ? strtoull(answer, NULL, 10)
               : 0;
}

static void
measure(struct load *load, struct playground *playground,
        struct worker *workers, struct bench_result *result)
{
    const struct bench_options *options = load->options;
    const char *method =
        options->operation == BENCH_GET ? "tikv.RawGet" : "tikv.RawPut";
    struct usage from, to;
    uint64_t i;

    for (i = 0; i < options->threads; i++) {
        workers[i].load = load;
        workers[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    rest(options->warmup_ms);
    result->requests = calls(playground, method);
    result->messages = calls(playground, "tikv.BatchCommands");
    usage_now(&from);
    load->phase = PHASE_MEASURE;
    rest(options->duration_s * 1000);
    load->phase = PHASE_STOP;
    usage_now(&to);
    result->requests = calls(playground, method) - result->requests;
    result->messages =
        calls(playground, "tikv.BatchCommands") - result->messages;
    for (i = 0; i < options->threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    result->usage = usage_between(&from, &to);
    result->counts_known = playground != NULL;
    collect(workers, options->threads, result);
}

bool
bench_run(const struct bench_options *options, tikv_client *client,
          struct playground *playground, struct bench_result *result)
{
    struct worker *workers = calloc(options->threads, sizeof(*workers));
    uint8_t *value = malloc(options->value_bytes + 1);
    struct load load = { options, client, value, PHASE_WARMUP };
    bool is_ready = workers != NULL && value != NULL;

    if (is_ready) {
        memset(value, 'v', options->value_bytes);
        is_ready = fill(options, client, value);
    }
    if (is_ready) {
        measure(&load, playground, workers, result);
    }
    free(workers);
    free(value);
    return is_ready;
}
