/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes, values, locks and versions of mvcc.h, and batches of changes. A
 * node counts the changes of the batch at hand that point to it; it is given
 * up when the last of them is done and nothing is left under its key.
 */
#include "cluster/mvcc.h"

#include <string.h>

#include "base/alloc.h"
#include "base/slice.h"
#include "cluster/journal.h"
#include "wire/key.h"

void
tk_mvcc_init(struct tk_mvcc *mvcc)
{
    tk_cl_map_init(&mvcc->keys);
    tk_cl_map_init(&mvcc->locks);
    tk_buf_init(&mvcc->scratch, SIZE_MAX / 4);
    mvcc->journal = NULL;
}

static void
node_free(struct tk_mvcc_node *node)
{
    uint32_t i;

    tk_mvcc_lock_free(node->lock);
    for (i = 0; i < node->count; i++) {
        tk_mvcc_value_unref(node->versions[i].value);
    }
    tk_free(node->versions);
    tk_free(node);
}

static void
drop_item(struct tk_cl_map_item *item)
{
    node_free((struct tk_mvcc_node *)item);
}

void
tk_mvcc_fini(struct tk_mvcc *mvcc)
{
    tk_cl_map_fini(&mvcc->locks, NULL);
    tk_cl_map_fini(&mvcc->keys, drop_item);
    tk_buf_fini(&mvcc->scratch);
}

tikv_slice
tk_mvcc_encode(struct tk_mvcc *mvcc, tikv_slice key)
{
    tk_buf_clear(&mvcc->scratch);
    tk_key_encode(&mvcc->scratch, key);
    return mvcc->scratch.failed ? (tikv_slice){ NULL, 0 }
                                : tk_buf_slice(&mvcc->scratch);
}

struct tk_mvcc_node *
tk_mvcc_find(struct tk_mvcc *mvcc, tikv_slice key)
{
    return (struct tk_mvcc_node *)tk_cl_map_find(&mvcc->keys,
                                                 tk_mvcc_encode(mvcc, key));
}

/* ---- values, names, locks ---- */

struct tk_mvcc_value *
tk_mvcc_value_new(tikv_slice bytes)
{
    struct tk_mvcc_value *value = tk_alloc(sizeof(*value) + bytes.len);

    if (value != NULL) {
        value->refs = 1;
        value->len = (uint32_t)bytes.len;
        if (bytes.len > 0) {
            memcpy(value->bytes, bytes.data, bytes.len);
        }
    }
    return value;
}

struct tk_mvcc_value *
tk_mvcc_value_ref(struct tk_mvcc_value *value)
{
    if (value != NULL) {
        value->refs++;
    }
    return value;
}

void
tk_mvcc_value_unref(struct tk_mvcc_value *value)
{
    if (value != NULL && --value->refs == 0) {
        tk_free(value);
    }
}

struct tk_mvcc_names *
tk_mvcc_names_new(tikv_slice primary, const tikv_slice *secondaries,
                  uint32_t count)
{
    struct tk_mvcc_names *names;
    size_t head = sizeof(*names) + count * sizeof(tikv_slice);
    size_t bytes = primary.len;
    uint8_t *at;
    uint32_t i;

    for (i = 0; i < count; i++) {
        bytes += secondaries[i].len;
    }
    names = tk_alloc(head + bytes);
    if (names == NULL) {
        return NULL;
    }
    at = (uint8_t *)names + head;
    names->refs = 1;
    names->count = count;
    names->primary = tk_slice(at, primary.len);
    if (primary.len > 0) {
        memcpy(at, primary.data, primary.len);
    }
    at += primary.len;
    for (i = 0; i < count; i++) {
        names->secondaries[i] = tk_slice(at, secondaries[i].len);
        if (secondaries[i].len > 0) {
            memcpy(at, secondaries[i].data, secondaries[i].len);
        }
        at += secondaries[i].len;
    }
    return names;
}

struct tk_mvcc_names *
tk_mvcc_names_ref(struct tk_mvcc_names *names)
{
    names->refs++;
    return names;
}

void
tk_mvcc_names_unref(struct tk_mvcc_names *names)
{
    if (names != NULL && --names->refs == 0) {
        tk_free(names);
    }
}

static bool
copy_parts(struct tk_mvcc_lock *copy, const struct tk_mvcc_lock *lock)
{
    struct tk_mvcc_lock **end = &copy->parts;
    const struct tk_mvcc_lock *part;

    for (part = lock->parts; part != NULL; part = part->next) {
        *end = tk_mvcc_lock_copy(part);
        if (*end == NULL) {
            return false;
        }
        end = &(*end)->next;
    }
    return true;
}

