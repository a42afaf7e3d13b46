/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of a transaction: its own writes over its snapshot. What the buffer
 * knows is copied under the transaction's lock, the rest is asked without it,
 * so that reads run beside each other and beside writes.
 *
 * A scan takes a page of the snapshot first and then, under the lock, merges
 * what the buffer has in the range that page covers.
 */
#include "txn/txn.h"

#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/slice.h"
#include "txn/buffer_union.h"

static tikv_error *
no_memory(void)
{
    return tk_error_immortal(TIKV_ERR_MEMORY);
}

/* ---- points ---- */

/* A value that stays when `hold` goes: shares its memory where it is one
 * piece, else copies. */
static tikv_value *
keep_value(tikv_slice bytes, const tikv_pairs *hold)
{
    struct tk_frame *frame = NULL;

    if (hold->frames_count == 1 && bytes.len >= TK_VALUE_ALIAS_MIN) {
        frame = hold->frames[0];
        tk_frame_ref(frame);
    }
    return tk_value_new(bytes, frame);
}

static tikv_error *
get_below(tikv_txn *txn, struct tk_op *op, tikv_slice key, bool with_commit_ts,
          tikv_value **out)
{
    tikv_pairs *hold = tk_pairs_new(0);
    struct tk_found found = { .commit_ts = 0 };
    tikv_error *error = hold == NULL
                            ? no_memory()
                            : tk_snapshot_get(txn->snapshot, op, &key, 1,
                                              with_commit_ts, hold, &found);

    if (error == NULL && found.value.data != NULL) {
        *out = keep_value(found.value, hold);
        if (*out == NULL) {
            error = no_memory();
        } else {
            (*out)->commit_ts = found.commit_ts;
        }
    }
    tikv_pairs_free(hold);
    return error;
}

tikv_error *
tk_txn_get(tikv_txn *txn, struct tk_op *op, tikv_slice key, bool with_commit_ts,
           tikv_value **out)
{
    tikv_error *error = tk_txn_open(txn);
    struct tk_buffer_item item;
    bool is_own;

    *out = NULL;
    if (error != NULL) {
        return error;
    }
    is_own = tk_buffer_get(txn->buffer, key, &item) && item.value.data != NULL;
    if (is_own && item.value.len != 0) {
        *out = tk_value_new(item.value, NULL);
        error = *out == NULL ? no_memory() : NULL;
    }
    tk_mutex_unlock(&txn->lock);
    return is_own ? error : get_below(txn, op, key, with_commit_ts, out);
}

/* ---- batches ---- */

struct batch {
    tikv_pairs *pairs; /* one per key, in their order */
    tikv_slice *keys;  /* those to ask below */
    size_t *places;    /* where their answers go */
    struct tk_found *found;
    size_t count;
};

static void
batch_fini(struct batch *batch)
{
    tikv_pairs_free(batch->pairs);
    tk_free(batch->keys);
    tk_free(batch->places);
    tk_free(batch->found);
}

static bool
batch_init(struct batch *batch, const tikv_slice *keys, size_t count)
{
    struct tk_frame *frame;
    uint8_t *bytes;
    size_t size = 1;
    size_t i;

    *batch = (struct batch){ .pairs = tk_pairs_new(count) };
    batch->keys = tk_alloc_array(count + 1, sizeof(*batch->keys));
    batch->places = tk_alloc_array(count + 1, sizeof(*batch->places));
    batch->found = tk_calloc((count + 1) * sizeof(*batch->found));
    for (i = 0; i < count; i++) {
        size += keys[i].len;
    }
    frame = tk_frame_new(size, &bytes);
    if (batch->pairs == NULL || batch->keys == NULL || batch->places == NULL ||
        batch->found == NULL || frame == NULL) {
        tk_frame_unref(frame, 1);
        return false;
    }
    if (!tk_pairs_hold(batch->pairs, frame)) {
        return false;
    }
    for (i = 0; i < count; i++) {
        if (keys[i].len != 0) {
            memcpy(bytes, keys[i].data, keys[i].len);
        }
        if (!tk_pairs_add(batch->pairs, tk_slice(bytes, keys[i].len),
                          tk_slice(NULL, 0))) {
            return false;
        }
        bytes += keys[i].len;
    }
    return true;
}

