/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactional data as it was at one moment: a snapshot, a key, then a range
 * both ways. What others write meanwhile is not seen. The iterator fetches
 * the next page while this one is read; each `next` has a limit of its own.
 */
#include "example.h"

static size_t
walk(tikv_snapshot *snapshot, uint32_t flags)
{
    tikv_range_options options = TIKV_RANGE_OPTIONS_INIT;
    tikv_range all = { { NULL, 0 }, { NULL, 0 } };
    tikv_iter *iter;
    tikv_pair pair;
    size_t total = 0;

    /* Pages of about 64 KiB. */
    options.page_bytes = 64 * 1024;
    options.flags = flags;
    must(tikv_snapshot_iterate(snapshot, all, &options, &iter), "iterate");
    must(tikv_iter_next(iter, 10000, &pair), "next");
    while (pair.key.data != NULL) {
        total++;
        must(tikv_iter_next(iter, 10000, &pair), "next");
    }
    tikv_iter_free(iter);
    return total;
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    tikv_snapshot *snapshot;
    tikv_value *value;

    /* No options: the newest timestamp. A version of one's own reads the
     * past, as long as that was not collected. */
    must(tikv_snapshot_open(client, NULL, &snapshot), "open");
    must(tikv_snapshot_get(snapshot, text("no such key"), NULL, &value),
         "get");
    expect(value == NULL, "a key that nobody writes");

    size_t up = walk(snapshot, 0);
    size_t down = walk(snapshot, TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY);
    printf("%zu pairs at %" PRIu64 ", by %" PRIu64 " requests\n", up,
           tikv_snapshot_version(snapshot),
           tikv_snapshot_u64(snapshot, TIKV_SNAPSHOT_SCANS));
    expect(up == down, "a snapshot does not change");

    tikv_snapshot_free(snapshot);
    tikv_client_close(client);
    return 0;
}
