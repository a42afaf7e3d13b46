/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flashback: the keys of a region get back the values they had at a version,
 * as a transaction of its own. Prepared, the region refuses everybody else,
 * is free of locks, and one changed key carries the lock that stands for the
 * whole; finishing writes all the values. Both may come again.
 */
#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/journal.h"
#include "cluster/txn.h"
#include "wire/key.h"

struct flashback {
    struct tk_cl_txn txn;
    uint64_t version; /* what is gone back to */
    uint64_t start_ts;
    uint64_t commit_ts;
    tikv_range range; /* of encoded keys, in the region */
    struct tk_buf start;
    struct tk_buf end;
};

/* The newest version that says what the value is. */
static const struct tk_mvcc_version *
newest_data(const struct tk_mvcc_node *node)
{
    const struct tk_mvcc_version *version = tk_mvcc_seek(node, TK_TS_MAX);

    while (version != NULL && version->type != TK_MVCC_PUT &&
           version->type != TK_MVCC_DELETE) {
        version = tk_mvcc_older(node, version);
    }
    return version;
}

static bool
has_changed(const struct flashback *flashback,
            const struct tk_mvcc_node *node)
{
    const struct tk_mvcc_version *newest = newest_data(node);

    return newest != NULL && newest->commit_ts > flashback->version &&
           newest->start_ts != flashback->start_ts;
}

static struct tk_mvcc_value *
value_before(const struct flashback *flashback,
             const struct tk_mvcc_node *node, uint8_t *type)
{
    uint64_t passed = 0;
    const struct tk_mvcc_version *before = tk_mvcc_visible(
        node, flashback->version, flashback->version, &passed);

    *type = before == NULL ? TK_MVCC_DELETE : TK_MVCC_PUT;
    return before == NULL ? NULL : before->value;
}

static struct tk_mvcc_node *
node_at(const struct flashback *flashback, const struct tk_cl_map_at *at)
{
    return at->item != NULL &&
                   tk_slice_in_range(at->item->key, flashback->range.start,
                                     flashback->range.end)
               ? (struct tk_mvcc_node *)at->item
               : NULL;
}

/* False: answered. To be closed in any case. */
static bool
open_flashback(struct flashback *flashback, struct tk_cl_request *request,
               uint32_t start_field)
{
    tikv_slice start = request->fields.bytes[start_field];
    tikv_slice end = request->fields.bytes[start_field + 1];
    tikv_range range;

    tk_buf_init(&flashback->start, SIZE_MAX / 4);
    tk_buf_init(&flashback->end, SIZE_MAX / 4);
    tk_cl_txn_begin(&flashback->txn, request, flashback->start_ts);
    if (!tk_cl_check_busy(request) || !tk_cl_check_region(request)) {
        return false;
    }
    if (start.len > 0) {
        tk_key_encode(&flashback->start, start);
    }
    if (end.len > 0) {
        tk_key_encode(&flashback->end, end);
    }
    if (flashback->start.failed || flashback->end.failed) {
        request->out->failed = true;
        return false;
    }
    range.start = tk_buf_slice(&flashback->start);
    range.end = tk_buf_slice(&flashback->end);
    flashback->range =
        tk_cl_clip(range, tk_cl_region_start(request->region),
                   tk_cl_region_end(request->region));
    return true;
}

static void
close_flashback(struct flashback *flashback)
{
    tk_mvcc_drop(&flashback->txn.batch);
    tk_buf_fini(&flashback->start);
    tk_buf_fini(&flashback->end);
}

/* ---- prepare ---- */

static void
roll_back_locks(struct flashback *flashback)
{
    struct tk_cl_map_at at = tk_cl_map_from(&flashback->txn.mvcc->locks,
                                            flashback->range.start);

    while (at.item != NULL &&
           tk_slice_in_range(at.item->key, flashback->range.start,
                             flashback->range.end)) {
        struct tk_mvcc_node *node = tk_mvcc_node_of(at.item);

        const struct tk_mvcc_lock *lock =
            tk_mvcc_is_shared(node) ? node->lock->parts : node->lock;

        for (; lock != NULL; lock = lock->next) {
            if (lock->start_ts != flashback->start_ts) {
                tk_mvcc_rollback_lock(&flashback->txn.batch, node, lock,
                                      false);
            }
        }
        tk_cl_map_next(&at);
    }
}

/* The lock of the transaction that the flashback is. */
static void
lock_key(struct flashback *flashback, struct tk_mvcc_node *node)
{
    struct tk_mvcc_lock *lock;

    if (tk_mvcc_owns(node, flashback->start_ts)) {
        return;
    }
    lock = tk_calloc(sizeof(*lock));
    if (lock != NULL) {
        lock->start_ts = flashback->start_ts;
        lock->min_commit_ts = flashback->start_ts + 1;
        lock->value = tk_mvcc_value_ref(
            value_before(flashback, node, &lock->type));
        lock->names = tk_mvcc_names_new(tk_mvcc_key(node), NULL, 0);
        if (lock->names == NULL) {
            tk_mvcc_lock_free(lock);
            lock = NULL;
        }
    }
    tk_mvcc_set_lock(&flashback->txn.batch, node, lock);
}

