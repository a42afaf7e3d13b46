/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw operations. One struct tells what is asked, whatever the operation;
 * tk_raw_run() runs it to its end on the thread that calls it, waiting only
 * through the op. The doors in src/api fill the struct from the arguments of
 * an exported function, and for a future from a copy of them.
 *
 * No state of its own, no lock.
 */
#ifndef TK_RAW_RAW_H
#define TK_RAW_RAW_H

#include <tikv/raw.h>

#include "exec/future.h"
#include "region/drive.h"
#include "region/hot.h"

enum tk_raw_kind {
    TK_RAW_GET,
    TK_RAW_PUT,
    TK_RAW_DELETE,
    TK_RAW_SWAP,
    TK_RAW_TTL,
    TK_RAW_BATCH_GET,
    TK_RAW_BATCH_PUT,
    TK_RAW_BATCH_DELETE,
    TK_RAW_DELETE_RANGE,
    TK_RAW_SCAN,
    TK_RAW_BATCH_SCAN,
    TK_RAW_CHECKSUM,
    TK_RAW_KINDS
};

/* What is asked. All memory is the caller's. */
struct tk_raw {
    enum tk_raw_kind kind;
    uint32_t flags;      /* scans: TIKV_SCAN_... */
    uint32_t page_count; /* scans */
    bool atomic;
    const char *column_family; /* a literal; "" is the default one */
    uint64_t ttl_s;
    tikv_slice key;
    tikv_slice value;    /* put; swap: desired, absent deletes */
    tikv_slice expected; /* swap: absent for no value at all */
    size_t count;        /* of keys, pairs or ranges */
    union {
        const tikv_slice *keys;
        const tikv_pair *pairs;
        const tikv_range *ranges; /* scan and delete range: one */
    } many;
    const uint64_t *ttls_s; /* batch put: one per pair, or NULL */
    tikv_details *details;  /* gets the account, or NULL */
};

/* The names that TiKV has, as literals: NULL for a name it has not. NULL and
 * "default" are "". */
const char *
tk_raw_column_family(const char *name);

/* Options of the caller, checked, into `raw`, whose kind and arguments are
 * set; `call` gets the part that all options begin with. */
tikv_error *
tk_raw_read_options(const struct tk_config *config,
                    const tikv_raw_options *options, struct tk_raw *raw,
                    tikv_call *call);

tikv_error *
tk_raw_read_scan_options(const struct tk_config *config,
                         const tikv_scan_options *options, struct tk_raw *raw,
                         tikv_call *call);

/* Arguments that are absent, contradict each other or are too large: refused
 * before anything is sent. */
tikv_error *
tk_raw_check(const struct tk_config *config, const struct tk_raw *raw);

/* Bytes that a copy of all borrowed memory takes; SIZE_MAX when they cannot
 * be counted. */
size_t
tk_raw_copy_size(const struct tk_raw *raw);

/* `to` becomes `from` with everything borrowed copied to `memory`, which is
 * aligned for pointers. */
void
tk_raw_copy(const struct tk_raw *from, struct tk_raw *to, uint8_t *memory);

/* Runs what was checked. `first`, which may be NULL, is what a hot attempt
 * of a point operation found out. */
tikv_error *
tk_raw_run(struct tk_router *router, struct tk_op *op, const struct tk_raw *raw,
           struct tk_first *first, struct tk_outcome *outcome);

/* How long TiKV may work on one request of the kind, in ms; 0: as long as
 * the attempt takes. */
uint64_t
tk_raw_max_execution_ms(const struct tk_config *config, enum tk_raw_kind kind);

/* Frees what an outcome holds, for callers that do not want it. */
void
tk_raw_outcome_fini(struct tk_outcome *outcome);

/* ---- the short road: get, put, delete ---- */

/* A future of a point operation; the copied arguments stand behind it. */
struct tk_raw_hot {
    struct tk_hot hot; /* first */
    struct tk_raw raw;
};

static inline bool
tk_raw_is_hot(enum tk_raw_kind kind)
{
    return kind == TK_RAW_GET || kind == TK_RAW_PUT || kind == TK_RAW_DELETE;
}

/* Sends the first attempt, or hands the future to the pool. Its hot.router,
 * raw and future are set. It may be complete when this returns. */
void
tk_raw_hot_start(struct tk_raw_hot *hot);

#endif
