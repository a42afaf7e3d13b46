/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans, page by page; a page goes from region to region:
 *
 *     locate the region at the edge --> job over its part of the range
 *          ^                                       |
 *          |            a lock of the whole answer: resolve, the same again
 *          |            rows with locks: resolve, get what is under them
 *          +--- not full, range not at its end ----+--> page
 *
 * No lock; the caller's thread.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "txn/scan_inner.h"

#define KEY_MAX (1 << 20)

/* Rows of the first request of a page that is bounded in bytes; the next one
 * knows how large they are. */
#define ROWS_GUESS 64

/* What is left of the range at its edge lies in [low, high): cuts the job's
 * range and tells whether it is the last part. */
static bool
cut_range(struct tk_scan *scan, const tikv_range *left)
{
    tikv_slice low = tk_buf_slice(&scan->low);
    tikv_slice high = tk_buf_slice(&scan->high);
    bool is_last;

    scan->job.range = *left;
    if (scan->options->reverse) {
        is_last = low.len == 0 || tk_slice_compare(low, left->start) <= 0;
        if (!is_last) {
            scan->job.range.start = low;
        }
    } else {
        is_last = high.len == 0 || (left->end.len != 0 &&
                                    tk_slice_compare(high, left->end) >= 0);
        if (!is_last) {
            scan->job.range.end = high;
        }
    }
    return is_last;
}

/* Behind what was read: the last row of a full answer, else the region. False
 * without memory. */
static bool
move_on(struct tk_scan *scan, tikv_range *left, bool is_full)
{
    tikv_slice last = is_full ? scan->rows[scan->rows_count - 1].key
                              : (tikv_slice){ NULL, 0 };

    tk_buf_clear(&scan->edge);
    if (scan->options->reverse) {
        tk_buf_append_slice(&scan->edge,
                            is_full ? last : tk_buf_slice(&scan->low));
        left->end = tk_buf_slice(&scan->edge);
    } else {
        tk_buf_append_slice(&scan->edge,
                            is_full ? last : tk_buf_slice(&scan->high));
        if (is_full) {
            tk_buf_append(&scan->edge, "", 1);
        }
        left->start = tk_buf_slice(&scan->edge);
    }
    return !scan->edge.failed;
}

/* Rows to ask for: what is missing, and no more than fit into the bytes. */
static uint32_t
rows_wanted(const struct tk_scan *scan)
{
    size_t bytes_max = scan->options->page_bytes;
    size_t rows = scan->page->count;
    size_t fit = ROWS_GUESS;

    if (bytes_max == 0) {
        return scan->missing;
    }
    if (rows != 0) {
        size_t each = scan->bytes / rows + 1;

        fit =
            bytes_max > scan->bytes ? (bytes_max - scan->bytes) / each + 1 : 1;
    }
    return fit < scan->missing ? (uint32_t)fit : scan->missing;
}

static tikv_error *
send_part(struct tk_scan *scan, const tikv_range *left, bool *is_last)
{
    tikv_error *error;
    struct tk_route route;

    error = tk_reading_job(&scan->reading, &scan->job, &tk_scan_ops,
                           TK_CMD_KV_SCAN);
    if (error != NULL) {
        return error;
    }
    tk_buf_clear(&scan->low);
    tk_buf_clear(&scan->high);
    error = tk_cache_locate(tk_scan_router(scan)->cache, scan->reading.op,
                            scan->options->reverse ? left->end : left->start,
                            scan->options->reverse, &scan->reading.backoff,
                            &route, &scan->low, &scan->high);
    if (error == NULL && (scan->low.failed || scan->high.failed)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error != NULL) {
        return error;
    }
    *is_last = cut_range(scan, left);
    scan->limit = rows_wanted(scan);
    return tk_reading_drive(&scan->reading, &scan->job, NULL);
}

/* One part of the range, with its locks; moves `left` behind it. *ended: the
 * range is. */
static tikv_error *
read_part(struct tk_scan *scan, tikv_range *left, bool *ended)
{
    bool is_last = false;
    bool is_full = false;
    tikv_error *error;

    scan->is_blocked = false;
    error = send_part(scan, left, &is_last);
    if (error == NULL && scan->is_blocked) {
        /* Of its other answers nothing is known to be complete. */
        tk_scan_drop(scan);
        return tk_reading_resolve(&scan->reading);
    }
    if (error == NULL) {
        error = tk_scan_take(scan, &is_full);
    }
    tk_scan_drop(scan);
    if (error != NULL) {
        return error;
    }
    *ended = is_last && !is_full;
    if (!*ended && !move_on(scan, left, is_full)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    return NULL;
}

static bool
is_empty(const tikv_range *range)
{
    return range->end.len != 0 &&
           tk_slice_compare(range->start, range->end) >= 0;
}

static bool
is_page_full(const struct tk_scan *scan)
{
    return scan->missing == 0 || (scan->options->page_bytes != 0 &&
                                  scan->bytes >= scan->options->page_bytes);
}

/* A copy that lives with the page; an absent slice stays absent. */
static bool
keep(tikv_pairs *page, tikv_slice bytes, tikv_slice *out)
{
    *out = (tikv_slice){ NULL, 0 };
    return bytes.data == NULL || tk_pairs_copy(page, bytes, out);
}

static tikv_error *
read_page(struct tk_scan *scan, tikv_range range)
{
    tikv_range left = range;
    bool ended = is_empty(&left);
    tikv_error *error = NULL;

    while (!ended && error == NULL && !is_page_full(scan)) {
        error = read_part(scan, &left, &ended);
        ended |= is_empty(&left);
    }
    if (error == NULL) {
        error = tk_reading_check(&scan->reading);
    }
    if (error == NULL && !ended) {
        scan->page->has_rest = true;
        if (!keep(scan->page, left.start, &scan->page->rest.start) ||
            !keep(scan->page, left.end, &scan->page->rest.end)) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    return error;
}

tikv_error *
tk_snapshot_scan(struct tk_snapshot *snapshot, struct tk_op *op,
                 tikv_range range, const struct tk_scan_options *options,
                 tikv_pairs **out)
{
    struct tk_scan scan = { .options = options };
    tikv_error *error = tk_reading_init(&scan.reading, snapshot, op);

    *out = NULL;
    scan.missing = options->page_count != 0
                       ? options->page_count
                       : (uint32_t)tk_config_int(
                             &snapshot->client->router.config->scan_page_count);
    tk_buf_init(&scan.low, KEY_MAX);
    tk_buf_init(&scan.high, KEY_MAX);
    tk_buf_init(&scan.edge, KEY_MAX);
    scan.page = tk_pairs_new(0);
    if (error == NULL && scan.page == NULL) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (error == NULL && snapshot->options.version == UINT64_MAX) {
        error = tk_error(TIKV_ERR_ARGUMENT,
                         "a scan needs a version: the newest is another one "
                         "for each of its requests");
    }
    if (error == NULL) {
        error = read_page(&scan, range);
    }
    if (error == NULL) {
        *out = scan.page;
    } else {
        tikv_pairs_free(scan.page);
    }
    tk_free(scan.rows);
    tk_buf_fini(&scan.low);
    tk_buf_fini(&scan.high);
    tk_buf_fini(&scan.edge);
    tk_reading_fini(&scan.reading);
    return error;
}
