/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands beside transactions: looking at the versions of a key, deleting a
 * range for good, reading a transaction's own flushed writes, and what other
 * stores tell of transactions.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/txn.h"
#include "wire/key.h"

int
tk_cl_txn_mvcc_by_key(struct tk_cl_request *request)
{
    tikv_slice key = request->fields.bytes[2];

    if (!tk_cl_txn_open(request, false) ||
        !tk_cl_txn_check_key(request, key)) {
        return TK_GRPC_OK;
    }
    tk_cl_put_mvcc(request->out, 3,
                   tk_mvcc_find(&request->cluster->mvcc, key));
    return TK_GRPC_OK;
}

static bool
has_version_of(const struct tk_mvcc_node *node, uint64_t start_ts)
{
    uint32_t i;

    for (i = 0; i < node->count; i++) {
        if (node->versions[i].start_ts == start_ts) {
            return true;
        }
    }
    return false;
}

int
tk_cl_txn_mvcc_by_start(struct tk_cl_request *request)
{
    const struct tk_mvcc_node *found = NULL;
    struct tk_cl_map_at at;

    if (!tk_cl_txn_open(request, false)) {
        return TK_GRPC_OK;
    }
    at = tk_cl_map_from(&request->cluster->mvcc.keys,
                        tk_cl_region_start(request->region));
    while (found == NULL && at.item != NULL &&
           tk_slice_in_range(at.item->key,
                             tk_cl_region_start(request->region),
                             tk_cl_region_end(request->region))) {
        const struct tk_mvcc_node *node = (struct tk_mvcc_node *)at.item;

        if (has_version_of(node, request->fields.numbers[2])) {
            found = node;
        }
        tk_cl_map_next(&at);
    }
    if (found != NULL) {
        tk_put_bytes(request->out, 3, tk_mvcc_key(found));
    }
    tk_cl_put_mvcc(request->out, 4, found);
    return TK_GRPC_OK;
}

/* ---- KvDeleteRange ---- */

static void
delete_range(struct tk_cl_request *request, tikv_slice start, tikv_slice end)
{
    const struct tk_cl_error error = {
        .message = "invalid delete range command: start is not before end"
    };

    if (!tk_cl_check_region(request)) {
        return;
    }
    if (tk_slice_compare(start, end) >= 0) {
        tk_cl_answer_error(request, &error);
        return;
    }
    if (tk_cl_check_key(request, start) && tk_cl_check_bound(request, end) &&
        request->fields.numbers[4] == 0) {
        tk_mvcc_delete_range(&request->cluster->mvcc, start, end);
    }
}

int
tk_cl_txn_delete_range(struct tk_cl_request *request)
{
    struct tk_buf start;
    struct tk_buf end;
    const char *refusal;

    if (!tk_cl_check_busy(request)) {
        return TK_GRPC_OK;
    }
    refusal = tk_cl_check_mode(request, false);
    if (refusal != NULL) {
        tk_put_text(request->out, 2, refusal);
        return TK_GRPC_OK;
    }
    tk_buf_init(&start, SIZE_MAX / 4);
    tk_buf_init(&end, SIZE_MAX / 4);
    tk_key_encode(&start, request->fields.bytes[2]);
    tk_key_encode(&end, request->fields.bytes[3]);
    if (start.failed || end.failed) {
        request->out->failed = true;
    } else {
        delete_range(request, tk_buf_slice(&start), tk_buf_slice(&end));
    }
    tk_buf_fini(&start);
    tk_buf_fini(&end);
    return TK_GRPC_OK;
}

/* ---- KvBufferBatchGet ---- */

static int
compare_keys(const void *a, const void *b)
{
    return tk_slice_compare(*(const tikv_slice *)a, *(const tikv_slice *)b);
}

static void
put_own(struct tk_cl_request *request, tikv_slice key, uint64_t start_ts)
{
    const struct tk_mvcc_node *node =
        tk_mvcc_find(&request->cluster->mvcc, key);
    size_t pair;

    if (!tk_mvcc_owns(node, start_ts) ||
        (node->lock->type != TK_MVCC_PUT &&
         node->lock->type != TK_MVCC_DELETE)) {
        return;
    }
    pair = tk_put_begin(request->out, 3);
    tk_put_bytes(request->out, 2, key);
    tk_put_bytes(request->out, 3, tk_mvcc_bytes(node->lock->value));
    tk_put_end(request->out, pair);
}

static bool
check_buffer_memory(struct tk_cl_request *request, uint64_t ts)
{
    struct tk_cl_view view;
    struct tk_key_error error;
    tikv_slice key;
    size_t at = 0;
    bool ok = true;

    tk_cl_view_open(&view, request, ts, false);
    while (ok && tk_cl_each(request->body, 2, &at, &key)) {
        ok = tk_cl_view_check_memory(&view, request->store, key, key, true,
                                     &error);
    }
    tk_cl_view_close(&view);
    if (!ok) {
        (void)tk_cl_txn_fail(request, &error);
    }
    return ok;
}

int
tk_cl_txn_buffer_get(struct tk_cl_request *request)
{
    uint64_t ts = request->fields.numbers[3];
    tikv_slice *keys;
    tikv_slice key;
    size_t count = 0;
    size_t at = 0;
    size_t i;

    if (!tk_cl_txn_admit(request, true) ||
        !tk_cl_raise_max_ts(request, ts, false) ||
        !check_buffer_memory(request, ts) || !tk_cl_check_region(request) ||
        !tk_cl_txn_check_keys(request, 2)) {
        return TK_GRPC_OK;
    }
    keys = tk_alloc_array(request->fields.counts[2] + UINT64_C(1),
                          sizeof(*keys));
    if (keys == NULL) {
        request->out->failed = true;
        return TK_GRPC_OK;
    }
    while (tk_cl_each(request->body, 2, &at, &key)) {
        keys[count++] = key;
    }
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (i = 0; i < count; i++) {
        if (i == 0 || !tk_slice_equal(keys[i], keys[i - 1])) {
            put_own(request, keys[i], ts);
        }
    }
    tk_free(keys);
    tk_cl_put_exec(request, 4, NULL);
    return TK_GRPC_OK;
}

/* ---- BroadcastTxnStatus ---- */

static void
note_status(struct tk_cl_store *store, const struct tk_cl_fields *status)
{
    uint64_t start_ts = status->numbers[1];
    uint64_t min_commit_ts = status->numbers[2];
    uint64_t commit_ts = status->numbers[3];

    if (status->numbers[4] != 0 || status->numbers[5] != 0) {
        tk_cl_outcome_forget(store, start_ts);
    } else if (commit_ts != 0) {
        tk_cl_outcome_add(store, start_ts, commit_ts);
    } else {
        tk_cl_outcome_alive(store, start_ts, min_commit_ts);
    }
}

int
tk_cl_txn_broadcast(struct tk_cl_request *request)
{
    struct tk_cl_fields fields;
    tikv_slice bytes;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &bytes)) {
        if (tk_cl_decode(bytes, &fields)) {
            note_status(request->store, &fields);
        }
    }
    return TK_GRPC_OK;
}
