/* SPDX-License-Identifier: Apache-2.0 */
/* perf-cluster: arguments, and the table of rows and goals. */
#include "perf_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/grpc.h>

#include "perf_usage.h"

static const struct row {
    const char *name;
    double (*measure)(struct bed *, const struct run *);
    double goal;
    const char *unit;
    bool less; /* is better */
} rows[] = {
    { "engine, raw get", direct_engine_get, 2.5e6, "/s", false },
    { "engine, versions get", direct_mvcc_get, 2.5e6, "/s", false },
    { "direct, 128 x RawGet", direct_raw_gets, 0, "/s", false },
    { "direct, 128 x KvGet", direct_gets, 0, "/s", false },
    { "direct, 128 x RawPut", direct_raw_puts, 0, "/s", false },
    { "direct, KvScan of 256, keys", direct_scan, 3e6, "/s", false },
    { "direct, prewrite + commit", direct_commits, 0, "/s", false },
    { "RPC, 128 x KvGet", rpc_gets, 3e5, "/s", false },
    { "RPC, 128 x RawGet", rpc_raw_gets, 7e5, "/s", false },
    { "RPC, 128 x RawPut", rpc_raw_puts, 2e5, "/s", false },
    { "RPC, unary KvGet", rpc_unary_gets, 15e3, "/s", false },
    { "RPC, 128 x (prewrite, commit)", rpc_commits, 6e4, "/s", false },
    { "RPC, KvScan of 256, keys", rpc_scan, 1e6, "/s", false },
    { "RPC, timestamps, 1024 a message", rpc_timestamps, 5e6, "/s", false },
    { "RPC, lock hand-over, median", rpc_hand_over, 200, "us", true },
    { "start and stop, 3 stores", start_core, 20, "ms", true },
    { "start with gRPC, 3 stores", start_served, 20, "ms", true },
    { "stop with gRPC, 3 stores", stop_served, 0, "ms", true },
};

static int
help(FILE *out, int status)
{
    (void)fputs(
        "usage: perf-cluster [--duration S] [--keys N] [--only TEXT]\n"
        "                    [--json FILE]\n\n"
        "What the embedded cluster does by itself, beside its goals.\n\n"
        "  --duration S   seconds for a row (1)\n"
        "  --keys N       keys of the engine's rows, ten times those of the\n"
        "                 others (1000000)\n"
        "  --only TEXT    rows whose name has it\n"
        "  --json FILE    JSON lines as well, - for stdout alone\n",
        out);
    return status;
}

/* Rates over RPC are of the wall clock, and as good as the machine is idle:
 * beside them the CPU of both ends, and what it allows on two cores. */
static void
print(const struct row *row, double value, const struct usage *used,
      FILE *json)
{
    bool met = row->less ? value <= row->goal : value >= row->goal;
    bool is_shared = !row->less && strncmp(row->name, "RPC", 3) == 0;
    double cpu_us = (double)used->cpu_ns * 1e6 /
                    ((double)used->wall_ns * value);

    if (json != stdout) {
        (void)printf("%-34s %11.*f %-3s", row->name, row->less ? 3 : 0,
                     value, row->unit);
        if (row->goal > 0) {
            (void)printf(" goal %s%-8.0f %-6s", row->less ? "<= " : ">= ",
                         row->goal, met ? "met" : "missed");
        }
        if (is_shared) {
            (void)printf(" %6.2f us CPU, 2 cores: %.0f", cpu_us,
                         2e6 / cpu_us);
        }
        (void)printf("\n");
        (void)fflush(stdout);
    }
    if (json != NULL) {
        (void)fprintf(json,
                      "{\"cluster\":\"%s\",\"value\":%.3f,\"unit\":\"%s\","
                      "\"goal\":%.0f,\"met\":%s,\"cpu_us_per_op\":%.4f,"
                      "\"steal_ticks\":%llu}\n",
                      row->name, value, row->unit, row->goal,
                      row->goal == 0 || met ? "true" : "false",
                      is_shared ? cpu_us : 0,
                      (unsigned long long)used->steal_ticks);
    }
}

/* Rows that want the large bed, or the others. */
static bool
measure(uint64_t keys, bool large, const struct run *run, FILE *json)
{
    struct bed bed;
    bool is_open = false;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct usage before;
        struct usage after;
        double value;

        if ((strncmp(rows[i].name, "engine", 6) == 0) != large ||
            (run->only != NULL && strstr(rows[i].name, run->only) == NULL)) {
            continue;
        }
        if (!is_open && !bed_open(&bed, keys, true)) {
            return false;
        }
        is_open = true;
        usage_now(&before);
        value = rows[i].measure(&bed, run);
        usage_now(&after);
        after = usage_between(&before, &after);
        print(&rows[i], value, &after, json);
    }
    if (is_open) {
        bed_close(&bed);
    }
    return true;
}

int
main(int argc, char **argv)
{
    struct run run = { .ns = INT64_C(1000000000), .only = NULL };
    uint64_t keys = 1000000;
    FILE *json = NULL;
    bool done;
    int i;

    for (i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;

        if (strcmp(argv[i], "--help") == 0) {
            return help(stdout, 0);
        }
        if (value == NULL) {
            return help(stderr, 2);
        }
        if (strcmp(argv[i], "--duration") == 0) {
            run.ns = (int64_t)(strtod(value, NULL) * 1e9);
        } else if (strcmp(argv[i], "--keys") == 0) {
            keys = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--only") == 0) {
            run.only = value;
        } else if (strcmp(argv[i], "--json") == 0) {
            json = strcmp(value, "-") == 0 ? stdout : fopen(value, "w");
        } else {
            return help(stderr, 2);
        }
    }
    grpc_init();
    done = keys >= 10 && run.ns > 0 && measure(keys, true, &run, json) &&
           measure(keys / 10, false, &run, json);
    grpc_shutdown_blocking();
    if (json != NULL && json != stdout) {
        (void)fclose(json);
    }
    return done ? 0 : 1;
}
