/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transaction sees of a range: its own writes over a stream of pairs,
 * such as a page of its snapshot. The buffer wins, a tombstone hides.
 *
 * Runs on the caller's thread; the stream may fail, the union passes its
 * errors up and is at its end then.
 */
#ifndef TK_TXN_BUFFER_UNION_H
#define TK_TXN_BUFFER_UNION_H

#include "txn/buffer.h"

/* An ordered stream of pairs, placed by its maker on the first of a range in
 * one direction. Key and value live until the next call of `next`. */
struct tk_source {
    tikv_error *(*next)(struct tk_source *source);
    bool is_valid; /* key and value are there */
    tikv_slice key;
    tikv_slice value;
};

/* Lies where the caller likes and needs no closing; the source is the
 * caller's. */
struct tk_union_iter {
    bool is_valid;
    tikv_slice key;
    tikv_slice value;
    bool is_own; /* from the buffer */

    struct tk_buffer_iter mine;
    struct tk_source *below;
    bool is_reverse;
};

/* `below` covers the same range in the same direction. */
tikv_error *
tk_union_iterate(const struct tk_buffer *buffer, struct tk_source *below,
                 tikv_slice lower, tikv_slice upper, bool reverse,
                 struct tk_union_iter *iter)
    __attribute__((warn_unused_result));

/* One further. STATE past the end and after a change of the buffer. */
tikv_error *
tk_union_iter_next(struct tk_union_iter *iter)
    __attribute__((warn_unused_result));

#endif
