/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PD's own storage, as etcd is: an ordered map of bytes whose changes are
 * numbered. Each key keeps its versions, and a log tells which version came
 * when, until both are compacted. What PD keeps of itself lies here, so that
 * whoever watches sees it change. Guarded by its owner's lock.
 */
#ifndef TK_CLUSTER_LEDGER_H
#define TK_CLUSTER_LEDGER_H

#include "base/buf.h"
#include "cluster/map.h"

struct tk_ledger_item;

struct tk_ledger_version {
    struct tk_ledger_version *older; /* NULL: none, or compacted */
    const struct tk_ledger_item *item;
    int64_t create; /* revision that made the key; 0 when deleted */
    int64_t mod;    /* revision of this version */
    int64_t version; /* changes since it was made; 0 when deleted */
    int64_t lease;
    size_t len;
    uint8_t value[];
};

struct tk_ledger_item {
    struct tk_cl_map_item map; /* first */
    struct tk_ledger_version *newest;
    uint8_t key[];
};

struct tk_ledger {
    struct tk_cl_map map;
    struct tk_ledger_version **log; /* in the order of changes */
    size_t log_first;
    size_t log_count;
    size_t log_room;
    int64_t revision; /* of the last change; begins with 1 */
    int64_t compacted; /* versions replaced at or before it are gone */
    int64_t open; /* revision of the transaction under way; 0: none */
    struct tk_buf *journal; /* where changes are told; or NULL */
};

void
tk_ledger_init(struct tk_ledger *ledger);

void
tk_ledger_fini(struct tk_ledger *ledger);

/* Changes until end share one revision. */
void
tk_ledger_begin(struct tk_ledger *ledger);

void
tk_ledger_end(struct tk_ledger *ledger);

/* False without memory. */
bool
tk_ledger_put(struct tk_ledger *ledger, tikv_slice key, tikv_slice value,
              int64_t lease);

/* False without memory; what is not there stays so. */
bool
tk_ledger_delete(struct tk_ledger *ledger, tikv_slice key);

/* A version with its numbers as they were, `facts`: from a journal, in the
 * order of changes. False without memory. */
bool
tk_ledger_redo(struct tk_ledger *ledger, tikv_slice key, tikv_slice value,
               const struct tk_ledger_version *facts);

/* NULL: none, or deleted. */
const struct tk_ledger_version *
tk_ledger_get(const struct tk_ledger *ledger, tikv_slice key);

/* What the key was when `revision` was the last change. */
const struct tk_ledger_version *
tk_ledger_then(const struct tk_ledger_item *item, int64_t revision);

/* The first item at or after a key; step with tk_cl_map_next(). It may be
 * deleted by now. */
static inline struct tk_cl_map_at
tk_ledger_from(const struct tk_ledger *ledger, tikv_slice key)
{
    return tk_cl_map_from(&ledger->map, key);
}

/* The item of a place; NULL at the end. */
static inline const struct tk_ledger_item *
tk_ledger_item(const struct tk_cl_map_at *at)
{
    return (const struct tk_ledger_item *)(const void *)at->item;
}

static inline tikv_slice
tk_ledger_value(const struct tk_ledger_version *version)
{
    return (tikv_slice){ version->value, version->len };
}

static inline bool
tk_ledger_is_deleted(const struct tk_ledger_version *version)
{
    return version->create == 0;
}

/* The changes from a revision on: place in the log, up to tk_ledger_log_end(),
 * read with tk_ledger_log_at(). Places stay the same until compaction. */
size_t
tk_ledger_log_from(const struct tk_ledger *ledger, int64_t revision);

static inline size_t
tk_ledger_log_end(const struct tk_ledger *ledger)
{
    return ledger->log_first + ledger->log_count;
}

static inline const struct tk_ledger_version *
tk_ledger_log_at(const struct tk_ledger *ledger, size_t place)
{
    return ledger->log[place];
}

/* Forgets what was replaced at or before a revision. */
void
tk_ledger_compact(struct tk_ledger *ledger, int64_t revision);

#endif
