/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a scan: its request, and from its answers the rows of the page. A
 * region that splits meanwhile gives several answers to one job; they are
 * read in the order of their parts, and what lies behind a full one is
 * dropped. A reverse scan walks from the end of the range, and TiKV wants its
 * upper bound in the field called start_key.
 *
 * No lock; the caller's thread.
 */
#include "base/alloc.h"
#include "base/error.h"
#include "txn/scan_inner.h"

#include "kvrpcpb.upb.h"

static struct tk_scan *
scan_of(struct tk_job *job)
{
    return (struct tk_scan *)(void *)job;
}

/* Above every key: TiKV takes an empty upper bound of a reverse scan for the
 * lowest key. Memory of the arena. */
static bool
above_all(const struct tk_scan *scan, struct tk_arena *arena,
          upb_StringView *out)
{
    size_t len = (size_t)tk_config_int(
                     &tk_scan_router(scan)->config->raw_max_key_bytes) +
                 1;
    char *bytes = upb_Arena_Malloc(arena->upb, len);

    if (bytes == NULL) {
        return false;
    }
    memset(bytes, 0xff, len);
    *out = upb_StringView_FromDataAndSize(bytes, len);
    return true;
}

static bool
bounds(const struct tk_scan *scan, const struct tk_piece *piece,
       struct tk_arena *arena, upb_StringView *start, upb_StringView *end)
{
    const struct tk_key_codec *codec = &tk_scan_router(scan)->codec;

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
    const struct tk_scan *scan = scan_of(job);
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
insert_part(struct tk_scan *scan, struct tk_scan_part *part)
{
    struct tk_scan_part **at = &scan->parts;

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
add_part(struct tk_scan *scan, const struct tk_piece *piece,
         struct tk_arena *arena, const kvrpcpb_ScanResponse *answer)
{
    struct tk_scan_part *part = upb_Arena_Malloc(arena->upb, sizeof(*part));
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
    struct tk_scan *scan = scan_of(job);
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

void
tk_scan_drop(struct tk_scan *scan)
{
    while (scan->parts != NULL) {
        struct tk_scan_part *part = scan->parts;

        scan->parts = part->next;
        tk_arena_unref(part->arena);
    }
}

const struct tk_job_ops tk_scan_ops = { .encode = scan_encode,
                                        .answer = scan_answer };

/* ---- rows ---- */

static bool
grow_rows(struct tk_scan *scan, size_t more)
{
    size_t cap = scan->rows_count + more;
    struct tk_scan_row *rows;

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
add_row(struct tk_scan *scan, const struct tk_scan_row *row)
{
    const struct tk_scan_row *last =
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
read_lock(struct tk_scan *scan, const kvrpcpb_KeyError *problem,
          tikv_slice *key)
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
read_row(struct tk_scan *scan, const kvrpcpb_KvPair *pair)
{
    const kvrpcpb_KeyError *problem = kvrpcpb_KvPair_error(pair);
    struct tk_scan_row row = { .is_locked = problem != NULL };
    tikv_error *error;

    if (problem != NULL) {
        error = read_lock(scan, problem, &row.key);
        if (error != NULL) {
            return error;
        }
    } else if (!tk_codec_response_key(
                   &tk_scan_router(scan)->codec,
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
read_parts(struct tk_scan *scan, bool *is_full)
{
    tikv_error *error = NULL;

    *is_full = false;
    while (scan->parts != NULL && !*is_full && error == NULL) {
        struct tk_scan_part *part = scan->parts;
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
read_locked(struct tk_scan *scan)
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
fill_page(struct tk_scan *scan)
{
    bool keys_only = scan->options->keys_only;
    size_t i;

    for (i = 0; i < scan->rows_count; i++) {
        struct tk_scan_row *row = &scan->rows[i];

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

tikv_error *
tk_scan_take(struct tk_scan *scan, bool *is_full)
{
    tikv_error *error;

    scan->rows_count = 0;
    error = read_parts(scan, is_full);
    if (error == NULL) {
        error = read_locked(scan);
    }
    return error == NULL ? fill_page(scan) : error;
}
