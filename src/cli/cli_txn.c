/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transactional commands that write: single statements, each in a
 * transaction of its own that is tried again after conflicts, and scripts,
 * whose statements share one.
 */
#include "cli_txn.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- put, insert, delete ---- */

/* What a body writes; it may run several times. */
struct writes {
    tikv_slice *words;
    int count;
    enum { PUT, INSERT, DELETE } kind;
};

static tikv_error *
write_all(tikv_txn *txn, void *arg)
{
    const struct writes *writes = arg;
    tikv_error *error = NULL;
    int i;

    for (i = 0; error == NULL && i < writes->count; i++) {
        const tikv_slice *word = &writes->words[i];

        if (writes->kind == DELETE) {
            error = tikv_txn_delete(txn, word[0]);
        } else {
            error = writes->kind == PUT
                        ? tikv_txn_put(txn, word[0], word[1])
                        : tikv_txn_insert(txn, word[0], word[1]);
            i++;
        }
    }
    return error;
}

static void
txn_options(const struct cli *cli, tikv_txn_options *options)
{
    tikv_txn_options_init(options, sizeof(*options));
    options->call.timeout_ms = cli->timeout_ms;
    options->call.request_source = "tikv-cli";
    options->details = cli->details;
}

static void
put_commit_ts(const struct cli *cli, uint64_t commit_ts)
{
    if (cli->json) {
        printf("{\"commit_ts\":%" PRIu64 "}\n", commit_ts);
    } else if (commit_ts != 0) {
        printf("committed at %" PRIu64 "\n", commit_ts);
    } else {
        puts("nothing was written");
    }
}

static int
run_writes(struct cli *cli, int argc, char **argv, struct writes *writes)
{
    tikv_txn_options options;
    uint64_t commit_ts = 0;
    int status = CLI_USAGE;

    writes->count = argc;
    writes->words = cli_read_words(cli, argc, argv);
    if (writes->words == NULL) {
        return CLI_USAGE;
    }
    txn_options(cli, &options);
    status = cli_failed(cli, tikv_txn_run(cli->client, &options, write_all,
                                          writes, &commit_ts));
    if (status == CLI_OK) {
        put_commit_ts(cli, commit_ts);
    }
    cli_free_words(writes->words, argc);
    return status;
}

int
cli_txn_put(struct cli *cli, int argc, char **argv)
{
    struct writes writes = { .kind = PUT };
    bool is_insert = false;
    const struct cli_option options[] = { { "--insert", NULL, &is_insert } };

    if (!cli_options(cli, &argc, argv, options, 1)) {
        return CLI_USAGE;
    }
    if (argc == 0 || argc % 2 != 0) {
        return cli_usage(cli, "wants: txn put KEY VALUE [KEY VALUE]... "
                              "[--insert]");
    }
    writes.kind = is_insert ? INSERT : PUT;
    return run_writes(cli, argc, argv, &writes);
}

int
cli_txn_delete(struct cli *cli, int argc, char **argv)
{
    struct writes writes = { .kind = DELETE };

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc == 0) {
        return cli_usage(cli, "wants: txn delete KEY...");
    }
    return run_writes(cli, argc, argv, &writes);
}

/* ---- scripts ---- */

enum { WORDS_MAX = 64 };

struct script {
    struct cli *cli;
    tikv_txn *txn;
    bool is_over; /* committed or rolled back */
};

typedef tikv_error *
statement_fn(struct script *script, const tikv_slice *words);

static tikv_error *
do_get(struct script *script, const tikv_slice *words)
{
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_value *value;
    tikv_error *error;

    options.details = script->cli->details;
    error = tikv_txn_get(script->txn, words[0], &options, &value);

    if (error == NULL) {
        const tikv_pair pair = { words[0], tikv_value_slice(value) };

        cli_put_pair(script->cli, stdout, &pair);
    }
    tikv_value_free(value);
    return error;
}

static tikv_error *
do_scan(struct script *script, const tikv_slice *words)
{
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_range range = { words[0], words[1] };
    tikv_pairs *page = NULL;
    tikv_error *error = NULL;
    bool goes_on = true;

    options.details = script->cli->details;
    while (error == NULL && goes_on) {
        tikv_pairs *next = NULL;
        size_t i;

        error = tikv_txn_scan(script->txn, range, &options, &next);
        tikv_pairs_free(page);
        page = next;
        for (i = 0; i < tikv_pairs_count(page); i++) {
            cli_put_pair(script->cli, stdout, &tikv_pairs_data(page)[i]);
        }
        goes_on = tikv_pairs_next(page, &range);
    }
    tikv_pairs_free(page);
    return error;
}

static tikv_error *
do_put(struct script *script, const tikv_slice *words)
{
    return tikv_txn_put(script->txn, words[0], words[1]);
}

static tikv_error *
do_insert(struct script *script, const tikv_slice *words)
{
    return tikv_txn_insert(script->txn, words[0], words[1]);
}

static tikv_error *
do_delete(struct script *script, const tikv_slice *words)
{
    return tikv_txn_delete(script->txn, words[0]);
}

static tikv_error *
do_lock(struct script *script, const tikv_slice *words)
{
    return tikv_txn_lock(script->txn, words, 1, NULL);
}

