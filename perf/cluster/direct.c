/* SPDX-License-Identifier: Apache-2.0 */
/* The structures and the core, without a network, in one thread. */
#include "perf_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/slice.h"
#include "cluster/inner.h"
#include "perf_usage.h"

enum { MESSAGES = 64, STARTS = 20, STRIDE = 1024 };

static volatile uint64_t sink;

/* Of this thread: a row that needs one core does not care who has it. */
static int64_t
cpu_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Operations of one kind until the time is over, a second's worth. */
#define UNTIL(run, count, step, body)                                          \
    do {                                                                       \
        int64_t began_ = cpu_clock();                                          \
        int64_t now_ = began_;                                                 \
                                                                               \
        for (count = 0; now_ - began_ < (run)->ns; now_ = cpu_clock()) {       \
            unsigned i_;                                                       \
                                                                               \
            for (i_ = 0; i_ < (step); i_++) {                                  \
                body;                                                          \
            }                                                                  \
            count += (step);                                                   \
        }                                                                      \
        count = (uint64_t)((double)count * 1e9 / (double)(now_ - began_));     \
    } while (0)

double
direct_engine_get(struct bed *bed, const struct run *run)
{
    uint64_t random = 88172645463325252U;
    uint8_t key[KEY_BYTES];
    uint64_t rate;

    UNTIL(run, rate, STRIDE,
          put_key(key, next_random(&random) % bed->keys);
          sink += tk_engine_get(&bed->core->engine, TK_CF_DEFAULT,
                                tk_slice(key, KEY_BYTES), 1) != NULL);
    return (double)rate;
}

double
direct_mvcc_get(struct bed *bed, const struct run *run)
{
    uint64_t random = 88172645463325252U;
    uint8_t key[KEY_BYTES];
    uint64_t passed = 0;
    uint64_t rate;

    UNTIL(run, rate, STRIDE,
          put_key(key, next_random(&random) % bed->keys);
          sink += tk_mvcc_visible(tk_mvcc_find(&bed->core->mvcc,
                                               tk_slice(key, KEY_BYTES)),
                                  100, 100, &passed) != NULL);
    return (double)rate;
}

/* ---- batches through a stream of the core ---- */

static void
on_message(void *arg, tikv_slice bytes)
{
    *(uint64_t *)arg += bytes.len;
}

static void
on_end(void *arg, int status, const char *text)
{
    (void)arg;
    (void)fprintf(stderr, "perf-cluster: stream ended: %d %s\n", status,
                  text);
    exit(1);
}

static struct tk_cluster_stream *
open_stream(struct bed *bed, uint64_t *bytes)
{
    static const struct tk_cluster_stream_events events = { on_message,
                                                            on_end };

    return tk_cluster_stream_open(bed->core, TK_NODE_STORE | 1,
                                  "/tikvpb.Tikv/BatchCommands", NULL, &events,
                                  bytes);
}

static double
batches(struct bed *bed, const struct run *run, enum shape shape,
        unsigned count)
{
    struct tk_buf messages[MESSAGES];
    uint64_t random = 88172645463325252U;
    uint64_t bytes = 0;
    struct tk_cluster_stream *stream = open_stream(bed, &bytes);
    uint64_t next = 0;
    uint64_t rate;
    size_t i;

    for (i = 0; i < MESSAGES; i++) {
        make_batch(bed, &messages[i], shape, count, &random);
    }
    UNTIL(run, rate, 1,
          tk_cluster_stream_message(
              stream, tk_buf_slice(&messages[next++ % MESSAGES])));
    for (i = 0; i < MESSAGES; i++) {
        tk_buf_fini(&messages[i]);
    }
    tk_cluster_stream_free(stream);
    return (double)rate * count;
}

double
direct_raw_gets(struct bed *bed, const struct run *run)
{
    return batches(bed, run, RAW_GET, BATCH);
}

double
direct_gets(struct bed *bed, const struct run *run)
{
    return batches(bed, run, GET, BATCH);
}

