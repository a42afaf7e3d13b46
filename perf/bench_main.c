/* SPDX-License-Identifier: Apache-2.0 */
/* tikv-bench: the order of a run. Exit status 0, 1 when operations failed,
 * 2 usage, 3 no cluster. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_OK, RUN_ERRORS, RUN_USAGE, RUN_CLUSTER };

/* Where the figures go. */
struct output {
    FILE *json;            /* NULL: nowhere */
    struct histogram *all; /* of all rounds */
};

static void
pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0) {
        fprintf(stderr, "tikv-bench: CPU %d: %s\n", cpu, strerror(errno));
    }
}

static bool
run_round(struct bench_load *load, struct output *output, uint64_t round,
          uint64_t *errors)
{
    struct bench_result *result = calloc(1, sizeof(*result));
    bool is_done = result != NULL && bench_run(load, result);

    if (is_done) {
        if (output->json != stdout) {
            bench_print_table(load->options, result, round);
        }
        if (output->json != NULL) {
            bench_print_json(output->json, load->options, result, round);
        }
        histogram_merge(output->all, &result->latency_ns);
        *errors += result->errors.count;
    }
    free(result);
    return is_done;
}

static bool
fill(const struct bench_load *load)
{
    struct bench_caller caller;
    bool is_done =
        bench_caller_init(&caller, load->options, load->client, load->keys,
                          load->value, 1, BENCH_FILL_COUNT) &&
        bench_fill(&caller);

    bench_caller_fini(&caller);
    return is_done;
}

static int
run_rounds(struct bench_load *load, struct output *output)
{
    const struct bench_options *options = load->options;
    bool needs_data =
        options->workload->percent[BENCH_TSO] == 0 && !options->is_filled;
    uint64_t round, errors = 0;

    if (needs_data && !fill(load)) {
        return RUN_ERRORS;
    }
    for (round = 1; round <= options->rounds; round++) {
        if (!run_round(load, output, round, &errors)) {
            return RUN_ERRORS;
        }
    }
    if (options->hdr != NULL && !bench_write_hdr(options->hdr, output->all)) {
        return RUN_USAGE;
    }
    return errors > 0 ? RUN_ERRORS : RUN_OK;
}

static int
run(struct bench_options *options, struct playground *playground,
    struct output *output)
{
    struct bench_keys keys;
    uint8_t *value = malloc(options->value_bytes + 1);
    tikv_client *client = NULL;
    tikv_error *error = tikv_config_parse(
        options->config,
        playground == NULL ? options->pd : playground->endpoints);
    int status = RUN_CLUSTER;

    if (error == NULL) {
        error = tikv_client_open(options->config, &client);
    }
    if (error != NULL) {
        fprintf(stderr, "tikv-bench: %s\n", tikv_error_message(error));
        tikv_error_free(error);
    } else if (value != NULL) {
        struct bench_load load = { .options = options,
                                   .client = client,
                                   .playground = playground,
                                   .keys = &keys,
                                   .value = value };

        memset(value, 'v', options->value_bytes);
        bench_keys_init(&keys, options);
        status = run_rounds(&load, output);
    }
    tikv_client_close(client);
    free(value);
    return status;
}

/* .../perf/tikv-bench -> .../tikv-playground */
static bool
spawn(struct playground *playground, const char *program,
      const struct bench_options *options)
{
    const char *slash = strrchr(program, '/');
    char path[4096], stores[24], regions[24];
    const char *arguments[] = { "--port",    "0",     "--stores", stores,
                                "--regions", regions, NULL };

    snprintf(path, sizeof(path), "%.*s/../tikv-playground",
             slash == NULL ? 1 : (int)(slash - program),
             slash == NULL ? "." : program);
    snprintf(stores, sizeof(stores), "%" PRIu64, options->stores);
    snprintf(regions, sizeof(regions), "%" PRIu64, options->regions);
    return playground_start(playground, path, arguments);
}

/* The playground inherits where it is started. */
static int
run_spawned(struct bench_options *options, const char *program,
            struct output *output)
{
    struct playground playground;
    cpu_set_t before;
    int status = RUN_CLUSTER;

    CPU_ZERO(&before);
    sched_getaffinity(0, sizeof(before), &before);
    if (options->server_cpu >= 0) {
        pin(options->server_cpu);
    }
    if (spawn(&playground, program, options)) {
        sched_setaffinity(0, sizeof(before), &before);
        if (options->client_cpu >= 0) {
            pin(options->client_cpu);
        }
        status = run(options, &playground, output);
        playground_stop(&playground);
    }
    return status;
}

static bool
open_output(const struct bench_options *options, struct output *output)
{
    output->all = calloc(1, sizeof(*output->all));
    if (options->json != NULL) {
        output->json = strcmp(options->json, "-") == 0
                           ? stdout
                           : fopen(options->json, "w");
        if (output->json == NULL) {
            fprintf(stderr, "tikv-bench: %s: %s\n", options->json,
                    strerror(errno));
            return false;
        }
    }
    return output->all != NULL;
}

static bool
close_output(struct output *output)
{
    bool is_ok = output->json == NULL || output->json == stdout ||
                 fclose(output->json) == 0;

    free(output->all);
    return is_ok;
}

int
main(int argc, char **argv)
{
    struct bench_options options = { 0 };
    struct output output = { NULL, NULL };
    int status = RUN_USAGE;

    tikv_error_free(tikv_config_new(&options.config));
    switch (bench_parse(&options, argc, argv)) {
    case BENCH_HELP:
        status = RUN_OK;
        break;
    case BENCH_GO:
        if (!open_output(&options, &output)) {
            break;
        }
        if (options.pd == NULL) {
            status = run_spawned(&options, argv[0], &output);
        } else {
            if (options.client_cpu >= 0) {
                pin(options.client_cpu);
            }
            status = run(&options, NULL, &output);
        }
        status = close_output(&output) ? status : RUN_USAGE;
        break;
    case BENCH_WRONG:
    default:
        break;
    }
    tikv_config_free(options.config);
    return status;
}
