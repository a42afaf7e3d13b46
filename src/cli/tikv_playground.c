/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-playground: an embedded cluster that runs until it is told to end.
 * The main thread waits for a signal and, when asked to, for commands on the
 * standard input; the threads of the cluster never see the signals.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "playground.h"

enum { EXIT_OK = 0, EXIT_USAGE = 2, EXIT_CLUSTER = 3 };

#define FAULTS_MAX 256
#define LINE_BYTES 65536

struct playground {
    tikv_cluster_options options;
    char *faults[FAULTS_MAX];
    size_t faults_count;
    bool control;
    bool done; /* help or version was asked for */
    tikv_cluster *cluster;
    int signal_fd;
    char line[LINE_BYTES];
    size_t line_len;
    bool line_skipped; /* the rest of a line that was too long */
};

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
    "  --api v1|v1ttl  raw keys without or with TTL (v1)\n"
    "  --data DIR      keep everything in DIR, go on with what it holds\n"
    "  --data-sync always|process\n"
    "                  answers wait for the disk, or the system (always)\n"
    "  --data-log N    MiB of log that make a checkpoint (64)\n"
    "  --seed S        of all that is random (0)\n"
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

/* Takes the error; `about` may be empty. */
static int
fail(const char *about, tikv_error *error)
{
    int status =
        tikv_error_code(error) == TIKV_ERR_ARGUMENT ? EXIT_USAGE : EXIT_CLUSTER;

    (void)fprintf(stderr, "tikv-playground: %s%s%s\n", about,
                  about[0] == '\0' ? "" : ": ", tikv_error_message(error));
    tikv_error_free(error);
    return status;
}

/* ---- options ---- */

static int
add_fault(struct playground *playground, const char *rule)
{
    char *copy;

    if (playground->faults_count == FAULTS_MAX) {
        return usage("too many fault rules", "", "");
    }
    copy = strdup(rule);
    if (copy == NULL) {
        return usage("no memory", "", "");
    }
    playground->faults[playground->faults_count++] = copy;
    return EXIT_OK;
}

