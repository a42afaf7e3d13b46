/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks: small ones double what is there, large ones add a quarter to it, so
 * that a small transaction takes little and a large one wastes little.
 */
#include "txn/buffer_log.h"

#include "base/alloc.h"
#include "base/debug.h"

enum {
    BLOCK_MIN = 1 << 10,
    DOUBLE_UNTIL = 64 << 10,
    BLOCK_MAX = 128 << 20,
    ENTRY_STEP = 16,
    EXACT_CLASSES = 64 /* up to 1 KiB by steps, then by powers of two */
};

static size_t
next_room(const struct tk_blocks *blocks, size_t size)
{
    size_t room = blocks->bytes < DOUBLE_UNTIL ? blocks->bytes
                                               : blocks->bytes / 4;

    room = room < BLOCK_MIN ? BLOCK_MIN : room;
    room = room > BLOCK_MAX ? BLOCK_MAX : room;
    room = room < size ? size : room;
    return tk_padded(room);
}

static void
drop_spare(struct tk_blocks *blocks)
{
    while (blocks->made > blocks->open) {
        struct tk_block *last = &blocks->block[--blocks->made];

        blocks->bytes -= last->room;
        tk_free(last->data);
    }
}

static bool
make_place(struct tk_blocks *blocks)
{
    size_t places = blocks->places == 0 ? 4 : blocks->places * 2;
    struct tk_block *grown;

    if (blocks->open < blocks->places) {
        return true;
    }
    grown = tk_realloc(blocks->block, places * sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    blocks->block = grown;
    blocks->places = places;
    return true;
}

bool
tk_blocks_reserve(struct tk_blocks *blocks, size_t size)
{
    struct tk_block *last = blocks->open == 0 ? NULL
                                : &blocks->block[blocks->open - 1];
    size_t room;

    if (last != NULL && last->room - last->used >= size) {
        return true;
    }
    if (blocks->made > blocks->open &&
        blocks->block[blocks->open].room >= size) {
        blocks->block[blocks->open++].used = 0;
        return true;
    }
    drop_spare(blocks);
    if (!make_place(blocks)) {
        return false;
    }
    room = next_room(blocks, size);
    last = &blocks->block[blocks->open];
    last->data = tk_alloc(room);
    if (last->data == NULL) {
        return false;
    }
    last->used = 0;
    last->room = room;
    blocks->bytes += room;
    blocks->made = ++blocks->open;
    return true;
}

void
tk_blocks_fini(struct tk_blocks *blocks)
{
    blocks->open = 0;
    drop_spare(blocks);
    tk_free(blocks->block);
    *blocks = (struct tk_blocks){ 0 };
}

uint64_t
tk_log_add(struct tk_blocks *log, size_t len)
{
    struct tk_block *last = &log->block[log->open - 1];
    uint64_t position;

    TK_ASSERT(last->room - last->used >=
                  tk_padded(len) + sizeof(struct tk_record),
              "a record was added without room");
    last->used += tk_padded(len);
    position = tk_log_end(log);
    last->used += sizeof(struct tk_record);
    return position;
}

uint64_t
tk_log_before(const struct tk_blocks *log, uint64_t end, uint64_t begin,
              uint64_t *start)
{
    uint64_t position;

    while (end > begin && (uint32_t)end == 0) {
        size_t block = (size_t)(end >> 32) - 1;

        end = block == 0 ? 0
                         : (uint64_t)block << 32 | log->block[block - 1].used;
    }
    if (end <= begin) {
        return 0;
    }
    position = end - sizeof(struct tk_record);
    *start = position - tk_record_room(tk_log_at(log, position));
    return position;
}

void
tk_log_cut(struct tk_blocks *log, uint64_t position)
{
    size_t open = (size_t)(position >> 32);

    TK_ASSERT(position <= tk_log_end(log), "the log is cut past its end");
    if (open < log->open) {
        /* The first of the blocks that fall free may be needed at once. */
        log->open = open + 1;
        drop_spare(log);
        log->open = open;
    }
    if (open > 0) {
        log->block[open - 1].used = (uint32_t)position;
    }
}

/* Rounds *size up to what the class holds. */
static size_t
class_of(size_t *size)
{
    size_t steps = (*size + ENTRY_STEP - 1) / ENTRY_STEP;
    size_t class = EXACT_CLASSES;
    size_t room = (size_t)EXACT_CLASSES * ENTRY_STEP;

    if (steps <= EXACT_CLASSES) {
        *size = steps * ENTRY_STEP;
        return steps - 1;
    }
    while (room < *size) {
        room *= 2;
        class++;
    }
    *size = room;
    return class - 1;
}

struct tk_entry *
tk_pool_take(struct tk_pool *pool, tikv_slice key)
{
    size_t size = offsetof(struct tk_entry, key) + key.len;
    size_t class = class_of(&size);
    struct tk_entry *entry = pool->idle[class];

    if (entry != NULL) {
        pool->idle[class] = (struct tk_entry *)(uintptr_t)entry->newest;
    } else {
        struct tk_block *last;

        if (!tk_blocks_reserve(&pool->blocks, size)) {
            return NULL;
        }
        last = &pool->blocks.block[pool->blocks.open - 1];
        entry = (struct tk_entry *)(void *)(last->data + last->used);
        last->used += size;
    }
    entry->newest = 0;
    entry->flags = 0;
    entry->key_len = (uint16_t)key.len;
    if (key.len > 0) {
        memcpy(entry->key, key.data, key.len);
    }
    return entry;
}

void
tk_pool_give(struct tk_pool *pool, struct tk_entry *entry)
{
    size_t size = offsetof(struct tk_entry, key) + entry->key_len;
    size_t class = class_of(&size);

    entry->flags = TK_ENTRY_GONE;
    entry->newest = (uintptr_t)pool->idle[class];
    pool->idle[class] = entry;
}

void
tk_pool_fini(struct tk_pool *pool)
{
    tk_blocks_fini(&pool->blocks);
    *pool = (struct tk_pool){ 0 };
}
