/* SPDX-License-Identifier: Apache-2.0 */
/* perf-txn: arguments and the order of a run. Exit status 0, 1 when money or
 * a bound was lost, 2 usage, 3 no cluster. */
#include "perf_txn.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void
help(void)
{
    puts("usage: perf-txn [transfers | memory] [OPTION]...\n\n"
         "  transfers   bank transfers by each strategy, by futures of one\n"
         "              thread and by blocking threads (default: both)\n"
         "  memory      peak of the client's memory over one huge commit; it\n"
         "              has to stay below 24 MiB and twice what is written\n\n"
         "  --duration S      measured seconds of a row (2)\n"
         "  --threads N       of the blocking rows (8)\n"
         "  --outstanding N   transfers in flight of the other rows (64)\n"
         "  --accounts N      fewer conflict more (10000)\n"
         "  --regions N       above 1, one-phase commit is the exception (1)\n"
         "  --keys N          of the huge commit (1000000)\n"
         "  --value-bytes N   of it (100)\n"
         "  --only TEXT       rows whose name has it\n"
         "  --json FILE       a JSON line for each row, - for stdout\n"
         "  --quiet           no progress on stderr\n"
         "  --help\n\n"
         "exit status: 0 ok, 1 money was lost or the bound missed, 2 usage,\n"
         "3 no cluster");
}

static bool
usage(const char *what, const char *word)
{
    fprintf(stderr, "perf-txn: %s %s; try --help\n", what, word);
    return false;
}

bool
perf_txn_ok(tikv_error *error)
{
    if (error != NULL) {
        fprintf(stderr, "perf-txn: %s: %s\n",
                tikv_code_name(tikv_error_code(error)),
                tikv_error_message(error));
        tikv_error_free(error);
        return false;
    }
    return true;
}

tikv_client *
perf_txn_client(const struct perf_txn *perf, const char *const *settings)
{
    tikv_config *config = NULL;
    tikv_client *client = NULL;
    bool is_good =
        perf_txn_ok(tikv_config_new(&config)) &&
        perf_txn_ok(tikv_config_parse(config, perf->playground.endpoints));

    for (; is_good && *settings != NULL; settings += 2) {
        is_good =
            perf_txn_ok(tikv_config_set(config, settings[0], settings[1]));
    }
    if (is_good) {
        (void)perf_txn_ok(tikv_client_open(config, &client));
    }
    tikv_config_free(config);
    return client;
}

tikv_slice
perf_txn_key(char *room, size_t size, const char *prefix, uint64_t number)
{
    int len = snprintf(room, size, "%s%012" PRIu64, prefix, number);

    return (tikv_slice){ (const uint8_t *)room, (size_t)len };
}

static bool
take(struct perf_txn *perf, const char *name, const char *value)
{
    const struct {
        const char *name;
        uint64_t max;
        uint64_t *place;
    } numbers[] = {
        { "--duration", 86400, &perf->duration_s },
        { "--threads", 1024, &perf->threads },
        { "--outstanding", 65536, &perf->outstanding },
        { "--accounts", 10000000, &perf->accounts },
        { "--regions", 10000, &perf->regions },
        { "--keys", 100000000, &perf->keys },
        { "--value-bytes", 1000000, &perf->value_bytes },
    };
    size_t i;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char *end;

        if (strcmp(name, numbers[i].name) != 0) {
            continue;
        }
        errno = 0;
        *numbers[i].place = strtoull(value, &end, 10);
        if (*value < '0' || *value > '9' || *end != '\0' || errno != 0 ||
            *numbers[i].place == 0 || *numbers[i].place > numbers[i].max) {
            return usage("not a number for it:", name);
        }
        return true;
    }
    if (strcmp(name, "--only") == 0) {
        perf->only = value;
        return true;
    }
    if (strcmp(name, "--json") == 0) {
        perf->json = strcmp(value, "-") == 0 ? stdout : fopen(value, "w");
        return perf->json != NULL || usage("cannot write", value);
    }
    return usage("unknown option", name);
}

/* .../perf/perf-txn -> .../tikv-playground */
static bool
spawn(struct perf_txn *perf, const char *program)
{
    const char *slash = strrchr(program, '/');
    char path[4096], regions[24];
    const char *arguments[] = { "--port", "0", "--regions", regions, NULL };

    snprintf(path, sizeof(path), "%.*s/../tikv-playground",
             slash == NULL ? 1 : (int)(slash - program),
             slash == NULL ? "." : program);
    snprintf(regions, sizeof(regions), "%" PRIu64, perf->regions);
    return playground_start(&perf->playground, path, arguments);
}

static bool
parse(struct perf_txn *perf, int argc, char **argv, int first)
{
    int i;

    for (i = first; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0) {
            perf->is_quiet = true;
        } else if (i + 1 == argc) {
            return usage("unknown, or wants a value:", argv[i]);
        } else if (!take(perf, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return true;
}

int
main(int argc, char **argv)
{
    static struct perf_txn perf = { .duration_s = 2,
                                    .threads = 8,
                                    .outstanding = 64,
                                    .accounts = 10000,
                                    .regions = 1,
                                    .keys = 1000000,
                                    .value_bytes = 100 };
    bool has_word = argc > 1 && strncmp(argv[1], "--", 2) != 0;
    const char *word = has_word ? argv[1] : "";
    bool is_good = true;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        help();
        return 0;
    }
    if ((has_word && strcmp(word, "transfers") != 0 &&
         strcmp(word, "memory") != 0 && !usage("unknown word", word)) ||
        !parse(&perf, argc, argv, has_word ? 2 : 1)) {
        return 2;
    }
    if (!spawn(&perf, argv[0])) {
        return 3;
    }
    if (strcmp(word, "memory") != 0) {
        is_good = perf_txn_transfers(&perf);
    }
    if (strcmp(word, "transfers") != 0) {
        is_good = perf_txn_memory(&perf) && is_good;
    }
    playground_stop(&perf.playground);
    if (perf.json != NULL && perf.json != stdout && fclose(perf.json) != 0) {
        is_good = false;
    }
    return is_good ? 0 : 1;
}
