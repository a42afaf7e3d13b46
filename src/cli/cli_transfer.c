/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import and export: files of pairs in and out, in batches and pages. A bad
 * line stops an import after everything before it was stored, and says so.
 */
#include "cli_pairs.h"
#include "cli_progress.h"
#include "cli_run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BATCH_PAIRS = 1024, BATCH_BYTES = 1 << 20 };

struct import {
    struct cli *cli;
    const char *path;
    FILE *file;
    bool is_json;
    tikv_pair pairs[BATCH_PAIRS];
    uint64_t ttls_s[BATCH_PAIRS];
    size_t count;
    size_t bytes;
    uint64_t stored;
    uint64_t read_bytes;
    uint64_t line;
    struct cli_progress progress;
};

static void
forget(struct import *import)
{
    while (import->count > 0) {
        import->count--;
        cli_bytes_free(&import->pairs[import->count].key);
        cli_bytes_free(&import->pairs[import->count].value);
    }
    import->bytes = 0;
}

static int
store(struct import *import)
{
    tikv_raw_options options;
    bool any_ttl = false;
    size_t i;
    int status;

    cli_raw_options(import->cli, &options);
    for (i = 0; i < import->count; i++) {
        any_ttl = any_ttl || import->ttls_s[i] != 0;
    }
    if (any_ttl) {
        options.ttls_s = import->ttls_s;
        options.ttls_count = import->count;
    }
    status = import->count == 0
                 ? CLI_OK
                 : cli_failed(import->cli,
                              tikv_raw_batch_put(import->cli->client,
                                                 import->pairs,
                                                 import->count, &options));
    if (status == CLI_OK) {
        import->stored += import->count;
    }
    forget(import);
    cli_progress_show(&import->progress, import->stored, import->read_bytes);
    return status;
}

static int
take_line(struct import *import, char *line, size_t len)
{
    struct cli_pair pair;
    const char *why;
    size_t at = import->count;

    if (len > 0 && line[len - 1] == '\n') {
        line[--len] = '\0';
    }
    if (len == 0) {
        return CLI_OK; /* an empty line says nothing */
    }
    if (!cli_pairs_read(import->cli, import->is_json, line, len, &pair,
                        &why)) {
        int status = store(import);

        cli_progress_end(&import->progress);
        return status != CLI_OK
                   ? status
                   : cli_usage(import->cli,
                               "%s:%" PRIu64 ": %s; the %" PRIu64
                               " pairs before it are stored",
                               import->path, import->line, why,
                               import->stored);
    }
    import->pairs[at] = (tikv_pair){ pair.key, pair.value };
    import->ttls_s[at] = pair.ttl_s;
    import->bytes += pair.key.len + pair.value.len;
    import->count++;
    return import->count == BATCH_PAIRS || import->bytes >= BATCH_BYTES
               ? store(import)
               : CLI_OK;
}

static int
import_lines(struct import *import)
{
    int status = CLI_OK;
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    while (status == CLI_OK &&
           (len = getline(&line, &room, import->file)) >= 0) {
        import->line++;
        import->read_bytes += (uint64_t)len;
        status = take_line(import, line, (size_t)len);
    }
    free(line);
    if (status == CLI_OK && ferror(import->file)) {
        status = cli_usage(import->cli, "%s: %s", import->path,
                           strerror(errno));
    }
    return status == CLI_OK ? store(import) : status;
}

static FILE *
open_file(struct cli *cli, const char *path, bool to_write)
{
    FILE *file;

    if (strcmp(path, "-") == 0) {
        return to_write ? stdout : stdin;
    }
    file = fopen(path, to_write ? "wb" : "rb");
    if (file == NULL) {
        cli_usage(cli, "%s: %s", path, strerror(errno));
    }
    return file;
}

static uint64_t
file_bytes(FILE *file)
{
    struct stat facts;

    return fstat(fileno(file), &facts) == 0 && S_ISREG(facts.st_mode)
               ? (uint64_t)facts.st_size
               : 0;
}

