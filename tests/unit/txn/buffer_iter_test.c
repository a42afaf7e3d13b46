/* SPDX-License-Identifier: Apache-2.0 */
/* Iterators with bounds both ways, under change, and views. */
#include "unit/txn/words.h"

#include "base/alloc.h"

static void
number_range(const struct tk_buffer *buffer, uint32_t lower, uint32_t upper,
             bool reverse, struct tk_buffer_iter *iter)
{
    static struct number bounds[2];

    bounds[0] = number(lower);
    bounds[1] = number(upper);
    tk_buffer_iterate(buffer, TK_WALK_VALUES, tk_slice(bounds[0].bytes, 4),
                      tk_slice(bounds[1].bytes, 4), reverse, iter);
}

static void
iter__takes_the_lower_and_leaves_the_upper_bound(void **state)
{
    static const uint32_t counts[] = { 1, 4, 16, 48, 256, 10000 };
    struct tk_buffer_iter iter;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct tk_buffer *buffer = tk_buffer_new();
        uint32_t n = counts[i];

        put_numbers(buffer, 0, 2 * n, 2, 0);
        iterate(buffer, NULL, NULL, false, &iter);
        expect_keys(&iter, 0, 2, n);
        iterate(buffer, NULL, NULL, true, &iter);
        expect_keys(&iter, 2 * n - 2, -2, n);
        number_range(buffer, n / 2 * 2, 4 * n, false, &iter);
        expect_keys(&iter, n / 2 * 2, 2, n - n / 2);
        number_range(buffer, 0, n / 2 * 2, true, &iter);
        expect_keys(&iter, n / 2 * 2 - 2, -2, n / 2);
        number_range(buffer, 1, 2 * n - 1, false, &iter);
        expect_keys(&iter, 2, 2, n - 1);
        number_range(buffer, 1, 2 * n - 1, true, &iter);
        expect_keys(&iter, 2 * n - 2, -2, n - 1);
        /* Between neighbours, empty, upside down. */
        number_range(buffer, 1, 2, false, &iter);
        expect_keys(&iter, 0, 0, 0);
        number_range(buffer, 1, 2, true, &iter);
        expect_keys(&iter, 0, 0, 0);
        number_range(buffer, 0, 0, true, &iter);
        expect_keys(&iter, 0, 0, 0);
        number_range(buffer, 2 * n, 0, false, &iter);
        expect_keys(&iter, 0, 0, 0);
        number_range(buffer, 2 * n, 0, true, &iter);
        expect_keys(&iter, 0, 0, 0);
        tk_buffer_free(buffer);
    }
}

static void
iter__of_an_empty_buffer_is_at_its_end(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;

    (void)state;
    iterate(buffer, NULL, NULL, false, &iter);
    expect_keys(&iter, 0, 0, 0);
    iterate(buffer, "x", NULL, false, &iter);
    expect_keys(&iter, 0, 0, 0);
    iterate(buffer, NULL, "x", true, &iter);
    expect_keys(&iter, 0, 0, 0);
    tk_buffer_free(buffer);
}

static void
iter__seeks_among_long_keys(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;

    (void)state;
    put(buffer, "DATA_test_main_db_tbl_tbl_test_record1", "1");
    put(buffer, "DATA_test_main_db_tbl_tbl_test_record2", "2");
    put(buffer, "DATA_test_other_db_tbl", "3");
    put(buffer, "DATA_test_other_db_tbl1", "4");
    iterate(buffer, "DATA_test_m", NULL, false, &iter);
    assert_int_equal(iter.item.value.data[0], '1');
    iterate(buffer, "DATA_test_main_db_tbl_tbl_test_record10", NULL, false,
            &iter);
    assert_int_equal(iter.item.value.data[0], '2');
    iterate(buffer, "DATA_test_main_db_zzz", "DATA_test_other_db_tbl1", false,
            &iter);
    expect_text(&iter, "DATA_test_other_db_tbl");
    iterate(buffer, "DATA", "DATA_test_other_db_tbl1", true, &iter);
    expect_text(&iter, "DATA_test_other_db_tbl "
                       "DATA_test_main_db_tbl_tbl_test_record2 "
                       "DATA_test_main_db_tbl_tbl_test_record1");
    iterate(buffer, "E", NULL, false, &iter);
    assert_false(iter.is_valid);
    tk_buffer_free(buffer);
}

