/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The methods the cluster knows: the rows of the wire's command table that
 * have a handler here, and two that only servers call. What comes before
 * every handler, cluster id and leadership, is here too.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "cluster/flow.h"

struct entry {
    uint32_t index;
    tk_cl_handler *run;
    uint32_t flags;
};

static const struct entry entries[] = {
    { TK_CMD_RAW_GET, tk_cl_raw_get, TK_CL_READ },
    { TK_CMD_RAW_BATCH_GET, tk_cl_raw_batch_get, TK_CL_READ },
    { TK_CMD_RAW_PUT, tk_cl_raw_put, TK_CL_WRITE },
    { TK_CMD_RAW_BATCH_PUT, tk_cl_raw_batch_put, TK_CL_WRITE },
    { TK_CMD_RAW_DELETE, tk_cl_raw_delete, TK_CL_WRITE },
    { TK_CMD_RAW_BATCH_DELETE, tk_cl_raw_batch_delete, TK_CL_WRITE },
    { TK_CMD_RAW_SCAN, tk_cl_raw_scan, TK_CL_READ },
    { TK_CMD_RAW_BATCH_SCAN, tk_cl_raw_batch_scan, TK_CL_READ },
    { TK_CMD_RAW_DELETE_RANGE, tk_cl_raw_delete_range, TK_CL_WRITE },
    { TK_CMD_RAW_GET_KEY_TTL, tk_cl_raw_ttl, TK_CL_READ },
    { TK_CMD_RAW_COMPARE_AND_SWAP, tk_cl_raw_cas, TK_CL_WRITE },
    { TK_CMD_RAW_CHECKSUM, tk_cl_raw_checksum, TK_CL_READ },
    { TK_CMD_RAW_COPROCESSOR, tk_cl_raw_coprocessor, TK_CL_READ },
    { TK_CMD_KV_GET, tk_cl_txn_get, TK_CL_READ },
    { TK_CMD_KV_BATCH_GET, tk_cl_txn_batch_get, TK_CL_READ },
    { TK_CMD_KV_SCAN, tk_cl_txn_scan, TK_CL_READ },
    { TK_CMD_KV_BUFFER_BATCH_GET, tk_cl_txn_buffer_get, TK_CL_READ },
    { TK_CMD_KV_PREWRITE, tk_cl_txn_prewrite, TK_CL_WRITE },
    { TK_CMD_KV_FLUSH, tk_cl_txn_flush, TK_CL_WRITE },
    { TK_CMD_KV_COMMIT, tk_cl_txn_commit, TK_CL_WRITE },
    { TK_CMD_KV_BATCH_ROLLBACK, tk_cl_txn_batch_rollback, TK_CL_WRITE },
    { TK_CMD_KV_CLEANUP, tk_cl_txn_cleanup, TK_CL_WRITE },
    { TK_CMD_KV_TXN_HEART_BEAT, tk_cl_txn_heart_beat, TK_CL_WRITE },
    { TK_CMD_KV_CHECK_TXN_STATUS, tk_cl_txn_check_status, TK_CL_WRITE },
    { TK_CMD_KV_CHECK_SECONDARY_LOCKS, tk_cl_txn_check_secondaries,
      TK_CL_WRITE },
    { TK_CMD_KV_RESOLVE_LOCK, tk_cl_txn_resolve, TK_CL_WRITE },
    { TK_CMD_KV_SCAN_LOCK, tk_cl_txn_scan_lock, 0 },
    { TK_CMD_KV_PESSIMISTIC_LOCK, tk_cl_txn_lock, TK_CL_WRITE },
    { TK_CMD_KV_PESSIMISTIC_ROLLBACK, tk_cl_txn_unlock, TK_CL_WRITE },
    { TK_CMD_KV_DELETE_RANGE, tk_cl_txn_delete_range, TK_CL_WRITE },
    { TK_CMD_MVCC_GET_BY_KEY, tk_cl_txn_mvcc_by_key, TK_CL_READ },
    { TK_CMD_MVCC_GET_BY_START_TS, tk_cl_txn_mvcc_by_start, TK_CL_READ },
    { TK_CMD_KV_PREPARE_FLASHBACK_TO_VERSION, tk_cl_flashback_prepare,
      TK_CL_WRITE },
    { TK_CMD_KV_FLASHBACK_TO_VERSION, tk_cl_flashback_finish, TK_CL_WRITE },
    { TK_CMD_UNSAFE_DESTROY_RANGE, tk_cl_destroy_range, TK_CL_ANY_CLUSTER },
    { TK_CMD_GET_STORE_SAFE_TS, tk_cl_store_safe_ts, TK_CL_ANY_CLUSTER },
    { TK_CMD_COPROCESSOR, tk_cl_coprocessor, TK_CL_READ },
    { TK_CMD_COPROCESSOR_STREAM, tk_cl_coprocessor_stream, TK_CL_READ },
    { TK_CMD_GET_LOCK_WAIT_INFO, tk_cl_txn_wait_info, 0 },
    { TK_CMD_BROADCAST_TXN_STATUS, tk_cl_txn_broadcast, 0 },
    { TK_CMD_SPLIT_REGION, tk_cl_split_region, TK_CL_ANY_CLUSTER },
    { TK_CMD_GET_HEALTH_FEEDBACK, tk_cl_health, TK_CL_ANY_CLUSTER },
    { TK_CMD_EMPTY, tk_cl_empty, TK_CL_ANY_CLUSTER },
    { TK_CMD_PD_GET_MEMBERS, tk_cl_pd_members,
      TK_CL_ANY_CLUSTER | TK_CL_ANY_MEMBER },
    { TK_CMD_PD_GET_CLUSTER_INFO, tk_cl_pd_info,
      TK_CL_ANY_CLUSTER | TK_CL_ANY_MEMBER },
    { TK_CMD_PD_GET_MIN_TS, tk_cl_pd_min_ts, 0 },
    { TK_CMD_PD_TSO, tk_cl_pd_tso, TK_CL_ANY_CLUSTER | TK_CL_ANY_MEMBER },
    { TK_CMD_PD_QUERY_REGION, tk_cl_pd_query, TK_CL_ANY_MEMBER },
    { TK_CMD_PD_IS_BOOTSTRAPPED, tk_cl_pd_bootstrapped, 0 },
    { TK_CMD_PD_GET_STORE, tk_cl_pd_store, 0 },
    { TK_CMD_PD_GET_ALL_STORES, tk_cl_pd_stores, 0 },
    { TK_CMD_PD_GET_REGION, tk_cl_pd_region, TK_CL_FOLLOWER },
    { TK_CMD_PD_GET_PREV_REGION, tk_cl_pd_prev_region, TK_CL_FOLLOWER },
    { TK_CMD_PD_GET_REGION_BY_ID, tk_cl_pd_region_by_id, TK_CL_FOLLOWER },
    { TK_CMD_PD_SCAN_REGIONS, tk_cl_pd_scan, TK_CL_FOLLOWER },
    { TK_CMD_PD_BATCH_SCAN_REGIONS, tk_cl_pd_batch_scan, TK_CL_FOLLOWER },
    { TK_CMD_PD_SCATTER_REGION, tk_cl_pd_scatter, 0 },
    { TK_CMD_PD_SPLIT_REGIONS, tk_cl_pd_split, 0 },
    { TK_CMD_PD_SPLIT_AND_SCATTER_REGIONS, tk_cl_pd_split_scatter, 0 },
    { TK_CMD_PD_GET_OPERATOR, tk_cl_pd_operator, 0 },
};

