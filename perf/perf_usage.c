/* SPDX-License-Identifier: Apache-2.0 */
/* What a stretch of a run cost this process. */
#include "perf_usage.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int64_t
from_timeval(const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000000000 + (int64_t)time->tv_usec * 1000;
}

static uint64_t
read_rss(void)
{
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file != NULL) {
        if (fscanf(file, "%llu %llu", &pages, &resident) != 2) {
            resident = 0;
        }
        fclose(file);
    }
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t
read_steal(void)
{
    unsigned long long fields[8] = { 0 };
    FILE *file = fopen("/proc/stat", "r");

    if (file != NULL) {
        if (fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
                   &fields[0], &fields[1], &fields[2], &fields[3], &fields[4],
                   &fields[5], &fields[6], &fields[7]) != 8) {
            fields[7] = 0;
        }
        fclose(file);
    }
    return fields[7];
}

int64_t
usage_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void
usage_now(struct usage *usage)
{
    struct rusage self;
    memset(usage, 0, sizeof(*usage));
    getrusage(RUSAGE_SELF, &self);
    usage->wall_ns = usage_clock();
    usage->cpu_ns = from_timeval(&self.ru_utime) + from_timeval(&self.ru_stime);
    usage->switches = (uint64_t)self.ru_nvcsw + (uint64_t)self.ru_nivcsw;
    usage->rss_bytes = read_rss();
    usage->steal_ticks = read_steal();
}

struct usage
usage_between(const struct usage *from, const struct usage *to)
{
    return (struct usage){
        to->wall_ns - from->wall_ns,         to->cpu_ns - from->cpu_ns,
        to->switches - from->switches,       to->rss_bytes,
        to->steal_ticks - from->steal_ticks,
    };
}

/* About a tenth of the two cores' ticks; 35 in a run of 1.75 s and less. */
bool
usage_is_clean(const struct usage *usage)
{
    int64_t allowed = usage->wall_ns / 50000000;

    return usage->steal_ticks <= (uint64_t)(allowed > 35 ? allowed : 35);
}
