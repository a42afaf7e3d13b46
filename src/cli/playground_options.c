/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line of tikv-playground says. Numbers are checked here as
 * far as they are numbers, everything else is the cluster's to judge. One
 * thread.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "playground.h"

static const char help[] =
    "usage: tikv-playground [OPTION]...\n"
    "Runs a TiKV cluster, for tests and for trying things out.\n"
    "Prints one line, \"ready pd=HOST:PORT[,HOST:PORT...]\", when it serves;\n"
    "ends on SIGTERM or SIGINT.\n"
    "\n"
    "  --stores N      stores (1)\n"
    "  --pds N         PD members (1)\n"
    "  --port BASE     first port, members before stores; 0: free ones (0)\n"
    "  --regions N     regions at the start (1)\n"
    "  --replicas N    peers of a region (3, or as many as there are stores)\n"
    "  --api v1|v1ttl|v2\n"
    "                  storage.api-version, and V1 with TTL (v1)\n"
    "  --data DIR      keep everything in DIR, go on with what it holds\n"
    "  --data-sync always|process\n"
    "                  answers wait for the disk, or the system (always)\n"
    "  --data-log N    MiB of log that make a checkpoint (64)\n"
    "  --seed S        of all that is random (0)\n"
    "  --cluster-id N  of the cluster (made from the seed)\n"
    "  --keyspaces A,B keyspaces with their regions, ids from 1\n"
    "  --services LIST of tso, router, resource: PD has them as services\n"
    "  --tls-cert FILE certificate of all nodes, turns TLS on\n"
    "  --tls-key FILE  its key\n"
    "  --tls-ca FILE   clients must show a certificate signed by this one\n"
    "  --fault RULE    a fault from the start; may be repeated\n"
    "  --faults FILE   the same, one rule a line\n"
    "  --control       take commands on standard input, end with it\n"
    "  --help          print this\n"
    "  --version       print the version\n";

/* "tikv-playground: BEFORE WHAT AFTER". */
static int
usage(const char *before, const char *what, const char *after)
{
    (void)fprintf(stderr, "tikv-playground: %s%s%s; see --help\n", before, what,
                  after);
    return EXIT_USAGE;
}

