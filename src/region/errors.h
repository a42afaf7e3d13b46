/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a region error demands: the table of RS-10, one row per field of
 * errorpb.Error and one for fields we do not know. The row is data; drive.c
 * does what it says.
 */
#ifndef TK_REGION_ERRORS_H
#define TK_REGION_ERRORS_H

#include "base/backoff_kind.h"
#include "region/cache.h"

enum tk_verdict {
    TK_VERDICT_RETRY,   /* same region, perhaps another peer */
    TK_VERDICT_REGROUP, /* look the keys up again */
    TK_VERDICT_FAIL,    /* the caller must know */
    TK_VERDICT_IN_DOUBT /* undetermined_result: a write may have happened */
};

/* What a row demands beyond its columns: a look at the other replicas. */
enum tk_remedy {
    TK_REMEDY_NONE,
    TK_REMEDY_NOT_LEADER,
    TK_REMEDY_BUSY,      /* another replica meanwhile */
    TK_REMEDY_BUSY_LATE, /* the same, or the read's timeout was reached */
    TK_REMEDY_LATE,      /* the read's timeout was reached */
    TK_REMEDY_NOT_READY,
    TK_REMEDY_NOT_FOUND, /* the leader, if it was not asked */
    TK_REMEDY_FLASHBACK  /* the leader, if a replica was read */
};

struct tk_region_error {
    const char *name; /* "not_leader": label, message */
    enum tk_remedy remedy;
    enum tk_verdict verdict;
    enum tk_backoff_kind backoff; /* TK_BACKOFF_KINDS: none */
    enum tk_invalid invalidate;   /* TK_INVALID_OK: leave the record */
    bool suspect_store;           /* check its address */
    tikv_code code;               /* of FAIL */
    /* Taken out of the error. */
    uint64_t busy_ms;             /* server_is_busy.backoff_ms */
    uint64_t wait_ms;             /* server_is_busy.estimated_wait_ms */
    uint64_t leader_peer_id;      /* not_leader's hint; 0 none */
    uint64_t leader_store_id;
    const char *message;          /* in the arena */
    const struct metapb_Region *const *regions; /* epoch_not_match */
    size_t regions_count;
    uint64_t buckets_version; /* bucket_version_not_match */
    const upb_StringView *bucket_keys;
    size_t bucket_keys_count;
};

/* Classifies encoded errorpb.Error bytes; what it points to lives in the
 * arena. Bytes that are no such message read as the unknown row. */
void
tk_region_error(tikv_slice bytes, struct tk_arena *arena,
                struct tk_region_error *out);

#endif
