/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv-cli: what its files share. Commands live in one table (cli_commands.c);
 * a command gets its words and returns the exit status. One thread.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <tikv/tikv.h>

enum { CLI_OK = 0, CLI_NOT_FOUND = 1, CLI_USAGE = 2, CLI_CLUSTER = 3 };

struct cli {
    tikv_client *client;
    tikv_config *config;
    const char *family;   /* --cf; NULL: the default one */
    int64_t timeout_ms;   /* --timeout; 0: the client's default */
    bool json;            /* --json */
    bool hex;             /* --hex: keys and values as hexadecimal digits */
    bool time;            /* --time: where the time went */
    tikv_details *details; /* with --time, of this command; else NULL */
    bool interactive;     /* at the prompt: messages without program name */
};

struct cli_command {
    const char *name;  /* "raw get" */
    const char *words; /* after it, for the manual */
    const char *help;
    int (*run)(struct cli *, int argc, char **argv);
    bool needs_client;
};

extern const struct cli_command cli_commands[];
extern const size_t cli_commands_count;

/* The command that `argv` begins with and how many words its name took; NULL
 * when there is none. */
const struct cli_command *
cli_find(int argc, char **argv, int *used);

/* Finds and runs; usage errors are said on stderr. */
int
cli_dispatch(struct cli *cli, int argc, char **argv);

void
cli_help(FILE *out);

/* One line on stderr; returns CLI_USAGE. */
int
cli_usage(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Says and frees the error; its exit status, CLI_OK for NULL. */
int
cli_failed(const struct cli *cli, tikv_error *error);

/* Opens cli->client unless it is open. */
int
cli_open(struct cli *cli);

int
cli_prompt(struct cli *cli);

/* ---- --time: cli_time.c ---- */

int
cli_time_begin(struct cli *cli);

void
cli_time_end(const struct cli *cli);

void
cli_raw_options(const struct cli *cli, tikv_raw_options *options);

void
cli_scan_options(const struct cli *cli, tikv_scan_options *options);

/* ---- words: cli_words.c ---- */

/* Options of one command: `--name value` and switches are taken out of argv,
 * what is left are operands. */
struct cli_option {
    const char *name;    /* "--limit" */
    const char **value;  /* with a value */
    bool *set;           /* a switch */
};

/* False after a message when an option is unknown or has no value. "--" ends
 * the options. */
bool
cli_options(const struct cli *cli, int *argc, char **argv,
            const struct cli_option *options, size_t count);

/* False after a message naming `what`. */
bool
cli_number(const struct cli *cli, const char *what, const char *text,
           uint64_t min, uint64_t max, uint64_t *out);

/* Bytes of a word: as it is, or with --hex from digits. False after a
 * message. The bytes are to be freed; absent for NULL. */
bool
cli_bytes(const struct cli *cli, const char *word, tikv_slice *out);

void
cli_bytes_free(tikv_slice *bytes);

/* Operands as slices; NULL after a message. */
tikv_slice *
cli_read_words(const struct cli *cli, int argc, char **argv);

void
cli_free_words(tikv_slice *words, int count);

/* Splits a line in place, at blanks; quotes keep blanks, a backslash keeps
 * the next character. The number of words, `max` at the most, or -1 for an
 * open quote. */
int
cli_split(char *line, char **words, int max);

/* Reads escapes \t \n \r \\ \xHH in place; false when one is broken. */
bool
cli_unescape(char *text, size_t *len);

/* Writes bytes so that a line stays a line: printable UTF-8 as it is, the
 * rest escaped; with --hex all as digits. */
void
cli_put_bytes(const struct cli *cli, FILE *out, tikv_slice bytes);

/* A JSON member: "name":"text", or "name_hex":"digits" when the bytes are not
 * valid UTF-8 or --hex is on. */
void
cli_put_json(const struct cli *cli, FILE *out, const char *name,
             tikv_slice bytes);

bool
cli_is_utf8(tikv_slice bytes);

#endif