static struct tk_cl_method methods[TK_CL_METHODS];
static const struct tk_cl_method *by_slot[256];

/* Stores, members of PD, or both know a service. */
static uint32_t
place_of(const char *label)
{
    if (strncmp(label, "tikv.", 5) == 0 || strncmp(label, "debug.", 6) == 0) {
        return TK_CL_AT_STORE;
    }
    return strncmp(label, "health.", 7) == 0
               ? TK_CL_AT_STORE | TK_CL_AT_MEMBER
               : TK_CL_AT_MEMBER;
}

/* Constant once the library is loaded, hence without a lock. */
__attribute__((constructor)) static void
fill_methods(void)
{
    size_t i;

    for (i = 0; i < TK_COMMANDS; i++) {
        const struct tk_command_row *row = tk_command_row((enum tk_command)i);
        struct tk_cl_method *method = &methods[i];

        method->label = row->label;
        method->path = row->path;
        method->slot = row->slot;
        method->region_error = row->region_error;
        method->error = row->error;
        method->context = row->context_field;
        method->kind = row->kind;
        if (method->slot > 0 && method->slot < 256) {
            by_slot[method->slot] = method;
        }
    }
    for (i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        methods[entries[i].index].run = entries[i].run;
        methods[entries[i].index].flags = entries[i].flags;
    }
    i = TK_COMMANDS + tk_cl_pd_methods(methods);
    methods[i].label = "tikv.CheckLeader";
    methods[i].path = "/tikvpb.Tikv/CheckLeader";
    methods[i].run = tk_cl_check_leader;
    methods[i].flags = TK_CL_ANY_CLUSTER;
    for (i = 0; i < TK_CL_METHODS && methods[i].label != NULL; i++) {
        methods[i].index = (uint32_t)i;
        methods[i].flags |= place_of(methods[i].label);
        if (methods[i].kind == TK_KIND_DOWN ||
            methods[i].kind == TK_CL_KIND_UP) {
            methods[i].flags |= TK_CL_NEEDS_STREAM;
        }
    }
}

