/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round. Closed loop: threads that call one after the other, keep a
 * window of futures in flight and wait for the oldest, or relaunch whatever a
 * completion queue gives back. Warm-up operations are made but not counted;
 * the clock of the result starts when all threads are past it. Each thread
 * has figures of its own, added up when it has ended.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { DRAIN_MAX = 256 };

static void
add_code(struct bench_errors *errors, tikv_code code, uint64_t count)
{
    size_t i;

    for (i = 0; i < errors->codes_count; i++) {
        if (errors->codes[i].code == code) {
            errors->codes[i].count += count;
            return;
        }
    }
    if (i == BENCH_CODES) {
        errors->codes[i - 1].count += count;
        return;
    }
    errors->codes[i].code = code;
    errors->codes[i].count = count;
    errors->codes_count++;
}

void
bench_count(struct bench_worker *worker, tikv_error *error, int64_t started_ns)
{
    if (error != NULL) {
        struct bench_errors *errors = &worker->errors;

        if (errors->count++ == 0) {
            snprintf(errors->first, sizeof(errors->first), "%s: %s",
                     tikv_code_name(tikv_error_code(error)),
                     tikv_error_message(error));
        }
        add_code(errors, tikv_error_code(error), 1);
        atomic_store_explicit(&worker->failures, errors->count,
                              memory_order_relaxed);
        tikv_error_free(error);
    }
    if (atomic_load_explicit(&worker->load->phase, memory_order_relaxed) ==
        BENCH_MEASURE) {
        uint64_t so_far =
            atomic_load_explicit(&worker->operations, memory_order_relaxed);

        atomic_store_explicit(&worker->operations, so_far + 1,
                              memory_order_relaxed);
        histogram_add(&worker->latency_ns,
                      (uint64_t)(tikv_now_ns() - started_ns));
    }
}

static bool
goes_on(const struct bench_worker *worker)
{
    return atomic_load_explicit(&worker->load->phase, memory_order_relaxed) !=
           BENCH_STOP;
}

static void
launch(struct bench_worker *worker, struct bench_flight *flight)
{
    bench_choose(&worker->caller, &flight->op);
    flight->started_ns = tikv_now_ns();
    flight->future = bench_launch(&worker->caller, &flight->op);
}

/* False: the flight has a second request to wait for. */
static bool
land(struct bench_worker *worker, struct bench_flight *flight)
{
    tikv_future *next;
    tikv_error *error;

    tikv_future_wait(flight->future, TIKV_FOREVER);
    error = bench_take(&worker->caller, &flight->op, flight->future, &next);
    flight->future = next;
    if (next != NULL) {
        return false;
    }
    bench_count(worker, error, flight->started_ns);
    return true;
}

static void
work_futures(struct bench_worker *worker, struct bench_flight *flights,
             size_t window)
{
    size_t i;

    for (i = 0; i < window; i++) {
        launch(worker, &flights[i]);
    }
    for (i = 0; goes_on(worker); i = (i + 1) % window) {
        if (land(worker, &flights[i])) {
            launch(worker, &flights[i]);
        }
    }
    for (i = 0; i < window; i++) {
        while (!land(worker, &flights[i])) {
        }
    }
}

/* Only a client that is out of memory or closed refuses; the future is still
 * ours then and says so itself. */
static bool
post(struct bench_worker *worker, tikv_queue *queue,
     struct bench_flight *flight)
{
    tikv_error *error = tikv_future_post(flight->future, queue, flight);

    if (error != NULL) {
        tikv_future_free(flight->future);
        bench_count(worker, error, flight->started_ns);
    }
    return error == NULL;
}

static size_t
relaunch(struct bench_worker *worker, tikv_queue *queue,
         struct bench_flight *flight)
{
    tikv_future *next;
    tikv_error *error =
        bench_take(&worker->caller, &flight->op, flight->future, &next);

    if (next != NULL) {
        flight->future = next;
    } else {
        bench_count(worker, error, flight->started_ns);
        if (!goes_on(worker)) {
            return 0;
        }
        launch(worker, flight);
    }
    return post(worker, queue, flight) ? 1 : 0;
}

