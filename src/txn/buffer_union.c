/* SPDX-License-Identifier: Apache-2.0 */
/* Two sorted streams merged, and the keys the buffer has no answer for. */
#include "txn/buffer_union.h"

#include "base/alloc.h"

/* ---- points ---- */

/* Answers what the buffer knows; gives how many keys it does not know, whose
 * places are told in `missing`. */
static size_t
answer_own(const struct tk_buffer *buffer, const tikv_slice *keys,
           size_t count, struct tk_found *found, size_t *missing)
{
    size_t missing_count = 0;
    size_t i;

    for (i = 0; i < count; i++) {
        struct tk_buffer_item item;

        found[i] = (struct tk_found){ .commit_ts = 0 };
        if (!tk_buffer_get(buffer, keys[i], &item) ||
            item.value.data == NULL) {
            missing[missing_count++] = i;
        } else if (item.value.len > 0) {
            found[i].value = item.value;
        }
    }
    return missing_count;
}

static tikv_error *
ask_below(struct tk_below *below, const tikv_slice *keys,
          const size_t *missing, size_t count, bool with_commit_ts,
          struct tk_found *found)
{
    tikv_slice *asked = tk_alloc_array(count, sizeof(*asked));
    struct tk_found *answers = tk_calloc(count * sizeof(*answers));
    tikv_error *error;
    size_t i;

    if (asked == NULL || answers == NULL) {
        tk_free(asked);
        tk_free(answers);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0; i < count; i++) {
        asked[i] = keys[missing[i]];
    }
    error = below->get(below, asked, count, with_commit_ts, answers);
    for (i = 0; error == NULL && i < count; i++) {
        found[missing[i]].value = answers[i].value;
        found[missing[i]].commit_ts =
            with_commit_ts ? answers[i].commit_ts : 0;
    }
    tk_free(asked);
    tk_free(answers);
    return error;
}

tikv_error *
tk_union_get(const struct tk_buffer *buffer, struct tk_below *below,
             const tikv_slice *keys, size_t count, bool with_commit_ts,
             struct tk_found *found)
{
    size_t near[16];
    size_t *missing = near;
    tikv_error *error = NULL;
    size_t missing_count;

    if (count > sizeof(near) / sizeof(near[0])) {
        missing = tk_alloc_array(count, sizeof(*missing));
        if (missing == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    missing_count = answer_own(buffer, keys, count, found, missing);
    if (missing_count == 1 && count == 1) {
        error = below->get(below, keys, 1, with_commit_ts, found);
        found->commit_ts = with_commit_ts ? found->commit_ts : 0;
    } else if (missing_count > 0) {
        error = ask_below(below, keys, missing, missing_count, with_commit_ts,
                          found);
    }
    if (missing != near) {
        tk_free(missing);
    }
    return error;
}

/* ---- ranges ---- */

static tikv_error *
stop(struct tk_union_iter *iter, tikv_error *error)
{
    iter->is_valid = false;
    iter->key = (tikv_slice){ NULL, 0 };
    iter->value = (tikv_slice){ NULL, 0 };
    return error;
}

/* Below 0: the next pair is the buffer's alone; 0: both have the key. */
static int
compare_heads(const struct tk_union_iter *iter)
{
    int order;

    if (!iter->below->is_valid) {
        return -1;
    }
    if (!iter->mine.is_valid) {
        return 1;
    }
    order = tk_slice_compare(iter->mine.item.key, iter->below->key);
    return iter->is_reverse ? -order : order;
}

/* Shows the nearer head, passing over tombstones and what they hide. */
static tikv_error *
settle(struct tk_union_iter *iter)
{
    tikv_error *error = NULL;

    while (error == NULL && (iter->mine.is_valid || iter->below->is_valid)) {
        int order = compare_heads(iter);

        iter->is_own = order <= 0;
        if (order == 0) {
            error = iter->below->next(iter->below);
        } else if (order > 0) {
            iter->key = iter->below->key;
            iter->value = iter->below->value;
            iter->is_valid = true;
            return NULL;
        }
        if (error == NULL && iter->mine.item.value.len > 0) {
            iter->key = iter->mine.item.key;
            iter->value = iter->mine.item.value;
            iter->is_valid = true;
            return NULL;
        }
        if (error == NULL) {
            error = tk_buffer_iter_next(&iter->mine);
        }
    }
    return stop(iter, error);
}

tikv_error *
tk_union_iterate(const struct tk_buffer *buffer, struct tk_source *below,
                 tikv_slice lower, tikv_slice upper, bool reverse,
                 struct tk_union_iter *iter)
{
    iter->below = below;
    iter->is_reverse = reverse;
    tk_buffer_iterate(buffer, TK_WALK_VALUES, lower, upper, reverse,
                      &iter->mine);
    return settle(iter);
}

tikv_error *
tk_union_iter_next(struct tk_union_iter *iter)
{
    tikv_error *error;

    if (!iter->is_valid) {
        return tk_error(TIKV_ERR_STATE, "the iterator is at its end");
    }
    if (!tk_buffer_iter_is_current(&iter->mine)) {
        error = tk_error(TIKV_ERR_STATE,
                         "the buffer was changed under the iterator");
    } else {
        error = iter->is_own ? tk_buffer_iter_next(&iter->mine)
                             : iter->below->next(iter->below);
    }
    return error != NULL ? stop(iter, error) : settle(iter);
}
