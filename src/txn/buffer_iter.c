/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Iterators and views. A plain iterator refuses to go on after a change; one
 * over a view finds the place of its key again, which cannot be gone: what a
 * view sees is not taken back while it lasts.
 */
#include "txn/buffer.h"

#include "base/debug.h"
#include "txn/buffer_inner.h"

/* ---- views ---- */

void
tk_snapview_open(struct tk_snapview *view, struct tk_buffer *buffer)
{
    view->buffer = buffer;
    view->epoch = buffer->epoch;
    view->until = buffer->depth > 0 ? buffer->stages[0]
                                    : tk_log_end(&buffer->log);
    buffer->views++;
    if (buffer->pin < view->until) {
        buffer->pin = view->until;
    }
}

void
tk_snapview_close(struct tk_snapview *view)
{
    struct tk_buffer *buffer = view->buffer;

    if (buffer != NULL) {
        TK_ASSERT(buffer->views > 0, "a view was closed twice");
        if (--buffer->views == 0) {
            buffer->pin = 0;
        }
        view->buffer = NULL;
    }
}

static tikv_error *
view_is_gone(void)
{
    return tk_error(TIKV_ERR_STATE,
                    "the view of the buffer ended with its first stage");
}

tikv_error *
tk_snapview_get(const struct tk_snapview *view, tikv_slice key,
                tikv_slice *value)
{
    const struct tk_entry *entry;

    if (tk_view_is_gone(view)) {
        return view_is_gone();
    }
    entry = tk_tree_find(&view->buffer->tree, key);
    *value = tk_buffer_value_at(
        view->buffer, entry == NULL ? 0
                                    : tk_buffer_value_before(view->buffer,
                                                             entry,
                                                             view->until));
    return NULL;
}

/* ---- iterators ---- */

/* Entries and values lie in the order of writing: fetches those of the next
 * steps while this one is looked at. */
static void
fetch_ahead(const struct tk_buffer_iter *iter)
{
    enum { ENTRIES_AHEAD = 10, VALUES_AHEAD = 5 };
    const struct tk_leaf *leaf = iter->leaf;
    size_t step = iter->is_reverse ? (size_t)-1 : 1;
    size_t far = iter->at + step * ENTRIES_AHEAD; /* below 0: past count */
    size_t near = iter->at + step * VALUES_AHEAD;

    if (far < leaf->node.count) {
        __builtin_prefetch(leaf->entries[far]);
    }
    if (near < leaf->node.count && leaf->entries[near]->newest != 0 &&
        !iter->buffer->is_discarded) {
        __builtin_prefetch(
            tk_log_at(&iter->buffer->log, leaf->entries[near]->newest));
    }
}

static bool
step(struct tk_buffer_iter *iter)
{
    if (iter->is_reverse) {
        if (iter->at == 0) {
            iter->leaf = iter->leaf->previous;
            iter->at = iter->leaf == NULL ? 0 : iter->leaf->node.count;
        }
        iter->at -= iter->leaf != NULL;
    } else if (++iter->at == iter->leaf->node.count) {
        iter->leaf = iter->leaf->next;
        iter->at = 0;
    }
    if (iter->leaf == NULL) {
        return false;
    }
    fetch_ahead(iter);
    return true;
}

static bool
is_past_bound(const struct tk_buffer_iter *iter, tikv_slice key)
{
    if (iter->bound.len == 0) {
        return false;
    }
    return iter->is_reverse ? tk_slice_compare(key, iter->bound) < 0
                            : tk_slice_compare(key, iter->bound) >= 0;
}

/* Fills the item; false when the iterator passes this entry over. */
static bool
take(struct tk_buffer_iter *iter, const struct tk_entry *entry)
{
    const struct tk_buffer *buffer = iter->buffer;

    if (iter->view != NULL) {
        uint64_t at = tk_buffer_value_before(buffer, entry, iter->view->until);

        iter->item.key = tk_entry_slice(entry);
        iter->item.value = tk_buffer_value_at(buffer, at);
        iter->item.handle = entry;
        iter->item.flags = 0;
        return at != 0;
    }
    if (iter->walk == TK_WALK_VALUES &&
        (entry->newest == 0 || buffer->is_discarded)) {
        return false;
    }
    tk_buffer_item_of(buffer, entry, &iter->item);
    return true;
}

static void
finish(struct tk_buffer_iter *iter)
{
    iter->is_valid = false;
    iter->is_done = true;
    iter->item = (struct tk_buffer_item){ .flags = 0 };
}

/* From the place it is at to the first entry it shows. */
static void
settle(struct tk_buffer_iter *iter, bool is_there)
{
    iter->generation = iter->buffer->generation;
    while (is_there) {
        const struct tk_entry *entry = iter->leaf->entries[iter->at];

        if (is_past_bound(iter, tk_entry_slice(entry))) {
            break;
        }
        if (take(iter, entry)) {
            iter->is_valid = true;
            return;
        }
        is_there = step(iter);
    }
    finish(iter);
}

static void
start(struct tk_buffer_iter *iter, tikv_slice lower, tikv_slice upper)
{
    const struct tk_tree *tree = &iter->buffer->tree;
    bool is_there;

    iter->is_valid = false;
    iter->is_done = false;
    if (iter->is_reverse) {
        iter->bound = lower;
        is_there = tk_tree_seek_below(
            tree, upper.len == 0 ? (tikv_slice){ NULL, 0 } : upper,
            &iter->leaf, &iter->at);
    } else {
        iter->bound = upper;
        is_there = tk_tree_seek(tree, lower, &iter->leaf, &iter->at);
    }
    settle(iter, is_there);
}

void
tk_buffer_iterate(const struct tk_buffer *buffer, enum tk_walk walk,
                  tikv_slice lower, tikv_slice upper, bool reverse,
                  struct tk_buffer_iter *iter)
{
    iter->buffer = buffer;
    iter->view = NULL;
    iter->walk = walk;
    iter->is_reverse = reverse;
    start(iter, lower, upper);
}

tikv_error *
tk_snapview_iterate(const struct tk_snapview *view, tikv_slice lower,
                    tikv_slice upper, bool reverse,
                    struct tk_buffer_iter *iter)
{
    iter->buffer = view->buffer;
    iter->view = view;
    iter->walk = TK_WALK_VALUES;
    iter->is_reverse = reverse;
    if (tk_view_is_gone(view)) {
        finish(iter);
        return view_is_gone();
    }
    start(iter, lower, upper);
    return NULL;
}

bool
tk_buffer_iter_is_current(const struct tk_buffer_iter *iter)
{
    return iter->view != NULL ? !tk_view_is_gone(iter->view)
                              : iter->generation == iter->buffer->generation;
}

tikv_error *
tk_buffer_iter_next(struct tk_buffer_iter *iter)
{
    if (iter->is_done) {
        return tk_error(TIKV_ERR_STATE, "the iterator is at its end");
    }
    if (!tk_buffer_iter_is_current(iter)) {
        finish(iter);
        return iter->view != NULL
                   ? view_is_gone()
                   : tk_error(TIKV_ERR_STATE,
                              "the buffer was changed under the iterator");
    }
    if (iter->generation != iter->buffer->generation) {
        (void)tk_tree_seek(&iter->buffer->tree, iter->item.key, &iter->leaf,
                           &iter->at);
    }
    settle(iter, step(iter));
    return NULL;
}