static int
add_faults(struct playground *playground, const char *name)
{
    FILE *file = fopen(name, "r");
    char *line = NULL;
    size_t room = 0;
    int status = EXIT_OK;

    if (file == NULL) {
        (void)fprintf(stderr, "tikv-playground: %s: %s\n", name,
                      strerror(errno));
        return EXIT_USAGE;
    }
    while (status == EXIT_OK && getline(&line, &room, file) >= 0) {
        const char *rule = line + strspn(line, " \t");

        line[strcspn(line, "\r\n")] = '\0';
        if (*rule != '\0' && *rule != '#') {
            status = add_fault(playground, rule);
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
    if (playground_number(text, low, high, out)) {
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
    return usage("--api: ", text, " is neither v1 nor v1ttl");
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
    OPT_FAULT,
    OPT_FAULTS,
    OPT_CONTROL,
    OPT_HELP,
    OPT_VERSION
};

static int
take_option(struct playground *playground, int option, const char *text)
{
    tikv_cluster_options *options = &playground->options;
    uint64_t number = 0;
    int status;

    switch (option) {
    case OPT_STORES:
        return read_count("stores", text, &options->stores_count);
    case OPT_PDS:
        return read_count("pds", text, &options->pds_count);
    case OPT_REGIONS:
        return read_count("regions", text, &options->regions_count);
    case OPT_REPLICAS:
        return read_count("replicas", text, &options->replicas_count);
    case OPT_PORT:
        status = read_number("port", text, 0, 65535, &number);
        options->base_port = (uint16_t)number;
        return status;
    case OPT_SEED:
        return read_number("seed", text, 0, UINT64_MAX, &options->seed);
    case OPT_API:
        return read_api(text, &options->api);
    case OPT_DATA:
        options->data_dir = text;
        return EXIT_OK;
    case OPT_DATA_SYNC:
        return read_sync(text, &options->data_sync);
    case OPT_DATA_LOG:
        return read_count("data-log", text, &options->data_log_mb);
    case OPT_FAULT:
        return add_fault(playground, text);
    case OPT_FAULTS:
        return add_faults(playground, text);
    case OPT_CONTROL:
        playground->control = true;
        return EXIT_OK;
    case OPT_HELP:
        (void)fputs(help, stdout);
        playground->done = true;
        return EXIT_OK;
    case OPT_VERSION:
        (void)printf("tikv-playground %s\n", tikv_version_string());
        playground->done = true;
        return EXIT_OK;
    default:
        return EXIT_USAGE;
    }
}

static int
read_options(struct playground *playground, int argc, char **argv)
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
        { "fault", required_argument, NULL, OPT_FAULT },
        { "faults", required_argument, NULL, OPT_FAULTS },
        { "control", no_argument, NULL, OPT_CONTROL },
        { "help", no_argument, NULL, OPT_HELP },
        { "version", no_argument, NULL, OPT_VERSION },
        { NULL, 0, NULL, 0 },
    };
    int status = EXIT_OK;

    opterr = 0;
    while (status == EXIT_OK && !playground->done) {
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
        status = take_option(playground, option, optarg);
    }
    if (status == EXIT_OK && !playground->done && optind < argc) {
        return usage("unexpected argument ", argv[optind], "");
    }
    return status;
}

/* ---- serving ---- */

/* Before any thread is started, so that all of them inherit the mask. */
static bool
catch_signals(struct playground *playground)
{
    sigset_t ending;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(&ending);
    (void)sigaddset(&ending, SIGTERM);
    (void)sigaddset(&ending, SIGINT);
    if (sigprocmask(SIG_BLOCK, &ending, NULL) != 0) {
        return false;
    }
    playground->signal_fd = signalfd(-1, &ending, SFD_CLOEXEC);
    return playground->signal_fd >= 0;
}

/* Every whole line in the buffer. False: end. */
static bool
run_lines(struct playground *playground)
{
    char *start = playground->line;
    char *end = start + playground->line_len;
    bool go_on = true;

    while (go_on && start < end) {
        char *stop = memchr(start, '\n', (size_t)(end - start));

        if (stop == NULL) {
            break;
        }
        *stop = '\0';
        if (playground->line_skipped) {
            (void)printf("error line too long\n");
            playground->line_skipped = false;
        } else if (strlen(start) != (size_t)(stop - start)) {
            (void)printf("error a zero byte in the line\n");
        } else {
            start[strcspn(start, "\r")] = '\0';
            go_on = playground_command(playground->cluster, start);
        }
        start = stop + 1;
    }
    playground->line_len = (size_t)(end - start);
    memmove(playground->line, start, playground->line_len);
    if (playground->line_len == LINE_BYTES) {
        playground->line_skipped = true;
        playground->line_len = 0;
    }
    return fflush(stdout) == 0 && go_on;
}

/* False: end, also with the standard input. */
static bool
read_commands(struct playground *playground)
{
    ssize_t len = read(STDIN_FILENO, playground->line + playground->line_len,
                       LINE_BYTES - playground->line_len);

    if (len < 0 && (errno == EINTR || errno == EAGAIN)) {
        return true;
    }
    if (len <= 0) {
        return false;
    }
    playground->line_len += (size_t)len;
    return run_lines(playground);
}

static void
wait_for_end(struct playground *playground)
{
    struct pollfd watched[2] = {
        { .fd = playground->signal_fd, .events = POLLIN },
        { .fd = playground->control ? STDIN_FILENO : -1, .events = POLLIN },
    };

    for (;;) {
        if (poll(watched, 2, -1) < 0 && errno != EINTR) {
            return;
        }
        if (watched[0].revents != 0) {
            return;
        }
        if (watched[1].revents != 0 && !read_commands(playground)) {
            return;
        }
    }
}

static int
serve(struct playground *playground)
{
    tikv_error *error;
    size_t i;

    if (!catch_signals(playground)) {
        (void)fprintf(stderr, "tikv-playground: signals: %s\n",
                      strerror(errno));
        return EXIT_CLUSTER;
    }
    error = tikv_cluster_start(&playground->options, &playground->cluster);
    if (error != NULL) {
        return fail("", error);
    }
    for (i = 0; i < playground->faults_count; i++) {
        error = tikv_cluster_fault(playground->cluster, playground->faults[i],
                                   NULL);
        if (error != NULL) {
            return fail(playground->faults[i], error);
        }
    }
    if (printf("ready pd=%s\n", tikv_cluster_endpoints(playground->cluster)) <
            0 ||
        fflush(stdout) != 0) {
        (void)fprintf(stderr, "tikv-playground: standard output: %s\n",
                      strerror(errno));
        return EXIT_CLUSTER;
    }
    wait_for_end(playground);
    return EXIT_OK;
}

int
main(int argc, char **argv)
{
    struct playground *playground = calloc(1, sizeof(*playground));
    int status;
    size_t i;

    if (playground == NULL) {
        return EXIT_CLUSTER;
    }
    playground->signal_fd = -1;
    tikv_cluster_options_init(&playground->options,
                              sizeof(playground->options));
    status = read_options(playground, argc, argv);
    if (status == EXIT_OK && !playground->done) {
        status = serve(playground);
    }
    tikv_cluster_free(playground->cluster);
    for (i = 0; i < playground->faults_count; i++) {
        free(playground->faults[i]);
    }
    if (playground->signal_fd >= 0) {
        (void)close(playground->signal_fd);
    }
    free(playground);
    return status;
}
