/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans, page by page. A page goes from region to region, one after the
 * other, and asks each for what is still missing:
 *
 *     locate the region at the edge --> job over its part of the range
 *          ^                                       |
 *          +--- not full, range not at its end ----+--> page
 *
 * The part is a job of a range, so a region that splits meanwhile gives
 * several answers; they are put in order of their first key. A reverse scan
 * walks from the end of the range, and TiKV wants its upper bound in the
 * field called start_key. No lock; one thread.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "raw/inner.h"

#include "kvrpcpb.upb.h"

/* One answer with pairs in it. */
struct part {
    struct part *next;
    struct tk_arena *arena; /* one reference */
    const kvrpcpb_KvPair *const *pairs;
    size_t count;
};

struct scan {
    struct tk_job job; /* first */
    struct tk_raw_run *run;
    tikv_pairs *page;
    uint32_t missing;
    bool is_reverse;
    struct part *parts; /* in the order of the scan */
    struct tk_buf low;  /* bounds of the region at the edge */
    struct tk_buf high;
    struct tk_buf edge; /* where the scan stands, once it has moved */
};

static struct scan *
scan_of(struct tk_job *job)
{
    return (struct scan *)(void *)job;
}

/* Above every key: TiKV takes an empty upper bound of a reverse scan for the
 * lowest key. Memory of the arena. */
static bool
above_all(const struct scan *scan, struct tk_arena *arena, upb_StringView *out)
{
    int64_t max = tk_config_int(&scan->run->router->config->raw_max_key_bytes);
    size_t len = (size_t)max + 1;
    char *bytes = upb_Arena_Malloc(arena->upb, len);

    if (bytes == NULL) {
        return false;
    }
    memset(bytes, 0xff, len);
    *out = upb_StringView_FromDataAndSize(bytes, len);
    return true;
}

static bool
reverse_bounds(const struct scan *scan, const struct tk_piece *piece,
               struct tk_arena *arena, upb_StringView *start,
               upb_StringView *end)
{
    const struct tk_router *router = scan->run->router;
    bool is_open = piece->end.len == 0 && router->codec.mode == TK_KEYS_RAW_V1;

    return tk_message_key(&router->codec, arena, piece->start, end) &&
           (is_open ? above_all(scan, arena, start)
                    : tk_message_end(&router->codec, arena, piece->end, start));
}

static tikv_error *
scan_encode(struct tk_job *job, const struct tk_piece *piece,
            struct tk_arena *arena, tikv_slice *body)
{
    const struct scan *scan = scan_of(job);
    const struct tk_raw *raw = scan->run->raw;
    const struct tk_router *router = scan->run->router;
    kvrpcpb_RawScanRequest *message = kvrpcpb_RawScanRequest_new(arena->upb);
    upb_StringView start;
    upb_StringView end;

    if (message == NULL ||
        !(scan->is_reverse
              ? reverse_bounds(scan, piece, arena, &start, &end)
              : tk_message_key(&router->codec, arena, piece->start, &start) &&
                    tk_message_end(&router->codec, arena, piece->end, &end))) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_RawScanRequest_set_start_key(message, start);
    kvrpcpb_RawScanRequest_set_end_key(message, end);
    kvrpcpb_RawScanRequest_set_limit(message, scan->missing);
    kvrpcpb_RawScanRequest_set_key_only(
        message, (raw->flags & TIKV_SCAN_KEYS_ONLY) != 0);
    kvrpcpb_RawScanRequest_set_reverse(message, scan->is_reverse);
    kvrpcpb_RawScanRequest_set_cf(message, tk_message_text(raw->column_family));
    return tk_message_encode(job, arena, message, body);
}

static tikv_slice
part_key(const struct part *part, size_t index)
{
    return tk_message_bytes(kvrpcpb_KvPair_key(part->pairs[index]));
}

static void
insert_part(struct scan *scan, struct part *part)
{
    struct part **at = &scan->parts;

    while (*at != NULL) {
        int order = tk_slice_compare(part_key(*at, 0), part_key(part, 0));

        if (scan->is_reverse ? order < 0 : order > 0) {
            break;
        }
        at = &(*at)->next;
    }
    part->next = *at;
    *at = part;
}

