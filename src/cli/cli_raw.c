/* SPDX-License-Identifier: Apache-2.0 */
/* The raw commands of tikv-cli. */
#include "cli_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int
wants(const struct cli *cli, const char *words)
{
    return cli_usage(cli, "wants: %s", words);
}

void
cli_put_pair(const struct cli *cli, FILE *out, const tikv_pair *pair)
{
    if (cli->json) {
        fputc('{', out);
        cli_put_json(cli, out, "key", pair->key);
        if (pair->value.data != NULL) {
            fputc(',', out);
            cli_put_json(cli, out, "value", pair->value);
        }
        fputs("}\n", out);
        return;
    }
    cli_put_bytes(cli, out, pair->key);
    if (pair->value.data != NULL) {
        fputc('\t', out);
        cli_put_bytes(cli, out, pair->value);
    }
    fputc('\n', out);
}

bool
cli_range(struct cli *cli, int argc, char **argv, tikv_range *out)
{
    if (argc > 2) {
        cli_usage(cli, "a range has a START and an END, no more");
        return false;
    }
    if (!cli_bytes(cli, argc > 0 ? argv[0] : NULL, &out->start)) {
        return false;
    }
    if (!cli_bytes(cli, argc > 1 ? argv[1] : NULL, &out->end)) {
        cli_bytes_free(&out->start);
        return false;
    }
    return true;
}

void
cli_range_free(tikv_range *range)
{
    cli_bytes_free(&range->start);
    cli_bytes_free(&range->end);
}

int
cli_get(struct cli *cli, int argc, char **argv)
{
    tikv_raw_options options;
    tikv_value *value = NULL;
    tikv_slice key;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc != 1) {
        return wants(cli, "raw get KEY");
    }
    if (!cli_bytes(cli, argv[0], &key)) {
        return CLI_USAGE;
    }
    cli_raw_options(cli, &options);
    status = cli_failed(cli,
                        tikv_raw_get(cli->client, key, &options, &value));
    if (status == CLI_OK && value == NULL) {
        cli_usage(cli, "not found");
        status = CLI_NOT_FOUND;
    } else if (status == CLI_OK && cli->json) {
        tikv_pair pair = { key, tikv_value_slice(value) };
        cli_put_pair(cli, stdout, &pair);
    } else if (status == CLI_OK) {
        cli_put_bytes(cli, stdout, tikv_value_slice(value));
        fputc('\n', stdout);
    }
    tikv_value_free(value);
    cli_bytes_free(&key);
    return status;
}

static bool
read_ttl(const struct cli *cli, const char *text, uint64_t *out)
{
    *out = 0;
    return text == NULL ||
           cli_number(cli, "--ttl", text, 1, UINT64_MAX / 2, out);
}

int
cli_put(struct cli *cli, int argc, char **argv)
{
    const char *ttl = NULL;
    const struct cli_option known[] = { { "--ttl", &ttl, NULL } };
    tikv_raw_options options;
    tikv_slice *words;
    int status;

    cli_raw_options(cli, &options);
    if (!cli_options(cli, &argc, argv, known, 1) ||
        !read_ttl(cli, ttl, &options.ttl_s)) {
        return CLI_USAGE;
    }
    if (argc != 2) {
        return wants(cli, "raw put KEY VALUE [--ttl SECONDS]");
    }
    if ((words = cli_read_words(cli, argc, argv)) == NULL) {
        return CLI_USAGE;
    }
    status = cli_failed(
        cli, tikv_raw_put(cli->client, words[0], words[1], &options));
    cli_free_words(words, argc);
    return status;
}

int
cli_delete(struct cli *cli, int argc, char **argv)
{
    tikv_raw_options options;
    tikv_slice *words;
    int status;

    cli_raw_options(cli, &options);
    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc < 1) {
        return wants(cli, "raw delete KEY...");
    }
    if ((words = cli_read_words(cli, argc, argv)) == NULL) {
        return CLI_USAGE;
    }
    status = cli_failed(
        cli, argc == 1 ? tikv_raw_delete(cli->client, words[0], &options)
                       : tikv_raw_batch_delete(cli->client, words,
                                               (size_t)argc, &options));
    cli_free_words(words, argc);
    return status;
}

