/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region map alone: lookups among 1,000 to 1,000,000 keys with long
 * common prefixes, by one and two readers, still and while a writer replaces
 * entries at a given pace, beside a sorted array under pthread_rwlock. Goals:
 * 100 ns among 100,000; two readers do at least 1.9 times what one does.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "perf_micro.h"
#include "perf_usage.h"
#include "region/map.h"

enum { KEY = 19, ASKED = 65536, PUBLISH_EVERY = 1000, LOOKUPS = 1000000 };

struct item {
    struct tk_map_entry entry; /* first */
    struct tk_retired retired;
    uint8_t bytes[KEY + 1];
};

struct world {
    struct tk_runtime *rt;
    struct tk_map map;
    size_t count;
    struct tk_map_entry **sorted; /* the rival */
    pthread_rwlock_t lock;
    uint8_t (*asked)[KEY + 1];
    struct tk_rng rng;
};

/* A table's rows: eight bytes in common, then the row. */
static void
spell(uint64_t number, uint8_t *out)
{
    snprintf((char *)out, KEY + 1, "t\x80table7_r%09u", (unsigned)number);
}

static struct item *
item_new(uint64_t number)
{
    struct item *item = calloc(1, sizeof(*item));

    if (item == NULL) {
        abort();
    }
    spell(number, item->bytes);
    item->entry.key = (tikv_slice){ item->bytes, KEY };
    return item;
}

static void
item_free(struct tk_retired *retired)
{
    free((char *)retired - offsetof(struct item, retired));
}

static void *
begin(size_t count)
{
    struct world *world = calloc(1, sizeof(*world));
    size_t i;

    if (world == NULL) {
        return NULL;
    }
    world->rt = tk_runtime_posix_new();
    world->count = count;
    world->sorted = calloc(count, sizeof(struct tk_map_entry *));
    world->asked = calloc(ASKED, sizeof(*world->asked));
    world->rng.state = 11;
    pthread_rwlock_init(&world->lock, NULL);
    tk_map_init(&world->map, world->rt);
    for (i = 0; i < count; i++) {
        struct item *item = item_new(i * 10);

        world->sorted[i] = &item->entry;
        if (!tk_map_put(&world->map, &item->entry, NULL)) {
            abort();
        }
        if (i % PUBLISH_EVERY == 0) {
            tk_map_publish(&world->map);
        }
    }
    tk_map_publish(&world->map);
    tk_epoch_drain(world->rt);
    for (i = 0; i < ASKED; i++) {
        spell(tk_rng_below(&world->rng, count * 10), world->asked[i]);
    }
    return world;
}

static void *
begin_1k(void)
{
    return begin(1000);
}

static void *
begin_100k(void)
{
    return begin(100000);
}

static void *
begin_1m(void)
{
    return begin(1000000);
}

static void
end(void *state)
{
    struct world *world = state;
    size_t i;

    tk_map_fini(&world->map);
    tk_epoch_drain(world->rt);
    for (i = 0; i < world->count; i++) {
        free(world->sorted[i]);
    }
    free(world->sorted);
    free(world->asked);
    pthread_rwlock_destroy(&world->lock);
    tk_runtime_posix_free(world->rt);
    free(world);
}

static void
run_lookup(void *state, uint64_t operations)
{
    struct world *world = state;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tikv_slice key = { world->asked[i % ASKED], KEY };
        const struct tk_map_entry *entry;

        tk_epoch_enter(world->rt);
        entry = tk_map_floor(&world->map, key);
        micro_keep(entry->key.data);
        tk_epoch_leave(world->rt);
    }
}

/* One replaced entry, as after a change of a region's epoch. */
static void
change(struct world *world, bool with_rival)
{
    size_t at = tk_rng_below(&world->rng, world->count);
    struct item *item = item_new(at * 10);
    struct tk_map_entry *old = NULL;

    if (!tk_map_put(&world->map, &item->entry, &old)) {
        abort();
    }
    tk_map_publish(&world->map);
    if (with_rival) {
        pthread_rwlock_wrlock(&world->lock);
    }
    world->sorted[at] = &item->entry;
    if (with_rival) {
        pthread_rwlock_unlock(&world->lock);
    }
    tk_epoch_retire(world->rt, &((struct item *)(void *)old)->retired,
                    item_free);
}

