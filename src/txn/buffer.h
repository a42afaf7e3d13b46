/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The write buffer of a transaction: what it wrote and which keys it marked,
 * in the order of the keys, with nested stages that can be taken back.
 *
 * A value is absent (never written: ask the snapshot), empty (a tombstone:
 * deleted, do not ask) or has bytes. Stages are positions in a log of values
 * (buffer_log.h); taking back walks the log backwards.
 *
 * Threads and lifetimes: the buffer has no lock. The transaction serialises:
 * either one caller that changes it or any number that only read (functions
 * that take it const, and iterators). A key in a result lives until the
 * entry's creation is taken back or the buffer is reset; a value lives until
 * the next change of the buffer, for it may be overwritten in its place.
 *
 * A change that fails changes nothing.
 */
#ifndef TK_TXN_BUFFER_H
#define TK_TXN_BUFFER_H

#include "base/error.h"
#include "base/slice.h"

enum {
    TK_BUFFER_KEY_MAX = 65535,
    TK_BUFFER_VALUE_MAX = (128 << 20) - 32 /* with its record, one block */
};

/* ---- flags of a key ---- */

enum {
    TK_KEY_PRESUME_ABSENT = 1 << 0, /* prewrite has to find no value */
    TK_KEY_LOCKED = 1 << 1,         /* holds a pessimistic lock */
    TK_KEY_NEED_LOCK = 1 << 2,
    TK_KEY_LOCKED_EXISTS = 1 << 3, /* had a value when it was locked */
    TK_KEY_NEED_CHECK_EXISTS = 1 << 4,
    TK_KEY_PREWRITE_ONLY = 1 << 5, /* no lock to commit */
    TK_KEY_IGNORE = 1 << 6,        /* the commit leaves it out */
    TK_KEY_READABLE = 1 << 7,
    TK_KEY_NEWLY_INSERTED = 1 << 8,
    TK_KEY_ASSERT_EXIST = 1 << 9, /* both assertions: unknown */
    TK_KEY_ASSERT_ABSENT = 1 << 10,
    TK_KEY_CHECK_IN_PREWRITE = 1 << 11, /* constraint check put off */
    TK_KEY_WAS_PRESUMED_ABSENT = 1 << 12,
    TK_KEY_LOCKED_SHARED = 1 << 13,

    /* What cleanup leaves alone: the lock is on the server, whatever becomes
     * of the value. */
    TK_KEY_PERSISTENT = TK_KEY_LOCKED | TK_KEY_LOCKED_EXISTS |
                        TK_KEY_CHECK_IN_PREWRITE | TK_KEY_LOCKED_SHARED
};

/* A change of flags: those to clear in the high half, then those to set. */
typedef uint32_t tk_key_change;
#define TK_KEY_CHANGE(set, clear) ((uint32_t)(clear) << 16 | (uint32_t)(set))

#define TK_KEY_NO_CHANGE TK_KEY_CHANGE(0, 0)
#define TK_KEY_SET(flags) TK_KEY_CHANGE(flags, 0)
#define TK_KEY_CLEAR(flags) TK_KEY_CHANGE(0, flags)
#define TK_KEY_PRESUME                                                         \
    TK_KEY_SET(TK_KEY_PRESUME_ABSENT | TK_KEY_NEED_CHECK_EXISTS)
#define TK_KEY_UNPRESUME                                                       \
    TK_KEY_CLEAR(TK_KEY_PRESUME_ABSENT | TK_KEY_NEED_CHECK_EXISTS)
#define TK_KEY_LOCK_EXISTS                                                     \
    TK_KEY_CHANGE(TK_KEY_LOCKED_EXISTS, TK_KEY_CHECK_IN_PREWRITE)
#define TK_KEY_LOCK_ABSENT                                                     \
    TK_KEY_CLEAR(TK_KEY_LOCKED_EXISTS | TK_KEY_CHECK_IN_PREWRITE)
#define TK_KEY_LOCK_EXCLUSIVE TK_KEY_CLEAR(TK_KEY_LOCKED_SHARED)
#define TK_KEY_ASSERTIONS (TK_KEY_ASSERT_EXIST | TK_KEY_ASSERT_ABSENT)
#define TK_KEY_ASSERT_THAT_EXISTS                                              \
    TK_KEY_CHANGE(TK_KEY_ASSERT_EXIST, TK_KEY_ASSERT_ABSENT)
