/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compare-and-swap: a counter that several threads raise without losing a
 * step. Swaps belong to atomic mode, and so does every other write of the
 * same keys; and a swap whose answer was lost is in doubt, which a counter
 * must look into before it goes on.
 */
#include <pthread.h>

#include "example.h"

enum { THREADS = 4, STEPS = 50 };

static tikv_client *client;

static void
raise_once(void)
{
    tikv_raw_options options = TIKV_RAW_OPTIONS_INIT;
    bool swapped = false;

    options.atomic = TIKV_ON;
    while (!swapped) {
        tikv_value *old;
        char next[24]; /* kept with its NUL: it is read back as text */
        tikv_error *error;

        must(tikv_raw_get(client, text("counter"), &options, &old), "get");
        tikv_slice seen = tikv_value_slice(old);
        snprintf(next, sizeof(next), "%ld",
                 old == NULL ? 1
                             : strtol((const char *)seen.data, NULL, 10) + 1);
        error = tikv_raw_swap(client, text("counter"), seen,
                              (tikv_slice){ (uint8_t *)next, strlen(next) + 1 },
                              &options, &swapped, NULL);
        if (tikv_error_is_undetermined(error)) {
            fputs("in doubt: a real program looks before it goes on\n",
                  stderr);
        }
        must(error, "swap");
        tikv_value_free(old);
    }
}

static void *
raise_often(void *unused)
{
    int i;

    for (i = 0; i < STEPS; i++) {
        raise_once();
    }
    return unused;
}

int
main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    tikv_value *value;
    int i;

    client = open_client(argc, argv);
    must(tikv_raw_delete(client, text("counter"), NULL), "delete");
    for (i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, raise_often, NULL);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    must(tikv_raw_get(client, text("counter"), NULL, &value), "get");
    expect(value != NULL, "a counter");
    printf("%s steps\n", (const char *)tikv_value_slice(value).data);
    expect(strtol((const char *)tikv_value_slice(value).data, NULL, 10) ==
               (long)THREADS * STEPS,
           "no step lost");
    tikv_value_free(value);
    tikv_client_close(client);
    return 0;
}
