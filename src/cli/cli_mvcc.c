/* SPDX-License-Identifier: Apache-2.0 */
/* `txn mvcc`: what TiKV keeps of a key, a line or a member a version. */
#include "cli_run.h"

#include <inttypes.h>

static const char *
kind_name(int32_t kind)
{
    switch (kind) {
    case TIKV_MVCC_PUT:
        return "put";
    case TIKV_MVCC_DELETE:
        return "delete";
    case TIKV_MVCC_LOCK:
        return "lock";
    case TIKV_MVCC_ROLLBACK:
        return "rollback";
    default:
        return "other";
    }
}

static void
print_json(const struct cli *cli, const tikv_mvcc *mvcc)
{
    tikv_lock_info lock = { .struct_size = sizeof(lock) };
    tikv_mvcc_version version = { .struct_size = sizeof(version) };
    size_t i;

    fputc('{', stdout);
    cli_put_json(cli, stdout, "key", tikv_mvcc_key(mvcc));
    if (tikv_mvcc_lock(mvcc, &lock)) {
        printf(",\"lock\":{\"start_ts\":%" PRIu64 ",\"ttl_ms\":%" PRIu64 ",",
               lock.start_ts, lock.ttl_ms);
        cli_put_json(cli, stdout, "primary", lock.primary);
        fputc('}', stdout);
    }
    fputs(",\"versions\":[", stdout);
    for (i = 0; tikv_mvcc_at(mvcc, i, &version); i++) {
        printf("%s{\"commit_ts\":%" PRIu64 ",\"start_ts\":%" PRIu64
               ",\"kind\":\"%s\"",
               i == 0 ? "" : ",", version.commit_ts, version.start_ts,
               kind_name(version.kind));
        if (version.value.data != NULL) {
            fputc(',', stdout);
            cli_put_json(cli, stdout, "value", version.value);
        }
        fputc('}', stdout);
    }
    puts("]}");
}

static void
print_lines(const struct cli *cli, const tikv_mvcc *mvcc)
{
    tikv_lock_info lock = { .struct_size = sizeof(lock) };
    tikv_mvcc_version version = { .struct_size = sizeof(version) };
    size_t i;

    cli_put_bytes(cli, stdout, tikv_mvcc_key(mvcc));
    fputc('\n', stdout);
    if (tikv_mvcc_lock(mvcc, &lock)) {
        printf("locked\t%" PRIu64 "\t%" PRIu64 " ms\t", lock.start_ts,
               lock.ttl_ms);
        cli_put_bytes(cli, stdout, lock.primary);
        fputc('\n', stdout);
    }
    for (i = 0; tikv_mvcc_at(mvcc, i, &version); i++) {
        printf("%" PRIu64 "\t%" PRIu64 "\t%s", version.commit_ts,
               version.start_ts, kind_name(version.kind));
        if (version.value.data != NULL) {
            fputc('\t', stdout);
            cli_put_bytes(cli, stdout, version.value);
        }
        fputc('\n', stdout);
    }
}

/* By the key, or by `start_ts` where that is not 0. */
static int
show(struct cli *cli, tikv_slice key, uint64_t start_ts)
{
    const tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    tikv_call_options options;
    tikv_mvcc *mvcc = NULL;
    int status;

    tikv_call_init(&options.call, sizeof(options));
    options.call.timeout_ms = cli->timeout_ms;
    options.call.request_source = "tikv-cli";
    options.details = cli->details;
    status = cli_failed(
        cli,
        start_ts == 0
            ? tikv_mvcc_get(cli->client, key, &options.call, &mvcc)
            : tikv_mvcc_find(cli->client, start_ts, all, &options.call, &mvcc));
    if (status == CLI_OK && tikv_mvcc_key(mvcc).data == NULL) {
        status = CLI_NOT_FOUND;
    } else if (status == CLI_OK && cli->json) {
        print_json(cli, mvcc);
    } else if (status == CLI_OK) {
        print_lines(cli, mvcc);
    }
    tikv_mvcc_free(mvcc);
    return status;
}

int
cli_txn_mvcc(struct cli *cli, int argc, char **argv)
{
    const char *start_text = NULL;
    const struct cli_option known[] = { { "--start-ts", &start_text, NULL } };
    tikv_slice key = { NULL, 0 };
    uint64_t start_ts = 0;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1)) {
        return CLI_USAGE;
    }
    if (argc != (start_text == NULL ? 1 : 0)) {
        return cli_usage(cli, "wants: txn mvcc KEY, or --start-ts TIMESTAMP");
    }
    if (start_text != NULL ? !cli_number(cli, "--start-ts", start_text, 1,
                                         UINT64_MAX - 1, &start_ts)
                           : !cli_bytes(cli, argv[0], &key)) {
        return CLI_USAGE;
    }
    status = show(cli, key, start_ts);
    cli_bytes_free(&key);
    return status;
}
