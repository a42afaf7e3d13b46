/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which record is next. Ranks of the zipfian distribution are drawn as YCSB
 * does (Gray et al., "Quickly generating billion-record synthetic
 * databases"), and scattered, so that hot records do not lie in one region.
 */
#include "bench.h"

#include <math.h>
#include <string.h>

/* Up to here the sum is added up, beyond it is estimated by its integral. */
enum { ZETA_EXACT = 1000000 };

uint64_t
bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double
zeta(uint64_t count, double theta)
{
    uint64_t exact = count < ZETA_EXACT ? count : ZETA_EXACT;
    double sum = 0;
    uint64_t i;

    for (i = 1; i <= exact; i++) {
        sum += pow((double)i, -theta);
    }
    return count == exact ? sum
                          : sum + (pow((double)count, 1 - theta) -
                                   pow((double)exact, 1 - theta)) /
                                      (1 - theta);
}

void
bench_keys_init(struct bench_keys *keys, const struct bench_options *options)
{
    memset(keys, 0, sizeof(*keys));
    keys->dist = options->dist;
    keys->keys = options->keys;
    keys->key_bytes = options->key_bytes;
    if (options->dist == BENCH_ZIPF || options->dist == BENCH_LATEST) {
        keys->theta = options->theta;
        keys->zeta = zeta(options->keys, options->theta);
        keys->alpha = 1 / (1 - options->theta);
        keys->eta = (1 - pow(2.0 / (double)options->keys, 1 - options->theta)) /
                    (1 - zeta(2, options->theta) / keys->zeta);
    }
}

static uint64_t
zipf_rank(const struct bench_keys *keys, uint64_t *random)
{
    double u = (double)(bench_random(random) >> 11) / (double)(1ULL << 53);
    double uz = u * keys->zeta;
    double rank;

    if (uz < 1 || keys->keys < 3) {
        return 0;
    }
    if (uz < 1 + pow(0.5, keys->theta)) {
        return 1;
    }
    rank = (double)keys->keys * pow(keys->eta * u - keys->eta + 1, keys->alpha);
    return rank < (double)keys->keys ? (uint64_t)rank : keys->keys - 1;
}

static uint64_t
scatter(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

uint64_t
bench_keys_pick(struct bench_keys *keys, uint64_t *random)
{
    switch (keys->dist) {
    case BENCH_ZIPF:
        return scatter(zipf_rank(keys, random)) % keys->keys;
    case BENCH_LATEST:
        return keys->keys + keys->landed - 1 - zipf_rank(keys, random);
    case BENCH_SEQUENTIAL:
        return atomic_fetch_add_explicit(&keys->next, 1, memory_order_relaxed) %
               keys->keys;
    case BENCH_UNIFORM:
    default:
        return bench_random(random) % keys->keys;
    }
}

uint64_t
bench_keys_insert(struct bench_keys *keys)
{
    return keys->keys + keys->inserted++;
}

static void
put_number(char *room, uint64_t number)
{
    unsigned i;

    for (i = 0; i < 4; i++) {
        room[i] = (char)(number >> (24 - 8 * i));
    }
}

/* Four bytes spread the records over the whole key space, so that evenly
 * split regions get even load; the first records stand in order, those
 * inserted later lie among them. */
tikv_slice
bench_keys_spell(const struct bench_keys *keys, uint64_t number, char *room)
{
    if (number < keys->keys) {
        put_number(room, number * (UINT32_MAX / keys->keys));
        memcpy(room + 4, "bench", 5);
    } else {
        put_number(room, number * UINT64_C(2654435761));
        room[4] = 'i';
        put_number(room + 5, number);
    }
    if (keys->key_bytes > 9) {
        memset(room + 9, 'k', keys->key_bytes - 9);
    }
    return (tikv_slice){ (const uint8_t *)room, keys->key_bytes };
}
