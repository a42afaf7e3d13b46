/* SPDX-License-Identifier: Apache-2.0 */
/* Two sorted streams merged. */
#include "txn/buffer_union.h"

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
