/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of one round, as a table and as JSON, and the percentile file
 * of a whole run. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
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

/* Keys that an operation is about. */
static uint64_t
weight(const struct bench_options *options)
{
    const uint8_t *percent = options->workload->percent;

    return percent[BENCH_BATCH_GET] == 100 || percent[BENCH_BATCH_PUT] == 100
               ? options->batch
           : percent[BENCH_SCAN] == 100 ? options->scan
                                        : 1;
}

static void
print_head(const struct bench_options *options,
           const struct bench_result *result, uint64_t round)
{
    printf("%s, %s, %" PRIu64 " threads", options->workload->name,
           bench_mode_name(options->mode), options->threads);
    if (options->mode != BENCH_BLOCKING) {
        printf(" x %" PRIu64 " outstanding", options->outstanding);
    }
    if (options->rate > 0) {
        printf(", %" PRIu64 "/s due", options->rate);
    }
    printf(", %" PRIu64 " keys %s, %" PRIu64 "-byte values, %.1f s",
           options->keys, bench_dist_name(options->dist), options->value_bytes,
           (double)result->usage.wall_ns / 1e9);
    if (options->rounds > 1) {
        printf(", round %" PRIu64, round);
    }
    printf("\n");
}

static void
print_trouble(const struct bench_options *options,
              const struct bench_result *result)
{
    size_t i;

    if (options->storm > 0) {
        printf("  storm           %12" PRIu64 " changes\n", result->storm);
    }
    if (result->unsent > 0) {
        printf("  unsent          %12" PRIu64 " were due, never begun\n",
               result->unsent);
    }
    if (result->misses > 0) {
        printf("  misses          %12" PRIu64
               " found nothing, or did not swap\n",
               result->misses);
    }
    if (result->errors.count > 0) {
        printf("  errors          %12" PRIu64 ", first: %s\n",
               result->errors.count, result->errors.first);
        for (i = 0; i < result->errors.codes_count; i++) {
            printf("                  %12" PRIu64 " %s\n",
                   result->errors.codes[i].count,
                   tikv_code_name(result->errors.codes[i].code));
        }
    }
}

void
bench_print_table(const struct bench_options *options,
                  const struct bench_result *result, uint64_t round)
{
    const struct usage *usage = &result->usage;

    print_head(options, result, round);
    printf("  operations/s    %12.0f\n",
           per((double)result->operations * 1e9, (uint64_t)usage->wall_ns));
    printf("  client CPU      %12.2f us/operation\n",
           per((double)usage->cpu_ns / 1000, result->operations));
    if (weight(options) > 1) {
        printf("                  %12.3f us/key\n",
               per((double)usage->cpu_ns / 1000,
                   result->operations * weight(options)));
    }
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
           usage_is_clean(usage) ? "" : " (not a clean run)");
    print_trouble(options, result);
    fflush(stdout);
}

static void
print_setup(FILE *out, const struct bench_options *options, uint64_t round)
{
    fprintf(out,
            "{\"workload\":\"%s\",\"mode\":\"%s\",\"threads\":%" PRIu64
            ",\"outstanding\":%" PRIu64 ",\"keys\":%" PRIu64
            ",\"value_bytes\":%" PRIu64,
            options->workload->name, bench_mode_name(options->mode),
            options->threads, options->outstanding, options->keys,
            options->value_bytes);
    fprintf(out,
            ",\"key_bytes\":%" PRIu64 ",\"dist\":\"%s\",\"rate\":%" PRIu64
            ",\"keys_per_op\":%" PRIu64 ",\"round\":%" PRIu64,
            options->key_bytes, bench_dist_name(options->dist), options->rate,
            weight(options), round);
    if (options->pd == NULL) {
        fprintf(out, ",\"stores\":%" PRIu64 ",\"regions\":%" PRIu64,
                options->stores, options->regions);
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
print_errors(FILE *out, const struct bench_result *result)
{
    size_t i;

    fprintf(out,
            ",\"misses\":%" PRIu64 ",\"unsent\":%" PRIu64
            ",\"storm_changes\":%" PRIu64 ",\"errors\":%" PRIu64
            ",\"errors_by_code\":{",
            result->misses, result->unsent, result->storm,
            result->errors.count);
    for (i = 0; i < result->errors.codes_count; i++) {
        fprintf(out, "%s\"%s\":%" PRIu64, i > 0 ? "," : "",
                tikv_code_name(result->errors.codes[i].code),
                result->errors.codes[i].count);
    }
    fputs("}}\n", out);
}

void
bench_print_json(FILE *out, const struct bench_options *options,
                 const struct bench_result *result, uint64_t round)
{
    const struct usage *usage = &result->usage;

    print_setup(out, options, round);
    fprintf(out,
            ",\"ops\":%" PRIu64 ",\"seconds\":%.3f,\"ops_per_s\":%.1f"
            ",\"cpu_us_per_op\":%.4f,\"cpu_us_per_key\":%.4f",
            result->operations, (double)usage->wall_ns / 1e9,
            per((double)result->operations * 1e9, (uint64_t)usage->wall_ns),
            per((double)usage->cpu_ns / 1000, result->operations),
            per((double)usage->cpu_ns / 1000,
                result->operations * weight(options)));
    fprintf(out,
            ",\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f"
            ",\"p999_us\":%.1f,\"max_us\":%.1f",
            us(result, 50), us(result, 90), us(result, 99), us(result, 99.9),
            us(result, 100));
    print_counts(out, result);
    fprintf(out,
            ",\"switches_per_op\":%.4f,\"rss_bytes\":%" PRIu64
            ",\"steal_ticks\":%" PRIu64,
            per((double)usage->switches, result->operations), usage->rss_bytes,
            usage->steal_ticks);
    print_errors(out, result);
    fflush(out);
}

/* Five points in each halving of what is left above. */
static void
print_percentiles(FILE *out, const struct histogram *histogram)
{
    const double ticks = 5;
    double percent = 0;

    while (percent < 100) {
        double halvings, step;
        uint64_t value = histogram_at(histogram, percent);
        uint64_t count = histogram_below(histogram, value);

        fprintf(out, "%12.3f %14.12f %10" PRIu64 " %14.2f\n",
                (double)value / 1000, percent / 100, count,
                1 / (1 - percent / 100));
        if (count >= histogram->count) {
            break;
        }
        halvings = floor(log2(100 / (100 - percent))) + 1;
        step = 100 / (ticks * pow(2, halvings));
        percent += step;
    }
    fprintf(out, "%12.3f %14.12f %10" PRIu64 "\n",
            (double)histogram->max / 1000, 1.0, histogram->count);
}

bool
bench_write_hdr(const char *path, const struct histogram *histogram)
{
    double mean, deviation;
    FILE *out = fopen(path, "w");

    if (out == NULL) {
        fprintf(stderr, "tikv-bench: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(out, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount",
            "1/(1-Percentile)");
    print_percentiles(out, histogram);
    histogram_moments(histogram, &mean, &deviation);
    fprintf(out, "#[Mean    = %12.3f, StdDeviation   = %12.3f]\n", mean / 1000,
            deviation / 1000);
    fprintf(out, "#[Max     = %12.3f, Total count    = %12" PRIu64 "]\n",
            (double)histogram->max / 1000, histogram->count);
    fprintf(out, "#[Buckets = %12d, SubBuckets     = %12d]\n",
            HISTOGRAM_CELLS / HISTOGRAM_STEPS, HISTOGRAM_STEPS);
    return fclose(out) == 0;
}
