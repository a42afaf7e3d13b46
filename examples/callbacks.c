/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being told instead of waiting. A callback comes exactly once, on a thread
 * of the library, also after the future was freed, cancelled, or the client
 * closed; it may start other calls, but it must not block.
 */
#include <pthread.h>

#include "example.h"

enum { COUNT = 100 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t became_zero = PTHREAD_COND_INITIALIZER;
static int left = COUNT;
static int failed;

static void
count_down(tikv_future *future, void *arg)
{
    tikv_error *error = tikv_future_take_done(future);

    (void)arg;
    pthread_mutex_lock(&lock);
    failed += error != NULL;
    if (--left == 0) {
        pthread_cond_signal(&became_zero);
    }
    pthread_mutex_unlock(&lock);
    tikv_error_free(error);
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    char name[24];
    int i;

    for (i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "callback/%d", i);
        tikv_future *future =
            tikv_raw_put_async(client, text(name), text("x"), NULL);
        must(tikv_future_on_ready(future, count_down, NULL), "on_ready");
        tikv_future_free(future); /* the put runs on; count_down hears of it */
    }
    pthread_mutex_lock(&lock);
    while (left > 0) {
        pthread_cond_wait(&became_zero, &lock);
    }
    pthread_mutex_unlock(&lock);
    printf("%d callbacks, %d failures\n", COUNT, failed);
    expect(failed == 0, "every put to succeed");
    tikv_client_close(client);
    return 0;
}
