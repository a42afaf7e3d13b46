/* SPDX-License-Identifier: Apache-2.0 */
/* tikv-bench: arguments, and the order of a run. Exit status 0, 1 when
 * operations failed, 2 usage, 3 no cluster. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { RUN_OK, RUN_ERRORS, RUN_USAGE, RUN_CLUSTER };

static void
help(FILE *out)
{
    fputs("usage: tikv-bench raw get|put [OPTION]...\n\n"
          "  --mode blocking|futures  how to call (blocking)\n"
          "  --threads N              calling threads (1)\n"
          "  --outstanding N          futures in flight per thread (256)\n"
          "  --duration S             measured seconds (5)\n"
          "  --warmup MS              before them (500)\n"
          "  --keys N                 different keys (100000)\n"
          "  --value-bytes N          size of a value (100)\n"
          "  --spawn                  run a playground beside it (default)\n"
          "  --stores N, --regions N  of that playground (1, 60)\n"
          "  --pd LIST                use this cluster instead\n"
          "  --set NAME=VALUE         any setting of the client\n"
          "  --json FILE              the figures as JSON, - for stdout\n"
          "  --help\n\n"
          "exit status: 0 ok, 1 operations failed, 2 usage, 3 no cluster\n",
          out);
}

static bool
usage(const char *what, const char *word)
{
    fprintf(stderr, "tikv-bench: %s%s%s; try --help\n", what,
            word == NULL ? "" : " ", word == NULL ? "" : word);
    return false;
}

static bool
number(const char *name, const char *text, uint64_t min, uint64_t max,
       uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
        *out < min || *out > max) {
        fprintf(stderr,
                "tikv-bench: %s must be %" PRIu64 " to %" PRIu64
                ", not \"%s\"\n",
                name, min, max, text);
        return false;
    }
    return true;
}

static bool
set_setting(struct bench_options *options, const char *text)
{
    char name[64];
    const char *equals = strchr(text, '=');
    tikv_error *error;

    if (equals == NULL || (size_t)(equals - text) >= sizeof(name)) {
        return usage("--set wants NAME=VALUE, not", text);
    }
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    error = tikv_config_set(options->config, name, equals + 1);
    if (error != NULL) {
        fprintf(stderr, "tikv-bench: %s\n", tikv_error_message(error));
        tikv_error_free(error);
        return false;
    }
    return true;
}

static bool
take_number(struct bench_options *options, const char *name,
            const char *value, bool *known)
{
    const struct {
        const char *name;
        uint64_t min;
        uint64_t max;
        uint64_t *place;
    } numbers[] = {
        { "--threads", 1, 1024, &options->threads },
        { "--outstanding", 1, 65536, &options->outstanding },
        { "--duration", 1, 3600, &options->duration_s },
        { "--warmup", 0, 600000, &options->warmup_ms },
        { "--keys", 1, 100000000, &options->keys },
        { "--value-bytes", 0, 6291456, &options->value_bytes },
        { "--stores", 1, 100, &options->stores },
        { "--regions", 1, 10000, &options->regions },
    };
    size_t i;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            return number(name, value, numbers[i].min, numbers[i].max,
                          numbers[i].place);
        }
    }
    *known = false;
    return true;
}

static bool
take(struct bench_options *options, const char *name, const char *value)
{
    bool known = true;

    if (!take_number(options, name, value, &known)) {
        return false;
    }
    if (known) {
        return true;
    }
    if (strcmp(name, "--mode") == 0) {
        options->is_blocking = strcmp(value, "blocking") == 0;
        return options->is_blocking || strcmp(value, "futures") == 0 ||
               usage("--mode is blocking or futures, not", value);
    }
    if (strcmp(name, "--pd") == 0) {
        options->pd = value;
        return true;
    }
    if (strcmp(name, "--json") == 0) {
        options->json = value;
        return true;
    }
    if (strcmp(name, "--set") == 0) {
        return set_setting(options, value);
    }
    return usage("unknown option", name);
}

static bool
parse(struct bench_options *options, int argc, char **argv)
{
    int i;

    if (argc < 3 || strcmp(argv[1], "raw") != 0 ||
        (strcmp(argv[2], "get") != 0 && strcmp(argv[2], "put") != 0)) {
        return usage("wants: raw get, or raw put", NULL);
    }
    options->operation = strcmp(argv[2], "get") == 0 ? BENCH_GET : BENCH_PUT;
    for (i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--spawn") == 0) {
            options->pd = NULL;
        } else if (i + 1 == argc) {
            return usage("unknown, or wants a value:", argv[i]);
        } else if (!take(options, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

static int
run(struct bench_options *options, struct playground *playground)
{
    struct bench_result *result = calloc(1, sizeof(*result));
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
    } else if (result != NULL &&
               bench_run(options, client, playground, result)) {
        status = !bench_report(options, result) ? RUN_USAGE
                 : result->errors > 0           ? RUN_ERRORS
                                                : RUN_OK;
    }
    tikv_client_close(client);
    free(result);
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

int
main(int argc, char **argv)
{
    struct bench_options options = { BENCH_GET, true, 1,      256,  5,
                                     500,       60,   1,      100000,
                                     100,       NULL, NULL,   NULL };
    struct playground playground;
    int status = RUN_CLUSTER;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help(stdout);
        return RUN_OK;
    }
    tikv_error_free(tikv_config_new(&options.config));
    if (!parse(&options, argc, argv)) {
        status = RUN_USAGE;
    } else if (options.pd != NULL) {
        status = run(&options, NULL);
    } else if (spawn(&playground, argv[0], &options)) {
        status = run(&options, &playground);
        playground_stop(&playground);
    }
    tikv_config_free(options.config);
    return status;
}
