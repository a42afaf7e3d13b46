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
 * A region that splits meanwhile gives several answers to one job; they are
 * read in the order of their parts, and what lies behind a full one is
 * dropped. A reverse scan walks from the end of the range, and TiKV wants its
 * upper bound in the field called start_key.
 *
 * No lock; the caller's thread.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "region/message.h"
#include "txn/snapshot_inner.h"

#include "kvrpcpb.upb.h"

#define KEY_MAX (1 << 20)

/* Rows of the first request of a page that is bounded in bytes; the next one
 * knows how large they are. */
#define ROWS_GUESS 64

/* One answer. */
struct part {
    struct part *next;
    struct tk_arena *arena; /* one reference */
    tikv_slice start;       /* of what was asked; the region's, or ours */
    const kvrpcpb_KvPair *const *pairs;
    size_t count;
};

/* A row of the page; without a value when it is locked. */
struct row {
    tikv_slice key;
    tikv_slice value;
    bool is_locked;
};

struct scan {
    struct tk_job job; /* first */
    struct tk_reading reading;
    const struct tk_scan_options *options;
    tikv_pairs *page;
    struct row *rows; /* of the part at hand */
    size_t rows_count;
    size_t rows_cap;
    uint32_t missing; /* rows, of the page */
    uint32_t limit;   /* of the request */
    size_t bytes;     /* of the page */
    struct part *parts;
    bool is_blocked; /* a lock of a whole answer */
    struct tk_buf low;
    struct tk_buf high;
    struct tk_buf edge; /* where the scan stands, once it has moved */
};

static struct scan *
scan_of(struct tk_job *job)
{
    return (struct scan *)(void *)job;
}

static const struct tk_router *
router_of(const struct scan *scan)
{
    return &scan->reading.snapshot->client->router;
}

/* Above every key: TiKV takes an empty upper bound of a reverse scan for the
 * lowest key. Memory of the arena. */
static bool
above_all(const struct scan *scan, struct tk_arena *arena, upb_StringView *out)
{
    size_t len =
        (size_t)tk_config_int(&router_of(scan)->config->raw_max_key_bytes) + 1;
    char *bytes = upb_Arena_Malloc(arena->upb, len);

    if (bytes == NULL) {
        return false;
    }
    memset(bytes, 0xff, len);
    *out = upb_StringView_FromDataAndSize(bytes, len);
    return true;
}

static bool
bounds(const struct scan *scan, const struct tk_piece *piece,
       struct tk_arena *arena, upb_StringView *start, upb_StringView *end)
{
    const struct tk_key_codec *codec = &router_of(scan)->codec;

    if (!scan->options->reverse) {
        return tk_message_key(codec, arena, piece->start, start) &&
               tk_message_end(codec, arena, piece->end, end);
    }
    return tk_message_key(codec, arena, piece->start, end) &&
           (piece->end.len == 0 && codec->mode == TK_KEYS_TXN_V1
                ? above_all(scan, arena, start)
                : tk_message_end(codec, arena, piece->end, start));
}

static tikv_error *
scan_encode(struct tk_job *job, const struct tk_piece *piece,
            struct tk_arena *arena, tikv_slice *body)
{
    const struct scan *scan = scan_of(job);
    kvrpcpb_ScanRequest *message = kvrpcpb_ScanRequest_new(arena->upb);
    upb_StringView start;
    upb_StringView end;

    if (message == NULL || !bounds(scan, piece, arena, &start, &end)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    kvrpcpb_ScanRequest_set_start_key(message, start);
    kvrpcpb_ScanRequest_set_end_key(message, end);
    kvrpcpb_ScanRequest_set_limit(message, scan->limit);
    kvrpcpb_ScanRequest_set_version(message,
                                    scan->reading.snapshot->options.version);
    kvrpcpb_ScanRequest_set_key_only(message, scan->options->keys_only);
    kvrpcpb_ScanRequest_set_reverse(message, scan->options->reverse);
    kvrpcpb_ScanRequest_set_sample_step(message, scan->options->sample_step);
    return tk_message_encode(job, arena, message, body);
}

/* ---- answers ---- */

static void
insert_part(struct scan *scan, struct part *part)
{
    struct part **at = &scan->parts;

    while (*at != NULL) {
        int order = tk_slice_compare((*at)->start, part->start);

        if (scan->options->reverse ? order < 0 : order > 0) {
            break;
        }
        at = &(*at)->next;
    }
    part->next = *at;
    *at = part;
}

/* The piece's start does not outlive the job: it is copied. */
static tikv_error *
add_part(struct scan *scan, const struct tk_piece *piece,
         struct tk_arena *arena, const kvrpcpb_ScanResponse *answer)
{
    struct part *part = upb_Arena_Malloc(arena->upb, sizeof(*part));
    uint8_t *start = upb_Arena_Malloc(arena->upb, piece->start.len + 1);

