/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The buffer against a sorted array that copies itself whole for every stage:
 * random operations, among them stages within stages, views, and memory that
 * ends. Fixed seeds.
 *
 * timeout: 120
 */
#include "harness/harness.h"

#include "base/alloc.h"
#include "base/rng.h"
#include "txn/buffer.h"
#include "txn/buffer_inner.h"

enum { KEYS = 400, DEPTH = 8, VALUE_MAX = 40, KEY_MAX = 40 };

/* Of one key of the fixed set, by its place in order. */
struct cell {
    bool is_there;
    bool has_value;
    uint8_t len;
    uint16_t flags;
    uint8_t value[VALUE_MAX];
};

struct state {
    struct cell cells[KEYS];
};

struct model {
    struct tk_buffer *buffer;
    struct tk_rng rng;
    struct state now;
    struct state stages[DEPTH];
    size_t depth;
    struct state seen;
    struct tk_snapview view;
    bool has_view;
    bool is_view_gone;
    uint8_t keys[KEYS][KEY_MAX];
    size_t lens[KEYS];
    size_t failures; /* operations that had no memory */
};

static tikv_slice
key_of(const struct model *model, size_t i)
{
    return tk_slice(model->keys[i], model->lens[i]);
}

static int
compare_keys(const void *a, const void *b)
{
    return tk_slice_compare(*(const tikv_slice *)a, *(const tikv_slice *)b);
}

/* Long common prefixes, zeros, the empty key, prefixes of each other. */
static void
make_keys(struct model *model)
{
    static uint8_t bytes[KEYS][KEY_MAX];
    tikv_slice keys[KEYS];
    size_t count = 0;

    while (count < KEYS) {
        size_t prefix = tk_rng_below(&model->rng, 3) * 13;
        size_t len = prefix + tk_rng_below(&model->rng, 12);
        size_t i;

        memset(bytes[count], 't', prefix);
        for (i = prefix; i < len; i++) {
            bytes[count][i] = (uint8_t)(tk_rng_below(&model->rng, 4) * 85);
        }
        keys[count] = tk_slice(bytes[count], len);
        for (i = 0; i < count && !tk_slice_equal(keys[i], keys[count]); i++) {
        }
        count += i == count;
    }
    qsort(keys, KEYS, sizeof(keys[0]), compare_keys);
    for (count = 0; count < KEYS; count++) {
        model->lens[count] = keys[count].len;
        memcpy(model->keys[count], keys[count].data, keys[count].len);
    }
}

static void
model_undo(struct model *model, const struct state *to)
{
    size_t i;

    for (i = 0; i < KEYS; i++) {
        struct cell *cell = &model->now.cells[i];
        uint16_t kept = cell->flags & TK_KEY_PERSISTENT;
        uint16_t earlier = to->cells[i].flags & (uint16_t)~TK_KEY_PERSISTENT;

        *cell = to->cells[i];
        cell->flags = cell->is_there ? kept | earlier : kept;
        cell->is_there |= kept != 0;
    }
}

/* ---- comparisons ---- */

static void
expect_cell(const struct cell *cell, tikv_slice value)
{
    assert_int_equal(value.data != NULL, cell->has_value);
    if (cell->has_value) {
        assert_int_equal(value.len, cell->len);
        assert_memory_equal(value.data, cell->value, cell->len);
    }
}

static void
expect_sums(const struct model *model)
{
    uint64_t size = 0;
    size_t count = 0;
    size_t i;

    for (i = 0; i < KEYS; i++) {
        const struct cell *cell = &model->now.cells[i];

        if (cell->is_there) {
            count++;
            size += model->lens[i] + (cell->has_value ? cell->len : 0);
        }
    }
    assert_int_equal(tk_buffer_count(model->buffer), count);
    assert_int_equal(tk_buffer_size(model->buffer), size);
    assert_true(tk_tree_is_sound(&model->buffer->tree));
}

static void
expect_walk(struct model *model, const struct state *state,
            struct tk_buffer_iter *iter, size_t from, size_t until,
            bool reverse)
{
    size_t count = until > from ? until - from : 0;
    size_t i;

    for (i = 0; i < count; i++) {
        size_t at = reverse ? until - 1 - i : from + i;
        const struct cell *cell = &state->cells[at];

        if (!cell->is_there ||
            (iter->walk == TK_WALK_VALUES && !cell->has_value)) {
            continue;
        }
        assert_true(iter->is_valid);
        assert_true(tk_slice_equal(iter->item.key, key_of(model, at)));
        expect_cell(cell, iter->item.value);
        if (iter->view == NULL) {
            assert_int_equal(iter->item.flags, cell->flags);
        }
        assert_null(tk_buffer_iter_next(iter));
    }
    assert_false(iter->is_valid);
}

