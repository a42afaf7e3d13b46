/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The region map alone: lookups of random keys among 1,000 to 1,000,000
 * regions, by one and two readers, still and while a writer replaces entries
 * at a given pace, beside a sorted array under pthread_rwlock. Goals: 100 ns
 * among 100,000; two readers do at least 1.9 times what one does.
 *
 * Keys have the shape of one table's rows, of the rows of many tables with
 * 1,000 regions each, or of hashes. Readers are timed by the processor time
 * of their threads, so that sharing the cores with others is not taken for
 * contention; the best of three rounds counts.
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

enum {
    KEY = 19,
    ASKED = 65536,
    PUBLISH_EVERY = 1000,
    LOOKUPS = 400000,
    ROUNDS = 3,
    TABLE = 10000 /* rows that are asked for; every tenth begins a region */
};

enum shape { ROWS, TABLES, HASHES };

struct item {
    struct tk_map_entry entry; /* first */
    struct tk_retired retired;
    uint8_t bytes[KEY + 1];
};

struct world {
    struct tk_runtime *rt;
    struct tk_map map;
    enum shape shape;
    size_t count;
    struct tk_map_entry **sorted; /* the rival */
    pthread_rwlock_t lock;
    uint8_t (*asked)[KEY + 1];
    struct tk_rng rng;
};

static void
spell_number(uint64_t number, unsigned bytes, uint8_t *out)
{
    unsigned i;

    for (i = 0; i < bytes; i++) {
        out[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    }
}

/* t, table, _r, row, as TiDB spells them. */
static void
spell_row(uint64_t table, uint64_t row, uint8_t *out)
{
    out[0] = 't';
    spell_number(UINT64_C(1) << 63 | table, 8, out + 1);
    out[9] = '_';
    out[10] = 'r';
    spell_number(UINT64_C(1) << 63 | row, 8, out + 11);
}

/* Orders like the number, where the shape has an order. */
static void
spell(enum shape shape, uint64_t number, uint8_t *out)
{
    if (shape == ROWS) {
        spell_row(77, number * 100, out);
    } else if (shape == TABLES) {
        spell_row(100 + number / TABLE, number % TABLE * 100, out);
    } else {
        struct tk_rng rng = { number };

        spell_number(tk_rng_next(&rng), 8, out);
        spell_number(tk_rng_next(&rng), 8, out + 8);
        spell_number(number, 3, out + 16);
    }
}

static struct item *
item_new(enum shape shape, uint64_t number)
{
    struct item *item = calloc(1, sizeof(*item));

    if (item == NULL) {
        abort();
    }
    spell(shape, number, item->bytes);
    item->entry.key = (tikv_slice){ item->bytes, KEY };
    return item;
}

static void
item_free(struct tk_retired *retired)
{
    free((char *)retired - offsetof(struct item, retired));
}

static int
by_key(const void *left, const void *right)
{
    const struct tk_map_entry *const *a = left;
    const struct tk_map_entry *const *b = right;

    return tk_slice_compare((*a)->key, (*b)->key);
}

static void *
begin(size_t count, enum shape shape)
{
    struct world *world = calloc(1, sizeof(*world));
    size_t i;

    if (world == NULL) {
        return NULL;
    }
    world->rt = tk_runtime_posix_new();
    world->count = count;
    world->shape = shape;
    world->sorted = calloc(count, sizeof(struct tk_map_entry *));
    world->asked = calloc(ASKED, sizeof(*world->asked));
    world->rng.state = 11;
    pthread_rwlock_init(&world->lock, NULL);
    tk_map_init(&world->map, world->rt);
    for (i = 0; i < count; i++) {
        struct item *item = item_new(shape, i * 10);

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
        spell(shape, tk_rng_below(&world->rng, count * 10), world->asked[i]);
    }
    if (shape == HASHES) {
        qsort(world->sorted, count, sizeof(world->sorted[0]), by_key);
    }
    return world;
}

static void *
begin_1k(void)
{
    return begin(1000, ROWS);
}

static void *
begin_100k(void)
{
    return begin(100000, ROWS);
}

static void *
begin_tables(void)
{
    return begin(100000, TABLES);
}

static void *
begin_hashes(void)
{
    return begin(100000, HASHES);
}

static void *
begin_1m(void)
{
    return begin(1000000, ROWS);
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
        micro_keep(entry == NULL ? NULL : entry->key.data);
        tk_epoch_leave(world->rt);
    }
}