#define TK_KEY_ASSERT_THAT_ABSENT                                              \
    TK_KEY_CHANGE(TK_KEY_ASSERT_ABSENT, TK_KEY_ASSERT_EXIST)
#define TK_KEY_ASSERT_UNKNOWN TK_KEY_SET(TK_KEY_ASSERTIONS)
#define TK_KEY_ASSERT_NONE TK_KEY_CLEAR(TK_KEY_ASSERTIONS)

/* One change in place of `first`, `then`. */
static inline tk_key_change
tk_key_both(tk_key_change first, tk_key_change then)
{
    uint32_t set = ((first & 0xffff) & ~(then >> 16)) | (then & 0xffff);

    return TK_KEY_CHANGE(set, (first >> 16) | (then >> 16));
}

static inline uint16_t
tk_key_changed(uint16_t flags, tk_key_change change)
{
    return (uint16_t)((flags & ~(change >> 16)) | (change & 0xffff));
}

/* ---- the buffer ---- */

struct tk_buffer;
struct tk_entry; /* a handle: one key of the buffer */

struct tk_buffer_item {
    tikv_slice key;
    tikv_slice value; /* no data: absent; no len: tombstone */
    const struct tk_entry *handle;
    uint16_t flags;
};

/* NULL without memory. An empty buffer has no block besides itself. */
struct tk_buffer *
tk_buffer_new(void);

void
tk_buffer_free(struct tk_buffer *buffer);

/* As new, with its limits. Handles and stages are gone. */
void
tk_buffer_reset(struct tk_buffer *buffer);

/* Key and value bytes of one write, and of the whole buffer; 0: no limit.
 * Checked before the write: a refused one leaves no trace. */
void
tk_buffer_set_limits(struct tk_buffer *buffer, uint64_t entry_bytes,
                     uint64_t total_bytes);

/* Writes a value. An empty one is ARGUMENT (that is what remove is for), too
 * large a key, value, write or sum is TOO_LARGE with size and limit. Clears
 * CHECK_IN_PREWRITE before it applies `change`. */
tikv_error *
tk_buffer_set(struct tk_buffer *buffer, tikv_slice key, tikv_slice value,
              tk_key_change change) __attribute__((warn_unused_result));

/* Writes a tombstone, which counts with the bytes of its key. */
tikv_error *
tk_buffer_remove(struct tk_buffer *buffer, tikv_slice key,
                 tk_key_change change) __attribute__((warn_unused_result));

/* Changes flags alone; makes an entry without a value where there is none.
 * No entry limit, but the limit of the sum. */
tikv_error *
tk_buffer_mark(struct tk_buffer *buffer, tikv_slice key, tk_key_change change)
    __attribute__((warn_unused_result));

/* False when the buffer knows nothing of the key. An entry that has only
 * flags is found, with an absent value. */
bool
tk_buffer_get(const struct tk_buffer *buffer, tikv_slice key,
              struct tk_buffer_item *item);

/* The newest value of the key that `wanted` says yes to, from the newest back
 * through the stages: values that were overwritten within one stage are
 * gone. False when there is none. */
bool
tk_buffer_history(const struct tk_buffer *buffer, tikv_slice key,
                  bool (*wanted)(void *, tikv_slice value), void *arg,
                  tikv_slice *value);

/* Entries, those with flags alone included. */
size_t
tk_buffer_count(const struct tk_buffer *buffer);

/* Bytes of all keys and newest values. */
uint64_t
tk_buffer_size(const struct tk_buffer *buffer);

/* Bytes of all blocks it holds, 0 while nothing was written. At most: what
 * is live, a quarter more, and what stages keep of overwritten values. */
size_t
tk_buffer_footprint(const struct tk_buffer *buffer);

/* Something was written that no open stage can take back. */
bool
tk_buffer_is_dirty(const struct tk_buffer *buffer);

/* Drops all values, when prewrite is done and commit needs keys only. Keys,
 * flags, handles and iterators with flags go on; values are absent, get finds
 * flags only and every write, mark or stage is STATE. */
void
tk_buffer_discard_values(struct tk_buffer *buffer);

/* ---- handles ---- */

