/* SPDX-License-Identifier: Apache-2.0 */
/* tikv-bench: its arguments. The tables are the language. */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ONLY(kind)                                                             \
    {                                                                          \
        [kind] = 100                                                           \
    }

static const struct bench_workload workloads[] = {
    { "raw get", "point reads", ONLY(BENCH_READ), BENCH_UNIFORM, 1, 0 },
    { "raw put", "point writes", ONLY(BENCH_UPDATE), BENCH_UNIFORM, 1, 0 },
    { "raw batch-get", "reads of --batch keys", ONLY(BENCH_BATCH_GET),
      BENCH_UNIFORM, 1, 0 },
    { "raw batch-put", "writes of --batch keys", ONLY(BENCH_BATCH_PUT),
      BENCH_UNIFORM, 1, 0 },
    { "raw scan", "scans of --scan pairs", ONLY(BENCH_SCAN), BENCH_UNIFORM, 1,
      0 },
    { "raw cas", "compare and swap, by the same value", ONLY(BENCH_CAS),
      BENCH_UNIFORM, 1, 0 },
    { "raw ycsb-a",
      "50 % reads, 50 % writes; zipf",
      { [BENCH_READ] = 50, [BENCH_UPDATE] = 50 },
      BENCH_ZIPF,
      1,
      0 },
    { "raw ycsb-b",
      "95 % reads, 5 % writes; zipf",
      { [BENCH_READ] = 95, [BENCH_UPDATE] = 5 },
      BENCH_ZIPF,
      1,
      0 },
    { "raw ycsb-c", "reads; zipf", ONLY(BENCH_READ), BENCH_ZIPF, 1, 0 },
    { "raw ycsb-d",
      "95 % reads, 5 % new records; latest",
      { [BENCH_READ] = 95, [BENCH_INSERT] = 5 },
      BENCH_LATEST,
      1,
      0 },
    { "raw ycsb-e",
      "95 % scans of 1 to --scan pairs, 5 % new; zipf",
      { [BENCH_SCAN] = 95, [BENCH_INSERT] = 5 },
      BENCH_ZIPF,
      1,
      0 },
    { "raw ycsb-f",
      "50 % reads, 50 % read and write; zipf",
      { [BENCH_READ] = 50, [BENCH_MODIFY] = 50 },
      BENCH_ZIPF,
      1,
      0 },
    { "tso", "timestamps", ONLY(BENCH_TSO), BENCH_UNIFORM, 1, 0 },
    { "region-storm",
      "ycsb-a, uniform, while --storm changes/s go on",
      { [BENCH_READ] = 50, [BENCH_UPDATE] = 50 },
      BENCH_UNIFORM,
      3,
      20 },
};

static const char *const modes[] = { "blocking", "futures", "queue" };
static const char *const dists[] = { "uniform", "zipf", "latest",
                                     "sequential" };

const char *
bench_mode_name(enum bench_mode mode)
{
    return modes[mode];
}

const char *
bench_dist_name(enum bench_dist dist)
{
    return dists[dist];
}

