/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An arena is one block: the struct, then the first memory of upb's arena in
 * it, so that small messages cost no allocation at all. What upb takes beyond
 * the block goes back when the arena does.
 *
 * The last reference, on whatever thread, puts the block into that thread's
 * cache, which holds a few and is emptied when the thread ends. No lock: a
 * cache is touched by its thread only.
 */
#include "wire/arena.h"

#include <string.h>

#include "base/alloc.h"
#include "exec/thread_cache.h"

#include "upb/arena.h"
#include "upb/decode.h"
#include "upb/encode.h"
#include "upb/msg_internal.h"

enum {
    BLOCK = 4096,     /* with the struct */
    CACHED_COUNT = 16 /* blocks that a thread keeps */
};

static _Thread_local struct {
    struct tk_thread_cache hook;
    struct tk_arena *first;
    unsigned count;
} cache;

/* upb's rule: no size means free. */
static void *
more_memory(upb_alloc *alloc, void *block, size_t old_size, size_t size)
{
    (void)alloc;
    (void)old_size;
    if (size == 0) {
        tk_free(block);
        return NULL;
    }
    return tk_realloc(block, size);
}

static upb_alloc allocator = { more_memory };

static void
drain(struct tk_thread_cache *hook)
{
    (void)hook;
    while (cache.first != NULL) {
        struct tk_arena *arena = cache.first;

        cache.first = arena->next;
        tk_free(arena);
    }
    cache.count = 0;
}

/* The last reference is gone. */
static void
recycle(struct tk_frame *frame)
{
    /* The frame is the first member. */
    struct tk_arena *arena = (struct tk_arena *)(void *)frame;
    struct tk_frame *source = arena->source;

    upb_Arena_Free(arena->upb);
    if (cache.count < CACHED_COUNT &&
        tk_thread_cache_hook(&cache.hook, drain)) {
        arena->next = cache.first;
        cache.first = arena;
        cache.count++;
    } else {
        tk_free(arena);
    }
    tk_frame_unref(source, 1);
}

struct tk_arena *
tk_arena_new(void)
{
    struct tk_arena *arena = cache.first;

    if (arena != NULL) {
        cache.first = arena->next;
        cache.count--;
    } else {
        /* Zeroed, because upb looks at one word before it sets it. */
        arena = tk_calloc(BLOCK);
        if (arena == NULL) {
            return NULL;
        }
    }
    tk_frame_init(&arena->frame, recycle);
    arena->source = NULL;
    arena->next = NULL;
    /* Cannot fail: the block has room for upb's own part. */
    arena->upb = upb_Arena_Init(arena + 1, BLOCK - sizeof(*arena), &allocator);
    return arena;
}

void
tk_arena_unref(struct tk_arena *arena)
{
    if (arena != NULL) {
        tk_frame_unref(&arena->frame, 1);
    }
}

static void
let_go(void *source)
{
    tk_frame_unref(source, 1);
}

/* One source has a place of its own; more of them hang on upb's list. */
static bool
hold(struct tk_arena *arena, struct tk_frame *source)
{
    if (source == NULL || arena->source == source) {
        return true;
    }
    if (arena->source == NULL) {
        arena->source = source;
    } else if (!upb_Arena_AddCleanup(arena->upb, source, let_go)) {
        return false;
    }
    tk_frame_ref(source);
    return true;
}

void *
tk_arena_decode(struct tk_arena *arena, const struct upb_MiniTable *table,
                const uint8_t *data, size_t len, struct tk_frame *source)
{
    const char *bytes = len == 0 ? "" : (const char *)data;
    upb_Message *message;

    /* upb counts lengths in an int. */
    if (len > INT32_MAX || !hold(arena, source)) {
        return NULL;
    }
    message = _upb_Message_New(table, arena->upb);
    if (message == NULL || upb_Decode(bytes, len, message, table, NULL,
                                      kUpb_DecodeOption_AliasString,
                                      arena->upb) != kUpb_DecodeStatus_Ok) {
        return NULL;
    }
    return message;
}

struct tk_encoded
tk_arena_encode(struct tk_arena *arena, const struct upb_MiniTable *table,
                const void *message)
{
    struct tk_encoded out = { NULL, 0 };
    char *bytes;
    size_t len;

    if (upb_Encode(message, table, 0, arena->upb, &bytes, &len) ==
            kUpb_EncodeStatus_Ok &&
        bytes != NULL) {
        out.data = (const uint8_t *)bytes;
        out.len = len;
    }
    return out;
}