const struct tk_cl_method *
tk_cl_method_by_path(const char *path)
{
    enum tk_command command = tk_command_by_path(path);
    size_t i;

    if (command != TK_COMMANDS) {
        return &methods[command];
    }
    for (i = TK_COMMANDS; i < TK_CL_METHODS; i++) {
        if (methods[i].path != NULL && strcmp(methods[i].path, path) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

const struct tk_cl_method *
tk_cl_method_at(size_t index)
{
    return &methods[index];
}

const struct tk_cl_method *
tk_cl_method_by_slot(uint32_t slot)
{
    return slot < 256 ? by_slot[slot] : NULL;
}

const struct tk_cl_method *
tk_cl_method_by_label(const char *label)
{
    size_t i;

    for (i = 0; i < TK_CL_METHODS; i++) {
        if (methods[i].label != NULL && strcmp(methods[i].label, label) == 0) {
            return &methods[i];
        }
    }
    return NULL;
}

int
tk_cl_status(struct tk_cl_request *request, int status, const char *format,
             ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(request->text, sizeof(request->text), format, args);
    va_end(args);
    return status;
}

static int
check_cluster_id(struct tk_cl_request *request, uint64_t asked, int status)
{
    uint64_t id = request->cluster->id;

    if (asked == id) {
        return TK_GRPC_OK;
    }
    return tk_cl_status(request, status,
                        "mismatch cluster id, need %llu but got %llu",
                        (unsigned long long)id, (unsigned long long)asked);
}

/* The context may come in pieces: repeated messages concatenate. */
static int
open_at_store(struct tk_cl_request *request)
{
    const struct tk_cl_method *method = request->method;
    tikv_slice piece;
    size_t at = 0;
    uint64_t asked;
    uint64_t ts;

    memset(&request->context, 0, sizeof(request->context));
    if (method->context == 0) {
        return TK_GRPC_OK;
    }
    if (request->fields.counts[method->context] == 1) {
        if (!tk_cl_context_add(&request->context,
                               request->fields.bytes[method->context])) {
            return tk_cl_status(request, TK_GRPC_INTERNAL,
                                "cannot read the context");
        }
    } else {
        while (tk_cl_each(request->body, method->context, &at, &piece)) {
            if (!tk_cl_context_add(&request->context, piece)) {
                return tk_cl_status(request, TK_GRPC_INTERNAL,
                                    "cannot read the context");
            }
        }
    }
    /* Reading at no timestamp cannot be stale. */
    if (request->context.stale_read && tk_cl_read_ts(request, &ts) &&
        ts == 0) {
        request->context.stale_read = false;
    }
    asked = request->context.cluster_id;
    if (asked == 0 || (method->flags & TK_CL_ANY_CLUSTER) != 0) {
        return TK_GRPC_OK;
    }
    return check_cluster_id(request, asked, TK_GRPC_INVALID_ARGUMENT);
}

static int
open_at_member(struct tk_cl_request *request)
{
    uint32_t flags = request->method->flags;
    bool is_leader = request->cluster->leader == request->member;
    struct tk_cl_fields header;

    if (!is_leader && (flags & TK_CL_ANY_MEMBER) == 0) {
        if ((flags & TK_CL_FOLLOWER) == 0) {
            return tk_cl_status(request, TK_GRPC_UNAVAILABLE, "not leader");
        }
        if (!request->follower_ok) {
            return tk_cl_status(
                request, TK_GRPC_UNAVAILABLE,
                "not leader and follower handling not allowed");
        }
    }
    if ((flags & TK_CL_ANY_CLUSTER) != 0) {
        return TK_GRPC_OK;
    }
    if (!tk_cl_decode(request->fields.bytes[1], &header)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL,
                            "cannot read the header");
    }
    return check_cluster_id(request, header.numbers[1],
                            TK_GRPC_FAILED_PRECONDITION);
}

/* A handler that has stopped on the way has left no answer; it begins again
 * at once when the world has changed, else later. */
static int
run_through(struct tk_cl_request *request)
{
    struct tk_cl_stop *stop;
    int status;

    for (;;) {
        if (request->stop != NULL) {
            request->stop->is_stopped = false;
        }
        status = request->method->run(request);
        stop = request->stop;
        if (stop == NULL || !stop->is_stopped) {
            break;
        }
        tk_buf_cut(request->out, request->out_start,
                   request->out->len - request->out_start);
        if (!stop->is_again) {
            return TK_CL_PARKED;
        }
    }
    if (status == TK_CL_PARKED) {
        tk_cl_stop_unlatch(request);
    }
    return status;
}

int
tk_cl_run(struct tk_cl_request *request)
{
    static const struct tk_cl_error disk_full = { .kind = TK_CL_DISK_FULL };
    uint32_t flags = request->method->flags;
    int status;

    request->now_s =
        (uint64_t)((tk_cl_wall_ms(request->cluster) +
                    (request->store == NULL ? 0 : request->store->skew_ms)) /
                   1000);
    if (request->method->run == NULL ||
        (flags & (request->store != NULL ? TK_CL_AT_STORE
                                         : TK_CL_AT_MEMBER)) == 0 ||
        ((flags & TK_CL_NEEDS_STREAM) != 0 && request->stream == NULL)) {
        return tk_cl_status(request, TK_GRPC_UNIMPLEMENTED,
                            "unknown method %s", request->method->label);
    }
    if (!tk_cl_decode(request->body, &request->fields)) {
        return tk_cl_status(request, TK_GRPC_INTERNAL,
                            "cannot read the request");
    }
    status = request->store != NULL ? open_at_store(request)
                                    : open_at_member(request);
    if (status != TK_GRPC_OK) {
        return status;
    }
    if ((flags & TK_CL_WRITE) != 0 && tk_cl_keep_fails(request->cluster)) {
        tk_cl_answer_error(request, &disk_full);
        return TK_GRPC_OK;
    }
    status = run_through(request);
    if (request->store == NULL) {
        tk_cl_pd_tell(request->cluster);
    }
    return status;
}