/* A handle lives until the buffer is reset or freed. When the creation of
 * its entry was taken back it still names its key until the next write, and
 * has no value. */
tikv_slice
tk_entry_key(const struct tk_entry *entry);

/* False: absent, discarded or taken back. */
bool
tk_entry_value(const struct tk_buffer *buffer, const struct tk_entry *entry,
               tikv_slice *value);

/* ---- stages ---- */

/* Opens a stage on top; *stage counts from 1. MEMORY or STATE. */
tikv_error *
tk_buffer_stage(struct tk_buffer *buffer, size_t *stage)
    __attribute__((warn_unused_result));

/* Publishes the newest stage to the one below. Any other is STATE; 0 does
 * nothing. */
tikv_error *
tk_buffer_release(struct tk_buffer *buffer, size_t stage)
    __attribute__((warn_unused_result));

/* Takes the newest stage back: values and flags become what they were when it
 * was opened, but persistent flags stay as they are, and keep their entry. A
 * stage below the newest is STATE; 0 or one that is closed does nothing. */
tikv_error *
tk_buffer_cleanup(struct tk_buffer *buffer, size_t stage)
    __attribute__((warn_unused_result));

/* Open stages. */
size_t
tk_buffer_depth(const struct tk_buffer *buffer);

/* Calls with each entry whose newest value was written in that stage or
 * above, newest first. Keys of which only flags changed are not told. The
 * callback changes nothing. STATE when there is no such stage. */
tikv_error *
tk_buffer_inspect(const struct tk_buffer *buffer, size_t stage,
                  void (*see)(void *, const struct tk_buffer_item *),
                  void *arg) __attribute__((warn_unused_result));

/* ---- iterators ---- */

/* A view of what was below all stages, or, when none is open, of this moment.
 * It outlives later writes and stages above the first; it is gone when the
 * first stage is released or cleaned up, or the buffer reset or discarded.
 * Opening and closing count as changes for the thread rule. */
struct tk_snapview {
    struct tk_buffer *buffer;
    uint64_t until; /* sees records before this position */
    uint64_t epoch;
};

void
tk_snapview_open(struct tk_snapview *view, struct tk_buffer *buffer);

void
tk_snapview_close(struct tk_snapview *view);

/* *value is absent when the view has nothing of the key. STATE when the view
 * is gone. */
tikv_error *
tk_snapview_get(const struct tk_snapview *view, tikv_slice key,
                tikv_slice *value) __attribute__((warn_unused_result));

enum tk_walk {
    TK_WALK_VALUES, /* entries with a value, tombstones included */
    TK_WALK_ALL     /* also those that have only flags */
};

struct tk_leaf;

/* Lies where the caller likes and needs no closing. */
struct tk_buffer_iter {
    bool is_valid;              /* `item` is there */
    struct tk_buffer_item item; /* of a view: without flags */

    const struct tk_buffer *buffer;
    tikv_slice bound; /* where it ends: borrowed, absent: nowhere */
    uint64_t generation;
    const struct tk_snapview *view;
    struct tk_leaf *leaf;
    size_t at;
    bool is_reverse;
    bool is_done;
    enum tk_walk walk;
};

/* Places the iterator on the first entry of [lower, upper), or with `reverse`
 * on the last one; absent or empty bounds are open. The bounds are borrowed
 * as long as it is used. */
void
tk_buffer_iterate(const struct tk_buffer *buffer, enum tk_walk walk,
                  tikv_slice lower, tikv_slice upper, bool reverse,
                  struct tk_buffer_iter *iter);

/* The same over a view. Unlike the others it survives changes: it finds its
 * place again. STATE when the view is gone. */
tikv_error *
tk_snapview_iterate(const struct tk_snapview *view, tikv_slice lower,
                    tikv_slice upper, bool reverse,
                    struct tk_buffer_iter *iter)
    __attribute__((warn_unused_result));

/* No change since the iterator was placed; over a view: that is not gone. */
bool
tk_buffer_iter_is_current(const struct tk_buffer_iter *iter);

/* One further. STATE past the end, and when the buffer was changed since the
 * iterator was placed (over a view: when that is gone); it is not valid any
 * more then. */
tikv_error *
tk_buffer_iter_next(struct tk_buffer_iter *iter)
    __attribute__((warn_unused_result));

#endif