struct tk_mvcc_lock *
tk_mvcc_lock_copy(const struct tk_mvcc_lock *lock)
{
    struct tk_mvcc_lock *copy = tk_alloc(sizeof(*copy));

    if (copy == NULL) {
        return NULL;
    }
    *copy = *lock;
    if (lock->rollbacks_count > 0) {
        copy->rollbacks =
            tk_alloc_array(lock->rollbacks_count, sizeof(uint64_t));
        if (copy->rollbacks == NULL) {
            tk_free(copy);
            return NULL;
        }
        memcpy(copy->rollbacks, lock->rollbacks,
               lock->rollbacks_count * sizeof(uint64_t));
    }
    (void)tk_mvcc_value_ref(copy->value);
    (void)tk_mvcc_names_ref(copy->names);
    copy->next = NULL;
    copy->parts = NULL;
    if (!copy_parts(copy, lock)) {
        tk_mvcc_lock_free(copy);
        return NULL;
    }
    return copy;
}

void
tk_mvcc_lock_free(struct tk_mvcc_lock *lock)
{
    if (lock != NULL) {
        while (lock->parts != NULL) {
            struct tk_mvcc_lock *part = lock->parts;

            lock->parts = part->next;
            tk_mvcc_lock_free(part);
        }
        tk_mvcc_value_unref(lock->value);
        tk_mvcc_names_unref(lock->names);
        tk_free(lock->rollbacks);
        tk_free(lock);
    }
}

/* ---- nodes ---- */

static struct tk_mvcc_node *
node_new(tikv_slice key, tikv_slice encoded)
{
    struct tk_mvcc_node *node =
        tk_alloc(sizeof(*node) + encoded.len + key.len);
    uint8_t *bytes;

    if (node == NULL) {
        return NULL;
    }
    memset(node, 0, sizeof(*node));
    bytes = (uint8_t *)(node + 1);
    memcpy(bytes, encoded.data, encoded.len);
    if (key.len > 0) {
        memcpy(bytes + encoded.len, key.data, key.len);
    }
    node->item.key = tk_slice(bytes, encoded.len);
    node->locked.key = node->item.key;
    node->key_len = (uint32_t)key.len;
    return node;
}

/* Gives a node up that has nothing left. */
static void
prune(struct tk_mvcc *mvcc, struct tk_mvcc_node *node)
{
    if (node->staged == 0 && node->count == 0 && node->lock == NULL) {
        (void)tk_cl_map_remove(&mvcc->keys, node->item.key);
        node_free(node);
    }
}

/* The first place whose version is not older than `commit_ts`. */
static uint32_t
place_of(const struct tk_mvcc_node *node, uint64_t commit_ts)
{
    uint32_t place = node->count;

    while (place > 0 && node->versions[place - 1].commit_ts >= commit_ts) {
        place--;
    }
    return place;
}

static void
take_version(struct tk_mvcc_node *node, uint32_t place)
{
    tk_mvcc_value_unref(node->versions[place].value);
    node->count--;
    memmove(&node->versions[place], &node->versions[place + 1],
            (node->count - place) * sizeof(node->versions[0]));
}

static void
add_version(struct tk_mvcc_node *node, const struct tk_mvcc_version *version)
{
    uint32_t place = place_of(node, version->commit_ts);

    if (place < node->count &&
        node->versions[place].commit_ts == version->commit_ts) {
        tk_mvcc_value_unref(node->versions[place].value);
    } else {
        memmove(&node->versions[place + 1], &node->versions[place],
                (node->count - place) * sizeof(node->versions[0]));
        node->count++;
    }
    node->versions[place] = *version;
}

static void
replace_lock(struct tk_mvcc_node *node, struct tk_mvcc_lock *lock)
{
    tk_mvcc_lock_free(node->lock);
    node->lock = lock;
}

/* ---- batches ---- */

void
tk_mvcc_batch_init(struct tk_mvcc_batch *batch, struct tk_mvcc *mvcc)
{
    batch->mvcc = mvcc;
    batch->ops = batch->few;
    batch->count = 0;
    batch->room = sizeof(batch->few) / sizeof(batch->few[0]);
    batch->failed = false;
}

static struct tk_mvcc_op *
add_op(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
       enum tk_mvcc_change change)
{
    struct tk_mvcc_op *op;

    if (batch->failed || node == NULL) {
        batch->failed = true;
        return NULL;
    }
    if (batch->count == batch->room) {
        struct tk_mvcc_op *ops =
            tk_alloc_array(batch->room * 2, sizeof(*ops));

        if (ops == NULL) {
            batch->failed = true;
            return NULL;
        }
        memcpy(ops, batch->ops, batch->count * sizeof(*ops));
        if (batch->ops != batch->few) {
            tk_free(batch->ops);
        }
        batch->ops = ops;
        batch->room *= 2;
    }
    op = &batch->ops[batch->count++];
    memset(op, 0, sizeof(*op));
    op->change = change;
    op->node = node;
    node->staged++;
    return op;
}

