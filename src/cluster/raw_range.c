/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw commands on ranges: scans both ways, range deletes, checksums. A scan
 * sees no further than its region; a client goes on in the next one.
 */
#include <lzma.h>

#include "base/slice.h"
#include "cluster/inner.h"

static tikv_slice
later(tikv_slice a, tikv_slice b)
{
    return tk_slice_compare(a, b) < 0 ? b : a;
}

/* Empty is the end of everything. */
static tikv_slice
earlier_end(tikv_slice a, tikv_slice b)
{
    if (a.len == 0 || b.len == 0) {
        return a.len == 0 ? b : a;
    }
    return tk_slice_compare(a, b) < 0 ? a : b;
}

static void
put_item(struct tk_cl_request *request, const struct tk_raw_item *raw,
         bool key_only)
{
    tk_cl_raw_put_pair(request->out, raw->item.key,
                       key_only ? (tikv_slice){ NULL, 0 } : tk_raw_value(raw));
}

static void
scan_forward(struct tk_cl_request *request, enum tk_cf cf, tikv_range range,
             uint64_t limit, bool key_only)
{
    const struct tk_cl_map *map = &request->cluster->engine.cfs[cf];
    tikv_slice end = earlier_end(range.end, tk_cl_region_end(request->region));
    struct tk_cl_map_at at = tk_cl_map_from(map, range.start);

    while (limit > 0 && at.item != NULL &&
           tk_slice_in_range(at.item->key, range.start, end)) {
        const struct tk_raw_item *raw = (struct tk_raw_item *)at.item;

        if (tk_raw_is_live(raw, request->now_s)) {
            put_item(request, raw, key_only);
            limit--;
        }
        tk_cl_map_next(&at);
    }
}

/* Downwards from below range.start to range.end. */
static void
scan_reverse(struct tk_cl_request *request, enum tk_cf cf, tikv_range range,
             uint64_t limit, bool key_only)
{
    const struct tk_cl_map *map = &request->cluster->engine.cfs[cf];
    tikv_slice low = later(range.end, tk_cl_region_start(request->region));
    struct tk_cl_map_at at = tk_cl_map_before(map, range.start);

    while (limit > 0 && at.item != NULL &&
           tk_slice_compare(at.item->key, low) >= 0) {
        const struct tk_raw_item *raw = (struct tk_raw_item *)at.item;

        if (tk_raw_is_live(raw, request->now_s)) {
            put_item(request, raw, key_only);
            limit--;
        }
        tk_cl_map_prev(&at);
    }
}

static void
scan(struct tk_cl_request *request, enum tk_cf cf, tikv_range range,
     uint64_t limit, bool key_only, bool reverse)
{
    if (reverse) {
        scan_reverse(request, cf, range, limit, key_only);
    } else {
        scan_forward(request, cf, range, limit, key_only);
    }
}

/* A reverse scan starts below its bound, which may be the region's end. */
static bool
check_start(struct tk_cl_request *request, tikv_slice start, bool reverse)
{
    return reverse ? tk_cl_check_bound(request, start)
                   : tk_cl_check_key(request, start);
}

int
tk_cl_raw_scan(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    tikv_range range = { fields->bytes[2], fields->bytes[7] };
    bool reverse = fields->numbers[6] != 0;
    enum tk_cf cf;

    if (!tk_cl_raw_open(request, 5, &cf) ||
        !check_start(request, range.start, reverse)) {
        return TK_GRPC_OK;
    }
    scan(request, cf, range, (uint32_t)fields->numbers[3],
         fields->numbers[4] != 0, reverse);
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
    const struct tk_cl_fields *fields = &request->fields;
    bool reverse = fields->numbers[6] != 0;
    tikv_range range;
    enum tk_cf cf;
    size_t at = 0;

    if (!tk_cl_raw_open(request, 5, &cf)) {
        return TK_GRPC_OK;
    }
    if (!ranges_are_valid(request->body, reverse)) {
        return tk_cl_raw_fail(request, "Invalid KeyRanges");
    }
    while (next_range(request->body, 2, &at, &range)) {
        if (!check_start(request, range.start, reverse)) {
            return TK_GRPC_OK;
        }
        scan(request, cf, range, (uint32_t)fields->numbers[3],
             fields->numbers[4] != 0, reverse);
    }
    return TK_GRPC_OK;
}

int
tk_cl_raw_delete_range(struct tk_cl_request *request)
{
    const struct tk_cl_error invalid = { .message =
                                             "invalid delete range command" };
    const struct tk_cl_error outside = { .kind = TK_CL_KEY_NOT_IN_REGION,
                                         .key = request->fields.bytes[3] };
    tikv_slice start = request->fields.bytes[2];
    tikv_slice end = request->fields.bytes[3];
    tikv_slice region_end;
    enum tk_cf cf;

    if (!tk_cl_raw_open(request, 4, &cf)) {
        return TK_GRPC_OK;
    }
    if (end.len > 0 && tk_slice_compare(start, end) >= 0) {
        tk_cl_answer_error(request, &invalid);
        return TK_GRPC_OK;
    }
    if (!tk_cl_check_key(request, start)) {
        return TK_GRPC_OK;
    }
    region_end = tk_cl_region_end(request->region);
    if (region_end.len > 0 &&
        (end.len == 0 || tk_slice_compare(end, region_end) > 0)) {
        tk_cl_answer_error(request, &outside);
        return TK_GRPC_OK;
    }
    tk_engine_delete_range(&request->cluster->engine, cf, start, end);
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
    tikv_slice end = earlier_end(range.end, tk_cl_region_end(request->region));
    struct tk_cl_map_at at = tk_cl_map_from(map, range.start);

    while (at.item != NULL &&
           tk_slice_in_range(at.item->key, range.start, end)) {
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

int
tk_cl_raw_checksum(struct tk_cl_request *request)
{
    struct sum sum = { 0, 0, 0 };
    struct tk_cl_fields fields;
    tikv_slice bytes;
    enum tk_cf cf;
    size_t at = 0;

    if (request->fields.numbers[2] != 0) {
        return tk_cl_raw_fail(request, "unknown checksum algorithm");
    }
    if (!tk_cl_raw_open(request, 0, &cf)) {
        return TK_GRPC_OK;
    }
    while (tk_cl_each(request->body, 3, &at, &bytes)) {
        tikv_range range;

        if (!tk_cl_decode(bytes, &fields)) {
            return tk_cl_raw_fail(request, "cannot read a range");
        }
        range = (tikv_range){ fields.bytes[1], fields.bytes[2] };
        if (!tk_cl_check_key(request, range.start)) {
            return TK_GRPC_OK;
        }
        sum_range(request, range, &sum);
    }
    tk_put_u64(request->out, 3, sum.checksum);
    tk_put_u64(request->out, 4, sum.count);
    tk_put_u64(request->out, 5, sum.bytes);
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
