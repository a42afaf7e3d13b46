/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer over a sorted array. */
#include "unit/txn/words.h"

#include "base/alloc.h"
#include "txn/buffer_union.h"

struct row {
    const char *key;
    const char *value;
    uint64_t commit_ts;
};

/* Both faces over one array, sorted. */
struct array {
    struct tk_below below; /* first */
    struct tk_source source;
    const struct row *rows;
    size_t count;
    size_t at;
    size_t asked; /* keys */
    size_t fail_at; /* the source fails on its way here */
    bool is_reverse;
};

static tikv_error *
array_get(struct tk_below *below, const tikv_slice *keys, size_t count,
          bool with_commit_ts, struct tk_found *found)
{
    struct array *array = (struct array *)below;
    size_t i;
    size_t j;

    (void)with_commit_ts;
    array->asked += count;
    for (i = 0; i < count; i++) {
        for (j = 0; j < array->count; j++) {
            const struct row *row = &array->rows[j];

            if (tk_slice_equal(keys[i], tk_slice_text(row->key))) {
                found[i].value = tk_slice_text(row->value);
                found[i].commit_ts = row->commit_ts;
            }
        }
    }
    return NULL;
}

static void
array_show(struct array *array)
{
    array->source.is_valid = array->at < array->count;
    if (array->source.is_valid) {
        size_t at = array->is_reverse ? array->count - 1 - array->at
                                      : array->at;

        array->source.key = tk_slice_text(array->rows[at].key);
        array->source.value = tk_slice_text(array->rows[at].value);
    }
}

static tikv_error *
array_next(struct tk_source *source)
{
    struct array *array =
        (struct array *)(void *)((char *)source -
                                 offsetof(struct array, source));

    array->at++;
    if (array->fail_at != 0 && array->at == array->fail_at) {
        source->is_valid = false;
        return tk_error(TIKV_ERR_UNAVAILABLE, "no more");
    }
    array_show(array);
    return NULL;
}

static const struct row LETTERS[] = {
    { "a", "1", 11 }, { "b", "2", 12 }, { "c", "3", 3 }, { "d", "4", 4 },
};

static struct array
array_of(const struct row *rows, size_t count, bool is_reverse)
{
    struct array array = { .below = { array_get },
                           .source = { .next = array_next },
                           .rows = rows,
                           .count = count,
                           .is_reverse = is_reverse };

    array_show(&array);
    return array;
}

static void
union__gets_own_values_before_those_below(void **state)
{
    struct array array = array_of(LETTERS, 4, false);
    struct tk_buffer *buffer = tk_buffer_new();
    tikv_slice key = tk_slice_text("a");
    struct tk_found found;

    (void)state;
    assert_null(tk_union_get(buffer, &array.below, &key, 1, false, &found));
    assert_true(tk_slice_equal(found.value, tk_slice_text("1")));
    assert_int_equal(found.commit_ts, 0);
    assert_null(tk_union_get(buffer, &array.below, &key, 1, true, &found));
    assert_int_equal(found.commit_ts, 11);
    array.asked = 0;
    put(buffer, "a", "2");
    assert_int_equal(tk_buffer_count(buffer), 1);
    assert_int_equal(tk_buffer_size(buffer), 2);
    assert_null(tk_union_get(buffer, &array.below, &key, 1, true, &found));
    assert_true(tk_slice_equal(found.value, tk_slice_text("2")));
    assert_int_equal(found.commit_ts, 0);
    drop(buffer, "a");
    assert_null(tk_union_get(buffer, &array.below, &key, 1, true, &found));
    assert_null(found.value.data);
    put(buffer, "a", "3");
    assert_null(tk_union_get(buffer, &array.below, &key, 1, true, &found));
    assert_true(tk_slice_equal(found.value, tk_slice_text("3")));
    assert_int_equal(array.asked, 0);
    tk_buffer_free(buffer);
}