/* Walks a random range, plainly or over the view. */
static void
check_range(struct model *model, bool over_view)
{
    size_t from = tk_rng_below(&model->rng, KEYS + 1);
    size_t until = tk_rng_below(&model->rng, KEYS + 1);
    bool reverse = tk_rng_below(&model->rng, 2) == 0;
    tikv_slice lower = { NULL, 0 };
    tikv_slice upper = { NULL, 0 };
    struct tk_buffer_iter iter;

    if (from < KEYS && from > 0) {
        lower = key_of(model, from);
    } else {
        from = 0;
    }
    if (until < KEYS && model->lens[until] > 0) {
        upper = key_of(model, until);
    } else {
        until = KEYS;
    }
    if (over_view) {
        assert_null(tk_snapview_iterate(&model->view, lower, upper, reverse,
                                        &iter));
        expect_walk(model, &model->seen, &iter, from, until, reverse);
    } else {
        tk_buffer_iterate(model->buffer,
                          tk_rng_below(&model->rng, 2) == 0 ? TK_WALK_ALL
                                                            : TK_WALK_VALUES,
                          lower, upper, reverse, &iter);
        expect_walk(model, &model->now, &iter, from, until, reverse);
    }
}

static void
check_point(struct model *model)
{
    size_t i = tk_rng_below(&model->rng, KEYS);
    const struct cell *cell = &model->now.cells[i];
    struct tk_buffer_item item;

    assert_int_equal(tk_buffer_get(model->buffer, key_of(model, i), &item),
                     cell->is_there);
    if (cell->is_there) {
        assert_int_equal(item.flags, cell->flags);
        expect_cell(cell, item.value);
    }
}

/* ---- operations ---- */

static void
let_memory_end(struct model *model)
{
    if (tk_rng_below(&model->rng, 10) == 0) {
        tk_alloc_fail_nth(1 + tk_rng_below(&model->rng, 3));
    }
}

/* True when the operation was done. */
static bool
is_done(struct model *model, tikv_error *error)
{
    tk_alloc_fail_nth(0);
    if (error == NULL) {
        return true;
    }
    assert_int_equal(tikv_error_code(error), TIKV_ERR_MEMORY);
    tikv_error_free(error);
    model->failures++;
    return false;
}

static void
write_one(struct model *model)
{
    size_t i = tk_rng_below(&model->rng, KEYS);
    struct cell cell = model->now.cells[i];
    unsigned kind = (unsigned)tk_rng_below(&model->rng, 8);
    uint32_t set = (uint32_t)tk_rng_next(&model->rng) & 0x3fff &
                   (uint32_t)tk_rng_next(&model->rng);
    uint32_t clear = (uint32_t)tk_rng_next(&model->rng) & 0x3fff;
    tk_key_change change = tk_rng_below(&model->rng, 2) == 0
                               ? TK_KEY_NO_CHANGE
                               : TK_KEY_CHANGE(set, clear);
    tikv_error *error;
    size_t j;

    cell.is_there = true;
    if (kind >= 2) {
        cell.flags &= (uint16_t)~TK_KEY_CHECK_IN_PREWRITE;
        cell.has_value = true;
        cell.len = kind == 2 ? 0
                             : (uint8_t)(1 + tk_rng_below(&model->rng,
                                                          VALUE_MAX));
        for (j = 0; j < cell.len; j++) {
            cell.value[j] = (uint8_t)tk_rng_next(&model->rng);
        }
    }
    cell.flags = tk_key_changed(cell.flags, change);
    let_memory_end(model);
    if (kind < 2) {
        error = tk_buffer_mark(model->buffer, key_of(model, i), change);
    } else if (kind == 2) {
        error = tk_buffer_remove(model->buffer, key_of(model, i), change);
    } else {
        error = tk_buffer_set(model->buffer, key_of(model, i),
                              tk_slice(cell.value, cell.len), change);
    }
    if (is_done(model, error)) {
        model->now.cells[i] = cell;
    }
}

static void
stage_one(struct model *model)
{
    size_t stage;
    unsigned kind = (unsigned)tk_rng_below(&model->rng, 5);

    if (kind < 2 && model->depth < DEPTH) {
        let_memory_end(model);
        if (is_done(model, tk_buffer_stage(model->buffer, &stage))) {
            model->stages[model->depth++] = model->now;
            assert_int_equal(stage, model->depth);
        }
        return;
    }
    if (kind < 2 || model->depth == 0) {
        return;
    }
    if (kind == 2) {
        assert_null(tk_buffer_release(model->buffer, model->depth));
        model->depth--;
    } else {
        assert_null(tk_buffer_cleanup(model->buffer, model->depth));
        model_undo(model, &model->stages[--model->depth]);
    }
    model->is_view_gone |= model->depth == 0;
}

