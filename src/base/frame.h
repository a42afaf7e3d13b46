/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received bytes that several answers share: a frame off the wire. Whoever
 * keeps a pointer into it keeps a reference. References are set once, to the
 * number of answers plus one, before the first is handed out.
 */
#ifndef TK_BASE_FRAME_H
#define TK_BASE_FRAME_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct tk_ledger;

struct tk_frame {
    _Atomic uint32_t refs; /* relaxed up, acq_rel down */
    void (*drop)(struct tk_frame *);
    struct tk_ledger *ledger; /* counted, or NULL: where it is charged */
    size_t charged;
};

/* No reference is left, and something was charged. */
void
tk_frame_discharge(struct tk_frame *frame);

/* Charges `bytes` to the ledger until the frame ends, once: a frame that is
 * delivered again was charged before. One thread at a time. */
void
tk_frame_charge(struct tk_frame *frame, struct tk_ledger *ledger,
                size_t bytes);

/* A frame at birth: one reference. */
static inline void
tk_frame_init(struct tk_frame *frame, void (*drop)(struct tk_frame *))
{
    atomic_init(&frame->refs, 1);
    frame->drop = drop;
    frame->ledger = NULL;
}

static inline void
tk_frame_ref(struct tk_frame *frame)
{
    if (frame != NULL) {
        atomic_fetch_add_explicit(&frame->refs, 1, memory_order_relaxed);
    }
}

static inline void
tk_frame_unref(struct tk_frame *frame, uint32_t count)
{
    if (frame != NULL && count != 0 &&
        atomic_fetch_sub_explicit(&frame->refs, count, memory_order_acq_rel) ==
            count) {
        if (frame->ledger != NULL) {
            tk_frame_discharge(frame);
        }
        frame->drop(frame);
    }
}

/* A frame of our own memory, `len` bytes at *data; NULL without memory. */
struct tk_frame *
tk_frame_new(size_t len, uint8_t **data);

#endif
