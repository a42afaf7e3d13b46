/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a ledger: the client has one reference, and so has each frame
 * that is counted in it. Any thread. */
#include "base/ledger.h"

#include "base/alloc.h"

struct tk_ledger *
tk_ledger_new(void)
{
    struct tk_ledger *ledger =
        (struct tk_ledger *)tk_calloc(sizeof(struct tk_ledger));

    if (ledger != NULL) {
        atomic_init(&ledger->refs, 1);
    }
    return ledger;
}

struct tk_ledger *
tk_ledger_ref(struct tk_ledger *ledger)
{
    if (ledger != NULL) {
        atomic_fetch_add_explicit(&ledger->refs, 1, memory_order_relaxed);
    }
    return ledger;
}

void
tk_ledger_unref(struct tk_ledger *ledger)
{
    if (ledger != NULL && atomic_fetch_sub_explicit(
                              &ledger->refs, 1, memory_order_acq_rel) == 1) {
        tk_free(ledger);
    }
}
