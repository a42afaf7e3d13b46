/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-loss: one of three stores is killed under load, and the time until
 * every region is served again is measured.
 *
 * The cluster is in this process, with as many regions as asked, each with a
 * key. Callers read all of them, so that the client knows every leader. Then
 * the regions led by the victim lose their leader, the victim stops, and
 * leaders come back on the others at an even pace, in random order. The
 * callers read on, region after region: a region is served again with its
 * first answer after the kill, or for those that kept their leader at once.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tikv/cluster.h>
#include <tikv/tikv.h>

#include "perf_histogram.h"
#include "perf_usage.h"

enum { STORES = 3, CALLERS_MAX = 256, KEY_SIZE = 16, GOAL_S = 30 };
enum { VICTIM = 1 };

#define SECOND INT64_C(1000000000)

struct region {
    uint64_t id;
    bool was_led;              /* by the victim */
    int64_t moved;             /* its new leader came; 0: not yet */
    _Atomic int64_t served;    /* first answer after the kill; 0: none */
};

struct run {
    uint32_t regions_count;
    uint32_t callers_count;
    int64_t moves_ns; /* how long leaders take to come back, all of them */
    int64_t timeout_ms;
    const char *json;
    uint64_t seed;

    tikv_cluster *cluster;
    tikv_client *client;
    struct region *regions;
    int64_t killed; /* when; 0: not yet */
    uint64_t last;  /* requests answered when the last region was served */
    _Atomic uint32_t left; /* regions to be served */
    _Atomic bool is_over;
    _Atomic uint64_t answered; /* since the kill */
    _Atomic uint64_t failed;
};

struct caller {
    struct run *run;
    uint32_t first; /* region it begins with */
    pthread_t thread;
    struct histogram took; /* of answers after the kill, ns */
};

static int
help(FILE *out, int status)
{
    (void)fputs(
        "usage: perf-loss [--regions N] [--callers N] [--moves S]\n"
        "                 [--timeout MS] [--seed N] [--json FILE]\n\n"
        "A store of three is killed under load: when is every region served\n"
        "again? Status 1 when that takes more than 30 s after the last leader\n"
        "moved.\n\n"
        "  --regions N    (10000)\n"
        "  --callers N    threads that read (32)\n"
        "  --moves S      seconds until all have leaders again (5)\n"
        "  --timeout MS   of each read (2000)\n"
        "  --seed N       of the order in which they move (1)\n"
        "  --json FILE    one JSON object as well, - for stdout alone\n",
        out);
    return status;
}

static void
key_of(uint32_t region, char text[KEY_SIZE], tikv_slice *key)
{
    int len = snprintf(text, KEY_SIZE, "r%07u", (unsigned)region);

    *key = (tikv_slice){ (const uint8_t *)text, (size_t)len };
}

static bool
failed(const char *what, tikv_error *error)
{
    if (error != NULL) {
        (void)fprintf(stderr, "perf-loss: %s: %s\n", what,
                      tikv_error_message(error));
        tikv_error_free(error);
    }
    return error != NULL;
}

/* ---- the cluster ---- */

static bool
make_regions(struct run *run)
{
    uint32_t i;

    for (i = 0; i < run->regions_count; i++) {
        char text[KEY_SIZE];
        tikv_slice key;

        key_of(i, text, &key);
        if (i != 0 && failed("split", tikv_cluster_split(run->cluster, key))) {
            return false;
        }
    }
    /* Splits keep the leader; afterwards each store has a third. */
    for (i = 0; i < run->regions_count; i++) {
        char text[KEY_SIZE];
        tikv_slice key;

        key_of(i, text, &key);
        run->regions[i].id = tikv_cluster_region_of(run->cluster, key);
        if (failed("leader", tikv_cluster_transfer_leader(
                                 run->cluster, run->regions[i].id,
                                 i % STORES + 1))) {
            return false;
        }
        run->regions[i].was_led = i % STORES + 1 == VICTIM;
    }
    return true;
}

static bool
open_all(struct run *run)
{
    tikv_cluster_options options = TIKV_CLUSTER_OPTIONS_INIT;

    options.stores_count = STORES;
    return !failed("cluster", tikv_cluster_start(&options, &run->cluster)) &&
           make_regions(run) &&
           !failed("client", tikv_client_connect(
                                 tikv_cluster_endpoints(run->cluster),
                                 &run->client));
}

/* ---- load ---- */

static void
read_one(struct caller *caller, uint32_t place)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    struct run *run = caller->run;
    struct region *region = &run->regions[place];
    int64_t begun = usage_clock(), ended;
    tikv_value *value = NULL;
    char text[KEY_SIZE];
    tikv_error *error;
    tikv_slice key;
    int64_t none = 0;

    options.call.timeout_ms = run->timeout_ms;
    key_of(place, text, &key);
    error = tikv_raw_get(run->client, key, &options, &value);
    tikv_value_free(value);
    if (error != NULL) {
        tikv_error_free(error);
        (void)atomic_fetch_add(&run->failed, 1);
        return;
    }
    ended = usage_clock();
    histogram_add(&caller->took, (uint64_t)(ended - begun));
    (void)atomic_fetch_add(&run->answered, 1);
    if (atomic_compare_exchange_strong(&region->served, &none, ended) &&
        atomic_fetch_sub(&run->left, 1) == 1) {
        run->last = atomic_load(&run->answered);
        atomic_store(&run->is_over, true);
    }
}

