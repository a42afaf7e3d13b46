/* SPDX-License-Identifier: Apache-2.0 */
/* Between tso.c, which owns stream and batches, and timestamp.c, the face of
 * both. Lock: tso.lock. */
#ifndef TK_PD_TSO_H
#define TK_PD_TSO_H

#include "pd/inner.h"

struct tk_tso_batch {
    struct tk_tso_batch *next;
    struct tk_tso_request *first; /* linked by next and prev */
    uint32_t count;               /* asked for: requests taken back since
                                     leave holes */
    int64_t deadline;
};

/* Under the lock: its done is called in a moment. */
bool
tk_tso_is_leaving(const struct tk_tso_request *request);

/* Sends what can be sent. Any thread, no lock held. */
void
tk_tso_pump(struct tk_pd *pd, struct tk_wakes *wakes);

#endif
