/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coprocessor, as far as a client of keys and values meets it: all the
 * checks, locks, paging and batched tasks of the real one, and one request
 * that is understood, the pairs of the ranges one after the other: length of
 * the key in four bytes, the highest first, key, length of the value, value.
 * Others end with `other_error`, and caches are never filled. A stream gives
 * the same page by page, as many pairs as a page has or as TiKV puts into one
 * message of a stream.
 */
#include "base/slice.h"
#include "cluster/pd.h"
#include "cluster/txn.h"

enum { PAIRS = 0x6d63, EXEC = 11, EXEC_OF_TASK = 6, STREAM_ROWS = 128 };

struct reading {
    struct tk_cl_request *request;
    struct tk_cl_view view;
    tikv_slice message; /* field 4 of it: the ranges */
    uint64_t left;      /* of the page */
    struct tk_buf data;
    struct tk_buf next; /* where the next page begins */
    tikv_slice after;   /* where this one does, of a stream; or empty */
    tikv_slice from;
    bool is_paging;
    bool is_full;
};

/* In place of everything that was answered. Gives OK. */
static int
fail(struct tk_cl_request *request, const struct tk_key_error *error,
     const char *text)
{
    struct tk_buf *out = request->out;

    if (out->len > request->out_start) {
        tk_buf_cut(out, request->out_start, out->len - request->out_start);
    }
    if (error != NULL && error->kind == TK_KE_LOCKED) {
        tk_cl_put_lock(out, 3, error->key, error->lock, false);
    } else {
        tk_put_text(out, 4, text);
    }
    return TK_GRPC_OK;
}

static bool
next_range(const struct reading *reading, size_t *at, tikv_range *out)
{
    struct tk_cl_fields fields;
    tikv_slice bytes;

    if (!tk_cl_each(reading->message, 4, at, &bytes) ||
        !tk_cl_decode(bytes, &fields)) {
        return false;
    }
    *out = (tikv_range){ fields.bytes[1], fields.bytes[2] };
    return true;
}

/* ---- checks ---- */

/* Locks in memory: of this store, or of the leader's once the region is
 * known. False: answered. */
static bool
check_memory(struct reading *reading, bool at_leader)
{
    struct tk_cl_request *request = reading->request;
    struct tk_key_error error;
    tikv_range range;
    size_t at = 0;

    while (next_range(reading, &at, &range)) {
        bool ok = at_leader
                      ? tk_cl_view_meet_leader(&reading->view, request,
                                               range.start, range.end, false,
                                               &error)
                      : tk_cl_view_check_memory(&reading->view,
                                                request->store, range.start,
                                                range.end, false, &error);

        if (!ok) {
            (void)fail(request, &error, "conflict");
            return false;
        }
    }
    return true;
}

static bool
check_buckets(struct tk_cl_request *request)
{
    const struct tk_cl_error changed = {
        .kind = TK_CL_BUCKET_VERSION_NOT_MATCH
    };
    const struct tk_cl_buckets *buckets =
        tk_cl_buckets_of(request->cluster, request->region);
    uint64_t asked = request->context.buckets_version;

    if (asked == 0 || buckets == NULL || buckets->version == asked) {
        return true;
    }
    tk_cl_answer_error(request, &changed);
    return false;
}

static bool
check_ranges(struct reading *reading)
{
    tikv_range range;
    size_t at = 0;

    while (next_range(reading, &at, &range)) {
        if (!tk_cl_txn_check_key(reading->request, range.start)) {
            return false;
        }
    }
    return true;
}

/* ---- reading ---- */

static void
put_bytes(struct tk_buf *out, tikv_slice bytes)
{
    const uint8_t len[4] = { (uint8_t)(bytes.len >> 24),
                             (uint8_t)(bytes.len >> 16),
                             (uint8_t)(bytes.len >> 8), (uint8_t)bytes.len };

    tk_buf_append(out, len, sizeof(len));
    tk_buf_append_slice(out, bytes);
}

/* False: the reading is over, perhaps answered with an error. */
static bool
read_key(struct reading *reading, const struct tk_mvcc_node *node)
{
    struct tk_key_error error;
    struct tk_cl_seen seen;

    if (reading->is_paging && reading->left == 0) {
        reading->is_full = true;
        tk_buf_append_slice(&reading->next, tk_mvcc_key(node));
        return false;
    }
    if (!tk_cl_view_read(&reading->view, node, &seen, &error)) {
        (void)fail(reading->request, &error, "conflict");
        reading->request->region = NULL;
        return false;
    }
    if (seen.found) {
        put_bytes(&reading->data, tk_mvcc_key(node));
        put_bytes(&reading->data, seen.value);
        reading->left -= reading->is_paging;
    }
    return true;
}

static bool
read_range(struct reading *reading, tikv_range range)
{
    struct tk_cl_request *request = reading->request;
    struct tk_mvcc *mvcc = &request->cluster->mvcc;
    tikv_slice end = tk_cl_region_end(request->region);
    struct tk_cl_map_at at =
        tk_cl_map_from(&mvcc->keys, tk_mvcc_encode(mvcc, range.start));

    while (at.item != NULL &&
           (end.len == 0 || tk_slice_compare(at.item->key, end) < 0)) {
        const struct tk_mvcc_node *node = (struct tk_mvcc_node *)at.item;

        if (!tk_slice_in_range(tk_mvcc_key(node), range.start, range.end)) {
            break;
        }
        if (!read_key(reading, node)) {
            return false;
        }
        tk_cl_map_next(&at);
    }
    return true;
}