static void *
work(void *arg)
{
    struct caller *caller = arg;
    struct run *run = caller->run;
    uint32_t place = caller->first;

    while (!atomic_load(&run->is_over)) {
        read_one(caller, place);
        place = (place + 1) % run->regions_count;
    }
    return NULL;
}

/* The client learns of every region. */
static bool
warm(struct run *run)
{
    uint32_t i;

    for (i = 0; i < run->regions_count; i++) {
        tikv_value *value = NULL;
        char text[KEY_SIZE];
        tikv_slice key;

        key_of(i, text, &key);
        if (failed("warm-up", tikv_raw_get(run->client, key, NULL, &value))) {
            return false;
        }
        tikv_value_free(value);
    }
    return true;
}

/* ---- the loss ---- */

static bool
kill_store(struct run *run)
{
    uint32_t i;

    for (i = 0; i < run->regions_count; i++) {
        if (run->regions[i].was_led &&
            failed("leaderless", tikv_cluster_transfer_leader(
                                     run->cluster, run->regions[i].id, 0))) {
            return false;
        }
    }
    return !failed("kill", tikv_cluster_store_stop(run->cluster, VICTIM));
}

static void
rest_until(int64_t when)
{
    int64_t left = when - usage_clock();

    if (left > 0) {
        struct timespec pause = { .tv_sec = (time_t)(left / SECOND),
                                  .tv_nsec = (long)(left % SECOND) };

        (void)nanosleep(&pause, NULL);
    }
}

static uint64_t
next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

/* Leaders come back one after the other; returns how many. */
static uint32_t
move_leaders(struct run *run)
{
    uint32_t *order = calloc(run->regions_count, sizeof(*order));
    uint64_t random = run->seed;
    uint32_t count = 0, i;

    for (i = 0; order != NULL && i < run->regions_count; i++) {
        if (run->regions[i].was_led) {
            uint32_t other = (uint32_t)(next_random(&random) % (count + 1));

            order[count] = order[other];
            order[other] = i;
            count++;
        }
    }
    for (i = 0; i < count; i++) {
        struct region *region = &run->regions[order[i]];

        rest_until(run->killed + run->moves_ns * (int64_t)i / count);
        (void)failed("move", tikv_cluster_transfer_leader(
                                 run->cluster, region->id,
                                 VICTIM + 1 + order[i] / STORES % 2));
        region->moved = usage_clock();
    }
    free(order);
    return count;
}

/* ---- report ---- */

struct figures {
    uint32_t moved;
    int64_t last_move_ns; /* after the kill, like the next */
    int64_t all_served_ns;
    struct histogram served; /* from a region's move to its first answer */
    struct histogram took;
    double rate;
};

static void
sum_up(const struct run *run, const struct caller *callers,
       struct figures *sum)
{
    uint32_t i;

    for (i = 0; i < run->regions_count; i++) {
        const struct region *region = &run->regions[i];
        int64_t served = atomic_load(&region->served);

        if (served - run->killed > sum->all_served_ns) {
            sum->all_served_ns = served - run->killed;
        }
        if (region->was_led) {
            histogram_add(&sum->served,
                          served > region->moved
                              ? (uint64_t)(served - region->moved)
                              : 0);
            if (region->moved - run->killed > sum->last_move_ns) {
                sum->last_move_ns = region->moved - run->killed;
            }
        }
    }
    for (i = 0; i < run->callers_count; i++) {
        histogram_merge(&sum->took, &callers[i].took);
    }
    sum->rate = (double)run->last * (double)SECOND /
                (double)sum->all_served_ns;
}

static double
ms(int64_t ns)
{
    return (double)ns / 1e6;
}

static double
at(const struct histogram *histogram, double percent)
{
    return ms((int64_t)histogram_at(histogram, percent));
}