static void
help(void)
{
    size_t i;

    puts("usage: tikv-bench WORKLOAD [OPTION]...\n");
    for (i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        printf("  %-14s %s\n", workloads[i].name, workloads[i].label);
    }
    puts("\n"
         "  --mode blocking|futures|queue  how to call (blocking)\n"
         "  --threads N          calling threads (1)\n"
         "  --outstanding N      futures in flight per thread (256)\n"
         "  --rate N             open loop: operations/s in all, latency\n"
         "                       from the time each was due (0: closed)\n"
         "  --duration S         measured seconds (5)\n"
         "  --warmup MS          before them (500)\n"
         "  --rounds N           how often (1)\n"
         "  --keys N             different keys (100000)\n"
         "  --dist uniform|zipf[:THETA]|latest[:THETA]|sequential\n"
         "                       which of them (by the workload; 0.99)\n"
         "  --key-bytes N        size of a key (9)\n"
         "  --value-bytes N      size of a value (100)\n"
         "  --batch N            keys of a batch operation (100)\n"
         "  --scan N             pairs of a scan (100)\n"
         "  --seed N             of all that is random (1)\n"
         "  --no-fill            the keys are there already\n"
         "  --spawn              run a playground beside it (default)\n"
         "  --stores N           of that playground (1)\n"
         "  --regions N          of that playground (60)\n"
         "  --storm N            changes of its topology a second (0)\n"
         "  --client-cpu N, --server-cpu N  pin the two programs\n"
         "  --pd LIST            use this cluster instead\n"
         "  --connections N      of each store: rpc.connections_count\n"
         "  --set NAME=VALUE     any setting of the client\n"
         "  --json FILE          one JSON line a round, - for stdout\n"
         "  --hdr FILE           percentiles as HdrHistogram prints them\n"
         "  --quiet              no progress line\n"
         "  --help\n\n"
         "exit status: 0 ok, 1 operations failed, 2 usage, 3 no cluster");
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
take_number(struct bench_options *options, const char *name, const char *value,
            bool *known)
{
    const struct {
        const char *name;
        uint64_t min;
        uint64_t max;
        uint64_t *place;
    } numbers[] = {
        { "--threads", 1, 1024, &options->threads },
        { "--outstanding", 1, 65536, &options->outstanding },
        { "--rate", 0, 100000000, &options->rate },
        { "--duration", 1, 86400, &options->duration_s },
        { "--warmup", 0, 600000, &options->warmup_ms },
        { "--rounds", 1, 1000, &options->rounds },
        { "--keys", 1, 100000000, &options->keys },
        { "--key-bytes", 9, 4096, &options->key_bytes },
        { "--value-bytes", 0, 6291456, &options->value_bytes },
        { "--batch", 1, 100000, &options->batch },
        { "--scan", 1, TIKV_SCAN_PAGE_MAX, &options->scan },
        { "--storm", 0, 1000, &options->storm },
        { "--seed", 1, UINT32_MAX, &options->seed },
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
configure(struct bench_options *options, const char *name, const char *value)
{
    tikv_error *error = tikv_config_set(options->config, name, value);

    if (error != NULL) {
        fprintf(stderr, "tikv-bench: %s\n", tikv_error_message(error));
        tikv_error_free(error);
        return false;
    }
    return true;
}

static bool
take_setting(struct bench_options *options, const char *text)
{
    char name[64];
    const char *equals = strchr(text, '=');

    if (equals == NULL || (size_t)(equals - text) >= sizeof(name)) {
        return usage("--set wants NAME=VALUE, not", text);
    }
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    return configure(options, name, equals + 1);
}

static bool
take_mode(struct bench_options *options, const char *value)
{
    unsigned i;

    for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(value, modes[i]) == 0) {
            options->mode = (enum bench_mode)i;
            return true;
        }
    }
    return usage("--mode is blocking, futures or queue, not", value);
}

static bool
take_dist(struct bench_options *options, const char *value)
{
    size_t i, len = strcspn(value, ":");

    for (i = 0; i < sizeof(dists) / sizeof(dists[0]); i++) {
        if (strlen(dists[i]) == len && memcmp(value, dists[i], len) == 0) {
            options->dist = (enum bench_dist)i;
            break;
        }
    }
    if (i == sizeof(dists) / sizeof(dists[0])) {
        return usage("--dist is uniform, zipf, latest or sequential, not",
                     value);
    }
    if (value[len] == ':') {
        char *end;

        options->theta = strtod(value + len + 1, &end);
        if (*end != '\0' || !(options->theta > 0 && options->theta < 1)) {
            return usage("--dist wants a theta between 0 and 1, not", value);
        }
    }
    return true;
}

static bool
take_cpu(const char *name, const char *value, int *out)
{
    uint64_t cpu;

    if (!number(name, value, 0, 1023, &cpu)) {
        return false;
    }
    *out = (int)cpu;
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
        return take_mode(options, value);
    }
    if (strcmp(name, "--dist") == 0) {
        return take_dist(options, value);
    }
    if (strcmp(name, "--client-cpu") == 0) {
        return take_cpu(name, value, &options->client_cpu);
    }
    if (strcmp(name, "--server-cpu") == 0) {
        return take_cpu(name, value, &options->server_cpu);
    }
    if (strcmp(name, "--connections") == 0) {
        return configure(options, "rpc.connections_count", value);
    }
    if (strcmp(name, "--set") == 0) {
        return take_setting(options, value);
    }
    if (strcmp(name, "--pd") == 0) {
        options->pd = value;
    } else if (strcmp(name, "--json") == 0) {
        options->json = value;
    } else if (strcmp(name, "--hdr") == 0) {
        options->hdr = value;
    } else {
        return usage("unknown option", name);
    }
    return true;
}

