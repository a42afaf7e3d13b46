/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, finding one, and how errors become exit statuses. */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli_run.h"
#include "cli_txn.h"

const struct cli_command cli_commands[] = {
    { "raw get", "KEY", "print the value of a key", cli_get, true },
    { "raw put", "KEY VALUE [--ttl SECONDS]", "store a value", cli_put, true },
    { "raw delete", "KEY...", "delete keys", cli_delete, true },
    { "raw scan", "[START [END]] [--limit N] [--reverse] [--keys-only]",
      "list a range, 100 pairs unless --limit says otherwise", cli_scan,
      true },
    { "raw batch-get", "KEY...", "print several keys", cli_batch_get, true },
    { "raw batch-put", "KEY VALUE [KEY VALUE]... [--ttl SECONDS]",
      "store several values", cli_batch_put, true },
    { "raw cas", "KEY EXPECTED NEW | KEY --absent NEW | KEY EXPECTED --delete",
      "set a value only if the expected one is there", cli_cas, true },
    { "raw ttl", "KEY", "seconds a value has to live", cli_ttl, true },
    { "raw checksum", "[START [END]]", "CRC-64 of a range, by the stores",
      cli_checksum, true },
    { "raw delete-range", "START END | --all", "delete a range",
      cli_delete_range, true },
    { "txn get", "KEY [--at TIMESTAMP]", "print the value of a key",
      cli_txn_get, true },
    { "txn scan",
      "[START [END]] [--limit N] [--reverse] [--keys-only] [--at TIMESTAMP]",
      "list a range at one moment, 100 pairs unless --limit says otherwise",
      cli_txn_scan, true },
    { "txn locks", "[START [END]] [--limit N] [--before TIMESTAMP]",
      "locks: key, transaction, time to live, kind, primary", cli_txn_locks,
      true },
    { "txn resolve", "START END | --all [--before TIMESTAMP]",
      "end the transactions of all locks, also those alive", cli_txn_resolve,
      true },
    { "txn mvcc", "KEY | --start-ts TIMESTAMP",
      "the lock and all versions of a key; or of one that a transaction wrote",
      cli_txn_mvcc, true },
    { "txn put", "KEY VALUE [KEY VALUE]... [--insert]",
      "store values in one transaction; with --insert only absent keys",
      cli_txn_put, true },
    { "txn delete", "KEY...", "delete keys in one transaction",
      cli_txn_delete, true },
    { "txn run", "FILE",
      "a script of get, scan, put, insert, delete, lock, commit, rollback",
      cli_txn_run, true },
    { "txn outcome", "START_TS PRIMARY",
      "what became of a transaction whose commit was undetermined",
      cli_txn_outcome, true },
    { "tso", "[COUNT]", "fresh timestamps", cli_tso, true },
    { "regions", "[START [END]] [--limit N]", "regions and their leaders",
      cli_regions, true },
    { "stores", "", "stores and their addresses", cli_stores, true },
    { "import", "FILE [--format tsv|jsonl]",
      "store the pairs of a file, - for standard input", cli_import, true },
    { "export", "FILE [START [END]] [--format tsv|jsonl]",
      "write pairs to a file, - for standard output", cli_export, true },
    { "cluster", "COMMAND...",
      "control a tikv-playground; \"cluster help\" lists what", cli_cluster,
      false },
    { "help", "", "this list", cli_show_help, false },
};
const size_t cli_commands_count =
    sizeof(cli_commands) / sizeof(cli_commands[0]);

const struct cli_command *
cli_find(int argc, char **argv, int *used)
{
    size_t i;

    for (i = 0; i < cli_commands_count; i++) {
        const char *name = cli_commands[i].name;
        const char *space = strchr(name, ' ');
        size_t first = space == NULL ? strlen(name) : (size_t)(space - name);

        *used = space == NULL ? 1 : 2;
        if (argc >= *used && strlen(argv[0]) == first &&
            strncmp(argv[0], name, first) == 0 &&
            (space == NULL || strcmp(argv[1], space + 1) == 0)) {
            return &cli_commands[i];
        }
    }
    return NULL;
}

