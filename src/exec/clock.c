/* SPDX-License-Identifier: Apache-2.0 */
/* The monotonic clock, the only one that deadlines know. No state. */
#include <time.h>

#include <tikv/base.h>

#include "exec/runtime.h"

int64_t
tk_clock_monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
tikv_now_ns(void)
{
    return tk_clock_monotonic();
}
