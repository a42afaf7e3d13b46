/* SPDX-License-Identifier: Apache-2.0 */
/* tikv-leaders: kills PD's leader under load and tells what its callers saw.
 * What is checked stands in fixture/leaders.h. Exit status 0, 1 when something
 * was wrong, 2 usage, 3 no cluster. */
#include "fixture/leaders.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUN_OK, RUN_WRONG, RUN_USAGE, RUN_CLUSTER, SETTINGS_MAX = 32 };

struct words {
    struct leaders_plan plan;
    const char *settings[SETTINGS_MAX + 2];
    size_t settings_count;
    const char *json;
    bool is_quiet;
};

static void
help(void)
{
    puts("usage: tikv-leaders [OPTION]...\n\n"
         "  --kills N         leaders to be killed (1000)\n"
         "  --threads N       blocking callers, 0 to 60 (4)\n"
         "  --outstanding N   futures of one more caller, 0 to 10000 (64)\n"
         "  --timeout-ms N    of each request (5000)\n"
         "  --slack-ms N      that a busy machine may be late (1000)\n"
         "  --seed N          of the moments of the kills (1)\n"
         "  --set NAME=VALUE  any setting of the client\n"
         "  --json FILE       figures as JSON, - for stdout\n"
         "  --quiet           no progress line\n"
         "  --help\n\n"
         "exit status: 0 ok, 1 something was wrong, 2 usage, 3 no cluster");
}

static int
usage(const char *what, const char *word)
{
    fprintf(stderr, "tikv-leaders: %s%s%s; try --help\n", what,
            word == NULL ? "" : " ", word == NULL ? "" : word);
    return RUN_USAGE;
}

static bool
number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end;

    errno = 0;
    *out = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 &&
           *out >= min && *out <= max;
}

static int
set(struct words *words, char *text)
{
    char *value = strchr(text, '=');

    if (value == NULL || words->settings_count == SETTINGS_MAX) {
        return usage("--set takes NAME=VALUE, not", text);
    }
    *value++ = '\0';
    words->settings[words->settings_count++] = text;
    words->settings[words->settings_count++] = value;
    return RUN_OK;
}

static int
read_option(struct words *words, int option)
{
    struct leaders_plan *plan = &words->plan;
    uint64_t value = 0;
    bool is_good = true;

    switch (option) {
    case 'k':
        is_good = number(optarg, 1, 1000000, &plan->kills);
        break;
    case 't':
        is_good = number(optarg, 0, 60, &plan->threads);
        break;
    case 'o':
        is_good = number(optarg, 0, 10000, &plan->outstanding);
        break;
    case 'd':
        is_good = number(optarg, 1, 3600000, &value);
        plan->timeout_ms = (int64_t)value;
        break;
    case 'l':
        is_good = number(optarg, 0, 3600000, &value);
        plan->slack_ms = (int64_t)value;
        break;
    case 's':
        is_good = number(optarg, 1, UINT32_MAX, &plan->seed);
        break;
    case 'c':
        return set(words, optarg);
    case 'j':
        words->json = optarg;
        break;
    case 'q':
        words->is_quiet = true;
        break;
    case 'h':
        help();
        exit(RUN_OK);
    default:
        return RUN_USAGE;
    }
    return is_good ? RUN_OK : usage("not a number for that:", optarg);
}

static int
parse(struct words *words, int argc, char **argv)
{
    static const struct option options[] = {
        { "kills", required_argument, NULL, 'k' },
        { "threads", required_argument, NULL, 't' },
        { "outstanding", required_argument, NULL, 'o' },
        { "timeout-ms", required_argument, NULL, 'd' },
        { "slack-ms", required_argument, NULL, 'l' },
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
        status = read_option(words, option);
    }
    if (status == RUN_OK && optind != argc) {
        return usage("what is", argv[optind]);
    }
    if (status == RUN_OK &&
        words->plan.threads + words->plan.outstanding == 0) {
        return usage("nobody would call", NULL);
    }
    return status;
}

static void
show(uint64_t kills, uint64_t timestamps)
{
    fprintf(stderr, "\r%8" PRIu64 " kills %12" PRIu64 " timestamps\033[K",
            kills, timestamps);
}

static void
tell(const struct leaders_result *result)
{
    printf("%" PRIu64 " leaders killed in %.1f s, %" PRIu64
           " timestamps\n"
           "timeouts %" PRIu64 ", other errors %" PRIu64
           ", ended late %" PRIu64 ", went back %" PRIu64
           ", given twice %" PRIu64 "\n"
           "longest request %.1f ms; from a kill to the next timestamp %.1f "
           "ms in the middle, %.1f ms at most\n",
           result->kills, (double)result->took_ns / 1e9, result->timestamps,
           result->timeouts, result->errors, result->late, result->backward,
           result->twice, (double)result->longest_ns / 1e6,
           (double)result->gap_median_ns / 1e6,
           (double)result->gap_max_ns / 1e6);
    if (result->complaint[0] != '\0') {
        printf("first complaint: %s\n", result->complaint);
    }
}

static bool
write_json(const char *path, const struct leaders_result *result)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");

    if (file == NULL) {
        fprintf(stderr, "tikv-leaders: %s: %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file,
            "{\"kills\":%" PRIu64 ",\"seconds\":%.3f,\"timestamps\":%" PRIu64
            ",\"timeouts\":%" PRIu64 ",\"errors\":%" PRIu64
            ",\"late\":%" PRIu64 ",\"backward\":%" PRIu64
            ",\"twice\":%" PRIu64 ",\"longest_ms\":%.3f"
            ",\"gap_median_ms\":%.3f,\"gap_max_ms\":%.3f,\"held\":%s}\n",
            result->kills, (double)result->took_ns / 1e9, result->timestamps,
            result->timeouts, result->errors, result->late, result->backward,
            result->twice, (double)result->longest_ns / 1e6,
            (double)result->gap_median_ns / 1e6,
            (double)result->gap_max_ns / 1e6,
            leaders_held(result) ? "true" : "false");
    return file == stdout ? fflush(file) == 0 : fclose(file) == 0;
}

int
main(int argc, char **argv)
{
    struct words words = { .plan = { .kills = 1000,
                                     .threads = 4,
                                     .outstanding = 64,
                                     .timeout_ms = 5000,
                                     .slack_ms = 1000,
                                     .seed = 1 } };
    struct leaders_result result;
    int status = parse(&words, argc, argv);
    bool is_shown;

    if (status != RUN_OK) {
        return status;
    }
    is_shown = !words.is_quiet && isatty(STDERR_FILENO);
    words.plan.settings = words.settings;
    words.plan.progress = is_shown ? show : NULL;
    if (!leaders_run(&words.plan, &result)) {
        fprintf(stderr, "tikv-leaders: %s\n", result.complaint);
        return RUN_CLUSTER;
    }
    if (is_shown) {
        fputs("\r\033[K", stderr);
    }
    if (words.json == NULL) {
        tell(&result);
    } else if (!write_json(words.json, &result)) {
        return RUN_WRONG;
    }
    return leaders_held(&result) ? RUN_OK : RUN_WRONG;
}
