/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Region errors, all variants of errorpb, written into the answer of a
 * request. The checks and the fault rules come here alike, so an injected
 * error has the fields of a real one.
 */
#include "base/slice.h"
#include "cluster/pd.h"
#include "cluster/seen.h"

enum { REGIONS_MAX = 10 };

static const struct {
    const char *name;
    uint32_t field; /* of errorpb.Error; 0: the message alone */
    const char *message;
} kinds[TK_CL_ERROR_KINDS] = {
    [TK_CL_MESSAGE_ONLY] = { "message_only", 0, "something went wrong" },
    [TK_CL_NOT_LEADER] = { "not_leader", 2, "peer is not leader" },
    [TK_CL_REGION_NOT_FOUND] = { "region_not_found", 3, NULL },
    [TK_CL_KEY_NOT_IN_REGION] = { "key_not_in_region", 4,
                                  "key is not in region" },
    [TK_CL_EPOCH_NOT_MATCH] = { "epoch_not_match", 5,
                                "epoch does not match" },
    [TK_CL_SERVER_IS_BUSY] = { "server_is_busy", 6, "server is busy" },
    [TK_CL_STALE_COMMAND] = { "stale_command", 7, "stale command" },
    [TK_CL_STORE_NOT_MATCH] = { "store_not_match", 8,
                                "store does not match" },
    [TK_CL_RAFT_ENTRY_TOO_LARGE] = { "raft_entry_too_large", 9,
                                     "raft entry is too large" },
    [TK_CL_MAX_TIMESTAMP_NOT_SYNCED] = { "max_timestamp_not_synced", 10,
                                         "max timestamp is not synced" },
    [TK_CL_READ_INDEX_NOT_READY] = { "read_index_not_ready", 11,
                                     "read index is not ready" },
    [TK_CL_PROPOSAL_IN_MERGING_MODE] = { "proposal_in_merging_mode", 12,
                                         "region is merging" },
    [TK_CL_DATA_IS_NOT_READY] = { "data_is_not_ready", 13,
                                  "data is not ready" },
    [TK_CL_REGION_NOT_INITIALIZED] = { "region_not_initialized", 14,
                                       "region is not initialized" },
    [TK_CL_DISK_FULL] = { "disk_full", 15, "disk is full" },
    [TK_CL_RECOVERY_IN_PROGRESS] = { "recovery_in_progress", 16,
                                     "region is in recovery" },
    [TK_CL_FLASHBACK_IN_PROGRESS] = { "flashback_in_progress", 17,
                                      "region is in flashback" },
    [TK_CL_FLASHBACK_NOT_PREPARED] = { "flashback_not_prepared", 18,
                                       "flashback is not prepared" },
    [TK_CL_IS_WITNESS] = { "is_witness", 19, "peer is a witness" },
    [TK_CL_MISMATCH_PEER_ID] = { "mismatch_peer_id", 20,
                                 "peer id does not match" },
    [TK_CL_BUCKET_VERSION_NOT_MATCH] = { "bucket_version_not_match", 21,
                                         "bucket version does not match" },
    [TK_CL_UNDETERMINED_RESULT] = { "undetermined_result", 22,
                                    "result is undetermined" },
};

const char *
tk_cl_error_name(enum tk_cl_error_kind kind)
{
    return kinds[kind].name;
}

void
tk_cl_put_peer(struct tk_buf *out, uint32_t field,
               const struct tk_cl_peer *peer)
{
    size_t mark = tk_put_begin(out, field);

    if (peer != NULL) {
        tk_put_u64(out, 1, peer->id);
        tk_put_u64(out, 2, peer->store_id);
        tk_put_u64(out, 3, (uint64_t)peer->role);
        tk_put_u64(out, 4, peer->is_witness);
    }
    tk_put_end(out, mark);
}

void
tk_cl_put_region(struct tk_buf *out, uint32_t field,
                 const struct tk_cl_region *region)
{
    size_t mark = tk_put_begin(out, field);
    size_t epoch;
    size_t i;

    tk_put_u64(out, 1, region->id);
    tk_put_bytes(out, 2, tk_cl_region_start(region));
    tk_put_bytes(out, 3, tk_cl_region_end(region));
    epoch = tk_put_begin(out, 4);
    tk_put_u64(out, 1, region->conf_ver);
    tk_put_u64(out, 2, region->version);
    tk_put_end(out, epoch);
    for (i = 0; i < region->peers_count; i++) {
        tk_cl_put_peer(out, 5, &region->peers[i]);
    }
    tk_put_u64(out, 7, region->in_flashback);
    tk_put_u64(out, 8, region->flashback_ts);
    tk_put_end(out, mark);
}

