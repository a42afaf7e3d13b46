/* SPDX-License-Identifier: Apache-2.0 */
/* One page of a scan, for snapshot_scan.c, which walks from region to region,
 * and scan_part.c, which asks for the part in one of them and reads it. */
#ifndef TK_TXN_SCAN_INNER_H
#define TK_TXN_SCAN_INNER_H

#include "region/message.h"
#include "txn/snapshot_inner.h"

struct kvrpcpb_KvPair;

/* One answer. */
struct tk_scan_part {
    struct tk_scan_part *next;
    struct tk_arena *arena; /* one reference */
    tikv_slice start;       /* of what was asked; the region's, or ours */
    const struct kvrpcpb_KvPair *const *pairs;
    size_t count;
};

/* A row of the page; without a value when it is locked. */
struct tk_scan_row {
    tikv_slice key;
    tikv_slice value;
    bool is_locked;
};

struct tk_scan {
    struct tk_job job; /* first */
    struct tk_reading reading;
    const struct tk_scan_options *options;
    tikv_pairs *page;
    struct tk_scan_row *rows; /* of the part at hand */
    size_t rows_count;
    size_t rows_cap;
    uint32_t missing; /* rows, of the page */
    uint32_t limit;   /* of the request */
    size_t bytes;     /* of the page */
    struct tk_scan_part *parts;
    bool is_blocked; /* a lock of a whole answer */
    struct tk_buf low;
    struct tk_buf high;
    struct tk_buf edge; /* where the scan stands, once it has moved */
};

static inline const struct tk_router *
tk_scan_router(const struct tk_scan *scan)
{
    return &scan->reading.snapshot->client->router;
}

/* Of the job that asks for a part. */
extern const struct tk_job_ops tk_scan_ops;

/* The answers' rows in their order, and what is under their locks, into the
 * page. *is_full: there may be more in the job's range, behind the last row. */
tikv_error *
tk_scan_take(struct tk_scan *scan, bool *is_full)
    __attribute__((warn_unused_result));

/* Forgets answers. */
void
tk_scan_drop(struct tk_scan *scan);

#endif
