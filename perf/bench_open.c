/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open loop: operation number n of the run is due n / rate seconds after its
 * start, whatever became of those before, and its latency counts from then.
 * So a stall is seen by every operation that fell into it.
 *
 * With futures and queues one thread begins operations and a second collects
 * them, so that neither makes the other late. Between them go two rings of
 * flights: `idle` to the first, and with futures `busy` to the second.
 */
#include "bench.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

/* One writer, one reader, never more items than places. */
struct ring {
    struct bench_flight **places;
    size_t size;
    size_t head; /* reader's */
    size_t tail; /* writer's */
    sem_t filled;
};

struct open_loop {
    struct bench_worker *worker;
    struct ring idle;
    struct ring busy;
    tikv_queue *queue; /* NULL: futures */
    struct bench_flight *flights;
    _Atomic uint64_t sent;
    _Atomic bool is_over; /* `sent` will not grow */
    pthread_t thread;
};

static bool
ring_init(struct ring *ring, size_t size)
{
    sem_init(&ring->filled, 0, 0);
    ring->size = size;
    ring->places = calloc(size, sizeof(struct bench_flight *));
    return ring->places != NULL;
}

static void
ring_fini(struct ring *ring)
{
    sem_destroy(&ring->filled);
    free(ring->places);
}

static void
ring_put(struct ring *ring, struct bench_flight *flight)
{
    ring->places[ring->tail++ % ring->size] = flight;
    sem_post(&ring->filled);
}

static struct bench_flight *
ring_take(struct ring *ring)
{
    while (sem_wait(&ring->filled) != 0 && errno == EINTR) {
    }
    return ring->places[ring->head++ % ring->size];
}

static bool
goes_on(const struct bench_worker *worker)
{
    return atomic_load_explicit(&worker->load->phase, memory_order_relaxed) !=
           BENCH_STOP;
}

/* When this thread's operation number `turn` is due. */
static int64_t
due_at(const struct bench_worker *worker, uint64_t turn)
{
    const struct bench_options *options = worker->load->options;
    uint64_t number = turn * options->threads + worker->index;

    return worker->load->begun_ns +
           (int64_t)((double)number * 1e9 / (double)options->rate);
}

/* Sleeps until then; false when the round ends first. */
static bool
await_turn(const struct bench_worker *worker, int64_t due_ns)
{
    const int64_t slice_ns = 100000000;

    while (goes_on(worker)) {
        int64_t now_ns = tikv_now_ns();
        int64_t until_ns =
            due_ns - now_ns > slice_ns ? now_ns + slice_ns : due_ns;
        struct timespec until = { (time_t)(until_ns / 1000000000),
                                  (long)(until_ns % 1000000000) };

        if (now_ns >= due_ns) {
            return true;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return false;
}

/* Operations from number `turn` on that were due when the round ended. */
static void
count_unsent(struct bench_worker *worker, uint64_t turn)
{
    int64_t late_ns = tikv_now_ns() - due_at(worker, turn);
    const struct bench_options *options = worker->load->options;

    if (late_ns > 0) {
        worker->unsent =
            (uint64_t)((double)late_ns / 1e9 * (double)options->rate /
                       (double)options->threads);
    }
}

static void
call_in_turn(struct bench_worker *worker)
{
    uint64_t turn;

    for (turn = 0; await_turn(worker, due_at(worker, turn)); turn++) {
        struct bench_op op;
        tikv_error *error;

        bench_choose(&worker->caller, &op);
        error = bench_call(&worker->caller, &op);
        bench_count(worker, error, due_at(worker, turn));
    }
    count_unsent(worker, turn);
}

/* ---- the second thread ---- */

static void
settle(struct open_loop *loop, struct bench_flight *flight)
{
    struct bench_worker *worker = loop->worker;
    tikv_future *next = NULL;
    tikv_error *error;

    for (;;) {
        tikv_future_wait(flight->future, TIKV_FOREVER);
        error =
            bench_take(&worker->collector, &flight->op, flight->future, &next);
        if (next == NULL) {
            break;
        }
        flight->future = next;
    }
    bench_count(worker, error, flight->started_ns);
    ring_put(&loop->idle, flight);
}

static void *
collect_futures(void *arg)
{
    struct open_loop *loop = arg;
    struct bench_flight *flight;

    while ((flight = ring_take(&loop->busy)) != NULL) {
        settle(loop, flight);
    }
    return NULL;
}

static void *
collect_queue(void *arg)
{
    struct open_loop *loop = arg;
    uint64_t landed = 0;

    while (!loop->is_over || landed < loop->sent) {
        void *tag = NULL;
        tikv_future *future = tikv_queue_next(loop->queue, 20, &tag);
        struct bench_flight *flight = tag;

        if (future != NULL) {
            flight->future = future;
            settle(loop, flight);
            landed++;
        }
    }
    return NULL;
}

/* ---- the first ---- */

static void
send_one(struct open_loop *loop, struct bench_flight *flight)
{
    struct bench_worker *worker = loop->worker;
    tikv_error *error = NULL;

    bench_choose(&worker->caller, &flight->op);
    flight->future = bench_launch(&worker->caller, &flight->op);
    if (loop->queue == NULL) {
        ring_put(&loop->busy, flight);
        return;
    }
    loop->sent++;
    error = tikv_future_post(flight->future, loop->queue, flight);
    if (error != NULL) {
        /* The collector counts; it must not wait for this one. */
        loop->sent--;
        tikv_error_free(error);
        tikv_future_free(flight->future);
        ring_put(&loop->idle, flight);
    }
}

static void
send_in_turn(struct open_loop *loop)
{
    struct bench_worker *worker = loop->worker;
    uint64_t turn;

    for (turn = 0; await_turn(worker, due_at(worker, turn)); turn++) {
        struct bench_flight *flight = ring_take(&loop->idle);

        flight->started_ns = due_at(worker, turn);
        send_one(loop, flight);
    }
    count_unsent(worker, turn);
    loop->is_over = true;
    if (loop->queue == NULL) {
        ring_put(&loop->busy, NULL);
    }
}

static void
run_loop(struct open_loop *loop, size_t window)
{
    size_t i;

    for (i = 0; i < window; i++) {
        ring_put(&loop->idle, &loop->flights[i]);
    }
    pthread_create(&loop->thread, NULL,
                   loop->queue == NULL ? collect_futures : collect_queue, loop);
    send_in_turn(loop);
    pthread_join(loop->thread, NULL);
}

void
bench_open_loop(struct bench_worker *worker)
{
    const struct bench_options *options = worker->load->options;
    struct open_loop loop = { .worker = worker };
    size_t window = options->outstanding;
    tikv_error *error = NULL;
    bool is_ready;

    if (options->mode == BENCH_BLOCKING) {
        call_in_turn(worker);
        return;
    }
    /* One place more than flights: for the end of `busy`. */
    is_ready = ring_init(&loop.idle, window + 1);
    is_ready = ring_init(&loop.busy, window + 1) && is_ready;
    loop.flights = calloc(window, sizeof(*loop.flights));
    if (options->mode == BENCH_QUEUE) {
        error = tikv_queue_new(&loop.queue);
    }
    if (error != NULL || !is_ready || loop.flights == NULL) {
        bench_count(worker,
                    error != NULL ? error
                                  : tikv_error_new(TIKV_ERR_MEMORY, NULL),
                    tikv_now_ns());
    } else {
        run_loop(&loop, window);
    }
    tikv_queue_free(loop.queue);
    free(loop.flights);
    ring_fini(&loop.idle);
    ring_fini(&loop.busy);
}