/* Prints up to `limit` pairs of a range, page by page. */
static int
print_range(struct cli *cli, tikv_range range, tikv_scan_options *options,
            uint64_t limit)
{
    tikv_pairs *page = NULL, *before = NULL;
    int status = CLI_OK;
    bool more = limit > 0;

    while (more && status == CLI_OK) {
        size_t i;

        options->page_count = limit < 1024 ? (uint32_t)limit : 1024;
        status = cli_failed(
            cli, tikv_raw_scan(cli->client, range, options, &page));
        for (i = 0; i < tikv_pairs_count(page); i++) {
            tikv_pair pair = tikv_pairs_data(page)[i];

            if ((options->flags & TIKV_SCAN_KEYS_ONLY) != 0) {
                pair.value.data = NULL;
            }
            cli_put_pair(cli, stdout, &pair);
        }
        limit -= tikv_pairs_count(page);
        more = limit > 0 && tikv_pairs_next(page, &range);
        tikv_pairs_free(before);
        before = page;
        page = NULL;
    }
    tikv_pairs_free(before);
    return status;
}

int
cli_scan(struct cli *cli, int argc, char **argv)
{
    const char *limit_text = NULL;
    bool reverse = false, keys_only = false;
    const struct cli_option known[] = {
        { "--limit", &limit_text, NULL },
        { "--reverse", NULL, &reverse },
        { "--keys-only", NULL, &keys_only },
    };
    tikv_scan_options options;
    uint64_t limit = 100;
    tikv_range range;
    int status;

    if (!cli_options(cli, &argc, argv, known, 3) ||
        (limit_text != NULL && !cli_number(cli, "--limit", limit_text, 0,
                                           UINT64_MAX / 2, &limit)) ||
        !cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    cli_scan_options(cli, &options);
    options.flags = (reverse ? TIKV_SCAN_REVERSE : 0) |
                    (keys_only ? TIKV_SCAN_KEYS_ONLY : 0);
    status = print_range(cli, range, &options, limit);
    cli_range_free(&range);
    return status;
}

int
cli_batch_get(struct cli *cli, int argc, char **argv)
{
    tikv_raw_options options;
    tikv_pairs *pairs = NULL;
    tikv_slice *words;
    int status;
    size_t i;

    cli_raw_options(cli, &options);
    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc < 1) {
        return wants(cli, "raw batch-get KEY...");
    }
    if ((words = cli_read_words(cli, argc, argv)) == NULL) {
        return CLI_USAGE;
    }
    status = cli_failed(cli, tikv_raw_batch_get(cli->client, words,
                                                (size_t)argc, &options,
                                                &pairs));
    for (i = 0; i < tikv_pairs_count(pairs); i++) {
        if (tikv_pairs_data(pairs)[i].value.data == NULL) {
            status = CLI_NOT_FOUND;
        }
        cli_put_pair(cli, stdout, &tikv_pairs_data(pairs)[i]);
    }
    tikv_pairs_free(pairs);
    cli_free_words(words, argc);
    return status;
}

int
cli_batch_put(struct cli *cli, int argc, char **argv)
{
    const char *ttl = NULL;
    const struct cli_option known[] = { { "--ttl", &ttl, NULL } };
    tikv_raw_options options;
    tikv_slice *words;
    tikv_pair *pairs;
    int status, i;

    cli_raw_options(cli, &options);
    if (!cli_options(cli, &argc, argv, known, 1) ||
        !read_ttl(cli, ttl, &options.ttl_s)) {
        return CLI_USAGE;
    }
    if (argc < 2 || argc % 2 != 0) {
        return wants(cli, "raw batch-put KEY VALUE [KEY VALUE]...");
    }
    if ((words = cli_read_words(cli, argc, argv)) == NULL) {
        return CLI_USAGE;
    }
    pairs = calloc((size_t)argc / 2, sizeof(*pairs));
    for (i = 0; pairs != NULL && i < argc / 2; i++) {
        pairs[i] = (tikv_pair){ words[2 * i], words[2 * i + 1] };
    }
    status = pairs == NULL
                 ? cli_usage(cli, "out of memory")
                 : cli_failed(cli, tikv_raw_batch_put(cli->client, pairs,
                                                      (size_t)argc / 2,
                                                      &options));
    free(pairs);
    cli_free_words(words, argc);
    return status;
}