static void
work_queue(struct bench_worker *worker, struct bench_flight *flights,
           size_t window)
{
    tikv_future *futures[DRAIN_MAX];
    void *tags[DRAIN_MAX];
    tikv_queue *queue = NULL;
    tikv_error *error = tikv_queue_new(&queue);
    size_t i, count, flying = 0;

    if (error != NULL) {
        bench_count(worker, error, tikv_now_ns());
        return;
    }
    for (i = 0; i < window; i++) {
        launch(worker, &flights[i]);
        flying += post(worker, queue, &flights[i]) ? 1 : 0;
    }
    while (flying > 0) {
        count = tikv_queue_drain(queue, futures, tags, DRAIN_MAX, TIKV_FOREVER);
        flying -= count;
        for (i = 0; i < count; i++) {
            struct bench_flight *flight = tags[i];

            flight->future = futures[i];
            flying += relaunch(worker, queue, flight);
        }
    }
    tikv_queue_free(queue);
}

static void
work_blocking(struct bench_worker *worker)
{
    while (goes_on(worker)) {
        struct bench_op op;
        int64_t started_ns;
        tikv_error *error;

        bench_choose(&worker->caller, &op);
        started_ns = tikv_now_ns();
        error = bench_call(&worker->caller, &op);
        bench_count(worker, error, started_ns);
    }
}

static void *
work(void *arg)
{
    struct bench_worker *worker = arg;
    const struct bench_options *options = worker->load->options;
    struct bench_flight *flights;

    if (options->rate > 0) {
        bench_open_loop(worker);
        return NULL;
    }
    if (options->mode == BENCH_BLOCKING) {
        work_blocking(worker);
        return NULL;
    }
    flights = calloc(options->outstanding, sizeof(*flights));
    if (flights == NULL) {
        bench_count(worker, tikv_error_new(TIKV_ERR_MEMORY, NULL), 0);
    } else if (options->mode == BENCH_FUTURES) {
        work_futures(worker, flights, options->outstanding);
    } else {
        work_queue(worker, flights, options->outstanding);
    }
    free(flights);
    return NULL;
}

/* ---- the clock ---- */

static void
rest(uint64_t ms)
{
    struct timespec time = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };

    nanosleep(&time, NULL);
}