double
direct_raw_puts(struct bed *bed, const struct run *run)
{
    return batches(bed, run, RAW_PUT, BATCH);
}

double
direct_scan(struct bed *bed, const struct run *run)
{
    return batches(bed, run, SCAN, 1) * PAGE;
}

/* Prewrite of a message of transactions, then commit of them; messages are
 * made while the clock stands. */
double
direct_commits(struct bed *bed, const struct run *run)
{
    uint64_t random = 1234567;
    uint64_t bytes = 0;
    uint64_t ts = 1000;
    struct tk_cluster_stream *stream = open_stream(bed, &bytes);
    struct tk_buf prewrites;
    struct tk_buf commits;
    int64_t spent = 0;
    uint64_t done = 0;

    tk_buf_init(&prewrites, SIZE_MAX / 4);
    tk_buf_init(&commits, SIZE_MAX / 4);
    for (; spent < run->ns; done += BATCH) {
        int64_t began;
        unsigned i;

        tk_buf_clear(&prewrites);
        tk_buf_clear(&commits);
        for (i = 0; i < BATCH; i++) {
            uint64_t key = next_random(&random) % bed->keys;

            ts += 2;
            add_request(bed, &prewrites, PREWRITE, key, ts);
            add_request(bed, &commits, COMMIT, key, ts);
        }
        end_batch(&prewrites, BATCH, 1);
        end_batch(&commits, BATCH, 1);
        began = cpu_clock();
        tk_cluster_stream_message(stream, tk_buf_slice(&prewrites));
        tk_cluster_stream_message(stream, tk_buf_slice(&commits));
        spent += cpu_clock() - began;
    }
    tk_buf_fini(&prewrites);
    tk_buf_fini(&commits);
    tk_cluster_stream_free(stream);
    return (double)done * 1e9 / (double)spent;
}

/* ---- beginning and end, of three stores ---- */

static const struct tk_cluster_params three = { .stores_count = 3,
                                                .pds_count = 1,
                                                .seed = 1 };

static double
median_ms(int64_t *times, size_t count)
{
    size_t i;
    size_t j;

    for (i = 1; i < count; i++) {
        for (j = i; j > 0 && times[j] < times[j - 1]; j--) {
            int64_t other = times[j];

            times[j] = times[j - 1];
            times[j - 1] = other;
        }
    }
    return (double)times[count / 2] / 1e6;
}

double
start_core(struct bed *bed, const struct run *run)
{
    int64_t times[STARTS];
    size_t i;

    (void)bed;
    (void)run;
    for (i = 0; i < STARTS; i++) {
        int64_t began = usage_clock();
        struct tk_runtime *rt = tk_runtime_posix_new();
        struct tk_cluster *core = NULL;

        (void)tk_cluster_new(rt, &three, &core);
        tk_cluster_free(core);
        tk_runtime_posix_free(rt);
        times[i] = usage_clock() - began;
    }
    return median_ms(times, STARTS);
}

static double
life(bool wants_end)
{
    int64_t times[STARTS];
    size_t i;

    for (i = 0; i < STARTS; i++) {
        int64_t began = usage_clock();
        struct tk_runtime *rt = tk_runtime_posix_new();
        struct tk_cluster *core = NULL;
        struct tk_serve *serve = NULL;
        int64_t ready;

        (void)tk_cluster_new(rt, &three, &core);
        (void)tk_serve_start(rt, core, 0, NULL, &serve);
        ready = usage_clock();
        tk_serve_stop(serve);
        tk_cluster_free(core);
        tk_serve_free(serve);
        tk_runtime_posix_free(rt);
        times[i] = wants_end ? usage_clock() - ready : ready - began;
    }
    return median_ms(times, STARTS);
}

double
start_served(struct bed *bed, const struct run *run)
{
    (void)bed;
    (void)run;
    return life(false);
}

double
stop_served(struct bed *bed, const struct run *run)
{
    (void)bed;
    (void)run;
    return life(true);
}
