/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many reads at once from one thread: start them, wait, take what they
 * promised. This is the fast way to use the library: requests in flight share
 * messages.
 */
#include "example.h"

enum { COUNT = 512 };

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    static tikv_future *futures[COUNT];
    char name[16];
    size_t i, left = COUNT;

    /* The arguments are copied before an _async call returns. */
    for (i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "future/%zu", i);
        futures[i] = tikv_raw_put_async(client, text(name), text(name), NULL);
    }
    tikv_future_wait_all(futures, COUNT, TIKV_FOREVER);
    for (i = 0; i < COUNT; i++) {
        must(tikv_future_take_done(futures[i]), "put");
        tikv_future_free(futures[i]);
        snprintf(name, sizeof(name), "future/%zu", i);
        futures[i] = tikv_raw_get_async(client, text(name), NULL);
    }

    /* In the order in which they become ready. */
    while (left > 0) {
        tikv_value *value;
        size_t first = tikv_future_wait_any(futures, COUNT, TIKV_FOREVER);

        must(tikv_future_take_value(futures[first], &value), "get");
        snprintf(name, sizeof(name), "future/%zu", first);
        expect(value != NULL &&
                   tikv_value_slice(value).len == strlen(name) &&
                   memcmp(tikv_value_slice(value).data, name,
                          strlen(name)) == 0,
               "each future its own value");
        tikv_value_free(value);
        tikv_future_free(futures[first]);
        futures[first] = NULL;
        left--;
    }
    printf("%d puts and %d gets, all in flight together\n", COUNT, COUNT);
    tikv_client_close(client);
    return 0;
}