static tikv_error *
scan_answer(struct tk_job *job, const struct tk_piece *piece,
            tikv_slice response, struct tk_frame *frame)
{
    const kvrpcpb_KvPair *const *pairs;
    struct tk_arena *arena;
    struct part *part;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);
    size_t count;
    size_t i;

    (void)piece;
    if (error != NULL) {
        return error;
    }
    pairs = kvrpcpb_RawScanResponse_kvs(message, &count);
    for (i = 0; i < count && error == NULL; i++) {
        error = tk_raw_pair_error(job, pairs[i]);
    }
    part = error == NULL && count != 0
               ? upb_Arena_Malloc(arena->upb, sizeof(*part))
               : NULL;
    if (part == NULL) {
        tk_arena_unref(arena);
        return error == NULL && count != 0 ? tk_error_immortal(TIKV_ERR_MEMORY)
                                           : error;
    }
    *part = (struct part){ NULL, arena, pairs, count };
    insert_part(scan_of(job), part);
    return NULL;
}

/* A pair of the page must follow the one before it: no server makes a scan
 * go round in circles. */
static bool
follows(const struct scan *scan, size_t first, tikv_slice key)
{
    const tikv_pairs *page = scan->page;
    int order;

    if (page->count == first) {
        return true;
    }
    order = tk_slice_compare(key, page->data[page->count - 1].key);
    return scan->is_reverse ? order < 0 : order > 0;
}

static tikv_error *
take_part(struct scan *scan, const struct part *part, size_t first)
{
    bool keys_only = (scan->run->raw->flags & TIKV_SCAN_KEYS_ONLY) != 0;
    size_t i;

    for (i = 0; i < part->count && scan->missing > 0; i++) {
        tikv_slice value = { NULL, 0 };
        tikv_slice key;

        if (!tk_codec_response_key(&scan->run->router->codec, part_key(part, i),
                                   &key) ||
            !tk_slice_in_range(key, scan->job.range.start,
                               scan->job.range.end) ||
            !follows(scan, first, key)) {
            return tk_error(TIKV_ERR_PROTOCOL,
                            "RawScan: a key outside of what was asked for");
        }
        if (!keys_only) {
            value = tk_message_bytes(kvrpcpb_KvPair_value(part->pairs[i]));
        }
        if (!tk_pairs_add(scan->page, key, value)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        scan->missing--;
    }
    return NULL;
}

/* Moves the answers into the page, which then keeps their memory; lets go of
 * all of them in any case. */
static tikv_error *
take_parts(struct scan *scan, size_t first, tikv_error *error)
{
    while (scan->parts != NULL) {
        struct part *part = scan->parts;
        struct tk_arena *arena = part->arena;

        scan->parts = part->next;
        if (error != NULL || scan->missing == 0) {
            tk_arena_unref(arena);
        } else if (!tk_pairs_hold(scan->page, &arena->frame)) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        } else {
            error = take_part(scan, part, first);
        }
    }
    return error;
}

/* What is left of `range` at its edge lies in the region [low, high): cuts
 * the job's range and tells whether it is the last part. */
