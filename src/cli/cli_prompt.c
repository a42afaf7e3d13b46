/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prompt: one command a line, with history and completion on a terminal,
 * plain lines without.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <editline/readline.h>

enum { WORDS_MAX = 4096 };

/* The name of the next command that `text` is the beginning of, as far as its
 * last word goes: readline completes words. */
static char *
next_match(const char *text, int is_again)
{
    static size_t at;
    const char *line = rl_line_buffer;
    size_t before = strlen(line) - strlen(text);

    at = is_again ? at : 0;
    while (at < cli_commands_count) {
        const char *name = cli_commands[at++].name;

        if (strncmp(name, line, strlen(line)) == 0) {
            return strdup(name + before);
        }
    }
    return NULL;
}

static char **
complete(const char *text, int start, int end)
{
    (void)start;
    (void)end;
    return rl_completion_matches(text, next_match);
}

/* False at "exit" and "quit". */
static bool
run_line(struct cli *cli, char *line, int *status)
{
    static char *words[WORDS_MAX + 1];
    int count = cli_split(line, words, WORDS_MAX);

    if (count < 0) {
        *status = cli_usage(cli, "a quote is not closed");
        return true;
    }
    if (count == 0) {
        return true;
    }
    if (strcmp(words[0], "exit") == 0 || strcmp(words[0], "quit") == 0) {
        return false;
    }
    *status = cli_dispatch(cli, count, words);
    fflush(stdout);
    return true;
}

static int
run_plain(struct cli *cli)
{
    char *line = NULL;
    size_t room = 0;
    int status = CLI_OK;

    while (getline(&line, &room, stdin) >= 0 &&
           run_line(cli, line, &status)) {
    }
    free(line);
    return status;
}

int
cli_prompt(struct cli *cli)
{
    int status = cli_open(cli);
    char *line;
    bool more = true;

    if (status != CLI_OK) {
        return status;
    }
    cli->interactive = true;
    if (!isatty(STDIN_FILENO)) {
        return run_plain(cli);
    }
    printf("cluster %llu, \"help\" lists the commands\n",
           (unsigned long long)tikv_client_cluster_id(cli->client));
    rl_attempted_completion_function = complete;
    using_history();
    while (more && (line = readline("tikv> ")) != NULL) {
        if (*line != '\0') {
            add_history(line);
        }
        more = run_line(cli, line, &status);
        free(line);
    }
    return CLI_OK;
}