/* The current region, and for an older client the pieces that were split
 * off it since: they lie to the left. */
static void
put_current(struct tk_cl_request *request, const struct tk_cl_region *region,
            uint64_t most)
{
    const struct tk_cl_regions *all = &request->cluster->regions;
    uint64_t asked = request->context.version;
    uint64_t newest = region->version;
    uint64_t missing;
    size_t place = tk_cl_region_place(all, tk_cl_region_start(region));
    size_t i;

    tk_cl_put_region(request->out, 1, region);
    if (asked >= region->version) {
        return;
    }
    missing = newest - asked;
    for (i = 0; i < REGIONS_MAX && place > 0 && missing > 0 &&
                (most == 0 || i + 1 < most);
         i++) {
        const struct tk_cl_region *left = all->sorted[--place];

        tk_cl_put_region(request->out, 1, left);
        missing--;
        if (left->version > newest) {
            missing += left->version - newest;
            newest = left->version;
        }
    }
}

/* A peer of the region that does not lead it; NULL when all do. */
static const struct tk_cl_peer *
some_follower(const struct tk_cl_region *region)
{
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        if (region->peers[i].id != region->leader) {
            return &region->peers[i];
        }
    }
    return NULL;
}

static void
put_not_leader(struct tk_cl_request *request, const struct tk_cl_error *error,
               const struct tk_cl_region *region)
{
    const struct tk_cl_peer *leader = NULL;

    tk_put_u64(request->out, 1, request->context.region_id);
    if (region != NULL && error->wrong_leader) {
        leader = some_follower(region);
    } else if (region != NULL && !error->no_leader) {
        leader = error->leader_store != 0
                     ? tk_cl_peer_on(region, error->leader_store)
                     : tk_cl_peer_of(region, region->leader);
    }
    if (leader != NULL) {
        tk_cl_put_peer(request->out, 2, leader);
    }
}

static void
put_key(struct tk_cl_request *request, const struct tk_cl_error *error,
        const struct tk_cl_region *region)
{
    tk_put_bytes(request->out, 1, error->key);
    tk_put_u64(request->out, 2, request->context.region_id);
    if (region != NULL) {
        tk_put_bytes(request->out, 3, tk_cl_region_start(region));
        tk_put_bytes(request->out, 4, tk_cl_region_end(region));
    }
}

static void
put_busy(struct tk_buf *out, const struct tk_cl_error *error)
{
    tk_put_text(out, 1, error->reason == NULL ? "busy" : error->reason);
    tk_put_u64(out, 2, error->backoff_ms);
    tk_put_u64(out, 3, error->wait_ms);
    tk_put_u64(out, 4, error->number);
}

static void
put_mismatch(struct tk_cl_request *request, const struct tk_cl_region *region)
{
    const struct tk_cl_peer *local =
        region == NULL ? NULL : tk_cl_peer_on(region, request->store->id);

    tk_put_u64(request->out, 1, request->context.peer_id);
    tk_put_u64(request->out, 2, local == NULL ? 0 : local->id);
}

/* The buckets that are there; with a number that alone, as a rule has it. */
static void
put_bucket_version(struct tk_cl_request *request,
                   const struct tk_cl_error *error,
                   const struct tk_cl_region *region)
{
    const struct tk_cl_buckets *buckets =
        region == NULL || error->number != 0
            ? NULL
            : tk_cl_buckets_of(request->cluster, region);
    tikv_slice key;
    size_t at = 0;

    if (buckets == NULL) {
        tk_put_u64(request->out, 1, error->number);
        return;
    }
    tk_put_u64(request->out, 1, buckets->version);
    while (tk_cl_each(tk_buf_slice(&buckets->keys), 3, &at, &key)) {
        tk_put_bytes_always(request->out, 2, key);
    }
}

/* error->number - 1 is how full a disk may be; 0: the answering store is
 * meant, whatever it has. */
static void
put_disk(struct tk_cl_request *request, const struct tk_cl_error *error,
         const struct tk_cl_region *region)
{
    struct tk_buf *out = request->out;
    size_t mark = tk_put_begin(out, 1);
    size_t i;

    if (region == NULL || error->number == 0) {
        tk_buf_varint(out, request->store->id);
    }
    for (i = 0; region != NULL && error->number != 0 &&
                i < region->peers_count;
         i++) {
        const struct tk_cl_store *store =
            tk_cl_store(request->cluster, region->peers[i].store_id);

        if ((uint64_t)store->disk >= error->number) {
            tk_buf_varint(out, store->id);
        }
    }
    tk_put_end(out, mark);
    tk_put_text(out, 2, "disk is full");
}

