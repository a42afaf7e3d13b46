/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store asks of a request before it looks at data, in TiKV's order:
 * a client learns from whichever error comes first, so the order is part of
 * the protocol.
 */
#include "base/slice.h"
#include "cluster/flow.h"

static bool
refuse(struct tk_cl_request *request, enum tk_cl_error_kind kind)
{
    const struct tk_cl_error error = { .kind = kind };

    tk_cl_answer_error(request, &error);
    return false;
}

static bool
refuse_message(struct tk_cl_request *request, const char *message)
{
    const struct tk_cl_error error = { .message = message };

    tk_cl_answer_error(request, &error);
    return false;
}

static bool
refuse_number(struct tk_cl_request *request, enum tk_cl_error_kind kind,
              uint64_t number)
{
    const struct tk_cl_error error = { .kind = kind, .number = number };

    tk_cl_answer_error(request, &error);
    return false;
}

bool
tk_cl_check_busy(struct tk_cl_request *request)
{
    const struct tk_cl_context *context = &request->context;
    struct tk_cl_error error = { .kind = TK_CL_SERVER_IS_BUSY };
    int64_t waited = tk_now(request->cluster->rt) - request->arrived;

    if ((request->method->flags & TK_CL_READ) != 0 &&
        context->busy_threshold_ms > 0 &&
        request->store->wait_ms > context->busy_threshold_ms) {
        error.reason = "estimated wait time exceeds threshold";
        error.wait_ms = request->store->wait_ms;
        tk_cl_answer_error(request, &error);
        return false;
    }
    if ((request->method->flags & TK_CL_WRITE) != 0 &&
        request->store->refuses_writes) {
        error.reason = "scheduler is busy";
        tk_cl_answer_error(request, &error);
        return false;
    }
    if (context->max_execution_ms > 0 &&
        (uint64_t)(waited / TK_MS) >= context->max_execution_ms) {
        error.reason = "deadline is exceeded";
        tk_cl_answer_error(request, &error);
        return false;
    }
    return true;
}

/* Rows 5 to 8: what the peer is. */
static bool
check_peer(struct tk_cl_request *request, const struct tk_cl_region *region,
           const struct tk_cl_peer *peer)
{
    const struct tk_cl_context *context = &request->context;
    bool is_read = (request->method->flags & TK_CL_READ) != 0;
    bool no_data =
        peer->is_witness || peer->state == TK_CL_PEER_WAIT_DATA;
    bool elsewhere =
        is_read && (context->replica_read || context->stale_read);

    /* A read with a fitting epoch meets the local reader first. */
    if (no_data && is_read && context->has_epoch &&
        context->version == region->version) {
        return refuse(request, TK_CL_IS_WITNESS);
    }
    if (peer->id != region->leader && !elsewhere) {
        return refuse(request, TK_CL_NOT_LEADER);
    }
    if (peer->id != region->leader && region->leader == 0 &&
        context->replica_read && !context->stale_read) {
        return refuse(request, TK_CL_NOT_LEADER);
    }
    if (no_data) {
        return refuse(request, TK_CL_IS_WITNESS);
    }
    if (peer->state == TK_CL_PEER_UNINITIALIZED) {
        return refuse(request, TK_CL_REGION_NOT_INITIALIZED);
    }
    if (peer->state == TK_CL_PEER_SNAPSHOT) {
        return refuse_message(request, "peer is applying a snapshot");
    }
    return true;
}

bool
tk_cl_read_ts(const struct tk_cl_request *request, uint64_t *ts)
{
    const uint64_t *numbers = request->fields.numbers;

    switch (request->method->index) {
    case TK_CMD_KV_GET:
    case TK_CMD_KV_BATCH_GET:
    case TK_CMD_KV_BUFFER_BATCH_GET:
        *ts = numbers[3];
        return true;
    case TK_CMD_KV_SCAN:
        *ts = numbers[4];
        return true;
    case TK_CMD_COPROCESSOR:
    case TK_CMD_COPROCESSOR_STREAM:
        *ts = numbers[7];
        return true;
    default:
        *ts = 0;
        return false;
    }
}

/* Row 11: who reads what was before the flashback is not disturbed by it. */
static bool
may_pass_flashback(const struct tk_cl_request *request,
                   const struct tk_cl_region *region)
{
    uint64_t ts;

    switch (request->method->index) {
    case TK_CMD_KV_PREPARE_FLASHBACK_TO_VERSION:
    case TK_CMD_KV_FLASHBACK_TO_VERSION:
        return true;
    default:
        return tk_cl_read_ts(request, &ts) && ts < region->flashback_ts;
    }
}

/* How full a disk may be for this write: what frees space, or ends what has
 * begun, goes on longer than what begins anew. */
