/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of upb messages: arenas recycled per thread (bounded, with a
 * thread-exit destructor). An arena is also a frame, so that decoded messages
 * can be kept alive by values and pairs.
 */
#ifndef TK_WIRE_ARENA_H
#define TK_WIRE_ARENA_H

#include "base/frame.h"

struct upb_Arena;
struct upb_MiniTable;

struct tk_arena {
    struct tk_frame frame; /* one reference at birth */
    struct upb_Arena *upb;
    struct tk_frame *source; /* what decoded messages alias; may be NULL */
    struct tk_arena *next;   /* in the thread's cache */
};

/* NULL without memory. */
struct tk_arena *
tk_arena_new(void);

/* Drops one reference; the last one recycles it and lets go of its source. */
void
tk_arena_unref(struct tk_arena *arena);

/* Decodes with aliasing: the message lives as long as the arena, which takes
 * one more reference of `source`. NULL when the bytes are not that message or
 * memory ended. Short strings are copied into the arena by upb. */
void *
tk_arena_decode(struct tk_arena *arena, const struct upb_MiniTable *table,
                const uint8_t *data, size_t len, struct tk_frame *source);

/* Encodes into arena memory; absent data without memory. */
struct tk_encoded {
    const uint8_t *data;
    size_t len;
};

struct tk_encoded
tk_arena_encode(struct tk_arena *arena, const struct upb_MiniTable *table,
                const void *message);

#endif