/* Options that stand alone. */
static bool
take_flag(struct bench_options *options, const char *name)
{
    if (strcmp(name, "--spawn") == 0) {
        options->pd = NULL;
    } else if (strcmp(name, "--no-fill") == 0) {
        options->is_filled = true;
    } else if (strcmp(name, "--quiet") == 0) {
        options->is_quiet = true;
    } else {
        return false;
    }
    return true;
}

/* Words of the command line that name it; 0 when none does. */
static int
find_workload(struct bench_options *options, int argc, char **argv)
{
    size_t i;

    for (i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
        bool is_raw = strncmp(workloads[i].name, "raw ", 4) == 0;
        const char *word = workloads[i].name + (is_raw ? 4 : 0);
        int words = is_raw ? 2 : 1;

        if (argc > words && strcmp(argv[words], word) == 0 &&
            (!is_raw || strcmp(argv[1], "raw") == 0)) {
            options->workload = &workloads[i];
            return words;
        }
    }
    return 0;
}

static void
set_defaults(struct bench_options *options)
{
    tikv_config *config = options->config;
    const struct bench_workload *workload = options->workload;

    *options = (struct bench_options){ 0 };
    options->config = config;
    options->workload = workload;
    options->dist = workload->dist;
    options->theta = 0.99;
    options->threads = 1;
    options->outstanding = 256;
    options->duration_s = 5;
    options->warmup_ms = 500;
    options->rounds = 1;
    options->regions = 60;
    options->stores = workload->stores;
    options->storm = workload->storm;
    options->keys = 100000;
    options->key_bytes = 9;
    options->value_bytes = 100;
    options->batch = 100;
    options->scan = 100;
    options->seed = 1;
    options->client_cpu = -1;
    options->server_cpu = -1;
}

enum bench_parsed
bench_parse(struct bench_options *options, int argc, char **argv)
{
    int i, words;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help();
        return BENCH_HELP;
    }
    words = find_workload(options, argc, argv);
    if (words == 0) {
        usage("wants a workload, such as: raw get, raw put, tso", NULL);
        return BENCH_WRONG;
    }
    set_defaults(options);
    if (options->workload->percent[BENCH_CAS] > 0 &&
        !configure(options, "raw.atomic", "true")) {
        return BENCH_WRONG;
    }
    for (i = words + 1; i < argc; i++) {
        if (take_flag(options, argv[i])) {
            continue;
        }
        if (i + 1 == argc) {
            usage("unknown, or wants a value:", argv[i]);
            return BENCH_WRONG;
        }
        if (!take(options, argv[i], argv[i + 1])) {
            return BENCH_WRONG;
        }
        i++;
    }
    if (options->storm > 0 && options->pd != NULL) {
        usage("--storm wants a playground of its own, not --pd", NULL);
        return BENCH_WRONG;
    }
    return BENCH_GO;
}