static enum tk_cl_disk
disk_allowed(const struct tk_cl_request *request)
{
    enum tk_cl_disk allowed =
        request->context.disk_full_opt > TK_CL_DISK_FULL_UP
            ? TK_CL_DISK_NORMAL
            : (enum tk_cl_disk)request->context.disk_full_opt;

    switch (request->method->index) {
    case TK_CMD_KV_PREWRITE:
    case TK_CMD_KV_FLUSH:
    case TK_CMD_KV_PESSIMISTIC_LOCK:
        return allowed;
    default:
        return allowed < TK_CL_DISK_ALMOST ? TK_CL_DISK_ALMOST : allowed;
    }
}

/* Row 14: a write needs room at the leader and at a majority of voters. */
static bool
check_disk(struct tk_cl_request *request, const struct tk_cl_region *region)
{
    enum tk_cl_disk allowed = disk_allowed(request);
    size_t voters = 0;
    size_t full = 0;
    size_t i;

    for (i = 0; i < region->peers_count; i++) {
        const struct tk_cl_peer *peer = &region->peers[i];

        if (peer->role != TK_CL_LEARNER) {
            voters++;
            full += tk_cl_store(request->cluster, peer->store_id)->disk >
                    allowed;
        }
    }
    if (request->store->disk > allowed || (full > 0 && full * 2 >= voters)) {
        return refuse_number(request, TK_CL_DISK_FULL,
                             (uint64_t)allowed + 1);
    }
    return true;
}

/* Rows 12 to 14: what is forbidden for a while. */
static bool
check_moment(struct tk_cl_request *request, struct tk_cl_region *region,
             struct tk_cl_peer *peer)
{
    const struct tk_cl_context *context = &request->context;
    bool is_split = request->method->index == TK_CMD_SPLIT_REGION;
    bool is_write = (request->method->flags & TK_CL_WRITE) != 0;
    uint64_t safe_ts;
    uint64_t ts;

    if (region->is_merging && (is_write || is_split)) {
        return refuse(request, TK_CL_PROPOSAL_IN_MERGING_MODE);
    }
    if (region->is_merging && context->replica_read) {
        return refuse(request, TK_CL_READ_INDEX_NOT_READY);
    }
    if (context->stale_read && tk_cl_read_ts(request, &ts)) {
        safe_ts = tk_cl_safe_ts(request->cluster, region, peer);
        if (ts > safe_ts) {
            return refuse_number(request, TK_CL_DATA_IS_NOT_READY, safe_ts);
        }
    }
    return !is_write || check_disk(request, region);
}

/* Rows 9 to 14. */
static bool
check_state(struct tk_cl_request *request, struct tk_cl_region *region,
            struct tk_cl_peer *peer)
{
    const struct tk_cl_context *context = &request->context;

    if (context->term != 0 && region->term > context->term + 1) {
        return refuse(request, TK_CL_STALE_COMMAND);
    }
    if (!context->has_epoch) {
        return refuse_message(request, "missing epoch!");
    }
    if (context->version != region->version) {
        return refuse(request, TK_CL_EPOCH_NOT_MATCH);
    }
    if (region->in_flashback && !may_pass_flashback(request, region)) {
        return refuse_number(request, TK_CL_FLASHBACK_IN_PROGRESS,
                             region->flashback_ts);
    }
    return check_moment(request, region, peer);
}

bool
tk_cl_check_region(struct tk_cl_request *request)
{
    const struct tk_cl_context *context = &request->context;
    struct tk_cl_region *region;
    struct tk_cl_peer *peer;

    if (context->store_id != request->store->id) {
        return refuse(request, TK_CL_STORE_NOT_MATCH);
    }
    region = tk_cl_region_by_id(&request->cluster->regions,
                                context->region_id);
    peer = region == NULL ? NULL : tk_cl_peer_on(region, request->store->id);
    if (peer == NULL) {
        return refuse(request, TK_CL_REGION_NOT_FOUND);
    }
    if (context->peer_id != peer->id) {
        return refuse(request, TK_CL_MISMATCH_PEER_ID);
    }
    if (region->is_recovering) {
        return refuse(request, TK_CL_RECOVERY_IN_PROGRESS);
    }
    if (!check_peer(request, region, peer) ||
        !check_state(request, region, peer)) {
        return false;
    }
    request->region = region;
    return tk_cl_enter(request);
}

bool
tk_cl_check_entry(struct tk_cl_request *request)
{
    if (request->body.len > TK_CL_ENTRY_MAX) {
        return refuse_number(request, TK_CL_RAFT_ENTRY_TOO_LARGE,
                             request->body.len);
    }
    return true;
}

bool
tk_cl_check_key(struct tk_cl_request *request, tikv_slice key)
{
    const struct tk_cl_error error = { .kind = TK_CL_KEY_NOT_IN_REGION,
                                       .key = key };

    if (tk_slice_in_range(key, tk_cl_region_start(request->region),
                          tk_cl_region_end(request->region))) {
        return true;
    }
    tk_cl_answer_error(request, &error);
    return false;
}

bool
tk_cl_check_bound(struct tk_cl_request *request, tikv_slice key)
{
    tikv_slice end = tk_cl_region_end(request->region);

    if (end.len > 0 && tk_slice_equal(key, end)) {
        return true;
    }
    return tk_cl_check_key(request, key);
}
