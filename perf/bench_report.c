/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of one run, as a table and as JSON. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static double
per(double sum, uint64_t count)
{
    return count == 0 ? 0 : sum / (double)count;
}

static double
us(const struct bench_result *result, double percent)
{
    return (double)histogram_at(&result->latency_ns, percent) / 1000;
}

static void
print_table(const struct bench_options *options,
            const struct bench_result *result)
{
    const struct usage *usage = &result->usage;

    printf("raw %s, %s, %" PRIu64 " threads",
           options->operation == BENCH_GET ? "get" : "put",
           options->is_blocking ? "blocking" : "futures", options->threads);
    if (!options->is_blocking) {
        printf(" x %" PRIu64 " outstanding", options->outstanding);
    }
    printf(", %" PRIu64 " keys, %" PRIu64 "-byte values, %.1f s\n",
           options->keys, options->value_bytes,
           (double)usage->wall_ns / 1e9);
    printf("  operations/s    %12.0f\n",
           per((double)result->operations * 1e9,
               (uint64_t)usage->wall_ns));
    printf("  client CPU      %12.2f us/operation\n",
           per((double)usage->cpu_ns / 1000, result->operations));
    printf("  latency         %12.1f us p50\n", us(result, 50));
    printf("                  %12.1f us p90\n", us(result, 90));
    printf("                  %12.1f us p99\n", us(result, 99));
    printf("                  %12.1f us p99.9\n", us(result, 99.9));
    printf("                  %12.1f us max\n", us(result, 100));
    if (result->counts_known) {
        printf("  requests        %12.3f per operation\n",
               per((double)result->requests, result->operations));
        printf("  batch           %12.1f requests/message\n",
               per((double)result->requests, result->messages));
    }
    printf("  switches        %12.3f per operation\n",
           per((double)usage->switches, result->operations));
    printf("  memory          %12.1f MiB resident\n",
           (double)usage->rss_bytes / 1048576);
    printf("  stolen          %12" PRIu64 " ticks of the machine%s\n",
           usage->steal_ticks,
           usage->steal_ticks > 35 ? " (not a clean run)" : "");
    if (result->errors > 0) {
        printf("  errors          %12" PRIu64 ", first: %s\n",
               result->errors, result->first_error);
    }
}

static void
print_counts(FILE *out, const struct bench_result *result)
{
    if (!result->counts_known) {
        fputs(",\"rpcs_per_op\":null,\"requests_per_message\":null", out);
        return;
    }
    fprintf(out, ",\"rpcs_per_op\":%.4f,\"requests_per_message\":%.2f",
            per((double)result->requests, result->operations),
            per((double)result->requests, result->messages));
}

static void
print_json(FILE *out, const struct bench_options *options,
           const struct bench_result *result)
{
    const struct usage *usage = &result->usage;

    fprintf(out,
            "{\"workload\":\"raw %s\",\"mode\":\"%s\",\"threads\":%" PRIu64
            ",\"outstanding\":%" PRIu64 ",\"keys\":%" PRIu64
            ",\"value_bytes\":%" PRIu64,
            options->operation == BENCH_GET ? "get" : "put",
            options->is_blocking ? "blocking" : "futures", options->threads,
            options->outstanding, options->keys, options->value_bytes);
    fprintf(out,
            ",\"ops\":%" PRIu64 ",\"seconds\":%.3f,\"ops_per_s\":%.1f"
            ",\"cpu_us_per_op\":%.4f",
            result->operations, (double)usage->wall_ns / 1e9,
            per((double)result->operations * 1e9, (uint64_t)usage->wall_ns),
            per((double)usage->cpu_ns / 1000, result->operations));
    fprintf(out,
            ",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f"
            ",\"p999_us\":%.1f,\"max_us\":%.1f",
            us(result, 50), us(result, 90), us(result, 99),
            us(result, 99.9), us(result, 100));
    print_counts(out, result);
    fprintf(out,
            ",\"switches_per_op\":%.4f,\"rss_bytes\":%" PRIu64
            ",\"steal_ticks\":%" PRIu64 ",\"errors\":%" PRIu64 "}\n",
            per((double)usage->switches, result->operations),
            usage->rss_bytes, usage->steal_ticks, result->errors);
}

bool
bench_report(const struct bench_options *options,
             const struct bench_result *result)
{
    FILE *out;

    if (options->json == NULL || strcmp(options->json, "-") != 0) {
        print_table(options, result);
    }
    if (options->json == NULL) {
        return true;
    }
    out = strcmp(options->json, "-") == 0 ? stdout
                                          : fopen(options->json, "w");
    if (out == NULL) {
        fprintf(stderr, "tikv-bench: %s: %s\n", options->json,
                strerror(errno));
        return false;
    }
    print_json(out, options, result);
    return out == stdout || fclose(out) == 0;
}