struct tk_mvcc_node *
tk_mvcc_batch_node(struct tk_mvcc_batch *batch, tikv_slice key)
{
    struct tk_mvcc *mvcc = batch->mvcc;
    struct tk_mvcc_node *node = tk_mvcc_find(mvcc, key);

    if (node != NULL) {
        return node;
    }
    if (!batch->failed && !mvcc->scratch.failed) {
        node = node_new(key, tk_buf_slice(&mvcc->scratch));
    }
    if (node == NULL) {
        batch->failed = true;
        return NULL;
    }
    if (!tk_cl_map_add(&mvcc->keys, &node->item)) {
        tk_free(node);
        batch->failed = true;
        return NULL;
    }
    if (add_op(batch, node, TK_MVCC_TOUCH) == NULL) {
        prune(mvcc, node);
        return NULL;
    }
    return node;
}

/* A node stands among the locks from the moment a lock is staged: adding it
 * there needs memory. Who walks the locks passes by nodes without one. */
static bool
list_locked(struct tk_mvcc *mvcc, struct tk_mvcc_node *node)
{
    return node->lock != NULL ||
           tk_cl_map_find(&mvcc->locks, node->locked.key) != NULL ||
           tk_cl_map_add(&mvcc->locks, &node->locked);
}

void
tk_mvcc_set_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 struct tk_mvcc_lock *lock)
{
    struct tk_mvcc_op *op = NULL;

    if (lock != NULL) {
        op = add_op(batch, node, TK_MVCC_SET_LOCK);
    }
    if (op == NULL) {
        batch->failed = true;
        tk_mvcc_lock_free(lock);
        return;
    }
    op->lock = lock;
    if (!list_locked(batch->mvcc, node)) {
        batch->failed = true;
    }
}

void
tk_mvcc_drop_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                  uint64_t start_ts, uint64_t commit_ts)
{
    struct tk_mvcc_op *op = add_op(batch, node, TK_MVCC_DROP_LOCK);

    if (op != NULL) {
        op->version.start_ts = start_ts;
        op->version.commit_ts = commit_ts;
    }
}

void
tk_mvcc_put_version(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                    const struct tk_mvcc_version *version)
{
    struct tk_mvcc_op *op = add_op(batch, node, TK_MVCC_PUT_VERSION);
    uint32_t need;

    if (op == NULL) {
        return;
    }
    need = node->count + node->staged;
    if (need > node->room) {
        uint32_t room = node->room == 0 ? need : node->room * 2;
        struct tk_mvcc_version *versions;

        room = room < need ? need : room;
        versions =
            tk_realloc(node->versions, room * sizeof(node->versions[0]));
        if (versions == NULL) {
            batch->failed = true;
            return;
        }
        node->versions = versions;
        node->room = room;
    }
    op->version = *version;
    (void)tk_mvcc_value_ref(op->version.value);
}

void
tk_mvcc_drop_version(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                     uint64_t commit_ts)
{
    struct tk_mvcc_op *op = add_op(batch, node, TK_MVCC_DROP_VERSION);

    if (op != NULL) {
        op->version.commit_ts = commit_ts;
    }
}

/* Before the op is applied: what it gives away is still there. A lock in
 * memory that takes the place of a written one makes that go. */
static void
tell_op(struct tk_buf *journal, const struct tk_mvcc_op *op)
{
    const struct tk_mvcc_node *node = op->node;
    tikv_slice key = tk_mvcc_key(node);
    bool was_written = node->lock != NULL && !node->lock->in_memory;

    switch (op->change) {
    case TK_MVCC_TOUCH:
        break;
    case TK_MVCC_SET_LOCK:
        if (op->lock->in_memory && was_written) {
            tk_journal_lock_gone(journal, key);
        }
        tk_journal_lock(journal, key, op->lock);
        break;
    case TK_MVCC_DROP_LOCK:
        if (was_written) {
            tk_journal_lock_gone(journal, key);
        }
        break;
    case TK_MVCC_PUT_VERSION:
        tk_journal_version(journal, key, &op->version);
        break;
    case TK_MVCC_DROP_VERSION:
        tk_journal_version_gone(journal, key, op->version.commit_ts);
        break;
    }
}

static void
apply_op(struct tk_mvcc_op *op)
{
    struct tk_mvcc_node *node = op->node;
    uint32_t place;

    switch (op->change) {
    case TK_MVCC_TOUCH:
        break;
    case TK_MVCC_SET_LOCK:
        replace_lock(node, op->lock);
        op->lock = NULL;
        break;
    case TK_MVCC_DROP_LOCK:
        replace_lock(node, NULL);
        break;
    case TK_MVCC_PUT_VERSION:
        add_version(node, &op->version);
        op->version.value = NULL;
        break;
    case TK_MVCC_DROP_VERSION:
        place = place_of(node, op->version.commit_ts);
        if (place < node->count &&
            node->versions[place].commit_ts == op->version.commit_ts) {
            take_version(node, place);
        }
        break;
    }
}

