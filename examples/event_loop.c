/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside an event loop of one's own: a completion queue with a descriptor.
 * Here poll() watches it together with a pipe; epoll, libuv or asyncio do the
 * same. No thread but this one touches the program's data.
 */
#include <poll.h>
#include <unistd.h>

#include "example.h"

enum { COUNT = 200 };

static size_t
collect(tikv_queue *queue)
{
    tikv_future *ready[32];
    void *tags[32];
    size_t i, count, total = 0;

    /* Level triggered: what is not taken now makes poll() return again. */
    count = tikv_queue_drain(queue, ready, tags, 32, 0);
    for (i = 0; i < count; i++) {
        must(tikv_future_take_done(ready[i]), (const char *)tags[i]);
        tikv_future_free(ready[i]);
        total++;
    }
    return total;
}

int
main(int argc, char **argv)
{
    tikv_client *client = open_client(argc, argv);
    tikv_queue *queue;
    static char names[COUNT][24];
    int pipes[2];
    size_t i, done = 0;

    must(tikv_queue_new(&queue), "queue");
    expect(pipe(pipes) == 0 && tikv_queue_fd(queue) >= 0, "descriptors");
    for (i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof(names[i]), "loop/%zu", i);
        tikv_future *future =
            tikv_raw_put_async(client, text(names[i]), text("x"), NULL);
        /* The queue owns the future until it gives it back. */
        must(tikv_future_post(future, queue, names[i]), "post");
    }

    struct pollfd watched[2] = { { tikv_queue_fd(queue), POLLIN, 0 },
                                 { pipes[0], POLLIN, 0 } };
    while (done < COUNT) {
        expect(poll(watched, 2, 30000) > 0, "an event within 30 s");
        if (watched[0].revents != 0) {
            done += collect(queue);
        }
    }
    printf("%zu futures through one descriptor\n", done);
    tikv_queue_free(queue);
    tikv_client_close(client);
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}
