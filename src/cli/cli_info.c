/* SPDX-License-Identifier: Apache-2.0 */
/* What PD tells: timestamps, regions, stores. */
#include "cli_run.h"

#include <inttypes.h>
#include <stdlib.h>

static void
call_options(const struct cli *cli, tikv_call_options *options)
{
    tikv_call_init(&options->call, sizeof(*options));
    options->call.timeout_ms = cli->timeout_ms;
    options->details = cli->details;
}

int
cli_tso(struct cli *cli, int argc, char **argv)
{
    uint64_t count = 1, ts;
    tikv_call_options options;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc > 1) {
        return cli_usage(cli, "wants: tso [COUNT]");
    }
    if (argc == 1 &&
        !cli_number(cli, "COUNT", argv[0], 1, 1000000, &count)) {
        return CLI_USAGE;
    }
    call_options(cli, &options);
    while (count-- > 0) {
        int status =
            cli_failed(cli, tikv_timestamp(cli->client, &options.call, &ts));

        if (status != CLI_OK) {
            return status;
        }
        printf(cli->json ? "{\"ts\":%" PRIu64 ",\"ms\":%" PRId64
                           ",\"logical\":%" PRId64 "}\n"
                         : "%" PRIu64 "\t%" PRId64 " ms\t%" PRId64 "\n",
               ts, TIKV_TIMESTAMP_MS(ts), TIKV_TIMESTAMP_LOGICAL(ts));
    }
    return CLI_OK;
}

static void
print_region(const struct cli *cli, const tikv_region_info *region)
{
    if (cli->json) {
        printf("{\"id\":%" PRIu64 ",\"version\":%" PRIu64
               ",\"conf_ver\":%" PRIu64 ",\"peers\":%" PRIu64
               ",\"leader_store\":%" PRIu64 ",",
               region->id, region->version, region->conf_ver,
               region->peers_count, region->leader_store_id);
        cli_put_json(cli, stdout, "start", region->start);
        fputc(',', stdout);
        cli_put_json(cli, stdout, "end", region->end);
        puts("}");
        return;
    }
    printf("%" PRIu64 "\tepoch %" PRIu64 ".%" PRIu64 "\t%" PRIu64
           " peers\tleader on %" PRIu64 "\t[",
           region->id, region->version, region->conf_ver,
           region->peers_count, region->leader_store_id);
    cli_put_bytes(cli, stdout, region->start);
    fputs(", ", stdout);
    cli_put_bytes(cli, stdout, region->end);
    puts(")");
}

int
cli_regions(struct cli *cli, int argc, char **argv)
{
    const char *text = NULL;
    const struct cli_option known[] = { { "--limit", &text, NULL } };
    uint64_t limit = 0;
    tikv_regions *regions = NULL;
    tikv_range range;
    tikv_call_options options;
    size_t i;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1) ||
        (text != NULL &&
         !cli_number(cli, "--limit", text, 1, 1000000, &limit)) ||
        !cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    call_options(cli, &options);
    status = cli_failed(cli, tikv_regions_list(cli->client, range,
                                               (size_t)limit, &options.call,
                                               &regions));
    for (i = 0; i < tikv_regions_count(regions); i++) {
        tikv_region_info region = { .struct_size = sizeof(region) };

        if (tikv_regions_at(regions, i, &region)) {
            print_region(cli, &region);
        }
    }
    tikv_regions_free(regions);
    cli_range_free(&range);
    return status;
}

static tikv_slice
text_slice(const char *text)
{
    tikv_slice slice = { (const uint8_t *)text, 0 };

    while (text[slice.len] != '\0') {
        slice.len++;
    }
    return slice;
}

static void
print_store(const struct cli *cli, const tikv_stores *stores, size_t index,
            const tikv_store_info *store)
{
    struct cli plain = *cli; /* addresses are text, whatever --hex says */
    const char *key, *value;
    size_t i;

    plain.hex = false;
    if (cli->json) {
        printf("{\"id\":%" PRIu64 ",", store->id);
        cli_put_json(&plain, stdout, "address", text_slice(store->address));
        fputc(',', stdout);
        cli_put_json(&plain, stdout, "version", text_slice(store->version));
        fputc(',', stdout);
        cli_put_json(&plain, stdout, "state", text_slice(store->state));
        fputs(",\"labels\":{", stdout);
    } else {
        printf("%" PRIu64 "\t%s\t%s\t%s", store->id, store->address,
               store->state, store->version);
    }
    for (i = 0; tikv_stores_label(stores, index, i, &key, &value); i++) {
        if (cli->json) {
            fputs(i > 0 ? "," : "", stdout);
            cli_put_json(&plain, stdout, key, text_slice(value));
        } else {
            printf("\t%s=%s", key, value);
        }
    }
    puts(cli->json ? "}}" : "");
}

int
cli_stores(struct cli *cli, int argc, char **argv)
{
    tikv_stores *stores = NULL;
    tikv_call_options options;
    size_t i;
    int status;

    if (!cli_options(cli, &argc, argv, NULL, 0)) {
        return CLI_USAGE;
    }
    if (argc != 0) {
        return cli_usage(cli, "stores takes no operand");
    }
    call_options(cli, &options);
    status = cli_failed(
        cli, tikv_stores_list(cli->client, &options.call, &stores));
    for (i = 0; i < tikv_stores_count(stores); i++) {
        tikv_store_info store = { .struct_size = sizeof(store) };

        if (tikv_stores_at(stores, i, &store)) {
            print_store(cli, stores, i, &store);
        }
    }
    tikv_stores_free(stores);
    return status;
}
