/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The building blocks of all transactional commands: what a transaction finds
 * under a key, and how a rollback is remembered there. A rollback has the
 * place of a version with commit_ts == start_ts, which may be taken by the
 * commit of another transaction: then it becomes a flag on that.
 */
#include "cluster/mvcc.h"

#include "base/slice.h"

const struct tk_mvcc_version *
tk_mvcc_seek(const struct tk_mvcc_node *node, uint64_t ts)
{
    uint32_t low = 0;
    uint32_t high = node == NULL ? 0 : node->count;

    if (high == 0) {
        return NULL;
    }
    if (node->versions[high - 1].commit_ts <= ts) {
        return &node->versions[high - 1];
    }
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (node->versions[middle].commit_ts <= ts) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? NULL : &node->versions[low - 1];
}

const struct tk_mvcc_version *
tk_mvcc_older(const struct tk_mvcc_node *node,
              const struct tk_mvcc_version *version)
{
    return version == node->versions ? NULL : version - 1;
}

const struct tk_mvcc_version *
tk_mvcc_visible(const struct tk_mvcc_node *node, uint64_t ts, uint64_t limit,
                uint64_t *passed)
{
    const struct tk_mvcc_version *version = tk_mvcc_seek(node, ts);

    while (version != NULL) {
        ++*passed;
        if (version->has_fence && version->fence != 0 &&
            version->fence <= limit) {
            return NULL;
        }
        if (version->type == TK_MVCC_PUT) {
            return version;
        }
        if (version->type == TK_MVCC_DELETE) {
            return NULL;
        }
        version = tk_mvcc_older(node, version);
    }
    return NULL;
}

const struct tk_mvcc_version *
tk_mvcc_existing(const struct tk_mvcc_node *node,
                 const struct tk_mvcc_version *version, uint64_t limit)
{
    uint64_t passed = 0;

    if (version == NULL || version->type == TK_MVCC_DELETE ||
        (version->has_fence && version->fence != 0)) {
        return NULL;
    }
    return version->type == TK_MVCC_PUT
               ? version
               : tk_mvcc_visible(node, version->commit_ts - 1, limit,
                                 &passed);
}

struct tk_mvcc_record
tk_mvcc_record(const struct tk_mvcc_node *node, uint64_t start_ts)
{
    struct tk_mvcc_record record = { TK_MVCC_NONE, NULL, 0 };
    const struct tk_mvcc_version *version = tk_mvcc_seek(node, TK_TS_MAX);

    while (version != NULL && version->commit_ts >= start_ts) {
        /* The own one first: a rollback has both timestamps equal. */
        if (version->start_ts == start_ts) {
            record.found = TK_MVCC_SINGLE;
            record.version = version;
            return record;
        }
        if (version->commit_ts == start_ts) {
            record.found = version->is_overlapped ? TK_MVCC_OVERLAPPED
                                                  : TK_MVCC_NONE;
            record.version = version;
            return record;
        }
        if (version->type == TK_MVCC_PUT || version->type == TK_MVCC_DELETE) {
            record.fence = version->commit_ts;
        }
        version = tk_mvcc_older(node, version);
    }
    return record;
}

void
tk_mvcc_write_rollback(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                       uint64_t start_ts, bool is_protected,
                       const struct tk_mvcc_record *record)
{
    struct tk_mvcc_version version = { .commit_ts = start_ts,
                                       .start_ts = start_ts,
                                       .type = TK_MVCC_ROLLBACK,
                                       .is_protected = is_protected };

    if (record->version != NULL) {
        if (!is_protected) {
            return;
        }
        version = *record->version;
        version.is_overlapped = true;
        version.has_fence = true;
        version.fence = record->fence;
    }
    tk_mvcc_put_version(batch, node, &version);
}

void
tk_mvcc_collapse(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 uint64_t ts)
{
    const struct tk_mvcc_version *version = tk_mvcc_seek(node, ts);

    if (version != NULL && version->type == TK_MVCC_ROLLBACK &&
        !version->is_protected) {
        tk_mvcc_drop_version(batch, node, version->commit_ts);
    }
}

void
tk_mvcc_rollback_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                      const struct tk_mvcc_lock *lock, bool collapse)
{
    struct tk_mvcc_record record = tk_mvcc_record(node, lock->start_ts);
    bool is_protected =
        lock->generation > 0 ||
        tk_slice_equal(tk_mvcc_key(node), lock->names->primary);

    if (record.found == TK_MVCC_NONE) {
        if (collapse) {
            tk_mvcc_collapse(batch, node, lock->start_ts);
        }
        tk_mvcc_write_rollback(batch, node, lock->start_ts, is_protected,
                               &record);
    }
    tk_mvcc_release(batch, node, lock->start_ts, 0);
}

void
tk_mvcc_commit_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                    const struct tk_mvcc_lock *lock, uint64_t commit_ts)
{
    struct tk_mvcc_version version = { .commit_ts = commit_ts,
                                       .start_ts = lock->start_ts,
                                       .txn_source = lock->txn_source,
                                       .value = lock->value,
                                       .type = lock->type };
    uint32_t i;

    for (i = 0; i < lock->rollbacks_count; i++) {
        if (lock->rollbacks[i] == commit_ts) {
            version.is_overlapped = true;
        }
    }
    tk_mvcc_put_version(batch, node, &version);
    tk_mvcc_release(batch, node, lock->start_ts, commit_ts);
}

void
tk_mvcc_note_change(struct tk_mvcc_lock *lock, const struct tk_mvcc_node *node)
{
    const struct tk_mvcc_version *version = tk_mvcc_seek(node, TK_TS_MAX);

    lock->changed_ts = 0;
    lock->changed_versions = 1;
    while (version != NULL && version->type != TK_MVCC_PUT &&
           version->type != TK_MVCC_DELETE) {
        lock->changed_versions++;
        version = tk_mvcc_older(node, version);
    }
    if (version != NULL) {
        lock->changed_ts = version->commit_ts;
    } else {
        lock->changed_versions = 1;
    }
}
