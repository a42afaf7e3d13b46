/* SPDX-License-Identifier: Apache-2.0 */
/* The door to memory: sizes, overflow, and the failures debug builds make. */
#include "harness/harness.h"

#include "base/alloc.h"

static void
alloc__gives_blocks_of_any_size(void **state)
{
    char *empty = tk_alloc(0);
    char *zeroed = tk_calloc(64);
    size_t i;

    (void)state;
    assert_non_null(empty);
    for (i = 0; i < 64; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    zeroed = tk_realloc(zeroed, 100000);
    assert_non_null(zeroed);
    assert_int_equal(zeroed[63], 0);
    tk_free(zeroed);
    tk_free(empty);
    tk_free(NULL);
}

static void
alloc__refuses_an_overflowing_array(void **state)
{
    (void)state;
    assert_null(tk_alloc_array(SIZE_MAX / 2, 3));
}

static void
strdup__copies_text_and_keeps_null(void **state)
{
    char *copy = tk_strdup("text");

    (void)state;
    assert_null(tk_strdup(NULL));
    assert_string_equal(copy, "text");
    tk_free(copy);
}

#ifdef TK_DEBUG
static void
alloc__counts_living_blocks(void **state)
{
    int64_t before = tk_alloc_live();
    void *block = tk_alloc(10);

    (void)state;
    assert_int_equal(tk_alloc_live(), before + 1);
    block = tk_realloc(block, 20);
    assert_int_equal(tk_alloc_live(), before + 1);
    tk_free(block);
    assert_int_equal(tk_alloc_live(), before);
}

static void
alloc__fails_the_nth_once(void **state)
{
    void *first;
    void *third;

    (void)state;
    tk_alloc_fail_nth(2);
    first = tk_alloc(1);
    assert_non_null(first);
    assert_null(tk_calloc(1));
    third = tk_alloc(1);
    assert_non_null(third);
    assert_int_equal(tk_alloc_fail_nth(1), 3);
    assert_null(tk_realloc(third, 2));
    tk_alloc_fail_nth(0);
    tk_free(first);
    tk_free(third);
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(alloc__gives_blocks_of_any_size),
        harness_test(alloc__refuses_an_overflowing_array),
        harness_test(strdup__copies_text_and_keeps_null),
#ifdef TK_DEBUG
        harness_test(alloc__counts_living_blocks),
        harness_test(alloc__fails_the_nth_once),
#endif
    };

    return harness_run(tests);
}
