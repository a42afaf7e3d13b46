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
    fputs("usage: perf-floor [--duration S] [--json FILE]\n\n"
          "What loopback TCP and bare gRPC C core cost on this machine, to\n"
          "hold the figures of tikv-bench against: run both one after the\n"
          "other and compare ratios.\n\n"
          "  --duration S   seconds for each of the eight rows (2)\n"
          "  --json FILE    JSON lines, - for stdout\n",
          out);
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
measure_tcp(unsigned seconds, FILE *json)
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

        floor_tcp(&result, rows[i].depth, seconds);
        print(&result, json);
    }
}

static void
measure_core(int port, unsigned seconds, FILE *json)
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

        if (rows[i].threads > 0) {
            floor_unary(&result, port, rows[i].threads, seconds);
        } else {
            floor_stream(&result, port, rows[i].bytes, rows[i].weight, seconds);
        }
        print(&result, json);
    }
}

static bool
parse(int argc, char **argv, unsigned *seconds, FILE **json)
{
    int i;

    for (i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--duration") == 0) {
            char *end;
            unsigned long number = strtoul(argv[i + 1], &end, 10);

            if (*argv[i + 1] < '1' || *argv[i + 1] > '9' || *end != '\0' ||
                number > 600) {
                fputs("perf-floor: --duration must be 1 to 600\n", stderr);
                return false;
            }
            *seconds = (unsigned)number;
        } else if (i + 1 < argc && strcmp(argv[i], "--json") == 0) {
            *json = strcmp(argv[i + 1], "-") == 0 ? stdout
                                                  : fopen(argv[i + 1], "w");
            if (*json == NULL) {
                fprintf(stderr, "perf-floor: %s: %s\n", argv[i + 1],
                        strerror(errno));
                return false;
            }
        } else {
            fprintf(stderr, "perf-floor: unknown option %s; try --help\n",
                    argv[i]);
            return false;
        }
    }
    return true;
}

int
main(int argc, char **argv)
{
    unsigned seconds = 2;
    FILE *json = NULL;
    int port, server;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help(stdout);
        return 0;
    }
    if (!parse(argc, argv, &seconds, &json)) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    measure_tcp(seconds, json);
    server = floor_serve(&port);
    grpc_init();
    measure_core(port, seconds, json);
    grpc_shutdown_blocking();
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    if (json != NULL && json != stdout) {
        fclose(json);
    }
    return 0;
}
