/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw commands on ranges: scans both ways, range deletes, checksums. A scan
 * sees no further than its region; a client goes on in the next one.
 */
#include <lzma.h>
#include <string.h>

#include "base/slice.h"
#include "cluster/inner.h"

struct scan {
    struct tk_cl_request *request;
    const struct tk_cl_map *map;
    struct tk_cl_bounds bounds;
    uint64_t limit; /* of each range */
    bool key_only;
    bool is_reverse;
};

static void
put_item(struct tk_cl_request *request, const struct tk_raw_item *raw,
         bool key_only)
{
    tk_cl_raw_put_pair(request->out, raw->item.key,
                       key_only ? (tikv_slice){ NULL, 0 } : tk_raw_value(raw));
}

static void
scan_forward(const struct scan *scan, tikv_range range)
{
    uint64_t limit = scan->limit;
    struct tk_cl_map_at at;

    range = tk_cl_clip(range, scan->bounds.start, scan->bounds.end);
    at = tk_cl_map_from(scan->map, range.start);
    while (limit > 0 && at.item != NULL &&
           tk_slice_in_range(at.item->key, range.start, range.end)) {
        const struct tk_raw_item *raw = (struct tk_raw_item *)at.item;

        if (tk_raw_is_live(raw, scan->request->now_s)) {
            put_item(scan->request, raw, scan->key_only);
            limit--;
        }
        tk_cl_map_next(&at);
    }
}

/* Downwards from below range.start to range.end. */
static void
scan_reverse(const struct scan *scan, tikv_range range)
{
    const tikv_range down = { range.end, range.start };
    tikv_slice low =
        tk_cl_clip(down, scan->bounds.start, scan->bounds.end).start;
    struct tk_cl_map_at at = tk_cl_map_before(scan->map, range.start);
    uint64_t limit = scan->limit;

    while (limit > 0 && at.item != NULL &&
           tk_slice_compare(at.item->key, low) >= 0) {
        const struct tk_raw_item *raw = (struct tk_raw_item *)at.item;

        if (tk_raw_is_live(raw, scan->request->now_s)) {
            put_item(scan->request, raw, scan->key_only);
            limit--;
        }
        tk_cl_map_prev(&at);
    }
}

/* False: answered. The scan is to be closed in any case. */
static bool
open_scan(struct scan *scan, struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    enum tk_cf cf;

    memset(scan, 0, sizeof(*scan));
    scan->request = request;
    scan->limit = (uint32_t)fields->numbers[3];
    scan->key_only = fields->numbers[4] != 0;
    scan->is_reverse = fields->numbers[6] != 0;
    if (!tk_cl_raw_open(request, 5, &cf)) {
        return false;
    }
    scan->map = &request->cluster->engine.cfs[cf];
    if (!tk_cl_bounds_open(&scan->bounds, request->cluster,
                           request->region)) {
        request->out->failed = true;
        return false;
    }
    return true;
}

/* A reverse scan starts below its bound, which may be the region's end. */
static bool
scan_range(const struct scan *scan, tikv_range range)
{
    if (scan->is_reverse) {
        if (!tk_cl_raw_check_bound(scan->request, range.start)) {
            return false;
        }
        scan_reverse(scan, range);
    } else {
        if (!tk_cl_raw_check_key(scan->request, range.start)) {
            return false;
        }
        scan_forward(scan, range);
    }
    return true;
}

int
tk_cl_raw_scan(struct tk_cl_request *request)
{
    const tikv_range range = { request->fields.bytes[2],
                               request->fields.bytes[7] };
    struct scan scan;

    if (open_scan(&scan, request)) {
        (void)scan_range(&scan, range);
    }
    tk_cl_bounds_close(&scan.bounds);
    return TK_GRPC_OK;
}

/* The nth range; an absent end is where the next range starts. */
static bool
next_range(tikv_slice body, uint32_t field, size_t *at, tikv_range *out)
{
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t ahead;

    if (!tk_cl_each(body, field, at, &bytes) || !tk_cl_decode(bytes, &fields)) {
        return false;
    }
    out->start = fields.bytes[1];
    out->end = fields.bytes[2];
    ahead = *at;
    if (out->end.len == 0 && tk_cl_each(body, field, &ahead, &bytes) &&
        tk_cl_decode(bytes, &fields)) {
        out->end = fields.bytes[1];
    }
    return true;
}

static bool
ranges_are_valid(tikv_slice body, bool reverse)
{
    tikv_range range;
    size_t at = 0;

    while (next_range(body, 2, &at, &range)) {
        int order = tk_slice_compare(range.start, range.end);

        if (range.end.len > 0 && (reverse ? order <= 0 : order >= 0)) {
            return false;
        }
    }
    return true;
}

