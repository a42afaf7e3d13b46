/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading of single keys, limits and accounts. */
#include "txn/buffer.h"

#include "base/alloc.h"
#include "txn/buffer_inner.h"

/* One write: a value (may be empty), or with absent data only flags. */
struct write {
    tikv_slice key;
    tikv_slice value;
    tk_key_change change;
    struct tk_entry *entry; /* NULL: the key is new */
    uint64_t size;          /* of the buffer afterwards */
};

struct tk_buffer *
tk_buffer_new(void)
{
    return tk_calloc(sizeof(struct tk_buffer));
}

static void
drop_contents(struct tk_buffer *buffer)
{
    tk_tree_fini(&buffer->tree);
    tk_blocks_fini(&buffer->log);
    tk_pool_fini(&buffer->pool);
    tk_free(buffer->stages);
    buffer->stages = NULL;
    buffer->stage_places = 0;
    buffer->depth = 0;
    buffer->size = 0;
    buffer->pin = 0;
    buffer->is_dirty = false;
    buffer->is_discarded = false;
    buffer->generation++;
    buffer->epoch++;
}

void
tk_buffer_free(struct tk_buffer *buffer)
{
    if (buffer != NULL) {
        drop_contents(buffer);
        tk_free(buffer);
    }
}

void
tk_buffer_reset(struct tk_buffer *buffer)
{
    drop_contents(buffer);
}

void
tk_buffer_set_limits(struct tk_buffer *buffer, uint64_t entry_bytes,
                     uint64_t total_bytes)
{
    buffer->entry_limit = entry_bytes;
    buffer->total_limit = total_bytes;
}

tikv_error *
tk_buffer_refuse_discarded(void)
{
    return tk_error(TIKV_ERR_STATE,
                    "the transaction's values were dropped after prewrite");
}

/* ---- writing ---- */

static tikv_error *
too_large(const char *what, uint64_t size, uint64_t limit, tikv_slice key)
{
    tikv_error *error =
        tk_error(TIKV_ERR_TOO_LARGE, "%s has %llu bytes, the limit is %llu",
                 what, (unsigned long long)size, (unsigned long long)limit);

    tk_error_set_u64(error, TIKV_ERROR_SIZE_BYTES, size);
    tk_error_set_u64(error, TIKV_ERROR_LIMIT_BYTES, limit);
    if (key.len <= TK_BUFFER_KEY_MAX) {
        tk_error_set_key(error, key);
    }
    return error;
}

static tikv_error *
check_sizes(struct tk_buffer *buffer, struct write *write)
{
    uint64_t bytes = (uint64_t)write->key.len + write->value.len;
    uint64_t before = 0;
    uint64_t after = bytes;

    if (write->key.len > TK_BUFFER_KEY_MAX) {
        return too_large("a key", write->key.len, TK_BUFFER_KEY_MAX,
                         write->key);
    }
    if (write->value.len > TK_BUFFER_VALUE_MAX) {
        return too_large("a value", write->value.len, TK_BUFFER_VALUE_MAX,
                         write->key);
    }
    if (write->value.data != NULL && buffer->entry_limit != 0 &&
        bytes > buffer->entry_limit) {
        return too_large("an entry", bytes, buffer->entry_limit, write->key);
    }
    write->entry = tk_tree_find(&buffer->tree, write->key);
    if (write->entry != NULL) {
        before = write->key.len +
                 tk_buffer_value_at(buffer, write->entry->newest).len;
        after = write->value.data == NULL ? before : bytes;
    }
    write->size = buffer->size - before + after;
    if (buffer->total_limit != 0 && after > before &&
        write->size > buffer->total_limit) {
        return too_large("the transaction", write->size, buffer->total_limit,
                         write->key);
    }
    return NULL;
}

/* The record of the newest value, if it may be written over. */
static struct tk_record *
overwritable(const struct tk_buffer *buffer, const struct write *write)
{
    struct tk_record *record;

    if (write->entry == NULL || write->entry->newest == 0 ||
        write->entry->newest < tk_buffer_fence(buffer)) {
        return NULL;
    }
    record = tk_log_at(&buffer->log, write->entry->newest);
    return write->value.len <= tk_record_room(record) &&
                   (tk_record_room(record) - tk_padded(write->value.len)) / 8 <
                       TK_RECORD_FLAGS
               ? record
               : NULL;
}

static bool
needs_flag_record(const struct tk_buffer *buffer, uint16_t before,
                  uint16_t after)
{
    return buffer->depth > 0 && ((before ^ after) & ~TK_KEY_PERSISTENT) != 0;
}

static void
add_record(struct tk_buffer *buffer, const struct write *write,
           uint16_t flags_before)
{
    bool is_value = write->value.data != NULL;
    uint64_t position = tk_log_add(&buffer->log, write->value.len);
    struct tk_record *record = tk_log_at(&buffer->log, position);

    *record = (struct tk_record){
        .entry = write->entry,
        .older = is_value ? write->entry->newest : 0,
        .len = (uint32_t)write->value.len,
        .flags = flags_before,
        .slack = is_value ? 0 : TK_RECORD_FLAGS,
    };
    if (is_value) {
        if (write->value.len > 0) {
            memcpy(tk_record_bytes(record), write->value.data,
                   write->value.len);
        }
        write->entry->newest = position;
    }
}

static void
overwrite(struct tk_record *record, tikv_slice value)
{
    uint8_t *bytes;
    size_t room = tk_record_room(record);

    record->len = (uint32_t)value.len;
    record->slack = (uint16_t)((room - tk_padded(value.len)) / 8);
    bytes = tk_record_bytes(record);
    if (value.len > 0) {
        /* It may be the value of this very key. */
        memmove(bytes, value.data, value.len);
    }
}