static void
run_change(void *state, uint64_t operations)
{
    uint64_t i;

    for (i = 0; i < operations; i++) {
        change(state, false);
    }
}

/* ---- readers beside a writer ---- */

static void
run_rival(void *state, uint64_t operations)
{
    struct world *world = state;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        tikv_slice key = { world->asked[i % ASKED], KEY };
        size_t low = 0, high = world->count;

        /* The epoch only keeps what the writer replaces alive for us. */
        tk_epoch_enter(world->rt);
        pthread_rwlock_rdlock(&world->lock);
        while (high - low > 1) {
            size_t middle = low + (high - low) / 2;

            if (tk_slice_compare(world->sorted[middle]->key, key) <= 0) {
                low = middle;
            } else {
                high = middle;
            }
        }
        micro_keep(world->sorted[low]->key.data);
        pthread_rwlock_unlock(&world->lock);
        tk_epoch_leave(world->rt);
    }
}

struct reader {
    struct world *world;
    void (*run)(void *, uint64_t);
    pthread_t thread;
};

struct writer {
    struct world *world;
    uint64_t pace;
    _Atomic bool must_end;
    pthread_t thread;
};

static void *
read_on(void *arg)
{
    struct reader *reader = arg;

    reader->run(reader->world, LOOKUPS);
    return NULL;
}

/* As many changes each millisecond as the pace asks for. */
static void *
write_on(void *arg)
{
    struct writer *writer = arg;
    const struct timespec pause = { 0, 1000000 };
    int64_t begun = usage_clock();
    uint64_t done = 0;

    while (!writer->must_end) {
        uint64_t due =
            (uint64_t)(usage_clock() - begun) * writer->pace / 1000000000;

        for (; done < due; done++) {
            change(writer->world, true);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Lookups per microsecond of all readers together. */
static double
contend(struct world *world, void (*run)(void *, uint64_t), unsigned readers,
        uint64_t pace)
{
    struct reader threads[2];
    struct writer writer = { .world = world, .pace = pace };
    int64_t begun;
    unsigned i;

    if (pace > 0) {
        pthread_create(&writer.thread, NULL, write_on, &writer);
    }
    begun = usage_clock();
    for (i = 0; i < readers; i++) {
        threads[i].world = world;
        threads[i].run = run;
        pthread_create(&threads[i].thread, NULL, read_on, &threads[i]);
    }
    for (i = 0; i < readers; i++) {
        pthread_join(threads[i].thread, NULL);
    }
    begun = usage_clock() - begun;
    if (pace > 0) {
        writer.must_end = true;
        pthread_join(writer.thread, NULL);
    }
    return (double)LOOKUPS * readers * 1000 / (double)begun;
}

static void
compare(void)
{
    static const size_t counts[] = { 1000, 100000, 1000000 };
    static const uint64_t paces[] = { 0, 1000, 10000 };
    size_t i, j;

    printf("\n%9s %9s | %-26s | %s\n", "regions", "changes/s",
           "map: ns, 2 readers: ns x", "rwlock + sorted array: ns, ns x");
    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct world *world = begin(counts[i]);

        for (j = 0; j < sizeof(paces) / sizeof(paces[0]); j++) {
            double map1 = contend(world, run_lookup, 1, paces[j]);
            double map2 = contend(world, run_lookup, 2, paces[j]);
            double rival1 = contend(world, run_rival, 1, paces[j]);
            double rival2 = contend(world, run_rival, 2, paces[j]);

            printf("%9zu %9u | %8.1f %8.1f %7.2f | %8.1f %8.1f %7.2f\n",
                   counts[i], (unsigned)paces[j], 1000 / map1, 2000 / map2,
                   map2 / map1, 1000 / rival1, 2000 / rival2, rival2 / rival1);
            fflush(stdout);
        }
        end(world);
    }
}

static const struct micro_cell cells[] = {
    { "lookup-1k", 5000000, begin_1k, run_lookup, end, 10000 },
    { "lookup-100k", 5000000, begin_100k, run_lookup, end, 10000 },
    { "lookup-1m", 2000000, begin_1m, run_lookup, end, 0 },
    { "change-1k", 100000, begin_1k, run_change, end, 1000 },
    { "change-100k", 100000, begin_100k, run_change, end, 0 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), compare, argc,
                      argv);
}