int
tk_cl_raw_batch_scan(struct tk_cl_request *request)
{
    struct scan scan;
    tikv_range range;
    size_t at = 0;
    int status = TK_GRPC_OK;

    if (!open_scan(&scan, request)) {
        goto out;
    }
    if (!ranges_are_valid(request->body, scan.is_reverse)) {
        status = tk_cl_raw_fail(request, "Invalid KeyRanges");
        goto out;
    }
    while (next_range(request->body, 2, &at, &range)) {
        if (!scan_range(&scan, range)) {
            break;
        }
    }
out:
    tk_cl_bounds_close(&scan.bounds);
    return status;
}

/* An end that is the region's is good, an open one only where the region's
 * is open as well. */
static bool
check_end(struct tk_cl_request *request, tikv_slice end)
{
    const struct tk_cl_error outside = { .kind = TK_CL_KEY_NOT_IN_REGION,
                                         .key = end };

    if (end.len > 0) {
        return tk_cl_raw_check_bound(request, end);
    }
    if (tk_cl_region_end(request->region).len == 0) {
        return true;
    }
    tk_cl_answer_error(request, &outside);
    return false;
}

int
tk_cl_raw_delete_range(struct tk_cl_request *request)
{
    const struct tk_cl_error invalid = { .message =
                                             "invalid delete range command" };
    tikv_slice start = request->fields.bytes[2];
    tikv_slice end = request->fields.bytes[3];
    enum tk_cf cf;

    if (!tk_cl_raw_open(request, 4, &cf)) {
        return TK_GRPC_OK;
    }
    if (end.len > 0 && tk_slice_compare(start, end) >= 0) {
        tk_cl_answer_error(request, &invalid);
        return TK_GRPC_OK;
    }
    if (tk_cl_raw_check_key(request, start) && check_end(request, end)) {
        tk_engine_delete_range(&request->cluster->engine, cf, start, end);
    }
    return TK_GRPC_OK;
}

struct sum {
    uint64_t checksum;
    uint64_t count;
    uint64_t bytes;
};

static void
sum_range(struct tk_cl_request *request, tikv_range range, struct sum *sum)
{
    const struct tk_cl_map *map = &request->cluster->engine.cfs[TK_CF_DEFAULT];
    struct tk_cl_map_at at = tk_cl_map_from(map, range.start);

    while (at.item != NULL &&
           tk_slice_in_range(at.item->key, range.start, range.end)) {
        const struct tk_raw_item *raw = (struct tk_raw_item *)at.item;
        tikv_slice key = raw->item.key;
        tikv_slice value = tk_raw_value(raw);

        if (tk_raw_is_live(raw, request->now_s)) {
            uint64_t crc = lzma_crc64(key.data, key.len, 0);

            sum->checksum ^= lzma_crc64(value.data, value.len, crc);
            sum->count++;
            sum->bytes += key.len + value.len;
        }
        tk_cl_map_next(&at);
    }
}

static void
sum_ranges(struct tk_cl_request *request, const struct tk_cl_bounds *bounds)
{
    struct sum sum = { 0, 0, 0 };
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 3, &at, &bytes)) {
        tikv_range range;

        if (!tk_cl_decode(bytes, &fields)) {
            (void)tk_cl_raw_fail(request, "cannot read a range");
            return;
        }
        range = (tikv_range){ fields.bytes[1], fields.bytes[2] };
        if (!tk_cl_raw_check_key(request, range.start)) {
            return;
        }
        sum_range(request, tk_cl_clip(range, bounds->start, bounds->end),
                  &sum);
    }
    tk_put_u64(request->out, 3, sum.checksum);
    tk_put_u64(request->out, 4, sum.count);
    tk_put_u64(request->out, 5, sum.bytes);
}

int
tk_cl_raw_checksum(struct tk_cl_request *request)
{
    struct tk_cl_bounds bounds;
    enum tk_cf cf;

    if (request->fields.numbers[2] != 0) {
        return tk_cl_raw_fail(request, "unknown checksum algorithm");
    }
    if (!tk_cl_raw_open(request, 0, &cf)) {
        return TK_GRPC_OK;
    }
    if (tk_cl_bounds_open(&bounds, request->cluster, request->region)) {
        sum_ranges(request, &bounds);
    } else {
        request->out->failed = true;
    }
    tk_cl_bounds_close(&bounds);
    return TK_GRPC_OK;
}

int
tk_cl_raw_coprocessor(struct tk_cl_request *request)
{
    enum tk_cf cf;

    if (!tk_cl_raw_open(request, 0, &cf)) {
        return TK_GRPC_OK;
    }
    return tk_cl_raw_fail(
        request, "No registered coprocessor is compatible with the request");
}
