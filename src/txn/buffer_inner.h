/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the buffer share. The order of a change: everything that
 * can fail first (reserve), then the change.
 */
#ifndef TK_TXN_BUFFER_INNER_H
#define TK_TXN_BUFFER_INNER_H

#include "txn/buffer_tree.h"

struct tk_buffer {
    struct tk_tree tree;
    struct tk_blocks log;
    struct tk_pool pool;
    uint64_t size;
    uint64_t generation; /* counts changes: iterators compare it */
    uint64_t epoch;      /* counts the ends of what views see */

    uint64_t *stages; /* where in the log each began */
    size_t depth;
    size_t stage_places;
    uint64_t pin; /* the highest view opened without a stage */
    size_t views; /* open ones */
    bool is_dirty;
    bool is_discarded;

    uint64_t entry_limit;
    uint64_t total_limit;
};

/* Values before this position are not overwritten in place. */
static inline uint64_t
tk_buffer_fence(const struct tk_buffer *buffer)
{
    uint64_t stage = buffer->depth == 0 ? 0 : buffer->stages[buffer->depth - 1];

    return buffer->pin > stage ? buffer->pin : stage;
}

/* The newest value of an entry that begins before `until`, 0 for none. */
static inline uint64_t
tk_buffer_value_before(const struct tk_buffer *buffer,
                       const struct tk_entry *entry, uint64_t until)
{
    uint64_t position = entry->newest;

    while (position >= until && position != 0) {
        position = tk_log_at(&buffer->log, position)->older;
    }
    return position;
}

/* Absent for position 0. */
static inline tikv_slice
tk_buffer_value_at(const struct tk_buffer *buffer, uint64_t position)
{
    return position == 0 || buffer->is_discarded
               ? (tikv_slice){ NULL, 0 }
               : tk_record_value(tk_log_at(&buffer->log, position));
}

static inline bool
tk_view_is_gone(const struct tk_snapview *view)
{
    return view->epoch != view->buffer->epoch;
}

void
tk_buffer_item_of(const struct tk_buffer *buffer, const struct tk_entry *entry,
                  struct tk_buffer_item *item);

tikv_error *
tk_buffer_refuse_discarded(void);

#endif