static tikv_error *
do_commit(struct script *script, const tikv_slice *words)
{
    tikv_call_options options = TIKV_CALL_OPTIONS_INIT;
    uint64_t commit_ts = 0;
    tikv_error *error;

    (void)words;
    options.details = script->cli->details;
    error = tikv_txn_commit(script->txn, &options.call, &commit_ts);
    script->is_over = true;
    if (error == NULL) {
        put_commit_ts(script->cli, commit_ts);
    }
    return error;
}

static tikv_error *
do_rollback(struct script *script, const tikv_slice *words)
{
    (void)words;
    script->is_over = true;
    return tikv_txn_rollback(script->txn, NULL);
}

static const struct statement {
    const char *name;
    int words_min;
    int words_max;
    statement_fn *run;
} statements[] = {
    { "get", 1, 1, do_get },       { "scan", 0, 2, do_scan },
    { "put", 2, 2, do_put },       { "insert", 2, 2, do_insert },
    { "delete", 1, 1, do_delete }, { "lock", 1, 1, do_lock },
    { "commit", 0, 0, do_commit }, { "rollback", 0, 0, do_rollback },
};

static const struct statement *
find_statement(const char *name)
{
    size_t i;

    for (i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
        if (strcmp(statements[i].name, name) == 0) {
            return &statements[i];
        }
    }
    return NULL;
}

static int
run_statement(struct script *script, int argc, char **argv)
{
    const struct statement *statement = find_statement(argv[0]);
    tikv_slice words[2] = { { NULL, 0 }, { NULL, 0 } };
    int status = CLI_OK;
    int i;

    if (statement == NULL) {
        return cli_usage(script->cli, "no statement \"%s\"", argv[0]);
    }
    if (argc - 1 < statement->words_min || argc - 1 > statement->words_max) {
        return cli_usage(script->cli, "%s takes %d to %d words",
                         statement->name, statement->words_min,
                         statement->words_max);
    }
    for (i = 1; status == CLI_OK && i < argc; i++) {
        status =
            cli_bytes(script->cli, argv[i], &words[i - 1]) ? CLI_OK : CLI_USAGE;
    }
    if (status == CLI_OK) {
        status = cli_failed(script->cli, statement->run(script, words));
    }
    cli_bytes_free(&words[0]);
    cli_bytes_free(&words[1]);
    return status;
}

/* Until the end of the script or its first failure. */
static int
run_lines(struct script *script, FILE *in)
{
    char *words[WORDS_MAX + 1];
    char *line = NULL;
    size_t room = 0;
    int status = CLI_OK;

    while (status == CLI_OK && !script->is_over &&
           getline(&line, &room, in) >= 0) {
        int count = line[0] == '#' ? 0 : cli_split(line, words, WORDS_MAX);

        if (count < 0) {
            status = cli_usage(script->cli, "a quote is not closed");
        } else if (count > 0) {
            status = run_statement(script, count, words);
        }
    }
    free(line);
    return status;
}

int
cli_txn_run(struct cli *cli, int argc, char **argv)
{
    struct script script = { .cli = cli };
    tikv_txn_options options;
    FILE *in = stdin;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc != 1) {
        return cli_usage(cli, "wants: txn run FILE");
    }
    if (strcmp(argv[0], "-") != 0 && (in = fopen(argv[0], "r")) == NULL) {
        return cli_usage(cli, "cannot read %s", argv[0]);
    }
    txn_options(cli, &options);
    status =
        cli_failed(cli, tikv_txn_begin(cli->client, &options, &script.txn));
    if (status == CLI_OK) {
        status = run_lines(&script, in);
    }
    if (status == CLI_OK && !script.is_over) {
        status = cli_failed(cli, do_commit(&script, NULL));
    }
    tikv_txn_free(script.txn);
    if (in != stdin) {
        fclose(in);
    }
    return status;
}

/* ---- outcome ---- */

int
cli_txn_outcome(struct cli *cli, int argc, char **argv)
{
    static const char *const names[] = { "unknown", "committed",
                                         "rolled back" };
    tikv_call_options options = TIKV_CALL_OPTIONS_INIT;
    tikv_outcome outcome = TIKV_OUTCOME_UNKNOWN;
    uint64_t commit_ts = 0;
    tikv_slice primary;
    uint64_t start_ts;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc != 2) {
        return cli_usage(cli, "wants: txn outcome START_TS PRIMARY");
    }
    if (!cli_number(cli, "START_TS", argv[0], 1, UINT64_MAX - 1, &start_ts) ||
        !cli_bytes(cli, argv[1], &primary)) {
        return CLI_USAGE;
    }
    options.call.timeout_ms = cli->timeout_ms;
    options.call.request_source = "tikv-cli";
    options.details = cli->details;
    status = cli_failed(cli, tikv_txn_outcome(cli->client, start_ts, primary,
                                              &options.call, &outcome,
                                              &commit_ts));
    if (status == CLI_OK && cli->json) {
        printf("{\"outcome\":\"%s\",\"commit_ts\":%" PRIu64 "}\n",
               names[outcome], commit_ts);
    } else if (status == CLI_OK && outcome == TIKV_OUTCOME_COMMITTED) {
        printf("committed at %" PRIu64 "\n", commit_ts);
    } else if (status == CLI_OK) {
        puts(names[outcome]);
    }
    cli_bytes_free(&primary);
    return status;
}
