/* SPDX-License-Identifier: Apache-2.0 */
/* A hot future without its operation: made, completed, taken, freed; and
 * handed over a completion queue instead. */
#include <stdlib.h>

#include "exec/future.h"
#include "perf_micro.h"

struct life {
    struct tk_runtime *rt;
    struct tk_exec *exec;
    tikv_queue *queue;
};

static const struct tk_future_ops ops;

static void *
begin(void)
{
    struct life *life = calloc(1, sizeof(*life));
    tikv_error *error;

    if (life == NULL) {
        return NULL;
    }
    life->rt = tk_runtime_posix_new();
    error = tk_exec_open(life->rt, 1, 1000, &life->exec);
    if (error == NULL) {
        error = tikv_queue_new(&life->queue);
    }
    tikv_error_free(error);
    return error == NULL ? life : NULL;
}

static void
end(void *state)
{
    struct life *life = state;

    tikv_queue_free(life->queue);
    tk_exec_close_begin(life->exec);
    tk_exec_close_end(life->exec);
    tk_exec_unref(life->exec);
    tk_runtime_posix_free(life->rt);
    free(life);
}

static tikv_future *
promise(struct life *life)
{
    return tk_future_new(life->exec, sizeof(tikv_future), &ops, TK_KIND_U64,
                         NULL, 1000 * TK_MS);
}

static void
keep_promise(struct life *life, tikv_future *future)
{
    struct tk_wakes wakes;

    tk_wakes_init(&wakes, life->rt);
    future->outcome.number[0] = 42;
    tk_future_complete(future, NULL, &wakes);
    tk_wakes_flush(&wakes);
}

static void
take(tikv_future *future)
{
    uint64_t number = 0;

    tikv_error_free(tikv_future_take_u64(future, &number));
    if (number != 42) {
        abort();
    }
    tikv_future_free(future);
}

static void
run_take(void *state, uint64_t operations)
{
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tikv_future *future = promise(state);

        keep_promise(state, future);
        take(future);
    }
}

/* 64 in flight, drained at once. */
static void
run_queue(void *state, uint64_t operations)
{
    enum { WINDOW = 64 };
    struct life *life = state;
    tikv_future *futures[WINDOW];
    uint64_t done;
    size_t i, count;

    for (done = 0; done < operations; done += WINDOW) {
        for (i = 0; i < WINDOW; i++) {
            futures[i] = promise(life);
            if (tikv_future_post(futures[i], life->queue, NULL) != NULL) {
                abort();
            }
        }
        for (i = 0; i < WINDOW; i++) {
            keep_promise(life, futures[i]);
        }
        count = tikv_queue_drain(life->queue, futures, NULL, WINDOW, 0);
        for (i = 0; i < count; i++) {
            take(futures[i]);
        }
    }
}

static const struct micro_cell cells[] = {
    { "take", 5000000, begin, run_take, end, 10000 },
    { "queue", 3200000, begin, run_queue, end, 6400 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
