/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of tikv_snapshot, and reads as one struct, whatever their kind:
 * filled by a door, run by tk_read_run() on the caller's thread or a
 * worker's.
 */
#ifndef TK_API_SNAPSHOT_H
#define TK_API_SNAPSHOT_H

#include <tikv/snapshot.h>

#include "api/client.h"
#include "txn/snapshot.h"

/* Outlives its client: the exec, which is counted, says whether the client is
 * there. */
struct tikv_snapshot {
    struct tk_exec *exec;
    tikv_client *client;
    struct tk_snapshot *inner;
};

enum tk_read_kind { TK_READ_GET, TK_READ_BATCH_GET, TK_READ_SCAN };

/* What is asked. All memory is the caller's. */
struct tk_read {
    enum tk_read_kind kind;
    struct tk_snapshot *snapshot;
    const tikv_slice *keys; /* a get: one */
    size_t count;
    bool with_commit_ts;
    struct tk_first *first; /* a get: what was found out already, or NULL */
    tikv_range range;
    struct tk_scan_options scan;
    tikv_details *details; /* gets the account, or NULL */
};

/* Options of a get or batch get, and of a scan, checked. */
tikv_error *
tk_read_options(const tikv_read_options *options, struct tk_read *read,
                tikv_call *call) __attribute__((warn_unused_result));

tikv_error *
tk_range_options(const tikv_range_options *options, struct tk_read *read,
                 tikv_call *call) __attribute__((warn_unused_result));

/* Arguments that are absent. */
tikv_error *
tk_read_check(const tikv_snapshot *snapshot, const struct tk_read *read)
    __attribute__((warn_unused_result));

tikv_error *
tk_read_run(const struct tk_read *read, struct tk_op *op,
            struct tk_outcome *outcome) __attribute__((warn_unused_result));

/* A future that runs a copy of it. */
tikv_future *
tk_read_promise(tikv_snapshot *snapshot, const struct tk_read *read,
                const tikv_call *call);

#endif