static void
view_one(struct model *model)
{
    struct tk_buffer_iter iter;
    tikv_error *error;

    if (!model->has_view) {
        tk_snapview_open(&model->view, model->buffer);
        model->seen = model->depth > 0 ? model->stages[0] : model->now;
        model->has_view = true;
        model->is_view_gone = false;
    } else if (model->is_view_gone) {
        error = tk_snapview_iterate(&model->view, (tikv_slice){ NULL, 0 },
                                    (tikv_slice){ NULL, 0 }, false, &iter);
        assert_int_equal(tikv_error_code(error), TIKV_ERR_STATE);
        tikv_error_free(error);
        tk_snapview_close(&model->view);
        model->has_view = false;
    } else {
        check_range(model, true);
        if (tk_rng_below(&model->rng, 4) == 0) {
            tk_snapview_close(&model->view);
            model->has_view = false;
        }
    }
}

/* Gives how many operations had no memory. */
static size_t
run(uint64_t seed, size_t steps)
{
    struct model *model = tk_calloc(sizeof(*model));
    size_t failures;
    size_t i;

    assert_non_null(model);
    model->rng.state = seed;
    make_keys(model);
    model->buffer = tk_buffer_new();
    assert_non_null(model->buffer);
    for (i = 0; i < steps; i++) {
        unsigned kind = (unsigned)tk_rng_below(&model->rng, 200);

        if (kind < 150) {
            write_one(model);
        } else if (kind < 175) {
            check_point(model);
        } else if (kind < 191) {
            stage_one(model);
        } else if (kind < 195) {
            view_one(model);
        } else {
            check_range(model, false);
            expect_sums(model);
        }
    }
    failures = model->failures;
    if (model->has_view) {
        tk_snapview_close(&model->view);
    }
    tk_buffer_free(model->buffer);
    tk_free(model);
    return failures;
}

static void
buffer__agrees_with_a_sorted_array(void **state)
{
    size_t failures = 0;
    uint64_t seed;

    (void)state;
    for (seed = 1; seed <= 40; seed++) {
        failures += run(seed, 5000);
    }
#ifdef TK_DEBUG
    assert_true(failures > 10);
#endif
}

/* ---- many keys, so that the tree has several levels ---- */

enum { MANY = 50000 };

static void
many_key(uint64_t number, uint8_t *key, size_t *len)
{
    struct tk_rng rng = { number };
    size_t i;

    *len = 1 + tk_rng_below(&rng, 19);
    for (i = 0; i < *len; i++) {
        key[i] = (uint8_t)tk_rng_next(&rng);
    }
}

static void
walk_sorted(const struct tk_buffer *buffer, bool reverse, size_t count)
{
    struct tk_buffer_iter iter;
    tikv_slice last = { NULL, 0 };
    size_t seen = 0;

    for (tk_buffer_iterate(buffer, TK_WALK_VALUES, last, last, reverse, &iter);
         iter.is_valid; seen++) {
        if (seen > 0) {
            int order = tk_slice_compare(last, iter.item.key);

            assert_true(reverse ? order > 0 : order < 0);
        }
        last = iter.item.key;
        assert_null(tk_buffer_iter_next(&iter));
    }
    assert_int_equal(seen, count);
}

/* Fifty thousand random keys; in a stage most of them again and as many new
 * ones, then all of that back, through leaves and inner nodes that empty. */
static void
buffer__takes_back_a_tree_full_of_keys(void **state)
{
    struct tk_buffer *buffer = tk_buffer_new();
    size_t count = 0;
    uint64_t size = 0;
    uint64_t i;

    (void)state;
    for (i = 0; i < 2 * MANY; i++) {
        uint8_t key[20];
        size_t len;
        size_t stage;

        many_key(i, key, &len);
        if (i == MANY) {
            count = tk_buffer_count(buffer);
            size = tk_buffer_size(buffer);
            assert_true(tk_tree_is_sound(&buffer->tree));
            assert_null(tk_buffer_stage(buffer, &stage));
        }
        assert_null(tk_buffer_set(buffer, tk_slice(key, len),
                                  tk_slice(&i, sizeof(i)), 0));
    }
    assert_true(tk_tree_is_sound(&buffer->tree));
    walk_sorted(buffer, false, tk_buffer_count(buffer));
    assert_null(tk_buffer_cleanup(buffer, 1));
    assert_true(tk_tree_is_sound(&buffer->tree));
    assert_int_equal(tk_buffer_count(buffer), count);
    assert_int_equal(tk_buffer_size(buffer), size);
    walk_sorted(buffer, false, count);
    walk_sorted(buffer, true, count);
    tk_buffer_free(buffer);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        harness_test(buffer__agrees_with_a_sorted_array),
        harness_test(buffer__takes_back_a_tree_full_of_keys),
    };
    return harness_run(tests);
}