static struct tk_mvcc_node *
first_changed(const struct flashback *flashback)
{
    struct tk_cl_map_at at = tk_cl_map_from(&flashback->txn.mvcc->keys,
                                            flashback->range.start);
    struct tk_mvcc_node *node;

    while ((node = node_at(flashback, &at)) != NULL) {
        if (has_changed(flashback, node)) {
            return node;
        }
        tk_cl_map_next(&at);
    }
    return NULL;
}

static int
prepare(struct flashback *flashback)
{
    struct tk_cl_request *request = flashback->txn.request;
    struct tk_cl_region *region = request->region;
    const struct tk_cl_error busy = { .kind = TK_CL_FLASHBACK_IN_PROGRESS,
                                      .number = region->flashback_ts };
    struct tk_mvcc_node *node;
    int status;

    if (region->in_flashback &&
        region->flashback_ts != flashback->start_ts) {
        tk_cl_answer_error(request, &busy);
        return TK_GRPC_OK;
    }
    roll_back_locks(flashback);
    node = first_changed(flashback);
    if (node != NULL) {
        lock_key(flashback, node);
    }
    status = tk_cl_txn_end(&flashback->txn, 0);
    if (status == TK_GRPC_OK) {
        region->in_flashback = true;
        region->flashback_ts = flashback->start_ts;
        tk_journal_region(request->cluster->journal, region);
    }
    return status;
}

int
tk_cl_flashback_prepare(struct tk_cl_request *request)
{
    struct flashback flashback = { .start_ts = request->fields.numbers[4],
                                   .version = request->fields.numbers[5] };
    int status = TK_GRPC_OK;

    if (open_flashback(&flashback, request, 2)) {
        status = prepare(&flashback);
    }
    close_flashback(&flashback);
    return status;
}

/* ---- finish ---- */

static void
write_back(struct flashback *flashback, struct tk_mvcc_node *node)
{
    struct tk_mvcc_version version = { .commit_ts = flashback->commit_ts,
                                       .start_ts = flashback->start_ts };

    version.value = value_before(flashback, node, &version.type);
    tk_mvcc_put_version(&flashback->txn.batch, node, &version);
    if (tk_mvcc_owns(node, flashback->start_ts)) {
        tk_mvcc_release(&flashback->txn.batch, node, flashback->start_ts,
                        flashback->commit_ts);
    }
}

/* Whether this very flashback has been through before. */
static bool
is_done(const struct flashback *flashback)
{
    struct tk_cl_map_at at = tk_cl_map_from(&flashback->txn.mvcc->keys,
                                            flashback->range.start);
    const struct tk_mvcc_node *node;

    while ((node = node_at(flashback, &at)) != NULL) {
        struct tk_mvcc_record record =
            tk_mvcc_record(node, flashback->start_ts);

        if (tk_mvcc_is_committed(&record) &&
            record.version->commit_ts == flashback->commit_ts) {
            return true;
        }
        tk_cl_map_next(&at);
    }
    return false;
}

static int
finish(struct flashback *flashback)
{
    struct tk_cl_request *request = flashback->txn.request;
    struct tk_cl_region *region = request->region;
    const struct tk_cl_error unprepared = {
        .kind = TK_CL_FLASHBACK_NOT_PREPARED
    };
    struct tk_cl_map_at at = tk_cl_map_from(&flashback->txn.mvcc->keys,
                                            flashback->range.start);
    struct tk_mvcc_node *node;
    int status;

    if (!region->in_flashback ||
        region->flashback_ts != flashback->start_ts) {
        if (region->in_flashback || !is_done(flashback)) {
            tk_cl_answer_error(request, &unprepared);
        }
        return TK_GRPC_OK;
    }
    while ((node = node_at(flashback, &at)) != NULL) {
        if (has_changed(flashback, node)) {
            write_back(flashback, node);
        }
        tk_cl_map_next(&at);
    }
    status = tk_cl_txn_end(&flashback->txn, 0);
    if (status == TK_GRPC_OK) {
        region->in_flashback = false;
        region->flashback_ts = 0;
        tk_journal_region(request->cluster->journal, region);
    }
    return status;
}

int
tk_cl_flashback_finish(struct tk_cl_request *request)
{
    struct flashback flashback = { .version = request->fields.numbers[2],
                                   .start_ts = request->fields.numbers[5],
                                   .commit_ts = request->fields.numbers[6] };
    int status = TK_GRPC_OK;

    if (open_flashback(&flashback, request, 3)) {
        status = finish(&flashback);
    }
    close_flashback(&flashback);
    return status;
}
