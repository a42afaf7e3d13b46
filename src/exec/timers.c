/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pairing heap whose nodes are the timers: no allocation, so that arming
 * cannot fail. A node's first child hangs on `child`, the others on
 * `sibling`; `back` leads to the older sibling, or to the parent from the
 * first one. Guarded by the runtime's lock.
 */
#include "exec/timers.h"

static bool
is_earlier(const struct tk_timer *a, const struct tk_timer *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

/* Two roots without siblings become one. */
static struct tk_timer *
meld(struct tk_timer *a, struct tk_timer *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    if (is_earlier(b, a)) {
        struct tk_timer *other = a;

        a = b;
        b = other;
    }
    b->back = a;
    b->sibling = a->child;
    if (a->child != NULL) {
        a->child->back = b;
    }
    a->child = b;
    return a;
}

/* The children of a removed node, in pairs from the left, then together from
 * the right. */
static struct tk_timer *
meld_all(struct tk_timer *first)
{
    struct tk_timer *pairs = NULL;
    struct tk_timer *root = NULL;

    while (first != NULL) {
        struct tk_timer *a = first;
        struct tk_timer *b = a->sibling;

        first = b == NULL ? NULL : b->sibling;
        a->sibling = NULL;
        a->back = NULL;
        if (b != NULL) {
            b->sibling = NULL;
            b->back = NULL;
        }
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs != NULL) {
        struct tk_timer *next = pairs->sibling;

        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void
tk_timers_add(struct tk_timers *timers, struct tk_timer *timer)
{
    timer->child = NULL;
    timer->sibling = NULL;
    timer->back = NULL;
    timer->is_armed = true;
    timers->root = meld(timers->root, timer);
}

bool
tk_timers_remove(struct tk_timers *timers, struct tk_timer *timer)
{
    struct tk_timer *rest;

    if (!timer->is_armed) {
        return false;
    }
    timer->is_armed = false;
    rest = meld_all(timer->child);
    timer->child = NULL;
    if (timers->root == timer) {
        timers->root = rest;
        return true;
    }
    if (timer->back->child == timer) {
        timer->back->child = timer->sibling;
    } else {
        timer->back->sibling = timer->sibling;
    }
    if (timer->sibling != NULL) {
        timer->sibling->back = timer->back;
    }
    timer->back = NULL;
    timer->sibling = NULL;
    timers->root = meld(timers->root, rest);
    return true;
}
