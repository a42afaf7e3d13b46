/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scans over [start, end), both ways, clipped by the region. A locked key is
 * a pair with an error that counts to the limit; what follows it is read on.
 */
#include "base/slice.h"
#include "cluster/txn.h"
#include "wire/key.h"

struct scan {
    struct tk_cl_request *request;
    struct tk_cl_view view;
    struct tk_buf low; /* bounds of encoded keys; empty `high`: none */
    struct tk_buf high;
    uint64_t limit;
    uint64_t step;
    uint64_t rows; /* found so far */
    uint64_t given;
    bool is_reverse;
    bool key_only;
};

static void
set_bound(struct tk_buf *bound, tikv_slice key, bool is_open)
{
    if (!is_open) {
        tk_key_encode(bound, key);
    }
}

/* The narrower one of what is asked and what the region holds. */
static void
clip(struct scan *scan)
{
    tikv_slice start = tk_cl_region_start(scan->request->region);
    tikv_slice end = tk_cl_region_end(scan->request->region);

    if (tk_slice_compare(tk_buf_slice(&scan->low), start) < 0) {
        tk_buf_clear(&scan->low);
        tk_buf_append_slice(&scan->low, start);
    }
    if (end.len > 0 &&
        (scan->high.len == 0 ||
         tk_slice_compare(end, tk_buf_slice(&scan->high)) < 0)) {
        tk_buf_clear(&scan->high);
        tk_buf_append_slice(&scan->high, end);
    }
}

/* False: the scan is over. */
static bool
take(struct scan *scan, const struct tk_mvcc_node *node)
{
    struct tk_buf *out = scan->request->out;
    struct tk_key_error error;
    struct tk_cl_seen seen;

    if (!tk_cl_view_read(&scan->view, node, &seen, &error)) {
        if (error.kind != TK_KE_LOCKED) {
            (void)tk_cl_txn_fail(scan->request, &error);
            return false;
        }
        tk_cl_view_put_pair(out, tk_mvcc_key(node), NULL, &error);
        scan->given++;
    } else if (seen.found) {
        if (scan->step == 0 || scan->rows % scan->step == 0) {
            if (scan->key_only) {
                seen.value.len = 0;
            }
            tk_cl_view_put_pair(out, tk_mvcc_key(node), &seen, NULL);
            scan->given++;
        }
        scan->rows++;
    }
    return scan->given < scan->limit;
}

static bool
is_inside(const struct scan *scan, const struct tk_cl_map_at *at)
{
    return at->item != NULL &&
           tk_slice_in_range(at->item->key, tk_buf_slice(&scan->low),
                             tk_buf_slice(&scan->high));
}

static void
walk_back(struct scan *scan)
{
    const struct tk_cl_map *keys = &scan->request->cluster->mvcc.keys;
    tikv_slice high = tk_buf_slice(&scan->high);
    struct tk_cl_map_at at = tk_cl_map_before(keys, high);

    while (is_inside(scan, &at) &&
           take(scan, (struct tk_mvcc_node *)at.item)) {
        tk_cl_map_prev(&at);
    }
}

static void
walk(struct scan *scan)
{
    const struct tk_cl_map *keys = &scan->request->cluster->mvcc.keys;
    struct tk_cl_map_at at = tk_cl_map_from(keys, tk_buf_slice(&scan->low));

    while (is_inside(scan, &at) &&
           take(scan, (struct tk_mvcc_node *)at.item)) {
        tk_cl_map_next(&at);
    }
}

static void
run(struct scan *scan, tikv_slice low, tikv_slice high)
{
    struct tk_cl_request *request = scan->request;
    bool ok;

    struct tk_key_error error;

    if (!tk_cl_view_check_memory(&scan->view, request->store, low, high,
                                 false, &error)) {
        (void)tk_cl_txn_fail(request, &error);
        return;
    }
    if (!tk_cl_check_region(request) ||
        !tk_cl_view_ask_leader(&scan->view, request, low, high, false)) {
        return;
    }
    /* A reverse scan always has an upper end, maybe the empty key. */
    set_bound(&scan->low, low, scan->is_reverse && low.len == 0);
    set_bound(&scan->high, high, !scan->is_reverse && high.len == 0);
    if (scan->low.failed || scan->high.failed) {
        request->out->failed = true;
        return;
    }
    ok = scan->is_reverse
             ? tk_cl_check_bound(request, tk_buf_slice(&scan->high))
             : tk_cl_check_key(request, tk_buf_slice(&scan->low));
    if (!ok || scan->limit == 0) {
        return;
    }
    clip(scan);
    if (scan->is_reverse) {
        walk_back(scan);
    } else {
        walk(scan);
    }
}

int
tk_cl_txn_scan(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct scan scan = { .request = request };
    tikv_slice start = fields->bytes[2];
    tikv_slice end = fields->bytes[7];

    if (!tk_cl_txn_admit(request, true) ||
        (!request->context.stale_read &&
         !tk_cl_raise_max_ts(request, fields->numbers[4], false))) {
        return TK_GRPC_OK;
    }
    scan.limit = fields->numbers[3];
    scan.key_only = fields->numbers[5] != 0;
    scan.is_reverse = fields->numbers[6] != 0;
    scan.step = fields->numbers[8];
    tk_buf_init(&scan.low, SIZE_MAX / 4);
    tk_buf_init(&scan.high, SIZE_MAX / 4);
    tk_cl_view_open(&scan.view, request, fields->numbers[4], false);
    if (scan.is_reverse) {
        run(&scan, end, start);
    } else {
        run(&scan, start, end);
    }
    tk_cl_view_close(&scan.view);
    tk_buf_fini(&scan.low);
    tk_buf_fini(&scan.high);
    return TK_GRPC_OK;
}
