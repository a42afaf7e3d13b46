/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that lie in the block of their future, so that a read allocates
 * nothing. As long as nobody took it such a value is a part of the future;
 * taken, it holds a reference, and the block goes with the last of both.
 *
 * Threads: made by the completer before it publishes, taken and freed by the
 * application. No lock.
 */
#include "exec/future.h"

#include <string.h>

struct inside_value {
    struct tikv_value value; /* first */
    struct tikv_future *future;
};

/* The frame's reference is gone already. */
static void
release_inside(struct tikv_value *value)
{
    tk_future_unref(((struct inside_value *)(void *)value)->future);
}

/* Where a value of `len` bytes begins: on a line of cache, which it then does
 * not share with what the application's thread wrote, if it fits there. */
static size_t
place_of(const struct tikv_future *future, size_t len)
{
    size_t line = (future->used + (size_t)TK_CACHE_LINE - 1) / TK_CACHE_LINE *
                  TK_CACHE_LINE;

    return line + sizeof(struct inside_value) + len <= TK_FUTURE_BLOCK
               ? line
               : future->used;
}

tikv_value *
tk_future_value(struct tikv_future *future, tikv_slice bytes,
                struct tk_frame *frame)
{
    size_t place = place_of(future, bytes.len);
    size_t room = TK_FUTURE_BLOCK - place;
    struct inside_value *inside;
    uint8_t *copy;

    if (room < sizeof(*inside) ||
        (frame == NULL && bytes.len > room - sizeof(*inside))) {
        bool alias = frame != NULL && bytes.len >= TK_VALUE_ALIAS_MIN;

        tk_frame_ref(alias ? frame : NULL);
        return tk_value_new(bytes, alias ? frame : NULL);
    }
    inside = (struct inside_value *)(void *)((uint8_t *)(void *)future + place);
    inside->future = future;
    inside->value =
        (struct tikv_value){ .bytes = bytes, .release = release_inside };
    copy = (uint8_t *)(inside + 1);
    if (bytes.len <= room - sizeof(*inside)) {
        if (bytes.len != 0) {
            memcpy(copy, bytes.data, bytes.len);
        }
        inside->value.bytes.data = copy;
    } else {
        tk_frame_ref(frame);
        inside->value.frame = frame;
    }
    return &inside->value;
}

tikv_value *
tk_future_give_value(struct tikv_future *future)
{
    tikv_value *value = future->outcome.value;

    future->outcome.value = NULL;
    if (value != NULL && value->release == release_inside) {
        tk_future_ref(future);
    }
    return value;
}

void
tk_future_drop_value(struct tikv_future *future)
{
    tikv_value *value = future->outcome.value;

    if (value->release == release_inside) {
        tk_frame_unref(value->frame, 1);
    } else {
        tikv_value_free(value);
    }
}