/* Variants that need more than the region's id and a number. */
static bool
put_rich(struct tk_cl_request *request, const struct tk_cl_error *error,
         const struct tk_cl_region *region)
{
    struct tk_buf *out = request->out;

    if (error->kind == TK_CL_NOT_LEADER) {
        put_not_leader(request, error, region);
    } else if (error->kind == TK_CL_KEY_NOT_IN_REGION) {
        put_key(request, error, region);
    } else if (error->kind == TK_CL_EPOCH_NOT_MATCH) {
        if (region != NULL && !error->no_regions) {
            put_current(request, region, error->regions);
        }
    } else if (error->kind == TK_CL_SERVER_IS_BUSY) {
        put_busy(out, error);
    } else if (error->kind == TK_CL_STORE_NOT_MATCH) {
        tk_put_u64(out, 1, request->context.store_id);
        tk_put_u64(out, 2, request->store->id);
    } else if (error->kind == TK_CL_MISMATCH_PEER_ID) {
        put_mismatch(request, region);
    } else if (error->kind == TK_CL_DISK_FULL) {
        put_disk(request, error, region);
    } else if (error->kind == TK_CL_BUCKET_VERSION_NOT_MATCH) {
        put_bucket_version(request, error, region);
    } else {
        return false;
    }
    return true;
}

static void
put_variant(struct tk_cl_request *request, const struct tk_cl_error *error,
            const struct tk_cl_region *region)
{
    struct tk_buf *out = request->out;
    uint64_t region_id = request->context.region_id;

    if (put_rich(request, error, region)) {
        return;
    }
    switch (error->kind) {
    case TK_CL_READ_INDEX_NOT_READY:
        tk_put_text(out, 1, "not ready");
        tk_put_u64(out, 2, region_id);
        break;
    case TK_CL_RAFT_ENTRY_TOO_LARGE:
    case TK_CL_FLASHBACK_IN_PROGRESS:
        tk_put_u64(out, 1, region_id);
        tk_put_u64(out, 2, error->number);
        break;
    case TK_CL_DATA_IS_NOT_READY:
        tk_put_u64(out, 1, region_id);
        tk_put_u64(out, 2, request->context.peer_id);
        tk_put_u64(out, 3, error->number);
        break;
    case TK_CL_UNDETERMINED_RESULT:
        tk_put_text(out, 1, "raft proposal is dropped");
        break;
    case TK_CL_REGION_NOT_FOUND:
    case TK_CL_PROPOSAL_IN_MERGING_MODE:
    case TK_CL_REGION_NOT_INITIALIZED:
    case TK_CL_RECOVERY_IN_PROGRESS:
    case TK_CL_FLASHBACK_NOT_PREPARED:
    case TK_CL_IS_WITNESS:
        tk_put_u64(out, 1, region_id);
        break;
    case TK_CL_NOT_LEADER:
    case TK_CL_KEY_NOT_IN_REGION:
    case TK_CL_EPOCH_NOT_MATCH:
    case TK_CL_SERVER_IS_BUSY:
    case TK_CL_STORE_NOT_MATCH:
    case TK_CL_MISMATCH_PEER_ID:
    case TK_CL_DISK_FULL:
    case TK_CL_BUCKET_VERSION_NOT_MATCH:
    case TK_CL_MESSAGE_ONLY:
    case TK_CL_STALE_COMMAND:
    case TK_CL_MAX_TIMESTAMP_NOT_SYNCED:
    case TK_CL_ERROR_KINDS:
        break;
    }
}

void
tk_cl_answer_error(struct tk_cl_request *request,
                   const struct tk_cl_error *error)
{
    struct tk_buf *out = request->out;
    const struct tk_cl_region *region = tk_cl_region_by_id(
        &request->cluster->regions, request->context.region_id);
    const char *message =
        error->message != NULL ? error->message : kinds[error->kind].message;
    size_t mark;
    size_t variant;

    if (out->len > request->out_start) {
        tk_buf_cut(out, request->out_start, out->len - request->out_start);
    }
    tk_cl_seen_region_error(request, error->kind);
    mark = tk_put_begin(out, request->method->region_error);
    if (message != NULL) {
        tk_put_text(out, 1, message);
    } else {
        size_t text = tk_put_begin(out, 1);

        tk_buf_printf(out, "region %llu is missing",
                      (unsigned long long)request->context.region_id);
        tk_put_end(out, text);
    }
    if (kinds[error->kind].field != 0) {
        variant = tk_put_begin(out, kinds[error->kind].field);
        put_variant(request, error, region);
        tk_put_end(out, variant);
    }
    tk_put_end(out, mark);
}