/* What the buffer knows, under the lock; the rest is listed. */
static tikv_error *
take_own(tikv_txn *txn, struct batch *batch)
{
    size_t i;

    for (i = 0; i < batch->pairs->count; i++) {
        tikv_pair *pair = &batch->pairs->data[i];
        struct tk_buffer_item item;

        if (!tk_buffer_get(txn->buffer, pair->key, &item) ||
            item.value.data == NULL) {
            batch->keys[batch->count] = pair->key;
            batch->places[batch->count++] = i;
        } else if (item.value.len != 0 &&
                   !tk_pairs_copy(batch->pairs, item.value, &pair->value)) {
            return no_memory();
        }
    }
    return NULL;
}

tikv_error *
tk_txn_batch_get(tikv_txn *txn, struct tk_op *op, const tikv_slice *keys,
                 size_t count, bool with_commit_ts, tikv_pairs **out)
{
    struct batch batch;
    tikv_error *error = NULL;
    size_t i;

    *out = NULL;
    if (!batch_init(&batch, keys, count)) {
        error = no_memory();
    } else if (with_commit_ts) {
        batch.pairs->commit_ts =
            tk_calloc((count + 1) * sizeof(*batch.pairs->commit_ts));
        error = batch.pairs->commit_ts == NULL ? no_memory() : NULL;
    }
    if (error == NULL) {
        error = tk_txn_open(txn);
        if (error == NULL) {
            error = take_own(txn, &batch);
            tk_mutex_unlock(&txn->lock);
        }
    }
    if (error == NULL && batch.count != 0) {
        error = tk_snapshot_get(txn->snapshot, op, batch.keys, batch.count,
                                with_commit_ts, batch.pairs, batch.found);
    }
    for (i = 0; error == NULL && i < batch.count; i++) {
        batch.pairs->data[batch.places[i]].value = batch.found[i].value;
        if (with_commit_ts) {
            batch.pairs->commit_ts[batch.places[i]] = batch.found[i].commit_ts;
        }
    }
    if (error == NULL) {
        *out = batch.pairs;
        batch.pairs = NULL;
    }
    batch_fini(&batch);
    return error;
}

/* ---- scans ---- */

/* One page of the snapshot as a source. */
struct page {
    struct tk_source source; /* first */
    const tikv_pairs *pairs;
    size_t place;
};

static void
show(struct page *page)
{
    page->source.is_valid = page->place < page->pairs->count;
    if (page->source.is_valid) {
        page->source.key = page->pairs->data[page->place].key;
        page->source.value = page->pairs->data[page->place].value;
    }
}

static tikv_error *
page_next(struct tk_source *source)
{
    struct page *page = (struct page *)(void *)source;

    page->place++;
    show(page);
    return NULL;
}

struct scan {
    tikv_txn *txn;
    struct tk_scan_options options;
    tikv_pairs *out;
    tikv_range range; /* still to be scanned */
    size_t bytes;     /* of the result so far */
    bool has_rest;
};

static bool
add_pair(struct scan *scan, const struct tk_union_iter *iter)
{
    tikv_slice key = iter->key;
    tikv_slice value = iter->value;

    if (iter->is_own && !tk_pairs_copy(scan->out, key, &key)) {
        return false;
    }
    if (scan->options.keys_only) {
        value = tk_slice(NULL, 0);
    } else if (iter->is_own && !tk_pairs_copy(scan->out, value, &value)) {
        return false;
    }
    scan->bytes += key.len + value.len;
    return tk_pairs_add(scan->out, key, value);
}

/* The result is full: what is behind its last key is the rest. */
static bool
stop_behind(struct scan *scan, tikv_slice last)
{
    tikv_slice bound;
    uint8_t *bytes;
    struct tk_frame *frame;

    if (scan->options.reverse) {
        if (!tk_pairs_copy(scan->out, last, &bound)) {
            return false;
        }
        scan->range.end = bound;
        return true;
    }
    frame = tk_frame_new(last.len + 1, &bytes);
    if (frame == NULL || !tk_pairs_hold(scan->out, frame)) {
        return false;
    }
    if (last.len != 0) {
        memcpy(bytes, last.data, last.len);
    }
    bytes[last.len] = 0;
    scan->range.start = tk_slice(bytes, last.len + 1);
    return true;
}

