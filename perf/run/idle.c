/* SPDX-License-Identifier: Apache-2.0 */
/*
 * perf-idle: what a client costs that nobody uses. A client of a cluster in
 * another process is opened and used a little, so that everything runs that
 * will; then nothing is asked of it, and the kernel's count of each thread's
 * wake-ups is read before and after. The tickers that may be among them are
 * listed in src/api/README.md.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <tikv/tikv.h>

#include "fixture/playground.h"

enum { THREADS_MAX = 512, SETTLE_S = 3 };

struct thread {
    int id;
    char name[32];
    uint64_t switches; /* voluntary: it slept, and so woke up */
};

struct threads {
    struct thread data[THREADS_MAX];
    size_t count;
};

struct run {
    uint64_t seconds;
    double limit; /* wake-ups per second; 0: none */
    const char *json;
    bool uses_txn;
};

static int
help(FILE *out, int status)
{
    (void)fputs(
        "usage: perf-idle [--duration S] [--limit N] [--raw] [--json FILE]\n\n"
        "Wake-ups of a client that nobody uses, thread by thread.\n\n"
        "  --duration S   seconds of idleness (30)\n"
        "  --limit N      status 1 above so many wake-ups a second\n"
        "  --raw          no timestamps or transactions before\n"
        "  --json FILE    one JSON object as well, - for stdout alone\n",
        out);
    return status;
}

static void
rest(uint64_t seconds)
{
    struct timespec left = { .tv_sec = (time_t)seconds };

    while (nanosleep(&left, &left) != 0) {
    }
}

static void
read_thread(int id, struct thread *thread)
{
    char path[64], line[256];
    FILE *in;

    memset(thread, 0, sizeof(*thread));
    thread->id = id;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/status", id);
    in = fopen(path, "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        (void)sscanf(line, "Name: %31[^\n]", thread->name);
        (void)sscanf(line, "voluntary_ctxt_switches: %" SCNu64,
                     &thread->switches);
    }
    if (in != NULL) {
        (void)fclose(in);
    }
}

static void
read_threads(struct threads *threads)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;

    threads->count = 0;
    while (tasks != NULL && (entry = readdir(tasks)) != NULL &&
           threads->count < THREADS_MAX) {
        int id = (int)strtol(entry->d_name, NULL, 10);

        if (id > 0) {
            read_thread(id, &threads->data[threads->count++]);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
}

static uint64_t
before_of(const struct threads *before, int id)
{
    size_t i;

    for (i = 0; i < before->count; i++) {
        if (before->data[i].id == id) {
            return before->data[i].switches;
        }
    }
    return 0;
}

static void
report(const struct run *run, const struct threads *before,
       const struct threads *after, double *rate)
{
    FILE *json = run->json == NULL              ? NULL
                 : strcmp(run->json, "-") == 0 ? stdout
                                                : fopen(run->json, "w");
    uint64_t total = 0;
    size_t i;

    if (json != NULL) {
        (void)fputs("{\"threads\":[", json);
    }
    for (i = 1; i < after->count; i++) {
        const struct thread *thread = &after->data[i];
        uint64_t wakes = thread->switches - before_of(before, thread->id);

        total += wakes;
        if (json != stdout) {
            (void)printf("%-18s %6" PRIu64 " wake-ups\n", thread->name, wakes);
        }
        if (json != NULL) {
            (void)fprintf(json, "%s{\"name\":\"%s\",\"wakeups\":%" PRIu64 "}",
                          i == 1 ? "" : ",", thread->name, wakes);
        }
    }
    *rate = (double)total / (double)run->seconds;
    if (json != stdout) {
        (void)printf("%zu threads, %" PRIu64 " wake-ups in %" PRIu64
                     " s: %.2f a second\n",
                     after->count - 1, total, run->seconds, *rate);
    }
    if (json != NULL) {
        (void)fprintf(json,
                      "],\"seconds\":%" PRIu64 ",\"wakeups\":%" PRIu64
                      ",\"per_second\":%.3f}\n",
                      run->seconds, total, *rate);
        if (json != stdout) {
            (void)fclose(json);
        }
    }
}

static tikv_error *
write_keys(tikv_txn *txn, void *arg)
{
    tikv_slice key = { (const uint8_t *)"idle", 4 };

    (void)arg;
    return tikv_txn_put(txn, key, key);
}

/* All stores, blocking and promised; transactions, if they are wanted. */
static tikv_error *
use(tikv_client *client, const struct run *run)
{
    tikv_error *error = NULL;
    unsigned i;

    for (i = 0; i < 256 && error == NULL; i++) {
        uint8_t byte = (uint8_t)i;
        tikv_slice key = { &byte, 1 };
        tikv_value *value = NULL;
        tikv_future *future;

        error = tikv_raw_get(client, key, NULL, &value);
        tikv_value_free(value);
        future = tikv_raw_get_async(client, key, NULL);
        (void)tikv_future_wait(future, TIKV_FOREVER);
        tikv_future_free(future);
    }
    if (error == NULL && run->uses_txn) {
        error = tikv_txn_run(client, NULL, write_keys, NULL, NULL);
    }
    return error;
}

static int
watch(const struct run *run, const char *endpoints)
{
    static struct threads before, after;
    tikv_client *client = NULL;
    tikv_error *error = tikv_client_connect(endpoints, &client);
    double rate = 0;
    int status = 1;

    if (error == NULL) {
        error = use(client, run);
    }
    if (error == NULL) {
        rest(SETTLE_S);
        read_threads(&before);
        rest(run->seconds);
        read_threads(&after);
        report(run, &before, &after, &rate);
        status = run->limit > 0 && rate > run->limit;
    } else {
        (void)fprintf(stderr, "perf-idle: %s\n", tikv_error_message(error));
        tikv_error_free(error);
    }
    tikv_client_close(client);
    return status;
}

static bool
read_arguments(int argc, char **argv, struct run *run)
{
    int i;

    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--raw") == 0) {
            run->uses_txn = false;
        } else if (i + 1 == argc) {
            return false;
        } else if (strcmp(argv[i], "--duration") == 0) {
            run->seconds = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--limit") == 0) {
            run->limit = strtod(argv[++i], NULL);
        } else if (strcmp(argv[i], "--json") == 0) {
            run->json = argv[++i];
        } else {
            return false;
        }
    }
    return run->seconds > 0;
}

/* .../perf/perf-idle -> .../tikv-playground */
int
main(int argc, char **argv)
{
    static const char *const arguments[] = { "--port", "0",        "--stores",
                                             "3",      "--regions", "12",
                                             NULL };
    struct run run = { .seconds = 30, .uses_txn = true };
    const char *slash = strrchr(argv[0], '/');
    struct playground playground;
    char path[4096];
    int status;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return help(stdout, 0);
    }
    if (!read_arguments(argc, argv, &run)) {
        return help(stderr, 2);
    }
    (void)snprintf(path, sizeof(path), "%.*s/../tikv-playground",
                   slash == NULL ? 1 : (int)(slash - argv[0]),
                   slash == NULL ? "." : argv[0]);
    if (!playground_start(&playground, path, arguments)) {
        return 3;
    }
    status = watch(&run, playground.endpoints);
    (void)playground_stop(&playground);
    return status;
}
