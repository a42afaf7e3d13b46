/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of a buffer, in blocks that grow with what they hold. Two ways
 * to use them:
 *
 * - The log of values. Records are only added at the end; a position tells
 *   block and offset and orders like the time of writing, and everything
 *   from a position on can be cut off at once.
 * - The pool of entries. An entry that was taken back goes to a list of its
 *   size and is used again, so that memory stays flat over any number of
 *   stages.
 *
 * No locks: part of the buffer.
 */
#ifndef TK_TXN_BUFFER_LOG_H
#define TK_TXN_BUFFER_LOG_H

#include "txn/buffer.h"

/* One key. `newest` is the position of its newest value, 0 if it has none. */
struct tk_entry {
    uint64_t newest;
    uint16_t flags;
    uint16_t key_len;
    uint8_t key[];
};

enum { TK_ENTRY_GONE = 1 << 15 }; /* taken back, or not there before */

static inline tikv_slice
tk_entry_slice(const struct tk_entry *entry)
{
    return (tikv_slice){ entry->key, entry->key_len };
}

struct tk_block {
    uint8_t *data;
    size_t used;
    size_t room;
};

struct tk_blocks {
    struct tk_block *block;
    size_t open; /* in use; the last of them is being filled */
    size_t made; /* one more at most: kept for the next need */
    size_t places;
    size_t bytes; /* of the made ones */
};

/* Makes sure that the last open block has `size` bytes left; a multiple of 8.
 * False without memory. */
bool
tk_blocks_reserve(struct tk_blocks *blocks, size_t size);

void
tk_blocks_fini(struct tk_blocks *blocks);

/* ---- the log ---- */

/* The end of a record; the value lies before it, padded to 8 bytes. */
struct tk_record {
    struct tk_entry *entry;
    uint64_t older; /* the value before this one, 0 for none */
    uint32_t len;
    uint16_t flags; /* of the entry before this; GONE: it was not there */
    uint16_t slack; /* unused bytes before this, in eights */
};

enum { TK_RECORD_FLAGS = UINT16_MAX }; /* as slack: tells only of flags */

static inline uint64_t
tk_log_end(const struct tk_blocks *log)
{
    return log->open == 0
               ? 0
               : (uint64_t)log->open << 32 | log->block[log->open - 1].used;
}

static inline struct tk_record *
tk_log_at(const struct tk_blocks *log, uint64_t position)
{
    uint8_t *data = log->block[(position >> 32) - 1].data;

    return (struct tk_record *)(void *)(data + (uint32_t)position);
}

static inline size_t
tk_padded(size_t len)
{
    return (len + 7) & ~(size_t)7;
}

/* Bytes that the value of a record may take. */
static inline size_t
tk_record_room(const struct tk_record *record)
{
    return record->slack == TK_RECORD_FLAGS
               ? 0
               : tk_padded(record->len) + (size_t)record->slack * 8;
}

static inline uint8_t *
tk_record_bytes(struct tk_record *record)
{
    return (uint8_t *)record - tk_record_room(record);
}

static inline tikv_slice
tk_record_value(struct tk_record *record)
{
    return (tikv_slice){ tk_record_bytes(record), record->len };
}

/* Adds a record for a value of `len` bytes, for which room was reserved, and
 * gives its position; the caller fills it. */
uint64_t
tk_log_add(struct tk_blocks *log, size_t len);

/* The last record that begins before `end` and not before `begin`; 0 when
 * there is none. *start is where that record begins. */
uint64_t
tk_log_before(const struct tk_blocks *log, uint64_t end, uint64_t begin,
              uint64_t *start);

/* Forgets everything from the position on. */
void
tk_log_cut(struct tk_blocks *log, uint64_t position);

/* ---- the pool ---- */

enum { TK_POOL_CLASSES = 80 };

struct tk_pool {
    struct tk_blocks blocks;
    struct tk_entry *idle[TK_POOL_CLASSES]; /* chained by `newest` */
};

/* Not in any tree yet, no value, no flags. NULL without memory. */
struct tk_entry *
tk_pool_take(struct tk_pool *pool, tikv_slice key);

/* Its key stays readable until the next take. */
void
tk_pool_give(struct tk_pool *pool, struct tk_entry *entry);

void
tk_pool_fini(struct tk_pool *pool);

#endif
