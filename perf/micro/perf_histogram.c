/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark itself adds to each operation: one latency counted, and
 * the clock read for it. */
#include <stdlib.h>

#include "perf_histogram.h"
#include "perf_micro.h"
#include "perf_usage.h"

static void *
begin(void)
{
    return calloc(1, sizeof(struct histogram));
}

static void
run_add(void *state, uint64_t operations)
{
    uint64_t i, value = 1;

    for (i = 0; i < operations; i++) {
        value = value * UINT64_C(6364136223846793005) + 1;
        histogram_add(state, value >> 40);
    }
}

static void
run_clock(void *state, uint64_t operations)
{
    uint64_t i;

    (void)state;
    for (i = 0; i < operations; i++) {
        int64_t now = usage_clock();

        micro_keep(&now);
    }
}

static const struct micro_cell cells[] = {
    { "add", 20000000, begin, run_add, free, 0 },
    { "clock", 5000000, begin, run_clock, free, 0 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), NULL, argc,
                      argv);
}
