/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a range page by page, in both directions. Between two pages the
 * library keeps nothing: the rest of the range is all there is to remember,
 * so a walk can stop and go on any time, also in another process.
 */
#include "example.h"

static size_t
walk(tikv_client *client, uint32_t flags)
{
    tikv_scan_options options = TIKV_SCAN_OPTIONS_INIT;
    tikv_range range = { text("page/"), text("page0") };
    tikv_pairs *page, *previous = NULL;
    size_t total = 0;
    bool more = true;

    options.page_count = 64;
    options.flags = flags;
    while (more) {
        must(tikv_raw_scan(client, range, &options, &page), "scan");
        total += tikv_pairs_count(page);

        /* `range` points into the page it came from. */
        more = tikv_pairs_next(page, &range);
        tikv_pairs_free(previous);
        previous = page;
    }
    tikv_pairs_free(previous);
    return total;
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    char name[16];
    int i;

    for (i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "page/%04d", i);
        must(tikv_raw_put(client, text(name), text("x"), NULL), "put");
    }

    size_t up = walk(client, 0);
    size_t down = walk(client, TIKV_SCAN_REVERSE | TIKV_SCAN_KEYS_ONLY);
    printf("%zu keys upwards, %zu downwards\n", up, down);
    expect(up == 300 && down == 300, "every key once in each direction");

    tikv_range all = { text("page/"), text("page0") };
    must(tikv_raw_delete_range(client, all, NULL), "delete range");
    tikv_client_close(client);
    return 0;
}