int
cli_dispatch(struct cli *cli, int argc, char **argv)
{
    int used, status;
    const struct cli_command *command = cli_find(argc, argv, &used);

    if (command == NULL) {
        return cli_usage(cli, "unknown command \"%s%s%s\"; try \"help\"",
                         argv[0], argc > 1 ? " " : "",
                         argc > 1 ? argv[1] : "");
    }
    if (command->needs_client && (status = cli_open(cli)) != CLI_OK) {
        return status;
    }
    if ((status = cli_time_begin(cli)) != CLI_OK) {
        return status;
    }
    status = command->run(cli, argc - used, argv + used);
    cli_time_end(cli);
    return status;
}

void
cli_help(FILE *out)
{
    size_t i;

    fputs("usage: tikv-cli --pd HOST:PORT[,HOST:PORT...] [OPTION]... "
          "[COMMAND]\n\n"
          "Without a command it starts a prompt.\n\ncommands:\n",
          out);
    for (i = 0; i < cli_commands_count; i++) {
        fprintf(out, "  %s %s\n      %s\n", cli_commands[i].name,
                cli_commands[i].words, cli_commands[i].help);
    }
    fputs("\noptions:\n"
          "  --pd LIST          PD members, or a tikv:// connection string\n"
          "  --json             machine-readable output, a line per item\n"
          "  --hex              keys and values as hexadecimal digits\n"
          "  --cf NAME          column family: default, lock, write\n"
          "  --timeout MS       of each call\n"
          "  --time             where the time went, on standard error\n"
          "  --set NAME=VALUE   any setting of the client; may be repeated\n"
          "  --settings         list the settings\n"
          "  --help, --version\n\n"
          "exit status: 0 ok, 1 not found, 2 usage, 3 cluster error\n",
          out);
}

static void
say(const struct cli *cli, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "%s%s\n", cli->interactive ? "" : "tikv-cli: ", text);
}

int
cli_usage(const struct cli *cli, const char *format, ...)
{
    char text[512];
    va_list values;

    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    say(cli, text);
    return CLI_USAGE;
}

int
cli_failed(const struct cli *cli, tikv_error *error)
{
    tikv_code code = tikv_error_code(error);
    char text[1024];

    if (error == NULL) {
        return CLI_OK;
    }
    snprintf(text, sizeof(text), "%s: %s", tikv_code_name(code),
             tikv_error_message(error));
    say(cli, text);
    tikv_error_free(error);
    return code >= 100 && code < 200 ? CLI_USAGE : CLI_CLUSTER;
}

int
cli_open(struct cli *cli)
{
    if (cli->client != NULL) {
        return CLI_OK;
    }
    if (*tikv_config_get(cli->config, "pd.endpoints") == '\0') {
        return cli_usage(cli, "which cluster? say --pd HOST:PORT");
    }
    return cli_failed(cli, tikv_client_open(cli->config, &cli->client));
}

void
cli_raw_options(const struct cli *cli, tikv_raw_options *options)
{
    tikv_raw_options_init(options, sizeof(*options));
    options->call.timeout_ms = cli->timeout_ms;
    options->call.request_source = "tikv-cli";
    options->column_family = cli->family;
    options->details = cli->details;
}

void
cli_scan_options(const struct cli *cli, tikv_scan_options *options)
{
    tikv_scan_options_init(options, sizeof(*options));
    options->call.timeout_ms = cli->timeout_ms;
    options->call.request_source = "tikv-cli";
    options->column_family = cli->family;
    options->details = cli->details;
}

int
cli_show_help(struct cli *cli, int argc, char **argv)
{
    (void)cli;
    (void)argc;
    (void)argv;
    cli_help(stdout);
    return CLI_OK;
}
