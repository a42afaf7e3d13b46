/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame of the micro benchmarks: a program has cells, a cell makes its
 * state, runs a fixed number of operations, and ends. What a cell does is
 * measured by the clock here, and by counted instructions in `make
 * perf-gate`: both look at micro_collect() and what it calls, nothing else.
 */
#ifndef PERF_MICRO_H
#define PERF_MICRO_H

#include <stddef.h>
#include <stdint.h>

struct micro_cell {
    const char *name;
    uint64_t operations;
    void *(*begin)(void); /* NULL: cannot */
    void (*run)(void *state, uint64_t operations);
    void (*end)(void *state);
    uint64_t gate; /* operations when instructions are counted; 0: never */
};

/* PROGRAM [--list | --cell NAME [--gate]]; everything without arguments.
 * Returns the exit status. `more` (may be NULL) is run after the cells when
 * everything is. */
int
micro_main(const struct micro_cell *cells, size_t count, void (*more)(void),
           int argc, char **argv);

/* Keeps the compiler from dropping what nobody looks at. */
static inline void
micro_keep(const void *value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#endif
