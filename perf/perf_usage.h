/* SPDX-License-Identifier: Apache-2.0 */
/* What a stretch of a run cost this process, and what the machine took away
 * meanwhile: a run with stolen time is no measurement. */
#ifndef PERF_USAGE_H
#define PERF_USAGE_H

#include <stdbool.h>
#include <stdint.h>

struct usage {
    int64_t wall_ns;
    int64_t cpu_ns; /* user and system, all threads */
    uint64_t switches;
    uint64_t rss_bytes;
    uint64_t steal_ticks; /* of the whole machine; 100 a second */
};

/* The clock of wall_ns alone: cheap. */
int64_t
usage_clock(void);

void
usage_now(struct usage *usage);

/* to - from; rss_bytes is that of `to`. */
/* Little enough was stolen that the figures mean something. */
bool
usage_is_clean(const struct usage *usage);

struct usage
usage_between(const struct usage *from, const struct usage *to);

#endif
