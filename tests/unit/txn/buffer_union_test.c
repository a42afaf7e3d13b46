/* SPDX-License-Identifier: Apache-2.0 */
/* The buffer over a sorted array. */
#include "unit/txn/words.h"

#include "txn/buffer_union.h"

struct row {
    const char *key;
    const char *value;
};

/* A stream of a sorted array. */
struct array {
    struct tk_source source;
    const struct row *rows;
    size_t count;
    size_t at;
    size_t fail_at; /* the source fails on its way here */
    bool is_reverse;
};

static void
array_show(struct array *array)
{
    array->source.is_valid = array->at < array->count;
    if (array->source.is_valid) {
        size_t at =
            array->is_reverse ? array->count - 1 - array->at : array->at;

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
    { "a", "1" },
    { "b", "2" },
    { "c", "3" },
    { "d", "4" },
};

static struct array
array_of(const struct row *rows, size_t count, bool is_reverse)
{
    struct array array = { .source = { .next = array_next },
                           .rows = rows,
                           .count = count,
                           .is_reverse = is_reverse };

    array_show(&array);
    return array;
}

static void
expect_merged(const struct tk_buffer *buffer, const char *lower,
              bool is_reverse, const char *text)
{
    size_t skipped = lower == NULL ? 0 : (size_t)(lower[0] - 'a');
    struct array array = array_of(LETTERS + skipped, 4 - skipped, is_reverse);
    struct tk_union_iter iter = { .is_valid = false };
    char seen[64] = "";

    assert_null(tk_union_iterate(buffer, &array.source,
                                 lower == NULL ? NOTHING : tk_slice_text(lower),
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
    assert_null(tk_union_iterate(buffer, &array.source, NOTHING, NOTHING, false,
                                 &iter));
    assert_null(tk_union_iter_next(&iter));
    expect_code(tk_union_iter_next(&iter), TIKV_ERR_UNAVAILABLE);
    assert_false(iter.is_valid);
    array = array_of(LETTERS, 4, false);
    assert_null(tk_union_iterate(buffer, &array.source, NOTHING, NOTHING, false,
                                 &iter));
    put(buffer, "aa", "new");
    expect_code(tk_union_iter_next(&iter), TIKV_ERR_STATE);
    assert_false(iter.is_valid);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(union__merges_both_ways),
        harness_test(union__passes_errors_up_and_refuses_change),
    };
    return harness_run(tests);
}
