/* SPDX-License-Identifier: Apache-2.0 */
/* See collect.h. */
#include "txn/collect.h"

#include <math.h>

#include "base/error.h"

#include "kvrpcpb.upb.h"

enum {
    TTL_MIN_MS = 3000,
    TTL_MAX_MS = 20000,
    TTL_FACTOR_MS = 6000, /* for the root of a MiB */
    SMALL_BYTES = 16 << 10
};

static int
lock_of(uint16_t flags)
{
    if ((flags & TK_KEY_LOCKED) == 0) {
        return -1;
    }
    return (flags & TK_KEY_LOCKED_SHARED) != 0 ? kvrpcpb_SharedLock
                                               : kvrpcpb_Lock;
}

int
tk_collect_op(const struct tk_buffer_item *item, bool is_pessimistic)
{
    bool is_presumed = (item->flags & TK_KEY_PRESUME_ABSENT) != 0;

    if ((item->flags & TK_KEY_IGNORE) != 0 || item->value.data == NULL) {
        return lock_of(item->flags);
    }
    if (item->value.len != 0) {
        return is_presumed ? kvrpcpb_Insert : kvrpcpb_Put;
    }
    /* Inserted and deleted again: nothing to write, yet the promise that the
     * key was absent has to be checked. Such a key must never be primary. */
    if (is_presumed && !is_pessimistic) {
        return kvrpcpb_CheckNotExists;
    }
    if ((item->flags & TK_KEY_NEWLY_INSERTED) != 0) {
        return lock_of(item->flags);
    }
    return kvrpcpb_Del;
}

static bool
can_be_primary(int op)
{
    return op != kvrpcpb_CheckNotExists && op != kvrpcpb_SharedLock;
}

static bool
add(struct tk_collected *out, const struct tk_buffer_item *item, int op,
    tikv_slice primary)
{
    size_t place = out->mutations.count;
    bool is_chosen = primary.data == NULL
                         ? out->primary == TK_NO_PRIMARY && can_be_primary(op)
                         : tk_slice_equal(primary, item->key);

    if (!tk_mutations_add(&out->mutations, item->handle, (uint8_t)op,
                          tk_mutation_flags(item->flags))) {
        return false;
    }
    if (is_chosen) {
        out->primary = place;
    }
    out->bytes += item->key.len + item->value.len;
    out->key_bytes += item->key.len;
    out->checks_count += op == kvrpcpb_CheckNotExists;
    out->has_shared |= op == kvrpcpb_SharedLock;
    return true;
}

/* All mutations are in; is there a primary, and a right one? */
static tikv_error *
settle_primary(struct tk_collected *out)
{
    const struct tk_mutation *chosen;

    if (out->mutations.count == 0) {
        return NULL;
    }
    if (out->primary == TK_NO_PRIMARY &&
        out->checks_count == out->mutations.count) {
        out->primary = 0;
        return NULL;
    }
    if (out->primary == TK_NO_PRIMARY) {
        return tk_error(TIKV_ERR_UNSUPPORTED,
                        "shared locks alone cannot be committed: one key has "
                        "to be written or locked exclusively");
    }
    chosen = &out->mutations.items[out->primary];
    if (chosen->op == kvrpcpb_SharedLock) {
        tikv_error *error = tk_error(
            TIKV_ERR_UNSUPPORTED, "the primary key is locked in shared mode");

        tk_error_set_key(error, tk_entry_key(chosen->handle));
        return error;
    }
    return NULL;
}

/* Asks the program about a write; `item` is marked when it is needless. */
static tikv_error *
ask(struct tk_collect_filter filter, struct tk_buffer_item *item)
{
    bool is_needless = false;
    tikv_slice value = item->value;
    uint32_t flags = 0;
    tikv_error *error;

    if (filter.fn == NULL || value.data == NULL) {
        return NULL;
    }
    flags |= (item->flags & TK_KEY_PRESUME_ABSENT) != 0 ? TIKV_WRITE_INSERT : 0;
    flags |= (item->flags & TK_KEY_LOCKED) != 0 ? TIKV_WRITE_LOCKED : 0;
    if (value.len == 0) {
        value.data = NULL;
    }
    error = filter.fn(item->key, value, flags, &is_needless, filter.arg);
    if (error == NULL && is_needless) {
        item->flags |= TK_KEY_IGNORE;
    }
    return error;
}

tikv_error *
tk_collect(const struct tk_buffer *buffer, bool is_pessimistic,
           tikv_slice primary, struct tk_collect_filter filter,
           struct tk_collected *out)
{
    const tikv_slice open_end = { NULL, 0 };
    struct tk_buffer_iter iter;
    tikv_error *error = NULL;

    *out = (struct tk_collected){ .primary = TK_NO_PRIMARY };
    tk_buffer_iterate(buffer, TK_WALK_ALL, open_end, open_end, false, &iter);
    while (error == NULL && iter.is_valid) {
        struct tk_buffer_item item = iter.item;
        int op;

        error = ask(filter, &item);
        op = tk_collect_op(&item, is_pessimistic);
        if (error == NULL && op >= 0 && !add(out, &item, op, primary)) {
            error = tk_error_immortal(TIKV_ERR_MEMORY);
        }
        if (error == NULL) {
            error = tk_buffer_iter_next(&iter);
        }
    }
    return error == NULL ? settle_primary(out) : error;
}

void
tk_collected_fini(struct tk_collected *collected)
{
    tk_mutations_fini(&collected->mutations);
}

uint64_t
tk_lock_ttl_ms(uint64_t bytes, uint64_t age_ms)
{
    double ttl;

    if (bytes < SMALL_BYTES) {
        return TTL_MIN_MS + age_ms;
    }
    ttl = TTL_FACTOR_MS * sqrt((double)bytes / (1 << 20));
    if (ttl < TTL_MIN_MS) {
        ttl = TTL_MIN_MS;
    }
    return (uint64_t)(ttl > TTL_MAX_MS ? TTL_MAX_MS : ttl) + age_ms;
}
