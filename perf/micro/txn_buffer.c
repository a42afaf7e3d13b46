/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds per key of set, get and walk of a transaction's buffer beside a
 * plain balanced tree (libc's tsearch, a red-black tree, with one block per
 * key and value) in the same run; keys of 19 bytes with long prefixes, values
 * of 100, in order and at random. CPU time of the thread, so that the
 * machine's other guests disturb less.
 *
 * The table comes after the one cell of this program.
 */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "perf_micro.h"
#include "txn/buffer.h"

enum { KEY_LEN = 19, VALUE_LEN = 100, WORK = 500000 };

struct keys {
    char (*text)[KEY_LEN + 1];
    size_t count;
};

struct times {
    double set_ns;
    double get_ns;
    double walk_ns;
    double bytes; /* per key */
    size_t found;
};

static uint8_t value_bytes[VALUE_LEN];

static int64_t
cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void
make_keys(struct keys *keys, size_t count, bool is_random)
{
    struct tk_rng rng = { 5 };
    size_t i;

    keys->count = count;
    keys->text = tk_alloc_array(count, sizeof(keys->text[0]));
    for (i = 0; i < count; i++) {
        snprintf(keys->text[i], sizeof(keys->text[i]), "t\x80table77_r%08u",
                 (unsigned)(i * 7 % 100000000));
    }
    for (i = count - 1; is_random && i > 0; i--) {
        size_t other = tk_rng_below(&rng, i + 1);
        char held[KEY_LEN + 1];

        memcpy(held, keys->text[i], sizeof(held));
        memcpy(keys->text[i], keys->text[other], sizeof(held));
        memcpy(keys->text[other], held, sizeof(held));
    }
}

static tikv_slice
key_at(const struct keys *keys, size_t i)
{
    return tk_slice(keys->text[i], KEY_LEN);
}

/* ---- ours ---- */

static void
run_buffer(const struct keys *keys, struct times *times)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    struct tk_buffer_item item;
    tikv_slice open = { NULL, 0 };
    int64_t begun = cpu_ns();
    size_t i;

    for (i = 0; i < keys->count; i++) {
        tikv_error_free(tk_buffer_set(buffer, key_at(keys, i),
                                      tk_slice(value_bytes, VALUE_LEN), 0));
    }
    times->set_ns += (double)(cpu_ns() - begun);
    begun = cpu_ns();
    for (i = 0; i < keys->count; i++) {
        times->found += tk_buffer_get(buffer, key_at(keys, i), &item) &&
                        item.value.len == VALUE_LEN;
    }
    times->get_ns += (double)(cpu_ns() - begun);
    begun = cpu_ns();
    for (tk_buffer_iterate(buffer, TK_WALK_VALUES, open, open, false, &iter);
         iter.is_valid; tikv_error_free(tk_buffer_iter_next(&iter))) {
        times->found += iter.item.value.data[0] == 0;
    }
    times->walk_ns += (double)(cpu_ns() - begun);
    times->bytes = (double)tk_buffer_footprint(buffer);
    tk_buffer_free(buffer);
}

/* ---- a plain balanced tree ---- */

struct plain {
    tikv_slice key;
    size_t value_len;
    uint8_t bytes[];
};

static int
compare_plain(const void *a, const void *b)
{
    return tk_slice_compare(((const struct plain *)a)->key,
                            ((const struct plain *)b)->key);
}

static size_t walked;

static void
count_plain(const void *node, VISIT visit, int depth)
{
    const struct plain *plain = *(const struct plain *const *)node;

    (void)depth;
    if (visit == postorder || visit == leaf) {
        walked += plain->bytes[KEY_LEN] == 0;
    }
}

