/* SPDX-License-Identifier: Apache-2.0 */
/* Stages: positions of the log, and undoing down to one. */
#include "txn/buffer.h"

#include "base/alloc.h"
#include "txn/buffer_inner.h"

/* Gives the entry back its value and flags from before the record; what was
 * not there before goes, unless a persistent flag keeps it: then it joins the
 * chain of those that the stage below has made. */
static void
undo(struct tk_buffer *buffer, const struct tk_record *record,
     struct tk_entry **kept_entries)
{
    struct tk_entry *entry = record->entry;
    uint16_t kept = entry->flags & TK_KEY_PERSISTENT;
    uint16_t earlier = record->flags & (uint16_t)~TK_KEY_PERSISTENT;

    if (record->slack != TK_RECORD_FLAGS) {
        buffer->size -= record->len;
        buffer->size += tk_buffer_value_at(buffer, record->older).len;
        entry->newest = record->older;
    }
    if ((earlier & TK_ENTRY_GONE) == 0) {
        entry->flags = kept | earlier;
    } else if (kept != 0) {
        entry->flags = kept;
        entry->newest = (uintptr_t)*kept_entries;
        *kept_entries = entry;
    } else {
        buffer->size -= entry->key_len;
        tk_tree_remove(&buffer->tree, entry);
        tk_pool_give(&buffer->pool, entry);
    }
}

/* Says again, at the new end of the log, that these were not there before.
 * Without memory for that they outlive the stage below, without a value. */
static void
note_kept(struct tk_buffer *buffer, struct tk_entry *entry)
{
    while (entry != NULL) {
        struct tk_entry *next = (struct tk_entry *)(uintptr_t)entry->newest;

        entry->newest = 0;
        if (buffer->depth > 0 &&
            tk_blocks_reserve(&buffer->log, sizeof(struct tk_record))) {
            *tk_log_at(&buffer->log, tk_log_add(&buffer->log, 0)) =
                (struct tk_record){ .entry = entry,
                                    .flags = TK_ENTRY_GONE,
                                    .slack = TK_RECORD_FLAGS };
        }
        entry = next;
    }
}

static void
undo_to(struct tk_buffer *buffer, uint64_t position)
{
    struct tk_entry *kept = NULL;
    uint64_t end = tk_log_end(&buffer->log);
    uint64_t at;

    while ((at = tk_log_before(&buffer->log, end, position, &end)) != 0) {
        undo(buffer, tk_log_at(&buffer->log, at), &kept);
    }
    tk_log_cut(&buffer->log, position);
    note_kept(buffer, kept);
    buffer->generation++;
}

tikv_error *
tk_buffer_stage(struct tk_buffer *buffer, size_t *stage)
{
    if (buffer->is_discarded) {
        return tk_buffer_refuse_discarded();
    }
    if (buffer->depth == buffer->stage_places) {
        size_t places = buffer->depth == 0 ? 4 : buffer->depth * 2;
        uint64_t *grown =
            tk_realloc(buffer->stages, places * sizeof(buffer->stages[0]));

        if (grown == NULL) {
            return tk_error_immortal(TIKV_ERR_MEMORY);
        }
        buffer->stages = grown;
        buffer->stage_places = places;
    }
    buffer->stages[buffer->depth++] = tk_log_end(&buffer->log);
    *stage = buffer->depth;
    return NULL;
}

static tikv_error *
not_newest(const struct tk_buffer *buffer, size_t stage)
{
    return tk_error(TIKV_ERR_STATE, "stage %zu is not the newest, which is %zu",
                    stage, buffer->depth);
}

tikv_error *
tk_buffer_release(struct tk_buffer *buffer, size_t stage)
{
    if (stage == 0) {
        return NULL;
    }
    if (stage != buffer->depth) {
        return not_newest(buffer, stage);
    }
    buffer->depth--;
    if (stage == 1) {
        buffer->is_dirty |= tk_log_end(&buffer->log) != buffer->stages[0];
        buffer->epoch++;
    }
    return NULL;
}

tikv_error *
tk_buffer_cleanup(struct tk_buffer *buffer, size_t stage)
{
    if (stage == 0 || stage > buffer->depth) {
        return NULL;
    }
    if (stage < buffer->depth) {
        return not_newest(buffer, stage);
    }
    buffer->depth--;
    if (!buffer->is_discarded) {
        undo_to(buffer, buffer->stages[buffer->depth]);
    }
    if (stage == 1) {
        buffer->epoch++;
    }
    return NULL;
}

size_t
tk_buffer_depth(const struct tk_buffer *buffer)
{
    return buffer->depth;
}

tikv_error *
tk_buffer_inspect(const struct tk_buffer *buffer, size_t stage,
                  void (*see)(void *, const struct tk_buffer_item *),
                  void *arg)
{
    uint64_t end = tk_log_end(&buffer->log);
    uint64_t at;

    if (stage == 0 || stage > buffer->depth) {
        return tk_error(TIKV_ERR_STATE, "there is no stage %zu", stage);
    }
    while ((at = tk_log_before(&buffer->log, end, buffer->stages[stage - 1],
                               &end)) != 0) {
        const struct tk_record *record = tk_log_at(&buffer->log, at);

        if (record->slack != TK_RECORD_FLAGS && record->entry->newest == at) {
            struct tk_buffer_item item;

            tk_buffer_item_of(buffer, record->entry, &item);
            see(arg, &item);
        }
    }
    return NULL;
}

void
tk_buffer_discard_values(struct tk_buffer *buffer)
{
    tk_blocks_fini(&buffer->log);
    buffer->is_discarded = true;
    buffer->generation++;
    buffer->epoch++;
}
