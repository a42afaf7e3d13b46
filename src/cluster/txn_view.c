/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a reader sees a key: which locks are in its way at which isolation,
 * which it may read through, and which version it is given.
 */
#include "base/slice.h"
#include "cluster/txn.h"

static bool
add_lists(struct tk_cl_view *view, const struct tk_cl_request *request)
{
    tikv_slice piece;
    size_t at = 0;

    while (tk_cl_each(request->body, request->method->context, &at, &piece)) {
        if (!tk_cl_each_number(piece, 13, &view->resolved) ||
            !tk_cl_each_number(piece, 22, &view->committed)) {
            return false;
        }
    }
    return true;
}

void
tk_cl_view_open(struct tk_cl_view *view, struct tk_cl_request *request,
                uint64_t ts, bool need_commit_ts)
{
    memset(&view->stats, 0, sizeof(view->stats));
    view->ts = ts;
    view->isolation = request->context.isolation;
    view->need_commit_ts = need_commit_ts;
    view->replica_read = request->context.replica_read;
    tk_buf_init(&view->resolved, SIZE_MAX / 4);
    tk_buf_init(&view->committed, SIZE_MAX / 4);
    if (request->context.has_lists && !add_lists(view, request)) {
        request->out->failed = true;
    }
}

void
tk_cl_view_close(struct tk_cl_view *view)
{
    tk_buf_fini(&view->resolved);
    tk_buf_fini(&view->committed);
}

static bool
holds(const struct tk_buf *list, uint64_t ts)
{
    const uint64_t *numbers = (const uint64_t *)(const void *)list->data;
    size_t count = list->len / sizeof(*numbers);
    size_t i;

    for (i = 0; i < count; i++) {
        if (numbers[i] == ts) {
            return true;
        }
    }
    return false;
}

static bool
blocks_snapshot(const struct tk_cl_view *view, tikv_slice key,
                const struct tk_mvcc_lock *lock)
{
    if (lock->start_ts > view->ts || lock->min_commit_ts > view->ts ||
        holds(&view->resolved, lock->start_ts)) {
        return false;
    }
    /* Who reads the latest on a primary is not made to wait for a commit
     * that has certainly not been promised to anybody yet. */
    return view->ts != TK_TS_MAX || view->replica_read ||
           !tk_slice_equal(key, lock->names->primary) || lock->is_async ||
           lock->is_one_pc;
}

/* True when the lock is in the way; the error says how. */
static bool
meets(const struct tk_cl_view *view, tikv_slice key,
      const struct tk_mvcc_lock *lock, struct tk_key_error *error)
{
    if (view->isolation == TK_ISOLATION_RC || lock->type == TK_MVCC_LOCK ||
        lock->type == TK_MVCC_PESSIMISTIC || lock->type == TK_MVCC_SHARED) {
        return false;
    }
    if (view->isolation == TK_ISOLATION_RC_CHECK_TS) {
        if (holds(&view->resolved, lock->start_ts)) {
            return false;
        }
        *error = (struct tk_key_error){ .kind = TK_KE_CONFLICT,
                                        .reason = TK_CONFLICT_RC_CHECK_TS,
                                        .key = key,
                                        .primary = lock->names->primary,
                                        .start_ts = view->ts,
                                        .conflict_ts = lock->start_ts };
        return true;
    }
    if (!blocks_snapshot(view, key, lock)) {
        return false;
    }
    tk_key_error_locked(error, key, lock);
    return true;
}

bool
tk_cl_view_check_memory(const struct tk_cl_view *view,
                        const struct tk_cl_store *store, tikv_slice start,
                        tikv_slice end, bool is_point,
                        struct tk_key_error *error)
{
    const struct tk_cl_memory_lock *entry;

    for (entry = store->memory_locks; entry != NULL; entry = entry->next) {
        bool is_inside = is_point ? tk_slice_equal(entry->key, start)
                                  : tk_slice_in_range(entry->key, start, end);

        if (is_inside && meets(view, entry->key, entry->lock, error)) {
            return false;
        }
    }
    return true;
}

static void
give(struct tk_cl_view *view, const struct tk_mvcc_node *node,
     struct tk_cl_seen *seen, const struct tk_mvcc_value *value)
{
    seen->found = true;
    seen->value = tk_mvcc_bytes(value);
    view->stats.versions++;
    view->stats.size += node->item.key.len + seen->value.len;
}

bool
tk_cl_view_read(struct tk_cl_view *view, const struct tk_mvcc_node *node,
                struct tk_cl_seen *seen, struct tk_key_error *error)
{
    const struct tk_mvcc_version *version;

    *seen = (struct tk_cl_seen){ .found = false };
    if (node == NULL) {
        return true;
    }
    if (node->lock != NULL &&
        meets(view, tk_mvcc_key(node), node->lock, error)) {
        if (view->need_commit_ts ||
            !holds(&view->committed, node->lock->start_ts)) {
            return false;
        }
        if (node->lock->type == TK_MVCC_PUT) {
            give(view, node, seen, node->lock->value);
        }
        return true;
    }
    version = tk_mvcc_seek(node, TK_TS_MAX);
    if (view->isolation == TK_ISOLATION_RC_CHECK_TS && version != NULL &&
        version->commit_ts > view->ts) {
        *error = (struct tk_key_error){ .kind = TK_KE_CONFLICT,
                                        .reason = TK_CONFLICT_RC_CHECK_TS,
                                        .key = tk_mvcc_key(node),
                                        .start_ts = view->ts,
                                        .commit_ts = version->commit_ts };
        return false;
    }
    version =
        tk_mvcc_visible(node, view->ts, view->ts, &view->stats.passed);
    if (version != NULL) {
        give(view, node, seen, version->value);
        seen->commit_ts = view->need_commit_ts ? version->commit_ts : 0;
    }
    return true;
}