static void
finish(struct tk_mvcc_batch *batch)
{
    struct tk_mvcc *mvcc = batch->mvcc;
    size_t i;

    for (i = 0; i < batch->count; i++) {
        struct tk_mvcc_op *op = &batch->ops[i];
        struct tk_mvcc_node *node = op->node;

        tk_mvcc_lock_free(op->lock);
        tk_mvcc_value_unref(op->version.value);
        node->staged--;
        if (node->lock == NULL && (op->change == TK_MVCC_SET_LOCK ||
                                   op->change == TK_MVCC_DROP_LOCK)) {
            (void)tk_cl_map_remove(&mvcc->locks, node->locked.key);
        }
        prune(mvcc, node);
    }
    if (batch->ops != batch->few) {
        tk_free(batch->ops);
    }
    tk_mvcc_batch_init(batch, mvcc);
}

void
tk_mvcc_apply(struct tk_mvcc_batch *batch)
{
    size_t i;

    for (i = 0; i < batch->count; i++) {
        if (batch->mvcc->journal != NULL) {
            tell_op(batch->mvcc->journal, &batch->ops[i]);
        }
        apply_op(&batch->ops[i]);
    }
    finish(batch);
}

void
tk_mvcc_drop(struct tk_mvcc_batch *batch)
{
    finish(batch);
}

/* ---- at once ---- */

void
tk_mvcc_delete_range(struct tk_mvcc *mvcc, tikv_slice start, tikv_slice end)
{
    struct tk_cl_map_at at = tk_cl_map_from(&mvcc->keys, start);

    tk_journal_txn_range(mvcc->journal, start, end);
    while (at.item != NULL && tk_slice_in_range(at.item->key, start, end)) {
        struct tk_mvcc_node *node = (struct tk_mvcc_node *)at.item;

        (void)tk_cl_map_remove(&mvcc->locks, node->locked.key);
        (void)tk_cl_map_remove(&mvcc->keys, node->item.key);
        node_free(node);
        at = tk_cl_map_from(&mvcc->keys, start);
    }
}

/* From the oldest on: everything before the version a reader at the safe
 * point sees goes; so does that one when it is no put. */
static void
gc_node(struct tk_mvcc *mvcc, struct tk_mvcc_node *node, uint64_t safe_point)
{
    uint32_t place = node->count;
    bool has_data = false;

    while (place > 0) {
        const struct tk_mvcc_version *version = &node->versions[--place];
        bool is_put = version->type == TK_MVCC_PUT;

        if (version->commit_ts > safe_point) {
            continue;
        }
        if (has_data || !is_put) {
            has_data = has_data || version->type == TK_MVCC_DELETE;
            tk_journal_version_gone(mvcc->journal, tk_mvcc_key(node),
                                    version->commit_ts);
            take_version(node, place);
        } else {
            has_data = true;
        }
    }
}

void
tk_mvcc_gc(struct tk_mvcc *mvcc, uint64_t safe_point)
{
    struct tk_cl_map_at at =
        tk_cl_map_from(&mvcc->keys, (tikv_slice){ NULL, 0 });
    struct tk_buf last;

    tk_buf_init(&last, SIZE_MAX / 4);
    while (at.item != NULL && !last.failed) {
        struct tk_mvcc_node *node = (struct tk_mvcc_node *)at.item;

        gc_node(mvcc, node, safe_point);
        if (node->count > 0 || node->lock != NULL) {
            tk_cl_map_next(&at);
            continue;
        }
        tk_buf_clear(&last);
        tk_buf_append_slice(&last, node->item.key);
        prune(mvcc, node);
        at = tk_cl_map_from(&mvcc->keys, tk_buf_slice(&last));
    }
    tk_buf_fini(&last);
}

void
tk_mvcc_leave_memory(struct tk_mvcc *mvcc, tikv_slice start, tikv_slice end,
                     bool lose)
{
    struct tk_cl_map_at at = tk_cl_map_from(&mvcc->locks, start);

    while (at.item != NULL && tk_slice_in_range(at.item->key, start, end)) {
        struct tk_mvcc_node *node = tk_mvcc_node_of(at.item);

        if (node->lock == NULL || !node->lock->in_memory) {
            tk_cl_map_next(&at);
        } else if (!lose) {
            node->lock->in_memory = false;
            tk_journal_lock(mvcc->journal, tk_mvcc_key(node), node->lock);
            tk_cl_map_next(&at);
        } else {
            (void)tk_cl_map_remove(&mvcc->locks, node->locked.key);
            replace_lock(node, NULL);
            prune(mvcc, node);
            at = tk_cl_map_from(&mvcc->locks, start);
        }
    }
}