static void
iter__walks_keys_that_nest(void **state)
{
    static const uint8_t zeros[20];
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    size_t i;

    (void)state;
    for (i = 20; i > 0; i--) {
        assert_null(tk_buffer_set(buffer, tk_slice(zeros, i),
                                  tk_slice(zeros, i), 0));
    }
    iterate(buffer, NULL, NULL, false, &iter);
    for (i = 1; i <= 20; i++) {
        assert_int_equal(iter.item.key.len, i);
        assert_int_equal(tk_entry_key(iter.item.handle).len, i);
        assert_null(tk_buffer_iter_next(&iter));
    }
    tk_buffer_iterate(buffer, TK_WALK_VALUES, tk_slice(zeros, 2),
                      tk_slice(zeros, 4), true, &iter);
    assert_int_equal(iter.item.key.len, 3);
    assert_null(tk_buffer_iter_next(&iter));
    assert_int_equal(iter.item.key.len, 2);
    assert_null(tk_buffer_iter_next(&iter));
    assert_false(iter.is_valid);
    tk_buffer_free(buffer);
}

static void
iter__refuses_to_go_on_after_a_change(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_buffer_iter iter;
    size_t stage;

    (void)state;
    put_numbers(buffer, 0, 10, 1, 0);
    iterate(buffer, NULL, NULL, false, &iter);
    assert_null(tk_buffer_iter_next(&iter));
    put(buffer, "new", "1");
    assert_false(tk_buffer_iter_is_current(&iter));
    expect_code(tk_buffer_iter_next(&iter), TIKV_ERR_STATE);
    assert_false(iter.is_valid);
    stage = open_stage(buffer);
    iterate(buffer, NULL, NULL, false, &iter);
    cleanup(buffer, stage);
    expect_code(tk_buffer_iter_next(&iter), TIKV_ERR_STATE);
    tk_buffer_free(buffer);
}

/* ---- views ---- */

static void
view_text(const struct tk_snapview *view, const char *lower,
          const char *upper, bool reverse, const char *keys)
{
    struct tk_buffer_iter iter;

    assert_null(tk_snapview_iterate(
        view, lower == NULL ? NOTHING : tk_slice_text(lower),
        upper == NULL ? NOTHING : tk_slice_text(upper), reverse, &iter));
    expect_text(&iter, keys);
}

static void
view_value(const struct tk_snapview *view, const char *key, const char *text)
{
    tikv_slice value;

    assert_null(tk_snapview_get(view, tk_slice_text(key), &value));
    assert_int_equal(value.data != NULL, text != NULL);
    if (text != NULL) {
        assert_true(tk_slice_equal(value, tk_slice_text(text)));
    }
}

static void
view__sees_what_is_below_all_stages(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_snapview before;
    struct tk_snapview within;

    (void)state;
    put(buffer, "a", "a0");
    put(buffer, "c", "c0");
    mark(buffer, "flag", TK_KEY_SET(TK_KEY_LOCKED));
    tk_snapview_open(&before, buffer);
    put(buffer, "a", "a1");
    view_value(&before, "a", "a0");
    (void)open_stage(buffer);
    put(buffer, "a", "a2");
    put(buffer, "b", "b2");
    (void)open_stage(buffer);
    put(buffer, "d", "d3");
    tk_snapview_open(&within, buffer);
    view_value(&within, "a", "a1");
    view_value(&within, "b", NULL);
    view_value(&within, "flag", NULL);
    view_text(&within, NULL, NULL, false, "a c");
    view_text(&within, NULL, NULL, true, "c a");
    view_text(&within, "b", NULL, false, "c");
    view_text(&within, NULL, "c", true, "a");
    cleanup(buffer, 2);
    view_text(&within, NULL, NULL, false, "a c");
    tk_snapview_close(&within);
    tk_snapview_close(&before);
    tk_buffer_free(buffer);
}

