/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client holds for its application, in bytes: requests that wait or
 * are being written, received bytes that somebody still refers to, writes of
 * transactions. One number against one ceiling. It is counted, since values
 * may outlive their client. Any thread; the only order is that of one number.
 */
#ifndef TK_BASE_LEDGER_H
#define TK_BASE_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tk_ledger {
    _Atomic uint32_t refs; /* relaxed up, acq_rel down */
    _Atomic int64_t bytes; /* relaxed */
};

/* One reference; NULL without memory. */
struct tk_ledger *
tk_ledger_new(void);

struct tk_ledger *
tk_ledger_ref(struct tk_ledger *ledger);

void
tk_ledger_unref(struct tk_ledger *ledger);

/* A NULL ledger counts nothing. */
static inline void
tk_ledger_add(struct tk_ledger *ledger, int64_t bytes)
{
    if (ledger != NULL) {
        atomic_fetch_add_explicit(&ledger->bytes, bytes, memory_order_relaxed);
    }
}

static inline int64_t
tk_ledger_bytes(const struct tk_ledger *ledger)
{
    return ledger == NULL
               ? 0
               : atomic_load_explicit(&ledger->bytes, memory_order_relaxed);
}

/* 0 is no ceiling. Callers who look at the same time may pass it together:
 * each by what it asks for. */
static inline bool
tk_ledger_is_full(const struct tk_ledger *ledger, int64_t max)
{
    return max != 0 && tk_ledger_bytes(ledger) >= max;
}

#endif
