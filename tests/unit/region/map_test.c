/* SPDX-License-Identifier: Apache-2.0 */
/* The map against a sorted array, and readers beside a writer. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "region/map.h"

enum { MODEL_MAX = 3000, KEY_MAX = 64 };

struct item {
    struct tk_map_entry entry; /* first */
    struct tk_retired retired;
    uint64_t check;
    uint8_t bytes[KEY_MAX];
};

static struct item *
item_new(const uint8_t *bytes, size_t len)
{
    struct item *item = tk_calloc(sizeof(*item));

    assert_non_null(item);
    memcpy(item->bytes, bytes, len);
    item->entry.key = (tikv_slice){ item->bytes, len };
    item->check = 0x5eed;
    return item;
}

struct model {
    struct item *items[MODEL_MAX];
    size_t count;
};

/* The place of the first item at or after `key`. */
static size_t
model_find(const struct model *model, tikv_slice key)
{
    size_t i = 0;

    while (i < model->count &&
           tk_slice_compare(model->items[i]->entry.key, key) < 0) {
        i++;
    }
    return i;
}

/* Prefixes that nodes keep and longer ones, empty keys, prefixes of each
 * other, ties of eight and of sixteen bytes, the least and the greatest. */
static size_t
random_key(struct tk_rng *rng, uint8_t *out)
{
    static const uint8_t lens[] = { 0, 9, 18, 45 };
    static const uint8_t bytes[] = { 0, 127, 255 };
    size_t prefix = lens[tk_rng_below(rng, 4)];
    size_t tail = tk_rng_below(rng, 18);
    size_t i;

    memset(out, 't', prefix);
    for (i = 0; i < tail; i++) {
        /* Mostly the same: a tie is where keys differ late. */
        out[prefix + i] = bytes[tk_rng_below(rng, 8) < 5
                                    ? tail % 3
                                    : tk_rng_below(rng, 3)];
    }
    return prefix + tail;
}

static void
compare(const struct tk_map *map, const struct model *model, tikv_slice key)
{
    size_t at = model_find(model, key);
    bool is_there = at < model->count &&
                    tk_slice_equal(model->items[at]->entry.key, key);
    const void *floor = is_there ? model->items[at]
                        : at > 0 ? model->items[at - 1]
                                 : NULL;
    const void *below = at > 0 ? model->items[at - 1] : NULL;
    const void *ceil = at < model->count ? model->items[at] : NULL;
    const void *above = is_there ? at + 1 < model->count ? model->items[at + 1]
                                                         : NULL
                                 : ceil;

    assert_ptr_equal(tk_map_floor(map, key), floor);
    assert_ptr_equal(tk_map_below(map, key), below);
    assert_ptr_equal(tk_map_next(map, key, true), ceil);
    assert_ptr_equal(tk_map_next(map, key, false), above);
}

static void
change(struct tk_map *map, struct model *model, const uint8_t *bytes,
       size_t len, bool puts)
{
    tikv_slice key = { bytes, len };
    size_t at = model_find(model, key);
    bool is_there = at < model->count &&
                    tk_slice_equal(model->items[at]->entry.key, key);
    struct tk_map_entry *old = NULL;
    struct item *before = is_there ? model->items[at] : NULL;

    if (puts && model->count < MODEL_MAX) {
        struct item *item = item_new(bytes, len);

        assert_true(tk_map_put(map, &item->entry, &old));
        if (!is_there) {
            memmove(model->items + at + 1, model->items + at,
                    (model->count - at) * sizeof(model->items[0]));
            model->count++;
        }
        model->items[at] = item;
    } else if (!puts) {
        assert_true(tk_map_remove(map, key, &old));
        if (is_there) {
            model->count--;
            memmove(model->items + at, model->items + at + 1,
                    (model->count - at) * sizeof(model->items[0]));
        }
    } else {
        return;
    }
    assert_ptr_equal(old, before);
    tk_map_publish(map);
    tk_free(before);
}

static void
run_model(uint64_t seed, unsigned steps)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct tk_rng rng = { seed };
    struct model *model = tk_calloc(sizeof(*model));
    struct tk_map map;
    unsigned step;
    size_t i;

    tk_map_init(&map, rt);
    for (step = 0; step < steps; step++) {
        uint8_t bytes[KEY_MAX];
        size_t len = random_key(&rng, bytes);
        /* Grow, then shrink. */
        bool puts = tk_rng_below(&rng, 10) < (step < steps / 2 ? 8u : 2u);

        change(&map, model, bytes, len, puts);
        len = random_key(&rng, bytes);
        compare(&map, model, (tikv_slice){ bytes, len });
        assert_int_equal(map.count, model->count);
    }
    assert_ptr_equal(tk_map_below(&map, (tikv_slice){ NULL, 0 }),
                     model->count == 0 ? NULL
                                       : model->items[model->count - 1]);
    tk_map_fini(&map);
    tk_epoch_drain(rt);
    for (i = 0; i < model->count; i++) {
        tk_free(model->items[i]);
    }
    tk_free(model);
    tk_runtime_posix_free(rt);
}

