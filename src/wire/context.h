/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kvrpcpb.Context in two parts that concatenate: what belongs to a region and
 * a peer (encoded once, kept with the route) and what belongs to the call and
 * the attempt.
 */
#ifndef TK_WIRE_CONTEXT_H
#define TK_WIRE_CONTEXT_H

#include "base/buf.h"

struct tk_context_region {
    uint64_t region_id;
    uint64_t conf_ver;
    uint64_t version;
    uint64_t peer_id;
    uint64_t store_id;
    int32_t peer_role; /* metapb.PeerRole */
    bool is_witness;
    uint64_t cluster_id;

    /* Of the client, the same in all its regions. */
    int32_t api_version; /* kvrpcpb.APIVersion: 0 V1, 1 V1TTL, 2 V2 */
    bool has_keyspace;   /* V2: keyspace 0 is a keyspace too */
    uint32_t keyspace_id;
    const char *keyspace_name; /* NULL: none */
};

/* Without a region_id: only what belongs to the client. */
void
tk_context_region(struct tk_buf *out, const struct tk_context_region *region);

/* Whether these functions may write that field of the message. */
bool
tk_context_has(uint32_t field);

struct tk_context_call {
    const tikv_call *call; /* priority, source, group, tag, trace; NULL ok */
    uint64_t max_execution_ms; /* 0: unset */
    bool is_retry;
    bool replica_read;
    bool stale_read;
    uint32_t busy_threshold_ms; /* 0: unset */
    uint64_t buckets_version;   /* 0: unset; only coprocessors compare it */
    const char *source; /* instead of the call's, or NULL */
};

void
tk_context_call(struct tk_buf *out, const struct tk_context_call *call);

/* Most calls say nothing about themselves. Of those the first attempt has
 * TK_CONTEXT_PLAIN bytes at most, the same that tk_context_call() makes. */
#define TK_CONTEXT_PLAIN 12

bool
tk_context_is_plain(const tikv_call *call);

/* How many were written. */
size_t
tk_context_plain(uint8_t *out, uint64_t max_execution_ms);

#endif
