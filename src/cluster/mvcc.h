/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactional data: one ordered map of keys in memcomparable form, each
 * with its lock and its versions. The three column families of a real store
 * are views of it: a value hangs on the lock until it is committed, then on
 * the version.
 *
 * A command reads the state as it was when the command began and collects
 * what it changes in a batch, which is applied as a whole or dropped.
 * Everything a batch needs memory for is taken while it is filled, so that
 * applying cannot fail. Guarded by the cluster's lock.
 */
#ifndef TK_CLUSTER_MVCC_H
#define TK_CLUSTER_MVCC_H

#include "base/buf.h"
#include "cluster/map.h"

enum tk_mvcc_type {
    TK_MVCC_PUT = 'P',
    TK_MVCC_DELETE = 'D',
    TK_MVCC_LOCK = 'L',
    TK_MVCC_ROLLBACK = 'R',
    TK_MVCC_PESSIMISTIC = 'S',
    TK_MVCC_SHARED = 'H' /* several locks of one key: its parts */
};

/* Values up to this long lie in lock and version themselves. */
enum { TK_MVCC_SHORT = 255 };

#define TK_TS_MAX UINT64_MAX

static inline uint64_t
tk_ts_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline uint64_t
tk_ts_ms(uint64_t ts)
{
    return ts >> 18;
}

struct tk_mvcc_value {
    uint32_t refs;
    uint32_t len;
    uint8_t bytes[];
};

/* The keys that a lock names; one for all locks of a request. */
struct tk_mvcc_names {
    uint32_t refs;
    uint32_t count;
    tikv_slice primary;
    tikv_slice secondaries[];
};

/* A shared lock has a type, names without names, and parts, each of them a
 * lock of type LOCK or PESSIMISTIC; nothing else of it means anything. */
struct tk_mvcc_lock {
    uint8_t type;
    bool is_async;
    bool is_one_pc;
    bool has_conflict; /* locked in spite of a newer version */
    bool in_memory;    /* of the leader: lost with it */
    bool is_shrinking; /* shared: nobody may join any more */
    uint32_t rollbacks_count;
    uint64_t start_ts;
    uint64_t ttl; /* ms */
    uint64_t for_update_ts;
    uint64_t txn_size;
    uint64_t min_commit_ts;
    uint64_t generation;
    uint64_t txn_source;
    uint64_t changed_ts; /* the data beneath: commit_ts, 0: there is none */
    uint64_t changed_versions; /* from here down to it; 0: not known */
    uint64_t *rollbacks; /* others, rolled back on this key meanwhile */
    struct tk_mvcc_value *value;
    struct tk_mvcc_names *names;
    struct tk_mvcc_lock *parts; /* by start_ts */
    struct tk_mvcc_lock *next;  /* of the parts */
};

struct tk_mvcc_version {
    uint64_t commit_ts;
    uint64_t start_ts;
    uint64_t fence;
    uint64_t txn_source;
    struct tk_mvcc_value *value;
    uint8_t type;
    bool is_protected; /* a rollback that is not collapsed */
    bool is_overlapped; /* also the rollback of whom commit_ts is start_ts */
    bool has_fence;
};

struct tk_mvcc_node {
    struct tk_cl_map_item item;   /* the encoded key */
    struct tk_cl_map_item locked; /* the same, among the locks */
    struct tk_mvcc_lock *lock;
    struct tk_mvcc_version *versions; /* by commit_ts, the newest last */
    uint32_t count;
    uint32_t room;
    uint32_t staged; /* changes of the batch that is being filled */
    uint32_t key_len;
};

struct tk_mvcc {
    struct tk_cl_map keys;
    struct tk_cl_map locks; /* keys that are locked */
    struct tk_buf scratch;  /* of tk_mvcc_encode() */
    struct tk_buf *journal; /* where changes are told; or NULL */
};

/* As the client knows it. */
static inline tikv_slice
tk_mvcc_key(const struct tk_mvcc_node *node)
{
    return (tikv_slice){ node->item.key.data + node->item.key.len,
                         node->key_len };
}

static inline struct tk_mvcc_node *
tk_mvcc_node_of(struct tk_cl_map_item *locked)
{
    return (struct tk_mvcc_node *)(void *)((uint8_t *)locked -
                                           offsetof(struct tk_mvcc_node,
                                                    locked));
}