/* What has been read: from the first range up to the next page, or the end
 * of the last range. */
static void
put_page(struct reading *reading, tikv_slice end)
{
    struct tk_buf *out = reading->request->out;
    size_t mark = tk_put_begin(out, 5);

    tk_put_bytes(out, 1, reading->from);
    tk_put_bytes(out, 2,
                 reading->is_full ? tk_buf_slice(&reading->next) : end);
    tk_put_end(out, mark);
}

/* What earlier messages of the stream gave is not given again. */
static bool
begin_at(const struct reading *reading, tikv_range *range)
{
    tikv_slice after = reading->after;

    if (after.len == 0) {
        return true;
    }
    if (range->end.len != 0 && tk_slice_compare(range->end, after) <= 0) {
        return false;
    }
    if (tk_slice_compare(range->start, after) < 0) {
        range->start = after;
    }
    return true;
}

static void
read_all(struct reading *reading, uint32_t exec_field)
{
    struct tk_cl_request *request = reading->request;
    const struct tk_cl_buckets *buckets =
        tk_cl_buckets_of(request->cluster, request->region);
    tikv_range range = { { NULL, 0 }, { NULL, 0 } };
    bool is_first = true;
    size_t at = 0;

    while (next_range(reading, &at, &range)) {
        if (!begin_at(reading, &range)) {
            continue;
        }
        if (is_first) {
            reading->from = range.start;
            is_first = false;
        }
        if (!read_range(reading, range)) {
            break;
        }
    }
    if (request->region == NULL) {
        return;
    }
    tk_put_bytes(request->out, 1, tk_buf_slice(&reading->data));
    if (reading->is_paging) {
        put_page(reading, range.end);
    }
    tk_cl_put_exec(request, exec_field, &reading->view.stats);
    if (buckets != NULL && exec_field == EXEC) {
        tk_put_u64(request->out, 12, buckets->version);
    }
    if (reading->data.failed || reading->next.failed) {
        request->out->failed = true;
    } else if (reading->is_full && request->stream != NULL &&
               request->method->kind == TK_KIND_DOWN) {
        tk_cl_stream_go_on(request, tk_buf_slice(&reading->next));
    }
}

static void
run(struct tk_cl_request *request, tikv_slice message, uint64_t page,
    uint32_t exec_field)
{
    struct reading reading = { .request = request,
                               .message = message,
                               .left = page,
                               .is_paging = page != 0 };

    tk_buf_init(&reading.data, SIZE_MAX / 4);
    tk_buf_init(&reading.next, SIZE_MAX / 4);
    if (request->stream != NULL && request->method->kind == TK_KIND_DOWN) {
        reading.after = tk_cl_stream_from(request);
    }
    tk_cl_view_open(&reading.view, request, request->fields.numbers[7],
                    false);
    if (check_memory(&reading, false) && tk_cl_check_region(request) &&
        check_buckets(request) && check_memory(&reading, true) &&
        check_ranges(&reading)) {
        if (request->fields.numbers[2] == PAIRS) {
            read_all(&reading, exec_field);
        } else {
            (void)fail(request, NULL, "unsupported");
        }
    }
    tk_cl_view_close(&reading.view);
    tk_buf_fini(&reading.data);
    tk_buf_fini(&reading.next);
}

/* Tasks for other regions of the store that came along. */
static void
run_tasks(struct tk_cl_request *request)
{
    struct tk_cl_request task = *request;
    struct tk_cl_fields fields;
    struct tk_cl_fields epoch;
    struct tk_cl_fields peer;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 11, &at, &bytes)) {
        size_t mark;

        if (!tk_cl_decode(bytes, &fields) ||
            !tk_cl_decode(fields.bytes[2], &epoch) ||
            !tk_cl_decode(fields.bytes[3], &peer)) {
            continue;
        }
        task.context.region_id = fields.numbers[1];
        task.context.conf_ver = epoch.numbers[1];
        task.context.version = epoch.numbers[2];
        task.context.peer_id = peer.numbers[1];
        task.context.store_id = peer.numbers[2];
        task.context.buckets_version = fields.numbers[7];
        mark = tk_put_begin(request->out, 13);
        task.out_start = request->out->len;
        run(&task, bytes, 0, EXEC_OF_TASK);
        tk_put_u64(request->out, 5, fields.numbers[5]);
        tk_put_end(request->out, mark);
    }
}

/* Whether there is something to read; else it is answered. */
static bool
is_welcome(struct tk_cl_request *request)
{
    const char *refusal;

    if (!tk_cl_check_busy(request)) {
        return false;
    }
    refusal = tk_cl_check_mode(request, false);
    if (refusal != NULL) {
        (void)fail(request, NULL, refusal);
        return false;
    }
    return request->context.stale_read ||
           tk_cl_raise_max_ts(request, request->fields.numbers[7], false);
}

int
tk_cl_coprocessor(struct tk_cl_request *request)
{
    if (is_welcome(request)) {
        run(request, request->body, request->fields.numbers[10], EXEC);
        run_tasks(request);
    }
    return TK_GRPC_OK;
}

int
tk_cl_coprocessor_stream(struct tk_cl_request *request)
{
    uint64_t page = request->fields.numbers[10];

    if (is_welcome(request)) {
        run(request, request->body, page == 0 ? STREAM_ROWS : page, EXEC);
    }
    if (!tk_cl_stream_has_more(request)) {
        tk_cl_stream_last_words(request, TK_GRPC_OK, "");
    }
    return TK_GRPC_OK;
}
