/* SPDX-License-Identifier: Apache-2.0 */
/* A frame whose bytes are our own memory, in one block with its head. Any
 * thread; the count is the only shared word. */
#include "base/frame.h"

#include "base/alloc.h"
#include "base/ledger.h"

void
tk_frame_charge(struct tk_frame *frame, struct tk_ledger *ledger, size_t bytes)
{
    if (frame != NULL && ledger != NULL && frame->ledger == NULL) {
        frame->ledger = tk_ledger_ref(ledger);
        frame->charged = bytes;
        tk_ledger_add(ledger, (int64_t)bytes);
    }
}

void
tk_frame_discharge(struct tk_frame *frame)
{
    tk_ledger_add(frame->ledger, -(int64_t)frame->charged);
    tk_ledger_unref(frame->ledger);
}

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
    tk_frame_init(frame, drop_own);
    *data = (uint8_t *)(frame + 1);
    return frame;
}