static void
view__ends_with_the_first_stage(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_snapview view;
    struct tk_buffer_iter iter;
    tikv_slice value;

    (void)state;
    put_numbers(buffer, 0, 100, 1, 0);
    (void)open_stage(buffer);
    tk_snapview_open(&view, buffer);
    assert_null(tk_snapview_iterate(&view, NOTHING, NOTHING, false, &iter));
    assert_null(tk_buffer_iter_next(&iter));
    release(buffer, 1);
    expect_code(tk_buffer_iter_next(&iter), TIKV_ERR_STATE);
    assert_false(iter.is_valid);
    expect_code(tk_snapview_get(&view, tk_slice_text("k"), &value),
                TIKV_ERR_STATE);
    expect_code(tk_snapview_iterate(&view, NOTHING, NOTHING, false, &iter),
                TIKV_ERR_STATE);
    tk_snapview_close(&view);
    tk_buffer_free(buffer);
}

/* Between any two steps the tree is torn open: written over, between and
 * behind, and half of that taken back. */
static void
lesson_149__a_view_is_stable_while_the_buffer_changes(void **state)
{
    static const uint32_t counts[] = { 3, 4, 16, 17, 48, 64, 100 };
    size_t i;
    int way;

    (void)state;
    for (i = 0; i < 2 * sizeof(counts) / sizeof(counts[0]); i++) {
        struct tk_buffer *buffer = tk_buffer_new();
        uint32_t n = counts[i / 2];
        struct tk_buffer_iter iter;
        struct tk_snapview view;
        uint32_t seen;

        way = i % 2 == 0 ? 1 : -1;
        put_numbers(buffer, 0, 1000 * n, 1000, 0);
        (void)open_stage(buffer);
        tk_snapview_open(&view, buffer);
        assert_null(tk_snapview_iterate(&view, NOTHING, NOTHING, way < 0,
                                        &iter));
        for (seen = 0; iter.is_valid; seen++) {
            uint32_t key = 1000 * (way > 0 ? seen : n - 1 - seen);
            size_t stage = open_stage(buffer);

            assert_int_equal(number_at(iter.item.key), key);
            assert_int_equal(number_at(iter.item.value), key);
            put_numbers(buffer, seen, 1000 * n, 997, 5);
            if (seen % 2 == 0) {
                cleanup(buffer, stage);
            } else {
                release(buffer, stage);
            }
            put_numbers(buffer, 0, 1000 * n, 1000, 9);
            assert_null(tk_buffer_iter_next(&iter));
        }
        assert_int_equal(seen, n);
        tk_snapview_close(&view);
        tk_buffer_free(buffer);
    }
}

static void
view__keeps_bounds_and_order(void **state)
{
    static const char *const keys[] = { "b", "a", "ab", "abc", "aa", "ba" };
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_snapview view;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        put(buffer, keys[i], "v");
    }
    (void)open_stage(buffer);
    tk_snapview_open(&view, buffer);
    put(buffer, "aaa", "later");
    view_text(&view, NULL, NULL, false, "a aa ab abc b ba");
    view_text(&view, NULL, NULL, true, "ba b abc ab aa a");
    view_text(&view, "aa", "b", false, "aa ab abc");
    view_text(&view, "aa", "b", true, "abc ab aa");
    view_text(&view, "aa", "aa", false, "");
    view_text(&view, "c", "a", true, "");
    view_text(&view, "aaa", "aab", false, "");
    view_text(&view, "ab", "abc", false, "ab");
    tk_snapview_close(&view);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(iter__takes_the_lower_and_leaves_the_upper_bound),
        harness_test(iter__of_an_empty_buffer_is_at_its_end),
        harness_test(iter__seeks_among_long_keys),
        harness_test(iter__walks_keys_that_nest),
        harness_test(iter__refuses_to_go_on_after_a_change),
        harness_test(view__sees_what_is_below_all_stages),
        harness_test(view__ends_with_the_first_stage),
        harness_test(lesson_149__a_view_is_stable_while_the_buffer_changes),
        harness_test(view__keeps_bounds_and_order),
    };
    return harness_run(tests);
}
