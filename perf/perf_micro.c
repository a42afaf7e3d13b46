/* SPDX-License-Identifier: Apache-2.0 */
/* Running cells: by the clock the best of five, since whatever else the
 * machine does can only make them slower. */
#include "perf_micro.h"

#include "perf_usage.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { REPEATS = 5 };

void
micro_collect(void (*run)(void *, uint64_t), void *state, uint64_t operations)
    __attribute__((noinline, noclone));

/* The name that callgrind is told. */
void
micro_collect(void (*run)(void *, uint64_t), void *state, uint64_t operations)
{
    run(state, operations);
    micro_keep(state);
}

static bool
measure(const char *program, const struct micro_cell *cell, bool is_gate)
{
    uint64_t operations = is_gate ? cell->gate : cell->operations;
    void *state = cell->begin();
    int64_t best = INT64_MAX;
    unsigned i;

    if (state == NULL) {
        fprintf(stderr, "%s: %s: no memory\n", program, cell->name);
        return false;
    }
    if (is_gate) {
        micro_collect(cell->run, state, operations);
        printf("%s\t%s\t%" PRIu64 "\n", program, cell->name, operations);
    } else {
        for (i = 0; i < REPEATS; i++) {
            int64_t begun = usage_clock();

            micro_collect(cell->run, state, operations);
            if (usage_clock() - begun < best) {
                best = usage_clock() - begun;
            }
        }
        printf("%-16s %-24s %10.1f ns/op\n", program, cell->name,
               (double)best / (double)operations);
        fflush(stdout);
    }
    cell->end(state);
    return true;
}

static int
list(const char *program, const struct micro_cell *cells, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (cells[i].gate > 0) {
            printf("%s\t%s\t%" PRIu64 "\n", program, cells[i].name,
                   cells[i].gate);
        }
    }
    return 0;
}

static int
run_all(const char *program, const struct micro_cell *cells, size_t count,
        void (*more)(void))
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (!measure(program, &cells[i], false)) {
            return 1;
        }
    }
    if (more != NULL) {
        more();
    }
    return 0;
}

int
micro_main(const struct micro_cell *cells, size_t count, void (*more)(void),
           int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *program = slash == NULL ? argv[0] : slash + 1;
    bool is_gate = argc == 4 && strcmp(argv[3], "--gate") == 0;
    size_t i;

    if (argc == 1) {
        return run_all(program, cells, count, more);
    }
    if (argc == 2 && strcmp(argv[1], "--list") == 0) {
        return list(program, cells, count);
    }
    if ((argc == 3 || is_gate) && strcmp(argv[1], "--cell") == 0) {
        for (i = 0; i < count; i++) {
            if (strcmp(cells[i].name, argv[2]) == 0 &&
                (!is_gate || cells[i].gate > 0)) {
                return measure(program, &cells[i], is_gate) ? 0 : 1;
            }
        }
    }
    fprintf(stderr, "usage: %s [--list | --cell NAME [--gate]]\n", program);
    return 2;
}
