/* SPDX-License-Identifier: Apache-2.0 */
/* perf-floor: arguments and the table. */
#include "floor.h"
#include "floor_core.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void
help(FILE *out)
{
    fputs("usage: perf-floor [--duration S] [--only TEXT] [--json FILE]\n\n"
          "What loopback TCP and bare gRPC C core cost on this machine, to\n"
          "hold the figures of tikv-bench against: run both one after the\n"
          "other and compare ratios.\n\n"
          "  --duration S   seconds for each of the eight rows (2)\n"
          "  --only TEXT    rows whose name has it in it\n"
          "  --json FILE    JSON lines, - for stdout\n",
          out);
}

struct options {
    unsigned seconds;
    const char *only; /* NULL: all rows */
    FILE *json;       /* NULL: none */
};

static bool
is_wanted(const struct options *options, const char *name)
{
    return options->only == NULL || strstr(name, options->only) != NULL;
}

static double
per_s(const struct floor_result *result)
{
    return (double)result->operations * 1e9 /
           (double)(result->usage.wall_ns + (result->usage.wall_ns == 0));
}

static double
cpu_us(const struct floor_result *result)
{
    return (double)result->usage.cpu_ns / 1000 /
           (double)(result->operations + (result->operations == 0));
}

static void
print(const struct floor_result *result, FILE *json)
{
    if (json != stdout) {
        printf("%-36s %12.0f /s %9.3f us CPU/op %6" PRIu64 " stolen\n",
               result->name, per_s(result), cpu_us(result),
               result->usage.steal_ticks);
        fflush(stdout);
    }
    if (json != NULL) {
        fprintf(json,
                "{\"floor\":\"%s\",\"ops_per_s\":%.1f,\"cpu_us_per_op\":"
                "%.4f,\"steal_ticks\":%" PRIu64 ",\"rss_bytes\":%" PRIu64,
                result->name, per_s(result), cpu_us(result),
                result->usage.steal_ticks, result->usage.rss_bytes);
        if (result->latency_ns.count > 0) {
            fprintf(json, ",\"p50_us\":%.1f",
                    (double)histogram_at(&result->latency_ns, 50) / 1000);
        }
        fputs("}\n", json);
    }
}

static void
measure_tcp(const struct options *options)
{
    static const struct {
        const char *name;
        unsigned depth;
    } rows[] = { { "TCP ping-pong, 100 B", 1 },
                 { "TCP pipelined x16", 16 },
                 { "TCP pipelined x128", 128 } };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct floor_result result = { .name = rows[i].name };

        if (is_wanted(options, result.name)) {
            floor_tcp(&result, rows[i].depth, options->seconds);
            print(&result, options->json);
        }
    }
}

static void
measure_core(const struct options *options, int port)
{
    static const struct {
        const char *name;
        unsigned threads; /* unary */
        unsigned bytes;   /* stream */
        unsigned weight;
    } rows[] = { { "C core stream, 100 B x 1", 0, 100, 1 },
                 { "C core stream, 10 KB as 128", 0, 10240, 128 },
                 { "C core unary, 1 thread", 1, 0, 0 },
                 { "C core unary, 16 threads", 16, 0, 0 },
                 { "C core unary, 64 threads", 64, 0, 0 } };
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct floor_result result = { .name = rows[i].name };

        if (!is_wanted(options, result.name)) {
            continue;
        }
        if (rows[i].threads > 0) {
            floor_unary(&result, port, rows[i].threads, options->seconds);
        } else {
            floor_stream(&result, port, rows[i].bytes, rows[i].weight,
                         options->seconds);
        }
        print(&result, options->json);
    }
}

static bool
parse_seconds(const char *text, unsigned *seconds)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);

    if (*text < '1' || *text > '9' || *end != '\0' || number > 600) {
        fputs("perf-floor: --duration must be 1 to 600\n", stderr);
        return false;
    }
    *seconds = (unsigned)number;
    return true;
}

static bool
open_json(const char *name, FILE **json)
{
    *json = strcmp(name, "-") == 0 ? stdout : fopen(name, "w");
    if (*json == NULL) {
        fprintf(stderr, "perf-floor: %s: %s\n", name, strerror(errno));
    }
    return *json != NULL;
}

static bool
parse(int argc, char **argv, struct options *options)
{
    bool is_good = true;
    int i;

    for (i = 1; i < argc && is_good; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--duration") == 0) {
            is_good = parse_seconds(argv[i + 1], &options->seconds);
        } else if (i + 1 < argc && strcmp(argv[i], "--only") == 0) {
            options->only = argv[i + 1];
        } else if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
            is_good = open_json(argv[i + 1], &options->json);
        } else {
            fprintf(stderr, "perf-floor: unknown option %s; try --help\n",
                    argv[i]);
            is_good = false;
        }
    }
    return is_good;
}

int
main(int argc, char **argv)
{
    struct options options = { .seconds = 2 };
    int port, server;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help(stdout);
        return 0;
    }
    if (!parse(argc, argv, &options)) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    measure_tcp(&options);
    server = floor_serve(&port);
    grpc_init();
    measure_core(&options, port);
    grpc_shutdown_blocking();
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    if (options.json != NULL && options.json != stdout) {
        fclose(options.json);
    }
    return 0;
}