/* Everything that can fail: `room` in the log, the entry, its place. */
static bool
reserve(struct tk_buffer *buffer, struct write *write, size_t room)
{
    if (room > 0 && !tk_blocks_reserve(&buffer->log, room)) {
        return false;
    }
    if (write->entry == NULL) {
        write->entry = tk_pool_take(&buffer->pool, write->key);
        if (write->entry == NULL) {
            return false;
        }
        if (!tk_tree_insert(&buffer->tree, write->entry)) {
            tk_pool_give(&buffer->pool, write->entry);
            return false;
        }
    }
    return true;
}

static tikv_error *
apply(struct tk_buffer *buffer, struct write *write)
{
    struct tk_record *old = NULL;
    tikv_error *error;
    uint16_t before;
    uint16_t after;
    size_t room = 0;

    if (buffer->is_discarded) {
        return tk_buffer_refuse_discarded();
    }
    error = check_sizes(buffer, write);
    if (error != NULL) {
        return error;
    }
    before = write->entry == NULL ? TK_ENTRY_GONE : write->entry->flags;
    after = tk_key_changed((uint16_t)(before & ~TK_ENTRY_GONE), write->change);
    if (write->value.data != NULL) {
        old = overwritable(buffer, write);
    }
    if (write->value.data != NULL && old == NULL) {
        room = sizeof(struct tk_record) + tk_padded(write->value.len);
    } else if (needs_flag_record(buffer, before, after)) {
        room = sizeof(struct tk_record);
    }
    if (!reserve(buffer, write, room)) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    if (old != NULL) {
        overwrite(old, write->value);
        write->value = (tikv_slice){ NULL, 0 };
    }
    if (room > 0) {
        add_record(buffer, write, before);
    }
    write->entry->flags = after;
    buffer->size = write->size;
    buffer->generation++;
    buffer->is_dirty |= buffer->depth == 0 || (after & TK_KEY_PERSISTENT) != 0;
    return NULL;
}

tikv_error *
tk_buffer_set(struct tk_buffer *buffer, tikv_slice key, tikv_slice value,
              tk_key_change change)
{
    struct write write = { .key = key, .value = value };

    if (value.data == NULL || value.len == 0) {
        return tk_error(TIKV_ERR_ARGUMENT,
                        "a transaction cannot write an empty value");
    }
    write.change = tk_key_both(TK_KEY_CLEAR(TK_KEY_CHECK_IN_PREWRITE), change);
    return apply(buffer, &write);
}

tikv_error *
tk_buffer_remove(struct tk_buffer *buffer, tikv_slice key, tk_key_change change)
{
    static const uint8_t nothing;
    struct write write = { .key = key, .value = { &nothing, 0 } };

    write.change = tk_key_both(TK_KEY_CLEAR(TK_KEY_CHECK_IN_PREWRITE), change);
    return apply(buffer, &write);
}

tikv_error *
tk_buffer_mark(struct tk_buffer *buffer, tikv_slice key, tk_key_change change)
{
    struct write write = { .key = key, .change = change };

    return apply(buffer, &write);
}

/* ---- reading ---- */

void
tk_buffer_item_of(const struct tk_buffer *buffer, const struct tk_entry *entry,
                  struct tk_buffer_item *item)
{
    item->key = tk_entry_slice(entry);
    item->value = tk_buffer_value_at(buffer, entry->newest);
    item->handle = entry;
    item->flags = entry->flags;
}

bool
tk_buffer_get(const struct tk_buffer *buffer, tikv_slice key,
              struct tk_buffer_item *item)
{
    const struct tk_entry *entry = tk_tree_find(&buffer->tree, key);

    if (entry == NULL) {
        return false;
    }
    tk_buffer_item_of(buffer, entry, item);
    return true;
}

bool
tk_buffer_history(const struct tk_buffer *buffer, tikv_slice key,
                  bool (*wanted)(void *, tikv_slice value), void *arg,
                  tikv_slice *value)
{
    const struct tk_entry *entry = tk_tree_find(&buffer->tree, key);
    uint64_t position =
        entry == NULL || buffer->is_discarded ? 0 : entry->newest;

    while (position != 0) {
        struct tk_record *record = tk_log_at(&buffer->log, position);

        if (wanted(arg, tk_record_value(record))) {
            *value = tk_record_value(record);
            return true;
        }
        position = record->older;
    }
    return false;
}

size_t
tk_buffer_count(const struct tk_buffer *buffer)
{
    return buffer->tree.count;
}

uint64_t
tk_buffer_size(const struct tk_buffer *buffer)
{
    return buffer->size;
}

size_t
tk_buffer_footprint(const struct tk_buffer *buffer)
{
    return buffer->log.bytes + buffer->pool.blocks.bytes + buffer->tree.bytes +
           buffer->log.places * sizeof(struct tk_block) +
           buffer->pool.blocks.places * sizeof(struct tk_block) +
           buffer->stage_places * sizeof(buffer->stages[0]);
}

bool
tk_buffer_is_dirty(const struct tk_buffer *buffer)
{
    return buffer->is_dirty;
}

tikv_slice
tk_entry_key(const struct tk_entry *entry)
{
    return tk_entry_slice(entry);
}

bool
tk_entry_value(const struct tk_buffer *buffer, const struct tk_entry *entry,
               tikv_slice *value)
{
    if (buffer->is_discarded || (entry->flags & TK_ENTRY_GONE) != 0 ||
        entry->newest == 0) {
        return false;
    }
    *value = tk_buffer_value_at(buffer, entry->newest);
    return true;
}
