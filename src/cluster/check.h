/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request is refused with: the errors of regions, and the checks that
 * come to them, in TiKV's order. With the cluster's lock held.
 */
#ifndef TK_CLUSTER_CHECK_H
#define TK_CLUSTER_CHECK_H

#include "base/buf.h"

struct tk_cl_peer;
struct tk_cl_region;
struct tk_cl_request;

/* ---- errors.c ---- */

enum tk_cl_error_kind {
    TK_CL_MESSAGE_ONLY,
    TK_CL_NOT_LEADER,
    TK_CL_REGION_NOT_FOUND,
    TK_CL_KEY_NOT_IN_REGION,
    TK_CL_EPOCH_NOT_MATCH,
    TK_CL_SERVER_IS_BUSY,
    TK_CL_STALE_COMMAND,
    TK_CL_STORE_NOT_MATCH,
    TK_CL_RAFT_ENTRY_TOO_LARGE,
    TK_CL_MAX_TIMESTAMP_NOT_SYNCED,
    TK_CL_READ_INDEX_NOT_READY,
    TK_CL_PROPOSAL_IN_MERGING_MODE,
    TK_CL_DATA_IS_NOT_READY,
    TK_CL_REGION_NOT_INITIALIZED,
    TK_CL_DISK_FULL,
    TK_CL_RECOVERY_IN_PROGRESS,
    TK_CL_FLASHBACK_IN_PROGRESS,
    TK_CL_FLASHBACK_NOT_PREPARED,
    TK_CL_IS_WITNESS,
    TK_CL_MISMATCH_PEER_ID,
    TK_CL_BUCKET_VERSION_NOT_MATCH,
    TK_CL_UNDETERMINED_RESULT,
    TK_CL_ERROR_KINDS
};

/* A region error; what is zero is taken from the request. */
struct tk_cl_error {
    enum tk_cl_error_kind kind;
    const char *message; /* NULL: one that fits the kind */
    const char *reason;
    tikv_slice key;
    bool no_leader;       /* not_leader: without one */
    bool wrong_leader;    /* not_leader: a peer that does not lead */
    bool no_regions;      /* epoch_not_match: without regions */
    uint64_t regions;     /* epoch_not_match: at most so many; 0: all */
    uint64_t leader_store; /* not_leader: this store's peer */
    uint64_t backoff_ms;
    uint64_t wait_ms;
    uint64_t number; /* entry_size, safe_ts, flashback_start_ts, version,
                      * applied_index */
};

/* The name in fault rules, "not_leader". */
const char *
tk_cl_error_name(enum tk_cl_error_kind kind);

/* Replaces whatever the request has answered so far. */
void
tk_cl_answer_error(struct tk_cl_request *request,
                   const struct tk_cl_error *error);

void
tk_cl_put_region(struct tk_buf *out, uint32_t field,
                 const struct tk_cl_region *region);

/* NULL: an empty Peer. */
void
tk_cl_put_peer(struct tk_buf *out, uint32_t field,
               const struct tk_cl_peer *peer);

/* ---- check.c: false when a region error has been answered ---- */

bool
tk_cl_check_region(struct tk_cl_request *request);

bool
tk_cl_check_key(struct tk_cl_request *request, tikv_slice key);

/* As above, and the end of the region is good too. */
bool
tk_cl_check_bound(struct tk_cl_request *request, tikv_slice key);

/* The timestamp that a command reads at; false: it does not read at one. */
bool
tk_cl_read_ts(const struct tk_cl_request *request, uint64_t *ts);

/* The size of a write, after its keys. */
bool
tk_cl_check_entry(struct tk_cl_request *request);

/* Load and deadline, before everything else. */
bool
tk_cl_check_busy(struct tk_cl_request *request);

/* As tk_cl_check_key() and tk_cl_check_bound(), for keys of raw commands. */
bool
tk_cl_raw_check_key(struct tk_cl_request *request, tikv_slice key);

bool
tk_cl_raw_check_bound(struct tk_cl_request *request, tikv_slice key);

/* ---- mode.c ---- */

/* NULL when version and keys are of the cluster's mode; else what is wrong. */
const char *
tk_cl_check_mode(const struct tk_cl_request *request, bool is_raw);

#endif
