/* SPDX-License-Identifier: Apache-2.0 */
/* A frame whose bytes are our own memory, in one block with its head. Any
 * thread; the count is the only shared word. */
#include "base/frame.h"

#include "base/alloc.h"

static void
drop_own(struct tk_frame *frame)
{
    tk_free(frame);
}

struct tk_frame *
tk_frame_new(size_t len, uint8_t **data)
{
    struct tk_frame *frame;

    if (len > SIZE_MAX - sizeof(*frame)) {
        return NULL;
    }
    frame = tk_alloc(sizeof(*frame) + len);
    if (frame == NULL) {
        return NULL;
    }
    atomic_init(&frame->refs, 1);
    frame->drop = drop_own;
    *data = (uint8_t *)(frame + 1);
    return frame;
}
