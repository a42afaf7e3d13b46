/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies by log-linear buckets. */
#include "perf_histogram.h"

#include <math.h>
#include <stddef.h>

static size_t
cell_of(uint64_t value)
{
    unsigned shift;
    size_t cell;

    if (value < 2 * HISTOGRAM_STEPS) {
        return (size_t)value;
    }
    /* The top seven bits: a leading one and the step. */
    shift = 63U - (unsigned)__builtin_clzll(value) - 6U;
    cell = (size_t)(shift + 1) * HISTOGRAM_STEPS +
           (size_t)((value >> shift) - HISTOGRAM_STEPS);
    return cell < HISTOGRAM_CELLS ? cell : HISTOGRAM_CELLS - 1;
}

/* The largest value of a cell. */
static uint64_t
top_of(size_t cell)
{
    unsigned shift;

    if (cell < 2 * HISTOGRAM_STEPS) {
        return cell;
    }
    shift = (unsigned)(cell / HISTOGRAM_STEPS) - 1;
    return ((HISTOGRAM_STEPS + cell % HISTOGRAM_STEPS + 1) << shift) - 1;
}

void
histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->cells[cell_of(value)]++;
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

void
histogram_merge(struct histogram *into, const struct histogram *from)
{
    size_t i;

    for (i = 0; i < HISTOGRAM_CELLS; i++) {
        into->cells[i] += from->cells[i];
    }
    into->count += from->count;
    if (from->max > into->max) {
        into->max = from->max;
    }
}

uint64_t
histogram_at(const struct histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)((double)histogram->count * percent / 100);
    uint64_t seen = 0;
    size_t i;

    if (histogram->count == 0) {
        return 0;
    }
    if (wanted >= histogram->count) {
        return histogram->max;
    }
    for (i = 0; i < HISTOGRAM_CELLS; i++) {
        seen += histogram->cells[i];
        if (seen > wanted) {
            break;
        }
    }
    return top_of(i) < histogram->max ? top_of(i) : histogram->max;
}

uint64_t
histogram_below(const struct histogram *histogram, uint64_t value)
{
    size_t i, last = cell_of(value);
    uint64_t seen = 0;

    for (i = 0; i <= last; i++) {
        seen += histogram->cells[i];
    }
    return seen;
}

void
histogram_moments(const struct histogram *histogram, double *mean,
                  double *deviation)
{
    double count = (double)(histogram->count + (histogram->count == 0));
    double sum = 0, squares = 0;
    size_t i;

    for (i = 0; i < HISTOGRAM_CELLS; i++) {
        double top = (double)top_of(i);
        double bottom = i == 0 ? 0 : (double)top_of(i - 1) + 1;
        double middle = (top + bottom) / 2;
        double weight = (double)histogram->cells[i];

        sum += weight * middle;
        squares += weight * middle * middle;
    }
    *mean = sum / count;
    *deviation = sqrt(fmax(0, squares / count - *mean * *mean));
}
