/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the resolver is doing, for whoever wants to know: counters, and which
 * callers are held up by which locks. Entries of callers stand on their
 * stacks, in a list.
 *
 * Any thread. Lock: resolver.lock, for the list.
 */
#include "base/error.h"
#include "txn/resolver_inner.h"

uint64_t
tk_resolver_stat(const struct tk_resolver *resolver, enum tk_resolver_stat stat)
{
    return atomic_load_explicit(&resolver->stats[stat], memory_order_relaxed);
}

void
tk_hold_up_enter(struct tk_resolver *resolver, struct tk_hold_up *hold_up,
                 const struct tk_resolve *resolve)
{
    hold_up->resolve = resolve;
    tk_mutex_lock(&resolver->lock);
    hold_up->next = resolver->held_up;
    resolver->held_up = hold_up;
    tk_mutex_unlock(&resolver->lock);
}

void
tk_hold_up_leave(struct tk_resolver *resolver, struct tk_hold_up *hold_up)
{
    struct tk_hold_up **at = &resolver->held_up;

    tk_mutex_lock(&resolver->lock);
    while (*at != hold_up) {
        at = &(*at)->next;
    }
    *at = hold_up->next;
    tk_mutex_unlock(&resolver->lock);
}

tikv_error *
tk_resolver_held_up(struct tk_resolver *resolver, size_t limit,
                    struct tk_lock_set *out)
{
    const struct tk_hold_up *hold_up;
    bool copied = true;

    tk_lock_set_clear(out);
    tk_mutex_lock(&resolver->lock);
    for (hold_up = resolver->held_up; hold_up != NULL && copied;
         hold_up = hold_up->next) {
        const struct tk_resolve *resolve = hold_up->resolve;
        size_t i;

        for (i = 0; copied && out->count < limit && i < resolve->locks->count;
             i++) {
            copied = tk_lock_set_copy(out, &resolve->locks->data[i],
                                      resolve->caller_start_ts);
        }
    }
    tk_mutex_unlock(&resolver->lock);
    return copied ? NULL : tk_error_immortal(TIKV_ERR_MEMORY);
}
