/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies by log-linear buckets: 64 steps per power of two, so a value is
 * known to 1.6 %. Debian 12 packages no such histogram for C. One owner;
 * threads keep their own and are merged at the end.
 */
#ifndef PERF_HISTOGRAM_H
#define PERF_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_CELLS = 64 * 40 };

struct histogram {
    uint64_t cells[HISTOGRAM_CELLS];
    uint64_t count;
    uint64_t max;
};

void
histogram_add(struct histogram *histogram, uint64_t value);

void
histogram_merge(struct histogram *into, const struct histogram *from);

/* The smallest value that `percent` of all do not exceed; 0 when empty. */
uint64_t
histogram_at(const struct histogram *histogram, double percent);

/* Values known to be at most `value`: exact at values of histogram_at(). */
uint64_t
histogram_below(const struct histogram *histogram, uint64_t value);

/* By the middles of the cells. */
void
histogram_moments(const struct histogram *histogram, double *mean,
                  double *deviation);

#endif
