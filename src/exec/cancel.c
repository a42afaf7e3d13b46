/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cancel object. Links wait on one list and move to a second when they
 * were told, so that raising can let go of the lock whenever its collector of
 * wake-ups is full. Lock: rank CANCEL.
 */
#include "exec/cancel.h"

#include "base/alloc.h"
#include "base/error.h"
#include "exec/mutex.h"

struct tikv_cancel {
    struct tk_mutex lock;
    _Atomic bool raised;           /* written under lock */
    struct tk_cancel_link waiting; /* heads of rings, guarded by lock */
    struct tk_cancel_link told;
};

static void
head_init(struct tk_cancel_link *head)
{
    head->next = head;
    head->prev = head;
}

static void
insert(struct tk_cancel_link *head, struct tk_cancel_link *link)
{
    link->next = head;
    link->prev = head->prev;
    head->prev->next = link;
    head->prev = link;
}

static void
extract(struct tk_cancel_link *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
}

void
tk_cancel_link(struct tk_cancel_link *link, tikv_cancel *cancel,
               void (*raised)(struct tk_cancel_link *, struct tk_wakes *),
               void (*after)(struct tk_cancel_link *))
{
    struct tk_wakes wakes;
    bool is_up;

    if (cancel == NULL) {
        link->cancel = NULL;
        return;
    }
    *link = (struct tk_cancel_link){ .raised = raised, .after = after };
    tk_wakes_init(&wakes, NULL);
    link->cancel = cancel;
    tk_mutex_lock(&cancel->lock);
    is_up = atomic_load_explicit(&cancel->raised, memory_order_relaxed);
    insert(is_up ? &cancel->told : &cancel->waiting, link);
    if (is_up) {
        raised(link, &wakes);
    }
    tk_mutex_unlock(&cancel->lock);
    tk_wakes_flush(&wakes);
    if (is_up && after != NULL) {
        after(link);
    }
}

void
tk_cancel_unlink(struct tk_cancel_link *link)
{
    tikv_cancel *cancel = link->cancel;

    if (cancel == NULL) {
        return;
    }
    tk_mutex_lock(&cancel->lock);
    extract(link);
    tk_mutex_unlock(&cancel->lock);
    link->cancel = NULL;
}

tikv_error *
tikv_cancel_new(tikv_cancel **out)
{
    tikv_cancel *cancel;

    if (out == NULL) {
        return tk_error(TIKV_ERR_ARGUMENT, "out is NULL");
    }
    *out = NULL;
    cancel = tk_calloc(sizeof(*cancel));
    if (cancel == NULL) {
        return tk_error_immortal(TIKV_ERR_MEMORY);
    }
    tk_mutex_init(&cancel->lock, TK_RANK_CANCEL);
    head_init(&cancel->waiting);
    head_init(&cancel->told);
    *out = cancel;
    return NULL;
}

/* Tells as many as the collector holds; whether links are left. */
static bool
tell_some(tikv_cancel *cancel, struct tk_wakes *wakes,
          struct tk_cancel_link **todo)
{
    struct tk_cancel_link *link;
    bool is_rest;

    tk_mutex_lock(&cancel->lock);
    while (!tk_wakes_is_full(wakes) &&
           (link = cancel->waiting.next) != &cancel->waiting) {
        extract(link);
        insert(&cancel->told, link);
        link->raised(link, wakes);
        if (link->after != NULL) {
            link->todo = *todo;
            *todo = link;
        }
    }
    is_rest = cancel->waiting.next != &cancel->waiting;
    tk_mutex_unlock(&cancel->lock);
    return is_rest;
}

void
tikv_cancel_raise(tikv_cancel *cancel)
{
    struct tk_cancel_link *todo = NULL;
    struct tk_wakes wakes;
    bool is_first;
    bool is_rest;

    if (cancel == NULL) {
        return;
    }
    tk_mutex_lock(&cancel->lock);
    is_first = !atomic_exchange(&cancel->raised, true);
    tk_mutex_unlock(&cancel->lock);
    if (!is_first) {
        return;
    }
    do {
        tk_wakes_init(&wakes, NULL);
        is_rest = tell_some(cancel, &wakes, &todo);
        tk_wakes_flush(&wakes);
    } while (is_rest);
    while (todo != NULL) {
        struct tk_cancel_link *link = todo;

        todo = link->todo;
        link->after(link);
    }
}

bool
tikv_cancel_raised(const tikv_cancel *cancel)
{
    return cancel != NULL && atomic_load(&cancel->raised);
}

void
tikv_cancel_free(tikv_cancel *cancel)
{
    if (cancel != NULL) {
        tk_mutex_fini(&cancel->lock);
        tk_free(cancel);
    }
}
