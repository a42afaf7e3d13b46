/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work beside data: a range is cut where its regions are, and each part told
 * to which store it belongs. Bounds move at any time, so such a plan makes
 * work fast, never right: whoever reads a part later finds it wherever it is.
 */
#include "example.h"

static void
print_key(tikv_slice key)
{
    size_t i;

    for (i = 0; i < key.len; i++) {
        bool is_plain = key.data[i] > ' ' && key.data[i] < 0x7f;

        printf(is_plain ? "%c" : "\\x%02x", key.data[i]);
    }
}

static void
print_part(const tikv_regions *regions, size_t index)
{
    tikv_region_info region = { .struct_size = sizeof(region) };
    tikv_peer_info peer = { .struct_size = sizeof(peer) };
    size_t i;

    expect(tikv_regions_at(regions, index, &region), "a region");
    printf("store %" PRIu64 ": [", region.leader_store_id);
    print_key(region.start);
    fputs(", ", stdout);
    print_key(region.end);
    fputs("), also on", stdout);
    for (i = 0; tikv_regions_peer(regions, index, i, &peer); i++) {
        if ((peer.flags & TIKV_PEER_IS_LEADER) == 0) {
            printf(" %" PRIu64, peer.store_id);
        }
    }
    putchar('\n');
}

int
main(int argc, char **argv)
{
    const tikv_range range = { text("a"), text("z") };
    tikv_client *client = open_client(argc, argv);
    tikv_regions *regions;
    tikv_regions *known;
    size_t i;

    must(tikv_regions_find(client, TIKV_KEYS_RAW, range, 0, NULL, &regions),
         "find");
    expect(tikv_regions_count(regions) > 0, "every key has a region");
    for (i = 0; i < tikv_regions_count(regions); i++) {
        print_part(regions, i);
    }
    tikv_regions_free(regions);
    /* Requests find their way without PD now; or not, if we say so. */
    tikv_regions_forget(client, TIKV_KEYS_RAW, range);
    must(tikv_regions_cached(client, TIKV_KEYS_RAW, range, 0, &known),
         "cached");
    expect(tikv_regions_count(known) == 0, "all of them forgotten");
    tikv_regions_free(known);
    tikv_client_close(client);
    return 0;
}
