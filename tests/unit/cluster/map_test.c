/* SPDX-License-Identifier: Apache-2.0 */
/* The ordered map against a sorted array that does the same slowly. */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/slice.h"
#include "cluster/map.h"

struct item {
    struct tk_cl_map_item item;
    uint8_t bytes[24];
};

enum { KEYS = 3000 };

static struct item *
item_new(tikv_slice key)
{
    struct item *item = tk_alloc(sizeof(*item));

    assert_non_null(item);
    if (key.len > 0) {
        memcpy(item->bytes, key.data, key.len);
    }
    item->item.key = tk_slice(item->bytes, key.len);
    return item;
}

static void
drop(struct tk_cl_map_item *item)
{
    tk_free(item);
}

/* Few letters and shared prefixes: many near misses. */
static tikv_slice
random_key(struct tk_rng *rng, uint8_t bytes[24])
{
    size_t len = 0;

    if (tk_rng_below(rng, 2) == 0) {
        memcpy(bytes, "a-long-prefix", 13);
        len = 13;
    }
    len += tk_rng_below(rng, 10);
    for (size_t i = len > 13 ? 13 : 0; i < len; i++) {
        bytes[i] = (uint8_t)("\0ab\xff"[tk_rng_below(rng, 4)]);
    }
    return tk_slice(bytes, len);
}

struct model {
    tikv_slice keys[KEYS];
    size_t count;
};

static size_t
model_from(const struct model *model, tikv_slice key)
{
    size_t i = 0;

    while (i < model->count && tk_slice_compare(model->keys[i], key) < 0) {
        i++;
    }
    return i;
}

static void
compare_all(const struct tk_cl_map *map, const struct model *model)
{
    struct tk_cl_map_at at = tk_cl_map_from(map, tk_slice(NULL, 0));
    size_t i;

    for (i = 0; i < model->count; i++) {
        assert_non_null(at.item);
        assert_true(tk_slice_equal(at.item->key, model->keys[i]));
        tk_cl_map_next(&at);
    }
    assert_null(at.item);
    assert_int_equal(map->count, model->count);
}

static void
compare_around(const struct tk_cl_map *map, const struct model *model,
               tikv_slice key)
{
    size_t place = model_from(model, key);
    struct tk_cl_map_at at = tk_cl_map_from(map, key);

    if (place == model->count) {
        assert_null(at.item);
    } else {
        assert_true(tk_slice_equal(at.item->key, model->keys[place]));
    }
    at = tk_cl_map_before(map, key);
    for (size_t i = 0; i < 5; i++) {
        if (place == 0) {
            assert_null(at.item);
            break;
        }
        assert_non_null(at.item);
        assert_true(tk_slice_equal(at.item->key, model->keys[--place]));
        tk_cl_map_prev(&at);
    }
}

static void
step(struct tk_cl_map *map, struct model *model, struct tk_rng *rng,
     bool adding)
{
    uint8_t bytes[24];
    tikv_slice key = random_key(rng, bytes);
    size_t place = model_from(model, key);
    bool there =
        place < model->count && tk_slice_equal(model->keys[place], key);

    assert_int_equal(tk_cl_map_find(map, key) != NULL, there);
    if (adding && !there && model->count < KEYS) {
        struct item *item = item_new(key);

        assert_true(tk_cl_map_add(map, &item->item));
        memmove(&model->keys[place + 1], &model->keys[place],
                (model->count - place) * sizeof(model->keys[0]));
        model->keys[place] = item->item.key;
        model->count++;
    } else if (!adding && there) {
        struct tk_cl_map_item *item = tk_cl_map_remove(map, key);

        assert_non_null(item);
        memmove(&model->keys[place], &model->keys[place + 1],
                (model->count - place - 1) * sizeof(model->keys[0]));
        model->count--;
        tk_free(item);
    } else if (there) {
        struct item *item = item_new(key);
        struct tk_cl_map_item *old = tk_cl_map_swap(map, &item->item);

        assert_non_null(old);
        model->keys[place] = item->item.key;
        tk_free(old);
    } else {
        assert_null(tk_cl_map_remove(map, key));
    }
    compare_around(map, model, key);
}

static void
map__agrees_with_a_sorted_array(void **state)
{
    static struct model model;
    struct tk_cl_map map;
    struct tk_rng rng = { 7 };

    (void)state;
    model.count = 0;
    tk_cl_map_init(&map);
    for (int round = 0; round < 8; round++) {
        /* Grows in even rounds, shrinks in odd ones, the last to nothing. */
        for (int i = 0; i < 2500; i++) {
            step(&map, &model, &rng,
                 tk_rng_below(&rng, 10) < (round % 2 == 0 ? 9 : 2));
        }
        compare_all(&map, &model);
    }
    while (model.count > 0) {
        tikv_slice key = model.keys[tk_rng_below(&rng, model.count)];
        size_t place = model_from(&model, key);
        struct tk_cl_map_item *item = tk_cl_map_remove(&map, key);

        assert_non_null(item);
        tk_free(item);
        memmove(&model.keys[place], &model.keys[place + 1],
                (model.count - place - 1) * sizeof(model.keys[0]));
        model.count--;
    }
    assert_null(map.root);
    tk_cl_map_fini(&map, drop);
}

static void
map__keeps_many_keys_in_order(void **state)
{
    struct tk_cl_map map;
    struct tk_cl_map_at at;
    char text[24];
    int count = 0;

    (void)state;
    tk_cl_map_init(&map);
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(text, sizeof(text), "user%010d",
                       (int)((int64_t)i * 7919 % 20000));
        assert_true(tk_cl_map_add(&map, &item_new(tk_slice_text(text))->item));
    }
    for (at = tk_cl_map_from(&map, tk_slice(NULL, 0)); at.item != NULL;
         tk_cl_map_next(&at)) {
        (void)snprintf(text, sizeof(text), "user%010d", count++);
        assert_true(tk_slice_equal(at.item->key, tk_slice_text(text)));
    }
    assert_int_equal(count, 20000);
    tk_cl_map_fini(&map, drop);
}

static void
map__survives_the_end_of_memory(void **state)
{
    (void)state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct tk_cl_map map;
        size_t added = 0;

        tk_cl_map_init(&map);
        for (int i = 0; i < 300; i++) {
            char text[24];
            struct item *item;

            (void)snprintf(text, sizeof(text), "k%05d", i);
            item = item_new(tk_slice_text(text));
            (void)tk_alloc_fail_nth(i % 50 == 0 ? nth : 0);
            if (tk_cl_map_add(&map, &item->item)) {
                added++;
            } else {
                tk_free(item);
            }
            (void)tk_alloc_fail_nth(0);
        }
        assert_int_equal(map.count, added);
        assert_true(added >= 290);
        tk_cl_map_fini(&map, drop);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(map__agrees_with_a_sorted_array),
        harness_test(map__keeps_many_keys_in_order),
        harness_test(map__survives_the_end_of_memory),
    };
    return harness_run(tests);
}