/* One replaced entry, as after a change of a region's epoch. */
static void
change(struct world *world, bool with_rival)
{
    size_t at = tk_rng_below(&world->rng, world->count);
    struct item *item = item_new(world->shape, at * 10);
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
    int64_t cpu_ns;
};

struct writer {
    struct world *world;
    uint64_t pace;
    _Atomic bool must_end;
    pthread_t thread;
};

static int64_t
thread_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void *
read_on(void *arg)
{
    struct reader *reader = arg;
    int64_t begun = thread_clock();

    reader->run(reader->world, LOOKUPS);
    reader->cpu_ns = thread_clock() - begun;
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

/* Nanoseconds of a lookup, the mean of all readers. */
static double
contend(struct world *world, void (*run)(void *, uint64_t), unsigned readers,
        uint64_t pace)
{
    struct reader threads[2];
    struct writer writer = { .world = world, .pace = pace };
    double spent = 0;
    unsigned i;

    if (pace > 0) {
        pthread_create(&writer.thread, NULL, write_on, &writer);
    }
    for (i = 0; i < readers; i++) {
        threads[i].world = world;
        threads[i].run = run;
        pthread_create(&threads[i].thread, NULL, read_on, &threads[i]);
    }
    for (i = 0; i < readers; i++) {
        pthread_join(threads[i].thread, NULL);
        spent += (double)threads[i].cpu_ns;
    }
    if (pace > 0) {
        writer.must_end = true;
        pthread_join(writer.thread, NULL);
    }
    return spent / (double)readers / LOOKUPS;
}

static void
compare_in(struct world *world, uint64_t pace)
{
    static void (*const runs[])(void *, uint64_t) = { run_lookup, run_rival };
    double best[2][2]; /* of run, with so many readers */
    size_t round, run, more;

    for (round = 0; round < ROUNDS; round++) {
        for (run = 0; run < 2; run++) {
            for (more = 0; more < 2; more++) {
                double ns =
                    contend(world, runs[run], (unsigned)more + 1, pace);

                best[run][more] = round == 0 || ns < best[run][more]
                                      ? ns
                                      : best[run][more];
            }
        }
    }
    printf("%9zu %9u |", world->count, (unsigned)pace);
    for (run = 0; run < 2; run++) {
        printf(" %8.1f %8.1f %7.2f |", best[run][0], best[run][1],
               2 * best[run][0] / best[run][1]);
    }
    printf(" %7.1f\n", best[1][0] / best[0][0]);
    fflush(stdout);
}

static void
compare(void)
{
    static const size_t counts[] = { 1000, 100000, 1000000 };
    static const uint64_t paces[] = { 0, 1000, 10000 };
    size_t i, j;

    printf("\n%19s | %25s | %25s | %7s\n%9s %9s |", "", "map: ns by 1, by 2",
           "rwlock + sorted array", "array /", "regions", "changes/s");
    for (i = 0; i < 2; i++) {
        printf(" %25s |", "readers, scaling");
    }
    printf(" %7s\n", "map");
    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct world *world = begin(counts[i], ROWS);

        for (j = 0; j < sizeof(paces) / sizeof(paces[0]); j++) {
            compare_in(world, paces[j]);
        }
        end(world);
    }
}

static const struct micro_cell cells[] = {
    { "lookup-1k", 5000000, begin_1k, run_lookup, end, 10000 },
    { "lookup-100k", 5000000, begin_100k, run_lookup, end, 10000 },
    { "lookup-100k-tables", 5000000, begin_tables, run_lookup, end, 10000 },
    { "lookup-100k-hashes", 5000000, begin_hashes, run_lookup, end, 10000 },
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
