/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topology moves while the load runs: leaders change stores, regions
 * split and merge, at keys of the load, over the playground's control lines.
 * The number of regions stays between half and four times that of the start.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool
ask(struct bench_storm *storm, const char *what, const char *argument,
    uint64_t *out)
{
    char answer[64];

    if (!playground_ask(storm->playground, answer, sizeof(answer), "%s %s",
                        what, argument)) {
        return false;
    }
    *out = strtoull(answer, NULL, 10);
    return true;
}

static bool
transfer(struct bench_storm *storm, const char *key, uint64_t chance)
{
    char region_text[32];
    uint64_t region, leader, store;

    if (!ask(storm, "region", key, &region)) {
        return false;
    }
    snprintf(region_text, sizeof(region_text), "%" PRIu64, region);
    if (!ask(storm, "leader", region_text, &leader) ||
        storm->options->stores < 2) {
        return false;
    }
    store = 1 + chance % (storm->options->stores - 1);
    store += store >= leader ? 1 : 0;
    return playground_ask(storm->playground, NULL, 0,
                          "transfer %" PRIu64 " %" PRIu64, region, store);
}

static void
change(struct bench_storm *storm, uint64_t *random)
{
    uint64_t start = storm->options->regions, regions = 0;
    uint64_t chance = bench_random(random);
    char room[4096], key[19];
    tikv_slice bytes = bench_keys_spell(
        storm->keys, bench_random(random) % storm->options->keys, room);
    bool is_done;
    unsigned i;

    for (i = 0; i < 9; i++) {
        snprintf(key + 2 * i, 3, "%02x", bytes.data[i]);
    }
    if (!ask(storm, "regions", "", &regions)) {
        return;
    }
    if (chance % 4 < 2 && storm->options->stores > 1) {
        is_done = transfer(storm, key, chance >> 8);
    } else if (regions > 4 * start ||
               (regions > start / 2 + 1 && chance % 2 == 0)) {
        is_done = playground_ask(storm->playground, NULL, 0, "merge %s", key);
    } else {
        is_done = playground_ask(storm->playground, NULL, 0, "split %s", key);
    }
    storm->changes += is_done;
}

static void *
blow(void *arg)
{
    struct bench_storm *storm = arg;
    uint64_t random = storm->options->seed * 2 + 1, pause_ns;

    pause_ns = 1000000000 / storm->options->storm;
    while (!storm->must_end) {
        struct timespec pause = { (time_t)(pause_ns / 1000000000),
                                  (long)(pause_ns % 1000000000) };

        nanosleep(&pause, NULL);
        change(storm, &random);
    }
    return NULL;
}

void
bench_storm_start(struct bench_storm *storm)
{
    if (storm->options->storm > 0 && storm->playground != NULL) {
        pthread_create(&storm->thread, NULL, blow, storm);
    }
}

void
bench_storm_stop(struct bench_storm *storm)
{
    if (storm->options->storm > 0 && storm->playground != NULL) {
        storm->must_end = true;
        pthread_join(storm->thread, NULL);
    }
}
