/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request is about, for rules that choose by it: its keys, its
 * transaction, its region. Read from the bytes, by tables of field numbers.
 */
#include "base/slice.h"
#include "cluster/fault.h"
#include "cluster/mvcc.h"

bool
tk_cl_key_fields(uint32_t index, uint32_t *outer, uint32_t *inner)
{
    static const struct {
        uint32_t command;
        uint8_t outer;
        uint8_t inner;
    } fields[] = {
        { TK_CMD_RAW_BATCH_PUT, 2, 2 },
        { TK_CMD_RAW_BATCH_SCAN, 2, 1 },
        { TK_CMD_RAW_CHECKSUM, 3, 1 },
        { TK_CMD_PD_BATCH_SCAN_REGIONS, 3, 1 },
        { TK_CMD_RAW_COPROCESSOR, 4, 1 },
        { TK_CMD_SPLIT_REGION, 3, 0 },
        { TK_CMD_RAW_GET, 2, 0 },
        { TK_CMD_RAW_PUT, 2, 0 },
        { TK_CMD_RAW_DELETE, 2, 0 },
        { TK_CMD_RAW_GET_KEY_TTL, 2, 0 },
        { TK_CMD_RAW_COMPARE_AND_SWAP, 2, 0 },
        { TK_CMD_RAW_BATCH_GET, 2, 0 },
        { TK_CMD_RAW_BATCH_DELETE, 2, 0 },
        { TK_CMD_RAW_SCAN, 2, 0 },
        { TK_CMD_RAW_DELETE_RANGE, 2, 0 },
        { TK_CMD_PD_GET_REGION, 2, 0 },
        { TK_CMD_PD_GET_PREV_REGION, 2, 0 },
        { TK_CMD_PD_SCAN_REGIONS, 2, 0 },
        { TK_CMD_PD_SPLIT_REGIONS, 2, 0 },
        { TK_CMD_PD_SPLIT_AND_SCATTER_REGIONS, 2, 0 },
        { TK_CMD_KV_GET, 2, 0 },
        { TK_CMD_KV_BATCH_GET, 2, 0 },
        { TK_CMD_KV_BUFFER_BATCH_GET, 2, 0 },
        { TK_CMD_KV_SCAN, 2, 0 },
        { TK_CMD_KV_PREWRITE, 2, 2 },
        { TK_CMD_KV_FLUSH, 2, 2 },
        { TK_CMD_KV_PESSIMISTIC_LOCK, 2, 2 },
        { TK_CMD_KV_PESSIMISTIC_ROLLBACK, 4, 0 },
        { TK_CMD_KV_COMMIT, 3, 0 },
        { TK_CMD_KV_BATCH_ROLLBACK, 3, 0 },
        { TK_CMD_KV_CLEANUP, 2, 0 },
        { TK_CMD_KV_TXN_HEART_BEAT, 2, 0 },
        { TK_CMD_KV_CHECK_TXN_STATUS, 2, 0 },
        { TK_CMD_KV_CHECK_SECONDARY_LOCKS, 2, 0 },
        { TK_CMD_KV_RESOLVE_LOCK, 5, 0 },
        { TK_CMD_KV_SCAN_LOCK, 3, 0 },
    };
    size_t i;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].command == index) {
            *outer = fields[i].outer;
            *inner = fields[i].inner;
            return true;
        }
    }
    return false;
}

uint64_t
tk_cl_start_ts_of(const struct tk_cl_request *request)
{
    static const struct {
        uint32_t command;
        uint8_t field;
    } fields[] = {
        { TK_CMD_KV_GET, 3 },
        { TK_CMD_KV_BATCH_GET, 3 },
        { TK_CMD_KV_BUFFER_BATCH_GET, 3 },
        { TK_CMD_KV_SCAN, 4 },
        { TK_CMD_KV_PREWRITE, 4 },
        { TK_CMD_KV_FLUSH, 4 },
        { TK_CMD_KV_PESSIMISTIC_LOCK, 4 },
        { TK_CMD_KV_PESSIMISTIC_ROLLBACK, 2 },
        { TK_CMD_KV_COMMIT, 2 },
        { TK_CMD_KV_BATCH_ROLLBACK, 2 },
        { TK_CMD_KV_RESOLVE_LOCK, 2 },
        { TK_CMD_KV_CLEANUP, 3 },
        { TK_CMD_KV_TXN_HEART_BEAT, 3 },
        { TK_CMD_KV_CHECK_TXN_STATUS, 3 },
        { TK_CMD_KV_CHECK_SECONDARY_LOCKS, 3 },
    };
    size_t i;

    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].command == request->method->index) {
            return request->fields.numbers[fields[i].field];
        }
    }
    return 0;
}

bool
tk_cl_next_key(const struct tk_cl_request *request, size_t *at, tikv_slice *key)
{
    struct tk_cl_fields fields;
    uint32_t outer;
    uint32_t inner;

    if (!tk_cl_key_fields(request->method->index, &outer, &inner) ||
        !tk_cl_each(request->body, outer, at, key)) {
        return false;
    }
    if (inner != 0) {
        *key = tk_cl_decode(*key, &fields) ? fields.bytes[inner]
                                           : (tikv_slice){ NULL, 0 };
    }
    return true;
}

/* A commit of old tells nothing: the locks know. */
static bool
locks_are_primary(const struct tk_cl_request *request)
{
    tikv_slice key;
    size_t at = 0;

    while (tk_cl_next_key(request, &at, &key)) {
        const struct tk_mvcc_node *node =
            tk_mvcc_find(&request->cluster->mvcc, key);

        if (node != NULL && node->lock != NULL &&
            tk_slice_equal(node->lock->names->primary, key)) {
            return true;
        }
    }
    return false;
}

bool
tk_cl_is_primary(const struct tk_cl_request *request)
{
    tikv_slice primary = request->fields.bytes[3];
    tikv_slice key;
    size_t at = 0;

    switch (request->method->index) {
    case TK_CMD_KV_TXN_HEART_BEAT:
    case TK_CMD_KV_CHECK_TXN_STATUS:
        return true;
    case TK_CMD_KV_COMMIT:
        if (request->fields.numbers[6] != 0) {
            return request->fields.numbers[6] == 1;
        }
        primary = request->fields.bytes[7];
        if (primary.len == 0) {
            return locks_are_primary(request);
        }
        break;
    case TK_CMD_KV_PREWRITE:
    case TK_CMD_KV_FLUSH:
    case TK_CMD_KV_PESSIMISTIC_LOCK:
        break;
    default:
        return false;
    }
    while (tk_cl_next_key(request, &at, &key)) {
        if (tk_slice_equal(key, primary)) {
            return true;
        }
    }
    return false;
}

uint64_t
tk_cl_region_id_of(const struct tk_cl_request *request)
{
    const struct tk_cl_regions *all = &request->cluster->regions;

    if (request->method->context != 0) {
        return request->context.region_id;
    }
    switch (request->method->index) {
    case TK_CMD_PD_GET_REGION_BY_ID:
    case TK_CMD_PD_GET_OPERATOR:
        return request->fields.numbers[2];
    case TK_CMD_PD_GET_REGION:
        return all->sorted[tk_cl_region_place(all, request->fields.bytes[2])]
            ->id;
    default:
        return 0;
    }
}