static bool
is_full(const struct scan *scan)
{
    return scan->out->count >= scan->options.page_count ||
           (scan->options.page_bytes != 0 &&
            scan->bytes >= scan->options.page_bytes);
}

/* Under the lock: page and buffer, over the range the page covers. */
static tikv_error *
merge(struct scan *scan, const tikv_pairs *pairs, tikv_range covered)
{
    struct page page = { .source = { .next = page_next }, .pairs = pairs };
    struct tk_union_iter iter;
    tikv_error *error;

    show(&page);
    error = tk_union_iterate(scan->txn->buffer, &page.source, covered.start,
                             covered.end, scan->options.reverse, &iter);
    while (error == NULL && iter.is_valid && !is_full(scan)) {
        error = add_pair(scan, &iter) ? tk_union_iter_next(&iter) : no_memory();
    }
    if (error == NULL && iter.is_valid) {
        scan->has_rest = true;
        if (!stop_behind(scan, scan->out->data[scan->out->count - 1].key)) {
            return no_memory();
        }
    }
    return error;
}

/* The page's memory becomes the result's. */
static bool
adopt(struct scan *scan, const tikv_pairs *page)
{
    size_t i;

    for (i = 0; i < page->frames_count; i++) {
        tk_frame_ref(page->frames[i]);
        if (!tk_pairs_hold(scan->out, page->frames[i])) {
            return false;
        }
    }
    return true;
}

/* One page further; scan->range becomes what is behind it. */
static tikv_error *
scan_page(struct scan *scan, struct tk_op *op)
{
    struct tk_scan_options options = scan->options;
    tikv_range covered = scan->range;
    tikv_pairs *page = NULL;
    tikv_range rest;
    tikv_error *error;

    options.page_count -= (uint32_t)scan->out->count;
    error =
        tk_snapshot_scan(scan->txn->snapshot, op, scan->range, &options, &page);
    if (error != NULL) {
        return error;
    }
    scan->has_rest = tikv_pairs_next(page, &rest);
    if (scan->has_rest) {
        if (options.reverse) {
            covered.start = rest.end;
        } else {
            covered.end = rest.start;
        }
        scan->range = rest;
    }
    if (!adopt(scan, page)) {
        error = no_memory();
    }
    if (error == NULL) {
        error = tk_txn_open(scan->txn);
        if (error == NULL) {
            error = merge(scan, page, covered);
            tk_mutex_unlock(&scan->txn->lock);
        }
    }
    tikv_pairs_free(page);
    return error;
}

tikv_error *
tk_txn_scan(tikv_txn *txn, struct tk_op *op, tikv_range range,
            const struct tk_scan_options *options, tikv_pairs **out)
{
    struct scan scan = { .txn = txn, .options = *options, .range = range };
    tikv_error *error = NULL;

    *out = NULL;
    if (scan.options.page_count == 0) {
        scan.options.page_count = (uint32_t)tk_config_int(
            &txn->client->router.config->scan_page_count);
    }
    scan.out = tk_pairs_new(scan.options.page_count);
    if (scan.out == NULL) {
        return no_memory();
    }
    do {
        error = scan_page(&scan, op);
    } while (error == NULL && scan.has_rest && !is_full(&scan));
    if (error == NULL && scan.has_rest) {
        /* The ends have to live as long as the pairs. */
        scan.out->has_rest =
            tk_pairs_copy(scan.out, scan.range.start, &scan.out->rest.start) &&
            tk_pairs_copy(scan.out, scan.range.end, &scan.out->rest.end);
        error = scan.out->has_rest ? NULL : no_memory();
    }
    if (error != NULL) {
        tikv_pairs_free(scan.out);
        return error;
    }
    *out = scan.out;
    return NULL;
}