static void
run_plain(const struct keys *keys, struct times *times)
{
    void *root = NULL;
    int64_t begun = cpu_ns();
    size_t i;

    for (i = 0; i < keys->count; i++) {
        struct plain *plain =
            tk_alloc(sizeof(*plain) + KEY_LEN + VALUE_LEN);

        memcpy(plain->bytes, keys->text[i], KEY_LEN);
        memcpy(plain->bytes + KEY_LEN, value_bytes, VALUE_LEN);
        plain->key = tk_slice(plain->bytes, KEY_LEN);
        plain->value_len = VALUE_LEN;
        (void)tsearch(plain, &root, compare_plain);
    }
    times->set_ns += (double)(cpu_ns() - begun);
    begun = cpu_ns();
    for (i = 0; i < keys->count; i++) {
        struct plain sought = { .key = key_at(keys, i) };
        struct plain *const *node = tfind(&sought, &root, compare_plain);

        times->found += node != NULL && (*node)->value_len == VALUE_LEN;
    }
    times->get_ns += (double)(cpu_ns() - begun);
    walked = 0;
    begun = cpu_ns();
    twalk(root, count_plain);
    times->walk_ns += (double)(cpu_ns() - begun);
    times->found += walked;
    /* Blocks of the tree and of the entry, without the allocator's own. */
    times->bytes = (double)keys->count *
                   (32 + 16 + sizeof(struct plain) + KEY_LEN + VALUE_LEN);
    tdestroy(root, tk_free);
}

/* ---- */

static void
measure(const char *name, const struct keys *keys,
        void (*run)(const struct keys *, struct times *))
{
    size_t rounds = WORK / keys->count < 1 ? 1 : WORK / keys->count;
    double all = (double)rounds * (double)keys->count;
    struct times times = { .found = 0 };
    size_t i;

    for (i = 0; i < rounds; i++) {
        run(keys, &times);
    }
    printf("  %-8s set %7.1f  get %7.1f  walk %6.1f ns/key  %6.1f bytes/key"
           "%s\n",
           name, times.set_ns / all, times.get_ns / all, times.walk_ns / all,
           times.bytes / (double)keys->count,
           times.found == 2 * rounds * keys->count ? "" : "  KEYS LOST");
    fflush(stdout);
}

static void
compare(void)
{
    static const size_t usual[] = { 1000, 100000, 1000000 };
    size_t i;

    for (i = 0; i < 6; i++) {
        struct keys keys;

        make_keys(&keys, usual[i / 2], i % 2 != 0);
        printf("%zu keys, %s:\n", keys.count,
               i % 2 != 0 ? "random" : "in order");
        measure("buffer", &keys, run_buffer);
        measure("tsearch", &keys, run_plain);
        tk_free(keys.text);
    }
}

struct cell_state {
    struct keys keys;
    struct tk_buffer *buffer;
};

static void *
begin_get(void)
{
    struct cell_state *state = tk_alloc(sizeof(*state));
    size_t i;

    make_keys(&state->keys, 100000, true);
    state->buffer = tk_buffer_new();
    for (i = 0; i < state->keys.count; i++) {
        tikv_error_free(tk_buffer_set(state->buffer, key_at(&state->keys, i),
                                      tk_slice(value_bytes, VALUE_LEN), 0));
    }
    return state;
}

static void
run_get(void *arg, uint64_t operations)
{
    struct cell_state *state = arg;
    struct tk_buffer_item item;
    uint64_t i;

    for (i = 0; i < operations; i++) {
        if (!tk_buffer_get(state->buffer,
                           key_at(&state->keys, i % state->keys.count),
                           &item)) {
            abort();
        }
    }
}

static void
end_get(void *arg)
{
    struct cell_state *state = arg;

    tk_buffer_free(state->buffer);
    tk_free(state->keys.text);
    tk_free(state);
}

static const struct micro_cell cells[] = {
    { "get-100k", 1000000, begin_get, run_get, end_get, 0 },
};

int
main(int argc, char **argv)
{
    return micro_main(cells, sizeof(cells) / sizeof(cells[0]), compare, argc,
                      argv);
}