static void
map__agrees_with_a_sorted_array(void **state)
{
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 8; seed++) {
        run_model(seed, 4000);
    }
}

static void
map__changes_nothing_without_memory(void **state)
{
    struct tk_runtime *rt = tk_runtime_posix_new();
    struct item *items[400];
    struct tk_map_entry *old;
    struct tk_map map;
    uint64_t nth;
    size_t i;

    (void)state;
    tk_map_init(&map, rt);
    for (i = 0; i < 400; i++) {
        char text[8];

        snprintf(text, sizeof(text), "k%04u", (unsigned)i);
        items[i] = item_new((const uint8_t *)text, 5);
    }
    for (i = 0; i < 400; i++) {
        {
            for (nth = 1; nth < 4; nth++) {
                tk_alloc_fail_nth(nth);
                if (tk_map_put(&map, &items[i]->entry, &old)) {
                    break;
                }
                assert_int_equal(map.count, i);
            }
            tk_alloc_fail_nth(0);
            if (map.count == i) {
                assert_true(tk_map_put(&map, &items[i]->entry, &old));
            }
        }
        tk_map_publish(&map);
        assert_int_equal(map.count, i + 1);
        assert_ptr_equal(tk_map_floor(&map, items[i]->entry.key), items[i]);
        assert_ptr_equal(tk_map_floor(&map, items[i / 2]->entry.key),
                         items[i / 2]);
    }
    tk_map_fini(&map);
    tk_epoch_drain(rt);
    for (i = 0; i < 400; i++) {
        tk_free(items[i]);
    }
    tk_runtime_posix_free(rt);
}

/* ---- readers beside a writer ---- */

struct stress {
    struct tk_runtime *rt;
    struct tk_map map;
    atomic_bool is_over;
    atomic_uint found;
    uint64_t seed;
};

static void
read_on(void *arg)
{
    struct stress *stress = arg;
    struct tk_rng rng = { stress->seed };
    unsigned found = 0;

    while (!atomic_load(&stress->is_over)) {
        uint8_t bytes[KEY_MAX];
        size_t len = random_key(&rng, bytes);
        tikv_slice key = { bytes, len };
        struct tk_map_entry *entry;

        tk_epoch_enter(stress->rt);
        entry = tk_map_floor(&stress->map, key);
        if (entry != NULL) {
            struct item *item = (struct item *)(void *)entry;

            assert_true(item->check == 0x5eed);
            assert_true(tk_slice_compare(entry->key, key) <= 0);
            found++;
        }
        tk_epoch_leave(stress->rt);
    }
    atomic_fetch_add(&stress->found, found);
}

static void
free_item(struct tk_retired *block)
{
    char *at = (char *)block - offsetof(struct item, retired);

    ((struct item *)(void *)at)->check = 0;
    tk_free(at);
}

static void
map__is_read_while_it_changes(void **state)
{
    struct stress stress = { .rt = tk_runtime_posix_new(), .seed = 5 };
    struct tk_rng rng = { 77 };
    struct tk_thread *readers[3];
    struct tk_map_entry *old;
    unsigned step;
    size_t i;

    (void)state;
    tk_map_init(&stress.map, stress.rt);
    for (i = 0; i < 3; i++) {
        readers[i] =
            stress.rt->ops->spawn(stress.rt, "reader", read_on, &stress);
    }
    for (step = 0; step < 20000; step++) {
        uint8_t bytes[KEY_MAX];
        size_t len = random_key(&rng, bytes);
        tikv_slice key = { bytes, len };

        if (tk_rng_below(&rng, 2) == 0) {
            struct item *item = item_new(bytes, len);

            assert_true(tk_map_put(&stress.map, &item->entry, &old));
        } else {
            assert_true(tk_map_remove(&stress.map, key, &old));
        }
        tk_map_publish(&stress.map);
        if (old != NULL) {
            tk_epoch_retire(stress.rt,
                            &((struct item *)(void *)old)->retired, free_item);
        }
    }
    atomic_store(&stress.is_over, true);
    for (i = 0; i < 3; i++) {
        stress.rt->ops->join(stress.rt, readers[i]);
    }
    assert_true(atomic_load(&stress.found) > 0);
    while ((old = tk_map_below(&stress.map, (tikv_slice){ NULL, 0 })) !=
           NULL) {
        struct tk_map_entry *removed;

        assert_true(tk_map_remove(&stress.map, old->key, &removed));
        tk_map_publish(&stress.map);
        tk_epoch_retire(stress.rt, &((struct item *)(void *)removed)->retired,
                        free_item);
    }
    tk_map_fini(&stress.map);
    tk_epoch_drain(stress.rt);
    tk_runtime_posix_free(stress.rt);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(map__agrees_with_a_sorted_array),
        harness_test(map__changes_nothing_without_memory),
        harness_test(map__is_read_while_it_changes),
    };

    return harness_run(tests);
}
