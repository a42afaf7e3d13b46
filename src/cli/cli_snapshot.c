/* SPDX-License-Identifier: Apache-2.0 */
/* The transactional commands of tikv-cli that read: values at a timestamp,
 * and locks, with ending those that were left behind. */
#include "cli_run.h"

#include <inttypes.h>
#include <string.h>

static void
fill_call(const struct cli *cli, tikv_call *call, size_t size)
{
    tikv_call_init(call, size);
    call->timeout_ms = cli->timeout_ms;
    call->request_source = "tikv-cli";
}

/* A timestamp after --at or --before; 0 without one. False after a message. */
static bool
read_ts(const struct cli *cli, const char *name, const char *text,
        uint64_t *out)
{
    *out = 0;
    return text == NULL || cli_number(cli, name, text, 1, INT64_MAX, out);
}

static int
open_snapshot(struct cli *cli, uint64_t version, tikv_snapshot **out)
{
    tikv_snapshot_options options = TIKV_SNAPSHOT_OPTIONS_INIT;

    fill_call(cli, &options.call, sizeof(options));
    options.version = version;
    options.details = cli->details;
    return cli_failed(cli, tikv_snapshot_open(cli->client, &options, out));
}

static int
print_value(struct cli *cli, tikv_snapshot *snapshot, tikv_slice key)
{
    tikv_read_options options = TIKV_READ_OPTIONS_INIT;
    tikv_value *value = NULL;
    int status;

    fill_call(cli, &options.call, sizeof(options));
    options.details = cli->details;
    status =
        cli_failed(cli, tikv_snapshot_get(snapshot, key, &options, &value));
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
    return status;
}

int
cli_txn_get(struct cli *cli, int argc, char **argv)
{
    const char *at = NULL;
    const struct cli_option known[] = { { "--at", &at, NULL } };
    tikv_snapshot *snapshot = NULL;
    uint64_t version;
    tikv_slice key;
    int status;

    if (!cli_options(cli, &argc, argv, known, 1) ||
        !read_ts(cli, "--at", at, &version)) {
        return CLI_USAGE;
    }
    if (argc != 1) {
        return cli_usage(cli, "wants: txn get KEY [--at TIMESTAMP]");
    }
    if (!cli_bytes(cli, argv[0], &key)) {
        return CLI_USAGE;
    }
    status = open_snapshot(cli, version, &snapshot);
    if (status == CLI_OK) {
        status = print_value(cli, snapshot, key);
    }
    tikv_snapshot_free(snapshot);
    cli_bytes_free(&key);
    return status;
}

static int
print_range(struct cli *cli, tikv_snapshot *snapshot, tikv_range range,
            tikv_range_options *options, uint64_t limit)
{
    tikv_iter *iter = NULL;
    int status = cli_failed(
        cli, tikv_snapshot_iterate(snapshot, range, options, &iter));

    while (status == CLI_OK && limit-- > 0) {
        tikv_pair pair;

        status =
            cli_failed(cli, tikv_iter_next(iter, TIKV_FOREVER, &pair));
        if (status != CLI_OK || pair.key.data == NULL) {
            break;
        }
        cli_put_pair(cli, stdout, &pair);
    }
    tikv_iter_free(iter);
    return status;
}

