/* SPDX-License-Identifier: Apache-2.0 */
/* Small seeded random numbers (splitmix64), for jitter and simulation; not
 * for secrets. One owner at a time. */
#ifndef TK_BASE_RNG_H
#define TK_BASE_RNG_H

#include <stdint.h>

struct tk_rng {
    uint64_t state;
};

static inline uint64_t
tk_rng_next(struct tk_rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 0 .. below - 1; 0 for 0. */
static inline uint64_t
tk_rng_below(struct tk_rng *rng, uint64_t below)
{
    return below == 0 ? 0 : tk_rng_next(rng) % below;
}

#endif
