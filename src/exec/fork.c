/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of forks between the first process and this one. The handlers
 * of liburcu ride along, so that a client opened in a child can reclaim
 * memory there.
 */
#include "exec/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <urcu-bp.h>
#include <urcu-call-rcu.h>

static _Atomic uint32_t number = 1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
before(void)
{
    urcu_bp_call_rcu_before_fork();
    urcu_bp_before_fork();
}

static void
in_parent(void)
{
    urcu_bp_after_fork_parent();
    urcu_bp_call_rcu_after_fork_parent();
}

static void
in_child(void)
{
    atomic_fetch_add_explicit(&number, 1, memory_order_relaxed);
    urcu_bp_after_fork_child();
    urcu_bp_call_rcu_after_fork_child();
}

static void
listen_for_forks(void)
{
    pthread_atfork(before, in_parent, in_child);
}

uint32_t
tk_fork_number(void)
{
    pthread_once(&once, listen_for_forks);
    return atomic_load_explicit(&number, memory_order_relaxed);
}
