/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting of keys against qsort(): random keys of all the shapes that the
 * heads could get wrong.
 */
#include <stdlib.h>

#include "harness/harness.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "base/slice.h"
#include "base/sort.h"

#define COUNT_MAX 400
#define KEY_MAX 40

static int
compare(const void *a, const void *b)
{
    const struct tk_sorted *left = a;
    const struct tk_sorted *right = b;
    int order = tk_slice_compare(left->key, right->key);

    if (order != 0) {
        return order;
    }
    return left->index < right->index ? -1 : left->index > right->index;
}

/* Of few letters, so that many are equal or differ late. */
static void
random_keys(struct tk_rng *rng, struct tk_sorted *items, size_t count,
            uint8_t (*bytes)[KEY_MAX])
{
    size_t shared = tk_rng_below(rng, 20);
    size_t most = tk_rng_below(rng, KEY_MAX - shared) + shared;
    uint64_t letters = 1 + tk_rng_below(rng, 4);
    size_t i;
    size_t at;

    for (i = 0; i < count; i++) {
        size_t len = shared + tk_rng_below(rng, most - shared + 1);

        for (at = 0; at < len; at++) {
            bytes[i][at] = at < shared
                               ? 'p'
                               : (uint8_t)(0 - tk_rng_below(rng, letters));
        }
        items[i].key = tk_slice(len == 0 ? NULL : bytes[i], len);
        items[i].index = i;
    }
}

static void
check_sorted(struct tk_sorted *items, size_t count)
{
    struct tk_sorted *expected = tk_alloc_array(count + 1, sizeof(*expected));
    size_t i;

    assert_non_null(expected);
    memcpy(expected, items, count * sizeof(*items));
    qsort(expected, count, sizeof(*expected), compare);
    assert_true(tk_sort_keys(items, count));
    for (i = 0; i < count; i++) {
        assert_int_equal(items[i].index, expected[i].index);
        assert_ptr_equal(items[i].key.data, expected[i].key.data);
        assert_int_equal(items[i].key.len, expected[i].key.len);
    }
    tk_free(expected);
}

static void
sort__agrees_with_qsort(void **state)
{
    static struct tk_sorted items[COUNT_MAX];
    static uint8_t bytes[COUNT_MAX][KEY_MAX];
    struct tk_rng rng = { 21 };
    size_t round;

    (void)state;
    for (round = 0; round < 2000; round++) {
        size_t count = round < COUNT_MAX ? round
                                         : tk_rng_below(&rng, COUNT_MAX + 1);
        size_t i;

        random_keys(&rng, items, count, bytes);
        check_sorted(items, count);
        /* What is in order, and what is in the opposite one. */
        check_sorted(items, count);
        for (i = 0; i < count / 2; i++) {
            struct tk_sorted other = items[i];

            items[i] = items[count - 1 - i];
            items[count - 1 - i] = other;
        }
        for (i = 0; i < count; i++) {
            items[i].index = i;
        }
        check_sorted(items, count);
    }
}

static void
sort__takes_no_memory_for_keys_in_order(void **state)
{
    static const char *const texts[] = { "", "a", "a", "ab", "b" };
    struct tk_sorted items[5];
    size_t i;

    (void)state;
    for (i = 0; i < 5; i++) {
        items[i].key = tk_slice_text(texts[i]);
        items[i].index = i;
    }
    tk_alloc_fail_nth(1);
    assert_true(tk_sort_keys(items, 5));
    items[0].key = tk_slice_text("z");
    assert_false(tk_sort_keys(items, 5));
    assert_true(tk_sort_keys(items, 5));
    assert_int_equal(items[4].index, 0);
}

static void
slice__heads_order_like_their_bytes(void **state)
{
    static uint8_t bytes[2][KEY_MAX];
    struct tk_rng rng = { 22 };
    size_t round;

    (void)state;
    for (round = 0; round < 20000; round++) {
        struct tk_sorted pair[2];
        size_t skip = tk_rng_below(&rng, 24);
        uint64_t heads[2];
        size_t i;

        random_keys(&rng, pair, 2, bytes);
        for (i = 0; i < 2; i++) {
            tikv_slice rest = pair[i].key;

            rest.data = rest.len < skip ? NULL : rest.data + skip;
            rest.len = rest.len < skip ? 0 : rest.len - skip;
            heads[i] = tk_slice_head(pair[i].key, skip);
            pair[i].key = rest;
        }
        if (heads[0] != heads[1]) {
            assert_int_equal(heads[0] < heads[1],
                             tk_slice_compare(pair[0].key, pair[1].key) < 0);
        } else {
            size_t len = pair[0].key.len < 8 ? pair[0].key.len : 8;

            len = pair[1].key.len < len ? pair[1].key.len : len;
            assert_true(len == 0 || memcmp(pair[0].key.data, pair[1].key.data,
                                           len) == 0);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(sort__agrees_with_qsort),
        harness_test(sort__takes_no_memory_for_keys_in_order),
        harness_test(slice__heads_order_like_their_bytes),
    };

    return harness_run(tests);
}