static void
watch(const struct bench_load *load, struct bench_worker *workers)
{
    const struct bench_options *options = load->options;
    bool is_shown = !options->is_quiet && isatty(STDERR_FILENO);
    uint64_t i, second, operations = 0, failures;
    struct usage from, to;

    usage_now(&from);
    for (second = 1; second <= options->duration_s; second++) {
        uint64_t before = operations;

        rest(1000);
        if (!is_shown) {
            continue;
        }
        usage_now(&to);
        operations = failures = 0;
        for (i = 0; i < options->threads; i++) {
            operations += workers[i].operations;
            failures += workers[i].failures;
        }
        fprintf(stderr,
                "\r%4" PRIu64 " s %10" PRIu64 " op/s %8.2f us CPU/op %8" PRIu64
                " errors \033[K",
                second, operations - before,
                operations == before ? 0
                                     : (double)(to.cpu_ns - from.cpu_ns) /
                                           1000 / (double)(operations - before),
                failures);
        from = to;
    }
    if (is_shown) {
        fputs("\r\033[K", stderr);
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

/* Those that the workload makes. */
static uint64_t
requests(const struct bench_load *load)
{
    static const char *const methods[BENCH_KINDS][2] = {
        [BENCH_READ] = { "tikv.RawGet" },
        [BENCH_UPDATE] = { "tikv.RawPut" },
        [BENCH_INSERT] = { "tikv.RawPut" },
        [BENCH_SCAN] = { "tikv.RawScan" },
        [BENCH_MODIFY] = { "tikv.RawGet", "tikv.RawPut" },
        [BENCH_BATCH_GET] = { "tikv.RawBatchGet" },
        [BENCH_BATCH_PUT] = { "tikv.RawBatchPut" },
        [BENCH_CAS] = { "tikv.RawCompareAndSwap" },
        [BENCH_TSO] = { "pd.Tso" },
    };
    const char *counted[2 * BENCH_KINDS];
    size_t kind, i, j, count = 0;
    uint64_t sum = 0;

    for (kind = 0; kind < BENCH_KINDS; kind++) {
        for (i = 0; i < 2; i++) {
            const char *name = methods[kind][i];
            bool is_new =
                name != NULL && load->options->workload->percent[kind] > 0;

            for (j = 0; is_new && j < count; j++) {
                is_new = strcmp(counted[j], name) != 0;
            }
            if (is_new) {
                counted[count++] = name;
                sum += calls(load->playground, name);
            }
        }
    }
    return sum;
}

static void
collect(const struct bench_options *options, struct bench_worker *workers,
        struct bench_result *result)
{
    uint64_t i;
    size_t j;

    for (i = 0; i < options->threads; i++) {
        struct bench_worker *worker = &workers[i];

        histogram_merge(&result->latency_ns, &worker->latency_ns);
        result->operations += worker->operations;
        result->misses += worker->caller.misses + worker->collector.misses;
        result->unsent += worker->unsent;
        if (result->errors.count == 0) {
            memcpy(result->errors.first, worker->errors.first,
                   sizeof(result->errors.first));
        }
        result->errors.count += worker->errors.count;
        for (j = 0; j < worker->errors.codes_count; j++) {
            add_code(&result->errors, worker->errors.codes[j].code,
                     worker->errors.codes[j].count);
        }
    }
}

static bool
prepare(struct bench_load *load, struct bench_worker *worker, uint64_t index)
{
    const uint8_t *percent = load->options->workload->percent;
    bool is_batch =
        percent[BENCH_BATCH_GET] > 0 || percent[BENCH_BATCH_PUT] > 0;
    uint64_t places = is_batch ? load->options->batch : 1;
    uint64_t seed = load->options->seed + 2 * index;

    worker->load = load;
    worker->index = index;
    return bench_caller_init(&worker->caller, load->options, load->client,
                             load->keys, load->value, seed, places) &&
           bench_caller_init(&worker->collector, load->options, load->client,
                             load->keys, load->value, seed + 1, 1);
}

static void
measure(struct bench_load *load, struct bench_worker *workers,
        struct bench_result *result)
{
    const struct bench_options *options = load->options;
    struct bench_storm storm = { .playground = load->playground,
                                 .options = options,
                                 .keys = load->keys };
    struct usage from, to;
    uint64_t i;

    load->phase = BENCH_WARMUP;
    load->begun_ns = tikv_now_ns();
    bench_storm_start(&storm);
    for (i = 0; i < options->threads; i++) {
        pthread_create(&workers[i].thread, NULL, work, &workers[i]);
    }
    rest(options->warmup_ms);
    result->requests = requests(load);
    result->messages = calls(load->playground, "tikv.BatchCommands");
    usage_now(&from);
    load->phase = BENCH_MEASURE;
    watch(load, workers);
    load->phase = BENCH_STOP;
    usage_now(&to);
    result->requests = requests(load) - result->requests;
    result->messages =
        calls(load->playground, "tikv.BatchCommands") - result->messages;
    for (i = 0; i < options->threads; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    bench_storm_stop(&storm);
    result->storm = storm.changes;
    result->usage = usage_between(&from, &to);
    result->counts_known = load->playground != NULL;
    collect(options, workers, result);
}

bool
bench_run(struct bench_load *load, struct bench_result *result)
{
    uint64_t i, threads = load->options->threads;
    struct bench_worker *workers = calloc(threads, sizeof(*workers));
    bool is_ready = workers != NULL;

    for (i = 0; is_ready && i < threads; i++) {
        is_ready = prepare(load, &workers[i], i);
    }
    if (is_ready) {
        measure(load, workers, result);
    } else {
        fputs("tikv-bench: no memory\n", stderr);
    }
    for (i = 0; workers != NULL && i < threads; i++) {
        bench_caller_fini(&workers[i].caller);
        bench_caller_fini(&workers[i].collector);
    }
    free(workers);
    return is_ready;
}