static bool
cut_range(struct scan *scan, const tikv_range *left)
{
    tikv_slice low = tk_buf_slice(&scan->low);
    tikv_slice high = tk_buf_slice(&scan->high);
    bool is_last;

    scan->job.range = *left;
    if (scan->is_reverse) {
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

/* Past the part that was just read. */
static bool
move_on(struct scan *scan, tikv_range *left)
{
    tk_buf_clear(&scan->edge);
    tk_buf_append_slice(&scan->edge, scan->is_reverse
                                         ? tk_buf_slice(&scan->low)
                                         : tk_buf_slice(&scan->high));
    if (scan->is_reverse) {
        left->end = tk_buf_slice(&scan->edge);
    } else {
        left->start = tk_buf_slice(&scan->edge);
    }
    return !scan->edge.failed;
}

static tikv_error *
read_part(struct scan *scan, const tikv_range *left, size_t first,
          bool *is_last)
{
    static const struct tk_job_ops ops = { .encode = scan_encode,
                                           .answer = scan_answer };
    struct tk_raw_run *run = scan->run;
    struct tk_backoff backoff;
    struct tk_route route;
    tikv_error *error;

    tk_raw_job_init(&scan->job, &ops, run, TK_CMD_RAW_SCAN);
    tk_backoff_init(&backoff, scan->job.budget_ms);
    tk_buf_clear(&scan->low);
    tk_buf_clear(&scan->high);
    error = tk_cache_locate(
        run->router->cache, run->op, scan->is_reverse ? left->end : left->start,
        scan->is_reverse, &backoff, &route, &scan->low, &scan->high);
    if (error != NULL) {
        return error;
    }
    *is_last = cut_range(scan, left);
    error = tk_drive(run->router, run->op, &scan->job, NULL);
    return take_parts(scan, first, error);
}

/* Appends up to `page_count` pairs of a range to the page. */
static tikv_error *
read_range(struct scan *scan, tikv_range range)
{
    size_t first = scan->page->count;
    tikv_range left = range;
    bool is_last = false;
    tikv_error *error = NULL;

    scan->missing = scan->run->raw->page_count;
    if (range.end.len != 0 && tk_slice_compare(range.start, range.end) >= 0) {
        return NULL;
    }
    while (error == NULL) {
        error = read_part(scan, &left, first, &is_last);
        if (error != NULL || is_last || scan->missing == 0) {
            break;
        }
        if (!move_on(scan, &left)) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    return error;
}

/* A copy that lives with the page; an absent slice stays absent. */
static bool
keep(tikv_pairs *page, tikv_slice bytes, tikv_slice *out)
{
    *out = (tikv_slice){ NULL, 0 };
    return bytes.data == NULL || tk_pairs_copy(page, bytes, out);
}

/* The range of the page after a full one. */
static tikv_error *
tell_rest(tikv_pairs *page, const tikv_range *range, bool is_reverse)
{
    tikv_slice last = page->data[page->count - 1].key;
    struct tk_buf next;
    bool kept;

    if (is_reverse) {
        page->has_rest = tk_slice_compare(range->start, last) < 0;
        kept =
            !page->has_rest || (keep(page, range->start, &page->rest.start) &&
                                keep(page, last, &page->rest.end));
        return kept ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_buf_init(&next, SIZE_MAX / 4);
    tk_buf_append_slice(&next, last);
    tk_buf_append(&next, "", 1);
    kept = !next.failed;
    page->has_rest =
        kept && (range->end.len == 0 ||
                 tk_slice_compare(tk_buf_slice(&next), range->end) < 0);
    if (page->has_rest) {
        kept = keep(page, tk_buf_slice(&next), &page->rest.start) &&
               keep(page, range->end, &page->rest.end);
    }
    tk_buf_fini(&next);
    return kept ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
}

static bool
scan_init(struct scan *scan, struct tk_raw_run *run)
{
    memset(scan, 0, sizeof(*scan));
    scan->run = run;
    scan->is_reverse = (run->raw->flags & TIKV_SCAN_REVERSE) != 0;
    scan->page = tk_pairs_new(0);
    tk_buf_init(&scan->low, SIZE_MAX / 4);
    tk_buf_init(&scan->high, SIZE_MAX / 4);
    tk_buf_init(&scan->edge, SIZE_MAX / 4);
    return scan->page != NULL;
}

/* The page is the outcome's, or gone. */
static void
scan_fini(struct scan *scan, tikv_error *error)
{
    if (error == NULL) {
        scan->run->outcome->pairs = scan->page;
    } else {
        tikv_pairs_free(scan->page);
    }
    tk_buf_fini(&scan->low);
    tk_buf_fini(&scan->high);
    tk_buf_fini(&scan->edge);
}

tikv_error *
tk_raw_scan(struct tk_raw_run *run)
{
    const tikv_range *range = run->raw->many.ranges;
    struct scan scan;
    tikv_error *error;

    if (!scan_init(&scan, run)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else {
        error = read_range(&scan, *range);
        if (error == NULL && scan.missing == 0) {
            error = tell_rest(scan.page, range, scan.is_reverse);
        }
    }
    scan_fini(&scan, error);
    return error;
}

tikv_error *
tk_raw_batch_scan(struct tk_raw_run *run)
{
    size_t count = run->raw->count;
    struct scan scan;
    tikv_error *error = NULL;
    size_t i;

    if (!scan_init(&scan, run)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    } else if (count != 0) {
        scan.page->group_ends =
            tk_alloc_array(count, sizeof(*scan.page->group_ends));
        if (scan.page->group_ends == NULL) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
    }
    for (i = 0; i < count && error == NULL; i++) {
        error = read_range(&scan, run->raw->many.ranges[i]);
        if (error == NULL) {
            scan.page->group_ends[i] = scan.page->count;
            scan.page->groups_count = i + 1;
        }
    }
    scan_fini(&scan, error);
    return error;
}
