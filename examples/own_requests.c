/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request that the program makes itself, for commands the library has no
 * function for: the message of kvproto without its Context, sent to the
 * region of a key. A real program encodes it with protobuf; here one field is
 * small enough to be written by hand.
 *
 * A message that is about a range is made for one region, and says so. When
 * the region's bounds have changed since, the error tells, and the messages
 * are made anew.
 */
#include "example.h"

/* kvrpcpb.RawGetRequest { bytes key = 2; } */
static tikv_slice
raw_get_request(const char *key, uint8_t *buffer)
{
    size_t len = strlen(key);

    buffer[0] = 2 << 3 | 2;
    buffer[1] = (uint8_t)len;
    memcpy(buffer + 2, key, len);
    return (tikv_slice){ buffer, 2 + len };
}

/* The region that holds `key` now. */
static void
pin(tikv_client *client, const char *key, tikv_request_options *options)
{
    tikv_range from = { text(key), { NULL, 0 } };
    tikv_region_info region = { .struct_size = sizeof(region) };
    tikv_regions *regions;

    must(tikv_regions_list(client, from, 1, NULL, &regions), "regions");
    expect(tikv_regions_at(regions, 0, &region), "every key has a region");
    options->region_id = region.id;
    options->region_version = region.version;
    tikv_regions_free(regions);
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    tikv_request_options options = TIKV_REQUEST_OPTIONS_INIT;
    tikv_value *answer = NULL;
    tikv_error *error;
    uint8_t buffer[64];
    tikv_slice message = raw_get_request("own/key", buffer);
    bool moved;

    must(tikv_raw_put(client, text("own/key"), text("hello"), NULL), "put");
    do {
        pin(client, "own/key", &options);
        error = tikv_request_send(client, "RawGet", text("own/key"), message,
                                  &options, &answer);
        moved = tikv_error_u64(error, TIKV_ERROR_REGION_MOVED) != 0;
        if (moved) {
            tikv_error_free(error);
        }
    } while (moved);
    must(error, "request");

    /* RawGetResponse { bytes value = 3; }, and nothing before it. */
    tikv_slice bytes = tikv_value_slice(answer);
    expect(bytes.len == 7 && bytes.data[0] == (3 << 3 | 2) &&
               memcmp(bytes.data + 2, "hello", 5) == 0,
           "the value in the answer");
    printf("region %" PRIu64 " answered %zu bytes\n", options.region_id,
           bytes.len);
    tikv_value_free(answer);
    must(tikv_raw_delete(client, text("own/key"), NULL), "delete");
    tikv_client_close(client);
    return 0;
}
