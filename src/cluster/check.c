/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store asks of a request before it looks at data, in TiKV's order:
 * a client learns from whichever error comes first, so the order is part of
 * the protocol.
 */
#include "base/slice.h"
#include "cluster/inner.h"

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
    if (context->max_execution_ms > 0 &&
        (uint64_t)(waited / TK_MS) >= context->max_execution_ms) {
        error.reason = "deadline is exceeded";
        tk_cl_answer_error(request, &error);
        return false;
    }
    return true;
}

/* Rows 5 to 8 and 13: what the peer is. */
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

/* Rows 9 to 13. */
static bool
check_state(struct tk_cl_request *request, const struct tk_cl_region *region)
{
    const struct tk_cl_context *context = &request->context;
    bool is_write = (request->method->flags & TK_CL_WRITE) != 0;

    if (context->term != 0 && region->term > context->term + 1) {
        return refuse(request, TK_CL_STALE_COMMAND);
    }
    if (!context->has_epoch) {
        return refuse_message(request, "missing epoch!");
    }
    if (context->version != region->version) {
        return refuse(request, TK_CL_EPOCH_NOT_MATCH);
    }
    if (region->in_flashback) {
        return refuse_number(request, TK_CL_FLASHBACK_IN_PROGRESS,
                             region->flashback_ts);
    }
    if (region->is_merging && is_write) {
        return refuse(request, TK_CL_PROPOSAL_IN_MERGING_MODE);
    }
    if (region->is_merging && context->replica_read) {
        return refuse(request, TK_CL_READ_INDEX_NOT_READY);
    }
    return true;
}

bool
tk_cl_check_region(struct tk_cl_request *request)
{
    const struct tk_cl_context *context = &request->context;
    struct tk_cl_region *region;
    const struct tk_cl_peer *peer;

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
    if (!check_peer(request, region, peer) || !check_state(request, region)) {
        return false;
    }
    request->region = region;
    return true;
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