static void
union__gets_many_and_asks_for_the_rest(void **state)
{
    static const char *const names[] = { "a", "b", "c", "d", "e" };
    static const char *const values[] = { "a2", NULL, "3", "4", NULL };
    static const uint64_t stamps[] = { 0, 0, 3, 4, 0 };
    struct array array = array_of(LETTERS, 4, false);
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_found found[5];
    tikv_slice keys[5];
    size_t i;
    int round;

    (void)state;
    put(buffer, "a", "a2");
    drop(buffer, "b");
    mark(buffer, "c", TK_KEY_SET(TK_KEY_LOCKED));
    for (i = 0; i < 5; i++) {
        keys[i] = tk_slice_text(names[i]);
    }
    for (round = 0; round < 2; round++) {
        array.asked = 0;
        assert_null(tk_union_get(buffer, &array.below, keys, 5, round == 1,
                                 found));
        assert_int_equal(array.asked, 3);
        for (i = 0; i < 5; i++) {
            assert_int_equal(found[i].value.data != NULL, values[i] != NULL);
            if (values[i] != NULL) {
                assert_true(tk_slice_equal(found[i].value,
                                           tk_slice_text(values[i])));
            }
            assert_int_equal(found[i].commit_ts, round == 1 ? stamps[i] : 0);
        }
    }
    tk_buffer_free(buffer);
}

static void
expect_merged(const struct tk_buffer *buffer, const char *lower,
              bool is_reverse, const char *text)
{
    size_t skipped = lower == NULL ? 0 : (size_t)(lower[0] - 'a');
    struct array array = array_of(LETTERS + skipped, 4 - skipped, is_reverse);
    struct tk_union_iter iter = { .is_valid = false };
    char seen[64] = "";

    assert_null(tk_union_iterate(
        buffer, &array.source, lower == NULL ? NOTHING : tk_slice_text(lower),
        NOTHING, is_reverse, &iter));
    while (iter.is_valid) {
        append(seen, sizeof(seen), iter.key, "");
        append(seen, sizeof(seen), iter.value, iter.is_own ? "! " : " ");
        assert_null(tk_union_iter_next(&iter));
    }
    assert_string_equal(seen, text);
    expect_code(tk_union_iter_next(&iter), TIKV_ERR_STATE);
}

static void
union__merges_both_ways(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();

    (void)state;
    expect_merged(buffer, NULL, false, "a1 b2 c3 d4 ");
    put(buffer, "bb", "x");
    put(buffer, "c", "y");
    expect_merged(buffer, NULL, false, "a1 b2 bbx! cy! d4 ");
    expect_merged(buffer, NULL, true, "d4 cy! bbx! b2 a1 ");
    drop(buffer, "a");
    drop(buffer, "d");
    drop(buffer, "zz");
    mark(buffer, "b", TK_KEY_SET(TK_KEY_LOCKED));
    expect_merged(buffer, NULL, false, "b2 bbx! cy! ");
    expect_merged(buffer, NULL, true, "cy! bbx! b2 ");
    expect_merged(buffer, "b", false, "b2 bbx! cy! ");
    expect_merged(buffer, "c", false, "cy! ");
    tk_buffer_free(buffer);
}

static void
union__passes_errors_up_and_refuses_change(void **state)
{
    struct array array = array_of(LETTERS, 4, false);
    struct tk_buffer *buffer = tk_buffer_new();
    struct tk_union_iter iter = { .is_valid = false };

    (void)state;
    array.fail_at = 2;
    assert_null(tk_union_iterate(buffer, &array.source, NOTHING, NOTHING,
                                 false, &iter));
    assert_null(tk_union_iter_next(&iter));
    expect_code(tk_union_iter_next(&iter), TIKV_ERR_UNAVAILABLE);
    assert_false(iter.is_valid);
    array = array_of(LETTERS, 4, false);
    assert_null(tk_union_iterate(buffer, &array.source, NOTHING, NOTHING,
                                 false, &iter));
    put(buffer, "aa", "new");
    expect_code(tk_union_iter_next(&iter), TIKV_ERR_STATE);
    assert_false(iter.is_valid);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(union__gets_own_values_before_those_below),
        harness_test(union__gets_many_and_asks_for_the_rest),
        harness_test(union__merges_both_ways),
        harness_test(union__passes_errors_up_and_refuses_change),
    };
    return harness_run(tests);
}
