/* SPDX-License-Identifier: Apache-2.0 */
/* tikv-cli: a TiKV cluster from the command line. Options of the program come
 * before the command, options of a command after it. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

enum { GO_ON = -1 };

static int
set_setting(struct cli *cli, const char *text)
{
    const char *equals = strchr(text, '=');
    char name[64];

    if (equals == NULL || (size_t)(equals - text) >= sizeof(name)) {
        return cli_usage(cli, "--set wants NAME=VALUE, not \"%s\"", text);
    }
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    return cli_failed(cli, tikv_config_set(cli->config, name, equals + 1));
}

static void
print_settings(void)
{
    const char *name, *value, *text;
    size_t i;

    for (i = 0; tikv_config_describe(i, &name, &value, &text); i++) {
        printf("%-26s %-10s %s\n", name, *value == '\0' ? "-" : value, text);
    }
}

/* An option with a value. */
static int
take_value(struct cli *cli, const char *name, const char *value)
{
    uint64_t number;

    if (strcmp(name, "--pd") == 0) {
        return cli_failed(cli, tikv_config_parse(cli->config, value));
    }
    if (strcmp(name, "--set") == 0) {
        return set_setting(cli, value);
    }
    if (strcmp(name, "--cf") == 0) {
        cli->family = value;
        return CLI_OK;
    }
    if (!cli_number(cli, "--timeout", value, 1, 3600000, &number)) {
        return CLI_USAGE;
    }
    cli->timeout_ms = (int64_t)number;
    return CLI_OK;
}

static int
take_switch(struct cli *cli, const char *name)
{
    if (strcmp(name, "--json") == 0) {
        cli->json = true;
    } else if (strcmp(name, "--hex") == 0) {
        cli->hex = true;
    } else if (strcmp(name, "--time") == 0) {
        cli->time = true;
    } else if (strcmp(name, "--help") == 0) {
        cli_help(stdout);
        return CLI_OK;
    } else if (strcmp(name, "--version") == 0) {
        printf("tikv-cli %s\n", tikv_version_string());
        return CLI_OK;
    } else if (strcmp(name, "--settings") == 0) {
        print_settings();
        return CLI_OK;
    } else {
        return cli_usage(cli, "unknown option %s; try --help", name);
    }
    return GO_ON;
}

static bool
has_value(const char *name)
{
    return strcmp(name, "--pd") == 0 || strcmp(name, "--set") == 0 ||
           strcmp(name, "--cf") == 0 || strcmp(name, "--timeout") == 0;
}

static int
run(struct cli *cli, int argc, char **argv)
{
    int at = 1, status;

    while (at < argc && strncmp(argv[at], "--", 2) == 0) {
        const char *name = argv[at++];

        if (!has_value(name)) {
            if ((status = take_switch(cli, name)) != GO_ON) {
                return status;
            }
        } else if (at == argc) {
            return cli_usage(cli, "option %s wants a value", name);
        } else if ((status = take_value(cli, name, argv[at++])) != CLI_OK) {
            return status;
        }
    }
    return at == argc ? cli_prompt(cli)
                      : cli_dispatch(cli, argc - at, argv + at);
}

int
main(int argc, char **argv)
{
    struct cli cli = { 0 };
    int status = cli_failed(&cli, tikv_config_new(&cli.config));

    if (status == CLI_OK) {
        status = run(&cli, argc, argv);
    }
    tikv_client_close(cli.client);
    tikv_details_free(cli.details);
    tikv_config_free(cli.config);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("tikv-cli: standard output could not be written\n", stderr);
        status = status == CLI_OK ? CLI_USAGE : status;
    }
    return status;
}