static void
print(struct run *run, const struct figures *sum, bool met)
{
    FILE *json = run->json == NULL              ? NULL
                 : strcmp(run->json, "-") == 0 ? stdout
                                                : fopen(run->json, "w");

    if (json != stdout) {
        (void)printf(
            "%u regions on %d stores, one killed; %u leaders moved in %.2f s\n"
            "all served %.0f ms after the kill, %.0f ms after the last move; "
            "goal %d s: %s\n"
            "region, from its move to its first answer: p50 %.1f p99 %.1f "
            "p99.9 %.1f max %.1f ms\n"
            "reads meanwhile: %.0f/s, %" PRIu64 " failed; p50 %.2f p99 %.1f "
            "max %.1f ms\n",
            (unsigned)run->regions_count, STORES, (unsigned)sum->moved,
            ms(sum->last_move_ns) / 1e3, ms(sum->all_served_ns),
            ms(sum->all_served_ns - sum->last_move_ns), GOAL_S,
            met ? "met" : "missed", at(&sum->served, 50), at(&sum->served, 99),
            at(&sum->served, 99.9), ms((int64_t)sum->served.max), sum->rate,
            atomic_load(&run->failed), at(&sum->took, 50), at(&sum->took, 99),
            ms((int64_t)sum->took.max));
    }
    if (json != NULL) {
        (void)fprintf(
            json,
            "{\"regions\":%u,\"moved\":%u,\"last_move_ms\":%.1f,"
            "\"all_served_ms\":%.1f,\"region_p50_ms\":%.2f,"
            "\"region_p99_ms\":%.2f,\"region_max_ms\":%.2f,"
            "\"reads_per_second\":%.0f,\"reads_failed\":%" PRIu64
            ",\"read_p50_ms\":%.3f,\"read_p99_ms\":%.2f,\"read_max_ms\":%.1f,"
            "\"met\":%s}\n",
            (unsigned)run->regions_count, (unsigned)sum->moved,
            ms(sum->last_move_ns), ms(sum->all_served_ns),
            at(&sum->served, 50), at(&sum->served, 99),
            ms((int64_t)sum->served.max), sum->rate,
            atomic_load(&run->failed), at(&sum->took, 50), at(&sum->took, 99),
            ms((int64_t)sum->took.max), met ? "true" : "false");
    }
    if (json != NULL && json != stdout) {
        (void)fclose(json);
    }
}

/* ---- the run ---- */

/* A line while it goes on, on a terminal; a region that is never served ends
 * it, too. */
static void
watch(struct run *run)
{
    bool is_shown = isatty(STDERR_FILENO) == 1;
    int64_t end = usage_clock() + 4 * GOAL_S * SECOND;

    while (!atomic_load(&run->is_over) && usage_clock() < end) {
        rest_until(usage_clock() + SECOND / 5);
        if (is_shown) {
            (void)fprintf(stderr,
                          "\r%.1f s, %u regions to go, %" PRIu64 " reads ",
                          ms(usage_clock() - run->killed) / 1e3,
                          (unsigned)atomic_load(&run->left),
                          atomic_load(&run->answered));
        }
    }
    if (is_shown) {
        (void)fputc('\n', stderr);
    }
    atomic_store(&run->is_over, true);
}

/* Callers that run before the kill would count answers of then: they start
 * right behind it, as those who called all along would. */
static int
lose(struct run *run)
{
    static struct caller callers[CALLERS_MAX];
    static struct figures sum;
    uint32_t i;
    bool met;

    if (!kill_store(run)) {
        return 3;
    }
    run->killed = usage_clock();
    for (i = 0; i < run->callers_count; i++) {
        callers[i].run = run;
        callers[i].first = (uint32_t)((uint64_t)run->regions_count * i /
                                      run->callers_count);
        (void)pthread_create(&callers[i].thread, NULL, work, &callers[i]);
    }
    sum.moved = move_leaders(run);
    watch(run);
    for (i = 0; i < run->callers_count; i++) {
        (void)pthread_join(callers[i].thread, NULL);
    }
    sum_up(run, callers, &sum);
    met = atomic_load(&run->left) == 0 &&
          sum.all_served_ns - sum.last_move_ns <= GOAL_S * SECOND;
    print(run, &sum, met);
    return met ? 0 : 1;
}

static bool
read_arguments(int argc, char **argv, struct run *run)
{
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        uint64_t number = strtoull(value, NULL, 10);

        if (strcmp(name, "--json") == 0) {
            run->json = value;
        } else if (strcmp(name, "--seed") == 0) {
            run->seed = number;
        } else if (strcmp(name, "--moves") == 0) {
            run->moves_ns = (int64_t)(strtod(value, NULL) * (double)SECOND);
        } else if (number == 0 || number > 1000000) {
            return false;
        } else if (strcmp(name, "--regions") == 0) {
            run->regions_count = (uint32_t)number;
        } else if (strcmp(name, "--callers") == 0) {
            run->callers_count = (uint32_t)number;
        } else if (strcmp(name, "--timeout") == 0) {
            run->timeout_ms = (int64_t)number;
        } else {
            return false;
        }
    }
    return i == argc && run->callers_count <= CALLERS_MAX &&
           run->regions_count >= STORES && run->moves_ns >= 0;
}

int
main(int argc, char **argv)
{
    struct run run = { .regions_count = 10000,
                       .callers_count = 32,
                       .moves_ns = 5 * SECOND,
                       .timeout_ms = 2000,
                       .seed = 1 };
    int status = 3;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return help(stdout, 0);
    }
    if (!read_arguments(argc, argv, &run)) {
        return help(stderr, 2);
    }
    run.regions = calloc(run.regions_count, sizeof(*run.regions));
    atomic_init(&run.left, run.regions_count);
    if (run.regions != NULL && open_all(&run) && warm(&run)) {
        status = lose(&run);
    }
    tikv_client_close(run.client);
    tikv_cluster_free(run.cluster);
    free(run.regions);
    return status;
}
