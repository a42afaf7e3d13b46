/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of named keys. A snapshot read first tells the store its timestamp,
 * then looks at the locks: nobody can commit below it unseen. Locks in
 * memory come before all checks of the region, as on a real store.
 */
#include "base/slice.h"
#include "cluster/txn.h"

bool
tk_cl_view_meet_leader(const struct tk_cl_view *view,
                       struct tk_cl_request *request, tikv_slice start,
                       tikv_slice end, bool is_point,
                       struct tk_key_error *error)
{
    const struct tk_cl_peer *leader =
        tk_cl_peer_of(request->region, request->region->leader);
    struct tk_cl_view plain = *view;
    struct tk_cl_store *store;

    if (leader == NULL || leader->store_id == request->store->id ||
        !view->replica_read || request->context.stale_read ||
        view->isolation != TK_ISOLATION_SI) {
        return true;
    }
    store = tk_cl_store(request->cluster, leader->store_id);
    if (view->ts != TK_TS_MAX) {
        store->max_ts = tk_ts_max(store->max_ts, view->ts);
    }
    /* The leader is not told which locks the reader passes by. */
    tk_buf_init(&plain.resolved, 0);
    return tk_cl_view_check_memory(&plain, store, start, end, is_point,
                                   error);
}

bool
tk_cl_view_ask_leader(struct tk_cl_view *view, struct tk_cl_request *request,
                      tikv_slice start, tikv_slice end, bool is_point)
{
    struct tk_key_error error;

    if (!tk_cl_view_meet_leader(view, request, start, end, is_point,
                                &error)) {
        (void)tk_cl_txn_fail(request, &error);
        return false;
    }
    return true;
}

/* What comes before the region. False: answered. */
static bool
check_memory(struct tk_cl_view *view, struct tk_cl_request *request,
             tikv_slice key)
{
    struct tk_key_error error;

    if (!tk_cl_view_check_memory(view, request->store, key, key, true,
                                 &error)) {
        (void)tk_cl_txn_fail(request, &error);
        return false;
    }
    return true;
}

static bool
admit_reader(struct tk_cl_request *request, uint64_t ts)
{
    return tk_cl_txn_admit(request, true) &&
           (request->context.stale_read ||
            tk_cl_raise_max_ts(request, ts, false));
}

static void
get_one(struct tk_cl_view *view, struct tk_cl_request *request, tikv_slice key)
{
    struct tk_mvcc *mvcc = &request->cluster->mvcc;
    struct tk_buf *out = request->out;
    struct tk_key_error error;
    struct tk_cl_seen seen;

    if (!check_memory(view, request, key) || !tk_cl_check_region(request) ||
        !tk_cl_view_ask_leader(view, request, key, key, true) ||
        !tk_cl_txn_check_key(request, key)) {
        return;
    }
    /* The encoded key is still there from the check. */
    if (!tk_cl_view_read(
            view,
            (struct tk_mvcc_node *)tk_cl_map_find(
                &mvcc->keys, tk_buf_slice(&mvcc->scratch)),
            &seen, &error)) {
        (void)tk_cl_txn_fail(request, &error);
    } else if (!seen.found) {
        tk_put_u64(out, 4, 1);
    } else {
        tk_put_bytes(out, 3, seen.value);
        tk_put_u64(out, 7, seen.commit_ts);
    }
    tk_cl_put_exec(request, 6, &view->stats);
}

int
tk_cl_txn_get(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct tk_cl_view view;

    if (!admit_reader(request, fields->numbers[3])) {
        return TK_GRPC_OK;
    }
    tk_cl_view_open(&view, request, fields->numbers[3],
                    fields->numbers[4] != 0);
    get_one(&view, request, fields->bytes[2]);
    tk_cl_view_close(&view);
    return TK_GRPC_OK;
}

void
tk_cl_view_put_pair(struct tk_buf *out, tikv_slice key,
                    const struct tk_cl_seen *seen,
                    const struct tk_key_error *error)
{
    size_t pair = tk_put_begin(out, 2);

    if (error != NULL) {
        tk_cl_put_key_error(out, 1, error);
    } else {
        tk_put_bytes(out, 2, key);
        tk_put_bytes(out, 3, seen->value);
        tk_put_u64(out, 4, seen->commit_ts);
    }
    tk_put_end(out, pair);
}

static void
get_pairs(struct tk_cl_view *view, struct tk_cl_request *request)
{
    struct tk_key_error error;
    struct tk_cl_seen seen;
    tikv_slice key;
    size_t at = 0;

    while (tk_cl_each(request->body, 2, &at, &key)) {
        const struct tk_mvcc_node *node =
            tk_mvcc_find(&request->cluster->mvcc, key);

        if (!tk_cl_view_read(view, node, &seen, &error)) {
            if (error.kind != TK_KE_LOCKED) {
                (void)tk_cl_txn_fail(request, &error);
                break;
            }
            tk_cl_view_put_pair(request->out, key, NULL, &error);
        } else if (seen.found) {
            tk_cl_view_put_pair(request->out, key, &seen, NULL);
        }
    }
    tk_cl_put_exec(request, 4, &view->stats);
}

/* Locks in memory of all keys, then the region, then where they lie. */
static bool
check_all(struct tk_cl_view *view, struct tk_cl_request *request)
{
    tikv_slice key;
    size_t at = 0;

    while (request->store->memory_locks != NULL &&
           tk_cl_each(request->body, 2, &at, &key)) {
        if (!check_memory(view, request, key)) {
            return false;
        }
    }
    if (!tk_cl_check_region(request)) {
        return false;
    }
    at = 0;
    while (tk_cl_each(request->body, 2, &at, &key)) {
        if (!tk_cl_view_ask_leader(view, request, key, key, true) ||
            !tk_cl_txn_check_key(request, key)) {
            return false;
        }
    }
    return true;
}

int
tk_cl_txn_batch_get(struct tk_cl_request *request)
{
    const struct tk_cl_fields *fields = &request->fields;
    struct tk_cl_view view;

    if (!admit_reader(request, fields->numbers[3])) {
        return TK_GRPC_OK;
    }
    tk_cl_view_open(&view, request, fields->numbers[3],
                    fields->numbers[4] != 0);
    if (check_all(&view, request)) {
        get_pairs(&view, request);
    }
    tk_cl_view_close(&view);
    return TK_GRPC_OK;
}
