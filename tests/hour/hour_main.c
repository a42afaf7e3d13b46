/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a run. Exit status 0, 1 when something was wrong, 2 usage,
 * 3 no cluster. */
#include "hour.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUN_OK, RUN_WRONG, RUN_USAGE, RUN_CLUSTER };

enum { DURATION_MAX = 7 * 86400 };

struct words {
    const char *json;
    tikv_config *config;
};

static void
help(void)
{
    puts("usage: tikv-hour [OPTION]...\n\n"
         "  --duration S      seconds of load (3600)\n"
         "  --seed N          of what the load does (1)\n"
         "  --set NAME=VALUE  any setting of the client\n"
         "  --json FILE       figures as JSON, - for stdout\n"
         "  --quiet           no progress line\n"
         "  --help\n\n"
         "exit status: 0 ok, 1 something was wrong, 2 usage, 3 no cluster");
}

static int
usage(const char *what, const char *word)
{
    fprintf(stderr, "tikv-hour: %s%s%s; try --help\n", what,
            word == NULL ? "" : " ", word == NULL ? "" : word);
    return RUN_USAGE;
}

static bool
number(const char *text, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           *out >= 1 && *out <= max;
}

static int
set(struct words *words, char *text)
{
    char *value = strchr(text, '=');
    tikv_error *error;
    int status = RUN_OK;

    if (value == NULL) {
        return usage("--set takes NAME=VALUE, not", text);
    }
    *value++ = '\0';
    error = tikv_config_set(words->config, text, value);
    if (error != NULL) {
        status = usage(tikv_error_message(error), NULL);
        tikv_error_free(error);
    }
    return status;
}

static int
parse(struct hour *hour, struct words *words, int argc, char **argv)
{
    static const struct option options[] = {
        { "duration", required_argument, NULL, 'd' },
        { "seed", required_argument, NULL, 's' },
        { "set", required_argument, NULL, 'c' },
        { "json", required_argument, NULL, 'j' },
        { "quiet", no_argument, NULL, 'q' },
        { "help", no_argument, NULL, 'h' },
        { NULL, 0, NULL, 0 }
    };
    int status = RUN_OK;
    int option;

    while (status == RUN_OK &&
           (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            if (!number(optarg, DURATION_MAX, &hour->duration_s)) {
                status = usage("not a duration:", optarg);
            }
            break;
        case 's':
            if (!number(optarg, UINT32_MAX, &hour->seed)) {
                status = usage("not a seed:", optarg);
            }
            break;
        case 'c':
            status = set(words, optarg);
            break;
        case 'j':
            words->json = optarg;
            break;
        case 'q':
            hour->is_quiet = true;
            break;
        case 'h':
            help();
            exit(RUN_OK);
        default:
            status = RUN_USAGE;
            break;
        }
    }
    return status == RUN_OK && optind != argc ? usage("what is", argv[optind])
                                              : status;
}

/* .../build/release/tikv-hour -> .../build/release/tikv-playground */
static bool
spawn(struct hour *hour, const char *program)
{
    static const char *const arguments[] = { "--port",    "0",     "--stores",
                                             "3",         "--pds", "3",
                                             "--regions", "24",    NULL };
    const char *slash = strrchr(program, '/');
    char path[4096];

    snprintf(path, sizeof(path), "%.*s/tikv-playground",
             slash == NULL ? 1 : (int)(slash - program),
             slash == NULL ? "." : program);
    return playground_start(&hour->playground, path, arguments);
}

static bool
open_client(struct hour *hour, tikv_config *config)
{
    tikv_error *error = tikv_config_parse(config, hour->playground.endpoints);

    if (error == NULL) {
        error = tikv_client_open(config, &hour->client);
    }
    if (error != NULL) {
        fprintf(stderr, "tikv-hour: %s\n", tikv_error_message(error));
        tikv_error_free(error);
        return false;
    }
    return true;
}

static void
watch(struct hour *hour)
{
    int64_t begun = tikv_now_ns();
    uint64_t second;

    for (second = 1; second <= hour->duration_s; second++) {
        int64_t due = begun + (int64_t)second * 1000 * HOUR_MS;
        int64_t left = (due - tikv_now_ns()) / HOUR_MS;

        hour_rest(left > 0 ? left : 0);
        hour_sample(&hour->samples[hour->samples_count++]);
        hour_watch(hour);
        hour_progress(hour, second);
    }
    if (!hour->is_quiet && hour->is_terminal) {
        fputs("\r\033[K", stderr);
    }
}

/* In peace again: what was said of the keys must be so. */
static void
check(struct hour *hour)
{
    size_t i;

    for (i = 0; i < HOUR_SLOTS; i++) {
        struct hour_slot *slot = &hour->slots[i];

        if (slot->begun != slot->ended) {
            hour_complain(hour, "%s: %llu operations begun, %llu ended",
                          slot->key + 1, (unsigned long long)slot->begun,
                          (unsigned long long)slot->ended);
        }
        hour_slot_check(slot);
    }
    hour_bank_check(hour);
}

static int
run(struct hour *hour, const struct words *words)
{
    bool has_ended;
    bool is_right;
    size_t i;

    hour_sample(&hour->before);
    if (!open_client(hour, words->config)) {
        return RUN_CLUSTER;
    }
    for (i = 0; i < HOUR_SLOTS; i++) {
        hour_slot_init(&hour->slots[i], hour, i);
    }
    hour_bank_open(hour);
    hour_load_start(hour);
    hour_unrest_start(hour);
    watch(hour);
    has_ended = hour_load_stop(hour);
    hour_unrest_stop(hour);
    if (has_ended) {
        check(hour);
        hour_close_under_load(hour);
        hour_sample_after(&hour->before, &hour->after);
    }
    hour_judge_growth(hour);
    is_right = hour_report(hour, words->json);
    if (!has_ended) {
        /* Threads that still wait can neither be joined nor left behind. */
        fflush(stdout);
        _exit(RUN_WRONG);
    }
    return is_right ? RUN_OK : RUN_WRONG;
}

int
main(int argc, char **argv)
{
    static struct hour hour = { .duration_s = 3600, .seed = 1 };
    struct words words = { 0 };
    int status;

    hour.is_terminal = isatty(STDERR_FILENO) != 0;
    pthread_mutex_init(&hour.lock, NULL);
    pthread_cond_init(&hour.landed, NULL);
    tikv_error_free(tikv_config_new(&words.config));
    status = parse(&hour, &words, argc, argv);
    if (status == RUN_OK) {
        hour.samples = calloc(hour.duration_s, sizeof(*hour.samples));
        status = hour.samples != NULL && spawn(&hour, argv[0])
                     ? run(&hour, &words)
                     : RUN_CLUSTER;
        if (hour.playground.pid > 0) {
            playground_stop(&hour.playground);
        }
    }
    tikv_config_free(words.config);
    free(hour.samples);
    return status;
}