    if (part == NULL || start == NULL) {
        tk_arena_unref(arena);
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (piece->start.len != 0) {
        memcpy(start, piece->start.data, piece->start.len);
    }
    part->arena = arena;
    part->start = tk_slice(start, piece->start.len);
    part->pairs = kvrpcpb_ScanResponse_pairs(answer, &part->count);
    insert_part(scan, part);
    return NULL;
}

static tikv_error *
scan_answer(struct tk_job *job, const struct tk_piece *piece,
            tikv_slice response, struct tk_frame *frame)
{
    struct scan *scan = scan_of(job);
    const kvrpcpb_KeyError *problem;
    struct tk_arena *arena;
    void *message;
    tikv_error *error =
        tk_message_decode(job, response, frame, &arena, &message);

    if (error != NULL) {
        return error;
    }
    problem = kvrpcpb_ScanResponse_error(message);
    if (problem == NULL) {
        return add_part(scan, piece, arena, message);
    }
    scan->is_blocked = true;
    error = tk_reading_problem(&scan->reading, job, problem,
                               (tikv_slice){ NULL, 0 });
    tk_arena_unref(arena);
    return error;
}

static void
drop_parts(struct scan *scan)
{
    while (scan->parts != NULL) {
        struct part *part = scan->parts;

        scan->parts = part->next;
        tk_arena_unref(part->arena);
    }
}

/* ---- rows ---- */

static bool
grow_rows(struct scan *scan, size_t more)
{
    size_t cap = scan->rows_count + more;
    struct row *rows;

    if (cap <= scan->rows_cap) {
        return true;
    }
    cap = cap < scan->rows_cap * 2 ? scan->rows_cap * 2 : cap;
    rows = cap > SIZE_MAX / sizeof(*rows)
               ? NULL
               : tk_realloc(scan->rows, cap * sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    scan->rows = rows;
    scan->rows_cap = cap;
    return true;
}

/* The next row: it must follow the one before, so that no server makes a scan
 * go round in circles. */
static tikv_error *
add_row(struct scan *scan, const struct row *row)
{
    const struct row *last =
        scan->rows_count == 0 ? NULL : &scan->rows[scan->rows_count - 1];
    int order = last == NULL ? 0 : tk_slice_compare(row->key, last->key);

    if (!tk_slice_in_range(row->key, scan->job.range.start,
                           scan->job.range.end) ||
        (last != NULL && (scan->options->reverse ? order >= 0 : order <= 0))) {
        return tk_error(TIKV_ERR_PROTOCOL,
                        "KvScan: a key outside of what was asked for");
    }
    scan->rows[scan->rows_count++] = *row;
    return NULL;
}

/* The lock of a row, and the row's key, which only the lock tells. */
static tikv_error *
read_lock(struct scan *scan, const kvrpcpb_KeyError *problem, tikv_slice *key)
{
    const struct tk_lock_set *locks = &scan->reading.locks;
    size_t before = locks->count;
    tikv_error *error = tk_reading_problem(&scan->reading, &scan->job, problem,
                                           (tikv_slice){ NULL, 0 });

    if (error != NULL) {
        return error;
    }
    if (locks->count == before) {
        return tk_error(TIKV_ERR_PROTOCOL, "KvScan: a lock that nobody holds");
    }
    return tk_pairs_copy(scan->page, locks->data[before].key, key)
               ? NULL
               : tk_error_immortal(TIKV_ERR_MEMORY);
}

static tikv_error *
read_row(struct scan *scan, const kvrpcpb_KvPair *pair)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_KvPair_error(pair);
    struct row row = { .is_locked = problem != NULL };
    tikv_error *error;

    if (problem != NULL) {
        error = read_lock(scan, problem, &row.key);
        if (error != NULL) {
            return error;
        }
    } else if (!tk_codec_response_key(
                   &router_of(scan)->codec,
                   tk_message_bytes(kvrpcpb_KvPair_key(pair)), &row.key)) {
        return tk_error(TIKV_ERR_PROTOCOL,
                        "KvScan: a key outside of the keyspace");
    } else if (!scan->options->keys_only) {
        row.value = tk_message_bytes(kvrpcpb_KvPair_value(pair));
    }
    return add_row(scan, &row);
}

/* All rows of the answers in their order, up to the first that is full. The
 * page keeps their memory. *is_full: there may be more in the range. */
static tikv_error *
read_parts(struct scan *scan, bool *is_full)
{
    tikv_error *error = NULL;

    *is_full = false;
    while (scan->parts != NULL && !*is_full && error == NULL) {
        struct part *part = scan->parts;
        size_t i;

        scan->parts = part->next;
        *is_full = part->count >= scan->limit;
        if (!tk_pairs_hold(scan->page, &part->arena->frame) ||
            !grow_rows(scan, part->count)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        for (i = 0; i < part->count && error == NULL; i++) {
            error = read_row(scan, part->pairs[i]);
        }
    }
    return error;
}

/* What is under the locks of rows: they are resolved, then asked for by their
 * keys. Nothing under one: the row goes. */
static tikv_error *
read_locked(struct scan *scan)
{
    size_t count = 0;
    struct tk_found *found;
    tikv_slice *keys;
    tikv_error *error;
    size_t i;

    for (i = 0; i < scan->rows_count; i++) {
        count += scan->rows[i].is_locked;
    }
    if (count == 0) {
        return NULL;
    }
    error = tk_reading_resolve(&scan->reading);
    keys = tk_alloc_array(count, sizeof(*keys));
    found = tk_alloc_array(count, sizeof(*found));
    if (error == NULL && (keys == NULL || found == NULL)) {
        error = tk_error_immortal(TIKV_ERR_MEMORY);
    }
    for (i = 0, count = 0; error == NULL && i < scan->rows_count; i++) {
        if (scan->rows[i].is_locked) {
            keys[count++] = scan->rows[i].key;
        }
    }
    if (error == NULL) {
        error = tk_snapshot_get(scan->reading.snapshot, scan->reading.op, keys,
                                count, false, scan->page, found);
    }
    for (i = 0, count = 0; error == NULL && i < scan->rows_count; i++) {
        if (scan->rows[i].is_locked) {
            scan->rows[i].value = found[count++].value;
        }
    }
    tk_free(keys);
    tk_free(found);
    return error;
}

static tikv_error *
fill_page(struct scan *scan)
{
    bool keys_only = scan->options->keys_only;
    size_t i;

    for (i = 0; i < scan->rows_count; i++) {
        struct row *row = &scan->rows[i];

        if (row->is_locked && row->value.data == NULL) {
            continue;
        }
        if (!tk_pairs_add(scan->page, row->key,
                          keys_only ? (tikv_slice){ NULL, 0 } : row->value)) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        scan->bytes += row->key.len + (keys_only ? 0 : row->value.len);
        scan->missing -= scan->missing != 0;
    }
    return NULL;
}

/* ---- from region to region ---- */

/* What is left of the range at its edge lies in [low, high): cuts the job's
 * range and tells whether it is the last part. */
static bool
cut_range(struct scan *scan, const tikv_range *left)
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
move_on(struct scan *scan, tikv_range *left, bool is_full)
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
rows_wanted(const struct scan *scan)
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
send_part(struct scan *scan, const tikv_range *left, bool *is_last)
{
    static const struct tk_job_ops ops = { .encode = scan_encode,
                                           .answer = scan_answer };
    tikv_error *error;
    struct tk_route route;

    error = tk_reading_job(&scan->reading, &scan->job, &ops, TK_CMD_KV_SCAN);
    if (error != NULL) {
        return error;
    }
    tk_buf_clear(&scan->low);
    tk_buf_clear(&scan->high);
    error = tk_cache_locate(router_of(scan)->cache, scan->reading.op,
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
read_part(struct scan *scan, tikv_range *left, bool *ended)
{
    bool is_last = false;
    bool is_full = false;
    tikv_error *error;

    scan->is_blocked = false;
    scan->rows_count = 0;
    error = send_part(scan, left, &is_last);
    if (error == NULL && scan->is_blocked) {
        /* Of its other answers nothing is known to be complete. */
        drop_parts(scan);
        return tk_reading_resolve(&scan->reading);
    }
    if (error == NULL) {
        error = read_parts(scan, &is_full);
    }
    if (error == NULL) {
        error = read_locked(scan);
    }
    if (error == NULL) {
        error = fill_page(scan);
    }
    drop_parts(scan);
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
is_page_full(const struct scan *scan)
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
read_page(struct scan *scan, tikv_range range)
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
    struct scan scan = { .options = options };
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

/* ---- as a source ---- */

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