static inline tikv_slice
tk_mvcc_bytes(const struct tk_mvcc_value *value)
{
    return value == NULL ? (tikv_slice){ NULL, 0 }
                         : (tikv_slice){ value->bytes, value->len };
}

void
tk_mvcc_init(struct tk_mvcc *mvcc);

void
tk_mvcc_fini(struct tk_mvcc *mvcc);

/* The encoded form, good until the next call; no data without memory. */
tikv_slice
tk_mvcc_encode(struct tk_mvcc *mvcc, tikv_slice key);

/* NULL when there is nothing under the key. */
struct tk_mvcc_node *
tk_mvcc_find(struct tk_mvcc *mvcc, tikv_slice key);

struct tk_mvcc_value *
tk_mvcc_value_new(tikv_slice bytes);

struct tk_mvcc_value *
tk_mvcc_value_ref(struct tk_mvcc_value *value);

void
tk_mvcc_value_unref(struct tk_mvcc_value *value);

/* `count` secondaries from the repeated field of a message. */
struct tk_mvcc_names *
tk_mvcc_names_new(tikv_slice primary, const tikv_slice *secondaries,
                  uint32_t count);

struct tk_mvcc_names *
tk_mvcc_names_ref(struct tk_mvcc_names *names);

void
tk_mvcc_names_unref(struct tk_mvcc_names *names);

/* Shares names and value; NULL without memory. */
struct tk_mvcc_lock *
tk_mvcc_lock_copy(const struct tk_mvcc_lock *lock);

void
tk_mvcc_lock_free(struct tk_mvcc_lock *lock);

/* ---- batches ---- */

enum tk_mvcc_change {
    TK_MVCC_TOUCH, /* the key has been made for the batch */
    TK_MVCC_SET_LOCK,
    TK_MVCC_DROP_LOCK,
    TK_MVCC_PUT_VERSION,
    TK_MVCC_DROP_VERSION
};

struct tk_mvcc_op {
    enum tk_mvcc_change change;
    struct tk_mvcc_node *node;
    struct tk_mvcc_lock *lock;
    /* DROP_LOCK: whose it was, and its commit_ts or 0. */
    struct tk_mvcc_version version;
};

struct tk_mvcc_batch {
    struct tk_mvcc *mvcc;
    struct tk_mvcc_op *ops;
    size_t count;
    size_t room;
    struct tk_mvcc_op few[8];
    bool failed; /* without memory: it can only be dropped */
};

void
tk_mvcc_batch_init(struct tk_mvcc_batch *batch, struct tk_mvcc *mvcc);

/* The node of a key, made for the batch if need be. NULL without memory. */
struct tk_mvcc_node *
tk_mvcc_batch_node(struct tk_mvcc_batch *batch, tikv_slice key);

/* Takes the lock, also when it fails; NULL is a lock without memory. */
void
tk_mvcc_set_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 struct tk_mvcc_lock *lock);

/* Whatever lies there; tk_mvcc_release() is for the lock of a transaction. */
void
tk_mvcc_drop_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                  uint64_t start_ts, uint64_t commit_ts);

/* Replaces the version of that commit_ts; takes a reference of its value. */
void
tk_mvcc_put_version(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                    const struct tk_mvcc_version *version);

void
tk_mvcc_drop_version(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                     uint64_t commit_ts);

/* The batch is empty afterwards. */
void
tk_mvcc_apply(struct tk_mvcc_batch *batch);

void
tk_mvcc_drop(struct tk_mvcc_batch *batch);

/* ---- at once, without a batch ---- */

/* [start, end) of encoded keys; an empty end is no end. */
void
tk_mvcc_delete_range(struct tk_mvcc *mvcc, tikv_slice start, tikv_slice end);

/* Forgets versions that no reader at `safe_point` or later can see. */
void
tk_mvcc_gc(struct tk_mvcc *mvcc, uint64_t safe_point);

/* Locks that only the leader's memory held, of [start, end): they are
 * written, or with `lose` gone. */
void
tk_mvcc_leave_memory(struct tk_mvcc *mvcc, tikv_slice start, tikv_slice end,
                     bool lose);

/* ---- mvcc_rules.c: what is found under a key; node may be NULL ---- */

/* The newest version with commit_ts <= ts, of any type. */
const struct tk_mvcc_version *
tk_mvcc_seek(const struct tk_mvcc_node *node, uint64_t ts);

