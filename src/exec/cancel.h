/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tikv_cancel: a switch and the list of what hangs on it. Lock: rank CANCEL,
 * guards the list.
 *
 * Two kinds of links. Raising visits each under the lock, where `raised` may
 * only set a word, count a reference and ring. A link that needs more (a
 * future: its exec lock ranks lower) also has `after`: `raised` then takes a
 * reference of the owner, and `after` is called with no lock held and gives
 * it back.
 */
#ifndef TK_EXEC_CANCEL_H
#define TK_EXEC_CANCEL_H

#include <tikv/future.h>

#include "exec/runtime.h"

struct tk_cancel_link {
    tikv_cancel *cancel;         /* NULL: not linked; the owner's to read */
    struct tk_cancel_link *prev; /* these guarded by the cancel's lock */
    struct tk_cancel_link *next;
    struct tk_cancel_link *todo; /* the raising thread's */
    void (*raised)(struct tk_cancel_link *, struct tk_wakes *);
    void (*after)(struct tk_cancel_link *);
};

/* `cancel` may be NULL: then nothing. Calls `raised`, and `after`, before it
 * returns when the switch is already up. `after` may be NULL. No lock held. */
void
tk_cancel_link(struct tk_cancel_link *link, tikv_cancel *cancel,
               void (*raised)(struct tk_cancel_link *, struct tk_wakes *),
               void (*after)(struct tk_cancel_link *));

/* After it returns `raised` is not running and will not be called; `after`
 * may still come, it has its reference. */
void
tk_cancel_unlink(struct tk_cancel_link *link);

#endif
