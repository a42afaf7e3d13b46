/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of pairs, one per line. TSV: key, value and, where there is one, the
 * seconds to live, with escapes \t \n \r \\ \xHH (digits with --hex). JSON
 * lines: {"key": "...", "value": "...", "ttl": 60}, where "key_hex" and
 * "value_hex" carry bytes that are no text.
 */
#ifndef CLI_PAIRS_H
#define CLI_PAIRS_H

#include "cli.h"

/* A pair read from a line; key and value are to be freed. */
struct cli_pair {
    tikv_slice key;
    tikv_slice value;
    uint64_t ttl_s;
};

/* "tsv", "jsonl", or by the file's name; false after a message. */
bool
cli_pairs_format(const struct cli *cli, const char *format, const char *path,
                 bool *is_json);

/* Reads one line without its end. False: *why says what is wrong. */
bool
cli_pairs_read(const struct cli *cli, bool is_json, char *line, size_t len,
               struct cli_pair *out, const char **why);

void
cli_pairs_write(const struct cli *cli, bool is_json, FILE *out,
                const tikv_pair *pair);

#endif
