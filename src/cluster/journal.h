/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one language in which changes of a cluster's state are written down.
 * Whatever changes something that outlives a crash tells it here, behind the
 * change and under the same hold of the cluster's lock; a dump of the whole
 * state is written with the same words. Records say what is, not what to
 * add: read twice, or over a state that is newer, they end in the same.
 *
 * A journal is a buffer; NULL, nobody keeps anything. Guarded by the
 * cluster's lock. Memory that ends is noticed by who takes the buffer.
 */
#ifndef TK_CLUSTER_JOURNAL_H
#define TK_CLUSTER_JOURNAL_H

#include <tikv/error.h>

#include "base/buf.h"
#include "cluster/engine.h"
#include "cluster/ledger.h"
#include "cluster/mvcc.h"

struct tk_cluster;
struct tk_cl_region;
struct tk_cl_store;
struct tk_cl_lease;

/* Part of the format: numbers are never used again. */
enum tk_record {
    TK_RECORD_CLUSTER = 1, /* what it was made with; begins a checkpoint */
    TK_RECORD_NUMBERS = 2,
    TK_RECORD_STORE = 3,
    TK_RECORD_REGION = 4,
    TK_RECORD_REGION_GONE = 5,
    TK_RECORD_LEASE = 6,
    TK_RECORD_LEASE_GONE = 7,
    TK_RECORD_LEDGER = 8, /* its revisions */
    TK_RECORD_ENTRY = 9,  /* a version in it */
    TK_RECORD_COMPACT = 10,
    TK_RECORD_RAW = 11,
    TK_RECORD_RAW_GONE = 12,
    TK_RECORD_RAW_RANGE = 13,
    TK_RECORD_LOCK = 14,
    TK_RECORD_LOCK_GONE = 15,
    TK_RECORD_VERSION = 16,
    TK_RECORD_VERSION_GONE = 17,
    TK_RECORD_TXN_RANGE = 18
};

/* What a cluster is made with, and keeps. */
struct tk_cl_birth {
    uint64_t id;
    uint32_t api;
    uint32_t stores_count;
    uint32_t members_count;
    uint32_t replicas;
};

/* What changes by itself in many places: looked at, not told. */
struct tk_cl_numbers {
    uint64_t ids;
    int64_t tso_bound_ms;
    int64_t leases_last;
    uint32_t max_peers;
};

/* ---- journal_tell.c ---- */

void
tk_journal_birth(struct tk_buf *journal, const struct tk_cl_birth *birth);

void
tk_journal_numbers(struct tk_buf *journal,
                   const struct tk_cl_numbers *numbers);

void
tk_journal_store(struct tk_buf *journal, const struct tk_cl_store *store);

void
tk_journal_region(struct tk_buf *journal, const struct tk_cl_region *region);

void
tk_journal_region_gone(struct tk_buf *journal, uint64_t id);

void
tk_journal_lease(struct tk_buf *journal, const struct tk_cl_lease *lease);

void
tk_journal_lease_gone(struct tk_buf *journal, int64_t id);

void
tk_journal_ledger(struct tk_buf *journal, const struct tk_ledger *ledger);

void
tk_journal_entry(struct tk_buf *journal,
                 const struct tk_ledger_version *version);

void
tk_journal_compact(struct tk_buf *journal, int64_t revision);

void
tk_journal_raw(struct tk_buf *journal, enum tk_cf cf, tikv_slice key,
               tikv_slice value, uint64_t expires_s);

void
tk_journal_raw_gone(struct tk_buf *journal, enum tk_cf cf, tikv_slice key);

void
tk_journal_raw_range(struct tk_buf *journal, enum tk_cf cf, tikv_slice start,
                     tikv_slice end);

/* Locks of the leader's memory are not written down. */
void
tk_journal_lock(struct tk_buf *journal, tikv_slice key,
                const struct tk_mvcc_lock *lock);

void
tk_journal_lock_gone(struct tk_buf *journal, tikv_slice key);

void
tk_journal_version(struct tk_buf *journal, tikv_slice key,
                   const struct tk_mvcc_version *version);

void
tk_journal_version_gone(struct tk_buf *journal, tikv_slice key,
                        uint64_t commit_ts);

/* Encoded keys. */
void
tk_journal_txn_range(struct tk_buf *journal, tikv_slice start,
                     tikv_slice end);

/* ---- journal_dump.c ---- */

/* What is small: everything but the data. */
void
tk_journal_dump_state(struct tk_buf *journal,
                      const struct tk_cluster *cluster);

/* A place among all data. */
struct tk_dump {
    int part; /* a column family of raw data, then what is behind */
    struct tk_buf key; /* the last one written */
    bool is_begun;
};

void
tk_dump_init(struct tk_dump *dump);

void
tk_dump_fini(struct tk_dump *dump);

/* Data from the place on, `limit` bytes or a little more. False: that was
 * the end. */
bool
tk_journal_dump_data(struct tk_buf *journal, const struct tk_cluster *cluster,
                     struct tk_dump *dump, size_t limit);

/* ---- journal_redo.c ---- */

/* Does what records say, to a cluster that keeps no journal. Records that
 * cannot be read are an error; some are done then. */
tikv_error *
tk_journal_redo(struct tk_cluster *cluster, tikv_slice records);

/* The first record, which is a birth. False: it is not. */
bool
tk_journal_read_birth(tikv_slice records, struct tk_cl_birth *out);

#endif
