/* SPDX-License-Identifier: Apache-2.0 */
/* --time: where the time of a command's calls went, a line on stderr when the
 * command is done. One thread. */
#include "cli.h"

#include <inttypes.h>

struct part {
    const char *name;
    tikv_details_field field;
};

static const struct part parts[] = {
    { "queue", TIKV_DETAILS_QUEUE_NS },     { "pd", TIKV_DETAILS_PD_NS },
    { "backoff", TIKV_DETAILS_BACKOFF_NS }, { "wire", TIKV_DETAILS_WIRE_NS },
    { "server", TIKV_DETAILS_SERVER_NS },   { "own", TIKV_DETAILS_OWN_NS },
};

enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

int
cli_time_begin(struct cli *cli)
{
    if (!cli->time) {
        return CLI_OK;
    }
    if (cli->details != NULL) {
        tikv_details_clear(cli->details);
        return CLI_OK;
    }
    return cli_failed(cli, tikv_details_new(&cli->details));
}

static uint64_t
number(const struct cli *cli, tikv_details_field field)
{
    return tikv_details_u64(cli->details, field);
}

static void
put_json(const struct cli *cli)
{
    const char *kind;
    uint64_t slept_ns;
    size_t i;

    fprintf(stderr, "{\"total_ns\":%" PRIu64,
            number(cli, TIKV_DETAILS_TOTAL_NS));
    for (i = 0; i < PARTS; i++) {
        fprintf(stderr, ",\"%s_ns\":%" PRIu64, parts[i].name,
                number(cli, parts[i].field));
    }
    fprintf(stderr,
            ",\"calls\":%" PRIu64 ",\"requests\":%" PRIu64
            ",\"hedges\":%" PRIu64 ",\"slept_ns\":{",
            number(cli, TIKV_DETAILS_CALLS), number(cli, TIKV_DETAILS_REQUESTS),
            number(cli, TIKV_DETAILS_HEDGES));
    for (i = 0; tikv_details_backoff(cli->details, i, &kind, &slept_ns); i++) {
        fprintf(stderr, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", kind, slept_ns);
    }
    fputs("}}\n", stderr);
}

static double
ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void
put_text(const struct cli *cli)
{
    const char *kind;
    uint64_t slept_ns;
    size_t i;

    fprintf(stderr, "time: %.3f ms =", ms(number(cli, TIKV_DETAILS_TOTAL_NS)));
    for (i = 0; i < PARTS; i++) {
        fprintf(stderr, "%s %s %.3f", i == 0 ? "" : " +", parts[i].name,
                ms(number(cli, parts[i].field)));
    }
    fprintf(stderr, "; %" PRIu64 " calls, %" PRIu64 " requests",
            number(cli, TIKV_DETAILS_CALLS),
            number(cli, TIKV_DETAILS_REQUESTS));
    for (i = 0; tikv_details_backoff(cli->details, i, &kind, &slept_ns); i++) {
        fprintf(stderr, "%s %s %.3f", i == 0 ? "; backoff" : ",", kind,
                ms(slept_ns));
    }
    fputc('\n', stderr);
}

void
cli_time_end(const struct cli *cli)
{
    if (cli->details == NULL || number(cli, TIKV_DETAILS_CALLS) == 0) {
        return;
    }
    fflush(stdout);
    if (cli->json) {
        put_json(cli);
    } else {
        put_text(cli);
    }
}