int
cli_txn_scan(struct cli *cli, int argc, char **argv)
{
    const char *limit_text = NULL, *at = NULL;
    bool reverse = false, keys_only = false;
    const struct cli_option known[] = {
        { "--limit", &limit_text, NULL },
        { "--reverse", NULL, &reverse },
        { "--keys-only", NULL, &keys_only },
        { "--at", &at, NULL },
    };
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_snapshot *snapshot = NULL;
    uint64_t limit = 100, version;
    tikv_range range;
    int status;

    if (!cli_options(cli, &argc, argv, known, 4) ||
        !read_ts(cli, "--at", at, &version) ||
        (limit_text != NULL && !cli_number(cli, "--limit", limit_text, 0,
                                           UINT64_MAX / 2, &limit)) ||
        !cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    fill_call(cli, &options.call, sizeof(options));
    options.flags = (reverse ? TIKV_SCAN_REVERSE : 0) |
                    (keys_only ? TIKV_SCAN_KEYS_ONLY : 0);
    options.page_count = limit < 1024 ? (uint32_t)limit : 1024;
    options.details = cli->details;
    status = open_snapshot(cli, version, &snapshot);
    if (status == CLI_OK) {
        status = print_range(cli, snapshot, range, &options, limit);
    }
    tikv_snapshot_free(snapshot);
    cli_range_free(&range);
    return status;
}

/* ---- locks ---- */

static const char *
kind_name(const tikv_lock_info *lock)
{
    switch (lock->kind) {
    case TIKV_LOCK_PUT:
        return "put";
    case TIKV_LOCK_DELETE:
        return "delete";
    case TIKV_LOCK_ONLY:
        return "lock";
    case TIKV_LOCK_PESSIMISTIC:
        return "pessimistic";
    case TIKV_LOCK_SHARED_PESSIMISTIC:
        return "shared";
    default:
        return "other";
    }
}

static void
print_lock(const struct cli *cli, const tikv_lock_info *lock)
{
    if (cli->json) {
        fputc('{', stdout);
        cli_put_json(cli, stdout, "key", lock->key);
        fputc(',', stdout);
        cli_put_json(cli, stdout, "primary", lock->primary);
        printf(",\"start_ts\":%" PRIu64 ",\"ttl_ms\":%" PRIu64
               ",\"kind\":\"%s\",\"async\":%s}\n",
               lock->start_ts, lock->ttl_ms, kind_name(lock),
               lock->is_async != 0 ? "true" : "false");
        return;
    }
    cli_put_bytes(cli, stdout, lock->key);
    printf("\t%" PRIu64 "\t%" PRIu64 " ms\t%s%s\t", lock->start_ts,
           lock->ttl_ms, kind_name(lock), lock->is_async != 0 ? " async" : "");
    cli_put_bytes(cli, stdout, lock->primary);
    fputc('\n', stdout);
}

static int
print_locks(struct cli *cli, tikv_range range, uint64_t before,
            uint64_t limit)
{
    tikv_locks *page = NULL, *last = NULL;
    int status = CLI_OK;
    bool more = limit > 0;

    while (more && status == CLI_OK) {
        tikv_call_options options;
        size_t i;

        fill_call(cli, &options.call, sizeof(options));
        options.details = cli->details;
        status = cli_failed(
            cli, tikv_locks_scan(cli->client, range, before,
                                 limit < 1024 ? (uint32_t)limit : 1024,
                                 &options.call, &page));
        for (i = 0; i < tikv_locks_count(page) && limit > 0; i++, limit--) {
            tikv_lock_info lock = { .struct_size = sizeof(lock) };

            if (tikv_locks_at(page, i, &lock)) {
                print_lock(cli, &lock);
            }
        }
        more = limit > 0 && tikv_locks_next(page, &range);
        tikv_locks_free(last);
        last = page;
        page = NULL;
    }
    tikv_locks_free(last);
    return status;
}

int
cli_txn_locks(struct cli *cli, int argc, char **argv)
{
    const char *limit_text = NULL, *before_text = NULL;
    const struct cli_option known[] = {
        { "--limit", &limit_text, NULL },
        { "--before", &before_text, NULL },
    };
    uint64_t limit = 100, before;
    tikv_range range;
    int status;

    if (!cli_options(cli, &argc, argv, known, 2) ||
        !read_ts(cli, "--before", before_text, &before) ||
        (limit_text != NULL && !cli_number(cli, "--limit", limit_text, 0,
                                           UINT64_MAX / 2, &limit)) ||
        !cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    status = print_locks(cli, range, before, limit);
    cli_range_free(&range);
    return status;
}

int
cli_txn_resolve(struct cli *cli, int argc, char **argv)
{
    const char *before_text = NULL;
    bool all = false;
    const struct cli_option known[] = {
        { "--before", &before_text, NULL },
        { "--all", NULL, &all },
    };
    uint64_t before, count = 0;
    tikv_range range;
    tikv_call_options options;
    int status;

    if (!cli_options(cli, &argc, argv, known, 2) ||
        !read_ts(cli, "--before", before_text, &before)) {
        return CLI_USAGE;
    }
    if (argc != (all ? 0 : 2)) {
        return cli_usage(cli, "wants: txn resolve START END, or --all "
                              "[--before TIMESTAMP]");
    }
    if (!cli_range(cli, argc, argv, &range)) {
        return CLI_USAGE;
    }
    fill_call(cli, &options.call, sizeof(options));
    options.details = cli->details;
    status = cli_failed(
        cli, tikv_locks_resolve(cli->client, range, before, &options.call,
                                &count));
    if (status == CLI_OK) {
        printf(cli->json ? "{\"resolved\":%" PRIu64 "}\n"
                         : "%" PRIu64 " locks resolved\n",
               count);
    }
    cli_range_free(&range);
    return status;
}