/* A whole decimal number in [low, high]. */
static bool
take_number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; text[i] != '\0'; i++) {
        unsigned digit = (unsigned)(text[i] - '0');

        if (digit > 9 || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *out = number;
    return i > 0 && number >= low && number <= high;
}

/* `line` 0: not of a file. */
static int
add_fault(struct playground_options *options, const char *rule,
          const char *file, size_t line)
{
    char *place = NULL;
    char *copy;

    if (options->faults_count == PLAYGROUND_FAULTS_MAX) {
        return usage("too many fault rules", "", "");
    }
    copy = strdup(rule);
    if (copy == NULL) {
        return usage("no memory", "", "");
    }
    if (line > 0 && asprintf(&place, "%s:%zu", file, line) < 0) {
        free(copy);
        return usage("no memory", "", "");
    }
    options->places[options->faults_count] = place;
    options->faults[options->faults_count++] = copy;
    return EXIT_OK;
}

static int
add_faults(struct playground_options *options, const char *name)
{
    FILE *file = fopen(name, "r");
    char *line = NULL;
    size_t room = 0;
    size_t count = 0;
    int status = EXIT_OK;

    if (file == NULL) {
        (void)fprintf(stderr, "tikv-playground: %s: %s\n", name,
                      strerror(errno));
        return EXIT_USAGE;
    }
    while (status == EXIT_OK && getline(&line, &room, file) >= 0) {
        const char *rule = line + strspn(line, " \t");
        char *comment = strstr(line, " #");

        count++;
        line[strcspn(line, "\r\n")] = '\0';
        if (comment != NULL) {
            *comment = '\0';
        }
        if (*rule != '\0' && *rule != '#') {
            status = add_fault(options, rule, name, count);
        }
    }
    if (status == EXIT_OK && ferror(file)) {
        (void)fprintf(stderr, "tikv-playground: %s: %s\n", name,
                      strerror(errno));
        status = EXIT_USAGE;
    }
    free(line);
    (void)fclose(file);
    return status;
}

static int
read_number(const char *name, const char *text, uint64_t low, uint64_t high,
            uint64_t *out)
{
    if (take_number(text, low, high, out)) {
        return EXIT_OK;
    }
    (void)fprintf(stderr,
                  "tikv-playground: --%s: %s is not a number from %llu to "
                  "%llu\n",
                  name, text, (unsigned long long)low,
                  (unsigned long long)high);
    return EXIT_USAGE;
}

static int
read_count(const char *name, const char *text, uint32_t *out)
{
    uint64_t number = 0;
    int status = read_number(name, text, 1, UINT32_MAX, &number);

    *out = (uint32_t)number;
    return status;
}

static int
read_api(const char *text, uint32_t *api)
{
    if (strcmp(text, "v1") == 0) {
        *api = TIKV_CLUSTER_API_V1;
        return EXIT_OK;
    }
    if (strcmp(text, "v1ttl") == 0) {
        *api = TIKV_CLUSTER_API_V1TTL;
        return EXIT_OK;
    }
    if (strcmp(text, "v2") == 0) {
        *api = TIKV_CLUSTER_API_V2;
        return EXIT_OK;
    }
    return usage("--api: ", text, " is not one of v1, v1ttl, v2");
}

static int
read_sync(const char *text, uint32_t *sync)
{
    bool is_lazy = strcmp(text, "process") == 0;

    *sync = is_lazy ? TIKV_CLUSTER_SYNC_PROCESS : TIKV_CLUSTER_SYNC_ALWAYS;
    return is_lazy || strcmp(text, "always") == 0
               ? EXIT_OK
               : usage("--data-sync: ", text, " is neither always nor process");
}

/* Names with commas between them, as bits. */
static int
read_services(const char *text, uint64_t *services)
{
    static const struct {
        const char *name;
        uint64_t bit;
    } known[] = {
        { "tso", TIKV_CLUSTER_SERVICE_TSO },
        { "router", TIKV_CLUSTER_SERVICE_ROUTER },
        { "resource", TIKV_CLUSTER_SERVICE_RESOURCE },
    };
    const char *word = text;

    while (*word != '\0') {
        size_t len = strcspn(word, ",");
        size_t i = 0;

        while (i < 3 && (strlen(known[i].name) != len ||
                         memcmp(known[i].name, word, len) != 0)) {
            i++;
        }
        if (i == 3) {
            return usage("--services: ", word,
                         " is none of tso, router, resource");
        }
        *services |= known[i].bit;
        word += len + (word[len] == ',');
    }
    return EXIT_OK;
}

enum {
    OPT_STORES = 256,
    OPT_PDS,
    OPT_PORT,
    OPT_REGIONS,
    OPT_REPLICAS,
    OPT_API,
    OPT_DATA,
    OPT_DATA_SYNC,
    OPT_DATA_LOG,
    OPT_SEED,
    OPT_CLUSTER_ID,
    OPT_KEYSPACES,
    OPT_SERVICES,
    OPT_TLS_CA,
    OPT_TLS_CERT,
    OPT_TLS_KEY,
    OPT_FAULT,
    OPT_FAULTS,
    OPT_CONTROL,
    OPT_HELP,
    OPT_VERSION
};

/* Options that are nothing but a text; false: it is none of them. */
static bool
take_text(tikv_cluster_options *options, int option, const char *text)
{
    switch (option) {
    case OPT_DATA:
        options->data_dir = text;
        return true;
    case OPT_KEYSPACES:
        options->keyspaces = text;
        return true;
    case OPT_TLS_CA:
        options->tls_ca = text;
        return true;
    case OPT_TLS_CERT:
        options->tls_cert = text;
        return true;
    case OPT_TLS_KEY:
        options->tls_key = text;
        return true;
    default:
        return false;
    }
}

static int
take_option(struct playground_options *options, int option, const char *text)
{
    tikv_cluster_options *cluster = &options->cluster;
    uint64_t number = 0;
    int status;

    if (take_text(cluster, option, text)) {
        return EXIT_OK;
    }
    switch (option) {
    case OPT_STORES:
        return read_count("stores", text, &cluster->stores_count);
    case OPT_PDS:
        return read_count("pds", text, &cluster->pds_count);
    case OPT_REGIONS:
        return read_count("regions", text, &cluster->regions_count);
    case OPT_REPLICAS:
        return read_count("replicas", text, &cluster->replicas_count);
    case OPT_PORT:
        status = read_number("port", text, 0, 65535, &number);
        cluster->base_port = (uint16_t)number;
        return status;
    case OPT_SEED:
        return read_number("seed", text, 0, UINT64_MAX, &cluster->seed);
    case OPT_API:
        return read_api(text, &cluster->api);
    case OPT_DATA_SYNC:
        return read_sync(text, &cluster->data_sync);
    case OPT_DATA_LOG:
        return read_count("data-log", text, &cluster->data_log_mb);
    case OPT_CLUSTER_ID:
        return read_number("cluster-id", text, 1, UINT64_MAX,
                           &cluster->cluster_id);
    case OPT_SERVICES:
        return read_services(text, &cluster->services);
    case OPT_FAULT:
        return add_fault(options, text, NULL, 0);
    case OPT_FAULTS:
        return add_faults(options, text);
    case OPT_CONTROL:
        options->control = true;
        return EXIT_OK;
    case OPT_HELP:
        (void)fputs(help, stdout);
        options->done = true;
        return EXIT_OK;
    case OPT_VERSION:
        (void)printf("tikv-playground %s\n", tikv_version_string());
        options->done = true;
        return EXIT_OK;
    default:
        return EXIT_USAGE;
    }
}

int
playground_options_read(struct playground_options *options, int argc,
                        char **argv)
{
    static const struct option known[] = {
        { "stores", required_argument, NULL, OPT_STORES },
        { "pds", required_argument, NULL, OPT_PDS },
        { "port", required_argument, NULL, OPT_PORT },
        { "regions", required_argument, NULL, OPT_REGIONS },
        { "replicas", required_argument, NULL, OPT_REPLICAS },
        { "api", required_argument, NULL, OPT_API },
        { "data", required_argument, NULL, OPT_DATA },
        { "data-sync", required_argument, NULL, OPT_DATA_SYNC },
        { "data-log", required_argument, NULL, OPT_DATA_LOG },
        { "seed", required_argument, NULL, OPT_SEED },
        { "cluster-id", required_argument, NULL, OPT_CLUSTER_ID },
        { "keyspaces", required_argument, NULL, OPT_KEYSPACES },
        { "services", required_argument, NULL, OPT_SERVICES },
        { "tls-ca", required_argument, NULL, OPT_TLS_CA },
        { "tls-cert", required_argument, NULL, OPT_TLS_CERT },
        { "tls-key", required_argument, NULL, OPT_TLS_KEY },
        { "fault", required_argument, NULL, OPT_FAULT },
        { "faults", required_argument, NULL, OPT_FAULTS },
        { "control", no_argument, NULL, OPT_CONTROL },
        { "help", no_argument, NULL, OPT_HELP },
        { "version", no_argument, NULL, OPT_VERSION },
        { NULL, 0, NULL, 0 },
    };
    int status = EXIT_OK;

    memset(options, 0, sizeof(*options));
    tikv_cluster_options_init(&options->cluster, sizeof(options->cluster));
    opterr = 0;
    while (status == EXIT_OK && !options->done) {
        int option = getopt_long(argc, argv, ":", known, NULL);

        if (option == -1) {
            break;
        }
        if (option == ':') {
            return usage("", argv[optind - 1], " needs a value");
        }
        if (option == '?') {
            return usage("unknown option ", argv[optind - 1], "");
        }
        status = take_option(options, option, optarg);
    }
    if (status == EXIT_OK && !options->done && optind < argc) {
        return usage("unexpected argument ", argv[optind], "");
    }
    return status;
}

void
playground_options_free(struct playground_options *options)
{
    size_t i;

    for (i = 0; i < options->faults_count; i++) {
        free(options->faults[i]);
        free(options->places[i]);
    }
    options->faults_count = 0;
}
