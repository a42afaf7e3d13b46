/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Epochs. Production: liburcu's bp flavour and its call_rcu thread. A
 * simulation has one thread and no business with another: there a counter of
 * open sections decides, and what was retired inside one waits for its end.
 * No locks of ours.
 *
 * TSan does not see into liburcu, so the order that a grace period gives,
 * sections before frees, is told to it here.
 */
#include "exec/epoch.h"

#include <urcu/urcu-bp.h>

#include "base/debug.h"
#include "exec/epoch_sim.h"
#include "exec/sanitizer.h"

_Static_assert(sizeof(struct rcu_head) <= sizeof(void *[2]),
               "room for liburcu's head");

#if TK_TSAN
static char order;
#define SECTION_ENDS() __tsan_release(&order)
#define GRACE_IS_OVER() __tsan_acquire(&order)
#else
#define SECTION_ENDS() ((void)0)
#define GRACE_IS_OVER() ((void)0)
#endif

void
tk_epoch_enter(struct tk_runtime *rt)
{
    if (rt->epoch != NULL) {
        rt->epoch->depth++;
    } else {
        urcu_bp_read_lock();
    }
}

void
tk_epoch_leave(struct tk_runtime *rt)
{
    struct tk_epoch *epoch = rt->epoch;

    if (epoch == NULL) {
        SECTION_ENDS();
        urcu_bp_read_unlock();
        return;
    }
    TK_ASSERT(epoch->depth > 0, "a read section was left twice");
    epoch->depth--;
    while (epoch->depth == 0 && epoch->retired != NULL) {
        struct tk_retired *block = epoch->retired;

        epoch->retired = block->next[0];
        block->free(block);
    }
}

static void
grace_over(struct rcu_head *head)
{
    struct tk_retired *block = (struct tk_retired *)(void *)head;

    GRACE_IS_OVER();
    block->free(block);
}

void
tk_epoch_retire(struct tk_runtime *rt, struct tk_retired *block,
                void (*release)(struct tk_retired *))
{
    struct tk_epoch *epoch = rt->epoch;

    block->free = release;
    if (epoch == NULL) {
        SECTION_ENDS();
        urcu_bp_call_rcu((struct rcu_head *)(void *)block->next, grace_over);
    } else if (epoch->depth == 0) {
        release(block);
    } else {
        block->next[0] = epoch->retired;
        epoch->retired = block;
    }
}

void
tk_epoch_drain(struct tk_runtime *rt)
{
    if (rt->epoch == NULL) {
        urcu_bp_barrier();
        GRACE_IS_OVER();
    }
}