/* The next older one; NULL at the end. */
const struct tk_mvcc_version *
tk_mvcc_older(const struct tk_mvcc_node *node,
              const struct tk_mvcc_version *version);

/* The newest put at `ts` that a fence up to `limit` does not hide; what it
 * passed on the way is added to *passed. */
const struct tk_mvcc_version *
tk_mvcc_visible(const struct tk_mvcc_node *node, uint64_t ts, uint64_t limit,
                uint64_t *passed);

/* The put that `version` leaves under its key; NULL: there is no value. */
const struct tk_mvcc_version *
tk_mvcc_existing(const struct tk_mvcc_node *node,
                 const struct tk_mvcc_version *version, uint64_t limit);

enum tk_mvcc_found {
    TK_MVCC_NONE,      /* `version`: other's at this ts, or NULL */
    TK_MVCC_SINGLE,    /* `version` is the transaction's own */
    TK_MVCC_OVERLAPPED /* rolled back, on the commit of another */
};

struct tk_mvcc_record {
    enum tk_mvcc_found found;
    const struct tk_mvcc_version *version;
    uint64_t fence;
};

/* What became of the transaction on this key. */
struct tk_mvcc_record
tk_mvcc_record(const struct tk_mvcc_node *node, uint64_t start_ts);

static inline bool
tk_mvcc_is_committed(const struct tk_mvcc_record *record)
{
    return record->found == TK_MVCC_SINGLE &&
           record->version->type != TK_MVCC_ROLLBACK;
}

static inline bool
tk_mvcc_is_rolled_back(const struct tk_mvcc_record *record)
{
    return record->found == TK_MVCC_OVERLAPPED ||
           (record->found == TK_MVCC_SINGLE &&
            record->version->type == TK_MVCC_ROLLBACK);
}

/* A rollback record, or a flag on the version that is in its place, or
 * nothing, as `record` (TK_MVCC_NONE) has it. */
void
tk_mvcc_write_rollback(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                       uint64_t start_ts, bool is_protected,
                       const struct tk_mvcc_record *record);

/* Drops the last rollback before `ts` unless it is protected. */
void
tk_mvcc_collapse(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 uint64_t ts);

/* Takes a transaction's own lock away and records the rollback. */
void
tk_mvcc_rollback_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                      const struct tk_mvcc_lock *lock, bool collapse);

/* Writes a version from a lock of the key and takes that away. */
void
tk_mvcc_commit_lock(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                    const struct tk_mvcc_lock *lock, uint64_t commit_ts);

/* Notes in a lock how far below the key's last data lies. */
void
tk_mvcc_note_change(struct tk_mvcc_lock *lock,
                    const struct tk_mvcc_node *node);

static inline bool
tk_mvcc_is_expired(const struct tk_mvcc_lock *lock, uint64_t now_ts)
{
    return tk_ts_ms(lock->start_ts) + lock->ttl < tk_ts_ms(now_ts);
}

static inline bool
tk_mvcc_owns(const struct tk_mvcc_node *node, uint64_t start_ts)
{
    return node != NULL && node->lock != NULL &&
           node->lock->start_ts == start_ts;
}

/* ---- mvcc_shared.c: locks that several transactions share ---- */

static inline bool
tk_mvcc_is_shared(const struct tk_mvcc_node *node)
{
    return node != NULL && node->lock != NULL &&
           node->lock->type == TK_MVCC_SHARED;
}

/* The part of a transaction; NULL: it has none. */
const struct tk_mvcc_lock *
tk_mvcc_part(const struct tk_mvcc_lock *shared, uint64_t start_ts);

/* The transaction's own lock, or its part of a shared one, as the batch will
 * leave it; NULL: it has none. Node may be NULL. */
const struct tk_mvcc_lock *
tk_mvcc_own(const struct tk_mvcc_batch *batch, const struct tk_mvcc_node *node,
            uint64_t start_ts);

/* Takes a part and puts it in the place of the transaction's older one, or
 * beside those of others, or alone into a new shared lock. */
void
tk_mvcc_set_part(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                 struct tk_mvcc_lock *part);

/* Nobody may join the shared lock any more. */
void
tk_mvcc_shrink(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node);

/* Takes the transaction's lock away, or its part: with the last of them the
 * key is let go, by who committed at commit_ts or did not (0). */
void
tk_mvcc_release(struct tk_mvcc_batch *batch, struct tk_mvcc_node *node,
                uint64_t start_ts, uint64_t commit_ts);

#endif
