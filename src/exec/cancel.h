/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv_cancel: a switch and the list of what hangs on it. Lock: rank CANCEL,
 * guards the list; links are called after it is released is not possible
 * (their memory is the owner's), so `raised` is called under it and may only
 * set a word and ring.
 */
#ifndef TK_EXEC_CANCEL_H
#define TK_EXEC_CANCEL_H

#include <tikv/future.h>

#include "exec/runtime.h"

struct tk_cancel_link {
    tikv_cancel *cancel; /* NULL: not linked */
    struct tk_cancel_link *prev;
    struct tk_cancel_link *next;
    void (*raised)(struct tk_cancel_link *, struct tk_wakes *);
};

/* `cancel` may be NULL: then nothing. Calls `raised` before it returns when
 * the switch is already up. */
void
tk_cancel_link(struct tk_cancel_link *link, tikv_cancel *cancel,
               void (*raised)(struct tk_cancel_link *, struct tk_wakes *),
               struct tk_wakes *wakes);

/* After it returns `raised` is not running and will not be called. */
void
tk_cancel_unlink(struct tk_cancel_link *link);

#endif
