/* SPDX-License-Identifier: Apache-2.0 */
/* A scan as a source of pairs, which a union puts the buffer over: one page
 * is held, the next is read when that one is used up. No lock; the caller's
 * thread. */
#include "base/value.h"
#include "txn/snapshot.h"

/* The next page that is not empty, or the end. */
static tikv_error *
turn_page(struct tk_scan_source *source, tikv_range range)
{
    bool has_more = true;

    source->source.is_valid = false;
    while (has_more) {
        tikv_pairs *page;
        tikv_error *error = tk_snapshot_scan(source->snapshot, source->op,
                                             range, &source->options, &page);

        if (error != NULL) {
            return error;
        }
        /* The range lies in the page before, which was needed till now. */
        tikv_pairs_free(source->page);
        source->page = page;
        source->place = 0;
        has_more = page->count == 0 && tikv_pairs_next(page, &range);
    }
    return NULL;
}

static void
show(struct tk_scan_source *source)
{
    const tikv_pairs *page = source->page;

    source->source.is_valid = source->place < page->count;
    if (source->source.is_valid) {
        source->source.key = page->data[source->place].key;
        source->source.value = page->data[source->place].value;
    }
}

static tikv_error *
source_next(struct tk_source *face)
{
    struct tk_scan_source *source = (struct tk_scan_source *)(void *)face;
    tikv_error *error = NULL;
    tikv_range rest;

    if (!source->source.is_valid) {
        return NULL;
    }
    if (++source->place == source->page->count &&
        tikv_pairs_next(source->page, &rest)) {
        error = turn_page(source, rest);
    }
    if (error == NULL) {
        show(source);
    }
    return error;
}

tikv_error *
tk_scan_source_init(struct tk_scan_source *source, struct tk_snapshot *snapshot,
                    struct tk_op *op, tikv_range range,
                    const struct tk_scan_options *options)
{
    tikv_error *error;

    memset(source, 0, sizeof(*source));
    source->source.next = source_next;
    source->snapshot = snapshot;
    tk_snapshot_ref(snapshot);
    source->op = op;
    source->options = *options;
    error = turn_page(source, range);
    if (error == NULL) {
        show(source);
    }
    return error;
}

void
tk_scan_source_fini(struct tk_scan_source *source)
{
    tikv_pairs_free(source->page);
    tk_snapshot_unref(source->snapshot);
    memset(source, 0, sizeof(*source));
}
