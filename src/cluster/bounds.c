/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounds of regions as raw keys see them. In API V1 they are raw keys; in V2
 * they are bounds of encoded keys, any bytes at all, and what a raw key is
 * compared with is the first one whose encoded form is not before the bound.
 */
#include "base/slice.h"
#include "cluster/inner.h"

enum { GROUP = 8, MARK_FULL = 0xff, MARK_EMPTY = 0xf7 };

/* How much of the last, incomplete group the first key must have. */
static size_t
tail_len(tikv_slice tail)
{
    size_t len = tail.len < GROUP ? tail.len : GROUP;
    size_t least;

    while (len > 0 && tail.data[len - 1] == 0) {
        len--;
    }
    if (tail.len <= GROUP || tail.data[GROUP] <= MARK_EMPTY) {
        return len;
    }
    least = tail.data[GROUP] - (size_t)MARK_EMPTY;
    return len < least ? least : len;
}

void
tk_cl_first_key(struct tk_buf *out, tikv_slice bound)
{
    while (bound.len > GROUP && bound.data[GROUP] == MARK_FULL) {
        tk_buf_append(out, bound.data, GROUP);
        bound.data += GROUP + 1;
        bound.len -= GROUP + 1;
    }
    tk_buf_append(out, bound.data, tail_len(bound));
}

bool
tk_cl_bounds_open(struct tk_cl_bounds *bounds,
                  const struct tk_cluster *cluster,
                  const struct tk_cl_region *region)
{
    size_t start_len;

    bounds->start = tk_cl_region_start(region);
    bounds->end = tk_cl_region_end(region);
    tk_buf_init(&bounds->bytes, SIZE_MAX / 4);
    if (cluster->api != TIKV_CLUSTER_API_V2) {
        return true;
    }
    tk_cl_first_key(&bounds->bytes, bounds->start);
    start_len = bounds->bytes.len;
    tk_cl_first_key(&bounds->bytes, bounds->end);
    bounds->start = tk_slice(bounds->bytes.data, start_len);
    if (bounds->end.len > 0) {
        bounds->end = tk_slice(bounds->bytes.data + start_len,
                               bounds->bytes.len - start_len);
    }
    return !bounds->bytes.failed;
}

void
tk_cl_bounds_close(struct tk_cl_bounds *bounds)
{
    tk_buf_fini(&bounds->bytes);
}

tikv_range
tk_cl_clip(tikv_range range, tikv_slice start, tikv_slice end)
{
    if (tk_slice_compare(range.start, start) < 0) {
        range.start = start;
    }
    if (range.end.len == 0 ||
        (end.len > 0 && tk_slice_compare(end, range.end) < 0)) {
        range.end = end;
    }
    return range;
}