static void
report(const struct cli *cli, const struct cli_progress *progress,
       uint64_t pairs)
{
    double seconds =
        (double)(tikv_now_ns() - progress->started_ns) / 1000000000;

    if (cli->json) {
        fprintf(stderr, "{\"pairs\":%" PRIu64 ",\"seconds\":%.3f}\n", pairs,
                seconds);
    } else {
        fprintf(stderr, "%" PRIu64 " pairs %s in %.2f s\n", pairs,
                progress->what, seconds);
    }
}

int
cli_import(struct cli *cli, int argc, char **argv)
{
    const char *format = NULL;
    const struct cli_option known[] = { { "--format", &format, NULL } };
    struct import *import;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1)) {
        return CLI_USAGE;
    }
    if (argc != 1) {
        return cli_usage(cli, "wants: import FILE [--format tsv|jsonl]");
    }
    import = calloc(1, sizeof(*import));
    if (import == NULL) {
        return cli_usage(cli, "out of memory");
    }
    import->cli = cli;
    import->path = argv[0];
    status = CLI_USAGE;
    if (cli_pairs_format(cli, format, argv[0], &import->is_json) &&
        (import->file = open_file(cli, argv[0], false)) != NULL) {
        cli_progress_init(&import->progress, "imported",
                          file_bytes(import->file));
        status = import_lines(import);
        cli_progress_end(&import->progress);
        if (import->file != stdin) {
            fclose(import->file);
        }
        if (status == CLI_OK) {
            report(cli, &import->progress, import->stored);
        }
    }
    forget(import);
    free(import);
    return status;
}

/* How many pairs the progress line is to expect; asked only when somebody
 * sees it. */
static uint64_t
expected_pairs(struct cli *cli, tikv_range range)
{
    tikv_raw_options options;
    uint64_t pairs = 0;
    tikv_error *error;

    cli_raw_options(cli, &options);
    options.column_family = NULL;
    error = tikv_raw_checksum(cli->client, &range, 1, &options, NULL, &pairs,
                              NULL);
    tikv_error_free(error); /* then the line goes without its bar */
    return pairs;
}

static int
export_range(struct cli *cli, tikv_range range, bool is_json, FILE *file,
             struct cli_progress *progress, uint64_t *pairs)
{
    tikv_pairs *page = NULL, *before = NULL;
    tikv_scan_options options;
    int status = CLI_OK;
    bool more = true;

    cli_scan_options(cli, &options);
    options.page_count = BATCH_PAIRS;
    while (more && status == CLI_OK) {
        size_t i;

        status = cli_failed(
            cli, tikv_raw_scan(cli->client, range, &options, &page));
        for (i = 0; i < tikv_pairs_count(page); i++) {
            cli_pairs_write(cli, is_json, file, &tikv_pairs_data(page)[i]);
        }
        *pairs += tikv_pairs_count(page);
        cli_progress_show(progress, *pairs, *pairs);
        more = tikv_pairs_next(page, &range);
        tikv_pairs_free(before);
        before = page;
        page = NULL;
    }
    tikv_pairs_free(before);
    return status;
}

int
cli_export(struct cli *cli, int argc, char **argv)
{
    const char *format = NULL;
    const struct cli_option known[] = { { "--format", &format, NULL } };
    struct cli_progress progress;
    uint64_t pairs = 0;
    tikv_range range;
    bool is_json;
    FILE *file;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1)) {
        return CLI_USAGE;
    }
    if (argc < 1 || argc > 3) {
        return cli_usage(cli, "wants: export FILE [START [END]]");
    }
    if (!cli_pairs_format(cli, format, argv[0], &is_json) ||
        !cli_range(cli, argc - 1, argv + 1, &range)) {
        return CLI_USAGE;
    }
    if ((file = open_file(cli, argv[0], true)) == NULL) {
        cli_range_free(&range);
        return CLI_USAGE;
    }
    cli_progress_init(&progress, "exported", 0);
    progress.total = progress.is_terminal ? expected_pairs(cli, range) : 0;
    status = export_range(cli, range, is_json, file, &progress, &pairs);
    cli_progress_end(&progress);
    if ((file == stdout ? fflush(file) : fclose(file)) != 0 &&
        status == CLI_OK) {
        status = cli_usage(cli, "%s: %s", argv[0], strerror(errno));
    }
    if (status == CLI_OK) {
        report(cli, &progress, pairs);
    }
    cli_range_free(&range);
    return status;
}