static void
print_swap(const struct cli *cli, bool swapped, const tikv_value *previous)
{
    tikv_slice bytes = tikv_value_slice(previous);

    if (cli->json) {
        printf("{\"swapped\":%s", swapped ? "true" : "false");
        if (previous != NULL) {
            fputc(',', stdout);
            cli_put_json(cli, stdout, "previous", bytes);
        }
        puts("}");
        return;
    }
    fputs(swapped ? "swapped" : "not swapped", stdout);
    if (previous != NULL) {
        fputs(", was ", stdout);
        cli_put_bytes(cli, stdout, bytes);
    }
    fputc('\n', stdout);
}

int
cli_cas(struct cli *cli, int argc, char **argv)
{
    bool absent = false, remove = false, swapped = false;
    const struct cli_option known[] = { { "--absent", NULL, &absent },
                                        { "--delete", NULL, &remove } };
    tikv_raw_options options;
    tikv_value *previous = NULL;
    tikv_slice *words, expected, desired;
    int status;

    cli_raw_options(cli, &options);
    options.atomic = TIKV_ON;
    if (!cli_options(cli, &argc, argv, known, 2)) {
        return CLI_USAGE;
    }
    if (argc != 3 - absent - remove) {
        return wants(cli, "raw cas KEY EXPECTED NEW, KEY --absent NEW, or "
                          "KEY EXPECTED --delete");
    }
    if ((words = cli_read_words(cli, argc, argv)) == NULL) {
        return CLI_USAGE;
    }
    expected = absent ? (tikv_slice){ NULL, 0 } : words[1];
    desired = remove ? (tikv_slice){ NULL, 0 } : words[argc - 1];
    status = cli_failed(cli, tikv_raw_swap(cli->client, words[0], expected,
                                           desired, &options, &swapped,
                                           &previous));
    if (status == CLI_OK) {
        print_swap(cli, swapped, previous);
        status = swapped ? CLI_OK : CLI_NOT_FOUND;
    }
    tikv_value_free(previous);
    cli_free_words(words, argc);
    return status;
}

int
cli_ttl(struct cli *cli, int argc, char **argv)
{
    tikv_raw_options options;
    tikv_slice key;
    uint64_t ttl_s = 0;
    bool found = false;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc != 1) {
        return wants(cli, "raw ttl KEY");
    }
    if (!cli_bytes(cli, argv[0], &key)) {
        return CLI_USAGE;
    }
    cli_raw_options(cli, &options);
    status = cli_failed(cli, tikv_raw_ttl(cli->client, key, &options, &found,
                                          &ttl_s));
    cli_bytes_free(&key);
    if (status == CLI_OK && !found) {
        cli_usage(cli, "not found");
        return CLI_NOT_FOUND;
    }
    if (status == CLI_OK) {
        printf(cli->json ? "{\"ttl_s\":%" PRIu64 "}\n" : "%" PRIu64 "\n",
               ttl_s);
    }
    return status;
}

int
cli_checksum(struct cli *cli, int argc, char **argv)
{
    tikv_raw_options options;
    uint64_t crc = 0, count = 0, bytes = 0;
    tikv_range range;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0) ||
        !cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    cli_raw_options(cli, &options);
    status = cli_failed(cli, tikv_raw_checksum(cli->client, &range, 1,
                                               &options, &crc, &count,
                                               &bytes));
    if (status == CLI_OK) {
        printf(cli->json ? "{\"crc64_xor\":\"%016" PRIx64
                           "\",\"pairs\":%" PRIu64 ",\"bytes\":%" PRIu64
                           "}\n"
                         : "%016" PRIx64 "\t%" PRIu64 " pairs\t%" PRIu64
                           " bytes\n",
               crc, count, bytes);
    }
    cli_range_free(&range);
    return status;
}

int
cli_delete_range(struct cli *cli, int argc, char **argv)
{
    bool all = false;
    const struct cli_option known[] = { { "--all", NULL, &all } };
    tikv_raw_options options;
    tikv_range range;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1)) {
        return CLI_USAGE;
    }
    if (argc != (all ? 0 : 2)) {
        return wants(cli, "raw delete-range START END, or --all");
    }
    if (!cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    cli_raw_options(cli, &options);
    status = cli_failed(
        cli, tikv_raw_delete_range(cli->client, range, &options));
    cli_range_free(&range);
    return status;
}
